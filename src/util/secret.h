/* SPDX-License-Identifier: GPL-3.0-or-later
 * The one type for secrets: locked memory, left out of core dumps and children, wiped on free, never formatted.
 *
 * A forked child finds zeros in their place: a process that goes into the background forks before it reads a secret. */
#ifndef HOLDFS_UTIL_SECRET_H
#define HOLDFS_UTIL_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret;

/* len zero bytes of locked memory (packed into shared locked pages: thousands of 32-byte keys are cheap); NULL when out
 * of memory. When mlock is refused the secret still works and secret_unlocked() tells. */
struct secret *secret_new(size_t len);
struct secret *secret_copy(const void *bytes, size_t len);
uint8_t *secret_bytes(struct secret *s);
const uint8_t *secret_peek(const struct secret *s);
size_t secret_len(const struct secret *s);
void secret_truncate(struct secret *s, size_t len); /* wipes what is cut */
void secret_free(struct secret *s);                 /* wipes; NULL is accepted */
static inline void secret_cleanup(struct secret **s)
{
    secret_free(*s);
}
bool secret_equal(const void *a, const void *b, size_t len); /* constant time */
void secret_wipe(void *p, size_t len);
bool secret_unlocked(void); /* true once mlock was refused */

#endif
