/* SPDX-License-Identifier: GPL-3.0-or-later
 * A copy being asked for: what CopyObject and UploadPartCopy share. */
#ifndef HOLDFS_S3_COPY_H
#define HOLDFS_S3_COPY_H

#include "s3/request.h"

struct copy_request {
    struct engine_copy copy;
    char *source; /* decoded; copy.key points into it */
    bool from_versioned;
    struct put_values values;
};
int copy_read_source(struct request *q, struct copy_request *c); /* x-amz-copy-source and its conditions */
void copy_answer_source(struct request *q, const struct copy_request *c, const struct engine_object *source);
void copy_request_done(struct copy_request *c);

#endif
