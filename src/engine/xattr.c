/* SPDX-License-Identifier: GPL-3.0-or-later
 * Ordinary extended attributes: user.*, trusted.*, security.* and POSIX ACLs, kept with the version they stand on
 * (mount.md §5). user.s3.* are properties: property.c. */
#include "engine/acl.h"
#include "engine/property.h"
#include "util/limits.h"

#include <sys/stat.h>
#include <sys/xattr.h>

enum { XATTR_NAME_BYTES = 255, XATTR_SUM_BYTES = 1 << 20 };

enum xattr_kind {
    XATTR_PINNED, /* user.*, trusted.*: a lock pins them (retention.md §2.7) */
    XATTR_LABEL,  /* security.* */
    XATTR_ACL,
    XATTR_UNKNOWN,
};

static bool starts(const char *name, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(name, prefix, len) == 0 && name[len];
}

static enum xattr_kind kind_of(const char *name)
{
    if (strlen(name) > XATTR_NAME_BYTES || starts(name, "user.s3."))
        return XATTR_UNKNOWN;
    if (starts(name, "user.") || starts(name, "trusted."))
        return XATTR_PINNED;
    if (starts(name, "security."))
        return XATTR_LABEL;
    return strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0 ? XATTR_ACL : XATTR_UNKNOWN;
}

int engine_xattr_get(struct engine *e, struct caller *c, uint64_t ino, const char *name, struct bytes *out)
{
    enum xattr_kind kind = kind_of(name);
    if (kind == XATTR_UNKNOWN)
        return -EOPNOTSUPP;
    LOCK_SCOPE(&e->meta);
    struct inode *i;
    int r = inode_get(e, ino, &i);
    if (r < 0)
        return r;
    /* ACLs and labels are asked for by the kernel with every look at a file; they are no content. */
    if (kind == XATTR_PINNED)
        r = engine_may_inode(e, c, "s3:GetObject", i, NULL);
    const uint8_t *value;
    size_t len;
    if (r == 0)
        r = attrs_get(&i->record.attrs, ATTR_XATTR, name, strlen(name), &value, &len);
    if (r == 0)
        bytes_put(out, value, len);
    inode_put(e, i);
    return r < 0 ? r : out->failed ? -ENOMEM : 0;
}

static int xattr_names(struct engine *e, uint64_t ino, struct bytes *out)
{
    LOCK_SCOPE(&e->meta);
    struct inode *i;
    int r = inode_get(e, ino, &i);
    if (r < 0)
        return r;
    struct attr_item item;
    for (size_t at = 0; attrs_next(&i->record.attrs, &at, &item);) {
        if (item.kind != ATTR_XATTR)
            continue;
        bytes_put(out, item.name, item.name_len);
        bytes_put_u8(out, 0);
    }
    inode_put(e, i);
    return 0;
}

int engine_xattr_list(struct engine *e, struct caller *c, uint64_t ino, bool all, struct bytes *out)
{
    int r = xattr_names(e, ino, out);
    return r < 0 ? r : engine_property_list(e, c, &(struct engine_target){.ino = ino}, all, out);
}

/* ---- changing ---- */

struct xattr_change {
    const char *name;
    enum xattr_kind kind;
    const void *value; /* NULL: remove */
    size_t len;
    int flags;
};

/* chmod and ACL of a settled version are PutObjectAcl, everything else PutObject (auth.md §4.6). */
static const char *action_of(const struct property_call *p, const struct xattr_change *change)
{
    bool settled = p->has_version && !settle_waiting(p->engine, p->version.seq);
    return change->kind == XATTR_ACL && settled ? "s3:PutObjectAcl" : "s3:PutObject";
}

static int judge(struct property_call *p, const struct xattr_change *change)
{
    struct reason *reason = &p->caller->reason;
    if (p->where & ON_ROOT)
        return reason_fail(reason, EOPNOTSUPP, "attributes stand on buckets and what is in them, not on the mount's root");
    int r = property_may(p, action_of(p, change));
    if (r == 0 && change->kind == XATTR_PINNED)
        r = pinned_forbids(p->engine, p->caller, p->inode);
    return r;
}

static int judge_size(struct property_call *p, const struct xattr_change *change)
{
    struct reason *reason = &p->caller->reason;
    const struct attrs *attrs = &p->inode->record.attrs;
    const size_t name_len = strlen(change->name);
    const uint8_t *old;
    size_t old_len;
    bool there = attrs_get(attrs, ATTR_XATTR, change->name, name_len, &old, &old_len) == 0;
    if (there && (change->flags & XATTR_CREATE))
        return -EEXIST;
    if (!there && (change->flags & XATTR_REPLACE))
        return -ENODATA;
    if (change->len > LIMIT_XATTR_VALUE_BYTES)
        return reason_fail(reason, E2BIG, "an attribute holds at most %d bytes", LIMIT_XATTR_VALUE_BYTES);
    size_t sum = attrs_bytes(attrs, ATTR_XATTR) + name_len + change->len - (there ? name_len + old_len : 0);
    if (sum > XATTR_SUM_BYTES)
        return reason_fail(reason, ENOSPC, "all attributes of a file together hold at most %d bytes", XATTR_SUM_BYTES);
    return 0;
}

/* An access ACL is the mode as well, and one that says no more than the mode is not kept. */
static int set_access_acl(struct property_call *p, const struct xattr_change *change)
{
    struct inode *i = p->inode;
    uint32_t old = i->record.mode;
    i->record.mode = acl_mode(change->value, change->len, old);
    if (change->flags & ENGINE_XATTR_DROP_SETGID)
        i->record.mode &= ~(uint32_t)S_ISGID;
    bool plain = acl_is_plain(change->value, change->len);
    int r = property_attr_change(p, ATTR_XATTR, change->name, plain ? NULL : change->value, change->len);
    if (plain && r == -ENODATA)
        r = inode_record_save(p->engine, i);
    if (r < 0)
        i->record.mode = old;
    return r;
}

static int set_acl(struct property_call *p, const struct xattr_change *change)
{
    struct reason *reason = &p->caller->reason;
    if (acl_check(change->value, change->len) < 0)
        return reason_fail(reason, EINVAL, "the value is no POSIX ACL in the kernel's form");
    if (strcmp(change->name, ACL_ACCESS) == 0)
        return set_access_acl(p, change);
    if (!p->inode->dir)
        return reason_fail(reason, EACCES, "only directories have a default ACL");
    return property_attr_change(p, ATTR_XATTR, change->name, change->value, change->len);
}

static int apply(struct property_call *p, const struct xattr_change *change)
{
    if (!change->value)
        return property_attr_change(p, ATTR_XATTR, change->name, NULL, 0);
    int r = judge_size(p, change);
    if (r < 0)
        return r;
    return change->kind == XATTR_ACL ? set_acl(p, change)
                                     : property_attr_change(p, ATTR_XATTR, change->name, change->value, change->len);
}

static int transact(struct property_call *p, const struct xattr_change *change)
{
    int r = txn_begin(p->engine);
    if (r < 0)
        return r;
    r = txn_end(p->engine, apply(p, change));
    if (r < 0)
        inode_restore(p->engine, p->inode);
    return r;
}

static int change_xattr(struct engine *e, struct caller *c, uint64_t ino, struct xattr_change *change)
{
    change->kind = kind_of(change->name);
    if (change->kind == XATTR_UNKNOWN)
        return -EOPNOTSUPP;
    if (e->read_only)
        return -EROFS;
    struct property_call p = {.engine = e, .caller = c, .rest = ""};
    p.property = &(const struct property){.name = change->name, .where = ON_FILE | ON_DIR};
    LOCK_SCOPE(&e->meta);
    int r = property_resolve(&p, &(struct engine_target){.ino = ino});
    if (r == 0)
        r = judge(&p, change);
    if (r == 0)
        r = transact(&p, change);
    property_done(&p);
    return r;
}

int engine_xattr_set(struct engine *e, struct caller *c, uint64_t ino, const char *name, const void *value, size_t len,
                     int flags)
{
    return change_xattr(e, c, ino, &(struct xattr_change){.name = name, .value = len ? value : "", .len = len, .flags = flags});
}

int engine_xattr_remove(struct engine *e, struct caller *c, uint64_t ino, const char *name)
{
    return change_xattr(e, c, ino, &(struct xattr_change){.name = name});
}
