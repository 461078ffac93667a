/* SPDX-License-Identifier: GPL-3.0-or-later
 * Extent maps against a model: an array that says, for each byte of a file, which byte of which frame it is. */
#include "extmap_samples.h"

#include <errno.h>
#include <string.h>

/* --- the model -------------------------------------------------------------------------------------------- */

enum { MODEL_BYTES = 40000, DEKS = 3 };

/* One byte of a file: byte `at` of frame (dek, number), or nothing. Deks are named by the first byte of their id. */
struct model_byte {
    uint8_t dek; /* 0: hole */
    uint32_t number, at;
};

struct model {
    struct extmap *map;
    struct model_byte bytes[MODEL_BYTES];
    uint64_t size;
};

/* Frames that were handed out; what is where in the segment, by dek and number. */
struct frame_made {
    uint32_t segment, plain, cipher;
    uint64_t place;
};
static struct frame_made made[DEKS + 1][400000];
static uint32_t next_number[DEKS + 1];
static uint64_t next_place;

static struct model *model_new(void)
{
    struct model *m = calloc(1, sizeof *m);
    m->map = extmap_new();
    return m;
}

static void model_free(struct model *m)
{
    extmap_unref(m->map);
    free(m);
}

static void forget_frames(void)
{
    memset(next_number, 0, sizeof next_number);
    next_place = 0;
}

/* Each piece of the map is what the model says, byte for byte; and the map is in order. */
static void assert_matches(const struct model *m)
{
    const struct extmap *map = m->map;
    uint64_t at = 0, data = 0;
    struct extmap_piece f;
    assert_int_equal(map->size_bytes, m->size);
    uint64_t end = 0;
    size_t count = 0;
    struct extmap_cursor walk = {0};
    for (const struct extent *e; (e = extmap_next(map, &walk)); count++) {
        assert_true(e->length_bytes > 0 && e->frames > 0 && extent_end(e) <= map->size_bytes);
        assert_true(end <= e->offset_bytes);
        end = extent_end(e);
        assert_true(e->skip_bytes < (e->frames > 1 ? e->plain_bytes : e->last_plain_bytes));
        assert_true(e->skip_bytes + e->length_bytes <= extent_run_plain(e));
        assert_true(e->skip_bytes + e->length_bytes > (uint64_t)(e->frames - 1) * e->plain_bytes);
        data += e->length_bytes;
    }
    assert_int_equal(extmap_data_bytes(map), data);
    assert_int_equal(map->count, count);
    while (extmap_at(map, at, 1 + random_below(5000), &f)) {
        assert_int_equal(f.file_offset, at);
        assert_true(f.length > 0 && at + f.length <= m->size);
        for (uint64_t i = 0; i < f.length; i++) {
            const struct model_byte *b = &m->bytes[at + i];
            if (f.hole) {
                assert_int_equal(b->dek, 0);
                continue;
            }
            assert_int_equal(b->dek, map->deks[f.dek].id[0]);
            assert_int_equal(b->number, f.number);
            assert_int_equal(b->at, f.skip_bytes + i);
        }
        if (!f.hole) {
            const struct frame_made *frame = &made[map->deks[f.dek].id[0]][f.number];
            assert_int_equal(f.segment, frame->segment);
            assert_int_equal(f.place_bytes, frame->place);
            assert_int_equal(f.plain_bytes, frame->plain);
            assert_int_equal(f.cipher_bytes, frame->cipher);
        }
        at += f.length;
    }
    assert_int_equal(at, m->size);
}

/* lseek(2) on the model. */
static uint64_t model_seek(const struct model *m, uint64_t at, bool data)
{
    while (at < m->size && (m->bytes[at].dek != 0) != data)
        at++;
    return at;
}

static void assert_seeks(const struct model *m)
{
    uint64_t at = random_below(MODEL_BYTES), got;
    if (at >= m->size) {
        assert_int_equal(extmap_seek_data(m->map, at, &got), -ENXIO);
        assert_int_equal(extmap_seek_hole(m->map, at, &got), -ENXIO);
        return;
    }
    uint64_t want = model_seek(m, at, true);
    assert_int_equal(extmap_seek_data(m->map, at, &got), want < m->size ? 0 : -ENXIO);
    if (want < m->size)
        assert_int_equal(got, want);
    assert_int_equal(extmap_seek_hole(m->map, at, &got), 0);
    assert_int_equal(got, model_seek(m, at, false));
}

static void model_round_trip(struct model *m)
{
    struct bytes packed = {0};
    struct extmap *back;
    extmap_encode(m->map, &packed);
    assert_int_equal(extmap_decode(packed.data, packed.len, &back), 0);
    bytes_put(&back->inline_data, m->map->inline_data.data, m->map->inline_data.len);
    extmap_unref(m->map);
    m->map = back;
    bytes_done(&packed);
}

/* --- changes, on both ------------------------------------------------------------------------------------- */

static void frame_make(uint8_t dek, uint32_t segment, uint32_t plain, uint32_t cipher)
{
    uint32_t number = next_number[dek]++;
    assert_true(number < sizeof made[0] / sizeof made[0][0]);
    made[dek][number] = (struct frame_made){segment, plain, cipher, next_place};
    next_place += cipher + FRAME_OVERHEAD_BYTES;
}

/* Puts a run of new frames; sometimes it continues the place where the last one ended, sometimes not. */
static void change_put(struct model *m)
{
    static const uint32_t shapes[] = {100, 1000, 4096, 7};
    uint8_t dek = (uint8_t)(1 + random_below(DEKS));
    struct extmap_dek d = some_dek(dek);
    uint32_t plain = shapes[random_below(4)], frames = 1 + (uint32_t)random_below(6);
    uint32_t cipher = random_below(2) ? plain : 1 + (uint32_t)random_below(plain);
    uint32_t last = random_below(2) ? plain : 1 + (uint32_t)random_below(plain);
    uint32_t last_cipher = last == plain && random_below(2) ? cipher : last < cipher ? last : cipher;
    if (frames == 1) {
        plain = last;
        cipher = last_cipher;
    }
    struct extent e = {
        .length_bytes = (uint64_t)(frames - 1) * plain + last, .dek = (uint32_t)extmap_dek_index(m->map, &d),
        .segment = 1 + (uint32_t)(next_place >> 22), .number = next_number[dek], .plain_bytes = plain,
        .cipher_bytes = cipher, .last_plain_bytes = last, .last_cipher_bytes = last_cipher, .frames = frames,
    };
    next_place += random_below(3) ? 0 : 11;
    e.place_bytes = next_place;
    uint64_t most = MODEL_BYTES - e.length_bytes;
    e.offset_bytes = random_below(3) && m->size < most ? m->size : random_below(most);
    for (uint32_t k = 0; k < frames; k++) {
        uint32_t n = k == frames - 1 ? last : plain;
        for (uint32_t i = 0; i < n; i++)
            m->bytes[e.offset_bytes + (uint64_t)k * plain + i] = (struct model_byte){dek, next_number[dek], i};
        frame_make(dek, e.segment, n, k == frames - 1 ? last_cipher : cipher);
    }
    assert_int_equal(extmap_put(m->map, &e), 0);
    if (extent_end(&e) > m->size)
        m->size = extent_end(&e);
}

static void change_punch(struct model *m)
{
    uint64_t at = random_below(MODEL_BYTES), len = random_below(6000);
    assert_int_equal(extmap_punch(m->map, at, len), 0);
    for (uint64_t i = at; i < at + len && i < MODEL_BYTES; i++)
        m->bytes[i] = (struct model_byte){0};
}

static void change_size(struct model *m)
{
    uint64_t size = random_below(MODEL_BYTES);
    assert_int_equal(extmap_resize(m->map, size), 0);
    for (uint64_t i = size; i < m->size; i++)
        m->bytes[i] = (struct model_byte){0};
    m->size = size;
}

static void change_share(struct model *dst, struct model *src)
{
    uint64_t from = random_below(MODEL_BYTES), to = random_below(MODEL_BYTES), len = random_below(20000);
    if (len > MODEL_BYTES - to)
        len = MODEL_BYTES - to;
    if (dst == src && to < from + len && from < to + len)
        return;
    assert_int_equal(extmap_share(dst->map, to, src->map, from, len), 0);
    if (from >= src->size)
        return;
    if (len > src->size - from)
        len = src->size - from;
    memmove(dst->bytes + to, src->bytes + from, len * sizeof dst->bytes[0]);
    if (len && to + len > dst->size)
        dst->size = to + len;
}

static void random_changes_match_the_model(void **state)
{
    (void)state;
    struct model *a = model_new(), *b = model_new();
    forget_frames();
    for (int round = 0; round < 6000; round++) {
        struct model *m = random_below(3) ? a : b;
        switch (random_below(8)) {
        case 0:
        case 1:
        case 2:
            change_put(m);
            break;
        case 3:
            change_punch(m);
            break;
        case 4:
            if (!random_below(4))
                change_size(m);
            break;
        case 5:
            change_share(m, m == a ? b : a);
            break;
        case 6:
            change_share(m, m);
            break;
        default:
            if (random_below(2))
                assert_int_equal(extmap_tidy(m->map), 0);
            model_round_trip(m);
        }
        assert_matches(m);
        assert_seeks(m);
    }
    model_free(a);
    model_free(b);
}

/* One frame of a few bytes at a multiple of 8, so that it rarely joins another. */
static void change_put_small(struct model *m)
{
    uint8_t dek = (uint8_t)(1 + random_below(DEKS));
    struct extmap_dek d = some_dek(dek);
    uint32_t plain = 1 + (uint32_t)random_below(7);
    struct extent e = {
        .offset_bytes = random_below(MODEL_BYTES / 8) * 8, .length_bytes = plain,
        .dek = (uint32_t)extmap_dek_index(m->map, &d), .segment = 1, .place_bytes = next_place,
        .number = next_number[dek], .plain_bytes = plain, .cipher_bytes = plain, .last_plain_bytes = plain,
        .last_cipher_bytes = plain, .frames = 1,
    };
    for (uint32_t i = 0; i < plain; i++)
        m->bytes[e.offset_bytes + i] = (struct model_byte){dek, next_number[dek], i};
    frame_make(dek, 1, plain, plain);
    assert_int_equal(extmap_put(m->map, &e), 0);
    if (extent_end(&e) > m->size)
        m->size = extent_end(&e);
}

static void a_map_of_many_chunks_matches_the_model(void **state)
{
    (void)state;
    struct model *a = model_new(), *b = model_new();
    forget_frames();
    size_t most = 0;
    for (int round = 0; round < 30000; round++) {
        change_put_small(random_below(8) ? a : b);
        most = a->map->count > most ? a->map->count : most;
        if (round % 200)
            continue;
        switch (random_below(6)) {
        case 0:
            change_punch(a);
            break;
        case 1:
            change_share(a, b);
            break;
        case 2:
            change_share(b, a);
            break;
        case 3:
            change_share(a, a);
            break;
        case 4:
            model_round_trip(a);
            break;
        default: {
            struct extmap *copy = extmap_copy(a->map);
            extmap_unref(a->map);
            a->map = copy;
        }
        }
        assert_matches(a);
        assert_matches(b);
        assert_seeks(a);
    }
    print_message("%zu extents at most\n", most);
    assert_true(most > 2000);
    model_free(a);
    model_free(b);
}

/* --- single rules ----------------------------------------------------------------------------------------- */

static void neighbours_join_again(void **state)
{
    (void)state;
    struct extmap *m = written_in_order(8 << 20, 65536), *copy = extmap_new();
    size_t count = m->count;
    for (uint64_t at = 0; at < 8 << 20; at += 5000)
        assert_int_equal(extmap_share(copy, at, m, at, 5000), 0);
    assert_int_equal(copy->count, count);
    assert_int_equal(copy->size_bytes, 8 << 20);
    struct extent e = one_frame(1000000, 300, 0, 7);
    assert_int_equal(extmap_put(copy, &e), 0);
    assert_int_equal(copy->count, count + 2);
    assert_int_equal(extmap_share(copy, 1000000, m, 1000000, 300), 0);
    assert_int_equal(copy->count, count);
    extmap_unref(m);
    extmap_unref(copy);
}

static void tidy_drops_what_nobody_names(void **state)
{
    (void)state;
    struct extmap *m = extmap_new();
    struct extmap_dek d[3] = {some_dek(1), some_dek(2), some_dek(3)};
    for (int i = 0; i < 3; i++)
        assert_int_equal(extmap_dek_index(m, &d[i]), i);
    assert_int_equal(extmap_dek_index(m, &d[1]), 1);
    uint8_t frames[3 * 58];
    for (size_t i = 0; i < sizeof frames; i++)
        frames[i] = (uint8_t)i;
    bytes_put(&m->inline_data, frames, sizeof frames);
    for (uint32_t i = 0; i < 3; i++) {
        struct extent e = one_frame(i * 10, 10, i * 58, 5);
        e.dek = i;
        e.segment = 0;
        assert_int_equal(extmap_put(m, &e), 0);
    }
    assert_int_equal(extmap_punch(m, 10, 10), 0);
    assert_int_equal(extmap_punch(m, 23, 2), 0);
    assert_int_equal(extmap_tidy(m), 0);
    assert_int_equal(m->dek_count, 2);
    assert_int_equal(m->deks[1].id[0], 3);
    assert_int_equal(m->inline_data.len, 2 * 58);
    struct extmap_piece f;
    for (uint64_t at = 20; at < 30; at += 9) { /* both ends of the last frame */
        assert_true(extmap_at(m, at, 1, &f));
        assert_int_equal(f.dek, 1);
        assert_int_equal(f.place_bytes, 58);
        assert_memory_equal(m->inline_data.data + 58, frames + 2 * 58, 58);
    }
    struct extmap *copy = extmap_new();
    assert_int_equal(extmap_share(copy, 0, m, 0, 30), 0);
    assert_int_equal(copy->inline_data.len, 2 * 58);
    bytes_clear(&m->inline_data);
    assert_int_equal(extmap_share(copy, 0, m, 0, 30), -EBADMSG);
    assert_int_equal(extmap_tidy(m), -EBADMSG);
    extmap_unref(copy);
    extmap_unref(m);
}

static void stored_bytes_count_a_cut_frame_once(void **state)
{
    (void)state;
    struct extmap *m = extmap_new();
    struct extmap_dek d = some_dek(1);
    extmap_dek_index(m, &d);
    struct extent whole = one_frame(0, 1000, 0, 0), edit = one_frame(500, 10, 1048, 1);
    assert_int_equal(extmap_put(m, &whole), 0);
    assert_int_equal(extmap_put(m, &edit), 0);
    assert_int_equal(m->count, 3);
    assert_int_equal(extmap_stored_bytes(m), 1000 + 10 + 2 * FRAME_OVERHEAD_BYTES);
    assert_int_equal(extmap_punch(m, 500, 10), 0);
    assert_int_equal(extmap_stored_bytes(m), 1000 + FRAME_OVERHEAD_BYTES);
    extmap_unref(m);
}

static void a_map_lives_as_long_as_its_holders(void **state)
{
    (void)state;
    struct extmap *m = written_in_order(1 << 20, 4096), *copy = extmap_copy(m);
    assert_ptr_equal(extmap_ref(m), m);
    extmap_unref(m);
    assert_int_equal(m->count, 1);
    assert_int_equal(extmap_resize(copy, 10), 0);
    assert_int_equal(m->size_bytes, 1 << 20);
    extmap_unref(m);
    extmap_unref(copy);
    extmap_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_match_the_model),
        cmocka_unit_test(a_map_of_many_chunks_matches_the_model),
        cmocka_unit_test(neighbours_join_again),
        cmocka_unit_test(tidy_drops_what_nobody_names),
        cmocka_unit_test(stored_bytes_count_a_cut_frame_once),
        cmocka_unit_test(a_map_lives_as_long_as_its_holders),
    };
    return cmocka_run_group_tests(tests, seed_from_clock, NULL);
}
