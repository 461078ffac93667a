/* SPDX-License-Identifier: GPL-3.0-or-later
 * The directory of the local store and the names in it; private to the local store. */
#ifndef HOLDFS_BLOCK_LOCAL_DIR_H
#define HOLDFS_BLOCK_LOCAL_DIR_H

#include <stddef.h>
#include <stdint.h>

/* The file name of a segment: its number in eight hexadecimal digits, ".seg". */
enum { LOCAL_NAME_BYTES = 16 };
void local_name(uint32_t segment, char out[LOCAL_NAME_BYTES]);

/* Makes the directory (mode 0700) where it is missing, and its entry in the parent durable. */
int local_dir_make(const char *dir);
/* The numbers of all segments there are, ascending; the caller frees. */
int local_dir_numbers(int dir_fd, uint32_t **ret_numbers, size_t *ret_count);

#endif
