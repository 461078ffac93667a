/* SPDX-License-Identifier: GPL-3.0-or-later
 * What a failed commit (a full disk) leaves in memory: what stood before it, of inodes in use and of a bucket's settings (E9). */
#include "rig.h"
#include "engine/private.h"

#include <sys/stat.h>

static _Thread_local bool full; /* the test's own commits fail; not those of the engine's worker */
static const struct meta_ops *real;

/* As a real one that fails: it rolls back itself. */
static int commit_unless_full(struct meta *m)
{
    if (!full)
        return real->commit(m);
    real->rollback(m);
    return -ENOSPC;
}

static int setup(void **state)
{
    static struct meta_ops ops;
    int r = rig_setup(state);
    struct rig *rig = *state;
    if (r)
        return r;
    {
        LOCK_SCOPE(&rig->e->meta);
        real = rig->e->meta_ops;
        ops = *real;
        ops.commit = commit_unless_full;
        rig->e->meta_ops = &ops;
    }
    rig_bucket(rig, "eee", ENABLED);
    return 0;
}

#define WHEN_FULL(call)                                                                                                        \
    do {                                                                                                                       \
        full = true;                                                                                                           \
        int got = (call);                                                                                                      \
        full = false;                                                                                                          \
        assert_int_equal(got, -ENOSPC);                                                                                        \
    } while (0)

static struct engine_attr attr_of(struct rig *r, const char *path)
{
    struct engine_attr attr;
    assert_int_equal(rig_stat(r, path, &attr), 0);
    return attr;
}

static void a_rename_that_failed_leaves_an_open_file_its_name(void **state)
{
    struct rig *r = *state;
    rig_write(r, "eee/f", "one");
    rig_settle(r, "eee/f");
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR);
    WHEN_FULL(rig_rename(r, "eee/f", "eee/g", 0));
    rig_put(h, "two", 0);
    rig_end(r, h);
    assert_history(r, "eee/f", "v:one v:two");
    assert_names(r, "eee", "f");
    assert_int_equal(rig_rename(r, "eee/f", "eee/g", 0), 0);
    assert_reads(r, "eee/g", "two");
}

static void a_created_file_whose_rename_failed_keeps_its_name(void **state)
{
    struct rig *r = *state;
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR | O_CREAT);
    WHEN_FULL(rig_rename(r, "eee/f", "eee/g", 0));
    rig_put(h, "one", 0);
    rig_end(r, h);
    assert_names(r, "eee", "f");
    assert_history(r, "eee/f", "v:one");
}

static void an_unlink_that_failed_leaves_an_open_file_its_name(void **state)
{
    struct rig *r = *state;
    rig_write(r, "eee/f", "one");
    rig_settle(r, "eee/f");
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDWR);
    WHEN_FULL(rig_unlink(r, "eee/f"));
    assert_int_equal(attr_of(r, "eee/f").nlink, 1);
    rig_put(h, "two", 0);
    rig_end(r, h);
    assert_history(r, "eee/f", "v:one v:two");
}

static void a_link_that_failed_is_not_counted(void **state)
{
    struct rig *r = *state;
    rig_write(r, "eee/f", "one");
    struct engine_handle *h = rig_handle(r, "eee/f", O_RDONLY);
    WHEN_FULL(rig_link(r, "eee/f", "eee/g"));
    assert_int_equal(attr_of(r, "eee/f").nlink, 1);
    assert_int_equal(rig_link(r, "eee/f", "eee/g"), 0);
    WHEN_FULL(rig_unlink(r, "eee/f")); /* the first name: the other would have become the inode's key */
    WHEN_FULL(rig_unlink(r, "eee/g"));
    assert_int_equal(attr_of(r, "eee/g").nlink, 2);
    engine_release(h);
    rig_append(r, "eee/g", "+two");
    assert_reads(r, "eee/f", "one+two");
}

static void a_directory_whose_rename_failed_keeps_its_files(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    rig_write(r, "eee/d/f", "one");
    struct engine_handle *h = rig_handle(r, "eee/d/f", O_RDONLY);
    WHEN_FULL(rig_rename(r, "eee/d", "eee/e", 0));
    engine_release(h);
    rig_append(r, "eee/d/f", "+two");
    assert_names(r, "eee", "d/ d/f");
    assert_reads(r, "eee/d/f", "one+two");
}

static void attributes_that_were_not_saved_do_not_show(void **state)
{
    struct rig *r = *state;
    rig_write(r, "eee/f", "one");
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    uint32_t file_mode = attr_of(r, "eee/f").mode, dir_mode = attr_of(r, "eee/d").mode;
    WHEN_FULL(rig_setattr(r, "eee/f", SET_MODE, &(struct engine_attr){.mode = 0701}));
    WHEN_FULL(rig_setattr(r, "eee/d", SET_MODE, &(struct engine_attr){.mode = 0701}));
    assert_int_equal(attr_of(r, "eee/f").mode, file_mode);
    assert_int_equal(attr_of(r, "eee/d").mode, dir_mode);
    WHEN_FULL(engine_xattr_set(r->e, &r->c, rig_ino(r, "eee/d"), "user.x", "y", 1, 0));
    struct bytes value = {0};
    assert_int_equal(engine_xattr_get(r->e, &r->c, rig_ino(r, "eee/d"), "user.x", &value), -ENODATA);
    bytes_done(&value);
}

static void a_directory_whose_removal_failed_is_there(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    rig_write(r, "eee/d/f", "one");
    assert_int_equal(rig_unlink(r, "eee/d/f"), 0); /* its times wait to be saved: it is in use */
    WHEN_FULL(rig_rmdir(r, "eee/d"));
    rig_write(r, "eee/d/f", "two");
    assert_names(r, "eee", "d/ d/f");
}

static int set(struct rig *r, const char *name, const char *value)
{
    struct engine_target target = {.ino = rig_ino(r, "eee")};
    return engine_property_set(r->e, &r->c, &target, name, value, strlen(value), 0);
}

static void assert_setting(struct rig *r, const char *name, const char *want)
{
    struct engine_target target = {.ino = rig_ino(r, "eee")};
    struct bytes value = {0};
    int got = engine_property_get(r->e, &r->c, &target, name, &value);
    if (!want) {
        assert_int_equal(got, -ENODATA);
    } else {
        assert_int_equal(got, 0);
        assert_int_equal(value.len, strlen(want));
        assert_memory_equal(value.data, want, value.len);
    }
    bytes_done(&value);
}

static void settings_of_a_bucket_that_were_not_saved_do_not_hold(void **state)
{
    struct rig *r = *state;
    static const char policy[] = "{\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\","
                                 "\"Resource\":\"arn:aws:s3:::eee/*\"}]}";
    static const char tags[] = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    rig_bucket_set(r, "eee", "bucket.settle", "77");
    WHEN_FULL(set(r, "bucket.settle", "5"));
    assert_setting(r, "bucket.settle", "77");
    WHEN_FULL(set(r, "bucket.object-lock", "Enabled"));
    assert_setting(r, "bucket.object-lock", NULL);
    WHEN_FULL(set(r, "bucket.policy", policy));
    assert_setting(r, "bucket.policy", NULL);
    rig_bucket_set(r, "eee", "bucket.policy", policy);
    WHEN_FULL(engine_property_remove(r->e, &r->c, &(struct engine_target){.ino = rig_ino(r, "eee")}, "bucket.policy"));
    assert_setting(r, "bucket.policy", policy);
    WHEN_FULL(set(r, "bucket.tagging", tags));
    assert_setting(r, "bucket.tagging", NULL);
    rig_bucket_set(r, "eee", "bucket.tagging", tags);
    WHEN_FULL(engine_property_remove(r->e, &r->c, &(struct engine_target){.ino = rig_ino(r, "eee")}, "bucket.tagging"));
    assert_int_equal(set(r, "bucket.settle", "9"), 0); /* and the row still has them all */
    rig_reopen(r);
    assert_setting(r, "bucket.settle", "9");
    assert_setting(r, "bucket.policy", policy);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_rename_that_failed_leaves_an_open_file_its_name),
        TEST(a_created_file_whose_rename_failed_keeps_its_name),
        TEST(an_unlink_that_failed_leaves_an_open_file_its_name),
        TEST(a_link_that_failed_is_not_counted),
        TEST(a_directory_whose_rename_failed_keeps_its_files),
        TEST(a_directory_whose_removal_failed_is_there),
        TEST(attributes_that_were_not_saved_do_not_show),
        TEST(settings_of_a_bucket_that_were_not_saved_do_not_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
