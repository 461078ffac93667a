/* SPDX-License-Identifier: GPL-3.0-or-later
 * The mode of what is made in a directory, umask and default ACL considered. The kernel leaves the umask to
 * us (FUSE_CAP_DONT_MASK) because only we know the default ACL. */
#ifndef HOLDFS_FUSE_NAMES_H
#define HOLDFS_FUSE_NAMES_H

#include "fuse/front.h"

uint32_t names_mode(struct call *c, uint64_t dir, mode_t mode);

#endif
