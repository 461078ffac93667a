/* SPDX-License-Identifier: GPL-3.0-or-later
 * A real store in a temporary directory (store.h). */
#include "store.h"
#include "util/clock.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void check(struct store *s, int r, const char *what)
{
    if (r < 0)
        fail_msg("%s: %s (%s)", what, strerror(-r), s->c.reason.text);
}

static void store_open(struct store *s)
{
    struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = s->secret};
    struct engine_config config = {
        .dir = s->dir, .unlock = &unlock, .owner_text = "test", .settle_default_s = -1};
    struct reason reason = {.text = ""};
    int r = engine_open(&config, &s->e, &reason);
    if (r < 0)
        fail_msg("engine_open: %s (%s)", strerror(-r), reason.text);
    engine_caller_init(s->e, &s->c, getuid(), getgid(), getpid(), "mount");
    if (engine_bucket_find(s->e, "b", 1, &s->bucket, &s->root) < 0)
        s->bucket = 0;
}

struct secret *store_secret(void)
{
    return secret_copy("a passphrase for tests", 22);
}

void store_setup(struct store *s, const char *options)
{
    *s = (struct store){.dir = "/tmp/holdfs-engine-XXXXXX"};
    assert_non_null(mkdtemp(s->dir));
    s->secret = store_secret();
    struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = s->secret};
    struct engine_init_params p = {
        .dir = s->dir, .unlock = &unlock, .scrypt_log_n = 14, .owner_uid = getuid()};
    struct reason reason = {.text = ""};
    int r = engine_init_store(&p, NULL, &reason);
    if (r < 0)
        fail_msg("engine_init_store: %s (%s)", strerror(-r), reason.text);
    store_open(s);
    json_t *o = json_loads(options ? options : "{}", 0, NULL);
    check(s, engine_bucket_create(s->e, &s->c, "buck", o), "bucket");
    json_decref(o);
    assert_int_equal(engine_bucket_find(s->e, "buck", 4, &s->bucket, &s->root), 0);
}

void store_reopen(struct store *s)
{
    engine_close(s->e);
    store_open(s);
    assert_int_equal(engine_bucket_find(s->e, "buck", 4, &s->bucket, &s->root), 0);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void store_teardown(struct store *s)
{
    engine_close(s->e);
    secret_free(s->secret);
    nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

uint64_t store_dir(struct store *s, const char *path)
{
    uint64_t ino = s->root;
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        struct engine_attr attr;
        check(s, engine_lookup(s->e, &s->c, ino, path, (size_t)(slash - path), &attr), path);
        ino = attr.ino;
    }
    return ino;
}

static const char *last(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

uint64_t store_ino(struct store *s, const char *path)
{
    struct engine_attr attr;
    const char *name = last(path);
    return engine_lookup(s->e, &s->c, store_dir(s, path), name, strlen(name), &attr) == 0 ? attr.ino : 0;
}

void store_mkdir(struct store *s, const char *path)
{
    struct engine_attr attr;
    const char *name = last(path);
    check(s, engine_mkdir(s->e, &s->c, store_dir(s, path), name, strlen(name), 0755, &attr), path);
}

void store_write(struct store *s, const char *path, const void *data, size_t len)
{
    struct engine_handle *h;
    struct engine_attr attr;
    const char *name = last(path);
    uint64_t ino = store_ino(s, path);
    int r =
        ino ? engine_open_file(s->e, &s->c, ino, O_WRONLY | O_TRUNC, &h)
            : engine_create(s->e, &s->c, store_dir(s, path), name, strlen(name), 0644, O_WRONLY, &attr, &h);
    check(s, r, path);
    for (size_t at = 0; at < len;) {
        ssize_t n = engine_write(h, (const char *)data + at, len - at > 65536 ? 65536 : len - at, at);
        assert_true(n > 0);
        at += (size_t)n;
    }
    check(s, engine_flush(s->e, &s->c, h), path);
    engine_release(h);
}

void store_text(struct store *s, const char *path, const char *text)
{
    store_write(s, path, text, strlen(text));
}

void store_patch(struct store *s, const char *path, uint64_t at, const void *data, size_t len)
{
    struct engine_handle *h;
    check(s, engine_open_file(s->e, &s->c, store_ino(s, path), O_WRONLY, &h), path);
    assert_int_equal(engine_write(h, data, len, at), len);
    check(s, engine_flush(s->e, &s->c, h), path);
    engine_release(h);
}

void store_unlink(struct store *s, const char *path)
{
    const char *name = last(path);
    check(s, engine_unlink(s->e, &s->c, store_dir(s, path), name, strlen(name)), path);
}

ssize_t store_read(struct store *s, const char *path, void *buf, size_t len)
{
    struct engine_handle *h;
    uint64_t ino = store_ino(s, path);
    if (!ino)
        return -ENOENT;
    check(s, engine_open_file(s->e, &s->c, ino, O_RDONLY, &h), path);
    ssize_t n = engine_read(h, buf, len, 0);
    engine_release(h);
    return n;
}

struct engine_place store_place(struct store *s, const char *key)
{
    return (struct engine_place){.bucket = s->bucket, .key = span_of(key, strlen(key))};
}

struct instant store_now(void)
{
    usleep(1000);
    int64_t ns = clock_wall_ns();
    usleep(1000);
    return (struct instant){.sec = ns / 1000000000, .nsec = (uint32_t)(ns % 1000000000)};
}

ssize_t store_read_version(struct store *s, const char *key, uint64_t seq, void *buf, size_t len)
{
    struct engine_place place = store_place(s, key);
    struct engine_handle *h;
    int r = engine_version_open(s->e, &s->c, &place, seq, &h);
    if (r < 0)
        return r;
    ssize_t n = engine_read(h, buf, len, 0);
    engine_release(h);
    return n;
}

uint64_t store_segment_bytes(struct store *s)
{
    char dir[96];
    snprintf(dir, sizeof dir, "%s/segments", s->dir);
    DIR *d = opendir(dir);
    assert_non_null(d);
    uint64_t sum = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        struct stat st;
        if (entry->d_name[0] != '.' && fstatat(dirfd(d), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_size;
    }
    closedir(d);
    return sum;
}
