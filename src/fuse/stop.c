/* SPDX-License-Identifier: GPL-3.0-or-later
 * Ending the loop; see stop.h.
 *
 * Closing /dev/fuse loses the pages that the kernel has not yet written. So, asked to stop, one thread lets
 * the kernel write (syncfs) and unmounts while the loop still serves; the loop then ends by itself. Where the
 * tree is in use, or that takes too long, a second thread ends the loop, and the connection is cut: whoever
 * still waits in the kernel, our notify threads among them, comes back with an error. */
#include "fuse/front.h"
#include "fuse/mountinfo.h"
#include "fuse/stop.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

enum { DRAIN_MS = 5000, SEEN_MS = 200, NUDGE_MS = 20 };

static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP};
enum { SIGNAL_COUNT = sizeof stop_signals / sizeof *stop_signals, SIGNAL_NUDGE = SIGUSR1 };

struct stopper {
    struct fuse_front *front;
    pthread_t loop, watcher, drainer;
    bool draining;
    dev_t dev; /* of the mount; 0: unknown */
    sem_t asked;
    atomic_bool asked_already, ended, drained;
    struct sigaction before[SIGNAL_COUNT], before_nudge;
};

static struct stopper *_Atomic stopper_of_process; /* for the signal handler */

static void on_signal(int signum)
{
    (void)signum;
    int saved = errno;
    struct stopper *s = atomic_load(&stopper_of_process);
    if (s)
        stopper_ask(s);
    errno = saved;
}

static void on_nudge(int signum)
{
    (void)signum; /* only to interrupt the wait of the thread that loops */
}

void stopper_ask(struct stopper *s)
{
    if (!atomic_exchange(&s->asked_already, true))
        sem_post(&s->asked);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void *drain_main(void *arg)
{
    struct stopper *s = arg;
    const char *mountpoint = s->front->mountpoint;
    CLEANUP_FD int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd >= 0 && s->dev && fstat(fd, &st) == 0 && st.st_dev == s->dev) {
        syncfs(fd);
        close(fd);
        fd = -1;
        if (umount2(mountpoint, 0) != 0)
            log_debug("fuse", "%s is in use: %m", mountpoint);
    }
    atomic_store(&s->drained, true);
    return NULL;
}

/* Waits up to so many ms for what is asked; true when it came. */
static bool wait_for(const atomic_bool *flag, const atomic_bool *other, long ms)
{
    for (; ms > 0; ms -= NUDGE_MS) {
        if (atomic_load(flag) || (other && atomic_load(other)))
            return true;
        sleep_ms(NUDGE_MS);
    }
    return false;
}

static void *watch_main(void *arg)
{
    struct stopper *s = arg;
    while (sem_wait(&s->asked) != 0)
        continue;
    if (!atomic_load(&s->ended)) {
        s->draining = pthread_create(&s->drainer, NULL, drain_main, s) == 0;
        if (!wait_for(&s->drained, &s->ended, DRAIN_MS))
            log_warning("%s is still being written to; stopping all the same", s->front->mountpoint);
        wait_for(&s->ended, NULL, SEEN_MS);
    }
    while (!atomic_load(&s->ended)) { /* files are open below it */
        fuse_session_exit(s->front->session);
        pthread_kill(s->loop, SIGNAL_NUDGE);
        sleep_ms(NUDGE_MS);
    }
    return NULL;
}

static void signals_take(struct stopper *s)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        sigaction(stop_signals[i], &act, &s->before[i]);
    act.sa_handler = on_nudge;
    sigaction(SIGNAL_NUDGE, &act, &s->before_nudge);
}

static void signals_give_back(struct stopper *s)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        sigaction(stop_signals[i], &s->before[i], NULL);
    sigaction(SIGNAL_NUDGE, &s->before_nudge, NULL);
}

int stopper_start(struct fuse_front *front, struct stopper **ret)
{
    struct stopper *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->front = front;
    s->loop = pthread_self();
    mountinfo_dev(front->mountpoint, &s->dev);
    sem_init(&s->asked, 0, 0);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&s->watcher, NULL, watch_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err) {
        sem_destroy(&s->asked);
        free(s);
        return -err;
    }
    atomic_store(&stopper_of_process, s);
    signals_take(s);
    *ret = s;
    return 0;
}

void stopper_loop_ended(struct stopper *s)
{
    atomic_store(&s->ended, true);
    stopper_ask(s);
}

void stopper_cut(struct stopper *s)
{
    dev_t dev;
    if (s->dev && mountinfo_dev(s->front->mountpoint, &dev) == 0 && dev == s->dev)
        umount2(s->front->mountpoint, MNT_FORCE | MNT_DETACH); /* not root: fusermount3 does what it may */
}

void stopper_free(struct stopper *s)
{
    if (!s)
        return;
    stopper_loop_ended(s);
    pthread_join(s->watcher, NULL);
    if (s->draining)
        pthread_join(s->drainer, NULL);
    signals_give_back(s);
    atomic_store(&stopper_of_process, NULL);
    sem_destroy(&s->asked);
    free(s);
}
