/* SPDX-License-Identifier: GPL-3.0-or-later
 * HTTP POST (or a signed PUT) to several servers at once, over libcurl: http and https (the machine's certificate authorities),
 * no redirects, answers of a bounded size within a bounded time. */
#ifndef HOLDFS_UTIL_HTTP_POST_H
#define HOLDFS_UTIL_HTTP_POST_H

#include "util/bytes.h"

#include <stdatomic.h>
#include <stdbool.h>

struct http_post {
    const char *url, *content_type; /* borrowed */
    const void *body;               /* borrowed */
    size_t body_len;
    size_t answer_max_bytes;
    const char *bearer;     /* borrowed: an Authorization: Bearer header; NULL: none */
    const char *ca_pem;     /* borrowed: trust these authorities instead of the machine's; NULL: the machine's */
    const char *aws_region; /* borrowed: PUT, signed by SigV4 for s3 in that region; NULL: POST */
    const char *aws_key;    /* borrowed: "ID:SECRET" of that */
    bool any_2xx;           /* 201 and the like are as good as 200 */
    struct bytes answer; /* zeroed by the caller before; owned by it after */
    char error[160]; /* "": the server answered 200, and `answer` is all it said; else a sentence's end, why
                        not */
};

/* Does them all and returns when the last one is done, at the latest after timeout_ms, or soon after *stop
 * became true (NULL: no one stops it). */
void http_post_all(struct http_post *posts, size_t count, unsigned timeout_ms, const atomic_bool *stop);

/* Is it "http://HOST..." or "https://HOST...", printable ASCII without blanks? */
bool http_url_valid(const char *url);

#endif
