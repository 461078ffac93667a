/* SPDX-License-Identifier: GPL-3.0-or-later
 * Changing names: making, linking, removing, renaming. Which of them a bucket, a lock or a policy allows, the
 * engine says; that hidden directories take none of them is said here. */
#include "fuse/front.h"
#include "fuse/hidden.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

/* Begins a call that makes or removes `name` in `parent`; answers it and returns false where that is a hidden
 * place. */
static bool names_begin(struct call *c, fuse_req_t req, const char *operation, fuse_ino_t parent,
                        const char *name)
{
    call_begin(c, req, operation, parent, name);
    int err = call_refuse_hidden(c, parent, name);
    if (err)
        call_reply(c, err);
    return !err;
}

static void names_made(struct call *c, int err, const struct engine_attr *attr)
{
    if (err)
        call_reply(c, err);
    else
        call_reply_entry(c, c->ino, attr);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct call c;
    struct engine_attr attr;
    if (!names_begin(&c, req, "mkdir", parent, name))
        return;
    int err = engine_mkdir(c.front->engine, &c.caller, c.ino, name, c.name_len, mode, &attr);
    names_made(&c, err, &attr);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct call c;
    struct engine_attr attr;
    if (!names_begin(&c, req, "mknod", parent, name))
        return;
    int err = engine_mknod(c.front->engine, &c.caller, c.ino, name, c.name_len, mode, major(rdev),
                           minor(rdev), &attr);
    names_made(&c, err, &attr);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct call c;
    struct engine_attr attr;
    if (!names_begin(&c, req, "symlink", parent, name))
        return;
    int err = engine_symlink(c.front->engine, &c.caller, c.ino, name, c.name_len, target, &attr);
    names_made(&c, err, &attr);
}

void op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name)
{
    struct call c;
    struct engine_attr attr;
    if (!names_begin(&c, req, "link", parent, name))
        return;
    int err = node_is_hidden(node) ? call_refuse_hidden(&c, node, "")
                                   : engine_link(c.front->engine, &c.caller, front_ino(c.front, node), c.ino,
                                                 name, c.name_len, &attr);
    names_made(&c, err, &attr);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct call c;
    call_begin(&c, req, "unlink", parent, name);
    int err;
    if (node_is_hidden(parent))
        err = hidden_unlink(&c, parent, name);
    else
        err = call_refuse_hidden(&c, parent, name);
    if (!err && !node_is_hidden(parent))
        err = engine_unlink(c.front->engine, &c.caller, c.ino, name, c.name_len);
    call_reply(&c, err);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct call c;
    call_begin(&c, req, "rmdir", parent, name);
    int err;
    if (node_is_hidden(parent))
        err = hidden_rmdir(&c, parent, name);
    else
        err = call_refuse_hidden(&c, parent, name);
    if (!err && !node_is_hidden(parent))
        err = engine_rmdir(c.front->engine, &c.caller, c.ino, name, c.name_len);
    call_reply(&c, err);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
               unsigned flags)
{
    struct call c;
    if (!names_begin(&c, req, "rename", parent, name))
        return;
    int err = call_refuse_hidden(&c, to_parent, to_name);
    if (!err)
        err = engine_rename(c.front->engine, &c.caller, c.ino, name, c.name_len,
                            front_ino(c.front, to_parent), to_name, strlen(to_name), flags);
    call_reply(&c, err);
}
