/* SPDX-License-Identifier: GPL-3.0-or-later
 * AWS Signature Version 4 over values (auth.md §2.2, §2.5, §2.6): canonical request, string to sign, keys, signatures. Pure. */
#ifndef HOLDFS_S3_SIGV4_H
#define HOLDFS_S3_SIGV4_H

#include "s3/message.h"

enum { SIGV4_KEY_BYTES = 32, SIGV4_HEX_CHARS = 64 };

#define SIGV4_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* What a signature is bound to. All borrowed. */
struct sigv4_scope {
    char date[9]; /* YYYYMMDD */
    char timestamp[17]; /* 20130524T000000Z */
    char region[64], service[32];
};

/* signed_headers: "host;range", as given. query_form: without X-Amz-Signature. */
void sigv4_canonical(const struct message *m, const char *signed_headers, bool query_form, const char *payload, struct bytes *out);
void sigv4_string_to_sign(const struct sigv4_scope *s, const struct bytes *canonical, struct bytes *out);
void sigv4_key(const uint8_t *secret, size_t secret_len, const struct sigv4_scope *s, uint8_t out[SIGV4_KEY_BYTES]);
void sigv4_sign(const uint8_t key[SIGV4_KEY_BYTES], const void *text, size_t len, char out[SIGV4_HEX_CHARS + 1]);
/* Of a chunk, and of the trailer lines: `data_sha256` in hex; `previous` the signature before. */
void sigv4_chunk(const uint8_t key[SIGV4_KEY_BYTES], const struct sigv4_scope *s, const char *previous, const char *data_sha256,
                 char out[SIGV4_HEX_CHARS + 1]);
void sigv4_trailer(const uint8_t key[SIGV4_KEY_BYTES], const struct sigv4_scope *s, const char *previous, const char *data_sha256,
                   char out[SIGV4_HEX_CHARS + 1]);
void sigv4_sha256(const void *bytes, size_t len, char out[SIGV4_HEX_CHARS + 1]);

#endif
