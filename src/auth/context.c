/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of condition keys (auth.md §4.3), and their values in one request: given by who asks, or said by the request itself. */
#include "auth/policy.h"
#include "util/timeform.h"

#include <stdio.h>
#include <strings.h>

struct key {
    const char *name;
    bool many;   /* several values */
    bool tagged; /* the name goes on */
};

static const struct key keys[AUTH_KEY_COUNT] = {
    [AUTH_ABSENT] = {.name = "aws:"},
    [AUTH_SECURE_TRANSPORT] = {.name = "aws:SecureTransport"},
    [AUTH_SOURCE_IP] = {.name = "aws:SourceIp"},
    [AUTH_SOURCE_VPC] = {.name = "aws:SourceVpc"},
    [AUTH_CURRENT_TIME] = {.name = "aws:CurrentTime"},
    [AUTH_EPOCH_TIME] = {.name = "aws:EpochTime"},
    [AUTH_PRINCIPAL_ARN] = {.name = "aws:PrincipalArn"},
    [AUTH_PRINCIPAL_ACCOUNT] = {.name = "aws:PrincipalAccount"},
    [AUTH_PRINCIPAL_TYPE] = {.name = "aws:PrincipalType"},
    [AUTH_USERID] = {.name = "aws:userid"},
    [AUTH_USERNAME] = {.name = "aws:username"},
    [AUTH_PRINCIPAL_IS_SERVICE] = {.name = "aws:PrincipalIsAWSService"},
    [AUTH_REQUESTED_REGION] = {.name = "aws:RequestedRegion"},
    [AUTH_RESOURCE_ACCOUNT] = {.name = "aws:ResourceAccount"},
    [AUTH_S3_RESOURCE_ACCOUNT] = {.name = "s3:ResourceAccount"},
    [AUTH_REFERER] = {.name = "aws:Referer"},
    [AUTH_USER_AGENT] = {.name = "aws:UserAgent"},
    [AUTH_MFA_PRESENT] = {.name = "aws:MultiFactorAuthPresent"},
    [AUTH_MFA_AGE] = {.name = "aws:MultiFactorAuthAge"},
    [AUTH_CALLED_VIA] = {.name = "aws:CalledVia", .many = true},
    [AUTH_SOURCE_ARN] = {.name = "aws:SourceArn"},
    [AUTH_SOURCE_ACCOUNT] = {.name = "aws:SourceAccount"},
    [AUTH_AUTH_TYPE] = {.name = "s3:authType"},
    [AUTH_SIGNATURE_VERSION] = {.name = "s3:signatureversion"},
    [AUTH_SIGNATURE_AGE] = {.name = "s3:signatureAge"},
    [AUTH_TLS_VERSION] = {.name = "s3:TlsVersion"},
    [AUTH_CONTENT_SHA256] = {.name = "s3:x-amz-content-sha256"},
    [AUTH_PREFIX] = {.name = "s3:prefix"},
    [AUTH_DELIMITER] = {.name = "s3:delimiter"},
    [AUTH_MAX_KEYS] = {.name = "s3:max-keys"},
    [AUTH_VERSION_ID] = {.name = "s3:VersionId"},
    [AUTH_SSE] = {.name = "s3:x-amz-server-side-encryption"},
    [AUTH_SSE_KMS_KEY] = {.name = "s3:x-amz-server-side-encryption-aws-kms-key-id"},
    [AUTH_SSE_CUSTOMER] = {.name = "s3:x-amz-server-side-encryption-customer-algorithm"},
    [AUTH_ACL] = {.name = "s3:x-amz-acl"},
    [AUTH_GRANT_READ] = {.name = "s3:x-amz-grant-read"},
    [AUTH_GRANT_WRITE] = {.name = "s3:x-amz-grant-write"},
    [AUTH_GRANT_READ_ACP] = {.name = "s3:x-amz-grant-read-acp"},
    [AUTH_GRANT_WRITE_ACP] = {.name = "s3:x-amz-grant-write-acp"},
    [AUTH_GRANT_FULL_CONTROL] = {.name = "s3:x-amz-grant-full-control"},
    [AUTH_COPY_SOURCE] = {.name = "s3:x-amz-copy-source"},
    [AUTH_METADATA_DIRECTIVE] = {.name = "s3:x-amz-metadata-directive"},
    [AUTH_STORAGE_CLASS] = {.name = "s3:x-amz-storage-class"},
    [AUTH_WEBSITE_REDIRECT] = {.name = "s3:x-amz-website-redirect-location"},
    [AUTH_OBJECT_OWNERSHIP] = {.name = "s3:x-amz-object-ownership"},
    [AUTH_LOCATION_CONSTRAINT] = {.name = "s3:LocationConstraint"},
    [AUTH_EXISTING_TAG] = {.name = "s3:ExistingObjectTag/", .tagged = true},
    [AUTH_REQUEST_TAG] = {.name = "s3:RequestObjectTag/", .tagged = true},
    [AUTH_REQUEST_TAG_KEYS] = {.name = "s3:RequestObjectTagKeys", .many = true},
    [AUTH_LOCK_MODE] = {.name = "s3:object-lock-mode"},
    [AUTH_LOCK_UNTIL] = {.name = "s3:object-lock-retain-until-date"},
    [AUTH_LOCK_HOLD] = {.name = "s3:object-lock-legal-hold"},
    [AUTH_LOCK_REMAINING_DAYS] = {.name = "s3:object-lock-remaining-retention-days"},
    [AUTH_IF_MATCH] = {.name = "s3:if-match"},
    [AUTH_IF_NONE_MATCH] = {.name = "s3:if-none-match"},
    [AUTH_OBJECT_CREATION] = {.name = "s3:ObjectCreationOperation"},
    [AUTH_POINT_ARN] = {.name = "s3:DataAccessPointArn"},
    [AUTH_POINT_ACCOUNT] = {.name = "s3:DataAccessPointAccount"},
    [AUTH_POINT_ORIGIN] = {.name = "s3:AccessPointNetworkOrigin"},
    [AUTH_KMS_VIA_SERVICE] = {.name = "kms:ViaService"},
    [AUTH_KMS_CONTEXT] = {.name = "kms:EncryptionContext:", .tagged = true},
    [AUTH_ARCHIVE_AGE] = {.name = "glacier:ArchiveAgeInDays"},
    [AUTH_RESOURCE_TAG] = {.name = "glacier:ResourceTag/", .tagged = true},
};

const char *auth_key_name(enum auth_key key)
{
    return keys[key].name;
}

bool auth_key_many(enum auth_key key)
{
    return keys[key].many;
}

/* A tag's key counts by its bytes: S3's tags `a` and `A` are two. */
int auth_key_find(const char *name, enum auth_key *ret, const char **ret_tag)
{
    for (size_t n = AUTH_ABSENT + 1; n < AUTH_KEY_COUNT; n++) {
        size_t len = strlen(keys[n].name);
        if (keys[n].tagged ? strncasecmp(name, keys[n].name, len) != 0 || !name[len] : strcasecmp(name, keys[n].name) != 0)
            continue;
        *ret = (enum auth_key)n;
        *ret_tag = name + len;
        return 0;
    }
    if (strncasecmp(name, "aws:", 4) != 0 || !name[4])
        return -EINVAL;
    *ret = AUTH_ABSENT;
    *ret_tag = "";
    return 0;
}

/* The service whose keys a policy of that kind may use beside aws: and s3:. */
static const char *service_of(enum policy_kind kind)
{
    switch (kind) {
    case POLICY_KEY:
        return "kms:";
    case POLICY_VAULT:
        return "glacier:";
    default:
        return NULL;
    }
}

int key_find_in(const char *name, enum policy_kind kind, enum auth_key *ret, const char **ret_tag)
{
    static const char *const others[] = {"kms:", "glacier:", "s3-object-lambda:", "lambda:"};
    int r = auth_key_find(name, ret, ret_tag);
    bool is_own = strncasecmp(name, "aws:", 4) == 0 || strncasecmp(name, "s3:", 3) == 0;
    if (is_own)
        return r;
    const char *service = service_of(kind);
    for (size_t n = 0; n < sizeof others / sizeof *others; n++) {
        size_t len = strlen(others[n]);
        if (strncasecmp(name, others[n], len) != 0 || !name[len] ||
            !(kind == POLICY_IDENTITY || (service && strcmp(service, others[n]) == 0)))
            continue;
        if (r < 0) { /* another service's key that no request of ours has */
            *ret = AUTH_ABSENT;
            *ret_tag = "";
        }
        return 0;
    }
    return -EINVAL;
}

/* ---- values ---- */

static const char *principal_type(const struct principal *p)
{
    switch (p->kind) {
    case PRINCIPAL_ROOT:
        return "Account";
    case PRINCIPAL_USER:
        return "User";
    case PRINCIPAL_SERVICE:
        return "Service";
    case PRINCIPAL_ANONYMOUS:
        return "Anonymous";
    }
    return NULL;
}

static const char *userid_of(const struct principal *p)
{
    switch (p->kind) {
    case PRINCIPAL_ROOT:
        return p->account;
    case PRINCIPAL_USER:
        return p->userid;
    case PRINCIPAL_ANONYMOUS:
        return "anonymous";
    case PRINCIPAL_SERVICE:
        return NULL;
    }
    return NULL;
}

static const char *time_of(struct judge *j, bool epoch)
{
    int64_t ms = j->q->now_ms;
    if (epoch && !j->epoch[0])
        snprintf(j->epoch, sizeof j->epoch, "%lld", (long long)(ms / 1000));
    if (!epoch && !j->time[0])
        timeform_format_ms(ms, j->time);
    return epoch ? j->epoch : j->time;
}

static const char *resource_account(const struct auth_request *q)
{
    return q->bucket_account ? q->bucket_account : q->principal->account[0] ? q->principal->account : NULL;
}

/* What the request says by itself; NULL: the key is absent. */
static const char *derived(struct judge *j, enum auth_key key)
{
    const struct principal *p = j->q->principal;
    bool signed_in = p->kind == PRINCIPAL_ROOT || p->kind == PRINCIPAL_USER;
    switch (key) {
    case AUTH_CURRENT_TIME:
        return time_of(j, false);
    case AUTH_EPOCH_TIME:
        return time_of(j, true);
    case AUTH_PRINCIPAL_ARN:
        if (signed_in && !j->arn[0])
            principal_arn(p, j->arn);
        return signed_in ? j->arn : NULL;
    case AUTH_PRINCIPAL_ACCOUNT:
        return signed_in ? p->account : NULL;
    case AUTH_PRINCIPAL_TYPE:
        return principal_type(p);
    case AUTH_USERID:
        return userid_of(p);
    case AUTH_USERNAME:
        return p->kind == PRINCIPAL_USER ? p->name : NULL;
    case AUTH_PRINCIPAL_IS_SERVICE:
        return p->kind == PRINCIPAL_SERVICE ? "true" : "false";
    case AUTH_REQUESTED_REGION:
        return j->q->region;
    case AUTH_RESOURCE_ACCOUNT:
    case AUTH_S3_RESOURCE_ACCOUNT:
        return resource_account(j->q);
    case AUTH_POINT_ARN:
        return j->q->access_point ? j->q->access_point->arn : NULL;
    case AUTH_POINT_ACCOUNT:
        return j->q->access_point ? j->q->access_point->account : NULL;
    default:
        return NULL;
    }
}

bool judge_value(struct judge *j, enum auth_key key, const char *tag, size_t nth, const char **ret_text, size_t *ret_len)
{
    if (key == AUTH_ABSENT)
        return false;
    size_t seen = 0;
    for (size_t n = 0; n < j->q->value_count; n++) {
        const struct auth_value *v = &j->q->values[n];
        if (v->key != key || (keys[key].tagged && strcmp(v->tag, tag) != 0) || seen++ < nth)
            continue;
        *ret_text = v->text;
        *ret_len = v->len;
        return true;
    }
    const char *text = nth || seen ? NULL : derived(j, key);
    if (!text)
        return false;
    *ret_text = text;
    *ret_len = strlen(text);
    return true;
}
