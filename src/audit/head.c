/* SPDX-License-Identifier: GPL-3.0-or-later
 * Heads (logs.md §3.4): the chain's end at a time, signed with Ed25519. What is signed is one line of text and the canonical
 * JSON, so that openssl(1) alone can check it. */
#include "audit/audit.h"
#include "util/text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

static const char head_line[] = "holdfs-audit-head-1\n";

int audit_head_write(const struct audit_head *head, struct bytes *out)
{
    char hash[2 * AUDIT_HASH_BYTES + 1];
    hex_format(head->place.hash, AUDIT_HASH_BYTES, hash);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:i}", "chain", head->chain, "clock", head->clock, "hash", hash, "key", head->key,
                          "seq", (json_int_t)head->place.seq, "time", head->time, "v", 1);
    int r = o ? audit_canonical(o, out) : -ENOMEM;
    json_decref(o);
    return r;
}

static int take(char *to, size_t cap, const char *text)
{
    if (!text || strlen(text) >= cap)
        return -EINVAL;
    memcpy(to, text, strlen(text) + 1);
    return 0;
}

int audit_head_read(const void *text, size_t len, struct audit_head *ret)
{
    struct audit_head head = {0};
    const char *chain = NULL, *clock = NULL, *hash = NULL, *key = NULL, *time = NULL;
    json_int_t seq = 0;
    int v = 0;
    json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    int r = json_unpack(o, "{s:s, s:s, s:s, s:s, s:I, s:s, s:i}", "chain", &chain, "clock", &clock, "hash", &hash, "key", &key, "seq", &seq,
                        "time", &time, "v", &v) == 0 && v == 1 && seq >= 0 && strlen(hash) == 2 * AUDIT_HASH_BYTES
                ? hex_parse(hash, 2 * AUDIT_HASH_BYTES, head.place.hash)
                : -EINVAL;
    head.place.seq = (uint64_t)seq;
    if (r == 0 && (take(head.chain, sizeof head.chain, chain) < 0 || take(head.clock, sizeof head.clock, clock) < 0 ||
                   take(head.key, sizeof head.key, key) < 0 || take(head.time, sizeof head.time, time) < 0))
        r = -EINVAL;
    json_decref(o);
    if (r == 0)
        *ret = head;
    return r;
}

void audit_head_message(const void *text, size_t len, struct bytes *out)
{
    bytes_put(out, head_line, sizeof head_line - 1);
    bytes_put(out, text, len);
}

/* ---- keys ---- */

int audit_public(const uint8_t seed[AUDIT_SEED_BYTES], uint8_t ret[AUDIT_PUBLIC_BYTES])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, AUDIT_SEED_BYTES);
    size_t len = AUDIT_PUBLIC_BYTES;
    int r = key && EVP_PKEY_get_raw_public_key(key, ret, &len) ? 0 : -ENOMEM;
    EVP_PKEY_free(key);
    return r;
}

int audit_key_id(const uint8_t public[AUDIT_PUBLIC_BYTES], char ret[AUDIT_KEY_ID_CHARS + 1])
{
    uint8_t hash[AUDIT_HASH_BYTES];
    if (!EVP_Digest(public, AUDIT_PUBLIC_BYTES, hash, NULL, EVP_sha256(), NULL))
        return -ENOMEM;
    hex_format(hash, AUDIT_KEY_ID_CHARS / 2, ret);
    return 0;
}

int audit_public_pem(const uint8_t public[AUDIT_PUBLIC_BYTES], struct bytes *out)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, AUDIT_PUBLIC_BYTES);
    BIO *bio = BIO_new(BIO_s_mem());
    int r = key && bio && PEM_write_bio_PUBKEY(bio, key) ? 0 : -ENOMEM;
    char *text;
    long len = r == 0 ? BIO_get_mem_data(bio, &text) : 0;
    if (r == 0)
        bytes_put(out, text, (size_t)len);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return r;
}

int audit_public_read_pem(const char *text, size_t len, uint8_t ret[AUDIT_PUBLIC_BYTES])
{
    BIO *bio = len < 65536 ? BIO_new_mem_buf(text, (int)len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    size_t got = AUDIT_PUBLIC_BYTES;
    int r = key && EVP_PKEY_is_a(key, "ED25519") && EVP_PKEY_get_raw_public_key(key, ret, &got) ? 0 : -EINVAL;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return r;
}

int audit_sign(const uint8_t seed[AUDIT_SEED_BYTES], const void *message, size_t len, uint8_t ret[AUDIT_SIGNATURE_BYTES])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, AUDIT_SEED_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t got = AUDIT_SIGNATURE_BYTES;
    bool ok = key && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) && EVP_DigestSign(ctx, ret, &got, message, len);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok ? 0 : -EIO;
}

bool audit_signed(const uint8_t public[AUDIT_PUBLIC_BYTES], const void *message, size_t len, const uint8_t signature[AUDIT_SIGNATURE_BYTES])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, AUDIT_PUBLIC_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) &&
              EVP_DigestVerify(ctx, signature, AUDIT_SIGNATURE_BYTES, message, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}
