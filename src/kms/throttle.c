/* SPDX-License-Identifier: GPL-3.0-or-later
 * The token bucket of throttle.h. */
#include "kms/throttle.h"

static const int64_t TOKEN = 1000000000; /* so that ns times rate is a level */

void throttle_set(struct throttle *t, uint32_t rate, uint32_t burst, int64_t now_ns)
{
    if (!burst)
        burst = rate;
    *t = (struct throttle){.rate = rate, .burst = burst, .level = (int64_t)burst * TOKEN, .at_ns = now_ns};
}

int64_t throttle_take(struct throttle *t, int64_t now_ns)
{
    if (!t->rate)
        return 0;
    int64_t full = (int64_t)t->burst * TOKEN, passed = now_ns > t->at_ns ? now_ns - t->at_ns : 0;
    t->at_ns = now_ns;
    if (passed >= (full - t->level) / (int64_t)t->rate)
        t->level = full;
    else
        t->level += passed * (int64_t)t->rate;
    if (t->level >= TOKEN) {
        t->level -= TOKEN;
        return 0;
    }
    return (TOKEN - t->level + (int64_t)t->rate - 1) / (int64_t)t->rate;
}
