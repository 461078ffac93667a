/* SPDX-License-Identifier: GPL-3.0-or-later
 * The compliance clock's arithmetic; see compliance.h and retention.md §3, whose names (dm, dr, ds) stand here. */
#include "engine/compliance.h"

#include <errno.h>
#include <string.h>

enum { NS_PER_S = 1000000000, NS_PER_MS = 1000000, CLOCK_FORMAT = 1, RAW_SLACK_DIVISOR = 2000 };

static int64_t saturate(__int128 v)
{
    if (v > INT64_MAX)
        return INT64_MAX;
    return v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

static int64_t elapsed(int64_t from, int64_t to)
{
    int64_t d;
    if (__builtin_sub_overflow(to, from, &d))
        return 0;
    return d > 0 ? d : 0;
}

static int64_t suspended(const struct clock_reading *r)
{
    int64_t d;
    return __builtin_sub_overflow(r->boot_ns, r->mono_ns, &d) ? 0 : d;
}

static void advance(struct compliance_state *s, __int128 ns)
{
    __int128 total = (__int128)s->c_sec * NS_PER_S + s->c_nsec + ns;
    __int128 sec = total / NS_PER_S;
    if (sec > INT64_MAX)
        return; /* C stays: locks never end early */
    s->c_sec = (int64_t)sec;
    s->c_nsec = (uint32_t)(total % NS_PER_S);
}

void compliance_state_init(struct compliance_state *s, int64_t wall_ns, const struct clock_reading *now)
{
    if (wall_ns < 0)
        wall_ns = 0;
    *s = (struct compliance_state){
        .c_sec = wall_ns / NS_PER_S,
        .c_nsec = (uint32_t)(wall_ns % NS_PER_S),
        .last = *now,
        .suspended_ns = suspended(now),
    };
}

void compliance_state_tick(struct compliance_state *s, const struct clock_reading *now)
{
    int64_t dm = elapsed(s->last.mono_ns, now->mono_ns);
    int64_t dr = elapsed(s->last.raw_ns, now->raw_ns);
    int64_t ds = elapsed(s->suspended_ns, suspended(now));
    __int128 most = (__int128)dr + dr / RAW_SLACK_DIVISOR; /* 500 ppm: the kernel's limit for honest correction */
    advance(s, (dm < most ? dm : most) + ds);
    s->suspended_ns += ds;
    s->last = *now;
}

void compliance_state_open(struct compliance_state *s, const struct clock_reading *now)
{
    bool same_boot = s->last.boot_id[0] && strcmp(s->last.boot_id, now->boot_id) == 0;
    if (same_boot && s->last.time_ns_initial && now->time_ns_initial) {
        compliance_state_tick(s, now);
        return;
    }
    s->last = *now;
    s->suspended_ns = suspended(now);
}

void compliance_state_follow(struct compliance_state *s, int64_t wall_ns)
{
    int64_t sec = wall_ns / NS_PER_S;
    uint32_t nsec = (uint32_t)(wall_ns % NS_PER_S);
    if (wall_ns < 0 || sec < s->c_sec || (sec == s->c_sec && nsec <= s->c_nsec))
        return;
    s->c_sec = sec;
    s->c_nsec = nsec;
}

void compliance_state_raise(struct compliance_state *s, int64_t c_s)
{
    if (c_s <= s->c_sec)
        return;
    s->c_sec = c_s;
    s->c_nsec = 0;
}

void compliance_state_approve(struct compliance_state *s, int64_t wall_ns)
{
    s->offset_ns = saturate((__int128)wall_ns - (__int128)s->c_sec * NS_PER_S - s->c_nsec);
    s->approvals++;
}

int64_t compliance_state_date_ns(const struct compliance_state *s)
{
    return saturate((__int128)s->c_sec * NS_PER_S + s->c_nsec + s->offset_ns);
}

int64_t compliance_state_hold_s(const struct compliance_state *s, int64_t until_ms)
{
    /* C + (R - T) is R - O: what C must reach does not depend on when the lock is set. */
    __int128 ns = (__int128)until_ms * NS_PER_MS - s->offset_ns;
    __int128 sec = ns / NS_PER_S;
    if (ns > 0 && ns % NS_PER_S)
        sec++;
    return saturate(sec);
}

void compliance_state_encode(const struct compliance_state *s, struct bytes *out)
{
    bytes_put_u8(out, CLOCK_FORMAT);
    bytes_put_u64(out, (uint64_t)s->c_sec);
    bytes_put_u32(out, s->c_nsec);
    bytes_put_u64(out, (uint64_t)s->offset_ns);
    bytes_put_u64(out, s->approvals);
    bytes_put_u64(out, (uint64_t)s->last.mono_ns);
    bytes_put_u64(out, (uint64_t)s->last.raw_ns);
    bytes_put_u64(out, (uint64_t)s->last.boot_ns);
    bytes_put_blob(out, s->last.boot_id, strlen(s->last.boot_id));
    bytes_put_u64(out, s->last.time_ns_inode);
    bytes_put_u8(out, s->last.time_ns_initial);
    bytes_put_u64(out, (uint64_t)s->suspended_ns);
}

int compliance_state_decode(const void *buf, size_t len, struct compliance_state *ret)
{
    struct reader r = reader_over(buf, len);
    struct compliance_state s = {0};
    uint8_t format = reader_u8(&r);
    s.c_sec = (int64_t)reader_u64(&r);
    s.c_nsec = reader_u32(&r);
    s.offset_ns = (int64_t)reader_u64(&r);
    s.approvals = reader_u64(&r);
    s.last.mono_ns = (int64_t)reader_u64(&r);
    s.last.raw_ns = (int64_t)reader_u64(&r);
    s.last.boot_ns = (int64_t)reader_u64(&r);
    size_t id_len;
    const uint8_t *id = reader_blob(&r, &id_len);
    s.last.time_ns_inode = reader_u64(&r);
    s.last.time_ns_initial = reader_u8(&r) == 1;
    s.suspended_ns = (int64_t)reader_u64(&r);
    if (!reader_finished(&r) || format != CLOCK_FORMAT || s.c_sec < 0 || s.c_nsec >= NS_PER_S ||
        id_len >= sizeof s.last.boot_id)
        return -EBADMSG;
    memcpy(s.last.boot_id, id, id_len);
    *ret = s;
    return 0;
}
