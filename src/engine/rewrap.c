/* SPDX-License-Identifier: GPL-3.0-or-later
 * A new version of a bucket's key, and every data key of the bucket wrapped under it (encryption.md §1.4).
 *
 * Once the new version is in use, every row that is written carries its wraps (keyring_record_renew, E11). What is left are the
 * rows nobody writes: they are walked in batches. Behind the walk no row needs an earlier version, and those are destroyed.
 * Whatever in memory still has their wraps opens with the earlier keys, which are kept in locked memory until the store is
 * closed. The value "rewrap.BUCKET" says that a walk was begun: stopped or killed, the next call takes it up. */
#include "engine/draft.h"
#include "engine/trail.h"
#include "engine/upkeep.h"

#include <stdio.h>

enum { REWRAP_BATCH = 128, REWRAP_SCAN = 4096 };

struct rewrap {
    struct engine *e;
    uint32_t bucket;
    struct walk_rows walk;
    struct version items[REWRAP_BATCH];
    size_t count;
    uint64_t looked_at, renewed, kept, total;
    unsigned destroyed;
};

static void pending_name(const struct bucket *b, char out[64])
{
    char id[37];
    uuid_format(b->uuid, id);
    snprintf(out, 64, "rewrap.%s", id);
}

static bool pending(struct engine *e, const struct bucket *b)
{
    char name[64];
    struct span v;
    pending_name(b, name);
    return e->meta_ops->value_get(e->m, name, &v) == 0 && v.len && v.p[0];
}

static int pending_set(struct engine *e, const struct bucket *b, bool on)
{
    char name[64];
    pending_name(b, name);
    return e->meta_ops->value_put(e->m, name, span_of(on ? "\1" : "\0", 1));
}

/* M */
static int rotate(struct engine *e, struct caller *c, struct bucket *b, bool rewrap)
{
    struct kek_row row;
    int r = keyring_bucket_next(e, b, &row);
    if (r < 0)
        return r;
    struct bucket next = *b;
    next.kek_version = row.version;
    r = txn_begin(e);
    if (r == 0) {
        r = e->meta_ops->kek_put(e->m, &row);
        if (r == 0)
            r = bucket_save(e, &next);
        if (r == 0 && rewrap)
            r = pending_set(e, b, true);
        r = txn_end(e, trail_also(e, c, r, &(struct trail_event){.name = "RotateBucketKey",
                                                                 .source = TRAIL_HOLDFS,
                                                                 .bucket = b,
                                                                 .params = json_pack("{s:i, s:b}", "keyVersion", (int)row.version, "rewrap", rewrap)}));
    }
    if (r < 0)
        keyring_bucket_forgo(e, b, &row);
    else
        keyring_bucket_use(b, &row);
    return r;
}

/* ---- rows ---- */

static int rewrap_row(void *arg, const struct version_row *row)
{
    struct rewrap *w = arg;
    struct version *v = &w->items[w->count];
    const struct bucket *b = bucket_by_number(w->e, w->bucket);
    w->looked_at++;
    if (row->flags & VERSION_MARKER)
        return 0;
    int r = version_decode(row, v);
    if (r == -EIO) {
        w->kept++; /* cannot be read: for its sake the earlier key stays */
        return 0;
    }
    if (r < 0)
        return r;
    if (!keyring_map_old(b, v->record.map)) {
        version_done(v);
        return 0;
    }
    return ++w->count == REWRAP_BATCH;
}

static int rewrap_store(struct rewrap *w, struct version *v)
{
    const struct bucket *b = bucket_by_number(w->e, w->bucket);
    unsigned kept;
    int r = keyring_record_renew(w->e, b, &v->record, &kept);
    if (r == 0)
        r = version_store(w->e, v);
    if (r < 0)
        return r;
    inode_map_changed(w->e, v);
    w->kept += kept != 0;
    w->renewed += kept == 0;
    return 0;
}

/* 1 more, 0 the end. M is taken here. */
static int rewrap_batch(struct rewrap *w)
{
    LOCK_SCOPE(&w->e->meta);
    if (!bucket_by_number(w->e, w->bucket))
        return -ENOENT;
    w->count = 0;
    int more = walk_rows_next(w->e, &w->walk, REWRAP_SCAN, rewrap_row, w);
    int r = more < 0 || !w->count ? more : txn_begin(w->e);
    if (r >= 0 && w->count) {
        r = 0;
        for (size_t i = 0; r == 0 && i < w->count; i++)
            r = rewrap_store(w, &w->items[i]);
        r = txn_end(w->e, r);
    }
    for (size_t i = 0; i < w->count; i++)
        version_done(&w->items[i]);
    return r < 0 ? r : more;
}

static bool draft_of_bucket(void *arg, const struct inode *i)
{
    const struct rewrap *w = arg;
    return i->bucket && i->bucket->number == w->bucket;
}

/* ---- the whole ---- */

/* The earlier versions go, and with the next epoch all that could open their rows. M is taken here. */
static int destroy_earlier(struct rewrap *w)
{
    LOCK_SCOPE(&w->e->meta);
    struct bucket *b = bucket_by_number(w->e, w->bucket);
    int r = b ? txn_begin(w->e) : -ENOENT;
    if (r < 0)
        return r;
    r = keyring_bucket_destroy(w->e, b, b->kek_version, &w->destroyed);
    if (r == 0 && w->destroyed)
        r = epoch_note_destroyed(w->e);
    if (r == 0)
        r = pending_set(w->e, b, false);
    return txn_end(w->e, trail_also(w->e, NULL, r, &(struct trail_event){.name = "BucketKeyDestroyed",
                                                                         .source = TRAIL_HOLDFS,
                                                                         .bucket = b,
                                                                         .params = json_pack("{s:i}", "versions", (int)w->destroyed),
                                                                         .flags = TRAIL_SERVICE}));
}

static int rewrap_all(struct rewrap *w, struct engine_progress progress, struct reason *reason)
{
    int r;
    walk_rows_start(&w->walk, w->bucket, span_of("", 0));
    do {
        r = rewrap_batch(w);
        if (r >= 0 && upkeep_tell(progress, "rewrapping", w->looked_at, w->total) < 0)
            r = -ECANCELED;
    } while (r > 0);
    if (r == 0)
        r = drafts_rewrap(w->e, draft_of_bucket, w);
    if (r == 0 && !w->kept)
        r = destroy_earlier(w);
    if (r == 0 && w->destroyed)
        r = epoch_renew(w->e, reason);
    return r;
}

static int report(struct engine *e, const struct rewrap *w, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    const struct bucket *b = bucket_by_number(e, w->bucket);
    if (!b)
        return -ENOENT;
    char key[37];
    uuid_format(b->kek_id, key);
    *ret = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "bucket", b->name, "key", key, "key_version",
                     (json_int_t)b->kek_version, "versions", (json_int_t)w->looked_at, "rewrapped", (json_int_t)w->renewed, "kept",
                     (json_int_t)w->kept, "destroyed", (json_int_t)w->destroyed, "epoch", (json_int_t)store_keys_epoch(e->keys));
    return *ret ? 0 : -ENOMEM;
}

static int rotate_named(struct engine *e, struct caller *c, const char *name, bool rewrap, struct rewrap *w)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b = bucket_by_name(e, name, strlen(name));
    if (!b)
        return reason_fail_s3(&c->reason, ENOENT, "NoSuchBucket", "there is no bucket '%s'", name);
    uint64_t objects = 0, markers = 0;
    int r = rewrap && pending(e, b) ? 0 : rotate(e, c, b, rewrap); /* one that was stopped is taken up */
    if (r == 0)
        r = e->meta_ops->version_count(e->m, b->number, &objects, &markers);
    w->bucket = b->number;
    w->total = objects + markers;
    return r;
}

int engine_bucket_rotate_key(struct engine *e, struct caller *c, const char *bucket, bool rewrap, struct engine_progress progress,
                             json_t **ret)
{
    int r = upkeep_may(e, c, "holdfs:RotateBucketKey");
    if (r < 0)
        return r;
    CLEANUP_FREE struct rewrap *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->e = e;
    LOCK_SCOPE(&e->upkeep->lock);
    r = rotate_named(e, c, bucket, rewrap, w);
    if (r == 0 && rewrap)
        r = rewrap_all(w, progress, &c->reason);
    if (r == -ECANCELED)
        return reason_fail(&c->reason, ECANCELED, "stopped: new data keys are under the new key; call it again to go on with the rest");
    return r < 0 ? r : report(e, w, ret);
}
