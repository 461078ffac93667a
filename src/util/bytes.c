/* SPDX-License-Identifier: GPL-3.0-or-later
 * Byte buffer and packed values; see bytes.h. */
#include "util/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bytes_done(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

void bytes_clear(struct bytes *b)
{
    b->len = 0;
}

static bool bytes_reserve(struct bytes *b, size_t more)
{
    size_t need;
    if (b->failed || __builtin_add_overflow(b->len, more, &need)) {
        b->failed = true;
        return false;
    }
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap * 2 : 64;
    if (cap < need)
        cap = need;
    uint8_t *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void bytes_put(struct bytes *b, const void *src, size_t len)
{
    if (!len || !bytes_reserve(b, len))
        return;
    memcpy(b->data + b->len, src, len);
    b->len += len;
}

void bytes_put_u8(struct bytes *b, uint8_t v)
{
    bytes_put(b, &v, 1);
}

void bytes_put_u32(struct bytes *b, uint32_t v)
{
    uint32_t be = __builtin_bswap32(v);
    bytes_put(b, &be, sizeof be);
}

void bytes_put_u64(struct bytes *b, uint64_t v)
{
    uint64_t be = __builtin_bswap64(v);
    bytes_put(b, &be, sizeof be);
}

void bytes_put_varint(struct bytes *b, uint64_t v)
{
    uint8_t out[10];
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    bytes_put(b, out, n);
}

void bytes_put_blob(struct bytes *b, const void *src, size_t len)
{
    bytes_put_varint(b, len);
    bytes_put(b, src, len);
}

void bytes_printf(struct bytes *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0 || !bytes_reserve(b, (size_t)len + 1)) {
        b->failed = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)len;
}

char *bytes_text(struct bytes *b)
{
    if (!bytes_reserve(b, 1))
        return NULL;
    b->data[b->len] = 0;
    return (char *)b->data;
}

struct reader reader_over(const void *src, size_t len)
{
    const uint8_t *at = src;
    return (struct reader){.at = at, .end = len ? at + len : at};
}

const uint8_t *reader_take(struct reader *r, size_t len)
{
    if (r->failed || (size_t)(r->end - r->at) < len) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += len;
    return p;
}

uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_take(r, 1);
    return p ? *p : 0;
}

uint16_t reader_u16(struct reader *r)
{
    const uint8_t *p = reader_take(r, 2);
    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

uint32_t reader_u32(struct reader *r)
{
    const uint8_t *p = reader_take(r, 4);
    uint32_t be;
    if (!p)
        return 0;
    memcpy(&be, p, 4);
    return __builtin_bswap32(be);
}

uint64_t reader_u64(struct reader *r)
{
    const uint8_t *p = reader_take(r, 8);
    uint64_t be;
    if (!p)
        return 0;
    memcpy(&be, p, 8);
    return __builtin_bswap64(be);
}

uint64_t reader_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = reader_u8(r);
        if (r->failed)
            return 0;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    r->failed = true;
    return 0;
}

uint32_t reader_varint32(struct reader *r)
{
    uint64_t v = reader_varint(r);
    r->failed |= v > UINT32_MAX;
    return (uint32_t)v;
}

const uint8_t *reader_blob(struct reader *r, size_t *ret_len)
{
    uint64_t len = reader_varint(r);
    if (r->failed || len > (uint64_t)(r->end - r->at)) {
        r->failed = true;
        *ret_len = 0;
        return NULL;
    }
    *ret_len = (size_t)len;
    return reader_take(r, (size_t)len);
}

void reader_text(struct reader *r, char *out, size_t cap)
{
    size_t len;
    const uint8_t *p = reader_blob(r, &len);
    if (!p || len >= cap || memchr(p, 0, len)) {
        r->failed = true;
        return;
    }
    memcpy(out, p, len);
    out[len] = '\0';
}

bool reader_finished(const struct reader *r)
{
    return !r->failed && r->at == r->end;
}
