/* SPDX-License-Identifier: GPL-3.0-or-later
 * Closing connections that take too long over a head; see reaper.h. Shutting the socket down wakes libmicrohttpd, which closes it. */
#include "s3/reaper.h"
#include "util/cleanup.h"
#include "util/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { HEAD_S = 30, IDLE_S = 75 };

struct watched {
    struct watched *prev, *next;
    int fd;
    int64_t due_ns; /* monotonic; 0: a request is being served */
};

struct reaper {
    pthread_mutex_t lock; /* the list */
    pthread_cond_t wake;
    pthread_t thread;
    struct watched *first;
    bool stop;
    void (*tick)(void *arg);
    void *arg;
};

static void close_late(struct reaper *r)
{
    int64_t now = clock_mono_ns();
    for (struct watched *w = r->first; w; w = w->next) {
        if (!w->due_ns || w->due_ns > now)
            continue;
        shutdown(w->fd, SHUT_RDWR);
        w->due_ns = 0;
    }
}

static void *run(void *arg)
{
    struct reaper *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        pthread_cond_clockwait(&r->wake, &r->lock, CLOCK_MONOTONIC, &until);
        close_late(r);
        bool stop = r->stop;
        pthread_mutex_unlock(&r->lock);
        if (!stop && r->tick)
            r->tick(r->arg);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

int reaper_start(void (*tick)(void *arg), void *arg, struct reaper **ret)
{
    struct reaper *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    r->tick = tick;
    r->arg = arg;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&r->thread, NULL, run, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        free(r);
        return -error;
    }
    *ret = r;
    return 0;
}

void reaper_stop(struct reaper *r)
{
    if (!r)
        return;
    {
        LOCK_SCOPE(&r->lock);
        r->stop = true;
        pthread_cond_signal(&r->wake);
    }
    pthread_join(r->thread, NULL);
    while (r->first)
        reaper_remove(r, r->first);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static void due_in(struct reaper *r, struct watched *w, int64_t seconds)
{
    if (!w)
        return;
    LOCK_SCOPE(&r->lock);
    w->due_ns = seconds ? clock_mono_ns() + seconds * 1000000000 : 0;
}

struct watched *reaper_add(struct reaper *r, int fd)
{
    struct watched *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->fd = fd;
    due_in(r, w, HEAD_S);
    LOCK_SCOPE(&r->lock);
    w->next = r->first;
    if (r->first)
        r->first->prev = w;
    r->first = w;
    return w;
}

void reaper_remove(struct reaper *r, struct watched *w)
{
    if (!w)
        return;
    {
        LOCK_SCOPE(&r->lock);
        if (w->prev)
            w->prev->next = w->next;
        else
            r->first = w->next;
        if (w->next)
            w->next->prev = w->prev;
    }
    free(w);
}

void reaper_busy(struct reaper *r, struct watched *w)
{
    due_in(r, w, 0);
}

/* It may be silent for as long as an idle one is kept, and then take its time over a head. */
void reaper_idle(struct reaper *r, struct watched *w)
{
    due_in(r, w, IDLE_S + HEAD_S);
}
