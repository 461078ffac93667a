/* SPDX-License-Identifier: GPL-3.0-or-later
 * A small world of principals for tests of src/auth: account 111122223333 with alice and bob, 444455556666 with carol and dave;
 * alice2 is a later user of alice's name. Policies as JSON, a list of statements standing for a policy of 2012. */
#ifndef HOLDFS_TESTS_AUTH_WORLD_H
#define HOLDFS_TESTS_AUTH_WORLD_H

#include "auth/auth.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNT1 "111122223333"
#define ACCOUNT2 "444455556666"
#define POINT_ARN "arn:aws:s3:us-east-1:" ACCOUNT1 ":accesspoint/ap"

struct world_principal {
    const char *called;
    struct principal p;
};

static const struct world_principal world[] = {
    {"anonymous", {.kind = PRINCIPAL_ANONYMOUS}},
    {"root", {.kind = PRINCIPAL_ROOT, .account = ACCOUNT1, .name = "root"}},
    {"alice", {.kind = PRINCIPAL_USER, .account = ACCOUNT1, .name = "alice", .userid = "AIDAAAAAAAAAAAAALICE"}},
    {"bob", {.kind = PRINCIPAL_USER, .account = ACCOUNT1, .name = "bob", .userid = "AIDAAAAAAAAAAAAAABOB"}},
    {"alice2", {.kind = PRINCIPAL_USER, .account = ACCOUNT1, .name = "alice", .userid = "AIDAAAAAAAAAAAALICE2"}},
    {"root2", {.kind = PRINCIPAL_ROOT, .account = ACCOUNT2, .name = "root"}},
    {"carol", {.kind = PRINCIPAL_USER, .account = ACCOUNT2, .name = "carol", .userid = "AIDAAAAAAAAAAAACAROL"}},
    {"dave", {.kind = PRINCIPAL_USER, .account = ACCOUNT2, .name = "dave", .userid = "AIDAAAAAAAAAAAAADAVE"}},
    {"logging", {.kind = PRINCIPAL_SERVICE, .name = "logging.s3.amazonaws.com"}},
};

static inline const struct principal *world_find(const char *called)
{
    for (size_t n = 0; n < sizeof world / sizeof *world; n++) {
        if (strcmp(world[n].called, called) == 0)
            return &world[n].p;
    }
    return NULL;
}

static inline int world_user(void *arg, const char *account, const char *name, char ret_userid[21])
{
    (void)arg;
    if (strcmp(account, ACCOUNT1) != 0 && strcmp(account, ACCOUNT2) != 0)
        return -ENXIO;
    const struct principal *p = world_find(name);
    if (!p || p->kind != PRINCIPAL_USER || strcmp(p->account, account) != 0)
        return -ENOENT;
    memcpy(ret_userid, p->userid, 21);
    return 0;
}

static inline int world_canonical(void *arg, const char *id, char ret_account[13])
{
    (void)arg;
    if (strspn(id, "1") != 64 && strspn(id, "2") != 64)
        return -ENXIO;
    memcpy(ret_account, id[0] == '1' ? ACCOUNT1 : ACCOUNT2, 13);
    return 0;
}

static inline int world_policy(enum policy_kind kind, const char *text, size_t len, struct policy **ret, struct reason *reason)
{
    static const char *const resources[] = {
        [POLICY_BUCKET] = "arn:aws:s3:::b",
        [POLICY_ACCESS_POINT] = POINT_ARN,
        [POLICY_KEY] = "arn:aws:kms:us-east-1:" ACCOUNT1 ":key/k",
        [POLICY_VIEW] = "arn:aws:s3-object-lambda:us-east-1:" ACCOUNT1 ":accesspoint/v",
        [POLICY_VAULT] = "arn:aws:glacier:us-east-1:" ACCOUNT1 ":vaults/v",
    };
    struct policy_scope scope = {.kind = kind, .name = kind == POLICY_IDENTITY ? "policy" : NULL, .resource = resources[kind],
                                 .user = world_user, .canonical = world_canonical};
    return policy_parse(text, len, &scope, ret, reason);
}

/* A policy object, or a list of statements. Dies where it is malformed. */
static inline struct policy *world_policy_json(enum policy_kind kind, const json_t *value)
{
    if (!value)
        return NULL;
    json_t *whole = json_is_array(value) ? json_pack("{s:s, s:O}", "Version", "2012-10-17", "Statement", value) : json_incref((json_t *)value);
    char *text = json_dumps(whole, JSON_COMPACT);
    struct policy *p = NULL;
    struct reason why = {0};
    if (!text || world_policy(kind, text, strlen(text), &p, &why) < 0) {
        fprintf(stderr, "%s: %s\n", why.text, text);
        abort();
    }
    free(text);
    json_decref(whole);
    return p;
}

#endif
