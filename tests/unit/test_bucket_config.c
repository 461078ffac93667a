/* SPDX-License-Identifier: GPL-3.0-or-later
 * A bucket's settings as written: XML and short forms, and every fault row of retention.md §1.1 and §2.1; tags. */
#include "unit.h"

#include "engine/bucket_config.h"
#include "engine/tagset.h"

#include <stdio.h>

#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define LOCK_DOC(RULE) \
    "<ObjectLockConfiguration" NS "><ObjectLockEnabled>Enabled</ObjectLockEnabled>" RULE "</ObjectLockConfiguration>"
#define RULE(MODE, PERIOD) "<Rule><DefaultRetention><Mode>" MODE "</Mode>" PERIOD "</DefaultRetention></Rule>"

static void refused(int r, int errnum, const char *code, const struct reason *why, const char *text)
{
    if (r != -errnum || strcmp(why->code, code) != 0 || !why->text[0])
        fail_msg("'%s': %d %s %s", text, r, why->code, why->text);
}

/* ---- versioning ---- */

static void versioning_reads_as(const char *text, enum versioning expected)
{
    enum versioning v;
    enum mfa_delete mfa;
    struct reason why = {0};
    if (bucket_versioning_parse(text, strlen(text), &v, &mfa, &why) != 0)
        fail_msg("'%s': %s", text, why.text);
    assert_int_equal(v, expected);
}

static void mfa_delete_reads_as(const char *text, enum mfa_delete expected)
{
    enum versioning v;
    enum mfa_delete mfa;
    struct reason why = {0};
    if (bucket_versioning_parse(text, strlen(text), &v, &mfa, &why) != 0)
        fail_msg("'%s': %s", text, why.text);
    assert_int_equal(mfa, expected);
}

static void mfa_delete_is_read(void **state)
{
    (void)state;
    mfa_delete_reads_as("Enabled", MFA_DELETE_NEVER);
    mfa_delete_reads_as("Enabled MfaDelete=Enabled", MFA_DELETE_ENABLED);
    mfa_delete_reads_as("Suspended MfaDelete=Disabled", MFA_DELETE_DISABLED);
    mfa_delete_reads_as("<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>",
                        MFA_DELETE_ENABLED);
    mfa_delete_reads_as("<VersioningConfiguration><MfaDelete>Disabled</MfaDelete><Status>Enabled</Status></VersioningConfiguration>",
                        MFA_DELETE_DISABLED);
}

static void versioning_is_read(void **state)
{
    (void)state;
    versioning_reads_as("Enabled", VERSIONING_ENABLED);
    versioning_reads_as("Suspended", VERSIONING_SUSPENDED);
    versioning_reads_as("<VersioningConfiguration" NS "><Status>Enabled</Status></VersioningConfiguration>", VERSIONING_ENABLED);
    versioning_reads_as("<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>", VERSIONING_SUSPENDED);
    versioning_reads_as("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<VersioningConfiguration>\n <!-- c -->\n <Status>Enabled</Status>\n"
                        "</VersioningConfiguration>\n",
                        VERSIONING_ENABLED);
}

static void versioning_refused(const char *text, int errnum, const char *code)
{
    enum versioning v = VERSIONING_UNVERSIONED;
    enum mfa_delete mfa;
    struct reason why = {0};
    refused(bucket_versioning_parse(text, strlen(text), &v, &mfa, &why), errnum, code, &why, text);
    assert_int_equal(v, VERSIONING_UNVERSIONED);
}

static void versioning_faults(void **state)
{
    (void)state;
    versioning_refused("", EINVAL, "MissingRequestBodyError");
    versioning_refused("enabled", EINVAL, "MalformedXML");
    versioning_refused(" Enabled", EINVAL, "MalformedXML");
    versioning_refused("Unversioned", EINVAL, "MalformedXML");
    versioning_refused("<VersioningConfiguration/>", EINVAL, "IllegalVersioningConfigurationException");
    versioning_refused("<VersioningConfiguration><Status/></VersioningConfiguration>", EINVAL,
                       "IllegalVersioningConfigurationException");
    versioning_refused("<VersioningConfiguration><Status> Enabled</Status></VersioningConfiguration>", EINVAL, "MalformedXML");
    versioning_refused("<VersioningConfiguration><Status>Enabled</Status><Status>Enabled</Status></VersioningConfiguration>",
                       EINVAL, "MalformedXML");
    versioning_refused("<VersioningConfiguration><Foo/></VersioningConfiguration>", EINVAL, "MalformedXML");
    versioning_refused("<Other><Status>Enabled</Status></Other>", EINVAL, "MalformedXML");
    versioning_refused("<VersioningConfiguration xmlns=\"urn:x\"><Status>Enabled</Status></VersioningConfiguration>", EINVAL,
                       "MalformedXML");
    versioning_refused("<VersioningConfiguration><Status>Enabled", EINVAL, "MalformedXML");
    versioning_refused("<VersioningConfiguration>text<Status>Enabled</Status></VersioningConfiguration>", EINVAL, "MalformedXML");
    versioning_refused("<VersioningConfiguration><Status>Enabled</Status><MfaDelete>on</MfaDelete></VersioningConfiguration>", EINVAL,
                       "MalformedXML");
    versioning_refused("<VersioningConfiguration><Status>Suspended</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>",
                       EINVAL, "IllegalVersioningConfigurationException");
    versioning_refused("Suspended MfaDelete=Enabled", EINVAL, "IllegalVersioningConfigurationException");
    versioning_refused("Enabled MfaDelete=enabled", EINVAL, "MalformedXML");
    versioning_refused("Enabled Mfa=Enabled", EINVAL, "MalformedXML");
    versioning_refused("Enabled MfaDelete=Enabled 123", EINVAL, "MalformedXML");
    /* entities, within and from outside */
    versioning_refused("<!DOCTYPE x [<!ENTITY e \"Enabled\">]><VersioningConfiguration><Status>&e;</Status>"
                       "</VersioningConfiguration>",
                       EINVAL, "MalformedXML");
    versioning_refused("<VersioningConfiguration><Status>&e;</Status></VersioningConfiguration>", EINVAL, "MalformedXML");
}

static void versioning_is_written_and_read_again(void **state)
{
    (void)state;
    struct bytes out = {0};
    bucket_versioning_format(VERSIONING_SUSPENDED, MFA_DELETE_NEVER, &out);
    versioning_reads_as(bytes_text(&out), VERSIONING_SUSPENDED);
    bytes_clear(&out);
    bucket_versioning_format(VERSIONING_UNVERSIONED, MFA_DELETE_NEVER, &out);
    assert_string_equal(bytes_text(&out), "<VersioningConfiguration" NS "/>");
    bytes_clear(&out);
    bucket_versioning_format(VERSIONING_ENABLED, MFA_DELETE_ENABLED, &out);
    mfa_delete_reads_as(bytes_text(&out), MFA_DELETE_ENABLED);
    bytes_done(&out);
}

/* ---- object lock ---- */

static struct lock_config lock_reads(const char *text)
{
    struct lock_config c;
    struct reason why = {0};
    if (bucket_lock_parse(text, strlen(text), &c, &why) != 0)
        fail_msg("'%s': %s", text, why.text);
    return c;
}

static void lock_reads_as(const char *text, enum lock_mode mode, uint32_t days, uint32_t years)
{
    struct lock_config c = lock_reads(text);
    if (c.mode != mode || c.days != days || c.years != years || c.keep_default || c.must_exist)
        fail_msg("'%s' reads as %d %u %u", text, c.mode, c.days, c.years);
}

static void object_lock_is_read(void **state)
{
    (void)state;
    lock_reads_as("GOVERNANCE 30d", LOCK_GOVERNANCE, 30, 0);
    lock_reads_as("compliance 7y", LOCK_COMPLIANCE, 0, 7);
    lock_reads_as(LOCK_DOC(""), LOCK_NONE, 0, 0);
    lock_reads_as(LOCK_DOC(RULE("GOVERNANCE", "<Days>1</Days>")), LOCK_GOVERNANCE, 1, 0);
    lock_reads_as(LOCK_DOC(RULE("COMPLIANCE", "<Years>100</Years>")), LOCK_COMPLIANCE, 0, 100);
    lock_reads_as(LOCK_DOC(RULE("COMPLIANCE", "<Days>36500</Days>")), LOCK_COMPLIANCE, 36500, 0);
    assert_true(lock_reads("Enabled").keep_default);
    assert_true(lock_reads("none").must_exist);
}

static void lock_refused(const char *text, int errnum, const char *code)
{
    struct lock_config c = {.days = 77};
    struct reason why = {0};
    refused(bucket_lock_parse(text, strlen(text), &c, &why), errnum, code, &why, text);
    assert_int_equal(c.days, 77);
}

static void object_lock_faults(void **state)
{
    (void)state;
    lock_refused("", EINVAL, "MalformedXML");
    lock_refused("Disabled", EINVAL, "MalformedXML");
    lock_refused("GOVERNANCE", EINVAL, "MalformedXML");
    lock_refused("GOVERNANCE 30", EINVAL, "MalformedXML");
    lock_refused("GOVERNANCE d", EINVAL, "MalformedXML");
    lock_refused("GOVERNANCE 30m", EINVAL, "MalformedXML");
    lock_refused("GOVERNANCE 0d", EINVAL, "InvalidRetentionPeriod");
    lock_refused("GOVERNANCE -1y", EINVAL, "InvalidRetentionPeriod");
    lock_refused("GOVERNANCE 36501d", ERANGE, "InvalidRetentionPeriod");
    lock_refused("COMPLIANCE 101y", ERANGE, "InvalidRetentionPeriod");
    lock_refused("COMPLIANCE 99999999999999999999d", ERANGE, "InvalidRetentionPeriod");
    lock_refused("<ObjectLockConfiguration" NS "/>", EINVAL, "MalformedXML");
    lock_refused("<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled></ObjectLockConfiguration>", EINVAL,
                 "MalformedXML");
    lock_refused(LOCK_DOC("<Rule/>"), EINVAL, "MalformedXML");
    lock_refused(LOCK_DOC(RULE("governance", "<Days>1</Days>")), EINVAL, "MalformedXML");
    lock_refused(LOCK_DOC(RULE("FOO", "<Days>1</Days>")), EINVAL, "MalformedXML");
    lock_refused(LOCK_DOC(RULE("GOVERNANCE", "")), EINVAL, "MalformedXML");
    lock_refused(LOCK_DOC(RULE("GOVERNANCE", "<Days>1</Days><Years>1</Years>")), EINVAL, "MalformedXML");
    lock_refused(LOCK_DOC(RULE("GOVERNANCE", "<Days>one</Days>")), EINVAL, "MalformedXML");
    lock_refused(LOCK_DOC(RULE("GOVERNANCE", "<Days>0</Days>")), EINVAL, "InvalidRetentionPeriod");
    lock_refused(LOCK_DOC(RULE("GOVERNANCE", "<Years>-1</Years>")), EINVAL, "InvalidRetentionPeriod");
    lock_refused(LOCK_DOC(RULE("GOVERNANCE", "<Days>36501</Days>")), ERANGE, "InvalidRetentionPeriod");
    lock_refused(LOCK_DOC(RULE("GOVERNANCE", "<Years>101</Years>")), ERANGE, "InvalidRetentionPeriod");
    lock_refused(LOCK_DOC("<Rule><DefaultEventHold/></Rule>"), EOPNOTSUPP, "NotImplemented");
    lock_refused(LOCK_DOC("<EventHold>ON</EventHold>"), EOPNOTSUPP, "NotImplemented");
    lock_refused(LOCK_DOC(RULE("GOVERNANCE", "<Days>1</Days><EventHoldDuration>1</EventHoldDuration>")), EOPNOTSUPP,
                 "NotImplemented");
}

static void object_lock_is_written_and_read_again(void **state)
{
    (void)state;
    struct bytes out = {0};
    bucket_lock_format(&(struct lock_config){.mode = LOCK_COMPLIANCE, .years = 7}, &out);
    lock_reads_as(bytes_text(&out), LOCK_COMPLIANCE, 0, 7);
    bytes_clear(&out);
    bucket_lock_format(&(struct lock_config){0}, &out);
    lock_reads_as(bytes_text(&out), LOCK_NONE, 0, 0);
    bytes_done(&out);
}

/* ---- the rest ---- */

static void settle_times_orphans_compression_and_masks(void **state)
{
    (void)state;
    int64_t n;
    bool on;
    uint32_t mask;
    struct bytes out = {0};
    assert_int_equal(bucket_settle_parse("0", &n, NULL), 0);
    assert_int_equal(bucket_settle_parse("86400", &n, NULL), 0);
    assert_int_equal(n, 86400);
    assert_int_equal(bucket_settle_parse("86401", &n, NULL), -ERANGE);
    assert_int_equal(bucket_settle_parse("-1", &n, NULL), -EINVAL);
    assert_int_equal(bucket_settle_parse("60s", &n, NULL), -EINVAL);
    assert_int_equal(bucket_settle_parse("", &n, NULL), -EINVAL);

    assert_int_equal(bucket_orphan_keep_parse("0", &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_int_equal(bucket_orphan_keep_parse("forever", &n, NULL), 0);
    assert_true(n == INT64_MAX);
    assert_int_equal(bucket_orphan_keep_parse("3d", &n, NULL), 0);
    bucket_orphan_keep_format(n, &out);
    assert_string_equal(bytes_text(&out), "3d");
    assert_int_equal(bucket_orphan_keep_parse("3", &n, NULL), -EINVAL);
    assert_int_equal(bucket_orphan_keep_parse("d", &n, NULL), -EINVAL);
    assert_int_equal(bucket_orphan_keep_parse("-3d", &n, NULL), -EINVAL);
    assert_int_equal(bucket_orphan_keep_parse("99999999d", &n, NULL), -ERANGE);

    assert_int_equal(bucket_compression_parse("zstd", &on, NULL), 0);
    assert_true(on);
    assert_int_equal(bucket_compression_parse("none", &on, NULL), 0);
    assert_int_equal(bucket_compression_parse("lz4", &on, NULL), -EINVAL);

    assert_int_equal(bucket_mode_mask_parse("027", &mask, NULL), 0);
    assert_int_equal(mask, 027);
    assert_int_equal(bucket_mode_mask_parse("0077", &mask, NULL), 0);
    assert_int_equal(bucket_mode_mask_parse("1000", &mask, NULL), -EINVAL);
    assert_int_equal(bucket_mode_mask_parse("8", &mask, NULL), -EINVAL);
    assert_int_equal(bucket_mode_mask_parse("", &mask, NULL), -EINVAL);
    bytes_done(&out);
}

#define SSE_DOC(IN) "<ServerSideEncryptionConfiguration" NS ">" IN "</ServerSideEncryptionConfiguration>"
#define SSE_RULE(ALG, MORE)                                                                                          \
    "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>" ALG "</SSEAlgorithm>" MORE                            \
    "</ApplyServerSideEncryptionByDefault></Rule>"

static void encryption_refused(const char *text, int errnum, const char *code)
{
    struct reason why = {0};
    struct sse_config config;
    refused(bucket_encryption_parse(text, strlen(text), &config, &why), errnum, code, &why, text);
}

/* Read, and read again as it is written. */
static void encryption_reads_as(const char *text, enum envelope_mode mode, const char *key, bool bucket_key)
{
    struct sse_config config, again;
    struct bytes out = {0};
    assert_int_equal(bucket_encryption_parse(text, strlen(text), &config, NULL), 0);
    assert_int_equal(config.mode, mode);
    assert_string_equal(config.key, key);
    assert_int_equal(config.bucket_key, bucket_key);
    bucket_encryption_format(&config, &out);
    assert_int_equal(bucket_encryption_parse(bytes_text(&out), out.len, &again, NULL), 0);
    assert_int_equal(again.mode, mode);
    assert_string_equal(again.key, key);
    assert_int_equal(again.bucket_key, bucket_key);
    bytes_done(&out);
}

static void default_encryption_in_its_forms(void **state)
{
    (void)state;
    encryption_reads_as("AES256", ENVELOPE_SSE_S3, "", false);
    encryption_reads_as("aws:kms", ENVELOPE_SSE_KMS, "", false);
    encryption_reads_as("aws:kms bucket-key", ENVELOPE_SSE_KMS, "", true);
    encryption_reads_as("aws:kms:alias/x bucket-key", ENVELOPE_SSE_KMS, "alias/x", true);
    encryption_reads_as("aws:kms:arn:aws:kms:r:1:key/u", ENVELOPE_SSE_KMS, "arn:aws:kms:r:1:key/u", false);
    encryption_reads_as(SSE_DOC(SSE_RULE("aws:kms", "")), ENVELOPE_SSE_KMS, "", false);
    encryption_reads_as(SSE_DOC(SSE_RULE("aws:kms", "<KMSMasterKeyID>a&amp;b</KMSMasterKeyID>")), ENVELOPE_SSE_KMS, "a&b", false);
    encryption_refused("aws:kms:", EINVAL, "InvalidArgument");
    encryption_refused("aws:kmsx", EINVAL, "MalformedXML");
    encryption_refused("aws:kms:dsse", EOPNOTSUPP, "NotImplemented");
    encryption_refused("AES192", EINVAL, "MalformedXML");
    encryption_refused("AES256 bucket-key", EINVAL, "MalformedXML");
    encryption_refused(SSE_DOC(""), EINVAL, "MalformedXML");
    encryption_refused(SSE_DOC("<Rule></Rule>"), EINVAL, "MalformedXML");
    encryption_refused(SSE_DOC(SSE_RULE("AES256", "") SSE_RULE("AES256", "")), EINVAL, "MalformedXML");
    encryption_refused(SSE_DOC(SSE_RULE("SSE-KMS", "")), EINVAL, "MalformedXML"); /* case 29 */
    encryption_refused(SSE_DOC(SSE_RULE("aws:kms:alias/x", "")), EINVAL, "MalformedXML");
    encryption_refused(SSE_DOC(SSE_RULE("aws:kms:dsse", "")), EOPNOTSUPP, "NotImplemented");
    encryption_refused(SSE_DOC(SSE_RULE("AES256", "<KMSMasterKeyID>k</KMSMasterKeyID>")), EINVAL, "InvalidArgument");
}

static void customer_keys_are_blocked_and_allowed(void **state)
{
    (void)state;
    static const char blocked[] = SSE_DOC(
        "<Rule><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule>");
    struct sse_config config;
    assert_int_equal(bucket_encryption_parse("block=SSE-C", 11, &config, NULL), 0);
    assert_true(config.block_said && config.block && !config.mode);
    assert_int_equal(bucket_encryption_parse("block=NONE", 10, &config, NULL), 0);
    assert_true(config.block_said && !config.block && !config.mode);
    assert_int_equal(bucket_encryption_parse(blocked, sizeof blocked - 1, &config, NULL), 0);
    assert_true(config.block_said && config.block && !config.mode); /* the default stays as it was */
    assert_int_equal(bucket_encryption_parse("AES256", 6, &config, NULL), 0);
    assert_false(config.block_said);
    encryption_refused("block=", EINVAL, "MalformedXML");
    encryption_refused("block=SSE-KMS", EINVAL, "MalformedXML");
}

/* ---- tags ---- */

static void tags_read_as(const char *text, const char *written)
{
    struct attrs tags;
    struct reason why = {0};
    struct bytes out = {0};
    if (tagset_parse(text, strlen(text), 10, &tags, &why) != 0)
        fail_msg("'%s': %s", text, why.text);
    tagset_format(&tags, &out);
    assert_string_equal(bytes_text(&out), written);
    bytes_clear(&out);
    tagset_format_xml(&tags, &out);
    attrs_done(&tags);
    assert_int_equal(tagset_parse((const char *)out.data, out.len, 10, &tags, NULL), 0);
    bytes_clear(&out);
    tagset_format(&tags, &out);
    assert_string_equal(bytes_text(&out), written);
    bytes_done(&out);
    attrs_done(&tags);
}

static void tags_are_read(void **state)
{
    (void)state;
    tags_read_as("", "");
    tags_read_as("b=2&a=1", "a=1&b=2");
    tags_read_as("k", "k=");
    tags_read_as("a%3Db=c+d%2B", "a%3Db=c%20d%2B");
    tags_read_as("stra%C3%9Fe=%E6%97%A5%E6%9C%AC", "stra%C3%9Fe=%E6%97%A5%E6%9C%AC");
    tags_read_as("<Tagging" NS "><TagSet/></Tagging>", "");
    tags_read_as("<Tagging><TagSet><Tag><Key>x</Key><Value>y</Value></Tag></TagSet></Tagging>", "x=y");
}

static void tags_refused(const char *text, int errnum, const char *code)
{
    struct attrs tags;
    struct reason why = {0};
    refused(tagset_parse(text, strlen(text), 10, &tags, &why), errnum, code, &why, text);
}

static void tag_faults(void **state)
{
    (void)state;
    tags_refused("=v", EINVAL, "InvalidTag");
    tags_refused("aws:x=1", EINVAL, "InvalidTag");
    tags_refused("a=1&a=2", EINVAL, "InvalidArgument"); /* x-amz-tagging; in a document: InvalidTag */
    tags_refused("a%zz=1", EINVAL, "InvalidArgument");
    tags_refused("a%4", EINVAL, "InvalidArgument");
    tags_refused("a!=1", EINVAL, "InvalidTag");
    tags_refused("a=%ff", EINVAL, "InvalidTag");
    tags_refused("a=%00", EINVAL, "InvalidTag");
    tags_refused("1&2&3&4&5&6&7&8&9&10&11", ERANGE, "InvalidTag");
    tags_refused("<Tagging><TagSet><Tag><Key>x</Key></Tag></TagSet></Tagging>", EINVAL, "MalformedXML");
    tags_refused("<Tagging/>", EINVAL, "MalformedXML");
    char longest[300];
    snprintf(longest, sizeof longest, "k=%0257d", 0);
    tags_refused(longest, EINVAL, "InvalidTag");
    snprintf(longest, sizeof longest, "%0129d=v", 0);
    tags_refused(longest, EINVAL, "InvalidTag");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versioning_is_read),
        cmocka_unit_test(mfa_delete_is_read),
        cmocka_unit_test(versioning_faults),
        cmocka_unit_test(versioning_is_written_and_read_again),
        cmocka_unit_test(object_lock_is_read),
        cmocka_unit_test(object_lock_faults),
        cmocka_unit_test(object_lock_is_written_and_read_again),
        cmocka_unit_test(settle_times_orphans_compression_and_masks),
        cmocka_unit_test(default_encryption_in_its_forms),
        cmocka_unit_test(customer_keys_are_blocked_and_allowed),
        cmocka_unit_test(tags_are_read),
        cmocka_unit_test(tag_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
