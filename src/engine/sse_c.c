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
