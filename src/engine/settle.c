/* SPDX-License-Identifier: GPL-3.0-or-later
 * Settling (retention.md §1.6, S1-S6): when a version made through the mount has been left alone, the bucket's default
 * retention reaches it. Also what must go later: replaced null versions, and orphans (S2d).
 *
 * Each waiting version has a row, so that a remount finds it (its timer then starts anew), and an entry in the queue.
 * The worker calls settle_run(); each entry is judged in a transaction of its own. */
#include "engine/private.h"
#include "engine/settle.h"

enum {
    NS_PER_S = 1000000000,
    SETTLE_PUT_OFF_MAX = 15, /* touching puts settling off for at most so many settle times */
    BATCH = 64,              /* entries under one hold of the lock: about 2 ms */
    BATCHES_MAX = 512,       /* a run ends, so that the worker gets to its other work */
    RETRY_S = 60,
    ORPHAN_LOOK_S = 3600 /* orphans wait by the date: looked at again this often */
};

struct settle {
    struct settle_queue *queue;    /* M */
    struct settle_entry *touched;  /* M: by the running transaction, newest first */
    bool wants_sync;               /* M: a version is about to be locked whose frames are not durable */
};

static int64_t settle_due_ns(const struct settle_entry *entry)
{
    int64_t quiet = entry->last_ns + entry->settle_ns;
    int64_t latest = entry->first_ns + SETTLE_PUT_OFF_MAX * entry->settle_ns;
    return quiet < latest ? quiet : latest;
}

static struct settle_entry *waiting(struct engine *e, uint64_t seq)
{
    struct settle_entry *entry = settle_queue_find(e->settle->queue, seq);
    return entry && entry->kind == SETTLE_VERSION ? entry : NULL;
}

/* ---- rows and entries ---- */

static void touched(struct settle *s, struct settle_entry *entry, enum settle_touch how)
{
    if (entry->touched == SETTLE_UNTOUCHED) {
        entry->touched_next = s->touched;
        s->touched = entry;
    }
    entry->touched = how;
}

/* Entries follow their rows: what a transaction did to them stands or falls with it. */
void settle_txn_end(struct engine *e, bool committed)
{
    struct settle *s = e->settle;
    while (s && s->touched) {
        struct settle_entry *entry = s->touched;
        s->touched = entry->touched_next;
        enum settle_touch how = entry->touched;
        entry->touched = SETTLE_UNTOUCHED;
        if (how == SETTLE_ADDED && committed)
            continue;
        if (how == SETTLE_ADDED)
            settle_queue_take(s->queue, entry);
        if (how == SETTLE_DROPPED && !committed)
            settle_queue_put_back(s->queue, entry);
        else
            settle_queue_forget(s->queue, entry);
    }
}

static struct settle_entry *entry_add(struct engine *e, const struct bucket *b, struct span key, uint64_t seq, int64_t now)
{
    struct settle_entry *entry = settle_queue_add(e->settle->queue, b->number, key, seq);
    if (!entry)
        return NULL;
    entry->kind = SETTLE_VERSION;
    entry->settle_ns = b->settle_s * NS_PER_S;
    entry->first_ns = entry->last_ns = now;
    settle_queue_due(e->settle->queue, entry, settle_due_ns(entry));
    return entry;
}

static void entry_drop(struct engine *e, struct settle_entry *entry)
{
    settle_queue_take(e->settle->queue, entry);
    touched(e->settle, entry, entry->touched == SETTLE_ADDED ? SETTLE_GONE : SETTLE_DROPPED);
}

struct opening {
    struct engine *engine;
    int64_t now, count;
};

static int open_row(void *arg, const struct unsettled_row *row)
{
    struct opening *o = arg;
    const struct bucket *b = bucket_by_number(o->engine, row->bucket);
    if (!b)
        return 0; /* fsck reports it */
    struct settle_entry *entry = entry_add(o->engine, b, row->key, row->seq, o->now);
    if (!entry)
        return -ENOMEM;
    /* What kind it is shows when its version is read: soon, and in the order of the rows (oldest first in a key). What was replaced
     * waits until all that this opening found is durable. */
    entry->behind_seq = o->engine->next_seq - 1;
    settle_queue_due(o->engine->settle->queue, entry, o->now + NS_PER_S + o->count++);
    return 0;
}

int settle_open(struct engine *e)
{
    struct settle *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->queue = settle_queue_new();
    e->settle = s;
    if (!s->queue)
        return -ENOMEM; /* settle_close() frees the rest */
    struct opening opening = {.engine = e, .now = clock_mono_ns()};
    return e->meta_ops->unsettled_scan(e->m, open_row, &opening);
}

void settle_close(struct engine *e)
{
    if (!e->settle)
        return;
    settle_txn_end(e, true);
    settle_queue_free(e->settle->queue);
    free(e->settle);
    e->settle = NULL;
}

static int row_put(struct engine *e, uint32_t bucket, struct span key, uint64_t seq)
{
    return e->meta_ops->unsettled_put(e->m, &(struct unsettled_row){.bucket = bucket, .key = key, .seq = seq});
}

int settle_add(struct engine *e, const struct bucket *b, struct span key, uint64_t seq)
{
    int r = row_put(e, b->number, key, seq);
    if (r < 0)
        return r;
    struct settle_entry *entry = entry_add(e, b, key, seq, clock_mono_ns());
    if (!entry)
        return -ENOMEM;
    touched(e->settle, entry, SETTLE_ADDED);
    return 0;
}

int settle_add_replaced(struct engine *e, uint32_t bucket, struct span key, uint64_t seq)
{
    int r = row_put(e, bucket, key, seq);
    if (r < 0)
        return r;
    struct settle_entry *entry = settle_queue_find(e->settle->queue, seq);
    if (entry)
        entry_drop(e, entry);
    entry = settle_queue_add(e->settle->queue, bucket, key, seq);
    if (!entry)
        return -ENOMEM;
    touched(e->settle, entry, SETTLE_ADDED);
    entry->kind = SETTLE_REPLACED;
    entry->behind_seq = e->next_seq; /* its successor's, which is given next */
    settle_queue_due(e->settle->queue, entry, clock_mono_ns() + NS_PER_S);
    return 0;
}

int settle_drop(struct engine *e, uint32_t bucket, struct span key, uint64_t seq)
{
    struct settle_entry *entry = settle_queue_find(e->settle->queue, seq);
    if (!entry)
        return 0;
    int r = e->meta_ops->unsettled_del(e->m, &(struct unsettled_row){.bucket = bucket, .key = key, .seq = seq});
    if (r == 0)
        entry_drop(e, entry);
    return r;
}

int settle_move(struct engine *e, uint32_t bucket, struct span from, uint64_t from_seq, struct span to, uint64_t to_seq)
{
    struct settle_entry *entry = waiting(e, from_seq);
    struct bucket *b = bucket_by_number(e, bucket);
    if (!entry || !b)
        return 0;
    const struct settle_entry old = *entry;
    int r = settle_drop(e, bucket, from, from_seq);
    if (r == 0)
        r = settle_add(e, b, to, to_seq);
    if (r < 0)
        return r;
    entry = waiting(e, to_seq);
    entry->settle_ns = old.settle_ns;
    entry->first_ns = old.first_ns;
    settle_queue_due(e->settle->queue, entry, settle_due_ns(entry));
    return 0;
}

bool settle_waiting(struct engine *e, uint64_t seq)
{
    return waiting(e, seq) != NULL;
}

void settle_touch(struct engine *e, uint64_t seq)
{
    struct settle_entry *entry = waiting(e, seq);
    if (entry)
        entry->last_ns = clock_mono_ns(); /* its place in the queue follows when it is looked at */
}

void inode_settle_touch(struct engine *e, struct inode *i)
{
    settle_touch(e, i->seq);
    struct version_ref *names;
    size_t count;
    if (i->nlink <= 1 || inode_names(e, i, &names, &count) < 0)
        return;
    for (size_t n = 0; n < count; n++) {
        struct version v;
        if (version_load(e, names[n].bucket, span_of(names[n].key, names[n].key_len), 0, &v) < 0)
            continue;
        settle_touch(e, v.seq);
        version_done(&v);
    }
    version_refs_free(names, count);
}

int64_t settle_left_s(struct engine *e, uint64_t seq)
{
    const struct settle_entry *entry = waiting(e, seq);
    if (!entry)
        return 0;
    int64_t left = settle_due_ns(entry) - clock_mono_ns();
    return left <= NS_PER_S ? 1 : (left + NS_PER_S - 1) / NS_PER_S; /* held open, it waits beyond its time */
}

static int is_current(struct engine *e, const struct version *v, bool *ret)
{
    struct version top;
    int r = version_load(e, v->bucket, span_of(v->key, v->key_len), 0, &top);
    if (r < 0)
        return r;
    *ret = top.seq == v->seq;
    version_done(&top);
    return 0;
}

int settle_now(struct engine *e, struct version *v)
{
    const struct bucket *b = bucket_by_number(e, v->bucket);
    bool current;
    int r = is_current(e, v, &current);
    if (r == 0)
        r = settle_drop(e, v->bucket, span_of(v->key, v->key_len), v->seq);
    if (r < 0 || !b || !current || v->lock_mode != LOCK_NONE)
        return r;
    lock_apply_default(e, b, v); /* S3: only what is still current */
    if (v->lock_mode == LOCK_NONE)
        return 0;
    r = version_store(e, v);
    return r < 0 ? r : lock_note_made(e, NULL, v, false);
}

/* ---- orphans (S2d) ---- */

struct orphan_search {
    struct engine *engine;
    uint64_t seq;
    struct version_row above; /* the row just newer than seq; key and body are not used */
    bool found, older;
};

static int orphan_row(void *arg, const struct version_row *row)
{
    struct orphan_search *s = arg;
    if (row->flags & VERSION_REPLACED)
        return 0;
    if (row->seq > s->seq) {
        s->above = *row;
        return 0;
    }
    if (row->seq == s->seq) {
        s->found = true;
        return 0;
    }
    /* Below it only other orphans and their markers may lie: else it has a history to keep. */
    const struct settle_entry *entry = settle_queue_find(s->engine->settle->queue, row->seq);
    if (!(row->flags & VERSION_MARKER) && !(entry && entry->kind == SETTLE_ORPHAN))
        s->older = true;
    return s->older;
}

static int reap(struct engine *e, const struct version *v, uint64_t marker_seq)
{
    struct caller internal;
    engine_caller_init(e, &internal, 0, 0, 0, "internal");
    struct span key = span_of(v->key, v->key_len);
    const uint64_t seqs[2] = {v->seq, marker_seq};
    int r = 0;
    for (int n = 0; r == 0 && n < 2; n++) {
        struct version gone;
        r = version_load(e, v->bucket, key, seqs[n], &gone);
        if (r < 0)
            return r;
        r = version_remove(e, &internal, &gone, REMOVE_ORPHAN);
        version_done(&gone);
    }
    return r;
}

/* v is unsettled and not current. Waits, goes with its marker, or, being no orphan, is simply left. */
static int settle_superseded(struct engine *e, struct settle_entry *entry, const struct version *v, int64_t now)
{
    const struct bucket *b = bucket_by_number(e, v->bucket);
    struct span key = span_of(v->key, v->key_len);
    struct orphan_search s = {.engine = e, .seq = v->seq};
    int r = e->meta_ops->version_scan(e->m, v->bucket, key, UINT64_MAX, orphan_row, &s);
    if (r < 0)
        return r;
    bool orphan = s.found && !s.older && (s.above.flags & VERSION_MARKER);
    if (!orphan || !b || bucket_orphan_keep_s(b) == INT64_MAX || lock_in_force(e, v))
        return settle_drop(e, v->bucket, key, v->seq);
    /* By the earlier of both dates: one set ahead reaps nothing. */
    int64_t wall_s = clock_wall_ns() / NS_PER_S, date_s = compliance_date_ms(e) / 1000;
    int64_t since = (wall_s < date_s ? wall_s : date_s) - s.above.publish_ns / NS_PER_S;
    if (since >= bucket_orphan_keep_s(b))
        return reap(e, v, s.above.seq);
    entry->kind = SETTLE_ORPHAN;
    int64_t left = bucket_orphan_keep_s(b) - since;
    settle_queue_due(e->settle->queue, entry, now + (left < ORPHAN_LOOK_S ? left : ORPHAN_LOOK_S) * NS_PER_S);
    return 0;
}

/* ---- the run ---- */

/* A version someone may still write to: its inode, when its time is up all the same; 0 otherwise. */
static uint64_t held_open(struct engine *e, struct settle_entry *entry, const struct version *v, int64_t now, bool *ret_wait)
{
    const struct inode *i = inode_cached(e, v->ino);
    *ret_wait = i && !entry->sealed && (atomic_load(&i->writers) || draft_open(i));
    if (!*ret_wait)
        return 0;
    /* With a settle time of 0 the seal itself settles (draft_seal()). */
    if (entry->settle_ns && now >= entry->first_ns + SETTLE_PUT_OFF_MAX * entry->settle_ns)
        return v->ino;
    settle_queue_due(e->settle->queue, entry, now + NS_PER_S);
    return 0;
}

static int settle_current(struct engine *e, struct settle_entry *entry, struct version *v, int64_t now, uint64_t *ret_seal)
{
    bool wait;
    *ret_seal = held_open(e, entry, v, now, &wait);
    if (wait)
        return 0;
    const struct bucket *b = bucket_by_number(e, v->bucket);
    if (v->seq > e->durable_seq && b && b->object_lock && b->default_mode != LOCK_NONE) {
        /* The row of a lock may reach the disk by itself: not before what it protects. */
        e->settle->wants_sync = true;
        return 0;
    }
    return settle_now(e, v);
}

static int settle_replaced(struct engine *e, struct settle_entry *entry, struct version *v, int64_t now)
{
    if (e->durable_seq < entry->behind_seq) {
        settle_queue_due(e->settle->queue, entry, now + NS_PER_S);
        return 0;
    }
    struct caller internal;
    engine_caller_init(e, &internal, 0, 0, 0, "internal");
    return version_remove(e, &internal, v, REMOVE_REPLACED);
}

/* One entry that is due. May drop it. *ret_seal: an inode to be sealed first, without locks. M, txn. */
static int settle_one(struct engine *e, struct settle_entry *entry, int64_t now, uint64_t *ret_seal)
{
    struct version v;
    struct span key = span_of(entry->key, entry->key_len);
    int r = version_load(e, entry->bucket, key, entry->seq, &v);
    if (r == -ENOENT)
        return settle_drop(e, entry->bucket, key, entry->seq);
    if (r < 0)
        return r;
    bool current = false;
    if (v.flags & VERSION_REPLACED)
        r = settle_replaced(e, entry, &v, now);
    else if (v.flags & VERSION_MARKER)
        r = settle_drop(e, entry->bucket, key, entry->seq);
    else if ((r = is_current(e, &v, &current)) < 0)
        ;
    else if (!current)
        r = settle_superseded(e, entry, &v, now);
    else if (settle_due_ns(entry) > now)
        settle_queue_due(e->settle->queue, entry, settle_due_ns(entry));
    else
        r = settle_current(e, entry, &v, now, ret_seal);
    version_done(&v);
    return r;
}

static void settle_first(struct engine *e, uint64_t seq, int64_t now, uint64_t *ret_seal)
{
    struct settle_entry *entry = settle_queue_find(e->settle->queue, seq);
    int r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, settle_one(e, entry, now, ret_seal));
    if (r == 0)
        return;
    entry = settle_queue_find(e->settle->queue, seq); /* the rollback has put it back */
    log_warning("a version in %s could not be settled: %s",
                engine_show(bucket_by_number(e, entry->bucket), span_of(entry->key, entry->key_len)), strerror(-r));
    settle_queue_due(e->settle->queue, entry, now + RETRY_S * (int64_t)NS_PER_S);
}

/* The first of what is due, or NULL. M */
static struct settle_entry *settle_next(struct engine *e, int64_t now)
{
    struct settle_entry *entry = settle_queue_first(e->settle->queue);
    return entry && entry->due_ns <= now ? entry : NULL;
}

/* Up to BATCH entries in one transaction: settling what was left alone costs a commit a batch, not one a version. *ret_seq: the last
 * one looked at. A failure undoes them all. M */
static int settle_together(struct engine *e, int64_t now, uint64_t *ret_seal, uint64_t *ret_seq)
{
    int r = txn_begin(e);
    if (r < 0)
        return r;
    struct settle_entry *entry;
    for (int n = 0; r == 0 && n < BATCH && !*ret_seal && !e->settle->wants_sync && (entry = settle_next(e, now)); n++) {
        *ret_seq = entry->seq;
        r = settle_one(e, entry, now, ret_seal);
    }
    return txn_end(e, r);
}

/* True when more is due. *ret_seal: an inode to seal first; *ret_seq: its version. */
static bool settle_batch(struct engine *e, int64_t now, uint64_t *ret_seal, uint64_t *ret_seq)
{
    LOCK_SCOPE(&e->meta);
    if (settle_next(e, now) && settle_together(e, now, ret_seal, ret_seq) < 0) {
        /* One of them cannot be settled now: each by itself, so that it holds up no other. */
        *ret_seal = 0;
        struct settle_entry *entry;
        for (int n = 0; n < BATCH && !*ret_seal && !e->settle->wants_sync && (entry = settle_next(e, now)); n++) {
            *ret_seq = entry->seq;
            settle_first(e, entry->seq, now, ret_seal);
        }
    }
    return *ret_seal || (!e->settle->wants_sync && settle_next(e, now));
}

/* Its time is up with a handle open: what was written so far is the version, later writes make a newer one. */
static void settle_seal(struct engine *e, uint64_t ino, uint64_t seq)
{
    struct caller internal;
    engine_caller_init(e, &internal, 0, 0, 0, "internal");
    int r = inode_seal(e, &internal, ino, NULL);
    LOCK_SCOPE(&e->meta);
    struct settle_entry *entry = settle_queue_find(e->settle->queue, seq);
    if (!entry)
        return;
    if (r == 0)
        entry->sealed = true;
    else
        settle_queue_due(e->settle->queue, entry, clock_mono_ns() + RETRY_S * (int64_t)NS_PER_S);
}

static void settle_due(struct engine *e)
{
    int64_t now = clock_mono_ns();
    for (int n = 0; n < BATCHES_MAX && !atomic_load(&e->worker_stop); n++) { /* the end of the daemon waits for no backlog */
        uint64_t seal = 0, seq = 0;
        bool more = settle_batch(e, now, &seal, &seq);
        if (seal)
            settle_seal(e, seal, seq);
        if (!more)
            return;
    }
}

static bool settle_wants_sync(struct engine *e)
{
    LOCK_SCOPE(&e->meta);
    bool wants = e->settle->wants_sync;
    e->settle->wants_sync = false;
    return wants;
}

void settle_run(struct engine *e)
{
    if (e->read_only)
        return;
    settle_due(e);
    if (!settle_wants_sync(e))
        return;
    int r = durable_advance(e);
    if (r < 0)
        log_warning("syncing the store: %s", strerror(-r));
    else
        settle_due(e);
}
