/* SPDX-License-Identifier: GPL-3.0-or-later
 * CompleteMultipartUpload: parts become one version that shares their frames; and the same answer again for a day (s3-api.md §10). */
#include "engine/multipart.h"
#include "engine/draft.h"

#include <openssl/evp.h>
#include <stdio.h>

#define DONE_KEEP_NS (INT64_C(86400) * 1000000000)
#define UPLOAD_MAX_BYTES (UINT64_C(5) << 30) * ENGINE_PARTS_MAX
enum { PART_MIN_BYTES = 5 << 20 };

struct completing {
    struct engine *e;
    struct caller *c;
    struct engine_complete *asked;
    struct engine_put *put;
    enum checksum_kind declared, kind; /* kind: of the result, CHECKSUM_NONE where a part lacks it */
    const char *type;
    bool composite;
    int64_t initiated_ns;
    struct checksum md5s, sums;        /* over the parts' own */
    uint8_t joined[CHECKSUM_MAX_BYTES];
    struct bytes table;                /* the "parts" fact */
    uint64_t size_bytes;
    unsigned small;                    /* the first part but the last that is too short; 0: none */
    char list_hash[65];
};

/* ---- what was asked ---- */

static int judge_order(struct completing *k)
{
    const struct engine_complete *a = k->asked;
    for (size_t n = 1; n < a->count; n++) {
        if (a->parts[n].number <= a->parts[n - 1].number)
            return reason_fail_s3(&k->c->reason, EINVAL, "InvalidPartOrder",
                                  "The list of parts was not in ascending order. The parts list must be specified in order by part number.");
    }
    return 0;
}

/* Which list this was, so that the same one is known again. */
static void hash_list(struct completing *k)
{
    struct bytes text = {0};
    uint8_t digest[32];
    for (size_t n = 0; n < k->asked->count; n++)
        bytes_printf(&text, "%u %s\n", k->asked->parts[n].number, k->asked->parts[n].etag);
    EVP_Digest(text.data, text.len, digest, NULL, EVP_sha256(), NULL);
    hex_format(digest, sizeof digest, k->list_hash);
    bytes_done(&text);
}

static int invalid_part(struct completing *k, unsigned number)
{
    return reason_fail_s3(&k->c->reason, EINVAL, "InvalidPart",
                          "One or more of the specified parts could not be found: part %u. The part might not have been uploaded, or the "
                          "specified entity tag might not have matched the part's entity tag.",
                          number);
}

void part_checksum(const struct attrs *a, enum checksum_kind kind, char out[CHECKSUM_TEXT_BYTES])
{
    char name[32];
    out[0] = '\0';
    if (kind == CHECKSUM_NONE)
        return;
    snprintf(name, sizeof name, "checksum-%s", checksum_name(kind));
    upload_fact(a, name, out, CHECKSUM_TEXT_BYTES);
    if (!out[0] && kind == CHECKSUM_CRC64NVME)
        upload_fact(a, "extra", out, CHECKSUM_TEXT_BYTES);
}

/* ---- one part ---- */

static int judge_part(struct completing *k, const struct engine_part *asked, const struct version *part, bool last)
{
    const struct record *r = &part->record;
    if (strcmp(asked->etag, r->etag) != 0)
        return invalid_part(k, asked->number);
    char have[CHECKSUM_TEXT_BYTES];
    if (asked->checksum != CHECKSUM_NONE) {
        part_checksum(&r->attrs, asked->checksum, have);
        if (strcmp(have, asked->checksum_text) != 0)
            return invalid_part(k, asked->number);
    } else if (k->composite && k->declared != CHECKSUM_NONE) {
        return reason_fail_s3(&k->c->reason, EINVAL, "InvalidRequest",
                              "The upload was created using a %s checksum. The complete request must include the checksum for each part. "
                              "It was missing for part %u in the request.",
                              checksum_name(k->declared), asked->number);
    }
    if (!last && !k->small && r->size_bytes < PART_MIN_BYTES)
        k->small = asked->number;
    return 0;
}

/* Its sums join those of the parts before it. */
static int add_sums(struct completing *k, const struct version *part)
{
    uint8_t md5[32] = {0}, raw[CHECKSUM_MAX_BYTES];
    char text[CHECKSUM_TEXT_BYTES];
    size_t len = 0;
    hex_parse(part->record.etag, 32, md5);
    checksum_add(&k->md5s, md5, 16);
    part_checksum(&part->record.attrs, k->kind, text);
    if (k->kind == CHECKSUM_NONE || base64_parse(text, strlen(text), raw, sizeof raw, &len) < 0 || len != checksum_bytes(k->kind)) {
        k->kind = CHECKSUM_NONE;
        bytes_put_blob(&k->table, NULL, 0);
        return 0;
    }
    bytes_put_blob(&k->table, raw, len);
    if (k->composite)
        checksum_add(&k->sums, raw, len);
    else if (!k->size_bytes)
        memcpy(k->joined, raw, len);
    else
        checksum_combine(k->kind, k->joined, raw, part->record.size_bytes);
    return 0;
}

static int add_content(struct completing *k, const struct version *part)
{
    if (!part->record.size_bytes)
        return 0;
    LOCK_SCOPE(&k->put->lock_map);
    if (!part->record.map)
        return extmap_resize(k->put->map, k->size_bytes + part->record.size_bytes);
    int r = extmap_share(k->put->map, k->size_bytes, part->record.map, 0, part->record.size_bytes);
    if (r == 0 && k->put->map->inline_data.len > DRAFT_INLINE_BYTES)
        r = content_inline_to_segment(k->e->pipe, k->put->map);
    return r;
}

static int add_part(struct completing *k, const struct engine_part *asked, bool last)
{
    struct version part;
    struct upload_key key;
    upload_part_key(&key, k->asked->id, asked->number);
    LOCK_SCOPE(&k->e->meta);
    int r = upload_row_load(k->e, k->asked->bucket, &key, &part);
    if (r < 0)
        return r == -ENOENT ? invalid_part(k, asked->number) : r;
    r = judge_part(k, asked, &part, last);
    bytes_put_varint(&k->table, asked->number);
    bytes_put_varint(&k->table, part.record.size_bytes);
    if (r == 0)
        r = add_sums(k, &part);
    if (r == 0)
        r = add_content(k, &part);
    k->size_bytes += part.record.size_bytes;
    version_done(&part);
    return r;
}

/* ---- the result ---- */

static int judge_whole(struct completing *k, const char *sum)
{
    const struct engine_complete *a = k->asked;
    if (a->size_bytes >= 0 && (uint64_t)a->size_bytes != k->size_bytes)
        return reason_fail_s3(&k->c->reason, EINVAL, "InvalidRequest",
                              "The provided 'x-amz-mp-object-size' header does not match what was computed: %llu bytes", (unsigned long long)k->size_bytes);
    const char *type = k->composite ? "COMPOSITE" : "FULL_OBJECT";
    if (a->type && strcmp(a->type, type) != 0)
        return reason_fail_s3(&k->c->reason, EINVAL, "InvalidRequest", "The upload was created using the %s checksum mode.", type);
    if (a->checksum != CHECKSUM_NONE) {
        size_t len = strcspn(sum, "-"), claimed = strcspn(a->checksum_text, "-");
        if (a->checksum != k->kind || len != claimed || memcmp(sum, a->checksum_text, len) != 0)
            return reason_fail_s3(&k->c->reason, EINVAL, "BadDigest", "The %s you specified did not match the calculated checksum.", checksum_name(a->checksum));
    }
    if (k->size_bytes > UPLOAD_MAX_BYTES)
        return reason_fail_s3(&k->c->reason, EINVAL, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size");
    return 0;
}

static int put_sums(struct completing *k, struct record *record)
{
    uint8_t raw[CHECKSUM_MAX_BYTES];
    char sum[CHECKSUM_TEXT_BYTES + 8] = "", name[32], hex[33];
    checksum_end(&k->md5s, raw);
    hex_format(raw, 16, hex);
    snprintf(record->etag, sizeof record->etag, "%s-%zu", hex, k->asked->count);
    if (k->kind != CHECKSUM_NONE) {
        memcpy(raw, k->joined, sizeof raw);
        if (k->composite)
            checksum_end(&k->sums, raw);
        base64_format(raw, checksum_bytes(k->kind), sum);
        if (k->composite)
            snprintf(sum + strlen(sum), 8, "-%zu", k->asked->count);
        int n = snprintf(name, sizeof name, "checksum-%s", checksum_name(k->kind));
        const char *type = k->composite ? "COMPOSITE" : "FULL_OBJECT";
        int r = attrs_set(&record->attrs, ATTR_FACT, name, (size_t)n, sum, strlen(sum));
        if (r == 0)
            r = attrs_set(&record->attrs, ATTR_FACT, "checksum-type", 13, type, strlen(type));
        if (r < 0)
            return r;
    }
    int r = judge_whole(k, sum);
    if (r == 0 && k->table.failed)
        r = -ENOMEM;
    return r < 0 ? r : attrs_set(&record->attrs, ATTR_FACT, "parts", 5, k->table.data, k->table.len);
}

static int make_record(struct completing *k, struct record *ret)
{
    struct engine_put *p = k->put;
    struct record record = {.written = true, .size_bytes = k->size_bytes};
    int r = attrs_copy(&record.attrs, &p->attrs);
    if (r < 0)
        return r;
    record_set_envelope(&record, p->env, p->bucket->kek_id, p->bucket->kek_version);
    r = put_sums(k, &record);
    if (r == 0) {
        LOCK_SCOPE(&p->lock_map);
        r = extmap_resize(p->map, k->size_bytes);
        if (r == 0)
            r = extmap_tidy(p->map);
        record.map = extmap_ref(p->map);
    }
    if (r < 0)
        record_done(&record);
    else
        *ret = record;
    return r;
}

/* ---- the transaction ---- */

/* A condition that holds, but on something that came since the upload began, is a conflict (s3-api.md §5). */
static int before_publish(struct engine_put *p, struct caller *c, struct bucket *b, void *arg)
{
    struct completing *k = arg;
    struct version head, top;
    int r = upload_load(p->engine, c, b->number, k->asked->key, k->asked->id, &head);
    if (r < 0)
        return r;
    version_done(&head);
    if (!p->conditional)
        return 0;
    r = version_load(p->engine, b->number, k->asked->key, 0, &top);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    bool since = top.publish_ns > k->initiated_ns;
    version_done(&top);
    return since ? reason_fail_s3(&c->reason, ECANCELED, "ConditionalRequestConflict",
                                  "The conditional request cannot succeed due to a conflicting operation against this resource.")
                 : 0;
}

static int after_publish(struct engine_put *p, struct caller *c, struct bucket *b, const struct version *v, void *arg)
{
    struct completing *k = arg;
    struct upload_key key;
    char seq[24];
    struct record done = {.mode = v->record.mode};
    snprintf(seq, sizeof seq, "%llu", (unsigned long long)v->seq);
    int r = attrs_set(&done.attrs, ATTR_FACT, "list", 4, k->list_hash, strlen(k->list_hash));
    if (r == 0)
        r = attrs_set(&done.attrs, ATTR_FACT, "seq", 3, seq, strlen(seq));
    upload_head_key(&key, UPLOAD_DONE, k->asked->id, k->asked->key);
    if (r == 0)
        r = upload_row_store(p->engine, c, b, &key, &done, clock_wall_ns());
    record_done(&done);
    return r < 0 ? r : upload_drop(p->engine, c, b->number, k->asked->key, k->asked->id);
}

/* ---- again ---- */

struct old_done {
    struct upload_key keys[16];
    unsigned count;
    int64_t before_ns;
};

static int old_done_row(void *arg, const struct version_row *row)
{
    struct old_done *o = arg;
    if (row->key.len < 2 || row->key.p[0] != UPLOAD_BYTE || row->key.p[1] != UPLOAD_DONE || o->count == 16)
        return 1;
    if (row->publish_ns < o->before_ns) {
        memcpy(o->keys[o->count].p, row->key.p, row->key.len);
        o->keys[o->count++].len = row->key.len;
    }
    return 0;
}

/* Ids sort by time, so those to forget stand first. M, txn */
static int forget_old(struct engine *e, struct caller *c, uint32_t bucket)
{
    static const uint8_t from[] = {UPLOAD_BYTE, UPLOAD_DONE};
    CLEANUP_FREE struct old_done *o = calloc(1, sizeof *o);
    if (!o)
        return -ENOMEM;
    o->before_ns = clock_wall_ns() - DONE_KEEP_NS;
    int r = e->meta_ops->version_scan_heads(e->m, bucket, span_of(from, 2), true, INT64_MAX, old_done_row, o);
    for (unsigned n = 0; r == 0 && n < o->count; n++)
        r = upload_row_remove(e, c, bucket, &o->keys[n]);
    return r;
}

/* 1 with *ret: it was completed by this very list. M */
static int done_before(struct completing *k, const struct bucket *b, struct engine_object *ret)
{
    struct upload_key key;
    struct version done, v;
    char list[65], seq[24];
    upload_head_key(&key, UPLOAD_DONE, k->asked->id, k->asked->key);
    int r = upload_row_load(k->e, b->number, &key, &done);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    bool fresh = done.publish_ns >= clock_wall_ns() - DONE_KEEP_NS;
    upload_fact(&done.record.attrs, "list", list, sizeof list);
    upload_fact(&done.record.attrs, "seq", seq, sizeof seq);
    version_done(&done);
    if (!fresh || strcmp(list, k->list_hash) != 0)
        return 0;
    r = version_load(k->e, b->number, k->asked->key, strtoull(seq, NULL, 10), &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r; /* the version is gone by now */
    r = object_fill(k->e, b, &v, true, ret);
    ret->has_id = b->versioning == VERSIONING_ENABLED;
    version_done(&v);
    return r < 0 ? r : 1;
}

/* ---- the call ---- */

struct from_head {
    struct engine_value values[128];
    size_t count;
    char mode[16], until[24], hold[8];
};

static void head_params(struct completing *k, const struct attrs *a, struct from_head *h, struct engine_put_params *ret)
{
    struct attr_item item;
    for (size_t at = 0; attrs_next(a, &at, &item);) {
        if (item.kind != ATTR_FACT && item.kind != ATTR_XATTR && h->count < sizeof h->values / sizeof *h->values)
            h->values[h->count++] = (struct engine_value){(char)item.kind, item.name, item.name_len, item.value, item.len};
    }
    upload_fact(a, "upload-lock-mode", h->mode, sizeof h->mode);
    upload_fact(a, "upload-lock-until", h->until, sizeof h->until);
    upload_fact(a, "upload-hold", h->hold, sizeof h->hold);
    *ret = (struct engine_put_params){
        .bucket = k->asked->bucket,
        .key = k->asked->key,
        .values = h->values,
        .value_count = h->count,
        .conditions = &k->asked->conditions,
        .lock_mode = h->mode[0] ? h->mode : NULL,
        .lock_until_ms = strtoll(h->until, NULL, 10),
        .legal_hold = h->hold[0] ? h->hold : NULL,
    };
}

/* M */
static int begin(struct completing *k, const struct bucket *b)
{
    struct version head;
    int r = upload_load(k->e, k->c, b->number, k->asked->key, k->asked->id, &head);
    if (r < 0)
        return r;
    CLEANUP_FREE struct from_head *h = calloc(1, sizeof *h);
    struct engine_put_params params;
    r = h ? 0 : -ENOMEM;
    k->initiated_ns = head.publish_ns;
    k->declared = upload_declared(&head.record.attrs, &k->type);
    k->kind = k->declared == CHECKSUM_NONE ? CHECKSUM_CRC64NVME : k->declared;
    k->composite = k->type && strcmp(k->type, "COMPOSITE") == 0;
    if (r == 0) {
        head_params(k, &head.record.attrs, h, &params);
        r = put_new(k->e, b, &params, &k->put);
    }
    if (r == 0)
        r = put_follow_upload(k->put, k->c, &head);
    if (r == 0)
        r = object_lock_wanted(k->e, k->c, b, &params, &k->put->lock, &k->put->locks);
    version_done(&head);
    if (r == 0)
        r = checksum_begin(&k->md5s, CHECKSUM_MD5);
    if (r == 0)
        r = checksum_begin(&k->sums, k->composite ? k->kind : CHECKSUM_NONE);
    return r;
}

/* 1: it was done before. */
static int judge(struct completing *k, struct engine_object *ret)
{
    LOCK_SCOPE(&k->e->meta);
    const struct bucket *b = bucket_by_number(k->e, k->asked->bucket);
    if (!b)
        return object_no_bucket(k->c);
    int r = engine_may(k->e, k->c, "s3:PutObject", b, k->asked->key);
    if (r == 0)
        r = judge_order(k);
    if (r == 0 && !upload_nameable(k->asked->key, k->asked->id))
        return upload_missing(k->c);
    if (r == 0)
        r = done_before(k, b, ret);
    return r != 0 ? r : begin(k, b);
}

static int complete(struct completing *k, struct engine_object *ret)
{
    struct record record;
    int r = 0;
    for (size_t n = 0; r == 0 && n < k->asked->count; n++)
        r = add_part(k, &k->asked->parts[n], n + 1 == k->asked->count);
    if (r == 0 && k->small)
        r = reason_fail_s3(&k->c->reason, EINVAL, "EntityTooSmall",
                           "Your proposed upload is smaller than the minimum allowed size: part %u is short, all but the last have at least %d bytes",
                           k->small, PART_MIN_BYTES);
    if (r == 0)
        r = make_record(k, &record);
    if (r < 0)
        return r;
    r = put_commit(k->put, k->c, &record, &(struct put_hooks){before_publish, after_publish, k}, ret);
    k->asked->conditions.failed = k->put->conditions.failed;
    record_done(&record);
    return r;
}

/* Two at once: who comes second finds it done. */
static int look_again(struct completing *k, struct engine_object *ret, int error)
{
    if (error != -ENOENT || strcmp(k->c->reason.code, "NoSuchUpload") != 0)
        return error;
    LOCK_SCOPE(&k->e->meta);
    const struct bucket *b = bucket_by_number(k->e, k->asked->bucket);
    int r = b ? done_before(k, b, ret) : 0;
    if (r == 1)
        reason_clear(&k->c->reason);
    return r == 1 ? 0 : r < 0 ? r : error;
}

int engine_upload_complete(struct engine *e, struct caller *c, struct engine_complete *asked, struct engine_object *ret)
{
    struct completing k = {.e = e, .c = c, .asked = asked};
    *ret = (struct engine_object){0};
    hash_list(&k);
    int r = judge(&k, ret);
    if (r == 0) {
        r = complete(&k, ret);
        if (r < 0)
            r = look_again(&k, ret, r);
    } else if (r == 1) {
        r = 0;
    }
    engine_put_free(k.put);
    checksum_done(&k.md5s);
    checksum_done(&k.sums);
    bytes_done(&k.table);
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->meta);
    if (txn_begin(e) == 0 && txn_end(e, forget_old(e, c, asked->bucket)) < 0)
        log_warning("what became of uploads of yesterday could not be forgotten");
    return 0;
}

/* ---- parts of a completed object ---- */

unsigned engine_object_parts(const struct engine_object *o)
{
    struct engine_value v;
    unsigned count = 0;
    if (!engine_object_value(o, ENGINE_VALUE_FACT, "parts", &v))
        return 0;
    struct reader r = reader_over(v.value, v.len);
    size_t len;
    while (!r.failed && r.at < r.end) {
        reader_varint(&r);
        reader_varint(&r);
        reader_blob(&r, &len);
        count++;
    }
    return count;
}

static enum checksum_kind object_checksum_kind(const struct engine_object *o)
{
    struct engine_value v;
    for (size_t at = 0; engine_object_next(o, &at, &v);) {
        enum checksum_kind k = v.kind == ENGINE_VALUE_FACT && v.name_len > 9 && memcmp(v.name, "checksum-", 9) == 0
                                   ? checksum_find(v.name + 9, v.name_len - 9)
                                   : CHECKSUM_NONE;
        if (k != CHECKSUM_NONE)
            return k;
    }
    return CHECKSUM_NONE;
}

bool engine_object_part(const struct engine_object *o, unsigned index, unsigned *ret_number, uint64_t *ret_offset, struct engine_part *ret)
{
    struct engine_value v;
    if (!engine_object_value(o, ENGINE_VALUE_FACT, "parts", &v))
        return false;
    struct reader r = reader_over(v.value, v.len);
    uint64_t offset = 0;
    for (unsigned n = 0; !r.failed && r.at < r.end; n++) {
        uint64_t number = reader_varint(&r), size = reader_varint(&r);
        size_t len;
        const uint8_t *raw = reader_blob(&r, &len);
        if (!r.failed && n == index) {
            *ret = (struct engine_part){.number = (unsigned)number, .size_bytes = size, .checksum = object_checksum_kind(o)};
            if (raw && len && len == checksum_bytes(ret->checksum))
                base64_format(raw, len, ret->checksum_text);
            *ret_number = (unsigned)number;
            *ret_offset = offset;
            return true;
        }
        offset += size;
    }
    return false;
}
