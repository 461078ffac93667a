/* SPDX-License-Identifier: GPL-3.0-or-later
 * A set of byte ranges of segments: which frames something refers to, each byte counted once however many
 * versions share it.
 *
 * Pure values; used by du, gc and compaction. Additions are collected and merged when they have grown enough,
 * so that adding is cheap in any order. */
#ifndef HOLDFS_ENGINE_SPANS_H
#define HOLDFS_ENGINE_SPANS_H

#include "pipeline/extmap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment_span {
    uint32_t segment;
    uint64_t from, to; /* bytes [from, to) */
};

struct spans {
    struct segment_span *v;
    size_t sorted; /* the first so many are in order and apart from each other */
    size_t count, cap;
};

void spans_done(struct spans *s);
int spans_add(struct spans *s, uint32_t segment, uint64_t from, uint64_t to);
/* All frames of the map but inline ones. */
int spans_add_map(struct spans *s, const struct extmap *map);
/* Puts all in order; v[0..count) is then sorted by (segment, from), ranges that touch are one. */
void spans_tidy(struct spans *s);
uint64_t spans_bytes(struct spans *s);
/* The range that holds this byte, or NULL; tidies. */
const struct segment_span *spans_find(struct spans *s, uint32_t segment, uint64_t at);

/* Bytes that a run of frames takes in its segment. */
uint64_t extent_stored_bytes(const struct extent *x);

#endif
