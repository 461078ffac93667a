/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs versions: the history of a path, newest first; of a directory, what has history below it. */
#include "cmd/control.h"
#include "cmd/render.h"
#include "util/cleanup.h"

#include <stdio.h>
#include <string.h>

/* What a person reads in the columns STATE and LOCK, put beside the members it follows from. */
static void version_columns_add(json_t *row)
{
    char lock[160];
    const char *mode = json_string_value(json_object_get(row, "lock_mode"));
    const char *until = json_string_value(json_object_get(row, "retain_until"));
    bool hold = json_is_true(json_object_get(row, "legal_hold"));
    snprintf(lock, sizeof lock, "%s %.20s%s", mode ? mode : "", mode && until ? until : "",
             hold ? " HOLD" : "");
    json_object_set_new(row, "lock", json_string(lock + strspn(lock, " ")));

    const char *state = "";
    if (json_is_true(json_object_get(row, "delete_marker")))
        state = "deleted";
    else if (json_is_true(json_object_get(row, "latest")))
        state = "latest";
    json_object_set_new(row, "state", json_string(state));
}

static void versions_show(json_t *answer)
{
    static const struct render_column columns[] = {{"published", "PUBLISHED"},
                                                   {"size_bytes", "SIZE"},
                                                   {"state", "STATE"},
                                                   {"lock", "LOCK"},
                                                   {"made_by", "BY"},
                                                   {"version_id", "VERSION"},
                                                   {0}};
    json_t *list = json_object_get(answer, "versions"), *row;
    size_t i;
    json_array_foreach(list, i, row) version_columns_add(row);
    if (json_array_size(list) > 0)
        render_table(list, columns);
    json_array_foreach(json_object_get(answer, "names"), i, row)
    {
        CLEANUP_FREE char *name = strdup(json_string_value(json_object_get(row, "name")));
        if (name)
            printf("%s%s\n", render_clean(name), json_is_true(json_object_get(row, "below")) ? "/" : "");
    }
}

static int versions_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "versions", NULL, &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    versions_show(answer);
    json_decref(answer);
    return EXIT_DONE;
}

const struct command command_versions = {
    .name = "versions",
    .operands = "PATH",
    .summary = "list the history of a path",
    .text = "Lists every version of a file, newest first, with its size, lock and maker; of a directory the "
            "names that have history "
            "in it, also those deleted. The same stands in the hidden directory .versions beside the file.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs versions /mnt/hold/docs/plan.txt", "Every version of a file"},
                 {"holdfs versions --json /mnt/hold/docs", "What was ever in a directory"}},
    .run = versions_run,
};
