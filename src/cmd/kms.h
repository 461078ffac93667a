/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the verbs of kms share. */
#ifndef HOLDFS_CMD_KMS_H
#define HOLDFS_CMD_KMS_H

#include "cmd/control.h"
#include "cmd/render.h"

extern const struct command kms_verb_alias, kms_verb_import, kms_verb_delete_material, kms_verb_schedule_deletion, kms_verb_cancel_deletion, kms_verb_rotate, kms_verb_auto_rotate,
    kms_verb_rewrap, kms_verb_usage, kms_verb_reencrypt;

/* {"verb": VERB, "key": operand 1}, for the caller to add to. */
json_t *kms_args(const struct invocation *inv, const char *verb);
/* Runs and shows the answer. Takes over args. */
int kms_operate(const struct invocation *inv, json_t *args);
int kms_read(const struct invocation *inv, json_t *args, json_t **ret); /* an operation that changes nothing; *ret when EXIT_DONE */

#endif
