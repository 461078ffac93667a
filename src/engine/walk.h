/* SPDX-License-Identifier: GPL-3.0-or-later
 * Walking version rows: which version of a key stood at an instant, which names lie below a prefix, every row
 * of the store in batches. Shared by history, at, restore, status and upkeep; private to src/engine.
 *
 * "Visible" means not VERSION_REPLACED. Functions marked M want engine.meta held; those marked M* let it go
 * and take it again every few hundred rows, so nothing borrowed from a bucket or a row outlives the call. */
#ifndef HOLDFS_ENGINE_WALK_H
#define HOLDFS_ENGINE_WALK_H

#include "engine/private.h"

enum {
    WALK_KEY_BYTES = 4096, /* what meta_ops.version_next_key fills at most */
    WALK_BATCH_ROWS = 256, /* rows looked at before others get the lock */
};

/* A key with room for a name or a separator behind it. */
struct walk_key {
    size_t len;
    uint8_t p[WALK_KEY_BYTES + 260];
};
static inline struct span walk_span(const struct walk_key *k)
{
    return span_of(k->p, k->len);
}
void walk_key_set(struct walk_key *k, struct span from);
int walk_key_add(struct walk_key *k, const void *p, size_t len); /* -ENAMETOOLONG */
/* `place`'s key with the slash its children have ("" stays ""). */
int walk_prefix(struct walk_key *k, struct span place);
/* The first position behind everything that starts with `k` + '/'. `k` without the slash. */
int walk_behind_subtree(struct walk_key *k);

/* The plain columns of a row. */
struct walk_head {
    uint64_t seq, ino;
    uint32_t flags;
    int64_t publish_ns;
    uint8_t id[20];
    bool latest; /* the newest visible row of its key */
};

/* The newest visible version published at or before at_ns (INT64_MAX: the newest); a marker counts. `full`
 * may be NULL; else it is decoded and the caller's. -ENOENT. M */
int walk_version_at(struct engine *e, uint32_t bucket, struct span key, int64_t at_ns, struct walk_head *head,
                    struct version *full);
static inline bool walk_shows(const struct walk_head *h) /* an object, not a marker */
{
    return !(h->flags & VERSION_MARKER);
}

/* The next key >= from (> when !inclusive) starting with `prefix`; its rows may all be invisible. -ENOENT at
 * the end. M */
int walk_next_key(struct engine *e, uint32_t bucket, struct span prefix, struct span from, bool inclusive,
                  struct walk_key *ret);

/* Lets others have the lock after every WALK_BATCH_ROWS calls. M* */
void walk_breathe(struct engine *e, unsigned *count);

/* Does any key below `subtree` (with its slash) have a visible version, or (at_ns < INT64_MAX) an object
 * shown then? 1, 0. M* */
int walk_subtree_shows(struct engine *e, uint32_t bucket, const struct walk_key *subtree, int64_t at_ns,
                       unsigned *count);

/* ---- names below a directory ---- */

struct walk_names {
    struct engine *e;
    uint32_t bucket;
    int64_t at_ns;          /* INT64_MAX: history, where markers count too */
    struct walk_key prefix; /* with its slash */
    struct walk_key from;   /* where to look next */
    bool inclusive;
    struct walk_key peek; /* the key behind the last one, when `peeked` */
    int peeked;           /* 0 no, 1 yes, 2 there is none */
    unsigned count;       /* rows since the lock was let go */
};

struct walk_name {
    struct walk_key key; /* whole key; the name stands behind the prefix */
    size_t name_at;
    bool is_key, is_dir;
    struct walk_head head; /* when is_key */
};

/* Starts behind the name `after` (length 0: at the first). Names come in the order of the keys by which they
 * are met: a name that is only a prefix stands where its slash sorts. M* */
int walk_names_start(struct walk_names *w, struct engine *e, const struct engine_place *dir, int64_t at_ns,
                     const char *after, size_t after_len);
/* 1 with *ret, 0 at the end. M* */
int walk_names_next(struct walk_names *w, struct walk_name *ret);
/* A direct child that is a key, with the version it showed then. */
struct walk_pick {
    struct walk_key key;
    struct walk_head head;
    bool maybe_dir; /* whether keys lie below it is not known */
};
/* The children that come next as long as they are plain keys, at most `max`, in one scan: what
 * walk_names_next() would say of them, far cheaper. Only for an instant, not for history. The count, perhaps
 * 0: then walk_names_next() goes on. M */
int walk_names_run(struct walk_names *w, struct walk_pick *picks, unsigned max);

/* One name, asked for. 0 or -ENOENT. M* */
int walk_name_find(struct engine *e, const struct engine_place *dir, int64_t at_ns, const char *name,
                   size_t len, struct walk_name *ret);
/* Was `key` made by mkdir by then, and is still a directory? M. 1, 0 or -errno; *ret_body (may be NULL) is
 * the caller's when 1. */
int walk_made_dir(struct engine *e, uint32_t bucket, struct span key, int64_t at_ns, uint64_t *ret_ino,
                  struct inode_body *ret_body);

/* ---- every row of a bucket, or below a prefix, in batches ---- */

struct walk_rows {
    uint32_t bucket;
    struct walk_key prefix; /* "" for all; compared as bytes */
    struct walk_key key;    /* of the last row handed out */
    uint64_t seq;           /* its sequence; 0: all of `key` is done, or nothing yet */
    bool started;
};
void walk_rows_start(struct walk_rows *w, uint32_t bucket, struct span prefix);
/* Calls fn for at most `max` rows (invisible ones too). 1 when there may be more, 0 at the end, or fn's
 * error; fn must not call meta and returns 0, or 1 to stop behind this row. M */
int walk_rows_next(struct engine *e, struct walk_rows *w, unsigned max, meta_version_fn *fn, void *arg);

/* Calls fn for every row of one bucket below `prefix`, or with bucket 0 of the whole store, letting go of the
 * lock between batches; fn as in walk_rows_next. `between` (may be NULL) is called without the lock after
 * each batch; non-zero ends the walk with it. M is taken here. */
int walk_all(struct engine *e, uint32_t bucket, struct span prefix, meta_version_fn *fn, void *arg,
             int (*between)(void *arg));
/* Publishes and seals every open draft at or below a place (seal.c). No lock held. */
int seal_below(struct engine *e, struct caller *c, const struct engine_place *place);
/* Numbers of all buckets; the caller frees. M is taken here. */
int walk_buckets(struct engine *e, uint32_t **ret, size_t *ret_count);

#endif
