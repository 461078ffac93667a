/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzzing of frames: any bytes in place of a frame, read as fsck does and as a reader does. What opens must be what
 * was sealed. */
#include "pipeline/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key_bytes[32] = {1, 2, 3};
static const struct frame_key key = {.id = "0123456789abcdef", .key = key_bytes, .serial = 1};

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Takes the header's own word for what is expected, so that everything behind the comparison is reached. */
static void open_as_it_says(const uint8_t *frame, size_t size)
{
    static uint8_t out[FRAME_PLAIN_MAX_BYTES];
    struct frame_header h;
    if (frame_header_read(frame, size, &h) < 0)
        return;
    require(h.plain_bytes >= 1 && h.plain_bytes <= FRAME_PLAIN_MAX_BYTES && h.cipher_bytes <= h.plain_bytes);
    struct frame_expect expect = {h.number, h.plain_bytes, h.cipher_bytes};
    (void)frame_check(key.id, &expect, frame, size);
    (void)frame_open(&key, &expect, frame, size, out);
}

/* The input as plaintext; one bit of the sealed form changed, at a place the input names. */
static void seal_and_damage(const uint8_t *data, size_t size)
{
    static uint8_t frame[FRAME_PLAIN_MAX_BYTES + FRAME_OVERHEAD_BYTES], out[FRAME_PLAIN_MAX_BYTES];
    if (size < 5 || size > FRAME_PLAIN_MAX_BYTES)
        return;
    int64_t n = frame_seal(&key, data[0], data[1] & 1 ? FRAME_COMPRESSION_ZSTD : FRAME_COMPRESSION_NONE, data, size,
                           frame);
    require(n > 0 && (size_t)n <= frame_bound(size));
    struct frame_expect expect = {data[0], (uint32_t)size, (uint32_t)n - FRAME_OVERHEAD_BYTES};
    require(frame_open(&key, &expect, frame, (size_t)n, out) == 0 && !memcmp(out, data, size));
    size_t at = ((size_t)data[2] << 8 | data[3]) % (size_t)n;
    frame[at] ^= (uint8_t)(1 << (data[4] & 7));
    require(frame_open(&key, &expect, frame, (size_t)n, out) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_as_it_says(data, size);
    seal_and_damage(data, size);
    return 0;
}
