/* SPDX-License-Identifier: GPL-3.0-or-later
 * The packed form of extent maps: as documented, small, and refused where it is none. (That every map comes back is
 * part of test_pipeline_extmap.) */
#include "extmap_samples.h"

#include <errno.h>

static size_t packed_bytes(const struct extmap *m)
{
    struct bytes packed = {0};
    extmap_encode(m, &packed);
    size_t len = packed.len;
    bytes_done(&packed);
    return len;
}

static void a_large_file_packs_small(void **state)
{
    (void)state;
    struct extmap *m = written_in_order((uint64_t)1 << 30, 65536);
    size_t before = packed_bytes(m);
    print_message("1 GiB in order: %zu extents, %zu bytes packed\n", m->count, before);
    assert_true(m->count < 20 && before < 2048);
    struct extmap_dek d = some_dek(2);
    struct extent e = one_frame(123456789, 10, 5000, 0);
    e.segment = 18;
    e.dek = (uint32_t)extmap_dek_index(m, &d);
    assert_int_equal(extmap_put(m, &e), 0);
    print_message("10 bytes edited: %zu bytes more\n", packed_bytes(m) - before);
    assert_true(packed_bytes(m) - before < 200);
    extmap_unref(m);
}

static void compressed_neighbours_join_in_pairs_at_least(void **state)
{
    (void)state;
    struct extmap *m = extmap_new();
    struct extmap_dek d = some_dek(1);
    uint64_t place = 0;
    extmap_dek_index(m, &d);
    for (uint32_t i = 0; i < 16384; i++) {
        struct extent e = one_frame((uint64_t)i << 16, 65536, place, i);
        e.cipher_bytes = e.last_cipher_bytes = 20000 + i * 7919 % 20000;
        place += e.cipher_bytes + FRAME_OVERHEAD_BYTES;
        assert_int_equal(extmap_put(m, &e), 0);
    }
    print_message("1 GiB compressed: %zu extents, %zu bytes packed\n", m->count, packed_bytes(m));
    assert_true(m->count <= 8192 && packed_bytes(m) < 50 << 10);
    extmap_unref(m);
}

/* The example of doc/on-disk-format.md, "Extents". */
static void the_packed_form_is_as_documented(void **state)
{
    (void)state;
    static const char want[] =
        "01c0b80301"
        "404142434445464748494a4b4c4d4e4f303132333435363738393a3b3c3d3e3f00000001"
        "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7"
        "58039e1442c1262068f06a862010c9c7a56f72c205eec31edb694b31c5f27d8bd62e50af9c10447db152c7dba9de6343"
        "04"
        "460000c03e00808001009c7f"
        "060002a0010c0a"
        "760001c03e0f80800101987800006e00"
        "0bd8300000d0200c2c78";
    struct extmap *m = extmap_new();
    struct extmap_dek d = {.kek_version = 1};
    assert_int_equal(hex_parse(want + 10, 32, d.id), 0);
    assert_int_equal(hex_parse(want + 42, 32, d.kek_id), 0);
    assert_int_equal(hex_parse(want + 82, 144, d.wrapped), 0);
    assert_int_equal(extmap_dek_index(m, &d), 0);
    struct extent file = one_frame(0, 16384, 4000, 0), packed = one_frame(40000, 16384, 40000, 9);
    struct extent edit = one_frame(100, 10, 80, 7);
    file.frames = 3;
    file.last_plain_bytes = file.last_cipher_bytes = 1000;
    file.length_bytes = 2 * 16384 + 1000;
    packed.cipher_bytes = packed.last_cipher_bytes = 5000;
    edit.segment = 2;
    assert_int_equal(extmap_put(m, &file), 0);
    assert_int_equal(extmap_put(m, &packed), 0);
    assert_int_equal(extmap_put(m, &edit), 0);
    struct bytes got = {0};
    char text[sizeof want];
    extmap_encode(m, &got);
    assert_int_equal(got.len, strlen(want) / 2);
    hex_format(got.data, got.len, text);
    assert_string_equal(text, want);
    bytes_done(&got);
    extmap_unref(m);
}

/* --- packed forms that are none --------------------------------------------------------------------------- */

/* A map that uses every part of the format. */
static void packed_sample(struct bytes *out)
{
    struct extmap *m = extmap_new();
    for (uint32_t i = 0; i < 60; i++) {
        struct extmap_dek d = some_dek((uint8_t)random_below(3));
        struct extent e = one_frame(random_below(100000), 1 + (uint32_t)random_below(5000), random_below(1 << 26), i);
        e.dek = (uint32_t)extmap_dek_index(m, &d);
        e.segment = (uint32_t)random_below(4);
        if (random_below(2))
            e.cipher_bytes = e.last_cipher_bytes = 1 + (uint32_t)random_below(e.plain_bytes);
        if (random_below(2)) {
            e.frames = 2 + (uint32_t)random_below(3);
            e.last_plain_bytes = 1 + (uint32_t)random_below(e.plain_bytes);
            e.last_cipher_bytes = 1 + (uint32_t)random_below(e.last_plain_bytes);
            e.length_bytes = extent_run_plain(&e);
        }
        assert_int_equal(extmap_put(m, &e), 0);
    }
    assert_int_equal(extmap_resize(m, m->size_bytes + 100), 0);
    extmap_encode(m, out);
    extmap_unref(m);
}

static void every_truncation_is_ebadmsg(void **state)
{
    (void)state;
    struct bytes packed = {0};
    struct extmap *m;
    packed_sample(&packed);
    for (size_t len = 0; len < packed.len; len++) {
        uint8_t *copy = malloc(len ? len : 1); /* of its own, so that a sanitizer sees reads beyond */
        memcpy(copy, packed.data, len);
        assert_int_equal(extmap_decode(copy, len, &m), -EBADMSG);
        free(copy);
    }
    bytes_put_u8(&packed, 0);
    assert_int_equal(extmap_decode(packed.data, packed.len, &m), -EBADMSG);
    bytes_done(&packed);
}

static void corruption_is_refused_or_gives_a_sound_map(void **state)
{
    (void)state;
    struct bytes packed = {0};
    packed_sample(&packed);
    int taken = 0;
    for (int round = 0; round < 50000; round++) {
        uint8_t *copy = malloc(packed.len);
        memcpy(copy, packed.data, packed.len);
        for (uint64_t flips = 1 + random_below(3); flips; flips--)
            copy[random_below(packed.len)] ^= (uint8_t)(1 << random_below(8));
        struct extmap *m;
        int r = extmap_decode(copy, packed.len, &m);
        assert_true(r == 0 || r == -EBADMSG);
        if (r == 0) {
            struct bytes again = {0};
            extmap_encode(m, &again);
            assert_int_equal(again.len, packed.len);
            assert_memory_equal(again.data, copy, packed.len);
            uint64_t end = 0;
            struct extmap_cursor walk = {0};
            for (const struct extent *e; (e = extmap_next(m, &walk)); end = extent_end(e))
                assert_true(e->dek < m->dek_count && end <= e->offset_bytes && extent_end(e) <= m->size_bytes);
            bytes_done(&again);
            extmap_unref(m);
            taken++;
        }
        free(copy);
    }
    assert_true(taken > 0); /* flipped ids and offsets, which only the page's own tag can find */
    bytes_done(&packed);
}

static void a_detour_is_refused(void **state)
{
    (void)state;
    static const uint8_t empty[] = {1, 0, 0, 0}, overlong[] = {1, 0x80, 0, 0, 0}, format[] = {2, 0, 0, 0};
    struct extmap *m;
    assert_int_equal(extmap_decode(empty, sizeof empty, &m), 0);
    assert_int_equal(m->size_bytes, 0);
    extmap_unref(m);
    assert_int_equal(extmap_decode(overlong, sizeof overlong, &m), -EBADMSG);
    assert_int_equal(extmap_decode(format, sizeof format, &m), -EBADMSG);
    assert_int_equal(extmap_decode("", 0, &m), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_file_packs_small),
        cmocka_unit_test(compressed_neighbours_join_in_pairs_at_least),
        cmocka_unit_test(the_packed_form_is_as_documented),
        cmocka_unit_test(every_truncation_is_ebadmsg),
        cmocka_unit_test(corruption_is_refused_or_gives_a_sound_map),
        cmocka_unit_test(a_detour_is_refused),
    };
    return cmocka_run_group_tests(tests, seed_from_clock, NULL);
}
