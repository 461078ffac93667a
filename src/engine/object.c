/* SPDX-License-Identifier: GPL-3.0-or-later
 * Objects by key: buckets as S3 sees them, looking an object up and reading it (s3-api.md §3, §4). */
#include "engine/object.h"
#include "engine/trail.h"
#include "engine/iam.h"
#include "engine/tagset.h"
#include "util/limits.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

int object_no_bucket(struct caller *c)
{
    return reason_fail_s3(&c->reason, ENOENT, "NoSuchBucket", "The specified bucket does not exist");
}

int engine_key_may(struct engine *e, struct caller *c, const char *action, uint32_t bucket, struct span key)
{
    LOCK_SCOPE(&e->meta);
    if (!bucket)
        return engine_may_with(e, c, action, NULL, span_of(NULL, 0), &(struct may){.own = true});
    const struct bucket *b = bucket_by_number(e, bucket);
    return b ? engine_may(e, c, action, b, key) : object_no_bucket(c);
}

bool engine_key_could(struct engine *e, struct caller *c, const char *action, uint32_t bucket, struct span key)
{
    LOCK_SCOPE(&e->meta);
    const struct bucket *b = bucket_by_number(e, bucket);
    return b && engine_could(e, c, action, b, key, NULL);
}

/* ---- buckets ---- */

static void owner_tell(struct engine *e, const char *account, struct engine_bucket *ret)
{
    pthread_rwlock_rdlock(&e->iam->lock);
    const struct account *a = iam_account_by_id(e, account);
    if (a) {
        memcpy(ret->owner_id, a->canonical, sizeof ret->owner_id);
        memcpy(ret->owner_name, a->display, sizeof ret->owner_name);
    }
    pthread_rwlock_unlock(&e->iam->lock);
}

int engine_account_owner(struct engine *e, struct caller *c, struct engine_bucket *ret)
{
    if (c->principal.kind == PRINCIPAL_ANONYMOUS)
        return reason_fail_s3(&c->reason, EACCES, "AccessDenied", "Access Denied");
    owner_tell(e, c->principal.account, ret);
    return 0;
}

static void bucket_tell(struct engine *e, const struct bucket *b, struct engine_bucket *ret)
{
    *ret = (struct engine_bucket){
        .number = b->number,
        .root_ino = b->root_ino,
        .created_ns = b->created_ns,
        .versioned = b->versioning != VERSIONING_UNVERSIONED,
        .object_lock = b->object_lock,
    };
    memcpy(ret->name, b->name, sizeof ret->name);
    memcpy(ret->account, b->account, sizeof ret->account);
    owner_tell(e, b->account, ret);
    pthread_rwlock_rdlock(&e->iam->lock);
    ret->blocks_public_acls = bucket_block(e, b) & BLOCK_PUBLIC_ACLS;
    pthread_rwlock_unlock(&e->iam->lock);
}

int engine_bucket_get(struct engine *e, const char *name, size_t len, struct engine_bucket *ret)
{
    LOCK_SCOPE(&e->meta);
    const struct bucket *b = bucket_by_name(e, name, len);
    if (!b)
        return -ENOENT;
    bucket_tell(e, b, ret);
    return 0;
}

int engine_bucket_is_public(struct engine *e, struct caller *c, uint64_t root_ino, bool *ret)
{
    LOCK_SCOPE(&e->meta);
    struct inode *root;
    int r = inode_get(e, root_ino, &root);
    if (r < 0)
        return object_no_bucket(c);
    const struct bucket *b = root->bucket;
    r = b ? engine_may(e, c, "s3:GetBucketPolicyStatus", b, span_of("", 0)) : object_no_bucket(c);
    if (r == 0) {
        pthread_rwlock_rdlock(&e->iam->lock);
        *ret = b->policy && policy_is_public(b->policy);
        pthread_rwlock_unlock(&e->iam->lock);
    }
    inode_put(e, root);
    return r;
}

bool engine_bucket_name_valid(const char *name, size_t len, struct reason *reason)
{
    return bucket_name_valid(name, len, reason);
}

int engine_buckets(struct engine *e, struct caller *c, const char *after, engine_bucket_fn *fn, void *arg)
{
    LOCK_SCOPE(&e->meta);
    int r = engine_may_with(e, c, "s3:ListAllMyBuckets", NULL, span_of(NULL, 0), &(struct may){.own = true});
    if (r == 0 && c->principal.kind == PRINCIPAL_ANONYMOUS)
        r = reason_fail_s3(&c->reason, EACCES, "AccessDenied", "Access Denied");
    char last[64];
    snprintf(last, sizeof last, "%s", after);
    while (r == 0) {
        const struct bucket *next = NULL;
        for (size_t n = 0; n < e->bucket_count; n++) {
            const struct bucket *b = e->buckets[n];
            if (strcmp(b->account, c->principal.account) == 0 && strcmp(b->name, last) > 0 && (!next || strcmp(b->name, next->name) < 0))
                next = b;
        }
        if (!next)
            return 0;
        struct engine_bucket told;
        bucket_tell(e, next, &told);
        memcpy(last, next->name, sizeof last);
        r = fn(arg, &told);
    }
    return r < 0 ? r : 0;
}

/* ---- values ---- */

void engine_object_done(struct engine_object *o)
{
    bytes_done(&o->values);
}

bool engine_object_next(const struct engine_object *o, size_t *at, struct engine_value *ret)
{
    struct attr_item item;
    struct attrs attrs = {.packed = o->values};
    if (!attrs_next(&attrs, at, &item))
        return false;
    *ret = (struct engine_value){(char)item.kind, item.name, item.name_len, item.value, item.len};
    return true;
}

bool engine_object_value(const struct engine_object *o, char kind, const char *name, struct engine_value *ret)
{
    struct attrs attrs = {.packed = o->values};
    const uint8_t *value;
    size_t len;
    if (attrs_get(&attrs, (enum attr_kind)kind, name, strlen(name), &value, &len) < 0)
        return false;
    *ret = (struct engine_value){kind, name, strlen(name), value, len};
    return true;
}

int engine_tags_read(const char *text, size_t len, struct bytes *ret, struct reason *reason)
{
    struct attrs set;
    int r = tagset_parse(text, len, LIMIT_OBJECT_TAGS, &set, reason);
    if (r == 0)
        *ret = set.packed;
    return r;
}

void object_tell_sse(const struct envelope *env, struct engine_object *ret)
{
    ret->sse = !env ? "AES256" : env->mode == ENVELOPE_SSE_KMS ? "aws:kms" : NULL;
    if (env && env->mode == ENVELOPE_SSE_KMS) {
        snprintf(ret->sse_key, sizeof ret->sse_key, "%s", env->arn);
        ret->sse_bucket_key = env->bucket_key;
    }
}

int object_fill(struct engine *e, const struct bucket *b, struct version *v, bool latest, struct engine_object *ret)
{
    struct attrs copy;
    int r = attrs_copy(&copy, &v->record.attrs);
    if (r < 0)
        return r;
    engine_object_done(ret);
    *ret = (struct engine_object){
        .marker = v->flags & VERSION_MARKER,
        .has_id = b->versioning != VERSIONING_UNVERSIONED,
        .locks = b->object_lock,
        .values = copy.packed,
    };
    version_describe(e, v, latest, &ret->version);
    if (!ret->marker)
        object_tell_sse(v->record.env, ret);
    return 0;
}

/* ---- looking up ---- */

int object_missing(struct engine *e, struct caller *c, const struct bucket *b, struct span key)
{
    struct auth_value prefix = {.key = AUTH_PREFIX, .text = (const char *)key.p, .len = key.len};
    int r = engine_may_with(e, c, "s3:ListBucket", b, span_of(NULL, 0), &(struct may){.values = &prefix, .count = 1});
    return r < 0 ? r : reason_fail_s3(&c->reason, ENOENT, "NoSuchKey", "The specified key does not exist.");
}

int object_missing_version(struct engine *e, struct caller *c, const struct bucket *b, struct span key)
{
    int r = may_miss_version(e, c, b, key);
    return r != -ENOENT ? r : reason_fail_s3(&c->reason, ENOENT, "NoSuchVersion", "The specified version does not exist.");
}

int object_find(struct engine *e, struct caller *c, const struct bucket *b, struct span key, const char *id, struct version *ret)
{
    if (!id)
        return version_load(e, b->number, key, 0, ret);
    uint64_t seq;
    int r = version_find_id(e, b->number, key, id, &seq);
    if (r == -EINVAL)
        return reason_fail_s3(&c->reason, EINVAL, "InvalidArgument",
                              id[0] ? "Invalid version id specified" : "Version id cannot be the empty string");
    return r < 0 ? r : version_load(e, b->number, key, seq, ret);
}

static bool is_latest(struct engine *e, const struct version *v)
{
    struct version top;
    if (version_load(e, v->bucket, span_of(v->key, v->key_len), 0, &top) < 0)
        return false;
    bool latest = top.seq == v->seq;
    version_done(&top);
    return latest;
}

/* ---- reading ---- */

int object_pin(struct engine *e, const struct version *v, struct gc_pin *pin)
{
    struct extmap *map = v->record.map ? extmap_ref(v->record.map) : extmap_new();
    int r = map ? 0 : -ENOMEM;
    if (r == 0 && !v->record.map)
        r = extmap_resize(map, v->record.size_bytes);
    if (r == 0)
        gc_pin_add(e, pin, map);
    extmap_unref(map);
    return r;
}

int object_handle(struct engine *e, struct caller *c, const struct bucket *b, struct gc_pin *pin, struct envelope *env, struct data_key *kek,
                  uint64_t size, struct engine_handle **ret)
{
    struct engine_handle *h = calloc(1, sizeof *h);
    int r = h ? content_new(e, b, pin->map, &h->content) : -ENOMEM;
    LOCK_SCOPE(&e->meta);
    gc_pin_remove(e, pin);
    if (r < 0) {
        envelope_unref(env);
        data_key_unref(kek);
        free(h);
        return r;
    }
    h->engine = e;
    h->size_bytes = size;
    h->uid = c->uid;
    h->principal = c->principal;
    h->env_bucket = b->number;
    h->content->env = envelope_ref(env);
    handle_note(e, h);
    sse_handle_set(h, env, kek);
    *ret = h;
    return 0;
}

static int judge_read(struct engine *e, struct caller *c, const struct bucket *b, struct span key, const char *id, const struct version *v)
{
    struct may m = {.record = v ? &v->record : NULL, .seq = v && id ? v->seq : 0};
    return engine_may_with(e, c, id ? "s3:GetObjectVersion" : "s3:GetObject", b, key, &m);
}

static int fail_marker(struct caller *c, const char *id)
{
    if (!id)
        return reason_fail_s3(&c->reason, ENOENT, "NoSuchKey", "The specified key does not exist.");
    return reason_fail_s3(&c->reason, EPERM, "MethodNotAllowed", "The specified method is not allowed against this resource.");
}

/* Content that is wanted, held and its key opened. */
struct wanted {
    struct gc_pin pin;
    struct envelope *env;
    struct data_key *kek;
};

static int hold_content(struct engine *e, struct caller *c, const struct bucket *b, const struct version *v, struct wanted *w)
{
    int r = sse_open(e, c, b, span_of(v->key, v->key_len), v->seq, v->record.env, &w->kek);
    if (r == 0 && (r = object_pin(e, v, &w->pin)) < 0)
        data_key_unref(w->kek);
    if (r == 0)
        w->env = envelope_ref(v->record.env);
    return r;
}

/* What is there, judged; `wanted` when the content is. M */
static int open_version(struct engine *e, struct caller *c, const struct bucket *b, struct span key, const char *id,
                        struct engine_conditions *conditions, struct engine_object *object, struct wanted *wanted)
{
    struct version v;
    int found = object_find(e, c, b, key, id, &v);
    if (found < 0 && found != -ENOENT)
        return found;
    int r = judge_read(e, c, b, key, id, found == 0 ? &v : NULL);
    if (found < 0)
        return r < 0 ? r : id ? object_missing_version(e, c, b, key) : object_missing(e, c, b, key);
    if (r == 0 && (v.flags & VERSION_MARKER) && !id) {
        int missing = object_missing(e, c, b, key); /* who may not list is not told of the marker either */
        r = missing == -ENOENT ? 0 : missing;
    }
    if (r == 0)
        r = object_fill(e, b, &v, !id || is_latest(e, &v), object);
    if (r == 0 && object->marker)
        r = fail_marker(c, id);
    if (r == 0 && conditions)
        r = condition_read(conditions, &v, &c->reason);
    if (r == 0 && wanted)
        r = trail_read(e, c, b, key, id);
    if (r == 0 && wanted)
        r = hold_content(e, c, b, &v, wanted);
    version_done(&v);
    return r;
}

int engine_object_open(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *version_id,
                       struct engine_conditions *conditions, struct engine_object *object, struct engine_handle **ret)
{
    struct wanted w = {.env = NULL};
    const struct bucket *b;
    *object = (struct engine_object){0};
    {
        LOCK_SCOPE(&e->meta);
        b = bucket_by_number(e, bucket);
        int r = b ? open_version(e, c, b, key, version_id, conditions, object, ret ? &w : NULL) : object_no_bucket(c);
        if (r < 0)
            return r;
    }
    return ret ? object_handle(e, c, b, &w.pin, w.env, w.kek, object->version.attr.size_bytes, ret) : 0;
}

/* M */
static int find_judged(struct engine *e, struct caller *c, const char *action, const struct bucket *b, struct span key, const char *id,
                       struct engine_object *object)
{
    struct version v;
    int found = object_find(e, c, b, key, id, &v);
    if (found < 0 && found != -ENOENT)
        return found;
    struct may m = {.record = found == 0 ? &v.record : NULL, .seq = found == 0 && id ? v.seq : 0};
    int r = engine_may_with(e, c, action, b, key, &m);
    if (found < 0)
        return r < 0 ? r : id ? object_missing_version(e, c, b, key) : object_missing(e, c, b, key);
    if (r == 0)
        r = object_fill(e, b, &v, !id || is_latest(e, &v), object);
    if (r == 0 && object->marker)
        r = fail_marker(c, "");
    version_done(&v);
    return r;
}

int engine_object_find(struct engine *e, struct caller *c, const char *action, uint32_t bucket, struct span key, const char *version_id,
                       struct engine_object *object)
{
    *object = (struct engine_object){0};
    LOCK_SCOPE(&e->meta);
    const struct bucket *b = bucket_by_number(e, bucket);
    return b ? find_judged(e, c, action, b, key, version_id, object) : object_no_bucket(c);
}

int object_settle(struct engine *e)
{
    int r = durable_advance(e);
    if (r == 0)
        engine_watch_settle(e);
    return r;
}

void engine_mac(struct engine *e, const char *purpose, const void *data, size_t len, uint8_t out[16])
{
    uint8_t key[32], mac[32];
    {
        LOCK_SCOPE(&e->meta);
        store_keys_purpose(e->keys, purpose, key);
    }
    HMAC(EVP_sha256(), key, sizeof key, data, len, mac, NULL);
    memcpy(out, mac, 16);
    secret_wipe(key, sizeof key);
}
