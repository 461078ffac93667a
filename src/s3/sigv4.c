/* SPDX-License-Identifier: GPL-3.0-or-later
 * Signature Version 4; see sigv4.h. Nothing is normalised: path and query are decoded once and encoded once. */
#include "s3/sigv4.h"
#include "util/secret.h"
#include "util/text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void sigv4_sha256(const void *bytes, size_t len, char out[SIGV4_HEX_CHARS + 1])
{
    uint8_t digest[32];
    EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL);
    hex_format(digest, sizeof digest, out);
}

static void hmac(const void *key, size_t key_len, const void *text, size_t len, uint8_t out[32])
{
    HMAC(EVP_sha256(), key, (int)key_len, text, len, out, NULL);
}

/* ---- the canonical request ---- */

struct encoded {
    struct bytes name, value;
};

static int encoded_order(const void *a, const void *b)
{
    const struct encoded *x = a, *y = b;
    int d = strcmp((const char *)x->name.data, (const char *)y->name.data);
    return d ? d : strcmp((const char *)x->value.data, (const char *)y->value.data);
}

static void put_query(const struct message *m, bool query_form, struct bytes *out)
{
    struct encoded *list = calloc(m->query.count + 1, sizeof *list);
    size_t count = 0;
    out->failed |= !list;
    for (size_t n = 0; list && n < m->query.count; n++) {
        const struct pair *p = &m->query.v[n];
        if (query_form && strcasecmp(p->name, "X-Amz-Signature") == 0)
            continue;
        uri_encode(&list[count].name, p->name, strlen(p->name), "");
        uri_encode(&list[count].value, p->value, strlen(p->value), "");
        out->failed |= !bytes_text(&list[count].name) || !bytes_text(&list[count].value);
        count++;
    }
    if (!out->failed)
        qsort(list, count, sizeof *list, encoded_order);
    for (size_t n = 0; n < count; n++) {
        if (!out->failed)
            bytes_printf(out, "%s%s=%s", n ? "&" : "", list[n].name.data, list[n].value.data);
        bytes_done(&list[n].name);
        bytes_done(&list[n].value);
    }
    free(list);
}

/* Without outer spaces, runs of spaces made one. */
static void put_folded(struct bytes *out, const char *value)
{
    bool space = false;
    for (value += strspn(value, " "); *value; value++) {
        if (*value == ' ') {
            space = true;
            continue;
        }
        if (space)
            bytes_put_u8(out, ' ');
        space = false;
        bytes_put_u8(out, (uint8_t)*value);
    }
}

static void put_header(const struct message *m, const char *name, size_t len, struct bytes *out)
{
    bool first = true;
    for (size_t n = 0; n < len; n++)
        bytes_put_u8(out, (uint8_t)(name[n] >= 'A' && name[n] <= 'Z' ? name[n] | 0x20 : name[n]));
    bytes_put_u8(out, ':');
    for (size_t n = 0; n < m->headers.count; n++) {
        if (strlen(m->headers.v[n].name) != len || strncasecmp(m->headers.v[n].name, name, len) != 0)
            continue;
        if (!first)
            bytes_put_u8(out, ',');
        first = false;
        put_folded(out, m->headers.v[n].value);
    }
    bytes_put_u8(out, '\n');
}

void sigv4_canonical(const struct message *m, const char *signed_headers, bool query_form, const char *payload, struct bytes *out)
{
    bytes_printf(out, "%s\n", m->method);
    if (m->path_len)
        uri_encode(out, m->path, m->path_len, "/");
    else
        bytes_put_u8(out, '/');
    bytes_put_u8(out, '\n');
    put_query(m, query_form, out);
    bytes_put_u8(out, '\n');
    for (const char *at = signed_headers; *at;) {
        size_t len = strcspn(at, ";");
        put_header(m, at, len, out);
        at += len + (at[len] == ';');
    }
    bytes_printf(out, "\n%s\n%s", signed_headers, payload);
}

/* ---- signing ---- */

void sigv4_string_to_sign(const struct sigv4_scope *s, const struct bytes *canonical, struct bytes *out)
{
    char hash[SIGV4_HEX_CHARS + 1];
    sigv4_sha256(canonical->data, canonical->len, hash);
    bytes_printf(out, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", s->timestamp, s->date, s->region, s->service, hash);
}

void sigv4_key(const uint8_t *secret, size_t secret_len, const struct sigv4_scope *s, uint8_t out[SIGV4_KEY_BYTES])
{
    uint8_t start[4 + 256];
    size_t len = secret_len < sizeof start - 4 ? secret_len : sizeof start - 4;
    memcpy(start, "AWS4", 4);
    memcpy(start + 4, secret, len);
    uint8_t key[32];
    hmac(start, len + 4, s->date, strlen(s->date), key);
    hmac(key, 32, s->region, strlen(s->region), key);
    hmac(key, 32, s->service, strlen(s->service), key);
    hmac(key, 32, "aws4_request", 12, out);
    secret_wipe(start, sizeof start);
    secret_wipe(key, sizeof key);
}

void sigv4_sign(const uint8_t key[SIGV4_KEY_BYTES], const void *text, size_t len, char out[SIGV4_HEX_CHARS + 1])
{
    uint8_t mac[32];
    hmac(key, SIGV4_KEY_BYTES, text, len, mac);
    hex_format(mac, sizeof mac, out);
}

static void sign_piece(const uint8_t key[SIGV4_KEY_BYTES], const char *what, const struct sigv4_scope *s, const char *previous,
                       const char *between, const char *data_sha256, char out[SIGV4_HEX_CHARS + 1])
{
    struct bytes text = {0};
    bytes_printf(&text, "AWS4-HMAC-SHA256-%s\n%s\n%s/%s/%s/aws4_request\n%s\n%s%s", what, s->timestamp, s->date, s->region, s->service,
                 previous, between, data_sha256);
    sigv4_sign(key, text.data, text.len, out);
    bytes_done(&text);
}

void sigv4_chunk(const uint8_t key[SIGV4_KEY_BYTES], const struct sigv4_scope *s, const char *previous, const char *data_sha256,
                 char out[SIGV4_HEX_CHARS + 1])
{
    sign_piece(key, "PAYLOAD", s, previous, SIGV4_EMPTY_SHA256 "\n", data_sha256, out);
}

void sigv4_trailer(const uint8_t key[SIGV4_KEY_BYTES], const struct sigv4_scope *s, const char *previous, const char *data_sha256,
                   char out[SIGV4_HEX_CHARS + 1])
{
    sign_piece(key, "TRAILER", s, previous, "", data_sha256, out);
}
