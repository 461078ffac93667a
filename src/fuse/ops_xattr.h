/* SPDX-License-Identifier: GPL-3.0-or-later
 * Names of extended attributes: user.s3.NAME is the engine's property NAME. */
#ifndef HOLDFS_FUSE_OPS_XATTR_H
#define HOLDFS_FUSE_OPS_XATTR_H

/* The property an attribute stands for, or NULL for an ordinary attribute. */
const char *xattr_property(const char *name);

#endif
