/* SPDX-License-Identifier: GPL-3.0-or-later
 * A store in a temporary folder for tests of the tree (rig.h). */
#include "rig.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { RIG_SEGMENTS = 64, RIG_SHOWN = 40, RIG_TEXTS = 8, RIG_TEXT_BYTES = 1 << 16, RIG_BUCKETS = 96 };

struct rig_mark {
    uint64_t sizes[RIG_SEGMENTS];
};

static char *next_text(void)
{
    static char texts[RIG_TEXTS][RIG_TEXT_BYTES];
    static unsigned at;
    char *text = texts[at++ % RIG_TEXTS];
    text[0] = 0;
    return text;
}

static void add(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *text, const char *format, ...)
{
    size_t len = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + len, RIG_TEXT_BYTES - len, format, args);
    va_end(args);
    assert_true(strlen(text) < RIG_TEXT_BYTES - 1);
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void ok(struct rig *r, int error, const char *what)
{
    if (error < 0)
        fail_msg("%s: %s (%s)", what, strerror(-error), r->c.reason.text);
}

/* ---- store ---- */

/* Made anew each time: secrets do not cross a fork. */
static struct unlock passphrase(void)
{
    struct unlock unlock = {.kind = SLOT_PASSPHRASE, .secret = secret_copy("a passphrase for tests", 22)};
    assert_non_null(unlock.secret);
    return unlock;
}

void rig_open(struct rig *r)
{
    struct unlock unlock = passphrase();
    struct engine_config config = {.dir = r->dir, .unlock = &unlock, .owner_text = "test", .settle_default_s = -1};
    struct reason reason = {.text = ""};
    int error = engine_open(&config, &r->e, &reason);
    secret_free(unlock.secret);
    if (error < 0)
        fail_msg("engine_open: %s (%s)", strerror(-error), reason.text);
    engine_caller_init(r->e, &r->c, getuid(), getgid(), getpid(), "mount");
}

void rig_close(struct rig *r)
{
    engine_close(r->e);
    r->e = NULL;
}

void rig_reopen(struct rig *r)
{
    rig_close(r);
    rig_open(r);
}

int rig_setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    const char *tmp = getenv("TMPDIR");
    snprintf(r->dir, sizeof r->dir, "%s/holdfs-engine-XXXXXX", tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    assert_non_null(mkdtemp(r->dir));
    r->mark = mmap(NULL, sizeof *r->mark, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(r->mark, MAP_FAILED);
    struct unlock unlock = passphrase();
    struct engine_init_params p = {.dir = r->dir, .unlock = &unlock, .scrypt_log_n = 14, .owner_uid = getuid()};
    struct reason reason = {.text = ""};
    int error = engine_init_store(&p, NULL, &reason);
    secret_free(unlock.secret);
    if (error < 0)
        fail_msg("engine_init_store: %s", reason.text);
    rig_open(r);
    *state = r;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void compare(struct rig *r);

int rig_teardown(void **state)
{
    struct rig *r = *state;
    if (r->e)
        compare(r);
    engine_close(r->e);
    munmap(r->mark, sizeof *r->mark);
    nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(r);
    return 0;
}

/* ---- segments, crashes ---- */

static unsigned segments(struct rig *r, uint64_t sizes[RIG_SEGMENTS], const uint64_t *cut_to)
{
    char dir[96];
    snprintf(dir, sizeof dir, "%s/segments", r->dir);
    DIR *d = opendir(dir);
    assert_non_null(d);
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        struct stat st;
        char *end;
        unsigned long n = strtoul(entry->d_name, &end, 16);
        if (end == entry->d_name || fstatat(dirfd(d), entry->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
            continue;
        assert_true(n < RIG_SEGMENTS);
        count++;
        sizes[n] = (uint64_t)st.st_size;
        if (cut_to && sizes[n] > cut_to[n]) {
            int fd = openat(dirfd(d), entry->d_name, O_WRONLY | O_CLOEXEC);
            assert_true(fd >= 0);
            assert_int_equal(ftruncate(fd, (off_t)cut_to[n]), 0);
            close(fd);
        }
    }
    closedir(d);
    return count;
}

uint64_t rig_segment_bytes(struct rig *r)
{
    uint64_t sizes[RIG_SEGMENTS] = {0}, sum = 0;
    segments(r, sizes, NULL);
    for (unsigned n = 0; n < RIG_SEGMENTS; n++)
        sum += sizes[n];
    return sum;
}

/* The block store's syncs, seen: in the children of rig_cut() they tell how much of a segment a power cut leaves. */
static struct rig_mark *syncs;

int fdatasync(int fd)
{
    struct stat st;
    int known = syncs ? fstat(fd, &st) : -1; /* what is appended meanwhile may not be covered */
    int result = (int)syscall(SYS_fdatasync, fd);
    char link[64], path[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = result == 0 && known == 0 ? readlink(link, path, sizeof path - 1) : -1;
    if (len < 0)
        return result;
    path[len] = 0;
    const char *name = strstr(path, "/segments/");
    unsigned long n = name ? strtoul(name + 10, NULL, 16) : 0;
    if (n && n < RIG_SEGMENTS && (uint64_t)st.st_size > syncs->sizes[n])
        syncs->sizes[n] = (uint64_t)st.st_size;
    return result;
}

static void die(struct rig *r, void (*fn)(struct rig *r))
{
    if (r->e)
        rig_close(r);
    memset(r->mark, 0, sizeof *r->mark);
    segments(r, r->mark->sizes, NULL);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed check ends the child and not only its test */
        syncs = r->mark;
        rig_open(r);
        fn(r);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("what should have ended in the middle failed before (status %d)", status);
}

void rig_die(struct rig *r, void (*fn)(struct rig *r))
{
    die(r, fn);
    rig_open(r);
}

void rig_cut(struct rig *r, void (*fn)(struct rig *r))
{
    die(r, fn);
    uint64_t sizes[RIG_SEGMENTS] = {0};
    segments(r, sizes, r->mark->sizes);
    rig_open(r);
}

void rig_lose(struct rig *r, void (*fn)(struct rig *r))
{
    uint64_t before[RIG_SEGMENTS] = {0}, sizes[RIG_SEGMENTS] = {0};
    rig_close(r);
    segments(r, before, NULL);
    die(r, fn);
    segments(r, sizes, before);
    rig_open(r);
}

void rig_purge(struct rig *r)
{
    ok(r, engine_fsync_dir(r->e, ENGINE_ROOT_INO), "sync");
    usleep(2300000); /* the worker looks each second */
}

/* ---- buckets ---- */

void rig_bucket_set(struct rig *r, const char *bucket, const char *property, const char *value)
{
    struct engine_target target = {.ino = rig_ino(r, bucket)};
    ok(r, engine_property_set(r->e, &r->c, &target, property, value, strlen(value), 0), property);
}

void rig_bucket(struct rig *r, const char *name, enum rig_state state)
{
    json_t *options = json_pack("{s:b}", "unversioned", state != ENABLED);
    ok(r, engine_bucket_create(r->e, &r->c, name, options), name);
    json_decref(options);
    if (state == SUSPENDED)
        rig_bucket_set(r, name, "bucket.versioning", "Suspended");
}

void rig_settle(struct rig *r, const char *path)
{
    struct engine_target target = {.ino = rig_ino(r, path)};
    ok(r, engine_property_set(r->e, &r->c, &target, "settle", "now", 3, 0), path);
}

/* ---- names ---- */

/* The directory of the path's last name: the engine's errno where there is none. */
static int find_dir(struct rig *r, const char *path, uint64_t *ret)
{
    uint64_t ino = ENGINE_ROOT_INO;
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        struct engine_attr attr;
        int error = engine_lookup(r->e, &r->c, ino, path, (size_t)(slash - path), &attr);
        if (error < 0)
            return error;
        ino = attr.ino;
    }
    *ret = ino;
    return 0;
}

int rig_stat(struct rig *r, const char *path, struct engine_attr *ret)
{
    uint64_t dir;
    int error = find_dir(r, path, &dir);
    const char *name = last_name(path);
    return error < 0 ? error : engine_lookup(r->e, &r->c, dir, name, strlen(name), ret);
}

uint64_t rig_ino(struct rig *r, const char *path)
{
    struct engine_attr attr;
    int error = rig_stat(r, path, &attr);
    if (error < 0 && error != -ENOENT && error != -ENOTDIR)
        fail_msg("look-up of %s: %s", path, strerror(-error));
    return error < 0 ? 0 : attr.ino;
}

int rig_mkdir(struct rig *r, const char *path)
{
    uint64_t dir;
    struct engine_attr attr;
    int error = find_dir(r, path, &dir);
    const char *name = last_name(path);
    return error < 0 ? error : engine_mkdir(r->e, &r->c, dir, name, strlen(name), 0755, &attr);
}

int rig_rmdir(struct rig *r, const char *path)
{
    uint64_t dir;
    int error = find_dir(r, path, &dir);
    const char *name = last_name(path);
    return error < 0 ? error : engine_rmdir(r->e, &r->c, dir, name, strlen(name));
}

int rig_unlink(struct rig *r, const char *path)
{
    uint64_t dir;
    int error = find_dir(r, path, &dir);
    const char *name = last_name(path);
    return error < 0 ? error : engine_unlink(r->e, &r->c, dir, name, strlen(name));
}

int rig_rename(struct rig *r, const char *from, const char *to, unsigned flags)
{
    uint64_t dir, to_dir;
    int error = find_dir(r, from, &dir);
    if (error == 0)
        error = find_dir(r, to, &to_dir);
    const char *name = last_name(from), *to_name = last_name(to);
    return error < 0 ? error
                     : engine_rename(r->e, &r->c, dir, name, strlen(name), to_dir, to_name, strlen(to_name), flags);
}

int rig_link(struct rig *r, const char *from, const char *to)
{
    struct engine_attr attr;
    uint64_t dir;
    int error = rig_stat(r, from, &attr);
    if (error == 0)
        error = find_dir(r, to, &dir);
    const char *name = last_name(to);
    return error < 0 ? error : engine_link(r->e, &r->c, attr.ino, dir, name, strlen(name), &attr);
}

int rig_symlink(struct rig *r, const char *target, const char *path)
{
    uint64_t dir;
    struct engine_attr attr;
    int error = find_dir(r, path, &dir);
    const char *name = last_name(path);
    return error < 0 ? error : engine_symlink(r->e, &r->c, dir, name, strlen(name), target, &attr);
}

int rig_setattr(struct rig *r, const char *path, unsigned set, const struct engine_attr *values)
{
    struct engine_attr attr;
    int error = rig_stat(r, path, &attr);
    return error < 0 ? error : engine_setattr(r->e, &r->c, attr.ino, NULL, set, values, &attr);
}

int rig_truncate(struct rig *r, const char *path, uint64_t size)
{
    return rig_setattr(r, path, SET_SIZE, &(struct engine_attr){.size_bytes = size});
}

int rig_touch(struct rig *r, const char *path, int64_t mtime_s)
{
    return rig_setattr(r, path, SET_MTIME | SET_ATIME,
                       &(struct engine_attr){.mtime = {mtime_s, 5}, .atime = {mtime_s, 5}});
}

/* ---- bytes ---- */

struct engine_handle *rig_handle(struct rig *r, const char *path, int flags)
{
    struct engine_handle *h = NULL;
    uint64_t ino = rig_ino(r, path), dir;
    if (ino || !(flags & O_CREAT)) {
        ok(r, engine_open_file(r->e, &r->c, ino, flags, &h), path);
    } else {
        struct engine_attr attr;
        const char *name = last_name(path);
        ok(r, find_dir(r, path, &dir), path);
        ok(r, engine_create(r->e, &r->c, dir, name, strlen(name), 0644, flags, &attr, &h), path);
    }
    return h;
}

void rig_put(struct engine_handle *h, const char *text, uint64_t offset)
{
    assert_int_equal(engine_write(h, text, strlen(text), offset), strlen(text));
}

void rig_fill(struct engine_handle *h, char letter, size_t len, uint64_t offset)
{
    char *bytes = malloc(len);
    assert_non_null(bytes);
    memset(bytes, letter, len);
    assert_int_equal(engine_write(h, bytes, len, offset), len);
    free(bytes);
}

int rig_flush(struct rig *r, struct engine_handle *h)
{
    return engine_flush(r->e, &r->c, h);
}

void rig_end(struct rig *r, struct engine_handle *h)
{
    ok(r, engine_flush(r->e, &r->c, h), "close");
    engine_release(h);
}

void rig_write(struct rig *r, const char *path, const char *text)
{
    struct engine_handle *h = rig_handle(r, path, O_WRONLY | O_CREAT | O_TRUNC);
    if (*text)
        rig_put(h, text, 0);
    rig_end(r, h);
}

void rig_append(struct rig *r, const char *path, const char *text)
{
    struct engine_attr attr;
    ok(r, rig_stat(r, path, &attr), path);
    struct engine_handle *h = rig_handle(r, path, O_WRONLY | O_APPEND);
    rig_put(h, text, attr.size_bytes);
    rig_end(r, h);
}

void rig_write_big(struct rig *r, const char *path, char letter, size_t len)
{
    struct engine_handle *h = rig_handle(r, path, O_WRONLY | O_CREAT | O_TRUNC);
    rig_fill(h, letter, len, 0);
    rig_end(r, h);
}

static const char *errno_name(int error)
{
    const char *name = strerrorname_np(-error);
    return name ? name : "?";
}

/* Runs of one letter are shown as the letter and its count, so that big files can be told apart. */
static void add_content(char *text, const char *bytes, size_t len)
{
    if (len <= RIG_SHOWN) {
        for (size_t n = 0; n < len; n++)
            add(text, "%c", bytes[n] ? bytes[n] : '0');
        return;
    }
    for (size_t n = 0, run; n < len; n += run) {
        for (run = 1; n + run < len && bytes[n + run] == bytes[n]; run++)
            ;
        add(text, "%c%zu", bytes[n] ? bytes[n] : '0', run);
    }
}

static void add_handle(char *text, struct engine_handle *h)
{
    size_t cap = 24 << 20;
    char *bytes = malloc(cap);
    assert_non_null(bytes);
    ssize_t len = 0, n;
    while ((n = engine_read(h, bytes + len, cap - (size_t)len, (uint64_t)len)) > 0)
        len += n;
    if (n < 0)
        add(text, "%s", errno_name((int)n));
    else
        add_content(text, bytes, (size_t)len);
    free(bytes);
}

const char *rig_read_handle(struct engine_handle *h)
{
    char *text = next_text();
    add_handle(text, h);
    return text;
}

static void add_ino(struct rig *r, char *text, const struct engine_attr *attr)
{
    char target[4096];
    struct engine_handle *h;
    int error;
    if (S_ISLNK(attr->mode)) {
        error = engine_readlink(r->e, &r->c, attr->ino, target, sizeof target);
        if (error >= 0)
            add_content(text, target, (size_t)error);
    } else if ((error = engine_open_file(r->e, &r->c, attr->ino, O_RDONLY, &h)) == 0) {
        add_handle(text, h);
        engine_release(h);
    }
    if (error < 0)
        add(text, "%s", errno_name(error));
}

const char *rig_read(struct rig *r, const char *path)
{
    char *text = next_text();
    struct engine_attr attr;
    int error = rig_stat(r, path, &attr);
    if (error < 0)
        add(text, "%s", errno_name(error));
    else
        add_ino(r, text, &attr);
    return text;
}

/* ---- history ---- */

struct versions {
    struct engine_version items[64];
    unsigned count;
};

static int version_row(void *arg, const struct engine_version *v)
{
    struct versions *list = arg;
    assert_true(list->count < 64);
    list->items[list->count++] = *v;
    return 0;
}

static struct engine_place place_of(struct rig *r, const char *path)
{
    size_t len = strcspn(path, "/");
    struct engine_place place = {0};
    uint64_t root;
    ok(r, engine_bucket_find(r->e, path, len, &place.bucket, &root), path);
    path += len + (path[len] == '/');
    place.key = span_of(path, strlen(path));
    return place;
}

static void versions_of(struct rig *r, const struct engine_place *place, struct versions *list)
{
    list->count = 0;
    int error = engine_versions(r->e, &r->c, place, true, 0, 64, version_row, list);
    assert_true(error >= 0 || error == -ENOENT);
    for (unsigned n = 0; n < list->count; n++)
        assert_int_equal(list->items[n].latest, n + 1 == list->count);
}

static void add_version(struct rig *r, char *text, const struct engine_place *place, const struct engine_version *v)
{
    bool null = v->flags & VERSION_NULL;
    if (v->flags & VERSION_MARKER) {
        add(text, "%s", null ? "nM" : "M");
        return;
    }
    add(text, "%s:", null ? "n" : "v");
    struct engine_handle *h;
    char target[4096];
    int error;
    if (S_ISLNK(v->attr.mode)) {
        error = engine_version_readlink(r->e, &r->c, place, v->seq, target, sizeof target);
        if (error >= 0)
            add_content(text, target, (size_t)error);
    } else if ((error = engine_version_open(r->e, &r->c, place, v->seq, &h)) == 0) {
        add_handle(text, h);
        engine_release(h);
    }
    if (error < 0)
        add(text, "%s", errno_name(error));
}

const char *rig_history(struct rig *r, const char *path)
{
    char *text = next_text();
    struct engine_place place = place_of(r, path);
    struct versions list;
    versions_of(r, &place, &list);
    for (unsigned n = 0; n < list.count; n++) {
        add(text, n ? " " : "");
        add_version(r, text, &place, &list.items[n]);
        assert_true(!n || list.items[n].publish_ns > list.items[n - 1].publish_ns);
    }
    return text;
}

static const struct engine_version *nth(const struct versions *list, int n)
{
    unsigned at = n < 0 ? list->count - 1 : (unsigned)n;
    assert_true(at < list->count);
    return &list->items[at];
}

uint64_t rig_version(struct rig *r, const char *path, int n)
{
    struct engine_place place = place_of(r, path);
    struct versions list;
    versions_of(r, &place, &list);
    return nth(&list, n)->seq;
}

void rig_version_id(struct rig *r, const char *path, int n, char out[33])
{
    struct engine_place place = place_of(r, path);
    struct versions list;
    versions_of(r, &place, &list);
    memcpy(out, nth(&list, n)->id, 33);
}

int rig_version_delete(struct rig *r, const char *path, int n)
{
    struct engine_place place = place_of(r, path);
    return engine_version_delete(r->e, &r->c, &place, rig_version(r, path, n));
}

/* ---- the whole tree ---- */

enum { TREE_MAX = 512 };

struct listing {
    struct {
        char name[256];
        struct engine_attr attr;
    } items[TREE_MAX];
    unsigned count;
};

static int listing_entry(void *arg, const struct engine_entry *entry)
{
    struct listing *list = arg;
    assert_true(list->count < TREE_MAX && entry->name_len < 256 && entry->attr);
    memcpy(list->items[list->count].name, entry->name, entry->name_len);
    list->items[list->count].name[entry->name_len] = 0;
    list->items[list->count++].attr = *entry->attr;
    return 0;
}

typedef void walk_fn(struct rig *r, const char *path, const struct engine_attr *attr, char *text);

static void walk(struct rig *r, const char *path, uint64_t dir, walk_fn *fn, char *text)
{
    struct listing *list = calloc(1, sizeof *list);
    assert_non_null(list);
    int more = 1;
    while (more == 1) { /* few at a time, so that going on is tested as well */
        const char *after = list->count ? list->items[list->count - 1].name : "";
        more = engine_readdir(r->e, &r->c, dir, after, strlen(after), true, 3, listing_entry, list);
    }
    assert_int_equal(more, 0);
    for (unsigned n = 0; n < list->count; n++) {
        char below[1024];
        struct engine_attr looked_up;
        snprintf(below, sizeof below, "%s/%s", path, list->items[n].name);
        assert_int_equal(rig_stat(r, below, &looked_up), 0);
        assert_int_equal(looked_up.ino, list->items[n].attr.ino);
        assert_int_equal(looked_up.nlink, list->items[n].attr.nlink);
        assert_int_equal(looked_up.size_bytes, list->items[n].attr.size_bytes);
        fn(r, below, &looked_up, text);
        if (S_ISDIR(looked_up.mode))
            walk(r, below, looked_up.ino, fn, text);
    }
    free(list);
}

static void walk_name(struct rig *r, const char *path, const struct engine_attr *attr, char *text)
{
    (void)r;
    add(text, "%s%s%s", *text ? " " : "", strchr(path, '/') + 1, S_ISDIR(attr->mode) ? "/" : "");
}

const char *rig_names(struct rig *r, const char *bucket)
{
    char *text = next_text();
    walk(r, bucket, rig_ino(r, bucket), walk_name, text);
    return text;
}

/* A live file's newest version is an object with its content. */
static void walk_whole(struct rig *r, const char *path, const struct engine_attr *attr, char *text)
{
    add(text, "%s ino %llu nlink %u mode %o size %llu mtime %lld.%09u", path, (unsigned long long)attr->ino, attr->nlink,
        attr->mode, (unsigned long long)attr->size_bytes, (long long)attr->mtime.sec, attr->mtime.nsec);
    if (S_ISREG(attr->mode) || S_ISLNK(attr->mode)) {
        const char *history = rig_history(r, path), *content = rig_read(r, path);
        const char *newest = strrchr(history, ' ');
        newest = newest ? newest + 1 : history;
        if (newest[0] == 'M' || newest[1] == 'M' || strcmp(newest + 2, content))
            fail_msg("%s reads as '%s', its history is '%s'", path, content, history);
        add(text, " %s", history);
    }
    add(text, "\n");
}

/* What the newest versions say must be there, is there; a live name's history stands where the name does. */
static int history_name(void *arg, const struct engine_history_name *n)
{
    struct listing *list = arg;
    assert_true(list->count < TREE_MAX && n->name_len < 256);
    memcpy(list->items[list->count].name, n->name, n->name_len);
    list->items[list->count].name[n->name_len] = 0;
    list->items[list->count].attr.mode = n->is_key ? S_IFREG : 0;
    list->items[list->count++].attr.nlink = n->is_dir;
    return 0;
}

static void histories(struct rig *r, const char *path)
{
    struct listing *list = calloc(1, sizeof *list);
    assert_non_null(list);
    struct engine_place place = place_of(r, path);
    int error = engine_history_names(r->e, &r->c, &place, "", 0, TREE_MAX, history_name, list);
    assert_int_equal(error, 0);
    for (unsigned n = 0; n < list->count; n++) {
        char below[1024];
        snprintf(below, sizeof below, "%s/%s", path, list->items[n].name);
        if (list->items[n].attr.mode) {
            const char *history = rig_history(r, below), *newest = strrchr(history, ' ');
            newest = newest ? newest + 1 : history;
            struct engine_attr attr;
            bool marker = newest[0] == 'M' || newest[1] == 'M';
            bool live = rig_stat(r, below, &attr) == 0 && !S_ISDIR(attr.mode);
            if (marker == live)
                fail_msg("%s is %s, its history is '%s'", below, live ? "live" : "not live", history);
        }
        if (list->items[n].attr.nlink)
            histories(r, below);
    }
    free(list);
}

struct buckets {
    char names[RIG_BUCKETS][64];
    unsigned count;
};

static int bucket_entry(void *arg, const struct engine_entry *entry)
{
    struct buckets *b = arg;
    assert_true(b->count < RIG_BUCKETS);
    snprintf(b->names[b->count++], 64, "%.*s", (int)entry->name_len, entry->name);
    return 0;
}

/* The live tree of a bucket with all that is known of it, one line a name. */
static void whole(struct rig *r, const char *bucket, char *text)
{
    text[0] = 0;
    walk(r, bucket, rig_ino(r, bucket), walk_whole, text);
    histories(r, bucket);
}

static void check_structure(struct rig *r)
{
    json_t *found;
    ok(r, engine_fsck(r->e, &r->c, false, (struct engine_progress){.fn = NULL}, &found), "fsck");
    if (json_integer_value(json_object_get(found, "errors"))) {
        char *text = json_dumps(json_object_get(found, "findings"), JSON_INDENT(1));
        fail_msg("fsck: %s", text);
    }
    json_decref(found);
}

static void compare(struct rig *r)
{
    struct buckets b = {.count = 0};
    assert_int_equal(engine_readdir(r->e, &r->c, ENGINE_ROOT_INO, "", 0, false, RIG_BUCKETS, bucket_entry, &b), 0);
    char *before = malloc((RIG_BUCKETS + 1) * (size_t)RIG_TEXT_BYTES), *after = before + (size_t)RIG_BUCKETS * RIG_TEXT_BYTES;
    assert_non_null(before);
    for (unsigned n = 0; n < b.count; n++)
        whole(r, b.names[n], before + (size_t)n * RIG_TEXT_BYTES);
    check_structure(r);
    rig_reopen(r);
    for (unsigned n = 0; n < b.count; n++) {
        whole(r, b.names[n], after);
        assert_string_equal(before + (size_t)n * RIG_TEXT_BYTES, after);
    }
    free(before);
}
