/* SPDX-License-Identifier: GPL-3.0-or-later
 * Content over the local segment store: what is written is read, and what was tampered with never is. */
#include "pipeline/content.h"
#include "util/reason.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { UNIT = 4096, FILE_MAX_BYTES = 3 << 20 };

/* A store in a directory of its own, one content in it, and the bytes it should have. */
struct world {
    char dir[64];
    const struct block_ops *ops;
    struct block *block;
    struct pipeline *p;
    struct content_key *keys[4]; /* keys[i] opens map->deks[i] */
    struct extmap *map;
    uint8_t *model;
};

static void world_open_block(struct world *w)
{
    struct block_config config = {.dir = w->dir, .segment_size_bytes = 4 << 20};
    struct reason reason;
    w->ops = block_find("local");
    assert_int_equal(w->ops->open(&config, &w->block, &reason), 0);
    struct pipeline_config pc = {.ops = w->ops, .block = w->block, .unit_bytes = UNIT, .packed_unit_bytes = UNIT};
    assert_int_equal(pipeline_new(&pc, &w->p), 0);
}

static int world_key(struct world *w)
{
    struct extmap_dek dek = {0};
    uint8_t bytes[32];
    int i = (int)w->map->dek_count;
    memset(dek.id, 0x40 + i, sizeof dek.id);
    memset(bytes, 0x70 + i, sizeof bytes);
    w->keys[i] = content_key_new(dek.id, bytes);
    assert_non_null(w->keys[i]);
    assert_int_equal(extmap_dek_index(w->map, &dek), i);
    return i;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "/tmp/holdfs-content-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->map = extmap_new();
    w->model = calloc(1, FILE_MAX_BYTES);
    world_open_block(w);
    world_key(w);
    *state = w;
    return 0;
}

static void world_close_block(struct world *w)
{
    pipeline_free(w->p);
    w->ops->close(w->block);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    world_close_block(w);
    extmap_unref(w->map);
    for (int i = 0; i < 4; i++)
        content_key_unref(w->keys[i]);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w->model);
    free(w);
    return 0;
}

/* Extent n of the map. */
static const struct extent *extent(const struct world *w, size_t n)
{
    struct extmap_cursor at = {0};
    const struct extent *e = extmap_next(w->map, &at);
    while (e && n--)
        e = extmap_next(w->map, &at);
    assert_non_null(e);
    return e;
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

static void fill(uint8_t *buf, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(next_random(&seed) & (seed & 1024 ? 0xff : 3));
}

static void write_at(struct world *w, uint64_t offset, size_t len, uint64_t seed)
{
    fill(w->model + offset, len, seed);
    assert_int_equal(content_write(w->p, w->keys[0], 0, seed & 1 ? FRAME_COMPRESSION_ZSTD : FRAME_COMPRESSION_NONE,
                                   w->map, offset, w->model + offset, len),
                     0);
}

static void assert_reads(struct world *w, uint64_t offset, size_t len)
{
    uint8_t *buf = malloc(len + 1);
    uint64_t size = w->map->size_bytes;
    size_t want = offset >= size ? 0 : size - offset < len ? size - offset : len;
    buf[want] = 0xa5;
    assert_int_equal(content_read(w->p, w->map, w->keys, offset, buf, len, NULL), want);
    assert_memory_equal(buf, w->model + offset, want);
    assert_int_equal(buf[want], 0xa5);
    free(buf);
}

/* Flips bits of the file of segment `segment`. */
static void damage(struct world *w, uint32_t segment, uint64_t at, const void *bytes, size_t len)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%08x.seg", w->dir, segment);
    int fd = open(name, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
    close(fd);
}

static void peek(struct world *w, uint32_t segment, uint64_t at, void *bytes, size_t len)
{
    assert_int_equal(w->ops->read(w->block, (struct block_place){segment, at}, bytes, len), 0);
}

static void assert_fault(struct world *w, uint64_t offset, size_t len, const char *what, uint64_t file_offset)
{
    static uint8_t buf[FILE_MAX_BYTES];
    struct content_fault fault = {0};
    memset(buf, 0, len);
    assert_int_equal(content_read(w->p, w->map, w->keys, offset, buf, len, &fault), -EIO);
    assert_string_equal(fault.what, what);
    assert_int_equal(fault.file_offset, file_offset);
    /* Nothing of the bad frame, nor of what follows it, is in the buffer. */
    size_t at = file_offset > offset ? file_offset - offset : 0;
    for (size_t i = at; i < len; i++)
        assert_int_equal(buf[i], 0);
    struct content_fault seen = {0};
    assert_int_equal(content_verify(w->p, w->map, w->keys, &seen), -EIO);
    assert_string_equal(seen.what, what);
}

/* --- what is written is read ------------------------------------------------------------------------------ */

static void writes_come_back_whole_and_in_part(void **state)
{
    struct world *w = *state;
    write_at(w, 0, FILE_MAX_BYTES, 2);
    assert_reads(w, 0, FILE_MAX_BYTES);
    assert_reads(w, 1, 1);
    assert_reads(w, UNIT - 1, 2);
    assert_reads(w, 100, 3 * UNIT);
    assert_reads(w, FILE_MAX_BYTES - 10, 10);
    assert_int_equal(content_read(w->p, w->map, w->keys, FILE_MAX_BYTES, w->model, 1, NULL), 0);
    assert_int_equal(content_verify(w->p, w->map, w->keys, NULL), 0);
}

static void a_file_written_in_order_is_one_extent_for_each_segment(void **state)
{
    struct world *w = *state;
    for (uint64_t at = 0; at < FILE_MAX_BYTES; at += 1 << 17)
        write_at(w, at, 1 << 17, 2);
    assert_true(w->map->count <= 2);
    assert_int_equal(content_key_next(w->keys[0]), FILE_MAX_BYTES / UNIT);
}

static void an_overwrite_inside_a_frame_costs_its_own_length(void **state)
{
    struct world *w = *state;
    write_at(w, 0, 1 << 20, 2);
    uint64_t before = extmap_stored_bytes(w->map);
    write_at(w, 123456, 10, 2);
    assert_int_equal(extmap_stored_bytes(w->map) - before, 10 + FRAME_OVERHEAD_BYTES);
    assert_reads(w, 0, 1 << 20);
}

static void holes_read_as_zeros(void **state)
{
    struct world *w = *state;
    write_at(w, 1 << 20, 5000, 1);
    assert_reads(w, 0, (1 << 20) + 5000);
    assert_reads(w, (1 << 20) - 1, 2);
    assert_int_equal(extmap_data_bytes(w->map), 5000);
    assert_int_equal(extmap_punch(w->map, (1 << 20) + 100, 4000), 0);
    memset(w->model + (1 << 20) + 100, 0, 4000);
    assert_reads(w, 1 << 20, 5000);
}

static void random_changes_match_the_model(void **state)
{
    struct world *w = *state;
    uint64_t seed = (uint64_t)time(NULL), rnd = seed;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 1500; round++) {
        uint64_t at = next_random(&rnd) % (1 << 20);
        size_t len = 1 + next_random(&rnd) % (1u << (1 + next_random(&rnd) % 16));
        switch (next_random(&rnd) % 4) {
        case 0:
        case 1:
            write_at(w, at, len, next_random(&rnd));
            break;
        case 2:
            assert_int_equal(extmap_punch(w->map, at, len), 0);
            memset(w->model + at, 0, len);
            break;
        default:
            assert_reads(w, at, len);
        }
    }
    assert_reads(w, 0, FILE_MAX_BYTES);
    assert_int_equal(content_verify(w->p, w->map, w->keys, NULL), 0);
    world_close_block(w);
    world_open_block(w);
    assert_reads(w, 0, FILE_MAX_BYTES);
}

static void small_content_stays_inline_until_it_moves(void **state)
{
    struct world *w = *state;
    fill(w->model, 100, 7);
    assert_int_equal(content_write_inline(w->p, w->keys[0], 0, FRAME_COMPRESSION_ZSTD, w->map, 0, w->model, 100), 0);
    assert_int_equal(extent(w, 0)->segment, 0);
    assert_reads(w, 0, 100);
    assert_null(memmem(w->map->inline_data.data, w->map->inline_data.len, w->model, 16));
    fill(w->model, 60000, 8);
    assert_int_equal(content_write_inline(w->p, w->keys[0], 0, FRAME_COMPRESSION_NONE, w->map, 0, w->model, 60000), 0);
    assert_int_equal(w->map->inline_data.len, 60000 + FRAME_OVERHEAD_BYTES);
    write_at(w, 70000, 10, 2);
    assert_reads(w, 0, 70010);
    assert_int_equal(content_inline_to_segment(w->p, w->map), 0);
    assert_int_equal(w->map->inline_data.len, 0);
    assert_true(extent(w, 0)->segment != 0);
    assert_reads(w, 0, 70010);
    ((struct extent *)(uintptr_t)extent(w, 0))->segment = 0; /* bytes that are not there */
    assert_fault(w, 0, 100, "short", 0);
}

static void shared_frames_are_read_through_both_maps(void **state)
{
    struct world *w = *state;
    write_at(w, 0, 1 << 20, 3);
    struct extmap *old = w->map, *copy = extmap_new();
    assert_int_equal(extmap_share(copy, 10, old, 1000, 500000), 0);
    memmove(w->model + 10, w->model + 1000, 500000);
    memset(w->model, 0, 10);
    w->map = copy;
    assert_reads(w, 0, 500010);
    w->map = old;
    extmap_unref(copy);
}

static void a_chain_reads_a_content_through_its_source(void **state)
{
    struct world *w = *state;
    write_at(w, 0, 100000, 3);
    struct content_source s;
    content_source_init(&s, w->p, w->map, w->keys);
    assert_int_equal(s.next.meta.size_bytes, 100000);
    uint8_t buf[70000];
    assert_int_equal(s.next.pull(&s.next, buf, sizeof buf), 70000);
    assert_memory_equal(buf, w->model, 70000);
    assert_int_equal(s.next.pull(&s.next, buf, sizeof buf), 30000);
    assert_memory_equal(buf, w->model + 70000, 30000);
    assert_int_equal(s.next.pull(&s.next, buf, sizeof buf), 0);
    assert_int_equal(s.next.pull_at(&s.next, buf, 5, 99998), 2);
}

/* --- keys ------------------------------------------------------------------------------------------------- */

static void a_key_ends_at_2_to_the_32(void **state)
{
    struct world *w = *state;
    content_key_set_next(w->keys[0], ((uint64_t)1 << 32) - 3);
    write_at(w, 0, 2 * UNIT, 2);
    assert_int_equal(content_write(w->p, w->keys[0], 0, FRAME_COMPRESSION_NONE, w->map, 2 * UNIT, w->model, 2 * UNIT),
                     -EOVERFLOW);
    assert_int_equal(w->map->size_bytes, 2 * UNIT);
    int second = world_key(w);
    fill(w->model + 2 * UNIT, 2 * UNIT, 4);
    assert_int_equal(content_write(w->p, w->keys[second], (uint32_t)second, FRAME_COMPRESSION_NONE, w->map, 2 * UNIT,
                                   w->model + 2 * UNIT, 2 * UNIT),
                     0);
    assert_reads(w, 0, 4 * UNIT);
}

static void a_missing_key_is_enokey_only_where_it_is_needed(void **state)
{
    struct world *w = *state;
    write_at(w, 0, UNIT, 2);
    int second = world_key(w);
    assert_int_equal(content_write(w->p, w->keys[second], (uint32_t)second, FRAME_COMPRESSION_NONE, w->map, UNIT,
                                   w->model, UNIT),
                     0);
    struct content_key *some[2] = {w->keys[0], NULL};
    uint8_t buf[2 * UNIT];
    assert_int_equal(content_read(w->p, w->map, some, 0, buf, UNIT, NULL), UNIT);
    assert_int_equal(content_read(w->p, w->map, some, 0, buf, 2 * UNIT, NULL), -ENOKEY);
    assert_int_equal(content_read(w->p, w->map, some, UNIT + 5, buf, 7, NULL), -ENOKEY);
    assert_int_equal(content_verify(w->p, w->map, some, NULL), 0);
    damage(w, extent(w, 1)->segment, extent(w, 1)->place_bytes + 8, "x", 1);
    assert_int_equal(content_verify(w->p, w->map, some, NULL), -EIO);
}

/* --- what was tampered with (encryption.md §12, cases 10 to 13) ------------------------------------------- */

static void exchanged_frames_are_found(void **state)
{
    struct world *w = *state;
    write_at(w, 0, 3 * UNIT, 2);
    const struct extent *e = extent(w, 0);
    enum { FRAME = UNIT + FRAME_OVERHEAD_BYTES };
    uint8_t first[FRAME], second[FRAME];
    peek(w, e->segment, e->place_bytes, first, FRAME);
    peek(w, e->segment, e->place_bytes + FRAME, second, FRAME);
    damage(w, e->segment, e->place_bytes, second, FRAME);
    damage(w, e->segment, e->place_bytes + FRAME, first, FRAME);
    assert_fault(w, 0, 3 * UNIT, "header", 0);
    assert_fault(w, UNIT + 5, 1, "header", UNIT + 5);
    assert_reads(w, 2 * UNIT, UNIT);
}

static void a_flipped_bit_is_found(void **state)
{
    struct world *w = *state;
    write_at(w, 0, 3 * UNIT, 2);
    const struct extent *e = extent(w, 0);
    enum { FRAME = UNIT + FRAME_OVERHEAD_BYTES };
    static const struct {
        int at;
        const char *what;
    } spots[] = {{0, "header"}, {5, "header"}, {24, "header"}, {32, "tag"}, {2000, "tag"}, {FRAME - 1, "tag"}};
    for (size_t i = 0; i < sizeof spots / sizeof spots[0]; i++) {
        uint64_t at = e->place_bytes + FRAME + (uint64_t)spots[i].at;
        uint8_t byte, bad;
        peek(w, e->segment, at, &byte, 1);
        bad = byte ^ 0x10;
        damage(w, e->segment, at, &bad, 1);
        assert_fault(w, 0, 3 * UNIT, spots[i].what, UNIT);
        assert_fault(w, UNIT + 100, 10, spots[i].what, UNIT + 100);
        assert_reads(w, 0, UNIT);
        assert_reads(w, 2 * UNIT, UNIT);
        damage(w, e->segment, at, &byte, 1);
    }
    assert_reads(w, 0, 3 * UNIT);
}

static void a_cut_segment_reads_up_to_the_cut(void **state)
{
    struct world *w = *state;
    char name[128];
    write_at(w, 0, 3 * UNIT, 2);
    const struct extent *e = extent(w, 0);
    snprintf(name, sizeof name, "%s/%08x.seg", w->dir, e->segment);
    assert_int_equal(truncate(name, (off_t)(e->place_bytes + 3 * (UNIT + FRAME_OVERHEAD_BYTES) - 1)), 0);
    assert_reads(w, 0, 2 * UNIT);
    assert_fault(w, 2 * UNIT, UNIT, "short", 2 * UNIT);
    struct content_fault fault;
    assert_int_equal(content_read(w->p, w->map, w->keys, 0, w->model, 3 * UNIT, &fault), -EIO);
    assert_int_equal(fault.file_offset, 2 * UNIT);
    world_close_block(w);
    assert_int_equal(unlink(name), 0);
    world_open_block(w);
    assert_fault(w, 0, 3 * UNIT, "missing", 0);
}

static void a_frame_of_another_object_is_found(void **state)
{
    struct world *w = *state;
    write_at(w, 0, UNIT, 2);
    const struct extent mine = *extent(w, 0);
    enum { FRAME = UNIT + FRAME_OVERHEAD_BYTES };
    int second = world_key(w); /* number 0 under another key, equal lengths */
    assert_int_equal(content_write(w->p, w->keys[second], (uint32_t)second, FRAME_COMPRESSION_NONE, w->map, UNIT,
                                   w->model, UNIT),
                     0);
    const struct extent other = *extent(w, 1);
    assert_int_equal(other.number, mine.number);
    uint8_t frame[FRAME];
    peek(w, other.segment, other.place_bytes, frame, FRAME);
    damage(w, mine.segment, mine.place_bytes, frame, FRAME);
    assert_fault(w, 0, UNIT, "header", 0);
    memcpy(frame + 24, content_key_id(w->keys[0]), 8); /* even with the name of the right key */
    damage(w, mine.segment, mine.place_bytes, frame, FRAME);
    assert_fault(w, 0, UNIT, "tag", 0);
}

/* --- many threads ----------------------------------------------------------------------------------------- */

struct reader_thread {
    struct world *w;
    uint64_t seed;
};

static void *read_at_random(void *arg)
{
    struct reader_thread *r = arg;
    uint8_t buf[20000];
    for (int i = 0; i < 3000; i++) {
        uint64_t at = next_random(&r->seed) % (1 << 20);
        size_t len = 1 + next_random(&r->seed) % sizeof buf;
        ssize_t n = content_read(r->w->p, r->w->map, r->w->keys, at, buf, len, NULL);
        if (n < 0 || memcmp(buf, r->w->model + at, (size_t)n))
            return arg;
    }
    return NULL;
}

static void many_threads_read_one_map(void **state)
{
    struct world *w = *state;
    write_at(w, 0, 1 << 20, 3);
    pthread_t threads[4];
    struct reader_thread readers[4];
    for (int i = 0; i < 4; i++) {
        readers[i] = (struct reader_thread){w, (uint64_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, &readers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

#define STORY(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(writes_come_back_whole_and_in_part),
        STORY(a_file_written_in_order_is_one_extent_for_each_segment),
        STORY(an_overwrite_inside_a_frame_costs_its_own_length),
        STORY(holes_read_as_zeros),
        STORY(random_changes_match_the_model),
        STORY(small_content_stays_inline_until_it_moves),
        STORY(shared_frames_are_read_through_both_maps),
        STORY(a_chain_reads_a_content_through_its_source),
        STORY(a_key_ends_at_2_to_the_32),
        STORY(a_missing_key_is_enokey_only_where_it_is_needed),
        STORY(exchanged_frames_are_found),
        STORY(a_flipped_bit_is_found),
        STORY(a_cut_segment_reads_up_to_the_cut),
        STORY(a_frame_of_another_object_is_found),
        STORY(many_threads_read_one_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
