/* SPDX-License-Identifier: GPL-3.0-or-later
 * Operations on accounts, users, their policies and access keys (auth.md §1). Who may is the engine's to say. */
#include "cmd/operation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* An argument the operation cannot do without; "" where it is missing, which no name is. */
static const char *needed(const struct operation_call *call, const char *name)
{
    const char *text = operation_text(call, name);
    return text ? text : "";
}

/* ---- accounts ---- */

int operation_account_create(struct operation_call *call)
{
    return engine_account_create(call->engine, call->caller, needed(call, "name"), json_object_get(call->args, "options"), &call->result);
}

int operation_account_list(struct operation_call *call)
{
    return engine_account_list(call->engine, call->caller, &call->result);
}

int operation_account_show(struct operation_call *call)
{
    return engine_account_show(call->engine, call->caller, needed(call, "name"), &call->result);
}

int operation_account_delete(struct operation_call *call)
{
    return engine_account_delete(call->engine, call->caller, needed(call, "name"));
}

/* ---- users ---- */

int operation_user_create(struct operation_call *call)
{
    return engine_user_create(call->engine, call->caller, operation_text(call, "account"), needed(call, "name"),
                              json_object_get(call->args, "options"), &call->result);
}

int operation_user_list(struct operation_call *call)
{
    return engine_user_list(call->engine, call->caller, operation_text(call, "account"), &call->result);
}

int operation_user_show(struct operation_call *call)
{
    return engine_user_show(call->engine, call->caller, operation_text(call, "account"), needed(call, "name"), &call->result);
}

int operation_user_enable(struct operation_call *call)
{
    return engine_user_enable(call->engine, call->caller, operation_text(call, "account"), needed(call, "name"),
                              operation_flag(call, "on"));
}

int operation_user_delete(struct operation_call *call)
{
    return engine_user_delete(call->engine, call->caller, operation_text(call, "account"), needed(call, "name"),
                              operation_flag(call, "force"));
}

int operation_user_map(struct operation_call *call)
{
    json_int_t uid = json_integer_value(json_object_get(call->args, "uid"));
    if (!json_is_integer(json_object_get(call->args, "uid")) || uid < 0 || uid >= UINT32_MAX)
        return reason_fail(&call->caller->reason, EINVAL, "a uid is a number of 0 to 4294967294");
    return engine_user_map(call->engine, call->caller, operation_text(call, "account"), (uint32_t)uid, needed(call, "who"));
}

/* ---- identity policies ---- */

int operation_user_policy_put(struct operation_call *call)
{
    return engine_user_policy_put(call->engine, call->caller, operation_text(call, "account"), needed(call, "user"),
                                  needed(call, "name"), needed(call, "text"));
}

int operation_user_policy_list(struct operation_call *call)
{
    return engine_user_policy_list(call->engine, call->caller, operation_text(call, "account"), needed(call, "user"), &call->result);
}

int operation_user_policy_get(struct operation_call *call)
{
    return engine_user_policy_get(call->engine, call->caller, operation_text(call, "account"), needed(call, "user"),
                                  needed(call, "name"), &call->result);
}

int operation_user_policy_delete(struct operation_call *call)
{
    return engine_user_policy_delete(call->engine, call->caller, operation_text(call, "account"), needed(call, "user"),
                                     needed(call, "name"));
}

/* The question of engine_user_can(), with "object" (a path below the root, `/` at its end kept) where no "resource" is given. */
int operation_user_can(struct operation_call *call)
{
    const char *object = operation_text(call, "object");
    if (!object)
        return engine_user_can(call->engine, call->caller, call->args, &call->result);
    char resource[LIMIT_BUCKET_NAME_CHARS + LIMIT_KEY_BYTES + 3];
    struct operation_path p;
    struct engine_version version;
    json_t *question = json_deep_copy(call->args);
    int r = operation_path_read(call, object, &p);
    if (r == -ENOENT && !call->bucket) { /* a bucket that may be made one day */
        reason_clear(&call->caller->reason);
        json_object_set_new(question, "resource", json_string(object));
        r = 0;
    } else if (r == 0) {
        size_t len = strlen(object);
        bool directory = len && object[len - 1] == '/' && *p.key && p.key[strlen(p.key) - 1] != '/';
        snprintf(resource, sizeof resource, "%s%s%s%s", p.bucket, *p.key ? "/" : "", p.key, directory ? "/" : "");
        json_object_set_new(question, "resource", json_string(resource));
        struct engine_place place = operation_place(&p);
        if (*p.version && engine_version_find(call->engine, call->caller, &place, p.version, strlen(p.version), &version) == 0)
            json_object_set_new(question, "version", json_string(version.id));
    }
    const char *id = json_string_value(json_object_get(question, "version"));
    json_t *context = json_object_get(question, "context");
    if (r == 0 && id && !json_object_get(context, "s3:VersionId"))
        json_object_set_new(context, "s3:VersionId", json_pack("[s]", id));
    if (r == 0)
        r = engine_user_can(call->engine, call->caller, question, &call->result);
    json_decref(question);
    return r;
}

/* ---- access keys ---- */

int operation_user_key_create(struct operation_call *call)
{
    return engine_key_create(call->engine, call->caller, operation_text(call, "account"), needed(call, "user"),
                             json_object_get(call->args, "options"), &call->result);
}

int operation_user_key_list(struct operation_call *call)
{
    return engine_key_list(call->engine, call->caller, operation_text(call, "account"), operation_text(call, "user"), &call->result);
}

/* Where an account is named, the key must be of it: an id alone says which key. */
static int key_of_account(struct operation_call *call)
{
    const char *account = operation_text(call, "account");
    json_t *list = NULL, *key;
    size_t n;
    int r = account ? engine_key_list(call->engine, call->caller, account, NULL, &list) : 0;
    if (r < 0 || !account)
        return r;
    bool found = false;
    json_array_foreach(json_object_get(list, "keys"), n, key)
        found |= strcmp(json_string_value(json_object_get(key, "id")), needed(call, "id")) == 0;
    json_decref(list);
    return found ? 0 : reason_fail(&call->caller->reason, ENOENT, "account '%s' has no access key '%.128s'", account, needed(call, "id"));
}

int operation_user_key_enable(struct operation_call *call)
{
    int r = key_of_account(call);
    return r < 0 ? r : engine_key_enable(call->engine, call->caller, needed(call, "id"), operation_flag(call, "on"));
}

int operation_user_key_delete(struct operation_call *call)
{
    int r = key_of_account(call);
    return r < 0 ? r : engine_key_delete(call->engine, call->caller, needed(call, "id"));
}

int operation_user_key_rotate(struct operation_call *call)
{
    int r = key_of_account(call);
    return r < 0 ? r
                 : engine_key_rotate(call->engine, call->caller, needed(call, "id"),
                                     json_integer_value(json_object_get(call->args, "grace_s")), &call->result);
}
