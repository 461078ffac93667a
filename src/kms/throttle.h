/* SPDX-License-Identifier: GPL-3.0-or-later
 * A token bucket: how often a key may be asked for (encryption.md §5.5). A plain value; whoever owns it guards it. */
#ifndef HOLDFS_KMS_THROTTLE_H
#define HOLDFS_KMS_THROTTLE_H

#include <stdint.h>

struct throttle {
    uint32_t rate;  /* a second; 0: no limit */
    uint32_t burst; /* at once */
    int64_t level;  /* billionths of a token */
    int64_t at_ns;  /* when that was */
};
void throttle_set(struct throttle *t, uint32_t rate, uint32_t burst, int64_t now_ns); /* full */
/* Takes one token: 0, or how many ns until there is one. */
int64_t throttle_take(struct throttle *t, int64_t now_ns);

#endif
