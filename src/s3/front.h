/* SPDX-License-Identifier: GPL-3.0-or-later
 * The front itself, for this room: its listeners, its workers, its settings. */
#ifndef HOLDFS_S3_FRONT_H
#define HOLDFS_S3_FRONT_H

#include "s3/s3_front.h"
#include "s3/reaper.h"
#include "s3/workers.h"

#include <microhttpd.h>
#include <stdatomic.h>

struct s3_front {
    struct engine *engine;
    struct MHD_Daemon *http, *https; /* NULL: none */
    struct workers *workers;
    struct reaper *reaper;
    struct tls_files *tls; /* tls.c; NULL without https */
    char **domains;
    size_t domain_count;
    bool region_strict, sigv2_off;
    unsigned max_connections;
    atomic_bool stopping;  /* new requests are refused */
    atomic_uint in_flight; /* requests begun and not completed */
};

/* A listener on fd, taken over if it starts; with TLS where cert and key (PEM) are given. server.c */
struct MHD_Daemon *server_daemon(struct s3_front *f, int fd, const char *cert, const char *key);

#endif
