/* SPDX-License-Identifier: GPL-3.0-or-later
 * Is a policy public (auth.md §4.8): does it allow everybody, pinned to nothing that an outsider could not choose? */
#include "auth/policy.h"

enum { PUBLIC_IPV4_BITS = 8, PUBLIC_IPV6_BITS = 32 }; /* a wider network is everybody */

static bool is_pin(enum auth_key key)
{
    switch (key) {
    case AUTH_SOURCE_IP:
    case AUTH_SOURCE_ARN:
    case AUTH_SOURCE_VPC:
    case AUTH_SOURCE_ACCOUNT:
    case AUTH_PRINCIPAL_ARN:
    case AUTH_PRINCIPAL_ACCOUNT:
    case AUTH_USERID:
    case AUTH_USERNAME:
    case AUTH_SSE_KMS_KEY:
    case AUTH_POINT_ARN:
    case AUTH_POINT_ACCOUNT:
        return true;
    default:
        return false;
    }
}

/* An ARN without wildcards; an access point's may have them in its name. */
static bool arn_is_fixed(const struct arn_pattern *p, enum auth_key key)
{
    if (p->whole)
        return false;
    for (size_t n = 0; n < (key == AUTH_POINT_ARN ? 5 : 6); n++) {
        if (pattern_has_wildcard(&p->parts[n]))
            return false;
    }
    return true;
}

/* The same of an access point's ARN in a string operator: no wildcard up to its fifth colon. */
static bool point_is_fixed(const struct pattern *p)
{
    size_t colons = 0;
    for (size_t n = 0; n < p->count && colons < 5; n++) {
        if (p->tokens[n] >= TOKEN_ANY)
            return false;
        colons += p->tokens[n] == ':';
    }
    return colons == 5;
}

static bool value_is_fixed(const struct condition *c, const union operand *value)
{
    switch (c->op->type) {
    case TYPE_STRING:
    case TYPE_FOLD:
    case TYPE_LIKE:
        return c->key == AUTH_POINT_ARN ? point_is_fixed(&value->pattern) : !pattern_has_wildcard(&value->pattern);
    case TYPE_ARN:
        return arn_is_fixed(&value->arn, c->key);
    case TYPE_IP:
        return value->address.bits >= (value->address.len == 4 ? PUBLIC_IPV4_BITS : PUBLIC_IPV6_BITS);
    default:
        return false;
    }
}

static bool pins(const struct condition *c)
{
    if (!is_pin(c->key) || c->op->negated || c->if_exists || c->set == SET_ALL ||
        (c->key == AUTH_SOURCE_IP) != (c->op->type == TYPE_IP))
        return false;
    for (size_t n = 0; n < c->value_count; n++) {
        if (!value_is_fixed(c, &c->values[n]))
            return false;
    }
    return true;
}

bool statement_is_public(const struct statement *s)
{
    bool everybody = false;
    for (size_t n = 0; n < s->who_count; n++)
        everybody |= s->who[n].kind == WHO_ANYBODY;
    if (s->deny || !everybody)
        return false;
    for (size_t n = 0; n < s->condition_count; n++) {
        if (pins(&s->conditions[n]))
            return false;
    }
    return true;
}
