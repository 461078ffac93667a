/* SPDX-License-Identifier: GPL-3.0-or-later
 * Frames: the bytes of encryption.md §11, and every way in which a frame may be wrong. */
#include "pipeline/frame.h"
#include "util/text.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char vector_text[] = "hello, holdfs\n";
static const char vector_hex[] = "484652310100010000000000000000070000000e0000000e4041424344454647868b0517605ea858baa23"
                                 "4f8153d34a70f449a0725a8b70ed7708b9c4746";

static uint8_t key_bytes[32];
static struct frame_key key;

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < 32; i++)
        key_bytes[i] = (uint8_t)(0x70 + i);
    key = (struct frame_key){.key = key_bytes, .serial = 1};
    for (int i = 0; i < 16; i++)
        key.id[i] = (uint8_t)(0x40 + i);
    return 0;
}

static const struct frame_expect vector_expect = {.number = 7, .plain_bytes = 14, .cipher_bytes = 14};
enum { VECTOR_BYTES = 14 + FRAME_OVERHEAD_BYTES };

static void vector_frame(uint8_t out[VECTOR_BYTES])
{
    assert_int_equal(strlen(vector_hex), 2 * VECTOR_BYTES);
    assert_int_equal(hex_parse(vector_hex, strlen(vector_hex), out), 0);
}

static void seals_the_vector_byte_for_byte(void **state)
{
    (void)state;
    uint8_t want[VECTOR_BYTES], got[VECTOR_BYTES];
    vector_frame(want);
    assert_int_equal(frame_seal(&key, 7, FRAME_COMPRESSION_NONE, vector_text, 14, got), VECTOR_BYTES);
    assert_memory_equal(got, want, VECTOR_BYTES);
    /* Too short to be worth compressing: the same frame. */
    assert_int_equal(frame_seal(&key, 7, FRAME_COMPRESSION_ZSTD, vector_text, 14, got), VECTOR_BYTES);
    assert_memory_equal(got, want, VECTOR_BYTES);
}

static void opens_the_vector(void **state)
{
    (void)state;
    uint8_t frame[VECTOR_BYTES], plain[14];
    vector_frame(frame);
    assert_int_equal(frame_open(&key, &vector_expect, frame, VECTOR_BYTES, plain), 0);
    assert_memory_equal(plain, vector_text, 14);
}

static void assert_refused(const struct frame_expect *expect, const uint8_t *frame, size_t frame_bytes)
{
    static const uint8_t zeros[14];
    uint8_t plain[14];
    memset(plain, 0xaa, sizeof plain);
    assert_int_equal(frame_open(&key, expect, frame, frame_bytes, plain), -EBADMSG);
    assert_memory_equal(plain, zeros, expect->plain_bytes < 14 ? expect->plain_bytes : 14);
}

static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    uint8_t frame[VECTOR_BYTES];
    for (int bit = 0; bit < VECTOR_BYTES * 8; bit++) {
        vector_frame(frame);
        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_refused(&vector_expect, frame, VECTOR_BYTES);
    }
}

static void what_the_extent_says_must_match(void **state)
{
    (void)state;
    uint8_t frame[VECTOR_BYTES];
    vector_frame(frame);
    struct frame_expect e = vector_expect;
    e.number = 8;
    assert_refused(&e, frame, VECTOR_BYTES);
    e = vector_expect;
    e.plain_bytes = 13;
    assert_refused(&e, frame, VECTOR_BYTES);
    e = vector_expect;
    e.cipher_bytes = 13;
    assert_refused(&e, frame, VECTOR_BYTES);
    for (size_t n = 0; n < VECTOR_BYTES; n++)
        assert_refused(&vector_expect, frame, n);
    struct frame_key other = key;
    other.id[0] ^= 1;
    uint8_t plain[14];
    assert_int_equal(frame_open(&other, &vector_expect, frame, VECTOR_BYTES, plain), -EBADMSG);
}

static void another_key_of_the_same_name_is_refused(void **state)
{
    (void)state;
    uint8_t frame[VECTOR_BYTES], plain[14], other_bytes[32] = {1};
    vector_frame(frame);
    struct frame_key other = key;
    other.key = other_bytes;
    other.serial = 2;
    assert_int_equal(frame_open(&other, &vector_expect, frame, VECTOR_BYTES, plain), -EBADMSG);
    assert_int_equal(frame_open(&key, &vector_expect, frame, VECTOR_BYTES, plain), 0);
}

static void header_reader_takes_only_what_version_1_writes(void **state)
{
    (void)state;
    uint8_t frame[VECTOR_BYTES];
    struct frame_header h;
    vector_frame(frame);
    assert_int_equal(frame_header_read(frame, VECTOR_BYTES, &h), 0);
    assert_int_equal(h.number, 7);
    assert_int_equal(h.plain_bytes, 14);
    assert_int_equal(h.cipher_bytes, 14);
    assert_true(h.dek_prefix == 0x4041424344454647u);
    static const struct {
        int at;
        uint8_t value;
    } bad[] = {{0, 'h'}, {4, 2}, {5, 1}, {6, 0}, {6, 2}, {7, 2}, {8, 1}, {11, 1}, {16, 1}, {17, 2}, {20, 1}, {23, 15}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        vector_frame(frame);
        frame[bad[i].at] = bad[i].value;
        assert_int_equal(frame_header_read(frame, VECTOR_BYTES, &h), -EBADMSG);
    }
    vector_frame(frame);
    assert_int_equal(frame_header_read(frame, FRAME_HEADER_BYTES - 1, &h), -EBADMSG);
}

static void compression_is_kept_only_where_it_shortens(void **state)
{
    (void)state;
    static uint8_t plain[FRAME_PLAIN_MAX_BYTES], back[FRAME_PLAIN_MAX_BYTES],
        frame[FRAME_PLAIN_MAX_BYTES + FRAME_OVERHEAD_BYTES];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    int64_t n = frame_seal(&key, 1, FRAME_COMPRESSION_ZSTD, plain, sizeof plain, frame);
    assert_int_equal(n, (int64_t)sizeof frame);
    assert_int_equal(frame[7], FRAME_COMPRESSION_NONE);
    memset(plain, 'x', sizeof plain);
    n = frame_seal(&key, 2, FRAME_COMPRESSION_ZSTD, plain, sizeof plain, frame);
    assert_true(n < 1000);
    assert_int_equal(frame[7], FRAME_COMPRESSION_ZSTD);
    struct frame_expect e = {2, sizeof plain, (uint32_t)n - FRAME_OVERHEAD_BYTES};
    assert_int_equal(frame_open(&key, &e, frame, (size_t)n, back), 0);
    assert_memory_equal(back, plain, sizeof plain);
}

static void every_length_comes_back(void **state)
{
    (void)state;
    static uint8_t plain[FRAME_PLAIN_MAX_BYTES], back[FRAME_PLAIN_MAX_BYTES],
        frame[FRAME_PLAIN_MAX_BYTES + FRAME_OVERHEAD_BYTES];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * i >> 7);
    for (size_t len = 1; len <= sizeof plain; len += len < 300 ? 1 : 4093) {
        for (int method = FRAME_COMPRESSION_NONE; method <= FRAME_COMPRESSION_ZSTD; method++) {
            int64_t n = frame_seal(&key, len, (enum frame_compression)method, plain, len, frame);
            assert_true(n > 0 && (size_t)n <= frame_bound(len));
            struct frame_expect e = {len, (uint32_t)len, (uint32_t)n - FRAME_OVERHEAD_BYTES};
            assert_int_equal(frame_open(&key, &e, frame, (size_t)n, back), 0);
            assert_memory_equal(back, plain, len);
        }
    }
}

static void more_keys_than_a_thread_holds(void **state)
{
    (void)state;
    enum { KEYS = 11 };
    uint8_t bytes[KEYS][32], frames[KEYS][VECTOR_BYTES], plain[14];
    struct frame_key keys[KEYS];
    for (int i = 0; i < KEYS; i++) {
        memset(bytes[i], i + 1, 32);
        keys[i] = key;
        keys[i].key = bytes[i];
        keys[i].serial = 100 + (uint64_t)i;
        assert_int_equal(frame_seal(&keys[i], 7, FRAME_COMPRESSION_NONE, vector_text, 14, frames[i]), VECTOR_BYTES);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < KEYS; i++) {
            assert_int_equal(frame_open(&keys[i], &vector_expect, frames[i], VECTOR_BYTES, plain), 0);
            assert_int_equal(frame_open(&keys[(i + 1) % KEYS], &vector_expect, frames[i], VECTOR_BYTES, plain),
                             -EBADMSG);
        }
    }
    for (int i = 0; i < KEYS; i++)
        frame_key_forget(&keys[i]);
    assert_int_equal(frame_open(&keys[3], &vector_expect, frames[3], VECTOR_BYTES, plain), 0);
}

static void *seal_and_open(void *arg)
{
    const struct frame_key *k = arg;
    uint8_t frame[VECTOR_BYTES], plain[14];
    for (uint64_t n = 0; n < 2000; n++) {
        struct frame_expect e = {n, 14, 14};
        if (frame_seal(k, n, FRAME_COMPRESSION_NONE, vector_text, 14, frame) != VECTOR_BYTES ||
            frame_open(k, &e, frame, VECTOR_BYTES, plain) != 0)
            return arg;
    }
    return NULL;
}

static void a_key_may_be_forgotten_while_others_are_used(void **state)
{
    (void)state;
    pthread_t threads[4];
    struct frame_key keys[4];
    for (int i = 0; i < 4; i++) {
        keys[i] = key;
        keys[i].serial = 200 + (uint64_t)i;
        assert_int_equal(pthread_create(&threads[i], NULL, seal_and_open, &keys[i]), 0);
    }
    for (int i = 0; i < 1000; i++) {
        struct frame_key gone = {.serial = 201};
        frame_key_forget(&gone);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seals_the_vector_byte_for_byte),
        cmocka_unit_test(opens_the_vector),
        cmocka_unit_test(any_flipped_bit_is_refused),
        cmocka_unit_test(what_the_extent_says_must_match),
        cmocka_unit_test(another_key_of_the_same_name_is_refused),
        cmocka_unit_test(header_reader_takes_only_what_version_1_writes),
        cmocka_unit_test(compression_is_kept_only_where_it_shortens),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(more_keys_than_a_thread_holds),
        cmocka_unit_test(a_key_may_be_forgotten_while_others_are_used),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
