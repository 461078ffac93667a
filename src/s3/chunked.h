/* SPDX-License-Identifier: GPL-3.0-or-later
 * The aws-chunked body (s3-api.md §2.1, auth.md §2.4-2.6): sizes, chunk signatures, the trailer. A machine fed byte ranges as they
 * come; pure but for the callback that takes the data. */
#ifndef HOLDFS_S3_CHUNKED_H
#define HOLDFS_S3_CHUNKED_H

#include "s3/sigv4.h"
#include "util/checksum.h"

enum chunked_form {
    CHUNKED_SIGNED = 1,  /* each chunk has a signature */
    CHUNKED_TRAILER = 2, /* a trailer follows */
};

typedef int chunked_data_fn(void *arg, const void *data, size_t len);

struct chunked {
    unsigned form;
    uint64_t decoded_bytes; /* announced */
    char trailer_name[40];  /* announced, lower case; "" none */
    const struct sigv4_scope *scope; /* signed: with key and seed */
    uint8_t key[SIGV4_KEY_BYTES];
    char signature[SIGV4_HEX_CHARS + 1]; /* of what came last; at first the seed */
    char trailer_value[128];             /* out */

    int state;
    char line[1025];
    size_t line_len;
    uint64_t left, seen, chunk_bytes;
    unsigned chunk; /* from 1 */
    bool short_chunk; /* one under 8192 bytes came: it must be the last with data */
    uint64_t short_bytes;
    unsigned short_number;
    char wanted[SIGV4_HEX_CHARS + 1]; /* of the chunk that runs */
    struct checksum hash;
    struct bytes trailer; /* "name:value\n" of the line that was read */
    bool have_trailer, have_trailer_signature;
};
/* After form, decoded_bytes, trailer_name and, if signed, scope, key, signature are set. */
int chunked_begin(struct chunked *c);
/* 0, the callback's error, or -EINVAL/-EACCES with the S3 code in the reason. */
int chunked_feed(struct chunked *c, const void *bytes, size_t len, chunked_data_fn *fn, void *arg, struct reason *reason);
int chunked_end(struct chunked *c, struct reason *reason); /* the body is over: was it whole? */
void chunked_done(struct chunked *c);

#endif
