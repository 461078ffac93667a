/* SPDX-License-Identifier: GPL-3.0-or-later
 * ListParts and ListMultipartUploads, and UploadPartCopy (s3-api.md §10). */
#include "engine/multipart.h"
#include "engine/walk.h"

#include <stdio.h>

/* ---- parts ---- */

struct part_page {
    struct engine_part *list;
    unsigned count, max;
    struct span prefix;
    bool more;
    enum checksum_kind kind;
};

static int part_row(void *arg, const struct version_row *row)
{
    struct part_page *p = arg;
    if (row->key.len != p->prefix.len + 5 || memcmp(row->key.p, p->prefix.p, p->prefix.len) != 0)
        return 1;
    if (p->count == p->max) {
        p->more = true;
        return 1;
    }
    struct version v;
    int r = version_decode(row, &v);
    if (r < 0)
        return r;
    struct engine_part *part = &p->list[p->count++];
    char number[6];
    memcpy(number, row->key.p + p->prefix.len, 5);
    number[5] = '\0';
    *part = (struct engine_part){.number = (unsigned)strtoul(number, NULL, 10), .size_bytes = v.record.size_bytes,
                                 .modified_ns = v.publish_ns, .checksum = p->kind};
    memcpy(part->etag, v.record.etag, sizeof part->etag);
    part_checksum(&v.record.attrs, p->kind, part->checksum_text);
    version_done(&v);
    return 0;
}

static void upload_tell(const struct version *head, struct engine_upload *ret)
{
    *ret = (struct engine_upload){.initiated_ns = head->publish_ns};
    memcpy(ret->id, head->key + 2, ENGINE_UPLOAD_ID_CHARS);
    ret->key = span_of(head->key + UPLOAD_PREFIX_BYTES, head->key_len - UPLOAD_PREFIX_BYTES);
    memcpy(ret->initiator, head->record.made_by, sizeof ret->initiator);
    ret->checksum = upload_declared(&head->record.attrs, &ret->type);
    const uint8_t *value;
    size_t len;
    if (attrs_get(&head->record.attrs, ATTR_HEADER, "storage-class", 13, &value, &len) == 0 && len < sizeof ret->storage_class)
        memcpy(ret->storage_class, value, len);
}

/* M */
static int parts_page(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, unsigned after,
                      struct part_page *p, struct engine_upload *ret)
{
    struct version head;
    const struct bucket *b = bucket_by_number(e, bucket);
    if (!b)
        return object_no_bucket(c);
    int r = engine_may(e, c, "s3:ListMultipartUploadParts", b, key);
    if (r == 0)
        r = upload_load(e, c, bucket, key, id, &head);
    if (r < 0)
        return r;
    upload_tell(&head, ret);
    ret->key = key;
    version_done(&head);
    struct upload_key prefix, from;
    upload_head_key(&prefix, UPLOAD_PART, id, span_of(NULL, 0));
    upload_part_key(&from, id, after);
    p->prefix = span_of(prefix.p, prefix.len);
    p->kind = ret->checksum == CHECKSUM_NONE ? CHECKSUM_CRC64NVME : ret->checksum;
    return e->meta_ops->version_scan_keys(e->m, bucket, span_of(from.p, from.len), false, part_row, p);
}

int engine_upload_parts(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, unsigned after, unsigned max,
                        engine_part_fn *fn, void *arg, struct engine_upload *ret, bool *ret_truncated)
{
    CLEANUP_FREE struct engine_part *list = calloc(max + 1, sizeof *list);
    struct part_page p = {.list = list, .max = max};
    if (!list)
        return -ENOMEM;
    int r;
    {
        LOCK_SCOPE(&e->meta);
        r = parts_page(e, c, bucket, key, id, after, &p, ret);
    }
    for (unsigned n = 0; r == 0 && n < p.count; n++)
        r = fn(arg, &p.list[n]);
    *ret_truncated = p.more && max;
    return r;
}

/* ---- uploads ---- */

struct uploads {
    struct version *heads;
    size_t count, cap;
    struct span prefix;
};

static int upload_row(void *arg, const struct version_row *row)
{
    struct uploads *u = arg;
    if (row->key.len < UPLOAD_PREFIX_BYTES || row->key.p[0] != UPLOAD_BYTE || row->key.p[1] != UPLOAD_HEAD)
        return 1;
    const uint8_t *key = row->key.p + UPLOAD_PREFIX_BYTES;
    size_t len = row->key.len - UPLOAD_PREFIX_BYTES;
    if (len < u->prefix.len || memcmp(key, u->prefix.p, u->prefix.len) != 0)
        return 0;
    if (u->count == u->cap) {
        size_t cap = u->cap ? u->cap * 2 : 64;
        struct version *grown = realloc(u->heads, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        u->heads = grown;
        u->cap = cap;
    }
    int r = version_decode(row, &u->heads[u->count]);
    u->count += r == 0;
    return r;
}

static int span_order(struct span a, struct span b)
{
    int d = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
    return d ? d : (a.len > b.len) - (a.len < b.len);
}

static struct span head_key(const struct version *v)
{
    return span_of(v->key + UPLOAD_PREFIX_BYTES, v->key_len - UPLOAD_PREFIX_BYTES);
}

static int head_order(const void *a, const void *b)
{
    const struct version *x = a, *y = b;
    int d = span_order(head_key(x), head_key(y));
    return d ? d : memcmp(x->key + 2, y->key + 2, ENGINE_UPLOAD_ID_CHARS);
}

/* Does it come behind the marker? */
static bool is_behind(const struct engine_listing *l, const struct version *v)
{
    int d = l->after.len ? span_order(head_key(v), l->after) : 1;
    if (d || !l->after_version)
        return d > 0;
    return memcmp(v->key + 2, l->after_version, ENGINE_UPLOAD_ID_CHARS) > 0;
}

static int hand_out(const struct engine_listing *l, const struct uploads *u, engine_upload_fn *fn, void *arg, bool *ret_truncated)
{
    struct span rolled = {0};
    unsigned left = l->max;
    int r = 0;
    for (size_t n = 0; r == 0 && n < u->count; n++) {
        const struct version *v = &u->heads[n];
        struct span key = head_key(v);
        const uint8_t *at = l->delimiter.len ? memmem(key.p + l->prefix.len, key.len - l->prefix.len, l->delimiter.p, l->delimiter.len) : NULL;
        struct span prefix = span_of(key.p, at ? (size_t)(at - key.p) + l->delimiter.len : 0);
        bool passed = at && l->after.len >= prefix.len && memcmp(l->after.p, prefix.p, prefix.len) == 0;
        bool again = at && rolled.len == prefix.len && memcmp(rolled.p, prefix.p, prefix.len) == 0;
        if (passed || again || !is_behind(l, v))
            continue;
        if (!left) {
            *ret_truncated = l->max > 0;
            return 0;
        }
        left--;
        struct engine_upload told;
        upload_tell(v, &told);
        r = at ? fn(arg, prefix, NULL) : fn(arg, key, &told);
        rolled = at ? prefix : rolled;
    }
    return r;
}

int engine_uploads(struct engine *e, struct caller *c, const struct engine_listing *l, engine_upload_fn *fn, void *arg, bool *ret_truncated)
{
    static const uint8_t from[] = {UPLOAD_BYTE, UPLOAD_HEAD};
    struct uploads u = {.prefix = l->prefix};
    *ret_truncated = false;
    int r;
    {
        LOCK_SCOPE(&e->meta);
        const struct bucket *b = bucket_by_number(e, l->bucket);
        r = b ? engine_may(e, c, "s3:ListBucketMultipartUploads", b, span_of(NULL, 0)) : object_no_bucket(c);
        if (r == 0)
            r = e->meta_ops->version_scan_keys(e->m, l->bucket, span_of(from, 2), true, upload_row, &u);
    }
    if (r == 0 && u.count)
        qsort(u.heads, u.count, sizeof *u.heads, head_order);
    if (r == 0)
        r = hand_out(l, &u, fn, arg, ret_truncated);
    for (size_t n = 0; n < u.count; n++)
        version_done(&u.heads[n]);
    free(u.heads);
    return r;
}

/* ---- UploadPartCopy ---- */

enum { COPY_READ_BYTES = 1 << 20 };

/* A declared algorithm wants the range's checksum: it is read once. */
static int sum_range(struct engine_put *p, const struct bucket *from, struct gc_pin *pin, uint64_t offset, uint64_t bytes)
{
    struct content *content;
    CLEANUP_FREE uint8_t *buf = malloc(COPY_READ_BYTES);
    int r = buf ? content_new(p->engine, from, pin->map, &content) : -ENOMEM;
    if (r < 0)
        return r;
    for (uint64_t left = bytes; r == 0 && left;) {
        struct content_fault fault;
        ssize_t n = content_read(p->engine->pipe, content->map, content->keys, offset, buf, left < COPY_READ_BYTES ? (size_t)left : COPY_READ_BYTES, &fault);
        if (n > 0)
            checksum_add(&p->checksum, buf, (size_t)n);
        r = n < 0 ? (int)n : n ? 0 : -EIO;
        offset += n > 0 ? (uint64_t)n : 0;
        left -= n > 0 ? (uint64_t)n : 0;
    }
    content_unref(content);
    return r;
}

static int share_range(struct engine_put *p, const struct bucket *from, const struct version *v, struct gc_pin *pin, uint64_t offset, uint64_t bytes)
{
    struct extmap *part = extmap_new();
    int r = part ? extmap_share(part, 0, pin->map, offset, bytes) : -ENOMEM;
    if (r == 0)
        r = extmap_resize(part, bytes);
    if (r == 0)
        r = extmap_tidy(part);
    if (r == 0)
        r = put_rewrap(p, from, v, part);
    if (r == 0) {
        LOCK_SCOPE(&p->lock_map);
        extmap_swap(p->map, part);
    }
    extmap_unref(part);
    return r;
}

/* The source's MD5 where the whole of a single PUT is copied; else something that is none. */
static void part_etag(const struct version *v, bool whole, struct record *record)
{
    if (whole && strlen(v->record.etag) == 32) {
        memcpy(record->etag, v->record.etag, 33);
        return;
    }
    uint8_t random[16];
    random_bytes(random, sizeof random);
    hex_format(random, sizeof random, record->etag);
}

static int part_from(struct engine_put *p, struct caller *c, const struct bucket *from, const struct version *v, struct gc_pin *pin,
                     uint64_t offset, uint64_t bytes, bool declared, struct engine_object *ret)
{
    struct record record = {.written = true, .size_bytes = bytes};
    uint8_t sum[CHECKSUM_MAX_BYTES];
    int r = declared ? sum_range(p, from, pin, offset, bytes) : 0;
    if (r == 0 && declared) {
        checksum_end(&p->checksum, sum);
        r = object_checksum_facts(&record.attrs, p->checksum.kind, sum, "FULL_OBJECT");
    }
    if (r == 0)
        r = share_range(p, from, v, pin, offset, bytes);
    record_set_envelope(&record, p->env, p->bucket->kek_id, p->bucket->kek_version);
    part_etag(v, bytes == v->record.size_bytes && !p->env, &record);
    record.map = extmap_ref(p->map);
    if (r == 0)
        r = part_commit(p, c, &record, ret);
    record_done(&record);
    return r;
}

static int judge_range(struct caller *c, uint64_t size, uint64_t from, uint64_t *bytes)
{
    if (*bytes == UINT64_MAX)
        *bytes = size;
    else if (from >= size || *bytes > size - from)
        return reason_fail_s3(&c->reason, ERANGE, "InvalidRange", "The requested range is not satisfiable: the source has %llu bytes", (unsigned long long)size);
    return *bytes > UINT64_C(5) << 30 ? reason_fail_s3(&c->reason, EINVAL, "InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120") : 0;
}

int engine_part_copy(struct engine *e, struct caller *c, struct engine_copy *copy, const char *id, unsigned number, uint64_t from,
                     uint64_t bytes, struct engine_object *ret, struct engine_object *ret_source)
{
    struct engine_put *p = NULL;
    const struct bucket *b;
    struct version v;
    struct gc_pin pin;
    CLEANUP(data_key_cleanup) struct data_key *kek = NULL;
    bool declared;
    *ret = *ret_source = (struct engine_object){0};
    int r = part_begin(e, c, copy->to.bucket, copy->to.key, id, number, NULL, &declared, &p);
    if (r < 0)
        return r;
    {
        LOCK_SCOPE(&e->meta);
        r = copy_source(e, c, copy, &b, &v, &pin, &kek, ret_source);
    }
    if (r < 0) {
        engine_put_free(p);
        return r;
    }
    r = judge_range(c, v.record.size_bytes, from, &bytes);
    if (r == 0)
        r = part_from(p, c, b, &v, &pin, from, bytes, declared, ret);
    {
        LOCK_SCOPE(&e->meta);
        gc_pin_remove(e, &pin);
    }
    version_done(&v);
    engine_put_free(p);
    return r;
}
