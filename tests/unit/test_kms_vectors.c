/* SPDX-License-Identifier: GPL-3.0-or-later
 * The vectors of encryption.md §11 that concern keys (case 17), and that a wrap opens only for what it names.
 */
#include "unit.h"

#include "kms/internal.h"

#include <errno.h>

static uint8_t store_id[16], bucket[16], kek_id[16], dek_id[16], nonce[24], master[32];
static struct store_keys *keys;

static int setup(void **state)
{
    (void)state;
    count_up(master, 32, 0x00);
    count_up(store_id, 16, 0x10);
    count_up(bucket, 16, 0x20);
    count_up(kek_id, 16, 0x30);
    count_up(dek_id, 16, 0x40);
    count_up(nonce, 24, 0xc0);
    struct store_header h = {.seq = 1, .page_size_bytes = 8192, .page_generation = 1, .epoch_count = 1};
    memcpy(h.store_id, store_id, 16);
    h.epochs[0].e = 1;
    count_up(h.epochs[0].secret, 32, 0x50);
    keys = store_keys_new(&h, secret_copy(master, 32));
    return keys ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    store_keys_free(keys);
    return 0;
}

static void a_passphrase_slot(void **state)
{
    (void)state;
    struct slot slot = {.n = 0, .kind = SLOT_PASSPHRASE, .scrypt_log_n = 17, .scrypt_r = 8, .scrypt_p = 1};
    struct unlock unlock = {SLOT_PASSPHRASE, secret_copy("correct horse battery staple", 28)};
    uint8_t key[32], opened[32];
    count_up(slot.salt, 32, 0xa0);
    assert_int_equal(slot_key_derive(&slot, &unlock, key), 0);
    assert_hex(key, 32, "e7bddcbf9d77f5b7f883e8fc8ec87b65526b15de602b4bcae860f6cbfba32dc8");
    assert_int_equal(slot_seal(&slot, store_id, key, nonce, master), 0);
    assert_memory_equal(slot.wrapped, nonce, 24);
    assert_hex(
        slot.wrapped + 24, 48,
        "1b2e9e44fc7d8d9e74e04c25873c8cd8d01fd6856a95683a8202d2611e073096f135a0f8177ce7d51ba93c37b2ee9e2e");
    assert_int_equal(slot_open(&slot, store_id, key, opened), 0);
    assert_memory_equal(opened, master, 32);
    secret_free(unlock.secret);
}

static void a_slot_opens_only_with_its_own_parameters(void **state)
{
    (void)state;
    const struct slot good = {.n = 3, .kind = SLOT_KEYFILE};
    uint8_t key[32] = {1}, opened[32];
    struct slot slot = good;
    assert_int_equal(slot_seal(&slot, store_id, key, nonce, master), 0);
    assert_int_equal(slot_open(&slot, store_id, key, opened), 0);
    slot.n = 2;
    assert_int_equal(slot_open(&slot, store_id, key, opened), -EBADMSG);
    slot.n = 3;
    slot.kind = SLOT_CREDENTIAL;
    assert_int_equal(slot_open(&slot, store_id, key, opened), -EBADMSG);
    slot.kind = SLOT_KEYFILE;
    slot.salt[31] ^= 1;
    assert_int_equal(slot_open(&slot, store_id, key, opened), -EBADMSG);
    slot.salt[31] ^= 1;
    assert_int_equal(slot_open(&slot, bucket, key, opened), -EBADMSG);
    assert_int_equal(slot_open(&slot, store_id, key, opened), 0);
}

static void a_recovery_slot(void **state)
{
    (void)state;
    uint8_t secret[32], parsed[32], key[32];
    char code[66];
    struct slot slot = {.kind = SLOT_RECOVERY};
    count_up(secret, 32, 0x80);
    count_up(slot.salt, 32, 0xa0);
    recovery_code_format(secret, code);
    assert_string_equal(code, "G20R5-0W4GP-38F24-9HA5R-S3CEH-Y8934-MKJJA-SD5WR-K6D9Q-74XKT-FTGD8");
    assert_int_equal(recovery_code_parse(code, parsed, NULL), 0);
    assert_memory_equal(parsed, secret, 32);
    struct unlock unlock = {SLOT_RECOVERY, secret_copy(secret, 32)};
    assert_int_equal(slot_key_derive(&slot, &unlock, key), 0);
    assert_hex(key, 32, "febc6e360eadf1daa246f2f9054a756e7e03cc54e4389415a3350d80d977088e");
    secret_free(unlock.secret);
}

static void purpose_keys_and_the_headers_mac(void **state)
{
    (void)state;
    uint8_t key[32];
    char mac[HEADER_MAC_CHARS + 1];
    store_keys_purpose(keys, "header", key);
    assert_hex(key, 32, "139365b0dd92d96c9381a1b805d264ef0164403ce664edc0fe176ac1657df74e");
    store_keys_purpose(keys, "page/1", key);
    assert_hex(key, 32, "16b4115fcde4e5bde1e14471e6dab4f0919dcf8b9cf18e6640e42cea663749ab");
    header_mac_format(keys, "{\"holdfs\":1}", 12, mac);
    assert_string_equal(mac, "hmac-sha256 995acfef6994f3b15f347b8f305456627324b13a3b896d6a6c96bea55235f888");
}

static void the_kek_root(void **state)
{
    (void)state;
    uint8_t epoch_secret[32], root[32];
    count_up(epoch_secret, 32, 0x50);
    kek_root_derive(master, store_id, epoch_secret, root);
    assert_hex(root, 32, "edcb995370d86ea2cad5d04b0dc3046c28cf159e7bc2b4c6f322d3f08680cbc5");
}

static struct kek_name bucket_key_name(void)
{
    struct kek_name name = {.kind = 1, .version = 1, .epoch = 1};
    memcpy(name.kek_id, kek_id, 16);
    memcpy(name.bucket, bucket, 16);
    return name;
}

static void a_bucket_key(void **state)
{
    (void)state;
    struct kek_name name = bucket_key_name();
    uint8_t key[32], wrapped[72], opened[32];
    count_up(key, 32, 0x60);
    assert_int_equal(kek_seal(keys, &name, nonce, key, wrapped), 0);
    assert_memory_equal(wrapped, nonce, 24);
    assert_hex(
        wrapped + 24, 48,
        "2845b42d001ff9a26de7c7f737054f76e32f6f7e1eb50c5c071bce8b7049965309a6a59c9e76040391ad928a35c230d1");
    assert_int_equal(kek_unwrap(keys, &name, wrapped, opened), 0);
    assert_memory_equal(opened, key, 32);
}

static void a_bucket_key_opens_only_for_what_it_names(void **state)
{
    (void)state;
    const struct kek_name good = bucket_key_name();
    uint8_t key[32] = {7}, wrapped[72], opened[32];
    assert_int_equal(kek_wrap(keys, &good, key, wrapped), 0);
    struct kek_name bad[5] = {good, good, good, good, good};
    bad[0].kek_id[0] ^= 1;
    bad[1].kind = 2;
    bad[2].version = 2;
    bad[3].bucket[15] ^= 1;
    bad[4].epoch = 2; /* the header knows no such epoch */
    for (int i = 0; i < 5; i++)
        assert_int_equal(kek_unwrap(keys, &bad[i], wrapped, opened), -EBADMSG);
    assert_int_equal(kek_wrap(keys, &bad[4], key, wrapped), -EINVAL);
}

static struct dek_name data_key_name(void)
{
    struct dek_name name = {.kek_version = 1, .algorithm = 1};
    memcpy(name.bucket, bucket, 16);
    memcpy(name.kek_id, kek_id, 16);
    memcpy(name.dek_id, dek_id, 16);
    return name;
}

static void a_data_key(void **state)
{
    (void)state;
    struct dek_name name = data_key_name();
    uint8_t kek_bytes[32], dek[32], wrapped[72], opened[32];
    count_up(kek_bytes, 32, 0x60);
    count_up(dek, 32, 0x70);
    struct xaes_key *kek = xaes_key_new(kek_bytes);
    assert_int_equal(dek_seal(store_id, kek, &name, nonce, dek, wrapped), 0);
    assert_hex(
        wrapped + 24, 48,
        "58039e1442c1262068f06a862010c9c7a56f72c205eec31edb694b31c5f27d8bd62e50af9c10447db152c7dba9de6343");
    assert_int_equal(dek_unwrap(store_id, kek, &name, wrapped, opened), 0);
    assert_memory_equal(opened, dek, 32);
    xaes_key_free(kek);
}

static void a_data_key_opens_only_for_what_it_names(void **state)
{
    (void)state;
    const struct dek_name good = data_key_name();
    uint8_t kek_bytes[32] = {9}, dek[32] = {8}, wrapped[72], opened[32];
    struct xaes_key *kek = xaes_key_new(kek_bytes);
    assert_int_equal(dek_wrap(store_id, kek, &good, dek, wrapped), 0);
    assert_int_equal(dek_unwrap(store_id, kek, &good, wrapped, opened), 0);
    struct dek_name bad[5] = {good, good, good, good, good};
    bad[0].bucket[0] ^= 1;
    bad[1].kek_id[0] ^= 1;
    bad[2].kek_version = 2;
    bad[3].dek_id[0] ^= 1;
    bad[4].algorithm = 2;
    for (int i = 0; i < 5; i++)
        assert_int_equal(dek_unwrap(store_id, kek, &bad[i], wrapped, opened), -EBADMSG);
    assert_int_equal(dek_unwrap(bucket, kek, &good, wrapped, opened), -EBADMSG);
    xaes_key_free(kek);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_passphrase_slot),
        cmocka_unit_test(a_slot_opens_only_with_its_own_parameters),
        cmocka_unit_test(a_recovery_slot),
        cmocka_unit_test(purpose_keys_and_the_headers_mac),
        cmocka_unit_test(the_kek_root),
        cmocka_unit_test(a_bucket_key),
        cmocka_unit_test(a_bucket_key_opens_only_for_what_it_names),
        cmocka_unit_test(a_data_key),
        cmocka_unit_test(a_data_key_opens_only_for_what_it_names),
    };
    return cmocka_run_group_tests_name("kms/vectors", tests, setup, teardown);
}
