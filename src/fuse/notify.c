/* SPDX-License-Identifier: GPL-3.0-or-later
 * The notify threads and their queues; see notify.h. */
#include "fuse/front.h"
#include "fuse/loop.h"
#include "fuse/notify.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One who waits for the pages of an inode; shared by him and the item, freed by whoever leaves last. */
struct waiter {
    bool done, abandoned;
    int result;
};

struct item {
    struct item *next;
    struct waiter *waiter; /* or NULL */
    uint64_t ino;          /* 0: nothing to send, somebody waits for what stands before */
    size_t name_len;       /* 0: the inode itself */
    char name[];
};

struct lane {
    pthread_mutex_t lock;
    pthread_cond_t changed;     /* items, waiters done and gone, stopping, ended */
    struct item *first, **last; /* lock */
    unsigned waiting;           /* lock: callers of notify_write_back */
    bool stopping, ended;       /* lock */
    pthread_t thread;
    struct fuse_front *front;
};

struct notify {
    struct lane names, inodes;
};

enum {
    WAITING_MAX = FRONT_THREADS_MAX / 2,
    LEAVE_SECONDS = 2, /* only a mount that is no root's and still in use is not cut by then */
};

static int item_send(struct fuse_front *f, const struct item *item)
{
    if (!item->ino)
        return 0;
    fuse_ino_t node = front_node(f, item->ino);
    int err = item->name_len ? fuse_lowlevel_notify_inval_entry(f->session, node, item->name, item->name_len)
                             : fuse_lowlevel_notify_inval_inode(f->session, node, 0, 0);
    log_debug("fuse", "notify node=%llx name=%.*s: %d", (unsigned long long)node, (int)item->name_len,
              item->name, err);
    return err == -ENOENT ? 0 : err; /* the kernel does not know it: nothing to forget */
}

/* Lane's lock held. */
static void waiter_finish(struct lane *lane, struct waiter *w, int result)
{
    if (!w)
        return;
    if (w->abandoned) {
        free(w);
        return;
    }
    w->result = result;
    w->done = true;
    pthread_cond_broadcast(&lane->changed);
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    pthread_mutex_lock(&lane->lock);
    for (;;) {
        while (!lane->first && !lane->stopping)
            pthread_cond_wait(&lane->changed, &lane->lock);
        struct item *item = lane->first;
        if (!item)
            break;
        lane->first = item->next;
        if (!lane->first)
            lane->last = &lane->first;
        bool skip = lane->stopping;
        pthread_mutex_unlock(&lane->lock);
        int err = skip ? -ECANCELED : item_send(lane->front, item);
        pthread_mutex_lock(&lane->lock);
        waiter_finish(lane, item->waiter, err);
        free(item);
    }
    lane->ended = true;
    pthread_cond_broadcast(&lane->changed);
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

static int lane_start(struct lane *lane, struct fuse_front *front)
{
    lane->front = front;
    lane->last = &lane->first;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_condattr_t by_clock;
    pthread_condattr_init(&by_clock);
    pthread_condattr_setclock(&by_clock, CLOCK_MONOTONIC);
    pthread_cond_init(&lane->changed, &by_clock);
    pthread_condattr_destroy(&by_clock);
    /* Signals are for the thread that loops. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&lane->thread, NULL, lane_main, lane);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -err;
}

static void lane_stop(struct lane *lane)
{
    LOCK_SCOPE(&lane->lock);
    lane->stopping = true;
    pthread_cond_broadcast(&lane->changed);
}

/* False when it still waits for the kernel then. */
static bool lane_join(struct lane *lane, const struct timespec *until)
{
    pthread_mutex_lock(&lane->lock);
    int err = 0;
    while (!lane->ended && !err)
        err = pthread_cond_timedwait(&lane->changed, &lane->lock, until);
    bool ended = lane->ended;
    while (ended && lane->waiting) /* those that lane_stop() woke are on their way out */
        pthread_cond_wait(&lane->changed, &lane->lock);
    pthread_mutex_unlock(&lane->lock);
    if (!ended)
        return false;
    pthread_join(lane->thread, NULL);
    pthread_cond_destroy(&lane->changed);
    pthread_mutex_destroy(&lane->lock);
    return true;
}

static struct timespec until_in_seconds(time_t seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    now.tv_sec += seconds;
    return now;
}

/* False when the item was not queued (and is freed). Lane's lock held. */
static bool lane_put(struct lane *lane, struct item *item)
{
    if (lane->stopping) {
        free(item);
        return false;
    }
    *lane->last = item;
    lane->last = &item->next;
    pthread_cond_broadcast(&lane->changed);
    return true;
}

static struct item *item_new(uint64_t ino, const char *name, size_t len, struct waiter *waiter)
{
    struct item *item = malloc(sizeof *item + len + 1);
    if (!item)
        return NULL;
    item->next = NULL;
    item->waiter = waiter;
    item->ino = ino;
    item->name_len = len;
    if (len)
        memcpy(item->name, name, len);
    item->name[len] = '\0';
    return item;
}

static void lane_post(struct lane *lane, uint64_t ino, const char *name, size_t len)
{
    struct item *item = item_new(ino, name, len, NULL);
    if (!item) {
        log_error("out of memory: the kernel may show an old state of inode %llu", (unsigned long long)ino);
        return;
    }
    LOCK_SCOPE(&lane->lock);
    lane_put(lane, item);
}

void notify_inode(struct notify *n, uint64_t ino)
{
    lane_post(&n->inodes, ino, NULL, 0);
}

void notify_entry(struct notify *n, uint64_t dir, const char *name, size_t len)
{
    assert(len > 0);
    lane_post(&n->names, dir, name, len);
    /* The kernel forgets a cached listing by itself only where it knows the name. */
    lane_post(&n->inodes, dir, NULL, 0);
}

/* Lane's lock held. */
static int lane_wait(struct lane *lane, struct waiter *w)
{
    lane->waiting++;
    while (!w->done && !lane->stopping)
        pthread_cond_wait(&lane->changed, &lane->lock);
    lane->waiting--;
    if (lane->stopping)
        pthread_cond_broadcast(&lane->changed);
    if (w->done) {
        int result = w->result;
        free(w);
        return result;
    }
    w->abandoned = true; /* its item is still under way and frees it */
    return -ECANCELED;
}

static int lane_send_and_wait(struct lane *lane, uint64_t ino)
{
    struct waiter *w = calloc(1, sizeof *w);
    struct item *item = w ? item_new(ino, NULL, 0, w) : NULL;
    if (!item) {
        free(w);
        return -ENOMEM;
    }
    loop_let_others_lead();
    LOCK_SCOPE(&lane->lock);
    if (lane->waiting >= WAITING_MAX) {
        free(item);
        free(w);
        return -EBUSY;
    }
    if (!lane_put(lane, item)) {
        free(w);
        return -ECANCELED;
    }
    return lane_wait(lane, w);
}

void notify_settle(struct notify *n)
{
    lane_send_and_wait(&n->names, 0);
    lane_send_and_wait(&n->inodes, 0);
}

int notify_write_back(struct notify *n, uint64_t ino)
{
    return lane_send_and_wait(&n->inodes, ino);
}

int notify_new(struct fuse_front *front, struct notify **ret)
{
    struct notify *n = calloc(1, sizeof *n);
    if (!n)
        return -ENOMEM;
    int err = lane_start(&n->names, front);
    if (err) {
        free(n);
        return err;
    }
    err = lane_start(&n->inodes, front);
    if (err) {
        lane_stop(&n->names);
        struct timespec until = until_in_seconds(LEAVE_SECONDS);
        lane_join(&n->names, &until);
        free(n);
        return err;
    }
    *ret = n;
    return 0;
}

void notify_stop(struct notify *n)
{
    lane_stop(&n->names);
    lane_stop(&n->inodes);
}

void notify_free(struct notify *n)
{
    if (!n)
        return;
    notify_stop(n);
    struct timespec until = until_in_seconds(LEAVE_SECONDS);
    bool names = lane_join(&n->names, &until), inodes = lane_join(&n->inodes, &until);
    if (names && inodes)
        free(n);
    else
        log_warning("the kernel has not answered a notification; going on without");
}
