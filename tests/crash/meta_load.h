/* SPDX-License-Identifier: GPL-3.0-or-later
 * A load on a metadata store whose state says by itself which transactions are in it, for tests that
 * interrupt it. */
#ifndef HOLDFS_TESTS_META_LOAD_H
#define HOLDFS_TESTS_META_LOAD_H

#include "../lib/metastore.h"

#include <pthread.h>

enum { LOAD_BUCKETS = 5, LOAD_KEYS = 400 };

/* Transaction n puts a row with seq n under LOAD_BUCKETS buckets, removes old ones, and notes n. */
static inline int load_write(struct metastore *s, uint64_t n)
{
    static uint8_t data[6000];
    char key[32];
    LOCK_SCOPE(&metastore_lock);
    int r = s->ops->begin(s->meta);
    for (uint32_t bucket = 1; bucket <= LOAD_BUCKETS && r == 0; bucket++) {
        snprintf(key, sizeof(key), "key-%llu", (unsigned long long)((n * 31 + bucket * 100003) % LOAD_KEYS));
        struct version_row row = {
            .bucket = bucket, .key = text_span(key), .seq = n, .data = span_of(data, n * 97 % sizeof(data))};
        r = s->ops->version_put(s->meta, &row);
        if (r == 0 && n > LOAD_KEYS) /* the keys come round */
            r = s->ops->version_del(s->meta, bucket, text_span(key), n - LOAD_KEYS);
    }
    if (r == 0)
        r = s->ops->value_put(s->meta, "n", span_of(&n, sizeof(n)));
    return r < 0 ? r : s->ops->commit(s->meta);
}

static inline void *load_checkpoint(void *arg)
{
    struct metastore *s = arg;
    for (unsigned i = 0;; i++) {
        s->ops->checkpoint(s->meta, true, &metastore_lock);
        usleep(3000 * (i % 7));
    }
    return NULL;
}

struct load_tally {
    uint64_t wanted, rows, newest;
};

static inline int load_tally_row(void *arg, const struct version_row *row)
{
    struct load_tally *t = arg;
    t->rows += row->seq == t->wanted;
    t->newest = row->seq > t->newest ? row->seq : t->newest;
    return 0;
}

static inline uint64_t load_committed(struct metastore *s)
{
    struct span value;
    uint64_t n = 0;
    int r = s->ops->value_get(s->meta, "n", &value);
    assert_true(r == 0 || r == -ENOENT);
    if (r == 0)
        memcpy(&n, value.p, sizeof(n));
    return n;
}

/* The last transaction of a sound store; that one is whole, and nothing of a later one is there. */
static inline uint64_t load_verify(struct metastore *s)
{
    assert_int_equal(metastore_check(s), 0);
    uint64_t n = load_committed(s);
    struct load_tally tally = {.wanted = n};
    assert_int_equal(s->ops->version_scan_since(s->meta, 0, load_tally_row, &tally), 0);
    assert_true(tally.newest == n && (n == 0 || tally.rows == LOAD_BUCKETS));
    assert_int_equal(s->reports, 0);
    return n;
}

#endif
