/* SPDX-License-Identifier: GPL-3.0-or-later
 * AES-256-GCM with contexts kept per thread; see gcm.h. */
#include "pipeline/gcm.h"

#include "pipeline/thread.h"
#include "util/cleanup.h"

#include <assert.h>
#include <errno.h>

static pthread_once_t gcm_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *gcm_cipher;

static void gcm_fetch(void)
{
    gcm_cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

/* The context that holds the key; else the longest unused one, which then takes it. Under t->lock. */
static EVP_CIPHER_CTX *gcm_context(struct thread_state *t, struct thread_key *keys, const struct frame_key *key,
                                   int encrypting)
{
    assert(key->serial != 0);
    struct thread_key *best = &keys[0];
    for (int i = 0; i < THREAD_KEYS; i++) {
        if (keys[i].serial == key->serial) {
            keys[i].used = ++t->tick;
            return keys[i].ctx;
        }
        if (keys[i].used < best->used)
            best = &keys[i];
    }
    pthread_once(&gcm_once, gcm_fetch);
    best->serial = 0;
    if (!best->ctx)
        best->ctx = EVP_CIPHER_CTX_new();
    if (!best->ctx || EVP_CipherInit_ex2(best->ctx, gcm_cipher, key->key, NULL, encrypting, NULL) != 1)
        return NULL;
    best->serial = key->serial;
    best->used = ++t->tick;
    return best->ctx;
}

int gcm_seal(const struct frame_key *key, const uint8_t nonce[GCM_NONCE_BYTES], const void *aad, size_t aad_len,
             const void *in, size_t len, void *out, uint8_t tag[GCM_TAG_BYTES])
{
    struct thread_state *t = thread_state();
    if (!t)
        return -ENOMEM;
    LOCK_SCOPE(&t->lock);
    EVP_CIPHER_CTX *ctx = gcm_context(t, t->seal, key, 1);
    int n;
    if (!ctx)
        return -ENOMEM;
    bool ok = EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL) == 1 &&
              EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1 &&
              EVP_EncryptUpdate(ctx, out, &n, in, (int)len) == 1 &&
              EVP_EncryptFinal_ex(ctx, (uint8_t *)out + len, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_BYTES, tag) == 1;
    return ok ? 0 : -EIO;
}

int gcm_open(const struct frame_key *key, const uint8_t nonce[GCM_NONCE_BYTES], const void *aad, size_t aad_len,
             const void *in, size_t len, const uint8_t tag[GCM_TAG_BYTES], void *out)
{
    struct thread_state *t = thread_state();
    if (!t)
        return -ENOMEM;
    LOCK_SCOPE(&t->lock);
    EVP_CIPHER_CTX *ctx = gcm_context(t, t->open, key, 0);
    int n;
    if (!ctx)
        return -ENOMEM;
    bool ok = EVP_DecryptInit_ex2(ctx, NULL, NULL, nonce, NULL) == 1 &&
              EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1 &&
              EVP_DecryptUpdate(ctx, out, &n, in, (int)len) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_BYTES, (void *)(uintptr_t)tag) == 1 &&
              EVP_DecryptFinal_ex(ctx, (uint8_t *)out + len, &n) == 1;
    return ok ? 0 : -EBADMSG;
}

static void gcm_forget_in(struct thread_key *keys, uint64_t serial)
{
    for (int i = 0; i < THREAD_KEYS; i++) {
        if (keys[i].serial == serial) {
            EVP_CIPHER_CTX_reset(keys[i].ctx); /* cleanses the key schedule */
            keys[i].serial = keys[i].used = 0;
        }
    }
}

static void gcm_forget_thread(struct thread_state *t, uint64_t serial)
{
    LOCK_SCOPE(&t->lock);
    gcm_forget_in(t->seal, serial);
    gcm_forget_in(t->open, serial);
}

void gcm_forget(uint64_t serial)
{
    thread_each(gcm_forget_thread, serial);
}
