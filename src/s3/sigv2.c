/* SPDX-License-Identifier: GPL-3.0-or-later
 * Signature Version 2; see sigv2.h. */
#include "s3/sigv2.h"
#include "util/text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

static const char *const signed_parameters[] = {
    "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location", "logging", "metrics",
    "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment", "response-cache-control",
    "response-content-disposition", "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
    "restore", "select", "select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions",
    "website",
};
enum { SIGNED_PARAMETERS = sizeof signed_parameters / sizeof *signed_parameters };

bool sigv2_covers(const char *subresource)
{
    for (size_t n = 0; n < SIGNED_PARAMETERS; n++) {
        if (strcmp(signed_parameters[n], subresource) == 0)
            return true;
    }
    return false;
}

static int text_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- headers ---- */

static void put_values(const struct message *m, const char *name, struct bytes *out)
{
    bool first = true;
    bytes_printf(out, "%s:", name);
    for (size_t n = 0; n < m->headers.count; n++) {
        if (strcmp(m->headers.v[n].name, name) != 0)
            continue;
        bytes_printf(out, "%s%s", first ? "" : ",", m->headers.v[n].value);
        first = false;
    }
    bytes_put_u8(out, '\n');
}

static void put_headers(const struct message *m, struct bytes *out)
{
    char **names = calloc(m->headers.count + 1, sizeof *names);
    size_t count = 0;
    out->failed |= !names;
    for (size_t n = 0; names && n < m->headers.count; n++) {
        if (strncmp(m->headers.v[n].name, "x-amz-", 6) == 0)
            names[count++] = m->headers.v[n].name;
    }
    if (count)
        qsort(names, count, sizeof *names, text_order);
    for (size_t n = 0; n < count; n++) {
        if (!n || strcmp(names[n], names[n - 1]) != 0)
            put_values(m, names[n], out);
    }
    free(names);
}

/* ---- the resource ---- */

/* One piece of the raw query as NAME or NAME=VALUE, decoded, where + stays; NULL where it is not signed, or cannot be read. */
static char *signed_piece(const char *text, size_t len)
{
    size_t name_len = strcspn(text, "=&");
    char *out = malloc(len + 2);
    if (!out)
        return NULL;
    name_len = name_len < len ? name_len : len;
    int n = uri_decode(text, name_len, false, out);
    if (n < 0 || !sigv2_covers(out)) {
        free(out);
        return NULL;
    }
    if (name_len + 1 < len) {
        out[n] = '=';
        if (uri_decode(text + name_len + 1, len - name_len - 1, false, out + n + 1) < 0) {
            free(out);
            return NULL;
        }
    }
    return out;
}

static void put_query(const struct message *m, struct bytes *out)
{
    const char *at = m->raw_path + m->raw_path_len;
    char *pieces[64];
    size_t count = 0;
    at += *at == '?';
    while (*at && count < sizeof pieces / sizeof *pieces) {
        size_t len = strcspn(at, "&");
        char *piece = len ? signed_piece(at, len) : NULL;
        if (piece)
            pieces[count++] = piece;
        at += len + (at[len] == '&');
    }
    if (count)
        qsort(pieces, count, sizeof *pieces, text_order);
    for (size_t n = 0; n < count; n++) {
        bytes_printf(out, "%c%s", n ? '&' : '?', pieces[n]);
        free(pieces[n]);
    }
}

void sigv2_string_to_sign(const struct message *m, const char *expires, struct bytes *out)
{
    const char *md5 = message_get(m, "content-md5"), *type = message_get(m, "content-type");
    bytes_printf(out, "%s\n%s\n%s\n%s\n", m->method, md5 ? md5 : "", type ? type : "", expires);
    put_headers(m, out);
    if (m->virtual_host)
        bytes_printf(out, "/%s", m->bucket);
    if (m->raw_path_len)
        bytes_put(out, m->raw_path, m->raw_path_len);
    else
        bytes_put_u8(out, '/');
    put_query(m, out);
}

void sigv2_sign(const uint8_t *secret, size_t secret_len, const void *text, size_t len, char out[SIGV2_CHARS + 1])
{
    uint8_t mac[20];
    HMAC(EVP_sha1(), secret, (int)secret_len, text, len, mac, NULL);
    base64_format(mac, sizeof mac, out);
}
