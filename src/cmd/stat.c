/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs stat: everything known about a path or one version of it. */
#include "cmd/control.h"
#include "cmd/render.h"

static int stat_run(const struct invocation *inv)
{
    json_t *answer = NULL, *args = json_object();
    if (invocation_has(inv, "version-id"))
        json_object_set_new(args, "version", json_string(invocation_value(inv, "version-id")));
    int status = command_operate(inv, inv->operands[0], "stat", args, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

static const struct option stat_options[] = {
    {"version-id", "V", "of this version: its id, its name in .versions, or latest", NULL, false},
    {0},
};

const struct command command_stat = {
    .name = "stat",
    .operands = "PATH",
    .summary = "tell everything known about a path",
    .text = "Shows what the attribute user.s3.describe holds: version, ETag, headers, metadata, tags, lock, "
            "encryption, maker.",
    .options = stat_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs stat /mnt/hold/docs/plan.txt", "The file as it is now"},
                 {"holdfs stat --json --version-id latest /mnt/hold/docs/plan.txt",
                  "One version, for a script"}},
    .run = stat_run,
};
