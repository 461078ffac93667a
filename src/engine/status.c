/* SPDX-License-Identifier: GPL-3.0-or-later
 * What is in the store and how it is doing: `holdfs status`, `bucket list`, `bucket info`.
 *
 * Counting walks the version rows in batches; the answer is kept until something was committed. Warnings are
 * the facts a person should act on, each one a sentence. */
#include "engine/walk.h"
#include "engine/trail.h"

#include <sys/statvfs.h>

/* ---- counting ---- */

struct counts {
    uint64_t objects, versions, markers, locked;
    uint64_t logical_bytes, versions_bytes; /* of current versions; of all */
};

struct counting {
    struct engine *e;
    struct counts *into;
    struct walk_key last; /* its newest visible row was seen */
    uint32_t last_bucket;
    bool any;
};

static bool row_locked(struct engine *e, const struct version_row *row)
{
    if (!row->lock_mode && row->legal_hold != HOLD_ON)
        return false;
    struct version v = {
        .lock_mode = row->lock_mode,
        .lock_until_ms = row->lock_until_ms,
        .lock_hold_s = row->lock_hold_s,
        .legal_hold = row->legal_hold,
    };
    return lock_in_force(e, &v);
}

static int count_row(void *arg, const struct version_row *row)
{
    struct counting *c = arg;
    if (row->flags & VERSION_REPLACED)
        return 0;
    bool newest = !c->any || c->last_bucket != row->bucket || c->last.len != row->key.len ||
                  memcmp(c->last.p, row->key.p, row->key.len) != 0;
    if (newest) {
        walk_key_set(&c->last, row->key);
        c->last_bucket = row->bucket;
        c->any = true;
    }
    if (row->flags & VERSION_MARKER) {
        c->into->markers++;
        return 0;
    }
    c->into->versions++;
    c->into->locked += row_locked(c->e, row);
    struct record record;
    if (record_decode(row->body.p, row->body.len, row->data.p, row->data.len, &record) < 0)
        return 0; /* fsck's matter; the count goes on */
    c->into->versions_bytes += record.size_bytes;
    if (newest) {
        c->into->objects++;
        c->into->logical_bytes += record.size_bytes;
    }
    record_done(&record);
    return 0;
}

static int count_bucket(struct engine *e, uint32_t bucket, struct counts *ret)
{
    CLEANUP_FREE struct counting *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    *ret = (struct counts){0};
    c->e = e;
    c->into = ret;
    return walk_all(e, bucket, span_of(NULL, 0), count_row, c, NULL);
}

static int sum_segment(void *arg, uint32_t segment, uint64_t size_bytes, bool open_for_append)
{
    (void)segment;
    (void)open_for_append;
    *(uint64_t *)arg += size_bytes;
    return 0;
}

/* ---- status ---- */

static json_t *status_store(struct engine *e)
{
    char id[37], created[48];
    uuid_format(e->conf.store_id, id);
    timeform_format_ns(e->conf.created_s, 0, created);
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:b, s:b}", "id", id, "dir", e->dir, "format",
                     (int)e->conf.format, "account", e->conf.account_id, "region", e->conf.region, "created",
                     created, "retention_clock", e->conf.retention_clock, "test_store", e->conf.test_store,
                     "read_only", e->read_only);
}

static int status_data(struct engine *e, json_t *out)
{
    struct counts c;
    int r = count_bucket(e, 0, &c);
    if (r < 0)
        return r;
    uint64_t stored = 0, total = 0, available = 0, metadata;
    r = e->block_ops->list(e->b, sum_segment, &stored);
    if (r == 0)
        r = e->block_ops->free_space(e->b, &total, &available);
    if (r < 0)
        return r;
    {
        LOCK_SCOPE(&e->meta);
        metadata = e->meta_ops->bytes(e->m);
        json_object_set_new(out, "buckets", json_integer((json_int_t)e->bucket_count));
    }
    json_object_set_new(out, "objects", json_integer((json_int_t)c.objects));
    json_object_set_new(out, "versions", json_integer((json_int_t)c.versions));
    json_object_set_new(out, "markers", json_integer((json_int_t)c.markers));
    json_object_set_new(out, "locked", json_integer((json_int_t)c.locked));
    json_t *space = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "logical_bytes", (json_int_t)c.logical_bytes,
                              "versions_bytes", (json_int_t)c.versions_bytes, "stored_bytes",
                              (json_int_t)(stored + metadata), "segments_bytes", (json_int_t)stored,
                              "metadata_bytes", (json_int_t)metadata, "free_bytes", (json_int_t)available);
    return json_object_set_new(out, "space", space) < 0 ? -ENOMEM : 0;
}

static uint64_t open_drafts(struct engine *e)
{
    uint64_t n = 0;
    for (size_t slot = 0; e->inodes && slot < e->inode_buckets; slot++) {
        for (struct inode *i = e->inodes[slot]; i; i = i->hash_next)
            n += draft_open(i);
    }
    return n;
}

static void status_runtime(struct engine *e, json_t *out)
{
    LOCK_SCOPE(&e->meta);
    json_object_set_new(out, "drafts", json_integer((json_int_t)open_drafts(e)));
    json_t *findings = e->integrity_list ? json_deep_copy(e->integrity_list) : json_array();
    json_object_set_new(out, "integrity",
                        json_pack("{s:I, s:o}", "events", (json_int_t)atomic_load(&e->integrity_events),
                                  "findings", findings));
}

/* What the last scrub found. */
static void status_scrub(struct engine *e, json_t *out)
{
    struct span value;
    LOCK_SCOPE(&e->meta);
    if (e->meta_ops->value_get(e->m, "scrub", &value) == 0)
        json_object_set_new(out, "scrub", json_loadb((const char *)value.p, value.len, 0, NULL));
}

static void warn(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(json_t *list, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_array_append_new(list, json_string(text));
}

static void warn_attested(json_t *list, const json_t *attested)
{
    json_int_t agreed = json_integer_value(json_object_get(attested, "agreed"));
    json_int_t needed = json_integer_value(json_object_get(attested, "needed"));
    if (json_object_get(attested, "checked") && agreed < needed)
        warn(list,
             "%lld of the time authorities agreed when last asked, %lld must: the compliance clock counts only "
             "the time "
             "this machine runs; holdfs clock show tells why",
             (long long)agreed, (long long)needed);
}

static json_t *status_warnings(struct engine *e, const json_t *out)
{
    json_t *list = json_array();
    json_int_t events = json_integer_value(json_object_get(json_object_get(out, "integrity"), "events"));
    if (events)
        warn(list,
             "%lld integrity events since the store was opened: see integrity.findings, and run holdfs scrub",
             (long long)events);
    json_int_t lag = json_integer_value(json_object_get(json_object_get(out, "clock"), "lag_s"));
    if (lag > 3600)
        warn(list,
             "the store's date lags %lld s behind the machine's: locks made for a date end that much later; "
             "holdfs clock show",
             (long long)lag);
    warn_attested(list, json_object_get(json_object_get(out, "clock"), "attested"));
    if (!strcmp(e->conf.retention_clock, "wall"))
        warn(list, "the retention clock follows the machine's date: whoever sets that ahead opens locks");
    const json_t *space = json_object_get(out, "space");
    if (json_integer_value(json_object_get(space, "free_bytes")) < 64 << 20)
        warn(list, "the backing filesystem is full: writes fail until space is freed; holdfs gc and holdfs "
                   "compact still work");
    json_int_t damaged = json_integer_value(json_object_get(json_object_get(out, "scrub"), "damaged"));
    if (damaged)
        warn(list, "the last scrub found %lld damaged versions", (long long)damaged);
    const json_t *anchors = json_object_get(json_object_get(out, "audit"), "anchors");
    for (size_t n = 0; n < json_array_size(anchors); n++) {
        const json_t *one = json_array_get(anchors, n);
        if (json_is_true(json_object_get(one, "late")))
            warn(list, "audit anchor %s has not taken a head for two intervals: %s", json_string_value(json_object_get(one, "url")),
                 json_string_value(json_object_get(one, "error")));
    }
    if (secret_unlocked())
        warn(list,
             "keys could not be locked into memory (mlock was refused): raise the limit, see ulimit -l");
    for (size_t i = 0; i < e->kept_count; i++)
        warn(list, "segments %u to %u are kept for good: a rollback of the metadata was accepted", e->kept[i].from, e->kept[i].to);
    if (e->conf.test_store)
        warn(list, "this is a test store: its clock can be set");
    return list;
}

static void status_audit(struct engine *e, json_t *out)
{
    LOCK_SCOPE(&e->meta);
    const struct trail *t = e->trail;
    if (!t || !t->anchors)
        return;
    json_object_set_new(out, "audit", json_pack("{s:I, s:I, s:s, s:o, s:o*}", "seq", (json_int_t)t->committed.seq, "head_seq", (json_int_t)t->head_seq,
                                                "key", t->key_id, "anchors", trail_anchors_json(e), "anchored", trail_anchored_json(e)));
}

int engine_status(struct engine *e, json_t **ret)
{
    char since[48];
    timeform_format_ns(e->opened_ns / 1000000000, (uint32_t)(e->opened_ns % 1000000000), since);
    json_t *out = json_pack("{s:o, s:s, s:s, s:i}", "store", status_store(e), "since", since, "by",
                            e->owner_text ? e->owner_text : "", "pid", (int)getpid());
    if (!out)
        return -ENOMEM;
    json_t *clock = NULL;
    int r = status_data(e, out);
    if (r == 0)
        r = engine_clock_show(e, &clock);
    if (r < 0) {
        json_decref(out);
        return r;
    }
    json_object_set_new(out, "clock", clock);
    json_object_set_new(out, "commit_seq", json_integer((json_int_t)e->meta_ops->commit_seq(e->m)));
    status_runtime(e, out);
    json_object_set_new(out, "compaction", compact_status(e));
    status_scrub(e, out);
    status_audit(e, out);
    json_object_set_new(out, "warnings", status_warnings(e, out));
    *ret = out;
    return 0;
}

/* ---- buckets ---- */

static const char *const versioning_names[] = {"Unversioned", "Enabled", "Suspended"};

/* M */
static json_t *bucket_json(const struct bucket *b)
{
    static const char *const modes[] = {NULL, "GOVERNANCE", "COMPLIANCE"};
    char created[48], id[37], kek[37];
    timeform_format_ns(b->created_ns / 1000000000, (uint32_t)(b->created_ns % 1000000000), created);
    uuid_format(b->uuid, id);
    uuid_format(b->kek_id, kek);
    json_t *out =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:s, s:s, s:s}", "name", b->name, "id", id, "created",
                  created, "owner", b->account, "versioning", versioning_names[b->versioning], "object_lock",
                  b->object_lock, "settle_s", (json_int_t)b->settle_s, "compression",
                  b->compress ? "zstd" : "none", "encryption", b->sse_mode == ENVELOPE_SSE_KMS ? "aws:kms" : "AES256", "key", kek);
    if (!out)
        return NULL;
    json_object_set_new(out, "orphan_keep_s",
                        b->orphan_keep_s == INT64_MAX ? json_string("forever")
                                                      : json_integer(b->orphan_keep_s));
    if (b->mfa_delete != MFA_DELETE_NEVER)
        json_object_set_new(out, "mfa_delete", json_string(b->mfa_delete == MFA_DELETE_ENABLED ? "Enabled" : "Disabled"));
    if (b->default_mode)
        json_object_set_new(out, "default_retention",
                            json_pack("{s:s, s:i, s:i}", "mode", modes[b->default_mode], "days",
                                      (int)b->default_days, "years", (int)b->default_years));
    return out;
}

/* {"buckets":[{...}]}, by name, those the caller may list. */
int engine_bucket_list(struct engine *e, struct caller *c, json_t **ret)
{
    json_t *list = json_array();
    {
        LOCK_SCOPE(&e->meta);
        for (size_t i = 0; i < e->bucket_count; i++) {
            if (engine_could(e, c, "s3:ListBucket", e->buckets[i], span_of(NULL, 0), NULL))
                json_array_append_new(list, bucket_json(e->buckets[i]));
        }
    }
    *ret = json_pack("{s:o}", "buckets", list);
    return *ret ? 0 : -ENOMEM;
}

/* What `list` has, and counts. */
int engine_bucket_info(struct engine *e, struct caller *c, const char *name, json_t **ret)
{
    json_t *out;
    uint32_t number;
    {
        LOCK_SCOPE(&e->meta);
        struct bucket *b = bucket_by_name(e, name, strlen(name));
        if (!b)
            return reason_fail_s3(&c->reason, ENOENT, "NoSuchBucket", "there is no bucket '%s'", name);
        int r = engine_may(e, c, "s3:ListBucket", b, span_of(NULL, 0));
        if (r < 0)
            return r;
        out = bucket_json(b);
        number = b->number;
    }
    struct counts n;
    int r = out ? count_bucket(e, number, &n) : -ENOMEM;
    if (r < 0) {
        json_decref(out);
        return r;
    }
    json_object_set_new(out, "objects", json_integer((json_int_t)n.objects));
    json_object_set_new(out, "versions", json_integer((json_int_t)n.versions));
    json_object_set_new(out, "markers", json_integer((json_int_t)n.markers));
    json_object_set_new(out, "locked", json_integer((json_int_t)n.locked));
    json_object_set_new(out, "logical_bytes", json_integer((json_int_t)n.logical_bytes));
    json_object_set_new(out, "versions_bytes", json_integer((json_int_t)n.versions_bytes));
    *ret = out;
    return 0;
}
