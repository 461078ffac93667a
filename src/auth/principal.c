/* SPDX-License-Identifier: GPL-3.0-or-later
 * Principals: their ARNs, and which one a uid of the mount is (auth.md §1). */
#include "auth/auth.h"

#include <stdio.h>

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

struct principal auth_uid_principal(uint32_t uid, uint32_t owner_uid, const char *account)
{
    struct principal p = {.kind = PRINCIPAL_ANONYMOUS};
    if (uid == 0 || uid == owner_uid) {
        p.kind = PRINCIPAL_ROOT;
        snprintf(p.account, sizeof p.account, "%s", account);
        snprintf(p.name, sizeof p.name, "root");
    }
    return p;
}
