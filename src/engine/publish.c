/* SPDX-License-Identifier: GPL-3.0-or-later
 * From draft to version: publishing, sealing, saving for fsync, and what recovery does with saved drafts.
 *
 * The rules are retention.md §1.5: a flush publishes; later flushes of the same draft replace that version's content as long as
 * it is still current, unlocked and unsettled; the last release seals. */
#include "engine/draft.h"

#include <assert.h>
#include <sys/stat.h>

void caller_internal(struct engine *e, struct caller *c, const struct principal *p, const char *front)
{
    engine_caller_init(e, c, 0, 0, 0, front);
    c->principal = *p;
}

/* The record to publish: the inode's attributes, the draft's content. M held. */
static int publish_record(struct inode *i, struct extmap *map, struct record *ret)
{
    struct draft *d = i->draft;
    int r = record_copy(ret, &i->record);
    if (r < 0)
        return r;
    extmap_unref(ret->map);
    ret->map = extmap_ref(map);
    ret->size_bytes = map->size_bytes;
    ret->written = d->written;
    ret->envelope = ENVELOPE_SSE_S3;
    memcpy(ret->kek_id, i->bucket->kek_id, 16);
    ret->kek_version = i->bucket->kek_version;
    attrs_remove(&ret->attrs, ATTR_FACT, "tied", 4);
    int64_t written = atomic_load(&i->live_mtime_ns);
    if (written) {
        ret->mtime = ret->ctime = (struct instant){written / 1000000000, (uint32_t)(written % 1000000000)};
        atomic_store(&i->live_mtime_ns, 0);
        i->record.mtime = i->record.ctime = ret->mtime;
    }
    record_new_etag(ret);
    principal_arn(&d->principal, ret->made_by);
    return 0;
}

/* May this version's content still be replaced by the draft that made it? */
static bool publish_replaceable(struct engine *e, const struct inode *i, const struct version *top)
{
    return i->draft->published && top->ino == i->ino && !(top->flags & VERSION_MARKER) && settle_waiting(e, top->seq) &&
           !lock_in_force(e, top);
}

/* Replaces the content of the draft's own version: same id, same place. Where the earlier content is already durable its row stays,
 * hidden, until the new content is durable too (E7). */
static int publish_replace(struct engine *e, struct version *top, const struct record *record)
{
    struct version next = *top;
    next.record = *record;
    next.record.btime = top->record.btime;
    uint64_t old_seq = top->seq;
    if (old_seq > e->durable_seq) {
        settle_touch(e, old_seq);
        return version_store(e, &next);
    }
    struct span key = span_of(top->key, top->key_len);
    next.seq = e->next_seq;
    int r = settle_move(e, top->bucket, key, old_seq, key, next.seq);
    if (r == 0)
        r = settle_add_replaced(e, top->bucket, key, old_seq);
    seq_next(e);
    top->flags |= VERSION_REPLACED;
    if (r == 0)
        r = version_store(e, top);
    if (r == 0)
        r = version_store(e, &next);
    top->seq = next.seq;
    return r;
}

static int publish_name(struct engine *e, struct caller *c, struct inode *i, struct span key, struct record *record,
                        uint64_t *ret_seq)
{
    struct version top;
    int r = version_load(e, i->bucket->number, key, 0, &top);
    if (r < 0 && r != -ENOENT)
        return r;
    bool replace = r == 0 && publish_replaceable(e, i, &top);
    if (replace) {
        r = publish_replace(e, &top, record);
        *ret_seq = top.seq;
    }
    if (r != -ENOENT)
        version_done(&top);
    if (replace)
        return r;
    return version_publish(e, c, i->bucket, key, i->ino, record, false, ret_seq);
}

static int publish_rows(struct engine *e, struct caller *c, struct inode *i, struct record *record, uint64_t *ret_seq)
{
    struct version_ref *names;
    size_t count;
    int r = inode_names(e, i, &names, &count);
    if (r < 0)
        return r;
    for (size_t n = count; r == 0 && n > 0; n--) /* the first name last: its sequence is the inode's */
        r = publish_name(e, c, i, span_of(names[n - 1].key, names[n - 1].key_len), record, ret_seq);
    version_refs_free(names, count);
    if (r == 0 && (i->draft->saved || !i->seq))
        r = e->meta_ops->draft_del(e->m, i->ino);
    return r;
}

/* The rows are committed: the inode shows the new version. M held. */
static int publish_done(struct engine *e, struct inode *i, struct record *record, uint64_t seq)
{
    record_done(&i->record);
    i->record = *record;
    *record = (struct record){0};
    i->seq = seq;
    i->data_bytes = extmap_data_bytes(i->record.map);
    i->draft->changed = false;
    i->draft->published = true;
    i->draft->saved = false;
    struct content *content;
    int r = content_new(e, i->bucket, i->record.map, &content);
    if (r < 0)
        return r;
    content_unref(i->content);
    i->content = content;
    atomic_store(&i->content_stale, false);
    return 0;
}

int draft_publish(struct engine *e, struct caller *c, struct inode *i)
{
    struct draft *d = i->draft;
    if (!d || !d->changed)
        return 0;
    struct extmap *map;
    int r = draft_map(e, i, &map);
    if (r < 0)
        return r;
    struct caller maker = *c;
    maker.principal = d->principal;
    {
        LOCK_SCOPE(&e->meta);
        struct record record;
        if (i->orphan) { /* unlinked: nobody will see it published */
            extmap_unref(map);
            return 0;
        }
        r = publish_record(i, map, &record);
        extmap_unref(map);
        if (r < 0)
            return r;
        uint64_t seq = 0;
        r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, publish_rows(e, &maker, i, &record, &seq));
        if (r == 0)
            r = publish_done(e, i, &record, seq);
        record_done(&record);
    }
    c->reason = maker.reason;
    if (r == 0 && e->sync_close)
        r = durable_advance(e);
    return r;
}

/* A bucket with settle time 0: default retention is there when close returns. M. */
static int seal_settle(struct engine *e, struct inode *i)
{
    struct version_ref *names;
    size_t count;
    int r = inode_names(e, i, &names, &count);
    if (r < 0)
        return r;
    r = txn_begin(e);
    if (r == 0) {
        for (size_t n = 0; r == 0 && n < count; n++) {
            struct version v;
            r = version_load(e, i->bucket->number, span_of(names[n].key, names[n].key_len), 0, &v);
            if (r == 0) {
                if (settle_waiting(e, v.seq))
                    r = settle_now(e, &v);
                version_done(&v);
            }
        }
        r = txn_end(e, r);
    }
    version_refs_free(names, count);
    return r;
}

int draft_seal(struct engine *e, struct caller *c, struct inode *i)
{
    if (!i->draft)
        return 0;
    int r = draft_publish(e, c, i);
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->meta);
    struct draft *d = i->draft;
    i->draft = NULL;
    draft_free(d);
    if (i->orphan || !i->seq)
        return 0;
    settle_touch(e, i->seq);
    return i->bucket->settle_s || !settle_waiting(e, i->seq) ? 0 : seal_settle(e, i);
}

/* ---- fsync of what is not yet a version ---- */

/* Body of draft row 0: u8 1, u32 bucket, blob key, blob record, blob inline data. An empty body: created, nothing synced. */
static void draft_encode(const struct inode *i, const struct record *record, struct bytes *out)
{
    struct bytes packed = {0};
    record_encode(record, &packed);
    bytes_put_u8(out, 1);
    bytes_put_u32(out, i->bucket->number);
    bytes_put_blob(out, i->key, i->key_len);
    bytes_put_blob(out, packed.data, packed.len);
    bytes_put_blob(out, record->map->inline_data.data, record->map->inline_data.len);
    out->failed |= packed.failed;
    bytes_done(&packed);
}

int draft_save(struct engine *e, struct inode *i)
{
    struct extmap *map;
    int r = draft_map(e, i, &map);
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->meta);
    struct record record;
    int64_t written = atomic_load(&i->live_mtime_ns);
    r = publish_record(i, map, &record);
    atomic_store(&i->live_mtime_ns, written);
    extmap_unref(map);
    if (r < 0)
        return r;
    struct bytes body = {0};
    draft_encode(i, &record, &body);
    record_done(&record);
    r = body.failed ? -ENOMEM : txn_begin(e);
    if (r == 0) {
        struct draft_row row = {.ino = i->ino, .body = span_of(body.data, body.len)};
        r = txn_end(e, e->meta_ops->draft_put(e->m, &row));
    }
    bytes_done(&body);
    if (r == 0)
        i->draft->saved = true;
    return r;
}

/* ---- recovery ---- */

struct recovered {
    struct recovered *next;
    uint64_t ino;
    size_t len;
    uint8_t body[];
};

static int recover_collect(void *arg, const struct draft_row *row)
{
    struct recovered **list = arg;
    if (row->part)
        return 0;
    struct recovered *one = malloc(sizeof *one + row->body.len);
    if (!one)
        return -ENOMEM;
    one->ino = row->ino;
    one->len = row->body.len;
    memcpy(one->body, row->body.p, row->body.len);
    one->next = *list;
    *list = one;
    return 0;
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
    if (format != 1 || !reader_finished(&r))
        return -EIO;
    struct record record;
    int err = record_decode(body, body_len, data, data_len, &record);
    if (err < 0)
        return -EIO;
    struct version_ref *names;
    size_t count;
    err = inode_names(e, i, &names, &count);
    uint64_t seq;
    for (size_t n = 0; err == 0 && n < count; n++)
        err = version_publish(e, c, i->bucket, span_of(names[n].key, names[n].key_len), i->ino, &record, false, &seq);
    if (err == 0) {
        version_refs_free(names, count);
        log_notice("recovered '%s': published as it was at its last fsync", engine_show(i->bucket, span_of(i->key, i->key_len)));
    }
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
    struct version v;
    if (d->len) {
        r = recover_publish(e, c, i, d);
    } else if ((r = version_load(e, i->bucket->number, span_of(i->key, i->key_len), 0, &v)) == 0) {
        bool mine = v.ino == i->ino && !(v.flags & VERSION_MARKER);
        version_done(&v);
        r = mine ? 0 : tree_drop_name(e, i->bucket, span_of(i->key, i->key_len), i->ino);
    } else if (r == -ENOENT) {
        r = tree_drop_name(e, i->bucket, span_of(i->key, i->key_len), i->ino); /* created, never closed or synced */
    }
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
    while (list) {
        struct recovered *next = list->next;
        secret_wipe(list->body, list->len);
        free(list);
        list = next;
    }
    return r;
}
