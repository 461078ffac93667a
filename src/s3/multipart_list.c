/* SPDX-License-Identifier: GPL-3.0-or-later
 * ListParts and ListMultipartUploads (s3-api.md §10). */
#include "s3/list.h"

#include <stdio.h>

enum { LIST_MAX = 1000 };

/* ---- ListParts ---- */

struct parts_page {
    struct request *q;
    struct bytes entries;
    unsigned last;
};

static int part_item(void *arg, const struct engine_part *part)
{
    struct parts_page *p = arg;
    struct request *q = p->q;
    bytes_printf(&q->out, "<Part>");
    xml_number_element(q, "PartNumber", part->number);
    xml_time_element(q, "LastModified", part->modified_ns);
    xml_etag_element(q, part->etag);
    xml_number_element(q, "Size", part->size_bytes);
    if (part->checksum_text[0]) {
        char name[40];
        snprintf(name, sizeof name, "Checksum%s", checksum_name(part->checksum));
        xml_text_element(q, name, part->checksum_text);
    }
    bytes_printf(&q->out, "</Part>");
    p->last = part->number;
    return 0;
}

static void put_initiator(struct request *q, const char *arn)
{
    const char *name = strrchr(arn, '/');
    bytes_printf(&q->out, "<Initiator>");
    xml_text_element(q, "ID", arn);
    xml_text_element(q, "DisplayName", name ? name + 1 : arn);
    bytes_printf(&q->out, "</Initiator>");
}

static void put_checksum(struct request *q, const struct engine_upload *u)
{
    if (u->checksum == CHECKSUM_NONE)
        return;
    xml_text_element(q, "ChecksumAlgorithm", checksum_name(u->checksum));
    if (u->type)
        xml_text_element(q, "ChecksumType", u->type);
}

static const char *storage_class(const struct engine_upload *u)
{
    return u->storage_class[0] ? u->storage_class : "STANDARD";
}

int list_parts(struct request *q)
{
    struct parts_page p = {.q = q};
    struct engine_upload u;
    const char *id = message_query(&q->message, "uploadId");
    unsigned after = 0, max;
    bool truncated = false;
    int r = read_count(q, "max-parts", LIST_MAX, &max);
    if (r == 0 && message_query(&q->message, "part-number-marker"))
        r = read_count(q, "part-number-marker", ENGINE_PARTS_MAX, &after);
    if (r == 0)
        r = engine_upload_parts(q->engine, &q->caller, q->bucket.number, q->key, id, after, max, part_item, &p, &u, &truncated);
    p.entries = q->out;
    q->out = (struct bytes){0};
    if (r == 0) {
        xml_open(q, "ListPartsResult");
        xml_text_element(q, "Bucket", q->bucket.name);
        xml_bytes_element(q, "Key", q->key.p, q->key.len);
        xml_text_element(q, "UploadId", id);
        xml_number_element(q, "PartNumberMarker", after);
        xml_number_element(q, "NextPartNumberMarker", p.last);
        xml_number_element(q, "MaxParts", max);
        xml_text_element(q, "IsTruncated", truncated ? "true" : "false");
        list_move(q, &p.entries);
        put_initiator(q, u.initiator);
        xml_owner(q, "Owner");
        xml_text_element(q, "StorageClass", storage_class(&u));
        put_checksum(q, &u);
        xml_close(q, "ListPartsResult");
    }
    bytes_done(&p.entries);
    return r;
}

/* ---- ListMultipartUploads ---- */

static int upload_item(void *arg, struct span key, const struct engine_upload *u)
{
    struct list_page *p = arg;
    struct request *q = p->q;
    list_remember(p, &(struct engine_listed){.key = key});
    p->last_version[0] = '\0';
    if (!u) {
        list_prefix(p, key);
        return 0;
    }
    memcpy(p->last_version, u->id, sizeof u->id);
    bytes_printf(&q->out, "<Upload>");
    xml_text_element(q, "UploadId", u->id);
    list_key_element(p, "Key", key);
    xml_time_element(q, "Initiated", u->initiated_ns);
    xml_text_element(q, "StorageClass", storage_class(u));
    xml_owner(q, "Owner");
    put_initiator(q, u->initiator);
    put_checksum(q, u);
    bytes_printf(&q->out, "</Upload>");
    return 0;
}

static void write_uploads(struct list_page *p, const char *key_marker, const char *id_marker)
{
    struct request *q = p->q;
    xml_open(q, "ListMultipartUploadsResult");
    xml_text_element(q, "Bucket", q->bucket.name);
    list_key_element(p, "KeyMarker", list_span(key_marker));
    xml_text_element(q, "UploadIdMarker", id_marker ? id_marker : "");
    list_key_element(p, "NextKeyMarker", p->truncated ? span_of(p->last, p->last_len) : span_of("", 0));
    xml_text_element(q, "NextUploadIdMarker", p->truncated ? p->last_version : "");
    if (p->prefix)
        list_key_element(p, "Prefix", p->listing.prefix);
    list_end(p, "MaxUploads", "ListMultipartUploadsResult");
}

int list_uploads(struct request *q)
{
    CLEANUP_FREE struct list_page *p = malloc(sizeof *p);
    const char *key_marker = message_query(&q->message, "key-marker"), *id_marker = message_query(&q->message, "upload-id-marker");
    if (!p)
        return -ENOMEM;
    int r = list_read(q, p);
    if (r == 0)
        r = read_count(q, "max-uploads", LIST_MAX, &p->listing.max);
    bool has_key = key_marker && key_marker[0], has_id = has_key && id_marker && id_marker[0];
    if (r == 0 && has_id && (strlen(id_marker) != ENGINE_UPLOAD_ID_CHARS || strspn(id_marker, "0123456789abcdef") != ENGINE_UPLOAD_ID_CHARS))
        r = fail_argument(q, "upload-id-marker", id_marker, "Invalid uploadId marker");
    p->listing.after = list_span(key_marker);
    p->listing.after_version = has_id ? id_marker : NULL;
    if (r == 0)
        r = engine_uploads(q->engine, &q->caller, &p->listing, upload_item, p, &p->truncated);
    p->entries = q->out;
    q->out = (struct bytes){0};
    if (r == 0)
        write_uploads(p, key_marker, id_marker);
    list_page_done(p);
    return r;
}
