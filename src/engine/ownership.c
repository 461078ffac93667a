/* SPDX-License-Identifier: GPL-3.0-or-later
 * Object ownership of a bucket (s3-api.md §12): a row where it is not BucketOwnerEnforced. ACLs are not kept: what a setting changes here
 * is which ACL headers are refused. */
#include "engine/iam.h"
#include "engine/object.h"

#include <stdio.h>

static void row_name(uint32_t bucket, char out[64])
{
    snprintf(out, 64, "s3/bucket/%u/ownership", bucket);
}

int ownership_put(struct engine *e, uint32_t bucket, enum engine_ownership ownership)
{
    char name[64];
    uint8_t value = (uint8_t)ownership;
    row_name(bucket, name);
    return ownership == OWNERSHIP_ENFORCED ? e->meta_ops->value_del(e->m, name) : e->meta_ops->value_put(e->m, name, span_of(&value, 1));
}

int engine_ownership_get(struct engine *e, struct caller *c, uint32_t bucket, enum engine_ownership *ret)
{
    char name[64];
    struct span value;
    LOCK_SCOPE(&e->meta);
    const struct bucket *b = bucket_by_number(e, bucket);
    if (!b)
        return c ? object_no_bucket(c) : -ENOENT;
    int r = c ? engine_may(e, c, "s3:GetBucketOwnershipControls", b, span_of(NULL, 0)) : 0;
    if (r < 0)
        return r;
    row_name(bucket, name);
    r = e->meta_ops->value_get(e->m, name, &value);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret = r == 0 && value.len == 1 && value.p[0] <= OWNERSHIP_NONE ? (enum engine_ownership)value.p[0] : OWNERSHIP_ENFORCED;
    return 0;
}

int engine_ownership_set(struct engine *e, struct caller *c, uint32_t bucket, enum engine_ownership ownership)
{
    {
        LOCK_SCOPE(&e->meta);
        const struct bucket *b = bucket_by_number(e, bucket);
        int r = b ? engine_may(e, c, "s3:PutBucketOwnershipControls", b, span_of(NULL, 0)) : object_no_bucket(c);
        if (r == 0)
            r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, ownership_put(e, bucket, ownership));
        if (r < 0)
            return r;
    }
    return durable_advance(e);
}
