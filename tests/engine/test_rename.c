/* SPDX-License-Identifier: GPL-3.0-or-later
 * rename(2): over what exists, of directories, exchanged, with drafts open, and the numbers that stay (mount.md §2, §3; retention.md
 * §1.6, §9 case 23). */
#include "rig.h"

#include <linux/fs.h>
#include <sys/stat.h>

static void settled(struct rig *r, const char *path, const char *text)
{
    rig_write(r, path, text);
    rig_settle(r, path);
}

static void three(struct rig *r)
{
    rig_bucket(r, "uuu", UNVERSIONED);
    rig_bucket(r, "eee", ENABLED);
    rig_bucket(r, "sss", SUSPENDED);
}

static void refused_renames_change_nothing(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_bucket(r, "fff", ENABLED);
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    assert_int_equal(rig_mkdir(r, "eee/d/full"), 0);
    assert_int_equal(rig_mkdir(r, "eee/e"), 0);
    rig_write(r, "eee/d/full/x", "x");
    rig_write(r, "eee/f", "f");
    assert_int_equal(rig_rename(r, "eee/f", "fff/f", 0), -EXDEV);
    assert_int_equal(rig_rename(r, "eee", "ggg", 0), -EPERM);
    assert_int_equal(rig_rename(r, "eee", "fff", 0), -EPERM);
    assert_int_equal(rig_rename(r, "eee/f", "ggg", 0), -EPERM);
    assert_int_equal(rig_rename(r, "eee/gone", "eee/g", 0), -ENOENT);
    assert_int_equal(rig_rename(r, "eee/f", "eee/e", 0), -EISDIR);
    assert_int_equal(rig_rename(r, "eee/e", "eee/f", 0), -ENOTDIR);
    assert_int_equal(rig_rename(r, "eee/e", "eee/d", 0), -ENOTEMPTY);
    assert_int_equal(rig_rename(r, "eee/d", "eee/d/full/d", 0), -EINVAL);
    assert_int_equal(rig_rename(r, "eee/d", "eee/d/full", 0), -EINVAL);
    assert_int_equal(rig_rename(r, "eee/d/full", "eee/d", 0), -ENOTEMPTY);
    assert_int_equal(rig_rename(r, "eee/f", "eee/d/full/x", RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(rig_rename(r, "eee/f", "eee/g", RENAME_EXCHANGE), -ENOENT);
    assert_int_equal(rig_rename(r, "eee/f", "eee/g", RENAME_WHITEOUT), -EINVAL);
    assert_int_equal(rig_rename(r, "eee/f", "eee/f", 0), 0);
    assert_int_equal(rig_rename(r, "eee/f", "eee/f", RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(rig_rename(r, "eee/f/x", "eee/g", 0), -ENOTDIR);
    assert_int_equal(rig_rename(r, "eee/d", "eee/f/x", 0), -ENOTDIR);
    assert_names(r, "eee", "d/ d/full/ d/full/x e/ f");
    assert_history(r, "eee/f", "v:f");
    assert_int_equal(rig_rename(r, "eee/f", "eee/g", RENAME_NOREPLACE), 0);
    assert_int_equal(rig_rename(r, "eee/e", "eee/d/full/e", 0), 0);
    assert_names(r, "eee", "d/ d/full/ d/full/e/ d/full/x g");
}

static void numbers_and_attributes_stay(void **state)
{
    struct rig *r = *state;
    static const char *const names[] = {"f", "d", "d/x", "d/sub", "d/sub/y", "l"};
    three(r);
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char path[64], to[64];
        uint64_t ino[6];
        struct engine_attr before[6], after;
        snprintf(path, sizeof path, "%s/d", b);
        assert_int_equal(rig_mkdir(r, path), 0);
        snprintf(path, sizeof path, "%s/d/sub", b);
        assert_int_equal(rig_mkdir(r, path), 0);
        snprintf(path, sizeof path, "%s/l", b);
        assert_int_equal(rig_symlink(r, "target", path), 0);
        for (int n = 0; n < 6; n++) {
            snprintf(path, sizeof path, "%s/%s", b, names[n]);
            if (n == 0 || n == 2 || n == 4) {
                rig_write(r, path, "text");
                assert_int_equal(rig_setattr(r, path, SET_MODE, &(struct engine_attr){.mode = 0604}), 0);
                assert_int_equal(rig_touch(r, path, 4000000000), 0);
                assert_int_equal(engine_xattr_set(r->e, &r->c, rig_ino(r, path), "user.n", names[n], 1, 0), 0);
            }
            if (n == 2)
                rig_settle(r, path);
            ino[n] = rig_ino(r, path);
            assert_int_equal(rig_stat(r, path, &before[n]), 0);
        }
        snprintf(path, sizeof path, "%s/d", b);
        snprintf(to, sizeof to, "%s/moved", b);
        assert_int_equal(rig_rename(r, path, to, 0), 0);
        snprintf(path, sizeof path, "%s/f", b);
        snprintf(to, sizeof to, "%s/moved/f", b);
        assert_int_equal(rig_rename(r, path, to, 0), 0);
        for (int again = 0; again < 2; again++, rig_reopen(r)) {
            for (int n = 0; n < 6; n++) {
                snprintf(path, sizeof path, n == 5 ? "%s/l" : n == 0 ? "%s/moved/f" : "%s/moved%s", b, names[n] + 1);
                assert_int_equal(rig_stat(r, path, &after), 0);
                assert_int_equal(after.ino, ino[n]);
                assert_int_equal(after.mode, before[n].mode);
                assert_int_equal(after.size_bytes, before[n].size_bytes);
                assert_int_equal(after.mtime.sec, n & 1 ? after.mtime.sec : before[n].mtime.sec);
            }
        }
        struct bytes value = {0};
        snprintf(path, sizeof path, "%s/moved/x", b);
        assert_int_equal(engine_xattr_get(r->e, &r->c, rig_ino(r, path), "user.n", &value), 0);
        assert_int_equal(value.len, 1);
        bytes_done(&value);
    }
}

static void a_moved_version_keeps_id_and_time(void **state)
{
    struct rig *r = *state;
    char before[33], after[33];
    rig_bucket(r, "eee", ENABLED);
    rig_write(r, "eee/tmp", "text");
    rig_version_id(r, "eee/tmp", 0, before);
    assert_int_equal(rig_rename(r, "eee/tmp", "eee/f", 0), 0);
    rig_version_id(r, "eee/f", 0, after);
    assert_string_equal(before, after);
    /* Settled, it is another version that shares its frames. */
    rig_settle(r, "eee/f");
    assert_int_equal(rig_rename(r, "eee/f", "eee/g", 0), 0);
    rig_version_id(r, "eee/g", 0, after);
    assert_string_not_equal(before, after);
    rig_version_id(r, "eee/f", 0, after);
    assert_string_equal(before, after);
}

static void a_moved_version_comes_after_all_that_stands_at_its_target(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    struct engine_handle *h = rig_handle(r, "eee/tmp", O_RDWR | O_CREAT);
    rig_put(h, "one", 0);
    assert_int_equal(rig_flush(r, h), 0);
    assert_int_equal(engine_fsync(h, false), 0);
    rig_put(h, "two", 3); /* the first content is kept hidden until this is durable, and moves along */
    rig_end(r, h);
    settled(r, "eee/f", "old");
    assert_int_equal(rig_rename(r, "eee/tmp", "eee/f", 0), 0);
    assert_history(r, "eee/f", "v:old v:onetwo"); /* which looks at the times as well */
    rig_purge(r);
    assert_history(r, "eee/f", "v:old v:onetwo");
}

static void exchange_of_files(void **state)
{
    struct rig *r = *state;
    three(r);
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char f[64], g[64], x[64], y[64];
        snprintf(f, sizeof f, "%s/f", b);
        snprintf(g, sizeof g, "%s/g", b);
        snprintf(x, sizeof x, "%s/x", b);
        snprintf(y, sizeof y, "%s/y", b);
        settled(r, f, "f");
        settled(r, g, "g");
        rig_write(r, x, "x");
        settled(r, y, "y");
        uint64_t of_f = rig_ino(r, f), of_g = rig_ino(r, g);
        assert_int_equal(rig_rename(r, f, g, RENAME_EXCHANGE), 0);
        assert_int_equal(rig_rename(r, x, y, RENAME_EXCHANGE), 0);
        assert_int_equal(rig_ino(r, f), of_g);
        assert_int_equal(rig_ino(r, g), of_f);
        assert_reads(r, x, "y");
        assert_reads(r, y, "x");
    }
    assert_history(r, "uuu/f", "n:g");
    assert_history(r, "uuu/g", "n:f");
    assert_history(r, "eee/f", "v:f v:g");
    assert_history(r, "eee/g", "v:g v:f");
    assert_history(r, "sss/f", "n:g");
    assert_history(r, "sss/g", "n:f");
    assert_history(r, "eee/x", "v:y");
    assert_history(r, "eee/y", "v:y v:x");
}

static void exchange_of_directories(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_bucket(r, "uuu", UNVERSIONED);
    for (int s = 0; s < 2; s++) {
        const char *b = s ? "uuu" : "eee";
        static const char *const dirs[] = {"a", "b", "b/deep"};
        static const char *const files[] = {"a/both", "a/only-a", "b/both", "b/only-b", "b/deep/z"};
        char path[64], to[64];
        for (int n = 0; n < 3; n++) {
            snprintf(path, sizeof path, "%s/%s", b, dirs[n]);
            assert_int_equal(rig_mkdir(r, path), 0);
        }
        for (int n = 0; n < 5; n++) {
            snprintf(path, sizeof path, "%s/%s", b, files[n]);
            settled(r, path, files[n]);
        }
        rig_reopen(r);
        snprintf(path, sizeof path, "%s/a", b);
        snprintf(to, sizeof to, "%s/b", b);
        assert_int_equal(rig_rename(r, path, to, RENAME_EXCHANGE), 0);
        assert_names(r, b, "a/ a/both a/deep/ a/deep/z a/only-b b/ b/both b/only-a");
    }
    /* A name that is taken again needs no marker in between. */
    assert_history(r, "eee/a/both", "v:a/both v:b/both");
    assert_history(r, "eee/b/both", "v:b/both v:a/both");
    assert_history(r, "eee/a/only-a", "v:a/only-a M");
    assert_history(r, "eee/b/only-a", "v:a/only-a");
    assert_history(r, "eee/b/deep/z", "v:b/deep/z M");
    assert_history(r, "eee/a/deep/z", "v:b/deep/z");
    assert_history(r, "uuu/a/both", "n:b/both");
    assert_history(r, "uuu/b/deep/z", "");
}

static void exchange_of_a_file_and_a_directory(void **state)
{
    struct rig *r = *state;
    three(r);
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char f[64], d[64], below[64];
        snprintf(f, sizeof f, "%s/f", b);
        snprintf(d, sizeof d, "%s/d", b);
        snprintf(below, sizeof below, "%s/d/x", b);
        settled(r, f, "file");
        assert_int_equal(rig_mkdir(r, d), 0);
        settled(r, below, "below");
        assert_int_equal(rig_rename(r, f, d, RENAME_EXCHANGE), 0);
        assert_names(r, b, "d f/ f/x");
        assert_reads(r, d, "file");
        snprintf(below, sizeof below, "%s/f/x", b);
        assert_reads(r, below, "below");
    }
    assert_history(r, "eee/f", "v:file M"); /* or S3 would show it beside f/x */
    assert_history(r, "eee/d", "v:file");
    assert_history(r, "eee/d/x", "v:below M");
    assert_history(r, "eee/f/x", "v:below");
    assert_history(r, "sss/f", "nM");
    assert_int_equal(rig_rename(r, "eee/d", "eee/f", RENAME_EXCHANGE), 0);
    assert_names(r, "eee", "d/ d/x f");
    assert_history(r, "eee/f", "v:file M v:file");
    assert_history(r, "eee/d", ""); /* was not settled: moved on */
}

static void a_directory_takes_an_empty_one_s_place(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    assert_int_equal(rig_mkdir(r, "eee/e"), 0);
    rig_write(r, "eee/d/x", "x");
    settled(r, "eee/e/y", "y");
    assert_int_equal(rig_rename(r, "eee/d", "eee/e", 0), -ENOTEMPTY);
    assert_int_equal(rig_unlink(r, "eee/e/y"), 0);
    uint64_t ino = rig_ino(r, "eee/d");
    assert_int_equal(rig_rename(r, "eee/d", "eee/e", 0), 0);
    assert_int_equal(rig_ino(r, "eee/e"), ino);
    assert_names(r, "eee", "e/ e/x");
    assert_history(r, "eee/e/y", "v:y M");
    assert_int_equal(rig_rmdir(r, "eee/e"), -ENOTEMPTY);
}

static void names_that_sort_around_the_slash(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    static const char *const files[] = {"eee/d!", "eee/d/x", "eee/d0", "eee/d-", "eee/d.", "eee/dd"};
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    for (int n = 0; n < 6; n++)
        rig_write(r, files[n], files[n] + 4);
    assert_int_equal(rig_rename(r, "eee/d", "eee/z", 0), 0);
    assert_names(r, "eee", "d! d- d. d0 dd z/ z/x");
    assert_int_equal(rig_rename(r, "eee/z", "eee/d", 0), 0);
    assert_names(r, "eee", "d/ d/x d! d- d. d0 dd");
    assert_int_equal(rig_rmdir(r, "eee/d"), -ENOTEMPTY);
    assert_int_equal(rig_unlink(r, "eee/d/x"), 0);
    assert_int_equal(rig_rmdir(r, "eee/d"), 0);
    assert_names(r, "eee", "d! d- d. d0 dd");
}

/* ---- with drafts ---- */

static void renamed_while_written(void **state)
{
    struct rig *r = *state;
    three(r);
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char tmp[64], f[64];
        snprintf(tmp, sizeof tmp, "%s/tmp", b);
        snprintf(f, sizeof f, "%s/f", b);
        struct engine_handle *h = rig_handle(r, tmp, O_RDWR | O_CREAT);
        rig_put(h, "one", 0);
        assert_int_equal(rig_rename(r, tmp, f, 0), 0);
        rig_put(h, "two", 3);
        assert_reads(r, f, "onetwo");
        rig_end(r, h);
        assert_names(r, b, "f");
        assert_history(r, tmp, "");
    }
    assert_history(r, "uuu/f", "n:onetwo");
    assert_history(r, "eee/f", "v:onetwo");
    assert_history(r, "sss/f", "n:onetwo");
}

/* A program that renames before it closes: the old content stays in history, and nothing comes between it and the new. */
static void renamed_over_another_before_its_first_close(void **state)
{
    struct rig *r = *state;
    three(r);
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char tmp[64], f[64];
        snprintf(tmp, sizeof tmp, "%s/tmp", b);
        snprintf(f, sizeof f, "%s/f", b);
        settled(r, f, "old");
        struct engine_handle *h = rig_handle(r, tmp, O_RDWR | O_CREAT);
        rig_put(h, "new", 0);
        assert_int_equal(rig_rename(r, tmp, f, 0), 0);
        assert_reads(r, f, "new");
        rig_put(h, "er", 3);
        rig_end(r, h);
        assert_names(r, b, "f");
        assert_history(r, tmp, "");
    }
    assert_history(r, "uuu/f", "n:newer");
    assert_history(r, "eee/f", "v:old v:newer");
    assert_history(r, "sss/f", "n:newer");
}

static void exchanged_before_its_first_close(void **state)
{
    struct rig *r = *state;
    three(r);
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char tmp[64], f[64];
        snprintf(tmp, sizeof tmp, "%s/tmp", b);
        snprintf(f, sizeof f, "%s/f", b);
        settled(r, f, "old");
        struct engine_handle *h = rig_handle(r, tmp, O_RDWR | O_CREAT);
        rig_put(h, "new", 0);
        assert_int_equal(rig_rename(r, f, tmp, RENAME_EXCHANGE), 0);
        assert_reads(r, f, "new");
        assert_reads(r, tmp, "old");
        rig_end(r, h);
    }
    assert_history(r, "uuu/f", "n:new");
    assert_history(r, "uuu/tmp", "n:old");
    assert_history(r, "eee/f", "v:old v:new");
    assert_history(r, "eee/tmp", "v:old");
    assert_history(r, "sss/f", "n:new");
    assert_history(r, "sss/tmp", "n:old");
}

static void renamed_over_while_the_target_is_open(void **state)
{
    struct rig *r = *state;
    three(r);
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char tmp[64], f[64];
        snprintf(tmp, sizeof tmp, "%s/tmp", b);
        snprintf(f, sizeof f, "%s/f", b);
        settled(r, f, "old");
        struct engine_handle *reader = rig_handle(r, f, O_RDONLY), *writer = rig_handle(r, f, O_RDWR);
        rig_put(writer, "lost", 0);
        rig_write(r, tmp, "new");
        assert_int_equal(rig_rename(r, tmp, f, 0), 0);
        assert_text(rig_read_handle(reader), "lost");
        rig_put(writer, "!", 4);
        rig_end(r, writer);
        rig_end(r, reader);
        assert_reads(r, f, "new");
    }
    assert_history(r, "eee/f", "v:old v:new");
    assert_history(r, "uuu/f", "n:new");
    assert_history(r, "sss/f", "n:new");
}

static void a_directory_moves_with_what_is_open_below(void **state)
{
    struct rig *r = *state;
    three(r);
    for (int s = 0; s < STATES; s++) {
        const char *b = (const char *[]){"uuu", "eee", "sss"}[s];
        char d[64], e[64], path[64];
        snprintf(d, sizeof d, "%s/d", b);
        snprintf(e, sizeof e, "%s/e", b);
        assert_int_equal(rig_mkdir(r, d), 0);
        snprintf(path, sizeof path, "%s/d/fresh", b);
        struct engine_handle *fresh = rig_handle(r, path, O_RDWR | O_CREAT);
        rig_put(fresh, "fresh", 0);
        snprintf(path, sizeof path, "%s/d/old", b);
        settled(r, path, "old");
        struct engine_handle *old = rig_handle(r, path, O_RDWR);
        rig_put(old, "X", 0);
        assert_int_equal(rig_rename(r, d, e, 0), 0);
        rig_put(old, "Y", 1);
        rig_end(r, old);
        rig_end(r, fresh);
        assert_names(r, b, "e/ e/fresh e/old");
    }
    assert_history(r, "eee/d/old", "v:old M");
    assert_history(r, "eee/e/old", "v:old v:XYd");
    assert_history(r, "eee/e/fresh", "v:fresh");
    assert_history(r, "eee/d/fresh", "");
    assert_history(r, "uuu/e/old", "n:XYd");
    assert_history(r, "sss/d/old", "nM");
}

static void many_children_move(void **state)
{
    struct rig *r = *state;
    char path[64];
    rig_bucket(r, "eee", ENABLED);
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    for (int n = 0; n < 300; n++) {
        snprintf(path, sizeof path, "eee/d/%03d", n);
        rig_write(r, path, path + 6);
        if (n % 3 == 0)
            rig_settle(r, path);
    }
    assert_int_equal(rig_rename(r, "eee/d", "eee/e", 0), 0);
    rig_reopen(r);
    for (int n = 0; n < 300; n++) {
        snprintf(path, sizeof path, "eee/e/%03d", n);
        assert_reads(r, path, path + 6);
        path[4] = 'd';
        assert_int_equal(rig_ino(r, path), 0);
    }
    assert_history(r, "eee/d/003", "v:003 M");
    assert_history(r, "eee/d/004", "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(refused_renames_change_nothing),
        TEST(numbers_and_attributes_stay),
        TEST(a_moved_version_keeps_id_and_time),
        TEST(a_moved_version_comes_after_all_that_stands_at_its_target),
        TEST(exchange_of_files),
        TEST(exchange_of_directories),
        TEST(exchange_of_a_file_and_a_directory),
        TEST(a_directory_takes_an_empty_one_s_place),
        TEST(names_that_sort_around_the_slash),
        TEST(renamed_while_written),
        TEST(renamed_over_another_before_its_first_close),
        TEST(exchanged_before_its_first_close),
        TEST(renamed_over_while_the_target_is_open),
        TEST(a_directory_moves_with_what_is_open_below),
        TEST(many_children_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
