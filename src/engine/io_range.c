/* SPDX-License-Identifier: GPL-3.0-or-later
 * The calls on handles that change or find content by range: fallocate, copy_file_range, SEEK_DATA and SEEK_HOLE. */
#include "engine/draft.h"
#include "engine/kms.h"

#include <fcntl.h>
#include <unistd.h>

int engine_fallocate(struct engine_handle *h, int mode, uint64_t offset, uint64_t length)
{
    if (!h->writable)
        return -EBADF;
    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        return -EOPNOTSUPP;
    if ((mode & FALLOC_FL_PUNCH_HOLE) && !(mode & FALLOC_FL_KEEP_SIZE))
        return -EOPNOTSUPP;
    int r = io_range_check(offset, length);
    if (r < 0)
        return r;
    if (!length)
        return -EINVAL;
    struct engine *e = h->engine;
    struct inode *i = h->inode;
    pthread_rwlock_wrlock(&i->content_lock);
    r = draft_begin_by(h);
    if (r == 0 && (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
        r = draft_punch(e, i, offset, length);
    if (r == 0 && !(mode & FALLOC_FL_KEEP_SIZE) && offset + length > i->draft->size_bytes)
        r = draft_resize(e, i, offset + length);
    pthread_rwlock_unlock(&i->content_lock);
    return r;
}

static bool customer_keys_differ(const struct envelope *a, const struct envelope *b)
{
    bool customer = (a && a->mode == ENVELOPE_SSE_C) || (b && b->mode == ENVELOPE_SSE_C);
    return customer && (!a || !b || memcmp(a->kek_id, b->kek_id, 16) != 0);
}

/* A map to share from: the source's frames, with data keys wrapped for the target's bucket. Source C held. */
static int copy_source_map(struct engine *e, struct inode *in, struct inode *out, uint64_t offset, uint64_t length,
                           struct extmap **ret)
{
    if (in->draft) {
        int r = draft_to_map(e, in);
        if (r < 0)
            return r;
    }
    struct content *content = NULL;
    const struct extmap *map;
    int r = 0;
    if (in->draft) {
        map = in->draft->map;
    } else {
        r = inode_content(e, in, &content);
        if (r < 0)
            return r;
        map = content->map;
    }
    struct extmap *part = extmap_new();
    r = part ? extmap_share(part, offset, map, offset, length) : -ENOMEM;
    if (r == 0)
        r = extmap_tidy(part);
    const struct envelope *from = in->draft ? in->draft->env : content->env, *to = out->draft->env;
    if (r == 0 && customer_keys_differ(from, to))
        r = -EXDEV; /* such content is written anew (encryption.md §1.3): the kernel copies it itself */
    if (r == 0 && (in->bucket != out->bucket || from || to))
        r = keyring_map_rewrap(e, in->bucket, out->bucket, to, part);
    if (r == 0)
        r = content_inline_to_segment(e->pipe, part);
    content_unref(content);
    if (r < 0)
        extmap_unref(part);
    else
        *ret = part;
    return r;
}

static void copy_lock(struct inode *a, struct inode *b, bool lock)
{
    struct inode *first = a < b ? a : b, *second = a < b ? b : a;
    if (lock) {
        pthread_rwlock_wrlock(&first->content_lock);
        if (second != first)
            pthread_rwlock_wrlock(&second->content_lock);
    } else {
        if (second != first)
            pthread_rwlock_unlock(&second->content_lock);
        pthread_rwlock_unlock(&first->content_lock);
    }
}

/* May the source be read through its handle, as it is now? C held. */
static int source_follows(struct engine_handle *in)
{
    struct envelope *env;
    {
        LOCK_SCOPE(&in->engine->meta);
        env = envelope_ref(in->inode->draft ? in->inode->draft->env : in->inode->record.env);
    }
    int r = sse_handle_follows(in, env);
    envelope_unref(env);
    return r;
}

static int copy_shared(struct engine_handle *in, uint64_t in_offset, struct engine_handle *out, uint64_t out_offset,
                       uint64_t *length)
{
    struct engine *e = in->engine;
    struct inode *from = in->inode, *to = out->inode;
    uint64_t size = inode_size(e, from);
    if (in_offset >= size) {
        *length = 0;
        return 0;
    }
    if (*length > size - in_offset)
        *length = size - in_offset;
    if (from == to && in_offset < out_offset + *length && out_offset < in_offset + *length)
        return -EINVAL;
    struct extmap *part;
    int r = source_follows(in);
    if (r == 0)
        r = draft_begin_by(out);
    if (r == 0)
        r = copy_source_map(e, from, to, in_offset, *length, &part);
    if (r == 0) {
        r = draft_to_map(e, to);
        if (r == 0)
            r = extmap_share(to->draft->map, out_offset, part, in_offset, *length);
        if (r == 0)
            r = draft_take_keys(e, to);
        if (r == 0) {
            to->draft->written = to->draft->map_unsaved = true;
            draft_note_change(to);
        }
        extmap_unref(part);
    }
    return r;
}

ssize_t engine_copy_range(struct engine_handle *in, uint64_t in_offset, struct engine_handle *out, uint64_t out_offset,
                          uint64_t length)
{
    if (!out->writable || !in->inode || !out->inode)
        return in->inode ? -EBADF : -EXDEV;
    int r = io_range_check(in_offset, length);
    if (r == 0)
        r = io_range_check(out_offset, length);
    if (r < 0)
        return r;
    copy_lock(in->inode, out->inode, true);
    r = copy_shared(in, in_offset, out, out_offset, &length);
    copy_lock(in->inode, out->inode, false);
    return r < 0 ? r : (ssize_t)length;
}

int64_t engine_seek(struct engine_handle *h, uint64_t offset, int whence)
{
    const struct extmap *map;
    struct inode *i = h->inode;
    int64_t result;
    if (!i) {
        map = h->content->map;
    } else {
        pthread_rwlock_wrlock(&i->content_lock);
        int spilled = i->draft && !i->draft->small ? draft_to_map(h->engine, i) : 0; /* what is pending is data too */
        pthread_rwlock_unlock(&i->content_lock);
        if (spilled < 0)
            return spilled;
        int r = read_prepare(h->engine, i);
        if (r < 0) {
            pthread_rwlock_unlock(&i->content_lock);
            return r;
        }
        struct content *content = i->content;
        map = i->draft ? i->draft->map : content->map;
    }
    uint64_t at = 0;
    if (i && i->draft && i->draft->small) {
        uint64_t size = i->draft->size_bytes;
        result = offset >= size ? -ENXIO : whence == SEEK_DATA ? (int64_t)offset : (int64_t)size;
    } else {
        int r = whence == SEEK_DATA   ? extmap_seek_data(map, offset, &at)
                : whence == SEEK_HOLE ? extmap_seek_hole(map, offset, &at)
                                      : -EINVAL;
        result = r < 0 ? r : (int64_t)at;
    }
    if (i)
        pthread_rwlock_unlock(&i->content_lock);
    return result;
}
