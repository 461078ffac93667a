/* SPDX-License-Identifier: GPL-3.0-or-later
 * Service and bucket calls: ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation (s3-api.md §3). */
#include "s3/front.h"
#include "s3/request.h"
#include "s3/xmlin.h"

#include <stdio.h>
#include <strings.h>

enum { BUCKETS_MAX = 10000 };

/* ---- ListBuckets ---- */

struct bucket_page {
    struct request *q;
    const char *prefix;
    unsigned left;
    char last[64];
    bool more, owner;
};

static int page_bucket(void *arg, const struct engine_bucket *b)
{
    struct bucket_page *p = arg;
    if (!p->owner) {
        p->q->bucket = *b; /* all are of one account */
        p->owner = true;
    }
    if (strncmp(b->name, p->prefix, strlen(p->prefix)) != 0)
        return 0;
    if (!p->left) {
        p->more = true;
        return 1;
    }
    p->left--;
    memcpy(p->last, b->name, sizeof p->last);
    struct bytes *out = &p->q->document; /* not needed for anything else */
    char created[40];
    timeform_format_ms(b->created_ns / 1000000, created);
    bytes_printf(out, "<Bucket><Name>%s</Name><CreationDate>%s</CreationDate><BucketRegion>%s</BucketRegion><BucketArn>arn:aws:s3:::%s</BucketArn></Bucket>",
                 b->name, created, engine_conf(p->q->engine)->region, b->name);
    return 0;
}

static int read_max_buckets(struct request *q, unsigned *ret)
{
    const char *text = message_query(&q->message, "max-buckets");
    int r = read_count(q, "max-buckets", INT32_MAX, ret);
    if (!text || r < 0) {
        *ret = BUCKETS_MAX;
        return r;
    }
    if (*ret < 1 || *ret > BUCKETS_MAX)
        return fail_argument(q, "max-buckets", text, "max-buckets is 1 to 10000");
    return 0;
}

/* The token is the last name in hex: names are no secret to who may list them. */
static int read_bucket_token(struct request *q, char after[64])
{
    const char *token = message_query(&q->message, "continuation-token");
    after[0] = '\0';
    size_t len = token ? strlen(token) : 0;
    if (!len)
        return 0;
    if (len % 2 || len / 2 > 63 || hex_parse(token, len, (uint8_t *)after) < 0)
        return fail_argument(q, "continuation-token", token, "The continuation token provided is incorrect");
    after[len / 2] = '\0';
    return 0;
}

int list_buckets(struct request *q)
{
    const char *prefix = message_query(&q->message, "prefix"), *region = message_query(&q->message, "bucket-region");
    struct bucket_page p = {.q = q, .prefix = prefix ? prefix : ""};
    char after[64];
    int r = read_max_buckets(q, &p.left);
    if (r == 0)
        r = read_bucket_token(q, after);
    if (r == 0)
        r = engine_account_owner(q->engine, &q->caller, &q->bucket);
    bool elsewhere = region && strcmp(region, engine_conf(q->engine)->region) != 0;
    if (r == 0 && !elsewhere)
        r = engine_buckets(q->engine, &q->caller, after, page_bucket, &p);
    if (r < 0)
        return r;
    xml_open(q, "ListAllMyBucketsResult");
    xml_owner(q, "Owner");
    bytes_printf(&q->out, "<Buckets>");
    bytes_put(&q->out, q->document.data, q->document.len);
    bytes_printf(&q->out, "</Buckets>");
    if (p.more) {
        char token[128];
        hex_format(p.last, strlen(p.last), token);
        xml_text_element(q, "ContinuationToken", token);
    }
    if (prefix)
        xml_text_element(q, "Prefix", prefix);
    xml_close(q, "ListAllMyBucketsResult");
    return 0;
}

/* ---- CreateBucket ---- */

static bool is_scope_region(const struct request *q, const char *text)
{
    return !q->front->region_strict && q->signature.form != SIGNED_NOT && strcmp(text, q->signature.scope.region) == 0;
}

static int read_configuration(struct request *q)
{
    if (!q->document.len)
        return 0;
    xmlDoc *doc = xmlin_read(q->document.data, q->document.len, "CreateBucketConfiguration");
    if (!doc)
        return xmlin_malformed(q);
    char text[64] = "";
    xmlNode *root = xmlDocGetRootElement(doc), *location = xmlin_child(root, "LocationConstraint");
    int r = location ? xmlin_text(location, text, sizeof text) : 0;
    const char *region = engine_conf(q->engine)->region;
    if (r < 0)
        r = fail(q, "InvalidLocationConstraint", "The specified location-constraint is not valid");
    else if (xmlin_child(root, "Location") || xmlin_child(root, "Bucket"))
        r = fail(q, "NotImplemented", "directory buckets are not offered");
    else if (text[0] && strcmp(text, region) != 0 && !is_scope_region(q, text))
        r = fail(q, "InvalidLocationConstraint", "The specified location-constraint is not valid: this store's region is %s", region);
    xmlFreeDoc(doc);
    return r;
}

static bool has_grants(const struct request *q)
{
    for (size_t n = 0; n < q->message.headers.count; n++) {
        if (strncmp(q->message.headers.v[n].name, "x-amz-grant-", 12) == 0)
            return true;
    }
    return false;
}

/* Grants are not kept (s3-api.md §12): what would need them is refused, not ignored. */
static int read_ownership(struct request *q, enum engine_ownership *ret)
{
    const char *text = message_get(&q->message, "x-amz-object-ownership"), *acl = message_get(&q->message, "x-amz-acl");
    const char *space = message_get(&q->message, "x-amz-bucket-namespace");
    bool is_private = acl && strcmp(acl, "private") == 0;
    if (space && strcmp(space, "global") != 0)
        return fail(q, "NotImplemented", "x-amz-bucket-namespace other than global is not offered");
    if (text && ownership_find(text, ret) < 0)
        return fail_argument(q, "x-amz-object-ownership", text, "x-amz-object-ownership is BucketOwnerEnforced, BucketOwnerPreferred or ObjectWriter");
    if (!text) /* as S3: who sends an ACL goes on sending them */
        *ret = is_private ? OWNERSHIP_PREFERRED : OWNERSHIP_ENFORCED;
    if ((!acl || is_private) && !has_grants(q))
        return 0;
    if (*ret == OWNERSHIP_ENFORCED)
        return fail(q, "InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting");
    if (acl && strncmp(acl, "public-", 7) == 0) /* new buckets have BlockPublicAcls */
        return fail(q, "AccessDenied", "Access Denied");
    return fail(q, "NotImplemented", "ACLs that grant anything to others are not offered: write a bucket policy");
}

int create_bucket(struct request *q)
{
    const char *lock = message_get(&q->message, "x-amz-bucket-object-lock-enabled"), *name = q->message.bucket;
    int r = read_configuration(q);
    enum engine_ownership ownership = OWNERSHIP_ENFORCED;
    if (r == 0)
        r = read_ownership(q, &ownership);
    if (r < 0)
        return r;
    bool locks = lock && strcasecmp(lock, "true") == 0;
    if (lock && !locks && strcasecmp(lock, "false") != 0)
        return fail_argument(q, "x-amz-bucket-object-lock-enabled", lock, "x-amz-bucket-object-lock-enabled is true or false");
    json_t *options = json_pack("{s:b, s:b, s:b, s:i, s:b, s:b}", "unversioned", !locks, "object-lock", locks, "again", 1, "ownership",
                                (int)ownership, "acl", message_get(&q->message, "x-amz-acl") != NULL, "ownership-sent",
                                message_get(&q->message, "x-amz-object-ownership") != NULL);
    r = options ? engine_bucket_create(q->engine, &q->caller, name, options) : -ENOMEM;
    json_decref(options);
    if (r < 0)
        return r;
    engine_watch_settle(q->engine);
    answer_header(q, "Location", "/%s", name);
    answer_header(q, "x-amz-bucket-arn", "arn:aws:s3:::%s", name);
    return 0;
}

/* ---- the others ---- */

int delete_bucket(struct request *q)
{
    int r = engine_bucket_delete(q->engine, &q->caller, q->bucket.name, false);
    if (r < 0)
        return r;
    engine_watch_settle(q->engine);
    q->status = 204;
    return 0;
}

int head_bucket(struct request *q)
{
    answer_header(q, "x-amz-bucket-arn", "arn:aws:s3:::%s", q->bucket.name);
    answer_header(q, "x-amz-access-point-alias", "false");
    return 0;
}

int get_bucket_location(struct request *q)
{
    const char *region = engine_conf(q->engine)->region;
    xml_open(q, "LocationConstraint");
    if (strcmp(region, "us-east-1") != 0)
        bytes_printf(&q->out, "%s", region);
    xml_close(q, "LocationConstraint");
    return 0;
}
