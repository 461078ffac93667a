/* SPDX-License-Identifier: GPL-3.0-or-later
 * Worker threads; see workers.h. */
#include "s3/workers.h"
#include "util/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job *first, **end; /* those that wait, in order */
    unsigned idle, waiting, count, most;
    bool stop;
    pthread_t *threads;
};

static void *work(void *arg)
{
    struct workers *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->first && !w->stop) {
            w->idle++;
            pthread_cond_wait(&w->wake, &w->lock);
            w->idle--;
        }
        struct job *job = w->first;
        if (!job)
            break;
        w->first = job->next;
        if (!w->first)
            w->end = &w->first;
        w->waiting--;
        pthread_mutex_unlock(&w->lock);
        job->run(job);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

int workers_new(unsigned most, struct workers **ret)
{
    struct workers *w = calloc(1, sizeof *w);
    if (!w || !(w->threads = calloc(most, sizeof *w->threads))) {
        free(w);
        return -ENOMEM;
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    w->end = &w->first;
    w->most = most;
    *ret = w;
    return 0;
}

/* Signals are the process's business, not a worker's. */
static void spawn(struct workers *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&w->threads[w->count], NULL, work, w) == 0)
        w->count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool workers_submit(struct workers *w, struct job *job)
{
    {
        LOCK_SCOPE(&w->lock);
        if (w->stop)
            return false;
        if (w->idle <= w->waiting && w->count < w->most)
            spawn(w);
        if (w->count) {
            job->next = NULL;
            *w->end = job;
            w->end = &job->next;
            w->waiting++;
            pthread_cond_signal(&w->wake);
            return true;
        }
    }
    job->run(job); /* no thread can be had */
    return true;
}

void workers_stop(struct workers *w)
{
    if (!w)
        return;
    {
        LOCK_SCOPE(&w->lock);
        w->stop = true;
        pthread_cond_broadcast(&w->wake);
    }
    for (unsigned n = 0; n < w->count; n++)
        pthread_join(w->threads[n], NULL);
    w->count = 0;
}

void workers_free(struct workers *w)
{
    if (!w)
        return;
    workers_stop(w);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w->threads);
    free(w);
}
