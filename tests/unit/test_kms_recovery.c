/* SPDX-License-Identifier: GPL-3.0-or-later
 * The recovery code as people copy it (encryption.md §1.1, case 2). */
#include "unit.h"

#include "kms/kms.h"
#include "util/xaes.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

static void reading_forgives_case_spaces_and_look_alikes(void **state)
{
    (void)state;
    uint8_t secret[32], parsed[32];
    char code[66], sloppy[140];
    for (int round = 0; round < 50; round++) {
        random_bytes(secret, sizeof secret);
        recovery_code_format(secret, code);
        assert_int_equal(strlen(code), 65);
        char *out = sloppy;
        for (const char *c = code; *c; c++) {
            *out++ = *c == '0'   ? 'o'
                     : *c == '1' ? (round % 2 ? 'l' : 'I')
                     : *c == '-' ? ' '
                                 : (char)tolower(*c);
            if (round % 3 == 0)
                *out++ = '-';
        }
        *out++ = '\n';
        *out = '\0';
        assert_int_equal(recovery_code_parse(sloppy, parsed, NULL), 0);
        assert_memory_equal(parsed, secret, 32);
    }
}

static void is_mistyped(const char *text)
{
    uint8_t out[32];
    struct reason why = {0};
    assert_int_equal(recovery_code_parse(text, out, &why), -EINVAL);
    assert_non_null(strstr(why.text, "mistyped"));
}

static void one_wrong_letter_is_mistyped(void **state)
{
    (void)state;
    uint8_t secret[32];
    char code[66];
    count_up(secret, 32, 0x80);
    recovery_code_format(secret, code);
    unsigned passed = 0;
    for (size_t i = 0; i < 65; i++) {
        char was = code[i];
        if (was == '-')
            continue;
        uint8_t out[32];
        code[i] = was == 'X' ? 'Y' : 'X';
        passed += recovery_code_parse(code, out, NULL) == 0;
        code[i] = was;
    }
    assert_int_equal(passed, 0); /* for this code; in general one in 65536 */
}

static void wrong_lengths_and_letters_are_mistyped(void **state)
{
    (void)state;
    is_mistyped("");
    is_mistyped("G20R5");
    is_mistyped("G20R5-0W4GP-38F24-9HA5R-S3CEH-Y8934-MKJJA-SD5WR-K6D9Q-74XKT-FTGD");
    is_mistyped("G20R5-0W4GP-38F24-9HA5R-S3CEH-Y8934-MKJJA-SD5WR-K6D9Q-74XKT-FTGD88");
    is_mistyped("U20R5-0W4GP-38F24-9HA5R-S3CEH-Y8934-MKJJA-SD5WR-K6D9Q-74XKT-FTGD8");
    is_mistyped("G20R5_0W4GP-38F24-9HA5R-S3CEH-Y8934-MKJJA-SD5WR-K6D9Q-74XKT-FTGD8");
    is_mistyped("G20R5-0W4GP-38F24-9HA5R-S3CEH-Y8934-MKJJA-SD5WR-K6D9Q-74XKT-FTGD9"); /* the zero bits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_forgives_case_spaces_and_look_alikes),
        cmocka_unit_test(one_wrong_letter_is_mistyped),
        cmocka_unit_test(wrong_lengths_and_letters_are_mistyped),
    };
    return cmocka_run_group_tests_name("kms/recovery", tests, NULL, NULL);
}
