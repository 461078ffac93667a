/* SPDX-License-Identifier: GPL-3.0-or-later
 * A folder of flat files for one test, removed with all that is in it. */
#ifndef HOLDFS_TESTS_TEMPDIR_H
#define HOLDFS_TESTS_TEMPDIR_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct tempdir {
    char path[64];
};

static inline void tempdir_make(struct tempdir *d)
{
    snprintf(d->path, sizeof d->path, "/tmp/holdfs-unit-XXXXXX");
    assert_non_null(mkdtemp(d->path));
}

static inline void tempdir_remove(struct tempdir *d)
{
    DIR *dir = opendir(d->path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    assert_int_equal(rmdir(d->path), 0);
}

/* The path of a file in it; the caller frees. */
static inline char *tempdir_path(const struct tempdir *d, const char *name)
{
    char *path;
    assert_true(asprintf(&path, "%s/%s", d->path, name) > 0);
    return path;
}

static inline void tempdir_write(const struct tempdir *d, const char *name, const void *bytes, size_t len,
                                 mode_t mode)
{
    char *path = tempdir_path(d, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    free(path);
}

/* The whole file with a terminating zero; the caller frees. */
static inline char *tempdir_read(const struct tempdir *d, const char *name, size_t *ret_len)
{
    char *path = tempdir_path(d, name), *bytes = calloc(1, 1 << 20);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, bytes, (1 << 20) - 1);
    assert_true(n >= 0);
    close(fd);
    free(path);
    *ret_len = (size_t)n;
    return bytes;
}

#endif
