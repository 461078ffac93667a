/* SPDX-License-Identifier: GPL-3.0-or-later
 * KMS keys of the store, and content under them or under customer keys (encryption.md §4-§6). Private to src/engine.
 *
 * kms.c     keys and aliases in memory, finding them, who may use them
 * kms_rows.c  their rows
 * kms_keys.c, kms_verbs.c  `holdfs kms`
 * sse.c     which key new content is under; opening and making data keys
 *
 * Rows are values of the metadata: kms/key/UUID, kms/policy/UUID, kms/alias/NAME; key material is a row of the key-encryption
 * keys (kind 2), opened into the local provider. All of it is guarded by engine.meta (M) but the provider and the open data keys,
 * which have locks of their own, leaves. */
#ifndef HOLDFS_ENGINE_KMS_H
#define HOLDFS_ENGINE_KMS_H

#include "engine/private.h"
#include "kms/data_keys.h"
#include "kms/provider.h"
#include "kms/throttle.h"

enum kms_state { KMS_ENABLED = 1, KMS_DISABLED = 2, KMS_PENDING_DELETION = 3, KMS_PENDING_IMPORT = 4 };

enum { KMS_DESCRIPTION_BYTES = 8192, KMS_ALIAS_CHARS = 256 /* "alias/" and 250 */ };
#define KMS_ALIAS_S3 "alias/aws/s3"

struct kms_key {
    uint8_t id[16];
    char arn[KMS_ARN_CHARS];
    enum kms_state state;
    bool external; /* its material is imported */
    bool managed;  /* alias/aws/s3 */
    char *description; /* owned; may be NULL */
    int64_t created_ms, deletion_ms, valid_to_ms, rotate_at_ms; /* 0: none; deletion and expiry by the compliance clock's date */
    uint32_t rotate_days; /* 0: not by itself */
    uint32_t version;     /* newest; 0: no material */
    uint32_t renew_below; /* blobs under earlier versions are renewed wherever they are written (kms rewrap) */
    uint8_t verifier[32]; /* HMAC of imported material; zeros: none yet */
    bool postponed;       /* destruction was due and a lock forbade it; told once */
    int64_t next_try_ns;  /* monotonic: when it is looked at again */
    struct policy *policy; /* iam.lock as well; NULL: the default one */
    struct throttle throttle;
};

struct kms_alias {
    char name[KMS_ALIAS_CHARS + 1]; /* with "alias/" */
    uint8_t key[16];
};

struct shared_key; /* sse.c: data keys that a bucket's objects share for a while */
struct held_key;   /* sse_c.c: customer keys */

struct kms {
    const struct kms_provider_ops *ops;
    struct kms_provider *local;
    struct data_keys *open; /* own lock */
    struct kms_key **keys;  /* M, in the order they were made */
    size_t key_count;
    struct kms_alias **aliases; /* M, by name */
    size_t alias_count;
    struct policy *default_policy, *managed_policy;
    struct shared_key *shared; /* M */
    struct held_key *held;     /* M */
};

/* One use of a key, for the trail (logs.md §3.5). */
struct kms_use {
    const char *event; /* "GenerateDataKey", "Decrypt", "ReEncrypt" */
    const struct kms_key *key; /* NULL: destroyed */
    const struct envelope *env;
    const struct bucket *bucket;
    struct span name;  /* the object's key */
    uint64_t seq;      /* its version; 0: not known, or none yet */
    bool cached;       /* the provider was not asked */
    int error;
};

/* ---- kms.c ---- */
int kms_init(struct engine *e, struct reason *reason); /* M, before keyring_open(): the provider, without keys */
int kms_open(struct engine *e, struct reason *reason); /* M, after iam_open() */
void kms_close(struct engine *e);                      /* M, after drafts and handles are gone */
struct kms_key *kms_by_id(const struct engine *e, const uint8_t id[16]); /* M; NULL */
struct kms_alias *kms_alias_find(const struct engine *e, const char *name); /* M; NULL */
/* Key id, key ARN, alias or alias ARN (encryption.md §4.1); "" is alias/aws/s3, which is made when it is first asked for. -ENOKEY with
 * S3's words. M, not in a transaction. */
int kms_resolve(struct engine *e, struct caller *c, const char *text, struct kms_key **ret);
/* Can it be used now? The errno and words of encryption.md §4.4. M. */
int kms_usable(const struct kms_key *k, struct reason *reason);
/* May the caller do that to the key? `context` NULL: not by way of S3. M. */
int kms_may(struct engine *e, struct caller *c, const char *action, const struct kms_key *k, const struct envelope *env);
void kms_arn(const struct engine *e, const uint8_t id[16], char out[KMS_ARN_CHARS]);
const char *kms_state_name(enum kms_state state); /* as AWS writes it */
struct kms_context kms_context_of(const struct envelope *env);
/* A blob of a local key under a version that is being given up becomes one under the newest: *env is replaced. M */
bool kms_envelope_old(const struct engine *e, const struct envelope *env);
int kms_envelope_renew(struct engine *e, struct envelope **env);

/* ---- kms_rows.c: M, in a transaction ---- */
int kms_key_put(struct engine *e, const struct kms_key *k);
int kms_alias_put(struct engine *e, const struct kms_alias *a);
int kms_alias_del(struct engine *e, const char *name);
int kms_policy_put(struct engine *e, struct kms_key *k, const char *text, size_t len, struct policy **ret, struct reason *reason);
int kms_load(struct engine *e); /* M: every row */
/* New material for the key under that version: its row, and into the provider when the transaction is done. */
int kms_material_put(struct engine *e, const struct kms_key *k, uint32_t version, const uint8_t material[32]);
int kms_material_del(struct engine *e, const struct kms_key *k, uint32_t below, unsigned *ret_count); /* rows of versions < below */
/* Rows of the key, its policy and its aliases. */
int kms_key_del(struct engine *e, const struct kms_key *k);

/* ---- kms_keys.c ---- */
int kms_key_make(struct engine *e, const char *description, bool external, bool managed, struct kms_key **ret); /* M, not in a transaction */
void kms_key_free(struct kms_key *k);
enum kms_alias_change { KMS_ALIAS_CREATE, KMS_ALIAS_UPDATE, KMS_ALIAS_DELETE };
int kms_alias_change(struct engine *e, struct caller *c, enum kms_alias_change what, const char *name, const struct kms_key *k);
int kms_enable(struct engine *e, struct caller *c, struct kms_key *k, bool on);
int kms_schedule(struct engine *e, struct caller *c, struct kms_key *k, unsigned days);
int kms_cancel(struct engine *e, struct caller *c, struct kms_key *k);
/* lockout: also where nobody could set it again. */
int kms_policy_set(struct engine *e, struct caller *c, struct kms_key *k, const char *text, size_t len, bool lockout);
bool kms_policy_locks_out(const struct engine *e, const struct policy *policy, const char *arn);
int kms_lockout(struct reason *reason); /* the words of that */
const char *kms_policy_text(const struct engine *e, const struct kms_key *k, size_t *ret_len);
int kms_rotate(struct engine *e, struct caller *c, struct kms_key *k);
int kms_auto_rotate(struct engine *e, struct caller *c, struct kms_key *k, unsigned days); /* 0: off */
int kms_import(struct engine *e, struct caller *c, struct kms_key *k, const struct secret *material, int64_t valid_to_ms); /* 0: for ever */

/* ---- kms_destroy.c ---- */
struct kms_under {
    uint64_t versions, buckets, locked, governance; /* governance: of the locked ones, those that governance alone locks */
    bool hold;
    int64_t until_ms; /* the latest date of a lock; 0: none has one */
};
int kms_count_under(struct engine *e, const uint8_t key[16], bool only_locked, struct kms_under *ret); /* takes M in batches */
/* -EPERM "key K protects N versions until DATE". M */
int kms_locks_forbid(struct engine *e, struct caller *c, const struct kms_key *k, bool bypass);
int kms_material_drop(struct engine *e, struct caller *c, struct kms_key *k); /* imported material; M, locks were asked */
void kms_run(struct engine *e); /* the worker, each second: what is due. Takes M */

/* ---- kms_rewrap.c ---- */
int kms_rewrap(struct engine *e, struct caller *c, const char *key, struct engine_progress progress, json_t **ret); /* takes M */

/* ---- sse.c ---- */
/* Opens the KEK of content that is there, for its reader or editor: permission, state, the key. *ret (NULL for NULL env) is to be
 * held while the content is in use. `key`, `seq` name the version for the trail. M. */
int sse_open(struct engine *e, struct caller *c, const struct bucket *b, struct span key, uint64_t seq, const struct envelope *env,
             struct data_key **ret);
/* The same for holdfs itself, without a caller (scrub, a handle whose content changed under it). M. */
int sse_open_internal(struct engine *e, const struct envelope *env, struct reason *reason, struct data_key **ret);
int sse_judge(struct engine *e, struct caller *c, const struct bucket *b, struct span key, uint64_t seq, const struct envelope *env); /* sse_open() for its answer alone */
/* What new content of that key is to be under: *ret_env NULL is the bucket's own key. M, not in a transaction. */
int sse_new(struct engine *e, struct caller *c, const struct bucket *b, struct span key, struct envelope **ret_env,
            struct data_key **ret_kek);
/* Under exactly that KMS key. M, not in a transaction. */
int sse_new_kms(struct engine *e, struct caller *c, const struct bucket *b, struct span key, struct kms_key *k, bool bucket_key,
                struct envelope **ret_env, struct data_key **ret_kek);
void sse_forget(struct engine *e, const uint8_t key_id[16]); /* M: no new content goes under data keys of that KMS key made before */
/* What a handle was opened for, from now on. Takes over both. M */
void sse_handle_set(struct engine_handle *h, struct envelope *env, struct data_key *kek);
void sse_handle_done(struct engine_handle *h); /* M */
/* May this handle read content under `env` (of a draft, a content)? Asked at each read, judged when it changes. M not held. */
int sse_handle_follows(struct engine_handle *h, const struct envelope *env);
/* Takes the data keys from open files: those of a KMS key. What is written so far is published first. No locks held. */
void sse_evict(struct engine *e, const uint8_t key_id[16]);
/* The same for customer keys of a uid in a bucket. */
void sse_evict_customer(struct engine *e, uint32_t bucket, uint32_t uid);
void sse_run(struct engine *e); /* the worker, each second. Takes M */
void sse_close(struct engine *e);

/* ---- kms_usage.c ---- */
/* Notes one use; what was asked is answered after it. c NULL: holdfs itself. M, not in a transaction. */
int kms_use_note(struct engine *e, struct caller *c, const struct kms_use *use);
/* Notes a change of a key. */
int kms_change_note(struct engine *e, struct caller *c, const char *event, const struct kms_key *k, const char *before, int error);
int kms_usage(struct engine *e, struct caller *c, const json_t *args, json_t **ret); /* takes M */

#endif
