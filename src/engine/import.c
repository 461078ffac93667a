/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reading a bucket back from a stream of export: ids, times, order and locks as they were, content under new
 * data keys.
 *
 * A lock holds for as long as it had left when it was exported, by this store's compliance clock. Collection
 * is held off meanwhile: the frames of a version stand in no row until its entry was read whole. */
#include "engine/pax.h"
#include "engine/trail.h"
#include "engine/upkeep.h"
#include "util/limits.h"

#include <stdio.h>
#include <sys/stat.h>

enum {
    IMPORT_CHUNK_BYTES = 1 << 20,
    IMPORT_INLINE_BYTES = 4000, /* as drafts: one page, no segment */
    IMPORT_FORMAT = 1,
};

/* Files that had several names: the inode they had, and the one they get. */
struct ino_pair {
    uint64_t was, is;
};

struct import {
    struct engine *e;
    struct caller *c;
    struct bucket *b;
    const char *name;
    struct engine_progress progress;
    struct pax_reader in;
    struct pax_found entry;
    uint8_t *buf;
    uint64_t versions, dirs, bytes, locked;
    struct walk_key key; /* of the last version; its name is made when the next key begins */
    bool open_key;
    uint64_t was_ino;       /* of that key's newest version, in the other store */
    bool shows;             /* it is no marker */
    struct ino_pair *pairs; /* by `was`, open addressing */
    size_t pair_cap, pair_count;
};

static int bad(struct import *m, const char *what)
{
    return reason_fail(&m->c->reason, EINVAL, "this is no stream of holdfs export: %s (at '%.*s')", what,
                       (int)(m->entry.path.len < 200 ? m->entry.path.len : 200),
                       (const char *)m->entry.path.data);
}

/* ---- words of an entry ---- */

static int word_number(struct import *m, const char *keyword, int64_t otherwise, int64_t max, int64_t *ret)
{
    if (pax_get_number(&m->in, keyword, otherwise, ret) < 0 || *ret < 0 || *ret > max)
        return bad(m, keyword);
    return 0;
}

static int word_text(struct import *m, const char *keyword, char *out, size_t cap)
{
    size_t len;
    const uint8_t *p = pax_get(&m->in, keyword, &len);
    out[0] = 0;
    if (!p)
        return 0;
    if (len >= cap || memchr(p, 0, len))
        return bad(m, keyword);
    memcpy(out, p, len);
    out[len] = 0;
    return 0;
}

/* "SECONDS.NANOSECONDS", seconds perhaps negative. */
static int word_time(struct import *m, const char *keyword, struct instant *ret, bool *ret_there)
{
    char text[48], *end;
    int r = word_text(m, keyword, text, sizeof text);
    if (ret_there)
        *ret_there = text[0] != 0;
    if (r < 0 || !text[0])
        return r;
    errno = 0;
    ret->sec = strtoll(text, &end, 10);
    ret->nsec = 0;
    if (*end == '.' && strlen(end + 1) == 9) {
        char *last;
        unsigned long nsec = strtoul(end + 1, &last, 10);
        ret->nsec = (uint32_t)nsec;
        end = last;
    }
    return errno || *end || ret->nsec > 999999999 ? bad(m, keyword) : 0;
}

static int read_attrs(struct import *m, struct record *r)
{
    size_t len;
    const uint8_t *p = pax_get(&m->in, "HOLDFS.attrs", &len);
    if (!p || !len)
        return 0;
    if (!attrs_valid(p, len))
        return bad(m, "HOLDFS.attrs");
    bytes_put(&r->attrs.packed, p, len);
    return r->attrs.packed.failed ? -ENOMEM : 0;
}

static int read_numbers(struct import *m, struct record *r)
{
    int64_t mode, uid, gid, rdev, written;
    int e = word_number(m, "HOLDFS.mode", 0, 0177777, &mode);
    if (e == 0)
        e = word_number(m, "HOLDFS.uid", 0, UINT32_MAX, &uid);
    if (e == 0)
        e = word_number(m, "HOLDFS.gid", 0, UINT32_MAX, &gid);
    if (e == 0)
        e = word_number(m, "HOLDFS.rdev", 0, INT64_MAX, &rdev);
    if (e == 0)
        e = word_number(m, "HOLDFS.written", 0, 1, &written);
    if (e < 0)
        return e;
    r->mode = (uint32_t)mode;
    r->uid = (uint32_t)uid;
    r->gid = (uint32_t)gid;
    r->rdev_major = (uint32_t)((uint64_t)rdev >> 32);
    r->rdev_minor = (uint32_t)rdev;
    r->written = written;
    return 0;
}

static int read_record(struct import *m, struct record *r)
{
    int e = read_numbers(m, r);
    if (e == 0)
        e = word_time(m, "mtime", &r->mtime, NULL);
    if (e == 0)
        e = word_time(m, "HOLDFS.ctime", &r->ctime, NULL);
    if (e == 0)
        e = word_time(m, "HOLDFS.btime", &r->btime, NULL);
    if (e == 0)
        e = word_time(m, "HOLDFS.atime", &r->atime, &r->atime_set);
    if (e == 0)
        e = word_text(m, "HOLDFS.etag", r->etag, sizeof r->etag);
    if (e == 0)
        e = word_text(m, "HOLDFS.made-by", r->made_by, sizeof r->made_by);
    return e == 0 ? read_attrs(m, r) : e;
}

static int read_identity(struct import *m, struct version *v)
{
    char id[40];
    int64_t published, flags, ino;
    int e = word_text(m, "HOLDFS.version", id, sizeof id);
    if (e == 0)
        e = word_number(m, "HOLDFS.published", 0, INT64_MAX, &published);
    if (e == 0)
        e = word_number(m, "HOLDFS.flags", 0, UINT32_MAX, &flags);
    if (e == 0)
        e = word_number(m, "HOLDFS.ino", 0, INT64_MAX, &ino);
    if (e < 0)
        return e;
    v->flags = (uint32_t)flags & (VERSION_MARKER | VERSION_NULL | VERSION_MOUNT);
    if ((v->flags & VERSION_NULL) ? strcmp(id, "null") != 0
                                  : base32_parse(id, strlen(id), v->id, sizeof v->id) < 0)
        return bad(m, "HOLDFS.version");
    v->publish_ns = published;
    v->ino = (uint64_t)ino;
    return 0;
}

/* M */
static int read_lock(struct import *m, struct version *v)
{
    int64_t mode, until, left, hold;
    int e = word_number(m, "HOLDFS.lock-mode", 0, LOCK_COMPLIANCE, &mode);
    if (e == 0)
        e = word_number(m, "HOLDFS.lock-until", 0, INT64_MAX, &until);
    if (e == 0)
        e = word_number(m, "HOLDFS.lock-left", 0, INT64_MAX, &left);
    if (e == 0)
        e = word_number(m, "HOLDFS.legal-hold", 0, HOLD_ON, &hold);
    if (e < 0)
        return e;
    if ((mode || hold) && !m->b->object_lock)
        return bad(m, "a lock in a bucket without object lock");
    v->lock_mode = (enum lock_mode)mode;
    v->legal_hold = (enum hold_state)hold;
    v->lock_until_ms = until;
    if (mode && __builtin_add_overflow(compliance_now_s(m->e), left, &v->lock_hold_s))
        v->lock_hold_s = INT64_MAX;
    if (mode && !left)
        v->lock_hold_s = 0;
    m->locked += mode || hold == HOLD_ON;
    return 0;
}

/* ---- the bucket ---- */

static int read_settings(struct import *m, struct bucket *b)
{
    int64_t versioning, lock, mode, days, years, compress, mask;
    int e = word_number(m, "HOLDFS.versioning", VERSIONING_ENABLED, VERSIONING_SUSPENDED, &versioning);
    if (e == 0)
        e = word_number(m, "HOLDFS.object-lock", 0, 1, &lock);
    if (e == 0)
        e = word_number(m, "HOLDFS.default-mode", 0, LOCK_COMPLIANCE, &mode);
    if (e == 0)
        e = word_number(m, "HOLDFS.default-days", 0, LIMIT_COMPLIANCE_DAYS, &days);
    if (e == 0)
        e = word_number(m, "HOLDFS.default-years", 0, 100, &years);
    if (e == 0)
        e = word_number(m, "HOLDFS.settle", b->settle_s, 86400, &b->settle_s);
    if (e == 0)
        e = word_number(m, "HOLDFS.orphan-keep", b->orphan_keep_s, INT64_MAX, &b->orphan_keep_s);
    if (e == 0)
        e = word_number(m, "HOLDFS.compress", 0, 1, &compress);
    if (e == 0)
        e = word_number(m, "HOLDFS.mode-mask", 0, 0777, &mask);
    if (e < 0)
        return e;
    if (lock && versioning != VERSIONING_ENABLED)
        return bad(m, "object lock without versioning");
    b->versioning = (enum versioning)versioning;
    b->object_lock = lock;
    b->default_mode = lock ? (enum lock_mode)mode : LOCK_NONE;
    b->default_days = (uint32_t)days;
    b->default_years = (uint32_t)years;
    b->compress = compress;
    b->mode_mask = (uint32_t)mask;
    size_t len;
    const uint8_t *tags = pax_get(&m->in, "HOLDFS.bucket-tags", &len);
    if (tags && len && !attrs_valid(tags, len))
        return bad(m, "HOLDFS.bucket-tags");
    if (tags && len)
        bytes_put(&b->tags.packed, tags, len);
    return b->tags.packed.failed ? -ENOMEM : 0;
}

/* Made at the first entry, when the global header is known. */
static int make_bucket(struct import *m)
{
    int64_t format;
    if (pax_get_number(&m->in, "HOLDFS.format", 0, &format) < 0 || format != IMPORT_FORMAT)
        return format > IMPORT_FORMAT ? reason_fail(&m->c->reason, EPROTO,
                                                    "the stream has format %lld; this holdfs reads up to %d",
                                                    (long long)format, IMPORT_FORMAT)
                                      : bad(m, "it has no HOLDFS.format");
    LOCK_SCOPE(&m->e->meta);
    struct bucket_options options = {.unversioned = false};
    int r = bucket_create(m->e, m->c, m->name, strlen(m->name), 0755, &options, &m->b);
    if (r < 0)
        return r;
    r = read_settings(m, m->b);
    if (r == 0)
        r = txn_begin(m->e);
    if (r == 0)
        r = txn_end(m->e, bucket_save(m->e, m->b));
    if (r == 0 && m->e->watcher)
        m->e->watcher->entry_changed(m->e->watcher->arg, ENGINE_ROOT_INO, m->name, strlen(m->name));
    return r;
}

/* ---- names ---- */

static struct ino_pair *pair_slot(struct import *m, uint64_t was)
{
    size_t at = (was * 0x9e3779b97f4a7c15ull) & (m->pair_cap - 1);
    while (m->pairs[at].was && m->pairs[at].was != was)
        at = (at + 1) & (m->pair_cap - 1);
    return &m->pairs[at];
}

static int pairs_grow(struct import *m)
{
    if (m->pair_count * 2 < m->pair_cap)
        return 0;
    struct import bigger = {.pair_cap = m->pair_cap ? m->pair_cap * 2 : 1024};
    bigger.pairs = calloc(bigger.pair_cap, sizeof *bigger.pairs);
    if (!bigger.pairs)
        return -ENOMEM;
    for (size_t i = 0; i < m->pair_cap; i++) {
        if (m->pairs[i].was)
            *pair_slot(&bigger, m->pairs[i].was) = m->pairs[i];
    }
    free(m->pairs);
    m->pairs = bigger.pairs;
    m->pair_cap = bigger.pair_cap;
    return 0;
}

/* A further name of a file whose first one came before. M, txn */
static int link_name(struct import *m, uint64_t ino)
{
    struct span key = walk_span(&m->key);
    struct inode *i;
    int r = inode_get(m->e, ino, &i);
    if (r < 0)
        return r;
    r = version_make_parents(m->e, m->b, key);
    if (r == 0)
        r = m->e->meta_ops->tree_put(m->e->m,
                                     &(struct tree_row){.bucket = m->b->number,
                                                        .key = key,
                                                        .ino = ino,
                                                        .kind = (uint8_t)tree_kind_of(i->record.mode)});
    if (r == 0)
        r = m->e->meta_ops->link_put(m->e->m, ino, m->b->number, key);
    if (r == 0)
        r = txn_touch(m->e, i);
    if (r == 0) {
        i->nlink++;
        r = inode_save(m->e, i);
    }
    inode_put(m->e, i);
    return r;
}

/* All versions of a key are in: it gets its name, if its newest is no marker. M, txn */
static int close_key(struct import *m)
{
    if (!m->open_key)
        return 0;
    m->open_key = false;
    if (!m->shows)
        return 0;
    int r = pairs_grow(m);
    if (r < 0)
        return r;
    struct ino_pair *pair = m->was_ino ? pair_slot(m, m->was_ino) : NULL;
    struct span key = walk_span(&m->key);
    struct version v;
    if (pair && pair->was)
        r = link_name(m, pair->is);
    else
        r = version_show_next(m->e, m->b, key);
    if (r == 0)
        r = version_load(m->e, m->b->number, key, 0, &v);
    if (r < 0)
        return r;
    if (pair && pair->was) {
        v.ino = pair->is;
        r = version_store(m->e, &v);
    } else if (pair) {
        *pair = (struct ino_pair){m->was_ino, v.ino};
        m->pair_count++;
    }
    version_done(&v);
    return r;
}

/* ---- content ---- */

struct sealing {
    struct extmap *map;
    struct content_key *key;
    struct extmap_dek wrapped;
    uint32_t dek;
};

static void sealing_done(struct sealing *s)
{
    extmap_unref(s->map);
    content_key_unref(s->key);
}

static int sealing_begin(struct import *m, struct sealing *s)
{
    *s = (struct sealing){.map = extmap_new()};
    int r = s->map ? keyring_dek_new(m->e, m->b, NULL, &s->wrapped, &s->key) : -ENOMEM;
    int dek = r < 0 ? r : extmap_dek_index(s->map, &s->wrapped);
    if (dek < 0) {
        sealing_done(s);
        return dek;
    }
    s->dek = (uint32_t)dek;
    return 0;
}

static bool all_zeros(const uint8_t *p, size_t len)
{
    return !p[0] && !memcmp(p, p + 1, len - 1);
}

static int seal_chunk(struct import *m, struct sealing *s, uint64_t at, const void *data, size_t len,
                      bool whole)
{
    enum frame_compression how = m->b->compress ? FRAME_COMPRESSION_ZSTD : FRAME_COMPRESSION_NONE;
    if (whole && len <= IMPORT_INLINE_BYTES)
        return content_write_inline(m->e->pipe, s->key, s->dek, how, s->map, at, data, len);
    if (len == IMPORT_CHUNK_BYTES && all_zeros(data, len))
        return extmap_resize(s->map, at + len); /* a hole it was, or might as well be */
    return content_write(m->e->pipe, s->key, s->dek, how, s->map, at, data, len);
}

static int read_content(struct import *m, struct version *v)
{
    uint64_t size = m->entry.size_bytes;
    const struct bytes *link = S_ISLNK(v->record.mode) ? &m->entry.link : NULL;
    if (link)
        size = link->len;
    v->record.size_bytes = size;
    record_set_envelope(&v->record, NULL, m->b->kek_id, m->b->kek_version);
    if (!size)
        return 0;
    struct sealing s;
    int r = sealing_begin(m, &s);
    for (uint64_t at = 0; r == 0 && at < size;) {
        size_t n = size - at < IMPORT_CHUNK_BYTES ? (size_t)(size - at) : IMPORT_CHUNK_BYTES;
        r = link ? 0 : pax_read(&m->in, m->buf, n);
        if (r == 0)
            r = seal_chunk(m, &s, at, link ? link->data : m->buf, n, n == size);
        at += n;
        m->bytes += n;
        if (r == 0)
            r = upkeep_tell(m->progress, "importing", m->bytes, 0);
        if (r < 0)
            sealing_done(&s);
    }
    if (r < 0)
        return r;
    r = extmap_tidy(s.map);
    v->record.map = extmap_ref(s.map);
    sealing_done(&s);
    return r;
}

/* ---- entries ---- */

/* The key of an entry: its path without the bucket's name. */
static int entry_key(struct import *m, struct span *ret)
{
    const struct bytes *p = &m->entry.path;
    const uint8_t *slash = p->len ? memchr(p->data, '/', p->len) : NULL;
    *ret = span_of("", 0);
    if (slash)
        *ret = span_of(slash + 1, p->len - (size_t)(slash + 1 - p->data));
    if (ret->len > LIMIT_KEY_BYTES || memchr(ret->p, 0, ret->len) || !utf8_valid(ret->p, ret->len))
        return bad(m, "a key");
    return 0;
}

static int import_dir(struct import *m, struct span key)
{
    struct record record = {.generation = 1};
    int r = read_record(m, &record);
    if (r == 0 && !S_ISDIR(record.mode))
        r = bad(m, "HOLDFS.mode");
    if (r == 0) {
        LOCK_SCOPE(&m->e->meta);
        struct tree_row row;
        r = m->e->meta_ops->tree_get(m->e->m, m->b->number, key, &row);
        bool there = r == 0;
        uint64_t ino = there ? row.ino : m->e->next_ino++;
        if (there && row.kind != TREE_DIR)
            r = bad(m, "a directory in a file's place");
        else if (r == 0 || r == -ENOENT)
            r = txn_begin(m->e);
        if (r == 0) {
            r = version_make_parents(m->e, m->b, key);
            if (r == 0 && !there)
                r = m->e->meta_ops->tree_put(
                    m->e->m,
                    &(struct tree_row){.bucket = m->b->number, .key = key, .ino = ino, .kind = TREE_DIR});
            if (r == 0)
                r = dir_row_put(m->e, m->b->number, key, ino, &record);
            r = txn_end(m->e, r);
        }
        if (r == 0 && there)
            inode_forget(m->e, ino); /* the bucket's root, cached with other attributes */
    }
    record_done(&record);
    m->dirs += r == 0;
    return r;
}

/* The row of a lock may reach the disk by itself: not before the frames that it protects (E2). */
static int sync_locked(struct import *m, const struct version *v)
{
    int64_t mode, hold;
    int r = word_number(m, "HOLDFS.lock-mode", 0, LOCK_COMPLIANCE, &mode);
    if (r == 0)
        r = word_number(m, "HOLDFS.legal-hold", 0, HOLD_ON, &hold);
    return r < 0 || (!mode && hold != HOLD_ON) || record_inline(&v->record) ? r : m->e->block_ops->sync(m->e->b);
}

/* M */
static int store_version(struct import *m, struct version *v)
{
    struct span key = span_of(v->key, v->key_len);
    bool same = m->open_key && m->key.len == key.len && !memcmp(m->key.p, key.p, key.len);
    int r = txn_begin(m->e);
    if (r < 0)
        return r;
    if (!same)
        r = close_key(m);
    if (r == 0)
        r = read_lock(m, v);
    uint64_t was = v->ino;
    v->ino = 0;
    v->seq = seq_next(m->e);
    if (r == 0)
        r = version_publish_time(m->e, m->b->number, key, v->publish_ns, &v->publish_ns);
    if (r == 0)
        r = version_store(m->e, v);
    r = txn_end(m->e, r);
    if (r < 0)
        return r;
    walk_key_set(&m->key, key);
    m->open_key = true;
    m->was_ino = was;
    m->shows = !(v->flags & VERSION_MARKER);
    return 0;
}

static int import_version(struct import *m, struct span key)
{
    struct version v = {.bucket = m->b->number, .key_len = key.len, .key = key_copy(key)};
    if (!v.key)
        return -ENOMEM;
    int r = key.len ? read_identity(m, &v) : bad(m, "a version without a key");
    if (r == 0)
        r = read_record(m, &v.record);
    if (r == 0 && !(v.flags & VERSION_MARKER))
        r = read_content(m, &v);
    if (r == 0)
        r = sync_locked(m, &v);
    if (r == 0) {
        LOCK_SCOPE(&m->e->meta);
        r = store_version(m, &v);
    }
    m->versions += r == 0;
    version_done(&v);
    return r;
}

static int import_entry(struct import *m)
{
    char kind[16];
    struct span key;
    int r = m->b ? 0 : make_bucket(m);
    if (r == 0)
        r = word_text(m, "HOLDFS.kind", kind, sizeof kind);
    if (r == 0)
        r = entry_key(m, &key);
    if (r < 0)
        return r;
    if (!strcmp(kind, "directory"))
        return import_dir(m, key);
    if (!strcmp(kind, "version") || !strcmp(kind, "marker"))
        return import_version(m, key);
    return bad(m, "an entry without HOLDFS.kind");
}

static int import_run(struct import *m)
{
    int r;
    while ((r = pax_next(&m->in, &m->entry)) == 1) {
        r = import_entry(m);
        pax_found_done(&m->entry);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    if (!m->b)
        r = make_bucket(m); /* an empty bucket */
    if (r < 0)
        return r;
    LOCK_SCOPE(&m->e->meta);
    r = txn_begin(m->e);
    return r < 0 ? r : txn_end(m->e, close_key(m));
}

/* {"bucket","versions":n,"directories":n,"content_bytes":n,"locked":n} */
int engine_import(struct engine *e, struct caller *c, const char *bucket, int fd,
                  struct engine_progress progress, json_t **ret)
{
    int r = upkeep_may(e, c, "holdfs:Import");
    if (r < 0)
        return r;
    struct import *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    *m = (struct import){
        .e = e, .c = c, .name = bucket, .progress = progress, .buf = malloc(IMPORT_CHUNK_BYTES)};
    pax_reader_init(&m->in, fd, &c->reason);
    pthread_mutex_lock(&e->upkeep->lock);
    r = m->buf ? import_run(m) : -ENOMEM;
    pthread_mutex_unlock(&e->upkeep->lock);
    if (r == 0)
        r = durable_advance(e);
    if (r == 0) {
        *ret = json_pack("{s:s, s:I, s:I, s:I, s:I}", "bucket", bucket, "versions", (json_int_t)m->versions,
                         "directories", (json_int_t)m->dirs, "content_bytes", (json_int_t)m->bytes, "locked",
                         (json_int_t)m->locked);
        r = trail_report(e, c, *ret ? 0 : -ENOMEM, "ImportBucket", bucket, *ret);
    }
    pax_reader_done(&m->in);
    free(m->pairs);
    free(m->buf);
    free(m);
    return r;
}
