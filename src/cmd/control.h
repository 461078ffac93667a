/* SPDX-License-Identifier: GPL-3.0-or-later
 * How a command reaches an open store: the operations, the daemon's server for them, and the client side.
 *
 * One table (control_ops.c) holds each operation once; the daemon's server runs it for a peer judged by its
 * uid, and a command runs it in its own process when no daemon has the store open. On the socket `control` in
 * the store's directory a request is one line of JSON, {"v":1,"op":"bucket.create","args":{...}}; the answer
 * any number of
 * {"progress":{"what":...,"done":n,"total":n}} and one {"ok":true,"result":...} or
 * {"ok":false,"errno":n,"error":"sentence"}. A file descriptor goes with the request by SCM_RIGHTS. */
#ifndef HOLDFS_CMD_CONTROL_H
#define HOLDFS_CMD_CONTROL_H

#include "cmd/command.h"
#include "cmd/target.h"
#include "engine/engine.h"

enum { CONTROL_VERSION = 1, CONTROL_LINE_BYTES = 1 << 20 };

/* ---- operations ---- */

struct operation_call {
    struct engine *engine;
    struct caller *caller;
    const json_t *args; /* "path": below the store's root */
    const char *bucket; /* of a mount of one bucket, when PATH was given inside it; else NULL */
    struct engine_progress progress;
    int fd;         /* of the peer (export, import), or -1 */
    json_t *result; /* out, owned by whoever called */
};

enum operation_flags {
    OPERATION_READS = 1,  /* changes nothing: a store no daemon has is opened read-only for it */
    OPERATION_MOUNTED = 2 /* makes sense in a running daemon only */
};

struct operation {
    const char *name;
    unsigned flags;
    int (*run)(struct operation_call *call); /* 0 or -errno, the sentence in caller->reason */
};

const struct operation *operation_find(const char *name);
/* Runs it as `call->caller`; one that long work of the same name is stopped by "NAME.stop". */
int operation_run(const struct operation *op, struct operation_call *call);

/* ---- the daemon's side ---- */

struct control_server;
/* Listens on STORE/control. `bucket`: the one bucket the mount shows, or NULL. Signals must be blocked in the
 * caller. */
int control_server_start(struct engine *e, const char *store, const char *bucket, struct control_server **ret,
                         struct reason *reason);
/* Stops long operations, waits for the running ones, removes the socket. Before engine_close. */
void control_server_stop(struct control_server *s);

/* ---- the command's side ---- */

struct session; /* a conversation with a daemon, or a store this process opened */

/* Connects, or opens the store with a secret of inv's. `reads`: see OPERATION_READS. Prints why not; returns
 * NULL then. */
struct session *session_open(const struct invocation *inv, const struct target *target, bool reads);
void session_close(struct session *s);
static inline void session_cleanup(struct session **s)
{
    session_close(*s);
}
/* Whether a daemon has the store open; no secret is needed and nothing printed. */
bool session_daemon_runs(const char *store);
/* Takes over args. Adds "path" of the target. Shows progress on a terminal. 0 or -errno with the sentence. */
int session_call(struct session *s, const char *op, json_t *args, int fd, json_t **ret,
                 struct reason *reason);

/* The common case: finds PATH, opens, calls, closes, prints a failure. Returns an exit status; *ret only when
 * EXIT_DONE. */
int command_operate(const struct invocation *inv, const char *path, const char *op, json_t *args,
                    json_t **ret);

#endif
