/* SPDX-License-Identifier: GPL-3.0-or-later
 * Threads that do what may wait (disk, fsync, key services), so that no connection's thread does. They come as they are needed. */
#ifndef HOLDFS_S3_WORKERS_H
#define HOLDFS_S3_WORKERS_H

#include <stdbool.h>

struct workers;

/* One piece of work; it stands in memory of who submits it until it has run. */
struct job {
    struct job *next;
    void (*run)(struct job *job);
};

int workers_new(unsigned most, struct workers **ret); /* -ENOMEM */
bool workers_submit(struct workers *w, struct job *job); /* false: stopped, it will not run */
void workers_stop(struct workers *w); /* what was submitted runs to its end; nothing is taken any more. NULL is accepted */
void workers_free(struct workers *w); /* stops first. NULL is accepted */

#endif
