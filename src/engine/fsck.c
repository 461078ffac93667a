/* SPDX-License-Identifier: GPL-3.0-or-later
 * Checking the structure of a store: names, inodes, versions, extents, keys, segments. Contents are scrub's
 * matter.
 *
 * `repair` mends what follows from versions: names without a version go, current versions without a name get
 * one, link counts are set right. A version is never dropped here, damaged or not, nor is any frame
 * (retention.md §2.8). */
#include "engine/upkeep.h"
#include "engine/trail.h"

#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>

enum { FSCK_BATCH = 256, FSCK_FINDINGS_MAX = 1000 };

struct fsck {
    struct engine *e;
    struct caller *c;
    struct engine_progress progress;
    bool repair;
    json_t *findings;
    uint64_t errors, repaired, names, versions, segments;
    struct gc_segment *segs; /* number and size, by number */
    size_t seg_count, seg_cap;
    struct kek_seen {
        uint8_t id[16];
        uint32_t version;
    } * keks;
    size_t kek_count, kek_cap;
};

/* One thing found wrong. M or not. */
static void found(struct fsck *f, bool mended, const struct bucket *b, struct span key, const char *version,
                  const char *fmt, ...) __attribute__((format(printf, 6, 7)));
static void found(struct fsck *f, bool mended, const struct bucket *b, struct span key, const char *version,
                  const char *fmt, ...)
{
    char what[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (mended)
        f->repaired++;
    else
        f->errors++;
    if (json_array_size(f->findings) >= FSCK_FINDINGS_MAX)
        return;
    json_t *one = json_pack("{s:s, s:b}", "what", what, "repaired", mended);
    if (b) {
        json_object_set_new(one, "bucket", json_string(b->name));
        json_object_set_new(one, "key", json_stringn((const char *)key.p, key.len));
    }
    if (version)
        json_object_set_new(one, "version", json_string(version));
    json_array_append_new(f->findings, one);
}

/* ---- what is there to refer to ---- */

static int seg_add(void *arg, uint32_t segment, uint64_t size_bytes, bool open_for_append)
{
    (void)open_for_append;
    struct fsck *f = arg;
    if (f->seg_count == f->seg_cap) {
        size_t cap = f->seg_cap ? f->seg_cap * 2 : 64;
        struct gc_segment *grown = realloc(f->segs, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        f->segs = grown;
        f->seg_cap = cap;
    }
    f->segs[f->seg_count++] = (struct gc_segment){.segment = segment, .size_bytes = size_bytes};
    return 0;
}

static int seg_order(const void *a, const void *b)
{
    const struct gc_segment *x = a, *y = b;
    return (x->segment > y->segment) - (x->segment < y->segment);
}

static int kek_add(void *arg, const struct kek_row *row)
{
    struct fsck *f = arg;
    if (f->kek_count == f->kek_cap) {
        size_t cap = f->kek_cap ? f->kek_cap * 2 : 16;
        struct kek_seen *grown = realloc(f->keks, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        f->keks = grown;
        f->kek_cap = cap;
    }
    memcpy(f->keks[f->kek_count].id, row->id, 16);
    f->keks[f->kek_count++].version = row->version;
    return 0;
}

/* Segments as large as they are now or larger: a row read later may refer to what was appended since. */
static int reload_segments(struct fsck *f)
{
    f->seg_count = 0;
    int r = f->e->block_ops->list(f->e->b, seg_add, f);
    if (f->seg_count)
        qsort(f->segs, f->seg_count, sizeof *f->segs, seg_order);
    f->segments = f->seg_count;
    return r;
}

static int load_surroundings(struct fsck *f)
{
    int r = reload_segments(f);
    if (r < 0)
        return r;
    LOCK_SCOPE(&f->e->meta);
    return f->e->meta_ops->kek_scan(f->e->m, kek_add, f);
}

/* ---- metadata's own check ---- */

static void check_line(void *arg, const char *text)
{
    found(arg, false, NULL, span_of(NULL, 0), NULL, "metadata: %s", text);
}

static int check_metadata(struct fsck *f)
{
    LOCK_SCOPE(&f->e->meta);
    int r = f->e->meta_ops->check(f->e->m, check_line, f);
    if (r < 0 && !f->errors)
        found(f, false, NULL, span_of(NULL, 0), NULL, "metadata: the check ended with: %s", strerror(-r));
    return r == -ENOMEM ? r : 0;
}

/* ---- versions ---- */

static bool kek_known(const struct fsck *f, const struct extmap_dek *d)
{
    for (size_t i = 0; i < f->kek_count; i++) {
        if (f->keks[i].version == d->kek_version && !memcmp(f->keks[i].id, d->kek_id, 16))
            return true;
    }
    return false;
}

static uint64_t seg_size(const struct fsck *f, uint32_t segment)
{
    struct gc_segment want = {.segment = segment};
    const struct gc_segment *s =
        f->seg_count ? bsearch(&want, f->segs, f->seg_count, sizeof want, seg_order) : NULL;
    return s ? s->size_bytes : 0;
}

/* The first thing wrong with a map, in words; NULL when it is sound. */
static const char *map_fault(const struct fsck *f, const struct record *r, char what[200])
{
    const struct extmap *map = r->map;
    if (!map)
        return NULL;
    if (map->size_bytes != r->size_bytes)
        return "the size in its row is not that of its extents";
    for (size_t i = 0; i < map->dek_count; i++) {
        const struct extmap_dek *d = &map->deks[i];
        if (r->env ? memcmp(d->kek_id, r->env->kek_id, 16) != 0 : !kek_known(f, d))
            return r->env ? "a data key is not wrapped under the version's own key" : "the key that wraps its data key is missing";
    }
    struct extmap_cursor at = {0};
    for (const struct extent *x; (x = extmap_next(map, &at));) {
        uint64_t end = x->place_bytes + extent_stored_bytes(x);
        uint64_t size = x->segment ? seg_size(f, x->segment) : map->inline_data.len;
        if (end <= size)
            continue;
        if (x->segment)
            snprintf(what, 200, "segment %u is %s: it should hold %llu bytes and holds %llu", x->segment,
                     size ? "cut short" : "missing", (unsigned long long)end, (unsigned long long)size);
        else
            snprintf(what, 200, "its content in the row is cut short");
        return what;
    }
    return NULL;
}

struct version_page {
    struct fsck *f;
    struct version v[FSCK_BATCH];
    bool newest[FSCK_BATCH];
    unsigned count;
    struct walk_key last;
    bool any;
};

static int version_page_row(void *arg, const struct version_row *row)
{
    struct version_page *p = arg;
    struct version *v = &p->v[p->count];
    int r = version_decode(row, v);
    if (r == -EIO) {
        struct bucket *b = bucket_by_number(p->f->e, row->bucket);
        found(p->f, false, b, row->key, NULL, "version with sequence %llu: its row does not decode",
              (unsigned long long)row->seq);
        return 0;
    }
    if (r < 0)
        return r;
    p->newest[p->count] = false;
    if (!(row->flags & VERSION_REPLACED)) {
        p->newest[p->count] =
            !p->any || p->last.len != row->key.len || memcmp(p->last.p, row->key.p, row->key.len);
        walk_key_set(&p->last, row->key);
        p->any = true;
    }
    p->count++;
    return 0;
}

static int check_version(struct fsck *f, struct bucket *b, const struct version *v)
{
    char what[200], id[33];
    f->versions++;
    const char *fault = map_fault(f, &v->record, what);
    if (fault && v->record.map) { /* perhaps appended since the segments were listed */
        int r = reload_segments(f);
        if (r < 0)
            return r;
        fault = map_fault(f, &v->record, what);
    }
    if (!fault)
        return 0;
    version_id_text(v, id);
    found(f, false, b, span_of(v->key, v->key_len), id, "%s%s", fault,
          lock_in_force(f->e, v) ? " (the version is locked and stays)" : "");
    return 0;
}

/* A current object must have a name. M */
static int check_name_of(struct fsck *f, struct bucket *b, struct version *v)
{
    struct span key = span_of(v->key, v->key_len);
    struct tree_row tree;
    int r = f->e->meta_ops->tree_get(f->e->m, b->number, key, &tree);
    if (r != -ENOENT)
        return r; /* there; a directory of the same name hides the object, and that is right */
    if (!naming_key_shows(key))
        return 0; /* made over S3; the mount has no way to show it */
    bool mended = false;
    if (f->repair) {
        r = txn_begin(f->e);
        if (r == 0)
            r = txn_end(f->e, version_show_next(f->e, b, key));
        if (r < 0)
            return r;
        mended = true;
    }
    found(f, mended, b, key, NULL, "a current version has no name in the tree");
    return 0;
}

static int check_page(struct fsck *f, struct version_page *p)
{
    int r = 0;
    for (unsigned i = 0; i < p->count; i++) {
        struct version *v = &p->v[i];
        struct bucket *b = bucket_by_number(f->e, v->bucket);
        if (r == 0 && b)
            r = check_version(f, b, v);
        if (r == 0 && b && p->newest[i] && !(v->flags & VERSION_MARKER))
            r = check_name_of(f, b, v);
        version_done(v);
    }
    p->count = 0;
    return r;
}

static int check_versions(struct fsck *f, uint32_t bucket)
{
    CLEANUP_FREE struct version_page *p = calloc(1, sizeof *p);
    CLEANUP_FREE struct walk_rows *w = malloc(sizeof *w);
    if (!p || !w)
        return -ENOMEM;
    p->f = f;
    walk_rows_start(w, bucket, span_of(NULL, 0));
    for (;;) {
        pthread_mutex_lock(&f->e->meta);
        int more = walk_rows_next(f->e, w, FSCK_BATCH, version_page_row, p);
        int r = check_page(f, p); /* what was read before a page that does not open, too */
        r = more < 0 ? more : r;
        pthread_mutex_unlock(&f->e->meta);
        if (r == 0)
            r = upkeep_tell(f->progress, "versions", f->versions, 0);
        if (r < 0 || more <= 0)
            return r;
        sched_yield();
    }
}

/* ---- names ---- */

struct name_page {
    struct walk_key keys[FSCK_BATCH];
    uint64_t ino[FSCK_BATCH];
    uint8_t kind[FSCK_BATCH];
    unsigned count;
};

static int name_page_row(void *arg, const struct tree_row *row)
{
    struct name_page *p = arg;
    walk_key_set(&p->keys[p->count], row->key);
    p->ino[p->count] = row->ino;
    p->kind[p->count] = row->kind;
    return ++p->count == FSCK_BATCH;
}

static int count_link(void *arg, uint32_t bucket, struct span key)
{
    (void)bucket;
    (void)key;
    ++*(uint32_t *)arg;
    return 0;
}

/* Takes a name away that nothing stands behind. M, txn */
static int drop_name(struct fsck *f, struct bucket *b, struct span key, uint64_t ino)
{
    int r = f->e->meta_ops->tree_del(f->e->m, b->number, key);
    struct inode_row row;
    if (r == 0 && f->e->meta_ops->inode_get(f->e->m, ino, &row) == 0 && row.key.len == key.len &&
        !memcmp(row.key.p, key.p, key.len))
        r = f->e->meta_ops->inode_del(f->e->m, ino);
    return r;
}

/* M. */
static int mend_name(struct fsck *f, struct bucket *b, struct span key, uint64_t ino, const char *what)
{
    if (!f->repair) {
        found(f, false, b, key, NULL, "%s", what);
        return 0;
    }
    int r = txn_begin(f->e);
    if (r == 0)
        r = txn_end(f->e, drop_name(f, b, key, ino));
    if (r == 0)
        found(f, true, b, key, NULL, "%s", what);
    return r;
}

/* An object's inode says how many names it has. M */
static int check_links(struct fsck *f, struct bucket *b, struct span key, uint64_t ino,
                       const struct inode_body *body)
{
    uint32_t names = 1;
    int r = f->e->meta_ops->link_scan(f->e->m, ino, count_link, &names);
    if (r < 0 || names == body->nlink)
        return r;
    if (f->repair) {
        struct inode_row row;
        r = f->e->meta_ops->inode_get(f->e->m, ino, &row);
        struct walk_key first;
        if (r == 0)
            walk_key_set(&first, row.key);
        if (r == 0)
            r = txn_begin(f->e);
        if (r == 0)
            r = txn_end(f->e, file_row_put(f->e, b->number, walk_span(&first), ino, body->generation, names));
        struct inode *i = r == 0 ? inode_cached(f->e, ino) : NULL;
        if (i)
            i->nlink = names;
        if (r < 0)
            return r;
    }
    found(f, f->repair, b, key, NULL, "its link count is %u and it has %u names", body->nlink, names);
    return 0;
}

static bool has_draft(struct fsck *f, uint64_t ino)
{
    struct inode *i = inode_cached(f->e, ino);
    return i && draft_open(i);
}

/* M */
static int check_object(struct fsck *f, struct bucket *b, struct span key, uint64_t ino,
                        const struct inode_body *body)
{
    struct walk_head head;
    int r = walk_version_at(f->e, b->number, key, INT64_MAX, &head, NULL);
    if (r < 0 && r != -ENOENT)
        return r;
    if (r == -ENOENT || !walk_shows(&head)) {
        if (has_draft(f, ino))
            return 0;
        return mend_name(f, b, key, ino, "a name has no version behind it");
    }
    if (head.ino != ino) {
        found(f, false, b, key, NULL, "the name is inode %llu, its current version says %llu",
              (unsigned long long)ino, (unsigned long long)head.ino);
        return 0;
    }
    return check_links(f, b, key, ino, body);
}

/* M */
static int check_name(struct fsck *f, struct bucket *b, struct span key, uint64_t ino, uint8_t kind)
{
    f->names++;
    struct tree_row now;
    int r = f->e->meta_ops->tree_get(f->e->m, b->number, key, &now);
    if (r < 0 || now.ino != ino)
        return r == -ENOENT ? 0 : r; /* changed since it was listed */
    struct inode_row row;
    r = f->e->meta_ops->inode_get(f->e->m, ino, &row);
    if (r == -ENOENT)
        return mend_name(f, b, key, ino, "a name has no inode behind it");
    if (r < 0)
        return r;
    struct inode_body body = {.generation = 0};
    if (inode_body_decode(row.body.p, row.body.len, &body) < 0) {
        found(f, false, b, key, NULL, "its inode row does not decode");
        return 0;
    }
    if (body.dir != (kind == TREE_DIR))
        found(f, false, b, key, NULL, "the name says %s, its inode says %s",
              kind == TREE_DIR ? "directory" : "object", body.dir ? "directory" : "object");
    else if (!body.dir)
        r = check_object(f, b, key, ino, &body);
    record_done(&body.record);
    return r;
}

/* Every name but the root's lies in a directory that is there. M */
static int check_parent(struct fsck *f, struct bucket *b, struct span key)
{
    size_t slash = key.len;
    while (slash && key.p[slash - 1] != '/')
        slash--;
    struct tree_row row;
    int r = f->e->meta_ops->tree_get(f->e->m, b->number, span_of(key.p, slash ? slash - 1 : 0), &row);
    if (r < 0 && r != -ENOENT)
        return r;
    if (r == 0 && row.kind == TREE_DIR)
        return 0;
    bool mended = false;
    if (r == -ENOENT && f->repair) {
        r = txn_begin(f->e);
        if (r == 0)
            r = txn_end(f->e, version_make_parents(f->e, b, key));
        if (r < 0)
            return r;
        mended = true;
    }
    found(f, mended, b, key, NULL, "the directory it lies in is not there");
    return 0;
}

/* A bucket's root: its name and its inode, which nothing but these two rows tells of. M, txn */
static int root_make(struct fsck *f, const struct bucket *b, bool name)
{
    struct inode_row row;
    struct instant now = instant_now();
    const struct tree_row root = {.bucket = b->number, .key = span_of("", 0), .ino = b->root_ino, .kind = TREE_DIR};
    struct record record = {.mode = S_IFDIR | 0755, .uid = f->e->conf.owner_uid, .generation = 1};
    record.mtime = record.ctime = record.btime = now;
    int r = name ? f->e->meta_ops->tree_put(f->e->m, &root) : 0;
    if (r == 0 && f->e->meta_ops->inode_get(f->e->m, b->root_ino, &row) == -ENOENT)
        r = dir_row_put(f->e, b->number, span_of("", 0), b->root_ino, &record);
    return r;
}

static int check_root(struct fsck *f, uint32_t number)
{
    LOCK_SCOPE(&f->e->meta);
    const struct bucket *b = bucket_by_number(f->e, number);
    struct tree_row tree;
    struct inode_row inode;
    int r = b ? f->e->meta_ops->tree_get(f->e->m, number, span_of("", 0), &tree) : 0;
    bool no_name = r == -ENOENT;
    if (b && r == 0)
        r = f->e->meta_ops->inode_get(f->e->m, b->root_ino, &inode);
    if (r != -ENOENT)
        return r;
    if (f->repair) {
        r = txn_begin(f->e);
        if (r == 0)
            r = txn_end(f->e, root_make(f, b, no_name));
        if (r < 0)
            return r;
    }
    found(f, f->repair, b, span_of("", 0), NULL, "the bucket's directory is not there");
    return 0;
}

static int check_names(struct fsck *f, uint32_t number)
{
    CLEANUP_FREE struct name_page *p = malloc(sizeof *p);
    CLEANUP_FREE struct walk_key *from = malloc(sizeof *from);
    if (!p || !from)
        return -ENOMEM;
    from->len = 0;
    bool inclusive = true;
    do {
        p->count = 0;
        LOCK_SCOPE(&f->e->meta);
        struct bucket *b = bucket_by_number(f->e, number);
        if (!b)
            return 0;
        int r = f->e->meta_ops->tree_scan(f->e->m, number, walk_span(from), inclusive, name_page_row, p);
        for (unsigned i = 0; r == 0 && i < p->count; i++) {
            struct span key = walk_span(&p->keys[i]);
            r = check_name(f, b, key, p->ino[i], p->kind[i]);
            if (r == 0 && key.len)
                r = check_parent(f, b, key);
        }
        if (r == 0)
            r = upkeep_tell(f->progress, "names", f->names, 0);
        if (r < 0)
            return r;
        if (p->count)
            *from = p->keys[p->count - 1];
        inclusive = false;
    } while (p->count == FSCK_BATCH);
    return 0;
}

/* ---- the whole ---- */

static int fsck_run(struct fsck *f)
{
    int r = load_surroundings(f);
    if (r == 0)
        r = check_metadata(f);
    CLEANUP_FREE uint32_t *buckets = NULL;
    size_t count = 0;
    if (r == 0)
        r = walk_buckets(f->e, &buckets, &count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = check_root(f, buckets[i]);
        if (r == 0)
            r = check_versions(f, buckets[i]);
        if (r == 0)
            r = check_names(f, buckets[i]);
    }
    if (r == -EIO) { /* a page that does not open: what could be checked was */
        found(f, false, NULL, span_of(NULL, 0), NULL,
              "a page of the metadata cannot be read; the check ends here");
        r = 0;
    }
    return r;
}

/* {"errors":n,"repaired":n,"buckets":n,"names":n,"versions":n,"segments":n,"findings":[{"what","repaired","bucket","key","version"}]}
 */
int engine_fsck(struct engine *e, struct caller *c, bool repair, struct engine_progress progress,
                json_t **ret)
{
    int r = engine_may(e, c, "holdfs:Check", NULL, span_of(NULL, 0));
    if (r == 0 && repair && e->read_only)
        r = reason_fail(&c->reason, EROFS, "the store is open for reading only");
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->upkeep->lock); /* no segment comes or goes by collection meanwhile */
    struct fsck f = {.e = e, .c = c, .progress = progress, .repair = repair, .findings = json_array()};
    r = fsck_run(&f);
    if (r == 0 && f.repaired)
        r = durable_advance(e);
    free(f.segs);
    free(f.keks);
    if (r < 0) {
        json_decref(f.findings);
        return r;
    }
    *ret = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "errors", (json_int_t)f.errors, "repaired",
                     (json_int_t)f.repaired, "buckets", (json_int_t)e->bucket_count, "names",
                     (json_int_t)f.names, "versions", (json_int_t)f.versions, "segments",
                     (json_int_t)f.segments, "findings", f.findings);
    return trail_report(e, c, *ret ? 0 : -ENOMEM, repair ? "FsckRepair" : "Fsck", NULL, *ret);
}
