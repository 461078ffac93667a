/* SPDX-License-Identifier: GPL-3.0-or-later
 * The five checksums of S3 (s3-api.md §2.3) and MD5, each fed piece by piece; and joining CRCs of pieces without their bytes. */
#ifndef HOLDFS_UTIL_CHECKSUM_H
#define HOLDFS_UTIL_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

enum checksum_kind {
    CHECKSUM_NONE,
    CHECKSUM_CRC32,
    CHECKSUM_CRC32C,
    CHECKSUM_CRC64NVME,
    CHECKSUM_SHA1,
    CHECKSUM_SHA256,
    CHECKSUM_MD5,
};

enum { CHECKSUM_MAX_BYTES = 32, CHECKSUM_TEXT_BYTES = 48 };

struct checksum {
    enum checksum_kind kind;
    uint64_t crc;
    void *digest; /* EVP_MD_CTX of the hashes */
};

int checksum_begin(struct checksum *c, enum checksum_kind kind); /* -ENOMEM. CHECKSUM_NONE: what follows does nothing */
void checksum_add(struct checksum *c, const void *bytes, size_t len);
/* The big-endian value; its length is checksum_bytes(). Ends it; checksum_done() is still due. */
void checksum_end(struct checksum *c, uint8_t out[CHECKSUM_MAX_BYTES]);
void checksum_done(struct checksum *c); /* zeros are accepted */

size_t checksum_bytes(enum checksum_kind kind);
const char *checksum_name(enum checksum_kind kind);  /* "CRC32C"; NULL for none and MD5 */
/* By S3's name, any case; CHECKSUM_NONE for any other. */
enum checksum_kind checksum_find(const char *name, size_t len);
/* The CRC of A followed by B, from theirs and B's length. Only the three CRCs. */
void checksum_combine(enum checksum_kind kind, uint8_t a[8], const uint8_t b[8], uint64_t b_bytes);

#endif
