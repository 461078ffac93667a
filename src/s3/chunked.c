/* SPDX-License-Identifier: GPL-3.0-or-later
 * Decoding aws-chunked; see chunked.h. */
#include "s3/chunked.h"
#include "util/secret.h"
#include "util/text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

enum { CHUNK_MIN_BYTES = 8192, TRAILER_BYTES = 4096 };
enum state { STATE_SIZE, STATE_DATA, STATE_DATA_END, STATE_TRAILER, STATE_END };

static int incomplete(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "IncompleteBody", "The request body terminated unexpectedly");
}

static int bad_trailer(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "MalformedTrailerError",
                          "The request contained trailing data that was not well-formed or did not conform to our published schema.");
}

static int bad_signature(struct reason *reason)
{
    return reason_fail_s3(reason, EACCES, "SignatureDoesNotMatch",
                          "The request signature we calculated does not match the signature you provided. Check your key and signing method.");
}

int chunked_begin(struct chunked *c)
{
    c->state = STATE_SIZE;
    return checksum_begin(&c->hash, c->form & CHUNKED_SIGNED ? CHECKSUM_SHA256 : CHECKSUM_NONE);
}

void chunked_done(struct chunked *c)
{
    checksum_done(&c->hash);
    bytes_done(&c->trailer);
    secret_wipe(c->key, sizeof c->key);
}

/* "HEX[;chunk-signature=64HEX]" */
static int read_size(struct chunked *c, struct reason *reason)
{
    uint64_t size = 0;
    size_t n = 0;
    for (; isxdigit((unsigned char)c->line[n]); n++) {
        if (size >> 56)
            return incomplete(reason);
        char digit = (char)(c->line[n] | 0x20);
        size = size << 4 | (uint64_t)(digit >= 'a' ? digit - 'a' + 10 : c->line[n] - '0');
    }
    static const char extension[] = ";chunk-signature=";
    const char *rest = c->line + n;
    if (!n)
        return incomplete(reason);
    c->wanted[0] = '\0';
    if (strncmp(rest, extension, sizeof extension - 1) == 0 && strlen(rest) == sizeof extension - 1 + SIGV4_HEX_CHARS)
        memcpy(c->wanted, rest + sizeof extension - 1, SIGV4_HEX_CHARS + 1);
    else if (c->form & CHUNKED_SIGNED)
        return incomplete(reason);
    c->left = c->chunk_bytes = size;
    c->chunk++;
    if (size && c->short_chunk)
        return reason_fail_s3(reason, EACCES, "InvalidChunkSizeError", "Only the last chunk is allowed to have a size less than 8192 bytes");
    if (size && size < CHUNK_MIN_BYTES) {
        c->short_chunk = c->form & CHUNKED_SIGNED;
        c->short_bytes = size;
        c->short_number = c->chunk;
    }
    if (c->seen + size < c->seen || c->seen + size > c->decoded_bytes)
        return incomplete(reason);
    return 0;
}

/* The chunk's data is over: does its signature hold? */
static int chunk_signed(struct chunked *c, struct reason *reason)
{
    if (!(c->form & CHUNKED_SIGNED))
        return 0;
    uint8_t digest[CHECKSUM_MAX_BYTES];
    char hash[SIGV4_HEX_CHARS + 1], signature[SIGV4_HEX_CHARS + 1];
    checksum_end(&c->hash, digest);
    checksum_done(&c->hash);
    hex_format(digest, 32, hash);
    sigv4_chunk(c->key, c->scope, c->signature, hash, signature);
    if (!secret_equal(signature, c->wanted, SIGV4_HEX_CHARS))
        return bad_signature(reason);
    memcpy(c->signature, signature, sizeof c->signature);
    return checksum_begin(&c->hash, CHECKSUM_SHA256);
}

static int line_size(struct chunked *c, struct reason *reason)
{
    int r = read_size(c, reason);
    if (r < 0)
        return r;
    if (c->left) {
        c->state = STATE_DATA;
        return 0;
    }
    r = chunk_signed(c, reason);
    c->state = STATE_TRAILER;
    return r;
}

static int trailer_signature(struct chunked *c, const char *value, struct reason *reason)
{
    char hash[SIGV4_HEX_CHARS + 1], signature[SIGV4_HEX_CHARS + 1];
    sigv4_sha256(c->trailer.data ? (const void *)c->trailer.data : "", c->trailer.len, hash);
    sigv4_trailer(c->key, c->scope, c->signature, hash, signature);
    if (strlen(value) != SIGV4_HEX_CHARS || !secret_equal(signature, value, SIGV4_HEX_CHARS))
        return bad_signature(reason);
    c->have_trailer_signature = true;
    return 0;
}

static int line_trailer(struct chunked *c, struct reason *reason)
{
    if (!c->line[0]) {
        c->state = STATE_END;
        return 0;
    }
    char *colon = strchr(c->line, ':');
    if (!colon || !(c->form & CHUNKED_TRAILER))
        return bad_trailer(reason);
    *colon = '\0';
    char *value = colon + 1;
    value += strspn(value, " \t");
    for (size_t n = strlen(value); n && strchr(" \t\n", value[n - 1]); n--)
        value[n - 1] = '\0';
    for (char *at = c->line; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    if (strcmp(c->line, "x-amz-trailer-signature") == 0)
        return c->form & CHUNKED_SIGNED ? trailer_signature(c, value, reason) : 0;
    if (strcmp(c->line, c->trailer_name) != 0 || c->have_trailer || strlen(value) >= sizeof c->trailer_value)
        return bad_trailer(reason);
    bytes_printf(&c->trailer, "%s:%s\n", c->line, value);
    memcpy(c->trailer_value, value, strlen(value) + 1);
    c->have_trailer = true;
    return c->trailer.failed ? -ENOMEM : 0;
}

static int line_done(struct chunked *c, struct reason *reason)
{
    c->line[c->line_len] = '\0';
    bool zero = memchr(c->line, 0, c->line_len) != NULL;
    c->line_len = 0;
    switch (c->state) {
    case STATE_SIZE:
        return zero ? incomplete(reason) : line_size(c, reason);
    case STATE_DATA_END:
        c->state = STATE_SIZE;
        return c->line[0] ? incomplete(reason) : 0;
    default:
        return zero ? bad_trailer(reason) : line_trailer(c, reason);
    }
}

static int take_data(struct chunked *c, const uint8_t **at, size_t *left, chunked_data_fn *fn, void *arg, struct reason *reason)
{
    size_t n = *left < c->left ? *left : (size_t)c->left;
    checksum_add(&c->hash, *at, n);
    int r = fn(arg, *at, n);
    if (r < 0)
        return r;
    *at += n;
    *left -= n;
    c->left -= n;
    c->seen += n;
    if (c->left)
        return 0;
    c->state = STATE_DATA_END;
    return chunk_signed(c, reason);
}

int chunked_feed(struct chunked *c, const void *bytes, size_t len, chunked_data_fn *fn, void *arg, struct reason *reason)
{
    const uint8_t *at = bytes;
    int r = 0;
    while (r == 0 && len) {
        if (c->state == STATE_END)
            return incomplete(reason);
        if (c->state == STATE_DATA) {
            r = take_data(c, &at, &len, fn, arg, reason);
            continue;
        }
        char byte = (char)*at++;
        len--;
        if (byte == '\n' && c->line_len && c->line[c->line_len - 1] == '\r') {
            c->line_len--;
            r = line_done(c, reason);
        } else if (c->line_len == sizeof c->line - 1) {
            return c->state == STATE_TRAILER ? bad_trailer(reason) : incomplete(reason);
        } else {
            c->line[c->line_len++] = byte;
        }
    }
    return r;
}

int chunked_end(struct chunked *c, struct reason *reason)
{
    /* The empty line behind the last chunk is left out by some clients that send no trailer. */
    bool over = c->state == STATE_END || (c->state == STATE_TRAILER && !c->line_len);
    if (c->seen != c->decoded_bytes || c->state < STATE_TRAILER)
        return incomplete(reason);
    if (!over)
        return c->form & CHUNKED_TRAILER ? bad_trailer(reason) : incomplete(reason);
    bool announced = (c->form & CHUNKED_TRAILER) && c->trailer_name[0];
    if (announced && !c->have_trailer)
        return bad_trailer(reason);
    if (announced && (c->form & CHUNKED_SIGNED) && !c->have_trailer_signature)
        return bad_signature(reason);
    return 0;
}
