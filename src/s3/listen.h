/* SPDX-License-Identifier: GPL-3.0-or-later
 * Sockets and files of the front: ADDR:PORT, client addresses, PEM files. */
#ifndef HOLDFS_S3_LISTEN_H
#define HOLDFS_S3_LISTEN_H

#include "util/reason.h"

#include <stddef.h>

struct sockaddr;

int listen_on(const char *where, int *ret_fd, struct reason *reason); /* "ADDR:PORT", "[ADDR]:PORT", ":PORT" */
unsigned listen_port(int fd);
void listen_address_text(const struct sockaddr *address, char *out, size_t cap); /* an IPv4-mapped one as IPv4 */
int listen_read_file(const char *path, char **ret, struct reason *reason);

#endif
