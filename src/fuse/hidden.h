/* SPDX-License-Identifier: GPL-3.0-or-later
 * Hidden nodes: what stands under .versions and .at. The table gives them node ids (top bit set, never given
 * twice by one daemon; the generation tells daemons apart); those that the kernel forgot last are kept for a
 * while, for who comes by handle (NFS). Kinds say what they show.
 *
 * To add a kind: a `const struct hidden_kind` in hidden_NAME.c and a way to it from another kind or from
 * hidden_enter(). */
#ifndef HOLDFS_FUSE_HIDDEN_H
#define HOLDFS_FUSE_HIDDEN_H

#include "fuse/dir.h"
#include "fuse/front.h"

struct hidden_node;

/* What a node is, and all that makes it another one. */
struct hidden_spec {
    const struct hidden_kind *kind;
    bool top;        /* .versions or .at/TIME itself, which hangs in a live directory */
    uint32_t bucket; /* 0: all of them (the mount's root) */
    struct span key;
    uint64_t seq;      /* of a version; else 0 */
    struct instant at; /* below .at/TIME */
    uint64_t live_ino; /* the live directory at the same place, whose owner and mode it shows; or 0 */
    uint64_t origin;   /* the live directory it hangs below; not part of its identity */
    const char *path;  /* from there on, as it was walked; the same */
    struct engine_attr
        attr; /* as it was when the node was made: size and mtime of a file are part of its identity, since
               * the kernel never takes a new size for a file it knows (write-back cache) */
};

struct hidden_node {
    struct hidden_spec spec;                       /* key and path owned by the node; fixed */
    uint64_t id;                                   /* fixed */
    struct hidden_node *next_by_id, *next_by_spec; /* table's lock, as all that follows */
    uint64_t nlookup;                              /* of the kernel */
    unsigned uses;                                 /* of requests under way */
    struct hidden_node *idle_prev, *idle_next;     /* while neither: of those kept all the same */
    bool emptied; /* something was removed in it: may still be shown empty, until rmdir */
    bool removed; /* by rmdir: not found by its spec any more */
};

/* What a kind of node does. NULL: not for this kind (ENOTDIR, EROFS, ENODATA as fits). */
struct hidden_kind {
    uint32_t type; /* S_IFDIR, or 0: as the version says */
    int (*attr)(struct call *c, const struct hidden_node *node, struct engine_attr *ret);
    /* The child's spec; its key may point into buf (4096 bytes). */
    int (*lookup)(struct call *c, const struct hidden_node *dir, const char *name, size_t len, uint8_t *buf,
                  struct hidden_spec *ret);
    int (*list)(struct call *c, const struct hidden_node *dir, const struct dir_cursor *after,
                struct dir_batch *batch);
    int (*unlink)(struct call *c, const struct hidden_node *dir, const char *name, size_t len);
    int (*rmdir)(struct call *c, const struct hidden_node *dir, const char *name, size_t len);
    bool locks_settable; /* properties may be set and removed */
};

extern const struct hidden_kind hidden_history_kind;   /* .versions and the directories in it */
extern const struct hidden_kind hidden_version_kind;   /* a version in .versions */
extern const struct hidden_kind hidden_menu_kind;      /* .at */
extern const struct hidden_kind hidden_past_kind;      /* a directory as it stood */
extern const struct hidden_kind hidden_past_file_kind; /* a version as .at shows it */

/* ---- the table (hidden.c) ---- */

int hidden_table_new(struct hidden_table **ret);
void hidden_table_free(struct hidden_table *t); /* NULL is accepted */
/* The node of this spec, made if there is none; a use is taken. NULL: out of memory. */
struct hidden_node *hidden_intern(struct hidden_table *t, const struct hidden_spec *spec);
struct hidden_node *hidden_get(struct hidden_table *t, fuse_ino_t id); /* takes a use; NULL: forgotten */
void hidden_put(struct hidden_table *t, struct hidden_node *node);
void hidden_forget(struct hidden_table *t, fuse_ino_t id, uint64_t nlookup);
/* The directory below `dir` with this key that was emptied here and not yet removed; takes a use. */
struct hidden_node *hidden_find_emptied(struct hidden_table *t, const struct hidden_spec *spec);
void hidden_mark_emptied(struct hidden_table *t, const struct hidden_spec *spec); /* all nodes at its place */
void hidden_mark_removed(struct hidden_table *t, struct hidden_node *node);
uint64_t hidden_origin(struct hidden_table *t, fuse_ino_t id);
void hidden_path(struct hidden_table *t, fuse_ino_t id, struct bytes *out); /* the node's path below its origin */
uint64_t hidden_ino(struct hidden_table *t, fuse_ino_t id);
/* The inode number stat and readdir show: the same for the same thing as long as the store lives. */
uint64_t hidden_spec_ino(const struct hidden_spec *spec);
/* Answers a lookup with the node, whose use is given back. */
void hidden_reply(struct call *c, struct hidden_node *node, const struct engine_attr *attr);

/* Key of `name` below the directory `key`, into buf; -ENAMETOOLONG. */
int hidden_child_key(struct span key, const char *name, size_t len, uint8_t buf[4096], struct span *ret);
static inline struct engine_place hidden_place(const struct hidden_node *node)
{
    return (struct engine_place){.bucket = node->spec.bucket, .key = node->spec.key};
}
/* Owner and mode of the live directory at the same place, or of what was one; else as recorded. */
int hidden_dir_attr(struct call *c, const struct hidden_node *node, struct engine_attr *ret);
/* A version's attributes as they are now. */
int hidden_version_attr(struct call *c, const struct hidden_node *node, struct engine_attr *ret);

/* ---- what the handlers call (hidden_ops.c); those that return nothing answer the request ---- */

void hidden_enter(struct call *c, uint64_t dir, enum hidden_name which); /* from a live directory */
void hidden_lookup(struct call *c, fuse_ino_t parent, const char *name);
void hidden_getattr(struct call *c, fuse_ino_t id);
void hidden_setattr(struct call *c, fuse_ino_t id, const struct stat *st, int to_set);
int hidden_list(struct call *c, fuse_ino_t id, const struct dir_cursor *after, struct dir_batch *batch);
int hidden_open(struct call *c, fuse_ino_t id, int flags, struct engine_handle **ret);
int hidden_readlink(struct call *c, fuse_ino_t id, char *buf, size_t cap);
int hidden_unlink(struct call *c, fuse_ino_t parent, const char *name);
int hidden_rmdir(struct call *c, fuse_ino_t parent, const char *name);
int hidden_xattr_get(struct call *c, fuse_ino_t id, const char *name, struct bytes *out);
int hidden_xattr_list(struct call *c, fuse_ino_t id, struct bytes *out);
int hidden_xattr_set(struct call *c, fuse_ino_t id, const char *name, const void *value, size_t len,
                     int flags);
int hidden_xattr_remove(struct call *c, fuse_ino_t id, const char *name);

#endif
