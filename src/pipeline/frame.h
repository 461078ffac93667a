/* SPDX-License-Identifier: GPL-3.0-or-later
 * Frames: the unit of compression and authenticated encryption on disk (doc/on-disk-format.md, "Frame").
 *
 * Pure functions over memory plus per-thread cipher contexts. Called by pipeline's content reader and writer,
 * fsck and scrub. A frame is 32 header bytes, the ciphertext, a 16-byte GCM tag. */
#ifndef HOLDFS_PIPELINE_FRAME_H
#define HOLDFS_PIPELINE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_HEADER_BYTES = 32,
    FRAME_TAG_BYTES = 16,
    FRAME_OVERHEAD_BYTES = FRAME_HEADER_BYTES + FRAME_TAG_BYTES,
    FRAME_PLAIN_MAX_BYTES = 65536,
};

enum frame_compression { FRAME_COMPRESSION_NONE = 0, FRAME_COMPRESSION_ZSTD = 1 };

/* A data key in use. `key` lives in locked memory (util/secret.h); the prefix is the first 8 bytes of the DEK id. */
struct frame_key {
    uint8_t id[16];
    const uint8_t *key; /* 32 bytes, borrowed */
    uint64_t serial;    /* unique in this process and not 0, so that per-thread contexts know whether they hold this key */
};

/* What the extent says about a frame; all of it is compared before the tag is even looked at. */
struct frame_expect {
    uint64_t number;
    uint32_t plain_bytes;
    uint32_t cipher_bytes;
};

/* Bytes the sealed frame may take at most. */
static inline size_t frame_bound(size_t plain_bytes)
{
    return plain_bytes + FRAME_OVERHEAD_BYTES;
}

/* Seals plain (1..65536 bytes) as frame `number` (< 2^32, never used before under this key) into out (frame_bound
 * bytes). With ZSTD, keeps the compressed form only if it is shorter. Returns the frame's whole length, or -errno. */
int64_t frame_seal(const struct frame_key *key, uint64_t number, enum frame_compression compression,
                   const void *plain, size_t plain_bytes, void *out);

/* The checks that need no key: length, header, and both against what is expected. -EBADMSG. */
int frame_check(const uint8_t dek_id[16], const struct frame_expect *expect, const void *frame, size_t frame_bytes);

/* Checks and opens a frame of exactly frame_bytes into out (expect->plain_bytes). Order of checks: encryption.md
 * §2.1 "Reading". -EBADMSG on any failure; out is then wiped. */
int frame_open(const struct frame_key *key, const struct frame_expect *expect, const void *frame, size_t frame_bytes,
               void *out);

/* Wipes what threads keep prepared of the key; before its bytes go. */
void frame_key_forget(const struct frame_key *key);

/* A header as it stands, unauthenticated; for fsck, which sorts frames without metadata. -EBADMSG if it is none. */
struct frame_header {
    uint8_t flags, cipher, compression;
    uint64_t number;
    uint32_t plain_bytes, cipher_bytes;
    uint64_t dek_prefix;
};
int frame_header_read(const void *buf, size_t len, struct frame_header *ret);

#endif
