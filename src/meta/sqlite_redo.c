/* SPDX-License-Identifier: GPL-3.0-or-later
 * The row log, meta.redo: what committed transactions changed, row by row, until SQLite commits many of them at once.
 *
 * A commit of SQLite's writes each page it touched, nine for a rename. So a transaction ends by appending the statements it ran,
 * some hundred bytes, and SQLite's own goes on; it commits (sqlite.c) when the row log is full, once a second, and before
 * whatever looks at the database's files. Opening runs again what a killed daemon left.
 *
 * A record belongs to the commit it stands on and to the record before it: its additional data holds that commit's number and
 * the tag of its predecessor, so what earlier rounds left in the file never opens. The file has its length from the start and
 * is overwritten in place, so that a sync of it moves no metadata of the filesystem below.
 *
 * Starting over is allowed once the commit that holds the records is as durable as they were promised to be. */
#include "meta/sqlite_vfs.h"
#include "util/bytes.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
    REDO_FILE_BYTES = 512 << 10, /* some hundred transactions: what opening after a kill runs again in milliseconds */
    REDO_LONG_BYTES = 64 << 10,  /* a transaction of that much fills pages of its own: it gains nothing from waiting for others */
    REDO_HEAD_BYTES = 4,         /* length of the record's plaintext */
};

static int redo_fill(int fd)
{
    CLEANUP_FREE uint8_t *zeros = calloc(1, REDO_FILE_BYTES);
    int r = zeros ? vfs_pwrite_all(fd, zeros, REDO_FILE_BYTES, 0) : -ENOMEM;
    return r == 0 && fdatasync(fd) < 0 ? -errno : r;
}

int redo_open(struct vfs_store *store)
{
    struct redo *redo = &store->redo;
    struct stat st;
    redo->fd = open(store->redo_path, (store->read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (redo->fd < 0)
        return store->read_only && errno == ENOENT ? 0 : -errno;
    if (store->read_only)
        return 0;
    if (fstat(redo->fd, &st) < 0)
        return -errno;
    random_bytes(redo->nonce, sizeof redo->nonce);
    if (st.st_size >= REDO_FILE_BYTES)
        return 0;
    if (fstat(store->db_fd, &st) < 0 || (geteuid() != st.st_uid && fchown(redo->fd, st.st_uid, st.st_gid) < 0))
        return -errno; /* it stays, and whose the store is must be able to open it */
    int r = redo_fill(redo->fd);
    return r < 0 ? r : vfs_fsync_dir(store->dir);
}

static void redo_begin(struct redo *redo, uint64_t base)
{
    redo->at = 0;
    redo->base = base;
    memset(redo->chain, 0, sizeof redo->chain);
}

int redo_append(struct vfs_store *store, const void *rows, size_t len)
{
    struct redo *redo = &store->redo;
    size_t size = REDO_HEAD_BYTES + len + XAES_OVERHEAD_BYTES;
    if (redo->fd < 0 || redo->failed || len > REDO_LONG_BYTES || size > REDO_FILE_BYTES - redo->at)
        return -ENOSPC;
    redo->record.len = 0;
    bytes_put_u32(&redo->record, (uint32_t)len);
    if (size > redo->record.cap && !redo->record.failed) { /* room for what is sealed straight into it */
        uint8_t *grown = realloc(redo->record.data, size);
        if (!grown)
            return -ENOMEM;
        redo->record.data = grown;
        redo->record.cap = size;
    }
    if (redo->record.failed)
        return -ENOMEM;
    xaes_nonce_count(redo->nonce);
    uint8_t *sealed = redo->record.data + REDO_HEAD_BYTES;
    int r = redo_record_seal(&store->codec, redo->base, redo->chain, redo->nonce, rows, len, sealed);
    if (r == 0)
        r = vfs_pwrite_all(redo->fd, redo->record.data, size, (off_t)redo->at);
    __atomic_add_fetch(&redo->written, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&store->wal.written, 1, __ATOMIC_SEQ_CST); /* last: who sees it is to find the file unsynced */
    if (r < 0)
        return r;
    memcpy(redo->chain, redo->record.data + size - XAES_TAG_BYTES, sizeof redo->chain);
    redo->at += size;
    return 0;
}

/* A sync that runs meanwhile either sees the records as unsynced, and has said so in `relied` before it looks at the log of pages;
 * or it sees them as synced, which they are called only after the commit is in that log (sync_files). */
void redo_restart(struct vfs_store *store, uint64_t base)
{
    struct redo *redo = &store->redo;
    if (redo->fd < 0)
        return;
    __atomic_store_n(&redo->durable, __atomic_load_n(&redo->written, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&redo->relied, false, __ATOMIC_SEQ_CST) && vfs_store_sync(store) < 0)
        redo->failed = true;
    redo_begin(redo, base);
}

int redo_wipe(struct vfs_store *store)
{
    struct redo *redo = &store->redo;
    if (redo->fd < 0 || store->read_only)
        return 0;
    return redo_fill(redo->fd);
}

int redo_read(struct vfs_store *store, uint64_t base, int (*fn)(void *arg, const uint8_t *rows, size_t len), void *arg)
{
    struct redo *redo = &store->redo;
    redo_begin(redo, base);
    if (redo->fd < 0)
        return 0;
    CLEANUP_FREE uint8_t *file = malloc(REDO_FILE_BYTES);
    size_t got = 0;
    int r = file ? vfs_pread_all(redo->fd, file, REDO_FILE_BYTES, 0, &got) : -ENOMEM;
    while (r == 0 && got - redo->at > REDO_HEAD_BYTES + XAES_OVERHEAD_BYTES) {
        uint8_t *record = file + redo->at;
        struct reader head = reader_over(record, REDO_HEAD_BYTES);
        uint32_t len = reader_u32(&head);
        if (len > got - redo->at - REDO_HEAD_BYTES - XAES_OVERHEAD_BYTES)
            break;
        uint8_t *sealed = record + REDO_HEAD_BYTES, *rows = sealed + XAES_NONCE_BYTES, *tag = rows + len, next[XAES_TAG_BYTES];
        memcpy(next, tag, sizeof next);
        if (redo_record_open(&store->codec, base, redo->chain, sealed, rows, len) < 0)
            break; /* the end, as with the log of pages */
        r = fn(arg, rows, len);
        memcpy(redo->chain, next, sizeof next);
        redo->at += REDO_HEAD_BYTES + len + XAES_OVERHEAD_BYTES;
    }
    return r;
}

void redo_close(struct vfs_store *store)
{
    cleanup_close(&store->redo.fd);
    bytes_done(&store->redo.record);
}
