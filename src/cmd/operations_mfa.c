/* SPDX-License-Identifier: GPL-3.0-or-later
 * Operations that one-time codes are about: devices, windows, the store's date (retention.md §3, §4). */
#include "cmd/operation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *needed(const struct operation_call *call, const char *name)
{
    const char *text = operation_text(call, name);
    return text ? text : "";
}

int operation_mfa_enroll(struct operation_call *call)
{
    return engine_mfa_enroll(call->engine, call->caller, operation_text(call, "account"), needed(call, "name"),
                             json_object_get(call->args, "options"), &call->result);
}

int operation_mfa_list(struct operation_call *call)
{
    return engine_mfa_list(call->engine, call->caller, operation_text(call, "account"), &call->result);
}

int operation_mfa_remove(struct operation_call *call)
{
    return engine_mfa_remove(call->engine, call->caller, operation_text(call, "account"), needed(call, "name"), needed(call, "code"));
}

/* The mount's root, or the bucket that the path names. */
static int window_target(struct operation_call *call, struct engine_target *ret)
{
    const char *path = operation_text(call, "path");
    struct operation_path p;
    *ret = (struct engine_target){.ino = ENGINE_ROOT_INO};
    if ((!path || !*path) && !call->bucket)
        return 0;
    int r = operation_path(call, &p);
    if (r < 0)
        return r;
    if (*p.key || *p.version)
        return reason_fail(&call->caller->reason, EINVAL, "a code is in force on the whole mount or on a bucket; `%s` goes on below it", path);
    ret->ino = p.root_ino;
    return 0;
}

int operation_mfa_unlock(struct operation_call *call)
{
    struct engine_target target;
    char value[256];
    int r = window_target(call, &target);
    if (r < 0)
        return r;
    int len = snprintf(value, sizeof value, "%s %lld", needed(call, "code"),
                       (long long)json_integer_value(json_object_get(call->args, "seconds")));
    if (len < 0 || (size_t)len >= sizeof value)
        return reason_fail(&call->caller->reason, EINVAL, "an MFA code is six digits, or a serial, a space and six digits");
    return engine_property_set(call->engine, call->caller, &target, "mfa", value, (size_t)len, 0);
}

int operation_mfa_lock(struct operation_call *call)
{
    struct engine_target target;
    int r = window_target(call, &target);
    if (r == 0)
        r = engine_property_remove(call->engine, call->caller, &target, "mfa");
    return r == -ENODATA ? reason_fail(&call->caller->reason, ENODATA, "no code of yours is in force here") : r;
}

int operation_clock_approve(struct operation_call *call)
{
    return engine_clock_approve(call->engine, call->caller, needed(call, "to"), needed(call, "code"), &call->result);
}

int operation_clock_reset(struct operation_call *call)
{
    return engine_clock_reset(call->engine, call->caller, needed(call, "code"), &call->result);
}
