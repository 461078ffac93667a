/* SPDX-License-Identifier: GPL-3.0-or-later
 * One request and its answer on a connection of libmicrohttpd: the part that moves bytes (server.c, stream.c). */
#ifndef HOLDFS_S3_EXCHANGE_H
#define HOLDFS_S3_EXCHANGE_H

#include "s3/front.h"
#include "s3/request.h"

enum exchange_stage {
    STAGE_NEW,
    STAGE_BEGUN,    /* what could be judged without the body was */
    STAGE_BODY,     /* bytes come */
    STAGE_DROPPING, /* the answer stands, the rest of the body is passed over */
    STAGE_FINISHED, /* the answer stands */
};

/* Content going out: two pieces, one is sent while a worker fills the other. */
struct stream {
    pthread_mutex_t lock;
    uint8_t *piece[2];
    size_t len[2], at; /* at: sent of piece[current]; len 0: empty */
    unsigned current;
    uint64_t offset, left; /* to be read yet */
    bool filling, waiting; /* a worker is at it; the connection is suspended until it is done */
    bool gone;             /* the connection went while it was: the worker frees */
    int error;
};

struct exchange {
    struct job job; /* first */
    struct request q;
    struct MHD_Connection *connection;
    enum exchange_stage stage;
    uint8_t *piece; /* of the body that comes */
    size_t piece_len;
    bool counted;
    bool streams;
    struct stream stream;
};

struct MHD_Response *stream_response(struct exchange *x); /* NULL: no memory */
bool stream_end(struct exchange *x); /* the connection is done with it; false: the worker will free x */
void exchange_free(struct exchange *x);

#endif
