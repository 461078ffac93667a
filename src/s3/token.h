/* SPDX-License-Identifier: GPL-3.0-or-later
 * Continuation tokens: a key, authenticated with a key of the store, so that only what was handed out is taken; valid for ever. */
#ifndef HOLDFS_S3_TOKEN_H
#define HOLDFS_S3_TOKEN_H

#include "util/bytes.h"

struct engine;

void token_make(struct engine *e, const void *key, size_t len, struct bytes *out); /* URL-safe Base64 */
int token_read(struct engine *e, const char *token, struct bytes *out); /* -EINVAL: not ours */

#endif
