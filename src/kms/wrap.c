/* SPDX-License-Identifier: GPL-3.0-or-later
 * Wrapping of bucket keys and data keys (encryption.md §1.3). The additional data says what a wrapped key is
 * for, so that one put in another's place does not open. */
#include "kms/keys.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int key_seal(const struct xaes_key *k, const uint8_t nonce[XAES_NONCE_BYTES], const void *aad, size_t aad_len,
             const uint8_t key[KEY_BYTES], uint8_t out[WRAPPED_KEY_BYTES])
{
    uint8_t *cipher = out + XAES_NONCE_BYTES;
    memcpy(out, nonce, XAES_NONCE_BYTES);
    return xaes_encrypt(k, nonce, aad, aad_len, key, KEY_BYTES, cipher, cipher + KEY_BYTES);
}

static const char kek_purpose[] = "holdfs/v1/kek",
                  dek_purpose[] = "holdfs/v1/dek"; /* with their zero bytes */
enum {
    KEK_AAD_BYTES = sizeof kek_purpose + 16 + 16 + 1 + 4 + 8 + 16,
    DEK_AAD_BYTES = sizeof dek_purpose + 16 + 16 + 16 + 4 + 16 + 1,
};
_Static_assert(DEK_AAD_BYTES == 83, "encryption.md §1.3 says so");

static void kek_aad(const struct store_keys *k, const struct kek_name *name, uint8_t aad[KEK_AAD_BYTES])
{
    uint8_t *at = aad_put(aad, kek_purpose, sizeof kek_purpose);
    at = aad_put(at, k->header.store_id, 16);
    at = aad_put(at, name->kek_id, 16);
    at = aad_put_uint(at, name->kind, 1);
    at = aad_put_uint(at, name->version, 4);
    at = aad_put_uint(at, name->epoch, 8);
    at = aad_put(at, name->bucket, 16);
    assert(at == aad + KEK_AAD_BYTES);
}

/* NULL when the header does not name the epoch (any more). */
static const struct xaes_key *kek_root(const struct store_keys *k, uint64_t epoch)
{
    for (size_t i = 0; i < k->header.epoch_count; i++) {
        if (k->header.epochs[i].e == epoch)
            return k->roots[i];
    }
    return NULL;
}

int kek_seal(const struct store_keys *k, const struct kek_name *name, const uint8_t nonce[XAES_NONCE_BYTES],
             const uint8_t key[KEY_BYTES], uint8_t out[WRAPPED_KEY_BYTES])
{
    const struct xaes_key *root = kek_root(k, name->epoch);
    if (!root)
        return -EINVAL;
    uint8_t aad[KEK_AAD_BYTES];
    kek_aad(k, name, aad);
    return key_seal(root, nonce, aad, sizeof aad, key, out);
}

int kek_wrap(const struct store_keys *k, const struct kek_name *name, const uint8_t key[32], uint8_t out[72])
{
    uint8_t nonce[XAES_NONCE_BYTES];
    random_bytes(nonce, sizeof nonce);
    return kek_seal(k, name, nonce, key, out);
}

int kek_unwrap(const struct store_keys *k, const struct kek_name *name, const uint8_t wrapped[72],
               uint8_t out[32])
{
    const struct xaes_key *root = kek_root(k, name->epoch);
    if (!root)
        return -EBADMSG;
    uint8_t aad[KEK_AAD_BYTES];
    kek_aad(k, name, aad);
    return xaes_open(root, aad, sizeof aad, wrapped, WRAPPED_KEY_BYTES, out);
}

static void dek_aad(const uint8_t store_id[16], const struct dek_name *name, uint8_t aad[DEK_AAD_BYTES])
{
    uint8_t *at = aad_put(aad, dek_purpose, sizeof dek_purpose);
    at = aad_put(at, store_id, 16);
    at = aad_put(at, name->bucket, 16);
    at = aad_put(at, name->kek_id, 16);
    at = aad_put_uint(at, name->kek_version, 4);
    at = aad_put(at, name->dek_id, 16);
    at = aad_put_uint(at, name->algorithm, 1);
    assert(at == aad + DEK_AAD_BYTES);
}

int dek_seal(const uint8_t store_id[16], const struct xaes_key *kek, const struct dek_name *name,
             const uint8_t nonce[XAES_NONCE_BYTES], const uint8_t dek[KEY_BYTES],
             uint8_t out[WRAPPED_KEY_BYTES])
{
    uint8_t aad[DEK_AAD_BYTES];
    dek_aad(store_id, name, aad);
    return key_seal(kek, nonce, aad, sizeof aad, dek, out);
}

int dek_wrap(const uint8_t store_id[16], const struct xaes_key *kek, const struct dek_name *name,
             const uint8_t dek[32], uint8_t out[72])
{
    uint8_t nonce[XAES_NONCE_BYTES];
    random_bytes(nonce, sizeof nonce);
    return dek_seal(store_id, kek, name, nonce, dek, out);
}

int dek_unwrap(const uint8_t store_id[16], const struct xaes_key *kek, const struct dek_name *name,
               const uint8_t wrapped[72], uint8_t out[32])
{
    uint8_t aad[DEK_AAD_BYTES];
    dek_aad(store_id, name, aad);
    return xaes_open(kek, aad, sizeof aad, wrapped, WRAPPED_KEY_BYTES, out);
}
