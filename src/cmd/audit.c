/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs audit: the audit trail's settings and keys, and the table of its verbs (audit_*.c). */
#include "cmd/audit.h"
#include "cmd/render.h"

#include <stdio.h>
#include <string.h>

static int audit_set_run(const struct invocation *inv)
{
    const char *equals = strchr(inv->operands[1], '=');
    if (!equals)
        return command_usage(inv, "write NAME=VALUE, as audit-keep=365d");
    json_t *args = json_pack("{s:s%, s:s}", "name", inv->operands[1], (size_t)(equals - inv->operands[1]), "value", equals + 1), *answer = NULL;
    if (!args)
        return command_usage(inv, "names and values are UTF-8");
    return command_operate(inv, inv->operands[0], "audit.set", args, &answer);
}

static int audit_rotate_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "audit.rotate-key", NULL, &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    printf("%s", json_string_value(json_object_get(answer, "public_key")));
    json_decref(answer);
    return EXIT_DONE;
}

static const struct command audit_set = {
    .name = "audit set",
    .operands = "STORE|MNT NAME=VALUE",
    .summary = "change a setting of the audit trail",
    .text = "audit-keep: how long records are kept, forever (the default) or at least 90d; only root changes it. audit-data-events: none (the "
            "default), write (PutObject, DeleteObject, changed tags and headers too) or all (GetObject too). Each change is a record.",
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs audit set /mnt/hold audit-keep=3650d", "Ten years"},
                 {"holdfs audit set /mnt/hold audit-data-events=write", "Writes of content too"}},
    .run = audit_set_run,
};

static const struct command audit_rotate_key = {
    .name = "audit rotate-key",
    .operands = "STORE|MNT",
    .summary = "sign the audit trail with a new key",
    .text = "Makes a new key for the heads of the trail and prints its public half, which is also left in STORE/audit.pub. A record under the old "
            "key names the new one, so that both verify.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs audit rotate-key /mnt/hold", "Of a mount"}, {"holdfs audit rotate-key --json /srv/store", "For a script"}},
    .run = audit_rotate_run,
};

static const struct command *const audit_verbs[] = {&audit_tail, &audit_verify, &audit_export, &audit_heads_command,
                                                    &audit_anchor, &audit_set, &audit_rotate_key, NULL};

const struct command command_audit = {
    .name = "audit",
    .operands = "",
    .summary = "read, check and export the audit trail",
    .text = "Every lock, policy, key and admin change, every refusal by a lock or a policy, and every removal is a record of the audit trail, written in the "
            "transaction of the act and chained by hashes. There is no switch. The end of the chain is signed each minute; anchors carry that "
            "off the host.",
    .examples = {{"holdfs audit tail -f /mnt/hold", ""}, {"holdfs audit verify /mnt/hold", ""}},
    .verbs = audit_verbs,
};
