/* SPDX-License-Identifier: GPL-3.0-or-later
 * What a PATH on a command line means: MNT/BUCKET/KEY inside a mount, or STORE/BUCKET/KEY under a store's
 * directory. */
#ifndef HOLDFS_CMD_TARGET_H
#define HOLDFS_CMD_TARGET_H

#include <stdio.h>
#include "util/reason.h"

#include <limits.h>
#include <stdbool.h>

struct target {
    char store[PATH_MAX]; /* absolute */
    char mount[PATH_MAX]; /* the mount point PATH lies in, or "" */
    char path[PATH_MAX];  /* below the mount's or the store's root, without slashes at the ends: "b/dir/f", or
                             "" */
};

/* -ENOENT: neither a mount nor a store. PATH itself need not exist, and is not followed when it is a symbolic
 * link. */
int target_find(const char *path, struct target *ret, struct reason *reason);
/* The part that reads the lines of proc_pid_mountinfo(5): 1 when `path` (absolute) lies in a holdfs mount, 0 when not. */
int target_in_mounts(FILE *mountinfo, const char *path, struct target *ret);

/* Calls fn for each holdfs mount of this machine, until it returns non-zero; returns that. */
int target_each_mount(int (*fn)(void *arg, const char *mount, const char *store), void *arg);

#endif
