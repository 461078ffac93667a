/* SPDX-License-Identifier: GPL-3.0-or-later
 * Sealing and opening frames; see frame.h. The layout is doc/on-disk-format.md, "Frame". */
#include "pipeline/frame.h"

#include "pipeline/compress.h"
#include "pipeline/gcm.h"
#include "pipeline/thread.h"
#include "util/secret.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Where the fields of a header stand. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_FLAGS = 5,
    AT_CIPHER = 6,
    AT_COMPRESSION = 7,
    AT_NUMBER = 8,
    AT_PLAIN = 16,
    AT_CIPHERTEXT = 20,
    AT_DEK = 24,
};
enum { FRAME_VERSION = 1, FRAME_CIPHER_AES_256_GCM = 1 };
/* A key seals at most 2^32 frames (encryption.md §2.1). */
static const uint64_t frame_number_end = (uint64_t)1 << 32;

_Static_assert((int)FRAME_TAG_BYTES == (int)GCM_TAG_BYTES, "a frame ends in GCM's tag");
_Static_assert((int)AT_DEK + 8 == (int)FRAME_HEADER_BYTES, "the fields fill the header");

static void put_u32(uint8_t *at, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(at, &v, sizeof v);
}

static void put_u64(uint8_t *at, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(at, &v, sizeof v);
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return __builtin_bswap32(v);
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return __builtin_bswap64(v);
}

static void frame_nonce(uint64_t number, uint8_t out[GCM_NONCE_BYTES])
{
    put_u32(out, 0);
    put_u64(out + 4, number);
}

static void frame_header_write(const struct frame_key *key, uint64_t number, unsigned compression,
                               size_t plain_bytes, size_t cipher_bytes, uint8_t *out)
{
    memcpy(out + AT_MAGIC, "HFR1", 4);
    out[AT_VERSION] = FRAME_VERSION;
    out[AT_FLAGS] = 0;
    out[AT_CIPHER] = FRAME_CIPHER_AES_256_GCM;
    out[AT_COMPRESSION] = (uint8_t)compression;
    put_u64(out + AT_NUMBER, number);
    put_u32(out + AT_PLAIN, (uint32_t)plain_bytes);
    put_u32(out + AT_CIPHERTEXT, (uint32_t)cipher_bytes);
    memcpy(out + AT_DEK, key->id, 8);
}

int frame_header_read(const void *buf, size_t len, struct frame_header *ret)
{
    const uint8_t *at = buf;
    if (len < FRAME_HEADER_BYTES || memcmp(at + AT_MAGIC, "HFR1", 4) || at[AT_VERSION] != FRAME_VERSION)
        return -EBADMSG;
    struct frame_header h = {
        .flags = at[AT_FLAGS],
        .cipher = at[AT_CIPHER],
        .compression = at[AT_COMPRESSION],
        .number = get_u64(at + AT_NUMBER),
        .plain_bytes = get_u32(at + AT_PLAIN),
        .cipher_bytes = get_u32(at + AT_CIPHERTEXT),
        .dek_prefix = get_u64(at + AT_DEK),
    };
    if (h.flags || h.cipher != FRAME_CIPHER_AES_256_GCM || !compress_known(h.compression))
        return -EBADMSG;
    if (h.number >= frame_number_end || h.plain_bytes < 1 || h.plain_bytes > FRAME_PLAIN_MAX_BYTES)
        return -EBADMSG;
    /* Compression is kept only where it shortens. */
    bool fits = h.compression == FRAME_COMPRESSION_NONE ? h.cipher_bytes == h.plain_bytes
                                                        : h.cipher_bytes && h.cipher_bytes < h.plain_bytes;
    if (!fits)
        return -EBADMSG;
    *ret = h;
    return 0;
}

int64_t frame_seal(const struct frame_key *key, uint64_t number, enum frame_compression compression,
                   const void *plain, size_t plain_bytes, void *out)
{
    assert(plain_bytes >= 1 && plain_bytes <= FRAME_PLAIN_MAX_BYTES && number < frame_number_end);
    uint8_t *header = out, *body = header + FRAME_HEADER_BYTES, nonce[GCM_NONCE_BYTES];
    size_t cipher_bytes = compress_pack(compression, plain, plain_bytes, body);
    const void *in = body;
    if (!cipher_bytes) {
        compression = FRAME_COMPRESSION_NONE;
        cipher_bytes = plain_bytes;
        in = plain;
    }
    frame_header_write(key, number, compression, plain_bytes, cipher_bytes, header);
    frame_nonce(number, nonce);
    int r = gcm_seal(key, nonce, header, FRAME_HEADER_BYTES, in, cipher_bytes, body, body + cipher_bytes);
    return r < 0 ? r : (int64_t)(cipher_bytes + FRAME_OVERHEAD_BYTES);
}

/* Everything that must be right before the tag is looked at; encryption.md §2.1, "Reading". */
static int frame_check_header(const uint8_t dek_id[16], const struct frame_expect *expect, const void *frame,
                              size_t frame_bytes, struct frame_header *ret)
{
    if (frame_bytes != (size_t)expect->cipher_bytes + FRAME_OVERHEAD_BYTES ||
        frame_header_read(frame, frame_bytes, ret) < 0)
        return -EBADMSG;
    bool same = ret->dek_prefix == get_u64(dek_id) && ret->number == expect->number &&
                ret->plain_bytes == expect->plain_bytes && ret->cipher_bytes == expect->cipher_bytes;
    return same ? 0 : -EBADMSG;
}

int frame_check(const uint8_t dek_id[16], const struct frame_expect *expect, const void *frame, size_t frame_bytes)
{
    struct frame_header h;
    return frame_check_header(dek_id, expect, frame, frame_bytes, &h);
}

/* The checked frame's plaintext. */
static int frame_decrypt(struct thread_state *t, const struct frame_key *key, const struct frame_header *h,
                         const uint8_t *frame, uint8_t *out)
{
    const uint8_t *body = frame + FRAME_HEADER_BYTES;
    uint8_t nonce[GCM_NONCE_BYTES], *plain = out;
    if (h->compression != FRAME_COMPRESSION_NONE && !(plain = thread_buffer(&t->packed, FRAME_PLAIN_MAX_BYTES)))
        return -ENOMEM;
    frame_nonce(h->number, nonce);
    int r = gcm_open(key, nonce, frame, FRAME_HEADER_BYTES, body, h->cipher_bytes, body + h->cipher_bytes, plain);
    if (r == 0 && plain != out)
        r = compress_unpack(h->compression, plain, h->cipher_bytes, out, h->plain_bytes);
    return r;
}

int frame_open(const struct frame_key *key, const struct frame_expect *expect, const void *frame, size_t frame_bytes,
               void *out)
{
    struct thread_state *t = thread_state();
    struct frame_header h;
    int r = t ? frame_check_header(key->id, expect, frame, frame_bytes, &h) : -ENOMEM;
    if (r == 0)
        r = frame_decrypt(t, key, &h, frame, out);
    if (r < 0)
        secret_wipe(out, expect->plain_bytes);
    return r;
}

void frame_key_forget(const struct frame_key *key)
{
    gcm_forget(key->serial);
}
