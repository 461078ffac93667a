/* SPDX-License-Identifier: GPL-3.0-or-later
 * The tables of src/auth agree with their enums and their order. */
#include "unit.h"

#include "auth/policy.h"

#include <strings.h>

static void actions_are_sorted_and_found(void **state)
{
    (void)state;
    for (size_t n = 0; n < action_count; n++) {
        assert_int_equal(action_find(actions[n].name), (int)n);
        assert_true(n == 0 || strcasecmp(actions[n - 1].name, actions[n].name) < 0);
    }
    assert_int_equal(action_find("s3:getobject"), action_find("s3:GetObject"));
    assert_int_equal(action_find("s3:Fly"), -1);
    assert_true(auth_action_known("kms:Decrypt"));
}

static void every_key_is_found_by_its_name(void **state)
{
    (void)state;
    for (size_t n = AUTH_ABSENT + 1; n < AUTH_KEY_COUNT; n++) {
        const char *name = auth_key_name((enum auth_key)n), *tag;
        enum auth_key key;
        char written[128];
        assert_non_null(name);
        bool tagged = name[strlen(name) - 1] == '/' || name[strlen(name) - 1] == ':';
        snprintf(written, sizeof written, "%s%s", name, tagged ? "Tag" : "");
        assert_int_equal(auth_key_find(written, &key, &tag), 0);
        assert_int_equal(key, n);
        assert_string_equal(tag, tagged ? "Tag" : "");
    }
}

static void other_aws_keys_are_legal_and_absent_others_are_none(void **state)
{
    (void)state;
    enum auth_key key = AUTH_SOURCE_IP;
    const char *tag;
    assert_int_equal(auth_key_find("aws:PrincipalOrgID", &key, &tag), 0);
    assert_int_equal(key, AUTH_ABSENT);
    assert_int_equal(auth_key_find("s3:Nonsense", &key, &tag), -EINVAL);
    assert_int_equal(auth_key_find("s3:ExistingObjectTag/", &key, &tag), -EINVAL);
    assert_int_equal(auth_key_find("aws:", &key, &tag), -EINVAL);
    assert_int_equal(auth_key_find("", &key, &tag), -EINVAL);
    assert_int_equal(key_find_in("kms:ViaService", POLICY_BUCKET, &key, &tag), -EINVAL);
    assert_int_equal(key_find_in("kms:ViaService", POLICY_KEY, &key, &tag), 0);
    assert_int_equal(key, AUTH_KMS_VIA_SERVICE);
    assert_int_equal(key_find_in("kms:CallerAccount", POLICY_IDENTITY, &key, &tag), 0);
    assert_int_equal(key, AUTH_ABSENT);
}

static void names_of_accounts_and_users(void **state)
{
    (void)state;
    assert_true(principal_name_valid("a.b+c=d,e@f_g-H1"));
    assert_false(principal_name_valid(""));
    assert_false(principal_name_valid("a b"));
    assert_false(principal_name_valid("a/b"));
    assert_false(principal_name_valid("0123456789012345678901234567890123456789012345678901234567890123x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_are_sorted_and_found),
        cmocka_unit_test(every_key_is_found_by_its_name),
        cmocka_unit_test(other_aws_keys_are_legal_and_absent_others_are_none),
        cmocka_unit_test(names_of_accounts_and_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
