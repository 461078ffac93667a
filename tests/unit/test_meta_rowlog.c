/* SPDX-License-Identifier: GPL-3.0-or-later
 * The row log, meta.redo: what it holds after a kill is made again, and nothing else is (doc/on-disk-format.md). */
#include "../lib/metastore.h"

enum { PAGE = 4096, ROWS = 200, RECORDS = 10 };

static void world_make(struct metastore *s)
{
    metastore_make(s, "sqlite", PAGE);
    metastore_put(s, 0, ROWS, 'a');
    metastore_close(s);
}

static void write_rows(struct metastore *s)
{
    for (unsigned i = 0; i < RECORDS; i++)
        metastore_put(s, ROWS + i * 10, 10, 'r');
}

/* Where the records begin, and where the last ends. */
static void record_places(const struct saved *redo, size_t at[RECORDS + 1])
{
    at[0] = 0;
    for (int i = 0; i < RECORDS; i++) {
        const uint8_t *p = redo->bytes + at[i];
        at[i + 1] = at[i] + 44 + ((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
        assert_true(at[i + 1] <= redo->len);
    }
}

static void rows_left_by_a_killed_process_are_made_again(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    metastore_crash(&s, write_rows);
    assert_int_equal(metastore_try_open(&s, false, true), 0); /* reading only: in memory */
    assert_int_equal(metastore_count(&s), ROWS + 10 * RECORDS);
    metastore_close(&s);
    for (int round = 0; round < 2; round++) {
        metastore_open(&s);
        assert_int_equal(metastore_count(&s), ROWS + 10 * RECORDS);
        assert_int_equal(metastore_check(&s), 0);
        metastore_close(&s);
    }
    metastore_remove(&s);
}

static void an_altered_or_moved_row_record_ends_the_row_log(void **state)
{
    (void)state;
    struct metastore s;
    size_t at[RECORDS + 1];
    world_make(&s);
    metastore_crash(&s, write_rows);
    struct saved redo = metastore_save(&s, "meta.redo");
    record_places(&redo, at);
    for (int i = 0; i < RECORDS; i++) {
        if (i % 2) { /* the next one in its place */
            metastore_poke(&s, "meta.redo", at[i], redo.bytes + at[(i + 1) % RECORDS], at[i + 1] - at[i]);
        } else {
            uint8_t changed = redo.bytes[at[i] + 100] ^ 1;
            metastore_poke(&s, "meta.redo", at[i] + 100, &changed, 1);
        }
        assert_int_equal(metastore_try_open(&s, false, true), 0);
        assert_int_equal(metastore_count(&s), ROWS + 10 * i);
        metastore_close(&s);
        metastore_restore(&s, "meta.redo", &redo);
    }
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS + 10 * RECORDS);
    metastore_close(&s);
    metastore_restore(&s, "meta.redo", &redo); /* made again once: they stand on a commit that is not the last now */
    metastore_crash(&s, write_rows);
    struct saved later = metastore_save(&s, "meta.redo");
    record_places(&later, at);
    memcpy(later.bytes + at[5], redo.bytes + at[5], later.len - at[5]); /* of an earlier round */
    metastore_restore(&s, "meta.redo", &later);
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS + 10 * RECORDS);
    assert_int_equal(metastore_check(&s), 0);
    free(redo.bytes);
    free(later.bytes);
    metastore_remove(&s);
}

/* A transaction that is undone takes none of those before it along, in memory or on disk. */
static void write_and_roll_back(struct metastore *s)
{
    write_rows(s);
    for (int i = 0; i < 3; i++) {
        struct tree_row row = {.bucket = 1, .key = text_span("undone"), .ino = 7, .kind = TREE_OBJECT};
        if (s->ops->begin(s->meta) < 0 || s->ops->tree_put(s->meta, &row) < 0)
            _exit(1);
        s->ops->rollback(s->meta);
        if (metastore_count(s) != ROWS + 10 * RECORDS + i * 10 || s->ops->tree_get(s->meta, 1, text_span("undone"), &row) != -ENOENT)
            _exit(2);
        metastore_put(s, ROWS + 10 * (RECORDS + (unsigned)i), 10, 's');
    }
}

static void rollback_keeps_what_the_row_log_holds(void **state)
{
    (void)state;
    struct metastore s;
    struct tree_row row;
    world_make(&s);
    metastore_crash(&s, write_and_roll_back);
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), ROWS + 10 * (RECORDS + 3));
    assert_int_equal(s.ops->tree_get(s.meta, 1, text_span("undone"), &row), -ENOENT);
    assert_int_equal(metastore_check(&s), 0);
    metastore_remove(&s);
}

static void a_forced_checkpoint_leaves_no_row_on_disk(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    metastore_open(&s);
    write_rows(&s);
    assert_int_equal(s.ops->checkpoint(s.meta, true, NULL), 0);
    struct saved redo = metastore_save(&s, "meta.redo");
    for (size_t i = 0; i < redo.len; i++)
        assert_int_equal(redo.bytes[i], 0);
    free(redo.bytes);
    write_rows(&s);
    assert_int_equal(metastore_count(&s), ROWS + 10 * RECORDS);
    metastore_remove(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_left_by_a_killed_process_are_made_again),
        cmocka_unit_test(an_altered_or_moved_row_record_ends_the_row_log),
        cmocka_unit_test(rollback_keeps_what_the_row_log_holds),
        cmocka_unit_test(a_forced_checkpoint_leaves_no_row_on_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
