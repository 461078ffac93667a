/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzz target: the head of an S3 request as anybody may send it. The first line is METHOD TARGET, each further one NAME:VALUE. What can be
 * read keeps its key within its path, decodes to UTF-8, and has a canonical request that is read again as the same. */
#include "s3/sigv4.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void read_lines(struct message *m, char *text)
{
    char *save, *line = strtok_r(text, "\n", &save);
    char *space = line ? strchr(line, ' ') : NULL;
    if (space) {
        *space = '\0';
        size_t len = strlen(line);
        memcpy(m->method, line, len < sizeof m->method ? len : sizeof m->method - 1);
    }
    m->target = strdup(space ? space + 1 : "/");
    must(m->target);
    while ((line = strtok_r(NULL, "\n", &save))) {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = '\0';
        message_header(m, line, colon + 1);
    }
}

static void check(const struct message *m)
{
    must(utf8_valid(m->path, m->path_len));
    must(m->key >= m->path && m->key + m->key_len == m->path + m->path_len);
    must(strlen(m->bucket) < sizeof m->bucket);
    for (size_t n = 0; n < m->query.count; n++)
        must(utf8_valid(m->query.v[n].name, strlen(m->query.v[n].name)));
}

/* The path, encoded as it is signed, decodes to itself. */
static void round_trip(const struct message *m)
{
    struct bytes encoded = {0};
    uri_encode(&encoded, m->path, m->path_len, "/");
    char *back = malloc(encoded.len + 1);
    must(back && !encoded.failed);
    int n = uri_decode((const char *)encoded.data, encoded.len, false, back);
    must(n >= 0 && (size_t)n == m->path_len && memcmp(back, m->path, m->path_len) == 0);
    free(back);
    bytes_done(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const domains[] = {"s3.test", "d"};
    char *text = malloc(size + 1);
    must(text);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    struct message m = {0};
    struct reason reason = {0};
    read_lines(&m, text);
    int r = message_read(&m, domains, 2, &reason);
    if (r == 0) {
        struct bytes canonical = {0};
        const char *names = message_get(&m, "x-signed");
        check(&m);
        if (m.path_len)
            round_trip(&m);
        sigv4_canonical(&m, names ? names : "host", size % 2, "UNSIGNED-PAYLOAD", &canonical);
        must(canonical.len > 0);
        bytes_done(&canonical);
    } else {
        must(strcmp(reason.code, "InvalidURI") == 0 && reason.text[0]);
    }
    message_done(&m);
    free(text);
    return 0;
}
