/* SPDX-License-Identifier: GPL-3.0-or-later
 * Walking version rows by seeking (walk.h): cost follows what is shown, not how many versions or deep keys
 * there are. */
#include "engine/walk.h"

#include <assert.h>
#include <sched.h>

void walk_key_set(struct walk_key *k, struct span from)
{
    assert(from.len <= sizeof k->p);
    if (from.len)
        memmove(k->p, from.p, from.len);
    k->len = from.len;
}

int walk_key_add(struct walk_key *k, const void *p, size_t len)
{
    if (len > sizeof k->p - k->len)
        return -ENAMETOOLONG;
    if (len)
        memcpy(k->p + k->len, p, len);
    k->len += len;
    return 0;
}

int walk_prefix(struct walk_key *k, struct span place)
{
    if (place.len > WALK_KEY_BYTES)
        return -ENAMETOOLONG;
    walk_key_set(k, place);
    return k->len ? walk_key_add(k, "/", 1) : 0;
}

int walk_behind_subtree(struct walk_key *k)
{
    return walk_key_add(k, "0", 1); /* '/' + 1 */
}

static int key_order(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int d = len ? memcmp(a.p, b.p, len) : 0;
    return d ? d : (a.len > b.len) - (a.len < b.len);
}

static bool key_starts(struct span key, struct span prefix)
{
    return key.len >= prefix.len && (!prefix.len || !memcmp(key.p, prefix.p, prefix.len));
}

/* ---- one key ---- */

enum { WALK_LINEAR_ROWS = 48 }; /* so many rows are looked at one by one before the search is by halves */

struct version_pick {
    int64_t at_ns;
    unsigned seen, limit; /* visible rows; how many to look at */
    uint64_t last_seq;    /* of the last row looked at */
    bool found;
    int error;
    struct walk_head *head;
    struct version *full;
};

static void head_take(const struct version_row *row, bool latest, struct walk_head *ret)
{
    *ret = (struct walk_head){
        .seq = row->seq,
        .ino = row->ino,
        .flags = row->flags,
        .publish_ns = row->publish_ns,
        .latest = latest,
    };
    memcpy(ret->id, row->id, sizeof ret->id);
}

static int version_pick_row(void *arg, const struct version_row *row)
{
    struct version_pick *p = arg;
    if (row->flags & VERSION_REPLACED)
        return 0;
    p->last_seq = row->seq;
    if (row->publish_ns > p->at_ns)
        return ++p->seen >= p->limit;
    p->found = true;
    head_take(row, p->seen == 0, p->head);
    if (p->full)
        p->error = version_decode(row, p->full);
    return 1;
}

/* Publish times rise with the sequence within a key, so among `hi` rows and down to the first it is found by
 * halves. */
static int version_bisect(struct engine *e, uint32_t bucket, struct span key, struct version_pick *p,
                          uint64_t hi)
{
    uint64_t lo = 0; /* versions at or below it fit, or there are none */
    struct version *full = p->full;
    p->full = NULL;
    p->limit = 1;
    while (lo < hi) {
        uint64_t middle = lo + (hi - lo) / 2 + ((hi - lo) & 1);
        p->found = false;
        p->last_seq = 0;
        p->seen = 1; /* never the newest: those were looked at before */
        int r = e->meta_ops->version_scan(e->m, bucket, key, middle, version_pick_row, p);
        if (r < 0)
            return r;
        if (p->found || !p->last_seq)
            lo = middle;
        else
            hi = p->last_seq - 1;
    }
    p->found = false;
    p->last_seq = 0;
    p->seen = 1;
    p->full = full;
    int r = e->meta_ops->version_scan(e->m, bucket, key, lo, version_pick_row, p);
    return r;
}

int walk_version_at(struct engine *e, uint32_t bucket, struct span key, int64_t at_ns, struct walk_head *head,
                    struct version *full)
{
    struct version_pick p = {.at_ns = at_ns, .limit = WALK_LINEAR_ROWS, .head = head, .full = full};
    int r = e->meta_ops->version_scan(e->m, bucket, key, UINT64_MAX, version_pick_row, &p);
    if (r == 0 && !p.found && p.seen >= p.limit)
        r = version_bisect(e, bucket, key, &p, p.last_seq - 1);
    if (r < 0)
        return r;
    if (!p.found)
        return -ENOENT;
    return p.error;
}

/* ---- keys ---- */

int walk_next_key(struct engine *e, uint32_t bucket, struct span prefix, struct span from, bool inclusive,
                  struct walk_key *ret)
{
    size_t len = 0;
    if (key_order(from, prefix) < 0) {
        from = prefix;
        inclusive = true;
    }
    int r = e->meta_ops->version_next_key(e->m, bucket, from, inclusive, ret->p, &len);
    if (r < 0)
        return r;
    ret->len = len;
    return key_starts(walk_span(ret), prefix) ? 0 : -ENOENT;
}

void walk_breathe(struct engine *e, unsigned *count)
{
    if (++*count < WALK_BATCH_ROWS)
        return;
    *count = 0;
    pthread_mutex_unlock(&e->meta);
    sched_yield();
    pthread_mutex_lock(&e->meta);
}

/* Is this key shown: in history with any visible version, at an instant with an object? */
static int key_shows(struct engine *e, uint32_t bucket, struct span key, int64_t at_ns,
                     struct walk_head *head)
{
    int r = walk_version_at(e, bucket, key, at_ns, head, NULL);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    return at_ns == INT64_MAX || walk_shows(head);
}

int walk_subtree_shows(struct engine *e, uint32_t bucket, const struct walk_key *subtree, int64_t at_ns,
                       unsigned *count)
{
    struct walk_key at = *subtree;
    bool inclusive = true;
    for (;;) {
        int r = walk_next_key(e, bucket, walk_span(subtree), walk_span(&at), inclusive, &at);
        if (r == -ENOENT)
            return 0;
        if (r < 0)
            return r;
        struct walk_head head;
        r = key_shows(e, bucket, walk_span(&at), at_ns, &head);
        if (r != 0)
            return r;
        inclusive = false;
        walk_breathe(e, count);
    }
}

int walk_made_dir(struct engine *e, uint32_t bucket, struct span key, int64_t at_ns, uint64_t *ret_ino,
                  struct inode_body *ret_body)
{
    struct tree_row tree;
    int r = e->meta_ops->tree_get(e->m, bucket, key, &tree);
    if (r == -ENOENT || (r == 0 && tree.kind != TREE_DIR))
        return 0;
    if (r < 0)
        return r;
    uint64_t ino = tree.ino;
    struct inode_row row;
    r = e->meta_ops->inode_get(e->m, ino, &row);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    struct inode_body body;
    r = inode_body_decode(row.body.p, row.body.len, &body);
    if (r < 0)
        return r;
    const struct instant *made = &body.record.btime;
    bool by_then = at_ns == INT64_MAX || made->sec < at_ns / 1000000000 ||
                   (made->sec == at_ns / 1000000000 && made->nsec <= at_ns % 1000000000);
    if (!body.dir || body.record.implicit || !by_then) {
        record_done(&body.record);
        return 0;
    }
    if (ret_ino)
        *ret_ino = ino;
    if (ret_body)
        *ret_body = body;
    else
        record_done(&body.record);
    return 1;
}

/* ---- names ---- */

/* Was the name handed out where its own key stands (not where its slash does)? */
static int name_stands_plain(struct engine *e, uint32_t bucket, struct span key, int64_t at_ns)
{
    struct walk_head head;
    int r = key_shows(e, bucket, key, at_ns, &head);
    if (r == 0 && at_ns != INT64_MAX)
        r = walk_made_dir(e, bucket, key, at_ns, NULL, NULL);
    return r;
}

int walk_names_start(struct walk_names *w, struct engine *e, const struct engine_place *dir, int64_t at_ns,
                     const char *after, size_t after_len)
{
    w->e = e;
    w->bucket = dir->bucket;
    w->at_ns = at_ns;
    w->peeked = 0;
    w->count = 0;
    w->inclusive = true;
    int r = walk_prefix(&w->prefix, dir->key);
    if (r < 0)
        return r;
    walk_key_set(&w->from, walk_span(&w->prefix));
    if (!after_len)
        return 0;
    r = walk_key_add(&w->from, after, after_len);
    if (r < 0)
        return r;
    w->inclusive = false;
    r = name_stands_plain(e, w->bucket, walk_span(&w->from), at_ns);
    if (r != 0)
        return r < 0 ? r : 0;
    struct walk_key subtree;
    r = walk_prefix(&subtree, walk_span(&w->from));
    if (r == 0)
        r = walk_subtree_shows(e, w->bucket, &subtree, at_ns, &w->count);
    if (r <= 0) /* gone meanwhile: nothing is lost by looking from the name itself */
        return r;
    w->inclusive = true;
    return walk_behind_subtree(&w->from);
}

static int names_key(struct walk_names *w, struct walk_key *ret)
{
    if (w->peeked) {
        int peeked = w->peeked;
        w->peeked = 0;
        if (peeked == 2)
            return -ENOENT;
        *ret = w->peek;
        return 0;
    }
    return walk_next_key(w->e, w->bucket, walk_span(&w->prefix), walk_span(&w->from), w->inclusive, ret);
}

/* Can a directory entry have this name? Keys with other segments are S3's alone (mount.md §2). */
static bool name_possible(const uint8_t *p, size_t len)
{
    return len > 0 && len <= 255 && !(p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.')));
}

/* Do keys lie below `key`? The key that follows it tells in most cases without a seek of its own. */
static int names_below(struct walk_names *w, const struct walk_key *key)
{
    struct walk_key subtree;
    int r = walk_prefix(&subtree, walk_span(key));
    if (r < 0)
        return r;
    r = walk_next_key(w->e, w->bucket, walk_span(&w->prefix), walk_span(key), false, &w->peek);
    if (r < 0 && r != -ENOENT)
        return r;
    w->peeked = r == 0 ? 1 : 2;
    if (r == -ENOENT)
        return 0;
    if (key_order(walk_span(&w->peek), walk_span(&subtree)) > 0 &&
        !key_starts(walk_span(&w->peek), walk_span(&subtree)))
        return 0;
    return walk_subtree_shows(w->e, w->bucket, &subtree, w->at_ns, &w->count);
}

/* The key itself is below the directory. 1: *ret is filled; 0: not shown. */
static int names_plain(struct walk_names *w, struct walk_name *ret)
{
    walk_key_set(&w->from, walk_span(&ret->key));
    w->inclusive = false;
    int r = key_shows(w->e, w->bucket, walk_span(&ret->key), w->at_ns, &ret->head);
    if (r <= 0)
        return r;
    ret->is_key = true;
    r = names_below(w, &ret->key);
    if (r < 0)
        return r;
    ret->is_dir = r > 0;
    return 1;
}

/* A key further down: its first segment is a directory, unless it was met as a key. */
static int names_deep(struct walk_names *w, struct walk_name *ret, size_t name_len)
{
    struct walk_key subtree = {.len = 0};
    ret->key.len = ret->name_at + name_len;
    walk_key_set(&subtree, span_of(ret->key.p, ret->key.len + 1));
    walk_key_set(&w->from, walk_span(&ret->key));
    w->inclusive = true;
    int r = walk_behind_subtree(&w->from);
    if (r < 0)
        return r;
    r = name_stands_plain(w->e, w->bucket, walk_span(&ret->key), w->at_ns);
    if (r != 0)
        return r < 0 ? r : 0;
    ret->is_dir = true;
    return walk_subtree_shows(w->e, w->bucket, &subtree, w->at_ns, &w->count);
}

int walk_names_next(struct walk_names *w, struct walk_name *ret)
{
    for (;;) {
        ret->is_key = ret->is_dir = false;
        ret->name_at = w->prefix.len;
        int r = names_key(w, &ret->key);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        const uint8_t *rest = ret->key.p + ret->name_at;
        size_t rest_len = ret->key.len - ret->name_at;
        const uint8_t *slash = rest_len ? memchr(rest, '/', rest_len) : NULL;
        size_t name_len = slash ? (size_t)(slash - rest) : rest_len;
        if (name_possible(rest, name_len)) {
            r = slash ? names_deep(w, ret, name_len) : names_plain(w, ret);
            if (r != 0)
                return r;
        } else {
            walk_key_set(&w->from,
                         slash ? span_of(ret->key.p, ret->name_at + name_len) : walk_span(&ret->key));
            w->inclusive = slash != NULL;
            r = slash ? walk_behind_subtree(&w->from) : 0;
            if (r < 0)
                return r;
        }
        walk_breathe(w->e, &w->count);
    }
}

/* ---- a run of plain names ---- */

enum {
    RUN_ROWS = 1024, /* looked at in one scan */
};

struct names_run {
    struct walk_names *w;
    struct walk_pick *picks;
    unsigned count, max, rows;
    struct walk_key at;      /* the key whose rows are met */
    bool inside, found;      /* there is one; its version is chosen */
};

/* The last key's pick is followed by `next`: can keys lie below it? */
static void run_follow(struct names_run *r, struct span next)
{
    struct walk_pick *last = r->count ? &r->picks[r->count - 1] : NULL;
    if (last && key_order(walk_span(&last->key), walk_span(&r->at)) == 0)
        last->maybe_dir = key_starts(next, walk_span(&last->key)) && next.p[last->key.len] <= '/';
}

static int run_row(void *arg, const struct version_row *row)
{
    struct names_run *r = arg;
    size_t prefix = r->w->prefix.len;
    bool same = r->inside && key_order(row->key, walk_span(&r->at)) == 0;
    if (!same) {
        if (r->inside)
            run_follow(r, row->key);
        const uint8_t *rest = row->key.p + prefix;
        bool below = key_starts(row->key, walk_span(&r->w->prefix));
        bool plain =
            below && name_possible(rest, row->key.len - prefix) && !memchr(rest, '/', row->key.len - prefix);
        if (!plain || r->count == r->max || r->rows >= RUN_ROWS) {
            r->w->peeked = below ? 1 : 2;
            if (below)
                walk_key_set(&r->w->peek, row->key);
            return 1;
        }
        walk_key_set(&r->at, row->key);
        r->inside = true;
        r->found = false;
    }
    r->rows++;
    if (r->found) /* an older one stands behind it, so more may: seeking is cheaper */
        return META_SKIP_KEY;
    if (row->flags & VERSION_REPLACED)
        return 0;
    r->found = true;
    if (row->flags & VERSION_MARKER)
        return 0;
    struct walk_pick *pick = &r->picks[r->count];
    walk_key_set(&pick->key, row->key);
    head_take(row, false, &pick->head); /* a listing does not ask whether it is the latest */
    pick->maybe_dir = true; /* until the next key is met */
    r->count++;
    return 0;
}

int walk_names_run(struct walk_names *w, struct walk_pick *picks, unsigned max)
{
    struct walk_key from;
    bool inclusive = w->peeked == 1 || w->inclusive;
    if (w->peeked == 2)
        return 0;
    from = w->peeked ? w->peek : w->from;
    w->peeked = 0;
    struct names_run r = {.w = w, .picks = picks, .max = max};
    int q = w->e->meta_ops->version_scan_heads(w->e->m, w->bucket, walk_span(&from), inclusive, w->at_ns, run_row,
                                              &r);
    if (q < 0)
        return q;
    if (!w->peeked) { /* the bucket ends here */
        w->peeked = 2;
        run_follow(&r, span_of(NULL, 0));
    } else if (r.inside) {
        w->from = r.at;
        w->inclusive = false;
    }
    return (int)r.count;
}

int walk_name_find(struct engine *e, const struct engine_place *dir, int64_t at_ns, const char *name,
                   size_t len, struct walk_name *ret)
{
    struct walk_key subtree;
    unsigned count = 0;
    int r = walk_prefix(&ret->key, dir->key);
    ret->name_at = ret->key.len;
    if (r == 0)
        r = walk_key_add(&ret->key, name, len);
    if (r == 0)
        r = walk_prefix(&subtree, walk_span(&ret->key));
    if (r < 0)
        return r;
    r = key_shows(e, dir->bucket, walk_span(&ret->key), at_ns, &ret->head);
    if (r < 0)
        return r;
    ret->is_key = r > 0;
    r = walk_subtree_shows(e, dir->bucket, &subtree, at_ns, &count);
    if (r < 0)
        return r;
    ret->is_dir = r > 0;
    return ret->is_key || ret->is_dir ? 0 : -ENOENT;
}

/* ---- rows ---- */

void walk_rows_start(struct walk_rows *w, uint32_t bucket, struct span prefix)
{
    w->bucket = bucket;
    walk_key_set(&w->prefix, prefix);
    walk_key_set(&w->key, prefix);
    w->seq = 0;
    w->started = false;
}

struct rows_batch {
    struct walk_rows *w;
    unsigned left;
    bool stopped; /* before the end of what was asked for */
    bool outside; /* a key without the prefix: all is done */
    meta_version_fn *fn;
    void *arg;
};

static int rows_one(void *arg, const struct version_row *row)
{
    struct rows_batch *b = arg;
    if (!key_starts(row->key, walk_span(&b->w->prefix))) {
        b->outside = true;
        return 1;
    }
    if (key_order(row->key, walk_span(&b->w->key)) != 0)
        walk_key_set(&b->w->key, row->key);
    b->w->seq = row->seq;
    b->w->started = true;
    int r = b->fn(b->arg, row);
    if (r < 0)
        return r;
    b->left--;
    b->stopped = r > 0 || b->left == 0;
    return b->stopped;
}

int walk_rows_next(struct engine *e, struct walk_rows *w, unsigned max, meta_version_fn *fn, void *arg)
{
    struct rows_batch b = {.w = w, .left = max, .fn = fn, .arg = arg};
    if (w->seq > 1) { /* the rest of the key at which the last batch ended */
        int r = e->meta_ops->version_scan(e->m, w->bucket, walk_span(&w->key), w->seq - 1, rows_one, &b);
        if (r < 0 || b.stopped)
            return r < 0 ? r : 1;
    }
    w->seq = 0;
    struct walk_key from = w->key; /* the row's key replaces w->key while the scan runs */
    int r = e->meta_ops->version_scan_keys(e->m, w->bucket, walk_span(&from), !w->started, rows_one, &b);
    if (r < 0)
        return r;
    return b.stopped && !b.outside;
}

int walk_buckets(struct engine *e, uint32_t **ret, size_t *ret_count)
{
    LOCK_SCOPE(&e->meta);
    uint32_t *list = malloc((e->bucket_count + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < e->bucket_count; i++)
        list[i] = e->buckets[i]->number;
    *ret = list;
    *ret_count = e->bucket_count;
    return 0;
}

static int walk_bucket(struct engine *e, uint32_t bucket, struct span prefix, meta_version_fn *fn, void *arg,
                       int (*between)(void *arg))
{
    struct walk_rows w;
    walk_rows_start(&w, bucket, prefix);
    for (;;) {
        pthread_mutex_lock(&e->meta);
        int r = walk_rows_next(e, &w, WALK_BATCH_ROWS, fn, arg);
        pthread_mutex_unlock(&e->meta);
        if (r >= 0 && between) {
            int stop = between(arg);
            r = stop ? stop : r;
        }
        if (r <= 0)
            return r;
        sched_yield();
    }
}

int walk_all(struct engine *e, uint32_t bucket, struct span prefix, meta_version_fn *fn, void *arg,
             int (*between)(void *arg))
{
    if (bucket)
        return walk_bucket(e, bucket, prefix, fn, arg, between);
    CLEANUP_FREE uint32_t *buckets = NULL;
    size_t count = 0;
    int r = walk_buckets(e, &buckets, &count);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = walk_bucket(e, buckets[i], span_of(NULL, 0), fn, arg, between);
    return r;
}
