/* SPDX-License-Identifier: GPL-3.0-or-later
 * A preloaded library that writes down what a process does to the files below one directory: names, bytes, syncs.
 *
 * tests/crash/powercut.py runs the daemon with it; tests/crash/replay.py reads the log and builds what a power cut may leave.
 * HOLDFS_RECORD_DIR names the directory (absolute, real), HOLDFS_RECORD_LOG the log. A change is logged after it was made and
 * before its caller goes on; a sync is logged twice, before and after: what stands in the log before the first is covered
 * once the second is there. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum record_kind {
    RECORD_OPEN = 1,
    RECORD_CLOSE,
    RECORD_WRITE,
    RECORD_TRUNCATE,
    RECORD_SYNC_BEGIN,
    RECORD_SYNC_END,
    RECORD_RENAME,
    RECORD_UNLINK,
    RECORD_MKDIR,
    RECORD_RMDIR,
    RECORD_LINK,
    RECORD_ALLOCATE,
    RECORD_UNKNOWN, /* a change this library does not understand: the test must not pass on it */
};

struct record_head { /* replay.py: HEAD */
    uint32_t kind;
    int32_t fd;
    uint64_t a, b;
    uint32_t len1, len2;
};

enum { FD_MAX = 4096 };

static _Atomic bool tracked[FD_MAX];
static _Atomic uint64_t sync_count;
static int log_fd = -1;
static char dir[PATH_MAX];
static size_t dir_len;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define REAL(ret, name, ...)                                                                                                   \
    static ret (*real)(__VA_ARGS__);                                                                                           \
    if (!real)                                                                                                                 \
        *(void **)&real = dlsym(RTLD_NEXT, name);                                                                              \
    if (environ) /* a sanitizer's library makes directories before it is there */                                              \
        pthread_once(&once, start)

static void start(void) {
    const char *d = getenv("HOLDFS_RECORD_DIR"), *l = getenv("HOLDFS_RECORD_LOG");
    if (!d || !l)
        return;
    dir_len = strlen(d);
    if (dir_len >= sizeof dir)
        abort();
    memcpy(dir, d, dir_len + 1);
    int (*real_open)(const char *, int, ...) = NULL;
    *(void **)&real_open = dlsym(RTLD_NEXT, "open");
    int fd = real_open(l, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        abort();
    log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900); /* out of the way of the daemon's numbers */
    if (log_fd < 0)
        log_fd = fd;
}

static void put(enum record_kind kind, int fd, uint64_t a, uint64_t b, const void *one, size_t len1, const void *two,
                size_t len2) {
    if (log_fd < 0)
        return;
    int saved = errno;
    struct record_head head = {kind, fd, a, b, (uint32_t)len1, (uint32_t)len2};
    struct iovec v[3] = {{&head, sizeof head}, {(void *)one, len1}, {(void *)two, len2}};
    static ssize_t (*real_writev)(int, const struct iovec *, int);
    if (!real_writev)
        *(void **)&real_writev = dlsym(RTLD_NEXT, "writev");
    if (real_writev(log_fd, v, 3) != (ssize_t)(sizeof head + len1 + len2))
        abort();
    errno = saved;
}

static bool is_tracked(int fd) { return fd >= 0 && fd < FD_MAX && tracked[fd]; }

/* The path below the directory ("" itself), or NULL when it lies elsewhere. buf holds PATH_MAX. */
static const char *inside(int at, const char *path, char *buf) {
    if (!dir_len || !path)
        return NULL;
    if (path[0] != '/') {
        char link[64];
        snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
        ssize_t n = readlink(link, buf, PATH_MAX - 1);
        if (n < 0 || (size_t)n + strlen(path) + 2 > PATH_MAX)
            return NULL;
        buf[n] = '/';
        memcpy(buf + n + 1, path, strlen(path) + 1);
        path = buf;
    }
    if (strncmp(path, dir, dir_len) != 0 || (path[dir_len] != '/' && path[dir_len]))
        return NULL;
    path += dir_len;
    while (*path == '/')
        path++;
    return path;
}

static int opened(int fd, int at, const char *path, int flags) {
    char buf[PATH_MAX];
    int saved = errno;
    const char *rel = fd >= 0 ? inside(at, path, buf) : NULL;
    errno = saved;
    if (!rel)
        return fd;
    if (fd >= FD_MAX || (flags & O_TMPFILE) == O_TMPFILE)
        put(RECORD_UNKNOWN, fd, 0, 0, rel, strlen(rel), NULL, 0);
    else
        tracked[fd] = true;
    put(RECORD_OPEN, fd, (uint64_t)flags, 0, rel, strlen(rel), NULL, 0);
    return fd;
}

static mode_t mode_of(int flags, va_list *ap) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(*ap, mode_t) : 0;
}

#define OPEN(name)                                                                                                             \
    int name(const char *path, int flags, ...) {                                                                               \
        REAL(int, #name, const char *, int, ...);                                                                              \
        va_list ap;                                                                                                            \
        va_start(ap, flags);                                                                                                   \
        mode_t mode = mode_of(flags, &ap);                                                                                     \
        va_end(ap);                                                                                                            \
        return opened(real(path, flags, mode), AT_FDCWD, path, flags);                                                         \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                                           \
    int name(int at, const char *path, int flags, ...) {                                                                       \
        REAL(int, #name, int, const char *, int, ...);                                                                         \
        va_list ap;                                                                                                            \
        va_start(ap, flags);                                                                                                   \
        mode_t mode = mode_of(flags, &ap);                                                                                     \
        va_end(ap);                                                                                                            \
        return opened(real(at, path, flags, mode), at, path, flags);                                                           \
    }
OPENAT(openat)
OPENAT(openat64)

/* What _FORTIFY_SOURCE calls instead. */
#define OPEN_2(name)                                                                                                           \
    int name(const char *path, int flags);                                                                                     \
    int name(const char *path, int flags) {                                                                                    \
        REAL(int, #name, const char *, int);                                                                                   \
        return opened(real(path, flags), AT_FDCWD, path, flags);                                                               \
    }
OPEN_2(__open_2)
OPEN_2(__open64_2)

#define OPENAT_2(name)                                                                                                         \
    int name(int at, const char *path, int flags);                                                                             \
    int name(int at, const char *path, int flags) {                                                                            \
        REAL(int, #name, int, const char *, int);                                                                              \
        return opened(real(at, path, flags), at, path, flags);                                                                 \
    }
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)

int close(int fd) {
    REAL(int, "close", int);
    if (is_tracked(fd)) {
        tracked[fd] = false;
        put(RECORD_CLOSE, fd, 0, 0, NULL, 0, NULL, 0);
    }
    return real(fd);
}

static ssize_t wrote(int fd, const void *data, ssize_t n, int64_t offset) {
    if (n <= 0 || !is_tracked(fd))
        return n;
    if (offset < 0)
        offset = lseek(fd, 0, SEEK_CUR) - n;
    put(RECORD_WRITE, fd, (uint64_t)offset, 0, data, (size_t)n, NULL, 0);
    return n;
}

ssize_t write(int fd, const void *data, size_t len) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return wrote(fd, data, real(fd, data, len), -1);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    return wrote(fd, data, real(fd, data, len, offset), offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return wrote(fd, data, real(fd, data, len, offset), offset);
}

static ssize_t wrote_vector(int fd, const struct iovec *v, int count, ssize_t n, int64_t offset) {
    if (n <= 0 || !is_tracked(fd))
        return n;
    if (offset < 0)
        offset = lseek(fd, 0, SEEK_CUR) - n;
    size_t left = (size_t)n;
    for (int i = 0; i < count && left; i++) {
        size_t part = v[i].iov_len < left ? v[i].iov_len : left;
        if (part)
            put(RECORD_WRITE, fd, (uint64_t)offset, 0, v[i].iov_base, part, NULL, 0);
        offset += (int64_t)part;
        left -= part;
    }
    return n;
}

ssize_t writev(int fd, const struct iovec *v, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return wrote_vector(fd, v, count, real(fd, v, count), -1);
}

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t offset) {
    REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
    return wrote_vector(fd, v, count, real(fd, v, count, offset), offset);
}

ssize_t pwritev64(int fd, const struct iovec *v, int count, off64_t offset) {
    REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off64_t);
    return wrote_vector(fd, v, count, real(fd, v, count, offset), offset);
}

static int cut(int fd, int result, int64_t size) {
    if (!result && is_tracked(fd))
        put(RECORD_TRUNCATE, fd, (uint64_t)size, 0, NULL, 0, NULL, 0);
    return result;
}

int ftruncate(int fd, off_t size) {
    REAL(int, "ftruncate", int, off_t);
    return cut(fd, real(fd, size), size);
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    return cut(fd, real(fd, size), size);
}

static int allocated(int fd, int result, int mode, int64_t offset, int64_t len) {
    if (!result && is_tracked(fd)) {
        uint64_t range[2] = {(uint64_t)offset, (uint64_t)len};
        put(RECORD_ALLOCATE, fd, (uint64_t)mode, 0, range, sizeof range, NULL, 0);
    }
    return result;
}

int fallocate(int fd, int mode, off_t offset, off_t len) {
    REAL(int, "fallocate", int, int, off_t, off_t);
    return allocated(fd, real(fd, mode, offset, len), mode, offset, len);
}

int posix_fallocate(int fd, off_t offset, off_t len) {
    REAL(int, "posix_fallocate", int, off_t, off_t);
    return allocated(fd, real(fd, offset, len), 0, offset, len);
}

#define SYNC(name)                                                                                                             \
    int name(int fd) {                                                                                                         \
        REAL(int, #name, int);                                                                                                 \
        bool track = is_tracked(fd);                                                                                           \
        uint64_t number = track ? atomic_fetch_add(&sync_count, 1) : 0;                                                        \
        if (track)                                                                                                             \
            put(RECORD_SYNC_BEGIN, fd, 0, number, NULL, 0, NULL, 0);                                                           \
        int result = real(fd);                                                                                                 \
        if (track && !result)                                                                                                  \
            put(RECORD_SYNC_END, fd, 0, number, NULL, 0, NULL, 0);                                                             \
        return result;                                                                                                         \
    }
SYNC(fsync)
SYNC(fdatasync)

static void named(enum record_kind kind, int result, int at1, const char *one, int at2, const char *two) {
    if (result < 0)
        return;
    char buf1[PATH_MAX], buf2[PATH_MAX];
    const char *a = inside(at1, one, buf1), *b = two ? inside(at2, two, buf2) : NULL;
    if (!a && !b)
        return;
    if (!a || (two && !b))
        put(RECORD_UNKNOWN, -1, 0, 0, one, strlen(one), NULL, 0);
    else
        put(kind, -1, 0, 0, a, strlen(a), b, b ? strlen(b) : 0);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    int result = real(from, to);
    named(RECORD_RENAME, result, AT_FDCWD, from, AT_FDCWD, to);
    return result;
}

int renameat(int at1, const char *from, int at2, const char *to) {
    REAL(int, "renameat", int, const char *, int, const char *);
    int result = real(at1, from, at2, to);
    named(RECORD_RENAME, result, at1, from, at2, to);
    return result;
}

int renameat2(int at1, const char *from, int at2, const char *to, unsigned flags) {
    REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
    int result = real(at1, from, at2, to, flags);
    named(flags & ~(unsigned)RENAME_NOREPLACE ? RECORD_UNKNOWN : RECORD_RENAME, result, at1, from, at2, to);
    return result;
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    int result = real(path);
    named(RECORD_UNLINK, result, AT_FDCWD, path, AT_FDCWD, NULL);
    return result;
}

int unlinkat(int at, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    int result = real(at, path, flags);
    named(flags & AT_REMOVEDIR ? RECORD_RMDIR : RECORD_UNLINK, result, at, path, AT_FDCWD, NULL);
    return result;
}

int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    int result = real(path);
    named(RECORD_RMDIR, result, AT_FDCWD, path, AT_FDCWD, NULL);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    int result = real(path, mode);
    named(RECORD_MKDIR, result, AT_FDCWD, path, AT_FDCWD, NULL);
    return result;
}

int mkdirat(int at, const char *path, mode_t mode) {
    REAL(int, "mkdirat", int, const char *, mode_t);
    int result = real(at, path, mode);
    named(RECORD_MKDIR, result, at, path, AT_FDCWD, NULL);
    return result;
}

int link(const char *from, const char *to) {
    REAL(int, "link", const char *, const char *);
    int result = real(from, to);
    named(RECORD_LINK, result, AT_FDCWD, from, AT_FDCWD, to);
    return result;
}

int linkat(int at1, const char *from, int at2, const char *to, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    int result = real(at1, from, at2, to, flags);
    named(RECORD_LINK, result, at1, from, at2, to);
    return result;
}

ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t len, unsigned flags) {
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    if (is_tracked(out))
        put(RECORD_UNKNOWN, out, 0, 0, "copy_file_range", 15, NULL, 0);
    return real(in, in_offset, out, out_offset, len, flags);
}
