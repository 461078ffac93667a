/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs key: what opens a store, and renewing the keys beneath. */
#include "cmd/key.h"

static const struct command *const key_verbs[] = {&key_list_slots,   &key_add_slot,    &key_change_slot, &key_remove_slot,
                                                  &key_new_recovery, &key_rotate_page, &key_rotate_master, &key_rotate_root, &key_unlock, &key_lock, &key_status,
                                                  NULL};

const struct command command_key = {
    .name = "key",
    .operands = "",
    .summary = "change what opens a store, and the keys beneath",
    .text = "A store has up to 16 slots; the secret of any of them opens it. Beneath are the store's master key, and under "
            "that the keys that wrap bucket keys; each can be renewed by itself.",
    .examples = {{"holdfs key list-slots /srv/store", ""},
                 {"holdfs key add-slot --new-key-file /etc/holdfs/store.key /srv/store", ""}},
    .verbs = key_verbs,
};
