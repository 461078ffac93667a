/* SPDX-License-Identifier: GPL-3.0-or-later
 * Objects under KMS keys in the engine: rewrapping that is stopped and goes on, drafts and copies under it, what reopening needs
 * (encryption.md §1.4, §4; cases 34, 47, 49, 52). */
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const struct engine_progress quiet = {NULL, NULL};

static json_t *kms(struct store *s, const char *verb, const char *args)
{
    json_t *in = json_loads(args, 0, NULL), *out = NULL;
    int r = engine_kms(s->e, &s->c, verb, in, NULL, quiet, &out);
    if (r < 0)
        print_message("%s: %s\n", verb, s->c.reason.text);
    assert_int_equal(r, 0);
    json_decref(in);
    return out;
}

static void property(struct store *s, uint64_t ino, const char *name, const char *value)
{
    struct engine_target t = {.ino = ino};
    assert_int_equal(engine_property_set(s->e, &s->c, &t, name, value, strlen(value), 0), 0);
}

static int setup(void **state)
{
    static struct store s;
    store_setup(&s, "{\"object-lock\":true,\"encryption\":\"aws:kms:alias/k\"}");
    json_t *key = kms(&s, "create-key", "{}");
    char alias[160];
    snprintf(alias, sizeof alias, "{\"name\":\"alias/k\",\"key\":\"%s\"}", json_string_value(json_object_get(key, "KeyId")));
    json_decref(key);
    json_decref(kms(&s, "alias.create", alias));
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

static void reads(struct store *s, const char *path, const char *text)
{
    char buf[64];
    assert_int_equal(store_read(s, path, buf, sizeof buf), strlen(text));
    assert_memory_equal(buf, text, strlen(text));
}

static void no_findings(struct store *s)
{
    json_t *o = NULL;
    assert_int_equal(engine_fsck(s->e, &s->c, false, quiet, &o), 0);
    assert_int_equal(number(o, "errors"), 0);
    json_decref(o);
    assert_int_equal(engine_scrub(s->e, &s->c, quiet, &o), 0);
    assert_int_equal(number(o, "damaged"), 0);
    assert_int_equal(number(o, "unopened"), 0);
    json_decref(o);
}

static int stop_at_once(void *arg, const char *what, uint64_t done, uint64_t total)
{
    (void)arg;
    (void)what;
    (void)done;
    (void)total;
    return 1;
}

static void rewrapping_that_is_stopped_goes_on(void **state)
{
    struct store *s = *state;
    char name[32];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "f%03d", i);
        store_text(s, name, name);
    }
    json_decref(kms(s, "rotate", "{\"key\":\"alias/k\"}"));
    json_t *in = json_pack("{s:s}", "key", "alias/k"), *out = NULL;
    const struct engine_progress stop = {stop_at_once, NULL};
    assert_int_equal(engine_kms(s->e, &s->c, "rewrap", in, NULL, stop, &out), -ECANCELED);
    json_decref(in);
    store_text(s, "f150", "written since");
    store_reopen(s);
    reads(s, "f000", "f000");
    reads(s, "f299", "f299");
    out = kms(s, "rewrap", "{\"key\":\"alias/k\"}");
    assert_true(number(out, "rewrapped") > 0 && number(out, "rewrapped") < 300);
    assert_int_equal(number(out, "destroyed"), 1);
    assert_int_equal(number(out, "kept"), 0);
    json_decref(out);
    store_reopen(s); /* memory has nothing of the first version any more */
    for (int i = 0; i < 300; i += 50) {
        snprintf(name, sizeof name, "f%03d", i);
        reads(s, name, i == 150 ? "written since" : name);
    }
    no_findings(s);
}

static void a_draft_and_a_rename_live_through_a_rewrap(void **state)
{
    struct store *s = *state;
    struct engine_handle *h;
    store_text(s, "draft", "12345678");
    store_text(s, "old", "renamed");
    assert_int_equal(engine_open_file(s->e, &s->c, store_ino(s, "draft"), O_RDWR, &h), 0);
    assert_int_equal(engine_write(h, "AB", 2, 0), 2);
    assert_int_equal(engine_fsync(h, false), 0);
    json_decref(kms(s, "rotate", "{\"key\":\"alias/k\"}"));
    json_decref(kms(s, "rewrap", "{\"key\":\"alias/k\"}"));
    assert_int_equal(engine_write(h, "C", 1, 8), 1);
    assert_int_equal(engine_flush(s->e, &s->c, h), 0);
    engine_release(h);
    uint64_t dir = store_dir(s, "old");
    assert_int_equal(engine_rename(s->e, &s->c, dir, "old", 3, dir, "new", 3, 0), 0);
    store_reopen(s);
    reads(s, "draft", "AB345678C");
    reads(s, "new", "renamed");
    no_findings(s);
}

static void upkeep_leaves_what_is_under_a_key_readable(void **state)
{
    struct store *s = *state;
    static char big[300000];
    json_t *out = NULL;
    memset(big, 'y', sizeof big);
    store_write(s, "big", big, sizeof big);
    store_write(s, "gone", big, sizeof big);
    store_unlink(s, "gone");
    assert_int_equal(engine_compact(s->e, &s->c, quiet, &out), 0);
    json_decref(out);
    assert_int_equal(engine_rekey(s->e, &s->c, "buck", quiet, &out), 0);
    assert_int_equal(number(out, "kept"), 0);
    json_decref(out);
    out = NULL;
    assert_int_equal(engine_gc(s->e, &s->c, quiet, &out), 0);
    json_decref(out);
    store_reopen(s);
    static char got[sizeof big];
    assert_int_equal(store_read(s, "big", got, sizeof got), sizeof big);
    assert_memory_equal(got, big, sizeof big);
    no_findings(s);
}

static void put(struct store *s, struct engine_put_params *params, const char *text)
{
    struct engine_put *p;
    struct engine_object object = {0};
    assert_int_equal(engine_put_begin(s->e, &s->c, params, &p), 0);
    assert_int_equal(engine_put_write(p, text, strlen(text)), 0);
    assert_int_equal(engine_put_publish(p, &s->c, &object), 0);
    bytes_done(&object.values);
    engine_put_free(p);
}

static void what_comes_over_s3_takes_the_buckets_default(void **state)
{
    struct store *s = *state;
    struct bytes out = {0};
    struct engine_put_params params = {.bucket = s->bucket, .key = span_of("over-s3", 7)};
    put(s, &params, "content");
    reads(s, "over-s3", "content");
    struct engine_target t = {.ino = store_ino(s, "over-s3")};
    assert_int_equal(engine_property_get(s->e, &s->c, &t, "server-side-encryption", &out), 0);
    assert_string_equal(bytes_text(&out), "aws:kms");
    bytes_clear(&out);
    assert_int_equal(engine_property_get(s->e, &s->c, &t, "etag", &out), 0);
    assert_string_not_equal(bytes_text(&out), "9a0364b9e99bb480dd25e1f0284c8555"); /* its MD5 */
    bytes_done(&out);
    property(s, s->root, "bucket.encryption", "AES256");
    json_decref(kms(s, "disable", "{\"key\":\"alias/k\"}"));
    put(s, &params, "another");
    reads(s, "over-s3", "another");
    no_findings(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rewrapping_that_is_stopped_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_draft_and_a_rename_live_through_a_rewrap, setup, teardown),
        cmocka_unit_test_setup_teardown(upkeep_leaves_what_is_under_a_key_readable, setup, teardown),
        cmocka_unit_test_setup_teardown(what_comes_over_s3_takes_the_buckets_default, setup, teardown),
    };
    return cmocka_run_group_tests_name("engine/kms", tests, NULL, NULL);
}
