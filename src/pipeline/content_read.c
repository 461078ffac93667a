/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reading content: frames that lie one after the other are fetched in one call, whole ones are opened straight into
 * the reader's buffer, of others the opened frame is kept for the next small read. See content.h. */
#include "pipeline/content_private.h"

#include "pipeline/extmap_chunks.h"
#include "pipeline/extmap_run.h"
#include "pipeline/frame_cache.h"
#include "pipeline/thread.h"

#include <errno.h>
#include <string.h>

/* Frames fetched at once: enough that a call costs little beside its copy, few enough to be in the processor's cache
 * when they are opened. (128 KiB to 1 MiB could not be told apart on a busy machine; bench_pipeline on a quiet one can.) */
enum { READING_FETCH_BYTES = 256 << 10 };

/* One reading on its way. */
struct reading {
    struct pipeline *p;
    struct thread_state *t;
    const struct extmap *map;
    struct content_key *const *keys;
    struct content_fault *fault; /* may be NULL */
    uint64_t offset;             /* of out, in the file */
    uint8_t *out;                /* NULL: frames are only checked */
    struct extmap_piece pieces[THREAD_BATCH_FRAMES]; /* frames that lie one after the other */
    size_t count;
    size_t bytes; /* on disk */
};

static size_t piece_bytes(const struct extmap_piece *f)
{
    return (size_t)f->cipher_bytes + FRAME_OVERHEAD_BYTES;
}

static bool piece_whole(const struct extmap_piece *f)
{
    return f->length == f->plain_bytes;
}

static struct frame_expect piece_expect(const struct extmap_piece *f)
{
    return (struct frame_expect){f->number, f->plain_bytes, f->cipher_bytes};
}

static int reading_fault(const struct reading *g, const struct extmap_piece *f, const char *what)
{
    if (g->fault)
        *g->fault = (struct content_fault){f->segment, f->place_bytes, f->number, f->file_offset, what};
    return -EIO;
}

/* --- fetching --------------------------------------------------------------------------------------------- */

/* Starts with the piece at `offset` and adds those that follow it, in the file and in the segment. */
static void reading_gather(struct reading *g, const struct extmap_piece *first, uint64_t end)
{
    struct extmap_piece f = *first;
    g->count = g->bytes = 0;
    do {
        g->pieces[g->count++] = f;
        g->bytes += piece_bytes(&f);
        uint64_t next = f.file_offset + f.length, place = f.place_bytes + piece_bytes(&f);
        uint32_t segment = f.segment;
        if (next >= end || !extmap_at(g->map, next, end - next, &f) || f.hole || f.segment != segment ||
            f.place_bytes != place)
            return;
    } while (g->count < THREAD_BATCH_FRAMES && g->bytes + piece_bytes(&f) <= READING_FETCH_BYTES);
}

/* What a failed read of one frame means; errors of this process, not of the store, pass as they are. */
static int reading_failed(const struct reading *g, const struct extmap_piece *f, int err)
{
    switch (err) {
    case -ENODATA:
        return reading_fault(g, f, "short");
    case -ENOENT:
        return reading_fault(g, f, "missing");
    case -ENOMEM:
    case -EMFILE:
    case -ENFILE:
        return err;
    default:
        return reading_fault(g, f, "io");
    }
}

/* The frames could not be fetched together: finds the first that is at fault. */
static int reading_blame(const struct reading *g, int err)
{
    for (size_t i = 0; i < g->count; i++) {
        const struct extmap_piece *f = &g->pieces[i];
        struct block_place at = {f->segment, f->place_bytes};
        int r = g->p->ops->read(g->p->block, at, g->t->sealed, piece_bytes(f));
        if (r < 0)
            return reading_failed(g, f, r);
    }
    return reading_failed(g, &g->pieces[0], err);
}

static int reading_fetch(const struct reading *g, const uint8_t **ret)
{
    const struct extmap_piece *f = &g->pieces[0];
    const struct bytes *inlined = &g->map->inline_data;
    if (f->segment == 0) {
        if (f->place_bytes > inlined->len || g->bytes > inlined->len - f->place_bytes)
            return reading_fault(g, f, "short");
        *ret = inlined->data + f->place_bytes;
        return 0;
    }
    struct block_place at = {f->segment, f->place_bytes};
    int r = g->p->ops->read(g->p->block, at, g->t->sealed, g->bytes);
    if (r < 0)
        return reading_blame(g, r);
    *ret = g->t->sealed;
    return 0;
}

/* --- opening ---------------------------------------------------------------------------------------------- */

static int reading_bad_frame(const struct reading *g, const struct extmap_piece *f, const uint8_t *frame, int err)
{
    if (err != -EBADMSG)
        return err;
    struct frame_expect expect = piece_expect(f);
    bool header = frame_check(g->map->deks[f->dek].id, &expect, frame, piece_bytes(f)) < 0;
    return reading_fault(g, f, header ? "header" : "tag");
}

/* Opens a frame of which only a part is wanted, and keeps it for the next reader of another part. */
static int reading_open_part(const struct reading *g, const struct extmap_piece *f, const uint8_t *frame,
                             uint8_t *out)
{
    struct content_key *key = g->keys[f->dek];
    const struct frame_key *k = content_key_frame(key);
    struct frame_expect expect = piece_expect(f);
    if (!thread_buffer(&g->t->plain, FRAME_PLAIN_MAX_BYTES))
        return -ENOMEM;
    int r = frame_open(k, &expect, frame, piece_bytes(f), g->t->plain);
    if (r < 0)
        return reading_bad_frame(g, f, frame, r);
    if (!out)
        return 0;
    memcpy(out, g->t->plain + f->skip_bytes, f->length);
    content_key_cached(key);
    frame_cache_put(k->serial, f->number, &g->t->plain, f->plain_bytes);
    return 0;
}

static int reading_open(const struct reading *g, const struct extmap_piece *f, const uint8_t *frame)
{
    struct frame_expect expect = piece_expect(f);
    if (!g->out && !g->keys[f->dek]) {
        int r = frame_check(g->map->deks[f->dek].id, &expect, frame, piece_bytes(f));
        return r < 0 ? reading_fault(g, f, "header") : 0;
    }
    uint8_t *out = g->out ? g->out + (f->file_offset - g->offset) : NULL;
    if (!out || !piece_whole(f))
        return reading_open_part(g, f, frame, out);
    int r = frame_open(content_key_frame(g->keys[f->dek]), &expect, frame, piece_bytes(f), out);
    return r < 0 ? reading_bad_frame(g, f, frame, r) : 0;
}

/* Fetches and opens what was gathered. */
static int reading_run(const struct reading *g)
{
    const uint8_t *frame = NULL;
    for (size_t i = 0; g->out && i < g->count; i++) {
        if (!g->keys[g->pieces[i].dek])
            return -ENOKEY;
    }
    int r = reading_fetch(g, &frame);
    for (size_t i = 0; r == 0 && i < g->count; i++) {
        r = reading_open(g, &g->pieces[i], frame);
        frame += piece_bytes(&g->pieces[i]);
    }
    return r;
}

/* --- the ways in ------------------------------------------------------------------------------------------ */

static bool reading_from_cache(const struct reading *g, const struct extmap_piece *f)
{
    if (!g->out || piece_whole(f) || !g->keys[f->dek])
        return false;
    return frame_cache_copy(content_key_frame(g->keys[f->dek])->serial, f->number, f->skip_bytes, f->length,
                            g->out + (f->file_offset - g->offset));
}

static int reading_all(struct reading *g, uint64_t at, uint64_t end)
{
    struct extmap_piece f;
    g->t = thread_state();
    if (!g->t || !thread_buffer(&g->t->sealed, THREAD_SEALED_BYTES))
        return -ENOMEM;
    while (at < end && extmap_at(g->map, at, end - at, &f)) {
        if (f.hole || reading_from_cache(g, &f)) {
            if (f.hole && g->out)
                memset(g->out + (at - g->offset), 0, f.length);
            at += f.length;
            continue;
        }
        reading_gather(g, &f, end);
        int r = reading_run(g);
        if (r < 0)
            return r;
        const struct extmap_piece *last = &g->pieces[g->count - 1];
        at = last->file_offset + last->length;
    }
    return 0;
}

ssize_t content_read(struct pipeline *p, const struct extmap *map, struct content_key *const *keys, uint64_t offset,
                     void *buf, size_t len, struct content_fault *fault)
{
    if (offset >= map->size_bytes || !len)
        return 0;
    if (len > map->size_bytes - offset)
        len = map->size_bytes - offset;
    struct reading g;
    g.p = p;
    g.map = map;
    g.keys = keys;
    g.fault = fault;
    g.offset = offset;
    g.out = buf;
    int r = reading_all(&g, offset, offset + len);
    return r < 0 ? r : (ssize_t)len;
}

int content_verify(struct pipeline *p, const struct extmap *map, struct content_key *const *keys,
                   struct content_fault *fault)
{
    struct reading g;
    g.p = p;
    g.map = map;
    g.keys = keys;
    g.fault = fault;
    g.offset = 0;
    g.out = NULL;
    return reading_all(&g, 0, map->size_bytes);
}

/* --- a content as the source of a chain of stages ---------------------------------------------------------- */

static ssize_t content_source_pull_at(struct stage_next *next, void *buf, size_t len, uint64_t offset)
{
    struct content_source *s = next->self;
    return content_read(s->p, s->map, s->keys, offset, buf, len, &s->fault);
}

static ssize_t content_source_pull(struct stage_next *next, void *buf, size_t len)
{
    struct content_source *s = next->self;
    ssize_t n = content_source_pull_at(next, buf, len, s->at);
    if (n > 0)
        s->at += (uint64_t)n;
    return n;
}

void content_source_init(struct content_source *s, struct pipeline *p, const struct extmap *map,
                         struct content_key *const *keys)
{
    *s = (struct content_source){
        .next = {.meta = {.size_bytes = map->size_bytes},
                 .caps = STAGE_READS | STAGE_WRITES | STAGE_RANGE | STAGE_SIZE | STAGE_PURE,
                 .self = s,
                 .pull = content_source_pull,
                 .pull_at = content_source_pull_at},
        .p = p,
        .map = map,
        .keys = keys,
    };
}
