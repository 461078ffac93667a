/* SPDX-License-Identifier: GPL-3.0-or-later
 * The SQLite metadata engine: opening, transactions, durability, the table of its functions. */
#include "meta/sqlite.h"
#include "util/bytes.h"
#include "util/reason.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char commit_seq_name[] = "commit_seq";

int sqlite_errno(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    default:
        return -EIO;
    }
}

/* ---- transactions ---- */

static int sqlite_run(struct meta *m, enum statement id)
{
    STATEMENT_SCOPE(st, m, id);
    return sqlite_errno(sqlite3_step(st));
}

static int sqlite_begin(struct meta *m)
{
    assert(!m->in_transaction);
    if (m->read_only)
        return -EROFS;
    int r = sqlite_run(m, STATEMENT_BEGIN);
    if (r < 0)
        return r;
    m->in_transaction = true;
    m->wrote = m->failed = false;
    return 0;
}

static void sqlite_rollback(struct meta *m)
{
    assert(m->in_transaction);
    /* SQLite itself rolls back on some errors (disk full, I/O). */
    if (!sqlite3_get_autocommit(m->db))
        sqlite_run(m, STATEMENT_ROLLBACK);
    m->in_transaction = false;
}

static int sqlite_commit(struct meta *m)
{
    assert(m->in_transaction && !m->failed);
    uint64_t seq = m->commit_seq + 1;
    int r = 0;
    if (m->wrote) {
        uint8_t packed[8];
        for (int i = 0; i < 8; i++)
            packed[i] = (uint8_t)(seq >> (56 - 8 * i));
        r = sqlite_value_put(m, commit_seq_name, span_of(packed, sizeof(packed)));
    }
    if (r == 0)
        r = sqlite_run(m, STATEMENT_COMMIT);
    if (r < 0) {
        sqlite_rollback(m);
        return r;
    }
    if (m->wrote)
        __atomic_store_n(&m->commit_seq, seq, __ATOMIC_RELEASE);
    m->in_transaction = false;
    return 0;
}

static uint64_t sqlite_commit_seq(struct meta *m)
{
    return __atomic_load_n(&m->commit_seq, __ATOMIC_ACQUIRE);
}

/* ---- durability ---- */

static int sqlite_sync(struct meta *m)
{
    (void)m;
    return 0;
}

static int sqlite_checkpoint(struct meta *m, bool force)
{
    (void)m;
    (void)force;
    return 0;
}

static uint64_t sqlite_bytes(struct meta *m)
{
    struct stat st;
    return stat(m->path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int sqlite_check(struct meta *m, void (*line)(void *arg, const char *text), void *arg)
{
    sqlite3_stmt *st = NULL;
    int r = sqlite_errno(sqlite3_prepare_v2(m->db, "PRAGMA integrity_check", -1, &st, NULL));
    bool sound = true;
    while (r == 0 && (r = sqlite_step(st)) > 0) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        if (text && strcmp(text, "ok") != 0) {
            line(arg, text);
            sound = false;
        }
        r = 0;
    }
    sqlite3_finalize(st);
    return r == 0 && !sound ? -EIO : r;
}

/* ---- opening and closing ---- */

static void sqlite_close(struct meta *m)
{
    if (!m)
        return;
    if (m->in_transaction)
        sqlite_rollback(m);
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(m->statements[i]);
    sqlite3_close(m->db);
    free(m->held);
    free(m->path);
    free(m);
}

static int open_pragmas(struct meta *m, const struct meta_config *config)
{
    char text[512];
    int reserve = 40;
    if (config->create) {
        sqlite3_file_control(m->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
        snprintf(text, sizeof(text),
                 "PRAGMA page_size=%u; PRAGMA journal_mode=MEMORY; PRAGMA journal_mode=WAL",
                 config->page_size_bytes);
        int rc = sqlite3_exec(m->db, text, NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            return sqlite_errno(rc);
    }
    snprintf(
        text, sizeof(text),
        "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;"
        "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-%llu",
        (unsigned long long)(config->cache_bytes / 1024));
    return sqlite_errno(sqlite3_exec(m->db, text, NULL, NULL, NULL));
}

static int open_statements(struct meta *m)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        int rc = sqlite3_prepare_v3(m->db, sqlite_statement_text[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &m->statements[i], NULL);
        if (rc != SQLITE_OK)
            return sqlite_errno(rc);
    }
    return 0;
}

static int open_commit_seq(struct meta *m)
{
    struct span value;
    int r = sqlite_value_get(m, commit_seq_name, &value);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    struct reader reader = reader_over(value.p, value.len);
    m->commit_seq = reader_u64(&reader);
    return reader_finished(&reader) ? 0 : -EIO;
}

static int open_database(struct meta *m, const struct meta_config *config, struct reason *reason)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    flags |= config->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (config->create)
        flags |= SQLITE_OPEN_CREATE;
    int r = sqlite_errno(sqlite3_open_v2(m->path, &m->db, flags, NULL));
    if (r == 0)
        r = open_pragmas(m, config);
    if (r < 0)
        return reason_fail(reason, -r, "%s cannot be opened: %s", m->path,
                           m->db ? sqlite3_errmsg(m->db) : "no memory");
    r = sqlite_schema_migrate(m->db, config->read_only, reason);
    if (r < 0)
        return r;
    r = open_statements(m);
    if (r == 0)
        r = open_commit_seq(m);
    if (r < 0)
        return reason_fail(reason, -r, "%s cannot be read: %s", m->path, sqlite3_errmsg(m->db));
    return 0;
}

static int sqlite_open(const struct meta_config *config, struct meta **ret, struct reason *reason)
{
    struct meta *m = calloc(1, sizeof(*m));
    if (!m || asprintf(&m->path, "%s/meta.db", config->dir) < 0) {
        free(m);
        return reason_fail(reason, ENOMEM, "out of memory while opening the metadata");
    }
    m->read_only = config->read_only;
    int r;
    if (config->create && access(m->path, F_OK) == 0)
        r = reason_fail(reason, EEXIST, "%s is there already: choose an empty directory", m->path);
    else
        r = open_database(m, config, reason);
    if (r < 0) {
        sqlite_close(m);
        return r;
    }
    *ret = m;
    return 0;
}

const struct meta_ops meta_sqlite_ops = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .sync = sqlite_sync,
    .checkpoint = sqlite_checkpoint,
    .check = sqlite_check,
    .commit_seq = sqlite_commit_seq,
    .bytes = sqlite_bytes,
    .tree_get = sqlite_tree_get,
    .tree_put = sqlite_tree_put,
    .tree_del = sqlite_tree_del,
    .tree_scan = sqlite_tree_scan,
    .inode_get = sqlite_inode_get,
    .inode_put = sqlite_inode_put,
    .inode_del = sqlite_inode_del,
    .link_put = sqlite_link_put,
    .link_del = sqlite_link_del,
    .link_scan = sqlite_link_scan,
    .version_put = sqlite_version_put,
    .version_del = sqlite_version_del,
    .version_get = sqlite_version_get,
    .version_scan = sqlite_version_scan,
    .version_scan_up = sqlite_version_scan_up,
    .version_scan_keys = sqlite_version_scan_keys,
    .version_next_key = sqlite_version_next_key,
    .version_scan_since = sqlite_version_scan_since,
    .version_count = sqlite_version_count,
    .bucket_put = sqlite_bucket_put,
    .bucket_del = sqlite_bucket_del,
    .bucket_scan = sqlite_bucket_scan,
    .kek_put = sqlite_kek_put,
    .kek_del = sqlite_kek_del,
    .kek_scan = sqlite_kek_scan,
    .draft_put = sqlite_draft_put,
    .draft_del = sqlite_draft_del,
    .draft_scan = sqlite_draft_scan,
    .unsettled_put = sqlite_unsettled_put,
    .unsettled_del = sqlite_unsettled_del,
    .unsettled_scan = sqlite_unsettled_scan,
    .value_get = sqlite_value_get,
    .value_put = sqlite_value_put,
};
