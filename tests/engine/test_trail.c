/* SPDX-License-Identifier: GPL-3.0-or-later
 * The audit trail in the engine: a record stands or falls with its transaction, refusals are folded and survive a kill, old records
 * move into pieces and expire behind a checkpoint (cases 35, 40, 41 and 46 of logs.md). */
#include "engine/trail.h"
#include "clock.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>

#include <cmocka.h>

static int setup(void **state)
{
    static struct store s;
    store_setup(&s, "{\"object-lock\":true}");
    *state = &s;
    return 0;
}

static int setup_clock(void **state)
{
    if (!clock_start())
        return -1;
    return setup(state);
}

static int teardown(void **state)
{
    store_teardown(*state);
    return 0;
}

struct walk {
    struct audit_verifier v;
    char last_name[64];
    uint64_t named, count_sum;
    const char *name;
};

/* Every record of the store, page by page, as a command reads them. */
static struct walk walk(struct store *s, const char *name)
{
    struct walk w = {.name = name};
    json_t *page = NULL, *one;
    struct audit_place from;
    struct audit_head head;
    bool begun = false, more = true;
    for (uint64_t after = 0; more;) {
        assert_int_equal(engine_audit_read(s->e, &s->c, after, 1000, &page), 0);
        const json_t *checkpoint = json_object_get(json_object_get(page, "checkpoint"), "text");
        const char *chain = json_string_value(json_object_get(page, "chain"));
        if (!begun && checkpoint) {
            assert_int_equal(audit_head_read(json_string_value(checkpoint), json_string_length(checkpoint), &head), 0);
            from = head.place;
        }
        if (!begun)
            assert_int_equal(audit_verify_begin(&w.v, chain, checkpoint ? &from : NULL), 0);
        begun = true;
        size_t n;
        json_array_foreach(json_object_get(page, "records"), n, one) {
            struct audit_place place = {.seq = (uint64_t)json_integer_value(json_object_get(one, "seq"))};
            const json_t *text = json_object_get(one, "text");
            assert_int_equal(hex_parse(json_string_value(json_object_get(one, "hash")), 64, place.hash), 0);
            assert_int_equal(audit_verify_record(&w.v, &place, NULL, json_string_value(text), json_string_length(text)), 0);
            json_t *record = json_loadb(json_string_value(text), json_string_length(text), 0, NULL);
            const char *is = json_string_value(json_object_get(record, "eventName"));
            json_int_t count = json_integer_value(json_object_get(json_object_get(record, "additionalEventData"), "count"));
            if (name && strcmp(is, name) == 0) {
                w.named++;
                w.count_sum += count ? (uint64_t)count : 1;
            }
            snprintf(w.last_name, sizeof w.last_name, "%s", is);
            json_decref(record);
            after = place.seq;
        }
        more = json_is_true(json_object_get(page, "more"));
        json_decref(page);
    }
    return w;
}

static void note(struct store *s, const char *name, size_t len)
{
    char *text = malloc(len + 1);
    memset(text, 'x', len);
    text[len] = 0;
    LOCK_SCOPE(&s->e->meta);
    assert_int_equal(trail_note_alone(s->e, &s->c, &(struct trail_event){.name = name, .source = TRAIL_HOLDFS, .params = json_pack("{s:s}", "text", text)}), 0);
    free(text);
}

static void a_record_falls_with_its_transaction(void **state)
{
    struct store *s = *state;
    {
        LOCK_SCOPE(&s->e->meta);
        struct audit_place before = s->e->trail->committed;
        assert_int_equal(txn_begin(s->e), 0);
        assert_int_equal(trail_note(s->e, &s->c, &(struct trail_event){.name = "Lost", .source = TRAIL_HOLDFS}), 0);
        assert_int_equal(s->e->trail->pending.seq, before.seq + 1);
        assert_int_equal(txn_end(s->e, -EPERM), -EPERM);
        assert_memory_equal(&s->e->trail->pending, &before, sizeof before);
        assert_int_equal(txn_begin(s->e), 0);
        assert_int_equal(txn_end(s->e, trail_note(s->e, &s->c, &(struct trail_event){.name = "Kept", .source = TRAIL_HOLDFS})), 0);
        assert_int_equal(s->e->trail->committed.seq, before.seq + 1);
    }
    struct walk w = walk(s, "Lost");
    assert_int_equal(w.v.fault, AUDIT_SOUND);
    assert_int_equal(w.named, 0);
    assert_int_equal(walk(s, "Kept").named, 1);
}

static void a_store_opened_again_goes_on_with_its_chain(void **state)
{
    struct store *s = *state;
    note(s, "First", 10);
    uint64_t last = s->e->trail->committed.seq;
    store_reopen(s);
    note(s, "Second", 10);
    struct walk w = walk(s, NULL);
    assert_int_equal(w.v.fault, AUDIT_SOUND);
    assert_true(w.v.place.seq > last);
    assert_string_equal(w.last_name, "Second");
}

static void refuse(struct store *s)
{
    LOCK_SCOPE(&s->e->meta);
    trail_refuse(&s->c, "s3:GetObject", "nothing allows it", bucket_by_number(s->e, s->bucket), span_of("k", 1), NULL);
}

static void refused(struct store *s, unsigned times)
{
    for (unsigned n = 0; n < times; n++) {
        refuse(s);
        reason_fail_s3(&s->c.reason, EACCES, "AccessDenied", "no");
        engine_audit_refused(s->e, &s->c, "read", -EACCES);
    }
    reason_clear(&s->c.reason);
}

static void case_40_refusals_fold_and_what_is_not_equal_does_not(void **state)
{
    struct store *s = *state;
    refused(s, 10000);
    struct walk w = walk(s, "GetObject");
    assert_int_equal(w.v.fault, AUDIT_SOUND);
    assert_int_equal(w.named, 1);
    assert_int_equal(w.count_sum, 10000);
    refused(s, 3); /* reading closed the window: the next begins one */
    w = walk(s, "GetObject");
    assert_int_equal(w.named, 2);
    assert_int_equal(w.count_sum, 10003);
}

static void case_41_a_refusal_survives_a_killed_daemon(void **state)
{
    struct store *s = *state;
    engine_close(s->e);
    s->e = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        struct store child = *s;
        child.secret = store_secret();
        struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = child.secret};
        struct engine_config config = {.dir = child.dir, .unlock = &unlock, .owner_text = "child", .settle_default_s = -1};
        struct reason reason = {.text = ""};
        if (engine_open(&config, &child.e, &reason) < 0)
            _exit(1);
        engine_caller_init(child.e, &child.c, getuid(), getgid(), getpid(), "mount");
        refused(&child, 5);
        kill(getpid(), SIGKILL);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status));
    store_reopen(s);
    struct walk w = walk(s, "GetObject");
    assert_int_equal(w.v.fault, AUDIT_SOUND);
    assert_int_equal(w.named, 1);
    assert_true(w.count_sum >= 1);
}

static void case_35_a_cut_tail_is_found_by_the_last_signed_head(void **state)
{
    struct store *s = *state;
    json_t *heads = NULL;
    for (int i = 0; i < 5; i++)
        note(s, "Tail", 10);
    struct audit_place told;
    {
        LOCK_SCOPE(&s->e->meta);
        assert_int_equal(trail_head_make(s->e), 0);
        told = s->e->trail->committed;
        assert_int_equal(s->e->meta_ops->begin(s->e->m), 0);
        assert_int_equal(s->e->meta_ops->trail_del(s->e->m, TRAIL_RECORDS, told.seq - 1, told.seq), 0);
        assert_int_equal(s->e->meta_ops->commit(s->e->m), 0);
    }
    assert_int_equal(engine_audit_heads(s->e, &s->c, 0, &heads), 0);
    const json_t *last = json_array_get(json_object_get(heads, "heads"), json_array_size(json_object_get(heads, "heads")) - 1);
    assert_int_equal(json_integer_value(json_object_get(last, "seq")), told.seq);
    json_decref(heads);
    struct walk w = walk(s, NULL);
    assert_int_equal(w.v.fault, AUDIT_SOUND);
    audit_verify_place(&w.v, &told, NULL);
    assert_int_equal(w.v.fault, AUDIT_TAIL_CUT);
    assert_int_equal(w.v.bad_seq, told.seq - 1);
}

static void old_records_move_into_pieces_and_read_the_same(void **state)
{
    struct store *s = *state;
    for (int i = 0; i < 300; i++)
        note(s, "Piece", 8000);
    {
        LOCK_SCOPE(&s->e->meta);
        assert_int_equal(trail_head_make(s->e), 0);
    }
    int packed = 0;
    while (trail_pack(s->e) == 1)
        packed++;
    assert_int_equal(packed, 2);
    for (int round = 0; round < 2; round++) {
        struct walk w = walk(s, "Piece");
        assert_int_equal(w.v.fault, AUDIT_SOUND);
        assert_int_equal(w.named, 300);
        store_reopen(s);
    }
    assert_true(s->e->trail->packed > 200);
}

static void case_46_records_expire_by_whole_pieces_and_verification_begins_behind(void **state)
{
    struct store *s = *state;
    assert_int_equal(engine_audit_set(s->e, &s->c, "audit-keep", "10d"), -EINVAL);
    assert_int_equal(engine_audit_set(s->e, &s->c, "audit-keep", "90d"), 0);
    for (int i = 0; i < 300; i++)
        note(s, "Old", 8000);
    {
        LOCK_SCOPE(&s->e->meta);
        assert_int_equal(trail_head_make(s->e), 0);
    }
    while (trail_pack(s->e) == 1)
        ;
    uint64_t packed = s->e->trail->packed;
    assert_int_equal(trail_expire(s->e), 0); /* too young */
    test_clock.wall_s += 91 * 86400;
    clock_put();
    assert_int_equal(trail_expire(s->e), 0); /* the date alone was set ahead */
    test_clock.mono_s += 91 * 86400;
    clock_put();
    unsigned gone = 0;
    while (trail_expire(s->e) == 1)
        gone++;
    assert_true(gone >= 1);
    struct walk w = walk(s, "Old");
    assert_int_equal(w.v.fault, AUDIT_SOUND);
    assert_int_equal(w.v.first, packed + 1);
    assert_true(w.named > 0 && w.named < 300);
    store_reopen(s);
    assert_int_equal(walk(s, NULL).v.fault, AUDIT_SOUND);
}

static void another_key_signs_after_its_record_and_the_old_one_is_gone(void **state)
{
    struct store *s = *state;
    uint8_t before[AUDIT_PUBLIC_BYTES];
    memcpy(before, s->e->trail->public, sizeof before);
    json_t *o = NULL;
    assert_int_equal(engine_audit_rotate_key(s->e, &s->c, &o), 0);
    assert_non_null(strstr(json_string_value(json_object_get(o, "public_key")), "BEGIN PUBLIC KEY"));
    json_decref(o);
    assert_memory_not_equal(before, s->e->trail->public, sizeof before);
    memcpy(before, s->e->trail->public, sizeof before);
    store_reopen(s);
    assert_memory_equal(before, s->e->trail->public, sizeof before);
    assert_int_equal(walk(s, "RotateAuditKey").named, 1);
}

static void what_waited_in_the_file_beside_enters_the_trail(void **state)
{
    struct store *s = *state;
    engine_close(s->e);
    s->e = NULL;
    struct secret *wrong = secret_copy("another passphrase", 18);
    struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = wrong};
    struct engine_config config = {.dir = s->dir, .unlock = &unlock, .owner_text = "somebody", .settle_default_s = -1};
    struct reason reason = {.text = ""};
    struct engine *e;
    assert_int_equal(engine_open(&config, &e, &reason), -EACCES);
    secret_free(wrong);
    engine_audit_pending(s->dir, 4711, 1, "AddKeySlot", NULL, json_pack("{s:i}", "slot", 3));
    engine_audit_pending(s->dir, 0, 1, "RotateMasterKey", NULL, NULL);
    store_reopen(s);
    trail_run(s->e, false);
    assert_int_equal(walk(s, "OpenStore").named, 1);
    assert_int_equal(walk(s, "AddKeySlot").named, 1);
    assert_int_equal(walk(s, "RotateAuditKey").named, 1); /* M was renewed: the signing key is too */
    assert_int_equal(walk(s, NULL).v.fault, AUDIT_SOUND);
    trail_run(s->e, false);
    assert_int_equal(walk(s, "OpenStore").named, 1);
}

static int see_row(void *arg, const struct trail_row *row)
{
    char *text = arg;
    snprintf(text + strlen(text), 256 - strlen(text), "%llu-%llu:%zu,", (unsigned long long)row->seq, (unsigned long long)row->last, row->body.len);
    return row->seq == 7 ? 1 : 0;
}

static void rows_are_ordered_and_heads_are_apart(void **state)
{
    struct store *s = *state;
    LOCK_SCOPE(&s->e->meta);
    const struct meta_ops *ops = s->e->meta_ops;
    struct meta *m = s->e->m;
    char up[256] = "", down[256] = "", heads[256] = "";
    assert_int_equal(txn_flush(s->e), 0);
    assert_int_equal(ops->begin(m), 0);
    assert_int_equal(ops->trail_del(m, TRAIL_RECORDS, 0, INT64_MAX), 0);
    assert_int_equal(ops->trail_del(m, TRAIL_HEADS, 0, INT64_MAX), 0);
    for (uint64_t n = 1; n <= 12; n++)
        assert_int_equal(ops->trail_put(m, TRAIL_RECORDS, &(struct trail_row){.seq = n, .last = n, .body = span_of("r", 1)}), 0);
    assert_int_equal(ops->trail_put(m, TRAIL_HEADS, &(struct trail_row){.seq = 5, .last = 5, .body = span_of("head", 4)}), 0);
    assert_int_equal(ops->trail_del(m, TRAIL_RECORDS, 7, 9), 0);
    assert_int_equal(ops->trail_del(m, TRAIL_RECORDS, 100, 200), 0);
    assert_int_equal(ops->trail_put(m, TRAIL_RECORDS, &(struct trail_row){.seq = 7, .last = 9, .body = span_of("piece", 5)}), 0);
    assert_int_equal(ops->trail_scan(m, TRAIL_RECORDS, 5, false, see_row, up), 0);
    assert_string_equal(up, "5-5:1,6-6:1,7-9:5,");
    assert_int_equal(ops->trail_scan(m, TRAIL_RECORDS, UINT64_MAX, true, see_row, down), 0);
    assert_string_equal(down, "12-12:1,11-11:1,10-10:1,7-9:5,");
    assert_int_equal(ops->trail_scan(m, TRAIL_HEADS, 0, false, see_row, heads), 0);
    assert_string_equal(heads, "5-5:4,");
    ops->rollback(m);
}

static void a_long_document_is_told_by_its_hash(void **state)
{
    (void)state;
    char *text = malloc(30000);
    memset(text, 'a', 30000);
    json_t *o = trail_document(text, 30000);
    assert_int_equal(json_integer_value(json_object_get(o, "size")), 30000);
    assert_int_equal(strlen(json_string_value(json_object_get(o, "sha256"))), 64);
    json_decref(o);
    o = trail_document(text, 20480);
    assert_int_equal(json_string_length(o), 20480);
    json_decref(o);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_falls_with_its_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_opened_again_goes_on_with_its_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(case_40_refusals_fold_and_what_is_not_equal_does_not, setup, teardown),
        cmocka_unit_test_setup_teardown(case_41_a_refusal_survives_a_killed_daemon, setup, teardown),
        cmocka_unit_test_setup_teardown(case_35_a_cut_tail_is_found_by_the_last_signed_head, setup, teardown),
        cmocka_unit_test_setup_teardown(old_records_move_into_pieces_and_read_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(another_key_signs_after_its_record_and_the_old_one_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(what_waited_in_the_file_beside_enters_the_trail, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_are_ordered_and_heads_are_apart, setup, teardown),
        cmocka_unit_test(a_long_document_is_told_by_its_hash),
    };
    const struct CMUnitTest clock_tests[] = {
        cmocka_unit_test_setup_teardown(case_46_records_expire_by_whole_pieces_and_verification_begins_behind, setup_clock, teardown),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (clock_test_enable() == 0)
        failed += cmocka_run_group_tests(clock_tests, NULL, NULL);
    return failed;
}
