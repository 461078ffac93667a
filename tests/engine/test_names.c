/* SPDX-License-Identifier: GPL-3.0-or-later
 * What each operation leaves in history: retention.md §1.7, row by row, in each versioning state; and S1, S2, S2d, S3, S6 of §1.6
 * where the table does not show them. */
#include "rig.h"

#include <linux/falloc.h>
#include <sys/stat.h>

enum { ROW_KEYS = 4 };

struct row {
    const char *name;
    void (*act)(struct rig *r, const char *b);
    struct {
        const char *key;
        const char *history[STATES];
    } want[ROW_KEYS];
    const char *names; /* all live names afterwards, in each state; NULL: f */
};

/* "b/key", valid for a few calls. */
static const char *in(const char *b, const char *key)
{
    static char paths[8][128];
    static unsigned at;
    char *path = paths[at++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", b, key);
    return path;
}

static void create_g(struct rig *r, const char *b)
{
    rig_write(r, in(b, "g"), "new");
}

static void open_truncating(struct rig *r, const char *b)
{
    rig_write(r, in(b, "f"), "new");
}

static void truncate_by_path(struct rig *r, const char *b)
{
    assert_int_equal(rig_truncate(r, in(b, "f"), 2), 0);
}

static void append(struct rig *r, const char *b)
{
    rig_append(r, in(b, "f"), "er");
}

static void write_in_the_middle(struct rig *r, const char *b)
{
    struct engine_handle *h = rig_handle(r, in(b, "f"), O_RDWR);
    rig_put(h, "X", 1);
    rig_end(r, h);
}

static void open_and_close(struct rig *r, const char *b)
{
    rig_end(r, rig_handle(r, in(b, "f"), O_RDWR));
    rig_end(r, rig_handle(r, in(b, "f"), O_WRONLY));
}

static void change_attributes(struct rig *r, const char *b)
{
    const struct engine_attr v = {.mode = 0600, .uid = getuid(), .gid = getgid(), .mtime = {77, 0}, .atime = {78, 0}};
    struct engine_attr now;
    assert_int_equal(rig_setattr(r, in(b, "f"), SET_MODE, &v), 0);
    assert_int_equal(rig_setattr(r, in(b, "f"), SET_UID | SET_GID, &v), 0);
    assert_int_equal(rig_setattr(r, in(b, "f"), SET_MTIME | SET_ATIME, &v), 0);
    assert_int_equal(engine_xattr_set(r->e, &r->c, rig_ino(r, in(b, "f")), "user.colour", "red", 3, 0), 0);
    assert_int_equal(rig_stat(r, in(b, "f"), &now), 0);
    assert_int_equal(now.mode, S_IFREG | 0600);
    assert_int_equal(now.mtime.sec, 77);
    assert_int_equal(now.atime.sec, 78);
}

static void two_handles_together(struct rig *r, const char *b)
{
    struct engine_handle *one = rig_handle(r, in(b, "f"), O_RDWR), *two = rig_handle(r, in(b, "f"), O_RDWR);
    rig_put(one, "A", 0);
    rig_put(two, "B", 1);
    rig_end(r, two);
    rig_put(one, "C", 2);
    rig_end(r, one);
}

static void two_handles_one_after_the_other(struct rig *r, const char *b)
{
    struct engine_handle *one = rig_handle(r, in(b, "f"), O_RDWR);
    rig_put(one, "A", 0);
    rig_end(r, one);
    struct engine_handle *two = rig_handle(r, in(b, "f"), O_RDWR);
    rig_put(two, "B", 1);
    rig_end(r, two);
}

static void write_fork_child_exits(struct rig *r, const char *b)
{
    struct engine_handle *h = rig_handle(r, in(b, "f"), O_RDWR | O_TRUNC);
    rig_put(h, "one", 0);
    assert_int_equal(rig_flush(r, h), 0); /* the child's close */
    rig_put(h, "two", 3);
    rig_end(r, h);
}

static void log_held_open(struct rig *r, const char *b)
{
    struct engine_handle *h = rig_handle(r, in(b, "f"), O_WRONLY | O_APPEND);
    for (int n = 0; n < 5; n++) {
        rig_put(h, "+", 3 + (uint64_t)n);
        assert_int_equal(engine_fsync(h, false), 0);
    }
    rig_end(r, h);
}

static void log_opened_each_time(struct rig *r, const char *b)
{
    for (int n = 0; n < 3; n++)
        rig_append(r, in(b, "f"), "+");
}

static void allocate(struct rig *r, const char *b)
{
    struct engine_handle *h = rig_handle(r, in(b, "f"), O_RDWR);
    assert_int_equal(engine_fallocate(h, 0, 0, 5), 0);
    rig_end(r, h);
}

static void allocate_keeping_size(struct rig *r, const char *b)
{
    struct engine_handle *h = rig_handle(r, in(b, "f"), O_RDWR);
    assert_int_equal(engine_fallocate(h, FALLOC_FL_KEEP_SIZE, 0, 5), 0);
    rig_end(r, h);
}

static void punch_hole(struct rig *r, const char *b)
{
    struct engine_handle *h = rig_handle(r, in(b, "f"), O_RDWR);
    assert_int_equal(engine_fallocate(h, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 1), 0);
    rig_end(r, h);
}

static void copy_range_into(struct rig *r, const char *b)
{
    rig_write(r, in(b, "g"), "source");
    struct engine_handle *from = rig_handle(r, in(b, "g"), O_RDONLY), *to = rig_handle(r, in(b, "f"), O_RDWR);
    assert_int_equal(engine_copy_range(from, 1, to, 2, 4), 4);
    rig_end(r, to);
    rig_end(r, from);
    assert_reads(r, in(b, "f"), "olourc");
}

static void pages_written_back_after_close(struct rig *r, const char *b)
{
    struct engine_handle *h = rig_handle(r, in(b, "f"), O_RDWR);
    rig_put(h, "A", 0);
    assert_int_equal(rig_flush(r, h), 0);
    rig_put(h, "B", 1); /* munmap comes later than close(2): no flush after it */
    engine_release(h);
}

static void unlink_f(struct rig *r, const char *b)
{
    assert_int_equal(rig_unlink(r, in(b, "f")), 0);
}

static void rename_settled(struct rig *r, const char *b)
{
    assert_int_equal(rig_rename(r, in(b, "f"), in(b, "g"), 0), 0);
}

static void save_by_rename(struct rig *r, const char *b)
{
    rig_write(r, in(b, "tmp"), "new");
    assert_int_equal(rig_touch(r, in(b, "tmp"), 1000), 0);
    assert_int_equal(rig_setattr(r, in(b, "tmp"), SET_MODE, &(struct engine_attr){.mode = 0640}), 0);
    assert_int_equal(rig_rename(r, in(b, "tmp"), in(b, "f"), 0), 0);
    struct engine_attr attr;
    assert_int_equal(rig_stat(r, in(b, "f"), &attr), 0);
    assert_int_equal(attr.mtime.sec, 1000);
    assert_int_equal(attr.mode, S_IFREG | 0640);
}

static void vim_default(struct rig *r, const char *b)
{
    rig_write(r, in(b, "4913"), "");
    assert_int_equal(rig_unlink(r, in(b, "4913")), 0);
    assert_int_equal(rig_rename(r, in(b, "f"), in(b, "f~"), 0), 0);
    rig_write(r, in(b, "f"), "new");
    assert_int_equal(rig_unlink(r, in(b, "f~")), 0);
}

static void emacs_default(struct rig *r, const char *b)
{
    assert_int_equal(rig_rename(r, in(b, "f"), in(b, "f~"), 0), 0);
    rig_write(r, in(b, "f"), "new");
}

static void vim_backupcopy(struct rig *r, const char *b)
{
    rig_write(r, in(b, "f~"), "old");
    rig_write(r, in(b, "f"), "new");
    assert_int_equal(rig_unlink(r, in(b, "f~")), 0);
}

static void tar_over(struct rig *r, const char *b)
{
    assert_int_equal(rig_unlink(r, in(b, "f")), 0);
    rig_write(r, in(b, "f"), "new");
    assert_int_equal(rig_touch(r, in(b, "f"), 1000), 0);
}

static void git_object(struct rig *r, const char *b)
{
    rig_write(r, in(b, "tmp_obj"), "object");
    assert_int_equal(rig_link(r, in(b, "tmp_obj"), in(b, "aa")), 0);
    assert_int_equal(rig_unlink(r, in(b, "tmp_obj")), 0);
}

static void git_object_by_rename(struct rig *r, const char *b)
{
    rig_write(r, in(b, "tmp_obj"), "object");
    assert_int_equal(rig_setattr(r, in(b, "tmp_obj"), SET_MODE, &(struct engine_attr){.mode = 0444}), 0);
    assert_int_equal(rig_rename(r, in(b, "tmp_obj"), in(b, "aa"), 0), 0);
}

static void git_index(struct rig *r, const char *b)
{
    struct engine_handle *h = rig_handle(r, in(b, "f.lock"), O_RDWR | O_CREAT);
    rig_put(h, "new", 0);
    rig_end(r, h);
    assert_int_equal(rig_rename(r, in(b, "f.lock"), in(b, "f"), 0), 0);
}

static void link_then_write(struct rig *r, const char *b)
{
    assert_int_equal(rig_link(r, in(b, "f"), in(b, "g")), 0);
    rig_write(r, in(b, "g"), "new");
    assert_reads(r, in(b, "f"), "new");
}

static void link_only(struct rig *r, const char *b)
{
    assert_int_equal(rig_link(r, in(b, "f"), in(b, "g")), 0);
}

static void make_d(struct rig *r, const char *b)
{
    assert_int_equal(rig_unlink(r, in(b, "f")), 0);
    assert_int_equal(rig_mkdir(r, in(b, "d")), 0);
    assert_int_equal(rig_mkdir(r, in(b, "d/sub")), 0);
    rig_write(r, in(b, "d/settled"), "s");
    rig_settle(r, in(b, "d/settled"));
    rig_write(r, in(b, "d/sub/young"), "y");
}

static void rename_directory(struct rig *r, const char *b)
{
    make_d(r, b);
    assert_int_equal(rig_rename(r, in(b, "d"), in(b, "e"), 0), 0);
    assert_reads(r, in(b, "e/settled"), "s");
}

static void rename_directory_not_looked_at(struct rig *r, const char *b)
{
    make_d(r, b);
    rig_reopen(r);
    assert_int_equal(rig_rename(r, in(b, "d"), in(b, "e"), 0), 0);
    assert_reads(r, in(b, "e/sub/young"), "y");
}

static void rmdir_with_history(struct rig *r, const char *b)
{
    make_d(r, b);
    assert_int_equal(rig_rmdir(r, in(b, "d")), -ENOTEMPTY);
    assert_int_equal(rig_unlink(r, in(b, "d/settled")), 0);
    assert_int_equal(rig_unlink(r, in(b, "d/sub/young")), 0);
    assert_int_equal(rig_rmdir(r, in(b, "d")), -ENOTEMPTY);
    assert_int_equal(rig_rmdir(r, in(b, "d/sub")), 0);
    assert_int_equal(rig_rmdir(r, in(b, "d")), 0);
}

static void unlink_unsettled_over_older(struct rig *r, const char *b)
{
    rig_write(r, in(b, "f"), "new");
    assert_int_equal(rig_unlink(r, in(b, "f")), 0);
}

static void unlink_temporary(struct rig *r, const char *b)
{
    rig_write(r, in(b, "swp"), "swap");
    assert_int_equal(rig_unlink(r, in(b, "swp")), 0);
}

static void unlink_touched_never_written(struct rig *r, const char *b)
{
    rig_write(r, in(b, "swp"), "");
    assert_int_equal(rig_touch(r, in(b, "swp"), 5), 0);
    assert_int_equal(rig_unlink(r, in(b, "swp")), 0);
}

static void unlink_emptied(struct rig *r, const char *b)
{
    rig_write(r, in(b, "swp"), "swap");
    assert_int_equal(rig_truncate(r, in(b, "swp"), 0), 0);
    assert_int_equal(rig_unlink(r, in(b, "swp")), 0);
}

static void unlink_before_close(struct rig *r, const char *b)
{
    struct engine_handle *h = rig_handle(r, in(b, "swp"), O_RDWR | O_CREAT);
    rig_put(h, "swap", 0);
    assert_int_equal(rig_unlink(r, in(b, "swp")), 0);
    assert_text(rig_read_handle(h), "swap");
    rig_end(r, h);
}

static void move_onto_older_temporary(struct rig *r, const char *b)
{
    rig_write(r, in(b, "tmp"), "first");
    rig_settle(r, in(b, "tmp"));
    rig_write(r, in(b, "tmp"), "second");
    assert_int_equal(rig_rename(r, in(b, "tmp"), in(b, "f"), 0), 0);
}

static void rename_settled_over(struct rig *r, const char *b)
{
    rig_write(r, in(b, "g"), "gold");
    rig_settle(r, in(b, "g"));
    assert_int_equal(rig_rename(r, in(b, "f"), in(b, "g"), 0), 0);
}

static void rename_to_and_fro(struct rig *r, const char *b)
{
    assert_int_equal(rig_rename(r, in(b, "f"), in(b, "g"), 0), 0);
    assert_int_equal(rig_rename(r, in(b, "g"), in(b, "f"), 0), 0);
}

static void truncate_empty(struct rig *r, const char *b)
{
    struct engine_attr attr;
    rig_write(r, in(b, "g"), "");
    assert_int_equal(rig_touch(r, in(b, "g"), 5), 0);
    rig_end(r, rig_handle(r, in(b, "g"), O_WRONLY | O_TRUNC));
    assert_int_equal(rig_stat(r, in(b, "g"), &attr), 0);
    assert_true(attr.mtime.sec > 1000); /* `: >f` changes times */
}

static void symlink_and_back(struct rig *r, const char *b)
{
    assert_int_equal(rig_symlink(r, "f", in(b, "l")), 0);
    assert_int_equal(rig_rename(r, in(b, "l"), in(b, "m"), 0), 0);
    assert_reads(r, in(b, "m"), "f");
}

#define SAME(text) {text, text, text}

/* f exists and is settled: n:old, or v:old. */
static const struct row rows[] = {
    {"create, write, close", create_g, {{"g", {"n:new", "v:new", "n:new"}}}, "f g"},
    {"open with O_TRUNC", open_truncating, {{"f", {"n:new", "v:old v:new", "n:new"}}}, NULL},
    {"truncate(2)", truncate_by_path, {{"f", {"n:ol", "v:old v:ol", "n:ol"}}}, NULL},
    {"append", append, {{"f", {"n:older", "v:old v:older", "n:older"}}}, NULL},
    {"pwrite", write_in_the_middle, {{"f", {"n:oXd", "v:old v:oXd", "n:oXd"}}}, NULL},
    {"open O_RDWR, write nothing", open_and_close, {{"f", {"n:old", "v:old", "n:old"}}}, NULL},
    {"chmod, chown, utimens, setxattr", change_attributes, {{"f", {"n:old", "v:old", "n:old"}}}, NULL},
    {"two handles at once", two_handles_together, {{"f", {"n:ABC", "v:old v:ABC", "n:ABC"}}}, NULL},
    {"two handles in turn", two_handles_one_after_the_other,
     {{"f", {"n:ABd", "v:old v:Ald v:ABd", "n:ABd"}}}, NULL},
    {"fork, child exits first", write_fork_child_exits, {{"f", {"n:onetwo", "v:old v:onetwo", "n:onetwo"}}}, NULL},
    {"log held open", log_held_open, {{"f", {"n:old+++++", "v:old v:old+++++", "n:old+++++"}}}, NULL},
    {"log opened each time", log_opened_each_time,
     {{"f", {"n:old+++", "v:old v:old+ v:old++ v:old+++", "n:old+++"}}}, NULL},
    {"fallocate", allocate, {{"f", {"n:old00", "v:old v:old00", "n:old00"}}}, NULL},
    {"fallocate KEEP_SIZE changes nothing", allocate_keeping_size, {{"f", {"n:old", "v:old", "n:old"}}}, NULL},
    {"punch hole", punch_hole, {{"f", {"n:o0d", "v:old v:o0d", "n:o0d"}}}, NULL},
    {"copy_file_range into f", copy_range_into,
     {{"f", {"n:olourc", "v:old v:olourc", "n:olourc"}}, {"g", {"n:source", "v:source", "n:source"}}}, "f g"},
    {"pages written back after close", pages_written_back_after_close,
     {{"f", {"n:ABd", "v:old v:ABd", "n:ABd"}}}, NULL},
    {"unlink", unlink_f, {{"f", {"", "v:old M", "nM"}}}, ""},
    {"rename, settled", rename_settled,
     {{"f", {"", "v:old M", "nM"}}, {"g", {"n:old", "v:old", "n:old"}}}, "g"},
    {"save by rename (rsync, sed -i, editors)", save_by_rename,
     {{"f", {"n:new", "v:old v:new", "n:new"}}, {"tmp", SAME("")}}, NULL},
    {"vim", vim_default,
     {{"f", {"n:new", "v:old M v:new", "n:new"}}, {"f~", SAME("")}, {"4913", SAME("")}}, NULL},
    {"emacs", emacs_default,
     {{"f", {"n:new", "v:old M v:new", "n:new"}}, {"f~", {"n:old", "v:old", "n:old"}}}, "f f~"},
    {"vim with backupcopy", vim_backupcopy,
     {{"f", {"n:new", "v:old v:new", "n:new"}}, {"f~", {"", "v:old M", ""}}}, NULL},
    {"tar -x over f", tar_over, {{"f", {"n:new", "v:old M v:new", "n:new"}}}, NULL},
    {"git: link and unlink", git_object,
     {{"aa", {"n:object", "v:object", "n:object"}}, {"tmp_obj", SAME("")}}, "aa f"},
    {"git: rename", git_object_by_rename,
     {{"aa", {"n:object", "v:object", "n:object"}}, {"tmp_obj", SAME("")}}, "aa f"},
    {"git: index.lock", git_index, {{"f", {"n:new", "v:old v:new", "n:new"}}, {"f.lock", SAME("")}}, NULL},
    {"link", link_only, {{"f", {"n:old", "v:old", "n:old"}}, {"g", {"n:old", "v:old", "n:old"}}}, "f g"},
    {"link, write through one", link_then_write,
     {{"f", {"n:new", "v:old v:new", "n:new"}}, {"g", {"n:new", "v:old v:new", "n:new"}}}, "f g"},
    {"rename a directory", rename_directory,
     {{"d/settled", {"", "v:s M", "nM"}}, {"e/settled", {"n:s", "v:s", "n:s"}},
      {"d/sub/young", SAME("")}, {"e/sub/young", {"n:y", "v:y", "n:y"}}}, "e/ e/settled e/sub/ e/sub/young"},
    {"rename a directory that was not looked at", rename_directory_not_looked_at,
     {{"d/settled", {"", "v:s M", "nM"}}, {"e/settled", {"n:s", "v:s", "n:s"}},
      {"d/sub/young", SAME("")}, {"e/sub/young", {"n:y", "v:y", "n:y"}}}, "e/ e/settled e/sub/ e/sub/young"},
    {"rmdir with history below", rmdir_with_history,
     {{"d/settled", {"", "v:s M", "nM"}}, {"d/sub/young", {"", "v:y M", ""}}}, ""},
    {"S2: unlink, unsettled over an older one", unlink_unsettled_over_older,
     {{"f", {"", "v:old v:new M", ""}}}, ""},
    {"S2d: unlink of a temporary file", unlink_temporary, {{"swp", {"", "v:swap M", ""}}}, NULL},
    {"S2a: unlink of what was never written", unlink_touched_never_written, {{"swp", SAME("")}}, NULL},
    {"S2a: written and emptied is written", unlink_emptied, {{"swp", {"", "v:swap v: M", ""}}}, NULL},
    {"unlink before the first close", unlink_before_close, {{"swp", SAME("")}}, NULL},
    {"S1: a marker hides the temporary name's older version", move_onto_older_temporary,
     {{"tmp", {"", "v:first M", ""}}, {"f", {"n:second", "v:old v:second", "n:second"}}}, NULL},
    {"S6: rename of a settled one onto another", rename_settled_over,
     {{"f", {"", "v:old M", "nM"}}, {"g", {"n:old", "v:gold v:old", "n:old"}}}, "g"},
    {"rename and back", rename_to_and_fro,
     {{"f", {"n:old", "v:old M v:old", "n:old"}}, {"g", SAME("")}}, NULL},
    {"O_TRUNC on an empty file", truncate_empty, {{"g", {"n:", "v:", "n:"}}}, "f g"},
    {"symbolic link", symlink_and_back, {{"l", SAME("")}, {"m", {"n:f", "v:f", "n:f"}}}, "f m"},
};

static void check_row(struct rig *r, const struct row *row, const char *b, enum rig_state state)
{
    for (int n = 0; n < ROW_KEYS && row->want[n].key; n++) {
        const char *history = rig_history(r, in(b, row->want[n].key)), *want = row->want[n].history[state];
        if (strcmp(history, want))
            fail_msg("%s, %s: %s is '%s', should be '%s'", row->name, b, row->want[n].key, history, want);
    }
    const char *names = rig_names(r, b), *want = row->names ? row->names : "f";
    if (strcmp(names, want))
        fail_msg("%s, %s: live are '%s', should be '%s'", row->name, b, names, want);
}

static void run_rows(struct rig *r, enum rig_state state, const char *prefix)
{
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
        char b[32];
        snprintf(b, sizeof b, "%s%zu", prefix, n);
        rig_bucket(r, b, state);
        rig_write(r, in(b, "f"), "old");
        rig_settle(r, in(b, "f"));
        rows[n].act(r, b);
        check_row(r, &rows[n], b, state);
    }
}

static void every_row_unversioned(void **state)
{
    run_rows(*state, UNVERSIONED, "uuu");
}

static void every_row_enabled(void **state)
{
    run_rows(*state, ENABLED, "eee");
}

static void every_row_suspended(void **state)
{
    run_rows(*state, SUSPENDED, "sss");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_row_unversioned, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(every_row_enabled, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(every_row_suspended, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
