/* SPDX-License-Identifier: GPL-3.0-or-later
 * Who may: principals, the policy language and the judgement of one action on one resource (auth.md §1, §4).
 *
 * Pure functions over values: no clock, no file, no lock. A front or the engine fills in a struct auth_request, as sent,
 * and asks once per operation. Policies are compiled once, immutable and counted, so that many threads judge by one.
 *
 * To add an action: one line in action.c. A condition key: one line in context.c and its name in enum auth_key (tests/unit/
 * test_auth_tables.c notices when they disagree). An operator: one line in operator.c. */
#ifndef HOLDFS_AUTH_AUTH_H
#define HOLDFS_AUTH_AUTH_H

#include "util/bytes.h"
#include "util/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- principals ---- */

enum principal_kind { PRINCIPAL_ANONYMOUS, PRINCIPAL_ROOT, PRINCIPAL_USER, PRINCIPAL_SERVICE };

struct principal {
    enum principal_kind kind;
    char account[13]; /* 12 digits, or "" */
    char name[65];    /* user or service name; "root" for the root */
    char userid[21];  /* AIDA...: users only; never reused, what policies bind a user by */
};

/* The ARN of auth.md §1, or "anonymous" / "service:NAME"; into out. */
void principal_arn(const struct principal *p, char out[128]);

/* ---- condition keys (auth.md §4.3) ---- */

enum auth_key {
    AUTH_ABSENT, /* a legal key that no request has: the other aws: keys */
    AUTH_SECURE_TRANSPORT,
    AUTH_SOURCE_IP,
    AUTH_SOURCE_VPC,
    AUTH_CURRENT_TIME,
    AUTH_EPOCH_TIME,
    AUTH_PRINCIPAL_ARN,
    AUTH_PRINCIPAL_ACCOUNT,
    AUTH_PRINCIPAL_TYPE,
    AUTH_USERID,
    AUTH_USERNAME,
    AUTH_PRINCIPAL_IS_SERVICE,
    AUTH_REQUESTED_REGION,
    AUTH_RESOURCE_ACCOUNT,
    AUTH_S3_RESOURCE_ACCOUNT,
    AUTH_REFERER,
    AUTH_USER_AGENT,
    AUTH_MFA_PRESENT,
    AUTH_MFA_AGE,
    AUTH_CALLED_VIA,
    AUTH_SOURCE_ARN,
    AUTH_SOURCE_ACCOUNT,
    AUTH_AUTH_TYPE,
    AUTH_SIGNATURE_VERSION,
    AUTH_SIGNATURE_AGE,
    AUTH_TLS_VERSION,
    AUTH_CONTENT_SHA256,
    AUTH_PREFIX,
    AUTH_DELIMITER,
    AUTH_MAX_KEYS,
    AUTH_VERSION_ID,
    AUTH_SSE,
    AUTH_SSE_KMS_KEY,
    AUTH_SSE_CUSTOMER,
    AUTH_ACL,
    AUTH_GRANT_READ,
    AUTH_GRANT_WRITE,
    AUTH_GRANT_READ_ACP,
    AUTH_GRANT_WRITE_ACP,
    AUTH_GRANT_FULL_CONTROL,
    AUTH_COPY_SOURCE,
    AUTH_METADATA_DIRECTIVE,
    AUTH_STORAGE_CLASS,
    AUTH_WEBSITE_REDIRECT,
    AUTH_OBJECT_OWNERSHIP,
    AUTH_LOCATION_CONSTRAINT,
    AUTH_EXISTING_TAG, /* with the tag's key */
    AUTH_REQUEST_TAG,  /* with the tag's key */
    AUTH_REQUEST_TAG_KEYS,
    AUTH_LOCK_MODE,
    AUTH_LOCK_UNTIL,
    AUTH_LOCK_HOLD,
    AUTH_LOCK_REMAINING_DAYS,
    AUTH_IF_MATCH,
    AUTH_IF_NONE_MATCH,
    AUTH_OBJECT_CREATION,
    AUTH_POINT_ARN,
    AUTH_POINT_ACCOUNT,
    AUTH_POINT_ORIGIN,
    AUTH_KMS_VIA_SERVICE,
    AUTH_KMS_CONTEXT, /* with the name */
    AUTH_ARCHIVE_AGE,
    AUTH_RESOURCE_TAG, /* with the tag's key */
    AUTH_KEY_COUNT
};

struct auth_keys { /* a set of them */
    uint64_t bits[2];
};
_Static_assert(AUTH_KEY_COUNT <= 128, "a set of keys has 128 bits");

static inline bool auth_keys_has(const struct auth_keys *set, enum auth_key key)
{
    return set->bits[key / 64] >> (key % 64) & 1;
}

static inline void auth_keys_add(struct auth_keys *set, const struct auth_keys *more)
{
    set->bits[0] |= more->bits[0];
    set->bits[1] |= more->bits[1];
}

/* A key by its written name, without regard to case; *ret_tag: what follows in it ("s3:ExistingObjectTag/TAG", within name), else "".
 * AUTH_ABSENT for other aws: keys; -EINVAL for what is none. */
int auth_key_find(const char *name, enum auth_key *ret, const char **ret_tag);
const char *auth_key_name(enum auth_key key);

/* One value of a key; a key with several values has several of these. All borrowed. */
struct auth_value {
    enum auth_key key;
    const char *tag; /* AUTH_EXISTING_TAG and the like: the rest of the key; terminated. Else NULL */
    const char *text;
    size_t len;
};

/* ---- policies ---- */

enum policy_kind { POLICY_IDENTITY, POLICY_BUCKET, POLICY_ACCESS_POINT, POLICY_KEY, POLICY_VIEW, POLICY_VAULT };

enum { POLICY_MAX_BYTES = 20480 }; /* auth.md §4.1 */

struct policy; /* compiled; immutable */

struct policy_scope {
    enum policy_kind kind;
    const char *name;     /* identity policies: the policy's name; else NULL */
    const char *resource; /* ARN of whose policy it is; identity policies: NULL */
    /* Binds a user named in a principal: 0 and its userid; -ENOENT: an account of this store without that user (the policy is
     * refused); -ENXIO: no account of this store (kept, matches nobody). NULL: as -ENXIO. */
    int (*user)(void *arg, const char *account, const char *name, char ret_userid[21]);
    /* The account of a canonical id: 0 or -ENXIO. NULL: as -ENXIO. */
    int (*canonical)(void *arg, const char *canonical_id, char ret_account[13]);
    void *arg;
};

/* Compiles a policy as sent. -EINVAL (MalformedPolicy) or -E2BIG (PolicyTooLarge) with the message of auth.md §4.5. */
int policy_parse(const char *text, size_t len, const struct policy_scope *scope, struct policy **ret, struct reason *reason);
struct policy *policy_ref(const struct policy *p);
void policy_unref(const struct policy *p); /* NULL is accepted */

const char *policy_text(const struct policy *p, size_t *ret_len); /* byte for byte as sent */
const char *policy_name(const struct policy *p);                  /* "" where it has none */
enum policy_kind policy_kind(const struct policy *p);
/* The condition keys it looks at: what no policy asks for need not be found out. */
const struct auth_keys *policy_keys(const struct policy *p);
bool policy_is_public(const struct policy *p); /* auth.md §4.8 */
/* Does it tell callers apart by key within that bucket: a Resource or s3:prefix narrower than the bucket (auth.md §7)? */
bool policy_by_key(const struct policy *p, const char *bucket);
const char *policy_sid(const struct policy *p, size_t statement);                      /* "" where it has none */
void policy_statement(const struct policy *p, size_t statement, struct bytes *out);    /* its JSON, in one line */
/* "StringNotEquals s3:x-amz-acl, Bool aws:SecureTransport": operators and keys of its Condition, never a value. */
void policy_conditions(const struct policy *p, size_t statement, struct bytes *out);
bool policy_statement_uses(const struct policy *p, size_t statement, enum auth_key key);

/* ---- the judgement (auth.md §4.4) ---- */

struct auth_policies {
    const struct policy *const *identity; /* the caller's, when it is a user */
    size_t identity_count;
    const struct policy *resource; /* the bucket's (key's, view's, vault's), or NULL */
};

struct auth_access_point {
    const char *arn; /* arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME */
    const char *account;
    const struct policy *policy; /* or NULL */
    bool restrict_public;        /* RestrictPublicBuckets holds for it and its policy is public */
};

struct auth_request {
    const struct principal *principal;
    bool disabled;              /* the caller is a disabled user */
    const char *action;         /* "s3:PutObject" */
    const char *bucket;         /* NULL for store-wide actions */
    const char *bucket_account; /* owner of the bucket (of the resource); NULL: the caller's own account */
    const char *key;            /* NULL for bucket actions; no zero within */
    size_t key_len;
    const char *resource; /* its ARN, where it is neither bucket nor object; else NULL */
    const char *region;   /* the store's */
    int64_t now_ms;       /* wall clock */
    const struct auth_value *values; /* what the request itself does not say: aws:PrincipalArn and the like need not be here */
    size_t value_count;
    struct auth_policies policies;
    const struct auth_access_point *access_point; /* through which it came, or NULL */
    bool granted;         /* an ACL that counts allows it (s3-api.md §12), or log delivery's implied grant */
    bool restrict_public; /* RestrictPublicBuckets is on and the bucket's policy is public */
};

enum auth_outcome { AUTH_ALLOWED, AUTH_DENIED_EXPLICIT, AUTH_DENIED_IMPLICIT };
enum auth_cause {
    AUTH_BY_NOTHING, /* no statement allows it */
    AUTH_BY_ROOT,
    AUTH_BY_POLICY,
    AUTH_BY_GRANT,
    AUTH_BY_DISABLED,
    AUTH_BY_PUBLIC_BLOCK
};

struct auth_verdict {
    enum auth_outcome outcome;
    enum auth_cause cause;
    const struct policy *policy; /* AUTH_BY_POLICY: borrowed from the request; its statement decided */
    size_t statement;
};

/* 0, or -EACCES with the sentence of auth.md §4.4. ret may be NULL. */
int auth_judge(const struct auth_request *request, struct auth_verdict *ret, struct reason *reason);

/* May the caller do anything to that key, or with `below` to any that begins with it (no key: to the bucket itself)? For walking a
 * tree: `action` NULL, any action on an object (a bucket); what is then done is judged by itself. */
bool auth_reaches(const struct auth_request *request, bool below, const char *action);

/* The sentence alone, with another end ("because ..."); -EACCES. For what is refused by a switch and not by a statement. */
int auth_refuse(const struct auth_request *request, const char *because, struct reason *reason);

/* Is it an action of a known service ("s3:GetObject"; case does not count)? */
bool auth_action_known(const char *action);

/* May this be an account's or user's name (auth.md §1)? */
bool principal_name_valid(const char *name);

/* ---- one-time codes of MFA devices (retention.md §4): RFC 6238, HMAC-SHA1, 6 digits, steps of 30 s from 1970 ---- */

enum { TOTP_SECRET_BYTES = 20, TOTP_DIGITS = 6, TOTP_STEP_S = 30 };

void totp_code(const uint8_t secret[TOTP_SECRET_BYTES], uint64_t step, char out[TOTP_DIGITS + 1]);
bool totp_code_valid(const char *text); /* six digits */
uint64_t totp_step(int64_t wall_s);
bool totp_matches(const uint8_t secret[TOTP_SECRET_BYTES], uint64_t step, const char *code); /* constant time */

/* What is remembered of a device's codes. */
struct totp_state {
    uint64_t last_step;     /* the last one accepted: it and earlier ones are replays */
    uint32_t wrong;         /* in a row */
    int64_t locked_until_s; /* of the clock that lock-outs go by; 0: not locked */
};

enum totp_answer { TOTP_RIGHT, TOTP_WRONG, TOTP_REPLAYED, TOTP_LOCKED };

/* Judges a code at wall_s: the step now, the one before and the one after count. The 5th wrong one in a row locks the device for 5 minutes
 * of clock_s, each further one for twice as long, up to a day. The state is to be kept whatever the answer, before it is acted on. */
enum totp_answer totp_judge(struct totp_state *s, const uint8_t secret[TOTP_SECRET_BYTES], const char *code, int64_t wall_s, int64_t clock_s);

#endif
