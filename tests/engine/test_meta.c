/* SPDX-License-Identifier: GPL-3.0-or-later
 * What every metadata engine must do: rows, order, transactions, durability calls. Runs over each engine of
 * the table. */
#include "../lib/metastore.h"

#include <pthread.h>
#include <sys/resource.h>

static const char *const engines[] = {"sqlite"};
static const char *engine;

static void world_make(struct metastore *s)
{
    metastore_make(s, engine, 8192);
}

static void must_begin(struct metastore *s)
{
    assert_int_equal(s->ops->begin(s->meta), 0);
}

static void must_commit(struct metastore *s)
{
    assert_int_equal(s->ops->commit(s->meta), 0);
}

/* Keys of a scan, each followed by a comma. */
struct seen {
    char text[1024];
    int stop_after; /* 0: never */
    int count;
};

static int seen_add(struct seen *seen, struct span key, long long number)
{
    size_t at = strlen(seen->text);
    snprintf(seen->text + at, sizeof(seen->text) - at, "%.*s:%lld,", (int)key.len, (const char *)key.p,
             number);
    return ++seen->count == seen->stop_after;
}

static int see_tree(void *arg, const struct tree_row *row)
{
    return seen_add(arg, row->key, (long long)row->ino);
}

static int see_version(void *arg, const struct version_row *row)
{
    return seen_add(arg, row->key, (long long)row->seq);
}

static int fail_version(void *arg, const struct version_row *row)
{
    (void)arg;
    (void)row;
    return -EINTR;
}

static void put_tree(struct metastore *s, uint32_t bucket, struct span key, uint64_t ino)
{
    struct tree_row row = {.bucket = bucket, .key = key, .ino = ino, .kind = TREE_OBJECT};
    assert_int_equal(s->ops->tree_put(s->meta, &row), 0);
}

static void names_are_ordered_by_bytes(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    must_begin(&s);
    put_tree(&s, 1, text_span("a/b"), 4);
    put_tree(&s, 1, text_span(""), 1);
    put_tree(&s, 1, text_span("a"), 2);
    put_tree(&s, 1, text_span("\xff"), 6);
    put_tree(&s, 1, text_span("a!"), 3);
    put_tree(&s, 1, text_span("a\xc3\xa4"), 5);
    put_tree(&s, 2, text_span("0"), 7);
    must_commit(&s);
    struct seen all = {.count = 0}, after = {.count = 0}, two = {.stop_after = 2}, none = {.count = 0};
    assert_int_equal(s.ops->tree_scan(s.meta, 1, text_span(""), true, see_tree, &all), 0);
    assert_string_equal(all.text, ":1,a:2,a!:3,a/b:4,a\xc3\xa4:5,\xff:6,");
    assert_int_equal(s.ops->tree_scan(s.meta, 1, text_span("a!"), false, see_tree, &after), 0);
    assert_string_equal(after.text, "a/b:4,a\xc3\xa4:5,\xff:6,");
    assert_int_equal(s.ops->tree_scan(s.meta, 1, text_span("a!"), true, see_tree, &two), 0);
    assert_string_equal(two.text, "a!:3,a/b:4,");
    assert_int_equal(s.ops->tree_scan(s.meta, 3, text_span(""), true, see_tree, &none), 0);
    assert_int_equal(none.count, 0);
    metastore_remove(&s);
}

static void directories_are_scanned_alone(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    must_begin(&s);
    put_tree(&s, 1, text_span("a"), 2);
    put_tree(&s, 1, text_span("c"), 3);
    for (uint64_t ino = 10; ino < 13; ino++) {
        struct tree_row row = {.bucket = 1, .key = span_of(&"bcd"[ino - 10], 1), .ino = ino, .kind = TREE_DIR};
        assert_int_equal(s.ops->tree_put(s.meta, &row), 0); /* `c` was an object */
    }
    put_tree(&s, 1, text_span("d"), 4); /* and `d` is one again */
    must_commit(&s);
    struct seen all = {.count = 0}, after = {.count = 0};
    assert_int_equal(s.ops->tree_scan_dirs(s.meta, 1, text_span(""), true, see_tree, &all), 0);
    assert_string_equal(all.text, "b:10,c:11,");
    assert_int_equal(s.ops->tree_scan_dirs(s.meta, 1, text_span("b"), false, see_tree, &after), 0);
    assert_string_equal(after.text, "c:11,");
    metastore_remove(&s);
}

static void a_name_is_replaced_and_removed(void **state)
{
    (void)state;
    struct metastore s;
    struct tree_row row;
    world_make(&s);
    must_begin(&s);
    put_tree(&s, 1, text_span("a"), 2);
    put_tree(&s, 1, text_span("a"), 3);
    must_commit(&s);
    assert_int_equal(s.ops->tree_get(s.meta, 1, text_span("a"), &row), 0);
    assert_int_equal(row.ino, 3);
    assert_int_equal(row.kind, TREE_OBJECT);
    assert_memory_equal(row.key.p, "a", 1);
    assert_int_equal(s.ops->tree_get(s.meta, 1, text_span("b"), &row), -ENOENT);
    assert_int_equal(s.ops->tree_get(s.meta, 2, text_span("a"), &row), -ENOENT);
    must_begin(&s);
    assert_int_equal(s.ops->tree_del(s.meta, 1, text_span("a")), 0);
    must_commit(&s);
    assert_int_equal(s.ops->tree_get(s.meta, 1, text_span("a"), &row), -ENOENT);
    metastore_remove(&s);
}

static int see_link(void *arg, uint32_t bucket, struct span key)
{
    return seen_add(arg, key, bucket);
}

static void an_inode_has_a_body_and_further_names(void **state)
{
    (void)state;
    struct metastore s;
    struct inode_row got;
    struct seen seen = {.count = 0};
    world_make(&s);
    must_begin(&s);
    struct inode_row row = {.ino = 9,
                            .bucket = 1,
                            .key = text_span("first"),
                            .body = text_span("\x01"
                                              "body")};
    assert_int_equal(s.ops->inode_put(s.meta, &row), 0);
    assert_int_equal(s.ops->link_put(s.meta, 9, 1, text_span("z")), 0);
    assert_int_equal(s.ops->link_put(s.meta, 9, 1, text_span("second")), 0);
    assert_int_equal(s.ops->link_put(s.meta, 9, 1, text_span("z")), 0);
    assert_int_equal(s.ops->link_put(s.meta, 10, 1, text_span("other")), 0);
    must_commit(&s);
    assert_int_equal(s.ops->inode_get(s.meta, 9, &got), 0);
    assert_int_equal(got.key.len, 5);
    assert_memory_equal(got.key.p, "first", 5);
    assert_int_equal(got.body.len, 5);
    assert_memory_equal(got.body.p,
                        "\x01"
                        "body",
                        5);
    assert_int_equal(s.ops->link_scan(s.meta, 9, see_link, &seen), 0);
    assert_string_equal(seen.text, "second:1,z:1,");
    must_begin(&s);
    assert_int_equal(s.ops->link_del(s.meta, 9, 1, text_span("z")), 0);
    assert_int_equal(s.ops->inode_del(s.meta, 9), 0);
    must_commit(&s);
    assert_int_equal(s.ops->inode_get(s.meta, 9, &got), -ENOENT);
    metastore_remove(&s);
}

static void put_version(struct metastore *s, const char *key, uint64_t seq, uint32_t flags)
{
    struct version_row row = {.bucket = 1, .key = text_span(key), .seq = seq, .flags = flags};
    assert_int_equal(s->ops->version_put(s->meta, &row), 0);
}

static void put_versions(struct metastore *s)
{
    must_begin(s);
    put_version(s, "b", 5, 0);
    put_version(s, "a", 1, 0);
    put_version(s, "a", 7, VERSION_MARKER);
    put_version(s, "a/x", 3, 0);
    put_version(s, "a", 4, 0);
    put_version(s, "c", 6, VERSION_MARKER);
    must_commit(s);
}

static void versions_of_a_key_come_newest_first(void **state)
{
    (void)state;
    struct metastore s;
    struct seen all = {.count = 0}, upto = {.count = 0}, up = {.count = 0}, keys = {.count = 0},
                after = {.count = 0};
    world_make(&s);
    put_versions(&s);
    assert_int_equal(s.ops->version_scan(s.meta, 1, text_span("a"), UINT64_MAX, see_version, &all), 0);
    assert_string_equal(all.text, "a:7,a:4,a:1,");
    assert_int_equal(s.ops->version_scan(s.meta, 1, text_span("a"), 6, see_version, &upto), 0);
    assert_string_equal(upto.text, "a:4,a:1,");
    assert_int_equal(s.ops->version_scan_up(s.meta, 1, text_span("a"), 1, see_version, &up), 0);
    assert_string_equal(up.text, "a:4,a:7,");
    assert_int_equal(s.ops->version_scan_keys(s.meta, 1, text_span(""), true, see_version, &keys), 0);
    assert_string_equal(keys.text, "a:7,a:4,a:1,a/x:3,b:5,c:6,");
    assert_int_equal(s.ops->version_scan_keys(s.meta, 1, text_span("a"), false, see_version, &after), 0);
    assert_string_equal(after.text, "a/x:3,b:5,c:6,");
    struct seen heads = {.count = 0};
    assert_int_equal(s.ops->version_scan_heads(s.meta, 1, text_span("a"), false, INT64_MAX, see_version, &heads), 0);
    assert_string_equal(heads.text, after.text);
    assert_int_equal(s.ops->version_scan(s.meta, 1, text_span("a"), 9, fail_version, NULL), -EINTR);
    metastore_remove(&s);
}

static void versions_are_found_by_key_seq_and_count(void **state)
{
    (void)state;
    struct metastore s;
    struct seen since = {.count = 0};
    uint8_t buf[4096];
    size_t len = 0;
    uint64_t objects = 0, markers = 0;
    world_make(&s);
    put_versions(&s);
    assert_int_equal(s.ops->version_next_key(s.meta, 1, text_span("a"), false, buf, &len), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(buf, "a/x", 3);
    assert_int_equal(s.ops->version_next_key(s.meta, 1, text_span("a"), true, buf, &len), 0);
    assert_int_equal(len, 1);
    assert_int_equal(s.ops->version_next_key(s.meta, 1, text_span("c"), false, buf, &len), -ENOENT);
    assert_int_equal(s.ops->version_scan_since(s.meta, 5, see_version, &since), 0);
    assert_int_equal(since.count, 2);
    assert_int_equal(s.ops->version_count(s.meta, 1, &objects, &markers), 0);
    assert_int_equal(objects, 4);
    assert_int_equal(markers, 2);
    assert_int_equal(s.ops->version_count(s.meta, 2, &objects, &markers), 0);
    assert_int_equal(objects + markers, 0);
    must_begin(&s);
    assert_int_equal(s.ops->version_del(s.meta, 1, text_span("a"), 4), 0);
    must_commit(&s);
    struct version_row row;
    assert_int_equal(s.ops->version_get(s.meta, 1, text_span("a"), 4, &row), -ENOENT);
    assert_int_equal(s.ops->version_get(s.meta, 1, text_span("a"), 7, &row), 0);
    metastore_remove(&s);
}

static void a_version_comes_back_as_it_was(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    static uint8_t data[70000], body[3000];
    memset(data, 0xd5, sizeof(data));
    count_up(body, sizeof(body), 3);
    struct version_row row = {.bucket = UINT32_MAX,
                              .key = text_span("k"),
                              .seq = INT64_MAX,
                              .publish_ns = -5,
                              .flags = VERSION_NULL | VERSION_MOUNT,
                              .ino = 77,
                              .lock_mode = 2,
                              .lock_until_ms = INT64_MAX,
                              .lock_hold_s = INT64_MIN,
                              .legal_hold = 2,
                              .body = span_of(body, sizeof(body)),
                              .data = span_of(data, sizeof(data))};
    count_up(row.id, sizeof(row.id), 9);
    must_begin(&s);
    assert_int_equal(s.ops->version_put(s.meta, &row), 0);
    must_commit(&s);
    metastore_close(&s);
    metastore_open(&s);
    struct version_row got;
    assert_int_equal(s.ops->version_get(s.meta, UINT32_MAX, text_span("k"), INT64_MAX, &got), 0);
    assert_int_equal(got.publish_ns, -5);
    assert_int_equal(got.flags, row.flags);
    assert_int_equal(got.ino, 77);
    assert_int_equal(got.lock_mode, 2);
    assert_true(got.lock_until_ms == INT64_MAX && got.lock_hold_s == INT64_MIN);
    assert_int_equal(got.legal_hold, 2);
    assert_memory_equal(got.id, row.id, sizeof(row.id));
    assert_int_equal(got.body.len, sizeof(body));
    assert_memory_equal(got.body.p, body, sizeof(body));
    assert_int_equal(got.data.len, sizeof(data));
    assert_memory_equal(got.data.p, data, sizeof(data));
    metastore_remove(&s);
}

static int see_bucket(void *arg, const struct bucket_row *row)
{
    return seen_add(arg, row->name, row->bucket);
}

static int see_kek(void *arg, const struct kek_row *row)
{
    assert_int_equal(row->wrapped[71], 71);
    return seen_add(arg, span_of(row->id, 1), row->version);
}

static void buckets_and_keys(void **state)
{
    (void)state;
    struct metastore s;
    struct seen buckets = {.count = 0}, keks = {.count = 0};
    world_make(&s);
    must_begin(&s);
    struct bucket_row bucket = {.bucket = 1, .name = text_span("zoo"), .body = text_span("z")};
    assert_int_equal(s.ops->bucket_put(s.meta, &bucket), 0);
    bucket = (struct bucket_row){.bucket = 2, .name = text_span("abc"), .body = text_span("a")};
    assert_int_equal(s.ops->bucket_put(s.meta, &bucket), 0);
    bucket = (struct bucket_row){.bucket = 3, .name = text_span("gone")};
    assert_int_equal(s.ops->bucket_put(s.meta, &bucket), 0);
    assert_int_equal(s.ops->bucket_del(s.meta, 3), 0);
    struct kek_row kek = {.id = {'k'}, .version = 2, .kind = 1, .epoch = 4};
    count_up(kek.wrapped, sizeof(kek.wrapped), 0);
    assert_int_equal(s.ops->kek_put(s.meta, &kek), 0);
    kek.version = 1;
    assert_int_equal(s.ops->kek_put(s.meta, &kek), 0);
    kek.version = 3;
    assert_int_equal(s.ops->kek_put(s.meta, &kek), 0);
    assert_int_equal(s.ops->kek_del(s.meta, kek.id, 3), 0);
    must_commit(&s);
    assert_int_equal(s.ops->bucket_scan(s.meta, see_bucket, &buckets), 0);
    assert_string_equal(buckets.text, "abc:2,zoo:1,");
    assert_int_equal(s.ops->kek_scan(s.meta, see_kek, &keks), 0);
    assert_string_equal(keks.text, "k:1,k:2,");
    metastore_remove(&s);
}

static int see_draft(void *arg, const struct draft_row *row)
{
    return seen_add(arg, row->body, (long long)(row->ino * 100 + row->part));
}

static int see_unsettled(void *arg, const struct unsettled_row *row)
{
    return seen_add(arg, row->key, (long long)row->seq);
}

static void drafts_settling_and_values(void **state)
{
    (void)state;
    struct metastore s;
    struct seen drafts = {.count = 0}, unsettled = {.count = 0};
    struct span value;
    world_make(&s);
    must_begin(&s);
    for (uint32_t part = 3; part-- > 0;) {
        struct draft_row draft = {.ino = 5, .part = part, .body = text_span("d")};
        assert_int_equal(s.ops->draft_put(s.meta, &draft), 0);
        draft.ino = 6;
        assert_int_equal(s.ops->draft_put(s.meta, &draft), 0);
    }
    assert_int_equal(s.ops->draft_del(s.meta, 6), 0);
    assert_int_equal(s.ops->draft_del(s.meta, 99), 0);
    struct unsettled_row row = {.bucket = 1, .key = text_span("u"), .seq = 8};
    assert_int_equal(s.ops->unsettled_put(s.meta, &row), 0);
    row.seq = 3;
    assert_int_equal(s.ops->unsettled_put(s.meta, &row), 0);
    row.seq = 4;
    assert_int_equal(s.ops->unsettled_del(s.meta, &row), 0);
    assert_int_equal(s.ops->value_put(s.meta, "clock", text_span("one")), 0);
    assert_int_equal(s.ops->value_put(s.meta, "clock", text_span("two")), 0);
    assert_int_equal(s.ops->value_put(s.meta, "empty", text_span("")), 0);
    must_commit(&s);
    assert_int_equal(s.ops->draft_scan(s.meta, see_draft, &drafts), 0);
    assert_string_equal(drafts.text, "d:500,d:501,d:502,");
    assert_int_equal(s.ops->unsettled_scan(s.meta, see_unsettled, &unsettled), 0);
    assert_string_equal(unsettled.text, "u:3,u:8,");
    assert_int_equal(s.ops->value_get(s.meta, "clock", &value), 0);
    assert_int_equal(value.len, 3);
    assert_memory_equal(value.p, "two", 3);
    assert_int_equal(s.ops->value_get(s.meta, "empty", &value), 0);
    assert_int_equal(value.len, 0);
    assert_int_equal(s.ops->value_get(s.meta, "never", &value), -ENOENT);
    metastore_remove(&s);
}

static void rollback_leaves_nothing_behind(void **state)
{
    (void)state;
    struct metastore s;
    struct tree_row row;
    world_make(&s);
    metastore_put(&s, 0, 10, 'a');
    uint64_t seq = s.ops->commit_seq(s.meta);
    must_begin(&s);
    put_tree(&s, 1, text_span("gone"), 1);
    /* More than the page cache holds, so that pages of the transaction are in the log already. */
    static uint8_t data[65536];
    for (unsigned i = 0; i < 200; i++) {
        struct version_row version = {
            .bucket = 9, .key = text_span("big"), .seq = i + 1, .data = span_of(data, sizeof(data))};
        assert_int_equal(s.ops->version_put(s.meta, &version), 0);
    }
    s.ops->rollback(s.meta);
    assert_int_equal(s.ops->tree_get(s.meta, 1, text_span("gone"), &row), -ENOENT);
    assert_int_equal(metastore_count(&s), 10);
    assert_int_equal(s.ops->commit_seq(s.meta), seq);
    metastore_put(&s, 10, 10, 'b');
    assert_int_equal(metastore_check(&s), 0);
    metastore_close(&s);
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), 20);
    assert_int_equal(metastore_check(&s), 0);
    metastore_remove(&s);
}

/* The file size limit stands for a full disk. */
static void limit_files(uint64_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == UINT64_MAX ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_undoes_the_transaction_alone(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    metastore_put(&s, 0, 10, 'a');
    static uint8_t data[65536];
    signal(SIGXFSZ, SIG_IGN);
    for (int round = 0; round < 3; round++) {
        limit_files(2 << 20);
        must_begin(&s);
        int r = 0;
        for (unsigned i = 0; i < 200 && r == 0; i++) {
            struct version_row version = {
                .bucket = 2, .key = text_span("big"), .seq = i + 1, .data = span_of(data, sizeof(data))};
            r = s.ops->version_put(s.meta, &version);
        }
        assert_int_equal(r, -ENOSPC);
        struct tree_row row = {.bucket = 1, .key = text_span("after"), .ino = 1, .kind = TREE_OBJECT};
        assert_true(s.ops->tree_put(s.meta, &row) < 0);
        s.ops->rollback(s.meta);
        assert_int_equal(s.ops->tree_get(s.meta, 1, text_span("after"), &row), -ENOENT);
        limit_files(UINT64_MAX);
        assert_int_equal(metastore_count(&s), 10 + round);
        metastore_put(&s, 10 + (unsigned)round, 1, 'b');
    }
    assert_int_equal(metastore_check(&s), 0);
    metastore_close(&s);
    metastore_open(&s);
    assert_int_equal(metastore_count(&s), 13);
    assert_int_equal(metastore_check(&s), 0);
    metastore_remove(&s);
}

static void a_transaction_larger_than_the_cache_survives(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    static uint8_t data[65536];
    must_begin(&s);
    for (unsigned i = 0; i < 300; i++) { /* the second half rewrites pages that are in the log already */
        memset(data, (int)i, sizeof(data));
        struct version_row version = {
            .bucket = 1, .key = text_span("big"), .seq = i % 150 + 1, .data = span_of(data, sizeof(data))};
        assert_int_equal(s.ops->version_put(s.meta, &version), 0);
    }
    must_commit(&s);
    struct version_row row;
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 150; i++) {
            assert_int_equal(s.ops->version_get(s.meta, 1, text_span("big"), i + 1, &row), 0);
            assert_int_equal(row.data.p[65535], (uint8_t)(i + 150));
        }
        assert_int_equal(metastore_check(&s), 0);
        metastore_close(&s);
        metastore_open(&s);
    }
    metastore_remove(&s);
}

static void commit_seq_counts_commits_that_wrote(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    uint64_t seq = s.ops->commit_seq(s.meta);
    for (unsigned i = 1; i <= 5; i++) {
        metastore_put(&s, i, 1, 'a');
        assert_int_equal(s.ops->commit_seq(s.meta), seq + i);
    }
    must_begin(&s);
    must_commit(&s);
    assert_int_equal(s.ops->commit_seq(s.meta), seq + 5);
    metastore_close(&s);
    metastore_open(&s);
    assert_int_equal(s.ops->commit_seq(s.meta), seq + 5);
    metastore_remove(&s);
}

static void create_refuses_what_is_there(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    metastore_close(&s);
    assert_int_equal(metastore_try_open(&s, true, false), -EEXIST);
    metastore_open(&s);
    metastore_remove(&s);
}

static void opening_nothing_says_so(void **state)
{
    (void)state;
    struct metastore s = {.page_size_bytes = 8192, .ops = meta_find(engine)};
    tempdir_make(&s.dir);
    assert_int_equal(metastore_try_open(&s, false, false), -ENOENT);
    assert_non_null(strstr(s.reason.text, "meta.db"));
    assert_false(metastore_has(&s, "meta.db"));
    assert_null(meta_find("no such engine"));
    tempdir_remove(&s.dir);
}

/* ---- with other threads ---- */

struct helper {
    struct metastore *s;
    _Atomic bool stop;
    int failures;
    int rounds;
};

static void *sync_often(void *arg)
{
    struct helper *h = arg;
    while (!h->stop && ++h->rounds)
        h->failures += h->s->ops->sync(h->s->meta) < 0;
    return NULL;
}

static void *checkpoint_often(void *arg)
{
    struct helper *h = arg;
    while (!h->stop && ++h->rounds)
        h->failures += h->s->ops->checkpoint(h->s->meta, h->rounds % 2, &metastore_lock) < 0;
    return NULL;
}

static void syncs_and_checkpoints_run_beside_writes(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    struct helper helpers[3] = {{.s = &s}, {.s = &s}, {.s = &s}};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i ? sync_often : checkpoint_often, &helpers[i]),
                         0);
    struct tree_row row;
    for (unsigned i = 0; i < 500; i++) {
        metastore_put(&s, i % 500, 1 + i % 7, (char)('a' + i % 26));
        LOCK_SCOPE(&metastore_lock);
        assert_int_equal(s.ops->tree_get(s.meta, 1, text_span("key-000000"), &row), 0);
    }
    for (int i = 0; i < 3; i++) {
        helpers[i].stop = true;
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(helpers[i].failures, 0);
        assert_true(helpers[i].rounds > 0);
    }
    assert_int_equal(s.reports, 0);
    assert_int_equal(metastore_check(&s), 0);
    metastore_close(&s);
    metastore_open(&s);
    assert_int_equal(metastore_check(&s), 0);
    metastore_remove(&s);
}

static void *checkpoint_when_long(void *arg)
{
    struct helper *h = arg;
    while (!h->stop && ++h->rounds) {
        h->failures += h->s->ops->checkpoint(h->s->meta, false, &metastore_lock) < 0;
        usleep(2000);
    }
    return NULL;
}

static void the_log_stays_bounded_under_constant_load(void **state)
{
    (void)state;
    struct metastore s;
    world_make(&s);
    struct helper helper = {.s = &s};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, checkpoint_when_long, &helper), 0);
    uint64_t most = 0;
    static uint8_t data[1 << 20];
    for (unsigned i = 0; i < 300; i++) { /* 300 MiB of log, if it were kept */
        struct version_row version = {
            .bucket = 1, .key = text_span("k"), .seq = i % 8 + 1, .data = span_of(data, sizeof(data))};
        LOCK_SCOPE(&metastore_lock);
        must_begin(&s);
        assert_int_equal(s.ops->version_put(s.meta, &version), 0);
        must_commit(&s);
        uint64_t now = s.ops->bytes(s.meta);
        most = now > most ? now : most;
    }
    helper.stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(helper.failures, 0);
    assert_true(most < 160 << 20);
    assert_int_equal(metastore_check(&s), 0);
    metastore_remove(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_ordered_by_bytes),
        cmocka_unit_test(directories_are_scanned_alone),
        cmocka_unit_test(directories_are_scanned_alone),
        cmocka_unit_test(a_name_is_replaced_and_removed),
        cmocka_unit_test(an_inode_has_a_body_and_further_names),
        cmocka_unit_test(versions_of_a_key_come_newest_first),
        cmocka_unit_test(versions_are_found_by_key_seq_and_count),
        cmocka_unit_test(a_version_comes_back_as_it_was),
        cmocka_unit_test(buckets_and_keys),
        cmocka_unit_test(drafts_settling_and_values),
        cmocka_unit_test(rollback_leaves_nothing_behind),
        cmocka_unit_test(a_full_disk_undoes_the_transaction_alone),
        cmocka_unit_test(a_transaction_larger_than_the_cache_survives),
        cmocka_unit_test(commit_seq_counts_commits_that_wrote),
        cmocka_unit_test(create_refuses_what_is_there),
        cmocka_unit_test(opening_nothing_says_so),
        cmocka_unit_test(syncs_and_checkpoints_run_beside_writes),
        cmocka_unit_test(the_log_stays_bounded_under_constant_load),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
        engine = engines[i];
        failed += cmocka_run_group_tests_name(engine, tests, NULL, NULL);
    }
    return failed;
}
