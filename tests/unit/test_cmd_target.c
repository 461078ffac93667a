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

static int in_mounts(const char *lines, const char *path, struct target *t)
{
    FILE *f = fmemopen((char *)(uintptr_t)lines, strlen(lines), "r");
    assert_non_null(f);
    int r = target_in_mounts(f, path, t);
    fclose(f);
    return r;
}

static void a_mount_is_found_only_by_paths_below_it(void **state)
{
    (void)state;
    static const char with_root[] = "22 1 8:1 / / rw - ext4 /dev/vda rw\n"
                                    "40 22 0:50 / /mnt/hold rw - fuse.holdfs /srv/store rw\n";
    struct target t;
    assert_int_equal(in_mounts(with_root, "/mnt/hold/b/k", &t), 1);
    assert_string_equal(t.store, "/srv/store");
    assert_string_equal(t.path, "b/k");
    assert_int_equal(in_mounts(with_root, "/mnt/holder", &t), 0);
    assert_int_equal(in_mounts(with_root, "/srv/store/b", &t), 0);
    /* In a chroot the root directory may be no mount: then no line holds the path. */
    assert_int_equal(in_mounts(strchr(with_root, '\n') + 1, "/srv/other/b", &t), 0);
    assert_int_equal(in_mounts(strchr(with_root, '\n') + 1, "/mnt/hold", &t), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_finds_store_and_key),
        cmocka_unit_test(elsewhere_is_refused_in_words),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(a_mount_is_found_only_by_paths_below_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
