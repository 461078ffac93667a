/* SPDX-License-Identifier: GPL-3.0-or-later
 * Looking at the tree: lookup, attributes, links' targets, forgetting. */
#include "fuse/front.h"
#include "fuse/hidden.h"
#include "fuse/wire.h"
#include "util/clock.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static int tree_lookup(struct call *c, uint64_t dir, const char *name, struct engine_attr *ret)
{
    struct engine *e = c->front->engine;
    if (strcmp(name, ".") == 0)
        return engine_getattr(e, &c->caller, dir, ret);
    if (strcmp(name, "..") == 0) {
        uint64_t up = dir;
        int err = dir == c->front->root_ino ? 0 : engine_parent(e, &c->caller, dir, &up);
        return err ? err : engine_getattr(e, &c->caller, up, ret);
    }
    return engine_lookup(e, &c->caller, dir, name, c->name_len, ret);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct call c;
    call_begin(&c, req, "lookup", parent, name);
    if (node_is_hidden(parent)) {
        hidden_lookup(&c, parent, name);
        return;
    }
    uint64_t dir = front_ino(c.front, parent);
    enum hidden_name which = front_hidden_name(c.front, dir, name);
    if (which != HIDDEN_NAME_NONE) {
        hidden_enter(&c, dir, which);
        return;
    }
    struct engine_attr attr;
    int err = tree_lookup(&c, dir, name, &attr);
    double timeout = front_entry_timeout(c.front, dir);
    if (err == -ENOENT && timeout > 0) {
        fuse_reply_entry(req,
                         &(struct fuse_entry_param){.entry_timeout = timeout}); /* remembered as absent */
        return;
    }
    if (err)
        call_reply(&c, err);
    else
        call_reply_entry(&c, dir, &attr);
}

/* A bucket's own directory is asked for at each walk where principals share the mount. */
static double attr_timeout(struct call *c, const struct engine_attr *attr)
{
    if (!c->front->shared || attr->ino == ENGINE_ROOT_INO)
        return FRONT_FOREVER;
    if (engine_tells_apart(c->front->engine, attr->ino))
        return 0;
    if (!S_ISDIR(attr->mode))
        return FRONT_FOREVER;
    uint32_t bucket;
    uint8_t key[4096];
    size_t len = 0;
    int err = engine_place_of(c->front->engine, attr->ino, &bucket, key, &len);
    return err || len == 0 ? 0 : FRONT_FOREVER;
}

static void reply_attr(struct call *c, const struct engine_attr *attr)
{
    struct stat st;
    front_stat(c->front, attr, &st);
    fuse_reply_attr(c->req, &st, attr_timeout(c, attr));
}

void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct call c;
    call_begin(&c, req, "stat", node, NULL);
    if (node_is_hidden(node)) {
        hidden_getattr(&c, node);
        return;
    }
    struct engine_attr attr;
    int err = engine_getattr(c.front->engine, fi ? NULL : &c.caller, front_ino(c.front, node), &attr);
    if (err)
        call_reply(&c, err);
    else
        reply_attr(&c, &attr);
}

static struct instant instant_now(void)
{
    int64_t ns = clock_wall_ns();
    return (struct instant){.sec = ns / 1000000000, .nsec = (uint32_t)(ns % 1000000000)};
}

static struct instant instant_of(struct timespec ts)
{
    return (struct instant){.sec = ts.tv_sec, .nsec = (uint32_t)ts.tv_nsec};
}

static unsigned setattr_values(const struct stat *st, int to_set, struct engine_attr *values)
{
    static const struct {
        int fuse;
        unsigned engine;
    } bits[] = {
        {FUSE_SET_ATTR_MODE, SET_MODE},   {FUSE_SET_ATTR_UID, SET_UID},
        {FUSE_SET_ATTR_GID, SET_GID},     {FUSE_SET_ATTR_SIZE, SET_SIZE},
        {FUSE_SET_ATTR_ATIME, SET_ATIME}, {FUSE_SET_ATTR_ATIME_NOW, SET_ATIME},
        {FUSE_SET_ATTR_MTIME, SET_MTIME}, {FUSE_SET_ATTR_MTIME_NOW, SET_MTIME},
        {FUSE_SET_ATTR_CTIME, SET_CTIME},
    };
    unsigned set = 0;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        if (to_set & bits[i].fuse)
            set |= bits[i].engine;
    *values = (struct engine_attr){
        .mode = st->st_mode,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .size_bytes = (uint64_t)st->st_size,
        .atime = to_set & FUSE_SET_ATTR_ATIME_NOW ? instant_now() : instant_of(st->st_atim),
        .mtime = to_set & FUSE_SET_ATTR_MTIME_NOW ? instant_now() : instant_of(st->st_mtim),
        .ctime = instant_of(st->st_ctim),
    };
    return set;
}

/* chown and truncate by somebody else take setuid and setgid away; the kernel leaves it to us
 * (FUSE_HANDLE_KILLPRIV_V2). */
static void setattr_kill_privileges(struct call *c, uint64_t ino, unsigned *set, struct engine_attr *values)
{
    struct engine_attr now;
    if ((*set & SET_MODE) || engine_getattr(c->front->engine, &c->caller, ino, &now) != 0)
        return;
    uint32_t mode = mode_without_privileges(now.mode);
    if (mode == now.mode)
        return;
    values->mode = mode;
    *set |= SET_MODE;
}

void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set, struct fuse_file_info *fi)
{
    struct call c;
    call_begin(&c, req, "setattr", node, NULL);
    if (node_is_hidden(node)) {
        hidden_setattr(&c, node, st, to_set);
        return;
    }
    struct engine_attr values, attr;
    uint64_t ino = front_ino(c.front, node);
    unsigned set = setattr_values(st, to_set, &values);
    if (!to_set || wire_kills_privileges()) /* nothing to set: the kernel's own removal, before a write */
        setattr_kill_privileges(&c, ino, &set, &values);
    struct engine_handle *handle = fi ? (struct engine_handle *)fi->fh : NULL;
    int err = engine_setattr(c.front->engine, &c.caller, ino, handle, set, &values, &attr);
    if (err)
        call_reply(&c, err);
    else
        reply_attr(&c, &attr);
}

void op_readlink(fuse_req_t req, fuse_ino_t node)
{
    struct call c;
    char target[PATH_MAX + 1];
    call_begin(&c, req, "readlink", node, NULL);
    int len = node_is_hidden(node)
                  ? hidden_readlink(&c, node, target, PATH_MAX)
                  : engine_readlink(c.front->engine, &c.caller, front_ino(c.front, node), target, PATH_MAX);
    if (len < 0) {
        call_reply(&c, len);
        return;
    }
    target[len] = '\0';
    fuse_reply_readlink(req, target);
}

void op_statfs(fuse_req_t req, fuse_ino_t node)
{
    struct call c;
    struct statvfs st = {0};
    call_begin(&c, req, "statfs", node, NULL);
    int err = engine_statfs(c.front->engine, &st);
    if (err)
        call_reply(&c, err);
    else
        fuse_reply_statfs(req, &st);
}

void op_forget(fuse_req_t req, fuse_ino_t node, uint64_t nlookup)
{
    if (node_is_hidden(node))
        hidden_forget(front_of(req)->hidden, node, nlookup);
    fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        if (node_is_hidden(forgets[i].ino))
            hidden_forget(front_of(req)->hidden, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}
