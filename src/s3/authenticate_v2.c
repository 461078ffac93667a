/* SPDX-License-Identifier: GPL-3.0-or-later
 * Pre-signed URLs of Signature Version 2 (auth.md §2.10), in the order given there. */
#include "s3/front.h"
#include "s3/request.h"
#include "s3/sigv2.h"
#include "util/clock.h"

#include <ctype.h>
#include <stdio.h>

enum { EXPIRES_MAX_S = 604800 };

/* SDKs put headers into the query: they count where the header is absent. */
static void take_headers(struct message *m)
{
    for (size_t n = 0; n < m->query.count; n++) {
        char lower[128];
        size_t len = strlen(m->query.v[n].name);
        for (size_t i = 0; i <= len && i < sizeof lower; i++)
            lower[i] = (char)tolower((unsigned char)m->query.v[n].name[i]);
        bool counts = len < sizeof lower && (strncmp(lower, "x-amz-", 6) == 0 || strcmp(lower, "content-md5") == 0 || strcmp(lower, "content-type") == 0);
        if (counts && !message_get(m, lower))
            message_header(m, lower, m->query.v[n].value);
    }
}

/* A sub-resource that is not signed could be added by anybody. */
static int judge_subresources(struct request *q)
{
    const struct message *m = &q->message;
    for (size_t n = 0; n < m->query.count; n++) {
        const char *name = m->query.v[n].name;
        if (route_is_subresource(name) && strcmp(name, "list-type") != 0 && !sigv2_covers(name))
            return fail(q, "InvalidRequest", "Signature Version 2 does not cover ?%.40s: sign the request with AWS4-HMAC-SHA256", name);
    }
    return 0;
}

static int judge_expires(struct request *q, const char *text, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno)
        return fail(q, "AccessDenied", "Invalid date (should be seconds since epoch): %.60s", text);
    *ret = n;
    return 0;
}

static int judge_time(struct request *q, int64_t expires)
{
    int64_t now = clock_wall_ns() / 1000000000;
    char until[40], server[40];
    if (expires - now > EXPIRES_MAX_S)
        return fail(q, "AccessDenied", "Expires must be at most 604800 seconds ahead");
    if (now <= expires)
        return 0;
    timeform_format_ms(expires * 1000, until);
    timeform_format_ms(now * 1000, server);
    error_element(q, "Expires", until);
    error_element(q, "ServerTime", server);
    return fail(q, "AccessDenied", "Request has expired");
}

static int judge_signature(struct request *q, const struct secret *secret, const char *id, const char *expires, const char *signature)
{
    struct bytes text = {0};
    char ours[SIGV2_CHARS + 1];
    sigv2_string_to_sign(&q->message, expires, &text);
    const char *shown = bytes_text(&text);
    if (!shown)
        return -ENOMEM;
    sigv2_sign(secret_peek(secret), secret_len(secret), text.data, text.len, ours);
    int r = 0;
    if (strlen(signature) != SIGV2_CHARS || !secret_equal(ours, signature, SIGV2_CHARS)) {
        error_element(q, "AWSAccessKeyId", id);
        error_element(q, "StringToSign", shown);
        error_element(q, "SignatureProvided", signature);
        r = fail(q, "SignatureDoesNotMatch",
                 "The request signature we calculated does not match the signature you provided. Check your key and signing method.");
    }
    bytes_done(&text);
    return r;
}

int authenticate_v2(struct request *q)
{
    struct message *m = &q->message;
    const char *id = message_query(m, "AWSAccessKeyId"), *expires_text = message_query(m, "Expires"), *signature = message_query(m, "Signature");
    struct secret *secret = NULL;
    struct principal principal;
    int64_t expires = 0;
    if (q->front->sigv2_off)
        return fail(q, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.");
    if (!id || !expires_text || !signature)
        return fail(q, "AccessDenied", "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters");
    int r = judge_expires(q, expires_text, &expires);
    if (r == 0)
        r = judge_subresources(q);
    if (r < 0)
        return r;
    if (engine_key_open(q->engine, id, &secret, &principal) < 0) {
        error_element(q, "AWSAccessKeyId", id);
        return fail(q, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.");
    }
    take_headers(m);
    r = judge_time(q, expires);
    if (r == 0)
        r = judge_signature(q, secret, id, expires_text, signature);
    secret_free(secret);
    if (r < 0)
        return r;
    engine_caller_sign(q->engine, &q->caller, &principal);
    q->signature.form = SIGNED_QUERY_V2;
    snprintf(q->signature.key_id, sizeof q->signature.key_id, "%s", id);
    q->content_sha256 = message_get(m, "x-amz-content-sha256");
    if (q->content_sha256 && strncmp(q->content_sha256, "STREAMING-", 10) == 0)
        return fail(q, "InvalidRequest", "x-amz-content-sha256 %.60s needs AWS4-HMAC-SHA256", q->content_sha256);
    return 0;
}
