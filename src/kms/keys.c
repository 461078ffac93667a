/* SPDX-License-Identifier: GPL-3.0-or-later
 * The keys of an open store: M, what is derived from it (encryption.md §1.2), and the MAC of the header. */
#include "kms/keys.h"
#include "util/cleanup.h"
#include "util/text.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

void kek_root_derive(const uint8_t master[KEY_BYTES], const uint8_t store_id[16],
                     const uint8_t epoch_secret[KEY_BYTES], uint8_t out[KEY_BYTES])
{
    static const char info[] = "holdfs/v1/kek-root";
    uint8_t salt[16 + KEY_BYTES];
    aad_put(aad_put(salt, store_id, 16), epoch_secret, KEY_BYTES);
    hkdf_sha256(master, KEY_BYTES, salt, sizeof salt, info, sizeof info - 1, out);
    secret_wipe(salt, sizeof salt);
}

static bool store_keys_derive_roots(struct store_keys *k)
{
    CLEANUP(secret_cleanup) struct secret *root = secret_new(KEY_BYTES);
    if (!root)
        return false;
    for (size_t i = 0; i < k->header.epoch_count; i++) {
        kek_root_derive(secret_peek(k->master), k->header.store_id, k->header.epochs[i].secret,
                        secret_bytes(root));
        k->roots[i] = xaes_key_new(secret_peek(root));
        if (!k->roots[i])
            return false;
    }
    return true;
}

struct store_keys *store_keys_new(const struct store_header *h, struct secret *master)
{
    struct store_keys *k = calloc(1, sizeof *k);
    if (!k) {
        secret_free(master);
        return NULL;
    }
    k->header = *h;
    k->master = master;
    if (!store_keys_derive_roots(k)) {
        store_keys_free(k);
        return NULL;
    }
    return k;
}

void store_keys_free(struct store_keys *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < EPOCHS_MAX; i++)
        xaes_key_free(k->roots[i]);
    secret_free(k->master);
    secret_wipe(&k->header, sizeof k->header);
    free(k);
}

uint32_t store_keys_page_size(const struct store_keys *k)
{
    return k->header.page_size_bytes;
}

uint32_t store_keys_page_generation(const struct store_keys *k)
{
    return k->header.page_generation;
}

uint64_t store_keys_epoch(const struct store_keys *k)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < k->header.epoch_count; i++) {
        if (k->header.epochs[i].e > newest)
            newest = k->header.epochs[i].e;
    }
    return newest;
}

void store_keys_purpose(const struct store_keys *k, const char *purpose, uint8_t out[32])
{
    char info[64];
    int len = snprintf(info, sizeof info, "holdfs/v1/%s", purpose);
    assert(len > 0 && (size_t)len < sizeof info);
    hkdf_sha256(secret_peek(k->master), KEY_BYTES, k->header.store_id, 16, info, (size_t)len, out);
}

void header_mac_format(const struct store_keys *k, const char *line, size_t len,
                       char out[HEADER_MAC_CHARS + 1])
{
    uint8_t key[KEY_BYTES], mac[EVP_MAX_MD_SIZE];
    unsigned mac_len;
    store_keys_purpose(k, "header", key);
    const void *done = HMAC(EVP_sha256(), key, sizeof key, (const uint8_t *)line, len, mac, &mac_len);
    secret_wipe(key, sizeof key);
    assert(done && mac_len == 32);
    int head = snprintf(out, HEADER_MAC_CHARS + 1, "hmac-sha256 ");
    hex_format(mac, 32, out + head);
}
