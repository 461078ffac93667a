/* SPDX-License-Identifier: GPL-3.0-or-later
 * The tree as it stood: what `.at/TIME` shows, and the instants worth offering (retention.md §6).
 *
 * A key shows the version of highest sequence published by then, unless that is a marker. A directory shows
 * with a visible child, or if mkdir'ed by then and still there. Nothing here changes anything. */
#include "engine/walk.h"
#include "util/limits.h"

#include <assert.h>
#include <sys/stat.h>

enum { AT_BATCH = 64 };

static int64_t instant_ns(struct instant at)
{
    int64_t ns;
    if (__builtin_mul_overflow(at.sec, (int64_t)1000000000, &ns) ||
        __builtin_add_overflow(ns, (int64_t)at.nsec, &ns))
        return at.sec < 0 ? INT64_MIN : INT64_MAX - 1;
    return ns == INT64_MAX ? ns - 1 : ns;
}

/* The place's bucket, when the caller may list the versions below it. M */
static int at_bucket(struct engine *e, struct caller *c, const struct engine_place *dir, struct bucket **ret)
{
    *ret = bucket_by_number(e, dir->bucket);
    if (!*ret)
        return reason_fail(&c->reason, ENOENT, "there is no such bucket any more");
    return may_list(e, c, "s3:ListBucketVersions", *ret, dir->key);
}

/* The same, when the caller may know of one name in it. M */
static int at_bucket_name(struct engine *e, struct caller *c, const struct engine_place *dir, const char *name, size_t len,
                          struct bucket **ret)
{
    uint8_t buf[LIMIT_KEY_BYTES + 257];
    size_t key_len = dir->key.len;
    memcpy(buf, dir->key.p, key_len);
    if (key_len)
        buf[key_len++] = '/';
    memcpy(buf + key_len, name, len);
    *ret = bucket_by_number(e, dir->bucket);
    if (!*ret)
        return reason_fail(&c->reason, ENOENT, "there is no such bucket any more");
    return may_see_versions(e, c, *ret, span_of(buf, key_len + len));
}

/* ---- entries ---- */

/* An entry that outlives the lock. */
struct at_held {
    char name[256];
    size_t len;
    bool is_dir;
    struct engine_version version;
    struct engine_attr dir_attr;
};

static void at_dir_attr(const struct record *r, uint64_t ino, const int64_t *at_ns, struct engine_attr *ret)
{
    *ret = (struct engine_attr){
        .ino = ino,
        .mode = S_IFDIR | (r->mode & 07777),
        .nlink = 2,
        .uid = r->uid,
        .gid = r->gid,
        .mtime = r->mtime,
        .ctime = r->ctime,
        .btime = r->btime,
        .atime = r->atime_set ? r->atime : r->mtime,
        .generation = r->generation,
    };
    if (!at_ns)
        return;
    struct instant at = {.sec = *at_ns / 1000000000, .nsec = (uint32_t)(*at_ns % 1000000000)};
    ret->atime = ret->mtime = ret->ctime = ret->btime = at;
}

/* A directory that shows: with its own attributes where it was made by then or was removed since, else with the bucket root's. M */
static int at_fill_dir(struct engine *e, struct bucket *b, struct span key, int64_t at_ns, struct at_held *h)
{
    struct inode_body body;
    uint64_t ino = 0;
    h->is_dir = true;
    int r = walk_made_dir(e, b->number, key, at_ns, &ino, &body);
    if (r < 0)
        return r;
    if (r > 0) {
        at_dir_attr(&body.record, ino, NULL, &h->dir_attr);
        record_done(&body.record);
        return 0;
    }
    struct inode *root;
    r = inode_get(e, b->root_ino, &root);
    if (r < 0)
        return r;
    at_dir_attr(&root->record, 0, &at_ns, &h->dir_attr);
    inode_put(e, root);
    r = gone_find(e, b->number, key, &h->dir_attr);
    return r == -ENOENT ? 0 : r;
}

/* M */
static int at_fill_version(struct engine *e, uint32_t bucket, struct span key, int64_t at_ns,
                           struct at_held *h)
{
    struct walk_head head;
    struct version v;
    int r = walk_version_at(e, bucket, key, at_ns, &head, &v);
    if (r < 0)
        return r;
    version_describe(e, &v, head.latest, &h->version);
    version_done(&v);
    h->is_dir = false;
    return 0;
}

static int at_hand(const struct at_held *h, engine_at_fn *fn, void *arg)
{
    struct engine_at_entry entry = {.name = h->name,
                                    .name_len = h->len,
                                    .is_dir = h->is_dir,
                                    .version = h->version,
                                    .dir_attr = h->dir_attr};
    return fn(arg, &entry);
}

int engine_at_lookup(struct engine *e, struct caller *c, const struct engine_place *dir, struct instant at,
                     const char *name, size_t len, struct engine_at_entry *ret)
{
    if (!len || len > 255)
        return len ? -ENAMETOOLONG : -ENOENT;
    int64_t at_ns = instant_ns(at);
    struct at_held h = {.len = len};
    LOCK_SCOPE(&e->meta);
    struct bucket *b;
    int r = at_bucket_name(e, c, dir, name, len, &b);
    if (r < 0)
        return r;
    struct walk_name n;
    r = walk_name_find(e, dir, at_ns, name, len, &n);
    bool is_dir = r == 0 && n.is_dir;
    if (r == -ENOENT || (r == 0 && !is_dir))
        is_dir = walk_made_dir(e, dir->bucket, walk_span(&n.key), at_ns, NULL, NULL) > 0;
    if (r < 0 && !(r == -ENOENT && is_dir))
        return r;
    r = is_dir ? at_fill_dir(e, b, walk_span(&n.key), at_ns, &h)
               : at_fill_version(e, dir->bucket, walk_span(&n.key), at_ns, &h);
    if (r == 0)
        *ret = (struct engine_at_entry){
            .name = name, .name_len = len, .is_dir = h.is_dir, .version = h.version, .dir_attr = h.dir_attr};
    return r;
}

/* ---- listing ---- */

struct at_page {
    struct engine *e;
    struct bucket *b;
    const struct engine_place *dir;
    int64_t at_ns;
    struct walk_key prefix;
    struct at_held *held; /* AT_BATCH of them */
    struct walk_pick *picks;
    struct walk_key *keys; /* where each stands in the order */
    unsigned count, max;
    bool dropped; /* entries fell off the end */
};

static int page_order(struct span a, struct span b)
{
    int d = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
    return d ? d : (a.len > b.len) - (a.len < b.len);
}

static void page_name(struct at_page *p, const struct walk_key *key, struct at_held *h)
{
    h->len = key->len - p->prefix.len;
    memcpy(h->name, key->p + p->prefix.len, h->len);
}

/* What a listing tells of a version: which one it is, and the type in its mode. M */
static int page_version(struct at_page *p, const struct walk_key *key, const struct walk_head *head,
                        struct at_held *h)
{
    page_name(p, key, h);
    h->is_dir = false;
    h->version = (struct engine_version){
        .seq = head->seq, .publish_ns = head->publish_ns, .flags = head->flags, .latest = head->latest};
    h->version.attr.ino = head->ino;
    h->version.attr.mode = S_IFREG;
    return head->flags & VERSION_SPECIAL ? at_fill_version(p->e, p->b->number, walk_span(key), p->at_ns, h)
                                         : 0;
}

/* One entry that is no plain key, or of which a run could not say all. 1, 0 at the end. M* */
static int page_one(struct at_page *p, struct walk_names *w)
{
    struct walk_name n;
    int r = walk_names_next(w, &n);
    if (r <= 0)
        return r;
    struct at_held *h = &p->held[p->count];
    page_name(p, &n.key, h);
    r = n.is_dir ? at_fill_dir(p->e, p->b, walk_span(&n.key), p->at_ns, h)
                 : page_version(p, &n.key, &n.head, h);
    if (r == -ENOENT)
        return 1; /* removed while the lock was let go */
    if (r == 0 && !n.is_key)
        r = walk_key_add(&n.key, "/", 1);
    if (r < 0)
        return r;
    walk_key_set(&p->keys[p->count++], walk_span(&n.key));
    return 1;
}

/* Plain keys by the scan. M* */
static int page_run(struct at_page *p, struct walk_names *w)
{
    int n = walk_names_run(w, p->picks, p->max - p->count);
    for (int i = 0; i < n; i++) {
        struct walk_pick *pick = &p->picks[i];
        struct at_held *h = &p->held[p->count];
        struct walk_key subtree;
        int r = 0;
        if (pick->maybe_dir) {
            r = walk_prefix(&subtree, walk_span(&pick->key));
            if (r == 0)
                r = walk_subtree_shows(p->e, p->b->number, &subtree, p->at_ns, &w->count);
        }
        page_name(p, &pick->key, h);
        if (r >= 0)
            r = r ? at_fill_dir(p->e, p->b, walk_span(&pick->key), p->at_ns, h)
                  : page_version(p, &pick->key, &pick->head, h);
        if (r == -ENOENT)
            continue;
        if (r < 0)
            return r;
        walk_key_set(&p->keys[p->count++], walk_span(&pick->key));
    }
    return n < 0 ? n : 0;
}

/* Entries that have versions, in order. 1 when the page is full. M* */
static int page_versions(struct at_page *p, struct walk_names *w)
{
    int r = 1;
    while (r > 0 && p->count < p->max) {
        r = page_run(p, w);
        if (r == 0 && p->count < p->max)
            r = page_one(p, w);
        else if (r == 0)
            r = 1;
    }
    return r < 0 ? r : p->count == p->max;
}

/* Puts a made directory in its place (the last entry may fall off); one that already stands there becomes it.
 * M */
static int page_insert_dir(struct at_page *p, const struct walk_key *key)
{
    unsigned i = 0;
    while (i < p->count && page_order(walk_span(&p->keys[i]), walk_span(key)) < 0)
        i++;
    if (i == p->count || page_order(walk_span(&p->keys[i]), walk_span(key)) != 0) {
        assert(i < p->max);
        p->dropped = p->dropped || p->count == p->max;
        p->count -= p->count == p->max;
        memmove(&p->held[i + 1], &p->held[i], (p->count - i) * sizeof *p->held);
        memmove(&p->keys[i + 1], &p->keys[i], (p->count - i) * sizeof *p->keys);
        p->count++;
        walk_key_set(&p->keys[i], walk_span(key));
    }
    struct at_held *h = &p->held[i];
    page_name(p, key, h);
    return at_fill_dir(p->e, p->b, walk_span(key), p->at_ns, h);
}

struct dir_search {
    const struct walk_key *prefix;
    struct walk_key *found;
    enum { SEARCH_END, SEARCH_SELF, SEARCH_DIR, SEARCH_DEEP } result;
};

static int dir_search_row(void *arg, const struct tree_row *row)
{
    struct dir_search *s = arg;
    if (row->key.len < s->prefix->len || memcmp(row->key.p, s->prefix->p, s->prefix->len))
        return 1;
    const uint8_t *rest = row->key.p + s->prefix->len;
    size_t rest_len = row->key.len - s->prefix->len;
    s->result = !rest_len ? SEARCH_SELF : memchr(rest, '/', rest_len) ? SEARCH_DEEP : SEARCH_DIR;
    walk_key_set(s->found, row->key);
    return 1;
}

/* Directories of today's tree that were made by then, up to the page's last entry when it is full. 1 when
 * more follow it. M* */
static int page_dirs(struct at_page *p, struct walk_key *from, bool inclusive)
{
    unsigned count = 0;
    for (;;) {
        struct walk_key at;
        struct dir_search s = {.prefix = &p->prefix, .found = &at};
        int r =
            p->e->meta_ops->tree_scan_dirs(p->e->m, p->b->number, walk_span(from), inclusive, dir_search_row, &s);
        if (r < 0 || s.result == SEARCH_END)
            return r < 0 ? r : p->dropped;
        *from = at;
        inclusive = false;
        if (p->count == p->max && page_order(walk_span(from), walk_span(&p->keys[p->count - 1])) > 0)
            return 1;
        if (s.result == SEARCH_DIR) {
            int made = walk_made_dir(p->e, p->b->number, walk_span(from), p->at_ns, NULL, NULL);
            r = made > 0 ? page_insert_dir(p, from) : made;
        } else if (s.result == SEARCH_DEEP) {
            const uint8_t *slash = memchr(from->p + p->prefix.len, '/', from->len - p->prefix.len);
            from->len = (size_t)(slash - from->p);
            inclusive = true;
            r = walk_behind_subtree(from);
        }
        if (r < 0)
            return r;
        walk_breathe(p->e, &count);
    }
}

static int at_page(struct at_page *p, struct caller *c, const char *after, size_t after_len)
{
    LOCK_SCOPE(&p->e->meta);
    struct walk_names w;
    int r = at_bucket(p->e, c, p->dir, &p->b);
    if (r == 0)
        r = walk_prefix(&p->prefix, p->dir->key);
    if (r == 0)
        r = walk_names_start(&w, p->e, p->dir, p->at_ns, after, after_len);
    if (r < 0)
        return r;
    struct walk_key from = w.from;
    bool inclusive = w.inclusive;
    int more = page_versions(p, &w);
    if (more < 0)
        return more;
    r = page_dirs(p, &from, inclusive);
    return r < 0 ? r : more > 0 || r > 0;
}

int engine_at_readdir(struct engine *e, struct caller *c, const struct engine_place *dir, struct instant at,
                      const char *after, size_t after_len, unsigned max, engine_at_fn *fn, void *arg)
{
    CLEANUP_FREE struct at_held *held = calloc(AT_BATCH, sizeof *held);
    CLEANUP_FREE struct walk_key *keys = malloc(AT_BATCH * sizeof *keys);
    CLEANUP_FREE struct walk_pick *picks = malloc(AT_BATCH * sizeof *picks);
    if (!held || !keys || !picks)
        return -ENOMEM;
    char last[256];
    while (max) {
        struct at_page p = {.e = e,
                            .dir = dir,
                            .at_ns = instant_ns(at),
                            .held = held,
                            .keys = keys,
                            .picks = picks,
                            .max = max < AT_BATCH ? max : AT_BATCH};
        int more = at_page(&p, c, after, after_len);
        if (more < 0)
            return more;
        for (unsigned i = 0; i < p.count; i++) {
            if (at_hand(&held[i], fn, arg))
                return 1;
        }
        if (!more)
            return 0;
        memcpy(last, held[p.count - 1].name, held[p.count - 1].len);
        after = last;
        after_len = held[p.count - 1].len;
        max -= p.count;
    }
    return 1;
}

/* ---- buckets ---- */

int engine_at_buckets(struct engine *e, struct caller *c, struct instant at,
                      int (*fn)(void *arg, uint32_t bucket, const char *name, size_t len), void *arg)
{
    int64_t at_ns = instant_ns(at);
    LOCK_SCOPE(&e->meta);
    for (size_t i = 0; i < e->bucket_count; i++) {
        const struct bucket *b = e->buckets[i];
        if (b->created_ns > at_ns || !engine_could(e, c, "s3:ListBucketVersions", b, span_of(NULL, 0), NULL))
            continue;
        if (fn(arg, b->number, b->name, strlen(b->name)))
            return 1;
    }
    return 0;
}

/* ---- instants ---- */

enum {
    INSTANTS = 32,
    INSTANT_ROWS = 20000, /* rows looked at one after the other; then names are sampled */
    INSTANT_SAMPLES = 2000,
};

struct instant_set {
    int64_t *ns;
    size_t count, cap;
    unsigned rows;
    int64_t newest_ns; /* no later than now */
};

static int set_add(struct instant_set *s, int64_t ns)
{
    if (s->count && s->ns[s->count - 1] / 1000000000 == ns / 1000000000) {
        if (ns > s->ns[s->count - 1])
            s->ns[s->count - 1] = ns;
        return 0;
    }
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 256;
        int64_t *grown = realloc(s->ns, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        s->ns = grown;
        s->cap = cap;
    }
    s->ns[s->count++] = ns;
    return 0;
}

static int set_row(void *arg, const struct version_row *row)
{
    struct instant_set *s = arg;
    s->rows++;
    if ((row->flags & VERSION_REPLACED) || row->publish_ns > s->newest_ns || row->publish_ns < 0)
        return 0;
    return set_add(s, row->publish_ns);
}

/* What lies behind the rows that were looked at: the newest version of one key below each further name. M* */
static int set_sample(struct engine *e, const struct engine_place *dir, const struct walk_key *prefix,
                      struct walk_key *at, struct instant_set *s)
{
    unsigned count = 0;
    for (unsigned i = 0; i < INSTANT_SAMPLES; i++) {
        struct walk_head head;
        int r = walk_next_key(e, dir->bucket, walk_span(prefix), walk_span(at), false, at);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        r = walk_version_at(e, dir->bucket, walk_span(at), s->newest_ns, &head, NULL);
        if (r == 0)
            r = set_add(s, head.publish_ns);
        if (r < 0 && r != -ENOENT)
            return r;
        const uint8_t *slash = memchr(at->p + prefix->len, '/', at->len - prefix->len);
        if (slash) {
            at->len = (size_t)(slash - at->p);
            r = walk_behind_subtree(at);
            if (r < 0)
                return r;
        }
        walk_breathe(e, &count);
    }
    return 0;
}

static int set_fill(struct engine *e, struct caller *c, const struct engine_place *dir, struct instant_set *s)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b;
    struct walk_key prefix;
    int r = at_bucket(e, c, dir, &b);
    if (r == 0)
        r = walk_prefix(&prefix, dir->key);
    if (r < 0)
        return r;
    struct walk_rows w;
    walk_rows_start(&w, dir->bucket, walk_span(&prefix));
    do {
        r = walk_rows_next(e, &w, WALK_BATCH_ROWS, set_row, s);
        unsigned due = WALK_BATCH_ROWS;
        walk_breathe(e, &due);
    } while (r == 1 && s->rows < INSTANT_ROWS);
    return r == 1 ? set_sample(e, dir, &prefix, &w.key, s) : r;
}

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Which stretch of time an instant belongs to, by kind: seconds, hours, days, months. */
static int64_t instant_slot(int64_t ns, unsigned kind)
{
    static const int64_t seconds[] = {1, 3600, 86400};
    if (kind < 3)
        return ns / 1000000000 / seconds[kind];
    time_t t = (time_t)(ns / 1000000000);
    struct tm tm;
    gmtime_r(&t, &tm);
    return (int64_t)tm.tm_year * 12 + tm.tm_mon;
}

/* The last change of each of the newest eight seconds, hours, days and months that saw one; `all` is newest
 * first. */
static unsigned instants_choose(const int64_t *all, size_t count, int64_t out[INSTANTS])
{
    unsigned n = 0;
    for (unsigned kind = 0; kind < 4; kind++) {
        int64_t last = INT64_MIN;
        unsigned taken = 0;
        for (size_t i = 0; i < count && taken < INSTANTS / 4; i++) {
            int64_t slot = instant_slot(all[i], kind);
            if (slot == last)
                continue;
            last = slot;
            taken++;
            out[n++] = all[i];
        }
    }
    qsort(out, n, sizeof *out, newest_first);
    unsigned kept = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!kept || out[kept - 1] != out[i])
            out[kept++] = out[i];
    }
    return kept;
}

int engine_at_instants(struct engine *e, struct caller *c, const struct engine_place *dir,
                       struct instant ret[32])
{
    struct instant_set s = {.newest_ns = clock_wall_ns()};
    int r = set_fill(e, c, dir, &s);
    if (r < 0) {
        free(s.ns);
        return r;
    }
    int64_t chosen[INSTANTS];
    if (s.count)
        qsort(s.ns, s.count, sizeof *s.ns, newest_first);
    unsigned n = instants_choose(s.ns, s.count, chosen);
    free(s.ns);
    for (unsigned i = 0; i < n; i++)
        ret[i] = (struct instant){.sec = chosen[i] / 1000000000, .nsec = (uint32_t)(chosen[i] % 1000000000)};
    return (int)n;
}
