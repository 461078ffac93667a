/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the verbs of account and user share: the operands' way into arguments, and reading the files that options name. */
#ifndef HOLDFS_CMD_USER_H
#define HOLDFS_CMD_USER_H

#include "cmd/control.h"
#include "cmd/render.h"

struct secret;

extern const struct command user_policy, user_can, user_key;

extern const struct option user_account_option[]; /* --account alone */
#define USER_ACCOUNT_OPTION                                                                                                            \
    {                                                                                                                                  \
        "account", "A", "of this account; default the first", NULL, false                                                             \
    }

/* {NAME: value}, with "account" where it was given. */
json_t *user_args(const struct invocation *inv, const char *name, const char *value);
/* Runs, and shows the answer (as JSON with --json), if there is one. Takes over args. */
int user_operate(const struct invocation *inv, const char *operation, json_t *args);
/* A preset's name as it is, else the text of the file (`-`: standard input): at most one byte more than a policy may have. */
int user_policy_read(const char *file, json_t **ret, struct reason *reason);
/* A number of 0 to 4294967294. */
bool user_uid_read(const char *text, json_int_t *ret);

#endif
