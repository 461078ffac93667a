/* SPDX-License-Identifier: GPL-3.0-or-later
 * What costs metadata and not data: renames, links, copies and small edits share frames, and share them still when one of the sharers
 * has gone and the store was collected (design §4; retention.md §9 cases 19, 24; mount.md §9 cases 34, 35). */
#include "rig.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/stat.h>

enum { MIB = 1 << 20, LARGE = 16 * MIB, SMALL_GROWTH = 200 * 1024 };

/* Every 64 KiB holds its own letter. */
static void large(struct rig *r, const char *path)
{
    struct engine_handle *h = rig_handle(r, path, O_RDWR | O_CREAT | O_TRUNC);
    for (unsigned n = 0; n < LARGE / 65536; n++)
        rig_fill(h, (char)('a' + n % 26), 65536, (uint64_t)n * 65536);
    rig_end(r, h);
    rig_settle(r, path);
}

static char at(struct rig *r, const char *path, uint64_t offset)
{
    struct engine_handle *h = rig_handle(r, path, O_RDONLY);
    char byte = '?';
    assert_int_equal(engine_read(h, &byte, 1, offset), 1);
    rig_end(r, h);
    return byte;
}

static void assert_large(struct rig *r, const char *path)
{
    struct engine_attr attr;
    assert_int_equal(rig_stat(r, path, &attr), 0);
    assert_int_equal(attr.size_bytes, LARGE);
    for (unsigned n = 0; n < LARGE / 65536; n += 37) {
        assert_int_equal(at(r, path, (uint64_t)n * 65536), 'a' + n % 26);
        assert_int_equal(at(r, path, (uint64_t)n * 65536 + 65535), 'a' + n % 26);
    }
}

static void collect(struct rig *r)
{
    json_t *found = NULL;
    assert_int_equal(engine_gc(r->e, &r->c, (struct engine_progress){.fn = NULL}, &found), 0);
    json_decref(found);
    assert_int_equal(engine_compact(r->e, &r->c, (struct engine_progress){.fn = NULL}, &found), 0);
    json_decref(found);
}

static void names_cost_nothing(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    large(r, "eee/f");
    uint64_t before = rig_segment_bytes(r);
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    assert_int_equal(rig_rename(r, "eee/f", "eee/d/f", 0), 0);
    rig_settle(r, "eee/d/f");
    assert_int_equal(rig_rename(r, "eee/d", "eee/e", 0), 0);
    assert_int_equal(rig_link(r, "eee/e/f", "eee/g"), 0);
    rig_settle(r, "eee/g");
    rig_write(r, "eee/h", "h");
    assert_int_equal(rig_rename(r, "eee/g", "eee/h", RENAME_EXCHANGE), 0);
    assert_int_equal(rig_truncate(r, "eee/h", LARGE / 2), 0);
    assert_int_equal(rig_segment_bytes(r), before);
    assert_int_equal(at(r, "eee/h", LARGE / 2 - 1), 'a' + (LARGE / 2 / 65536 - 1) % 26);
}

static void an_edit_costs_what_it_changes(void **state)
{
    struct rig *r = *state;
    struct engine_attr attr;
    rig_bucket(r, "eee", ENABLED);
    large(r, "eee/f");
    uint64_t before = rig_segment_bytes(r);
    struct engine_handle *h = rig_handle(r, "eee/f", O_WRONLY);
    rig_put(h, "0123456789", LARGE / 2 + 5);
    rig_end(r, h);
    assert_true(rig_segment_bytes(r) - before < SMALL_GROWTH);
    h = rig_handle(r, "eee/f", O_WRONLY);
    rig_fill(h, 'Z', 4096, MIB);
    rig_end(r, h);
    rig_append(r, "eee/f", "the end");
    h = rig_handle(r, "eee/f", O_WRONLY);
    assert_int_equal(engine_fallocate(h, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * MIB, MIB), 0);
    rig_end(r, h);
    assert_true(rig_segment_bytes(r) - before < SMALL_GROWTH);
    assert_int_equal(rig_version(r, "eee/f", -1) != 0, true);
    rig_reopen(r);
    assert_int_equal(at(r, "eee/f", LARGE / 2 + 5), '0');
    assert_int_equal(at(r, "eee/f", LARGE / 2 + 15), 'a' + (LARGE / 2 / 65536) % 26);
    assert_int_equal(at(r, "eee/f", MIB + 4095), 'Z');
    assert_int_equal(at(r, "eee/f", MIB + 4096), 'a' + (MIB / 65536) % 26);
    assert_int_equal(at(r, "eee/f", 2 * MIB), 0);
    assert_int_equal(at(r, "eee/f", LARGE + 6), 'd');
    /* The first version is as it was. */
    assert_int_equal(rig_version_delete(r, "eee/f", 1), 0);
    assert_int_equal(rig_version_delete(r, "eee/f", 1), 0);
    collect(r);
    assert_int_equal(rig_stat(r, "eee/f", &attr), 0);
    assert_int_equal(attr.size_bytes, LARGE + 7);
    while (strlen(rig_history(r, "eee/f")) && rig_version(r, "eee/f", 0) != rig_version(r, "eee/f", -1))
        assert_int_equal(rig_version_delete(r, "eee/f", -1), 0);
    assert_large(r, "eee/f");
    collect(r);
    assert_large(r, "eee/f");
}

static void copy(struct rig *r, const char *from, uint64_t from_offset, const char *to, uint64_t to_offset, uint64_t length)
{
    struct engine_handle *in = rig_handle(r, from, O_RDONLY), *out = rig_handle(r, to, O_WRONLY | O_CREAT);
    assert_int_equal(engine_copy_range(in, from_offset, out, to_offset, length), length);
    rig_end(r, out);
    rig_end(r, in);
}

static void copies_share_within_and_across_buckets(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_bucket(r, "uuu", UNVERSIONED);
    large(r, "eee/f");
    uint64_t before = rig_segment_bytes(r);
    copy(r, "eee/f", 0, "eee/copy", 0, LARGE);
    copy(r, "eee/f", 0, "uuu/copy", 0, LARGE);
    copy(r, "eee/f", 65536 + 7, "uuu/part", 3 * 65536 + 11, 5 * 65536);
    assert_true(rig_segment_bytes(r) - before < SMALL_GROWTH);
    assert_large(r, "eee/copy");
    assert_large(r, "uuu/copy");
    assert_int_equal(at(r, "uuu/part", 3 * 65536 + 10), 0);
    assert_int_equal(at(r, "uuu/part", 3 * 65536 + 11), 'b');
    assert_int_equal(at(r, "uuu/part", 8 * 65536 + 10), 'g');
    /* The source goes for good. */
    assert_int_equal(rig_version_delete(r, "eee/f", 0), 0);
    collect(r);
    rig_reopen(r);
    assert_large(r, "eee/copy");
    assert_large(r, "uuu/copy");
    assert_int_equal(at(r, "uuu/part", 8 * 65536 + 10), 'g');
}

static void copies_of_what_is_being_written(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    struct engine_handle *f = rig_handle(r, "eee/f", O_RDWR | O_CREAT), *g = rig_handle(r, "eee/g", O_RDWR | O_CREAT);
    rig_put(f, "small", 0);
    assert_int_equal(engine_copy_range(f, 1, g, 0, 100), 4); /* to the end of the source */
    assert_text(rig_read_handle(g), "mall");
    assert_int_equal(engine_copy_range(f, 5, g, 0, 10), 0);
    rig_fill(f, 'x', 100000, 5);
    assert_int_equal(engine_copy_range(f, 0, g, 4, 100005), 100005);
    assert_int_equal(engine_copy_range(f, 0, f, 3, 10), -EINVAL); /* copy_file_range(2): they overlap */
    assert_int_equal(engine_copy_range(f, 0, f, 200000, 5), 5);
    rig_put(f, "BIG", 0);
    assert_text(rig_read_handle(g), "m1a1l2s1m1a1l2x100000");
    assert_text(rig_read_handle(f), "B1I1G1l2x10000009" "9995s1m1a1l2");
    rig_end(r, f);
    rig_end(r, g);
    rig_reopen(r);
    assert_reads(r, "eee/g", "m1a1l2s1m1a1l2x100000");
}

static void holes_are_copied_as_holes(void **state)
{
    struct rig *r = *state;
    struct engine_attr attr;
    rig_bucket(r, "eee", ENABLED);
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR | O_CREAT);
    rig_fill(h, 'x', 65536, 8 * MIB);
    rig_end(r, h);
    large(r, "eee/g");
    copy(r, "eee/f", 0, "eee/g", 0, 8 * MIB + 65536);
    assert_int_equal(at(r, "eee/g", 8 * MIB - 1), 0);
    assert_int_equal(at(r, "eee/g", 8 * MIB), 'x');
    assert_int_equal(rig_stat(r, "eee/g", &attr), 0);
    assert_int_equal(attr.size_bytes, LARGE);
    assert_true(attr.blocks * 512 <= LARGE - 8 * MIB + 65536);
}

static void hard_links_share_what_is_written_through_one(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    large(r, "eee/f");
    assert_int_equal(rig_link(r, "eee/f", "eee/g"), 0);
    uint64_t before = rig_segment_bytes(r);
    struct engine_handle *h = rig_handle(r, "eee/g", O_RDWR);
    rig_fill(h, 'Z', MIB, 0);
    rig_end(r, h);
    assert_true(rig_segment_bytes(r) - before < MIB + SMALL_GROWTH);
    assert_int_equal(at(r, "eee/f", 0), 'Z');
    assert_int_equal(rig_version_delete(r, "eee/f", 0), 0);
    assert_int_equal(rig_unlink(r, "eee/f"), 0);
    collect(r);
    assert_int_equal(at(r, "eee/g", MIB - 1), 'Z');
    assert_int_equal(at(r, "eee/g", LARGE - 1), 'a' + (LARGE / 65536 - 1) % 26);
}

static void what_was_replaced_is_collected(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "uuu", UNVERSIONED);
    large(r, "uuu/f");
    uint64_t once = rig_segment_bytes(r);
    for (int n = 0; n < 3; n++)
        large(r, "uuu/f");
    rig_purge(r);
    rig_reopen(r); /* the segment that takes appends is not collected */
    collect(r);
    assert_true(rig_segment_bytes(r) < once + once / 2);
    assert_large(r, "uuu/f");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(names_cost_nothing),
        TEST(an_edit_costs_what_it_changes),
        TEST(copies_share_within_and_across_buckets),
        TEST(copies_of_what_is_being_written),
        TEST(holes_are_copied_as_holes),
        TEST(hard_links_share_what_is_written_through_one),
        TEST(what_was_replaced_is_collected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
