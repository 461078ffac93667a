/* SPDX-License-Identifier: GPL-3.0-or-later
 * The audit trail (logs.md §3), written in the transaction of the act it tells. Private to src/engine.
 *
 * To record an act: trail_note() after its rows were written and before txn_end(). The record stands or falls with the transaction,
 * so chain order is commit order and there is no act without its record. A refusal needs nothing: engine_may_with() and the lock
 * rules leave what was refused in the caller, and engine_refused() records it (alike ones folded into one). tests/e2e/audit.py walks
 * through the events of logs.md §3.1.
 *
 * Never in a record: secret keys, passphrases, codes, data keys, object content. */
#ifndef HOLDFS_ENGINE_TRAIL_H
#define HOLDFS_ENGINE_TRAIL_H

#include "audit/audit.h"
#include "engine/private.h"

#define TRAIL_S3     NULL /* the usual source */
#define TRAIL_IAM    "iam.amazonaws.com"
#define TRAIL_KMS    "kms.amazonaws.com"
#define TRAIL_HOLDFS "holdfs"

enum trail_flags {
    TRAIL_SERVICE = 1,   /* the store did it by itself: AwsServiceEvent */
    TRAIL_DATA = 2,      /* a data event: recorded only where audit-data-events asks for it (with TRAIL_READ: `all`) */
    TRAIL_READ = 4,      /* changes nothing */
};

struct trail_event {
    const char *name;            /* "PutObjectLegalHold": the API's action where there is one */
    const char *source;          /* TRAIL_S3 ... */
    /* What it is about: a version (bucket and key are its own then), a key of a bucket, a bucket, or something with an ARN. */
    const struct version *version;
    const struct bucket *bucket;
    struct span key;
    const char *version_id;      /* where there is no struct version at hand */
    const char *arn, *arn_type;  /* "arn:aws:iam::...", "AWS::IAM::User"; beside the bucket, if there is one */
    json_t *params, *previous, *response; /* taken over, whatever is returned; NULL: none. params beyond bucketName, key, versionId */
    int error;                   /* negative errno of what failed; 0: done */
    const char *error_code, *error_message;
    const char *rule;            /* what decided */
    unsigned flags;              /* enum trail_flags */
};

/* Records what the open transaction does. c NULL: the store itself. M, txn. -ENOSPC, -EIO...: the act must fail too. */
int trail_note(struct engine *e, struct caller *c, const struct trail_event *event);
/* For the end of a transaction: r where something failed already, else the note. */
int trail_also(struct engine *e, struct caller *c, int r, const struct trail_event *event);
/* The same in a transaction of its own. M. */
int trail_note_alone(struct engine *e, struct caller *c, const struct trail_event *event);
/* Equal ones (name, principal, resource, code) within a minute become one record with `count`. The first is committed before this
 * returns; with `lazy` at the latest a second later. M, no transaction. */
int trail_fold(struct engine *e, struct caller *c, const struct trail_event *event, bool lazy);
/* What a command did that has no API's name: one record with its result, in a transaction of its own. bucket: a name, or NULL; r: passed
 * through where it is an error. M is taken here. */
int trail_report(struct engine *e, struct caller *c, int r, const char *name, const char *bucket, const json_t *result);
/* A frame, page or chain that failed its check; any thread, any lock. */
void trail_integrity(struct engine *e, const char *what, const char *bucket, struct span key, const char *version_id);
/* A document for params or previous: whole up to 20 KiB, else its SHA-256 and size. NULL where text is NULL. */
json_t *trail_document(const void *text, size_t len);
bool trail_wants_data(const struct engine *e, bool read); /* M */

/* GetObject, where audit-data-events is `all`: as the content is opened. M, no transaction. */
int trail_read(struct engine *e, struct caller *c, const struct bucket *b, struct span key, const char *version_id);

/* What was refused, for the refusal's record. rule: "compliance", "governance", "legal-hold", "mfa", ... Remembers; writes nothing. */
void trail_refuse(struct caller *c, const char *action, const char *rule, const struct bucket *b, struct span key, const char *version_id);

/* ---- the engine's part: opening, transactions, upkeep ---- */

/* A second of a clock, as text once for all records in it. */
struct second {
    int64_t s;
    char text[40]; /* 2026-11-24T12:00:00 */
};

struct fold;
struct late;
struct anchors;

struct trail {
    char chain[AUDIT_CHAIN_CHARS + 1];
    struct audit_place committed, pending; /* the end on disk; with what the open transaction adds */
    struct secret *seed;                   /* the signing key */
    uint8_t public[AUDIT_PUBLIC_BYTES];
    char key_id[AUDIT_KEY_ID_CHARS + 1];
    uint64_t loose_bytes;                  /* of records that are not */
    uint64_t packed;                       /* records up to here are in sealed pieces */
    uint64_t head_seq;                     /* of the last head */
    int64_t head_mono_ns, point_mono_ns;   /* when the last head and the last commit_seq record were made */
    int64_t wall_ahead_ns;                 /* of the monotonic clock, when last looked at; 0: not yet */
    uint64_t point_commit;                 /* the commit_seq in it, and of the commit that wrote it */
    int64_t keep_days;                     /* 0: forever */
    int data_events;                       /* 0 none, 1 write, 2 all */
    struct fold *folds;                    /* oldest last */
    size_t fold_count;
    uint64_t fold_next;
    struct anchors *anchors;               /* trail_anchor.c */
    struct bytes text, row;                /* scratch */
    uint8_t random[512];                   /* for ids: one call for many records */
    size_t random_left;
    struct second wall_second, clock_second;
    int32_t comm_pid;                      /* /proc/PID/comm, kept for a moment */
    int64_t comm_mono_ns;
    char comm[20];
    pthread_mutex_t late_lock;             /* leaf: guards what follows */
    struct late *late;
    size_t late_count;
};

int trail_open(struct engine *e, struct reason *reason); /* M; makes the chain in a new store, and its key */
void trail_close(struct engine *e);
void trail_txn_end(struct engine *e, bool committed); /* M: txn.c, at the end of each transaction */
void trail_run(struct engine *e, bool stop);          /* the worker, each second, and once at the end. Takes M */
void trail_idle(struct engine *e);                     /* M: a commit that is no news by itself */
int trail_stop(struct engine *e);                     /* M, txn, the last one: says so, and signs the end */

/* trail.c, for the other files of the trail */
int trail_compose(struct engine *e, struct caller *c, const struct trail_event *event, struct bytes *out); /* M */
int trail_append(struct engine *e, const void *text, size_t len); /* M, txn */
void trail_event_done(const struct trail_event *event);
void trail_time(int64_t wall_ns, char out[40]); /* 2026-11-24T12:00:00Z */

/* trail_fold.c */
int trail_folds_load(struct engine *e); /* M: those a crash left */
/* Into the chain with those whose minute is over, or all. M, no transaction. */
int trail_folds_close(struct engine *e, bool all);
int trail_folds_save(struct engine *e); /* M: counts since the last second */
void trail_folds_free(struct engine *e);
void trail_late_run(struct engine *e); /* M, no transaction */

/* trail_pack.c */
/* Each record of a row, in order; fn returns 0 to go on, anything else ends it and is returned. */
typedef int trail_record_fn(void *arg, uint64_t seq, const uint8_t *hash, const uint8_t *text, size_t len);
int trail_row_each(const struct trail_row *row, trail_record_fn *fn, void *arg);
int trail_pack(struct engine *e);   /* one piece: 1, or 0 when none is due. Takes M */
int trail_expire(struct engine *e); /* the same for what is older than audit-keep */

/* trail_pending.c */
int trail_pending_take(struct engine *e); /* M, no transaction: what waited in STORE/audit.pending */

/* trail_read.c */
int trail_may(struct engine *e, struct caller *c, const char *action); /* M */

/* trail_anchor.c */
int trail_anchors_open(struct engine *e);        /* M */
void trail_anchors_run(struct engine *e);        /* M: the worker, each second: what is due */
void trail_anchors_stop(struct engine *e);       /* no locks held */
void trail_anchors_close(struct engine *e);      /* M */
json_t *trail_anchors_json(struct engine *e);    /* M: each, and how it does */
json_t *trail_anchored_json(struct engine *e);   /* M: the last time one was well; NULL: never */

/* trail_head.c */
/* Signature and text of a head at that place. M */
int trail_head_sign(struct engine *e, const struct audit_place *place, struct bytes *out);
int trail_key_rotate(struct engine *e, struct caller *c); /* M, no transaction */
int trail_key_load(struct engine *e); /* M: 0, or -ENOENT where there is none yet */
int trail_key_make(struct engine *e); /* M, txn */
int trail_head_make(struct engine *e); /* M: a signed head of what is committed */
int trail_public_file(struct engine *e); /* STORE/audit.pub */

#endif
