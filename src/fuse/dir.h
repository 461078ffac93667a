/* SPDX-License-Identifier: GPL-3.0-or-later
 * Listing a directory in batches: what a source of entries fills in. Sources: the live tree (dir.c), hidden
 * kinds. */
#ifndef HOLDFS_FUSE_DIR_H
#define HOLDFS_FUSE_DIR_H

#include "fuse/front.h"

/* Where a listing stands: after this entry. All zero: at the start. Sources choose what phase and seq mean.
 */
struct dir_cursor {
    uint64_t seq;
    uint8_t phase;
    uint8_t name_len;
    char name[FRONT_NAME_BYTES + 1]; /* terminated */
};

struct dir_entry {
    uint64_t ino; /* as stat shows it */
    uint64_t seq;
    size_t name_at; /* in names, terminated */
    uint32_t mode;
    uint8_t name_len, phase;
};

struct dir_batch {
    struct dir_entry *entries;
    struct engine_attr *attrs; /* one an entry, when with_attr */
    struct bytes names;
    size_t count, max;
    bool with_attr; /* asked for */
    bool end;       /* nothing follows the last entry */
};

/* Adds an entry; true when the batch takes no more (the source stops). Names longer than 255 bytes are left
 * out. */
bool dir_batch_add(struct dir_batch *batch, const char *name, size_t len, const struct dir_entry *entry,
                   const struct engine_attr *attr);
static inline bool dir_batch_full(const struct dir_batch *batch)
{
    return batch->count >= batch->max;
}

#endif
