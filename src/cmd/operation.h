/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the operations of control_ops.c share: reading arguments, and turning a path into the engine's terms.
 */
#ifndef HOLDFS_CMD_OPERATION_H
#define HOLDFS_CMD_OPERATION_H

#include "cmd/control.h"
#include "util/limits.h"

/* A path below the store's root, taken apart. */
struct operation_path {
    char bucket[LIMIT_BUCKET_NAME_CHARS + 1];
    char key[LIMIT_KEY_BYTES + 1]; /* "" for the bucket itself */
    char version[80];              /* a `.versions` name, id or "latest"; "" for the live object */
    uint32_t bucket_id;
    uint64_t root_ino;
};

/* Of a path, which may lead into `.versions`, and args "version". -EINVAL when it names no bucket, -ENOENT
 * for one that is not there. */
int operation_path_read(struct operation_call *call, const char *path, struct operation_path *ret);
/* The same for args "path". */
int operation_path(struct operation_call *call, struct operation_path *ret);
/* The name of a bucket, there or not yet: args "path" must hold nothing more. */
int operation_bucket_name(struct operation_call *call, char ret[LIMIT_BUCKET_NAME_CHARS + 1]);
struct engine_place operation_place(const struct operation_path *p);
/* The live object, or the version that was named. */
int operation_target(struct operation_call *call, const struct operation_path *p, struct engine_target *ret);
const char *operation_text(const struct operation_call *call, const char *name); /* NULL: not given */
bool operation_flag(const struct operation_call *call, const char *name);
/* Asks the running operations of that name to stop; how many there were. */
unsigned operation_stop(const char *name);
/* Refuses callers that are nobody here. */
int operation_known_caller(struct operation_call *call);

#define OPERATION(symbol) int operation_##symbol(struct operation_call *call)
OPERATION(status);
OPERATION(clock_show);
OPERATION(clock_approve);
OPERATION(clock_reset);
OPERATION(mfa_enroll);
OPERATION(mfa_list);
OPERATION(mfa_remove);
OPERATION(mfa_unlock);
OPERATION(mfa_lock);
OPERATION(bucket_create);
OPERATION(bucket_list);
OPERATION(bucket_info);
OPERATION(bucket_set);
OPERATION(bucket_delete);
OPERATION(bucket_rotate_key);
OPERATION(account_create);
OPERATION(account_list);
OPERATION(account_show);
OPERATION(account_delete);
OPERATION(user_create);
OPERATION(user_list);
OPERATION(user_show);
OPERATION(user_enable);
OPERATION(user_delete);
OPERATION(user_map);
OPERATION(user_policy_put);
OPERATION(user_policy_list);
OPERATION(user_policy_get);
OPERATION(user_policy_delete);
OPERATION(user_can);
OPERATION(user_key_create);
OPERATION(user_key_list);
OPERATION(user_key_enable);
OPERATION(user_key_delete);
OPERATION(user_key_rotate);
OPERATION(key_rotate_root);
OPERATION(key_rotate_page);
OPERATION(key_status);
OPERATION(kms_change);
OPERATION(kms_read);
OPERATION(kms_reencrypt);
OPERATION(versions);
OPERATION(stat);
OPERATION(du);
OPERATION(debug_object);
OPERATION(restore);
OPERATION(retention_set);
OPERATION(retention_bypass);
OPERATION(legal_hold);
OPERATION(audit_read);
OPERATION(audit_heads);
OPERATION(audit_export);
OPERATION(audit_anchor_add);
OPERATION(audit_anchor_remove);
OPERATION(audit_anchor_list);
OPERATION(audit_set);
OPERATION(audit_rotate_key);
OPERATION(fsck);
OPERATION(checkpoint);
OPERATION(scrub);
OPERATION(rekey);
OPERATION(backup);
OPERATION(gc);
OPERATION(compact);
OPERATION(compact_stop);
OPERATION(export);
OPERATION(import);

#endif
