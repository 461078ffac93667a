/* SPDX-License-Identifier: GPL-3.0-or-later
 * The compliance clock's arithmetic (retention.md §3). Pure: readings and states are values. Private to src/engine. */
#ifndef HOLDFS_ENGINE_COMPLIANCE_H
#define HOLDFS_ENGINE_COMPLIANCE_H

#include "util/bytes.h"
#include "util/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct compliance_state {
    int64_t c_sec;         /* C: trusted elapsed time, dated once at init */
    uint32_t c_nsec;
    int64_t offset_ns;     /* O: T = C + O is the date the store believes */
    uint64_t approvals;    /* times O was raised */
    struct clock_reading last;
    int64_t suspended_ns;  /* highest BOOTTIME - MONOTONIC seen in this boot: two reads apart jitter, suspend only adds */
};

/* A clock that starts at `wall_ns`. */
void compliance_state_init(struct compliance_state *s, int64_t wall_ns, const struct clock_reading *now);
/* The tick: C advances by what the machine's clocks agree on since s->last. */
void compliance_state_tick(struct compliance_state *s, const struct clock_reading *now);
/* A store that was closed at s->last is opened at `now`: the gap counts in the same boot and the initial time namespace only. */
void compliance_state_open(struct compliance_state *s, const struct clock_reading *now);
/* The `wall` kind: C follows a wall clock that runs ahead of it. */
void compliance_state_follow(struct compliance_state *s, int64_t wall_ns);

/* The `attested` kind: C rises to that second, which time authorities have proven; it never falls. */
void compliance_state_raise(struct compliance_state *s, int64_t c_s);

/* T becomes wall_ns: O changes, C does not, and with it no lock that is set. */
void compliance_state_approve(struct compliance_state *s, int64_t wall_ns);

int64_t compliance_state_date_ns(const struct compliance_state *s); /* T, saturated */
/* The second of C at which a lock shown until `until_ms` ends: C + (R - T), rounded up, saturated. */
int64_t compliance_state_hold_s(const struct compliance_state *s, int64_t until_ms);

void compliance_state_encode(const struct compliance_state *s, struct bytes *out);
int compliance_state_decode(const void *buf, size_t len, struct compliance_state *ret); /* -EBADMSG */

#endif
