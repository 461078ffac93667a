/* SPDX-License-Identifier: GPL-3.0-or-later
 * What in a bucket is locked now: asked before a whole bucket is deleted or moved away (retention.md §2.8). */
#include "engine/private.h"

int lock_search_row(void *arg, const struct version_row *row)
{
    struct lock_search *s = arg;
    if ((row->flags & (VERSION_REPLACED | VERSION_MARKER)) || (!row->lock_mode && row->legal_hold != HOLD_ON))
        return 0;
    struct version v;
    int r = version_decode(row, &v);
    if (r < 0)
        return r;
    if (!lock_in_force(s->e, &v)) {
        version_done(&v);
        return 0;
    }
    s->count++;
    if (v.lock_until_ms > s->latest_ms)
        s->latest_ms = v.lock_until_ms;
    s->hold |= v.legal_hold == HOLD_ON;
    if (s->found)
        version_done(&v);
    else
        s->first = v;
    s->found = true;
    return 0;
}
