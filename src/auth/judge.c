/* SPDX-License-Identifier: GPL-3.0-or-later
 * The judgement of one action on one resource, in the order of auth.md §4.4: disabled callers, the public access block, explicit
 * denies of every policy that bears on it, then what allows, on the bucket's side and on the access point's. */
#include "auth/policy.h"

#include <stdio.h>

/* ---- the resource ---- */

static void put(char *text, size_t *len, const char *more, size_t more_len)
{
    memcpy(text + *len, more, more_len);
    *len += more_len;
}

/* arn:aws:s3:::BUCKET/KEY, its parts where they lie. */
static int name_resource(struct judge *j)
{
    const struct auth_request *q = j->q;
    if (q->resource)
        return arn_split(q->resource, strlen(q->resource), &j->resource) ? 0 : -EINVAL;
    const char *bucket = q->bucket ? q->bucket : "*";
    size_t len = 0, bucket_len = strlen(bucket);
    if (bucket_len + 1 + q->key_len > sizeof j->text)
        return -ENAMETOOLONG;
    put(j->text, &len, bucket, bucket_len);
    if (q->key) {
        put(j->text, &len, "/", 1);
        put(j->text, &len, q->key, q->key_len);
    }
    j->resource = (struct arn){{"arn", "aws", "s3", "", "", j->text}, {3, 3, 2, 0, 0, len}};
    return 0;
}

static int name_point(struct judge *j)
{
    const struct auth_request *q = j->q;
    j->point.part[0] = NULL;
    if (!q->access_point)
        return 0;
    size_t len = 0, arn_len = strlen(q->access_point->arn);
    if (arn_len + 8 + q->key_len > sizeof j->point_text)
        return -ENAMETOOLONG;
    put(j->point_text, &len, q->access_point->arn, arn_len);
    if (q->key) {
        put(j->point_text, &len, "/object/", 8);
        put(j->point_text, &len, q->key, q->key_len);
    }
    return arn_split(j->point_text, len, &j->point) ? 0 : -EINVAL;
}

/* ---- statements ---- */

static bool resource_matches(const struct statement *s, struct judge *j, const struct policy *policy, const struct arn *arn)
{
    for (size_t n = 0; n < s->resource_count; n++) {
        if (arn_pattern_matches(&s->resources[n], j, policy, arn))
            return !s->not_resource;
    }
    return s->not_resource;
}

/* All of it but the principal. */
static bool statement_matches(const struct statement *s, struct judge *j, const struct policy *policy, const struct arn *arn)
{
    if (j->action < 0 || !action_in(s->actions, (size_t)j->action) || !resource_matches(s, j, policy, arn))
        return false;
    for (size_t n = 0; n < s->condition_count; n++) {
        if (!condition_holds(&s->conditions[n], j, policy))
            return false;
    }
    return true;
}

static enum who_match names_caller(const struct statement *s, const struct policy *policy, const struct principal *p)
{
    if (policy->kind == POLICY_IDENTITY)
        return WHO_FULL;
    if (s->not_principal)
        return who_listed(s->who, s->who_count, p) ? WHO_NONE : WHO_FULL;
    return who_matches(s->who, s->who_count, p, s->deny);
}

/* How far the policy's statements of that effect reach the caller, and which goes farthest. */
static enum who_match policy_reaches(const struct policy *policy, struct judge *j, const struct arn *arn, bool deny,
                                     size_t *ret_statement)
{
    enum who_match best = WHO_NONE;
    for (size_t n = 0; policy && best < WHO_FULL && n < policy->statement_count; n++) {
        const struct statement *s = &policy->statements[n];
        if (s->deny != deny)
            continue;
        enum who_match match = names_caller(s, policy, j->q->principal);
        if (match <= best || !statement_matches(s, j, policy, arn))
            continue;
        best = match;
        *ret_statement = n;
    }
    return best;
}

static const struct policy *identity_reaches(struct judge *j, const struct arn *arn, bool deny, size_t *ret_statement)
{
    for (size_t n = 0; n < j->q->policies.identity_count; n++) {
        const struct policy *policy = j->q->policies.identity[n];
        if (policy_reaches(policy, j, arn, deny, ret_statement) == WHO_FULL)
            return policy;
    }
    return NULL;
}

/* ---- the order ---- */

static bool is_owner(const struct auth_request *q, const char *account)
{
    const struct principal *p = q->principal;
    return (p->kind == PRINCIPAL_ROOT || p->kind == PRINCIPAL_USER) && (!account || strcmp(p->account, account) == 0);
}

/* Nobody can lock the root of the owning account out of the bucket's policy (auth.md §4.4 point 2). */
static bool spared(const struct auth_request *q)
{
    static const char *const actions_spared[] = {"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"};
    if (q->principal->kind != PRINCIPAL_ROOT || !is_owner(q, q->bucket_account))
        return false;
    for (size_t n = 0; n < sizeof actions_spared / sizeof *actions_spared; n++) {
        if (strcmp(q->action, actions_spared[n]) == 0)
            return true;
    }
    return false;
}

static bool deny_explicitly(struct judge *j, struct auth_verdict *v)
{
    const struct auth_request *q = j->q;
    const struct policy *resource = q->policies.resource;
    size_t at = 0;
    const struct policy *found = identity_reaches(j, &j->resource, true, &at);
    if (!found && j->point.part[0])
        found = identity_reaches(j, &j->point, true, &at);
    if (!found && resource && policy_reaches(resource, j, &j->resource, true, &at) &&
        !(resource->kind == POLICY_BUCKET && spared(q)))
        found = resource;
    if (!found && j->point.part[0] && policy_reaches(q->access_point->policy, j, &j->point, true, &at))
        found = q->access_point->policy;
    if (!found)
        return false;
    *v = (struct auth_verdict){AUTH_DENIED_EXPLICIT, AUTH_BY_POLICY, found, at};
    return true;
}

static bool allow_by(struct auth_verdict *v, enum auth_cause cause, const struct policy *policy, size_t statement)
{
    *v = (struct auth_verdict){AUTH_ALLOWED, cause, policy, statement};
    return true;
}

/* Points 3 and 4: the bucket's side (a key's, a view's, a vault's). */
static bool resource_side_allows(struct judge *j, struct auth_verdict *v)
{
    const struct auth_request *q = j->q;
    const struct policy *resource = q->policies.resource;
    bool own = is_owner(q, q->bucket_account), is_user = q->principal->kind == PRINCIPAL_USER;
    if (own && q->principal->kind == PRINCIPAL_ROOT)
        return allow_by(v, AUTH_BY_ROOT, NULL, 0);
    size_t at = 0, identity_at = 0;
    enum who_match match = policy_reaches(resource, j, &j->resource, false, &at);
    enum auth_cause cause = AUTH_BY_POLICY;
    if (match < WHO_FULL && q->granted) {
        match = WHO_FULL;
        cause = AUTH_BY_GRANT;
    }
    const struct policy *identity = is_user ? identity_reaches(j, &j->resource, false, &identity_at) : NULL;
    bool by_key = resource && resource->kind == POLICY_KEY; /* encryption.md §4.2: a key's policy has the first word */
    if (is_user && (!own || (by_key && match < WHO_FULL)))
        return identity && match != WHO_NONE && allow_by(v, cause, cause == AUTH_BY_POLICY ? resource : NULL, at);
    if (match == WHO_FULL)
        return allow_by(v, cause, cause == AUTH_BY_POLICY ? resource : NULL, at);
    return identity && allow_by(v, AUTH_BY_POLICY, identity, identity_at);
}

/* Point 5. */
static bool point_side_allows(struct judge *j, struct auth_verdict *v)
{
    const struct auth_request *q = j->q;
    const struct auth_access_point *point = q->access_point;
    if (!point || (q->principal->kind == PRINCIPAL_ROOT && is_owner(q, point->account)))
        return true;
    size_t at = 0;
    if (policy_reaches(point->policy, j, &j->point, false, &at) == WHO_FULL)
        return allow_by(v, AUTH_BY_POLICY, point->policy, at);
    const struct policy *identity =
        q->principal->kind == PRINCIPAL_USER ? identity_reaches(j, &j->point, false, &at) : NULL;
    return identity && allow_by(v, AUTH_BY_POLICY, identity, at);
}

bool judge_shut_out(const struct auth_request *q)
{
    if (q->principal->kind == PRINCIPAL_SERVICE)
        return false;
    return (q->restrict_public && !is_owner(q, q->bucket_account)) ||
           (q->access_point && q->access_point->restrict_public && !is_owner(q, q->access_point->account));
}

static struct auth_verdict judge(struct judge *j)
{
    struct auth_verdict v = {.outcome = AUTH_DENIED_IMPLICIT, .cause = AUTH_BY_NOTHING};
    if (j->q->disabled)
        v.cause = AUTH_BY_DISABLED;
    else if (judge_shut_out(j->q))
        v.cause = AUTH_BY_PUBLIC_BLOCK;
    else if (!deny_explicitly(j, &v) && !(resource_side_allows(j, &v) && point_side_allows(j, &v)))
        v = (struct auth_verdict){.outcome = AUTH_DENIED_IMPLICIT, .cause = AUTH_BY_NOTHING};
    return v;
}

static const char *because(const struct auth_request *q, const struct auth_verdict *v, char buf[192])
{
    if (v->outcome == AUTH_DENIED_EXPLICIT) {
        switch (v->policy->kind) {
        case POLICY_IDENTITY:
            return "with an explicit deny in an identity-based policy";
        case POLICY_ACCESS_POINT:
            return "with an explicit deny in an access point policy";
        default:
            return "with an explicit deny in a resource-based policy";
        }
    }
    if (v->cause == AUTH_BY_DISABLED)
        return "because the user is disabled";
    snprintf(buf, 192, "because no identity-based policy allows the %.128s action", q->action);
    return buf;
}

int auth_judge(const struct auth_request *q, struct auth_verdict *ret, struct reason *reason)
{
    struct judge j;
    j.q = q;
    j.action = action_find(q->action);
    j.arn[0] = j.time[0] = j.epoch[0] = '\0';
    int r = name_resource(&j);
    if (r == 0)
        r = name_point(&j);
    if (r < 0)
        return reason_fail_s3(reason, EACCES, "AccessDenied", "Access Denied");
    struct auth_verdict v = judge(&j);
    if (ret)
        *ret = v;
    if (v.outcome == AUTH_ALLOWED)
        return 0;
    char buf[192];
    return auth_refuse(q, because(q, &v, buf), reason);
}
