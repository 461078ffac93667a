/* SPDX-License-Identifier: GPL-3.0-or-later
 * Log lines: one per event whatever is in it; and which rooms are traced. */
#include "unit.h"

#include "util/log.h"

#include <errno.h>
#include <unistd.h>

/* What `fmt` with `arg` writes to stderr. */
static void logged(const char *arg, char *out, size_t size)
{
    int fds[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    log_warning("name %s", arg);
    dup2(saved, STDERR_FILENO);
    ssize_t n = read(fds[0], out, size - 1);
    assert_true(n > 0);
    out[n] = '\0';
    close(fds[0]);
    close(fds[1]);
    close(saved);
}

static void a_name_cannot_forge_a_second_line(void **state)
{
    (void)state;
    char line[4096], huge[3000];
    logged("a\nholdfs: error: b\x1b[1m\x7f\xc3\xa4", line, sizeof line);
    assert_string_equal(line, "holdfs: warning: name a?holdfs: error: b?[1m?\xc3\xa4\n");
    memset(huge, 'x', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    logged(huge, line, sizeof line);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_true(strlen(line) < 2049);
}

static void errno_is_kept(void **state)
{
    (void)state;
    char line[100];
    errno = ENOENT;
    logged("x", line, sizeof line);
    assert_int_equal(errno, ENOENT);
}

static void rooms_are_traced_by_name(void **state)
{
    (void)state;
    assert_false(log_debug_on("fuse"));
    assert_int_equal(log_debug_rooms("fuse,meta"), 0);
    assert_true(log_debug_on("fuse"));
    assert_true(log_debug_on("meta"));
    assert_false(log_debug_on("engine"));
    assert_int_equal(log_debug_rooms("engine,kitchen"), -EINVAL);
    assert_int_equal(log_debug_rooms("fuse,"), -EINVAL);
    assert_int_equal(log_debug_rooms(""), -EINVAL);
    assert_true(log_debug_on("fuse")); /* a refused list changes nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_cannot_forge_a_second_line),
        cmocka_unit_test(errno_is_kept),
        cmocka_unit_test(rooms_are_traced_by_name),
    };
    return cmocka_run_group_tests_name("util/log", tests, NULL, NULL);
}
