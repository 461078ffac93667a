/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the pipeline keeps per thread, so that the way of a byte has no allocation: cipher and compression contexts
 * and scratch buffers. Made at a thread's first use, released when it ends. Private to the pipeline. */
#ifndef HOLDFS_PIPELINE_THREAD_H
#define HOLDFS_PIPELINE_THREAD_H

#include "pipeline/frame.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <zstd.h>

enum {
    /* Frames sealed or read at once: what one FUSE request carries at most. */
    THREAD_BATCH_BYTES = 1 << 20,
    /* The smallest unit is 4 KiB; two more frames where a request is not aligned. */
    THREAD_BATCH_FRAMES = THREAD_BATCH_BYTES / 4096 + 2,
    THREAD_SEALED_BYTES = THREAD_BATCH_BYTES + THREAD_BATCH_FRAMES * FRAME_OVERHEAD_BYTES,
    /* Keys a thread holds ready in each direction; a thread serves several open files in turn. */
    THREAD_KEYS = 4,
};

struct thread_key {
    EVP_CIPHER_CTX *ctx;
    uint64_t serial; /* of the frame_key it holds; 0: none */
    uint64_t used;   /* tick of the last use */
};

struct thread_state {
    pthread_mutex_t lock; /* guards the keys: another thread takes it to wipe a key that is gone (gcm_forget) */
    struct thread_key seal[THREAD_KEYS], open[THREAD_KEYS];
    uint64_t tick;
    struct thread_state *next, **prev; /* all threads' states, under a lock of thread.c */

    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    uint8_t *sealed; /* THREAD_SEALED_BYTES: frames on their way to or from a segment */
    uint8_t *packed; /* FRAME_PLAIN_MAX_BYTES: compressed plaintext on its way out of a frame */
    uint8_t *plain;  /* FRAME_PLAIN_MAX_BYTES: a frame of which only a part is wanted */
};

struct thread_state *thread_state(void); /* the calling thread's; NULL: no memory */
/* The buffer *slot, made at its first use; NULL: no memory. */
uint8_t *thread_buffer(uint8_t **slot, size_t len);
void thread_each(void (*fn)(struct thread_state *t, uint64_t arg), uint64_t arg);

#endif
