/* SPDX-License-Identifier: GPL-3.0-or-later
 * A request as it came, taken apart: method, target, headers, query; and what it is about, by path or Host (s3-api.md §1.1).
 * Pure: no connection, no store. Everything in it is outside input. */
#ifndef HOLDFS_S3_MESSAGE_H
#define HOLDFS_S3_MESSAGE_H

#include "util/bytes.h"
#include "util/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pair {
    char *name, *value; /* owned, terminated; values may hold any byte but zero */
};
struct pairs {
    struct pair *v;
    size_t count, cap;
    bool failed; /* out of memory */
};
void pairs_done(struct pairs *p);
void pairs_add(struct pairs *p, const char *name, size_t name_len, const char *value, size_t value_len);
const char *pairs_get(const struct pairs *p, const char *name); /* the first, case counts; NULL */

struct message {
    char method[24];
    char *target;          /* as received */
    struct pairs headers;  /* names in lower case, in order of arrival, values trimmed */
    struct pairs query;    /* decoded, in order */
    char *path;            /* decoded once, never normalised */
    size_t path_len;
    const char *raw_path;  /* within target: for signatures */
    size_t raw_path_len;
    size_t header_bytes;   /* of the header section, as sent */
    char host[256];        /* lower case, without port and trailing dot */
    /* What it is about. */
    char bucket[256];      /* "": the service */
    const char *key;       /* within path; "" the bucket */
    size_t key_len;
    bool virtual_host;
};
void message_done(struct message *m);
void message_header(struct message *m, const char *name, const char *value);
const char *message_get(const struct message *m, const char *name); /* a header, lower case; the first; NULL */
size_t message_count(const struct message *m, const char *name);
const char *message_query(const struct message *m, const char *name);
/* Takes the target (owned) apart, once method, target and headers are there; -EINVAL with code InvalidURI. Domains: those of virtual hosts. */
int message_read(struct message *m, const char *const *domains, size_t domain_count, struct reason *reason);

/* Percent-decodes once into out (as long as the input and one more). The length, or -EINVAL. */
int uri_decode(const char *text, size_t len, bool plus_is_space, char *out);
/* Everything but A-Z a-z 0-9 - . _ ~ (and `keep`) as %XX. */
void uri_encode(struct bytes *out, const char *text, size_t len, const char *keep);

#endif
