/* SPDX-License-Identifier: GPL-3.0-or-later
 * The device number of a mount, from /proc/self/mountinfo: a stat(2) of the mount point would ask the daemon
 * itself. */
#ifndef HOLDFS_FUSE_MOUNTINFO_H
#define HOLDFS_FUSE_MOUNTINFO_H

#include <sys/types.h>

/* The topmost mount exactly at `mountpoint` (absolute, no symbolic links). -ENOENT when there is none. */
int mountinfo_dev(const char *mountpoint, dev_t *ret);

#endif
