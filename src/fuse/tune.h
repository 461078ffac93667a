/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the kernel lets root tune for one mount beyond the FUSE protocol: read-ahead and the share of dirty
 * pages. */
#ifndef HOLDFS_FUSE_TUNE_H
#define HOLDFS_FUSE_TUNE_H

/* Best effort; asks nothing of the mounted tree. */
void tune_mount(const char *mountpoint);

#endif
