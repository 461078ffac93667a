/* SPDX-License-Identifier: GPL-3.0-or-later
 * The Condition of a statement (auth.md §4.2): all operators and all keys must hold. */
#include "auth/policy.h"

/* ---- reading ---- */

static int refuse(struct reason *reason, const char *what)
{
    return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "Policy has an invalid condition %s", what);
}

static int compile_values(struct policy_build *b, const json_t *value, struct condition *c)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    c->values = arena_take(&b->policy->arena, (count ? count : 1) * sizeof *c->values);
    if (!c->values)
        return -ENOMEM;
    for (size_t n = 0; n < count; n++) {
        int r = operand_compile(b, c->op, json_is_array(value) ? json_array_get(value, n) : value, &c->values[n]);
        if (r < 0)
            return r;
    }
    c->value_count = count;
    return count ? 0 : -EINVAL;
}

static int compile_one(struct policy_build *b, const char *op, const char *key, const json_t *value, struct condition *c,
                       struct reason *reason)
{
    struct arena *a = &b->policy->arena;
    c->op_text = arena_text(a, op, strlen(op));
    c->key_text = arena_text(a, key, strlen(key));
    if (!c->op_text || !c->key_text)
        return -ENOMEM;
    if (operator_parse(c->op_text, &c->op, &c->set, &c->if_exists) < 0)
        return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "Invalid Condition type : %.200s", op);
    if (key_find_in(c->key_text, b->scope->kind, &c->key, &c->tag) < 0)
        return refuse(reason, "key");
    b->policy->keys.bits[c->key / 64] |= 1ull << (c->key % 64);
    int r = compile_values(b, value, c);
    return r == -EINVAL ? refuse(reason, "value") : r;
}

int conditions_compile(struct policy_build *b, const json_t *object, struct condition **ret, size_t *ret_count,
                       struct reason *reason)
{
    const char *op, *key;
    json_t *of_op, *value;
    size_t count = 0;
    if (!json_is_object(object))
        return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "This policy contains invalid Json");
    json_object_foreach((json_t *)object, op, of_op) {
        const struct operator *known;
        enum set_operator set;
        bool if_exists;
        if (operator_parse(op, &known, &set, &if_exists) < 0)
            return reason_fail_s3(reason, EINVAL, "MalformedPolicy", "Invalid Condition type : %.200s", op);
        if (!json_is_object(of_op))
            return refuse(reason, "value");
        count += json_object_size(of_op);
    }
    struct condition *list = arena_take(&b->policy->arena, (count ? count : 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    *ret = list;
    *ret_count = 0;
    json_object_foreach((json_t *)object, op, of_op) {
        json_object_foreach(of_op, key, value) {
            int r = compile_one(b, op, key, value, &list[*ret_count], reason);
            if (r < 0)
                return r;
            ++*ret_count;
        }
    }
    return 0;
}

/* ---- holding ---- */

static bool null_holds(const struct condition *c, struct judge *j)
{
    const char *text;
    size_t len;
    bool absent = !judge_value(j, c->key, c->tag, 0, &text, &len);
    for (size_t n = 0; n < c->value_count; n++) {
        if (c->values[n].on == absent)
            return true;
    }
    return false;
}

static bool value_matches(const struct condition *c, const struct reading *value, struct judge *j, const struct policy *policy)
{
    for (size_t n = 0; n < c->value_count; n++) {
        if (operand_matches(c->op, &c->values[n], value, j, policy))
            return true;
    }
    return false;
}

static bool holds_when_absent(const struct condition *c)
{
    if (c->set != SET_NONE)
        return c->set == SET_ALL;
    return c->if_exists || c->op->negated;
}

/* The clock need not be written out and read again, unless the request gives another. */
static bool judge_reads_clock(const struct condition *c, const struct judge *j)
{
    if (c->op->type != TYPE_DATE || (c->key != AUTH_CURRENT_TIME && c->key != AUTH_EPOCH_TIME))
        return false;
    for (size_t n = 0; n < j->q->value_count; n++) {
        if (j->q->values[n].key == c->key)
            return false;
    }
    return true;
}

bool condition_holds(const struct condition *c, struct judge *j, const struct policy *policy)
{
    if (c->op->type == TYPE_NULL)
        return null_holds(c, j);
    const char *text;
    size_t len, readable = 0, matching = 0;
    if (judge_reads_clock(c, j)) {
        struct reading now = {.ms = c->key == AUTH_EPOCH_TIME ? j->q->now_ms / 1000 * 1000 : j->q->now_ms};
        return value_matches(c, &now, j, policy) != c->op->negated;
    }
    for (size_t n = 0; judge_value(j, c->key, c->tag, n, &text, &len); n++) {
        struct reading value;
        if (!operand_read(c->op, text, len, &value))
            continue;
        readable++;
        matching += value_matches(c, &value, j, policy);
    }
    if (!readable)
        return holds_when_absent(c);
    size_t satisfied = c->op->negated ? readable - matching : matching;
    switch (c->set) {
    case SET_ANY:
        return satisfied > 0;
    case SET_ALL:
        return satisfied == readable;
    case SET_NONE:
        return c->op->negated ? matching == 0 : matching > 0;
    }
    return false;
}
