/* SPDX-License-Identifier: GPL-3.0-or-later
 * Multipart uploads (s3-api.md §10): Create, UploadPart, UploadPartCopy, Complete, Abort. Listings: multipart_list.c. */
#include "s3/copy.h"
#include "s3/xmlin.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#define PART_MAX_BYTES (UINT64_C(5) << 30)

static const char *upload_id(const struct request *q)
{
    return message_query(&q->message, "uploadId");
}

/* ---- CreateMultipartUpload ---- */

static const char *default_type(enum checksum_kind kind)
{
    return kind == CHECKSUM_CRC64NVME ? "FULL_OBJECT" : "COMPOSITE";
}

int create_upload(struct request *q)
{
    struct put_values values = {0};
    struct engine_put_params params = {.bucket = q->bucket.number, .key = q->key};
    const char *type = message_get(&q->message, "x-amz-checksum-type");
    char id[ENGINE_UPLOAD_ID_CHARS + 1];
    int r = read_new_object(q, &values, &params);
    if (r == 0)
        r = read_algorithm(q, &params.checksum);
    if (r == 0)
        r = engine_upload_create(q->engine, &q->caller, &params, type, id);
    put_values_done(&values);
    if (r < 0)
        return r;
    if (params.checksum != CHECKSUM_NONE) {
        answer_header(q, "x-amz-checksum-algorithm", "%s", checksum_name(params.checksum));
        answer_header(q, "x-amz-checksum-type", "%s", type ? type : default_type(params.checksum));
    }
    if (q->sse.mode)
        answer_header(q, "x-amz-server-side-encryption", "%s", q->sse.mode);
    xml_open(q, "InitiateMultipartUploadResult");
    xml_text_element(q, "Bucket", q->bucket.name);
    xml_bytes_element(q, "Key", q->key.p, q->key.len);
    xml_text_element(q, "UploadId", id);
    xml_close(q, "InitiateMultipartUploadResult");
    return 0;
}

/* ---- UploadPart ---- */

static int read_part_number(struct request *q, unsigned *ret)
{
    const char *text = message_query(&q->message, "partNumber");
    char *end = NULL;
    unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text || !upload_id(q))
        return fail_argument(q, text ? "uploadId" : "partNumber", NULL, "This operation does not accept a query-string without both uploadId and partNumber.");
    if (!isdigit((unsigned char)text[0]) || *end || n < 1 || n > ENGINE_PARTS_MAX)
        return fail_argument(q, "partNumber", text, "Part number must be an integer between 1 and 10000, inclusive");
    *ret = (unsigned)n;
    return 0;
}

static int judge_part_size(struct request *q, uint64_t size)
{
    return size > PART_MAX_BYTES ? fail(q, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size") : 0;
}

int upload_part_begin(struct request *q)
{
    unsigned number;
    int r = read_part_number(q, &number);
    if (r == 0)
        r = judge_part_size(q, q->streaming ? q->chunked.decoded_bytes : q->sized ? q->length : 0);
    return r < 0 ? r : engine_part_begin(q->engine, &q->caller, q->bucket.number, q->key, upload_id(q), number, q->checksum, &q->put);
}

int upload_part(struct request *q)
{
    struct engine_sums sums;
    struct engine_object part = {0};
    engine_put_sums(q->put, &sums);
    int r = integrity_check(q, &sums);
    if (r == 0)
        r = judge_part_size(q, sums.size_bytes);
    if (r == 0)
        r = engine_put_publish(q->put, &q->caller, &part);
    if (r == 0) {
        answer_header(q, "ETag", "\"%s\"", part.version.etag);
        answer_sse(q, &part);
        answer_checksums(q, &part);
        for (size_t n = 0; n < q->out_headers.count; n++) {
            if (strcmp(q->out_headers.v[n].name, "x-amz-checksum-type") == 0)
                q->out_headers.v[n].name[0] = '\0'; /* of whole objects alone */
        }
    }
    engine_object_done(&part);
    return r;
}

/* `bytes=a-b` and no other form. */
static int read_copy_range(struct request *q, uint64_t *from, uint64_t *bytes)
{
    const char *text = message_get(&q->message, "x-amz-copy-source-range");
    *from = 0;
    *bytes = UINT64_MAX;
    if (!text)
        return 0;
    unsigned long long a = 0, b = 0;
    int end = 0;
    bool fits = isdigit((unsigned char)text[strlen(text) > 6 ? 6 : 0]) && sscanf(text, "bytes=%19llu-%19llu%n", &a, &b, &end) == 2 && !text[end] && a <= b;
    const char *dash = strchr(text, '-');
    if (!fits || !dash || !isdigit((unsigned char)dash[1]))
        return fail_argument(q, "x-amz-copy-source-range", text,
                             "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
                             "zero-based offsets of the first and last bytes to copy");
    *from = a;
    *bytes = b - a + 1;
    return 0;
}

int upload_part_copy(struct request *q)
{
    struct copy_request c = {.source = NULL};
    struct engine_object part = {0}, source = {0};
    unsigned number;
    uint64_t from, bytes;
    int r = read_part_number(q, &number);
    if (r == 0)
        r = copy_read_source(q, &c);
    if (r == 0)
        r = read_copy_range(q, &from, &bytes);
    c.copy.to.bucket = q->bucket.number;
    c.copy.to.key = q->key;
    c.copy.replace_tags = true;
    if (r == 0)
        r = engine_part_copy(q->engine, &q->caller, &c.copy, upload_id(q), number, from, bytes, &part, &source);
    if (r < 0) {
        answer_failed_condition(q, &c.copy.conditions);
    } else {
        copy_answer_source(q, &c, &source);
        xml_open(q, "CopyPartResult");
        xml_etag_element(q, part.version.etag);
        xml_time_element(q, "LastModified", part.version.publish_ns);
        struct engine_value v;
        for (enum checksum_kind k = CHECKSUM_CRC32; k <= CHECKSUM_SHA256; k++) {
            char name[40], element[40];
            snprintf(name, sizeof name, "checksum-%s", checksum_name(k));
            snprintf(element, sizeof element, "Checksum%s", checksum_name(k));
            if (engine_object_value(&part, ENGINE_VALUE_FACT, name, &v))
                xml_bytes_element(q, element, v.value, v.len);
        }
        xml_close(q, "CopyPartResult");
    }
    engine_object_done(&part);
    engine_object_done(&source);
    copy_request_done(&c);
    return r;
}

/* ---- CompleteMultipartUpload ---- */

static int read_part_checksum(xmlNode *node, struct engine_part *part)
{
    for (enum checksum_kind k = CHECKSUM_CRC32; k <= CHECKSUM_SHA256; k++) {
        char name[40];
        snprintf(name, sizeof name, "Checksum%s", checksum_name(k));
        xmlNode *sum = xmlin_child(node, name);
        if (!sum)
            continue;
        part->checksum = k;
        return xmlin_text(sum, part->checksum_text, sizeof part->checksum_text);
    }
    return 0;
}

static int read_part(xmlNode *node, struct engine_part *part)
{
    char number[16], etag[80], *end;
    xmlNode *n = xmlin_child(node, "PartNumber"), *e = xmlin_child(node, "ETag");
    *part = (struct engine_part){.number = 0};
    if (!n || !e || xmlin_text(n, number, sizeof number) < 0 || xmlin_text(e, etag, sizeof etag) < 0)
        return -EINVAL;
    unsigned long value = strtoul(number, &end, 10);
    if (!isdigit((unsigned char)number[0]) || *end || value > ENGINE_PARTS_MAX)
        return -EINVAL;
    part->number = (unsigned)value;
    size_t len = strlen(etag);
    bool quoted = len >= 2 && etag[0] == '"' && etag[len - 1] == '"';
    snprintf(part->etag, sizeof part->etag, "%.*s", (int)(quoted ? len - 2 : len) > 71 ? 71 : (int)(quoted ? len - 2 : len), etag + quoted);
    return read_part_checksum(node, part);
}

static int read_parts(struct request *q, struct engine_part **ret, size_t *ret_count)
{
    xmlDoc *doc = xmlin_read(q->document.data, q->document.len, "CompleteMultipartUpload");
    if (!doc)
        return xmlin_malformed(q);
    xmlNode *root = xmlDocGetRootElement(doc), *node = NULL;
    struct engine_part *list = calloc(ENGINE_PARTS_MAX, sizeof *list);
    size_t count = 0;
    int r = list ? 0 : -ENOMEM;
    while (r == 0 && (node = xmlin_next(root, "Part", node)))
        r = count == ENGINE_PARTS_MAX || read_part(node, &list[count++]) < 0 ? xmlin_malformed(q) : 0;
    if (r == 0 && !count)
        r = xmlin_malformed(q);
    xmlFreeDoc(doc);
    if (r < 0) {
        free(list);
        return r;
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

/* The claims on the whole. Its checksum's form was not judged as a body's: the body is a document. */
static int read_claims(struct request *q, struct engine_complete *c)
{
    const char *size = message_get(&q->message, "x-amz-mp-object-size");
    char *end = NULL;
    c->size_bytes = size ? strtoll(size, &end, 10) : -1;
    if (size && (!isdigit((unsigned char)size[0]) || *end))
        return fail_argument(q, "x-amz-mp-object-size", size, "x-amz-mp-object-size is a number of bytes");
    c->type = message_get(&q->message, "x-amz-checksum-type");
    c->checksum = q->checksum;
    c->checksum_text = q->checksum_claim;
    return read_write_conditions(q, &c->conditions);
}

static void put_location(struct request *q)
{
    const char *host = message_get(&q->message, "host");
    bytes_printf(&q->out, "<Location>%s://%s", q->tls ? "https" : "http", host ? host : "");
    struct bytes path = {0};
    uri_encode(&path, q->message.path, q->message.path_len, "/");
    bytes_put(&q->out, path.data, path.len);
    bytes_done(&path);
    bytes_printf(&q->out, "</Location>");
}

int complete_upload(struct request *q)
{
    struct engine_complete c = {.bucket = q->bucket.number, .key = q->key, .id = upload_id(q), .conditions = ENGINE_UNCONDITIONAL};
    struct engine_object object = {0};
    struct engine_part *parts = NULL;
    int r = read_parts(q, &parts, &c.count);
    c.parts = parts;
    if (r == 0)
        r = read_claims(q, &c);
    if (r == 0)
        r = engine_upload_complete(q->engine, &q->caller, &c, &object);
    free(parts);
    if (r < 0) {
        answer_failed_condition(q, &c.conditions);
    } else {
        answer_version(q, object.has_id, object.version.id);
        answer_sse(q, &object);
        xml_open(q, "CompleteMultipartUploadResult");
        put_location(q);
        xml_text_element(q, "Bucket", q->bucket.name);
        xml_bytes_element(q, "Key", q->key.p, q->key.len);
        xml_etag_element(q, object.version.etag);
        xml_checksums(q, &object);
        xml_close(q, "CompleteMultipartUploadResult");
    }
    engine_object_done(&object);
    return r;
}

int abort_upload(struct request *q)
{
    const char *text = message_get(&q->message, "x-amz-if-match-initiated-time");
    int64_t initiated = http_date_parse(text);
    if (text && initiated == INT64_MIN)
        return fail_argument(q, "x-amz-if-match-initiated-time", text, "x-amz-if-match-initiated-time is a date");
    int r = engine_upload_abort(q->engine, &q->caller, q->bucket.number, q->key, upload_id(q), initiated);
    q->status = r < 0 ? 0 : 204;
    return r;
}
