/* SPDX-License-Identifier: GPL-3.0-or-later
 * Written instants: the TIME forms of retention.md §6 and the lock dates of §2.2, §2.6. Pure: "now" is an argument. */
#ifndef HOLDFS_UTIL_TIMEFORM_H
#define HOLDFS_UTIL_TIMEFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reason;

struct instant {
    int64_t sec;   /* since 1970, may be negative */
    uint32_t nsec; /* 0..999999999 */
};

static inline struct instant instant_of_ns(int64_t ns) /* since 1970, not negative */
{
    return (struct instant){ns / 1000000000, (uint32_t)(ns % 1000000000)};
}

/* Any TIME form; names relative to `now` (times of day and days use the machine's zone). *ret_relative: it was meant relative
 * to now (must not be cached). -EINVAL for no form or an impossible date, -ERANGE for the future; the reason lists the forms. */
int timeform_parse(const char *text, struct instant now, struct instant *ret, bool *ret_relative, struct reason *reason);
extern const char timeform_list[]; /* the forms, for messages */

/* A lock date as the S3 header has it: YYYY-MM-DDThh:mm:ss[.1-9 digits](Z|+hh:mm|-hh:mm), real calendar dates of the years
 * 1970-9999; finer than a millisecond rounds up. -EINVAL. */
int timeform_lock_date(const char *text, int64_t *ret_ms);
/* The mount's lock date: the above, YYYY-MM-DD (00:00Z), or +N with s m h d w y: then *ret_relative and *ret_ms is a length. */
int timeform_lock_value(const char *text, int64_t *ret_ms, bool *ret_relative);

/* A length of time: N with an optional unit s m h d w y (none: seconds). -EINVAL, -ERANGE. */
int timeform_duration(const char *text, int64_t *ret_seconds);

void timeform_format_ms(int64_t ms, char out[40]);            /* 2027-01-01T00:00:00.000Z */
void timeform_format_ns(int64_t sec, uint32_t nsec, char out[48]); /* 2026-11-24T12:00:00.123456789Z */
/* Reads exactly the form above (a `.versions` name's first 30 characters); -EINVAL. */
int timeform_parse_ns(const char *text, size_t len, struct instant *ret);

#endif
