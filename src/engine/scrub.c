/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reading and verifying every frame of every version. Nothing is changed; damage is reported with the version
 * it belongs to.
 *
 * Frames that several versions share are opened once. A version removed while it is looked at is no finding.
 */
#include "engine/kms.h"
#include "engine/upkeep.h"
#include "engine/trail.h"

#include <sched.h>
#include <stdio.h>

enum { SCRUB_BATCH = 16, SCRUB_FINDINGS_MAX = 1000 };

struct scrub {
    struct engine *e;
    struct caller *c;
    struct engine_progress progress;
    struct spans seen;
    uint64_t versions, bytes, total_bytes, damaged;
    uint64_t unopened; /* under a key that is not open: headers and lengths were looked at alone */
    json_t *findings;
    struct version page[SCRUB_BATCH];
    struct gc_pin pins[SCRUB_BATCH];
    unsigned count;
};

static int scrub_row(void *arg, const struct version_row *row)
{
    struct scrub *s = arg;
    struct version *v = &s->page[s->count];
    int r = version_decode(row, v);
    if (r < 0)
        return r == -EIO ? 0 : r; /* fsck names it */
    if (!v->record.map) {
        s->versions++;
        version_done(v);
        return 0;
    }
    return ++s->count == SCRUB_BATCH;
}

/* Is the version still there with the content that was looked at? M */
static bool still_there(struct scrub *s, const struct version *v)
{
    struct version now;
    if (version_load(s->e, v->bucket, span_of(v->key, v->key_len), v->seq, &now) < 0)
        return false;
    struct bytes a = {0}, b = {0};
    if (now.record.map)
        extmap_encode(now.record.map, &a);
    extmap_encode(v->record.map, &b);
    bool same = a.len == b.len && !memcmp(a.data, b.data, a.len);
    bytes_done(&a);
    bytes_done(&b);
    version_done(&now);
    return same;
}

static void scrub_damaged(struct scrub *s, const struct bucket *b, const struct version *v,
                          const struct content_fault *fault)
{
    LOCK_SCOPE(&s->e->meta);
    if (!still_there(s, v))
        return;
    s->damaged++;
    char what[160], id[33];
    version_id_text(v, id);
    snprintf(what, sizeof what, "segment %u offset %llu frame %llu, file offset %llu: %s", fault->segment,
             (unsigned long long)fault->place_bytes, (unsigned long long)fault->number,
             (unsigned long long)fault->file_offset, fault->what ? fault->what : "unreadable");
    struct span key = span_of(v->key, v->key_len);
    integrity_event(s->e, what, b->name, key, id);
    if (json_array_size(s->findings) >= SCRUB_FINDINGS_MAX)
        return;
    json_array_append_new(s->findings, json_pack("{s:s, s:s%, s:s, s:b, s:b, s:s}", "bucket", b->name, "key",
                                                 (const char *)v->key, v->key_len, "version", id, "locked",
                                                 lock_in_force(s->e, v), "replaced",
                                                 (v->flags & VERSION_REPLACED) != 0, "what", what));
}

/* What of a damaged version is readable counts as seen nowhere: each version that shares the bad frame is
 * reported. */
static int scrub_version(struct scrub *s, const struct version *v)
{
    struct bucket *b;
    {
        LOCK_SCOPE(&s->e->meta);
        b = bucket_by_number(s->e, v->bucket);
    }
    struct extmap *unseen;
    int r = b ? map_unseen(v->record.map, &s->seen, &unseen) : 0;
    if (r < 0 || !b)
        return r;
    struct content *content = NULL;
    struct content_fault fault = {.what = "data key"};
    struct data_key *kek = NULL;
    {
        LOCK_SCOPE(&s->e->meta);
        s->unopened += sse_open_internal(s->e, v->record.env, NULL, &kek) < 0;
    }
    r = content_new_lax(s->e, b, unseen, &content);
    if (r == 0)
        r = content_verify(s->e->pipe, content->map, content->keys, &fault);
    content_unref(content);
    data_key_unref(kek);
    if (r == 0)
        r = spans_add_map(&s->seen, unseen);
    s->bytes += extmap_stored_bytes(unseen);
    extmap_unref(unseen);
    s->versions++;
    if (r == -EIO || r == -ENOKEY) {
        scrub_damaged(s, b, v, &fault);
        r = 0;
    }
    return r;
}

static int scrub_page(struct scrub *s)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < s->count; i++) {
        r = scrub_version(s, &s->page[i]);
        if (r == 0)
            r = upkeep_tell(s->progress, "verifying", s->bytes < s->total_bytes ? s->bytes : s->total_bytes,
                            s->total_bytes);
    }
    LOCK_SCOPE(&s->e->meta);
    for (unsigned i = 0; i < s->count; i++) {
        gc_pin_remove(s->e, &s->pins[i]);
        version_done(&s->page[i]);
    }
    s->count = 0;
    return r;
}

static int scrub_bucket(struct scrub *s, uint32_t bucket)
{
    CLEANUP_FREE struct walk_rows *w = malloc(sizeof *w);
    if (!w)
        return -ENOMEM;
    walk_rows_start(w, bucket, span_of(NULL, 0));
    for (;;) {
        int more;
        {
            LOCK_SCOPE(&s->e->meta);
            more = walk_rows_next(s->e, w, WALK_BATCH_ROWS, scrub_row, s);
            for (unsigned i = 0; i < s->count; i++)
                gc_pin_add(s->e, &s->pins[i], s->page[i].record.map);
        }
        int r = scrub_page(s);
        if (r < 0 || more <= 0)
            return r < 0 ? r : more;
        sched_yield();
    }
}

static int add_size(void *arg, uint32_t segment, uint64_t size_bytes, bool open_for_append)
{
    (void)segment;
    (void)open_for_append;
    *(uint64_t *)arg += size_bytes;
    return 0;
}

/* For status: when it was, and what it found. */
static void scrub_remember(struct engine *e, const json_t *result)
{
    char when[48];
    int64_t now = clock_wall_ns();
    timeform_format_ns(now / 1000000000, (uint32_t)(now % 1000000000), when);
    json_t *value =
        json_pack("{s:s, s:O, s:O}", "finished", when, "damaged", json_object_get(result, "damaged"),
                  "versions", json_object_get(result, "versions"));
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    if (text && !e->read_only) {
        LOCK_SCOPE(&e->meta);
        int r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, e->meta_ops->value_put(e->m, "scrub", span_of(text, strlen(text))));
        if (r < 0)
            log_warning("scrub: its result could not be kept: %s", strerror(-r));
    }
    free(text);
    json_decref(value);
}

/* {"versions":n,"verified_bytes":n,"damaged":n,"unopened":n,"clean":bool,"findings":[{"bucket","key","version","locked","what"}]}
 */
int engine_scrub(struct engine *e, struct caller *c, struct engine_progress progress, json_t **ret)
{
    int r = engine_may(e, c, "holdfs:Scrub", NULL, span_of(NULL, 0));
    if (r < 0)
        return r;
    struct scrub *s = calloc(1, sizeof *s);
    CLEANUP_FREE uint32_t *buckets = NULL;
    size_t count = 0;
    if (!s)
        return -ENOMEM;
    *s = (struct scrub){.e = e, .c = c, .progress = progress, .findings = json_array()};
    r = e->block_ops->list(e->b, add_size, &s->total_bytes);
    if (r == 0)
        r = walk_buckets(e, &buckets, &count);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = scrub_bucket(s, buckets[i]);
    if (r == 0) {
        *ret = json_pack("{s:I, s:I, s:I, s:I, s:b, s:O}", "versions", (json_int_t)s->versions, "verified_bytes",
                         (json_int_t)s->bytes, "damaged", (json_int_t)s->damaged, "unopened", (json_int_t)s->unopened, "clean", s->damaged == 0,
                         "findings", s->findings);
        r = *ret ? 0 : -ENOMEM;
    }
    if (r == 0)
        scrub_remember(e, *ret);
    if (r == 0)
        r = trail_report(e, c, r, "Scrub", NULL, *ret);
    json_decref(s->findings);
    spans_done(&s->seen);
    free(s);
    return r;
}
