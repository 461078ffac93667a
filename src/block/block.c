/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of segment stores; see block.h. */
#include "block/block.h"

#include <string.h>

extern const struct block_ops block_local;

static const struct block_ops *const block_table[] = {
    &block_local,
};

const struct block_ops *block_find(const char *name)
{
    for (size_t i = 0; i < sizeof block_table / sizeof block_table[0]; i++) {
        if (!strcmp(block_table[i]->name, name))
            return block_table[i];
    }
    return NULL;
}
