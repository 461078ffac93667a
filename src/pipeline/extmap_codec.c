/* SPDX-License-Identifier: GPL-3.0-or-later
 * The packed form of an extent map (doc/on-disk-format.md, "Extents"):
 *
 *   u8 format (1) | varint size | varint deks | each: id 16, kek id 16, u32 kek version, wrapped 72
 *   varint extents | each: u8 bits, then what the bits announce
 *
 * An extent is written as what differs from the guess that it goes on where the one before ended, with frames of the
 * same plaintext length that are not compressed. So a file written in order costs a few bytes for each segment. */
#include "pipeline/extmap_chunks.h"
#include "pipeline/extmap_run.h"

#include <errno.h>
#include <string.h>

enum { EXTMAP_FORMAT = 1, EXTMAP_DEK_BYTES = 16 + 16 + 4 + 72 };

enum extent_bits {
    EXTENT_GAP = 1,    /* varint: hole before it, bytes */
    EXTENT_PLACE = 2,  /* varint dek, zigzag segment, place, number, each against the guess */
    EXTENT_PLAIN = 4,  /* varint: plaintext of a frame */
    EXTENT_PACKED = 8, /* u16: bytes by which compression shortened a frame */
    EXTENT_RUN = 16,   /* varint: frames - 2 */
    EXTENT_LAST = 32,  /* varint: plaintext by which the last frame is shorter, u16: what compression saved in it;
                          without EXTENT_RUN, there are two frames (most runs of compressed frames) */
    EXTENT_CUT = 64,   /* varint, varint: plaintext of the run not covered at its start, at its end */
    EXTENT_BITS = 127,
};

/* What the next extent is expected to be: frames = 1, the run's next place and number. */
static struct extent extent_guess_first(void)
{
    return (struct extent){.segment = 1, .plain_bytes = FRAME_PLAIN_MAX_BYTES};
}

static struct extent extent_guess_after(const struct extent *e)
{
    return (struct extent){
        .offset_bytes = extent_end(e),
        .dek = e->dek,
        .segment = e->segment,
        .place_bytes = e->place_bytes + extent_run_bytes(e),
        .number = e->number + e->frames,
        .plain_bytes = e->plain_bytes,
    };
}

/* Another segment starts at 0, and so do another key's numbers. */
static void extent_guess_place(struct extent *guess, uint32_t dek, uint32_t segment)
{
    if (guess->segment != segment)
        guess->place_bytes = 0;
    if (guess->dek != dek)
        guess->number = 0;
}

static uint64_t zigzag(uint64_t value, uint64_t guess)
{
    int64_t d = (int64_t)(value - guess);
    return ((uint64_t)d << 1) ^ (uint64_t)(d >> 63);
}

static uint64_t unzigzag(uint64_t z, uint64_t guess)
{
    return guess + ((z >> 1) ^ (0 - (z & 1)));
}

/* --- encoding --------------------------------------------------------------------------------------------- */

static unsigned extent_bits_of(const struct extent *e, const struct extent *guess)
{
    bool placed = e->dek == guess->dek && e->segment == guess->segment && e->place_bytes == guess->place_bytes &&
                  e->number == guess->number;
    bool even = e->last_plain_bytes == e->plain_bytes && e->last_cipher_bytes == e->cipher_bytes;
    bool whole = !e->skip_bytes && e->length_bytes == extent_run_plain(e);
    return (e->offset_bytes != guess->offset_bytes ? EXTENT_GAP : 0) | (placed ? 0 : EXTENT_PLACE) |
           (e->plain_bytes != guess->plain_bytes ? EXTENT_PLAIN : 0) |
           (e->cipher_bytes != e->plain_bytes ? EXTENT_PACKED : 0) |
           (e->frames > (even ? 1u : 2u) ? EXTENT_RUN : 0) |
           (even ? 0 : EXTENT_LAST) | (whole ? 0 : EXTENT_CUT);
}

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *at++ = (uint8_t)(v | 0x80);
    *at++ = (uint8_t)v;
    return at;
}

static uint8_t *put_u16(uint8_t *at, uint16_t v)
{
    *at++ = (uint8_t)(v >> 8);
    *at++ = (uint8_t)v;
    return at;
}

/* A map that was written at random has ten thousand of these: each goes out in one piece. */
static void extent_encode(const struct extent *e, struct extent guess, struct bytes *out)
{
    uint8_t packed[1 + 10 * 10 + 2 * 2], *at = packed;
    unsigned bits = extent_bits_of(e, &guess);
    *at++ = (uint8_t)bits;
    if (bits & EXTENT_GAP)
        at = put_varint(at, e->offset_bytes - guess.offset_bytes);
    if (bits & EXTENT_PLACE) {
        at = put_varint(at, e->dek);
        at = put_varint(at, zigzag(e->segment, guess.segment));
        extent_guess_place(&guess, e->dek, e->segment);
        at = put_varint(at, zigzag(e->place_bytes, guess.place_bytes));
        at = put_varint(at, zigzag(e->number, guess.number));
    }
    if (bits & EXTENT_PLAIN)
        at = put_varint(at, e->plain_bytes);
    if (bits & EXTENT_PACKED)
        at = put_u16(at, (uint16_t)(e->plain_bytes - e->cipher_bytes));
    if (bits & EXTENT_RUN)
        at = put_varint(at, e->frames - 2);
    if (bits & EXTENT_LAST) {
        at = put_varint(at, e->plain_bytes - e->last_plain_bytes);
        at = put_u16(at, (uint16_t)(e->last_plain_bytes - e->last_cipher_bytes));
    }
    if (bits & EXTENT_CUT) {
        at = put_varint(at, e->skip_bytes);
        at = put_varint(at, extent_run_plain(e) - e->skip_bytes - e->length_bytes);
    }
    bytes_put(out, packed, (size_t)(at - packed));
}

void extmap_encode(const struct extmap *m, struct bytes *out)
{
    bytes_put_u8(out, EXTMAP_FORMAT);
    bytes_put_varint(out, m->size_bytes);
    bytes_put_varint(out, m->dek_count);
    for (size_t i = 0; i < m->dek_count; i++) {
        const struct extmap_dek *d = &m->deks[i];
        bytes_put(out, d->id, sizeof d->id);
        bytes_put(out, d->kek_id, sizeof d->kek_id);
        bytes_put_u32(out, d->kek_version);
        bytes_put(out, d->wrapped, sizeof d->wrapped);
    }
    bytes_put_varint(out, m->count);
    struct extent guess = extent_guess_first();
    struct extmap_cursor at = {0};
    for (const struct extent *e; (e = extmap_next(m, &at));) {
        extent_encode(e, guess, out);
        guess = extent_guess_after(e);
    }
}

/* --- decoding --------------------------------------------------------------------------------------------- */

/* A varint of at most `most`; anything larger fails the reader. */
static uint64_t read_upto(struct reader *r, uint64_t most)
{
    uint64_t v = reader_varint(r);
    if (v > most) {
        r->failed = true;
        return 0;
    }
    return v;
}

static void extent_decode_place(struct reader *r, struct extent *guess, struct extent *e)
{
    e->dek = (uint32_t)read_upto(r, UINT32_MAX);
    uint64_t segment = unzigzag(reader_varint(r), guess->segment);
    if (segment > UINT32_MAX)
        r->failed = true;
    e->segment = (uint32_t)segment;
    extent_guess_place(guess, e->dek, e->segment);
    e->place_bytes = unzigzag(reader_varint(r), guess->place_bytes);
    e->number = unzigzag(reader_varint(r), guess->number);
}

/* The sizes of the run's frames; false where there is no such run. */
static bool extent_decode_run(struct reader *r, unsigned bits, struct extent *e)
{
    if (bits & EXTENT_PLAIN)
        e->plain_bytes = (uint32_t)read_upto(r, FRAME_PLAIN_MAX_BYTES);
    if (!e->plain_bytes)
        return false;
    e->frames = bits & EXTENT_LAST ? 2 : 1;
    uint32_t saved = bits & EXTENT_PACKED ? reader_u16(r) : 0, last_saved = saved;
    if (bits & EXTENT_RUN)
        e->frames = (uint32_t)read_upto(r, UINT32_MAX - 2) + 2;
    e->last_plain_bytes = e->plain_bytes;
    if (bits & EXTENT_LAST) {
        e->last_plain_bytes -= (uint32_t)read_upto(r, e->plain_bytes - 1);
        last_saved = reader_u16(r);
    }
    if (r->failed || saved >= e->plain_bytes || last_saved >= e->last_plain_bytes)
        return false;
    e->cipher_bytes = e->plain_bytes - saved;
    e->last_cipher_bytes = e->last_plain_bytes - last_saved;
    return true;
}

/* The part of the run that is covered: something of its first and of its last frame. */
static bool extent_decode_cover(struct reader *r, unsigned bits, struct extent *e)
{
    uint64_t run = extent_run_plain(e), tail = 0;
    if (bits & EXTENT_CUT) {
        e->skip_bytes = (uint32_t)read_upto(r, e->plain_bytes - 1);
        tail = read_upto(r, e->last_plain_bytes - 1);
    }
    if (r->failed || e->skip_bytes + tail >= run)
        return false;
    e->length_bytes = run - e->skip_bytes - tail;
    return true;
}

static bool extent_decode(struct reader *r, struct extent guess, struct extent *e)
{
    unsigned bits = reader_u8(r);
    uint64_t end;
    if (bits & ~(unsigned)EXTENT_BITS)
        return false;
    *e = guess;
    if (bits & EXTENT_GAP && __builtin_add_overflow(guess.offset_bytes, reader_varint(r), &e->offset_bytes))
        return false;
    if (bits & EXTENT_PLACE)
        extent_decode_place(r, &guess, e);
    if (!extent_decode_run(r, bits, e) || !extent_decode_cover(r, bits, e))
        return false;
    if (__builtin_add_overflow(e->number, e->frames, &end) || end > (uint64_t)UINT32_MAX + 1)
        return false;
    if (__builtin_add_overflow(e->place_bytes, extent_run_bytes(e), &end) || end > INT64_MAX)
        return false;
    return !__builtin_add_overflow(e->offset_bytes, e->length_bytes, &end);
}

static void deks_decode(struct reader *r, struct extmap *m)
{
    for (size_t i = 0; i < m->dek_cap; i++) {
        struct extmap_dek *d = &m->deks[i];
        const uint8_t *at = reader_take(r, sizeof d->id + sizeof d->kek_id);
        if (!at)
            return;
        memcpy(d->id, at, sizeof d->id);
        memcpy(d->kek_id, at + sizeof d->id, sizeof d->kek_id);
        d->kek_version = reader_u32(r);
        at = reader_take(r, sizeof d->wrapped);
        if (!at)
            return;
        memcpy(d->wrapped, at, sizeof d->wrapped);
        m->dek_count++;
    }
}

static int extents_decode(struct reader *r, struct extmap *m, size_t count)
{
    struct extent guess = extent_guess_first();
    while (m->count < count) {
        struct extent e;
        if (!extent_decode(r, guess, &e) || e.dek >= m->dek_count || extent_end(&e) > m->size_bytes)
            return -EBADMSG;
        if (extmap_append(m, &e, count) < 0)
            return -ENOMEM;
        guess = extent_guess_after(&e);
    }
    return reader_finished(r) ? 0 : -EBADMSG;
}

static int extmap_decode_into(struct reader *r, struct extmap *m)
{
    if (reader_u8(r) != EXTMAP_FORMAT)
        return -EBADMSG;
    m->size_bytes = read_upto(r, INT64_MAX);
    size_t deks = read_upto(r, (size_t)(r->end - r->at) / EXTMAP_DEK_BYTES);
    if (r->failed)
        return -EBADMSG;
    if (deks && !(m->deks = reallocarray(NULL, deks, sizeof *m->deks)))
        return -ENOMEM;
    m->dek_cap = deks;
    deks_decode(r, m);
    size_t count = read_upto(r, (size_t)(r->end - r->at)); /* one byte each, at least */
    return r->failed ? -EBADMSG : extents_decode(r, m, count);
}

/* One map has one packed form: a detour (a bit for a guess that was right, an overlong varint) is refused. */
static int extmap_check_form(const struct extmap *m, const void *buf, size_t len)
{
    struct bytes again = {0};
    extmap_encode(m, &again);
    int r = again.failed ? -ENOMEM : again.len == len && !memcmp(again.data, buf, len) ? 0 : -EBADMSG;
    bytes_done(&again);
    return r;
}

int extmap_decode(const void *buf, size_t len, struct extmap **ret)
{
    struct extmap *m = extmap_new();
    if (!m)
        return -ENOMEM;
    struct reader r = reader_over(buf, len);
    int err = extmap_decode_into(&r, m);
    if (err == 0)
        err = extmap_check_form(m, buf, len);
    if (err < 0) {
        extmap_unref(m);
        return err;
    }
    *ret = m;
    return 0;
}
