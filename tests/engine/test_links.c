/* SPDX-License-Identifier: GPL-3.0-or-later
 * Hard links: one inode under several keys, each with a history of its own (design §5; retention.md §1.7, §9 case 22). */
#include "rig.h"

#include <linux/fs.h>
#include <sys/stat.h>

static unsigned nlink_of(struct rig *r, const char *path)
{
    struct engine_attr attr;
    assert_int_equal(rig_stat(r, path, &attr), 0);
    return attr.nlink;
}

static void assert_one_inode(struct rig *r, const char *a, const char *b, unsigned nlink)
{
    assert_int_equal(rig_ino(r, a), rig_ino(r, b));
    assert_int_equal(nlink_of(r, a), nlink);
    assert_int_equal(nlink_of(r, b), nlink);
}

/* Given in every test: f and g are one settled file that holds "old". */
static void linked(struct rig *r, const char *b, enum rig_state state)
{
    char f[64], g[64];
    rig_bucket(r, b, state);
    snprintf(f, sizeof f, "%s/f", b);
    snprintf(g, sizeof g, "%s/g", b);
    rig_write(r, f, "old");
    assert_int_equal(rig_link(r, f, g), 0);
    rig_settle(r, f);
    assert_one_inode(r, f, g, 2);
}

static void refused_links_change_nothing(void **state)
{
    struct rig *r = *state;
    linked(r, "eee", ENABLED);
    rig_bucket(r, "fff", ENABLED);
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    assert_int_equal(rig_link(r, "eee/f", "eee/g"), -EEXIST);
    assert_int_equal(rig_link(r, "eee/f", "fff/f"), -EXDEV);
    assert_int_equal(rig_link(r, "eee/d", "eee/e"), -EPERM);
    assert_int_equal(rig_link(r, "eee/f", "eee/h/x"), -ENOENT);
    assert_int_equal(rig_link(r, "eee/f", "ggg"), -EPERM);
    assert_int_equal(nlink_of(r, "eee/f"), 2);
    assert_history(r, "eee/f", "v:old");
    assert_history(r, "eee/g", "v:old");
}

static void a_write_publishes_under_every_name(void **state)
{
    struct rig *r = *state;
    linked(r, "uuu", UNVERSIONED);
    linked(r, "eee", ENABLED);
    linked(r, "sss", SUSPENDED);
    static const char *const buckets[] = {"uuu", "eee", "sss"};
    for (int n = 0; n < 3; n++) {
        char g[64], h[64], path[64];
        snprintf(g, sizeof g, "%s/g", buckets[n]);
        snprintf(h, sizeof h, "%s/d/h", buckets[n]);
        snprintf(path, sizeof path, "%s/d", buckets[n]);
        assert_int_equal(rig_mkdir(r, path), 0);
        assert_int_equal(rig_link(r, g, h), 0);
        rig_reopen(r);
        rig_append(r, h, "er");
        assert_reads(r, g, "older");
        assert_one_inode(r, g, h, 3);
    }
    assert_history(r, "eee/f", "v:old v:older");
    assert_history(r, "eee/g", "v:old v:older");
    assert_history(r, "eee/d/h", "v:old v:older");
    assert_history(r, "uuu/f", "n:older");
    assert_history(r, "sss/d/h", "n:older");
}

static void forked_closes_replace_one_version_under_every_name(void **state)
{
    struct rig *r = *state;
    linked(r, "eee", ENABLED);
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR);
    rig_put(h, "A", 0);
    assert_int_equal(rig_flush(r, h), 0);
    assert_int_equal(engine_fsync(h, false), 0);
    rig_put(h, "B", 1);
    assert_int_equal(rig_flush(r, h), 0);
    rig_put(h, "C", 2);
    rig_end(r, h);
    assert_history(r, "eee/f", "v:old v:ABC");
    assert_history(r, "eee/g", "v:old v:ABC");
}

static void a_link_to_an_open_draft(void **state)
{
    struct rig *r = *state;
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char f[64], g[64];
        rig_bucket(r, b, (enum rig_state)s);
        snprintf(f, sizeof f, "%s/f", b);
        snprintf(g, sizeof g, "%s/g", b);
        struct engine_handle *h = rig_handle(r, f, O_RDWR | O_CREAT);
        rig_put(h, "one", 0);
        assert_int_equal(rig_link(r, f, g), 0);
        assert_reads(r, g, "one");
        rig_put(h, "two", 3);
        rig_end(r, h);
        assert_one_inode(r, f, g, 2);
        assert_reads(r, g, "onetwo");
    }
    assert_history(r, "uuu/f", "n:onetwo");
    assert_history(r, "eee/f", "v:onetwo");
    assert_history(r, "eee/g", "v:onetwo");
}

static void unlinking_the_first_name(void **state)
{
    struct rig *r = *state;
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char f[64], g[64];
        linked(r, b, (enum rig_state)s);
        snprintf(f, sizeof f, "%s/f", b);
        snprintf(g, sizeof g, "%s/g", b);
        uint64_t ino = rig_ino(r, f);
        rig_reopen(r);
        assert_int_equal(rig_unlink(r, f), 0);
        assert_int_equal(rig_ino(r, g), ino);
        assert_int_equal(nlink_of(r, g), 1);
        rig_append(r, g, "er");
        assert_int_equal(rig_ino(r, g), ino);
        rig_reopen(r);
        assert_reads(r, g, "older");
        assert_int_equal(rig_ino(r, g), ino);
    }
    assert_history(r, "eee/f", "v:old M");
    assert_history(r, "eee/g", "v:old v:older");
    assert_history(r, "uuu/f", "");
    assert_history(r, "sss/f", "nM");
}

static void unlinking_the_other_name_and_then_the_first(void **state)
{
    struct rig *r = *state;
    linked(r, "eee", ENABLED);
    linked(r, "uuu", UNVERSIONED);
    for (int n = 0; n < 2; n++) {
        const char *b = n ? "uuu" : "eee";
        char f[64], g[64];
        snprintf(f, sizeof f, "%s/f", b);
        snprintf(g, sizeof g, "%s/g", b);
        struct engine_handle *h = rig_handle(r, f, O_RDWR);
        assert_int_equal(rig_unlink(r, g), 0);
        assert_int_equal(nlink_of(r, f), 1);
        rig_put(h, "X", 0);
        assert_int_equal(rig_unlink(r, f), 0);
        assert_text(rig_read_handle(h), "Xld");
        rig_end(r, h);
        assert_names(r, b, "");
    }
    assert_history(r, "eee/f", "v:old M");
    assert_history(r, "eee/g", "v:old M");
}

static void renaming_one_of_the_names(void **state)
{
    struct rig *r = *state;
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char f[64], g[64], x[64], y[64];
        linked(r, b, (enum rig_state)s);
        snprintf(f, sizeof f, "%s/f", b);
        snprintf(g, sizeof g, "%s/g", b);
        snprintf(x, sizeof x, "%s/x", b);
        snprintf(y, sizeof y, "%s/y", b);
        uint64_t ino = rig_ino(r, f);
        rig_reopen(r);
        assert_int_equal(rig_rename(r, f, x, 0), 0); /* the first */
        assert_one_inode(r, x, g, 2);
        rig_reopen(r);
        assert_int_equal(rig_rename(r, g, y, 0), 0); /* the other */
        assert_one_inode(r, x, y, 2);
        assert_int_equal(rig_ino(r, x), ino);
        rig_append(r, y, "er");
        assert_reads(r, x, "older");
    }
    assert_history(r, "eee/f", "v:old M");
    assert_history(r, "eee/x", "v:old v:older");
    assert_history(r, "eee/y", "v:old v:older");
    assert_history(r, "uuu/x", "n:older");
    assert_history(r, "sss/g", "nM");
}

static void renaming_onto_another_name_of_itself_does_nothing(void **state)
{
    struct rig *r = *state;
    linked(r, "eee", ENABLED);
    assert_int_equal(rig_rename(r, "eee/f", "eee/g", 0), 0); /* rename(2) */
    assert_int_equal(rig_rename(r, "eee/f", "eee/g", RENAME_EXCHANGE), 0);
    assert_one_inode(r, "eee/f", "eee/g", 2);
    assert_history(r, "eee/f", "v:old");
}

static void a_name_that_is_renamed_over_leaves_the_others(void **state)
{
    struct rig *r = *state;
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char f[64], g[64], tmp[64];
        linked(r, b, (enum rig_state)s);
        snprintf(f, sizeof f, "%s/f", b);
        snprintf(g, sizeof g, "%s/g", b);
        snprintf(tmp, sizeof tmp, "%s/tmp", b);
        rig_write(r, tmp, "new");
        uint64_t ino = rig_ino(r, tmp);
        rig_reopen(r);
        assert_int_equal(rig_rename(r, tmp, f, 0), 0);
        assert_reads(r, f, "new");
        assert_reads(r, g, "old");
        assert_int_equal(rig_ino(r, f), ino);
        assert_int_equal(nlink_of(r, g), 1);
        assert_int_equal(nlink_of(r, f), 1);
    }
    assert_history(r, "eee/f", "v:old v:new");
    assert_history(r, "eee/g", "v:old");
}

static void a_directory_with_both_names_moves(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    rig_write(r, "eee/d/f", "text");
    assert_int_equal(rig_link(r, "eee/d/f", "eee/d/g"), 0);
    assert_int_equal(rig_link(r, "eee/d/f", "eee/h"), 0);
    rig_reopen(r);
    assert_int_equal(rig_rename(r, "eee/d", "eee/e", 0), 0);
    assert_one_inode(r, "eee/e/f", "eee/e/g", 3);
    rig_append(r, "eee/h", "!");
    assert_reads(r, "eee/e/f", "text!");
    assert_reads(r, "eee/e/g", "text!");
    assert_int_equal(rig_mkdir(r, "eee/x"), 0);
    assert_int_equal(rig_link(r, "eee/h", "eee/x/f"), 0);
    rig_reopen(r);
    assert_int_equal(rig_rename(r, "eee/e", "eee/x", RENAME_EXCHANGE), 0);
    rig_append(r, "eee/x/g", "?");
    assert_reads(r, "eee/e/f", "text!?");
    assert_reads(r, "eee/x/f", "text!?");
    assert_one_inode(r, "eee/x/f", "eee/e/f", 4);
    assert_names(r, "eee", "e/ e/f h x/ x/f x/g");
}

static void a_version_removed_under_one_name(void **state)
{
    struct rig *r = *state;
    linked(r, "eee", ENABLED);
    linked(r, "uuu", UNVERSIONED);
    rig_write(r, "eee/g", "new");
    uint64_t ino = rig_ino(r, "eee/f");
    rig_reopen(r); /* nothing is loaded */
    assert_int_equal(rig_version_delete(r, "eee/f", -1), 0);
    assert_reads(r, "eee/f", "old"); /* goes on as another file */
    assert_reads(r, "eee/g", "new");
    assert_int_equal(nlink_of(r, "eee/f"), 1);
    assert_int_equal(nlink_of(r, "eee/g"), 1);
    assert_int_equal(rig_ino(r, "eee/g"), ino);
    rig_append(r, "eee/g", "er");
    assert_history(r, "eee/f", "v:old");
    assert_history(r, "eee/g", "v:old v:new v:newer");
    rig_reopen(r);
    assert_int_equal(rig_version_delete(r, "uuu/f", -1), 0); /* its only one: the name goes */
    assert_names(r, "uuu", "g");
    assert_int_equal(nlink_of(r, "uuu/g"), 1);
    assert_reads(r, "uuu/g", "old");
}

static void a_version_removed_under_the_name_that_is_no_longer_first(void **state)
{
    struct rig *r = *state;
    linked(r, "eee", ENABLED);
    rig_write(r, "eee/f", "new");
    rig_reopen(r);
    assert_int_equal(rig_version_delete(r, "eee/g", -1), 0);
    assert_reads(r, "eee/g", "old");
    assert_reads(r, "eee/f", "new");
    assert_int_equal(nlink_of(r, "eee/f"), 1);
    assert_int_not_equal(rig_ino(r, "eee/g"), rig_ino(r, "eee/f"));
    assert_int_equal(rig_version_delete(r, "eee/g", 0), 0);
    assert_names(r, "eee", "f");
}

static void a_marker_removed_brings_the_name_back_alone(void **state)
{
    struct rig *r = *state;
    linked(r, "eee", ENABLED);
    assert_int_equal(rig_unlink(r, "eee/f"), 0);
    rig_append(r, "eee/g", "er");
    assert_int_equal(rig_version_delete(r, "eee/f", -1), 0);
    assert_reads(r, "eee/f", "old");
    assert_reads(r, "eee/g", "older");
    assert_int_not_equal(rig_ino(r, "eee/g"), rig_ino(r, "eee/f"));
    rig_append(r, "eee/f", "!");
    assert_reads(r, "eee/g", "older");
}

static void attributes_are_shared(void **state)
{
    struct rig *r = *state;
    struct engine_attr attr;
    linked(r, "eee", ENABLED);
    assert_int_equal(rig_setattr(r, "eee/g", SET_MODE, &(struct engine_attr){.mode = 0600}), 0);
    assert_int_equal(rig_touch(r, "eee/f", 1234), 0);
    rig_reopen(r);
    assert_int_equal(rig_unlink(r, "eee/f"), 0);
    rig_reopen(r);
    assert_int_equal(rig_stat(r, "eee/g", &attr), 0);
    assert_int_equal(attr.mode, S_IFREG | 0600);
    assert_int_equal(attr.mtime.sec, 1234);
}

/* ---- O_TMPFILE ---- */

static struct engine_handle *tmpfile_in(struct rig *r, const char *dir, uint64_t *ret_ino)
{
    struct engine_attr attr;
    struct engine_handle *h;
    assert_int_equal(engine_tmpfile(r->e, &r->c, rig_ino(r, dir), 0640, O_RDWR, &attr, &h), 0);
    assert_int_equal(attr.nlink, 0);
    *ret_ino = attr.ino;
    return h;
}

static void tmpfile_without_a_name_leaves_nothing(void **state)
{
    struct rig *r = *state;
    uint64_t ino;
    rig_bucket(r, "eee", ENABLED);
    struct engine_handle *h = tmpfile_in(r, "eee", &ino);
    rig_put(h, "text", 0);
    rig_fill(h, 'x', 100000, 4);
    assert_int_equal(engine_fsync(h, false), 0);
    rig_end(r, h);
    struct engine_attr attr;
    assert_int_equal(engine_getattr(r->e, &r->c, ino, &attr), -ESTALE);
    assert_names(r, "eee", "");
    rig_reopen(r);
    assert_names(r, "eee", "");
    assert_int_equal(rig_rmdir(r, "eee"), 0);
}

static void tmpfile_gets_a_name(void **state)
{
    struct rig *r = *state;
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        struct engine_attr attr;
        uint64_t ino;
        char f[64], g[64];
        rig_bucket(r, b, (enum rig_state)s);
        snprintf(f, sizeof f, "%s/f", b);
        snprintf(g, sizeof g, "%s/g", b);
        struct engine_handle *h = tmpfile_in(r, b, &ino);
        rig_put(h, "text", 0);
        assert_int_equal(rig_flush(r, h), 0); /* a dup(2) that is closed */
        assert_int_equal(engine_link(r->e, &r->c, ino, rig_ino(r, b), "f", 1, &attr), 0);
        assert_int_equal(attr.nlink, 1);
        assert_int_equal(engine_link(r->e, &r->c, ino, rig_ino(r, b), "g", 1, &attr), 0);
        assert_int_equal(attr.nlink, 2);
        rig_put(h, "!", 4);
        rig_end(r, h);
        assert_reads(r, f, "text!");
        assert_reads(r, g, "text!");
        assert_int_equal(rig_ino(r, f), ino);
    }
    assert_history(r, "eee/f", "v:text!");
    assert_history(r, "uuu/g", "n:text!");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(refused_links_change_nothing),
        TEST(a_write_publishes_under_every_name),
        TEST(forked_closes_replace_one_version_under_every_name),
        TEST(a_link_to_an_open_draft),
        TEST(unlinking_the_first_name),
        TEST(unlinking_the_other_name_and_then_the_first),
        TEST(renaming_one_of_the_names),
        TEST(renaming_onto_another_name_of_itself_does_nothing),
        TEST(a_name_that_is_renamed_over_leaves_the_others),
        TEST(a_directory_with_both_names_moves),
        TEST(a_version_removed_under_one_name),
        TEST(a_version_removed_under_the_name_that_is_no_longer_first),
        TEST(a_marker_removed_brings_the_name_back_alone),
        TEST(attributes_are_shared),
        TEST(tmpfile_without_a_name_leaves_nothing),
        TEST(tmpfile_gets_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
