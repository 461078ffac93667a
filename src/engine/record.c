/* SPDX-License-Identifier: GPL-3.0-or-later
 * Records and inode bodies, packed and unpacked; see record.h and doc/on-disk-format.md, "Records".
 *
 * record:  u8 format(1), u32 mode uid gid rdev_major rdev_minor, 4 x (u64 sec, u32 nsec): mtime ctime btime atime,
 *          u8 flags, varint size, blob etag, blob made_by, blob attrs, u8 envelope [16 kek id, varint kek version, envelope.c's],
 *          varint generation, [blob extents, with FLAG_MAP]
 * inode:   u8 format(1), varint generation, varint nlink, u8 dir, [record when dir] */
#include "engine/record.h"

#include <errno.h>
#include <string.h>

enum { RECORD_FORMAT = 1, INODE_FORMAT = 1 };
enum record_flags {
    FLAG_ATIME_SET = 1,
    FLAG_WRITTEN = 2,
    FLAG_IMPLICIT = 4,
    FLAG_MAP = 8,
    FLAG_ALL = 15,
};

void record_done(struct record *r)
{
    attrs_done(&r->attrs);
    extmap_unref(r->map);
    envelope_unref(r->env);
    *r = (struct record){0};
}

int record_copy(struct record *dst, const struct record *src)
{
    *dst = *src;
    dst->map = NULL;
    dst->env = NULL;
    int r = attrs_copy(&dst->attrs, &src->attrs);
    if (r < 0) {
        *dst = (struct record){0};
        return r;
    }
    if (src->map)
        dst->map = extmap_ref(src->map);
    dst->env = envelope_ref(src->env);
    return 0;
}

bool record_same_content(const struct record *a, const struct record *b)
{
    if (a->size_bytes != b->size_bytes)
        return false;
    if (a->map && b->map)
        return extmap_same(a->map, b->map);
    const struct extmap *one = a->map ? a->map : b->map;
    return !one || !one->count;
}

static bool instant_same(struct instant a, struct instant b)
{
    return a.sec == b.sec && a.nsec == b.nsec;
}

/* Attributes in order, but where the content came from. */
static bool attrs_same(const struct attrs *a, const struct attrs *b)
{
    size_t at_a = 0, at_b = 0;
    for (;;) {
        struct attr_item x, y;
        bool more_a, more_b;
        do
            more_a = attrs_next(a, &at_a, &x);
        while (more_a && x.kind == ATTR_FACT && x.name_len == 4 && !memcmp(x.name, "tied", 4));
        do
            more_b = attrs_next(b, &at_b, &y);
        while (more_b && y.kind == ATTR_FACT && y.name_len == 4 && !memcmp(y.name, "tied", 4));
        if (!more_a || !more_b)
            return more_a == more_b;
        if (x.kind != y.kind || x.name_len != y.name_len || x.len != y.len || memcmp(x.name, y.name, x.name_len) ||
            memcmp(x.value, y.value, x.len))
            return false;
    }
}

bool record_same(const struct record *a, const struct record *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->rdev_major == b->rdev_major &&
           a->rdev_minor == b->rdev_minor && instant_same(a->mtime, b->mtime) && a->atime_set == b->atime_set &&
           (!a->atime_set || instant_same(a->atime, b->atime)) && !strcmp(a->etag, b->etag) && attrs_same(&a->attrs, &b->attrs) &&
           record_same_content(a, b);
}

void record_set_envelope(struct record *r, struct envelope *env, const uint8_t bucket_kek[16], uint32_t bucket_kek_version)
{
    envelope_ref(env);
    envelope_unref(r->env);
    r->env = env;
    r->envelope = env ? env->mode : ENVELOPE_SSE_S3;
    memcpy(r->kek_id, env ? env->kek_id : bucket_kek, sizeof r->kek_id);
    r->kek_version = env ? 1 : bucket_kek_version;
}

static void put_instant(struct bytes *out, struct instant t)
{
    bytes_put_u64(out, (uint64_t)t.sec);
    bytes_put_u32(out, t.nsec);
}

static struct instant take_instant(struct reader *r)
{
    struct instant t = {.sec = (int64_t)reader_u64(r), .nsec = reader_u32(r)};
    if (t.nsec > 999999999)
        r->failed = true;
    return t;
}

static void put_map(struct bytes *out, const struct extmap *map)
{
    struct bytes packed = {0};
    extmap_encode(map, &packed);
    bytes_put_blob(out, packed.data, packed.len);
    out->failed |= packed.failed;
    bytes_done(&packed);
}

void record_encode(const struct record *r, struct bytes *out)
{
    bytes_put_u8(out, RECORD_FORMAT);
    bytes_put_u32(out, r->mode);
    bytes_put_u32(out, r->uid);
    bytes_put_u32(out, r->gid);
    bytes_put_u32(out, r->rdev_major);
    bytes_put_u32(out, r->rdev_minor);
    put_instant(out, r->mtime);
    put_instant(out, r->ctime);
    put_instant(out, r->btime);
    put_instant(out, r->atime);
    bytes_put_u8(out, (uint8_t)((r->atime_set ? FLAG_ATIME_SET : 0) | (r->written ? FLAG_WRITTEN : 0) |
                                (r->implicit ? FLAG_IMPLICIT : 0) | (r->map ? FLAG_MAP : 0)));
    bytes_put_varint(out, r->size_bytes);
    bytes_put_blob(out, r->etag, strlen(r->etag));
    bytes_put_blob(out, r->made_by, strlen(r->made_by));
    bytes_put_blob(out, r->attrs.packed.data, r->attrs.packed.len);
    bytes_put_u8(out, r->envelope);
    if (r->envelope) {
        bytes_put(out, r->kek_id, sizeof r->kek_id);
        bytes_put_varint(out, r->kek_version);
        if (r->env)
            envelope_encode(r->env, out);
    }
    bytes_put_varint(out, r->generation);
    if (r->map)
        put_map(out, r->map);
}

static void take_attrs(struct reader *r, struct attrs *ret)
{
    size_t len;
    const uint8_t *p = reader_blob(r, &len);
    if (!p || !attrs_valid(p, len)) {
        r->failed = true;
        return;
    }
    bytes_put(&ret->packed, p, len);
}

/* Extents that say they are inline must lie in what travelled with the row. */
static bool inline_fits(const struct extmap *map)
{
    const struct extent *x;
    for (struct extmap_cursor at = {0}; (x = extmap_next(map, &at));) {
        if (x->segment == 0 && x->place_bytes >= map->inline_data.len)
            return false;
    }
    return true;
}

static int take_map(struct reader *r, const void *data, size_t data_len, struct extmap **ret)
{
    size_t len;
    const uint8_t *p = reader_blob(r, &len);
    struct extmap *map;
    if (!p)
        return -EBADMSG;
    int error = extmap_decode(p, len, &map);
    if (error < 0)
        return error;
    bytes_put(&map->inline_data, data, data_len);
    if (map->inline_data.failed)
        error = -ENOMEM;
    else if (!inline_fits(map))
        error = -EBADMSG;
    if (error < 0) {
        extmap_unref(map);
        return error;
    }
    *ret = map;
    return 0;
}

static uint8_t take_fields(struct reader *r, struct record *ret)
{
    if (reader_u8(r) != RECORD_FORMAT)
        r->failed = true;
    ret->mode = reader_u32(r);
    ret->uid = reader_u32(r);
    ret->gid = reader_u32(r);
    ret->rdev_major = reader_u32(r);
    ret->rdev_minor = reader_u32(r);
    ret->mtime = take_instant(r);
    ret->ctime = take_instant(r);
    ret->btime = take_instant(r);
    ret->atime = take_instant(r);
    uint8_t flags = reader_u8(r);
    if (flags & ~FLAG_ALL)
        r->failed = true;
    ret->atime_set = flags & FLAG_ATIME_SET;
    ret->written = flags & FLAG_WRITTEN;
    ret->implicit = flags & FLAG_IMPLICIT;
    ret->size_bytes = reader_varint(r);
    reader_text(r, ret->etag, sizeof ret->etag);
    reader_text(r, ret->made_by, sizeof ret->made_by);
    take_attrs(r, &ret->attrs);
    ret->envelope = reader_u8(r);
    if (ret->envelope > ENVELOPE_SSE_C)
        r->failed = true;
    if (ret->envelope && !r->failed) {
        const uint8_t *id = reader_take(r, sizeof ret->kek_id);
        if (id)
            memcpy(ret->kek_id, id, sizeof ret->kek_id);
        ret->kek_version = reader_varint32(r);
    }
    if (ret->envelope > ENVELOPE_SSE_S3 && !r->failed) {
        ret->env = envelope_decode(ret->envelope, r);
        if (ret->env)
            memcpy(ret->env->kek_id, ret->kek_id, sizeof ret->kek_id);
        else
            r->failed = true;
    }
    ret->generation = reader_varint(r);
    return flags;
}

int record_decode(const void *body, size_t len, const void *data, size_t data_len, struct record *ret)
{
    struct reader r = reader_over(body, len);
    struct record rec = {0};
    uint8_t flags = take_fields(&r, &rec);
    bool has_map = flags & FLAG_MAP;
    int error = 0;
    if (r.failed || (data_len && !has_map))
        error = -EBADMSG;
    else if (has_map)
        error = take_map(&r, data, data_len, &rec.map);
    if (error == 0 && !reader_finished(&r))
        error = -EBADMSG;
    if (error == 0 && rec.attrs.packed.failed)
        error = -ENOMEM;
    if (error < 0) {
        record_done(&rec);
        return error;
    }
    *ret = rec;
    return 0;
}

void inode_body_encode(const struct inode_body *b, struct bytes *out)
{
    bytes_put_u8(out, INODE_FORMAT);
    bytes_put_varint(out, b->generation);
    bytes_put_varint(out, b->nlink);
    bytes_put_u8(out, b->dir);
    if (b->dir)
        record_encode(&b->record, out);
}

int inode_body_decode(const void *body, size_t len, struct inode_body *ret)
{
    struct reader r = reader_over(body, len);
    struct inode_body b = {0};
    if (reader_u8(&r) != INODE_FORMAT)
        return -EBADMSG;
    b.generation = reader_varint(&r);
    b.nlink = reader_varint32(&r);
    uint8_t dir = reader_u8(&r);
    if (r.failed || dir > 1 || (!dir && !reader_finished(&r)))
        return -EBADMSG;
    b.dir = dir;
    if (dir) {
        int error = record_decode(r.at, (size_t)(r.end - r.at), NULL, 0, &b.record);
        if (error < 0)
            return error;
    }
    *ret = b;
    return 0;
}
