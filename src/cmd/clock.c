/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs clock: the compliance clock that judges locks. */
#include "cmd/control.h"
#include "cmd/render.h"

static int clock_show_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "clock.show", NULL, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

static const struct command clock_show = {
    .name = "clock show",
    .operands = "STORE|MNT",
    .summary = "show the compliance clock",
    .text = "Shows the time by which locks are judged: c (trusted seconds), t (the date the store believes), "
            "the machine's "
            "date, the lag between them, and how many locks are in force. Of an attested clock also the time "
            "authorities: how "
            "many agreed when last asked and how many must, what each attested or why its answer does not "
            "count.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs clock show /mnt/hold", "Of a mount"},
                 {"holdfs clock show --json /srv/store", "Of a store, for a script"}},
    .run = clock_show_run,
};

static const struct command *const clock_verbs[] = {&clock_show, NULL};

const struct command command_clock = {
    .name = "clock",
    .operands = "",
    .summary = "show the clock that judges locks",
    .text = "Locks are judged by a clock of the store's own that only moves forward: setting the machine's "
            "date frees nothing.",
    .examples = {{"holdfs clock show /mnt/hold", ""}, {"holdfs clock show --json /srv/store", ""}},
    .verbs = clock_verbs,
};
