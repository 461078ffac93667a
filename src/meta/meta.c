/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of metadata engines. To add one: its file and a line here (see meta.h). */
#include "meta/meta.h"
#include "meta/sqlite.h"

#include <string.h>

static const struct meta_ops *const meta_table[] = {
    &meta_sqlite_ops,
};

const struct meta_ops *meta_find(const char *name)
{
    for (size_t i = 0; i < sizeof(meta_table) / sizeof(meta_table[0]); i++) {
        if (strcmp(meta_table[i]->name, name) == 0)
            return meta_table[i];
    }
    return NULL;
}
