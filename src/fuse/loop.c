/* SPDX-License-Identifier: GPL-3.0-or-later
 * The threads that take requests from the kernel: one leads, the others wait; see loop.h.
 *
 * The leader reads a request. A short one it answers itself and reads on; before a long one (data in bulk,
 * syncs) it hands the lead to a waiting thread, and so does a handler before it waits for the kernel, which
 * may need an answer to another request first (loop_let_others_lead). After an answer it looks for the next
 * request for a moment before it sleeps: a program that makes one call after the other then never waits for a
 * thread to wake, which on small calls is most of a round trip (doc/performance.md). */
#include "fuse/loop.h"
#include "util/cleanup.h"
#include "util/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    LOOP_SPIN_NS = 50000, /* longer than a program takes between two calls, shorter than anyone notices */
    LOOP_INLINE_BYTES = 64 << 10 /* data up to here is moved in less time than a thread takes to wake */
};

struct loop_thread {
    struct loop *loop;
    pthread_t id;
    struct loop_thread *below; /* on the stack of those that wait; under loop.lock */
    sem_t lead;                /* posted: you lead */
    struct fuse_buf buf;
    bool leads; /* of the thread itself */
};

static _Thread_local struct loop_thread *current; /* in a thread of a loop */

struct loop {
    struct fuse_session *session;
    pthread_mutex_t lock;
    struct loop_thread *waiting; /* under lock: last in, first out, so that few threads stay warm */
    unsigned waiting_count;      /* under lock */
    unsigned warm;               /* so many of those that wait keep their buffer; fixed */
    bool leaderless;             /* under lock: the next thread that is free leads */
    sem_t ended;                 /* posted by each thread that ends */
    int wake;                    /* eventfd: gets the leader out of its sleep at the end */
    atomic_bool over;
};

static void loop_hand_on(struct loop *l)
{
    LOCK_SCOPE(&l->lock);
    struct loop_thread *next = l->waiting;
    if (!next) {
        l->leaderless = true;
        return;
    }
    l->waiting = next->below;
    l->waiting_count--;
    sem_post(&next->lead);
}

void loop_let_others_lead(void)
{
    if (!current || !current->leads)
        return;
    current->leads = false;
    loop_hand_on(current->loop);
}

/* Waits until it is this thread's turn to lead. */
static void loop_await(struct loop *l, struct loop_thread *t)
{
    {
        LOCK_SCOPE(&l->lock);
        if (l->leaderless || atomic_load(&l->over)) {
            l->leaderless = false;
            return;
        }
        t->below = l->waiting;
        l->waiting = t;
        if (++l->waiting_count > l->warm) { /* deep down it may wait long: its buffer goes back */
            free(t->buf.mem);
            t->buf.mem = NULL;
        }
    }
    while (sem_wait(&t->lead) < 0)
        ;
}

/* At the end: whoever waits leads, finds that it is over, and ends. */
static void loop_wake_all(struct loop *l)
{
    LOCK_SCOPE(&l->lock);
    for (struct loop_thread *t = l->waiting; t; t = t->below)
        sem_post(&t->lead);
    l->waiting = NULL;
    eventfd_write(l->wake, 1);
}

/* May it take long? */
static bool loop_is_long(const struct fuse_buf *buf)
{
    const struct fuse_in_header *in = buf->mem;
    switch (in->opcode) {
    case FUSE_READ:
    case FUSE_WRITE: {
        struct fuse_read_in io; /* the size is at the same place in both */
        _Static_assert(offsetof(struct fuse_read_in, size) == offsetof(struct fuse_write_in, size),
                       "fuse(4)");
        if (in->len < sizeof *in + sizeof io)
            return true;
        memcpy(&io, in + 1, sizeof io);
        return io.size > LOOP_INLINE_BYTES;
    }
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_SYNCFS:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case FUSE_IOCTL:
    case FUSE_INIT:
    case FUSE_DESTROY:
        return true;
    default:
        return false;
    }
}

static void loop_sleep(struct loop *l)
{
    struct pollfd fds[2] = {{.fd = fuse_session_fd(l->session), .events = POLLIN},
                            {.fd = l->wake, .events = POLLIN}};
    poll(fds, 2, -1);
}

/* The next request; 0 at the end. */
static int loop_receive(struct loop *l, struct fuse_buf *buf)
{
    int64_t since = 0;
    while (!atomic_load(&l->over) && !fuse_session_exited(l->session)) {
        int n = fuse_session_receive_buf(l->session, buf);
        if (n > 0 || n == 0)
            return n;
        if (n == -EINTR)
            continue;
        if (n != -EAGAIN)
            return n;
        int64_t now = clock_mono_ns();
        if (!since)
            since = now;
        if (now - since < LOOP_SPIN_NS) {
            sched_yield();
            continue;
        }
        loop_sleep(l);
        since = 0;
    }
    return 0;
}

/* Leads until the lead was handed on and that request answered. False at the end. */
static bool loop_lead(struct loop *l, struct loop_thread *t)
{
    t->leads = true;
    for (;;) {
        if (loop_receive(l, &t->buf) <= 0) {
            atomic_store(&l->over, true);
            fuse_session_exit(l->session);
            return false;
        }
        if (loop_is_long(&t->buf))
            loop_let_others_lead();
        fuse_session_process_buf(l->session, &t->buf);
        if (!t->leads)
            return true;
    }
}

static void *loop_thread(void *arg)
{
    struct loop_thread *t = arg;
    struct loop *l = t->loop;
    current = t;
    do
        loop_await(l, t);
    while (!atomic_load(&l->over) && loop_lead(l, t));
    free(t->buf.mem);
    sem_post(&l->ended);
    return NULL;
}

static int loop_start(struct loop *l, struct loop_thread *threads, unsigned count)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for the thread that waits in loop_run() */
    unsigned made = 0;
    int err = 0;
    while (made < count) {
        threads[made].loop = l;
        sem_init(&threads[made].lead, 0, 0);
        err = pthread_create(&threads[made].id, NULL, loop_thread, &threads[made]);
        if (err)
            break;
        made++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return made ? (int)made : -err;
}

int loop_run(struct fuse_session *session, unsigned count, unsigned warm)
{
    struct loop l = {.session = session, .warm = warm, .leaderless = true, .wake = eventfd(0, EFD_CLOEXEC)};
    struct loop_thread *threads = calloc(count, sizeof *threads);
    if (l.wake < 0 || !threads) {
        free(threads);
        return -ENOMEM;
    }
    int fd = fuse_session_fd(session);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    pthread_mutex_init(&l.lock, NULL);
    sem_init(&l.ended, 0, 0);
    int made = loop_start(&l, threads, count);
    for (int left = made; left > 0;) {
        if (sem_wait(&l.ended) == 0)
            left--;
        if (fuse_session_exited(session) || atomic_load(&l.over)) {
            atomic_store(&l.over, true);
            loop_wake_all(&l);
        }
    }
    for (int n = 0; n < made; n++)
        pthread_join(threads[n].id, NULL);
    sem_destroy(&l.ended);
    pthread_mutex_destroy(&l.lock);
    close(l.wake);
    free(threads);
    return made < 0 ? made : 0;
}
