/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the files of the content chapter share. Private to the pipeline. */
#ifndef HOLDFS_PIPELINE_CONTENT_PRIVATE_H
#define HOLDFS_PIPELINE_CONTENT_PRIVATE_H

#include "pipeline/content.h"

struct pipeline {
    const struct block_ops *ops;
    struct block *block;
    uint32_t unit_bytes, packed_unit_bytes;
};

/* Takes `count` numbers that nobody else gets; -EOVERFLOW when the key has not so many left. */
int content_key_take(struct content_key *k, uint64_t count, uint64_t *ret_first);
/* Frames of the key may be in the cache from now on. */
void content_key_cached(struct content_key *k);

#endif
