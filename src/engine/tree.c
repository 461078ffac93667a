/* SPDX-License-Identifier: GPL-3.0-or-later
 * The live tree: look-up, listing, making and removing names. Renames are in rename.c.
 *
 * A bucket's names are flat keys ordered by bytes; a directory is a key prefix with a row of its own. Listing goes from child to
 * child by seeking past each subtree. */
#include "engine/kms.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { TREE_KEY_MAX = 4095, TREE_NAME_MAX = 255 };

int tree_name_check(struct caller *c, const char *name, size_t len)
{
    if (len > TREE_NAME_MAX)
        return -ENAMETOOLONG;
    if (!utf8_valid(name, len))
        return reason_fail(&c->reason, EILSEQ, "the name is not UTF-8: object keys are UTF-8, so convert it (convmv) first");
    return 0;
}

int tree_child_key(const struct inode *dir, const char *name, size_t len, uint8_t *buf, struct span *ret)
{
    size_t total = dir->key_len + (dir->key_len ? 1 : 0) + len;
    if (len > TREE_NAME_MAX || total > TREE_KEY_MAX)
        return -ENAMETOOLONG;
    memcpy(buf, dir->key, dir->key_len);
    size_t at = dir->key_len;
    if (at)
        buf[at++] = '/';
    memcpy(buf + at, name, len);
    *ret = span_of(buf, total);
    return 0;
}

int tree_dir(struct engine *e, uint64_t ino, struct inode **ret)
{
    struct inode *i;
    int r = inode_get(e, ino, &i);
    if (r < 0)
        return r;
    if (!i->dir) {
        inode_put(e, i);
        return -ENOTDIR;
    }
    *ret = i;
    return 0;
}

/* ---- look-up ---- */

int tree_lookup(struct engine *e, struct inode *dir, const char *name, size_t len, struct inode **ret)
{
    if (!dir->bucket) {
        struct bucket *b = bucket_by_name(e, name, len);
        return b ? inode_get(e, b->root_ino, ret) : -ENOENT;
    }
    uint8_t buf[TREE_KEY_MAX + 1];
    struct span key;
    int r = tree_child_key(dir, name, len, buf, &key);
    struct tree_row row;
    if (r == 0)
        r = e->meta_ops->tree_get(e->m, dir->bucket->number, key, &row);
    if (r < 0)
        return r;
    r = inode_get(e, row.ino, ret);
    return r == -ESTALE ? -EIO : r;
}

/* The key that was walked is the one asked about: an inode may have others. */
static int may_see_name(struct engine *e, struct caller *c, const struct inode *dir, const char *name, size_t len, const struct inode *i)
{
    uint8_t buf[TREE_KEY_MAX + 1];
    struct span key;
    if (!dir->bucket)
        return may_enter(e, c, i->bucket);
    int r = tree_child_key(dir, name, len, buf, &key);
    return r < 0 ? r : may_see(e, c, dir->bucket, key, i->dir ? SEE_DIRECTORY : SEE_FILE);
}

/* In the mount's root anybody may learn that there is no such bucket: making one tells it as well. */
static int may_see_nothing(struct engine *e, struct caller *c, const struct inode *dir, const char *name, size_t len)
{
    uint8_t buf[TREE_KEY_MAX + 1];
    struct span key;
    if (!dir->bucket || tree_child_key(dir, name, len, buf, &key) < 0)
        return 0;
    return may_see(e, c, dir->bucket, key, SEE_NOTHING);
}

int engine_lookup(struct engine *e, struct caller *c, uint64_t dir_ino, const char *name, size_t name_len,
                  struct engine_attr *ret)
{
    LOCK_SCOPE(&e->meta);
    struct inode *dir, *i;
    int r = tree_dir(e, dir_ino, &dir);
    if (r < 0)
        return r;
    r = tree_lookup(e, dir, name, name_len, &i);
    if (r == -ENOENT) {
        int may = may_see_nothing(e, c, dir, name, name_len);
        r = may < 0 ? may : r;
    } else if (r == 0) {
        r = may_see_name(e, c, dir, name, name_len, i);
        if (r == 0)
            inode_attr(e, i, ret);
        inode_put(e, i);
    }
    inode_put(e, dir);
    return r;
}

int engine_getattr(struct engine *e, struct caller *c, uint64_t ino, struct engine_attr *ret)
{
    LOCK_SCOPE(&e->meta);
    struct inode *i;
    int r = inode_get(e, ino, &i);
    if (r < 0)
        return r;
    r = c ? may_see_inode(e, c, i) : 0;
    if (r == 0)
        inode_attr(e, i, ret);
    inode_put(e, i);
    return r;
}

static size_t tree_parent_len(const uint8_t *key, size_t len)
{
    while (len && key[len - 1] != '/')
        len--;
    return len ? len - 1 : 0;
}

int engine_parent(struct engine *e, struct caller *c, uint64_t ino, uint64_t *ret)
{
    (void)c;
    LOCK_SCOPE(&e->meta);
    struct inode *i;
    int r = inode_get(e, ino, &i);
    if (r < 0)
        return r;
    struct tree_row row = {.ino = ENGINE_ROOT_INO};
    if (i->bucket && i->key_len)
        r = e->meta_ops->tree_get(e->m, i->bucket->number, span_of(i->key, tree_parent_len(i->key, i->key_len)), &row);
    if (r == 0)
        *ret = row.ino;
    inode_put(e, i);
    return r;
}

int engine_place_of(struct engine *e, uint64_t ino, uint32_t *ret_bucket, uint8_t key[4096], size_t *ret_len)
{
    LOCK_SCOPE(&e->meta);
    struct inode *i;
    int r = inode_get(e, ino, &i);
    if (r < 0)
        return r;
    *ret_bucket = i->bucket ? i->bucket->number : 0;
    memcpy(key, i->key, i->key_len);
    *ret_len = i->key_len;
    inode_put(e, i);
    return 0;
}

int engine_resolve(struct engine *e, struct caller *c, const char *path, uint64_t *ret_ino)
{
    uint64_t ino = ENGINE_ROOT_INO;
    while (*path) {
        size_t len = strcspn(path, "/");
        if (len) {
            struct engine_attr attr;
            int r = engine_lookup(e, c, ino, path, len, &attr);
            if (r < 0)
                return r;
            ino = attr.ino;
        }
        path += len + (path[len] == '/');
    }
    *ret_ino = ino;
    return 0;
}

/* ---- listing ---- */

struct tree_child {
    uint64_t ino;
    uint8_t kind;
    uint16_t len;
    uint8_t name[TREE_NAME_MAX];
};

/* One seek's worth of children: rows that follow each other directly below the prefix. */
struct tree_list {
    struct span prefix; /* with its slash, or empty */
    struct tree_child *children;
    unsigned count, max;
    bool subtree; /* stopped at a key below a child: skip it */
    bool end;
    uint8_t skip[TREE_KEY_MAX + 1];
    size_t skip_len;
};

static int tree_list_row(void *arg, const struct tree_row *row)
{
    struct tree_list *list = arg;
    if (row->key.len < list->prefix.len || memcmp(row->key.p, list->prefix.p, list->prefix.len)) {
        list->end = true;
        return 1;
    }
    const uint8_t *name = row->key.p + list->prefix.len;
    size_t len = row->key.len - list->prefix.len;
    if (!len)
        return 0; /* the bucket's root itself */
    const uint8_t *slash = memchr(name, '/', len);
    if (slash) {
        list->skip_len = (size_t)(slash - row->key.p) + 1;
        memcpy(list->skip, row->key.p, list->skip_len);
        list->skip[list->skip_len - 1] = '/' + 1;
        list->subtree = true;
        return 1;
    }
    struct tree_child *child = &list->children[list->count++];
    child->ino = row->ino;
    child->kind = row->kind;
    child->len = (uint16_t)len;
    memcpy(child->name, name, len);
    return list->count == list->max;
}

static int tree_list_batch(struct engine *e, struct inode *dir, const char *after, size_t after_len, struct tree_list *list)
{
    uint8_t prefix[TREE_KEY_MAX + 2], from[TREE_KEY_MAX + TREE_NAME_MAX + 2];
    size_t n = dir->key_len;
    memcpy(prefix, dir->key, n);
    if (n)
        prefix[n++] = '/';
    list->prefix = span_of(prefix, n);
    memcpy(from, prefix, n);
    memcpy(from + n, after, after_len);
    struct span at = span_of(from, n + after_len);
    bool inclusive = false;
    int r = 0;
    while (r == 0 && !list->end && list->count < list->max) {
        list->subtree = false;
        r = e->meta_ops->tree_scan(e->m, dir->bucket->number, at, inclusive, tree_list_row, list);
        if (list->subtree) {
            at = span_of(list->skip, list->skip_len);
            inclusive = true;
        } else if (list->count < list->max) {
            list->end = true;
        }
    }
    return r;
}

static int tree_list_emit(struct engine *e, struct tree_list *list, bool with_attr, engine_entry_fn *fn, void *arg)
{
    for (unsigned n = 0; n < list->count; n++) {
        struct tree_child *child = &list->children[n];
        struct engine_attr attr;
        struct engine_entry entry = {.name = (const char *)child->name,
                                     .name_len = child->len,
                                     .ino = child->ino,
                                     .mode = child->kind == TREE_DIR ? S_IFDIR : S_IFREG};
        if (with_attr || child->kind == TREE_SPECIAL) {
            struct inode *i;
            int r = inode_get(e, child->ino, &i);
            if (r < 0) {
                log_error("'%.*s' has a name but no inode (%s); run holdfs fsck", child->len, child->name, strerror(-r));
                continue;
            }
            inode_attr(e, i, &attr);
            inode_put(e, i);
            entry.attr = with_attr ? &attr : NULL;
            entry.mode = attr.mode;
        }
        if (fn(arg, &entry))
            return 1;
    }
    return 0;
}

/* ListAllMyBuckets shows the account's buckets; without it, and of other accounts, those that may be listed (auth.md §4.6). */
static bool tree_bucket_shown(struct engine *e, struct caller *c, const struct bucket *b, bool all_mine)
{
    if (all_mine && strcmp(b->account, c->principal.account) == 0)
        return true;
    return engine_could(e, c, "s3:ListBucket", b, span_of(NULL, 0), NULL);
}

static int tree_list_root(struct engine *e, struct caller *c, const char *after, size_t after_len, bool with_attr, engine_entry_fn *fn,
                          void *arg)
{
    /* Buckets are few: find the next name in order each time. */
    char last[64] = "";
    snprintf(last, sizeof last, "%.*s", (int)after_len, after);
    bool all_mine = engine_could(e, c, "s3:ListAllMyBuckets", NULL, span_of(NULL, 0), &(struct may){.own = true});
    for (;;) {
        struct bucket *next = NULL;
        for (size_t n = 0; n < e->bucket_count; n++) {
            struct bucket *b = e->buckets[n];
            if (strcmp(b->name, last) > 0 && (!next || strcmp(b->name, next->name) < 0))
                next = b;
        }
        if (!next)
            return 0;
        memcpy(last, next->name, sizeof last);
        if (!tree_bucket_shown(e, c, next, all_mine))
            continue;
        struct inode *i;
        int r = inode_get(e, next->root_ino, &i);
        if (r < 0)
            return r;
        struct engine_attr attr;
        inode_attr(e, i, &attr);
        inode_put(e, i);
        struct engine_entry entry = {next->name, strlen(next->name), next->root_ino, attr.mode, with_attr ? &attr : NULL};
        if (fn(arg, &entry))
            return 1;
    }
}

int engine_opendir(struct engine *e, struct caller *c, uint64_t dir_ino)
{
    LOCK_SCOPE(&e->meta);
    struct inode *dir;
    int r = tree_dir(e, dir_ino, &dir);
    if (r < 0)
        return r;
    if (dir->bucket && !dir->orphan)
        r = may_list(e, c, "s3:ListBucket", dir->bucket, span_of(dir->key, dir->key_len));
    inode_put(e, dir);
    return r;
}

int engine_readdir(struct engine *e, struct caller *c, uint64_t dir_ino, const char *after, size_t after_len,
                   bool with_attr, unsigned max, engine_entry_fn *fn, void *arg)
{
    if (after_len > TREE_NAME_MAX)
        return -EINVAL;
    struct tree_list list = {.max = max > 512 ? 512 : max ? max : 1};
    CLEANUP_FREE struct tree_child *children = malloc(list.max * sizeof *children);
    if (!children)
        return -ENOMEM;
    list.children = children;
    LOCK_SCOPE(&e->meta);
    struct inode *dir;
    int r = tree_dir(e, dir_ino, &dir);
    if (r < 0)
        return r;
    if (!dir->bucket) {
        r = tree_list_root(e, c, after, after_len, with_attr, fn, arg);
    } else {
        r = tree_list_batch(e, dir, after, after_len, &list);
        if (r == 0)
            r = tree_list_emit(e, &list, with_attr, fn, arg);
        if (r == 0 && !list.end)
            r = 1;
    }
    inode_put(e, dir);
    return r;
}

/* ---- making ---- */

static int tree_mkdir_row(struct engine *e, struct bucket *b, struct span key, const struct record *record, uint64_t ino)
{
    int r = e->meta_ops->tree_put(e->m, &(struct tree_row){.bucket = b->number, .key = key, .ino = ino, .kind = TREE_DIR});
    return r < 0 ? r : dir_row_put(e, b->number, key, ino, record);
}

enum tree_kind tree_kind_of(uint32_t mode)
{
    return S_ISREG(mode) || !(mode & S_IFMT) ? TREE_OBJECT : TREE_SPECIAL;
}

/* What a new inode starts with: owner, group (setgid directories), times, inherited ACL. */
int tree_new_record(struct caller *c, struct inode *dir, uint32_t mode, struct record *record)
{
    *record = (struct record){.mode = mode, .uid = c->uid, .gid = c->gid, .generation = 1};
    record->mtime = record->ctime = record->btime = instant_now();
    principal_arn(&c->principal, record->made_by);
    if (dir->record.mode & S_ISGID) {
        record->gid = dir->record.gid;
        if (S_ISDIR(mode))
            record->mode |= S_ISGID;
    }
    int r = acl_inherit(&dir->record, S_ISDIR(mode), &record->mode, &record->attrs);
    if (r == 0 && !S_ISLNK(mode))
        record->mode &= ~(c->umask & 0777);
    return r < 0 ? r : 0;
}

int tree_create_begin(struct engine *e, struct caller *c, struct inode *dir, const char *name, size_t len, uint8_t *buf,
                      struct span *key, const struct may *m)
{
    if (!dir->bucket)
        return reason_fail(&c->reason, EPERM, "the top of the mount holds buckets only: mkdir makes one");
    if (dir->orphan)
        return -ENOENT;
    int r = tree_name_check(c, name, len);
    if (r == 0)
        r = tree_child_key(dir, name, len, buf, key);
    struct tree_row row;
    if (r == 0 && (r = e->meta_ops->tree_get(e->m, dir->bucket->number, *key, &row)) == 0)
        return -EEXIST;
    if (r != -ENOENT)
        return r;
    return engine_may_with(e, c, "s3:PutObject", dir->bucket, *key, m);
}

static int tree_mkdir(struct engine *e, struct caller *c, struct inode *dir, const char *name, size_t len, uint32_t mode,
                      struct engine_attr *ret)
{
    uint8_t buf[TREE_KEY_MAX + 1];
    struct span key;
    int r = tree_create_begin(e, c, dir, name, len, buf, &key, &(struct may){.directory = true});
    if (r < 0)
        return r;
    struct record record;
    r = tree_new_record(c, dir, S_IFDIR | (mode & 07777), &record);
    if (r == 0)
        r = txn_begin(e);
    if (r == 0) {
        uint64_t ino = e->next_ino++;
        r = gone_made_again(e, dir->bucket->number, key);
        r = txn_end(e, r < 0 ? r : tree_mkdir_row(e, dir->bucket, key, &record, ino));
        if (r == 0) {
            inode_touch_dir(e, dir);
            record_attr(&record, 0, ret);
            ret->ino = ino;
            ret->size_bytes = ret->blocks = 0;
        }
    }
    record_done(&record);
    return r;
}

int engine_mkdir(struct engine *e, struct caller *c, uint64_t dir_ino, const char *name, size_t len, uint32_t mode,
                 struct engine_attr *ret)
{
    LOCK_SCOPE(&e->meta);
    struct inode *dir;
    int r = tree_dir(e, dir_ino, &dir);
    if (r < 0)
        return r;
    if (!dir->bucket) {
        struct bucket *b;
        struct bucket_options options = {.unversioned = e->new_bucket_unversioned};
        r = bucket_create(e, c, name, len, mode & ~c->umask, &options, &b);
        struct inode *root;
        if (r == 0 && (r = inode_get(e, b->root_ino, &root)) == 0) {
            inode_attr(e, root, ret);
            inode_put(e, root);
        }
    } else {
        r = tree_mkdir(e, c, dir, name, len, mode, ret);
    }
    inode_put(e, dir);
    return r;
}

/* A file without a draft: special files and symbolic links are published at once. */
static int tree_publish_new(struct engine *e, struct caller *c, struct inode *dir, struct span key, struct record *record,
                            struct engine_attr *ret)
{
    int r = txn_begin(e);
    if (r < 0)
        return r;
    uint64_t seq, ino = e->next_ino++;
    r = file_row_put(e, dir->bucket->number, key, ino, 1, 1);
    if (r == 0)
        r = version_publish(e, c, dir->bucket, key, ino, record, false, &seq);
    r = txn_end(e, r);
    if (r < 0)
        return r;
    inode_touch_dir(e, dir);
    record_attr(record, record_data_bytes(record), ret);
    ret->ino = ino;
    return 0;
}

/* An empty file is under the key that its content will be under. */
static int record_new_envelope(struct engine *e, struct caller *c, const struct bucket *b, struct span key, struct record *record)
{
    struct envelope *env;
    struct data_key *kek;
    int r = sse_new(e, c, b, key, &env, &kek);
    if (r < 0)
        return r;
    record_set_envelope(record, env, b->kek_id, b->kek_version);
    envelope_unref(env);
    data_key_unref(kek);
    return 0;
}

int engine_mknod(struct engine *e, struct caller *c, uint64_t dir_ino, const char *name, size_t len, uint32_t mode,
                 uint32_t rdev_major, uint32_t rdev_minor, struct engine_attr *ret)
{
    LOCK_SCOPE(&e->meta);
    struct inode *dir;
    int r = tree_dir(e, dir_ino, &dir);
    if (r < 0)
        return r;
    uint8_t buf[TREE_KEY_MAX + 1];
    struct span key;
    r = tree_create_begin(e, c, dir, name, len, buf, &key, NULL);
    struct record record = {0};
    if (r == 0)
        r = tree_new_record(c, dir, (mode & S_IFMT ? mode : mode | S_IFREG), &record);
    if (r == 0) {
        record.rdev_major = rdev_major;
        record.rdev_minor = rdev_minor;
        record_new_etag(&record);
        if (S_ISREG(record.mode))
            r = record_new_envelope(e, c, dir->bucket, key, &record);
        if (r == 0)
            r = tree_publish_new(e, c, dir, key, &record, ret);
    }
    record_done(&record);
    inode_put(e, dir);
    return r;
}

int engine_symlink(struct engine *e, struct caller *c, uint64_t dir_ino, const char *name, size_t len, const char *target,
                   struct engine_attr *ret)
{
    size_t target_len = strlen(target);
    if (!target_len)
        return -ENOENT;
    if (target_len > TREE_KEY_MAX)
        return -ENAMETOOLONG;
    LOCK_SCOPE(&e->meta);
    struct inode *dir;
    int r = tree_dir(e, dir_ino, &dir);
    if (r < 0)
        return r;
    uint8_t buf[TREE_KEY_MAX + 1];
    struct span key;
    r = tree_create_begin(e, c, dir, name, len, buf, &key, NULL);
    struct record record = {0};
    if (r == 0)
        r = tree_new_record(c, dir, S_IFLNK | 0777, &record);
    if (r == 0)
        r = content_small(e, dir->bucket, &record, target, target_len);
    if (r == 0)
        r = attrs_set(&record.attrs, ATTR_HEADER, "content-type", 12, "inode/symlink", 13);
    if (r == 0)
        r = tree_publish_new(e, c, dir, key, &record, ret);
    record_done(&record);
    inode_put(e, dir);
    return r;
}

int engine_readlink(struct engine *e, struct caller *c, uint64_t ino, char *buf, size_t cap)
{
    int r = engine_may_ino(e, c, "s3:GetObject", ino);
    if (r < 0)
        return r;
    struct inode *i;
    bool link;
    {
        LOCK_SCOPE(&e->meta);
        r = inode_get(e, ino, &i);
        link = r == 0 && S_ISLNK(i->record.mode);
    }
    if (r < 0)
        return r;
    if (!link) {
        r = -EINVAL;
    } else {
        pthread_rwlock_wrlock(&i->content_lock);
        struct content *content;
        r = inode_content(e, i, &content);
        if (r == 0) {
            struct content_fault fault;
            r = (int)content_read(e->pipe, content->map, content->keys, 0, buf, cap, &fault);
            content_unref(content);
        }
        pthread_rwlock_unlock(&i->content_lock);
    }
    LOCK_SCOPE(&e->meta);
    inode_put(e, i);
    return r;
}

