/* SPDX-License-Identifier: GPL-3.0-or-later
 * How a customer's key (SSE-C) gets to a mount: an ioctl on the bucket's directory, so that it crosses no socket and no file
 * (encryption.md §6). Shared with src/cmd. */
#ifndef HOLDFS_FUSE_KEY_IOCTL_H
#define HOLDFS_FUSE_KEY_IOCTL_H

#include <stdint.h>
#include <sys/ioctl.h>

enum key_ioctl_op { KEY_IOCTL_UNLOCK = 1, KEY_IOCTL_LOCK = 2, KEY_IOCTL_STATUS = 3 };
enum key_ioctl_flags { KEY_IOCTL_WRITE = 1, KEY_IOCTL_SESSION = 2 };

struct key_ioctl {
    uint32_t version; /* 1 */
    uint32_t op, flags, len;
    uint8_t key[32], zero[32];
};
_Static_assert(sizeof(struct key_ioctl) == 80, "the kernel carries its size in the command");

/* Answers 0, or with KEY_IOCTL_STATUS how many keys the caller holds for the bucket. */
#define KEY_IOCTL _IOW('h', 1, struct key_ioctl)

#endif
