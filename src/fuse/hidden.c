/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of hidden nodes: ids, uses, forgetting; see hidden.h. One lock, held for a hash look-up and no
 * longer. */
#include "fuse/hidden.h"
#include "util/cleanup.h"
#include "util/xaes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HIDDEN_BIT ((uint64_t)1 << 63)

enum { HIDDEN_IDLE_MAX = 4096 }; /* nodes kept that the kernel has forgotten: 2 MiB */

struct hidden_table {
    pthread_mutex_t lock; /* guards what follows */
    struct hidden_node **by_id, **by_spec;
    size_t slots, count; /* slots: a power of two */
    uint64_t next_id;
    struct hidden_node idle; /* sentinel: forgotten ones, the longest forgotten first */
    size_t idle_count;
    uint32_t generation; /* fixed */
};

static uint64_t hash_mix(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3; /* FNV-1a */
    return h;
}

/* What the numbers of two daemons must agree on: no pointers, no live inode. */
static uint64_t spec_hash(const struct hidden_spec *s)
{
    static const struct hidden_kind *const kinds[] = {&hidden_history_kind, &hidden_version_kind,
                                                      &hidden_menu_kind, &hidden_past_kind,
                                                      &hidden_past_file_kind};
    uint8_t kind = 0;
    while (kinds[kind] != s->kind)
        kind++;
    uint64_t h = hash_mix(0xcbf29ce484222325, &kind, sizeof kind);
    h = hash_mix(h, &s->top, sizeof s->top);
    h = hash_mix(h, &s->bucket, sizeof s->bucket);
    h = hash_mix(h, &s->seq, sizeof s->seq);
    h = hash_mix(h, &s->at.sec, sizeof s->at.sec);
    h = hash_mix(h, &s->at.nsec, sizeof s->at.nsec);
    h = hash_mix(h, s->key.p, s->key.len);
    h ^= h >> 32;
    return h * 0x9e3779b97f4a7c15;
}

uint64_t hidden_spec_ino(const struct hidden_spec *spec)
{
    return spec_hash(spec) | HIDDEN_BIT;
}

static bool spec_same_place(const struct hidden_spec *a, const struct hidden_spec *b)
{
    return a->kind == b->kind && a->top == b->top && a->bucket == b->bucket && a->seq == b->seq &&
           a->at.sec == b->at.sec && a->at.nsec == b->at.nsec && a->key.len == b->key.len &&
           (a->key.len == 0 || memcmp(a->key.p, b->key.p, a->key.len) == 0);
}

static bool spec_same(const struct hidden_spec *a, const struct hidden_spec *b)
{
    if (!spec_same_place(a, b) || a->live_ino != b->live_ino)
        return false;
    return a->kind->type == S_IFDIR ||
           (a->attr.size_bytes == b->attr.size_bytes && a->attr.mtime.sec == b->attr.mtime.sec &&
            a->attr.mtime.nsec == b->attr.mtime.nsec);
}

int hidden_table_new(struct hidden_table **ret)
{
    struct hidden_table *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->slots = 64;
    t->idle.idle_prev = t->idle.idle_next = &t->idle;
    t->by_id = calloc(t->slots, sizeof *t->by_id);
    t->by_spec = calloc(t->slots, sizeof *t->by_spec);
    if (!t->by_id || !t->by_spec) {
        free(t->by_id);
        free(t->by_spec);
        free(t);
        return -ENOMEM;
    }
    pthread_mutex_init(&t->lock, NULL);
    random_bytes(&t->generation, sizeof t->generation);
    *ret = t;
    return 0;
}

void hidden_table_free(struct hidden_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->slots; i++)
        for (struct hidden_node *n = t->by_id[i], *next; n; n = next) {
            next = n->next_by_id;
            free(n);
        }
    pthread_mutex_destroy(&t->lock);
    free(t->by_id);
    free(t->by_spec);
    free(t);
}

/* The following are called with the table's lock held. */

static struct hidden_node **slot_by_id(struct hidden_table *t, uint64_t id)
{
    return &t->by_id[id & (t->slots - 1)];
}

static struct hidden_node **slot_by_spec(struct hidden_table *t, const struct hidden_spec *spec)
{
    return &t->by_spec[spec_hash(spec) & (t->slots - 1)];
}

static void table_link(struct hidden_table *t, struct hidden_node *n)
{
    struct hidden_node **id = slot_by_id(t, n->id), **spec = slot_by_spec(t, &n->spec);
    n->next_by_id = *id;
    *id = n;
    n->next_by_spec = *spec;
    *spec = n;
}

static void table_unlink(struct hidden_table *t, struct hidden_node *n)
{
    struct hidden_node **p = slot_by_id(t, n->id);
    while (*p != n)
        p = &(*p)->next_by_id;
    *p = n->next_by_id;
    p = slot_by_spec(t, &n->spec);
    while (*p != n)
        p = &(*p)->next_by_spec;
    *p = n->next_by_spec;
    t->count--;
}

/* Four times the slots; goes on with the old ones when memory lacks. */
static void table_grow(struct hidden_table *t)
{
    size_t slots = t->slots * 4, old_slots = t->slots;
    struct hidden_node **by_id = calloc(slots, sizeof *by_id), **by_spec = calloc(slots, sizeof *by_spec);
    struct hidden_node **old = t->by_id;
    if (!by_id || !by_spec) {
        free(by_id);
        free(by_spec);
        return;
    }
    free(t->by_spec);
    t->by_id = by_id;
    t->by_spec = by_spec;
    t->slots = slots;
    for (size_t i = 0; i < old_slots; i++)
        for (struct hidden_node *n = old[i], *next; n; n = next) {
            next = n->next_by_id;
            table_link(t, n);
        }
    free(old);
}

static struct hidden_node *table_find_id(struct hidden_table *t, uint64_t id)
{
    struct hidden_node *n = *slot_by_id(t, id);
    while (n && n->id != id)
        n = n->next_by_id;
    return n;
}

static struct hidden_node *node_new(const struct hidden_spec *spec)
{
    size_t path_len = strlen(spec->path);
    struct hidden_node *n = calloc(1, sizeof *n + spec->key.len + 1 + path_len + 1);
    if (!n)
        return NULL;
    uint8_t *key = (uint8_t *)(n + 1);
    char *path = (char *)key + spec->key.len + 1;
    if (spec->key.len)
        memcpy(key, spec->key.p, spec->key.len);
    memcpy(path, spec->path, path_len);
    n->spec = *spec;
    n->spec.key = span_of(key, spec->key.len);
    n->spec.path = path;
    return n;
}

static void idle_remove(struct hidden_table *t, struct hidden_node *n)
{
    if (!n->idle_next)
        return;
    n->idle_prev->idle_next = n->idle_next;
    n->idle_next->idle_prev = n->idle_prev;
    n->idle_prev = n->idle_next = NULL;
    t->idle_count--;
}

static void node_free(struct hidden_table *t, struct hidden_node *n)
{
    idle_remove(t, n);
    table_unlink(t, n);
    free(n);
}

static void node_use(struct hidden_table *t, struct hidden_node *n)
{
    idle_remove(t, n);
    n->uses++;
}

static void node_unused(struct hidden_table *t, struct hidden_node *n)
{
    if (n->uses || n->nlookup)
        return;
    if (n->emptied || n->removed) { /* it would be there longer than it should */
        node_free(t, n);
        return;
    }
    idle_remove(t, n);
    n->idle_prev = t->idle.idle_prev;
    n->idle_next = &t->idle;
    n->idle_prev->idle_next = t->idle.idle_prev = n;
    if (++t->idle_count > HIDDEN_IDLE_MAX)
        node_free(t, t->idle.idle_next);
}

/* Until here. */

struct hidden_node *hidden_intern(struct hidden_table *t, const struct hidden_spec *spec)
{
    LOCK_SCOPE(&t->lock);
    struct hidden_node *n = *slot_by_spec(t, spec);
    while (n && (n->removed || !spec_same(&n->spec, spec)))
        n = n->next_by_spec;
    if (!n) {
        n = node_new(spec);
        if (!n)
            return NULL;
        if (t->count >= t->slots)
            table_grow(t);
        n->id = HIDDEN_BIT | ++t->next_id;
        table_link(t, n);
        t->count++;
    }
    node_use(t, n);
    return n;
}

struct hidden_node *hidden_get(struct hidden_table *t, fuse_ino_t id)
{
    LOCK_SCOPE(&t->lock);
    struct hidden_node *n = table_find_id(t, id);
    if (n)
        node_use(t, n);
    return n;
}

void hidden_put(struct hidden_table *t, struct hidden_node *node)
{
    LOCK_SCOPE(&t->lock);
    assert(node->uses > 0);
    node->uses--;
    node_unused(t, node);
}

void hidden_forget(struct hidden_table *t, fuse_ino_t id, uint64_t nlookup)
{
    LOCK_SCOPE(&t->lock);
    struct hidden_node *n = table_find_id(t, id);
    if (!n)
        return;
    n->nlookup -= nlookup < n->nlookup ? nlookup : n->nlookup;
    node_unused(t, n);
}

struct hidden_node *hidden_find_emptied(struct hidden_table *t, const struct hidden_spec *spec)
{
    LOCK_SCOPE(&t->lock);
    struct hidden_node *n = *slot_by_spec(t, spec);
    while (n && (n->removed || !n->emptied || !spec_same_place(&n->spec, spec)))
        n = n->next_by_spec;
    if (n)
        node_use(t, n);
    return n;
}

void hidden_mark_emptied(struct hidden_table *t, const struct hidden_spec *spec)
{
    LOCK_SCOPE(&t->lock);
    for (struct hidden_node *n = *slot_by_spec(t, spec), *next; n; n = next) {
        next = n->next_by_spec;
        if (!spec_same_place(&n->spec, spec))
            continue;
        n->emptied = true;
        node_unused(t, n);
    }
}

void hidden_mark_removed(struct hidden_table *t, struct hidden_node *node)
{
    LOCK_SCOPE(&t->lock);
    node->removed = true;
}

uint64_t hidden_origin(struct hidden_table *t, fuse_ino_t id)
{
    LOCK_SCOPE(&t->lock);
    struct hidden_node *n = table_find_id(t, id);
    return n ? n->spec.origin : ENGINE_ROOT_INO;
}

void hidden_path(struct hidden_table *t, fuse_ino_t id, struct bytes *out)
{
    LOCK_SCOPE(&t->lock);
    struct hidden_node *n = table_find_id(t, id);
    if (n)
        bytes_put(out, n->spec.path, strlen(n->spec.path));
}

uint64_t hidden_ino(struct hidden_table *t, fuse_ino_t id)
{
    LOCK_SCOPE(&t->lock);
    struct hidden_node *n = table_find_id(t, id);
    return n ? hidden_spec_ino(&n->spec) : id;
}

void hidden_reply(struct call *c, struct hidden_node *node, const struct engine_attr *attr)
{
    struct hidden_table *t = c->front->hidden;
    /* No validity: history grows with every close, and none of it is on a hot path. */
    struct fuse_entry_param entry = {.ino = node->id, .generation = t->generation};
    front_stat(c->front, attr, &entry.attr);
    entry.attr.st_ino = hidden_spec_ino(&node->spec);
    pthread_mutex_lock(&t->lock);
    node->nlookup++;
    pthread_mutex_unlock(&t->lock);
    if (fuse_reply_entry(c->req, &entry) != 0)
        hidden_forget(t, node->id, 1);
    hidden_put(t, node);
}
