/* SPDX-License-Identifier: GPL-3.0-or-later
 * Patterns of policies: `*` any run of characters, `?` one, `${KEY}` a variable (auth.md §4.1).
 *
 * Matching walks tokens and text side by side with one point to go back to, as wildcards have it; a variable's value is walked
 * where it stands, so it is plain text whatever it holds, and nothing is allocated. `?` is one character of UTF-8. */
#include "auth/policy.h"
#include "util/cleanup.h"

/* ---- variables ---- */

/* "${KEY}" or "${KEY, 'default'}" at text; its length, or 0 for none. */
static size_t variable_read(const char *text, size_t len, const char **key, size_t *key_len, const char **fallback,
                            size_t *fallback_len)
{
    size_t at = 2;
    while (at < len && text[at] != ',' && text[at] != '}')
        at++;
    *key = text + 2;
    *key_len = at - 2;
    *fallback = NULL;
    while (*key_len && (*key)[*key_len - 1] == ' ')
        --*key_len;
    if (at < len && text[at] == '}')
        return at + 1;
    for (at++; at < len && text[at] == ' '; at++)
        continue;
    if (at >= len || text[at] != '\'')
        return 0;
    const char *end = memchr(text + at + 1, '\'', len - at - 1);
    if (!end)
        return 0;
    *fallback = text + at + 1;
    *fallback_len = (size_t)(end - *fallback);
    for (at = (size_t)(end - text) + 1; at < len && text[at] == ' '; at++)
        continue;
    return at < len && text[at] == '}' ? at + 1 : 0;
}

/* Its token, or a negative errno. */
static int variable_add(struct policy_build *b, const char *key, size_t key_len, const char *fallback, size_t fallback_len)
{
    struct policy *p = b->policy;
    const char *name = arena_text(&p->arena, key, key_len);
    if (!name)
        return -ENOMEM;
    struct variable v = {0};
    if (key_find_in(name, b->scope->kind, &v.key, &v.tag) < 0 || auth_key_many(v.key))
        return -EINVAL;
    if (fallback) {
        v.fallback = arena_text(&p->arena, fallback, fallback_len);
        v.fallback_len = fallback_len;
        if (!v.fallback)
            return -ENOMEM;
    }
    if (p->variable_count == b->variable_cap) {
        size_t cap = b->variable_cap ? b->variable_cap * 2 : 8;
        struct variable *grown = arena_take(&p->arena, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        if (p->variable_count)
            memcpy(grown, p->variable, p->variable_count * sizeof *grown);
        p->variable = grown;
        b->variable_cap = cap;
    }
    p->keys.bits[v.key / 64] |= 1ull << (v.key % 64);
    p->variable[p->variable_count] = v;
    return TOKEN_VARIABLE + (int)p->variable_count++;
}

/* The token that begins at text, and its length. */
static int token_read(struct policy_build *b, const char *text, size_t len, enum pattern_syntax syntax, size_t *ret_len)
{
    *ret_len = 1;
    if (syntax == PATTERN_WILD && text[0] == '*')
        return TOKEN_ANY;
    if (syntax == PATTERN_WILD && text[0] == '?')
        return TOKEN_ONE;
    if (!b->policy->variables || len < 2 || text[0] != '$' || text[1] != '{')
        return (unsigned char)text[0];
    const char *key, *fallback;
    size_t key_len, fallback_len = 0;
    *ret_len = variable_read(text, len, &key, &key_len, &fallback, &fallback_len);
    if (!*ret_len)
        return -EINVAL;
    if (key_len == 1 && !fallback && strchr("*?$", key[0]))
        return (unsigned char)key[0];
    return variable_add(b, key, key_len, fallback, fallback_len);
}

int pattern_compile(struct policy_build *b, const char *text, size_t len, enum pattern_syntax syntax, struct pattern *ret)
{
    uint16_t *tokens = arena_take(&b->policy->arena, (len ? len : 1) * sizeof *tokens);
    char *head = arena_take(&b->policy->arena, len + 1);
    if (!tokens || !head)
        return -ENOMEM;
    struct pattern p = {.tokens = tokens, .head = head};
    for (size_t at = 0, used; at < len; at += used) {
        int token = token_read(b, text + at, len - at, syntax, &used);
        if (token < 0)
            return token;
        if (token >= UINT16_MAX)
            return -EINVAL;
        if (token < TOKEN_ANY && p.head_len == p.count)
            head[p.head_len++] = (char)token;
        p.variable |= token >= TOKEN_VARIABLE;
        tokens[p.count++] = (uint16_t)token;
    }
    p.plain = p.head_len == p.count;
    p.any = p.count == 1 && tokens[0] == TOKEN_ANY;
    *ret = p;
    return 0;
}

/* ---- matching ---- */

/* A place in a pattern: a token, and within a variable a byte of its value. */
struct cursor {
    size_t token, byte;
};

struct walk {
    const struct pattern *p;
    struct judge *j;
    const struct policy *policy;
};

bool variable_text(const struct variable *v, struct judge *j, const char **ret_text, size_t *ret_len)
{
    if (judge_value(j, v->key, v->tag, 0, ret_text, ret_len))
        return true;
    *ret_text = v->fallback;
    *ret_len = v->fallback_len;
    return v->fallback;
}

static bool variable_value(const struct walk *w, size_t token, const char **text, size_t *len)
{
    return variable_text(&w->policy->variable[w->p->tokens[token] - TOKEN_VARIABLE], w->j, text, len);
}

static bool variables_have_values(const struct walk *w)
{
    const char *text;
    size_t len;
    for (size_t n = 0; n < w->p->count; n++) {
        if (w->p->tokens[n] >= TOKEN_VARIABLE && !variable_value(w, n, &text, &len))
            return false;
    }
    return true;
}

/* The byte or wildcard at the cursor, empty values skipped; -1 at the end. */
static int cursor_peek(const struct walk *w, struct cursor *c)
{
    while (c->token < w->p->count) {
        uint16_t token = w->p->tokens[c->token];
        if (token < TOKEN_VARIABLE)
            return token;
        const char *text;
        size_t len;
        variable_value(w, c->token, &text, &len);
        if (c->byte < len)
            return (unsigned char)text[c->byte];
        c->token++;
        c->byte = 0;
    }
    return -1;
}

static void cursor_step(const struct walk *w, struct cursor *c)
{
    if (w->p->tokens[c->token] >= TOKEN_VARIABLE)
        c->byte++;
    else
        c->token++;
}

static int folded(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static bool is_continuation(const char *text, size_t at, size_t len)
{
    return at < len && ((unsigned char)text[at] & 0xc0) == 0x80;
}

static bool walk_matches(const struct walk *w, const char *text, size_t len, bool fold)
{
    struct cursor c = {0}, back = {0};
    size_t at = 0, back_at = 0;
    bool may_go_back = false;
    for (;;) {
        int token = cursor_peek(w, &c);
        if (token == TOKEN_ANY) {
            cursor_step(w, &c);
            back = c;
            back_at = at;
            may_go_back = true;
            continue;
        }
        if (at == len && token < 0)
            return true;
        if (at < len && token == TOKEN_ONE) {
            for (at++; is_continuation(text, at, len); at++)
                continue;
            cursor_step(w, &c);
            continue;
        }
        unsigned char byte = at < len ? (unsigned char)text[at] : 0;
        if (at < len && (token == byte || (fold && folded(token) == folded(byte)))) {
            at++;
            cursor_step(w, &c);
            continue;
        }
        if (!may_go_back || back_at == len)
            return false;
        at = ++back_at;
        c = back;
    }
}

bool pattern_matches(const struct pattern *p, struct judge *j, const struct policy *policy, const char *text, size_t len,
                     bool fold)
{
    if (p->any)
        return true;
    if (!fold) {
        if (len < p->head_len || (p->head_len && memcmp(text, p->head, p->head_len) != 0))
            return false;
        if (p->plain)
            return len == p->head_len;
        if (p->count == p->head_len + 1 && p->tokens[p->head_len] == TOKEN_ANY)
            return true;
    }
    struct walk w = {.p = p, .j = j, .policy = policy};
    return (!p->variable || variables_have_values(&w)) && walk_matches(&w, text, len, fold);
}

bool pattern_may_match(const struct pattern *p, const char *text, size_t len, bool exact)
{
    /* A flag for each token: reached after the text so far. */
    CLEANUP_FREE uint8_t *now = calloc(2, p->count + 1);
    if (!now)
        return true; /* the careful answer: out of memory */
    uint8_t *next = now + p->count + 1;
    now[0] = 1;
    for (size_t at = 0;; at++) {
        bool any = false;
        for (size_t n = 0; n < p->count; n++) { /* a run may be empty */
            if (now[n] && (p->tokens[n] == TOKEN_ANY || p->tokens[n] >= TOKEN_VARIABLE))
                now[n + 1] = 1;
            any |= now[n];
        }
        if (at == len)
            return exact ? now[p->count] : any || now[p->count];
        memset(next, 0, p->count + 1);
        for (size_t n = 0; n < p->count; n++) {
            if (!now[n])
                continue;
            uint16_t token = p->tokens[n];
            if (token == TOKEN_ANY || token >= TOKEN_VARIABLE)
                next[n] = 1;
            else if (token == TOKEN_ONE || token == (unsigned char)text[at])
                next[n + 1] = 1;
        }
        memcpy(now, next, p->count + 1);
    }
}

bool pattern_has_wildcard(const struct pattern *p)
{
    for (size_t n = 0; n < p->count; n++) {
        if (p->tokens[n] >= TOKEN_ANY)
            return true;
    }
    return false;
}

/* ---- ARNs ---- */

bool arn_split(const char *text, size_t len, struct arn *ret)
{
    for (size_t part = 0; part < 5; part++) {
        const char *colon = len ? memchr(text, ':', len) : NULL;
        if (!colon)
            return false;
        ret->part[part] = text;
        ret->len[part] = (size_t)(colon - text);
        len -= ret->len[part] + 1;
        text = colon + 1;
    }
    ret->part[5] = text;
    ret->len[5] = len;
    return ret->len[0] == 3 && memcmp(ret->part[0], "arn", 3) == 0;
}

/* Colons within ${...} are the variable's. */
static const char *next_colon(const struct policy_build *b, const char *text, const char *end)
{
    for (; text < end; text++) {
        if (b->policy->variables && end - text > 1 && text[0] == '$' && text[1] == '{') {
            const char *close = memchr(text, '}', (size_t)(end - text));
            if (!close)
                return NULL;
            text = close;
        } else if (*text == ':') {
            return text;
        }
    }
    return NULL;
}

int arn_pattern_compile(struct policy_build *b, const char *text, size_t len, struct arn_pattern *ret)
{
    const char *at = text, *end = text + len;
    *ret = (struct arn_pattern){0};
    if (len == 1 && text[0] == '*') {
        ret->whole = true;
        return pattern_compile(b, text, len, PATTERN_WILD, &ret->parts[0]);
    }
    for (size_t part = 0; part < 5; part++) {
        const char *colon = next_colon(b, at, end);
        if (!colon && part == 0 && len > 2 && memcmp(text, "${", 2) == 0) {
            ret->whole = true; /* a variable that is an ARN itself */
            return pattern_compile(b, text, len, PATTERN_WILD, &ret->parts[0]);
        }
        if (!colon)
            return -EINVAL;
        int r = pattern_compile(b, at, (size_t)(colon - at), PATTERN_WILD, &ret->parts[part]);
        if (r < 0)
            return r;
        at = colon + 1;
    }
    return pattern_compile(b, at, (size_t)(end - at), PATTERN_WILD, &ret->parts[5]);
}

bool arn_pattern_matches(const struct arn_pattern *p, struct judge *j, const struct policy *policy, const struct arn *arn)
{
    if (p->whole) /* where it is more than "*", the ARN is one text */
        return pattern_matches(&p->parts[0], j, policy, arn->part[0], (size_t)(arn->part[5] + arn->len[5] - arn->part[0]), false);
    for (size_t n = 6; n-- > 0;) { /* the last part differs first */
        if (!pattern_matches(&p->parts[n], j, policy, arn->part[n], arn->len[n], false))
            return false;
    }
    return true;
}
