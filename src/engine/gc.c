/* SPDX-License-Identifier: GPL-3.0-or-later
 * Marking what is alive, removing segments that hold nothing alive, and the cycle of steps around both
 * (upkeep.h). */
#include "engine/upkeep.h"
#include "engine/trail.h"
#include "engine/draft.h"
#include "engine/object.h"

#include <sched.h>

/* ---- running marks and the barrier ---- */

static pthread_mutex_t marks_lock =
    PTHREAD_MUTEX_INITIALIZER; /* a leaf; guards the list and every running mark */
static struct gc_mark *marks;
static atomic_uint marks_running;

struct gc_segment *gc_find(struct gc_mark *m, uint32_t segment)
{
    size_t lo = 0, hi = m->count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (m->segments[middle].segment < segment)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo < m->count && m->segments[lo].segment == segment ? &m->segments[lo] : NULL;
}

static void mark_range(struct gc_mark *m, struct gc_segment *s, uint64_t from, uint64_t to)
{
    if (!s->granules) {
        s->granules = calloc(1, s->size_bytes / GC_GRANULE_BYTES / 8 + 1);
        if (!s->granules) {
            m->failed = true;
            return;
        }
    }
    if (to > s->size_bytes)
        to = s->size_bytes;                    /* frames beyond the end are missing: fsck's matter */
    s->live_granules += s->live_granules == 0; /* something is alive, even where it lies beyond the end */
    for (uint64_t g = from / GC_GRANULE_BYTES; g * GC_GRANULE_BYTES < to; g++) {
        uint8_t bit = (uint8_t)(1u << (g % 8));
        s->live_granules += !(s->granules[g / 8] & bit);
        s->granules[g / 8] |= bit;
    }
}

static void mark_map_locked(struct gc_mark *m, const struct extmap *map)
{
    const struct extent *x;
    for (struct extmap_cursor at = {0}; map && (x = extmap_next(map, &at));) {
        struct gc_segment *s = x->segment ? gc_find(m, x->segment) : NULL;
        if (s)
            mark_range(m, s, x->place_bytes, x->place_bytes + extent_stored_bytes(x));
    }
}

void gc_mark_map(struct gc_mark *m, const struct extmap *map)
{
    LOCK_SCOPE(&marks_lock);
    mark_map_locked(m, map);
}

void gc_barrier(const struct extmap *map)
{
    if (!map || !atomic_load(&marks_running))
        return;
    LOCK_SCOPE(&marks_lock);
    for (struct gc_mark *m = marks; m; m = m->next)
        mark_map_locked(m, map);
}

/* ---- contents in use ---- */

static struct content *contents; /* marks_lock */

void gc_content_add(struct content *c)
{
    LOCK_SCOPE(&marks_lock);
    c->gc_prev = NULL;
    c->gc_next = contents;
    if (contents)
        contents->gc_prev = c;
    contents = c;
    for (struct gc_mark *m = marks; m; m = m->next)
        mark_map_locked(m, c->map);
}

void gc_content_remove(struct content *c)
{
    LOCK_SCOPE(&marks_lock);
    if (c->gc_prev)
        c->gc_prev->gc_next = c->gc_next;
    else
        contents = c->gc_next;
    if (c->gc_next)
        c->gc_next->gc_prev = c->gc_prev;
}

/* ---- a mark ---- */

static int mark_candidate(void *arg, uint32_t segment, uint64_t size_bytes, bool open_for_append)
{
    struct gc_mark *m = arg;
    if (open_for_append || segment_kept(m->engine, segment))
        return 0;
    if (m->count == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 64;
        struct gc_segment *grown = realloc(m->segments, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        m->segments = grown;
        m->cap = cap;
    }
    m->segments[m->count++] = (struct gc_segment){.segment = segment, .size_bytes = size_bytes};
    return 0;
}

static int segment_order(const void *a, const void *b)
{
    const struct gc_segment *x = a, *y = b;
    return (x->segment > y->segment) - (x->segment < y->segment);
}

/* What is in memory when the mark begins. M */
static void mark_memory(struct engine *e, struct gc_mark *m)
{
    for (struct gc_pin *p = e->pin_list; p; p = p->next)
        gc_mark_map(m, p->map);
    for (size_t slot = 0; e->inodes && slot < e->inode_buckets; slot++) {
        for (struct inode *i = e->inodes[slot]; i; i = i->hash_next)
            gc_mark_map(m, i->record.map);
    }
    LOCK_SCOPE(&marks_lock);
    for (struct content *c = contents; c; c = c->gc_next)
        mark_map_locked(m, c->map);
}

int gc_mark_begin(struct engine *e, struct gc_mark *m)
{
    *m = (struct gc_mark){.engine = e};
    int r = e->block_ops->seal(e->b);
    if (r == 0)
        r = e->block_ops->list(e->b, mark_candidate, m);
    if (r < 0) {
        free(m->segments);
        return r;
    }
    if (m->count)
        qsort(m->segments, m->count, sizeof *m->segments, segment_order);
    LOCK_SCOPE(&e->meta);
    pthread_mutex_lock(&marks_lock);
    m->next = marks;
    marks = m;
    atomic_fetch_add(&marks_running, 1);
    pthread_mutex_unlock(&marks_lock);
    mark_memory(e, m);
    return 0;
}

void gc_mark_end(struct gc_mark *m)
{
    LOCK_SCOPE(&marks_lock);
    for (struct gc_mark **at = &marks; *at; at = &(*at)->next) {
        if (*at == m) {
            *at = m->next;
            atomic_fetch_sub(&marks_running, 1);
            return;
        }
    }
}

void gc_mark_done(struct gc_mark *m)
{
    gc_mark_end(m);
    for (size_t i = 0; i < m->count; i++)
        free(m->segments[i].granules);
    free(m->segments);
    *m = (struct gc_mark){.count = 0};
}

/* ---- drafts ---- */

bool file_in_use(const struct inode *i)
{
    return i->refs > 0;
}

static bool file_stale(const struct inode *i)
{
    return atomic_load(&i->content_stale);
}

int files_collect(struct engine *e, bool (*which)(const struct inode *), struct inode ***ret, size_t *ret_count)
{
    LOCK_SCOPE(&e->meta);
    struct inode **list = malloc((e->inode_count + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    size_t n = 0;
    for (size_t slot = 0; e->inodes && slot < e->inode_buckets; slot++) {
        for (struct inode *i = e->inodes[slot]; i; i = i->hash_next) {
            if (!i->dir && which(i))
                list[n++] = inode_hold(e, i);
        }
    }
    *ret = list;
    *ret_count = n;
    return 0;
}

void files_release(struct engine *e, struct inode **list, size_t count)
{
    LOCK_SCOPE(&e->meta);
    for (size_t i = 0; i < count; i++)
        inode_put(e, list[i]);
    free(list);
}

/* Contents that are to be loaded anew anyway need not hold their old frames. */
int gc_drop_stale(struct engine *e)
{
    struct inode **list = NULL;
    size_t count = 0;
    int r = files_collect(e, file_stale, &list, &count);
    for (size_t i = 0; i < count; i++) {
        pthread_rwlock_wrlock(&list[i]->content_lock);
        if (atomic_load(&list[i]->content_stale)) {
            content_unref(list[i]->content);
            list[i]->content = NULL;
        }
        pthread_rwlock_unlock(&list[i]->content_lock);
    }
    files_release(e, list, count);
    return r;
}

static int draft_row_mark(void *arg, const struct draft_row *row)
{
    struct gc_mark *m = arg;
    if (row->part || !row->body.len)
        return 0;
    struct reader r = reader_over(row->body.p, row->body.len);
    size_t key_len, body_len, data_len;
    uint8_t format = reader_u8(&r);
    reader_u32(&r);
    reader_blob(&r, &key_len);
    const uint8_t *body = reader_blob(&r, &body_len);
    const uint8_t *data = reader_blob(&r, &data_len);
    struct record record;
    if (format != 1 || !reader_finished(&r) || record_decode(body, body_len, data, data_len, &record) < 0)
        return -EIO;
    gc_mark_map(m, record.map);
    record_done(&record);
    return 0;
}

int gc_mark_drafts(struct engine *e, struct gc_mark *m)
{
    struct inode **list = NULL;
    size_t count = 0;
    int r = files_collect(e, file_in_use, &list, &count);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        pthread_rwlock_rdlock(&list[i]->content_lock);
        if (list[i]->draft)
            gc_mark_map(m, list[i]->draft->map);
        pthread_rwlock_unlock(&list[i]->content_lock);
    }
    puts_mark(e, m);
    files_release(e, list, count);
    LOCK_SCOPE(&e->meta);
    return e->meta_ops->draft_scan(e->m, draft_row_mark, m);
}

/* ---- removing ---- */

int gc_sweep(struct engine *e, struct gc_mark *m, uint64_t *ret_removed, uint64_t *ret_freed_bytes)
{
    bool any = false;
    for (size_t i = 0; i < m->count; i++)
        any |= !m->segments[i].live_granules && !m->segments[i].keep;
    if (!any)
        return 0;
    if (m->failed)
        return -ENOMEM;
    /* What made them dead must be durable first: a power cut may not bring a row back whose frames are gone.
     */
    int r = durable_advance(e);
    for (size_t i = 0; r == 0 && i < m->count; i++) {
        struct gc_segment *s = &m->segments[i];
        if (s->live_granules || s->keep)
            continue;
        r = e->block_ops->remove(e->b, s->segment);
        if (r == 0) {
            ++*ret_removed;
            *ret_freed_bytes += s->size_bytes;
        } else if (r == -EBUSY || r == -ENOENT) {
            r = 0;
        }
    }
    return r;
}

/* ---- all rows, a batch at a time ---- */

int store_walk_begin(struct engine *e, struct store_walk *s)
{
    *s = (struct store_walk){.at = 0};
    return walk_buckets(e, &s->buckets, &s->count);
}

int store_walk_step(struct engine *e, struct store_walk *s, unsigned max, meta_version_fn *fn, void *arg)
{
    if (s->at == s->count)
        return 0;
    if (!s->inside) {
        walk_rows_start(&s->rows, s->buckets[s->at], span_of(NULL, 0));
        s->inside = true;
    }
    LOCK_SCOPE(&e->meta);
    int r = walk_rows_next(e, &s->rows, max, fn, arg);
    if (r == 0) {
        s->inside = false;
        s->at++;
    }
    return r < 0 ? r : s->at < s->count;
}

void store_walk_done(struct store_walk *s)
{
    free(s->buckets);
    s->buckets = NULL;
    s->at = s->count = 0;
}

/* ---- commands ---- */

int upkeep_may(struct engine *e, struct caller *c, const char *what)
{
    int r = engine_may(e, c, what, NULL, span_of(NULL, 0));
    if (r == 0 && e->read_only)
        r = reason_fail(&c->reason, EROFS, "the store is open for reading only");
    return r;
}

int upkeep_tell(struct engine_progress p, const char *what, uint64_t done, uint64_t total)
{
    return p.fn && p.fn(p.arg, what, done, total) ? -ECANCELED : 0;
}

static int run_cycle(struct engine *e, enum cycle_kind kind, struct engine_progress progress,
                     struct cycle_totals *ret)
{
    struct cycle *k;
    int r = cycle_new(e, kind, &k);
    if (r < 0)
        return r;
    while ((r = cycle_step(k)) > 0) {
        const struct cycle_totals *t = cycle_totals(k);
        bool moving = t->to_move_bytes && t->moved_bytes < t->to_move_bytes;
        r = upkeep_tell(progress, t->phase, moving ? t->moved_bytes : t->rows, moving ? t->to_move_bytes : 0);
        if (r < 0)
            break;
        sched_yield();
    }
    *ret = *cycle_totals(k);
    cycle_free(k);
    return r;
}

/* The worker's cycle gives way to a command's. upkeep.lock held. */
static void background_drop(struct engine *e)
{
    cycle_free(e->upkeep->background);
    e->upkeep->background = NULL;
}

int upkeep_collect(struct engine *e, struct engine_progress progress)
{
    struct cycle_totals t;
    background_drop(e);
    return run_cycle(e, CYCLE_GC, progress, &t);
}

int engine_gc(struct engine *e, struct caller *c, struct engine_progress progress, json_t **ret)
{
    int r = upkeep_may(e, c, "holdfs:CollectGarbage");
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->upkeep->lock);
    background_drop(e);
    struct cycle_totals t;
    r = run_cycle(e, CYCLE_GC, progress, &t);
    if (r < 0)
        return r == -EIO ? reason_fail(&c->reason, EIO,
                                       "a row of the metadata cannot be read, so nothing was removed: holdfs "
                                       "fsck says which")
                         : r;
    *ret = json_pack("{s:I, s:I, s:I}", "segments", (json_int_t)t.segments, "removed", (json_int_t)t.removed,
                     "freed_bytes", (json_int_t)t.freed_bytes);
    return trail_report(e, c, *ret ? 0 : -ENOMEM, "CollectGarbage", NULL, *ret);
}

/* Rewrites what is mostly dead until nothing more is gained. */
int engine_compact(struct engine *e, struct caller *c, struct engine_progress progress, json_t **ret)
{
    int r = upkeep_may(e, c, "holdfs:Compact");
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->upkeep->lock);
    background_drop(e);
    struct cycle_totals sum = {.phase = ""}, t;
    do {
        r = run_cycle(e, CYCLE_COMPACT, progress, &t);
        if (sum.segments == 0)
            sum.segments = t.segments;
        sum.removed += t.removed;
        sum.freed_bytes += t.freed_bytes;
        sum.moved_bytes += t.moved_bytes;
        sum.rewritten += t.rewritten;
        sum.kept += t.kept;
    } while (r == 0 && t.rewritten);
    if (r < 0)
        return r == -EIO ? reason_fail(&c->reason, EIO,
                                       "a row of the metadata cannot be read: holdfs fsck says which")
                         : r;
    *ret = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "segments", (json_int_t)sum.segments, "removed",
                     (json_int_t)sum.removed, "freed_bytes", (json_int_t)sum.freed_bytes, "moved_bytes",
                     (json_int_t)sum.moved_bytes, "versions_rewritten", (json_int_t)sum.rewritten,
                     "kept_damaged", (json_int_t)sum.kept);
    return trail_report(e, c, *ret ? 0 : -ENOMEM, "Compact", NULL, *ret);
}

/* ---- for the worker and status ---- */

enum { BACKGROUND_PAUSE_S = 900, BACKGROUND_FIRST_S = 60 };

int upkeep_open(struct engine *e)
{
    e->upkeep = calloc(1, sizeof *e->upkeep);
    if (!e->upkeep)
        return -ENOMEM;
    pthread_mutex_init(&e->upkeep->lock, NULL);
    pthread_mutex_init(&e->upkeep->state_lock, NULL);
    e->upkeep->next_ns = clock_mono_ns() + (int64_t)BACKGROUND_FIRST_S * 1000000000;
    return 0;
}

void upkeep_close(struct engine *e)
{
    if (!e->upkeep)
        return;
    cycle_free(e->upkeep->background);
    pthread_mutex_destroy(&e->upkeep->lock);
    pthread_mutex_destroy(&e->upkeep->state_lock);
    free(e->upkeep);
    e->upkeep = NULL;
}

static void background_show(struct upkeep *u, const struct cycle_totals *t, bool over)
{
    LOCK_SCOPE(&u->state_lock);
    u->running = over ? NULL : t->phase;
    u->done_bytes = t->moved_bytes;
    u->total_bytes = t->to_move_bytes;
    if (over) {
        u->freed_bytes += t->freed_bytes;
        u->finished_ns = clock_wall_ns();
    }
}

static int background_begin(struct engine *e, struct upkeep *u)
{
    if (clock_mono_ns() < u->next_ns)
        return 0;
    u->next_ns = clock_mono_ns() + (int64_t)BACKGROUND_PAUSE_S * 1000000000;
    uint64_t now;
    {
        LOCK_SCOPE(&e->meta);
        now = e->meta_ops->commit_seq(e->m);
    }
    if (now == u->last_commit_seq)
        return 0; /* nothing changed: nothing became dead */
    u->last_commit_seq = now;
    int r = cycle_new(e, CYCLE_COMPACT, &u->background);
    return r < 0 ? r : 1;
}

/* A run that changed something is a record; one that found nothing is none. */
static void background_tell(struct engine *e, const struct cycle_totals *t)
{
    if (!t->removed && !t->moved_bytes)
        return;
    json_t *result = json_pack("{s:I, s:I, s:I}", "removed", (json_int_t)t->removed, "freed_bytes", (json_int_t)t->freed_bytes, "moved_bytes",
                               (json_int_t)t->moved_bytes);
    if (trail_report(e, NULL, 0, "Compact", NULL, result) < 0)
        log_warning("a compaction could not be written into the audit trail");
    json_decref(result);
}

int compact_step(struct engine *e)
{
    struct upkeep *u = e->upkeep;
    if (e->read_only || pthread_mutex_trylock(&u->lock) != 0)
        return 0;
    int r = u->background ? 1 : background_begin(e, u);
    if (r > 0) {
        r = cycle_step(u->background);
        background_show(u, cycle_totals(u->background), r <= 0);
        if (r == 0)
            background_tell(e, cycle_totals(u->background));
        if (r <= 0)
            background_drop(e);
        if (r == 0 || r == -ENOMEM)
            r = 0;
    }
    pthread_mutex_unlock(&u->lock);
    return r;
}

json_t *compact_status(struct engine *e)
{
    struct upkeep *u = e->upkeep;
    LOCK_SCOPE(&u->state_lock);
    json_t *out = json_pack("{s:b, s:I, s:I, s:I}", "running", u->running != NULL, "done_bytes",
                            (json_int_t)u->done_bytes, "total_bytes", (json_int_t)u->total_bytes,
                            "freed_bytes", (json_int_t)u->freed_bytes);
    if (out && u->running)
        json_object_set_new(out, "phase", json_string(u->running));
    if (out && u->finished_ns) {
        char text[48];
        timeform_format_ns(u->finished_ns / 1000000000, 0, text);
        json_object_set_new(out, "finished", json_string(text));
    }
    return out;
}
