/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs help: the overview, the help of a command, and (for the build) manual page and completion. */
#include "cmd/command.h"
#include "cmd/help.h"
#include "cmd/mount.h"

#include <stdio.h>
#include <string.h>

static int help_run(const struct invocation *inv)
{
    const char *shell = invocation_value(inv, "completion");
    if (invocation_has(inv, "man")) {
        help_manual(stdout);
    } else if (invocation_has(inv, "man-mount")) {
        mount_options_manual(stdout);
    } else if (shell && !strcmp(shell, "bash")) {
        help_completion_bash(stdout);
    } else if (shell) {
        help_completion_zsh(stdout);
    } else if (inv->operand_count == 0) {
        help_overview(stdout);
    } else {
        int used = 0;
        const struct command *c = command_of_arguments(inv->operand_count, inv->operands, &used);
        if (!c || used != inv->operand_count)
            return command_usage(inv, "`%s` is not a command", inv->operands[c ? used : 0]);
        help_command(stdout, c);
    }
    return EXIT_DONE;
}

static const struct option help_options[] = {
    {"man", NULL, "print the COMMANDS part of holdfs(1)", NULL, false},
    {"man-mount", NULL, "print the options of mount.fuse.holdfs(8)", NULL, false},
    {"completion", "SHELL", "print the completion for a shell", "bash|zsh", false},
    {0},
};

const struct command command_help = {
    .name = "help",
    .operands = "[COMMAND [VERB...]]",
    .summary = "tell how a command is used",
    .text = "Lists the commands, or tells the options of one and shows two examples. Without a manual page "
            "at hand "
            "this is the reference: holdfs(1) is made from the same text.",
    .options = help_options,
    .max_operands = 3,
    .examples = {{"holdfs help", "List the commands"},
                 {"holdfs help bucket create", "The options of one command"}},
    .run = help_run,
};
