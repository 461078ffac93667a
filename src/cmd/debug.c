/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs debug: looks inside a store, for those who work on it. */
#include "cmd/control.h"
#include "cmd/render.h"

static int debug_object_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "debug.object", NULL, &answer);
    return status == EXIT_DONE ? render_answer(answer, true) : status;
}

static const struct command debug_object = {
    .name = "debug object",
    .operands = "PATH",
    .summary = "show versions, extents, frames and keys",
    .text =
        "Shows each version of a key with its extents, frames, segments and the ids of its keys, as JSON.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs debug object /mnt/hold/docs/plan.txt", "Of a file in a mount"},
                 {"holdfs debug object /srv/store/docs/plan.txt", "Of a file in a store"}},
    .run = debug_object_run,
};

static const struct command *const debug_verbs[] = {&debug_object, NULL};

const struct command command_debug = {
    .name = "debug",
    .operands = "",
    .summary = "look inside a store",
    .text =
        "Looks inside a store, for those who work on it. What it prints may change from release to release.",
    .examples = {{"holdfs debug object /mnt/hold/docs/plan.txt", ""},
                 {"holdfs --debug fuse,engine mount -f /srv/store /mnt/hold", ""}},
    .verbs = debug_verbs,
};
