/* SPDX-License-Identifier: GPL-3.0-or-later
 * Slots added, changed and removed in the header's files, whole or not at all (encryption.md §1.1, cases 3 and 4). */
#include "unit.h"

#include "../lib/killstep.h"
#include "kms/internal.h"
#include "tempdir.h"

#include <errno.h>

struct store {
    struct tempdir dir;
    uint8_t id[16];
    struct unlock first, second, third;
    struct store_keys *keys;
};

static struct unlock key_file(char fill)
{
    struct secret *s = secret_new(64);
    memset(secret_bytes(s), fill, 64);
    return (struct unlock){SLOT_KEYFILE, s};
}

static int store_make(void **state)
{
    struct store *s = calloc(1, sizeof *s);
    tempdir_make(&s->dir);
    uuid_random(s->id);
    s->first = key_file('1');
    s->second = key_file('2');
    s->third = key_file('3');
    struct store_header_params params = {.page_size_bytes = 8192, .unlock = &s->first, .scrypt_log_n = 14};
    memcpy(params.store_id, s->id, 16);
    uint8_t unused[32];
    struct reason why = {0};
    if (store_header_create(s->dir.path, &params, &s->keys, unused, &why) != 0)
        fail_msg("%s", why.text);
    *state = s;
    return 0;
}

static int store_drop(void **state)
{
    struct store *s = *state;
    store_keys_free(s->keys);
    secret_free(s->first.secret);
    secret_free(s->second.secret);
    secret_free(s->third.secret);
    tempdir_remove(&s->dir);
    free(s);
    return 0;
}

static struct slot_change change_of(struct store *s, const struct unlock *by, const struct unlock *new_unlock)
{
    return (struct slot_change){
        .dir = s->dir.path, .store_id = s->id, .unlock = by, .new_unlock = new_unlock, .scrypt_log_n = 14};
}

/* Whether the secret opens, to the same M. */
static bool opens(struct store *s, const struct unlock *unlock)
{
    struct store_keys *keys;
    struct reason why = {0};
    bool repaired;
    int r = store_header_open(s->dir.path, s->id, unlock, false, &keys, &repaired, &why);
    if (r < 0) {
        assert_int_equal(r, -EACCES);
        return false;
    }
    uint8_t made[32], opened[32];
    store_keys_purpose(s->keys, "page/1", made);
    store_keys_purpose(keys, "page/1", opened);
    assert_memory_equal(made, opened, 32);
    store_keys_free(keys);
    return true;
}

static int slot_count(struct store *s)
{
    struct slot_info slots[LIMIT_SLOTS];
    struct reason why = {0};
    return store_header_slots(s->dir.path, s->id, slots, &why);
}

static unsigned added(struct store *s, const struct unlock *by, const struct unlock *new_unlock)
{
    struct slot_change change = change_of(s, by, new_unlock);
    struct reason why = {0};
    unsigned n = 99;
    if (store_slot_add(&change, &n, &why) != 0)
        fail_msg("%s", why.text);
    return n;
}

static void an_added_secret_opens_beside_the_first(void **state)
{
    struct store *s = *state;
    assert_false(opens(s, &s->second));
    assert_int_equal(added(s, &s->first, &s->second), 1);
    assert_true(opens(s, &s->first));
    assert_true(opens(s, &s->second));
    assert_int_equal(slot_count(s), 2);
}

static void a_wrong_secret_changes_nothing(void **state)
{
    struct store *s = *state;
    size_t len[2];
    char *before = tempdir_read(&s->dir, "store.hdr", &len[0]);
    struct slot_change change = change_of(s, &s->third, &s->second);
    struct reason why = {0};
    unsigned n;
    assert_int_equal(store_slot_add(&change, &n, &why), -EACCES);
    assert_non_null(strstr(why.text, "no slot opens with this key"));
    char *after = tempdir_read(&s->dir, "store.hdr", &len[1]);
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(before, after, len[0]);
    free(before);
    free(after);
}

static void a_changed_slot_opens_with_the_new_secret_alone(void **state)
{
    struct store *s = *state;
    struct reason why = {0};
    added(s, &s->first, &s->second);
    struct slot_change change = change_of(s, &s->second, &s->third);
    assert_int_equal(store_slot_change(&change, 0, &why), 0);
    assert_false(opens(s, &s->first));
    assert_true(opens(s, &s->second));
    assert_true(opens(s, &s->third));
    assert_int_equal(store_slot_change(&change, 7, &why), -ENOENT);
}

static void a_passphrase_takes_a_key_files_place(void **state)
{
    struct store *s = *state;
    struct reason why = {0};
    struct unlock passphrase = {SLOT_PASSPHRASE, secret_copy("correct horse battery staple", 28)};
    struct slot_change change = change_of(s, &s->first, &passphrase);
    assert_int_equal(store_slot_change(&change, 0, &why), 0);
    assert_true(opens(s, &passphrase));
    assert_false(opens(s, &s->first));
    secret_free(passphrase.secret);
}

static void the_last_slot_stays(void **state)
{
    struct store *s = *state;
    struct reason why = {0};
    struct slot_change change = change_of(s, &s->first, NULL);
    assert_int_equal(store_slot_remove(&change, 3, &why), -ENOENT);
    assert_int_equal(store_slot_remove(&change, 0, &why), -EBUSY);
    assert_non_null(strstr(why.text, "last"));
    assert_true(opens(s, &s->first));
    added(s, &s->first, &s->second);
    assert_int_equal(store_slot_remove(&change, 0, &why), 0);
    assert_false(opens(s, &s->first));
    assert_true(opens(s, &s->second));
    assert_int_equal(added(s, &s->second, &s->third), 0); /* the number is free again */
}

static void sixteen_slots_and_no_more(void **state)
{
    struct store *s = *state;
    struct reason why = {0};
    for (unsigned i = 1; i < LIMIT_SLOTS; i++)
        assert_int_equal(added(s, &s->first, &s->second), i);
    struct slot_change change = change_of(s, &s->first, &s->third);
    unsigned n;
    assert_int_equal(store_slot_add(&change, &n, &why), -ENOSPC);
    assert_true(opens(s, &s->first));
}

static void a_new_recovery_code_ends_the_old(void **state)
{
    struct store *s = *state;
    struct reason why = {0};
    struct slot_change change = change_of(s, &s->first, NULL);
    struct unlock code[2];
    for (int i = 0; i < 2; i++) {
        uint8_t secret[32];
        unsigned n;
        assert_int_equal(store_slot_new_recovery(&change, &n, secret, &why), 0);
        assert_int_equal(n, 1);
        code[i] = (struct unlock){SLOT_RECOVERY, secret_copy(secret, 32)};
        assert_true(opens(s, &code[i]));
    }
    assert_false(opens(s, &code[0]));
    secret_free(code[0].secret);
    secret_free(code[1].secret);
}

/* encryption.md §1.5: what opened once is not left in free blocks, nor in a file. */
static void nothing_is_left_beside_the_twins(void **state)
{
    struct store *s = *state;
    added(s, &s->first, &s->second);
    char *path = tempdir_path(&s->dir, "store.hdr"), *kept = tempdir_path(&s->dir, "kept"), zeros[100] = {0};
    assert_int_equal(link(path, kept), 0);
    added(s, &s->first, &s->third);
    size_t len;
    char *bytes = tempdir_read(&s->dir, "kept", &len);
    assert_true(len > 100);
    assert_memory_equal(bytes, zeros, 100);
    assert_int_equal(unlink(kept), 0);
    DIR *dir = opendir(s->dir.path);
    int count = 0;
    for (struct dirent *e; (e = readdir(dir));)
        count += e->d_name[0] != '.';
    closedir(dir);
    assert_int_equal(count, 2);
    free(bytes);
    free(path);
    free(kept);
}

static void child_changes_slot_0(void *arg)
{
    struct store *s = arg;
    struct reason why = {0};
    struct unlock first = key_file('1'), second = key_file('2');
    struct slot_change change = change_of(s, &first, &second);
    killstep_begin();
    _exit(store_slot_change(&change, 0, &why) == 0 ? 0 : 1);
}

static void killed_at_any_step_a_change_is_whole_or_has_not_been(void **state)
{
    struct store *s = *state;
    if (!KILLSTEP_POSSIBLE)
        skip();
    int status = -1;
    unsigned n = 1, with_old = 0;
    for (;; n++) {
        bool killed = killstep_run(n, child_changes_slot_0, s, &status);
        if (!killed && status == KILLSTEP_NO_TRACE)
            skip();
        bool second = opens(s, &s->second), first = opens(s, &s->first); /* the first open repairs the twins */
        assert_true(first != second);
        with_old += first;
        if (!killed)
            break;
        if (second) { /* back, for the next round */
            struct reason why = {0};
            struct slot_change change = change_of(s, &s->second, &s->first);
            assert_int_equal(store_slot_change(&change, 0, &why), 0);
        }
    }
    assert_int_equal(status, 0);
    assert_true(opens(s, &s->second));
    assert_true(with_old > 2 && n > 10); /* it fell on both sides */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_added_secret_opens_beside_the_first, store_make, store_drop),
        cmocka_unit_test_setup_teardown(a_wrong_secret_changes_nothing, store_make, store_drop),
        cmocka_unit_test_setup_teardown(a_changed_slot_opens_with_the_new_secret_alone, store_make, store_drop),
        cmocka_unit_test_setup_teardown(a_passphrase_takes_a_key_files_place, store_make, store_drop),
        cmocka_unit_test_setup_teardown(the_last_slot_stays, store_make, store_drop),
        cmocka_unit_test_setup_teardown(sixteen_slots_and_no_more, store_make, store_drop),
        cmocka_unit_test_setup_teardown(a_new_recovery_code_ends_the_old, store_make, store_drop),
        cmocka_unit_test_setup_teardown(nothing_is_left_beside_the_twins, store_make, store_drop),
        cmocka_unit_test_setup_teardown(killed_at_any_step_a_change_is_whole_or_has_not_been, store_make, store_drop),
    };
    return cmocka_run_group_tests_name("kms slots", tests, NULL, NULL);
}
