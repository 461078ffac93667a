/* SPDX-License-Identifier: GPL-3.0-or-later
 * The sentences of a denial and who decided it (auth.md §4.4); what a policy says of itself. */
#include "unit.h"

#include "auth_world.h"

static struct policy *parse(enum policy_kind kind, const char *text)
{
    struct policy *p = NULL;
    struct reason why = {0};
    if (world_policy(kind, text, strlen(text), &p, &why) < 0)
        fail_msg("%s", why.text);
    return p;
}

static struct auth_request request(const char *who, const char *action, const char *key)
{
    return (struct auth_request){.principal = world_find(who), .action = action, .bucket = "b", .bucket_account = ACCOUNT1,
                                 .key = key, .key_len = key ? strlen(key) : 0, .region = "us-east-1"};
}

static void principals_have_arns(void **state)
{
    (void)state;
    char arn[128];
    principal_arn(world_find("root"), arn);
    assert_string_equal(arn, "arn:aws:iam::" ACCOUNT1 ":root");
    principal_arn(world_find("alice"), arn);
    assert_string_equal(arn, "arn:aws:iam::" ACCOUNT1 ":user/alice");
    principal_arn(world_find("anonymous"), arn);
    assert_string_equal(arn, "anonymous");
    principal_arn(world_find("logging"), arn);
    assert_string_equal(arn, "service:logging.s3.amazonaws.com");
}

static void what_nothing_allows_is_told_in_s3s_words(void **state)
{
    (void)state;
    struct reason why = {0};
    struct auth_verdict v;
    struct auth_request q = request("alice", "s3:GetObject", "d/f");
    assert_int_equal(auth_judge(&q, &v, &why), -EACCES);
    assert_int_equal(v.outcome, AUTH_DENIED_IMPLICIT);
    assert_string_equal(why.code, "AccessDenied");
    assert_string_equal(why.text, "User: arn:aws:iam::" ACCOUNT1 ":user/alice is not authorized to perform: s3:GetObject on "
                                  "resource: \"arn:aws:s3:::b/d/f\" because no identity-based policy allows the "
                                  "s3:GetObject action");
}

static void outsiders_are_told_nothing(void **state)
{
    (void)state;
    static const char *const outsiders[] = {"anonymous", "carol", "root2", "logging"};
    for (size_t n = 0; n < sizeof outsiders / sizeof *outsiders; n++) {
        struct reason why = {0};
        struct auth_request q = request(outsiders[n], "s3:GetObject", "d/f");
        assert_int_equal(auth_judge(&q, NULL, &why), -EACCES);
        assert_string_equal(why.text, "Access Denied");
    }
}

static void a_deny_names_the_kind_of_policy(void **state)
{
    (void)state;
    static const char bucket_text[] =
        "{\"Statement\":[{\"Sid\":\"one\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/*\"},"
        "{\"Sid\":\"two\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/*\","
        "\"Condition\":{\"Null\":{\"aws:Referer\":\"true\"},\"StringNotEquals\":{\"s3:x-amz-acl\":\"private\"}}}]}";
    struct policy *bucket = parse(POLICY_BUCKET, bucket_text);
    struct policy *mine = parse(POLICY_IDENTITY, "{\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"s3:PutObject\",\"Resource\":\"*\"}}");
    const struct policy *identity = mine;
    struct reason why = {0};
    struct auth_verdict v;
    struct auth_request q = request("alice", "s3:GetObject", "f");
    q.policies = (struct auth_policies){.identity = &identity, .identity_count = 1, .resource = bucket};
    assert_int_equal(auth_judge(&q, &v, &why), -EACCES);
    assert_string_equal(why.text, "User: arn:aws:iam::" ACCOUNT1 ":user/alice is not authorized to perform: s3:GetObject on "
                                  "resource: \"arn:aws:s3:::b/f\" with an explicit deny in a resource-based policy");
    assert_ptr_equal(v.policy, bucket);
    assert_string_equal(policy_sid(v.policy, v.statement), "two");
    struct bytes out = {0};
    policy_conditions(v.policy, v.statement, &out);
    assert_string_equal(bytes_text(&out), "Null aws:Referer, StringNotEquals s3:x-amz-acl");
    bytes_clear(&out);
    policy_statement(v.policy, 0, &out);
    assert_string_equal(bytes_text(&out), "{\"Sid\":\"one\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/*\"}");
    bytes_done(&out);
    q.action = "s3:PutObject";
    assert_int_equal(auth_judge(&q, &v, &why), -EACCES);
    assert_non_null(strstr(why.text, "with an explicit deny in an identity-based policy"));
    assert_ptr_equal(v.policy, mine);
    assert_string_equal(policy_name(v.policy), "policy");
    q.action = "s3:DeleteObject";
    assert_int_equal(auth_judge(&q, &v, &why), 0);
    assert_int_equal(v.cause, AUTH_BY_POLICY);
    assert_string_equal(policy_sid(v.policy, v.statement), "one");
    policy_unref(bucket);
    policy_unref(mine);
}

static void an_access_points_deny_is_named(void **state)
{
    (void)state;
    struct policy *policy = parse(POLICY_ACCESS_POINT, "{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\","
                                                       "\"Resource\":\"" POINT_ARN "/object/*\"}}");
    struct auth_access_point point = {.arn = POINT_ARN, .account = ACCOUNT1, .policy = policy};
    struct reason why = {0};
    struct auth_request q = request("alice", "s3:GetObject", "f");
    q.access_point = &point;
    assert_int_equal(auth_judge(&q, NULL, &why), -EACCES);
    assert_non_null(strstr(why.text, "with an explicit deny in an access point policy"));
    policy_unref(policy);
}

static void a_long_key_is_cut_between_characters(void **state)
{
    (void)state;
    static char key[4096];
    struct reason why = {0};
    for (size_t i = 0; i + 2 < sizeof key; i += 2)
        memcpy(key + i, "\xc3\xa9", 2);
    struct auth_request q = request("alice", "s3:GetObject", key);
    assert_int_equal(auth_judge(&q, NULL, &why), -EACCES);
    assert_true(utf8_valid(why.text, strlen(why.text)));
    assert_non_null(strstr(why.text, "because no identity-based policy allows"));
}

static int judge_key(const char *who, const struct policy *key_policy, const struct policy *identity)
{
    struct auth_request q = {.principal = world_find(who), .action = "kms:Decrypt", .bucket_account = ACCOUNT1,
                             .resource = "arn:aws:kms:us-east-1:" ACCOUNT1 ":key/k",
                             .policies = {.identity = &identity, .identity_count = identity ? 1 : 0, .resource = key_policy}};
    return auth_judge(&q, NULL, NULL);
}

static void a_keys_policy_has_the_first_word(void **state)
{
    (void)state;
    struct policy *account = parse(POLICY_KEY, "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" ACCOUNT1 "\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}}");
    struct policy *alice = parse(POLICY_KEY, "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::" ACCOUNT1 ":user/alice\"},\"Action\":\"kms:Decrypt\",\"Resource\":\"*\"}}");
    struct policy *carol = parse(POLICY_KEY, "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" ACCOUNT2 "\"},\"Action\":\"kms:Decrypt\",\"Resource\":\"*\"}}");
    struct policy *mine = parse(POLICY_IDENTITY, "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"kms:Decrypt\",\"Resource\":\"*\"}}");
    assert_int_equal(judge_key("alice", account, NULL), -EACCES);
    assert_int_equal(judge_key("alice", account, mine), 0);
    assert_int_equal(judge_key("alice", alice, NULL), 0);
    assert_int_equal(judge_key("bob", alice, mine), -EACCES);
    assert_int_equal(judge_key("carol", account, mine), -EACCES);
    assert_int_equal(judge_key("carol", carol, mine), 0);
    assert_int_equal(judge_key("carol", carol, NULL), -EACCES);
    assert_int_equal(judge_key("root2", carol, NULL), 0);
    assert_int_equal(judge_key("root", account, NULL), 0);
    policy_unref(account);
    policy_unref(alice);
    policy_unref(carol);
    policy_unref(mine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(principals_have_arns),
        cmocka_unit_test(what_nothing_allows_is_told_in_s3s_words),
        cmocka_unit_test(outsiders_are_told_nothing),
        cmocka_unit_test(a_deny_names_the_kind_of_policy),
        cmocka_unit_test(an_access_points_deny_is_named),
        cmocka_unit_test(a_long_key_is_cut_between_characters),
        cmocka_unit_test(a_keys_policy_has_the_first_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
