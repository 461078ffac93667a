/* SPDX-License-Identifier: GPL-3.0-or-later
 * Random bytes; declared in xaes.h.
 *
 * Nonces and ids are small and wanted often: they come from a buffer of the thread, emptied in a forked child
 * (two processes must never draw the same nonce) and wiped as it is handed out. Anything larger may be a key
 * and comes straight from the generator for private values. */
#include "util/xaes.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    POOL_BYTES = 768, /* 32 nonces for one call of the generator */
    SMALL_BYTES = 24, /* an XAES nonce; a key is longer */
};

static _Thread_local struct {
    uint8_t bytes[POOL_BYTES];
    size_t left; /* unused ones, at the end */
} pool;

static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static void pool_drop_in_child(void)
{
    pool.left = 0; /* only the forking thread lives on */
}

static void random_die(void)
{
    fputs("holdfs: the random generator failed; nothing can be encrypted safely\n", stderr);
    abort();
}

static void pool_prepare(void)
{
    if (pthread_atfork(NULL, NULL, pool_drop_in_child) != 0)
        random_die();
}

void random_bytes(void *out, size_t len)
{
    if (len > SMALL_BYTES) {
        if (RAND_priv_bytes(out, (int)len) != 1)
            random_die();
        return;
    }
    if (pool.left < len) {
        pthread_once(&pool_once, pool_prepare);
        if (RAND_bytes(pool.bytes, POOL_BYTES) != 1)
            random_die();
        pool.left = POOL_BYTES;
    }
    uint8_t *at = pool.bytes + POOL_BYTES - pool.left;
    memcpy(out, at, len);
    OPENSSL_cleanse(at, len);
    pool.left -= len;
}
