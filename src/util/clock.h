/* SPDX-License-Identifier: GPL-3.0-or-later
 * The machine's clocks, read in one place. With --enable-test-hooks and clock_test_enable(), they come from the file named in
 * HOLDFS_TEST_CLOCK (JSON: wall, mono, raw, boot in seconds as numbers, boot_id text; re-read at each call). */
#ifndef HOLDFS_UTIL_CLOCK_H
#define HOLDFS_UTIL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clock_reading {
    int64_t mono_ns, raw_ns, boot_ns; /* CLOCK_MONOTONIC, _MONOTONIC_RAW, _BOOTTIME */
    char boot_id[37];                 /* /proc/sys/kernel/random/boot_id */
    uint64_t time_ns_inode;           /* of /proc/self/ns/time; initial one: 4026531834 */
    bool time_ns_initial;             /* inode is the initial one and the offsets are 0 */
};

int64_t clock_wall_ns(void); /* CLOCK_REALTIME; ns since 1970 */
int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC */
void clock_read(struct clock_reading *ret);
/* Allows the test clock for this process (stores made by init --test-store only). Without test hooks in the build: -ENOTSUP. */
int clock_test_enable(void);

#endif
