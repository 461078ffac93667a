/* SPDX-License-Identifier: GPL-3.0-or-later
 * RFC 8785: one text for one JSON value. Members in the order of their UTF-16 code units, no blanks, the shortest escapes. */
#include "audit/audit.h"
#include "util/cleanup.h"
#include "util/text.h"

#include <errno.h>
#include <string.h>

enum { DEPTH_MAX = 64, MEMBERS_FEW = 24 };
static const json_int_t integer_max = (json_int_t)1 << 53;

/* ---- strings ---- */

static void put_escaped(uint8_t c, struct bytes *out)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[] = "btn_fr"; /* 0x08..0x0d but 0x0b */
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    if (c == '"' || c == '\\' || (c >= 8 && c <= 13 && c != 11)) {
        text[1] = c >= 8 && c <= 13 ? shorts[c - 8] : (char)c;
        bytes_put(out, text, 2);
    } else {
        bytes_put(out, text, 6);
    }
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

static void put_valid(const uint8_t *p, size_t len, struct bytes *out)
{
    for (size_t at = 0; at < len;) {
        size_t run = at;
        while (run < len && is_plain(p[run]))
            run++;
        bytes_put(out, p + at, run - at);
        if (run < len)
            put_escaped(p[run++], out);
        at = run;
    }
}

static size_t sequence_len(const uint8_t *p, size_t left)
{
    size_t len = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    return len <= left && utf8_valid(p, len) ? len : 0;
}

void audit_canonical_text(const void *text, size_t len, struct bytes *out)
{
    const uint8_t *p = text;
    size_t plain = 0;
    bytes_put(out, "\"", 1);
    while (plain < len && is_plain(p[plain]) && p[plain] < 0x80)
        plain++;
    if (plain == len) { /* nearly always */
        bytes_put(out, text, len);
    } else if (utf8_valid(text, len)) {
        put_valid(p, len, out);
    } else {
        for (size_t at = 0; at < len;) {
            size_t one = sequence_len(p + at, len - at);
            if (one)
                put_valid(p + at, one, out);
            else
                bytes_printf(out, "\\\\x%02x", p[at]);
            at += one ? one : 1;
        }
    }
    bytes_put(out, "\"", 1);
}

/* ---- objects ---- */

/* UTF-16 puts what lies beyond U+FFFF (surrogates, D800...) before U+E000..U+FFFF; bytes of UTF-8 put it behind. */
static int name_compare(const void *a, const void *b)
{
    const uint8_t *x = *(const uint8_t *const *)a, *y = *(const uint8_t *const *)b;
    while (*x && *x == *y) {
        x++;
        y++;
    }
    if (*x >= 0xf0 && *y >= 0xee && *y < 0xf0)
        return -1;
    if (*y >= 0xf0 && *x >= 0xee && *x < 0xf0)
        return 1;
    return (*x > *y) - (*x < *y);
}

static int put_value(const json_t *value, unsigned depth, struct bytes *out);

static int put_object(const json_t *object, unsigned depth, struct bytes *out)
{
    size_t count = json_object_size(object), n = 0;
    const char *few[MEMBERS_FEW];
    CLEANUP_FREE const char **many = count > MEMBERS_FEW ? calloc(count, sizeof *many) : NULL;
    const char **names = count > MEMBERS_FEW ? many : few;
    if (!names)
        return -ENOMEM;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
        names[n++] = name;
    qsort(names, count, sizeof *names, name_compare);
    int r = 0;
    bytes_put(out, "{", 1);
    for (n = 0; r == 0 && n < count; n++) {
        if (n)
            bytes_put(out, ",", 1);
        audit_canonical_text(names[n], strlen(names[n]), out);
        bytes_put(out, ":", 1);
        r = put_value(json_object_get(object, names[n]), depth + 1, out);
    }
    bytes_put(out, "}", 1);
    return r;
}

static int put_array(const json_t *array, unsigned depth, struct bytes *out)
{
    int r = 0;
    bytes_put(out, "[", 1);
    for (size_t n = 0; r == 0 && n < json_array_size(array); n++) {
        if (n)
            bytes_put(out, ",", 1);
        r = put_value(json_array_get(array, n), depth + 1, out);
    }
    bytes_put(out, "]", 1);
    return r;
}

static int put_value(const json_t *value, unsigned depth, struct bytes *out)
{
    if (depth > DEPTH_MAX)
        return -ELOOP;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(value, depth, out);
    case JSON_ARRAY:
        return put_array(value, depth, out);
    case JSON_STRING:
        audit_canonical_text(json_string_value(value), json_string_length(value), out);
        return 0;
    case JSON_INTEGER:
        if (json_integer_value(value) > integer_max || json_integer_value(value) < -integer_max)
            return -ERANGE;
        bytes_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return 0;
    case JSON_REAL:
        return -ERANGE;
    case JSON_TRUE:
        bytes_put(out, "true", 4);
        return 0;
    case JSON_FALSE:
        bytes_put(out, "false", 5);
        return 0;
    default:
        bytes_put(out, "null", 4);
        return 0;
    }
}

int audit_canonical(const json_t *value, struct bytes *out)
{
    int r = put_value(value, 0, out);
    return r < 0 ? r : out->failed ? -ENOMEM : 0;
}
