/* SPDX-License-Identifier: GPL-3.0-or-later
 * ListObjectVersions (s3-api.md §9, retention.md §1.4). */
#include "s3/list.h"

static int version_item(void *arg, const struct engine_listed *item)
{
    struct list_page *p = arg;
    struct request *q = p->q;
    list_remember(p, item);
    p->last_version[0] = '\0';
    if (!item->object) {
        list_prefix(p, item->key);
        return 0;
    }
    const struct engine_object *o = item->object;
    const char *element = o->marker ? "DeleteMarker" : "Version";
    memcpy(p->last_version, o->version.id, sizeof p->last_version);
    bytes_printf(&q->out, "<%s>", element);
    list_key_element(p, "Key", item->key);
    xml_text_element(q, "VersionId", o->version.id);
    xml_text_element(q, "IsLatest", o->version.latest ? "true" : "false");
    xml_time_element(q, "LastModified", o->version.publish_ns);
    if (!o->marker) {
        xml_etag_element(q, o->version.etag);
        list_checksum(q, o);
        xml_number_element(q, "Size", o->version.attr.size_bytes);
    }
    xml_owner(q, "Owner");
    if (!o->marker)
        list_storage_class(q, o);
    bytes_printf(&q->out, "</%s>", element);
    return 0;
}

static void write_page(struct list_page *p, const char *key_marker, const char *id_marker)
{
    struct request *q = p->q;
    xml_open(q, "ListVersionsResult");
    xml_text_element(q, "Name", q->bucket.name);
    list_key_element(p, "Prefix", p->listing.prefix);
    list_key_element(p, "KeyMarker", list_span(key_marker));
    xml_text_element(q, "VersionIdMarker", id_marker ? id_marker : "");
    if (p->truncated) {
        list_key_element(p, "NextKeyMarker", span_of(p->last, p->last_len));
        if (p->last_version[0])
            xml_text_element(q, "NextVersionIdMarker", p->last_version);
    }
    list_end(p, "MaxKeys", "ListVersionsResult");
}

int list_versions(struct request *q)
{
    CLEANUP_FREE struct list_page *p = malloc(sizeof *p);
    const char *key_marker = message_query(&q->message, "key-marker"), *id_marker = message_query(&q->message, "version-id-marker");
    if (!p)
        return -ENOMEM;
    int r = list_read(q, p);
    bool has_key = key_marker && key_marker[0], has_id = id_marker && id_marker[0];
    if (r == 0 && has_id && !has_key)
        r = fail_argument(q, "version-id-marker", id_marker, "A version-id marker cannot be specified without a key marker.");
    p->listing.versions = true;
    p->listing.after = list_span(key_marker);
    p->listing.after_version = has_id ? id_marker : NULL;
    if (r == 0)
        r = list_walk(p, version_item);
    if (r == 0)
        write_page(p, key_marker, id_marker);
    list_page_done(p);
    return r;
}
