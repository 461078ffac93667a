/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs account: makes, lists and removes accounts, each with its own root, users and buckets (auth.md §1). */
#include "cmd/user.h"

static int account_create_run(const struct invocation *inv)
{
    json_t *args = json_pack("{s:s, s:{s:s*, s:s*, s:s*}}", "name", inv->operands[1], "options", "canonical-id",
                             invocation_value(inv, "canonical-id"), "display-name", invocation_value(inv, "display-name"), "email",
                             invocation_value(inv, "email"));
    return args ? user_operate(inv, "account.create", args) : command_usage(inv, "names are UTF-8");
}

static int account_list_run(const struct invocation *inv)
{
    static const struct render_column columns[] = {{"name", "ACCOUNT"}, {"id", "ID"},       {"display_name", "DISPLAY NAME"},
                                                   {"users", "USERS"},  {"buckets", "BUCKETS"}, {"created", "CREATED"},
                                                   {0}};
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "account.list", NULL, &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    render_table(json_object_get(answer, "accounts"), columns);
    json_decref(answer);
    return EXIT_DONE;
}

static int account_show_run(const struct invocation *inv)
{
    return user_operate(inv, "account.show", json_pack("{s:s}", "name", inv->operands[1]));
}

static int account_delete_run(const struct invocation *inv)
{
    return user_operate(inv, "account.delete", json_pack("{s:s}", "name", inv->operands[1]));
}

static const struct option create_options[] = {
    {"canonical-id", "H", "64 hex digits, as S3 names an owner; random if not given", NULL, false},
    {"display-name", "D", "how lists call it; NAME if not given", NULL, false},
    {"email", "E", "an e-mail address, of one account only", NULL, false},
    {0},
};

static const struct command account_create = {
    .name = "account create",
    .operands = "STORE|MNT NAME",
    .summary = "make an account",
    .text = "Makes an account for a tenant: its buckets and users are its own, and its root manages them. Nothing secret is "
            "printed; `holdfs user key create --account NAME STORE root` makes its root's access key.",
    .options = create_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs account create /mnt/hold printshop", "A tenant"},
                 {"holdfs account create --email it@example.org /srv/store printshop", "With an address that ACLs can name"}},
    .run = account_create_run,
};

static const struct command account_list = {
    .name = "account list",
    .operands = "STORE|MNT",
    .summary = "list the accounts",
    .text = "Lists the accounts the caller manages: the first account's root sees all, another root its own.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs account list /mnt/hold", "Of a mount"}, {"holdfs account list --json /srv/store", "For a script"}},
    .run = account_list_run,
};

static const struct command account_show = {
    .name = "account show",
    .operands = "STORE|MNT NAME",
    .summary = "tell an account's ids",
    .text = "Tells an account's 12-digit id, canonical id, display name, and how many users and buckets it has.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs account show /mnt/hold main", "The first account"},
                 {"holdfs account show --json /mnt/hold printshop", "For a script"}},
    .run = account_show_run,
};

static const struct command account_delete = {
    .name = "account delete",
    .operands = "STORE|MNT NAME",
    .summary = "remove an account",
    .text = "Removes an account that has no users and owns no bucket; its root's keys and uids go with it.",
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs account delete /mnt/hold printshop", "Of a mount"},
                 {"holdfs account delete /srv/store printshop", "Of a store that is not mounted"}},
    .run = account_delete_run,
};

static const struct command *const account_verbs[] = {&account_create, &account_list, &account_show, &account_delete, NULL};

const struct command command_account = {
    .name = "account",
    .operands = "",
    .summary = "make, list and remove accounts of tenants",
    .text = "init makes the first account, main, and most stores need no other. A bucket belongs to the account of who makes it; "
            "only the first account's root makes and removes accounts.",
    .examples = {{"holdfs account create /mnt/hold printshop", ""}, {"holdfs account list --json /mnt/hold", ""}},
    .verbs = account_verbs,
};
