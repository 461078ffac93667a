/* SPDX-License-Identifier: GPL-3.0-or-later
 * The daemon's side of the control socket: a thread that accepts and one for each connection. Anybody may
 * connect (0666); each request is judged by the engine as the peer's uid. A peer that goes away stops its
 * long operation. */
#include "cmd/control.h"
#include "cmd/control_wire.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

enum {
    CONTROL_CONNECTIONS = 64,  /* of all uids together; a command holds one */
    CONTROL_PER_UID = 16,      /* so that no user can keep the others out */
    CONTROL_IDLE_SECONDS = 60, /* a peer that asks nothing frees its place */
    CONTROL_SEND_SECONDS = 10, /* a peer that reads nothing is taken for gone */
};

struct connection {
    struct control_server *server;
    int socket; /* -1: the place is free */
    struct ucred peer;
};

struct control_server {
    struct engine *engine;
    char *socket_path;
    const char *bucket;
    int listener, stop_event;
    pthread_t acceptor;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct connection connections[CONTROL_CONNECTIONS];
    unsigned open_count;
    bool stopping;
};

static bool server_stopping(struct control_server *s)
{
    LOCK_SCOPE(&s->lock);
    return s->stopping;
}

/* ---- one request ---- */

static int server_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    struct connection *c = arg;
    if (server_stopping(c->server))
        return 1;
    json_t *line = json_pack("{s:{s:s, s:I, s:I}}", "progress", "what", what, "done", (json_int_t)done,
                             "total", (json_int_t)total);
    int r = wire_write(c->socket, line, -1);
    json_decref(line);
    return r < 0;
}

static json_t *server_refusal(const struct caller *caller, int error)
{
    const char *text = *caller->reason.text ? caller->reason.text : strerror(-error);
    return json_pack("{s:b, s:i, s:s}", "ok", 0, "errno", -error, "error", text);
}

static int server_request(struct connection *c, const json_t *request, struct caller *caller, int fd,
                          json_t **ret)
{
    int version = 0, in_mount = 0;
    const char *name = "";
    json_t *args = NULL;
    if (json_unpack((json_t *)request, "{s:i, s:s, s:o, s?b}", "v", &version, "op", &name, "args", &args,
                    "mount", &in_mount) < 0 ||
        !json_is_object(args))
        return reason_fail(&caller->reason, EINVAL, "a request is {\"v\":1,\"op\":NAME,\"args\":{...}}");
    const struct operation *op = version == CONTROL_VERSION ? operation_find(name) : NULL;
    if (!op)
        return reason_fail(&caller->reason, ENOSYS,
                           "the daemon does not know `%s`; it is holdfs %s, the command may be another", name,
                           PACKAGE_VERSION);
    struct operation_call call = {
        .engine = c->server->engine,
        .caller = caller,
        .args = args,
        .bucket = in_mount ? c->server->bucket : NULL,
        .progress = {server_progress, c},
        .fd = fd,
    };
    int r = operation_run(op, &call);
    if (!(op->flags & OPERATION_READS))
        engine_watch_settle(c->server->engine);
    if (r == 0)
        *ret = json_pack("{s:b, s:o*}", "ok", 1, "result", call.result);
    return r;
}

/* Answers one request; false when the connection is to end. */
static bool server_serve(struct connection *c, struct wire *wire)
{
    json_t *request = NULL, *answer = NULL;
    CLEANUP_FD int fd = -1;
    int got = wire_read(wire, c->socket, &request, &fd);
    if (got == 0 || (got < 0 && got != -EBADMSG) || server_stopping(c->server))
        return false;
    struct caller caller;
    engine_caller_init(c->server->engine, &caller, c->peer.uid, c->peer.gid, c->peer.pid, "command");
    int r = got > 0 ? server_request(c, request, &caller, fd, &answer)
                    : reason_fail(&caller.reason, EINVAL, "a request is one line of JSON, at most %d bytes",
                                  CONTROL_LINE_BYTES);
    if (r < 0)
        answer = server_refusal(&caller, r);
    int sent = wire_write(c->socket, answer, -1);
    json_decref(answer);
    json_decref(request);
    return got > 0 && sent == 0;
}

static void *server_connection(void *arg)
{
    struct connection *c = arg;
    struct control_server *s = c->server;
    struct wire wire = {0};
    while (server_serve(c, &wire))
        continue;
    wire_done(&wire);
    LOCK_SCOPE(&s->lock);
    close(c->socket);
    c->socket = -1;
    s->open_count--;
    pthread_cond_broadcast(&s->changed);
    return NULL;
}

/* ---- accepting ---- */

static struct connection *server_place(struct control_server *s, int socket)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return NULL;
    LOCK_SCOPE(&s->lock);
    struct connection *place = NULL;
    unsigned same = 0;
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
        struct connection *c = &s->connections[i];
        if (c->socket < 0)
            place = c;
        else
            same += c->peer.uid == peer.uid;
    }
    if (!place || same >= CONTROL_PER_UID || s->stopping)
        return NULL;
    *place = (struct connection){s, socket, peer};
    s->open_count++;
    return place;
}

/* All places are taken: by this uid, or by all. */
static void server_turn_away(int socket)
{
    json_t *answer = json_pack("{s:b, s:i, s:s}", "ok", 0, "errno", EAGAIN, "error",
                               "too many commands talk to the daemon at once; try again in a moment");
    wire_write(socket, answer, -1); /* fits the empty buffer of a new socket: does not block */
    json_decref(answer);
    close(socket);
}

static void server_accept(struct control_server *s)
{
    int socket = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    if (socket < 0)
        return;
    struct timeval idle = {.tv_sec = CONTROL_IDLE_SECONDS}, send = {.tv_sec = CONTROL_SEND_SECONDS};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof send);
    struct connection *c = server_place(s, socket);
    pthread_t thread;
    if (!c) {
        server_turn_away(socket);
    } else if (pthread_create(&thread, NULL, server_connection, c) != 0) {
        LOCK_SCOPE(&s->lock);
        close(socket);
        c->socket = -1;
        s->open_count--;
    } else {
        pthread_detach(thread);
    }
}

static void *server_acceptor(void *arg)
{
    struct control_server *s = arg;
    struct pollfd wait[2] = {{.fd = s->listener, .events = POLLIN}, {.fd = s->stop_event, .events = POLLIN}};
    while (poll(wait, 2, -1) >= 0 || errno == EINTR) {
        if (wait[1].revents)
            break;
        if (wait[0].revents)
            server_accept(s);
    }
    return NULL;
}

static int server_listen(struct control_server *s, const char *store)
{
    struct sockaddr_un address;
    CLEANUP_FD int dir = -1;
    int r = wire_address(store, &address, &dir);
    if (r < 0)
        return r;
    if (asprintf(&s->socket_path, "%s/control", store) < 0)
        return -ENOMEM;
    unlink(s->socket_path); /* of a killed daemon: whoever has the store's lock owns the name */
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    s->stop_event = eventfd(0, EFD_CLOEXEC);
    if (s->listener < 0 || s->stop_event < 0)
        return -errno;
    if (bind(s->listener, (const struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(s->socket_path, 0666) < 0 || listen(s->listener, CONTROL_CONNECTIONS) < 0)
        return -errno;
    return 0;
}

static void server_free(struct control_server *s)
{
    if (s->listener >= 0)
        close(s->listener);
    if (s->stop_event >= 0)
        close(s->stop_event);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->socket_path);
    free(s);
}

int control_server_start(struct engine *e, const char *store, const char *bucket, struct control_server **ret,
                         struct reason *reason)
{
    struct control_server *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct control_server){.engine = e, .bucket = bucket, .listener = -1, .stop_event = -1};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        s->connections[i].socket = -1;
    int r = server_listen(s, store);
    if (r == 0)
        r = -pthread_create(&s->acceptor, NULL, server_acceptor, s);
    if (r < 0) {
        reason_fail(reason, -r, "%s/control: %s", store, strerror(-r));
        server_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void control_server_stop(struct control_server *s)
{
    if (!s)
        return;
    unlink(s->socket_path);
    eventfd_write(s->stop_event, 1);
    pthread_join(s->acceptor, NULL);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        if (s->connections[i].socket >= 0)
            shutdown(s->connections[i].socket, SHUT_RD); /* an answer on its way still gets out */
    while (s->open_count > 0)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    server_free(s);
}
