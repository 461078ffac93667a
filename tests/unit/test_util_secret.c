/* SPDX-License-Identifier: GPL-3.0-or-later
 * Secrets: kept apart, wiped, and not taken along by a forked child. */
#include "unit.h"

#include "util/secret.h"

#include <sys/wait.h>
#include <unistd.h>

static bool all_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i])
            return false;
    }
    return true;
}

static void thousands_of_secrets_do_not_overlap(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static struct secret *s[COUNT];
    for (int i = 0; i < COUNT; i++) {
        s[i] = secret_new(1 + (size_t)i % 100);
        assert_non_null(s[i]);
        assert_true(all_zero(secret_peek(s[i]), secret_len(s[i])));
        memset(secret_bytes(s[i]), i % 251 + 1, secret_len(s[i]));
    }
    for (int i = 0; i < COUNT; i += 2)
        secret_free(s[i]);
    for (int i = 0; i < COUNT; i += 2) {
        s[i] = secret_new(1 + (size_t)(i * 7) % 200);
        assert_true(all_zero(secret_peek(s[i]), secret_len(s[i])));
    }
    for (int i = 0; i < COUNT; i++) {
        for (size_t at = 0; i % 2 && at < secret_len(s[i]); at++)
            assert_int_equal(secret_peek(s[i])[at], i % 251 + 1);
        secret_free(s[i]);
    }
}

static void what_is_cut_is_wiped(void **state)
{
    (void)state;
    struct secret *s = secret_copy("passphrase\n", 11);
    secret_truncate(s, 4);
    assert_int_equal(secret_len(s), 4);
    assert_memory_equal(secret_peek(s), "pass", 4);
    assert_true(all_zero(secret_peek(s) + 4, 7));
    secret_free(s);
}

static void freed_memory_is_wiped(void **state)
{
    (void)state;
    struct secret *keep = secret_new(32); /* its arena stays mapped */
    struct secret *s = secret_copy("0123456789abcdef0123456789abcdef", 32);
    const uint8_t *at = secret_peek(s);
    secret_free(s);
    assert_true(all_zero(at, 32));
    secret_free(keep);
}

static void a_large_secret_has_its_own_pages(void **state)
{
    (void)state;
    struct secret *s = secret_new(200000);
    assert_non_null(s);
    memset(secret_bytes(s), 7, 200000);
    secret_free(s);
    secret_free(NULL);
}

static void a_forked_child_finds_zeros(void **state)
{
    (void)state;
    struct secret *s = secret_copy("0123456789abcdef0123456789abcdef", 32);
    pid_t pid = fork();
    if (pid == 0)
        _exit(all_zero(secret_peek(s), 32) ? 0 : 1);
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_memory_equal(secret_peek(s), "0123", 4);
    secret_free(s);
}

static void comparing_tells_equal_from_different(void **state)
{
    (void)state;
    assert_true(secret_equal("abcd", "abcd", 4));
    assert_false(secret_equal("abcd", "abcD", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_of_secrets_do_not_overlap),
        cmocka_unit_test(what_is_cut_is_wiped),
        cmocka_unit_test(freed_memory_is_wiped),
        cmocka_unit_test(a_large_secret_has_its_own_pages),
        cmocka_unit_test(a_forked_child_finds_zeros),
        cmocka_unit_test(comparing_tells_equal_from_different),
    };
    return cmocka_run_group_tests_name("util/secret", tests, NULL, NULL);
}
