/* SPDX-License-Identifier: GPL-3.0-or-later
 * What a body was said to be: Content-MD5, checksums, the payload's hash, aws-chunked (s3-api.md §2). What fails here is never
 * published. */
#include "s3/request.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

/* ---- what is claimed ---- */

static const char *const no_values[] = {"x-amz-checksum-mode", "x-amz-checksum-type", "x-amz-checksum-algorithm"};

static int unknown_checksum(struct request *q, const char *header)
{
    return fail(q, "InvalidRequest", "%.100s is not offered: CRC32, CRC32C, CRC64NVME, SHA1 and SHA256 are", header);
}

static int take_checksum(struct request *q, const char *header, const char *value)
{
    enum checksum_kind kind = checksum_find(header + 15, strlen(header + 15));
    if (kind == CHECKSUM_NONE)
        return unknown_checksum(q, header);
    if (q->checksum_claim[0])
        return fail(q, "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
    q->checksum = kind;
    snprintf(q->checksum_claim, sizeof q->checksum_claim, "%s", value[0] ? value : "?");
    return 0;
}

static int read_checksum_headers(struct request *q)
{
    const struct pairs *h = &q->message.headers;
    for (size_t n = 0; n < h->count; n++) {
        bool value = strncmp(h->v[n].name, "x-amz-checksum-", 15) == 0;
        for (size_t i = 0; i < sizeof no_values / sizeof *no_values; i++)
            value &= strcmp(h->v[n].name, no_values[i]) != 0;
        int r = value ? take_checksum(q, h->v[n].name, h->v[n].value) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_trailer_header(struct request *q)
{
    const char *trailer = message_get(&q->message, "x-amz-trailer");
    if (!trailer)
        return 0;
    char name[sizeof q->chunked.trailer_name];
    size_t len = strlen(trailer);
    for (size_t n = 0; n <= len && n < sizeof name; n++)
        name[n] = (char)tolower((unsigned char)trailer[n]);
    enum checksum_kind kind = len < sizeof name && strncmp(name, "x-amz-checksum-", 15) == 0 ? checksum_find(name + 15, len - 15) : CHECKSUM_NONE;
    if (kind == CHECKSUM_NONE)
        return fail(q, "InvalidRequest", "The value specified in the x-amz-trailer header is not supported");
    if (q->checksum_claim[0])
        return fail(q, "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
    memcpy(q->chunked.trailer_name, name, len + 1);
    q->checksum = kind;
    return 0;
}

/* The SDK's word on which algorithm it uses must fit what it sends. */
static int judge_sdk_algorithm(struct request *q)
{
    const char *text = message_get(&q->message, "x-amz-sdk-checksum-algorithm");
    if (!text || !text[0])
        return 0;
    if (q->checksum == CHECKSUM_NONE)
        return fail(q, "InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.");
    if (checksum_find(text, strlen(text)) != q->checksum)
        return fail(q, "InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.");
    return 0;
}

static int judge_claim_form(struct request *q)
{
    uint8_t raw[CHECKSUM_MAX_BYTES];
    size_t len;
    if (!q->checksum_claim[0])
        return 0;
    size_t claim = strlen(q->checksum_claim), dash = strcspn(q->checksum_claim, "-"); /* of a composite: the count of parts follows */
    bool whole = strcmp(q->operation->name, "CompleteMultipartUpload") == 0;
    if (base64_parse(q->checksum_claim, whole ? dash : claim, raw, sizeof raw, &len) < 0 || len != checksum_bytes(q->checksum))
        return fail(q, "BadDigest", "Value for x-amz-checksum-%s header is invalid.", checksum_name(q->checksum));
    return 0;
}

static int judge_md5_form(struct request *q)
{
    const char *text = message_get(&q->message, "content-md5");
    uint8_t raw[32];
    size_t len;
    if (text && (base64_parse(text, strlen(text), raw, sizeof raw, &len) < 0 || len != 16))
        return fail(q, "InvalidDigest", "The Content-MD5 you specified was invalid.");
    return 0;
}

/* ---- aws-chunked ---- */

static int begin_streaming(struct request *q)
{
    const char *text = q->content_sha256;
    q->streaming = text && strncmp(text, "STREAMING-", 10) == 0;
    if (!q->streaming)
        return 0;
    struct chunked *c = &q->chunked;
    bool is_signed = strncmp(text, "STREAMING-AWS4", 14) == 0;
    if (q->operation->body != BODY_CONTENT || (is_signed && q->signature.form != SIGNED_HEADER && q->signature.form != SIGNED_QUERY))
        return fail(q, "InvalidRequest", "x-amz-content-sha256 %s is not possible here", text);
    c->form = (is_signed ? CHUNKED_SIGNED : 0) | (strstr(text, "-TRAILER") ? CHUNKED_TRAILER : 0);
    const char *decoded = message_get(&q->message, "x-amz-decoded-content-length");
    char *end = NULL;
    errno = 0;
    unsigned long long length = decoded ? strtoull(decoded, &end, 10) : 0;
    if (!decoded)
        return fail(q, "MissingContentLength", "You must provide the Content-Length HTTP header.");
    if (!isdigit((unsigned char)decoded[0]) || *end || errno)
        return fail_argument(q, "x-amz-decoded-content-length", decoded, "x-amz-decoded-content-length is a number of bytes");
    c->decoded_bytes = length;
    c->scope = &q->signature.scope;
    memcpy(c->key, q->signature.key, sizeof c->key);
    memcpy(c->signature, q->signature.hex, sizeof c->signature);
    return chunked_begin(c);
}

int integrity_begin(struct request *q)
{
    int r = begin_streaming(q);
    if (r == 0)
        r = read_checksum_headers(q);
    if (r == 0 && q->streaming)
        r = read_trailer_header(q);
    if (r == 0)
        r = judge_sdk_algorithm(q);
    if (r == 0)
        r = judge_claim_form(q);
    if (r == 0)
        r = judge_md5_form(q);
    bool hashed = q->content_sha256 && strlen(q->content_sha256) == SIGV4_HEX_CHARS;
    if (r == 0)
        r = checksum_begin(&q->sha256, hashed ? CHECKSUM_SHA256 : CHECKSUM_NONE);
    return r;
}

/* ---- what came ---- */

static int judge_payload(struct request *q)
{
    if (q->sha256.kind == CHECKSUM_NONE)
        return 0;
    uint8_t digest[CHECKSUM_MAX_BYTES];
    char hex[SIGV4_HEX_CHARS + 1];
    checksum_end(&q->sha256, digest);
    hex_format(digest, 32, hex);
    if (strcasecmp(hex, q->content_sha256) == 0)
        return 0;
    error_element(q, "ClientComputedContentSHA256", q->content_sha256);
    error_element(q, "S3ComputedContentSHA256", hex);
    return fail(q, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.");
}

static int judge_md5(struct request *q, const uint8_t md5[16])
{
    const char *text = message_get(&q->message, "content-md5");
    char ours[CHECKSUM_TEXT_BYTES];
    if (!text)
        return 0;
    base64_format(md5, 16, ours);
    if (strcmp(ours, text) == 0)
        return 0;
    error_element(q, "ExpectedDigest", text);
    error_element(q, "CalculatedDigest", ours);
    return fail(q, "BadDigest", "The Content-MD5 you specified did not match what we received.");
}

static int judge_checksum(struct request *q, enum checksum_kind kind, const uint8_t *sum)
{
    const char *claim = q->streaming && q->chunked.trailer_name[0] ? q->chunked.trailer_value : q->checksum_claim;
    char ours[CHECKSUM_TEXT_BYTES];
    if (!claim[0])
        return 0;
    base64_format(sum, checksum_bytes(kind), ours);
    if (strcmp(ours, claim) == 0)
        return 0;
    return fail(q, "BadDigest", "The %s you specified did not match the calculated checksum.", checksum_name(kind));
}

int integrity_check(struct request *q, const struct engine_sums *sums)
{
    int r = q->streaming ? chunked_end(&q->chunked, &q->caller.reason) : 0;
    if (r == 0)
        r = judge_payload(q);
    if (r == 0)
        r = judge_md5(q, sums->md5);
    if (r == 0 && q->checksum != CHECKSUM_NONE)
        r = judge_checksum(q, sums->kind, sums->checksum);
    return r;
}

static void sum_of(enum checksum_kind kind, const struct bytes *b, uint8_t out[CHECKSUM_MAX_BYTES])
{
    struct checksum c;
    if (checksum_begin(&c, kind) < 0)
        return;
    checksum_add(&c, b->data, b->len);
    checksum_end(&c, out);
    checksum_done(&c);
}

/* Complete's checksum headers speak of the object that comes to be. */
static bool sum_is_of_document(const struct request *q)
{
    return q->checksum != CHECKSUM_NONE && strcmp(q->operation->name, "CompleteMultipartUpload") != 0;
}

int integrity_document(struct request *q)
{
    uint8_t sum[CHECKSUM_MAX_BYTES] = {0};
    checksum_add(&q->sha256, q->document.data, q->document.len);
    int r = judge_payload(q);
    if (r == 0) {
        sum_of(CHECKSUM_MD5, &q->document, sum);
        r = judge_md5(q, sum);
    }
    if (r == 0 && sum_is_of_document(q)) {
        sum_of(q->checksum, &q->document, sum);
        r = judge_checksum(q, q->checksum, sum);
    }
    return r;
}
