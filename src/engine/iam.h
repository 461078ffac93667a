/* SPDX-License-Identifier: GPL-3.0-or-later
 * Accounts, users, their policies, uids and access keys, in memory as in their rows (auth.md §1). Private to src/engine.
 *
 * All of it is loaded at open and kept compiled. Who changes it holds engine.meta (M), writes the rows in a transaction and then
 * the memory under iam.lock (write); who judges takes iam.lock (read) alone. iam.lock is a leaf.
 *
 * Rows are values of the metadata: iam/account/ID, iam/user/USERID, iam/policy/USERID/NAME, iam/uid/N, iam/key/ID,
 * iam/bucket/N/policy, iam/bucket/N/block. */
#ifndef HOLDFS_ENGINE_IAM_H
#define HOLDFS_ENGINE_IAM_H

#include "engine/private.h"

enum {
    IAM_POLICIES_MAX = 10, /* of a user (auth.md §1) */
    IAM_POLICY_NAME_CHARS = 128,
    IAM_KEYS_MAX = 16,     /* of a user */
    IAM_KEY_ID_CHARS = 128,
    IAM_SECRET_BYTES = 128,
    IAM_TEXT_BYTES = 255   /* display name, e-mail address */
};

/* Switches of the public access block (auth.md §4.8). */
enum public_block { BLOCK_PUBLIC_ACLS = 1, IGNORE_PUBLIC_ACLS = 2, BLOCK_PUBLIC_POLICY = 4, RESTRICT_PUBLIC_BUCKETS = 8, BLOCK_ALL = 15 };

struct account {
    char id[13];
    char name[65];
    char canonical[65];
    char display[IAM_TEXT_BYTES + 1];
    char email[IAM_TEXT_BYTES + 1];
    int64_t created_ms;
    uint8_t block; /* enum public_block */
};

struct user {
    char userid[21];
    char account[13];
    char name[65];
    bool disabled;
    int64_t created_ms;
    struct policy *policies[IAM_POLICIES_MAX]; /* in the order of their names; iam.lock */
    size_t policy_count;
};

struct uid_entry {
    uint32_t uid;
    struct principal principal;
};

struct access_key {
    char id[IAM_KEY_ID_CHARS + 1];
    char account[13];
    char userid[21]; /* "" the root */
    bool disabled;
    int64_t created_ms, disable_at_ms; /* 0: never */
    int64_t used_ms;                   /* 0: never */
    char used_front[16], used_address[48];
    bool used_unsaved;                 /* iam.lock: the row does not have it yet */
    uint8_t sealed[IAM_SECRET_BYTES + XAES_OVERHEAD_BYTES];
    size_t sealed_len;
};

struct iam {
    pthread_rwlock_t lock;
    struct account **accounts; /* the first one first */
    size_t account_count;
    struct user **users; /* by userid */
    size_t user_count;
    struct uid_entry *uids; /* by uid */
    size_t uid_count;
    struct uid_entry *mapped; /* the mount's uid-map, by uid; resolved anew when users change */
    size_t mapped_count;
    struct principal mapped_rest; /* `*` */
    bool has_mapped_rest;
    char *map_text;
    struct access_key **keys; /* by id */
    size_t key_count;
    struct xaes_key *key_wrap; /* seals access keys and MFA devices */
    bool key_wrap_new;         /* M: made in the open transaction */
};

/* ---- iam.c ---- */
int iam_open(struct engine *e, const char *uid_map, struct reason *reason); /* M, after keyring and buckets; uid_map may be NULL */
void iam_close(struct engine *e);
int iam_init_values(struct engine *e, const struct engine_init_params *p); /* M, txn */
void iam_account_new(struct account *a, const char *id, const char *name); /* id NULL: a random one */
struct account *iam_account(const struct engine *e, const char *name_or_id);     /* NULL; M or iam.lock */
struct account *iam_account_by_id(const struct engine *e, const char *id);
struct user *iam_user_by_id(const struct engine *e, const char *userid);
struct user *iam_user_by_name(const struct engine *e, const char *account, const char *name);
struct access_key *iam_key(const struct engine *e, const char *id);
struct principal iam_principal_of(const struct user *u);
struct principal iam_root_of(const struct account *a);
/* NAME, root, ACCOUNT:NAME, ACCOUNT:root or anonymous; NAME and root are of `account`. -ENOENT with the sentence. */
int iam_who(const struct engine *e, const char *text, const struct account *account, struct principal *ret, struct reason *reason);
/* Who manages this account: its root, and for all accounts the first one's. -EACCES with the sentence. */
int iam_manages(const struct engine *e, struct caller *c, const struct account *a);
/* The account an operation names (NULL: the first); -ENOENT with the sentence. */
int iam_account_named(const struct engine *e, struct caller *c, const char *name, struct account **ret);
int iam_list_add(void ***list, size_t *count, size_t at, void *item); /* -ENOMEM */
void iam_list_remove(void **list, size_t *count, size_t at);
/* Reads the mount's uid-map again: users came or went. iam.lock (write). */
void iam_map_refresh(struct engine *e);
/* Which buckets tell callers apart by key; those that do now and did not are to be forgotten by the kernel. M. Takes iam.lock. */
void iam_by_key_refresh(struct engine *e, struct bytes *ret_names);
void iam_forget_names(struct engine *e, struct bytes *names); /* tells the watcher; no locks held; frees */
/* What the open transaction does to an account (user NULL), or to a user ("root" too), for the audit trail; r as trail_also(). M, txn. */
int iam_note(struct engine *e, struct caller *c, int r, const char *event, const struct account *a, const char *user, json_t *params, json_t *previous);
int iam_text_check(const char *what, const char *text, struct reason *reason); /* a display name: printable, bounded */

/* ---- iam_rows.c: each row, encoded and decoded ---- */
int iam_account_put(struct engine *e, const struct account *a); /* M, txn */
int iam_user_put(struct engine *e, const struct user *u);       /* M, txn */
int iam_uid_put(struct engine *e, uint32_t uid, const struct principal *p); /* M, txn */
int iam_key_put(struct engine *e, const struct access_key *k);  /* M, txn */
int iam_row_del(struct engine *e, const char *kind, const char *id); /* M, txn: "user", "AIDA..." */
int iam_policy_put(struct engine *e, const char *userid, const char *name, const char *text, size_t len); /* M, txn */
int iam_policy_del(struct engine *e, const char *userid, const char *name);                               /* M, txn */
int iam_load(struct engine *e); /* M: every row into memory */

/* ---- iam_key.c ---- */
int iam_key_wrap_load(struct engine *e); /* M: the key that access keys are wrapped under, if there is one */
int iam_wrap_make(struct engine *e);      /* M, txn: makes it where there is none; iam_wrap_end() after that transaction */
void iam_keys_run(struct engine *e); /* the worker, and closing: writes down when keys were used. Takes M */
void iam_wrap_end(struct engine *e, bool committed);
int iam_keys_drop(struct engine *e, const char *account, const char *userid); /* M, txn: rows of all of them ("" the root's) */
void iam_keys_forget(struct engine *e, const char *account, const char *userid); /* M, iam.lock (write): the same in memory */

/* ---- iam_policy.c ---- */
int iam_identity_compile(const char *name, const char *text, size_t len, struct policy **ret, struct reason *reason);
/* A policy on something with an ARN of its own (a bucket, a key): compiled, and kept in the value `row` with whom its names meant. M, txn. */
int iam_policy_row_put(struct engine *e, const char *row, enum policy_kind kind, const char *arn, const char *text, size_t len,
                       struct policy **ret, struct reason *reason);
/* From that value. One that cannot be read denies all until it is put again. M */
int iam_policy_row_load(struct engine *e, struct span value, enum policy_kind kind, const char *arn, struct policy **ret);
/* The bucket's policy and block from their rows, after the accounts and users. M. */
int iam_buckets_load(struct engine *e);
int iam_bucket_restore(struct engine *e, struct bucket *b); /* M: the same of one, after a failed transaction */
/* Puts, or removes with text NULL, the bucket's policy: permission was judged, the rest of auth.md §4.5 and §4.8 is judged here. M, txn. */
int bucket_policy_set(struct engine *e, struct caller *c, struct bucket *b, const char *text, size_t len);
int bucket_block_set(struct engine *e, struct bucket *b, int block); /* M, txn; -1: none */
int bucket_mfa_delete_set(struct engine *e, struct bucket *b, bool on); /* M, txn */
int iam_bucket_drop(struct engine *e, struct bucket *b);             /* M, txn: its rows go with it */
uint8_t bucket_block(const struct engine *e, const struct bucket *b); /* the bucket's and its account's together. iam.lock */

#endif
