/* SPDX-License-Identifier: GPL-3.0-or-later
 * The session's threads; used by fuse_front.c in the place of libfuse's own loop. */
#ifndef HOLDFS_FUSE_LOOP_H
#define HOLDFS_FUSE_LOOP_H

#include "fuse/front.h"

/* Serves with `count` threads until the session exits: by unmount, or by fuse_session_exit() and a signal to
 * this thread. 0 or -errno. */
int loop_run(struct fuse_session *session, unsigned count);

#endif
