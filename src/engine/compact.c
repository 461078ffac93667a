/* SPDX-License-Identifier: GPL-3.0-or-later
 * The upkeep cycle's steps, and moving live frames out of segments that are mostly dead (upkeep.h).
 *
 * Frames move as ciphertext. Before any row is pointed to a copy, the copy is opened with its key; a frame that does not open
 * keeps its old segment for good, so that nothing readable, and nothing locked, is ever lost to compaction (retention.md §2.8). */
#include "engine/upkeep.h"

#include <stdio.h>

enum {
    STEP_ROWS = 512,              /* rows looked at in one step */
    STEP_REWRITE = 64,            /* versions rewritten in one transaction */
    STEP_MOVE_BYTES = 1 << 20,    /* copied in one append */
    CHOSEN_BYTES_MAX = 256 << 20, /* live bytes of the segments one cycle rewrites */
    SEGMENT_SMALL_BYTES = 1 << 20, /* smaller ones are joined only when many wait */
};

enum phase { PHASE_DRAFTS, PHASE_MARK, PHASE_SWEEP, PHASE_CHOOSE, PHASE_COLLECT, PHASE_MOVE, PHASE_REWRITE, PHASE_FINISH, PHASE_END };

static const char *const phase_names[] = {"marking", "marking", "removing", "choosing", "collecting", "moving", "rewriting", "syncing", ""};

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
    struct spans live;     /* frames to move */
    size_t live_at;        /* the span being moved, */
    uint64_t live_from;    /* and where in it */
    struct move *moves;    /* by (segment, from) */
    size_t move_count, move_cap;
    struct spans verified; /* of the copies */
    struct row_ref *rows;  /* STEP_REWRITE of them */
    size_t row_count;
    uint8_t *buf;
};

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

static struct chosen *chosen_find(struct cycle *k, uint32_t segment)
{
    size_t lo = 0, hi = k->chosen_count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (k->chosen[middle].segment < segment)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo < k->chosen_count && k->chosen[lo].segment == segment ? &k->chosen[lo] : NULL;
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
    return s->live_granules && !s->keep && live_bytes(s) < s->size_bytes / 2 && s->size_bytes >= SEGMENT_SMALL_BYTES;
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

/* ---- which frames, and moving them ---- */

static bool map_touches(struct cycle *k, const struct extmap *map)
{
    const struct extent *x;
    bool touches = false;
    for (struct extmap_cursor at = {0}; !touches && map && (x = extmap_next(map, &at));)
        touches = x->segment && chosen_find(k, x->segment);
    return touches;
}

static int collect_row(void *arg, const struct version_row *row)
{
    struct cycle *k = arg;
    k->totals.rows++;
    struct record record;
    int r = record_decode(row->body.p, row->body.len, row->data.p, row->data.len, &record);
    if (r < 0)
        return r == -EBADMSG ? -EIO : r;
    const struct extent *x;
    for (struct extmap_cursor at = {0}; r == 0 && record.map && (x = extmap_next(record.map, &at));) {
        if (x->segment && chosen_find(k, x->segment))
            r = spans_add(&k->live, x->segment, x->place_bytes, x->place_bytes + extent_stored_bytes(x));
    }
    record_done(&record);
    return r;
}

static int move_note(struct cycle *k, const struct move *m)
{
    if (k->move_count == k->move_cap) {
        size_t cap = k->move_cap ? k->move_cap * 2 : 256;
        struct move *grown = realloc(k->moves, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        k->moves = grown;
        k->move_cap = cap;
    }
    k->moves[k->move_count++] = *m;
    return 0;
}

/* Bytes at the start of buf that are whole frames. 0 where there is no frame. */
static size_t whole_frames(const uint8_t *buf, size_t len)
{
    size_t at = 0;
    struct frame_header h;
    while (len - at >= FRAME_OVERHEAD_BYTES && frame_header_read(buf + at, len - at, &h) == 0) {
        size_t size = (size_t)h.cipher_bytes + FRAME_OVERHEAD_BYTES;
        if (size > len - at)
            break;
        at += size;
    }
    return at;
}

/* The span being moved cannot be read as frames: its segment stays. */
static void move_give_up(struct cycle *k)
{
    const struct segment_span *s = &k->live.v[k->live_at];
    struct chosen *c = chosen_find(k, s->segment);
    k->totals.kept += c && !c->keep;
    if (c)
        c->keep = true;
    k->totals.moved_bytes += s->to - k->live_from;
    k->live_at++;
    k->live_from = k->live_at < k->live.count ? k->live.v[k->live_at].from : 0;
}

static int move_step(struct cycle *k)
{
    if (k->live_at == k->live.count)
        return 0;
    const struct segment_span s = k->live.v[k->live_at];
    struct chosen *c = chosen_find(k, s.segment);
    size_t want = s.to - k->live_from < STEP_MOVE_BYTES ? (size_t)(s.to - k->live_from) : STEP_MOVE_BYTES;
    int r = c->keep ? -EIO : k->e->block_ops->read(k->e->b, (struct block_place){s.segment, k->live_from}, k->buf, want);
    size_t whole = r == 0 ? whole_frames(k->buf, want) : 0;
    if (!whole) {
        move_give_up(k);
        return 1;
    }
    struct block_place to;
    r = k->e->block_ops->append(k->e->b, k->buf, whole, &to);
    if (r < 0)
        return r;
    struct move m = {.segment = s.segment, .from = k->live_from, .to = k->live_from + whole,
                     .new_segment = to.segment, .new_from = to.offset_bytes};
    r = move_note(k, &m);
    k->totals.moved_bytes += whole;
    k->live_from += whole;
    if (k->live_from == s.to) {
        k->live_at++;
        k->live_from = k->live_at < k->live.count ? k->live.v[k->live_at].from : 0;
    }
    return r < 0 ? r : 1;
}

static const struct move *move_find(const struct cycle *k, uint32_t segment, uint64_t at)
{
    size_t lo = 0, hi = k->move_count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        const struct move *m = &k->moves[middle];
        if (m->segment < segment || (m->segment == segment && m->to <= at))
            lo = middle + 1;
        else
            hi = middle;
    }
    const struct move *m = lo < k->move_count ? &k->moves[lo] : NULL;
    return m && m->segment == segment && m->from <= at ? m : NULL;
}

/* ---- pointing versions to the copies ---- */

/* Frames [a, b) of x as an extent of their own. */
static struct extent extent_part(const struct extent *x, uint32_t a, uint32_t b)
{
    struct extent p = *x;
    uint64_t begin = a ? x->offset_bytes + (uint64_t)a * x->plain_bytes - x->skip_bytes : x->offset_bytes;
    uint64_t end = b == x->frames ? x->offset_bytes + x->length_bytes
                                  : x->offset_bytes + (uint64_t)b * x->plain_bytes - x->skip_bytes;
    p.offset_bytes = begin;
    p.length_bytes = end - begin;
    p.skip_bytes = a ? 0 : x->skip_bytes;
    p.place_bytes = x->place_bytes + (uint64_t)a * (x->cipher_bytes + FRAME_OVERHEAD_BYTES);
    p.number = x->number + a;
    p.frames = b - a;
    if (b < x->frames) {
        p.last_plain_bytes = x->plain_bytes;
        p.last_cipher_bytes = x->cipher_bytes;
    } else if (p.frames == 1) {
        p.plain_bytes = x->last_plain_bytes;
        p.cipher_bytes = x->last_cipher_bytes;
    }
    return p;
}

/* Where frame f of the run lies now. */
static uint64_t frame_place(const struct extent *x, uint32_t f)
{
    return x->place_bytes + (uint64_t)f * (x->cipher_bytes + FRAME_OVERHEAD_BYTES);
}

/* A map of the same size and data keys without any extent. */
static int map_shell(const struct extmap *map, struct extmap **ret)
{
    struct extmap *shell = extmap_new();
    if (!shell)
        return -ENOMEM;
    int r = extmap_resize(shell, map->size_bytes);
    for (size_t i = 0; r == 0 && i < map->dek_count; i++) {
        int index = extmap_dek_index(shell, &map->deks[i]);
        r = index < 0 ? index : (size_t)index == i ? 0 : -EIO;
    }
    if (r < 0) {
        extmap_unref(shell);
        return r;
    }
    *ret = shell;
    return 0;
}

static bool span_covers(struct spans *s, const struct extent *x)
{
    const struct segment_span *in = spans_find(s, x->segment, x->place_bytes);
    return in && in->to >= x->place_bytes + extent_stored_bytes(x);
}

int map_unseen(const struct extmap *map, struct spans *seen, struct extmap **ret)
{
    struct extmap *sub;
    int r = map_shell(map, &sub);
    if (r < 0)
        return r;
    bytes_put(&sub->inline_data, map->inline_data.data, map->inline_data.len);
    r = sub->inline_data.failed ? -ENOMEM : 0;
    const struct extent *x;
    for (struct extmap_cursor at = {0}; r == 0 && (x = extmap_next(map, &at));) {
        if (!x->segment || !span_covers(seen, x))
            r = extmap_put(sub, x);
    }
    if (r < 0) {
        extmap_unref(sub);
        return r;
    }
    *ret = sub;
    return 0;
}

/* A version's map as it will be, and the part of it that is still to be verified. */
struct translated {
    struct extmap *map, *fresh;
};

static void translated_done(struct translated *t)
{
    extmap_unref(t->map);
    extmap_unref(t->fresh);
    t->map = t->fresh = NULL;
}

/* Puts the moved form of one extent into both. -ENODATA where a frame of it was not moved. */
static int translate_extent(struct cycle *k, const struct extent *x, struct translated *t)
{
    for (uint32_t f = 0; f < x->frames;) {
        const struct move *m = move_find(k, x->segment, frame_place(x, f));
        if (!m)
            return -ENODATA;
        uint32_t last = f;
        while (last + 1 < x->frames && frame_place(x, last + 1) < m->to)
            last++;
        struct extent p = extent_part(x, f, last + 1);
        if (p.place_bytes + extent_stored_bytes(&p) > m->to)
            return -ENODATA;
        p.place_bytes = p.place_bytes - m->from + m->new_from;
        p.segment = m->new_segment;
        int r = extmap_put(t->map, &p);
        if (r == 0 && !span_covers(&k->verified, &p))
            r = extmap_put(t->fresh, &p);
        if (r < 0)
            return r;
        f = last + 1;
    }
    return 0;
}

/* The map with every extent of a chosen segment pointed to its copy. 1 with *ret, 0 when there is nothing to do. */
static int translate(struct cycle *k, const struct extmap *map, struct translated *ret)
{
    struct translated t = {NULL, NULL};
    bool any = false, again = false;
    int r = 0;
    if (map_touches(k, map)) {
        t.map = extmap_copy(map);
        r = t.map ? map_shell(map, &t.fresh) : -ENOMEM;
    }
    const struct extent *x;
    for (struct extmap_cursor at = {0}; t.fresh && r == 0 && (x = extmap_next(map, &at));) {
        struct chosen *c = x->segment ? chosen_find(k, x->segment) : NULL;
        if (!c || c->keep)
            continue;
        any = true;
        r = translate_extent(k, x, &t);
        again = r == -ENODATA;
        c->keep = again; /* it came to be referred to after its frames were noted: left for the next cycle */
    }
    if (r < 0 || !any) {
        translated_done(&t);
        return again ? translate(k, map, ret) : r;
    }
    *ret = t;
    return 1;
}

static int rewrite_find(void *arg, const struct version_row *row)
{
    struct cycle *k = arg;
    k->totals.rows++;
    struct record record;
    int r = record_decode(row->body.p, row->body.len, row->data.p, row->data.len, &record);
    if (r < 0)
        return r == -EBADMSG ? -EIO : r;
    bool touched = map_touches(k, record.map);
    record_done(&record);
    if (!touched)
        return 0;
    struct row_ref *ref = &k->rows[k->row_count++];
    ref->bucket = row->bucket;
    ref->seq = row->seq;
    walk_key_set(&ref->key, row->key);
    return k->row_count == STEP_REWRITE;
}

/* A copy does not open: the version keeps the old frames, and its segments stay. M not held. */
static void verify_failed(struct cycle *k, struct bucket *b, const struct version *v, const struct content_fault *fault)
{
    char what[160], id[33];
    snprintf(what, sizeof what, "segment %u offset %llu frame %llu: %s (met by compaction; its segment is kept)",
             fault->segment, (unsigned long long)fault->place_bytes, (unsigned long long)fault->number,
             fault->what ? fault->what : "unreadable");
    version_id_text(v, id);
    const struct extent *x;
    for (struct extmap_cursor at = {0}; (x = extmap_next(v->record.map, &at));) {
        struct chosen *c = chosen_find(k, x->segment);
        k->totals.kept += c && !c->keep;
        if (c)
            c->keep = true;
    }
    LOCK_SCOPE(&k->e->meta);
    integrity_event(k->e, what, b->name, span_of(v->key, v->key_len), id);
}

/* Opens every copied frame that was not opened before. 0, or -EIO where one does not. */
static int verify_fresh(struct cycle *k, struct bucket *b, const struct version *v, const struct translated *t)
{
    struct content *content = NULL;
    struct content_fault fault = {.what = "data key"};
    int r = content_new(k->e, b, t->fresh, &content);
    if (r == 0)
        r = content_verify(k->e->pipe, content->map, content->keys, &fault);
    content_unref(content);
    if (r == 0)
        r = spans_add_map(&k->verified, t->fresh);
    if (r == -EIO || r == -ENOKEY)
        verify_failed(k, b, v, &fault);
    return r;
}

/* Loads the version anew and translates what it refers to now. 1, 0 or -errno. M */
static int row_translate(struct cycle *k, const struct row_ref *ref, struct version *v, struct translated *t)
{
    int r = version_load(k->e, ref->bucket, walk_span(&ref->key), ref->seq, v);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = v->record.map ? translate(k, v->record.map, t) : 0;
    if (r <= 0)
        version_done(v);
    return r;
}

/* Before the transaction: what the row will refer to can be read. 0 also where there is nothing to do. */
static int row_prepare(struct cycle *k, const struct row_ref *ref)
{
    struct version v;
    struct translated t;
    struct bucket *b;
    struct gc_pin pin;
    {
        LOCK_SCOPE(&k->e->meta);
        b = bucket_by_number(k->e, ref->bucket);
        int r = b ? row_translate(k, ref, &v, &t) : 0;
        if (r <= 0)
            return r;
        gc_pin_add(k->e, &pin, t.map);
    }
    int r = verify_fresh(k, b, &v, &t);
    LOCK_SCOPE(&k->e->meta);
    gc_pin_remove(k->e, &pin);
    translated_done(&t);
    version_done(&v);
    return r == -EIO || r == -ENOKEY ? 0 : r;
}

/* The cached inode of the version refers to the copies as well. M */
static void row_refresh(struct cycle *k, const struct version *v)
{
    struct inode *i = inode_cached(k->e, v->ino);
    if (!i || i->dir || i->seq != v->seq || !i->record.map)
        return;
    extmap_unref(i->record.map);
    i->record.map = extmap_ref(v->record.map);
    atomic_store(&i->content_stale, true);
}

/* M, txn */
static int row_rewrite(struct cycle *k, const struct row_ref *ref)
{
    struct version v;
    struct translated t;
    int r = row_translate(k, ref, &v, &t);
    if (r <= 0)
        return r;
    if (t.fresh->count == 0) { /* else it changed since it was verified: the next cycle's */
        extmap_unref(v.record.map);
        v.record.map = t.map;
        t.map = NULL;
        r = version_store(k->e, &v);
        if (r == 0) {
            row_refresh(k, &v);
            k->totals.rewritten++;
        }
    }
    translated_done(&t);
    version_done(&v);
    return r < 0 ? r : 0;
}

static int rewrite_step(struct cycle *k)
{
    k->row_count = 0;
    int more = store_walk_step(k->e, &k->walk, STEP_ROWS, rewrite_find, k);
    if (more < 0)
        return more;
    int r = 0;
    for (size_t i = 0; r == 0 && i < k->row_count; i++)
        r = row_prepare(k, &k->rows[i]);
    if (r < 0 || !k->row_count)
        return r < 0 ? r : more;
    LOCK_SCOPE(&k->e->meta);
    r = txn_begin(k->e);
    if (r < 0)
        return r;
    uint64_t before = k->totals.rewritten;
    for (size_t i = 0; r == 0 && i < k->row_count; i++)
        r = row_rewrite(k, &k->rows[i]);
    r = txn_end(k->e, r);
    if (r < 0)
        k->totals.rewritten = before;
    return r < 0 ? r : more;
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
        return store_walk_step(k->e, &k->walk, STEP_ROWS, collect_row, k);
    case PHASE_MOVE:
        return move_step(k);
    case PHASE_REWRITE:
        return rewrite_step(k);
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
