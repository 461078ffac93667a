/* SPDX-License-Identifier: GPL-3.0-or-later
 * Principals: their ARNs and their names (auth.md §1). */
#include "auth/auth.h"

#include <stdio.h>
#include <string.h>

enum { PRINCIPAL_NAME_CHARS = 64 };

void principal_arn(const struct principal *p, char out[128])
{
    switch (p->kind) {
    case PRINCIPAL_ANONYMOUS:
        snprintf(out, 128, "anonymous");
        return;
    case PRINCIPAL_ROOT:
        snprintf(out, 128, "arn:aws:iam::%s:root", p->account);
        return;
    case PRINCIPAL_USER:
        snprintf(out, 128, "arn:aws:iam::%s:user/%s", p->account, p->name);
        return;
    case PRINCIPAL_SERVICE:
        snprintf(out, 128, "service:%s", p->name);
        return;
    }
}

bool principal_name_valid(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-";
    size_t len = strlen(name);
    return len >= 1 && len <= PRINCIPAL_NAME_CHARS && strspn(name, allowed) == len;
}
