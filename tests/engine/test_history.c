/* SPDX-License-Identifier: GPL-3.0-or-later
 * History and time travel over a real store: `.versions`, `.at`, restore. */
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct names {
    char text[4096];
    size_t count;
};

static int add_history(void *arg, const struct engine_history_name *n)
{
    struct names *names = arg;
    size_t at = strlen(names->text);
    snprintf(names->text + at, sizeof names->text - at, "%.*s%s%s ", (int)n->name_len, n->name,
             n->is_key ? "" : "-", n->is_dir ? "/" : "");
    names->count++;
    return 0;
}

static int add_at(void *arg, const struct engine_at_entry *entry)
{
    struct names *names = arg;
    size_t at = strlen(names->text);
    snprintf(names->text + at, sizeof names->text - at, "%.*s%s ", (int)entry->name_len, entry->name,
             entry->is_dir ? "/" : "");
    names->count++;
    return 0;
}

static const char *history_of(struct store *s, const char *dir, const char *after)
{
    static struct names names;
    names = (struct names){.count = 0};
    struct engine_place place = store_place(s, dir);
    assert_int_equal(
        engine_history_names(s->e, &s->c, &place, after, strlen(after), 1000, add_history, &names), 0);
    return names.text;
}

static const char *at_of(struct store *s, const char *dir, struct instant at)
{
    static struct names names;
    names = (struct names){.count = 0};
    struct engine_place place = store_place(s, dir);
    assert_int_equal(engine_at_readdir(s->e, &s->c, &place, at, "", 0, 1000, add_at, &names), 0);
    return names.text;
}

struct list {
    struct engine_version v[64];
    unsigned count;
};

static int add_version(void *arg, const struct engine_version *v)
{
    struct list *l = arg;
    assert_true(l->count < 64);
    l->v[l->count++] = *v;
    return 0;
}

static struct list versions_of(struct store *s, const char *key, bool oldest_first)
{
    struct list l = {.count = 0};
    struct engine_place place = store_place(s, key);
    int r = engine_versions(s->e, &s->c, &place, oldest_first, 0, 64, add_version, &l);
    assert_true(r >= 0);
    return l;
}

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

static void each_close_is_a_version_and_latest_is_the_last(void **state)
{
    struct store *s = *state;
    store_text(s, "f", "1");
    store_text(s, "f", "2");
    store_text(s, "f", "3");
    struct list up = versions_of(s, "f", true), down = versions_of(s, "f", false);
    assert_int_equal(up.count, 3);
    assert_int_equal(down.count, 3);
    char buf[8];
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(store_read_version(s, "f", up.v[i].seq, buf, sizeof buf), 1);
        assert_int_equal(buf[0], '1' + (int)i);
        assert_true(up.v[i].seq == down.v[2 - i].seq);
        assert_int_equal(up.v[i].latest, i == 2);
        assert_true(i == 0 || strcmp(up.v[i - 1].name, up.v[i].name) < 0);
    }
    struct engine_place place = store_place(s, "f");
    struct engine_version v;
    assert_int_equal(engine_version_find(s->e, &s->c, &place, "latest", 6, &v), 0);
    assert_true(v.seq == up.v[2].seq);
    assert_int_equal(engine_version_find(s->e, &s->c, &place, up.v[0].name, strlen(up.v[0].name), &v), 0);
    assert_true(v.seq == up.v[0].seq);
    assert_int_equal(engine_version_find(s->e, &s->c, &place, up.v[1].id, 32, &v), 0);
    assert_true(v.seq == up.v[1].seq);
    assert_int_equal(engine_version_find(s->e, &s->c, &place, "nonsense", 8, &v), -ENOENT);
}

static void names_merge_keys_and_what_lies_below(void **state)
{
    struct store *s = *state;
    store_mkdir(s, "a");
    store_text(s, "a/x", "1");
    store_text(s, "a-b", "1");
    store_text(s, "b.txt", "1");
    store_mkdir(s, "d");
    store_mkdir(s, "d/e");
    store_text(s, "d/e/f", "1");
    assert_string_equal(history_of(s, "", ""), "a-b a-/ b.txt d-/ ");
    assert_string_equal(history_of(s, "d", ""), "e-/ ");
    assert_string_equal(history_of(s, "", "a-b"), "a-/ b.txt d-/ ");
    assert_string_equal(history_of(s, "", "a"), "b.txt d-/ ");
    store_unlink(s, "b.txt");
    assert_string_equal(history_of(s, "", ""), "a-b a-/ b.txt d-/ ");
    struct engine_place root = store_place(s, "");
    struct engine_history_name n;
    assert_int_equal(engine_history_name(s->e, &s->c, &root, "b.txt", 5, &n), 0);
    assert_true(n.is_key && !n.is_dir);
    assert_int_equal(engine_history_name(s->e, &s->c, &root, "a", 1, &n), 0);
    assert_true(!n.is_key && n.is_dir);
    assert_int_equal(engine_history_name(s->e, &s->c, &root, "nix", 3, &n), -ENOENT);
}

static void names_are_the_same_in_small_pages(void **state)
{
    struct store *s = *state;
    char name[32];
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "n%03d%s", i, i % 3 ? ".x" : "");
        store_text(s, name, "1");
    }
    struct names all = {.count = 0}, pages = {.count = 0};
    struct engine_place root = store_place(s, "");
    assert_int_equal(engine_history_names(s->e, &s->c, &root, "", 0, 1000, add_history, &all), 0);
    assert_int_equal(all.count, 150);
    char after[256] = "";
    int more = 1;
    while (more) {
        size_t before = strlen(pages.text);
        more = engine_history_names(s->e, &s->c, &root, after, strlen(after), 7, add_history, &pages);
        assert_true(more >= 0);
        char *end = strrchr(pages.text + before, ' ');
        if (!end)
            break;
        *end = 0;
        char *start = strrchr(pages.text, ' ');
        snprintf(after, sizeof after, "%.200s", start ? start + 1 : pages.text);
        *end = ' ';
    }
    assert_string_equal(all.text, pages.text);
}

static void the_past_shows_what_stood_then(void **state)
{
    struct store *s = *state;
    struct instant nothing = store_now();
    store_mkdir(s, "d");
    store_text(s, "d/f", "v1");
    store_text(s, "top", "1");
    struct instant one = store_now();
    store_text(s, "d/f", "v2");
    store_unlink(s, "top");
    store_mkdir(s, "new");
    struct instant two = store_now();
    store_unlink(s, "d/f");
    store_text(s, "new/g", "1");
    struct instant three = store_now();

    assert_string_equal(at_of(s, "", nothing), "");
    assert_string_equal(at_of(s, "", one), "d/ top ");
    assert_string_equal(at_of(s, "", two), "d/ new/ ");
    assert_string_equal(at_of(s, "d", two), "f ");
    assert_string_equal(at_of(s, "d", three), "");
    assert_string_equal(at_of(s, "new", three), "g ");
    assert_string_equal(at_of(s, "new", two), "");

    struct engine_place d = store_place(s, "d"), root = store_place(s, "");
    struct engine_at_entry entry;
    char buf[8];
    assert_int_equal(engine_at_lookup(s->e, &s->c, &d, one, "f", 1, &entry), 0);
    assert_int_equal(store_read_version(s, "d/f", entry.version.seq, buf, sizeof buf), 2);
    assert_memory_equal(buf, "v1", 2);
    assert_int_equal(engine_at_lookup(s->e, &s->c, &d, two, "f", 1, &entry), 0);
    assert_int_equal(store_read_version(s, "d/f", entry.version.seq, buf, sizeof buf), 2);
    assert_memory_equal(buf, "v2", 2);
    assert_int_equal(engine_at_lookup(s->e, &s->c, &d, three, "f", 1, &entry), -ENOENT);
    assert_int_equal(engine_at_lookup(s->e, &s->c, &root, one, "new", 3, &entry), -ENOENT);
    assert_int_equal(engine_at_lookup(s->e, &s->c, &root, one, "d", 1, &entry), 0);
    assert_true(entry.is_dir);
    struct instant offered[32];
    int n = engine_at_instants(s->e, &s->c, &root, offered);
    assert_true(n >= 1 && n <= 32);
}

static void a_version_among_thousands_is_found_by_halves(void **state)
{
    struct store *s = *state;
    struct instant early = {0}, middle = {0};
    char text[16], buf[16];
    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "%d", i);
        store_text(s, "f", text);
        if (i == 0)
            early = store_now();
        if (i == 999)
            middle = store_now();
    }
    struct engine_place root = store_place(s, "");
    struct engine_at_entry entry;
    assert_int_equal(engine_at_lookup(s->e, &s->c, &root, early, "f", 1, &entry), 0);
    assert_int_equal(store_read_version(s, "f", entry.version.seq, buf, sizeof buf), 1);
    assert_int_equal(buf[0], '0');
    assert_int_equal(engine_at_lookup(s->e, &s->c, &root, middle, "f", 1, &entry), 0);
    assert_int_equal(store_read_version(s, "f", entry.version.seq, buf, sizeof buf), 3);
    assert_memory_equal(buf, "999", 3);
    struct engine_version v;
    struct engine_place f = store_place(s, "f");
    assert_int_equal(engine_version_find(s->e, &s->c, &f, entry.version.name, strlen(entry.version.name), &v),
                     0);
    assert_true(v.seq == entry.version.seq);
}

static void removing_a_marker_brings_the_object_back(void **state)
{
    struct store *s = *state;
    store_text(s, "f", "x");
    store_text(s, "f", "y");
    store_unlink(s, "f");
    assert_int_equal(store_ino(s, "f"), 0);
    struct list l = versions_of(s, "f", false);
    assert_int_equal(l.count, 3);
    assert_true(l.v[0].flags & VERSION_MARKER);
    struct engine_place f = store_place(s, "f");
    assert_int_equal(engine_version_delete(s->e, &s->c, &f, l.v[0].seq), 0);
    char buf[4];
    assert_int_equal(store_read(s, "f", buf, sizeof buf), 1);
    assert_int_equal(buf[0], 'y');
    assert_int_equal(engine_version_delete(s->e, &s->c, &f, l.v[0].seq), -ENOENT);
}

/* ---- restore ---- */

static json_t *restore(struct store *s, const char *key, struct engine_restore_params p)
{
    struct engine_place place = store_place(s, key);
    const struct engine_place *places[] = {&place};
    json_t *ret = NULL;
    int r = engine_restore(s->e, &s->c, places, 1, &p, (struct engine_progress){NULL, NULL}, &ret);
    if (r < 0)
        fail_msg("restore: %s (%s)", strerror(-r), s->c.reason.text);
    return ret;
}

static json_int_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static struct instant undo_of(const json_t *o)
{
    struct instant at;
    const char *text = json_string_value(json_object_get(o, "undo"));
    assert_non_null(text);
    assert_int_equal(timeform_parse_ns(text, strlen(text), &at), 0);
    return at;
}

static void restore_brings_back_a_removed_tree_and_undo_takes_it_away(void **state)
{
    struct store *s = *state;
    store_mkdir(s, "d");
    store_text(s, "d/a", "a1");
    store_text(s, "d/b", "b1");
    struct instant t = store_now();
    store_text(s, "d/a", "a2");
    store_unlink(s, "d/b");
    store_text(s, "d/c", "c1");

    json_t *plan = restore(s, "d", (struct engine_restore_params){.at = t, .dry_run = true});
    assert_int_equal(number(plan, "changed"), 1);
    assert_int_equal(number(plan, "deleted"), 1);
    assert_int_equal(number(plan, "created"), 1);
    json_decref(plan);
    char buf[8];
    assert_int_equal(store_read(s, "d/b", buf, sizeof buf), -ENOENT);

    json_t *done = restore(s, "d", (struct engine_restore_params){.at = t});
    assert_int_equal(number(done, "restored"), 2);
    assert_int_equal(store_read(s, "d/a", buf, sizeof buf), 2);
    assert_memory_equal(buf, "a1", 2);
    assert_int_equal(store_read(s, "d/b", buf, sizeof buf), 2);
    assert_int_equal(store_read(s, "d/c", buf, sizeof buf), 2);

    json_t *undone =
        restore(s, "d", (struct engine_restore_params){.at = undo_of(done), .delete_newer = true});
    assert_int_equal(store_read(s, "d/a", buf, sizeof buf), 2);
    assert_memory_equal(buf, "a2", 2);
    assert_int_equal(store_read(s, "d/b", buf, sizeof buf), -ENOENT);
    assert_int_equal(store_read(s, "d/c", buf, sizeof buf), 2);
    json_decref(done);
    json_decref(undone);
}

static void restore_with_delete_newer_removes_files_and_directories(void **state)
{
    struct store *s = *state;
    store_text(s, "keep", "1");
    store_text(s, "was-file", "1");
    struct instant t = store_now();
    store_mkdir(s, "n");
    store_mkdir(s, "n/m");
    store_text(s, "n/m/x", "1");
    store_unlink(s, "was-file");
    store_mkdir(s, "was-file");
    json_t *done = restore(s, "", (struct engine_restore_params){.at = t, .delete_newer = true});
    assert_int_equal(number(done, "removed"), 1);
    assert_int_equal(number(done, "restored"), 1);
    json_decref(done);
    assert_int_equal(store_ino(s, "n"), 0);
    char buf[4];
    assert_int_equal(store_read(s, "was-file", buf, sizeof buf), 1);
    assert_int_equal(store_read(s, "keep", buf, sizeof buf), 1);
}

static void restore_by_undoes_only_that_principal(void **state)
{
    struct store *s = *state;
    store_text(s, "f", "good");
    struct instant t = store_now();
    struct caller me = s->c;
    store_text(s, "f", "mine");
    s->c.principal = (struct principal){.kind = PRINCIPAL_ROOT, .name = "root"};
    memcpy(s->c.principal.account, "999999999999", 13);
    char other[128], mine[128];
    principal_arn(&s->c.principal, other);
    principal_arn(&me.principal, mine);
    s->c = me;
    json_t *none = restore(s, "", (struct engine_restore_params){.at = t, .by = other});
    assert_int_equal(number(none, "restored"), 0);
    json_t *done = restore(s, "", (struct engine_restore_params){.at = t, .by = mine});
    assert_int_equal(number(done, "restored"), 1);
    char buf[8];
    assert_int_equal(store_read(s, "f", buf, sizeof buf), 4);
    assert_memory_equal(buf, "good", 4);
    json_decref(none);
    json_decref(done);
}

static void restore_before_everything_names_the_first(void **state)
{
    struct store *s = *state;
    struct instant t = store_now();
    store_text(s, "f", "1");
    struct engine_place place = store_place(s, "");
    const struct engine_place *places[] = {&place};
    struct engine_restore_params p = {.at = t};
    json_t *ret = NULL;
    assert_int_equal(engine_restore(s->e, &s->c, places, 1, &p, (struct engine_progress){NULL, NULL}, &ret),
                     -EINVAL);
    assert_non_null(strstr(s->c.reason.text, "before the first version"));
}

static void restore_seals_what_is_being_written(void **state)
{
    struct store *s = *state;
    store_text(s, "f", "old");
    struct instant t = store_now();
    struct engine_handle *h;
    assert_int_equal(engine_open_file(s->e, &s->c, store_ino(s, "f"), O_WRONLY, &h), 0);
    assert_int_equal(engine_write(h, "new", 3, 0), 3);
    json_t *done = restore(s, "", (struct engine_restore_params){.at = t});
    assert_int_equal(number(done, "restored"), 1);
    json_decref(done);
    engine_release(h);
    char buf[8];
    assert_int_equal(store_read(s, "f", buf, sizeof buf), 3);
    assert_memory_equal(buf, "old", 3);
    assert_int_equal(versions_of(s, "f", true).count, 3);
}

static void restore_refuses_to_hide_what_is_locked(void **state)
{
    struct store *s = *state;
    store_text(s, "old", "1");
    struct instant t = store_now();
    store_text(s, "old", "2");
    store_text(s, "newer", "x");
    struct engine_target target = {.ino = store_ino(s, "newer")};
    assert_int_equal(engine_property_set(s->e, &s->c, &target, "retention", "COMPLIANCE +1d", 14, 0), 0);
    struct engine_place place = store_place(s, "");
    const struct engine_place *places[] = {&place};
    struct engine_restore_params p = {.at = t, .delete_newer = true};
    json_t *ret = NULL;
    assert_int_equal(engine_restore(s->e, &s->c, places, 1, &p, (struct engine_progress){NULL, NULL}, &ret),
                     -EPERM);
    char buf[4];
    assert_int_equal(store_read(s, "old", buf, sizeof buf), 1);
    assert_int_equal(buf[0], '2'); /* nothing was changed before it was met */
    json_decref(restore(s, "", (struct engine_restore_params){.at = t}));
    assert_int_equal(store_read(s, "old", buf, sizeof buf), 1);
    assert_int_equal(buf[0], '1');
    assert_int_equal(store_read(s, "newer", buf, sizeof buf), 1);
}

static void restore_gives_a_linked_file_back_under_the_name_asked_for(void **state)
{
    struct store *s = *state;
    struct engine_attr attr;
    store_text(s, "a", "one");
    assert_int_equal(engine_link(s->e, &s->c, store_ino(s, "a"), s->root, "b", 1, &attr), 0);
    struct instant t = store_now();
    store_text(s, "a", "two");
    json_decref(restore(s, "a", (struct engine_restore_params){.at = t}));
    char buf[4];
    assert_int_equal(store_read(s, "a", buf, sizeof buf), 3);
    assert_memory_equal(buf, "one", 3);
    assert_int_equal(store_read(s, "b", buf, sizeof buf), 3);
    assert_memory_equal(buf, "two", 3);
}

static void a_file_in_a_directorys_place_is_told_and_left(void **state)
{
    struct store *s = *state;
    store_mkdir(s, "d");
    store_text(s, "d/f", "1");
    struct instant t = store_now();
    store_unlink(s, "d/f");
    assert_int_equal(engine_rmdir(s->e, &s->c, s->root, "d", 1), 0);
    store_text(s, "d", "a file now");
    json_t *o = restore(s, "", (struct engine_restore_params){.at = t});
    assert_int_equal(json_array_size(json_object_get(o, "blocked")), 1);
    json_decref(o);
    o = restore(s, "", (struct engine_restore_params){.at = t, .delete_newer = true});
    assert_int_equal(json_array_size(json_object_get(o, "blocked")), 0);
    json_decref(o);
    char buf[4];
    assert_int_equal(store_read(s, "d/f", buf, sizeof buf), 1);
}

static void status_counts(void **state)
{
    struct store *s = *state;
    store_text(s, "a", "12345");
    store_text(s, "a", "123");
    store_text(s, "b", "1");
    store_unlink(s, "b");
    json_t *st;
    assert_int_equal(engine_status(s->e, &st), 0);
    assert_int_equal(number(st, "objects"), 1);
    assert_int_equal(number(st, "versions"), 3);
    assert_int_equal(number(st, "markers"), 1);
    assert_int_equal(number(json_object_get(st, "space"), "logical_bytes"), 3);
    json_decref(st);
    struct engine_place place = store_place(s, "a");
    assert_int_equal(engine_du(s->e, &s->c, &place, &st), 0);
    assert_int_equal(number(json_object_get(st, "old"), "versions"), 1);
    assert_true(number(st, "free_to_go_bytes") > 0);
    json_decref(st);
    assert_int_equal(engine_debug_object(s->e, &s->c, &place, &st), 0);
    assert_int_equal(json_array_size(json_object_get(st, "versions")), 2);
    json_decref(st);
}

#define LOCKED_TEST(f) cmocka_unit_test_setup_teardown(f, setup_locked, teardown)
#define TEST(f)        cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_close_is_a_version_and_latest_is_the_last),
        TEST(names_merge_keys_and_what_lies_below),
        TEST(names_are_the_same_in_small_pages),
        TEST(the_past_shows_what_stood_then),
        TEST(a_version_among_thousands_is_found_by_halves),
        TEST(removing_a_marker_brings_the_object_back),
        TEST(restore_brings_back_a_removed_tree_and_undo_takes_it_away),
        TEST(restore_with_delete_newer_removes_files_and_directories),
        TEST(restore_by_undoes_only_that_principal),
        TEST(restore_before_everything_names_the_first),
        TEST(restore_seals_what_is_being_written),
        LOCKED_TEST(restore_refuses_to_hide_what_is_locked),
        TEST(restore_gives_a_linked_file_back_under_the_name_asked_for),
        TEST(a_file_in_a_directorys_place_is_told_and_left),
        TEST(status_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
