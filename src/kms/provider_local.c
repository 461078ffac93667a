/* SPDX-License-Identifier: GPL-3.0-or-later
 * The local provider (encryption.md §5.2): keys of this store, held opened in locked memory.
 *
 * Blob: "HKB1" || key id(16) || u32 version || X(material, "holdfs/v1/kms\0" || key id || u32 version || SHA-256(context), data key). */
#include "kms/internal.h"
#include "kms/provider.h"
#include "util/cleanup.h"
#include "util/text.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static const char blob_magic[4] = "HKB1", kms_purpose[] = "holdfs/v1/kms"; /* the latter with its zero byte */
enum { KMS_AAD_BYTES = sizeof kms_purpose + 16 + 4 + 32, BLOB_HEAD_BYTES = 4 + 16 + 4 };
_Static_assert(BLOB_HEAD_BYTES + WRAPPED_KEY_BYTES == KMS_LOCAL_BLOB_BYTES, "encryption.md §5.2: 96 bytes");

struct local_key {
    uint8_t id[16];
    uint32_t version;
    struct xaes_key *key;
};

struct kms_provider {
    pthread_rwlock_t lock;
    struct local_key *keys; /* lock */
    size_t count, cap;      /* lock */
};

static int local_open(struct kms_provider **ret, struct reason *reason)
{
    (void)reason;
    struct kms_provider *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    pthread_rwlock_init(&p->lock, NULL);
    *ret = p;
    return 0;
}

static void local_close(struct kms_provider *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        xaes_key_free(p->keys[i].key);
    free(p->keys);
    pthread_rwlock_destroy(&p->lock);
    free(p);
}

/* The version asked for, or with 0 the newest. lock. */
static const struct local_key *local_find(const struct kms_provider *p, const uint8_t id[16], uint32_t version)
{
    const struct local_key *found = NULL;
    for (size_t i = 0; i < p->count; i++) {
        const struct local_key *k = &p->keys[i];
        if (memcmp(k->id, id, 16) != 0 || (version && k->version != version))
            continue;
        if (!found || k->version > found->version)
            found = k;
    }
    return found;
}

int kms_local_add(struct kms_provider *p, const uint8_t key_id[16], uint32_t version, const uint8_t material[32])
{
    assert(version > 0);
    struct xaes_key *key = xaes_key_new(material);
    if (!key)
        return -ENOMEM;
    int r = 0;
    pthread_rwlock_wrlock(&p->lock);
    if (local_find(p, key_id, version))
        r = -EEXIST;
    if (r == 0 && p->count == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        struct local_key *keys = realloc(p->keys, cap * sizeof *keys);
        if (keys) {
            p->keys = keys;
            p->cap = cap;
        } else {
            r = -ENOMEM;
        }
    }
    if (r == 0) {
        struct local_key *k = &p->keys[p->count++];
        memcpy(k->id, key_id, 16);
        k->version = version;
        k->key = key;
    }
    pthread_rwlock_unlock(&p->lock);
    if (r < 0)
        xaes_key_free(key);
    return r;
}

/* Versions from..below-1 go. */
static void local_remove(struct kms_provider *p, const uint8_t key_id[16], uint32_t from, uint64_t below)
{
    pthread_rwlock_wrlock(&p->lock);
    for (size_t i = p->count; i-- > 0;) {
        if (memcmp(p->keys[i].id, key_id, 16) != 0 || p->keys[i].version < from || p->keys[i].version >= below)
            continue;
        xaes_key_free(p->keys[i].key);
        p->keys[i] = p->keys[--p->count];
    }
    pthread_rwlock_unlock(&p->lock);
}

void kms_local_drop(struct kms_provider *p, const uint8_t key_id[16], uint32_t below)
{
    local_remove(p, key_id, 0, below == UINT32_MAX ? UINT64_MAX : below);
}

void kms_local_forgo(struct kms_provider *p, const uint8_t key_id[16], uint32_t version)
{
    local_remove(p, key_id, version, (uint64_t)version + 1);
}

uint32_t kms_local_newest(struct kms_provider *p, const uint8_t key_id[16])
{
    pthread_rwlock_rdlock(&p->lock);
    const struct local_key *k = local_find(p, key_id, 0);
    uint32_t version = k ? k->version : 0;
    pthread_rwlock_unlock(&p->lock);
    return version;
}

/* ---- blobs ---- */

static int kms_aad(const uint8_t key_id[16], uint32_t version, struct kms_context context, uint8_t aad[KMS_AAD_BYTES])
{
    uint8_t hash[32];
    if (EVP_Digest(context.p, context.len, hash, NULL, EVP_sha256(), NULL) != 1)
        return -EIO;
    uint8_t *at = aad_put(aad, kms_purpose, sizeof kms_purpose);
    at = aad_put(at, key_id, 16);
    at = aad_put_uint(at, version, 4);
    at = aad_put(at, hash, sizeof hash);
    assert(at == aad + KMS_AAD_BYTES);
    return 0;
}

static int blob_seal(const struct xaes_key *key, const uint8_t key_id[16], uint32_t version, struct kms_context context,
                     const uint8_t nonce[24], const uint8_t data_key[32], uint8_t ret[KMS_LOCAL_BLOB_BYTES])
{
    uint8_t aad[KMS_AAD_BYTES];
    int r = kms_aad(key_id, version, context, aad);
    if (r < 0)
        return r;
    uint8_t *at = aad_put(ret, blob_magic, sizeof blob_magic);
    at = aad_put(at, key_id, 16);
    at = aad_put_uint(at, version, 4);
    return key_seal(key, nonce, aad, sizeof aad, data_key, at);
}

int kms_local_seal(const uint8_t key_id[16], uint32_t version, const uint8_t material[32], struct kms_context context,
                   const uint8_t nonce[24], const uint8_t data_key[32], uint8_t ret[KMS_LOCAL_BLOB_BYTES])
{
    struct xaes_key *key = xaes_key_new(material);
    int r = key ? blob_seal(key, key_id, version, context, nonce, data_key, ret) : -ENOMEM;
    xaes_key_free(key);
    return r;
}

int kms_local_blob_name(const void *blob, size_t len, uint8_t ret_key_id[16], uint32_t *ret_version)
{
    struct reader r = reader_over(blob, len);
    const uint8_t *magic = reader_take(&r, sizeof blob_magic), *id = reader_take(&r, 16);
    uint32_t version = reader_u32(&r);
    if (len != KMS_LOCAL_BLOB_BYTES || !magic || !id || memcmp(magic, blob_magic, sizeof blob_magic) != 0 || !version)
        return -EBADMSG;
    memcpy(ret_key_id, id, 16);
    *ret_version = version;
    return 0;
}

/* lock. */
static int blob_open(const struct kms_provider *p, const void *blob, size_t len, struct kms_context context, uint8_t ret[32])
{
    uint8_t id[16], aad[KMS_AAD_BYTES];
    uint32_t version;
    int r = kms_local_blob_name(blob, len, id, &version);
    if (r < 0)
        return r;
    const struct local_key *k = local_find(p, id, version);
    if (!k)
        return -ENOENT;
    r = kms_aad(id, version, context, aad);
    return r < 0 ? r : xaes_open(k->key, aad, sizeof aad, (const uint8_t *)blob + BLOB_HEAD_BYTES, WRAPPED_KEY_BYTES, ret);
}

/* lock. */
static int blob_make(const struct kms_provider *p, const uint8_t id[16], struct kms_context context, const uint8_t data_key[32],
                     uint8_t ret[KMS_LOCAL_BLOB_BYTES], uint32_t *ret_version)
{
    const struct local_key *k = local_find(p, id, 0);
    if (!k)
        return -ENOENT;
    uint8_t nonce[XAES_NONCE_BYTES];
    random_bytes(nonce, sizeof nonce);
    *ret_version = k->version;
    return blob_seal(k->key, id, k->version, context, nonce, data_key, ret);
}

int kms_local_reencrypt(struct kms_provider *p, const void *blob, size_t len, struct kms_context context,
                        uint8_t ret[KMS_LOCAL_BLOB_BYTES])
{
    uint8_t id[16], key[32];
    uint32_t version;
    int r = kms_local_blob_name(blob, len, id, &version);
    pthread_rwlock_rdlock(&p->lock);
    if (r == 0)
        r = blob_open(p, blob, len, context, key);
    if (r == 0)
        r = blob_make(p, id, context, key, ret, &version);
    pthread_rwlock_unlock(&p->lock);
    secret_wipe(key, sizeof key);
    return r;
}

/* ---- the provider's face ---- */

static int local_generate(struct kms_provider *p, const struct kms_call *call, const char *ref, struct kms_context context,
                          struct kms_data_key *ret)
{
    (void)call; /* nothing here can take long */
    uint8_t id[16];
    if (uuid_parse(ref, id) < 0)
        return -ENOENT;
    random_bytes(ret->key, sizeof ret->key);
    ret->blob_len = KMS_LOCAL_BLOB_BYTES;
    pthread_rwlock_rdlock(&p->lock);
    int r = blob_make(p, id, context, ret->key, ret->blob, &ret->version);
    pthread_rwlock_unlock(&p->lock);
    if (r < 0)
        secret_wipe(ret->key, sizeof ret->key);
    return r;
}

static int local_decrypt(struct kms_provider *p, const struct kms_call *call, const char *ref, const void *blob, size_t blob_len,
                         struct kms_context context, uint8_t ret[32])
{
    (void)call;
    uint8_t id[16], named[16];
    uint32_t version;
    if (uuid_parse(ref, id) < 0)
        return -ENOENT;
    int r = kms_local_blob_name(blob, blob_len, named, &version);
    if (r < 0 || memcmp(id, named, 16) != 0) /* AWS: IncorrectKeyException */
        return -EBADMSG;
    pthread_rwlock_rdlock(&p->lock);
    r = blob_open(p, blob, blob_len, context, ret);
    pthread_rwlock_unlock(&p->lock);
    return r;
}

static int local_describe(struct kms_provider *p, const struct kms_call *call, const char *ref, struct kms_key_facts *ret)
{
    (void)call;
    uint8_t id[16];
    struct kms_key_facts facts = {.usable = false};
    if (uuid_parse(ref, id) < 0)
        return -ENOENT;
    pthread_rwlock_rdlock(&p->lock);
    for (size_t i = 0; i < p->count; i++) {
        if (memcmp(p->keys[i].id, id, 16) != 0)
            continue;
        facts.versions++;
        if (p->keys[i].version > facts.version)
            facts.version = p->keys[i].version;
    }
    pthread_rwlock_unlock(&p->lock);
    facts.usable = facts.versions > 0;
    *ret = facts;
    return facts.usable ? 0 : -ENOENT;
}

static int local_health(struct kms_provider *p)
{
    (void)p;
    return 0;
}

extern const struct kms_provider_ops kms_provider_local;
const struct kms_provider_ops kms_provider_local = {
    .name = "local",
    .open = local_open,
    .generate = local_generate,
    .decrypt = local_decrypt,
    .describe = local_describe,
    .health = local_health,
    .close = local_close,
};
