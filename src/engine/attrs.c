/* SPDX-License-Identifier: GPL-3.0-or-later
 * Named values of a version or directory in one packed buffer, ordered by (kind, name); see record.h.
 *
 * Packed, they cost one allocation a record and are written to the row as they stand. Changing one value rewrites
 * the buffer, which is small: S3's metadata and a handful of attributes. */
#include "engine/record.h"

#include <errno.h>
#include <string.h>

void attrs_done(struct attrs *a)
{
    bytes_done(&a->packed);
}

int attrs_copy(struct attrs *dst, const struct attrs *src)
{
    *dst = (struct attrs){0};
    bytes_put(&dst->packed, src->packed.data, src->packed.len);
    if (!dst->packed.failed)
        return 0;
    attrs_done(dst);
    return -ENOMEM;
}

static bool item_read(struct reader *r, struct attr_item *ret)
{
    if (r->at == r->end)
        return false;
    ret->kind = (enum attr_kind)reader_u8(r);
    ret->name = (const char *)reader_blob(r, &ret->name_len);
    ret->value = reader_blob(r, &ret->len);
    return !r->failed;
}

bool attrs_next(const struct attrs *a, size_t *at, struct attr_item *ret)
{
    if (a->packed.len == *at)
        return false;
    struct reader r = reader_over(a->packed.data + *at, a->packed.len - *at);
    if (!item_read(&r, ret))
        return false;
    *at = (size_t)(r.at - a->packed.data);
    return true;
}

static int name_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int d = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return d ? d : (a_len > b_len) - (a_len < b_len);
}

static int item_order(const struct attr_item *i, enum attr_kind kind, const char *name, size_t name_len)
{
    if (i->kind != kind)
        return i->kind < kind ? -1 : 1;
    return name_order(i->name, i->name_len, name, name_len);
}

bool attrs_valid(const void *packed, size_t len)
{
    struct reader r = reader_over(packed, len);
    struct attr_item last = {0}, item;
    while (item_read(&r, &item)) {
        if (!item.name_len || (last.name && item_order(&last, item.kind, item.name, item.name_len) >= 0))
            return false;
        last = item;
    }
    return reader_finished(&r);
}

/* Where (kind, name) stands or belongs: [*ret_from, *ret_to) of the buffer, empty when it is not there. */
static bool find(const struct attrs *a, enum attr_kind kind, const char *name, size_t name_len, size_t *ret_from,
                 size_t *ret_to, struct attr_item *ret)
{
    size_t at = 0, from = 0;
    struct attr_item item;
    while (attrs_next(a, &at, &item)) {
        int d = item_order(&item, kind, name, name_len);
        if (d >= 0) {
            *ret_from = from;
            *ret_to = d == 0 ? at : from;
            if (d == 0 && ret)
                *ret = item;
            return d == 0;
        }
        from = at;
    }
    *ret_from = *ret_to = from;
    return false;
}

int attrs_get(const struct attrs *a, enum attr_kind kind, const char *name, size_t name_len, const uint8_t **ret,
              size_t *ret_len)
{
    size_t from, to;
    struct attr_item item;
    if (!find(a, kind, name, name_len, &from, &to, &item))
        return -ENODATA;
    *ret = item.value;
    *ret_len = item.len;
    return 0;
}

/* Puts `middle` in the place of [from, to). */
static int replace(struct attrs *a, size_t from, size_t to, const struct bytes *middle)
{
    struct bytes out = {0};
    bytes_put(&out, a->packed.data, from);
    if (middle)
        bytes_put(&out, middle->data, middle->len);
    if (a->packed.len > to)
        bytes_put(&out, a->packed.data + to, a->packed.len - to);
    if (out.failed) {
        bytes_done(&out);
        return -ENOMEM;
    }
    bytes_done(&a->packed);
    a->packed = out;
    return 0;
}

int attrs_set(struct attrs *a, enum attr_kind kind, const char *name, size_t name_len, const void *value, size_t len)
{
    size_t from, to;
    find(a, kind, name, name_len, &from, &to, NULL);
    struct bytes item = {0};
    bytes_put_u8(&item, (uint8_t)kind);
    bytes_put_blob(&item, name, name_len);
    bytes_put_blob(&item, value, len);
    int r = item.failed ? -ENOMEM : replace(a, from, to, &item);
    bytes_done(&item);
    return r;
}

int attrs_remove(struct attrs *a, enum attr_kind kind, const char *name, size_t name_len)
{
    size_t from, to;
    if (!find(a, kind, name, name_len, &from, &to, NULL))
        return -ENODATA;
    return replace(a, from, to, NULL);
}

size_t attrs_bytes(const struct attrs *a, enum attr_kind kind)
{
    size_t at = 0, sum = 0;
    struct attr_item item;
    while (attrs_next(a, &at, &item)) {
        if (item.kind == kind)
            sum += item.name_len + item.len;
    }
    return sum;
}
