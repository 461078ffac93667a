/* SPDX-License-Identifier: GPL-3.0-or-later
 * Accounts, users, uids, policies and access keys over a real store (auth.md §1): made, refused, kept over a restart, judged. */
#include "../unit/unit.h"

#include "store.h"
#include "util/secret.h"

#include <unistd.h>

static struct store S;

static int setup(void **state)
{
    (void)state;
    store_setup(&S, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_teardown(&S);
    return 0;
}

/* ---- steps ---- */

static void ok(int r)
{
    if (r < 0)
        fail_msg("%s (%s)", strerror(-r), S.c.reason.text);
}

/* The refusal, and a word of its sentence. */
static void no(int r, int error, const char *word)
{
    if (r != -error || !strstr(S.c.reason.text, word))
        fail_msg("wanted %s with '%s', got %s (%s)", strerror(error), word, strerror(-r), S.c.reason.text);
    reason_clear(&S.c.reason);
}

static const char *text(const json_t *o, const char *name)
{
    const char *value = json_string_value(json_object_get(o, name));
    return value ? value : "";
}

static void user(const char *account, const char *name, uint32_t uid, const char *policy)
{
    json_t *made = NULL, *options = json_pack("{s:[i], s:s*}", "uids", (int)uid, "policy", policy);
    ok(engine_user_create(S.e, &S.c, account, name, options, &made));
    assert_string_equal(text(made, "name"), name);
    json_decref(options);
    json_decref(made);
}

static void account(const char *name)
{
    json_t *made = NULL;
    ok(engine_account_create(S.e, &S.c, name, NULL, &made));
    json_decref(made);
}

static struct caller as(uint32_t uid)
{
    struct caller c;
    engine_caller_init(S.e, &c, uid, uid, 0, "mount");
    return c;
}

/* What the uid is, as its ARN. */
static const char *who(uint32_t uid)
{
    static char arn[128];
    struct caller c = as(uid);
    principal_arn(&c.principal, arn);
    return arn;
}

static char *decision(const char *name, const char *action, const char *resource, char out[32])
{
    json_t *answer = NULL, *question = json_pack("{s:s, s:s, s:s}", "user", name, "action", action, "resource", resource);
    ok(engine_user_can(S.e, &S.c, question, &answer));
    snprintf(out, 32, "%s", text(answer, "decision"));
    json_decref(question);
    json_decref(answer);
    return out;
}

static bool may(const char *name, const char *action)
{
    char is[32];
    return strcmp(decision(name, action, "arn:aws:s3:::buck/k", is), "allow") == 0;
}

static size_t listed(int (*list)(struct engine *, struct caller *, const char *, json_t **), const char *name)
{
    json_t *answer = NULL;
    ok(list(S.e, &S.c, name, &answer));
    size_t count = json_array_size(json_object_get(answer, "users"));
    json_decref(answer);
    return count;
}

/* ---- accounts ---- */

static void accounts_are_made_found_and_removed(void **state)
{
    (void)state;
    json_t *made = NULL, *options = json_pack("{s:s, s:s, s:s}", "canonical-id",
                                              "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "display-name", "A shop",
                                              "email", "shop@example.org");
    ok(engine_account_create(S.e, &S.c, "shop", options, &made));
    assert_string_equal(text(made, "display_name"), "A shop");
    assert_int_equal(strlen(text(made, "id")), 12);
    no(engine_account_create(S.e, &S.c, "SHOP", NULL, NULL), EEXIST, "shop");
    no(engine_account_create(S.e, &S.c, "shop2", options, NULL), EEXIST, "canonical");
    json_object_del(options, "canonical-id");
    no(engine_account_create(S.e, &S.c, "shop2", options, NULL), EEXIST, "e-mail");
    no(engine_account_create(S.e, &S.c, "12345", NULL, NULL), EINVAL, "name");
    no(engine_account_create(S.e, &S.c, "a b", NULL, NULL), EINVAL, "name");
    json_t *bad = json_pack("{s:s}", "canonical-id", "0011");
    no(engine_account_create(S.e, &S.c, "shop3", bad, NULL), EINVAL, "64");
    json_decref(bad);

    store_reopen(&S);
    json_t *shown = NULL;
    ok(engine_account_show(S.e, &S.c, text(made, "id"), &shown)); /* by id as by name */
    assert_true(json_equal(made, shown));
    json_decref(shown);
    ok(engine_account_list(S.e, &S.c, &shown));
    assert_int_equal(json_array_size(json_object_get(shown, "accounts")), 2);
    assert_string_equal(text(json_array_get(json_object_get(shown, "accounts"), 0), "name"), "main");
    json_decref(shown);

    user("shop", "carol", 3001, NULL);
    no(engine_account_delete(S.e, &S.c, "shop"), EBUSY, "1 user");
    ok(engine_user_delete(S.e, &S.c, "shop", "carol", true));
    ok(engine_user_map(S.e, &S.c, NULL, 3002, "shop:root"));
    struct caller root = as(3002);
    ok(engine_bucket_create(S.e, &root, "shop-bucket", NULL));
    no(engine_account_delete(S.e, &S.c, "shop"), EBUSY, "shop-bucket");
    ok(engine_bucket_delete(S.e, &root, "shop-bucket", false));
    assert_int_equal(engine_account_create(S.e, &root, "more", NULL, NULL), -EACCES);
    ok(engine_account_delete(S.e, &S.c, "shop"));
    assert_string_equal(who(3002), "anonymous");
    no(engine_account_delete(S.e, &S.c, "main"), EBUSY, "first account");
    no(engine_account_show(S.e, &S.c, "shop", NULL), ENOENT, "shop");
    json_decref(options);
    json_decref(made);
}

/* ---- users and uids ---- */

static void users_have_uids_that_stay(void **state)
{
    (void)state;
    user(NULL, "alice", 1001, "read-only");
    json_t *options = json_pack("{s:[i]}", "uids", 1001);
    no(engine_user_create(S.e, &S.c, NULL, "bob", options, NULL), EEXIST, "alice");
    json_decref(options);
    no(engine_user_create(S.e, &S.c, NULL, "ALICE", NULL, NULL), EEXIST, "alice");
    no(engine_user_create(S.e, &S.c, NULL, "root", NULL, NULL), EINVAL, "root");
    no(engine_user_create(S.e, &S.c, NULL, "a/b", NULL, NULL), EINVAL, "name");
    no(engine_user_create(S.e, &S.c, "nowhere", "bob", NULL, NULL), ENOENT, "nowhere");
    assert_int_equal(listed(engine_user_list, NULL), 1); /* a refused one left nothing */
    user(NULL, "bob", 1002, NULL);
    no(engine_user_map(S.e, &S.c, NULL, 1002, "alice"), EEXIST, "bob");
    ok(engine_user_map(S.e, &S.c, NULL, 1003, "alice"));
    no(engine_user_map(S.e, &S.c, NULL, 1004, "zoe"), ENOENT, "zoe");
    store_reopen(&S);
    assert_non_null(strstr(who(1001), "user/alice"));
    assert_non_null(strstr(who(1003), "user/alice"));
    assert_non_null(strstr(who(1002), "user/bob"));
    assert_non_null(strstr(who(getuid()), ":root"));
    assert_string_equal(who(1009), "anonymous");
    ok(engine_user_map(S.e, &S.c, NULL, 1003, "anonymous"));
    assert_string_equal(who(1003), "anonymous");
    ok(engine_user_map(S.e, &S.c, NULL, 1003, "root"));
    assert_non_null(strstr(who(1003), ":root"));
    store_reopen(&S);
    assert_non_null(strstr(who(1003), ":root"));
    /* the store owner's own uid is the root unless told otherwise */
    ok(engine_user_map(S.e, &S.c, NULL, getuid(), "alice"));
    assert_non_null(strstr(who(getuid()), "user/alice"));
    ok(engine_user_map(S.e, &S.c, NULL, getuid(), "anonymous"));
    assert_string_equal(who(getuid()), "anonymous");
    ok(engine_user_map(S.e, &S.c, NULL, getuid(), "root"));
    assert_non_null(strstr(who(getuid()), ":root"));
    struct caller alice = as(1001);
    assert_int_equal(engine_user_create(S.e, &alice, NULL, "eve", NULL, NULL), -EACCES);
    assert_int_equal(engine_user_map(S.e, &alice, NULL, 1009, "root"), -EACCES);
    assert_int_equal(engine_user_policy_put(S.e, &alice, NULL, "alice", "policy", "admin"), -EACCES);
}

static void a_user_is_disabled_and_removed(void **state)
{
    (void)state;
    json_t *shown = NULL, *key = NULL;
    user(NULL, "alice", 1001, "admin");
    assert_true(may("alice", "s3:GetObject"));
    ok(engine_user_enable(S.e, &S.c, NULL, "alice", false));
    assert_false(may("alice", "s3:GetObject"));
    store_reopen(&S);
    assert_false(may("alice", "s3:GetObject"));
    ok(engine_user_enable(S.e, &S.c, NULL, "alice", true));
    assert_true(may("alice", "s3:GetObject"));
    ok(engine_key_create(S.e, &S.c, NULL, "alice", NULL, &key));
    no(engine_user_delete(S.e, &S.c, NULL, "alice", false), EBUSY, "1 access key");
    ok(engine_user_show(S.e, &S.c, NULL, "alice", &shown));
    char userid[32];
    snprintf(userid, sizeof userid, "%s", text(shown, "userid"));
    assert_int_equal(strlen(userid), 20);
    json_decref(shown);
    ok(engine_user_delete(S.e, &S.c, NULL, "alice", true));
    struct secret *secret = NULL;
    struct principal p;
    assert_int_equal(engine_key_open(S.e, text(key, "AccessKeyId"), &secret, &p), -ENOENT);
    assert_string_equal(who(1001), "anonymous");
    store_reopen(&S);
    assert_int_equal(listed(engine_user_list, NULL), 0);
    user(NULL, "alice", 1001, NULL); /* of the same name, and nothing else */
    ok(engine_user_show(S.e, &S.c, NULL, "alice", &shown));
    assert_string_not_equal(text(shown, "userid"), userid);
    assert_false(may("alice", "s3:GetObject"));
    json_decref(shown);
    json_decref(key);
}

/* A user named in a stored policy is bound by userid: a later one of that name inherits nothing. */
static void a_bucket_policy_means_the_user_it_was_put_for(void **state)
{
    (void)state;
    json_t *shown = NULL;
    char policy[512];
    user(NULL, "alice", 1001, NULL);
    ok(engine_account_show(S.e, &S.c, "main", &shown));
    snprintf(policy, sizeof policy,
             "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::%s:user/alice\"},\"Action\":\"s3:GetObject\","
             "\"Resource\":\"arn:aws:s3:::buck/*\"}}",
             text(shown, "id"));
    json_decref(shown);
    struct engine_target target = {.ino = S.root};
    ok(engine_property_set(S.e, &S.c, &target, "bucket.policy", policy, strlen(policy), 0));
    assert_true(may("alice", "s3:GetObject"));
    store_reopen(&S);
    assert_true(may("alice", "s3:GetObject"));
    ok(engine_user_delete(S.e, &S.c, NULL, "alice", true));
    user(NULL, "alice", 1001, NULL);
    assert_false(may("alice", "s3:GetObject"));
    store_reopen(&S);
    assert_false(may("alice", "s3:GetObject"));
}

/* ---- identity policies ---- */

#define STATEMENT(EFFECT, ACTION) "{\"Statement\":{\"Effect\":\"" EFFECT "\",\"Action\":\"" ACTION "\",\"Resource\":\"*\"}}"

static void a_user_has_up_to_ten_policies(void **state)
{
    (void)state;
    json_t *answer = NULL;
    user(NULL, "alice", 1001, NULL);
    for (int n = 0; n < 10; n++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", n);
        ok(engine_user_policy_put(S.e, &S.c, NULL, "alice", name, STATEMENT("Allow", "s3:GetObject")));
    }
    no(engine_user_policy_put(S.e, &S.c, NULL, "alice", "p10", STATEMENT("Allow", "s3:GetObject")), ENOSPC, "10 policies");
    ok(engine_user_policy_put(S.e, &S.c, NULL, "alice", "p3", STATEMENT("Deny", "s3:GetObject"))); /* in another's place */
    char is[32];
    assert_string_equal(decision("alice", "s3:GetObject", "buck/k", is), "explicit deny");
    store_reopen(&S);
    assert_string_equal(decision("alice", "s3:GetObject", "buck/k", is), "explicit deny");
    ok(engine_user_policy_delete(S.e, &S.c, NULL, "alice", "p3"));
    assert_string_equal(decision("alice", "s3:GetObject", "buck/k", is), "allow");
    no(engine_user_policy_delete(S.e, &S.c, NULL, "alice", "p3"), ENOENT, "p3");
    ok(engine_user_policy_list(S.e, &S.c, NULL, "alice", &answer));
    assert_int_equal(json_array_size(json_object_get(answer, "policies")), 9);
    json_decref(answer);
    ok(engine_user_policy_get(S.e, &S.c, NULL, "alice", "p1", &answer));
    assert_string_equal(text(answer, "policy"), STATEMENT("Allow", "s3:GetObject"));
    json_decref(answer);
    no(engine_user_policy_put(S.e, &S.c, NULL, "alice", "a/b", STATEMENT("Allow", "s3:GetObject")), EINVAL, "name");
    no(engine_user_policy_put(S.e, &S.c, NULL, "alice", "p1", "{"), EINVAL, "Json");
    no(engine_user_policy_put(S.e, &S.c, NULL, "alice", "p1", STATEMENT("Allow", "s3:Nothing")), EINVAL, "invalid action");
    ok(engine_user_policy_get(S.e, &S.c, NULL, "alice", "p1", &answer)); /* the one before stands */
    assert_string_equal(text(answer, "policy"), STATEMENT("Allow", "s3:GetObject"));
    json_decref(answer);
}

/* 96: the presets, stored expanded. */
static void presets_are_what_the_page_says(void **state)
{
    (void)state;
    static const struct {
        const char *preset, *action;
        bool allowed;
    } cases[] = {
        {"read-only", "s3:GetObject", true},         {"read-only", "s3:ListBucket", true},
        {"read-only", "s3:PutObject", false},        {"read-write", "s3:PutObject", true},
        {"read-write", "s3:DeleteObject", true},     {"read-write", "s3:PutObjectTagging", true},
        {"read-write", "s3:DeleteObjectVersion", false}, {"read-write", "s3:PutBucketPolicy", false},
        {"read-write", "s3:PutLifecycleConfiguration", false}, {"read-write", "s3:BypassGovernanceRetention", false},
        {"backup", "s3:PutObjectRetention", true},   {"backup", "s3:GetBucketVersioning", true},
        {"backup", "s3:PutObjectLegalHold", false},  {"backup", "s3:PutObjectTagging", false},
        {"backup", "s3:PutObjectAcl", false},        {"backup", "s3:DeleteObjectVersion", false},
        {"backup", "s3:BypassGovernanceRetention", false}, {"admin", "s3:DeleteObjectVersion", true},
    };
    user(NULL, "alice", 1001, NULL);
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        json_t *question = json_pack("{s:s, s:s, s:s}", "user", "alice", "action", cases[n].action, "resource", "*"), *answer = NULL;
        ok(engine_user_policy_put(S.e, &S.c, NULL, "alice", "policy", cases[n].preset));
        ok(engine_user_can(S.e, &S.c, question, &answer));
        if (json_is_true(json_object_get(answer, "allowed")) != cases[n].allowed)
            fail_msg("%s: %s", cases[n].preset, cases[n].action);
        json_decref(question);
        json_decref(answer);
    }
    json_t *answer = NULL;
    ok(engine_user_policy_get(S.e, &S.c, NULL, "alice", "policy", &answer));
    assert_string_equal(text(answer, "policy"), engine_policy_preset("admin"));
    json_decref(answer);
}

static void a_question_names_what_decides(void **state)
{
    (void)state;
    json_t *answer = NULL;
    user(NULL, "alice", 1001, "{\"Statement\":{\"Sid\":\"reads\",\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\"Resource\":\"*\","
                              "\"Condition\":{\"StringEquals\":{\"s3:VersionId\":\"v\"}}}}");
    json_t *question = json_pack("{s:i, s:s, s:s, s:{s:[s]}}", "uid", 1001, "action", "s3:GetObject", "resource", "buck/k", "context",
                                 "s3:VersionId", "v");
    ok(engine_user_can(S.e, &S.c, question, &answer));
    assert_true(json_is_true(json_object_get(answer, "allowed")));
    assert_string_equal(text(answer, "policy"), "identity policy");
    assert_string_equal(text(answer, "sid"), "reads");
    assert_string_equal(text(json_object_get(answer, "statement"), "Effect"), "Allow");
    json_decref(answer);
    struct caller alice = as(1001), bob;
    ok(engine_user_can(S.e, &alice, question, &answer)); /* of oneself anybody may ask */
    json_decref(answer);
    user(NULL, "bob", 1002, NULL);
    bob = as(1002);
    assert_int_equal(engine_user_can(S.e, &bob, question, &answer), -EACCES);
    json_object_set_new(question, "context", json_pack("{s:[i]}", "s3:VersionId", 1)); /* what no command sends */
    no(engine_user_can(S.e, &S.c, question, &answer), EINVAL, "strings");
    json_object_set_new(question, "context", json_pack("{s:[s]}", "s3:nothing", "1"));
    no(engine_user_can(S.e, &S.c, question, &answer), EINVAL, "condition key");
    json_object_set_new(question, "action", json_string("s3:Nothing"));
    no(engine_user_can(S.e, &S.c, question, &answer), EINVAL, "no action");
    json_decref(question);
}

/* ---- access keys ---- */

static void opens(const char *id, const char *want, const char *name)
{
    struct secret *secret = NULL;
    struct principal p;
    ok(engine_key_open(S.e, id, &secret, &p));
    assert_int_equal(secret_len(secret), strlen(want));
    assert_memory_equal(secret_peek(secret), want, strlen(want));
    assert_string_equal(p.name, name);
    secret_free(secret);
}

static void opens_not(const char *id)
{
    struct secret *secret = NULL;
    struct principal p;
    assert_int_equal(engine_key_open(S.e, id, &secret, &p), -ENOENT);
}

static void access_keys_open_as_long_as_they_are_active(void **state)
{
    (void)state;
    json_t *made = NULL, *next = NULL;
    user(NULL, "alice", 1001, NULL);
    ok(engine_key_create(S.e, &S.c, NULL, "alice", NULL, &made));
    const char *id = text(made, "AccessKeyId"), *secret = text(made, "SecretAccessKey");
    assert_int_equal(strlen(id), 20);
    assert_int_equal(strlen(secret), 40);
    store_reopen(&S);
    opens(id, secret, "alice");
    ok(engine_key_enable(S.e, &S.c, id, false));
    opens_not(id);
    store_reopen(&S);
    opens_not(id);
    ok(engine_key_enable(S.e, &S.c, id, true));
    ok(engine_user_enable(S.e, &S.c, NULL, "alice", false));
    opens_not(id); /* its user is disabled */
    ok(engine_user_enable(S.e, &S.c, NULL, "alice", true));
    opens(id, secret, "alice");

    ok(engine_key_rotate(S.e, &S.c, id, 0, &next));
    opens_not(id);
    opens(text(next, "AccessKeyId"), text(next, "SecretAccessKey"), "alice");
    json_t *third = NULL;
    ok(engine_key_rotate(S.e, &S.c, text(next, "AccessKeyId"), 3600, &third));
    opens(text(next, "AccessKeyId"), text(next, "SecretAccessKey"), "alice"); /* in its grace time */
    ok(engine_key_delete(S.e, &S.c, text(third, "AccessKeyId")));
    opens_not(text(third, "AccessKeyId"));
    no(engine_key_delete(S.e, &S.c, text(third, "AccessKeyId")), ENOENT, "no access key");
    opens_not("AKIANOSUCHKEY0000000");
    json_decref(made);
    json_decref(next);
    json_decref(third);
}

static void keys_are_taken_in_and_bounded(void **state)
{
    (void)state;
    json_t *made = NULL;
    user(NULL, "alice", 1001, NULL);
    json_t *options = json_pack("{s:s, s:s}", "id", "IMPORTED_KEY_0001", "secret", "a-secret!");
    ok(engine_key_create(S.e, &S.c, NULL, "root", options, &made));
    assert_null(json_object_get(made, "SecretAccessKey"));
    json_decref(made);
    opens("IMPORTED_KEY_0001", "a-secret!", "root");
    no(engine_key_create(S.e, &S.c, NULL, "alice", options, &made), EEXIST, "IMPORTED_KEY_0001");
    static const struct {
        const char *id, *secret, *word;
    } bad[] = {{"SHORT", "a-secret!", "16 to 128"},
               {"IMPORTED-KEY-0002", "a-secret!", "16 to 128"},
               {"IMPORTED_KEY_0002", "short", "8 to 128"},
               {"IMPORTED_KEY_0002", "a secret with blanks", "8 to 128"}};
    for (size_t n = 0; n < sizeof bad / sizeof bad[0]; n++) {
        json_t *o = json_pack("{s:s, s:s}", "id", bad[n].id, "secret", bad[n].secret);
        no(engine_key_create(S.e, &S.c, NULL, "alice", o, &made), EINVAL, bad[n].word);
        json_decref(o);
    }
    no(engine_key_create(S.e, &S.c, NULL, "anonymous", NULL, &made), EINVAL, "anonymous");
    for (int n = 0; n < 16; n++) {
        ok(engine_key_create(S.e, &S.c, NULL, "alice", NULL, &made));
        json_decref(made);
    }
    no(engine_key_create(S.e, &S.c, NULL, "alice", NULL, &made), ENOSPC, "16 access keys");
    ok(engine_key_list(S.e, &S.c, NULL, "alice", &made));
    assert_int_equal(json_array_size(json_object_get(made, "keys")), 16);
    json_decref(made);
    ok(engine_key_list(S.e, &S.c, NULL, NULL, &made));
    assert_int_equal(json_array_size(json_object_get(made, "keys")), 17);
    json_decref(made);
    json_decref(options);
}

/* Access keys still open after the keys above them were renewed. */
static void access_keys_outlive_a_rotation(void **state)
{
    (void)state;
    json_t *made = NULL, *answer = NULL;
    user(NULL, "alice", 1001, NULL);
    ok(engine_key_create(S.e, &S.c, NULL, "alice", NULL, &made));
    ok(engine_rotate_root(S.e, &S.c, &answer));
    json_decref(answer);
    opens(text(made, "AccessKeyId"), text(made, "SecretAccessKey"), "alice");
    store_reopen(&S);
    opens(text(made, "AccessKeyId"), text(made, "SecretAccessKey"), "alice");
    json_decref(made);
}

static void keys_tell_when_they_were_used(void **state)
{
    (void)state;
    json_t *made = NULL, *list = NULL;
    user(NULL, "alice", 1001, NULL);
    ok(engine_key_create(S.e, &S.c, NULL, "alice", NULL, &made));
    ok(engine_key_list(S.e, &S.c, NULL, "alice", &list));
    assert_null(json_object_get(json_array_get(json_object_get(list, "keys"), 0), "last_used"));
    json_decref(list);
    engine_key_used(S.e, "AKIANOSUCHKEY0000000", "s3", "192.0.2.1");
    engine_key_used(S.e, text(made, "AccessKeyId"), "s3", "192.0.2.1");
    engine_key_used(S.e, text(made, "AccessKeyId"), "s3", "2001:db8::1");
    store_reopen(&S);
    ok(engine_key_list(S.e, &S.c, NULL, "alice", &list));
    const json_t *key = json_array_get(json_object_get(list, "keys"), 0);
    assert_string_equal(text(key, "last_front"), "s3");
    assert_string_equal(text(key, "last_address"), "2001:db8::1");
    assert_int_equal(strlen(text(key, "last_used")), 24);
    opens(text(made, "AccessKeyId"), text(made, "SecretAccessKey"), "alice");
    json_decref(list);
    json_decref(made);
}

/* ---- each root its own ---- */

static void a_root_manages_its_own_account_alone(void **state)
{
    (void)state;
    account("shop");
    account("bank");
    ok(engine_user_map(S.e, &S.c, NULL, 3001, "shop:root"));
    user("bank", "dan", 4001, NULL);
    struct caller shop = as(3001);
    json_t *made = NULL;
    ok(engine_user_create(S.e, &shop, "shop", "carol", NULL, &made));
    json_decref(made);
    ok(engine_key_create(S.e, &shop, "shop", "root", NULL, &made));
    json_decref(made);
    ok(engine_user_map(S.e, &shop, "shop", 3002, "carol"));
    assert_int_equal(engine_user_create(S.e, &shop, "bank", "eve", NULL, &made), -EACCES);
    assert_int_equal(engine_user_create(S.e, &shop, NULL, "eve", NULL, &made), -EACCES);
    assert_int_equal(engine_key_create(S.e, &shop, "bank", "dan", NULL, &made), -EACCES);
    assert_int_equal(engine_user_map(S.e, &shop, "bank", 4002, "dan"), -EACCES);
    assert_int_equal(engine_user_map(S.e, &shop, "shop", 0, "root"), -EACCES); /* the store owner's */
    assert_int_equal(engine_user_delete(S.e, &shop, "bank", "dan", true), -EACCES);
    ok(engine_account_list(S.e, &shop, &made));
    assert_int_equal(json_array_size(json_object_get(made, "accounts")), 1);
    json_decref(made);
}

int main(void)
{
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(accounts_are_made_found_and_removed),
        TEST(users_have_uids_that_stay),
        TEST(a_user_is_disabled_and_removed),
        TEST(a_bucket_policy_means_the_user_it_was_put_for),
        TEST(a_user_has_up_to_ten_policies),
        TEST(presets_are_what_the_page_says),
        TEST(a_question_names_what_decides),
        TEST(access_keys_open_as_long_as_they_are_active),
        TEST(keys_are_taken_in_and_bounded),
        TEST(access_keys_outlive_a_rotation),
        TEST(keys_tell_when_they_were_used),
        TEST(a_root_manages_its_own_account_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
