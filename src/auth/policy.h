/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the files of src/auth share: the compiled form of a policy, and its matching.
 *
 * A policy and everything in it lies in one arena and is never written after policy_parse(). Patterns are tokens: a byte, a
 * wildcard, or a variable whose value is compared as plain text at the time of the request, so nothing is ever put together. */
#ifndef HOLDFS_AUTH_POLICY_H
#define HOLDFS_AUTH_POLICY_H

#include "auth/auth.h"

#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <string.h>

/* ---- arena.c ---- */

struct arena {
    struct arena_block *blocks;
};
void *arena_take(struct arena *a, size_t size); /* zeroed; NULL when out of memory */
char *arena_text(struct arena *a, const char *text, size_t len);
void arena_done(struct arena *a);

/* ---- pattern.c ---- */

enum { TOKEN_ANY = 0x100, TOKEN_ONE = 0x101, TOKEN_VARIABLE = 0x200 /* + index */ };

struct pattern {
    const uint16_t *tokens;
    size_t count;
    const char *head; /* the bytes before the first wildcard or variable */
    size_t head_len;
    bool plain;    /* head is all of it */
    bool any;      /* "*" */
    bool variable; /* holds variables */
};

struct variable {
    enum auth_key key;
    const char *tag;
    const char *fallback; /* or NULL */
    size_t fallback_len;
};

struct arn_pattern {
    struct pattern parts[6];
    bool whole; /* parts[0] alone, against the whole text */
};

struct arn {
    const char *part[6];
    size_t len[6];
};

struct judge;
struct policy_build;

enum pattern_syntax { PATTERN_PLAIN, PATTERN_WILD };
/* -EINVAL: a variable that is none. Variables count only where the policy's Version has them. */
int pattern_compile(struct policy_build *b, const char *text, size_t len, enum pattern_syntax syntax, struct pattern *ret);
int arn_pattern_compile(struct policy_build *b, const char *text, size_t len, struct arn_pattern *ret); /* -EINVAL */
/* `fold`: without regard to ASCII case. A variable without a value: false. */
bool pattern_matches(const struct pattern *p, struct judge *j, const struct policy *policy, const char *text, size_t len,
                     bool fold);
bool arn_pattern_matches(const struct arn_pattern *p, struct judge *j, const struct policy *policy, const struct arn *arn);
bool variable_text(const struct variable *v, struct judge *j, const char **ret_text, size_t *ret_len); /* false: none */
bool arn_split(const char *text, size_t len, struct arn *ret); /* false: no ARN */
/* Can it match some text that begins so? With `exact`: that text itself? Variables may be anything. */
bool pattern_may_match(const struct pattern *p, const char *text, size_t len, bool exact);
bool pattern_has_wildcard(const struct pattern *p); /* or a variable */

/* ---- action.c ---- */

enum action_on { ON_ACCOUNT = 1, ON_BUCKET = 2, ON_OBJECT = 4, ON_POINT = 8, ON_OTHER = 16 };

struct action {
    const char *name;
    enum action_on on;
};
extern const struct action actions[];
extern const size_t action_count;
enum { ACTION_WORDS = 5 }; /* 320 actions at most */
int action_find(const char *name); /* its index, or -1 */
/* Adds what the pattern names to the set, of the services a policy of that kind may speak of; the number of them. -EINVAL. */
int action_match(const char *pattern, enum policy_kind kind, uint64_t set[ACTION_WORDS]);

static inline bool action_in(const uint64_t set[ACTION_WORDS], size_t action)
{
    return set[action / 64] >> (action % 64) & 1;
}

/* ---- principals (who.c) ---- */

enum who_kind { WHO_NOBODY, WHO_ANYBODY, WHO_ACCOUNT, WHO_USER, WHO_SERVICE };
struct who {
    enum who_kind kind;
    const char *name; /* account, userid or service */
};
enum who_match { WHO_NONE, WHO_HALF /* the caller's account: for its user half an Allow */, WHO_FULL };

int who_compile(struct policy_build *b, const json_t *principal, struct who **ret, size_t *ret_count, struct reason *reason);
enum who_match who_matches(const struct who *who, size_t count, const struct principal *p, bool deny);
bool who_listed(const struct who *who, size_t count, const struct principal *p); /* as NotPrincipal counts */

/* ---- operator.c, condition.c ---- */

enum value_type { TYPE_STRING, TYPE_FOLD, TYPE_LIKE, TYPE_NUMERIC, TYPE_DATE, TYPE_BOOL, TYPE_BINARY, TYPE_IP, TYPE_ARN, TYPE_NULL };
enum compare { COMPARE_EQUAL, COMPARE_LESS, COMPARE_LESS_EQUAL, COMPARE_GREATER, COMPARE_GREATER_EQUAL };

struct operator {
    const char *name;
    enum value_type type;
    bool negated;
    enum compare compare;
};

struct decimal { /* whole + nano/10^9; both of one sign */
    int64_t whole;
    int64_t nano;
};

struct address {
    uint8_t bytes[16];
    uint8_t len; /* 4 or 16 */
    uint8_t bits;
};

union operand {
    struct pattern pattern;
    struct arn_pattern arn;
    struct decimal decimal;
    int64_t ms;
    bool on;
    struct address address;
    struct {
        const uint8_t *p;
        size_t len;
    } binary;
};

enum set_operator { SET_NONE, SET_ANY, SET_ALL };

struct condition {
    const struct operator *op;
    enum set_operator set;
    bool if_exists;
    enum auth_key key;
    const char *tag;
    const char *op_text, *key_text; /* as written */
    union operand *values;
    size_t value_count;
};

/* "ForAllValues:StringEqualsIfExists" into its parts; -EINVAL. */
int operator_parse(const char *text, const struct operator **ret, enum set_operator *ret_set, bool *ret_if_exists);
int operand_compile(struct policy_build *b, const struct operator *op, const json_t *value, union operand *ret); /* -EINVAL */
/* A request's value as the operator's type reads it; false: it cannot. */
struct reading {
    const char *text;
    size_t len;
    struct decimal decimal;
    int64_t ms;
    bool on;
    struct address address;
    struct arn arn;
};
bool operand_read(const struct operator *op, const char *text, size_t len, struct reading *ret);
bool operand_matches(const struct operator *op, const union operand *operand, const struct reading *value, struct judge *j,
                     const struct policy *policy);

int conditions_compile(struct policy_build *b, const json_t *object, struct condition **ret, size_t *ret_count,
                       struct reason *reason);
bool condition_holds(const struct condition *c, struct judge *j, const struct policy *policy);

/* ---- a policy ---- */

struct statement {
    const char *sid; /* "" */
    bool deny, not_principal, not_resource;
    struct who *who;
    size_t who_count;
    uint64_t actions[ACTION_WORDS]; /* NotAction is worked in */
    struct arn_pattern *resources;
    size_t resource_count;
    struct condition *conditions;
    size_t condition_count;
};

struct policy {
    atomic_int refs;
    enum policy_kind kind;
    const char *name;
    const char *text;
    size_t text_len;
    bool variables; /* Version 2012-10-17 */
    bool is_public;
    struct auth_keys keys;
    struct statement *statements;
    size_t statement_count;
    struct variable *variable;
    size_t variable_count;
    struct arena arena;
};

/* While it is compiled. */
struct policy_build {
    struct policy *policy;
    const struct policy_scope *scope;
    struct arn resource; /* of scope->resource */
    size_t variable_cap;
};

/* resource.c: -EINVAL with the message. */
int resources_compile(struct policy_build *b, const json_t *value, struct statement *s, struct reason *reason);
/* Each entry of the Action list names an action that one of the statement's resources can have. */
int resources_fit_actions(const struct policy_build *b, const struct statement *s, const json_t *action_list, struct reason *reason);
bool statement_is_public(const struct statement *s); /* public.c */

/* ---- one judgement ---- */

struct judge {
    const struct auth_request *q;
    int action; /* index, or -1 */
    struct arn resource; /* of the bucket, object or other resource */
    struct arn point;    /* of the access point or the object through it; part[0] NULL: none */
    char text[4096 + 80]; /* holds the sixth part */
    char point_text[4096 + 160];
    char arn[128], time[40], epoch[24]; /* derived values, "" until first asked for */
};

/* context.c: the nth value of a key, from the request's values or from what the request says itself. */
bool judge_value(struct judge *j, enum auth_key key, const char *tag, size_t nth, const char **ret_text, size_t *ret_len);
bool judge_shut_out(const struct auth_request *q); /* judge.c: RestrictPublicBuckets holds against the caller */
bool auth_key_many(enum auth_key key); /* it may have several values */
/* The same as auth_key_find() for a policy of that kind: -EINVAL also where the key belongs to another service. */
int key_find_in(const char *name, enum policy_kind kind, enum auth_key *ret, const char **ret_tag);

#endif
