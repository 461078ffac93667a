/* SPDX-License-Identifier: GPL-3.0-or-later
 * The metadata survives kill -9 at any moment: a process writes and is killed, again and again; what it had
 * committed is there afterwards, whole transactions only, and the database is sound (encryption.md §12, case
 * 18). usage: test_meta_kill [ROUNDS [SEED]] */
#include "meta_load.h"

#include <time.h>

static int rounds = 100;
static unsigned long seed;
static unsigned short dice[3];

static void write_forever(struct metastore *s, uint64_t n, int acknowledge_fd)
{
    pthread_t thread;
    pthread_create(&thread, NULL, load_checkpoint, s);
    for (;; n++) {
        if (load_write(s, n) < 0 || write(acknowledge_fd, &n, sizeof(n)) != sizeof(n))
            _exit(1);
    }
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
        n = load_verify(&s);
        assert_true(n == acknowledged || n == acknowledged + 1);
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
