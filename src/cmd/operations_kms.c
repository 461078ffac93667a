/* SPDX-License-Identifier: GPL-3.0-or-later
 * Operations on KMS keys: args "verb" and what it takes go to the engine as they are; material comes by descriptor. */
#include "cmd/operation.h"
#include "util/cleanup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MATERIAL_ROOM = 33 }; /* one more than right: longer files are refused */

/* What the peer's file holds, in locked memory. */
static int material_read(int fd, struct secret **ret)
{
    struct secret *s = secret_new(MATERIAL_ROOM);
    if (!s)
        return -ENOMEM;
    size_t len = 0;
    ssize_t n = 1;
    while (len < MATERIAL_ROOM && (n = read(fd, secret_bytes(s) + len, MATERIAL_ROOM - len)) > 0)
        len += (size_t)n;
    if (n < 0) {
        secret_free(s);
        return -errno;
    }
    secret_truncate(s, len);
    *ret = s;
    return 0;
}

static const char *verb_of(const struct operation_call *call)
{
    const char *verb = operation_text(call, "verb");
    return verb ? verb : "";
}

int operation_kms_change(struct operation_call *call)
{
    CLEANUP(secret_cleanup) struct secret *material = NULL;
    int r = call->fd >= 0 ? material_read(call->fd, &material) : 0;
    return r < 0 ? r : engine_kms(call->engine, call->caller, verb_of(call), call->args, material, call->progress, &call->result);
}

/* args "object_path": BUCKET/KEY, or a path of the mount. */
static int object_read(struct operation_call *call, json_t *args)
{
    const char *object = operation_text(call, "object_path"), *slash = object ? strchr(object, '/') : NULL;
    struct target target;
    if (!object)
        return 0;
    if (*object == '/' && target_find(object, &target, &call->caller->reason) == 0) {
        object = target.path;
        slash = strchr(object, '/');
    }
    if (!slash)
        return reason_fail(&call->caller->reason, EINVAL, "name the object as BUCKET/KEY");
    json_object_set_new(args, "bucket", json_stringn(object, (size_t)(slash - object)));
    json_object_set_new(args, "object", json_string(slash + 1));
    return 0;
}

int operation_kms_read(struct operation_call *call)
{
    const char *verb = verb_of(call);
    if (strcmp(verb, "usage") && strcmp(verb, "list") && strcmp(verb, "describe") && strcmp(verb, "get-policy"))
        return reason_fail(&call->caller->reason, EINVAL, "`%s` changes something", verb);
    json_t *args = json_copy((json_t *)call->args);
    int r = args ? object_read(call, args) : -ENOMEM;
    if (r == 0)
        r = engine_kms(call->engine, call->caller, verb, args, NULL, call->progress, &call->result);
    json_decref(args);
    return r;
}

int operation_key_status(struct operation_call *call)
{
    return engine_sse_c_status(call->engine, call->caller, &call->result);
}

int operation_kms_reencrypt(struct operation_call *call)
{
    struct operation_path p;
    struct engine_target target;
    const char *key = operation_text(call, "key");
    int r = operation_path(call, &p);
    if (r == 0)
        r = operation_target(call, &p, &target);
    if (r < 0)
        return r;
    if (!target.ino || !key)
        return reason_fail(&call->caller->reason, EINVAL, "name a file, and a key");
    return engine_reencrypt(call->engine, call->caller, target.ino, key, operation_flag(call, "bucket_key"));
}
