/* SPDX-License-Identifier: GPL-3.0-or-later
 * POSIX ACLs; see acl.h. The form is linux/posix_acl_xattr.h: le32 version, then (le16 tag, le16 permissions, le32 id) each. */
#include "engine/acl.h"

#include "engine/private.h"

#include <endian.h>
#include <sys/stat.h>

enum { ACL_VERSION = 2, ACL_HEADER_BYTES = 4, ACL_ENTRY_BYTES = 8 };
enum acl_tag { ACL_USER_OBJ = 1, ACL_USER = 2, ACL_GROUP_OBJ = 4, ACL_GROUP = 8, ACL_MASK = 16, ACL_OTHER = 32 };

static uint16_t take16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static size_t entry_count(size_t len)
{
    return (len - ACL_HEADER_BYTES) / ACL_ENTRY_BYTES;
}

static const uint8_t *entry(const void *value, size_t i)
{
    return (const uint8_t *)value + ACL_HEADER_BYTES + i * ACL_ENTRY_BYTES;
}

int acl_check(const void *value, size_t len)
{
    uint32_t version;
    if (len < ACL_HEADER_BYTES || (len - ACL_HEADER_BYTES) % ACL_ENTRY_BYTES)
        return -EINVAL;
    memcpy(&version, value, sizeof version);
    if (le32toh(version) != ACL_VERSION)
        return -EINVAL;
    unsigned seen = 0, last = 0;
    for (size_t i = 0; i < entry_count(len); i++) {
        unsigned tag = take16(entry(value, i)), permissions = take16(entry(value, i) + 2);
        bool named = tag == ACL_USER || tag == ACL_GROUP;
        /* The tags' numbers rise in the order they must stand in. */
        if (permissions > 7 || tag < last || (tag == last && !named) || __builtin_popcount(tag) != 1 || tag > ACL_OTHER)
            return -EINVAL;
        seen |= tag;
        last = tag;
    }
    unsigned needed = ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER | (seen & (ACL_USER | ACL_GROUP) ? ACL_MASK : 0);
    return (seen & needed) == needed ? 0 : -EINVAL;
}

bool acl_is_plain(const void *value, size_t len)
{
    (void)value;
    return entry_count(len) == 3;
}

/* The entry with that tag, or NULL. */
static const uint8_t *find(const void *value, size_t len, unsigned tag)
{
    for (size_t i = 0; i < entry_count(len); i++) {
        if (take16(entry(value, i)) == tag)
            return entry(value, i);
    }
    return NULL;
}

/* The entry that stands for the mode's group bits. */
static const uint8_t *group_class(const void *value, size_t len)
{
    const uint8_t *mask = find(value, len, ACL_MASK);
    return mask ? mask : find(value, len, ACL_GROUP_OBJ);
}

uint32_t acl_mode(const void *value, size_t len, uint32_t mode)
{
    uint32_t user = take16(find(value, len, ACL_USER_OBJ) + 2);
    uint32_t group = take16(group_class(value, len) + 2);
    uint32_t other = take16(find(value, len, ACL_OTHER) + 2);
    return (mode & ~0777u) | user << 6 | group << 3 | other;
}

static void set_permissions(uint8_t *copy, const void *value, const uint8_t *at, uint32_t permissions)
{
    size_t offset = (size_t)(at - (const uint8_t *)value) + 2;
    copy[offset] = (uint8_t)(permissions & 7);
    copy[offset + 1] = 0;
}

/* A copy whose three classes have exactly the mode's permissions; NULL: no memory. */
static uint8_t *with_mode(const void *value, size_t len, uint32_t mode)
{
    uint8_t *copy = malloc(len);
    if (!copy)
        return NULL;
    memcpy(copy, value, len);
    set_permissions(copy, value, find(value, len, ACL_USER_OBJ), mode >> 6);
    set_permissions(copy, value, group_class(value, len), mode >> 3);
    set_permissions(copy, value, find(value, len, ACL_OTHER), mode);
    return copy;
}

int acl_follow_mode(struct record *r)
{
    const uint8_t *value;
    size_t len;
    if (attrs_get(&r->attrs, ATTR_XATTR, ACL_ACCESS, strlen(ACL_ACCESS), &value, &len) < 0 || acl_check(value, len) < 0)
        return 0;
    CLEANUP_FREE uint8_t *copy = with_mode(value, len, r->mode);
    return copy ? attrs_set(&r->attrs, ATTR_XATTR, ACL_ACCESS, strlen(ACL_ACCESS), copy, len) : -ENOMEM;
}

int acl_inherit(const struct record *dir, bool child_is_dir, uint32_t *mode, struct attrs *child)
{
    const uint8_t *value;
    size_t len;
    if (S_ISLNK(*mode) || attrs_get(&dir->attrs, ATTR_XATTR, ACL_DEFAULT, strlen(ACL_DEFAULT), &value, &len) < 0 ||
        acl_check(value, len) < 0)
        return 0;
    uint32_t cut = *mode & (acl_mode(value, len, 0) | ~0777u);
    int r = 0;
    if (child_is_dir)
        r = attrs_set(child, ATTR_XATTR, ACL_DEFAULT, strlen(ACL_DEFAULT), value, len);
    if (r == 0 && !acl_is_plain(value, len)) {
        CLEANUP_FREE uint8_t *copy = with_mode(value, len, cut);
        r = copy ? attrs_set(child, ATTR_XATTR, ACL_ACCESS, strlen(ACL_ACCESS), copy, len) : -ENOMEM;
    }
    if (r == 0)
        *mode = cut;
    return r;
}
