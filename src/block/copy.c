/* SPDX-License-Identifier: GPL-3.0-or-later
 * Segments copied into the directory of a backup, which is a local store's: same names, same bytes.
 *
 * Segments are append-only and their numbers are given once, so a file that is a beginning of its segment is only added to.
 * Whether it is one is seen at both its ends: each frame carries its data key's id and a tag, so no two segments agree there.
 * Anything else is written anew beside and takes the old file's place. */
#include "block/block.h"
#include "block/local_dir.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 20, COPY_END_BYTES = 4096 };

struct copying {
    const struct block_copy *copy;
    uint32_t segment;
    int fd;
    uint8_t *buf;
};

static int pread_exactly(int fd, uint8_t *buf, size_t len, uint64_t at)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, buf + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        done += (size_t)n;
    }
    return 0;
}

static int pwrite_exactly(int fd, const uint8_t *buf, size_t len, uint64_t at)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, buf + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        done += (size_t)n;
    }
    return 0;
}

/* 1: the same bytes at [at, at + len), 0: others. */
static int ends_equal(struct copying *c, uint64_t at, size_t len)
{
    uint8_t *theirs = c->buf + COPY_END_BYTES;
    const struct block_copy *copy = c->copy;
    int r = pread_exactly(c->fd, c->buf, len, at);
    if (r == 0)
        r = copy->ops->read(copy->block, (struct block_place){c->segment, at}, theirs, len);
    return r < 0 ? r : memcmp(c->buf, theirs, len) == 0;
}

/* 1: the first `len` bytes of the file are the segment's, as far as its ends tell. */
static int is_beginning(struct copying *c, uint64_t len)
{
    size_t end = len < COPY_END_BYTES ? (size_t)len : COPY_END_BYTES;
    if (!end)
        return 1;
    int r = ends_equal(c, 0, end);
    return r == 1 ? ends_equal(c, len - end, end) : r;
}

static int append_rest(struct copying *c, uint64_t from, uint64_t to)
{
    const struct block_copy *copy = c->copy;
    int r = 0;
    for (uint64_t at = from; r == 0 && at < to;) {
        size_t len = to - at < COPY_BYTES ? (size_t)(to - at) : COPY_BYTES;
        r = copy->ops->read(copy->block, (struct block_place){c->segment, at}, c->buf, len);
        if (r == 0)
            r = pwrite_exactly(c->fd, c->buf, len, at);
        at += len;
        if (r == 0 && copy->fn && copy->fn(copy->arg, len) != 0)
            r = -ECANCELED;
    }
    if (r == 0 && fdatasync(c->fd) < 0)
        r = -errno;
    posix_fadvise(c->fd, 0, 0, POSIX_FADV_DONTNEED);
    struct stat st;
    if (r == 0 && (fstat(c->fd, &st) < 0 || (uint64_t)st.st_size != to))
        r = -EIO;
    return r;
}

static int copy_anew(struct copying *c, const char *name, uint64_t size)
{
    char aside[LOCAL_NAME_BYTES + 8];
    int dir_fd = c->copy->dir_fd;
    snprintf(aside, sizeof aside, "%s.new", name);
    unlinkat(dir_fd, aside, 0);
    CLEANUP_FD int fd = openat(dir_fd, aside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    c->fd = fd;
    int r = append_rest(c, 0, size);
    if (r == 0 && renameat(dir_fd, aside, dir_fd, name) < 0)
        r = -errno;
    if (r < 0)
        unlinkat(dir_fd, aside, 0);
    return r;
}

/* What of the segment is there already; -ENOENT where the file is not (a beginning of) it. */
static int there_already(struct copying *c, const char *name, int flags, uint64_t size, uint64_t *ret)
{
    c->fd = openat(c->copy->dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (c->fd < 0)
        return errno == ENOENT ? -ENOENT : -errno;
    int r = fstat(c->fd, &st) < 0 ? -errno : 0;
    if (r == 0 && (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > size))
        r = -ENOENT;
    if (r == 0)
        r = is_beginning(c, (uint64_t)st.st_size);
    if (r == 1)
        *ret = (uint64_t)st.st_size;
    return r == 0 ? -ENOENT : r < 0 ? r : 0;
}

int block_copy_missing(const struct block_copy *copy, uint32_t segment, uint64_t size, uint64_t *ret)
{
    char name[LOCAL_NAME_BYTES];
    local_name(segment, name);
    CLEANUP_FREE uint8_t *buf = malloc(2 * COPY_END_BYTES);
    if (!buf)
        return -ENOMEM;
    struct copying c = {.copy = copy, .segment = segment, .fd = -1, .buf = buf};
    uint64_t there = 0;
    int r = there_already(&c, name, O_RDONLY, size, &there);
    cleanup_close(&c.fd);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret = size - there;
    return 0;
}

int block_copy_segment(const struct block_copy *copy, uint32_t segment, uint64_t size)
{
    char name[LOCAL_NAME_BYTES];
    local_name(segment, name);
    CLEANUP_FREE uint8_t *buf = malloc(COPY_BYTES);
    if (!buf)
        return -ENOMEM;
    struct copying c = {.copy = copy, .segment = segment, .fd = -1, .buf = buf};
    uint64_t there = 0;
    int r = there_already(&c, name, O_RDWR, size, &there);
    if (r == 0 && there < size)
        r = append_rest(&c, there, size);
    cleanup_close(&c.fd);
    return r == -ENOENT ? copy_anew(&c, name, size) : r;
}

static int segment_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int block_copy_drop_others(int dir_fd, uint32_t *kept, size_t kept_count, uint64_t *ret_removed)
{
    CLEANUP_FREE uint32_t *numbers = NULL;
    size_t count = 0;
    int r = local_dir_numbers(dir_fd, &numbers, &count);
    if (kept_count)
        qsort(kept, kept_count, sizeof *kept, segment_order);
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (kept_count && bsearch(&numbers[i], kept, kept_count, sizeof *kept, segment_order))
            continue;
        char name[LOCAL_NAME_BYTES];
        local_name(numbers[i], name);
        if (unlinkat(dir_fd, name, 0) < 0)
            r = -errno;
        else
            ++*ret_removed;
    }
    return r;
}
