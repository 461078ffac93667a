/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs gc: drops what nothing refers to. */
#include "cmd/control.h"
#include "cmd/render.h"

static int gc_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "gc", NULL, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

const struct command command_gc = {
    .name = "gc",
    .operands = "STORE|MNT",
    .summary = "drop what nothing refers to",
    .text = "Drops segments and rows that nothing refers to. What a version needs, locked or not, is never "
            "dropped.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs gc /mnt/hold", "Of a mount"},
                 {"holdfs gc --json /srv/store", "Of a store that is not mounted"}},
    .run = gc_run,
};
