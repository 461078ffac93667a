/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of calls, and which one a request is (s3-api.md §1.1). */
#include "s3/request.h"

#include <stdio.h>

/* More particular ones first. */
static const struct operation operations[] = {
    {.name = "ListBuckets", .method = "GET", .level = LEVEL_SERVICE, .action = "s3:ListAllMyBuckets", .run = list_buckets},

    {.name = "GetBucketLocation", .method = "GET", .level = LEVEL_BUCKET, .query = "location", .action = "s3:GetBucketLocation",
     .run = get_bucket_location},
    {.name = "ListObjectsV2", .method = "GET", .level = LEVEL_BUCKET, .query = "list-type", .action = "s3:ListBucket",
     .run = list_objects_v2},
    {.name = "ListObjects", .method = "GET", .level = LEVEL_BUCKET, .action = "s3:ListBucket", .run = list_objects},
    {.name = "HeadBucket", .method = "HEAD", .level = LEVEL_BUCKET, .action = "s3:ListBucket", .run = head_bucket},
    {.name = "CreateBucket", .method = "PUT", .level = LEVEL_BUCKET, .body = BODY_DOCUMENT, .run = create_bucket},
    {.name = "DeleteBucket", .method = "DELETE", .level = LEVEL_BUCKET, .action = "s3:DeleteBucket", .run = delete_bucket},

    {.name = "GetObject", .method = "GET", .level = LEVEL_OBJECT, .run = get_object},
    {.name = "HeadObject", .method = "HEAD", .level = LEVEL_OBJECT, .run = get_object},
    {.name = "PutObject", .method = "PUT", .level = LEVEL_OBJECT, .action = "s3:PutObject", .body = BODY_CONTENT,
     .begin = put_object_begin, .run = put_object},
    {.name = "DeleteObject", .method = "DELETE", .level = LEVEL_OBJECT, .action = "s3:DeleteObject",
     .version_action = "s3:DeleteObjectVersion", .run = delete_object},
};
enum { OPERATION_COUNT = sizeof operations / sizeof *operations };

/* Parameters that name a call of their own: a request that has one is never taken for a plain one. */
static const char *const subresources[] = {
    "accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "intelligent-tiering", "inventory", "legal-hold",
    "lifecycle", "list-type", "location", "logging", "metadataConfiguration", "metadataTable", "metrics", "notification", "object-lock",
    "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "renameObject", "replication", "requestPayment", "restore",
    "retention", "select", "session", "abac", "tagging", "torrent", "uploadId", "uploads", "versioning", "versions", "website",
    "write-filter",
};
/* Parameters with a meaning beside those. */
static const char *const parameters[] = {
    "continuation-token", "delimiter", "encoding-type", "fetch-owner", "key-marker", "marker", "max-buckets", "max-keys", "max-parts",
    "max-uploads", "part-number-marker", "partNumber", "prefix", "start-after", "upload-id-marker", "version-id-marker", "versionId",
    "x-id",
};

static bool listed(const char *const *list, size_t count, const char *name)
{
    for (size_t n = 0; n < count; n++) {
        if (strcmp(list[n], name) == 0)
            return true;
    }
    return false;
}

static bool is_subresource(const char *name)
{
    return listed(subresources, sizeof subresources / sizeof *subresources, name);
}

static bool is_known(const char *name)
{
    return is_subresource(name) || listed(parameters, sizeof parameters / sizeof *parameters, name);
}

static int check_twice(struct request *q)
{
    const struct pairs *p = &q->message.query;
    for (size_t n = 0; n < p->count; n++) {
        for (size_t i = 0; i < n && is_known(p->v[n].name); i++) {
            if (strcmp(p->v[i].name, p->v[n].name) == 0)
                return fail_argument(q, p->v[n].name, p->v[n].value, "a query parameter is given once");
        }
    }
    return 0;
}

/* A sub-resource newer than this table must not be taken for a plain write. */
static int check_unknown(struct request *q)
{
    const struct message *m = &q->message;
    if (strcmp(m->method, "PUT") != 0 && strcmp(m->method, "POST") != 0 && strcmp(m->method, "DELETE") != 0)
        return 0;
    for (size_t n = 0; n < m->query.count; n++) {
        if (!m->query.v[n].value[0] && !is_known(m->query.v[n].name))
            return fail(q, "NotImplemented", "'?%.100s' is no sub-resource known here, so the request is not taken for a plain one",
                        m->query.v[n].name);
    }
    return 0;
}

static enum request_level level_of(const struct message *m)
{
    return !m->bucket[0] ? LEVEL_SERVICE : m->key_len ? LEVEL_OBJECT : LEVEL_BUCKET;
}

/* The sub-resource that is asked for, or NULL. */
static const char *asked(const struct message *m)
{
    for (size_t n = 0; n < m->query.count; n++) {
        if (is_subresource(m->query.v[n].name))
            return m->query.v[n].name;
    }
    return NULL;
}

static bool fits(const struct operation *o, const struct message *m, const char *sub)
{
    if (o->level != level_of(m) || (o->query ? !message_query(m, o->query) : sub != NULL))
        return false;
    return !o->header || message_get(m, o->header);
}

static int not_allowed(struct request *q, const char *allow)
{
    answer_header(q, "Allow", "%s", allow);
    error_element(q, "Method", q->message.method);
    error_element(q, "ResourceType", level_of(&q->message) == LEVEL_OBJECT   ? "OBJECT"
                                     : level_of(&q->message) == LEVEL_BUCKET ? "BUCKET"
                                                                             : "SERVICE");
    return fail(q, "MethodNotAllowed", "The specified method is not allowed against this resource.");
}

static int no_operation(struct request *q, const char *sub)
{
    char allow[128] = "";
    for (size_t n = 0; n < OPERATION_COUNT; n++) {
        const struct operation *o = &operations[n];
        if (!fits(o, &q->message, sub) || strstr(allow, o->method))
            continue;
        size_t len = strlen(allow);
        snprintf(allow + len, sizeof allow - len, "%s%s", len ? ", " : "", o->method);
    }
    if (!allow[0] && sub)
        return fail(q, "NotImplemented", "A header or query you provided implies functionality that is not implemented: ?%s", sub);
    return not_allowed(q, allow[0] ? allow : "GET");
}

int route(struct request *q)
{
    const struct message *m = &q->message;
    int r = check_twice(q);
    if (r == 0)
        r = check_unknown(q);
    if (r < 0)
        return r;
    const char *sub = asked(m);
    for (size_t n = 0; n < OPERATION_COUNT; n++) {
        if (strcmp(operations[n].method, m->method) == 0 && fits(&operations[n], m, sub)) {
            q->operation = &operations[n];
            return 0;
        }
    }
    return no_operation(q, sub);
}
