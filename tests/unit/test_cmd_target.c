/* SPDX-License-Identifier: GPL-3.0-or-later
 * STORE/BUCKET/KEY on a command line: the store is found by looking upwards, whether or not the key exists.
 * (Inside a mount: tests/e2e.) */
#include "unit.h"

#include "cmd/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[] = "/tmp/holdfs-target.XXXXXX";
static char store[64];

static int setup(void **state)
{
    (void)state;
    char conf[80];
    if (!mkdtemp(top))
        return -1;
    snprintf(store, sizeof store, "%s/s", top);
    snprintf(conf, sizeof conf, "%s/holdfs.conf", store);
    if (mkdir(store, 0711) < 0 || chdir(top) < 0 || symlink("s", "link") < 0)
        return -1;
    int fd = open(conf, O_CREAT | O_WRONLY, 0600);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    unlink("s/holdfs.conf");
    rmdir("s");
    unlink("link");
    return chdir("/") < 0 ? -1 : rmdir(top);
}

static void every_spelling_finds_store_and_key(void **state)
{
    (void)state;
    static const struct {
        const char *path, *key;
    } cases[] = {
        {"s", ""},
        {"s/", ""},
        {"./s/b/dir/f", "b/dir/f"},
        {"s//b///f/", "b/f"},
        {"link/b/f", "b/f"},
        {"link", ""},
        {"link/", ""},
        {"s/b/with blank\n", "b/with blank\n"},
        {"s/.", ""},
        {"s/b/.versions/f/V", "b/.versions/f/V"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct target t;
        struct reason reason = {0};
        assert_int_equal(target_find(cases[i].path, &t, &reason), 0);
        assert_string_equal(t.store, store);
        assert_string_equal(t.mount, "");
        assert_string_equal(t.path, cases[i].key);
    }
}

static void elsewhere_is_refused_in_words(void **state)
{
    (void)state;
    static const char *const paths[] = {".", "nosuch/b/f", "/", ""};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct target t;
        struct reason reason = {0};
        assert_int_equal(target_find(paths[i], &t, &reason), -ENOENT);
        assert_true(*reason.text);
    }
}

static void too_long_is_refused(void **state)
{
    (void)state;
    static char path[PATH_MAX * 2];
    struct target t;
    struct reason reason = {0};
    for (size_t i = 0; i + 2 < sizeof path; i += 2)
        memcpy(path + i, "a/", 2);
    assert_int_equal(target_find(path, &t, &reason), -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_finds_store_and_key),
        cmocka_unit_test(elsewhere_is_refused_in_words),
        cmocka_unit_test(too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
