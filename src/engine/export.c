/* SPDX-License-Identifier: GPL-3.0-or-later
 * A bucket with all its versions and locks as a pax tar stream (doc/on-disk-format.md, "Export").
 *
 * An entry a version: directories first, then keys in order, within a key oldest first, so that an ordinary
 * tar that extracts the stream ends with what is current. With `move` the bucket's versions go once the
 * stream is synced; anything locked refuses that before the first byte. */
#include "engine/kms.h"
#include "engine/pax.h"
#include "engine/trail.h"
#include "engine/upkeep.h"

#include <sched.h>
#include <sys/stat.h>

enum { EXPORT_CHUNK_BYTES = 1 << 20, EXPORT_DIRS = 128 };

struct export
{
    struct engine *e;
    struct caller *c;
    struct bucket *b; /* stays allocated while the engine is open */
    const char *name;
    struct engine_progress progress;
    struct pax_writer out;
    uint8_t *buf;
    uint64_t versions, dirs, objects_bytes, last_seq;
};

/* ---- locks, for move ---- */

/* Names the first locked key and the latest date (retention.md §2.8). */
static int refuse_locked(struct export *x)
{
    struct lock_search s = {.e = x->e};
    int r = walk_all(x->e, x->b->number, span_of(NULL, 0), lock_search_row, &s, NULL);
    if (!s.found)
        return r;
    char until[40];
    timeform_format_ms(s.latest_ms, until);
    r = reason_fail(
        &x->c->reason, EPERM,
        "%s is locked, and %llu versions in all, the last until %s: a bucket is not moved away while "
        "anything in it is locked; export it without --move",
        engine_show(x->b, span_of(s.first.key, s.first.key_len)), (unsigned long long)s.count,
        s.latest_ms ? until : "its legal hold is lifted");
    version_done(&s.first);
    return r;
}

/* ---- the bucket, directories ---- */

static int put_bucket(struct export *x)
{
    struct pax_writer *w = &x->out;
    {
        LOCK_SCOPE(&x->e->meta);
        const struct bucket *b = x->b;
        pax_printf(w, "HOLDFS.format", "1");
        pax_printf(w, "HOLDFS.bucket", "%s", b->name);
        pax_printf(w, "HOLDFS.versioning", "%d", (int)b->versioning);
        pax_printf(w, "HOLDFS.object-lock", "%d", b->object_lock);
        pax_printf(w, "HOLDFS.default-mode", "%d", (int)b->default_mode);
        pax_printf(w, "HOLDFS.default-days", "%u", b->default_days);
        pax_printf(w, "HOLDFS.default-years", "%u", b->default_years);
        pax_printf(w, "HOLDFS.settle", "%lld", (long long)b->settle_s);
        pax_printf(w, "HOLDFS.orphan-keep", "%lld", (long long)b->orphan_keep_s);
        pax_printf(w, "HOLDFS.compress", "%d", b->compress);
        pax_printf(w, "HOLDFS.mode-mask", "%u", b->mode_mask);
        pax_put(w, "HOLDFS.bucket-tags", b->tags.packed.data, b->tags.packed.len);
    }
    return pax_global(w);
}

static void put_record(struct pax_writer *w, const struct record *r)
{
    pax_printf(w, "HOLDFS.mode", "%u", r->mode);
    pax_printf(w, "HOLDFS.uid", "%u", r->uid);
    pax_printf(w, "HOLDFS.gid", "%u", r->gid);
    pax_printf(w, "HOLDFS.ctime", "%lld.%09u", (long long)r->ctime.sec, r->ctime.nsec);
    pax_printf(w, "HOLDFS.btime", "%lld.%09u", (long long)r->btime.sec, r->btime.nsec);
    if (r->atime_set)
        pax_printf(w, "HOLDFS.atime", "%lld.%09u", (long long)r->atime.sec, r->atime.nsec);
    pax_printf(w, "HOLDFS.rdev", "%llu", (unsigned long long)((uint64_t)r->rdev_major << 32 | r->rdev_minor));
    pax_printf(w, "HOLDFS.written", "%d", r->written);
    if (r->etag[0])
        pax_printf(w, "HOLDFS.etag", "%s", r->etag);
    pax_printf(w, "HOLDFS.made-by", "%s", r->made_by);
    pax_put(w, "HOLDFS.attrs", r->attrs.packed.data, r->attrs.packed.len);
}

static void entry_path(const struct export *x, struct span key, struct bytes *out)
{
    bytes_put(out, x->b->name, strlen(x->b->name));
    if (key.len)
        bytes_put_u8(out, '/');
    bytes_put(out, key.p, key.len);
}

struct dir_page {
    struct walk_key keys[EXPORT_DIRS];
    uint64_t ino[EXPORT_DIRS];
    unsigned count, left;
    struct walk_key last;
};

static int dir_page_row(void *arg, const struct tree_row *row)
{
    struct dir_page *p = arg;
    walk_key_set(&p->last, row->key);
    if (row->kind == TREE_DIR) {
        walk_key_set(&p->keys[p->count], row->key);
        p->ino[p->count++] = row->ino;
    }
    return p->count == EXPORT_DIRS || --p->left == 0;
}

/* Made directories alone: the others follow from the keys. */
static int put_dir(struct export *x, struct span key, uint64_t ino)
{
    struct record record;
    {
        LOCK_SCOPE(&x->e->meta);
        struct inode_row row;
        struct inode_body body;
        int r = x->e->meta_ops->inode_get(x->e->m, ino, &row);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        if (inode_body_decode(row.body.p, row.body.len, &body) < 0)
            return -EIO;
        if (!body.dir || body.record.implicit) {
            record_done(&body.record);
            return 0;
        }
        record = body.record;
    }
    struct bytes path = {0};
    entry_path(x, key, &path);
    pax_printf(&x->out, "HOLDFS.kind", "directory");
    put_record(&x->out, &record);
    struct pax_entry entry = {.path = path.data,
                              .path_len = path.len,
                              .type = '5',
                              .mode = record.mode,
                              .uid = record.uid,
                              .gid = record.gid,
                              .mtime = record.mtime};
    int r = path.failed ? -ENOMEM : pax_begin(&x->out, &entry);
    bytes_done(&path);
    record_done(&record);
    x->dirs++;
    return r;
}

static int put_dirs(struct export *x)
{
    CLEANUP_FREE struct dir_page *p = malloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    p->last.len = 0;
    for (bool first = true;; first = false) {
        p->count = 0;
        p->left = WALK_BATCH_ROWS;
        {
            LOCK_SCOPE(&x->e->meta);
            struct walk_key from = p->last;
            int r =
                x->e->meta_ops->tree_scan(x->e->m, x->b->number, walk_span(&from), first, dir_page_row, p);
            if (r < 0)
                return r;
        }
        for (unsigned i = 0; i < p->count; i++) {
            int r = put_dir(x, walk_span(&p->keys[i]), p->ino[i]);
            if (r < 0)
                return r;
        }
        if (p->left && p->count < EXPORT_DIRS)
            return 0;
    }
}

/* ---- versions ---- */

/* M */
static void put_lock(struct export *x, const struct version *v)
{
    if (v->lock_mode) {
        int64_t left = v->lock_hold_s - compliance_now_s(x->e);
        pax_printf(&x->out, "HOLDFS.lock-mode", "%d", (int)v->lock_mode);
        pax_printf(&x->out, "HOLDFS.lock-until", "%lld", (long long)v->lock_until_ms);
        pax_printf(&x->out, "HOLDFS.lock-left", "%lld", (long long)(left > 0 ? left : 0));
    }
    if (v->legal_hold)
        pax_printf(&x->out, "HOLDFS.legal-hold", "%d", (int)v->legal_hold);
}

static char entry_type(const struct version *v)
{
    if (v->flags & VERSION_MARKER)
        return '0';
    switch (v->record.mode & S_IFMT) {
    case S_IFLNK:
        return '2';
    case S_IFIFO:
        return '6';
    case S_IFCHR:
        return '3';
    case S_IFBLK:
        return '4';
    default:
        return '0';
    }
}

static void put_version_words(struct export *x, const struct version *v)
{
    char id[33];
    version_id_text(v, id);
    pax_printf(&x->out, "HOLDFS.kind", "%s", v->flags & VERSION_MARKER ? "marker" : "version");
    pax_printf(&x->out, "HOLDFS.version", "%s", id);
    pax_printf(&x->out, "HOLDFS.published", "%lld", (long long)v->publish_ns);
    pax_printf(&x->out, "HOLDFS.flags", "%u", v->flags);
    pax_printf(&x->out, "HOLDFS.ino", "%llu", (unsigned long long)v->ino);
    put_record(&x->out, &v->record);
    struct attr_item item;
    for (size_t at = 0; attrs_next(&v->record.attrs, &at, &item);) { /* for other tars */
        char name[300];
        if (item.kind == ATTR_XATTR && item.name_len < 256) {
            snprintf(name, sizeof name, "SCHILY.xattr.%.*s", (int)item.name_len, item.name);
            if (!memchr(name, '=', strlen(name)))
                pax_put(&x->out, name, item.value, item.len);
        }
    }
    LOCK_SCOPE(&x->e->meta);
    put_lock(x, v);
}

static int put_content(struct export *x, const struct version *v, struct content *content)
{
    struct content_fault fault = {.what = "unreadable"};
    for (uint64_t at = 0; at < v->record.size_bytes;) {
        ssize_t n =
            content_read(x->e->pipe, content->map, content->keys, at, x->buf, EXPORT_CHUNK_BYTES, &fault);
        if (n <= 0)
            return reason_fail(
                &x->c->reason, EIO,
                "%s is damaged (segment %u offset %llu: %s); nothing was removed, and the stream "
                "ends here: holdfs scrub tells all",
                engine_show(x->b, span_of(v->key, v->key_len)), fault.segment,
                (unsigned long long)fault.place_bytes, fault.what);
        int r = pax_data(&x->out, x->buf, (size_t)n);
        if (r < 0)
            return r;
        at += (uint64_t)n;
        x->objects_bytes += (uint64_t)n;
        r = upkeep_tell(x->progress, "exporting", x->objects_bytes, 0);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_link(struct export *x, const struct version *v, struct content *content)
{
    struct content_fault fault;
    if (v->record.size_bytes >= EXPORT_CHUNK_BYTES)
        return -EIO;
    ssize_t n =
        content_read(x->e->pipe, content->map, content->keys, 0, x->buf, v->record.size_bytes, &fault);
    return n < 0 ? (int)n : 0;
}

/* The content is held (and so kept from collection) by `content`; NULL where there is none but holes. */
static int put_version(struct export *x, const struct version *v, struct content *content)
{
    struct bytes path = {0};
    entry_path(x, span_of(v->key, v->key_len), &path);
    char type = entry_type(v);
    int r = path.failed ? -ENOMEM : 0;
    if (r == 0 && type == '2')
        r = content ? read_link(x, v, content) : -EIO;
    if (r == 0)
        put_version_words(x, v);
    bool data = type == '0' && !(v->flags & VERSION_MARKER);
    struct pax_entry entry = {
        .path = path.data,
        .path_len = path.len,
        .type = type,
        .mode = v->record.mode,
        .uid = v->record.uid,
        .gid = v->record.gid,
        .rdev_major = v->record.rdev_major,
        .rdev_minor = v->record.rdev_minor,
        .size_bytes = data ? v->record.size_bytes : 0,
        .mtime = v->record.mtime,
        .link = type == '2' ? x->buf : NULL,
        .link_len = type == '2' ? v->record.size_bytes : 0,
    };
    if (r == 0)
        r = pax_begin(&x->out, &entry);
    if (r == 0 && data && content)
        r = put_content(x, v, content);
    bytes_done(&path);
    x->versions++;
    if (v->seq > x->last_seq)
        x->last_seq = v->seq;
    return r;
}

/* A content for v, which holds its frames. */
static int hold_content(struct export *x, const struct version *v, struct content **ret)
{
    struct extmap *map = v->record.map ? extmap_ref(v->record.map) : extmap_new();
    int r = map ? 0 : -ENOMEM;
    if (r == 0 && !v->record.map)
        r = extmap_resize(map, v->record.size_bytes);
    struct data_key *kek = NULL;
    if (r == 0)
        r = sse_open(x->e, x->c, x->b, span_of(v->key, v->key_len), v->seq, v->record.env, &kek);
    if (r == 0)
        r = content_new(x->e, x->b, map, ret);
    data_key_unref(kek);
    extmap_unref(map);
    return r;
}

static int next_version(void *arg, const struct version_row *row)
{
    struct version *v = arg;
    if (row->flags & VERSION_REPLACED)
        return 0;
    int r = version_decode(row, v);
    return r < 0 ? r : 1;
}

/* Versions of one key, oldest first, one at a time. */
static int put_key(struct export *x, struct span key)
{
    for (uint64_t after = 0;;) {
        struct version v = {.seq = 0};
        struct content *content = NULL;
        int r;
        {
            LOCK_SCOPE(&x->e->meta);
            r = x->e->meta_ops->version_scan_up(x->e->m, x->b->number, key, after, next_version, &v);
            if (r == 0 && v.seq && !(v.flags & VERSION_MARKER))
                r = hold_content(x, &v, &content);
        }
        if (r < 0 || !v.seq) {
            version_done(&v);
            return r == -EIO ? reason_fail(&x->c->reason, EIO, "%s cannot be read: holdfs fsck tells more",
                                           engine_show(x->b, key))
                             : r;
        }
        r = put_version(x, &v, content);
        after = v.seq;
        content_unref(content);
        version_done(&v);
        if (r < 0)
            return r;
    }
}

static int put_keys(struct export *x)
{
    CLEANUP_FREE struct walk_key *key = malloc(sizeof *key);
    if (!key)
        return -ENOMEM;
    key->len = 0;
    for (;;) {
        int r;
        {
            LOCK_SCOPE(&x->e->meta);
            r = walk_next_key(x->e, x->b->number, span_of(NULL, 0), walk_span(key), false, key);
        }
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        r = put_key(x, walk_span(key));
        if (r == 0)
            r = upkeep_tell(x->progress, "exporting", x->objects_bytes, 0);
        if (r < 0)
            return r;
    }
}

/* ---- move ---- */

static int newer_row(void *arg, const struct version_row *row)
{
    uint64_t *last = arg;
    if (row->seq <= *last || (row->flags & VERSION_REPLACED))
        return 0;
    *last = UINT64_MAX;
    return 1;
}

/* The bucket goes, if all that is in it is in the stream. */
static int move_away(struct export *x)
{
    struct engine *e = x->e;
    LOCK_SCOPE(&e->meta);
    struct bucket *b = bucket_by_number(e, x->b->number);
    if (!b)
        return 0;
    uint64_t last = x->last_seq;
    int r = e->meta_ops->version_scan_keys(e->m, b->number, span_of("", 0), true, newer_row, &last);
    if (r < 0)
        return r;
    bool drafts = false;
    for (size_t slot = 0; e->inodes && slot < e->inode_buckets; slot++) {
        for (struct inode *i = e->inodes[slot]; i; i = i->hash_next)
            drafts |= i->bucket == b && draft_open(i);
    }
    if (last == UINT64_MAX || drafts)
        return reason_fail(
            &x->c->reason, EBUSY,
            "bucket '%s' was written to while it was exported; it stays, and the stream has what "
            "was there before",
            b->name);
    r = bucket_remove_all(e, x->c, b);
    if (r == 0 && e->watcher)
        e->watcher->entry_changed(e->watcher->arg, ENGINE_ROOT_INO, x->name, strlen(x->name));
    return r;
}

/* ---- the whole ---- */

static int export_run(struct export *x, bool move)
{
    struct engine_place all = {.bucket = x->b->number, .key = span_of("", 0)};
    int r = x->e->read_only ? 0 : seal_below(x->e, x->c, &all);
    if (r == 0 && move)
        r = refuse_locked(x);
    if (r == 0)
        r = put_bucket(x);
    if (r == 0)
        r = put_dirs(x);
    if (r == 0)
        r = put_keys(x);
    if (r == 0)
        r = pax_finish(&x->out);
    if (r == 0 && fsync(x->out.fd) < 0 && errno != EINVAL && errno != EROFS) /* a pipe cannot be synced */
        r = -errno;
    return r;
}

static int export_begin(struct export *x, const char *bucket, bool move)
{
    LOCK_SCOPE(&x->e->meta);
    x->b = bucket_by_name(x->e, bucket, strlen(bucket));
    if (!x->b)
        return reason_fail_s3(&x->c->reason, ENOENT, "NoSuchBucket", "there is no bucket '%s'", bucket);
    int r = engine_may(x->e, x->c, "s3:ListBucketVersions", x->b, span_of(NULL, 0));
    if (r == 0)
        r = engine_may(x->e, x->c, "s3:GetObjectVersion", x->b, span_of(NULL, 0));
    if (r == 0 && move)
        r = engine_may(x->e, x->c, "s3:DeleteBucket", x->b, span_of(NULL, 0));
    if (r == 0 && move && x->e->read_only)
        r = reason_fail(&x->c->reason, EROFS, "the store is open for reading only");
    if (r < 0)
        return r;
    return trail_note_alone(x->e, x->c, &(struct trail_event){.name = "ExportBucket", /* before the first byte is out */
                                                              .source = TRAIL_HOLDFS,
                                                              .bucket = x->b,
                                                              .params = json_pack("{s:b}", "move", move),
                                                              .flags = move ? 0 : TRAIL_READ});
}

/* {"bucket","versions":n,"directories":n,"content_bytes":n,"stream_bytes":n,"moved":bool} */
int engine_export(struct engine *e, struct caller *c, const char *bucket, bool move, int fd,
                  struct engine_progress progress, json_t **ret)
{
    struct export x = {.e = e, .c = c, .progress = progress, .name = bucket};
    int r = export_begin(&x, bucket, move);
    if (r < 0)
        return r;
    x.buf = malloc(EXPORT_CHUNK_BYTES);
    r = x.buf ? pax_writer_init(&x.out, fd) : -ENOMEM;
    if (r == 0)
        r = export_run(&x, move);
    uint64_t stream = x.out.bytes;
    pax_writer_done(&x.out);
    free(x.buf);
    if (r == 0 && move)
        r = move_away(&x);
    if (r == 0 && move)
        r = durable_advance(e);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s, s:I, s:I, s:I, s:I, s:b}", "bucket", bucket, "versions", (json_int_t)x.versions,
                     "directories", (json_int_t)x.dirs, "content_bytes", (json_int_t)x.objects_bytes,
                     "stream_bytes", (json_int_t)stream, "moved", move);
    return *ret ? 0 : -ENOMEM;
}
