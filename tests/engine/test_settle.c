/* SPDX-License-Identifier: GPL-3.0-or-later
 * Settling, orphans and what they survive (retention.md §1.6, cases 50-52), over a real store and a clock that the test moves. */
#include "rig.h"

#include "clock.h"
#include "engine/private.h"

static const int64_t day_s = 86400;

static void bucket_with_default(struct rig *r)
{
    rig_bucket(r, "bkt", ENABLED);
    rig_bucket_set(r, "bkt", "bucket.object-lock", "COMPLIANCE 1d");
}

static const char *property(struct rig *r, const char *path, const char *name)
{
    static char texts[4][512];
    static unsigned at;
    struct bytes out = {0};
    struct engine_target target = {.ino = rig_ino(r, path)};
    char *text = texts[at++ % 4];
    int error = engine_property_get(r->e, &r->c, &target, name, &out);
    snprintf(text, sizeof texts[0], "%s", error < 0 ? strerrorname_np(-error) : bytes_text(&out));
    bytes_done(&out);
    return text;
}

static const char *retention_of(struct rig *r, const char *key, int n)
{
    static char text[512];
    struct bytes out = {0};
    uint32_t bucket;
    uint64_t root;
    assert_int_equal(engine_bucket_find(r->e, "bkt", 3, &bucket, &root), 0);
    char path[256];
    snprintf(path, sizeof path, "bkt/%s", key);
    struct engine_target target = {.bucket = bucket, .key = span_of(key, strlen(key)), .seq = rig_version(r, path, n)};
    int error = engine_property_get(r->e, &r->c, &target, "retention", &out);
    snprintf(text, sizeof text, "%s", error < 0 ? strerrorname_np(-error) : bytes_text(&out));
    bytes_done(&out);
    return text;
}

static void passes(struct rig *r, int64_t seconds)
{
    clock_passes(seconds);
    settle_run(r->e);
}

static void default_retention_comes_when_a_version_was_left_alone(void **state)
{
    struct rig *r = *state;
    bucket_with_default(r);
    rig_write(r, "bkt/f", "one");
    assert_text(property(r, "bkt/f", "settle"), "60");
    passes(r, 59);
    assert_text(property(r, "bkt/f", "settle"), "1");
    assert_text(property(r, "bkt/f", "retention"), "ENODATA");
    passes(r, 2);
    assert_text(property(r, "bkt/f", "settle"), "0");
    assert_text(property(r, "bkt/f", "retention-remaining"), "86400"); /* counted from that moment */
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), -EPERM);
    assert_non_null(strstr(r->c.reason.text, "COMPLIANCE retention until"));
    clock_passes(day_s + 1);
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), 0);
}

static void what_is_written_touched_moved_and_removed_in_time_is_free(void **state)
{
    struct rig *r = *state;
    bucket_with_default(r);
    rig_write(r, "bkt/t", "x");
    assert_int_equal(rig_touch(r, "bkt/t", 5), 0);
    assert_int_equal(rig_rename(r, "bkt/t", "bkt/f", 0), 0);
    assert_int_equal(rig_unlink(r, "bkt/f"), 0);
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), 0);
}

static void a_version_that_was_superseded_in_time_is_never_locked(void **state)
{
    struct rig *r = *state;
    bucket_with_default(r);
    rig_write(r, "bkt/f", "one");
    passes(r, 10);
    rig_write(r, "bkt/f", "two");
    passes(r, 59);
    assert_text(property(r, "bkt/f", "retention"), "ENODATA");
    passes(r, 2);
    assert_text(retention_of(r, "f", 0), "ENODATA");
    assert_text(property(r, "bkt/f", "object-lock-mode"), "COMPLIANCE");
    assert_int_equal(rig_version_delete(r, "bkt/f", 0), 0);
}

static void touching_puts_it_off_but_not_for_ever(void **state)
{
    struct rig *r = *state;
    bucket_with_default(r);
    rig_write(r, "bkt/f", "one");
    for (int64_t s = 0; s < 15 * 60 - 50; s += 50) {
        assert_text(property(r, "bkt/f", "retention"), "ENODATA");
        assert_int_equal(rig_touch(r, "bkt/f", s), 0);
        passes(r, 50);
    }
    passes(r, 50);
    assert_text(property(r, "bkt/f", "object-lock-mode"), "COMPLIANCE");
}

static void an_open_handle_keeps_it_waiting_until_fifteen_times_are_up(void **state)
{
    struct rig *r = *state;
    bucket_with_default(r);
    struct engine_handle *h = rig_handle(r, "bkt/f", O_RDWR | O_CREAT);
    rig_put(h, "one", 0);
    assert_int_equal(rig_flush(r, h), 0);
    passes(r, 300);
    assert_text(property(r, "bkt/f", "retention"), "ENODATA");
    passes(r, 601);
    assert_text(property(r, "bkt/f", "object-lock-mode"), "COMPLIANCE");
    rig_put(h, "two", 0);
    rig_end(r, h);
    assert_history(r, "bkt/f", "v:one v:two");
    assert_text(property(r, "bkt/f", "retention"), "ENODATA"); /* the newer one */
}

static void settle_now_and_settle_time_zero(void **state)
{
    struct rig *r = *state;
    bucket_with_default(r);
    rig_write(r, "bkt/f", "one");
    rig_settle(r, "bkt/f");
    assert_text(property(r, "bkt/f", "object-lock-mode"), "COMPLIANCE");
    rig_bucket_set(r, "bkt", "bucket.settle", "0");
    rig_write(r, "bkt/g", "one");
    assert_text(property(r, "bkt/g", "object-lock-mode"), "COMPLIANCE");
    assert_int_equal(rig_version_delete(r, "bkt/g", 0), -EPERM);
}

static void a_remount_starts_the_timer_anew(void **state)
{
    struct rig *r = *state;
    bucket_with_default(r);
    rig_write(r, "bkt/f", "one");
    passes(r, 40);
    rig_reopen(r);
    passes(r, 40);
    assert_text(property(r, "bkt/f", "retention"), "ENODATA");
    passes(r, 21);
    assert_text(property(r, "bkt/f", "object-lock-mode"), "COMPLIANCE");
}

static void the_date_on_the_wall_settles_nothing(void **state)
{
    struct rig *r = *state;
    bucket_with_default(r);
    rig_write(r, "bkt/f", "one");
    clock_wall_set_ahead(10 * day_s);
    settle_run(r->e);
    assert_text(property(r, "bkt/f", "settle"), "60");
}

/* ---- orphans ---- */

static void a_swap_file_leaves_version_and_marker_for_a_day(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "bkt", ENABLED);
    rig_write(r, "bkt/.f.swp", "lost work");
    assert_int_equal(rig_unlink(r, "bkt/.f.swp"), 0);
    assert_history(r, "bkt/.f.swp", "v:lost work M");
    passes(r, day_s - 10);
    assert_history(r, "bkt/.f.swp", "v:lost work M");
    passes(r, 20);
    assert_history(r, "bkt/.f.swp", "");
}

static void swap_files_of_the_same_name_do_not_pile_up(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "bkt", ENABLED);
    for (int n = 0; n < 3; n++) {
        rig_write(r, "bkt/.f.swp", "lost work");
        assert_int_equal(rig_unlink(r, "bkt/.f.swp"), 0);
        passes(r, 100);
    }
    assert_history(r, "bkt/.f.swp", "v:lost work M v:lost work M v:lost work M");
    passes(r, day_s);
    passes(r, 3600);
    assert_history(r, "bkt/.f.swp", "");
}

static void what_had_a_history_is_no_orphan(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "bkt", ENABLED);
    rig_write(r, "bkt/f", "one");
    rig_settle(r, "bkt/f");
    rig_write(r, "bkt/f", "two");
    assert_int_equal(rig_unlink(r, "bkt/f"), 0);
    passes(r, 2 * day_s);
    passes(r, 2 * day_s);
    assert_history(r, "bkt/f", "v:one v:two M");
}

static void an_orphan_brought_back_stays(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "bkt", ENABLED);
    rig_write(r, "bkt/f", "one");
    assert_int_equal(rig_unlink(r, "bkt/f"), 0);
    passes(r, 61);
    assert_int_equal(rig_version_delete(r, "bkt/f", 1), 0); /* its marker */
    assert_reads(r, "bkt/f", "one");
    passes(r, 2 * day_s);
    passes(r, 2 * day_s);
    assert_reads(r, "bkt/f", "one");
}

static void a_date_set_ahead_reaps_nothing(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "bkt", ENABLED);
    rig_write(r, "bkt/f", "one");
    assert_int_equal(rig_unlink(r, "bkt/f"), 0);
    clock_wall_set_ahead(10 * day_s);
    passes(r, 3700);
    assert_history(r, "bkt/f", "v:one M");
}

static void orphans_are_kept_as_the_bucket_says(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "bkt", ENABLED);
    rig_bucket_set(r, "bkt", "bucket.orphan-keep", "0");
    rig_write(r, "bkt/f", "one");
    assert_int_equal(rig_unlink(r, "bkt/f"), 0);
    assert_history(r, "bkt/f", "");
    rig_bucket_set(r, "bkt", "bucket.orphan-keep", "forever");
    rig_write(r, "bkt/f", "one");
    assert_int_equal(rig_unlink(r, "bkt/f"), 0);
    passes(r, 400 * day_s);
    assert_history(r, "bkt/f", "v:one M");
}

static void orphans_are_found_again_after_a_remount(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "bkt", ENABLED);
    rig_write(r, "bkt/f", "one");
    assert_int_equal(rig_unlink(r, "bkt/f"), 0);
    passes(r, 100);
    rig_reopen(r);
    passes(r, 2);
    passes(r, day_s);
    assert_history(r, "bkt/f", "");
}

/* ---- null versions ---- */

static void a_replaced_null_version_goes_once_its_successor_is_durable(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "bkt", UNVERSIONED);
    rig_write(r, "bkt/f", "one");
    assert_int_equal(durable_advance(r->e), 0);
    rig_write(r, "bkt/f", "two");
    assert_history(r, "bkt/f", "n:two");
    assert_int_equal(durable_advance(r->e), 0);
    passes(r, 2);
    uint64_t objects, markers;
    uint32_t bucket;
    uint64_t root;
    assert_int_equal(engine_bucket_find(r->e, "bkt", 3, &bucket, &root), 0);
    LOCK_SCOPE(&r->e->meta);
    assert_int_equal(r->e->meta_ops->version_count(r->e->m, bucket, &objects, &markers), 0);
    assert_int_equal(objects, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(default_retention_comes_when_a_version_was_left_alone, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(what_is_written_touched_moved_and_removed_in_time_is_free, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_version_that_was_superseded_in_time_is_never_locked, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(touching_puts_it_off_but_not_for_ever, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(an_open_handle_keeps_it_waiting_until_fifteen_times_are_up, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(settle_now_and_settle_time_zero, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_remount_starts_the_timer_anew, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(the_date_on_the_wall_settles_nothing, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_swap_file_leaves_version_and_marker_for_a_day, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(swap_files_of_the_same_name_do_not_pile_up, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(what_had_a_history_is_no_orphan, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(an_orphan_brought_back_stays, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_date_set_ahead_reaps_nothing, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(orphans_are_kept_as_the_bucket_says, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(orphans_are_found_again_after_a_remount, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_replaced_null_version_goes_once_its_successor_is_durable, rig_setup, rig_teardown),
    };
    if (!clock_start())
        return 77;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clock_stop();
    return failed;
}
