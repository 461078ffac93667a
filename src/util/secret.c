/* SPDX-License-Identifier: GPL-3.0-or-later
 * Secrets in locked memory; see secret.h.
 *
 * Secrets live in arenas of their own pages, which hold nothing but secrets: a forked child finds them zeroed
 * (MADV_WIPEONFORK), so all bookkeeping stands outside. Arenas are never given back; their units are reused.
 */
#include "util/secret.h"
#include "util/cleanup.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

enum {
    UNIT_BYTES = 32,         /* a key; what most secrets are */
    ARENA_BYTES = 64 * 1024, /* small beside the usual RLIMIT_MEMLOCK of 8 MiB */
    ARENA_UNITS = ARENA_BYTES / UNIT_BYTES,
    SHARED_MAX_BYTES = 16384, /* larger ones get a mapping of their own */
};

struct arena {
    struct arena *next;
    uint8_t *base;
    size_t free_units;
    size_t hint;               /* no unit below is free */
    uint8_t used[ARENA_UNITS]; /* a byte each: searched only when something is allocated */
};

struct secret {
    uint8_t *data;
    size_t len;
    size_t units;        /* in the arena; 0 when the mapping is its own */
    size_t mapped_bytes; /* of an own mapping */
    struct arena *arena;
};

static pthread_mutex_t arenas_lock = PTHREAD_MUTEX_INITIALIZER;
static struct arena *arenas; /* guarded by arenas_lock, like everything in them */
static atomic_bool mlock_refused;

static uint8_t *locked_map(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (mlock(p, len) < 0)
        atomic_store(&mlock_refused, true);
    /* Advice the kernel may not know: the secret works without it. */
    (void)madvise(p, len, MADV_DONTDUMP);
    (void)madvise(p, len, MADV_WIPEONFORK);
    return p;
}

/* First run of `units` free units at or after the hint; ARENA_UNITS when there is none. */
static size_t arena_find(const struct arena *a, size_t units)
{
    size_t run = 0;
    for (size_t i = a->hint; i < ARENA_UNITS; i++) {
        run = a->used[i] ? 0 : run + 1;
        if (run == units)
            return i + 1 - units;
    }
    return ARENA_UNITS;
}

static uint8_t *arena_take(struct arena *a, size_t units)
{
    if (a->free_units < units)
        return NULL;
    size_t at = arena_find(a, units);
    if (at == ARENA_UNITS)
        return NULL;
    memset(a->used + at, 1, units);
    a->free_units -= units;
    if (at == a->hint)
        a->hint = at + units;
    return a->base + at * UNIT_BYTES;
}

static struct arena *arena_new(void)
{
    struct arena *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->base = locked_map(ARENA_BYTES);
    if (!a->base) {
        free(a);
        return NULL;
    }
    a->free_units = ARENA_UNITS;
    return a;
}

static bool secret_place_shared(struct secret *s, size_t units)
{
    LOCK_SCOPE(&arenas_lock);
    s->units = units;
    for (struct arena *a = arenas; a; a = a->next) {
        s->data = arena_take(a, units);
        if (s->data) {
            s->arena = a;
            return true;
        }
    }
    struct arena *fresh = arena_new();
    if (!fresh)
        return false;
    fresh->next = arenas;
    arenas = fresh;
    s->arena = fresh;
    s->data = arena_take(fresh, units);
    return true;
}

struct secret *secret_new(size_t len)
{
    struct secret *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->len = len;
    bool placed;
    if (len <= SHARED_MAX_BYTES) {
        placed = secret_place_shared(s, len ? (len + UNIT_BYTES - 1) / UNIT_BYTES : 1);
    } else {
        s->mapped_bytes = len;
        s->data = locked_map(len);
        placed = s->data != NULL;
    }
    if (!placed) {
        free(s);
        return NULL;
    }
    return s;
}

struct secret *secret_copy(const void *bytes, size_t len)
{
    struct secret *s = secret_new(len);
    if (s && len)
        memcpy(s->data, bytes, len);
    return s;
}

uint8_t *secret_bytes(struct secret *s)
{
    return s->data;
}

const uint8_t *secret_peek(const struct secret *s)
{
    return s->data;
}

size_t secret_len(const struct secret *s)
{
    return s->len;
}

void secret_truncate(struct secret *s, size_t len)
{
    assert(len <= s->len);
    OPENSSL_cleanse(s->data + len, s->len - len);
    s->len = len;
}

static void secret_leave_shared(struct secret *s)
{
    LOCK_SCOPE(&arenas_lock);
    struct arena *a = s->arena;
    size_t at = (size_t)(s->data - a->base) / UNIT_BYTES;
    memset(a->used + at, 0, s->units);
    a->free_units += s->units;
    if (at < a->hint)
        a->hint = at;
}

void secret_free(struct secret *s)
{
    if (!s)
        return;
    OPENSSL_cleanse(s->data, s->len);
    if (s->arena)
        secret_leave_shared(s);
    else
        munmap(s->data, s->mapped_bytes);
    free(s);
}

bool secret_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void secret_wipe(void *p, size_t len)
{
    OPENSSL_cleanse(p, len);
}

bool secret_unlocked(void)
{
    return atomic_load(&mlock_refused);
}
