/* SPDX-License-Identifier: GPL-3.0-or-later
 * PutObject, GetObject, HeadObject, DeleteObject (s3-api.md §4, §6). */
#include "s3/request.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

enum { SMALL_BYTES = 1 << 20 };
#define PUT_MAX_BYTES (UINT64_C(5) << 30)

/* ---- PutObject ---- */

static int judge_size(struct request *q)
{
    uint64_t size = q->streaming ? q->chunked.decoded_bytes : q->sized ? q->length : 0;
    char text[24];
    if (size <= PUT_MAX_BYTES)
        return 0;
    snprintf(text, sizeof text, "%llu", (unsigned long long)size);
    error_element(q, "ProposedSize", text);
    error_element(q, "MaxSizeAllowed", "5368709120");
    return fail(q, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size");
}

static int judge_key(struct request *q)
{
    char text[24];
    if (q->key.len <= 1024)
        return 0;
    snprintf(text, sizeof text, "%zu", q->key.len);
    error_element(q, "Size", text);
    error_element(q, "MaxSizeAllowed", "1024");
    return fail(q, "KeyTooLongError", "Your key is too long");
}

void answer_failed_condition(struct request *q, const struct engine_conditions *c)
{
    if (c->failed && strcmp(q->caller.reason.code, "PreconditionFailed") == 0)
        error_element(q, "Condition", c->failed);
}

int put_object_begin(struct request *q)
{
    struct put_values values = {0};
    struct engine_conditions conditions = ENGINE_UNCONDITIONAL;
    struct engine_put_params params = {
        .bucket = q->bucket.number,
        .key = q->key,
        .checksum = q->checksum == CHECKSUM_NONE ? CHECKSUM_CRC64NVME : q->checksum,
        .conditions = &conditions,
    };
    int r = judge_key(q);
    if (r == 0)
        r = judge_size(q);
    if (r == 0)
        r = read_new_object(q, &values, &params);
    if (r == 0)
        r = read_write_conditions(q, &conditions);
    if (r == 0)
        r = engine_put_begin(q->engine, &q->caller, &params, &q->put);
    if (r < 0)
        answer_failed_condition(q, &conditions);
    put_values_done(&values);
    return r;
}

/* Content too long though nobody announced it. */
static int judge_received(struct request *q, const struct engine_sums *sums)
{
    return sums->size_bytes > PUT_MAX_BYTES ? fail(q, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size") : 0;
}

void answer_checksums(struct request *q, const struct engine_object *o)
{
    struct engine_value v;
    for (size_t at = 0; engine_object_next(o, &at, &v);) {
        if (v.kind != ENGINE_VALUE_FACT || v.name_len <= 9 || memcmp(v.name, "checksum-", 9) != 0)
            continue;
        char name[64];
        int n = snprintf(name, sizeof name, "x-amz-%.*s", (int)v.name_len, v.name);
        for (int i = 0; i < n && (size_t)i < sizeof name; i++)
            name[i] = (char)tolower((unsigned char)name[i]);
        answer_header(q, name, "%.*s", (int)v.len, (const char *)v.value);
    }
}

int put_object(struct request *q)
{
    struct engine_sums sums;
    struct engine_object object = {0};
    engine_put_sums(q->put, &sums);
    int r = integrity_check(q, &sums);
    if (r == 0)
        r = judge_received(q, &sums);
    if (r == 0)
        r = engine_put_publish(q->put, &q->caller, &object);
    if (r == 0) {
        answer_header(q, "ETag", "\"%s\"", object.version.etag);
        answer_version(q, object.has_id, object.version.id);
        answer_sse(q, &object);
        answer_checksums(q, &object);
    }
    engine_object_done(&object);
    return r;
}

/* ---- GetObject, HeadObject ---- */

struct range {
    bool given;
    uint64_t from, bytes;
};

/* A decimal number at *at; -1: none, or too large. */
static int read_number(const char **at, uint64_t *ret)
{
    const char *p = *at;
    uint64_t n = 0;
    if (!isdigit((unsigned char)*p))
        return -1;
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            n = UINT64_MAX / 10;
    }
    *at = p;
    *ret = n;
    return 0;
}

static int range_unsatisfiable(struct request *q, const char *text, uint64_t size)
{
    char words[24];
    snprintf(words, sizeof words, "%llu", (unsigned long long)size);
    answer_header(q, "Content-Range", "bytes */%s", words);
    error_element(q, "RangeRequested", text);
    error_element(q, "ActualObjectSize", words);
    return fail(q, "InvalidRange", "The requested range is not satisfiable");
}

/* s3-api.md §4's table: what cannot be read is ignored. */
static int read_range(struct request *q, uint64_t size, struct range *ret)
{
    const char *text = message_get(&q->message, "range"), *at = text;
    uint64_t from = 0, to = 0;
    *ret = (struct range){.bytes = size};
    if (!text || strncmp(text, "bytes=", 6) != 0)
        return 0;
    at += 6;
    bool has_from = read_number(&at, &from) == 0;
    if (*at++ != '-')
        return 0;
    bool has_to = read_number(&at, &to) == 0;
    if (*at || (!has_from && !has_to) || (has_from && has_to && from > to))
        return 0;
    if (!has_from && (!to || !size))
        return range_unsatisfiable(q, text, size);
    if (!has_from) {
        from = to < size ? size - to : 0;
        to = size - 1;
    } else if (from >= size) {
        return range_unsatisfiable(q, text, size);
    } else if (!has_to || to >= size) {
        to = size - 1;
    }
    *ret = (struct range){true, from, to - from + 1};
    return 0;
}

/* If-Range: the range holds only for the version that is meant. */
static bool range_holds(struct request *q, const struct engine_object *o)
{
    const char *text = message_get(&q->message, "if-range");
    if (!text)
        return true;
    int64_t date = http_date_parse(text);
    if (date != INT64_MIN)
        return o->version.publish_ns / 1000000000 <= date;
    size_t len = strlen(o->version.etag);
    text += *text == '"';
    return strncmp(text, o->version.etag, len) == 0 && (!text[len] || text[len] == '"');
}

/* partNumber=N: that part of a multipart object; part 1 of any other is all of it. */
static int read_part_range(struct request *q, const struct engine_object *o, const char *text, struct range *ret)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    unsigned parts = engine_object_parts(o), number;
    struct engine_part part;
    if (!isdigit((unsigned char)text[0]) || *end || n < 1 || n > ENGINE_PARTS_MAX)
        return fail_argument(q, "partNumber", text, "Part number must be an integer between 1 and 10000, inclusive");
    if (message_get(&q->message, "range"))
        return fail(q, "InvalidRequest", "Cannot specify both Range header and partNumber query parameter");
    *ret = (struct range){.given = true, .bytes = o->version.attr.size_bytes};
    if (!parts && n == 1)
        return 0;
    if (n > parts || !engine_object_part(o, (unsigned)n - 1, &number, &ret->from, &part))
        return fail(q, "InvalidPart", "The requested partnumber is not satisfiable");
    ret->bytes = part.size_bytes;
    answer_header(q, "x-amz-mp-parts-count", "%u", parts);
    return 0;
}

static const char *const overrides[][2] = {
    {"response-content-type", "Content-Type"},         {"response-content-language", "Content-Language"},
    {"response-expires", "Expires"},                   {"response-cache-control", "Cache-Control"},
    {"response-content-disposition", "Content-Disposition"}, {"response-content-encoding", "Content-Encoding"},
};
enum { OVERRIDES = sizeof overrides / sizeof *overrides };

/* Control characters, or what ISO-8859-1 has no letter for. */
static bool header_safe(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at < 0x20 || *at == 0x7f || *at > 0xc3)
            return false;
    }
    return true;
}

static int judge_overrides(struct request *q)
{
    for (size_t n = 0; n < OVERRIDES; n++) {
        const char *value = message_query(&q->message, overrides[n][0]);
        if (!value)
            continue;
        if (q->signature.form == SIGNED_NOT)
            return fail(q, "InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.");
        if (!header_safe(value))
            return fail_argument(q, overrides[n][0], value, "Header value cannot be represented using ISO-8859-1.");
    }
    return 0;
}

static void override(struct request *q)
{
    for (size_t n = 0; n < OVERRIDES; n++) {
        const char *value = message_query(&q->message, overrides[n][0]);
        if (!value)
            continue;
        for (size_t i = 0; i < q->out_headers.count; i++) {
            if (strcasecmp(q->out_headers.v[i].name, overrides[n][1]) == 0)
                q->out_headers.v[i].name[0] = '\0'; /* replaced */
        }
        pairs_add(&q->out_headers, overrides[n][1], strlen(overrides[n][1]), value, strlen(value));
    }
}

static void answer_lock(struct request *q, const struct engine_object *o)
{
    const struct engine_version *v = &o->version;
    char until[40];
    if (!o->locks)
        return;
    if (v->lock_mode && engine_key_could(q->engine, &q->caller, "s3:GetObjectRetention", q->bucket.number, q->key)) {
        timeform_format_ms(v->lock_until_ms, until);
        answer_header(q, "x-amz-object-lock-mode", "%s", v->lock_mode == 1 ? "GOVERNANCE" : "COMPLIANCE");
        answer_header(q, "x-amz-object-lock-retain-until-date", "%s", until);
    }
    if (v->legal_hold && engine_key_could(q->engine, &q->caller, "s3:GetObjectLegalHold", q->bucket.number, q->key))
        answer_header(q, "x-amz-object-lock-legal-hold", "%s", v->legal_hold == 2 ? "ON" : "OFF");
}

static void answer_tag_count(struct request *q, const struct engine_object *o)
{
    struct engine_value v;
    unsigned tags = 0;
    for (size_t at = 0; engine_object_next(o, &at, &v);)
        tags += v.kind == ENGINE_VALUE_TAG;
    const char *action = q->version_id ? "s3:GetObjectVersionTagging" : "s3:GetObjectTagging";
    if (tags && engine_key_could(q->engine, &q->caller, action, q->bucket.number, q->key))
        answer_header(q, "x-amz-tagging-count", "%u", tags);
}

static void answer_read(struct request *q, const struct engine_object *o, const struct range *range)
{
    const char *mode = message_get(&q->message, "x-amz-checksum-mode");
    answer_object(q, o);
    answer_values(q, o);
    answer_header(q, "Accept-Ranges", "bytes");
    answer_sse(q, o);
    answer_tag_count(q, o);
    answer_lock(q, o);
    uint64_t size = o->version.attr.size_bytes;
    if (mode && strcasecmp(mode, "ENABLED") == 0 && range->bytes == size)
        answer_checksums(q, o);
    q->status = range->given ? 206 : 200;
    if (range->given && range->bytes)
        answer_header(q, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)range->from,
                      (unsigned long long)(range->from + range->bytes - 1), (unsigned long long)size);
    override(q);
}

/* What is known of what was not given: of a marker, of what was not modified. */
static int answer_refused(struct request *q, const struct engine_object *o, int r)
{
    const char *code = q->caller.reason.code;
    if (o->version.id[0] && o->marker) {
        answer_header(q, "x-amz-delete-marker", "true");
        answer_version(q, true, o->version.id);
        if (strcmp(code, "MethodNotAllowed") == 0) {
            char date[40];
            http_date(o->version.publish_ns / 1000000000, date);
            answer_header(q, "Last-Modified", "%s", date);
            answer_header(q, "Allow", "DELETE");
            error_element(q, "Method", q->message.method);
            error_element(q, "ResourceType", "DeleteMarker");
        }
    } else if (strcmp(code, "NotModified") == 0) {
        answer_object(q, o);
        struct engine_value v;
        if (engine_object_value(o, ENGINE_VALUE_HEADER, "cache-control", &v))
            answer_header(q, "Cache-Control", "%.*s", (int)v.len, (const char *)v.value);
        if (engine_object_value(o, ENGINE_VALUE_HEADER, "expires", &v))
            answer_header(q, "Expires", "%.*s", (int)v.len, (const char *)v.value);
    } else if (strcmp(code, "NoSuchKey") == 0) {
        answer_header(q, "x-amz-delete-marker", "false");
    }
    return r;
}

/* Short content goes out from memory. */
static int take_small(struct request *q, const struct range *range)
{
    uint8_t *buf = malloc(range->bytes ? (size_t)range->bytes : 1);
    ssize_t n = buf ? engine_read(q->handle, buf, (size_t)range->bytes, range->from) : -ENOMEM;
    if (n >= 0 && (uint64_t)n == range->bytes)
        q->out = (struct bytes){.data = buf, .len = (size_t)n, .cap = (size_t)n};
    else
        free(buf);
    engine_release(q->handle);
    q->handle = NULL;
    return n < 0 ? (int)n : (uint64_t)n == range->bytes ? 0 : -EIO;
}

static int judge_sse_headers(struct request *q)
{
    if (!message_get(&q->message, "x-amz-server-side-encryption") &&
        !message_get(&q->message, "x-amz-server-side-encryption-customer-algorithm"))
        return 0;
    return fail(q, "InvalidRequest", "this object is encrypted with its bucket's key: reading takes no encryption header");
}

int get_object(struct request *q)
{
    struct engine_object object = {0};
    struct engine_conditions conditions;
    struct range range;
    read_read_conditions(q, "", &conditions);
    int r = engine_key_may(q->engine, &q->caller, q->version_id ? "s3:GetObjectVersion" : "s3:GetObject", q->bucket.number, q->key);
    if (r == 0)
        r = judge_overrides(q);
    if (r == 0)
        r = judge_sse_headers(q);
    if (r < 0)
        return r;
    r = engine_object_open(q->engine, &q->caller, q->bucket.number, q->key, q->version_id, &conditions, &object, q->head ? NULL : &q->handle);
    if (r < 0) {
        answer_failed_condition(q, &conditions);
        answer_refused(q, &object, r);
    }
    const char *part = message_query(&q->message, "partNumber");
    if (r == 0)
        r = judge_object_sse(q, &object);
    if (r == 0 && part)
        r = read_part_range(q, &object, part, &range);
    else if (r == 0 && range_holds(q, &object))
        r = read_range(q, object.version.attr.size_bytes, &range);
    else if (r == 0)
        range = (struct range){.bytes = object.version.attr.size_bytes};
    if (r == 0) {
        answer_read(q, &object, &range);
        q->handle_offset = range.from;
        q->handle_bytes = range.bytes;
        if (!q->head && range.bytes <= SMALL_BYTES)
            r = take_small(q, &range);
    }
    engine_object_done(&object);
    return r;
}

/* ---- DeleteObject ---- */

int delete_object(struct request *q)
{
    struct engine_conditions conditions;
    struct engine_deleted deleted;
    read_bypass(q);
    const char *mfa = message_get(&q->message, "x-amz-mfa");
    int r = read_delete_conditions(q, &conditions);
    if (r == 0 && mfa)
        r = read_mfa(q, mfa);
    if (r == 0)
        r = engine_object_delete(q->engine, &q->caller, q->bucket.number, q->key, q->version_id, &conditions, &deleted);
    if (r < 0) {
        answer_failed_condition(q, &conditions);
        return r;
    }
    q->status = 204;
    answer_version(q, deleted.has_id, deleted.id);
    if (deleted.marker)
        answer_header(q, "x-amz-delete-marker", "true");
    return 0;
}
