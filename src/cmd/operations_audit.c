/* SPDX-License-Identifier: GPL-3.0-or-later
 * Operations on the audit trail (logs.md §3.4). Who may is the engine's to say. */
#include "cmd/operation.h"

#include <errno.h>

static uint64_t number(const struct operation_call *call, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(call->args, name));
    return n > 0 ? (uint64_t)n : 0;
}

int operation_audit_read(struct operation_call *call)
{
    return engine_audit_read(call->engine, call->caller, number(call, "after"), number(call, "max"), &call->result);
}

int operation_audit_heads(struct operation_call *call)
{
    return engine_audit_heads(call->engine, call->caller, number(call, "after"), &call->result);
}

int operation_audit_export(struct operation_call *call)
{
    return engine_audit_export(call->engine, call->caller, json_object_get(call->args, "options"));
}

int operation_audit_anchor_add(struct operation_call *call)
{
    const char *url = operation_text(call, "url");
    return engine_audit_anchor_add(call->engine, call->caller, url ? url : "", json_object_get(call->args, "options"));
}

int operation_audit_anchor_remove(struct operation_call *call)
{
    const char *url = operation_text(call, "url");
    return engine_audit_anchor_remove(call->engine, call->caller, url ? url : "");
}

int operation_audit_anchor_list(struct operation_call *call)
{
    return engine_audit_anchor_list(call->engine, call->caller, &call->result);
}

int operation_audit_set(struct operation_call *call)
{
    const char *name = operation_text(call, "name"), *value = operation_text(call, "value");
    return engine_audit_set(call->engine, call->caller, name ? name : "", value ? value : "");
}

int operation_audit_rotate_key(struct operation_call *call)
{
    return engine_audit_rotate_key(call->engine, call->caller, &call->result);
}
