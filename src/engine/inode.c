/* SPDX-License-Identifier: GPL-3.0-or-later
 * Inodes in use: found by number, loaded from their row and current version, kept in a bounded cache.
 *
 * The kernel's node id is the inode number, so nothing here must live as long as the kernel remembers a node: only handles and
 * running operations hold references. Everything in this file runs under engine.meta. */
#include "engine/private.h"

#include <assert.h>
#include <sys/stat.h>

enum { INODE_HASH = 8192, INODE_UNUSED_MAX = 2048 };

struct instant instant_now(void)
{
    return instant_of_ns(clock_wall_ns());
}

static struct inode **inode_slot(struct engine *e, uint64_t ino)
{
    if (!e->inodes) {
        e->inodes = calloc(INODE_HASH, sizeof *e->inodes);
        if (!e->inodes)
            return NULL;
        e->inode_buckets = INODE_HASH;
        e->lru.lru_prev = e->lru.lru_next = &e->lru;
    }
    return &e->inodes[(ino * 0x9e3779b97f4a7c15ull) >> 51];
}

struct inode *inode_cached(struct engine *e, uint64_t ino)
{
    struct inode **slot = inode_slot(e, ino);
    struct inode *i = slot ? *slot : NULL;
    while (i && i->ino != ino)
        i = i->hash_next;
    return i;
}

static void inode_unhash(struct engine *e, struct inode *i)
{
    struct inode **at = inode_slot(e, i->ino);
    while (*at != i)
        at = &(*at)->hash_next;
    *at = i->hash_next;
    e->inode_count--;
}

static void lru_remove(struct engine *e, struct inode *i)
{
    if (!i->lru_next)
        return;
    i->lru_prev->lru_next = i->lru_next;
    i->lru_next->lru_prev = i->lru_prev;
    i->lru_next = i->lru_prev = NULL;
    e->lru_count--;
}

static void inode_free(struct engine *e, struct inode *i)
{
    assert(!i->draft);
    lru_remove(e, i);
    inode_unhash(e, i);
    content_unref(i->content);
    record_done(&i->record);
    free(i->key);
    pthread_rwlock_destroy(&i->content_lock);
    free(i);
}

struct inode *inode_ref(struct inode *i)
{
    assert(i->refs > 0);
    i->refs++;
    return i;
}

struct inode *inode_hold(struct engine *e, struct inode *i)
{
    if (!i->refs++)
        lru_remove(e, i);
    return i;
}

void inode_put(struct engine *e, struct inode *i)
{
    if (!i)
        return;
    assert(i->refs > 0);
    if (--i->refs)
        return;
    if (i->orphan || i->half) {
        inode_free(e, i);
        return;
    }
    assert(!i->lru_next);
    i->lru_prev = e->lru.lru_prev;
    i->lru_next = &e->lru;
    i->lru_prev->lru_next = i;
    e->lru.lru_prev = i;
    e->lru_count++;
    if (e->lru_count > INODE_UNUSED_MAX)
        inode_free(e, e->lru.lru_next);
}

void inodes_unload(struct engine *e)
{
    for (size_t n = 0; e->inodes && n < e->inode_buckets; n++) {
        while (e->inodes[n])
            inode_free(e, e->inodes[n]);
    }
    free(e->inodes);
    e->inodes = NULL;
}

uint8_t *key_copy(struct span key)
{
    uint8_t *copy = malloc(key.len + 1);
    if (!copy)
        return NULL;
    if (key.len)
        memcpy(copy, key.p, key.len);
    copy[key.len] = 0;
    return copy;
}

static int inode_set_key(struct inode *i, struct span key)
{
    uint8_t *copy = key_copy(key);
    if (!copy)
        return -ENOMEM;
    free(i->key);
    i->key = copy;
    i->key_len = key.len;
    return 0;
}

static int inode_make(struct engine *e, struct bucket *b, struct span key, uint64_t ino, struct inode **ret)
{
    struct inode **slot = inode_slot(e, ino);
    struct inode *i = slot ? calloc(1, sizeof *i) : NULL;
    if (!i || inode_set_key(i, key) < 0) {
        free(i);
        return -ENOMEM;
    }
    i->ino = ino;
    i->bucket = b;
    i->nlink = 1;
    i->generation = 1;
    i->refs = 1;
    pthread_rwlock_init(&i->content_lock, NULL);
    i->hash_next = *slot;
    *slot = i;
    e->inode_count++;
    *ret = i;
    return 0;
}

int inode_new(struct engine *e, struct bucket *b, struct span key, uint64_t ino, const struct record *record,
              struct inode **ret)
{
    int r = inode_make(e, b, key, ino, ret);
    if (r < 0)
        return r;
    r = record_copy(&(*ret)->record, record);
    (*ret)->dir = S_ISDIR(record->mode);
    if (r < 0) {
        (*ret)->orphan = true;
        inode_put(e, *ret);
    }
    return r;
}

int inode_reload(struct engine *e, struct inode *i)
{
    if (i->dir || i->orphan)
        return 0;
    struct version v;
    int r = version_load(e, i->bucket->number, span_of(i->key, i->key_len), 0, &v);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    if (v.flags & VERSION_MARKER) {
        version_done(&v);
        return -ESTALE;
    }
    record_done(&i->record);
    i->record = v.record;
    v.record = (struct record){0};
    i->seq = v.seq;
    i->data_bytes = record_data_bytes(&i->record);
    version_done(&v);
    return 0;
}

static int dir_restore(struct engine *e, struct inode *i)
{
    struct inode_row row;
    struct inode_body body = {0};
    int r = e->meta_ops->inode_get(e->m, i->ino, &row);
    if (r == 0 && inode_body_decode(row.body.p, row.body.len, &body) < 0)
        r = -EIO;
    if (r < 0)
        return r;
    if (i->times_dirty) { /* newer than the row's, whatever failed */
        body.record.mtime = i->record.mtime;
        body.record.ctime = i->record.ctime;
    }
    record_done(&i->record);
    i->record = body.record;
    return 0;
}

void inode_restore(struct engine *e, struct inode *i)
{
    if (i->orphan || i->ino == ENGINE_ROOT_INO || draft_unpublished(i))
        return;
    int r = i->dir ? dir_restore(e, i) : inode_reload(e, i);
    if (r < 0 && r != -ESTALE)
        log_error("'%s' may show what was not saved: %s", engine_show(i->bucket, span_of(i->key, i->key_len)), strerror(-r));
}

/* `whole`: a file must have a current version under its first name. */
static int inode_load(struct engine *e, uint64_t ino, bool whole, struct inode **ret)
{
    if (ino == ENGINE_ROOT_INO)
        return inode_new(e, NULL, span_of("", 0), ino, &e->root_record, ret);
    struct inode_row row;
    int r = e->meta_ops->inode_get(e->m, ino, &row);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    struct bucket *b = bucket_by_number(e, row.bucket);
    if (!b)
        return -ESTALE;
    struct inode_body body = {0};
    r = inode_body_decode(row.body.p, row.body.len, &body);
    if (r < 0)
        return -EIO;
    struct inode *i;
    r = inode_make(e, b, row.key, ino, &i);
    if (r < 0) {
        record_done(&body.record);
        return r;
    }
    i->generation = body.generation;
    i->nlink = body.nlink;
    i->dir = body.dir;
    i->record = body.record;
    r = inode_reload(e, i);
    if (r == -ESTALE && !whole) {
        i->half = true;
        r = 0;
    }
    if (r < 0) {
        inode_free(e, i);
        return r;
    }
    *ret = i;
    return 0;
}

int inode_get_name(struct engine *e, uint64_t ino, struct inode **ret)
{
    return inode_cached(e, ino) ? inode_get(e, ino, ret) : inode_load(e, ino, false, ret);
}

int inode_get(struct engine *e, uint64_t ino, struct inode **ret)
{
    struct inode *i = inode_cached(e, ino);
    if (!i)
        return inode_load(e, ino, true, ret);
    *ret = inode_hold(e, i);
    return 0;
}

int inode_version_changed(struct engine *e, uint64_t ino)
{
    struct inode *i = inode_cached(e, ino);
    if (!i || i->draft)
        return 0;
    inode_hold(e, i);
    int r = txn_touch(e, i);
    atomic_store(&i->content_stale, true);
    if (r == 0)
        r = inode_reload(e, i);
    inode_put(e, i);
    return r;
}

void inode_forget(struct engine *e, uint64_t ino)
{
    struct inode *i = inode_cached(e, ino);
    if (!i)
        return;
    i->orphan = true;
    i->nlink = 0;
    if (!i->refs)
        inode_free(e, i);
}

static void inode_attr_implicit(struct engine *e, struct inode *i, struct engine_attr *ret)
{
    struct inode *root;
    if (i->ino == i->bucket->root_ino || inode_get(e, i->bucket->root_ino, &root) < 0)
        return;
    ret->mode = S_IFDIR | (root->record.mode & 07777 & ~i->bucket->mode_mask);
    ret->uid = root->record.uid;
    ret->gid = root->record.gid;
    inode_put(e, root);
}

uint64_t record_data_bytes(const struct record *r)
{
    return r->map ? extmap_data_bytes(r->map) : 0;
}

void record_attr(const struct record *r, uint64_t data_bytes, struct engine_attr *ret)
{
    ret->generation = 1;
    ret->mode = r->mode;
    ret->nlink = 1;
    ret->uid = r->uid;
    ret->gid = r->gid;
    ret->rdev_major = r->rdev_major;
    ret->rdev_minor = r->rdev_minor;
    ret->size_bytes = r->size_bytes;
    ret->blocks = (data_bytes + 511) / 512;
    ret->mtime = r->mtime;
    ret->atime = r->atime_set ? r->atime : r->mtime;
    ret->ctime = r->ctime;
    ret->btime = r->btime;
}

void inode_attr(struct engine *e, struct inode *i, struct engine_attr *ret)
{
    record_attr(&i->record, i->data_bytes, ret); /* counted when it was loaded: a stat does not walk the map */
    ret->ino = i->ino;
    ret->generation = i->generation;
    ret->nlink = i->orphan ? 0 : i->nlink;
    if (i->dir) {
        ret->nlink = 1;
        ret->size_bytes = 0;
        ret->blocks = 0;
        if (i->record.implicit)
            inode_attr_implicit(e, i, ret);
        return;
    }
    if (!i->draft)
        return;
    ret->size_bytes = atomic_load(&i->live_size);
    if (ret->size_bytes != i->record.size_bytes || !i->seq)
        ret->blocks = (ret->size_bytes + 511) / 512;
    int64_t written = atomic_load(&i->live_mtime_ns);
    if (written) {
        ret->mtime = ret->ctime = instant_of_ns(written);
        if (!i->record.atime_set)
            ret->atime = ret->mtime;
    }
}

static int inode_row_put(struct engine *e, uint32_t bucket, struct span key, uint64_t ino, const struct inode_body *body)
{
    struct bytes packed = {0};
    inode_body_encode(body, &packed);
    int r = packed.failed ? -ENOMEM
                          : e->meta_ops->inode_put(e->m, &(struct inode_row){.ino = ino, .bucket = bucket, .key = key,
                                                                            .body = span_of(packed.data, packed.len)});
    bytes_done(&packed);
    return r;
}

int dir_row_put(struct engine *e, uint32_t bucket, struct span key, uint64_t ino, const struct record *record)
{
    struct inode_body body = {.generation = record->generation ? record->generation : 1, .nlink = 1, .dir = true, .record = *record};
    return inode_row_put(e, bucket, key, ino, &body);
}

int file_row_put(struct engine *e, uint32_t bucket, struct span key, uint64_t ino, uint64_t generation, uint32_t nlink)
{
    struct inode_body body = {.generation = generation, .nlink = nlink};
    return inode_row_put(e, bucket, key, ino, &body);
}

int inode_save(struct engine *e, struct inode *i)
{
    struct span key = span_of(i->key, i->key_len);
    if (i->dir)
        return dir_row_put(e, i->bucket->number, key, i->ino, &i->record);
    return file_row_put(e, i->bucket->number, key, i->ino, i->generation, i->nlink);
}

/* Moves an inode's first name: row and cache. M, txn. */
int inode_rekey(struct engine *e, struct inode *i, struct span key)
{
    int r = txn_touch(e, i);
    if (r == 0)
        r = inode_set_key(i, key);
    return r < 0 ? r : inode_save(e, i);
}

void inode_touch_dir(struct engine *e, struct inode *dir)
{
    dir->record.mtime = dir->record.ctime = instant_now();
    if (dir->times_dirty || dir->ino == ENGINE_ROOT_INO)
        return;
    dir->times_dirty = true;
    dir->dirty_next = e->dirty_dirs;
    e->dirty_dirs = inode_ref(dir);
}

int inode_save_dirty_dirs(struct engine *e)
{
    if (!e->dirty_dirs || e->read_only)
        return 0;
    int r = txn_begin(e);
    if (r < 0)
        return r;
    for (struct inode *i = e->dirty_dirs; r == 0 && i; i = i->dirty_next) {
        if (!i->orphan)
            r = inode_save(e, i);
    }
    r = txn_end(e, r);
    if (r < 0)
        return r;
    while (e->dirty_dirs) {
        struct inode *i = e->dirty_dirs;
        e->dirty_dirs = i->dirty_next;
        i->dirty_next = NULL;
        i->times_dirty = false;
        inode_put(e, i);
    }
    return 0;
}

struct names_list {
    struct version_ref *refs;
    size_t count, cap;
};

static int names_add(void *arg, uint32_t bucket, struct span key)
{
    struct names_list *list = arg;
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 4;
        struct version_ref *refs = realloc(list->refs, cap * sizeof *refs);
        if (!refs)
            return -ENOMEM;
        list->refs = refs;
        list->cap = cap;
    }
    struct version_ref *ref = &list->refs[list->count];
    *ref = (struct version_ref){.bucket = bucket, .key_len = key.len, .key = key_copy(key)};
    if (!ref->key)
        return -ENOMEM;
    list->count++;
    return 0;
}

int inode_names(struct engine *e, struct inode *i, struct version_ref **ret, size_t *ret_count)
{
    struct names_list list = {0};
    int r = i->orphan ? 0 : names_add(&list, i->bucket->number, span_of(i->key, i->key_len));
    if (r == 0 && !i->orphan && i->nlink > 1)
        r = e->meta_ops->link_scan(e->m, i->ino, names_add, &list);
    if (r < 0) {
        version_refs_free(list.refs, list.count);
        return r;
    }
    *ret = list.refs;
    *ret_count = list.count;
    return 0;
}

void version_refs_free(struct version_ref *refs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(refs[i].key);
    free(refs);
}

static int inode_record_save_name(struct engine *e, struct inode *i, struct span key)
{
    struct version v;
    int r = version_load(e, i->bucket->number, key, 0, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r; /* not published yet */
    if (v.ino == i->ino && !(v.flags & VERSION_MARKER)) {
        /* Attributes are the inode's; content is the version's own. */
        struct record mine = {0};
        r = record_copy(&mine, &i->record);
        extmap_unref(mine.map);
        mine.map = v.record.map;
        v.record.map = NULL;
        record_set_envelope(&mine, v.record.env, v.record.kek_id, v.record.kek_version);
        mine.envelope = v.record.envelope;
        mine.size_bytes = v.record.size_bytes;
        memcpy(mine.etag, v.record.etag, sizeof mine.etag);
        if (r == 0 && lock_in_force(e, &v))
            r = lock_pin_record(&mine, &v.record);
        record_done(&v.record);
        v.record = mine;
        if (r == 0)
            r = version_store(e, &v);
    }
    version_done(&v);
    return r;
}

int inode_record_save(struct engine *e, struct inode *i)
{
    if (i->orphan)
        return 0;
    if (i->dir)
        return inode_save(e, i);
    if (draft_unpublished(i)) { /* publishing or fsync will write them */
        draft_attrs_changed(i);
        return 0;
    }
    struct version_ref *names;
    size_t count;
    int r = inode_names(e, i, &names, &count);
    if (r < 0)
        return r;
    for (size_t n = 0; r == 0 && n < count; n++)
        r = inode_record_save_name(e, i, span_of(names[n].key, names[n].key_len));
    version_refs_free(names, count);
    return r;
}
