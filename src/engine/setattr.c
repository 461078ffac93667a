/* SPDX-License-Identifier: GPL-3.0-or-later
 * chmod, chown, utimens and truncate: attributes of the current version in place, size through a draft. What a lock pins is
 * EPERM (retention.md §2.7); a times-only change while the file is being written belongs to its draft. */
#include "engine/draft.h"
#include "engine/kms.h"

#include <fcntl.h>
#include <sys/stat.h>

/* What the kernel sends of its own accord with write-back cache. */
static const unsigned KERNEL_TIMES = SET_MTIME | SET_CTIME;

static int setattr_size(struct engine *e, struct caller *c, struct inode *i, bool by_path, uint64_t size)
{
    if (i->dir)
        return -EISDIR;
    if (size > UINT64_C(1) << 43)
        return -EFBIG;
    CLEANUP(data_key_cleanup) struct data_key *kek = NULL; /* open while the content changes */
    if (by_path) { /* a handle was judged when it was opened */
        LOCK_SCOPE(&e->meta);
        if (!S_ISREG(i->record.mode))
            return -EINVAL;
        int r = engine_may_inode(e, c, "s3:PutObject", i, NULL);
        if (r == 0)
            r = sse_open(e, c, i->bucket, span_of(i->key, i->key_len), i->seq, i->record.env, &kek);
        if (r < 0)
            return r;
    }
    int r = by_path ? draft_seal_closed(e, c, i) : 0;
    if (r < 0)
        return r;
    pthread_rwlock_wrlock(&i->content_lock);
    r = draft_begin(e, i, &c->principal);
    if (r == 0)
        r = draft_resize(e, i, size);
    if (r == 0 && by_path) /* truncate(2): nobody will close it */
        r = atomic_load(&i->writers) ? draft_publish(e, c, i) : draft_seal(e, c, i);
    pthread_rwlock_unlock(&i->content_lock);
    return r;
}

/* May that be set? Times that go nowhere are taken out of *set. */
static int setattr_may(struct engine *e, struct caller *c, struct inode *i, const struct engine_handle *h, unsigned *ret_set)
{
    unsigned set = *ret_set;
    if (e->read_only)
        return -EROFS;
    if (!i->bucket)
        return reason_fail(&c->reason, EPERM, "the top of the mount has fixed attributes");
    /* chmod of a settled version is its ACL's; times that write-back sends carry the right of who opened (auth.md §1, §4.6). */
    bool settled = !i->dir && i->seq && !draft_unpublished(i) && !settle_waiting(e, i->seq);
    bool opened = h && h->writable && !(set & ~KERNEL_TIMES);
    int r = opened ? 0 : engine_may_inode(e, c, (set & SET_MODE) && settled ? "s3:PutObjectAcl" : "s3:PutObject", i, NULL);
    if (r < 0 || i->dir || !(set & (SET_UID | SET_GID | SET_ATIME | SET_MTIME)))
        return r;
    bool owner = set & (SET_UID | SET_GID);
    if (!owner && ((set & SET_SIZE) || draft_open(i)))
        return 0; /* the times of a newer version */
    r = pinned_forbids(e, c, i);
    if (r == -EPERM && !(set & ~(unsigned)(SET_MTIME | SET_CTIME)) && atomic_load(&i->writers)) {
        /* The kernel's write-back sends these two, and may send them before the bytes they belong to: the newer version that
         * those make will have its own. utimensat(2) sets the access time as well. */
        reason_clear(&c->reason);
        *ret_set = 0;
        r = 0;
    }
    return r;
}

static void setattr_apply(struct inode *i, unsigned set, const struct engine_attr *v)
{
    struct record *r = &i->record;
    if (r->implicit && (set & (SET_MODE | SET_UID | SET_GID)))
        r->implicit = false;
    if (set & SET_MODE)
        r->mode = (r->mode & S_IFMT) | (v->mode & 07777);
    if (set & SET_UID)
        r->uid = v->uid;
    if (set & SET_GID)
        r->gid = v->gid;
    if (set & SET_MTIME) {
        r->mtime = v->mtime;
        atomic_store(&i->live_mtime_ns, 0);
    }
    if (set & SET_ATIME) {
        r->atime = v->atime;
        r->atime_set = v->atime.sec != r->mtime.sec || v->atime.nsec != r->mtime.nsec;
    }
    r->ctime = (set & SET_CTIME) ? v->ctime : instant_now();
}

/* The mode that a chmod gives also goes into the access ACL's entries (acl(5), "CORRESPONDENCE"). */
static int setattr_rows(struct engine *e, struct inode *i, unsigned set, const struct engine_attr *values)
{
    if (i->record.implicit && i->dir) {
        /* It shows the bucket root's owner and mode until something about it is set: from then on it has its own. */
        struct engine_attr shown;
        inode_attr(e, i, &shown);
        i->record.mode = shown.mode;
        i->record.uid = shown.uid;
        i->record.gid = shown.gid;
    }
    setattr_apply(i, set, values);
    /* The kernel tells the time of a rename, link or unlink once more: the row has it already, to the microsecond. */
    if (set == SET_CTIME)
        return 0;
    int r = (set & SET_MODE) ? acl_follow_mode(&i->record) : 0;
    if (r < 0 || i->orphan)
        return r;
    if (!i->dir && draft_unpublished(i)) {
        if (set != KERNEL_TIMES) /* those come with each fsync; draft rows have a time of their own */
            draft_attrs_changed(i);
        return 0;
    }
    r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, inode_record_save(e, i));
    if (r < 0)
        inode_restore(e, i);
    if (r == 0 && !i->dir && i->seq)
        inode_settle_touch(e, i);
    return r;
}

/* With write-back cache the kernel tells an inode's times after each link, rename, unlink and setxattr, changed or not: a
 * modification time that stays is no touch, and nothing a lock pins. */
static bool setattr_changes_nothing(struct engine *e, struct inode *i, unsigned set, const struct engine_attr *v)
{
    if (set != KERNEL_TIMES)
        return false;
    struct engine_attr now;
    inode_attr(e, i, &now);
    return now.mtime.sec == v->mtime.sec && now.mtime.nsec == v->mtime.nsec;
}

int engine_setattr(struct engine *e, struct caller *c, uint64_t ino, struct engine_handle *handle, unsigned set,
                   const struct engine_attr *values, struct engine_attr *ret)
{
    struct inode *i;
    int r;
    {
        LOCK_SCOPE(&e->meta);
        r = inode_get(e, ino, &i);
        if (r < 0)
            return r;
        if (setattr_changes_nothing(e, i, set, values)) {
            i->record.ctime = values->ctime;
            set = 0;
        }
        if (set & ~(unsigned)SET_SIZE)
            r = setattr_may(e, c, i, handle, &set);
    }
    if (r == 0 && (set & SET_SIZE))
        r = e->read_only ? -EROFS : setattr_size(e, c, i, !handle, values->size_bytes);
    LOCK_SCOPE(&e->meta);
    if (r == 0 && (set & ~(unsigned)SET_SIZE))
        r = setattr_rows(e, i, set & ~(unsigned)SET_SIZE, values);
    if (r == 0)
        inode_attr(e, i, ret);
    inode_put(e, i);
    return r;
}
