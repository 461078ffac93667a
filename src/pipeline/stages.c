/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of stages, and chains of them; see stage.h. */
#include "pipeline/stage.h"

#include "util/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern const struct stage stage_zstd;

static const struct stage *const stage_table[] = {
    &stage_zstd,
    NULL,
};

const struct stage *const *stage_all(void)
{
    return stage_table;
}

const struct stage *stage_find(const char *name)
{
    for (const struct stage *const *s = stage_table; *s; s++) {
        if (!strcmp((*s)->name, name))
            return *s;
    }
    return NULL;
}

/* --- chains ----------------------------------------------------------------------------------------------- */

struct stage_link {
    struct stage_next face; /* what the stage above, or the reader, pulls from */
    struct stage_next *below;
    const struct stage *stage;
    void *thread, *self;
    const struct stage_request *request;
};

struct stage_chain {
    struct stage_next *top;
    size_t count; /* links that are open */
    struct stage_link links[];
};

/* Rule 5: what a chain has only if each member has it; one member that waits makes the chain wait. */
static uint32_t stage_caps_over(uint32_t stage, uint32_t below)
{
    const uint32_t each = STAGE_READS | STAGE_WRITES | STAGE_VERDICT | STAGE_RANGE | STAGE_SIZE | STAGE_PURE;
    return (stage & below & each) | ((stage | below) & STAGE_WAITS);
}

static int stage_link_late(const struct stage_link *l)
{
    uint64_t deadline = l->request->deadline_ns;
    return deadline && (uint64_t)clock_mono_ns() > deadline ? -ETIMEDOUT : 0;
}

static ssize_t stage_link_pull(struct stage_next *face, void *buf, size_t len)
{
    struct stage_link *l = face->self;
    int r = stage_link_late(l);
    if (r < 0)
        return r;
    if (l->stage->pull)
        return l->stage->pull(l->self, buf, len);
    /* A verdict stage that only listens. */
    ssize_t n = l->below->pull(l->below, buf, len);
    if (n > 0)
        r = l->stage->push(l->self, buf, (size_t)n);
    return r < 0 ? r : n;
}

static ssize_t stage_link_pull_at(struct stage_next *face, void *buf, size_t len, uint64_t offset)
{
    struct stage_link *l = face->self;
    int r = stage_link_late(l);
    return r < 0 ? r : l->stage->pull_at(l->self, buf, len, offset);
}

static int stage_link_open(struct stage_link *l, const struct stage_chain_item *item,
                           const struct stage_request *request, struct stage_next *below)
{
    const struct stage *s = item->stage;
    *l = (struct stage_link){.below = below, .stage = s, .request = request};
    l->face = (struct stage_next){.meta = below->meta, .self = l, .pull = stage_link_pull};
    int r = s->thread_new ? s->thread_new(item->shared, &l->thread) : 0;
    if (r < 0)
        return r;
    r = s->open(item->shared, l->thread, request, below, &l->face.meta, &l->self);
    if (r < 0) {
        if (s->thread_free)
            s->thread_free(l->thread);
        return r;
    }
    l->face.caps = stage_caps_over(s->caps, below->caps);
    if (l->face.caps & STAGE_RANGE && s->pull_at && below->pull_at)
        l->face.pull_at = stage_link_pull_at;
    return 0;
}

int stage_chain_open(const struct stage_chain_item *items, size_t count, const struct stage_request *request,
                     struct stage_next *source, struct stage_chain **ret)
{
    struct stage_chain *c = calloc(1, sizeof *c + count * sizeof c->links[0]);
    if (!c)
        return -ENOMEM;
    c->top = source;
    for (; c->count < count; c->count++) {
        struct stage_link *l = &c->links[c->count];
        int r = stage_link_open(l, &items[c->count], request, c->top);
        if (r < 0) {
            stage_chain_close(c);
            return r;
        }
        c->top = &l->face;
    }
    *ret = c;
    return 0;
}

struct stage_next *stage_chain_top(struct stage_chain *chain)
{
    return chain->top;
}

int stage_chain_finish(struct stage_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) {
        const struct stage_link *l = &chain->links[i];
        int r = l->stage->finish ? l->stage->finish(l->self) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

void stage_chain_close(struct stage_chain *chain)
{
    if (!chain)
        return;
    while (chain->count) {
        struct stage_link *l = &chain->links[--chain->count];
        l->stage->close(l->self);
        if (l->stage->thread_free)
            l->stage->thread_free(l->thread);
    }
    free(chain);
}
