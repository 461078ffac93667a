/* SPDX-License-Identifier: GPL-3.0-or-later
 * Finds the store behind a PATH: by /proc/self/mountinfo inside a mount (type fuse.holdfs; the source is the
 * store), by a holdfs.conf found looking upwards otherwise. */
#include "cmd/target.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mount_line {
    char *root, *point, *type, *source;
};

/* Turns mountinfo's \040 and the like back, in place. */
static void mount_unescape(char *s)
{
    char *out = s;
    while (*s) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
            s[3] <= '7') {
            *out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 4;
        } else {
            *out++ = *s++;
        }
    }
    *out = 0;
}

/* proc(5): ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG]... - TYPE SOURCE SUPER */
static bool mount_line_parse(char *line, struct mount_line *ret)
{
    char *save = NULL, *word = strtok_r(line, " \n", &save);
    for (int i = 0; word && strcmp(word, "-") != 0; i++, word = strtok_r(NULL, " \n", &save)) {
        if (i == 3)
            ret->root = word;
        if (i == 4)
            ret->point = word;
    }
    ret->type = strtok_r(NULL, " \n", &save);
    ret->source = strtok_r(NULL, " \n", &save);
    if (!word || !ret->type || !ret->source)
        return false;
    mount_unescape(ret->root);
    mount_unescape(ret->point);
    mount_unescape(ret->source);
    return true;
}

/* The length of `dir` when path is it or lies below it, else -1. */
static ssize_t path_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    if (!strcmp(dir, "/"))
        return 0;
    return !strncmp(path, dir, n) && (path[n] == '/' || path[n] == 0) ? (ssize_t)n : -1;
}

/* "/a" and "b" to "/a/b", "" and "b" to "b"; no slash at the end ("/" and "" is ""). */
static int path_join(char out[PATH_MAX], const char *a, const char *b)
{
    while (*b == '/')
        b++;
    size_t n = strlen(a);
    while (n > 0 && a[n - 1] == '/')
        n--;
    int len = snprintf(out, PATH_MAX, "%.*s%s%s", (int)n, a, *b && *a == '/' ? "/" : "", b);
    if (len < 0 || len >= PATH_MAX)
        return -ENAMETOOLONG;
    while (len > 0 && out[len - 1] == '/')
        out[--len] = 0;
    return 0;
}

/* Takes empty segments and "." out, in place. */
static void path_squeeze(char *path)
{
    char *out = path;
    for (const char *in = path; *in;) {
        size_t n = strcspn(in, "/");
        if (n > 0 && !(n == 1 && *in == '.')) {
            if (out > path)
                *out++ = '/';
            memmove(out, in, n);
            out += n;
        }
        in += n + (in[n] == '/');
    }
    *out = 0;
}

static int target_set(struct target *t, const char *store, const char *mount, const char *root,
                      const char *below)
{
    if (strlen(store) >= sizeof t->store || strlen(mount) >= sizeof t->mount)
        return -ENAMETOOLONG;
    memcpy(t->store, store, strlen(store) + 1);
    memcpy(t->mount, mount, strlen(mount) + 1);
    int r = path_join(t->path, root + strspn(root, "/"), below);
    path_squeeze(t->path);
    return r;
}

/* 1 when `path` lies in a holdfs mount. The mount with the longest point holds a path; of equals the one
 * mounted last. */
int target_in_mounts(FILE *mountinfo, const char *path, struct target *ret)
{
    CLEANUP_FREE char *line = NULL;
    size_t cap = 0;
    ssize_t longest = -1;
    int found = 0;
    while (getline(&line, &cap, mountinfo) > 0) {
        struct mount_line m = {0};
        if (!mount_line_parse(line, &m))
            continue;
        ssize_t n = path_below(path, m.point);
        if (n < 0 || n < longest) /* a chroot may have no mount at all above the path */
            continue;
        longest = n;
        found = !strcmp(m.type, "fuse.holdfs");
        if (found && target_set(ret, m.source, m.point, m.root, path + n) < 0)
            found = -ENAMETOOLONG;
    }
    return found;
}

static int target_in_mount(const char *path, struct target *ret)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    if (!f)
        return -errno;
    int r = target_in_mounts(f, path, ret);
    fclose(f);
    return r;
}

/* 1 when a directory at or above `path` is a store. */
static int target_in_store(const char *path, struct target *ret)
{
    char dir[PATH_MAX], conf[PATH_MAX + 16];
    size_t n = strlen(path);
    memcpy(dir, path, n + 1);
    for (;;) {
        snprintf(conf, sizeof conf, "%s/holdfs.conf", dir);
        if (access(conf, F_OK) == 0) {
            char real[PATH_MAX];
            int r = realpath(*dir ? dir : "/", real) ? target_set(ret, real, "", "", path + n) : -errno;
            return r < 0 ? r : 1;
        }
        if (n == 0)
            return 0;
        while (n > 0 && dir[n - 1] != '/')
            n--;
        while (n > 0 && dir[n - 1] == '/')
            n--;
        dir[n] = 0;
    }
}

/* The absolute path with the symbolic links of all that exists resolved, but not the last name's. What lies where the caller may not go
 * is taken by its name: he may ask about it, and whoever answers judges that. */
static int path_absolute(const char *path, char out[PATH_MAX])
{
    char whole[PATH_MAX], head[PATH_MAX], cwd[PATH_MAX];
    if (!*path)
        return -ENOENT;
    if (*path != '/' && !getcwd(cwd, sizeof cwd))
        return -errno;
    int r = path_join(whole, *path == '/' ? "/" : cwd, path);
    if (r < 0)
        return r;
    if (!*whole) {
        *out = 0;
        return 0;
    }
    char *tail = strrchr(whole, '/');
    if (!strcmp(tail, "/.") || !strcmp(tail, "/.."))
        tail = whole + strlen(whole); /* these two can only be followed */
    for (;;) {
        char saved = *tail;
        *tail = 0;
        char *real = realpath(*whole ? whole : "/", head);
        *tail = saved;
        if (real)
            return path_join(out, head, tail);
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            return -errno;
        do {
            tail--;
        } while (tail > whole && *tail != '/');
    }
}

static int target_of_absolute(const char *path, struct target *ret)
{
    int r = target_in_mount(path, ret);
    return r != 0 ? r : target_in_store(path, ret);
}

int target_find(const char *path, struct target *ret, struct reason *reason)
{
    char absolute[PATH_MAX], followed[PATH_MAX];
    memset(ret, 0, sizeof *ret);
    int r = path_absolute(path, absolute);
    if (r < 0)
        return reason_fail(reason, -r, "%s: %s", path, strerror(-r));
    r = target_of_absolute(absolute, ret);
    if (r == 0 && realpath(path, followed))
        r = target_of_absolute(followed, ret); /* a link to a mount point or a store */
    if (r < 0)
        return reason_fail(reason, -r, "%s: %s", path, strerror(-r));
    if (r == 0)
        return reason_fail(
            reason, ENOENT,
            "%s lies neither in a holdfs mount nor under a store's directory (one with a holdfs.conf); "
            "`holdfs init` makes a store",
            path);
    return 0;
}

int target_each_mount(int (*fn)(void *arg, const char *mount, const char *store), void *arg)
{
    CLEANUP_FREE char *line = NULL;
    size_t cap = 0;
    int r = 0;
    FILE *f = fopen("/proc/self/mountinfo", "re");
    if (!f)
        return -errno;
    while (r == 0 && getline(&line, &cap, f) > 0) {
        struct mount_line m = {0};
        if (mount_line_parse(line, &m) && !strcmp(m.type, "fuse.holdfs") && !strcmp(m.root, "/"))
            r = fn(arg, m.point, m.source);
    }
    fclose(f);
    return r;
}
