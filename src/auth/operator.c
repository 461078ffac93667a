/* SPDX-License-Identifier: GPL-3.0-or-later
 * The operators of conditions (auth.md §4.2): their table, values as their types read them, and one comparison. */
#include "auth/policy.h"
#include "util/text.h"
#include "util/timeform.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

static const struct operator operators[] = {
    {"StringEquals", TYPE_STRING, false, COMPARE_EQUAL},
    {"StringNotEquals", TYPE_STRING, true, COMPARE_EQUAL},
    {"StringEqualsIgnoreCase", TYPE_FOLD, false, COMPARE_EQUAL},
    {"StringNotEqualsIgnoreCase", TYPE_FOLD, true, COMPARE_EQUAL},
    {"StringLike", TYPE_LIKE, false, COMPARE_EQUAL},
    {"StringNotLike", TYPE_LIKE, true, COMPARE_EQUAL},
    {"NumericEquals", TYPE_NUMERIC, false, COMPARE_EQUAL},
    {"NumericNotEquals", TYPE_NUMERIC, true, COMPARE_EQUAL},
    {"NumericLessThan", TYPE_NUMERIC, false, COMPARE_LESS},
    {"NumericLessThanEquals", TYPE_NUMERIC, false, COMPARE_LESS_EQUAL},
    {"NumericGreaterThan", TYPE_NUMERIC, false, COMPARE_GREATER},
    {"NumericGreaterThanEquals", TYPE_NUMERIC, false, COMPARE_GREATER_EQUAL},
    {"DateEquals", TYPE_DATE, false, COMPARE_EQUAL},
    {"DateNotEquals", TYPE_DATE, true, COMPARE_EQUAL},
    {"DateLessThan", TYPE_DATE, false, COMPARE_LESS},
    {"DateLessThanEquals", TYPE_DATE, false, COMPARE_LESS_EQUAL},
    {"DateGreaterThan", TYPE_DATE, false, COMPARE_GREATER},
    {"DateGreaterThanEquals", TYPE_DATE, false, COMPARE_GREATER_EQUAL},
    {"Bool", TYPE_BOOL, false, COMPARE_EQUAL},
    {"BinaryEquals", TYPE_BINARY, false, COMPARE_EQUAL},
    {"IpAddress", TYPE_IP, false, COMPARE_EQUAL},
    {"NotIpAddress", TYPE_IP, true, COMPARE_EQUAL},
    {"ArnEquals", TYPE_ARN, false, COMPARE_EQUAL},
    {"ArnLike", TYPE_ARN, false, COMPARE_EQUAL},
    {"ArnNotEquals", TYPE_ARN, true, COMPARE_EQUAL},
    {"ArnNotLike", TYPE_ARN, true, COMPARE_EQUAL},
    {"Null", TYPE_NULL, false, COMPARE_EQUAL},
};

int operator_parse(const char *text, const struct operator **ret, enum set_operator *ret_set, bool *ret_if_exists)
{
    static const char any[] = "ForAnyValue:", all[] = "ForAllValues:", if_exists[] = "IfExists";
    *ret_set = SET_NONE;
    if (strncmp(text, any, strlen(any)) == 0)
        *ret_set = SET_ANY;
    else if (strncmp(text, all, strlen(all)) == 0)
        *ret_set = SET_ALL;
    text += *ret_set == SET_ANY ? strlen(any) : *ret_set == SET_ALL ? strlen(all) : 0;
    size_t len = strlen(text), suffix = strlen(if_exists);
    *ret_if_exists = len > suffix && strcmp(text + len - suffix, if_exists) == 0;
    len -= *ret_if_exists ? suffix : 0;
    for (size_t n = 0; n < sizeof operators / sizeof *operators; n++) {
        const struct operator *op = &operators[n];
        if (strncmp(text, op->name, len) != 0 || op->name[len])
            continue;
        if (op->type == TYPE_NULL && (*ret_if_exists || *ret_set != SET_NONE))
            return -EINVAL;
        *ret = op;
        return 0;
    }
    return -EINVAL;
}

/* ---- reading ---- */

enum { WHOLE_DIGITS = 18, NANO_DIGITS = 9 };

/* [+-]digits[.digits], exact. */
static bool read_decimal(const char *text, size_t len, struct decimal *ret)
{
    const char *at = text, *end = text + len;
    bool minus = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    struct decimal d = {0};
    size_t digits = 0, places = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (++digits > WHOLE_DIGITS)
            return false;
        d.whole = d.whole * 10 + (*at - '0');
    }
    if (!digits)
        return false;
    if (at < end && *at == '.') {
        for (at++; at < end && *at >= '0' && *at <= '9'; at++) {
            if (++places > NANO_DIGITS)
                return false;
            d.nano = d.nano * 10 + (*at - '0');
        }
        if (!places)
            return false;
    }
    for (; places < NANO_DIGITS; places++)
        d.nano *= 10;
    *ret = minus ? (struct decimal){-d.whole, -d.nano} : d;
    return at == end;
}

/* A date as lock dates have it (timeform.h), a day, or seconds since 1970. */
static bool read_date(const char *text, size_t len, int64_t *ret_ms)
{
    struct decimal d;
    char copy[48];
    bool is_relative = false;
    if (read_decimal(text, len, &d) && d.whole > -(INT64_C(1) << 50) && d.whole < INT64_C(1) << 50) {
        *ret_ms = d.whole * 1000 + d.nano / 1000000;
        return true;
    }
    if (!len || len >= sizeof copy || text[0] == '+')
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return timeform_lock_value(copy, ret_ms, &is_relative) == 0 && !is_relative;
}

static bool read_bool(const char *text, size_t len, bool *ret)
{
    *ret = len == 4 && strncasecmp(text, "true", 4) == 0;
    return *ret || (len == 5 && strncasecmp(text, "false", 5) == 0);
}

static bool read_address(const char *text, size_t len, struct address *ret)
{
    char copy[INET6_ADDRSTRLEN];
    if (!len || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *ret = (struct address){.len = 4, .bits = 32};
    if (inet_pton(AF_INET, copy, ret->bytes) == 1)
        return true;
    *ret = (struct address){.len = 16, .bits = 128};
    return inet_pton(AF_INET6, copy, ret->bytes) == 1;
}

static bool read_network(const char *text, size_t len, struct address *ret)
{
    const char *slash = memchr(text, '/', len);
    if (!read_address(text, slash ? (size_t)(slash - text) : len, ret))
        return false;
    if (!slash)
        return true;
    size_t digits = (size_t)(text + len - slash) - 1;
    unsigned bits = 0;
    for (size_t n = 0; n < digits; n++) {
        if (slash[1 + n] < '0' || slash[1 + n] > '9' || digits > 3)
            return false;
        bits = bits * 10 + (unsigned)(slash[1 + n] - '0');
    }
    if (!digits || bits > ret->bits)
        return false;
    ret->bits = (uint8_t)bits;
    return true;
}

bool operand_read(const struct operator *op, const char *text, size_t len, struct reading *ret)
{
    ret->text = text;
    ret->len = len;
    switch (op->type) {
    case TYPE_NUMERIC:
        return read_decimal(text, len, &ret->decimal);
    case TYPE_DATE:
        return read_date(text, len, &ret->ms);
    case TYPE_BOOL:
        return read_bool(text, len, &ret->on);
    case TYPE_IP:
        return read_address(text, len, &ret->address);
    case TYPE_ARN:
        return arn_split(text, len, &ret->arn);
    case TYPE_STRING:
    case TYPE_FOLD:
    case TYPE_LIKE:
    case TYPE_BINARY:
    case TYPE_NULL:
        return true;
    }
    return true;
}

/* ---- what the policy says ---- */

/* The text of a JSON string, number or truth value: borrowed, or in buf. NULL: another type. */
static const char *scalar_text(const json_t *value, char buf[32], size_t *ret_len)
{
    const char *text = buf;
    if (json_is_string(value)) {
        text = json_string_value(value);
        *ret_len = json_string_length(value);
        return text;
    }
    if (json_is_integer(value))
        snprintf(buf, 32, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(buf, 32, "%.15g", json_real_value(value));
    else if (json_is_boolean(value))
        text = json_is_true(value) ? "true" : "false";
    else
        return NULL;
    *ret_len = strlen(text);
    return text;
}

static int binary_compile(struct policy_build *b, const char *text, size_t len, union operand *ret)
{
    size_t cap = len / 4 * 3 + 3, got = 0;
    uint8_t *bytes = arena_take(&b->policy->arena, cap);
    if (!bytes)
        return -ENOMEM;
    if (base64_parse(text, len, bytes, cap, &got) < 0)
        return -EINVAL;
    ret->binary.p = bytes;
    ret->binary.len = got;
    return 0;
}

int operand_compile(struct policy_build *b, const struct operator *op, const json_t *value, union operand *ret)
{
    char buf[32];
    size_t len = 0;
    const char *text = scalar_text(value, buf, &len);
    if (!text)
        return -EINVAL;
    switch (op->type) {
    case TYPE_STRING:
    case TYPE_FOLD:
        return pattern_compile(b, text, len, PATTERN_PLAIN, &ret->pattern);
    case TYPE_LIKE:
        return pattern_compile(b, text, len, PATTERN_WILD, &ret->pattern);
    case TYPE_ARN:
        return arn_pattern_compile(b, text, len, &ret->arn);
    case TYPE_NUMERIC:
        return json_is_boolean(value) || !read_decimal(text, len, &ret->decimal) ? -EINVAL : 0;
    case TYPE_DATE:
        return json_is_boolean(value) || !read_date(text, len, &ret->ms) ? -EINVAL : 0;
    case TYPE_BOOL:
    case TYPE_NULL:
        return read_bool(text, len, &ret->on) ? 0 : -EINVAL;
    case TYPE_IP:
        return read_network(text, len, &ret->address) ? 0 : -EINVAL;
    case TYPE_BINARY:
        return binary_compile(b, text, len, ret);
    }
    return -EINVAL;
}

/* ---- comparing ---- */

static bool ordered(enum compare compare, int order)
{
    switch (compare) {
    case COMPARE_EQUAL:
        return order == 0;
    case COMPARE_LESS:
        return order < 0;
    case COMPARE_LESS_EQUAL:
        return order <= 0;
    case COMPARE_GREATER:
        return order > 0;
    case COMPARE_GREATER_EQUAL:
        return order >= 0;
    }
    return false;
}

static int order_of(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int decimal_order(const struct decimal *a, const struct decimal *b)
{
    int order = order_of(a->whole, b->whole);
    return order ? order : order_of(a->nano, b->nano);
}

static bool address_within(const struct address *a, const struct address *network)
{
    if (a->len != network->len)
        return false;
    size_t whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(a->bytes, network->bytes, whole) != 0)
        return false;
    return !rest || (a->bytes[whole] ^ network->bytes[whole]) >> (8 - rest) == 0;
}

bool operand_matches(const struct operator *op, const union operand *operand, const struct reading *value, struct judge *j,
                     const struct policy *policy)
{
    switch (op->type) {
    case TYPE_STRING:
    case TYPE_LIKE:
        return pattern_matches(&operand->pattern, j, policy, value->text, value->len, false);
    case TYPE_FOLD:
        return pattern_matches(&operand->pattern, j, policy, value->text, value->len, true);
    case TYPE_ARN:
        return arn_pattern_matches(&operand->arn, j, policy, &value->arn);
    case TYPE_NUMERIC:
        return ordered(op->compare, decimal_order(&value->decimal, &operand->decimal));
    case TYPE_DATE:
        return ordered(op->compare, order_of(value->ms, operand->ms));
    case TYPE_BOOL:
    case TYPE_NULL:
        return value->on == operand->on;
    case TYPE_IP:
        return address_within(&value->address, &operand->address);
    case TYPE_BINARY:
        return value->len == operand->binary.len && memcmp(value->text, operand->binary.p, value->len) == 0;
    }
    return false;
}
