/* SPDX-License-Identifier: GPL-3.0-or-later
 * Private to the SQLite engine: the encrypting VFS of one open store and its parts.
 *
 * A store has its own registered sqlite3_vfs. All files are in one directory: meta.db and meta.db-wal (which
 * SQLite sees in clear), meta.ledger, meta.root and meta.redo (which it does not know of). No -shm and no journal
 * ever exists.
 *
 * Locks, in this order: ledger.save_lock, then any one of db_lock, shm.lock, wal.lock, ledger.lock,
 * report_lock; none of the latter is held while another is taken, nor during I/O or crypto (but wal.lock
 * while the log is opened). */
#ifndef HOLDFS_META_SQLITE_VFS_H
#define HOLDFS_META_SQLITE_VFS_H

#include "meta/sqlite_page.h"
#include "util/bytes.h"
#include "util/xaes.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <sys/types.h>

struct meta_config;
struct reason;

/* Which state of each page is the current one: the start of the nonce it was last sealed with. A tag alone
 * could not tell an old page from the new. */
struct ledger_block {
    uint8_t slot;                      /* of the two on disk, the one meta.root names */
    uint8_t nonce[LEDGER_ENTRY_BYTES]; /* start of that slot's nonce */
    bool dirty;
};

struct ledger {
    pthread_mutex_t save_lock;              /* one thread saves at a time */
    pthread_mutex_t lock;                   /* guards all below */
    uint8_t (*entries)[LEDGER_ENTRY_BYTES]; /* of page p at p - 1; zeros: never written */
    struct ledger_block *blocks;
    uint32_t block_count; /* `entries` holds that many whole blocks */
    uint32_t pages;       /* of the database */
    uint64_t seq;         /* of meta.root */
    bool dirty;           /* meta.root lags behind */
    bool broken;          /* a replacement of meta.root may or may not have reached the disk */
};

/* The wal-index and its eight locks, in memory as one process has the store open. */
struct wal_index {
    pthread_mutex_t lock;
    void **regions;
    int region_count;
    int shared[SQLITE_SHM_NLOCK];
    bool exclusive[SQLITE_SHM_NLOCK];
    int users;
};

struct wal {
    pthread_mutex_t lock; /* guards id, users */
    pthread_cond_t synced;
    uint8_t id[WAL_ID_BYTES]; /* of the log's present round */
    int users;
    int fd; /* -1: no log on disk */
    /* Group commit, guarded by lock; `written` is also raised without it. */
    uint64_t written; /* rises with each write to either log; atomic */
    uint64_t durable; /* value of `written` that is on disk */
    bool syncing;
    uint64_t log_written, log_durable; /* the same of this log alone; atomic */
    bool failed;     /* an fsync failed: what is on disk is unknown until the store is opened anew */
    uint64_t frames; /* in this round; atomic */
};

/* The row log (sqlite_redo.c). Guarded by the engine's lock but for the atomic fields. */
struct redo {
    int fd; /* -1: none */
    uint64_t at;   /* where the next record goes */
    uint64_t base; /* the commit this round stands on */
    uint8_t chain[XAES_TAG_BYTES]; /* tag of the round's last record */
    uint8_t nonce[XAES_NONCE_BYTES];
    struct bytes record; /* one sealed record */
    bool failed; /* the log of pages cannot be synced: what was promised stays where it is */
    uint64_t written, durable; /* as in struct wal; atomic */
    bool relied; /* somebody was promised what this round's records say; atomic */
};

struct vfs_store {
    sqlite3_vfs vfs;
    char name[40];
    char *dir, *db_path, *wal_path, *ledger_path, *root_path, *root_temp_path, *redo_path;
    bool read_only;
    int db_fd, ledger_fd;
    struct xaes_key *key;
    struct page_codec codec;
    struct ledger ledger;
    struct wal_index shm;
    struct wal wal;
    struct redo redo;

    pthread_mutex_t db_lock; /* guards the next two: SQLite's file locks, among our own connections */
    int db_shared;
    struct vfs_file *db_reserved, *db_exclusive;

    pthread_mutex_t report_lock; /* guards `report` */
    char report[256];            /* the last failed check, in words */
    void (*integrity)(void *arg, const char *what);
    void *integrity_arg;
};

/* Frames of the log on their way to disk: those of one transaction leave in one write. */
struct wal_buffer {
    uint8_t *bytes;
    uint64_t first;  /* frame number of the first */
    unsigned frames; /* complete ones */
    bool header;     /* and the header of one more */
    bool commit;     /* whose page ends a transaction */
};

/* One open file of SQLite's. */
struct vfs_file {
    sqlite3_file base;
    struct vfs_store *store;
    int lock_level;
    uint8_t shm_shared, shm_exclusive; /* masks of locks held */
    bool shm_mapped;
    uint8_t *scratch; /* one sealed frame */
    uint64_t append;  /* the log: frames from here on were not written in this round */
    uint8_t nonce[XAES_NONCE_BYTES]; /* the log: of the last record; drawn anew for each file and round, then counted */
    struct wal_buffer buffer;
};

/* Makes or opens the store's files (not yet the database in them) and registers the VFS. The caller opens
 * vfs_store->db_path through vfs_store->name, and frees the store after the last connection. */
int vfs_store_new(const struct meta_config *config, struct vfs_store **ret, struct reason *reason);
void vfs_store_free(struct vfs_store *store); /* NULL is accepted */
/* All that was written to the log before the call survives a power cut after it. Any thread. */
int vfs_store_sync(struct vfs_store *store);
/* The row log. open: after the rest of the store. read: gives the records that stand on commit `base`, oldest first, and goes on
 * behind them. append: one transaction; -ENOSPC where it does not fit, then SQLite commits. restart: after that commit, whose
 * number is `base`. wipe: nothing of it is left on disk; no transaction under way. */
int redo_open(struct vfs_store *store);
int redo_read(struct vfs_store *store, uint64_t base, int (*fn)(void *arg, const uint8_t *rows, size_t len), void *arg);
int redo_append(struct vfs_store *store, const void *rows, size_t len);
void redo_restart(struct vfs_store *store, uint64_t base);
int redo_wipe(struct vfs_store *store);
void redo_close(struct vfs_store *store);
/* Length of the log's present round, frames of a transaction under way included. */
uint64_t vfs_store_log_frames(struct vfs_store *store);
uint64_t vfs_store_log_bytes(struct vfs_store *store);
uint64_t vfs_store_bytes(struct vfs_store *store);

/* Tells of a failed check, and keeps the words. */
void vfs_report(struct vfs_store *store, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- between the VFS's own files ---- */

int vfs_pread_all(int fd, void *buf, size_t len, off_t at,
                  size_t *ret_len); /* short at the end of the file only */
int vfs_pwrite_all(int fd, const void *buf, size_t len, off_t at);
int vfs_fsync_dir(const char *dir);
int vfs_write_rc(int r); /* the SQLite code of a failed write */

void ledger_init(struct ledger *ledger);
void ledger_done(struct ledger *ledger);
int ledger_load(struct vfs_store *store, struct reason *reason);
/* Fills an empty ledger with what the plaintext of meta.root says; its entries are read after it. -EIO. */
int ledger_root_parse(struct ledger *ledger, const uint8_t *plain, size_t len);
int ledger_save(struct vfs_store *store);
bool ledger_get(struct ledger *ledger, uint32_t page,
                uint8_t ret[LEDGER_ENTRY_BYTES]); /* false: beyond the end */
int ledger_set(struct ledger *ledger, uint32_t page, const uint8_t entry[LEDGER_ENTRY_BYTES]);
int ledger_resize(struct ledger *ledger, uint32_t pages);
uint32_t ledger_pages(struct ledger *ledger);
bool ledger_dirty(struct ledger *ledger);

/* A whole page of meta.db in clear; -EIO, told, where its check fails. Nothing may write to meta.db meanwhile. */
int db_page_read(struct vfs_store *store, uint32_t page, uint8_t *out);
extern const sqlite3_io_methods db_file_methods;

int wal_file_open(struct vfs_file *file, int *ret_flags);
extern const sqlite3_io_methods wal_file_methods;

void wal_index_init(struct wal_index *shm);
void wal_index_done(struct wal_index *shm);
int wal_index_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret);
int wal_index_lock(sqlite3_file *f, int offset, int n, int flags);
void wal_index_barrier(sqlite3_file *f);
int wal_index_unmap(sqlite3_file *f, int delete_it);

#endif
