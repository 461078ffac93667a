/* SPDX-License-Identifier: GPL-3.0-or-later
 * Directories that are no more, and whose history is: to whom they belonged and how, so that what nobody else could list does
 * not show to everybody in .versions and .at (mount.md §4).
 *
 * When a directory loses its name (rmdir, a rename) and versions lie below it, a value `gone/BUCKET/KEY` keeps its owner and
 * mode. A later directory of that name shows the same history: it then counts for both of them. */
#include "engine/private.h"

#include <stdio.h>
#include <sys/stat.h>

enum { GONE_FORMAT = 1, GONE_NAME_BYTES = 4096 + 32 };

/* The value's name. Keys hold no zero byte. */
static void gone_name(uint32_t bucket, struct span key, char out[GONE_NAME_BYTES])
{
    snprintf(out, GONE_NAME_BYTES, "gone/%u/%.*s", bucket, (int)key.len, (const char *)key.p);
}

struct below {
    struct span prefix;
    bool found;
};

static int below_row(void *arg, const struct version_row *row)
{
    struct below *below = arg;
    below->found = row->key.len >= below->prefix.len && !memcmp(row->key.p, below->prefix.p, below->prefix.len);
    return 1;
}

/* Do versions lie below the key? */
static int gone_history(struct engine *e, uint32_t bucket, struct span key)
{
    uint8_t buf[4096 + 1];
    if (key.len > 4095)
        return 0;
    memcpy(buf, key.p, key.len);
    buf[key.len] = '/';
    struct below below = {.prefix = span_of(buf, key.len + 1)};
    int r = e->meta_ops->version_scan_keys(e->m, bucket, below.prefix, true, below_row, &below);
    return r < 0 ? r : below.found;
}

/* One directory's attributes under which what two of them hold may be shown: no more than either allows, and of two owners' only to
 * the bucket's. M */
static int gone_merge(struct engine *e, struct bucket *b, const struct engine_attr *other, struct engine_attr *attr)
{
    if (attr->uid == other->uid) {
        attr->mode &= S_IFMT | other->mode;
        if (attr->gid != other->gid)
            attr->mode &= ~(uint32_t)S_IRWXG;
        return 0;
    }
    struct inode *root;
    int r = inode_get(e, b->root_ino, &root);
    if (r < 0)
        return r;
    attr->uid = root->record.uid;
    attr->gid = root->record.gid;
    attr->mode = (attr->mode & S_IFMT) | S_IRWXU;
    inode_put(e, root);
    return 0;
}

int gone_find(struct engine *e, uint32_t bucket, struct span key, struct engine_attr *attr)
{
    char name[GONE_NAME_BYTES];
    struct span value;
    gone_name(bucket, key, name);
    int r = e->meta_ops->value_get(e->m, name, &value);
    if (r < 0)
        return r;
    struct reader in = reader_over(value.p, value.len);
    uint8_t format = reader_u8(&in);
    uint32_t mode = reader_u32(&in), uid = reader_u32(&in), gid = reader_u32(&in);
    if (format != GONE_FORMAT || !reader_finished(&in))
        return -EIO;
    attr->mode = S_IFDIR | (mode & 07777);
    attr->uid = uid;
    attr->gid = gid;
    return 0;
}

int gone_note(struct engine *e, struct bucket *b, struct span key, const struct record *dir)
{
    if (dir->implicit || !key.len)
        return 0;
    int history = gone_history(e, b->number, key);
    if (history <= 0)
        return history;
    struct engine_attr attr = {.mode = dir->mode, .uid = dir->uid, .gid = dir->gid}, before;
    int r = gone_find(e, b->number, key, &before);
    if (r == 0)
        r = gone_merge(e, b, &before, &attr);
    if (r < 0 && r != -ENOENT)
        return r;
    char name[GONE_NAME_BYTES];
    struct bytes value = {0};
    gone_name(b->number, key, name);
    bytes_put_u8(&value, GONE_FORMAT);
    bytes_put_u32(&value, attr.mode & 07777);
    bytes_put_u32(&value, attr.uid);
    bytes_put_u32(&value, attr.gid);
    r = value.failed ? -ENOMEM : e->meta_ops->value_put(e->m, name, span_of(value.data, value.len));
    bytes_done(&value);
    return r;
}

int gone_made_again(struct engine *e, uint32_t bucket, struct span key)
{
    struct engine_attr attr;
    char name[GONE_NAME_BYTES];
    int r = gone_find(e, bucket, key, &attr);
    if (r == 0)
        r = gone_history(e, bucket, key);
    if (r != 0)
        return r == -ENOENT || r > 0 ? 0 : r;
    gone_name(bucket, key, name);
    return e->meta_ops->value_del(e->m, name);
}

static int first_name(void *arg, const char *name, struct span value)
{
    (void)value;
    snprintf(arg, GONE_NAME_BYTES, "%s", name);
    return 1;
}

int gone_drop_bucket(struct engine *e, const struct bucket *b)
{
    char prefix[32], name[GONE_NAME_BYTES];
    snprintf(prefix, sizeof prefix, "gone/%u/", b->number);
    for (;;) {
        name[0] = '\0';
        int r = e->meta_ops->value_scan(e->m, prefix, first_name, name);
        if (r < 0 || !name[0])
            return r;
        r = e->meta_ops->value_del(e->m, name);
        if (r < 0)
            return r;
    }
}

int engine_history_dir(struct engine *e, const struct engine_place *dir, bool live, struct engine_attr *attr)
{
    if (!dir->bucket || !dir->key.len)
        return 0;
    LOCK_SCOPE(&e->meta);
    struct bucket *b = bucket_by_number(e, dir->bucket);
    struct engine_attr gone = *attr;
    int r = b ? gone_find(e, dir->bucket, dir->key, &gone) : -ENOENT;
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (live)
        return gone_merge(e, b, &gone, attr);
    *attr = gone;
    return 0;
}
