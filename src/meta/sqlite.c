/* SPDX-License-Identifier: GPL-3.0-or-later
 * The SQLite metadata engine: opening, transactions, durability, the table of its functions. */
#include "meta/sqlite.h"
#include "meta/sqlite_vfs.h"
#include "util/bytes.h"
#include "util/log.h"
#include "util/reason.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    LOG_SOFT_BYTES =
        16
        << 20, /* checkpoints start; longer logs save writes, shorter ones make opening after a kill faster */
    GATE_PAUSE_US = 500,
    LOG_HARD_BYTES = 64 << 20, /* transactions wait for the end of a checkpoint */
    CHECKPOINT_PAUSE_US = 50,
    CHECKPOINT_TRIES = 2000,
    CHECKPOINT_CACHE_BYTES = 64 << 10, /* it copies past its page cache */
};

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

static void gate_enter(struct gate *gate)
{
    LOCK_SCOPE(&gate->lock);
    while (gate->held || gate->claimed)
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->held = true;
}

static bool gate_take(struct gate *gate)
{
    LOCK_SCOPE(&gate->lock);
    if (gate->held)
        return false;
    gate->held = true;
    gate->claimed = false;
    return true;
}

static void gate_claimed_set(struct gate *gate, bool claimed)
{
    LOCK_SCOPE(&gate->lock);
    gate->claimed = claimed;
    pthread_cond_broadcast(&gate->changed);
}

/* For the checkpoint, of which there is one at a time. From the claim on, who commits does so in SQLite, and who begins waits, perhaps with
 * the lock: so the lock is tried and never waited for, which constant load would make long. It is had where nobody writes and
 * the rows of the transactions before are to be committed here. */
static int gate_claim(struct meta *m, pthread_mutex_t *lock)
{
    struct gate *gate = &m->gate;
    gate_claimed_set(gate, true);
    while (!gate_take(gate)) {
        int r = 0;
        if (!lock || pthread_mutex_trylock(lock) == 0) {
            r = sqlite_flush(m);
            if (lock)
                pthread_mutex_unlock(lock);
        }
        if (r < 0) {
            gate_claimed_set(gate, false);
            return r;
        }
        usleep(GATE_PAUSE_US);
    }
    return 0;
}

static bool gate_is_claimed(struct gate *gate)
{
    LOCK_SCOPE(&gate->lock);
    return gate->claimed;
}

static void gate_leave(struct gate *gate)
{
    LOCK_SCOPE(&gate->lock);
    assert(gate->held);
    gate->held = false;
    pthread_cond_broadcast(&gate->changed);
}

static int sqlite_run(struct meta *m, enum statement id)
{
    STATEMENT_SCOPE(st, m, id);
    return sqlite_errno(sqlite3_step(st));
}

/* ---- SQLite's transaction, which holds many of the engine's ---- */

static int database_begin(struct meta *m)
{
    gate_enter(&m->gate);
    int r = sqlite_run(m, STATEMENT_BEGIN);
    if (r < 0) {
        gate_leave(&m->gate);
        return r;
    }
    m->open = true;
    m->rows.bytes.len = 0;
    return 0;
}

static void database_end(struct meta *m)
{
    m->open = false;
    bytes_clear(&m->rows.bytes);
    m->rows.bytes.failed = false;
    gate_leave(&m->gate);
}

/* Drops what came after the first `keep` bytes of noted changes. */
static void database_undo(struct meta *m, size_t keep)
{
    if (!sqlite3_get_autocommit(m->db)) /* SQLite itself rolls back on some errors (disk full, I/O) */
        sqlite_run(m, STATEMENT_ROLLBACK);
    if (keep == 0) {
        database_end(m);
        return;
    }
    m->rows.bytes.len = keep;
    m->rows.bytes.failed = false;
    int r = sqlite_run(m, STATEMENT_BEGIN);
    if (r == 0)
        r = rowlog_apply(m, m->rows.bytes.data, keep);
    m->again = r == 0;
    if (r == 0)
        return;
    log_error("changes that are in %s alone cannot be made again (%s); open the store anew", m->store->redo_path, strerror(-r));
    m->broken = true;
    if (!sqlite3_get_autocommit(m->db))
        sqlite_run(m, STATEMENT_ROLLBACK);
    database_end(m);
}

static int database_commit(struct meta *m, uint64_t seq)
{
    STATEMENT_SCOPE(st, m, STATEMENT_VALUE_PUT);
    uint64_t be = __builtin_bswap64(seq);
    sqlite3_bind_text(st, 1, commit_seq_name, -1, SQLITE_STATIC);
    sqlite_bind_span(st, 2, span_of(&be, sizeof(be)));
    int rc = sqlite3_step(st);
    int r = rc == SQLITE_DONE ? sqlite_run(m, STATEMENT_COMMIT) : sqlite_errno(rc);
    if (r < 0)
        return r;
    redo_restart(m->store, seq);
    database_end(m);
    return 0;
}

int sqlite_flush(struct meta *m)
{
    if (!m->open || m->in_transaction || m->read_only)
        return 0;
    int r = database_commit(m, m->commit_seq);
    if (r < 0)
        database_undo(m, m->rows.bytes.len);
    return r;
}

void sqlite_mend(struct meta *m)
{
    if (m->open && !m->read_only && sqlite3_get_autocommit(m->db))
        database_undo(m, m->rows.bytes.len);
}

/* ---- the engine's transactions ---- */

static int sqlite_begin(struct meta *m)
{
    assert(!m->in_transaction);
    if (m->read_only)
        return -EROFS;
    if (m->again) {
        m->again = false;
        sqlite_flush(m); /* where the disk is full the transaction itself will tell */
    }
    if (m->broken)
        return -EIO;
    int r = m->open ? 0 : database_begin(m);
    if (r < 0)
        return r;
    m->in_transaction = true;
    m->wrote = m->failed = m->rows.incomplete = false;
    m->rows.mark = m->rows.bytes.len;
    return 0;
}

static void sqlite_rollback(struct meta *m)
{
    assert(m->in_transaction);
    m->in_transaction = false;
    if (m->wrote || m->failed || m->rows.mark == 0)
        database_undo(m, m->rows.mark);
}

/* The row log takes what it has room for, unless a checkpoint waits for the end of SQLite's transaction. */
static int sqlite_commit(struct meta *m)
{
    assert(m->in_transaction);
    const struct rowlog *rows = &m->rows;
    if (!m->wrote && !m->failed) {
        sqlite_rollback(m);
        return 0;
    }
    uint64_t seq = m->commit_seq + 1;
    int r = m->failed ? -EIO : -ENOSPC;
    if (!m->failed && !rows->incomplete && !gate_is_claimed(&m->gate))
        r = redo_append(m->store, rows->bytes.data + rows->mark, rows->bytes.len - rows->mark);
    if (r < 0 && !m->failed)
        r = database_commit(m, seq);
    if (r < 0) {
        sqlite_rollback(m);
        return r;
    }
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
    return vfs_store_sync(m->store);
}

/* A log that is wholly in the database is begun anew by the next transaction. Under constant load a passive
 * checkpoint never gets that far, so the little that came meanwhile is moved while transactions wait; not in
 * SQLite's RESTART mode, which would empty the other connection's page cache. */
static int sqlite_checkpoint(struct meta *m, bool force, pthread_mutex_t *lock)
{
    if (m->read_only || (!force && vfs_store_log_bytes(m->store) < LOG_SOFT_BYTES))
        return 0;
    LOCK_SCOPE(&m->checkpoint_lock);
    int done_frames = 0;
    int rc = sqlite3_wal_checkpoint_v2(m->checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, &done_frames);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY)
        return sqlite_errno(rc);
    bool behind = vfs_store_log_frames(m->store) > (uint64_t)done_frames;
    if (!force && !(behind && vfs_store_log_bytes(m->store) >= LOG_HARD_BYTES))
        return 0;
    int r = gate_claim(m, lock);
    if (r < 0)
        return r;
    rc = sqlite3_wal_checkpoint_v2(m->checkpointer, NULL,
                                   force ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_FULL, NULL, NULL);
    r = rc == SQLITE_OK && force ? redo_wipe(m->store) : sqlite_errno(rc);
    gate_leave(&m->gate);
    return r;
}

/* A reader holds its mark for microseconds; SQLite's own handler would sleep for milliseconds. */
static int checkpoint_busy(void *arg, int tries)
{
    (void)arg;
    usleep(CHECKPOINT_PAUSE_US);
    return tries < CHECKPOINT_TRIES;
}

static uint64_t sqlite_bytes(struct meta *m)
{
    return vfs_store_bytes(m->store);
}

static int sqlite_check(struct meta *m, void (*line)(void *arg, const char *text), void *arg)
{
    sqlite3_stmt *st = NULL;
    int r = sqlite_errno(sqlite3_prepare_v2(m->db, "PRAGMA integrity_check", -1, &st, NULL));
    bool sound = true;
    while (r == 0 && (r = sqlite_step(m, st)) > 0) {
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
    if (m->open && !m->broken && sqlite_flush(m) < 0)
        log_warning("the row log is left for the next opening");
    if (m->open && !sqlite3_get_autocommit(m->db))
        sqlite_run(m, STATEMENT_ROLLBACK);
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(m->statements[i]);
    /* The last connection moves the log into the database and removes it, unless it was opened for reading
     * only. */
    sqlite3_close(m->checkpointer);
    sqlite3_close(m->db);
    vfs_store_free(m->store);
    pthread_mutex_destroy(&m->checkpoint_lock);
    pthread_mutex_destroy(&m->gate.lock);
    pthread_cond_destroy(&m->gate.changed);
    bytes_done(&m->rows.bytes);
    free(m->held);
    free(m);
}

/* Names what the VFS found, where it found something: SQLite only knows "disk I/O error". */
static int open_fail(struct meta *m, int r, sqlite3 *db, struct reason *reason)
{
    const char *text = m->store->report;
    if (!text[0])
        text = db ? sqlite3_errmsg(db) : "out of memory";
    return reason_fail(reason, -r, "the metadata cannot be opened: %s", text);
}

/* A database is born without any journal on disk, and turned to WAL at once. */
static int connection_prepare(sqlite3 *db, const struct meta_config *config, uint64_t cache_bytes,
                              bool create)
{
    char text[640];
    int reserve = PAGE_RESERVE_BYTES;
    if (create) {
        sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
        snprintf(text, sizeof(text),
                 "PRAGMA page_size=%u; PRAGMA journal_mode=MEMORY; PRAGMA journal_mode=WAL",
                 config->page_size_bytes);
        int rc = sqlite3_exec(db, text, NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            return sqlite_errno(rc);
    }
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)config->read_only, NULL);
    snprintf(
        text, sizeof(text),
        "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;"
        "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=%lld;"
        "PRAGMA cache_size=-%llu; SELECT count(*) FROM sqlite_schema",
        (long long)LOG_HARD_BYTES, (unsigned long long)(cache_bytes / 1024));
    return sqlite_errno(sqlite3_exec(db, text, NULL, NULL, NULL));
}

static int connection_open(struct meta *m, const struct meta_config *config, uint64_t cache_bytes,
                           bool create, sqlite3 **db, struct reason *reason)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    flags |= SQLITE_OPEN_READWRITE; /* also for reading only: what the row log holds is then made again in memory */
    int r = sqlite_errno(sqlite3_open_v2(m->store->db_path, db, flags, m->store->name));
    if (r == 0)
        r = connection_prepare(*db, config, cache_bytes, create);
    return r < 0 ? open_fail(m, r, *db, reason) : 0;
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

static int open_record(void *arg, const uint8_t *rows, size_t len)
{
    struct meta *m = arg;
    int r = m->open ? 0 : database_begin(m);
    if (r == 0)
        r = rowlog_apply(m, rows, len);
    if (r == 0)
        m->commit_seq++;
    return r;
}

/* What a daemon that was killed had committed in the row log alone. */
static int open_rows(struct meta *m)
{
    int r = redo_open(m->store);
    if (r == 0 && m->read_only)
        sqlite3_exec(m->db, "PRAGMA cache_spill=OFF", NULL, NULL, NULL);
    uint64_t before = m->commit_seq;
    if (r == 0)
        r = redo_read(m->store, before, open_record, m);
    if (r < 0 || !m->open)
        return r;
    log_notice("%llu transactions were in %s alone", (unsigned long long)(m->commit_seq - before), m->store->redo_path);
    return m->read_only ? 0 : database_commit(m, m->commit_seq);
}

static int open_database(struct meta *m, const struct meta_config *config, struct reason *reason)
{
    int r = connection_open(m, config, config->cache_bytes, config->create, &m->db, reason);
    if (r < 0)
        return r;
    r = sqlite_schema_migrate(m->db, config->read_only, reason);
    if (r < 0)
        return r;
    r = open_statements(m);
    if (r == 0)
        r = open_commit_seq(m);
    if (r == 0)
        r = open_rows(m);
    if (r < 0)
        return open_fail(m, r, m->db, reason);
    if (config->read_only)
        return 0;
    r = connection_open(m, config, CHECKPOINT_CACHE_BYTES, false, &m->checkpointer, reason);
    if (r == 0)
        sqlite3_busy_handler(m->checkpointer, checkpoint_busy, NULL);
    return r;
}

/* Counting its memory costs SQLite a lock in each allocation. */
static void sqlite_configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int sqlite_open(const struct meta_config *config, struct meta **ret, struct reason *reason)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, sqlite_configure);
    assert(!(config->create && config->read_only));
    struct meta *m = calloc(1, sizeof(*m));
    if (!m)
        return reason_fail(reason, ENOMEM, "out of memory while opening the metadata");
    m->read_only = config->read_only;
    pthread_mutex_init(&m->checkpoint_lock, NULL);
    pthread_mutex_init(&m->gate.lock, NULL);
    pthread_cond_init(&m->gate.changed, NULL);
    int r = vfs_store_new(config, &m->store, reason);
    if (r == 0)
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
    .flush = sqlite_flush,
    .checkpoint = sqlite_checkpoint,
    .check = sqlite_check,
    .commit_seq = sqlite_commit_seq,
    .bytes = sqlite_bytes,
    .rekey_begin = sqlite_rekey_begin,
    .rekey_finish = sqlite_rekey_finish,
    .rekey_adopt = sqlite_rekey_adopt,
    .rekey_free = sqlite_rekey_free,
    .rekey_move = sqlite_rekey_move,
    .rekey_drop = sqlite_rekey_drop,
    .tree_get = sqlite_tree_get,
    .tree_put = sqlite_tree_put,
    .tree_del = sqlite_tree_del,
    .tree_scan = sqlite_tree_scan,
    .tree_scan_dirs = sqlite_tree_scan_dirs,
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
    .version_scan_heads = sqlite_version_scan_heads,
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
    .trail_put = sqlite_trail_put,
    .trail_del = sqlite_trail_del,
    .trail_scan = sqlite_trail_scan,
    .value_get = sqlite_value_get,
    .value_put = sqlite_value_put,
    .value_del = sqlite_value_del,
    .value_scan = sqlite_value_scan,
};
