/* SPDX-License-Identifier: GPL-3.0-or-later
 * Descriptors for reading segments; see local_fds.h. Opening and closing happen outside the lock. */
#include "block/local_fds.h"

#include "block/local_dir.h"
#include "util/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

struct local_slot {
    int fd; /* -1: free */
    uint32_t holders;
    bool gone;
    uint64_t used; /* tick of the last use */
};

struct local_fds {
    int dir_fd;
    pthread_mutex_t lock;                /* guards all below */
    uint32_t segments[LOCAL_FDS_COUNT]; /* apart from the slots, so that a look-up reads four cache lines; 0: none */
    struct local_slot slots[LOCAL_FDS_COUNT];
    uint64_t tick;
};

struct local_fds *local_fds_new(int dir_fd)
{
    struct local_fds *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->dir_fd = dir_fd;
    pthread_mutex_init(&c->lock, NULL);
    for (int i = 0; i < LOCAL_FDS_COUNT; i++)
        c->slots[i].fd = -1;
    return c;
}

void local_fds_free(struct local_fds *c)
{
    if (!c)
        return;
    for (int i = 0; i < LOCAL_FDS_COUNT; i++) {
        assert(c->slots[i].holders == 0);
        if (c->slots[i].fd >= 0)
            close(c->slots[i].fd);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static int fds_find(const struct local_fds *c, uint32_t segment)
{
    for (int i = 0; i < LOCAL_FDS_COUNT; i++) {
        if (c->segments[i] == segment)
            return i;
    }
    return -1;
}

static bool fds_hold(struct local_fds *c, int slot, struct local_fd *ret)
{
    if (slot < 0)
        return false;
    c->slots[slot].holders++;
    c->slots[slot].used = ++c->tick;
    *ret = (struct local_fd){c->slots[slot].fd, slot};
    return true;
}

/* A slot to reuse: a free one, else the longest unused; -1 when all are held. */
static int fds_victim(const struct local_fds *c)
{
    int best = -1;
    for (int i = 0; i < LOCAL_FDS_COUNT; i++) {
        const struct local_slot *s = &c->slots[i];
        if (s->fd < 0)
            return i;
        if (!s->holders && (best < 0 || s->used < c->slots[best].used))
            best = i;
    }
    return best;
}

/* Gives a freshly opened descriptor a slot; returns the one to close, or -1. */
static int fds_adopt(struct local_fds *c, uint32_t segment, int fd, struct local_fd *ret)
{
    LOCK_SCOPE(&c->lock);
    if (fds_hold(c, fds_find(c, segment), ret))
        return fd; /* another thread was faster */
    int slot = fds_victim(c);
    if (slot < 0) {
        *ret = (struct local_fd){fd, -1};
        return -1;
    }
    int old = c->slots[slot].fd;
    c->slots[slot] = (struct local_slot){.fd = fd};
    c->segments[slot] = segment;
    fds_hold(c, slot, ret);
    return old;
}

int local_fds_get(struct local_fds *c, uint32_t segment, struct local_fd *ret)
{
    assert(segment != 0);
    {
        LOCK_SCOPE(&c->lock);
        if (fds_hold(c, fds_find(c, segment), ret))
            return 0;
    }
    char name[LOCAL_NAME_BYTES];
    local_name(segment, name);
    int fd = openat(c->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int surplus = fds_adopt(c, segment, fd, ret);
    if (surplus >= 0)
        close(surplus);
    return 0;
}

void local_fds_put(struct local_fds *c, struct local_fd held)
{
    int surplus = held.slot < 0 ? held.fd : -1;
    if (held.slot >= 0) {
        LOCK_SCOPE(&c->lock);
        struct local_slot *s = &c->slots[held.slot];
        assert(s->holders > 0);
        if (--s->holders == 0 && s->gone) {
            surplus = s->fd;
            *s = (struct local_slot){.fd = -1};
        }
    }
    if (surplus >= 0)
        close(surplus);
}

void local_fds_forget(struct local_fds *c, uint32_t segment)
{
    int surplus = -1;
    {
        LOCK_SCOPE(&c->lock);
        int slot = fds_find(c, segment);
        if (slot < 0)
            return;
        c->segments[slot] = 0;
        if (c->slots[slot].holders) {
            c->slots[slot].gone = true;
        } else {
            surplus = c->slots[slot].fd;
            c->slots[slot] = (struct local_slot){.fd = -1};
        }
    }
    if (surplus >= 0)
        close(surplus);
}
