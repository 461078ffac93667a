/* SPDX-License-Identifier: GPL-3.0-or-later
 * The store header: made, opened by each of its slots, repaired from its twin, refused when altered
 * (encryption.md §1.1, cases 1, 2, 5 and 6). */
#include "unit.h"

#include "kms/internal.h"
#include "tempdir.h"
#include "util/clock.h"

#include <errno.h>

struct store {
    struct tempdir dir;
    uint8_t id[16];
    struct unlock passphrase, wrong, keyfile;
    uint8_t recovery[32];
    struct store_keys *keys;
};

static struct unlock unlock_of(enum slot_kind kind, const char *text)
{
    return (struct unlock){kind, secret_copy(text, strlen(text))};
}

static int store_make(void **state)
{
    struct store *s = calloc(1, sizeof *s);
    tempdir_make(&s->dir);
    uuid_random(s->id);
    s->passphrase = unlock_of(SLOT_PASSPHRASE, "correct horse battery staple");
    s->wrong = unlock_of(SLOT_PASSPHRASE, "correct horse battery stapler");
    s->keyfile = unlock_of(SLOT_KEYFILE, "0123456789abcdef0123456789abcdef");
    struct store_header_params params = {
        .page_size_bytes = 8192, .unlock = &s->passphrase, .scrypt_log_n = 14, .recovery = true};
    memcpy(params.store_id, s->id, 16);
    struct reason why = {0};
    if (store_header_create(s->dir.path, &params, &s->keys, s->recovery, &why) != 0)
        fail_msg("%s", why.text);
    *state = s;
    return 0;
}

static int store_drop(void **state)
{
    struct store *s = *state;
    store_keys_free(s->keys);
    secret_free(s->passphrase.secret);
    secret_free(s->wrong.secret);
    secret_free(s->keyfile.secret);
    tempdir_remove(&s->dir);
    free(s);
    return 0;
}

/* Opens and compares the keys with those of the creation. */
static int store_open(struct store *s, const struct unlock *unlock, bool read_only, bool *ret_repaired,
                      struct reason *why)
{
    struct store_keys *keys;
    int r = store_header_open(s->dir.path, s->id, unlock, read_only, &keys, ret_repaired, why);
    if (r < 0)
        return r;
    uint8_t made[32], opened[32];
    store_keys_purpose(s->keys, "page/1", made);
    store_keys_purpose(keys, "page/1", opened);
    assert_memory_equal(made, opened, 32);
    assert_int_equal(store_keys_page_size(keys), 8192);
    assert_int_equal(store_keys_page_generation(keys), 1);
    assert_int_equal(store_keys_epoch(keys), 1);
    store_keys_free(keys);
    return 0;
}

static void opens_without_repair(struct store *s, const struct unlock *unlock)
{
    bool repaired = true;
    struct reason why = {0};
    if (store_open(s, unlock, false, &repaired, &why) != 0)
        fail_msg("%s", why.text);
    assert_false(repaired);
}

static void is_refused(struct store *s, const struct unlock *unlock, int errnum, const char *words)
{
    struct reason why = {0};
    bool repaired;
    assert_int_equal(store_open(s, unlock, false, &repaired, &why), -errnum);
    if (!strstr(why.text, words))
        fail_msg("'%s' lacks '%s'", why.text, words);
}

/* Replaces the first occurrence of `from` by `to` (same length) in a header file. */
static void header_change(struct store *s, const char *name, const char *from, const char *to)
{
    size_t len;
    char *bytes = tempdir_read(&s->dir, name, &len), *at = strstr(bytes, from);
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    tempdir_write(&s->dir, name, bytes, len, 0600);
    free(bytes);
}

static void twins_are_equal(struct store *s)
{
    size_t len[2];
    char *a = tempdir_read(&s->dir, "store.hdr", &len[0]), *b = tempdir_read(&s->dir, "store.hdr.2", &len[1]);
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(a, b, len[0]);
    free(a);
    free(b);
}

static void every_slot_opens(void **state)
{
    struct store *s = *state;
    opens_without_repair(s, &s->passphrase);
    struct unlock recovery = {SLOT_RECOVERY, secret_copy(s->recovery, 32)};
    opens_without_repair(s, &recovery);
    secret_free(recovery.secret);
}

static void files_are_private_and_hold_no_names(void **state)
{
    struct store *s = *state;
    struct stat st;
    for (int i = 0; i < 2; i++) {
        char *path = tempdir_path(&s->dir, header_file_names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        free(path);
    }
    twins_are_equal(s);
}

static void a_wrong_secret_opens_nothing(void **state)
{
    struct store *s = *state;
    is_refused(s, &s->wrong, EACCES, "no slot opens with this key");
    is_refused(s, &s->keyfile, EACCES, "no slot opens with this key"); /* no slot of this kind */
    struct unlock as_recovery = {SLOT_RECOVERY, s->passphrase.secret};
    is_refused(s, &as_recovery, EACCES, "no slot opens with this key");
}

static void an_altered_header_is_repaired_from_its_twin(void **state)
{
    struct store *s = *state;
    static const char *const changes[][2] = {
        {"\"page_size\":8192", "\"page_size\":4096"}, /* well formed, MAC wrong */
        {"\"page_gen\":1", "\"page_gen\":x"},         /* no JSON */
        {"\"seq\":1", "\"seq\":9"},                   /* claims to be newer */
        {"\"log_n\":14", "\"log_n\":15"},
        {"hmac-sha256 ", "hmac-sha512 "}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        for (int file = 0; file < 2; file++) {
            bool repaired = false;
            header_change(s, header_file_names[file], changes[i][0], changes[i][1]);
            assert_int_equal(store_open(s, &s->passphrase, true, &repaired, NULL), 0);
            assert_false(repaired); /* a read-only opening leaves it */
            assert_int_equal(store_open(s, &s->passphrase, false, &repaired, NULL), 0);
            assert_true(repaired);
            twins_are_equal(s);
            opens_without_repair(s, &s->passphrase);
        }
    }
}

static void a_missing_or_cut_header_is_repaired(void **state)
{
    struct store *s = *state;
    for (int file = 0; file < 2; file++) {
        bool repaired = false;
        char *path = tempdir_path(&s->dir, header_file_names[file]);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(store_open(s, &s->passphrase, false, &repaired, NULL), 0);
        assert_true(repaired);
        assert_int_equal(truncate(path, 100), 0);
        repaired = false;
        assert_int_equal(store_open(s, &s->passphrase, false, &repaired, NULL), 0);
        assert_true(repaired);
        twins_are_equal(s);
        free(path);
    }
}

static void both_altered_is_refused(void **state)
{
    struct store *s = *state;
    header_change(s, "store.hdr", "\"page_size\":8192", "\"page_size\":4096");
    header_change(s, "store.hdr.2", "\"page_gen\":1", "\"page_gen\":2");
    is_refused(s, &s->passphrase, EBADMSG, "the store header has been altered");
    header_change(s, "store.hdr", "{", "[");
    header_change(s, "store.hdr.2", "{", "[");
    is_refused(s, &s->passphrase, EBADMSG, "the store header has been altered");
}

static void any_changed_byte_is_found(void **state)
{
    struct store *s = *state;
    size_t len;
    char *good = tempdir_read(&s->dir, "store.hdr", &len), *bad = malloc(len);
    struct unlock recovery = {SLOT_RECOVERY, secret_copy(s->recovery, 32)};
    for (size_t at = 0; at < len; at++) {
        memcpy(bad, good, len);
        bad[at] ^= 1;
        bool repaired;
        tempdir_write(&s->dir, "store.hdr", bad, len, 0600);
        tempdir_write(&s->dir, "store.hdr.2", bad, len, 0600);
        int r = store_open(s, &recovery, true, &repaired, NULL);
        if (r != -EBADMSG && r != -EACCES)
            fail_msg("byte %zu changed gives %d", at, r);
    }
    secret_free(recovery.secret);
    free(good);
    free(bad);
}

static void parameters_that_eat_memory_are_refused_at_once(void **state)
{
    struct store *s = *state;
    for (int file = 0; file < 2; file++)
        header_change(s, header_file_names[file], "\"log_n\":14", "\"log_n\":40");
    int64_t before_ns = clock_mono_ns();
    is_refused(s, &s->passphrase, EBADMSG, "altered");
    assert_true(clock_mono_ns() - before_ns < 1000000000);
    static const char *const bad[][2] = {{"\"log_n\":40", "\"log_n\":21"},
                                         {"\"log_n\":21", "\"log_n\":13"},
                                         {"\"r\":8", "\"r\":9"},
                                         {"\"p\":1", "\"p\":5"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (int file = 0; file < 2; file++)
            header_change(s, header_file_names[file], bad[i][0], bad[i][1]);
        is_refused(s, &s->passphrase, EBADMSG, "altered");
    }
}

static void another_stores_header_is_refused(void **state)
{
    struct store *s = *state;
    s->id[0] ^= 1;
    is_refused(s, &s->passphrase, EBADMSG, "another store");
}

static void a_newer_format_says_so(void **state)
{
    struct store *s = *state;
    for (int file = 0; file < 2; file++)
        header_change(s, header_file_names[file], "\"holdfs\":1", "\"holdfs\":2");
    is_refused(s, &s->passphrase, EBADMSG, "format 2");
}

static void a_second_store_in_the_folder_is_refused(void **state)
{
    struct store *s = *state;
    struct store_header_params params = {.page_size_bytes = 8192, .unlock = &s->keyfile, .scrypt_log_n = 17};
    struct store_keys *keys;
    uint8_t recovery[32];
    assert_int_equal(store_header_create(s->dir.path, &params, &keys, recovery, NULL), -EEXIST);
    opens_without_repair(s, &s->passphrase);
}

static void impossible_parameters_are_refused(void **state)
{
    (void)state;
    struct unlock unlock = unlock_of(SLOT_KEYFILE, "0123456789abcdef0123456789abcdef");
    struct store_keys *keys;
    uint8_t recovery[32];
    static const struct {
        unsigned log_n;
        uint32_t page_size;
    } bad[] = {{13, 8192}, {21, 8192}, {17, 2048}, {17, 5000}, {17, 131072}, {17, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct store_header_params params = {
            .page_size_bytes = bad[i].page_size, .unlock = &unlock, .scrypt_log_n = bad[i].log_n};
        assert_int_equal(store_header_create("/nonexistent", &params, &keys, recovery, NULL), -EINVAL);
    }
    secret_free(unlock.secret);
}

static void a_credential_opens_a_key_file_slot(void **state)
{
    struct store *s = *state;
    struct tempdir dir;
    tempdir_make(&dir);
    struct store_header_params params = {.page_size_bytes = 4096, .unlock = &s->keyfile, .scrypt_log_n = 17};
    memcpy(params.store_id, s->id, 16);
    struct store_keys *keys;
    uint8_t recovery[32];
    bool repaired;
    assert_int_equal(store_header_create(dir.path, &params, &keys, recovery, NULL), 0);
    store_keys_free(keys);
    struct unlock credential = {SLOT_CREDENTIAL, s->keyfile.secret};
    assert_int_equal(store_header_open(dir.path, s->id, &credential, false, &keys, &repaired, NULL), 0);
    assert_int_equal(store_keys_page_size(keys), 4096);
    store_keys_free(keys);
    tempdir_remove(&dir);
}

int main(void)
{
#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, store_make, store_drop)
    const struct CMUnitTest tests[] = {
        WITH_STORE(every_slot_opens),
        WITH_STORE(files_are_private_and_hold_no_names),
        WITH_STORE(a_wrong_secret_opens_nothing),
        WITH_STORE(an_altered_header_is_repaired_from_its_twin),
        WITH_STORE(a_missing_or_cut_header_is_repaired),
        WITH_STORE(both_altered_is_refused),
        WITH_STORE(any_changed_byte_is_found),
        WITH_STORE(parameters_that_eat_memory_are_refused_at_once),
        WITH_STORE(another_stores_header_is_refused),
        WITH_STORE(a_newer_format_says_so),
        WITH_STORE(a_second_store_in_the_folder_is_refused),
        WITH_STORE(a_credential_opens_a_key_file_slot),
        cmocka_unit_test(impossible_parameters_are_refused),
    };
    return cmocka_run_group_tests_name("kms/header", tests, NULL, NULL);
}
