/* SPDX-License-Identifier: GPL-3.0-or-later
 * meta.db as SQLite's VFS sees it, page by page: each is opened and compared with the ledger when read, and
 * sealed anew when written, which only a checkpoint does. */
#include "meta/sqlite_vfs.h"
#include "util/cleanup.h"
#include "util/xaes.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- meta.db: reading ---- */

enum { FILE_HEADER_BYTES = 100 };

/* Why a page was not given out; NULL when `out` holds it. */
static const char *db_page_get(struct vfs_store *store, uint32_t page, uint8_t *out, int *ret_rc)
{
    uint8_t entry[LEDGER_ENTRY_BYTES];
    static const uint8_t never[LEDGER_ENTRY_BYTES];
    size_t got = 0, size = store->codec.page_size_bytes;
    *ret_rc = SQLITE_IOERR_DATA;
    if (!ledger_get(&store->ledger, page, entry) || memcmp(entry, never, sizeof(never)) == 0) {
        memset(out, 0, size);
        return NULL;
    }
    if (vfs_pread_all(store->db_fd, out, size, (off_t)(page - 1) * (off_t)size, &got) < 0) {
        *ret_rc = SQLITE_IOERR_READ;
        return "cannot be read from the disk";
    }
    if (got != size)
        return "is cut short";
    if (memcmp(page_entry(&store->codec, out), entry, sizeof(entry)) != 0)
        return "is not in its last state: it was altered or put back";
    if (page_open(&store->codec, page, out, out) < 0)
        return "does not open: it was altered";
    return NULL;
}

int db_page_read(struct vfs_store *store, uint32_t page, uint8_t *out)
{
    int rc;
    const char *wrong = db_page_get(store, page, out, &rc);
    if (wrong)
        vfs_report(store, "page %u of %s %s", page, store->db_path, wrong);
    return wrong ? -EIO : 0;
}

/* SQLite reads the file header before it looks at the log. A page 1 torn in a checkpoint is still in the log;
 * so that SQLite gets there, it is given a header that says no more than store.hdr does. Without a log the
 * read of the page itself fails. */
static void db_header_make(const struct vfs_store *store, uint8_t out[FILE_HEADER_BYTES])
{
    memset(out, 0, FILE_HEADER_BYTES);
    memcpy(out, "SQLite format 3", 16);
    out[16] = (uint8_t)(store->codec.page_size_bytes >> 8); /* 65536 is written as 1, as SQLite does */
    out[17] = (uint8_t)(store->codec.page_size_bytes >> 16);
    out[18] = out[19] = 2;
    out[20] = PAGE_RESERVE_BYTES;
    out[21] = 64;
    out[22] = out[23] = 32;
}

static int db_read(sqlite3_file *f, void *buf, int amount, sqlite3_int64 at)
{
    struct vfs_file *file = (struct vfs_file *)f;
    struct vfs_store *store = file->store;
    size_t len = (size_t)amount, size = store->codec.page_size_bytes, within = (size_t)at % size;
    assert(within + len <= size);
    uint32_t page = (uint32_t)((uint64_t)at / size) + 1;
    if (page > ledger_pages(&store->ledger)) {
        memset(buf, 0, len);
        return SQLITE_IOERR_SHORT_READ;
    }
    uint8_t *out = len == size ? buf : file->scratch;
    int rc;
    const char *wrong = db_page_get(store, page, out, &rc);
    if (wrong && at == 0 && len == FILE_HEADER_BYTES && rc == SQLITE_IOERR_DATA) {
        db_header_make(store, buf);
        return SQLITE_OK;
    }
    if (wrong) {
        vfs_report(store, "page %u of %s %s", page, store->db_path, wrong);
        return rc;
    }
    if (out != buf)
        memcpy(buf, out + within, len);
    return SQLITE_OK;
}

/* ---- meta.db: writing ---- */

static int db_write(sqlite3_file *f, const void *buf, int len, sqlite3_int64 at)
{
    struct vfs_file *file = (struct vfs_file *)f;
    struct vfs_store *store = file->store;
    size_t size = store->codec.page_size_bytes;
    assert((size_t)len == size && (size_t)at % size == 0);
    uint32_t page = (uint32_t)((uint64_t)at / size) + 1;
    uint8_t nonce[XAES_NONCE_BYTES];
    static const uint8_t never[LEDGER_ENTRY_BYTES];
    do {
        random_bytes(nonce, sizeof(nonce));
    } while (memcmp(nonce, never, sizeof(never)) == 0);
    int r = page_seal(&store->codec, page, nonce, buf, file->scratch);
    if (r == 0)
        r = vfs_pwrite_all(store->db_fd, file->scratch, size, at);
    if (r == 0)
        r = ledger_set(&store->ledger, page, nonce);
    return vfs_write_rc(r);
}

/* The file itself is cut only after the root says so (db_sync), so that it is never shorter than the root on
 * disk. */
static int db_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct vfs_store *store = ((struct vfs_file *)f)->store;
    struct stat st;
    if (fstat(store->db_fd, &st) < 0 || (st.st_size < size && ftruncate(store->db_fd, size) < 0))
        return SQLITE_IOERR_TRUNCATE;
    int r = ledger_resize(&store->ledger, (uint32_t)((uint64_t)size / store->codec.page_size_bytes));
    return r < 0 ? SQLITE_IOERR_NOMEM : SQLITE_OK;
}

static int db_sync(sqlite3_file *f, int flags)
{
    (void)flags;
    struct vfs_store *store = ((struct vfs_file *)f)->store;
    if (fdatasync(store->db_fd) < 0 || ledger_save(store) < 0)
        return SQLITE_IOERR_FSYNC;
    struct stat st;
    off_t size = (off_t)ledger_pages(&store->ledger) * store->codec.page_size_bytes;
    if (fstat(store->db_fd, &st) < 0 || (st.st_size > size && ftruncate(store->db_fd, size) < 0))
        return SQLITE_IOERR_FSYNC;
    return SQLITE_OK;
}

static int db_file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    struct vfs_store *store = ((struct vfs_file *)f)->store;
    *ret = (sqlite3_int64)ledger_pages(&store->ledger) * store->codec.page_size_bytes;
    return SQLITE_OK;
}

/* ---- meta.db: SQLite's locks, among the connections of this process ---- */

static int db_lock(sqlite3_file *f, int level)
{
    struct vfs_file *file = (struct vfs_file *)f;
    struct vfs_store *store = file->store;
    LOCK_SCOPE(&store->db_lock);
    if (file->lock_level >= level)
        return SQLITE_OK;
    if (store->db_exclusive && store->db_exclusive != file)
        return SQLITE_BUSY;
    if (level >= SQLITE_LOCK_RESERVED && store->db_reserved && store->db_reserved != file)
        return SQLITE_BUSY;
    bool first = file->lock_level == SQLITE_LOCK_NONE;
    if (level == SQLITE_LOCK_EXCLUSIVE && store->db_shared > (first ? 0 : 1))
        return SQLITE_BUSY;
    if (first)
        store->db_shared++;
    if (level >= SQLITE_LOCK_RESERVED)
        store->db_reserved = file;
    if (level == SQLITE_LOCK_EXCLUSIVE)
        store->db_exclusive = file;
    file->lock_level = level;
    return SQLITE_OK;
}

static int db_unlock(sqlite3_file *f, int level)
{
    struct vfs_file *file = (struct vfs_file *)f;
    struct vfs_store *store = file->store;
    LOCK_SCOPE(&store->db_lock);
    if (file->lock_level <= level)
        return SQLITE_OK;
    if (store->db_exclusive == file)
        store->db_exclusive = NULL;
    if (store->db_reserved == file)
        store->db_reserved = NULL;
    if (level == SQLITE_LOCK_NONE)
        store->db_shared--;
    file->lock_level = level;
    return SQLITE_OK;
}

static int db_check_reserved(sqlite3_file *f, int *ret)
{
    struct vfs_store *store = ((struct vfs_file *)f)->store;
    LOCK_SCOPE(&store->db_lock);
    *ret = store->db_reserved != NULL;
    return SQLITE_OK;
}

static int db_close(sqlite3_file *f)
{
    struct vfs_file *file = (struct vfs_file *)f;
    db_unlock(f, SQLITE_LOCK_NONE);
    free(file->scratch);
    return SQLITE_OK;
}

static int db_control(sqlite3_file *f, int op, void *arg)
{
    (void)f;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int db_sector_size(sqlite3_file *f)
{
    (void)f;
    return 512;
}

static int db_characteristics(sqlite3_file *f)
{
    (void)f;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* Version 2: with a wal-index, without xFetch, so no memory map. */
const sqlite3_io_methods db_file_methods = {
    .iVersion = 2,
    .xClose = db_close,
    .xRead = db_read,
    .xWrite = db_write,
    .xTruncate = db_truncate,
    .xSync = db_sync,
    .xFileSize = db_file_size,
    .xLock = db_lock,
    .xUnlock = db_unlock,
    .xCheckReservedLock = db_check_reserved,
    .xFileControl = db_control,
    .xSectorSize = db_sector_size,
    .xDeviceCharacteristics = db_characteristics,
    .xShmMap = wal_index_map,
    .xShmLock = wal_index_lock,
    .xShmBarrier = wal_index_barrier,
    .xShmUnmap = wal_index_unmap,
};
