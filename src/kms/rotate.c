/* SPDX-License-Identifier: GPL-3.0-or-later
 * Key epochs in the store header (encryption.md §1.5): a new one beside the old, then the old one gone. What is wrapped
 * under their roots lies in the metadata and is the engine's to wrap again in between. */
#include "kms/keys.h"

#include <errno.h>
#include <string.h>

size_t store_keys_epochs(const struct store_keys *k)
{
    return k->header.epoch_count;
}

static size_t epoch_newest(const struct store_header *h)
{
    return h->epoch_count == 2 && h->epochs[1].e > h->epochs[0].e;
}

static int edit_begin(struct store_header *h, const uint8_t master[KEY_BYTES], void *arg, struct reason *reason)
{
    (void)master;
    (void)arg;
    if (h->epoch_count == EPOCHS_MAX)
        return 0; /* begun before, and stopped: that one is finished */
    if (h->epochs[0].e == INT64_MAX)
        return reason_fail(reason, EOVERFLOW, "the store has had all the key epochs there are");
    struct epoch *next = &h->epochs[h->epoch_count++];
    next->e = h->epochs[0].e + 1;
    random_bytes(next->secret, sizeof next->secret);
    return 0;
}

static int edit_end(struct store_header *h, const uint8_t master[KEY_BYTES], void *arg, struct reason *reason)
{
    (void)master;
    (void)arg;
    (void)reason;
    h->epochs[0] = h->epochs[epoch_newest(h)];
    secret_wipe(&h->epochs[1], sizeof h->epochs[1]);
    h->epoch_count = 1;
    return 0;
}

int store_epoch_begin(const char *dir, const struct store_keys *keys, struct store_keys **ret, struct reason *reason)
{
    const struct header_opener by = {.keys = keys};
    return header_edit(dir, keys->header.store_id, &by, edit_begin, NULL, ret, reason);
}

int store_epoch_end(const char *dir, const struct store_keys *keys, struct store_keys **ret, struct reason *reason)
{
    const struct header_opener by = {.keys = keys};
    return header_edit(dir, keys->header.store_id, &by, edit_end, NULL, ret, reason);
}
