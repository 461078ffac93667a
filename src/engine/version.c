/* SPDX-License-Identifier: GPL-3.0-or-later
 * Versions: loading, storing, publishing, removing. The only place where a version comes to be or goes (E3, E10).
 *
 * Everything here runs under engine.meta; what writes runs inside the caller's transaction. */
#include "engine/kms.h"
#include "engine/mfa.h"
#include "engine/trail.h"

#include <assert.h>
#include <stdio.h>
#include <sys/stat.h>

void version_done(struct version *v)
{
    free(v->key);
    v->key = NULL;
    record_done(&v->record);
}

int version_decode(const struct version_row *row, struct version *ret)
{
    struct version v = {
        .bucket = row->bucket,
        .key_len = row->key.len,
        .seq = row->seq,
        .publish_ns = row->publish_ns,
        .flags = row->flags,
        .ino = row->ino,
        .lock_mode = row->lock_mode,
        .lock_until_ms = row->lock_until_ms,
        .lock_hold_s = row->lock_hold_s,
        .legal_hold = row->legal_hold,
    };
    memcpy(v.id, row->id, sizeof v.id);
    v.key = key_copy(row->key);
    if (!v.key)
        return -ENOMEM;
    int r = record_decode(row->body.p, row->body.len, row->data.p, row->data.len, &v.record);
    if (r < 0) {
        free(v.key);
        return r == -EBADMSG ? -EIO : r;
    }
    gc_barrier(v.record.map);
    *ret = v;
    return 0;
}

struct version_first {
    struct version *ret;
    bool found;
};

static int version_first_row(void *arg, const struct version_row *row)
{
    struct version_first *first = arg;
    if (row->flags & VERSION_REPLACED)
        return 0;
    int r = version_decode(row, first->ret);
    first->found = r == 0;
    return r < 0 ? r : 1;
}

int version_load(struct engine *e, uint32_t bucket, struct span key, uint64_t seq, struct version *ret)
{
    if (seq) {
        struct version_row row;
        int r = e->meta_ops->version_get(e->m, bucket, key, seq, &row);
        return r < 0 ? r : version_decode(&row, ret);
    }
    struct version_first first = {.ret = ret};
    int r = e->meta_ops->version_scan(e->m, bucket, key, UINT64_MAX, version_first_row, &first);
    if (r < 0)
        return r;
    return first.found ? 0 : -ENOENT;
}

static int version_store_row(struct engine *e, const struct version *v)
{
    struct bytes body = {0};
    record_encode(&v->record, &body);
    if (body.failed) {
        bytes_done(&body);
        return -ENOMEM;
    }
    struct version_row row = {
        .bucket = v->bucket,
        .key = span_of(v->key, v->key_len),
        .seq = v->seq,
        .publish_ns = v->publish_ns,
        .flags = v->flags,
        .ino = v->ino,
        .lock_mode = (uint8_t)v->lock_mode,
        .lock_until_ms = v->lock_until_ms,
        .lock_hold_s = v->lock_hold_s,
        .legal_hold = (uint8_t)v->legal_hold,
        .body = span_of(body.data, body.len),
    };
    memcpy(row.id, v->id, sizeof row.id);
    if (!(v->flags & VERSION_MARKER) && tree_kind_of(v->record.mode) != TREE_OBJECT)
        row.flags |= VERSION_SPECIAL;
    if (v->record.map)
        row.data = span_of(v->record.map->inline_data.data, v->record.map->inline_data.len);
    gc_barrier(v->record.map);
    int r = e->meta_ops->version_put(e->m, &row);
    bytes_done(&body);
    return r;
}

/* E11: with its data keys wrapped under the bucket's newest key. */
static int version_store_renewed(struct engine *e, const struct bucket *b, const struct version *v)
{
    struct version renewed = *v;
    unsigned kept;
    if (renewed.record.map)
        extmap_ref(renewed.record.map);
    envelope_ref(renewed.record.env);
    int r = keyring_record_renew(e, b, &renewed.record, &kept);
    if (r == 0)
        r = version_store_row(e, &renewed);
    extmap_unref(renewed.record.map);
    envelope_unref(renewed.record.env);
    return r;
}

int version_store(struct engine *e, const struct version *v)
{
    const struct bucket *b = v->record.map || v->record.env ? bucket_by_number(e, v->bucket) : NULL;
    bool old = b && (keyring_map_old(b, v->record.map) || kms_envelope_old(e, v->record.env));
    return old ? version_store_renewed(e, b, v) : version_store_row(e, v);
}

void version_id_text(const struct version *v, char out[33])
{
    if (v->flags & VERSION_NULL)
        memcpy(out, "null", 5);
    else
        base32_format(v->id, sizeof v->id, out);
}

void version_name(const struct version *v, char out[80])
{
    char id[33];
    version_id_text(v, id);
    char when[48];
    timeform_format_ns(v->publish_ns / 1000000000, (uint32_t)(v->publish_ns % 1000000000), when);
    snprintf(out, 80, "%s.%s", when, id);
}

void version_describe(struct engine *e, struct version *v, bool latest, struct engine_version *ret)
{
    (void)e;
    *ret = (struct engine_version){
        .seq = v->seq,
        .publish_ns = v->publish_ns,
        .flags = v->flags,
        .latest = latest,
        .lock_mode = (uint8_t)v->lock_mode,
        .legal_hold = (uint8_t)v->legal_hold,
        .lock_until_ms = v->lock_until_ms,
    };
    version_id_text(v, ret->id);
    version_name(v, ret->name);
    record_attr(&v->record, record_data_bytes(&v->record), &ret->attr);
    ret->attr.ino = v->ino;
    memcpy(ret->etag, v->record.etag, sizeof ret->etag);
    memcpy(ret->made_by, v->record.made_by, sizeof ret->made_by);
    if (v->flags & VERSION_MARKER) {
        ret->attr.mode = S_IFREG | 0444;
        ret->attr.mtime = ret->attr.ctime = ret->attr.atime = ret->attr.btime =
            instant_of_ns(v->publish_ns);
    }
}

/* ---- caches ---- */

void version_wake(struct engine *e, uint32_t bucket, struct span key, uint64_t ino)
{
    if (!e->watcher)
        return;
    if (ino)
        e->watcher->inode_changed(e->watcher->arg, ino);
    if (!naming_key_shows(key))
        return;
    size_t slash = key.len;
    while (slash && key.p[slash - 1] != '/')
        slash--;
    struct tree_row parent;
    struct span dir = span_of(key.p, slash ? slash - 1 : 0);
    if (e->meta_ops->tree_get(e->m, bucket, dir, &parent) == 0)
        e->watcher->entry_changed(e->watcher->arg, parent.ino, (const char *)key.p + slash, key.len - slash);
}

/* ---- publishing ---- */

/* In a bucket that is not Enabled a new version takes the null version's place. The old row stays, hidden, until the new one
 * is durable, so that a power cut finds the old content or the new; settle_run() purges it. */
static int version_replace_null_row(struct engine *e, struct version *v)
{
    if (v->flags & VERSION_MARKER) {
        int r = settle_drop(e, v->bucket, span_of(v->key, v->key_len), v->seq);
        return r < 0 ? r : e->meta_ops->version_del(e->m, v->bucket, span_of(v->key, v->key_len), v->seq);
    }
    if (lock_in_force(e, v))
        return -EPERM;
    v->flags |= VERSION_REPLACED;
    int r = version_store(e, v);
    return r < 0 ? r : settle_add_replaced(e, v->bucket, span_of(v->key, v->key_len), v->seq);
}

struct null_search {
    struct version v;
    bool found;
};

static int version_null_row(void *arg, const struct version_row *row)
{
    struct null_search *s = arg;
    if (!(row->flags & VERSION_NULL) || (row->flags & VERSION_REPLACED))
        return 0;
    int r = version_decode(row, &s->v);
    s->found = r == 0;
    return r < 0 ? r : 1;
}

int version_make_room(struct engine *e, struct caller *c, const struct bucket *b, struct span key)
{
    if (b->versioning == VERSIONING_ENABLED)
        return 0;
    struct null_search s = {0};
    int r = e->meta_ops->version_scan(e->m, b->number, key, UINT64_MAX, version_null_row, &s);
    if (r < 0 || !s.found)
        return r;
    r = lock_in_force(e, &s.v) ? lock_forbids(e, c, &s.v, false) : 0;
    if (r == 0)
        r = version_replace_null_row(e, &s.v);
    version_done(&s.v);
    return r;
}

struct behind {
    const struct version *of;
    struct version *ret;
    bool found;
};

static int behind_row(void *arg, const struct version_row *row)
{
    struct behind *s = arg;
    if (row->seq >= s->of->seq || !(row->flags & VERSION_REPLACED) ||
        ((row->flags ^ s->of->flags) & VERSION_NULL) || memcmp(row->id, s->of->id, sizeof row->id))
        return 0;
    int r = version_decode(row, s->ret);
    s->found = r == 0;
    return r < 0 ? r : 1;
}

int version_behind(struct engine *e, const struct version *v, struct version *ret)
{
    struct behind s = {.of = v, .ret = ret};
    int r = e->meta_ops->version_scan(e->m, v->bucket, span_of(v->key, v->key_len), UINT64_MAX, behind_row, &s);
    return r < 0 ? r : s.found ? 0 : -ENOENT;
}

enum { PURGE_MAX = 16 };

struct purge {
    uint64_t seqs[PURGE_MAX];
    unsigned count;
    bool null_only;
};

static int purge_row(void *arg, const struct version_row *row)
{
    struct purge *p = arg;
    if ((row->flags & VERSION_REPLACED) && (!p->null_only || (row->flags & VERSION_NULL)))
        p->seqs[p->count++] = row->seq;
    return p->count == PURGE_MAX;
}

/* No successor of the hidden rows can roll back any more: it is gone, in the same transaction. More than a few are left to
 * settle_run(). */
int version_purge_replaced(struct engine *e, struct caller *c, const struct bucket *b, struct span key)
{
    struct purge p = {.null_only = b->versioning == VERSIONING_SUSPENDED};
    int r = e->meta_ops->version_scan(e->m, b->number, key, UINT64_MAX, purge_row, &p);
    for (unsigned n = 0; r == 0 && n < p.count; n++) {
        struct version v;
        r = version_load(e, b->number, key, p.seqs[n], &v);
        if (r < 0)
            return r;
        r = version_remove(e, c, &v, REMOVE_REPLACED);
        version_done(&v);
    }
    return r;
}

static int version_newest_publish(void *arg, const struct version_row *row)
{
    int64_t *ret = arg;
    if (row->publish_ns > *ret)
        *ret = row->publish_ns;
    return !(row->flags & VERSION_REPLACED); /* hidden ones stand above with times of their own */
}

/* Wall clock, at least 1 ns after the key's previous version (retention.md §1.2). */
int version_publish_time(struct engine *e, uint32_t bucket, struct span key, int64_t wanted, int64_t *ret)
{
    int64_t newest = INT64_MIN;
    int r = e->meta_ops->version_scan(e->m, bucket, key, UINT64_MAX, version_newest_publish, &newest);
    *ret = newest != INT64_MIN && wanted <= newest ? newest + 1 : wanted;
    return r;
}

static void version_identify(const struct bucket *b, struct version *v)
{
    if (b->versioning == VERSIONING_ENABLED)
        random_bytes(v->id, sizeof v->id);
    else
        v->flags |= VERSION_NULL;
}

int version_put_marker(struct engine *e, struct caller *c, struct bucket *b, struct span key, uint64_t ino)
{
    int r = version_make_room(e, c, b, key);
    if (r < 0)
        return r;
    struct version v = {.bucket = b->number, .key = (uint8_t *)key.p, .key_len = key.len, .seq = seq_next(e), .ino = ino};
    v.flags = VERSION_MARKER | (c->front && !strcmp(c->front, "mount") ? VERSION_MOUNT : 0);
    version_identify(b, &v);
    principal_arn(&c->principal, v.record.made_by);
    r = version_publish_time(e, b->number, key, clock_wall_ns(), &v.publish_ns);
    if (r == 0)
        r = version_store(e, &v);
    if (r == 0 && trail_wants_data(e, false))
        r = trail_note(e, c, &(struct trail_event){.name = "DeleteObject", .version = &v, .flags = TRAIL_DATA});
    return r < 0 || b->versioning == VERSIONING_ENABLED ? r : version_purge_replaced(e, c, b, key);
}

/* Rows for directories that a key implies and nobody made. The uppermost appears in a directory that the kernel may have listed.
 * M, txn. */
int version_make_parents(struct engine *e, struct bucket *b, struct span key)
{
    struct span uppermost = {0};
    for (size_t end = key.len; end > 0; end--) {
        if (key.p[end - 1] != '/')
            continue;
        struct span dir = span_of(key.p, end - 1);
        struct tree_row row;
        int r = e->meta_ops->tree_get(e->m, b->number, dir, &row);
        if (r == 0 && row.kind == TREE_DIR)
            break; /* its own parents exist then */
        if (r == 0) /* an object of that name: the directory wins (mount.md §2) */
            r = tree_drop_name(e, b, dir, row.ino);
        if (r < 0 && r != -ENOENT)
            return r;
        struct record record = {.mode = S_IFDIR | 0755, .generation = 1, .implicit = true};
        record.mtime = record.ctime = record.btime = instant_now();
        uint64_t ino = e->next_ino++;
        r = e->meta_ops->tree_put(e->m, &(struct tree_row){.bucket = b->number, .key = dir, .ino = ino, .kind = TREE_DIR});
        if (r == 0)
            r = dir_row_put(e, b->number, dir, ino, &record);
        if (r < 0)
            return r;
        uppermost = dir;
    }
    if (uppermost.len)
        version_wake(e, b->number, uppermost, 0);
    return 0;
}

/* Content is about to change under a name whose inode did not write it. The kernel keeps the size it knows of an inode as
 * long as it knows the inode (write-back cache), so the name goes on as another one, as after a rename over it, and who reads the old
 * one reads on. A file open for writing keeps its inode: its draft lands on top. *ino becomes 0 where it goes. M, txn. */
static int version_leave_inode(struct engine *e, struct bucket *b, struct span key, uint64_t *ino)
{
    const struct inode *i = inode_cached(e, *ino);
    if (i && (i->draft || atomic_load(&i->writers)))
        return 0;
    int r = tree_drop_name(e, b, key, *ino);
    if (r == 0)
        *ino = 0;
    return r;
}

/* The same before a publish, where the name is there. */
static int version_leave_named(struct engine *e, struct bucket *b, struct span key)
{
    struct tree_row row;
    int r = e->meta_ops->tree_get(e->m, b->number, key, &row);
    if (r < 0 || row.kind == TREE_DIR)
        return r == -ENOENT ? 0 : r;
    uint64_t ino = row.ino;
    return version_leave_inode(e, b, key, &ino);
}

/* Puts the key into the live tree under ino (0: the one it has, or a new one). M, txn. */
int version_enter_tree(struct engine *e, struct bucket *b, struct span key, enum tree_kind kind, uint64_t *ino)
{
    struct tree_row row;
    int r = e->meta_ops->tree_get(e->m, b->number, key, &row);
    if (r == 0) {
        if (row.kind == TREE_DIR)
            return -EISDIR;
        if (!*ino || *ino == row.ino) {
            *ino = row.ino;
            if (row.kind == kind)
                return 0;
        }
    } else if (r != -ENOENT) {
        return r;
    } else if ((r = version_make_parents(e, b, key)) < 0) {
        return r;
    }
    bool fresh = !*ino;
    if (fresh)
        *ino = e->next_ino++;
    r = e->meta_ops->tree_put(e->m, &(struct tree_row){.bucket = b->number, .key = key, .ino = *ino, .kind = kind});
    if (r == 0 && fresh)
        r = file_row_put(e, b->number, key, *ino, 1, 1);
    return r;
}

static void version_take_lock(struct engine *e, struct version *v, const struct version_lock *lock)
{
    v->legal_hold = lock->hold;
    if (lock->mode == LOCK_NONE)
        return;
    v->lock_mode = lock->mode;
    v->lock_until_ms = lock->until_ms;
    v->lock_hold_s = compliance_hold_s(e, lock->until_ms);
}

/* Gives the new version its place in the tree, as far as the mount can show its key: *ino stays 0 where it cannot. */
static int version_place(struct engine *e, const struct caller *c, struct bucket *b, struct span key, uint32_t mode, uint64_t *ino)
{
    if (*ino)
        return version_enter_tree(e, b, key, tree_kind_of(mode), ino);
    if (!naming_key_shows(key)) /* S3's folder `d/` is the directory itself */
        return version_make_parents(e, b, span_of(key.p, naming_shown_len(key)));
    int r = version_leave_named(e, b, key);
    if (r == 0)
        r = version_enter_tree(e, b, key, tree_kind_of(mode), ino);
    return r == -EISDIR && strcmp(c->front, "s3") == 0 ? 0 : r; /* the directory wins (mount.md §2) */
}

/* lock: what the request itself set, or NULL; any other lock is the bucket's default. */
static int note_published(struct engine *e, struct caller *c, const struct version *v, const struct version_lock *lock)
{
    int r = 0;
    if (trail_wants_data(e, false))
        r = trail_note(e, c, &(struct trail_event){.name = "PutObject",
                                                   .version = v,
                                                   .params = json_pack("{s:I}", "sizeBytes", (json_int_t)v->record.size_bytes),
                                                   .flags = TRAIL_DATA});
    bool own = lock && lock->mode != LOCK_NONE;
    if (r == 0 && v->lock_mode != LOCK_NONE)
        r = lock_note_made(e, own ? c : NULL, v, false);
    return r == 0 && v->legal_hold == HOLD_ON ? lock_note_made(e, c, v, true) : r;
}

int version_publish(struct engine *e, struct caller *c, struct bucket *b, struct span key, uint64_t ino,
                    struct record *record, bool explicit_settled, uint64_t *ret_seq)
{
    return version_publish_locked(e, c, b, key, ino, record, explicit_settled, NULL, ret_seq);
}

int version_publish_locked(struct engine *e, struct caller *c, struct bucket *b, struct span key, uint64_t ino,
                           struct record *record, bool explicit_settled, const struct version_lock *lock, uint64_t *ret_seq)
{
    int r = version_make_room(e, c, b, key);
    if (r == 0)
        r = version_place(e, c, b, key, record->mode, &ino);
    if (r < 0)
        return r;
    bool mount = c->front && !strcmp(c->front, "mount");
    struct version v = {.bucket = b->number, .key = (uint8_t *)key.p, .key_len = key.len, .seq = seq_next(e), .ino = ino};
    v.flags = mount ? VERSION_MOUNT : 0;
    version_identify(b, &v);
    r = version_publish_time(e, b->number, key, clock_wall_ns(), &v.publish_ns);
    if (r < 0)
        return r;
    if (!record->made_by[0])
        principal_arn(&c->principal, record->made_by);
    v.record = *record; /* borrowed for the store */
    if (lock)
        version_take_lock(e, &v, lock);
    if (explicit_settled)
        lock_apply_default(e, b, &v);
    r = version_store(e, &v);
    if (r == 0 && !explicit_settled)
        r = settle_add(e, b, key, v.seq);
    if (r == 0)
        r = note_published(e, c, &v, lock);
    if (r < 0)
        return r;
    if (!mount && ino)
        r = inode_version_changed(e, ino);
    if (!mount)
        version_wake(e, b->number, key, ino);
    *ret_seq = v.seq;
    return r;
}

int record_share(struct engine *e, const struct bucket *from, const struct bucket *to, const struct record *src,
                 struct record *dst)
{
    int r = record_copy(dst, src);
    if (r < 0 || from == to || !dst->map)
        return r;
    struct extmap *map = extmap_copy(dst->map);
    r = map ? keyring_map_rewrap(e, from, to, NULL, map) : -ENOMEM;
    if (r < 0) {
        extmap_unref(map);
        record_done(dst);
        return r;
    }
    extmap_unref(dst->map);
    dst->map = map;
    record_set_envelope(dst, NULL, to->kek_id, to->kek_version);
    return 0;
}

/* ---- removing (E3) ---- */

/* keep_inode: where the next version was the same inode's, it stays. No kernel knows it yet, and it may have other names (recovery). */
static int show_next(struct engine *e, struct bucket *b, struct span key, bool keep_inode)
{
    struct tree_row row;
    uint64_t had = 0;
    if (!naming_key_shows(key))
        return naming_show_dirs(e, b, key);
    int r = e->meta_ops->tree_get(e->m, b->number, key, &row);
    if (r == 0 && row.kind == TREE_DIR)
        return 0; /* a directory has taken the name */
    if (r == 0)
        had = row.ino;
    else if (r != -ENOENT)
        return r;

    struct version next;
    r = version_load(e, b->number, key, 0, &next);
    bool none = r == -ENOENT || (r == 0 && (next.flags & VERSION_MARKER));
    if (r < 0 && r != -ENOENT)
        return r;
    if (none) {
        if (r == 0)
            version_done(&next);
        return had ? tree_drop_name(e, b, key, had) : 0;
    }
    uint64_t ino = had;
    r = had && !(keep_inode && next.ino == had) ? version_leave_inode(e, b, key, &ino) : 0;
    if (r < 0) {
        version_done(&next);
        return r;
    }
    if (!ino) {
        struct inode_row used;
        bool free = next.ino != had && !inode_cached(e, next.ino);
        if (free && e->meta_ops->inode_get(e->m, next.ino, &used) == -ENOENT) {
            ino = next.ino;
            r = file_row_put(e, b->number, key, ino, 1, 1);
            if (r < 0) {
                version_done(&next);
                return r;
            }
        }
    }
    r = version_enter_tree(e, b, key, tree_kind_of(next.record.mode), &ino);
    if (r == 0 && ino != next.ino) {
        next.ino = ino;
        r = version_store(e, &next);
    }
    version_done(&next);
    return r < 0 ? r : inode_version_changed(e, ino);
}

/* What the key shows after its current version went: the next one, or nothing. */
int version_show_next(struct engine *e, struct bucket *b, struct span key)
{
    return show_next(e, b, key, false);
}

/* What a rename or a newer content replaced is no destruction of its own; what unlink takes where there are no versions to keep is a
 * data event, as in S3. */
static int note_removed(struct engine *e, struct caller *c, const struct version *v, enum version_remove_why why)
{
    static const struct {
        const char *name, *source;
        unsigned flags;
    } events[] = {
        [REMOVE_USER] = {"DeleteObjectVersion", TRAIL_S3, 0},
        [REMOVE_DURABLE] = {"DeleteObjectVersion", TRAIL_S3, 0},
        [REMOVE_UNLINKED] = {"DeleteObject", TRAIL_S3, TRAIL_DATA},
        [REMOVE_ORPHAN] = {"OrphanReaped", TRAIL_HOLDFS, TRAIL_SERVICE},
        [REMOVE_ROLLED_BACK] = {"RecoveryRolledBack", TRAIL_HOLDFS, TRAIL_SERVICE},
    };
    bool marker = v->flags & VERSION_MARKER;
    if (!events[why].name || (why == REMOVE_ORPHAN && marker))
        return 0;
    return trail_note(e, events[why].flags & TRAIL_SERVICE ? NULL : c,
                      &(struct trail_event){.name = events[why].name,
                                            .source = events[why].source,
                                            .version = v,
                                            .params = marker ? json_pack("{s:b}", "deleteMarker", 1)
                                                             : json_pack("{s:I}", "sizeBytes", (json_int_t)v->record.size_bytes),
                                            .flags = events[why].flags});
}

int version_remove(struct engine *e, struct caller *c, struct version *v, enum version_remove_why why)
{
    struct span key = span_of(v->key, v->key_len);
    struct bucket *b = bucket_by_number(e, v->bucket);
    if (!b)
        return -ENOENT;
    int r = why == REMOVE_USER ? mfa_demanded(e, c, "s3:DeleteObjectVersion", b, v) : 0;
    if (r == 0 && !(v->flags & VERSION_MARKER))
        r = lock_forbids(e, c, v, why == REMOVE_USER);
    if (r < 0)
        return r;
    struct version top;
    bool current = false;
    bool may_show = why == REMOVE_USER || why == REMOVE_ORPHAN || why == REMOVE_ROLLED_BACK;
    if (may_show) {
        r = version_load(e, v->bucket, key, 0, &top);
        if (r == 0) {
            current = top.seq == v->seq;
            version_done(&top);
        } else if (r != -ENOENT) {
            return r;
        }
    }
    if (why != REMOVE_MOVED) /* a moved version takes its timer along */
        r = settle_drop(e, v->bucket, key, v->seq);
    if (r == 0)
        r = e->meta_ops->version_del(e->m, v->bucket, key, v->seq);
    if (r == 0 && current)
        r = show_next(e, b, key, why == REMOVE_ROLLED_BACK);
    if (r == 0)
        r = note_removed(e, c, v, why);
    if (r == 0 && may_show)
        version_wake(e, v->bucket, key, v->ino);
    if (r == 0 && why == REMOVE_USER)
        mfa_used(e, c, v);
    return r;
}
