/* SPDX-License-Identifier: GPL-3.0-or-later
 * Row functions of the SQLite engine for everything but versions (sqlite_versions.c), and the helpers both
 * use.
 *
 * A row that is handed out is copied first and the statement reset, so no read transaction outlives a call
 * and the log can always be reset by the next write. Scans hand out SQLite's own memory, good for the
 * callback. */
#include "meta/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { HELD_MIN_BYTES = 16 * 1024 };

void sqlite_bind_span(sqlite3_stmt *st, int index, struct span value)
{
    /* A null pointer would bind NULL, which is not the empty key. */
    sqlite3_bind_blob64(st, index, value.p ? (const void *)value.p : "", value.len, SQLITE_STATIC);
}

void sqlite_bind_u64(sqlite3_stmt *st, int index, uint64_t value)
{
    assert(value <= INT64_MAX);
    sqlite3_bind_int64(st, index, (int64_t)value);
}

struct span sqlite_column_span(sqlite3_stmt *st, int column)
{
    const void *p = sqlite3_column_blob(st, column);
    return span_of(p ? p : "", p ? (size_t)sqlite3_column_bytes(st, column) : 0);
}

uint64_t sqlite_column_u64(sqlite3_stmt *st, int column)
{
    return (uint64_t)sqlite3_column_int64(st, column);
}

/* On some errors SQLite ends the transaction by itself, also on those of a mere read; what is written after
 * that would be on its own. */
static int statement_fail(struct meta *m, int rc)
{
    m->failed |= m->in_transaction;
    if (!m->in_transaction)
        sqlite_mend(m);
    return sqlite_errno(rc);
}

int sqlite_step(struct meta *m, sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : statement_fail(m, rc);
}

int sqlite_change(struct meta *m, sqlite3_stmt *st)
{
    assert(m->in_transaction);
    if (m->failed)
        return -EIO;
    m->wrote = true;
    rowlog_noted(m, st);
    int rc = sqlite3_step(st);
    return rc == SQLITE_DONE ? 0 : statement_fail(m, rc);
}

static uint8_t *hold_one(uint8_t *to, struct span *s)
{
    if (!s)
        return to;
    memcpy(to, s->p, s->len);
    s->p = to;
    return to + s->len;
}

int sqlite_hold(struct meta *m, struct span *a, struct span *b, struct span *c)
{
    size_t need = a->len + (b ? b->len : 0) + (c ? c->len : 0);
    if (need > m->held_cap) {
        size_t cap = need > HELD_MIN_BYTES ? need : HELD_MIN_BYTES;
        uint8_t *fresh = realloc(m->held, cap);
        if (!fresh)
            return -ENOMEM;
        m->held = fresh;
        m->held_cap = cap;
    }
    hold_one(hold_one(hold_one(m->held, a), b), c);
    return 0;
}

/* ---- tree ---- */

int sqlite_tree_get(struct meta *m, uint32_t bucket, struct span key, struct tree_row *ret)
{
    STATEMENT_SCOPE(st, m, STATEMENT_TREE_GET);
    sqlite3_bind_int64(st, 1, bucket);
    sqlite_bind_span(st, 2, key);
    int r = sqlite_step(m, st);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    struct tree_row row = {.bucket = bucket,
                           .key = key,
                           .ino = sqlite_column_u64(st, 0),
                           .kind = (uint8_t)sqlite3_column_int(st, 1)};
    r = sqlite_hold(m, &row.key, NULL, NULL);
    if (r == 0)
        *ret = row;
    return r;
}

int sqlite_tree_put(struct meta *m, const struct tree_row *row)
{
    CHANGE_SCOPE(st, m, STATEMENT_TREE_PUT);
    rowlog_bind_number(m, st, 1, row->bucket);
    rowlog_bind_span(m, st, 2, row->key);
    rowlog_bind_u64(m, st, 3, row->ino);
    rowlog_bind_number(m, st, 4, row->kind);
    return sqlite_change(m, st);
}

int sqlite_tree_del(struct meta *m, uint32_t bucket, struct span key)
{
    CHANGE_SCOPE(st, m, STATEMENT_TREE_DEL);
    rowlog_bind_number(m, st, 1, bucket);
    rowlog_bind_span(m, st, 2, key);
    return sqlite_change(m, st);
}

static int tree_rows(struct meta *m, sqlite3_stmt *st, uint32_t bucket, struct span from, meta_tree_fn *fn, void *arg)
{
    sqlite3_bind_int64(st, 1, bucket);
    sqlite_bind_span(st, 2, from);
    int r;
    while ((r = sqlite_step(m, st)) > 0) {
        struct tree_row row = {.bucket = bucket,
                               .key = sqlite_column_span(st, 0),
                               .ino = sqlite_column_u64(st, 1),
                               .kind = (uint8_t)sqlite3_column_int(st, 2)};
        r = fn(arg, &row);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return r;
}

int sqlite_tree_scan(struct meta *m, uint32_t bucket, struct span from, bool inclusive, meta_tree_fn *fn,
                     void *arg)
{
    STATEMENT_SCOPE(st, m, inclusive ? STATEMENT_TREE_SCAN : STATEMENT_TREE_SCAN_AFTER);
    return tree_rows(m, st, bucket, from, fn, arg);
}

int sqlite_tree_scan_dirs(struct meta *m, uint32_t bucket, struct span from, bool inclusive, meta_tree_fn *fn,
                          void *arg)
{
    STATEMENT_SCOPE(st, m, inclusive ? STATEMENT_TREE_SCAN_DIRS : STATEMENT_TREE_SCAN_DIRS_AFTER);
    return tree_rows(m, st, bucket, from, fn, arg);
}

/* ---- inodes and their further names ---- */

int sqlite_inode_get(struct meta *m, uint64_t ino, struct inode_row *ret)
{
    STATEMENT_SCOPE(st, m, STATEMENT_INODE_GET);
    sqlite_bind_u64(st, 1, ino);
    int r = sqlite_step(m, st);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    struct inode_row row = {.ino = ino,
                            .bucket = (uint32_t)sqlite3_column_int64(st, 0),
                            .key = sqlite_column_span(st, 1),
                            .body = sqlite_column_span(st, 2)};
    r = sqlite_hold(m, &row.key, &row.body, NULL);
    if (r == 0)
        *ret = row;
    return r;
}

int sqlite_inode_put(struct meta *m, const struct inode_row *row)
{
    CHANGE_SCOPE(st, m, STATEMENT_INODE_PUT);
    rowlog_bind_u64(m, st, 1, row->ino);
    rowlog_bind_number(m, st, 2, row->bucket);
    rowlog_bind_span(m, st, 3, row->key);
    rowlog_bind_span(m, st, 4, row->body);
    return sqlite_change(m, st);
}

int sqlite_inode_del(struct meta *m, uint64_t ino)
{
    CHANGE_SCOPE(st, m, STATEMENT_INODE_DEL);
    rowlog_bind_u64(m, st, 1, ino);
    return sqlite_change(m, st);
}

static int link_change(struct meta *m, enum statement id, uint64_t ino, uint32_t bucket, struct span key)
{
    CHANGE_SCOPE(st, m, id);
    rowlog_bind_u64(m, st, 1, ino);
    rowlog_bind_number(m, st, 2, bucket);
    rowlog_bind_span(m, st, 3, key);
    return sqlite_change(m, st);
}

int sqlite_link_put(struct meta *m, uint64_t ino, uint32_t bucket, struct span key)
{
    return link_change(m, STATEMENT_LINK_PUT, ino, bucket, key);
}

int sqlite_link_del(struct meta *m, uint64_t ino, uint32_t bucket, struct span key)
{
    return link_change(m, STATEMENT_LINK_DEL, ino, bucket, key);
}

int sqlite_link_scan(struct meta *m, uint64_t ino, meta_link_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, STATEMENT_LINK_SCAN);
    sqlite_bind_u64(st, 1, ino);
    int r;
    while ((r = sqlite_step(m, st)) > 0) {
        r = fn(arg, (uint32_t)sqlite3_column_int64(st, 0), sqlite_column_span(st, 1));
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return r;
}

/* ---- buckets and their keys ---- */

int sqlite_bucket_put(struct meta *m, const struct bucket_row *row)
{
    STATEMENT_SCOPE(st, m, STATEMENT_BUCKET_PUT);
    sqlite3_bind_int64(st, 1, row->bucket);
    sqlite_bind_span(st, 2, row->name);
    sqlite_bind_span(st, 3, row->body);
    return sqlite_change(m, st);
}

int sqlite_bucket_del(struct meta *m, uint32_t bucket)
{
    STATEMENT_SCOPE(st, m, STATEMENT_BUCKET_DEL);
    sqlite3_bind_int64(st, 1, bucket);
    return sqlite_change(m, st);
}

int sqlite_bucket_scan(struct meta *m, meta_bucket_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, STATEMENT_BUCKET_SCAN);
    int r;
    while ((r = sqlite_step(m, st)) > 0) {
        struct bucket_row row = {.bucket = (uint32_t)sqlite3_column_int64(st, 0),
                                 .name = sqlite_column_span(st, 1),
                                 .body = sqlite_column_span(st, 2)};
        r = fn(arg, &row);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return r;
}

int sqlite_kek_put(struct meta *m, const struct kek_row *row)
{
    STATEMENT_SCOPE(st, m, STATEMENT_KEK_PUT);
    sqlite_bind_span(st, 1, span_of(row->id, sizeof(row->id)));
    sqlite3_bind_int64(st, 2, row->version);
    sqlite3_bind_int(st, 3, row->kind);
    sqlite_bind_u64(st, 4, row->epoch);
    sqlite_bind_span(st, 5, span_of(row->bucket, sizeof(row->bucket)));
    sqlite_bind_span(st, 6, span_of(row->wrapped, sizeof(row->wrapped)));
    return sqlite_change(m, st);
}

int sqlite_kek_del(struct meta *m, const uint8_t id[16], uint32_t version)
{
    STATEMENT_SCOPE(st, m, STATEMENT_KEK_DEL);
    sqlite_bind_span(st, 1, span_of(id, 16));
    sqlite3_bind_int64(st, 2, version);
    return sqlite_change(m, st);
}

/* Copies a column of fixed length; another length is a damaged row. */
static int column_exact(sqlite3_stmt *st, int column, uint8_t *to, size_t len)
{
    struct span s = sqlite_column_span(st, column);
    if (s.len != len)
        return -EIO;
    memcpy(to, s.p, len);
    return 0;
}

int sqlite_kek_scan(struct meta *m, meta_kek_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, STATEMENT_KEK_SCAN);
    int r;
    while ((r = sqlite_step(m, st)) > 0) {
        struct kek_row row = {.version = (uint32_t)sqlite3_column_int64(st, 1),
                              .kind = (uint8_t)sqlite3_column_int(st, 2),
                              .epoch = sqlite_column_u64(st, 3)};
        if (column_exact(st, 0, row.id, sizeof(row.id)) < 0 ||
            column_exact(st, 4, row.bucket, sizeof(row.bucket)) < 0 ||
            column_exact(st, 5, row.wrapped, sizeof(row.wrapped)) < 0)
            return -EIO;
        r = fn(arg, &row);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return r;
}

/* ---- drafts, settling, values ---- */

int sqlite_draft_put(struct meta *m, const struct draft_row *row)
{
    CHANGE_SCOPE(st, m, STATEMENT_DRAFT_PUT);
    rowlog_bind_u64(m, st, 1, row->ino);
    rowlog_bind_number(m, st, 2, row->part);
    rowlog_bind_span(m, st, 3, row->body);
    return sqlite_change(m, st);
}

int sqlite_draft_del(struct meta *m, uint64_t ino)
{
    CHANGE_SCOPE(st, m, STATEMENT_DRAFT_DEL);
    rowlog_bind_u64(m, st, 1, ino);
    return sqlite_change(m, st);
}

int sqlite_draft_scan(struct meta *m, meta_draft_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, STATEMENT_DRAFT_SCAN);
    int r;
    while ((r = sqlite_step(m, st)) > 0) {
        struct draft_row row = {.ino = sqlite_column_u64(st, 0),
                                .part = (uint32_t)sqlite3_column_int64(st, 1),
                                .body = sqlite_column_span(st, 2)};
        r = fn(arg, &row);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return r;
}

static int unsettled_change(struct meta *m, enum statement id, const struct unsettled_row *row)
{
    CHANGE_SCOPE(st, m, id);
    rowlog_bind_number(m, st, 1, row->bucket);
    rowlog_bind_span(m, st, 2, row->key);
    rowlog_bind_u64(m, st, 3, row->seq);
    return sqlite_change(m, st);
}

int sqlite_unsettled_put(struct meta *m, const struct unsettled_row *row)
{
    return unsettled_change(m, STATEMENT_UNSETTLED_PUT, row);
}

int sqlite_unsettled_del(struct meta *m, const struct unsettled_row *row)
{
    return unsettled_change(m, STATEMENT_UNSETTLED_DEL, row);
}

int sqlite_unsettled_scan(struct meta *m, meta_unsettled_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, STATEMENT_UNSETTLED_SCAN);
    int r;
    while ((r = sqlite_step(m, st)) > 0) {
        struct unsettled_row row = {.bucket = (uint32_t)sqlite3_column_int64(st, 0),
                                    .key = sqlite_column_span(st, 1),
                                    .seq = sqlite_column_u64(st, 2)};
        r = fn(arg, &row);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return r;
}

static enum statement trail_statement(enum meta_trail which, enum statement records)
{
    return records + (which == TRAIL_HEADS ? STATEMENT_HEAD_PUT - STATEMENT_TRAIL_PUT : 0);
}

int sqlite_trail_put(struct meta *m, enum meta_trail which, const struct trail_row *row)
{
    CHANGE_SCOPE(st, m, trail_statement(which, STATEMENT_TRAIL_PUT));
    rowlog_bind_u64(m, st, 1, row->seq);
    rowlog_bind_u64(m, st, 2, row->last);
    rowlog_bind_span(m, st, 3, row->body);
    return sqlite_change(m, st);
}

int sqlite_trail_del(struct meta *m, enum meta_trail which, uint64_t from, uint64_t to)
{
    CHANGE_SCOPE(st, m, trail_statement(which, STATEMENT_TRAIL_DEL));
    rowlog_bind_u64(m, st, 1, from);
    rowlog_bind_u64(m, st, 2, to);
    return sqlite_change(m, st);
}

int sqlite_trail_scan(struct meta *m, enum meta_trail which, uint64_t from, bool down, meta_trail_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, trail_statement(which, down ? STATEMENT_TRAIL_SCAN_DOWN : STATEMENT_TRAIL_SCAN));
    sqlite_bind_u64(st, 1, from > INT64_MAX ? INT64_MAX : from);
    int r;
    while ((r = sqlite_step(m, st)) > 0) {
        struct trail_row row = {
            .seq = sqlite_column_u64(st, 0), .last = sqlite_column_u64(st, 1), .body = sqlite_column_span(st, 2)};
        r = fn(arg, &row);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return r;
}

int sqlite_value_get(struct meta *m, const char *name, struct span *ret)
{
    STATEMENT_SCOPE(st, m, STATEMENT_VALUE_GET);
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    int r = sqlite_step(m, st);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    struct span value = sqlite_column_span(st, 0);
    r = sqlite_hold(m, &value, NULL, NULL);
    if (r == 0)
        *ret = value;
    return r;
}

int sqlite_value_put(struct meta *m, const char *name, struct span value)
{
    CHANGE_SCOPE(st, m, STATEMENT_VALUE_PUT);
    rowlog_bind_text(m, st, 1, name);
    rowlog_bind_span(m, st, 2, value);
    return sqlite_change(m, st);
}

int sqlite_value_del(struct meta *m, const char *name)
{
    CHANGE_SCOPE(st, m, STATEMENT_VALUE_DEL);
    rowlog_bind_text(m, st, 1, name);
    return sqlite_change(m, st);
}

int sqlite_value_scan(struct meta *m, const char *prefix, meta_value_fn *fn, void *arg)
{
    STATEMENT_SCOPE(st, m, STATEMENT_VALUE_SCAN);
    sqlite3_bind_text(st, 1, prefix, -1, SQLITE_STATIC);
    int r;
    while ((r = sqlite_step(m, st)) > 0) {
        const char *name = (const char *)sqlite3_column_text(st, 0);
        if (!name || strncmp(name, prefix, strlen(prefix)) != 0)
            return name ? 0 : -ENOMEM;
        r = fn(arg, name, sqlite_column_span(st, 1));
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return r;
}
