/* SPDX-License-Identifier: GPL-3.0-or-later
 * Where a command gets the secret that opens a store (mount.md §1): an option, $HOLDFS_PASSPHRASE_FILE, else
 * the terminal. */
#ifndef HOLDFS_CMD_SECRETS_H
#define HOLDFS_CMD_SECRETS_H

#include "cmd/command.h"
#include "kms/kms.h"

extern const struct option secret_options[];
extern const char secret_help[]; /* one paragraph for --help */
extern const char secret_text[]; /* for the manual page */

struct secret_source {
    enum slot_kind kind;
    const char *from; /* file or credential name; NULL: ask */
    bool chosen;      /* by an option or the environment */
};

/* What the options and the environment say. -EINVAL when two options are given. */
int secret_source_of(const struct invocation *inv, struct secret_source *ret, struct reason *reason);
/* Reads or asks, and hides this process's memory from then on. `make_new`: asks twice. The caller frees ret->secret. */
int secret_obtain(const struct secret_source *source, bool make_new, struct unlock *ret,
                  struct reason *reason);
/* Both, of a store that is: what opens it. The caller frees ret->secret. */
int secret_unlock(const struct invocation *inv, struct unlock *ret, struct reason *reason);

#endif
