/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs scrub: reads and verifies every frame. */
#include "cmd/control.h"
#include "cmd/render.h"

static int scrub_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "scrub", NULL, &answer);
    if (status != EXIT_DONE)
        return status;
    bool clean = json_is_true(json_object_get(answer, "clean"));
    render_answer(answer, inv->json);
    if (clean)
        return EXIT_DONE;
    return command_refuse("some versions cannot be read whole; bring their segments back from a copy of the store and scrub again");
}

const struct command command_scrub = {
    .name = "scrub",
    .operands = "STORE|MNT",
    .summary = "read and verify every byte",
    .text = "Reads every frame of every segment and verifies it. Damage is reported with the objects it "
            "belongs to; nothing is changed. "
            "It may run while the store is in use, and be stopped.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs scrub /mnt/hold", "Of a mount"},
                 {"holdfs scrub --json /srv/store", "Of a store that is not mounted"}},
    .run = scrub_run,
};
