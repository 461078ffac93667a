/* SPDX-License-Identifier: GPL-3.0-or-later
 * Properties of a bucket: user.s3.bucket.* on its directory. Forms are read in bucket_config.c; what the bucket's state forbids
 * is judged here (retention.md §1.1, §2.1). */
#include "engine/bucket_config.h"
#include "engine/iam.h"
#include "engine/mfa.h"
#include "engine/property.h"
#include "engine/tagset.h"
#include "util/limits.h"

enum { SETTLE_DEFAULT_S = 60, ORPHAN_KEEP_DEFAULT_S = 86400 };

/* Takes the settings of `fresh` for the bucket when its row can be written. */
static int save(struct property_call *p, const struct bucket *fresh)
{
    int r = bucket_save(p->engine, fresh);
    if (r == 0)
        bucket_take_settings(p->bucket, fresh);
    return r;
}

int get_bucket_versioning(struct property_call *p, struct bytes *out)
{
    bucket_versioning_format(p->bucket->versioning, p->bucket->mfa_delete, out);
    return 0;
}

int set_bucket_versioning(struct property_call *p, const char *text, size_t len)
{
    struct bucket fresh = *p->bucket;
    enum mfa_delete wanted;
    int r = bucket_versioning_parse(text, len, &fresh.versioning, &wanted, &p->caller->reason);
    if (r < 0)
        return r;
    if (fresh.versioning == VERSIONING_SUSPENDED && fresh.object_lock)
        return reason_fail_s3(&p->caller->reason, EBUSY, "InvalidBucketState",
                              "An Object Lock configuration is present on this bucket, so the versioning state cannot be "
                              "changed.");
    bool on = p->bucket->mfa_delete == MFA_DELETE_ENABLED, said = wanted != MFA_DELETE_NEVER;
    bool suspends = fresh.versioning == VERSIONING_SUSPENDED && p->bucket->versioning != VERSIONING_SUSPENDED;
    if ((said && (wanted == MFA_DELETE_ENABLED) != on) || (on && suspends))
        r = mfa_root_demanded(p->engine, p->caller, "s3:PutBucketVersioning", p->bucket, NULL);
    if (r == 0)
        r = save(p, &fresh);
    return r < 0 || !said ? r : bucket_mfa_delete_set(p->engine, p->bucket, wanted == MFA_DELETE_ENABLED);
}

int get_bucket_lock(struct property_call *p, struct bytes *out)
{
    const struct bucket *b = p->bucket;
    if (!b->object_lock)
        return -ENODATA;
    bucket_lock_format(&(struct lock_config){.mode = b->default_mode, .days = b->default_days, .years = b->default_years}, out);
    return 0;
}

int set_bucket_lock(struct property_call *p, const char *text, size_t len)
{
    struct reason *reason = &p->caller->reason;
    struct bucket fresh = *p->bucket;
    struct lock_config config;
    int r = bucket_lock_parse(text, len, &config, reason);
    if (r < 0)
        return r;
    if (fresh.versioning != VERSIONING_ENABLED)
        return reason_fail_s3(reason, EBUSY, "InvalidBucketState",
                              "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration");
    if (config.must_exist && !fresh.object_lock)
        return reason_fail_s3(reason, EOPNOTSUPP, "ObjectLockConfigurationNotFoundError",
                              "Object Lock configuration does not exist for this bucket");
    if (!config.keep_default) {
        fresh.default_mode = config.mode;
        fresh.default_days = config.days;
        fresh.default_years = config.years;
    }
    fresh.object_lock = true;
    return save(p, &fresh);
}

int get_bucket_settle(struct property_call *p, struct bytes *out)
{
    bytes_printf(out, "%lld", (long long)p->bucket->settle_s);
    return 0;
}

int set_bucket_settle(struct property_call *p, const char *text, size_t len)
{
    (void)len;
    struct bucket fresh = *p->bucket;
    int r = bucket_settle_parse(text, &fresh.settle_s, &p->caller->reason);
    return r < 0 ? r : save(p, &fresh);
}

int remove_bucket_settle(struct property_call *p)
{
    struct bucket fresh = *p->bucket;
    fresh.settle_s = SETTLE_DEFAULT_S;
    return save(p, &fresh);
}

int get_bucket_orphan_keep(struct property_call *p, struct bytes *out)
{
    bucket_orphan_keep_format(p->bucket->orphan_keep_s, out);
    return 0;
}

int set_bucket_orphan_keep(struct property_call *p, const char *text, size_t len)
{
    (void)len;
    struct bucket fresh = *p->bucket;
    int r = bucket_orphan_keep_parse(text, &fresh.orphan_keep_s, &p->caller->reason);
    return r < 0 ? r : save(p, &fresh);
}

int remove_bucket_orphan_keep(struct property_call *p)
{
    struct bucket fresh = *p->bucket;
    fresh.orphan_keep_s = ORPHAN_KEEP_DEFAULT_S;
    return save(p, &fresh);
}

/* ---- tags ---- */

int get_bucket_tagging(struct property_call *p, struct bytes *out)
{
    if (!tagset_count(&p->bucket->tags))
        return -ENODATA;
    tagset_format_xml(&p->bucket->tags, out);
    return 0;
}

static int replace_tags(struct property_call *p, struct attrs *tags)
{
    struct bucket fresh = *p->bucket;
    struct attrs old = fresh.tags;
    fresh.tags = *tags;
    int r = save(p, &fresh);
    if (r == 0)
        *tags = old; /* what is freed now */
    return r;
}

int set_bucket_tagging(struct property_call *p, const char *text, size_t len)
{
    struct attrs tags;
    int r = tagset_parse(text, len, LIMIT_BUCKET_TAGS, &tags, &p->caller->reason);
    if (r < 0)
        return r;
    r = replace_tags(p, &tags);
    attrs_done(&tags);
    return r;
}

int remove_bucket_tagging(struct property_call *p)
{
    struct attrs none = {0};
    if (!tagset_count(&p->bucket->tags))
        return -ENODATA;
    int r = replace_tags(p, &none);
    attrs_done(&none);
    return r;
}

/* ---- how it is kept and shown ---- */

int get_bucket_compression(struct property_call *p, struct bytes *out)
{
    bytes_printf(out, "%s", p->bucket->compress ? "zstd" : "none");
    return 0;
}

int set_bucket_compression(struct property_call *p, const char *text, size_t len)
{
    (void)len;
    struct bucket fresh = *p->bucket;
    int r = bucket_compression_parse(text, &fresh.compress, &p->caller->reason);
    return r < 0 ? r : save(p, &fresh);
}

int remove_bucket_compression(struct property_call *p)
{
    struct bucket fresh = *p->bucket;
    fresh.compress = false;
    return save(p, &fresh);
}

int get_bucket_mode_mask(struct property_call *p, struct bytes *out)
{
    bytes_printf(out, "%03o", p->bucket->mode_mask);
    return 0;
}

int set_bucket_mode_mask(struct property_call *p, const char *text, size_t len)
{
    (void)len;
    struct bucket fresh = *p->bucket;
    int r = bucket_mode_mask_parse(text, &fresh.mode_mask, &p->caller->reason);
    return r < 0 ? r : save(p, &fresh);
}

int remove_bucket_mode_mask(struct property_call *p)
{
    struct bucket fresh = *p->bucket;
    fresh.mode_mask = 0;
    return save(p, &fresh);
}

int get_bucket_encryption(struct property_call *p, struct bytes *out)
{
    const struct bucket *b = p->bucket;
    struct sse_config config = {.mode = b->sse_mode, .bucket_key = b->sse_bucket_key, .block = b->sse_c_blocked};
    memcpy(config.key, b->sse_key, sizeof config.key);
    bucket_encryption_format(&config, out);
    return 0;
}

/* The key is not looked at: a wrong one fails at the first write (S3). */
int set_bucket_encryption(struct property_call *p, const char *text, size_t len)
{
    struct sse_config config;
    int r = bucket_encryption_parse(text, len, &config, &p->caller->reason);
    if (r < 0)
        return r;
    struct bucket fresh = *p->bucket;
    if (config.mode) {
        fresh.sse_mode = config.mode;
        fresh.sse_bucket_key = config.bucket_key;
        memcpy(fresh.sse_key, config.key, sizeof fresh.sse_key);
    }
    if (config.block_said)
        fresh.sse_c_blocked = config.block;
    return save(p, &fresh);
}

/* S3: resets to AES256, repeatable; the block stays. */
int remove_bucket_encryption(struct property_call *p)
{
    struct bucket fresh = *p->bucket;
    fresh.sse_mode = ENVELOPE_SSE_S3;
    fresh.sse_bucket_key = false;
    fresh.sse_key[0] = '\0';
    return save(p, &fresh);
}
