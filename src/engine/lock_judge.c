/* SPDX-License-Identifier: GPL-3.0-or-later
 * What a lock allows, as pure functions over values: the tables of retention.md §2.2-§2.4 and the written forms of §2.6. */
#include "engine/lock.h"
#include "util/limits.h"

#include <stdio.h>
#include <strings.h>

enum { SAME_DATE_MS = 1000 }; /* clients cut dates to seconds and then set them again: that shortens nothing */

static enum lock_answer same_mode_judge(const struct lock_state *current, int64_t until_ms, enum lock_answer earlier)
{
    if (until_ms == current->until_ms)
        return LOCK_SAME;
    if (until_ms > current->until_ms)
        return LOCK_ALLOWED;
    return current->until_ms - until_ms < SAME_DATE_MS ? LOCK_SAME : earlier;
}

enum lock_answer lock_change_judge(const struct lock_state *current, const struct lock_wanted *wanted)
{
    if (current->mode == LOCK_NONE || !current->in_force)
        return LOCK_ALLOWED;
    enum lock_answer otherwise = current->mode == LOCK_COMPLIANCE ? LOCK_NEVER : LOCK_NEEDS_BYPASS;
    /* Another mode needs the bypass even where it is the stricter one: S3 asks for it. */
    return wanted->mode == current->mode ? same_mode_judge(current, wanted->until_ms, otherwise) : otherwise;
}

enum lock_answer lock_delete_judge(const struct lock_state *current)
{
    if (current->hold == HOLD_ON)
        return LOCK_NEVER;
    if (current->mode == LOCK_NONE || !current->in_force)
        return LOCK_ALLOWED;
    return current->mode == LOCK_COMPLIANCE ? LOCK_NEVER : LOCK_NEEDS_BYPASS;
}

int lock_date_judge(const struct lock_wanted *wanted, int64_t t_ms, struct reason *reason)
{
    char now[40];
    timeform_format_ms(t_ms, now);
    if (wanted->until_ms <= t_ms)
        return reason_fail_s3(reason, EINVAL, "InvalidArgument",
                              "The retain until date must be in the future! (the store's clock stands at %s)", now);
    if (wanted->mode == LOCK_COMPLIANCE && wanted->until_ms - t_ms > (int64_t)LIMIT_COMPLIANCE_DAYS * 86400 * 1000)
        return reason_fail_s3(reason, ERANGE, "InvalidArgument",
                              "The retain until date is more than 100 years ahead; COMPLIANCE could never be undone");
    return 0;
}

const char *lock_mode_text(enum lock_mode mode)
{
    static const char *const names[] = {"", "GOVERNANCE", "COMPLIANCE"};
    return names[mode];
}

int lock_mode_parse(const char *text, size_t len, enum lock_mode *ret)
{
    for (enum lock_mode m = LOCK_GOVERNANCE; m <= LOCK_COMPLIANCE; m++) {
        const char *name = lock_mode_text(m);
        if (len == strlen(name) && strncasecmp(text, name, len) == 0) {
            *ret = m;
            return 0;
        }
    }
    return -EINVAL;
}

int lock_retention_parse(const char *text, int64_t t_ms, struct lock_wanted *ret, struct reason *reason)
{
    size_t mode_len = strcspn(text, " ");
    const char *date = text + mode_len + strspn(text + mode_len, " ");
    struct lock_wanted wanted;
    bool relative;
    if (lock_mode_parse(text, mode_len, &wanted.mode) < 0)
        return reason_fail_s3(reason, EINVAL, "InvalidArgument",
                              "a retention is written MODE DATE with the mode GOVERNANCE or COMPLIANCE, as GOVERNANCE +30d");
    if (timeform_lock_value(date, &wanted.until_ms, &relative) < 0)
        return reason_fail_s3(reason, EINVAL, "InvalidArgument",
                              "the date is no date: write 2027-01-01T00:00:00Z, 2027-01-01, or +N with s m h d w y");
    if (relative && __builtin_add_overflow(t_ms, wanted.until_ms, &wanted.until_ms))
        return reason_fail_s3(reason, ERANGE, "InvalidArgument", "the retention reaches beyond the year 9999");
    *ret = wanted;
    return 0;
}

int lock_hold_parse(const char *text, bool *ret, struct reason *reason)
{
    if (strcasecmp(text, "ON") && strcasecmp(text, "OFF"))
        return reason_fail_s3(reason, EINVAL, "InvalidArgument", "Legal Hold must be either of 'ON' or 'OFF'");
    *ret = strcasecmp(text, "ON") == 0;
    return 0;
}
