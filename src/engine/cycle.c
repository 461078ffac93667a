/* SPDX-License-Identifier: GPL-3.0-or-later
 * The upkeep cycle: its phases, and the steps of marking, removing and choosing (upkeep.h). Moving frames is
 * compact.c's. */
#include "engine/cycle.h"

static const char *const phase_names[] = {"marking", "marking",   "removing", "choosing", "collecting",
                                          "moving",  "rewriting", "syncing",  ""};

const struct cycle_totals *cycle_totals(const struct cycle *k)
{
    return &k->totals;
}

int cycle_new(struct engine *e, enum cycle_kind kind, struct cycle **ret)
{
    struct cycle *k = calloc(1, sizeof *k);
    if (!k)
        return -ENOMEM;
    k->e = e;
    k->kind = kind;
    k->totals.phase = phase_names[0];
    int r = store_walk_begin(e, &k->walk);
    if (r == 0)
        r = gc_drop_stale(e);
    if (r == 0)
        r = gc_mark_begin(e, &k->mark);
    if (r < 0) {
        store_walk_done(&k->walk);
        free(k);
        return r;
    }
    k->totals.segments = k->mark.count;
    *ret = k;
    return 0;
}

void cycle_free(struct cycle *k)
{
    if (!k)
        return;
    gc_mark_done(&k->mark);
    store_walk_done(&k->walk);
    spans_done(&k->live);
    spans_done(&k->verified);
    free(k->chosen);
    free(k->moves);
    free(k->rows);
    free(k->buf);
    free(k);
}

/* ---- mark, sweep, choose ---- */

static int mark_row(void *arg, const struct version_row *row)
{
    struct cycle *k = arg;
    k->totals.rows++;
    struct record record;
    int r = record_decode(row->body.p, row->body.len, row->data.p, row->data.len, &record);
    if (r < 0)
        return r == -EBADMSG ? -EIO : r; /* its frames are not known: nothing may go */
    gc_mark_map(&k->mark, record.map);
    record_done(&record);
    return 0;
}

static uint64_t live_bytes(const struct gc_segment *s)
{
    uint64_t n = s->live_granules * GC_GRANULE_BYTES;
    return n < s->size_bytes ? n : s->size_bytes;
}

static int most_dead_first(const void *a, const void *b)
{
    const struct gc_segment *x = a, *y = b;
    uint64_t p = live_bytes(x), q = live_bytes(y);
    return (p > q) - (p < q);
}

static int chosen_order(const void *a, const void *b)
{
    const struct chosen *x = a, *y = b;
    return (x->segment > y->segment) - (x->segment < y->segment);
}

/* Worth rewriting: less than half of it is alive. */
static bool worth_it(const struct gc_segment *s)
{
    return s->live_granules && !s->keep && live_bytes(s) < s->size_bytes / 2 &&
           s->size_bytes >= SEGMENT_SMALL_BYTES;
}

static int choose(struct cycle *k)
{
    struct gc_mark *m = &k->mark;
    if (m->failed)
        return -ENOMEM;
    k->chosen = malloc((m->count + 1) * sizeof *k->chosen);
    if (!k->chosen)
        return -ENOMEM;
    if (m->count)
        qsort(m->segments, m->count, sizeof *m->segments, most_dead_first);
    uint64_t sum = 0;
    for (size_t i = 0; i < m->count && sum < CHOSEN_BYTES_MAX; i++) {
        if (!worth_it(&m->segments[i]))
            continue;
        k->chosen[k->chosen_count++] = (struct chosen){.segment = m->segments[i].segment};
        sum += live_bytes(&m->segments[i]);
    }
    if (k->chosen_count)
        qsort(k->chosen, k->chosen_count, sizeof *k->chosen, chosen_order);
    k->totals.chosen = k->chosen_count;
    return 0;
}

/* ---- the machine ---- */

static int phase_enter(struct cycle *k, enum phase p)
{
    k->phase = p;
    k->totals.phase = phase_names[p];
    k->totals.rows = 0;
    if (p != PHASE_COLLECT && p != PHASE_REWRITE)
        return 0;
    store_walk_done(&k->walk);
    return store_walk_begin(k->e, &k->walk);
}

static int after_sweep(struct cycle *k)
{
    gc_mark_end(&k->mark);
    int r = gc_sweep(k->e, &k->mark, &k->totals.removed, &k->totals.freed_bytes);
    if (r < 0)
        return r;
    return phase_enter(k, k->kind == CYCLE_GC ? PHASE_END : PHASE_CHOOSE);
}

static int after_choice(struct cycle *k)
{
    int r = choose(k);
    return r < 0 ? r : phase_enter(k, k->chosen_count ? PHASE_COLLECT : PHASE_END);
}

static int after_collect(struct cycle *k)
{
    k->totals.to_move_bytes = spans_bytes(&k->live);
    k->buf = malloc(STEP_MOVE_BYTES);
    k->rows = malloc(STEP_REWRITE * sizeof *k->rows);
    if (!k->buf || !k->rows)
        return -ENOMEM;
    k->live_from = k->live.count ? k->live.v[0].from : 0;
    return phase_enter(k, k->live.count ? PHASE_MOVE : PHASE_END);
}

/* Frames first, then the rows that refer to them; the old segments go with the next cycle's sweep (E2). */
static int after_move(struct cycle *k)
{
    int r = k->e->block_ops->sync(k->e->b);
    return r < 0 ? r : phase_enter(k, PHASE_REWRITE);
}

static int phase_step(struct cycle *k)
{
    switch (k->phase) {
    case PHASE_DRAFTS:
        return gc_mark_drafts(k->e, &k->mark);
    case PHASE_MARK:
        return store_walk_step(k->e, &k->walk, STEP_ROWS, mark_row, k);
    case PHASE_COLLECT:
        return store_walk_step(k->e, &k->walk, STEP_ROWS, compact_collect_row, k);
    case PHASE_MOVE:
        return compact_move_step(k);
    case PHASE_REWRITE:
        return compact_rewrite_step(k);
    case PHASE_FINISH:
        return durable_advance(k->e);
    default:
        return 0;
    }
}

static int phase_next(struct cycle *k)
{
    switch (k->phase) {
    case PHASE_DRAFTS:
        return phase_enter(k, PHASE_MARK);
    case PHASE_MARK:
        return phase_enter(k, PHASE_SWEEP);
    case PHASE_SWEEP:
        return after_sweep(k);
    case PHASE_CHOOSE:
        return after_choice(k);
    case PHASE_COLLECT:
        return after_collect(k);
    case PHASE_MOVE:
        return after_move(k);
    case PHASE_REWRITE:
        return phase_enter(k, PHASE_FINISH);
    default:
        return phase_enter(k, PHASE_END);
    }
}

int cycle_step(struct cycle *k)
{
    if (k->phase == PHASE_END)
        return 0;
    int r = phase_step(k);
    if (r != 0)
        return r;
    r = phase_next(k);
    return r < 0 ? r : k->phase != PHASE_END;
}
