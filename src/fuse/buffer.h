/* SPDX-License-Identifier: GPL-3.0-or-later
 * One answer buffer of FRONT_REQUEST_BYTES per thread, so that reading allocates nothing. */
#ifndef HOLDFS_FUSE_BUFFER_H
#define HOLDFS_FUSE_BUFFER_H

/* This thread's buffer, freed when the thread ends; NULL when out of memory. */
char *buffer_of_thread(void);

#endif
