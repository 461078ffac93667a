/* SPDX-License-Identifier: GPL-3.0-or-later
 * Who may change or remove a lock: every cell of retention.md §2.3 and §2.4, the dates of §2.2, the forms of §2.6. */
#include "unit.h"

#include "engine/lock.h"

static const int64_t day_ms = 86400000;
static const int64_t until = INT64_C(1893456000000); /* 2030-01-01 */
static const int64_t now_ms = INT64_C(1795521600000);

static void changes_as_the_table_says(void **state)
{
    (void)state;
    static const struct {
        enum lock_mode has;
        bool in_force;
        enum lock_mode wants;
        int64_t later_ms;
        enum lock_answer answer;
    } rows[] = {
        /* none, or expired */
        {LOCK_NONE, false, LOCK_GOVERNANCE, 0, LOCK_ALLOWED},
        {LOCK_NONE, false, LOCK_COMPLIANCE, 0, LOCK_ALLOWED},
        {LOCK_NONE, false, LOCK_NONE, 0, LOCK_ALLOWED},
        {LOCK_GOVERNANCE, false, LOCK_GOVERNANCE, -86400000, LOCK_ALLOWED},
        {LOCK_GOVERNANCE, false, LOCK_COMPLIANCE, 0, LOCK_ALLOWED},
        {LOCK_COMPLIANCE, false, LOCK_GOVERNANCE, 0, LOCK_ALLOWED},
        {LOCK_COMPLIANCE, false, LOCK_NONE, 0, LOCK_ALLOWED},
        /* governance */
        {LOCK_GOVERNANCE, true, LOCK_GOVERNANCE, 0, LOCK_SAME},
        {LOCK_GOVERNANCE, true, LOCK_GOVERNANCE, 1, LOCK_ALLOWED},
        {LOCK_GOVERNANCE, true, LOCK_GOVERNANCE, -999, LOCK_SAME},
        {LOCK_GOVERNANCE, true, LOCK_GOVERNANCE, -1000, LOCK_NEEDS_BYPASS},
        {LOCK_GOVERNANCE, true, LOCK_COMPLIANCE, 0, LOCK_NEEDS_BYPASS},
        {LOCK_GOVERNANCE, true, LOCK_COMPLIANCE, 86400000, LOCK_NEEDS_BYPASS},
        {LOCK_GOVERNANCE, true, LOCK_COMPLIANCE, -86400000, LOCK_NEEDS_BYPASS},
        {LOCK_GOVERNANCE, true, LOCK_NONE, 0, LOCK_NEEDS_BYPASS},
        /* compliance */
        {LOCK_COMPLIANCE, true, LOCK_COMPLIANCE, 0, LOCK_SAME},
        {LOCK_COMPLIANCE, true, LOCK_COMPLIANCE, 1, LOCK_ALLOWED},
        {LOCK_COMPLIANCE, true, LOCK_COMPLIANCE, -999, LOCK_SAME},
        {LOCK_COMPLIANCE, true, LOCK_COMPLIANCE, -1000, LOCK_NEVER},
        {LOCK_COMPLIANCE, true, LOCK_GOVERNANCE, 0, LOCK_NEVER},
        {LOCK_COMPLIANCE, true, LOCK_GOVERNANCE, 86400000, LOCK_NEVER},
        {LOCK_COMPLIANCE, true, LOCK_NONE, 0, LOCK_NEVER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lock_state has = {.mode = rows[i].has, .until_ms = until, .in_force = rows[i].in_force};
        struct lock_wanted wants = {.mode = rows[i].wants, .until_ms = until + rows[i].later_ms};
        if (lock_change_judge(&has, &wants) != rows[i].answer)
            fail_msg("row %zu", i);
        has.hold = HOLD_ON; /* independent of retention */
        assert_int_equal(lock_change_judge(&has, &wants), rows[i].answer);
    }
}

static void removals_as_the_table_says(void **state)
{
    (void)state;
    static const struct {
        enum lock_mode has;
        bool in_force;
        enum hold_state hold;
        enum lock_answer answer;
    } rows[] = {
        {LOCK_NONE, false, HOLD_NEVER, LOCK_ALLOWED},
        {LOCK_NONE, false, HOLD_OFF, LOCK_ALLOWED},
        {LOCK_GOVERNANCE, false, HOLD_OFF, LOCK_ALLOWED},
        {LOCK_COMPLIANCE, false, HOLD_NEVER, LOCK_ALLOWED},
        {LOCK_GOVERNANCE, true, HOLD_OFF, LOCK_NEEDS_BYPASS},
        {LOCK_GOVERNANCE, true, HOLD_NEVER, LOCK_NEEDS_BYPASS},
        {LOCK_COMPLIANCE, true, HOLD_OFF, LOCK_NEVER},
        {LOCK_NONE, false, HOLD_ON, LOCK_NEVER},
        {LOCK_GOVERNANCE, false, HOLD_ON, LOCK_NEVER},
        {LOCK_GOVERNANCE, true, HOLD_ON, LOCK_NEVER},
        {LOCK_COMPLIANCE, true, HOLD_ON, LOCK_NEVER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lock_state has = {
            .mode = rows[i].has, .until_ms = until, .in_force = rows[i].in_force, .hold = rows[i].hold};
        if (lock_delete_judge(&has) != rows[i].answer)
            fail_msg("row %zu", i);
    }
}

static void dates_are_in_the_future_and_compliance_within_a_century(void **state)
{
    (void)state;
    struct reason why = {0};
    struct lock_wanted w = {.mode = LOCK_GOVERNANCE, .until_ms = now_ms};
    assert_int_equal(lock_date_judge(&w, now_ms, &why), -EINVAL);
    assert_non_null(strstr(why.text, "must be in the future"));
    w.until_ms = now_ms + 1;
    assert_int_equal(lock_date_judge(&w, now_ms, NULL), 0);
    w.until_ms = 253402300799999; /* 9999-12-31T23:59:59.999Z */
    assert_int_equal(lock_date_judge(&w, now_ms, NULL), 0);
    w.mode = LOCK_COMPLIANCE;
    assert_int_equal(lock_date_judge(&w, now_ms, NULL), -ERANGE);
    w.until_ms = now_ms + 36500 * day_ms;
    assert_int_equal(lock_date_judge(&w, now_ms, NULL), 0);
    w.until_ms++;
    assert_int_equal(lock_date_judge(&w, now_ms, NULL), -ERANGE);
}

static void reads_retention(const char *text, enum lock_mode mode, int64_t until_ms)
{
    struct lock_wanted w;
    struct reason why = {0};
    if (lock_retention_parse(text, now_ms, &w, &why) != 0)
        fail_msg("'%s': %s", text, why.text);
    assert_int_equal(w.mode, mode);
    assert_true(w.until_ms == until_ms);
}

static void written_retentions_are_read(void **state)
{
    (void)state;
    reads_retention("GOVERNANCE 2030-01-01T00:00:00Z", LOCK_GOVERNANCE, until);
    reads_retention("compliance 2030-01-01", LOCK_COMPLIANCE, until);
    reads_retention("Governance +30d", LOCK_GOVERNANCE, now_ms + 30 * day_ms);
    reads_retention("COMPLIANCE  +1y", LOCK_COMPLIANCE, now_ms + 365 * day_ms);
    reads_retention("COMPLIANCE 2030-01-01T00:00:00.0001Z", LOCK_COMPLIANCE, until + 1);
    reads_retention("GOVERNANCE +0d", LOCK_GOVERNANCE, now_ms); /* past: the date's own judgement refuses it */
}

static void what_is_no_retention_is_refused_with_words(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "GOVERNANCE", "GOVERNANCE ", "tomorrow", "FOO +1d", "+1d", "GOVERNANCE tomorrow",
                                      "GOVERNANCE +d", "GOVERNANCE 2030-02-30", "GOVERNANCE+1d", "GOVERNANCE 2030-01-01 x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lock_wanted w;
        struct reason why = {0};
        if (lock_retention_parse(bad[i], now_ms, &w, &why) >= 0)
            fail_msg("'%s' was read", bad[i]);
        assert_true(why.text[0]);
    }
}

static void holds_are_on_or_off(void **state)
{
    (void)state;
    bool on;
    assert_int_equal(lock_hold_parse("ON", &on, NULL), 0);
    assert_true(on);
    assert_int_equal(lock_hold_parse("OFF", &on, NULL), 0);
    assert_false(on);
    assert_int_equal(lock_hold_parse("true", &on, NULL), -EINVAL);
    assert_int_equal(lock_hold_parse("", &on, NULL), -EINVAL);
}

/* ---- bypasses: in memory, by uid, one shot ---- */

static struct version version_at(const char *key, uint64_t seq)
{
    return (struct version){.bucket = 1, .key = (uint8_t *)key, .key_len = strlen(key), .seq = seq};
}

static void an_armed_bypass_serves_once_and_its_uid_only(void **state)
{
    (void)state;
    struct engine e = {0};
    assert_int_equal(bypasses_open(&e), 0);
    struct version v = version_at("d/f", 5), other = version_at("d/f", 6);
    assert_false(bypass_use(&e, 1000, &v));
    assert_int_equal(bypass_arm_version(&e, 1000, &v), 0);
    assert_false(bypass_armed_version(&e, 1001, &v));
    assert_false(bypass_armed_version(&e, 1000, &other));
    assert_true(bypass_use(&e, 1000, &v));
    assert_false(bypass_use(&e, 1000, &v));
    bypasses_close(&e);
}

static void a_directorys_bypass_serves_what_lies_below(void **state)
{
    (void)state;
    struct engine e = {0};
    assert_int_equal(bypasses_open(&e), 0);
    struct version below = version_at("d/e/f", 1), beside = version_at("dx/f", 2), top = version_at("f", 3);
    assert_int_equal(bypass_arm_dir(&e, 1000, 1, span_of("d", 1), 600), 0);
    assert_true(bypass_use(&e, 1000, &below));
    assert_true(bypass_use(&e, 1000, &below));
    assert_false(bypass_use(&e, 1000, &beside));
    assert_false(bypass_use(&e, 1000, &top));
    assert_int_equal(bypass_disarm_dir(&e, 1000, 1, span_of("d", 1)), 0);
    assert_false(bypass_use(&e, 1000, &below));
    assert_int_equal(bypass_arm_dir(&e, 1000, 1, span_of("", 0), 600), 0); /* the bucket's root */
    assert_true(bypass_use(&e, 1000, &top));
    top.bucket = 2;
    assert_false(bypass_use(&e, 1000, &top));
    bypasses_close(&e);
}

static void a_bypass_runs_out(void **state)
{
    (void)state;
    struct engine e = {0};
    assert_int_equal(bypasses_open(&e), 0);
    struct version v = version_at("d/f", 5);
    assert_int_equal(bypass_arm_dir(&e, 1000, 1, span_of("d", 1), 0), 0);
    assert_false(bypass_armed_version(&e, 1000, &v));
    bypasses_close(&e);
}

static void many_bypasses_push_out_the_oldest(void **state)
{
    (void)state;
    struct engine e = {0};
    assert_int_equal(bypasses_open(&e), 0);
    for (uint64_t seq = 1; seq <= 2000; seq++) {
        struct version v = version_at("f", seq);
        assert_int_equal(bypass_arm_version(&e, 1000, &v), 0);
    }
    struct version first = version_at("f", 1), last = version_at("f", 2000);
    assert_false(bypass_armed_version(&e, 1000, &first));
    assert_true(bypass_armed_version(&e, 1000, &last));
    bypasses_close(&e);
}

static void half_a_lock_waits_for_its_uid_and_version(void **state)
{
    (void)state;
    struct engine e = {0};
    assert_int_equal(bypasses_open(&e), 0);
    struct version v = version_at("f", 5), newer = version_at("f", 6);
    struct lock_wanted half = {.mode = LOCK_GOVERNANCE, .until_ms = -1}, got;
    assert_int_equal(half_lock_put(&e, 1000, &v, &half), 0);
    assert_false(half_lock_take(&e, 1001, &v, &got));
    assert_false(half_lock_take(&e, 1000, &newer, &got));
    assert_true(half_lock_take(&e, 1000, &v, &got));
    assert_int_equal(got.mode, LOCK_GOVERNANCE);
    assert_false(half_lock_take(&e, 1000, &v, &got));
    bypasses_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_as_the_table_says),
        cmocka_unit_test(removals_as_the_table_says),
        cmocka_unit_test(dates_are_in_the_future_and_compliance_within_a_century),
        cmocka_unit_test(written_retentions_are_read),
        cmocka_unit_test(what_is_no_retention_is_refused_with_words),
        cmocka_unit_test(holds_are_on_or_off),
        cmocka_unit_test(an_armed_bypass_serves_once_and_its_uid_only),
        cmocka_unit_test(a_directorys_bypass_serves_what_lies_below),
        cmocka_unit_test(a_bypass_runs_out),
        cmocka_unit_test(many_bypasses_push_out_the_oldest),
        cmocka_unit_test(half_a_lock_waits_for_its_uid_and_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
