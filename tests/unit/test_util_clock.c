/* SPDX-License-Identifier: GPL-3.0-or-later
 * The machine's clocks, and the test clock that takes their place only where it was allowed. */
#include "unit.h"

#include "util/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char clock_path[] = "/tmp/holdfs-clock-XXXXXX";

static void clock_file_write(const char *json)
{
    FILE *f = fopen(clock_path, "w");
    assert_non_null(f);
    fputs(json, f);
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(clock_path);
    if (fd < 0)
        return -1;
    close(fd);
    setenv("HOLDFS_TEST_CLOCK", clock_path, 1);
    clock_file_write("{\"wall\": 1000}");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(clock_path);
}

static void the_machines_clocks_are_read(void **state)
{
    (void)state;
    struct clock_reading r;
    clock_read(&r);
    assert_true(r.mono_ns > 0 && r.raw_ns > 0 && r.boot_ns >= r.mono_ns);
    assert_int_equal(strlen(r.boot_id), 36);
    assert_true(clock_mono_ns() >= r.mono_ns);
}

static void the_environment_alone_changes_nothing(void **state)
{
    (void)state;
    assert_true(clock_wall_ns() > INT64_C(1577836800) * 1000000000); /* 2020; the file says 1970 */
}

static void an_allowed_test_clock_counts(void **state)
{
    (void)state;
    if (clock_test_enable() == -ENOTSUP)
        skip();
    struct clock_reading r;
    clock_file_write(
        "{\"wall\": 1795521600.5, \"mono\": 10, \"raw\": 11.25, \"boot\": 12, \"boot_id\": \"b\"}");
    assert_true(clock_wall_ns() == INT64_C(1795521600500000000));
    assert_true(clock_mono_ns() == INT64_C(10000000000));
    clock_read(&r);
    assert_true(r.mono_ns == INT64_C(10000000000) && r.raw_ns == INT64_C(11250000000));
    assert_true(r.boot_ns == INT64_C(12000000000));
    assert_string_equal(r.boot_id, "b");
    clock_file_write("{\"wall\": 1}"); /* read anew; what it leaves out is the machine's */
    assert_true(clock_wall_ns() == 1000000000);
    clock_read(&r);
    assert_int_equal(strlen(r.boot_id), 36);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_machines_clocks_are_read),
        cmocka_unit_test(the_environment_alone_changes_nothing),
        cmocka_unit_test(an_allowed_test_clock_counts),
    };
    return cmocka_run_group_tests_name("util/clock", tests, setup, teardown);
}
