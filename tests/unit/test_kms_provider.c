/* SPDX-License-Identifier: GPL-3.0-or-later
 * Key providers: the local one against the vector of encryption.md §11 (case 17), what every provider keeps, contexts, the table of
 * open data keys, the throttle. */
#include "unit.h"

#include "kms/data_keys.h"
#include "kms/provider.h"
#include "kms/throttle.h"
#include "util/secret.h"
#include "util/text.h"

#include <errno.h>

static struct kms_context context_of(const char *text)
{
    return (struct kms_context){text, strlen(text)};
}

static void the_local_blob(void **state)
{
    (void)state;
    uint8_t id[16], material[32], data_key[32], nonce[24], blob[KMS_LOCAL_BLOB_BYTES];
    count_up(id, 16, 0x90);
    count_up(material, 32, 0x08);
    count_up(data_key, 32, 0x18);
    count_up(nonce, 24, 0xc0);
    assert_int_equal(kms_local_seal(id, 1, material, context_of("{\"aws:s3:arn\":\"arn:aws:s3:::b/k\"}"), nonce, data_key, blob), 0);
    assert_hex(blob, 4, "484b4231");
    assert_memory_equal(blob + 4, id, 16);
    assert_hex(blob + 20, 4, "00000001");
    assert_memory_equal(blob + 24, nonce, 24);
    assert_hex(blob + 48, 48,
               "f42baf6a339031555822acb60f08c630d800686b9e3fbb06a67db96beb73f941d017ca775cb31b17e38384e4c2847148");
}

/* A provider of the table with a key to use; `ref` names it. */
static struct kms_provider *opened(const struct kms_provider_ops *ops, char ref[37])
{
    struct kms_provider *p;
    uint8_t id[16], material[32] = {3};
    uuid_random(id);
    uuid_format(id, ref);
    assert_int_equal(ops->open(&p, NULL), 0);
    assert_string_equal(ops->name, "local"); /* another one needs its own way to a key here */
    assert_int_equal(kms_local_add(p, id, 1, material), 0);
    assert_int_equal(kms_local_add(p, id, 1, material), -EEXIST);
    return p;
}

static void a_data_key_opens_with_its_key_and_its_context_alone(void **state)
{
    (void)state;
    for (size_t i = 0; kms_provider_table[i]; i++) {
        const struct kms_provider_ops *ops = kms_provider_table[i];
        struct kms_call call = {.deadline_ns = 0};
        struct kms_data_key made;
        struct kms_key_facts facts;
        uint8_t key[32];
        char ref[37];
        struct kms_provider *p = opened(ops, ref);
        struct kms_context one = context_of("{\"a\":\"1\"}"), two = context_of("{\"a\":\"2\"}");
        assert_ptr_equal(kms_provider_find(ops->name), ops);
        assert_int_equal(ops->health(p), 0);
        assert_int_equal(ops->generate(p, &call, ref, one, &made), 0);
        assert_in_range(made.blob_len, 1, LIMIT_KMS_BLOB_BYTES);
        assert_int_equal(ops->decrypt(p, &call, ref, made.blob, made.blob_len, one, key), 0);
        assert_memory_equal(key, made.key, 32);
        assert_int_equal(ops->decrypt(p, &call, ref, made.blob, made.blob_len, two, key), -EBADMSG);
        assert_int_equal(ops->decrypt(p, &call, ref, made.blob, made.blob_len - 1, one, key), -EBADMSG);
        made.blob[made.blob_len - 1] ^= 1;
        assert_int_equal(ops->decrypt(p, &call, ref, made.blob, made.blob_len, one, key), -EBADMSG);
        assert_int_equal(ops->generate(p, &call, "00000000-0000-4000-8000-000000000000", one, &made), -ENOENT);
        assert_int_equal(ops->describe(p, &call, ref, &facts), 0);
        assert_true(facts.usable);
        assert_int_equal(ops->describe(p, &call, "00000000-0000-4000-8000-000000000000", &facts), -ENOENT);
        ops->close(p);
        ops->close(NULL);
    }
}

static void rotation_keeps_what_is_there_until_it_is_dropped(void **state)
{
    (void)state;
    const struct kms_provider_ops *ops = kms_provider_find("local");
    struct kms_call call = {.deadline_ns = 0};
    struct kms_data_key old, fresh;
    struct kms_context context = context_of("{}");
    uint8_t id[16], material[32] = {4}, key[32], named[16], blob[KMS_LOCAL_BLOB_BYTES];
    uint32_t version;
    char ref[37];
    struct kms_provider *p = opened(ops, ref);
    assert_int_equal(uuid_parse(ref, id), 0);
    assert_int_equal(ops->generate(p, &call, ref, context, &old), 0);
    assert_int_equal(kms_local_add(p, id, 2, material), 0);
    assert_int_equal(kms_local_newest(p, id), 2);
    assert_int_equal(ops->generate(p, &call, ref, context, &fresh), 0);
    assert_int_equal(fresh.version, 2);
    assert_int_equal(ops->decrypt(p, &call, ref, old.blob, old.blob_len, context, key), 0);
    assert_int_equal(kms_local_reencrypt(p, old.blob, old.blob_len, context, blob), 0);
    assert_int_equal(kms_local_blob_name(blob, sizeof blob, named, &version), 0);
    assert_memory_equal(named, id, 16);
    assert_int_equal(version, 2);
    kms_local_drop(p, id, 2);
    assert_int_equal(ops->decrypt(p, &call, ref, old.blob, old.blob_len, context, key), -ENOENT);
    assert_int_equal(ops->decrypt(p, &call, ref, blob, sizeof blob, context, key), 0);
    assert_memory_equal(key, old.key, 32);
    kms_local_drop(p, id, UINT32_MAX);
    assert_int_equal(kms_local_newest(p, id), 0);
    ops->close(p);
}

static void canonical(const char *json, const char *want)
{
    struct bytes out = {0};
    struct reason why = {0};
    int r = kms_context_canonical(json, json ? strlen(json) : 0, "arn:aws:s3:::b/k", &out, &why);
    if (!want) {
        assert_int_equal(r, -EINVAL);
        assert_string_equal(why.code, "InvalidArgument");
    } else {
        assert_int_equal(r, 0);
        assert_string_equal(bytes_text(&out), want);
    }
    bytes_done(&out);
}

static void contexts_have_one_form(void **state)
{
    (void)state;
    canonical(NULL, "{\"aws:s3:arn\":\"arn:aws:s3:::b/k\"}");
    canonical("{ \"b\" : \"2\", \"a\":\"1\" }", "{\"a\":\"1\",\"aws:s3:arn\":\"arn:aws:s3:::b/k\",\"b\":\"2\"}");
    canonical("{\"q\":\"\\\"\\\\\\u0001\\u00e9/\"}", "{\"aws:s3:arn\":\"arn:aws:s3:::b/k\",\"q\":\"\\\"\\\\\\u0001\xc3\xa9/\"}");
    canonical("{\"aws:s3:arn\":\"arn:aws:s3:::b/k\"}", "{\"aws:s3:arn\":\"arn:aws:s3:::b/k\"}");
    canonical("{\"aws:s3:arn\":\"arn:aws:s3:::b/other\"}", NULL);
    canonical("{\"a\":1}", NULL);
    canonical("{\"a\":{}}", NULL);
    canonical("[]", NULL);
    canonical("{\"a\":\"1\",\"a\":\"2\"}", NULL);
    canonical("not json", NULL);
}

static const struct data_keys_limits few = {.keep_ns = 100, .count = 2, .uses = 3};

static void data_keys_are_kept_for_a_while(void **state)
{
    (void)state;
    struct data_keys *k = data_keys_new(&few);
    uint8_t id[16] = {1}, owner[16] = {9}, key[32] = {5};
    assert_null(data_keys_fresh(k, id, 0));
    struct data_key *d = data_keys_put(k, id, owner, key, 0);
    data_key_unref(d);
    d = data_keys_fresh(k, id, 99);
    assert_non_null(d);
    assert_null(data_keys_fresh(k, id, 100)); /* too old to open by, and yet held */
    data_keys_expire(k, 1000);
    struct data_key *held = data_keys_held(k, id);
    assert_ptr_equal(held, d);
    data_key_unref(held);
    data_key_unref(d);
    data_keys_expire(k, 1000);
    assert_int_equal(data_keys_count(k), 0);
    assert_null(data_keys_held(k, id));
    data_keys_free(k);
}

static void data_keys_are_bounded_in_number_and_uses(void **state)
{
    (void)state;
    struct data_keys *k = data_keys_new(&few);
    uint8_t id[16] = {0}, owner[16] = {9}, key[32] = {5};
    for (uint8_t n = 1; n <= 3; n++) {
        id[0] = n;
        data_key_unref(data_keys_put(k, id, owner, key, 0));
    }
    assert_int_equal(data_keys_count(k), 2);
    id[0] = 1;
    assert_null(data_keys_fresh(k, id, 1)); /* least recently used */
    id[0] = 3;
    for (int n = 0; n < 2; n++) {
        struct data_key *d = data_keys_fresh(k, id, 1);
        assert_non_null(d);
        data_key_unref(d);
    }
    assert_null(data_keys_fresh(k, id, 1));
    data_keys_free(k);
    data_keys_free(NULL);
}

static void data_keys_are_taken_away(void **state)
{
    (void)state;
    struct data_keys *k = data_keys_new(&data_keys_default);
    uint8_t one[16] = {1}, two[16] = {2}, owner[16] = {9}, other[16] = {8}, key[32] = {5};
    struct data_key *d = data_keys_put(k, one, owner, key, 0);
    data_key_unref(data_keys_put(k, two, other, key, 0));
    data_keys_forget_owner(k, owner); /* it is held */
    assert_int_equal(data_keys_count(k), 2);
    data_keys_revoke_owner(k, owner);
    assert_null(data_keys_held(k, one));
    assert_non_null(data_key_use(d)); /* who has it, has it */
    data_key_unref(d);
    data_keys_revoke(k, two);
    assert_int_equal(data_keys_count(k), 0);
    data_keys_free(k);
}

static void a_throttle_lets_a_burst_and_then_a_rate_through(void **state)
{
    (void)state;
    struct throttle t;
    throttle_set(&t, 10, 2, 0);
    assert_int_equal(throttle_take(&t, 0), 0);
    assert_int_equal(throttle_take(&t, 0), 0);
    assert_int_equal(throttle_take(&t, 0), 100000000);
    assert_int_equal(throttle_take(&t, 50000000), 50000000);
    assert_int_equal(throttle_take(&t, 100000000), 0);
    assert_int_equal(throttle_take(&t, INT64_MAX / 2), 0); /* full again, and no more than full */
    assert_int_equal(throttle_take(&t, INT64_MAX / 2), 0);
    assert_true(throttle_take(&t, INT64_MAX / 2) > 0);
    throttle_set(&t, 0, 0, 0);
    for (int n = 0; n < 1000; n++)
        assert_int_equal(throttle_take(&t, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_local_blob),
        cmocka_unit_test(a_data_key_opens_with_its_key_and_its_context_alone),
        cmocka_unit_test(rotation_keeps_what_is_there_until_it_is_dropped),
        cmocka_unit_test(contexts_have_one_form),
        cmocka_unit_test(data_keys_are_kept_for_a_while),
        cmocka_unit_test(data_keys_are_bounded_in_number_and_uses),
        cmocka_unit_test(data_keys_are_taken_away),
        cmocka_unit_test(a_throttle_lets_a_burst_and_then_a_rate_through),
    };
    return cmocka_run_group_tests_name("kms/provider", tests, NULL, NULL);
}
