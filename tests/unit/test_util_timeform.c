/* SPDX-License-Identifier: GPL-3.0-or-later
 * Every TIME form of retention.md §6, lock dates of §2.2 and §2.6, lengths, and far dates there and back. */
#include "unit.h"

#include "util/reason.h"
#include "util/timeform.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* 2026-11-24T12:00:00.5Z, a Tuesday. */
static const struct instant now = {1795521600, 500000000};

static void zone_set(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static int setup(void **state)
{
    (void)state;
    zone_set("UTC0");
    return 0;
}

static void reads_as(const char *text, int64_t sec, uint32_t nsec, bool relative)
{
    struct instant at = {0};
    bool is_relative = !relative;
    struct reason why = {0};
    if (timeform_parse(text, now, &at, &is_relative, &why) != 0)
        fail_msg("'%s': %s", text, why.text);
    if (at.sec != sec || at.nsec != nsec || is_relative != relative)
        fail_msg("'%s' reads as %lld.%09u", text, (long long)at.sec, at.nsec);
}

static void is_refused(const char *text, int errnum)
{
    struct instant at = {-1, 1};
    bool relative = true;
    struct reason why = {0};
    int r = timeform_parse(text, now, &at, &relative, &why);
    if (r != -errnum)
        fail_msg("'%s' gives %d", text, r);
    assert_non_null(strstr(why.text, timeform_list));
    assert_int_equal(at.sec, -1); /* untouched on failure */
}

static void instants_read_exactly(void **state)
{
    (void)state;
    reads_as("2026-11-24T12:00:00Z", now.sec, 0, false);
    reads_as("2026-11-24T12:00Z", now.sec, 0, false);
    reads_as("2026-11-24T12:00:00.5Z", now.sec, 500000000, false);
    reads_as("2026-11-24T12:00:00.123456789Z", now.sec, 123456789, false);
    reads_as("2026-11-24T14:00:00+02:00", now.sec, 0, false);
    reads_as("2026-11-24T06:30:00.25-05:30", now.sec, 250000000, false);
    reads_as("2026-11-24T14:00+02:00", now.sec, 0, false);
    reads_as("2026-11-24", now.sec - 12 * 3600, 0, false);
    reads_as("@1795521600", now.sec, 0, false);
    reads_as("@1795521600.5", now.sec, 500000000, false);
    reads_as("@0", 0, 0, false);
    reads_as("@GMT-2026.11.24-12.00.00", now.sec, 0, false);
    reads_as("1901-12-13T20:45:52Z", INT32_MIN, 0, false);
    reads_as("1970-01-01", 0, 0, false);
    reads_as("2024-02-29", 1709164800, 0, false);
    reads_as("2000-02-29", 951782400, 0, false);
}

static void lengths_before_now(void **state)
{
    (void)state;
    reads_as("-0s", now.sec, now.nsec, true);
    reads_as("-90s", now.sec - 90, now.nsec, true);
    reads_as("-15m", now.sec - 900, now.nsec, true);
    reads_as("-2h", now.sec - 7200, now.nsec, true);
    reads_as("-7d", now.sec - 7 * 86400, now.nsec, true);
    reads_as("-4w", now.sec - 28 * 86400, now.nsec, true);
    reads_as("-100000w", now.sec - INT64_C(60480000000), now.nsec, true);
}

static void names_and_times_of_day_use_the_machines_zone(void **state)
{
    (void)state;
    reads_as("now", now.sec, now.nsec, true);
    reads_as("today", now.sec - 12 * 3600, 0, true);
    reads_as("yesterday", now.sec - 36 * 3600, 0, true);
    reads_as("09:00", now.sec - 3 * 3600, 0, true);
    reads_as("12:00", now.sec, 0, true);
    reads_as("12:01", now.sec + 60 - 86400, 0, true); /* today's is later than now */
    zone_set("CET-1CEST,M3.5.0,M10.5.0/3");           /* now is 13:00 there */
    reads_as("today", now.sec - 13 * 3600, 0, true);
    reads_as("12:01", now.sec - 59 * 60, 0, true);
    reads_as("13:01", now.sec + 60 - 86400, 0, true);
    zone_set("NZST-12"); /* now is midnight of the next day there */
    reads_as("today", now.sec, 0, true);
    reads_as("yesterday", now.sec - 86400, 0, true);
    zone_set("UTC0");
}

static void anything_else_is_refused_with_the_list(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "tomorrow",
                                      "Now",
                                      "2026",
                                      "2026-11",
                                      "2026-11-24T12:00:00",
                                      "2026-11-24T12Z",
                                      "2026-11-24 12:00:00Z",
                                      "2026-11-24t12:00:00z",
                                      "2026-11-24T12:00:00.Z",
                                      "2026-11-24T12:00:00.1234567890Z",
                                      "2026-11-24T12:00.5Z",
                                      "2026-11-24T12:00:00+0200",
                                      "2026-11-24T12:00:00+24:00",
                                      "2026-11-24T12:00:00+02",
                                      "2026-11-24T12:00:00ZZ",
                                      "2026-11-24T24:00:00Z",
                                      "2026-11-24T12:60:00Z",
                                      "2026-11-24T12:00:60Z",
                                      "2026-02-30",
                                      "2025-02-29",
                                      "1900-02-29",
                                      "2026-13-01",
                                      "2026-00-10",
                                      "2026-04-31",
                                      "2026-11-00",
                                      "2026-1-1",
                                      "+2026-11-24",
                                      "-5",
                                      "-h",
                                      "-5y",
                                      "-5 h",
                                      "-5hh",
                                      "--5h",
                                      "-99999999999999999999h",
                                      "-9223372036854775807w",
                                      "9:00",
                                      "09:0",
                                      "24:00",
                                      "09:60",
                                      "09:00:00",
                                      "@",
                                      "@-1",
                                      "@1.",
                                      "@1x",
                                      "@1.1234567890",
                                      "@99999999999999999999",
                                      "@GMT-2026.11.24",
                                      "@GMT-2026.02.30-00.00.00",
                                      "@GMT-2026.11.24-12.00.00Z",
                                      "@gmt-2026.11.24-12.00.00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        is_refused(bad[i], EINVAL);
}

static void the_future_is_refused(void **state)
{
    (void)state;
    is_refused("2026-11-24T12:00:01Z", ERANGE);
    is_refused("2026-11-24T12:00:00.500000001Z", ERANGE);
    is_refused("2026-11-25", ERANGE);
    is_refused("2106-02-08", ERANGE);
    is_refused("9999-12-31T23:59:59.999999999Z", ERANGE);
    is_refused("@1795521601", ERANGE);
    is_refused("@GMT-2026.11.24-12.00.01", ERANGE);
}

static void lock_dates_are_the_headers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"2027-01-01T00:00:00Z", 1798761600000},           {"2027-01-01T00:00:00.1Z", 1798761600100},
        {"2027-01-01T00:00:00.123Z", 1798761600123},       {"2027-01-01T00:00:00.123000000Z", 1798761600123},
        {"2027-01-01T00:00:00.123000001Z", 1798761600124}, /* never a shorter lock than asked for */
        {"2027-01-01T00:00:00.999999999Z", 1798761601000}, {"2027-01-01T01:00:00+01:00", 1798761600000},
        {"2026-12-31T19:00:00-05:00", 1798761600000},      {"1970-01-01T00:00:00Z", 0},
        {"2038-01-20T00:00:00Z", 2147558400000},           {"2106-02-08T00:00:00Z", 4295030400000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},     {"9999-12-31T23:59:59.9999999Z", 253402300799999},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t ms = -1;
        if (timeform_lock_date(good[i].text, &ms) != 0 || ms != good[i].ms)
            fail_msg("%s reads as %lld", good[i].text, (long long)ms);
    }
    static const char *const bad[] = {"2027-01-01",
                                      "2027-01-01T00:00Z",
                                      "2027-01-01T00:00:00",
                                      "+1d",
                                      "now",
                                      "2027-02-29T00:00:00Z",
                                      "2027-01-01T00:00:60Z",
                                      "1969-12-31T23:59:59Z",
                                      "1970-01-01T00:00:00+01:00",
                                      "9999-12-31T23:59:59-01:00",
                                      "10000-01-01T00:00:00Z",
                                      "2027-01-01T00:00:00.0000000001Z",
                                      "2027-01-01T00:00:00Z ",
                                      "@1798761600"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms = 77;
        if (timeform_lock_date(bad[i], &ms) != -EINVAL || ms != 77)
            fail_msg("%s is taken for a lock date", bad[i]);
    }
}

static void lock_value_is(const char *text, int64_t want_ms, bool want_relative)
{
    int64_t ms;
    bool relative;
    assert_int_equal(timeform_lock_value(text, &ms, &relative), 0);
    assert_int_equal(ms, want_ms);
    assert_int_equal(relative, want_relative);
}

static void the_mount_also_takes_days_and_lengths(void **state)
{
    (void)state;
    lock_value_is("2027-01-01T00:00:00Z", 1798761600000, false);
    lock_value_is("2027-01-01", 1798761600000, false);
    lock_value_is("+30s", 30000, true);
    lock_value_is("+5m", 300000, true);
    lock_value_is("+2h", 7200000, true);
    lock_value_is("+30d", INT64_C(30) * 86400000, true);
    lock_value_is("+2w", INT64_C(14) * 86400000, true);
    lock_value_is("+1y", INT64_C(365) * 86400000, true);
    lock_value_is("+0d", 0, true);
    static const char *const bad[] = {"tomorrow",
                                      "+30",
                                      "+d",
                                      "30d",
                                      "-30d",
                                      "+1Y",
                                      "+1d ",
                                      "1969-12-31",
                                      "2027-02-29",
                                      "+99999999999999999999d",
                                      "+9223372036854775807s",
                                      ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms;
        bool relative;
        assert_int_equal(timeform_lock_value(bad[i], &ms, &relative), -EINVAL);
    }
}

static void durations_read_in_seconds(void **state)
{
    (void)state;
    int64_t s;
    assert_int_equal(timeform_duration("90", &s), 0);
    assert_int_equal(s, 90);
    assert_int_equal(timeform_duration("0", &s), 0);
    assert_int_equal(s, 0);
    assert_int_equal(timeform_duration("2h", &s), 0);
    assert_int_equal(s, 7200);
    assert_int_equal(timeform_duration("1y", &s), 0);
    assert_int_equal(s, 365 * 86400);
    assert_int_equal(timeform_duration("", &s), -EINVAL);
    assert_int_equal(timeform_duration("s", &s), -EINVAL);
    assert_int_equal(timeform_duration("-1s", &s), -EINVAL);
    assert_int_equal(timeform_duration("1 s", &s), -EINVAL);
    assert_int_equal(timeform_duration("1.5h", &s), -EINVAL);
    assert_int_equal(timeform_duration("9223372036854775808", &s), -ERANGE);
    assert_int_equal(timeform_duration("9223372036854775807m", &s), -ERANGE);
}

static void far_instants_survive_writing_and_reading(void **state)
{
    (void)state;
    static const struct {
        int64_t sec;
        uint32_t nsec;
        const char *text;
    } table[] = {
        {INT32_MIN, 0, "1901-12-13T20:45:52.000000000Z"},
        {-1, 999999999, "1969-12-31T23:59:59.999999999Z"},
        {0, 1, "1970-01-01T00:00:00.000000001Z"},
        {951827696, 0, "2000-02-29T12:34:56.000000000Z"},
        {4294967296, 123456789, "2106-02-07T06:28:16.123456789Z"},
        {253402300799, 999999999, "9999-12-31T23:59:59.999999999Z"},
        {-62167219200, 0, "0000-01-01T00:00:00.000000000Z"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[48];
        struct instant at;
        timeform_format_ns(table[i].sec, table[i].nsec, text);
        assert_string_equal(text, table[i].text);
        assert_int_equal(timeform_parse_ns(text, strlen(text), &at), 0);
        assert_true(at.sec == table[i].sec && at.nsec == table[i].nsec);
    }
}

static void the_calendar_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t sec = -62167219200; sec < 253402300800; sec += 86400 * 97 + 12345) {
        char ours[48], theirs[48];
        struct tm tm;
        time_t t = sec;
        gmtime_r(&t, &tm);
        /* glibc's %Y does not pad */
        int n = snprintf(theirs, sizeof theirs, "%04d", tm.tm_year + 1900);
        strftime(theirs + n, sizeof theirs - (size_t)n, "-%m-%dT%H:%M:%S.000000000Z", &tm);
        timeform_format_ns(sec, 0, ours);
        assert_string_equal(ours, theirs);
        struct instant at;
        assert_int_equal(timeform_parse_ns(ours, 30, &at), 0);
        assert_true(at.sec == sec);
    }
}

static void milliseconds_and_extremes_are_written(void **state)
{
    (void)state;
    char text[40], wide[48];
    timeform_format_ms(1798761600000, text);
    assert_string_equal(text, "2027-01-01T00:00:00.000Z");
    timeform_format_ms(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    timeform_format_ms(253402300799999, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    timeform_format_ms(INT64_MAX, text);
    assert_string_equal(text, "292278994-08-17T07:12:55.807Z");
    timeform_format_ms(INT64_MIN, text);
    timeform_format_ns(INT64_MAX, 999999999, wide);
    assert_string_equal(wide, "292277026596-12-04T15:30:07.999999999Z");
    timeform_format_ns(INT64_MIN, 0, wide);
}

static void a_version_name_is_read_strictly(void **state)
{
    (void)state;
    struct instant at;
    const char name[] = "2026-11-24T12:00:00.123456789Z.aaaa";
    assert_int_equal(timeform_parse_ns(name, 30, &at), 0);
    assert_int_equal(timeform_parse_ns(name, 31, &at), -EINVAL);
    assert_int_equal(timeform_parse_ns(name, 29, &at), -EINVAL);
    assert_int_equal(timeform_parse_ns("2026-11-24T12:00:00.1234+00:00", 30, &at), -EINVAL);
    assert_int_equal(timeform_parse_ns("2026-11-24T12:00:00.189Z\0\0\0:9Z", 30, &at), -EINVAL);
    assert_int_equal(timeform_parse_ns("2026-02-30T12:00:00.123456789Z", 30, &at), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_read_exactly),
        cmocka_unit_test(lengths_before_now),
        cmocka_unit_test(names_and_times_of_day_use_the_machines_zone),
        cmocka_unit_test(anything_else_is_refused_with_the_list),
        cmocka_unit_test(the_future_is_refused),
        cmocka_unit_test(lock_dates_are_the_headers),
        cmocka_unit_test(the_mount_also_takes_days_and_lengths),
        cmocka_unit_test(durations_read_in_seconds),
        cmocka_unit_test(far_instants_survive_writing_and_reading),
        cmocka_unit_test(the_calendar_agrees_with_the_c_library),
        cmocka_unit_test(milliseconds_and_extremes_are_written),
        cmocka_unit_test(a_version_name_is_read_strictly),
    };
    return cmocka_run_group_tests_name("util/timeform", tests, setup, NULL);
}
