/* SPDX-License-Identifier: GPL-3.0-or-later
 * DeleteObjects (s3-api.md §6). */
#include "s3/request.h"
#include "s3/xmlin.h"

#include <ctype.h>
#include <strings.h>

enum { DELETE_MAX = 1000, KEY_BYTES = 4096 };

struct wanted {
    char *key, *version, *etag;
};

struct batch {
    struct engine_delete_item items[DELETE_MAX];
    struct wanted texts[DELETE_MAX];
    size_t count;
    bool quiet;
};

static void batch_free(struct batch *b)
{
    for (size_t n = 0; b && n < b->count; n++) {
        free(b->texts[n].key);
        free(b->texts[n].version);
        free(b->texts[n].etag);
    }
    free(b);
}

/* The child's text, owned; *ret NULL where there is none. */
static int take_text(xmlNode *node, const char *name, char **ret)
{
    char text[KEY_BYTES];
    xmlNode *child = xmlin_child(node, name);
    *ret = NULL;
    if (!child)
        return 0;
    if (xmlin_text(child, text, sizeof text) < 0)
        return -EINVAL;
    *ret = strdup(text);
    return *ret ? 0 : -ENOMEM;
}

static int read_item(xmlNode *node, struct batch *b)
{
    struct wanted *w = &b->texts[b->count];
    struct engine_delete_item *item = &b->items[b->count];
    char *size = NULL, *time = NULL, *end = NULL;
    *w = (struct wanted){NULL, NULL, NULL};
    b->count++;
    int r = take_text(node, "Key", &w->key);
    if (r == 0)
        r = take_text(node, "VersionId", &w->version);
    if (r == 0)
        r = take_text(node, "ETag", &w->etag);
    if (r == 0)
        r = take_text(node, "Size", &size);
    if (r == 0)
        r = take_text(node, "LastModifiedTime", &time);
    if (r == 0 && (!w->key || !w->key[0]))
        r = -EINVAL;
    if (r == 0) {
        *item = (struct engine_delete_item){.key = span_of(w->key, strlen(w->key)),
                                            .version_id = w->version && w->version[0] ? w->version : NULL,
                                            .conditions = ENGINE_UNCONDITIONAL};
        item->conditions.if_match = w->etag;
        item->conditions.size_bytes = size ? strtoll(size, &end, 10) : INT64_MIN;
        item->conditions.modified_s = http_date_parse(time);
        if ((size && (!isdigit((unsigned char)size[0]) || *end)) || (time && item->conditions.modified_s == INT64_MIN))
            r = -EINVAL;
    }
    free(size);
    free(time);
    return r;
}

static int read_batch(struct request *q, struct batch *b)
{
    xmlDoc *doc = xmlin_read(q->document.data, q->document.len, "Delete");
    if (!doc)
        return xmlin_malformed(q);
    xmlNode *root = xmlDocGetRootElement(doc), *node = NULL, *quiet = xmlin_child(root, "Quiet");
    char word[8] = "";
    int r = quiet ? xmlin_text(quiet, word, sizeof word) : 0;
    b->quiet = strcasecmp(word, "true") == 0;
    while (r == 0 && (node = xmlin_next(root, "Object", node)))
        r = b->count == DELETE_MAX ? -EINVAL : read_item(node, b);
    xmlFreeDoc(doc);
    return r == -ENOMEM ? r : r < 0 || !b->count ? xmlin_malformed(q) : 0;
}

static void write_item(struct request *q, const struct batch *b, size_t n)
{
    const struct engine_delete_item *item = &b->items[n];
    if (!item->error && b->quiet)
        return;
    bytes_printf(&q->out, item->error ? "<Error>" : "<Deleted>");
    xml_bytes_element(q, "Key", item->key.p, item->key.len);
    if (item->version_id)
        xml_text_element(q, "VersionId", item->version_id);
    if (item->error) {
        bool id = strcmp(item->code, "InvalidArgument") == 0 && item->version_id;
        xml_text_element(q, "Code", id ? "NoSuchVersion" : item->code);
        xml_text_element(q, "Message", item->text);
    } else if (item->deleted.marker) {
        xml_text_element(q, "DeleteMarker", "true");
        xml_text_element(q, "DeleteMarkerVersionId", item->deleted.id);
    }
    bytes_printf(&q->out, item->error ? "</Error>" : "</Deleted>");
}

int delete_objects(struct request *q)
{
    if (!message_get(&q->message, "content-md5") && q->checksum == CHECKSUM_NONE)
        return fail(q, "InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
    struct batch *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    read_bypass(q);
    const char *mfa = message_get(&q->message, "x-amz-mfa");
    int r = read_batch(q, b);
    if (r == 0 && mfa)
        r = read_mfa(q, mfa);
    if (r == 0)
        r = engine_objects_delete(q->engine, &q->caller, q->bucket.number, b->items, b->count);
    if (r == 0) {
        xml_open(q, "DeleteResult");
        for (size_t n = 0; n < b->count; n++)
            write_item(q, b, n);
        xml_close(q, "DeleteResult");
    }
    batch_free(b);
    return r;
}
