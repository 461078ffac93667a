/* SPDX-License-Identifier: GPL-3.0-or-later
 * New data keys for a bucket (encryption.md §1.4): every frame opened and sealed again, with the same number under a new key, into
 * new segments, and the version rows pointed there. What a version is stays: content, ETag, id, times, locks; so locked ones too.
 *
 * Versions that share frames go on sharing them: what was sealed anew is remembered by the place it had, up to a bound, beyond
 * which sharing is forgotten and costs space. The walk goes by key, one version a time, its place is kept in the value
 * "rekey.BUCKET" with each row that is written: stopped or killed, the next call takes it up. Versions that come meanwhile and share
 * frames with earlier ones are walked after, until there are none.
 *
 * Collection waits (upkeep.lock), but for rounds of its own between, so that not all of the bucket is there twice. */
#include "engine/rekey.h"
#include "engine/draft.h"
#include "engine/trail.h"

#include <linux/ioprio.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void rekey_done(struct rekey *k)
{
    for (size_t i = 0; i < k->batch_count; i++) {
        version_done(&k->batch[i].was);
        extmap_unref(k->batch[i].map);
    }
    free(k->frames.v);
    free(k->keys.v);
    free(k->deks);
    free(k->sealed);
    if (k->plain)
        secret_wipe(k->plain, FRAME_PLAIN_MAX_BYTES);
    free(k->plain);
}

/* ---- one version ---- */

static bool maps_equal(const struct extmap *a, const struct extmap *b)
{
    CLEANUP(bytes_done) struct bytes x = {0}, y = {0};
    if (!a || !b)
        return a == b;
    extmap_encode(a, &x);
    extmap_encode(b, &y);
    return !x.failed && !y.failed && x.len == y.len && !memcmp(x.data, y.data, x.len);
}

static void place_name(const struct bucket *b, char out[64])
{
    char id[37];
    uuid_format(b->uuid, id);
    snprintf(out, 64, "rekey.%s", id);
}

/* Where the walk stands: u64 since || u64 seq || key. M, txn */
static int place_save(struct rekey *k, const struct bucket *b, const struct version *v)
{
    char name[64];
    CLEANUP(bytes_done) struct bytes out = {0};
    place_name(b, name);
    bytes_put_u64(&out, k->since);
    bytes_put_u64(&out, v->seq);
    bytes_put(&out, v->key, v->key_len);
    return out.failed ? -ENOMEM : k->e->meta_ops->value_put(k->e->m, name, span_of(out.data, out.len));
}

/* Points the row to the new map, unless it changed meanwhile: what is being written is met again in a later pass. */
static int version_switch(struct rekey *k, const struct renewed *n, bool walking)
{
    struct engine *e = k->e;
    const struct version *was = &n->was;
    LOCK_SCOPE(&e->meta);
    const struct bucket *b = bucket_by_number(e, k->bucket);
    struct version v;
    int r = b ? version_load(e, was->bucket, span_of(was->key, was->key_len), was->seq, &v) : -ENOENT;
    if (r < 0)
        return r == -ENOENT ? 0 : r; /* removed */
    bool same = maps_equal(v.record.map, was->record.map);
    r = txn_begin(e);
    if (r == 0 && same) {
        extmap_unref(v.record.map);
        v.record.map = extmap_ref(n->map);
        r = version_store(e, &v);
    }
    if (r == 0 && walking)
        r = place_save(k, b, &v);
    r = txn_end(e, r);
    if (r == 0 && same)
        inode_map_changed(e, &v);
    k->rekeyed += r == 0 && same;
    k->since = !same && v.seq < k->since ? v.seq : k->since;
    k->again |= !same;
    version_done(&v);
    return r;
}

/* E2: the frames are where a power cut leaves them, then the rows refer to them. */
static int batch_flush(struct rekey *k, bool walking)
{
    int r = k->batch_count ? k->e->block_ops->sync(k->e->b) : 0;
    for (size_t i = 0; i < k->batch_count; i++) {
        struct renewed *n = &k->batch[i];
        if (r == 0)
            r = version_switch(k, n, walking);
        version_done(&n->was);
        extmap_unref(n->map);
    }
    k->batch_count = 0;
    k->batch_bytes = k->bytes;
    return r;
}

/* Damaged frames: the version keeps what it has, and its segments. */
static int version_keep(struct rekey *k, const struct version *v)
{
    char id[33];
    version_id_text(v, id);
    k->kept++;
    LOCK_SCOPE(&k->e->meta);
    const struct bucket *b = bucket_by_number(k->e, k->bucket);
    integrity_event(k->e, "a frame does not open (met by scrub --rekey; the version keeps its data keys)", b ? b->name : "",
                    span_of(v->key, v->key_len), id);
    return 0;
}

/* What is under a customer's key, or a KMS key that cannot be used now, keeps its data keys. */
static bool rekey_opens(struct rekey *k, const struct version *v, struct data_key **ret)
{
    LOCK_SCOPE(&k->e->meta);
    return sse_open_internal(k->e, v->record.env, NULL, ret) == 0;
}

/* Takes over the version, whatever is returned. */
static int version_renew(struct rekey *k, struct version *v, bool walking)
{
    struct bucket *b;
    {
        LOCK_SCOPE(&k->e->meta);
        b = bucket_by_number(k->e, k->bucket);
    }
    struct content *from = NULL;
    CLEANUP(data_key_cleanup) struct data_key *kek = NULL;
    if (!rekey_opens(k, v, &kek)) {
        k->kept++;
        version_done(v);
        return 0;
    }
    int r = b ? content_new(k->e, b, v->record.map, &from) : -ENOENT;
    if (r == 0)
        from->env = envelope_ref(v->record.env);
    struct extmap *map = NULL;
    if (r == 0) {
        rekey_forget_when_full(k);
        r = rekey_content(k, b, from, &map);
    }
    content_unref(from);
    if (r == 0) {
        k->batch[k->batch_count++] = (struct renewed){*v, map};
    } else {
        if (r == -EIO || r == -ENOKEY)
            r = version_keep(k, v);
        version_done(v);
    }
    bool full = k->batch_count == REKEY_BATCH || k->bytes - k->batch_bytes >= REKEY_BATCH_BYTES;
    return r == 0 && full ? batch_flush(k, walking) : r;
}

static int version_look(struct rekey *k, uint64_t seq, struct span key, bool walking)
{
    struct version v;
    k->versions += walking;
    int r;
    {
        LOCK_SCOPE(&k->e->meta);
        r = version_load(k->e, k->bucket, key, seq, &v);
    }
    if (r == -EIO)
        k->kept++;
    if (r < 0)
        return r == -ENOENT || r == -EIO ? 0 : r;
    if (rekey_map_old(k, v.record.map, walking))
        return version_renew(k, &v, walking);
    version_done(&v);
    return 0;
}

/* ---- the walk ---- */

struct one {
    uint64_t seq;
    bool any;
};

static int row_take(void *arg, const struct version_row *row)
{
    struct one *one = arg;
    one->seq = row->seq;
    one->any = true;
    return 1;
}

static int collect_between(struct rekey *k)
{
    if (k->bytes < k->collect_at)
        return 0;
    k->collect_at = k->bytes + REKEY_COLLECT_BYTES;
    int r = batch_flush(k, true); /* its frames are nobody's yet */
    if (r < 0)
        return r;
    k->collected = true;
    return upkeep_collect(k->e, k->progress);
}

static int walk_bucket_keys(struct rekey *k)
{
    for (;;) {
        struct one one = {.any = false};
        int more;
        {
            LOCK_SCOPE(&k->e->meta);
            more = walk_rows_next(k->e, &k->walk, 1, row_take, &one);
        }
        int r = more < 0 ? more : one.any ? version_look(k, one.seq, walk_span(&k->walk.key), true) : 0;
        if (r == 0)
            r = upkeep_tell(k->progress, "rekeying", k->versions, k->total);
        if (r == 0)
            r = collect_between(k);
        if (r < 0 || more == 0)
            return r < 0 ? r : batch_flush(k, true);
    }
}

struct late {
    struct rekey *k;
    struct late_row {
        uint64_t seq;
        struct span key; /* owned */
    } * v;
    size_t count;
};

static void late_done(struct late *l)
{
    for (size_t i = 0; i < l->count; i++)
        free((void *)l->v[i].key.p);
    free(l->v);
}

static int late_add(void *arg, const struct version_row *row)
{
    struct late *l = arg;
    if (row->bucket != l->k->bucket || row->flags & VERSION_MARKER)
        return 0;
    struct late_row *grown = realloc(l->v, (l->count + 1) * sizeof *grown);
    uint8_t *key = key_copy(row->key);
    if (grown)
        l->v = grown;
    if (!grown || !key) {
        free(key);
        return -ENOMEM;
    }
    l->v[l->count++] = (struct late_row){row->seq, span_of(key, row->key.len)};
    return 0;
}

/* What came since: 1 when there was any that had to be written. */
static int pass_late(struct rekey *k)
{
    CLEANUP(late_done) struct late l = {.k = k};
    uint64_t before = k->rekeyed;
    k->again = false;
    int r;
    {
        LOCK_SCOPE(&k->e->meta);
        r = k->e->meta_ops->version_scan_since(k->e->m, k->since - 1, late_add, &l);
        k->since = k->e->next_seq;
    }
    for (size_t i = 0; r == 0 && i < l.count; i++) {
        r = version_look(k, l.v[i].seq, l.v[i].key, false);
        if (r == 0)
            r = upkeep_tell(k->progress, "rekeying what came meanwhile", i, l.count);
    }
    if (r == 0)
        r = batch_flush(k, false);
    return r < 0 ? r : k->again || k->rekeyed > before;
}

/* ---- the whole ---- */

static int seal_all(struct rekey *k)
{
    const struct engine_place place = {.bucket = k->bucket};
    return seal_below(k->e, k->c, &place);
}

/* Takes up a walk that was stopped, or begins one. M */
static int begin(struct rekey *k, const struct bucket *b)
{
    char name[64];
    struct span v;
    uint64_t objects = 0, markers = 0;
    place_name(b, name);
    k->bucket = b->number;
    k->since = k->e->next_seq;
    walk_rows_start(&k->walk, b->number, span_of(NULL, 0));
    int r = k->e->meta_ops->value_get(k->e->m, name, &v);
    if (r == 0 && v.len >= 16) {
        struct reader reader = reader_over(v.p, v.len);
        k->since = reader_u64(&reader);
        k->walk.seq = reader_u64(&reader);
        walk_key_set(&k->walk.key, span_of(v.p + 16, v.len - 16));
        k->walk.started = true;
        k->forgot = true;
    } else if (r < 0 && r != -ENOENT) {
        return r;
    }
    r = k->e->meta_ops->version_count(k->e->m, b->number, &objects, &markers);
    k->total = objects + markers;
    return r;
}

/* M is taken here. */
static int end(struct rekey *k)
{
    LOCK_SCOPE(&k->e->meta);
    const struct bucket *b = bucket_by_number(k->e, k->bucket);
    if (!b)
        return -ENOENT;
    char name[64];
    place_name(b, name);
    int r = txn_begin(k->e);
    if (r < 0)
        return r;
    r = k->e->meta_ops->value_del(k->e->m, name);
    if (r == 0)
        r = trail_note(k->e, k->c,
                       &(struct trail_event){.name = "RekeyBucket",
                                             .source = TRAIL_HOLDFS,
                                             .bucket = b,
                                             .params = json_pack("{s:I, s:I}", "versions", (json_int_t)k->rekeyed, "kept", (json_int_t)k->kept)});
    return txn_end(k->e, r);
}

static int rekey_run(struct rekey *k)
{
    int r = rekey_memory_start(k);
    if (r == 0)
        r = k->e->block_ops->seal(k->e->b); /* what is sealed anew does not share segments with what goes */
    if (r == 0)
        r = seal_all(k); /* what goes on being written begins from rows again */
    if (r == 0)
        r = walk_bucket_keys(k);
    int more = 1;
    for (int pass = 0; r == 0 && more > 0 && pass < REKEY_PASSES; pass++) {
        r = seal_all(k);
        more = r == 0 ? pass_late(k) : 0;
        r = more < 0 ? more : r;
    }
    if (r == 0)
        r = durable_advance(k->e);
    if (r == 0)
        r = end(k);
    if (r == 0) {
        checkpoints_forget(k->e); /* they know the earlier frames alone */
        r = upkeep_collect(k->e, k->progress);
    }
    return r;
}

/* The disk and the processor to everybody else first, for this thread and as long as it takes. */
static int idle_begin(int *ret_io)
{
    int nice = getpriority(PRIO_PROCESS, 0);
    *ret_io = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
    setpriority(PRIO_PROCESS, 0, 19);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
    return nice;
}

static void idle_end(int nice, int io)
{
    setpriority(PRIO_PROCESS, 0, nice);
    if (io >= 0)
        syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, io);
}

static void rekey_free(struct rekey **k)
{
    if (*k)
        rekey_done(*k);
    free(*k);
}

int engine_rekey(struct engine *e, struct caller *c, const char *bucket, struct engine_progress progress, json_t **ret)
{
    int r = upkeep_may(e, c, "holdfs:RekeyBucket");
    if (r < 0)
        return r;
    CLEANUP(rekey_free) struct rekey *k = calloc(1, sizeof *k);
    if (!k)
        return -ENOMEM;
    *k = (struct rekey){.e = e, .c = c, .progress = progress, .collect_at = REKEY_COLLECT_BYTES};
    LOCK_SCOPE(&e->upkeep->lock);
    {
        LOCK_SCOPE(&e->meta);
        const struct bucket *b = bucket_by_name(e, bucket, strlen(bucket));
        if (!b)
            return reason_fail_s3(&c->reason, ENOENT, "NoSuchBucket", "there is no bucket '%s'", bucket);
        r = begin(k, b);
    }
    int io, nice = idle_begin(&io);
    if (r == 0)
        r = rekey_run(k);
    idle_end(nice, io);
    if (r == -ECANCELED)
        return reason_fail(&c->reason, ECANCELED, "stopped after %llu versions; call it again to go on with the rest",
                           (unsigned long long)k->rekeyed);
    if (r == -ENOSPC)
        return reason_fail(&c->reason, ENOSPC,
                           "the disk is full after %llu versions: frames are there twice until the earlier ones are collected. Make room, and "
                           "call it again to go on",
                           (unsigned long long)k->rekeyed);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "bucket", bucket, "versions", (json_int_t)k->versions, "rekeyed",
                     (json_int_t)k->rekeyed, "kept", (json_int_t)k->kept, "sealed_bytes", (json_int_t)k->bytes, "shared_bytes",
                     (json_int_t)k->shared_bytes);
    return *ret ? 0 : -ENOMEM;
}
