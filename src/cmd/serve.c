/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs serve: the HTTP front alone. Opens the store, listens, answers commands, until it is told to end. */
#include "cmd/control.h"
#include "cmd/daemon.h"
#include "cmd/mount.h"
#include "cmd/secrets.h"
#include "cmd/serving.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct serve_work {
    const struct invocation *inv;
    struct daemon daemon;
    struct secret_source secret;
    char store[PATH_MAX];
    struct engine *engine;
    struct s3_front *front;
    struct control_server *control;
    struct serving serving;
    uint64_t min_seq; /* 0: any */
};

static int serve_read(struct serve_work *w, struct reason *reason)
{
    const struct invocation *inv = w->inv;
    int r = 0;
    if (!invocation_has(inv, "https"))
        w->serving.http = "127.0.0.1:9000";
    for (size_t i = 0; r == 0 && i < inv->given_count; i++) {
        r = serving_set(&w->serving, inv->given[i].option->name, inv->given[i].value, reason);
        r = r == -ENOENT ? 0 : r;
    }
    const char *min_seq = invocation_value(inv, "min-seq");
    if (r == 0 && min_seq)
        r = min_seq_read(min_seq, &w->min_seq, reason);
    if (r == 0)
        r = serving_check(&w->serving, reason);
    if (r == 0 && !serving_any(&w->serving))
        r = reason_fail(reason, EINVAL, "nothing is served: name --http or --https");
    return r < 0 ? r : secret_source_of(inv, &w->secret, reason);
}

static int serve_paths(struct serve_work *w, struct reason *reason)
{
    struct store_conf conf;
    const char *store = w->inv->operands[0];
    if (!realpath(store, w->store))
        return reason_fail(reason, errno, "the store %s: %s; `holdfs init` makes one", store, strerror(errno));
    int r = serving_paths(&w->serving, reason);
    return r < 0 ? r : store_conf_read(w->store, &conf, reason);
}

/* ---- serving ---- */

static int serve_open(struct serve_work *w, struct reason *reason)
{
    struct unlock unlock = {0};
    int r = secret_obtain(&w->secret, false, &unlock, reason);
    if (r < 0)
        return r;
    daemon_detach(&w->daemon);
    const char *where = w->serving.https ? w->serving.https : w->serving.http;
    CLEANUP_FREE char *owner = NULL;
    if (asprintf(&owner, "serve %s", where) < 0)
        owner = NULL;
    struct engine_config config = {.dir = w->store,
                                   .unlock = &unlock,
                                   .owner_text = owner ? owner : "serve",
                                   .settle_default_s = -1,
                                   .min_seq = w->min_seq,
                                   .accept_rollback = invocation_has(w->inv, "accept-rollback"),
                                   .mfa_code = invocation_value(w->inv, "mfa")};
    r = engine_open(&config, &w->engine, reason);
    secret_free(unlock.secret);
    return r;
}

static int serve_listen(struct serve_work *w, struct reason *reason)
{
    int r = serving_start(&w->serving, w->engine, &w->front, reason);
    if (r == 0)
        r = control_server_start(w->engine, w->store, NULL, &w->control, reason);
    return r;
}

static void serve_finish(struct serve_work *w)
{
    s3_front_stop(w->front);
    control_server_stop(w->control);
    if (w->engine)
        engine_close(w->engine);
    daemon_hide_memory(false);
}

/* Connections need descriptors; the soft limit is low for the sake of select(2), which is not used. */
static void serve_raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Signals that end it are blocked in every thread and fetched here. */
static void serve_wait(const sigset_t *ends)
{
    int sig;
    while (sigwait(ends, &sig) != 0)
        continue;
    log_notice("ending on signal %d", sig);
}

static int serve_run(const struct invocation *inv)
{
    struct serve_work w = {.inv = inv};
    struct reason reason = {0};
    sigset_t ends;
    if (serve_read(&w, &reason) < 0)
        return command_usage(inv, "%s", reason.text);
    int status = daemon_begin(&w.daemon, invocation_has(inv, "f"));
    if (status >= 0)
        return status;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    daemon_hide_memory(true);
    serve_raise_limits();
    umask(077);
    int r = serve_paths(&w, &reason);
    if (r == 0)
        r = serve_open(&w, &reason);
    if (r == 0)
        r = serve_listen(&w, &reason);
    if (r < 0) {
        command_refuse_reason(&reason, r, inv->operands[0]);
        serve_finish(&w);
        daemon_failed(&w.daemon, EXIT_REFUSED);
        return EXIT_REFUSED;
    }
    serving_say(&w.serving, w.front, w.store);
    daemon_ready(&w.daemon);
    serve_wait(&ends);
    daemon_stopping();
    serve_finish(&w);
    return EXIT_DONE;
}

static const struct option serve_options[] = {
    {"f", NULL, "stay in the foreground, log to standard error", NULL, false},
    {"http", "ADDR:PORT", "listen for HTTP there (127.0.0.1:9000); none", NULL, false},
    {"https", "ADDR:PORT", "listen for HTTPS there; none", NULL, false},
    {"tls-cert", "FILE", "certificate of --https, with its chain, in PEM", NULL, false},
    {"tls-key", "FILE", "its key, in PEM", NULL, false},
    {"domain", "NAME", "take BUCKET.NAME for a bucket's host", NULL, true},
    {"sigv2", "WHAT", "old signatures in pre-signed URLs: off or presigned", "off|presigned", false},
    {"accept-rollback", NULL, "open a store though its metadata is older than it was", NULL, false},
    {"mfa", "CODE", "a code for --accept-rollback, where there are devices", NULL, false},
    {"min-seq", "N", "refuse a store whose commit_seq is below N", NULL, false},
    {"region-strict", NULL, "accept only the store's region in signatures", NULL, false},
    {0},
};

const struct command command_serve = {
    .name = "serve",
    .operands = "STORE",
    .summary = "serve a store over S3",
    .text = "Serves the store's buckets to S3 clients and returns when it listens. Clients need an access key: "
            "`holdfs user key create` makes one. End it with SIGTERM.",
    .options = serve_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs serve --passphrase-file P /srv/store", "Serve on 127.0.0.1:9000"},
                 {"holdfs serve --https :443 --tls-cert C --tls-key K /srv/store", "Serve with TLS"}},
    .run = serve_run,
};
