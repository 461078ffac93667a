/* SPDX-License-Identifier: GPL-3.0-or-later
 * A bucket's settings as they are written: S3's documents and the short forms. Pure. Private to src/engine.
 *
 * A parser judges its text alone and touches nothing on failure; what a bucket's state forbids is judged by property_bucket.c. */
#ifndef HOLDFS_ENGINE_BUCKET_CONFIG_H
#define HOLDFS_ENGINE_BUCKET_CONFIG_H

#include "engine/private.h"

/* `Enabled`, `Suspended`, either with ` MfaDelete=Enabled` or ` MfaDelete=Disabled`, or <VersioningConfiguration>. *ret_mfa:
 * MFA_DELETE_NEVER where nothing is said of it. */
int bucket_versioning_parse(const char *text, size_t len, enum versioning *ret, enum mfa_delete *ret_mfa, struct reason *reason);
void bucket_versioning_format(enum versioning v, enum mfa_delete mfa, struct bytes *out);

struct lock_config {
    bool keep_default;         /* the short form `Enabled`: a default that is there stays */
    bool must_exist;           /* the short form `none`: takes the default away, and turns nothing on */
    enum lock_mode mode;       /* LOCK_NONE: no default retention */
    uint32_t days, years;      /* one of them */
};
/* `Enabled`, `GOVERNANCE 30d`, `COMPLIANCE 7y`, `none`, or <ObjectLockConfiguration> (retention.md §2.1). */
int bucket_lock_parse(const char *text, size_t len, struct lock_config *ret, struct reason *reason);
void bucket_lock_format(const struct lock_config *config, struct bytes *out);

int bucket_settle_parse(const char *text, int64_t *ret_s, struct reason *reason);
int bucket_orphan_keep_parse(const char *text, int64_t *ret_s, struct reason *reason);
void bucket_orphan_keep_format(int64_t seconds, struct bytes *out);
int bucket_compression_parse(const char *text, bool *ret, struct reason *reason);
int bucket_mode_mask_parse(const char *text, uint32_t *ret, struct reason *reason);

/* A bucket's default encryption as it is written (encryption.md §3.2). */
struct sse_config {
    enum envelope_mode mode; /* SSE_S3, SSE_KMS; 0: not given, it stays */
    char key[SSE_KEY_CHARS]; /* as given; "": alias/aws/s3 */
    bool bucket_key;
    bool block_said, block;  /* BlockedEncryptionTypes: SSE-C */
};
/* AES256, aws:kms[:KEY][ bucket-key], block=SSE-C, block=NONE, or <ServerSideEncryptionConfiguration>. */
int bucket_encryption_parse(const char *text, size_t len, struct sse_config *ret, struct reason *reason);
void bucket_encryption_format(const struct sse_config *config, struct bytes *out);

#endif
