/* SPDX-License-Identifier: GPL-3.0-or-later
 * Listings in the order of keys (s3-api.md §9): of objects, or of all versions, rolled up at a delimiter.
 *
 * Keys below a rolled-up prefix are stepped over in one seek, so a page costs what it shows. The meta lock is let go between batches:
 * a key is shown as it was when its turn came, none twice and none left out that stood all along. */
#include "engine/object.h"
#include "engine/walk.h"

enum { LIST_BATCH = 64 };

struct found_row {
    struct walk_key key;
    uint64_t seq;
    bool latest;
};

struct lister {
    struct engine *e;
    struct caller *c;
    const struct engine_listing *l;
    struct bucket *b;
    struct walk_key from; /* where to look next */
    bool inclusive;
    uint64_t below_seq;   /* with versions: of the key `from`, rows below this one are still to come; 0: none */
    struct walk_key last; /* of the rows seen: whose newest visible row was met */
    bool any_last;
    unsigned left;
    bool more; /* a row was found that has no room */
    struct found_row rows[LIST_BATCH];
    unsigned count;
    bool rolled; /* the scan stopped at a key to be rolled up: `prefix` */
    bool behind_prefix;
    struct walk_key prefix;
};

static bool begins(struct span key, struct span prefix)
{
    return key.len >= prefix.len && memcmp(key.p, prefix.p, prefix.len) == 0;
}

/* The length of the prefix that the key is rolled up to, or 0. */
static size_t rolled_len(const struct lister *s, struct span key)
{
    struct span d = s->l->delimiter;
    if (!d.len)
        return 0;
    const uint8_t *rest = key.p + s->l->prefix.len;
    const uint8_t *at = memmem(rest, key.len - s->l->prefix.len, d.p, d.len);
    return at ? (size_t)(at - key.p) + d.len : 0;
}

/* 1 stop, 0 on, or META_SKIP_KEY. */
static int list_row(void *arg, const struct version_row *row)
{
    struct lister *s = arg;
    if (!begins(row->key, s->l->prefix)) {
        s->behind_prefix = true;
        return 1;
    }
    if (row->flags & VERSION_REPLACED)
        return 0;
    bool newest = !s->any_last || s->last.len != row->key.len || memcmp(s->last.p, row->key.p, row->key.len) != 0;
    if (newest)
        walk_key_set(&s->last, row->key);
    s->any_last = true;
    if (s->below_seq && s->from.len == row->key.len && memcmp(s->from.p, row->key.p, row->key.len) == 0 && row->seq >= s->below_seq)
        return 0;
    if (!s->l->versions && (!newest || (row->flags & VERSION_MARKER)))
        return META_SKIP_KEY;
    size_t roll = rolled_len(s, row->key);
    if (roll) {
        s->rolled = true;
        walk_key_set(&s->prefix, span_of(row->key.p, roll));
        return 1;
    }
    struct found_row *f = &s->rows[s->count++];
    walk_key_set(&f->key, row->key);
    f->seq = row->seq;
    f->latest = newest;
    if (s->count == LIST_BATCH || s->count > s->left)
        return 1;
    return s->l->versions ? 0 : META_SKIP_KEY;
}

/* The first position behind every key that begins with k: false where there is none. */
static bool behind(struct walk_key *k)
{
    while (k->len && k->p[k->len - 1] == 0xff)
        k->len--;
    if (k->len)
        k->p[k->len - 1]++;
    return k->len > 0;
}

/* M */
static int emit_row(struct lister *s, const struct found_row *f, struct engine_object *object)
{
    struct version v;
    int r = version_load(s->e, s->b->number, walk_span(&f->key), f->seq, &v);
    if (r < 0)
        return r;
    r = object_fill(s->e, s->b, &v, f->latest, object);
    version_done(&v);
    return r;
}

/* A batch of rows into s->rows. M */
static int list_batch(struct lister *s)
{
    s->count = 0;
    s->rolled = false;
    s->any_last = false;
    s->b = bucket_by_number(s->e, s->l->bucket);
    if (!s->b)
        return object_no_bucket(s->c);
    bool inclusive = s->inclusive || s->below_seq;
    return s->e->meta_ops->version_scan_heads(s->e->m, s->b->number, walk_span(&s->from), inclusive, INT64_MAX, list_row, s);
}

/* Where the next batch begins: behind the last row found. */
static void step_behind(struct lister *s)
{
    if (!s->count)
        return;
    const struct found_row *f = &s->rows[s->count - 1];
    s->from = f->key;
    s->inclusive = false;
    s->below_seq = s->l->versions ? f->seq : 0;
}

static int hand_out(struct lister *s, engine_listed_fn *fn, void *arg)
{
    int r = 0;
    for (unsigned n = 0; r == 0 && n < s->count; n++) {
        struct engine_object object = {0};
        if (!s->left) {
            s->more = true;
            return 0;
        }
        {
            LOCK_SCOPE(&s->e->meta);
            r = bucket_by_number(s->e, s->l->bucket) ? emit_row(s, &s->rows[n], &object) : object_no_bucket(s->c);
        }
        if (r == 0) {
            struct engine_listed item = {.key = walk_span(&s->rows[n].key), .object = &object};
            s->left--;
            r = fn(arg, &item);
        } else if (r == -ENOENT && !s->c->reason.code[0]) {
            r = 0; /* it went meanwhile */
        }
        engine_object_done(&object);
    }
    return r;
}

/* The rolled-up prefix; false in *ret_on when nothing can come behind it. */
static int hand_out_prefix(struct lister *s, engine_listed_fn *fn, void *arg, bool *ret_on)
{
    struct engine_listed item = {.key = walk_span(&s->prefix)};
    struct span after = s->l->after;
    *ret_on = true;
    bool passed = after.len && begins(after, item.key); /* the marker stands in it or is it */
    if (!passed && !s->left) {
        s->more = true;
        return 0;
    }
    int r = passed ? 0 : fn(arg, &item);
    s->left -= !passed;
    s->from = s->prefix;
    *ret_on = behind(&s->from);
    s->inclusive = true;
    s->below_seq = 0;
    return r;
}

static int walk(struct lister *s, engine_listed_fn *fn, void *arg)
{
    for (bool on = true; on && !s->more;) {
        int r;
        {
            LOCK_SCOPE(&s->e->meta);
            r = list_batch(s);
        }
        if (r == 0)
            r = hand_out(s, fn, arg);
        if (r < 0 || s->more)
            return r;
        step_behind(s);
        if (s->rolled)
            r = hand_out_prefix(s, fn, arg, &on);
        else
            on = s->count && !s->behind_prefix;
        if (r < 0)
            return r;
    }
    return 0;
}

/* Where a listing begins, and may the caller see it? M* */
static int begin(struct lister *s)
{
    const struct engine_listing *l = s->l;
    s->b = bucket_by_number(s->e, l->bucket);
    if (!s->b)
        return object_no_bucket(s->c);
    int r = engine_may(s->e, s->c, l->versions ? "s3:ListBucketVersions" : "s3:ListBucket", s->b, span_of(NULL, 0));
    if (r < 0)
        return r;
    bool marker_first = l->after.len && (l->after.len < l->prefix.len || memcmp(l->after.p, l->prefix.p, l->prefix.len) != 0);
    bool before = marker_first && memcmp(l->after.p, l->prefix.p, l->after.len < l->prefix.len ? l->after.len : l->prefix.len) <= 0;
    bool from_prefix = !l->after.len || before;
    if (from_prefix) {
        walk_key_set(&s->from, l->prefix);
        s->inclusive = true;
        return 0;
    }
    walk_key_set(&s->from, l->after);
    if (!l->versions || !l->after_version)
        return 0;
    uint64_t seq;
    r = version_find_id(s->e, s->b->number, l->after, l->after_version, &seq);
    if (r == -EINVAL)
        return reason_fail_s3(&s->c->reason, EINVAL, "InvalidArgument", "Invalid version id specified");
    if (r == 0)
        s->below_seq = seq;
    s->inclusive = r == -ENOENT; /* gone by now: from that key's newest */
    return r == -ENOENT ? 0 : r;
}

int engine_list(struct engine *e, struct caller *c, const struct engine_listing *l, engine_listed_fn *fn, void *arg, bool *ret_truncated)
{
    CLEANUP_FREE struct lister *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->e = e;
    s->c = c;
    s->l = l;
    s->left = l->max;
    int r;
    {
        LOCK_SCOPE(&e->meta);
        r = begin(s);
    }
    if (r == 0 && l->max)
        r = walk(s, fn, arg);
    if (r == 0)
        *ret_truncated = s->more;
    return r;
}
