/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the files of this room share: the front, one call of the kernel, numbers and attributes as FUSE has
 * them.
 *
 * The FUSE node id of a live file is the engine's inode number, so no table of live inodes is kept and FORGET
 * has nothing to do. Only hidden nodes (hidden.h) have a table; their ids have the top bit set. */
#ifndef HOLDFS_FUSE_FRONT_H
#define HOLDFS_FUSE_FRONT_H

#define FUSE_USE_VERSION 314

#include "engine/engine.h"

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

struct hidden_table;
struct notify;
struct stopper;

enum {
    FRONT_REQUEST_BYTES = 1 << 20,  /* largest read and write; what the kernel can do (256 pages) */
    FRONT_READ_AHEAD_KIB = 8192,    /* measured: cold sequential reads gain up to here */
    FRONT_DIRTY_RATIO_PERCENT = 20, /* of the dirty page limit; FUSE's 1 % starves write-back */
    FRONT_THREADS_MAX = 64,         /* fsync and key services wait in a thread each */
    FRONT_THREADS_IDLE = 4,         /* of those, keep a buffer of FRONT_REQUEST_BYTES while they wait */
    FRONT_WRITER_SLOTS = 1024,
    FRONT_NAME_BYTES = 255,
};

/* Entries and attributes are valid until told otherwise; seconds. */
#define FRONT_FOREVER 1e9

struct dir;
/* Directories that are open: the kernel releases no handle once the connection is cut. */
struct dir_list {
    pthread_mutex_t lock;
    struct dir *first; /* lock */
};

struct fuse_front {
    struct engine *engine;
    struct fuse_session *session;
    char *mountpoint, *versions_name, *at_name;
    uint64_t root_ino; /* the engine's inode shown as FUSE_ROOT_ID */
    bool shared, list_xattrs_all;
    bool setxattr_ext; /* agreed with the kernel at INIT (wire.c) */
    unsigned threads_idle;
    struct hidden_table *hidden;
    struct dir_list dirs;
    struct notify *notify;
    struct stopper *stopper;
    void (*ready)(void *arg);
    void *ready_arg;
    /* Handles open for writing, counted by inode number modulo the slots: 0 means that the kernel has no
     * dirty pages. */
    atomic_uint writers[FRONT_WRITER_SLOTS];
};

/* One request of the kernel on its way through a handler. Lives on the handler's stack. */
struct call {
    fuse_req_t req;
    struct fuse_front *front;
    struct caller caller;
    const char *operation; /* the system call's name, for last-error */
    fuse_ino_t node;
    uint64_t ino;          /* engine inode it is about, for last-error; of a hidden node the live directory it hangs below */
    const char *name;      /* below that inode, or NULL */
    size_t name_len;
};

struct fuse_front *front_of(fuse_req_t req);
void call_begin(struct call *c, fuse_req_t req, const char *operation, fuse_ino_t node, const char *name);
/* Records the refusal if it has words, and answers. `error` is 0 or -errno. */
void call_reply(struct call *c, int error);
void call_reply_entry(struct call *c, uint64_t dir, const struct engine_attr *attr);
/* -EROFS with words, when `node` is hidden or `name` in it is one of the hidden names; else 0. */
int call_refuse_hidden(struct call *c, fuse_ino_t node, const char *name);

uint64_t front_ino(const struct fuse_front *f, fuse_ino_t node);
fuse_ino_t front_node(const struct fuse_front *f, uint64_t ino);
void front_stat(const struct fuse_front *f, const struct engine_attr *attr, struct stat *ret);
void front_entry(const struct fuse_front *f, uint64_t dir, const struct engine_attr *attr,
                 struct fuse_entry_param *ret);
double front_entry_timeout(const struct fuse_front *f, uint64_t dir);

static inline bool node_is_hidden(fuse_ino_t node)
{
    return node >> 63;
}

enum hidden_name { HIDDEN_NAME_NONE, HIDDEN_NAME_VERSIONS, HIDDEN_NAME_AT };
/* What `name` is in the live directory `dir`. */
enum hidden_name front_hidden_name(const struct fuse_front *f, uint64_t dir, const char *name);

static inline atomic_uint *front_writers(struct fuse_front *f, uint64_t ino)
{
    return &f->writers[ino % FRONT_WRITER_SLOTS];
}

/* The handlers, by file. */
/* ops_tree.c */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set, struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t node);
void op_statfs(fuse_req_t req, fuse_ino_t node);
void op_forget(fuse_req_t req, fuse_ino_t node, uint64_t nlookup);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
/* ops_names.c */
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
               unsigned flags);
/* ops_file.c */
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t offset,
              struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi);
void op_ioctl(fuse_req_t req, fuse_ino_t node, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags, const void *in_buf,
              size_t in_size, size_t out_size);
void op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length,
                  struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t in_node, off_t in_offset, struct fuse_file_info *in,
                        fuse_ino_t out_node, off_t out_offset, struct fuse_file_info *out, size_t length,
                        int flags);
void op_lseek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence, struct fuse_file_info *fi);
/* dir.c */
void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void dirs_close(struct dir_list *open); /* what was not released; ends the list */
void op_fsyncdir(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi);
/* ops_xattr.c */
void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value, size_t size,
                 int flags);
void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name);

#endif
