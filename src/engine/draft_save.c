/* SPDX-License-Identifier: GPL-3.0-or-later
 * Drafts that survive a crash: what fsync writes down, and what recovery makes of it (retention.md §1.5, E6, E8).
 *
 * Draft row 0 of an inode is empty (created, nothing synced) or holds a whole record with its map. Rows 1.. each add one
 * written range with its bytes sealed inline, so that an append and its fdatasync cost one sync of the metadata log. */
#include "engine/draft.h"
#include "engine/kms.h"
#include "engine/trail.h"
#include "engine/upkeep.h"

#include <sys/stat.h>

enum { DRAFT_BASE = 1, DRAFT_PART = 2 };

/* ---- saving ---- */

/* Base: u8 1, u32 bucket, blob key, blob record, blob inline data. */
static void draft_encode(const struct inode *i, const struct record *record, struct bytes *out)
{
    struct bytes packed = {0};
    record_encode(record, &packed);
    bytes_put_u8(out, DRAFT_BASE);
    bytes_put_u32(out, i->bucket->number);
    bytes_put_blob(out, i->key, i->key_len);
    bytes_put_blob(out, packed.data, packed.len);
    bytes_put_blob(out, record->map->inline_data.data, record->map->inline_data.len);
    out->failed |= packed.failed;
    bytes_done(&packed);
}

/* The base replaces all rows before. M. */
static int draft_put_base(struct engine *e, struct inode *i, const struct bytes *body)
{
    if (i->orphan) /* its name went meanwhile */
        return 0;
    int r = txn_begin(e);
    if (r < 0)
        return r;
    r = e->meta_ops->draft_del(e->m, i->ino);
    if (r == 0)
        r = e->meta_ops->draft_put(e->m, &(struct draft_row){.ino = i->ino, .body = span_of(body->data, body->len)});
    return txn_end(e, r);
}

static int draft_save_base(struct engine *e, struct inode *i)
{
    struct draft *d = i->draft;
    struct extmap *map;
    int r = draft_map(e, i, &map);
    if (r < 0)
        return r;
    /* A row may reach the disk before anybody syncs it, and it replaces one that was promised: frames first, durable. */
    r = extmap_all_inline(map) ? 0 : e->block_ops->sync(e->b);
    if (r < 0) {
        extmap_unref(map);
        return r;
    }
    LOCK_SCOPE(&e->meta);
    struct record record;
    int64_t written = atomic_load(&i->live_mtime_ns);
    r = publish_record(i, map, &record);
    atomic_store(&i->live_mtime_ns, written);
    if (r < 0) {
        extmap_unref(map);
        return r;
    }
    struct bytes body = {0};
    unsigned kept;
    r = keyring_record_renew(e, i->bucket, &record, &kept);
    draft_encode(i, &record, &body);
    record_done(&record);
    if (r == 0)
        r = body.failed ? -ENOMEM : draft_put_base(e, i, &body);
    bytes_done(&body);
    if (r < 0) {
        extmap_unref(map);
        return r;
    }
    extmap_unref(d->saved_map);
    d->saved_map = map;
    d->saved = true;
    d->has_base = !d->small;
    d->map_unsaved = false;
    d->parts = 0;
    d->parts_bytes = 0;
    return 0;
}

/* Part: u8 2, u64 size of the file, u64 mtime in ns, u64 offset, blob map, blob inline data. */
static int draft_save_part(struct engine *e, struct inode *i)
{
    struct draft *d = i->draft;
    struct extmap *map = extmap_new();
    int r = map ? draft_key(e, i) : -ENOMEM;
    if (r == 0)
        r = keyring_dek_renew(e, i->bucket, &d->wrapped);
    int dek = r < 0 ? r : extmap_dek_index(map, &d->wrapped);
    uint64_t offset = d->pending_offset + d->pending_saved;
    r = dek < 0 ? dek
                : content_write_inline(e->pipe, d->key, (uint32_t)dek, draft_compression(i), map, offset,
                                       d->pending + d->pending_saved, d->pending_len - d->pending_saved);
    struct bytes body = {0}, packed = {0};
    if (r == 0) {
        extmap_encode(map, &packed);
        bytes_put_u8(&body, DRAFT_PART);
        bytes_put_u64(&body, d->size_bytes);
        bytes_put_u64(&body, (uint64_t)atomic_load(&i->live_mtime_ns));
        bytes_put_u64(&body, offset);
        bytes_put_blob(&body, packed.data, packed.len);
        bytes_put_blob(&body, map->inline_data.data, map->inline_data.len);
        r = body.failed || packed.failed ? -ENOMEM : 0;
    }
    if (r == 0) {
        LOCK_SCOPE(&e->meta);
        struct draft_row row = {.ino = i->ino, .part = d->parts + 1, .body = span_of(body.data, body.len)};
        r = i->orphan ? -ESTALE : txn_begin(e);
        if (r == 0)
            r = txn_end(e, e->meta_ops->draft_put(e->m, &row));
    }
    if (r == 0) {
        d->parts++;
        d->parts_bytes += body.len;
        d->pending_saved = d->pending_len;
    }
    bytes_done(&packed);
    bytes_done(&body);
    extmap_unref(map);
    return r == -ESTALE ? 0 : r; /* its name went meanwhile */
}

static bool is_orphan(struct engine *e, const struct inode *i)
{
    LOCK_SCOPE(&e->meta);
    return i->orphan;
}

int draft_save(struct engine *e, struct inode *i)
{
    struct draft *d = i->draft;
    if (is_orphan(e, i))
        return 0;
    bool attrs_unsaved = atomic_exchange(&d->attrs_unsaved, false);
    if (!d->small && d->has_base && !d->map_unsaved && !attrs_unsaved && d->parts_bytes < DRAFT_PARTS_BYTES) {
        return d->pending_saved < d->pending_len ? draft_save_part(e, i) : 0;
    }
    int r = draft_save_base(e, i);
    if (r == 0)
        d->promised = true;
    return r;
}

static int draft_rewrap(struct engine *e, struct inode *i)
{
    struct draft *d = i->draft;
    int r = d->key ? keyring_dek_renew(e, i->bucket, &d->wrapped) : 0;
    if (r == 0) {
        LOCK_SCOPE(&e->meta);
        r = kms_envelope_renew(e, &d->env);
    }
    return r == 0 && d->saved ? draft_save_base(e, i) : r;
}

int drafts_rewrap(struct engine *e, bool (*which)(void *arg, const struct inode *i), void *arg)
{
    struct inode **list = NULL;
    size_t count = 0;
    int r = files_collect(e, file_in_use, &list, &count);
    for (size_t n = 0; r == 0 && n < count; n++) {
        pthread_rwlock_wrlock(&list[n]->content_lock);
        if (list[n]->draft && which(arg, list[n]))
            r = draft_rewrap(e, list[n]);
        pthread_rwlock_unlock(&list[n]->content_lock);
    }
    files_release(e, list, count);
    return r;
}

/* ---- recovery ---- */

/* A row, kept: a base (or an empty one) on the list, its parts behind it in order. */
struct recovered {
    struct recovered *next;
    struct recovered *parts, *last_part;
    uint64_t ino;
    size_t len;
    uint8_t body[];
};

static int recover_collect(void *arg, const struct draft_row *row)
{
    struct recovered **list = arg;
    struct recovered *one = malloc(sizeof *one + row->body.len);
    if (!one)
        return -ENOMEM;
    *one = (struct recovered){.ino = row->ino, .len = row->body.len};
    memcpy(one->body, row->body.p, row->body.len);
    struct recovered *base = *list;
    if (row->part && base && base->ino == row->ino) {
        if (base->last_part)
            base->last_part->next = one;
        else
            base->parts = one;
        base->last_part = one;
    } else {
        one->next = *list;
        *list = one;
    }
    return 0;
}

static void recovered_free(struct recovered *list)
{
    while (list) {
        struct recovered *next = list->next;
        recovered_free(list->parts);
        secret_wipe(list->body, list->len);
        free(list);
        list = next;
    }
}

/* A later fsync's range over the content so far. */
static int recover_part(struct record *record, const struct recovered *part)
{
    struct reader r = reader_over(part->body, part->len);
    uint8_t format = reader_u8(&r);
    uint64_t size = reader_u64(&r);
    int64_t mtime_ns = (int64_t)reader_u64(&r);
    uint64_t offset = reader_u64(&r);
    size_t map_len, data_len;
    const uint8_t *packed = reader_blob(&r, &map_len);
    const uint8_t *data = reader_blob(&r, &data_len);
    if (format != DRAFT_PART || !reader_finished(&r))
        return -EIO;
    struct extmap *map;
    if (extmap_decode(packed, map_len, &map) < 0)
        return -EIO;
    bytes_put(&map->inline_data, data, data_len);
    int err = map->size_bytes < offset  ? -EIO
              : map->inline_data.failed ? -ENOMEM
                                        : extmap_share(record->map, offset, map, offset, map->size_bytes - offset);
    extmap_unref(map);
    if (err == 0)
        err = extmap_resize(record->map, size);
    if (mtime_ns)
        record->mtime = record->ctime = instant_of_ns(mtime_ns);
    record->size_bytes = size;
    return err;
}

static int recover_publish(struct engine *e, struct caller *c, struct inode *i, const struct recovered *d)
{
    struct reader r = reader_over(d->body, d->len);
    size_t key_len, body_len, data_len;
    uint8_t format = reader_u8(&r);
    reader_u32(&r);
    reader_blob(&r, &key_len);
    const uint8_t *body = reader_blob(&r, &body_len);
    const uint8_t *data = reader_blob(&r, &data_len);
    if (format != DRAFT_BASE || !reader_finished(&r))
        return -EIO;
    struct record record;
    int err = record_decode(body, body_len, data, data_len, &record);
    if (err < 0)
        return -EIO;
    for (const struct recovered *part = d->parts; err == 0 && part; part = part->next)
        err = recover_part(&record, part);
    if (err == 0 && d->parts)
        err = content_inline_to_segment(e->pipe, record.map);
    struct version_ref *names = NULL;
    size_t count = 0;
    if (err == 0)
        err = inode_names(e, i, &names, &count);
    uint64_t seq;
    for (size_t n = 0; err == 0 && n < count; n++)
        err = version_publish(e, c, i->bucket, span_of(names[n].key, names[n].key_len), i->ino, &record, false, &seq);
    version_refs_free(names, count);
    if (err == 0)
        err = trail_note(e, NULL, &(struct trail_event){.name = "RecoveryPublished", .source = TRAIL_HOLDFS, .flags = TRAIL_SERVICE,
                                                        .bucket = i->bucket, .key = span_of(i->key, i->key_len)});
    if (err == 0)
        log_notice("recovered '%s': published as it was at its last fsync", engine_show(i->bucket, span_of(i->key, i->key_len)));
    record_done(&record);
    return err;
}

/* The inode of a draft: its row stands, but perhaps no version, so it is not loaded through inode_get(). */
static int recover_inode(struct engine *e, uint64_t ino, struct inode **ret)
{
    struct inode_row row;
    int r = e->meta_ops->inode_get(e->m, ino, &row);
    if (r < 0)
        return r;
    struct bucket *b = bucket_by_number(e, row.bucket);
    struct inode_body body = {0};
    if (!b || inode_body_decode(row.body.p, row.body.len, &body) < 0)
        return -EIO;
    struct record empty = {.mode = S_IFREG};
    inode_forget(e, ino); /* what a roll-back has loaded of it */
    r = inode_new(e, b, row.key, ino, &empty, ret);
    if (r == 0) {
        (*ret)->nlink = body.nlink;
        (*ret)->generation = body.generation;
    }
    record_done(&body.record);
    return r;
}

static int recover_one(struct engine *e, struct caller *c, const struct recovered *d)
{
    struct inode *i;
    int r = recover_inode(e, d->ino, &i);
    if (r == -ENOENT)
        return e->meta_ops->draft_del(e->m, d->ino);
    if (r < 0)
        return r;
    r = d->len ? recover_publish(e, c, i, d) : tree_drop_unpublished(e, i);
    if (r == 0)
        r = e->meta_ops->draft_del(e->m, d->ino);
    i->orphan = true; /* not to stay cached half-loaded */
    inode_put(e, i);
    return r;
}

int drafts_recover(struct engine *e, struct caller *c)
{
    struct recovered *list = NULL;
    int r = e->meta_ops->draft_scan(e->m, recover_collect, &list);
    for (struct recovered *d = list; r == 0 && d; d = d->next) {
        r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, recover_one(e, c, d));
    }
    recovered_free(list);
    return r;
}
