/* SPDX-License-Identifier: GPL-3.0-or-later
 * struct store_keys opened up for the files that make it and wrap under it. */
#ifndef HOLDFS_KMS_KEYS_H
#define HOLDFS_KMS_KEYS_H

#include "kms/internal.h"

/* Never changed after store_keys_new(): threads share it without a lock. */
struct store_keys {
    struct store_header header;
    struct secret *master;              /* M */
    struct xaes_key *roots[EPOCHS_MAX]; /* roots[i] is the kek root of header.epochs[i] */
};

#endif
