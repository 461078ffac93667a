/* SPDX-License-Identifier: GPL-3.0-or-later
 * Codecs against the examples of their RFCs, and what a strict reader refuses. */
#include "unit.h"

#include <errno.h>

static void hex_goes_both_ways(void **state)
{
    (void)state;
    uint8_t out[3];
    char text[7];
    assert_int_equal(hex_parse("00fFa5", 6, out), 0);
    hex_format(out, 3, text);
    assert_string_equal(text, "00ffa5");
    assert_int_equal(hex_parse("00f", 3, out), -EINVAL);
    assert_int_equal(hex_parse("0g", 2, out), -EINVAL);
    assert_int_equal(hex_parse("0 ", 2, out), -EINVAL);
    assert_int_equal(hex_parse("\x11\x12", 2, out), -EINVAL); /* not taken for digits */
}

static void base32_is_rfc_4648_in_lower_case(void **state)
{
    (void)state;
    static const char *const coded[] = {"", "my", "mzxq", "mzxw6", "mzxw6yq", "mzxw6ytb", "mzxw6ytboi"};
    for (size_t len = 0; len <= 6; len++) {
        char text[17];
        uint8_t out[6];
        base32_format("foobar", len, text);
        assert_string_equal(text, coded[len]);
        assert_int_equal(base32_parse(text, strlen(text), out, len), 0);
        assert_memory_equal(out, "foobar", len);
    }
}

static void base32_has_one_text_for_a_value(void **state)
{
    (void)state;
    uint8_t out[20];
    assert_int_equal(base32_parse("mz", 2, out, 1), -EINVAL); /* bits below the byte are set */
    assert_int_equal(base32_parse("MY", 2, out, 1), -EINVAL);
    assert_int_equal(base32_parse("m1", 2, out, 1), -EINVAL);
    assert_int_equal(base32_parse("my======", 8, out, 1), -EINVAL);
    assert_int_equal(base32_parse("mya", 3, out, 1), -EINVAL);
    assert_int_equal(base32_parse("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 31, out, 20), -EINVAL);
    assert_int_equal(base32_parse("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32, out, 20), 0);
}

static void crockford_takes_what_people_write(void **state)
{
    (void)state;
    const uint8_t value[3] = {0x00, 0x44, 0x32};
    uint8_t out[3];
    char text[6];
    crockford_format(value, 24, text);
    assert_string_equal(text, "01234");
    assert_int_equal(crockford_parse("oI23", 4, out, 20), 0);
    assert_memory_equal(out, "\x00\x44\x30", 3);
    assert_int_equal(crockford_parse("0l234", 5, out, 24), 0);
    assert_memory_equal(out, value, 3);
    assert_int_equal(crockford_parse("0U23", 4, out, 20), -EINVAL);
    assert_int_equal(crockford_parse("0-23", 4, out, 20), -EINVAL);
    assert_int_equal(crockford_parse("0\0"
                                     "23",
                                     4, out, 20),
                     -EINVAL);
}

static void base64_is_rfc_4648(void **state)
{
    (void)state;
    static const char *const coded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t len = 0; len <= 6; len++) {
        char text[9];
        uint8_t out[6];
        size_t got;
        base64_format("foobar", len, text);
        assert_string_equal(text, coded[len]);
        assert_int_equal(base64_parse(text, strlen(text), out, sizeof out, &got), 0);
        assert_int_equal(got, len);
        assert_memory_equal(out, "foobar", len);
    }
}

static void base64_is_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {"Zg",     "Zg=",  "Zh==", "Zm9=", "Z===",     "====",    "Zm 8=",
                                      "Zm9v\n", "Z-8=", "Zg=A", "=g==", "Zg==Zg==", "Zm8=Zm9v"};
    uint8_t out[8];
    size_t got;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(base64_parse(bad[i], strlen(bad[i]), out, sizeof out, &got), -EINVAL);
    assert_int_equal(base64_parse("Zm9vYmFy", 8, out, 5, &got), -ERANGE);
    assert_int_equal(base64_parse("Zm9vYmFy", 8, out, 6, &got), 0);
}

static void uuids_go_both_ways(void **state)
{
    (void)state;
    uint8_t id[16], again[16];
    char text[37];
    count_up(id, 16, 0xa0);
    uuid_format(id, text);
    assert_string_equal(text, "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
    assert_int_equal(uuid_parse("A0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeAF", again), 0);
    assert_memory_equal(id, again, 16);
    assert_int_equal(uuid_parse("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", again), -EINVAL);
    assert_int_equal(uuid_parse("a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaea", again), -EINVAL);
    assert_int_equal(uuid_parse("a0a1a2a3-a4a5-a6a7-a8a9+aaabacadaeaf", again), -EINVAL);
    uuid_random(id);
    uuid_random(again);
    assert_memory_not_equal(id, again, 16);
    assert_int_equal(id[6] >> 4, 4);
    assert_int_equal(id[8] >> 6, 2);
}

#define VALID(s)   assert_true(utf8_valid(s, sizeof(s) - 1))
#define INVALID(s) assert_false(utf8_valid(s, sizeof(s) - 1))

static void utf8_is_unicodes(void **state)
{
    (void)state;
    VALID("");
    VALID("a\0b\x7f");
    VALID("\xc2\x80\xdf\xbf");
    VALID("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf");
    VALID("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    INVALID("\x80");
    INVALID("\xc0\x80"); /* overlong */
    INVALID("\xc1\xbf");
    INVALID("\xe0\x9f\xbf");
    INVALID("\xf0\x8f\xbf\xbf");
    INVALID("\xed\xa0\x80"); /* a surrogate */
    INVALID("\xed\xbf\xbf");
    INVALID("\xf4\x90\x80\x80"); /* beyond U+10FFFF */
    INVALID("\xf5\x80\x80\x80");
    INVALID("\xff");
    INVALID("a\xe2\x82"); /* cut */
    INVALID("\xe2\x82"
            "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(base32_is_rfc_4648_in_lower_case),
        cmocka_unit_test(base32_has_one_text_for_a_value),
        cmocka_unit_test(crockford_takes_what_people_write),
        cmocka_unit_test(base64_is_rfc_4648),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(uuids_go_both_ways),
        cmocka_unit_test(utf8_is_unicodes),
    };
    return cmocka_run_group_tests_name("util/text", tests, NULL, NULL);
}
