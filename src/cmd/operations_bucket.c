/* SPDX-License-Identifier: GPL-3.0-or-later
 * Operations on buckets. */
#include "cmd/operation.h"

#include <errno.h>
#include <string.h>

int operation_bucket_create(struct operation_call *call)
{
    char bucket[LIMIT_BUCKET_NAME_CHARS + 1];
    int r = operation_bucket_name(call, bucket);
    return r < 0 ? r
                 : engine_bucket_create(call->engine, call->caller, bucket,
                                        json_object_get(call->args, "options"));
}

int operation_bucket_list(struct operation_call *call)
{
    return engine_bucket_list(call->engine, call->caller, &call->result);
}

int operation_bucket_info(struct operation_call *call)
{
    char bucket[LIMIT_BUCKET_NAME_CHARS + 1];
    int r = operation_bucket_name(call, bucket);
    return r < 0 ? r : engine_bucket_info(call->engine, call->caller, bucket, &call->result);
}

/* args "name", "value": as the attribute user.s3.bucket.NAME takes it; no value removes it. */
int operation_bucket_set(struct operation_call *call)
{
    struct operation_path p;
    const char *name = operation_text(call, "name"), *value = operation_text(call, "value");
    int r = operation_path(call, &p);
    if (r < 0)
        return r;
    if (!name || *p.key)
        return reason_fail(&call->caller->reason, EINVAL,
                           "settings belong to a bucket; give its path and NAME=VALUE");
    char property[128];
    snprintf(property, sizeof property, "bucket.%s", name);
    struct engine_target target = {.ino = p.root_ino};
    if (!value)
        return engine_property_remove(call->engine, call->caller, &target, property);
    return engine_property_set(call->engine, call->caller, &target, property, value, strlen(value), 0);
}

int operation_bucket_delete(struct operation_call *call)
{
    char bucket[LIMIT_BUCKET_NAME_CHARS + 1];
    const char *code = operation_text(call, "mfa");
    int r = operation_bucket_name(call, bucket);
    if (r == 0 && code)
        r = engine_mfa_code(call->engine, call->caller, NULL, NULL, code);
    return r < 0 ? r
                 : engine_bucket_delete(call->engine, call->caller, bucket, operation_flag(call, "force"));
}

int operation_bucket_rotate_key(struct operation_call *call)
{
    char bucket[LIMIT_BUCKET_NAME_CHARS + 1];
    int r = operation_bucket_name(call, bucket);
    return r < 0 ? r
                 : engine_bucket_rotate_key(call->engine, call->caller, bucket, operation_flag(call, "rewrap"), call->progress,
                                            &call->result);
}

int operation_key_rotate_root(struct operation_call *call)
{
    return engine_rotate_root(call->engine, call->caller, &call->result);
}

int operation_key_rotate_page(struct operation_call *call)
{
    return engine_rotate_page(call->engine, call->caller, &call->result);
}
