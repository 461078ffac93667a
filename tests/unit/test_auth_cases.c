/* SPDX-License-Identifier: GPL-3.0-or-later
 * The truth of policies: every case of auth-cases.json is judged, one line of it an expectation (auth.md §4, §10).
 *
 * A case is ["WHO ACTION RESOURCE", {KEY: value or [values]}, "allow" | "deny" (explicit) | "none" (implicit)]; WHO is of auth_world.h,
 * RESOURCE is BUCKET, BUCKET/KEY or *. */
#include "unit.h"

#include "auth_world.h"

#include "util/cleanup.h"

enum { VALUES_MAX = 32 };

struct group {
    const json_t *json;
    struct policy *bucket, *point;
};

static size_t read_values(const json_t *context, struct auth_value values[VALUES_MAX])
{
    const char *name;
    json_t *value;
    size_t count = 0;
    json_object_foreach((json_t *)context, name, value) {
        size_t many = json_is_array(value) ? json_array_size(value) : 1;
        for (size_t n = 0; n < many; n++) {
            struct auth_value *v = &values[count++];
            assert_int_equal(auth_key_find(name, &v->key, &v->tag), 0);
            v->text = json_string_value(json_is_array(value) ? json_array_get(value, n) : value);
            v->len = strlen(v->text);
        }
    }
    return count;
}

static const char *outcome_name(enum auth_outcome outcome)
{
    static const char *const names[] = {[AUTH_ALLOWED] = "allow", [AUTH_DENIED_EXPLICIT] = "deny", [AUTH_DENIED_IMPLICIT] = "none"};
    return names[outcome];
}

static bool run_case(const struct group *g, const json_t *one)
{
    char who[32], action[64], resource[128];
    assert_int_equal(sscanf(json_string_value(json_array_get(one, 0)), "%31s %63s %127s", who, action, resource), 3);
    struct auth_value values[VALUES_MAX];
    const struct policy *identity = world_policy_json(POLICY_IDENTITY, json_object_get(json_object_get(g->json, "identity"), who));
    struct auth_access_point point = {.arn = POINT_ARN, .account = ACCOUNT1, .policy = g->point};
    char *slash = strchr(resource, '/');
    bool store_wide = strcmp(resource, "*") == 0;
    struct auth_request q = {
        .principal = world_find(who),
        .disabled = json_is_true(json_object_get(g->json, "disabled")),
        .action = action,
        .bucket = store_wide ? NULL : resource,
        .bucket_account = store_wide ? NULL : ACCOUNT1,
        .key = slash ? slash + 1 : NULL,
        .key_len = slash ? strlen(slash + 1) : 0,
        .region = "us-east-1",
        .now_ms = 1795521600000,
        .values = values,
        .value_count = read_values(json_array_get(one, 1), values),
        .policies = {.identity = &identity, .identity_count = identity ? 1 : 0, .resource = g->bucket},
        .access_point = json_is_true(json_object_get(g->json, "through")) ? &point : NULL,
        .granted = json_is_true(json_object_get(g->json, "granted")),
        .restrict_public = json_is_true(json_object_get(g->json, "restrict")),
    };
    if (slash)
        *slash = '\0';
    struct auth_verdict v;
    struct reason why = {0};
    int r = auth_judge(&q, &v, &why);
    const char *expected = json_string_value(json_array_get(one, 2)), *got = outcome_name(v.outcome);
    bool right = strcmp(expected, got) == 0 && r == (v.outcome == AUTH_ALLOWED ? 0 : -EACCES) && (r == 0 || why.text[0]);
    if (!right) {
        CLEANUP_FREE char *context = json_dumps(json_array_get(one, 1), JSON_COMPACT);
        print_error("%s: '%s' %s: expected %s, got %s\n", json_string_value(json_object_get(g->json, "group")),
                    json_string_value(json_array_get(one, 0)), context, expected, got);
    }
    policy_unref(identity);
    return right;
}

static void every_case_is_judged_as_the_page_says(void **state)
{
    (void)state;
    char path[512];
    const char *dir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/tests/unit/auth-cases.json", dir ? dir : ".");
    json_error_t error;
    json_t *groups = json_load_file(path, 0, &error);
    if (!groups)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    size_t n, i, wrong = 0, count = 0;
    json_t *group, *one;
    json_array_foreach(groups, n, group) {
        struct group g = {.json = group,
                          .bucket = world_policy_json(POLICY_BUCKET, json_object_get(group, "bucket")),
                          .point = world_policy_json(POLICY_ACCESS_POINT, json_object_get(group, "point"))};
        json_array_foreach(json_object_get(group, "cases"), i, one) {
            wrong += !run_case(&g, one);
            count++;
        }
        policy_unref(g.bucket);
        policy_unref(g.point);
    }
    json_decref(groups);
    print_message("%zu cases\n", count);
    assert_int_equal(wrong, 0);
    assert_true(count >= 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case_is_judged_as_the_page_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
