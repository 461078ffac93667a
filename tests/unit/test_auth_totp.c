/* SPDX-License-Identifier: GPL-3.0-or-later
 * One-time codes: known answers, replay, lock-out (retention.md §4, cases 63, 69). */
#include "unit.h"

#include "auth/auth.h"

#include <stdio.h>

static const uint8_t secret[TOTP_SECRET_BYTES] = "12345678901234567890";

/* RFC 6238, appendix B, cut to six digits; the page's six times. */
static void six_times_have_their_six_codes(void **state)
{
    (void)state;
    static const struct {
        int64_t time_s;
        const char *code;
    } answers[] = {{59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
                   {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};
    for (size_t n = 0; n < sizeof answers / sizeof *answers; n++) {
        char code[TOTP_DIGITS + 1];
        struct totp_state s = {0};
        totp_code(secret, totp_step(answers[n].time_s), code);
        assert_string_equal(code, answers[n].code);
        assert_int_equal(totp_judge(&s, secret, code, answers[n].time_s, 0), TOTP_RIGHT);
    }
}

static void a_step_more_or_less_counts_and_two_do_not(void **state)
{
    (void)state;
    const int64_t now = 1111111111;
    for (int off = -2; off <= 2; off++) {
        char code[TOTP_DIGITS + 1];
        struct totp_state s = {0};
        totp_code(secret, totp_step(now) + (uint64_t)off, code);
        assert_int_equal(totp_judge(&s, secret, code, now, 0), off < -1 || off > 1 ? TOTP_WRONG : TOTP_RIGHT);
    }
}

static void a_code_serves_once_and_none_before_it_after(void **state)
{
    (void)state;
    const int64_t now = 1111111111;
    char before[TOTP_DIGITS + 1], code[TOTP_DIGITS + 1], after[TOTP_DIGITS + 1];
    struct totp_state s = {0};
    totp_code(secret, totp_step(now) - 1, before);
    totp_code(secret, totp_step(now), code);
    totp_code(secret, totp_step(now) + 1, after);
    assert_int_equal(totp_judge(&s, secret, code, now, 0), TOTP_RIGHT);
    assert_int_equal(totp_judge(&s, secret, code, now, 0), TOTP_REPLAYED);
    assert_int_equal(totp_judge(&s, secret, before, now, 0), TOTP_REPLAYED);
    assert_int_equal(s.wrong, 0);
    assert_int_equal(totp_judge(&s, secret, after, now, 0), TOTP_RIGHT);
    assert_int_equal(totp_judge(&s, secret, after, now + 30, 0), TOTP_REPLAYED);
}

static void wrong(struct totp_state *s, int64_t clock_s)
{
    assert_int_equal(totp_judge(s, secret, "000000", 1111111111, clock_s), TOTP_WRONG);
}

static void five_wrong_codes_lock_and_each_further_one_twice_as_long(void **state)
{
    (void)state;
    struct totp_state s = {0};
    for (int n = 0; n < 4; n++)
        wrong(&s, 100);
    assert_int_equal(s.locked_until_s, 0);
    wrong(&s, 100);
    int64_t lock = 300, clock_s = 100;
    for (int n = 0; n < 12; n++) {
        assert_int_equal(s.locked_until_s, clock_s + (lock < 86400 ? lock : 86400));
        assert_int_equal(totp_judge(&s, secret, "050471", 1111111111, s.locked_until_s - 1), TOTP_LOCKED); /* the right one too */
        clock_s = s.locked_until_s;
        wrong(&s, clock_s);
        lock *= 2;
    }
    clock_s = s.locked_until_s;
    assert_int_equal(totp_judge(&s, secret, "050471", 1111111111, clock_s), TOTP_RIGHT);
    assert_int_equal(s.wrong, 0);
    for (int n = 0; n < 4; n++)
        wrong(&s, clock_s);
    assert_int_equal(s.locked_until_s, 0); /* it starts anew */
}

static void what_is_no_code_is_wrong(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "05047", "0504711", "05047a", " 050471", "٠٥٠٤٧١"};
    for (size_t n = 0; n < sizeof texts / sizeof *texts; n++) {
        struct totp_state s = {0};
        assert_false(totp_code_valid(texts[n]));
        assert_int_equal(totp_judge(&s, secret, texts[n], 1111111111, 0), TOTP_WRONG);
    }
}

/* Every code of a day by another implementation, where it is installed. */
static void oathtool_says_the_same(void **state)
{
    (void)state;
    FILE *f = popen("oathtool --totp --now '2026-11-24 12:00:00 UTC' --window 199 3132333435363738393031323334353637383930 2>/dev/null", "r");
    char line[64];
    uint64_t step = totp_step(1795521600);
    unsigned count = 0;
    while (f && fgets(line, sizeof line, f)) {
        char code[TOTP_DIGITS + 1];
        line[strcspn(line, "\n")] = '\0';
        totp_code(secret, step++, code);
        assert_string_equal(line, code);
        count++;
    }
    if (f)
        pclose(f);
    if (!count)
        skip();
    assert_int_equal(count, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(six_times_have_their_six_codes),
        cmocka_unit_test(a_step_more_or_less_counts_and_two_do_not),
        cmocka_unit_test(a_code_serves_once_and_none_before_it_after),
        cmocka_unit_test(five_wrong_codes_lock_and_each_further_one_twice_as_long),
        cmocka_unit_test(what_is_no_code_is_wrong),
        cmocka_unit_test(oathtool_says_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
