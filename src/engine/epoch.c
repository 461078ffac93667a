/* SPDX-License-Identifier: GPL-3.0-or-later
 * Key epochs: a destroyed key is gone for good once the root that wrapped it is gone (encryption.md §1.5).
 *
 * Three steps: the header gets a new epoch beside the old; one transaction wraps every key row under the new root, and the log
 * is moved into the database; the header drops the old epoch. Stopped in between, the next open finishes it. The row of a
 * destroyed key goes in an earlier transaction, which notes that an epoch is due: several buckets deleted one after the other
 * cost one epoch. */
#include "engine/upkeep.h"
#include "engine/trail.h"

static const char due_name[] = "epoch-due";

int epoch_open(struct engine *e)
{
    struct span v;
    int r = e->meta_ops->value_get(e->m, due_name, &v);
    if (r < 0 && r != -ENOENT)
        return r;
    e->epoch_due = (r == 0 && v.len && v.p[0]) || store_keys_epochs(e->keys) > 1;
    return 0;
}

int epoch_note_destroyed(struct engine *e)
{
    e->epoch_due = true;
    return e->meta_ops->value_put(e->m, due_name, span_of("\1", 1));
}

struct kek_rows {
    struct kek_row *items;
    size_t count;
};

static int kek_rows_add(void *arg, const struct kek_row *row)
{
    struct kek_rows *rows = arg;
    struct kek_row *grown = realloc(rows->items, (rows->count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    rows->items = grown;
    rows->items[rows->count++] = *row;
    return 0;
}

static int epoch_row_rewrap(const struct store_keys *from, const struct store_keys *to, struct kek_row *row)
{
    CLEANUP(secret_cleanup) struct secret *key = secret_new(32);
    if (!key)
        return -ENOMEM;
    int r = kek_row_open(from, row, secret_bytes(key));
    if (r < 0)
        return r == -EBADMSG ? -EIO : r;
    return kek_row_seal(to, row, secret_peek(key));
}

int epoch_rows_rewrap(const struct meta_ops *ops, struct meta *m, const struct store_keys *from, const struct store_keys *to)
{
    struct kek_rows rows = {0};
    int r = ops->kek_scan(m, kek_rows_add, &rows);
    for (size_t i = 0; r == 0 && i < rows.count; i++) {
        r = epoch_row_rewrap(from, to, &rows.items[i]);
        if (r == 0)
            r = ops->kek_put(m, &rows.items[i]);
    }
    free(rows.items);
    return r;
}

static int epoch_rewrap(struct engine *e)
{
    {
        LOCK_SCOPE(&e->meta);
        int r = txn_begin(e);
        if (r < 0)
            return r;
        r = epoch_rows_rewrap(e->meta_ops, e->m, e->keys, e->keys);
        if (r == 0)
            r = e->meta_ops->value_put(e->m, due_name, span_of("\0", 1));
        r = txn_end(e, trail_also(e, NULL, r, &(struct trail_event){.name = "KeyEpochBegun", .source = TRAIL_HOLDFS, .flags = TRAIL_SERVICE,
                                                                    .params = json_pack("{s:I}", "epoch", (json_int_t)store_keys_epoch(e->keys))}));
        if (r < 0)
            return r;
        e->epoch_due = false;
    }
    /* Nothing of the old root's wraps may come back from the log once the root is gone. */
    int r = e->meta_ops->sync(e->m);
    return r < 0 ? r : e->meta_ops->checkpoint(e->m, true, &e->meta);
}

/* The header as it is now, for all who use keys. */
static void epoch_keys_set(struct engine *e, struct store_keys *keys)
{
    LOCK_SCOPE(&e->meta);
    store_keys_free(e->keys);
    e->keys = keys;
}

int epoch_renew(struct engine *e, struct reason *reason)
{
    struct store_keys *keys;
    int r = store_epoch_begin(e->dir, e->keys, &keys, reason);
    if (r < 0)
        return r;
    epoch_keys_set(e, keys);
    r = epoch_rewrap(e);
    if (r < 0) {
        LOCK_SCOPE(&e->meta);
        e->epoch_due = true;
        return reason_fail(reason, -r, "the keys cannot be wrapped under a new root: %s; it is tried again", strerror(-r));
    }
    r = store_epoch_end(e->dir, e->keys, &keys, reason);
    if (r < 0) {
        LOCK_SCOPE(&e->meta);
        e->epoch_due = true;
        return r;
    }
    epoch_keys_set(e, keys);
    checkpoints_forget(e);
    log_notice("key epoch %llu begins", (unsigned long long)store_keys_epoch(keys));
    return 0;
}

void epoch_run(struct engine *e)
{
    if (e->read_only || !e->upkeep)
        return;
    {
        LOCK_SCOPE(&e->meta);
        if (!e->epoch_due)
            return;
    }
    if (pthread_mutex_trylock(&e->upkeep->lock) != 0)
        return; /* whoever has it destroys keys, or it is done in a moment */
    struct reason reason = {0};
    if (epoch_renew(e, &reason) < 0)
        log_warning("a new key epoch: %s", reason.text);
    pthread_mutex_unlock(&e->upkeep->lock);
}

int engine_rotate_root(struct engine *e, struct caller *c, json_t **ret)
{
    int r = upkeep_may(e, c, "holdfs:RotateRoot");
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->upkeep->lock);
    r = epoch_renew(e, &c->reason);
    if (r < 0)
        return r;
    *ret = json_pack("{s:I}", "epoch", (json_int_t)store_keys_epoch(e->keys)); /* which change under upkeep.lock alone */
    return trail_report(e, c, *ret ? 0 : -ENOMEM, "RotateRootKey", NULL, *ret);
}
