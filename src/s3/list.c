/* SPDX-License-Identifier: GPL-3.0-or-later
 * ListObjects and ListObjectsV2 (s3-api.md §9). The engine walks; here the page is written. */
#include "s3/list.h"
#include "s3/token.h"

#include <stdio.h>

enum { LIST_MAX = 1000 };

int list_read(struct request *q, struct list_page *p)
{
    const struct message *m = &q->message;
    const char *encoding = message_query(m, "encoding-type"), *optional = message_get(m, "x-amz-optional-object-attributes");
    *p = (struct list_page){.q = q, .prefix = message_query(m, "prefix"), .delimiter = message_query(m, "delimiter")};
    if (encoding && strcmp(encoding, "url") != 0)
        return fail_argument(q, "encoding-type", encoding, "Invalid Encoding Method specified in Request");
    if (optional && strcmp(optional, "RestoreStatus") != 0)
        return fail_argument(q, "x-amz-optional-object-attributes", optional, "RestoreStatus is the only one");
    p->url = encoding != NULL;
    p->listing.bucket = q->bucket.number;
    p->listing.prefix = list_span(p->prefix);
    p->listing.delimiter = list_span(p->delimiter);
    return read_count(q, "max-keys", LIST_MAX, &p->listing.max);
}

struct span list_span(const char *text)
{
    return span_of(text ? text : "", text ? strlen(text) : 0);
}

void list_key_element(struct list_page *p, const char *name, struct span key)
{
    if (!p->url) {
        xml_bytes_element(p->q, name, key.p, key.len);
        return;
    }
    struct bytes encoded = {0};
    uri_encode(&encoded, (const char *)key.p, key.len, "/");
    p->q->out.failed |= encoded.failed;
    xml_bytes_element(p->q, name, encoded.data, encoded.len);
    bytes_done(&encoded);
}

void list_remember(struct list_page *p, const struct engine_listed *item)
{
    memcpy(p->last, item->key.p, item->key.len);
    p->last_len = item->key.len;
    p->count++;
}

void list_move(struct request *q, struct bytes *written)
{
    bytes_put(&q->out, written->data, written->len);
    q->out.failed |= written->failed;
    bytes_done(written);
}

/* Common prefixes stand behind the keys. */
void list_prefix(struct list_page *p, struct span prefix)
{
    struct bytes out = p->q->out;
    p->q->out = p->prefixes;
    bytes_printf(&p->q->out, "<CommonPrefixes>");
    list_key_element(p, "Prefix", prefix);
    bytes_printf(&p->q->out, "</CommonPrefixes>");
    p->prefixes = p->q->out;
    p->q->out = out;
}

void list_checksum(struct request *q, const struct engine_object *o)
{
    struct engine_value v;
    for (size_t at = 0; engine_object_next(o, &at, &v);) {
        if (v.kind != ENGINE_VALUE_FACT || v.name_len <= 9 || memcmp(v.name, "checksum-", 9) != 0)
            continue;
        if (v.name_len == 13 && memcmp(v.name, "checksum-type", 13) == 0)
            xml_bytes_element(q, "ChecksumType", v.value, v.len);
        else
            xml_bytes_element(q, "ChecksumAlgorithm", v.name + 9, v.name_len - 9);
    }
}

void list_storage_class(struct request *q, const struct engine_object *o)
{
    struct engine_value v;
    if (engine_object_value(o, ENGINE_VALUE_HEADER, "storage-class", &v))
        xml_bytes_element(q, "StorageClass", v.value, v.len);
    else
        xml_text_element(q, "StorageClass", "STANDARD");
}

static int list_item(void *arg, const struct engine_listed *item)
{
    struct list_page *p = arg;
    struct request *q = p->q;
    list_remember(p, item);
    if (!item->object) {
        list_prefix(p, item->key);
        return 0;
    }
    const struct engine_object *o = item->object;
    bytes_printf(&q->out, "<Contents>");
    list_key_element(p, "Key", item->key);
    xml_time_element(q, "LastModified", o->version.publish_ns);
    xml_etag_element(q, o->version.etag);
    list_checksum(q, o);
    xml_number_element(q, "Size", o->version.attr.size_bytes);
    if (p->owner)
        xml_owner(q, "Owner");
    list_storage_class(q, o);
    bytes_printf(&q->out, "</Contents>");
    return 0;
}

/* The entries into p->entries, so that what stands before them may depend on them. */
int list_walk(struct list_page *p, engine_listed_fn *fn)
{
    struct request *q = p->q;
    int r = engine_list(q->engine, &q->caller, &p->listing, fn, p, &p->truncated);
    p->entries = q->out;
    q->out = (struct bytes){0};
    return r;
}

void list_page_done(struct list_page *p)
{
    bytes_done(&p->entries);
    bytes_done(&p->prefixes);
}

/* What all the forms end with: the end of the head, the entries, the prefixes. */
void list_end(struct list_page *p, const char *max_name, const char *root)
{
    struct request *q = p->q;
    xml_number_element(q, max_name, p->listing.max);
    if (p->delimiter && p->delimiter[0])
        list_key_element(p, "Delimiter", p->listing.delimiter);
    if (p->url)
        xml_text_element(q, "EncodingType", "url");
    xml_text_element(q, "IsTruncated", p->truncated ? "true" : "false");
    list_move(q, &p->entries);
    list_move(q, &p->prefixes);
    xml_close(q, root);
}

static void list_v1_write(struct list_page *p, const char *marker)
{
    struct request *q = p->q;
    xml_open(q, "ListBucketResult");
    xml_text_element(q, "Name", q->bucket.name);
    list_key_element(p, "Prefix", p->listing.prefix);
    list_key_element(p, "Marker", list_span(marker));
    if (p->truncated && p->listing.delimiter.len)
        list_key_element(p, "NextMarker", span_of(p->last, p->last_len));
    list_end(p, "MaxKeys", "ListBucketResult");
}

int list_objects(struct request *q)
{
    CLEANUP_FREE struct list_page *p = malloc(sizeof *p);
    const char *marker = message_query(&q->message, "marker");
    if (!p)
        return -ENOMEM;
    int r = list_read(q, p);
    p->listing.after = list_span(marker);
    p->owner = true;
    if (r == 0)
        r = list_walk(p, list_item);
    if (r == 0)
        list_v1_write(p, marker);
    list_page_done(p);
    return r;
}

static void list_v2_write(struct list_page *p, const char *start_after, const char *token)
{
    struct request *q = p->q;
    xml_open(q, "ListBucketResult");
    xml_text_element(q, "Name", q->bucket.name);
    list_key_element(p, "Prefix", p->listing.prefix);
    if (start_after)
        list_key_element(p, "StartAfter", list_span(start_after));
    if (token)
        xml_text_element(q, "ContinuationToken", token);
    if (p->truncated) {
        struct bytes next = {0};
        token_make(q->engine, p->last, p->last_len, &next);
        xml_bytes_element(q, "NextContinuationToken", next.data, next.len);
        q->out.failed |= next.failed;
        bytes_done(&next);
    }
    xml_number_element(q, "KeyCount", p->count);
    list_end(p, "MaxKeys", "ListBucketResult");
}

int list_objects_v2(struct request *q)
{
    const struct message *m = &q->message;
    const char *type = message_query(m, "list-type"), *token = message_query(m, "continuation-token");
    const char *start_after = message_query(m, "start-after"), *owner = message_query(m, "fetch-owner");
    if (strcmp(type, "2") != 0)
        return fail_argument(q, "list-type", type, "list-type is 2, or left out");
    CLEANUP_FREE struct list_page *p = malloc(sizeof *p);
    struct bytes after = {0};
    if (!p)
        return -ENOMEM;
    int r = list_read(q, p);
    p->owner = owner && strcmp(owner, "true") == 0;
    p->listing.after = list_span(start_after);
    if (r == 0 && token && token[0]) {
        if (token_read(q->engine, token, &after) < 0)
            r = fail_argument(q, "continuation-token", NULL, "The continuation token provided is incorrect");
        p->listing.after = span_of(after.data, after.len);
    }
    if (r == 0)
        r = list_walk(p, list_item);
    if (r == 0)
        list_v2_write(p, start_after, token);
    list_page_done(p);
    bytes_done(&after);
    return r;
}
