/* SPDX-License-Identifier: GPL-3.0-or-later
 * Segment stores: every implementation keeps block.h. The calls that reach the disk are wrapped (ld --wrap), to count
 * them and to let them fail. */
#include "block/block.h"
#include "util/reason.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* --- wrapped calls ---------------------------------------------------------------------------------------- */

static atomic_int pwrites, fdatasyncs, fsyncs;
static atomic_int pwrite_error, fdatasync_error; /* errno of the calls to come; 0: none */
static atomic_int pwrite_most;                   /* bytes a call takes at most; 0: all */
static atomic_int fdatasync_slow_us;

ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    pwrites++;
    if (pwrite_error) {
        errno = pwrite_error;
        return -1;
    }
    if (pwrite_most && len > (size_t)pwrite_most)
        len = (size_t)pwrite_most;
    return __real_pwrite(fd, buf, len, offset);
}

int __wrap_fdatasync(int fd)
{
    fdatasyncs++;
    if (fdatasync_slow_us)
        usleep((useconds_t)fdatasync_slow_us);
    if (fdatasync_error) {
        errno = fdatasync_error;
        return -1;
    }
    return __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    fsyncs++;
    return __real_fsync(fd);
}

/* --- a store in a directory of its own -------------------------------------------------------------------- */

enum { SEGMENT_BYTES = 100000 };

struct world {
    char parent[64], dir[80];
    const struct block_ops *ops;
    struct block *block;
};

static const char *const names[] = {"local"};
static const char *name_under_test;

static struct block_config world_config(const struct world *w)
{
    return (struct block_config){.dir = w->dir, .segment_size_bytes = SEGMENT_BYTES};
}

static void world_open(struct world *w)
{
    struct block_config config = world_config(w);
    struct reason reason;
    assert_int_equal(w->ops->open(&config, &w->block, &reason), 0);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    snprintf(w->parent, sizeof w->parent, "/tmp/holdfs-block-XXXXXX");
    assert_non_null(mkdtemp(w->parent));
    snprintf(w->dir, sizeof w->dir, "%s/segments", w->parent);
    w->ops = block_find(name_under_test);
    assert_non_null(w->ops);
    world_open(w);
    pwrites = fdatasyncs = fsyncs = 0;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    pwrite_error = fdatasync_error = pwrite_most = fdatasync_slow_us = 0;
    w->ops->close(w->block);
    snprintf(command, sizeof command, "rm -rf %s", w->parent);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static struct block_place append(struct world *w, const void *buf, size_t len)
{
    struct block_place at;
    assert_int_equal(w->ops->append(w->block, buf, len, &at), 0);
    return at;
}

static void assert_holds(struct world *w, struct block_place at, const void *bytes, size_t len)
{
    uint8_t *buf = malloc(len);
    assert_int_equal(w->ops->read(w->block, at, buf, len), 0);
    assert_memory_equal(buf, bytes, len);
    free(buf);
}

struct listed {
    int count;
    uint32_t last, open;
    uint64_t bytes;
};

static int list_one(void *arg, uint32_t segment, uint64_t size_bytes, bool open_for_append)
{
    struct listed *l = arg;
    assert_true(segment > l->last);
    l->count++;
    l->last = segment;
    l->bytes += size_bytes;
    if (open_for_append) {
        assert_int_equal(l->open, 0);
        l->open = segment;
    }
    return 0;
}

static struct listed list(struct world *w)
{
    struct listed l = {0};
    assert_int_equal(w->ops->list(w->block, list_one, &l), 0);
    return l;
}

/* --- appending and reading -------------------------------------------------------------------------------- */

static void what_is_appended_is_read(void **state)
{
    struct world *w = *state;
    struct block_place a = append(w, "first", 5), b = append(w, "second piece", 12);
    assert_int_equal(a.segment, b.segment);
    assert_int_equal(b.offset_bytes, a.offset_bytes + 5);
    assert_holds(w, a, "first", 5);
    assert_holds(w, b, "second piece", 12);
    assert_holds(w, (struct block_place){b.segment, b.offset_bytes + 7}, "piece", 5);
}

static void a_piece_never_spans_segments(void **state)
{
    struct world *w = *state;
    static uint8_t piece[SEGMENT_BYTES + 1];
    memset(piece, 7, sizeof piece);
    for (int i = 0; i < 30; i++) {
        struct block_place at = append(w, piece, 30000);
        assert_true(at.offset_bytes + 30000 <= SEGMENT_BYTES);
        assert_holds(w, at, piece, 30000);
    }
    assert_int_equal(list(w).count, 10);
    struct block_place large = append(w, piece, sizeof piece); /* larger than a segment: alone in one */
    assert_int_equal(large.offset_bytes, 0);
    assert_true(append(w, piece, 1).segment != large.segment);
    assert_holds(w, large, piece, sizeof piece);
}

static void short_writes_are_completed(void **state)
{
    struct world *w = *state;
    char text[1000];
    memset(text, 'x', sizeof text);
    pwrite_most = 7;
    struct block_place at = append(w, text, sizeof text);
    assert_int_equal(pwrites, 143);
    assert_holds(w, at, text, sizeof text);
}

static void after_open_a_fresh_segment_takes_the_appends(void **state)
{
    struct world *w = *state;
    struct block_place a = append(w, "old", 3);
    w->ops->close(w->block);
    world_open(w);
    assert_int_equal(list(w).open, 0);
    struct block_place b = append(w, "new", 3);
    assert_true(b.segment > a.segment);
    assert_holds(w, a, "old", 3);
}

static void reads_beyond_the_end_say_so(void **state)
{
    struct world *w = *state;
    char buf[10];
    struct block_place a = append(w, "12345", 5);
    assert_int_equal(w->ops->read(w->block, a, buf, 6), -ENODATA);
    a.offset_bytes = UINT64_MAX - 3;
    assert_int_equal(w->ops->read(w->block, a, buf, 6), -ENODATA);
    a.offset_bytes = (uint64_t)INT64_MAX;
    assert_int_equal(w->ops->read(w->block, a, buf, 6), -ENODATA);
    assert_int_equal(w->ops->read(w->block, (struct block_place){99, 0}, buf, 1), -ENOENT);
    assert_int_equal(w->ops->read(w->block, (struct block_place){0, 0}, buf, 1), -ENOENT);
}

struct appender {
    struct world *w;
    int id;
    struct block_place at[200];
    uint32_t len[200];
};

static void appender_bytes(const struct appender *a, int i, uint8_t out[3000])
{
    for (uint32_t k = 0; k < a->len[i]; k++)
        out[k] = (uint8_t)(a->id * 31 + i * 7 + (int)k);
}

static void *append_many(void *arg)
{
    struct appender *a = arg;
    uint8_t buf[3000];
    for (int i = 0; i < 200; i++) {
        a->len[i] = 1 + (uint32_t)(i * 2654435761u % 2999);
        appender_bytes(a, i, buf);
        if (a->w->ops->append(a->w->block, buf, a->len[i], &a->at[i]) != 0)
            return arg;
        if (i % 50 == 0 && a->w->ops->sync(a->w->block) != 0)
            return arg;
        if (i % 70 == 0 && a->w->ops->seal(a->w->block) != 0)
            return arg;
    }
    return NULL;
}

static void threads_append_without_overlap(void **state)
{
    struct world *w = *state;
    static struct appender appenders[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        appenders[i] = (struct appender){.w = w, .id = i};
        assert_int_equal(pthread_create(&threads[i], NULL, append_many, &appenders[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    uint8_t buf[3000];
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 200; k++) {
            appender_bytes(&appenders[i], k, buf);
            assert_holds(w, appenders[i].at[k], buf, appenders[i].len[k]);
        }
    }
}

/* More segments than descriptors are kept, by several threads at once. */
enum { MANY_SEGMENTS = 150 };

struct many_reader {
    struct world *w;
    struct block_place *at;
    uint32_t seed;
};

static void *read_many(void *arg)
{
    struct many_reader *r = arg;
    for (int i = 0; i < 3000; i++) {
        r->seed = r->seed * 1664525 + 1013904223;
        uint32_t k = (r->seed >> 16) % MANY_SEGMENTS, got;
        if (r->w->ops->read(r->w->block, r->at[k], &got, sizeof got) != 0 || got != k)
            return arg;
    }
    return NULL;
}

static void many_segments_are_read_with_few_descriptors(void **state)
{
    struct world *w = *state;
    struct block_place at[MANY_SEGMENTS];
    for (uint32_t i = 0; i < MANY_SEGMENTS; i++) {
        at[i] = append(w, &i, sizeof i);
        assert_int_equal(w->ops->seal(w->block), 0);
    }
    pthread_t threads[4];
    struct many_reader readers[4];
    for (uint32_t i = 0; i < 4; i++) {
        readers[i] = (struct many_reader){w, at, i};
        assert_int_equal(pthread_create(&threads[i], NULL, read_many, &readers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(w->ops->sync(w->block), 0);
    int spare = dup(0); /* the lowest free number: 64 kept, a few of the process */
    assert_true(spare < 64 + 20);
    close(spare);
}

/* --- no space, read-only ---------------------------------------------------------------------------------- */

static void a_failed_append_leaves_only_a_hole(void **state)
{
    struct world *w = *state;
    struct block_place a = append(w, "before", 6), b = {123, 456};
    pwrite_error = ENOSPC;
    assert_int_equal(w->ops->append(w->block, "lost", 4, &b), -ENOSPC);
    assert_int_equal(b.segment, 123);
    pwrite_error = 0;
    b = append(w, "after", 5);
    assert_holds(w, a, "before", 6);
    assert_holds(w, b, "after", 5);
}

static void the_reserve_stays_free(void **state)
{
    struct world *w = *state;
    uint64_t total, available;
    assert_int_equal(w->ops->free_space(w->block, &total, &available), 0);
    assert_true(available <= total && available > 0);
    w->ops->close(w->block);
    struct block_config config = world_config(w);
    struct block_place at;
    config.reserve_bytes = total + 1;
    assert_int_equal(w->ops->open(&config, &w->block, NULL), 0);
    assert_int_equal(w->ops->append(w->block, "x", 1, &at), -ENOSPC);
    assert_int_equal(w->ops->append(w->block, "x", 1, &at), -ENOSPC);
    assert_int_equal(list(w).count, 0);
    w->ops->close(w->block);
    config.reserve_bytes = 1;
    assert_int_equal(w->ops->open(&config, &w->block, NULL), 0);
    append(w, "x", 1);
}

static void a_read_only_store_takes_nothing(void **state)
{
    struct world *w = *state;
    struct block_place a = append(w, "kept", 4), b;
    w->ops->close(w->block);
    struct block_config config = world_config(w);
    config.read_only = true;
    assert_int_equal(w->ops->open(&config, &w->block, NULL), 0);
    assert_int_equal(w->ops->append(w->block, "x", 1, &b), -EROFS);
    assert_int_equal(w->ops->remove(w->block, a.segment), -EROFS);
    assert_int_equal(w->ops->sync(w->block), 0);
    assert_holds(w, a, "kept", 4);
    struct reason reason = {0};
    struct block *none;
    config.dir = "/nonexistent/segments";
    assert_int_equal(w->ops->open(&config, &none, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "/nonexistent/segments"));
}

static void nobody_else_may_look_into_it(void **state)
{
    struct world *w = *state;
    struct stat st;
    append(w, "x", 1);
    assert_int_equal(stat(w->dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    char name[160];
    snprintf(name, sizeof name, "%s/00000001.seg", w->dir);
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* --- syncing ---------------------------------------------------------------------------------------------- */

static void a_sync_covers_all_segments_and_the_directory(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        append(w, "x", 1);
        assert_int_equal(w->ops->seal(w->block), 0);
    }
    assert_int_equal(fdatasyncs, 0);
    assert_int_equal(w->ops->sync(w->block), 0);
    assert_int_equal(fdatasyncs, 3);
    assert_int_equal(fsyncs, 1);
    assert_int_equal(w->ops->sync(w->block), 0); /* nothing new: no call */
    assert_int_equal(fdatasyncs, 3);
    append(w, "x", 1);
    assert_int_equal(w->ops->sync(w->block), 0);
    append(w, "x", 1);
    assert_int_equal(w->ops->sync(w->block), 0);
    assert_int_equal(fdatasyncs, 5);
    assert_int_equal(fsyncs, 2);
}

static void *append_and_sync(void *arg)
{
    struct world *w = arg;
    struct block_place at;
    return w->ops->append(w->block, "x", 1, &at) || w->ops->sync(w->block) ? arg : NULL;
}

static void threads_that_wait_share_a_sync(void **state)
{
    struct world *w = *state;
    enum { THREADS = 16 };
    pthread_t threads[THREADS];
    append(w, "x", 1);
    fdatasync_slow_us = 50000;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_and_sync, w), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    print_message("%d threads: %d syncs\n", THREADS, fdatasyncs);
    assert_true(fdatasyncs < THREADS / 2);
    int before = fdatasyncs;
    assert_int_equal(w->ops->sync(w->block), 0);
    assert_int_equal(fdatasyncs, before); /* all of it is covered */
}

static void a_failed_sync_is_never_forgotten(void **state)
{
    struct world *w = *state;
    append(w, "x", 1);
    fdatasync_error = EIO;
    assert_int_equal(w->ops->sync(w->block), -EIO);
    fdatasync_error = 0;
    assert_int_equal(w->ops->sync(w->block), -EIO); /* fdatasync(2): the pages may be gone */
    append(w, "x", 1);
    assert_int_equal(w->ops->sync(w->block), -EIO);
}

static void unsynced_segments_are_few(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 100; i++) {
        append(w, "x", 1);
        assert_int_equal(w->ops->seal(w->block), 0);
    }
    assert_true(fdatasyncs >= 64);
    int spare = dup(0);
    assert_true(spare < 32 + 20);
    close(spare);
}

/* --- whole segments --------------------------------------------------------------------------------------- */

static void only_a_sealed_segment_is_removed(void **state)
{
    struct world *w = *state;
    char buf[4];
    struct block_place a = append(w, "gone", 4);
    assert_int_equal(list(w).open, a.segment);
    assert_int_equal(w->ops->remove(w->block, a.segment), -EBUSY);
    assert_int_equal(w->ops->seal(w->block), 0);
    assert_int_equal(list(w).open, 0);
    struct block_place b = append(w, "kept", 4);
    assert_holds(w, a, "gone", 4);
    assert_int_equal(w->ops->remove(w->block, a.segment), 0);
    assert_int_equal(w->ops->read(w->block, a, buf, 4), -ENOENT);
    assert_int_equal(w->ops->remove(w->block, a.segment), -ENOENT);
    assert_holds(w, b, "kept", 4);
    assert_int_equal(list(w).count, 1);
    assert_int_equal(w->ops->sync(w->block), 0);
    assert_int_equal(fdatasyncs, 1); /* not the one that went unsynced */
}

static void a_number_is_never_given_twice(void **state)
{
    struct world *w = *state;
    struct block_place a = append(w, "gone", 4);
    assert_int_equal(w->ops->seal(w->block), 0);
    assert_int_equal(w->ops->remove(w->block, a.segment), 0);
    assert_int_equal(list(w).count, 0);
    w->ops->close(w->block);
    world_open(w);
    assert_int_equal(list(w).count, 0);
    struct block_place b = append(w, "kept", 4);
    assert_true(b.segment > a.segment);
    assert_holds(w, b, "kept", 4);
    assert_int_equal(list(w).count, 1);
}

static int stop_at_once(void *arg, uint32_t segment, uint64_t size_bytes, bool open_for_append)
{
    (void)segment, (void)size_bytes, (void)open_for_append;
    ++*(int *)arg;
    return 77;
}

static void a_list_has_segments_only_and_may_be_stopped(void **state)
{
    struct world *w = *state;
    static const char *const strangers[] = {"1.seg", "0000000g.seg", "00000009.seg~", "README", "00000000.seg"};
    append(w, "12345", 5);
    w->ops->seal(w->block);
    append(w, "123", 3);
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        char name[160];
        snprintf(name, sizeof name, "%s/%s", w->dir, strangers[i]);
        fclose(fopen(name, "w"));
    }
    struct listed l = list(w);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.bytes, 8);
    int calls = 0;
    assert_int_equal(w->ops->list(w->block, stop_at_once, &calls), 77);
    assert_int_equal(calls, 1);
}

static void an_unknown_store_is_not_found(void **state)
{
    (void)state;
    assert_null(block_find("tape"));
}

#define STORY(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(what_is_appended_is_read),
        STORY(a_piece_never_spans_segments),
        STORY(short_writes_are_completed),
        STORY(after_open_a_fresh_segment_takes_the_appends),
        STORY(reads_beyond_the_end_say_so),
        STORY(threads_append_without_overlap),
        STORY(many_segments_are_read_with_few_descriptors),
        STORY(a_failed_append_leaves_only_a_hole),
        STORY(the_reserve_stays_free),
        STORY(a_read_only_store_takes_nothing),
        STORY(nobody_else_may_look_into_it),
        STORY(a_sync_covers_all_segments_and_the_directory),
        STORY(threads_that_wait_share_a_sync),
        STORY(a_failed_sync_is_never_forgotten),
        STORY(unsynced_segments_are_few),
        STORY(only_a_sealed_segment_is_removed),
        STORY(a_number_is_never_given_twice),
        STORY(a_list_has_segments_only_and_may_be_stopped),
        cmocka_unit_test(an_unknown_store_is_not_found),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        name_under_test = names[i];
        failed += cmocka_run_group_tests_name(name_under_test, tests, NULL, NULL);
    }
    return failed;
}
