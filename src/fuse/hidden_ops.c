/* SPDX-License-Identifier: GPL-3.0-or-later
 * The kernel's calls on hidden nodes, handed to their kinds; and what all versions have in common, wherever
 * they show. */
#include "fuse/hidden.h"
#include "fuse/ops_xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int refuse(struct call *c)
{
    return call_refuse_hidden(c, (fuse_ino_t)1 << 63, "");
}

int hidden_child_key(struct span key, const char *name, size_t len, uint8_t buf[4096], struct span *ret)
{
    size_t at = key.len ? key.len + 1 : 0;
    if (at + len > 4095)
        return -ENAMETOOLONG;
    if (key.len) {
        memcpy(buf, key.p, key.len);
        buf[key.len] = '/';
    }
    memcpy(buf + at, name, len);
    *ret = span_of(buf, at + len);
    return 0;
}

int hidden_dir_attr(struct call *c, const struct hidden_node *node, struct engine_attr *ret)
{
    *ret = node->spec.attr;
    bool live = false;
    if (node->spec.live_ino) {
        struct engine_attr now;
        live = engine_getattr(c->front->engine, NULL, node->spec.live_ino, &now) == 0;
        if (live)
            *ret = now;
    }
    if (live || node->spec.kind == &hidden_history_kind) { /* .at was told how it stood then */
        struct engine_place place = hidden_place(node);
        int err = engine_history_dir(c->front->engine, &place, live, ret);
        if (err)
            return err;
    }
    ret->mode = S_IFDIR | (ret->mode & 07777);
    ret->nlink = 1; /* find(1): subdirectories are not counted */
    return 0;
}

int hidden_version_attr(struct call *c, const struct hidden_node *node, struct engine_attr *ret)
{
    struct engine_version version;
    struct engine_place place = hidden_place(node);
    int err = engine_version_get(c->front->engine, &c->caller, &place, node->spec.seq, &version);
    if (err)
        return err;
    *ret = version.attr;
    ret->nlink = 1; /* its own inode */
    return 0;
}

/* Interns the spec, asks for attributes and answers. */
static void reply_spec(struct call *c, const struct hidden_spec *spec)
{
    struct hidden_node *node = hidden_intern(c->front->hidden, spec);
    struct engine_attr attr;
    int err = node ? node->spec.kind->attr(c, node, &attr) : -ENOMEM;
    if (!err) {
        hidden_reply(c, node, &attr);
        return;
    }
    if (node)
        hidden_put(c->front->hidden, node);
    call_reply(c, err);
}

void hidden_enter(struct call *c, uint64_t dir, enum hidden_name which)
{
    uint8_t key[4096];
    size_t len = 0;
    struct hidden_spec spec = {
        .kind = which == HIDDEN_NAME_AT ? &hidden_menu_kind : &hidden_history_kind,
        .top = true,
        .live_ino = dir,
        .origin = dir,
        .path = which == HIDDEN_NAME_AT ? c->front->at_name : c->front->versions_name,
    };
    int err = dir == ENGINE_ROOT_INO ? 0 : engine_place_of(c->front->engine, dir, &spec.bucket, key, &len);
    if (!err)
        err = engine_getattr(c->front->engine, NULL, dir, &spec.attr);
    if (err) {
        call_reply(c, err);
        return;
    }
    spec.key = span_of(key, len);
    reply_spec(c, &spec);
}

/* Takes a use of the node; NULL: forgotten. */
static struct hidden_node *node_of(struct call *c, fuse_ino_t id)
{
    return hidden_get(c->front->hidden, id);
}

static int lookup_spec(struct call *c, const struct hidden_node *dir, const char *name, uint8_t *buf,
                       struct hidden_spec *spec)
{
    if (!dir->spec.kind->lookup)
        return -ENOTDIR;
    *spec = (struct hidden_spec){.bucket = dir->spec.bucket, .at = dir->spec.at, .origin = dir->spec.origin};
    return dir->spec.kind->lookup(c, dir, name, strlen(name), buf, spec);
}

/* "." by handle: the node itself. */
static void lookup_self(struct call *c, struct hidden_node *node)
{
    struct engine_attr attr;
    int err = node->spec.kind->attr(c, node, &attr);
    if (!err) {
        hidden_reply(c, node, &attr);
        return;
    }
    hidden_put(c->front->hidden, node);
    call_reply(c, err);
}

void hidden_lookup(struct call *c, fuse_ino_t parent, const char *name)
{
    struct hidden_node *dir = node_of(c, parent);
    if (!dir) {
        call_reply(c, -ESTALE);
        return;
    }
    if (strcmp(name, ".") == 0) {
        lookup_self(c, dir);
        return;
    }
    uint8_t buf[4096];
    struct hidden_spec spec;
    struct bytes path = {0};
    bytes_printf(&path, "%s/%s", dir->spec.path, name);
    bytes_put_u8(&path, 0);
    int err = strcmp(name, "..") == 0 ? -ESTALE : path.failed ? -ENOMEM : lookup_spec(c, dir, name, buf, &spec);
    if (err) {
        call_reply(c, err);
    } else {
        spec.path = (const char *)path.data;
        reply_spec(c, &spec);
    }
    bytes_done(&path);
    hidden_put(c->front->hidden, dir);
}

static void reply_attr(struct call *c, const struct hidden_node *node, const struct engine_attr *attr)
{
    struct stat st;
    front_stat(c->front, attr, &st);
    st.st_ino = hidden_spec_ino(&node->spec);
    fuse_reply_attr(c->req, &st, 0);
}

void hidden_getattr(struct call *c, fuse_ino_t id)
{
    struct hidden_node *node = node_of(c, id);
    struct engine_attr attr;
    int err = node ? node->spec.kind->attr(c, node, &attr) : -ESTALE;
    if (err)
        call_reply(c, err);
    else
        reply_attr(c, node, &attr);
    if (node)
        hidden_put(c->front->hidden, node);
}

/* After each setxattr and unlink the kernel writes an inode's times back, changed or not, and remembers an
 * error as one of the file's: it must not be told EROFS for times that stay. */
static bool times_stay(const struct engine_attr *now, const struct stat *st, int to_set)
{
    return !(to_set & ~(FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME)) &&
           (!(to_set & FUSE_SET_ATTR_MTIME) ||
            (now->mtime.sec == st->st_mtim.tv_sec && now->mtime.nsec == (uint32_t)st->st_mtim.tv_nsec));
}

void hidden_setattr(struct call *c, fuse_ino_t id, const struct stat *st, int to_set)
{
    struct hidden_node *node = node_of(c, id);
    struct engine_attr attr;
    bool stay = node && times_stay(&node->spec.attr, st, to_set);
    int err = !node ? -ESTALE : stay ? node->spec.kind->attr(c, node, &attr) : refuse(c);
    if (err)
        call_reply(c, err);
    else
        reply_attr(c, node, &attr);
    if (node)
        hidden_put(c->front->hidden, node);
}

int hidden_list(struct call *c, fuse_ino_t id, const struct dir_cursor *after, struct dir_batch *batch)
{
    struct hidden_node *node = node_of(c, id);
    if (!node)
        return -ESTALE;
    int err = node->spec.kind->list ? node->spec.kind->list(c, node, after, batch) : -ENOTDIR;
    hidden_put(c->front->hidden, node);
    return err;
}

int hidden_open(struct call *c, fuse_ino_t id, int flags, struct engine_handle **ret)
{
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))
        return refuse(c);
    struct hidden_node *node = node_of(c, id);
    if (!node)
        return -ESTALE;
    struct engine_place place = hidden_place(node);
    int err = engine_version_open(c->front->engine, &c->caller, &place, node->spec.seq, ret);
    hidden_put(c->front->hidden, node);
    return err;
}

int hidden_readlink(struct call *c, fuse_ino_t id, char *buf, size_t cap)
{
    struct hidden_node *node = node_of(c, id);
    if (!node)
        return -ESTALE;
    struct engine_place place = hidden_place(node);
    int len = engine_version_readlink(c->front->engine, &c->caller, &place, node->spec.seq, buf, cap);
    hidden_put(c->front->hidden, node);
    return len;
}

int hidden_unlink(struct call *c, fuse_ino_t parent, const char *name)
{
    struct hidden_node *dir = node_of(c, parent);
    if (!dir)
        return -ESTALE;
    int err = dir->spec.kind->unlink ? dir->spec.kind->unlink(c, dir, name, strlen(name)) : refuse(c);
    hidden_put(c->front->hidden, dir);
    return err;
}

int hidden_rmdir(struct call *c, fuse_ino_t parent, const char *name)
{
    struct hidden_node *dir = node_of(c, parent);
    if (!dir)
        return -ESTALE;
    int err = dir->spec.kind->rmdir ? dir->spec.kind->rmdir(c, dir, name, strlen(name)) : refuse(c);
    hidden_put(c->front->hidden, dir);
    return err;
}

static struct engine_target target_of(const struct hidden_node *node)
{
    return (struct engine_target){.bucket = node->spec.bucket, .key = node->spec.key, .seq = node->spec.seq};
}

int hidden_xattr_get(struct call *c, fuse_ino_t id, const char *name, struct bytes *out)
{
    struct hidden_node *node = node_of(c, id);
    if (!node)
        return -ESTALE;
    const char *property = xattr_property(name);
    struct engine_place place = hidden_place(node);
    struct engine_target target = target_of(node);
    int err = -ENODATA;
    if (node->spec.seq && property)
        err = engine_property_get(c->front->engine, &c->caller, &target, property, out);
    else if (node->spec.seq)
        err = engine_version_xattr_get(c->front->engine, &c->caller, &place, node->spec.seq, name, out);
    hidden_put(c->front->hidden, node);
    return err;
}

int hidden_xattr_list(struct call *c, fuse_ino_t id, struct bytes *out)
{
    struct hidden_node *node = node_of(c, id);
    if (!node)
        return -ESTALE;
    struct engine_place place = hidden_place(node);
    int err = node->spec.seq ? engine_version_xattr_list(c->front->engine, &c->caller, &place, node->spec.seq,
                                                         c->front->list_xattrs_all, out)
                             : 0;
    hidden_put(c->front->hidden, node);
    return err;
}

int hidden_xattr_set(struct call *c, fuse_ino_t id, const char *name, const void *value, size_t len,
                     int flags)
{
    struct hidden_node *node = node_of(c, id);
    if (!node)
        return -ESTALE;
    const char *property = xattr_property(name);
    struct engine_target target = target_of(node);
    int err = property && node->spec.kind->locks_settable
                  ? engine_property_set(c->front->engine, &c->caller, &target, property, value, len, flags)
                  : refuse(c);
    hidden_put(c->front->hidden, node);
    return err;
}

int hidden_xattr_remove(struct call *c, fuse_ino_t id, const char *name)
{
    struct hidden_node *node = node_of(c, id);
    if (!node)
        return -ESTALE;
    const char *property = xattr_property(name);
    struct engine_target target = target_of(node);
    int err = property && node->spec.kind->locks_settable
                  ? engine_property_remove(c->front->engine, &c->caller, &target, property)
                  : refuse(c);
    hidden_put(c->front->hidden, node);
    return err;
}
