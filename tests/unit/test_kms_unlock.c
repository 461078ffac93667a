/* SPDX-License-Identifier: GPL-3.0-or-later
 * Secrets from files, credentials and the terminal (encryption.md §1.1, case 7). */
#include "unit.h"

#include "kms/kms.h"
#include "tempdir.h"
#include "util/xaes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

static struct tempdir dir;

static int setup(void **state)
{
    (void)state;
    tempdir_make(&dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tempdir_remove(&dir);
    return 0;
}

static int unlock_file(enum slot_kind kind, const void *bytes, size_t len, mode_t mode, struct unlock *ret,
                       struct reason *why)
{
    tempdir_write(&dir, "secret", bytes, len, mode);
    char *path = tempdir_path(&dir, "secret");
    int r = unlock_from_file(kind, path, ret, why);
    free(path);
    return r;
}

static void passphrase_is(const char *content, size_t len, const char *want, size_t want_len)
{
    struct unlock u;
    assert_int_equal(unlock_file(SLOT_PASSPHRASE, content, len, 0600, &u, NULL), 0);
    assert_int_equal(u.kind, SLOT_PASSPHRASE);
    assert_int_equal(secret_len(u.secret), want_len);
    assert_memory_equal(secret_peek(u.secret), want, want_len);
    secret_free(u.secret);
}

static void passphrase_is_refused(const char *content, size_t len, const char *words)
{
    struct unlock u;
    struct reason why = {0};
    assert_int_equal(unlock_file(SLOT_PASSPHRASE, content, len, 0600, &u, &why), -EINVAL);
    assert_non_null(strstr(why.text, words));
}

static void a_passphrase_loses_one_newline_and_nothing_else(void **state)
{
    (void)state;
    static char longest[1026];
    passphrase_is("secret", 6, "secret", 6);
    passphrase_is("secret\n", 7, "secret", 6);
    passphrase_is("secret\n\n", 8, "secret\n", 7);
    passphrase_is(" se\0cret \n", 10, " se\0cret ", 9);
    memset(longest, 'x', sizeof longest);
    passphrase_is(longest, 1024, longest, 1024);
    longest[1024] = '\n';
    passphrase_is(longest, 1025, longest, 1024);
    longest[1024] = 'x';
    passphrase_is_refused(longest, 1025, "more than 1024");
    passphrase_is_refused(longest, 1026, "more than 1024");
    passphrase_is_refused("", 0, "empty");
    passphrase_is_refused("\n", 1, "empty");
}

static void a_passphrase_comes_from_standard_input(void **state)
{
    (void)state;
    int fds[2], saved = dup(STDIN_FILENO);
    struct unlock u;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "typed\n", 6), 6);
    close(fds[1]);
    dup2(fds[0], STDIN_FILENO);
    int r = unlock_from_file(SLOT_PASSPHRASE, "-", &u, NULL);
    dup2(saved, STDIN_FILENO);
    assert_int_equal(r, 0);
    assert_int_equal(secret_len(u.secret), 5);
    secret_free(u.secret);
    close(fds[0]);
    close(saved);
}

static void key_file_gives(size_t len, mode_t mode, int errnum)
{
    static uint8_t bytes[8193];
    struct unlock u;
    struct reason why = {0};
    assert_int_equal(unlock_file(SLOT_KEYFILE, bytes, len, mode, &u, &why), -errnum);
    if (errnum == 0) {
        assert_int_equal(secret_len(u.secret), len);
        secret_free(u.secret);
    } else {
        assert_true(why.text[0]);
    }
}

static void a_key_file_is_private_and_of_sane_length(void **state)
{
    (void)state;
    key_file_gives(32, 0600, 0);
    key_file_gives(8192, 0400, 0);
    key_file_gives(32, 0644, EPERM);
    key_file_gives(32, 0640, EPERM);
    key_file_gives(32, 0604, EPERM);
    key_file_gives(31, 0600, EINVAL);
    key_file_gives(0, 0600, EINVAL);
    key_file_gives(8193, 0600, EINVAL);
    struct unlock u;
    struct reason why = {0};
    assert_int_equal(unlock_from_file(SLOT_KEYFILE, "/nonexistent/key", &u, &why), -ENOENT);
    assert_non_null(strstr(why.text, "/nonexistent/key"));
}

static void a_credential_is_a_file_of_systemds_folder(void **state)
{
    (void)state;
    static const uint8_t bytes[32];
    struct unlock u;
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(unlock_from_credential("store-key", &u, NULL), -ENOENT);
    setenv("CREDENTIALS_DIRECTORY", dir.path, 1);
    tempdir_write(&dir, "store-key", bytes, 32, 0440); /* an ACL's mask shows in the group bits */
    assert_int_equal(unlock_from_credential("store-key", &u, NULL), 0);
    assert_int_equal(u.kind, SLOT_CREDENTIAL);
    secret_free(u.secret);
    tempdir_write(&dir, "store-key", bytes, 32, 0444);
    assert_int_equal(unlock_from_credential("store-key", &u, NULL), -EPERM);
    assert_int_equal(unlock_from_credential("../store-key", &u, NULL), -EINVAL);
    assert_int_equal(unlock_from_credential("..", &u, NULL), -EINVAL);
    assert_int_equal(unlock_from_credential("", &u, NULL), -EINVAL);
    assert_int_equal(unlock_from_credential("other", &u, NULL), -ENOENT);
    unsetenv("CREDENTIALS_DIRECTORY");
}

/* ---- the terminal: a child with a pseudo terminal of its own, typed at from here ---- */

struct typist {
    int master;
    pid_t child;
    char seen[512]; /* what the terminal showed */
    size_t seen_len;
};

/* The child asks; exit status 0 when it got `want`, else the errno. */
static void child_asks(int master, enum slot_kind kind, bool twice, const void *want, size_t want_len)
{
    setsid();
    int tty = open(ptsname(master), O_RDWR);
    if (tty < 0 || ioctl(tty, TIOCSCTTY, 0) < 0)
        _exit(200);
    close(master);
    signal(SIGINT, SIG_DFL);
    struct unlock u;
    int r = unlock_ask(kind, "Passphrase: ", twice, &u, NULL);
    if (r < 0)
        _exit(-r);
    bool same = secret_len(u.secret) == want_len && memcmp(secret_peek(u.secret), want, want_len) == 0;
    _exit(same ? 0 : 201);
}

static struct typist asked(enum slot_kind kind, bool twice, const void *want, size_t want_len)
{
    struct typist t = {.master = posix_openpt(O_RDWR | O_NOCTTY)};
    assert_true(t.master >= 0);
    assert_int_equal(grantpt(t.master), 0);
    assert_int_equal(unlockpt(t.master), 0);
    t.child = fork();
    if (t.child == 0)
        child_asks(t.master, kind, twice, want, want_len);
    return t;
}

static void wait_for(struct typist *t, const char *text)
{
    while (!strstr(t->seen, text)) {
        struct pollfd p = {t->master, POLLIN, 0};
        if (poll(&p, 1, 20000) <= 0)
            fail_msg("the terminal shows '%s', not '%s'", t->seen, text);
        ssize_t n = read(t->master, t->seen + t->seen_len, sizeof t->seen - 1 - t->seen_len);
        assert_true(n > 0);
        t->seen_len += (size_t)n;
    }
}

static void type(struct typist *t, const char *text)
{
    assert_int_equal(write(t->master, text, strlen(text)), strlen(text));
}

static int finished(struct typist *t)
{
    int status;
    waitpid(t->child, &status, 0);
    close(t->master);
    return status;
}

static void typing_is_not_shown(void **state)
{
    (void)state;
    struct typist t = asked(SLOT_PASSPHRASE, true, "open sesame", 11);
    wait_for(&t, "Passphrase: ");
    type(&t, "open sesame\n");
    wait_for(&t, "again: ");
    type(&t, "open sesame\n");
    wait_for(&t, "again: \r\n");
    assert_int_equal(WEXITSTATUS(finished(&t)), 0);
    assert_null(strstr(t.seen, "sesame"));
}

static void two_different_ones_are_refused(void **state)
{
    (void)state;
    struct typist t = asked(SLOT_PASSPHRASE, true, "", 0);
    wait_for(&t, "Passphrase: ");
    type(&t, "open sesame\n");
    wait_for(&t, "again: ");
    type(&t, "open simsim\n");
    assert_int_equal(WEXITSTATUS(finished(&t)), EINVAL);
}

static void a_recovery_code_is_typed(void **state)
{
    (void)state;
    uint8_t secret[32];
    count_up(secret, 32, 0x80);
    struct typist t = asked(SLOT_RECOVERY, false, secret, 32);
    wait_for(&t, "Passphrase: ");
    type(&t, "g20r5 0w4gp 38f24 9ha5r s3ceh y8934 mkjja sd5wr k6d9q 74xkt ftgd8\n");
    assert_int_equal(WEXITSTATUS(finished(&t)), 0);
}

static void interrupting_gives_the_echo_back(void **state)
{
    (void)state;
    struct typist t = asked(SLOT_PASSPHRASE, false, "", 0);
    struct termios mode;
    wait_for(&t, "Passphrase: ");
    assert_int_equal(tcgetattr(t.master, &mode), 0);
    assert_false(mode.c_lflag & ECHO);
    int keep_open = open(ptsname(t.master), O_RDWR | O_NOCTTY); /* its mode outlives the child */
    type(&t, "\x03");
    int status;
    waitpid(t.child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    assert_int_equal(tcgetattr(keep_open, &mode), 0);
    assert_true(mode.c_lflag & ECHO);
    close(keep_open);
    close(t.master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_passphrase_loses_one_newline_and_nothing_else),
        cmocka_unit_test(a_passphrase_comes_from_standard_input),
        cmocka_unit_test(a_key_file_is_private_and_of_sane_length),
        cmocka_unit_test(a_credential_is_a_file_of_systemds_folder),
        cmocka_unit_test(typing_is_not_shown),
        cmocka_unit_test(two_different_ones_are_refused),
        cmocka_unit_test(a_recovery_code_is_typed),
        cmocka_unit_test(interrupting_gives_the_echo_back),
    };
    return cmocka_run_group_tests_name("kms/unlock", tests, setup, teardown);
}
