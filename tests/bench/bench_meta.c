/* SPDX-License-Identifier: GPL-3.0-or-later
 * Measures a metadata engine: usage bench_meta DIR PAGE_SIZE [OBJECTS]. DIR must be empty. Prints one line
 * per figure. */
#include "meta/meta.h"
#include "util/cleanup.h"
#include "util/reason.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct meta_ops *ops;
static struct meta *meta;
static uint64_t next_seq = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* what the engine's is */

static void must(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "bench_meta: %s: %s\n", what, strerror(-r));
        exit(1);
    }
}

static struct span key_of(uint64_t i, char out[64])
{
    int len =
        snprintf(out, 64, "dir%03llu/object-%08llu", (unsigned long long)(i % 500), (unsigned long long)i);
    return span_of(out, (size_t)len);
}

/* What one close(2) of a new small file writes: name, inode, version, a counter. */
static void publish(uint64_t i)
{
    static const uint8_t body[180];
    char text[64];
    struct span key = key_of(i, text);
    struct tree_row tree = {.bucket = 1, .key = key, .ino = i + 2, .kind = TREE_OBJECT};
    struct inode_row inode = {.ino = i + 2, .bucket = 1, .key = key, .body = span_of(body, 24)};
    struct version_row version = {
        .bucket = 1, .key = key, .seq = next_seq++, .ino = i + 2, .body = span_of(body, sizeof(body))};
    LOCK_SCOPE(&lock);
    must(ops->begin(meta), "begin");
    must(ops->tree_put(meta, &tree), "tree_put");
    must(ops->inode_put(meta, &inode), "inode_put");
    must(ops->version_put(meta, &version), "version_put");
    must(ops->value_put(meta, "next", span_of(&next_seq, sizeof(next_seq))), "value_put");
    must(ops->commit(meta), "commit");
}

/* Wall and CPU time since the last call; on a busy machine the second is the one to compare. */
static struct timespec wall_from, cpu_from;

static void start(void)
{
    clock_gettime(CLOCK_MONOTONIC, &wall_from);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_from);
}

static double elapsed_us(clockid_t clock, const struct timespec *from)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)(now.tv_sec - from->tv_sec) * 1e6 + (double)(now.tv_nsec - from->tv_nsec) / 1e3;
}

static void report(const char *what, uint64_t count)
{
    double wall = elapsed_us(CLOCK_MONOTONIC, &wall_from) / (double)count;
    double cpu = elapsed_us(CLOCK_PROCESS_CPUTIME_ID, &cpu_from) / (double)count;
    printf("%-32s %10.2f us each (CPU %8.2f us) %10.0f /s\n", what, wall, cpu, 1e6 / wall);
}

static int count_version(void *arg, const struct version_row *row)
{
    *(uint64_t *)arg += row->seq > 0;
    return 0;
}

static void measure_reads(uint64_t objects)
{
    char text[64];
    struct tree_row tree;
    struct inode_row inode;
    uint64_t reads = 200000, found = 0;
    for (int round = 0; round < 2; round++) {
        start();
        for (uint64_t i = 0; i < reads; i++)
            must(ops->tree_get(meta, 1, key_of((i * 7919) % objects, text), &tree), "tree_get");
        report(round ? "tree_get, warm" : "tree_get, first round", reads);
    }
    start();
    for (uint64_t i = 0; i < reads; i++)
        must(ops->inode_get(meta, (i * 7919) % objects + 2, &inode), "inode_get");
    report("inode_get", reads);
    start();
    must(ops->version_scan_since(meta, 0, count_version, &found), "version_scan_since");
    report("version_scan_since, a row", found);
}

/* What the engine's background thread does. */
static void *checkpoint_often(void *arg)
{
    volatile bool *stop = arg;
    while (!*stop) {
        must(ops->checkpoint(meta, false, &lock), "checkpoint");
        usleep(20000);
    }
    return NULL;
}

static void measure_writes(uint64_t objects)
{
    bool stop = false;
    pthread_t thread;
    must(-pthread_create(&thread, NULL, checkpoint_often, &stop), "thread");
    start();
    for (uint64_t i = 0; i < objects; i++)
        publish(i);
    report("publish (4 rows) and commit", objects);
    printf("%-32s %10llu MiB\n", "files", (unsigned long long)(ops->bytes(meta) >> 20));
    start();
    for (uint64_t i = 0; i < 300; i++) {
        publish(i);
        must(ops->sync(meta), "sync");
    }
    report("publish, commit and sync", 300);
    *(volatile bool *)&stop = true;
    pthread_join(thread, NULL);
    start();
    must(ops->checkpoint(meta, true, NULL), "checkpoint");
    report("checkpoint", 1);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_meta DIR PAGE_SIZE [OBJECTS]\n");
        return 2;
    }
    uint64_t objects = argc > 3 ? strtoull(argv[3], NULL, 10) : 20000;
    struct reason reason = {.text = ""};
    static const uint8_t store[16], key[32];
    struct meta_config config = {.dir = argv[1],
                                 .store_id = store,
                                 .page_key = key,
                                 .page_size_bytes = (uint32_t)strtoul(argv[2], NULL, 10),
                                 .cache_bytes = 64 << 20,
                                 .create = true};
    ops = meta_find("sqlite");
    if (ops->open(&config, &meta, &reason) < 0) {
        fprintf(stderr, "bench_meta: %s\n", reason.text);
        return 1;
    }
    measure_writes(objects);
    measure_reads(objects);
    ops->close(meta);
    config.create = false;
    start();
    must(ops->open(&config, &meta, &reason), reason.text);
    report("open", 1);
    measure_reads(objects);
    ops->close(meta);
    return 0;
}
