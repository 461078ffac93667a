/* SPDX-License-Identifier: GPL-3.0-or-later
 * A bounded cache of file descriptors for reading segments; private to the local store. */
#ifndef HOLDFS_BLOCK_LOCAL_FDS_H
#define HOLDFS_BLOCK_LOCAL_FDS_H

#include <stdint.h>

/* 64: enough for the segments that concurrent readers touch, far below the usual limit of 1024 descriptors. */
enum { LOCAL_FDS_COUNT = 64 };

struct local_fds;

struct local_fds *local_fds_new(int dir_fd); /* dir_fd is borrowed; NULL: no memory */
void local_fds_free(struct local_fds *c);

/* A descriptor of the segment, held until local_fds_put; `slot` is -1 for one that did not fit into the cache. */
struct local_fd {
    int fd, slot;
};
int local_fds_get(struct local_fds *c, uint32_t segment, struct local_fd *ret);
void local_fds_put(struct local_fds *c, struct local_fd held);
/* The segment's file is gone: the descriptor is closed as soon as nobody holds it. */
void local_fds_forget(struct local_fds *c, uint32_t segment);

#endif
