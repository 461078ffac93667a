/* SPDX-License-Identifier: GPL-3.0-or-later
 * The header's part in renewing keys: epochs (encryption.md §1.5), the page key's generation, and M itself (§1.4). What is
 * wrapped or sealed under them lies in the metadata and is the engine's. */
#include "kms/keys.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
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

/* ---- page key ---- */

static int edit_page(struct store_header *h, const uint8_t master[KEY_BYTES], void *arg, struct reason *reason)
{
    (void)master;
    if (h->page_generation != *(const uint32_t *)arg || h->page_generation == INT32_MAX)
        return reason_fail(reason, EAGAIN, "the page key was renewed by somebody else meanwhile");
    h->page_generation++;
    return 0;
}

int store_page_next(const char *dir, const struct store_keys *keys, struct store_keys **ret, struct reason *reason)
{
    const struct header_opener by = {.keys = keys};
    uint32_t generation = keys->header.page_generation;
    return header_edit(dir, keys->header.store_id, &by, edit_page, &generation, ret, reason);
}

/* ---- M ---- */

/* The slot that the secret opens, -EACCES. */
static int slot_of_secret(const struct store_header *h, const struct unlock *unlock, const struct slot **ret)
{
    CLEANUP(secret_cleanup) struct secret *key = secret_new(KEY_BYTES);
    CLEANUP(secret_cleanup) struct secret *master = secret_new(KEY_BYTES);
    if (!key || !master)
        return -ENOMEM;
    for (size_t i = 0; i < h->slot_count; i++) {
        if (!slot_takes(&h->slots[i], unlock->kind))
            continue;
        int r = slot_key_derive(&h->slots[i], unlock, secret_bytes(key));
        if (r == 0)
            r = slot_open(&h->slots[i], h->store_id, secret_peek(key), secret_bytes(master));
        if (r == 0)
            *ret = &h->slots[i];
        if (r != -EBADMSG)
            return r;
    }
    return -EACCES;
}

/* The same slot with the same secret around the new M; once. */
static int slot_carry(struct store_header *to, const struct store_header *from, const struct unlock *unlock,
                      const uint8_t *master)
{
    const struct slot *old = NULL;
    int r = slot_of_secret(from, unlock, &old);
    if (r < 0)
        return r;
    for (size_t i = 0; i < to->slot_count; i++)
        if (to->slots[i].n == old->n)
            return 0;
    const struct unlock same = {(enum slot_kind)old->kind, unlock->secret};
    r = slot_make(old->n, &same, old->scrypt_log_n, from->store_id, master, &to->slots[to->slot_count]);
    if (r == 0)
        to->slot_count++;
    return r;
}

static int slots_carry(struct store_header *to, const struct store_header *from, const struct master_renewal *renewal,
                       const uint8_t *master, const struct unlock *recovery)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < renewal->secret_count; i++)
        r = slot_carry(to, from, renewal->secrets[i], master);
    for (size_t i = 0; r == 0 && renewal->recovery && i < from->slot_count; i++) {
        const struct slot *old = &from->slots[i];
        bool carried = false;
        for (size_t n = 0; n < to->slot_count; n++)
            carried |= to->slots[n].n == old->n;
        if (old->kind != SLOT_RECOVERY || carried)
            continue;
        r = slot_make(old->n, recovery, 0, from->store_id, master, &to->slots[to->slot_count]);
        to->slot_count += r == 0;
    }
    return r;
}

static unsigned slots_dropped(const struct store_header *from, const struct store_header *to)
{
    unsigned mask = 0;
    for (size_t i = 0; i < from->slot_count; i++)
        mask |= 1u << from->slots[i].n;
    for (size_t i = 0; i < to->slot_count; i++)
        mask &= ~(1u << to->slots[i].n);
    return mask;
}

static int master_failed(int r, struct reason *reason)
{
    if (r == -EACCES)
        return reason_fail(reason, EACCES, "no slot opens with this key");
    return reason_fail(reason, -r, "the new master key cannot be made: %s", strerror(-r));
}

int store_master_new(const struct store_keys *keys, const struct master_renewal *renewal, struct store_keys **ret,
                     uint8_t ret_recovery[32], unsigned *ret_dropped, struct reason *reason)
{
    struct store_header h = keys->header;
    struct secret *master = secret_new(KEY_BYTES);
    CLEANUP(secret_cleanup) struct secret *code = secret_new(KEY_BYTES);
    if (!master || !code) {
        secret_free(master);
        return master_failed(-ENOMEM, reason);
    }
    random_bytes(secret_bytes(master), KEY_BYTES);
    random_bytes(secret_bytes(code), KEY_BYTES);
    const struct unlock recovery = {SLOT_RECOVERY, code};
    h.seq++;
    h.page_generation++;
    h.epochs[0].e = store_keys_epoch(keys) + 1;
    random_bytes(h.epochs[0].secret, KEY_BYTES);
    h.epoch_count = 1;
    h.slot_count = 0;
    int r = slots_carry(&h, &keys->header, renewal, secret_peek(master), &recovery);
    if (r < 0) {
        secret_free(master);
        return master_failed(r, reason);
    }
    *ret_dropped = slots_dropped(&keys->header, &h);
    *ret = store_keys_new(&h, master);
    secret_wipe(&h, sizeof h);
    if (!*ret)
        return master_failed(-ENOMEM, reason);
    memcpy(ret_recovery, secret_peek(code), KEY_BYTES);
    return 0;
}

int store_master_commit(const char *dir, const struct store_keys *keys, const struct store_keys *renewed, struct reason *reason)
{
    CLEANUP_FD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dir_fd < 0 ? -errno : header_lock(dir_fd);
    if (r < 0)
        return reason_fail(reason, -r, "the folder %s cannot be locked: %s", dir, strerror(-r));
    const struct header_opener by = {.keys = keys};
    struct store_keys *now = NULL;
    bool repaired;
    r = header_load(dir_fd, dir, keys->header.store_id, &by, false, &now, &repaired, reason);
    if (r < 0)
        return r;
    bool same = now->header.seq == keys->header.seq;
    store_keys_free(now);
    if (!same)
        return reason_fail(reason, EAGAIN, "the store header was changed meanwhile; try again");
    r = header_write(dir_fd, renewed);
    return r < 0 ? reason_fail(reason, -r, "the store header in %s cannot be written: %s", dir, strerror(-r)) : 0;
}
