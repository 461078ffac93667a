/* SPDX-License-Identifier: GPL-3.0-or-later
 * MFA devices and what asks for a code, over a real store and a clock that the test moves (retention.md §4, cases 63-66, 69-71). */
#include "rig.h"

#include "clock.h"
#include "engine/mfa.h"

static uint8_t secret[TOTP_SECRET_BYTES] = "12345678901234567890";

/* ---- steps ---- */

static void no(struct rig *r, int got, int error, const char *word)
{
    if (got != -error || !strstr(r->c.reason.text, word))
        fail_msg("wanted %s with '%s', got %s (%s)", strerror(error), word, strerror(-got), r->c.reason.text);
    reason_clear(&r->c.reason);
}

static void ok(struct rig *r, int got)
{
    if (got < 0)
        fail_msg("%s (%s)", strerror(-got), r->c.reason.text);
}

static const char *code_of(int64_t steps)
{
    static char codes[4][TOTP_DIGITS + 1];
    static unsigned at;
    char *code = codes[at++ % 4];
    totp_code(secret, totp_step(test_clock.wall_s) + (uint64_t)steps, code);
    return code;
}

/* One no device has shown before. */
static const char *fresh(void)
{
    clock_passes(60);
    return code_of(0);
}

static int enroll(struct rig *r, const char *name, const char *one, const char *two)
{
    char base32[40];
    json_t *ret = NULL;
    base32_format(secret, sizeof secret, base32);
    json_t *options = json_pack("{s:s, s:[s, s]}", "secret", base32, "codes", one, two);
    int got = engine_mfa_enroll(r->e, &r->c, NULL, name, options, &ret);
    json_decref(options);
    json_decref(ret);
    return got;
}

static int spend(struct rig *r, const char *code)
{
    reason_clear(&r->c.reason);
    r->c.mfa = false;
    int got = engine_mfa_code(r->e, &r->c, NULL, NULL, code);
    r->c.mfa = false;
    return got;
}

static int set(struct rig *r, struct engine_target t, const char *name, const char *value)
{
    reason_clear(&r->c.reason);
    r->c.mfa = false; /* each operation has a caller of its own */
    int got = engine_property_set(r->e, &r->c, &t, name, value, strlen(value), 0);
    r->c.mfa = false;
    return got;
}

static struct engine_target root_of(struct rig *r, const char *bucket)
{
    uint32_t number;
    struct engine_target t = {0};
    assert_int_equal(engine_bucket_find(r->e, bucket, strlen(bucket), &number, &t.ino), 0);
    return t;
}

static const char *versioning(struct rig *r)
{
    static char text[512];
    struct bytes out = {0};
    struct engine_target t = root_of(r, "bkt");
    assert_int_equal(engine_property_get(r->e, &r->c, &t, "bucket.versioning", &out), 0);
    snprintf(text, sizeof text, "%s", bytes_text(&out));
    bytes_done(&out);
    return text;
}

static int remove_version(struct rig *r, const char *key, int n)
{
    char path[64];
    uint32_t bucket;
    uint64_t root;
    snprintf(path, sizeof path, "bkt/%s", key);
    assert_int_equal(engine_bucket_find(r->e, "bkt", 3, &bucket, &root), 0);
    struct engine_place place = {bucket, span_of(key, strlen(key))};
    reason_clear(&r->c.reason);
    int got = engine_version_delete(r->e, &r->c, &place, rig_version(r, path, n));
    r->c.mfa = false;
    return got;
}

static int setup(void **state)
{
    int error = rig_setup(state);
    struct rig *r = *state;
    rig_bucket(r, "bkt", ENABLED);
    assert_int_equal(enroll(r, "phone", code_of(0), code_of(1)), 0);
    clock_passes(60);
    return error;
}

static void turn_on(struct rig *r)
{
    char value[64];
    snprintf(value, sizeof value, "Enabled MfaDelete=Enabled %s", fresh());
    ok(r, set(r, root_of(r, "bkt"), "bucket.versioning", value));
}

/* ---- devices ---- */

static void two_codes_in_a_row_enroll_a_device(void **state)
{
    struct rig *r = *state;
    no(r, enroll(r, "phone", code_of(0), code_of(1)), EEXIST, "phone");
    no(r, enroll(r, "PHONE", code_of(0), code_of(1)), EEXIST, "phone");
    no(r, enroll(r, "a b", code_of(0), code_of(1)), EINVAL, "name");
    no(r, enroll(r, "other", code_of(0), code_of(0)), EACCES, "in a row");
    no(r, enroll(r, "other", code_of(1), code_of(0)), EACCES, "in a row");
    no(r, enroll(r, "other", code_of(-4), code_of(-3)), EACCES, "in a row");
    no(r, enroll(r, "other", code_of(3), code_of(4)), EACCES, "in a row");
    ok(r, enroll(r, "other", code_of(-1), code_of(0)));
    ok(r, spend(r, code_of(0))); /* the two have one secret here: of the other it is spent, of the first it was not */
    no(r, spend(r, code_of(0)), EACCES, "Mfa Authentication failed");
    json_t *list = NULL;
    ok(r, engine_mfa_list(r->e, &r->c, NULL, &list));
    assert_int_equal(json_array_size(json_object_get(list, "devices")), 2);
    json_decref(list);
}

static void only_the_accounts_own_root_manages_its_devices(void **state)
{
    struct rig *r = *state;
    json_t *made = NULL;
    ok(r, engine_account_create(r->e, &r->c, "shop", NULL, &made));
    json_decref(made);
    ok(r, engine_user_create(r->e, &r->c, NULL, "alice", NULL, &made));
    json_decref(made);
    ok(r, engine_user_map(r->e, &r->c, NULL, 4001, "shop:root"));
    ok(r, engine_user_map(r->e, &r->c, NULL, 4002, "alice"));
    no(r, engine_mfa_list(r->e, &r->c, "shop", &made), EACCES, "only the root of account 'shop'"); /* not the first root either */
    struct caller shop, alice;
    engine_caller_init(r->e, &shop, 4001, 4001, 0, "command");
    engine_caller_init(r->e, &alice, 4002, 4002, 0, "command");
    ok(r, engine_mfa_list(r->e, &shop, "shop", &made));
    assert_int_equal(json_array_size(json_object_get(made, "devices")), 0);
    json_decref(made);
    assert_int_equal(engine_mfa_list(r->e, &shop, NULL, &made), -EACCES);
    assert_int_equal(engine_mfa_list(r->e, &alice, NULL, &made), -EACCES);
    assert_int_equal(engine_mfa_code(r->e, &alice, NULL, NULL, code_of(0)), -EACCES);
    assert_int_equal(engine_mfa_code(r->e, &shop, NULL, NULL, code_of(0)), -EACCES);
    char first[13];
    snprintf(first, sizeof first, "%s", r->c.principal.account);
    assert_int_equal(engine_mfa_code(r->e, &shop, first, NULL, code_of(0)), -EACCES);
    ok(r, spend(r, code_of(0))); /* which nobody else has spent */
}

static void what_was_spent_and_counted_outlasts_a_restart(void **state)
{
    struct rig *r = *state;
    const char *code = fresh();
    ok(r, spend(r, code));
    no(r, spend(r, code), EACCES, "failed");
    rig_reopen(r);
    no(r, spend(r, code), EACCES, "failed");
    for (int n = 0; n < 5; n++) {
        no(r, spend(r, "000000"), EACCES, "failed");
        if (n == 2)
            rig_reopen(r);
    }
    no(r, spend(r, fresh()), EAGAIN, "locked");
    rig_reopen(r);
    no(r, spend(r, fresh()), EAGAIN, "locked");
    clock_wall_set_ahead(3600);
    no(r, spend(r, fresh()), EAGAIN, "locked"); /* the date ends no lock */
    clock_passes(300);
    ok(r, spend(r, fresh()));
}

static void a_serial_names_the_device(void **state)
{
    struct rig *r = *state;
    char serial[MFA_SERIAL_CHARS];
    ok(r, enroll(r, "other", code_of(-1), code_of(0)));
    snprintf(serial, sizeof serial, "arn:aws:iam::%s:mfa/other", r->c.principal.account);
    for (int n = 0; n < 4; n++)
        assert_int_equal(engine_mfa_code(r->e, &r->c, NULL, serial, "000000"), -EACCES);
    assert_int_equal(engine_mfa_code(r->e, &r->c, NULL, "arn:aws:iam::000000000000:mfa/none", "000000"), -EACCES); /* counts for nobody */
    const char *code = fresh();
    ok(r, engine_mfa_code(r->e, &r->c, NULL, serial, code));
    assert_int_equal(engine_mfa_code(r->e, &r->c, NULL, serial, code), -EACCES);
    for (int n = 0; n < 5; n++)
        assert_int_equal(engine_mfa_code(r->e, &r->c, NULL, serial, "000000"), -EACCES);
    assert_int_equal(engine_mfa_code(r->e, &r->c, NULL, serial, fresh()), -EAGAIN);
    ok(r, spend(r, fresh())); /* the other device is not locked */
}

static void secrets_open_after_the_keys_above_them_were_renewed(void **state)
{
    struct rig *r = *state;
    json_t *answer = NULL;
    ok(r, engine_rotate_root(r->e, &r->c, &answer));
    json_decref(answer);
    ok(r, spend(r, fresh()));
    rig_reopen(r);
    ok(r, spend(r, fresh()));
}

static void removing_a_device_takes_a_code_and_the_last_stays_while_it_is_needed(void **state)
{
    struct rig *r = *state;
    turn_on(r);
    no(r, engine_mfa_remove(r->e, &r->c, NULL, "phone", "000000"), EACCES, "failed");
    no(r, engine_mfa_remove(r->e, &r->c, NULL, "none", fresh()), ENOENT, "none");
    no(r, engine_mfa_remove(r->e, &r->c, NULL, "phone", code_of(0)), EBUSY, "bkt");
    ok(r, enroll(r, "spare", code_of(0), code_of(1)));
    ok(r, engine_mfa_remove(r->e, &r->c, NULL, "phone", fresh()));
    rig_reopen(r);
    json_t *list = NULL;
    ok(r, engine_mfa_list(r->e, &r->c, NULL, &list));
    assert_int_equal(json_array_size(json_object_get(list, "devices")), 1);
    json_decref(list);
}

static void an_accounts_devices_go_with_it(void **state)
{
    struct rig *r = *state;
    json_t *made = NULL;
    char base32[40];
    ok(r, engine_account_create(r->e, &r->c, "shop", NULL, &made));
    json_decref(made);
    ok(r, engine_user_map(r->e, &r->c, NULL, 4001, "shop:root"));
    struct caller shop;
    engine_caller_init(r->e, &shop, 4001, 4001, 0, "command");
    base32_format(secret, sizeof secret, base32);
    json_t *options = json_pack("{s:s, s:[s, s]}", "secret", base32, "codes", code_of(0), code_of(1));
    ok(r, engine_mfa_enroll(r->e, &shop, "shop", "safe", options, &made));
    json_decref(options);
    json_decref(made);
    assert_int_equal(r->e->mfa->count, 2);
    ok(r, engine_account_delete(r->e, &r->c, "shop"));
    assert_int_equal(r->e->mfa->count, 1);
    rig_reopen(r);
    assert_int_equal(r->e->mfa->count, 1);
}

/* ---- what asks for a code ---- */

/* 64, 65, 70 */
static void versions_and_markers_go_by_a_code_only(void **state)
{
    struct rig *r = *state;
    for (int n = 0; n < 4; n++) {
        rig_write(r, "bkt/f", "text");
        rig_settle(r, "bkt/f");
    }
    rig_unlink(r, "bkt/f");
    turn_on(r);
    assert_non_null(strstr(versioning(r), "<MfaDelete>Enabled</MfaDelete>"));
    no(r, remove_version(r, "f", 0), EACCES, "Mfa Authentication must be used for this request");
    no(r, remove_version(r, "f", 4), EACCES, "Mfa Authentication must be used"); /* the marker */
    char value[32];
    snprintf(value, sizeof value, "%s 100", fresh());
    ok(r, set(r, root_of(r, "bkt"), "mfa", value));
    ok(r, remove_version(r, "f", 4));
    clock_passes(99);
    ok(r, remove_version(r, "f", 0));
    clock_passes(2);
    no(r, remove_version(r, "f", 0), EACCES, "must be used");
    ok(r, set(r, (struct engine_target){.ino = ENGINE_ROOT_INO}, "mfa", fresh()));
    struct caller other = r->c;
    other.uid = 77; /* the same root by another uid: the window is not its */
    uint32_t bucket;
    uint64_t root;
    assert_int_equal(engine_bucket_find(r->e, "bkt", 3, &bucket, &root), 0);
    struct engine_place place = {bucket, span_of("f", 1)};
    assert_int_equal(engine_version_delete(r->e, &other, &place, rig_version(r, "bkt/f", 0)), -EACCES);
    struct caller s3 = r->c;
    s3.front = "s3"; /* a request brings its own */
    assert_int_equal(engine_version_delete(r->e, &s3, &place, rig_version(r, "bkt/f", 0)), -EACCES);
    assert_string_equal(s3.reason.text, "Mfa Authentication must be used for this request");
    ok(r, engine_mfa_code(r->e, &s3, NULL, NULL, fresh()));
    ok(r, engine_version_delete(r->e, &s3, &place, rig_version(r, "bkt/f", 0)));
    no(r, remove_version(r, "f", 0), EACCES, "must be used"); /* and opens nothing for others */
}

/* 66 */
static void what_needs_no_code_and_what_does(void **state)
{
    struct rig *r = *state;
    struct engine_target t = root_of(r, "bkt");
    char value[64];
    ok(r, set(r, t, "bucket.versioning", "Enabled MfaDelete=Disabled")); /* as it is: never said is off */
    assert_non_null(strstr(versioning(r), "<MfaDelete>Disabled</MfaDelete>"));
    no(r, set(r, t, "bucket.versioning", "Enabled MfaDelete=Enabled"), EACCES, "must be used");
    turn_on(r);
    ok(r, set(r, t, "bucket.versioning", "Enabled"));
    ok(r, set(r, t, "bucket.versioning", "Enabled MfaDelete=Enabled"));
    no(r, set(r, t, "bucket.versioning", "Suspended"), EACCES, "must be used");
    no(r, set(r, t, "bucket.versioning", "Enabled MfaDelete=Disabled"), EACCES, "must be used");
    no(r, set(r, t, "bucket.versioning", "Suspended MfaDelete=Enabled"), EINVAL, "MFA Delete needs versioning to be Enabled");
    rig_reopen(r);
    assert_non_null(strstr(versioning(r), "<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"));
    rig_write(r, "bkt/f", "text");
    rig_settle(r, "bkt/f");
    rig_unlink(r, "bkt/f");
    snprintf(value, sizeof value, "Suspended %s", fresh());
    ok(r, set(r, root_of(r, "bkt"), "bucket.versioning", value));
    rig_write(r, "bkt/g", "one");
    rig_settle(r, "bkt/g");
    rig_write(r, "bkt/g", "two"); /* the null version is replaced without a code, as in S3 */
    rig_settle(r, "bkt/g");
    rig_unlink(r, "bkt/g");
    no(r, remove_version(r, "f", 0), EACCES, "must be used"); /* still */
    snprintf(value, sizeof value, "Enabled MfaDelete=Disabled %s", fresh());
    ok(r, set(r, root_of(r, "bkt"), "bucket.versioning", value));
    ok(r, remove_version(r, "f", 0));
}

static void a_bucket_is_emptied_with_a_code(void **state)
{
    struct rig *r = *state;
    rig_write(r, "bkt/f", "text");
    rig_settle(r, "bkt/f");
    turn_on(r);
    no(r, engine_bucket_delete(r->e, &r->c, "bkt", true), EACCES, "must be used");
    ok(r, engine_mfa_code(r->e, &r->c, NULL, NULL, fresh()));
    ok(r, engine_bucket_delete(r->e, &r->c, "bkt", true));
    r->c.mfa = false;
    rig_bucket(r, "bkt", ENABLED); /* a later bucket of that name has nothing of it */
    assert_null(strstr(versioning(r), "MfaDelete"));
}

static void orphans_are_kept_for_good(void **state)
{
    struct rig *r = *state;
    turn_on(r);
    rig_bucket_set(r, "bkt", "bucket.orphan-keep", "0");
    rig_write(r, "bkt/swap", "text");
    rig_unlink(r, "bkt/swap");
    clock_passes(10 * 86400);
    settle_run(r->e);
    assert_int_not_equal(rig_version(r, "bkt/swap", 0), 0);
}

/* ---- codes in what was typed ---- */

static void a_code_is_cut_out_of_the_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *rest, *code, *serial;
        int error;
    } cases[] = {
        {"123456", "", "123456", "", 0},
        {"123456 60", "60", "123456", "", 0},
        {"arn:aws:iam::1:mfa/x 123456 60", "60", "123456", "arn:aws:iam::1:mfa/x", 0},
        {"Enabled MfaDelete=Enabled 123456", "Enabled MfaDelete=Enabled", "123456", "", 0},
        {"Enabled MfaDelete=Enabled arn:aws:iam::1:mfa/x 123456", "Enabled MfaDelete=Enabled", "123456", "arn:aws:iam::1:mfa/x", 0},
        {" Enabled", " Enabled", "", "", 0},
        {"", "", "", "", 0},
        {"12345", "12345", "", "", 0},
        {"1234567", "1234567", "", "", 0},
        {"<a> 123456 </a>", "<a> 123456 </a>", "", "", 0},
        {"123456 654321", NULL, NULL, NULL, -EINVAL},
        {"arn:aws:iam::1:mfa/x", NULL, NULL, NULL, -EINVAL},
        {"arn:aws:iam::1:mfa/x arn:aws:iam::1:mfa/y 123456", NULL, NULL, NULL, -EINVAL},
    };
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        char text[128];
        struct mfa_code code;
        snprintf(text, sizeof text, "%s", cases[n].text);
        assert_int_equal(mfa_code_cut(text, &code), cases[n].error);
        if (cases[n].error)
            continue;
        assert_string_equal(text, cases[n].rest);
        assert_string_equal(code.code, cases[n].code);
        assert_string_equal(code.serial, cases[n].serial);
    }
}

int main(void)
{
    if (!clock_start())
        return 77;
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(two_codes_in_a_row_enroll_a_device),
        TEST(only_the_accounts_own_root_manages_its_devices),
        TEST(what_was_spent_and_counted_outlasts_a_restart),
        TEST(a_serial_names_the_device),
        TEST(secrets_open_after_the_keys_above_them_were_renewed),
        TEST(removing_a_device_takes_a_code_and_the_last_stays_while_it_is_needed),
        TEST(an_accounts_devices_go_with_it),
        TEST(versions_and_markers_go_by_a_code_only),
        TEST(what_needs_no_code_and_what_does),
        TEST(a_bucket_is_emptied_with_a_code),
        TEST(orphans_are_kept_for_good),
        cmocka_unit_test(a_code_is_cut_out_of_the_words),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clock_stop();
    return failed;
}
