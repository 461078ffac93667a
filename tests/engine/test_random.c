/* SPDX-License-Identifier: GPL-3.0-or-later
 * Random operations on a bucket and on a plain directory, side by side: results, trees, contents and links must agree, also after
 * a reopening and after a kill. HOLDFS_SEED and HOLDFS_STEPS repeat a run or make it longer. */
#include "rig.h"

#include <dirent.h>
#include <ftw.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { HANDLES = 5, DEPTH_NAMES = 4, CONTENT_MAX = 300000 };

struct pair {
    struct engine_handle *h;
    int fd;
};

struct both {
    struct rig *r;
    const char *bucket;
    char plain[80];
    struct pair open[HANDLES];
    unsigned step;
    char last[256];
};

static struct both now; /* the child of a kill goes on with it */
static uint64_t seed, state_of_random;

static uint64_t random_below(uint64_t n)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return (state_of_random >> 11) % n;
}

static void fail_here(const char *what, int is, int want)
{
    fail_msg("seed %llu step %u: %s: holdfs %s, plain %s", (unsigned long long)seed, now.step, what,
             is < 0 ? strerrorname_np(-is) : "0", want < 0 ? strerrorname_np(-want) : "0");
}

/* POSIX lets two errors apply to some calls. */
static bool same_result(int is, int want)
{
    if (is == want)
        return true;
    if (is >= 0 || want >= 0)
        return false;
    if ((is == -ENOTEMPTY || is == -EEXIST) && (want == -ENOTEMPTY || want == -EEXIST))
        return true;
    return (is == -EISDIR || is == -ENOTDIR || is == -EINVAL || is == -ENOTEMPTY || is == -ENOENT || is == -EEXIST) &&
           (want == -EISDIR || want == -ENOTDIR || want == -EINVAL || want == -ENOTEMPTY || want == -ENOENT || want == -EEXIST);
}

static void agree(const char *what, int is, int want)
{
    snprintf(now.last, sizeof now.last, "%s", what);
    if (!same_result(is, want))
        fail_here(what, is, want);
}

static int plain_result(int r)
{
    return r < 0 ? -errno : 0;
}

/* ---- places ---- */

struct path {
    char ours[200], plain[200], rest[64];
};

static struct path random_path(void)
{
    static const char *const names[DEPTH_NAMES] = {"a", "b", "c", "d"};
    struct path p;
    size_t len = 0;
    for (uint64_t depth = 1 + random_below(3); depth > 0; depth--)
        len += (size_t)snprintf(p.rest + len, sizeof p.rest - len, "%s%s", len ? "/" : "", names[random_below(DEPTH_NAMES)]);
    snprintf(p.ours, sizeof p.ours, "%s/%s", now.bucket, p.rest);
    snprintf(p.plain, sizeof p.plain, "%s/%s", now.plain, p.rest);
    return p;
}

/* ---- handles ---- */

static void end(struct pair *p)
{
    if (!p->h)
        return;
    rig_end(now.r, p->h);
    close(p->fd);
    *p = (struct pair){NULL, -1};
}

static void end_all(void)
{
    for (int n = 0; n < HANDLES; n++)
        end(&now.open[n]);
}

static void do_open(void)
{
    struct path p = random_path();
    struct pair *pair = &now.open[random_below(HANDLES)];
    end(pair);
    int flags = O_RDWR | (random_below(3) ? O_CREAT : 0) | (random_below(3) ? 0 : O_TRUNC);
    struct engine_attr attr;
    int r = rig_stat(now.r, p.ours, &attr);
    struct engine_handle *h = NULL;
    if (r == 0) {
        r = engine_open_file(now.r->e, &now.r->c, attr.ino, flags, &h);
    } else if (r == -ENOENT && (flags & O_CREAT)) {
        char *slash = strrchr(p.ours, '/');
        *slash = 0;
        uint64_t dir = rig_ino(now.r, p.ours);
        *slash = '/';
        r = dir ? engine_create(now.r->e, &now.r->c, dir, slash + 1, strlen(slash + 1), 0644, flags, &attr, &h) : -ENOENT;
    }
    int fd = open(p.plain, flags, 0644);
    agree("open", r, fd < 0 ? -errno : 0);
    if (r == 0)
        *pair = (struct pair){h, fd};
}

static struct pair *random_open(void)
{
    struct pair *p = &now.open[random_below(HANDLES)];
    return p->h ? p : NULL;
}

static void do_write(void)
{
    static char bytes[70000];
    struct pair *p = random_open();
    if (!p)
        return;
    size_t len = 1 + (random_below(4) ? random_below(500) : random_below(sizeof bytes - 1));
    uint64_t offset = random_below(3) ? random_below(2000) : random_below(CONTENT_MAX - sizeof bytes);
    memset(bytes, (int)('a' + random_below(26)), len);
    bytes[0] = (char)('A' + random_below(26));
    assert_int_equal(engine_write(p->h, bytes, len, offset), len);
    assert_int_equal(pwrite(p->fd, bytes, len, (off_t)offset), len);
}

static void do_resize(void)
{
    struct pair *p = random_open();
    uint64_t size = random_below(2) ? random_below(100) : random_below(CONTENT_MAX);
    struct engine_attr attr;
    if (p) {
        agree("ftruncate",
              engine_setattr(now.r->e, &now.r->c, engine_handle_ino(p->h), p->h, SET_SIZE,
                             &(struct engine_attr){.size_bytes = size}, &attr),
              plain_result(ftruncate(p->fd, (off_t)size)));
        return;
    }
    struct path path = random_path();
    agree("truncate", rig_truncate(now.r, path.ours, size), plain_result(truncate(path.plain, (off_t)size)));
}

static void do_flush(void)
{
    struct pair *p = random_open();
    if (p)
        assert_int_equal(random_below(2) ? rig_flush(now.r, p->h) : engine_fsync(p->h, false), 0);
}

static void do_copy(void)
{
    struct pair *in = random_open(), *out = random_open();
    if (!in || !out || engine_handle_ino(in->h) == engine_handle_ino(out->h))
        return;
    uint64_t from = random_below(1000), to = random_below(1000), len = 1 + random_below(100000);
    char *bytes = malloc(len);
    assert_non_null(bytes);
    ssize_t n = pread(in->fd, bytes, len, (off_t)from);
    assert_true(n >= 0 && pwrite(out->fd, bytes, (size_t)n, (off_t)to) == n);
    free(bytes);
    assert_int_equal(engine_copy_range(in->h, from, out->h, to, len), n);
}

/* ---- names ---- */

static void do_unlink(void)
{
    struct path p = random_path();
    agree("unlink", rig_unlink(now.r, p.ours), plain_result(unlink(p.plain)));
}

static void do_mkdir(void)
{
    struct path p = random_path();
    agree("mkdir", rig_mkdir(now.r, p.ours), plain_result(mkdir(p.plain, 0755)));
}

static void do_rmdir(void)
{
    struct path p = random_path();
    agree("rmdir", rig_rmdir(now.r, p.ours), plain_result(rmdir(p.plain)));
}

static void do_link(void)
{
    struct path p = random_path(), q = random_path();
    struct engine_attr attr;
    if (rig_stat(now.r, p.ours, &attr) == 0 && S_ISDIR(attr.mode))
        return; /* -EPERM here, or the target's error there */
    agree("link", rig_link(now.r, p.ours, q.ours), plain_result(link(p.plain, q.plain)));
}

static void do_rename(void)
{
    struct path p = random_path(), q = random_path();
    static const unsigned choices[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    unsigned flags = choices[random_below(5)];
    char what[200];
    snprintf(what, sizeof what, "rename %s %s flags %u", p.rest, q.rest, flags);
    int r = rig_rename(now.r, p.ours, q.ours, flags);
    agree(what, r, plain_result((int)syscall(SYS_renameat2, AT_FDCWD, p.plain, AT_FDCWD, q.plain, flags)));
}

static void do_settle(void)
{
    struct path p = random_path();
    struct engine_attr attr;
    if (rig_stat(now.r, p.ours, &attr) == 0 && S_ISREG(attr.mode))
        rig_settle(now.r, p.ours);
}

/* ---- comparing ---- */

struct seen {
    uint64_t ours, plain;
};
static struct seen links[1024];
static unsigned link_count, entry_count;

static void compare_file(const char *ours, const char *plain)
{
    struct engine_handle *h = rig_handle(now.r, ours, O_RDONLY);
    int fd = open(plain, O_RDONLY);
    static char one[CONTENT_MAX + 1], other[CONTENT_MAX + 1];
    ssize_t n = engine_read(h, one, sizeof one, 0), m = pread(fd, other, sizeof other, 0);
    if (n != m || memcmp(one, other, (size_t)n))
        fail_msg("seed %llu step %u: %s differs (%zd and %zd bytes)", (unsigned long long)seed, now.step, ours, n, m);
    close(fd);
    engine_release(h);
}

static void compare_links(const char *ours, uint64_t a, uint64_t b)
{
    for (unsigned n = 0; n < link_count; n++) {
        if ((links[n].ours == a) != (links[n].plain == b))
            fail_msg("seed %llu step %u: %s is linked otherwise", (unsigned long long)seed, now.step, ours);
    }
    assert_true(link_count < 1024);
    links[link_count++] = (struct seen){a, b};
}

static void compare_dir(const char *ours, const char *plain)
{
    DIR *d = opendir(plain);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        if (entry->d_name[0] == '.')
            continue;
        char a[600], b[600];
        snprintf(a, sizeof a, "%s/%s", ours, entry->d_name);
        snprintf(b, sizeof b, "%s/%s", plain, entry->d_name);
        struct engine_attr attr;
        struct stat st;
        assert_int_equal(lstat(b, &st), 0);
        int r = rig_stat(now.r, a, &attr);
        if (r < 0)
            fail_here(a, r, 0);
        entry_count++;
        if (S_ISDIR(st.st_mode) != S_ISDIR(attr.mode))
            fail_msg("seed %llu step %u: %s is of another kind", (unsigned long long)seed, now.step, a);
        if (S_ISDIR(st.st_mode)) {
            compare_dir(a, b);
            continue;
        }
        if (attr.nlink != st.st_nlink || attr.size_bytes != (uint64_t)st.st_size)
            fail_msg("seed %llu step %u: %s has %u names and %llu bytes, should have %u and %llu", (unsigned long long)seed,
                     now.step, a, attr.nlink, (unsigned long long)attr.size_bytes, (unsigned)st.st_nlink,
                     (unsigned long long)st.st_size);
        compare_links(a, attr.ino, st.st_ino);
        compare_file(a, b);
    }
    closedir(d);
}

static void compare_both(void)
{
    link_count = entry_count = 0;
    compare_dir(now.bucket, now.plain);
    unsigned ours = 0;
    for (const char *p = rig_names(now.r, now.bucket); *p; p++)
        ours += *p == ' ' || !p[1];
    if (ours != entry_count)
        fail_msg("seed %llu step %u: %u names, should be %u: %s", (unsigned long long)seed, now.step, ours, entry_count,
                 rig_names(now.r, now.bucket));
    for (int n = 0; n < HANDLES; n++) { /* what has lost its name is read through its handle */
        if (!now.open[n].h)
            continue;
        static char one[CONTENT_MAX + 1], other[CONTENT_MAX + 1];
        ssize_t len = engine_read(now.open[n].h, one, sizeof one, 0), m = pread(now.open[n].fd, other, sizeof other, 0);
        if (len != m || memcmp(one, other, (size_t)len))
            fail_msg("seed %llu step %u: an open file differs", (unsigned long long)seed, now.step);
    }
}

static void steps(unsigned count)
{
    static void (*const choices[])(void) = {do_open,   do_open,   do_open,   do_write,  do_write,  do_write, do_resize, do_flush,
                                            do_unlink, do_unlink, do_mkdir,  do_mkdir,  do_rmdir,  do_link,  do_link,   do_rename,
                                            do_rename, do_rename, do_rename, do_settle, do_settle, do_copy};
    for (unsigned n = 0; n < count; n++) {
        now.step++;
        if (random_below(8) == 0)
            end(&now.open[random_below(HANDLES)]);
        choices[random_below(sizeof choices / sizeof *choices)]();
        if (random_below(10) == 0)
            compare_both();
    }
}

static void steps_then_die(struct rig *r)
{
    now.r = r;
    steps(40);
    end_all();
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void run(struct rig *r, enum rig_state versioning)
{
    const char *text = getenv("HOLDFS_SEED"), *steps_text = getenv("HOLDFS_STEPS");
    seed = text ? strtoull(text, NULL, 10) : (uint64_t)getpid() * 2654435761u + (uint64_t)versioning + (uint64_t)time(NULL);
    unsigned total = steps_text ? (unsigned)strtoul(steps_text, NULL, 10) : 800;
    state_of_random = seed * 0x9e3779b97f4a7c15u + 1;
    now = (struct both){.r = r, .bucket = "both"};
    snprintf(now.plain, sizeof now.plain, "%s-plain", r->dir);
    assert_int_equal(mkdir(now.plain, 0755), 0);
    rig_bucket(r, now.bucket, versioning);
    rig_bucket_set(r, now.bucket, "bucket.orphan-keep", "0"); /* histories stay short */
    for (unsigned n = 0; n < HANDLES; n++)
        now.open[n].fd = -1;
    while (now.step < total) {
        steps(100);
        end_all();
        compare_both();
        if (random_below(2)) {
            rig_reopen(r);
        } else {
            rig_die(r, steps_then_die);
            now.step += 40;
            state_of_random += 12345; /* the child's went with it */
        }
        compare_both();
    }
    nftw(now.plain, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void unversioned_agrees_with_a_plain_directory(void **state)
{
    run(*state, UNVERSIONED);
}

static void enabled_agrees_with_a_plain_directory(void **state)
{
    run(*state, ENABLED);
}

static void suspended_agrees_with_a_plain_directory(void **state)
{
    run(*state, SUSPENDED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(unversioned_agrees_with_a_plain_directory),
        TEST(enabled_agrees_with_a_plain_directory),
        TEST(suspended_agrees_with_a_plain_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
