/* SPDX-License-Identifier: GPL-3.0-or-later
 * What export and import share: an operation that gets an open file along. */
#ifndef HOLDFS_CMD_STREAM_H
#define HOLDFS_CMD_STREAM_H

#include "cmd/command.h"

/* Takes over args. `to_stdout`: the stream goes there, so the answer goes to standard error. Returns an exit
 * status. */
int stream_operate(const struct invocation *inv, const char *operation, json_t *args, int fd, bool to_stdout);

#endif
