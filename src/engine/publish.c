/* SPDX-License-Identifier: GPL-3.0-or-later
 * From draft to version: publishing and sealing.
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
int publish_record(struct inode *i, struct extmap *map, struct record *ret)
{
    struct draft *d = i->draft;
    int r = record_copy(ret, &i->record);
    if (r < 0)
        return r;
    extmap_unref(ret->map);
    ret->map = extmap_ref(map);
    ret->size_bytes = map->size_bytes;
    ret->written = d->written;
    record_set_envelope(ret, d->env, i->bucket->kek_id, i->bucket->kek_version);
    attrs_remove(&ret->attrs, ATTR_FACT, "tied", 4);
    int64_t written = atomic_load(&i->live_mtime_ns);
    if (written) {
        ret->mtime = ret->ctime = instant_of_ns(written);
        atomic_store(&i->live_mtime_ns, 0);
        i->record.mtime = i->record.ctime = ret->mtime;
    }
    record_new_etag(ret);
    principal_arn(&d->principal, ret->made_by);
    return 0;
}

/* May this version's content still be replaced? Only by the draft that made it: i->record is what that one published last. */
static bool publish_replaceable(struct engine *e, const struct inode *i, const struct version *top)
{
    return i->draft->published && top->ino == i->ino && !(top->flags & VERSION_MARKER) &&
           !strcmp(top->record.etag, i->record.etag) && settle_waiting(e, top->seq) && !lock_in_force(e, top);
}

/* Replaces the content of the draft's own version: same id, same place. Where the earlier content is already durable its row stays,
 * hidden, until the new content is durable too (E7). */
static int publish_replace(struct engine *e, struct version *top, const struct record *record)
{
    struct version next = *top;
    next.record = *record;
    next.record.btime = top->record.btime;
    uint64_t old_seq = top->seq;
    if (old_seq > e->promised_seq) {
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
    if (i->draft->promised)
        durable_promise(e, seq);
    i->draft->saved = i->draft->has_base = i->draft->promised = false;
    extmap_unref(i->draft->saved_map);
    i->draft->saved_map = NULL;
    i->draft->parts = 0;
    i->draft->parts_bytes = 0;
    i->draft->map_unsaved = true;
    struct content *content;
    int r = content_new(e, i->bucket, i->record.map, &content);
    if (r < 0)
        return r;
    content->env = envelope_ref(i->record.env);
    content_unref(i->content);
    i->content = content;
    atomic_store(&i->content_stale, false);
    return 0;
}

/* The content to publish. The rows of an fsync go with the publishing transaction, which may reach the disk by itself: what it
 * promised must then be durable without them. */
static int publish_map(struct engine *e, struct inode *i, struct extmap **ret)
{
    struct draft *d = i->draft;
    if (d->saved_map) {
        *ret = extmap_ref(d->saved_map);
        return 0;
    }
    int r = draft_map(e, i, ret);
    if (r < 0 || !d->promised || extmap_all_inline(*ret))
        return r;
    r = e->block_ops->sync(e->b);
    if (r < 0)
        extmap_unref(*ret);
    return r;
}

int draft_publish(struct engine *e, struct caller *c, struct inode *i)
{
    struct draft *d = i->draft;
    if (!d || !d->changed)
        return 0;
    struct extmap *map;
    int r = publish_map(e, i, &map);
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
    if (r < 0)
        c->refused = maker.refused;
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

/* Does sealing lock? Then the frames are made durable before the lock's row can be. */
static bool seal_locks(struct engine *e, const struct inode *i)
{
    LOCK_SCOPE(&e->meta);
    return !i->orphan && i->bucket->object_lock && i->bucket->default_mode != LOCK_NONE && !i->bucket->settle_s;
}

int draft_seal(struct engine *e, struct caller *c, struct inode *i)
{
    if (!i->draft)
        return 0;
    int r = draft_publish(e, c, i);
    if (r == 0 && seal_locks(e, i))
        r = e->block_ops->sync(e->b);
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->meta);
    struct draft *d = i->draft;
    i->draft = NULL;
    draft_free(d);
    if (i->orphan || !i->seq)
        return 0;
    inode_settle_touch(e, i);
    return i->bucket->settle_s || !settle_waiting(e, i->seq) ? 0 : seal_settle(e, i);
}

int draft_seal_closed(struct engine *e, struct caller *c, struct inode *i)
{
    {
        LOCK_SCOPE(&e->meta);
        if (!i->draft)
            return 0;
    }
    pthread_rwlock_wrlock(&i->content_lock);
    int r = i->draft && i->draft->published && !i->draft->changed ? draft_seal(e, c, i) : 0;
    pthread_rwlock_unlock(&i->content_lock);
    return r;
}
