/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of data keys in use: a hash by id, a list by last use. See data_keys.h. */
#include "kms/data_keys.h"

#include "util/cleanup.h"
#include "util/xaes.h"

#include <string.h>

enum { DATA_KEYS_BUCKETS = 4096 };

const struct data_keys_limits data_keys_default = {.keep_ns = INT64_C(300) * 1000000000, .count = 10000, .uses = 1000000};

struct data_key {
    struct data_keys *home;
    uint8_t id[16], owner[16];
    struct xaes_key *key;
    struct data_key *hash_next, *older, *newer; /* lock; while it is in the table */
    bool listed;
    unsigned refs; /* lock; the table's own not counted */
    uint64_t uses;
    int64_t fetched_ns;
};

struct data_keys {
    pthread_mutex_t lock;
    struct data_keys_limits limits;
    struct data_key *hash[DATA_KEYS_BUCKETS];
    struct data_key *oldest, *newest;
    size_t count;
};

struct data_keys *data_keys_new(const struct data_keys_limits *limits)
{
    struct data_keys *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->limits = *limits;
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

static struct data_key **slot_of(struct data_keys *k, const uint8_t id[16])
{
    uint32_t h;
    memcpy(&h, id, sizeof h); /* ids are random */
    return &k->hash[h % DATA_KEYS_BUCKETS];
}

static struct data_key *find(struct data_keys *k, const uint8_t id[16])
{
    for (struct data_key *d = *slot_of(k, id); d; d = d->hash_next) {
        if (memcmp(d->id, id, 16) == 0)
            return d;
    }
    return NULL;
}

static void unlink_use(struct data_keys *k, struct data_key *d)
{
    *(d->older ? &d->older->newer : &k->oldest) = d->newer;
    *(d->newer ? &d->newer->older : &k->newest) = d->older;
}

static void link_newest(struct data_keys *k, struct data_key *d)
{
    d->older = k->newest;
    d->newer = NULL;
    *(k->newest ? &k->newest->newer : &k->oldest) = d;
    k->newest = d;
}

static void destroy(struct data_key *d)
{
    xaes_key_free(d->key);
    free(d);
}

/* Out of the table; it lives on for those who hold it. */
static void unlist(struct data_keys *k, struct data_key *d)
{
    struct data_key **at = slot_of(k, d->id);
    while (*at != d)
        at = &(*at)->hash_next;
    *at = d->hash_next;
    unlink_use(k, d);
    d->listed = false;
    k->count--;
    if (!d->refs)
        destroy(d);
}

void data_keys_free(struct data_keys *k)
{
    if (!k)
        return;
    while (k->oldest) {
        k->oldest->refs = 0; /* of a front that was killed with files open: nobody comes back for them */
        unlist(k, k->oldest);
    }
    pthread_mutex_destroy(&k->lock);
    free(k);
}

struct data_key *data_keys_fresh(struct data_keys *k, const uint8_t id[16], int64_t now_ns)
{
    LOCK_SCOPE(&k->lock);
    struct data_key *d = find(k, id);
    if (!d || now_ns - d->fetched_ns >= k->limits.keep_ns || d->uses >= k->limits.uses)
        return NULL;
    d->uses++;
    d->refs++;
    unlink_use(k, d);
    link_newest(k, d);
    return d;
}

struct data_key *data_keys_held(struct data_keys *k, const uint8_t id[16])
{
    LOCK_SCOPE(&k->lock);
    struct data_key *d = find(k, id);
    if (d)
        d->refs++;
    return d;
}

/* Room for one more: the least recently used that nobody holds goes. */
static void make_room(struct data_keys *k)
{
    for (struct data_key *d = k->oldest, *next; d && k->count >= k->limits.count; d = next) {
        next = d->newer;
        if (!d->refs)
            unlist(k, d);
    }
}

struct data_key *data_keys_put(struct data_keys *k, const uint8_t id[16], const uint8_t owner[16], const uint8_t key[32], int64_t now_ns)
{
    LOCK_SCOPE(&k->lock);
    struct data_key *d = find(k, id);
    if (!d) {
        d = calloc(1, sizeof *d);
        if (d && !(d->key = xaes_key_new(key))) {
            free(d);
            d = NULL;
        }
        if (!d)
            return NULL;
        d->home = k;
        make_room(k);
        memcpy(d->id, id, 16);
        memcpy(d->owner, owner, 16);
        struct data_key **slot = slot_of(k, id);
        d->hash_next = *slot;
        *slot = d;
        d->listed = true;
        k->count++;
    } else {
        unlink_use(k, d);
    }
    d->fetched_ns = now_ns;
    d->uses = 1;
    d->refs++;
    link_newest(k, d);
    return d;
}

struct data_key *data_key_ref(struct data_key *d)
{
    LOCK_SCOPE(&d->home->lock);
    d->refs++;
    return d;
}

void data_key_unref(struct data_key *d)
{
    if (!d)
        return;
    LOCK_SCOPE(&d->home->lock);
    if (--d->refs == 0 && !d->listed)
        destroy(d);
}

const struct xaes_key *data_key_use(const struct data_key *d)
{
    return d->key;
}

void data_keys_expire(struct data_keys *k, int64_t now_ns)
{
    LOCK_SCOPE(&k->lock);
    for (struct data_key *d = k->oldest, *next; d; d = next) {
        next = d->newer;
        if (!d->refs && now_ns - d->fetched_ns >= k->limits.keep_ns)
            unlist(k, d);
    }
}

static void drop_owner(struct data_keys *k, const uint8_t owner[16], bool held)
{
    LOCK_SCOPE(&k->lock);
    for (struct data_key *d = k->oldest, *next; d; d = next) {
        next = d->newer;
        if (memcmp(d->owner, owner, 16) == 0 && (held || !d->refs))
            unlist(k, d);
    }
}

void data_keys_revoke_owner(struct data_keys *k, const uint8_t owner[16])
{
    drop_owner(k, owner, true);
}

void data_keys_forget_owner(struct data_keys *k, const uint8_t owner[16])
{
    drop_owner(k, owner, false);
}

void data_keys_revoke(struct data_keys *k, const uint8_t id[16])
{
    LOCK_SCOPE(&k->lock);
    struct data_key *d = find(k, id);
    if (d)
        unlist(k, d);
}

size_t data_keys_count(struct data_keys *k)
{
    LOCK_SCOPE(&k->lock);
    return k->count;
}
