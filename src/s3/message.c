/* SPDX-License-Identifier: GPL-3.0-or-later
 * Requests taken apart; see message.h. */
#include "s3/message.h"
#include "util/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void pairs_done(struct pairs *p)
{
    for (size_t n = 0; n < p->count; n++) {
        free(p->v[n].name);
        free(p->v[n].value);
    }
    free(p->v);
    *p = (struct pairs){0};
}

void pairs_add(struct pairs *p, const char *name, size_t name_len, const char *value, size_t value_len)
{
    if (p->count == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        struct pair *grown = realloc(p->v, cap * sizeof *grown);
        if (!grown) {
            p->failed = true;
            return;
        }
        p->v = grown;
        p->cap = cap;
    }
    struct pair one = {strndup(name, name_len), strndup(value, value_len)};
    if (!one.name || !one.value) {
        free(one.name);
        free(one.value);
        p->failed = true;
        return;
    }
    p->v[p->count++] = one;
}

const char *pairs_get(const struct pairs *p, const char *name)
{
    for (size_t n = 0; n < p->count; n++) {
        if (strcmp(p->v[n].name, name) == 0)
            return p->v[n].value;
    }
    return NULL;
}

/* ---- percent-encoding ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int uri_decode(const char *text, size_t len, bool plus_is_space, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -EINVAL;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (!c)
            return -EINVAL;
        out[n++] = c;
    }
    out[n] = '\0';
    return utf8_valid(out, n) ? (int)n : -EINVAL;
}

void uri_encode(struct bytes *out, const char *text, size_t len, const char *keep)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
                     c == '~' || (c && strchr(keep, c));
        if (plain)
            bytes_put_u8(out, c);
        else
            bytes_printf(out, "%%%02X", c);
    }
}

/* ---- headers ---- */

void message_done(struct message *m)
{
    pairs_done(&m->headers);
    pairs_done(&m->query);
    free(m->target);
    free(m->path);
    *m = (struct message){0};
}

void message_header(struct message *m, const char *name, const char *value)
{
    size_t name_len = strlen(name), len = strlen(value);
    m->header_bytes += name_len + len + 4;
    while (len && (*value == ' ' || *value == '\t')) {
        value++;
        len--;
    }
    while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    pairs_add(&m->headers, name, name_len, value, len);
    if (m->headers.failed)
        return;
    for (char *c = m->headers.v[m->headers.count - 1].name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

const char *message_get(const struct message *m, const char *name)
{
    return pairs_get(&m->headers, name);
}

size_t message_count(const struct message *m, const char *name)
{
    size_t count = 0;
    for (size_t n = 0; n < m->headers.count; n++)
        count += strcmp(m->headers.v[n].name, name) == 0;
    return count;
}

const char *message_query(const struct message *m, const char *name)
{
    return pairs_get(&m->query, name);
}

/* ---- the target ---- */

static int read_query(struct message *m, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "&"), name_len = strcspn(text, "=&");
        if (len) {
            char *name = malloc(name_len + 1), *value = malloc(len + 1);
            int n = -ENOMEM, v = -ENOMEM;
            if (name && value) {
                n = uri_decode(text, name_len, true, name);
                v = name_len < len ? uri_decode(text + name_len + 1, len - name_len - 1, true, value) : (*value = '\0');
            }
            if (n >= 0 && v >= 0)
                pairs_add(&m->query, name, (size_t)n, value, (size_t)v);
            free(name);
            free(value);
            if (n < 0 || v < 0)
                return n < 0 ? n : v;
        }
        text += len + (text[len] == '&');
    }
    return m->query.failed ? -ENOMEM : 0;
}

static void read_host(struct message *m)
{
    const char *host = message_get(m, "host");
    if (!host)
        return;
    size_t len = strlen(host);
    if (host[0] == '[') /* an IPv6 address */
        len = strcspn(host, "]") + 1;
    else if (strrchr(host, ':'))
        len = (size_t)(strrchr(host, ':') - host);
    if (len && host[len - 1] == '.')
        len--;
    if (len >= sizeof m->host)
        return;
    for (size_t n = 0; n < len && host[n]; n++)
        m->host[n] = (char)tolower((unsigned char)host[n]);
}

/* X of the Host X.D, where D is one of our domains. */
static bool read_virtual_host(struct message *m, const char *const *domains, size_t count)
{
    size_t len = strlen(m->host);
    for (size_t n = 0; n < count; n++) {
        size_t domain = strlen(domains[n]);
        if (len <= domain + 1 || strcasecmp(m->host + len - domain, domains[n]) != 0 || m->host[len - domain - 1] != '.')
            continue;
        memcpy(m->bucket, m->host, len - domain - 1);
        m->bucket[len - domain - 1] = '\0';
        return true;
    }
    return false;
}

static int invalid(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "InvalidURI", "Couldn't parse the specified URI.");
}

static void read_path_style(struct message *m)
{
    const char *at = m->path + (m->path_len > 0);
    size_t left = m->path_len - (m->path_len > 0);
    const char *slash = memchr(at, '/', left);
    size_t len = slash ? (size_t)(slash - at) : left;
    if (len < sizeof m->bucket)
        memcpy(m->bucket, at, len);
    else
        memcpy(m->bucket, at, sizeof m->bucket - 1); /* longer than any name: refused as one */
    m->key = slash ? slash + 1 : m->path + m->path_len;
    m->key_len = (size_t)(m->path + m->path_len - m->key);
}

int message_read(struct message *m, const char *const *domains, size_t domain_count, struct reason *reason)
{
    const char *at = m->target;
    if (strncasecmp(at, "http://", 7) == 0 || strncasecmp(at, "https://", 8) == 0) {
        at = strstr(at, "://") + 3;
        at += strcspn(at, "/?");
    }
    m->raw_path = at;
    m->raw_path_len = strcspn(at, "?");
    if (m->raw_path_len && *at != '/')
        return invalid(reason);
    m->path = malloc(m->raw_path_len + 1);
    int n = m->path ? uri_decode(at, m->raw_path_len, false, m->path) : -ENOMEM;
    if (n < 0)
        return n == -EINVAL ? invalid(reason) : n;
    m->path_len = (size_t)n;
    int r = at[m->raw_path_len] ? read_query(m, at + m->raw_path_len + 1) : 0;
    if (r < 0)
        return r == -EINVAL ? invalid(reason) : r;
    read_host(m);
    m->virtual_host = read_virtual_host(m, domains, domain_count);
    if (m->virtual_host) {
        m->key = m->path + (m->path_len > 0);
        m->key_len = m->path_len - (m->path_len > 0);
    } else {
        read_path_style(m);
    }
    return 0;
}
