/* SPDX-License-Identifier: GPL-3.0-or-later
 * The bytes of store.hdr and store.hdr.2 on disk: reading without trust, replacing without a moment in which
 * neither is whole. What the bytes mean is header_line.c's. */
#include "kms/internal.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

const char *const header_file_names[2] = {"store.hdr", "store.hdr.2"};

/* The bytes read; -EFBIG when there are more than cap. */
static ssize_t read_whole(int fd, char *out, size_t cap)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, out + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return (ssize_t)len;
        len += (size_t)n;
        if (len == cap)
            return -EFBIG;
    }
}

static void header_file_split(struct header_file *f)
{
    const char *newline = memchr(f->bytes, '\n', f->len);
    if (!newline)
        return;
    size_t line_len = (size_t)(newline - f->bytes), rest = f->len - line_len - 1;
    if (rest == HEADER_MAC_CHARS + 1 && newline[rest] == '\n') {
        f->line_len = line_len;
        f->mac = newline + 1;
    }
}

void header_file_read(int dir_fd, const char *name, struct header_file *ret)
{
    *ret = (struct header_file){0};
    CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        ret->error = errno;
        return;
    }
    CLEANUP_FREE char *bytes = malloc(LIMIT_HEADER_BYTES);
    if (!bytes) {
        ret->error = ENOMEM;
        return;
    }
    ssize_t n = read_whole(fd, bytes, LIMIT_HEADER_BYTES);
    if (n < 0) {
        ret->error = (int)-n;
        return;
    }
    ret->bytes = bytes;
    ret->len = (size_t)n;
    bytes = NULL;
    header_file_split(ret);
}

void header_file_done(struct header_file *f)
{
    free(f->bytes);
    *f = (struct header_file){0};
}

static int write_whole(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int header_lock(int dir_fd)
{
    int r;
    do {
        r = flock(dir_fd, LOCK_EX);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

/* ---- what is replaced: it holds wraps and secrets that are to open nothing any more ---- */

static void old_name(const char *name, char out[32])
{
    snprintf(out, 32, "%s.old", name);
}

/* Zeros over all of it, then away with it. */
static void old_wipe(int dir_fd, const char *name)
{
    static const char zeros[LIMIT_HEADER_BYTES];
    char old[32];
    struct stat st;
    old_name(name, old);
    CLEANUP_FD int fd = openat(dir_fd, old, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    /* A link that is the file in use came from a crash before the rename. */
    struct stat current;
    bool in_use = fstat(fd, &st) < 0 || (fstatat(dir_fd, name, &current, AT_SYMLINK_NOFOLLOW) == 0 &&
                                         current.st_ino == st.st_ino && current.st_dev == st.st_dev);
    size_t len = in_use || st.st_size < 0 ? 0 : (size_t)st.st_size;
    if (len && write_whole(fd, zeros, len < sizeof zeros ? len : sizeof zeros) < 0)
        log_warning("%s cannot be overwritten before it is removed: %s", old, strerror(errno));
    unlinkat(dir_fd, old, 0);
}

void header_file_tidy(int dir_fd)
{
    for (int i = 0; i < 2; i++)
        old_wipe(dir_fd, header_file_names[i]);
}

/* The new file belongs to whom the old one did. */
static int owner_keep(int dir_fd, const char *name, int fd)
{
    struct stat was, is;
    if (fstatat(dir_fd, name, &was, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (fstat(fd, &is) < 0)
        return -errno;
    if (is.st_uid == was.st_uid && is.st_gid == was.st_gid)
        return 0;
    return fchown(fd, was.st_uid, was.st_gid) < 0 ? -errno : 0;
}

int header_file_write(int dir_fd, const char *name, const char *bytes, size_t len)
{
    char temporary[32], old[32];
    snprintf(temporary, sizeof temporary, "%s.new", name);
    old_name(name, old);
    unlinkat(dir_fd, temporary, 0); /* what a crash left */
    old_wipe(dir_fd, name);
    CLEANUP_FD int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = owner_keep(dir_fd, name, fd);
    if (r == 0)
        r = write_whole(fd, bytes, len);
    if (r == 0 && linkat(dir_fd, name, dir_fd, old, 0) < 0 && errno != ENOENT)
        log_warning("%s is replaced without being overwritten: %s", name, strerror(errno));
    if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
        r = -errno;
    if (r == 0 && fsync(dir_fd) < 0)
        return -errno; /* the old one is kept: which of them is on disk is not known */
    if (r < 0)
        unlinkat(dir_fd, temporary, 0);
    old_wipe(dir_fd, name);
    return r;
}
