/* SPDX-License-Identifier: GPL-3.0-or-later
 * May a directory be entered, a name be known: is there anything at or below a key that the caller may do (auth.md §4.6)?
 *
 * S3 asks no permission for the prefixes on the way to a key; a mount walks them one by one. What decides there is the actions
 * that some Allow reaches, less those that a Deny takes away wholly. Conditions on the caller are held to; those on the one
 * operation are taken as met for Allow and as not met for Deny, for the operation itself will be judged. */
#include "auth/policy.h"
#include "util/cleanup.h"

#include <stdlib.h>

struct actions {
    uint64_t set[ACTION_WORDS];
};

struct reach {
    struct judge j;
    bool below;       /* anything that begins with the key, else that key alone */
    enum action_on on; /* what counts: actions on objects, or on the bucket */
    char name[4096 + 80];
    size_t name_len;
};

/* Does the key tell something of the caller or the connection, not of the one operation? */
static bool is_about_caller(enum auth_key key)
{
    return key <= AUTH_TLS_VERSION || key == AUTH_POINT_ARN || key == AUTH_POINT_ACCOUNT || key == AUTH_POINT_ORIGIN;
}

static bool conditions_hold(struct reach *r, const struct statement *s, const struct policy *policy)
{
    for (size_t n = 0; n < s->condition_count; n++) {
        const struct condition *c = &s->conditions[n];
        if (!is_about_caller(c->key) ? s->deny : !condition_holds(c, &r->j, policy))
            return false;
    }
    return true;
}

/* The pattern with its variables' values written out, so that it can be asked what it may match. */
static bool expand(struct reach *r, const struct pattern *p, const struct policy *policy, struct pattern *ret, uint16_t **ret_tokens)
{
    *ret = *p;
    *ret_tokens = NULL;
    if (!p->variable)
        return true;
    size_t cap = 0, count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t n = 0; n < p->count; n++) {
            const char *text;
            size_t len = 1;
            if (p->tokens[n] >= TOKEN_VARIABLE &&
                !variable_text(&policy->variable[p->tokens[n] - TOKEN_VARIABLE], &r->j, &text, &len))
                return false;
            if (pass == 0)
                cap += len;
            else if (p->tokens[n] < TOKEN_VARIABLE)
                (*ret_tokens)[count++] = p->tokens[n];
            else
                for (size_t i = 0; i < len; i++)
                    (*ret_tokens)[count++] = (unsigned char)text[i];
        }
        if (pass == 0 && !(*ret_tokens = malloc((cap ? cap : 1) * sizeof **ret_tokens)))
            return false;
    }
    *ret = (struct pattern){.tokens = *ret_tokens, .count = count};
    return true;
}

/* The first five parts: arn:aws:s3::: */
static bool is_of_s3(struct reach *r, const struct arn_pattern *p, const struct policy *policy)
{
    for (size_t n = 0; n < 5; n++) {
        if (!pattern_matches(&p->parts[n], &r->j, policy, r->j.resource.part[n], r->j.resource.len[n], false))
            return false;
    }
    return true;
}

static bool may_match(struct reach *r, const struct arn_pattern *p, const struct policy *policy)
{
    if (p->whole)
        return true;
    struct pattern name;
    CLEANUP_FREE uint16_t *tokens = NULL;
    return is_of_s3(r, p, policy) && expand(r, &p->parts[5], policy, &name, &tokens) &&
           pattern_may_match(&name, r->name, r->name_len, !r->below);
}

/* All that begins so, or the one name. */
static bool matches_all(struct reach *r, const struct arn_pattern *p, const struct policy *policy)
{
    if (p->whole)
        return true;
    const struct pattern *name = &p->parts[5];
    if (!is_of_s3(r, p, policy))
        return false;
    if (!r->below)
        return pattern_matches(name, &r->j, policy, r->name, r->name_len, false);
    return name->count == name->head_len + 1 && name->tokens[name->head_len] == TOKEN_ANY && name->head_len <= r->name_len &&
           memcmp(name->head, r->name, name->head_len) == 0;
}

static bool statement_reaches(struct reach *r, const struct statement *s, const struct policy *policy)
{
    for (size_t n = 0; n < s->resource_count; n++) {
        const struct arn_pattern *p = &s->resources[n];
        /* "All but these" reaches, unless these are all; a Deny must take the whole. */
        if (s->not_resource) {
            if (s->deny ? may_match(r, p, policy) : matches_all(r, p, policy))
                return false;
        } else if (s->deny ? matches_all(r, p, policy) : may_match(r, p, policy)) {
            return true;
        }
    }
    return s->not_resource;
}

static bool caller_named(const struct statement *s, const struct policy *policy, const struct principal *p)
{
    if (policy->kind == POLICY_IDENTITY)
        return true;
    return s->not_principal ? !who_listed(s->who, s->who_count, p) : who_matches(s->who, s->who_count, p, s->deny) != WHO_NONE;
}

static void collect(struct reach *r, const struct policy *policy, bool deny, struct actions *to)
{
    for (size_t n = 0; policy && n < policy->statement_count; n++) {
        const struct statement *s = &policy->statements[n];
        if (s->deny != deny || !caller_named(s, policy, r->j.q->principal) || !conditions_hold(r, s, policy) ||
            !statement_reaches(r, s, policy))
            continue;
        for (size_t i = 0; i < ACTION_WORDS; i++)
            to->set[i] |= s->actions[i];
    }
}

/* Is the action, or any that counts, among them? */
static bool any_of(const struct reach *r, const struct actions *a, const char *action)
{
    if (action) {
        int at = action_find(action);
        return at >= 0 && action_in(a->set, (size_t)at);
    }
    for (size_t n = 0; n < action_count; n++) {
        if (actions[n].on == r->on && action_in(a->set, n))
            return true;
    }
    return false;
}

static bool reaches(struct reach *r, const char *action)
{
    const struct auth_request *q = r->j.q;
    const struct principal *p = q->principal;
    bool own = !q->bucket_account || strcmp(p->account, q->bucket_account) == 0;
    struct actions resource = {{0}}, identity = {{0}}, denied = {{0}}, left;
    collect(r, q->policies.resource, false, &resource);
    collect(r, q->policies.resource, true, &denied);
    for (size_t n = 0; p->kind == PRINCIPAL_USER && n < q->policies.identity_count; n++) {
        collect(r, q->policies.identity[n], false, &identity);
        collect(r, q->policies.identity[n], true, &denied);
    }
    for (size_t n = 0; n < ACTION_WORDS; n++) {
        uint64_t by_resource = q->granted ? ~UINT64_C(0) : resource.set[n];
        uint64_t allowed = p->kind == PRINCIPAL_USER ? own ? by_resource | identity.set[n] : by_resource & identity.set[n] : by_resource;
        if (p->kind == PRINCIPAL_ROOT && own)
            allowed = ~UINT64_C(0);
        left.set[n] = allowed & ~denied.set[n];
    }
    return any_of(r, &left, action);
}

bool auth_reaches(const struct auth_request *q, bool below, const char *action)
{
    struct reach r;
    r.j.q = q;
    r.j.arn[0] = r.j.time[0] = r.j.epoch[0] = '\0';
    r.below = below;
    r.on = q->key ? ON_OBJECT : ON_BUCKET;
    size_t bucket_len = strlen(q->bucket);
    if (q->disabled || judge_shut_out(q) || bucket_len + 1 + q->key_len > sizeof r.name)
        return false;
    r.j.resource = (struct arn){{"arn", "aws", "s3", "", "", ""}, {3, 3, 2, 0, 0, 0}};
    memcpy(r.name, q->bucket, bucket_len);
    r.name_len = bucket_len;
    if (q->key) {
        r.name[r.name_len++] = '/';
        memcpy(r.name + r.name_len, q->key, q->key_len);
        r.name_len += q->key_len;
    }
    return reaches(&r, action);
}
