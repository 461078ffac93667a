/* SPDX-License-Identifier: GPL-3.0-or-later
 * Shows a JSON answer to a person: fields one below the other, lists of objects as tables. */
#ifndef HOLDFS_CMD_RENDER_H
#define HOLDFS_CMD_RENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct render_column {
    const char *member, *title;
};

/* The document as it is (`json`) or as fields; takes the reference over. Returns an exit status. */
int render_answer(json_t *answer, bool json);
void render_json(const json_t *value);
void render_fields(const json_t *object);
/* One line for each object of the list; an empty title ends the columns. */
void render_table(const json_t *list, const struct render_column *columns);
/* A name from outside, in place: what would steer a terminal becomes '?'. Returns it. */
char *render_clean(char *text);
/* "18,204" */
const char *render_count(uint64_t n, char out[32]);
/* "1.5 MiB" */
const char *render_bytes(uint64_t n, char out[32]);

#endif
