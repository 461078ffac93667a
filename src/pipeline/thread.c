/* SPDX-License-Identifier: GPL-3.0-or-later
 * Per-thread state; see thread.h. */
#include "pipeline/thread.h"

#include "util/cleanup.h"
#include "util/secret.h"

static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_at_exit;
static __thread struct thread_state *thread_mine;

static pthread_mutex_t thread_list_lock = PTHREAD_MUTEX_INITIALIZER; /* taken before a state's own lock */
static struct thread_state *thread_list;

static void thread_buffer_free(uint8_t *buffer, size_t len)
{
    if (buffer)
        secret_wipe(buffer, len);
    free(buffer);
}

static void thread_state_free(void *arg)
{
    struct thread_state *t = arg;
    {
        LOCK_SCOPE(&thread_list_lock);
        *t->prev = t->next;
        if (t->next)
            t->next->prev = t->prev;
    }
    for (int i = 0; i < THREAD_KEYS; i++) {
        EVP_CIPHER_CTX_free(t->seal[i].ctx);
        EVP_CIPHER_CTX_free(t->open[i].ctx);
    }
    ZSTD_freeCCtx(t->pack);
    ZSTD_freeDCtx(t->unpack);
    free(t->sealed); /* ciphertext only */
    thread_buffer_free(t->packed, FRAME_PLAIN_MAX_BYTES);
    thread_buffer_free(t->plain, FRAME_PLAIN_MAX_BYTES);
    pthread_mutex_destroy(&t->lock);
    free(t);
    thread_mine = NULL;
}

/* The thread that calls exit() runs no destructors of its own. */
static void thread_main_exit(void)
{
    if (thread_mine) {
        pthread_setspecific(thread_at_exit, NULL);
        thread_state_free(thread_mine);
    }
}

static void thread_init(void)
{
    pthread_key_create(&thread_at_exit, thread_state_free);
    atexit(thread_main_exit);
}

static struct thread_state *thread_state_new(void)
{
    pthread_once(&thread_once, thread_init);
    struct thread_state *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    LOCK_SCOPE(&thread_list_lock);
    t->next = thread_list;
    t->prev = &thread_list;
    if (t->next)
        t->next->prev = &t->next;
    thread_list = t;
    thread_mine = t;
    pthread_setspecific(thread_at_exit, t);
    return t;
}

struct thread_state *thread_state(void)
{
    return thread_mine ? thread_mine : thread_state_new();
}

uint8_t *thread_buffer(uint8_t **slot, size_t len)
{
    if (!*slot)
        *slot = malloc(len);
    return *slot;
}

void thread_each(void (*fn)(struct thread_state *t, uint64_t arg), uint64_t arg)
{
    LOCK_SCOPE(&thread_list_lock);
    for (struct thread_state *t = thread_list; t; t = t->next)
        fn(t, arg);
}
