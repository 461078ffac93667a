/* SPDX-License-Identifier: GPL-3.0-or-later
 * Server-side encryption beyond the bucket's own key: which key new content is under, and opening what content is under
 * (encryption.md §3.3, §4, §8).
 *
 * Who opens a file is judged, then the key's state is looked at, then the data key comes from the table of open ones or from the
 * provider; the handle holds it until it is closed. Every use is noted (kms_usage.c). */
#include "engine/draft.h"
#include "engine/sse_c.h"
#include "engine/upkeep.h"

#include <stdio.h>

static const int64_t SHARED_KEEP_NS = INT64_C(3600) * 1000000000; /* encryption.md §4.1 */
enum { SHARED_WRAPS = 1000000 };

/* A data key under which a bucket's new objects are for a while ("S3 Bucket Key"). M */
struct shared_key {
    struct shared_key *next;
    uint32_t bucket;
    struct envelope *env;
    struct data_key *kek;
    int64_t made_ns;
    uint32_t wraps;
};

/* ---- what goes wrong ---- */

static int provider_failed(struct engine *e, const struct kms_key *k, int error, struct reason *reason)
{
    switch (error) {
    case -ENOENT:
        return reason_fail_s3(reason, EKEYEXPIRED, "KMS.NotFoundException", "the material of %s that this is under is destroyed", k->arn);
    case -EAGAIN:
        return reason_fail_s3(reason, EAGAIN, "SlowDown", "Please reduce your request rate for operations involving AWS KMS.");
    case -ETIMEDOUT:
        return reason_fail_s3(reason, EAGAIN, "ServiceUnavailable", "the key provider of %s cannot be reached", k->arn);
    case -EBADMSG:
        atomic_fetch_add(&e->integrity_events, 1);
        return reason_fail_s3(reason, EIO, "InternalError", "a data key under %s does not open: it was altered, or belongs to something else", k->arn);
    default:
        return error;
    }
}

static int destroyed(const struct envelope *env, struct reason *reason)
{
    return reason_fail_s3(reason, EKEYEXPIRED, "KMS.NotFoundException", "Key '%s' does not exist: it was destroyed, and what is under it with it", env->arn);
}

/* ---- the provider ---- */

static int64_t wait_ns(const struct engine *e)
{
    return (int64_t)e->kms_wait_s * 1000000000;
}

/* One call of the provider: as soon as the key's throttle lets it, or -EAGAIN. M stays held: what waits is this key's own caller, and
 * the local provider has no limit unless it is given one. */
static int throttled(const struct engine *e, struct kms_key *k)
{
    int64_t until = clock_mono_ns() + wait_ns(e), pause;
    while ((pause = throttle_take(&k->throttle, clock_mono_ns())) > 0) {
        if (clock_mono_ns() + pause > until)
            return -EAGAIN;
        struct timespec t = {pause / 1000000000, pause % 1000000000};
        nanosleep(&t, NULL);
    }
    return 0;
}

static int provider_decrypt(struct engine *e, struct kms_key *k, const struct envelope *env, uint8_t key[32])
{
    char ref[37];
    struct kms_call call = {.deadline_ns = clock_mono_ns() + wait_ns(e)};
    uuid_format(k->id, ref);
    int r = throttled(e, k);
    return r < 0 ? r : e->kms->ops->decrypt(e->kms->local, &call, ref, env->blob.data, env->blob.len, kms_context_of(env), key);
}

static int provider_generate(struct engine *e, struct kms_key *k, const struct envelope *env, struct kms_data_key *ret)
{
    char ref[37];
    struct kms_call call = {.deadline_ns = clock_mono_ns() + wait_ns(e)};
    uuid_format(k->id, ref);
    int r = throttled(e, k);
    return r < 0 ? r : e->kms->ops->generate(e->kms->local, &call, ref, kms_context_of(env), ret);
}

/* ---- what is there ---- */

/* From the table of open keys, or the provider. */
static int fetch(struct engine *e, struct kms_key *k, const struct envelope *env, bool *ret_cached, struct data_key **ret)
{
    int64_t now = clock_mono_ns();
    *ret = data_keys_fresh(e->kms->open, env->kek_id, now);
    *ret_cached = *ret != NULL;
    if (*ret)
        return 0;
    uint8_t key[32];
    int r = provider_decrypt(e, k, env, key);
    if (r == 0 && !(*ret = data_keys_put(e->kms->open, env->kek_id, k->id, key, now)))
        r = -ENOMEM;
    secret_wipe(key, sizeof key);
    return r;
}

static int open_kms(struct engine *e, struct caller *c, struct kms_use *use, struct data_key **ret)
{
    const struct envelope *env = use->env;
    struct kms_key *k = kms_by_id(e, env->key_id);
    use->event = "Decrypt";
    use->key = k;
    if (!k)
        return destroyed(env, &c->reason);
    int r = kms_may(e, c, "kms:Decrypt", k, env);
    if (r == 0)
        r = kms_usable(k, &c->reason);
    if (r < 0)
        return r;
    r = fetch(e, k, env, &use->cached, ret);
    return r < 0 ? provider_failed(e, k, r, &c->reason) : 0;
}

int sse_open(struct engine *e, struct caller *c, const struct bucket *b, struct span key, uint64_t seq, const struct envelope *env,
             struct data_key **ret)
{
    *ret = NULL;
    if (!env)
        return 0;
    if (env->mode == ENVELOPE_SSE_C)
        return sse_c_open(e, c, b, env, ret);
    struct kms_use use = {.env = env, .bucket = b, .name = key, .seq = seq};
    struct data_key *kek = NULL;
    int r = open_kms(e, c, &use, &kek);
    use.error = r;
    int noted = kms_use_note(e, c, &use);
    if (r == 0 && noted < 0) {
        data_key_unref(kek);
        return noted;
    }
    *ret = kek;
    return r;
}

int sse_judge(struct engine *e, struct caller *c, const struct bucket *b, struct span key, uint64_t seq, const struct envelope *env)
{
    struct data_key *kek;
    int r = sse_open(e, c, b, key, seq, env, &kek);
    if (r == 0)
        data_key_unref(kek);
    return r;
}

int sse_open_internal(struct engine *e, const struct envelope *env, struct reason *reason, struct data_key **ret)
{
    *ret = NULL;
    if (!env)
        return 0;
    if ((*ret = data_keys_held(e->kms->open, env->kek_id)))
        return 0;
    if (env->mode == ENVELOPE_SSE_C)
        return reason_fail_s3(reason, ENOKEY, "InvalidRequest", "the customer key that this is under was locked");
    struct kms_key *k = kms_by_id(e, env->key_id);
    if (!k)
        return destroyed(env, reason);
    bool cached;
    int r = kms_usable(k, reason);
    if (r == 0 && (r = fetch(e, k, env, &cached, ret)) < 0)
        r = provider_failed(e, k, r, reason);
    return r;
}

/* ---- what is new ---- */

static void shared_free(struct shared_key *s)
{
    data_key_unref(s->kek);
    envelope_unref(s->env);
    free(s);
}

static struct shared_key *shared_find(struct engine *e, const struct bucket *b, const struct envelope *like)
{
    for (struct shared_key *s = e->kms->shared; s; s = s->next) {
        if (s->bucket == b->number && memcmp(s->env->key_id, like->key_id, 16) == 0 && s->env->context.len == like->context.len &&
            memcmp(s->env->context.data, like->context.data, like->context.len) == 0 && s->wraps < SHARED_WRAPS &&
            clock_mono_ns() - s->made_ns < SHARED_KEEP_NS)
            return s;
    }
    return NULL;
}

static int shared_add(struct engine *e, const struct bucket *b, struct envelope *env, struct data_key *kek)
{
    struct shared_key *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct shared_key){.next = e->kms->shared, .bucket = b->number, .env = envelope_ref(env), .kek = data_key_ref(kek),
                             .made_ns = clock_mono_ns(), .wraps = 1};
    e->kms->shared = s;
    return 0;
}

void sse_forget(struct engine *e, const uint8_t key_id[16])
{
    for (struct shared_key **at = &e->kms->shared, *s; (s = *at);) {
        if (key_id && memcmp(s->env->key_id, key_id, 16) != 0) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        shared_free(s);
    }
}

void sse_close(struct engine *e)
{
    sse_forget(e, NULL);
}

void sse_run(struct engine *e)
{
    LOCK_SCOPE(&e->meta);
    int64_t now = clock_mono_ns();
    for (struct shared_key **at = &e->kms->shared, *s; (s = *at);) {
        if (now - s->made_ns < SHARED_KEEP_NS && s->wraps < SHARED_WRAPS) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        shared_free(s);
    }
    data_keys_expire(e->kms->open, now);
}

/* An envelope with everything but blob and KEK id. */
static int envelope_begin(struct engine *e, const struct bucket *b, struct span key, const struct kms_key *k, bool bucket_key,
                          struct envelope **ret)
{
    struct envelope *env = envelope_new(ENVELOPE_SSE_KMS);
    struct bytes arn = {0};
    if (!env)
        return -ENOMEM;
    snprintf(env->provider, sizeof env->provider, "%s", e->kms->ops->name);
    memcpy(env->arn, k->arn, sizeof env->arn);
    memcpy(env->key_id, k->id, sizeof env->key_id);
    env->bucket_key = bucket_key;
    bytes_printf(&arn, "arn:aws:s3:::%s", b->name);
    if (!bucket_key && key.len)
        bytes_printf(&arn, "/%.*s", (int)key.len, (const char *)key.p);
    int r = bytes_text(&arn) ? kms_context_canonical(NULL, 0, (const char *)arn.data, &env->context, NULL) : -ENOMEM;
    if (r == 0 && !bytes_text(&env->context))
        r = -ENOMEM;
    bytes_done(&arn);
    if (r < 0)
        envelope_unref(env);
    else
        *ret = env;
    return r;
}

/* A data key of its own for the envelope. */
static int envelope_fill(struct engine *e, struct kms_key *k, struct envelope *env, struct data_key **ret)
{
    CLEANUP(secret_cleanup) struct secret *room = secret_new(sizeof(struct kms_data_key));
    if (!room)
        return -ENOMEM;
    struct kms_data_key *made = (struct kms_data_key *)(void *)secret_bytes(room);
    int r = provider_generate(e, k, env, made);
    if (r < 0)
        return r;
    uuid_random(env->kek_id);
    bytes_put(&env->blob, made->blob, made->blob_len);
    *ret = data_keys_put(e->kms->open, env->kek_id, k->id, made->key, clock_mono_ns());
    return *ret && !env->blob.failed ? 0 : -ENOMEM;
}

/* From the bucket's key in use, or a new one. */
static int new_shared_or_own(struct engine *e, const struct bucket *b, struct kms_key *k, struct kms_use *use, struct envelope **env,
                             struct data_key **ret)
{
    struct shared_key *s = (*env)->bucket_key ? shared_find(e, b, *env) : NULL;
    if (s) {
        s->wraps++;
        use->cached = true;
        envelope_unref(*env);
        *env = envelope_ref(s->env);
        *ret = data_key_ref(s->kek);
        return 0;
    }
    int r = envelope_fill(e, k, *env, ret);
    return r == 0 && (*env)->bucket_key ? shared_add(e, b, *env, *ret) : r;
}

int sse_new_kms(struct engine *e, struct caller *c, const struct bucket *b, struct span key, struct kms_key *k, bool bucket_key,
                struct envelope **ret_env, struct data_key **ret_kek)
{
    struct envelope *env;
    struct data_key *kek = NULL;
    int r = envelope_begin(e, b, key, k, bucket_key, &env);
    if (r < 0)
        return r;
    struct kms_use use = {.event = "GenerateDataKey", .key = k, .env = env, .bucket = b, .name = key};
    r = kms_may(e, c, "kms:GenerateDataKey", k, env);
    if (r == 0)
        r = kms_usable(k, &c->reason);
    if (r == 0 && (r = new_shared_or_own(e, b, k, &use, &env, &kek)) < 0)
        r = provider_failed(e, k, r, &c->reason);
    use.error = r;
    use.env = env;
    int noted = kms_use_note(e, c, &use);
    if (r == 0)
        r = noted;
    if (r < 0) {
        data_key_unref(kek);
        envelope_unref(env);
        return r;
    }
    *ret_env = env;
    *ret_kek = kek;
    return 0;
}

/* A mount's own headers, which are its options, come before the bucket's default (§8). */
int sse_new(struct engine *e, struct caller *c, const struct bucket *b, struct span key, struct envelope **ret_env,
            struct data_key **ret_kek)
{
    *ret_env = NULL;
    *ret_kek = NULL;
    bool asked = e->mount_sse.mode && strcmp(c->front, "mount") == 0;
    enum envelope_mode mode = asked ? e->mount_sse.mode : b->sse_mode;
    const char *name = asked ? e->mount_sse.key : b->sse_key;
    bool bucket_key = asked && e->mount_sse.bucket_key_said ? e->mount_sse.bucket_key : b->sse_bucket_key;
    if (c->sse && c->sse->mode) {
        mode = strcmp(c->sse->mode, "aws:kms") == 0 ? ENVELOPE_SSE_KMS : ENVELOPE_SSE_S3;
        name = c->sse->key ? c->sse->key : "";
    }
    if (c->sse && c->sse->bucket_key)
        bucket_key = strcmp(c->sse->bucket_key, "true") == 0;
    int r = sse_c_new(e, c, b, ret_env, ret_kek);
    if (r != 0)
        return r < 0 ? r : 0;
    if (mode != ENVELOPE_SSE_KMS)
        return 0;
    struct kms_key *k;
    r = kms_resolve(e, c, name, &k);
    return r < 0 ? r : sse_new_kms(e, c, b, key, k, bucket_key, ret_env, ret_kek);
}

/* ---- handles ---- */

void sse_handle_set(struct engine_handle *h, struct envelope *env, struct data_key *kek)
{
    envelope_unref(h->env);
    data_key_unref(h->kek);
    h->env = env;
    h->kek = kek;
    atomic_store(&h->seen, env);
    if (h->inode)
        h->env_bucket = h->inode->bucket->number;
}

void sse_handle_done(struct engine_handle *h)
{
    envelope_unref(h->env);
    data_key_unref(h->kek);
    h->env = NULL;
    h->kek = NULL;
}

static int taken(struct engine *e, const struct envelope *env)
{
    if (!env || env->mode == ENVELOPE_SSE_C)
        return -ENOKEY;
    LOCK_SCOPE(&e->meta);
    return kms_by_id(e, env->key_id) ? -EKEYREVOKED : -EKEYEXPIRED;
}

/* The content is under another key than this handle was opened for: another writer began it anew, or it was encrypted again. */
static int follow(struct engine_handle *h, const struct envelope *env)
{
    struct engine *e = h->engine;
    struct caller c;
    engine_caller_init(e, &c, h->uid, 0, 0, "mount");
    c.principal = h->principal;
    struct data_key *kek = NULL;
    LOCK_SCOPE(&e->meta);
    int r = 0;
    if (h->env && memcmp(h->env->kek_id, env->kek_id, 16) == 0) /* the same, from another row */
        kek = h->kek ? data_key_ref(h->kek) : NULL;
    else if (h->inode)
        r = sse_open(e, &c, h->inode->bucket, span_of(h->inode->key, h->inode->key_len), h->inode->seq, env, &kek);
    if (r == 0)
        sse_handle_set(h, envelope_ref((struct envelope *)env), kek);
    return r;
}

int sse_handle_follows(struct engine_handle *h, const struct envelope *env)
{
    if (!env)
        return 0;
    if (atomic_load(&h->taken))
        return taken(h->engine, env);
    return atomic_load(&h->seen) == env ? 0 : follow(h, env);
}

/* ---- taking keys away ---- */

/* Whose: a KMS key, or a uid's customer keys in a bucket. */
struct evicted {
    const uint8_t *key; /* NULL: customer keys */
    uint32_t bucket, uid;
};

static bool concerns(const struct evicted *v, const struct envelope *env, uint32_t bucket)
{
    if (!env)
        return false;
    return v->key ? env->mode == ENVELOPE_SSE_KMS && memcmp(env->key_id, v->key, 16) == 0
                  : env->mode == ENVELOPE_SSE_C && bucket == v->bucket;
}

static bool file_concerned(const struct evicted *v, const struct inode *i)
{
    return i->bucket && (concerns(v, i->record.env, i->bucket->number) || (i->draft && concerns(v, i->draft->env, i->bucket->number)));
}

static bool handle_of(const struct evicted *v, const struct engine_handle *h)
{
    return concerns(v, h->env, h->env_bucket) && (v->key || h->uid == v->uid);
}

static bool file_under_key(const struct inode *i)
{
    return i->record.env || (i->draft && i->draft->env);
}

static bool held_elsewhere(const struct engine *e, const struct envelope *env)
{
    for (const struct engine_handle *h = e->handles; h; h = h->next) {
        if (h->env && !atomic_load(&h->taken) && memcmp(h->env->kek_id, env->kek_id, 16) == 0)
            return true;
    }
    return false;
}

static void take_handles(struct engine *e, const struct evicted *v)
{
    LOCK_SCOPE(&e->meta);
    for (struct engine_handle *h = e->handles; h; h = h->next) {
        if (handle_of(v, h))
            atomic_store(&h->taken, true);
    }
    for (struct engine_handle *h = e->handles; !v->key && h; h = h->next) {
        if (handle_of(v, h) && !held_elsewhere(e, h->env))
            data_keys_revoke(e->kms->open, h->env->kek_id);
    }
}

/* What came between the two seals is sealed as well; then the data keys of what is published go. */
static void drop_content(struct engine *e, const struct evicted *v, struct inode *i)
{
    pthread_rwlock_wrlock(&i->content_lock);
    struct caller c;
    engine_caller_init(e, &c, 0, 0, 0, "internal");
    int r = draft_seal(e, &c, i);
    if (r < 0)
        log_warning("'%s' could not be published when its key was taken away: %s", engine_show(i->bucket, span_of(i->key, i->key_len)),
                    strerror(-r));
    struct content *content = NULL;
    {
        LOCK_SCOPE(&e->meta);
        if (i->content && concerns(v, ((struct content *)i->content)->env, i->bucket->number)) {
            content = i->content;
            i->content = NULL;
        }
    }
    pthread_rwlock_unlock(&i->content_lock);
    content_unref(content);
}

static void evict(struct engine *e, const struct evicted *v)
{
    struct inode **list = NULL;
    size_t count = 0;
    struct caller c;
    engine_caller_init(e, &c, 0, 0, 0, "internal");
    if (files_collect(e, file_under_key, &list, &count) < 0)
        log_error("open files keep their keys: out of memory");
    for (size_t n = 0; n < count; n++) {
        if (file_concerned(v, list[n]) && atomic_load(&list[n]->handles))
            inode_seal(e, &c, list[n]->ino, NULL); /* the kernel's pages too */
    }
    take_handles(e, v);
    for (size_t n = 0; n < count; n++) {
        if (!file_concerned(v, list[n]))
            continue;
        drop_content(e, v, list[n]);
        if (e->watcher)
            e->watcher->inode_changed(e->watcher->arg, list[n]->ino);
    }
    files_release(e, list, count);
}

void sse_evict(struct engine *e, const uint8_t key_id[16])
{
    evict(e, &(struct evicted){.key = key_id});
    data_keys_revoke_owner(e->kms->open, key_id);
}

void sse_evict_customer(struct engine *e, uint32_t bucket, uint32_t uid)
{
    static const uint8_t nobody[16];
    evict(e, &(struct evicted){.bucket = bucket, .uid = uid});
    data_keys_forget_owner(e->kms->open, nobody);
}
