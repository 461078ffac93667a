/* SPDX-License-Identifier: GPL-3.0-or-later
 * A killed daemon and a power cut (E6, E7, E8; design §5; retention.md §9 cases 16, 22): what was closed, what was synced, and that a
 * reader finds the old content or the new.
 *
 * rig_die() ends a process without engine_close(). rig_cut() also takes from the segments what was not synced, as a power cut may,
 * while the metadata log arrived whole. */
#include "rig.h"

#include <linux/fs.h>
#include <sys/stat.h>

enum { BIG = 200000 };

static void nothing(struct rig *r)
{
    (void)r;
}

static void settled_big(struct rig *r, const char *path, char letter)
{
    rig_write_big(r, path, letter, BIG);
    rig_settle(r, path);
}

/* ---- killed ---- */

static void write_and_close(struct rig *r)
{
    rig_write(r, "eee/small", "text");
    rig_write_big(r, "eee/big", 'b', BIG);
    rig_write(r, "eee/empty", "");
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    assert_int_equal(rig_symlink(r, "small", "eee/l"), 0);
    assert_int_equal(rig_link(r, "eee/small", "eee/d/link"), 0);
    assert_int_equal(rig_rename(r, "eee/big", "eee/d/big", 0), 0);
    assert_int_equal(rig_touch(r, "eee/d/big", 77), 0);
}

static void what_was_closed_is_there(void **state)
{
    struct rig *r = *state;
    struct engine_attr attr;
    rig_bucket(r, "eee", ENABLED);
    rig_die(r, write_and_close);
    assert_names(r, "eee", "d/ d/big d/link empty l small");
    assert_history(r, "eee/small", "v:text");
    assert_history(r, "eee/empty", "v:");
    assert_history(r, "eee/d/big", "v:b200000");
    assert_reads(r, "eee/l", "small");
    assert_int_equal(rig_stat(r, "eee/d/link", &attr), 0);
    assert_int_equal(attr.nlink, 2);
    assert_int_equal(rig_stat(r, "eee/d/big", &attr), 0);
    assert_int_equal(attr.mtime.sec, 77);
    /* Numbers given before are not given again. */
    uint64_t last = rig_ino(r, "eee/d/big");
    rig_write(r, "eee/new", "new");
    assert_true(rig_ino(r, "eee/new") > last);
}

static void write_without_close(struct rig *r)
{
    rig_put(rig_handle(r, "eee/new", O_RDWR | O_CREAT), "new", 0);
    rig_put(rig_handle(r, "eee/f", O_RDWR), "X", 0);
    rig_fill(rig_handle(r, "eee/big", O_RDWR), 'X', BIG, 10);
    rig_put(rig_handle(r, "eee/t", O_RDWR | O_TRUNC), "", 0);
}

static void what_was_not_closed_leaves_the_old_content(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_write(r, "eee/f", "old");
    rig_write(r, "eee/t", "old");
    rig_write_big(r, "eee/big", 'o', BIG);
    rig_die(r, write_without_close);
    assert_names(r, "eee", "big f t");
    assert_history(r, "eee/f", "v:old");
    assert_history(r, "eee/t", "v:old");
    assert_history(r, "eee/big", "v:o200000");
    assert_history(r, "eee/new", "");
}

static void fsync_without_close(struct rig *r)
{
    struct engine_handle *h = rig_handle(r, "eee/new", O_RDWR | O_CREAT);
    rig_put(h, "new", 0);
    assert_int_equal(engine_fsync(h, false), 0);
    rig_put(h, "lost", 3);
    h = rig_handle(r, "eee/f", O_RDWR);
    rig_put(h, "X", 0);
    assert_int_equal(engine_fsync(h, true), 0);
    h = rig_handle(r, "eee/big", O_RDWR);
    rig_fill(h, 'X', 10, 10);
    assert_int_equal(engine_fsync(h, true), 0);
    rig_fill(h, 'Y', 10, 20);
    assert_int_equal(engine_fsync(h, true), 0);
    rig_fill(h, 'Z', 10, 30);
    h = rig_handle(r, "eee/renamed", O_RDWR | O_CREAT);
    rig_put(h, "renamed", 0);
    assert_int_equal(engine_fsync(h, false), 0);
    assert_int_equal(rig_rename(r, "eee/renamed", "eee/to", 0), 0);
    h = rig_handle(r, "eee/one", O_RDWR | O_CREAT);
    rig_put(h, "linked", 0);
    assert_int_equal(engine_fsync(h, false), 0);
    assert_int_equal(rig_link(r, "eee/one", "eee/two"), 0);
    h = rig_handle(r, "eee/gone", O_RDWR | O_CREAT);
    rig_put(h, "gone", 0);
    assert_int_equal(engine_fsync(h, false), 0);
    assert_int_equal(rig_unlink(r, "eee/gone"), 0);
    h = rig_handle(r, "eee/emptied", O_RDWR | O_TRUNC);
    assert_int_equal(engine_fsync(h, false), 0);
}

static void what_was_fsynced_is_published(void **state)
{
    struct rig *r = *state;
    struct engine_attr attr;
    rig_bucket(r, "eee", ENABLED);
    rig_write(r, "eee/f", "old");
    rig_write(r, "eee/emptied", "old");
    rig_write_big(r, "eee/big", 'o', BIG);
    rig_die(r, fsync_without_close);
    assert_names(r, "eee", "big emptied f new one to two");
    assert_history(r, "eee/new", "v:new");
    assert_history(r, "eee/f", "v:old v:Xld");
    assert_history(r, "eee/emptied", "v:old v:");
    assert_history(r, "eee/big", "v:o200000 v:o10X10Y10o199970");
    assert_history(r, "eee/to", "v:renamed");
    assert_history(r, "eee/one", "v:linked");
    assert_history(r, "eee/two", "v:linked");
    assert_int_equal(rig_stat(r, "eee/two", &attr), 0);
    assert_int_equal(attr.nlink, 2);
}

static void several_closes_then_more(struct rig *r)
{
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR);
    rig_put(h, "A", 0);
    assert_int_equal(rig_flush(r, h), 0);
    rig_put(h, "B", 1);
    assert_int_equal(rig_flush(r, h), 0);
    rig_put(h, "C", 2);
}

static void a_child_s_close_counts(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_write(r, "eee/f", "old");
    rig_die(r, several_closes_then_more);
    assert_history(r, "eee/f", "v:old v:ABd");
}

static void created_and_linked(struct rig *r)
{
    rig_put(rig_handle(r, "eee/d/new", O_RDWR | O_CREAT), "new", 0);
    assert_int_equal(rig_link(r, "eee/d/new", "eee/link"), 0);
    assert_int_equal(rig_link(r, "eee/d/new", "eee/another"), 0);
    struct engine_attr attr;
    struct engine_handle *h;
    assert_int_equal(engine_tmpfile(r->e, &r->c, rig_ino(r, "eee"), 0600, O_RDWR, &attr, &h), 0);
    rig_put(h, "new", 0);
    assert_int_equal(engine_link(r->e, &r->c, attr.ino, rig_ino(r, "eee"), "was-tmp", 7, &attr), 0);
    assert_int_equal(engine_link(r->e, &r->c, attr.ino, rig_ino(r, "eee"), "tmp-too", 7, &attr), 0);
    assert_int_equal(engine_tmpfile(r->e, &r->c, rig_ino(r, "eee"), 0600, O_RDWR, &attr, &h), 0);
    rig_put(h, "synced", 0);
    assert_int_equal(engine_link(r->e, &r->c, attr.ino, rig_ino(r, "eee"), "synced", 6, &attr), 0);
    assert_int_equal(engine_fsync(h, false), 0);
}

static void names_of_what_was_never_published_go(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    rig_die(r, created_and_linked);
    assert_names(r, "eee", "d/ synced");
    assert_reads(r, "eee/synced", "synced");
}

static void rename_before_close(struct rig *r)
{
    struct engine_handle *h = rig_handle(r, "uuu/tmp", O_RDWR | O_CREAT);
    rig_put(h, "new", 0);
    assert_int_equal(rig_rename(r, "uuu/tmp", "uuu/f", 0), 0);
    h = rig_handle(r, "eee/tmp", O_RDWR | O_CREAT);
    rig_put(h, "new", 0);
    assert_int_equal(rig_rename(r, "eee/tmp", "eee/f", RENAME_EXCHANGE), 0);
}

static void renamed_before_its_close_neither_is_lost(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "uuu", UNVERSIONED);
    rig_bucket(r, "eee", ENABLED);
    rig_write(r, "uuu/f", "old");
    rig_write(r, "eee/f", "old");
    rig_die(r, rename_before_close);
    assert_history(r, "uuu/f", "n:new");
    assert_names(r, "uuu", "f");
    assert_history(r, "eee/f", "v:new");
    assert_history(r, "eee/tmp", "v:old");
}

static void die_again_and_again(struct rig *r)
{
    rig_append(r, "eee/log", "+");
    rig_write_big(r, "eee/big", 'x', BIG);
    rig_put(rig_handle(r, "eee/log", O_RDWR), "?", 0);
}

static void killed_five_times(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_write(r, "eee/log", "0");
    for (int n = 0; n < 5; n++)
        rig_die(r, die_again_and_again);
    assert_reads(r, "eee/log", "0+++++");
    assert_history(r, "eee/big", "v:x200000 v:x200000 v:x200000 v:x200000 v:x200000");
}

/* ---- power cut ---- */

static void overwrite_unsafe(struct rig *r)
{
    rig_write_big(r, "uuu/f", 'n', BIG);
    rig_write_big(r, "eee/f", 'n', BIG);
    rig_write_big(r, "sss/f", 'n', BIG);
    rig_write_big(r, "eee/new", 'n', BIG);
    rig_write(r, "eee/small", "inline");
}

static void a_version_whose_frames_are_missing_is_rolled_back(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "uuu", UNVERSIONED);
    rig_bucket(r, "eee", ENABLED);
    rig_bucket(r, "sss", SUSPENDED);
    settled_big(r, "uuu/f", 'o');
    settled_big(r, "eee/f", 'o');
    settled_big(r, "sss/f", 'o');
    uint64_t ino = rig_ino(r, "uuu/f");
    rig_cut(r, overwrite_unsafe);
    assert_history(r, "uuu/f", "n:o200000");
    assert_history(r, "eee/f", "v:o200000");
    assert_history(r, "sss/f", "n:o200000");
    assert_history(r, "eee/new", "");
    assert_history(r, "eee/small", "v:inline"); /* its frame stands in the row */
    assert_names(r, "eee", "f small");
    assert_int_equal(rig_ino(r, "uuu/f"), ino);
    rig_purge(r); /* what is still hidden goes: not what came back */
    assert_history(r, "uuu/f", "n:o200000");
    rig_append(r, "uuu/f", "!");
    assert_history(r, "uuu/f", "n:o200000!1");
}

static void overwrite_twice_unsafe(struct rig *r)
{
    for (int n = 0; n < 3; n++) {
        rig_write_big(r, "uuu/f", 'n', BIG);
        rig_write_big(r, "sss/f", 'n', BIG);
        rig_write_big(r, "eee/f", 'n', BIG);
    }
}

static void several_generations_roll_back_to_the_last_sound_one(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "uuu", UNVERSIONED);
    rig_bucket(r, "sss", SUSPENDED);
    rig_bucket(r, "eee", ENABLED);
    settled_big(r, "uuu/f", 'o');
    settled_big(r, "sss/f", 'o');
    settled_big(r, "eee/f", 'o');
    rig_cut(r, overwrite_twice_unsafe);
    assert_history(r, "uuu/f", "n:o200000");
    assert_history(r, "sss/f", "n:o200000");
    assert_history(r, "eee/f", "v:o200000");
    rig_purge(r);
    assert_history(r, "uuu/f", "n:o200000");
}

static void replace_by_rename_unsafe(struct rig *r)
{
    rig_write_big(r, "uuu/tmp", 'n', BIG);
    assert_int_equal(rig_rename(r, "uuu/tmp", "uuu/f", 0), 0);
    rig_write_big(r, "eee/tmp", 'n', BIG);
    assert_int_equal(rig_rename(r, "eee/tmp", "eee/f", 0), 0);
    rig_write_big(r, "sss/f", 'n', BIG);
    assert_int_equal(rig_rename(r, "sss/f", "sss/g", 0), 0);
    rig_write_big(r, "uuu/chain", 'n', BIG);
    assert_int_equal(rig_rename(r, "uuu/chain", "uuu/taken", 0), 0);
    rig_write_big(r, "uuu/taken", 'm', BIG);
    assert_int_equal(rig_rename(r, "uuu/taken", "uuu/end", 0), 0);
}

static void what_a_rename_replaced_comes_back(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "uuu", UNVERSIONED);
    rig_bucket(r, "eee", ENABLED);
    rig_bucket(r, "sss", SUSPENDED);
    settled_big(r, "uuu/f", 'o');
    settled_big(r, "eee/f", 'o');
    settled_big(r, "sss/f", 'o');
    settled_big(r, "uuu/chain", 'c');
    settled_big(r, "uuu/taken", 't');
    rig_cut(r, replace_by_rename_unsafe);
    assert_names(r, "uuu", "end f");
    assert_history(r, "uuu/end", "n:c200000");
    assert_history(r, "uuu/f", "n:o200000");
    assert_names(r, "eee", "f");
    assert_history(r, "eee/f", "v:o200000");
    assert_history(r, "eee/tmp", "");
    assert_names(r, "sss", "g"); /* the rename arrived, the bytes did not */
    assert_history(r, "sss/g", "n:o200000");
}

static void closes_of_a_durable_draft(struct rig *r)
{
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR | O_TRUNC);
    rig_fill(h, 'a', BIG, 0);
    assert_int_equal(rig_flush(r, h), 0);
    assert_int_equal(engine_fsync(h, false), 0);
    rig_fill(h, 'b', BIG, BIG);
    assert_int_equal(rig_flush(r, h), 0);
    rig_fill(h, 'c', BIG, 2 * BIG);
    assert_int_equal(rig_flush(r, h), 0);
}

static void a_later_close_rolls_back_to_the_durable_one(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    settled_big(r, "eee/f", 'o');
    rig_cut(r, closes_of_a_durable_draft);
    assert_history(r, "eee/f", "v:o200000 v:a200000");
    rig_purge(r);
    assert_history(r, "eee/f", "v:o200000 v:a200000");
}

static void fsync_then_write_then_close(struct rig *r)
{
    struct engine_handle *h = rig_handle(r, "eee/new", O_RDWR | O_CREAT), *old = rig_handle(r, "uuu/f", O_RDWR | O_TRUNC);
    struct engine_handle *log = rig_handle(r, "eee/log", O_RDWR), *renamed = rig_handle(r, "eee/tmp", O_RDWR | O_CREAT);
    struct engine_handle *linked = rig_handle(r, "uuu/one", O_RDWR), *twice = rig_handle(r, "eee/twice", O_RDWR | O_CREAT);
    rig_fill(twice, 'a', BIG, 0);
    assert_int_equal(engine_fsync(twice, false), 0);
    rig_fill(h, 'a', BIG, 0);
    assert_int_equal(engine_fsync(h, false), 0);
    rig_fill(old, 'a', BIG, 0);
    assert_int_equal(engine_fsync(old, false), 0);
    rig_fill(renamed, 'a', BIG, 0);
    assert_int_equal(engine_fsync(renamed, false), 0);
    rig_fill(linked, 'a', BIG, 0);
    assert_int_equal(engine_fsync(linked, false), 0);
    rig_put(log, "X", BIG);
    assert_int_equal(engine_fsync(log, false), 0);
    rig_put(log, "Y", BIG + 1);
    assert_int_equal(engine_fsync(log, false), 0);
    rig_fill(h, 'b', BIG, BIG);
    rig_end(r, h);
    rig_fill(old, 'b', BIG, BIG);
    rig_end(r, old);
    rig_fill(renamed, 'b', BIG, BIG);
    rig_end(r, renamed);
    assert_int_equal(rig_rename(r, "eee/tmp", "eee/to", 0), 0);
    rig_fill(linked, 'b', BIG, BIG);
    rig_end(r, linked);
    rig_end(r, log);
    rig_fill(twice, 'b', BIG, BIG);
    assert_int_equal(rig_flush(r, twice), 0);
    rig_fill(twice, 'c', BIG, 2 * BIG);
    assert_int_equal(rig_flush(r, twice), 0);
}

static void what_was_fsynced_survives_the_close_that_follows(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "uuu", UNVERSIONED);
    rig_bucket(r, "eee", ENABLED);
    settled_big(r, "uuu/f", 'o');
    settled_big(r, "uuu/one", 'o');
    assert_int_equal(rig_link(r, "uuu/one", "uuu/two"), 0);
    settled_big(r, "eee/log", 'o');
    rig_cut(r, fsync_then_write_then_close);
    assert_history(r, "eee/new", "v:a200000b200000");
    assert_history(r, "eee/twice", "v:a200000b200000");
    assert_history(r, "uuu/f", "n:a200000b200000");
    assert_history(r, "eee/to", "v:a200000b200000");
    assert_history(r, "uuu/one", "n:a200000b200000");
    assert_history(r, "uuu/two", "n:a200000b200000");
    assert_history(r, "eee/log", "v:o200000 v:o200000X1Y1");
    rig_purge(r);
    assert_history(r, "uuu/f", "n:a200000b200000");
    assert_names(r, "uuu", "f one two");
}

static void fsync_then_close_arrived(struct rig *r)
{
    struct engine_handle *h = rig_handle(r, "eee/new", O_RDWR | O_CREAT);
    rig_fill(h, 'a', BIG, 0);
    assert_int_equal(engine_fsync(h, false), 0);
    rig_fill(h, 'b', BIG, BIG);
    rig_end(r, h);
    h = rig_handle(r, "eee/f", O_RDWR);
    rig_fill(h, 'a', BIG, 0);
    assert_int_equal(engine_fsync(h, false), 0);
    rig_end(r, h);
    rig_write(r, "eee/f", "newest");
}

static void what_was_fsynced_does_not_come_back_over_what_was_closed(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    settled_big(r, "eee/f", 'o');
    rig_die(r, fsync_then_close_arrived);
    assert_history(r, "eee/new", "v:a200000b200000");
    assert_history(r, "eee/f", "v:o200000 v:a200000 v:newest");
    rig_die(r, nothing);
    assert_history(r, "eee/f", "v:o200000 v:a200000 v:newest");
}

static void unlink_unsafe(struct rig *r)
{
    rig_write_big(r, "uuu/f", 'n', BIG);
    assert_int_equal(rig_unlink(r, "uuu/f"), 0);
    rig_write_big(r, "uuu/f", 'm', BIG);
    rig_write_big(r, "sss/f", 'n', BIG);
    assert_int_equal(rig_unlink(r, "sss/f"), 0);
    rig_write_big(r, "eee/f", 'n', BIG);
    assert_int_equal(rig_unlink(r, "eee/f"), 0);
}

static void what_was_unlinked_does_not_come_back(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "uuu", UNVERSIONED);
    rig_bucket(r, "eee", ENABLED);
    rig_bucket(r, "sss", SUSPENDED);
    settled_big(r, "uuu/f", 'o');
    settled_big(r, "eee/f", 'o');
    settled_big(r, "sss/f", 'o');
    rig_cut(r, unlink_unsafe);
    assert_names(r, "uuu", "");
    assert_history(r, "uuu/f", "");
    assert_names(r, "sss", "");
    assert_names(r, "eee", "");
    assert_history(r, "eee/f", "v:o200000 M");
}

static void lock_unsafe(struct rig *r)
{
    rig_write_big(r, "lock/f", 'n', BIG);
}

static void a_default_lock_at_close_is_durable_with_its_bytes(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "lock", ENABLED);
    rig_bucket_set(r, "lock", "bucket.object-lock", "GOVERNANCE 1d");
    rig_bucket_set(r, "lock", "bucket.settle", "0");
    rig_die(r, lock_unsafe);
    assert_int_equal(rig_version_delete(r, "lock/f", 0), -EPERM);
    assert_history(r, "lock/f", "v:n200000");
    rig_cut(r, lock_unsafe);
    assert_history(r, "lock/f", "v:n200000 v:n200000");
    /* Lost all the same, the store opens, and what is locked stays. */
    rig_lose(r, lock_unsafe);
    assert_names(r, "lock", "f");
    struct engine_target target = {.ino = rig_ino(r, "lock/f")};
    struct bytes value = {0};
    assert_int_equal(engine_property_get(r->e, &r->c, &target, "retention", &value), 0);
    bytes_done(&value);
    assert_int_equal(rig_version_delete(r, "lock/f", 2), -EPERM);
    rig_close(r); /* nothing to compare: one version cannot be read */
}

static void link_write_close(struct rig *r)
{
    rig_write_big(r, "eee/g", 'n', BIG);
}

static void both_names_roll_back_together(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    settled_big(r, "eee/f", 'o');
    assert_int_equal(rig_link(r, "eee/f", "eee/g"), 0);
    rig_cut(r, link_write_close);
    assert_history(r, "eee/f", "v:o200000");
    assert_history(r, "eee/g", "v:o200000");
    struct engine_attr attr;
    assert_int_equal(rig_stat(r, "eee/f", &attr), 0);
    assert_int_equal(attr.nlink, 2);
    assert_int_equal(rig_ino(r, "eee/f"), rig_ino(r, "eee/g"));
}

static void new_links_unsafe(struct rig *r)
{
    rig_write_big(r, "eee/f", 'n', BIG);
    assert_int_equal(rig_link(r, "eee/f", "eee/g"), 0);
    assert_int_equal(rig_link(r, "eee/f", "eee/h"), 0);
}

static void every_name_of_what_never_arrived_goes(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "eee", ENABLED);
    rig_cut(r, new_links_unsafe);
    assert_names(r, "eee", "");
    assert_history(r, "eee/g", "");
}

static char stream[96];

static int export_or_import(struct rig *r, const char *bucket, bool out)
{
    struct engine_progress quiet = {0};
    json_t *result = NULL;
    int fd = open(stream, out ? O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    int got = out ? engine_export(r->e, &r->c, bucket, false, fd, quiet, &result)
                  : engine_import(r->e, &r->c, bucket, fd, quiet, &result);
    close(fd);
    json_decref(result);
    return got;
}

static void import_unfinished(struct rig *r)
{
    assert_true(export_or_import(r, "again", false) < 0);
}

static void a_locked_version_of_an_import_that_broke_off_is_durable_with_its_bytes(void **state)
{
    struct rig *r = *state;
    rig_bucket(r, "lock", ENABLED);
    rig_bucket_set(r, "lock", "bucket.object-lock", "Enabled");
    rig_write_big(r, "lock/f", 'n', BIG);
    rig_write_big(r, "lock/g", 'm', BIG);
    static const char day[] = "GOVERNANCE +1d";
    assert_int_equal(engine_property_set(r->e, &r->c, &(struct engine_target){.ino = rig_ino(r, "lock/f")}, "retention", day,
                                         sizeof day - 1, 0),
                     0);
    snprintf(stream, sizeof stream, "%s.stream", r->dir);
    assert_int_equal(export_or_import(r, "lock", true), 0);
    assert_int_equal(truncate(stream, BIG * 3 / 2), 0); /* f is whole, g is not */
    rig_cut(r, import_unfinished);
    assert_history(r, "again/f", "v:n200000");
    assert_int_equal(rig_version_delete(r, "again/f", 0), -EPERM);
    unlink(stream);
    rig_close(r); /* nothing to compare: of the key that was not finished the tree knows nothing */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_closed_is_there),
        TEST(what_was_not_closed_leaves_the_old_content),
        TEST(what_was_fsynced_is_published),
        TEST(a_child_s_close_counts),
        TEST(names_of_what_was_never_published_go),
        TEST(renamed_before_its_close_neither_is_lost),
        TEST(killed_five_times),
        TEST(a_version_whose_frames_are_missing_is_rolled_back),
        TEST(several_generations_roll_back_to_the_last_sound_one),
        TEST(what_a_rename_replaced_comes_back),
        TEST(a_later_close_rolls_back_to_the_durable_one),
        TEST(what_was_fsynced_survives_the_close_that_follows),
        TEST(what_was_fsynced_does_not_come_back_over_what_was_closed),
        TEST(what_was_unlinked_does_not_come_back),
        TEST(a_default_lock_at_close_is_durable_with_its_bytes),
        TEST(a_locked_version_of_an_import_that_broke_off_is_durable_with_its_bytes),
        TEST(both_names_roll_back_together),
        TEST(every_name_of_what_never_arrived_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
