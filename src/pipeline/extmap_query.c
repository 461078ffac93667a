/* SPDX-License-Identifier: GPL-3.0-or-later
 * Questions about an extent map; see extmap.h. */
#include "pipeline/extmap_chunks.h"
#include "pipeline/extmap_run.h"

#include <errno.h>
#include <string.h>

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void extent_piece(const struct extent *e, uint64_t offset, uint64_t length, struct extmap_piece *ret)
{
    uint64_t at = e->skip_bytes + (offset - e->offset_bytes);
    uint32_t frame = extent_frame_at(e, at);
    bool last = frame == e->frames - 1;
    uint32_t plain = last ? e->last_plain_bytes : e->plain_bytes;
    uint32_t skip = (uint32_t)(at - (uint64_t)frame * e->plain_bytes);
    *ret = (struct extmap_piece){
        .file_offset = offset,
        .length = least(length, least(plain - skip, extent_end(e) - offset)),
        .dek = e->dek,
        .segment = e->segment,
        .place_bytes = e->place_bytes + frame * extent_stride(e),
        .number = e->number + frame,
        .plain_bytes = plain,
        .cipher_bytes = last ? e->last_cipher_bytes : e->cipher_bytes,
        .skip_bytes = skip,
    };
}

bool extmap_at(const struct extmap *m, uint64_t offset, uint64_t length, struct extmap_piece *ret)
{
    if (offset >= m->size_bytes)
        return false;
    length = least(length, m->size_bytes - offset);
    const struct extent *e = extmap_get(m, extmap_find(m, offset));
    if (e && e->offset_bytes <= offset) {
        extent_piece(e, offset, length, ret);
    } else {
        uint64_t end = e ? e->offset_bytes : m->size_bytes;
        *ret = (struct extmap_piece){.hole = true, .file_offset = offset, .length = least(length, end - offset)};
    }
    return true;
}

int extmap_seek_data(const struct extmap *m, uint64_t offset, uint64_t *ret)
{
    const struct extent *e = extmap_get(m, extmap_find(m, offset));
    if (!e)
        return -ENXIO;
    *ret = e->offset_bytes > offset ? e->offset_bytes : offset;
    return 0;
}

int extmap_seek_hole(const struct extmap *m, uint64_t offset, uint64_t *ret)
{
    if (offset >= m->size_bytes)
        return -ENXIO;
    struct extmap_cursor at = extmap_find(m, offset);
    for (const struct extent *e; (e = extmap_next(m, &at)) && e->offset_bytes <= offset;)
        offset = extent_end(e);
    *ret = offset;
    return 0;
}

bool extmap_all_inline(const struct extmap *m)
{
    struct extmap_cursor at = {0};
    for (const struct extent *e; (e = extmap_next(m, &at));) {
        if (e->segment)
            return false;
    }
    return true;
}

/* Where a frame lies says nothing: compaction moves it. A data key numbers its frames once (E8). */
static bool extent_same(const struct extmap *a, const struct extent *x, const struct extmap *b, const struct extent *y)
{
    return x->offset_bytes == y->offset_bytes && x->length_bytes == y->length_bytes && x->number == y->number &&
           x->skip_bytes == y->skip_bytes && x->plain_bytes == y->plain_bytes && x->last_plain_bytes == y->last_plain_bytes &&
           x->frames == y->frames && !memcmp(a->deks[x->dek].id, b->deks[y->dek].id, sizeof a->deks[x->dek].id);
}

bool extmap_same(const struct extmap *a, const struct extmap *b)
{
    struct extmap_cursor at_a = {0}, at_b = {0};
    if (a->size_bytes != b->size_bytes || a->count != b->count)
        return false;
    for (const struct extent *x, *y; (x = extmap_next(a, &at_a)) && (y = extmap_next(b, &at_b));) {
        if (!extent_same(a, x, b, y))
            return false;
    }
    return true;
}

uint64_t extmap_data_bytes(const struct extmap *m)
{
    uint64_t sum = 0;
    struct extmap_cursor at = {0};
    for (const struct extent *e; (e = extmap_next(m, &at));)
        sum += e->length_bytes;
    return sum;
}

/* Whether the first frame of e is the last one of a (NULL: there is none). */
static bool extent_meets(const struct extent *a, const struct extent *e)
{
    return a && a->dek == e->dek && a->segment == e->segment && a->number + a->frames - 1 == e->number;
}

uint64_t extmap_stored_bytes(const struct extmap *m)
{
    uint64_t sum = 0;
    const struct extent *one = NULL, *two = NULL; /* before e, and before that */
    struct extmap_cursor at = {0};
    for (const struct extent *e; (e = extmap_next(m, &at)); two = one, one = e) {
        sum += extent_run_bytes(e);
        /* An overwrite inside a frame leaves its two ends on either side of the new extent: counted once. */
        if (extent_meets(one, e) || extent_meets(two, e))
            sum -= (uint64_t)e->cipher_bytes + FRAME_OVERHEAD_BYTES;
    }
    return sum;
}
