/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reading and writing of instants; see timeform.h.
 *
 * A reader walks a cursor over the text; each take_* either consumes its part and answers true, or answers
 * false and the form is tried no further. Calendar arithmetic is proleptic Gregorian in 64 bits: no year is
 * special. */
#include "util/timeform.h"
#include "util/reason.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400, NS_PER_S = 1000000000, NS_PER_MS = 1000000, MS_PER_S = 1000 };

/* 9999-12-31T23:59:59.999Z: the last date four digits can write. */
static const int64_t last_ms = INT64_C(253402300799999);

const char timeform_list[] =
    "2026-11-24T12:00:00Z (a fraction of 1 to 9 digits, an offset as +02:00), 2026-11-24T12:00Z, "
    "2026-11-24, @1795521600, -90s, -15m, -2h, -7d, -4w, now, today, yesterday, 09:00, "
    "@GMT-2026.11.24-12.00.00";

/* ---- calendar ---- */

struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second; /* month and day from 1 */
};

static bool year_is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static unsigned month_days(int64_t year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && year_is_leap(year));
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* 0 .. b-1, also for a below 0. */
static unsigned floor_mod(int64_t a, unsigned b)
{
    int64_t rest = a % b;
    return (unsigned)(rest < 0 ? rest + b : rest);
}

/* Days since 1970-01-01. The year is counted from March, so that the leap day is its last; 400 years are an
 * era. */
static int64_t days_of(const struct civil *c)
{
    int64_t y = c->year - (c->month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((int64_t)c->month + (c->month > 2 ? -3 : 9)) + 2) / 5 + c->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_of_days(int64_t days, struct civil *c)
{
    days += 719468;
    int64_t era = floor_div(days, 146097);
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    c->day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    c->month = (unsigned)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    c->year = year_of_era + era * 400 + (c->month <= 2);
}

static int64_t seconds_of(const struct civil *c)
{
    return days_of(c) * DAY_S + c->hour * 3600 + c->minute * 60 + c->second;
}

static struct civil civil_of_seconds(int64_t sec)
{
    struct civil c;
    unsigned rest = floor_mod(sec, DAY_S);
    civil_of_days(floor_div(sec, DAY_S), &c);
    c.hour = rest / 3600;
    c.minute = rest / 60 % 60;
    c.second = rest % 60;
    return c;
}

/* ---- parts ---- */

static bool take_char(const char **at, char c)
{
    if (**at != c)
        return false;
    ++*at;
    return true;
}

static bool take_digits(const char **at, int count, unsigned *ret)
{
    unsigned v = 0;
    for (int i = 0; i < count; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (unsigned)(c - '0');
    }
    *at += count;
    *ret = v;
    return true;
}

enum number { NUMBER_NONE, NUMBER_READ, NUMBER_TOO_LARGE };

/* A run of digits, consumed whole also when it is too large. */
static enum number take_number(const char **at, int64_t *ret)
{
    if (**at < '0' || **at > '9')
        return NUMBER_NONE;
    int64_t v = 0;
    bool overflow = false;
    for (; **at >= '0' && **at <= '9'; ++*at)
        overflow |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, **at - '0', &v);
    *ret = v;
    return overflow ? NUMBER_TOO_LARGE : NUMBER_READ;
}

/* YYYY-MM-DD with the given separator; real dates only. */
static bool take_date(const char **at, char separator, struct civil *c)
{
    unsigned year;
    if (!take_digits(at, 4, &year) || !take_char(at, separator) || !take_digits(at, 2, &c->month) ||
        !take_char(at, separator) || !take_digits(at, 2, &c->day))
        return false;
    c->year = year;
    return c->month >= 1 && c->month <= 12 && c->day >= 1 && c->day <= month_days(c->year, c->month);
}

static bool take_hour_minute(const char **at, char separator, struct civil *c)
{
    return take_digits(at, 2, &c->hour) && take_char(at, separator) && take_digits(at, 2, &c->minute) &&
           c->hour <= 23 && c->minute <= 59;
}

static bool take_second(const char **at, char separator, struct civil *c)
{
    return take_char(at, separator) && take_digits(at, 2, &c->second) && c->second <= 59;
}

/* ".d" to ".ddddddddd", or nothing; false for a point without digits or with more than nine. */
static bool take_fraction(const char **at, uint32_t *ret_nsec)
{
    uint32_t nsec = 0, unit = NS_PER_S;
    if (take_char(at, '.')) {
        for (; **at >= '0' && **at <= '9'; ++*at) {
            unit /= 10;
            if (!unit)
                return false;
            nsec += (uint32_t)(**at - '0') * unit;
        }
        if (unit == NS_PER_S)
            return false;
    }
    *ret_nsec = nsec;
    return true;
}

/* "Z" or "+hh:mm" or "-hh:mm": seconds east of Greenwich. */
static bool take_offset(const char **at, int *ret_seconds)
{
    if (take_char(at, 'Z')) {
        *ret_seconds = 0;
        return true;
    }
    int sign = **at == '-' ? -1 : 1;
    struct civil c;
    if ((!take_char(at, '+') && !take_char(at, '-')) || !take_hour_minute(at, ':', &c))
        return false;
    *ret_seconds = sign * (int)(c.hour * 3600 + c.minute * 60);
    return true;
}

enum seconds_rule { SECONDS_OPTIONAL, SECONDS_REQUIRED };

/* The whole text is an instant of ISO 8601; *ret_year is the year as written. */
static bool read_instant(const char *at, enum seconds_rule rule, struct instant *ret, int64_t *ret_year)
{
    struct civil c = {0};
    uint32_t nsec = 0;
    int offset;
    if (!take_date(&at, '-', &c) || !take_char(&at, 'T') || !take_hour_minute(&at, ':', &c))
        return false;
    if ((rule == SECONDS_REQUIRED || *at == ':') &&
        (!take_second(&at, ':', &c) || !take_fraction(&at, &nsec)))
        return false;
    if (!take_offset(&at, &offset) || *at)
        return false;
    *ret = (struct instant){.sec = seconds_of(&c) - offset, .nsec = nsec};
    *ret_year = c.year;
    return true;
}

static bool read_day(const char *at, struct instant *ret)
{
    struct civil c = {0};
    if (!take_date(&at, '-', &c) || *at)
        return false;
    *ret = (struct instant){.sec = seconds_of(&c)};
    return true;
}

/* Seconds of a unit out of `allowed`; 0 for none of them. S3: a year is 365 days. */
static int64_t unit_seconds(char unit, const char *allowed)
{
    if (!unit || !strchr(allowed, unit))
        return 0;
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return DAY_S;
    case 'w':
        return 7 * DAY_S;
    default:
        return INT64_C(365) * DAY_S;
    }
}

/* N and one unit out of `allowed`, to the end of the text. -EINVAL, -ERANGE. */
static int read_length(const char *at, const char *allowed, int64_t *ret_seconds)
{
    int64_t n;
    enum number got = take_number(&at, &n);
    int64_t unit = unit_seconds(*at, allowed);
    if (got == NUMBER_NONE || !unit || at[1])
        return -EINVAL;
    if (got == NUMBER_TOO_LARGE || __builtin_mul_overflow(n, unit, ret_seconds))
        return -ERANGE;
    return 0;
}

/* ---- TIME ---- */

static bool read_unix(const char *at, struct instant *ret)
{
    return take_char(&at, '@') && take_number(&at, &ret->sec) == NUMBER_READ &&
           take_fraction(&at, &ret->nsec) && !*at;
}

static bool read_samba(const char *at, struct instant *ret)
{
    static const char prefix[] = "@GMT-";
    struct civil c = {0};
    if (strncmp(at, prefix, sizeof prefix - 1) != 0)
        return false;
    at += sizeof prefix - 1;
    if (!take_date(&at, '.', &c) || !take_char(&at, '-') || !take_hour_minute(&at, '.', &c) ||
        !take_second(&at, '.', &c) || *at)
        return false;
    *ret = (struct instant){.sec = seconds_of(&c)};
    return true;
}

static bool read_absolute(const char *text, struct instant *ret)
{
    int64_t year;
    return read_instant(text, SECONDS_OPTIONAL, ret, &year) || read_day(text, ret) || read_unix(text, ret) ||
           read_samba(text, ret);
}

static bool read_ago(const char *at, struct instant now, struct instant *ret)
{
    int64_t seconds;
    *ret = now;
    return take_char(&at, '-') && read_length(at, "smhdw", &seconds) == 0 &&
           !__builtin_sub_overflow(now.sec, seconds, &ret->sec);
}

/* A time of day in the machine's zone, days_back days before the day of now. */
static bool local_time(struct instant now, int days_back, unsigned hour, unsigned minute, struct instant *ret)
{
    struct tm tm;
    time_t at = now.sec;
    tzset();
    if (!localtime_r(&at, &tm))
        return false;
    tm.tm_mday -= days_back;
    tm.tm_hour = (int)hour;
    tm.tm_min = (int)minute;
    tm.tm_sec = 0;
    tm.tm_isdst = -1;
    *ret = (struct instant){.sec = mktime(&tm)};
    return true;
}

static bool read_time_of_day(const char *at, struct instant now, struct instant *ret)
{
    struct civil c;
    if (!take_hour_minute(&at, ':', &c) || *at || !local_time(now, 0, c.hour, c.minute, ret))
        return false;
    return ret->sec <= now.sec || local_time(now, 1, c.hour, c.minute, ret);
}

static bool read_relative(const char *text, struct instant now, struct instant *ret)
{
    if (strcmp(text, "now") == 0) {
        *ret = now;
        return true;
    }
    if (strcmp(text, "today") == 0)
        return local_time(now, 0, 0, 0, ret);
    if (strcmp(text, "yesterday") == 0)
        return local_time(now, 1, 0, 0, ret);
    return read_ago(text, now, ret) || read_time_of_day(text, now, ret);
}

int timeform_parse(const char *text, struct instant now, struct instant *ret, bool *ret_relative,
                   struct reason *reason)
{
    struct instant at;
    bool relative = false;
    if (!read_absolute(text, &at)) {
        relative = true;
        if (!read_relative(text, now, &at))
            return reason_fail(reason, EINVAL, "'%.64s' is not a time; accepted: %s", text, timeform_list);
    }
    if (at.sec > now.sec || (at.sec == now.sec && at.nsec > now.nsec))
        return reason_fail(reason, ERANGE, "'%.64s' lies in the future; a past time is needed: %s", text,
                           timeform_list);
    *ret = at;
    *ret_relative = relative;
    return 0;
}

/* ---- lock dates ---- */

int timeform_lock_date(const char *text, int64_t *ret_ms)
{
    struct instant at;
    int64_t year;
    if (!read_instant(text, SECONDS_REQUIRED, &at, &year) || year < 1970 || at.sec < 0 ||
        at.sec > last_ms / MS_PER_S)
        return -EINVAL;
    int64_t ms = at.sec * MS_PER_S + (at.nsec + NS_PER_MS - 1) / NS_PER_MS;
    /* The last millisecond rounds up into a year that cannot be written (.NET's DateTime.MaxValue does this).
     */
    *ret_ms = ms > last_ms ? last_ms : ms;
    return 0;
}

int timeform_lock_value(const char *text, int64_t *ret_ms, bool *ret_relative)
{
    struct instant at;
    int64_t ms;
    bool relative = *text == '+';
    if (relative) {
        int64_t seconds;
        if (read_length(text + 1, "smhdwy", &seconds) < 0 || __builtin_mul_overflow(seconds, MS_PER_S, &ms))
            return -EINVAL;
    } else if (read_day(text, &at)) {
        if (at.sec < 0)
            return -EINVAL;
        ms = at.sec * MS_PER_S;
    } else if (timeform_lock_date(text, &ms) < 0) {
        return -EINVAL;
    }
    *ret_ms = ms;
    *ret_relative = relative;
    return 0;
}

int timeform_duration(const char *text, int64_t *ret_seconds)
{
    int64_t seconds;
    const char *at = text;
    enum number got = take_number(&at, &seconds);
    if (*at || got == NUMBER_NONE) {
        int r = read_length(text, "smhdwy", &seconds);
        if (r < 0)
            return r;
    } else if (got == NUMBER_TOO_LARGE) {
        return -ERANGE;
    }
    *ret_seconds = seconds;
    return 0;
}

/* ---- writing ---- */

static int format_second(int64_t sec, char *out, size_t size)
{
    struct civil c = civil_of_seconds(sec);
    return snprintf(out, size, "%04lld-%02u-%02uT%02u:%02u:%02u", (long long)c.year, c.month, c.day, c.hour,
                    c.minute, c.second);
}

void timeform_format_ms(int64_t ms, char out[40])
{
    int n = format_second(floor_div(ms, MS_PER_S), out, 40);
    snprintf(out + n, 40 - (size_t)n, ".%03uZ", floor_mod(ms, MS_PER_S));
}

void timeform_format_ns(int64_t sec, uint32_t nsec, char out[48])
{
    int n = format_second(sec, out, 48);
    snprintf(out + n, 48 - (size_t)n, ".%09uZ", nsec);
}

int timeform_parse_ns(const char *text, size_t len, struct instant *ret)
{
    enum { FORM_CHARS = sizeof "2026-11-24T12:00:00.123456789Z" - 1 };
    char copy[FORM_CHARS + 1];
    int64_t year;
    if (len != FORM_CHARS || text[19] != '.' || text[FORM_CHARS - 1] != 'Z' || memchr(text, '\0', len))
        return -EINVAL;
    memcpy(copy, text, FORM_CHARS);
    copy[FORM_CHARS] = '\0';
    return read_instant(copy, SECONDS_REQUIRED, ret, &year) ? 0 : -EINVAL;
}
