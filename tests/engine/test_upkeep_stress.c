/* SPDX-License-Identifier: GPL-3.0-or-later
 * Upkeep while the store is in use, and killed at any step: contents stay as they were written. */
#include "store.h"
#include "util/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_BYTES = 1 << 20, FILES = 6, STRESS_NS = 2000000000 };

static const struct engine_progress quiet = {NULL, NULL};

static int setup(void **state)
{
    static struct store s;
    store_setup(&s, "{}");
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    store_teardown(*state);
    return 0;
}

/* ---- in use ---- */

struct writer {
    struct store *s;
    pthread_t thread;
    unsigned seed;
    char name[16];
    uint8_t *content;
    atomic_bool *stop;
    unsigned faults, rounds;
};

static uint32_t roll(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 8;
}

static int take_seq(void *arg, const struct engine_version *v)
{
    *(uint64_t *)arg = v->seq;
    return 1;
}

static void drop_oldest(struct writer *w, struct caller *c)
{
    struct engine_place place = store_place(w->s, w->name);
    uint64_t oldest = 0, newest = 0;
    if (engine_versions(w->s->e, c, &place, true, 0, 1, take_seq, &oldest) < 0 ||
        engine_versions(w->s->e, c, &place, false, 0, 1, take_seq, &newest) < 0 || oldest == newest)
        return;
    w->faults += engine_version_delete(w->s->e, c, &place, oldest) < 0;
}

static bool content_is(struct writer *w, struct engine_handle *h)
{
    uint8_t *got = malloc(FILE_BYTES);
    size_t at = 0;
    for (ssize_t n; got && at < FILE_BYTES && (n = engine_read(h, got + at, FILE_BYTES - at, at)) > 0;)
        at += (size_t)n;
    bool same = at == FILE_BYTES && !memcmp(got, w->content, FILE_BYTES);
    free(got);
    return same;
}

/* Overwrites a piece, reads all back, forgets old versions; now and then through a handle held across all that. */
static void *writer_main(void *arg)
{
    struct writer *w = arg;
    struct store mine = *w->s;
    struct caller *c = &mine.c;
    uint64_t ino = store_ino(&mine, w->name);
    while (!atomic_load(w->stop)) {
        struct engine_handle *h;
        if (engine_open_file(mine.e, c, ino, O_RDWR, &h) < 0) {
            w->faults++;
            break;
        }
        size_t at = roll(&w->seed) % (FILE_BYTES - 65536), len = 1 + roll(&w->seed) % 65536;
        for (size_t i = 0; i < len; i++)
            w->content[at + i] = (uint8_t)roll(&w->seed);
        w->faults += engine_write(h, w->content + at, len, at) != (ssize_t)len;
        if (roll(&w->seed) % 2)
            drop_oldest(w, c);
        w->faults += !content_is(w, h);
        w->faults += engine_flush(mine.e, c, h) < 0;
        engine_release(h);
        drop_oldest(w, c);
        w->rounds++;
    }
    return NULL;
}

static void contents_stay_while_segments_are_collected_and_compacted(void **state)
{
    struct store *s = *state;
    atomic_bool stop = false;
    struct writer w[FILES] = {{0}};
    for (unsigned i = 0; i < FILES; i++) {
        w[i] = (struct writer){.s = s, .seed = i + 1, .content = malloc(FILE_BYTES), .stop = &stop};
        snprintf(w[i].name, sizeof w[i].name, "f%u", i);
        for (size_t k = 0; k < FILE_BYTES; k++)
            w[i].content[k] = (uint8_t)roll(&w[i].seed);
        store_write(s, w[i].name, w[i].content, FILE_BYTES);
    }
    for (unsigned i = 0; i < FILES; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, writer_main, &w[i]), 0);
    struct caller c = s->c;
    unsigned cycles = 0;
    for (int64_t until = clock_mono_ns() + STRESS_NS; clock_mono_ns() < until; cycles++) {
        json_t *o = NULL;
        int r = cycles % 2 ? engine_gc(s->e, &c, quiet, &o) : engine_compact(s->e, &c, quiet, &o);
        assert_int_equal(r, 0);
        json_decref(o);
    }
    atomic_store(&stop, true);
    unsigned rounds = 0;
    for (unsigned i = 0; i < FILES; i++) {
        pthread_join(w[i].thread, NULL);
        assert_int_equal(w[i].faults, 0);
        rounds += w[i].rounds;
    }
    print_message("%u rounds of writers, %u of upkeep\n", rounds, cycles);
    store_reopen(s);
    json_t *o = NULL;
    assert_int_equal(engine_scrub(s->e, &s->c, quiet, &o), 0);
    assert_true(json_is_true(json_object_get(o, "clean")));
    json_decref(o);
    assert_int_equal(engine_fsck(s->e, &s->c, false, quiet, &o), 0);
    assert_int_equal(json_integer_value(json_object_get(o, "errors")), 0);
    json_decref(o);
    for (unsigned i = 0; i < FILES; i++) {
        struct engine_handle *h;
        assert_int_equal(engine_open_file(s->e, &s->c, store_ino(s, w[i].name), O_RDONLY, &h), 0);
        assert_true(content_is(&w[i], h));
        engine_release(h);
        free(w[i].content);
    }
}

/* ---- killed ---- */

struct countdown {
    unsigned left;
};

static int die_at(void *arg, const char *what, uint64_t done, uint64_t total)
{
    struct countdown *d = arg;
    (void)what;
    (void)done;
    (void)total;
    if (!d->left--)
        _exit(3); /* no close: as kill -9 */
    return 0;
}

static void compact_and_die(struct store *s, unsigned at)
{
    struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = store_secret()};
    struct engine_config config = {.dir = s->dir, .unlock = &unlock, .settle_default_s = -1};
    struct engine *e;
    struct caller c;
    struct reason reason = {.text = ""};
    if (engine_open(&config, &e, &reason) < 0) {
        fprintf(stderr, "opening: %s\n", reason.text);
        _exit(1);
    }
    engine_caller_init(e, &c, getuid(), getgid(), getpid(), "command");
    struct countdown d = {.left = at};
    json_t *o = NULL;
    int r = engine_compact(e, &c, (struct engine_progress){die_at, &d}, &o);
    if (r < 0)
        fprintf(stderr, "compacting: %s\n", c.reason.text);
    _exit(r < 0 ? 1 : 0);
}

static void compaction_may_be_killed_at_any_step(void **state)
{
    struct store *s = *state;
    uint8_t *a = malloc(4 * FILE_BYTES);
    unsigned seed = 7;
    for (size_t k = 0; k < 4 * FILE_BYTES; k++)
        a[k] = (uint8_t)roll(&seed);
    json_t *o = NULL;
    int status = 0;
    for (unsigned at = 0; !WIFEXITED(status) || WEXITSTATUS(status) != 0 || at == 0; at++) {
        /* a mostly dead segment each time: the rest of the last one is compacted too */
        store_write(s, "f", a, 4 * FILE_BYTES);
        assert_int_equal(engine_gc(s->e, &s->c, quiet, &o), 0);
        json_decref(o);
        for (size_t k = 0; k < 3 * FILE_BYTES; k += 65536) {
            a[k]++;
            store_patch(s, "f", k, a + k, 65536);
        }
        struct writer w = {.s = s, .name = "f", .content = a};
        for (unsigned n = 0; n < 60; n++)
            drop_oldest(&w, &s->c);
        assert_int_equal(w.faults, 0);
        engine_close(s->e);
        s->e = NULL;
        pid_t pid = fork();
        if (!pid)
            compact_and_die(s, at);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 1);
        struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = s->secret};
        struct engine_config config = {.dir = s->dir, .unlock = &unlock, .settle_default_s = -1};
        assert_int_equal(engine_open(&config, &s->e, NULL), 0);
        assert_int_equal(engine_scrub(s->e, &s->c, quiet, &o), 0);
        assert_true(json_is_true(json_object_get(o, "clean")));
        json_decref(o);
        assert_int_equal(engine_fsck(s->e, &s->c, false, quiet, &o), 0);
        assert_int_equal(json_integer_value(json_object_get(o, "errors")), 0);
        json_decref(o);
        assert_true(at < 200);
    }
    free(a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(contents_stay_while_segments_are_collected_and_compacted),
        TEST(compaction_may_be_killed_at_any_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
