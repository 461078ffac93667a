/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzz target: values of user.s3 attributes, as a person or a program may set them. What is read must be within its limits, and
 * what is written must read again. The first byte picks the reader. */
#include "engine/acl.h"
#include "engine/bucket_config.h"
#include "engine/lock.h"
#include "engine/property.h"
#include "engine/tagset.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_tags(const char *text, size_t len)
{
    struct attrs tags, again;
    struct reason why = {0};
    struct bytes out = {0};
    if (tagset_parse(text, len, 10, &tags, &why) < 0) {
        must(why.text[0]);
        return;
    }
    must(tagset_count(&tags) <= 10 && attrs_valid(tags.packed.data, tags.packed.len));
    tagset_format(&tags, &out);
    must(tagset_parse((const char *)out.data, out.len, 10, &again, NULL) == 0);
    must(again.packed.len == tags.packed.len && (!tags.packed.len || !memcmp(again.packed.data, tags.packed.data, tags.packed.len)));
    attrs_done(&again);
    bytes_clear(&out);
    tagset_format_xml(&tags, &out);
    must(tagset_parse((const char *)out.data, out.len, 10, &again, NULL) == 0);
    attrs_done(&again);
    attrs_done(&tags);
    bytes_done(&out);
}

static void check_lock_config(const char *text, size_t len)
{
    struct lock_config c, again;
    struct reason why = {0};
    struct bytes out = {0};
    if (bucket_lock_parse(text, len, &c, &why) < 0) {
        must(why.text[0]);
        return;
    }
    must(c.days <= 36500 && c.years <= 100 && !(c.days && c.years));
    must((c.mode == LOCK_NONE) == (!c.days && !c.years));
    bucket_lock_format(&c, &out);
    must(bucket_lock_parse((const char *)out.data, out.len, &again, NULL) == 0);
    must(again.mode == c.mode && again.days == c.days && again.years == c.years);
    bytes_done(&out);
}

static void check_lock_values(const char *text)
{
    struct lock_wanted w;
    struct reason why = {0};
    bool on;
    const int64_t now_ms = 1795521600000;
    if (lock_retention_parse(text, now_ms, &w, &why) < 0)
        must(why.text[0]);
    else if (lock_date_judge(&w, now_ms, NULL) == 0)
        must(w.until_ms > now_ms && (w.mode == LOCK_GOVERNANCE || w.mode == LOCK_COMPLIANCE));
    lock_hold_parse(text, &on, NULL);
}

static void check_short_forms(const char *text, size_t len)
{
    int64_t n;
    uint32_t mask;
    bool on;
    enum versioning v;
    enum mfa_delete mfa;
    struct reason why = {0};
    if (bucket_settle_parse(text, &n, NULL) == 0)
        must(n >= 0 && n <= 86400);
    if (bucket_orphan_keep_parse(text, &n, NULL) == 0)
        must(n >= 0);
    if (bucket_mode_mask_parse(text, &mask, NULL) == 0)
        must(mask <= 0777);
    bucket_compression_parse(text, &on, NULL);
    if (bucket_versioning_parse(text, len, &v, &mfa, &why) == 0)
        must(v == VERSIONING_ENABLED || (v == VERSIONING_SUSPENDED && mfa != MFA_DELETE_ENABLED));
    else
        must(why.text[0]);
    struct sse_config sse;
    if (bucket_encryption_parse(text, len, &sse, &why) < 0)
        must(why.text[0]);
    else
        must(sse.mode || sse.block_said);
}

static void check_names(const char *text)
{
    char near[256];
    const char *rest;
    property_near(text, near);
    must(strlen(near) < sizeof near);
    const struct property *p = property_find(text, &rest);
    must(!p || rest >= text);
}

static void check_acl(const uint8_t *data, size_t size)
{
    if (acl_check(data, size) < 0)
        return;
    uint32_t mode = acl_mode(data, size, 0), child_mode = 0100666;
    must(mode <= 0777);
    struct record dir = {.mode = 040755};
    struct attrs child = {0};
    must(attrs_set(&dir.attrs, ATTR_XATTR, ACL_DEFAULT, strlen(ACL_DEFAULT), data, size) == 0);
    must(acl_inherit(&dir, true, &child_mode, &child) == 0);
    must((child_mode & 0777) == (mode & 0666));
    attrs_done(&child);
    record_done(&dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    char *text = malloc(size);
    if (!text)
        return 0;
    size_t len = size - 1;
    memcpy(text, data + 1, len);
    text[len] = '\0';
    switch (data[0] % 6) {
    case 0:
        check_tags(text, len);
        break;
    case 1:
        check_lock_config(text, strlen(text)); /* as the property passes it: text without zeros */
        break;
    case 2:
        check_lock_values(text);
        break;
    case 3:
        check_short_forms(text, strlen(text));
        break;
    case 4:
        check_names(text);
        break;
    default:
        check_acl(data + 1, len);
    }
    free(text);
    return 0;
}
