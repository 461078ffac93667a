/* SPDX-License-Identifier: GPL-3.0-or-later
 * The Resource and NotResource of a statement: read, held against whose policy it is, and against the actions (auth.md §4.5). */
#include "auth/policy.h"

#include <stdio.h>

static int refuse(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "Policy has invalid resource");
}

/* What an object's ARN has between the bucket's (access point's) and the key; NULL: it has no objects. */
static const char *below(const struct policy_build *b)
{
    switch (b->scope->kind) {
    case POLICY_BUCKET:
        return "/";
    case POLICY_ACCESS_POINT:
        return "/object/";
    default:
        return NULL;
    }
}

static bool may_be_own(const struct policy_build *b, const struct arn_pattern *p)
{
    const struct arn *own = &b->resource;
    return pattern_may_match(&p->parts[5], own->part[5], own->len[5], true);
}

static bool may_be_below(const struct policy_build *b, const struct arn_pattern *p)
{
    const struct arn *own = &b->resource;
    const char *between = below(b);
    char head[256];
    int len = between ? snprintf(head, sizeof head, "%.*s%s", (int)own->len[5], own->part[5], between) : 0;
    return len > 0 && (size_t)len < sizeof head && pattern_may_match(&p->parts[5], head, (size_t)len, false);
}

static bool in_scope(const struct policy_build *b, const struct arn_pattern *p)
{
    if (b->scope->kind == POLICY_IDENTITY || p->whole)
        return true;
    for (size_t n = 0; n < 5; n++) {
        if (!pattern_may_match(&p->parts[n], b->resource.part[n], b->resource.len[n], true))
            return false;
    }
    return may_be_own(b, p) || may_be_below(b, p);
}

static int compile_one(struct policy_build *b, const char *text, struct arn_pattern *ret)
{
    size_t len = strlen(text);
    int r = arn_pattern_compile(b, text, len, ret);
    if (r < 0)
        return r;
    bool is_arn = ret->whole ? ret->parts[0].any : strncmp(text, "arn:", 4) == 0 && ret->parts[5].count;
    return is_arn && in_scope(b, ret) ? 0 : -EINVAL;
}

int resources_compile(struct policy_build *b, const json_t *value, struct statement *s, struct reason *reason)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    s->resources = arena_take(&b->policy->arena, (count ? count : 1) * sizeof *s->resources);
    if (!s->resources)
        return -ENOMEM;
    s->resource_count = count;
    int r = count ? 0 : -EINVAL;
    for (size_t n = 0; r == 0 && n < count; n++) {
        const char *text = json_string_value(json_is_array(value) ? json_array_get(value, n) : value);
        r = text ? compile_one(b, text, &s->resources[n]) : -EINVAL;
    }
    return r == -EINVAL ? refuse(reason) : r;
}

/* ---- which actions a resource can have ---- */

/* Beside enum action_on, for actions of other services: one bit each. */
static const char *const services[] = {"kms", "lambda", "s3-object-lambda", "glacier", "audit"};
enum { SERVICE_COUNT = sizeof services / sizeof *services, SERVICE_BIT = 5, ALL_BITS = ~0u };

static unsigned action_bit(const struct action *a)
{
    for (unsigned n = 0; n < SERVICE_COUNT; n++) {
        size_t len = strlen(services[n]);
        if (strncmp(a->name, services[n], len) == 0 && a->name[len] == ':')
            return 1u << (SERVICE_BIT + n);
    }
    return a->on;
}

static bool has_slash(const struct pattern *p)
{
    for (size_t n = 0; n < p->count; n++) {
        if (p->tokens[n] == '/')
            return true;
    }
    return false;
}

/* In an identity policy the bucket is not known: a bucket's name has no slash, an object's ARN has one. */
static unsigned identity_bits(const struct arn_pattern *p)
{
    unsigned bits = 0;
    for (unsigned n = 0; n < SERVICE_COUNT; n++) {
        if (pattern_may_match(&p->parts[2], services[n], strlen(services[n]), true))
            bits |= 1u << (SERVICE_BIT + n);
    }
    if (!pattern_may_match(&p->parts[2], "s3", 2, true))
        return bits;
    if (p->parts[4].count) /* with an account: an access point, which can have what buckets and objects have */
        return bits | ON_BUCKET | ON_OBJECT | ON_POINT;
    const struct pattern *name = &p->parts[5];
    if (!has_slash(name))
        bits |= ON_BUCKET;
    if (has_slash(name) || pattern_has_wildcard(name))
        bits |= ON_OBJECT;
    if (pattern_may_match(name, "*", 1, true))
        bits |= ON_ACCOUNT;
    return bits;
}

static unsigned resource_bits(const struct policy_build *b, const struct arn_pattern *p)
{
    if (p->whole)
        return ALL_BITS;
    if (b->scope->kind == POLICY_IDENTITY)
        return identity_bits(p);
    if (!below(b))
        return ALL_BITS;
    return (may_be_own(b, p) ? ON_BUCKET | ON_POINT : 0u) | (may_be_below(b, p) ? ON_OBJECT : 0u);
}

int resources_fit_actions(const struct policy_build *b, const struct statement *s, const json_t *list, struct reason *reason)
{
    unsigned bits = 0;
    for (size_t n = 0; n < s->resource_count; n++)
        bits |= resource_bits(b, &s->resources[n]);
    size_t count = json_is_array(list) ? json_array_size(list) : 1;
    for (size_t n = 0; n < count; n++) {
        uint64_t set[ACTION_WORDS] = {0};
        action_match(json_string_value(json_is_array(list) ? json_array_get(list, n) : list), b->scope->kind, set);
        bool fits = false;
        for (size_t i = 0; i < action_count && !fits; i++)
            fits = action_in(set, i) && (action_bit(&actions[i]) & bits);
        if (!fits)
            return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "Action does not apply to any resource(s) in statement");
    }
    return 0;
}
