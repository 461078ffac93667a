/* SPDX-License-Identifier: GPL-3.0-or-later
 * Sets of byte ranges of segments (spans.h). */
#include "engine/spans.h"
#include "pipeline/frame.h"

#include <errno.h>
#include <stdlib.h>

void spans_done(struct spans *s)
{
    free(s->v);
    *s = (struct spans){0};
}

static int span_order(const void *a, const void *b)
{
    const struct segment_span *x = a, *y = b;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

void spans_tidy(struct spans *s)
{
    if (s->sorted == s->count)
        return;
    qsort(s->v, s->count, sizeof *s->v, span_order);
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct segment_span *last = kept ? &s->v[kept - 1] : NULL;
        if (last && last->segment == s->v[i].segment && s->v[i].from <= last->to) {
            if (s->v[i].to > last->to)
                last->to = s->v[i].to;
        } else {
            s->v[kept++] = s->v[i];
        }
    }
    s->count = s->sorted = kept;
}

int spans_add(struct spans *s, uint32_t segment, uint64_t from, uint64_t to)
{
    struct segment_span *last = s->count ? &s->v[s->count - 1] : NULL;
    if (last && last->segment == segment && from >= last->from && from <= last->to) {
        if (to > last->to)
            last->to = to; /* the usual case: the next frame of a run, or the same again */
        if (s->sorted == s->count)
            s->sorted--; /* it may now reach into what is added later; tidying looks at it again */
        return 0;
    }
    if (s->count == s->cap) {
        if (s->count > 64 && s->count - s->sorted > s->count / 2)
            spans_tidy(s);
        if (s->count >= s->cap / 2) {
            size_t cap = s->cap ? s->cap * 2 : 64;
            struct segment_span *v = realloc(s->v, cap * sizeof *v);
            if (!v)
                return -ENOMEM;
            s->v = v;
            s->cap = cap;
        }
    }
    s->v[s->count++] = (struct segment_span){segment, from, to};
    return 0;
}

uint64_t extent_stored_bytes(const struct extent *x)
{
    return (uint64_t)(x->frames - 1) * (x->cipher_bytes + FRAME_OVERHEAD_BYTES) + x->last_cipher_bytes +
           FRAME_OVERHEAD_BYTES;
}

int spans_add_map(struct spans *s, const struct extmap *map)
{
    const struct extent *x;
    for (struct extmap_cursor at = {0}; map && (x = extmap_next(map, &at));) {
        if (!x->segment)
            continue;
        int r = spans_add(s, x->segment, x->place_bytes, x->place_bytes + extent_stored_bytes(x));
        if (r < 0)
            return r;
    }
    return 0;
}

uint64_t spans_bytes(struct spans *s)
{
    uint64_t sum = 0;
    spans_tidy(s);
    for (size_t i = 0; i < s->count; i++)
        sum += s->v[i].to - s->v[i].from;
    return sum;
}

const struct segment_span *spans_find(struct spans *s, uint32_t segment, uint64_t at)
{
    spans_tidy(s);
    size_t lo = 0, hi = s->count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        const struct segment_span *x = &s->v[middle];
        if (x->segment < segment || (x->segment == segment && x->to <= at))
            lo = middle + 1;
        else
            hi = middle;
    }
    if (lo < s->count && s->v[lo].segment == segment && s->v[lo].from <= at)
        return &s->v[lo];
    return NULL;
}
