/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of properties does not contradict itself, and near names are told. POSIX ACLs as values. */
#include "unit.h"

#include "engine/acl.h"
#include "engine/property.h"

#include <sys/stat.h>

static void every_line_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < property_count; i++) {
        const struct property *p = &properties[i];
        const char *rest;
        char name[128];
        snprintf(name, sizeof name, "%s%s", p->name, p->flags & PROPERTY_PREFIX ? "x" : "");
        if (property_find(name, &rest) != p)
            fail_msg("%s is hidden by a line above it", p->name);
        assert_string_equal(rest, p->flags & PROPERTY_PREFIX ? "x" : "");
        if (!p->get || !p->where || !(p->flags & PROPERTY_PREFIX) != !p->names)
            fail_msg("%s", p->name);
        if ((p->set && !p->set_action && !(p->flags & PROPERTY_MEMORY)) ||
            (p->remove && !p->remove_action && !(p->flags & PROPERTY_MEMORY)))
            fail_msg("%s is set without asking who", p->name);
        if ((p->where == ON_BUCKET) != (strncmp(p->name, "bucket.", 7) == 0))
            fail_msg("%s", p->name);
        if ((p->flags & PROPERTY_COPYABLE) && (!p->set || (p->flags & PROPERTY_LOCK)))
            fail_msg("%s: a copy cannot carry it", p->name);
    }
}

static void locks_and_facts_are_not_copied(void **state)
{
    (void)state;
    static const char *const uncopied[] = {"retention", "legal-hold", "object-lock-mode", "etag", "describe", "tag.x",
                                           "bypass-governance-retention", "settle"};
    for (size_t i = 0; i < sizeof uncopied / sizeof *uncopied; i++) {
        const char *rest;
        assert_false(property_find(uncopied[i], &rest)->flags & PROPERTY_COPYABLE);
    }
}

static void names_that_do_not_exist_are_not_found(void **state)
{
    (void)state;
    const char *rest;
    assert_null(property_find("retentio", &rest));
    assert_null(property_find("retention2", &rest));
    assert_null(property_find("meta.", &rest));
    assert_null(property_find("", &rest));
}

static void near_names_are_told(void **state)
{
    (void)state;
    char near[256];
    property_near("retenton", near);
    assert_non_null(strstr(near, "retention"));
    property_near("legalhold", near);
    assert_non_null(strstr(near, "legal-hold"));
    property_near("bucket.versionning", near);
    assert_non_null(strstr(near, "bucket.versioning"));
    property_near("completely-different-thing", near);
    assert_string_equal(near, "");
}

/* ---- ACLs ---- */

struct acl_bytes {
    uint8_t data[4 + 8 * 8];
    size_t len;
};

static void acl_begin(struct acl_bytes *a)
{
    *a = (struct acl_bytes){.data = {2}, .len = 4};
}

static void acl_entry(struct acl_bytes *a, uint8_t tag, uint8_t permissions)
{
    a->data[a->len] = tag;
    a->data[a->len + 2] = permissions;
    a->len += 8;
}

static struct acl_bytes acl_of(uint8_t user, uint8_t named, uint8_t group, uint8_t mask, uint8_t other)
{
    struct acl_bytes a;
    acl_begin(&a);
    acl_entry(&a, 1, user);
    acl_entry(&a, 2, named);
    acl_entry(&a, 4, group);
    acl_entry(&a, 16, mask);
    acl_entry(&a, 32, other);
    return a;
}

static void acls_are_checked(void **state)
{
    (void)state;
    struct acl_bytes a = acl_of(7, 5, 4, 6, 0);
    assert_int_equal(acl_check(a.data, a.len), 0);
    assert_false(acl_is_plain(a.data, a.len));
    assert_int_equal(acl_mode(a.data, a.len, S_IFREG | 02777), S_IFREG | 02760); /* the mask is the group class */
    assert_int_equal(acl_check(a.data, a.len - 1), -EINVAL);
    assert_int_equal(acl_check(a.data, 3), -EINVAL);
    assert_int_equal(acl_check(a.data, 4), -EINVAL);
    a.data[0] = 1;
    assert_int_equal(acl_check(a.data, a.len), -EINVAL);
    acl_begin(&a); /* a named entry without a mask */
    acl_entry(&a, 1, 7);
    acl_entry(&a, 2, 7);
    acl_entry(&a, 4, 7);
    acl_entry(&a, 32, 7);
    assert_int_equal(acl_check(a.data, a.len), -EINVAL);
    acl_begin(&a); /* disorder */
    acl_entry(&a, 4, 7);
    acl_entry(&a, 1, 7);
    acl_entry(&a, 32, 7);
    assert_int_equal(acl_check(a.data, a.len), -EINVAL);
    acl_begin(&a);
    acl_entry(&a, 1, 6);
    acl_entry(&a, 4, 4);
    acl_entry(&a, 32, 0);
    assert_int_equal(acl_check(a.data, a.len), 0);
    assert_true(acl_is_plain(a.data, a.len));
    acl_entry(&a, 32, 8);
    assert_int_equal(acl_check(a.data, a.len), -EINVAL);
}

static void default_acls_are_inherited(void **state)
{
    (void)state;
    struct record dir = {.mode = S_IFDIR | 0755};
    struct acl_bytes a = acl_of(7, 6, 5, 7, 4);
    const uint8_t *value;
    size_t len;
    struct attrs child = {0};
    uint32_t mode = S_IFREG | 0666;
    assert_int_equal(acl_inherit(&dir, false, &mode, &child), 0);
    assert_int_equal(mode, S_IFREG | 0666); /* without one, nothing */

    assert_int_equal(attrs_set(&dir.attrs, ATTR_XATTR, ACL_DEFAULT, strlen(ACL_DEFAULT), a.data, a.len), 0);
    assert_int_equal(acl_inherit(&dir, false, &mode, &child), 0);
    assert_int_equal(mode, S_IFREG | 0664);
    assert_int_equal(attrs_get(&child, ATTR_XATTR, ACL_ACCESS, strlen(ACL_ACCESS), &value, &len), 0);
    assert_int_equal(acl_mode(value, len, 0), 0664);
    assert_int_equal(attrs_get(&child, ATTR_XATTR, ACL_DEFAULT, strlen(ACL_DEFAULT), &value, &len), -ENODATA);
    attrs_done(&child);

    mode = S_IFDIR | 0700;
    assert_int_equal(acl_inherit(&dir, true, &mode, &child), 0);
    assert_int_equal(mode, S_IFDIR | 0700);
    assert_int_equal(attrs_get(&child, ATTR_XATTR, ACL_DEFAULT, strlen(ACL_DEFAULT), &value, &len), 0);
    assert_memory_equal(value, a.data, a.len);
    attrs_done(&child);

    mode = S_IFLNK | 0777;
    assert_int_equal(acl_inherit(&dir, false, &mode, &child), 0);
    assert_int_equal(child.packed.len, 0);
    record_done(&dir);
}

static void chmod_goes_into_the_acl(void **state)
{
    (void)state;
    struct record r = {.mode = S_IFREG | 0640};
    struct acl_bytes a = acl_of(7, 7, 7, 7, 7);
    const uint8_t *value;
    size_t len;
    assert_int_equal(attrs_set(&r.attrs, ATTR_XATTR, ACL_ACCESS, strlen(ACL_ACCESS), a.data, a.len), 0);
    assert_int_equal(acl_follow_mode(&r), 0);
    assert_int_equal(attrs_get(&r.attrs, ATTR_XATTR, ACL_ACCESS, strlen(ACL_ACCESS), &value, &len), 0);
    assert_int_equal(acl_mode(value, len, 0), 0640);
    assert_int_equal(value[4 + 8 + 2], 7);  /* named entries stay; the mask cuts them */
    assert_int_equal(value[4 + 16 + 2], 7);
    record_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_is_whole),
        cmocka_unit_test(locks_and_facts_are_not_copied),
        cmocka_unit_test(names_that_do_not_exist_are_not_found),
        cmocka_unit_test(near_names_are_told),
        cmocka_unit_test(acls_are_checked),
        cmocka_unit_test(default_acls_are_inherited),
        cmocka_unit_test(chmod_goes_into_the_acl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
