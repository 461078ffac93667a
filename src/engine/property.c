/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reading, writing, removing and listing properties: the one way every front takes. The table is property_table.c.
 *
 * A write is judged, then seals an open draft where the property asks for it (without locks), then is judged again and done in
 * one transaction; a lock is synced before the answer (E6). */
#include "engine/iam.h"
#include "engine/property.h"
#include "engine/trail.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static struct property_call call_of(struct engine *e, struct caller *c)
{
    return (struct property_call){.engine = e, .caller = c, .rest = ""};
}

static int unknown(struct caller *c, const char *name)
{
    char near[256];
    property_near(name, near);
    return reason_fail(&c->reason, EINVAL, "there is no attribute user.s3.%.64s%s%s", name,
                       near[0] ? "; near it: " : "; user.s3.describe shows those there are", near);
}

int engine_property_get(struct engine *e, struct caller *c, const struct engine_target *t, const char *name,
                        struct bytes *out)
{
    struct property_call p = call_of(e, c);
    p.property = property_find(name, &p.rest);
    if (!p.property)
        return -ENODATA;
    LOCK_SCOPE(&e->meta);
    int r = property_resolve(&p, t);
    if (r == 0)
        r = property_get_checked(&p, out);
    property_done(&p);
    return r;
}

/* ---- changing ---- */

/* What set and remove have in common: the value is NULL for a removal. */
struct change {
    const char *name;
    const char *text;
    size_t len;
    int flags; /* XATTR_CREATE, XATTR_REPLACE */
    struct property_values *values; /* room for what policies see of it */
};

static int writable(const struct property_call *p, const struct change *change)
{
    const struct property *property = p->property;
    struct reason *reason = &p->caller->reason;
    bool possible = change->text ? property->set != NULL : property->remove != NULL;
    if (!possible)
        return reason_fail(reason, EPERM, "user.s3.%s can be read, not %s", change->name, change->text ? "set" : "removed");
    if (!p->inode && !(property->flags & PROPERTY_VERSIONS))
        return reason_fail(reason, EROFS, "of a version by itself only locks and tags can be changed");
    return 0;
}

static int judge(struct property_call *p, const struct change *change)
{
    /* What can never be written is EPERM everywhere; else where it stands comes first: a lock attribute on a directory is
     * EISDIR, whatever else is wrong. */
    bool never = !p->property->set && !p->property->remove;
    int r = never ? writable(p, change) : property_stands(p, false);
    if (r == 0)
        r = writable(p, change);
    if (r < 0)
        return r;
    if (change->text)
        property_values_read(p, change->text, change->len, change->values);
    p->values = change->values->values;
    p->value_count = change->text ? change->values->count : 0;
    return property_may(p, change->text ? p->property->set_action : p->property->remove_action);
}

static int presence(struct property_call *p, const struct change *change)
{
    if (!(change->flags & (XATTR_CREATE | XATTR_REPLACE)))
        return 0;
    struct bytes value = {0};
    int r = p->property->get(p, &value);
    bytes_done(&value);
    if (r < 0 && r != -ENODATA)
        return r;
    if (r == 0 && (change->flags & XATTR_CREATE))
        return -EEXIST;
    return r < 0 && (change->flags & XATTR_REPLACE) ? -ENODATA : 0;
}

/* S3's name of the call where that is not the action's. */
static const char *event_name(const struct property *property, bool remove)
{
    static const struct {
        const char *name, *put, *del;
    } names[] = {
        {"bucket.object-lock", "PutObjectLockConfiguration", NULL},
        {"bucket.settle", "PutObjectLockConfiguration", NULL},
        {"bucket.orphan-keep", "PutObjectLockConfiguration", NULL},
        {"bucket.tagging", NULL, "DeleteBucketTagging"},
        {"bucket.encryption", "PutBucketEncryption", "DeleteBucketEncryption"},
        {"bucket.public-access-block", "PutPublicAccessBlock", "DeletePublicAccessBlock"},
    };
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        const char *name = remove ? names[n].del : names[n].put;
        if (name && strcmp(property->name, names[n].name) == 0)
            return name;
    }
    const char *action = remove ? property->remove_action : property->set_action;
    const char *colon = action ? strchr(action, ':') : NULL;
    return colon ? colon + 1 : property->name;
}

/* A bucket's sub-resource, with what it was before; an object's tags and headers are data events (logs.md §3.1). */
static int note(struct property_call *p, const struct change *change, int r, json_t *previous)
{
    if (p->property->where & ON_BUCKET)
        return trail_also(p->engine, p->caller, r, &(struct trail_event){
                              .name = event_name(p->property, !change->text),
                              .bucket = p->bucket,
                              .params = json_pack("{s:s, s:o*}", "attribute", p->property->name, "value", trail_document(change->text, change->len)),
                              .previous = previous,
                          });
    json_decref(previous);
    bool own = p->property->flags & (PROPERTY_LOCK | PROPERTY_MEMORY); /* lock.c records what locks do */
    if (own || !trail_wants_data(p->engine, false))
        return r;
    return trail_also(p->engine, p->caller, r, &(struct trail_event){.name = event_name(p->property, !change->text),
                                                                     .version = p->has_version ? &p->version : NULL,
                                                                     .bucket = p->bucket,
                                                                     .key = property_key(p),
                                                                     .flags = TRAIL_DATA});
}

static json_t *value_now(struct property_call *p)
{
    struct bytes value = {0};
    json_t *now = p->property->get && p->property->get(p, &value) == 0 ? trail_document(value.data, value.len) : NULL;
    bytes_done(&value);
    return now;
}

static int apply(struct property_call *p, const struct change *change)
{
    int r = presence(p, change);
    if (r < 0)
        return r;
    json_t *previous = p->property->where & ON_BUCKET && !(p->property->flags & PROPERTY_MEMORY) ? value_now(p) : NULL;
    r = change->text ? p->property->set(p, change->text, change->len) : p->property->remove(p);
    return p->property->flags & PROPERTY_MEMORY ? r : note(p, change, r, previous);
}

/* First look: may this be done here, and is there a file whose draft has to be sealed before? */
static int look(struct property_call *p, const struct engine_target *t, const struct change *change, uint64_t *ret_seal)
{
    LOCK_SCOPE(&p->engine->meta);
    int r = property_resolve(p, t);
    if (r == 0)
        r = judge(p, change);
    *ret_seal = 0;
    if (r == 0 && (p->property->flags & PROPERTY_SEALS)) {
        if (p->inode)
            *ret_seal = p->inode->ino;
        else if (p->is_current && inode_cached(p->engine, p->version.ino))
            *ret_seal = p->version.ino;
    }
    property_done(p);
    return r;
}

static int transact(struct property_call *p, const struct change *change)
{
    if (p->property->flags & PROPERTY_MEMORY)
        return apply(p, change);
    int r = txn_begin(p->engine);
    if (r < 0)
        return r;
    r = txn_end(p->engine, apply(p, change));
    if (r < 0 && p->inode)
        inode_restore(p->engine, p->inode);
    if (r < 0 && p->bucket && p->property->where == ON_BUCKET) {
        bucket_restore(p->engine, p->bucket);
        iam_by_key_refresh(p->engine, &p->forget);
    }
    return r;
}

static int act(struct property_call *p, const struct engine_target *t, const struct change *change)
{
    LOCK_SCOPE(&p->engine->meta);
    int r = property_resolve(p, t);
    if (r == 0)
        r = judge(p, change);
    if (r == 0)
        r = transact(p, change);
    property_done(p);
    return r;
}

static void wake(struct engine *e, const struct caller *c, const struct engine_target *t)
{
    /* The kernel that asked looks again by itself. */
    if (e->watcher && t->ino && strcmp(c->front, "mount") != 0)
        e->watcher->inode_changed(e->watcher->arg, t->ino);
}

/* Something to know about a call that went well: a half-set retention. */
static void tell(struct property_call *p, const struct engine_target *t, const struct change *change)
{
    if (!p->notice[0])
        return;
    reason_fail(&p->caller->reason, 0, "%s", p->notice);
    engine_refused(p->engine, p->caller, "setxattr", t->ino, change->name, 0, 0);
    reason_clear(&p->caller->reason);
}

static int change_property(struct engine *e, struct caller *c, const struct engine_target *t, struct change *change)
{
    struct property_values values;
    change->values = &values;
    struct property_call p = call_of(e, c);
    p.property = property_find(change->name, &p.rest);
    if (!p.property)
        return change->text ? unknown(c, change->name) : -ENODATA;
    if (e->read_only && !(p.property->flags & PROPERTY_MEMORY))
        return -EROFS;
    uint64_t seal;
    int r = look(&p, t, change, &seal);
    struct inode *sealed = NULL;
    if (r == 0 && seal)
        r = inode_seal(e, c, seal, &sealed);
    if (r == 0 && (p.property->flags & PROPERTY_DURABLE) && p.property->where != ON_BUCKET)
        r = e->block_ops->sync(e->b); /* the row of a lock may reach the disk by itself: not before what it protects */
    if (r == 0)
        r = act(&p, t, change);
    inode_seal_end(e, sealed);
    iam_forget_names(e, &p.forget);
    if (r < 0)
        return r;
    if ((p.property->flags & PROPERTY_DURABLE) && (p.changed_lock || p.property->where == ON_BUCKET))
        r = durable_advance(e);
    if (r == 0) {
        wake(e, c, t);
        tell(&p, t, change);
    }
    return r;
}

int engine_property_set(struct engine *e, struct caller *c, const struct engine_target *t, const char *name,
                        const void *value, size_t len, int flags)
{
    if (len && memchr(value, 0, len))
        return reason_fail(&c->reason, EINVAL, "values of user.s3 attributes are text, without zero bytes");
    CLEANUP_FREE char *text = malloc(len + 1);
    if (!text)
        return -ENOMEM;
    if (len)
        memcpy(text, value, len);
    text[len] = '\0';
    const char *rest;
    const struct property *property = property_find(name, &rest);
    if (property && (property->flags & PROPERTY_CODE)) {
        int r = property_code_spend(e, c, t, text);
        if (r < 0)
            return r;
        len = strlen(text);
    }
    return change_property(e, c, t, &(struct change){.name = name, .text = text, .len = len, .flags = flags});
}

int engine_property_remove(struct engine *e, struct caller *c, const struct engine_target *t, const char *name)
{
    return change_property(e, c, t, &(struct change){.name = name});
}

/* ---- listing ---- */

static void put_name(struct bytes *out, const char *name, const char *rest)
{
    bytes_printf(out, "user.s3.%s%s", name, rest);
    bytes_put_u8(out, 0);
}

static int list_prefix(struct property_call *p, struct bytes *out)
{
    struct bytes names = {0};
    int r = p->property->names(p, &names);
    for (size_t at = 0; r == 0 && at < names.len; at += strlen((const char *)names.data + at) + 1)
        put_name(out, p->property->name, (const char *)names.data + at);
    if (names.failed)
        r = -ENOMEM;
    bytes_done(&names);
    return r;
}

static int list_one(struct property_call *p, struct bytes *out)
{
    if (!(p->where & p->property->where) || property_may(p, p->property->get_action) < 0 ||
        ((p->property->flags & PROPERTY_KEY) && property_needs_key(p) < 0))
        return 0;
    if (p->property->flags & PROPERTY_PREFIX)
        return list_prefix(p, out);
    struct bytes value = {0};
    if (property_get_checked(p, &value) == 0)
        put_name(out, p->property->name, "");
    bytes_done(&value);
    return 0;
}

int engine_property_list(struct engine *e, struct caller *c, const struct engine_target *t, bool all, struct bytes *out)
{
    struct property_call p = call_of(e, c);
    LOCK_SCOPE(&e->meta);
    int r = property_resolve(&p, t);
    /* The VFS lets nobody read user.* of links and special files; what is listed and cannot be read makes copies fail. */
    bool readable = r == 0 && ((p.where & ON_ROOT) || S_ISREG(property_record(&p)->mode) || S_ISDIR(property_record(&p)->mode));
    for (size_t i = 0; readable && i < property_count; i++) {
        p.property = &properties[i];
        if (all || (p.property->flags & PROPERTY_COPYABLE))
            r = list_one(&p, out);
    }
    property_done(&p);
    reason_clear(&c->reason); /* what may not be read is left out, not refused */
    c->denied_action = NULL;
    c->refused.action = NULL;
    return r < 0 ? r : out->failed ? -ENOMEM : 0;
}
