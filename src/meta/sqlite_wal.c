/* SPDX-License-Identifier: GPL-3.0-or-later
 * The write-ahead log as SQLite's VFS sees it: a virtual file of 32 + k * (24 + S) bytes, kept on disk as
 * sealed records.
 *
 * SQLite writes a frame as two calls, rewrites pages or headers of the present transaction in place, and
 * recovers by reading header and page in one call; so header and page are separate records, and every call
 * maps to whole records. Appended frames are gathered and leave in one write, at the latest with the frame
 * that ends their transaction. */
#include "meta/sqlite_vfs.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/xaes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { WAL_BUFFER_FRAMES = 16 };

/* Where SQLite's offset falls. */
struct wal_place {
    uint64_t frame;
    size_t within; /* the frame, as SQLite sees it */
};

static size_t frame_disk_bytes(const struct vfs_store *store)
{
    return WAL_DISK_FRAME_HEADER_BYTES + store->codec.page_size_bytes + WAL_DISK_PAGE_EXTRA_BYTES;
}

static off_t frame_disk_at(const struct vfs_store *store, uint64_t frame)
{
    return WAL_DISK_HEADER_BYTES + (off_t)(frame * frame_disk_bytes(store));
}

static struct wal_place wal_place_of(const struct vfs_store *store, sqlite3_int64 at)
{
    uint64_t from = (uint64_t)at - WAL_HEADER_BYTES,
             frame = WAL_FRAME_HEADER_BYTES + store->codec.page_size_bytes;
    return (struct wal_place){.frame = from / frame, .within = from % frame};
}

static void wal_id_get(struct wal *wal, uint8_t ret[WAL_ID_BYTES])
{
    LOCK_SCOPE(&wal->lock);
    memcpy(ret, wal->id, WAL_ID_BYTES);
}

static void wal_id_set(struct wal *wal, const uint8_t id[WAL_ID_BYTES])
{
    LOCK_SCOPE(&wal->lock);
    memcpy(wal->id, id, WAL_ID_BYTES);
}

static int wal_write_disk(struct vfs_file *file, const void *bytes, size_t len, off_t at)
{
    struct wal *wal = &file->store->wal;
    int r = vfs_pwrite_all(wal->fd, bytes, len, at);
    __atomic_add_fetch(&wal->log_written, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&wal->written, 1, __ATOMIC_SEQ_CST); /* last: who sees it is to find the file unsynced */
    return r;
}

/* ---- gathering frames ---- */

static int buffer_flush(struct vfs_file *file)
{
    struct wal_buffer *b = &file->buffer;
    size_t len = b->frames * frame_disk_bytes(file->store) + (b->header ? WAL_DISK_FRAME_HEADER_BYTES : 0);
    if (len == 0)
        return 0;
    uint64_t first = b->first;
    b->frames = 0;
    b->header = false;
    return wal_write_disk(file, b->bytes, len, frame_disk_at(file->store, first));
}

static uint8_t *buffer_end(struct vfs_file *file)
{
    return file->buffer.bytes + file->buffer.frames * frame_disk_bytes(file->store);
}

static int record_seal(struct vfs_file *file, enum wal_part part, uint64_t frame, const void *plain,
                       size_t len, uint8_t *out)
{
    uint8_t id[WAL_ID_BYTES];
    xaes_nonce_count(file->nonce);
    wal_id_get(&file->store->wal, id);
    return wal_record_seal(&file->store->codec, id, part, frame, file->nonce, plain, len, out);
}

static int buffer_header(struct vfs_file *file, uint64_t frame, const uint8_t *header)
{
    struct wal_buffer *b = &file->buffer;
    int r = 0;
    if (b->header || b->frames == WAL_BUFFER_FRAMES || (b->frames && b->first + b->frames != frame))
        r = buffer_flush(file);
    if (r == 0 && !b->bytes && !(b->bytes = malloc(WAL_BUFFER_FRAMES * frame_disk_bytes(file->store))))
        r = -ENOMEM;
    if (r == 0)
        r = record_seal(file, WAL_FRAME_HEADER, frame, header, WAL_FRAME_HEADER_BYTES, buffer_end(file));
    if (r < 0)
        return r;
    if (b->frames == 0)
        b->first = frame;
    b->header = true;
    /* Bytes 4..7 of a frame header: the database's size after the transaction, 0 unless this frame ends one.
     */
    static const uint8_t not_last[4];
    b->commit = memcmp(header + 4, not_last, sizeof(not_last)) != 0;
    return 0;
}

static int buffer_page(struct vfs_file *file, uint64_t frame, const uint8_t *page)
{
    struct wal_buffer *b = &file->buffer;
    int r = record_seal(file, WAL_PAGE, frame, page, file->store->codec.page_size_bytes,
                        buffer_end(file) + WAL_DISK_FRAME_HEADER_BYTES);
    if (r < 0)
        return r;
    b->header = false;
    b->frames++;
    file->append = frame + 1;
    __atomic_store_n(&file->store->wal.frames, frame + 1, __ATOMIC_RELAXED);
    return b->commit ? buffer_flush(file) : 0;
}

/* ---- writing ---- */

/* SQLite starts the log anew: frames of the earlier round must not open in this one. */
static int wal_write_header(struct vfs_file *file, const uint8_t *header)
{
    struct vfs_store *store = file->store;
    assert(!ledger_dirty(&store->ledger));
    uint8_t id[WAL_ID_BYTES], disk[WAL_DISK_HEADER_BYTES];
    random_bytes(id, sizeof(id));
    random_bytes(file->nonce, sizeof(file->nonce));
    int r = wal_header_seal(&store->codec, id, file->nonce, header, disk);
    if (r < 0)
        return r;
    file->buffer.frames = 0;
    file->buffer.header = false;
    r = wal_write_disk(file, disk, sizeof(disk), 0);
    if (r < 0)
        return r;
    wal_id_set(&store->wal, id);
    file->append = 0;
    __atomic_store_n(&store->wal.frames, 0, __ATOMIC_RELAXED);
    return 0;
}

/* In place: a page or header written before in this transaction. */
static int wal_rewrite(struct vfs_file *file, enum wal_part part, uint64_t frame, const void *plain,
                       size_t len)
{
    int r = buffer_flush(file);
    if (r == 0)
        r = record_seal(file, part, frame, plain, len, file->scratch);
    if (r < 0)
        return r;
    off_t at = frame_disk_at(file->store, frame) + (part == WAL_PAGE ? WAL_DISK_FRAME_HEADER_BYTES : 0);
    return wal_write_disk(file, file->scratch, len + XAES_OVERHEAD_BYTES, at);
}

static int wal_write(sqlite3_file *f, const void *buf, int len, sqlite3_int64 at)
{
    struct vfs_file *file = (struct vfs_file *)f;
    if (at == 0) {
        assert(len == WAL_HEADER_BYTES);
        return vfs_write_rc(wal_write_header(file, buf));
    }
    struct wal_place place = wal_place_of(file->store, at);
    if (place.within == 0) {
        assert(len == WAL_FRAME_HEADER_BYTES);
        if (place.frame >= file->append)
            return vfs_write_rc(buffer_header(file, place.frame, buf));
        return vfs_write_rc(wal_rewrite(file, WAL_FRAME_HEADER, place.frame, buf, WAL_FRAME_HEADER_BYTES));
    }
    assert(place.within == WAL_FRAME_HEADER_BYTES && (uint32_t)len == file->store->codec.page_size_bytes);
    const struct wal_buffer *b = &file->buffer;
    if (b->header && b->first + b->frames == place.frame)
        return vfs_write_rc(buffer_page(file, place.frame, buf));
    return vfs_write_rc(wal_rewrite(file, WAL_PAGE, place.frame, buf, (size_t)len));
}

static int wal_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct vfs_file *file = (struct vfs_file *)f;
    int r = buffer_flush(file);
    off_t disk = 0;
    if (size > 0)
        disk = size <= WAL_HEADER_BYTES ? WAL_DISK_HEADER_BYTES
                                        : frame_disk_at(file->store, wal_place_of(file->store, size).frame);
    if (r == 0 && ftruncate(file->store->wal.fd, disk) < 0)
        r = -errno;
    if (r == 0 && size == 0)
        __atomic_store_n(&file->store->wal.frames, 0, __ATOMIC_RELAXED);
    return r == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int wal_sync(sqlite3_file *f, int flags)
{
    (void)flags;
    struct vfs_file *file = (struct vfs_file *)f;
    int r = buffer_flush(file);
    if (r == 0)
        r = vfs_store_sync(file->store);
    return r == 0 ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

/* The row log is looked at first: see redo_restart(). */
static int sync_files(struct vfs_store *store)
{
    struct wal *wal = &store->wal;
    struct redo *redo = &store->redo;
    uint64_t rows = __atomic_load_n(&redo->written, __ATOMIC_SEQ_CST);
    bool dirty = redo->fd >= 0 && rows != __atomic_load_n(&redo->durable, __ATOMIC_SEQ_CST);
    if (dirty)
        __atomic_store_n(&redo->relied, true, __ATOMIC_SEQ_CST);
    uint64_t pages = __atomic_load_n(&wal->log_written, __ATOMIC_SEQ_CST);
    if (wal->fd >= 0 && pages != __atomic_load_n(&wal->log_durable, __ATOMIC_SEQ_CST)) {
        if (fdatasync(wal->fd) < 0)
            return -errno;
        __atomic_store_n(&wal->log_durable, pages, __ATOMIC_SEQ_CST);
    }
    if (dirty) {
        if (fdatasync(redo->fd) < 0)
            return -errno;
        __atomic_store_n(&redo->durable, rows, __ATOMIC_SEQ_CST);
    }
    return 0;
}

/* One thread syncs for all that wait: who comes while a sync runs is served by the next. */
int vfs_store_sync(struct vfs_store *store)
{
    struct wal *wal = &store->wal;
    uint64_t want = __atomic_load_n(&wal->written, __ATOMIC_SEQ_CST);
    LOCK_SCOPE(&wal->lock);
    while (!wal->failed && wal->durable < want) {
        if (wal->syncing) {
            pthread_cond_wait(&wal->synced, &wal->lock);
            continue;
        }
        wal->syncing = true;
        uint64_t covered = __atomic_load_n(&wal->written, __ATOMIC_SEQ_CST);
        pthread_mutex_unlock(&wal->lock);
        int r = sync_files(store);
        pthread_mutex_lock(&wal->lock);
        wal->syncing = false;
        if (r < 0)
            wal->failed = true;
        else if (covered > wal->durable)
            wal->durable = covered;
        pthread_cond_broadcast(&wal->synced);
    }
    return wal->failed ? -EIO : 0;
}

/* ---- reading ---- */

static int wal_read_fail(struct vfs_file *file, const char *what, uint64_t frame)
{
    vfs_report(file->store, "%s %llu of %s does not open: it was altered", what, (unsigned long long)frame,
               file->store->wal_path);
    return SQLITE_IOERR_DATA;
}

static int wal_read_header(struct vfs_file *file, void *buf, size_t len, size_t at)
{
    struct vfs_store *store = file->store;
    uint8_t disk[WAL_DISK_HEADER_BYTES], id[WAL_ID_BYTES], plain[WAL_HEADER_BYTES];
    size_t got = 0;
    if (store->wal.fd >= 0 && vfs_pread_all(store->wal.fd, disk, sizeof(disk), 0, &got) < 0)
        return SQLITE_IOERR_READ;
    memset(buf, 0, len);
    if (got < sizeof(disk))
        return SQLITE_IOERR_SHORT_READ;
    if (wal_header_open(&store->codec, disk, id, plain) < 0)
        return wal_read_fail(file, "header", 0);
    wal_id_set(&store->wal, id);
    memcpy(buf, plain + at, len);
    return SQLITE_OK;
}

static int wal_read_frame_header(struct vfs_file *file, void *buf, size_t len, struct wal_place place)
{
    uint8_t disk[WAL_DISK_FRAME_HEADER_BYTES], id[WAL_ID_BYTES];
    size_t got = 0;
    if (vfs_pread_all(file->store->wal.fd, disk, sizeof(disk), frame_disk_at(file->store, place.frame),
                      &got) < 0)
        return SQLITE_IOERR_READ;
    wal_id_get(&file->store->wal, id);
    uint8_t *text = disk + XAES_NONCE_BYTES;
    if (got < sizeof(disk) ||
        wal_record_open(&file->store->codec, id, WAL_FRAME_HEADER, place.frame, disk, text,
                        WAL_FRAME_HEADER_BYTES, text + WAL_FRAME_HEADER_BYTES) < 0)
        return wal_read_fail(file, "frame header", place.frame);
    memcpy(buf, text + place.within, len);
    return SQLITE_OK;
}

static int wal_read_page(struct vfs_file *file, void *buf, uint64_t frame)
{
    struct vfs_store *store = file->store;
    uint8_t nonce[XAES_NONCE_BYTES], tag[XAES_TAG_BYTES], id[WAL_ID_BYTES];
    struct iovec parts[] = {{nonce, sizeof(nonce)}, {buf, store->codec.page_size_bytes}, {tag, sizeof(tag)}};
    ssize_t n;
    do {
        n = preadv(store->wal.fd, parts, 3, frame_disk_at(store, frame) + WAL_DISK_FRAME_HEADER_BYTES);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return SQLITE_IOERR_READ;
    wal_id_get(&store->wal, id);
    if ((size_t)n != store->codec.page_size_bytes + XAES_OVERHEAD_BYTES ||
        wal_record_open(&store->codec, id, WAL_PAGE, frame, nonce, buf, store->codec.page_size_bytes, tag) <
            0)
        return wal_read_fail(file, "page of frame", frame);
    return SQLITE_OK;
}

/* Recovery reads frame after frame. One that does not open is where the log ends, as after a power cut. */
static int wal_read_frame(struct vfs_file *file, uint8_t *buf, uint64_t frame)
{
    struct vfs_store *store = file->store;
    size_t size = store->codec.page_size_bytes, got = 0;
    uint8_t *disk = file->scratch, id[WAL_ID_BYTES];
    if (vfs_pread_all(store->wal.fd, disk, frame_disk_bytes(store), frame_disk_at(store, frame), &got) < 0)
        return SQLITE_IOERR_READ;
    wal_id_get(&store->wal, id);
    uint8_t *header = disk + XAES_NONCE_BYTES, *page = disk + WAL_DISK_FRAME_HEADER_BYTES + XAES_NONCE_BYTES;
    if (got < frame_disk_bytes(store) ||
        wal_record_open(&store->codec, id, WAL_FRAME_HEADER, frame, disk, header, WAL_FRAME_HEADER_BYTES,
                        header + WAL_FRAME_HEADER_BYTES) < 0 ||
        wal_record_open(&store->codec, id, WAL_PAGE, frame, page - XAES_NONCE_BYTES, page, size,
                        page + size) < 0) {
        log_notice("wal-tail: %s ends before frame %llu", store->wal_path, (unsigned long long)frame);
        memset(buf, 0, WAL_FRAME_HEADER_BYTES + size);
        return SQLITE_OK;
    }
    memcpy(buf, header, WAL_FRAME_HEADER_BYTES);
    memcpy(buf + WAL_FRAME_HEADER_BYTES, page, size);
    __atomic_store_n(&store->wal.frames, frame + 1, __ATOMIC_RELAXED);
    return SQLITE_OK;
}

static int wal_read(sqlite3_file *f, void *buf, int amount, sqlite3_int64 at)
{
    struct vfs_file *file = (struct vfs_file *)f;
    size_t len = (size_t)amount, size = file->store->codec.page_size_bytes;
    if (buffer_flush(file) < 0)
        return SQLITE_IOERR_WRITE;
    if (at < WAL_HEADER_BYTES) {
        assert((size_t)at + len <= WAL_HEADER_BYTES);
        return wal_read_header(file, buf, len, (size_t)at);
    }
    struct wal_place place = wal_place_of(file->store, at);
    if (place.within == 0 && len == WAL_FRAME_HEADER_BYTES + size)
        return wal_read_frame(file, buf, place.frame);
    if (place.within + len <= WAL_FRAME_HEADER_BYTES)
        return wal_read_frame_header(file, buf, len, place);
    assert(place.within == WAL_FRAME_HEADER_BYTES && len == size);
    return wal_read_page(file, buf, place.frame);
}

static int wal_file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    struct vfs_file *file = (struct vfs_file *)f;
    if (buffer_flush(file) < 0)
        return SQLITE_IOERR_WRITE;
    struct stat st = {.st_size = 0};
    if (file->store->wal.fd >= 0 && fstat(file->store->wal.fd, &st) < 0)
        return SQLITE_IOERR_FSTAT;
    *ret = 0;
    if (st.st_size >= WAL_DISK_HEADER_BYTES) {
        uint64_t frames = (uint64_t)(st.st_size - WAL_DISK_HEADER_BYTES) / frame_disk_bytes(file->store);
        *ret = WAL_HEADER_BYTES +
               (sqlite3_int64)(frames * (WAL_FRAME_HEADER_BYTES + file->store->codec.page_size_bytes));
    }
    return SQLITE_OK;
}

/* ---- opening ---- */

static int wal_open_disk(struct vfs_store *store)
{
    int flags = store->read_only ? O_RDONLY : O_RDWR | O_CREAT;
    int fd = open(store->wal_path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    /* Without a log there is nothing to read, and reading alone makes none. */
    if (fd < 0 && errno == ENOENT && store->read_only)
        return 0;
    if (fd < 0)
        return -errno;
    store->wal.fd = fd;
    return store->read_only ? 0 : vfs_fsync_dir(store->dir);
}

int wal_file_open(struct vfs_file *file, int *ret_flags)
{
    struct vfs_store *store = file->store;
    LOCK_SCOPE(&store->wal.lock);
    if (store->wal.users == 0) {
        int r = wal_open_disk(store);
        if (r < 0 && store->wal.fd >= 0) {
            close(store->wal.fd);
            store->wal.fd = -1;
        }
        if (r < 0)
            return SQLITE_CANTOPEN;
    }
    store->wal.users++;
    random_bytes(file->nonce, sizeof(file->nonce));
    file->base.pMethods = &wal_file_methods;
    if (ret_flags)
        *ret_flags = SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE; /* or it begins no transaction in memory either */
    return SQLITE_OK;
}

static int wal_close(sqlite3_file *f)
{
    struct vfs_file *file = (struct vfs_file *)f;
    struct vfs_store *store = file->store;
    int r = buffer_flush(file);
    free(file->buffer.bytes);
    free(file->scratch);
    LOCK_SCOPE(&store->wal.lock);
    if (--store->wal.users == 0 && store->wal.fd >= 0) {
        close(store->wal.fd);
        store->wal.fd = -1;
        store->wal.frames = 0;
    }
    return r == 0 ? SQLITE_OK : SQLITE_IOERR_CLOSE;
}

static int wal_lock(sqlite3_file *f, int level)
{
    (void)f;
    (void)level;
    return SQLITE_OK;
}

static int wal_check_reserved(sqlite3_file *f, int *ret)
{
    (void)f;
    *ret = 0;
    return SQLITE_OK;
}

static int wal_control(sqlite3_file *f, int op, void *arg)
{
    (void)f;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int wal_sector_size(sqlite3_file *f)
{
    (void)f;
    return 512;
}

static int wal_characteristics(sqlite3_file *f)
{
    (void)f;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

const sqlite3_io_methods wal_file_methods = {
    .iVersion = 1,
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_file_size,
    .xLock = wal_lock,
    .xUnlock = wal_lock,
    .xCheckReservedLock = wal_check_reserved,
    .xFileControl = wal_control,
    .xSectorSize = wal_sector_size,
    .xDeviceCharacteristics = wal_characteristics,
};
