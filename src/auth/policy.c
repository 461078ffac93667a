/* SPDX-License-Identifier: GPL-3.0-or-later
 * A compiled policy as its users see it: counted, and asked for its text, its keys and its statements. */
#include "auth/policy.h"

#include <assert.h>
#include <stdlib.h>

struct policy *policy_ref(const struct policy *p)
{
    struct policy *mine = (struct policy *)p; /* the count alone is ever written */
    atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
    return mine;
}

void policy_unref(const struct policy *p)
{
    struct policy *mine = (struct policy *)p;
    if (!mine || atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_done(&mine->arena);
    free(mine);
}

const char *policy_text(const struct policy *p, size_t *ret_len)
{
    *ret_len = p->text_len;
    return p->text;
}

const char *policy_name(const struct policy *p)
{
    return p->name;
}

enum policy_kind policy_kind(const struct policy *p)
{
    return p->kind;
}

const struct auth_keys *policy_keys(const struct policy *p)
{
    return &p->keys;
}

bool policy_is_public(const struct policy *p)
{
    return p->is_public;
}

const char *policy_sid(const struct policy *p, size_t statement)
{
    assert(statement < p->statement_count);
    return p->statements[statement].sid;
}

void policy_statement(const struct policy *p, size_t statement, struct bytes *out)
{
    assert(statement < p->statement_count);
    json_t *root = json_loadb(p->text, p->text_len, 0, NULL);
    const json_t *list = json_object_get(root, "Statement");
    char *text = json_dumps(json_is_array(list) ? json_array_get(list, statement) : list, JSON_COMPACT);
    if (text)
        bytes_put(out, text, strlen(text));
    else
        out->failed = true;
    free(text);
    json_decref(root);
}

void policy_conditions(const struct policy *p, size_t statement, struct bytes *out)
{
    assert(statement < p->statement_count);
    const struct statement *s = &p->statements[statement];
    for (size_t n = 0; n < s->condition_count; n++)
        bytes_printf(out, "%s%s %s", n ? ", " : "", s->conditions[n].op_text, s->conditions[n].key_text);
}

bool policy_statement_uses(const struct policy *p, size_t statement, enum auth_key key)
{
    assert(statement < p->statement_count);
    const struct statement *s = &p->statements[statement];
    for (size_t n = 0; n < s->condition_count; n++) {
        if (s->conditions[n].key == key)
            return true;
    }
    return false;
}

/* ---- does it tell callers apart by key? ---- */

/* What decides whether a name may be seen. */
static bool names_lookup(const struct statement *s)
{
    static const char *const lookups[] = {"s3:ListBucket", "s3:GetObject", "s3:ListBucketVersions", "s3:GetObjectVersion"};
    for (size_t n = 0; n < sizeof lookups / sizeof *lookups; n++) {
        int action = action_find(lookups[n]);
        assert(action >= 0);
        if (action_in(s->actions, (size_t)action))
            return true;
    }
    return false;
}

/* Does it match some keys of the bucket and not others? */
static bool is_narrow(const struct arn_pattern *p, const char *bucket, bool negated)
{
    char head[66];
    size_t len = strlen(bucket);
    if (p->whole || len + 2 > sizeof head)
        return !p->whole;
    memcpy(head, bucket, len);
    memcpy(head + len, "/", 2);
    if (!pattern_may_match(&p->parts[2], "s3", 2, true) || !pattern_may_match(&p->parts[5], head, len + 1, false))
        return false; /* no object of it */
    const struct pattern *name = &p->parts[5];
    bool is_prefix = name->count == name->head_len + 1 && name->tokens[name->head_len] == TOKEN_ANY &&
                     name->head_len <= len + 1 && memcmp(name->head, head, name->head_len) == 0;
    return negated || !is_prefix;
}

bool policy_by_key(const struct policy *p, const char *bucket)
{
    for (size_t n = 0; n < p->statement_count; n++) {
        const struct statement *s = &p->statements[n];
        if (!names_lookup(s))
            continue;
        for (size_t i = 0; i < s->resource_count; i++) {
            if (is_narrow(&s->resources[i], bucket, s->not_resource))
                return true;
        }
        if (policy_statement_uses(p, n, AUTH_PREFIX) || policy_statement_uses(p, n, AUTH_EXISTING_TAG))
            return true;
    }
    return false;
}
