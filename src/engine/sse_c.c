/* SPDX-License-Identifier: GPL-3.0-or-later
 * Customer keys on a mount: held for one uid (and perhaps one session) in locked memory, never written anywhere (encryption.md §6). */
#include "engine/sse_c.h"

#include <openssl/evp.h>

struct held_key {
    struct held_key *next;
    uint32_t bucket, uid;
    pid_t session; /* 0: any */
    bool write;
    struct secret *key;
};

void sse_c_derive(const uint8_t key[32], const uint8_t salt[16], uint8_t ret_kek[32], uint8_t ret_verifier[32])
{
    static const char kek_info[] = "holdfs/v1/sse-c/kek", verify_info[] = "holdfs/v1/sse-c/verify";
    hkdf_sha256(key, 32, salt, 16, kek_info, sizeof kek_info - 1, ret_kek);
    hkdf_sha256(key, 32, salt, 16, verify_info, sizeof verify_info - 1, ret_verifier);
}

static bool counts_for(const struct held_key *h, const struct caller *c, const struct bucket *b)
{
    return strcmp(c->front, "s3") != 0 && h->bucket == b->number && h->uid == c->uid && (!h->session || getsid(c->pid) == h->session);
}

static int open_with(struct engine *e, const struct held_key *h, const struct envelope *env, struct data_key **ret)
{
    static const uint8_t nobody[16];
    uint8_t kek[32], verifier[32];
    sse_c_derive(secret_peek(h->key), env->salt, kek, verifier);
    int r = secret_equal(verifier, env->verifier, 32) ? 0 : -EKEYREJECTED;
    if (r == 0 && !(*ret = data_keys_put(e->kms->open, env->kek_id, nobody, kek, clock_mono_ns())))
        r = -ENOMEM;
    secret_wipe(kek, sizeof kek);
    return r;
}

int sse_c_open(struct engine *e, struct caller *c, const struct bucket *b, const struct envelope *env, struct data_key **ret)
{
    bool any = false;
    for (const struct held_key *h = e->kms->held; h; h = h->next) {
        if (!counts_for(h, c, b))
            continue;
        any = true;
        int r = open_with(e, h, env, ret);
        if (r != -EKEYREJECTED)
            return r;
    }
    if (any)
        return reason_fail_s3(&c->reason, EKEYREJECTED, "AccessDenied",
                              "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.");
    return reason_fail_s3(&c->reason, ENOKEY, "InvalidRequest",
                          "this is under a key of yours that holdfs does not keep: holdfs key unlock MNT/%s --sse-c-key FILE", b->name);
}

int sse_c_key_md5(struct engine *e, struct caller *c, const struct bucket *b, const struct envelope *env, char out[32])
{
    for (const struct held_key *h = e->kms->held; h; h = h->next) {
        struct data_key *kek;
        uint8_t md5[16];
        if (!counts_for(h, c, b) || open_with(e, h, env, &kek) < 0)
            continue;
        data_key_unref(kek);
        if (EVP_Digest(secret_peek(h->key), 32, md5, NULL, EVP_md5(), NULL) != 1)
            return -EIO;
        base64_format(md5, sizeof md5, out);
        return 0;
    }
    struct data_key *kek;
    int r = sse_c_open(e, c, b, env, &kek); /* for its words */
    return r < 0 ? r : -ENOKEY;
}

static const struct held_key *writing_key(const struct engine *e, const struct caller *c, const struct bucket *b)
{
    const struct held_key *h = e->kms->held;
    while (h && !(h->write && counts_for(h, c, b)))
        h = h->next;
    return h;
}

bool sse_c_writes(const struct engine *e, const struct caller *c, const struct bucket *b)
{
    return e->kms && writing_key(e, c, b);
}

int sse_c_new(struct engine *e, struct caller *c, const struct bucket *b, struct envelope **ret_env, struct data_key **ret_kek)
{
    const struct held_key *h = writing_key(e, c, b);
    if (!h)
        return 0;
    if (b->sse_c_blocked)
        return reason_fail_s3(&c->reason, EACCES, "AccessDenied",
                              "bucket '%s' has blocked objects under customer keys; unlock it without --write", b->name);
    struct envelope *env = envelope_new(ENVELOPE_SSE_C);
    if (!env)
        return -ENOMEM;
    uint8_t kek[32];
    static const uint8_t nobody[16];
    uuid_random(env->kek_id);
    random_bytes(env->salt, sizeof env->salt);
    sse_c_derive(secret_peek(h->key), env->salt, kek, env->verifier);
    *ret_kek = data_keys_put(e->kms->open, env->kek_id, nobody, kek, clock_mono_ns());
    secret_wipe(kek, sizeof kek);
    if (!*ret_kek) {
        envelope_unref(env);
        return -ENOMEM;
    }
    *ret_env = env;
    return 1;
}

static void held_free(struct held_key *h)
{
    secret_free(h->key);
    free(h);
}

void sse_c_close(struct engine *e)
{
    for (struct held_key *h; (h = e->kms->held);) {
        e->kms->held = h->next;
        held_free(h);
    }
}

/* ---- unlocking and locking (encryption.md §6) ---- */

static int bucket_of(struct engine *e, struct caller *c, uint64_t ino, const struct bucket **ret)
{
    struct inode *i;
    int r = inode_get(e, ino, &i);
    if (r < 0)
        return r;
    *ret = i->bucket;
    bool root = i->bucket && i->ino == i->bucket->root_ino;
    inode_put(e, i);
    return root ? 0 : reason_fail(&c->reason, EINVAL, "customer keys are unlocked for a bucket: name its directory, MNT/BUCKET");
}

/* The key takes the place of the same one of the same caller. M */
static int hold(struct engine *e, struct caller *c, const struct bucket *b, const struct secret *key, bool write, bool session)
{
    pid_t sid = session ? getsid(c->pid) : 0;
    if (sid < 0)
        return reason_fail(&c->reason, ESRCH, "the caller's session cannot be told: leave out --session");
    struct held_key *h = e->kms->held;
    while (h && !(h->bucket == b->number && h->uid == c->uid && h->session == sid && secret_equal(secret_peek(h->key), secret_peek(key), 32)))
        h = h->next;
    if (!h) {
        h = calloc(1, sizeof *h);
        if (!h || !(h->key = secret_copy(secret_peek(key), 32))) {
            free(h);
            return -ENOMEM;
        }
        h->bucket = b->number;
        h->uid = c->uid;
        h->session = sid;
        h->next = e->kms->held;
        e->kms->held = h;
    }
    h->write = write;
    for (struct held_key *other = e->kms->held; write && other; other = other->next) { /* new files are under one of them */
        if (other != h && other->bucket == h->bucket && other->uid == h->uid && other->session == h->session)
            other->write = false;
    }
    return 0;
}

int engine_sse_c_unlock(struct engine *e, struct caller *c, uint64_t ino, const struct secret *key, bool write, bool session)
{
    const struct bucket *b;
    if (secret_len(key) != 32)
        return reason_fail_s3(&c->reason, EINVAL, "InvalidArgument", "a customer's key has 32 bytes, or is their base64");
    LOCK_SCOPE(&e->meta);
    int r = bucket_of(e, c, ino, &b);
    if (r == 0)
        r = engine_may(e, c, "s3:ListBucket", b, span_of(NULL, 0));
    if (r == 0 && write && b->sse_c_blocked)
        r = reason_fail_s3(&c->reason, EACCES, "AccessDenied", "bucket '%s' has blocked objects under customer keys; unlock it without --write", b->name);
    return r < 0 ? r : hold(e, c, b, key, write, session);
}

int engine_sse_c_lock(struct engine *e, struct caller *c, uint64_t ino)
{
    const struct bucket *b;
    unsigned count = 0;
    {
        LOCK_SCOPE(&e->meta);
        int r = bucket_of(e, c, ino, &b);
        if (r < 0)
            return r;
        for (struct held_key **at = &e->kms->held, *h; (h = *at);) {
            if (h->bucket != b->number || h->uid != c->uid) {
                at = &h->next;
                continue;
            }
            *at = h->next;
            held_free(h);
            count++;
        }
    }
    if (!count)
        return reason_fail(&c->reason, ENOKEY, "no key of yours is unlocked for bucket '%s'", b->name);
    sse_evict_customer(e, b->number, c->uid);
    return 0;
}

int engine_sse_c_status(struct engine *e, struct caller *c, json_t **ret)
{
    json_t *list = json_array();
    LOCK_SCOPE(&e->meta);
    for (const struct held_key *h = e->kms->held; h; h = h->next) {
        const struct bucket *b = bucket_by_number(e, h->bucket);
        if (b && h->uid == c->uid)
            json_array_append_new(list, json_pack("{s:s, s:b, s:b}", "bucket", b->name, "write", h->write, "session", h->session != 0));
    }
    *ret = json_pack("{s:o}", "keys", list);
    return *ret ? 0 : -ENOMEM;
}
