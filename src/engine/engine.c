/* SPDX-License-Identifier: GPL-3.0-or-later
 * Opening and closing a store, recovery after an unclean stop, and the worker thread.
 *
 * Opening: conf, owner lock, header (keys), metadata, segments, buckets, clock, settling, recovery, worker. Closing undoes it in
 * reverse; every part's close accepts that it was never opened. */
#include "engine/draft.h"
#include "engine/iam.h"
#include "engine/mfa.h"
#include "engine/upkeep.h"
#include "engine/trail.h"
#include "engine/kms.h"
#include "util/limits.h"

#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

enum {
    ENGINE_UNIT_BYTES = 8192, /* doc/decisions/frame-size.md */
    ENGINE_PACKED_UNIT_BYTES = 65536,
    ENGINE_CACHE_BYTES = 16 << 20,
    ENGINE_WORKER_TICK_S = 1,
    ENGINE_COMPACT_NS = 50000000, /* of each tick for compaction: 5 % of one core at most */
    ENGINE_TRIM_EVERY_S = 16,
    ENGINE_ANCHOR_EVERY_S = 60,
    ENGINE_KEYS_USED_EVERY_S = 60, /* when access keys were used is written down so often, and at the end */
    ENGINE_DURABLE_EVERY_S = 5, /* an unclean stop verifies at most what was published in this time */
};

static void engine_integrity(void *arg, const char *what)
{
    struct engine *e = arg;
    atomic_fetch_add(&e->integrity_events, 1);
    trail_integrity(e, what, NULL, span_of(NULL, 0), NULL);
    log_error("integrity: metadata: %s", what);
}

static int open_meta(struct engine *e, bool create, uint64_t cache_bytes, struct reason *reason)
{
    char purpose[32];
    uint8_t page_key[32];
    snprintf(purpose, sizeof purpose, "page/%u", store_keys_page_generation(e->keys));
    store_keys_purpose(e->keys, purpose, page_key);
    struct meta_config config = {
        .dir = e->dir,
        .store_id = e->conf.store_id,
        .page_key = page_key,
        .page_size_bytes = store_keys_page_size(e->keys),
        .cache_bytes = cache_bytes ? cache_bytes : ENGINE_CACHE_BYTES,
        .create = create,
        .read_only = e->read_only,
        .integrity = engine_integrity,
        .integrity_arg = e,
    };
    e->meta_ops = meta_find("sqlite");
    int r = create ? 0 : rotate_pending(e->meta_ops, e->dir, store_keys_page_generation(e->keys), e->read_only, reason);
    if (r == 0)
        r = e->meta_ops->open(&config, &e->m, reason);
    secret_wipe(page_key, sizeof page_key);
    return r;
}

static int open_segments(struct engine *e, struct reason *reason)
{
    char dir[4200];
    snprintf(dir, sizeof dir, "%s/segments", e->dir);
    struct statvfs fs;
    uint64_t reserve = 64 << 20;
    if (statvfs(e->dir, &fs) == 0 && (uint64_t)fs.f_blocks * fs.f_frsize / 100 > reserve)
        reserve = (uint64_t)fs.f_blocks * fs.f_frsize / 100;
    struct block_config config = {
        .dir = dir, .segment_size_bytes = LIMIT_SEGMENT_BYTES, .reserve_bytes = reserve, .read_only = e->read_only};
    e->block_ops = block_find("local");
    int r = e->block_ops->open(&config, &e->b, reason);
    if (r < 0)
        return r;
    struct pipeline_config pipeline = {
        .ops = e->block_ops, .block = e->b, .unit_bytes = ENGINE_UNIT_BYTES, .packed_unit_bytes = ENGINE_PACKED_UNIT_BYTES};
    return pipeline_new(&pipeline, &e->pipe);
}

/* ---- counters ---- */

static int value_u64(struct engine *e, const char *name, uint64_t *ret)
{
    struct span v;
    int r = e->meta_ops->value_get(e->m, name, &v);
    *ret = 0;
    if (r == -ENOENT)
        return 0;
    if (r == 0 && v.len == 8) {
        memcpy(ret, v.p, 8);
        *ret = __builtin_bswap64(*ret);
    }
    return r;
}

static int value_put_u64(struct engine *e, const char *name, uint64_t value)
{
    value = __builtin_bswap64(value);
    return e->meta_ops->value_put(e->m, name, span_of(&value, 8));
}

/* Sequences and inode numbers are taken from ranges reserved ahead, so that no publish writes a counter. */
enum { COUNTER_RANGE = 1 << 20 };

static int counters_open(struct engine *e)
{
    uint64_t seq = 0, ino = 0;
    int r = value_u64(e, "next-seq", &seq);
    if (r == 0)
        r = value_u64(e, "next-ino", &ino);
    if (r == 0)
        r = value_u64(e, "durable", &e->durable_seq);
    e->promised_seq = e->durable_seq;
    e->next_seq = seq ? seq : 1;
    e->next_ino = ino ? ino : 2;
    return r;
}

static int counters_reserve(struct engine *e, bool exact)
{
    int r = value_put_u64(e, "next-seq", e->next_seq + (exact ? 0 : COUNTER_RANGE));
    if (r == 0)
        r = value_put_u64(e, "next-ino", e->next_ino + (exact ? 0 : COUNTER_RANGE));
    return r;
}

/* They are committed. */
static void counters_reserved(struct engine *e)
{
    e->seq_reserved = e->next_seq + COUNTER_RANGE;
    e->ino_reserved = e->next_ino + COUNTER_RANGE;
}

/* The worker keeps the ranges ahead of use. M. */
static int counters_renew(struct engine *e)
{
    if (e->seq_reserved - e->next_seq > COUNTER_RANGE / 2 && e->ino_reserved - e->next_ino > COUNTER_RANGE / 2)
        return 0;
    int r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, counters_reserve(e, false));
    if (r == 0)
        counters_reserved(e);
    return r;
}

static int open_recovered(struct engine *e, struct reason *reason)
{
    if (e->read_only)
        return 0;
    uint64_t clean;
    int r = value_u64(e, "clean", &clean);
    bool fresh = e->next_seq == 1 && e->next_ino == 2;
    struct caller c;
    engine_caller_init(e, &c, 0, 0, 0, "mount");
    if (r == 0)
        r = recover(e, clean || fresh, &c);
    if (r == 0)
        r = anchor_first(e);
    if (r == 0)
        r = txn_begin(e);
    if (r == 0) {
        r = value_put_u64(e, "clean", 0);
        if (r == 0)
            r = counters_reserve(e, false);
        if (r == 0)
            r = anchor_begin(e);
        if (r == 0 && e->clock)
            r = trail_note(e, NULL, &(struct trail_event){.name = "StoreOpened", .source = TRAIL_HOLDFS, .flags = TRAIL_SERVICE,
                                                          .params = json_pack("{s:s, s:b, s:I}", "by", e->owner_text ? e->owner_text : "",
                                                                              "cleanStop", clean != 0, "complianceSeconds",
                                                                              (json_int_t)compliance_now_s(e))});
        r = txn_end(e, r);
    }
    if (r == 0)
        counters_reserved(e);
    if (r < 0)
        return reason_fail(reason, -r, "the store's metadata could not be recovered (%s); run 'holdfs fsck %s'", strerror(-r), e->dir);
    return 0;
}

/* ---- the worker ---- */

static void worker_round(struct engine *e, unsigned tick)
{
    compliance_run(e);
    tsa_run(e);
    if (tick % ENGINE_KEYS_USED_EVERY_S == 0)
        iam_keys_run(e);
    {
        LOCK_SCOPE(&e->meta);
        int r = inode_save_dirty_dirs(e);
        if (r == 0)
            r = counters_renew(e);
        if (r == 0)
            r = txn_flush(e);
        if (r == 0)
            r = e->meta_ops->flush(e->m);
        if (r < 0)
            log_warning("upkeep: %s", strerror(-r));
    }
    bool behind;
    {
        LOCK_SCOPE(&e->meta);
        behind = e->next_seq - 1 > e->durable_seq;
    }
    if (behind && tick % ENGINE_DURABLE_EVERY_S == 0) {
        int r = durable_advance(e);
        if (r < 0)
            log_warning("syncing the store: %s", strerror(-r));
    }
    settle_run(e);
    checkpoint_run(e);
    if (tick % ENGINE_ANCHOR_EVERY_S == 0 && anchor_save(e) < 0)
        log_warning("'%s/anchor' cannot be written", e->dir);
    trail_run(e, false);
    kms_run(e);
    epoch_run(e);
    e->meta_ops->checkpoint(e->m, false, &e->meta);
    for (int64_t until = clock_mono_ns() + ENGINE_COMPACT_NS; compact_step(e) > 0 && clock_mono_ns() < until;)
        continue;
}

static void *worker_main(void *arg)
{
    struct engine *e = arg;
    for (unsigned tick = 1;; tick++) {
        pthread_mutex_lock(&e->worker_lock);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += ENGINE_WORKER_TICK_S;
        while (!e->worker_stop && pthread_cond_timedwait(&e->worker_wake, &e->worker_lock, &until) == 0)
            ;
        bool stop = e->worker_stop;
        pthread_mutex_unlock(&e->worker_lock);
        if (stop)
            return NULL;
        worker_round(e, tick);
    }
}

static int worker_start(struct engine *e)
{
    if (e->read_only)
        return 0;
    int r = pthread_create(&e->worker, NULL, worker_main, e);
    e->worker_running = r == 0;
    return -r;
}

static void worker_end(struct engine *e)
{
    if (!e->worker_running)
        return;
    pthread_mutex_lock(&e->worker_lock);
    e->worker_stop = true;
    pthread_cond_signal(&e->worker_wake);
    pthread_mutex_unlock(&e->worker_lock);
    pthread_join(e->worker, NULL);
    e->worker_running = false;
}

/* ---- open, close ---- */

static struct engine *engine_alloc(const char *dir, const struct store_conf *conf)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->dir = strdup(dir);
    e->conf = *conf;
    e->lock_fd = -1;
    e->settle_default_s = 60;
    e->opened_ns = clock_wall_ns();
    pthread_mutex_init(&e->meta, NULL);
    pthread_mutex_init(&e->worker_lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->worker_wake, &attr);
    pthread_condattr_destroy(&attr);
    /* Who makes and removes buckets is a matter of policy alone (auth.md §4.6), so the kernel's own check lets all pass. */
    e->root_record = (struct record){.mode = S_IFDIR | 0777, .uid = conf->owner_uid, .generation = 1};
    e->root_record.mtime = e->root_record.ctime = e->root_record.btime = (struct instant){conf->created_s, 0};
    return e;
}

/* What is fixed before the metadata counts. */
struct open_how {
    bool create, accept_rollback;
    uint64_t cache_bytes, min_seq;
    const char *uid_map, *mfa_code;
};

static int open_parts(struct engine *e, const struct open_how *how, struct reason *reason)
{
    bool create = how->create;
    int r = open_meta(e, create, how->cache_bytes, reason);
    if (r == 0)
        r = open_segments(e, reason);
    if (r < 0)
        return r;
    r = upkeep_open(e);
    if (r < 0)
        return r;
    checkpoint_open(e);
    LOCK_SCOPE(&e->meta);
    r = create ? 0 : anchor_open(e, how->accept_rollback, how->min_seq, reason);
    if (r == 0)
        r = kms_init(e, reason);
    if (r == 0)
        r = keyring_open(e, reason);
    if (r == 0)
        r = epoch_open(e);
    if (r == 0)
        r = counters_open(e);
    if (r == 0)
        r = buckets_load(e);
    if (r == 0)
        r = iam_open(e, how->uid_map, reason);
    if (r == 0)
        r = mfa_open(e);
    if (r == 0)
        r = kms_open(e, reason);
    if (r == 0)
        r = errors_open(e);
    if (r == 0)
        r = bypasses_open(e);
    if (r == 0 && !create)
        r = compliance_open(e, reason);
    if (r == 0 && !create)
        compliance_raise(e, e->anchor.c_s);
    if (r == 0 && e->rolled_back)
        r = mfa_accept(e, how->mfa_code, reason);
    if (r == 0 && !create)
        r = tsa_open(e, reason);
    if (r == 0)
        r = settle_open(e);
    if (r == 0)
        r = trail_open(e, reason);
    if (r < 0)
        return reason && reason->text[0] ? r : reason_fail(reason, -r, "the store's metadata cannot be read: %s", strerror(-r));
    return open_recovered(e, reason);
}

/* For init: a new store, before its conf is written. Takes over the keys. */
int engine_open_with(const char *dir, const struct store_conf *conf, struct store_keys *keys, struct engine **ret,
                     struct reason *reason)
{
    struct engine *e = engine_alloc(dir, conf);
    if (!e)
        return -ENOMEM;
    e->keys = keys;
    int r = store_lock(dir, false, "holdfs init", &e->lock_fd, reason);
    if (r == 0)
        r = open_parts(e, &(struct open_how){.create = true}, reason);
    if (r < 0) {
        engine_close(e);
        return r;
    }
    *ret = e;
    return 0;
}

int engine_open_copy(const char *dir, struct store_keys *keys, struct engine **ret, struct reason *reason)
{
    struct store_conf conf;
    int r = store_conf_read(dir, &conf, reason);
    struct engine *e = r == 0 ? engine_alloc(dir, &conf) : NULL;
    if (!e) {
        store_keys_free(keys);
        return r < 0 ? r : -ENOMEM;
    }
    e->keys = keys;
    e->read_only = true;
    r = store_lock(dir, true, NULL, &e->lock_fd, reason);
    if (r == 0)
        r = open_parts(e, &(struct open_how){.create = false}, reason);
    if (r < 0) {
        e->failed_open = true;
        engine_close(e);
        return r;
    }
    *ret = e;
    return 0;
}

/* The options sse=, sse-kms-key-id=, sse-bucket-key=, kms-wait= (encryption.md §3.3). */
static int mount_sse_read(struct engine *e, const struct engine_config *config, struct reason *reason)
{
    e->kms_wait_s = config->kms_wait_s ? config->kms_wait_s : 10;
    if (!config->sse) {
        if (config->sse_kms_key || config->sse_bucket_key)
            return reason_fail(reason, EINVAL, "sse-kms-key-id= and sse-bucket-key= belong to sse=aws:kms");
        return 0;
    }
    bool kms = strcmp(config->sse, "aws:kms") == 0;
    if (!kms && strcmp(config->sse, "AES256") != 0)
        return reason_fail(reason, EINVAL, "sse= is AES256 or aws:kms");
    if (!kms && config->sse_kms_key)
        return reason_fail(reason, EINVAL, "sse-kms-key-id= needs sse=aws:kms");
    if (config->sse_kms_key && strlen(config->sse_kms_key) >= sizeof e->mount_sse.key)
        return reason_fail(reason, EINVAL, "no key has a name of %zu characters", strlen(config->sse_kms_key));
    e->mount_sse.mode = kms ? ENVELOPE_SSE_KMS : ENVELOPE_SSE_S3;
    if (config->sse_kms_key)
        snprintf(e->mount_sse.key, sizeof e->mount_sse.key, "%s", config->sse_kms_key);
    e->mount_sse.bucket_key_said = config->sse_bucket_key != NULL;
    e->mount_sse.bucket_key = config->sse_bucket_key && strcmp(config->sse_bucket_key, "true") == 0;
    return 0;
}

int engine_open(const struct engine_config *config, struct engine **ret, struct reason *reason)
{
    struct store_conf conf;
    int r = store_conf_read(config->dir, &conf, reason);
    if (r < 0)
        return r;
    if (conf.test_store && clock_test_enable() < 0)
        return reason_fail(reason, EOPNOTSUPP, "'%s' is a test store: its clock can be set, so only a test build opens it", config->dir);
    struct engine *e = engine_alloc(config->dir, &conf);
    if (!e)
        return -ENOMEM;
    e->read_only = config->read_only;
    e->sync_close = config->sync_close;
    e->new_bucket_unversioned = config->new_bucket_unversioned;
    r = mount_sse_read(e, config, reason);
    if (config->settle_default_s >= 0)
        e->settle_default_s = config->settle_default_s;
    e->owner_text = strdup(config->owner_text ? config->owner_text : "");
    bool repaired = false;
    if (r == 0)
        r = store_lock(config->dir, config->read_only, config->owner_text, &e->lock_fd, reason);
    if (r == 0)
        r = store_header_open(config->dir, conf.store_id, config->unlock, config->read_only, &e->keys, &repaired, reason);
    if (r == -EACCES && reason)
        engine_audit_pending(config->dir, getuid(), getpid(), "OpenStore", reason->text, json_pack("{s:s}", "by", e->owner_text));
    if (r == 0 && repaired)
        log_warning("one of the two store headers of '%s' was damaged; it was rewritten from the other", config->dir);
    if (r == 0)
        r = open_parts(e,
                       &(struct open_how){.accept_rollback = config->accept_rollback,
                                          .cache_bytes = config->cache_bytes,
                                          .min_seq = config->min_seq,
                                          .mfa_code = config->mfa_code,
                                          .uid_map = config->uid_map},
                       reason);
    if (r == 0 && e->rolled_back && !e->read_only)
        r = anchor_save(e);
    if (r == 0)
        r = tsa_start(e);
    if (r == 0)
        r = worker_start(e);
    if (r < 0) {
        e->failed_open = true;
        engine_close(e);
        return r;
    }
    *ret = e;
    return 0;
}

/* What handles have left open (a killed front) is published and sealed. */
static void close_drafts(struct engine *e)
{
    for (size_t n = 0; e->inodes && n < e->inode_buckets; n++) {
        for (struct inode *i = e->inodes[n]; i; i = i->hash_next) {
            if (!i->draft)
                continue;
            struct caller c;
            caller_internal(e, &c, &i->draft->principal, "mount");
            if (!i->orphan && draft_seal(e, &c, i) < 0)
                log_error("'%s' could not be published at the end", engine_show(i->bucket, span_of(i->key, i->key_len)));
            draft_free(i->draft);
            i->draft = NULL;
        }
    }
}

static int close_mark_clean(struct engine *e)
{
    LOCK_SCOPE(&e->meta);
    int r = inode_save_dirty_dirs(e);
    if (r == 0)
        r = txn_begin(e);
    if (r == 0) {
        r = counters_reserve(e, true);
        if (r == 0 && e->clock)
            r = compliance_save(e);
        if (r == 0)
            r = value_put_u64(e, "durable", e->next_seq - 1);
        if (r == 0)
            r = value_put_u64(e, "clean", 1);
        if (r == 0 && e->clock)
            r = trail_stop(e);
        r = txn_end(e, r);
    }
    return r == 0 ? e->meta_ops->sync(e->m) : r;
}

static void close_clean(struct engine *e)
{
    if (e->read_only || e->failed_open || !e->settle)
        return;
    close_drafts(e);
    trail_run(e, true);
    int r = durable_advance(e);
    if (r == 0)
        r = close_mark_clean(e);
    if (r == 0)
        r = anchor_save(e);
    if (r < 0)
        log_error("closing the store: %s", strerror(-r));
}

void engine_close(struct engine *e)
{
    if (!e)
        return;
    worker_end(e);
    trail_anchors_stop(e);
    tsa_stop(e);
    if (e->m && !e->failed_open) {
        iam_keys_run(e);
        epoch_run(e);
    }
    upkeep_close(e);
    handles_release(e);
    if (e->m)
        close_clean(e);
    pthread_mutex_lock(&e->meta);
    settle_close(e);
    inodes_unload(e);
    mfa_close(e);
    kms_close(e);
    iam_close(e);
    buckets_unload(e);
    tsa_close(e);
    compliance_close(e);
    bypasses_close(e);
    trail_close(e);
    errors_close(e);
    keyring_close(e);
    pthread_mutex_unlock(&e->meta);
    pipeline_free(e->pipe);
    if (e->b)
        e->block_ops->close(e->b);
    if (e->m)
        e->meta_ops->close(e->m);
    store_keys_free(e->keys);
    free(e->kept);
    record_done(&e->root_record);
    json_decref(e->integrity_list);
    if (e->lock_fd >= 0)
        close(e->lock_fd);
    pthread_mutex_destroy(&e->meta);
    pthread_mutex_destroy(&e->worker_lock);
    pthread_cond_destroy(&e->worker_wake);
    free(e->owner_text);
    free(e->dir);
    free(e);
}

const struct store_conf *engine_conf(struct engine *e)
{
    return &e->conf;
}

void engine_watch(struct engine *e, const struct engine_watcher *w)
{
    LOCK_SCOPE(&e->meta);
    if (w)
        e->watcher_store = *w;
    e->watcher = w ? &e->watcher_store : NULL;
}

void engine_watch_settle(struct engine *e)
{
    struct engine_watcher w = {0};
    {
        LOCK_SCOPE(&e->meta);
        if (e->watcher)
            w = *e->watcher;
    }
    if (w.settle)
        w.settle(w.arg);
}

int engine_statfs(struct engine *e, struct statvfs *ret)
{
    if (statvfs(e->dir, ret) < 0)
        return -errno;
    uint64_t total, left;
    if (e->block_ops->free_space(e->b, &total, &left) == 0) {
        ret->f_bavail = left / ret->f_frsize;
        ret->f_bfree = ret->f_bavail;
    }
    ret->f_files = UINT64_C(1) << 32;
    ret->f_ffree = ret->f_favail = (UINT64_C(1) << 32) - 1;
    ret->f_namemax = LIMIT_NAME_BYTES;
    return 0;
}
