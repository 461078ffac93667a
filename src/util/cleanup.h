/* SPDX-License-Identifier: GPL-3.0-or-later
 * Scope-bound release of locals: CLEANUP_FREE char *p = ...; LOCK_SCOPE(&mutex); */
#ifndef HOLDFS_UTIL_CLEANUP_H
#define HOLDFS_UTIL_CLEANUP_H

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_unlock(pthread_mutex_t **m)
{
    if (*m)
        pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *cleanup_lock(pthread_mutex_t *m)
{
    pthread_mutex_lock(m);
    return m;
}

#define CLEANUP(fn)  __attribute__((cleanup(fn)))
#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_FD   CLEANUP(cleanup_close)

#define CLEANUP_CAT_(a, b) a##b
#define CLEANUP_CAT(a, b)  CLEANUP_CAT_(a, b)
/* Holds the mutex until the end of the enclosing block. */
#define LOCK_SCOPE(m) \
    CLEANUP(cleanup_unlock) __attribute__((unused)) pthread_mutex_t *CLEANUP_CAT(scope_lock_, __LINE__) = cleanup_lock(m)

#endif
