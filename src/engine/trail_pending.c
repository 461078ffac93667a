/* SPDX-License-Identifier: GPL-3.0-or-later
 * What happens to a store while nobody has its metadata open: a secret that opens nothing, a slot that is changed. It waits, a line
 * each, in STORE/audit.pending, and enters the trail when the store is opened next, or within a second where it is open.
 *
 * Who can write that file can forge or drop such a line; he could as well put another header in place. So these records say where
 * they come from. */
#include "engine/trail.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PENDING_MAX_BYTES = 1 << 20 /* more than that nobody reads; who fills it learns nothing */ };

static int pending_open(const char *dir, int flags)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/audit.pending", dir);
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void engine_audit_pending(const char *dir, uint32_t uid, int32_t pid, const char *event, const char *error, json_t *params)
{
    char time[40];
    struct stat st;
    trail_time(clock_wall_ns(), time);
    json_t *o = json_pack("{s:s, s:s, s:I, s:i, s:s*, s:o*}", "event", event, "time", time, "uid", (json_int_t)uid, "pid", pid, "error", error, "params", params);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    CLEANUP_FD int fd = text ? pending_open(dir, O_WRONLY | O_CREAT | O_APPEND) : -1;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size < PENDING_MAX_BYTES && dprintf(fd, "%s\n", text) < 0)
        log_warning("%s/audit.pending cannot be written: %s", dir, strerror(errno));
    free(text);
    json_decref(o);
}

/* *ret_renewed: M was renewed, so whoever had the old one may have the signing key too. */
static int line_note(struct engine *e, const char *line, size_t len, bool *ret_renewed)
{
    const char *event = NULL, *time = NULL, *error = NULL;
    json_int_t uid = 0;
    int pid = 0;
    json_t *params = NULL, *o = json_loadb(line, len, 0, NULL);
    if (json_unpack(o, "{s:s, s:s, s:I, s:i, s?s, s?o}", "event", &event, "time", &time, "uid", &uid, "pid", &pid, "error", &error, "params", &params) < 0 ||
        uid < 0 || uid > UINT32_MAX || (params && !json_is_object(params))) {
        json_decref(o);
        log_warning("a line of audit.pending is none of ours, and dropped");
        return 0;
    }
    struct caller c;
    engine_caller_init(e, &c, (uint32_t)uid, 0, pid, "command");
    json_t *told = params ? json_deep_copy(params) : json_object();
    if (told) {
        json_object_set_new(told, "reportedAt", json_string(time));
        json_object_set_new(told, "reportedBy", json_string("audit.pending"));
    }
    int r = trail_note(e, &c, &(struct trail_event){.name = event,
                                                    .source = TRAIL_HOLDFS,
                                                    .params = told,
                                                    .error = error ? -EACCES : 0,
                                                    .error_code = error ? "AccessDenied" : NULL,
                                                    .error_message = error});
    *ret_renewed |= strcmp(event, "RotateMasterKey") == 0;
    json_decref(o);
    return r;
}

static int lines_note(struct engine *e, const char *text, size_t len, bool *ret_renewed)
{
    int r = txn_begin(e);
    if (r < 0)
        return r;
    for (size_t at = 0; r == 0 && at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end ? (size_t)(end - text) - at : len - at;
        if (line)
            r = line_note(e, text + at, line, ret_renewed);
        at += line + 1;
    }
    return txn_end(e, r);
}

int trail_pending_take(struct engine *e)
{
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%s/audit.pending", e->dir);
    if (stat(path, &st) < 0 || !st.st_size)
        return 0;
    CLEANUP_FD int fd = pending_open(e->dir, O_RDWR);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    size_t cap = st.st_size > 2 * PENDING_MAX_BYTES ? 2 * PENDING_MAX_BYTES : (size_t)st.st_size;
    CLEANUP_FREE char *text = malloc(cap + 1);
    ssize_t n = text ? pread(fd, text, cap, 0) : -1;
    bool renewed = false;
    int r = n < 0 ? -EIO : lines_note(e, text, (size_t)n, &renewed);
    if (r == 0 && renewed) /* encryption.md §1.4: the chain gets a new key */
        r = trail_key_rotate(e, NULL);
    /* Killed between the two, it is told twice: better than not at all. */
    return r < 0 ? r : ftruncate(fd, 0) < 0 ? -errno : 0;
}
