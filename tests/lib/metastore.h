/* SPDX-License-Identifier: GPL-3.0-or-later
 * A metadata store in a folder of its own, for tests: opened, filled, killed, and its files saved, altered
 * and put back. */
#ifndef HOLDFS_TESTS_METASTORE_H
#define HOLDFS_TESTS_METASTORE_H

#include "../unit/unit.h"
#include "../unit/tempdir.h"

#include "meta/meta.h"
#include "util/cleanup.h"
#include "util/reason.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

/* What the engine's lock is: writers and readers of a store that has helper threads hold it. */
static pthread_mutex_t metastore_lock = PTHREAD_MUTEX_INITIALIZER;

struct metastore {
    struct tempdir dir;
    const struct meta_ops *ops;
    struct meta *meta; /* NULL while closed */
    uint32_t page_size_bytes;
    uint64_t cache_bytes;
    struct reason reason; /* of the last open */
    int reports;          /* failed checks told of since the last open */
    char report[256];
};

static inline void metastore_report(void *arg, const char *what)
{
    struct metastore *s = arg;
    s->reports++;
    snprintf(s->report, sizeof(s->report), "%s", what);
}

static inline int metastore_try_open(struct metastore *s, bool create, bool read_only)
{
    uint8_t store[16], key[32];
    count_up(store, sizeof(store), 0x10);
    count_up(key, sizeof(key), 0x60);
    struct meta_config config = {.dir = s->dir.path,
                                 .store_id = store,
                                 .page_key = key,
                                 .page_size_bytes = s->page_size_bytes,
                                 .cache_bytes = s->cache_bytes,
                                 .create = create,
                                 .read_only = read_only,
                                 .integrity = metastore_report,
                                 .integrity_arg = s};
    s->reports = 0;
    reason_clear(&s->reason);
    return s->ops->open(&config, &s->meta, &s->reason);
}

static inline void metastore_open(struct metastore *s)
{
    int r = metastore_try_open(s, false, false);
    if (r < 0)
        print_error("open: %s (%s)\n", s->reason.text, strerror(-r));
    assert_int_equal(r, 0);
}

static inline void metastore_close(struct metastore *s)
{
    s->ops->close(s->meta);
    s->meta = NULL;
}

/* A new store, open. */
static inline void metastore_make(struct metastore *s, const char *engine, uint32_t page_size_bytes)
{
    *s = (struct metastore){.page_size_bytes = page_size_bytes, .cache_bytes = 4 << 20};
    tempdir_make(&s->dir);
    s->ops = meta_find(engine);
    assert_non_null(s->ops);
    assert_int_equal(metastore_try_open(s, true, false), 0);
}

static inline void metastore_remove(struct metastore *s)
{
    s->ops->close(s->meta);
    tempdir_remove(&s->dir);
}

static inline struct span text_span(const char *text)
{
    return span_of(text, strlen(text));
}

/* One transaction with `count` names key-N from `first` on, each with a version whose body repeats `fill`. */
static inline void metastore_put(struct metastore *s, unsigned first, unsigned count, char fill)
{
    char key[32], body[400];
    memset(body, fill, sizeof(body));
    LOCK_SCOPE(&metastore_lock);
    assert_int_equal(s->ops->begin(s->meta), 0);
    for (unsigned i = first; i < first + count; i++) {
        snprintf(key, sizeof(key), "key-%06u", i);
        struct tree_row tree = {.bucket = 1, .key = text_span(key), .ino = i + 2, .kind = TREE_OBJECT};
        struct version_row version = {
            .bucket = 1, .key = text_span(key), .seq = i + 1, .body = span_of(body, sizeof(body))};
        assert_int_equal(s->ops->tree_put(s->meta, &tree), 0);
        assert_int_equal(s->ops->version_put(s->meta, &version), 0);
    }
    assert_int_equal(s->ops->commit(s->meta), 0);
}

static inline int metastore_count_row(void *arg, const struct version_row *row)
{
    *(unsigned *)arg += row->seq > 0;
    return 0;
}

/* How many versions can be read, or a negative errno. */
static inline int metastore_count(struct metastore *s)
{
    unsigned count = 0;
    int r = s->ops->version_scan_since(s->meta, 0, metastore_count_row, &count);
    return r < 0 ? r : (int)count;
}

static inline void metastore_check_line(void *arg, const char *text)
{
    (void)arg;
    print_message("check: %s\n", text);
}

static inline int metastore_check(struct metastore *s)
{
    return s->ops->check(s->meta, metastore_check_line, NULL);
}

/* Runs fn on the store in a process that is then killed as it stands: what a crash of the daemon leaves. */
static inline void metastore_crash(struct metastore *s, void (*fn)(struct metastore *s))
{
    assert_null(s->meta);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        metastore_open(s);
        fn(s);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- files ---- */

struct saved {
    uint8_t *bytes;
    size_t len;
};

static inline struct saved metastore_save(struct metastore *s, const char *name)
{
    char *path = tempdir_path(&s->dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    struct saved saved = {.bytes = malloc((size_t)st.st_size + 1), .len = (size_t)st.st_size};
    assert_int_equal(pread(fd, saved.bytes, saved.len, 0), saved.len);
    close(fd);
    free(path);
    return saved;
}

static inline void metastore_restore(struct metastore *s, const char *name, const struct saved *saved)
{
    tempdir_write(&s->dir, name, saved->bytes, saved->len, 0600);
}

static inline void metastore_poke(struct metastore *s, const char *name, size_t at, const void *bytes,
                                  size_t len)
{
    char *path = tempdir_path(&s->dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
    close(fd);
    free(path);
}

static inline void metastore_cut(struct metastore *s, const char *name, size_t len)
{
    char *path = tempdir_path(&s->dir, name);
    assert_int_equal(truncate(path, (off_t)len), 0);
    free(path);
}

static inline bool metastore_has(struct metastore *s, const char *name)
{
    char *path = tempdir_path(&s->dir, name);
    bool has = access(path, F_OK) == 0;
    free(path);
    return has;
}

#endif
