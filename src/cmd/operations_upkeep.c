/* SPDX-License-Identifier: GPL-3.0-or-later
 * Operations on the store as a whole: its state, its clock, checking, giving back space, export and
 * import. */
#include "cmd/operation.h"

#include <errno.h>

int operation_status(struct operation_call *call)
{
    int r = operation_known_caller(call);
    if (r == 0)
        r = engine_status(call->engine, &call->result);
    if (r == 0)
        json_object_set_new(call->result, "open", json_true());
    return r;
}

int operation_clock_show(struct operation_call *call)
{
    int r = operation_known_caller(call);
    return r < 0 ? r : engine_clock_show(call->engine, &call->result);
}

int operation_fsck(struct operation_call *call)
{
    return engine_fsck(call->engine, call->caller, operation_flag(call, "repair"), call->progress,
                       &call->result);
}

int operation_checkpoint(struct operation_call *call)
{
    return engine_checkpoint(call->engine, call->caller, &call->result);
}

int operation_scrub(struct operation_call *call)
{
    return engine_scrub(call->engine, call->caller, call->progress, &call->result);
}

int operation_rekey(struct operation_call *call)
{
    char bucket[LIMIT_BUCKET_NAME_CHARS + 1];
    int r = operation_bucket_name(call, bucket);
    return r < 0 ? r : engine_rekey(call->engine, call->caller, bucket, call->progress, &call->result);
}

int operation_backup(struct operation_call *call)
{
    const char *dir = operation_text(call, "directory");
    if (call->fd < 0 || !dir)
        return reason_fail(&call->caller->reason, EINVAL, "no directory was passed to copy to");
    const struct engine_backup_params params = {
        .dir_fd = call->fd, .dir = dir, .verify = operation_flag(call, "verify"), .overwrite = operation_flag(call, "overwrite")};
    return engine_backup(call->engine, call->caller, &params, call->progress, &call->result);
}

int operation_gc(struct operation_call *call)
{
    return engine_gc(call->engine, call->caller, call->progress, &call->result);
}

int operation_compact(struct operation_call *call)
{
    return engine_compact(call->engine, call->caller, call->progress, &call->result);
}

int operation_compact_stop(struct operation_call *call)
{
    int r = operation_known_caller(call);
    if (r < 0)
        return r;
    if (call->caller->principal.kind != PRINCIPAL_ROOT)
        return reason_fail(&call->caller->reason, EACCES, "only the account's root may stop a compaction");
    if (operation_stop("compact") == 0)
        return reason_fail(&call->caller->reason, ESRCH, "no compaction is running");
    return 0;
}

int operation_export(struct operation_call *call)
{
    char bucket[LIMIT_BUCKET_NAME_CHARS + 1];
    int r = operation_bucket_name(call, bucket);
    if (r < 0)
        return r;
    if (call->fd < 0)
        return reason_fail(&call->caller->reason, EINVAL, "no file was passed to write the stream to");
    return engine_export(call->engine, call->caller, bucket, operation_flag(call, "move"), call->fd,
                         call->progress, &call->result);
}

int operation_import(struct operation_call *call)
{
    char bucket[LIMIT_BUCKET_NAME_CHARS + 1];
    int r = operation_bucket_name(call, bucket);
    if (r < 0)
        return r;
    if (call->fd < 0)
        return reason_fail(&call->caller->reason, EINVAL, "no file was passed to read the stream from");
    return engine_import(call->engine, call->caller, bucket, call->fd, call->progress, &call->result);
}
