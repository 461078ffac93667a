/* SPDX-License-Identifier: GPL-3.0-or-later
 * A backup killed before each of its writes: the copy that was there, or the new one, and never less; a further backup goes on
 * from what the kill left. */
#include "store.h"

#include "../lib/killstep.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { BIG = 300000 };

static const struct engine_progress quiet = {NULL, NULL};
static char first[BIG], second[BIG];

struct world {
    struct store s;
    char copies[32], copy[64], spare[64];
};

static int setup(void **state)
{
    static struct world w;
    store_setup(&w.s, "{}");
    memset(first, '1', sizeof first);
    memset(second, '2', sizeof second);
    snprintf(w.copies, sizeof w.copies, "/tmp/holdfs-copies-XXXXXX");
    assert_non_null(mkdtemp(w.copies));
    snprintf(w.copy, sizeof w.copy, "%s/copy", w.copies);
    snprintf(w.spare, sizeof w.spare, "%s/spare", w.copies);
    *state = &w;
    return 0;
}

static void run(const char *format, const char *a, const char *b)
{
    char command[512];
    snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

static int teardown(void **state)
{
    struct world *w = *state;
    store_teardown(&w->s);
    run("rm -rf %s%s", w->copies, "");
    return 0;
}

static int backup(struct engine *e, struct caller *c, const char *dir)
{
    mkdir(dir, 0700);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct engine_backup_params params = {.dir_fd = fd, .dir = dir};
    json_t *o = NULL;
    int r = engine_backup(e, c, &params, quiet, &o);
    json_decref(o);
    close(fd);
    return r;
}

static void child_backup(void *arg)
{
    struct world *w = arg;
    struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = store_secret()};
    struct engine_config config = {.dir = w->s.dir, .unlock = &unlock, .owner_text = "child", .settle_default_s = -1};
    struct reason reason = {.text = ""};
    struct engine *e;
    struct caller caller;
    if (engine_open(&config, &e, &reason) < 0)
        _exit(1);
    engine_caller_init(e, &caller, getuid(), getgid(), getpid(), "mount");
    killstep_begin();
    _exit(backup(e, &caller, w->copy) < 0 ? 2 : 0);
}

/* '1' or '2': which of the two contents the copy holds, whole. */
static char copy_content(struct world *w)
{
    struct store copy = {.secret = w->s.secret};
    static char got[BIG + 1];
    snprintf(copy.dir, sizeof copy.dir, "%s", w->copy);
    store_reopen(&copy);
    json_t *o = NULL;
    assert_int_equal(store_read(&copy, "big", got, sizeof got), BIG);
    assert_memory_equal(got, got[0] == '1' ? first : second, BIG);
    assert_int_equal(engine_scrub(copy.e, &copy.c, quiet, &o), 0);
    assert_true(json_is_true(json_object_get(o, "clean")));
    json_decref(o);
    assert_int_equal(engine_fsck(copy.e, &copy.c, false, quiet, &o), 0);
    assert_int_equal(json_integer_value(json_object_get(o, "errors")), 0);
    json_decref(o);
    engine_close(copy.e);
    return got[0];
}

static void a_backup_killed_leaves_the_copy_before_or_the_new_one(void **state)
{
    struct world *w = *state;
    if (!KILLSTEP_POSSIBLE)
        skip();
    store_write(&w->s, "big", first, BIG);
    assert_int_equal(backup(w->s.e, &w->s.c, w->copy), 0);
    store_write(&w->s, "big", second, BIG);
    run("cp -a %s %s", w->copy, w->spare);
    int status = -1;
    unsigned n = 1, old = 0, new = 0;
    const unsigned stride = getenv("HOLDFS_TEST_EVERY_KILL") ? 1 : 5; /* all of them take minutes */
    for (bool killed = true; killed; n += stride) {
        engine_close(w->s.e);
        w->s.e = NULL;
        killed = killstep_run(n, child_backup, w, &status);
        store_reopen(&w->s);
        if (!killed && status == KILLSTEP_NO_TRACE)
            skip();
        if (n % 3 == 0) { /* goes on from there */
            assert_int_equal(backup(w->s.e, &w->s.c, w->copy), 0);
            assert_int_equal(copy_content(w), '2');
        } else {
            char is = copy_content(w);
            assert_true(is == '1' || is == '2');
            assert_true(is == '2' || new == 0); /* once the new one counts, it does */
            old += is == '1';
            new += is == '2';
        }
        run("rm -rf %s%s", w->copy, "");
        run("cp -a %s %s", w->spare, w->copy);
    }
    assert_int_equal(status, 0);
    assert_true(old > 40 / stride && new > 0);
}

static int stop_soon(void *arg, const char *what, uint64_t done, uint64_t total)
{
    unsigned *left = arg;
    (void)what;
    (void)done;
    (void)total;
    return --*left == 0;
}

static void a_backup_stopped_leaves_the_copy_before(void **state)
{
    struct world *w = *state;
    store_write(&w->s, "big", first, BIG);
    assert_int_equal(backup(w->s.e, &w->s.c, w->copy), 0);
    store_write(&w->s, "big", second, BIG);
    run("cp -a %s %s", w->copy, w->spare);
    int r = -ECANCELED;
    unsigned n = 1;
    for (; r == -ECANCELED; n++) {
        int fd = open(w->copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const struct engine_backup_params params = {.dir_fd = fd, .dir = w->copy};
        unsigned left = n;
        json_t *o = NULL;
        r = engine_backup(w->s.e, &w->s.c, &params, (struct engine_progress){stop_soon, &left}, &o);
        json_decref(o);
        close(fd);
        char is = copy_content(w);
        assert_int_equal(is, r == 0 ? '2' : '1');
        run("rm -rf %s%s", w->copy, "");
        run("cp -a %s %s", w->spare, w->copy);
    }
    assert_int_equal(r, 0);
    assert_true(n > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_backup_stopped_leaves_the_copy_before, setup, teardown),
        cmocka_unit_test_setup_teardown(a_backup_killed_leaves_the_copy_before_or_the_new_one, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
