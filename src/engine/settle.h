/* SPDX-License-Identifier: GPL-3.0-or-later
 * What waits for its time: versions to settle, replaced null versions to purge, orphans to reap. Private to src/engine. */
#ifndef HOLDFS_ENGINE_SETTLE_H
#define HOLDFS_ENGINE_SETTLE_H

#include "meta/meta.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum settle_kind {
    SETTLE_VERSION,  /* unsettled (retention.md §1.6) */
    SETTLE_REPLACED, /* a null version that waits until its successor survives a power cut */
    SETTLE_ORPHAN,   /* S2d: unlinked before it settled, its key's only version; kept for the bucket's orphan time */
};

/* What the running transaction did to an entry. */
enum settle_touch {
    SETTLE_UNTOUCHED,
    SETTLE_ADDED,
    SETTLE_DROPPED, /* out of the queue; comes back with a rollback */
    SETTLE_GONE,    /* added and dropped */
};

struct settle_entry {
    struct settle_entry *chain;
    struct settle_entry *touched_next; /* newest first */
    enum settle_touch touched;
    size_t heap_at;
    int64_t due_ns; /* CLOCK_MONOTONIC; at or before the real time due: looked at again then */
    uint64_t seq;
    uint32_t bucket;
    enum settle_kind kind;
    int64_t settle_ns;          /* the bucket's settle time when it began to wait */
    int64_t first_ns, last_ns;  /* first publish, last change */
    bool sealed;                /* nobody can change its content any more, whatever is open */
    uint64_t behind_seq;        /* SETTLE_REPLACED: may go once this sequence is durable */
    size_t key_len;
    uint8_t key[];
};

struct settle_queue;
struct settle_queue *settle_queue_new(void); /* NULL: no memory */
void settle_queue_free(struct settle_queue *q);
struct settle_entry *settle_queue_find(const struct settle_queue *q, uint64_t seq);
/* A new entry, due at once until settle_queue_due() says otherwise; NULL: no memory. The sequence must not be in the queue. */
struct settle_entry *settle_queue_add(struct settle_queue *q, uint32_t bucket, struct span key, uint64_t seq);
void settle_queue_due(struct settle_queue *q, struct settle_entry *entry, int64_t due_ns);
/* Out of the queue, then either back or away for good. */
void settle_queue_take(struct settle_queue *q, struct settle_entry *entry);
void settle_queue_put_back(struct settle_queue *q, struct settle_entry *entry);
void settle_queue_forget(struct settle_queue *q, struct settle_entry *entry);
struct settle_entry *settle_queue_first(const struct settle_queue *q); /* the one due first; NULL */

#endif
