/* SPDX-License-Identifier: GPL-3.0-or-later
 * GetObjectAttributes (s3-api.md §8). */
#include "s3/request.h"

#include <stdio.h>

enum { WANT_ETAG = 1, WANT_CHECKSUM = 2, WANT_PARTS = 4, WANT_CLASS = 8, WANT_SIZE = 16, PARTS_MAX = 1000 };

static int read_wanted(struct request *q, unsigned *ret)
{
    static const char *const names[] = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"};
    const char *at = message_get(&q->message, "x-amz-object-attributes");
    if (!at || !at[0])
        return fail(q, "InvalidRequest", "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty");
    *ret = 0;
    while (*at) {
        at += strspn(at, ", ");
        size_t len = strcspn(at, ", ");
        unsigned bit = 0;
        for (unsigned n = 0; n < 5; n++) {
            if (len == strlen(names[n]) && memcmp(at, names[n], len) == 0)
                bit = 1u << n;
        }
        if (len && !bit)
            return fail_argument(q, "x-amz-object-attributes", at, "Invalid attribute name specified.");
        *ret |= bit;
        at += len;
    }
    return 0;
}

static int read_header_count(struct request *q, const char *name, unsigned most, unsigned missing, unsigned *ret)
{
    const char *text = message_get(&q->message, name);
    char *end = NULL;
    unsigned long n = text ? strtoul(text, &end, 10) : missing;
    if (text && (text[0] < '0' || text[0] > '9' || *end))
        return fail_argument(q, name, text, "it is a number");
    *ret = n > most ? most : (unsigned)n;
    return 0;
}

static void put_parts(struct request *q, const struct engine_object *o, unsigned after, unsigned max)
{
    unsigned parts = engine_object_parts(o), number, shown = 0, last = 0, index = 0;
    uint64_t offset;
    struct engine_part part;
    struct bytes before = q->out;
    q->out = (struct bytes){0};
    for (; index < parts && shown < max && engine_object_part(o, index, &number, &offset, &part); index++) {
        if (number <= after)
            continue;
        bytes_printf(&q->out, "<Part>");
        xml_number_element(q, "PartNumber", number);
        xml_number_element(q, "Size", part.size_bytes);
        if (part.checksum_text[0]) {
            char name[40];
            snprintf(name, sizeof name, "Checksum%s", checksum_name(part.checksum));
            xml_text_element(q, name, part.checksum_text);
        }
        bytes_printf(&q->out, "</Part>");
        last = number;
        shown++;
    }
    struct bytes list = q->out;
    q->out = before;
    bytes_printf(&q->out, "<ObjectParts>");
    xml_number_element(q, "PartsCount", parts);
    xml_number_element(q, "PartNumberMarker", after);
    xml_number_element(q, "NextPartNumberMarker", last);
    xml_number_element(q, "MaxParts", max);
    xml_text_element(q, "IsTruncated", max && index < parts ? "true" : "false");
    bytes_put(&q->out, list.data, list.len);
    bytes_done(&list);
    bytes_printf(&q->out, "</ObjectParts>");
}

static void put_checksum(struct request *q, const struct engine_object *o)
{
    struct bytes before = q->out;
    q->out = (struct bytes){0};
    xml_checksums(q, o);
    struct bytes sums = q->out;
    q->out = before;
    if (sums.len) {
        bytes_printf(&q->out, "<Checksum>");
        bytes_put(&q->out, sums.data, sums.len);
        bytes_printf(&q->out, "</Checksum>");
    }
    bytes_done(&sums);
}

static void put_attributes(struct request *q, const struct engine_object *o, unsigned wanted, unsigned after, unsigned max)
{
    struct engine_value v;
    xml_open(q, "GetObjectAttributesResponse");
    if (wanted & WANT_ETAG)
        xml_text_element(q, "ETag", o->version.etag);
    if (wanted & WANT_CHECKSUM)
        put_checksum(q, o);
    if ((wanted & WANT_PARTS) && engine_object_parts(o))
        put_parts(q, o, after, max);
    if (wanted & WANT_CLASS) {
        bool named = engine_object_value(o, ENGINE_VALUE_HEADER, "storage-class", &v);
        xml_bytes_element(q, "StorageClass", named ? v.value : "STANDARD", named ? v.len : 8);
    }
    if (wanted & WANT_SIZE)
        xml_number_element(q, "ObjectSize", o->version.attr.size_bytes);
    xml_close(q, "GetObjectAttributesResponse");
}

int get_object_attributes(struct request *q)
{
    struct engine_object o = {0};
    unsigned wanted = 0, after = 0, max = 0;
    const char *id = q->version_id;
    int r = engine_object_find(q->engine, &q->caller, id ? "s3:GetObjectVersionAttributes" : "s3:GetObjectAttributes", q->bucket.number, q->key, id, &o);
    if (r == 0)
        r = engine_key_may(q->engine, &q->caller, id ? "s3:GetObjectVersion" : "s3:GetObject", q->bucket.number, q->key);
    if (r == 0)
        r = read_wanted(q, &wanted);
    if (r == 0)
        r = read_header_count(q, "x-amz-max-parts", PARTS_MAX, PARTS_MAX, &max);
    if (r == 0)
        r = read_header_count(q, "x-amz-part-number-marker", ENGINE_PARTS_MAX, 0, &after);
    if (r == 0) {
        char date[40];
        http_date(o.version.publish_ns / 1000000000, date);
        answer_header(q, "Last-Modified", "%s", date);
        answer_version(q, o.has_id, o.version.id);
        put_attributes(q, &o, wanted, after, max);
    }
    engine_object_done(&o);
    return r;
}
