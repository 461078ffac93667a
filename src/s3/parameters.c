/* SPDX-License-Identifier: GPL-3.0-or-later
 * What headers say of an object, coming and going: content headers, user metadata, tags, labels, locks, conditions
 * (s3-api.md §5, §11). */
#include "s3/request.h"
#include "util/limits.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>

enum { HEADER_VALUE_BYTES = 2048 };

static const char *const content_headers[] = {"cache-control", "content-disposition", "content-encoding", "content-language",
                                              "content-type", "expires"};
enum { CONTENT_HEADERS = sizeof content_headers / sizeof *content_headers };

void put_values_done(struct put_values *p)
{
    pairs_done(&p->texts);
    free(p->v);
    *p = (struct put_values){0};
}

static int add(struct put_values *p, char kind, const char *name, const char *value, size_t len)
{
    pairs_add(&p->texts, name, strlen(name), value, len);
    if (p->count == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        struct engine_value *grown = realloc(p->v, cap * sizeof *grown);
        p->texts.failed |= !grown;
        if (grown) {
            p->v = grown;
            p->cap = cap;
        }
    }
    if (p->texts.failed)
        return -ENOMEM;
    const struct pair *text = &p->texts.v[p->texts.count - 1];
    p->v[p->count++] = (struct engine_value){kind, text->name, strlen(text->name), text->value, len};
    return 0;
}

/* ---- content headers ---- */

/* Content-Encoding without the token aws-chunked, wherever it stands. */
static void without_chunked(const char *value, char out[HEADER_VALUE_BYTES + 1])
{
    size_t len = 0;
    out[0] = '\0';
    for (const char *at = value; *at;) {
        at += strspn(at, ", \t");
        size_t n = strcspn(at, ",");
        size_t trimmed = n;
        while (trimmed && (at[trimmed - 1] == ' ' || at[trimmed - 1] == '\t'))
            trimmed--;
        if (trimmed && !(trimmed == 11 && strncasecmp(at, "aws-chunked", 11) == 0)) {
            int w = snprintf(out + len, HEADER_VALUE_BYTES + 1 - len, "%s%.*s", len ? ", " : "", (int)trimmed, at);
            len += w > 0 ? (size_t)w : 0;
            if (len > HEADER_VALUE_BYTES)
                return;
        }
        at += n;
    }
}

static int read_content_headers(struct request *q, struct put_values *p)
{
    for (size_t n = 0; n < CONTENT_HEADERS; n++) {
        const char *value = message_get(&q->message, content_headers[n]);
        char encoding[HEADER_VALUE_BYTES + 1];
        if (value && strlen(value) > HEADER_VALUE_BYTES)
            return fail(q, "MetadataTooLarge", "%s holds at most %d bytes", content_headers[n], HEADER_VALUE_BYTES);
        if (value && strcmp(content_headers[n], "content-encoding") == 0) {
            if (strcasestr(value, "aws-chunked")) {
                without_chunked(value, encoding);
                value = encoding;
            }
        }
        int r = value && value[0] ? add(p, ENGINE_VALUE_HEADER, content_headers[n], value, strlen(value)) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- user metadata ---- */

static int hex_value(char c)
{
    const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The text of "Q" encoding; -1: malformed. */
static int decode_q(const char *text, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '=' && i + 2 < len && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
            out[n++] = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
            i += 2;
        } else if (text[i] == '=') {
            return -1;
        } else {
            out[n++] = text[i] == '_' ? ' ' : text[i];
        }
    }
    return (int)n;
}

/* One RFC 2047 word of UTF-8, decoded into out (as long as the value); the length, or -1 where it is none. */
static int decode_word(const char *value, size_t len, char *out)
{
    if (len < 12 || strncasecmp(value, "=?UTF-8?", 8) != 0 || value[9] != '?' || strcmp(value + len - 2, "?=") != 0)
        return -1;
    const char *text = value + 10;
    size_t text_len = len - 12, got;
    int n = -1;
    if (value[8] == 'Q' || value[8] == 'q')
        n = decode_q(text, text_len, out);
    else if ((value[8] == 'B' || value[8] == 'b') && base64_parse(text, text_len, (uint8_t *)out, len, &got) == 0)
        n = (int)got;
    return n >= 0 && !memchr(out, 0, (size_t)n) ? n : -1;
}

static int add_meta(struct put_values *p, const char *name, const char *value)
{
    size_t len = strlen(value);
    CLEANUP_FREE char *decoded = malloc(len + 1);
    if (!decoded)
        return -ENOMEM;
    int n = decode_word(value, len, decoded);
    return n < 0 ? add(p, ENGINE_VALUE_META, name, value, len) : add(p, ENGINE_VALUE_META, name, decoded, (size_t)n);
}

/* Repeated headers of one name, joined with commas. */
static int read_meta(struct request *q, struct put_values *p)
{
    const struct pairs *h = &q->message.headers;
    size_t total = 0;
    for (size_t n = 0; n < h->count; n++) {
        if (strncmp(h->v[n].name, "x-amz-meta-", 11) != 0 || !h->v[n].name[11])
            continue;
        bool again = false;
        for (size_t i = 0; i < n; i++)
            again |= strcmp(h->v[i].name, h->v[n].name) == 0;
        if (again)
            continue;
        struct bytes joined = {0};
        for (size_t i = n; i < h->count; i++) {
            if (strcmp(h->v[i].name, h->v[n].name) == 0)
                bytes_printf(&joined, "%s%s", i > n ? "," : "", h->v[i].value);
        }
        const char *text = bytes_text(&joined);
        int r = text ? add_meta(p, h->v[n].name + 11, text) : -ENOMEM;
        bytes_done(&joined);
        if (r < 0)
            return r;
        total += p->v[p->count - 1].name_len + p->v[p->count - 1].len;
    }
    if (total > LIMIT_USER_METADATA_BYTES)
        return fail(q, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size");
    return 0;
}

int read_object_headers(struct request *q, struct put_values *p)
{
    int r = read_content_headers(q, p);
    return r < 0 ? r : read_meta(q, p);
}

/* ---- labels, and what is not offered ---- */

static int read_storage_class(struct request *q, struct put_values *p)
{
    static const char *const classes[] = {"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"};
    const char *value = message_get(&q->message, "x-amz-storage-class");
    if (!value)
        return 0;
    for (size_t n = 0; n < sizeof classes / sizeof *classes; n++) {
        if (strcmp(classes[n], value) == 0)
            return n ? add(p, ENGINE_VALUE_HEADER, "storage-class", value, strlen(value)) : 0;
    }
    return fail(q, "InvalidStorageClass", "The storage class you specified is not valid");
}

static int read_redirect(struct request *q, struct put_values *p)
{
    const char *value = message_get(&q->message, "x-amz-website-redirect-location");
    if (!value)
        return 0;
    if ((value[0] != '/' && strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0) || strlen(value) > HEADER_VALUE_BYTES)
        return fail(q, "InvalidRedirectLocation", "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.");
    return add(p, ENGINE_VALUE_HEADER, "website-redirect-location", value, strlen(value));
}

/* ACLs are off, or kept as what they are when nothing is granted to others (s3-api.md §12). */
int judge_acl(struct request *q)
{
    const char *acl = message_get(&q->message, "x-amz-acl");
    enum engine_ownership ownership;
    bool grants = false;
    for (size_t n = 0; n < q->message.headers.count; n++)
        grants |= strncmp(q->message.headers.v[n].name, "x-amz-grant-", 12) == 0;
    if (!grants && (!acl || strcmp(acl, "bucket-owner-full-control") == 0))
        return 0;
    int r = engine_ownership_get(q->engine, NULL, q->bucket.number, &ownership);
    if (r < 0)
        return r;
    if (ownership == OWNERSHIP_ENFORCED)
        return fail(q, "AccessControlListNotSupported", "The bucket does not allow ACLs");
    if (grants && acl)
        return fail(q, "InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed");
    if (acl && strcmp(acl, "private") == 0)
        return 0;
    if (acl && strncmp(acl, "public-", 7) == 0 && q->bucket.blocks_public_acls)
        return fail(q, "AccessDenied", "Access Denied");
    return fail(q, "NotImplemented", "ACLs that grant anything to others are not offered: write a bucket policy");
}

static int judge_kms_transport(struct request *q)
{
    if (!q->tls)
        return fail(q, "InvalidArgument",
                    "Requests specifying Server Side Encryption with AWS KMS managed keys must be made over a secure connection.");
    if (q->signature.form == SIGNED_NOT || q->signature.form == SIGNED_QUERY_V2)
        return fail_argument(q, "Authorization", NULL, "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.");
    return 0;
}

/* What is not offered is refused rather than ignored. */
static int read_encryption(struct request *q)
{
    const struct message *m = &q->message;
    struct caller_sse *sse = &q->sse;
    *sse = (struct caller_sse){message_get(m, "x-amz-server-side-encryption"), message_get(m, "x-amz-server-side-encryption-aws-kms-key-id"),
                               message_get(m, "x-amz-server-side-encryption-bucket-key-enabled")};
    bool kms = sse->mode && strcmp(sse->mode, "aws:kms") == 0;
    if (message_get(m, "x-amz-server-side-encryption-customer-algorithm"))
        return q->tls ? fail(q, "NotImplemented", "customer keys (SSE-C) are not offered over S3: leave the header out, and the bucket's key encrypts")
                      : fail(q, "InvalidRequest", "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.");
    int r = kms ? judge_kms_transport(q) : 0;
    if (r < 0)
        return r;
    if (message_get(m, "x-amz-server-side-encryption-context"))
        return fail(q, "NotImplemented", "x-amz-server-side-encryption-context is not offered: leave it out");
    if (sse->mode && !kms && strcmp(sse->mode, "AES256") != 0)
        return strcmp(sse->mode, "aws:kms:dsse") == 0 ? fail(q, "NotImplemented", "aws:kms:dsse is not offered: aws:kms is")
                                                      : fail(q, "InvalidEncryptionAlgorithmError", "The encryption request you specified is not valid. Supported value: AES256.");
    if (sse->key && !kms)
        return fail_argument(q, "x-amz-server-side-encryption", sse->mode, "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms");
    if (sse->bucket_key && strcmp(sse->bucket_key, "true") != 0 && strcmp(sse->bucket_key, "false") != 0)
        return fail_argument(q, "x-amz-server-side-encryption-bucket-key-enabled", sse->bucket_key, "it is true or false");
    q->caller.sse = sse;
    return 0;
}

/* What an object is under; one under a KMS key is not read over plain HTTP. */
int judge_object_sse(struct request *q, const struct engine_object *o)
{
    return o->sse && strcmp(o->sse, "aws:kms") == 0 ? judge_kms_transport(q) : 0;
}

void answer_sse(struct request *q, const struct engine_object *o)
{
    if (!o->sse)
        return;
    answer_header(q, "x-amz-server-side-encryption", "%s", o->sse);
    if (o->sse_key[0])
        answer_header(q, "x-amz-server-side-encryption-aws-kms-key-id", "%s", o->sse_key);
    if (o->sse_bucket_key)
        answer_header(q, "x-amz-server-side-encryption-bucket-key-enabled", "true");
}

int read_object_labels(struct request *q, struct put_values *p)
{
    if (message_get(&q->message, "x-amz-write-offset-bytes")) {
        error_element(q, "Header", "x-amz-write-offset-bytes");
        return fail(q, "NotImplemented", "A header you provided implies functionality that is not implemented.");
    }
    int r = judge_acl(q);
    if (r == 0)
        r = read_encryption(q);
    if (r == 0)
        r = read_storage_class(q, p);
    return r < 0 ? r : read_redirect(q, p);
}

/* ---- tags ---- */

/* What a tag may hold is the engine's rule; that x-amz-tagging can be read at all, and no key comes twice, is the header's. */
int read_object_tags(struct request *q, struct put_values *p)
{
    const char *text = message_get(&q->message, "x-amz-tagging");
    if (!text)
        return 0;
    struct bytes packed = {0};
    int r = engine_tags_read(text, strlen(text), &packed, &q->caller.reason);
    struct engine_object tags = {.values = packed};
    struct engine_value v;
    for (size_t at = 0; r == 0 && engine_object_next(&tags, &at, &v);) {
        CLEANUP_FREE char *name = strndup(v.name, v.name_len);
        r = name ? add(p, ENGINE_VALUE_TAG, name, v.value, v.len) : -ENOMEM;
    }
    bytes_done(&packed);
    return r;
}

/* ---- locks ---- */

int read_lock_headers(struct request *q, struct engine_put_params *params)
{
    const struct message *m = &q->message;
    const char *until = message_get(m, "x-amz-object-lock-retain-until-date");
    params->lock_mode = message_get(m, "x-amz-object-lock-mode");
    params->legal_hold = message_get(m, "x-amz-object-lock-legal-hold");
    if (!params->lock_mode != !until)
        return fail_argument(q, params->lock_mode ? "x-amz-object-lock-retain-until-date" : "x-amz-object-lock-mode", NULL,
                             "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied");
    if (until && timeform_lock_date(until, &params->lock_until_ms) < 0)
        return fail_argument(q, "x-amz-object-lock-retain-until-date", until, "The retain until date must be provided in ISO 8601 format");
    if (params->legal_hold && strcmp(params->legal_hold, "ON") != 0 && strcmp(params->legal_hold, "OFF") != 0)
        return fail_argument(q, "x-amz-object-lock-legal-hold", params->legal_hold, "Legal Hold must be either of 'ON' or 'OFF'");
    if (params->lock_mode && strcmp(params->lock_mode, "GOVERNANCE") != 0 && strcmp(params->lock_mode, "COMPLIANCE") != 0)
        return fail_argument(q, "x-amz-object-lock-mode", params->lock_mode, "Unknown wormMode directive.");
    return 0;
}

void read_bypass(struct request *q)
{
    const char *text = message_get(&q->message, "x-amz-bypass-governance-retention");
    q->caller.bypass_governance = text && strcasecmp(text, "true") == 0;
}

/* ---- all of it, of an object that is new ---- */

int read_new_object(struct request *q, struct put_values *p, struct engine_put_params *params)
{
    int r = read_object_headers(q, p);
    if (r == 0)
        r = read_object_labels(q, p);
    if (r == 0)
        r = read_object_tags(q, p);
    if (r == 0)
        r = read_lock_headers(q, params);
    params->values = p->v;
    params->value_count = p->count;
    return r;
}

int read_algorithm(struct request *q, enum checksum_kind *ret)
{
    const char *text = message_get(&q->message, "x-amz-checksum-algorithm");
    *ret = text ? checksum_find(text, strlen(text)) : CHECKSUM_NONE;
    return text && *ret == CHECKSUM_NONE ? fail(q, "InvalidRequest", "Checksum algorithm provided is unsupported: CRC32, CRC32C, CRC64NVME, SHA1 and SHA256 are offered") : 0;
}

/* ---- conditions ---- */

static const char *prefixed(struct request *q, const char *prefix, const char *name)
{
    char full[80];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return message_get(&q->message, full);
}

void read_read_conditions(struct request *q, const char *prefix, struct engine_conditions *ret)
{
    *ret = (struct engine_conditions)ENGINE_UNCONDITIONAL;
    ret->if_match = prefixed(q, prefix, "if-match");
    ret->if_none_match = prefixed(q, prefix, "if-none-match");
    ret->modified_since_s = http_date_parse(prefixed(q, prefix, "if-modified-since"));
    ret->unmodified_since_s = http_date_parse(prefixed(q, prefix, "if-unmodified-since"));
}

/* A condition that is not evaluated is never ignored. */
static int refuse_header(struct request *q, const char *name)
{
    if (!message_get(&q->message, name))
        return 0;
    error_element(q, "Header", name);
    return fail(q, "NotImplemented", "A header you provided implies functionality that is not implemented.");
}

int read_write_conditions(struct request *q, struct engine_conditions *ret)
{
    *ret = (struct engine_conditions)ENGINE_UNCONDITIONAL;
    ret->if_match = message_get(&q->message, "if-match");
    ret->if_none_match = message_get(&q->message, "if-none-match");
    int r = refuse_header(q, "if-modified-since");
    if (r == 0)
        r = refuse_header(q, "if-unmodified-since");
    return r == 0 && ret->if_match && ret->if_none_match ? refuse_header(q, "if-none-match") : r;
}

int read_delete_conditions(struct request *q, struct engine_conditions *ret)
{
    *ret = (struct engine_conditions)ENGINE_UNCONDITIONAL;
    ret->if_match = message_get(&q->message, "if-match");
    const char *size = message_get(&q->message, "x-amz-if-match-size");
    const char *time = message_get(&q->message, "x-amz-if-match-last-modified-time");
    int r = refuse_header(q, "if-none-match");
    if (r == 0)
        r = refuse_header(q, "if-modified-since");
    if (r == 0)
        r = refuse_header(q, "if-unmodified-since");
    char *end = NULL;
    if (r == 0 && size) {
        ret->size_bytes = strtoll(size, &end, 10);
        if (!isdigit((unsigned char)size[0]) || *end)
            r = fail_argument(q, "x-amz-if-match-size", size, "x-amz-if-match-size is a number of bytes");
    }
    if (r == 0 && time) {
        ret->modified_s = http_date_parse(time);
        if (ret->modified_s == INT64_MIN)
            r = fail_argument(q, "x-amz-if-match-last-modified-time", time, "x-amz-if-match-last-modified-time is a date");
    }
    return r;
}

int read_count(struct request *q, const char *name, unsigned most, unsigned *ret)
{
    const char *text = message_query(&q->message, name);
    *ret = most;
    if (!text || !text[0])
        return 0;
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno || n > INT_MAX) {
        char words[128];
        snprintf(words, sizeof words, "Provided %s not an integer or within integer range", name);
        return fail_argument(q, name, text, words);
    }
    *ret = (unsigned long)n > most ? most : (unsigned)n;
    return 0;
}

/* ---- going out ---- */

/* Printable ASCII as it is; other UTF-8 as one RFC 2047 word; other bytes as they came. */
static void put_meta(struct bytes *out, const uint8_t *value, size_t len)
{
    size_t ascii = 0, plain = 0;
    for (size_t n = 0; n < len; n++) {
        ascii += value[n] < 0x80;
        plain += value[n] >= 0x20 && value[n] < 0x7f;
    }
    if (plain == len || !utf8_valid(value, len)) {
        bytes_put(out, value, len);
    } else if (ascii * 2 > len) {
        bytes_printf(out, "=?UTF-8?Q?");
        for (size_t n = 0; n < len; n++) {
            bool bare = value[n] > 0x20 && value[n] < 0x7f && !strchr("=?_", value[n]);
            if (value[n] == ' ')
                bytes_put_u8(out, '_');
            else if (bare)
                bytes_put_u8(out, value[n]);
            else
                bytes_printf(out, "=%02X", value[n]);
        }
        bytes_printf(out, "?=");
    } else {
        CLEANUP_FREE char *text = malloc(4 * ((len + 2) / 3) + 1);
        out->failed |= !text;
        if (text) {
            base64_format(value, len, text);
            bytes_printf(out, "=?UTF-8?B?%s?=", text);
        }
    }
}

static void answer_meta(struct request *q, const struct engine_value *v)
{
    struct bytes value = {0};
    char name[256];
    put_meta(&value, v->value, v->len);
    snprintf(name, sizeof name, "x-amz-meta-%.*s", (int)v->name_len, v->name);
    if (!value.failed)
        pairs_add(&q->out_headers, name, strlen(name), value.data ? (const char *)value.data : "", value.len);
    bytes_done(&value);
}

static void answer_kept_header(struct request *q, const struct engine_value *v)
{
    static const char *const names[][2] = {{"cache-control", "Cache-Control"},
                                           {"content-disposition", "Content-Disposition"},
                                           {"content-encoding", "Content-Encoding"},
                                           {"content-language", "Content-Language"},
                                           {"content-type", "Content-Type"},
                                           {"expires", "Expires"},
                                           {"storage-class", "x-amz-storage-class"},
                                           {"website-redirect-location", "x-amz-website-redirect-location"}};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        if (strlen(names[n][0]) == v->name_len && memcmp(names[n][0], v->name, v->name_len) == 0)
            pairs_add(&q->out_headers, names[n][1], strlen(names[n][1]), v->value, v->len);
    }
}

void answer_values(struct request *q, const struct engine_object *o)
{
    struct engine_value v;
    bool type = false;
    for (size_t at = 0; engine_object_next(o, &at, &v);) {
        if (v.kind == ENGINE_VALUE_META)
            answer_meta(q, &v);
        else if (v.kind == ENGINE_VALUE_HEADER)
            answer_kept_header(q, &v);
        type |= v.kind == ENGINE_VALUE_HEADER && v.name_len == 12 && memcmp(v.name, "content-type", 12) == 0;
    }
    if (!type)
        answer_header(q, "Content-Type", "binary/octet-stream");
}
