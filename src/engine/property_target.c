/* SPDX-License-Identifier: GPL-3.0-or-later
 * What a property call is about: the target resolved, what stands there, and changing its named values in place. */
#include "engine/property.h"

#include <stdio.h>

static int resolve_file(struct property_call *p)
{
    struct inode *i = p->inode;
    p->where = ON_FILE;
    if (i->orphan)
        return 0;
    int r = version_load(p->engine, p->bucket->number, span_of(i->key, i->key_len), 0, &p->version);
    if (r < 0)
        return r == -ENOENT ? 0 : r; /* not published yet */
    p->has_version = p->is_current = p->version.ino == i->ino && !(p->version.flags & VERSION_MARKER);
    if (!p->has_version)
        version_done(&p->version);
    return 0;
}

static int resolve_inode(struct property_call *p, uint64_t ino)
{
    int r = inode_get(p->engine, ino, &p->inode);
    if (r < 0)
        return r;
    p->bucket = p->inode->bucket;
    if (!p->bucket)
        p->where = ON_ROOT;
    else if (p->inode->dir)
        p->where = ON_DIR | (ino == p->bucket->root_ino ? ON_BUCKET : 0);
    else
        return resolve_file(p);
    return 0;
}

static int resolve_version(struct property_call *p, const struct engine_target *t)
{
    p->bucket = bucket_by_number(p->engine, t->bucket);
    if (!p->bucket)
        return -ENOENT;
    struct version top;
    int r = version_load(p->engine, t->bucket, t->key, 0, &top);
    if (r < 0)
        return r;
    uint64_t top_seq = top.seq;
    version_done(&top);
    r = version_load(p->engine, t->bucket, t->key, t->seq, &p->version);
    if (r < 0)
        return r;
    p->has_version = true;
    p->is_current = top_seq == p->version.seq;
    p->by_key = t->current;
    p->where = p->version.flags & VERSION_MARKER ? ON_MARKER : ON_VERSION;
    return 0;
}

int property_resolve(struct property_call *p, const struct engine_target *t)
{
    return t->ino ? resolve_inode(p, t->ino) : resolve_version(p, t);
}

void property_done(struct property_call *p)
{
    if (p->has_version)
        version_done(&p->version);
    p->has_version = false;
    inode_put(p->engine, p->inode);
    p->inode = NULL;
}

struct span property_key(const struct property_call *p)
{
    if (p->inode)
        return span_of(p->inode->key, p->inode->key_len);
    return span_of(p->version.key, p->version.key_len);
}

const struct record *property_record(const struct property_call *p)
{
    return p->inode ? &p->inode->record : &p->version.record;
}

/* A lock attribute where there can be no lock. */
static int lock_stands(struct property_call *p)
{
    struct reason *reason = &p->caller->reason;
    if (p->where & (ON_DIR | ON_ROOT))
        return reason_fail(reason, EISDIR, "locks stand on files and versions, not on directories: a bucket's default "
                                           "retention is user.s3.bucket.object-lock");
    if (p->where & ON_MARKER)
        return reason_fail_s3(reason, EOPNOTSUPP, "MethodNotAllowed", "a delete marker is never locked");
    if (!p->bucket->object_lock)
        return reason_fail_s3(reason, EOPNOTSUPP, "InvalidRequest", "Bucket is missing Object Lock Configuration");
    return 0;
}

int property_stands(struct property_call *p, bool get)
{
    struct reason *reason = &p->caller->reason;
    if (p->property->flags & PROPERTY_LOCK)
        return lock_stands(p);
    if (p->where & p->property->where)
        return 0;
    if (get)
        return -ENODATA;
    if (p->property->where == ON_BUCKET)
        return reason_fail(reason, EINVAL, "user.s3.%s belongs on a bucket's directory", p->property->name);
    return reason_fail(reason, EOPNOTSUPP, "user.s3.%s does not stand on a %s", p->property->name,
                       p->where & ON_MARKER ? "delete marker" : "directory");
}

/* "s3:GetObject" of a version is "s3:GetObjectVersion", tagging's actions likewise. */
static const char *version_action(const char *action)
{
    static const char *const pairs[][2] = {
        {"s3:GetObject", "s3:GetObjectVersion"},
        {"s3:GetObjectTagging", "s3:GetObjectVersionTagging"},
        {"s3:PutObjectTagging", "s3:PutObjectVersionTagging"},
        {"s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (strcmp(action, pairs[i][0]) == 0)
            return pairs[i][1];
    }
    return action;
}

int property_may(struct property_call *p, const char *action)
{
    if (!action)
        return 0;
    if (!p->bucket) /* the mount's root */
        return engine_may_with(p->engine, p->caller, "s3:ListAllMyBuckets", NULL, span_of(NULL, 0), &(struct may){.own = true});
    if (p->property->where == ON_BUCKET || strcmp(action, "s3:ListBucket") == 0)
        return engine_may(p->engine, p->caller, action, p->bucket, span_of("", 0));
    struct may m = {.values = p->values, .count = p->value_count, .record = property_record(p)};
    if (p->inode)
        return engine_may_inode(p->engine, p->caller, action, p->inode, &m);
    m.seq = p->by_key ? 0 : p->version.seq;
    return engine_may_with(p->engine, p->caller, p->by_key ? action : version_action(action), p->bucket, property_key(p), &m);
}

int property_get_checked(struct property_call *p, struct bytes *out)
{
    int r = property_stands(p, true);
    if (r == 0)
        r = property_may(p, p->property->get_action);
    if (r == 0 && (p->property->flags & PROPERTY_KEY))
        r = property_needs_key(p);
    if (r == 0)
        r = p->property->get(p, out);
    return r < 0 ? r : out->failed ? -ENOMEM : 0;
}

/* ---- changing named values in place ---- */

static int replace_live(struct property_call *p, struct attrs *attrs)
{
    struct inode *i = p->inode;
    struct record old = i->record; /* map and texts stay where they are */
    i->record.attrs = *attrs;
    i->record.ctime = instant_now();
    i->record.implicit = false;
    int r = inode_record_save(p->engine, i);
    if (r < 0) {
        *attrs = i->record.attrs;
        i->record.attrs = old.attrs;
        i->record.ctime = old.ctime;
        i->record.implicit = old.implicit;
        return r;
    }
    attrs_done(&old.attrs);
    *attrs = (struct attrs){0};
    if (p->has_version)
        inode_settle_touch(p->engine, i);
    return 0;
}

static int replace_version(struct property_call *p, struct attrs *attrs)
{
    struct attrs old = p->version.record.attrs;
    p->version.record.attrs = *attrs;
    *attrs = old;
    int r = version_store(p->engine, &p->version);
    struct inode *i = p->is_current ? inode_cached(p->engine, p->version.ino) : NULL;
    if (r < 0 || !i)
        return r;
    if (!draft_open(i))
        return inode_reload(p->engine, i);
    /* The draft will publish its own attributes over this version: they change along. */
    struct attrs mine;
    r = attrs_copy(&mine, &p->version.record.attrs);
    if (r == 0) {
        attrs_done(&i->record.attrs);
        i->record.attrs = mine;
    }
    return r;
}

int property_attrs_replace(struct property_call *p, struct attrs *attrs)
{
    return p->inode ? replace_live(p, attrs) : replace_version(p, attrs);
}

int property_attr_change(struct property_call *p, enum attr_kind kind, const char *name, const void *value, size_t len)
{
    struct attrs attrs;
    int r = attrs_copy(&attrs, &property_record(p)->attrs);
    if (r < 0)
        return r;
    r = value ? attrs_set(&attrs, kind, name, strlen(name), value, len) : attrs_remove(&attrs, kind, name, strlen(name));
    if (r == 0)
        r = property_attrs_replace(p, &attrs);
    attrs_done(&attrs);
    return r;
}

static int each_name(struct property_call *p, struct span key, property_version_fn *fn, void *arg)
{
    struct version v;
    int r = version_load(p->engine, p->bucket->number, key, 0, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (v.ino == p->inode->ino && !(v.flags & VERSION_MARKER))
        r = fn(p, &v, arg);
    version_done(&v);
    return r;
}

int property_each_version(struct property_call *p, property_version_fn *fn, void *arg)
{
    if (!p->has_version)
        return -ENODATA;
    if (!p->inode)
        return fn(p, &p->version, arg);
    struct version_ref *names;
    size_t count;
    int r = inode_names(p->engine, p->inode, &names, &count);
    if (r < 0)
        return r;
    for (size_t n = 0; r == 0 && n < count; n++)
        r = each_name(p, span_of(names[n].key, names[n].key_len), fn, arg);
    version_refs_free(names, count);
    return r;
}
