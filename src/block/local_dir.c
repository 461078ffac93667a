/* SPDX-License-Identifier: GPL-3.0-or-later
 * The local store's directory; see local_dir.h. Files that are not named as segments are nobody's business here. */
#include "block/local_dir.h"

#include "util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void local_name(uint32_t segment, char out[LOCAL_NAME_BYTES])
{
    snprintf(out, LOCAL_NAME_BYTES, "%08x.seg", segment);
}

/* The number a file name stands for; 0 when it is no segment's. */
static uint32_t local_name_number(const char *name)
{
    unsigned number;
    char back[LOCAL_NAME_BYTES];
    if (sscanf(name, "%8x", &number) != 1)
        return 0;
    local_name(number, back);
    return strcmp(back, name) ? 0 : number;
}

int local_dir_make(const char *dir)
{
    if (mkdir(dir, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    CLEANUP_FREE char *parent = NULL;
    if (asprintf(&parent, "%s/..", dir) < 0) {
        parent = NULL;
        return -ENOMEM;
    }
    CLEANUP_FD int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

struct numbers {
    uint32_t *list;
    size_t count, cap;
};

static int numbers_add(struct numbers *n, uint32_t number)
{
    if (n->count == n->cap) {
        size_t cap = n->cap ? n->cap * 2 : 256;
        uint32_t *list = realloc(n->list, cap * sizeof *list);
        if (!list)
            return -ENOMEM;
        n->list = list;
        n->cap = cap;
    }
    n->list[n->count++] = number;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int numbers_scan(DIR *dir, struct numbers *found)
{
    const struct dirent *entry;
    for (errno = 0; (entry = readdir(dir)); errno = 0) {
        uint32_t number = local_name_number(entry->d_name);
        int r = number ? numbers_add(found, number) : 0;
        if (r < 0)
            return r;
    }
    return -errno;
}

int local_dir_numbers(int dir_fd, uint32_t **ret_numbers, size_t *ret_count)
{
    /* Opened anew: a duplicate would share the position with other scans. */
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    struct numbers found = {0};
    int r = numbers_scan(dir, &found);
    closedir(dir);
    if (r < 0) {
        free(found.list);
        return r;
    }
    if (found.count)
        qsort(found.list, found.count, sizeof *found.list, compare_numbers);
    *ret_numbers = found.list;
    *ret_count = found.count;
    return 0;
}
