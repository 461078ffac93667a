/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs du: what a path and its history take, and what keeps it. */
#include "cmd/control.h"
#include "cmd/render.h"

static int du_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "du", NULL, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

const struct command command_du = {
    .name = "du",
    .operands = "PATH",
    .summary = "tell what a path and its history take",
    .text = "Tells the bytes of the versions at and below a path: current ones, old ones that may be "
            "removed, and locked ones with the "
            "date until which they stay.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs du /mnt/hold/docs", "A bucket"},
                 {"holdfs du --json /mnt/hold/docs/plan.txt", "A file, for a script"}},
    .run = du_run,
};
