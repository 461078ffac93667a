/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs scrub: reads and verifies every frame, or seals those of a bucket under new data keys. */
#include "cmd/control.h"
#include "cmd/render.h"

static int scrub_rekey(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "rekey", NULL, &answer);
    if (status != EXIT_DONE)
        return status;
    bool all = json_integer_value(json_object_get(answer, "kept")) == 0;
    render_answer(answer, inv->json);
    if (all)
        return EXIT_DONE;
    return command_refuse("some versions cannot be read whole and keep their data keys; holdfs scrub names them");
}

static int scrub_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    if (invocation_has(inv, "rekey"))
        return scrub_rekey(inv);
    int status = command_operate(inv, inv->operands[0], "scrub", NULL, &answer);
    if (status != EXIT_DONE)
        return status;
    bool clean = json_is_true(json_object_get(answer, "clean"));
    render_answer(answer, inv->json);
    if (clean)
        return EXIT_DONE;
    return command_refuse("some versions cannot be read whole; bring their segments back from a copy of the store and scrub again");
}

static const struct option scrub_options[] = {
    {"rekey", NULL, "PATH is a bucket: every frame of it under new data keys", NULL, false},
    {0},
};

const struct command command_scrub = {
    .name = "scrub",
    .operands = "PATH",
    .summary = "read and verify every byte",
    .text = "Reads every frame of every segment and verifies it. Damage is reported with the objects it "
            "belongs to; nothing is changed. "
            "It may run while the store is in use, and be stopped. With --rekey the frames of one bucket are sealed again under "
            "new data keys and written to new segments: contents, versions and locks stay; stopped, the next call goes on.",
    .options = scrub_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs scrub /mnt/hold", "Of a mount"},
                 {"holdfs scrub --rekey /mnt/hold/docs", "New data keys for a bucket"}},
    .run = scrub_run,
};
