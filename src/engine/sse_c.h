/* SPDX-License-Identifier: GPL-3.0-or-later
 * Customer keys on a mount (encryption.md §6). Private to src/engine. */
#ifndef HOLDFS_ENGINE_SSE_C_H
#define HOLDFS_ENGINE_SSE_C_H

#include "engine/kms.h"

/* Opens the KEK of an SSE-C version with a key the caller holds: -ENOKEY none, -EKEYREJECTED another one. M */
int sse_c_open(struct engine *e, struct caller *c, const struct bucket *b, const struct envelope *env, struct data_key **ret);
/* 1 and an envelope where the caller has unlocked the bucket for writing; 0 where not. M */
int sse_c_new(struct engine *e, struct caller *c, const struct bucket *b, struct envelope **ret_env, struct data_key **ret_kek);
/* base64 of the MD5 of the caller's key that fits; errors as sse_c_open(). M */
int sse_c_key_md5(struct engine *e, struct caller *c, const struct bucket *b, const struct envelope *env, char out[32]);
/* KEK and verifier of a customer's key. */
void sse_c_derive(const uint8_t key[32], const uint8_t salt[16], uint8_t ret_kek[32], uint8_t ret_verifier[32]);
/* Has the caller unlocked the bucket for writing? M */
bool sse_c_writes(const struct engine *e, const struct caller *c, const struct bucket *b);
void sse_c_close(struct engine *e); /* forgets all */

#endif
