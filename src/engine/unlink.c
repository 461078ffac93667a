/* SPDX-License-Identifier: GPL-3.0-or-later
 * Taking names away: unlink, rmdir, and what a name's inode is left with. What unlink leaves in history is decided here
 * (retention.md §1.6 S2, S2d, and §1.7); that a version really goes is version_remove()'s business (E3). */
#include "engine/private.h"

#include <sys/stat.h>

enum { TREE_KEY_MAX = 4095 };

static int names_first(void *arg, uint32_t bucket, struct span key)
{
    struct version_ref *ref = arg;
    *ref = (struct version_ref){.bucket = bucket, .key_len = key.len, .key = key_copy(key)};
    return ref->key ? 1 : -ENOMEM;
}

/* A file with further names loses one of them. */
static int tree_drop_link(struct engine *e, struct bucket *b, struct span key, struct inode *i)
{
    int r;
    if (key.len == i->key_len && !memcmp(key.p, i->key, key.len)) {
        struct version_ref other = {0};
        r = e->meta_ops->link_scan(e->m, i->ino, names_first, &other);
        if (r == 0 && !other.key)
            r = -EIO;
        if (r == 0)
            r = e->meta_ops->link_del(e->m, i->ino, other.bucket, span_of(other.key, other.key_len));
        if (r == 0)
            r = txn_touch(e, i);
        if (r == 0) {
            i->nlink--;
            r = inode_rekey(e, i, span_of(other.key, other.key_len));
        }
        free(other.key);
        if (r == 0 && !draft_open(i) && (r = inode_reload(e, i)) == -ESTALE) {
            i->half = true; /* that name has no version either */
            r = 0;
        }
    } else {
        r = e->meta_ops->link_del(e->m, i->ino, b->number, key);
        if (r == 0)
            r = txn_touch(e, i);
        if (r == 0) {
            i->nlink--;
            r = inode_save(e, i);
        }
    }
    i->record.ctime = instant_now();
    return r;
}

int tree_drop_name(struct engine *e, struct bucket *b, struct span key, uint64_t ino)
{
    int r = e->meta_ops->tree_del(e->m, b->number, key);
    if (r < 0)
        return r;
    struct inode *i;
    r = inode_get_name(e, ino, &i);
    if (r == -ESTALE) /* its versions went first */
        return e->meta_ops->inode_del(e->m, ino);
    if (r < 0)
        return r;
    if (!i->dir && i->nlink > 1) {
        r = tree_drop_link(e, b, key, i);
    } else {
        r = i->dir ? gone_note(e, b, key, &i->record) : 0;
        if (r == 0)
            r = e->meta_ops->inode_del(e->m, ino);
        if (r == 0)
            r = e->meta_ops->draft_del(e->m, ino);
        if (r == 0)
            r = txn_touch(e, i);
        if (r == 0) {
            i->orphan = true;
            i->nlink = 0;
        }
    }
    inode_put(e, i);
    return r;
}

static int tree_unpublished(struct engine *e, const struct inode *i, struct span key)
{
    struct version v;
    int r = version_load(e, i->bucket->number, key, 0, &v);
    if (r < 0)
        return r == -ENOENT ? 1 : r;
    bool other = v.ino != i->ino || (v.flags & VERSION_MARKER);
    version_done(&v);
    return other;
}

int tree_drop_unpublished(struct engine *e, struct inode *i)
{
    struct version_ref *names;
    size_t count;
    int r = inode_names(e, i, &names, &count);
    if (r < 0)
        return r;
    for (size_t n = 0; r >= 0 && n < count; n++) {
        struct span key = span_of(names[n].key, names[n].key_len);
        r = tree_unpublished(e, i, key);
        if (r == 1)
            r = tree_drop_name(e, i->bucket, key, i->ino);
    }
    version_refs_free(names, count);
    return r;
}

struct tree_below {
    struct span prefix;
    bool found;
};

static int tree_below_row(void *arg, const struct tree_row *row)
{
    struct tree_below *below = arg;
    below->found = row->key.len > below->prefix.len && !memcmp(row->key.p, below->prefix.p, below->prefix.len);
    return 1;
}

int tree_dir_empty(struct engine *e, struct bucket *b, struct span key)
{
    uint8_t buf[TREE_KEY_MAX + 2];
    memcpy(buf, key.p, key.len);
    buf[key.len] = '/';
    struct tree_below below = {.prefix = span_of(buf, key.len + 1)};
    int r = e->meta_ops->tree_scan(e->m, b->number, below.prefix, true, tree_below_row, &below);
    return r < 0 ? r : below.found ? -ENOTEMPTY : 0;
}

/* Nothing in it shows. An S3 folder object `d/` is the directory itself and goes with it; any other key keeps it (mount.md §2). M, txn. */
static int tree_rmdir_unshown(struct engine *e, struct caller *c, struct bucket *b, struct span dir)
{
    uint8_t key[4096];
    size_t len;
    int r = naming_below(e, b, dir, key, &len);
    if (r <= 0)
        return r;
    if (len != dir.len + 1)
        return reason_fail(&c->reason, ENOTEMPTY, "the directory holds '%s', a key that only S3 can name; delete it over S3",
                           engine_show(b, span_of(key, len)));
    struct version v;
    r = version_load(e, b->number, span_of(key, len), 0, &v);
    if (r == 0) {
        r = b->versioning == VERSIONING_UNVERSIONED ? version_remove(e, c, &v, REMOVE_USER)
                                                    : version_put_marker(e, c, b, span_of(key, len), 0);
        version_done(&v);
    }
    return r < 0 ? r : tree_rmdir_unshown(e, c, b, dir);
}

static int tree_rmdir(struct engine *e, struct caller *c, struct inode *dir, const char *name, size_t len)
{
    struct inode *i;
    int r = tree_lookup(e, dir, name, len, &i);
    if (r < 0)
        return r;
    uint8_t buf[TREE_KEY_MAX + 1];
    struct span key = {0};
    if (!i->dir)
        r = -ENOTDIR;
    else if (dir->bucket)
        r = tree_child_key(dir, name, len, buf, &key);
    if (r == 0 && !dir->bucket) {
        r = bucket_remove(e, c, i->bucket);
    } else if (r == 0) {
        r = engine_may_with(e, c, "s3:DeleteObject", dir->bucket, key, &(struct may){.directory = true});
        if (r == 0)
            r = tree_dir_empty(e, dir->bucket, key);
        if (r == 0)
            r = txn_begin(e);
        if (r == 0) {
            r = tree_rmdir_unshown(e, c, dir->bucket, key);
            r = txn_end(e, r < 0 ? r : tree_drop_name(e, dir->bucket, key, i->ino));
        }
        if (r == 0)
            inode_touch_dir(e, dir);
    }
    inode_put(e, i);
    return r;
}

int engine_rmdir(struct engine *e, struct caller *c, uint64_t dir_ino, const char *name, size_t len)
{
    LOCK_SCOPE(&e->meta);
    struct inode *dir;
    int r = tree_dir(e, dir_ino, &dir);
    if (r < 0)
        return r;
    r = tree_rmdir(e, c, dir, name, len);
    inode_put(e, dir);
    return r;
}

/* ---- unlink ---- */

struct others {
    uint64_t seq;
    bool any;  /* another version than seq */
    bool live; /* the newest of them is no delete marker */
};

static int others_row(void *arg, const struct version_row *row)
{
    struct others *o = arg;
    if (row->seq == o->seq || (row->flags & VERSION_REPLACED))
        return 0;
    o->any = true;
    o->live = !(row->flags & VERSION_MARKER);
    return 1;
}

int version_others(struct engine *e, const struct version *v, bool *ret_any, bool *ret_live)
{
    struct others o = {.seq = v->seq};
    int r = e->meta_ops->version_scan(e->m, v->bucket, span_of(v->key, v->key_len), UINT64_MAX, others_row, &o);
    *ret_any = o.any;
    *ret_live = o.live;
    return r;
}

/* A version remembers the one it was renamed from (u64 sequence, key), so that unlinking the new name is known to lose nothing. */
int version_tie(struct record *record, const struct version *from)
{
    struct bytes value = {0};
    bytes_put_u64(&value, from->seq);
    bytes_put(&value, from->key, from->key_len);
    int r = value.failed ? -ENOMEM : attrs_set(&record->attrs, ATTR_FACT, "tied", 4, value.data, value.len);
    bytes_done(&value);
    return r;
}

static bool version_tie_stands(struct engine *e, const struct version *v)
{
    const uint8_t *value;
    size_t len;
    if (attrs_get(&v->record.attrs, ATTR_FACT, "tied", 4, &value, &len) < 0 || len < 8)
        return false;
    struct reader r = reader_over(value, len);
    uint64_t seq = reader_u64(&r);
    struct version from;
    if (!seq || version_load(e, v->bucket, span_of(value + 8, len - 8), seq, &from) < 0)
        return false;
    bool same = !(from.flags & (VERSION_MARKER | VERSION_REPLACED)) && record_same_content(&v->record, &from.record);
    version_done(&from);
    return same;
}

/* S2: would anything be lost if this unsettled version, its key's only one, went without trace? */
static bool unlink_loses_nothing(struct engine *e, const struct inode *i, const struct version *v)
{
    if (!v->record.size_bytes && !v->record.written)
        return true;
    return i->nlink > 1 || version_tie_stands(e, v);
}

static int unlink_version(struct engine *e, struct caller *c, struct bucket *b, struct inode *i, struct version *v)
{
    struct span key = span_of(v->key, v->key_len);
    if (b->versioning == VERSIONING_UNVERSIONED) {
        int r = version_remove(e, c, v, REMOVE_UNLINKED);
        return r < 0 ? r : version_purge_replaced(e, c, b, key);
    }
    bool unsettled = settle_waiting(e, v->seq) && !lock_in_force(e, v);
    bool others, live;
    int r = version_others(e, v, &others, &live);
    if (r < 0)
        return r;
    if (unsettled && !others) {
        bool null = b->versioning == VERSIONING_SUSPENDED && (v->flags & VERSION_NULL);
        if (null || !bucket_orphan_keep_s(b) || unlink_loses_nothing(e, i, v)) {
            r = version_remove(e, c, v, REMOVE_UNLINKED);
            return r < 0 ? r : version_purge_replaced(e, c, b, key);
        }
    }
    return version_put_marker(e, c, b, key, i->ino);
}

static int tree_unlink(struct engine *e, struct caller *c, struct inode *dir, struct span key)
{
    struct tree_row row;
    int r = e->meta_ops->tree_get(e->m, dir->bucket->number, key, &row);
    if (r < 0)
        return r;
    if (row.kind == TREE_DIR)
        return -EISDIR;
    uint64_t ino = row.ino;
    r = engine_may(e, c, "s3:DeleteObject", dir->bucket, key);
    struct inode *i = NULL;
    if (r == 0)
        r = inode_get(e, ino, &i);
    if (r < 0)
        return r;
    r = txn_begin(e);
    if (r == 0) {
        struct version v;
        r = version_load(e, dir->bucket->number, key, 0, &v);
        if (r == 0) {
            if (!(v.flags & VERSION_MARKER))
                r = unlink_version(e, c, dir->bucket, i, &v);
            version_done(&v);
        } else if (r == -ENOENT) {
            r = 0; /* a draft that was never published */
        }
        if (r == 0)
            r = tree_drop_name(e, dir->bucket, key, ino);
        r = txn_end(e, r);
    }
    if (r == 0)
        inode_touch_dir(e, dir);
    inode_put(e, i);
    return r;
}

int engine_unlink(struct engine *e, struct caller *c, uint64_t dir_ino, const char *name, size_t len)
{
    LOCK_SCOPE(&e->meta);
    struct inode *dir;
    int r = tree_dir(e, dir_ino, &dir);
    if (r < 0)
        return r;
    uint8_t buf[TREE_KEY_MAX + 1];
    struct span key;
    if (!dir->bucket)
        r = reason_fail(&c->reason, EISDIR, "this is a bucket: rmdir removes an empty one");
    else if ((r = tree_child_key(dir, name, len, buf, &key)) == 0)
        r = tree_unlink(e, c, dir, key);
    inode_put(e, dir);
    return r;
}
