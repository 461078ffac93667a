/* SPDX-License-Identifier: GPL-3.0-or-later
 * Writing content: bytes become frames, frames one append, the append extents. See content.h; reading is in
 * content_read.c. */
#include "pipeline/content_private.h"

#include "pipeline/extmap_run.h"
#include "pipeline/thread.h"
#include "util/cleanup.h"

#include <assert.h>
#include <errno.h>

static bool unit_is_sound(uint32_t unit)
{
    return unit >= 4096 && unit <= FRAME_PLAIN_MAX_BYTES && (unit & (unit - 1)) == 0;
}

int pipeline_new(const struct pipeline_config *config, struct pipeline **ret)
{
    assert(unit_is_sound(config->unit_bytes) && unit_is_sound(config->packed_unit_bytes));
    struct pipeline *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (struct pipeline){.ops = config->ops,
                           .block = config->block,
                           .unit_bytes = config->unit_bytes,
                           .packed_unit_bytes = config->packed_unit_bytes};
    *ret = p;
    return 0;
}

void pipeline_free(struct pipeline *p)
{
    free(p);
}

static uint32_t content_unit(const struct pipeline *p, enum frame_compression compression)
{
    return compression == FRAME_COMPRESSION_NONE ? p->unit_bytes : p->packed_unit_bytes;
}

/* One write on its way: where it goes, and what it has become so far. */
struct writing {
    struct pipeline *p;
    struct thread_state *t;
    struct content_key *key;
    uint32_t dek;
    enum frame_compression compression;
    uint32_t unit_bytes;
    struct extent *extents; /* room for one for each frame */
    size_t count;
};

/* Frames that [offset, offset+len) is cut into at multiples of the unit. */
static uint64_t writing_frames(const struct writing *w, uint64_t offset, uint64_t len)
{
    return (offset + len - 1) / w->unit_bytes - offset / w->unit_bytes + 1;
}

/* Notes a sealed frame, as part of the run before it where it continues that (not across appends: those may have
 * been placed apart, so `from` is the first extent of this append). */
static void writing_note(struct writing *w, size_t from, const struct extent *frame)
{
    if (w->count == from || !extent_join(&w->extents[w->count - 1], frame))
        w->extents[w->count++] = *frame;
}

/* Seals up to THREAD_BATCH_BYTES into the thread's buffer; places count from its start. Returns its length. */
static int64_t writing_seal(struct writing *w, uint64_t offset, const uint8_t *buf, size_t len)
{
    const struct frame_key *key = content_key_frame(w->key);
    size_t from = w->count, at = 0;
    uint64_t number;
    int r = content_key_take(w->key, writing_frames(w, offset, len), &number);
    if (r < 0)
        return r;
    while (len) {
        uint32_t plain = w->unit_bytes - (uint32_t)(offset % w->unit_bytes);
        if (plain > len)
            plain = (uint32_t)len;
        int64_t sealed = frame_seal(key, number, w->compression, buf, plain, w->t->sealed + at);
        if (sealed < 0)
            return sealed;
        uint32_t cipher = (uint32_t)sealed - FRAME_OVERHEAD_BYTES;
        struct extent frame = {
            .offset_bytes = offset, .length_bytes = plain, .dek = w->dek, .place_bytes = at, .number = number++,
            .plain_bytes = plain, .cipher_bytes = cipher, .last_plain_bytes = plain, .last_cipher_bytes = cipher,
            .frames = 1,
        };
        writing_note(w, from, &frame);
        at += (size_t)sealed;
        buf += plain;
        offset += plain;
        len -= plain;
    }
    return (int64_t)at;
}

/* Seals and appends one piece of the write. */
static int writing_append(struct writing *w, uint64_t offset, const uint8_t *buf, size_t len)
{
    size_t from = w->count;
    struct block_place place;
    int64_t sealed = writing_seal(w, offset, buf, len);
    if (sealed < 0)
        return (int)sealed;
    int r = w->p->ops->append(w->p->block, w->t->sealed, (size_t)sealed, &place);
    if (r < 0)
        return r;
    for (size_t i = from; i < w->count; i++) {
        w->extents[i].segment = place.segment;
        w->extents[i].place_bytes += place.offset_bytes;
    }
    return 0;
}

static int writing_all(struct writing *w, uint64_t offset, const uint8_t *buf, size_t len)
{
    while (len) {
        size_t piece = len;
        if (piece > THREAD_BATCH_BYTES) /* then it ends where a unit does */
            piece = THREAD_BATCH_BYTES - offset % w->unit_bytes;
        int r = writing_append(w, offset, buf, piece);
        if (r < 0)
            return r;
        offset += piece;
        buf += piece;
        len -= piece;
    }
    return 0;
}

int content_write(struct pipeline *p, struct content_key *key, uint32_t dek, enum frame_compression compression,
                  struct extmap *map, uint64_t offset, const void *buf, size_t len)
{
    if (!len)
        return 0;
    struct thread_state *t = thread_state();
    if (!t || !thread_buffer(&t->sealed, THREAD_SEALED_BYTES))
        return -ENOMEM;
    struct extent few[THREAD_BATCH_FRAMES];
    struct extent *many CLEANUP_FREE = NULL; /* only for what one request does not bring */
    struct writing w = {.p = p,
                        .t = t,
                        .key = key,
                        .dek = dek,
                        .compression = compression,
                        .unit_bytes = content_unit(p, compression),
                        .extents = few};
    uint64_t frames = writing_frames(&w, offset, len);
    if (frames > THREAD_BATCH_FRAMES && !(w.extents = many = reallocarray(NULL, frames, sizeof *many)))
        return -ENOMEM;
    int r = writing_all(&w, offset, buf, len);
    return r < 0 ? r : extmap_put_all(map, w.extents, w.count);
}

/* --- content that stays with its metadata row ------------------------------------------------------------- */

int content_write_inline(struct pipeline *p, struct content_key *key, uint32_t dek,
                         enum frame_compression compression, struct extmap *map, uint64_t offset, const void *buf,
                         size_t len)
{
    (void)p;
    assert(len >= 1 && len <= FRAME_PLAIN_MAX_BYTES);
    struct thread_state *t = thread_state();
    if (!t || !thread_buffer(&t->sealed, THREAD_SEALED_BYTES))
        return -ENOMEM;
    uint64_t number;
    int r = content_key_take(key, 1, &number);
    if (r < 0)
        return r;
    int64_t sealed = frame_seal(content_key_frame(key), number, compression, buf, len, t->sealed);
    if (sealed < 0)
        return (int)sealed;
    struct extmap *fresh = extmap_copy(map); /* a small map: the content is small */
    if (!fresh)
        return -ENOMEM;
    uint32_t plain = (uint32_t)len, cipher = (uint32_t)sealed - FRAME_OVERHEAD_BYTES;
    struct extent e = {
        .offset_bytes = offset, .length_bytes = len, .dek = dek, .number = number, .plain_bytes = plain,
        .cipher_bytes = cipher, .last_plain_bytes = plain, .last_cipher_bytes = cipher, .frames = 1,
    };
    extmap_drop_inline(fresh);
    bytes_put(&fresh->inline_data, t->sealed, (size_t)sealed);
    r = fresh->inline_data.failed ? -ENOMEM : extmap_put(fresh, &e);
    if (r == 0)
        extmap_swap(map, fresh);
    extmap_unref(fresh);
    return r;
}

int content_inline_to_segment(struct pipeline *p, struct extmap *map)
{
    int r = extmap_tidy(map);
    if (r < 0 || !map->inline_data.len)
        return r;
    struct block_place place;
    r = p->ops->append(p->block, map->inline_data.data, map->inline_data.len, &place);
    if (r == 0)
        extmap_place_inline(map, place.segment, place.offset_bytes);
    return r;
}
