/* SPDX-License-Identifier: GPL-3.0-or-later
 * CopyObject, and the source of UploadPartCopy (s3-api.md §7, §10). */
#include "s3/copy.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

static int bad_source(struct request *q, const char *text)
{
    return fail_argument(q, "x-amz-copy-source", text, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
}

void copy_request_done(struct copy_request *c)
{
    free(c->source);
    put_values_done(&c->values);
}

/* [/]BUCKET/KEY[?versionId=V], split at the literal ?versionId=, then decoded. */
static int split_source(struct request *q, struct copy_request *c, char bucket[64])
{
    const char *text = message_get(&q->message, "x-amz-copy-source"), *at = text + (*text == '/');
    const char *version = strstr(at, "?versionId=");
    size_t len = version ? (size_t)(version - at) : strlen(at);
    c->source = malloc(len + 1);
    if (!c->source)
        return -ENOMEM;
    int n = uri_decode(at, len, false, c->source);
    char *slash = n > 0 ? strchr(c->source, '/') : NULL;
    if (!slash || slash == c->source || !slash[1] || slash - c->source > 63)
        return bad_source(q, text);
    memcpy(bucket, c->source, (size_t)(slash - c->source));
    bucket[slash - c->source] = '\0';
    c->copy.key = span_of(slash + 1, (size_t)n - (size_t)(slash + 1 - c->source));
    c->copy.version_id = version ? version + 11 : NULL;
    return 0;
}

int copy_read_source(struct request *q, struct copy_request *c)
{
    char bucket[64];
    struct engine_bucket from;
    int r = split_source(q, c, bucket);
    if (r < 0)
        return r;
    if (engine_bucket_get(q->engine, bucket, strlen(bucket), &from) < 0) {
        error_element(q, "BucketName", bucket);
        return reason_fail_s3(&q->caller.reason, ENOENT, "NoSuchBucket", "The specified bucket does not exist");
    }
    const char *owner = message_get(&q->message, "x-amz-source-expected-bucket-owner");
    if (owner && strcmp(owner, from.account) != 0 && strcmp(owner, from.owner_id) != 0)
        return fail(q, "AccessDenied", "Access Denied");
    c->copy.bucket = from.number;
    c->from_versioned = from.versioned;
    read_read_conditions(q, "x-amz-copy-source-", &c->copy.conditions);
    return 0;
}

static int read_directive(struct request *q, const char *header, bool *ret)
{
    const char *text = message_get(&q->message, header);
    *ret = text && strcmp(text, "REPLACE") == 0;
    if (text && !*ret && strcmp(text, "COPY") != 0)
        return fail_argument(q, header, text, "Unknown directive: COPY and REPLACE are known.");
    return 0;
}

static int read_destination(struct request *q, struct copy_request *c, struct engine_conditions *conditions)
{
    struct engine_copy *copy = &c->copy;
    int r = read_directive(q, "x-amz-metadata-directive", &copy->replace_values);
    if (r == 0)
        r = read_directive(q, "x-amz-tagging-directive", &copy->replace_tags);
    if (r == 0 && copy->replace_values)
        r = read_object_headers(q, &c->values);
    if (r == 0)
        r = read_object_labels(q, &c->values);
    if (r == 0 && copy->replace_tags)
        r = read_object_tags(q, &c->values);
    if (r == 0)
        r = read_lock_headers(q, &copy->to);
    if (r == 0)
        r = read_algorithm(q, &copy->to.checksum);
    if (r == 0)
        r = read_write_conditions(q, conditions);
    copy->changes = message_get(&q->message, "x-amz-storage-class") || message_get(&q->message, "x-amz-website-redirect-location") ||
                    message_get(&q->message, "x-amz-server-side-encryption");
    copy->to.bucket = q->bucket.number;
    copy->to.key = q->key;
    copy->to.values = c->values.v;
    copy->to.value_count = c->values.count;
    copy->to.conditions = conditions;
    return r;
}

void copy_answer_source(struct request *q, const struct copy_request *c, const struct engine_object *source)
{
    if (c->from_versioned)
        answer_header(q, "x-amz-copy-source-version-id", "%s", source->version.id);
}

void xml_checksums(struct request *q, const struct engine_object *o)
{
    struct engine_value v;
    for (size_t at = 0; engine_object_next(o, &at, &v);) {
        char name[40];
        if (v.kind != ENGINE_VALUE_FACT || v.name_len <= 9 || memcmp(v.name, "checksum-", 9) != 0)
            continue;
        bool type = v.name_len == 13 && memcmp(v.name, "checksum-type", 13) == 0;
        snprintf(name, sizeof name, "Checksum%.*s", type ? 4 : (int)(v.name_len - 9), type ? "Type" : v.name + 9);
        xml_bytes_element(q, name, v.value, v.len);
    }
}

int copy_object(struct request *q)
{
    struct copy_request c = {.source = NULL};
    struct engine_conditions conditions = ENGINE_UNCONDITIONAL;
    struct engine_object object = {0}, source = {0};
    int r = copy_read_source(q, &c);
    if (r == 0)
        r = read_destination(q, &c, &conditions);
    if (r == 0)
        r = engine_copy(q->engine, &q->caller, &c.copy, &object, &source);
    if (r < 0) {
        answer_failed_condition(q, c.copy.conditions.failed ? &c.copy.conditions : &conditions);
    } else {
        answer_version(q, object.has_id, object.version.id);
        copy_answer_source(q, &c, &source);
        answer_sse(q, &object);
        xml_open(q, "CopyObjectResult");
        xml_etag_element(q, object.version.etag);
        xml_time_element(q, "LastModified", object.version.publish_ns);
        xml_checksums(q, &object);
        xml_close(q, "CopyObjectResult");
    }
    engine_object_done(&object);
    engine_object_done(&source);
    copy_request_done(&c);
    return r;
}
