/* SPDX-License-Identifier: GPL-3.0-or-later
 * The Principal and NotPrincipal of a policy (auth.md §4.1): read and bound when the policy is put, matched when it is used. */
#include "auth/policy.h"
#include "util/text.h"

#include <strings.h>

static const char arn_iam[] = "arn:aws:iam::";

static int refuse(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "Invalid principal in policy");
}

/* ACCOUNT, of this store or another: 1-64 of A-Za-z0-9_-. */
static bool account_form(const char *text, size_t len)
{
    if (!len || len > 64)
        return false;
    for (size_t n = 0; n < len; n++) {
        char c = text[n];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return true;
}

static int bind_account(struct policy_build *b, const char *account, size_t len, struct who *ret)
{
    *ret = (struct who){.kind = WHO_ACCOUNT, .name = arena_text(&b->policy->arena, account, len)};
    return ret->name ? 0 : -ENOMEM;
}

/* `rest` is what follows the account in an ARN: user/NAME, root, or what only other accounts have. */
static int bind_in_account(struct policy_build *b, const char *account, size_t len, const char *rest, struct who *ret)
{
    if (strcmp(rest, "root") == 0)
        return bind_account(b, account, len, ret);
    if (len > 12) {
        *ret = (struct who){.kind = WHO_NOBODY};
        return 0;
    }
    char id[13] = "", userid[21] = "";
    memcpy(id, account, len);
    const char *name = strncmp(rest, "user/", 5) == 0 ? rest + 5 : "";
    int r = b->scope->user ? b->scope->user(b->scope->arg, id, name, userid) : -ENXIO;
    if (r == -ENXIO) {
        *ret = (struct who){.kind = WHO_NOBODY};
        return 0;
    }
    if (r < 0)
        return r == -ENOENT ? -EINVAL : r;
    *ret = (struct who){.kind = WHO_USER, .name = arena_text(&b->policy->arena, userid, strlen(userid))};
    return ret->name ? 0 : -ENOMEM;
}

static int compile_aws(struct policy_build *b, const char *text, struct who *ret)
{
    if (strcmp(text, "*") == 0) {
        *ret = (struct who){.kind = WHO_ANYBODY};
        return 0;
    }
    if (account_form(text, strlen(text)))
        return bind_account(b, text, strlen(text), ret);
    struct arn arn;
    if (strpbrk(text, "*?") || !arn_split(text, strlen(text), &arn) || strncmp(text, "arn:aws:", 8) != 0 ||
        !account_form(arn.part[4], arn.len[4]) || !arn.len[5])
        return -EINVAL;
    if (strncmp(text, arn_iam, strlen(arn_iam)) != 0) { /* a session of another service's accounts: we have none */
        *ret = (struct who){.kind = WHO_NOBODY};
        return 0;
    }
    return bind_in_account(b, arn.part[4], arn.len[4], arn.part[5], ret);
}

static int compile_canonical(struct policy_build *b, const char *text, struct who *ret)
{
    uint8_t id[32];
    char account[13] = "";
    if (strlen(text) != 64 || hex_parse(text, 64, id) < 0)
        return -EINVAL;
    int r = b->scope->canonical ? b->scope->canonical(b->scope->arg, text, account) : -ENXIO;
    *ret = (struct who){.kind = WHO_NOBODY};
    return r == -ENXIO ? 0 : r < 0 ? r : bind_account(b, account, strlen(account), ret);
}

static int compile_service(struct policy_build *b, const char *text, struct who *ret)
{
    static const char domain[] = ".amazonaws.com";
    size_t len = strlen(text);
    if (strpbrk(text, "*?:/ ") || len <= strlen(domain) || strcmp(text + len - strlen(domain), domain) != 0)
        return -EINVAL;
    *ret = (struct who){.kind = WHO_SERVICE, .name = arena_text(&b->policy->arena, text, len)};
    return ret->name ? 0 : -ENOMEM;
}

typedef int who_compile_fn(struct policy_build *b, const char *text, struct who *ret);

static who_compile_fn *compiler_of(const char *kind)
{
    if (strcmp(kind, "AWS") == 0)
        return compile_aws;
    if (strcmp(kind, "CanonicalUser") == 0)
        return compile_canonical;
    return strcmp(kind, "Service") == 0 ? compile_service : NULL;
}

static int compile_member(struct policy_build *b, const char *kind, const json_t *value, struct who *who, size_t *count)
{
    who_compile_fn *compile = compiler_of(kind);
    size_t many = json_is_array(value) ? json_array_size(value) : 1;
    if (!compile || !many)
        return -EINVAL;
    for (size_t n = 0; n < many; n++) {
        const char *text = json_string_value(json_is_array(value) ? json_array_get(value, n) : value);
        int r = text ? compile(b, text, &who[*count]) : -EINVAL;
        if (r < 0)
            return r;
        ++*count;
    }
    return 0;
}

int who_compile(struct policy_build *b, const json_t *principal, struct who **ret, size_t *ret_count, struct reason *reason)
{
    const char *kind, *all = json_string_value(principal);
    json_t *value;
    size_t cap = 1;
    json_object_foreach((json_t *)principal, kind, value)
        cap += json_is_array(value) ? json_array_size(value) : 1;
    struct who *who = arena_take(&b->policy->arena, cap * sizeof *who);
    if (!who)
        return -ENOMEM;
    *ret = who;
    *ret_count = 0;
    if (all && strcmp(all, "*") == 0) {
        who[0].kind = WHO_ANYBODY;
        *ret_count = 1;
        return 0;
    }
    int r = json_is_object(principal) && json_object_size(principal) ? 0 : -EINVAL;
    if (r == 0)
        json_object_foreach((json_t *)principal, kind, value) {
            r = compile_member(b, kind, value, who, ret_count);
            if (r < 0)
                break;
        }
    return r == -EINVAL ? refuse(reason) : r;
}

/* ---- matching ---- */

static bool is_in_account(const struct who *w, const struct principal *p)
{
    return w->kind == WHO_ACCOUNT && (p->kind == PRINCIPAL_ROOT || p->kind == PRINCIPAL_USER) && strcmp(w->name, p->account) == 0;
}

static bool is_named(const struct who *w, const struct principal *p)
{
    switch (w->kind) {
    case WHO_ANYBODY:
        return true;
    case WHO_ACCOUNT:
        return is_in_account(w, p) && p->kind == PRINCIPAL_ROOT;
    case WHO_USER:
        return p->kind == PRINCIPAL_USER && strcmp(w->name, p->userid) == 0;
    case WHO_SERVICE:
        return p->kind == PRINCIPAL_SERVICE && strcmp(w->name, p->name) == 0;
    case WHO_NOBODY:
        return false;
    }
    return false;
}

bool who_listed(const struct who *who, size_t count, const struct principal *p)
{
    for (size_t n = 0; n < count; n++) {
        if (is_named(&who[n], p))
            return true;
    }
    return false;
}

enum who_match who_matches(const struct who *who, size_t count, const struct principal *p, bool deny)
{
    enum who_match best = WHO_NONE;
    for (size_t n = 0; n < count; n++) {
        if (is_named(&who[n], p))
            return WHO_FULL;
        if (is_in_account(&who[n], p))
            best = deny ? WHO_FULL : WHO_HALF;
    }
    return best;
}
