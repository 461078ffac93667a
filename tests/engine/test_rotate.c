/* SPDX-License-Identifier: GPL-3.0-or-later
 * Keys renewed beneath what is stored: bucket keys with and without rewrapping, key epochs; in use, stopped, killed
 * (encryption.md §1.4, §1.5). */
#include "store.h"

#include "../lib/killstep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { BIG = 300000 };

static const struct engine_progress quiet = {NULL, NULL};
static char big[BIG];

static int setup(void **state)
{
    static struct store s;
    store_setup(&s, "{\"object-lock\":true}");
    memset(big, 'x', sizeof big);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    store_teardown(*state);
    return 0;
}

static json_int_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static json_t *rotate(struct store *s, bool rewrap)
{
    json_t *o = NULL;
    int r = engine_bucket_rotate_key(s->e, &s->c, "buck", rewrap, quiet, &o);
    if (r < 0)
        fail_msg("rotate: %s (%s)", strerror(-r), s->c.reason.text);
    return o;
}

static json_int_t rotated(struct store *s, bool rewrap, const char *member)
{
    json_t *o = rotate(s, rewrap);
    json_int_t n = number(o, member);
    json_decref(o);
    return n;
}

static json_int_t epoch_now(struct store *s) /* begins one to see its number */
{
    json_t *o = NULL;
    int r = engine_rotate_root(s->e, &s->c, &o);
    if (r < 0)
        fail_msg("rotate-root: %s (%s)", strerror(-r), s->c.reason.text);
    json_int_t n = number(o, "epoch");
    json_decref(o);
    return n;
}

/* The lowest and highest key version that data keys of a key's versions are wrapped under, as "1..2". */
static const char *wraps(struct store *s, const char *key)
{
    static char text[64];
    json_t *o = NULL;
    struct engine_place place = store_place(s, key);
    assert_int_equal(engine_debug_object(s->e, &s->c, &place, &o), 0);
    json_int_t low = 0, high = 0;
    size_t i, n;
    json_t *version, *dek;
    json_array_foreach(json_object_get(o, "versions"), i, version)
    {
        json_array_foreach(json_object_get(version, "deks"), n, dek)
        {
            json_int_t v = number(dek, "kek_version");
            low = !low || v < low ? v : low;
            high = v > high ? v : high;
        }
    }
    json_decref(o);
    snprintf(text, sizeof text, "%d..%d", (int)low, (int)high);
    return text;
}

static void reads(struct store *s, const char *path, const char *want, size_t len)
{
    static char got[BIG + 1];
    ssize_t n = store_read(s, path, got, sizeof got);
    assert_int_equal(n, len);
    assert_memory_equal(got, want, len);
}

static void no_findings(struct store *s)
{
    json_t *o = NULL;
    assert_int_equal(engine_fsck(s->e, &s->c, false, quiet, &o), 0);
    assert_int_equal(number(o, "errors"), 0);
    json_decref(o);
    assert_int_equal(engine_scrub(s->e, &s->c, quiet, &o), 0);
    assert_true(json_is_true(json_object_get(o, "clean")));
    json_decref(o);
}

static void new_data_is_under_the_new_key_and_old_data_opens(void **state)
{
    struct store *s = *state;
    store_text(s, "old", "before");
    store_write(s, "big", big, BIG);
    assert_int_equal(rotated(s, false, "key_version"), 2);
    store_text(s, "new", "after");
    assert_string_equal(wraps(s, "old"), "1..1");
    assert_string_equal(wraps(s, "new"), "2..2");
    store_reopen(s);
    reads(s, "old", "before", 6);
    reads(s, "new", "after", 5);
    reads(s, "big", big, BIG);
    no_findings(s);
}

static void an_edit_brings_shared_frames_under_the_new_key(void **state)
{
    struct store *s = *state;
    store_write(s, "big", big, BIG);
    rotated(s, false, "key_version");
    store_patch(s, "big", 100, "yyy", 3);
    assert_string_equal(wraps(s, "big"), "1..2"); /* the version before it stays as it is */
    struct engine_place place = store_place(s, "big");
    json_t *o = NULL;
    assert_int_equal(engine_debug_object(s->e, &s->c, &place, &o), 0);
    json_t *keys = json_object_get(json_array_get(json_object_get(o, "versions"), 0), "deks");
    assert_true(json_array_size(keys) >= 2); /* its own frames and those it shares */
    for (size_t i = 0; i < json_array_size(keys); i++)
        assert_int_equal(number(json_array_get(keys, i), "kek_version"), 2);
    json_decref(o);
}

static void rewrapping_leaves_nothing_under_an_earlier_key(void **state)
{
    struct store *s = *state;
    char name[32];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "f%03d", i);
        store_text(s, name, name);
    }
    store_text(s, "f000", "second");
    store_text(s, "gone", "was here");
    store_unlink(s, "gone");
    store_write(s, "big", big, BIG);
    store_text(s, "locked", "stays");
    struct engine_target target = {.ino = store_ino(s, "locked")};
    assert_int_equal(engine_property_set(s->e, &s->c, &target, "object-lock-legal-hold", "ON", 2, 0), 0);

    json_t *o = rotate(s, true);
    assert_int_equal(number(o, "key_version"), 2);
    assert_int_equal(number(o, "rewrapped"), 304); /* without the delete marker */
    assert_int_equal(number(o, "destroyed"), 1);
    assert_int_equal(number(o, "epoch"), 2);
    json_decref(o);
    for (int round = 0; round < 2; round++) {
        assert_string_equal(wraps(s, "f000"), "2..2");
        assert_string_equal(wraps(s, "gone"), "2..2");
        assert_string_equal(wraps(s, "big"), "2..2");
        assert_string_equal(wraps(s, "locked"), "2..2");
        reads(s, "f000", "second", 6);
        reads(s, "f299", "f299", 4);
        reads(s, "big", big, BIG);
        reads(s, "locked", "stays", 5);
        no_findings(s);
        store_reopen(s);
    }
    store_unlink(s, "locked"); /* its version is as locked as before */
    assert_int_equal(engine_bucket_delete(s->e, &s->c, "buck", true), -EPERM);
}

static void files_in_use_go_on(void **state)
{
    struct store *s = *state;
    store_write(s, "big", big, BIG);
    store_text(s, "small", "0123456789");
    struct engine_handle *b = NULL, *t = NULL, *old = NULL;
    assert_int_equal(engine_open_file(s->e, &s->c, store_ino(s, "big"), O_RDWR, &b), 0);
    assert_int_equal(engine_open_file(s->e, &s->c, store_ino(s, "small"), O_RDWR, &t), 0);
    assert_int_equal(engine_open_file(s->e, &s->c, store_ino(s, "small"), O_RDONLY, &old), 0);
    assert_int_equal(engine_write(b, "A", 1, 0), 1);
    assert_int_equal(engine_write(b, big, 70000, BIG), 70000);
    assert_int_equal(engine_fsync(b, false), 0);
    assert_int_equal(engine_write(b, "B", 1, BIG + 70000), 1);
    assert_int_equal(engine_fsync(b, false), 0); /* a draft row of its own */
    assert_int_equal(engine_write(t, "A", 1, 0), 1);

    assert_int_equal(rotated(s, true, "destroyed"), 1);
    assert_int_equal(rotated(s, true, "destroyed"), 1);

    assert_int_equal(engine_write(b, "C", 1, BIG + 70001), 1);
    assert_int_equal(engine_fsync(b, false), 0);
    assert_int_equal(engine_write(t, "B", 1, 9), 1);
    char got[16];
    assert_int_equal(engine_read(old, got, 10, 0), 10);
    assert_memory_equal(got, "A12345678B", 10);
    struct engine_handle *list[] = {b, t, old};
    for (int i = 0; i < 3; i++) {
        assert_true(engine_flush(s->e, &s->c, list[i]) >= 0);
        engine_release(list[i]);
    }
    assert_string_equal(wraps(s, "big"), "3..3");
    assert_string_equal(wraps(s, "small"), "3..3");
    store_reopen(s);
    reads(s, "small", "A12345678B", 10);
    static char got_big[BIG + 70003];
    assert_int_equal(store_read(s, "big", got_big, sizeof got_big), BIG + 70002);
    assert_memory_equal(got_big + BIG + 69999, "xBC", 3);
    no_findings(s);
}

static int stop_at_once(void *arg, const char *what, uint64_t done, uint64_t total)
{
    (void)arg;
    (void)what;
    (void)done;
    (void)total;
    return 1;
}

static void stopped_it_goes_on_with_the_same_key(void **state)
{
    struct store *s = *state;
    char name[32];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "f%03d", i);
        store_text(s, name, name);
    }
    json_t *o = NULL;
    const struct engine_progress stop = {stop_at_once, NULL};
    assert_int_equal(engine_bucket_rotate_key(s->e, &s->c, "buck", true, stop, &o), -ECANCELED);
    assert_string_equal(wraps(s, "f000"), "2..2");
    assert_string_equal(wraps(s, "f299"), "1..1");
    store_reopen(s);
    reads(s, "f000", "f000", 4);
    reads(s, "f299", "f299", 4);
    o = rotate(s, true);
    assert_int_equal(number(o, "key_version"), 2);
    assert_true(number(o, "rewrapped") < 300);
    assert_int_equal(number(o, "destroyed"), 1);
    json_decref(o);
    assert_string_equal(wraps(s, "f299"), "2..2");
    assert_int_equal(rotated(s, true, "key_version"), 3);
}

static void a_deleted_bucket_begins_an_epoch(void **state)
{
    struct store *s = *state;
    store_text(s, "f", "text");
    json_t *options = json_object();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(engine_bucket_create(s->e, &s->c, "other", options), 0);
        assert_int_equal(engine_bucket_delete(s->e, &s->c, "other", false), 0);
    }
    json_decref(options);
    store_reopen(s);
    json_int_t epoch = epoch_now(s);
    assert_true(epoch == 3 || epoch == 4); /* the worker may have come between the two */
    store_reopen(s);
    assert_int_equal(epoch_now(s), epoch + 1);
    reads(s, "f", "text", 4);
}

struct child {
    struct store *s;
    int (*work)(struct engine *e, struct caller *c);
};

static void child_run(void *arg)
{
    struct child *c = arg;
    struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = secret_copy("a passphrase for tests", 22)};
    struct engine_config config = {.dir = c->s->dir, .unlock = &unlock, .owner_text = "child", .settle_default_s = -1};
    struct reason reason = {.text = ""};
    struct engine *e;
    struct caller caller;
    if (engine_open(&config, &e, &reason) < 0)
        _exit(1);
    engine_caller_init(e, &caller, getuid(), getgid(), getpid(), "mount");
    killstep_begin();
    int r = c->work(e, &caller);
    _exit(r < 0 ? 2 : 0);
}

static int work_root(struct engine *e, struct caller *c)
{
    json_t *o = NULL;
    return engine_rotate_root(e, c, &o);
}

static int work_rewrap(struct engine *e, struct caller *c)
{
    json_t *o = NULL;
    return engine_bucket_rotate_key(e, c, "buck", true, quiet, &o);
}

/* Kills the work before each of its writes; the store opens after each and reads back. Each round leaves records in the audit trail, so
 * the metadata grows and with it what a copy of it writes: among the many writes of a copy the steps become longer. */
static void killed_everywhere(struct store *s, int (*work)(struct engine *e, struct caller *c))
{
    if (!KILLSTEP_POSSIBLE)
        skip();
    store_text(s, "f", "text");
    store_write(s, "big", big, BIG);
    struct child child = {s, work};
    int status = -1;
    unsigned n = 1;
    for (bool killed = true; killed; n += 1 + (n > 32 ? n / 8 : 0)) {
        engine_close(s->e);
        s->e = NULL;
        killed = killstep_run(n, child_run, &child, &status);
        store_reopen(s);
        if (!killed && status == KILLSTEP_NO_TRACE)
            skip();
        reads(s, "f", "text", 4);
        reads(s, "big", big, BIG);
    }
    assert_int_equal(status, 0);
    assert_true(n > 15);
    no_findings(s);
}

static void a_root_rotated_and_killed_is_finished_at_the_next_open(void **state)
{
    killed_everywhere(*state, work_root);
}

static void a_rewrap_killed_leaves_all_readable(void **state)
{
    killed_everywhere(*state, work_rewrap);
}

/* ---- page key and M ---- */

static void page_rotated(struct store *s, json_int_t want)
{
    json_t *o = NULL;
    int r = engine_rotate_page(s->e, &s->c, &o);
    if (r < 0)
        fail_msg("rotate-page: %s (%s)", strerror(-r), s->c.reason.text);
    assert_int_equal(number(o, "page_generation"), want);
    json_decref(o);
}

static void a_page_key_is_renewed_in_use(void **state)
{
    struct store *s = *state;
    char name[32];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "f%03d", i);
        store_text(s, name, name);
    }
    store_write(s, "big", big, BIG);
    page_rotated(s, 2);
    store_text(s, "f000", "second");
    store_text(s, "after", "new");
    page_rotated(s, 3);
    store_text(s, "after", "newer");
    for (int round = 0; round < 2; round++) {
        reads(s, "f000", "second", 6);
        reads(s, "f499", "f499", 4);
        reads(s, "after", "newer", 5);
        reads(s, "big", big, BIG);
        no_findings(s);
        store_reopen(s);
    }
}

static void writers_go_on_while_pages_are_copied(void **state)
{
    struct store *s = *state;
    struct engine_handle *h;
    store_text(s, "f", "0123456789");
    assert_int_equal(engine_open_file(s->e, &s->c, store_ino(s, "f"), O_RDWR, &h), 0);
    assert_int_equal(engine_write(h, "A", 1, 0), 1);
    assert_int_equal(engine_fsync(h, false), 0);
    page_rotated(s, 2);
    assert_int_equal(engine_write(h, "B", 1, 9), 1);
    assert_int_equal(engine_fsync(h, false), 0);
    assert_true(engine_flush(s->e, &s->c, h) >= 0);
    engine_release(h);
    store_reopen(s);
    reads(s, "f", "A12345678B", 10);
}

static int work_page(struct engine *e, struct caller *c)
{
    json_t *o = NULL;
    return engine_rotate_page(e, c, &o);
}

static void a_page_key_renewed_and_killed_leaves_all_readable(void **state)
{
    killed_everywhere(*state, work_page);
}

static int master_rotate(const char *dir, const struct unlock *unlock, struct reason *reason)
{
    const struct engine_config config = {.dir = dir, .unlock = unlock, .owner_text = "test", .settle_default_s = -1};
    const struct unlock *list[] = {unlock};
    const struct master_renewal renewal = {.secrets = list, .secret_count = 1};
    uint8_t unused[32];
    unsigned dropped;
    return engine_rotate_master(&config, &renewal, false, unused, &dropped, reason);
}

static void a_new_master_key_opens_all_and_the_old_nothing(void **state)
{
    struct store *s = *state;
    store_text(s, "f", "text");
    store_write(s, "big", big, BIG);
    rotated(s, true, "epoch");
    engine_close(s->e);
    s->e = NULL;
    struct unlock unlock = {SLOT_PASSPHRASE, s->secret};
    struct store_conf conf;
    struct store_keys *before, *after;
    struct reason reason = {.text = ""};
    bool repaired;
    assert_int_equal(store_conf_read(s->dir, &conf, &reason), 0);
    assert_int_equal(store_header_open(s->dir, conf.store_id, &unlock, false, &before, &repaired, &reason), 0);
    if (master_rotate(s->dir, &unlock, &reason) != 0)
        fail_msg("%s", reason.text);
    assert_int_equal(store_header_open(s->dir, conf.store_id, &unlock, false, &after, &repaired, &reason), 0);
    static const char *const purposes[] = {"header", "page/1", "page/2", "audit", "log", "cache"};
    for (size_t i = 0; i < sizeof purposes / sizeof purposes[0]; i++) {
        uint8_t a[32], b[32];
        store_keys_purpose(before, purposes[i], a);
        store_keys_purpose(after, purposes[i], b);
        assert_memory_not_equal(a, b, 32);
    }
    assert_int_equal(store_keys_page_generation(after), store_keys_page_generation(before) + 1);
    assert_int_equal(store_keys_epoch(after), store_keys_epoch(before) + 1);
    store_keys_free(before);
    store_keys_free(after);
    store_reopen(s);
    reads(s, "f", "text", 4);
    reads(s, "big", big, BIG);
    store_text(s, "g", "more");
    no_findings(s);
}

static void child_master(void *arg)
{
    struct store *s = arg;
    struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = secret_copy("a passphrase for tests", 22)};
    struct reason reason = {.text = ""};
    killstep_begin();
    _exit(master_rotate(s->dir, &unlock, &reason) == 0 ? 0 : 1);
}

/* encryption.md case 9. */
static void a_master_key_renewed_and_killed_leaves_all_readable(void **state)
{
    struct store *s = *state;
    if (!KILLSTEP_POSSIBLE)
        skip();
    store_text(s, "f", "text");
    store_write(s, "big", big, BIG);
    int status = -1;
    unsigned n = 1;
    for (bool killed = true; killed; n += 1 + (n > 32 ? n / 8 : 0)) {
        engine_close(s->e);
        s->e = NULL;
        killed = killstep_run(n, child_master, s, &status);
        store_reopen(s);
        if (!killed && status == KILLSTEP_NO_TRACE)
            skip();
        reads(s, "f", "text", 4);
        reads(s, "big", big, BIG);
    }
    assert_int_equal(status, 0);
    assert_true(n > 40);
    no_findings(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_data_is_under_the_new_key_and_old_data_opens, setup, teardown),
        cmocka_unit_test_setup_teardown(an_edit_brings_shared_frames_under_the_new_key, setup, teardown),
        cmocka_unit_test_setup_teardown(rewrapping_leaves_nothing_under_an_earlier_key, setup, teardown),
        cmocka_unit_test_setup_teardown(files_in_use_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(stopped_it_goes_on_with_the_same_key, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deleted_bucket_begins_an_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_key_is_renewed_in_use, setup, teardown),
        cmocka_unit_test_setup_teardown(writers_go_on_while_pages_are_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_master_key_opens_all_and_the_old_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_key_renewed_and_killed_leaves_all_readable, setup, teardown),
        cmocka_unit_test_setup_teardown(a_master_key_renewed_and_killed_leaves_all_readable, setup, teardown),
        cmocka_unit_test_setup_teardown(a_root_rotated_and_killed_is_finished_at_the_next_open, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rewrap_killed_leaves_all_readable, setup, teardown),
    };
    return cmocka_run_group_tests_name("rotate", tests, NULL, NULL);
}
