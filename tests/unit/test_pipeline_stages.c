/* SPDX-License-Identifier: GPL-3.0-or-later
 * Stages: each of the table keeps stage.h's rules; chains of them pass bytes, capabilities, refusals. */
#include "pipeline/stage.h"
#include "util/clock.h"
#include "util/reason.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- a source over memory --------------------------------------------------------------------------------- */

struct memory_source {
    struct stage_next next;
    const uint8_t *bytes;
    size_t len, at, most; /* most: bytes a pull gives at most */
};

static ssize_t memory_pull_at(struct stage_next *next, void *buf, size_t len, uint64_t offset)
{
    struct memory_source *m = next->self;
    if (offset >= m->len)
        return 0;
    if (len > m->len - offset)
        len = m->len - offset;
    memcpy(buf, m->bytes + offset, len);
    return (ssize_t)len;
}

static ssize_t memory_pull(struct stage_next *next, void *buf, size_t len)
{
    struct memory_source *m = next->self;
    ssize_t n = memory_pull_at(next, buf, len < m->most ? len : m->most, m->at);
    m->at += (size_t)n;
    return n;
}

static void memory_init(struct memory_source *m, const void *bytes, size_t len, size_t most)
{
    *m = (struct memory_source){
        .next = {.meta = {.size_bytes = len, .content_type = "text/plain"},
                 .caps = STAGE_READS | STAGE_WRITES | STAGE_RANGE | STAGE_SIZE | STAGE_PURE,
                 .self = m,
                 .pull = memory_pull,
                 .pull_at = memory_pull_at},
        .bytes = bytes,
        .len = len,
        .most = most,
    };
}

/* --- stages that only this test has ----------------------------------------------------------------------- */

/* Upper case, with RANGE and SIZE. */
static int upper_open(const void *shared, void *thread, const struct stage_request *request, struct stage_next *next,
                      struct stage_meta *out, void **self)
{
    (void)shared, (void)thread, (void)request, (void)out;
    *self = next;
    return 0;
}

static ssize_t upper(uint8_t *buf, ssize_t n)
{
    for (ssize_t i = 0; i < n; i++)
        buf[i] = buf[i] >= 'a' && buf[i] <= 'z' ? (uint8_t)(buf[i] - 32) : buf[i];
    return n;
}

static ssize_t upper_pull(void *self, void *buf, size_t len)
{
    struct stage_next *next = self;
    return upper(buf, next->pull(next, buf, len));
}

static ssize_t upper_pull_at(void *self, void *buf, size_t len, uint64_t offset)
{
    struct stage_next *next = self;
    return upper(buf, next->pull_at(next, buf, len, offset));
}

static int closed;

static void count_close(void *self)
{
    (void)self;
    closed++;
}

static const struct stage stage_upper = {
    .name = "upper",
    .version = 1,
    .caps = STAGE_READS | STAGE_WRITES | STAGE_RANGE | STAGE_SIZE | STAGE_PURE,
    .open = upper_open,
    .pull = upper_pull,
    .pull_at = upper_pull_at,
    .close = count_close,
};

/* Refuses what holds a '!'. */
struct shout {
    int found;
};

static int quiet_open(const void *shared, void *thread, const struct stage_request *request, struct stage_next *next,
                      struct stage_meta *out, void **self)
{
    static struct shout shout;
    (void)shared, (void)thread, (void)request, (void)next, (void)out;
    shout.found = 0;
    *self = &shout;
    return 0;
}

static int quiet_push(void *self, const void *buf, size_t len)
{
    struct shout *s = self;
    s->found |= memchr(buf, '!', len) != NULL;
    return 0;
}

static int quiet_finish(void *self)
{
    return ((struct shout *)self)->found ? -EKEYREJECTED : 0;
}

static const struct stage stage_quiet = {
    .name = "quiet",
    .version = 1,
    .caps = STAGE_WRITES | STAGE_VERDICT | STAGE_SIZE | STAGE_PURE | STAGE_WAITS,
    .open = quiet_open,
    .push = quiet_push,
    .finish = quiet_finish,
    .close = count_close,
};

static int broken_open(const void *shared, void *thread, const struct stage_request *request, struct stage_next *next,
                       struct stage_meta *out, void **self)
{
    (void)shared, (void)thread, (void)request, (void)next, (void)out, (void)self;
    return -EACCES;
}

static const struct stage stage_broken = {
    .name = "broken", .version = 1, .caps = STAGE_READS, .open = broken_open, .pull = upper_pull, .close = count_close};

/* --- helpers ---------------------------------------------------------------------------------------------- */

static const struct stage_request no_request;

static void *configured(const struct stage *s, const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    struct reason reason;
    void *shared = NULL;
    assert_int_equal(s->config_new(json, &shared, &reason), 0);
    json_decref(json);
    return shared;
}

/* Pulls all, `step` bytes at a time; the count, or the error it ended with. */
static ssize_t drain(struct stage_next *top, uint8_t *buf, size_t cap, size_t step)
{
    size_t at = 0;
    for (;;) {
        ssize_t n = top->pull(top, buf + at, cap - at < step ? cap - at : step);
        if (n <= 0)
            return n < 0 ? n : (ssize_t)at;
        at += (size_t)n;
        assert_true(at < cap);
    }
}

/* --- the table -------------------------------------------------------------------------------------------- */

static void every_stage_keeps_the_rules(void **state)
{
    (void)state;
    for (const struct stage *const *at = stage_all(); *at; at++) {
        const struct stage *s = *at;
        assert_ptr_equal(stage_find(s->name), s); /* and so the name is there once */
        assert_true(s->version >= 1);
        assert_true(s->caps & (STAGE_READS | STAGE_WRITES));
        assert_non_null(s->open);
        assert_non_null(s->close);
        assert_true(s->pull || (s->push && s->caps & STAGE_VERDICT));
        assert_true(!s->pull_at == !(s->caps & STAGE_RANGE));
        assert_true(!s->config_new == !s->config_free);
        assert_true(!s->thread_new == !s->thread_free);
        assert_true(!(s->caps & STAGE_VERDICT) || s->finish);
    }
    assert_null(stage_find("no such stage"));
}

static void a_configuration_that_is_not_understood_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}", "[]", "{\"mode\":1}", "{\"mode\":\"squeeze\"}", "{\"mode\":\"compress\",\"level\":0}",
                                      "{\"mode\":\"compress\",\"level\":20}", "{\"mode\":\"compress\",\"level\":\"3\"}",
                                      "{\"mode\":\"decompress\",\"level\":3}", "{\"mode\":\"compress\",\"window\":9}"};
    const struct stage *s = stage_find("zstd");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *json = json_loads(bad[i], 0, NULL);
        struct reason reason = {0};
        void *shared;
        assert_int_equal(s->config_new(json, &shared, &reason), -EINVAL);
        assert_true(strstr(reason.text, "zstd") != NULL);
        json_decref(json);
    }
}

/* --- chains ----------------------------------------------------------------------------------------------- */

static void a_chain_compresses_and_decompresses(void **state)
{
    (void)state;
    enum { LEN = 1000000 };
    uint8_t *text = malloc(LEN), *back = malloc(LEN + 1);
    for (size_t i = 0; i < LEN; i++)
        text[i] = (uint8_t)("abcdefghij"[i * i % 10]);
    const struct stage *zstd = stage_find("zstd");
    void *pack = configured(zstd, "{\"stage\":\"zstd\",\"mode\":\"compress\",\"level\":5}");
    void *unpack = configured(zstd, "{\"mode\":\"decompress\"}");
    const struct stage_chain_item items[] = {{zstd, pack}, {zstd, unpack}, {&stage_upper, NULL}};
    for (size_t step = 1000; step <= LEN; step *= 31) {
        struct memory_source source;
        struct stage_chain *chain;
        memory_init(&source, text, LEN, step / 7);
        assert_int_equal(stage_chain_open(items, 1, &no_request, &source.next, &chain), 0);
        assert_string_equal(stage_chain_top(chain)->meta.content_encoding, "zstd");
        assert_string_equal(stage_chain_top(chain)->meta.content_type, "text/plain");
        assert_true(stage_chain_top(chain)->meta.size_bytes == UINT64_MAX);
        assert_true(drain(stage_chain_top(chain), back, LEN, step) < LEN / 100);
        stage_chain_close(chain);

        memory_init(&source, text, LEN, step / 7);
        assert_int_equal(stage_chain_open(items, 3, &no_request, &source.next, &chain), 0);
        assert_null(stage_chain_top(chain)->meta.content_encoding);
        assert_int_equal(drain(stage_chain_top(chain), back, LEN + 1, step), LEN);
        assert_int_equal(stage_chain_finish(chain), 0);
        for (size_t i = 0; i < LEN; i++)
            assert_int_equal(back[i], text[i] - 32);
        stage_chain_close(chain);
    }
    zstd->config_free(pack);
    zstd->config_free(unpack);
    free(text);
    free(back);
}

static ssize_t decompress(const void *bytes, size_t len, uint8_t *out, size_t cap)
{
    const struct stage *zstd = stage_find("zstd");
    void *unpack = configured(zstd, "{\"mode\":\"decompress\"}");
    const struct stage_chain_item item = {zstd, unpack};
    struct memory_source source;
    struct stage_chain *chain;
    memory_init(&source, bytes, len, len + 1);
    assert_int_equal(stage_chain_open(&item, 1, &no_request, &source.next, &chain), 0);
    ssize_t n = drain(stage_chain_top(chain), out, cap, 1000);
    stage_chain_close(chain);
    zstd->config_free(unpack);
    return n;
}

static void unsuitable_input_is_ebadmsg(void **state)
{
    (void)state;
    static const uint8_t text[300];
    uint8_t packed[4096], out[4096];
    const struct stage *zstd = stage_find("zstd");
    void *pack = configured(zstd, "{\"mode\":\"compress\"}");
    const struct stage_chain_item item = {zstd, pack};
    struct memory_source source;
    struct stage_chain *chain;
    memory_init(&source, text, sizeof text, 100);
    assert_int_equal(stage_chain_open(&item, 1, &no_request, &source.next, &chain), 0);
    ssize_t len = drain(stage_chain_top(chain), packed, sizeof packed, 7);
    stage_chain_close(chain);
    zstd->config_free(pack);
    assert_true(len > 0 && len < 100);
    assert_int_equal(decompress(packed, (size_t)len, out, sizeof out), 300);
    for (ssize_t cut = 0; cut < len; cut++)
        assert_int_equal(decompress(packed, (size_t)cut, out, sizeof out), -EBADMSG);
    packed[len] = 'x'; /* followed by something else */
    assert_int_equal(decompress(packed, (size_t)len + 1, out, sizeof out), -EBADMSG);
    memcpy(packed + len, packed, (size_t)len); /* followed by another frame */
    assert_int_equal(decompress(packed, 2 * (size_t)len, out, sizeof out), 600);
    assert_int_equal(decompress("no zstd at all", 14, out, sizeof out), -EBADMSG);
}

static void a_bomb_is_efbig(void **state)
{
    (void)state;
    enum { LEN = 64 << 20 };
    uint8_t *zeros = calloc(1, LEN), *out = malloc(LEN + 1), packed[16384];
    const struct stage *zstd = stage_find("zstd");
    void *pack = configured(zstd, "{\"mode\":\"compress\"}");
    const struct stage_chain_item item = {zstd, pack};
    struct memory_source source;
    struct stage_chain *chain;
    memory_init(&source, zeros, LEN, 1 << 17);
    assert_int_equal(stage_chain_open(&item, 1, &no_request, &source.next, &chain), 0);
    ssize_t len = drain(stage_chain_top(chain), packed, sizeof packed, 1000);
    stage_chain_close(chain);
    zstd->config_free(pack);
    assert_true(len > 0);
    assert_int_equal(decompress(packed, (size_t)len, out, LEN + 1), -EFBIG);
    free(zeros);
    free(out);
}

static void a_chain_has_what_each_member_has(void **state)
{
    (void)state;
    struct memory_source source;
    struct stage_chain *chain;
    uint8_t buf[10];
    const struct stage_chain_item items[] = {{&stage_upper, NULL}, {&stage_quiet, NULL}, {&stage_upper, NULL}};
    memory_init(&source, "hello, world", 12, 100);
    assert_int_equal(stage_chain_open(items, 1, &no_request, &source.next, &chain), 0);
    struct stage_next *top = stage_chain_top(chain);
    assert_int_equal(top->caps, STAGE_READS | STAGE_WRITES | STAGE_RANGE | STAGE_SIZE | STAGE_PURE);
    assert_int_equal(top->meta.size_bytes, 12);
    assert_int_equal(top->pull_at(top, buf, 5, 7), 5);
    assert_memory_equal(buf, "WORLD", 5);
    stage_chain_close(chain);
    assert_int_equal(stage_chain_open(items, 3, &no_request, &source.next, &chain), 0);
    assert_int_equal(stage_chain_top(chain)->caps, STAGE_WRITES | STAGE_SIZE | STAGE_PURE | STAGE_WAITS);
    assert_null(stage_chain_top(chain)->pull_at);
    stage_chain_close(chain);
}

static void a_verdict_comes_after_the_last_byte(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int verdict;
    } cases[] = {{"quiet as a mouse", 0}, {"loud!", -EKEYREJECTED}};
    const struct stage_chain_item items[] = {{&stage_quiet, NULL}, {&stage_upper, NULL}};
    for (int i = 0; i < 2; i++) {
        struct memory_source source;
        struct stage_chain *chain;
        uint8_t buf[100];
        memory_init(&source, cases[i].text, strlen(cases[i].text), 3);
        assert_int_equal(stage_chain_open(items, 2, &no_request, &source.next, &chain), 0);
        assert_int_equal(drain(stage_chain_top(chain), buf, sizeof buf, 10), strlen(cases[i].text));
        assert_int_equal(stage_chain_finish(chain), cases[i].verdict);
        stage_chain_close(chain);
    }
}

static void a_failed_open_closes_what_was_open(void **state)
{
    (void)state;
    struct memory_source source;
    struct stage_chain *chain;
    const struct stage_chain_item items[] = {{&stage_upper, NULL}, {&stage_quiet, NULL}, {&stage_broken, NULL}};
    memory_init(&source, "x", 1, 1);
    closed = 0;
    assert_int_equal(stage_chain_open(items, 3, &no_request, &source.next, &chain), -EACCES);
    assert_int_equal(closed, 2);
    stage_chain_close(NULL);
}

static void a_request_ends_at_its_deadline(void **state)
{
    (void)state;
    struct memory_source source;
    struct stage_chain *chain;
    uint8_t buf[10];
    const struct stage_chain_item item = {&stage_upper, NULL};
    struct stage_request request = {.deadline_ns = (uint64_t)clock_mono_ns() - 1};
    memory_init(&source, "x", 1, 1);
    assert_int_equal(stage_chain_open(&item, 1, &request, &source.next, &chain), 0);
    assert_int_equal(stage_chain_top(chain)->pull(stage_chain_top(chain), buf, 10), -ETIMEDOUT);
    request.deadline_ns += (uint64_t)60 * 1000000000;
    assert_int_equal(stage_chain_top(chain)->pull(stage_chain_top(chain), buf, 10), 1);
    stage_chain_close(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stage_keeps_the_rules),
        cmocka_unit_test(a_configuration_that_is_not_understood_is_refused),
        cmocka_unit_test(a_chain_compresses_and_decompresses),
        cmocka_unit_test(unsuitable_input_is_ebadmsg),
        cmocka_unit_test(a_bomb_is_efbig),
        cmocka_unit_test(a_chain_has_what_each_member_has),
        cmocka_unit_test(a_verdict_comes_after_the_last_byte),
        cmocka_unit_test(a_failed_open_closes_what_was_open),
        cmocka_unit_test(a_request_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
