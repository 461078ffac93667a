/* SPDX-License-Identifier: GPL-3.0-or-later
 * Listening, and the conversation with libmicrohttpd (doc/decisions/s3-threads.md).
 *
 * A connection's thread never waits: it gathers bytes, suspends the connection and hands the request to a worker, which resumes it.
 * The same handler is called again then, so each call looks at the stage first. */
#include "s3/exchange.h"
#include "s3/listen.h"
#include "s3/tls.h"
#include "util/xaes.h"

#include <signal.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

enum {
    WORKERS_MAX = 64,
    POLLING_THREADS = 2,
    CONNECTIONS_DEFAULT = 10000,
    CONNECTION_BYTES = 128 << 10, /* the header section and what of a body is read at once */
    IDLE_S = 75,
    STOP_WAIT_MS = 10000,
};

/* ---- a request's life ---- */

static void new_id(struct request *q)
{
    uint8_t random[20];
    random_bytes(random, sizeof random);
    for (size_t n = 0; n < 8; n++)
        snprintf(q->id + 2 * n, 3, "%02X", random[n]);
    base64_format(random + 8, 12, q->host_id);
}

void exchange_free(struct exchange *x)
{
    if (x->counted)
        atomic_fetch_sub(&x->q.front->in_flight, 1);
    if (x->streams)
        pthread_mutex_destroy(&x->stream.lock);
    free(x->stream.piece[0]);
    free(x->stream.piece[1]);
    free(x->piece);
    request_done(&x->q);
    free(x);
}

/* The first thing that is known of a request is its target as sent. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *connection)
{
    struct s3_front *f = arg;
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->connection = connection;
    x->q.front = f;
    x->q.engine = f->engine;
    x->q.message.target = strdup(target);
    new_id(&x->q);
    return x;
}

/* A connection came or went: *state is its mark at the reaper. */
static void on_connection(void *arg, struct MHD_Connection *connection, void **state, enum MHD_ConnectionNotificationCode what)
{
    struct s3_front *f = arg;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        reaper_remove(f->reaper, *state);
        *state = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *state = info ? reaper_add(f->reaper, info->connect_fd) : NULL;
}

static struct watched *mark_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
    struct s3_front *f = arg;
    (void)why;
    struct exchange *x = *state;
    *state = NULL;
    reaper_idle(f->reaper, mark_of(connection));
    if (x && stream_end(x))
        exchange_free(x);
}

/* ---- what a worker does ---- */

static void resume(struct exchange *x)
{
    MHD_resume_connection(x->connection);
}

static void run_begin(struct job *job)
{
    struct exchange *x = (struct exchange *)job;
    request_begin(&x->q);
    x->stage = STAGE_BEGUN;
    resume(x);
}

static void run_body(struct job *job)
{
    struct exchange *x = (struct exchange *)job;
    request_body(&x->q, x->piece, x->piece_len);
    x->piece_len = 0;
    x->stage = x->q.status ? STAGE_DROPPING : STAGE_BODY;
    resume(x);
}

static void run_finish(struct job *job)
{
    struct exchange *x = (struct exchange *)job;
    if (x->piece_len)
        request_body(&x->q, x->piece, x->piece_len);
    if (!x->q.status)
        request_finish(&x->q);
    x->stage = STAGE_FINISHED;
    resume(x);
}

static enum MHD_Result hand_over(struct exchange *x, void (*run)(struct job *job))
{
    x->job.run = run;
    MHD_suspend_connection(x->connection);
    if (workers_submit(x->q.front->workers, &x->job))
        return MHD_YES;
    MHD_resume_connection(x->connection);
    return MHD_NO; /* stopping: the connection is closed */
}

/* ---- the answer ---- */

static struct MHD_Response *make_response(struct exchange *x)
{
    struct request *q = &x->q;
    if (q->handle || (q->head && q->handle_bytes))
        return stream_response(x);
    struct MHD_Response *r = MHD_create_response_from_buffer(q->out.len, q->out.data ? (void *)q->out.data : "",
                                                            q->out.data ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (r)
        q->out = (struct bytes){0};
    return r;
}

static enum MHD_Result answer(struct exchange *x)
{
    struct request *q = &x->q;
    struct MHD_Response *r = make_response(x);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Server", "holdfs");
    MHD_add_response_header(r, "x-amz-request-id", q->id);
    MHD_add_response_header(r, "x-amz-id-2", q->host_id);
    if (q->has_bucket)
        MHD_add_response_header(r, "x-amz-bucket-region", engine_conf(q->engine)->region);
    for (size_t n = 0; n < q->out_headers.count; n++) {
        const struct pair *p = &q->out_headers.v[n];
        if (p->name[0] && p->value[0])
            MHD_add_response_header(r, p->name, p->value);
    }
    if (q->close)
        MHD_add_response_header(r, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(x->connection, q->status, r);
    MHD_destroy_response(r);
    return result;
}

/* ---- what comes ---- */

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    message_header(arg, name, value ? value : "");
    return MHD_YES;
}

static void take_address(struct exchange *x)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info)
        listen_address_text(info->client_addr, x->q.address, sizeof x->q.address);
}

static enum MHD_Result start(struct exchange *x, const char *method, bool tls)
{
    struct request *q = &x->q;
    if (!q->message.target)
        return MHD_NO;
    snprintf(q->message.method, sizeof q->message.method, "%s", method);
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, take_header, &q->message);
    take_address(x);
    reaper_busy(q->front->reaper, mark_of(x->connection));
    q->tls = tls;
    atomic_fetch_add(&q->front->in_flight, 1);
    x->counted = true;
    return hand_over(x, run_begin);
}

/* A refusal before the body: sent at once where the client waits for leave to send or has much to send; else its body is read first,
 * so that it reads the answer. */
static bool drops_first(const struct exchange *x)
{
    const struct request *q = &x->q;
    const char *expect = message_get(&q->message, "expect");
    bool waits = expect && strcasecmp(expect, "100-continue") == 0;
    return request_takes_body(q) && !waits && !q->close && q->sized && q->length <= REQUEST_DROP_BYTES;
}

static enum MHD_Result begun(struct exchange *x)
{
    if (!x->q.status) {
        x->stage = STAGE_BODY;
        return MHD_YES;
    }
    bool whole = !request_takes_body(&x->q);
    if (!whole && !drops_first(x))
        return answer(x);
    x->stage = whole ? STAGE_FINISHED : STAGE_DROPPING; /* an answer given here would close the connection */
    return MHD_YES;
}

/* A full piece goes to a worker only when more has come behind it, which is left in libmicrohttpd's buffer: of a chunked body it hands
 * out the next chunk at once, also on a connection that is suspended, unless some of the last one was left. */
static enum MHD_Result take_body(struct exchange *x, const char *bytes, size_t *len)
{
    if (!x->piece && !(x->piece = malloc(REQUEST_PIECE_BYTES)))
        return MHD_NO;
    size_t room = REQUEST_PIECE_BYTES - x->piece_len, n = *len < room ? *len : room;
    memcpy(x->piece + x->piece_len, bytes, n);
    x->piece_len += n;
    *len -= n;
    return *len ? hand_over(x, run_body) : MHD_YES;
}

static enum MHD_Result on_request(struct s3_front *f, struct MHD_Connection *connection, const char *method, const char *bytes,
                                  size_t *len, void **state, bool tls)
{
    struct exchange *x = *state;
    (void)f;
    if (!x)
        return MHD_NO;
    x->connection = connection;
    switch (x->stage) {
    case STAGE_NEW:
        return start(x, method, tls);
    case STAGE_BEGUN:
        return begun(x);
    case STAGE_BODY:
        return *len ? take_body(x, bytes, len) : hand_over(x, run_finish);
    case STAGE_DROPPING:
        if (!*len)
            return answer(x);
        *len = 0;
        return MHD_YES;
    default:
        return answer(x);
    }
}

static enum MHD_Result on_http(void *arg, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                               const char *bytes, size_t *len, void **state)
{
    (void)url;
    (void)version;
    return on_request(arg, c, method, bytes, len, state, false);
}

static enum MHD_Result on_https(void *arg, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                                const char *bytes, size_t *len, void **state)
{
    (void)url;
    (void)version;
    return on_request(arg, c, method, bytes, len, state, true);
}

/* Paths and queries are decoded in message.c, once. */
static size_t leave_as_it_is(void *arg, struct MHD_Connection *c, char *text)
{
    (void)arg;
    (void)c;
    return strlen(text);
}

static void log_line(void *arg, const char *fmt, va_list ap)
{
    char text[512];
    (void)arg;
    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    log_debug("s3", "%s", text);
}

/* ---- starting and stopping ---- */

struct MHD_Daemon *server_daemon(struct s3_front *f, int fd, const char *cert, const char *key)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (cert ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)cert}, {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)key},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(flags, 0, NULL, NULL, cert ? on_https : on_http, f, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL,
                            MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)POLLING_THREADS,
                            MHD_OPTION_CONNECTION_LIMIT, f->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_URI_LOG_CALLBACK, on_target, f,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, f, MHD_OPTION_NOTIFY_COMPLETED, on_completed, f, MHD_OPTION_UNESCAPE_CALLBACK, leave_as_it_is, NULL,
                            MHD_OPTION_ARRAY, cert ? tls : none, MHD_OPTION_END);
}

static int start_http(struct s3_front *f, const struct s3_front_config *config, struct reason *reason)
{
    int fd, r = listen_on(config->http, &fd, reason);
    if (r < 0)
        return r;
    f->http = server_daemon(f, fd, NULL, NULL);
    if (f->http)
        return 0;
    close(fd);
    return reason_fail(reason, EIO, "the HTTP server at %s could not be started", config->http);
}

static int copy_domains(struct s3_front *f, const struct s3_front_config *config)
{
    f->domains = calloc(config->domain_count + 1, sizeof *f->domains);
    for (size_t n = 0; f->domains && n < config->domain_count; n++) {
        f->domains[n] = strdup(config->domains[n]);
        if (!f->domains[n])
            return -ENOMEM;
        f->domain_count++;
    }
    return f->domains ? 0 : -ENOMEM;
}

int s3_front_start(const struct s3_front_config *config, struct s3_front **ret, struct reason *reason)
{
    struct s3_front *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL); /* clients go away; GnuTLS writes without MSG_NOSIGNAL */
    f->engine = config->engine;
    f->region_strict = config->region_strict;
    f->sigv2_off = config->sigv2_off;
    f->max_connections = config->max_connections ? config->max_connections : CONNECTIONS_DEFAULT;
    int r = copy_domains(f, config);
    if (r == 0)
        r = reaper_start(tls_look, f, &f->reaper);
    if (r == 0)
        r = workers_new(WORKERS_MAX, &f->workers);
    if (r == 0 && config->http)
        r = start_http(f, config, reason);
    if (r == 0 && config->https)
        r = tls_start(f, config, reason);
    if (r < 0) {
        s3_front_stop(f);
        return r;
    }
    *ret = f;
    return 0;
}

static void quiesce(struct MHD_Daemon *d)
{
    int fd = d ? MHD_quiesce_daemon(d) : -1;
    if (fd >= 0)
        close(fd);
}

void s3_front_stop(struct s3_front *f)
{
    if (!f)
        return;
    atomic_store(&f->stopping, true);
    tls_freeze(f); /* f->https is fixed from now on */
    quiesce(f->http);
    quiesce(f->https);
    for (int ms = 0; ms < STOP_WAIT_MS && atomic_load(&f->in_flight); ms += 20)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    workers_stop(f->workers); /* every suspended connection has been resumed after it, and none is suspended again */
    if (f->http)
        MHD_stop_daemon(f->http);
    if (f->https)
        MHD_stop_daemon(f->https);
    tls_end_retired(f);
    reaper_stop(f->reaper);
    tls_free(f);
    workers_free(f->workers);
    for (size_t n = 0; n < f->domain_count; n++)
        free(f->domains[n]);
    free(f->domains);
    free(f);
}

unsigned s3_front_port(const struct s3_front *f, bool tls)
{
    struct MHD_Daemon *d = tls ? f->https : f->http; /* asked before the certificate can have changed */
    const union MHD_DaemonInfo *info = d ? MHD_get_daemon_info(d, MHD_DAEMON_INFO_LISTEN_FD) : NULL;
    return info ? listen_port(info->listen_fd) : 0;
}
