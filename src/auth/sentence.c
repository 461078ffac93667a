/* SPDX-License-Identifier: GPL-3.0-or-later
 * The sentence of a denial (auth.md §4.4). The text is S3's: clients match on it. */
#include "auth/auth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Longest part of a key that is quoted: the sentence must fit its reason with the action and the ARN around it. */
enum { KEY_SHOWN_BYTES = 480 };

static void resource_arn(const struct auth_request *q, char *out, size_t cap)
{
    if (q->resource) {
        snprintf(out, cap, "%.600s", q->resource);
        return;
    }
    if (!q->bucket) {
        snprintf(out, cap, "arn:aws:s3:::*");
        return;
    }
    if (!q->key) {
        snprintf(out, cap, "arn:aws:s3:::%s", q->bucket);
        return;
    }
    size_t len = q->key_len;
    bool cut = len > KEY_SHOWN_BYTES;
    if (cut) {
        len = KEY_SHOWN_BYTES;
        while (len > 0 && ((unsigned char)q->key[len] & 0xc0) == 0x80)
            len--; /* not in the middle of a character */
    }
    snprintf(out, cap, "arn:aws:s3:::%s/%.*s%s", q->bucket, (int)len, q->key, cut ? "…" : "");
}

/* The words are for the owning account's people; others learn nothing. */
static bool may_be_told(const struct auth_request *q)
{
    const struct principal *p = q->principal;
    return (p->kind == PRINCIPAL_ROOT || p->kind == PRINCIPAL_USER) &&
           (!q->bucket_account || strcmp(p->account, q->bucket_account) == 0);
}

int auth_refuse(const struct auth_request *q, const char *because, struct reason *reason)
{
    if (!reason)
        return -EACCES;
    if (!may_be_told(q))
        return reason_fail_s3(reason, EACCES, "AccessDenied", "Access Denied");
    char arn[128], resource[640];
    principal_arn(q->principal, arn);
    resource_arn(q, resource, sizeof resource);
    return reason_fail_s3(reason, EACCES, "AccessDenied",
                          "User: %s is not authorized to perform: %s on resource: \"%s\" %s", arn, q->action, resource,
                          because);
}
