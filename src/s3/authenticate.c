/* SPDX-License-Identifier: GPL-3.0-or-later
 * Who signed the request: Signature Version 4 in header and query form (auth.md §2.1, §2.3, §3), in the order given there. */
#include "s3/front.h"
#include "s3/request.h"
#include "util/clock.h"

#include <stdio.h>
#include <strings.h>

enum { SKEW_S = 900, PRESIGN_MAX_SECONDS = 604800 };

/* What both forms say. */
struct claim {
    char id[129], date[64], region[64], service[32], terminal[32];
    char signed_headers[4096];
    char signature[129];
    char timestamp[17];
    int64_t time_s;
};

/* ---- the credential ---- */

/* Split from the right: the id may hold slashes. */
static bool split_credential(const char *text, struct claim *c)
{
    char copy[512];
    char *parts[4];
    if (strlen(text) >= sizeof copy)
        return false;
    memcpy(copy, text, strlen(text) + 1);
    for (int n = 3; n >= 0; n--) {
        char *slash = strrchr(copy, '/');
        if (!slash)
            return false;
        *slash = '\0';
        parts[n] = slash + 1;
    }
    return snprintf(c->id, sizeof c->id, "%s", copy) < (int)sizeof c->id &&
           snprintf(c->date, sizeof c->date, "%s", parts[0]) < (int)sizeof c->date &&
           snprintf(c->region, sizeof c->region, "%s", parts[1]) < (int)sizeof c->region &&
           snprintf(c->service, sizeof c->service, "%s", parts[2]) < (int)sizeof c->service &&
           snprintf(c->terminal, sizeof c->terminal, "%s", parts[3]) < (int)sizeof c->terminal;
}

/* Rows 2 to 5 of §2.3; `code` and the words before tell the two forms apart. */
static int judge_credential(struct request *q, const char *text, struct claim *c, const char *code, const char *before)
{
    const char *region = engine_conf(q->engine)->region;
    if (!split_credential(text, c))
        return fail(q, code, "%sthe Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".", before);
    if (strlen(c->date) != 8 || strspn(c->date, "0123456789") != 8)
        return fail(q, code, "%sincorrect date format \"%s\". This date in the credential must be in the format \"yyyyMMdd\".", before, c->date);
    if (strcmp(c->terminal, "aws4_request") != 0)
        return fail(q, code, "%sincorrect terminal \"%s\". This endpoint uses \"aws4_request\".", before, c->terminal);
    if (strcmp(c->service, "s3") != 0)
        return fail(q, code, "%sincorrect service \"%s\". This endpoint belongs to \"s3\".", before, c->service);
    if (q->front->region_strict && strcmp(c->region, region) != 0) {
        error_element(q, "Region", region);
        return fail(q, code, "%sthe region '%s' is wrong; expecting '%s'", before, c->region, region);
    }
    return 0;
}

/* ---- key and signature ---- */

static int unknown_key(struct request *q, const struct claim *c)
{
    error_element(q, "AWSAccessKeyId", c->id);
    return fail(q, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.");
}

static int open_key(struct request *q, const struct claim *c)
{
    struct secret *secret = NULL;
    struct principal principal;
    if (engine_key_open(q->engine, c->id, &secret, &principal) < 0)
        return unknown_key(q, c);
    struct signature *s = &q->signature;
    memcpy(s->scope.date, c->date, 9);
    memcpy(s->scope.timestamp, c->timestamp, sizeof s->scope.timestamp);
    memcpy(s->scope.region, c->region, sizeof s->scope.region);
    memcpy(s->scope.service, c->service, sizeof s->scope.service);
    memcpy(s->key_id, c->id, sizeof s->key_id);
    sigv4_key(secret_peek(secret), secret_len(secret), &s->scope, s->key);
    secret_free(secret);
    engine_caller_sign(q->engine, &q->caller, &principal);
    return 0;
}

static bool is_signed(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, ";");
        if (n == len && strncasecmp(at, name, n) == 0)
            return true;
        at += n + (at[n] == ';');
    }
    return false;
}

/* Row 10: host and every x-amz-* header must have been signed. */
static int judge_signed_headers(struct request *q, const struct claim *c)
{
    struct bytes missing = {0};
    if (!is_signed(c->signed_headers, "host"))
        bytes_printf(&missing, "host");
    for (size_t n = 0; n < q->message.headers.count; n++) {
        const char *name = q->message.headers.v[n].name;
        if (strncmp(name, "x-amz-", 6) == 0 && strcmp(name, "x-amz-content-sha256") != 0 && !is_signed(c->signed_headers, name))
            bytes_printf(&missing, "%s%s", missing.len ? ", " : "", name);
    }
    int r = 0;
    if (missing.len) {
        const char *text = bytes_text(&missing);
        error_element(q, "HeadersNotSigned", text ? text : "");
        r = fail(q, "AccessDenied", "There were headers present in the request which were not signed");
    }
    bytes_done(&missing);
    return r;
}

static void element_hex(struct request *q, const char *name, const struct bytes *b)
{
    bytes_printf(&q->elements, "<%s>", name);
    for (size_t n = 0; n < b->len; n++)
        bytes_printf(&q->elements, "%s%02x", n ? " " : "", b->data[n]);
    bytes_printf(&q->elements, "</%s>", name);
}

/* A customer's key in the canonical request is not to be echoed (§8). */
static void redact(struct bytes *canonical)
{
    static const char *const secrets[] = {"\nx-amz-server-side-encryption-customer-key:",
                                          "\nx-amz-copy-source-server-side-encryption-customer-key:"};
    for (size_t n = 0; n < sizeof secrets / sizeof *secrets; n++) {
        char *at = canonical->len ? memmem(canonical->data, canonical->len, secrets[n], strlen(secrets[n])) : NULL;
        if (!at)
            continue;
        char *value = at + strlen(secrets[n]), *end = memchr(value, '\n', (size_t)((char *)canonical->data + canonical->len - value));
        struct bytes out = {0};
        bytes_put(&out, canonical->data, (size_t)(value - (char *)canonical->data));
        bytes_printf(&out, "REDACTED");
        if (end)
            bytes_put(&out, end, (size_t)((char *)canonical->data + canonical->len - end));
        bytes_done(canonical);
        *canonical = out;
    }
}

static int mismatch(struct request *q, const struct claim *c, const struct bytes *text, struct bytes *canonical)
{
    redact(canonical);
    struct bytes both[2] = {*text, *canonical};
    error_element(q, "AWSAccessKeyId", c->id);
    const char *t = bytes_text(&both[0]), *r = bytes_text(&both[1]);
    error_element(q, "StringToSign", t ? t : "");
    error_element(q, "SignatureProvided", c->signature);
    element_hex(q, "StringToSignBytes", text);
    error_element(q, "CanonicalRequest", r ? r : "");
    element_hex(q, "CanonicalRequestBytes", canonical);
    *canonical = both[1];
    bytes_done(&both[0]);
    return fail(q, "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and signing method.");
}

static int judge_signature(struct request *q, const struct claim *c, bool query_form, const char *payload)
{
    struct bytes canonical = {0}, text = {0};
    sigv4_canonical(&q->message, c->signed_headers, query_form, payload, &canonical);
    sigv4_string_to_sign(&q->signature.scope, &canonical, &text);
    int r = canonical.failed || text.failed ? -ENOMEM : 0;
    if (r == 0)
        sigv4_sign(q->signature.key, text.data, text.len, q->signature.hex);
    if (r == 0 && (strlen(c->signature) != SIGV4_HEX_CHARS || !secret_equal(c->signature, q->signature.hex, SIGV4_HEX_CHARS))) {
        r = mismatch(q, c, &text, &canonical);
    } else {
        bytes_done(&text);
    }
    bytes_done(&canonical);
    if (r == 0)
        engine_key_used(q->engine, q->signature.key_id, "s3", q->address);
    return r;
}

/* Row 12. */
static int judge_payload(struct request *q, const char *value)
{
    static const char *const words[] = {"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                                        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"};
    for (size_t n = 0; n < sizeof words / sizeof *words; n++) {
        if (strcmp(value, words[n]) == 0)
            return 0;
    }
    if (strlen(value) == SIGV4_HEX_CHARS && strspn(value, "0123456789abcdefABCDEF") == SIGV4_HEX_CHARS)
        return 0;
    return fail_argument(q, "x-amz-content-sha256", value,
                         "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                         "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.");
}

/* ---- the header form ---- */

static int malformed(struct request *q, const char *text)
{
    return fail(q, "AuthorizationHeaderMalformed", "The authorization header is malformed; %s", text);
}

/* The next `NAME=VALUE` of the components. */
static int read_component(struct request *q, const char **at, char *name, size_t name_cap, char *value, size_t value_cap)
{
    size_t len = strcspn(*at, ",");
    char one[4400];
    if (len >= sizeof one)
        return malformed(q, "a component is too long.");
    memcpy(one, *at, len);
    while (len && one[len - 1] == ' ')
        len--;
    one[len] = '\0';
    char *text = one + strspn(one, " "), *equals = strchr(text, '=');
    if (!equals) {
        char words[4500];
        snprintf(words, sizeof words, "the authorization component \"%.200s\" is malformed.", text);
        return malformed(q, words);
    }
    *equals = '\0';
    snprintf(name, name_cap, "%s", text);
    if (snprintf(value, value_cap, "%s", equals + 1) >= (int)value_cap)
        return malformed(q, "a component is too long.");
    *at += strcspn(*at, ",");
    *at += **at == ',';
    return 0;
}

static int read_header_form(struct request *q, const char *text, struct claim *c, char credential[512])
{
    credential[0] = '\0';
    for (const char *at = text + strspn(text, " "); *at;) {
        char name[64], value[4096];
        int r = read_component(q, &at, name, sizeof name, value, sizeof value);
        if (r < 0)
            return r;
        if (strcmp(name, "Credential") == 0)
            snprintf(credential, 512, "%.500s", value);
        else if (strcmp(name, "SignedHeaders") == 0)
            snprintf(c->signed_headers, sizeof c->signed_headers, "%s", value);
        else if (strcmp(name, "Signature") == 0)
            snprintf(c->signature, sizeof c->signature, "%.128s", value);
        at += strspn(at, " ");
    }
    if (!credential[0] || !c->signed_headers[0] || !c->signature[0])
        return malformed(q, "the authorization header requires three components: Credential, SignedHeaders, and Signature.");
    return 0;
}

static void put_timestamp(struct claim *c)
{
    char text[48];
    timeform_format_ms(c->time_s * 1000, text); /* 2027-01-01T00:00:00.000Z */
    snprintf(c->timestamp, sizeof c->timestamp, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", text, text + 5, text + 8, text + 11, text + 14, text + 17);
}

static int judge_date(struct request *q, struct claim *c)
{
    const char *text = message_get(&q->message, "x-amz-date");
    c->time_s = http_date_parse(text ? text : message_get(&q->message, "date"));
    if (c->time_s == INT64_MIN)
        return fail(q, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header");
    put_timestamp(c);
    if (strncmp(c->timestamp, c->date, 8) != 0)
        return malformed(q, "Invalid credential date. Date is not the same as X-Amz-Date.");
    return 0;
}

static int judge_skew(struct request *q, const struct claim *c)
{
    int64_t now = clock_wall_ns() / 1000000000;
    if (now - c->time_s <= SKEW_S && c->time_s - now <= SKEW_S)
        return 0;
    char server[40];
    timeform_format_ms(now * 1000, server);
    error_element(q, "RequestTime", c->timestamp);
    error_element(q, "ServerTime", server);
    error_element(q, "MaxAllowedSkewMilliseconds", "900000");
    return fail(q, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.");
}

static int header_form(struct request *q, const char *text)
{
    CLEANUP_FREE struct claim *c = calloc(1, sizeof *c);
    char credential[512];
    if (!c)
        return -ENOMEM;
    int r = read_header_form(q, text, c, credential);
    if (r == 0)
        r = judge_credential(q, credential, c, "AuthorizationHeaderMalformed", "The authorization header is malformed; ");
    if (r == 0)
        r = judge_date(q, c);
    if (r == 0)
        r = open_key(q, c);
    if (r == 0)
        r = judge_skew(q, c);
    if (r == 0)
        r = judge_signed_headers(q, c);
    if (r == 0 && !q->content_sha256)
        r = fail(q, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256");
    if (r == 0)
        r = judge_payload(q, q->content_sha256);
    if (r == 0)
        r = judge_signature(q, c, false, q->content_sha256);
    q->signature.form = SIGNED_HEADER;
    if (r == 0) /* else there may be no time */
        snprintf(q->signature.age_ms, sizeof q->signature.age_ms, "%lld", (long long)(clock_wall_ns() / 1000000 - c->time_s * 1000));
    return r;
}

/* ---- the query form ---- */

static const char *query_any_case(const struct message *m, const char *name)
{
    for (size_t n = 0; n < m->query.count; n++) {
        if (strcasecmp(m->query.v[n].name, name) == 0)
            return m->query.v[n].value;
    }
    return NULL;
}

/* An AuthorizationQueryParametersError answered 403, as S3 does not but the specification wants it. */
static int query_denied(struct request *q, const char *text)
{
    return reason_fail_s3(&q->caller.reason, EACCES, "AuthorizationQueryParametersError", "%s", text);
}

static int judge_expires(struct request *q, const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (!*text || *end || errno)
        return fail(q, "AuthorizationQueryParametersError", "X-Amz-Expires should be a number");
    if (n < 0)
        return query_denied(q, "X-Amz-Expires must be non-negative");
    if (n > PRESIGN_MAX_SECONDS)
        return query_denied(q, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less "
                               "than 604800 seconds");
    *ret = n;
    return 0;
}

static int judge_query_time(struct request *q, const struct claim *c, const char *expires_text, int64_t expires)
{
    int64_t now = clock_wall_ns() / 1000000000;
    char until[40], server[40];
    if (c->time_s - now > SKEW_S)
        return fail(q, "AccessDenied", "Request is not valid yet");
    if (now < c->time_s + expires)
        return 0;
    timeform_format_ms((c->time_s + expires) * 1000, until);
    timeform_format_ms(now * 1000, server);
    error_element(q, "X-Amz-Expires", expires_text);
    error_element(q, "Expires", until);
    error_element(q, "ServerTime", server);
    return fail(q, "AccessDenied", "Request has expired");
}

static int query_date(struct request *q, struct claim *c, const char *date)
{
    static const char code[] = "AuthorizationQueryParametersError";
    c->time_s = strlen(date) == 16 ? http_date_parse(date) : INT64_MIN;
    if (c->time_s == INT64_MIN)
        return fail(q, code, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
    put_timestamp(c);
    if (strncmp(c->timestamp, c->date, 8) != 0)
        return fail(q, code, "Invalid credential date \"%s\". This date is not the same as X-Amz-Date: \"%s\".", c->date, date);
    return 0;
}

/* SDKs hoist headers into the query when they pre-sign. */
static void unhoist(struct request *q)
{
    static const char *const own[] = {"x-amz-algorithm", "x-amz-credential", "x-amz-signature", "x-amz-date", "x-amz-signedheaders",
                                      "x-amz-expires", "x-amz-security-token"};
    struct message *m = &q->message;
    for (size_t n = 0; n < m->query.count; n++) {
        bool ours = false;
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            ours |= strcasecmp(m->query.v[n].name, own[i]) == 0;
        char lower[128];
        if (ours || strncasecmp(m->query.v[n].name, "x-amz-", 6) != 0 || strlen(m->query.v[n].name) >= sizeof lower)
            continue;
        size_t len = strlen(m->query.v[n].name);
        for (size_t i = 0; i <= len; i++)
            lower[i] = (char)(m->query.v[n].name[i] >= 'A' && m->query.v[n].name[i] <= 'Z' ? m->query.v[n].name[i] | 0x20 : m->query.v[n].name[i]);
        if (!message_get(m, lower))
            message_header(m, lower, m->query.v[n].value);
    }
}

static int query_form(struct request *q)
{
    static const char code[] = "AuthorizationQueryParametersError";
    const struct message *m = &q->message;
    const char *algorithm = query_any_case(m, "X-Amz-Algorithm"), *credential = query_any_case(m, "X-Amz-Credential");
    const char *signature = query_any_case(m, "X-Amz-Signature"), *date = query_any_case(m, "X-Amz-Date");
    const char *headers = query_any_case(m, "X-Amz-SignedHeaders"), *expires_text = query_any_case(m, "X-Amz-Expires");
    if (algorithm && strcmp(algorithm, "AWS4-HMAC-SHA256") != 0)
        return fail(q, code, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
    if (!algorithm || !credential || !signature || !date || !headers || !expires_text)
        return fail(q, code,
                    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, "
                    "X-Amz-SignedHeaders, and X-Amz-Expires parameters.");
    CLEANUP_FREE struct claim *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    snprintf(c->signed_headers, sizeof c->signed_headers, "%s", headers);
    snprintf(c->signature, sizeof c->signature, "%.128s", signature);
    int64_t expires = 0;
    int r = judge_credential(q, credential, c, code, "Error parsing the X-Amz-Credential parameter; ");
    if (r == 0)
        r = query_date(q, c, date);
    if (r == 0)
        r = judge_expires(q, expires_text, &expires);
    if (r == 0)
        r = open_key(q, c);
    if (r == 0)
        r = judge_query_time(q, c, expires_text, expires);
    if (r == 0)
        r = judge_signed_headers(q, c);
    const char *in_query = query_any_case(m, "x-amz-content-sha256");
    const char *payload = q->content_sha256 ? q->content_sha256 : in_query ? in_query : "UNSIGNED-PAYLOAD";
    if (r == 0)
        r = judge_payload(q, payload);
    if (r == 0)
        r = judge_signature(q, c, true, payload);
    q->signature.form = SIGNED_QUERY;
    if (r == 0)
        snprintf(q->signature.age_ms, sizeof q->signature.age_ms, "%lld", (long long)(clock_wall_ns() / 1000000 - c->time_s * 1000));
    if (r == 0)
        unhoist(q);
    q->content_sha256 = message_get(m, "x-amz-content-sha256");
    return r;
}

/* ---- which ---- */

static bool has_query_form(const struct message *m)
{
    return query_any_case(m, "X-Amz-Algorithm") || query_any_case(m, "X-Amz-Credential") || query_any_case(m, "X-Amz-Signature");
}

static int judge_scheme(struct request *q, const char *text)
{
    if (strncmp(text, "AWS4-HMAC-SHA256 ", 17) == 0 || strcmp(text, "AWS4-HMAC-SHA256") == 0)
        return header_form(q, text + 16);
    if (strncmp(text, "AWS4-ECDSA", 10) == 0 || strncmp(text, "AWS ", 4) == 0)
        return fail(q, "InvalidRequest",
                    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.");
    return fail_argument(q, "Authorization", NULL, "Unsupported Authorization Type");
}

int authenticate(struct request *q)
{
    const struct message *m = &q->message;
    const char *header = message_get(m, "authorization");
    bool v4 = has_query_form(m), v2 = message_query(m, "AWSAccessKeyId") || message_query(m, "Signature");
    bool by_header = header && header[0];
    q->content_sha256 = message_get(m, "x-amz-content-sha256");
    if (by_header + v4 + v2 > 1)
        return fail_argument(q, "Authorization", NULL,
                             "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter "
                             "or the Authorization header should be specified");
    if (message_get(m, "x-amz-security-token") || query_any_case(m, "X-Amz-Security-Token"))
        return fail(q, "InvalidToken", "The provided token is malformed or otherwise invalid.");
    if (by_header)
        return judge_scheme(q, header);
    if (v4)
        return query_form(q);
    if (v2)
        return authenticate_v2(q);
    struct principal nobody = {.kind = PRINCIPAL_ANONYMOUS};
    engine_caller_sign(q->engine, &q->caller, &nobody);
    return q->content_sha256 ? judge_payload(q, q->content_sha256) : 0;
}
