/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs kms: the store's KMS keys; making, showing, aliases, policies. Their end and renewal is kms_keys.c. */
#include "cmd/kms.h"
#include "cmd/user.h"

#include <stdio.h>
#include <string.h>

json_t *kms_args(const struct invocation *inv, const char *verb)
{
    return json_pack("{s:s, s:s*}", "verb", verb, "key", inv->operand_count > 1 ? inv->operands[1] : NULL);
}

int kms_operate(const struct invocation *inv, json_t *args)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "kms.change", args, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

int kms_read(const struct invocation *inv, json_t *args, json_t **ret)
{
    return command_operate(inv, inv->operands[0], "kms.read", args, ret);
}

static int simple(const struct invocation *inv, const char *verb)
{
    return kms_operate(inv, kms_args(inv, verb));
}

/* ---- keys ---- */

/* The ARN is what a script wants. */
static int create_run(const struct invocation *inv)
{
    json_t *answer = NULL, *policy = NULL, *args = kms_args(inv, "create-key");
    struct reason reason = {0};
    const char *file = invocation_value(inv, "policy");
    int r = file ? user_policy_read(file, &policy, &reason) : 0;
    if (r < 0) {
        json_decref(args);
        return command_refuse_reason(&reason, r, file);
    }
    if (policy)
        json_object_set_new(args, "policy", policy);
    if (invocation_has(inv, "description"))
        json_object_set_new(args, "description", json_string(invocation_value(inv, "description")));
    if (invocation_has(inv, "origin"))
        json_object_set_new(args, "origin", json_string(invocation_value(inv, "origin")));
    int status = command_operate(inv, inv->operands[0], "kms.change", args, &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    puts(json_string_value(json_object_get(answer, "Arn")));
    json_decref(answer);
    return EXIT_DONE;
}

static int describe_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = kms_read(inv, kms_args(inv, "describe"), &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

static int list_run(const struct invocation *inv)
{
    static const struct render_column columns[] = {{"KeyId", "KEY"},         {"KeyState", "STATE"}, {"Origin", "ORIGIN"},
                                                   {"alias_list", "ALIASES"}, {"Description", "DESCRIPTION"}, {0}};
    json_t *answer = NULL, *key;
    size_t n, i;
    int status = kms_read(inv, kms_args(inv, "list"), &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    json_array_foreach(json_object_get(answer, "keys"), n, key) {
        char aliases[512] = "";
        json_t *alias;
        json_array_foreach(json_object_get(key, "aliases"), i, alias) {
            size_t len = strlen(aliases);
            snprintf(aliases + len, sizeof aliases - len, "%s%s", i ? " " : "", json_string_value(alias));
        }
        json_object_set_new(key, "alias_list", json_string(aliases));
    }
    if (json_array_size(json_object_get(answer, "keys")))
        render_table(json_object_get(answer, "keys"), columns);
    json_decref(answer);
    return EXIT_DONE;
}

static int enable_run(const struct invocation *inv)
{
    return simple(inv, "enable");
}

static int disable_run(const struct invocation *inv)
{
    json_t *args = kms_args(inv, "disable");
    json_object_set_new(args, "evict", json_boolean(invocation_has(inv, "evict")));
    return kms_operate(inv, args);
}

/* ---- policies ---- */

static int get_policy_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = kms_read(inv, kms_args(inv, "get-policy"), &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    puts(json_string_value(json_object_get(answer, "policy")));
    json_decref(answer);
    return EXIT_DONE;
}

static int set_policy_run(const struct invocation *inv)
{
    struct reason reason = {0};
    json_t *policy, *args = kms_args(inv, "set-policy");
    int r = user_policy_read(inv->operands[2], &policy, &reason);
    if (r < 0) {
        json_decref(args);
        return command_refuse_reason(&reason, r, inv->operands[2]);
    }
    json_object_set_new(args, "policy", policy);
    json_object_set_new(args, "bypass-policy-lockout-safety-check", json_boolean(invocation_has(inv, "bypass-policy-lockout-safety-check")));
    return kms_operate(inv, args);
}

/* ---- the tables ---- */

static const struct option create_options[] = {
    {"description", "D", "what the key is for", NULL, false},
    {"policy", "F", "its key policy, from a file; the account may do all if not given", NULL, false},
    {"origin", "HOLDFS|EXTERNAL", "EXTERNAL: its material is imported", "HOLDFS|EXTERNAL", false},
    {0},
};

static const struct command kms_verb_create_key = {
    .name = "kms create-key",
    .operands = "STORE|MNT",
    .summary = "make a KMS key",
    .text = "Makes a key and prints its ARN. Objects are put under it by a bucket's default (bucket set PATH encryption=aws:kms:KEY), the mount "
            "options sse= and sse-kms-key-id=, or kms reencrypt. A key is named by its id, its ARN or an alias.",
    .options = create_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs kms create-key --description payroll /mnt/hold", "With material made here"},
                 {"holdfs kms create-key --origin EXTERNAL /mnt/hold", "For material that is imported"}},
    .run = create_run,
};

static const struct command kms_verb_describe = {
    .name = "kms describe",
    .operands = "STORE|MNT KEY",
    .summary = "tell all about a KMS key",
    .text = "Shows the key's state, dates and versions, and what is under it: versions of objects, buckets, and how many of them are locked.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms describe /mnt/hold alias/payroll", "By its alias"},
                 {"holdfs kms describe --json /mnt/hold alias/payroll", "For a script"}},
    .run = describe_run,
};

static const struct command kms_verb_list = {
    .name = "kms list",
    .operands = "STORE|MNT",
    .summary = "list the KMS keys",
    .text = "Lists the store's KMS keys, their states and aliases.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs kms list /mnt/hold", "Of a mount"}, {"holdfs kms list --json /srv/store", "Of a store, for a script"}},
    .run = list_run,
};

static const struct command kms_verb_enable = {
    .name = "kms enable",
    .operands = "STORE|MNT KEY",
    .summary = "let a disabled KMS key be used again",
    .text = "What is under the key opens again at once.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms enable /mnt/hold alias/payroll", ""}, {"holdfs kms enable --json /mnt/hold alias/payroll", "For a script"}},
    .run = enable_run,
};

static const struct option disable_options[] = {
    {"evict", NULL, "also from files that are open: what was written is published, then they fail with EKEYREVOKED", NULL, false},
    {0},
};

static const struct command kms_verb_disable = {
    .name = "kms disable",
    .operands = "STORE|MNT KEY",
    .summary = "stop the use of a KMS key for the time being",
    .text = "What is under the key cannot be opened until it is enabled again; names, sizes, locks and renaming need no key. Files that are open "
            "go on, unless --evict is given.",
    .options = disable_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms disable /mnt/hold alias/payroll", "For what is opened from now on"},
                 {"holdfs kms disable --evict /mnt/hold alias/payroll", "For open files too"}},
    .run = disable_run,
};

static const struct command kms_verb_get_policy = {
    .name = "kms get-policy",
    .operands = "STORE|MNT KEY",
    .summary = "print a KMS key's policy",
    .text = "Prints the key policy as it was set, or the one a key has by default.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms get-policy /mnt/hold alias/payroll", ""}, {"holdfs kms get-policy /mnt/hold alias/payroll >key.json", "To edit it"}},
    .run = get_policy_run,
};

static const struct option set_policy_options[] = {
    {"bypass-policy-lockout-safety-check", NULL, "also where nobody could set the policy again", NULL, false},
    {0},
};

static const struct command kms_verb_set_policy = {
    .name = "kms set-policy",
    .operands = "STORE|MNT KEY FILE",
    .summary = "set a KMS key's policy",
    .text = "Who may use the key: a policy that allows a user does by itself, one that allows the account (arn:aws:iam::ACCOUNT:root) where the "
            "user's own policy allows as well. It is judged at every use.",
    .options = set_policy_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 3,
    .max_operands = 3,
    .examples = {{"holdfs kms set-policy /mnt/hold alias/payroll key.json", "From a file"},
                 {"holdfs kms set-policy /mnt/hold alias/payroll -", "From standard input"}},
    .run = set_policy_run,
};

static const struct command *const kms_verbs[] = {
    &kms_verb_create_key, &kms_verb_describe, &kms_verb_list,   &kms_verb_alias,  &kms_verb_enable,          &kms_verb_disable,         &kms_verb_get_policy,
    &kms_verb_set_policy, &kms_verb_schedule_deletion,     &kms_verb_cancel_deletion, &kms_verb_rotate, &kms_verb_auto_rotate,     &kms_verb_rewrap,
    &kms_verb_import,     &kms_verb_delete_material,       &kms_verb_usage,  &kms_verb_reencrypt,       NULL};

const struct command command_kms = {
    .name = "kms",
    .operands = "",
    .summary = "make, use and end KMS keys (SSE-KMS)",
    .text = "A KMS key stands above the data keys of objects, and opens or closes them.",
    .examples = {{"holdfs kms create-key --description payroll /mnt/hold", ""},
                 {"holdfs bucket set /mnt/hold/pay encryption=aws:kms:alias/payroll", ""}},
    .verbs = kms_verbs,
};
