/* SPDX-License-Identifier: GPL-3.0-or-later
 * The segment store: append-only files of frames. It knows offsets, not what the bytes mean.
 *
 * Called by pipeline and engine from any thread. To add an implementation: src/block/NAME.c with a
 * `const struct block_ops`, and one line in block_table[] of block.c; tests/engine/test_block.c runs over each entry.
 * Every function returns 0 (or a count) or a negative errno; -ENOSPC leaves everything as it was. */
#ifndef HOLDFS_BLOCK_BLOCK_H
#define HOLDFS_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct block;
struct reason;

struct block_place {
    uint32_t segment;
    uint64_t offset_bytes;
};

struct block_config {
    const char *dir;             /* STORE/segments; made if missing, mode 0700, files 0600 */
    uint64_t segment_size_bytes; /* a segment that reached it takes no more; 64 MiB by default */
    uint64_t reserve_bytes;      /* appends fail with -ENOSPC when less would be left free below */
    bool read_only;
};

typedef int block_segment_fn(void *arg, uint32_t segment, uint64_t size_bytes, bool open_for_append);

struct block_ops {
    const char *name;
    int (*open)(const struct block_config *config, struct block **ret, struct reason *reason);
    void (*close)(struct block *b);
    /* Appends len bytes as one piece; they survive the death of the process. Threads do not wait for each other's
     * writes: space is reserved, then written with pwrite. A piece never spans segments. A failed append leaves a
     * hole that nothing refers to. After open, appends always go to a fresh segment. */
    int (*append)(struct block *b, const void *buf, size_t len, struct block_place *ret);
    /* Reads exactly len bytes; -ENODATA when the segment is shorter, -ENOENT when it is gone. */
    int (*read)(struct block *b, struct block_place at, void *buf, size_t len);
    /* Every append that returned before the call survives a power cut after it (data, size, directory entry).
     * Threads that wait share one sync. */
    int (*sync)(struct block *b);
    int (*list)(struct block *b, block_segment_fn *fn, void *arg);
    /* Removes a whole segment, for gc and compaction. -EBUSY for one that still takes appends (see seal). */
    int (*remove)(struct block *b, uint32_t segment);
    /* Ends the segment(s) now taking appends; the next append starts a new one. */
    int (*seal)(struct block *b);
    /* The highest number that was ever given to a segment; 0: none. */
    uint32_t (*last)(struct block *b);
    int (*free_space)(struct block *b, uint64_t *ret_total, uint64_t *ret_free);
};

/* ---- copies (copy.c): a directory of a backup, laid out as the local store's ---- */

struct block_copy {
    const struct block_ops *ops;
    struct block *block;
    int dir_fd;
    int (*fn)(void *arg, uint64_t bytes); /* after each piece; non-zero ends it with -ECANCELED */
    void *arg;
};
/* How many of the segment's first `size` bytes are not in the directory yet. */
int block_copy_missing(const struct block_copy *copy, uint32_t segment, uint64_t size, uint64_t *ret);
/* Brings exactly them there, durable but for the directory's entry. Removal of the segment must be held off meanwhile. */
int block_copy_segment(const struct block_copy *copy, uint32_t segment, uint64_t size);
/* Removes every segment of the directory but those listed (which are sorted). */
int block_copy_drop_others(int dir_fd, uint32_t *kept, size_t kept_count, uint64_t *ret_removed);

const struct block_ops *block_find(const char *name); /* "local" */

#endif
