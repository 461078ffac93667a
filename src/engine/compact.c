/* SPDX-License-Identifier: GPL-3.0-or-later
 * Moving live frames out of segments that are mostly dead, and pointing versions to the copies (upkeep.h).
 *
 * Frames move as ciphertext. Before any row is pointed to a copy, the copy is opened with its key; a frame
 * that does not open keeps its old segment for good, so that nothing readable, and nothing locked, is ever
 * lost to compaction (retention.md §2.8). */
#include "engine/cycle.h"

#include <stdio.h>

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

/* ---- which frames, and moving them ---- */

static bool map_touches(struct cycle *k, const struct extmap *map)
{
    const struct extent *x;
    bool touches = false;
    for (struct extmap_cursor at = {0}; !touches && map && (x = extmap_next(map, &at));)
        touches = x->segment && chosen_find(k, x->segment);
    return touches;
}

int compact_collect_row(void *arg, const struct version_row *row)
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

int compact_move_step(struct cycle *k)
{
    if (k->live_at == k->live.count)
        return 0;
    const struct segment_span s = k->live.v[k->live_at];
    struct chosen *c = chosen_find(k, s.segment);
    size_t want = s.to - k->live_from < STEP_MOVE_BYTES ? (size_t)(s.to - k->live_from) : STEP_MOVE_BYTES;
    int r = c->keep
                ? -EIO
                : k->e->block_ops->read(k->e->b, (struct block_place){s.segment, k->live_from}, k->buf, want);
    size_t whole = r == 0 ? whole_frames(k->buf, want) : 0;
    if (!whole) {
        move_give_up(k);
        return 1;
    }
    struct block_place to;
    r = k->e->block_ops->append(k->e->b, k->buf, whole, &to);
    if (r < 0)
        return r;
    struct move m = {.segment = s.segment,
                     .from = k->live_from,
                     .to = k->live_from + whole,
                     .new_segment = to.segment,
                     .new_from = to.offset_bytes};
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
struct extent extent_part(const struct extent *x, uint32_t a, uint32_t b)
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

/* The map with every extent of a chosen segment pointed to its copy. 1 with *ret, 0 when there is nothing to
 * do. */
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
static void verify_failed(struct cycle *k, struct bucket *b, const struct version *v,
                          const struct content_fault *fault)
{
    char what[160], id[33];
    snprintf(what, sizeof what,
             "segment %u offset %llu frame %llu: %s (met by compaction; its segment is kept)", fault->segment,
             (unsigned long long)fault->place_bytes, (unsigned long long)fault->number,
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
static int verify_fresh(struct cycle *k, struct bucket *b, const struct version *v,
                        const struct translated *t)
{
    struct content *content = NULL;
    struct content_fault fault = {.what = "data key"};
    int r = content_new_lax(k->e, b, t->fresh, &content);
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

void inode_map_changed(struct engine *e, const struct version *v)
{
    struct inode *i = inode_cached(e, v->ino);
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
            inode_map_changed(k->e, &v);
            k->totals.rewritten++;
        }
    }
    translated_done(&t);
    version_done(&v);
    return r < 0 ? r : 0;
}

int compact_rewrite_step(struct cycle *k)
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
