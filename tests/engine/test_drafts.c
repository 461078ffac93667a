/* SPDX-License-Identifier: GPL-3.0-or-later
 * From draft to version: when a version comes to be, which one a close changes, and what is left to a handle whose file went
 * (retention.md §1.5, §9 cases 12-16; mount.md §3). */
#include "rig.h"

#include <linux/falloc.h>
#include <sys/stat.h>

static void settled(struct rig *r, const char *path, const char *text)
{
    rig_write(r, path, text);
    rig_settle(r, path);
}

static void opening_without_a_change_makes_nothing(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_write(r, "eee/f", "old");
    rig_end(r, rig_handle(r, "eee/f", O_RDWR));
    rig_end(r, rig_handle(r, "eee/f", O_RDONLY));
    assert_int_equal(rig_truncate(r, "eee/f", 3), 0);
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR);
    assert_int_equal(engine_write(h, "", 0, 5), 0);
    assert_int_equal(engine_fsync(h, false), 0);
    rig_end(r, h);
    assert_history(r, "eee/f", "v:old");
}

static void creating_is_a_change(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_write(r, "eee/f", "");
    assert_history(r, "eee/f", "v:");
    rig_reopen(r);
    assert_names(r, "eee", "f");
}

static void the_same_bytes_again_are_a_change(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_write(r, "eee/f", "old");
    rig_write(r, "eee/f", "old");
    assert_history(r, "eee/f", "v:old v:old");
}

static void later_closes_change_the_same_version(void **state)
{
    struct rig *r = *state;
    char first[33], last[33];
    rig_bucket(r, "eee", ENABLED);
    settled(r, "eee/f", "old");
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR | O_TRUNC);
    for (int n = 0; n < 5; n++) {
        rig_put(h, "+", (uint64_t)n);
        assert_int_equal(rig_flush(r, h), 0);
        if (n == 0)
            rig_version_id(r, "eee/f", -1, first);
        if (n == 2) /* what was flushed before is durable now: its row must outlive the next ones */
            assert_int_equal(engine_fsync(h, false), 0);
        assert_int_equal(rig_flush(r, h), 0);
    }
    rig_end(r, h);
    rig_version_id(r, "eee/f", -1, last);
    assert_string_equal(first, last);
    assert_history(r, "eee/f", "v:old v:+++++");
    rig_reopen(r);
    rig_purge(r);
    assert_history(r, "eee/f", "v:old v:+++++");
}

static void bytes_after_the_close_reach_its_version(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR | O_CREAT);
    rig_put(h, "one", 0);
    assert_int_equal(rig_flush(r, h), 0);
    rig_put(h, "TWO", 0);
    engine_release(h); /* munmap: no flush */
    assert_history(r, "eee/f", "v:TWO");
}

static void a_draft_changes_its_own_version_only(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_write(r, "eee/f", "first"); /* unsettled, and not this draft's */
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR);
    rig_put(h, "F", 0);
    assert_int_equal(rig_flush(r, h), 0);
    assert_history(r, "eee/f", "v:first v:First");
    assert_int_equal(rig_version_delete(r, "eee/f", -1), 0);
    assert_history(r, "eee/f", "v:first");
    rig_put(h, "!", 5);
    rig_end(r, h);
    assert_history(r, "eee/f", "v:first v:First!");
}

static void once_settled_a_later_close_makes_a_newer_version(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR | O_CREAT);
    rig_put(h, "one", 0);
    rig_settle(r, "eee/f"); /* publishes and seals first */
    assert_history(r, "eee/f", "v:one");
    rig_put(h, "two", 3);
    rig_end(r, h);
    assert_history(r, "eee/f", "v:one v:onetwo");
}

static void handles_share_one_draft(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    settled(r, "eee/f", "old");
    struct engine_handle *a = rig_handle(r, "eee/f", O_RDWR), *b = rig_handle(r, "eee/f", O_RDWR);
    struct engine_handle *reader = rig_handle(r, "eee/f", O_RDONLY);
    rig_put(a, "A", 0);
    assert_text(rig_read_handle(b), "Ald");
    assert_text(rig_read_handle(reader), "Ald");
    assert_reads(r, "eee/f", "Ald");
    rig_end(r, a);
    assert_history(r, "eee/f", "v:old v:Ald");
    rig_put(b, "B", 1);
    rig_end(r, b);
    assert_history(r, "eee/f", "v:old v:ABd");
    assert_text(rig_read_handle(reader), "ABd");
    rig_end(r, reader);
}

static void truncate_without_a_handle_publishes(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    settled(r, "eee/f", "old");
    assert_int_equal(rig_truncate(r, "eee/f", 2), 0);
    assert_history(r, "eee/f", "v:old v:ol");
    assert_int_equal(rig_truncate(r, "eee/f", 4), 0);
    assert_history(r, "eee/f", "v:old v:ol v:ol00");
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR);
    rig_put(h, "XY", 0);
    assert_int_equal(rig_truncate(r, "eee/f", 3), 0); /* joins the draft of who writes, and publishes it */
    assert_history(r, "eee/f", "v:old v:ol v:ol00 v:XY0");
    rig_put(h, "Z", 2);
    rig_end(r, h);
    assert_history(r, "eee/f", "v:old v:ol v:ol00 v:XYZ");
}

static void sizes_around_what_fits_a_row(void **state)
{
    struct rig *r = *state;
    static const size_t sizes[] = {1, 3999, 4000, 4001, 65535, 65536, 65537, 131072, 200001};
    rig_bucket(r, "eee", ENABLED);
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
        char path[32], want[200], whole[80] = "";
        snprintf(path, sizeof path, "eee/f%zu", sizes[n]);
        rig_write_big(r, path, 'a', sizes[n]);
        rig_settle(r, path);
        assert_int_equal(rig_truncate(r, path, sizes[n] / 2), 0);
        struct engine_handle *h = rig_handle(r, path, O_RDWR);
        rig_fill(h, 'b', sizes[n], sizes[n]);
        rig_end(r, h);
        struct engine_attr attr;
        assert_int_equal(rig_stat(r, path, &attr), 0);
        assert_int_equal(attr.size_bytes, 2 * sizes[n]);
        if (sizes[n] > 40) {
            snprintf(want, sizeof want, "v:a%zu v:a%zu v:a%zu0%zub%zu", sizes[n], sizes[n] / 2, sizes[n] / 2,
                     sizes[n] - sizes[n] / 2, sizes[n]);
            assert_history(r, path, want);
            snprintf(whole, sizeof whole, "a%zu0%zub%zu", sizes[n] / 2, sizes[n] - sizes[n] / 2, sizes[n]);
            rig_reopen(r);
            assert_reads(r, path, whole);
        }
    }
}

/* ---- files that went ---- */

static void an_unlinked_file_stays_usable(void **state)
{
    struct rig *r = *state;
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char f[64];
        rig_bucket(r, b, (enum rig_state)s);
        snprintf(f, sizeof f, "%s/f", b);
        settled(r, f, "old");
        struct engine_handle *h = rig_handle(r, f, O_RDWR), *reader = rig_handle(r, f, O_RDONLY);
        assert_int_equal(rig_unlink(r, f), 0);
        assert_int_equal(rig_ino(r, f), 0);
        struct engine_attr attr;
        assert_int_equal(engine_getattr(r->e, &r->c, engine_handle_ino(h), &attr), 0);
        assert_int_equal(attr.nlink, 0);
        assert_text(rig_read_handle(reader), "old");
        rig_put(h, "X", 0);
        assert_int_equal(engine_fsync(h, false), 0);
        assert_text(rig_read_handle(reader), "Xld");
        const struct engine_attr v = {.mode = 0600, .size_bytes = 2, .mtime = {5, 0}};
        assert_int_equal(
            engine_setattr(r->e, &r->c, engine_handle_ino(h), h, SET_MODE | SET_SIZE | SET_MTIME, &v, &attr), 0);
        assert_int_equal(attr.size_bytes, 2);
        rig_write(r, f, "new"); /* the name is free */
        rig_end(r, h);
        assert_text(rig_read_handle(reader), "old");
        rig_end(r, reader);
        assert_reads(r, f, "new");
    }
    assert_history(r, "uuu/f", "n:new");
    assert_history(r, "eee/f", "v:old M v:new");
    assert_history(r, "sss/f", "n:new");
}

static void a_draft_of_an_unlinked_file_is_dropped(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR | O_CREAT);
    rig_fill(h, 'x', 300000, 0);
    assert_int_equal(engine_fsync(h, false), 0);
    assert_int_equal(rig_unlink(r, "eee/f"), 0);
    rig_put(h, "more", 300000);
    rig_end(r, h);
    assert_history(r, "eee/f", "");
    rig_reopen(r);
    assert_names(r, "eee", "");
    assert_int_equal(rig_rmdir(r, "eee"), 0);
}

static void a_bucket_with_an_open_draft_is_not_empty(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR | O_CREAT);
    assert_int_equal(rig_rmdir(r, "eee"), -ENOTEMPTY);
    rig_end(r, h);
    assert_int_equal(rig_rmdir(r, "eee"), -ENOTEMPTY);
    assert_int_equal(rig_unlink(r, "eee/f"), 0);
    assert_int_equal(rig_rmdir(r, "eee"), 0);
}

static void closing_the_store_publishes_what_is_open(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    settled(r, "eee/f", "old");
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR), *fresh = rig_handle(r, "eee/g", O_RDWR | O_CREAT);
    rig_put(h, "X", 0);
    rig_put(fresh, "fresh", 0);
    rig_reopen(r); /* the handles go with the engine */
    assert_history(r, "eee/f", "v:old v:Xld");
    assert_history(r, "eee/g", "v:fresh");
}

static void a_reader_keeps_what_it_opened(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_write_big(r, "eee/f", 'a', 200000);
    rig_write_big(r, "eee/tmp", 'b', 100000);
    struct engine_handle *reader = rig_handle(r, "eee/f", O_RDONLY);
    assert_int_equal(rig_rename(r, "eee/tmp", "eee/f", 0), 0);
    assert_text(rig_read_handle(reader), "a200000");
    assert_int_equal(rig_version_delete(r, "eee/f", 0), 0);
    assert_text(rig_read_handle(reader), "a200000");
    rig_end(r, reader);
    assert_reads(r, "eee/f", "b100000");
}

/* ---- attributes of what is being written ---- */

static void times_set_while_writing_are_kept(void **state)
{
    struct rig *r = *state;
    struct engine_attr attr;
    rig_bucket(r, "eee", ENABLED);
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR | O_CREAT);
    rig_put(h, "text", 0);
    assert_int_equal(rig_touch(r, "eee/f", 1234), 0);
    assert_int_equal(rig_setattr(r, "eee/f", SET_MODE, &(struct engine_attr){.mode = 0600}), 0);
    rig_end(r, h);
    rig_reopen(r);
    assert_int_equal(rig_stat(r, "eee/f", &attr), 0);
    assert_int_equal(attr.mtime.sec, 1234);
    assert_int_equal(attr.mode, S_IFREG | 0600);
    h = rig_handle(r, "eee/f", O_RDWR);
    rig_put(h, "X", 0);
    assert_int_equal(rig_flush(r, h), 0);
    assert_int_equal(rig_stat(r, "eee/f", &attr), 0);
    assert_true(attr.mtime.sec > 1234);
    assert_int_equal(rig_touch(r, "eee/f", 99), 0);
    rig_end(r, h);
    assert_int_equal(rig_stat(r, "eee/f", &attr), 0);
    assert_int_equal(attr.mtime.sec, 99);
    assert_history(r, "eee/f", "v:text v:Xext");
}

static void size_and_blocks_follow_the_draft(void **state)
{
    struct rig *r = *state;
    struct engine_attr attr;
    rig_bucket(r, "eee", ENABLED);
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR | O_CREAT);
    rig_fill(h, 'x', 10, (1 << 20) - 10);
    assert_int_equal(rig_stat(r, "eee/f", &attr), 0);
    assert_int_equal(attr.size_bytes, 1 << 20);
    rig_end(r, h);
    assert_int_equal(rig_stat(r, "eee/f", &attr), 0);
    assert_int_equal(attr.size_bytes, 1 << 20);
    assert_true(attr.blocks <= 128); /* the rest is a hole */
    rig_reopen(r);
    assert_int_equal(rig_stat(r, "eee/f", &attr), 0);
    assert_true(attr.blocks <= 128);
    h = rig_handle(r, "eee/f", O_RDONLY);
    assert_true(engine_seek(h, 0, SEEK_DATA) > 900000);
    assert_int_equal(engine_seek(h, 0, SEEK_HOLE), 0);
    rig_end(r, h);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(opening_without_a_change_makes_nothing),
        TEST(creating_is_a_change),
        TEST(the_same_bytes_again_are_a_change),
        TEST(later_closes_change_the_same_version),
        TEST(bytes_after_the_close_reach_its_version),
        TEST(a_draft_changes_its_own_version_only),
        TEST(once_settled_a_later_close_makes_a_newer_version),
        TEST(handles_share_one_draft),
        TEST(truncate_without_a_handle_publishes),
        TEST(sizes_around_what_fits_a_row),
        TEST(an_unlinked_file_stays_usable),
        TEST(a_draft_of_an_unlinked_file_is_dropped),
        TEST(a_bucket_with_an_open_draft_is_not_empty),
        TEST(closing_the_store_publishes_what_is_open),
        TEST(a_reader_keeps_what_it_opened),
        TEST(times_set_while_writing_are_kept),
        TEST(size_and_blocks_follow_the_draft),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
