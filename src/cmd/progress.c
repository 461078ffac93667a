/* SPDX-License-Identifier: GPL-3.0-or-later
 * The progress line; see progress.h. */
#include "cmd/progress.h"
#include "util/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { PROGRESS_WAIT_NS = 1000000000, PROGRESS_EVERY_NS = 100000000 };

void progress_begin(struct progress *p)
{
    *p = (struct progress){.started_ns = clock_mono_ns()};
}

void progress_show(struct progress *p, const char *what, uint64_t done, uint64_t total)
{
    int64_t now = clock_mono_ns();
    if (now - p->started_ns < PROGRESS_WAIT_NS || now - p->shown_ns < PROGRESS_EVERY_NS ||
        !isatty(STDERR_FILENO))
        return;
    p->shown_ns = now;
    p->visible = true;
    double seconds = (double)(now - p->started_ns) / 1e9;
    double rate = (double)done / seconds;
    fprintf(stderr, "\r\033[K%s: %" PRIu64, what, done);
    if (total)
        fprintf(stderr, " of %" PRIu64 " (%d %%)", total, (int)(100.0 * (double)done / (double)total));
    fprintf(stderr, ", %.0f/s", rate);
    if (total > done && rate > 0)
        fprintf(stderr, ", %.0f s left", (double)(total - done) / rate);
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->visible)
        fputs("\r\033[K", stderr);
    p->visible = false;
}
