/* SPDX-License-Identifier: GPL-3.0-or-later
 * Lines of JSON over the control socket, with a file descriptor beside them. Both ends use it. */
#ifndef HOLDFS_CMD_CONTROL_WIRE_H
#define HOLDFS_CMD_CONTROL_WIRE_H

#include "util/bytes.h"

#include <jansson.h>
#include <sys/un.h>

/* What has been read of a connection: a part of a line, or more than one. Zero it to begin. */
struct wire {
    struct bytes pending;
};

void wire_done(struct wire *w);
/* The socket's address. A store's path may be longer than the address: then it leads through *ret_dir, which
 * must stay open. */
int wire_address(const char *store, struct sockaddr_un *ret, int *ret_dir);
/* One line, with fd (or -1) beside it. 0 or -errno; never raises SIGPIPE. */
int wire_write(int socket, const json_t *value, int fd);
/* The next line: 1, 0 at the end, -EBADMSG for what is not an object in JSON or too long, or another error.
 * ret_fd may be NULL; -1 when none came, else the caller closes it. */
int wire_read(struct wire *w, int socket, json_t **ret, int *ret_fd);

#endif
