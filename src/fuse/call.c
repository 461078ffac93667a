/* SPDX-License-Identifier: GPL-3.0-or-later
 * One request on its way: who asks, how it is refused in words, and numbers and attributes as FUSE has them.
 */
#include "fuse/front.h"
#include "fuse/hidden.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

struct fuse_front *front_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

void call_begin(struct call *c, fuse_req_t req, const char *operation, fuse_ino_t node, const char *name)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    c->req = req;
    c->front = front_of(req);
    c->operation = operation;
    c->node = node;
    c->ino = node_is_hidden(node) ? hidden_origin(c->front->hidden, node) : front_ino(c->front, node);
    c->name = name;
    c->name_len = name ? strlen(name) : 0;
    engine_caller_init(c->front->engine, &c->caller, ctx->uid, ctx->gid, ctx->pid, "mount");
    c->caller.umask =
        ctx->umask; /* the kernel leaves it to us (FUSE_CAP_DONT_MASK): a default ACL stands in its place */
    log_debug("fuse", "%s node=%llx name=%s uid=%u pid=%d", operation, (unsigned long long)node,
              name ? name : "-", ctx->uid, ctx->pid);
}

static void call_refused(struct call *c, int error)
{
    struct engine *e = c->front->engine;
    if (!node_is_hidden(c->node)) {
        engine_refused(e, &c->caller, c->operation, c->ino, c->name, c->name_len, error);
        return;
    }
    struct bytes path = {0};
    hidden_path(c->front->hidden, c->node, &path);
    if (c->name_len)
        bytes_printf(&path, "/%s", c->name);
    engine_refused(e, &c->caller, c->operation, c->ino, (const char *)path.data, path.len, error);
    bytes_done(&path);
}

void call_reply(struct call *c, int error)
{
    if (error && c->caller.reason.text[0])
        call_refused(c, error);
    fuse_reply_err(c->req, -error);
}

void call_reply_entry(struct call *c, uint64_t dir, const struct engine_attr *attr)
{
    struct fuse_entry_param entry;
    front_entry(c->front, dir, attr, &entry);
    fuse_reply_entry(c->req, &entry);
}

int call_refuse_hidden(struct call *c, fuse_ino_t node, const char *name)
{
    if (!node_is_hidden(node) &&
        front_hidden_name(c->front, front_ino(c->front, node), name) == HIDDEN_NAME_NONE)
        return 0;
    return reason_fail(
        &c->caller.reason, EROFS,
        "%s and %s show history and are read-only; only rm of a version and its lock attributes work there",
        c->front->versions_name, c->front->at_name);
}

uint64_t front_ino(const struct fuse_front *f, fuse_ino_t node)
{
    return node == FUSE_ROOT_ID ? f->root_ino : node;
}

fuse_ino_t front_node(const struct fuse_front *f, uint64_t ino)
{
    return ino == f->root_ino ? FUSE_ROOT_ID : ino;
}

void front_stat(const struct fuse_front *f, const struct engine_attr *attr, struct stat *ret)
{
    *ret = (struct stat){
        .st_ino = front_node(f, attr->ino),
        .st_mode = attr->mode,
        .st_nlink = attr->nlink,
        .st_uid = attr->uid,
        .st_gid = attr->gid,
        .st_rdev = makedev(attr->rdev_major, attr->rdev_minor),
        .st_size = (off_t)attr->size_bytes,
        .st_blocks = (blkcnt_t)attr->blocks,
        .st_blksize = 4096,
        .st_atim = {.tv_sec = attr->atime.sec, .tv_nsec = attr->atime.nsec},
        .st_mtim = {.tv_sec = attr->mtime.sec, .tv_nsec = attr->mtime.nsec},
        .st_ctim = {.tv_sec = attr->ctime.sec, .tv_nsec = attr->ctime.nsec},
    };
}

double front_entry_timeout(const struct fuse_front *f, uint64_t dir)
{
    return f->shared && (dir == ENGINE_ROOT_INO || engine_tells_apart(f->engine, dir)) ? 0 : FRONT_FOREVER;
}

void front_entry(const struct fuse_front *f, uint64_t dir, const struct engine_attr *attr,
                 struct fuse_entry_param *ret)
{
    double timeout = front_entry_timeout(f, dir);
    *ret = (struct fuse_entry_param){
        .ino = front_node(f, attr->ino),
        .generation = attr->generation,
        .entry_timeout = timeout,
        .attr_timeout = timeout,
    };
    front_stat(f, attr, &ret->attr);
}

enum hidden_name front_hidden_name(const struct fuse_front *f, uint64_t dir, const char *name)
{
    if (name[0] != f->versions_name[0] && name[0] != f->at_name[0])
        return HIDDEN_NAME_NONE;
    if (strcmp(name, f->at_name) == 0)
        return HIDDEN_NAME_AT;
    /* The mount's root has no versions of its own: the buckets have. */
    if (dir != ENGINE_ROOT_INO && strcmp(name, f->versions_name) == 0)
        return HIDDEN_NAME_VERSIONS;
    return HIDDEN_NAME_NONE;
}
