/* SPDX-License-Identifier: GPL-3.0-or-later
 * The S3 front: serves an open engine's buckets over HTTP (libmicrohttpd). It translates, the engine decides.
 *
 * Order of calls: engine_open, s3_front_start, ..., s3_front_stop, engine_close. Threads are its own. */
#ifndef HOLDFS_S3_S3_FRONT_H
#define HOLDFS_S3_S3_FRONT_H

#include "util/reason.h"

#include <stdbool.h>
#include <stddef.h>

struct engine;
struct s3_front;

struct s3_front_config {
    struct engine *engine;
    const char *http;  /* "ADDR:PORT", "[ADDR]:PORT"; NULL: none */
    const char *https;
    const char *tls_cert, *tls_key; /* PEM files, with https */
    const char *const *domains;     /* of virtual hosts; copied */
    size_t domain_count;
    bool region_strict;
    bool sigv2_off;           /* Signature Version 2 is refused in pre-signed URLs, too */
    unsigned max_connections; /* 0: default */
};
/* Listens. -EADDRINUSE, -EACCES, -EINVAL with the sentence. */
int s3_front_start(const struct s3_front_config *config, struct s3_front **ret, struct reason *reason);
/* Takes no more, lets what runs end for some seconds, closes. NULL is accepted. */
void s3_front_stop(struct s3_front *front);
/* The port a listener has (0 was asked for): of http, or of https. 0: none. */
unsigned s3_front_port(const struct s3_front *front, bool tls);

#endif
