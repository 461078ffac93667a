/* SPDX-License-Identifier: GPL-3.0-or-later
 * Collection, compaction, fsck, scrub, export and import over a real store. */
#include "engine/private.h"
#include "store.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIG = 4 << 20 };

static const struct engine_progress quiet = {NULL, NULL};

static int setup(void **state)
{
    static struct store s;
    store_setup(&s, "{}");
    *state = &s;
    return 0;
}

static int setup_locked(void **state)
{
    static struct store s;
    store_setup(&s, "{\"object-lock\":true}");
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    store_teardown(*state);
    return 0;
}

static uint8_t *noise(size_t len, unsigned seed)
{
    uint8_t *p = malloc(len);
    assert_non_null(p);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245 + 12345;
        p[i] = (uint8_t)(seed >> 16);
    }
    return p;
}

static json_int_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static json_t *run(struct store *s,
                   int (*f)(struct engine *, struct caller *, struct engine_progress, json_t **))
{
    json_t *ret = NULL;
    int r = f(s->e, &s->c, quiet, &ret);
    if (r < 0)
        fail_msg("%s (%s)", strerror(-r), s->c.reason.text);
    return ret;
}

static json_t *fsck(struct store *s, bool repair)
{
    json_t *ret = NULL;
    int r = engine_fsck(s->e, &s->c, repair, quiet, &ret);
    if (r < 0)
        fail_msg("fsck: %s (%s)", strerror(-r), s->c.reason.text);
    return ret;
}

static void assert_sound(struct store *s)
{
    json_t *o = fsck(s, false);
    if (number(o, "errors")) {
        char *text = json_dumps(o, JSON_INDENT(2));
        print_error("%s\n", text);
        free(text);
    }
    assert_int_equal(number(o, "errors"), 0);
    json_decref(o);
    o = run(s, engine_scrub);
    assert_true(json_is_true(json_object_get(o, "clean")));
    json_decref(o);
}

static void assert_content(struct store *s, const char *path, const uint8_t *want, size_t len)
{
    uint8_t *got = malloc(len + 1);
    struct engine_handle *h;
    assert_int_equal(engine_open_file(s->e, &s->c, store_ino(s, path), O_RDONLY, &h), 0);
    size_t at = 0;
    for (ssize_t n; (n = engine_read(h, got + at, len + 1 - at, at)) > 0;)
        at += (size_t)n;
    engine_release(h);
    assert_int_equal(at, len);
    assert_memory_equal(got, want, len);
    free(got);
}

static int take_seq(void *arg, const struct engine_version *v)
{
    *(uint64_t *)arg = v->seq;
    return 1;
}

static uint64_t newest(struct store *s, const char *key)
{
    uint64_t seq = 0;
    struct engine_place place = store_place(s, key);
    int r = engine_versions(s->e, &s->c, &place, false, 0, 1, take_seq, &seq);
    assert_true(r >= 0 || r == -ENOENT);
    return seq;
}

static void drop_versions(struct store *s, const char *key)
{
    struct engine_place place = store_place(s, key);
    for (uint64_t seq; (seq = newest(s, key));)
        assert_int_equal(engine_version_delete(s->e, &s->c, &place, seq), 0);
}

/* ---- collection ---- */

static void a_removed_version_gives_its_segment_back(void **state)
{
    struct store *s = *state;
    uint8_t *a = noise(BIG, 1), *b = noise(BIG, 2);
    store_write(s, "keep", a, BIG);
    json_decref(run(s, engine_gc)); /* seals */
    store_write(s, "gone", b, BIG);
    uint64_t before = store_segment_bytes(s);
    drop_versions(s, "gone");
    json_t *o = run(s, engine_gc);
    assert_true(number(o, "removed") >= 1);
    json_decref(o);
    assert_true(store_segment_bytes(s) + BIG <= before);
    assert_content(s, "keep", a, BIG);
    assert_sound(s);
    free(a);
    free(b);
}

static void what_a_handle_reads_is_kept_until_it_is_released(void **state)
{
    struct store *s = *state;
    uint8_t *a = noise(BIG, 1), *got = malloc(BIG);
    store_write(s, "f", a, BIG);
    struct engine_place place = store_place(s, "f");
    struct engine_handle *h;
    assert_int_equal(engine_version_open(s->e, &s->c, &place, newest(s, "f"), &h), 0);
    drop_versions(s, "f");
    json_decref(run(s, engine_gc));
    assert_int_equal(engine_read(h, got, BIG, 0), BIG);
    assert_memory_equal(got, a, BIG);
    engine_release(h);
    uint64_t before = store_segment_bytes(s);
    json_decref(run(s, engine_gc));
    assert_true(store_segment_bytes(s) < before);
    free(a);
    free(got);
}

static void what_an_open_draft_holds_is_kept(void **state)
{
    struct store *s = *state;
    uint8_t *a = noise(BIG, 1);
    store_text(s, "f", "small");
    struct engine_handle *h;
    assert_int_equal(engine_open_file(s->e, &s->c, store_ino(s, "f"), O_RDWR, &h), 0);
    for (size_t at = 0; at < BIG; at += 65536)
        assert_int_equal(engine_write(h, a + at, 65536, at), 65536);
    json_decref(run(s, engine_gc));
    json_decref(run(s, engine_compact));
    assert_int_equal(engine_flush(s->e, &s->c, h), 0);
    engine_release(h);
    assert_content(s, "f", a, BIG);
    assert_sound(s);
    free(a);
}

/* ---- compaction ---- */

/* A file whose segment is mostly dead: most of it was written over. */
static void make_mostly_dead(struct store *s, const char *name, uint8_t *content)
{
    store_write(s, name, content, BIG);
    json_decref(run(s, engine_gc)); /* seals: what follows goes to another segment */
    for (size_t at = 0; at < BIG / 4 * 3; at += 65536) {
        content[at + 5] ^= 0xff;
        store_patch(s, name, at, content + at, 65536);
    }
}

static void drop_old_versions(struct store *s, const char *key)
{
    struct engine_place place = store_place(s, key);
    uint64_t keep = newest(s, key);
    for (;;) {
        uint64_t seq = 0;
        assert_true(engine_versions(s->e, &s->c, &place, true, 0, 1, take_seq, &seq) >= 0);
        if (seq == keep)
            return;
        assert_int_equal(engine_version_delete(s->e, &s->c, &place, seq), 0);
    }
}

static void compaction_gives_back_what_is_mostly_dead(void **state)
{
    struct store *s = *state;
    uint8_t *a = noise(BIG, 1);
    make_mostly_dead(s, "f", a);
    drop_old_versions(s, "f");
    json_decref(run(s, engine_gc)); /* seals */
    uint64_t before = store_segment_bytes(s);
    json_t *o = run(s, engine_compact);
    assert_true(number(o, "versions_rewritten") >= 1);
    json_decref(o);
    uint64_t after = store_segment_bytes(s);
    assert_true(after < before);
    assert_true(after < BIG + BIG / 2);
    assert_content(s, "f", a, BIG);
    assert_sound(s);
    store_reopen(s);
    assert_content(s, "f", a, BIG);
    assert_sound(s);
    free(a);
}

static void compaction_keeps_versions_that_share_frames(void **state)
{
    struct store *s = *state;
    uint8_t *a = noise(BIG, 1);
    make_mostly_dead(s, "f", a);
    uint64_t middle = newest(s, "f");
    uint8_t *was = malloc(BIG);
    memcpy(was, a, BIG);
    a[BIG - 100] ^= 1;
    store_patch(s, "f", BIG - 65536, a + BIG - 65536, 65536);
    /* of the history only `middle` and the newest stay */
    struct engine_place place = store_place(s, "f");
    for (uint64_t after = 0;;) {
        uint64_t seq = 0;
        assert_true(engine_versions(s->e, &s->c, &place, true, after, 1, take_seq, &seq) >= 0);
        if (seq == newest(s, "f"))
            break;
        if (seq == middle)
            after = seq;
        else
            assert_int_equal(engine_version_delete(s->e, &s->c, &place, seq), 0);
    }
    json_decref(run(s, engine_compact));
    assert_content(s, "f", a, BIG);
    uint8_t *got = malloc(BIG);
    assert_int_equal(store_read_version(s, "f", middle, got, BIG), BIG);
    assert_memory_equal(got, was, BIG);
    assert_sound(s);
    free(a);
    free(was);
    free(got);
}

static void compaction_goes_on_while_a_handle_is_open(void **state)
{
    struct store *s = *state;
    uint8_t *a = noise(BIG, 1), *got = malloc(BIG);
    make_mostly_dead(s, "f", a);
    drop_old_versions(s, "f");
    struct engine_handle *h;
    assert_int_equal(engine_open_file(s->e, &s->c, store_ino(s, "f"), O_RDWR, &h), 0);
    assert_int_equal(engine_read(h, got, BIG, 0), BIG);
    json_decref(run(s, engine_compact));
    assert_int_equal(engine_read(h, got, BIG, 0), BIG);
    assert_memory_equal(got, a, BIG);
    a[7] ^= 1;
    assert_int_equal(engine_write(h, a, 100, 0), 100);
    json_decref(run(s, engine_compact));
    assert_int_equal(engine_flush(s->e, &s->c, h), 0);
    engine_release(h);
    json_decref(run(s, engine_compact));
    assert_content(s, "f", a, BIG);
    assert_sound(s);
    free(a);
    free(got);
}

static void flip_byte(struct store *s, uint32_t segment, uint64_t at)
{
    char dir[96], path[400];
    snprintf(dir, sizeof dir, "%s/segments", s->dir);
    DIR *d = opendir(dir);
    assert_non_null(d);
    (void)segment;
    uint64_t best = 0;
    char name[256] = "";
    for (struct dirent *entry; (entry = readdir(d));) {
        struct stat st;
        if (entry->d_name[0] != '.' && fstatat(dirfd(d), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode) &&
            (uint64_t)st.st_size > best) {
            best = (uint64_t)st.st_size;
            snprintf(name, sizeof name, "%s", entry->d_name);
        }
    }
    closedir(d);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static void compaction_keeps_the_segment_of_a_damaged_frame(void **state)
{
    struct store *s = *state;
    uint8_t *a = noise(BIG, 1);
    make_mostly_dead(s, "f", a);
    drop_old_versions(s, "f");
    json_decref(run(s, engine_gc));
    flip_byte(s, 0, (uint64_t)(BIG - 200000)); /* in the part that is alive */
    json_t *o = run(s, engine_compact);
    assert_int_equal(number(o, "kept_damaged"), 1);
    json_decref(o);
    o = run(s, engine_scrub);
    assert_int_equal(number(o, "damaged"), 1);
    json_decref(o);
    o = fsck(s, true);
    assert_int_equal(number(o, "errors"), 0);
    json_decref(o);
    assert_true(newest(s, "f") > 0);
    free(a);
}

/* ---- scrub and fsck ---- */

static void scrub_names_the_version_of_a_damaged_frame(void **state)
{
    struct store *s = *state;
    uint8_t *a = noise(BIG, 1);
    store_write(s, "hurt", a, BIG);
    store_text(s, "well", "x");
    flip_byte(s, 0, 1000);
    json_t *o = run(s, engine_scrub);
    assert_int_equal(number(o, "damaged"), 1);
    const json_t *first = json_array_get(json_object_get(o, "findings"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "key")), "hurt");
    json_decref(o);
    json_t *st;
    assert_int_equal(engine_status(s->e, &st), 0);
    assert_true(number(json_object_get(st, "integrity"), "events") > 0);
    assert_true(json_array_size(json_object_get(st, "warnings")) > 0);
    json_decref(st);
    char buf[4];
    assert_int_equal(store_read(s, "well", buf, sizeof buf), 1);
    free(a);
}

static void fsck_tells_a_missing_segment_and_keeps_the_version(void **state)
{
    struct store *s = *state;
    uint8_t *a = noise(BIG, 1);
    store_write(s, "f", a, BIG);
    engine_close(s->e);
    char command[160];
    snprintf(command, sizeof command, "rm -r %s/segments/*", s->dir);
    assert_int_equal(system(command), 0);
    struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = s->secret};
    struct engine_config config = {.dir = s->dir, .unlock = &unlock, .settle_default_s = -1};
    assert_int_equal(engine_open(&config, &s->e, NULL), 0);
    json_t *o = fsck(s, true);
    assert_int_equal(number(o, "errors"), 1);
    json_decref(o);
    assert_true(newest(s, "f") > 0);
    free(a);
}

/* One change of the rows behind the engine's back. */
static void spoil(struct store *s, int (*change)(struct store *s))
{
    LOCK_SCOPE(&s->e->meta);
    assert_int_equal(txn_begin(s->e), 0);
    assert_int_equal(txn_end(s->e, change(s)), 0);
}

static int lose_name(struct store *s)
{
    return s->e->meta_ops->tree_del(s->e->m, s->bucket, span_of("d/f", 3));
}

static int lose_directory(struct store *s)
{
    return s->e->meta_ops->tree_del(s->e->m, s->bucket, span_of("d", 1));
}

static int name_nothing(struct store *s)
{
    struct tree_row row = {.bucket = s->bucket, .key = span_of("ghost", 5), .ino = 4711, .kind = TREE_OBJECT};
    return s->e->meta_ops->tree_put(s->e->m, &row);
}

static int miscount(struct store *s)
{
    struct tree_row row;
    int r = s->e->meta_ops->tree_get(s->e->m, s->bucket, span_of("one", 3), &row);
    return r < 0 ? r : file_row_put(s->e, s->bucket, span_of("one", 3), row.ino, 1, 7);
}

static void fsck_finds_and_mends_what_follows_from_versions(void **state)
{
    static int (*const faults[])(struct store *) = {lose_name, lose_directory, name_nothing, miscount};
    struct store *s = *state;
    store_mkdir(s, "d");
    store_text(s, "d/f", "text");
    store_text(s, "one", "1");
    assert_sound(s);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        spoil(s, faults[i]);
        store_reopen(s); /* nothing of it cached */
        json_t *o = fsck(s, false);
        assert_true(number(o, "errors") >= 1);
        json_decref(o);
        o = fsck(s, true);
        assert_true(number(o, "repaired") >= 1);
        assert_int_equal(number(o, "errors"), 0);
        json_decref(o);
        assert_sound(s);
        assert_content(s, "d/f", (const uint8_t *)"text", 4);
    }
}

/* ---- export and import ---- */

static int export_to(struct store *s, const char *file, bool move)
{
    int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    json_t *o = NULL;
    int r = engine_export(s->e, &s->c, "buck", move, fd, quiet, &o);
    close(fd);
    json_decref(o);
    return r;
}

static int count_versions(void *arg, const struct engine_version *v)
{
    struct bytes *out = arg;
    bytes_printf(out, "%s %u %d %d|", v->name, v->flags & VERSION_MARKER, v->lock_mode, v->legal_hold);
    return 0;
}

static char *history_text(struct store *s, const char *key)
{
    struct bytes out = {0};
    struct engine_place place = store_place(s, key);
    assert_true(engine_versions(s->e, &s->c, &place, true, 0, 100, count_versions, &out) >= 0);
    return bytes_text(&out);
}

static void lock_current(struct store *s, const char *path, const char *value)
{
    struct engine_target t = {.ino = store_ino(s, path)};
    int r = engine_property_set(s->e, &s->c, &t, "retention", value, strlen(value), 0);
    if (r < 0)
        fail_msg("retention: %s (%s)", strerror(-r), s->c.reason.text);
}

static void an_import_has_the_same_ids_times_locks_and_content(void **state)
{
    struct store *s = *state, other;
    char file[96];
    snprintf(file, sizeof file, "%s.tar", s->dir);
    uint8_t *a = noise(BIG, 1);
    store_mkdir(s, "d");
    store_mkdir(s, "empty");
    store_write(s, "d/big", a, BIG);
    store_text(s, "d/f", "one");
    store_text(s, "d/f", "two");
    store_text(s, "gone", "x");
    store_unlink(s, "gone");
    struct engine_attr attr;
    assert_int_equal(engine_symlink(s->e, &s->c, s->root, "link", 4, "d/f", &attr), 0);
    assert_int_equal(engine_link(s->e, &s->c, store_ino(s, "d/f"), s->root, "hard", 4, &attr), 0);
    lock_current(s, "d/big", "COMPLIANCE +1d");
    assert_int_equal(export_to(s, file, false), 0);

    char command[200];
    snprintf(command, sizeof command, "tar tvf %s >/dev/null 2>&1", file);
    assert_int_equal(system(command), 0);

    store_setup(&other, "{}");
    assert_int_equal(engine_bucket_delete(other.e, &other.c, "buck", true), 0);
    int fd = open(file, O_RDONLY);
    json_t *o = NULL;
    int r = engine_import(other.e, &other.c, "buck", fd, quiet, &o);
    if (r < 0)
        fail_msg("import: %s (%s)", strerror(-r), other.c.reason.text);
    json_decref(o);
    close(fd);
    assert_int_equal(engine_bucket_find(other.e, "buck", 4, &other.bucket, &other.root), 0);
    static const char *const keys[] = {"d/big", "d/f", "gone", "link", "hard"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char *x = history_text(s, keys[i]), *y = history_text(&other, keys[i]);
        assert_string_equal(x, y);
        free(x);
        free(y);
    }
    assert_content(&other, "d/big", a, BIG);
    assert_content(&other, "d/f", (const uint8_t *)"two", 3);
    assert_content(&other, "hard", (const uint8_t *)"two", 3);
    assert_true(store_ino(&other, "hard") == store_ino(&other, "d/f"));
    assert_int_equal(engine_getattr(other.e, &other.c, store_ino(&other, "hard"), &attr), 0);
    assert_int_equal(attr.nlink, 2);
    assert_int_equal(store_ino(&other, "gone"), 0);
    assert_true(store_ino(&other, "empty") != 0);
    char target[16];
    assert_int_equal(engine_readlink(other.e, &other.c, store_ino(&other, "link"), target, sizeof target), 3);
    struct engine_place big = store_place(&other, "d/big");
    assert_int_equal(engine_version_delete(other.e, &other.c, &big, newest(&other, "d/big")), -EPERM);
    assert_sound(&other);
    store_teardown(&other);
    unlink(file);
    free(a);
}

static void a_move_refuses_while_anything_is_locked(void **state)
{
    struct store *s = *state;
    char file[96];
    snprintf(file, sizeof file, "%s.tar", s->dir);
    store_text(s, "free", "x");
    store_text(s, "held", "y");
    lock_current(s, "held", "COMPLIANCE +1d");
    assert_int_equal(export_to(s, file, true), -EPERM);
    assert_non_null(strstr(s->c.reason.text, "held"));
    assert_true(store_ino(s, "free") != 0);
    unlink(file);
}

static void a_move_takes_the_bucket_away(void **state)
{
    struct store *s = *state;
    char file[96];
    snprintf(file, sizeof file, "%s.tar", s->dir);
    store_text(s, "f", "x");
    assert_int_equal(export_to(s, file, true), 0);
    uint32_t bucket;
    uint64_t root;
    assert_int_equal(engine_bucket_find(s->e, "buck", 4, &bucket, &root), -ENOENT);
    int fd = open(file, O_RDONLY);
    json_t *o = NULL;
    assert_int_equal(engine_import(s->e, &s->c, "buck", fd, quiet, &o), 0);
    json_decref(o);
    close(fd);
    assert_int_equal(engine_bucket_find(s->e, "buck", 4, &s->bucket, &s->root), 0);
    assert_content(s, "f", (const uint8_t *)"x", 1);
    unlink(file);
}

static void a_cut_or_foreign_stream_is_refused(void **state)
{
    struct store *s = *state;
    char file[96];
    snprintf(file, sizeof file, "%s.tar", s->dir);
    uint8_t *a = noise(100000, 1);
    store_write(s, "f", a, 100000);
    assert_int_equal(export_to(s, file, false), 0);
    assert_int_equal(truncate(file, 50000), 0);
    json_t *o = NULL;
    int fd = open(file, O_RDONLY);
    assert_int_equal(engine_import(s->e, &s->c, "cut", fd, quiet, &o), -EINVAL);
    assert_non_null(strstr(s->c.reason.text, "cut short"));
    close(fd);
    fd = open(file, O_RDWR | O_TRUNC);
    assert_int_equal(write(fd, a, 100000), 100000);
    lseek(fd, 0, SEEK_SET);
    assert_int_equal(engine_import(s->e, &s->c, "foreign", fd, quiet, &o), -EINVAL);
    close(fd);
    unlink(file);
    free(a);
}

#define TEST(f)        cmocka_unit_test_setup_teardown(f, setup, teardown)
#define LOCKED_TEST(f) cmocka_unit_test_setup_teardown(f, setup_locked, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_removed_version_gives_its_segment_back),
        TEST(what_a_handle_reads_is_kept_until_it_is_released),
        TEST(what_an_open_draft_holds_is_kept),
        TEST(compaction_gives_back_what_is_mostly_dead),
        TEST(compaction_keeps_versions_that_share_frames),
        TEST(compaction_goes_on_while_a_handle_is_open),
        TEST(compaction_keeps_the_segment_of_a_damaged_frame),
        TEST(scrub_names_the_version_of_a_damaged_frame),
        TEST(fsck_finds_and_mends_what_follows_from_versions),
        TEST(fsck_tells_a_missing_segment_and_keeps_the_version),
        LOCKED_TEST(an_import_has_the_same_ids_times_locks_and_content),
        LOCKED_TEST(a_move_refuses_while_anything_is_locked),
        TEST(a_move_takes_the_bucket_away),
        TEST(a_cut_or_foreign_stream_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
