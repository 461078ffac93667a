/* SPDX-License-Identifier: GPL-3.0-or-later
 * Where OpenSSL keeps its memory (hidden.h): pages apart from the heap, kept out of core dumps, and locked as far as that is
 * allowed. Cipher contexts hold expanded keys, whose first bytes are the key itself.
 *
 * Blocks come in powers of two, each with a head that tells its size; what is freed is wiped and waits in a list of its size.
 * Contexts are made once for each thread and key, so one lock for all is enough. */
#include "util/hidden.h"
#include "util/cleanup.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { HEAD_BYTES = 16, CLASS_MIN_LOG = 5, CLASSES = 12, CHUNK_BYTES = 256 << 10 };
_Static_assert(CHUNK_BYTES >= 1 << (CLASS_MIN_LOG + CLASSES - 1), "a chunk holds the largest block");

struct head {
    size_t size; /* of the block, head included */
    struct head *next; /* of a free one; it lies in the head, so that it survives the wipe */
};
_Static_assert(sizeof(struct head) == HEAD_BYTES, "blocks are aligned as malloc's");

static pthread_mutex_t hidden_lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static struct head *unused[CLASSES];
static uint8_t *chunk;
static size_t chunk_left;

static void *pages_new(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    (void)madvise(p, len, MADV_DONTDUMP);
    (void)mlock(p, len); /* a small limit is for struct secret to warn of */
    return p;
}

static unsigned class_of(size_t size)
{
    unsigned c = 0;
    while (((size_t)1 << (c + CLASS_MIN_LOG)) < size)
        c++;
    return c;
}

static struct head *block_take(unsigned c)
{
    size_t size = (size_t)1 << (c + CLASS_MIN_LOG);
    LOCK_SCOPE(&hidden_lock);
    struct head *h = unused[c];
    if (h) {
        unused[c] = h->next;
        return h;
    }
    if (chunk_left < size) { /* what is left of the earlier one stays unused */
        chunk = pages_new(CHUNK_BYTES);
        chunk_left = chunk ? CHUNK_BYTES : 0;
    }
    if (chunk_left < size)
        return NULL;
    h = (struct head *)(void *)chunk;
    chunk += size;
    chunk_left -= size;
    h->size = size;
    return h;
}

static void *hidden_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    size_t size;
    if (!len || __builtin_add_overflow(len, (size_t)HEAD_BYTES, &size))
        return NULL;
    unsigned c = class_of(size < CHUNK_BYTES ? size : CHUNK_BYTES);
    struct head *h = c < CLASSES ? block_take(c) : pages_new(size);
    if (!h)
        return NULL;
    if (c >= CLASSES)
        h->size = size;
    h->next = NULL;
    return (uint8_t *)h + HEAD_BYTES;
}

static void hidden_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    if (!p)
        return;
    struct head *h = (struct head *)(void *)((uint8_t *)p - HEAD_BYTES);
    OPENSSL_cleanse(p, h->size - HEAD_BYTES);
    unsigned c = class_of(h->size < CHUNK_BYTES ? h->size : CHUNK_BYTES);
    if (c >= CLASSES) {
        munmap(h, h->size);
        return;
    }
    LOCK_SCOPE(&hidden_lock);
    h->next = unused[c];
    unused[c] = h;
}

static void *hidden_realloc(void *p, size_t len, const char *file, int line)
{
    if (!p)
        return hidden_malloc(len, file, line);
    if (!len) {
        hidden_free(p, file, line);
        return NULL;
    }
    size_t had = ((struct head *)(void *)((uint8_t *)p - HEAD_BYTES))->size - HEAD_BYTES;
    if (len <= had)
        return p;
    void *grown = hidden_malloc(len, file, line);
    if (!grown)
        return NULL;
    memcpy(grown, p, had);
    hidden_free(p, file, line);
    return grown;
}

bool hidden_memory_begin(void)
{
    return CRYPTO_set_mem_functions(hidden_malloc, hidden_realloc, hidden_free) == 1;
}
