/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs compact: rewrites segments that are mostly dead. */
#include "cmd/control.h"
#include "cmd/render.h"

static int compact_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    const char *operation = invocation_has(inv, "stop") ? "compact.stop" : "compact";
    int status = command_operate(inv, inv->operands[0], operation, NULL, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

static const struct option compact_options[] = {
    {"stop", NULL, "end a compaction that is running", NULL, false},
    {0},
};

const struct command command_compact = {
    .name = "compact",
    .operands = "STORE|MNT",
    .summary = "give back the space of mostly dead segments",
    .text = "Copies what is alive out of mostly dead segments and removes them. Frames move as ciphertext "
            "and are verified "
            "before the old segment goes. A daemon does it by itself when idle.",
    .options = compact_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs compact /mnt/hold", "Now"},
                 {"holdfs compact --stop /mnt/hold", "End one that is running"}},
    .run = compact_run,
};
