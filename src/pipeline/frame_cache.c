/* SPDX-License-Identifier: GPL-3.0-or-later
 * Opened frames; see frame_cache.h. Each slot has its own lock, under which at most one frame is copied. */
#include "pipeline/frame_cache.h"

#include "util/cleanup.h"
#include "util/secret.h"

#include <string.h>

/* 64 frames, 4 MiB at most: one for every reader that may be under way, with room for two readers to meet. */
enum { FRAME_CACHE_SLOTS = 64 };

static struct frame_slot {
    pthread_mutex_t lock;
    uint64_t serial, number; /* serial 0: empty */
    uint8_t *plain;
    size_t len;
} __attribute__((aligned(64))) frame_slots[FRAME_CACHE_SLOTS] = {
    [0 ... FRAME_CACHE_SLOTS - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER},
};

static struct frame_slot *frame_slot_of(uint64_t serial, uint64_t number)
{
    /* Fibonacci hashing: neighbours fall apart, and so do equal numbers under consecutive serials. */
    uint64_t hash = (serial * 0x9e3779b97f4a7c15u + number) * 0x9e3779b97f4a7c15u;
    return &frame_slots[hash >> 58];
}
_Static_assert(FRAME_CACHE_SLOTS == 64, "six bits of the hash choose a slot");

bool frame_cache_copy(uint64_t serial, uint64_t number, size_t skip, size_t len, void *out)
{
    struct frame_slot *s = frame_slot_of(serial, number);
    LOCK_SCOPE(&s->lock);
    if (s->serial != serial || s->number != number || skip > s->len || len > s->len - skip)
        return false;
    memcpy(out, s->plain + skip, len);
    return true;
}

void frame_cache_put(uint64_t serial, uint64_t number, uint8_t **buffer, size_t len)
{
    struct frame_slot *s = frame_slot_of(serial, number);
    LOCK_SCOPE(&s->lock);
    uint8_t *old = s->plain;
    s->plain = *buffer;
    s->len = len;
    s->serial = serial;
    s->number = number;
    *buffer = old;
}

void frame_cache_forget(uint64_t serial)
{
    for (int i = 0; i < FRAME_CACHE_SLOTS; i++) {
        struct frame_slot *s = &frame_slots[i];
        LOCK_SCOPE(&s->lock);
        if (s->serial == serial) {
            secret_wipe(s->plain, s->len);
            s->serial = 0;
            s->len = 0;
        }
    }
}
