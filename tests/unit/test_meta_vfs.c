/* SPDX-License-Identifier: GPL-3.0-or-later
 * Metadata at rest: the published vectors, and what is found when files were altered, exchanged, put back or
 * torn (encryption.md §12, cases 17 and 19 to 24). */
#include "../lib/metastore.h"
#include "meta/sqlite_page.h"
#include "util/xaes.h"

#include <openssl/sha.h>

enum { PAGE = 4096, ROWS = 2000, WAL_FRAME = 64 + PAGE + 40 };

static void assert_sha256(const void *bytes, size_t len, const char *hex)
{
    uint8_t digest[32];
    SHA256(bytes, len, digest);
    assert_hex(digest, sizeof(digest), hex);
}

static struct page_codec vector_codec(void)
{
    uint8_t master[32], key[32];
    struct page_codec c = {.page_size_bytes = PAGE};
    count_up(master, sizeof(master), 0);
    count_up(c.store, sizeof(c.store), 0x10);
    count_up(c.salt, sizeof(c.salt), 0xd0);
    hkdf_sha256(master, sizeof(master), c.store, sizeof(c.store), "holdfs/v1/page/1", 16, key);
    c.key = xaes_key_new(key);
    assert_non_null(c.key);
    return c;
}

static void vector_page(uint8_t page[PAGE])
{
    for (unsigned i = 0; i < PAGE; i++)
        page[i] = i < PAGE - PAGE_RESERVE_BYTES ? (uint8_t)(i % 251) : 0;
}

static void pages_match_the_published_vectors(void **state)
{
    (void)state;
    struct page_codec c = vector_codec();
    uint8_t nonce[24], plain[PAGE], sealed[PAGE], back[PAGE];
    count_up(nonce, sizeof(nonce), 0xc0);
    vector_page(plain);
    assert_int_equal(page_seal(&c, 2, nonce, plain, sealed), 0);
    assert_sha256(sealed, PAGE, "a82aafa3e346dc980ac92189d03704687e04d5e4fcad1c79d7538668ab3174f2");
    assert_int_equal(page_open(&c, 2, sealed, back), 0);
    assert_memory_equal(back, plain, PAGE);
    assert_int_equal(page_open(&c, 3, sealed, back), -EBADMSG);
    memcpy(plain, "SQLite format 3", 16);
    assert_int_equal(page_seal(&c, 1, nonce, plain, sealed), 0);
    assert_sha256(sealed, PAGE, "df28b16fbe0557af8d81612b6b15e5b4ca2bc84bd734f39d941528a66956536c");
    assert_int_equal(page_open(&c, 1, sealed, sealed), 0);
    assert_memory_equal(sealed, plain, PAGE);
    xaes_key_free((struct xaes_key *)c.key);
}

static void log_records_match_the_published_vectors(void **state)
{
    (void)state;
    struct page_codec c = vector_codec();
    uint8_t nonce[24], id[16], header[32], got_id[16], got[32], plain[PAGE], out[PAGE + 40];
    count_up(nonce, sizeof(nonce), 0xc0);
    count_up(id, sizeof(id), 0xe0);
    count_up(header, sizeof(header), 0);
    assert_int_equal(wal_header_seal(&c, id, nonce, header, out), 0);
    assert_sha256(out, 128, "29cbe1b7a769b643a861c6aab675728e5ff2aca81d2c1e482f8f77a4d41ababb");
    assert_int_equal(wal_header_open(&c, out, got_id, got), 0);
    assert_memory_equal(got_id, id, sizeof(id));
    assert_memory_equal(got, header, sizeof(header));
    assert_int_equal(wal_record_seal(&c, id, WAL_FRAME_HEADER, 3, nonce, header, 24, out), 0);
    assert_hex(out + 24, 40,
               "599ad8dfe104eae1e9fc39ed3bcf133ccc1f32785ee595650bb7700def9b960a7a4c5e33b60f3f87");
    assert_int_equal(wal_record_open(&c, id, WAL_FRAME_HEADER, 4, out, out + 24, 24, out + 48), -EBADMSG);
    vector_page(plain);
    assert_int_equal(wal_record_seal(&c, id, WAL_PAGE, 3, nonce, plain, PAGE, out), 0);
    assert_sha256(out, sizeof(out), "2085371bd1c7dfe1330e6ad748ed96dec36e843460ec695372a68e7038736759");
    assert_int_equal(wal_record_open(&c, id, WAL_PAGE, 3, out, out + 24, PAGE, out + 24 + PAGE), 0);
    assert_memory_equal(out + 24, plain, PAGE);
    xaes_key_free((struct xaes_key *)c.key);
}

static void row_records_match_the_published_vector(void **state)
{
    (void)state;
    struct page_codec c = vector_codec();
    uint8_t nonce[24], chain[16] = {0}, out[15 + 40];
    count_up(nonce, sizeof(nonce), 0xc0);
    /* Statement 3, of inode 9; base 5, first of its round. */
    static const uint8_t rows[10] = {3, 1, 0, 0, 0, 0, 0, 0, 0, 9};
    assert_int_equal(redo_record_seal(&c, 5, chain, nonce, rows, sizeof(rows), out), 0);
    assert_hex(out + 24, 26, "5a9adadce501ece6e1fcb0f960fb80811badf00feb133f1287e0");
    assert_int_equal(redo_record_open(&c, 6, chain, out, out + 24, sizeof(rows)), -EBADMSG);
    xaes_key_free((struct xaes_key *)c.key);
}

/* ---- a store with some hundred pages, closed ---- */

static void world_make(struct metastore *s)
{
    metastore_make(s, "sqlite", PAGE);
    metastore_put(s, 0, ROWS, 'a');
    metastore_close(s);
}

static void assert_reading_fails(struct metastore *s)
{
    metastore_open(s);
    assert_int_equal(metastore_count(s), -EIO);
    assert_true(s->reports > 0);
    assert_int_not_equal(metastore_check(s), 0);
    metastore_close(s);
}

static void exchanged_pages_are_found(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    struct saved db = metastore_save(&s, "meta.db");
    assert_true(db.len > 100 * PAGE);
    for (size_t page = 20; page < 60; page += 2) {
        metastore_poke(&s, "meta.db", page * PAGE, db.bytes + (page + 1) * PAGE, PAGE);
        metastore_poke(&s, "meta.db", (page + 1) * PAGE, db.bytes + page * PAGE, PAGE);
    }
    assert_reading_fails(&s);
    assert_non_null(strstr(s.report, "page "));
    metastore_restore(&s, "meta.db", &db);
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS);
    free(db.bytes);
    metastore_remove(&s);
}

static void a_changed_bit_is_found(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    struct saved db = metastore_save(&s, "meta.db");
    /* In the ciphertext, the nonce and the tag of page 31. */
    static const size_t places[] = {0, 100, PAGE - 41, PAGE - 40, PAGE - 20, PAGE - 1};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        size_t at = 30 * PAGE + places[i];
        uint8_t changed = db.bytes[at] ^ 0x10;
        metastore_poke(&s, "meta.db", at, &changed, 1);
        assert_reading_fails(&s);
        metastore_poke(&s, "meta.db", at, db.bytes + at, 1);
    }
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS);
    free(db.bytes);
    metastore_remove(&s);
}

static void an_old_page_put_back_is_found(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    struct saved old = metastore_save(&s, "meta.db");
    metastore_open(&s);
    metastore_put(&s, 0, ROWS, 'b');
    metastore_close(&s);
    struct saved new = metastore_save(&s, "meta.db");
    size_t page = 30;
    assert_memory_not_equal(old.bytes + page * PAGE, new.bytes + page *PAGE, PAGE);
    metastore_poke(&s, "meta.db", page * PAGE, old.bytes + page * PAGE, PAGE);
    assert_reading_fails(&s);
    assert_non_null(strstr(s.report, "page 31 "));
    free(old.bytes);
    free(new.bytes);
    metastore_remove(&s);
}

static void an_old_page_and_ledger_put_back_are_refused(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    struct saved db = metastore_save(&s, "meta.db"), ledger = metastore_save(&s, "meta.ledger"),
                 root = metastore_save(&s, "meta.root");
    for (int i = 0; i < 2; i++) { /* both slots of each block are written */
        metastore_open(&s);
        metastore_put(&s, 0, ROWS, (char)('b' + i));
        metastore_close(&s);
    }
    struct saved later = metastore_save(&s, "meta.ledger");
    metastore_restore(&s, "meta.db", &db);
    metastore_restore(&s, "meta.ledger", &ledger);
    assert_int_equal(metastore_try_open(&s, false, false), -EIO);
    assert_non_null(strstr(s.reason.text, "meta.ledger"));
    /* The root of another time does not fit the ledger either. */
    metastore_restore(&s, "meta.ledger", &later);
    metastore_restore(&s, "meta.root", &root);
    assert_int_equal(metastore_try_open(&s, false, false), -EIO);
    free(db.bytes);
    free(ledger.bytes);
    free(root.bytes);
    free(later.bytes);
    metastore_remove(&s);
}

static void an_altered_or_missing_root_is_refused(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    struct saved root = metastore_save(&s, "meta.root");
    for (size_t at = 0; at < root.len; at += 7) {
        uint8_t changed = root.bytes[at] ^ 1;
        metastore_poke(&s, "meta.root", at, &changed, 1);
        assert_int_equal(metastore_try_open(&s, false, false), -EIO);
        metastore_poke(&s, "meta.root", at, root.bytes + at, 1);
    }
    metastore_cut(&s, "meta.root", 20);
    assert_int_equal(metastore_try_open(&s, false, false), -EIO);
    char *path = tempdir_path(&s.dir, "meta.root");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(metastore_try_open(&s, false, false), -EIO);
    assert_false(metastore_has(&s, "meta.root"));
    free(path);
    metastore_restore(&s, "meta.root", &root);
    metastore_open(&s);
    free(root.bytes);
    metastore_remove(&s);
}

static void a_database_cut_short_is_refused(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    struct saved db = metastore_save(&s, "meta.db");
    static const size_t lost[] = {1, PAGE, 50 * PAGE};
    for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
        metastore_cut(&s, "meta.db", db.len - lost[i]);
        assert_int_equal(metastore_try_open(&s, false, false), -EIO);
        assert_non_null(strstr(s.reason.text, "cut short"));
        metastore_restore(&s, "meta.db", &db);
    }
    metastore_cut(&s, "meta.db", 0);
    assert_int_equal(metastore_try_open(&s, false, false), -EIO);
    free(db.bytes);
    metastore_remove(&s);
}

/* ---- the log ---- */

/* Ten transactions, the first of which makes the database longer and so writes page 1. */
static void write_ten(struct metastore *s)
{
    for (unsigned i = 0; i < 10; i++) {
        metastore_put(s, ROWS + i * 100, 100, 'c');
        assert_int_equal(s->ops->flush(s->meta), 0);
    }
}

static void a_log_left_by_a_killed_process_is_read(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    metastore_crash(&s, write_ten);
    assert_true(metastore_has(&s, "meta.db-wal"));
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS + 1000);
    assert_int_equal(metastore_check(&s), 0);
    metastore_close(&s);
    assert_false(metastore_has(&s, "meta.db-wal"));
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS + 1000);
    assert_int_equal(s.reports, 0);
    metastore_remove(&s);
}

static void a_torn_log_ends_at_a_transaction(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    metastore_crash(&s, write_ten);
    struct saved db = metastore_save(&s, "meta.db"), wal = metastore_save(&s, "meta.db-wal"),
                 ledger = metastore_save(&s, "meta.ledger"), root = metastore_save(&s, "meta.root");
    size_t frames = (wal.len - 128) / WAL_FRAME;
    assert_true(frames > 30);
    int last = ROWS + 1000;
    for (size_t i = frames; i-- > 0;) {
        if (i % 3 == 0) { /* cut within a frame, or a bit changed in one */
            metastore_cut(&s, "meta.db-wal", 128 + i * WAL_FRAME + WAL_FRAME / 2);
        } else {
            size_t at = 128 + i * WAL_FRAME + (i % 3 == 1 ? 30 : 500);
            uint8_t changed = wal.bytes[at] ^ 0x80;
            metastore_poke(&s, "meta.db-wal", at, &changed, 1);
        }
        metastore_open(&s);
        int count = metastore_count(&s);
        assert_true(count <= last && count >= ROWS && (count - ROWS) % 100 == 0);
        last = count;
        assert_int_equal(metastore_check(&s), 0);
        metastore_close(&s);
        metastore_restore(&s, "meta.db", &db);
        metastore_restore(&s, "meta.db-wal", &wal);
        metastore_restore(&s, "meta.ledger", &ledger);
        metastore_restore(&s, "meta.root", &root);
    }
    assert_int_equal(last, ROWS);
    free(db.bytes);
    free(wal.bytes);
    free(ledger.bytes);
    free(root.bytes);
    metastore_remove(&s);
}

/* Records of the log exchanged or doubled, or frames of an earlier round put in: the log ends where the first
 * one is. */
static void moved_log_records_end_the_log(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    metastore_crash(&s, write_ten);
    struct saved earlier = metastore_save(&s, "meta.db-wal");
    metastore_open(&s);
    metastore_close(&s);
    metastore_crash(&s, write_ten);
    struct saved wal = metastore_save(&s, "meta.db-wal");
    size_t frames = (wal.len - 128) / WAL_FRAME;
    for (size_t i = 0; i < frames; i += 5) {
        size_t at = 128 + i * WAL_FRAME, other = 128 + (i + 7) % frames * WAL_FRAME;
        if (i % 3 == 0) {
            metastore_poke(&s, "meta.db-wal", at, wal.bytes + other, WAL_FRAME);
            metastore_poke(&s, "meta.db-wal", other, wal.bytes + at, WAL_FRAME);
        } else if (i % 3 == 1) { /* the page alone */
            metastore_poke(&s, "meta.db-wal", at + 64, wal.bytes + other + 64, WAL_FRAME - 64);
        } else {
            metastore_poke(&s, "meta.db-wal", at, earlier.bytes + at, WAL_FRAME);
        }
        assert_int_equal(metastore_try_open(&s, false, true), 0);
        int count = metastore_count(&s);
        assert_true(count >= ROWS && count < ROWS + 1000 + 1 && count % 100 == 0);
        assert_int_equal(metastore_check(&s), 0);
        metastore_close(&s);
        metastore_restore(&s, "meta.db-wal", &wal);
    }
    free(earlier.bytes);
    free(wal.bytes);
    metastore_remove(&s);
}

static void an_altered_log_header_is_refused(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    metastore_crash(&s, write_ten);
    metastore_poke(&s, "meta.db-wal", 60, "altered", 7);
    assert_int_equal(metastore_try_open(&s, false, false), -EIO);
    assert_non_null(strstr(s.reason.text, "meta.db-wal"));
    /* One that holds nothing is as good as none. */
    metastore_cut(&s, "meta.db-wal", 100);
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS);
    metastore_remove(&s);
}

static void page_1_torn_is_taken_from_the_log_or_refused(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    metastore_crash(&s, write_ten);
    static const uint8_t torn[PAGE / 2];
    metastore_poke(&s, "meta.db", PAGE / 2, torn, sizeof(torn));
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS + 1000);
    assert_int_equal(metastore_check(&s), 0);
    metastore_close(&s);
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS + 1000);
    metastore_close(&s);
    metastore_poke(&s, "meta.db", PAGE / 2, torn, sizeof(torn));
    assert_int_equal(metastore_try_open(&s, false, false), -EIO);
    assert_non_null(strstr(s.reason.text, "page 1 "));
    metastore_remove(&s);
}

static void a_checkpoint_killed_before_the_root_is_made_good(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    metastore_crash(&s, write_ten);
    struct saved wal = metastore_save(&s, "meta.db-wal"), ledger = metastore_save(&s, "meta.ledger"),
                 root = metastore_save(&s, "meta.root");
    metastore_open(&s);
    assert_int_equal(s.ops->checkpoint(s.meta, true, NULL), 0);
    metastore_close(&s);
    /* meta.db is now ahead of its ledger, and longer than the root says. */
    metastore_restore(&s, "meta.db-wal", &wal);
    metastore_restore(&s, "meta.ledger", &ledger);
    metastore_restore(&s, "meta.root", &root);
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS + 1000);
    assert_int_equal(metastore_check(&s), 0);
    metastore_close(&s);
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS + 1000);
    assert_int_equal(s.reports, 0);
    free(wal.bytes);
    free(ledger.bytes);
    free(root.bytes);
    metastore_remove(&s);
}

static void assert_unchanged(struct metastore *s, const char *name, struct saved *before)
{
    struct saved now = metastore_save(s, name);
    assert_int_equal(now.len, before->len);
    assert_memory_equal(now.bytes, before->bytes, now.len);
    free(now.bytes);
    free(before->bytes);
}

static void write_both(struct metastore *s)
{
    write_ten(s);
    metastore_put(s, ROWS + 1000, 100, 'd');
}

static void reading_only_changes_no_file_and_sees_the_log(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    assert_int_equal(metastore_try_open(&s, false, true), 0);
    assert_int_equal(metastore_count(&s), ROWS);
    metastore_close(&s);
    assert_false(metastore_has(&s, "meta.db-wal"));
    metastore_crash(&s, write_both);
    struct saved db = metastore_save(&s, "meta.db"), wal = metastore_save(&s, "meta.db-wal"),
                 ledger = metastore_save(&s, "meta.ledger"), root = metastore_save(&s, "meta.root"),
                 redo = metastore_save(&s, "meta.redo");
    assert_int_equal(metastore_try_open(&s, false, true), 0);
    assert_int_equal(metastore_count(&s), ROWS + 1100);
    assert_int_equal(s.ops->begin(s.meta), -EROFS);
    assert_int_equal(s.ops->checkpoint(s.meta, true, NULL), 0);
    assert_int_equal(metastore_check(&s), 0);
    metastore_close(&s);
    assert_unchanged(&s, "meta.db", &db);
    assert_unchanged(&s, "meta.db-wal", &wal);
    assert_unchanged(&s, "meta.ledger", &ledger);
    assert_unchanged(&s, "meta.root", &root);
    assert_unchanged(&s, "meta.redo", &redo);
    metastore_remove(&s);
}

/* ---- nothing readable at rest ---- */

static void no_journal_no_shm_and_no_name_in_any_file(void **state)
{
    (void)state;
    struct metastore s;
    metastore_make(&s, "sqlite", PAGE);
    metastore_put(&s, 0, 500, 'x');
    assert_int_equal(s.ops->checkpoint(s.meta, true, NULL), 0);
    metastore_put(&s, 250, 500, 'y');
    DIR *dir = opendir(s.dir.path);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        assert_null(strstr(e->d_name, "-shm"));
        assert_null(strstr(e->d_name, "-journal"));
        struct saved file = metastore_save(&s, e->d_name);
        static const char *const known[] = {"key-000", "CREATE TABLE", "SQLite format", "xxxxxxxx",
                                            "yyyyyyyy"};
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            assert_null(memmem(file.bytes, file.len, known[i], strlen(known[i])));
        free(file.bytes);
    }
    closedir(dir);
    metastore_remove(&s);
}

static int compare_blocks(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static void no_block_of_the_log_repeats(void **state)
{
    (void)state;
    struct metastore s;
    metastore_make(&s, "sqlite", PAGE);
    assert_int_equal(s.ops->checkpoint(s.meta, true, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        metastore_put(&s, 7, 1, 'z');
        assert_int_equal(s.ops->flush(s.meta), 0);
    }
    struct saved wal = metastore_save(&s, "meta.db-wal");
    assert_true(wal.len > 2000 * PAGE);
    uint8_t *blocks = wal.bytes + 128; /* the file header ends in zeros */
    size_t count = (wal.len - 128) / 16;
    qsort(blocks, count, 16, compare_blocks);
    for (size_t i = 1; i < count; i++)
        assert_memory_not_equal(blocks + (i - 1) * 16, blocks + i * 16, 16);
    free(wal.bytes);
    metastore_remove(&s);
}

static void another_key_opens_nothing(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    uint8_t store[16], key[32] = {1};
    count_up(store, sizeof(store), 0x10);
    struct meta_config config = {.dir = s.dir.path,
                                 .store_id = store,
                                 .page_key = key,
                                 .page_size_bytes = PAGE,
                                 .cache_bytes = 1 << 20};
    assert_int_equal(s.ops->open(&config, &s.meta, &s.reason), -EIO);
    metastore_open(&s);
    metastore_remove(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_match_the_published_vectors),
        cmocka_unit_test(log_records_match_the_published_vectors),
        cmocka_unit_test(exchanged_pages_are_found),
        cmocka_unit_test(a_changed_bit_is_found),
        cmocka_unit_test(an_old_page_put_back_is_found),
        cmocka_unit_test(an_old_page_and_ledger_put_back_are_refused),
        cmocka_unit_test(an_altered_or_missing_root_is_refused),
        cmocka_unit_test(a_database_cut_short_is_refused),
        cmocka_unit_test(a_log_left_by_a_killed_process_is_read),
        cmocka_unit_test(a_torn_log_ends_at_a_transaction),
        cmocka_unit_test(moved_log_records_end_the_log),
        cmocka_unit_test(an_altered_log_header_is_refused),
        cmocka_unit_test(page_1_torn_is_taken_from_the_log_or_refused),
        cmocka_unit_test(a_checkpoint_killed_before_the_root_is_made_good),
        cmocka_unit_test(reading_only_changes_no_file_and_sees_the_log),
        cmocka_unit_test(row_records_match_the_published_vector),
        cmocka_unit_test(no_journal_no_shm_and_no_name_in_any_file),
        cmocka_unit_test(no_block_of_the_log_repeats),
        cmocka_unit_test(another_key_opens_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
