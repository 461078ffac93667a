/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs version: what this binary is. */
#include "cmd/command.h"

#include <stdio.h>

static int version_run(const struct invocation *inv)
{
    if (inv->json)
        printf("{\"version\":\"%s\"}\n", PACKAGE_VERSION);
    else
        printf("holdfs %s\n", PACKAGE_VERSION);
    return EXIT_DONE;
}

const struct command command_version = {
    .name = "version",
    .operands = "",
    .summary = "tell the version of this program",
    .text = "Prints the version of this program.",
    .flags = COMMAND_JSON,
    .examples = {{"holdfs version", "For a person"}, {"holdfs version --json", "For a script"}},
    .run = version_run,
};
