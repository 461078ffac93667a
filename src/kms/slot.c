/* SPDX-License-Identifier: GPL-3.0-or-later
 * Slots: from what a person holds to the store's master key M (encryption.md §1.1). The additional data of a
 * slot's wrap names the store, the slot and every parameter of its derivation, so that none of them can be
 * altered unseen. */
#include "kms/internal.h"
#include "util/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

static int scrypt_derive(const struct slot *slot, const struct unlock *unlock, uint8_t key[KEY_BYTES])
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *c = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    uint64_t n = UINT64_C(1) << slot->scrypt_log_n, r = slot->scrypt_r, p = slot->scrypt_p;
    uint64_t memory_bytes = 256 * n * r; /* OpenSSL's own bound, 32 MiB, is below our default */
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, secret_bytes(unlock->secret),
                                          secret_len(unlock->secret)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)slot->salt, sizeof slot->salt),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory_bytes),
        OSSL_PARAM_construct_end(),
    };
    int done = c ? EVP_KDF_derive(c, key, KEY_BYTES, params) : 0;
    EVP_KDF_CTX_free(c);
    EVP_KDF_free(kdf);
    /* The parameters are in bounds and the secret is there: what is left to fail is the memory. */
    return done == 1 ? 0 : -ENOMEM;
}

int slot_key_derive(const struct slot *slot, const struct unlock *unlock, uint8_t key[KEY_BYTES])
{
    static const char keyfile[] = "holdfs/v1/slot/keyfile", recovery[] = "holdfs/v1/slot/recovery";
    if (slot->kind == SLOT_PASSPHRASE)
        return scrypt_derive(slot, unlock, key);
    bool is_recovery = slot->kind == SLOT_RECOVERY;
    hkdf_sha256(secret_peek(unlock->secret), secret_len(unlock->secret), slot->salt, sizeof slot->salt,
                is_recovery ? recovery : keyfile, (is_recovery ? sizeof recovery : sizeof keyfile) - 1, key);
    return 0;
}

static const char slot_purpose[] = "holdfs/v1/slot"; /* with its zero byte */
enum { SLOT_AAD_BYTES = sizeof slot_purpose + 16 + 1 + 1 + 1 + 4 + 4 + 32 };

static void slot_aad(const struct slot *slot, const uint8_t store_id[16], uint8_t aad[SLOT_AAD_BYTES])
{
    uint8_t *at = aad_put(aad, slot_purpose, sizeof slot_purpose);
    at = aad_put(at, store_id, 16);
    at = aad_put_uint(at, slot->n, 1);
    at = aad_put_uint(at, slot->kind, 1);
    at = aad_put_uint(at, slot->scrypt_log_n, 1);
    at = aad_put_uint(at, slot->scrypt_r, 4);
    at = aad_put_uint(at, slot->scrypt_p, 4);
    at = aad_put(at, slot->salt, sizeof slot->salt);
    assert(at == aad + SLOT_AAD_BYTES);
}

int slot_seal(struct slot *slot, const uint8_t store_id[16], const uint8_t slot_key[KEY_BYTES],
              const uint8_t nonce[XAES_NONCE_BYTES], const uint8_t master[KEY_BYTES])
{
    uint8_t aad[SLOT_AAD_BYTES];
    slot_aad(slot, store_id, aad);
    struct xaes_key *k = xaes_key_new(slot_key);
    if (!k)
        return -ENOMEM;
    int r = key_seal(k, nonce, aad, sizeof aad, master, slot->wrapped);
    xaes_key_free(k);
    return r;
}

int slot_open(const struct slot *slot, const uint8_t store_id[16], const uint8_t slot_key[KEY_BYTES],
              uint8_t master[KEY_BYTES])
{
    uint8_t aad[SLOT_AAD_BYTES];
    slot_aad(slot, store_id, aad);
    struct xaes_key *k = xaes_key_new(slot_key);
    if (!k)
        return -ENOMEM;
    int r = xaes_open(k, aad, sizeof aad, slot->wrapped, sizeof slot->wrapped, master);
    xaes_key_free(k);
    return r;
}

int slot_make(uint8_t n, const struct unlock *unlock, unsigned scrypt_log_n, const uint8_t store_id[16],
              const uint8_t master[KEY_BYTES], struct slot *ret)
{
    assert(unlock->kind >= SLOT_PASSPHRASE && unlock->kind <= SLOT_RECOVERY);
    struct slot slot = {.n = n, .kind = (uint8_t)unlock->kind};
    if (unlock->kind == SLOT_PASSPHRASE) {
        slot.scrypt_log_n = (uint8_t)scrypt_log_n;
        slot.scrypt_r = 8;
        slot.scrypt_p = 1;
    }
    uint8_t nonce[XAES_NONCE_BYTES];
    random_bytes(slot.salt, sizeof slot.salt);
    random_bytes(nonce, sizeof nonce);
    CLEANUP(secret_cleanup) struct secret *key = secret_new(KEY_BYTES);
    if (!key)
        return -ENOMEM;
    int r = slot_key_derive(&slot, unlock, secret_bytes(key));
    if (r == 0)
        r = slot_seal(&slot, store_id, secret_peek(key), nonce, master);
    if (r == 0)
        *ret = slot;
    return r;
}

bool slot_takes(const struct slot *slot, enum slot_kind kind)
{
    if (kind == SLOT_KEYFILE || kind == SLOT_CREDENTIAL)
        return slot->kind == SLOT_KEYFILE || slot->kind == SLOT_CREDENTIAL;
    return slot->kind == kind;
}
