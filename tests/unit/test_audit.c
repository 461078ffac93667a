/* SPDX-License-Identifier: GPL-3.0-or-later
 * The audit trail as values: the known answers of logs.md §3.3, RFC 8785's canonical form, heads, and what verification says of a chain
 * that somebody touched (cases 33 and 34). */
#include "audit/audit.h"
#include "util/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char name[] = "7d3f0c52-6c4e-4d0e-9f0a-000000000001";

static void assert_hash(const struct audit_place *place, const char *expected)
{
    char hex[65];
    hex_format(place->hash, sizeof place->hash, hex);
    assert_string_equal(hex, expected);
}

static void known_record(unsigned n, struct bytes *out)
{
    char id[40], time[40];
    snprintf(id, sizeof id, "00000000-0000-4000-8000-%012u", n);
    snprintf(time, sizeof time, "2026-11-24T12:00:%02uZ", n - 1);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "eventVersion", "1.11", "eventTime", time, "eventSource", "s3.amazonaws.com",
                          "eventName", "PutObjectLegalHold", "eventID", id, "awsRegion", "us-east-1");
    assert_int_equal(audit_canonical(o, out), 0);
    json_decref(o);
}

static void case_33_known_answers_of_the_chain(void **state)
{
    (void)state;
    struct audit_place place;
    assert_int_equal(audit_genesis(name, &place), 0);
    assert_hash(&place, "931a1347dcd704f7e402c4e4e5f12c179fe4a6acf2b323c187b0af123b613456");
    static const char *const hashes[] = {"bdca93022253091bf345cfd051251d575282c9b9ffd95cc20128dc8e514aec25",
                                         "810c5e33109e15376703b58f66f606a7b8c531702da72b7e630d25de45d96acd"};
    for (unsigned n = 1; n <= 2; n++) {
        struct bytes text = {0};
        known_record(n, &text);
        assert_int_equal(audit_link(&place, text.data, text.len, &place), 0);
        assert_int_equal(place.seq, n);
        assert_hash(&place, hashes[n - 1]);
        bytes_done(&text);
    }
}

static void assert_canonical(const char *in, const char *expected)
{
    json_t *o = json_loads(in, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    struct bytes out = {0};
    assert_non_null(o);
    assert_int_equal(audit_canonical(o, &out), 0);
    assert_string_equal(bytes_text(&out), expected);
    bytes_done(&out);
    json_decref(o);
}

static void members_are_sorted_by_utf16_and_escapes_are_the_shortest(void **state)
{
    (void)state;
    /* RFC 8785 §3.2.3's own example */
    assert_canonical("{\"\\u20ac\":\"Euro\",\"\\r\":\"CR\",\"\\ufb33\":\"Dalet\",\"1\":\"One\",\"\\ud83d\\ude00\":\"Smile\",\"\\u0080\":\"Ctl\","
                     "\"\\u00f6\":\"o\"}",
                     "{\"\\r\":\"CR\",\"1\":\"One\",\"\302\200\":\"Ctl\",\"\303\266\":\"o\",\"\342\202\254\":\"Euro\",\"\360\237\230\200\":\"Smile\","
                     "\"\357\254\263\":\"Dalet\"}");
    assert_canonical("\"\\u0000\\u0008\\u0009\\u000a\\u000b\\u000c\\u000d\\u001f \\\" \\\\ \\/ \\u007f\"",
                     "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f \\\" \\\\ / \177\"");
    assert_canonical("[ 1 , -0 , true, false, null, {} , [] ]", "[1,0,true,false,null,{},[]]");
    assert_canonical("{\"b\":{\"z\":1,\"a\":2},\"a\":[{\"y\":1,\"x\":2}]}", "{\"a\":[{\"x\":2,\"y\":1}],\"b\":{\"a\":2,\"z\":1}}");
}

static void numbers_beyond_2_53_and_fractions_are_refused(void **state)
{
    (void)state;
    struct bytes out = {0};
    json_t *big = json_integer(((json_int_t)1 << 53) + 1), *real = json_real(0.5);
    assert_int_equal(audit_canonical(big, &out), -ERANGE);
    assert_int_equal(audit_canonical(real, &out), -ERANGE);
    json_decref(big);
    json_decref(real);
    bytes_done(&out);
}

static void bytes_that_are_no_utf8_are_written_as_text(void **state)
{
    (void)state;
    struct bytes out = {0};
    audit_canonical_text("a\xff\xc3\xa9\xc3", 5, &out);
    assert_string_equal(bytes_text(&out), "\"a\\\\xff\xc3\xa9\\\\xc3\"");
    bytes_done(&out);
}

static void a_record_is_written_in_canonical_form(void **state)
{
    (void)state;
    json_t *params = json_pack("{s:s, s:s}", "versionId", "null", "bucketName", "b");
    struct audit_record r = {
        .time = "2026-11-24T12:00:00Z", .event_id = "id", .source = "s3.amazonaws.com", .name = "PutObjectLegalHold", .region = "us-east-1",
        .identity = {.type = "IAMUser", .arn = "arn:aws:iam::1:user/a", .mfa = true, .user = "a"},
        .source_ip = "local", .params = params, .error_code = "AccessDenied", .error_message = "no\n\"way\"",
        .resources = {{"arn:aws:s3:::b/\xff", 15, "AWS::S3::Object", "1"}}, .resource_count = 1, .recipient = "1", .tls_version = "TLSv1.3",
        .extra = {.front = "mount", .has_caller = true, .uid = 7, .pid = 9, .comm = "cat", .count = 3, .previous = params},
    };
    struct bytes text = {0}, again = {0};
    assert_int_equal(audit_record_write(&r, &text), 0);
    json_t *o = json_loadb((char *)text.data, text.len, 0, NULL);
    assert_non_null(o);
    assert_int_equal(audit_canonical(o, &again), 0);
    assert_string_equal(bytes_text(&text), bytes_text(&again));
    assert_true(json_is_null(json_object_get(o, "responseElements")));
    json_decref(o);
    json_decref(params);
    bytes_done(&text);
    bytes_done(&again);
}

static void a_head_signs_and_another_key_does_not_fit(void **state)
{
    (void)state;
    uint8_t seed[32] = {1}, other[32] = {2}, public[32], wrong[32], signature[64];
    struct audit_head head = {.chain = "x", .place = {.seq = 5, .hash = {1, 2}}, .clock = "c", .time = "t"}, back;
    struct bytes text = {0}, message = {0}, pem = {0};
    assert_int_equal(audit_public(seed, public), 0);
    assert_int_equal(audit_public(other, wrong), 0);
    assert_int_equal(audit_key_id(public, head.key), 0);
    assert_int_equal(audit_head_write(&head, &text), 0);
    audit_head_message(text.data, text.len, &message);
    assert_int_equal(audit_sign(seed, message.data, message.len, signature), 0);
    assert_true(audit_signed(public, message.data, message.len, signature));
    assert_false(audit_signed(wrong, message.data, message.len, signature));
    message.data[message.len - 2] ^= 1;
    assert_false(audit_signed(public, message.data, message.len, signature));
    assert_int_equal(audit_head_read(text.data, text.len, &back), 0);
    assert_memory_equal(&back.place, &head.place, sizeof head.place);
    assert_int_equal(audit_public_pem(public, &pem), 0);
    assert_int_equal(audit_public_read_pem((char *)pem.data, pem.len, wrong), 0);
    assert_memory_equal(wrong, public, 32);
    bytes_done(&text);
    bytes_done(&message);
    bytes_done(&pem);
}

/* ---- case 34 ---- */

enum { CHAIN_LEN = 8 };

struct chain {
    struct audit_place places[CHAIN_LEN + 1];
    struct bytes texts[CHAIN_LEN + 1];
};

static void chain_make(struct chain *c)
{
    memset(c, 0, sizeof *c);
    audit_genesis(name, &c->places[0]);
    for (unsigned n = 1; n <= CHAIN_LEN; n++) {
        known_record(n, &c->texts[n]);
        audit_link(&c->places[n - 1], c->texts[n].data, c->texts[n].len, &c->places[n]);
    }
}

static void chain_done(struct chain *c)
{
    for (unsigned n = 1; n <= CHAIN_LEN; n++)
        bytes_done(&c->texts[n]);
}

static struct audit_verifier walk(const struct chain *c, const unsigned *order)
{
    struct audit_verifier v;
    audit_verify_begin(&v, name, NULL);
    for (; *order; order++)
        assert_int_equal(audit_verify_record(&v, &c->places[*order], NULL, c->texts[*order].data, c->texts[*order].len), 0);
    return v;
}

static void case_34_dropped_doubled_swapped_and_cut_records_are_named(void **state)
{
    (void)state;
    struct chain c;
    chain_make(&c);
    struct audit_verifier v = walk(&c, (unsigned[]){1, 2, 3, 4, 5, 6, 7, 8, 0});
    assert_int_equal(v.fault, AUDIT_SOUND);
    assert_int_equal(v.place.seq, 8);
    v = walk(&c, (unsigned[]){1, 2, 4, 5, 6, 7, 8, 0});
    assert_int_equal(v.fault, AUDIT_MISSING);
    assert_int_equal(v.bad_seq, 3);
    v = walk(&c, (unsigned[]){1, 2, 4, 3, 5, 6, 7, 8, 0});
    assert_int_equal(v.fault, AUDIT_MOVED);
    assert_int_equal(v.bad_seq, 3);
    v = walk(&c, (unsigned[]){1, 2, 3, 3, 4, 5, 6, 7, 8, 0});
    assert_int_equal(v.fault, AUDIT_INSERTED);
    assert_int_equal(v.bad_seq, 3);
    v = walk(&c, (unsigned[]){1, 2, 3, 4, 5, 0});
    assert_int_equal(v.fault, AUDIT_SOUND);
    audit_verify_place(&v, &c.places[8], NULL);
    assert_int_equal(v.fault, AUDIT_TAIL_CUT);
    assert_int_equal(v.bad_seq, 6);
    chain_done(&c);
}

static void case_34_a_changed_byte_is_named(void **state)
{
    (void)state;
    struct chain c;
    chain_make(&c);
    c.texts[4].data[30] ^= 1;
    struct audit_verifier v = walk(&c, (unsigned[]){1, 2, 3, 4, 5, 6, 7, 8, 0});
    assert_int_equal(v.fault, AUDIT_CHANGED);
    assert_int_equal(v.bad_seq, 4);
    chain_done(&c);
}

static void a_chain_written_anew_is_found_by_the_head_it_does_not_fit(void **state)
{
    (void)state;
    struct chain c, other;
    chain_make(&c);
    chain_make(&other);
    other.texts[3].data[30] ^= 1;
    for (unsigned n = 3; n <= CHAIN_LEN; n++)
        audit_link(&other.places[n - 1], other.texts[n].data, other.texts[n].len, &other.places[n]);
    struct audit_verifier v = walk(&other, (unsigned[]){1, 2, 3, 4, 5, 6, 7, 8, 0});
    assert_int_equal(v.fault, AUDIT_SOUND);
    audit_verify_place(&v, &c.places[6], other.places[6].hash);
    assert_int_equal(v.fault, AUDIT_CHANGED);
    assert_int_equal(v.bad_seq, 6);
    chain_done(&c);
    chain_done(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(case_33_known_answers_of_the_chain),
        cmocka_unit_test(members_are_sorted_by_utf16_and_escapes_are_the_shortest),
        cmocka_unit_test(numbers_beyond_2_53_and_fractions_are_refused),
        cmocka_unit_test(bytes_that_are_no_utf8_are_written_as_text),
        cmocka_unit_test(a_record_is_written_in_canonical_form),
        cmocka_unit_test(a_head_signs_and_another_key_does_not_fit),
        cmocka_unit_test(case_34_dropped_doubled_swapped_and_cut_records_are_named),
        cmocka_unit_test(case_34_a_changed_byte_is_named),
        cmocka_unit_test(a_chain_written_anew_is_found_by_the_head_it_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
