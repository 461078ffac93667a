/* SPDX-License-Identifier: GPL-3.0-or-later
 * Questions about an extent map; see extmap.h. */
#include "pipeline/extmap_run.h"

#include <errno.h>

size_t extmap_find(const struct extmap *m, uint64_t offset)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (extent_end(&m->extents[mid]) > offset)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

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
    size_t i = extmap_find(m, offset);
    if (i < m->count && m->extents[i].offset_bytes <= offset) {
        extent_piece(&m->extents[i], offset, length, ret);
    } else {
        uint64_t end = i < m->count ? m->extents[i].offset_bytes : m->size_bytes;
        *ret = (struct extmap_piece){.hole = true, .file_offset = offset, .length = least(length, end - offset)};
    }
    return true;
}

uint64_t extmap_frames(const struct extmap *m, uint64_t offset, uint64_t length)
{
    uint64_t end, frames = 0;
    if (__builtin_add_overflow(offset, length, &end))
        end = UINT64_MAX;
    for (size_t i = extmap_find(m, offset); i < m->count && m->extents[i].offset_bytes < end; i++) {
        const struct extent *e = &m->extents[i];
        uint64_t from = e->offset_bytes > offset ? e->offset_bytes : offset, to = least(extent_end(e), end);
        uint64_t before = e->skip_bytes + (from - e->offset_bytes);
        frames += extent_frame_at(e, before + (to - from) - 1) - extent_frame_at(e, before) + 1;
    }
    return frames;
}

int extmap_seek_data(const struct extmap *m, uint64_t offset, uint64_t *ret)
{
    size_t i = extmap_find(m, offset);
    if (i == m->count)
        return -ENXIO;
    *ret = m->extents[i].offset_bytes > offset ? m->extents[i].offset_bytes : offset;
    return 0;
}

int extmap_seek_hole(const struct extmap *m, uint64_t offset, uint64_t *ret)
{
    if (offset >= m->size_bytes)
        return -ENXIO;
    uint64_t at = offset;
    for (size_t i = extmap_find(m, offset); i < m->count && m->extents[i].offset_bytes <= at; i++)
        at = extent_end(&m->extents[i]);
    *ret = at;
    return 0;
}

uint64_t extmap_data_bytes(const struct extmap *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->count; i++)
        sum += m->extents[i].length_bytes;
    return sum;
}

/* Whether the first frame of e is the last one of a. */
static bool extent_meets(const struct extent *a, const struct extent *e)
{
    return a->dek == e->dek && a->segment == e->segment && a->number + a->frames - 1 == e->number;
}

uint64_t extmap_stored_bytes(const struct extmap *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct extent *e = &m->extents[i];
        sum += extent_run_bytes(e);
        /* An overwrite inside a frame leaves its two ends on either side of the new extent: counted once. */
        bool again = (i >= 1 && extent_meets(e - 1, e)) || (i >= 2 && extent_meets(e - 2, e));
        if (again)
            sum -= (uint64_t)e->cipher_bytes + FRAME_OVERHEAD_BYTES;
    }
    return sum;
}
