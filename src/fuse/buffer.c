/* SPDX-License-Identifier: GPL-3.0-or-later
 * Per-thread answer buffers; see buffer.h. */
#include "fuse/buffer.h"
#include "fuse/front.h"

#include <stdlib.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void buffer_init(void)
{
    if (pthread_key_create(&key, free) != 0)
        abort();
}

char *buffer_of_thread(void)
{
    static _Thread_local char *buffer;
    if (buffer)
        return buffer;
    pthread_once(&once, buffer_init);
    void *made;
    if (posix_memalign(&made, 4096, FRONT_REQUEST_BYTES) != 0)
        return NULL;
    if (pthread_setspecific(key, made) != 0) {
        free(made);
        return NULL;
    }
    return buffer = made;
}
