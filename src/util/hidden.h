/* SPDX-License-Identifier: GPL-3.0-or-later
 * Memory of OpenSSL's own kept out of core dumps. */
#ifndef HOLDFS_UTIL_HIDDEN_H
#define HOLDFS_UTIL_HIDDEN_H

#include <stdbool.h>

/* At the very start of a program, before anything calls OpenSSL; false: something has, and its memory is the heap. */
bool hidden_memory_begin(void);

#endif
