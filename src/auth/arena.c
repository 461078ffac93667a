/* SPDX-License-Identifier: GPL-3.0-or-later
 * Memory of one compiled policy: taken in pieces, given back at once. */
#include "auth/policy.h"

#include <stdlib.h>

enum { ARENA_BLOCK_BYTES = 8192 - 64 };

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    max_align_t data[];
};

void *arena_take(struct arena *a, size_t size)
{
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct arena_block *block = a->blocks;
    if (!block || block->cap - block->used < size) {
        size_t cap = size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES;
        block = calloc(1, sizeof *block + cap);
        if (!block)
            return NULL;
        block->cap = cap;
        block->next = a->blocks;
        a->blocks = block;
    }
    void *taken = (char *)block->data + block->used;
    block->used += size;
    return taken;
}

char *arena_text(struct arena *a, const char *text, size_t len)
{
    char *copy = arena_take(a, len + 1);
    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

void arena_done(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *block = a->blocks;
        a->blocks = block->next;
        free(block);
    }
}
