/* SPDX-License-Identifier: GPL-3.0-or-later
 * Handles: opening, reading, writing, flushing, syncing. Ranges are in io_range.c.
 *
 * Each call takes the inode's content lock, then (briefly) engine.meta. Permission is judged at open. */
#include "engine/draft.h"
#include "engine/kms.h"
#include "engine/trail.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IO_FILE_MAX_SHIFT = 43 }; /* 8 TiB: what 2^32 frames of one data key cover with room to spare */

static void io_handle_caller(struct engine_handle *h, struct caller *c)
{
    engine_caller_init(h->engine, c, h->uid, 0, 0, "mount");
    c->principal = h->principal;
}

void handle_note(struct engine *e, struct engine_handle *h)
{
    h->next = e->handles;
    if (h->next)
        h->next->prev = h;
    e->handles = h;
}

static void handle_drop(struct engine *e, struct engine_handle *h)
{
    if (h->prev)
        h->prev->next = h->next;
    else
        e->handles = h->next;
    if (h->next)
        h->next->prev = h->prev;
}

/* M held. Takes over the inode reference. */
static int handle_new(struct engine *e, struct caller *c, struct inode *i, int flags, struct engine_handle **ret)
{
    struct engine_handle *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->engine = e;
    h->inode = i;
    h->uid = c->uid;
    h->principal = c->principal;
    h->writable = (flags & O_ACCMODE) != O_RDONLY;
    atomic_fetch_add(&i->handles, 1);
    if (h->writable)
        atomic_fetch_add(&i->writers, 1);
    handle_note(e, h);
    *ret = h;
    return 0;
}

/* One that came to nothing. M */
static void handle_undo(struct engine_handle *h)
{
    sse_handle_done(h);
    handle_drop(h->engine, h);
    if (h->writable)
        atomic_fetch_sub(&h->inode->writers, 1);
    atomic_fetch_sub(&h->inode->handles, 1);
    inode_put(h->engine, h->inode);
    free(h);
}

uint64_t engine_handle_ino(const struct engine_handle *h)
{
    return h->inode ? h->inode->ino : 0;
}

bool engine_handle_writable(const struct engine_handle *h)
{
    return h->writable;
}

/* ---- open ---- */

static int open_may(struct engine *e, struct caller *c, struct inode *i, int flags)
{
    int r = 0;
    if ((flags & O_ACCMODE) != O_WRONLY)
        r = engine_may_inode(e, c, "s3:GetObject", i, NULL);
    if (r == 0 && (flags & O_ACCMODE) == O_RDONLY)
        r = trail_read(e, c, i->bucket, span_of(i->key, i->key_len), NULL);
    if (r == 0 && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))) {
        r = engine_may_inode(e, c, "s3:PutObject", i, NULL);
        if (r == 0 && e->read_only)
            r = -EROFS;
    }
    return r;
}

/* O_TRUNC on an empty file has nothing to lose and makes no version: times only (retention.md §1.5). */
static int open_touch(struct engine *e, struct caller *c, struct inode *i)
{
    LOCK_SCOPE(&e->meta);
    if (draft_open(i) || i->orphan)
        return 0;
    if (pinned_forbids(e, c, i) < 0) { /* what is written next is a newer version with times of its own */
        reason_clear(&c->reason);
        return 0;
    }
    i->record.mtime = i->record.ctime = instant_now();
    int r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, inode_record_save(e, i));
    if (r < 0)
        inode_restore(e, i);
    else
        inode_settle_touch(e, i);
    return r;
}

/* O_TRUNC: a file that held anything starts a draft. */
static int open_truncate(struct engine_handle *h, struct caller *c)
{
    struct engine *e = h->engine;
    struct inode *i = h->inode;
    pthread_rwlock_wrlock(&i->content_lock);
    int r;
    if (!inode_size(e, i)) {
        r = open_touch(e, c, i);
    } else {
        r = draft_begin_empty(e, i, &h->principal);
        if (r == 0)
            r = draft_envelope_set(e, i, h->env, h->kek);
    }
    pthread_rwlock_unlock(&i->content_lock);
    return r;
}

/* Which key the handle reads or writes under, opened for it: of content that stays, its own; of content that begins anew, what its
 * bucket or the mount says (encryption.md §3.3, §4.2). M */
static int open_keys(struct engine *e, struct caller *c, struct inode *i, int flags, struct engine_handle *h)
{
    struct span key = span_of(i->key, i->key_len);
    struct envelope *env = NULL;
    struct data_key *kek = NULL;
    int r;
    if (h->writable && (flags & O_TRUNC)) {
        h->fresh = true;
        r = sse_new(e, c, i->bucket, key, &env, &kek);
    } else {
        env = envelope_ref(i->draft ? i->draft->env : i->record.env);
        r = sse_open(e, c, i->bucket, key, i->seq, env, &kek);
    }
    if (r < 0) {
        envelope_unref(env);
        return r;
    }
    sse_handle_set(h, env, kek);
    return 0;
}

int engine_open_file(struct engine *e, struct caller *c, uint64_t ino, int flags, struct engine_handle **ret)
{
    struct engine_handle *h = NULL;
    {
        LOCK_SCOPE(&e->meta);
        struct inode *i;
        int r = inode_get(e, ino, &i);
        if (r < 0)
            return r;
        r = i->dir ? -EISDIR : open_may(e, c, i, flags);
        if (r == 0)
            r = handle_new(e, c, i, flags, &h);
        if (r < 0) {
            inode_put(e, i);
            return r;
        }
        r = open_keys(e, c, i, flags, h);
        if (r < 0) {
            handle_undo(h);
            return r;
        }
    }
    int r = h->writable ? draft_seal_closed(e, c, h->inode) : 0;
    if (r == 0 && h->writable && (flags & O_TRUNC))
        r = open_truncate(h, c);
    if (r < 0) {
        engine_release(h);
        return r;
    }
    *ret = h;
    return 0;
}

/* ---- create ---- */

int create_rows(struct engine *e, struct bucket *b, struct span key, uint64_t ino)
{
    int r = e->meta_ops->tree_put(e->m, &(struct tree_row){.bucket = b->number, .key = key, .ino = ino, .kind = TREE_OBJECT});
    if (r == 0)
        r = file_row_put(e, b->number, key, ino, 1, 1);
    if (r == 0)
        r = e->meta_ops->draft_put(e->m, &(struct draft_row){.ino = ino});
    return r;
}

/* A new inode with an empty draft. M held; `key` NULL-length only for O_TMPFILE (then nothing is written). */
static int create_inode(struct engine *e, struct caller *c, struct inode *dir, struct span key, uint32_t mode, bool named,
                        struct inode **ret)
{
    struct record record;
    int r = tree_new_record(c, dir, S_IFREG | (mode & 07777), &record);
    if (r < 0)
        return r;
    uint64_t ino = e->next_ino++;
    struct inode *i;
    r = inode_new(e, dir->bucket, key, ino, &record, &i);
    record_done(&record);
    if (r < 0)
        return r;
    if (named) {
        r = txn_begin(e);
        if (r == 0)
            r = txn_leave_open(e, create_rows(e, dir->bucket, key, ino), i);
    }
    if (r < 0 || !named) {
        i->orphan = true;
        i->nlink = 0;
    }
    if (r < 0)
        inode_put(e, i);
    else
        *ret = i;
    return r;
}

static int create_draft(struct engine_handle *h, bool named)
{
    struct engine *e = h->engine;
    struct inode *i = h->inode;
    pthread_rwlock_wrlock(&i->content_lock);
    int r = draft_begin(e, i, &h->principal);
    if (r == 0)
        r = draft_envelope_set(e, i, h->env, h->kek);
    if (r == 0) {
        i->draft->changed = true; /* creating is a change: the close publishes an empty version */
        i->draft->saved = named;
    }
    pthread_rwlock_unlock(&i->content_lock);
    return r;
}

static int create_open(struct engine *e, struct caller *c, uint64_t dir_ino, const char *name, size_t len, uint32_t mode,
                       int flags, struct engine_attr *ret_attr, struct engine_handle **ret)
{
    bool named = name != NULL;
    struct engine_handle *h = NULL;
    {
        LOCK_SCOPE(&e->meta);
        struct inode *dir, *i = NULL;
        int r = tree_dir(e, dir_ino, &dir);
        if (r < 0)
            return r;
        uint8_t buf[4096];
        struct span key = span_of("", 0);
        struct auth_value none_match = {.key = AUTH_IF_NONE_MATCH, .text = "*", .len = 1};
        struct may exclusive = {.values = &none_match, .count = 1};
        if (named)
            r = tree_create_begin(e, c, dir, name, len, buf, &key, flags & O_EXCL ? &exclusive : NULL);
        else if (!dir->bucket)
            r = -EPERM;
        else
            r = engine_may_inode(e, c, "s3:PutObject", dir, NULL);
        struct envelope *env = NULL;
        struct data_key *kek = NULL;
        if (r == 0)
            r = sse_new(e, c, dir->bucket, named ? key : span_of("", 0), &env, &kek);
        if (r == 0)
            r = create_inode(e, c, dir, key, mode, named, &i);
        if (r == 0)
            r = handle_new(e, c, i, flags, &h);
        if (r == 0) {
            h->fresh = true;
            sse_handle_set(h, env, kek);
            if (named)
                inode_touch_dir(e, dir);
            inode_attr(e, i, ret_attr);
        } else {
            data_key_unref(kek);
            envelope_unref(env);
            inode_put(e, i);
        }
        inode_put(e, dir);
        if (r < 0)
            return r;
    }
    int r = create_draft(h, named);
    if (r < 0) {
        engine_release(h);
        return r;
    }
    *ret = h;
    return 0;
}

int engine_create(struct engine *e, struct caller *c, uint64_t dir, const char *name, size_t len, uint32_t mode, int flags,
                  struct engine_attr *ret_attr, struct engine_handle **ret)
{
    return create_open(e, c, dir, name, len, mode, flags, ret_attr, ret);
}

int engine_tmpfile(struct engine *e, struct caller *c, uint64_t dir, uint32_t mode, int flags, struct engine_attr *ret_attr,
                   struct engine_handle **ret)
{
    return create_open(e, c, dir, NULL, 0, mode, flags, ret_attr, ret);
}

/* ---- read, write ---- */

/* Makes the published content ready (keys opened); C held for reading on return, whatever the result. */
int read_prepare(struct engine *e, struct inode *i)
{
    pthread_rwlock_rdlock(&i->content_lock);
    while (!i->draft && (!i->content || atomic_load(&i->content_stale))) {
        pthread_rwlock_unlock(&i->content_lock);
        pthread_rwlock_wrlock(&i->content_lock);
        struct content *content;
        int r = i->draft ? 0 : inode_content(e, i, &content);
        if (r == 0 && !i->draft)
            content_unref(content);
        pthread_rwlock_unlock(&i->content_lock);
        pthread_rwlock_rdlock(&i->content_lock);
        if (r < 0)
            return r;
    }
    return 0;
}

static ssize_t read_version(struct engine_handle *h, void *buf, size_t len, uint64_t offset)
{
    struct content_fault fault = {0};
    int r = sse_handle_follows(h, h->content->env);
    if (r < 0)
        return r;
    ssize_t n = content_read(h->engine->pipe, h->content->map, h->content->keys, offset, buf, len, &fault);
    if (n == -EIO) {
        LOCK_SCOPE(&h->engine->meta);
        integrity_event(h->engine, fault.what ? fault.what : "unreadable", "(version)", span_of("", 0), "");
    }
    return n;
}

ssize_t engine_read(struct engine_handle *h, void *buf, size_t len, uint64_t offset)
{
    if (!h->inode)
        return read_version(h, buf, len, offset);
    struct inode *i = h->inode;
    struct content_fault fault = {0};
    ssize_t n = read_prepare(h->engine, i);
    if (n == 0)
        n = sse_handle_follows(h, i->draft ? i->draft->env : i->content->env);
    if (n == 0) {
        struct content *content = i->content;
        n = i->draft ? draft_read(h->engine, i, buf, len, offset, &fault)
                     : content_read(h->engine->pipe, content->map, content->keys, offset, buf, len, &fault);
    }
    pthread_rwlock_unlock(&i->content_lock);
    if (n == -EIO)
        content_report(h->engine, i, &fault);
    return n;
}

int io_range_check(uint64_t offset, uint64_t length)
{
    uint64_t end;
    if (__builtin_add_overflow(offset, length, &end) || end > UINT64_C(1) << IO_FILE_MAX_SHIFT)
        return -EFBIG;
    return 0;
}

ssize_t engine_write(struct engine_handle *h, const void *buf, size_t len, uint64_t offset)
{
    if (!h->writable)
        return -EBADF;
    int r = io_range_check(offset, len);
    if (r < 0 || !len)
        return r;
    struct inode *i = h->inode;
    pthread_rwlock_wrlock(&i->content_lock);
    r = draft_begin_by(h);
    if (r == 0)
        r = draft_write(h->engine, i, buf, len, offset);
    pthread_rwlock_unlock(&i->content_lock);
    return r < 0 ? r : (ssize_t)len;
}

/* ---- flush, fsync, release ---- */

int engine_flush(struct engine *e, struct caller *c, struct engine_handle *h)
{
    if (!h->writable)
        return 0;
    struct inode *i = h->inode;
    pthread_rwlock_wrlock(&i->content_lock);
    int r = draft_publish(e, c, i);
    pthread_rwlock_unlock(&i->content_lock);
    return r;
}

/* The published content, too, is promised from now on: publishing again must not write over its row (publish_replace). Whether the
 * metadata log alone makes it durable, because nothing of it lies in a segment. C. */
static bool sync_published(struct engine *e, struct inode *i)
{
    LOCK_SCOPE(&e->meta);
    durable_promise(e, i->seq);
    return record_inline(&i->record);
}

int engine_fsync(struct engine_handle *h, bool data_only)
{
    (void)data_only;
    struct engine *e = h->engine;
    struct inode *i = h->inode;
    if (!i || e->read_only)
        return 0;
    int r = 0;
    bool metadata_only;
    pthread_rwlock_wrlock(&i->content_lock);
    if (i->draft && i->draft->changed) {
        r = draft_save(e, i);
        metadata_only = true;
    } else {
        metadata_only = sync_published(e, i);
    }
    pthread_rwlock_unlock(&i->content_lock);
    if (r < 0)
        return r;
    return metadata_only ? e->meta_ops->sync(e->m) : durable_advance(e);
}

int engine_fsync_dir(struct engine *e, uint64_t dir)
{
    (void)dir;
    if (e->read_only)
        return 0;
    {
        LOCK_SCOPE(&e->meta);
        int r = inode_save_dirty_dirs(e);
        if (r == 0)
            r = txn_flush(e);
        if (r < 0)
            return r;
    }
    return durable_advance(e);
}

/* close(2) has reported it already. What was published before stays; a name that never had a version goes. What was fsynced is not
 * given up: its draft stays, to be published by the next writer or at the end. */
static void release_failed(struct engine *e, struct inode *i, int error)
{
    LOCK_SCOPE(&e->meta);
    log_error("'%s' could not be published at its last close: %s", engine_show(i->bucket, span_of(i->key, i->key_len)),
              strerror(-error));
    if (!i->draft) /* published; only settling failed */
        return;
    if (i->draft->promised && !i->orphan) {
        inode_ref(i);
        return;
    }
    draft_free(i->draft);
    i->draft = NULL;
    if (i->seq || i->orphan)
        return;
    int r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, tree_drop_unpublished(e, i));
    if (r < 0)
        log_error("and its name could not be taken back (%s): holdfs fsck --repair does it", strerror(-r));
}

/* The last writer went: what changed since the last flush (mmap) is published, and the version is sealed. */
static void release_writer(struct engine_handle *h)
{
    struct engine *e = h->engine;
    struct inode *i = h->inode;
    pthread_rwlock_wrlock(&i->content_lock);
    if (atomic_fetch_sub(&i->writers, 1) == 1 && i->draft) {
        struct caller c;
        io_handle_caller(h, &c);
        int r = draft_seal(e, &c, i);
        if (r < 0)
            release_failed(e, i, r);
    }
    pthread_rwlock_unlock(&i->content_lock);
}

/* Handles keep unwrapped data keys until the last of them goes (encryption.md §1.6). */
static void release_keys(struct engine_handle *h)
{
    struct inode *i = h->inode;
    pthread_rwlock_wrlock(&i->content_lock);
    struct content *content = atomic_load(&i->handles) == 1 && !i->draft ? i->content : NULL;
    if (content && content->env) {
        LOCK_SCOPE(&h->engine->meta);
        i->content = NULL;
    } else {
        content = NULL;
    }
    pthread_rwlock_unlock(&i->content_lock);
    content_unref(content);
}

void engine_release(struct engine_handle *h)
{
    struct engine *e = h->engine;
    if (h->writable)
        release_writer(h);
    content_unref(h->content);
    if (h->inode && h->env)
        release_keys(h);
    {
        LOCK_SCOPE(&e->meta);
        sse_handle_done(h);
        handle_drop(e, h);
        if (h->inode) {
            atomic_fetch_sub(&h->inode->handles, 1);
            inode_put(e, h->inode);
        }
    }
    free(h);
}

void handles_release(struct engine *e)
{
    while (e->handles)
        engine_release(e->handles);
}
