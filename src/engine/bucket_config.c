/* SPDX-License-Identifier: GPL-3.0-or-later
 * A bucket's settings, read and written; see bucket_config.h. The answers to faults: retention.md §1.1, §2.1, encryption.md §3.2. */
#include "engine/bucket_config.h"

#include "engine/lock.h"
#include "util/limits.h"
#include "util/xmldoc.h"

#include <stdio.h>
#include <strings.h>

enum { SETTLE_MAX_S = 86400, DAY_S = 86400, DEFAULT_YEARS_MAX = 100 };

static bool is_document(const char *text, size_t len)
{
    return len && text[strspn(text, " \t\r\n")] == '<';
}

static bool is_text(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(text, word, len) == 0;
}

/* ---- versioning ---- */

static int versioning_word(const char *text, enum versioning *ret, struct reason *reason)
{
    if (!text[0])
        return reason_fail_s3(reason, EINVAL, "IllegalVersioningConfigurationException",
                              "The Versioning element must be specified");
    if (strcmp(text, "Enabled") && strcmp(text, "Suspended"))
        return reason_fail_s3(reason, EINVAL, "MalformedXML", "versioning is Enabled or Suspended, written exactly so");
    *ret = text[0] == 'E' ? VERSIONING_ENABLED : VERSIONING_SUSPENDED;
    return 0;
}

static int mfa_word(const char *text, enum mfa_delete *ret, struct reason *reason)
{
    if (strcmp(text, "Enabled") && strcmp(text, "Disabled"))
        return reason_fail_s3(reason, EINVAL, "MalformedXML", "MfaDelete is Enabled or Disabled, written exactly so");
    *ret = text[0] == 'E' ? MFA_DELETE_ENABLED : MFA_DELETE_DISABLED;
    return 0;
}

static int versioning_short(const char *text, enum versioning *ret, enum mfa_delete *ret_mfa, struct reason *reason)
{
    static const char mfa[] = "MfaDelete=";
    char status[16];
    size_t len = strcspn(text, " ");
    snprintf(status, sizeof status, "%.*s", (int)(len < sizeof status ? len : sizeof status - 1), text);
    int r = versioning_word(len ? status : text, ret, reason);
    if (r < 0 || !text[len])
        return r;
    if (strncmp(text + len + 1, mfa, strlen(mfa)) != 0)
        return reason_fail_s3(reason, EINVAL, "MalformedXML", "write Enabled or Suspended, and MfaDelete=Enabled CODE or MfaDelete=Disabled CODE");
    return mfa_word(text + len + 1 + strlen(mfa), ret_mfa, reason);
}

static int versioning_document(xmlNode *top, enum versioning *ret, enum mfa_delete *ret_mfa, struct reason *reason)
{
    struct xml_slot slots[] = {{.name = "Status"}, {.name = "MfaDelete"}};
    char status[16] = "", mfa[16] = "";
    int r = xml_children(top, slots, 2);
    if (r == 0 && slots[0].node)
        r = xml_text(slots[0].node, status, sizeof status);
    if (r == 0 && slots[1].node)
        r = xml_text(slots[1].node, mfa, sizeof mfa);
    if (r < 0)
        return reason_fail_s3(reason, EINVAL, "MalformedXML",
                              "the document is no <VersioningConfiguration><Status/></VersioningConfiguration>");
    r = slots[1].node ? mfa_word(mfa, ret_mfa, reason) : 0;
    return r < 0 ? r : versioning_word(status, ret, reason);
}

int bucket_versioning_parse(const char *text, size_t len, enum versioning *ret, enum mfa_delete *ret_mfa, struct reason *reason)
{
    enum versioning status = VERSIONING_UNVERSIONED;
    enum mfa_delete mfa = MFA_DELETE_NEVER;
    int r;
    if (!len)
        return reason_fail_s3(reason, EINVAL, "MissingRequestBodyError", "Request Body is empty");
    if (is_document(text, len)) {
        xmlDoc *doc = xml_read(text, len, "VersioningConfiguration");
        r = doc ? versioning_document(xmlDocGetRootElement(doc), &status, &mfa, reason)
                : reason_fail_s3(reason, EINVAL, "MalformedXML",
                                 "the document is no <VersioningConfiguration><Status/></VersioningConfiguration>");
        xmlFreeDoc(doc);
    } else {
        r = versioning_short(text, &status, &mfa, reason);
    }
    if (r == 0 && mfa == MFA_DELETE_ENABLED && status != VERSIONING_ENABLED)
        r = reason_fail_s3(reason, EINVAL, "IllegalVersioningConfigurationException", "MFA Delete needs versioning to be Enabled");
    if (r < 0)
        return r;
    *ret = status;
    *ret_mfa = mfa;
    return 0;
}

void bucket_versioning_format(enum versioning v, enum mfa_delete mfa, struct bytes *out)
{
    bytes_printf(out, "<VersioningConfiguration xmlns=\"" XML_S3_NAMESPACE "\"");
    if (v == VERSIONING_UNVERSIONED) {
        bytes_printf(out, "/>");
        return;
    }
    bytes_printf(out, "><Status>%s</Status>", v == VERSIONING_ENABLED ? "Enabled" : "Suspended");
    if (mfa != MFA_DELETE_NEVER)
        bytes_printf(out, "<MfaDelete>%s</MfaDelete>", mfa == MFA_DELETE_ENABLED ? "Enabled" : "Disabled");
    bytes_printf(out, "</VersioningConfiguration>");
}

/* ---- object lock ---- */

static int lock_malformed(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "MalformedXML",
                          "write Enabled, none, GOVERNANCE 30d, COMPLIANCE 7y, or an <ObjectLockConfiguration> with "
                          "ObjectLockEnabled and, for a default, Mode and one of Days and Years");
}

/* A whole number, as large as one likes (then INT64_MAX); a sign is allowed, so that a negative one is told as such. */
static bool number_parse(const char *text, int64_t *ret)
{
    bool negative = *text == '-';
    text += negative;
    int64_t n = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *text - '0', &n))
            n = INT64_MAX / 10;
    }
    *ret = negative ? -n : n;
    return true;
}

static int period_judge(int64_t n, bool years, struct lock_config *config, struct reason *reason)
{
    if (n < 1)
        return reason_fail_s3(reason, EINVAL, "InvalidRetentionPeriod",
                              "Default retention period must be a positive integer value.");
    if (n > (years ? DEFAULT_YEARS_MAX : LIMIT_COMPLIANCE_DAYS))
        return reason_fail_s3(reason, ERANGE, "InvalidRetentionPeriod", "Default retention period too large.");
    *(years ? &config->years : &config->days) = (uint32_t)n;
    return 0;
}

static int default_parse(xmlNode *node, struct lock_config *config, struct reason *reason)
{
    struct xml_slot slots[] = {{.name = "Mode"}, {.name = "Days"}, {.name = "Years"}};
    char mode[16], period[32];
    if (xml_children(node, slots, 3) < 0 || !slots[0].node || !slots[1].node == !slots[2].node)
        return lock_malformed(reason);
    bool years = slots[2].node;
    int64_t n;
    if (xml_text(slots[0].node, mode, sizeof mode) < 0 || xml_text(slots[years ? 2 : 1].node, period, sizeof period) < 0 ||
        !number_parse(period, &n) || lock_mode_parse(mode, strlen(mode), &config->mode) < 0 ||
        strcmp(mode, lock_mode_text(config->mode)) != 0)
        return lock_malformed(reason);
    return period_judge(n, years, config, reason);
}

static int rule_parse(xmlNode *rule, struct lock_config *config, struct reason *reason)
{
    struct xml_slot slots[] = {{.name = "DefaultRetention"}};
    if (xml_children(rule, slots, 1) < 0 || !slots[0].node)
        return lock_malformed(reason);
    return default_parse(slots[0].node, config, reason);
}

/* S3's variable retention of 2026. Ignoring it would drop a protection. */
static bool asks_for_event_hold(xmlNode *node)
{
    for (; node; node = node->next) {
        if (node->type != XML_ELEMENT_NODE)
            continue;
        const char *name = (const char *)node->name;
        if (strcmp(name, "DefaultEventHold") == 0 || strcmp(name, "EventHold") == 0 || strcmp(name, "EventHoldDuration") == 0 ||
            asks_for_event_hold(node->children))
            return true;
    }
    return false;
}

static int lock_document_parse(xmlNode *top, struct lock_config *config, struct reason *reason)
{
    struct xml_slot slots[] = {{.name = "ObjectLockEnabled"}, {.name = "Rule"}};
    char enabled[16];
    if (asks_for_event_hold(top->children))
        return reason_fail_s3(reason, EOPNOTSUPP, "NotImplemented", "event holds are not offered: leave them out");
    if (xml_children(top, slots, 2) < 0 || !slots[0].node || xml_text(slots[0].node, enabled, sizeof enabled) < 0 ||
        strcmp(enabled, "Enabled") != 0)
        return lock_malformed(reason);
    return slots[1].node ? rule_parse(slots[1].node, config, reason) : 0;
}

static int lock_short_parse(const char *text, size_t len, struct lock_config *config, struct reason *reason)
{
    config->keep_default = is_text(text, len, "Enabled");
    config->must_exist = is_text(text, len, "none");
    if (config->keep_default || config->must_exist)
        return 0;
    size_t mode_len = strcspn(text, " ");
    const char *period = text + mode_len + strspn(text + mode_len, " ");
    char digits[32];
    size_t period_len = strlen(period);
    int64_t n;
    if (lock_mode_parse(text, mode_len, &config->mode) < 0 || period_len < 2 || period_len > sizeof digits)
        return lock_malformed(reason);
    char unit = period[period_len - 1];
    memcpy(digits, period, period_len - 1);
    digits[period_len - 1] = '\0';
    if ((unit != 'd' && unit != 'y') || !number_parse(digits, &n))
        return lock_malformed(reason);
    return period_judge(n, unit == 'y', config, reason);
}

int bucket_lock_parse(const char *text, size_t len, struct lock_config *ret, struct reason *reason)
{
    struct lock_config config = {0};
    int r;
    if (is_document(text, len)) {
        xmlDoc *doc = xml_read(text, len, "ObjectLockConfiguration");
        r = doc ? lock_document_parse(xmlDocGetRootElement(doc), &config, reason) : lock_malformed(reason);
        xmlFreeDoc(doc);
    } else {
        r = lock_short_parse(text, len, &config, reason);
    }
    if (r == 0)
        *ret = config;
    return r;
}

void bucket_lock_format(const struct lock_config *config, struct bytes *out)
{
    bytes_printf(out, "<ObjectLockConfiguration xmlns=\"" XML_S3_NAMESPACE "\"><ObjectLockEnabled>Enabled</ObjectLockEnabled>");
    if (config->mode != LOCK_NONE) {
        const char *unit = config->years ? "Years" : "Days";
        bytes_printf(out, "<Rule><DefaultRetention><Mode>%s</Mode><%s>%u</%s></DefaultRetention></Rule>",
                     lock_mode_text(config->mode), unit, config->years ? config->years : config->days, unit);
    }
    bytes_printf(out, "</ObjectLockConfiguration>");
}

/* ---- holdfs's own ---- */

int bucket_settle_parse(const char *text, int64_t *ret_s, struct reason *reason)
{
    int64_t n;
    if (!number_parse(text, &n) || n < 0)
        return reason_fail(reason, EINVAL, "the settle time is a number of seconds, 0 to %d", SETTLE_MAX_S);
    if (n > SETTLE_MAX_S)
        return reason_fail(reason, ERANGE, "the settle time is at most %d seconds", SETTLE_MAX_S);
    *ret_s = n;
    return 0;
}

int bucket_orphan_keep_parse(const char *text, int64_t *ret_s, struct reason *reason)
{
    char digits[32];
    size_t len = strlen(text);
    int64_t n;
    if (strcmp(text, "0") == 0 || strcmp(text, "forever") == 0) {
        *ret_s = text[0] == '0' ? 0 : INT64_MAX;
        return 0;
    }
    if (len < 2 || len > sizeof digits || text[len - 1] != 'd')
        return reason_fail(reason, EINVAL, "orphans are kept 0, a number of days as 1d, or forever");
    memcpy(digits, text, len - 1);
    digits[len - 1] = '\0';
    if (!number_parse(digits, &n) || n < 0)
        return reason_fail(reason, EINVAL, "orphans are kept 0, a number of days as 1d, or forever");
    if (n > LIMIT_COMPLIANCE_DAYS)
        return reason_fail(reason, ERANGE, "orphans are kept at most %dd, or forever", LIMIT_COMPLIANCE_DAYS);
    *ret_s = n * DAY_S;
    return 0;
}

void bucket_orphan_keep_format(int64_t seconds, struct bytes *out)
{
    if (seconds == 0)
        bytes_printf(out, "0");
    else if (seconds == INT64_MAX)
        bytes_printf(out, "forever");
    else
        bytes_printf(out, "%lldd", (long long)(seconds / DAY_S));
}

int bucket_compression_parse(const char *text, bool *ret, struct reason *reason)
{
    if (strcmp(text, "none") && strcmp(text, "zstd"))
        return reason_fail(reason, EINVAL, "compression is none or zstd");
    *ret = text[0] == 'z';
    return 0;
}

int bucket_mode_mask_parse(const char *text, uint32_t *ret, struct reason *reason)
{
    size_t len = strlen(text);
    if (len < 1 || len > 4 || strspn(text, "01234567") != len || (len == 4 && text[0] != '0'))
        return reason_fail(reason, EINVAL, "the mode mask is octal, 000 to 777");
    uint32_t mask = 0;
    for (const char *at = text; *at; at++)
        mask = mask << 3 | (uint32_t)(*at - '0');
    *ret = mask;
    return 0;
}

/* ---- encryption ---- */

static int encryption_malformed(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "MalformedXML",
                          "write AES256, or a <ServerSideEncryptionConfiguration> with one Rule");
}

/* aws:kms, aws:kms:KEY */
static int algorithm_kms(const char *text, struct sse_config *ret, struct reason *reason)
{
    const char *key = text[7] == ':' ? text + 8 : "";
    if (text[7] && text[7] != ':')
        return encryption_malformed(reason);
    if (text[7] == ':' && !*key)
        return reason_fail_s3(reason, EINVAL, "InvalidArgument", "aws:kms: wants a key behind it: aws:kms:KEY, or aws:kms for " "alias/aws/s3");
    if (strlen(key) >= sizeof ret->key)
        return reason_fail_s3(reason, EINVAL, "InvalidArgument", "no key has a name of %zu characters", strlen(key));
    ret->mode = ENVELOPE_SSE_KMS;
    memcpy(ret->key, key, strlen(key) + 1);
    return 0;
}

/* S3 and we offer no two layers from one daemon (encryption.md §3.1). */
static int algorithm_judge(const char *text, struct sse_config *ret, struct reason *reason)
{
    if (strcmp(text, "aws:kms:dsse") == 0)
        return reason_fail_s3(reason, EOPNOTSUPP, "NotImplemented", "aws:kms:dsse is not offered; aws:kms and AES256 are");
    if (strcmp(text, "AES256") != 0)
        return strncmp(text, "aws:kms", 7) == 0 ? algorithm_kms(text, ret, reason) : encryption_malformed(reason);
    ret->mode = ENVELOPE_SSE_S3;
    return 0;
}

static int encryption_default_parse(xmlNode *node, struct sse_config *ret, struct reason *reason)
{
    struct xml_slot slots[] = {{.name = "SSEAlgorithm"}, {.name = "KMSMasterKeyID"}};
    char algorithm[32];
    if (xml_children(node, slots, 2) < 0 || !slots[0].node || xml_text(slots[0].node, algorithm, sizeof algorithm) < 0)
        return encryption_malformed(reason);
    if (strncmp(algorithm, "aws:kms:", 8) == 0 && strcmp(algorithm, "aws:kms:dsse") != 0)
        return encryption_malformed(reason); /* a key behind it is the short form's */
    int r = algorithm_judge(algorithm, ret, reason);
    if (r == 0 && slots[1].node && ret->mode != ENVELOPE_SSE_KMS)
        return reason_fail_s3(reason, EINVAL, "InvalidArgument",
                              "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse");
    if (r == 0 && slots[1].node && xml_text(slots[1].node, ret->key, sizeof ret->key) < 0)
        return encryption_malformed(reason);
    return r;
}

static int block_parse(const char *text, struct sse_config *ret, struct reason *reason)
{
    if (strcmp(text, "SSE-C") != 0 && strcmp(text, "NONE") != 0)
        return encryption_malformed(reason);
    ret->block_said = true;
    ret->block = text[0] == 'S';
    return 0;
}

static int encryption_blocked_parse(xmlNode *node, struct sse_config *ret, struct reason *reason)
{
    struct xml_slot type = {.name = "EncryptionType"};
    char text[16];
    if (xml_children(node, &type, 1) < 0 || !type.node || xml_text(type.node, text, sizeof text) < 0)
        return encryption_malformed(reason);
    return block_parse(text, ret, reason);
}

static int encryption_rule_parse(xmlNode *rule, struct sse_config *ret, struct reason *reason)
{
    struct xml_slot slots[] = {
        {.name = "ApplyServerSideEncryptionByDefault"}, {.name = "BucketKeyEnabled"}, {.name = "BlockedEncryptionTypes"}};
    char bucket_key[8] = "false";
    if (xml_children(rule, slots, 3) < 0 || (!slots[0].node && !slots[2].node) ||
        (slots[1].node && xml_text(slots[1].node, bucket_key, sizeof bucket_key) < 0) ||
        (strcmp(bucket_key, "true") && strcmp(bucket_key, "false")))
        return encryption_malformed(reason);
    int r = slots[2].node ? encryption_blocked_parse(slots[2].node, ret, reason) : 0;
    if (r == 0 && slots[0].node)
        r = encryption_default_parse(slots[0].node, ret, reason);
    ret->bucket_key = bucket_key[0] == 't';
    return r;
}

/* AES256, aws:kms[:KEY][ bucket-key], block=SSE-C, block=NONE */
static int encryption_short_parse(const char *text, struct sse_config *ret, struct reason *reason)
{
    static const char bucket_key[] = " bucket-key";
    char algorithm[SSE_KEY_CHARS + 16];
    size_t len = strlen(text), tail = sizeof bucket_key - 1;
    if (strncmp(text, "block=", 6) == 0)
        return block_parse(text + 6, ret, reason);
    if (len > tail && strcmp(text + len - tail, bucket_key) == 0 && strncmp(text, "aws:kms", 7) == 0) {
        ret->bucket_key = true;
        len -= tail;
    }
    if (len >= sizeof algorithm)
        return encryption_malformed(reason);
    memcpy(algorithm, text, len);
    algorithm[len] = '\0';
    return algorithm_judge(algorithm, ret, reason);
}

int bucket_encryption_parse(const char *text, size_t len, struct sse_config *ret, struct reason *reason)
{
    struct sse_config config = {.mode = 0};
    int r;
    if (!is_document(text, len)) {
        r = encryption_short_parse(text, &config, reason);
    } else {
        xmlDoc *doc = xml_read(text, len, "ServerSideEncryptionConfiguration");
        struct xml_slot rule = {.name = "Rule"};
        r = doc ? xml_children(xmlDocGetRootElement(doc), &rule, 1) : -EINVAL;
        r = r < 0 || !rule.node ? encryption_malformed(reason) : encryption_rule_parse(rule.node, &config, reason);
        xmlFreeDoc(doc);
    }
    if (r == 0)
        *ret = config;
    return r;
}

void bucket_encryption_format(const struct sse_config *c, struct bytes *out)
{
    bool kms = c->mode == ENVELOPE_SSE_KMS;
    bytes_printf(out,
                 "<ServerSideEncryptionConfiguration xmlns=\"" XML_S3_NAMESPACE "\"><Rule>"
                 "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>%s</SSEAlgorithm>",
                 kms ? "aws:kms" : "AES256");
    if (kms && c->key[0]) {
        bytes_printf(out, "<KMSMasterKeyID>");
        xml_put_escaped(out, c->key, strlen(c->key));
        bytes_printf(out, "</KMSMasterKeyID>");
    }
    bytes_printf(out,
                 "</ApplyServerSideEncryptionByDefault><BucketKeyEnabled>%s</BucketKeyEnabled>"
                 "<BlockedEncryptionTypes><EncryptionType>%s</EncryptionType></BlockedEncryptionTypes>"
                 "</Rule></ServerSideEncryptionConfiguration>",
                 c->bucket_key ? "true" : "false", c->block ? "SSE-C" : "NONE");
}
