/* SPDX-License-Identifier: GPL-3.0-or-later
 * The one table of properties: name, where it stands, what is asked of the caller, who reads and writes it. */
#include "engine/property.h"

#include <stdio.h>

enum {
    HEADER = PROPERTY_COPYABLE | PROPERTY_KEY,
    LOCK = PROPERTY_LOCK | PROPERTY_SEALS | PROPERTY_DURABLE | PROPERTY_VERSIONS,
};

#define FACT(NAME, WHERE, GET) \
    {.name = NAME, .where = WHERE, .get_action = "s3:GetObject", .get = GET}
#define CONTENT_HEADER(NAME, SET)                                                                          \
    {.name = NAME, .where = ON_OBJECT, .flags = HEADER, .get_action = "s3:GetObject",                      \
     .set_action = "s3:PutObject", .remove_action = "s3:PutObject", .get = get_header, .set = SET, .remove = remove_header}
#define RETENTION(NAME, GET, SET)                                                                          \
    {.name = NAME, .where = ON_OBJECT, .flags = LOCK, .get_action = "s3:GetObjectRetention",               \
     .set_action = "s3:PutObjectRetention", .remove_action = "s3:PutObjectRetention", .get = GET, .set = SET, \
     .remove = remove_retention}
#define LEGAL_HOLD(NAME)                                                                                   \
    {.name = NAME, .where = ON_OBJECT, .flags = LOCK, .get_action = "s3:GetObjectLegalHold",               \
     .set_action = "s3:PutObjectLegalHold", .remove_action = "s3:PutObjectLegalHold", .get = get_hold, .set = set_hold, \
     .remove = remove_hold}
#define BUCKET(NAME, ACTION, PART, REMOVE)                                                                 \
    {.name = "bucket." NAME, .where = ON_BUCKET, .flags = PROPERTY_DURABLE, .get_action = "s3:Get" ACTION, \
     .set_action = "s3:Put" ACTION, .remove_action = "s3:Put" ACTION, .get = get_bucket_##PART,            \
     .set = set_bucket_##PART, .remove = REMOVE}

const struct property properties[] = {
    FACT("version-id", ON_OBJECT | ON_MARKER, get_version_id),
    FACT("etag", ON_OBJECT, get_etag),
    FACT("last-modified", ON_OBJECT | ON_MARKER, get_last_modified),
    FACT("is-latest", ON_OBJECT | ON_MARKER, get_is_latest),
    FACT("delete-marker", ON_MARKER, get_delete_marker),
    FACT("size-stored", ON_OBJECT, get_size_stored),
    FACT("made-by", ON_OBJECT | ON_MARKER, get_made_by),
    FACT("server-side-encryption", ON_OBJECT, get_sse),
    FACT("server-side-encryption-aws-kms-key-id", ON_OBJECT, get_sse_key),
    FACT("server-side-encryption-bucket-key-enabled", ON_OBJECT, get_sse_bucket_key),
    FACT("server-side-encryption-customer-algorithm", ON_OBJECT, get_sse_customer),
    FACT("server-side-encryption-customer-key-md5", ON_OBJECT, get_sse_customer_md5),
    {.name = "checksum-", .where = ON_OBJECT, .flags = PROPERTY_PREFIX, .get_action = "s3:GetObject", .get = get_checksum,
     .names = names_checksum},

    CONTENT_HEADER("content-type", set_header),
    CONTENT_HEADER("cache-control", set_header),
    CONTENT_HEADER("content-disposition", set_header),
    CONTENT_HEADER("content-encoding", set_header),
    CONTENT_HEADER("content-language", set_header),
    CONTENT_HEADER("expires", set_header),
    CONTENT_HEADER("website-redirect-location", set_redirect),
    {.name = "meta.", .where = ON_OBJECT, .flags = PROPERTY_COPYABLE | PROPERTY_PREFIX | PROPERTY_KEY, .get_action = "s3:GetObject",
     .set_action = "s3:PutObject", .remove_action = "s3:PutObject", .get = get_meta, .set = set_meta,
     .remove = remove_meta, .names = names_meta},
    {.name = "tagging", .where = ON_OBJECT, .flags = PROPERTY_COPYABLE | PROPERTY_VERSIONS,
     .get_action = "s3:GetObjectTagging", .set_action = "s3:PutObjectTagging", .remove_action = "s3:DeleteObjectTagging",
     .get = get_tagging, .set = set_tagging, .remove = remove_tagging},
    {.name = "tag.", .where = ON_OBJECT, .flags = PROPERTY_PREFIX | PROPERTY_VERSIONS, .get_action = "s3:GetObjectTagging",
     .set_action = "s3:PutObjectTagging", .remove_action = "s3:PutObjectTagging", .get = get_tag, .set = set_tag,
     .remove = remove_tag, .names = names_tag},

    RETENTION("retention", get_retention, set_retention),
    RETENTION("object-lock-mode", get_lock_mode, set_lock_mode),
    RETENTION("object-lock-retain-until-date", get_lock_date, set_lock_date),
    {.name = "retention-remaining", .where = ON_OBJECT, .flags = PROPERTY_LOCK | PROPERTY_VERSIONS,
     .get_action = "s3:GetObjectRetention", .get = get_remaining},
    LEGAL_HOLD("legal-hold"),
    LEGAL_HOLD("object-lock-legal-hold"),
    {.name = "bypass-governance-retention", .where = ON_OBJECT | ON_DIR | ON_BUCKET, .flags = PROPERTY_MEMORY | PROPERTY_VERSIONS,
     .set_action = "s3:BypassGovernanceRetention", .get = get_bypass, .set = set_bypass, .remove = remove_bypass},
    {.name = "settle", .where = ON_OBJECT, .flags = PROPERTY_SEALS | PROPERTY_DURABLE, .get_action = "s3:GetObject",
     .set_action = "s3:PutObject", .get = get_settle, .set = set_settle},

    {.name = "mfa", .where = ON_VERSION | ON_MARKER | ON_BUCKET | ON_ROOT, .flags = PROPERTY_MEMORY | PROPERTY_VERSIONS | PROPERTY_HIDDEN | PROPERTY_CODE,
     .get = get_mfa, .set = set_mfa, .remove = remove_mfa},

    {.name = "shadowed", .where = ON_DIR, .get_action = "s3:ListBucket", .get = get_shadowed},
    {.name = "unshown-keys", .where = ON_DIR, .get_action = "s3:ListBucket", .get = get_unshown_keys},
    {.name = "describe", .where = ON_ANY, .flags = PROPERTY_HIDDEN, .get_action = "s3:GetObject", .get = property_describe},
    {.name = "last-error", .where = ON_ANY, .flags = PROPERTY_HIDDEN | PROPERTY_MEMORY | PROPERTY_VERSIONS,
     .get = get_last_error, .remove = remove_last_error},

    {.name = "bucket.versioning", .where = ON_BUCKET, .flags = PROPERTY_DURABLE | PROPERTY_CODE, .get_action = "s3:GetBucketVersioning",
     .set_action = "s3:PutBucketVersioning", .get = get_bucket_versioning, .set = set_bucket_versioning},
    BUCKET("object-lock", "BucketObjectLockConfiguration", lock, NULL),
    BUCKET("settle", "BucketObjectLockConfiguration", settle, remove_bucket_settle),
    BUCKET("orphan-keep", "BucketObjectLockConfiguration", orphan_keep, remove_bucket_orphan_keep),
    BUCKET("tagging", "BucketTagging", tagging, remove_bucket_tagging),
    BUCKET("compression", "EncryptionConfiguration", compression, remove_bucket_compression),
    BUCKET("mode-mask", "BucketAcl", mode_mask, remove_bucket_mode_mask),
    BUCKET("encryption", "EncryptionConfiguration", encryption, remove_bucket_encryption),
    {.name = "bucket.policy", .where = ON_BUCKET, .flags = PROPERTY_DURABLE, .get_action = "s3:GetBucketPolicy",
     .set_action = "s3:PutBucketPolicy", .remove_action = "s3:DeleteBucketPolicy", .get = get_bucket_policy,
     .set = set_bucket_policy, .remove = remove_bucket_policy},
    BUCKET("public-access-block", "BucketPublicAccessBlock", block, remove_bucket_block),
};
const size_t property_count = sizeof properties / sizeof *properties;

const struct property *property_find(const char *name, const char **ret_rest)
{
    for (size_t i = 0; i < property_count; i++) {
        const struct property *p = &properties[i];
        size_t len = strlen(p->name);
        if (p->flags & PROPERTY_PREFIX ? strncmp(name, p->name, len) == 0 && name[len] : strcmp(name, p->name) == 0) {
            *ret_rest = name + len;
            return p;
        }
    }
    return NULL;
}

enum { NEAR_NAME_CHARS = 64, NEAR_DISTANCE = 4 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance; long names are far from everything. */
static unsigned distance(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    unsigned row[NEAR_NAME_CHARS + 1];
    if (a_len > NEAR_NAME_CHARS || b_len > NEAR_NAME_CHARS)
        return UINT32_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned above = row[j];
            row[j] = least(least(row[j - 1], above) + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

void property_near(const char *name, char out[256])
{
    out[0] = '\0';
    size_t len = 0, found = 0;
    for (unsigned d = 0; d <= NEAR_DISTANCE; d++) {
        for (size_t i = 0; i < property_count && found < 4; i++) {
            if (distance(name, properties[i].name) != d)
                continue;
            int n = snprintf(out + len, 256 - len, "%s%s", found ? ", " : "", properties[i].name);
            len += n > 0 ? (size_t)n : 0;
            found++;
            if (len >= 255)
                return;
        }
    }
}
