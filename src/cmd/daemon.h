/* SPDX-License-Identifier: GPL-3.0-or-later
 * Becoming a daemon: the parent waits until the work is usable and returns its outcome; systemd is told the
 * same. */
#ifndef HOLDFS_CMD_DAEMON_H
#define HOLDFS_CMD_DAEMON_H

#include <stdbool.h>

struct daemon {
    bool foreground;
    int outcome; /* pipe to the waiting parent, or -1 */
};

/* Forks unless `foreground`, before any thread exists. In the child (or the foreground): -1, go on. In the
 * parent: the status to exit with, once the child is ready (0) or has failed (its own; it has said why on
 * stderr). */
int daemon_begin(struct daemon *d, bool foreground);
/* The terminal is not needed any more (secrets were asked). */
void daemon_detach(struct daemon *d);
/* Usable: frees the parent, moves the log to syslog when in the background, tells systemd. */
void daemon_ready(struct daemon *d);
/* Not usable: the parent exits with this status. */
void daemon_failed(struct daemon *d, int status);
void daemon_stopping(void);

/* Keeps memory out of core dumps and other processes' sight while secrets are in it, and back. */
void daemon_hide_memory(bool hide);

#endif
