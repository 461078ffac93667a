/* SPDX-License-Identifier: GPL-3.0-or-later
 * The state of an upkeep cycle, between its steps (cycle.c) and the moving of frames (compact.c). Private to
 * both. */
#ifndef HOLDFS_ENGINE_CYCLE_H
#define HOLDFS_ENGINE_CYCLE_H

#include "engine/upkeep.h"

enum {
    STEP_ROWS = 512,               /* rows looked at in one step */
    STEP_REWRITE = 64,             /* versions rewritten in one transaction */
    STEP_MOVE_BYTES = 1 << 20,     /* copied in one append */
    CHOSEN_BYTES_MAX = 256 << 20,  /* live bytes of the segments one cycle rewrites */
    SEGMENT_SMALL_BYTES = 1 << 20, /* smaller ones are joined only when many wait */
};

enum phase {
    PHASE_DRAFTS,
    PHASE_MARK,
    PHASE_SWEEP,
    PHASE_CHOOSE,
    PHASE_COLLECT,
    PHASE_MOVE,
    PHASE_REWRITE,
    PHASE_FINISH,
    PHASE_END
};

struct chosen {
    uint32_t segment;
    bool keep; /* damaged, or changed while it was looked at */
};

struct move {
    uint32_t segment, new_segment;
    uint64_t from, to, new_from;
};

struct row_ref {
    uint32_t bucket;
    uint64_t seq;
    struct walk_key key;
};

struct cycle {
    struct engine *e;
    enum cycle_kind kind;
    enum phase phase;
    struct gc_mark mark;
    struct store_walk walk;
    struct cycle_totals totals;

    struct chosen *chosen; /* by number */
    size_t chosen_count;
    struct spans live;  /* frames to move */
    size_t live_at;     /* the span being moved, */
    uint64_t live_from; /* and where in it */
    struct move *moves; /* by (segment, from) */
    size_t move_count, move_cap;
    struct spans verified; /* of the copies */
    struct row_ref *rows;  /* STEP_REWRITE of them */
    size_t row_count;
    uint8_t *buf;
};

/* ---- compact.c ---- */
int compact_collect_row(void *arg,
                        const struct version_row *row); /* notes the live frames of chosen segments */
int compact_move_step(struct cycle *k);                 /* 1 more, 0 all moved */
int compact_rewrite_step(struct cycle *k);              /* 1 more, 0 all rows looked at */

#endif
