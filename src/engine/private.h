/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the files of src/engine share. Nothing outside includes it.
 *
 * Lock order: inode.content -> engine.meta -> (leaf locks: keyring.lock, errors.lock, tsa.lock, iam.lock -> mfa.lock). "M" behind a field: guarded by
 * engine.meta; "C": by the inode's content lock; "A": atomic. */
#ifndef HOLDFS_ENGINE_PRIVATE_H
#define HOLDFS_ENGINE_PRIVATE_H

#include "engine/engine.h"
#include "engine/record.h"
#include "block/block.h"
#include "pipeline/content.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/secret.h"
#include "util/text.h"
#include "util/xaes.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { NO_UID = UINT32_MAX }; /* a caller over S3 whom no uid belongs to: what he makes is the bucket root's owner's */

enum versioning { VERSIONING_UNVERSIONED = 0, VERSIONING_ENABLED = 1, VERSIONING_SUSPENDED = 2 };
enum lock_mode { LOCK_NONE = 0, LOCK_GOVERNANCE = 1, LOCK_COMPLIANCE = 2 };
enum mfa_delete { MFA_DELETE_NEVER = 0, MFA_DELETE_DISABLED = 1, MFA_DELETE_ENABLED = 2 }; /* never: it was never said */
enum { SSE_KEY_CHARS = 320 }; /* an alias's ARN */
enum hold_state { HOLD_NEVER = 0, HOLD_OFF = 1, HOLD_ON = 2 };

/* A bucket, in memory as in its row's body (bucket.c encodes it). M. */
struct bucket {
    uint32_t number;
    char name[64];
    uint8_t uuid[16];
    uint64_t root_ino;
    int64_t created_ns;
    char account[13]; /* owner */
    enum versioning versioning;
    bool object_lock;
    enum lock_mode default_mode; /* default retention, or LOCK_NONE */
    uint32_t default_days, default_years; /* one of them */
    int64_t settle_s;
    int64_t orphan_keep_s; /* 0 leave nothing; INT64_MAX forever */
    bool compress;
    uint32_t mode_mask;
    struct attrs tags; /* ATTR_TAG */
    enum mfa_delete mfa_delete; /* M: a row of its own, iam/bucket/N/mfa */
    struct policy *policy; /* iam.lock (written under M as well); NULL: none */
    int block;           /* the same: public access block, -1: no configuration */
    bool by_key;         /* M: some policy tells callers apart by key in it (auth.md §7) */
    uint8_t kek_id[16];
    uint32_t kek_version; /* newest */
    /* Default encryption (encryption.md §3.2) */
    enum envelope_mode sse_mode; /* ENVELOPE_SSE_S3 or _KMS */
    char sse_key[SSE_KEY_CHARS]; /* as given; "": alias/aws/s3 */
    bool sse_bucket_key;
    bool sse_c_blocked; /* BlockedEncryptionTypes: SSE-C */
    struct bucket *dead_next; /* removed, but handles may still point to it */
};

/* How long what was written and unlinked before it settled is kept: with MFA delete for good (retention.md §1.6, S2d). M. */
static inline int64_t bucket_orphan_keep_s(const struct bucket *b)
{
    return b->mfa_delete == MFA_DELETE_ENABLED ? INT64_MAX : b->orphan_keep_s;
}

/* The identity of one version, where a pointer would not live long enough. The key is owned. */
struct version_ref {
    uint32_t bucket;
    uint64_t seq;
    size_t key_len;
    uint8_t *key;
};

/* One version's row, decoded and owned. */
struct version {
    uint32_t bucket;
    uint8_t *key;
    size_t key_len;
    uint64_t seq;
    uint8_t id[20];
    int64_t publish_ns;
    uint32_t flags; /* enum version_flags */
    uint64_t ino;
    enum lock_mode lock_mode;
    int64_t lock_until_ms, lock_hold_s;
    enum hold_state legal_hold;
    struct record record;
};
void version_done(struct version *v);

/* Content ready to be read: a map nobody changes, and its keys opened. Reference-counted (A). */
struct content {
    atomic_int refs;
    struct extmap *map;
    struct content_key **keys; /* map->dek_count */
    size_t key_count;
    struct envelope *env; /* what the keys came from; NULL: the bucket's key */
    struct content *gc_prev, *gc_next; /* all contents in use; gc.c's lock */
};

struct draft; /* draft.c */
struct may;   /* may.c, below */

/* An inode in use. Found through inode_get(); freed by inode_put() when unused (a bounded number stays cached). */
struct inode {
    uint64_t ino;
    struct inode *hash_next; /* M */
    struct inode *lru_prev, *lru_next; /* M */
    unsigned refs;           /* M */
    bool dir;                /* fixed */
    bool orphan;             /* M: no name left */
    bool half;               /* M: not kept when it is given back: loaded by inode_get_name() while it had no version (attributes
                              * unknown), or changed by a transaction that might fail */
    struct bucket *bucket;   /* fixed (NULL for the mount's root) */
    uint8_t *key;            /* M: its first name; "" for a bucket's root */
    size_t key_len;
    uint64_t generation;
    uint32_t nlink;          /* M */
    struct record record;    /* M: attributes of the current version, of the draft, or of the directory (record.map is the published content's) */
    uint64_t seq;            /* M: current version's sequence under `key`; 0: none yet */
    uint64_t data_bytes;     /* M: bytes of the current content that are not holes */
    bool times_dirty;        /* M: a directory whose times are not yet in its row */
    struct inode *dirty_next; /* M: list of those */
    struct inode *unsaved_next; /* M: created, not committed yet (txn.c) */
    bool touched;               /* M: among engine.touched */

    pthread_rwlock_t content_lock;
    struct content *_Atomic content; /* published content, NULL until first needed: replaced under C (write), read under C */
    atomic_bool content_stale; /* A: set under M when the current version changed without C; the next user loads it anew */
    struct draft *draft;     /* C (pointer also read under M) */
    atomic_uint writers;     /* A: writable handles */
    atomic_uint handles;     /* A */
    atomic_ullong live_size; /* A: size while a draft is open */
    atomic_llong live_mtime_ns; /* A: last write while a draft is open; 0: none */
};

struct engine_handle {
    struct engine *engine;
    struct engine_handle *prev, *next; /* M: of engine.handles */
    struct inode *inode;     /* NULL for a handle on an old version */
    struct content *content; /* old versions: pinned */
    uint64_t size_bytes;     /* old versions */
    uint32_t uid;
    struct principal principal;
    bool writable;
    struct envelope *env;    /* KMS or customer key that was opened for it, or that what it begins anew is to be under */
    struct data_key *kek;    /* the same, open */
    const struct envelope *_Atomic seen; /* A: content under this may be read through it (env, or NULL) */
    atomic_bool taken;       /* A: its key was taken away */
    uint32_t env_bucket;
    bool fresh;              /* opened with O_TRUNC: `env` (NULL: the bucket's key) is for content that begins empty */
};

struct segment_range {
    uint32_t from, to;
};

/* How far the metadata had come: the number of its last commit, and C. */
struct anchor {
    uint64_t seq;
    int64_t c_s;
};

struct settle; /* settle.c: what waits to settle */
struct compliance; /* compliance.c: the compliance clock */
struct tsa; /* compliance_tsa.c: its time authorities */
struct tsa_authorities;
struct bypasses; /* lock.c: armed bypasses and pending half-locks */
struct mfa; /* mfa.c: devices, and codes in force */
struct trail; /* trail.c: the audit trail */

struct engine {
    char *dir;
    struct store_conf conf;
    int lock_fd;
    bool read_only, sync_close, new_bucket_unversioned;
    int64_t settle_default_s;
    struct store_keys *keys;
    const struct meta_ops *meta_ops;
    struct meta *m;
    const struct block_ops *block_ops;
    struct block *b;
    struct pipeline *pipe;
    int64_t opened_ns;
    char *owner_text;
    bool failed_open;

    pthread_mutex_t meta;
    uint64_t next_seq, next_ino; /* M */
    uint64_t seq_reserved, ino_reserved; /* M: counters in metadata stand here */
    struct bucket **buckets;     /* M: by number order of creation */
    size_t bucket_count;         /* M */
    struct bucket *dead_buckets; /* M */
    struct inode **inodes;       /* M: hash */
    size_t inode_count, inode_buckets; /* M */
    struct inode lru;            /* M: sentinel, unused inodes, least recently used first */
    size_t lru_count;            /* M */
    struct inode *dirty_dirs;    /* M */
    struct inode *unsaved;       /* M: created files whose rows are not committed yet */
    struct txn_touched *touched; /* M: what goes back should the transaction fail (txn.c) */
    struct engine_handle *handles; /* M: all that are open */
    bool txn_open;               /* M: a transaction that holds them is open */
    struct record root_record;   /* M: the mount root's attributes */
    struct settle *settle;       /* M */
    struct compliance *clock;    /* M */
    struct tsa *tsa;             /* compliance_tsa.c; NULL unless the clock is attested */
    struct bypasses *bypasses;   /* M */
    struct mfa *mfa;             /* M; mfa.h */
    struct trail *trail;         /* M; trail.h */
    uint64_t durable_seq;        /* M: versions up to here survive a power cut */
    uint64_t promised_seq;       /* M: versions up to here are durable, or somebody is making them so: their rows keep their content */
    struct gc_pin *pin_list;     /* M */
    struct upkeep *upkeep;       /* gc.c: collection and compaction */

    struct anchor anchor;        /* anchor.c: as on disk; of the worker, and of opening and closing */
    bool rolled_back;            /* opened on demand though the metadata was put back */
    struct segment_range *kept;  /* never collected; fixed once open */
    size_t kept_count;

    struct keyring *keyring;     /* keyring.c, own lock */
    struct kms *kms;             /* kms.h */
    struct {                     /* what the mount's options ask for; fixed */
        enum envelope_mode mode; /* 0: nothing */
        char key[SSE_KEY_CHARS];
        bool bucket_key, bucket_key_said;
    } mount_sse;
    unsigned kms_wait_s;
    struct errors *errors;       /* errors.c, own lock */
    struct iam *iam;             /* iam.c, own lock: accounts, users, policies */

    const struct engine_watcher *watcher;
    struct engine_watcher watcher_store;

    pthread_t worker;            /* settling, clock, durable point, checkpoints, compaction */
    bool worker_running; /* under worker_lock */
    atomic_bool worker_stop; /* set under worker_lock; read anywhere */
    pthread_mutex_t worker_lock;
    pthread_cond_t worker_wake;

    bool epoch_due; /* M: a key was destroyed; a new epoch is to begin (epoch.c) */

    atomic_ullong integrity_events;
    json_t *integrity_list;      /* M: last 64, for status */
};

/* ---- store.c, engine.c ---- */
int store_lock(const char *dir, bool read_only, const char *owner_text, int *ret_fd, struct reason *reason);
/* A copy of the store that `keys` (taken over) open, for reading only, by the process that made it. */
int engine_open_copy(const char *dir, struct store_keys *keys, struct engine **ret, struct reason *reason);
int engine_open_with(const char *dir, const struct store_conf *conf, struct store_keys *keys, struct engine **ret,
                     struct reason *reason);

/* ---- bucket.c ---- */
struct bucket *bucket_by_number(struct engine *e, uint32_t number);              /* M; NULL */
struct bucket *bucket_by_name(struct engine *e, const char *name, size_t len);   /* M; NULL */
int bucket_save(struct engine *e, const struct bucket *b);                       /* M, in a transaction */
void bucket_take_settings(struct bucket *b, const struct bucket *from); /* M */
void bucket_restore(struct engine *e, struct bucket *b); /* M: after a failed transaction, settings and policy as its rows have them */
bool bucket_name_valid(const char *name, size_t len, struct reason *reason);     /* S3's naming rules */

struct sse_config; /* bucket_config.h */
struct bucket_options {
    bool unversioned, object_lock, acl, ownership_sent; /* the last two: more permissions are needed */
    enum engine_ownership ownership;
    const struct sse_config *sse; /* default encryption; NULL: AES256 */
};
int buckets_load(struct engine *e); /* M */
void buckets_unload(struct engine *e);
int bucket_create(struct engine *e, struct caller *c, const char *name, size_t len, uint32_t mode,
                  const struct bucket_options *options, struct bucket **ret);       /* M */
int bucket_remove(struct engine *e, struct caller *c, struct bucket *b);          /* M: DeleteBucket; frees b */
int bucket_remove_all(struct engine *e, struct caller *c, struct bucket *b);      /* M: its versions first, unless one is locked */

/* ---- io.c ---- */
void handle_note(struct engine *e, struct engine_handle *h); /* M: it is open from now on */
void handles_release(struct engine *e);                      /* at the end: what a front could not close any more */

/* ---- txn.c ---- */
int txn_begin(struct engine *e);                 /* M */
int txn_end(struct engine *e, int error);        /* M: commits when error >= 0, else rolls back and returns error */
/* Ends a create: its rows wait for the next commit, and are written again should that one fail. M. */
int txn_leave_open(struct engine *e, int error, struct inode *created);
int txn_flush(struct engine *e);                 /* M: commits what waits */
/* Before a transaction changes an inode's key, link count, or whether it has a name: they go back to what they are now, and its
 * attributes to those of its rows, should the transaction fail. -ENOMEM. M, txn */
int txn_touch(struct engine *e, struct inode *i);
int create_rows(struct engine *e, struct bucket *b, struct span key, uint64_t ino); /* io.c; M, txn */
uint64_t seq_next(struct engine *e);             /* M: publish sequence */
/* Syncs segments, then the metadata log; moves the durable point. Without M. */
int durable_advance(struct engine *e);
void durable_promise(struct engine *e, uint64_t seq); /* M */
void integrity_event(struct engine *e, const char *what, const char *bucket, struct span key, const char *version_id); /* M */

/* ---- inode.c ---- */
int inode_get(struct engine *e, uint64_t ino, struct inode **ret);   /* M: referenced; -ESTALE where it is gone */
/* The same for who moves or takes names inside a transaction: the version under the first name may be on its way already. M */
int inode_get_name(struct engine *e, uint64_t ino, struct inode **ret);
struct inode *inode_ref(struct inode *i);                            /* M: a further reference */
struct inode *inode_hold(struct engine *e, struct inode *i);         /* M: a reference on a cached one that may be unused */
void inode_put(struct engine *e, struct inode *i);                   /* M */
void inode_attr(struct engine *e, struct inode *i, struct engine_attr *ret); /* M */
/* A new inode of a file, in the cache and referenced; its row is written by inode_save(). M. */
int inode_new(struct engine *e, struct bucket *b, struct span key, uint64_t ino, const struct record *record, struct inode **ret);
struct inode *inode_cached(struct engine *e, uint64_t ino);          /* M: not referenced; NULL */
int inode_save(struct engine *e, struct inode *i);                   /* M, txn: writes the inode row (directories: attributes too) */
void inode_touch_dir(struct engine *e, struct inode *dir);           /* M: a name came or went: mtime, ctime now, saved soon */
int inode_save_dirty_dirs(struct engine *e);                         /* M: in a transaction of its own */
uint8_t *key_copy(struct span key); /* owned, with a zero behind it that is not counted; NULL: no memory */
struct instant instant_now(void);
int inode_rekey(struct engine *e, struct inode *i, struct span key); /* M, txn: its first name is now `key` */
int file_row_put(struct engine *e, uint32_t bucket, struct span key, uint64_t ino, uint64_t generation, uint32_t nlink); /* M, txn */
/* Attributes of a version whose content has data_bytes that are not holes; ino is left to the caller. */
void record_attr(const struct record *r, uint64_t data_bytes, struct engine_attr *ret);
uint64_t record_data_bytes(const struct record *r); /* walks the map */
void inodes_unload(struct engine *e);                                /* M */
int inode_reload(struct engine *e, struct inode *i);                 /* M: attributes of what is current now */
/* M: after a failed transaction, attributes as its row or version has them; what only a draft holds stays. */
void inode_restore(struct engine *e, struct inode *i);
int inode_version_changed(struct engine *e, uint64_t ino); /* M, txn: the current version of it changed without its content lock */
/* Writes a directory's inode row. M, txn. */
int dir_row_put(struct engine *e, uint32_t bucket, struct span key, uint64_t ino, const struct record *record);
void inode_forget(struct engine *e, uint64_t ino); /* M: a cached one has lost its last name */
/* Writes the inode's record into the current version row of each of its names (objects) or its inode row (directories). M, txn. */
int inode_record_save(struct engine *e, struct inode *i);
/* Every name of the inode, first one first: (bucket fixed) keys owned by the caller (free each, free the array). M. */
int inode_names(struct engine *e, struct inode *i, struct version_ref **ret, size_t *ret_count);
void version_refs_free(struct version_ref *refs, size_t count);

/* ---- version.c: rows of versions ---- */
int version_load(struct engine *e, uint32_t bucket, struct span key, uint64_t seq, struct version *ret); /* M; seq 0: the current one (marker too) */
int version_decode(const struct version_row *row, struct version *ret); /* an owned copy of a row */
int version_store(struct engine *e, const struct version *v); /* M, txn: writes the row as it stands */
/* E3: removes exactly that version for good (lock, hold, orphan rules judged here), keeps the tree and inodes in step, wakes caches.
 * `why` says on whose behalf. -EPERM with the sentence. M, txn. */
enum version_remove_why { REMOVE_USER, REMOVE_ORPHAN, REMOVE_REPLACED, REMOVE_DURABLE, REMOVE_UNLINKED, REMOVE_MOVED, REMOVE_ROLLED_BACK };
int version_remove(struct engine *e, struct caller *c, struct version *v, enum version_remove_why why);
/* The newest hidden row (VERSION_REPLACED) of the same version (by its id, or the null version) below v: what
 * shows again should v roll back. -ENOENT. M. */
int version_behind(struct engine *e, const struct version *v, struct version *ret);
/* Removes the key's hidden rows (null ones only while Suspended) after what they waited for has gone. M, txn. */
int version_purge_replaced(struct engine *e, struct caller *c, const struct bucket *b, struct span key);
/* Makes a delete marker current at a key. M, txn. */
int version_put_marker(struct engine *e, struct caller *c, struct bucket *b, struct span key, uint64_t ino);
/* Makes a new current version at a key from `record` (Unversioned, Suspended: replaces the null version) and puts it into
 * the tree under `ino` (0: a new inode number is taken; missing parent directories get implicit rows). *ret_seq: its sequence. M, txn. */
int version_publish(struct engine *e, struct caller *c, struct bucket *b, struct span key, uint64_t ino,
                    struct record *record, bool explicit_settled, uint64_t *ret_seq);
/* The same with locks that were asked for by name; they stand before the bucket's default. NULL: none. */
struct version_lock {
    enum lock_mode mode;
    int64_t until_ms;
    enum hold_state hold;
};
int version_publish_locked(struct engine *e, struct caller *c, struct bucket *b, struct span key, uint64_t ino,
                           struct record *record, bool explicit_settled, const struct version_lock *lock, uint64_t *ret_seq);
void version_wake(struct engine *e, uint32_t bucket, struct span key, uint64_t ino); /* the kernel is to look again. M */
/* Another version of a (possibly other) key shares v's content; data keys are wrapped anew where the bucket differs. M. */
int record_share(struct engine *e, const struct bucket *from, const struct bucket *to, const struct record *src, struct record *dst);
/* By its written id. -EINVAL: that is none; -ENOENT. M, let go of at times */
int version_find_id(struct engine *e, uint32_t bucket, struct span key, const char *id, uint64_t *ret_seq);
void version_name(const struct version *v, char out[80]); /* as `.versions` shows it */
void version_id_text(const struct version *v, char out[33]);
void version_describe(struct engine *e, struct version *v, bool latest, struct engine_version *ret); /* M */

/* ---- lock.c, compliance.c, settle.c ---- */
/* Is the version protected now? Within the transaction that acts on it (an expiry is written down first). 0, or -EPERM with the sentence (mode and date). `bypass`: governance yields to an armed bypass of the
 * caller on this version (which is used up). M, txn. (E4) */
int lock_forbids(struct engine *e, struct caller *c, const struct version *v, bool bypass);
bool lock_in_force(struct engine *e, const struct version *v); /* retention in force or hold ON; M */
/* For a scan over version rows: counts what is locked now, keeps the first (the caller's, version_done()) and the latest date. M. */
struct lock_search {
    struct engine *e;
    bool found, hold;
    struct version first;
    uint64_t count;
    int64_t latest_ms; /* 0: nothing but holds */
};
int lock_search_row(void *arg, const struct version_row *row);
/* Default retention of the bucket into the version's lock columns, counted from now. M. */
void lock_apply_default(struct engine *e, const struct bucket *b, struct version *v);
/* A new version has a lock: its hold, or its retention, which the caller asked for, or with c NULL the bucket's default. M, txn */
int lock_note_made(struct engine *e, struct caller *c, const struct version *v, bool hold);

/* Is the version's retention in force now, whatever its hold says? M. */
bool lock_retention_in_force(struct engine *e, const struct version *v);
/* Makes what was written so far through any handle (pages of the kernel included) a sealed version. No locks held; 0 where nothing
 * is open. With `keep`, returns holding the content lock (write) of *keep, referenced: nothing is written until inode_seal_end(). */
int inode_seal(struct engine *e, struct caller *c, uint64_t ino, struct inode **keep);
void inode_seal_end(struct engine *e, struct inode *i); /* NULL is accepted */
int inode_publish(struct engine *e, struct caller *c, uint64_t ino); /* the same without sealing: later writes change that version */
/* What a locked version keeps of its own when the inode's attributes are written to it (an open draft may have others already). */
int lock_pin_record(struct record *mine, const struct record *locked);
int bypasses_open(struct engine *e);
void bypasses_close(struct engine *e);
/* retention.md §2.7: owner, times, user.* and trusted.* attributes, headers and meta.* stay as they are where any name's current
 * version is locked. 0, or -EPERM with the sentence. M. */
int pinned_forbids(struct engine *e, struct caller *c, struct inode *i);

int compliance_open(struct engine *e, struct reason *reason); /* M, after meta is open: reads the saved clock, credits the gap */
int compliance_save(struct engine *e);   /* M, txn */
int compliance_save_beyond(struct engine *e, int64_t hold_s); /* M, txn: unless the saved C has passed that second already */
void compliance_run(struct engine *e);   /* the worker, each second: ticks, saves when a minute passed. Takes M itself */
int64_t compliance_hold_s(struct engine *e, int64_t until_ms); /* the second of C at which a lock shown until then ends. M */
void compliance_tick(struct engine *e);  /* M */
int64_t compliance_now_s(struct engine *e);     /* C, whole seconds; ticks first. M */
int64_t compliance_left_s(struct engine *e, int64_t hold_s); /* seconds until C reaches that second; 0: it has. M */
int64_t compliance_date_ms(struct engine *e);   /* T = C + O in ms. M */
void compliance_close(struct engine *e);
void compliance_raise(struct engine *e, int64_t c_s); /* C is at least that second from now on. M */
int compliance_init_values(struct engine *e);   /* M, txn: at init, C = wall */

/* The attested clock; each does nothing for another kind. */
int tsa_init_values(struct engine *e, const struct tsa_authorities *a); /* M, txn: at init, what is pinned */
int tsa_open(struct engine *e, struct reason *reason); /* M, after compliance_open() */
void tsa_ask_at_init(struct engine *e);                /* takes M; waits for the network some seconds at most */
int tsa_start(struct engine *e);                       /* the same, and starts the thread of later rounds */
void tsa_run(struct engine *e);                        /* the worker, each second: wakes it when a round is due. Takes M */
void tsa_stop(struct engine *e);                       /* no locks held */
void tsa_close(struct engine *e);
int tsa_show(struct engine *e, json_t *out);           /* M: member "attested" */

int settle_open(struct engine *e);   /* M: loads what waits (the timer starts anew) */
void settle_close(struct engine *e);
bool settle_waiting(struct engine *e, uint64_t seq);   /* M: is this version unsettled? */
int settle_add(struct engine *e, const struct bucket *b, struct span key, uint64_t seq); /* M, txn */
/* A replaced null version (VERSION_REPLACED), right before its successor takes its sequence: settle_run() removes it once that one
 * is durable. M, txn. */
int settle_add_replaced(struct engine *e, uint32_t bucket, struct span key, uint64_t seq);
int settle_drop(struct engine *e, uint32_t bucket, struct span key, uint64_t seq);       /* M, txn: settled or gone */
/* A version moved (S1): its timer goes along. M, txn. */
int settle_move(struct engine *e, uint32_t bucket, struct span from, uint64_t from_seq, struct span to, uint64_t to_seq);
void settle_txn_end(struct engine *e, bool committed); /* M: txn.c, at the end of each transaction */
void settle_touch(struct engine *e, uint64_t seq); /* M: starts its timer anew, within 15 settle times */
void inode_settle_touch(struct engine *e, struct inode *i); /* M: the same for the current version under each of its names */
int64_t settle_left_s(struct engine *e, uint64_t seq); /* M: 0 when settled */
/* Settles what is due now (default retention, E4), purges replaced null versions behind the durable point, reaps orphans. Takes M itself,
 * in bounded batches. */
void settle_run(struct engine *e);
/* Settles one version at once. M, txn. */
int settle_now(struct engine *e, struct version *v);

/* ---- tree.c, rename.c ---- */
/* Takes a name from the live tree and from its inode; the inode goes with its last name (open handles keep it as an orphan). M, txn. */
int tree_drop_name(struct engine *e, struct bucket *b, struct span key, uint64_t ino);
/* A directory's key and a name as one key, in buf (4096 bytes). -ENAMETOOLONG. */
int tree_child_key(const struct inode *dir, const char *name, size_t len, uint8_t *buf, struct span *ret);
int tree_name_check(struct caller *c, const char *name, size_t len); /* for a name to be made: -EILSEQ, -ENAMETOOLONG */
/* Takes away those of the inode's names under which it has no version (its draft was never published). M, txn. */
int tree_drop_unpublished(struct engine *e, struct inode *i);
int tree_dir_empty(struct engine *e, struct bucket *b, struct span key); /* -ENOTEMPTY; M */
int tree_dir(struct engine *e, uint64_t ino, struct inode **ret); /* M: referenced; -ENOTDIR */
int tree_lookup(struct engine *e, struct inode *dir, const char *name, size_t len, struct inode **ret); /* M: referenced */
/* What every call that makes a name checks first: place, form, permission, -EEXIST; key in buf. M. */
int tree_create_begin(struct engine *e, struct caller *c, struct inode *dir, const char *name, size_t len, uint8_t *buf,
                      struct span *key, const struct may *m);
/* The kind of an object's row, by its mode. */
enum tree_kind tree_kind_of(uint32_t mode);
int tree_new_record(struct caller *c, struct inode *dir, uint32_t mode, struct record *record); /* owner, times, ACL of a new inode */
/* Are there versions of v's key beside v, and is the newest of them an object? M. */
int version_others(struct engine *e, const struct version *v, bool *ret_any, bool *ret_live);
int version_tie(struct record *record, const struct version *from); /* the record's content came by rename from that version */
int version_make_room(struct engine *e, struct caller *c, const struct bucket *b, struct span key); /* null version's successor is coming; M, txn */
/* Rows for directories that a key implies and nobody made. M, txn. */
int version_make_parents(struct engine *e, struct bucket *b, struct span key);
/* Puts the key into the live tree under *ino (0: the one it has, or a new one). M, txn. */
int version_enter_tree(struct engine *e, struct bucket *b, struct span key, enum tree_kind kind, uint64_t *ino);
/* Brings the tree in step with what is the key's newest version: its name comes, stays or goes. M, txn. */
int version_show_next(struct engine *e, struct bucket *b, struct span key);
int version_publish_time(struct engine *e, uint32_t bucket, struct span key, int64_t wanted, int64_t *ret); /* M */

/* ---- anchor.c: is the metadata older than it was? ---- */
/* -ESTALE with the sentence where it is, unless `accept`. M, before anything is written. */
int anchor_open(struct engine *e, bool accept, uint64_t min_seq, struct reason *reason);
int anchor_first(struct engine *e); /* M: a file, where there is none, before the metadata says that there must be one */
int anchor_begin(struct engine *e); /* M, txn: the first of an opened store */
int anchor_save(struct engine *e);  /* syncs, and writes down where the commits stand. Takes M */
bool segment_kept(const struct engine *e, uint32_t segment);
/* The file in a folder. -ENOENT none, -EBADMSG it does not open. */
int anchor_read(const char *dir, const struct store_keys *keys, const uint8_t store_id[16], struct anchor *ret);
int anchor_write(const char *dir, const struct store_keys *keys, const uint8_t store_id[16], const struct anchor *a);
/* Before the folder's header comes to have another M: one for these keys too, unless there is one. */
int anchor_prepare(const char *dir, const struct store_keys *keys, const uint8_t store_id[16], const struct anchor *a);

/* ---- naming.c: which keys the mount shows (mount.md §2) ---- */
bool naming_shows(const uint8_t *segment, size_t len); /* may it be a name in a directory? */
bool naming_key_shows(struct span key);                /* all its segments */
size_t naming_shown_len(struct span key); /* of the leading segments that do: a directory, where it is not all of the key */
/* The first object below a directory of which nothing shows any more: 1 with its key, 0. M */
int naming_below(struct engine *e, const struct bucket *b, struct span dir, uint8_t key[4096], size_t *ret_len);
/* Of an object whose key cannot be shown, the directories that can (S3's folder `d/` is one itself). M, txn. */
int naming_show_dirs(struct engine *e, struct bucket *b, struct span key);
/* After a key went other than through the mount: directories that nobody made and nothing is in any more go, and objects they hid
 * show again. M, txn. */
int naming_prune(struct engine *e, struct bucket *b, struct span key);

/* ---- gone.c: owner and mode of directories that lost their name while history lies below it ---- */
int gone_note(struct engine *e, struct bucket *b, struct span key, const struct record *dir); /* M, txn: it loses it now */
int gone_find(struct engine *e, uint32_t bucket, struct span key, struct engine_attr *attr);  /* M: sets these of *attr; -ENOENT */
int gone_made_again(struct engine *e, uint32_t bucket, struct span key); /* M, txn: forgets it where no history is left */
int gone_drop_bucket(struct engine *e, const struct bucket *b);          /* M, txn */

/* ---- recover.c ---- */
/* At opening: rolls back what a power cut left without its frames (E7), publishes what was fsynced. M. */
int recover(struct engine *e, bool clean, struct caller *c);

/* ---- draft.c ---- */
/* Publishes and seals the inode's draft, if any, so that what comes next meets a sealed version. Content lock held (write), M not held. */
int draft_seal(struct engine *e, struct caller *c, struct inode *i);
bool draft_open(const struct inode *i); /* M or C */
/* It holds content that is no version yet: attributes set now are the draft's, not the current version's (mount.md §3). M. */
bool draft_unpublished(const struct inode *i);
void draft_attrs_changed(struct inode *i); /* of a draft that is unpublished: the next fsync writes them down. M */
void record_new_etag(struct record *record); /* the opaque "-0" form */
/* Content short enough to stay in the row (symbolic links): sealed into record->map. */
int content_small(struct engine *e, struct bucket *b, struct record *record, const void *data, size_t len);
/* Content of the inode for reading, referenced (published content; loads it on first use). C held. */
int inode_content(struct engine *e, struct inode *i, struct content **ret);

/* ---- rotate.c ---- */
/* Finishes, or takes away, what a change of page key or M left; before the metadata is opened. */
int rotate_pending(const struct meta_ops *ops, const char *dir, uint32_t current, bool read_only, struct reason *reason);

/* ---- epoch.c: encryption.md §1.5 ---- */
int epoch_open(struct engine *e); /* M: what a crash left to be finished */
int epoch_note_destroyed(struct engine *e); /* M, txn: a key's row goes in it; a new epoch follows soon */
/* A new epoch: header, every key row, header. Neither M nor content lock held, but upkeep.lock. */
int epoch_renew(struct engine *e, struct reason *reason);
void epoch_run(struct engine *e); /* the worker, and closing: when one is due */

/* ---- keyring.c ---- */
int keyring_open(struct engine *e, struct reason *reason); /* M */
void keyring_close(struct engine *e);
/* A row of a key-encryption key, of which id, version, kind and bucket are set: the key wrapped into it under the store's newest epoch;
 * and the key it holds. -EBADMSG when it does not open. */
int kek_row_seal(const struct store_keys *keys, struct kek_row *row, const uint8_t key[32]);
int kek_row_open(const struct store_keys *keys, const struct kek_row *row, uint8_t ret[32]);
int keyring_bucket_new(struct engine *e, struct bucket *b); /* M, txn: makes the bucket's key */
/* A fresh data key, wrapped under the envelope's KEK, which somebody holds open, or under the bucket's (NULL). */
int keyring_dek_new(struct engine *e, const struct bucket *b, const struct envelope *env, struct extmap_dek *ret_wrapped,
                    struct content_key **ret);
/* The opened form of a wrapped data key. -ENOKEY: its KEK is not open. Own lock. */
int keyring_dek_open(struct engine *e, const struct bucket *b, const struct extmap_dek *dek, struct content_key **ret);
/* The data keys of a private map that leaves one KEK for another, wrapped anew: under `env`, or the bucket's (NULL). On failure some
 * are done: drop the map. */
int keyring_map_rewrap(struct engine *e, const struct bucket *from, const struct bucket *to, const struct envelope *env,
                       struct extmap *map);
/* One of them under the envelope's KEK, or the bucket's, where it is not yet. */
int keyring_dek_move(struct engine *e, const struct bucket *b, const struct envelope *env, struct extmap_dek *dek);
/* A new version of the bucket's key, for data keys made from now on; the row is the caller's to write (txn) before it is taken into
 * use. Earlier versions stay in memory until the store is closed: what is in use may still hold their wraps. M */
int keyring_bucket_next(struct engine *e, const struct bucket *b, struct kek_row *ret);
void keyring_bucket_use(struct bucket *b, const struct kek_row *row);    /* M: after the commit */
void keyring_bucket_forgo(struct engine *e, const struct bucket *b, const struct kek_row *row); /* M: it did not come to be */
/* The rows of versions < below of a key of that kind. M, txn */
int keyring_rows_del(struct engine *e, enum kek_kind kind, const uint8_t id[16], uint32_t below, unsigned *ret_count);
int keyring_bucket_destroy(struct engine *e, const struct bucket *b, uint32_t below, unsigned *ret_count); /* M, txn: versions < below */
/* Whether a data key of the map is wrapped under an earlier version of the bucket's key. */
bool keyring_map_old(const struct bucket *b, const struct extmap *map);
/* The record's map with all of them under the newest, in a map of its own. A wrap that does not open stays, and is counted. Every row
 * that is written goes through it, so that an earlier version once rewrapped is not needed again (E11). M */
int keyring_record_renew(struct engine *e, const struct bucket *b, struct record *record, unsigned *ret_kept);
int keyring_dek_renew(struct engine *e, const struct bucket *b, struct extmap_dek *dek); /* one */
int epoch_rows_rewrap(const struct meta_ops *ops, struct meta *m, const struct store_keys *from, const struct store_keys *to); /* in a transaction of m */
void inode_map_changed(struct engine *e, const struct version *v); /* compact.c; M: the cached inode's content is to be loaded anew */
int content_new(struct engine *e, const struct bucket *b, struct extmap *map, struct content **ret); /* takes a reference on map */
/* For upkeep: data keys under a KMS or customer key that is not open are left out; of their frames, headers can be checked. */
int content_new_lax(struct engine *e, const struct bucket *b, struct extmap *map, struct content **ret);
struct content *content_ref(struct content *c);
void content_unref(struct content *c);

/* ---- may.c: permission (auth.md §4) ---- */
/* What an operation knows of itself beyond action and key. */
struct may {
    const struct auth_value *values; /* condition keys (auth.md §4.3) */
    size_t count;
    bool directory;              /* the key is a directory's: its resource ends in a slash, a bucket's own is BUCKET/ */
    const struct record *record; /* whose tags count, where it is at hand; else the version `seq` is looked up (0: the current one) */
    uint64_t seq;
    const char *bucket;   /* without a bucket: the name of one that is not there */
    const char *resource; /* another service's ARN */
    const struct policy *policy; /* that resource's */
    bool own;             /* without a bucket: it is the caller's own account that is asked, not the first one */
};
/* Judges one action on a key ("" and length 0: the bucket; no bucket: the store). M, where there is a bucket. */
int engine_may(struct engine *e, struct caller *c, const char *action, const struct bucket *b, struct span key);
int engine_may_with(struct engine *e, struct caller *c, const char *action, const struct bucket *b, struct span key, const struct may *m);
int engine_may_inode(struct engine *e, struct caller *c, const char *action, const struct inode *i, const struct may *m); /* M */
/* The same, asked for its own sake: nothing is said to the caller. M. */
bool engine_could(struct engine *e, struct caller *c, const char *action, const struct bucket *b, struct span key, const struct may *m);
bool engine_free(struct engine *e, const struct caller *c, const struct bucket *b); /* nothing there can be denied to the caller */
/* May the name be known: it is a file's, a directory's, or nothing's? What lies in it is judged by itself. M. */
enum sight { SEE_FILE, SEE_DIRECTORY, SEE_NOTHING };
int may_see(struct engine *e, struct caller *c, const struct bucket *b, struct span key, enum sight what);
int may_see_inode(struct engine *e, struct caller *c, const struct inode *i);
int may_enter(struct engine *e, struct caller *c, const struct bucket *b);
/* The same of a key's versions, live or not; and what "there is none" is for who may not list them. M. */
int may_see_versions(struct engine *e, struct caller *c, const struct bucket *b, struct span key);
int may_miss_version(struct engine *e, struct caller *c, const struct bucket *b, struct span key);
int may_list_versions(struct engine *e, struct caller *c, const struct bucket *b, struct span key); /* of one key */
/* A listing action on the directory of that key: s3:prefix and s3:delimiter as readdir has them. M. */
int may_list(struct engine *e, struct caller *c, const char *action, const struct bucket *b, struct span key);
int engine_may_ino(struct engine *e, struct caller *c, const char *action, uint64_t ino); /* takes M */
/* "b/key" for messages, shortened; static per thread buffer. */
const char *engine_show(const struct bucket *b, struct span key);

/* ---- errors.c ---- */
int errors_open(struct engine *e);
void errors_close(struct engine *e);

/* ---- acl.c ---- */
/* What a new child takes from its directory's default ACL (acl(5), "OBJECT CREATION AND DEFAULT ACLs"): attributes into `child`, *mode cut.
 * 1: there was one (the umask does not count then), 0: none, -ENOMEM. */
int acl_inherit(const struct record *dir, bool child_is_dir, uint32_t *mode, struct attrs *child);
/* After a chmod: an access ACL's owner, mask (or group) and other entries follow record->mode (acl(5), "CORRESPONDENCE"). -ENOMEM. */
int acl_follow_mode(struct record *record);

/* A map that must not be collected while it stands (readers of removed versions, running copies). */
struct gc_pin {
    struct gc_pin *prev, *next;
    struct extmap *map;
};
void gc_pin_add(struct engine *e, struct gc_pin *pin, struct extmap *map); /* M */
void gc_pin_remove(struct engine *e, struct gc_pin *pin);                  /* M */

/* ---- gc.c ---- */
int upkeep_open(struct engine *e);
void upkeep_close(struct engine *e);
/* A map decoded from a row, or stored into one, counts as alive for a mark that runs meanwhile (upkeep.h). Leaf lock. */
void gc_barrier(const struct extmap *map);
void gc_content_add(struct content *c); /* for content_new() and content_unref(): contents in use are alive */
void gc_content_remove(struct content *c);
/* One bounded piece of background collection or compaction; 1 when more waits, 0 when there is nothing to do now. */
int compact_step(struct engine *e);
json_t *compact_status(struct engine *e);

#endif
