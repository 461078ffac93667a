/* SPDX-License-Identifier: GPL-3.0-or-later
 * AWS Signature Version 2 in the query, which SDKs still pre-sign with (auth.md §2.10). Pure. */
#ifndef HOLDFS_S3_SIGV2_H
#define HOLDFS_S3_SIGV2_H

#include "s3/message.h"

enum { SIGV2_CHARS = 28 }; /* Base64 of 20 bytes */

/* METHOD, MD5, TYPE, EXPIRES, x-amz-* headers, resource. */
void sigv2_string_to_sign(const struct message *m, const char *expires, struct bytes *out);
void sigv2_sign(const uint8_t *secret, size_t secret_len, const void *text, size_t len, char out[SIGV2_CHARS + 1]);
bool sigv2_covers(const char *subresource); /* is it part of what is signed? */

#endif
