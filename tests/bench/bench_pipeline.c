/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the pipeline alone costs: content over a local segment store, without FUSE and metadata, for each unit.
 *
 *   bench_pipeline [MIB [DIR]]      256 MiB in a directory of its own under /tmp by default
 *
 * Reads come from the page cache. The figures by processor time hold on a busy machine, too; -z compresses frames. */
#include "pipeline/content.h"
#include "util/clock.h"
#include "util/reason.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MIB = 1 << 20, RANDOM_OPS = 20000, RANDOM_BYTES = 4096 };

struct bench {
    const struct block_ops *ops;
    struct block *block;
    struct pipeline *p;
    struct content_key *key;
    struct extmap *map;
    enum frame_compression compression;
    uint64_t bytes;
    uint8_t *buf;
    uint64_t seed;
};

static void check(int64_t r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "bench_pipeline: %s: %s\n", what, strerror((int)-r));
    exit(1);
}

static uint64_t next_random(struct bench *b)
{
    b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
    return b->seed >> 33;
}

struct stopwatch {
    int64_t wall_ns, cpu_us;
};

static int64_t cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static struct stopwatch stopwatch(void)
{
    return (struct stopwatch){clock_mono_ns(), cpu_us()};
}

static void report(const char *what, uint64_t bytes, uint64_t ops, struct stopwatch since)
{
    double wall = (double)(clock_mono_ns() - since.wall_ns) / 1e9, cpu = (double)(cpu_us() - since.cpu_us) / 1e6;
    printf("  %-24s %6.0f MB/s %8.0f ops/s   by processor time %6.0f MB/s %8.0f ops/s\n", what,
           (double)bytes / wall / 1e6, (double)ops / wall, (double)bytes / cpu / 1e6, (double)ops / cpu);
}

static void sequential_write(struct bench *b)
{
    struct stopwatch start = stopwatch();
    for (uint64_t at = 0; at < b->bytes; at += MIB)
        check(content_write(b->p, b->key, 0, b->compression, b->map, at, b->buf, MIB), "write");
    report("write, 1 MiB in order", b->bytes, b->bytes / MIB, start);
    struct bytes packed = {0};
    extmap_encode(b->map, &packed);
    printf("  %zu extents, %zu bytes packed, %.3f bytes stored for each\n", b->map->count, packed.len,
           (double)extmap_stored_bytes(b->map) / (double)b->bytes);
    bytes_done(&packed);
}

static void sequential_read(struct bench *b, const char *what, size_t len)
{
    struct stopwatch start = stopwatch();
    for (uint64_t at = 0; at < b->bytes; at += len)
        check(content_read(b->p, b->map, &b->key, at, b->buf, len, NULL), what);
    report(what, b->bytes, b->bytes / len, start);
}

static void random_read(struct bench *b)
{
    struct stopwatch start = stopwatch();
    for (int i = 0; i < RANDOM_OPS; i++) {
        uint64_t at = next_random(b) % (b->bytes / RANDOM_BYTES) * RANDOM_BYTES;
        check(content_read(b->p, b->map, &b->key, at, b->buf, RANDOM_BYTES, NULL), "random read");
    }
    report("read, 4 KiB at random", (uint64_t)RANDOM_OPS * RANDOM_BYTES, RANDOM_OPS, start);
}

static void random_write(struct bench *b)
{
    struct stopwatch start = stopwatch();
    for (int i = 0; i < RANDOM_OPS; i++) {
        uint64_t at = next_random(b) % (b->bytes / RANDOM_BYTES) * RANDOM_BYTES;
        check(content_write(b->p, b->key, 0, b->compression, b->map, at, b->buf, RANDOM_BYTES), "random write");
    }
    report("write, 4 KiB at random", (uint64_t)RANDOM_OPS * RANDOM_BYTES, RANDOM_OPS, start);
}

static void run(const char *dir, uint64_t mib, uint32_t unit, enum frame_compression compression)
{
    struct bench b = {.ops = block_find("local"), .bytes = mib * MIB, .compression = compression, .seed = 1};
    char segments[256], command[300];
    struct reason reason = {0};
    snprintf(segments, sizeof segments, "%s/segments", dir);
    struct block_config config = {.dir = segments, .segment_size_bytes = 64 * MIB, .reserve_bytes = 64 * MIB};
    check(b.ops->open(&config, &b.block, &reason), reason.text);
    struct pipeline_config pc = {.ops = b.ops, .block = b.block, .unit_bytes = unit, .packed_unit_bytes = unit};
    check(pipeline_new(&pc, &b.p), "pipeline");
    struct extmap_dek dek = {.id = "bench"};
    uint8_t key[32] = {1};
    b.key = content_key_new(dek.id, key);
    b.map = extmap_new();
    b.buf = malloc(MIB);
    for (int i = 0; i < MIB; i++) /* about half compressible */
        b.buf[i] = i % 128 < 64 ? (uint8_t)next_random(&b) : (uint8_t)(i / 128);
    check(extmap_dek_index(b.map, &dek), "dek");

    printf("unit %u KiB%s\n", unit / 1024, compression ? ", zstd" : "");
    sequential_write(&b);
    sequential_read(&b, "read, 1 MiB in order", MIB);
    sequential_read(&b, "read, 128 KiB in order", MIB / 8);
    sequential_read(&b, "read, 4 KiB in order", 4096);
    random_read(&b);
    random_write(&b);

    content_key_unref(b.key);
    extmap_unref(b.map);
    free(b.buf);
    pipeline_free(b.p);
    b.ops->close(b.block);
    snprintf(command, sizeof command, "rm -rf '%s'", segments);
    check(system(command) ? -1 : 0, "removal");
}

int main(int argc, char **argv)
{
    enum frame_compression compression = FRAME_COMPRESSION_NONE;
    if (argc > 1 && !strcmp(argv[1], "-z")) {
        compression = FRAME_COMPRESSION_ZSTD;
        argv++, argc--;
    }
    uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 256;
    char dir[] = "/tmp/holdfs-bench-XXXXXX";
    bool own = argc <= 2;
    if (own && !mkdtemp(dir))
        return 1;
    for (uint32_t unit = 4096; unit <= 65536; unit *= 4)
        run(own ? dir : argv[2], mib ? mib : 1, unit, compression);
    return own ? rmdir(dir) : 0;
}
