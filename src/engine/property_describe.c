/* SPDX-License-Identifier: GPL-3.0-or-later
 * `describe`: everything known about a thing as one JSON document, which `holdfs stat` shows too. */
#include "engine/property.h"

#include <stdio.h>
#include <sys/stat.h>

/* Values are text where they are text, else "base64:...". */
static json_t *json_value(const void *data, size_t len)
{
    json_t *text = json_stringn(data, len);
    if (text)
        return text;
    CLEANUP_FREE char *encoded = malloc(7 + 4 * ((len + 2) / 3) + 1);
    if (!encoded)
        return NULL;
    memcpy(encoded, "base64:", 7);
    base64_format(data, len, encoded + 7);
    return json_string(encoded);
}

static void put_one(struct property_call *p, const char *name, json_t *out)
{
    struct bytes value = {0};
    if (property_get_checked(p, &value) == 0)
        json_object_set_new(out, name, json_value(value.data ? value.data : (const uint8_t *)"", value.len));
    bytes_done(&value);
}

static void put_prefix(struct property_call *p, json_t *out)
{
    struct bytes names = {0};
    if (property_may(p, p->property->get_action) == 0 && p->property->names(p, &names) == 0 && !names.failed) {
        for (size_t at = 0; at < names.len; at += strlen((const char *)names.data + at) + 1) {
            char name[320];
            p->rest = (const char *)names.data + at;
            snprintf(name, sizeof name, "%s%s", p->property->name, p->rest);
            put_one(p, name, out);
        }
    }
    bytes_done(&names);
}

static const char *kind_of(const struct property_call *p, uint32_t mode)
{
    if (p->where & ON_MARKER)
        return "delete-marker";
    if (p->where & ON_BUCKET)
        return "bucket";
    if (p->where & ON_ROOT)
        return "store";
    return S_ISDIR(mode)    ? "directory"
           : S_ISLNK(mode)  ? "symlink"
           : S_ISREG(mode)  ? "file"
           : S_ISFIFO(mode) ? "fifo"
           : S_ISSOCK(mode) ? "socket"
                            : "device";
}

static void put_time(json_t *out, const char *name, struct instant t)
{
    char text[48];
    timeform_format_ns(t.sec, t.nsec, text);
    json_object_set_new(out, name, json_string(text));
}

static void put_attr(struct property_call *p, json_t *out)
{
    struct engine_attr attr = {0};
    if (p->inode)
        inode_attr(p->engine, p->inode, &attr);
    else
        record_attr(&p->version.record, record_data_bytes(&p->version.record), &attr);
    char mode[8];
    snprintf(mode, sizeof mode, "%04o", attr.mode & 07777);
    json_object_set_new(out, "type", json_string(kind_of(p, attr.mode)));
    if (p->where & ON_MARKER)
        return;
    json_object_set_new(out, "ino", json_integer((json_int_t)(p->inode ? p->inode->ino : p->version.ino)));
    json_object_set_new(out, "mode", json_string(mode));
    json_object_set_new(out, "uid", json_integer(attr.uid));
    json_object_set_new(out, "gid", json_integer(attr.gid));
    if (p->inode)
        json_object_set_new(out, "nlink", json_integer(attr.nlink));
    if (p->where & ON_OBJECT)
        json_object_set_new(out, "size", json_integer((json_int_t)attr.size_bytes));
    put_time(out, "mtime", attr.mtime);
    put_time(out, "atime", attr.atime);
    put_time(out, "ctime", attr.ctime);
    put_time(out, "btime", attr.btime);
}

static void put_xattrs(struct property_call *p, json_t *out)
{
    json_t *xattrs = json_object();
    struct attr_item item;
    for (size_t at = 0; attrs_next(&property_record(p)->attrs, &at, &item);) {
        if (item.kind == ATTR_XATTR)
            json_object_setn_new(xattrs, item.name, item.name_len, json_value(item.value, item.len));
    }
    if (json_object_size(xattrs))
        json_object_set(out, "xattrs", xattrs);
    json_decref(xattrs);
}

static void put_properties(struct property_call *p, json_t *out)
{
    const struct property *self = p->property;
    const char *rest = p->rest;
    for (size_t i = 0; i < property_count; i++) {
        p->property = &properties[i];
        p->rest = "";
        if (!(p->where & p->property->where) || (p->property->flags & PROPERTY_HIDDEN))
            continue;
        if (p->property->flags & PROPERTY_PREFIX)
            put_prefix(p, out);
        else
            put_one(p, p->property->name, out);
    }
    p->property = self;
    p->rest = rest;
    reason_clear(&p->caller->reason); /* what the caller may not read is left out */
    p->caller->denied_action = NULL;
    p->caller->refused.action = NULL;
}

int property_describe(struct property_call *p, struct bytes *out)
{
    json_t *doc = json_object();
    if (p->bucket) {
        struct span key = property_key(p);
        json_object_set_new(doc, "bucket", json_string(p->bucket->name));
        json_object_set_new(doc, "key", json_value(key.len ? key.p : (const uint8_t *)"", key.len));
    }
    put_attr(p, doc);
    put_properties(p, doc);
    put_xattrs(p, doc);
    CLEANUP_FREE char *text = json_dumps(doc, JSON_COMPACT);
    json_decref(doc);
    if (!text)
        return -ENOMEM;
    bytes_put(out, text, strlen(text));
    return 0;
}
