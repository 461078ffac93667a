/* SPDX-License-Identifier: GPL-3.0-or-later
 * Data keys in use: their bytes, their holders and the numbers they have given to frames. */
#include "pipeline/content_private.h"

#include "pipeline/frame_cache.h"
#include "util/secret.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* encryption.md §2.1: at 2^32 a draft takes a further data key. */
static const uint64_t content_key_end = (uint64_t)1 << 32;

struct content_key {
    struct secret *secret;
    struct frame_key frame;
    atomic_uint_fast64_t next; /* never goes back */
    atomic_int refs;
    atomic_bool cached;
};

static atomic_uint_fast64_t content_key_serial;

struct content_key *content_key_new(const uint8_t id[16], const uint8_t key[32])
{
    struct content_key *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->secret = secret_copy(key, 32);
    if (!k->secret) {
        free(k);
        return NULL;
    }
    memcpy(k->frame.id, id, sizeof k->frame.id);
    k->frame.key = secret_peek(k->secret);
    k->frame.serial = atomic_fetch_add(&content_key_serial, 1) + 1;
    atomic_init(&k->refs, 1);
    return k;
}

struct content_key *content_key_ref(struct content_key *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

void content_key_unref(struct content_key *k)
{
    if (!k || atomic_fetch_sub(&k->refs, 1) > 1)
        return;
    frame_key_forget(&k->frame);
    if (atomic_load(&k->cached))
        frame_cache_forget(k->frame.serial);
    secret_free(k->secret);
    free(k);
}

const uint8_t *content_key_id(const struct content_key *k)
{
    return k->frame.id;
}

const struct frame_key *content_key_frame(const struct content_key *k)
{
    return &k->frame;
}

uint64_t content_key_next(const struct content_key *k)
{
    return atomic_load(&k->next);
}

void content_key_set_next(struct content_key *k, uint64_t next)
{
    atomic_store(&k->next, next);
}

int content_key_take(struct content_key *k, uint64_t count, uint64_t *ret_first)
{
    uint_fast64_t first = atomic_load(&k->next);
    do {
        if (first >= content_key_end || count > content_key_end - first)
            return -EOVERFLOW;
    } while (!atomic_compare_exchange_weak(&k->next, &first, first + count));
    *ret_first = first;
    return 0;
}

void content_key_cached(struct content_key *k)
{
    if (!atomic_load_explicit(&k->cached, memory_order_relaxed))
        atomic_store(&k->cached, true);
}
