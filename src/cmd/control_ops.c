/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of operations, and how one is run and stopped. To add one: a function OPERATION(NAME) in one of
 * the operations_*.c, declared in operation.h, and one line here. */
#include "cmd/operation.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static const struct operation operation_table[] = {
    {"status", OPERATION_READS, operation_status},
    {"clock.show", OPERATION_READS, operation_clock_show},
    {"clock.approve", 0, operation_clock_approve},
    {"clock.reset", 0, operation_clock_reset},
    {"mfa.enroll", 0, operation_mfa_enroll},
    {"mfa.list", OPERATION_READS, operation_mfa_list},
    {"mfa.remove", 0, operation_mfa_remove},
    {"mfa.unlock", OPERATION_MOUNTED, operation_mfa_unlock},
    {"mfa.lock", OPERATION_MOUNTED, operation_mfa_lock},
    {"bucket.create", 0, operation_bucket_create},
    {"bucket.list", OPERATION_READS, operation_bucket_list},
    {"bucket.info", OPERATION_READS, operation_bucket_info},
    {"bucket.set", 0, operation_bucket_set},
    {"bucket.delete", 0, operation_bucket_delete},
    {"bucket.rotate-key", 0, operation_bucket_rotate_key},
    {"account.create", 0, operation_account_create},
    {"account.list", OPERATION_READS, operation_account_list},
    {"account.show", OPERATION_READS, operation_account_show},
    {"account.delete", 0, operation_account_delete},
    {"user.create", 0, operation_user_create},
    {"user.list", OPERATION_READS, operation_user_list},
    {"user.show", OPERATION_READS, operation_user_show},
    {"user.enable", 0, operation_user_enable},
    {"user.delete", 0, operation_user_delete},
    {"user.map", 0, operation_user_map},
    {"user.policy.put", 0, operation_user_policy_put},
    {"user.policy.list", OPERATION_READS, operation_user_policy_list},
    {"user.policy.get", OPERATION_READS, operation_user_policy_get},
    {"user.policy.delete", 0, operation_user_policy_delete},
    {"user.can", OPERATION_READS, operation_user_can},
    {"user.key.create", 0, operation_user_key_create},
    {"user.key.list", OPERATION_READS, operation_user_key_list},
    {"user.key.enable", 0, operation_user_key_enable},
    {"user.key.delete", 0, operation_user_key_delete},
    {"user.key.rotate", 0, operation_user_key_rotate},
    {"key.rotate-root", 0, operation_key_rotate_root},
    {"key.rotate-page", 0, operation_key_rotate_page},
    {"key.status", OPERATION_READS | OPERATION_MOUNTED, operation_key_status},
    {"kms.change", 0, operation_kms_change},
    {"kms.read", OPERATION_READS, operation_kms_read},
    {"kms.reencrypt", 0, operation_kms_reencrypt},
    {"versions", OPERATION_READS, operation_versions},
    {"stat", OPERATION_READS, operation_stat},
    {"du", OPERATION_READS, operation_du},
    {"debug.object", OPERATION_READS, operation_debug_object},
    {"restore", 0, operation_restore},
    {"retention.set", 0, operation_retention_set},
    {"retention.bypass", OPERATION_MOUNTED, operation_retention_bypass},
    {"legal-hold", 0, operation_legal_hold},
    {"audit.read", OPERATION_READS, operation_audit_read},
    {"audit.heads", OPERATION_READS, operation_audit_heads},
    {"audit.export", 0, operation_audit_export},
    {"audit.anchor.add", 0, operation_audit_anchor_add},
    {"audit.anchor.remove", 0, operation_audit_anchor_remove},
    {"audit.anchor.list", OPERATION_READS, operation_audit_anchor_list},
    {"audit.set", 0, operation_audit_set},
    {"audit.rotate-key", 0, operation_audit_rotate_key},
    {"fsck", 0, operation_fsck},
    {"checkpoint", 0, operation_checkpoint},
    {"scrub", 0, operation_scrub},
    {"rekey", 0, operation_rekey},
    {"backup", 0, operation_backup},
    {"gc", 0, operation_gc},
    {"compact", 0, operation_compact},
    {"compact.stop", OPERATION_MOUNTED, operation_compact_stop},
    {"export", 0, operation_export},
    {"import", 0, operation_import},
};

const struct operation *operation_find(const char *name)
{
    for (size_t i = 0; i < sizeof operation_table / sizeof operation_table[0]; i++)
        if (!strcmp(operation_table[i].name, name))
            return &operation_table[i];
    return NULL;
}

/* ---- running and stopping ---- */

struct run {
    const struct operation *operation;
    struct engine_progress outer;
    atomic_bool stop;
    struct run *next;
};

static pthread_mutex_t runs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct run *runs; /* runs_lock */

static int run_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    struct run *run = arg;
    if (atomic_load(&run->stop))
        return 1;
    return run->outer.fn ? run->outer.fn(run->outer.arg, what, done, total) : 0;
}

unsigned operation_stop(const char *name)
{
    unsigned stopped = 0;
    LOCK_SCOPE(&runs_lock);
    for (struct run *run = runs; run; run = run->next)
        if (!strcmp(run->operation->name, name)) {
            atomic_store(&run->stop, true);
            stopped++;
        }
    return stopped;
}

int operation_run(const struct operation *op, struct operation_call *call)
{
    struct run run = {.operation = op, .outer = call->progress};
    call->progress = (struct engine_progress){run_progress, &run};
    pthread_mutex_lock(&runs_lock);
    run.next = runs;
    runs = &run;
    pthread_mutex_unlock(&runs_lock);

    int r = op->run(call);
    if (r < 0)
        engine_audit_refused(call->engine, call->caller, op->name, r);

    pthread_mutex_lock(&runs_lock);
    struct run **at = &runs;
    while (*at != &run)
        at = &(*at)->next;
    *at = run.next;
    pthread_mutex_unlock(&runs_lock);
    if (r == -ECANCELED && !*call->caller->reason.text)
        reason_fail(&call->caller->reason, ECANCELED,
                    "stopped before it was done; what it did so far stands");
    return r;
}
