/* SPDX-License-Identifier: GPL-3.0-or-later
 * The engine: what a bucket means. Buckets, objects, versions, drafts, locks, time travel, upkeep.
 *
 * Both fronts and the subcommands come through here and there is no other way in; a front only translates. Read this
 * header top to bottom as the chapter on holdfs. Sources of the rules: mount.md, retention.md, encryption.md.
 *
 * Invariants, cited by number in code, tests and docs:
 *  E1  A version's bytes are immutable once sealed. Frames are never overwritten in place.
 *  E2  Frames reach the segment store before metadata refers to them.
 *  E3  version_remove() (version.c) is the only code that removes or replaces a version, and asks lock_forbids() there.
 *  E4  "In force" is judged by the compliance clock C alone (compliance.c), inside the transaction that acts on it.
 *  E5  Every multi-row change is one transaction: both sides of a rename, all names of a hard link, marker and tree.
 *  E6  close(2) (engine_flush) returns after commit: a killed daemon loses nothing. engine_fsync returns after the sync
 *      of segments, then of the metadata log: a power cut loses nothing.
 *  E7  After an unclean stop a version newer than the durable point whose frames do not verify is rolled back whole.
 *  E8  A data key numbers its frames once: a draft that goes on after a restart goes on under a new data key.
 *  E9  A refusal has an errno and a sentence; nothing was changed.
 *  E10 The publish sequence gives the order of versions; never the clock, never the id.
 *  E11 A row that is written has its data keys wrapped under its bucket's newest key.
 *
 * Locks, in the order they are taken: inode.content (one file's draft and bytes; held across data I/O) -> engine.meta (tables
 * and caches; never held across data I/O or encryption of data). Functions return 0, a count, or a negative errno;
 * with a refusal caller->reason says why. Any thread may call; no call blocks on the kernel unless it says so. */
#ifndef HOLDFS_ENGINE_ENGINE_H
#define HOLDFS_ENGINE_ENGINE_H

#include "auth/auth.h"
#include "kms/kms.h"
#include "meta/meta.h"
#include "util/bytes.h"
#include "util/checksum.h"
#include "util/reason.h"
#include "util/timeform.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct engine;
struct secret;

/* How a request came, where it came over a network; all borrowed, "" or NULL where it does not apply. For the audit trail. */
struct caller_request {
    const char *request_id; /* 16 of 0-9A-F */
    const char *source_ip, *user_agent, *access_key;
    const char *tls_version, *cipher, *host; /* "TLSv1.3", OpenSSL's name, the Host header */
};

/* What a request's own headers ask of encryption; all borrowed, NULL: not. */
struct caller_sse {
    const char *mode;       /* "AES256" or "aws:kms" */
    const char *key;        /* of aws:kms; NULL: alias/aws/s3 */
    const char *bucket_key; /* "true", "false"; NULL: as the bucket says */
};

/* What was refused to a caller, as the engine remembers it for the audit trail (engine/trail.h). */
struct caller_refusal {
    const char *action; /* "s3:DeleteObjectVersion", a constant; NULL: nothing */
    char rule[256];     /* what decided, also what the caller is not told */
    char bucket[64], version_id[33], arn[256];
    size_t key_len;
    uint8_t key[4096];
};

/* Who asks, for one operation. A front makes it on its stack. */
struct caller {
    uint32_t uid, gid;
    int32_t pid;
    uint32_t umask;             /* applied to new files unless a default ACL stands in its place; 0 where the kernel did it */
    const char *front;          /* "mount", "s3", "command", "internal" */
    struct principal principal; /* engine_caller_init fills it */
    struct reason reason;       /* out: why it was refused */
    const char *denied_action;  /* out: the S3 action that was not allowed, a constant; NULL: none */
    int64_t retry_after_s;      /* out: with -EAGAIN of engine_mfa_code, for how long still */
    bool mfa;                   /* out: a right MFA code came with this operation (engine_mfa_code, or in a property's value), or allowed it */
    char denial[1024];          /* out: lines on the resource, policy and statement of that, for last-error */
    /* What a request says of itself (auth.md §4.3) beyond what the engine sees: headers, address. Borrowed; NULL on a mount. */
    const struct auth_value *values;
    size_t value_count;
    const struct caller_sse *sse; /* borrowed; NULL: the bucket's default */
    bool bypass_governance; /* this request asks to (x-amz-bypass-governance-retention); it still needs the permission */
    const struct caller_request *request; /* borrowed; NULL on a mount and for commands */
    char request_id[17];                  /* where there is no request: made with its first record */
    struct caller_refusal refused;
};
void engine_caller_init(struct engine *e, struct caller *c, uint32_t uid, uint32_t gid, int32_t pid, const char *front);

/* ---- the store ---- */

struct engine_init_params {
    const char *dir;
    const struct unlock *unlock; /* first slot */
    bool recovery;
    unsigned scrypt_log_n; /* 0: default */
    const char *region, *account_id, *canonical_id, *display_name, *email; /* NULL: made or default */
    const char *retention_clock; /* "strict", "attested", "wall" */
    const char *const *time_authorities; /* NULL-terminated "URL,CA.pem", or NULL */
    uint32_t page_size_bytes;    /* 0: default */
    uint32_t owner_uid;          /* is the first account's root */
    bool test_store;
};
/* Makes a store in an empty or missing directory. -ENOTEMPTY (the reason says what is there). */
int engine_init_store(const struct engine_init_params *p, uint8_t ret_recovery[32], struct reason *reason);

struct engine_config {
    const char *dir;
    const struct unlock *unlock;
    const char *owner_text;     /* "mount /mnt/x" or "command fsck": stands in the lock file for others to read */
    bool read_only;             /* nothing in the store's directory changes */
    bool new_bucket_unversioned;
    int64_t settle_default_s;   /* for new buckets; -1: the store's */
    bool sync_close;            /* close(2) survives power loss too */
    uint64_t cache_bytes;       /* metadata page cache; 0: default */
    const char *mfa_code;       /* a code of the first account's root, which accept_rollback needs where a device is enrolled; NULL */
    uint64_t min_seq;           /* the metadata must have come to this commit; 0: any */
    bool accept_rollback;       /* open it though it is older than it was (retention.md §3) */
    const char *sse, *sse_kms_key; /* what new files ask for: "AES256" or "aws:kms", and a key; NULL: nothing (encryption.md §3.3) */
    const char *sse_bucket_key;    /* "true", "false"; NULL: as the bucket says */
    unsigned kms_wait_s;           /* how long an open waits for a key provider; 0: 10 */
    const char *uid_map;        /* "UID:WHO[/UID:WHO...]" before the store's own uids (auth.md §1); NULL: none */
};
/* -EBUSY: open elsewhere (names pid, host, mount). -EPROTO: newer format. -EACCES: no slot opens with this key.
 * -ESTALE: the metadata was put back. */
int engine_open(const struct engine_config *config, struct engine **ret, struct reason *reason);
/* Publishes and seals what is open, syncs, marks the stop as clean. Handles that were not released are gone. */
void engine_close(struct engine *e);

/* Plain facts of a store's holdfs.conf, readable without a key. */
struct store_conf {
    unsigned format;
    uint8_t store_id[16];
    char account_id[13], region[64], retention_clock[16];
    uint32_t owner_uid;
    bool test_store;
    int64_t created_s;
};
int store_conf_read(const char *dir, struct store_conf *ret, struct reason *reason);
const struct store_conf *engine_conf(struct engine *e);

/* What a front must do when the engine changes something the kernel may have cached. Called from any thread, with no lock held
 * that a kernel request may need; a front queues and works from a thread of its own. */
struct engine_watcher {
    void *arg;
    void (*inode_changed)(void *arg, uint64_t ino);                                   /* attributes and pages */
    void (*entry_changed)(void *arg, uint64_t dir_ino, const char *name, size_t len); /* the name appeared, went or moved */
    /* Makes the kernel hand over dirty pages of ino and waits for them; 0 or -errno. Called with no lock held. */
    int (*write_back)(void *arg, uint64_t ino);
    /* Returns when the kernel was told all of the above. Not called from inside a request of the mount. */
    void (*settle)(void *arg);
};
void engine_watch(struct engine *e, const struct engine_watcher *w); /* NULL: none */
/* For who changed something other than through the mount, before he answers: the next system call on the mount sees it. */
void engine_watch_settle(struct engine *e);

/* ---- inodes and names: the live tree ----
 * The mount's root is inode 1; a bucket's root and every directory and object has a number that is stable for its life. */

enum { ENGINE_ROOT_INO = 1 };

struct engine_attr {
    uint64_t ino;
    uint64_t generation;
    uint32_t mode; /* type and permission */
    uint32_t nlink, uid, gid;
    uint32_t rdev_major, rdev_minor;
    uint64_t size_bytes, blocks; /* blocks of 512 bytes that are not holes */
    struct instant atime, mtime, ctime, btime;
};

int engine_lookup(struct engine *e, struct caller *c, uint64_t dir, const char *name, size_t name_len,
                  struct engine_attr *ret);
/* c NULL: of a handle, which was judged when it was opened. */
int engine_getattr(struct engine *e, struct caller *c, uint64_t ino, struct engine_attr *ret);
/* Parent of a directory (".."), for export. The root's parent is the root. */
int engine_parent(struct engine *e, struct caller *c, uint64_t ino, uint64_t *ret);

enum engine_set { SET_MODE = 1, SET_UID = 2, SET_GID = 4, SET_SIZE = 8, SET_ATIME = 16, SET_MTIME = 32, SET_CTIME = 64 };
struct engine_handle;
/* `handle` may be NULL (by path). SET_SIZE starts a draft; without a handle it publishes at once (truncate(2)). */
int engine_setattr(struct engine *e, struct caller *c, uint64_t ino, struct engine_handle *handle, unsigned set,
                   const struct engine_attr *values, struct engine_attr *ret);

struct engine_entry {
    const char *name; /* borrowed, not terminated */
    size_t name_len;
    uint64_t ino;
    uint32_t mode;                 /* type bits at least */
    const struct engine_attr *attr; /* when asked for, else NULL */
};
/* 0 go on, 1 stop. Called with the meta lock held: copy and return. */
typedef int engine_entry_fn(void *arg, const struct engine_entry *entry);
/* May the caller list the directory (s3:ListBucket)? Judged once, by who opens it; engine_readdir() shows of the mount's root what the
 * caller may see and judges nothing else. */
int engine_opendir(struct engine *e, struct caller *c, uint64_t dir);
/* Entries of a directory whose name sorts after `after` ("" with length 0: from the start), in the order of their keys, at most
 * `max`. Not "." and "..". To go on, pass the last name handed out. 0 when the end was reached, 1 when stopped before. */
int engine_readdir(struct engine *e, struct caller *c, uint64_t dir, const char *after, size_t after_len, bool with_attr,
                   unsigned max, engine_entry_fn *fn, void *arg);

int engine_mkdir(struct engine *e, struct caller *c, uint64_t dir, const char *name, size_t len, uint32_t mode,
                 struct engine_attr *ret); /* in the root: CreateBucket */
int engine_mknod(struct engine *e, struct caller *c, uint64_t dir, const char *name, size_t len, uint32_t mode,
                 uint32_t rdev_major, uint32_t rdev_minor, struct engine_attr *ret);
int engine_symlink(struct engine *e, struct caller *c, uint64_t dir, const char *name, size_t len, const char *target,
                   struct engine_attr *ret);
int engine_readlink(struct engine *e, struct caller *c, uint64_t ino, char *buf, size_t cap); /* length */
int engine_link(struct engine *e, struct caller *c, uint64_t ino, uint64_t dir, const char *name, size_t len,
                struct engine_attr *ret);
int engine_unlink(struct engine *e, struct caller *c, uint64_t dir, const char *name, size_t len);
int engine_rmdir(struct engine *e, struct caller *c, uint64_t dir, const char *name, size_t len); /* in the root: DeleteBucket */
/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE. */
int engine_rename(struct engine *e, struct caller *c, uint64_t dir, const char *name, size_t len, uint64_t to_dir,
                  const char *to_name, size_t to_len, unsigned flags);
int engine_statfs(struct engine *e, struct statvfs *ret);

/* ---- bytes ---- */

/* flags: open(2)'s. A created file's draft begins here; it is in the tree at once, a version at its first flush. */
int engine_create(struct engine *e, struct caller *c, uint64_t dir, const char *name, size_t len, uint32_t mode, int flags,
                  struct engine_attr *ret_attr, struct engine_handle **ret);
int engine_tmpfile(struct engine *e, struct caller *c, uint64_t dir, uint32_t mode, int flags, struct engine_attr *ret_attr,
                   struct engine_handle **ret);
int engine_open_file(struct engine *e, struct caller *c, uint64_t ino, int flags, struct engine_handle **ret);
uint64_t engine_handle_ino(const struct engine_handle *h);
bool engine_handle_writable(const struct engine_handle *h);
ssize_t engine_read(struct engine_handle *h, void *buf, size_t len, uint64_t offset);
ssize_t engine_write(struct engine_handle *h, const void *buf, size_t len, uint64_t offset);
int engine_flush(struct engine *e, struct caller *c, struct engine_handle *h);
int engine_fsync(struct engine_handle *h, bool data_only);
int engine_fsync_dir(struct engine *e, uint64_t dir);
void engine_release(struct engine_handle *h);
int engine_fallocate(struct engine_handle *h, int mode, uint64_t offset, uint64_t length); /* fallocate(2)'s modes */
/* Shares frames where both are in this store; the count copied. */
ssize_t engine_copy_range(struct engine_handle *in, uint64_t in_offset, struct engine_handle *out, uint64_t out_offset,
                          uint64_t length);
int64_t engine_seek(struct engine_handle *h, uint64_t offset, int whence); /* SEEK_DATA, SEEK_HOLE */

/* ---- ordinary extended attributes (user.* but user.s3.*, trusted.*, security.*, POSIX ACLs as system.posix_acl_*) ---- */

int engine_xattr_get(struct engine *e, struct caller *c, uint64_t ino, const char *name, struct bytes *out);
/* flags: XATTR_CREATE, XATTR_REPLACE; of an access ACL also whether setgid goes: its setter is not in the file's group (chmod(2)). */
enum { ENGINE_XATTR_DROP_SETGID = 1 << 8 };
int engine_xattr_set(struct engine *e, struct caller *c, uint64_t ino, const char *name, const void *value, size_t len,
                     int flags);
int engine_xattr_remove(struct engine *e, struct caller *c, uint64_t ino, const char *name);
/* Zero-terminated names one after the other; copyable user.s3.* among them, or all of them with `all`. */
int engine_xattr_list(struct engine *e, struct caller *c, uint64_t ino, bool all, struct bytes *out);

/* ---- properties: everything S3 knows of a thing, by name (the attribute without `user.s3.`) ----
 * "retention", "legal-hold", "meta.NAME", "tagging", "describe", "bucket.versioning"... One table: property.c. */

struct engine_target {
    uint64_t ino;        /* a live file or directory (a bucket's root: its bucket.* too), or 0: */
    uint32_t bucket;     /* a version, by bucket, key and sequence */
    struct span key;
    uint64_t seq;
    bool current;        /* it was asked for as the key's current one, not by its id: then actions on the object are judged */
};
int engine_property_get(struct engine *e, struct caller *c, const struct engine_target *t, const char *name,
                        struct bytes *out);
int engine_property_set(struct engine *e, struct caller *c, const struct engine_target *t, const char *name,
                        const void *value, size_t len, int flags);
int engine_property_remove(struct engine *e, struct caller *c, const struct engine_target *t, const char *name);
int engine_property_list(struct engine *e, struct caller *c, const struct engine_target *t, bool all, struct bytes *out);

/* user.s3.last-error of a uid: kept per uid, last refusal only, with time, path, operation, sentence. */
void engine_refused(struct engine *e, struct caller *c, const char *operation, uint64_t ino, const char *name,
                    size_t name_len, int error);
/* The audit trail's part of it, for who keeps no last error: records what was refused to the caller, if that was a matter of permission
 * or of a lock, under the refused action's name (else `operation`). engine_refused() does it too. No lock held. */
void engine_audit_refused(struct engine *e, struct caller *c, const char *operation, int error);
int engine_last_error(struct engine *e, uint32_t uid, struct bytes *out); /* -ENODATA: none */
void engine_last_error_forget(struct engine *e, uint32_t uid);

/* ---- history: what .versions and .at show ---- */

/* A directory of the live tree, or what was one, by bucket and key ("" the bucket's root). */
struct engine_place {
    uint32_t bucket;
    struct span key;
};
int engine_place_of(struct engine *e, uint64_t ino, uint32_t *ret_bucket, uint8_t key[4096], size_t *ret_len);

struct engine_version {
    uint64_t seq;
    char id[33];      /* 32 characters, or "null" */
    char name[80];    /* as in .versions: 2026-11-24T12:00:00.123456789Z.ID */
    int64_t publish_ns;
    uint32_t flags;   /* enum version_flags */
    bool latest;
    struct engine_attr attr; /* its own size, mode, owner, times; ino is the live object's */
    uint8_t lock_mode, legal_hold;
    int64_t lock_until_ms;
    char etag[72];
    char made_by[128];
};
typedef int engine_version_fn(void *arg, const struct engine_version *v); /* 0 go on, 1 stop; meta lock held */

/* Names that have history directly below: callback gets the name with attr NULL; mode S_IFREG when the name itself has versions,
 * S_IFDIR when keys lie below it, both bits' presence told by `is_key`, `is_dir`. */
struct engine_history_name {
    const char *name;
    size_t name_len;
    bool is_key, is_dir;
};
typedef int engine_history_fn(void *arg, const struct engine_history_name *n);
int engine_history_names(struct engine *e, struct caller *c, const struct engine_place *dir, const char *after,
                         size_t after_len, unsigned max, engine_history_fn *fn, void *arg);
/* Owner and mode of a directory in .versions: of the live one at its place (`live`: *attr), narrowed to what an earlier one of that name
 * allowed; where none is live, of the last that was; else of the one it lies in (*attr). */
int engine_history_dir(struct engine *e, const struct engine_place *dir, bool live, struct engine_attr *attr);
int engine_history_name(struct engine *e, struct caller *c, const struct engine_place *dir, const char *name, size_t len,
                        struct engine_history_name *ret); /* -ENOENT */
/* Versions of a key, oldest first when `oldest_first`, those with seq after `after_seq` in that direction (0: from the start). */
int engine_versions(struct engine *e, struct caller *c, const struct engine_place *key, bool oldest_first,
                    uint64_t after_seq, unsigned max, engine_version_fn *fn, void *arg);
/* By `.versions` name, bare id, or "latest". */
int engine_version_find(struct engine *e, struct caller *c, const struct engine_place *key, const char *name, size_t len,
                        struct engine_version *ret);
int engine_version_get(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                       struct engine_version *ret);
int engine_version_open(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                        struct engine_handle **ret);
int engine_version_readlink(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq, char *buf,
                            size_t cap);
int engine_version_xattr_get(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                             const char *name, struct bytes *out);
int engine_version_xattr_list(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq, bool all,
                              struct bytes *out);
/* DeleteObjectVersion, with all that guards it (E3). */
int engine_version_delete(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq);

/* The tree as it stood at `at`. An entry is a directory (seq 0) or a version. */
struct engine_at_entry {
    const char *name;
    size_t name_len;
    bool is_dir;
    struct engine_version version; /* when !is_dir */
    struct engine_attr dir_attr;   /* when is_dir */
};
/* In a listing `version` tells seq, publish_ns, flags, latest, and of attr ino and the type; the rest by engine_at_lookup. */
typedef int engine_at_fn(void *arg, const struct engine_at_entry *entry);
int engine_at_lookup(struct engine *e, struct caller *c, const struct engine_place *dir, struct instant at,
                     const char *name, size_t len, struct engine_at_entry *ret); /* ret->name is the argument */
int engine_at_readdir(struct engine *e, struct caller *c, const struct engine_place *dir, struct instant at,
                      const char *after, size_t after_len, unsigned max, engine_at_fn *fn, void *arg);
/* Buckets as they were: for .at in the mount's root. */
int engine_at_buckets(struct engine *e, struct caller *c, struct instant at,
                      int (*fn)(void *arg, uint32_t bucket, const char *name, size_t len), void *arg);
/* Up to 32 instants worth offering for this subtree, newest first. */
int engine_at_instants(struct engine *e, struct caller *c, const struct engine_place *dir, struct instant ret[32]);

/* ---- accounts, users, access keys (auth.md §1), for commands; results are JSON objects the caller owns ----
 * `account` NULL: the first. All but engine_user_can() are for the account's root; accounts are the first root's. */

/* options: {"canonical-id","display-name","email"}, all optional. ret: as show. */
int engine_account_create(struct engine *e, struct caller *c, const char *name, const json_t *options, json_t **ret);
int engine_account_list(struct engine *e, struct caller *c, json_t **ret); /* {"accounts":[...]} */
int engine_account_show(struct engine *e, struct caller *c, const char *name, json_t **ret);
int engine_account_delete(struct engine *e, struct caller *c, const char *name);

/* options: {"uids":[n,...],"policy":text or preset}. */
int engine_user_create(struct engine *e, struct caller *c, const char *account, const char *name, const json_t *options, json_t **ret);
int engine_user_list(struct engine *e, struct caller *c, const char *account, json_t **ret); /* {"users":[...]} */
int engine_user_show(struct engine *e, struct caller *c, const char *account, const char *name, json_t **ret);
int engine_user_enable(struct engine *e, struct caller *c, const char *account, const char *name, bool on);
int engine_user_delete(struct engine *e, struct caller *c, const char *account, const char *name, bool force);
/* who: NAME, root, ACCOUNT:NAME, ACCOUNT:root, anonymous. */
int engine_user_map(struct engine *e, struct caller *c, const char *account, uint32_t uid, const char *who);
/* text: a policy, or a preset's name. */
int engine_user_policy_put(struct engine *e, struct caller *c, const char *account, const char *user, const char *name, const char *text);
int engine_user_policy_list(struct engine *e, struct caller *c, const char *account, const char *user, json_t **ret);
int engine_user_policy_get(struct engine *e, struct caller *c, const char *account, const char *user, const char *name, json_t **ret);
int engine_user_policy_delete(struct engine *e, struct caller *c, const char *account, const char *user, const char *name);
const char *engine_policy_preset(const char *name); /* its text, or NULL */
/* question: {"account","user" or "uid","action","resource": ARN or BUCKET/KEY,"context":{KEY:[value,...]}}. ret: {"allowed":bool,
 * "decision","principal","action","resource","by","policy","sid","statement"}. Asking about oneself is free. */
int engine_user_can(struct engine *e, struct caller *c, const json_t *question, json_t **ret);

/* user: a name or "root". options: {"id","secret"} to take in a key made elsewhere. ret: {"AccessKeyId","SecretAccessKey"}. */
int engine_key_create(struct engine *e, struct caller *c, const char *account, const char *user, const json_t *options, json_t **ret);
int engine_key_list(struct engine *e, struct caller *c, const char *account, const char *user, json_t **ret); /* user NULL: all */
int engine_key_enable(struct engine *e, struct caller *c, const char *id, bool on);
int engine_key_delete(struct engine *e, struct caller *c, const char *id);
int engine_key_rotate(struct engine *e, struct caller *c, const char *id, int64_t grace_s, json_t **ret);
/* The secret of an active key and who signs with it; -ENOENT for unknown, disabled, and keys of disabled users alike. */
int engine_key_open(struct engine *e, const char *id, struct secret **ret_secret, struct principal *ret);
/* A request was rightly signed with it, now: for "last used" of the list, kept to the minute. address "": unknown. */
void engine_key_used(struct engine *e, const char *id, const char *front, const char *address);

/* ---- MFA devices of an account's root (retention.md §4); each root manages its own ---- */

/* options: {"secret":32 characters [a-z2-7],"codes":[one,the next]}; NULL asks whether it may be enrolled: ret {"account","name"}. Else
 * ret: as list. */
int engine_mfa_enroll(struct engine *e, struct caller *c, const char *account, const char *name, const json_t *options, json_t **ret);
int engine_mfa_list(struct engine *e, struct caller *c, const char *account, json_t **ret); /* {"devices":[{"serial","name","enrolled",...}]} */
int engine_mfa_remove(struct engine *e, struct caller *c, const char *account, const char *name, const char *code);
/* Checks and spends a code that came with a request (S3: x-amz-mfa), before what it is for: caller->mfa. account: its 12 digits; NULL: the
 * caller's. serial NULL: of any of its devices. -EACCES wrong, -EAGAIN locked, -EINVAL no code, all with S3's sentence. */
int engine_mfa_code(struct engine *e, struct caller *c, const char *account, const char *serial, const char *code);

/* On a mount that several principals share: are names below this directory, or the inode, another thing to another caller? */
bool engine_tells_apart(struct engine *e, uint64_t ino);

/* ---- the audit trail (logs.md §3), for commands ---- */

/* Records behind `after`, at most `max` and a page: {"chain","last":seq,"records":[{"seq","hash","text"}],"more":bool,"checkpoint":{"sig","text"}}.
 * Refusals that are still being counted enter the chain first. audit:Read. */
int engine_audit_read(struct engine *e, struct caller *c, uint64_t after, uint64_t max, json_t **ret);
int engine_audit_export(struct engine *e, struct caller *c, const json_t *options); /* audit:Export: says that it is about to be done */
/* {"chain","key","public":hex,"heads":[{"seq","sig","text"}],"more","anchors":[...]}. audit:Read. */
int engine_audit_heads(struct engine *e, struct caller *c, uint64_t after, json_t **ret);
int engine_audit_set(struct engine *e, struct caller *c, const char *name, const char *value); /* audit:Configure */
int engine_audit_rotate_key(struct engine *e, struct caller *c, json_t **ret);                 /* {"key","public_key":PEM} */
/* What happened to a store whose metadata this process has not open: noted in a file beside, and taken into the trail by whoever opens
 * the store. error: the sentence of what failed, or NULL; takes over params. */
void engine_audit_pending(const char *dir, uint32_t uid, int32_t pid, const char *event, const char *error, json_t *params);
/* Where heads are carried. options: {"every_s","ca","token"}, the latter two the texts of files. */
int engine_audit_anchor_add(struct engine *e, struct caller *c, const char *url, const json_t *options);
int engine_audit_anchor_remove(struct engine *e, struct caller *c, const char *url);
int engine_audit_anchor_list(struct engine *e, struct caller *c, json_t **ret); /* {"anchors":[{"url","every_s","seq","time","error","late"}]} */

/* ---- buckets and upkeep, for commands; results are JSON objects the caller owns (json_decref) ---- */

/* options: {"object-lock":bool,"unversioned":bool,"encryption":"AES256","again":bool,"ownership":n,"acl":bool}; again: 0 where the caller's account has it so already;
 * ownership: enum engine_ownership; acl: it was asked for with an ACL */
int engine_bucket_create(struct engine *e, struct caller *c, const char *name, const json_t *options);
int engine_bucket_delete(struct engine *e, struct caller *c, const char *name, bool force);
int engine_bucket_list(struct engine *e, struct caller *c, json_t **ret);
int engine_bucket_info(struct engine *e, struct caller *c, const char *name, json_t **ret);
int engine_bucket_find(struct engine *e, const char *name, size_t len, uint32_t *ret_bucket, uint64_t *ret_root_ino);
/* A path below the root ("bucket/key/of/it") to its live inode; -ENOENT. */
int engine_resolve(struct engine *e, struct caller *c, const char *path, uint64_t *ret_ino);

int engine_status(struct engine *e, json_t **ret);
int engine_clock_show(struct engine *e, json_t **ret);
/* retention.md §3: sets the store's date to the machine's, forward only; locks that are set stay as they are. date: "YYYY-MM-DD", the
 * machine's. First account's root, with a code of its device. ret: as show. */
int engine_clock_approve(struct engine *e, struct caller *c, const char *date, const char *code, json_t **ret);
int engine_clock_reset(struct engine *e, struct caller *c, const char *code, json_t **ret); /* either way; only while nothing is locked */
int engine_debug_object(struct engine *e, struct caller *c, const struct engine_place *key, json_t **ret);
int engine_du(struct engine *e, struct caller *c, const struct engine_place *key, json_t **ret);

/* Long work tells how far it is; returns 0 to go on, non-zero to stop (the work then ends with -ECANCELED). */
typedef int engine_progress_fn(void *arg, const char *what, uint64_t done, uint64_t total);
struct engine_progress {
    engine_progress_fn *fn; /* NULL: none */
    void *arg;
};

struct engine_restore_params {
    struct instant at;
    bool dry_run, delete_newer, only_deletes;
    const char *by; /* principal, or NULL */
};
/* ret: {"changed":n,"deleted":n,"unchanged":n,"by":{principal:n},"undo":"TIME","first":"TIME"}. Locked versions are refused before the first
 * change where delete_newer meets one. */
int engine_restore(struct engine *e, struct caller *c, const struct engine_place *const *places, size_t count,
                   const struct engine_restore_params *params, struct engine_progress progress, json_t **ret);

int engine_fsck(struct engine *e, struct caller *c, bool repair, struct engine_progress progress, json_t **ret);
/* A copy of the metadata, kept in the store for engine_rebuild(). ret: {"commit_seq","metadata_bytes"}. */
int engine_checkpoint(struct engine *e, struct caller *c, json_t **ret);
/* For a store whose metadata is damaged and that nothing has open: from its newest sound checkpoint, and what can still be read of the
 * metadata itself. The damaged files are kept aside. -EALREADY: the metadata is sound; -ENOENT: there is no checkpoint. ret:
 * {"checkpoint":{"commit_seq","time"},"damaged","salvaged":{"versions","buckets","locks","complete"},"relocated_versions",
 * "missing_versions","missing_locked","beyond":{"data_keys","bytes"},"errors","repaired","findings"}. */
int engine_rebuild(const struct engine_config *config, struct engine_progress progress, json_t **ret, struct reason *reason);
int engine_scrub(struct engine *e, struct caller *c, struct engine_progress progress, json_t **ret);
int engine_gc(struct engine *e, struct caller *c, struct engine_progress progress, json_t **ret);
int engine_compact(struct engine *e, struct caller *c, struct engine_progress progress, json_t **ret);
/* A copy of the store in the folder dir_fd, which becomes a store of its own that the same secrets open: segments that are not in
 * it yet, and the metadata of one moment. Collection waits meanwhile. Stopped, killed or failed, the folder holds the copy it held
 * before. ret: {"store","directory","commit_seq","segments","segments_bytes","copied_bytes","metadata_bytes","removed_segments",
 * "took_s"} and with `verify` what engine_scrub() says of the copy. */
struct engine_backup_params {
    int dir_fd;      /* owned by who asks */
    const char *dir; /* its name, for sentences */
    bool verify;     /* open every frame of the copy */
    bool overwrite;  /* also a copy that was written to since */
};
int engine_backup(struct engine *e, struct caller *c, const struct engine_backup_params *params, struct engine_progress progress,
                  json_t **ret);
/* encryption.md §1.4. A new version of the bucket's key; with `rewrap` every data key of the bucket is wrapped under it and the
 * earlier versions are destroyed. Stopped, it is taken up again by the next call. ret: {"bucket","key","key_version","versions",
 * "rewrapped","kept","destroyed","epoch"}. */
int engine_bucket_rotate_key(struct engine *e, struct caller *c, const char *bucket, bool rewrap, struct engine_progress progress,
                             json_t **ret);
/* Every frame of the bucket under new data keys, in new segments; locked versions too, which stay what they are. Stopped, it is taken up
 * again by the next call. ret: {"bucket","versions" (looked at),"rekeyed","kept" (with a frame that does not open),"sealed_bytes",
 * "shared_bytes"}. */
int engine_rekey(struct engine *e, struct caller *c, const char *bucket, struct engine_progress progress, json_t **ret);
/* `holdfs kms VERB` (encryption.md §4.3); args and ret as kms_verbs.c has them. material: of import-key-material, else NULL. */
int engine_kms(struct engine *e, struct caller *c, const char *verb, const json_t *args, const struct secret *material,
               struct engine_progress progress, json_t **ret);
/* UpdateObjectEncryption: the current version under that KMS key, without moving data (encryption.md §4.5). */
int engine_reencrypt(struct engine *e, struct caller *c, uint64_t ino, const char *key, bool bucket_key);
/* Customer keys (SSE-C) on a mount (encryption.md §6): for the caller's uid, with `session` for his login session, in the bucket whose root
 * ino is. Never kept but in memory. -ENOKEY: lock of what is not unlocked. */
int engine_sse_c_unlock(struct engine *e, struct caller *c, uint64_t ino, const struct secret *key, bool write, bool session);
int engine_sse_c_lock(struct engine *e, struct caller *c, uint64_t ino);
int engine_sse_c_status(struct engine *e, struct caller *c, json_t **ret); /* {"keys":[{"bucket","write","session"}]}, the caller's */
int engine_rotate_root(struct engine *e, struct caller *c, json_t **ret); /* {"epoch"} */
int engine_rotate_page(struct engine *e, struct caller *c, json_t **ret); /* {"page_generation"} */
/* A new M for a store that nothing has open: slots, bucket keys, metadata. config->unlock opens it and is among renewal->secrets.
 * -ENOTUNIQ without a sentence where a slot has no secret and `drop_others` is not said: *ret_dropped has a bit for each. */
int engine_rotate_master(const struct engine_config *config, const struct master_renewal *renewal, bool drop_others,
                         uint8_t ret_recovery[32], unsigned *ret_dropped, struct reason *reason);
/* A bucket with all versions and locks as a stream to fd, and back from one. */
int engine_export(struct engine *e, struct caller *c, const char *bucket, bool move, int fd,
                  struct engine_progress progress, json_t **ret);
int engine_import(struct engine *e, struct caller *c, const char *bucket, int fd, struct engine_progress progress,
                  json_t **ret);

#include "engine/by_key.h" /* objects by key, for S3 */

#endif
