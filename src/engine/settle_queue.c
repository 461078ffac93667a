/* SPDX-License-Identifier: GPL-3.0-or-later
 * The queue of what waits for its time: a heap ordered by due time and a table by sequence; see settle.h. */
#include "engine/settle.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct settle_queue {
    struct settle_entry **heap; /* heap[0] is due first */
    size_t count, cap, taken;
    struct settle_entry **table; /* chains by sequence; a power of two, grows with count */
    size_t slots;
};

enum { SLOTS_FIRST = 256 };

struct settle_queue *settle_queue_new(void)
{
    struct settle_queue *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->table = calloc(SLOTS_FIRST, sizeof *q->table);
    if (!q->table) {
        free(q);
        return NULL;
    }
    q->slots = SLOTS_FIRST;
    return q;
}

void settle_queue_free(struct settle_queue *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < q->count; i++)
        free(q->heap[i]);
    free(q->heap);
    free(q->table);
    free(q);
}

static struct settle_entry **slot_of(const struct settle_queue *q, uint64_t seq)
{
    return &q->table[(seq * 0x9e3779b97f4a7c15u >> 20) & (q->slots - 1)];
}

struct settle_entry *settle_queue_find(const struct settle_queue *q, uint64_t seq)
{
    struct settle_entry *entry = *slot_of(q, seq);
    while (entry && entry->seq != seq)
        entry = entry->chain;
    return entry;
}

static void table_insert(struct settle_queue *q, struct settle_entry *entry)
{
    struct settle_entry **slot = slot_of(q, entry->seq);
    entry->chain = *slot;
    *slot = entry;
}

static void table_remove(struct settle_queue *q, struct settle_entry *entry)
{
    struct settle_entry **at = slot_of(q, entry->seq);
    while (*at != entry)
        at = &(*at)->chain;
    *at = entry->chain;
}

/* A table too small only makes look-ups slower: when memory lacks it stays. */
static void table_grow(struct settle_queue *q)
{
    struct settle_entry **table = calloc(q->slots * 2, sizeof *table);
    if (!table)
        return;
    free(q->table);
    q->table = table;
    q->slots *= 2;
    for (size_t i = 0; i < q->count; i++)
        table_insert(q, q->heap[i]);
}

static void heap_set(struct settle_queue *q, size_t at, struct settle_entry *entry)
{
    q->heap[at] = entry;
    entry->heap_at = at;
}

static void heap_sift(struct settle_queue *q, size_t at)
{
    struct settle_entry *entry = q->heap[at];
    while (at > 0 && q->heap[(at - 1) / 2]->due_ns > entry->due_ns) {
        heap_set(q, at, q->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (size_t child = 2 * at + 1; child < q->count; child = 2 * at + 1) {
        if (child + 1 < q->count && q->heap[child + 1]->due_ns < q->heap[child]->due_ns)
            child++;
        if (q->heap[child]->due_ns >= entry->due_ns)
            break;
        heap_set(q, at, q->heap[child]);
        at = child;
    }
    heap_set(q, at, entry);
}

static void insert(struct settle_queue *q, struct settle_entry *entry)
{
    assert(q->count < q->cap && !settle_queue_find(q, entry->seq));
    heap_set(q, q->count++, entry);
    table_insert(q, entry);
    heap_sift(q, entry->heap_at);
}

struct settle_entry *settle_queue_add(struct settle_queue *q, uint32_t bucket, struct span key, uint64_t seq)
{
    /* One place stays free for each entry taken, so that putting back never needs memory. */
    if (q->count + q->taken >= q->cap) {
        size_t cap = q->cap ? q->cap * 2 : 64;
        struct settle_entry **heap = realloc(q->heap, cap * sizeof *heap);
        if (!heap)
            return NULL;
        q->heap = heap;
        q->cap = cap;
    }
    struct settle_entry *entry = calloc(1, sizeof *entry + key.len + 1);
    if (!entry)
        return NULL;
    entry->bucket = bucket;
    entry->seq = seq;
    entry->key_len = key.len;
    if (key.len)
        memcpy(entry->key, key.p, key.len);
    insert(q, entry);
    if (q->count > q->slots)
        table_grow(q);
    return entry;
}

void settle_queue_due(struct settle_queue *q, struct settle_entry *entry, int64_t due_ns)
{
    entry->due_ns = due_ns;
    heap_sift(q, entry->heap_at);
}

void settle_queue_take(struct settle_queue *q, struct settle_entry *entry)
{
    table_remove(q, entry);
    size_t at = entry->heap_at;
    struct settle_entry *last = q->heap[--q->count];
    if (last != entry) {
        heap_set(q, at, last);
        heap_sift(q, at);
    }
    q->taken++;
}

void settle_queue_put_back(struct settle_queue *q, struct settle_entry *entry)
{
    q->taken--;
    insert(q, entry);
}

void settle_queue_forget(struct settle_queue *q, struct settle_entry *entry)
{
    q->taken--;
    free(entry);
}

struct settle_entry *settle_queue_first(const struct settle_queue *q)
{
    return q->count ? q->heap[0] : NULL;
}
