/* SPDX-License-Identifier: GPL-3.0-or-later
 * The machine's clocks, or the test clock's; see clock.h. Nobody else in the tree asks the machine for the
 * time. */
#include "util/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef HOLDFS_TEST_HOOKS
#include <jansson.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#endif

enum { NS_PER_S = 1000000000 };
/* The kernel's PROC_TIME_INIT_INO: the time namespace every boot starts with. */
static const uint64_t initial_time_ns_inode = 4026531834u;

static int64_t machine_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts); /* cannot fail for the clocks named here */
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

#ifdef HOLDFS_TEST_HOOKS
static atomic_bool test_allowed;

static int64_t test_member(const json_t *clock, const char *name, int64_t otherwise)
{
    const json_t *v = json_object_get(clock, name);
    if (json_is_integer(v))
        return (int64_t)json_integer_value(v) * NS_PER_S;
    return json_is_real(v) ? llround(json_real_value(v) * 1e9) : otherwise;
}

/* The test clock's document, to be released; NULL when the machine's clocks count. A file that cannot be read
 * ends the process: a test that fell back to the real time would pass or fail for the wrong reason. */
static json_t *test_clock(void)
{
    const char *path = atomic_load(&test_allowed) ? getenv("HOLDFS_TEST_CLOCK") : NULL;
    if (!path)
        return NULL;
    json_t *clock = json_load_file(path, 0, NULL);
    if (!clock) {
        fprintf(stderr, "holdfs: HOLDFS_TEST_CLOCK names %s, which holds no JSON\n", path);
        abort();
    }
    return clock;
}

static int64_t clock_ns(clockid_t id, const char *name)
{
    int64_t machine = machine_ns(id);
    json_t *clock = test_clock();
    if (!clock)
        return machine;
    int64_t ns = test_member(clock, name, machine);
    json_decref(clock);
    return ns;
}

static void test_override(struct clock_reading *r)
{
    json_t *clock = test_clock();
    if (!clock)
        return;
    r->mono_ns = test_member(clock, "mono", r->mono_ns);
    r->raw_ns = test_member(clock, "raw", r->raw_ns);
    r->boot_ns = test_member(clock, "boot", r->boot_ns);
    const char *boot_id = json_string_value(json_object_get(clock, "boot_id"));
    if (boot_id)
        snprintf(r->boot_id, sizeof r->boot_id, "%s", boot_id);
    json_decref(clock);
}

int clock_test_enable(void)
{
    atomic_store(&test_allowed, true);
    return 0;
}
#else
static int64_t clock_ns(clockid_t id, const char *name)
{
    (void)name;
    return machine_ns(id);
}

static void test_override(struct clock_reading *r)
{
    (void)r;
}

int clock_test_enable(void)
{
    return -ENOTSUP;
}
#endif

int64_t clock_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME, "wall");
}

int64_t clock_mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC, "mono");
}

static void boot_id_read(char out[37])
{
    out[0] = '\0';
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, out, 36);
    out[n == 36 ? 36 : 0] = '\0';
    close(fd);
}

/* True when /proc/self/timens_offsets shows both offsets, and both are 0. */
static bool time_ns_offsets_zero(void)
{
    FILE *f = fopen("/proc/self/timens_offsets", "re");
    if (!f)
        return false;
    int seen = 0;
    char name[32];
    long long sec, nsec;
    while (fscanf(f, "%31s %lld %lld", name, &sec, &nsec) == 3) {
        if (sec || nsec) {
            seen = 0;
            break;
        }
        seen++;
    }
    fclose(f);
    return seen == 2;
}

/* What stays the same for as long as the process lives; read once, for the clocks are read before every
 * judgement. */
static struct clock_reading lasting;

static void lasting_read(void)
{
    struct stat st;
    boot_id_read(lasting.boot_id);
    if (stat("/proc/self/ns/time", &st) == 0)
        lasting.time_ns_inode = st.st_ino;
    /* What cannot be seen is not trusted: then a gap gets no credit (retention.md §3). */
    lasting.time_ns_initial = lasting.time_ns_inode == initial_time_ns_inode && time_ns_offsets_zero();
}

void clock_read(struct clock_reading *ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, lasting_read);
    *ret = lasting;
    ret->mono_ns = machine_ns(CLOCK_MONOTONIC);
    ret->raw_ns = machine_ns(CLOCK_MONOTONIC_RAW);
    ret->boot_ns = machine_ns(CLOCK_BOOTTIME);
    test_override(ret);
}
