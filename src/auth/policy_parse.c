/* SPDX-License-Identifier: GPL-3.0-or-later
 * From a policy's text to its compiled form, and every way it can be malformed (auth.md §4.1, §4.5).
 *
 * The messages are sent as they stand here: clients match on them. */
#include "auth/policy.h"
#include "util/cleanup.h"

#include <stdio.h>

static void json_cleanup(json_t **value)
{
    json_decref(*value);
}

static int malformed(struct reason *reason, const char *text)
{
    return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "%s", text);
}

static int invalid_json(struct reason *reason)
{
    return malformed(reason, "This policy contains invalid Json");
}

static int check_fields(const json_t *object, const char *const *known, struct reason *reason)
{
    const char *field;
    json_t *value;
    json_object_foreach((json_t *)object, field, value) {
        const char *const *k = known;
        while (*k && strcmp(*k, field) != 0)
            k++;
        if (!*k)
            return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "Unknown field %.200s", field);
    }
    return 0;
}

/* One of an element and its Not form, as the grammar demands: *ret and whether it is negated. */
static int either(const json_t *s, const char *field, const char *not_field, json_t **ret, bool *ret_not, struct reason *reason)
{
    json_t *value = json_object_get(s, field), *not_value = json_object_get(s, not_field);
    if (value && not_value)
        return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "%s and %s in one statement", field, not_field);
    if (!value && !not_value)
        return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "Missing required field %s", field);
    *ret = value ? value : not_value;
    *ret_not = !value;
    return 0;
}

static int parse_effect(const json_t *s, struct statement *ret, struct reason *reason)
{
    const json_t *value = json_object_get(s, "Effect");
    if (!value)
        return malformed(reason, "Missing required field Effect");
    const char *effect = json_string_value(value);
    ret->deny = effect && strcmp(effect, "Deny") == 0;
    if (ret->deny || (effect && strcmp(effect, "Allow") == 0))
        return 0;
    CLEANUP_FREE char *dump = effect ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "Invalid effect: %.200s", effect ? effect : dump ? dump : "");
}

static int parse_principal(struct policy_build *b, const json_t *s, struct statement *ret, struct reason *reason)
{
    if (b->scope->kind == POLICY_IDENTITY) {
        if (json_object_get(s, "Principal") || json_object_get(s, "NotPrincipal"))
            return malformed(reason, "Policy document should not specify a principal.");
        return 0;
    }
    json_t *value;
    int r = either(s, "Principal", "NotPrincipal", &value, &ret->not_principal, reason);
    if (r < 0)
        return r;
    if (ret->not_principal && !ret->deny)
        return malformed(reason, "Invalid principal in policy");
    return who_compile(b, value, &ret->who, &ret->who_count, reason);
}

static int parse_actions(struct policy_build *b, const json_t *value, bool negated, struct statement *ret, struct reason *reason)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    int r = count ? 0 : -EINVAL;
    for (size_t n = 0; r >= 0 && n < count; n++) {
        const char *text = json_string_value(json_is_array(value) ? json_array_get(value, n) : value);
        r = text ? action_match(text, b->scope->kind, ret->actions) : -EINVAL;
    }
    if (r < 0)
        return malformed(reason, "Policy has invalid action");
    for (size_t n = 0; negated && n < ACTION_WORDS; n++)
        ret->actions[n] = ~ret->actions[n];
    return 0;
}

static int parse_sid(struct policy_build *b, const json_t *s, struct statement *ret, struct reason *reason)
{
    struct policy *p = b->policy;
    const json_t *sid = json_object_get(s, "Sid");
    if (sid && !json_is_string(sid))
        return invalid_json(reason);
    ret->sid = sid ? arena_text(&p->arena, json_string_value(sid), json_string_length(sid)) : "";
    if (!ret->sid)
        return -ENOMEM;
    for (size_t n = 0; ret->sid[0] && n < p->statement_count; n++) {
        if (strcmp(p->statements[n].sid, ret->sid) == 0)
            return malformed(reason, "Statement IDs (SID) in a single policy must be unique.");
    }
    return 0;
}

static int parse_statement(struct policy_build *b, const json_t *s, struct statement *ret, struct reason *reason)
{
    static const char *const known[] = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction",
                                        "Resource", "NotResource", "Condition", NULL};
    json_t *action, *resource;
    bool not_action;
    if (!json_is_object(s))
        return invalid_json(reason);
    int r = check_fields(s, known, reason);
    if (r == 0)
        r = parse_effect(s, ret, reason);
    if (r == 0)
        r = parse_principal(b, s, ret, reason);
    if (r == 0)
        r = either(s, "Action", "NotAction", &action, &not_action, reason);
    if (r == 0)
        r = either(s, "Resource", "NotResource", &resource, &ret->not_resource, reason);
    if (r == 0)
        r = parse_actions(b, action, not_action, ret, reason);
    if (r == 0)
        r = resources_compile(b, resource, ret, reason);
    if (r == 0 && !not_action && !ret->not_resource)
        r = resources_fit_actions(b, ret, action, reason);
    const json_t *condition = json_object_get(s, "Condition");
    if (r == 0 && condition)
        r = conditions_compile(b, condition, &ret->conditions, &ret->condition_count, reason);
    return r < 0 ? r : parse_sid(b, s, ret, reason);
}

static int parse_version(struct policy_build *b, const json_t *root, struct reason *reason)
{
    const json_t *version = json_object_get(root, "Version");
    const char *text = version ? json_string_value(version) : "2008-10-17";
    b->policy->variables = text && strcmp(text, "2012-10-17") == 0;
    if (!b->policy->variables && (!text || strcmp(text, "2008-10-17") != 0))
        return malformed(reason, "The policy must contain a valid version string");
    const json_t *id = json_object_get(root, "Id");
    return id && !json_is_string(id) ? invalid_json(reason) : 0;
}

static int parse_root(struct policy_build *b, const json_t *root, struct reason *reason)
{
    static const char *const known[] = {"Version", "Id", "Statement", NULL};
    struct policy *p = b->policy;
    int r = check_fields(root, known, reason);
    if (r == 0)
        r = parse_version(b, root, reason);
    if (r < 0)
        return r;
    const json_t *list = json_object_get(root, "Statement");
    if (!list)
        return malformed(reason, "Missing required field Statement");
    size_t count = json_is_array(list) ? json_array_size(list) : 1;
    if (!count)
        return malformed(reason, "Could not parse the policy: Statement is empty!");
    p->statements = arena_take(&p->arena, count * sizeof *p->statements);
    if (!p->statements)
        return -ENOMEM;
    for (size_t n = 0; n < count; n++) {
        struct statement *s = &p->statements[n];
        r = parse_statement(b, json_is_array(list) ? json_array_get(list, n) : list, s, reason);
        if (r < 0)
            return r;
        p->is_public |= statement_is_public(s);
        p->statement_count++;
    }
    return 0;
}

static struct policy *policy_new(const char *text, size_t len, const struct policy_scope *scope)
{
    struct policy *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    atomic_init(&p->refs, 1);
    p->kind = scope->kind;
    p->text_len = len;
    p->text = arena_text(&p->arena, text, len);
    p->name = scope->name ? arena_text(&p->arena, scope->name, strlen(scope->name)) : "";
    if (p->text && p->name)
        return p;
    policy_unref(p);
    return NULL;
}

int policy_parse(const char *text, size_t len, const struct policy_scope *scope, struct policy **ret, struct reason *reason)
{
    if (len > POLICY_MAX_BYTES)
        return reason_fail_s3(reason, E2BIG, "PolicyTooLarge", "Policy exceeds the maximum allowed document size.");
    if (!len || text[0] != '{')
        return malformed(reason, "Policies must be valid JSON and the first byte must be '{'");
    CLEANUP(json_cleanup) json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (!root)
        return invalid_json(reason);
    struct policy_build b = {.scope = scope, .policy = policy_new(text, len, scope)};
    if (!b.policy)
        return -ENOMEM;
    int r = 0;
    if (scope->resource && !arn_split(scope->resource, strlen(scope->resource), &b.resource))
        r = -EINVAL;
    if (r == 0)
        r = parse_root(&b, root, reason);
    if (r < 0)
        policy_unref(b.policy);
    else
        *ret = b.policy;
    return r;
}
