/* SPDX-License-Identifier: GPL-3.0-or-later
 * A bucket's policy and public access block as attributes of its directory (auth.md §4.5, §4.8). */
#include "engine/iam.h"
#include "engine/property.h"
#include "util/xmldoc.h"

#include <strings.h>

int get_bucket_policy(struct property_call *p, struct bytes *out)
{
    if (!p->bucket->policy)
        return -ENODATA;
    size_t len;
    const char *text = policy_text(p->bucket->policy, &len);
    bytes_put(out, text, len);
    return 0;
}

int set_bucket_policy(struct property_call *p, const char *text, size_t len)
{
    int r = bucket_policy_set(p->engine, p->caller, p->bucket, text, len);
    if (r == 0)
        iam_by_key_refresh(p->engine, &p->forget);
    return r;
}

int remove_bucket_policy(struct property_call *p)
{
    if (!p->bucket->policy)
        return -ENODATA;
    int r = bucket_policy_set(p->engine, p->caller, p->bucket, NULL, 0);
    if (r == 0)
        iam_by_key_refresh(p->engine, &p->forget);
    return r;
}

/* ---- public access block ---- */

static const struct {
    const char *name;
    int bit;
} switches[] = {
    {"BlockPublicAcls", BLOCK_PUBLIC_ACLS},
    {"IgnorePublicAcls", IGNORE_PUBLIC_ACLS},
    {"BlockPublicPolicy", BLOCK_PUBLIC_POLICY},
    {"RestrictPublicBuckets", RESTRICT_PUBLIC_BUCKETS},
};
enum { SWITCHES = sizeof switches / sizeof *switches };

int get_bucket_block(struct property_call *p, struct bytes *out)
{
    if (p->bucket->block < 0)
        return -ENODATA;
    bytes_printf(out, "<PublicAccessBlockConfiguration xmlns=\"" XML_S3_NAMESPACE "\">");
    for (size_t n = 0; n < SWITCHES; n++)
        bytes_printf(out, "<%s>%s</%s>", switches[n].name, p->bucket->block & switches[n].bit ? "true" : "false", switches[n].name);
    bytes_printf(out, "</PublicAccessBlockConfiguration>");
    return 0;
}

static int malformed(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "MalformedXML",
                          "write on, off, names with commas between of BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, "
                          "RestrictPublicBuckets, or a <PublicAccessBlockConfiguration> with these elements");
}

/* Absent elements are false. */
static int read_document(const char *text, size_t len, int *ret)
{
    xmlDoc *doc = xml_read(text, len, "PublicAccessBlockConfiguration");
    struct xml_slot slots[SWITCHES];
    for (size_t n = 0; n < SWITCHES; n++)
        slots[n] = (struct xml_slot){.name = switches[n].name};
    int r = doc ? xml_children(xmlDocGetRootElement(doc), slots, SWITCHES) : -EINVAL;
    *ret = 0;
    for (size_t n = 0; r == 0 && n < SWITCHES; n++) {
        char value[8] = "false";
        if (slots[n].node)
            r = xml_text(slots[n].node, value, sizeof value);
        bool on = strcasecmp(value, "true") == 0;
        if (!on && strcasecmp(value, "false") != 0)
            r = -EINVAL;
        *ret |= on ? switches[n].bit : 0;
    }
    xmlFreeDoc(doc);
    return r < 0 ? -EINVAL : 0;
}

static int read_names(const char *text, int *ret)
{
    *ret = 0;
    for (size_t len; *text; text += len + (text[len] == ',')) {
        len = strcspn(text, ",");
        size_t n = 0;
        while (n < SWITCHES && (strlen(switches[n].name) != len || strncasecmp(switches[n].name, text, len) != 0))
            n++;
        if (n == SWITCHES)
            return -EINVAL;
        *ret |= switches[n].bit;
    }
    return *ret ? 0 : -EINVAL;
}

static int block_parse(const char *text, size_t len, int *ret)
{
    if (strcmp(text, "on") == 0 || strcmp(text, "off") == 0) {
        *ret = text[1] == 'n' ? BLOCK_ALL : 0;
        return 0;
    }
    return text[strspn(text, " \t\r\n")] == '<' ? read_document(text, len, ret) : read_names(text, ret);
}

int set_bucket_block(struct property_call *p, const char *text, size_t len)
{
    int block;
    return block_parse(text, len, &block) < 0 ? malformed(&p->caller->reason) : bucket_block_set(p->engine, p->bucket, block);
}

int remove_bucket_block(struct property_call *p)
{
    return p->bucket->block < 0 ? -ENODATA : bucket_block_set(p->engine, p->bucket, -1);
}
