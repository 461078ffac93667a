/* SPDX-License-Identifier: GPL-3.0-or-later
 * Asking for a secret on the terminal, without echo. Whatever ends the question, a signal too, the terminal
 * gets its echo back before anything else happens. */
#include "kms/internal.h"
#include "util/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

enum { LINE_BYTES = LIMIT_PASSPHRASE_BYTES + 2 }; /* a newline, and one more to see that it is too long */

/* Signals that would end or stop us with the echo off: blocked but while waiting for a key, so that one
 * always ends the waiting; raised again once the terminal is as it was. */
static const int held_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
enum { HELD_COUNT = sizeof held_signals / sizeof held_signals[0] };
static volatile sig_atomic_t came; /* the first of them that came */

static void signal_came(int sig)
{
    if (!came)
        came = sig;
}

struct held {
    struct sigaction actions[HELD_COUNT];
    sigset_t mask; /* as it was; the one to wait under */
};

static void signals_hold(struct held *h)
{
    struct sigaction hold = {.sa_handler = signal_came};
    sigset_t block;
    sigemptyset(&block);
    for (int i = 0; i < HELD_COUNT; i++)
        sigaddset(&block, held_signals[i]);
    came = 0;
    pthread_sigmask(SIG_BLOCK, &block, &h->mask);
    for (int i = 0; i < HELD_COUNT; i++)
        sigaction(held_signals[i], &hold, &h->actions[i]);
}

static void signals_release(const struct held *h)
{
    for (int i = 0; i < HELD_COUNT; i++)
        sigaction(held_signals[i], &h->actions[i], NULL);
    pthread_sigmask(SIG_SETMASK, &h->mask, NULL);
    if (came)
        raise(came);
}

/* One line with its newline; the length, -EINTR, -ENODATA at the end of the input. Longer lines are read to
 * their end. */
static ssize_t line_read(int tty, const sigset_t *mask, uint8_t *out)
{
    size_t len = 0;
    for (;;) {
        struct pollfd p = {tty, POLLIN, 0};
        uint8_t c;
        ssize_t n = ppoll(&p, 1, NULL, mask) < 0 ? -1 : read(tty, &c, 1);
        if (n < 0)
            return -errno;
        if (n == 0)
            return len ? (ssize_t)len : -ENODATA;
        if (len < LINE_BYTES)
            out[len++] = c;
        if (c == '\n')
            return (ssize_t)len;
    }
}

static void tty_put(int tty, const char *text)
{
    ssize_t n = write(tty, text, strlen(text));
    (void)n; /* a prompt that cannot be shown changes nothing */
}

static ssize_t line_ask(int tty, const char *prompt, uint8_t *out)
{
    struct termios with_echo, silent;
    struct held held;
    if (tcgetattr(tty, &with_echo) < 0)
        return -errno;
    silent = with_echo;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    signals_hold(&held);
    ssize_t n = tcsetattr(tty, TCSAFLUSH, &silent) < 0 ? -errno : 0;
    if (n == 0) {
        tty_put(tty, prompt);
        n = line_read(tty, &held.mask, out);
        tty_put(tty, "\n");
    }
    tcsetattr(tty, TCSAFLUSH, &with_echo);
    signals_release(&held);
    return n;
}

static int ask_once(int tty, const char *prompt, struct secret **ret, struct reason *reason)
{
    CLEANUP(secret_cleanup) struct secret *s = secret_new(LINE_BYTES);
    if (!s)
        return reason_fail(reason, ENOMEM, "there is not enough memory");
    ssize_t n = line_ask(tty, prompt, secret_bytes(s));
    if (n < 0)
        return reason_fail(reason, (int)-n, "nothing was typed: %s", strerror((int)-n));
    secret_truncate(s, (size_t)n);
    int r = passphrase_check(s, reason);
    if (r < 0)
        return r;
    *ret = s;
    s = NULL;
    return 0;
}

/* The typed code in place of its 32 bytes. */
static int recovery_decode(struct secret **s, struct reason *reason)
{
    CLEANUP(secret_cleanup) struct secret *text = secret_new(secret_len(*s) + 1);
    struct secret *key = secret_new(KEY_BYTES);
    if (!text || !key) {
        secret_free(key);
        return reason_fail(reason, ENOMEM, "there is not enough memory");
    }
    memcpy(secret_bytes(text), secret_peek(*s), secret_len(*s));
    int r = recovery_code_parse((const char *)secret_peek(text), secret_bytes(key), reason);
    if (r < 0) {
        secret_free(key);
        return r;
    }
    secret_free(*s);
    *s = key;
    return 0;
}

static int ask_again(int tty, const struct secret *first, struct reason *reason)
{
    CLEANUP(secret_cleanup) struct secret *second = NULL;
    int r = ask_once(tty, "The same again: ", &second, reason);
    if (r < 0)
        return r;
    size_t len = secret_len(first);
    if (len != secret_len(second) || !secret_equal(secret_peek(first), secret_peek(second), len))
        return reason_fail(reason, EINVAL, "the two passphrases differ");
    return 0;
}

int unlock_ask(enum slot_kind kind, const char *prompt, bool twice, struct unlock *ret, struct reason *reason)
{
    assert(kind == SLOT_PASSPHRASE || kind == SLOT_RECOVERY);
    CLEANUP_FD int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return reason_fail(reason, ENOTTY,
                           "there is no terminal to ask on; name a file with --passphrase-file or "
                           "--key-file, or a credential with --credential");
    CLEANUP(secret_cleanup) struct secret *s = NULL;
    int r = ask_once(tty, prompt, &s, reason);
    if (r == 0 && twice)
        r = ask_again(tty, s, reason);
    if (r == 0 && kind == SLOT_RECOVERY)
        r = recovery_decode(&s, reason);
    if (r < 0)
        return r;
    *ret = (struct unlock){kind, s};
    s = NULL;
    return 0;
}
