/* SPDX-License-Identifier: GPL-3.0-or-later
 * The way of a request, in the order of auth.md §0: target, authentication, call, bucket, permission, parameters, body, the call
 * itself. Everything here runs in a worker. */
#include "s3/front.h"
#include "s3/request.h"

#include <stdio.h>
#include <strings.h>

enum { HEAD_BYTES = 8192, TARGET_BYTES = 16384, DOCUMENT_BYTES = 1 << 20 };

static int judge_head(struct request *q)
{
    struct message *m = &q->message;
    if (m->header_bytes > HEAD_BYTES)
        return fail(q, "RequestHeaderSectionTooLarge", "the headers are longer than %d bytes", HEAD_BYTES);
    if (m->headers.failed)
        return -ENOMEM;
    return 0;
}

/* What is announced, whatever is wrong with it: also a refusal must know what is to come. */
static void note_length(struct request *q)
{
    const char *length = message_get(&q->message, "content-length");
    char *end = NULL;
    errno = 0;
    q->length = length ? strtoull(length, &end, 10) : 0;
    q->sized = length && length[0] >= '0' && length[0] <= '9' && !*end && !errno;
}

static int judge_length(struct request *q)
{
    const struct message *m = &q->message;
    bool length = message_get(m, "content-length"), chunked = message_get(m, "transfer-encoding");
    q->close = length && (chunked || !q->sized || message_count(m, "content-length") > 1);
    if (!q->close)
        return 0;
    return q->sized ? fail(q, "InvalidRequest", "Content-Length and Transfer-Encoding exclude each other, and stand once")
                    : fail(q, "InvalidRequest", "Content-Length is a number of bytes");
}

bool request_takes_body(const struct request *q)
{
    return q->sized ? q->length > 0 : message_get(&q->message, "transfer-encoding") != NULL;
}

/* ---- bucket and permission ---- */

static int judge_owner(struct request *q)
{
    const char *expected = message_get(&q->message, "x-amz-expected-bucket-owner");
    if (!expected || strcmp(expected, q->bucket.account) == 0 || strcmp(expected, q->bucket.owner_id) == 0)
        return 0;
    return fail(q, "AccessDenied", "Access Denied");
}

static int find_bucket(struct request *q)
{
    const struct message *m = &q->message;
    q->key = span_of(m->key, m->key_len);
    if (q->operation->level == LEVEL_SERVICE || q->operation->run == create_bucket)
        return 0;
    if (engine_bucket_get(q->engine, m->bucket, strlen(m->bucket), &q->bucket) < 0)
        return fail(q, "NoSuchBucket", "The specified bucket does not exist");
    q->has_bucket = true;
    return judge_owner(q);
}

static int judge_permission(struct request *q)
{
    const struct operation *o = q->operation;
    const char *action = q->version_id && o->version_action ? o->version_action : o->action;
    return action ? engine_key_may(q->engine, &q->caller, action, q->bucket.number, q->key) : 0;
}

static int judge_target(struct request *q)
{
    const struct message *m = &q->message;
    if (m->bucket[0] && !engine_bucket_name_valid(m->bucket, strlen(m->bucket), &q->caller.reason))
        return -EINVAL;
    if (m->key_len > 4095)
        return fail(q, "KeyTooLongError", "Your key is too long");
    return 0;
}

static int judge_version_id(struct request *q)
{
    uint8_t raw[20];
    const char *id = q->version_id;
    if (!id || strcmp(id, "null") == 0 || (strlen(id) == 32 && base32_parse(id, 32, raw, sizeof raw) == 0))
        return 0;
    return fail_argument(q, "versionId", id, id[0] ? "Invalid version id specified" : "Version id cannot be the empty string");
}

/* How the request came, for the trail's records of what it does. */
static void tell_audit(struct request *q)
{
    q->seen.user_agent = message_get(&q->message, "user-agent");
    q->seen.host = message_get(&q->message, "host");
    q->seen.access_key = q->signature.form == SIGNED_NOT ? NULL : q->signature.key_id;
    q->caller.request = &q->seen;
}

static int begin(struct request *q)
{
    struct s3_front *f = q->front;
    struct message *m = &q->message;
    q->head = strcmp(m->method, "HEAD") == 0;
    note_length(q);
    int r = atomic_load(&f->stopping) ? fail(q, "ServiceUnavailable", "the server is being stopped; try again") : judge_head(q);
    if (r == 0 && strlen(m->target) > TARGET_BYTES)
        r = fail(q, "RequestURITooLong", "the request line is longer than %d bytes", TARGET_BYTES);
    if (r == 0)
        r = message_read(m, (const char *const *)f->domains, f->domain_count, &q->caller.reason);
    if (r == 0)
        r = judge_target(q);
    if (r == 0)
        r = authenticate(q);
    q->version_id = message_query(m, "versionId");
    if (r == 0)
        r = route(q);
    if (r == 0)
        r = find_bucket(q);
    if (r == 0) {
        context_fill(q);
        tell_audit(q);
        r = judge_permission(q);
    }
    if (r == 0)
        r = judge_length(q);
    if (r == 0)
        r = judge_version_id(q);
    if (r == 0)
        r = integrity_begin(q);
    if (r == 0 && q->operation->body == BODY_CONTENT && !q->sized && !request_takes_body(q))
        r = fail(q, "MissingContentLength", "You must provide the Content-Length HTTP header.");
    if (r == 0 && q->operation->begin)
        r = q->operation->begin(q);
    return r;
}

static void end(struct request *q, int r)
{
    engine_put_free(q->put);
    q->put = NULL;
    if (r < 0 && q->caller.request)
        engine_audit_refused(q->engine, &q->caller, q->operation->name, r);
    if (r < 0)
        error_answer(q, r);
    else if (!q->status)
        q->status = 200;
    if (q->out.failed || q->out_headers.failed)
        q->status = 500;
}

void request_begin(struct request *q)
{
    engine_caller_init(q->engine, &q->caller, 0, 0, 0, "s3");
    q->caller.principal = (struct principal){.kind = PRINCIPAL_ANONYMOUS};
    q->seen = (struct caller_request){.request_id = q->id, .source_ip = q->address};
    int r = begin(q);
    if (r < 0)
        end(q, r);
    else if (!request_takes_body(q))
        request_finish(q);
}

/* ---- the body ---- */

static int put_piece(void *arg, const void *bytes, size_t len)
{
    struct request *q = arg;
    return engine_put_write(q->put, bytes, len);
}

static int take_document(struct request *q, const void *bytes, size_t len)
{
    bool large = q->operation->query && (strcmp(q->operation->query, "delete") == 0 || strcmp(q->operation->query, "uploadId") == 0);
    if (q->document.len + len > (large ? REQUEST_DOCUMENT_BYTES : DOCUMENT_BYTES))
        return fail(q, "MaxMessageLengthExceeded", "Your request was too big.");
    bytes_put(&q->document, bytes, len);
    return q->document.failed ? -ENOMEM : 0;
}

void request_body(struct request *q, const void *bytes, size_t len)
{
    int r = 0;
    q->received += len;
    switch (q->operation->body) {
    case BODY_CONTENT:
        if (!q->streaming)
            checksum_add(&q->sha256, bytes, len);
        r = q->streaming ? chunked_feed(&q->chunked, bytes, len, put_piece, q, &q->caller.reason) : put_piece(q, bytes, len);
        break;
    case BODY_DOCUMENT:
        r = take_document(q, bytes, len);
        break;
    case BODY_NONE:
        if (q->received > REQUEST_DROP_BYTES) {
            q->close = true;
            r = fail(q, "InvalidRequest", "this request takes no body");
        }
        break;
    }
    if (r < 0)
        end(q, r);
}

void request_finish(struct request *q)
{
    int r = q->operation->body == BODY_DOCUMENT ? integrity_document(q) : 0;
    if (r == 0)
        r = q->operation->run(q);
    end(q, r);
}

void request_done(struct request *q)
{
    engine_put_free(q->put);
    if (q->handle)
        engine_release(q->handle);
    message_done(&q->message);
    pairs_done(&q->kept);
    pairs_done(&q->out_headers);
    bytes_done(&q->out);
    bytes_done(&q->elements);
    bytes_done(&q->document);
    checksum_done(&q->sha256);
    chunked_done(&q->chunked);
    secret_wipe(&q->signature, sizeof q->signature);
}
