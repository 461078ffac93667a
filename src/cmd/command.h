/* SPDX-License-Identifier: GPL-3.0-or-later
 * What a subcommand is. The help text, the manual page, the completion and the parser all read the same
 * tables.
 *
 * To add a subcommand: write src/cmd/NAME.c with `const struct command command_NAME`, add COMMAND(NAME) to
 * commands.def and the file to local.mk, then `make man`. tests/e2e/cmd-help.py notices a missed step. */
#ifndef HOLDFS_CMD_COMMAND_H
#define HOLDFS_CMD_COMMAND_H

#include "util/reason.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What every command exits with (doc/cli-abi.md). */
enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

struct option {
    const char *name;    /* without the dashes; one character: `-c`, more: `--name`. NULL ends a table */
    const char *arg;     /* how its value is called in the help; NULL: a switch */
    const char *help;    /* a phrase without a full stop */
    const char *choices; /* "a|b|c": nothing else is accepted; NULL: anything */
    bool repeat;         /* may be given several times */
};

struct example {
    const char *line, *what;
};

enum command_flags {
    COMMAND_SECRETS = 1, /* may have to open a store: takes the options of secrets.h */
    COMMAND_JSON = 2,    /* takes --json */
    COMMAND_HIDDEN = 4,  /* not in the lists */
};

struct invocation;

struct command {
    const char *name;             /* a verb has its nouns before it: "bucket create", "user key create" */
    const char *alias;            /* or NULL */
    const char *operands;         /* "STORE MNT" */
    const char *summary;          /* a phrase: "make a store" */
    const char *text;             /* sentences for --help and the manual page */
    const struct option *options; /* its own; or NULL */
    unsigned flags;
    int min_operands, max_operands; /* max -1: any number */
    struct example examples[2];
    const struct command *const *verbs; /* NULL-terminated; then it has no run; a verb may have verbs of its own */
    int (*run)(const struct invocation *inv);
};

#define COMMAND(name) extern const struct command command_##name;
#include "cmd/commands.def"
#undef COMMAND
extern const struct command *const command_table[]; /* NULL-terminated, in the order of the help */

/* ---- a command line, parsed ---- */

enum { INVOCATION_OPTIONS_MAX = 64 };

struct given {
    const struct option *option;
    const char *value; /* NULL for a switch */
};

struct invocation {
    const struct command *command;
    struct given given[INVOCATION_OPTIONS_MAX];
    size_t given_count;
    char **operands; /* borrowed from argv, permuted */
    int operand_count;
    bool json, help;
};

/* Reads argv after the command's name. Options and operands may mix; `--` ends the options. -EINVAL with a
 * sentence. */
int invocation_parse(const struct command *command, int argc, char **argv, struct invocation *ret,
                     struct reason *reason);
const char *invocation_value(const struct invocation *inv,
                             const char *name); /* the last one given, or NULL */
bool invocation_has(const struct invocation *inv, const char *name);

/* The tables an option of `command` may come from, one after the other: its own, the secrets, the common
 * ones; NULL ends. */
const struct option *command_option_table(const struct command *command, unsigned n);
const struct command *command_find(const char *name);
/* The command or, where it has verbs, the verb that argv names; *ret_skip arguments belong to the name. NULL:
 * none. */
const struct command *command_of_arguments(int argc, char **argv, int *ret_skip);
/* Parses and runs: what main() and the mount helper do with the rest of a command line. */
int command_run(const struct command *command, int argc, char **argv);

/* ---- telling people ---- */

/* "holdfs: TEXT" on stderr; returns EXIT_REFUSED. */
int command_refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same for a reason, with the errno's words where the reason is empty. */
int command_refuse_reason(const struct reason *reason, int error, const char *what);
/* "holdfs COMMAND: TEXT" and where to read on; returns EXIT_USAGE. */
int command_usage(const struct invocation *inv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
