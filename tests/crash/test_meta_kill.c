/* SPDX-License-Identifier: GPL-3.0-or-later
 * The metadata survives kill -9 at any moment: a process writes and is killed, again and again; what it had
 * committed is there afterwards, whole transactions only, and the database is sound (encryption.md §12, case
 * 18). usage: test_meta_kill [ROUNDS [SEED]] */
#include "../lib/metastore.h"

#include <pthread.h>
#include <time.h>

enum { ROWS_EACH = 5 };

static int rounds = 100;
static unsigned long seed;
static unsigned short dice[3];

static void *checkpoint_often(void *arg)
{
    struct metastore *s = arg;
    for (unsigned i = 0;; i++) {
        s->ops->checkpoint(s->meta, true);
        usleep(3000 * (i % 7));
    }
    return NULL;
}

/* Transaction n puts a row with seq n under ROWS_EACH buckets, removes old ones, and notes n. */
static int write_transaction(struct metastore *s, uint64_t n)
{
    static uint8_t data[6000];
    char key[32];
    int r = s->ops->begin(s->meta);
    for (uint32_t bucket = 1; bucket <= ROWS_EACH && r == 0; bucket++) {
        snprintf(key, sizeof(key), "key-%llu", (unsigned long long)((n * 31 + bucket * 100003) % 400));
        struct version_row row = {
            .bucket = bucket, .key = text_span(key), .seq = n, .data = span_of(data, n * 97 % sizeof(data))};
        r = s->ops->version_put(s->meta, &row);
        if (r == 0 && n > 400) /* the keys come round every 400 transactions */
            r = s->ops->version_del(s->meta, bucket, text_span(key), n - 400);
    }
    if (r == 0)
        r = s->ops->value_put(s->meta, "n", span_of(&n, sizeof(n)));
    return r < 0 ? r : s->ops->commit(s->meta);
}

static void write_forever(struct metastore *s, uint64_t n, int acknowledge_fd)
{
    pthread_t thread;
    pthread_create(&thread, NULL, checkpoint_often, s);
    for (;; n++) {
        if (write_transaction(s, n) < 0 || write(acknowledge_fd, &n, sizeof(n)) != sizeof(n))
            _exit(1);
    }
}

struct tally {
    uint64_t wanted, rows, newest;
};

static int tally_row(void *arg, const struct version_row *row)
{
    struct tally *t = arg;
    t->rows += row->seq == t->wanted;
    t->newest = row->seq > t->newest ? row->seq : t->newest;
    return 0;
}

static uint64_t committed(struct metastore *s)
{
    struct span value;
    uint64_t n = 0;
    int r = s->ops->value_get(s->meta, "n", &value);
    assert_true(r == 0 || r == -ENOENT);
    if (r == 0)
        memcpy(&n, value.p, sizeof(n));
    return n;
}

/* One life of a writer; returns the last transaction it was told is committed. */
static uint64_t kill_one(struct metastore *s, uint64_t from)
{
    int fds[2], status;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        metastore_open(s);
        write_forever(s, from, fds[1]);
    }
    close(fds[1]);
    usleep(1000 + (useconds_t)(nrand48(dice) % 60000));
    assert_int_equal(kill(pid, SIGKILL), 0);
    uint64_t last = from - 1, n;
    while (read(fds[0], &n, sizeof(n)) == sizeof(n))
        last = n;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return last;
}

static void what_was_committed_survives_kill(void **state)
{
    (void)state;
    struct metastore s;
    print_message("seed %lu\n", seed);
    metastore_make(&s, "sqlite", 4096);
    s.cache_bytes = 64 << 10; /* pages of unfinished transactions reach the log too */
    metastore_close(&s);
    uint64_t n = 0;
    for (int i = 0; i < rounds; i++) {
        uint64_t acknowledged = kill_one(&s, n + 1);
        metastore_open(&s);
        assert_int_equal(metastore_check(&s), 0);
        n = committed(&s);
        assert_true(n == acknowledged || n == acknowledged + 1);
        struct tally tally = {.wanted = n};
        assert_int_equal(s.ops->version_scan_since(s.meta, 0, tally_row, &tally), 0);
        assert_true(tally.newest == n && (n == 0 || tally.rows == ROWS_EACH));
        assert_int_equal(s.reports, 0);
        metastore_close(&s);
    }
    print_message("%llu transactions in %d lives\n", (unsigned long long)n, rounds);
    assert_true(n > 0);
    metastore_remove(&s);
}

int main(int argc, char **argv)
{
    rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : rounds;
    seed = argc > 2 ? strtoul(argv[2], NULL, 10) : (unsigned long)time(NULL);
    memcpy(dice, &seed, sizeof(dice));
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_committed_survives_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
