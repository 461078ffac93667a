/* SPDX-License-Identifier: GPL-3.0-or-later
 * Directory handles: from the kernel's offsets to names and back.
 *
 * Offset 1 follows ".", 2 follows "..", n+3 follows the n-th entry. The engine goes on from a name; the
 * handle keeps the names of the last batch, and a mark every MARK_EVERY entries for who seeks further back.
 * READDIRPLUS entries become the kernel's names at once, so they are fetched inside the request that answers
 * them: an unlink between two requests must not come back. */
#include "fuse/dir.h"
#include "fuse/buffer.h"
#include "fuse/hidden.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 512, MARK_EVERY = 1024, PLUS_BYTES_ABOUT = 168 };

struct mark {
    uint64_t index;            /* of the entry after the cursor */
    struct dir_cursor *cursor; /* cut after its name */
};

struct dir {
    struct dir *prev, *next; /* open directories; the list's lock */
    pthread_mutex_t lock;    /* guards all below: one descriptor may be read by several threads */
    fuse_ino_t node;
    struct dir_batch batch;
    uint64_t first;          /* index of the batch's first entry */
    struct dir_cursor start; /* before it */
    bool valid;
    struct mark *marks;
    size_t mark_count, mark_cap;
};

bool dir_batch_add(struct dir_batch *batch, const char *name, size_t len, const struct dir_entry *entry,
                   const struct engine_attr *attr)
{
    if (len > FRONT_NAME_BYTES || dir_batch_full(batch))
        return dir_batch_full(batch);
    struct dir_entry *to = &batch->entries[batch->count];
    *to = *entry;
    to->name_at = batch->names.len;
    to->name_len = (uint8_t)len;
    bytes_put(&batch->names, name, len);
    bytes_put_u8(&batch->names, 0);
    if (attr)
        batch->attrs[batch->count] = *attr;
    batch->count++;
    return dir_batch_full(batch);
}

static void batch_done(struct dir_batch *batch)
{
    free(batch->entries);
    free(batch->attrs);
    bytes_done(&batch->names);
}

static int batch_reset(struct dir_batch *batch, size_t max, bool with_attr)
{
    if (!batch->entries)
        batch->entries = calloc(BATCH_MAX, sizeof *batch->entries);
    if (with_attr && !batch->attrs)
        batch->attrs = calloc(BATCH_MAX, sizeof *batch->attrs);
    if (!batch->entries || (with_attr && !batch->attrs))
        return -ENOMEM;
    bytes_clear(&batch->names);
    batch->count = 0;
    batch->max = max;
    batch->with_attr = with_attr;
    batch->end = false;
    return 0;
}

struct live_list {
    struct fuse_front *front;
    struct dir_batch *batch;
};

static int live_entry(void *arg, const struct engine_entry *e)
{
    struct live_list *list = arg;
    struct dir_entry entry = {.ino = front_node(list->front, e->ino), .mode = e->mode};
    return dir_batch_add(list->batch, e->name, e->name_len, &entry, list->batch->with_attr ? e->attr : NULL);
}

static int live_fetch(struct call *c, const struct dir_cursor *after, struct dir_batch *batch)
{
    struct live_list list = {.front = c->front, .batch = batch};
    int r = engine_readdir(c->front->engine, &c->caller, c->ino, after->name, after->name_len,
                           batch->with_attr, (unsigned)batch->max, live_entry, &list);
    batch->end = r == 0;
    return r < 0 ? r : 0;
}

static int batch_fetch(struct call *c, fuse_ino_t node, const struct dir_cursor *after, size_t max, bool plus,
                       struct dir_batch *batch)
{
    int err = batch_reset(batch, max, plus && !node_is_hidden(node));
    if (!err)
        err = node_is_hidden(node) ? hidden_list(c, node, after, batch) : live_fetch(c, after, batch);
    return err ? err : batch->names.failed ? -ENOMEM : 0;
}

/* The cursor after the batch's entry number `at`, or before the first. */
static void dir_cursor_at(const struct dir *d, size_t at, struct dir_cursor *ret)
{
    if (at == 0) {
        *ret = d->start;
        return;
    }
    const struct dir_entry *e = &d->batch.entries[at - 1];
    ret->seq = e->seq;
    ret->phase = e->phase;
    ret->name_len = e->name_len;
    memcpy(ret->name, d->batch.names.data + e->name_at, e->name_len + 1u);
}

static void dir_mark(struct dir *d, uint64_t index, const struct dir_cursor *cursor)
{
    if (index < MARK_EVERY || (d->mark_count && index < d->marks[d->mark_count - 1].index + MARK_EVERY))
        return;
    if (d->mark_count == d->mark_cap) {
        size_t cap = d->mark_cap ? d->mark_cap * 2 : 16;
        struct mark *marks = realloc(d->marks, cap * sizeof *marks);
        if (!marks)
            return; /* seeking back is slower */
        d->marks = marks;
        d->mark_cap = cap;
    }
    size_t size = offsetof(struct dir_cursor, name) + cursor->name_len + 1u;
    struct dir_cursor *kept = malloc(size);
    if (!kept)
        return;
    memcpy(kept, cursor, size);
    d->marks[d->mark_count++] = (struct mark){.index = index, .cursor = kept};
}

static void dir_from_mark(struct dir *d, uint64_t index)
{
    d->first = 0;
    d->start = (struct dir_cursor){0};
    for (size_t i = d->mark_count; i-- > 0;) {
        if (d->marks[i].index > index)
            continue;
        const struct dir_cursor *cursor = d->marks[i].cursor;
        memcpy(&d->start, cursor, offsetof(struct dir_cursor, name) + cursor->name_len + 1u);
        d->first = d->marks[i].index;
        return;
    }
}

/* Fetches the batch whose first entry has this index, after the cursor. */
static int dir_fetch(struct call *c, struct dir *d, uint64_t index, const struct dir_cursor *after,
                     size_t max, bool plus)
{
    d->valid = false;
    d->start = *after;
    d->first = index;
    int err = batch_fetch(c, d->node, after, max, plus, &d->batch);
    if (err)
        return err;
    d->valid = true;
    dir_mark(d, index, after);
    return 0;
}

/* Brings the batch to where entry `index` can be cut out of it, from a mark on if it lies elsewhere. */
static int dir_seek(struct call *c, struct dir *d, uint64_t index)
{
    if (d->valid && index >= d->first && index <= d->first + d->batch.count)
        return 0;
    dir_from_mark(d, index);
    struct dir_cursor cursor = d->start;
    int err = dir_fetch(c, d, d->first, &cursor, BATCH_MAX, false);
    while (!err && index > d->first + d->batch.count && !d->batch.end) {
        dir_cursor_at(d, d->batch.count, &cursor);
        err = dir_fetch(c, d, d->first + d->batch.count, &cursor, BATCH_MAX, false);
    }
    return err;
}

/* Makes entry `index` part of the batch, or the batch end before it. `fresh`: fetched now, with attributes.
 */
static int dir_load(struct call *c, struct dir *d, uint64_t index, size_t max, bool fresh)
{
    int err = dir_seek(c, d, index);
    if (err)
        return err;
    uint64_t have = d->first + d->batch.count;
    if (index > have || (!fresh && (index < have || d->batch.end)))
        return 0;
    struct dir_cursor cursor;
    dir_cursor_at(d, index - d->first, &cursor);
    return dir_fetch(c, d, index, &cursor, max, fresh);
}

/* An answer being filled. */
struct fill {
    struct call *c;
    char *buf;
    size_t size, used;
    bool plus;
};

static bool fill_add(struct fill *fill, const char *name, struct fuse_entry_param *entry, off_t next)
{
    char *at = fill->buf + fill->used;
    size_t left = fill->size - fill->used;
    size_t need = fill->plus ? fuse_add_direntry_plus(fill->c->req, at, left, name, entry, next)
                             : fuse_add_direntry(fill->c->req, at, left, name, &entry->attr, next);
    if (need > left)
        return false;
    fill->used += need;
    return true;
}

static bool fill_dot(struct fill *fill, const char *name, uint64_t ino, off_t next)
{
    struct fuse_entry_param entry = {.attr = {.st_ino = ino, .st_mode = S_IFDIR}};
    return fill_add(fill, name, &entry, next);
}

static bool fill_entry(struct fill *fill, const struct dir *d, size_t at, off_t next)
{
    const struct dir_entry *e = &d->batch.entries[at];
    struct fuse_entry_param entry = {.attr = {.st_ino = e->ino, .st_mode = e->mode}};
    if (fill->plus && d->batch.with_attr)
        front_entry(fill->c->front, fill->c->ino, &d->batch.attrs[at], &entry);
    return fill_add(fill, (const char *)d->batch.names.data + e->name_at, &entry, next);
}

static uint64_t dir_parent_ino(struct call *c, fuse_ino_t node)
{
    uint64_t up = c->ino;
    if (!node_is_hidden(node) && node != FUSE_ROOT_ID)
        engine_parent(c->front->engine, &c->caller, c->ino, &up);
    return front_node(c->front, up);
}

static uint64_t dir_own_ino(struct call *c, fuse_ino_t node)
{
    return node_is_hidden(node) ? hidden_ino(c->front->hidden, node) : front_node(c->front, c->ino);
}

/* Fills from the entry `index` on, from one batch: the kernel goes on anywhere in what it was given, and
 * there names are exact. */
static int fill_entries(struct fill *fill, struct dir *d, uint64_t index)
{
    size_t max = BATCH_MAX;
    if (fill->plus && fill->size / PLUS_BYTES_ABOUT + 1 < max)
        max = fill->size / PLUS_BYTES_ABOUT + 1;
    int err = dir_load(fill->c, d, index, max, fill->plus);
    if (err)
        return err;
    for (; index < d->first + d->batch.count; index++)
        if (!fill_entry(fill, d, index - d->first, (off_t)(index + 3)))
            break;
    return 0;
}

static int dir_fill(struct fill *fill, struct dir *d, off_t offset)
{
    LOCK_SCOPE(&d->lock);
    if (offset == 0)
        d->valid = false; /* rewinddir(3): the directory as it is now */
    if (offset <= 0 && !fill_dot(fill, ".", dir_own_ino(fill->c, d->node), 1))
        return 0;
    if (offset <= 1 && !fill_dot(fill, "..", dir_parent_ino(fill->c, d->node), 2))
        return 0;
    return fill_entries(fill, d, offset <= 2 ? 0 : (uint64_t)offset - 2);
}

static void readdir_any(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi,
                        bool plus)
{
    struct call c;
    call_begin(&c, req, "readdir", node, NULL);
    struct fill fill = {.c = &c, .buf = buffer_of_thread(), .plus = plus};
    fill.size = size < FRONT_REQUEST_BYTES ? size : FRONT_REQUEST_BYTES;
    int err = fill.buf ? dir_fill(&fill, (struct dir *)fi->fh, offset) : -ENOMEM;
    if (err && !fill.used)
        call_reply(&c, err);
    else
        fuse_reply_buf(req, fill.buf, fill.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi)
{
    readdir_any(req, node, size, offset, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *fi)
{
    readdir_any(req, node, size, offset, fi, true);
}

static void dir_free(struct dir *d)
{
    for (size_t i = 0; i < d->mark_count; i++)
        free(d->marks[i].cursor);
    free(d->marks);
    batch_done(&d->batch);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static void dir_note(struct dir_list *open, struct dir *d)
{
    LOCK_SCOPE(&open->lock);
    d->next = open->first;
    if (d->next)
        d->next->prev = d;
    open->first = d;
}

static void dir_close(struct dir_list *open, struct dir *d)
{
    {
        LOCK_SCOPE(&open->lock);
        if (d->prev)
            d->prev->next = d->next;
        else
            open->first = d->next;
        if (d->next)
            d->next->prev = d->prev;
    }
    dir_free(d);
}

void dirs_close(struct dir_list *open)
{
    while (open->first)
        dir_close(open, open->first);
    pthread_mutex_destroy(&open->lock);
}

void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct call c;
    call_begin(&c, req, "opendir", node, NULL);
    struct dir *d = calloc(1, sizeof *d);
    if (!d) {
        call_reply(&c, -ENOMEM);
        return;
    }
    pthread_mutex_init(&d->lock, NULL);
    d->node = node;
    /* Judged now: the kernel may answer what follows from its cache. Of what is hidden one entry is fetched for it. */
    int err = node_is_hidden(node) ? batch_fetch(&c, node, &(struct dir_cursor){0}, 1, false, &d->batch)
                                   : engine_opendir(c.front->engine, &c.caller, c.ino);
    if (err) {
        dir_free(d);
        call_reply(&c, err);
        return;
    }
    dir_note(&c.front->dirs, d);
    fi->fh = (uint64_t)d;
    fi->cache_readdir = fi->keep_cache = !node_is_hidden(node) && front_entry_timeout(c.front, c.ino) > 0;
    if (fuse_reply_open(req, fi) == -ENOENT)
        dir_close(&c.front->dirs, d);
}

void op_releasedir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    (void)node;
    dir_close(&front_of(req)->dirs, (struct dir *)fi->fh);
    fuse_reply_err(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    (void)fi;
    struct call c;
    call_begin(&c, req, "fsync", node, NULL);
    call_reply(&c, node_is_hidden(node) ? 0 : engine_fsync_dir(c.front->engine, c.ino));
}
