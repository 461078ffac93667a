/* SPDX-License-Identifier: GPL-3.0-or-later
 * Connections that do not get on: one that has not sent the head of its request within a time is closed, however slowly it goes on
 * sending (s3-api.md §15). libmicrohttpd alone ends those that are silent. */
#ifndef HOLDFS_S3_REAPER_H
#define HOLDFS_S3_REAPER_H

struct reaper;
struct watched; /* one connection */

/* tick is called about once a second, from the reaper's thread. */
int reaper_start(void (*tick)(void *arg), void *arg, struct reaper **ret); /* -ENOMEM, -EAGAIN */
void reaper_stop(struct reaper *r); /* NULL is accepted */
struct watched *reaper_add(struct reaper *r, int fd); /* a connection came; NULL: no memory, it is not watched */
void reaper_remove(struct reaper *r, struct watched *w); /* it went. NULL is accepted, here and below */
void reaper_busy(struct reaper *r, struct watched *w);   /* a request's head is whole */
void reaper_idle(struct reaper *r, struct watched *w);   /* its answer is out: the next head may come, or not */

#endif
