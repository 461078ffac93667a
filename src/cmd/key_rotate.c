/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs key rotate-root: renewing the keys beneath the slots. A bucket's own key is bucket.c's. */
#include "cmd/control.h"
#include "cmd/key.h"
#include "cmd/render.h"

static int rotate_root_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "key.rotate-root", NULL, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

const struct command key_rotate_root = {
    .name = "key rotate-root",
    .operands = "STORE|MNT",
    .summary = "begin a new key epoch",
    .text = "Wraps the keys of all buckets under a new root and drops the old one, so that what was destroyed before opens "
            "with nothing. It happens by itself after a bucket was deleted.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs key rotate-root /mnt/hold", "Of a store in use"},
                 {"holdfs key rotate-root --json /srv/store", "Of one that is not"}},
    .run = rotate_root_run,
};
