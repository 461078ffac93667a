/* SPDX-License-Identifier: GPL-3.0-or-later
 * The metadata engine: an ordered, transactional store of rows. It knows tables and order, not rules.
 *
 * Called by the engine only, always under the engine's one meta lock (so an implementation needs no lock of its
 * own for these calls, but meta_sync() and meta_checkpoint() which are called without it, from another thread).
 * To add an implementation: src/meta/NAME.c with a `const struct meta_ops`, and one line in meta_table[] of
 * meta.c; tests/engine/test_meta.c runs every check over each entry of that table.
 *
 * All functions return 0 or a negative errno: -ENOENT no such row, -EIO a page failed its check (the reason names
 * it), -ENOSPC the backing store is full. Rows handed out are borrowed until the next call on the same meta,
 * unless said otherwise. Keys are byte strings (pointer and length, may hold any byte but zero); they order by
 * memcmp, shorter first. */
#ifndef HOLDFS_META_META_H
#define HOLDFS_META_META_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct meta;
struct meta_rekey;
struct reason;

struct span {
    const uint8_t *p;
    size_t len;
};

/* ---- rows ---- */

/* TREE_SPECIAL: an object that is no regular file (symbolic link, device...); its version says which. */
enum tree_kind { TREE_OBJECT = 1, TREE_DIR = 2, TREE_SPECIAL = 3 };

/* One live name of a bucket: what readdir and lookup see. A directory's key has no trailing slash; the bucket's
 * root is the row with the empty key. */
struct tree_row {
    uint32_t bucket;
    struct span key;
    uint64_t ino;
    uint8_t kind; /* enum tree_kind */
};

/* One inode: the way back from number to name. `body` is the engine's (directory attributes, generation, link count). */
struct inode_row {
    uint64_t ino;
    uint32_t bucket;
    struct span key; /* its first name */
    struct span body;
};

enum version_flags {
    VERSION_MARKER = 1,   /* delete marker: no content */
    VERSION_NULL = 2,     /* its id is `null` */
    VERSION_REPLACED = 4, /* a null version whose successor is not yet durable; invisible, kept for rollback */
    VERSION_MOUNT = 8,    /* made through the mount */
    VERSION_SPECIAL = 16, /* no regular file: a link, a device, a FIFO, a socket */
    VERSION_UPLOAD = 32,  /* of a multipart upload, never of a key; always with VERSION_REPLACED, so that nothing shows it */
};

/* One version of one key, ordered by (bucket, key, seq). The lock columns are plain so that they can be asked for;
 * everything else about a version is in `body`, the engine's packed form (engine/record.h). */
struct version_row {
    uint32_t bucket;
    struct span key;
    uint64_t seq;       /* publish sequence, unique in the store */
    uint8_t id[20];     /* the 160 bits of the version id; zeros with VERSION_NULL */
    int64_t publish_ns; /* wall clock at publish, ns since 1970 */
    uint32_t flags;     /* enum version_flags */
    uint64_t ino;
    uint8_t lock_mode;     /* 0 none, 1 GOVERNANCE, 2 COMPLIANCE */
    int64_t lock_until_ms; /* date shown, ms since 1970 */
    int64_t lock_hold_s;   /* in force while compliance clock C < this second */
    uint8_t legal_hold;    /* 0 never set, 1 OFF, 2 ON */
    struct span body;
    struct span data; /* inline content: one sealed frame, or empty */
};

struct bucket_row {
    uint32_t bucket; /* number in this store, never reused */
    struct span name;
    struct span body;
};

/* What a key-encryption key is for; part of what its wrap is bound to. */
enum kek_kind { KEK_BUCKET = 1, KEK_KMS = 2, KEK_ACCESS = 3 /* seals access keys */, KEK_TRAIL = 4 /* signs the audit trail */ };

/* A key-encryption key, wrapped. */
struct kek_row {
    uint8_t id[16];
    uint32_t version;
    uint8_t kind; /* enum kek_kind */
    uint64_t epoch;
    uint8_t bucket[16]; /* bucket UUID; zeros for the other kinds */
    uint8_t wrapped[72];
};

/* Anything small that belongs to the store, by name: clock, counters, durable point, settings. */

/* A part of a draft that must survive a crash: (ino, part) -> body. Part 0 is the draft's head. */
struct draft_row {
    uint64_t ino;
    uint32_t part;
    struct span body;
};

/* A version waiting to settle. */
struct unsettled_row {
    uint32_t bucket;
    struct span key;
    uint64_t seq;
};

/* The audit trail: records seq..last in one row, and signed heads (seq = last). Rows do not overlap; the body is the engine's. */
enum meta_trail { TRAIL_RECORDS, TRAIL_HEADS };
struct trail_row {
    uint64_t seq, last;
    struct span body;
};

/* Row callbacks return 0 to go on, 1 to stop (the scan then returns 0), or a negative errno (the scan returns it).
 * They must not call back into the same meta; collect, then act. */
enum { META_SKIP_KEY = 2 };
typedef int meta_tree_fn(void *arg, const struct tree_row *row);
typedef int meta_version_fn(void *arg, const struct version_row *row);
typedef int meta_bucket_fn(void *arg, const struct bucket_row *row);
typedef int meta_kek_fn(void *arg, const struct kek_row *row);
typedef int meta_draft_fn(void *arg, const struct draft_row *row);
typedef int meta_unsettled_fn(void *arg, const struct unsettled_row *row);
typedef int meta_trail_fn(void *arg, const struct trail_row *row);
typedef int meta_value_fn(void *arg, const char *name, struct span value);
typedef int meta_link_fn(void *arg, uint32_t bucket, struct span key);

/* Of long copying: pages done and in all. Non-zero ends it with -ECANCELED. */
struct meta_progress {
    int (*fn)(void *arg, uint64_t done, uint64_t total); /* NULL: none */
    void *arg;
};

struct meta_config {
    const char *dir;          /* the store's directory; files are made in it, mode 0600 */
    const uint8_t *store_id;  /* 16 bytes */
    const uint8_t *page_key;  /* 32 bytes, copied into locked memory */
    uint32_t page_size_bytes; /* from store.hdr */
    uint64_t cache_bytes;     /* page cache, plaintext */
    bool create;              /* make the database; -EEXIST if there */
    bool read_only;           /* nothing is written, files stay as they are */
    /* Called when a page, WAL record or ledger block fails its check; any thread, no locks of meta held but its own. */
    void (*integrity)(void *arg, const char *what);
    void *integrity_arg;
};

struct meta_ops {
    const char *name;
    int (*open)(const struct meta_config *config, struct meta **ret, struct reason *reason);
    void (*close)(struct meta *m); /* checkpoints; NULL is accepted */

    /* Transactions do not nest. Calls that write outside one are a bug (assert). After a failed write only
     * rollback is allowed. commit: survives the death of the process; one that fails has rolled back. commit_seq rises by one per
     * commit that wrote. */
    int (*begin)(struct meta *m);
    int (*commit)(struct meta *m);
    void (*rollback)(struct meta *m);
    /* Everything committed before the call survives a power cut after it. May be called without the lock, by several
     * threads at once (one sync serves all that wait). */
    int (*sync)(struct meta *m);
    /* Commits may gather in a log of rows; this moves them on. Under the lock, no transaction under way: now and then. */
    int (*flush)(struct meta *m);
    /* Moves the log into the database when it is longer than its soft limit (or always, with `force`: then no other copy of
     * what was there before is left). `lock` is the lock, which it takes for a moment; NULL where the caller has it. */
    int (*checkpoint)(struct meta *m, bool force, pthread_mutex_t *lock);
    int (*check)(struct meta *m, void (*line)(void *arg, const char *text), void *arg); /* integrity_check; for fsck */
    uint64_t (*commit_seq)(struct meta *m);
    uint64_t (*bytes)(struct meta *m); /* size of its files on disk */

    /* The database under another page key, in files of their own in the folder `dir` (empty), then in its place
     * (encryption.md §1.4). begin copies while the database is in use, without the lock; checkpoints wait for it. finish, under
     * the lock, copies what changed since: then the folder holds all of it, durable, and the log is empty. Before anything else
     * is written either adopt() goes on with the copy in place of the old files, or the copy is given up. move() does
     * adopt's part on files of a store that is not open, also after a crash within it; drop() removes a copy. A copy given up
     * is a database of its own, as it was at that moment: backups and checkpoints are such, under the same page key or another. */
    int (*rekey_begin)(struct meta *m, const char *dir, const uint8_t page_key[32], struct meta_progress progress,
                       struct meta_rekey **ret, struct reason *reason);
    int (*rekey_finish)(struct meta *m, struct meta_rekey *k);
    int (*rekey_adopt)(struct meta *m, struct meta_rekey *k);
    void (*rekey_free)(struct meta_rekey *k); /* NULL is accepted */
    int (*rekey_move)(const char *from, const char *dir);
    int (*rekey_drop)(const char *from);

    int (*tree_get)(struct meta *m, uint32_t bucket, struct span key, struct tree_row *ret);
    int (*tree_put)(struct meta *m, const struct tree_row *row); /* inserts or replaces */
    int (*tree_del)(struct meta *m, uint32_t bucket, struct span key);
    /* Rows of the bucket with key >= from (> from when !inclusive), in order. */
    int (*tree_scan)(struct meta *m, uint32_t bucket, struct span from, bool inclusive, meta_tree_fn *fn, void *arg);
    /* The same of TREE_DIR rows alone, without passing the others. */
    int (*tree_scan_dirs)(struct meta *m, uint32_t bucket, struct span from, bool inclusive, meta_tree_fn *fn, void *arg);

    int (*inode_get)(struct meta *m, uint64_t ino, struct inode_row *ret);
    int (*inode_put)(struct meta *m, const struct inode_row *row);
    int (*inode_del)(struct meta *m, uint64_t ino);
    /* Further names of an inode, beside the one in its row. */
    int (*link_put)(struct meta *m, uint64_t ino, uint32_t bucket, struct span key);
    int (*link_del)(struct meta *m, uint64_t ino, uint32_t bucket, struct span key);
    int (*link_scan)(struct meta *m, uint64_t ino, meta_link_fn *fn, void *arg);

    int (*version_put)(struct meta *m, const struct version_row *row); /* inserts or replaces (bucket, key, seq) */
    int (*version_del)(struct meta *m, uint32_t bucket, struct span key, uint64_t seq);
    int (*version_get)(struct meta *m, uint32_t bucket, struct span key, uint64_t seq, struct version_row *ret);
    /* Versions of one key, newest first, with seq <= from_seq (UINT64_MAX: all). */
    int (*version_scan)(struct meta *m, uint32_t bucket, struct span key, uint64_t from_seq, meta_version_fn *fn,
                        void *arg);
    /* The same, oldest first, with seq > after_seq. */
    int (*version_scan_up)(struct meta *m, uint32_t bucket, struct span key, uint64_t after_seq, meta_version_fn *fn,
                           void *arg);
    /* Versions of all keys with key >= from (> when !inclusive), keys ascending, within a key newest first. */
    int (*version_scan_keys)(struct meta *m, uint32_t bucket, struct span from, bool inclusive, meta_version_fn *fn,
                             void *arg);
    /* The same rows, far cheaper, with bucket, key, seq, publish_ns, flags and ino alone, those published by
     * until_ns: for listings of the past. fn may also return META_SKIP_KEY: on with the next key. */
    int (*version_scan_heads)(struct meta *m, uint32_t bucket, struct span from, bool inclusive, int64_t until_ns,
                              meta_version_fn *fn, void *arg);
    /* The next key >= from (> when !inclusive) that has any version: copied into buf (4096 bytes). */
    int (*version_next_key)(struct meta *m, uint32_t bucket, struct span from, bool inclusive, uint8_t *buf,
                            size_t *ret_len);
    /* Every version row with seq > after, in any order; for recovery. */
    int (*version_scan_since)(struct meta *m, uint64_t after_seq, meta_version_fn *fn, void *arg);
    int (*version_count)(struct meta *m, uint32_t bucket, uint64_t *ret_objects, uint64_t *ret_markers);

    int (*bucket_put)(struct meta *m, const struct bucket_row *row);
    int (*bucket_del)(struct meta *m, uint32_t bucket);
    int (*bucket_scan)(struct meta *m, meta_bucket_fn *fn, void *arg); /* by name */

    int (*kek_put)(struct meta *m, const struct kek_row *row);
    int (*kek_del)(struct meta *m, const uint8_t id[16], uint32_t version);
    int (*kek_scan)(struct meta *m, meta_kek_fn *fn, void *arg);

    int (*draft_put)(struct meta *m, const struct draft_row *row);
    int (*draft_del)(struct meta *m, uint64_t ino); /* all its parts; fine if none */
    int (*draft_scan)(struct meta *m, meta_draft_fn *fn, void *arg); /* by ino, part */

    int (*unsettled_put)(struct meta *m, const struct unsettled_row *row);
    int (*unsettled_del)(struct meta *m, const struct unsettled_row *row); /* fine if none */
    int (*unsettled_scan)(struct meta *m, meta_unsettled_fn *fn, void *arg);

    int (*trail_put)(struct meta *m, enum meta_trail which, const struct trail_row *row);
    int (*trail_del)(struct meta *m, enum meta_trail which, uint64_t from, uint64_t to); /* rows that begin there; fine if none */
    /* Rows that begin at or after `from` in order, or with `down` at or before it, newest first. */
    int (*trail_scan)(struct meta *m, enum meta_trail which, uint64_t from, bool down, meta_trail_fn *fn, void *arg);

    int (*value_get)(struct meta *m, const char *name, struct span *ret); /* -ENOENT if never set */
    int (*value_put)(struct meta *m, const char *name, struct span value);
    int (*value_del)(struct meta *m, const char *name); /* fine if none */
    int (*value_scan)(struct meta *m, const char *prefix, meta_value_fn *fn, void *arg); /* names that begin so, in order */
};

/* The implementation of that name ("sqlite"), or NULL. */
const struct meta_ops *meta_find(const char *name);

static inline struct span span_of(const void *p, size_t len)
{
    return (struct span){.p = (const uint8_t *)p, .len = len};
}

#endif
