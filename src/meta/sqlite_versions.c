/* SPDX-License-Identifier: GPL-3.0-or-later
 * Row functions of the SQLite engine for versions, the table ordered by (bucket, key, seq descending). */
#include "meta/sqlite.h"
#include "util/limits.h"

#include <errno.h>
#include <string.h>

enum { KEY_MAX_BYTES = 4096 }; /* what meta_ops.version_next_key promises its caller's buffer holds */

/* Columns in the order of VERSION_COLUMNS in sqlite_schema.c. */
static int version_from_columns(sqlite3_stmt *st, struct version_row *ret)
{
    struct span id = sqlite_column_span(st, 3);
    if (id.len != sizeof(ret->id))
        return -EIO;
    *ret = (struct version_row){
        .bucket = (uint32_t)sqlite3_column_int64(st, 0),
        .key = sqlite_column_span(st, 1),
        .seq = sqlite_column_u64(st, 2),
        .publish_ns = sqlite3_column_int64(st, 4),
        .flags = (uint32_t)sqlite3_column_int64(st, 5),
        .ino = sqlite_column_u64(st, 6),
        .lock_mode = (uint8_t)sqlite3_column_int(st, 7),
        .lock_until_ms = sqlite3_column_int64(st, 8),
        .lock_hold_s = sqlite3_column_int64(st, 9),
        .legal_hold = (uint8_t)sqlite3_column_int(st, 10),
        .body = sqlite_column_span(st, 11),
        .data = sqlite_column_span(st, 12),
    };
    memcpy(ret->id, id.p, sizeof(ret->id));
    return 0;
}

static int version_rows(struct meta *m, sqlite3_stmt *st, meta_version_fn *fn, void *arg)
{
    int r;
    while ((r = sqlite_step(m, st)) > 0) {
        struct version_row row;
        r = version_from_columns(st, &row);
        if (r == 0)
            r = fn(arg, &row);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return r;
}

static void bind_version_key(sqlite3_stmt *st, uint32_t bucket, struct span key)
{
    sqlite3_bind_int64(st, 1, bucket);
    sqlite_bind_span(st, 2, key);
}

int sqlite_version_put(struct meta *m, const struct version_row *row)
{
    CHANGE_SCOPE(st, m, STATEMENT_VERSION_PUT);
    rowlog_bind_number(m, st, 1, row->bucket);
    rowlog_bind_span(m, st, 2, row->key);
    rowlog_bind_u64(m, st, 3, row->seq);
    rowlog_bind_span(m, st, 4, span_of(row->id, sizeof(row->id)));
    rowlog_bind_number(m, st, 5, row->publish_ns);
    rowlog_bind_number(m, st, 6, row->flags);
    rowlog_bind_u64(m, st, 7, row->ino);
    rowlog_bind_number(m, st, 8, row->lock_mode);
    rowlog_bind_number(m, st, 9, row->lock_until_ms);
    rowlog_bind_number(m, st, 10, row->lock_hold_s);
    rowlog_bind_number(m, st, 11, row->legal_hold);
    rowlog_bind_span(m, st, 12, row->body);
    rowlog_bind_span(m, st, 13, row->data);
    return sqlite_change(m, st);
}

int sqlite_version_del(struct meta *m, uint32_t bucket, struct span key, uint64_t seq)
{
    CHANGE_SCOPE(st, m, STATEMENT_VERSION_DEL);
    rowlog_bind_number(m, st, 1, bucket);
    rowlog_bind_span(m, st, 2, key);
    rowlog_bind_u64(m, st, 3, seq);
    return sqlite_change(m, st);
}

int sqlite_version_get(struct meta *m, uint32_t bucket, struct span key, uint64_t seq,
                       struct version_row *ret)
{
    STATEMENT_SCOPE(st, m, STATEMENT_VERSION_GET);
    bind_version_key(st, bucket, key);
    sqlite_bind_u64(st, 3, seq);
    int r = sqlite_step(m, st);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    struct version_row row;
    r = version_from_columns(st, &row);
    if (r == 0)
        r = sqlite_hold(m, &row.key, &row.body, &row.data);
    if (r == 0)
        *ret = row;
    return r;
}

int sqlite_version_scan(struct meta *m, uint32_t bucket, struct span key, uint64_t from_seq,
                        meta_version_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, STATEMENT_VERSION_SCAN);
    bind_version_key(st, bucket, key);
    sqlite_bind_u64(st, 3, from_seq > INT64_MAX ? INT64_MAX : from_seq);
    return version_rows(m, st, fn, arg);
}

int sqlite_version_scan_up(struct meta *m, uint32_t bucket, struct span key, uint64_t after_seq,
                           meta_version_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, STATEMENT_VERSION_SCAN_UP);
    bind_version_key(st, bucket, key);
    sqlite_bind_u64(st, 3, after_seq > INT64_MAX ? INT64_MAX : after_seq);
    return version_rows(m, st, fn, arg);
}

int sqlite_version_scan_keys(struct meta *m, uint32_t bucket, struct span from, bool inclusive,
                             meta_version_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, inclusive ? STATEMENT_VERSION_SCAN_KEYS : STATEMENT_VERSION_SCAN_KEYS_AFTER);
    bind_version_key(st, bucket, from);
    return version_rows(m, st, fn, arg);
}

/* To pass a few rows of a key costs less than to seek behind it. */
enum { HEADS_PASSED_MAX = 16 };

/* META_SKIP_KEY: the key in `skip` has more rows than are worth passing. */
static int version_heads(struct meta *m, sqlite3_stmt *st, uint32_t bucket, meta_version_fn *fn, void *arg,
                         uint8_t *skip, struct span *ret_skip)
{
    struct version_row row = {.bucket = bucket};
    unsigned passed = 0; /* of the key in `skip` */
    *ret_skip = (struct span){0};
    int r;
    while ((r = sqlite_step(m, st)) > 0) {
        row.key = sqlite_column_span(st, 0);
        if (ret_skip->p && row.key.len == ret_skip->len && !memcmp(row.key.p, skip, row.key.len)) {
            if (++passed >= HEADS_PASSED_MAX)
                return META_SKIP_KEY;
            continue;
        }
        row.seq = sqlite_column_u64(st, 1);
        row.publish_ns = sqlite3_column_int64(st, 2);
        row.flags = (uint32_t)sqlite3_column_int(st, 3);
        row.ino = sqlite_column_u64(st, 4);
        r = fn(arg, &row);
        if (r == META_SKIP_KEY && row.key.len <= LIMIT_KEY_BYTES) {
            memcpy(skip, row.key.p, row.key.len);
            *ret_skip = span_of(skip, row.key.len);
            passed = 0;
        } else if (r != 0) {
            return r < 0 ? r : 0;
        }
    }
    return r;
}

int sqlite_version_scan_heads(struct meta *m, uint32_t bucket, struct span from, bool inclusive, int64_t until_ns,
                              meta_version_fn *fn, void *arg)
{
    uint8_t skip[LIMIT_KEY_BYTES], begin[LIMIT_KEY_BYTES]; /* a bound key must stay as it is while its statement runs */
    struct span behind;
    int r;
    do {
        STATEMENT_SCOPE(st, m, inclusive ? STATEMENT_VERSION_SCAN_HEADS : STATEMENT_VERSION_SCAN_HEADS_AFTER);
        bind_version_key(st, bucket, from);
        sqlite3_bind_int64(st, 3, until_ns);
        r = version_heads(m, st, bucket, fn, arg, skip, &behind);
        if (r == META_SKIP_KEY) {
            memcpy(begin, behind.p, behind.len);
            from = span_of(begin, behind.len);
            inclusive = false;
        }
    } while (r == META_SKIP_KEY);
    return r;
}

int sqlite_version_next_key(struct meta *m, uint32_t bucket, struct span from, bool inclusive, uint8_t *buf,
                            size_t *ret_len)
{
    STATEMENT_SCOPE(st, m, inclusive ? STATEMENT_VERSION_NEXT_KEY : STATEMENT_VERSION_NEXT_KEY_AFTER);
    bind_version_key(st, bucket, from);
    int r = sqlite_step(m, st);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    struct span key = sqlite_column_span(st, 0);
    if (key.len > KEY_MAX_BYTES)
        return -EIO;
    memcpy(buf, key.p, key.len);
    *ret_len = key.len;
    return 0;
}

int sqlite_version_scan_since(struct meta *m, uint64_t after_seq, meta_version_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, STATEMENT_VERSION_SCAN_SINCE);
    sqlite_bind_u64(st, 1, after_seq > INT64_MAX ? INT64_MAX : after_seq);
    return version_rows(m, st, fn, arg);
}

int sqlite_version_count(struct meta *m, uint32_t bucket, uint64_t *ret_objects, uint64_t *ret_markers)
{
    STATEMENT_SCOPE(st, m, STATEMENT_VERSION_COUNT);
    sqlite3_bind_int64(st, 1, bucket);
    int r = sqlite_step(m, st);
    if (r < 0)
        return r;
    *ret_objects = sqlite_column_u64(st, 0);
    *ret_markers = sqlite_column_u64(st, 1);
    return 0;
}
