/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzz target: aws-chunked bodies. The first byte picks the form and the size of the pieces, the second the announced length; the rest is the
 * body. However it is cut, the same is decoded and the same is said; never more comes out than was announced. */
#include "s3/chunked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static int gather(void *arg, const void *data, size_t len)
{
    bytes_put(arg, data, len);
    return 0;
}

static int decode(const uint8_t *body, size_t size, unsigned form, uint64_t announced, size_t piece, struct bytes *got, struct reason *reason)
{
    static const struct sigv4_scope scope = {.date = "20130524", .timestamp = "20130524T000000Z", .region = "us-east-1", .service = "s3"};
    struct chunked c = {.form = form, .decoded_bytes = announced, .scope = &scope};
    if (form & CHUNKED_TRAILER)
        memcpy(c.trailer_name, "x-amz-checksum-crc32", 21);
    int r = chunked_begin(&c);
    for (size_t at = 0; r == 0 && at < size; at += piece)
        r = chunked_feed(&c, body + at, piece < size - at ? piece : size - at, gather, got, reason);
    if (r == 0)
        r = chunked_end(&c, reason);
    chunked_done(&c);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unsigned form = data[0] & 3;
    struct bytes whole = {0}, pieces = {0};
    struct reason a = {0}, b = {0};
    int r = decode(data + 2, size - 2, form, data[1], size, &whole, &a);
    int again = decode(data + 2, size - 2, form, data[1], 1 + (data[0] >> 2), &pieces, &b);
    must(whole.len <= data[1] && pieces.len <= data[1]);
    must(r == again && strcmp(a.code, b.code) == 0);
    if (r == 0)
        must(whole.len == data[1] && pieces.len == whole.len && (!whole.len || memcmp(whole.data, pieces.data, whole.len) == 0));
    else
        must(r == -ENOMEM || a.code[0]);
    bytes_done(&whole);
    bytes_done(&pieces);
    return 0;
}
