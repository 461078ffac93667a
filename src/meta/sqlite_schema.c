/* SPDX-License-Identifier: GPL-3.0-or-later
 * All SQL of the SQLite engine: the numbered migrations of the schema, and the text of each prepared
 * statement.
 *
 * Keys are blobs, so SQLite orders them as memcmp does. Every table but the smallest ones is WITHOUT ROWID: a
 * look-up is one descent of one tree, and a REPLACE without secondary indexes is one insertion. */
#include "meta/sqlite.h"
#include "util/reason.h"

#include <errno.h>
#include <stdio.h>

/* Migration i brings user_version from i to i + 1. Never change one that was released; add the next. In
 * `version` the inline content stands last, so that a row's other columns are read without following its
 * overflow pages. */
static const char *const sqlite_migrations[] = {
    "CREATE TABLE tree (bucket INTEGER NOT NULL, key BLOB NOT NULL, ino INTEGER NOT NULL, kind INTEGER NOT "
    "NULL,"
    " PRIMARY KEY (bucket, key)) WITHOUT ROWID;"
    "CREATE TABLE inode (ino INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, body BLOB NOT "
    "NULL);"
    "CREATE TABLE link (ino INTEGER NOT NULL, bucket INTEGER NOT NULL, key BLOB NOT NULL,"
    " PRIMARY KEY (ino, bucket, key)) WITHOUT ROWID;"
    "CREATE TABLE version (bucket INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, id BLOB NOT "
    "NULL,"
    " publish_ns INTEGER NOT NULL, flags INTEGER NOT NULL, ino INTEGER NOT NULL, lock_mode INTEGER NOT NULL,"
    " lock_until_ms INTEGER NOT NULL, lock_hold_s INTEGER NOT NULL, legal_hold INTEGER NOT NULL, body BLOB "
    "NOT NULL,"
    " data BLOB NOT NULL, PRIMARY KEY (bucket, key, seq DESC)) WITHOUT ROWID;"
    /* What a listing of the past reads: a tenth of the pages (doc/decisions/listing-the-past.md). */
    "CREATE INDEX version_head ON version (bucket, key, seq DESC, publish_ns, flags, ino);"
    "CREATE TABLE bucket (bucket INTEGER PRIMARY KEY, name BLOB NOT NULL, body BLOB NOT NULL);"
    "CREATE TABLE kek (id BLOB NOT NULL, version INTEGER NOT NULL, kind INTEGER NOT NULL, epoch INTEGER NOT "
    "NULL,"
    " bucket BLOB NOT NULL, wrapped BLOB NOT NULL, PRIMARY KEY (id, version)) WITHOUT ROWID;"
    "CREATE TABLE draft (ino INTEGER NOT NULL, part INTEGER NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY (ino, part)) WITHOUT ROWID;"
    "CREATE TABLE unsettled (bucket INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL,"
    " PRIMARY KEY (bucket, key, seq)) WITHOUT ROWID;"
    "CREATE TABLE value (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;",
    /* The audit trail grows at its end: a rowid is the cheapest key for that. */
    ("CREATE TABLE trail (seq INTEGER PRIMARY KEY, last INTEGER NOT NULL, body BLOB NOT NULL);"
     "CREATE TABLE trail_head (seq INTEGER PRIMARY KEY, last INTEGER NOT NULL, body BLOB NOT NULL);"),
    /* Directories alone (kind 2), so that a listing of the past does not pass every live object. */
    "CREATE INDEX tree_dir ON tree (bucket, key) WHERE kind = 2;",
};

enum { SCHEMA_NEWEST = sizeof(sqlite_migrations) / sizeof(sqlite_migrations[0]) };

#define VERSION_COLUMNS                                                                                      \
    "bucket, key, seq, id, publish_ns, flags, ino, lock_mode, lock_until_ms, lock_hold_s, legal_hold, "      \
    "body, data"

/* What a listing needs; every column costs each row. */
#define VERSION_HEAD_COLUMNS "key, seq, publish_ns, flags, ino"

const char *const sqlite_statement_text[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",

    [STATEMENT_TREE_GET] = "SELECT ino, kind FROM tree WHERE bucket = ?1 AND key = ?2",
    /* Not REPLACE: with an index that would be a deletion and an insertion. */
    [STATEMENT_TREE_PUT] = "INSERT INTO tree (bucket, key, ino, kind) VALUES (?1, ?2, ?3, ?4)"
                           " ON CONFLICT (bucket, key) DO UPDATE SET ino = ?3, kind = ?4",
    [STATEMENT_TREE_DEL] = "DELETE FROM tree WHERE bucket = ?1 AND key = ?2",
    [STATEMENT_TREE_SCAN] = "SELECT key, ino, kind FROM tree WHERE bucket = ?1 AND key >= ?2 ORDER BY key",
    [STATEMENT_TREE_SCAN_AFTER] =
        "SELECT key, ino, kind FROM tree WHERE bucket = ?1 AND key > ?2 ORDER BY key",
    [STATEMENT_TREE_SCAN_DIRS] = "SELECT key, ino, kind FROM tree INDEXED BY tree_dir"
                                 " WHERE bucket = ?1 AND key >= ?2 AND kind = 2 ORDER BY key",
    [STATEMENT_TREE_SCAN_DIRS_AFTER] = "SELECT key, ino, kind FROM tree INDEXED BY tree_dir"
                                       " WHERE bucket = ?1 AND key > ?2 AND kind = 2 ORDER BY key",

    [STATEMENT_INODE_GET] = "SELECT bucket, key, body FROM inode WHERE ino = ?1",
    [STATEMENT_INODE_PUT] = "REPLACE INTO inode (ino, bucket, key, body) VALUES (?1, ?2, ?3, ?4)",
    [STATEMENT_INODE_DEL] = "DELETE FROM inode WHERE ino = ?1",

    [STATEMENT_LINK_PUT] = "REPLACE INTO link (ino, bucket, key) VALUES (?1, ?2, ?3)",
    [STATEMENT_LINK_DEL] = "DELETE FROM link WHERE ino = ?1 AND bucket = ?2 AND key = ?3",
    [STATEMENT_LINK_SCAN] = "SELECT bucket, key FROM link WHERE ino = ?1 ORDER BY bucket, key",

    [STATEMENT_VERSION_PUT] = "REPLACE INTO version (" VERSION_COLUMNS
                              ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [STATEMENT_VERSION_DEL] = "DELETE FROM version WHERE bucket = ?1 AND key = ?2 AND seq = ?3",
    [STATEMENT_VERSION_GET] =
        "SELECT " VERSION_COLUMNS " FROM version WHERE bucket = ?1 AND key = ?2 AND seq = ?3",
    [STATEMENT_VERSION_SCAN] = "SELECT " VERSION_COLUMNS
                               " FROM version WHERE bucket = ?1 AND key = ?2 AND seq <= ?3 ORDER BY seq DESC",
    [STATEMENT_VERSION_SCAN_UP] =
        "SELECT " VERSION_COLUMNS " FROM version WHERE bucket = ?1 AND key = ?2 AND seq > ?3 ORDER BY seq",
    [STATEMENT_VERSION_SCAN_KEYS] =
        "SELECT " VERSION_COLUMNS " FROM version WHERE bucket = ?1 AND key >= ?2 ORDER BY key, seq DESC",
    [STATEMENT_VERSION_SCAN_KEYS_AFTER] =
        "SELECT " VERSION_COLUMNS " FROM version WHERE bucket = ?1 AND key > ?2 ORDER BY key, seq DESC",
    [STATEMENT_VERSION_SCAN_HEADS] =
        "SELECT " VERSION_HEAD_COLUMNS " FROM version INDEXED BY version_head"
        " WHERE bucket = ?1 AND key >= ?2 AND publish_ns <= ?3 ORDER BY key, seq DESC",
    [STATEMENT_VERSION_SCAN_HEADS_AFTER] =
        "SELECT " VERSION_HEAD_COLUMNS " FROM version INDEXED BY version_head"
        " WHERE bucket = ?1 AND key > ?2 AND publish_ns <= ?3 ORDER BY key, seq DESC",
    [STATEMENT_VERSION_NEXT_KEY] =
        "SELECT key FROM version WHERE bucket = ?1 AND key >= ?2 ORDER BY key LIMIT 1",
    [STATEMENT_VERSION_NEXT_KEY_AFTER] =
        "SELECT key FROM version WHERE bucket = ?1 AND key > ?2 ORDER BY key LIMIT 1",
    /* No index on seq: it would cost every publish a page, and this runs only after an unclean stop. */
    [STATEMENT_VERSION_SCAN_SINCE] = "SELECT " VERSION_COLUMNS " FROM version WHERE seq > ?1",
    [STATEMENT_VERSION_COUNT] =
        "SELECT count(*) - total(flags & 1), total(flags & 1) FROM version WHERE bucket = ?1 AND flags & 32 = 0",

    [STATEMENT_BUCKET_PUT] = "REPLACE INTO bucket (bucket, name, body) VALUES (?1, ?2, ?3)",
    [STATEMENT_BUCKET_DEL] = "DELETE FROM bucket WHERE bucket = ?1",
    [STATEMENT_BUCKET_SCAN] = "SELECT bucket, name, body FROM bucket ORDER BY name",

    [STATEMENT_KEK_PUT] =
        "REPLACE INTO kek (id, version, kind, epoch, bucket, wrapped) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [STATEMENT_KEK_DEL] = "DELETE FROM kek WHERE id = ?1 AND version = ?2",
    [STATEMENT_KEK_SCAN] = "SELECT id, version, kind, epoch, bucket, wrapped FROM kek ORDER BY id, version",

    [STATEMENT_DRAFT_PUT] = "REPLACE INTO draft (ino, part, body) VALUES (?1, ?2, ?3)",
    [STATEMENT_DRAFT_DEL] = "DELETE FROM draft WHERE ino = ?1",
    [STATEMENT_DRAFT_SCAN] = "SELECT ino, part, body FROM draft ORDER BY ino, part",

    [STATEMENT_UNSETTLED_PUT] = "REPLACE INTO unsettled (bucket, key, seq) VALUES (?1, ?2, ?3)",
    [STATEMENT_UNSETTLED_DEL] = "DELETE FROM unsettled WHERE bucket = ?1 AND key = ?2 AND seq = ?3",
    [STATEMENT_UNSETTLED_SCAN] = "SELECT bucket, key, seq FROM unsettled ORDER BY bucket, key, seq",

    [STATEMENT_TRAIL_PUT] = "REPLACE INTO trail (seq, last, body) VALUES (?1, ?2, ?3)",
    [STATEMENT_TRAIL_DEL] = "DELETE FROM trail WHERE seq BETWEEN ?1 AND ?2",
    [STATEMENT_TRAIL_SCAN] = "SELECT seq, last, body FROM trail WHERE seq >= ?1 ORDER BY seq",
    [STATEMENT_TRAIL_SCAN_DOWN] = "SELECT seq, last, body FROM trail WHERE seq <= ?1 ORDER BY seq DESC",
    [STATEMENT_HEAD_PUT] = "REPLACE INTO trail_head (seq, last, body) VALUES (?1, ?2, ?3)",
    [STATEMENT_HEAD_DEL] = "DELETE FROM trail_head WHERE seq BETWEEN ?1 AND ?2",
    [STATEMENT_HEAD_SCAN] = "SELECT seq, last, body FROM trail_head WHERE seq >= ?1 ORDER BY seq",
    [STATEMENT_HEAD_SCAN_DOWN] = "SELECT seq, last, body FROM trail_head WHERE seq <= ?1 ORDER BY seq DESC",

    [STATEMENT_VALUE_GET] = "SELECT value FROM value WHERE name = ?1",
    [STATEMENT_VALUE_PUT] = "REPLACE INTO value (name, value) VALUES (?1, ?2)",
    [STATEMENT_VALUE_DEL] = "DELETE FROM value WHERE name = ?1",
    [STATEMENT_VALUE_SCAN] = "SELECT name, value FROM value WHERE name >= ?1 ORDER BY name",
};

static int schema_version(sqlite3 *db, int *ret)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return sqlite_errno(rc);
}

static int schema_step(sqlite3 *db, int from)
{
    char number[64];
    snprintf(number, sizeof(number), "PRAGMA user_version = %d; COMMIT", from + 1);
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, sqlite_migrations[from], NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, number, NULL, NULL, NULL);
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return sqlite_errno(rc);
}

int sqlite_schema_migrate(sqlite3 *db, bool read_only, struct reason *reason)
{
    int version = 0;
    int r = schema_version(db, &version);
    if (r < 0)
        return reason_fail(reason, -r, "meta.db cannot be read: %s", sqlite3_errmsg(db));
    if (version < 0 || version > SCHEMA_NEWEST)
        return reason_fail(reason, EINVAL,
                           "meta.db has schema %d and this holdfs knows up to %d: use a newer holdfs",
                           version, SCHEMA_NEWEST);
    if (version < SCHEMA_NEWEST && read_only)
        return reason_fail(
            reason, EROFS,
            "meta.db has schema %d and needs %d: open the store once for writing to bring it up", version,
            SCHEMA_NEWEST);
    for (; version < SCHEMA_NEWEST; version++) {
        r = schema_step(db, version);
        if (r < 0)
            return reason_fail(reason, -r, "meta.db could not be brought from schema %d to %d: %s", version,
                               version + 1, sqlite3_errmsg(db));
    }
    return 0;
}
