/* SPDX-License-Identifier: GPL-3.0-or-later
 * The bytes of store.hdr and store.hdr.2 on disk: reading without trust, replacing without a moment in which
 * neither is whole. What the bytes mean is header_line.c's. */
#include "kms/internal.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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

int header_file_write(int dir_fd, const char *name, const char *bytes, size_t len)
{
    char temporary[32];
    snprintf(temporary, sizeof temporary, "%s.new", name);
    unlinkat(dir_fd, temporary, 0); /* what a crash left */
    CLEANUP_FD int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = write_whole(fd, bytes, len);
    if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(dir_fd, temporary, 0);
        return r;
    }
    return fsync(dir_fd) < 0 ? -errno : 0;
}
