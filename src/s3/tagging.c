/* SPDX-License-Identifier: GPL-3.0-or-later
 * Sub-resources of an object: tagging, retention, legal hold, ACL (s3-api.md §11, §12, retention.md §2.5). The engine has them as
 * properties of a version. */
#include "s3/request.h"
#include "s3/xmlin.h"

#include <stdio.h>

/* The version that is meant, judged by the action; what the marker's 405 says besides. */
static int find(struct request *q, const char *action, const char *version_action, struct engine_target *t)
{
    struct engine_object object = {0};
    int r = engine_object_find(q->engine, &q->caller, q->version_id ? version_action : action, q->bucket.number, q->key, q->version_id, &object);
    if (r < 0 && object.marker) {
        error_element(q, "Method", q->message.method);
        error_element(q, "ResourceType", "DeleteMarker");
        answer_header(q, "x-amz-delete-marker", "true");
    }
    *t = (struct engine_target){.bucket = q->bucket.number, .key = q->key, .seq = object.version.seq, .current = !q->version_id};
    if (r == 0)
        answer_version(q, object.has_id, object.version.id);
    engine_object_done(&object);
    return r;
}

/* ---- tagging ---- */

int get_object_tagging(struct request *q)
{
    struct engine_target t;
    struct bytes written = {0}, packed = {0};
    int r = find(q, "s3:GetObjectTagging", "s3:GetObjectVersionTagging", &t);
    if (r == 0)
        r = engine_property_get(q->engine, &q->caller, &t, "tagging", &written);
    if (r == -ENODATA)
        r = 0;
    if (r == 0 && written.len)
        r = engine_tags_read((const char *)written.data, written.len, &packed, &q->caller.reason);
    if (r == 0) {
        struct engine_object tags = {.values = packed};
        struct engine_value v;
        xml_open(q, "Tagging");
        bytes_printf(&q->out, "<TagSet>");
        for (size_t at = 0; engine_object_next(&tags, &at, &v);) {
            bytes_printf(&q->out, "<Tag>");
            xml_bytes_element(q, "Key", v.name, v.name_len);
            xml_bytes_element(q, "Value", v.value, v.len);
            bytes_printf(&q->out, "</Tag>");
        }
        bytes_printf(&q->out, "</TagSet>");
        xml_close(q, "Tagging");
    }
    bytes_done(&written);
    bytes_done(&packed);
    return r;
}

int put_object_tagging(struct request *q)
{
    struct engine_target t;
    if (!q->document.len || q->document.data[0] != '<')
        return xmlin_malformed(q);
    int r = find(q, "s3:PutObjectTagging", "s3:PutObjectVersionTagging", &t);
    return r < 0 ? r : engine_property_set(q->engine, &q->caller, &t, "tagging", q->document.data, q->document.len, 0);
}

int delete_object_tagging(struct request *q)
{
    struct engine_target t;
    int r = find(q, "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging", &t);
    if (r == 0)
        r = engine_property_remove(q->engine, &q->caller, &t, "tagging");
    q->status = 204;
    return r == -ENODATA ? 0 : r;
}

/* ---- retention, legal hold ---- */

static int no_lock(struct request *q, const char *what)
{
    if (!q->bucket.object_lock)
        return fail(q, "InvalidRequest", "Bucket is missing Object Lock Configuration");
    return reason_fail_s3(&q->caller.reason, ENOENT, "NoSuchObjectLockConfiguration", "The specified object does not have a %s configuration", what);
}

int get_object_retention(struct request *q)
{
    struct engine_target t;
    struct bytes value = {0};
    int r = find(q, "s3:GetObjectRetention", "s3:GetObjectRetention", &t);
    if (r == 0)
        r = engine_property_get(q->engine, &q->caller, &t, "retention", &value);
    const char *text = r == 0 ? bytes_text(&value) : NULL, *space = text ? strchr(text, ' ') : NULL;
    if (r == -ENODATA || r == -EOPNOTSUPP || (r == -EINVAL && !q->bucket.object_lock))
        r = no_lock(q, "ObjectLock");
    if (r == 0 && space) {
        xml_open(q, "Retention");
        xml_bytes_element(q, "Mode", text, (size_t)(space - text));
        xml_text_element(q, "RetainUntilDate", space + 1);
        xml_close(q, "Retention");
    }
    bytes_done(&value);
    return r;
}

/* "MODE DATE" of a Retention document, or "" for an empty one. */
static int read_retention(struct request *q, char out[96])
{
    char mode[32] = "", until[48] = "";
    int64_t ms;
    xmlDoc *doc = xmlin_read(q->document.data, q->document.len, "Retention");
    if (!doc)
        return xmlin_malformed(q);
    xmlNode *root = xmlDocGetRootElement(doc), *m = xmlin_child(root, "Mode"), *d = xmlin_child(root, "RetainUntilDate");
    int r = (m && xmlin_text(m, mode, sizeof mode) < 0) || (d && xmlin_text(d, until, sizeof until) < 0) || !mode[0] != !until[0] ? xmlin_malformed(q) : 0;
    xmlFreeDoc(doc);
    if (r == 0 && mode[0] && strcmp(mode, "GOVERNANCE") != 0 && strcmp(mode, "COMPLIANCE") != 0)
        r = xmlin_malformed(q);
    if (r == 0 && until[0] && timeform_lock_date(until, &ms) < 0)
        r = xmlin_malformed(q);
    out[0] = '\0';
    if (mode[0])
        snprintf(out, 96, "%s %s", mode, until);
    return r;
}

int put_object_retention(struct request *q)
{
    struct engine_target t;
    char value[96];
    int r = read_retention(q, value);
    if (r == 0 && !q->bucket.object_lock)
        r = no_lock(q, "");
    if (r == 0)
        r = find(q, "s3:PutObjectRetention", "s3:PutObjectRetention", &t);
    read_bypass(q);
    if (r < 0)
        return r;
    if (value[0])
        return engine_property_set(q->engine, &q->caller, &t, "retention", value, strlen(value), 0);
    r = engine_property_remove(q->engine, &q->caller, &t, "retention");
    return r == -ENODATA ? 0 : r;
}

int get_object_legal_hold(struct request *q)
{
    struct engine_target t;
    struct bytes value = {0};
    int r = find(q, "s3:GetObjectLegalHold", "s3:GetObjectLegalHold", &t);
    if (r == 0)
        r = engine_property_get(q->engine, &q->caller, &t, "legal-hold", &value);
    if (r == -ENODATA || r == -EOPNOTSUPP || (r == -EINVAL && !q->bucket.object_lock))
        r = no_lock(q, "ObjectLock");
    if (r == 0) {
        xml_open(q, "LegalHold");
        xml_bytes_element(q, "Status", value.data, value.len);
        xml_close(q, "LegalHold");
    }
    bytes_done(&value);
    return r;
}

int put_object_legal_hold(struct request *q)
{
    struct engine_target t;
    char status[8] = "";
    xmlDoc *doc = xmlin_read(q->document.data, q->document.len, "LegalHold");
    xmlNode *node = doc ? xmlin_child(xmlDocGetRootElement(doc), "Status") : NULL;
    int r = !node || xmlin_text(node, status, sizeof status) < 0 || (strcmp(status, "ON") != 0 && strcmp(status, "OFF") != 0) ? xmlin_malformed(q) : 0;
    xmlFreeDoc(doc);
    if (r == 0 && !q->bucket.object_lock)
        r = no_lock(q, "");
    if (r == 0)
        r = find(q, "s3:PutObjectLegalHold", "s3:PutObjectLegalHold", &t);
    return r < 0 ? r : engine_property_set(q->engine, &q->caller, &t, "legal-hold", status, strlen(status), 0);
}

/* ---- ACL: the owner has all, nobody else anything ---- */

static void write_acl(struct request *q)
{
    xml_open(q, "AccessControlPolicy");
    xml_owner(q, "Owner");
    bytes_printf(&q->out, "<AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">");
    xml_text_element(q, "ID", q->bucket.owner_id);
    xml_text_element(q, "DisplayName", q->bucket.owner_name);
    bytes_printf(&q->out, "</Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>");
    xml_close(q, "AccessControlPolicy");
}

int get_object_acl(struct request *q)
{
    struct engine_target t;
    int r = find(q, "s3:GetObjectAcl", "s3:GetObjectVersionAcl", &t);
    if (r == 0)
        write_acl(q);
    return r;
}

int get_bucket_acl(struct request *q)
{
    write_acl(q);
    return 0;
}

int put_acl(struct request *q)
{
    if (q->document.len) {
        enum engine_ownership ownership;
        int r = engine_ownership_get(q->engine, NULL, q->bucket.number, &ownership);
        if (r < 0)
            return r;
        return ownership == OWNERSHIP_ENFORCED ? fail(q, "AccessControlListNotSupported", "The bucket does not allow ACLs")
                                               : fail(q, "NotImplemented", "ACL documents are not offered: write a bucket policy");
    }
    return judge_acl(q);
}
