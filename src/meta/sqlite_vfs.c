/* SPDX-License-Identifier: GPL-3.0-or-later
 * The encrypting VFS: what SQLite calls to open, delete and look for files, and the store's files under it.
 *
 * The system calls are made here and in the parts beside it, on descriptors of our own: SQLite's unix VFS
 * would add POSIX locks, which one process that owns the store does not need. Refused are journals and
 * temporary files of any kind. */
#include "meta/sqlite_vfs.h"
#include "meta/meta.h"
#include "util/cleanup.h"
#include "util/reason.h"
#include "util/xaes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- small things the parts share ---- */

int vfs_pread_all(int fd, void *buf, size_t len, off_t at, size_t *ret_len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (uint8_t *)buf + done, len - done, at + (off_t)done);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
    }
    *ret_len = done;
    return 0;
}

int vfs_pwrite_all(int fd, const void *buf, size_t len, off_t at)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(fd, (const uint8_t *)buf + done, len - done, at + (off_t)done);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

int vfs_fsync_dir(const char *dir)
{
    CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

int vfs_write_rc(int r)
{
    if (r == 0)
        return SQLITE_OK;
    if (r == -ENOMEM)
        return SQLITE_IOERR_NOMEM;
    return r == -ENOSPC || r == -EDQUOT || r == -EFBIG ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

void vfs_report(struct vfs_store *store, const char *fmt, ...)
{
    char text[sizeof(store->report)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    pthread_mutex_lock(&store->report_lock);
    memcpy(store->report, text, sizeof(text));
    pthread_mutex_unlock(&store->report_lock);
    if (store->integrity)
        store->integrity(store->integrity_arg, text);
}

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret_flags)
{
    (void)path;
    struct vfs_file *file = (struct vfs_file *)f;
    *file = (struct vfs_file){.store = vfs->pAppData};
    if (!(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        return SQLITE_CANTOPEN;
    file->scratch =
        malloc(file->store->codec.page_size_bytes + WAL_DISK_FRAME_HEADER_BYTES + WAL_DISK_PAGE_EXTRA_BYTES);
    if (!file->scratch)
        return SQLITE_NOMEM;
    if (flags & SQLITE_OPEN_WAL) {
        int rc = wal_file_open(file, ret_flags);
        if (rc != SQLITE_OK)
            free(file->scratch);
        return rc;
    }
    file->base.pMethods = &db_file_methods;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static bool vfs_is_log(const struct vfs_store *store, const char *path)
{
    return strcmp(path, store->wal_path) == 0;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    struct vfs_store *store = vfs->pAppData;
    if (!vfs_is_log(store, path))
        return SQLITE_IOERR_DELETE_NOENT;
    if (store->read_only)
        return SQLITE_IOERR_DELETE;
    if (unlink(path) < 0)
        return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    if (sync_dir && vfs_fsync_dir(store->dir) < 0)
        return SQLITE_IOERR_DIR_FSYNC;
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    (void)flags;
    struct vfs_store *store = vfs->pAppData;
    struct stat st;
    /* An empty log counts as none, as SQLite has it. */
    *ret = vfs_is_log(store, path) && stat(path, &st) == 0 && st.st_size > 0;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int size, char *ret)
{
    (void)vfs;
    return snprintf(ret, (size_t)size, "%s", path) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *ret)
{
    (void)vfs;
    random_bytes(ret, (size_t)len);
    return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    usleep((useconds_t)microseconds);
    return microseconds;
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    (void)vfs;
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    return system->xCurrentTime(system, ret);
}

static int vfs_last_error(sqlite3_vfs *vfs, int len, char *ret)
{
    (void)vfs;
    (void)len;
    (void)ret;
    return errno;
}

/* ---- a store's files ---- */

static int store_paths(struct vfs_store *store, const char *dir)
{
    static const char *const names[] = {"meta.db", "meta.db-wal", "meta.ledger", "meta.root",
                                        "meta.root.new", "meta.redo"};
    char **const paths[] = {&store->db_path, &store->wal_path, &store->ledger_path, &store->root_path,
                            &store->root_temp_path, &store->redo_path};
    store->dir = strdup(dir);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (asprintf(paths[i], "%s/%s", dir, names[i]) < 0) {
            *paths[i] = NULL;
            return -ENOMEM;
        }
    }
    return store->dir ? 0 : -ENOMEM;
}

static int store_open_file(struct vfs_store *store, const char *path, bool create, int *ret,
                           struct reason *reason)
{
    int flags = store->read_only ? O_RDONLY : O_RDWR;
    if (create)
        flags |= O_CREAT | O_EXCL;
    *ret = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*ret >= 0)
        return 0;
    if (errno == EEXIST)
        return reason_fail(reason, EEXIST, "%s is there already: choose an empty directory", path);
    return reason_fail(reason, errno, "%s cannot be opened: %s", path, strerror(errno));
}

static int store_load(struct vfs_store *store, struct reason *reason)
{
    size_t got = 0;
    int r = vfs_pread_all(store->db_fd, store->codec.salt, PAGE_SALT_BYTES, 0, &got);
    if (r < 0)
        return reason_fail(reason, -r, "%s cannot be read: %s", store->db_path, strerror(-r));
    if (got != PAGE_SALT_BYTES)
        return reason_fail(reason, EIO, "%s is cut short: it holds %zu bytes", store->db_path, got);
    r = ledger_load(store, reason);
    if (r < 0)
        return r;
    struct stat st;
    uint64_t need = (uint64_t)ledger_pages(&store->ledger) * store->codec.page_size_bytes;
    if (fstat(store->db_fd, &st) < 0)
        return reason_fail(reason, errno, "%s cannot be read: %s", store->db_path, strerror(errno));
    if ((uint64_t)st.st_size < need)
        return reason_fail(reason, EIO, "%s is cut short: it holds %lld of %llu bytes", store->db_path,
                           (long long)st.st_size, (unsigned long long)need);
    return 0;
}

static int store_open(struct vfs_store *store, bool create, struct reason *reason)
{
    int r = store_open_file(store, store->db_path, create, &store->db_fd, reason);
    if (r == 0)
        r = store_open_file(store, store->ledger_path, create, &store->ledger_fd, reason);
    if (r < 0)
        return r;
    if (!create)
        return store_load(store, reason);
    random_bytes(store->codec.salt, PAGE_SALT_BYTES);
    r = vfs_fsync_dir(store->dir);
    return r < 0 ? reason_fail(reason, -r, "%s cannot be synced: %s", store->dir, strerror(-r)) : 0;
}

static void store_init(struct vfs_store *store, const struct meta_config *config)
{
    store->read_only = config->read_only;
    store->db_fd = store->ledger_fd = store->wal.fd = store->redo.fd = -1;
    store->integrity = config->integrity;
    store->integrity_arg = config->integrity_arg;
    store->codec.page_size_bytes = config->page_size_bytes;
    memcpy(store->codec.store, config->store_id, sizeof(store->codec.store));
    ledger_init(&store->ledger);
    wal_index_init(&store->shm);
    pthread_mutex_init(&store->wal.lock, NULL);
    pthread_cond_init(&store->wal.synced, NULL);
    pthread_mutex_init(&store->db_lock, NULL);
    pthread_mutex_init(&store->report_lock, NULL);
}

static int store_register(struct vfs_store *store)
{
    snprintf(store->name, sizeof(store->name), "holdfs-%p", (void *)store);
    store->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = sizeof(struct vfs_file),
        .mxPathname = 4096,
        .zName = store->name,
        .pAppData = store,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
    };
    return sqlite3_vfs_register(&store->vfs, 0) == SQLITE_OK ? 0 : -ENOMEM;
}

int vfs_store_new(const struct meta_config *config, struct vfs_store **ret, struct reason *reason)
{
    struct vfs_store *store = calloc(1, sizeof(*store));
    if (!store)
        return reason_fail(reason, ENOMEM, "out of memory while opening the metadata");
    store_init(store, config);
    store->codec.key = store->key = xaes_key_new(config->page_key);
    int r = store->key ? store_paths(store, config->dir) : -ENOMEM;
    if (r == 0)
        r = store_register(store);
    if (r < 0)
        r = reason_fail(reason, -r, "out of memory while opening the metadata");
    else
        r = store_open(store, config->create, reason);
    if (r < 0) {
        vfs_store_free(store);
        return r;
    }
    *ret = store;
    return 0;
}

void vfs_store_free(struct vfs_store *store)
{
    if (!store)
        return;
    sqlite3_vfs_unregister(&store->vfs);
    cleanup_close(&store->db_fd);
    cleanup_close(&store->ledger_fd);
    redo_close(store);
    ledger_done(&store->ledger);
    wal_index_done(&store->shm);
    pthread_cond_destroy(&store->wal.synced);
    pthread_mutex_destroy(&store->wal.lock);
    pthread_mutex_destroy(&store->db_lock);
    pthread_mutex_destroy(&store->report_lock);
    xaes_key_free(store->key);
    free(store->dir);
    free(store->db_path);
    free(store->wal_path);
    free(store->ledger_path);
    free(store->root_path);
    free(store->root_temp_path);
    free(store->redo_path);
    free(store);
}

uint64_t vfs_store_log_frames(struct vfs_store *store)
{
    return __atomic_load_n(&store->wal.frames, __ATOMIC_RELAXED);
}

uint64_t vfs_store_log_bytes(struct vfs_store *store)
{
    return vfs_store_log_frames(store) *
           (store->codec.page_size_bytes + WAL_DISK_FRAME_HEADER_BYTES + WAL_DISK_PAGE_EXTRA_BYTES);
}

uint64_t vfs_store_bytes(struct vfs_store *store)
{
    const int fds[] = {store->db_fd, store->ledger_fd, store->wal.fd, store->redo.fd};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        struct stat st;
        if (fds[i] >= 0 && fstat(fds[i], &st) == 0)
            sum += (uint64_t)st.st_size;
    }
    return sum;
}
