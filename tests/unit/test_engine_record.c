/* SPDX-License-Identifier: GPL-3.0-or-later
 * Records, inode bodies and attributes: there and back, order, and every damage refused. */
#include "unit.h"

#include "engine/record.h"
#include "engine/sse_c.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static void put(struct attrs *a, enum attr_kind kind, const char *name, const char *value)
{
    assert_int_equal(attrs_set(a, kind, name, strlen(name), value, strlen(value)), 0);
}

static void holds(const struct attrs *a, enum attr_kind kind, const char *name, const char *value)
{
    const uint8_t *got;
    size_t len;
    assert_int_equal(attrs_get(a, kind, name, strlen(name), &got, &len), 0);
    assert_int_equal(len, strlen(value));
    assert_memory_equal(got, value, len);
}

static void attributes_are_kept_in_order_and_replaced(void **state)
{
    (void)state;
    struct attrs a = {0};
    put(&a, ATTR_XATTR, "user.b", "2");
    put(&a, ATTR_XATTR, "user.a", "1");
    put(&a, ATTR_XATTR, "user", "0");
    put(&a, ATTR_HEADER, "user.a", "header");
    put(&a, ATTR_XATTR, "user.a", "longer than before");
    holds(&a, ATTR_XATTR, "user.a", "longer than before");
    holds(&a, ATTR_HEADER, "user.a", "header");
    assert_true(attrs_valid(a.packed.data, a.packed.len));

    const char *const expected[] = {"user.a", "user", "user.a", "user.b"}; /* 'h' sorts before 'x' */
    struct attr_item item;
    size_t n = 0;
    for (size_t at = 0; attrs_next(&a, &at, &item); n++) {
        assert_true(n < 4);
        assert_memory_equal(item.name, expected[n], item.name_len);
    }
    assert_int_equal(n, 4);
    assert_int_equal(attrs_bytes(&a, ATTR_HEADER), strlen("user.a") + strlen("header"));

    assert_int_equal(attrs_remove(&a, ATTR_XATTR, "user", 4), 0);
    assert_int_equal(attrs_remove(&a, ATTR_XATTR, "user", 4), -ENODATA);
    holds(&a, ATTR_XATTR, "user.b", "2");
    attrs_done(&a);
}

static void empty_values_are_values(void **state)
{
    (void)state;
    struct attrs a = {0};
    put(&a, ATTR_META, "x", "");
    holds(&a, ATTR_META, "x", "");
    attrs_done(&a);
}

static void disordered_attributes_are_refused(void **state)
{
    (void)state;
    static const uint8_t twice[] = {'x', 1, 'a', 0, 'x', 1, 'a', 0};
    static const uint8_t disorder[] = {'x', 1, 'b', 0, 'x', 1, 'a', 0};
    static const uint8_t nameless[] = {'x', 0, 0};
    static const uint8_t cut[] = {'x', 1, 'a', 5, 'v'};
    assert_false(attrs_valid(twice, sizeof twice));
    assert_false(attrs_valid(disorder, sizeof disorder));
    assert_false(attrs_valid(nameless, sizeof nameless));
    assert_false(attrs_valid(cut, sizeof cut));
    assert_true(attrs_valid(NULL, 0));
}

static struct record sample(void)
{
    struct record r = {
        .mode = S_IFREG | 04755,
        .uid = 1000,
        .gid = UINT32_MAX,
        .rdev_major = 8,
        .rdev_minor = 1,
        .mtime = {.sec = -2208988800, .nsec = 999999999}, /* 1900 */
        .ctime = {.sec = 253402300799, .nsec = 0},        /* 9999 */
        .btime = {.sec = 0, .nsec = 1},
        .atime = {.sec = 5, .nsec = 6},
        .atime_set = true,
        .written = true,
        .size_bytes = UINT64_C(1) << 43,
        .etag = "0123456789abcdef0123456789abcdef-0",
        .made_by = "arn:aws:iam::123456789012:user/eva",
        .envelope = ENVELOPE_SSE_S3,
        .kek_version = 7,
        .generation = 3,
    };
    count_up(r.kek_id, 16, 1);
    put(&r.attrs, ATTR_XATTR, "user.x", "y");
    put(&r.attrs, ATTR_TAG, "team", "red");
    return r;
}

static struct extmap *sample_map(void)
{
    struct extmap *m = extmap_new();
    struct extmap_dek dek = {.kek_version = 7};
    count_up(dek.id, 16, 9);
    int index = extmap_dek_index(m, &dek);
    assert_int_equal(index, 0);
    const struct extent e = {
        .length_bytes = 5, .segment = 0, .plain_bytes = 5, .cipher_bytes = 5, .last_plain_bytes = 5, .last_cipher_bytes = 5, .frames = 1};
    assert_int_equal(extmap_put(m, &e), 0);
    static const uint8_t frame[53] = {1, 2, 3};
    bytes_put(&m->inline_data, frame, sizeof frame);
    return m;
}

static void a_record_comes_back_whole(void **state)
{
    (void)state;
    struct record r = sample(), back;
    r.map = sample_map();
    struct bytes body = {0};
    record_encode(&r, &body);
    assert_false(body.failed);
    assert_int_equal(record_decode(body.data, body.len, r.map->inline_data.data, r.map->inline_data.len, &back), 0);
    assert_int_equal(back.mode, r.mode);
    assert_int_equal(back.gid, r.gid);
    assert_true(back.mtime.sec == r.mtime.sec && back.mtime.nsec == r.mtime.nsec);
    assert_true(back.ctime.sec == r.ctime.sec && back.btime.nsec == 1 && back.atime.nsec == 6);
    assert_true(back.atime_set && back.written && !back.implicit);
    assert_int_equal(back.size_bytes, r.size_bytes);
    assert_string_equal(back.etag, r.etag);
    assert_string_equal(back.made_by, r.made_by);
    assert_memory_equal(back.kek_id, r.kek_id, 16);
    assert_int_equal(back.kek_version, 7);
    assert_int_equal(back.generation, 3);
    holds(&back.attrs, ATTR_TAG, "team", "red");
    assert_int_equal(back.map->count, 1);
    assert_int_equal(back.map->inline_data.len, 53);
    struct bytes again = {0};
    record_encode(&back, &again);
    assert_int_equal(again.len, body.len);
    assert_memory_equal(again.data, body.data, body.len);
    bytes_done(&again);
    bytes_done(&body);
    record_done(&back);
    record_done(&r);
}

static struct envelope *sample_envelope(enum envelope_mode mode)
{
    struct envelope *v = envelope_new(mode);
    if (mode == ENVELOPE_SSE_C) {
        count_up(v->salt, 16, 1);
        count_up(v->verifier, 32, 2);
        return v;
    }
    static const char arn[] = "arn:aws:kms:us-east-1:123456789012:key/90919293-9495-9697-9899-9a9b9c9d9e9f";
    memcpy(v->provider, "local", 6);
    memcpy(v->arn, arn, sizeof arn);
    v->bucket_key = true;
    bytes_put(&v->blob, "blob", 4);
    bytes_put(&v->context, "{}", 2);
    return v;
}

static void envelopes_come_back_and_a_cut_one_is_refused(void **state)
{
    (void)state;
    for (enum envelope_mode mode = ENVELOPE_SSE_KMS; mode <= ENVELOPE_SSE_C; mode++) {
        struct record r = sample(), back;
        struct bytes body = {0};
        struct envelope *v = sample_envelope(mode);
        uint8_t key[16];
        count_up(v->kek_id, 16, 0x30);
        record_set_envelope(&r, v, NULL, 0);
        assert_int_equal(r.kek_version, 1);
        record_encode(&r, &body);
        assert_int_equal(record_decode(body.data, body.len, NULL, 0, &back), 0);
        assert_int_equal(back.envelope, mode);
        assert_memory_equal(back.env->kek_id, v->kek_id, 16);
        if (mode == ENVELOPE_SSE_KMS) {
            count_up(key, 16, 0x90);
            assert_string_equal(back.env->arn, v->arn);
            assert_memory_equal(back.env->key_id, key, 16);
            assert_true(back.env->bucket_key && !back.env->context_sent);
            assert_int_equal(back.env->blob.len, 4);
            assert_string_equal((char *)back.env->context.data, "{}");
        } else {
            assert_memory_equal(back.env->salt, v->salt, 16);
            assert_memory_equal(back.env->verifier, v->verifier, 32);
        }
        for (size_t len = 0; len < body.len; len++) {
            struct record cut;
            assert_int_equal(record_decode(body.data, len, NULL, 0, &cut), -EBADMSG);
        }
        record_done(&back);
        bytes_done(&body);
        record_done(&r);
        envelope_unref(v);
    }
}

static void a_customer_key_and_its_verifier(void **state) /* encryption.md §11 */
{
    (void)state;
    uint8_t salt[16], kek[32], verifier[32];
    char text[65];
    count_up(salt, 16, 0xb0);
    sse_c_derive((const uint8_t *)"1234567890abcdef1234567890abcdef", salt, kek, verifier);
    hex_format(kek, 32, text);
    assert_string_equal(text, "3a4f00db91b45ede72de5c71091c8356e7056348b2864197c13bfd6d10130c7d");
    hex_format(verifier, 32, text);
    assert_string_equal(text, "b77d85e2393896960f7212686f4b4cf1f507879e84198715ee5c7bfd6ea2aa7f");
}

static void a_copy_shares_the_map_and_owns_its_attributes(void **state)
{
    (void)state;
    struct record r = sample(), copy;
    r.map = sample_map();
    assert_int_equal(record_copy(&copy, &r), 0);
    assert_ptr_equal(copy.map, r.map);
    record_done(&r);
    holds(&copy.attrs, ATTR_XATTR, "user.x", "y");
    record_done(&copy);
}

static void a_cut_or_longer_record_is_refused(void **state)
{
    (void)state;
    struct record r = sample(), back;
    r.map = sample_map();
    struct bytes body = {0};
    record_encode(&r, &body);
    for (size_t len = 0; len < body.len; len++)
        assert_int_equal(record_decode(body.data, len, r.map->inline_data.data, r.map->inline_data.len, &back), -EBADMSG);
    bytes_put_u8(&body, 0);
    assert_int_equal(record_decode(body.data, body.len, r.map->inline_data.data, r.map->inline_data.len, &back), -EBADMSG);
    bytes_done(&body);
    record_done(&r);
}

/* Each byte set to each of some values: never a crash, and what is accepted encodes again. */
static void a_damaged_record_is_refused_or_read_as_another_record(void **state)
{
    (void)state;
    struct record r = sample();
    struct bytes body = {0};
    record_encode(&r, &body);
    record_done(&r);
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    for (size_t at = 0; at < body.len; at++) {
        uint8_t was = body.data[at];
        for (size_t v = 0; v < sizeof values; v++) {
            struct record back;
            body.data[at] = values[v];
            if (record_decode(body.data, body.len, NULL, 0, &back) == 0)
                record_done(&back);
        }
        body.data[at] = was;
    }
    bytes_done(&body);
}

static void inline_extents_without_their_bytes_are_refused(void **state)
{
    (void)state;
    struct record r = sample(), back;
    r.map = sample_map();
    struct bytes body = {0};
    record_encode(&r, &body);
    assert_int_equal(record_decode(body.data, body.len, NULL, 0, &back), -EBADMSG);
    bytes_done(&body);
    record_done(&r);

    struct record empty = {.mode = S_IFREG};
    record_encode(&empty, &body);
    assert_int_equal(record_decode(body.data, body.len, "x", 1, &back), -EBADMSG); /* bytes nothing refers to */
    bytes_done(&body);
}

static void impossible_fields_are_refused(void **state)
{
    (void)state;
    struct record r = {.mode = S_IFREG}, back;
    struct bytes body = {0};
    record_encode(&r, &body);
    const size_t mtime_nsec = 1 + 5 * 4 + 8, flags = 1 + 5 * 4 + 4 * 12;
    uint8_t was = body.data[0];
    body.data[0] = 2; /* a later format */
    assert_int_equal(record_decode(body.data, body.len, NULL, 0, &back), -EBADMSG);
    body.data[0] = was;
    memset(body.data + mtime_nsec, 0xff, 4);
    assert_int_equal(record_decode(body.data, body.len, NULL, 0, &back), -EBADMSG);
    memset(body.data + mtime_nsec, 0, 4);
    body.data[flags] = 0x80;
    assert_int_equal(record_decode(body.data, body.len, NULL, 0, &back), -EBADMSG);
    bytes_done(&body);
}

static void inode_bodies_come_back_and_damage_is_refused(void **state)
{
    (void)state;
    struct inode_body file = {.generation = 9, .nlink = 3}, dir = {.generation = 1, .nlink = 1, .dir = true}, back;
    dir.record = sample();
    dir.record.mode = S_IFDIR | 0755;
    dir.record.implicit = true;
    struct bytes body = {0};
    inode_body_encode(&file, &body);
    assert_int_equal(inode_body_decode(body.data, body.len, &back), 0);
    assert_int_equal(back.generation, 9);
    assert_int_equal(back.nlink, 3);
    assert_false(back.dir);
    body.data[body.len - 1] = 2;
    assert_int_equal(inode_body_decode(body.data, body.len, &back), -EBADMSG);
    bytes_done(&body);

    inode_body_encode(&dir, &body);
    assert_int_equal(inode_body_decode(body.data, body.len, &back), 0);
    assert_true(back.dir && back.record.implicit);
    record_done(&back.record);
    for (size_t len = 0; len < body.len; len++)
        assert_int_equal(inode_body_decode(body.data, len, &back), -EBADMSG);
    bytes_done(&body);
    record_done(&dir.record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_are_kept_in_order_and_replaced),
        cmocka_unit_test(empty_values_are_values),
        cmocka_unit_test(disordered_attributes_are_refused),
        cmocka_unit_test(a_record_comes_back_whole),
        cmocka_unit_test(envelopes_come_back_and_a_cut_one_is_refused),
        cmocka_unit_test(a_customer_key_and_its_verifier),
        cmocka_unit_test(a_copy_shares_the_map_and_owns_its_attributes),
        cmocka_unit_test(a_cut_or_longer_record_is_refused),
        cmocka_unit_test(a_damaged_record_is_refused_or_read_as_another_record),
        cmocka_unit_test(inline_extents_without_their_bytes_are_refused),
        cmocka_unit_test(impossible_fields_are_refused),
        cmocka_unit_test(inode_bodies_come_back_and_damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
