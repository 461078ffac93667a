/* SPDX-License-Identifier: GPL-3.0-or-later
 * XAES-256-GCM and HKDF over OpenSSL's EVP; see xaes.h.
 *
 * Each thread keeps three EVP contexts (derivation, seal, open), so that a message allocates nothing. They
 * remember what they were set up for: a run of pages under one key pays for K's schedule once, and a run of
 * nonces that differ in their second half only pays for the message key once. */
#include "util/xaes.h"
#include "util/secret.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct xaes_key {
    uint64_t serial;       /* never used twice in a process, unlike an address */
    struct secret *secret; /* K (32) || K1 (16) */
};

/* The message key a context holds. */
struct message_of {
    uint64_t serial; /* of K; 0 none */
    uint8_t half[12];
};

struct thread_ciphers {
    EVP_CIPHER_CTX *derive, *seal, *open;
    uint64_t derive_serial; /* of the key `derive` is set up for; 0 none */
    struct message_of sealing, opening;
};

static pthread_once_t ciphers_once = PTHREAD_ONCE_INIT;
static pthread_key_t ciphers_at_exit;
static EVP_CIPHER *aes_ecb, *aes_gcm;
static EVP_KDF *hkdf;
static _Thread_local struct thread_ciphers *ciphers;
static atomic_uint_fast64_t last_serial;

/* Without these nothing can be read or written, and no caller could do better than stop. */
static void crypto_die(const char *what)
{
    fprintf(stderr, "holdfs: OpenSSL cannot provide %s\n", what);
    abort();
}

static void thread_ciphers_free(void *p)
{
    struct thread_ciphers *t = p;
    EVP_CIPHER_CTX_free(t->derive);
    EVP_CIPHER_CTX_free(t->seal);
    EVP_CIPHER_CTX_free(t->open);
    free(t);
    ciphers = NULL; /* another destructor of this thread may still seal something */
}

static void ciphers_prepare(void)
{
    aes_ecb = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
    aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    if (!aes_ecb || !aes_gcm || !hkdf || pthread_key_create(&ciphers_at_exit, thread_ciphers_free) != 0)
        crypto_die("AES-256-GCM and HKDF");
}

static struct thread_ciphers *thread_ciphers_new(void)
{
    pthread_once(&ciphers_once, ciphers_prepare);
    struct thread_ciphers *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->derive = EVP_CIPHER_CTX_new();
    t->seal = EVP_CIPHER_CTX_new();
    t->open = EVP_CIPHER_CTX_new();
    if (!t->derive || !t->seal || !t->open || !EVP_EncryptInit_ex2(t->derive, aes_ecb, NULL, NULL, NULL) ||
        !EVP_EncryptInit_ex2(t->seal, aes_gcm, NULL, NULL, NULL) ||
        !EVP_DecryptInit_ex2(t->open, aes_gcm, NULL, NULL, NULL) ||
        pthread_setspecific(ciphers_at_exit, t) != 0) {
        thread_ciphers_free(t);
        return NULL;
    }
    return t;
}

static struct thread_ciphers *ciphers_of_thread(void)
{
    if (!ciphers)
        ciphers = thread_ciphers_new();
    return ciphers;
}

/* AES-256-ECB of whole blocks under K, in one call. */
static bool derive_blocks(struct thread_ciphers *t, uint64_t serial, const uint8_t *key, const uint8_t *in,
                          int len, uint8_t *out)
{
    if (t->derive_serial != serial) {
        t->derive_serial = 0;
        if (!EVP_EncryptInit_ex2(t->derive, NULL, key, NULL, NULL) ||
            !EVP_CIPHER_CTX_set_padding(t->derive, 0))
            return false;
        t->derive_serial = serial;
    }
    int done;
    return EVP_EncryptUpdate(t->derive, out, &done, in, len) && done == len;
}

struct xaes_key *xaes_key_new(const uint8_t key[32])
{
    struct thread_ciphers *t = ciphers_of_thread();
    struct xaes_key *k = calloc(1, sizeof *k);
    struct secret *s = secret_new(48);
    if (!t || !k || !s) {
        free(k);
        secret_free(s);
        return NULL;
    }
    k->serial = atomic_fetch_add(&last_serial, 1) + 1;
    k->secret = s;
    uint8_t *bytes = secret_bytes(s), *k1 = bytes + 32;
    memcpy(bytes, key, 32);
    static const uint8_t zeros[16];
    if (!derive_blocks(t, k->serial, bytes, zeros, 16, k1)) {
        xaes_key_free(k);
        return NULL;
    }
    uint8_t carry = 0;
    for (int i = 15; i >= 0; i--) {
        uint8_t top = k1[i] >> 7;
        k1[i] = (uint8_t)(k1[i] << 1) | carry;
        carry = top;
    }
    k1[15] ^= (uint8_t)(-carry & 0x87);
    return k;
}

void xaes_key_free(struct xaes_key *k)
{
    if (!k)
        return;
    secret_free(k->secret);
    free(k);
}

/* Kx of the page's conventions: the message key for the nonce's first half. */
static bool message_key(struct thread_ciphers *t, const struct xaes_key *k, const uint8_t nonce[24],
                        uint8_t kx[32])
{
    const uint8_t *key = secret_peek(k->secret), *k1 = key + 32;
    uint8_t blocks[32] = {0, 1, 'X', 0};
    memcpy(blocks + 4, nonce, 12);
    memcpy(blocks + 16, blocks, 16);
    blocks[17] = 2;
    for (int i = 0; i < 16; i++) {
        blocks[i] ^= k1[i];
        blocks[16 + i] ^= k1[i];
    }
    bool ok = derive_blocks(t, k->serial, key, blocks, 32, kx);
    secret_wipe(blocks, sizeof blocks);
    return ok;
}

/* Sets the context up for the message, with as little as it takes. */
static bool message_begin(struct thread_ciphers *t, const struct xaes_key *k, const uint8_t nonce[24],
                          EVP_CIPHER_CTX *c, struct message_of *of, int encrypting)
{
    if (of->serial == k->serial && !memcmp(of->half, nonce, sizeof of->half))
        return EVP_CipherInit_ex2(c, NULL, NULL, nonce + 12, encrypting, NULL);
    uint8_t kx[32];
    of->serial = 0;
    bool ok = message_key(t, k, nonce, kx) && EVP_CipherInit_ex2(c, NULL, kx, nonce + 12, encrypting, NULL);
    secret_wipe(kx, sizeof kx);
    if (ok) {
        of->serial = k->serial;
        memcpy(of->half, nonce, sizeof of->half);
    }
    return ok;
}

static bool gcm_encrypt(EVP_CIPHER_CTX *c, const void *aad, size_t aad_len, const void *plain, size_t len,
                        void *out, uint8_t tag[16])
{
    int done = 0;
    uint8_t none[16];
    if (aad_len && !EVP_EncryptUpdate(c, NULL, &done, aad, (int)aad_len))
        return false;
    if (len && (!EVP_EncryptUpdate(c, out, &done, plain, (int)len) || (size_t)done != len))
        return false;
    return EVP_EncryptFinal_ex(c, none, &done) &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, XAES_TAG_BYTES, tag);
}

static bool gcm_decrypt(EVP_CIPHER_CTX *c, const void *aad, size_t aad_len, const void *cipher, size_t len,
                        const uint8_t tag[16], void *out)
{
    int done = 0;
    uint8_t none[16], expected[16];
    memcpy(expected, tag, sizeof expected);
    if (!EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, XAES_TAG_BYTES, expected))
        return false;
    if (aad_len && !EVP_DecryptUpdate(c, NULL, &done, aad, (int)aad_len))
        return false;
    if (len && (!EVP_DecryptUpdate(c, out, &done, cipher, (int)len) || (size_t)done != len))
        return false;
    return EVP_DecryptFinal_ex(c, none, &done);
}

int xaes_encrypt(const struct xaes_key *k, const uint8_t nonce[24], const void *aad, size_t aad_len,
                 const void *plain, size_t len, void *out, uint8_t tag[16])
{
    assert(len <= INT_MAX && aad_len <= INT_MAX);
    struct thread_ciphers *t = ciphers_of_thread();
    if (!t)
        return -EIO;
    bool ok = message_begin(t, k, nonce, t->seal, &t->sealing, 1) &&
              gcm_encrypt(t->seal, aad, aad_len, plain, len, out, tag);
    return ok ? 0 : -EIO;
}

int xaes_decrypt(const struct xaes_key *k, const uint8_t nonce[24], const void *aad, size_t aad_len,
                 const void *cipher, size_t len, const uint8_t tag[16], void *out)
{
    assert(len <= INT_MAX && aad_len <= INT_MAX);
    struct thread_ciphers *t = ciphers_of_thread();
    if (!t || !message_begin(t, k, nonce, t->open, &t->opening, 0))
        return -EIO;
    if (gcm_decrypt(t->open, aad, aad_len, cipher, len, tag, out))
        return 0;
    secret_wipe(out, len);
    return -EBADMSG;
}

int xaes_seal(const struct xaes_key *k, const void *aad, size_t aad_len, const void *plain, size_t len,
              void *out)
{
    uint8_t *nonce = out;
    random_bytes(nonce, XAES_NONCE_BYTES);
    uint8_t *cipher = nonce + XAES_NONCE_BYTES;
    return xaes_encrypt(k, nonce, aad, aad_len, plain, len, cipher, cipher + len);
}

int xaes_open(const struct xaes_key *k, const void *aad, size_t aad_len, const void *sealed,
              size_t sealed_len, void *out)
{
    if (sealed_len < XAES_OVERHEAD_BYTES)
        return -EBADMSG;
    const uint8_t *nonce = sealed, *cipher = nonce + XAES_NONCE_BYTES;
    size_t len = sealed_len - XAES_OVERHEAD_BYTES;
    return xaes_decrypt(k, nonce, aad, aad_len, cipher, len, cipher + len, out);
}

void hkdf_sha256(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len, const void *info,
                 size_t info_len, uint8_t out[32])
{
    assert(ikm_len > 0);
    pthread_once(&ciphers_once, ciphers_prepare);
    EVP_KDF_CTX *c = EVP_KDF_CTX_new(hkdf);
    /* OpenSSL refuses empty values; the RFC's are those it takes for absent ones. */
    OSSL_PARAM params[5], *at = params;
    *at++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
    *at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)ikm, ikm_len);
    if (salt_len)
        *at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_len);
    if (info_len)
        *at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_len);
    *at = OSSL_PARAM_construct_end();
    if (!c || EVP_KDF_derive(c, out, 32, params) <= 0)
        crypto_die("HKDF");
    EVP_KDF_CTX_free(c);
}
