/* SPDX-License-Identifier: GPL-3.0-or-later
 * Ending the loop: signals, and handing over what the kernel still holds before the connection goes. */
#ifndef HOLDFS_FUSE_STOP_H
#define HOLDFS_FUSE_STOP_H

struct fuse_front;
struct stopper;

/* Starts the thread that stops, and takes SIGTERM, SIGINT and SIGHUP. Call from the thread that loops. */
int stopper_start(struct fuse_front *front, struct stopper **ret);
/* Asks to stop; async-signal-safe. */
void stopper_ask(struct stopper *s);
/* The loop has ended. */
void stopper_loop_ended(struct stopper *s);
/* Cuts the connection if the tree is still mounted; the loop has ended. */
void stopper_cut(struct stopper *s);
/* Gives the signals back and waits for the threads; after the session was unmounted. NULL is accepted. */
void stopper_free(struct stopper *s);

#endif
