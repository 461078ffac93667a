/* SPDX-License-Identifier: GPL-3.0-or-later
 * Who may: pure functions over values. The engine fills in the request to be judged and asks once per operation.
 *
 * The policy language comes in here later; the question and the answer keep their form. */
#ifndef HOLDFS_AUTH_AUTH_H
#define HOLDFS_AUTH_AUTH_H

#include "util/reason.h"

#include <stdbool.h>
#include <stdint.h>

enum principal_kind { PRINCIPAL_ANONYMOUS, PRINCIPAL_ROOT, PRINCIPAL_USER, PRINCIPAL_SERVICE };

struct principal {
    enum principal_kind kind;
    char account[13]; /* 12 digits, or "" */
    char name[65];    /* user or service name; "root" for the root */
};

/* The ARN of auth.md §1, or "anonymous" / "service:NAME"; into out. */
void principal_arn(const struct principal *p, char out[128]);

struct auth_request {
    const struct principal *principal;
    const char *action;        /* "s3:PutObject" */
    const char *bucket;        /* NULL for store-wide actions */
    const char *bucket_account; /* owner of the bucket */
    const char *key;           /* NULL for bucket actions; not terminated by a zero inside (keys hold none) */
};

/* 0, or -EACCES with the sentence ("User: ARN is not authorized to perform: ACTION on resource: ..."). */
int auth_judge(const struct auth_request *request, struct reason *reason);

/* Which principal a uid of the mount is. owner_uid: the uid that ran init. */
struct principal auth_uid_principal(uint32_t uid, uint32_t owner_uid, const char *account);

#endif
