/* SPDX-License-Identifier: GPL-3.0-or-later
 * The FUSE protocol below libfuse; see wire.h. A worker of libfuse reads a request and handles it in the same
 * thread, so what was seen while reading waits in thread-local variables. */
#include "fuse/front.h"
#include "fuse/tune.h"
#include "fuse/wire.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

static _Thread_local struct {
    bool kills_privileges, kills_setgid, tmpfile, init;
    uint32_t init_flags; /* what the kernel offered */
} seen;

bool wire_kills_privileges(void)
{
    return seen.kills_privileges;
}

bool wire_kills_setgid(void)
{
    return seen.kills_setgid;
}

bool wire_is_tmpfile(void)
{
    return seen.tmpfile;
}

/* The argument after the header, or NULL when the request is too short for it. */
static void *argument(void *buf, size_t len, size_t need)
{
    return len < sizeof(struct fuse_in_header) + need ? NULL : (char *)buf + sizeof(struct fuse_in_header);
}

static void request_seen(void *buf, size_t len)
{
    struct fuse_in_header *header = buf;
    const struct fuse_write_in *w;
    const struct fuse_setattr_in *s;
    const struct fuse_open_in *o;
    const struct fuse_init_in *i;
    switch (header->opcode) {
    case FUSE_WRITE:
        w = argument(buf, len, sizeof *w);
        seen.kills_privileges = w && (w->write_flags & FUSE_WRITE_KILL_SUIDGID);
        break;
    case FUSE_SETATTR:
        s = argument(buf, len, sizeof *s);
        seen.kills_privileges = s && (s->valid & FATTR_KILL_SUIDGID);
        break;
    case FUSE_OPEN:
        o = argument(buf, len, sizeof *o);
        seen.kills_privileges = o && (o->open_flags & FUSE_OPEN_KILL_SUIDGID);
        break;
    case FUSE_TMPFILE: /* the same arguments as FUSE_CREATE */
        header->opcode = FUSE_CREATE;
        seen.tmpfile = true;
        break;
    case FUSE_INIT:
        i = argument(buf, len, sizeof *i);
        seen.init = true;
        seen.init_flags = i ? i->flags : 0;
        break;
    default:
        break;
    }
}

/* A thread sanitizer does not see that the kernel sends FLUSH after it took the answer to OPEN. */
#ifdef __SANITIZE_THREAD__
static atomic_uint answers;

static ssize_t kernel_read(int fd, void *buf, size_t len)
{
    ssize_t got = read(fd, buf, len);
    atomic_load(&answers);
    return got;
}

static ssize_t kernel_writev(int fd, const struct iovec *iov, int count)
{
    atomic_fetch_add(&answers, 1);
    return writev(fd, iov, count);
}
#else
#define kernel_read   read
#define kernel_writev writev
#endif

/* The extended argument of FUSE_SETXATTR becomes the short one that libfuse reads. The length after it. */
static ssize_t setxattr_plain(void *buf, ssize_t got)
{
    struct fuse_in_header *header = buf;
    enum { MORE = sizeof(struct fuse_setxattr_in) - FUSE_COMPAT_SETXATTR_IN_SIZE };
    const struct fuse_setxattr_in *x = argument(buf, (size_t)got, sizeof *x);
    if (header->opcode != FUSE_SETXATTR || !x)
        return got;
    seen.kills_setgid = x->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID;
    char *short_end = (char *)buf + sizeof *header + FUSE_COMPAT_SETXATTR_IN_SIZE;
    memmove(short_end, short_end + MORE, (size_t)got - sizeof *header - sizeof *x);
    header->len -= MORE;
    return got - MORE;
}

static ssize_t wire_read(int fd, void *buf, size_t len, void *userdata)
{
    ssize_t got = kernel_read(fd, buf, len);
    seen.kills_privileges = seen.kills_setgid = seen.tmpfile = seen.init = false;
    if (got < (ssize_t)sizeof(struct fuse_in_header))
        return got;
    request_seen(buf, (size_t)got);
    const struct fuse_front *front = userdata;
    return front->setxattr_ext ? setxattr_plain(buf, got) : got;
}

/* libfuse answers INIT with the header and one fuse_init_out. */
static ssize_t answer_init(int fd, struct iovec *iov, int count, struct fuse_front *front)
{
    seen.init = false;
    const struct fuse_out_header *header = iov[0].iov_base;
    bool accepted =
        count == 2 && header->error == 0 && iov[1].iov_len >= offsetof(struct fuse_init_out, unused);
    if (accepted) {
        ((struct fuse_init_out *)iov[1].iov_base)->flags |= seen.init_flags & (FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT);
        front->setxattr_ext = seen.init_flags & FUSE_SETXATTR_EXT;
    }
    ssize_t put = kernel_writev(fd, iov, count);
    if (accepted && put >= 0) {
        tune_mount(front->mountpoint);
        if (front->ready)
            front->ready(front->ready_arg);
    }
    return put;
}

static ssize_t wire_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    return seen.init ? answer_init(fd, iov, count, userdata) : kernel_writev(fd, iov, count);
}

int wire_attach(struct fuse_session *session)
{
    static const struct fuse_custom_io io = {.read = wire_read, .writev = wire_writev};
    int err = fuse_session_custom_io(session, &io, fuse_session_fd(session));
    return err > 0 ? -err : err;
}
