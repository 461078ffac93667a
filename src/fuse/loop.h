/* SPDX-License-Identifier: GPL-3.0-or-later
 * The session's threads; used by fuse_front.c in the place of libfuse's own loop. */
#ifndef HOLDFS_FUSE_LOOP_H
#define HOLDFS_FUSE_LOOP_H

#include "fuse/front.h"

/* Serves with `count` threads, of which `warm` keep their buffer of 1 MiB while they wait, until the session
 * exits: by unmount, or by fuse_session_exit() and a signal to this thread. 0 or -errno. */
int loop_run(struct fuse_session *session, unsigned count, unsigned warm);

/* A handler is about to wait for something that the kernel does only when other requests are answered: from
 * here on another thread takes them. Fine in any thread. */
void loop_let_others_lead(void);

#endif
