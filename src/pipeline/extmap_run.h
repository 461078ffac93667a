/* SPDX-License-Identifier: GPL-3.0-or-later
 * Arithmetic on the run of frames that one extent refers to. Private to the pipeline.
 *
 * An extent is canonical: its first and its last frame each hold at least one covered byte. */
#ifndef HOLDFS_PIPELINE_EXTMAP_RUN_H
#define HOLDFS_PIPELINE_EXTMAP_RUN_H

#include "pipeline/extmap.h"
#include "pipeline/frame.h"

static inline uint64_t extent_end(const struct extent *e)
{
    return e->offset_bytes + e->length_bytes;
}

/* From one frame of the run to the next, in the segment. */
static inline uint64_t extent_stride(const struct extent *e)
{
    return (uint64_t)e->cipher_bytes + FRAME_OVERHEAD_BYTES;
}

static inline uint64_t extent_last_place(const struct extent *e)
{
    return e->place_bytes + (e->frames - 1) * extent_stride(e);
}

/* The run on disk, overhead included. */
static inline uint64_t extent_run_bytes(const struct extent *e)
{
    return (e->frames - 1) * extent_stride(e) + e->last_cipher_bytes + FRAME_OVERHEAD_BYTES;
}

/* The run's plaintext, covered or not. */
static inline uint64_t extent_run_plain(const struct extent *e)
{
    return (uint64_t)(e->frames - 1) * e->plain_bytes + e->last_plain_bytes;
}

/* Which frame of the run holds byte `at` of the run's plaintext. */
static inline uint32_t extent_frame_at(const struct extent *e, uint64_t at)
{
    uint64_t k = at / e->plain_bytes;
    return k < e->frames ? (uint32_t)k : e->frames - 1;
}

/* Lengthens a by e where e goes on in the same run. */
bool extent_join(struct extent *a, const struct extent *e);

#endif
