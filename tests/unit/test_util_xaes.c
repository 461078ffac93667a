/* SPDX-License-Identifier: GPL-3.0-or-later
 * XAES-256-GCM against its published vectors, what it refuses, HKDF, and random bytes across threads and
 * forks. */
#include "unit.h"

#include "util/xaes.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint8_t nonce[24] = "ABCDEFGHIJKLMNOPQRSTUVWX";
static const char aad[] = "c2sp.org/XAES-256-GCM", plain[] = "XAES-256-GCM";

static struct xaes_key *key_of(uint8_t byte)
{
    uint8_t k[32];
    memset(k, byte, sizeof k);
    struct xaes_key *key = xaes_key_new(k);
    assert_non_null(key);
    return key;
}

static void published_vectors_match(void **state)
{
    (void)state;
    uint8_t out[28];
    struct xaes_key *one = key_of(1), *three = key_of(3);
    assert_int_equal(xaes_encrypt(one, nonce, NULL, 0, plain, 12, out, out + 12), 0);
    assert_hex(out, 28, "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
    assert_int_equal(xaes_encrypt(three, nonce, aad, sizeof aad - 1, plain, 12, out, out + 12), 0);
    assert_hex(out, 28, "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
    /* The thread's derivation context goes back to the first key. */
    assert_int_equal(xaes_encrypt(one, nonce, NULL, 0, plain, 12, out, out + 12), 0);
    assert_hex(out, 28, "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
    xaes_key_free(one);
    xaes_key_free(three);
}

static void every_changed_bit_is_noticed_and_nothing_is_returned(void **state)
{
    (void)state;
    struct xaes_key *k = key_of(3);
    uint8_t sealed[12 + XAES_OVERHEAD_BYTES], out[12], zeros[12] = {0};
    assert_int_equal(xaes_seal(k, aad, sizeof aad, plain, 12, sealed), 0);
    assert_int_equal(xaes_open(k, aad, sizeof aad, sealed, sizeof sealed, out), 0);
    assert_memory_equal(out, plain, 12);
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(out, 0xaa, sizeof out);
        assert_int_equal(xaes_open(k, aad, sizeof aad, sealed, sizeof sealed, out), -EBADMSG);
        assert_memory_equal(out, zeros, sizeof zeros);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(xaes_open(k, aad, sizeof aad - 1, sealed, sizeof sealed, out), -EBADMSG);
    assert_int_equal(xaes_open(k, aad, sizeof aad, sealed, sizeof sealed - 1, out), -EBADMSG);
    assert_int_equal(xaes_open(k, aad, sizeof aad, sealed, XAES_OVERHEAD_BYTES - 1, out), -EBADMSG);
    struct xaes_key *other = key_of(4);
    assert_int_equal(xaes_open(other, aad, sizeof aad, sealed, sizeof sealed, out), -EBADMSG);
    xaes_key_free(k);
    xaes_key_free(other);
}

static void in_place_and_empty_messages_work(void **state)
{
    (void)state;
    struct xaes_key *k = key_of(1);
    uint8_t page[8192], tag[16], sealed[XAES_OVERHEAD_BYTES];
    memset(page, 'p', sizeof page);
    assert_int_equal(xaes_encrypt(k, nonce, aad, 3, page, sizeof page, page, tag), 0);
    assert_int_equal(xaes_decrypt(k, nonce, aad, 3, page, sizeof page, tag, page), 0);
    assert_int_equal(page[0], 'p');
    assert_int_equal(page[8191], 'p');
    assert_int_equal(xaes_seal(k, aad, 3, NULL, 0, sealed), 0);
    assert_int_equal(xaes_open(k, aad, 3, sealed, sizeof sealed, page), 0);
    xaes_key_free(k);
}

static void *seal_and_open_many(void *arg)
{
    struct xaes_key **keys = arg;
    uint8_t sealed[100 + XAES_OVERHEAD_BYTES], data[100], out[100];
    for (int i = 0; i < 2000; i++) {
        memset(data, i, sizeof data);
        if (xaes_seal(keys[i % 2], "a", 1, data, 100, sealed) < 0 ||
            xaes_open(keys[i % 2], "a", 1, sealed, sizeof sealed, out) < 0 || memcmp(out, data, 100) != 0)
            return arg;
    }
    return NULL;
}

static void one_key_serves_several_threads(void **state)
{
    (void)state;
    struct xaes_key *keys[2] = {key_of(1), key_of(2)};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, seal_and_open_many, keys), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    xaes_key_free(keys[0]);
    xaes_key_free(keys[1]);
}

static void hkdf_is_rfc_5869(void **state)
{
    (void)state;
    uint8_t ikm[22], salt[13], info[10], out[32];
    memset(ikm, 0x0b, sizeof ikm);
    count_up(salt, sizeof salt, 0);
    count_up(info, sizeof info, 0xf0);
    hkdf_sha256(ikm, sizeof ikm, salt, sizeof salt, info, sizeof info, out);
    assert_hex(out, 32, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    hkdf_sha256(ikm, sizeof ikm, NULL, 0, NULL, 0, out);
    assert_hex(out, 32, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
}

static void a_forked_child_draws_other_nonces(void **state)
{
    (void)state;
    uint8_t first[24], ours[24], theirs[24];
    int fds[2];
    random_bytes(first, sizeof first);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        random_bytes(theirs, sizeof theirs);
        _exit(write(fds[1], theirs, sizeof theirs) == sizeof theirs ? 0 : 1);
    }
    random_bytes(ours, sizeof ours);
    assert_int_equal(read(fds[0], theirs, sizeof theirs), sizeof theirs);
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_memory_not_equal(ours, theirs, sizeof ours);
    assert_memory_not_equal(first, ours, sizeof ours);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_match),
        cmocka_unit_test(every_changed_bit_is_noticed_and_nothing_is_returned),
        cmocka_unit_test(in_place_and_empty_messages_work),
        cmocka_unit_test(one_key_serves_several_threads),
        cmocka_unit_test(hkdf_is_rfc_5869),
        cmocka_unit_test(a_forked_child_draws_other_nonces),
    };
    return cmocka_run_group_tests_name("util/xaes", tests, NULL, NULL);
}
