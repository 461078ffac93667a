/* SPDX-License-Identifier: GPL-3.0-or-later
 * The ordered extents of a map in chunks. Private to the pipeline. Nothing here knows of frames or joins extents. */
#ifndef HOLDFS_PIPELINE_EXTMAP_CHUNKS_H
#define HOLDFS_PIPELINE_EXTMAP_CHUNKS_H

#include "pipeline/extmap.h"

enum {
    /* 16 KiB: moving half of it costs less than sealing the smallest frame. */
    EXTMAP_CHUNK_EXTENTS = 256,
};

/* The first extent that ends beyond offset; the end of the map, if none does. */
struct extmap_cursor extmap_find(const struct extmap *m, uint64_t offset);
/* The extent at the cursor; NULL at the end. */
struct extent *extmap_get(const struct extmap *m, struct extmap_cursor c);
/* The extent before the cursor, and the cursor put on it; NULL at the start. */
struct extent *extmap_previous(const struct extmap *m, struct extmap_cursor *c);

/* Replaces the extents from `from` up to, not including, `to` by `count` others that fit there in order. -ENOMEM:
 * nothing is changed. `news` must not lie in the map. */
int extmap_replace(struct extmap *m, struct extmap_cursor from, struct extmap_cursor to, const struct extent *news,
                   size_t count);
/* Adds an extent behind all others; `coming` of them are expected in all. -ENOMEM. */
int extmap_append(struct extmap *m, const struct extent *e, size_t coming);
/* Drops the extents of which `drop` says so; cannot fail. */
void extmap_drop(struct extmap *m, bool (*drop)(const struct extent *e));
void extmap_free_chunks(struct extmap *m);

#endif
