/* SPDX-License-Identifier: GPL-3.0-or-later
 * Frames found by their headers, for metadata that is older than the segments: a frame says the start of its data key's id and its
 * number, which together are its alone, and compaction moves frames as they are. */
#include "engine/rebuild.h"
#include "engine/upkeep.h"

struct frame_place {
    uint64_t dek, number, place;
    uint32_t segment, bytes;
};

struct hunt {
    struct engine *e;
    uint32_t last_segment;
    struct frame_place *frames;
    size_t count, cap;
    uint32_t *segments; /* all there are */
    size_t segment_count;
    uint64_t *deks; /* known to some row, sorted at the end */
    size_t dek_count, dek_cap;
    struct row_name *broken;
    size_t broken_count;
    struct rebuild_hunt found;
};

struct row_name {
    uint32_t bucket;
    uint64_t seq;
    struct span key; /* owned */
};

static void hunt_done(struct hunt *h)
{
    free(h->frames);
    free(h->segments);
    free(h->deks);
    for (size_t i = 0; i < h->broken_count; i++)
        free((void *)h->broken[i].key.p);
    free(h->broken);
}

static int frame_order(const void *a, const void *b)
{
    const struct frame_place *x = a, *y = b;
    if (x->dek != y->dek)
        return x->dek < y->dek ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static int u64_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int frame_note(struct hunt *h, const struct frame_header *f, uint32_t segment, uint64_t place)
{
    if (h->count == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 4096;
        struct frame_place *grown = realloc(h->frames, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        h->frames = grown;
        h->cap = cap;
    }
    h->frames[h->count++] =
        (struct frame_place){f->dek_prefix, f->number, place, segment, f->cipher_bytes + (uint32_t)FRAME_OVERHEAD_BYTES};
    return 0;
}

/* What a failed append left between frames is skipped byte by byte. */
static int segment_scan(struct hunt *h, uint32_t segment, uint64_t size)
{
    uint8_t head[FRAME_HEADER_BYTES];
    struct frame_header f;
    int r = 0;
    for (uint64_t at = 0; r == 0 && at + FRAME_OVERHEAD_BYTES <= size;) {
        if (h->e->block_ops->read(h->e->b, (struct block_place){segment, at}, head, sizeof head) < 0)
            return 0; /* scrub's matter */
        bool is = frame_header_read(head, sizeof head, &f) == 0 && f.cipher_bytes + FRAME_OVERHEAD_BYTES <= size - at;
        if (is)
            r = frame_note(h, &f, segment, at);
        at += is ? f.cipher_bytes + (uint64_t)FRAME_OVERHEAD_BYTES : 1;
    }
    return r;
}

static int segment_note(void *arg, uint32_t segment, uint64_t size_bytes, bool open_for_append)
{
    struct hunt *h = arg;
    (void)open_for_append;
    uint32_t *grown = realloc(h->segments, (h->segment_count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    h->segments = grown;
    h->segments[h->segment_count++] = segment;
    return segment > h->last_segment ? segment_scan(h, segment, size_bytes) : 0;
}

static int segment_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool segment_there(const struct hunt *h, uint32_t segment)
{
    return h->segment_count && bsearch(&segment, h->segments, h->segment_count, sizeof segment, segment_order);
}

static uint64_t dek_prefix(const struct extmap_dek *dek)
{
    uint64_t v;
    memcpy(&v, dek->id, 8);
    return __builtin_bswap64(v);
}

static const struct frame_place *frame_find(const struct hunt *h, const struct extmap_dek *dek, uint64_t number)
{
    const struct frame_place want = {.dek = dek_prefix(dek), .number = number};
    return h->count ? bsearch(&want, h->frames, h->count, sizeof want, frame_order) : NULL;
}

static bool map_broken(const struct hunt *h, const struct extmap *map)
{
    const struct extent *x;
    for (struct extmap_cursor at = {0}; map && (x = extmap_next(map, &at));)
        if (x->segment && !segment_there(h, x->segment))
            return true;
    return false;
}

static int deks_note(struct hunt *h, const struct extmap *map)
{
    if (h->dek_count + map->dek_count > h->dek_cap) {
        size_t cap = 2 * h->dek_cap + map->dek_count + 1024;
        uint64_t *grown = realloc(h->deks, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        h->deks = grown;
        h->dek_cap = cap;
    }
    for (size_t i = 0; i < map->dek_count; i++)
        h->deks[h->dek_count++] = dek_prefix(&map->deks[i]);
    return 0;
}

static int row_look(void *arg, const struct version_row *row)
{
    struct hunt *h = arg;
    struct record record;
    int r = record_decode(row->body.p, row->body.len, row->data.p, row->data.len, &record);
    if (r < 0)
        return r == -EBADMSG ? 0 : r; /* fsck names it */
    if (record.map)
        r = deks_note(h, record.map);
    bool broken = r == 0 && map_broken(h, record.map);
    record_done(&record);
    if (!broken)
        return r;
    struct row_name *grown = realloc(h->broken, (h->broken_count + 1) * sizeof *grown);
    uint8_t *key = key_copy(row->key);
    if (grown)
        h->broken = grown;
    if (!grown || !key) {
        free(key);
        return -ENOMEM;
    }
    h->broken[h->broken_count++] = (struct row_name){row->bucket, row->seq, span_of(key, row->key.len)};
    return 0;
}

/* ---- versions whose segments are gone ---- */

/* Every frame of the extent where it is now. -ENODATA where one is nowhere. */
static int extent_relocate(const struct hunt *h, const struct extmap *map, const struct extent *x, struct extmap *to)
{
    for (uint32_t f = 0; f < x->frames; f++) {
        const struct frame_place *p = frame_find(h, &map->deks[x->dek], x->number + f);
        struct extent one = extent_part(x, f, f + 1);
        if (!p || p->bytes != extent_stored_bytes(&one))
            return -ENODATA;
        one.segment = p->segment;
        one.place_bytes = p->place;
        int r = extmap_put(to, &one);
        if (r < 0)
            return r;
    }
    return 0;
}

static int map_relocate(const struct hunt *h, const struct extmap *map, struct extmap **ret)
{
    struct extmap *to = extmap_copy(map);
    if (!to)
        return -ENOMEM;
    int r = 0;
    const struct extent *x;
    for (struct extmap_cursor at = {0}; r == 0 && (x = extmap_next(map, &at));)
        if (x->segment && !segment_there(h, x->segment))
            r = extent_relocate(h, map, x, to);
    if (r < 0)
        extmap_unref(to);
    else
        *ret = to;
    return r;
}

/* M, txn */
static int version_mend(struct hunt *h, struct version *v)
{
    struct extmap *map;
    int r = map_relocate(h, v->record.map, &map);
    if (r == -ENODATA) { /* it was removed since, or its segment is lost: which, nobody can tell, so it stays, and fsck names it */
        h->found.missing++;
        h->found.locked += lock_in_force(h->e, v);
        return 0;
    }
    if (r < 0)
        return r;
    extmap_unref(v->record.map);
    v->record.map = map;
    h->found.relocated++;
    r = version_store(h->e, v);
    if (r == 0)
        inode_map_changed(h->e, v);
    return r;
}

static int broken_mend(struct hunt *h)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < h->broken_count; i++) {
        const struct row_name *n = &h->broken[i];
        LOCK_SCOPE(&h->e->meta);
        struct version v;
        r = version_load(h->e, n->bucket, n->key, n->seq, &v);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        r = txn_begin(h->e);
        if (r == 0)
            r = txn_end(h->e, version_mend(h, &v));
        version_done(&v);
    }
    return r;
}

/* Frames under data keys that no version has. */
static void beyond_count(struct hunt *h)
{
    uint64_t last = 0;
    bool any = false;
    if (h->dek_count)
        qsort(h->deks, h->dek_count, sizeof *h->deks, u64_order);
    for (size_t i = 0; i < h->count; i++) {
        const struct frame_place *f = &h->frames[i];
        if (h->dek_count && bsearch(&f->dek, h->deks, h->dek_count, sizeof f->dek, u64_order))
            continue;
        h->found.beyond_bytes += f->bytes;
        h->found.beyond_keys += !any || f->dek != last;
        last = f->dek;
        any = true;
    }
}

static int hunt_run(struct hunt *h)
{
    int r = h->e->block_ops->list(h->e->b, segment_note, h);
    if (r < 0)
        return r;
    if (h->count)
        qsort(h->frames, h->count, sizeof *h->frames, frame_order);
    if (h->segment_count)
        qsort(h->segments, h->segment_count, sizeof *h->segments, segment_order);
    r = walk_all(h->e, 0, span_of(NULL, 0), row_look, h, NULL);
    if (r == 0)
        r = broken_mend(h);
    if (r == 0)
        beyond_count(h);
    return r;
}

int rebuild_hunt(struct engine *e, uint32_t last_segment, struct rebuild_hunt *ret)
{
    CLEANUP(hunt_done) struct hunt h = {.e = e, .last_segment = last_segment};
    int r = hunt_run(&h);
    *ret = h.found;
    return r;
}
