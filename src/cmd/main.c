/* SPDX-License-Identifier: GPL-3.0-or-later
 * The program: finds the command that was named and runs it. Everything else stands in the commands' own
 * files. */
#include "cmd/command.h"
#include "cmd/help.h"
#include "cmd/mount.h"
#include "util/hidden.h"
#include "util/log.h"
#include "util/secret.h"

#include <jansson.h>
#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int main_usage(const char *what)
{
    fprintf(stderr, "holdfs: %s; `holdfs help` lists the commands\n", what);
    return EXIT_USAGE;
}

/* Options before the command: --debug ROOM,... and the two that are commands in disguise. */
static int main_leading_options(int *argc, char ***argv)
{
    while (*argc > 1 && (*argv)[1][0] == '-') {
        const char *option = (*argv)[1];
        int used = 1;
        if (!strcmp(option, "--help") || !strcmp(option, "--version")) {
            (*argv)[1] += 2;
            return EXIT_DONE;
        }
        if (strcmp(option, "--debug") != 0 || *argc < 3)
            return main_usage("the options before a command are --debug ROOM,..., --help and --version");
        if (log_debug_rooms((*argv)[2]) < 0)
            return main_usage("--debug takes names of rooms (cmd, fuse, engine, meta, block, pipeline, kms)");
        used++;
        *argc -= used;
        *argv += used;
    }
    return EXIT_DONE;
}

/* Access keys, one-time codes and the like pass through JSON on their way to and from the daemon: nothing of it stays behind. */
static void json_free_wiped(void *p)
{
    if (p)
        secret_wipe(p, malloc_usable_size(p));
    free(p);
}

int main(int argc, char **argv)
{
    hidden_memory_begin();
    setlocale(LC_CTYPE, "");
    json_set_alloc_funcs(malloc, json_free_wiped);
    if (mount_is_helper(argv[0]))
        return mount_helper(argc - 1, argv + 1, false);

    int status = main_leading_options(&argc, &argv);
    if (status != EXIT_DONE)
        return status;
    if (argc < 2) {
        help_overview(stderr);
        return EXIT_USAGE;
    }
    int skip = 0;
    const struct command *command = command_of_arguments(argc - 1, argv + 1, &skip);
    if (command)
        return command_run(command, argc - 1 - skip, argv + 1 + skip);
    /* mount.fuse3 -t fuse.holdfs runs `holdfs STORE MNT -o OPTIONS` */
    if (argc >= 3 && strchr(argv[1], '/'))
        return mount_helper(argc - 1, argv + 1, true);
    fprintf(stderr, "holdfs: `%s` is not a command; `holdfs help` lists them\n", argv[1]);
    return EXIT_USAGE;
}
