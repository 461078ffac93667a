/* SPDX-License-Identifier: GPL-3.0-or-later
 * Extended attributes: the names' translation, the two ways of asking for a size, and user.s3.last-error. */
#include "fuse/ops_xattr.h"
#include "fuse/front.h"
#include "fuse/hidden.h"
#include "fuse/wire.h"

#include <errno.h>
#include <string.h>

static const char prefix[] = "user.s3.";
static const char last_error[] = "user.s3.last-error";

const char *xattr_property(const char *name)
{
    return strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : NULL;
}

/* size 0 asks how much it is. */
static void reply_value(struct call *c, int err, const struct bytes *value, size_t size)
{
    if (!err && value->failed)
        err = -ENOMEM;
    if (!err && size && value->len > size)
        err = -ERANGE;
    if (err)
        call_reply(c, err);
    else if (size)
        fuse_reply_buf(c->req, (const char *)value->data, value->len);
    else
        fuse_reply_xattr(c->req, value->len);
}

static int xattr_get(struct call *c, fuse_ino_t node, const char *name, struct bytes *out)
{
    struct engine *e = c->front->engine;
    if (strcmp(name, last_error) == 0)
        return engine_last_error(e, c->caller.uid, out);
    if (node_is_hidden(node))
        return hidden_xattr_get(c, node, name, out);
    struct engine_target target = {.ino = c->ino};
    const char *property = xattr_property(name);
    return property ? engine_property_get(e, &c->caller, &target, property, out)
                    : engine_xattr_get(e, &c->caller, c->ino, name, out);
}

void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
    struct call c;
    struct bytes value = {0};
    call_begin(&c, req, "getxattr", node, NULL);
    int err = xattr_get(&c, node, name, &value);
    reply_value(&c, err, &value, size);
    bytes_done(&value);
}

void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
    struct call c;
    struct bytes names = {0};
    call_begin(&c, req, "listxattr", node, NULL);
    int err = node_is_hidden(node)
                  ? hidden_xattr_list(&c, node, &names)
                  : engine_xattr_list(c.front->engine, &c.caller, c.ino, c.front->list_xattrs_all, &names);
    reply_value(&c, err, &names, size);
    bytes_done(&names);
}

static int xattr_set(struct call *c, fuse_ino_t node, const char *name, const char *value, size_t size,
                     int flags)
{
    struct engine *e = c->front->engine;
    if (strcmp(name, last_error) == 0)
        return reason_fail(&c->caller.reason, EPERM,
                           "%s is computed: read it, or remove it to forget the last refusal", name);
    if (node_is_hidden(node))
        return hidden_xattr_set(c, node, name, value, size, flags);
    struct engine_target target = {.ino = c->ino};
    const char *property = xattr_property(name);
    if (wire_kills_setgid())
        flags |= ENGINE_XATTR_DROP_SETGID;
    return property ? engine_property_set(e, &c->caller, &target, property, value, size, flags)
                    : engine_xattr_set(e, &c->caller, c->ino, name, value, size, flags);
}

void op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value, size_t size, int flags)
{
    struct call c;
    call_begin(&c, req, "setxattr", node, NULL);
    int err = xattr_set(&c, node, name, value, size, flags);
    call_reply(&c, err == -EAGAIN ? -EBUSY : err); /* the VFS makes EOPNOTSUPP of EAGAIN, which says something else */
}

static int xattr_remove(struct call *c, fuse_ino_t node, const char *name)
{
    struct engine *e = c->front->engine;
    if (strcmp(name, last_error) == 0) {
        engine_last_error_forget(e, c->caller.uid);
        return 0;
    }
    if (node_is_hidden(node))
        return hidden_xattr_remove(c, node, name);
    struct engine_target target = {.ino = c->ino};
    const char *property = xattr_property(name);
    return property ? engine_property_remove(e, &c->caller, &target, property)
                    : engine_xattr_remove(e, &c->caller, c->ino, name);
}

void op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name)
{
    struct call c;
    call_begin(&c, req, "removexattr", node, NULL);
    call_reply(&c, xattr_remove(&c, node, name));
}
