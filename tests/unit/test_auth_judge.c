/* SPDX-License-Identifier: GPL-3.0-or-later
 * Principals of uids, their ARNs, and the judgement without policies (auth.md §1, §4.4). */
#include "unit.h"

#include "auth/auth.h"

#include <errno.h>

static const char account[] = "123456789012";

static void uid_0_and_the_owner_are_root_others_anonymous(void **state)
{
    (void)state;
    char arn[128];
    struct principal root = auth_uid_principal(0, 1000, account), owner = auth_uid_principal(1000, 1000, account);
    struct principal other = auth_uid_principal(1001, 1000, account);
    assert_int_equal(root.kind, PRINCIPAL_ROOT);
    assert_int_equal(owner.kind, PRINCIPAL_ROOT);
    assert_int_equal(other.kind, PRINCIPAL_ANONYMOUS);
    principal_arn(&root, arn);
    assert_string_equal(arn, "arn:aws:iam::123456789012:root");
    principal_arn(&other, arn);
    assert_string_equal(arn, "anonymous");
}

static void the_root_of_the_owning_account_may(void **state)
{
    (void)state;
    struct principal root = auth_uid_principal(0, 0, account);
    struct auth_request q = {.principal = &root, .action = "s3:PutObject", .bucket = "b", .bucket_account = account, .key = "f"};
    assert_int_equal(auth_judge(&q, NULL), 0);
    q.bucket_account = "999999999999";
    assert_int_equal(auth_judge(&q, NULL), -EACCES);
    q.bucket = q.bucket_account = q.key = NULL;
    assert_int_equal(auth_judge(&q, NULL), 0);
}

static void everybody_else_is_told_in_s3s_words(void **state)
{
    (void)state;
    struct reason why = {0};
    struct principal alice = {.kind = PRINCIPAL_USER, .account = "123456789012", .name = "alice"};
    struct auth_request q = {.principal = &alice, .action = "s3:GetObject", .bucket = "b", .bucket_account = account, .key = "d/f"};
    assert_int_equal(auth_judge(&q, &why), -EACCES);
    assert_string_equal(why.code, "AccessDenied");
    assert_string_equal(why.text, "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: s3:GetObject on "
                                  "resource: \"arn:aws:s3:::b/d/f\" because no identity-based policy allows the "
                                  "s3:GetObject action");
    struct principal nobody = {.kind = PRINCIPAL_ANONYMOUS};
    q.principal = &nobody;
    assert_int_equal(auth_judge(&q, &why), -EACCES);
    assert_string_equal(why.text, "Access Denied");
}

static void a_long_key_is_cut_between_characters(void **state)
{
    (void)state;
    static char key[4096];
    struct reason why = {0};
    for (size_t i = 0; i + 2 < sizeof key; i += 2)
        memcpy(key + i, "\xc3\xa9", 2);
    struct principal alice = {.kind = PRINCIPAL_USER, .account = "123456789012", .name = "alice"};
    struct auth_request q = {.principal = &alice, .action = "s3:GetObject", .bucket = "b", .bucket_account = account, .key = key};
    assert_int_equal(auth_judge(&q, &why), -EACCES);
    assert_true(utf8_valid(why.text, strlen(why.text)));
    assert_non_null(strstr(why.text, "because no identity-based policy allows"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uid_0_and_the_owner_are_root_others_anonymous),
        cmocka_unit_test(the_root_of_the_owning_account_may),
        cmocka_unit_test(everybody_else_is_told_in_s3s_words),
        cmocka_unit_test(a_long_key_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
