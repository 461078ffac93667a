/* SPDX-License-Identifier: GPL-3.0-or-later
 * The verbs of `holdfs key`, spread over the key_*.c. */
#ifndef HOLDFS_CMD_KEY_H
#define HOLDFS_CMD_KEY_H

#include "cmd/command.h"

extern const struct command key_list_slots, key_add_slot, key_change_slot, key_remove_slot, key_new_recovery;
extern const struct command key_rotate_page, key_rotate_master, key_rotate_root;
extern const struct command key_unlock, key_lock, key_status;

#endif
