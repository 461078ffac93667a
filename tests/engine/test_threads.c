/* SPDX-License-Identifier: GPL-3.0-or-later
 * Several threads in one bucket, as the front's: no call waits for ever, no reader sees a mixture, and what is left is whole. Meant to
 * be run under the thread sanitizer as well. */
#include "rig.h"

#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { THREADS = 6, NAMES = 8, BYTES = 9000 };

struct worker {
    pthread_t thread;
    struct rig rig; /* of its own: the caller's reason is written to */
    uint64_t random;
    unsigned steps;
    atomic_uint *torn;
};

static uint64_t below(struct worker *w, uint64_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (w->random >> 11) % n;
}

struct place {
    char text[64];
};

static struct place place_of(struct worker *w)
{
    static const char *const dirs[] = {"eee", "eee/d", "eee/e"};
    struct place p;
    snprintf(p.text, sizeof p.text, "%s/%c", dirs[below(w, 3)], (char)('a' + below(w, NAMES)));
    return p;
}

/* ---- a file is always one letter from end to end ---- */

static void put_letter(struct worker *w, struct engine_handle *h)
{
    char bytes[BYTES];
    memset(bytes, (int)('a' + below(w, 26)), sizeof bytes);
    if (engine_write(h, bytes, sizeof bytes, 0) != sizeof bytes)
        atomic_fetch_add(w->torn, 1);
}

static void write_file(struct worker *w)
{
    struct place p = place_of(w);
    char *slash = strrchr(p.text, '/');
    struct engine_attr dir, attr;
    *slash = 0;
    int r = rig_stat(&w->rig, p.text, &dir);
    *slash = '/';
    if (r < 0)
        return;
    struct engine_handle *h;
    struct engine *e = w->rig.e;
    r = engine_create(e, &w->rig.c, dir.ino, slash + 1, 1, 0644, O_RDWR, &attr, &h);
    if (r == -EEXIST && rig_stat(&w->rig, p.text, &attr) == 0)
        r = engine_open_file(e, &w->rig.c, attr.ino, O_RDWR, &h);
    if (r < 0)
        return;
    put_letter(w, h);
    if (below(w, 4) == 0)
        engine_fsync(h, false);
    if (below(w, 4) == 0)
        engine_flush(e, &w->rig.c, h);
    if (below(w, 4) == 0)
        put_letter(w, h);
    engine_flush(e, &w->rig.c, h);
    engine_release(h);
}

static void check_letter(struct worker *w, struct engine_handle *h)
{
    char bytes[BYTES + 1];
    ssize_t n = engine_read(h, bytes, sizeof bytes, 0);
    bool torn = n < 0 || n > BYTES;
    for (ssize_t k = 1; k < n; k++)
        torn = torn || bytes[k] != bytes[0];
    if (torn)
        atomic_fetch_add(w->torn, 1);
}

static void read_file(struct worker *w)
{
    struct place p = place_of(w);
    struct engine_attr attr;
    struct engine_handle *h;
    if (rig_stat(&w->rig, p.text, &attr) < 0 || !S_ISREG(attr.mode) ||
        engine_open_file(w->rig.e, &w->rig.c, attr.ino, O_RDONLY, &h) < 0)
        return;
    check_letter(w, h);
    check_letter(w, h);
    engine_release(h);
}

/* ---- names ---- */

static int take_entry(void *arg, const struct engine_entry *entry)
{
    *(unsigned *)arg += entry->name_len > 0;
    return 0;
}

static void list(struct worker *w)
{
    struct engine_attr attr;
    unsigned count = 0;
    if (rig_stat(&w->rig, below(w, 2) ? "eee/d" : "eee", &attr) == 0 && S_ISDIR(attr.mode))
        engine_readdir(w->rig.e, &w->rig.c, attr.ino, "", 0, true, 100, take_entry, &count);
}

static void rename_file(struct worker *w)
{
    static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    struct place a = place_of(w), b = place_of(w);
    rig_rename(&w->rig, a.text, b.text, flags[below(w, 4)]);
}

static void rename_dir(struct worker *w)
{
    rig_rename(&w->rig, "eee/d", "eee/e", RENAME_EXCHANGE);
}

static void link_file(struct worker *w)
{
    struct place a = place_of(w), b = place_of(w);
    rig_link(&w->rig, a.text, b.text);
}

static void unlink_file(struct worker *w)
{
    struct place p = place_of(w);
    rig_unlink(&w->rig, p.text);
}

static void change_attributes(struct worker *w)
{
    struct place p = place_of(w);
    struct engine_attr attr;
    if (rig_stat(&w->rig, p.text, &attr) < 0)
        return;
    engine_setattr(w->rig.e, &w->rig.c, attr.ino, NULL, SET_MODE, &(struct engine_attr){.mode = 0600}, &attr);
    engine_xattr_set(w->rig.e, &w->rig.c, attr.ino, "user.x", "y", 1, 0);
    struct bytes value = {0};
    engine_xattr_get(w->rig.e, &w->rig.c, attr.ino, "user.x", &value);
    bytes_done(&value);
}

static void empty_file(struct worker *w)
{
    struct place p = place_of(w);
    rig_truncate(&w->rig, p.text, 0);
}

static void settle(struct worker *w)
{
    struct place p = place_of(w);
    struct engine_attr attr;
    struct engine_target target = {.ino = 0};
    if (rig_stat(&w->rig, p.text, &attr) < 0)
        return;
    target.ino = attr.ino;
    engine_property_set(w->rig.e, &w->rig.c, &target, "settle", "now", 3, 0);
    struct bytes value = {0};
    engine_property_get(w->rig.e, &w->rig.c, &target, "describe", &value);
    bytes_done(&value);
}

/* ---- history ---- */

struct newest {
    uint64_t seqs[8];
    unsigned count;
};

static int take_version(void *arg, const struct engine_version *v)
{
    struct newest *n = arg;
    if (!(v->flags & VERSION_MARKER))
        n->seqs[n->count++] = v->seq;
    return n->count == 8;
}

static void history(struct worker *w)
{
    struct place p = place_of(w);
    struct engine_place key = {0};
    uint64_t root;
    struct newest n = {.count = 0};
    if (engine_bucket_find(w->rig.e, "eee", 3, &key.bucket, &root) < 0)
        return;
    key.key = span_of(p.text + 4, strlen(p.text + 4));
    engine_versions(w->rig.e, &w->rig.c, &key, below(w, 2), 0, 20, take_version, &n);
    for (unsigned k = 0; k < n.count; k++) {
        struct engine_handle *h;
        if (engine_version_open(w->rig.e, &w->rig.c, &key, n.seqs[k], &h) < 0)
            continue;
        check_letter(w, h);
        engine_release(h);
    }
    if (n.count && below(w, 2))
        engine_version_delete(w->rig.e, &w->rig.c, &key, n.seqs[below(w, n.count)]);
}

static void upkeep(struct worker *w)
{
    json_t *found = NULL;
    if (below(w, 10))
        return;
    if (engine_gc(w->rig.e, &w->rig.c, (struct engine_progress){.fn = NULL}, &found) == 0)
        json_decref(found);
    if (engine_status(w->rig.e, &found) == 0)
        json_decref(found);
    engine_fsync_dir(w->rig.e, ENGINE_ROOT_INO);
}

static void *work(void *arg)
{
    static void (*const choices[])(struct worker *) = {write_file, write_file, write_file,  write_file, read_file, read_file,
                                                       list,       rename_file, rename_file, rename_dir, link_file, unlink_file,
                                                       change_attributes, empty_file, settle, history, history, upkeep};
    struct worker *w = arg;
    for (unsigned n = 0; n < w->steps; n++)
        choices[below(w, sizeof choices / sizeof *choices)](w);
    return NULL;
}

static void run(struct rig *r, enum rig_state versioning)
{
    const char *text = getenv("HOLDFS_STEPS");
    atomic_uint torn = 0;
    rig_bucket(r, "eee", versioning);
    assert_int_equal(rig_mkdir(r, "eee/d"), 0);
    assert_int_equal(rig_mkdir(r, "eee/e"), 0);
    struct worker workers[THREADS];
    for (int n = 0; n < THREADS; n++) {
        workers[n] = (struct worker){
            .rig = *r, .random = 0x9e3779b97f4a7c15u * (uint64_t)(n + 1 + getpid()), .torn = &torn};
        workers[n].steps = text ? (unsigned)strtoul(text, NULL, 10) : 400;
        assert_int_equal(pthread_create(&workers[n].thread, NULL, work, &workers[n]), 0);
    }
    for (int n = 0; n < THREADS; n++)
        pthread_join(workers[n].thread, NULL);
    assert_int_equal(atomic_load(&torn), 0);
}

static void threads_unversioned(void **state)
{
    run(*state, UNVERSIONED);
}

static void threads_enabled(void **state)
{
    run(*state, ENABLED);
}

static void threads_suspended(void **state)
{
    run(*state, SUSPENDED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(threads_unversioned),
        TEST(threads_enabled),
        TEST(threads_suspended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
