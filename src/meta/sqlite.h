/* SPDX-License-Identifier: GPL-3.0-or-later
 * Private to the SQLite engine: its connections, its prepared statements, and the helpers every row function
 * uses.
 *
 * One connection reads and writes, under the caller's lock. (In WAL mode a commit empties the page cache of
 * every other connection, and each page read again is a page decrypted again; so nothing else reads.) */
#ifndef HOLDFS_META_SQLITE_H
#define HOLDFS_META_SQLITE_H

#include "meta/meta.h"
#include "util/bytes.h"
#include "util/cleanup.h"

#include <pthread.h>
#include <sqlite3.h>

struct vfs_store;

extern const struct meta_ops meta_sqlite_ops;

/* One statement per purpose; the texts are in sqlite_schema.c. */
enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_TREE_GET,
    STATEMENT_TREE_PUT,
    STATEMENT_TREE_DEL,
    STATEMENT_TREE_SCAN,
    STATEMENT_TREE_SCAN_AFTER,
    STATEMENT_TREE_SCAN_DIRS,
    STATEMENT_TREE_SCAN_DIRS_AFTER,
    STATEMENT_INODE_GET,
    STATEMENT_INODE_PUT,
    STATEMENT_INODE_DEL,
    STATEMENT_LINK_PUT,
    STATEMENT_LINK_DEL,
    STATEMENT_LINK_SCAN,
    STATEMENT_VERSION_PUT,
    STATEMENT_VERSION_DEL,
    STATEMENT_VERSION_GET,
    STATEMENT_VERSION_SCAN,
    STATEMENT_VERSION_SCAN_UP,
    STATEMENT_VERSION_SCAN_KEYS,
    STATEMENT_VERSION_SCAN_KEYS_AFTER,
    STATEMENT_VERSION_SCAN_HEADS,
    STATEMENT_VERSION_SCAN_HEADS_AFTER,
    STATEMENT_VERSION_NEXT_KEY,
    STATEMENT_VERSION_NEXT_KEY_AFTER,
    STATEMENT_VERSION_SCAN_SINCE,
    STATEMENT_VERSION_COUNT,
    STATEMENT_BUCKET_PUT,
    STATEMENT_BUCKET_DEL,
    STATEMENT_BUCKET_SCAN,
    STATEMENT_KEK_PUT,
    STATEMENT_KEK_DEL,
    STATEMENT_KEK_SCAN,
    STATEMENT_DRAFT_PUT,
    STATEMENT_DRAFT_DEL,
    STATEMENT_DRAFT_SCAN,
    STATEMENT_UNSETTLED_PUT,
    STATEMENT_UNSETTLED_DEL,
    STATEMENT_UNSETTLED_SCAN,
    STATEMENT_TRAIL_PUT, /* these four and the next in the order of enum meta_trail */
    STATEMENT_TRAIL_DEL,
    STATEMENT_TRAIL_SCAN,
    STATEMENT_TRAIL_SCAN_DOWN,
    STATEMENT_HEAD_PUT,
    STATEMENT_HEAD_DEL,
    STATEMENT_HEAD_SCAN,
    STATEMENT_HEAD_SCAN_DOWN,
    STATEMENT_VALUE_GET,
    STATEMENT_VALUE_PUT,
    STATEMENT_VALUE_DEL,
    STATEMENT_VALUE_SCAN,
    STATEMENT_COUNT,
};

extern const char *const sqlite_statement_text[STATEMENT_COUNT];

/* Who may write: a transaction, or the last part of a checkpoint, which would otherwise starve under constant
 * load. */
struct gate {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    bool held, claimed; /* claimed: a checkpoint waits, and is next */
};

/* The changes of the transactions that SQLite's present one holds (sqlite_rowlog.c); under the caller's lock. */
struct rowlog {
    struct bytes bytes;
    size_t mark;          /* where those of the transaction under way begin */
    bool incomplete;      /* it made changes that are not noted */
    sqlite3_stmt *noting; /* the statement being bound, */
    int values;           /* so many values of it so far */
};

struct meta {
    struct vfs_store *store;
    sqlite3 *db;           /* reads and writes; under the caller's lock */
    sqlite3 *checkpointer; /* under checkpoint_lock; NULL when reading only */
    pthread_mutex_t checkpoint_lock;
    struct gate gate;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    bool read_only;
    /* The engine's transaction under way, if any, and SQLite's; guarded by the caller's lock. */
    bool in_transaction, wrote, failed;
    bool open;   /* SQLite is within a transaction: this one, and those before it that are in the row log */
    bool again;  /* the latter had to be made again; the next one begins with a commit, so that refusals in a row cost it once */
    bool broken; /* they could not: only opening anew helps */
    struct rowlog rows;
    uint64_t commit_seq; /* of the last commit; atomic, as meta_commit_seq() may be called from anywhere */
    /* The row handed out last: a copy, so that no read transaction stays open behind it. */
    uint8_t *held;
    size_t held_cap;
};

/* Brings the schema to the newest version, or with `read_only` checks that it is. */
int sqlite_schema_migrate(sqlite3 *db, bool read_only, struct reason *reason);

/* The negative errno for a SQLite result code; 0 for OK, ROW and DONE. */
int sqlite_errno(int rc);

/* ---- for the row functions (sqlite_rows.c, sqlite_versions.c) ---- */

static inline void sqlite_reset(sqlite3_stmt **st)
{
    sqlite3_reset(*st);
}
/* A statement in use, reset at the end of the scope. Bindings are SQLITE_STATIC and bound anew before each
 * step. */
#define STATEMENT_SCOPE(name, m, id) CLEANUP(sqlite_reset) sqlite3_stmt *name = (m)->statements[id]

void sqlite_bind_span(sqlite3_stmt *st, int index, struct span value);
void sqlite_bind_u64(sqlite3_stmt *st, int index, uint64_t value);
struct span sqlite_column_span(sqlite3_stmt *st, int column);
uint64_t sqlite_column_u64(sqlite3_stmt *st, int column);

/* The same of a statement that changes rows: its values are noted, in the order of their numbers. */
#define CHANGE_SCOPE(name, m, id) CLEANUP(sqlite_reset) sqlite3_stmt *name = rowlog_statement(m, id)

sqlite3_stmt *rowlog_statement(struct meta *m, enum statement id);
void rowlog_bind_number(struct meta *m, sqlite3_stmt *st, int index, int64_t value);
void rowlog_bind_u64(struct meta *m, sqlite3_stmt *st, int index, uint64_t value);
void rowlog_bind_span(struct meta *m, sqlite3_stmt *st, int index, struct span value);
void rowlog_bind_text(struct meta *m, sqlite3_stmt *st, int index, const char *value);
void rowlog_noted(struct meta *m, sqlite3_stmt *st);
/* Makes noted changes again, within a transaction of SQLite's. */
int rowlog_apply(struct meta *m, const uint8_t *rows, size_t len);

/* SQLite gave its transaction up in the middle of a read: those committed go into a new one. */
void sqlite_mend(struct meta *m);
/* Commits in SQLite what stands in the row log alone. Under the caller's lock, no transaction under way. */
int sqlite_flush(struct meta *m);

/* 1 a row, 0 no (further) row, or a negative errno. */
int sqlite_step(struct meta *m, sqlite3_stmt *st);
/* Runs a statement that changes rows, inside a transaction. After a failure in it: -EIO, only rollback is
 * left. */
int sqlite_change(struct meta *m, sqlite3_stmt *st);
/* Copies the spans into m->held and lets them point there. 0 or -ENOMEM. */
int sqlite_hold(struct meta *m, struct span *a, struct span *b, struct span *c);

int sqlite_rekey_begin(struct meta *m, const char *dir, const uint8_t page_key[32], struct meta_progress progress,
                       struct meta_rekey **ret, struct reason *reason);
int sqlite_rekey_finish(struct meta *m, struct meta_rekey *k);
int sqlite_rekey_adopt(struct meta *m, struct meta_rekey *k);
void sqlite_rekey_free(struct meta_rekey *k);
int sqlite_rekey_move(const char *from, const char *dir);
int sqlite_rekey_drop(const char *from);

int sqlite_tree_get(struct meta *m, uint32_t bucket, struct span key, struct tree_row *ret);
int sqlite_tree_put(struct meta *m, const struct tree_row *row);
int sqlite_tree_del(struct meta *m, uint32_t bucket, struct span key);
int sqlite_tree_scan(struct meta *m, uint32_t bucket, struct span from, bool inclusive, meta_tree_fn *fn,
                     void *arg);
int sqlite_tree_scan_dirs(struct meta *m, uint32_t bucket, struct span from, bool inclusive, meta_tree_fn *fn,
                          void *arg);
int sqlite_inode_get(struct meta *m, uint64_t ino, struct inode_row *ret);
int sqlite_inode_put(struct meta *m, const struct inode_row *row);
int sqlite_inode_del(struct meta *m, uint64_t ino);
int sqlite_link_put(struct meta *m, uint64_t ino, uint32_t bucket, struct span key);
int sqlite_link_del(struct meta *m, uint64_t ino, uint32_t bucket, struct span key);
int sqlite_link_scan(struct meta *m, uint64_t ino, meta_link_fn *fn, void *arg);

int sqlite_version_put(struct meta *m, const struct version_row *row);
int sqlite_version_del(struct meta *m, uint32_t bucket, struct span key, uint64_t seq);
int sqlite_version_get(struct meta *m, uint32_t bucket, struct span key, uint64_t seq,
                       struct version_row *ret);
int sqlite_version_scan(struct meta *m, uint32_t bucket, struct span key, uint64_t from_seq,
                        meta_version_fn *fn, void *arg);
int sqlite_version_scan_up(struct meta *m, uint32_t bucket, struct span key, uint64_t after_seq,
                           meta_version_fn *fn, void *arg);
int sqlite_version_scan_keys(struct meta *m, uint32_t bucket, struct span from, bool inclusive,
                             meta_version_fn *fn, void *arg);
int sqlite_version_scan_heads(struct meta *m, uint32_t bucket, struct span from, bool inclusive,
                              int64_t until_ns, meta_version_fn *fn, void *arg);
int sqlite_version_next_key(struct meta *m, uint32_t bucket, struct span from, bool inclusive, uint8_t *buf,
                            size_t *ret_len);
int sqlite_version_scan_since(struct meta *m, uint64_t after_seq, meta_version_fn *fn, void *arg);
int sqlite_version_count(struct meta *m, uint32_t bucket, uint64_t *ret_objects, uint64_t *ret_markers);

int sqlite_bucket_put(struct meta *m, const struct bucket_row *row);
int sqlite_bucket_del(struct meta *m, uint32_t bucket);
int sqlite_bucket_scan(struct meta *m, meta_bucket_fn *fn, void *arg);
int sqlite_kek_put(struct meta *m, const struct kek_row *row);
int sqlite_kek_del(struct meta *m, const uint8_t id[16], uint32_t version);
int sqlite_kek_scan(struct meta *m, meta_kek_fn *fn, void *arg);
int sqlite_draft_put(struct meta *m, const struct draft_row *row);
int sqlite_draft_del(struct meta *m, uint64_t ino);
int sqlite_draft_scan(struct meta *m, meta_draft_fn *fn, void *arg);
int sqlite_unsettled_put(struct meta *m, const struct unsettled_row *row);
int sqlite_unsettled_del(struct meta *m, const struct unsettled_row *row);
int sqlite_unsettled_scan(struct meta *m, meta_unsettled_fn *fn, void *arg);
int sqlite_trail_put(struct meta *m, enum meta_trail which, const struct trail_row *row);
int sqlite_trail_del(struct meta *m, enum meta_trail which, uint64_t from, uint64_t to);
int sqlite_trail_scan(struct meta *m, enum meta_trail which, uint64_t from, bool down, meta_trail_fn *fn, void *arg);
int sqlite_value_get(struct meta *m, const char *name, struct span *ret);
int sqlite_value_put(struct meta *m, const char *name, struct span value);
int sqlite_value_del(struct meta *m, const char *name);
int sqlite_value_scan(struct meta *m, const char *prefix, meta_value_fn *fn, void *arg);

#endif
