/* SPDX-License-Identifier: GPL-3.0-or-later
 * A clock that stands still until a test moves it: the file that HOLDFS_TEST_CLOCK names (util/clock.h). */
#ifndef HOLDFS_TESTS_ENGINE_CLOCK_H
#define HOLDFS_TESTS_ENGINE_CLOCK_H

#include "util/clock.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct test_clock {
    int64_t wall_s, mono_s; /* mono is raw and boot as well */
    char path[64];
};
static struct test_clock test_clock = {.wall_s = 1795521600, .mono_s = 1000};

/* Written beside and renamed: the engine's worker reads it at any time. */
static inline void clock_put(void)
{
    char beside[72];
    snprintf(beside, sizeof beside, "%s.new", test_clock.path);
    FILE *f = fopen(beside, "we");
    fprintf(f, "{\"wall\":%lld,\"mono\":%lld,\"raw\":%lld,\"boot\":%lld,\"boot_id\":\"11111111-2222-3333-4444-555555555555\"}",
            (long long)test_clock.wall_s, (long long)test_clock.mono_s, (long long)test_clock.mono_s, (long long)test_clock.mono_s);
    fclose(f);
    rename(beside, test_clock.path);
}

/* False: the build has no test hooks, and the test is skipped. */
static inline int clock_start(void)
{
    if (clock_test_enable() < 0)
        return 0;
    snprintf(test_clock.path, sizeof test_clock.path, "/tmp/holdfs-clock-%ld", (long)getpid());
    clock_put();
    setenv("HOLDFS_TEST_CLOCK", test_clock.path, 1);
    return 1;
}

static inline void clock_stop(void)
{
    unlink(test_clock.path);
}

static inline void clock_passes(int64_t seconds)
{
    test_clock.wall_s += seconds;
    test_clock.mono_s += seconds;
    clock_put();
}

static inline void clock_wall_set_ahead(int64_t seconds)
{
    test_clock.wall_s += seconds;
    clock_put();
}

#endif
