/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of calls, and which one a request is (s3-api.md §1.1). */
#include "s3/request.h"

#include <stdio.h>

/* A sub-resource that the engine has as a property; one that can be removed; one that is not offered. */
#define PROPERTY(sub, get, put)                                                                                             \
    {.name = "Get" get, .method = "GET", .level = LEVEL_BUCKET, .query = sub, .action = "s3:Get" get, .run = get_subresource}, \
    {.name = "Put" put, .method = "PUT", .level = LEVEL_BUCKET, .query = sub, .action = "s3:Put" put, .body = BODY_DOCUMENT,   \
     .run = put_subresource}
#define REMOVAL(sub, put) \
    {.name = "Delete" put, .method = "DELETE", .level = LEVEL_BUCKET, .query = sub, .action = "s3:Put" put, .run = delete_subresource}
#define ABSENT(sub, get, put)                                                                                           \
    {.name = "Get" get, .method = "GET", .level = LEVEL_BUCKET, .query = sub, .action = "s3:Get" get, .run = get_absent}, \
    {.name = "Put" put, .method = "PUT", .level = LEVEL_BUCKET, .query = sub, .action = "s3:Put" put, .body = BODY_DOCUMENT, \
     .run = put_absent},                                                                                                \
    {.name = "Delete" put, .method = "DELETE", .level = LEVEL_BUCKET, .query = sub, .action = "s3:Put" put, .run = delete_absent}

/* More particular ones first. */
static const struct operation operations[] = {
    {.name = "ListBuckets", .method = "GET", .level = LEVEL_SERVICE, .action = "s3:ListAllMyBuckets", .run = list_buckets},

    {.name = "GetBucketLocation", .method = "GET", .level = LEVEL_BUCKET, .query = "location", .action = "s3:GetBucketLocation",
     .run = get_bucket_location},
    PROPERTY("versioning", "BucketVersioning", "BucketVersioning"),
    PROPERTY("object-lock", "BucketObjectLockConfiguration", "BucketObjectLockConfiguration"),
    PROPERTY("encryption", "EncryptionConfiguration", "EncryptionConfiguration"),
    REMOVAL("encryption", "EncryptionConfiguration"),
    PROPERTY("policy", "BucketPolicy", "BucketPolicy"),
    {.name = "DeleteBucketPolicy", .method = "DELETE", .level = LEVEL_BUCKET, .query = "policy", .action = "s3:DeleteBucketPolicy",
     .run = delete_subresource},
    {.name = "GetBucketPolicyStatus", .method = "GET", .level = LEVEL_BUCKET, .query = "policyStatus",
     .action = "s3:GetBucketPolicyStatus", .run = get_policy_status},
    PROPERTY("publicAccessBlock", "BucketPublicAccessBlock", "BucketPublicAccessBlock"),
    REMOVAL("publicAccessBlock", "BucketPublicAccessBlock"),
    PROPERTY("tagging", "BucketTagging", "BucketTagging"),
    REMOVAL("tagging", "BucketTagging"),
    {.name = "GetBucketAcl", .method = "GET", .level = LEVEL_BUCKET, .query = "acl", .action = "s3:GetBucketAcl", .run = get_bucket_acl},
    {.name = "PutBucketAcl", .method = "PUT", .level = LEVEL_BUCKET, .query = "acl", .action = "s3:PutBucketAcl", .body = BODY_DOCUMENT,
     .run = put_acl},
    {.name = "GetBucketOwnershipControls", .method = "GET", .level = LEVEL_BUCKET, .query = "ownershipControls",
     .action = "s3:GetBucketOwnershipControls", .run = get_ownership},
    {.name = "PutBucketOwnershipControls", .method = "PUT", .level = LEVEL_BUCKET, .query = "ownershipControls",
     .action = "s3:PutBucketOwnershipControls", .body = BODY_DOCUMENT, .run = put_ownership},
    {.name = "DeleteBucketOwnershipControls", .method = "DELETE", .level = LEVEL_BUCKET, .query = "ownershipControls",
     .action = "s3:PutBucketOwnershipControls", .run = delete_ownership},
    ABSENT("website", "BucketWebsite", "BucketWebsite"),
    ABSENT("replication", "ReplicationConfiguration", "ReplicationConfiguration"),
    ABSENT("lifecycle", "LifecycleConfiguration", "LifecycleConfiguration"),
    ABSENT("cors", "BucketCORS", "BucketCORS"),
    ABSENT("accelerate", "AccelerateConfiguration", "AccelerateConfiguration"),
    ABSENT("requestPayment", "BucketRequestPayment", "BucketRequestPayment"),
    ABSENT("notification", "BucketNotification", "BucketNotification"),
    ABSENT("logging", "BucketLogging", "BucketLogging"),
    ABSENT("inventory", "InventoryConfiguration", "InventoryConfiguration"),
    ABSENT("analytics", "AnalyticsConfiguration", "AnalyticsConfiguration"),
    ABSENT("metrics", "MetricsConfiguration", "MetricsConfiguration"),
    ABSENT("intelligent-tiering", "IntelligentTieringConfiguration", "IntelligentTieringConfiguration"),
    {.name = "ListObjectVersions", .method = "GET", .level = LEVEL_BUCKET, .query = "versions", .action = "s3:ListBucketVersions",
     .run = list_versions},
    {.name = "ListMultipartUploads", .method = "GET", .level = LEVEL_BUCKET, .query = "uploads",
     .action = "s3:ListBucketMultipartUploads", .run = list_uploads},
    {.name = "DeleteObjects", .method = "POST", .level = LEVEL_BUCKET, .query = "delete", .body = BODY_DOCUMENT, .run = delete_objects},
    {.name = "ListObjectsV2", .method = "GET", .level = LEVEL_BUCKET, .query = "list-type", .action = "s3:ListBucket",
     .run = list_objects_v2},
    {.name = "ListObjects", .method = "GET", .level = LEVEL_BUCKET, .action = "s3:ListBucket", .run = list_objects},
    {.name = "HeadBucket", .method = "HEAD", .level = LEVEL_BUCKET, .action = "s3:ListBucket", .run = head_bucket},
    {.name = "CreateBucket", .method = "PUT", .level = LEVEL_BUCKET, .body = BODY_DOCUMENT, .run = create_bucket},
    {.name = "DeleteBucket", .method = "DELETE", .level = LEVEL_BUCKET, .action = "s3:DeleteBucket", .run = delete_bucket},

    {.name = "GetObjectAttributes", .method = "GET", .level = LEVEL_OBJECT, .query = "attributes", .run = get_object_attributes},
    {.name = "GetObjectTagging", .method = "GET", .level = LEVEL_OBJECT, .query = "tagging", .run = get_object_tagging},
    {.name = "PutObjectTagging", .method = "PUT", .level = LEVEL_OBJECT, .query = "tagging", .action = "s3:PutObjectTagging",
     .version_action = "s3:PutObjectVersionTagging", .body = BODY_DOCUMENT, .run = put_object_tagging},
    {.name = "DeleteObjectTagging", .method = "DELETE", .level = LEVEL_OBJECT, .query = "tagging", .action = "s3:DeleteObjectTagging",
     .version_action = "s3:DeleteObjectVersionTagging", .run = delete_object_tagging},
    {.name = "GetObjectRetention", .method = "GET", .level = LEVEL_OBJECT, .query = "retention", .action = "s3:GetObjectRetention",
     .run = get_object_retention},
    {.name = "PutObjectRetention", .method = "PUT", .level = LEVEL_OBJECT, .query = "retention", .action = "s3:PutObjectRetention",
     .body = BODY_DOCUMENT, .run = put_object_retention},
    {.name = "GetObjectLegalHold", .method = "GET", .level = LEVEL_OBJECT, .query = "legal-hold", .action = "s3:GetObjectLegalHold",
     .run = get_object_legal_hold},
    {.name = "PutObjectLegalHold", .method = "PUT", .level = LEVEL_OBJECT, .query = "legal-hold", .action = "s3:PutObjectLegalHold",
     .body = BODY_DOCUMENT, .run = put_object_legal_hold},
    {.name = "GetObjectAcl", .method = "GET", .level = LEVEL_OBJECT, .query = "acl", .run = get_object_acl},
    {.name = "PutObjectAcl", .method = "PUT", .level = LEVEL_OBJECT, .query = "acl", .action = "s3:PutObjectAcl",
     .version_action = "s3:PutObjectVersionAcl", .body = BODY_DOCUMENT, .run = put_acl},
    {.name = "GetObjectTorrent", .method = "GET", .level = LEVEL_OBJECT, .query = "torrent", .action = "s3:GetObject", .run = get_torrent},
    {.name = "RestoreObject", .method = "POST", .level = LEVEL_OBJECT, .query = "restore", .action = "s3:GetObject",
     .body = BODY_DOCUMENT, .run = post_restore},
    {.name = "CreateMultipartUpload", .method = "POST", .level = LEVEL_OBJECT, .query = "uploads", .action = "s3:PutObject",
     .run = create_upload},
    {.name = "UploadPartCopy", .method = "PUT", .level = LEVEL_OBJECT, .query = "uploadId", .header = "x-amz-copy-source",
     .action = "s3:PutObject", .run = upload_part_copy},
    {.name = "UploadPart", .method = "PUT", .level = LEVEL_OBJECT, .query = "uploadId", .action = "s3:PutObject", .body = BODY_CONTENT,
     .begin = upload_part_begin, .run = upload_part},
    {.name = "UploadPart", .method = "PUT", .level = LEVEL_OBJECT, .query = "partNumber", .action = "s3:PutObject", .body = BODY_CONTENT,
     .begin = upload_part_begin, .run = upload_part},
    {.name = "CompleteMultipartUpload", .method = "POST", .level = LEVEL_OBJECT, .query = "uploadId", .action = "s3:PutObject",
     .body = BODY_DOCUMENT, .run = complete_upload},
    {.name = "AbortMultipartUpload", .method = "DELETE", .level = LEVEL_OBJECT, .query = "uploadId",
     .action = "s3:AbortMultipartUpload", .run = abort_upload},
    {.name = "ListParts", .method = "GET", .level = LEVEL_OBJECT, .query = "uploadId", .action = "s3:ListMultipartUploadParts",
     .run = list_parts},
    {.name = "CopyObject", .method = "PUT", .level = LEVEL_OBJECT, .header = "x-amz-copy-source", .action = "s3:PutObject",
     .run = copy_object},

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

bool route_is_subresource(const char *name)
{
    return listed(subresources, sizeof subresources / sizeof *subresources, name);
}

static bool is_known(const char *name)
{
    return route_is_subresource(name) || listed(parameters, sizeof parameters / sizeof *parameters, name);
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
        if (route_is_subresource(m->query.v[n].name))
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
