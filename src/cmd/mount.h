/* SPDX-License-Identifier: GPL-3.0-or-later
 * Mounting: the command, the mount helper, and the options both take (mount.md §1). */
#ifndef HOLDFS_CMD_MOUNT_H
#define HOLDFS_CMD_MOUNT_H

#include "cmd/secrets.h"
#include "cmd/serving.h"
#include "fuse/fuse_front.h"

#include <stdint.h>
#include <stdio.h>

/* Whether the program was called as mount.fuse.holdfs or mount.holdfs. */
bool mount_is_helper(const char *argv0);
/* STORE MNT [-sfnv] [-N NS] [-t TYPE] [-o OPTIONS], as mount(8) and mount.fuse3 call it. Exits 32 on failure,
 * as mount(8) has it. `by_mount_fuse3`: called as `holdfs STORE MNT -o ...`; mount.fuse3 adds suid and dev by
 * itself when root mounts, and they are not taken for what root said. */
int mount_helper(int argc, char **argv, bool by_mount_fuse3);

enum { MOUNT_CUSTOMER_KEYS = 16 };

/* Everything -o says. The strings lie in `text`. */
struct mount_options {
    struct fuse_front_config fuse; /* but engine, mountpoint and source */
    struct serving serving;
    struct secret_source secret;
    bool new_bucket_unversioned, sync_close, accept_rollback;
    const char *mfa_code; /* for accept_rollback; NULL: none */
    uint64_t min_seq; /* 0: any */
    int64_t settle_s; /* -1: the store's default */
    uint64_t cache_bytes;
    const char *uid_map; /* NULL: none */
    const char *sse, *sse_kms_key, *sse_bucket_key; /* NULL: not given */
    unsigned kms_wait_s;
    const char *sse_c_keys[MOUNT_CUSTOMER_KEYS]; /* "BUCKET:FILE" */
    size_t sse_c_key_count;
    char **text; /* owned copies of the lists that were given */
    size_t text_count;
};

void mount_options_init(struct mount_options *o);
void mount_options_done(struct mount_options *o);
/* Adds a list "ro,settle=5,...". A comma in a value is written `\,`. -EINVAL names an unknown option;
 * `sloppy` passes over it. */
int mount_options_add(struct mount_options *o, const char *list, bool sloppy, struct reason *reason);
int min_seq_read(const char *value, uint64_t *ret, struct reason *reason); /* of --min-seq */
/* What follows from several options together. */
int mount_options_check(struct mount_options *o, struct reason *reason);
void mount_options_manual(FILE *f); /* roff: the OPTIONS of mount.fuse.holdfs(8) */

#endif
