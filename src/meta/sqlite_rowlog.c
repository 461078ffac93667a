/* SPDX-License-Identifier: GPL-3.0-or-later
 * Transactions as rows: the changes of a transaction are noted while they are made, as statements with their values, for the
 * row log and for doing them again when SQLite gave up a transaction that holds others, long committed.
 *
 * A statement that changes rows binds through the functions here. One that does not is noticed by sqlite_change(), and its
 * transaction then ends in a commit of SQLite's. */
#include "meta/sqlite.h"

#include <assert.h>
#include <errno.h>

/* What a statement is called on disk: its place in this list. Add at the end, never change. */
static const enum statement rowlog_codes[] = {
    STATEMENT_TREE_PUT,      STATEMENT_TREE_DEL,      STATEMENT_INODE_PUT, STATEMENT_INODE_DEL, STATEMENT_LINK_PUT,
    STATEMENT_LINK_DEL,      STATEMENT_VERSION_PUT,   STATEMENT_VERSION_DEL, STATEMENT_DRAFT_PUT, STATEMENT_DRAFT_DEL,
    STATEMENT_UNSETTLED_PUT, STATEMENT_UNSETTLED_DEL, STATEMENT_VALUE_PUT, STATEMENT_VALUE_DEL,
    STATEMENT_TRAIL_PUT,     STATEMENT_TRAIL_DEL,     STATEMENT_HEAD_PUT,  STATEMENT_HEAD_DEL,
};
enum { ROWLOG_CODES = sizeof rowlog_codes / sizeof rowlog_codes[0] };

enum { VALUE_NUMBER = 1, VALUE_BLOB = 2, VALUE_TEXT = 3 };

sqlite3_stmt *rowlog_statement(struct meta *m, enum statement id)
{
    struct rowlog *log = &m->rows;
    unsigned code = 0;
    while (code < ROWLOG_CODES && rowlog_codes[code] != id)
        code++;
    assert(code < ROWLOG_CODES);
    log->noting = m->statements[id];
    log->values = 0;
    bytes_put_u8(&log->bytes, (uint8_t)code);
    return log->noting;
}

void rowlog_bind_number(struct meta *m, sqlite3_stmt *st, int index, int64_t value)
{
    m->rows.values++;
    bytes_put_u8(&m->rows.bytes, VALUE_NUMBER);
    bytes_put_u64(&m->rows.bytes, (uint64_t)value);
    sqlite3_bind_int64(st, index, value);
}

void rowlog_bind_u64(struct meta *m, sqlite3_stmt *st, int index, uint64_t value)
{
    assert(value <= INT64_MAX);
    rowlog_bind_number(m, st, index, (int64_t)value);
}

void rowlog_bind_span(struct meta *m, sqlite3_stmt *st, int index, struct span value)
{
    m->rows.values++;
    bytes_put_u8(&m->rows.bytes, VALUE_BLOB);
    bytes_put_blob(&m->rows.bytes, value.p, value.len);
    sqlite_bind_span(st, index, value);
}

void rowlog_bind_text(struct meta *m, sqlite3_stmt *st, int index, const char *value)
{
    m->rows.values++;
    bytes_put_u8(&m->rows.bytes, VALUE_TEXT);
    bytes_put_blob(&m->rows.bytes, value, strlen(value));
    sqlite3_bind_text(st, index, value, -1, SQLITE_STATIC);
}

void rowlog_noted(struct meta *m, sqlite3_stmt *st)
{
    struct rowlog *log = &m->rows;
    if (log->noting != st || log->values != sqlite3_bind_parameter_count(st) || log->bytes.failed)
        log->incomplete = true;
    log->noting = NULL;
}

static bool apply_value(struct reader *r, sqlite3_stmt *st, int index)
{
    uint8_t kind = reader_u8(r);
    if (kind == VALUE_NUMBER)
        return sqlite3_bind_int64(st, index, (int64_t)reader_u64(r)) == SQLITE_OK && !r->failed;
    size_t len = 0;
    const uint8_t *p = reader_blob(r, &len);
    if (!p || r->failed)
        return false;
    if (kind == VALUE_TEXT)
        return sqlite3_bind_text(st, index, (const char *)p, (int)len, SQLITE_STATIC) == SQLITE_OK;
    sqlite_bind_span(st, index, span_of(p, len));
    return kind == VALUE_BLOB;
}

int rowlog_apply(struct meta *m, const uint8_t *rows, size_t len)
{
    struct reader r = reader_over(rows, len);
    while (r.at < r.end) {
        uint8_t code = reader_u8(&r);
        if (code >= ROWLOG_CODES)
            return -EIO;
        STATEMENT_SCOPE(st, m, rowlog_codes[code]);
        int count = sqlite3_bind_parameter_count(st);
        for (int index = 1; index <= count; index++)
            if (!apply_value(&r, st, index))
                return -EIO;
        int rc = sqlite3_step(st);
        if (rc != SQLITE_DONE)
            return sqlite_errno(rc);
    }
    return 0;
}
