/* SPDX-License-Identifier: GPL-3.0-or-later
 * Small codecs and checks on text: hex, base32 (RFC 4648 lower case, and Crockford), base64, UUIDs, UTF-8. */
#ifndef HOLDFS_UTIL_TEXT_H
#define HOLDFS_UTIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void hex_format(const void *bytes, size_t len, char *out);     /* lower case; 2*len + 1 characters */
int hex_parse(const char *text, size_t len, uint8_t *out);     /* exactly len/2 bytes; -EINVAL */
void base32_format(const void *bytes, size_t len, char *out);  /* [a-z2-7], no padding; 20 bytes -> 32 characters + zero */
int base32_parse(const char *text, size_t len, uint8_t *out, size_t out_len); /* strict, lower case; -EINVAL */
void crockford_format(const void *bytes, size_t bits, char *out); /* upper case, one character per 5 bits + zero */
int crockford_parse(const char *text, size_t len, uint8_t *out, size_t bits); /* I,L as 1, O as 0, any case; no separators; -EINVAL */
void base64_format(const void *bytes, size_t len, char *out);  /* 4*((len+2)/3) + 1 characters */
int base64_parse(const char *text, size_t len, uint8_t *out, size_t out_cap, size_t *ret_len); /* strict; -EINVAL, -ERANGE */
void uuid_format(const uint8_t id[16], char out[37]);
int uuid_parse(const char *text, uint8_t out[16]);
void uuid_random(uint8_t out[16]); /* version 4 */
bool utf8_valid(const void *bytes, size_t len); /* no surrogates, no overlong forms, up to U+10FFFF */

#endif
