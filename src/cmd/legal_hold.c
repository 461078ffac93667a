/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs legal-hold: puts a hold on a version, or takes it off. */
#include "cmd/control.h"

static int hold_set(const struct invocation *inv, bool on)
{
    json_t *answer = NULL, *args = json_pack("{s:b}", "on", on);
    if (invocation_has(inv, "version-id"))
        json_object_set_new(args, "version", json_string(invocation_value(inv, "version-id")));
    int status = command_operate(inv, inv->operands[0], "legal-hold", args, &answer);
    json_decref(answer);
    return status;
}

static int hold_on_run(const struct invocation *inv)
{
    return hold_set(inv, true);
}

static int hold_off_run(const struct invocation *inv)
{
    return hold_set(inv, false);
}

static const struct option hold_options[] = {
    {"version-id", "V", "this version instead of the latest", NULL, false},
    {0},
};

static const struct command hold_on = {
    .name = "legal-hold on",
    .operands = "PATH",
    .summary = "keep a version until the hold is taken off",
    .text = "Keeps the latest version of a file (or the one named) until the hold is taken off, whatever its "
            "retention.",
    .options = hold_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs legal-hold on /mnt/hold/docs/plan.txt", "Hold the latest version"},
                 {"holdfs legal-hold on --version-id V /mnt/hold/docs/plan.txt", "Hold an older one"}},
    .run = hold_on_run,
};

static const struct command hold_off = {
    .name = "legal-hold off",
    .operands = "PATH",
    .summary = "take a hold off",
    .text = "Takes the legal hold off a version. Its retention, if it has one, stays.",
    .options = hold_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs legal-hold off /mnt/hold/docs/plan.txt", "Of the latest version"},
                 {"holdfs legal-hold off --version-id V /mnt/hold/docs/plan.txt", "Of an older one"}},
    .run = hold_off_run,
};

static const struct command *const hold_verbs[] = {&hold_on, &hold_off, NULL};

const struct command command_legal_hold = {
    .name = "legal-hold",
    .operands = "",
    .summary = "put a legal hold on a version, or take it off",
    .text = "A version under legal hold cannot be removed or changed by anybody. The attribute "
            "user.s3.legal-hold does the same.",
    .examples = {{"holdfs legal-hold on /mnt/hold/docs/plan.txt", ""},
                 {"holdfs legal-hold off /mnt/hold/docs/plan.txt", ""}},
    .verbs = hold_verbs,
};
