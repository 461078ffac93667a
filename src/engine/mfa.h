/* SPDX-License-Identifier: GPL-3.0-or-later
 * MFA: an account root's devices, their codes, and for whom a code is in force (retention.md §4). Private to src/engine.
 *
 * A code is checked and spent before anything is judged by it: mfa_spend() keeps what the device must remember (replay, lock-out) in a
 * transaction of its own, so that a refusal is remembered too. What it then opens lives in memory alone: for the one operation that
 * brought the code (caller->mfa), for one version, or as a window of a uid on a bucket or on all of the account's.
 *
 * Rows: iam/mfa/ACCOUNT/NAME. */
#ifndef HOLDFS_ENGINE_MFA_H
#define HOLDFS_ENGINE_MFA_H

#include "engine/private.h"

enum { MFA_VERSION_S = 60, MFA_WINDOW_S = 60, MFA_WINDOW_MAX_S = 600, MFA_SERIAL_CHARS = 128 };

struct mfa_device {
    char account[13];
    char name[65];
    int64_t created_ms, used_ms; /* used 0: never */
    struct totp_state totp;      /* lock-outs go by the compliance clock: who sets the date ends none */
    uint8_t sealed[TOTP_SECRET_BYTES + XAES_OVERHEAD_BYTES];
};

struct mfa_window; /* mfa_window.c */

struct mfa {
    struct mfa_device **devices; /* M: by account and name */
    size_t count;                /* M */
    pthread_mutex_t lock;        /* leaf: guards what follows */
    struct mfa_window *windows;  /* newest first */
    size_t window_count;
};

/* A code as somebody typed it: its serial where one was given. Wipe it. */
struct mfa_code {
    char serial[MFA_SERIAL_CHARS]; /* "" none */
    char code[TOTP_DIGITS + 1];    /* "" none */
};

/* ---- mfa.c ---- */
int mfa_open(struct engine *e); /* M, after iam_open() */
void mfa_close(struct engine *e);
/* Checks a code for an account whose root the caller is, and spends it: caller->mfa on success. -EACCES (wrong, replayed, not root, no
 * device), -EAGAIN (locked), with the sentence. To be followed by durable_advance() before what it allows. M, no transaction. */
int mfa_spend(struct engine *e, struct caller *c, const char *account, const struct mfa_code *code);
/* The state of a store that was put back is to be accepted: where a device is enrolled in it, by a code. A wrong one leaves nothing
 * behind, for it must not carry the state forward. M, no transaction. */
int mfa_accept(struct engine *e, const char *code, struct reason *reason);
int mfa_account_drop(struct engine *e, const char *account);    /* M, txn: rows of all its devices */
void mfa_account_forget(struct engine *e, const char *account); /* M: the same in memory */

/* ---- mfa_window.c ---- */
/* Takes `CODE` or `SERIAL CODE` out of the words of text, where they are; code->code is "" where there is none. -EINVAL: two of them. */
int mfa_code_cut(char *text, struct mfa_code *ret);
/* bucket 0: all of the account's. seq 0: not one version. */
int mfa_window_open(struct engine *e, const struct caller *c, const char *account, uint32_t bucket, const struct version *v, int64_t seconds);
int mfa_window_close(struct engine *e, const struct caller *c, uint32_t bucket, const struct version *v); /* -ENODATA; bucket 0: every one of the uid's */
/* Is a code in force for the caller, on the bucket or (seq not 0) the version? *ret_age_s: how long. */
bool mfa_in_force(struct engine *e, const struct caller *c, const struct bucket *b, struct span key, uint64_t seq, int64_t *ret_age_s);
/* The rule: in a bucket with MFA delete only the account's root, with a code in force, does what `action` names. 0, or -EACCES with the
 * sentence. v: the version that is to go, or NULL. M. */
int mfa_demanded(struct engine *e, struct caller *c, const char *action, const struct bucket *b, const struct version *v);
int mfa_root_demanded(struct engine *e, struct caller *c, const char *action, const struct bucket *b, const struct version *v); /* whatever the bucket's setting. M */
void mfa_used(struct engine *e, const struct caller *c, const struct version *v); /* a code for one version serves once */
void mfa_windows_free(struct engine *e);

#endif
