/* SPDX-License-Identifier: GPL-3.0-or-later
 * The hot loops of tests/bench/fs.py: does one kind of work on a file or directory and prints the seconds it took.
 *
 * usage: fsload WORK PATH [NUMBER...]; see works[] for the numbers each takes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "fsload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void need(int ok, const char *what)
{
    if (!ok)
        fail(what);
}

/* Content that neither compresses nor repeats; a cheap generator, so that it is not what is measured. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void *random_block(uint64_t size)
{
    uint64_t state = 42;
    uint64_t *block = malloc(size + 8);
    need(block != NULL, "malloc");
    for (uint64_t i = 0; i < (size + 7) / 8; i++)
        block[i] = next_random(&state);
    return block;
}

static int open_or_fail(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);
    need(fd >= 0, path);
    return fd;
}

/* size, block: written from the start, then fsync */
static void seq_write(const char *path, const uint64_t *n)
{
    uint64_t *block = random_block(n[1]);
    int fd = open_or_fail(path, O_WRONLY | O_CREAT | O_TRUNC);
    for (uint64_t at = 0; at < n[0]; at += n[1]) {
        block[0] = at;
        need(pwrite(fd, block, n[1], (off_t)at) == (ssize_t)n[1], "write");
    }
    need(fsync(fd) == 0, "fsync");
    need(close(fd) == 0, "close");
    free(block);
}

/* size, block */
static void seq_read(const char *path, const uint64_t *n)
{
    char *block = random_block(n[1]);
    int fd = open_or_fail(path, O_RDONLY);
    for (uint64_t at = 0; at < n[0]; at += n[1])
        need(pread(fd, block, n[1], (off_t)at) == (ssize_t)n[1], "read");
    need(close(fd) == 0, "close");
    free(block);
}

/* size, block, count: at random places, then fsync */
static void random_write(const char *path, const uint64_t *n)
{
    uint64_t *block = random_block(n[1]), state = 7;
    int fd = open_or_fail(path, O_WRONLY);
    for (uint64_t i = 0; i < n[2]; i++) {
        block[0] = i;
        off_t at = (off_t)(next_random(&state) % (n[0] / n[1]) * n[1]);
        need(pwrite(fd, block, n[1], at) == (ssize_t)n[1], "write");
    }
    need(fsync(fd) == 0, "fsync");
    need(close(fd) == 0, "close");
    free(block);
}

/* size, block, count */
static void random_read(const char *path, const uint64_t *n)
{
    char *block = random_block(n[1]);
    uint64_t state = 9;
    int fd = open_or_fail(path, O_RDONLY);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    for (uint64_t i = 0; i < n[2]; i++) {
        off_t at = (off_t)(next_random(&state) % (n[0] / n[1]) * n[1]);
        need(pread(fd, block, n[1], at) == (ssize_t)n[1], "read");
    }
    need(close(fd) == 0, "close");
    free(block);
}

/* count, block: fdatasync after each */
static void append_sync(const char *path, const uint64_t *n)
{
    char *block = random_block(n[1]);
    int fd = open_or_fail(path, O_WRONLY | O_CREAT | O_APPEND);
    for (uint64_t i = 0; i < n[0]; i++) {
        need(write(fd, block, n[1]) == (ssize_t)n[1], "append");
        need(fdatasync(fd) == 0, "fdatasync");
    }
    need(close(fd) == 0, "close");
    free(block);
}

/* middle, length: a few bytes in place, then fsync */
static void edit(const char *path, const uint64_t *n)
{
    char *block = random_block(n[1]);
    int fd = open_or_fail(path, O_WRONLY);
    need(pwrite(fd, block, n[1], (off_t)n[0]) == (ssize_t)n[1], "write");
    need(fsync(fd) == 0, "fsync");
    need(close(fd) == 0, "close");
    free(block);
}

static const char *nth(char *buf, const char *dir, const char *prefix, uint64_t i)
{
    snprintf(buf, 4096, "%s/%s%06" PRIu64, dir, prefix, i);
    return buf;
}

/* count, size: as an unpacking archive does, without fsync */
static void create(const char *dir, const uint64_t *n)
{
    char path[4096], *block = random_block(n[1]);
    need(mkdir(dir, 0755) == 0 || errno == EEXIST, dir);
    for (uint64_t i = 0; i < n[0]; i++) {
        int fd = open_or_fail(nth(path, dir, "f", i), O_WRONLY | O_CREAT | O_EXCL);
        need(write(fd, block, n[1]) == (ssize_t)n[1], "write");
        need(close(fd) == 0, "close");
    }
    free(block);
}

/* count */
static void stat_all(const char *dir, const uint64_t *n)
{
    char path[4096];
    struct stat st;
    for (uint64_t i = 0; i < n[0]; i++)
        need(stat(nth(path, dir, "f", i), &st) == 0, path);
}

/* count, size */
static void read_all(const char *dir, const uint64_t *n)
{
    char path[4096], *block = random_block(n[1]);
    for (uint64_t i = 0; i < n[0]; i++) {
        int fd = open_or_fail(nth(path, dir, "f", i), O_RDONLY);
        need(read(fd, block, n[1]) == (ssize_t)n[1], "read");
        need(close(fd) == 0, "close");
    }
    free(block);
}

/* count */
static void rename_all(const char *dir, const uint64_t *n)
{
    char from[4096], to[4096];
    for (uint64_t i = 0; i < n[0]; i++)
        need(rename(nth(from, dir, "f", i), nth(to, dir, "g", i)) == 0, from);
}

/* count */
static void unlink_all(const char *dir, const uint64_t *n)
{
    char path[4096];
    for (uint64_t i = 0; i < n[0]; i++)
        need(unlink(nth(path, dir, "g", i)) == 0, path);
}

static const struct work {
    const char *name;
    int numbers;
    void (*run)(const char *path, const uint64_t *n);
} works[] = {
    {"seq-write", 2, seq_write},   {"seq-read", 2, seq_read},   {"random-write", 3, random_write},
    {"random-read", 3, random_read}, {"append-sync", 2, append_sync}, {"edit", 2, edit},
    {"create", 2, create},         {"stat", 1, stat_all},       {"read", 2, read_all},
    {"rename", 1, rename_all},     {"unlink", 1, unlink_all},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 3 && i < sizeof works / sizeof works[0]; i++) {
        if (strcmp(argv[1], works[i].name) != 0 || argc != 3 + works[i].numbers)
            continue;
        uint64_t numbers[3] = {0};
        for (int k = 0; k < works[i].numbers; k++)
            numbers[k] = strtoull(argv[3 + k], NULL, 10);
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        works[i].run(argv[2], numbers);
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%.6f\n", (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
        return 0;
    }
    fprintf(stderr, "usage: fsload WORK PATH [NUMBER...]\n");
    return 2;
}
