/* SPDX-License-Identifier: GPL-3.0-or-later
 * Telling the kernel that what it cached is no longer so. A notify sent from inside a request can deadlock
 * with the kernel, so callers queue and two threads send: one for names (it waits for locks of directories
 * that a request may hold), one for inodes (it waits for pages only, which the loop's other workers serve).
 */
#ifndef HOLDFS_FUSE_NOTIFY_H
#define HOLDFS_FUSE_NOTIFY_H

#include <stddef.h>
#include <stdint.h>

struct fuse_front;
struct notify;

int notify_new(struct fuse_front *front, struct notify **ret);
/* From now on nothing is queued and nobody waits any longer. */
void notify_stop(struct notify *n);
/* After the connection was cut and before its descriptor is closed, whose number might be another's then.
 * NULL is accepted. */
void notify_free(struct notify *n);

void notify_inode(struct notify *n, uint64_t ino);
void notify_entry(struct notify *n, uint64_t dir, const char *name, size_t len);
/* Returns when the kernel was told all that was queued before. Not from inside a request on a live directory,
 * whose lock the kernel holds. */
void notify_settle(struct notify *n);
/* Makes the kernel write the dirty pages of ino and waits. 0, -ECANCELED when the mount ends, -EBUSY when so
 * many requests wait that none would be left to take the pages. */
int notify_write_back(struct notify *n, uint64_t ino);

#endif
