/* SPDX-License-Identifier: GPL-3.0-or-later
 * Extent maps: life, change, sharing; see extmap.h. Questions about a map are in extmap_query.c, the packed form in
 * extmap_codec.c. Every change goes through extmap_splice. */
#include "pipeline/extmap_run.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- life ------------------------------------------------------------------------------------------------- */

struct extmap *extmap_new(void)
{
    struct extmap *m = calloc(1, sizeof *m);
    if (m)
        m->refs = 1;
    return m;
}

struct extmap *extmap_ref(struct extmap *m)
{
    __atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

void extmap_unref(struct extmap *m)
{
    if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
        return;
    free(m->extents);
    free(m->deks);
    bytes_done(&m->inline_data);
    free(m);
}

static int extmap_reserve_deks(struct extmap *m, size_t more)
{
    size_t need = m->dek_count + more;
    if (need <= m->dek_cap)
        return 0;
    size_t cap = m->dek_cap * 2 > need ? m->dek_cap * 2 : need;
    struct extmap_dek *deks = reallocarray(m->deks, cap, sizeof *deks);
    if (!deks)
        return -ENOMEM;
    m->deks = deks;
    m->dek_cap = cap;
    return 0;
}

int extmap_reserve(struct extmap *m, size_t more)
{
    size_t need = m->count + more;
    if (need <= m->cap)
        return 0;
    size_t cap = m->cap * 2 > need ? m->cap * 2 : need;
    struct extent *extents = reallocarray(m->extents, cap, sizeof *extents);
    if (!extents)
        return -ENOMEM;
    m->extents = extents;
    m->cap = cap;
    return 0;
}

struct extmap *extmap_copy(const struct extmap *m)
{
    struct extmap *c = extmap_new();
    if (!c)
        return NULL;
    bytes_put(&c->inline_data, m->inline_data.data, m->inline_data.len);
    if (c->inline_data.failed || extmap_reserve(c, m->count) < 0 || extmap_reserve_deks(c, m->dek_count) < 0) {
        extmap_unref(c);
        return NULL;
    }
    if (m->count)
        memcpy(c->extents, m->extents, m->count * sizeof *m->extents);
    if (m->dek_count)
        memcpy(c->deks, m->deks, m->dek_count * sizeof *m->deks);
    c->count = m->count;
    c->dek_count = m->dek_count;
    c->size_bytes = m->size_bytes;
    return c;
}

int extmap_dek_index(struct extmap *m, const struct extmap_dek *dek)
{
    /* From the end: the key in use is the one that came last. */
    for (size_t i = m->dek_count; i-- > 0;) {
        if (!memcmp(m->deks[i].id, dek->id, sizeof dek->id))
            return (int)i;
    }
    struct extmap_dek copy = *dek; /* dek may stand in the array that moves */
    if (extmap_reserve_deks(m, 1) < 0)
        return -ENOMEM;
    m->deks[m->dek_count] = copy;
    return (int)m->dek_count++;
}

/* --- cutting and joining ---------------------------------------------------------------------------------- */

/* The part of an extent that covers [from, to), without the frames that hold none of it. */
static struct extent extent_cut(const struct extent *e, uint64_t from, uint64_t to)
{
    assert(from >= e->offset_bytes && from < to && to <= extent_end(e));
    struct extent c = *e;
    uint64_t skip = e->skip_bytes + (from - e->offset_bytes);
    uint32_t first = extent_frame_at(e, skip), last = extent_frame_at(e, skip + (to - from) - 1);
    c.offset_bytes = from;
    c.length_bytes = to - from;
    c.number += first;
    c.place_bytes += first * extent_stride(e);
    c.skip_bytes = (uint32_t)(skip - (uint64_t)first * e->plain_bytes);
    c.frames = last - first + 1;
    if (last < e->frames - 1) {
        c.last_plain_bytes = e->plain_bytes;
        c.last_cipher_bytes = e->cipher_bytes;
    }
    if (c.frames == 1) {
        c.plain_bytes = c.last_plain_bytes;
        c.cipher_bytes = c.last_cipher_bytes;
    }
    return c;
}

static bool extent_same_shape(const struct extent *a, const struct extent *b)
{
    return a->plain_bytes == b->plain_bytes && a->cipher_bytes == b->cipher_bytes;
}

/* Whether the last frame of the run has the size of the others, so that the run may go on. */
static bool extent_ends_even(const struct extent *e)
{
    return e->last_plain_bytes == e->plain_bytes && e->last_cipher_bytes == e->cipher_bytes;
}

/* e's first frame follows a's last one, and both are covered where they meet. */
static bool extent_join_next(struct extent *a, const struct extent *e)
{
    uint64_t place = extent_last_place(a) + a->last_cipher_bytes + FRAME_OVERHEAD_BYTES;
    if (e->number != a->number + a->frames || e->place_bytes != place || e->skip_bytes ||
        a->skip_bytes + a->length_bytes != extent_run_plain(a) || !extent_ends_even(a))
        return false;
    if (e->frames == 1 ? e->last_plain_bytes > a->plain_bytes : !extent_same_shape(a, e))
        return false;
    if (__builtin_add_overflow(a->frames, e->frames, &a->frames)) {
        a->frames -= e->frames;
        return false;
    }
    a->last_plain_bytes = e->last_plain_bytes;
    a->last_cipher_bytes = e->last_cipher_bytes;
    return true;
}

/* e goes on within the frame in which a ends. */
static bool extent_join_same(struct extent *a, const struct extent *e)
{
    uint64_t covered = a->skip_bytes + a->length_bytes - (uint64_t)(a->frames - 1) * a->plain_bytes;
    if (e->number != a->number + a->frames - 1 || e->place_bytes != extent_last_place(a) ||
        e->skip_bytes != covered || e->plain_bytes != a->last_plain_bytes ||
        e->cipher_bytes != a->last_cipher_bytes)
        return false;
    if (e->frames > 1) {
        if (a->frames > 1 && !extent_same_shape(a, e))
            return false;
        uint32_t frames;
        if (__builtin_add_overflow(a->frames, e->frames - 1, &frames))
            return false;
        a->frames = frames;
        a->plain_bytes = e->plain_bytes;
        a->cipher_bytes = e->cipher_bytes;
    }
    a->last_plain_bytes = e->last_plain_bytes;
    a->last_cipher_bytes = e->last_cipher_bytes;
    return true;
}

bool extent_join(struct extent *a, const struct extent *e)
{
    if (extent_end(a) != e->offset_bytes || a->dek != e->dek || a->segment != e->segment)
        return false;
    if (!extent_join_next(a, e) && !extent_join_same(a, e))
        return false;
    a->length_bytes += e->length_bytes;
    return true;
}

/* Joins what can be joined among extents [from, to). */
static void extmap_join(struct extmap *m, size_t from, size_t to)
{
    if (to - from < 2)
        return;
    size_t kept = from;
    for (size_t i = from + 1; i < to; i++) {
        if (!extent_join(&m->extents[kept], &m->extents[i]))
            m->extents[++kept] = m->extents[i];
    }
    size_t gone = to - ++kept;
    if (gone) {
        memmove(&m->extents[kept], &m->extents[to], (m->count - to) * sizeof *m->extents);
        m->count -= gone;
    }
}

/* Replaces what [offset, end) held by `count` extents within it (none: a hole). Fails before it changes anything. */
static int extmap_splice(struct extmap *m, uint64_t offset, uint64_t end, const struct extent *news, size_t count)
{
    size_t first = extmap_find(m, offset), beyond = first;
    if (beyond < m->count && m->extents[beyond].offset_bytes < end)
        beyond = extmap_find(m, end - 1);
    if (beyond < m->count && m->extents[beyond].offset_bytes < end)
        beyond++;
    bool cut_left = first < beyond && m->extents[first].offset_bytes < offset;
    bool cut_right = first < beyond && extent_end(&m->extents[beyond - 1]) > end;
    size_t total = cut_left + count + cut_right;
    if (!total && first == beyond)
        return 0;
    if (total > beyond - first && extmap_reserve(m, total - (beyond - first)) < 0)
        return -ENOMEM;
    struct extent left, right, *at = m->extents + first;
    if (cut_left)
        left = extent_cut(at, at->offset_bytes, offset);
    if (cut_right)
        right = extent_cut(&m->extents[beyond - 1], end, extent_end(&m->extents[beyond - 1]));
    if (m->count > beyond)
        memmove(at + total, m->extents + beyond, (m->count - beyond) * sizeof *at);
    if (cut_left)
        *at++ = left;
    if (count)
        memcpy(at, news, count * sizeof *at);
    if (cut_right)
        at[count] = right;
    m->count += total;
    m->count -= beyond - first;
    size_t to = first + total + 1;
    extmap_join(m, first ? first - 1 : 0, to < m->count ? to : m->count);
    return 0;
}

/* --- change ----------------------------------------------------------------------------------------------- */

int extmap_put_all(struct extmap *m, const struct extent *e, size_t count)
{
    assert(count > 0);
    uint64_t end = extent_end(&e[count - 1]);
    assert(end > e->offset_bytes);
    int r = extmap_splice(m, e->offset_bytes, end, e, count);
    if (r == 0 && end > m->size_bytes)
        m->size_bytes = end;
    return r;
}

int extmap_put(struct extmap *m, const struct extent *e)
{
    return extmap_put_all(m, e, 1);
}

int extmap_punch(struct extmap *m, uint64_t offset, uint64_t length)
{
    uint64_t end;
    if (__builtin_add_overflow(offset, length, &end))
        end = UINT64_MAX;
    return end > offset ? extmap_splice(m, offset, end, NULL, 0) : 0;
}

int extmap_resize(struct extmap *m, uint64_t size)
{
    int r = size < m->size_bytes ? extmap_punch(m, size, m->size_bytes - size) : 0;
    if (r == 0)
        m->size_bytes = size;
    return r;
}

/* --- sharing ---------------------------------------------------------------------------------------------- */

/* Copies the frames of an inline extent, unless the previous call copied just these. */
static int extmap_copy_inline(struct bytes *out, const struct bytes *in, struct extent *e, uint64_t *last_in,
                              uint64_t *last_out)
{
    uint64_t run = extent_run_bytes(e);
    if (e->place_bytes > in->len || run > in->len - e->place_bytes)
        return -EBADMSG;
    if (e->place_bytes != *last_in || *last_out + run > out->len) {
        *last_in = e->place_bytes;
        *last_out = out->len;
        bytes_put(out, in->data + e->place_bytes, run);
        if (out->failed)
            return -ENOMEM;
    }
    e->place_bytes = *last_out;
    return 0;
}

/* The extents of src's [from, to), as they will stand in dst from dst_offset on. */
static int extmap_collect(struct extmap *dst, uint64_t dst_offset, const struct extmap *src, uint64_t from,
                          uint64_t to, struct extent *out, size_t *ret_count)
{
    size_t count = 0;
    uint64_t last_in = UINT64_MAX, last_out = 0;
    for (size_t i = extmap_find(src, from); i < src->count && src->extents[i].offset_bytes < to; i++) {
        const struct extent *e = &src->extents[i];
        uint64_t start = e->offset_bytes > from ? e->offset_bytes : from;
        struct extent c = extent_cut(e, start, extent_end(e) < to ? extent_end(e) : to);
        int dek = extmap_dek_index(dst, &src->deks[e->dek]);
        if (dek < 0)
            return dek;
        int r = 0;
        if (c.segment == 0 && src != dst)
            r = extmap_copy_inline(&dst->inline_data, &src->inline_data, &c, &last_in, &last_out);
        if (r < 0)
            return r;
        c.dek = (uint32_t)dek;
        c.offset_bytes = dst_offset + (start - from);
        out[count++] = c;
    }
    *ret_count = count;
    return 0;
}

int extmap_share(struct extmap *dst, uint64_t dst_offset, const struct extmap *src, uint64_t src_offset,
                 uint64_t length)
{
    if (src_offset >= src->size_bytes || !length)
        return 0;
    if (length > src->size_bytes - src_offset)
        length = src->size_bytes - src_offset;
    uint64_t src_end = src_offset + length, dst_end = dst_offset + length;
    assert(dst_end > dst_offset);
    size_t most = extmap_find(src, src_end) + 1 - extmap_find(src, src_offset);
    struct extent *news = reallocarray(NULL, most, sizeof *news);
    if (!news)
        return -ENOMEM;
    size_t count;
    int r = extmap_collect(dst, dst_offset, src, src_offset, src_end, news, &count);
    if (r == 0)
        r = extmap_splice(dst, dst_offset, dst_end, news, count);
    free(news);
    if (r == 0 && dst_end > dst->size_bytes)
        dst->size_bytes = dst_end;
    return r;
}

/* --- tidying ---------------------------------------------------------------------------------------------- */

static int extmap_tidy_deks(struct extmap *m)
{
    if (!m->dek_count)
        return 0;
    uint32_t *becomes = calloc(m->dek_count, sizeof *becomes);
    if (!becomes)
        return -ENOMEM;
    for (size_t i = 0; i < m->count; i++)
        becomes[m->extents[i].dek] = 1;
    size_t kept = 0;
    for (size_t i = 0; i < m->dek_count; i++) {
        if (!becomes[i])
            continue;
        m->deks[kept] = m->deks[i];
        becomes[i] = (uint32_t)kept++;
    }
    for (size_t i = 0; i < m->count; i++)
        m->extents[i].dek = becomes[m->extents[i].dek];
    m->dek_count = kept;
    free(becomes);
    return 0;
}

static bool extmap_has_inline(const struct extmap *m)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->extents[i].segment == 0)
            return true;
    }
    return false;
}

static int extmap_tidy_inline(struct extmap *m)
{
    if (!extmap_has_inline(m)) {
        bytes_done(&m->inline_data);
        return 0;
    }
    struct bytes kept = {0};
    uint64_t last_in = UINT64_MAX, last_out = 0;
    struct extmap *old = extmap_copy(m); /* to go back to, should memory be short half-way */
    int r = old ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < m->count; i++) {
        if (m->extents[i].segment == 0)
            r = extmap_copy_inline(&kept, &m->inline_data, &m->extents[i], &last_in, &last_out);
    }
    if (r == 0) {
        struct bytes t = m->inline_data;
        m->inline_data = kept;
        kept = t;
    } else if (old) {
        memcpy(m->extents, old->extents, m->count * sizeof *m->extents);
    }
    bytes_done(&kept);
    extmap_unref(old);
    return r;
}

int extmap_tidy(struct extmap *m)
{
    int r = extmap_tidy_inline(m);
    return r < 0 ? r : extmap_tidy_deks(m);
}
