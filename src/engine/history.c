/* SPDX-License-Identifier: GPL-3.0-or-later
 * History as `.versions` shows it: names that have versions below a directory, the versions of a key, one
 * version.
 *
 * Reads only, but for engine_version_delete, which hands over to version_remove (E3). Rows are collected
 * under the meta lock in bounded batches and handed to the caller's function after it was let go. */
#include "engine/kms.h"
#include "engine/walk.h"
#include "engine/trail.h"
#include "util/limits.h"

#include <assert.h>
#include <sys/stat.h>

enum {
    NAME_TIME_CHARS = 30, /* 2026-11-24T12:00:00.123456789Z */
    ID_CHARS = 32,
    HISTORY_BATCH = 64, /* versions decoded before they are handed out */
};

static int place_bucket(struct engine *e, struct caller *c, const struct engine_place *place, struct bucket **ret)
{
    *ret = bucket_by_number(e, place->bucket);
    return *ret ? 0 : reason_fail(&c->reason, ENOENT, "there is no such bucket any more");
}

/* The place's bucket, when the caller may do `action` to this version of the key there. M */
static int version_may(struct engine *e, struct caller *c, const struct engine_place *place, const char *action, uint64_t seq,
                       struct bucket **ret)
{
    int r = place_bucket(e, c, place, ret);
    return r < 0 ? r : engine_may_with(e, c, action, *ret, place->key, &(struct may){.seq = seq});
}

/* The same, when the caller may list what lies below the place. M */
static int history_may_list(struct engine *e, struct caller *c, const struct engine_place *dir, struct bucket **ret)
{
    int r = place_bucket(e, c, dir, ret);
    return r < 0 ? r : may_list(e, c, "s3:ListBucketVersions", *ret, dir->key);
}

/* The same, when the caller may know of this key's versions. M */
static int history_may_see(struct engine *e, struct caller *c, const struct engine_place *key, struct bucket **ret)
{
    int r = place_bucket(e, c, key, ret);
    return r < 0 ? r : may_see_versions(e, c, *ret, key->key);
}

/* What is not there is EACCES for who may not list (auth.md §0). M */
static int history_missing(struct engine *e, struct caller *c, const struct bucket *b, struct span key, int error)
{
    return error == -ENOENT ? may_miss_version(e, c, b, key) : error;
}

/* ---- names ---- */

struct held_name {
    char name[256];
    size_t len;
    bool is_key, is_dir;
};

static int names_batch(struct engine *e, struct caller *c, struct walk_names *w,
                       const struct engine_place *dir, const char *after, size_t after_len,
                       struct held_name *held, unsigned max, unsigned *ret_count)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b;
    int r = history_may_list(e, c, dir, &b);
    if (r < 0)
        return r;
    r = walk_names_start(w, e, dir, INT64_MAX, after, after_len);
    struct walk_name n;
    while (r >= 0 && *ret_count < max && (r = walk_names_next(w, &n)) == 1) {
        struct held_name *h = &held[(*ret_count)++];
        h->len = n.key.len - n.name_at;
        memcpy(h->name, n.key.p + n.name_at, h->len);
        h->is_key = n.is_key;
        h->is_dir = n.is_dir;
    }
    return r < 0 ? r : *ret_count == max;
}

int engine_history_names(struct engine *e, struct caller *c, const struct engine_place *dir,
                         const char *after, size_t after_len, unsigned max, engine_history_fn *fn, void *arg)
{
    struct held_name held[HISTORY_BATCH];
    char last[256];
    while (max) {
        struct walk_names w;
        unsigned count = 0, want = max < HISTORY_BATCH ? max : HISTORY_BATCH;
        int more = names_batch(e, c, &w, dir, after, after_len, held, want, &count);
        if (more < 0)
            return more;
        for (unsigned i = 0; i < count; i++) {
            struct engine_history_name n = {held[i].name, held[i].len, held[i].is_key, held[i].is_dir};
            if (fn(arg, &n))
                return 1;
        }
        if (!more)
            return 0;
        memcpy(last, held[count - 1].name, held[count - 1].len);
        after = last;
        after_len = held[count - 1].len;
        max -= count;
    }
    return 1;
}

int engine_history_name(struct engine *e, struct caller *c, const struct engine_place *dir, const char *name,
                        size_t len, struct engine_history_name *ret)
{
    if (!len || len > 255)
        return len ? -ENAMETOOLONG : -ENOENT;
    LOCK_SCOPE(&e->meta);
    struct bucket *b;
    uint8_t buf[LIMIT_KEY_BYTES + 257];
    size_t key_len = dir->key.len;
    memcpy(buf, dir->key.p, key_len);
    if (key_len)
        buf[key_len++] = '/';
    memcpy(buf + key_len, name, len);
    struct engine_place key = {dir->bucket, span_of(buf, key_len + len)};
    int r = history_may_see(e, c, &key, &b);
    struct walk_name n;
    if (r == 0)
        r = history_missing(e, c, b, key.key, walk_name_find(e, dir, INT64_MAX, name, len, &n));
    if (r == 0)
        *ret = (struct engine_history_name){name, len, n.is_key, n.is_dir};
    return r;
}

/* ---- the versions of a key ---- */

struct version_list {
    struct version *v;
    unsigned count, max;
    int error;
};

static int list_add(void *arg, const struct version_row *row)
{
    struct version_list *l = arg;
    if (row->flags & VERSION_REPLACED)
        return 0;
    l->error = version_decode(row, &l->v[l->count]);
    if (l->error < 0)
        return l->error;
    return ++l->count == l->max;
}

static void list_done(struct version_list *l)
{
    for (unsigned i = 0; i < l->count; i++)
        version_done(&l->v[i]);
    l->count = 0;
}

static int list_load(struct engine *e, const struct engine_place *key, bool oldest_first, uint64_t after_seq,
                     struct version_list *l)
{
    if (oldest_first)
        return e->meta_ops->version_scan_up(e->m, key->bucket, key->key, after_seq, list_add, l);
    if (after_seq == 1)
        return 0;
    return e->meta_ops->version_scan(e->m, key->bucket, key->key, after_seq ? after_seq - 1 : UINT64_MAX,
                                     list_add, l);
}

/* At most l->max of them, described into out. */
static int versions_batch(struct engine *e, struct caller *c, const struct engine_place *key,
                          bool oldest_first, uint64_t after_seq, struct version_list *l,
                          struct engine_version *out)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b;
    int r = place_bucket(e, c, key, &b);
    if (r == 0)
        r = may_list_versions(e, c, b, key->key);
    if (r < 0)
        return r;
    struct walk_head newest = {.seq = 0};
    r = walk_version_at(e, key->bucket, key->key, INT64_MAX, &newest, NULL);
    if (r < 0)
        return r;
    r = list_load(e, key, oldest_first, after_seq, l);
    for (unsigned i = 0; r == 0 && i < l->count; i++)
        version_describe(e, &l->v[i], l->v[i].seq == newest.seq, &out[i]);
    return r;
}

int engine_versions(struct engine *e, struct caller *c, const struct engine_place *key, bool oldest_first,
                    uint64_t after_seq, unsigned max, engine_version_fn *fn, void *arg)
{
    struct version held[HISTORY_BATCH];
    CLEANUP_FREE struct engine_version *out = calloc(HISTORY_BATCH, sizeof *out);
    if (!out)
        return -ENOMEM;
    while (max) {
        struct version_list l = {.v = held, .max = max < HISTORY_BATCH ? max : HISTORY_BATCH};
        int r = versions_batch(e, c, key, oldest_first, after_seq, &l, out);
        unsigned count = l.count;
        list_done(&l);
        if (r < 0)
            return r;
        for (unsigned i = 0; i < count; i++) {
            if (fn(arg, &out[i]))
                return 1;
        }
        if (count < l.max)
            return 0;
        after_seq = out[count - 1].seq;
        max -= count;
    }
    return 1;
}

/* ---- one version ---- */

/* Loads a visible version and, when asked, describes it. M */
static int version_visible(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                           struct version *v, struct engine_version *ret)
{
    int r = version_load(e, key->bucket, key->key, seq, v);
    if (r < 0)
        return r == -ENOENT ? reason_fail(&c->reason, ENOENT, "there is no such version (any more)") : r;
    if (v->flags & VERSION_REPLACED) {
        version_done(v);
        return reason_fail(&c->reason, ENOENT, "there is no such version (any more)");
    }
    if (!ret)
        return 0;
    struct walk_head newest = {.seq = 0};
    r = walk_version_at(e, key->bucket, key->key, INT64_MAX, &newest, NULL);
    if (r == 0)
        version_describe(e, v, newest.seq == seq, ret);
    else
        version_done(v);
    return r;
}

int engine_version_get(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                       struct engine_version *ret)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b;
    struct version v;
    int r = history_may_see(e, c, key, &b);
    if (r == 0)
        r = version_visible(e, c, key, seq, &v, ret);
    if (r == 0)
        version_done(&v);
    return r;
}

struct wanted_version {
    int64_t at_ns; /* INT64_MIN: any time */
    bool null;
    uint8_t id[20];
};

/* The id part of a name, or the whole of a bare id. */
static int wanted_id(const char *text, size_t len, struct wanted_version *w)
{
    w->null = len == 4 && !memcmp(text, "null", 4);
    if (w->null)
        return 0;
    return len == ID_CHARS ? base32_parse(text, len, w->id, sizeof w->id) : -EINVAL;
}

static bool wanted_matches(const struct wanted_version *w, uint32_t flags, const uint8_t id[20])
{
    if (w->null || (flags & VERSION_NULL))
        return w->null && (flags & VERSION_NULL);
    return !memcmp(w->id, id, sizeof w->id);
}

static int wanted_parse(const char *name, size_t len, struct wanted_version *w)
{
    w->at_ns = INT64_MIN;
    if (len <= NAME_TIME_CHARS)
        return wanted_id(name, len, w);
    if (len <= NAME_TIME_CHARS + 1 || name[NAME_TIME_CHARS] != '.')
        return wanted_id(name, len, w);
    struct instant at;
    int r = timeform_parse_ns(name, NAME_TIME_CHARS, &at);
    if (r == 0 && (__builtin_mul_overflow(at.sec, (int64_t)1000000000, &w->at_ns) ||
                   __builtin_add_overflow(w->at_ns, (int64_t)at.nsec, &w->at_ns)))
        r = -EINVAL;
    return r < 0 ? r : wanted_id(name + NAME_TIME_CHARS + 1, len - NAME_TIME_CHARS - 1, w);
}

struct id_search {
    const struct wanted_version *wanted;
    unsigned left;
    uint64_t last_seq, found_seq;
};

static int id_search_row(void *arg, const struct version_row *row)
{
    struct id_search *s = arg;
    s->last_seq = row->seq;
    if (!(row->flags & VERSION_REPLACED) && wanted_matches(s->wanted, row->flags, row->id)) {
        s->found_seq = row->seq;
        return 1;
    }
    return --s->left == 0;
}

/* By id alone: the key's versions are looked through, newest first. M* */
static int version_by_id(struct engine *e, const struct engine_place *key, const struct wanted_version *w,
                         uint64_t *ret_seq)
{
    for (uint64_t from = UINT64_MAX;;) {
        struct id_search s = {.wanted = w, .left = 1024};
        int r = e->meta_ops->version_scan(e->m, key->bucket, key->key, from, id_search_row, &s);
        if (r < 0)
            return r;
        if (s.found_seq) {
            *ret_seq = s.found_seq;
            return 0;
        }
        if (s.left || s.last_seq <= 1)
            return -ENOENT;
        from = s.last_seq - 1;
        unsigned due = WALK_BATCH_ROWS;
        walk_breathe(e, &due);
    }
}

int version_find_id(struct engine *e, uint32_t bucket, struct span key, const char *id, uint64_t *ret_seq)
{
    struct wanted_version w = {.at_ns = INT64_MIN};
    struct engine_place place = {bucket, key};
    return wanted_id(id, strlen(id), &w) < 0 ? -EINVAL : version_by_id(e, &place, &w, ret_seq);
}

static int version_seq(struct engine *e, const struct engine_place *key, const char *name, size_t len,
                       uint64_t *ret)
{
    struct walk_head h;
    if (len == 6 && !memcmp(name, "latest", 6)) {
        int r = walk_version_at(e, key->bucket, key->key, INT64_MAX, &h, NULL);
        if (r == 0)
            *ret = h.seq;
        return r;
    }
    struct wanted_version w;
    if (wanted_parse(name, len, &w) < 0)
        return -ENOENT;
    if (w.at_ns == INT64_MIN)
        return version_by_id(e, key, &w, ret);
    int r = walk_version_at(e, key->bucket, key->key, w.at_ns, &h, NULL);
    if (r < 0)
        return r;
    if (h.publish_ns != w.at_ns || !wanted_matches(&w, h.flags, h.id))
        return -ENOENT;
    *ret = h.seq;
    return 0;
}

int engine_version_find(struct engine *e, struct caller *c, const struct engine_place *key, const char *name,
                        size_t len, struct engine_version *ret)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b;
    uint64_t seq = 0;
    int r = history_may_see(e, c, key, &b);
    if (r == 0)
        r = history_missing(e, c, b, key->key, version_seq(e, key, name, len, &seq));
    struct version v;
    if (r == 0)
        r = version_visible(e, c, key, seq, &v, ret);
    if (r == 0)
        version_done(&v);
    return r;
}

/* ---- its content and attributes ---- */

/* The version's map, pinned so that it may be read though the version goes meanwhile. -EOPNOTSUPP for a
 * marker. */
static int version_pin(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                       struct bucket **ret_bucket, struct gc_pin *pin, struct record *ret)
{
    LOCK_SCOPE(&e->meta);
    struct version v;
    int r = version_may(e, c, key, "s3:GetObjectVersion", seq, ret_bucket);
    if (r == 0)
        r = version_visible(e, c, key, seq, &v, NULL);
    if (r < 0)
        return r;
    struct extmap *map = v.record.map ? extmap_ref(v.record.map) : extmap_new();
    r = map ? 0 : -ENOMEM;
    if (r == 0) {
        if (!v.record.map && v.record.size_bytes)
            r = extmap_resize(map, v.record.size_bytes);
        if (r == 0)
            gc_pin_add(e, pin, map);
        extmap_unref(map);
    }
    if (r == 0)
        *ret = v.record;
    memset(&v.record, 0, r == 0 ? sizeof v.record : 0);
    version_done(&v);
    return r;
}

static void version_unpin(struct engine *e, struct gc_pin *pin)
{
    LOCK_SCOPE(&e->meta);
    gc_pin_remove(e, pin);
}

/* ret_kek: what opened it, to be held as long as it is read. */
static int version_content(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                           struct content **ret, struct data_key **ret_kek, uint64_t *ret_size, uint32_t *ret_mode)
{
    struct bucket *b;
    struct gc_pin pin;
    struct record record;
    int r = version_pin(e, c, key, seq, &b, &pin, &record);
    if (r < 0)
        return r;
    *ret_size = record.size_bytes;
    *ret_mode = record.mode;
    {
        LOCK_SCOPE(&e->meta);
        r = sse_open(e, c, b, key->key, seq, record.env, ret_kek);
    }
    if (r == 0)
        r = content_new(e, b, pin.map, ret);
    if (r == 0)
        (*ret)->env = envelope_ref(record.env);
    else
        data_key_unref(*ret_kek);
    record_done(&record);
    version_unpin(e, &pin);
    return r;
}

int engine_version_open(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                        struct engine_handle **ret)
{
    struct engine_handle *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    uint32_t mode;
    struct data_key *kek = NULL;
    int r = version_content(e, c, key, seq, &h->content, &kek, &h->size_bytes, &mode);
    if (r < 0) {
        free(h);
        return r;
    }
    h->engine = e;
    h->uid = c->uid;
    h->principal = c->principal;
    h->env_bucket = key->bucket;
    LOCK_SCOPE(&e->meta);
    handle_note(e, h);
    sse_handle_set(h, envelope_ref(h->content->env), kek);
    *ret = h;
    return 0;
}

int engine_version_readlink(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                            char *buf, size_t cap)
{
    struct content *content;
    uint64_t size;
    uint32_t mode;
    struct data_key *kek;
    int r = version_content(e, c, key, seq, &content, &kek, &size, &mode);
    if (r < 0)
        return r;
    struct content_fault fault;
    ssize_t n = -EINVAL;
    if (S_ISLNK(mode))
        n = content_read(e->pipe, content->map, content->keys, 0, buf, cap, &fault);
    content_unref(content);
    data_key_unref(kek);
    return (int)n;
}

static int version_record(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                          struct version *ret)
{
    struct bucket *b;
    int r = version_may(e, c, key, "s3:GetObjectVersion", seq, &b);
    return r < 0 ? r : version_visible(e, c, key, seq, ret, NULL);
}

int engine_version_xattr_get(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq,
                             const char *name, struct bytes *out)
{
    LOCK_SCOPE(&e->meta);
    struct version v;
    int r = version_record(e, c, key, seq, &v);
    if (r < 0)
        return r;
    const uint8_t *value;
    size_t len;
    r = attrs_get(&v.record.attrs, ATTR_XATTR, name, strlen(name), &value, &len);
    if (r == 0)
        bytes_put(out, value, len);
    version_done(&v);
    return r < 0 ? r : out->failed ? -ENOMEM : 0;
}

static int version_xattr_names(struct engine *e, struct caller *c, const struct engine_place *key,
                               uint64_t seq, struct bytes *out)
{
    LOCK_SCOPE(&e->meta);
    struct version v;
    int r = version_record(e, c, key, seq, &v);
    if (r < 0)
        return r;
    struct attr_item item;
    for (size_t at = 0; attrs_next(&v.record.attrs, &at, &item);) {
        if (item.kind != ATTR_XATTR)
            continue;
        bytes_put(out, item.name, item.name_len);
        bytes_put_u8(out, 0);
    }
    version_done(&v);
    return out->failed ? -ENOMEM : 0;
}

int engine_version_xattr_list(struct engine *e, struct caller *c, const struct engine_place *key,
                              uint64_t seq, bool all, struct bytes *out)
{
    int r = version_xattr_names(e, c, key, seq, out);
    struct engine_target target = {.bucket = key->bucket, .key = key->key, .seq = seq};
    return r < 0 ? r : engine_property_list(e, c, &target, all, out);
}

int engine_version_delete(struct engine *e, struct caller *c, const struct engine_place *key, uint64_t seq)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b;
    struct version v;
    int r = version_may(e, c, key, "s3:DeleteObjectVersion", seq, &b);
    if (r == 0)
        r = version_visible(e, c, key, seq, &v, NULL);
    if (r < 0)
        return r;
    r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, version_remove(e, c, &v, REMOVE_USER));
    version_done(&v);
    return r;
}
