/* SPDX-License-Identifier: GPL-3.0-or-later
 * Sealing a file that may be open for writing, before a lock or the end of its settle time (retention.md
 * §1.6, §2.6 "Lock on an open draft"): first the kernel's dirty pages, then the draft; what is written
 * afterwards belongs to a newer version. */
#include "engine/walk.h"
#include "engine/draft.h"

static int write_back(struct engine *e, struct inode *i)
{
    if (!e->watcher || !e->watcher->write_back || !atomic_load(&i->handles))
        return 0;
    return e->watcher->write_back(e->watcher->arg, i->ino);
}

static int inode_find(struct engine *e, uint64_t ino, struct inode **ret)
{
    LOCK_SCOPE(&e->meta);
    return inode_get(e, ino, ret);
}

static void inode_leave(struct engine *e, struct inode *i)
{
    LOCK_SCOPE(&e->meta);
    inode_put(e, i);
}

int inode_seal(struct engine *e, struct caller *c, uint64_t ino, struct inode **keep)
{
    struct inode *i;
    int r = inode_find(e, ino, &i);
    if (r < 0)
        return r;
    if (i->dir) {
        inode_leave(e, i);
        return -EISDIR;
    }
    r = write_back(e, i);
    if (r == 0) {
        pthread_rwlock_wrlock(&i->content_lock);
        r = draft_seal(e, c, i);
        if (r == 0 && keep) {
            *keep = i;
            return 0;
        }
        pthread_rwlock_unlock(&i->content_lock);
    }
    inode_leave(e, i);
    return r;
}

int inode_publish(struct engine *e, struct caller *c, uint64_t ino)
{
    struct inode *i;
    int r = inode_find(e, ino, &i);
    if (r < 0)
        return r;
    r = write_back(e, i);
    if (r == 0) {
        pthread_rwlock_wrlock(&i->content_lock);
        r = draft_publish(e, c, i);
        pthread_rwlock_unlock(&i->content_lock);
    }
    inode_leave(e, i);
    return r;
}

void inode_seal_end(struct engine *e, struct inode *i)
{
    if (!i)
        return;
    pthread_rwlock_unlock(&i->content_lock);
    inode_leave(e, i);
}

/* ---- every draft of a place ---- */

static bool place_holds(const struct engine_place *p, const struct inode *i)
{
    if (!i->bucket || i->bucket->number != p->bucket || i->dir)
        return false;
    size_t len = p->key.len;
    return !len ||
           (i->key_len >= len && !memcmp(i->key, p->key.p, len) && (i->key_len == len || i->key[len] == '/'));
}

/* Files of the place that are written to, or were and are still open: the kernel may hold pages of them. */
static int place_written(struct engine *e, const struct engine_place *p, uint64_t **ret, size_t *ret_count)
{
    LOCK_SCOPE(&e->meta);
    uint64_t *list = malloc((e->inode_count + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    size_t n = 0;
    for (size_t slot = 0; e->inodes && slot < e->inode_buckets; slot++) {
        for (struct inode *i = e->inodes[slot]; i; i = i->hash_next) {
            if ((draft_open(i) || atomic_load(&i->writers)) && !i->orphan && place_holds(p, i))
                list[n++] = i->ino;
        }
    }
    *ret = list;
    *ret_count = n;
    return 0;
}

int seal_below(struct engine *e, struct caller *c, const struct engine_place *p)
{
    CLEANUP_FREE uint64_t *list = NULL;
    size_t count = 0;
    int r = place_written(e, p, &list, &count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = inode_seal(e, c, list[i], NULL);
        if (r == -ESTALE) /* gone meanwhile */
            r = 0;
    }
    return r;
}
