/* SPDX-License-Identifier: GPL-3.0-or-later
 * Ordered extents in chunks; see extmap_chunks.h. A chunk is never empty, so a cursor that is not at the end stands
 * on an extent. */
#include "pipeline/extmap_chunks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t end_of(const struct extent *e)
{
    return e->offset_bytes + e->length_bytes;
}

static void chunk_set_end(struct extmap_chunk *c)
{
    c->end_bytes = end_of(&c->extents[c->count - 1]);
}

void extmap_free_chunks(struct extmap *m)
{
    for (size_t i = 0; i < m->chunk_count; i++)
        free(m->chunks[i].extents);
    free(m->chunks);
}

/* --- finding ---------------------------------------------------------------------------------------------- */

struct extmap_cursor extmap_find(const struct extmap *m, uint64_t offset)
{
    size_t low = 0, high = m->chunk_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->chunks[mid].end_bytes > offset)
            high = mid;
        else
            low = mid + 1;
    }
    struct extmap_cursor found = {low, 0};
    if (low == m->chunk_count)
        return found;
    const struct extmap_chunk *c = &m->chunks[low];
    for (low = 0, high = c->count - 1; low < high;) {
        size_t mid = low + (high - low) / 2;
        if (end_of(&c->extents[mid]) > offset)
            high = mid;
        else
            low = mid + 1;
    }
    found.at = low;
    return found;
}

struct extent *extmap_get(const struct extmap *m, struct extmap_cursor c)
{
    return c.chunk < m->chunk_count ? &m->chunks[c.chunk].extents[c.at] : NULL;
}

const struct extent *extmap_next(const struct extmap *m, struct extmap_cursor *c)
{
    const struct extent *e = extmap_get(m, *c);
    if (e && ++c->at == m->chunks[c->chunk].count)
        *c = (struct extmap_cursor){c->chunk + 1, 0};
    return e;
}

struct extent *extmap_previous(const struct extmap *m, struct extmap_cursor *c)
{
    if (c->at)
        c->at--;
    else if (c->chunk)
        *c = (struct extmap_cursor){c->chunk - 1, m->chunks[c->chunk - 1].count - 1};
    else
        return NULL;
    return extmap_get(m, *c);
}

/* --- changing --------------------------------------------------------------------------------------------- */

static int chunk_reserve(struct extmap_chunk *c, size_t need)
{
    if (need <= c->cap)
        return 0;
    size_t cap = c->cap * 2 > need ? c->cap * 2 : need;
    if (cap > EXTMAP_CHUNK_EXTENTS)
        cap = EXTMAP_CHUNK_EXTENTS;
    struct extent *extents = reallocarray(c->extents, cap, sizeof *extents);
    if (!extents)
        return -ENOMEM;
    c->extents = extents;
    c->cap = (uint32_t)cap;
    return 0;
}

static int chunks_reserve(struct extmap *m, size_t need)
{
    if (need <= m->chunk_cap)
        return 0;
    size_t cap = m->chunk_cap * 2 > need ? m->chunk_cap * 2 : need;
    struct extmap_chunk *chunks = reallocarray(m->chunks, cap, sizeof *chunks);
    if (!chunks)
        return -ENOMEM;
    m->chunks = chunks;
    m->chunk_cap = cap;
    return 0;
}

/* What a replacement leaves of the chunks it touches: the first chunk up to `head`, the last one from `tail` on. */
struct replacing {
    size_t first, last; /* chunks; the same where one is touched; last = first - 1: none */
    size_t head, tail;
    size_t total; /* extents that will be in place of all theirs */
};

static struct replacing replacing_of(const struct extmap *m, struct extmap_cursor from, struct extmap_cursor to,
                                     size_t count)
{
    if (from.chunk == m->chunk_count && m->chunk_count) { /* behind the last: into the last chunk */
        from = (struct extmap_cursor){m->chunk_count - 1, m->chunks[m->chunk_count - 1].count};
        to = from;
    } else if (to.at == 0 && to.chunk > from.chunk) { /* the chunk of `to` is not touched */
        to = (struct extmap_cursor){to.chunk - 1, m->chunks[to.chunk - 1].count};
    }
    struct replacing r = {.first = from.chunk, .last = to.chunk, .head = from.at, .tail = to.at};
    size_t left = m->chunk_count ? m->chunks[r.last].count - r.tail : 0;
    r.total = r.head + count + left;
    return r;
}

/* The usual case: one chunk, and there is room. */
static int replace_within(struct extmap *m, const struct replacing *r, const struct extent *news, size_t count)
{
    struct extmap_chunk *c = &m->chunks[r->first];
    if (chunk_reserve(c, r->total) < 0)
        return -ENOMEM;
    memmove(c->extents + r->head + count, c->extents + r->tail, (c->count - r->tail) * sizeof *news);
    if (count)
        memcpy(c->extents + r->head, news, count * sizeof *news);
    m->count += r->total;
    m->count -= c->count;
    c->count = (uint32_t)r->total;
    chunk_set_end(c);
    return 0;
}

/* All extents that will stand in place of those of the touched chunks; the caller frees. */
static struct extent *replacing_list(const struct extmap *m, const struct replacing *r, const struct extent *news,
                                     size_t count)
{
    struct extent *list = reallocarray(NULL, r->total, sizeof *list);
    if (!list)
        return NULL;
    if (r->head)
        memcpy(list, m->chunks[r->first].extents, r->head * sizeof *list);
    if (count)
        memcpy(list + r->head, news, count * sizeof *list);
    if (r->total > r->head + count)
        memcpy(list + r->head + count, m->chunks[r->last].extents + r->tail,
               (r->total - r->head - count) * sizeof *list);
    return list;
}

/* Spreads a list over chunks of their own; -ENOMEM leaves none. */
static int chunks_build(struct extmap_chunk *chunks, size_t chunk_count, const struct extent *list, size_t total,
                        bool packed)
{
    for (size_t i = 0; i < chunk_count; i++) {
        size_t n = packed && total > EXTMAP_CHUNK_EXTENTS ? EXTMAP_CHUNK_EXTENTS : total / (chunk_count - i);
        chunks[i] = (struct extmap_chunk){0};
        if (chunk_reserve(&chunks[i], n) < 0) {
            while (i)
                free(chunks[--i].extents);
            return -ENOMEM;
        }
        memcpy(chunks[i].extents, list, n * sizeof *list);
        chunks[i].count = (uint32_t)n;
        chunk_set_end(&chunks[i]);
        list += n;
        total -= n;
    }
    return 0;
}

/* Replaces the touched chunks by new ones. */
static int replace_chunks(struct extmap *m, const struct replacing *r, const struct extent *news, size_t count)
{
    size_t old = m->chunk_count ? r->last - r->first + 1 : 0, beyond = r->first + old;
    size_t fresh = (r->total + EXTMAP_CHUNK_EXTENTS - 1) / EXTMAP_CHUNK_EXTENTS;
    if (chunks_reserve(m, m->chunk_count - old + fresh) < 0)
        return -ENOMEM;
    if (fresh) {
        struct extmap_chunk *built = reallocarray(NULL, fresh, sizeof *built);
        struct extent *list = built ? replacing_list(m, r, news, count) : NULL;
        /* A file that grows fills its chunks; one that is changed within leaves room for the next change. */
        int err = list ? chunks_build(built, fresh, list, r->total, beyond == m->chunk_count) : -ENOMEM;
        free(list);
        if (err < 0) {
            free(built);
            return err;
        }
        for (size_t i = r->first; i < beyond; i++) {
            m->count -= m->chunks[i].count;
            free(m->chunks[i].extents);
        }
        memmove(m->chunks + r->first + fresh, m->chunks + beyond, (m->chunk_count - beyond) * sizeof *built);
        memcpy(m->chunks + r->first, built, fresh * sizeof *built);
        free(built);
    } else {
        for (size_t i = r->first; i < beyond; i++) {
            m->count -= m->chunks[i].count;
            free(m->chunks[i].extents);
        }
        memmove(m->chunks + r->first, m->chunks + beyond, (m->chunk_count - beyond) * sizeof *m->chunks);
    }
    m->chunk_count = m->chunk_count - old + fresh;
    m->count += r->total;
    return 0;
}

int extmap_replace(struct extmap *m, struct extmap_cursor from, struct extmap_cursor to, const struct extent *news,
                   size_t count)
{
    if (!count && from.chunk == to.chunk && from.at == to.at)
        return 0;
    struct replacing r = replacing_of(m, from, to, count);
    if (m->chunk_count && r.first == r.last && r.total && r.total <= EXTMAP_CHUNK_EXTENTS)
        return replace_within(m, &r, news, count);
    return replace_chunks(m, &r, news, count);
}

int extmap_append(struct extmap *m, const struct extent *e, size_t coming)
{
    struct extmap_chunk *c = m->chunk_count ? &m->chunks[m->chunk_count - 1] : NULL;
    if (!c || c->count == EXTMAP_CHUNK_EXTENTS) {
        size_t left = coming - m->count, chunks = (left + EXTMAP_CHUNK_EXTENTS - 1) / EXTMAP_CHUNK_EXTENTS;
        if (chunks_reserve(m, m->chunk_count + chunks) < 0)
            return -ENOMEM;
        c = &m->chunks[m->chunk_count];
        *c = (struct extmap_chunk){0};
        if (chunk_reserve(c, left < EXTMAP_CHUNK_EXTENTS ? left : EXTMAP_CHUNK_EXTENTS) < 0)
            return -ENOMEM;
        m->chunk_count++;
    }
    assert(c->count < c->cap);
    c->extents[c->count++] = *e;
    chunk_set_end(c);
    m->count++;
    return 0;
}

void extmap_drop(struct extmap *m, bool (*drop)(const struct extent *e))
{
    size_t kept_chunks = 0;
    for (size_t i = 0; i < m->chunk_count; i++) {
        struct extmap_chunk c = m->chunks[i];
        uint32_t kept = 0;
        for (uint32_t k = 0; k < c.count; k++) {
            if (!drop(&c.extents[k]))
                c.extents[kept++] = c.extents[k];
        }
        m->count -= c.count - kept;
        c.count = kept;
        if (kept) {
            chunk_set_end(&c);
            m->chunks[kept_chunks++] = c;
        } else {
            free(c.extents);
        }
    }
    m->chunk_count = kept_chunks;
}
