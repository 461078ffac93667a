/* SPDX-License-Identifier: GPL-3.0-or-later
 * Texts made from the command tables: --help, the commands' part of holdfs(1), shell completion. */
#ifndef HOLDFS_CMD_HELP_H
#define HOLDFS_CMD_HELP_H

#include "cmd/command.h"

#include <stdio.h>

void help_overview(FILE *f);
void help_command(FILE *f, const struct command *command);
void help_manual(FILE *f);                        /* roff: between the two marks in doc/holdfs.1 */
void help_manual_text(FILE *f, const char *text); /* escaped for roff */
void help_completion_bash(FILE *f);
void help_completion_zsh(FILE *f);

#endif
