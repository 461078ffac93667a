/* SPDX-License-Identifier: GPL-3.0-or-later
 * The FUSE front: shows an open engine as a mounted tree (libfuse3's low-level API). It translates, the
 * engine decides.
 *
 * Order of calls: engine_open, fuse_front_mount, fuse_front_loop (returns at unmount or signal),
 * fuse_front_free, engine_close. Threads are made by engine_open already, so a command that goes to the
 * background forks before it; its parent waits for what `ready` tells. */
#ifndef HOLDFS_FUSE_FUSE_FRONT_H
#define HOLDFS_FUSE_FUSE_FRONT_H

#include "util/reason.h"

#include <stdbool.h>

struct engine;
struct fuse_front;

struct fuse_front_config {
    struct engine *engine;
    const char *mountpoint;
    const char
        *source; /* absolute path of the store: what mountinfo shows as source, with type fuse.holdfs */
    const char *bucket;        /* this bucket's root is the mount's root; NULL: all buckets */
    const char *versions_name; /* NULL: ".versions" */
    const char *at_name;       /* NULL: ".at" */
    bool ro, allow_other, allow_root, auto_unmount, suid, dev, noexec, nonempty;
    bool shared; /* callers of several principals: cache no entries of buckets (mount.md section 8) */
    bool list_xattrs_all;      /* listxattr names computed and lock attributes too */
    unsigned max_idle_threads; /* waiting threads that keep their buffer; 0: default */
    /* Called once, from a thread of the loop, when the mount is usable. May be NULL. */
    void (*ready)(void *arg);
    void *ready_arg;
};

/* Mounts. All strings are copied. -ENOTDIR, -ENOTEMPTY (mount point), -ENOENT (no such bucket, no /dev/fuse),
 * -EIO. */
int fuse_front_mount(const struct fuse_front_config *config, struct fuse_front **ret, struct reason *reason);

/* Serves until the tree is unmounted, fuse_front_stop() is called or SIGTERM, SIGINT or SIGHUP comes; then
 * what the kernel still held back is written and the tree unmounted, within 8 seconds. 0, or -errno when the
 * connection broke. */
int fuse_front_loop(struct fuse_front *front);

/* Ends the loop as SIGTERM does. Safe in any thread and in a signal handler. */
void fuse_front_stop(struct fuse_front *front);

/* Unmounts if still mounted and frees. After it no call into the engine is made. NULL is accepted. */
void fuse_front_free(struct fuse_front *front);

#endif
