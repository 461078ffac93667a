/* SPDX-License-Identifier: GPL-3.0-or-later
 * -o lists: what is understood, what is passed over, what is refused by name. */
#include "unit.h"

#include "cmd/mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add(struct mount_options *o, const char *list, struct reason *reason)
{
    mount_options_init(o);
    int r = mount_options_add(o, list, false, reason);
    return r < 0 ? r : mount_options_check(o, reason);
}

static void options_reach_their_fields(void **state)
{
    (void)state;
    struct mount_options o;
    struct reason reason = {0};
    assert_int_equal(
        add(&o, "ro,allow_other,bucket=b,settle=5m,sync=close,cache=64M,list-xattrs=all,passphrase-file=/p",
            &reason),
        0);
    assert_true(o.fuse.ro && o.fuse.allow_other && o.fuse.shared && o.fuse.list_xattrs_all && o.sync_close);
    assert_string_equal(o.fuse.bucket, "b");
    assert_int_equal(o.settle_s, 300);
    assert_int_equal(o.cache_bytes, 64 << 20);
    assert_int_equal(o.secret.kind, SLOT_PASSPHRASE);
    assert_string_equal(o.secret.from, "/p");
    mount_options_done(&o);
}

/* mount.md §8: with one principal for all, the kernel's caches tell nobody anything new. */
static void a_mount_where_all_uids_are_one_is_not_shared(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool shared;
    } cases[] = {
        {"allow_other", true},
        {"allow_other,uid-map=*:alice", false},
        {"allow_other,uid-map=1001:bob", true},
        {"allow_other,uid-map=1001:bob/*:alice", true},
        {"allow_other,uid-map=*:alice/1001:bob", true},
        {"uid-map=1001:bob", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mount_options o;
        struct reason reason = {0};
        assert_int_equal(add(&o, cases[i].list, &reason), 0);
        assert_int_equal(o.fuse.shared, cases[i].shared);
        mount_options_done(&o);
    }
}

static void later_ones_win_and_nothing_is_on_by_itself(void **state)
{
    (void)state;
    struct mount_options o;
    struct reason reason = {0};
    assert_int_equal(add(&o, "ro,rw,suid,nosuid,,", &reason), 0);
    assert_false(o.fuse.ro || o.fuse.suid || o.fuse.dev || o.fuse.shared || o.sync_close);
    assert_int_equal(o.settle_s, -1);
    mount_options_done(&o);
}

static void a_backslash_keeps_a_comma(void **state)
{
    (void)state;
    struct mount_options o;
    struct reason reason = {0};
    assert_int_equal(add(&o, "key-file=/a\\,b\\\\c,ro", &reason), 0);
    assert_string_equal(o.secret.from, "/a,b\\c");
    assert_true(o.fuse.ro);
    mount_options_done(&o);
}

static void those_of_other_programs_are_passed_over(void **state)
{
    (void)state;
    struct mount_options o;
    struct reason reason = {0};
    assert_int_equal(
        add(&o,
            "noauto,nofail,_netdev,user,user=eva,users,x-systemd.automount,x-gvfs-name=a,defaults,rw,exec",
            &reason),
        0);
    mount_options_done(&o);
}

static void unknown_ones_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *list, *word;
    } cases[] = {
        {"ro,nosuch", "nosuch"},
        {"ro=1", "ro"},
        {"bucket", "bucket"},
        {"bucket=a/b", "bucket"},
        {"settle=-1", "settle"},
        {"settle=2d", "settle"},
        {"cache=10X", "cache"},
        {"cache=99999999999G", "cache"},
        {"sync=maybe", "sync"},
        {"at-name=", "at-name"},
        {"at-name=..", "at-name"},
        {"max_idle_threads=0", "max_idle"},
        {"key-file=a,credential=b", "key-file"},
        {"allow_other,allow_root", "exclude"},
        {"uid-map=", "uid-map"},
        {"uid-map=1:a,uid-map=2:b", "uid-map"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mount_options o;
        struct reason reason = {0};
        assert_int_equal(add(&o, cases[i].list, &reason), -EINVAL);
        assert_non_null(strstr(reason.text, cases[i].word));
        mount_options_done(&o);
    }
}

static void sloppy_passes_over_unknown_ones_only(void **state)
{
    (void)state;
    struct mount_options o;
    struct reason reason = {0};
    mount_options_init(&o);
    assert_int_equal(mount_options_add(&o, "nosuch,ro", true, &reason), 0);
    assert_true(o.fuse.ro);
    assert_int_equal(mount_options_add(&o, "settle=x", true, &reason), -EINVAL);
    mount_options_done(&o);
}

static void an_option_beats_the_environment(void **state)
{
    (void)state;
    struct mount_options o;
    struct reason reason = {0};
    setenv("HOLDFS_PASSPHRASE_FILE", "/env", 1);
    assert_int_equal(add(&o, "ro", &reason), 0);
    assert_string_equal(o.secret.from, "/env");
    mount_options_done(&o);
    assert_int_equal(add(&o, "key-file=/k", &reason), 0);
    assert_int_equal(o.secret.kind, SLOT_KEYFILE);
    mount_options_done(&o);
    unsetenv("HOLDFS_PASSPHRASE_FILE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_reach_their_fields),
        cmocka_unit_test(a_mount_where_all_uids_are_one_is_not_shared),
        cmocka_unit_test(later_ones_win_and_nothing_is_on_by_itself),
        cmocka_unit_test(a_backslash_keeps_a_comma),
        cmocka_unit_test(those_of_other_programs_are_passed_over),
        cmocka_unit_test(unknown_ones_are_refused_by_name),
        cmocka_unit_test(sloppy_passes_over_unknown_ones_only),
        cmocka_unit_test(an_option_beats_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
