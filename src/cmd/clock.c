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

static int clock_set(const struct invocation *inv, const char *operation, const char *to)
{
    const char *code = invocation_value(inv, "mfa");
    json_t *answer = NULL;
    if (!code)
        return command_usage(inv, "--mfa CODE is needed, of a device of the first account's root; `holdfs mfa enroll` enrolls one");
    json_t *args = json_pack("{s:s, s:s*}", "code", code, "to", to);
    int status = command_operate(inv, inv->operands[0], operation, args, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

static int clock_approve_run(const struct invocation *inv)
{
    const char *to = invocation_value(inv, "to");
    return to ? clock_set(inv, "clock.approve", to) : command_usage(inv, "--to YYYY-MM-DD is needed: today's date, as you know it");
}

static int clock_reset_run(const struct invocation *inv)
{
    return clock_set(inv, "clock.reset", NULL);
}

static const struct option approve_options[] = {
    {"to", "DATE", "today, YYYY-MM-DD in UTC; it must be the machine's date too", NULL, false},
    {"mfa", "CODE", "a code of a device of the first account's root", NULL, false},
    {0},
};

static const struct option reset_options[] = {
    {"mfa", "CODE", "a code of a device of the first account's root", NULL, false},
    {0},
};

static const struct command clock_approve = {
    .name = "clock approve",
    .operands = "STORE|MNT",
    .summary = "set the store's date forward to the machine's",
    .text = "After the store was off for long, its date lags and later locks would be dated early. This sets it to the machine's date. No "
            "lock that is set ends sooner or later by it. Never sets it back.",
    .options = approve_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs clock approve --to 2026-11-24 --mfa 123456 /mnt/hold", "Of a mount"},
                 {"holdfs clock approve --to 2026-11-24 --mfa 123456 /srv/store", "Of a store that is not mounted"}},
    .run = clock_approve_run,
};

static const struct command clock_reset = {
    .name = "clock reset",
    .operands = "STORE|MNT",
    .summary = "set the store's date, forward or back",
    .text = "For a store made on a machine whose date was wrong. Only while no version is under retention.",
    .options = reset_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs clock reset --mfa 123456 /mnt/hold", "Of a mount"},
                 {"holdfs clock reset --mfa 123456 /srv/store", "Of a store that is not mounted"}},
    .run = clock_reset_run,
};

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

static const struct command *const clock_verbs[] = {&clock_show, &clock_approve, &clock_reset, NULL};

const struct command command_clock = {
    .name = "clock",
    .operands = "",
    .summary = "show or set the clock that judges locks",
    .text = "Locks are judged by a clock of the store's own that only moves forward: setting the machine's "
            "date frees nothing.",
    .examples = {{"holdfs clock show /mnt/hold", ""}, {"holdfs clock show --json /srv/store", ""}},
    .verbs = clock_verbs,
};
