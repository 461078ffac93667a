/* SPDX-License-Identifier: GPL-3.0-or-later
 * HTTP POST over libcurl; see http_post.h. */
#include "util/http_post.h"
#include "util/secret.h"

#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { POSTS_MAX = 16, POLL_MS = 200 };

struct transfer {
    struct http_post *post;
    CURL *easy;
    struct curl_slist *headers;
    bool done;
};

static void curl_ready(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t answer_take(char *data, size_t size, size_t count, void *arg)
{
    struct http_post *post = arg;
    size_t len = size * count; /* libcurl: size is 1 */
    if (len > post->answer_max_bytes - post->answer.len) {
        snprintf(post->error, sizeof post->error, "its answer is longer than %zu bytes",
                 post->answer_max_bytes);
        return 0;
    }
    bytes_put(&post->answer, data, len);
    return post->answer.failed ? 0 : len;
}

static struct curl_slist *bearer_add(struct curl_slist *headers, const char *token)
{
    char line[4200];
    int len = snprintf(line, sizeof line, "Authorization: Bearer %s", token);
    struct curl_slist *grown = len > 0 && (size_t)len < sizeof line ? curl_slist_append(headers, line) : NULL;
    secret_wipe(line, sizeof line);
    if (!grown)
        curl_slist_free_all(headers);
    return grown;
}

static bool transfer_set(struct transfer *t, unsigned timeout_ms)
{
    const struct http_post *p = t->post;
    char type[128];
    snprintf(type, sizeof type, "Content-Type: %s", p->content_type);
    t->headers = curl_slist_append(NULL, type);
    if (t->headers && p->bearer)
        t->headers = bearer_add(t->headers, p->bearer);
    CURLcode c = t->headers ? CURLE_OK : CURLE_OUT_OF_MEMORY;
#define SET(option, value)                                                                                   \
    do {                                                                                                     \
        if (c == CURLE_OK)                                                                                   \
            c = curl_easy_setopt(t->easy, option, value);                                                    \
    } while (0)
    SET(CURLOPT_URL, p->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_USERAGENT, "holdfs");
    SET(CURLOPT_HTTPHEADER, t->headers);
    SET(CURLOPT_POSTFIELDS, (const char *)p->body);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body_len);
    if (p->aws_region) {
        char sign[128];
        snprintf(sign, sizeof sign, "aws:amz:%s:s3", p->aws_region);
        SET(CURLOPT_CUSTOMREQUEST, "PUT");
        SET(CURLOPT_AWS_SIGV4, sign);
        SET(CURLOPT_USERPWD, p->aws_key ? p->aws_key : ":");
    }
    if (p->ca_pem) {
        struct curl_blob blob = {.data = (void *)p->ca_pem, .len = strlen(p->ca_pem), .flags = CURL_BLOB_COPY};
        SET(CURLOPT_CAINFO_BLOB, &blob);
    }
    SET(CURLOPT_WRITEFUNCTION, answer_take);
    SET(CURLOPT_WRITEDATA, t->post);
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that is silent holds nobody up */
#undef SET
    return c == CURLE_OK;
}

static bool transfer_start(CURLM *multi, struct transfer *t, struct http_post *p, unsigned timeout_ms)
{
    p->error[0] = 0;
    *t = (struct transfer){.post = p, .easy = curl_easy_init()};
    if (t->easy && transfer_set(t, timeout_ms) && curl_multi_add_handle(multi, t->easy) == CURLM_OK)
        return true;
    snprintf(p->error, sizeof p->error, "the request could not be made");
    t->done = true;
    return false;
}

static void transfer_finish(struct transfer *t, CURLcode result)
{
    struct http_post *p = t->post;
    long status = 0;
    t->done = true;
    if (result != CURLE_OK) {
        if (!p->error[0])
            snprintf(p->error, sizeof p->error, "%s", curl_easy_strerror(result));
        return;
    }
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && !(p->any_2xx && status > 200 && status < 300))
        snprintf(p->error, sizeof p->error, "it answered with HTTP status %ld", status);
}

static void transfers_reap(CURLM *multi)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));) {
        struct transfer *t = NULL;
        if (m->msg == CURLMSG_DONE &&
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t) == CURLE_OK && t)
            transfer_finish(t, m->data.result);
    }
}

static void transfer_end(CURLM *multi, struct transfer *t)
{
    if (!t->done && !t->post->error[0])
        snprintf(t->post->error, sizeof t->post->error, "the request was broken off");
    if (t->easy) {
        curl_multi_remove_handle(multi, t->easy);
        curl_easy_cleanup(t->easy);
    }
    curl_slist_free_all(t->headers);
}

void http_post_all(struct http_post *posts, size_t count, unsigned timeout_ms, const atomic_bool *stop)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct transfer transfers[POSTS_MAX] = {0};
    assert(count <= POSTS_MAX);
    pthread_once(&once, curl_ready);
    CURLM *multi = curl_multi_init();
    int running = 0;
    for (size_t n = 0; n < count; n++)
        running += transfer_start(multi, &transfers[n], &posts[n], timeout_ms);
    while (running && !(stop && atomic_load(stop))) {
        if (curl_multi_perform(multi, &running) != CURLM_OK ||
            (running && curl_multi_poll(multi, NULL, 0, POLL_MS, NULL) != CURLM_OK))
            break;
    }
    transfers_reap(multi);
    for (size_t n = 0; n < count; n++)
        transfer_end(multi, &transfers[n]);
    curl_multi_cleanup(multi);
}

bool http_url_valid(const char *url)
{
    const char *host = !strncmp(url, "http://", 7) ? url + 7 : !strncmp(url, "https://", 8) ? url + 8 : NULL;
    if (!host || !*host || *host == '/')
        return false;
    for (; *url; url++)
        if (*url <= 0x20 || *url >= 0x7f)
            return false;
    return true;
}
