/* SPDX-License-Identifier: GPL-3.0-or-later
 * Multipart uploads (s3-api.md §10): beginning, parts, giving up, listing. Completing is in multipart_complete.c.
 *
 * An upload, its parts and, for a day, what became of it are rows among the versions, with VERSION_UPLOAD | VERSION_REPLACED and keys
 * that begin with a byte no UTF-8 has (multipart.h): so collection, compaction, renewal of keys and recovery treat their frames like any
 * version's, and nothing shows them. */
#include "engine/multipart.h"
#include "util/limits.h"

#include <assert.h>
#include <stdio.h>
#include <sys/stat.h>

int upload_missing(struct caller *c)
{
    return reason_fail_s3(&c->reason, ENOENT, "NoSuchUpload",
                          "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.");
}

/* ---- rows ---- */

void upload_head_key(struct upload_key *k, char kind, const char *id, struct span key)
{
    assert(key.len <= sizeof k->p - UPLOAD_PREFIX_BYTES);
    k->p[0] = UPLOAD_BYTE;
    k->p[1] = (uint8_t)kind;
    memcpy(k->p + 2, id, ENGINE_UPLOAD_ID_CHARS);
    if (key.len)
        memcpy(k->p + UPLOAD_PREFIX_BYTES, key.p, key.len);
    k->len = UPLOAD_PREFIX_BYTES + key.len;
}

void upload_part_key(struct upload_key *k, const char *id, unsigned number)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%05u", number);
    upload_head_key(k, UPLOAD_PART, id, span_of(text, (size_t)n));
}

bool upload_nameable(struct span key, const char *id)
{
    return key.len <= LIMIT_S3_KEY_BYTES && strlen(id) == ENGINE_UPLOAD_ID_CHARS &&
           strspn(id, "0123456789abcdef") == ENGINE_UPLOAD_ID_CHARS;
}

struct first_row {
    struct version *ret;
    bool found;
};

static int first_row(void *arg, const struct version_row *row)
{
    struct first_row *f = arg;
    int r = version_decode(row, f->ret);
    f->found = r == 0;
    return r < 0 ? r : 1;
}

int upload_row_load(struct engine *e, uint32_t bucket, const struct upload_key *k, struct version *ret)
{
    struct first_row f = {.ret = ret};
    int r = e->meta_ops->version_scan(e->m, bucket, span_of(k->p, k->len), UINT64_MAX, first_row, &f);
    return r < 0 ? r : f.found ? 0 : -ENOENT;
}

int upload_row_store(struct engine *e, struct caller *c, const struct bucket *b, const struct upload_key *k, struct record *record,
                     int64_t publish_ns)
{
    struct version v = {.bucket = b->number, .key = (uint8_t *)k->p, .key_len = k->len, .seq = seq_next(e), .publish_ns = publish_ns,
                        .flags = VERSION_UPLOAD | VERSION_REPLACED | VERSION_NULL};
    principal_arn(&c->principal, record->made_by);
    v.record = *record;
    return version_store(e, &v);
}

int upload_row_remove(struct engine *e, struct caller *c, uint32_t bucket, const struct upload_key *k)
{
    for (;;) {
        struct version v;
        int r = upload_row_load(e, bucket, k, &v);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        r = version_remove(e, c, &v, REMOVE_REPLACED);
        version_done(&v);
        if (r < 0)
            return r;
    }
}

int upload_load(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, struct version *ret)
{
    struct upload_key k;
    if (!upload_nameable(key, id))
        return upload_missing(c);
    upload_head_key(&k, UPLOAD_HEAD, id, key);
    int r = upload_row_load(e, bucket, &k, ret);
    return r == -ENOENT ? upload_missing(c) : r;
}

/* ---- all rows of an upload, or of a bucket ---- */

struct next_key {
    struct span prefix;
    struct upload_key *ret;
    bool found;
};

static int next_key_row(void *arg, const struct version_row *row)
{
    struct next_key *n = arg;
    if (row->key.len < n->prefix.len || memcmp(row->key.p, n->prefix.p, n->prefix.len) != 0)
        return 1;
    memcpy(n->ret->p, row->key.p, row->key.len);
    n->ret->len = row->key.len;
    n->found = true;
    return 1;
}

int upload_rows_drop(struct engine *e, struct caller *c, uint32_t bucket, struct span prefix)
{
    for (;;) {
        struct upload_key k;
        struct next_key n = {.prefix = prefix, .ret = &k};
        int r = e->meta_ops->version_scan_heads(e->m, bucket, prefix, true, INT64_MAX, next_key_row, &n);
        if (r < 0 || !n.found)
            return r;
        r = upload_row_remove(e, c, bucket, &k);
        if (r < 0)
            return r;
    }
}

int uploads_drop(struct engine *e, struct caller *c, struct bucket *b)
{
    static const uint8_t all = UPLOAD_BYTE;
    return upload_rows_drop(e, c, b->number, span_of(&all, 1));
}

int upload_drop(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id)
{
    struct upload_key k;
    upload_head_key(&k, UPLOAD_HEAD, id, key);
    int r = upload_row_remove(e, c, bucket, &k);
    if (r < 0)
        return r;
    upload_head_key(&k, UPLOAD_PART, id, span_of(NULL, 0));
    return upload_rows_drop(e, c, bucket, span_of(k.p, k.len));
}

/* ---- facts ---- */

void upload_fact(const struct attrs *a, const char *name, char *out, size_t cap)
{
    const uint8_t *value;
    size_t len;
    out[0] = '\0';
    if (attrs_get(a, ATTR_FACT, name, strlen(name), &value, &len) == 0 && len < cap) {
        memcpy(out, value, len);
        out[len] = '\0';
    }
}

static int put_fact(struct attrs *a, const char *name, const char *value)
{
    return value ? attrs_set(a, ATTR_FACT, name, strlen(name), value, strlen(value)) : 0;
}

enum checksum_kind upload_declared(const struct attrs *a, const char **ret_type)
{
    char kind[16], type[16];
    upload_fact(a, "upload-checksum", kind, sizeof kind);
    upload_fact(a, "upload-type", type, sizeof type);
    *ret_type = type[0] == 'C' ? "COMPOSITE" : type[0] == 'F' ? "FULL_OBJECT" : NULL;
    return checksum_find(kind, strlen(kind));
}

/* ---- beginning ---- */

/* s3-api.md §2.3's pairs; *type NULL becomes the algorithm's default. */
static int judge_type(struct caller *c, enum checksum_kind kind, const char **type)
{
    bool composite = kind != CHECKSUM_CRC64NVME, full = kind == CHECKSUM_CRC32 || kind == CHECKSUM_CRC32C || kind == CHECKSUM_CRC64NVME;
    if (kind == CHECKSUM_NONE)
        return !*type ? 0 : reason_fail_s3(&c->reason, EINVAL, "InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.");
    if (!*type)
        *type = composite ? "COMPOSITE" : "FULL_OBJECT";
    bool known = (strcmp(*type, "COMPOSITE") == 0 && composite) || (strcmp(*type, "FULL_OBJECT") == 0 && full);
    return known ? 0 : reason_fail_s3(&c->reason, EINVAL, "InvalidRequest", "The %.20s checksum type cannot be used with the %s checksum algorithm.", *type, checksum_name(kind));
}

static int create_record(const struct engine_put_params *params, const char *type, struct record *ret)
{
    char until[24];
    *ret = (struct record){.mode = S_IFREG | 0644};
    ret->mtime = ret->ctime = ret->btime = instant_now();
    int r = put_attrs(params->values, params->value_count, &ret->attrs);
    if (r == 0 && params->checksum != CHECKSUM_NONE)
        r = put_fact(&ret->attrs, "upload-checksum", checksum_name(params->checksum));
    if (r == 0)
        r = put_fact(&ret->attrs, "upload-type", type);
    snprintf(until, sizeof until, "%lld", (long long)params->lock_until_ms);
    if (r == 0 && params->lock_mode) {
        r = put_fact(&ret->attrs, "upload-lock-mode", params->lock_mode);
        if (r == 0)
            r = put_fact(&ret->attrs, "upload-lock-until", until);
    }
    return r < 0 ? r : put_fact(&ret->attrs, "upload-hold", params->legal_hold);
}

static int create_head(struct engine *e, struct caller *c, const struct bucket *b, const struct engine_put_params *params, const char *id,
                       int64_t now_ns, const char *type)
{
    struct record record;
    struct upload_key k;
    upload_head_key(&k, UPLOAD_HEAD, id, params->key);
    struct envelope *env = NULL;
    struct data_key *kek = NULL;
    int r = create_record(params, type, &record);
    if (r == 0)
        r = sse_new(e, c, b, params->key, &env, &kek);
    if (r == 0 && env) /* mode and key of all its parts (encryption.md §4.5) */
        record_set_envelope(&record, env, b->kek_id, b->kek_version);
    data_key_unref(kek);
    envelope_unref(env);
    if (r == 0)
        r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, upload_row_store(e, c, b, &k, &record, now_ns));
    record_done(&record);
    return r;
}

int engine_upload_create(struct engine *e, struct caller *c, const struct engine_put_params *params, const char *type,
                         char ret_id[ENGINE_UPLOAD_ID_CHARS + 1])
{
    uint64_t random;
    int64_t now_ns = clock_wall_ns();
    if (!params->key.len || params->key.len > LIMIT_S3_KEY_BYTES)
        return reason_fail_s3(&c->reason, ENAMETOOLONG, "KeyTooLongError", "Your key is too long");
    random_bytes(&random, sizeof random);
    snprintf(ret_id, ENGINE_UPLOAD_ID_CHARS + 1, "%016llx%016llx", (unsigned long long)now_ns, (unsigned long long)random);
    {
        LOCK_SCOPE(&e->meta);
        const struct bucket *b = bucket_by_number(e, params->bucket);
        if (!b)
            return object_no_bucket(c);
        struct version_lock lock;
        bool any;
        int r = object_may_put(e, c, b, params->key, params);
        if (r == 0)
            r = judge_type(c, params->checksum, &type);
        if (r == 0)
            r = object_lock_wanted(e, c, b, params, &lock, &any);
        if (r == 0)
            r = create_head(e, c, b, params, ret_id, now_ns, type);
        if (r < 0)
            return r;
    }
    return durable_advance(e);
}

/* ---- parts ---- */

static int judge_part_checksum(struct caller *c, enum checksum_kind declared, const char *type, enum checksum_kind sent)
{
    if (declared == CHECKSUM_NONE || sent == declared)
        return 0;
    if (sent != CHECKSUM_NONE)
        return reason_fail_s3(&c->reason, EINVAL, "InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
                              checksum_name(declared), checksum_name(sent));
    if (strcmp(type, "COMPOSITE") == 0)
        return reason_fail_s3(&c->reason, EINVAL, "InvalidRequest", "The upload was created using a %s checksum: each part must include the checksum.", checksum_name(declared));
    return 0;
}

int engine_part_begin(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, unsigned number,
                      enum checksum_kind sent, struct engine_put **ret)
{
    bool declared;
    return part_begin(e, c, bucket, key, id, number, &sent, &declared, ret);
}

int part_begin(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, unsigned number,
               const enum checksum_kind *sent, bool *ret_declared, struct engine_put **ret)
{
    struct engine_put_params params = {.bucket = bucket, .key = key};
    struct version head;
    LOCK_SCOPE(&e->meta);
    const struct bucket *b = bucket_by_number(e, bucket);
    if (!b)
        return object_no_bucket(c);
    int r = engine_may(e, c, "s3:PutObject", b, key);
    if (r == 0)
        r = upload_load(e, c, bucket, key, id, &head);
    if (r < 0)
        return r;
    const char *type;
    enum checksum_kind declared = upload_declared(&head.record.attrs, &type);
    r = sent ? judge_part_checksum(c, declared, type, *sent) : 0;
    params.checksum = declared != CHECKSUM_NONE ? declared : sent && *sent != CHECKSUM_NONE ? *sent : CHECKSUM_CRC64NVME;
    *ret_declared = declared != CHECKSUM_NONE;
    struct engine_put *p;
    if (r == 0)
        r = put_new(e, b, &params, &p);
    if (r == 0 && (r = put_follow_upload(p, c, &head)) < 0)
        engine_put_free(p);
    version_done(&head);
    if (r < 0)
        return r;
    memcpy(p->upload_id, id, sizeof p->upload_id);
    p->part = number;
    bool extra = declared == CHECKSUM_NONE && params.checksum != CHECKSUM_CRC64NVME;
    r = checksum_begin(&p->extra, extra ? CHECKSUM_CRC64NVME : CHECKSUM_NONE);
    if (r < 0)
        engine_put_free(p);
    else
        *ret = p;
    return r;
}

/* M, txn */
static int part_rows(struct engine_put *p, struct caller *c, const struct bucket *b, struct record *record)
{
    struct engine *e = p->engine;
    struct version head;
    struct upload_key k;
    int r = upload_load(e, c, b->number, span_of(p->key, p->key_len), p->upload_id, &head);
    if (r < 0)
        return r;
    version_done(&head);
    upload_part_key(&k, p->upload_id, p->part);
    r = upload_row_remove(e, c, b->number, &k);
    return r < 0 ? r : upload_row_store(e, c, b, &k, record, clock_wall_ns());
}

int part_commit(struct engine_put *p, struct caller *c, struct record *record, struct engine_object *ret)
{
    struct engine *e = p->engine;
    record->mode = S_IFREG | 0644;
    record->mtime = record->ctime = record->btime = instant_now();
    {
        LOCK_SCOPE(&e->meta);
        struct bucket *b = bucket_by_number(e, p->bucket_number);
        int r = b ? txn_begin(e) : object_no_bucket(c);
        if (r == 0)
            r = txn_end(e, part_rows(p, c, b, record));
        if (r < 0)
            return r;
    }
    struct attrs copy;
    int r = attrs_copy(&copy, &record->attrs);
    if (r < 0)
        return r;
    ret->values = copy.packed;
    ret->version.publish_ns = clock_wall_ns();
    memcpy(ret->version.etag, record->etag, sizeof ret->version.etag);
    object_tell_sse(record->env, ret);
    return durable_advance(e);
}

int part_publish(struct engine_put *p, struct caller *c, struct engine_object *ret)
{
    struct record record;
    int r = put_record(p, &record);
    if (r < 0)
        return r;
    if (p->extra.kind != CHECKSUM_NONE) {
        char text[CHECKSUM_TEXT_BYTES];
        base64_format(p->extra_sum, checksum_bytes(p->extra.kind), text);
        r = attrs_set(&record.attrs, ATTR_FACT, "extra", 5, text, strlen(text));
    }
    if (r == 0)
        r = part_commit(p, c, &record, ret);
    record_done(&record);
    return r;
}

/* ---- giving up ---- */

static int abort_judged(struct engine *e, struct caller *c, struct bucket *b, struct span key, const char *id, int64_t initiated_s)
{
    struct version head;
    int r = engine_may(e, c, "s3:AbortMultipartUpload", b, key);
    if (r == 0)
        r = upload_load(e, c, b->number, key, id, &head);
    if (r < 0)
        return r;
    bool differs = initiated_s != INT64_MIN && initiated_s != head.publish_ns / 1000000000;
    version_done(&head);
    if (differs)
        return reason_fail_s3(&c->reason, ECANCELED, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
    r = txn_begin(e);
    return r < 0 ? r : txn_end(e, upload_drop(e, c, b->number, key, id));
}

int engine_upload_abort(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, int64_t initiated_s)
{
    {
        LOCK_SCOPE(&e->meta);
        struct bucket *b = bucket_by_number(e, bucket);
        int r = b ? abort_judged(e, c, b, key, id, initiated_s) : object_no_bucket(c);
        if (r < 0)
            return r;
    }
    return durable_advance(e);
}
