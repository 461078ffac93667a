/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of actions (auth.md §4.6, and what else Amazon's policies name of S3), and patterns over it.
 *
 * Sorted by name without regard to case: it is searched by halves. Of s3, on which resource an action is. */
#include "auth/policy.h"

#include <strings.h>

const struct action actions[] = {
    {"audit:Configure", ON_OTHER},
    {"audit:Export", ON_OTHER},
    {"audit:Read", ON_OTHER},
    {"glacier:AbortMultipartUpload", ON_OTHER},
    {"glacier:AbortVaultLock", ON_OTHER},
    {"glacier:AddTagsToVault", ON_OTHER},
    {"glacier:CompleteMultipartUpload", ON_OTHER},
    {"glacier:CompleteVaultLock", ON_OTHER},
    {"glacier:CreateVault", ON_OTHER},
    {"glacier:DeleteArchive", ON_OTHER},
    {"glacier:DeleteVault", ON_OTHER},
    {"glacier:DeleteVaultAccessPolicy", ON_OTHER},
    {"glacier:DescribeJob", ON_OTHER},
    {"glacier:DescribeVault", ON_OTHER},
    {"glacier:GetJobOutput", ON_OTHER},
    {"glacier:GetVaultAccessPolicy", ON_OTHER},
    {"glacier:GetVaultLock", ON_OTHER},
    {"glacier:InitiateJob", ON_OTHER},
    {"glacier:InitiateMultipartUpload", ON_OTHER},
    {"glacier:InitiateVaultLock", ON_OTHER},
    {"glacier:ListJobs", ON_OTHER},
    {"glacier:ListMultipartUploads", ON_OTHER},
    {"glacier:ListParts", ON_OTHER},
    {"glacier:ListTagsForVault", ON_OTHER},
    {"glacier:ListVaults", ON_OTHER},
    {"glacier:RemoveTagsFromVault", ON_OTHER},
    {"glacier:SetVaultAccessPolicy", ON_OTHER},
    {"glacier:UploadArchive", ON_OTHER},
    {"glacier:UploadMultipartPart", ON_OTHER},
    {"kms:CancelKeyDeletion", ON_OTHER},
    {"kms:CreateAlias", ON_OTHER},
    {"kms:CreateKey", ON_OTHER},
    {"kms:Decrypt", ON_OTHER},
    {"kms:DeleteAlias", ON_OTHER},
    {"kms:DeleteImportedKeyMaterial", ON_OTHER},
    {"kms:DescribeKey", ON_OTHER},
    {"kms:DisableKey", ON_OTHER},
    {"kms:DisableKeyRotation", ON_OTHER},
    {"kms:EnableKey", ON_OTHER},
    {"kms:EnableKeyRotation", ON_OTHER},
    {"kms:Encrypt", ON_OTHER},
    {"kms:GenerateDataKey", ON_OTHER},
    {"kms:GenerateDataKeyWithoutPlaintext", ON_OTHER},
    {"kms:GetKeyPolicy", ON_OTHER},
    {"kms:GetKeyRotationStatus", ON_OTHER},
    {"kms:ImportKeyMaterial", ON_OTHER},
    {"kms:ListAliases", ON_OTHER},
    {"kms:ListKeys", ON_OTHER},
    {"kms:PutKeyPolicy", ON_OTHER},
    {"kms:ReEncryptFrom", ON_OTHER},
    {"kms:ReEncryptTo", ON_OTHER},
    {"kms:RotateKeyOnDemand", ON_OTHER},
    {"kms:ScheduleKeyDeletion", ON_OTHER},
    {"kms:TagResource", ON_OTHER},
    {"kms:UntagResource", ON_OTHER},
    {"kms:UpdateAlias", ON_OTHER},
    {"kms:UpdateKeyDescription", ON_OTHER},
    {"lambda:InvokeFunction", ON_OTHER},
    {"s3-object-lambda:GetObject", ON_OTHER},
    {"s3-object-lambda:GetObjectVersion", ON_OTHER},
    {"s3-object-lambda:ListBucket", ON_OTHER},
    {"s3-object-lambda:WriteGetObjectResponse", ON_OTHER},
    {"s3:AbortMultipartUpload", ON_OBJECT},
    {"s3:BypassGovernanceRetention", ON_OBJECT},
    {"s3:CreateAccessPoint", ON_POINT},
    {"s3:CreateAccessPointForObjectLambda", ON_POINT},
    {"s3:CreateBucket", ON_BUCKET},
    {"s3:CreateJob", ON_ACCOUNT},
    {"s3:DeleteAccessPoint", ON_POINT},
    {"s3:DeleteAccessPointForObjectLambda", ON_POINT},
    {"s3:DeleteAccessPointPolicy", ON_POINT},
    {"s3:DeleteAccessPointPolicyForObjectLambda", ON_POINT},
    {"s3:DeleteBucket", ON_BUCKET},
    {"s3:DeleteBucketOwnershipControls", ON_BUCKET},
    {"s3:DeleteBucketPolicy", ON_BUCKET},
    {"s3:DeleteBucketWebsite", ON_BUCKET},
    {"s3:DeleteObject", ON_OBJECT},
    {"s3:DeleteObjectTagging", ON_OBJECT},
    {"s3:DeleteObjectVersion", ON_OBJECT},
    {"s3:DeleteObjectVersionTagging", ON_OBJECT},
    {"s3:DescribeJob", ON_ACCOUNT},
    {"s3:GetAccelerateConfiguration", ON_BUCKET},
    {"s3:GetAccessPoint", ON_POINT},
    {"s3:GetAccessPointConfigurationForObjectLambda", ON_POINT},
    {"s3:GetAccessPointForObjectLambda", ON_POINT},
    {"s3:GetAccessPointPolicy", ON_POINT},
    {"s3:GetAccessPointPolicyForObjectLambda", ON_POINT},
    {"s3:GetAccessPointPolicyStatus", ON_POINT},
    {"s3:GetAccessPointPolicyStatusForObjectLambda", ON_POINT},
    {"s3:GetAccountPublicAccessBlock", ON_ACCOUNT},
    {"s3:GetAnalyticsConfiguration", ON_BUCKET},
    {"s3:GetBucketAcl", ON_BUCKET},
    {"s3:GetBucketCORS", ON_BUCKET},
    {"s3:GetBucketLocation", ON_BUCKET},
    {"s3:GetBucketLogging", ON_BUCKET},
    {"s3:GetBucketNotification", ON_BUCKET},
    {"s3:GetBucketObjectLockConfiguration", ON_BUCKET},
    {"s3:GetBucketOwnershipControls", ON_BUCKET},
    {"s3:GetBucketPolicy", ON_BUCKET},
    {"s3:GetBucketPolicyStatus", ON_BUCKET},
    {"s3:GetBucketPublicAccessBlock", ON_BUCKET},
    {"s3:GetBucketRequestPayment", ON_BUCKET},
    {"s3:GetBucketTagging", ON_BUCKET},
    {"s3:GetBucketVersioning", ON_BUCKET},
    {"s3:GetBucketWebsite", ON_BUCKET},
    {"s3:GetBucketWriteFilter", ON_BUCKET},
    {"s3:GetEncryptionConfiguration", ON_BUCKET},
    {"s3:GetIntelligentTieringConfiguration", ON_BUCKET},
    {"s3:GetInventoryConfiguration", ON_BUCKET},
    {"s3:GetLifecycleConfiguration", ON_BUCKET},
    {"s3:GetMetricsConfiguration", ON_BUCKET},
    {"s3:GetObject", ON_OBJECT},
    {"s3:GetObjectAcl", ON_OBJECT},
    {"s3:GetObjectAttributes", ON_OBJECT},
    {"s3:GetObjectLegalHold", ON_OBJECT},
    {"s3:GetObjectRetention", ON_OBJECT},
    {"s3:GetObjectTagging", ON_OBJECT},
    {"s3:GetObjectTorrent", ON_OBJECT},
    {"s3:GetObjectVersion", ON_OBJECT},
    {"s3:GetObjectVersionAcl", ON_OBJECT},
    {"s3:GetObjectVersionAttributes", ON_OBJECT},
    {"s3:GetObjectVersionForReplication", ON_OBJECT},
    {"s3:GetObjectVersionTagging", ON_OBJECT},
    {"s3:GetObjectVersionTorrent", ON_OBJECT},
    {"s3:GetReplicationConfiguration", ON_BUCKET},
    {"s3:InitiateReplication", ON_OBJECT},
    {"s3:ListAccessPoints", ON_ACCOUNT},
    {"s3:ListAccessPointsForObjectLambda", ON_ACCOUNT},
    {"s3:ListAllMyBuckets", ON_ACCOUNT},
    {"s3:ListBucket", ON_BUCKET},
    {"s3:ListBucketMultipartUploads", ON_BUCKET},
    {"s3:ListBucketVersions", ON_BUCKET},
    {"s3:ListJobs", ON_ACCOUNT},
    {"s3:ListMultipartUploadParts", ON_OBJECT},
    {"s3:ObjectOwnerOverrideToBucketOwner", ON_OBJECT},
    {"s3:PutAccelerateConfiguration", ON_BUCKET},
    {"s3:PutAccessPointConfigurationForObjectLambda", ON_POINT},
    {"s3:PutAccessPointPolicy", ON_POINT},
    {"s3:PutAccessPointPolicyForObjectLambda", ON_POINT},
    {"s3:PutAccountPublicAccessBlock", ON_ACCOUNT},
    {"s3:PutAnalyticsConfiguration", ON_BUCKET},
    {"s3:PutBucketAcl", ON_BUCKET},
    {"s3:PutBucketCORS", ON_BUCKET},
    {"s3:PutBucketLogging", ON_BUCKET},
    {"s3:PutBucketNotification", ON_BUCKET},
    {"s3:PutBucketObjectLockConfiguration", ON_BUCKET},
    {"s3:PutBucketOwnershipControls", ON_BUCKET},
    {"s3:PutBucketPolicy", ON_BUCKET},
    {"s3:PutBucketPublicAccessBlock", ON_BUCKET},
    {"s3:PutBucketRequestPayment", ON_BUCKET},
    {"s3:PutBucketTagging", ON_BUCKET},
    {"s3:PutBucketVersioning", ON_BUCKET},
    {"s3:PutBucketWebsite", ON_BUCKET},
    {"s3:PutBucketWriteFilter", ON_BUCKET},
    {"s3:PutEncryptionConfiguration", ON_BUCKET},
    {"s3:PutIntelligentTieringConfiguration", ON_BUCKET},
    {"s3:PutInventoryConfiguration", ON_BUCKET},
    {"s3:PutLifecycleConfiguration", ON_BUCKET},
    {"s3:PutMetricsConfiguration", ON_BUCKET},
    {"s3:PutObject", ON_OBJECT},
    {"s3:PutObjectAcl", ON_OBJECT},
    {"s3:PutObjectLegalHold", ON_OBJECT},
    {"s3:PutObjectRetention", ON_OBJECT},
    {"s3:PutObjectTagging", ON_OBJECT},
    {"s3:PutObjectVersionAcl", ON_OBJECT},
    {"s3:PutObjectVersionTagging", ON_OBJECT},
    {"s3:PutReplicationConfiguration", ON_BUCKET},
    {"s3:ReplicateDelete", ON_OBJECT},
    {"s3:ReplicateObject", ON_OBJECT},
    {"s3:ReplicateTags", ON_OBJECT},
    {"s3:RestoreObject", ON_OBJECT},
    {"s3:UpdateObjectEncryption", ON_OBJECT},
};
const size_t action_count = sizeof actions / sizeof *actions;
_Static_assert(sizeof actions / sizeof *actions <= ACTION_WORDS * 64, "a set of actions holds them all");

int action_find(const char *name)
{
    size_t low = 0, high = action_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcasecmp(name, actions[middle].name);
        if (order == 0)
            return (int)middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

bool auth_action_known(const char *action)
{
    return action_find(action) >= 0;
}

static bool same(char a, char b)
{
    return (a >= 'A' && a <= 'Z' ? a + 32 : a) == (b >= 'A' && b <= 'Z' ? b + 32 : b);
}

static bool name_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *back = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            back = name;
        } else if (*pattern == '?' || (*pattern && same(*pattern, *name))) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++back;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* The one service that a policy of that kind speaks of; NULL: any. */
static const char *kind_service(enum policy_kind kind)
{
    switch (kind) {
    case POLICY_BUCKET:
    case POLICY_ACCESS_POINT:
        return "s3:";
    case POLICY_KEY:
        return "kms:";
    case POLICY_VIEW:
        return "s3-object-lambda:";
    case POLICY_VAULT:
        return "glacier:";
    case POLICY_IDENTITY:
        return NULL;
    }
    return NULL;
}

int action_match(const char *pattern, enum policy_kind kind, uint64_t set[ACTION_WORDS])
{
    const char *service = kind_service(kind), *colon = strchr(pattern, ':');
    bool all = strcmp(pattern, "*") == 0;
    if (!all && (!colon || strcspn(pattern, "*?") < (size_t)(colon - pattern)))
        return -EINVAL;
    int found = 0;
    for (size_t n = 0; n < action_count; n++) {
        if ((service && strncmp(actions[n].name, service, strlen(service)) != 0) || !name_matches(pattern, actions[n].name))
            continue;
        set[n / 64] |= 1ull << (n % 64);
        found++;
    }
    return found ? found : -EINVAL;
}
