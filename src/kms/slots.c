/* SPDX-License-Identifier: GPL-3.0-or-later
 * Changing the store header: one editor at a time, on what stands on disk, twin first (encryption.md §1.1). The changes of
 * slots are here; those of epochs, page key and M are rotate.c's.
 *
 * M does not change with a slot, so a daemon that has the store open goes on; it reads the header again before it changes
 * anything in it, so neither undoes what the other did. */
#include "kms/keys.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ---- editing ---- */

static void keys_cleanup(struct store_keys **k)
{
    store_keys_free(*k);
}

static void header_cleanup(struct store_header *h)
{
    secret_wipe(h, sizeof *h);
}

/* The edited header as keys, written. */
static int header_store(int dir_fd, const struct store_header *h, const struct store_keys *from, struct store_keys **ret)
{
    struct secret *master = secret_copy(secret_peek(from->master), KEY_BYTES);
    struct store_keys *k = master ? store_keys_new(h, master) : NULL;
    if (!k)
        return -ENOMEM;
    int r = header_write(dir_fd, k);
    if (r < 0)
        store_keys_free(k);
    else
        *ret = k;
    return r;
}

int header_edit(const char *dir, const uint8_t store_id[16], const struct header_opener *by, header_edit_fn *edit, void *arg,
                struct store_keys **ret, struct reason *reason)
{
    CLEANUP_FD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return reason_fail(reason, errno, "the folder %s cannot be opened: %s", dir, strerror(errno));
    int r = header_lock(dir_fd);
    if (r < 0)
        return reason_fail(reason, -r, "the folder %s cannot be locked: %s", dir, strerror(-r));
    header_file_tidy(dir_fd);
    CLEANUP(keys_cleanup) struct store_keys *before = NULL, *after = NULL;
    bool repaired;
    r = header_load(dir_fd, dir, store_id, by, false, &before, &repaired, reason);
    if (r < 0)
        return r;
    CLEANUP(header_cleanup) struct store_header h = before->header;
    h.seq++;
    r = edit(&h, secret_peek(before->master), arg, reason);
    if (r < 0)
        return r;
    r = header_store(dir_fd, &h, before, &after);
    if (r < 0)
        return reason_fail(reason, -r, "the store header in %s cannot be written: %s", dir, strerror(-r));
    if (ret) {
        *ret = after;
        after = NULL;
    }
    return 0;
}

/* ---- slots ---- */

struct slot_edit {
    const struct unlock *new_unlock;
    unsigned scrypt_log_n, n; /* n: which one, in or out */
};

static struct slot *slot_find(struct store_header *h, unsigned n)
{
    for (size_t i = 0; i < h->slot_count; i++)
        if (h->slots[i].n == n)
            return &h->slots[i];
    return NULL;
}

static int slot_fill(struct slot *slot, const struct store_header *h, const struct slot_edit *edit, const uint8_t *master,
                     struct reason *reason)
{
    unsigned log_n = edit->scrypt_log_n ? edit->scrypt_log_n : LIMIT_SCRYPT_LOG_N_DEFAULT;
    if (log_n < LIMIT_SCRYPT_LOG_N_MIN || log_n > LIMIT_SCRYPT_LOG_N_MAX)
        return reason_fail(reason, EINVAL, "scrypt's log N is %u; it must be from %d to %d", log_n, LIMIT_SCRYPT_LOG_N_MIN,
                           LIMIT_SCRYPT_LOG_N_MAX);
    int r = slot_make((uint8_t)edit->n, edit->new_unlock, log_n, h->store_id, master, slot);
    return r < 0 ? reason_fail(reason, -r, "the key of the slot cannot be derived: %s", strerror(-r)) : 0;
}

static int edit_add(struct store_header *h, const uint8_t master[KEY_BYTES], void *arg, struct reason *reason)
{
    struct slot_edit *edit = arg;
    if (h->slot_count == LIMIT_SLOTS)
        return reason_fail(reason, ENOSPC, "all %d slots are taken; remove or change one", LIMIT_SLOTS);
    for (edit->n = 0; slot_find(h, edit->n);)
        edit->n++;
    int r = slot_fill(&h->slots[h->slot_count], h, edit, master, reason);
    if (r == 0)
        h->slot_count++;
    return r;
}

static int slot_missing(unsigned n, struct reason *reason)
{
    return reason_fail(reason, ENOENT, "there is no slot %u; `holdfs key list-slots` shows which there are", n);
}

static int edit_change(struct store_header *h, const uint8_t master[KEY_BYTES], void *arg, struct reason *reason)
{
    struct slot_edit *edit = arg;
    struct slot *slot = slot_find(h, edit->n);
    return slot ? slot_fill(slot, h, edit, master, reason) : slot_missing(edit->n, reason);
}

static int edit_remove(struct store_header *h, const uint8_t master[KEY_BYTES], void *arg, struct reason *reason)
{
    (void)master;
    struct slot_edit *edit = arg;
    struct slot *slot = slot_find(h, edit->n);
    if (!slot)
        return slot_missing(edit->n, reason);
    if (h->slot_count == 1)
        return reason_fail(reason, EBUSY, "slot %u is the last one: without it nothing would open the store; add another first",
                           edit->n);
    struct slot *end = &h->slots[h->slot_count--];
    memmove(slot, slot + 1, (size_t)(end - slot - 1) * sizeof *slot);
    return 0;
}

static int edit_recovery(struct store_header *h, const uint8_t master[KEY_BYTES], void *arg, struct reason *reason)
{
    struct slot_edit *edit = arg;
    for (size_t i = 0; i < h->slot_count; i++) {
        if (h->slots[i].kind != SLOT_RECOVERY)
            continue;
        edit->n = h->slots[i].n;
        return slot_fill(&h->slots[i], h, edit, master, reason);
    }
    return edit_add(h, master, arg, reason);
}

static int slot_edit_run(const struct slot_change *change, header_edit_fn *fn, struct slot_edit *edit, struct reason *reason)
{
    const struct header_opener by = {.unlock = change->unlock};
    edit->scrypt_log_n = change->scrypt_log_n;
    return header_edit(change->dir, change->store_id, &by, fn, edit, NULL, reason);
}

int store_slot_add(const struct slot_change *change, unsigned *ret_n, struct reason *reason)
{
    struct slot_edit edit = {.new_unlock = change->new_unlock};
    int r = slot_edit_run(change, edit_add, &edit, reason);
    if (r == 0)
        *ret_n = edit.n;
    return r;
}

int store_slot_change(const struct slot_change *change, unsigned n, struct reason *reason)
{
    struct slot_edit edit = {.new_unlock = change->new_unlock, .n = n};
    return slot_edit_run(change, edit_change, &edit, reason);
}

int store_slot_remove(const struct slot_change *change, unsigned n, struct reason *reason)
{
    struct slot_edit edit = {.n = n};
    return slot_edit_run(change, edit_remove, &edit, reason);
}

int store_slot_new_recovery(const struct slot_change *change, unsigned *ret_n, uint8_t ret_recovery[32], struct reason *reason)
{
    CLEANUP(secret_cleanup) struct secret *secret = secret_new(KEY_BYTES);
    if (!secret)
        return reason_fail(reason, ENOMEM, "there is not enough memory for the keys");
    random_bytes(secret_bytes(secret), KEY_BYTES);
    const struct unlock unlock = {SLOT_RECOVERY, secret};
    struct slot_edit edit = {.new_unlock = &unlock};
    int r = slot_edit_run(change, edit_recovery, &edit, reason);
    if (r < 0)
        return r;
    *ret_n = edit.n;
    memcpy(ret_recovery, secret_peek(secret), KEY_BYTES);
    return 0;
}
