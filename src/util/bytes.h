/* SPDX-License-Identifier: GPL-3.0-or-later
 * A growable byte buffer, and reading and writing of packed big-endian values.
 *
 * Writers never fail but by running out of memory, which sets `failed`; check it once at the end.
 * Readers never read past the end: a short or malformed input sets `failed` and yields zeros, so a decoder
 * reads all its fields and checks once. Packed values are what doc/on-disk-format.md calls u8, u16, u32, u64,
 * varint (LEB128, at most 10 bytes) and blob (varint length, bytes). */
#ifndef HOLDFS_UTIL_BYTES_H
#define HOLDFS_UTIL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data; /* owned; free with bytes_done() */
    size_t len, cap;
    bool failed;
};

void bytes_done(struct bytes *b);
void bytes_clear(struct bytes *b); /* length 0, memory and `failed` kept */
void bytes_put(struct bytes *b, const void *src, size_t len);
void bytes_put_u8(struct bytes *b, uint8_t v);
void bytes_put_u32(struct bytes *b, uint32_t v);
void bytes_put_u64(struct bytes *b, uint64_t v);
void bytes_put_varint(struct bytes *b, uint64_t v);
void bytes_put_blob(struct bytes *b, const void *src, size_t len);
void bytes_printf(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends a terminating zero that is not counted in len, and returns the text; NULL when failed. */
char *bytes_text(struct bytes *b);

struct reader {
    const uint8_t *at, *end; /* borrowed */
    bool failed;
};

struct reader reader_over(const void *src, size_t len);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
uint64_t reader_varint(struct reader *r);
uint32_t reader_varint32(struct reader *r); /* more than 32 bits: failed */
/* Borrowed bytes of the input; NULL (and failed) when fewer than len are left. */
const uint8_t *reader_take(struct reader *r, size_t len);
/* A blob: borrowed bytes, length in *ret_len. */
const uint8_t *reader_blob(struct reader *r, size_t *ret_len);
/* A blob as text into an array of `cap` bytes, a zero behind it; failed where it does not fit or has a zero inside. */
void reader_text(struct reader *r, char *out, size_t cap);
/* True when all was read without failure and nothing is left over. */
bool reader_finished(const struct reader *r);

#endif
