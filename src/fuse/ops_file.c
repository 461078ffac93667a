/* SPDX-License-Identifier: GPL-3.0-or-later
 * Open files and their bytes. fi->fh is the engine's handle, also for versions of hidden directories. */
#include "fuse/buffer.h"
#include "fuse/front.h"
#include "fuse/hidden.h"
#include "fuse/notify.h"
#include "fuse/wire.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static struct engine_handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct engine_handle *)fi->fh; /* NOLINT: that is what fh is for */
}

/* Appending and bypassing its cache is the kernel's part. */
static int engine_flags(int flags)
{
    return flags & ~(O_APPEND | O_DIRECT);
}

static void handle_opened(struct call *c, struct fuse_file_info *fi, struct engine_handle *h)
{
    fi->fh = (uint64_t)h;
    if (engine_handle_writable(h))
        atomic_fetch_add(front_writers(c->front, engine_handle_ino(h)), 1);
    else
        fi->noflush = 1;
}

static void handle_release(struct fuse_front *f, struct engine_handle *h)
{
    if (engine_handle_writable(h))
        atomic_fetch_sub(front_writers(f, engine_handle_ino(h)), 1);
    engine_release(h);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct call c;
    struct engine_attr attr;
    struct engine_handle *h;
    bool tmpfile = wire_is_tmpfile();
    call_begin(&c, req, tmpfile ? "open O_TMPFILE" : "create", parent, name);
    int err = call_refuse_hidden(&c, parent, tmpfile ? "" : name);
    if (!err) {
        err = tmpfile ? engine_tmpfile(c.front->engine, &c.caller, c.ino, mode, engine_flags(fi->flags),
                                       &attr, &h)
                      : engine_create(c.front->engine, &c.caller, c.ino, name, c.name_len, mode,
                                      engine_flags(fi->flags), &attr, &h);
    }
    if (err) {
        call_reply(&c, err);
        return;
    }
    struct fuse_entry_param entry;
    front_entry(c.front, c.ino, &attr, &entry);
    handle_opened(&c, fi, h);
    fi->keep_cache = 1;
    if (fuse_reply_create(req, &entry, fi) == -ENOENT) /* interrupted: nobody will release it */
        handle_release(c.front, h);
}

/* A change by one who may not keep setuid and setgid; the kernel marks it, and does not ask for the mode
 * again. */
static void kill_privileges(struct call *c, uint64_t ino, struct engine_handle *h)
{
    struct engine_attr attr;
    if (engine_getattr(c->front->engine, NULL, ino, &attr) != 0)
        return;
    uint32_t mode = mode_without_privileges(attr.mode);
    if (mode == attr.mode)
        return;
    attr.mode = mode;
    struct engine_attr after;
    if (engine_setattr(c->front->engine, &c->caller, ino, h, SET_MODE, &attr, &after) == 0)
        notify_inode(c->front->notify, ino);
}

static int open_live(struct call *c, fuse_ino_t node, struct fuse_file_info *fi, struct engine_handle **ret)
{
    uint64_t ino = front_ino(c->front, node);
    int err = engine_open_file(c->front->engine, &c->caller, ino, engine_flags(fi->flags), ret);
    if (!err && (fi->flags & O_TRUNC) && wire_kills_privileges())
        kill_privileges(c, ino, *ret);
    fi->keep_cache = 1; /* pages stay valid until notify says otherwise */
    return err;
}

void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct call c;
    struct engine_handle *h;
    call_begin(&c, req, "open", node, NULL);
    int err = node_is_hidden(node) ? hidden_open(&c, node, fi->flags, &h) : open_live(&c, node, fi, &h);
    if (err) {
        call_reply(&c, err);
        return;
    }
    handle_opened(&c, fi, h);
    if (fuse_reply_open(req, fi) == -ENOENT)
        handle_release(c.front, h);
}

void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)node;
    char *buf = buffer_of_thread();
    if (size > FRONT_REQUEST_BYTES)
        size = FRONT_REQUEST_BYTES;
    ssize_t got = buf ? engine_read(handle_of(fi), buf, size, (uint64_t)offset) : -ENOMEM;
    if (got < 0)
        fuse_reply_err(req, (int)-got);
    else
        fuse_reply_buf(req, buf, (size_t)got);
}

void op_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t offset,
              struct fuse_file_info *fi)
{
    (void)node;
    struct engine_handle *h = handle_of(fi);
    if (wire_kills_privileges()) {
        struct call c;
        call_begin(&c, req, "write", node, NULL);
        kill_privileges(&c, engine_handle_ino(h), h);
    }
    ssize_t put = engine_write(h, buf, size, (uint64_t)offset);
    if (put < 0)
        fuse_reply_err(req, (int)-put);
    else
        fuse_reply_write(req, (size_t)put);
}

void op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct engine_handle *h = handle_of(fi);
    if (!engine_handle_writable(h)) {
        fuse_reply_err(req, 0);
        return;
    }
    struct call c;
    call_begin(&c, req, "close", node, NULL);
    call_reply(&c, engine_flush(c.front->engine, &c.caller, h));
}

void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    (void)node;
    handle_release(front_of(req), handle_of(fi));
    fuse_reply_err(req, 0);
}

void op_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi)
{
    (void)node;
    fuse_reply_err(req, -engine_fsync(handle_of(fi), datasync != 0));
}

void op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length,
                  struct fuse_file_info *fi)
{
    (void)node;
    fuse_reply_err(req, -engine_fallocate(handle_of(fi), mode, (uint64_t)offset, (uint64_t)length));
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t in_node, off_t in_offset, struct fuse_file_info *in,
                        fuse_ino_t out_node, off_t out_offset, struct fuse_file_info *out, size_t length,
                        int flags)
{
    (void)in_node;
    (void)out_node;
    (void)flags;
    const size_t most = 0x7ffff000; /* the answer's count has 32 bits; what read(2) does at most */
    ssize_t copied = engine_copy_range(handle_of(in), (uint64_t)in_offset, handle_of(out),
                                       (uint64_t)out_offset, length < most ? length : most);
    if (copied < 0)
        fuse_reply_err(req, (int)-copied);
    else
        fuse_reply_write(req, (size_t)copied);
}

/* The kernel asks for holes without writing its dirty pages first, and they would be taken for holes. */
static int lseek_write_back(struct fuse_front *f, uint64_t ino)
{
    return atomic_load(front_writers(f, ino)) ? notify_write_back(f->notify, ino) : 0;
}

void op_lseek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence, struct fuse_file_info *fi)
{
    (void)node;
    struct engine_handle *h = handle_of(fi);
    int64_t found = lseek_write_back(front_of(req), engine_handle_ino(h));
    if (found == 0)
        found = engine_seek(h, (uint64_t)offset, whence);
    if (found < 0)
        fuse_reply_err(req, (int)-found);
    else
        fuse_reply_lseek(req, found);
}
