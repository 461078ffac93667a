/* SPDX-License-Identifier: GPL-3.0-or-later
 * Extent maps: life, change, sharing; see extmap.h. The extents lie in chunks (extmap_chunks.c); questions
 * about a map are in extmap_query.c, the packed form in extmap_codec.c. Every change goes through extmap_splice. */
#include "pipeline/extmap_chunks.h"
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
    extmap_free_chunks(m);
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

static int extmap_copy_into(struct extmap *c, const struct extmap *m)
{
    bytes_put(&c->inline_data, m->inline_data.data, m->inline_data.len);
    if (c->inline_data.failed || extmap_reserve_deks(c, m->dek_count) < 0)
        return -ENOMEM;
    if (m->dek_count)
        memcpy(c->deks, m->deks, m->dek_count * sizeof *m->deks);
    c->dek_count = m->dek_count;
    c->size_bytes = m->size_bytes;
    struct extmap_cursor at = {0};
    int r = 0;
    for (const struct extent *e; r == 0 && (e = extmap_next(m, &at));)
        r = extmap_append(c, e, m->count);
    return r;
}

struct extmap *extmap_copy(const struct extmap *m)
{
    struct extmap *c = extmap_new();
    if (c && extmap_copy_into(c, m) < 0) {
        extmap_unref(c);
        return NULL;
    }
    return c;
}

void extmap_swap(struct extmap *a, struct extmap *b)
{
    struct extmap t = *a;
    *a = *b;
    *b = t;
    int refs = a->refs;
    a->refs = b->refs;
    b->refs = refs;
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

/* What will stand in place of a range, joined as far as it can be. */
struct splicing {
    struct extent *list;
    size_t count;
};

static void splicing_add(struct splicing *s, const struct extent *e)
{
    if (!s->count || !extent_join(&s->list[s->count - 1], e))
        s->list[s->count++] = *e;
}

/* Fills the list for [offset, end): what the extents from..to leave on either side, and the new ones between. The
 * range that is replaced grows by a neighbour that joins. */
static void splicing_fill(const struct extmap *m, struct splicing *s, struct extmap_cursor *from,
                          struct extmap_cursor *to, uint64_t offset, uint64_t end, const struct extent *news,
                          size_t count)
{
    struct extmap_cursor at = *from, before = *from;
    const struct extent *e = extmap_get(m, at), *right = NULL;
    struct extent cut;
    if (e && e->offset_bytes < offset) {
        cut = extent_cut(e, e->offset_bytes, offset);
        splicing_add(s, &cut);
    } else if (count && (e = extmap_previous(m, &before)) && extent_end(e) == offset) {
        struct extent joined = *e;
        if (extent_join(&joined, news)) {
            *from = before;
            splicing_add(s, e);
        }
    }
    for (size_t i = 0; i < count; i++)
        splicing_add(s, &news[i]);
    while ((e = extmap_get(m, at)) && e->offset_bytes < end) {
        right = e;
        extmap_next(m, &at);
    }
    if (right && extent_end(right) > end) {
        cut = extent_cut(right, end, extent_end(right));
        splicing_add(s, &cut);
    } else if (s->count && (e = extmap_get(m, at)) && extent_join(&s->list[s->count - 1], e)) {
        extmap_next(m, &at);
    }
    *to = at;
}

/* Replaces what [offset, end) held by `count` extents within it (none: a hole). -ENOMEM: nothing is changed. */
static int extmap_splice(struct extmap *m, uint64_t offset, uint64_t end, const struct extent *news, size_t count)
{
    enum { FEW = 16 };
    struct extent few[FEW];
    struct splicing s = {.list = few};
    struct extmap_cursor from = extmap_find(m, offset), to;
    if (count + 3 > FEW && !(s.list = reallocarray(NULL, count + 3, sizeof *s.list)))
        return -ENOMEM;
    splicing_fill(m, &s, &from, &to, offset, end, news, count);
    int r = extmap_replace(m, from, to, s.list, s.count);
    if (s.list != few)
        free(s.list);
    return r;
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
    struct extmap_cursor at = extmap_find(src, from);
    for (const struct extent *e; (e = extmap_next(src, &at)) && e->offset_bytes < to;) {
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

static size_t extmap_count_between(const struct extmap *m, uint64_t from, uint64_t to)
{
    size_t count = 0;
    struct extmap_cursor at = extmap_find(m, from);
    for (const struct extent *e; (e = extmap_next(m, &at)) && e->offset_bytes < to;)
        count++;
    return count;
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
    size_t count = extmap_count_between(src, src_offset, src_end);
    struct extent *news = count ? reallocarray(NULL, count, sizeof *news) : NULL;
    if (count && !news)
        return -ENOMEM;
    int r = extmap_collect(dst, dst_offset, src, src_offset, src_end, news, &count);
    if (r == 0)
        r = extmap_splice(dst, dst_offset, dst_end, news, count);
    free(news);
    if (r == 0 && dst_end > dst->size_bytes)
        dst->size_bytes = dst_end;
    return r;
}

/* --- tidying ---------------------------------------------------------------------------------------------- */

static struct extent *extmap_next_of(struct extmap *m, struct extmap_cursor *at)
{
    return (struct extent *)(uintptr_t)extmap_next(m, at); /* the map is ours to change */
}

static int extmap_tidy_deks(struct extmap *m)
{
    if (!m->dek_count)
        return 0;
    uint32_t *becomes = calloc(m->dek_count, sizeof *becomes);
    if (!becomes)
        return -ENOMEM;
    struct extmap_cursor at = {0};
    for (const struct extent *e; (e = extmap_next(m, &at));)
        becomes[e->dek] = 1;
    size_t kept = 0;
    for (size_t i = 0; i < m->dek_count; i++) {
        if (!becomes[i])
            continue;
        m->deks[kept] = m->deks[i];
        becomes[i] = (uint32_t)kept++;
    }
    at = (struct extmap_cursor){0};
    for (struct extent *e; (e = extmap_next_of(m, &at));)
        e->dek = becomes[e->dek];
    m->dek_count = kept;
    free(becomes);
    return 0;
}

/* Copies the inline frames that are referred to; with `set`, extents get their new places, else they stay. */
static int extmap_gather_inline(struct extmap *m, const struct bytes *in, struct bytes *out, bool set)
{
    uint64_t last_in = UINT64_MAX, last_out = 0;
    struct extmap_cursor at = {0};
    for (struct extent *e; (e = extmap_next_of(m, &at));) {
        struct extent moved = *e;
        int r = e->segment ? 0 : extmap_copy_inline(out, in, &moved, &last_in, &last_out);
        if (r < 0)
            return r;
        if (set)
            *e = moved;
    }
    return 0;
}

static int extmap_tidy_inline(struct extmap *m)
{
    struct bytes kept = {0};
    int r = extmap_gather_inline(m, &m->inline_data, &kept, false);
    if (r == 0 && kept.len != m->inline_data.len) {
        bytes_clear(&kept); /* its memory stays: the second time cannot fail */
        r = extmap_gather_inline(m, &m->inline_data, &kept, true);
        struct bytes old = m->inline_data;
        m->inline_data = kept;
        kept = old;
    }
    bytes_done(&kept);
    return r;
}

int extmap_tidy(struct extmap *m)
{
    int r = extmap_tidy_inline(m);
    return r < 0 ? r : extmap_tidy_deks(m);
}

static bool extent_is_inline(const struct extent *e)
{
    return e->segment == 0;
}

void extmap_drop_inline(struct extmap *m)
{
    extmap_drop(m, extent_is_inline);
    bytes_done(&m->inline_data);
}

void extmap_place_inline(struct extmap *m, uint32_t segment, uint64_t offset)
{
    struct extmap_cursor at = {0};
    for (struct extent *e; (e = extmap_next_of(m, &at));) {
        if (extent_is_inline(e)) {
            e->segment = segment;
            e->place_bytes += offset;
        }
    }
    bytes_done(&m->inline_data);
}
