/* SPDX-License-Identifier: GPL-3.0-or-later
 * S3's checksums against the known answers of s3-api.md §2.3, whole, in pieces and joined. */
#include "unit.h"
#include "util/checksum.h"

static void sum(enum checksum_kind kind, const void *bytes, size_t len, size_t piece, uint8_t out[CHECKSUM_MAX_BYTES])
{
    struct checksum c;
    assert_int_equal(checksum_begin(&c, kind), 0);
    for (size_t at = 0; at < len; at += piece)
        checksum_add(&c, (const uint8_t *)bytes + at, piece < len - at ? piece : len - at);
    checksum_end(&c, out);
    checksum_done(&c);
}

static void assert_sum(enum checksum_kind kind, const char *text, const char *wanted)
{
    for (size_t piece = 1; piece <= 9; piece++) {
        uint8_t out[CHECKSUM_MAX_BYTES];
        char got[CHECKSUM_TEXT_BYTES];
        sum(kind, text, strlen(text), piece, out);
        base64_format(out, checksum_bytes(kind), got);
        assert_string_equal(got, wanted);
    }
}

static void known_answers_hold_in_any_pieces(void **state)
{
    (void)state;
    assert_sum(CHECKSUM_CRC32, "123456789", "y/Q5Jg==");
    assert_sum(CHECKSUM_CRC32C, "123456789", "4waSgw==");
    assert_sum(CHECKSUM_CRC64NVME, "123456789", "rosUhgp5mIg=");
    assert_sum(CHECKSUM_SHA1, "abc", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
    assert_sum(CHECKSUM_MD5, "hello\n", "sZRqySSS0jR8YjW00mERhA==");
    uint8_t a[1024], out[CHECKSUM_MAX_BYTES];
    char text[CHECKSUM_TEXT_BYTES];
    memset(a, 'A', sizeof a);
    sum(CHECKSUM_CRC64NVME, a, sizeof a, 1000, out);
    base64_format(out, 8, text);
    assert_string_equal(text, "Qeh8oXvGiSo=");
    sum(CHECKSUM_SHA256, a, sizeof a, 1000, out);
    base64_format(out, 32, text);
    assert_string_equal(text, "arcu6553sHVAiX4MjW0j7I7vD4w6R+Gz9Ok0Q9lTa+0=");
}

static void crcs_of_pieces_join_to_that_of_the_whole(void **state)
{
    (void)state;
    uint8_t data[70000];
    for (size_t n = 0; n < sizeof data; n++)
        data[n] = (uint8_t)(n * 31 + n / 256);
    for (enum checksum_kind kind = CHECKSUM_CRC32; kind <= CHECKSUM_CRC64NVME; kind++) {
        uint8_t whole[CHECKSUM_MAX_BYTES];
        sum(kind, data, sizeof data, sizeof data, whole);
        const size_t cuts[] = {0, 1, 8, 4096, 65537, sizeof data};
        for (size_t n = 0; n < sizeof cuts / sizeof *cuts; n++) {
            uint8_t a[CHECKSUM_MAX_BYTES], b[CHECKSUM_MAX_BYTES];
            sum(kind, data, cuts[n], 7777, a);
            sum(kind, data + cuts[n], sizeof data - cuts[n], 7777, b);
            checksum_combine(kind, a, b, sizeof data - cuts[n]);
            assert_memory_equal(a, whole, checksum_bytes(kind));
        }
    }
}

static void algorithms_go_by_their_names_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(checksum_find("crc64nvme", 9), CHECKSUM_CRC64NVME);
    assert_int_equal(checksum_find("SHA256", 6), CHECKSUM_SHA256);
    assert_int_equal(checksum_find("SHA25", 5), CHECKSUM_NONE);
    assert_int_equal(checksum_find("MD5", 3), CHECKSUM_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers_hold_in_any_pieces),
        cmocka_unit_test(crcs_of_pieces_join_to_that_of_the_whole),
        cmocka_unit_test(algorithms_go_by_their_names_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
