/* SPDX-License-Identifier: GPL-3.0-or-later
 * The progress line of a long command: done, total, rate, time left; on a terminal, once it takes longer than
 * a second. */
#ifndef HOLDFS_CMD_PROGRESS_H
#define HOLDFS_CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    int64_t started_ns, shown_ns; /* 0: not yet */
    bool visible;
};

void progress_begin(struct progress *p);
void progress_show(struct progress *p, const char *what, uint64_t done, uint64_t total);
void progress_end(struct progress *p); /* wipes the line */

#endif
