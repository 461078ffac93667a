/* SPDX-License-Identifier: GPL-3.0-or-later
 * Shows a JSON answer to a person; see render.h. Sizes are shown with a unit.
 * Names in an answer come from outside: control characters are shown as '?'. */
#include "cmd/render.h"
#include "cmd/command.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RENDER_TEXT_BYTES = 512, RENDER_COLUMNS_MAX = 12 };

const char *render_count(uint64_t n, char out[32])
{
    char plain[24];
    int len = snprintf(plain, sizeof plain, "%" PRIu64, n), at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = plain[i];
    }
    out[at] = 0;
    return out;
}

const char *render_bytes(uint64_t n, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)n;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

char *render_clean(char *text)
{
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return text;
}

static bool name_ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

/* A member that is a size: by its name, or one of `stat`, which has the names of attributes. */
static bool is_size(const char *name)
{
    return name_ends(name, "_bytes") || !strcmp(name, "size") || !strcmp(name, "size-stored");
}

static void render_scalar(const char *name, const json_t *value, char out[RENDER_TEXT_BYTES])
{
    char number[32];
    out[0] = 0;
    if (json_is_string(value))
        snprintf(out, RENDER_TEXT_BYTES, "%s", json_string_value(value));
    else if (json_is_integer(value) && is_size(name) && json_integer_value(value) >= 0)
        snprintf(out, RENDER_TEXT_BYTES, "%s", render_bytes((uint64_t)json_integer_value(value), number));
    else if (json_is_integer(value))
        snprintf(out, RENDER_TEXT_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(out, RENDER_TEXT_BYTES, "%.3f", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(out, RENDER_TEXT_BYTES, "%s", json_is_true(value) ? "yes" : "no");
    render_clean(out);
}

static bool is_table(const json_t *value)
{
    return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

/* The width of the names, so that values stand below each other. */
static int fields_width(const json_t *object)
{
    int width = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value) width =
        (int)strlen(name) > width ? (int)strlen(name) : width;
    return width;
}

/* The members of the first object are the columns. */
static void render_whole_table(const json_t *list)
{
    struct render_column columns[RENDER_COLUMNS_MAX + 1] = {0};
    size_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_array_get(list, 0), name,
                        value) if (n < RENDER_COLUMNS_MAX && !json_is_object(value) && !json_is_array(value))
        columns[n++] = (struct render_column){name, name};
    render_table(list, columns);
}

static void render_list(const json_t *list)
{
    char text[RENDER_TEXT_BYTES];
    for (size_t i = 0; i < json_array_size(list); i++) {
        render_scalar("", json_array_get(list, i), text);
        printf("%s%s", i ? ", " : "", text);
    }
    putchar('\n');
}

static void render_name(const char *name, int indent, int width)
{
    char text[RENDER_TEXT_BYTES];
    snprintf(text, sizeof text, "%s", name);
    printf("%*s%-*s", indent, "", width, render_clean(text));
}

static void render_fields_at(const json_t *object, int indent)
{
    char text[RENDER_TEXT_BYTES];
    int width = fields_width(object);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (json_is_null(value) || (json_is_object(value) && json_object_size(value) == 0) ||
            (json_is_array(value) && json_array_size(value) == 0))
            continue;
        render_name(name, indent, json_is_object(value) || is_table(value) ? 0 : width + 2);
        if (json_is_object(value)) {
            putchar('\n');
            render_fields_at(value, indent + 2);
        } else if (is_table(value)) {
            putchar('\n');
            render_whole_table(value);
        } else if (json_is_array(value)) {
            render_list(value);
        } else {
            render_scalar(name, value, text);
            puts(text);
        }
    }
}

void render_fields(const json_t *object)
{
    render_fields_at(object, 0);
}

/* Columns on a terminal: characters, not bytes. */
static int text_columns(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void render_cell(const char *text, int width, bool number, bool last)
{
    int pad = width - text_columns(text);
    if (number)
        printf("%*s%s", pad > 0 ? pad : 0, "", text);
    else
        printf("%s%*s", text, last || pad < 0 ? 0 : pad, "");
    fputs(last ? "\n" : "  ", stdout);
}

void render_table(const json_t *list, const struct render_column *columns)
{
    int width[RENDER_COLUMNS_MAX] = {0};
    bool number[RENDER_COLUMNS_MAX] = {0};
    char text[RENDER_TEXT_BYTES];
    size_t n = 0, i;
    json_t *row;
    for (; n < RENDER_COLUMNS_MAX && columns[n].title && *columns[n].title; n++)
        width[n] = text_columns(columns[n].title);
    json_array_foreach((json_t *)list, i, row) for (size_t c = 0; c < n; c++)
    {
        const json_t *value = json_object_get(row, columns[c].member);
        render_scalar(columns[c].member, value, text);
        number[c] |= json_is_number(value);
        width[c] = text_columns(text) > width[c] ? text_columns(text) : width[c];
    }
    for (size_t c = 0; c < n; c++)
        render_cell(columns[c].title, width[c], number[c], c + 1 == n);
    json_array_foreach((json_t *)list, i, row) for (size_t c = 0; c < n; c++)
    {
        render_scalar(columns[c].member, json_object_get(row, columns[c].member), text);
        render_cell(text, width[c], number[c], c + 1 == n);
    }
}

void render_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}

int render_answer(json_t *answer, bool json)
{
    if (json)
        render_json(answer);
    else if (json_is_object(answer))
        render_fields(answer);
    else if (is_table(answer))
        render_whole_table(answer);
    json_decref(answer);
    return EXIT_DONE;
}
