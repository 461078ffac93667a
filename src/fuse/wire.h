/* SPDX-License-Identifier: GPL-3.0-or-later
 * The FUSE protocol below libfuse: what libfuse 3.14 drops on the way, each request's thread asks for here.
 *
 * libfuse reads and answers through two functions of ours. They offer the kernel FUSE_HANDLE_KILLPRIV_V2
 * (without it every write(2) asks for security.capability first) and FUSE_SETXATTR_EXT (without it nobody says
 * that an ACL's setter may not keep setgid), keep those protocols' flags for the handler,
 * turn the FUSE_TMPFILE that libfuse does not know into a FUSE_CREATE that does, and tell when INIT was
 * answered. */
#ifndef HOLDFS_FUSE_WIRE_H
#define HOLDFS_FUSE_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct fuse_session;

/* After fuse_session_mount(). 0 or -errno. */
int wire_attach(struct fuse_session *session);

/* About the request this thread is working on: */
bool wire_kills_privileges(void); /* the change takes setuid and setgid away */
bool wire_kills_setgid(void);     /* the setxattr of an access ACL takes setgid away */
bool wire_is_tmpfile(void);       /* the create is an O_TMPFILE open: its name means nothing */

/* The mode after a change by one who may not keep the privileges: as the kernel's should_remove_suid(). */
static inline uint32_t mode_without_privileges(uint32_t mode)
{
    if (!S_ISREG(mode))
        return mode;
    mode &= ~(uint32_t)S_ISUID;
    return mode & S_IXGRP ? mode & ~(uint32_t)S_ISGID : mode;
}

#endif
