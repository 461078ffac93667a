/* SPDX-License-Identifier: GPL-3.0-or-later
 * CopyObject (s3-api.md §7): a new version that shares the source's frames. Content is read only for a checksum it does not have. */
#include "engine/object.h"

#include <stdio.h>

enum { COPY_READ_BYTES = 1 << 20 };

static int judge_source(struct engine *e, struct caller *c, const struct bucket *b, const struct engine_copy *copy, const struct version *v)
{
    struct may m = {.record = v ? &v->record : NULL, .seq = v && copy->version_id ? v->seq : 0};
    return engine_may_with(e, c, copy->version_id ? "s3:GetObjectVersion" : "s3:GetObject", b, copy->key, &m);
}

static int judge_tags(struct engine *e, struct caller *c, const struct bucket *b, const struct engine_copy *copy, const struct version *v)
{
    if (copy->replace_tags || !attrs_bytes(&v->record.attrs, ATTR_TAG))
        return 0;
    struct may m = {.record = &v->record, .seq = copy->version_id ? v->seq : 0};
    return engine_may_with(e, c, copy->version_id ? "s3:GetObjectVersionTagging" : "s3:GetObjectTagging", b, copy->key, &m);
}

/* Where a read says 304, a copy says 412. */
static int judge_conditions(struct caller *c, struct engine_copy *copy, const struct version *v)
{
    int r = condition_read(&copy->conditions, v, &c->reason);
    return r < 0 ? reason_fail_s3(&c->reason, ECANCELED, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold") : 0;
}

int copy_source(struct engine *e, struct caller *c, struct engine_copy *copy, const struct bucket **ret_bucket, struct version *v,
                struct gc_pin *pin, struct data_key **ret_kek, struct engine_object *ret_object)
{
    const struct bucket *b = *ret_bucket = bucket_by_number(e, copy->bucket);
    if (!b)
        return object_no_bucket(c);
    int found = object_find(e, c, b, copy->key, copy->version_id, v);
    if (found < 0 && found != -ENOENT)
        return found;
    int r = judge_source(e, c, b, copy, found == 0 ? v : NULL);
    if (found < 0)
        return r < 0 ? r : copy->version_id ? object_missing_version(e, c, b, copy->key) : object_missing(e, c, b, copy->key);
    if (r == 0 && (v->flags & VERSION_MARKER))
        r = copy->version_id
                ? reason_fail_s3(&c->reason, EINVAL, "InvalidRequest",
                                 "The source of a copy request may not specifically refer to a delete marker by version id.")
                : object_missing(e, c, b, copy->key);
    if (r == 0)
        r = judge_tags(e, c, b, copy, v);
    if (r == 0)
        r = judge_conditions(c, copy, v);
    if (r == 0)
        r = sse_open(e, c, b, copy->key, v->seq, v->record.env, ret_kek);
    if (r == 0)
        r = object_fill(e, b, v, false, ret_object);
    if (r == 0)
        r = object_pin(e, v, pin);
    if (r < 0)
        version_done(v);
    return r;
}

/* What of the source's named values comes along. */
static int take_values(const struct engine_copy *copy, const struct attrs *from, struct attrs *to)
{
    static const char *const never[] = {"storage-class", "website-redirect-location"};
    struct attr_item item;
    int r = 0;
    for (size_t at = 0; r == 0 && attrs_next(from, &at, &item);) {
        bool values = item.kind == ATTR_HEADER || item.kind == ATTR_META;
        bool mine = values ? !copy->replace_values : item.kind == ATTR_TAG ? !copy->replace_tags : item.kind == ATTR_FACT;
        for (size_t n = 0; item.kind == ATTR_HEADER && n < 2; n++)
            mine &= item.name_len != strlen(never[n]) || memcmp(item.name, never[n], item.name_len) != 0;
        mine &= item.kind != ATTR_FACT || (item.name_len != 4 || memcmp(item.name, "tied", 4) != 0);
        if (mine)
            r = attrs_set(to, item.kind, item.name, item.name_len, item.value, item.len);
    }
    return r;
}

/* A checksum the source does not have: the content is read once. */
static int add_checksum(struct engine *e, struct caller *c, const struct bucket *b, struct gc_pin *pin, uint64_t size, enum checksum_kind kind,
                        struct attrs *attrs)
{
    char name[32];
    const uint8_t *value;
    size_t len;
    int n = snprintf(name, sizeof name, "checksum-%s", kind == CHECKSUM_NONE ? "" : checksum_name(kind));
    if (kind == CHECKSUM_NONE || attrs_get(attrs, ATTR_FACT, name, (size_t)n, &value, &len) == 0)
        return 0;
    struct content *content;
    struct checksum sum;
    uint8_t out[CHECKSUM_MAX_BYTES];
    (void)c;
    CLEANUP_FREE uint8_t *buf = malloc(COPY_READ_BYTES);
    int r = buf ? content_new(e, b, pin->map, &content) : -ENOMEM;
    if (r < 0)
        return r;
    r = checksum_begin(&sum, kind);
    for (uint64_t at = 0; r == 0 && at < size;) {
        struct content_fault fault;
        ssize_t got = content_read(e->pipe, content->map, content->keys, at, buf, COPY_READ_BYTES, &fault);
        if (got > 0)
            checksum_add(&sum, buf, (size_t)got);
        r = got < 0 ? (int)got : got ? 0 : -EIO;
        at += got > 0 ? (uint64_t)got : 0;
    }
    checksum_end(&sum, out);
    checksum_done(&sum);
    content_unref(content);
    /* It takes the place of those there were. */
    for (enum checksum_kind k = CHECKSUM_CRC32; r == 0 && k <= CHECKSUM_SHA256; k++) {
        n = snprintf(name, sizeof name, "checksum-%s", checksum_name(k));
        attrs_remove(attrs, ATTR_FACT, name, (size_t)n);
    }
    return r < 0 ? r : object_checksum_facts(attrs, kind, out, "FULL_OBJECT");
}

/* p's content becomes the source's. */
static int share(struct engine_put *p, const struct bucket *from, const struct version *v, const struct extmap *map)
{
    struct extmap *mine = extmap_copy(map);
    int r = mine ? put_rewrap(p, from, v, mine) : -ENOMEM;
    LOCK_SCOPE(&p->lock_map);
    if (r == 0)
        extmap_swap(p->map, mine);
    extmap_unref(mine);
    return r;
}

static int copy_record(struct engine_put *p, struct caller *c, const struct engine_copy *copy, const struct bucket *from,
                       const struct version *v, struct gc_pin *pin, struct record *ret)
{
    int r = take_values(copy, &v->record.attrs, &p->attrs);
    if (r == 0)
        r = add_checksum(p->engine, c, from, pin, v->record.size_bytes, copy->to.checksum, &p->attrs);
    if (r == 0)
        r = share(p, from, v, pin->map);
    struct record record = {.written = true, .size_bytes = v->record.size_bytes};
    if (r == 0)
        r = attrs_copy(&record.attrs, &p->attrs);
    if (r < 0)
        return r;
    record_set_envelope(&record, p->env, p->bucket->kek_id, p->bucket->kek_version);
    memcpy(record.etag, v->record.etag, sizeof record.etag);
    if (p->env) { /* encryption.md §3.4: a random one, with the source's -N */
        uint8_t random[16];
        char hex[33];
        random_bytes(random, sizeof random);
        hex_format(random, sizeof random, hex);
        memcpy(record.etag, hex, 32);
    }
    record.map = extmap_ref(p->map);
    *ret = record;
    return 0;
}

static int judge_itself(struct caller *c, const struct engine_copy *copy)
{
    const struct engine_put_params *to = &copy->to;
    bool same = copy->bucket == to->bucket && copy->key.len == to->key.len && memcmp(copy->key.p, to->key.p, to->key.len) == 0;
    if (!same || copy->version_id || copy->replace_values || copy->changes)
        return 0;
    return reason_fail_s3(&c->reason, EINVAL, "InvalidRequest",
                          "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
                          "metadata, storage class, website redirect location or encryption attributes.");
}

int engine_copy(struct engine *e, struct caller *c, struct engine_copy *copy, struct engine_object *ret, struct engine_object *ret_source)
{
    struct engine_put *p = NULL;
    const struct bucket *from;
    struct version v;
    struct gc_pin pin;
    CLEANUP(data_key_cleanup) struct data_key *kek = NULL;
    struct record record;
    *ret = *ret_source = (struct engine_object){0};
    int r = engine_put_begin(e, c, &copy->to, &p);
    if (r == 0)
        r = judge_itself(c, copy);
    if (r == 0) {
        LOCK_SCOPE(&e->meta);
        r = copy_source(e, c, copy, &from, &v, &pin, &kek, ret_source);
    }
    if (r < 0) {
        engine_put_free(p);
        return r;
    }
    r = copy_record(p, c, copy, from, &v, &pin, &record);
    if (r == 0) {
        r = put_commit(p, c, &record, &(struct put_hooks){0}, ret);
        record_done(&record);
    }
    {
        LOCK_SCOPE(&e->meta);
        gc_pin_remove(e, &pin);
    }
    version_done(&v);
    engine_put_free(p);
    return r;
}
