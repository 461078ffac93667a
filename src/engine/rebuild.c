/* SPDX-License-Identifier: GPL-3.0-or-later
 * A store whose metadata is damaged, opened again from the newest sound checkpoint of it (checkpoint.c).
 *
 * First, with the store closed: a copy of the checkpoint is made, and what can still be read of the damaged metadata and is newer goes into
 * it: keys, buckets, versions, locks, accounts, the trail. The damaged files are kept in STORE/damaged-TIME, the copy takes their
 * place. Then, with the store open: frames that compaction moved since are found again by their headers (rebuild_hunt.c), and the
 * tree is brought in step (fsck).
 *
 * No version goes: one whose frames are not there (removed since and collected, or lost) stays and is named. The segments that
 * the checkpoint cannot know are kept for good (anchor.c): what they hold may be wanted. */
#include "engine/rebuild.h"
#include "engine/trail.h"
#include "engine/upkeep.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct rebuild {
    const struct engine_config *config;
    struct engine_progress progress;
    struct reason *reason;
    const struct meta_ops *ops;
    struct store_conf conf;
    struct store_keys *keys;
    int lock_fd;
    char folder[4300], damaged[4300];
    struct meta *from; /* the damaged metadata, where it opens; NULL */
    struct meta *to;   /* the copy of the checkpoint */
    uint64_t checkpoint_seq;
    int64_t checkpoint_s;
    uint32_t last_segment; /* the checkpoint knows of none above */
    uint64_t newest_seq, newest_ino, versions, locks, buckets;
    bool cut; /* not all of the damaged metadata could be read */
};

static void rebuild_done(struct rebuild *b)
{
    b->ops->close(b->from);
    b->ops->close(b->to);
    store_keys_free(b->keys);
    if (b->lock_fd >= 0)
        close(b->lock_fd);
}

static void meta_open_config(struct rebuild *b, const char *dir, bool read_only, const uint8_t *key, struct meta_config *ret)
{
    *ret = (struct meta_config){.dir = dir,
                                .store_id = b->conf.store_id,
                                .page_key = key,
                                .page_size_bytes = store_keys_page_size(b->keys),
                                .cache_bytes = 4 << 20,
                                .read_only = read_only};
}

static void no_line(void *arg, const char *text)
{
    (void)arg;
    (void)text;
}

/* Opens a database and has SQLite check it: 0 sound, -EIO not (then *ret may be open all the same). */
static int open_checked(struct rebuild *b, const char *dir, bool read_only, struct meta **ret)
{
    uint8_t key[32];
    struct meta_config config;
    struct reason ignored = {0};
    rotate_page_key(b->keys, store_keys_page_generation(b->keys), key);
    meta_open_config(b, dir, read_only, key, &config);
    int r = b->ops->open(&config, ret, &ignored);
    secret_wipe(key, sizeof key);
    if (r < 0)
        *ret = NULL;
    return r < 0 ? r : b->ops->check(*ret, no_line, NULL);
}

/* ---- the checkpoint ---- */

static int file_copy(const char *from_dir, const char *to_dir, const char *name)
{
    char from[4400], to[4400];
    snprintf(from, sizeof from, "%s/%s", from_dir, name);
    snprintf(to, sizeof to, "%s/%s", to_dir, name);
    CLEANUP_FD int in = open(from, O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        return -errno;
    ssize_t n;
    while ((n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0)) > 0)
        continue;
    return n < 0 || fsync(out) < 0 ? -errno : 0;
}

static int checkpoint_try(struct rebuild *b, uint64_t seq)
{
    char path[4300];
    struct stat st;
    checkpoint_path(b->config->dir, seq, path);
    int r = rotate_folder_make(b->ops, b->folder, b->reason);
    static const char *const names[] = {"meta.db", "meta.ledger", "meta.root"};
    for (size_t i = 0; r == 0 && i < 3; i++)
        r = file_copy(path, b->folder, names[i]);
    if (r == 0)
        r = open_checked(b, b->folder, false, &b->to);
    if (r < 0) {
        b->ops->close(b->to);
        b->to = NULL;
        return r;
    }
    b->checkpoint_seq = seq;
    b->checkpoint_s = stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec : 0;
    return 0;
}

static int checkpoint_take(struct rebuild *b)
{
    uint64_t list[CHECKPOINTS_MAX];
    size_t count = 0;
    int r = checkpoint_list(b->config->dir, list, &count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = checkpoint_try(b, list[i]);
        if (r == 0)
            return 0;
        log_warning("checkpoint %llu is not sound: %s", (unsigned long long)list[i], strerror(-r));
        r = 0;
    }
    b->ops->rekey_drop(b->folder);
    return reason_fail(b->reason, ENOENT,
                       "'%s' has no sound checkpoint of its metadata to rebuild from; bring the store back from its backup: "
                       "doc/operations.md",
                       b->config->dir);
}

/* ---- what the damaged metadata still says ---- */

/* One kind of rows; damage in it ends it there, an error of our own ends all. In a transaction of the copy. */
static int part(struct rebuild *b, int r)
{
    if (r == -EIO || r == -EBADMSG) {
        b->cut = true;
        return 0;
    }
    return r;
}

static int salvage_kek(void *arg, const struct kek_row *row)
{
    struct rebuild *b = arg;
    return b->ops->kek_put(b->to, row);
}

static int salvage_bucket(void *arg, const struct bucket_row *row)
{
    struct rebuild *b = arg;
    b->buckets++;
    return b->ops->bucket_put(b->to, row);
}

static int salvage_unsettled(void *arg, const struct unsettled_row *row)
{
    struct rebuild *b = arg;
    return b->ops->unsettled_put(b->to, row);
}

static int salvage_draft(void *arg, const struct draft_row *row)
{
    struct rebuild *b = arg;
    return b->ops->draft_put(b->to, row);
}

static int salvage_value(void *arg, const char *name, struct span value)
{
    static const char *const own[] = {"commit_seq", "durable", "clean", "segment-last", "epoch-due", "next-seq", "next-ino"};
    struct rebuild *b = arg;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (!strcmp(name, own[i]))
            return 0;
    return b->ops->value_put(b->to, name, value);
}

static bool lock_stronger(const struct version_row *a, const struct version_row *b)
{
    return a->lock_mode > b->lock_mode || (a->lock_mode == b->lock_mode && a->lock_hold_s > b->lock_hold_s) ||
           (a->legal_hold == HOLD_ON && b->legal_hold != HOLD_ON);
}

/* New versions, and locks that became stronger. */
static int salvage_version(void *arg, const struct version_row *row)
{
    struct rebuild *b = arg;
    struct version_row there;
    int r = b->ops->version_get(b->to, row->bucket, row->key, row->seq, &there);
    if (r < 0 && r != -ENOENT)
        return r;
    b->newest_seq = row->seq > b->newest_seq ? row->seq : b->newest_seq;
    b->newest_ino = row->ino > b->newest_ino ? row->ino : b->newest_ino;
    if (r == 0 && !lock_stronger(row, &there))
        return 0;
    b->versions += r == -ENOENT;
    b->locks += r == 0;
    return b->ops->version_put(b->to, row);
}

struct key_list {
    struct span *v; /* owned */
    size_t count;
};

static void key_list_done(struct key_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free((void *)l->v[i].p);
    free(l->v);
}

static int key_add(void *arg, const struct tree_row *row)
{
    struct key_list *l = arg;
    struct span *grown = realloc(l->v, (l->count + 1) * sizeof *grown);
    uint8_t *key = key_copy(row->key);
    if (grown)
        l->v = grown;
    if (!grown || !key) {
        free(key);
        return -ENOMEM;
    }
    l->v[l->count++] = span_of(key, row->key.len);
    return 0;
}

/* The versions of one bucket. A scan ends at the first page that does not open; then the names, which stand elsewhere, lead to those
 * behind it, one by one. */
static int salvage_versions(struct rebuild *b, uint32_t bucket)
{
    int r = b->ops->version_scan_keys(b->from, bucket, span_of("", 0), true, salvage_version, b);
    if (r != -EIO && r != -EBADMSG)
        return r;
    b->cut = true;
    CLEANUP(key_list_done) struct key_list names = {0};
    r = part(b, b->ops->tree_scan(b->from, bucket, span_of("", 0), true, key_add, &names));
    for (size_t i = 0; r == 0 && i < names.count; i++)
        r = part(b, b->ops->version_scan(b->from, bucket, names.v[i], UINT64_MAX, salvage_version, b));
    return r;
}

/* Directories that were made since, the roots of buckets among them: names of objects follow from versions, these do not. */
static int salvage_directory(void *arg, const struct tree_row *row)
{
    struct rebuild *b = arg;
    struct tree_row there;
    if (row->kind != TREE_DIR || b->ops->tree_get(b->to, row->bucket, row->key, &there) == 0)
        return 0;
    b->newest_ino = row->ino > b->newest_ino ? row->ino : b->newest_ino;
    return b->ops->tree_put(b->to, row);
}

static int key_add_directory(void *arg, const struct tree_row *row)
{
    return row->kind == TREE_DIR ? key_add(arg, row) : 0;
}

/* M of neither: both are ours alone. */
static int salvage_directories(struct rebuild *b, uint32_t bucket)
{
    CLEANUP(key_list_done) struct key_list names = {0};
    int r = part(b, b->ops->tree_scan(b->from, bucket, span_of("", 0), true, salvage_directory, b));
    if (r == 0)
        r = b->ops->tree_scan(b->to, bucket, span_of("", 0), true, key_add_directory, &names);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        struct tree_row name;
        struct inode_row inode;
        r = b->ops->tree_get(b->to, bucket, names.v[i], &name);
        uint64_t ino = name.ino;
        if (r < 0 || b->ops->inode_get(b->to, ino, &inode) == 0)
            continue;
        int got = b->ops->inode_get(b->from, ino, &inode);
        r = got == 0 ? b->ops->inode_put(b->to, &inode) : part(b, got == -ENOENT ? -EIO : got);
    }
    return r;
}

struct trail_salvage {
    struct rebuild *b;
    enum meta_trail which;
};

static int salvage_trail(void *arg, const struct trail_row *row)
{
    struct trail_salvage *s = arg;
    return s->b->ops->trail_put(s->b->to, s->which, row);
}

struct numbers {
    uint32_t *v;
    size_t count;
};

static int number_add(void *arg, const struct bucket_row *row)
{
    struct numbers *n = arg;
    uint32_t *grown = realloc(n->v, (n->count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    n->v = grown;
    n->v[n->count++] = row->bucket;
    return 0;
}

static int last_trail(void *arg, const struct trail_row *row)
{
    *(uint64_t *)arg = row->last;
    return 1;
}

static int salvage_trails(struct rebuild *b)
{
    int r = 0;
    for (enum meta_trail which = TRAIL_RECORDS; r == 0 && which <= TRAIL_HEADS; which++) {
        struct trail_salvage s = {b, which};
        uint64_t last = 0;
        r = b->ops->trail_scan(b->to, which, UINT64_MAX, true, last_trail, &last);
        if (r == 0)
            r = part(b, b->ops->trail_scan(b->from, which, last + 1, false, salvage_trail, &s));
    }
    return r;
}

static int salvage_rows(struct rebuild *b)
{
    const struct meta_ops *ops = b->ops;
    struct numbers n = {0};
    int r = part(b, ops->kek_scan(b->from, salvage_kek, b));
    if (r == 0)
        r = part(b, ops->bucket_scan(b->from, salvage_bucket, b));
    if (r == 0)
        r = part(b, ops->value_scan(b->from, "", salvage_value, b));
    if (r == 0)
        r = ops->bucket_scan(b->to, number_add, &n);
    for (size_t i = 0; r == 0 && i < n.count; i++)
        if ((r = salvage_versions(b, n.v[i])) == 0)
            r = salvage_directories(b, n.v[i]);
    free(n.v);
    if (r == 0) /* by another index: what the walk by key did not come to */
        r = part(b, ops->version_scan_since(b->from, 0, salvage_version, b));
    if (r == 0)
        r = part(b, ops->unsettled_scan(b->from, salvage_unsettled, b));
    if (r == 0)
        r = part(b, ops->draft_scan(b->from, salvage_draft, b));
    return r == 0 ? salvage_trails(b) : r;
}

/* Numbers given since must not be given again. */
static int counter_raise(struct rebuild *b, const char *name, uint64_t least)
{
    struct span v;
    uint64_t now = 0;
    if (b->ops->value_get(b->to, name, &v) == 0 && v.len == 8)
        memcpy(&now, v.p, 8);
    if (__builtin_bswap64(now) > least)
        return 0;
    now = __builtin_bswap64(least + 1);
    return b->ops->value_put(b->to, name, span_of(&now, 8));
}

static int salvage(struct rebuild *b)
{
    struct span v;
    if (b->ops->value_get(b->to, "segment-last", &v) == 0 && v.len == 4) {
        memcpy(&b->last_segment, v.p, 4);
        b->last_segment = __builtin_bswap32(b->last_segment);
    }
    if (!b->from) {
        b->cut = true;
        return 0;
    }
    int r = b->ops->begin(b->to);
    if (r < 0)
        return r;
    r = salvage_rows(b);
    if (r == 0)
        r = counter_raise(b, "next-seq", b->newest_seq);
    if (r == 0)
        r = counter_raise(b, "next-ino", b->newest_ino);
    if (r == 0)
        return b->ops->commit(b->to);
    b->ops->rollback(b->to);
    return r;
}

/* ---- the copy in place ---- */

static int damaged_aside(struct rebuild *b)
{
    static const char *const names[] = {"meta.db", "meta.db-wal", "meta.redo", "meta.ledger", "meta.root"};
    char when[48], from[4400], to[4400];
    timeform_format_ns(clock_wall_ns() / 1000000000, 0, when);
    snprintf(b->damaged, sizeof b->damaged, "%s/damaged-%.19s", b->config->dir, when);
    if (mkdir(b->damaged, 0700) < 0 && errno != EEXIST)
        return -errno;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(from, sizeof from, "%s/%s", b->config->dir, names[i]);
        snprintf(to, sizeof to, "%s/%s", b->damaged, names[i]);
        if (rename(from, to) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

/* An anchor beyond the copy makes the next open take it for what it is: an earlier state. */
static int anchor_raise(struct rebuild *b)
{
    struct anchor a = {0};
    anchor_read(b->config->dir, b->keys, b->conf.store_id, &a);
    uint64_t at = b->ops->commit_seq(b->to);
    if (a.seq > at)
        return 0;
    a.seq = at + 1;
    return anchor_write(b->config->dir, b->keys, b->conf.store_id, &a);
}

static int put_in_place(struct rebuild *b)
{
    int r = anchor_raise(b);
    if (r == 0)
        r = b->ops->checkpoint(b->to, true, NULL);
    b->ops->close(b->to);
    b->ops->close(b->from);
    b->to = b->from = NULL;
    if (r == 0)
        r = damaged_aside(b);
    if (r == 0)
        r = b->ops->rekey_move(b->folder, b->config->dir);
    if (r == 0)
        r = b->ops->rekey_drop(b->folder);
    return r < 0 ? reason_fail(b->reason, -r, "the rebuilt metadata cannot be put in place: %s", strerror(-r)) : 0;
}

static int closed_part(struct rebuild *b)
{
    bool repaired;
    int r = store_conf_read(b->config->dir, &b->conf, b->reason);
    if (r == 0)
        r = store_lock(b->config->dir, false, "holdfs fsck --rebuild", &b->lock_fd, b->reason);
    if (r == 0)
        r = store_header_open(b->config->dir, b->conf.store_id, b->config->unlock, false, &b->keys, &repaired, b->reason);
    if (r == 0)
        r = rotate_pending(b->ops, b->config->dir, store_keys_page_generation(b->keys), false, b->reason);
    if (r < 0)
        return r;
    if (open_checked(b, b->config->dir, true, &b->from) == 0)
        return reason_fail(b->reason, EALREADY, "the metadata of '%s' is sound: there is nothing to rebuild", b->config->dir);
    r = checkpoint_take(b);
    if (r < 0)
        return r;
    r = salvage(b);
    return r < 0 ? reason_fail(b->reason, -r, "the metadata cannot be rebuilt: %s", strerror(-r)) : put_in_place(b);
}

/* ---- the whole ---- */

static int report(const struct rebuild *b, const struct rebuild_hunt *h, json_t *checked, json_t **ret)
{
    char when[48];
    timeform_format_ns(b->checkpoint_s, 0, when);
    *ret = json_pack("{s:{s:I, s:s}, s:s, s:{s:I, s:I, s:I, s:b}, s:I, s:I, s:I, s:{s:I, s:I}}", "checkpoint", "commit_seq",
                     (json_int_t)b->checkpoint_seq, "time", when, "damaged", b->damaged, "salvaged", "versions", (json_int_t)b->versions,
                     "buckets", (json_int_t)b->buckets, "locks", (json_int_t)b->locks, "complete", !b->cut, "relocated_versions",
                     (json_int_t)h->relocated, "missing_versions", (json_int_t)h->missing, "missing_locked", (json_int_t)h->locked, "beyond",
                     "data_keys", (json_int_t)h->beyond_keys, "bytes", (json_int_t)h->beyond_bytes);
    if (*ret)
        json_object_update_missing(*ret, checked);
    json_decref(checked);
    return *ret ? 0 : -ENOMEM;
}

static int tell(struct engine *e, const struct rebuild *b, const struct rebuild_hunt *h)
{
    LOCK_SCOPE(&e->meta);
    return trail_note_alone(e, NULL,
                            &(struct trail_event){.name = "RebuildMetadata",
                                                  .source = TRAIL_HOLDFS,
                                                  .params = json_pack("{s:I, s:I, s:b, s:I, s:I}", "checkpointSeq",
                                                                      (json_int_t)b->checkpoint_seq, "salvagedVersions",
                                                                      (json_int_t)b->versions, "complete", !b->cut, "missingVersions",
                                                                      (json_int_t)h->missing, "beyondDataKeys", (json_int_t)h->beyond_keys),
                                                  .flags = TRAIL_SERVICE});
}

static int open_part(struct rebuild *b, json_t **ret)
{
    struct engine_config config = *b->config;
    struct engine *e;
    json_t *checked = NULL;
    config.accept_rollback = true;
    close(b->lock_fd);
    b->lock_fd = -1;
    int r = engine_open(&config, &e, b->reason);
    if (r < 0)
        return r;
    struct caller c;
    engine_caller_init(e, &c, 0, 0, 0, "internal");
    struct rebuild_hunt h;
    {
        LOCK_SCOPE(&e->upkeep->lock);
        r = rebuild_hunt(e, b->last_segment, &h);
    }
    if (r == 0)
        r = engine_fsck(e, &c, true, b->progress, &checked);
    if (r == 0)
        r = tell(e, b, &h);
    engine_close(e);
    if (r < 0) {
        json_decref(checked);
        return reason_fail(b->reason, -r, "the rebuilt store could not be put in order: %s", *c.reason.text ? c.reason.text : strerror(-r));
    }
    return report(b, &h, checked, ret);
}

int engine_rebuild(const struct engine_config *config, struct engine_progress progress, json_t **ret, struct reason *reason)
{
    CLEANUP(rebuild_done) struct rebuild b = {
        .config = config, .progress = progress, .reason = reason, .ops = meta_find("sqlite"), .lock_fd = -1};
    snprintf(b.folder, sizeof b.folder, "%s/rebuild", config->dir);
    int r = closed_part(&b);
    return r < 0 ? r : open_part(&b, ret);
}
