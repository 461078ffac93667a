/* SPDX-License-Identifier: GPL-3.0-or-later
 * Properties that are kept as named values: content headers, user metadata, tags (s3-api.md §11). */
#include "engine/property.h"
#include "engine/tagset.h"
#include "util/limits.h"

#include <stdio.h>

enum { HEADER_VALUE_BYTES = 2048, META_NAME_BYTES = 200 };

/* What goes out as an HTTP header again must be one line. */
static bool is_one_line(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
            return false;
    }
    return true;
}

static int get_attr(struct property_call *p, enum attr_kind kind, const char *name, struct bytes *out)
{
    const uint8_t *value;
    size_t len;
    int r = attrs_get(&property_record(p)->attrs, kind, name, strlen(name), &value, &len);
    if (r == 0)
        bytes_put(out, value, len);
    return r;
}

/* Headers and user metadata belong to what a lock pins; tags do not (retention.md §2.7). */
static int change_pinned(struct property_call *p, enum attr_kind kind, const char *name, const char *text, size_t len)
{
    int r = pinned_forbids(p->engine, p->caller, p->inode);
    return r < 0 ? r : property_attr_change(p, kind, name, text, len);
}

int get_header(struct property_call *p, struct bytes *out)
{
    return get_attr(p, ATTR_HEADER, p->property->name, out);
}

int set_header(struct property_call *p, const char *text, size_t len)
{
    struct reason *reason = &p->caller->reason;
    if (len > HEADER_VALUE_BYTES)
        return reason_fail_s3(reason, ERANGE, "MetadataTooLarge", "user.s3.%s holds at most %d bytes", p->property->name,
                              HEADER_VALUE_BYTES);
    if (!is_one_line(text, len))
        return reason_fail_s3(reason, EINVAL, "InvalidArgument", "user.s3.%s is one line without control characters",
                              p->property->name);
    return change_pinned(p, ATTR_HEADER, p->property->name, text, len);
}

int set_redirect(struct property_call *p, const char *text, size_t len)
{
    if (text[0] != '/' && strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
        return reason_fail_s3(&p->caller->reason, EINVAL, "InvalidRedirectLocation",
                              "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.");
    return set_header(p, text, len);
}

int remove_header(struct property_call *p)
{
    return change_pinned(p, ATTR_HEADER, p->property->name, NULL, 0);
}

/* ---- user metadata ---- */

/* The stored name: S3 lower-cases it. -EINVAL: no header could carry it. */
static int meta_name(const char *rest, char out[META_NAME_BYTES + 1])
{
    size_t len = strlen(rest);
    if (!len || len > META_NAME_BYTES)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        char c = rest[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        bool token = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("!#$%&'*+-.^_`|~", c);
        if (!token)
            return -EINVAL;
        out[i] = c;
    }
    out[len] = '\0';
    return 0;
}

int get_meta(struct property_call *p, struct bytes *out)
{
    char name[META_NAME_BYTES + 1];
    return meta_name(p->rest, name) < 0 ? -ENODATA : get_attr(p, ATTR_META, name, out);
}

int set_meta(struct property_call *p, const char *text, size_t len)
{
    struct reason *reason = &p->caller->reason;
    char name[META_NAME_BYTES + 1];
    if (meta_name(p->rest, name) < 0)
        return reason_fail_s3(reason, EINVAL, "InvalidArgument",
                              "names of user metadata are those of HTTP headers: letters, digits, - and _, up to %d",
                              META_NAME_BYTES);
    if (!is_one_line(text, len))
        return reason_fail_s3(reason, EINVAL, "InvalidArgument", "user metadata is one line without control characters");
    const struct attrs *attrs = &property_record(p)->attrs;
    const uint8_t *old;
    size_t old_len, sum = attrs_bytes(attrs, ATTR_META) + strlen(name) + len;
    if (attrs_get(attrs, ATTR_META, name, strlen(name), &old, &old_len) == 0)
        sum -= strlen(name) + old_len;
    if (sum > LIMIT_USER_METADATA_BYTES)
        return reason_fail_s3(reason, ERANGE, "MetadataTooLarge",
                              "names and values of user metadata together hold at most %d bytes", LIMIT_USER_METADATA_BYTES);
    return change_pinned(p, ATTR_META, name, text, len);
}

int remove_meta(struct property_call *p)
{
    char name[META_NAME_BYTES + 1];
    return meta_name(p->rest, name) < 0 ? -ENODATA : change_pinned(p, ATTR_META, name, NULL, 0);
}

static int names_of(struct property_call *p, enum attr_kind kind, struct bytes *out)
{
    struct attr_item item;
    for (size_t at = 0; attrs_next(&property_record(p)->attrs, &at, &item);) {
        if (item.kind != kind)
            continue;
        bytes_put(out, item.name, item.name_len);
        bytes_put_u8(out, 0);
    }
    return 0;
}

int names_meta(struct property_call *p, struct bytes *out)
{
    return names_of(p, ATTR_META, out);
}

/* ---- tags ---- */

int get_tagging(struct property_call *p, struct bytes *out)
{
    const struct attrs *attrs = &property_record(p)->attrs;
    if (!tagset_count(attrs))
        return -ENODATA;
    tagset_format(attrs, out);
    return 0;
}

/* The target's named values with `tags` in the place of its own. */
static int replace_tags(struct property_call *p, const struct attrs *tags)
{
    struct attrs fresh = {0};
    const struct attrs *both[2] = {&property_record(p)->attrs, tags};
    struct attr_item item;
    int r = 0;
    for (int n = 0; n < 2; n++) {
        for (size_t at = 0; r == 0 && both[n] && attrs_next(both[n], &at, &item);) {
            if (n == 1 || item.kind != ATTR_TAG)
                r = attrs_set(&fresh, item.kind, item.name, item.name_len, item.value, item.len);
        }
    }
    if (r == 0)
        r = property_attrs_replace(p, &fresh);
    attrs_done(&fresh);
    return r;
}

int set_tagging(struct property_call *p, const char *text, size_t len)
{
    struct attrs tags;
    int r = tagset_parse(text, len, LIMIT_OBJECT_TAGS, &tags, &p->caller->reason);
    if (r < 0)
        return r;
    r = replace_tags(p, &tags);
    attrs_done(&tags);
    return r;
}

int remove_tagging(struct property_call *p)
{
    return tagset_count(&property_record(p)->attrs) ? replace_tags(p, NULL) : -ENODATA;
}

int get_tag(struct property_call *p, struct bytes *out)
{
    return get_attr(p, ATTR_TAG, p->rest, out);
}

int set_tag(struct property_call *p, const char *text, size_t len)
{
    struct attrs attrs;
    int r = attrs_copy(&attrs, &property_record(p)->attrs);
    if (r < 0)
        return r;
    r = tagset_put(&attrs, p->rest, strlen(p->rest), text, len, LIMIT_OBJECT_TAGS, &p->caller->reason);
    if (r == 0)
        r = property_attrs_replace(p, &attrs);
    attrs_done(&attrs);
    return r;
}

int remove_tag(struct property_call *p)
{
    return property_attr_change(p, ATTR_TAG, p->rest, NULL, 0);
}

int names_tag(struct property_call *p, struct bytes *out)
{
    return names_of(p, ATTR_TAG, out);
}
