/* SPDX-License-Identifier: GPL-3.0-or-later
 * Armed bypasses of governance retention and half-set retentions (retention.md §2.6). In memory only: gone at unmount.
 *
 * A bypass of a version serves one operation of one uid within a minute; a directory's serves everything below it for its
 * seconds. They never touch compliance or holds: lock.c asks for them only where governance alone forbids. */
#include "engine/lock.h"

#include <stdio.h>

enum { NS_PER_S = 1000000000, BYPASSES_MAX = 1024 };

enum armed_kind { ARMED_VERSION, ARMED_DIR, ARMED_HALF };

struct armed {
    struct armed *next;
    enum armed_kind kind;
    uint32_t uid, bucket;
    uint64_t seq; /* not for directories */
    int64_t until_ns; /* CLOCK_MONOTONIC */
    struct lock_wanted half;
    size_t key_len;
    uint8_t key[];
};

struct bypasses {
    struct armed *newest; /* M */
    size_t count;         /* M */
};

int bypasses_open(struct engine *e)
{
    e->bypasses = calloc(1, sizeof *e->bypasses);
    return e->bypasses ? 0 : -ENOMEM;
}

void bypasses_close(struct engine *e)
{
    if (!e->bypasses)
        return;
    while (e->bypasses->newest) {
        struct armed *a = e->bypasses->newest;
        e->bypasses->newest = a->next;
        free(a);
    }
    free(e->bypasses);
    e->bypasses = NULL;
}

static bool armed_is(const struct armed *a, enum armed_kind kind, uint32_t uid, uint32_t bucket, struct span key, uint64_t seq)
{
    return a->kind == kind && a->uid == uid && a->bucket == bucket && a->seq == seq && a->key_len == key.len &&
           memcmp(a->key, key.p, key.len) == 0;
}

/* The place that points to the entry, after dropping what has run out; *place is NULL when there is none. */
static struct armed **armed_find(struct engine *e, enum armed_kind kind, uint32_t uid, uint32_t bucket, struct span key,
                                 uint64_t seq)
{
    int64_t now = clock_mono_ns();
    struct armed **at = &e->bypasses->newest;
    while (*at) {
        struct armed *a = *at;
        if (a->until_ns <= now) {
            *at = a->next;
            e->bypasses->count--;
            free(a);
        } else if (armed_is(a, kind, uid, bucket, key, seq)) {
            return at;
        } else {
            at = &a->next;
        }
    }
    return at;
}

static int armed_drop(struct engine *e, struct armed **at)
{
    struct armed *a = *at;
    if (!a)
        return -ENODATA;
    *at = a->next;
    e->bypasses->count--;
    free(a);
    return 0;
}

static void drop_oldest(struct engine *e)
{
    struct armed **at = &e->bypasses->newest;
    while (*at && (*at)->next)
        at = &(*at)->next;
    armed_drop(e, at);
}

static struct armed *armed_put(struct engine *e, enum armed_kind kind, uint32_t uid, uint32_t bucket, struct span key,
                               uint64_t seq, int64_t seconds)
{
    armed_drop(e, armed_find(e, kind, uid, bucket, key, seq));
    struct armed *a = calloc(1, sizeof *a + key.len + 1);
    if (!a)
        return NULL;
    a->kind = kind;
    a->uid = uid;
    a->bucket = bucket;
    a->seq = seq;
    a->until_ns = clock_mono_ns() + seconds * NS_PER_S;
    a->key_len = key.len;
    if (key.len)
        memcpy(a->key, key.p, key.len);
    a->next = e->bypasses->newest;
    e->bypasses->newest = a;
    if (++e->bypasses->count > BYPASSES_MAX)
        drop_oldest(e);
    return a;
}

static struct span key_of(const struct version *v)
{
    return span_of(v->key, v->key_len);
}

int bypass_arm_version(struct engine *e, uint32_t uid, const struct version *v)
{
    return armed_put(e, ARMED_VERSION, uid, v->bucket, key_of(v), v->seq, BYPASS_VERSION_S) ? 0 : -ENOMEM;
}

int bypass_arm_dir(struct engine *e, uint32_t uid, uint32_t bucket, struct span key, int64_t seconds)
{
    return armed_put(e, ARMED_DIR, uid, bucket, key, 0, seconds) ? 0 : -ENOMEM;
}

bool bypass_armed_dir(struct engine *e, uint32_t uid, uint32_t bucket, struct span key)
{
    return *armed_find(e, ARMED_DIR, uid, bucket, key, 0);
}

static bool armed_above(struct engine *e, uint32_t uid, const struct version *v)
{
    for (size_t len = v->key_len; len > 0; len--) {
        if ((len == v->key_len || v->key[len] == '/') && bypass_armed_dir(e, uid, v->bucket, span_of(v->key, len)))
            return true;
    }
    return bypass_armed_dir(e, uid, v->bucket, span_of("", 0));
}

bool bypass_armed_version(struct engine *e, uint32_t uid, const struct version *v)
{
    return *armed_find(e, ARMED_VERSION, uid, v->bucket, key_of(v), v->seq) || armed_above(e, uid, v);
}

int bypass_disarm_version(struct engine *e, uint32_t uid, const struct version *v)
{
    return armed_drop(e, armed_find(e, ARMED_VERSION, uid, v->bucket, key_of(v), v->seq));
}

int bypass_disarm_dir(struct engine *e, uint32_t uid, uint32_t bucket, struct span key)
{
    return armed_drop(e, armed_find(e, ARMED_DIR, uid, bucket, key, 0));
}

bool bypass_use(struct engine *e, uint32_t uid, const struct version *v)
{
    return bypass_disarm_version(e, uid, v) == 0 || armed_above(e, uid, v);
}

int half_lock_put(struct engine *e, uint32_t uid, const struct version *v, const struct lock_wanted *half)
{
    struct armed *a = armed_put(e, ARMED_HALF, uid, v->bucket, key_of(v), v->seq, BYPASS_VERSION_S);
    if (!a)
        return -ENOMEM;
    a->half = *half;
    return 0;
}

bool half_lock_take(struct engine *e, uint32_t uid, const struct version *v, struct lock_wanted *ret)
{
    struct armed **at = armed_find(e, ARMED_HALF, uid, v->bucket, key_of(v), v->seq);
    if (!*at)
        return false;
    *ret = (*at)->half;
    armed_drop(e, at);
    return true;
}
