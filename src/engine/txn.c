/* SPDX-License-Identifier: GPL-3.0-or-later
 * Transactions, the publish sequence, the durable point, and the engine's words for messages.
 *
 * The durable point is the highest sequence whose frames and rows are known to survive a power cut. It is moved by whoever
 * syncs: segments first, then a transaction that records it, then the metadata log (E2, E6). */
#include "engine/trail.h"

#include <stdio.h>

/* A created file needs no commit of its own: nothing is promised before its close. Its rows are written and the transaction stays
 * open until the next one that ends takes them along, or the worker does (txn_flush). A rollback meanwhile takes them too, so the
 * inodes concerned are kept and their rows written again. */

/* What a running transaction changes of an inode's place in the tree, as it was before. */
struct txn_touched {
    struct txn_touched *next;
    struct inode *inode; /* referenced */
    uint8_t *key;
    size_t key_len;
    uint32_t nlink;
    bool orphan, half;
};

int txn_touch(struct engine *e, struct inode *i)
{
    if (i->touched)
        return 0;
    if (i->refs == 1) { /* none but the caller knows it: it is loaded anew by whoever comes next */
        i->half = true;
        return 0;
    }
    struct txn_touched *t = calloc(1, sizeof *t);
    uint8_t *key = key_copy(span_of(i->key, i->key_len));
    if (!t || !key) {
        free(t);
        free(key);
        return -ENOMEM;
    }
    *t = (struct txn_touched){.next = e->touched, .inode = inode_ref(i), .key = key, .key_len = i->key_len, .nlink = i->nlink,
                              .orphan = i->orphan, .half = i->half};
    i->touched = true;
    e->touched = t;
    return 0;
}

static void touched_put_back(struct txn_touched *t)
{
    struct inode *i = t->inode;
    uint8_t *other = i->key;
    i->key = t->key;
    i->key_len = t->key_len;
    t->key = other;
    i->nlink = t->nlink;
    i->orphan = t->orphan;
    i->half = t->half;
}

static void touched_end(struct engine *e, bool committed)
{
    while (e->touched) {
        struct txn_touched *t = e->touched;
        e->touched = t->next;
        t->inode->touched = false;
        if (!committed) {
            touched_put_back(t);
            inode_restore(e, t->inode);
        }
        inode_put(e, t->inode);
        free(t->key);
        free(t);
    }
}

static void unsaved_done(struct engine *e)
{
    while (e->unsaved) {
        struct inode *i = e->unsaved;
        e->unsaved = i->unsaved_next;
        i->unsaved_next = NULL;
        inode_put(e, i);
    }
    e->txn_open = false;
}

static void unsaved_again(struct engine *e)
{
    struct inode *list = e->unsaved;
    e->txn_open = false;
    if (!list)
        return;
    int r = e->meta_ops->begin(e->m);
    for (struct inode *i = list; r == 0 && i; i = i->unsaved_next) {
        if (!i->orphan)
            r = create_rows(e, i->bucket, span_of(i->key, i->key_len), i->ino);
    }
    if (r < 0) {
        e->meta_ops->rollback(e->m);
        log_error("created files lost their names before their first close: %s", strerror(-r));
        unsaved_done(e);
        return;
    }
    e->txn_open = true;
}

int txn_begin(struct engine *e)
{
    if (e->read_only)
        return -EROFS;
    return e->txn_open ? 0 : e->meta_ops->begin(e->m);
}

int txn_end(struct engine *e, int error)
{
    if (error >= 0) {
        int r = e->meta_ops->commit(e->m);
        if (r == 0) {
            settle_txn_end(e, true);
            trail_txn_end(e, true);
            touched_end(e, true);
            unsaved_done(e);
            return error;
        }
        error = r; /* a commit that failed has rolled back */
    } else {
        e->meta_ops->rollback(e->m);
    }
    settle_txn_end(e, false);
    trail_txn_end(e, false);
    touched_end(e, false);
    unsaved_again(e);
    return error;
}

int txn_leave_open(struct engine *e, int error, struct inode *created)
{
    if (error < 0)
        return txn_end(e, error);
    e->txn_open = true;
    created->unsaved_next = e->unsaved;
    e->unsaved = inode_ref(created);
    return error;
}

int txn_flush(struct engine *e)
{
    return e->txn_open ? txn_end(e, 0) : 0;
}

uint64_t seq_next(struct engine *e)
{
    return e->next_seq++;
}

static int durable_record(struct engine *e, uint64_t seq)
{
    LOCK_SCOPE(&e->meta);
    if (seq <= e->durable_seq)
        return 0;
    uint64_t be = __builtin_bswap64(seq);
    int r = txn_begin(e);
    if (r < 0)
        return r;
    r = txn_end(e, e->meta_ops->value_put(e->m, "durable", span_of(&be, sizeof be)));
    if (r == 0)
        e->durable_seq = seq;
    return r;
}

void durable_promise(struct engine *e, uint64_t seq)
{
    if (seq > e->promised_seq)
        e->promised_seq = seq;
}

int durable_advance(struct engine *e)
{
    uint64_t seq;
    {
        LOCK_SCOPE(&e->meta);
        seq = e->next_seq - 1;
        durable_promise(e, seq);
    }
    int r = e->block_ops->sync(e->b);
    if (r == 0)
        r = durable_record(e, seq);
    if (r == 0)
        r = e->meta_ops->sync(e->m);
    return r;
}

void integrity_event(struct engine *e, const char *what, const char *bucket, struct span key, const char *version_id)
{
    atomic_fetch_add(&e->integrity_events, 1);
    trail_integrity(e, what, bucket, key, version_id);
    log_error("integrity: %s/%.*s version %s: %s", bucket, (int)key.len, (const char *)key.p, version_id, what);
    json_t *one = json_pack("{s:s, s:s%, s:s, s:s, s:I}", "bucket", bucket, "key", (const char *)key.p, key.len,
                            "version", version_id, "what", what, "time", (json_int_t)(clock_wall_ns() / 1000000000));
    if (!one)
        return;
    if (!e->integrity_list)
        e->integrity_list = json_array();
    if (json_array_size(e->integrity_list) >= 64)
        json_array_remove(e->integrity_list, 0);
    json_array_append_new(e->integrity_list, one);
}

const char *engine_show(const struct bucket *b, struct span key)
{
    static _Thread_local char text[320];
    const char *name = b ? b->name : "";
    if (key.len <= 240)
        snprintf(text, sizeof text, "%s%s%.*s", name, key.len ? "/" : "", (int)key.len, (const char *)key.p);
    else
        snprintf(text, sizeof text, "%s/%.*s...", name, 237, (const char *)key.p);
    return text;
}

void gc_pin_add(struct engine *e, struct gc_pin *pin, struct extmap *map)
{
    pin->map = extmap_ref(map);
    pin->prev = NULL;
    pin->next = e->pin_list;
    if (e->pin_list)
        e->pin_list->prev = pin;
    e->pin_list = pin;
}

void gc_pin_remove(struct engine *e, struct gc_pin *pin)
{
    if (pin->prev)
        pin->prev->next = pin->next;
    else
        e->pin_list = pin->next;
    if (pin->next)
        pin->next->prev = pin->prev;
    extmap_unref(pin->map);
    pin->map = NULL;
}
