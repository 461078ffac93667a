/* SPDX-License-Identifier: GPL-3.0-or-later
 * Keys in use: bucket keys opened from their rows, data keys opened from their wraps and kept for a while.
 *
 * Bucket keys are read once at open; a bucket created later adds its own. Data keys are found by id in a bounded table, so
 * that opening a version again costs no unwrapping; those under a KMS data key or a customer key are not, but opened from that key,
 * which whoever has the file open holds (sse.c). Own lock (a leaf): no meta call is made under it. */
#include "engine/kms.h"

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

static struct kek_name kek_row_name(const struct kek_row *row)
{
    struct kek_name name = {.kind = row->kind, .version = row->version, .epoch = row->epoch};
    memcpy(name.kek_id, row->id, sizeof name.kek_id);
    memcpy(name.bucket, row->bucket, sizeof name.bucket);
    return name;
}

int kek_row_seal(const struct store_keys *keys, struct kek_row *row, const uint8_t key[32])
{
    row->epoch = store_keys_epoch(keys);
    struct kek_name name = kek_row_name(row);
    return kek_wrap(keys, &name, key, row->wrapped);
}

int kek_row_open(const struct store_keys *keys, const struct kek_row *row, uint8_t ret[32])
{
    struct kek_name name = kek_row_name(row);
    return kek_unwrap(keys, &name, row->wrapped, ret);
}

static int keyring_load_row(void *arg, const struct kek_row *row)
{
    struct engine *e = arg;
    if (row->kind != KEK_BUCKET) /* the others are read by those who use them */
        return 0;
    struct secret *key = secret_new(32);
    if (!key)
        return -ENOMEM;
    int r = kek_row_open(e->keys, row, secret_bytes(key));
    if (r == 0)
        r = keyring_add(e->keyring, row->id, row->version, row->bucket, secret_bytes(key));
    secret_free(key);
    return r;
}

int keyring_open(struct engine *e, struct reason *reason)
{
    e->keyring = calloc(1, sizeof *e->keyring);
    if (!e->keyring)
        return -ENOMEM;
    pthread_mutex_init(&e->keyring->lock, NULL);
    int r = e->meta_ops->kek_scan(e->m, keyring_load_row, e);
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

/* A random key for the bucket under that version, in memory and as a row to write. */
static int keyring_bucket_make(struct engine *e, const struct bucket *b, uint32_t version, struct kek_row *ret)
{
    struct secret *key = secret_new(32);
    if (!key)
        return -ENOMEM;
    random_bytes(secret_bytes(key), 32);
    struct kek_row row = {.version = version, .kind = KEK_BUCKET};
    memcpy(row.id, b->kek_id, 16);
    memcpy(row.bucket, b->uuid, 16);
    int r = kek_row_seal(e->keys, &row, secret_bytes(key));
    if (r == 0)
        r = keyring_add(e->keyring, row.id, version, row.bucket, secret_bytes(key));
    secret_free(key);
    if (r == 0)
        *ret = row;
    return r;
}

int keyring_bucket_new(struct engine *e, struct bucket *b)
{
    struct kek_row row;
    uuid_random(b->kek_id);
    b->kek_version = 1;
    int r = keyring_bucket_make(e, b, 1, &row);
    return r < 0 ? r : e->meta_ops->kek_put(e->m, &row);
}

int keyring_bucket_next(struct engine *e, const struct bucket *b, struct kek_row *ret)
{
    return b->kek_version == UINT32_MAX ? -EOVERFLOW : keyring_bucket_make(e, b, b->kek_version + 1, ret);
}

void keyring_bucket_use(struct bucket *b, const struct kek_row *row)
{
    __atomic_store_n(&b->kek_version, row->version, __ATOMIC_RELEASE);
}

void keyring_bucket_forgo(struct engine *e, const struct bucket *b, const struct kek_row *row)
{
    struct keyring *k = e->keyring;
    LOCK_SCOPE(&k->lock);
    for (size_t i = k->kek_count; i-- > 0;) {
        if (k->keks[i].version != row->version || memcmp(k->keks[i].id, b->kek_id, 16) != 0)
            continue;
        xaes_key_free(k->keks[i].key);
        k->keks[i] = k->keks[--k->kek_count];
        return;
    }
}

struct keyring_doomed {
    enum kek_kind kind;
    const uint8_t *id;
    uint32_t below, *versions;
    size_t count;
};

static int keyring_doomed_row(void *arg, const struct kek_row *row)
{
    struct keyring_doomed *d = arg;
    if (row->kind != d->kind || row->version >= d->below || memcmp(row->id, d->id, 16) != 0)
        return 0;
    uint32_t *grown = realloc(d->versions, (d->count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    d->versions = grown;
    d->versions[d->count++] = row->version;
    return 0;
}

int keyring_rows_del(struct engine *e, enum kek_kind kind, const uint8_t id[16], uint32_t below, unsigned *ret_count)
{
    struct keyring_doomed d = {.kind = kind, .id = id, .below = below};
    int r = e->meta_ops->kek_scan(e->m, keyring_doomed_row, &d);
    for (size_t i = 0; r == 0 && i < d.count; i++)
        r = e->meta_ops->kek_del(e->m, id, d.versions[i]);
    *ret_count = (unsigned)d.count;
    free(d.versions);
    return r;
}

int keyring_bucket_destroy(struct engine *e, const struct bucket *b, uint32_t below, unsigned *ret_count)
{
    return keyring_rows_del(e, KEK_BUCKET, b->kek_id, below, ret_count);
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

/* A KEK while it is used: a bucket's, or one that somebody holds open. */
struct kek_use {
    const struct xaes_key *key;
    struct data_key *held;
};

static void kek_use_done(struct kek_use *u)
{
    data_key_unref(u->held);
}

static int keyring_kek(struct engine *e, const uint8_t id[16], uint32_t version, struct kek_use *ret)
{
    {
        LOCK_SCOPE(&e->keyring->lock);
        ret->key = keyring_find(e->keyring, id, version);
    }
    if (ret->key)
        return 0;
    ret->held = data_keys_held(e->kms->open, id);
    if (!ret->held)
        return -ENOKEY;
    ret->key = data_key_use(ret->held);
    return 0;
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

/* The version for new wraps: changed under M, read without it too. */
static uint32_t bucket_kek_version(const struct bucket *b)
{
    return __atomic_load_n(&b->kek_version, __ATOMIC_ACQUIRE);
}

static void keyring_dek_name(const struct bucket *b, const struct extmap_dek *dek, struct dek_name *ret)
{
    memcpy(ret->bucket, b->uuid, 16);
    memcpy(ret->kek_id, dek->kek_id, 16);
    ret->kek_version = dek->kek_version;
    memcpy(ret->dek_id, dek->id, 16);
    ret->algorithm = 1;
}

static int keyring_wrap(struct engine *e, const struct bucket *b, const struct envelope *env, const uint8_t key[32],
                        struct extmap_dek *dek)
{
    memcpy(dek->kek_id, env ? env->kek_id : b->kek_id, 16);
    dek->kek_version = env ? 1 : bucket_kek_version(b);
    CLEANUP(kek_use_done) struct kek_use kek = {0};
    int r = keyring_kek(e, dek->kek_id, dek->kek_version, &kek);
    if (r < 0)
        return r;
    struct dek_name name;
    keyring_dek_name(b, dek, &name);
    return dek_wrap(e->conf.store_id, kek.key, &name, key, dek->wrapped);
}

int keyring_dek_new(struct engine *e, const struct bucket *b, const struct envelope *env, struct extmap_dek *ret_wrapped,
                    struct content_key **ret)
{
    uint8_t key[32];
    random_bytes(key, sizeof key);
    random_bytes(ret_wrapped->id, 16);
    int r = keyring_wrap(e, b, env, key, ret_wrapped);
    if (r == 0) {
        *ret = content_key_new(ret_wrapped->id, key);
        if (!*ret)
            r = -ENOMEM;
        else if (!env)
            keyring_remember(e, *ret);
    }
    secret_wipe(key, sizeof key);
    return r;
}

static int keyring_unwrap(struct engine *e, const struct bucket *b, const struct extmap_dek *dek, uint8_t out[32])
{
    CLEANUP(kek_use_done) struct kek_use kek = {0};
    int r = keyring_kek(e, dek->kek_id, dek->kek_version, &kek);
    if (r < 0)
        return r;
    struct dek_name name;
    keyring_dek_name(b, dek, &name);
    return dek_unwrap(e->conf.store_id, kek.key, &name, dek->wrapped, out);
}

int keyring_dek_open(struct engine *e, const struct bucket *b, const struct extmap_dek *dek, struct content_key **ret)
{
    bool of_bucket = memcmp(dek->kek_id, b->kek_id, 16) == 0;
    if (of_bucket) {
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
        else if (of_bucket)
            keyring_remember(e, *ret);
    }
    secret_wipe(key, sizeof key);
    return r == -EBADMSG ? -EIO : r;
}

static int keyring_dek_rewrap(struct engine *e, const struct bucket *from, const struct bucket *to, const struct envelope *env,
                              const struct extmap_dek *src, struct extmap_dek *dst)
{
    uint8_t key[32];
    int r = keyring_unwrap(e, from, src, key);
    if (r == 0) {
        memcpy(dst->id, src->id, 16);
        r = keyring_wrap(e, to, env, key, dst);
    }
    secret_wipe(key, sizeof key);
    return r;
}

int keyring_dek_move(struct engine *e, const struct bucket *b, const struct envelope *env, struct extmap_dek *dek)
{
    struct extmap_dek moved;
    if (memcmp(dek->kek_id, env ? env->kek_id : b->kek_id, 16) == 0)
        return 0;
    int r = keyring_dek_rewrap(e, b, b, env, dek, &moved);
    if (r == 0)
        *dek = moved;
    return r;
}

int keyring_map_rewrap(struct engine *e, const struct bucket *from, const struct bucket *to, const struct envelope *env,
                       struct extmap *map)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < map->dek_count; i++) {
        struct extmap_dek wrapped;
        r = keyring_dek_rewrap(e, from, to, env, &map->deks[i], &wrapped);
        if (r == 0)
            map->deks[i] = wrapped;
    }
    return r;
}

/* ---- wraps under the newest version ---- */

static bool keyring_dek_old(const struct bucket *b, const struct extmap_dek *dek, uint32_t newest)
{
    return dek->kek_version != newest && !memcmp(dek->kek_id, b->kek_id, 16);
}

bool keyring_map_old(const struct bucket *b, const struct extmap *map)
{
    uint32_t newest = bucket_kek_version(b);
    for (size_t i = 0; map && i < map->dek_count; i++) {
        if (keyring_dek_old(b, &map->deks[i], newest))
            return true;
    }
    return false;
}

int keyring_dek_renew(struct engine *e, const struct bucket *b, struct extmap_dek *dek)
{
    struct extmap_dek renewed;
    if (!keyring_dek_old(b, dek, bucket_kek_version(b)))
        return 0;
    int r = keyring_dek_rewrap(e, b, b, NULL, dek, &renewed);
    if (r == 0)
        *dek = renewed;
    return r;
}

int keyring_record_renew(struct engine *e, const struct bucket *b, struct record *record, unsigned *ret_kept)
{
    *ret_kept = 0;
    int renewed = kms_envelope_renew(e, &record->env);
    if (renewed < 0 || !keyring_map_old(b, record->map))
        return renewed;
    struct extmap *map = extmap_copy(record->map);
    if (!map)
        return -ENOMEM;
    for (size_t i = 0; i < map->dek_count; i++) {
        int r = keyring_dek_renew(e, b, &map->deks[i]);
        if (r == -ENOKEY || r == -EBADMSG) {
            ++*ret_kept; /* it opens nothing as it is; that is fsck's to tell */
        } else if (r < 0) {
            extmap_unref(map);
            return r;
        }
    }
    extmap_unref(record->map);
    record->map = map;
    if (record->envelope == ENVELOPE_SSE_S3)
        record->kek_version = bucket_kek_version(b);
    return 0;
}

static int content_make(struct engine *e, const struct bucket *b, struct extmap *map, bool lax, struct content **ret)
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
    for (size_t i = 0; r == 0 && i < c->key_count; i++) {
        r = keyring_dek_open(e, b, &map->deks[i], &c->keys[i]);
        if (r == -ENOKEY && lax && memcmp(map->deks[i].kek_id, b->kek_id, 16) != 0)
            r = 0;
    }
    if (r < 0) {
        content_unref(c);
        return r;
    }
    *ret = c;
    return 0;
}

int content_new(struct engine *e, const struct bucket *b, struct extmap *map, struct content **ret)
{
    return content_make(e, b, map, false, ret);
}

int content_new_lax(struct engine *e, const struct bucket *b, struct extmap *map, struct content **ret)
{
    return content_make(e, b, map, true, ret);
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
    envelope_unref(c->env);
    free(c);
}
