/* SPDX-License-Identifier: GPL-3.0-or-later
 * POSIX ACLs in the kernel's xattr form: check, mode bits, chmod, inheritance. Pure. Private to src/engine. */
#ifndef HOLDFS_ENGINE_ACL_H
#define HOLDFS_ENGINE_ACL_H

#include "engine/record.h"

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* Is it an ACL as acl(5) wants it: each entry once, in order, a mask where named entries are? 0 or -EINVAL. */
int acl_check(const void *value, size_t len);
/* Says no more than mode bits do: nothing is kept then. Of a checked ACL. */
bool acl_is_plain(const void *value, size_t len);
/* The permission bits with those the ACL gives owner, group class and others. Of a checked ACL. */
uint32_t acl_mode(const void *value, size_t len, uint32_t mode);

#endif
