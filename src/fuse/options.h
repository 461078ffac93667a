/* SPDX-License-Identifier: GPL-3.0-or-later
 * What is told to libfuse and the kernel at mounting, and what can be known before to fail. */
#ifndef HOLDFS_FUSE_OPTIONS_H
#define HOLDFS_FUSE_OPTIONS_H

#include "fuse/front.h"
#include "fuse/fuse_front.h"

#include <fuse_opt.h>

/* Arguments for fuse_session_new; free with fuse_opt_free_args(), also after a failure. From here on
 * libfuse's words go to the log. */
int options_for_libfuse(const struct fuse_front_config *config, struct fuse_args *ret);
/* /dev/fuse is there, the mount point is a directory, and an empty one unless allowed. */
int options_check(const char *mountpoint, bool nonempty, struct reason *reason);
/* libfuse's last complaint, for a reason. */
const char *options_complaint(void);

#endif
