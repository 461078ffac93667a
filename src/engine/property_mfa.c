/* SPDX-License-Identifier: GPL-3.0-or-later
 * user.s3.mfa, and codes in the values of other properties (retention.md §4): taken out and spent before anything else is done, so that
 * no code reaches the property itself, the trail or last-error. */
#include "engine/mfa.h"
#include "engine/property.h"
#include "engine/trail.h"

#include <stdlib.h>

/* Whose device the code must be of; "" where that is nobody's here. */
static int account_of(struct engine *e, const struct caller *c, const struct engine_target *t, char ret[13])
{
    struct inode *i;
    const struct bucket *b = NULL;
    if (!t->ino) {
        b = bucket_by_number(e, t->bucket);
    } else {
        int r = inode_get(e, t->ino, &i);
        if (r < 0)
            return r;
        b = i->bucket;
        inode_put(e, i);
    }
    memcpy(ret, b ? b->account : c->principal.account, 13);
    return 0;
}

int property_code_spend(struct engine *e, struct caller *c, const struct engine_target *t, char *text)
{
    struct mfa_code code;
    char account[13] = "";
    if (mfa_code_cut(text, &code) < 0)
        return reason_fail_s3(&c->reason, EINVAL, "InvalidArgument", "an MFA code is six digits, or a serial, a space and six digits");
    if (!code.code[0])
        return 0;
    int r;
    {
        LOCK_SCOPE(&e->meta);
        r = account_of(e, c, t, account);
        if (r == 0)
            r = mfa_spend(e, c, account, &code);
    }
    secret_wipe(&code, sizeof code);
    int synced = durable_advance(e);
    return r < 0 ? r : synced;
}

/* Nobody reads a code back. */
int get_mfa(struct property_call *p, struct bytes *out)
{
    (void)p;
    (void)out;
    return -ENODATA;
}

static int note(struct property_call *p, int64_t seconds)
{
    return trail_note_alone(p->engine, p->caller,
                            &(struct trail_event){.name = seconds ? "UnlockMfa" : "LockMfa",
                                                  .source = TRAIL_HOLDFS,
                                                  .bucket = p->bucket,
                                                  .version = p->has_version && !p->inode ? &p->version : NULL,
                                                  .params = seconds ? json_pack("{s:I}", "seconds", (json_int_t)seconds) : NULL});
}

int set_mfa(struct property_call *p, const char *text, size_t len)
{
    (void)len;
    struct reason *reason = &p->caller->reason;
    bool one = p->where & (ON_VERSION | ON_MARKER);
    char *end;
    errno = 0;
    long seconds = *text ? strtol(text, &end, 10) : one ? MFA_VERSION_S : MFA_WINDOW_S;
    if (!p->caller->mfa)
        return reason_fail_s3(reason, EINVAL, "InvalidArgument", "user.s3.mfa takes a code of six digits, its serial before it or not%s",
                              one ? "" : ", and for how many seconds");
    if (*text && (one || *end || errno || seconds < 1 || seconds > MFA_WINDOW_MAX_S))
        return reason_fail_s3(reason, EINVAL, "InvalidArgument",
                              one ? "of a version a code is for one removal within a minute: give it alone"
                                  : "a code is in force for 1 to 600 seconds");
    const char *account = p->bucket ? p->bucket->account : p->caller->principal.account;
    int r = note(p, seconds);
    return r < 0 ? r : mfa_window_open(p->engine, p->caller, account, p->bucket ? p->bucket->number : 0, one ? &p->version : NULL, seconds);
}

int remove_mfa(struct property_call *p)
{
    bool one = p->where & (ON_VERSION | ON_MARKER);
    int r = mfa_window_close(p->engine, p->caller, p->bucket ? p->bucket->number : 0, one ? &p->version : NULL);
    return r < 0 ? r : note(p, 0);
}
