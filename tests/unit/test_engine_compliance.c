/* SPDX-License-Identifier: GPL-3.0-or-later
 * The compliance clock as arithmetic: retention.md §3, cases 56-58 and 62, rates, gaps, namespaces, saturation. */
#include "unit.h"

#include "engine/compliance.h"

#include <errno.h>
#include <stdio.h>

static const int64_t second = 1000000000;
static const int64_t start_s = 1795521600;
static const uint64_t initial_namespace = 4026531834u;

static struct clock_reading reading(double mono, double raw, double boot)
{
    struct clock_reading r = {
        .mono_ns = (int64_t)(mono * 1e9),
        .raw_ns = (int64_t)(raw * 1e9),
        .boot_ns = (int64_t)(boot * 1e9),
        .time_ns_inode = initial_namespace,
        .time_ns_initial = true,
    };
    snprintf(r.boot_id, sizeof r.boot_id, "11111111-2222-3333-4444-555555555555");
    return r;
}

static struct compliance_state started(void)
{
    struct compliance_state s;
    struct clock_reading now = reading(1000, 1000, 1000);
    compliance_state_init(&s, start_s * second, &now);
    return s;
}

static double elapsed(const struct compliance_state *s)
{
    return (double)(s->c_sec - start_s) + s->c_nsec / 1e9;
}

static void nears(double a, double b)
{
    if (a < b - 1e-6 || a > b + 1e-6)
        fail_msg("%.9f is not %.9f", a, b);
}

static void it_starts_at_the_wall_clock_and_runs_with_the_machine(void **state)
{
    (void)state;
    struct compliance_state s = started();
    nears(elapsed(&s), 0);
    assert_true(compliance_state_date_ns(&s) == start_s * second);
    struct clock_reading now = reading(1100.25, 1100.25, 1100.25);
    compliance_state_tick(&s, &now);
    nears(elapsed(&s), 100.25);
}

/* Case 58: adjtimex speeds MONOTONIC by 10 %; RAW caps what counts at 500 ppm. */
static void a_monotonic_clock_made_fast_gains_at_most_500_ppm(void **state)
{
    (void)state;
    struct compliance_state s = started();
    for (int n = 1; n <= 86400; n++) {
        struct clock_reading now = reading(1000 + n * 1.1, 1000 + n, 1000 + n * 1.1);
        compliance_state_tick(&s, &now);
    }
    assert_true(elapsed(&s) >= 86400 && elapsed(&s) <= 86400 * 1.0005 + 0.001);
}

static void a_slow_monotonic_clock_counts_as_it_is(void **state)
{
    (void)state;
    struct compliance_state s = started();
    struct clock_reading now = reading(1090, 1100, 1090);
    compliance_state_tick(&s, &now);
    nears(elapsed(&s), 90);
}

static void suspend_counts(void **state)
{
    (void)state;
    struct compliance_state s = started();
    struct clock_reading now = reading(1010, 1010, 1010 + 3600);
    compliance_state_tick(&s, &now);
    nears(elapsed(&s), 10 + 3600);
}

/* BOOTTIME is read a little later than MONOTONIC: that jitter must not add up over many ticks. */
static void jitter_between_two_reads_does_not_add_up(void **state)
{
    (void)state;
    struct compliance_state s = started();
    for (int n = 1; n <= 100000; n++) {
        double t = 1000 + n * 0.01;
        struct clock_reading now = reading(t, t, t + (n % 2 ? 0.00005 : 0));
        compliance_state_tick(&s, &now);
    }
    assert_true(elapsed(&s) >= 1000 && elapsed(&s) < 1000.001);
}

static void clocks_that_go_back_take_nothing_and_give_nothing(void **state)
{
    (void)state;
    struct compliance_state s = started();
    struct clock_reading now = reading(900, 900, 900);
    compliance_state_tick(&s, &now);
    nears(elapsed(&s), 0);
    now = reading(910, 910, 910);
    compliance_state_tick(&s, &now);
    nears(elapsed(&s), 10);
}

/* Cases 57, 62: the same boot counts the gap; kill -9 differs in nothing. */
static void a_gap_in_the_same_boot_counts(void **state)
{
    (void)state;
    struct compliance_state s = started();
    struct clock_reading now = reading(1100, 1100, 1100);
    compliance_state_open(&s, &now);
    nears(elapsed(&s), 100);
}

static void a_gap_over_a_reboot_does_not(void **state)
{
    (void)state;
    struct compliance_state s = started();
    struct clock_reading now = reading(5000, 5000, 5000);
    now.boot_id[0] = '9';
    compliance_state_open(&s, &now);
    nears(elapsed(&s), 0);
    now.mono_ns += 5 * second, now.raw_ns += 5 * second, now.boot_ns += 5 * second;
    compliance_state_tick(&s, &now);
    nears(elapsed(&s), 5);
}

/* `unshare -T --boottime 99999999`: then, now, or both. */
static void a_gap_seen_from_a_time_namespace_does_not(void **state)
{
    (void)state;
    for (int which = 1; which < 4; which++) {
        struct compliance_state s = started();
        struct clock_reading now = reading(1100, 1100, 1100 + 99999999.0);
        s.last.time_ns_initial = !(which & 1);
        now.time_ns_initial = !(which & 2);
        compliance_state_open(&s, &now);
        nears(elapsed(&s), 0);
        now.mono_ns += second, now.raw_ns += second, now.boot_ns += second;
        compliance_state_tick(&s, &now);
        nears(elapsed(&s), 1);
    }
}

static void an_unknown_boot_is_another_boot(void **state)
{
    (void)state;
    struct compliance_state s = started();
    struct clock_reading now = reading(1100, 1100, 1100);
    s.last.boot_id[0] = now.boot_id[0] = '\0';
    compliance_state_open(&s, &now);
    nears(elapsed(&s), 0);
}

static void the_wall_kind_follows_forward_only(void **state)
{
    (void)state;
    struct compliance_state s = started();
    compliance_state_follow(&s, (start_s + 50) * second);
    nears(elapsed(&s), 50);
    compliance_state_follow(&s, (start_s - 50) * second);
    compliance_state_follow(&s, -1);
    nears(elapsed(&s), 50);
}

static void a_lock_ends_when_its_time_has_elapsed(void **state)
{
    (void)state;
    struct compliance_state s = started();
    const int64_t until_ms = (start_s + 30) * 1000;
    assert_int_equal(compliance_state_hold_s(&s, until_ms), start_s + 30);
    assert_int_equal(compliance_state_hold_s(&s, until_ms + 1), start_s + 31); /* rounds up */
    /* O raised by a day: the same date comes a day sooner by C. */
    s.offset_ns = 86400 * second;
    assert_int_equal(compliance_state_hold_s(&s, until_ms), start_s + 30 - 86400);
    assert_true(compliance_state_date_ns(&s) == (start_s + 86400) * second);
}

/* Case 59: what C a lock that is set must reach does not change; a later lock is dated by the new date and held as long as it says. */
static void an_approved_date_moves_no_lock(void **state)
{
    (void)state;
    struct compliance_state s = started();
    const int64_t year_s = 365 * 86400, month_s = 30 * 86400;
    int64_t held = compliance_state_hold_s(&s, (start_s + month_s) * 1000);
    compliance_state_approve(&s, (start_s + year_s) * second + 5);
    assert_true(compliance_state_date_ns(&s) == (start_s + year_s) * second + 5);
    nears(elapsed(&s), 0);
    assert_int_equal(s.approvals, 1);
    assert_true(held == start_s + month_s);
    int64_t later = compliance_state_hold_s(&s, (start_s + year_s + month_s) * 1000);
    assert_true(later >= held - 1 && later <= held); /* a month from now, as the other one was */
    compliance_state_approve(&s, (start_s - year_s) * second); /* a reset goes back, and C does not */
    assert_true(compliance_state_date_ns(&s) == (start_s - year_s) * second);
    nears(elapsed(&s), 0);
    assert_true(compliance_state_hold_s(&s, (start_s - year_s + month_s) * 1000) == start_s + month_s);
    struct bytes row = {0};
    struct compliance_state back;
    compliance_state_encode(&s, &row);
    assert_int_equal(compliance_state_decode(row.data, row.len, &back), 0);
    assert_true(back.offset_ns == s.offset_ns && s.offset_ns < 0);
    bytes_done(&row);
}

static void far_dates_saturate(void **state)
{
    (void)state;
    struct compliance_state s = started();
    assert_int_equal(compliance_state_hold_s(&s, 253402300799999), 253402300800);
    assert_int_equal(compliance_state_hold_s(&s, INT64_MAX), INT64_MAX / 1000 + 1);
    s.offset_ns = INT64_MIN;
    assert_true(compliance_state_hold_s(&s, INT64_MAX) > INT64_MAX / 1001);
    s.c_sec = INT64_MAX;
    struct clock_reading now = reading(2000, 2000, 2000);
    compliance_state_tick(&s, &now);
    assert_true(s.c_sec == INT64_MAX);
    s.offset_ns = INT64_MAX;
    assert_true(compliance_state_date_ns(&s) == INT64_MAX);
}

static void it_comes_back_from_its_row_and_damage_is_refused(void **state)
{
    (void)state;
    struct compliance_state s = started(), back;
    s.offset_ns = -5;
    s.approvals = 2;
    struct bytes packed = {0};
    compliance_state_encode(&s, &packed);
    assert_int_equal(compliance_state_decode(packed.data, packed.len, &back), 0);
    assert_memory_equal(&back, &s, sizeof s);
    for (size_t len = 0; len < packed.len; len++)
        assert_int_equal(compliance_state_decode(packed.data, len, &back), -EBADMSG);
    packed.data[0] = 9;
    assert_int_equal(compliance_state_decode(packed.data, packed.len, &back), -EBADMSG);
    packed.data[0] = 1;
    packed.data[1] = 0x80; /* C before 1970 */
    assert_int_equal(compliance_state_decode(packed.data, packed.len, &back), -EBADMSG);
    bytes_done(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_at_the_wall_clock_and_runs_with_the_machine),
        cmocka_unit_test(a_monotonic_clock_made_fast_gains_at_most_500_ppm),
        cmocka_unit_test(a_slow_monotonic_clock_counts_as_it_is),
        cmocka_unit_test(suspend_counts),
        cmocka_unit_test(jitter_between_two_reads_does_not_add_up),
        cmocka_unit_test(clocks_that_go_back_take_nothing_and_give_nothing),
        cmocka_unit_test(a_gap_in_the_same_boot_counts),
        cmocka_unit_test(a_gap_over_a_reboot_does_not),
        cmocka_unit_test(a_gap_seen_from_a_time_namespace_does_not),
        cmocka_unit_test(an_unknown_boot_is_another_boot),
        cmocka_unit_test(the_wall_kind_follows_forward_only),
        cmocka_unit_test(a_lock_ends_when_its_time_has_elapsed),
        cmocka_unit_test(an_approved_date_moves_no_lock),
        cmocka_unit_test(far_dates_saturate),
        cmocka_unit_test(it_comes_back_from_its_row_and_damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
