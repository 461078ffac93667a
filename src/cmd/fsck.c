/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs fsck: checks the structure of a store. */
#include "cmd/control.h"
#include "cmd/render.h"

static int fsck_run(const struct invocation *inv)
{
    json_t *answer = NULL, *args = json_pack("{s:b}", "repair", invocation_has(inv, "repair"));
    int status = command_operate(inv, inv->operands[0], "fsck", args, &answer);
    if (status != EXIT_DONE)
        return status;
    /* a script must notice by the exit status what is still wrong */
    bool clean = json_integer_value(json_object_get(answer, "errors")) ==
                 json_integer_value(json_object_get(answer, "repaired"));
    render_answer(answer, inv->json);
    if (clean)
        return EXIT_DONE;
    return command_refuse("the store is damaged; `holdfs fsck --repair` mends what can be mended, `holdfs "
                          "scrub` reads every byte");
}

static const struct option fsck_options[] = {
    {"repair", NULL, "mend what can be mended; keeps every readable frame", NULL, false},
    {0},
};

const struct command command_fsck = {
    .name = "fsck",
    .operands = "STORE|MNT",
    .summary = "check the structure of a store",
    .text = "Checks the metadata and that every version's extents exist. Exit status 1 when something is "
            "wrong. It reads no "
            "content: `holdfs scrub` does.",
    .options = fsck_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs fsck /srv/store", "Check a store"},
                 {"holdfs fsck --repair --passphrase-file F /srv/store", "Mend one"}},
    .run = fsck_run,
};
