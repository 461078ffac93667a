/* SPDX-License-Identifier: GPL-3.0-or-later
 * The judgement of one action on one resource (auth.md §4.4). Without policies there are two answers: the root of
 * the account that owns the bucket may, everybody else may not. */
#include "auth/auth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Longest part of a key that is quoted: the sentence must fit its reason with the action and the ARN around it. */
enum { KEY_SHOWN_BYTES = 480 };

static void resource_arn(const struct auth_request *q, char *out, size_t cap)
{
    if (!q->bucket) {
        snprintf(out, cap, "arn:aws:s3:::*");
        return;
    }
    if (!q->key) {
        snprintf(out, cap, "arn:aws:s3:::%s", q->bucket);
        return;
    }
    size_t len = strnlen(q->key, KEY_SHOWN_BYTES + 1);
    bool cut = len > KEY_SHOWN_BYTES;
    if (cut) {
        len = KEY_SHOWN_BYTES;
        while (len > 0 && ((unsigned char)q->key[len] & 0xc0) == 0x80)
            len--; /* not in the middle of a character */
    }
    snprintf(out, cap, "arn:aws:s3:::%s/%.*s%s", q->bucket, (int)len, q->key, cut ? "…" : "");
}

int auth_judge(const struct auth_request *q, struct reason *reason)
{
    const struct principal *p = q->principal;
    if (p->kind == PRINCIPAL_ROOT && (!q->bucket_account || strcmp(p->account, q->bucket_account) == 0))
        return 0;
    if (p->kind == PRINCIPAL_ANONYMOUS)
        return reason_fail_s3(reason, EACCES, "AccessDenied", "Access Denied");
    char arn[128], resource[640];
    principal_arn(p, arn);
    resource_arn(q, resource, sizeof resource);
    /* The text is S3's: clients match on it. */
    return reason_fail_s3(reason, EACCES, "AccessDenied",
                          "User: %s is not authorized to perform: %s on resource: \"%s\" "
                          "because no identity-based policy allows the %s action",
                          arn, q->action, resource, q->action);
}
