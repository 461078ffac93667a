/* SPDX-License-Identifier: GPL-3.0-or-later
 * The session: mounting, what is agreed with the kernel at INIT, the loop, the end; see fuse_front.h. */
#include "fuse/fuse_front.h"
#include "fuse/front.h"
#include "fuse/loop.h"
#include "fuse/hidden.h"
#include "fuse/options.h"
#include "fuse/notify.h"
#include "fuse/stop.h"
#include "fuse/wire.h"
#include "util/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the kernel offers beyond libfuse's defaults and we want. Not wanted: splicing (bytes are decrypted in
 * memory anyway), invalidation by mtime (we tell), opening without asking (opening is judged). Locks stay
 * with the kernel. */
static const unsigned want = FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ASYNC_READ |
                             FUSE_CAP_ASYNC_DIO | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
                             FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_POSIX_ACL |
                             FUSE_CAP_DONT_MASK | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA;
static const unsigned want_not = FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                                 FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_NO_OPEN_SUPPORT |
                                 FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_HANDLE_KILLPRIV |
                                 FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS;

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->want = (conn->want | (want & conn->capable)) & ~want_not;
    conn->max_write = conn->max_read = FRONT_REQUEST_BYTES; /* max_read as mounted */
    conn->max_readahead = FRONT_READ_AHEAD_KIB * 1024;
    conn->max_background = FRONT_THREADS_MAX;
    conn->congestion_threshold = FRONT_THREADS_MAX * 3 / 4;
    conn->time_gran = 1;
}

static const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .setxattr = op_setxattr,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .removexattr = op_removexattr,
    .create = op_create,
    .fallocate = op_fallocate,
    .ioctl = op_ioctl,
    .copy_file_range = op_copy_file_range,
    .lseek = op_lseek,
};

static void watch_inode(void *arg, uint64_t ino)
{
    notify_inode(((struct fuse_front *)arg)->notify, ino);
}

static void watch_entry(void *arg, uint64_t dir, const char *name, size_t len)
{
    notify_entry(((struct fuse_front *)arg)->notify, dir, name, len);
}

static int watch_write_back(void *arg, uint64_t ino)
{
    return notify_write_back(((struct fuse_front *)arg)->notify, ino);
}

static void watch_settle(void *arg)
{
    notify_settle(((struct fuse_front *)arg)->notify);
}

static int front_fill(struct fuse_front *f, const struct fuse_front_config *config, struct reason *reason)
{
    f->engine = config->engine;
    f->shared = config->shared;
    f->list_xattrs_all = config->list_xattrs_all;
    f->threads_idle = config->max_idle_threads ? config->max_idle_threads : FRONT_THREADS_IDLE;
    f->ready = config->ready;
    f->ready_arg = config->ready_arg;
    f->root_ino = ENGINE_ROOT_INO;
    f->versions_name = strdup(config->versions_name ? config->versions_name : ".versions");
    f->at_name = strdup(config->at_name ? config->at_name : ".at");
    f->mountpoint = realpath(config->mountpoint, NULL);
    if (!f->versions_name || !f->at_name)
        return -ENOMEM;
    if (!f->mountpoint)
        return reason_fail(reason, errno, "%s cannot be used as mount point: %s", config->mountpoint,
                           strerror(errno));
    uint32_t bucket;
    if (config->bucket && engine_bucket_find(config->engine, config->bucket, strlen(config->bucket), &bucket,
                                             &f->root_ino) != 0)
        return reason_fail(reason, ENOENT, "there is no bucket %s in this store", config->bucket);
    return 0;
}

static int front_mount(struct fuse_front *f, const struct fuse_front_config *config, struct reason *reason)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int err = options_for_libfuse(config, &args);
    if (!err)
        f->session = fuse_session_new(&args, &operations, sizeof operations, f);
    fuse_opt_free_args(&args);
    if (err)
        return err;
    if (!f->session)
        return reason_fail(reason, EINVAL, "libfuse took none of these mount options: %s",
                           options_complaint());
    if (fuse_session_mount(f->session, f->mountpoint) != 0)
        return reason_fail(reason, EIO, "%s could not be mounted: %s", f->mountpoint, options_complaint());
    return wire_attach(f->session);
}

int fuse_front_mount(const struct fuse_front_config *config, struct fuse_front **ret, struct reason *reason)
{
    struct fuse_front *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    pthread_mutex_init(&f->dirs.lock, NULL);
    int err = front_fill(f, config, reason);
    if (!err)
        err = options_check(f->mountpoint, config->nonempty, reason);
    if (!err)
        err = hidden_table_new(&f->hidden);
    if (!err)
        err = front_mount(f, config, reason);
    if (!err)
        err = notify_new(f, &f->notify);
    if (err) {
        fuse_front_free(f);
        return err;
    }
    engine_watch(f->engine, &(struct engine_watcher){.arg = f,
                                                     .inode_changed = watch_inode,
                                                     .entry_changed = watch_entry,
                                                     .write_back = watch_write_back,
                                                     .settle = watch_settle});
    *ret = f;
    return 0;
}

int fuse_front_loop(struct fuse_front *front)
{
    int err = stopper_start(front, &front->stopper);
    if (!err) {
        err = loop_run(front->session, FRONT_THREADS_MAX, front->threads_idle);
        stopper_loop_ended(front->stopper);
    }
    return err > 0 ? -err : err;
}

void fuse_front_stop(struct fuse_front *front)
{
    if (front->stopper)
        stopper_ask(front->stopper);
}

void fuse_front_free(struct fuse_front *front)
{
    if (!front)
        return;
    if (front->notify) {
        engine_watch(front->engine, NULL);
        notify_stop(front->notify);
    }
    if (front->stopper)
        stopper_cut(front->stopper);
    notify_free(front->notify);
    if (front->session)
        fuse_session_unmount(front->session);
    stopper_free(front->stopper);
    if (front->session)
        fuse_session_destroy(front->session);
    dirs_close(&front->dirs);
    hidden_table_free(front->hidden);
    free(front->mountpoint);
    free(front->versions_name);
    free(front->at_name);
    free(front);
}
