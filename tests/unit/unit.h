/* SPDX-License-Identifier: GPL-3.0-or-later
 * What unit tests share: cmocka with the headers it wants before it, and bytes written as hex or as a
 * counting run. */
#ifndef HOLDFS_TESTS_UNIT_H
#define HOLDFS_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/text.h"

#define assert_hex(bytes, len, hex)                                                                          \
    do {                                                                                                     \
        char assert_hex_text[2 * (len) + 1];                                                                 \
        hex_format((bytes), (len), assert_hex_text);                                                         \
        assert_string_equal(assert_hex_text, (hex));                                                         \
    } while (0)

/* first, first+1, ... as encryption.md §11 writes `a..b`. */
static inline void count_up(uint8_t *out, size_t len, uint8_t first)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + i);
}

#endif
