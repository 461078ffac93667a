/* SPDX-License-Identifier: GPL-3.0-or-later
 * Pax tar streams (pax.h). */
#include "engine/pax.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 512, BUFFER_BYTES = 256 << 10, EXTENDED_MAX_BYTES = 8 << 20 };

/* Offsets in a header block (POSIX.1-2001, ustar). */
enum {
    AT_NAME = 0,
    AT_MODE = 100,
    AT_UID = 108,
    AT_GID = 116,
    AT_SIZE = 124,
    AT_MTIME = 136,
    AT_CHECKSUM = 148,
    AT_TYPE = 156,
    AT_LINK = 157,
    AT_MAGIC = 257,
    AT_MAJOR = 329,
    AT_MINOR = 337,
    AT_PREFIX = 345,
};

/* ---- writing ---- */

int pax_writer_init(struct pax_writer *w, int fd)
{
    *w = (struct pax_writer){.fd = fd, .buf = malloc(BUFFER_BYTES)};
    return w->buf ? 0 : -ENOMEM;
}

void pax_writer_done(struct pax_writer *w)
{
    bytes_done(&w->extended);
    free(w->buf);
    w->buf = NULL;
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int writer_flush(struct pax_writer *w)
{
    int r = write_all(w->fd, w->buf, w->len);
    w->len = 0;
    return r;
}

static int writer_put(struct pax_writer *w, const void *data, size_t len)
{
    const uint8_t *p = data;
    w->bytes += len;
    while (len) {
        size_t n = len < BUFFER_BYTES - w->len ? len : BUFFER_BYTES - w->len;
        memcpy(w->buf + w->len, p, n);
        w->len += n;
        p += n;
        len -= n;
        int r = w->len == BUFFER_BYTES ? writer_flush(w) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int writer_pad(struct pax_writer *w, unsigned n)
{
    static const uint8_t zeros[BLOCK];
    return writer_put(w, zeros, n);
}

void pax_put(struct pax_writer *w, const char *keyword, const void *value, size_t len)
{
    /* "LENGTH KEYWORD=VALUE\n", where the length counts its own digits. */
    size_t rest = strlen(keyword) + len + 3, total = rest + 1;
    for (size_t digits = 1, limit = 10; total >= limit; limit *= 10)
        total = rest + ++digits;
    bytes_printf(&w->extended, "%zu %s=", total, keyword);
    bytes_put(&w->extended, value, len);
    bytes_put_u8(&w->extended, '\n');
}

void pax_printf(struct pax_writer *w, const char *keyword, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pax_put(w, keyword, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

static void put_octal(uint8_t *header, size_t at, size_t width, uint64_t value)
{
    char text[24];
    uint64_t max = (UINT64_C(1) << (3 * (width - 1))) - 1;
    snprintf(text, sizeof text, "%0*llo", (int)width - 1, (unsigned long long)(value < max ? value : max));
    memcpy(header + at, text, width - 1);
}

static void header_checksum(uint8_t header[BLOCK])
{
    memset(header + AT_CHECKSUM, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += header[i];
    char text[16];
    snprintf(text, sizeof text, "%06o", sum & 0777777);
    memcpy(header + AT_CHECKSUM, text, 7); /* six digits, a zero; the last stays a space */
}

static void header_begin(uint8_t header[BLOCK], const char *name, size_t name_len, char type, uint64_t size)
{
    memset(header, 0, BLOCK);
    memcpy(header + AT_NAME, name, name_len < 100 ? name_len : 100);
    put_octal(header, AT_MODE, 8, 0644);
    put_octal(header, AT_UID, 8, 0);
    put_octal(header, AT_GID, 8, 0);
    put_octal(header, AT_SIZE, 12, size);
    put_octal(header, AT_MTIME, 12, 0);
    header[AT_TYPE] = (uint8_t)type;
    memcpy(header + AT_MAGIC, "ustar\00000", 8);
}

static int put_extended(struct pax_writer *w, char type)
{
    if (w->extended.failed)
        return -ENOMEM;
    if (!w->extended.len)
        return 0;
    uint8_t header[BLOCK];
    const char *name = type == 'g' ? "holdfs/global" : "holdfs/version";
    header_begin(header, name, strlen(name), type, w->extended.len);
    header_checksum(header);
    int r = writer_put(w, header, BLOCK);
    if (r == 0)
        r = writer_put(w, w->extended.data, w->extended.len);
    if (r == 0)
        r = writer_pad(w, (unsigned)((BLOCK - w->extended.len % BLOCK) % BLOCK));
    bytes_clear(&w->extended);
    return r;
}

int pax_global(struct pax_writer *w)
{
    return put_extended(w, 'g');
}

int pax_begin(struct pax_writer *w, const struct pax_entry *e)
{
    pax_put(w, "path", e->path, e->path_len);
    if (e->link_len)
        pax_put(w, "linkpath", e->link, e->link_len);
    if (e->size_bytes >> 33)
        pax_printf(w, "size", "%llu", (unsigned long long)e->size_bytes);
    pax_printf(w, "mtime", "%lld.%09u", (long long)e->mtime.sec, e->mtime.nsec);
    if (e->uid >> 21)
        pax_printf(w, "uid", "%u", e->uid);
    if (e->gid >> 21)
        pax_printf(w, "gid", "%u", e->gid);
    int r = put_extended(w, 'x');
    if (r < 0)
        return r;
    uint8_t header[BLOCK];
    header_begin(header, (const char *)e->path, e->path_len, e->type, e->size_bytes);
    put_octal(header, AT_MODE, 8, e->mode & 07777);
    put_octal(header, AT_UID, 8, e->uid);
    put_octal(header, AT_GID, 8, e->gid);
    put_octal(header, AT_MTIME, 12, e->mtime.sec > 0 ? (uint64_t)e->mtime.sec : 0);
    memcpy(header + AT_LINK, e->link_len ? (const char *)e->link : "", e->link_len < 100 ? e->link_len : 100);
    put_octal(header, AT_MAJOR, 8, e->rdev_major);
    put_octal(header, AT_MINOR, 8, e->rdev_minor);
    header_checksum(header);
    w->data_left = e->size_bytes;
    w->padding = (unsigned)((BLOCK - e->size_bytes % BLOCK) % BLOCK);
    return writer_put(w, header, BLOCK);
}

int pax_data(struct pax_writer *w, const void *data, size_t len)
{
    if (len > w->data_left)
        return -EIO;
    int r = writer_put(w, data, len);
    w->data_left -= len;
    if (r == 0 && !w->data_left) {
        r = writer_pad(w, w->padding);
        w->padding = 0;
    }
    return r;
}

int pax_finish(struct pax_writer *w)
{
    int r = writer_pad(w, BLOCK);
    if (r == 0)
        r = writer_pad(w, BLOCK);
    return r == 0 ? writer_flush(w) : r;
}

/* ---- reading ---- */

void pax_reader_init(struct pax_reader *r, int fd, struct reason *reason)
{
    *r = (struct pax_reader){.fd = fd, .reason = reason};
}

void pax_reader_done(struct pax_reader *r)
{
    bytes_done(&r->global);
    bytes_done(&r->extended);
}

void pax_found_done(struct pax_found *f)
{
    bytes_done(&f->path);
    bytes_done(&f->link);
}

static int read_all(struct pax_reader *r, void *buf, size_t len)
{
    uint8_t *p = buf;
    while (len) {
        ssize_t n = read(r->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return reason_fail(r->reason, EINVAL, "the stream is cut short after %llu bytes",
                               (unsigned long long)r->bytes);
        p += n;
        len -= (size_t)n;
        r->bytes += (uint64_t)n;
    }
    return 0;
}

int pax_read(struct pax_reader *r, void *buf, size_t len)
{
    if (len > r->data_left)
        return -EINVAL;
    int e = read_all(r, buf, len);
    if (e == 0)
        r->data_left -= len;
    return e;
}

static int skip(struct pax_reader *r, uint64_t len)
{
    uint8_t buf[4096];
    int e = 0;
    while (e == 0 && len) {
        size_t n = len < sizeof buf ? (size_t)len : sizeof buf;
        e = read_all(r, buf, n);
        len -= n;
    }
    return e;
}

static int bad(struct pax_reader *r, const char *what)
{
    return reason_fail(r->reason, EINVAL, "this is no stream of holdfs export: %s near byte %llu", what,
                       (unsigned long long)r->bytes);
}

static bool octal(const uint8_t *p, size_t width, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    while (i < width && p[i] == ' ')
        i++;
    for (; i < width && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(p[i] - '0');
    *ret = v;
    return i == width || p[i] == 0 || p[i] == ' ';
}

static bool header_valid(const uint8_t header[BLOCK])
{
    uint64_t want;
    unsigned sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= AT_CHECKSUM && i < AT_CHECKSUM + 8 ? ' ' : header[i];
    return octal(header + AT_CHECKSUM, 8, &want) && want == sum && !memcmp(header + AT_MAGIC, "ustar", 5);
}

static const uint8_t *find_keyword(const struct bytes *list, const char *keyword, size_t *ret_len)
{
    struct reader r = reader_over(list->data, list->len);
    const uint8_t *found = NULL;
    while (r.at < r.end && !r.failed) {
        size_t name_len, len;
        const uint8_t *name = reader_blob(&r, &name_len);
        const uint8_t *value = reader_blob(&r, &len);
        if (value && name_len == strlen(keyword) && !memcmp(name, keyword, name_len)) {
            found = value; /* the last one counts */
            *ret_len = len;
        }
    }
    return found;
}

const uint8_t *pax_get(const struct pax_reader *r, const char *keyword, size_t *ret_len)
{
    const uint8_t *p = find_keyword(&r->extended, keyword, ret_len);
    return p ? p : find_keyword(&r->global, keyword, ret_len);
}

int pax_get_number(const struct pax_reader *r, const char *keyword, int64_t otherwise, int64_t *ret)
{
    size_t len;
    const uint8_t *p = pax_get(r, keyword, &len);
    char text[24], *end;
    if (!p) {
        *ret = otherwise;
        return 0;
    }
    if (!len || len >= sizeof text)
        return -EINVAL;
    memcpy(text, p, len);
    text[len] = 0;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return errno || *end ? -EINVAL : 0;
}

/* "LENGTH KEYWORD=VALUE\n"* into (blob keyword, blob value)*. */
static int parse_records(struct pax_reader *r, const uint8_t *p, size_t len, struct bytes *out)
{
    while (len) {
        size_t total = 0, at = 0;
        while (at < len && p[at] >= '0' && p[at] <= '9' && total <= EXTENDED_MAX_BYTES)
            total = total * 10 + (size_t)(p[at++] - '0');
        if (!at || at >= len || p[at] != ' ' || total > len || total < at + 3 || p[total - 1] != '\n')
            return bad(r, "an extended header is malformed");
        const uint8_t *equals = memchr(p + at, '=', total - at);
        if (!equals)
            return bad(r, "an extended header is malformed");
        bytes_put_blob(out, p + at + 1, (size_t)(equals - p) - at - 1);
        bytes_put_blob(out, equals + 1, total - 1 - (size_t)(equals + 1 - p));
        p += total;
        len -= total;
    }
    return out->failed ? -ENOMEM : 0;
}

static int read_records(struct pax_reader *r, uint64_t size, struct bytes *out)
{
    if (size > EXTENDED_MAX_BYTES)
        return bad(r, "an extended header is too long");
    uint8_t *buf = malloc(size + 1);
    if (!buf)
        return -ENOMEM;
    int e = read_all(r, buf, size);
    if (e == 0)
        e = skip(r, (BLOCK - size % BLOCK) % BLOCK);
    if (e == 0)
        e = parse_records(r, buf, size, out);
    free(buf);
    return e;
}

static int found_fill(struct pax_reader *r, const uint8_t header[BLOCK], uint64_t size, struct pax_found *ret)
{
    size_t len;
    int64_t number;
    *ret = (struct pax_found){.type = (char)header[AT_TYPE]};
    if (pax_get_number(r, "size", (int64_t)size, &number) < 0 || number < 0)
        return bad(r, "a size is no number");
    ret->size_bytes = (uint64_t)number;
    const uint8_t *p = pax_get(r, "path", &len);
    bytes_put(&ret->path, p ? p : header + AT_NAME, p ? len : strnlen((const char *)header, 100));
    p = pax_get(r, "linkpath", &len);
    bytes_put(&ret->link, p ? p : header + AT_LINK, p ? len : strnlen((const char *)header + AT_LINK, 100));
    r->data_left = ret->size_bytes;
    r->padding = (unsigned)((BLOCK - ret->size_bytes % BLOCK) % BLOCK);
    if (!ret->path.failed && !ret->link.failed)
        return 1;
    pax_found_done(ret);
    return -ENOMEM;
}

int pax_next(struct pax_reader *r, struct pax_found *ret)
{
    int e = skip(r, r->data_left + r->padding);
    r->data_left = 0;
    r->padding = 0;
    bytes_clear(&r->extended);
    while (e == 0) {
        uint8_t header[BLOCK];
        static const uint8_t zeros[BLOCK];
        uint64_t size;
        e = read_all(r, header, BLOCK);
        if (e < 0 || !memcmp(header, zeros, BLOCK))
            return e;
        if (!header_valid(header) || !octal(header + AT_SIZE, 12, &size))
            return bad(r, "no tar header");
        if (header[AT_TYPE] == 'g')
            e = read_records(r, size, &r->global);
        else if (header[AT_TYPE] == 'x')
            e = read_records(r, size, &r->extended);
        else
            return found_fill(r, header, size, ret);
    }
    return e;
}
