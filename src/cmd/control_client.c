/* SPDX-License-Identifier: GPL-3.0-or-later
 * The command's side of the control socket, and the same operations in this process when no daemon has the
 * store. */
#include "cmd/control.h"
#include "cmd/control_wire.h"
#include "cmd/progress.h"
#include "cmd/secrets.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct session {
    struct target target;
    int socket;            /* -1: in this process */
    struct wire wire;      /* what was read from the socket */
    struct engine *engine; /* in this process */
};

/* A connected socket, -ENOENT when no daemon listens, or another error. */
static int session_connect(const char *store)
{
    struct sockaddr_un address;
    CLEANUP_FD int dir = -1;
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int r = wire_address(store, &address, &dir);
    if (r < 0)
        return r;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return errno == ECONNREFUSED ? -ENOENT : -errno;
    r = fd;
    fd = -1;
    return r;
}

bool session_daemon_runs(const char *store)
{
    CLEANUP_FD int fd = session_connect(store);
    return fd >= 0;
}

static int session_open_here(struct session *s, const struct invocation *inv, bool reads,
                             struct reason *reason)
{
    struct unlock unlock = {0};
    char owner[128];
    int r = secret_unlock(inv, &unlock, reason);
    if (r < 0)
        return r;
    snprintf(owner, sizeof owner, "command %s", inv->command->name);
    struct engine_config config = {
        .dir = s->target.store,
        .unlock = &unlock,
        .owner_text = owner,
        .read_only = reads,
        .settle_default_s = -1,
    };
    r = engine_open(&config, &s->engine, reason);
    secret_free(unlock.secret);
    return r;
}

struct session *session_open(const struct invocation *inv, const struct target *target, bool reads)
{
    struct reason reason = {0};
    struct session *s = calloc(1, sizeof *s);
    if (!s) {
        command_refuse("out of memory");
        return NULL;
    }
    s->target = *target;
    s->socket = session_connect(target->store);
    if (s->socket >= 0)
        return s;
    int r = s->socket;
    if (r == -ENOENT && *target->mount)
        command_refuse("the daemon of %s does not answer; unmount it and mount %s again", target->mount,
                       target->store);
    else if (r != -ENOENT)
        command_refuse("%s/control: %s", target->store, strerror(-r));
    else if ((r = session_open_here(s, inv, reads, &reason)) < 0)
        command_refuse_reason(&reason, r, target->store);
    else
        return s;
    session_close(s);
    return NULL;
}

void session_close(struct session *s)
{
    if (!s)
        return;
    if (s->socket >= 0)
        close(s->socket);
    if (s->engine)
        engine_close(s->engine);
    wire_done(&s->wire);
    free(s);
}

static int session_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    progress_show(arg, what, done, total);
    return 0;
}

static int session_call_here(struct session *s, const struct operation *op, const json_t *args, int fd,
                             struct progress *progress, json_t **ret, struct reason *reason)
{
    struct caller caller;
    engine_caller_init(s->engine, &caller, getuid(), getgid(), getpid(), "command");
    if (op->flags & OPERATION_MOUNTED)
        return reason_fail(reason, ENOTCONN, "nothing has %s open; mount it first", s->target.store);
    struct operation_call call = {.engine = s->engine,
                                  .caller = &caller,
                                  .args = args,
                                  .progress = {session_progress, progress},
                                  .fd = fd};
    int r = operation_run(op, &call);
    if (r == 0)
        *ret = call.result;
    *reason = caller.reason;
    return r;
}

static int session_answer(struct session *s, struct progress *progress, json_t **ret, struct reason *reason)
{
    for (;;) {
        json_t *line = NULL;
        int r = wire_read(&s->wire, s->socket, &line, NULL);
        if (r <= 0)
            return reason_fail(reason, EPIPE, "the daemon of %s went away before it answered",
                               s->target.store);
        const char *what, *text = "";
        json_int_t done, total;
        int ok = 0, error = EIO;
        json_t *result = NULL;
        if (json_unpack(line, "{s:{s:s,s:I,s:I}}", "progress", "what", &what, "done", &done, "total",
                        &total) == 0) {
            progress_show(progress, what, (uint64_t)done, (uint64_t)total);
            json_decref(line);
            continue;
        }
        json_unpack(line, "{s:b, s?i, s?s, s?O}", "ok", &ok, "errno", &error, "error", &text, "result",
                    &result);
        if (ok)
            *ret = result;
        else
            reason_fail(reason, error, "%s", text);
        json_decref(line);
        return ok ? 0 : error > 0 ? -error : -EIO;
    }
}

int session_call(struct session *s, const char *name, json_t *args, int fd, json_t **ret,
                 struct reason *reason)
{
    const struct operation *op = operation_find(name);
    struct progress progress;
    if (!args)
        args = json_object();
    int r =
        json_object_get(args, "path") ? 0 : json_object_set_new(args, "path", json_string(s->target.path));
    if (r < 0) {
        json_decref(args);
        return reason_fail(reason, EILSEQ, "the path is not UTF-8, and no key in a store is");
    }
    progress_begin(&progress);
    if (s->socket < 0) {
        r = session_call_here(s, op, args, fd, &progress, ret, reason);
        json_decref(args);
    } else {
        json_t *request = json_pack("{s:i, s:s, s:b, s:o}", "v", CONTROL_VERSION, "op", name, "mount",
                                    *s->target.mount != 0, "args", args);
        r = wire_write(s->socket, request, fd);
        json_decref(request);
        if (r == 0 || r == -EPIPE) /* a daemon that turns a command away has said why */
            r = session_answer(s, &progress, ret, reason);
        else
            reason_fail(reason, -r, "talking to the daemon of %s: %s", s->target.store, strerror(-r));
    }
    progress_end(&progress);
    return r;
}

int command_operate(const struct invocation *inv, const char *path, const char *name, json_t *args,
                    json_t **ret)
{
    struct target target;
    struct reason reason = {0};
    int r = target_find(path, &target, &reason);
    if (r < 0) {
        json_decref(args);
        return command_refuse_reason(&reason, r, path);
    }
    CLEANUP(session_cleanup)
    struct session *s = session_open(inv, &target, operation_find(name)->flags & OPERATION_READS);
    if (!s) {
        json_decref(args);
        return EXIT_REFUSED;
    }
    r = session_call(s, name, args, -1, ret, &reason);
    return r < 0 ? command_refuse_reason(&reason, r, path) : EXIT_DONE;
}
