/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of key providers. */
#include "kms/provider.h"

#include <string.h>

extern const struct kms_provider_ops kms_provider_local;

const struct kms_provider_ops *const kms_provider_table[] = {&kms_provider_local, NULL};

const struct kms_provider_ops *kms_provider_find(const char *name)
{
    for (size_t i = 0; kms_provider_table[i]; i++) {
        if (strcmp(kms_provider_table[i]->name, name) == 0)
            return kms_provider_table[i];
    }
    return NULL;
}
