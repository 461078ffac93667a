/* SPDX-License-Identifier: GPL-3.0-or-later
 * Keys in use: bucket keys opened from their rows, data keys opened from their wraps and kept for a while.
 *
 * Bucket keys are read once at open; a bucket created later adds its own. Data keys are found by id in a bounded table, so
 * that opening a version again costs no unwrapping. Own lock (a leaf): no meta call is made under it. */
#include "engine/private.h"

enum { KEYRING_SLOTS = 4096 };

struct keyring_kek {
    uint8_t id[16], bucket[16];
    uint32_t version;
    struct xaes_key *key;
};

struct keyring {
    pthread_mutex_t lock;
    struct keyring_kek *keks;
    size_t kek_count, kek_cap;
    struct content_key *slots[KEYRING_SLOTS]; /* direct-mapped by data key id */
};

static int keyring_add(struct keyring *k, const uint8_t id[16], uint32_t version, const uint8_t bucket[16],
                       const uint8_t key[32])
{
    LOCK_SCOPE(&k->lock);
    if (k->kek_count == k->kek_cap) {
        size_t cap = k->kek_cap ? k->kek_cap * 2 : 16;
        struct keyring_kek *keks = realloc(k->keks, cap * sizeof *keks);
        if (!keks)
            return -ENOMEM;
        k->keks = keks;
        k->kek_cap = cap;
    }
    struct keyring_kek *kek = &k->keks[k->kek_count];
    memcpy(kek->id, id, 16);
    memcpy(kek->bucket, bucket, 16);
    kek->version = version;
    kek->key = xaes_key_new(key);
    if (!kek->key)
        return -ENOMEM;
    k->kek_count++;
    return 0;
}

struct keyring_load {
    struct engine *e;
    int error;
};

static int keyring_load_row(void *arg, const struct kek_row *row)
{
    struct keyring_load *load = arg;
    struct kek_name name = {.kind = row->kind, .version = row->version, .epoch = row->epoch};
    memcpy(name.kek_id, row->id, 16);
    memcpy(name.bucket, row->bucket, 16);
    struct secret *key = secret_new(32);
    if (!key)
        return -ENOMEM;
    int r = kek_unwrap(load->e->keys, &name, row->wrapped, secret_bytes(key));
    if (r == 0)
        r = keyring_add(load->e->keyring, row->id, row->version, row->bucket, secret_bytes(key));
    secret_free(key);
    return r;
}

int keyring_open(struct engine *e, struct reason *reason)
{
    e->keyring = calloc(1, sizeof *e->keyring);
    if (!e->keyring)
        return -ENOMEM;
    pthread_mutex_init(&e->keyring->lock, NULL);
    struct keyring_load load = {.e = e};
    int r = e->meta_ops->kek_scan(e->m, keyring_load_row, &load);
    if (r < 0)
        return reason_fail(reason, r == -EBADMSG ? EIO : -r, "a bucket key does not open under the store's keys");
    return 0;
}

void keyring_close(struct engine *e)
{
    struct keyring *k = e->keyring;
    if (!k)
        return;
    for (size_t i = 0; i < k->kek_count; i++)
        xaes_key_free(k->keks[i].key);
    for (size_t i = 0; i < KEYRING_SLOTS; i++)
        content_key_unref(k->slots[i]);
    free(k->keks);
    pthread_mutex_destroy(&k->lock);
    free(k);
    e->keyring = NULL;
}

int keyring_bucket_new(struct engine *e, struct bucket *b)
{
    struct secret *key = secret_new(32);
    if (!key)
        return -ENOMEM;
    random_bytes(secret_bytes(key), 32);
    uuid_random(b->kek_id);
    b->kek_version = 1;

    struct kek_row row = {.version = 1, .kind = 1, .epoch = store_keys_epoch(e->keys)};
    memcpy(row.id, b->kek_id, 16);
    memcpy(row.bucket, b->uuid, 16);
    struct kek_name name = {.kind = 1, .version = 1, .epoch = row.epoch};
    memcpy(name.kek_id, row.id, 16);
    memcpy(name.bucket, row.bucket, 16);
    int r = kek_wrap(e->keys, &name, secret_bytes(key), row.wrapped);
    if (r == 0)
        r = e->meta_ops->kek_put(e->m, &row);
    if (r == 0)
        r = keyring_add(e->keyring, row.id, 1, row.bucket, secret_bytes(key));
    secret_free(key);
    return r;
}

/* keyring.lock held. */
static const struct xaes_key *keyring_find(struct keyring *k, const uint8_t id[16], uint32_t version)
{
    for (size_t i = 0; i < k->kek_count; i++) {
        if (k->keks[i].version == version && !memcmp(k->keks[i].id, id, 16))
            return k->keks[i].key;
    }
    return NULL;
}

static const struct xaes_key *keyring_kek(struct engine *e, const uint8_t id[16], uint32_t version)
{
    LOCK_SCOPE(&e->keyring->lock);
    return keyring_find(e->keyring, id, version);
}

static size_t keyring_slot(const uint8_t dek_id[16])
{
    uint32_t h;
    memcpy(&h, dek_id, sizeof h);
    return h % KEYRING_SLOTS;
}

static void keyring_remember(struct engine *e, struct content_key *key)
{
    size_t slot = keyring_slot(content_key_id(key));
    LOCK_SCOPE(&e->keyring->lock);
    content_key_unref(e->keyring->slots[slot]);
    e->keyring->slots[slot] = content_key_ref(key);
}

static void keyring_dek_name(const struct bucket *b, const struct extmap_dek *dek, struct dek_name *ret)
{
    memcpy(ret->bucket, b->uuid, 16);
    memcpy(ret->kek_id, dek->kek_id, 16);
    ret->kek_version = dek->kek_version;
    memcpy(ret->dek_id, dek->id, 16);
    ret->algorithm = 1;
}

static int keyring_wrap(struct engine *e, const struct bucket *b, const uint8_t key[32], struct extmap_dek *dek)
{
    memcpy(dek->kek_id, b->kek_id, 16);
    dek->kek_version = b->kek_version;
    const struct xaes_key *kek = keyring_kek(e, dek->kek_id, dek->kek_version);
    if (!kek)
        return -ENOKEY;
    struct dek_name name;
    keyring_dek_name(b, dek, &name);
    return dek_wrap(e->conf.store_id, kek, &name, key, dek->wrapped);
}

int keyring_dek_new(struct engine *e, const struct bucket *b, struct extmap_dek *ret_wrapped, struct content_key **ret)
{
    uint8_t key[32];
    random_bytes(key, sizeof key);
    random_bytes(ret_wrapped->id, 16);
    int r = keyring_wrap(e, b, key, ret_wrapped);
    if (r == 0) {
        *ret = content_key_new(ret_wrapped->id, key);
        if (!*ret)
            r = -ENOMEM;
        else
            keyring_remember(e, *ret);
    }
    secret_wipe(key, sizeof key);
    return r;
}

static int keyring_unwrap(struct engine *e, const struct bucket *b, const struct extmap_dek *dek, uint8_t out[32])
{
    const struct xaes_key *kek = keyring_kek(e, dek->kek_id, dek->kek_version);
    if (!kek)
        return -ENOKEY;
    struct dek_name name;
    keyring_dek_name(b, dek, &name);
    return dek_unwrap(e->conf.store_id, kek, &name, dek->wrapped, out);
}

int keyring_dek_open(struct engine *e, const struct bucket *b, const struct extmap_dek *dek, struct content_key **ret)
{
    {
        LOCK_SCOPE(&e->keyring->lock);
        struct content_key *have = e->keyring->slots[keyring_slot(dek->id)];
        if (have && !memcmp(content_key_id(have), dek->id, 16)) {
            *ret = content_key_ref(have);
            return 0;
        }
    }
    uint8_t key[32];
    int r = keyring_unwrap(e, b, dek, key);
    if (r == 0) {
        *ret = content_key_new(dek->id, key);
        if (!*ret)
            r = -ENOMEM;
        else
            keyring_remember(e, *ret);
    }
    secret_wipe(key, sizeof key);
    return r == -EBADMSG ? -EIO : r;
}

int keyring_dek_rewrap(struct engine *e, const struct bucket *from, const struct bucket *to, const struct extmap_dek *src,
                       struct extmap_dek *dst)
{
    uint8_t key[32];
    int r = keyring_unwrap(e, from, src, key);
    if (r == 0) {
        memcpy(dst->id, src->id, 16);
        r = keyring_wrap(e, to, key, dst);
    }
    secret_wipe(key, sizeof key);
    return r;
}

int content_new(struct engine *e, const struct bucket *b, struct extmap *map, struct content **ret)
{
    struct content *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    atomic_init(&c->refs, 1);
    c->map = extmap_ref(map);
    gc_content_add(c);
    c->key_count = map->dek_count;
    c->keys = calloc(c->key_count ? c->key_count : 1, sizeof *c->keys);
    int r = c->keys ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < c->key_count; i++)
        r = keyring_dek_open(e, b, &map->deks[i], &c->keys[i]);
    if (r < 0) {
        content_unref(c);
        return r;
    }
    *ret = c;
    return 0;
}

struct content *content_ref(struct content *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void content_unref(struct content *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    gc_content_remove(c);
    for (size_t i = 0; c->keys && i < c->key_count; i++)
        content_key_unref(c->keys[i]);
    free(c->keys);
    extmap_unref(c->map);
    free(c);
}
