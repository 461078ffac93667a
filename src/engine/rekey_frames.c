/* SPDX-License-Identifier: GPL-3.0-or-later
 * Frames sealed anew under other data keys, with the numbers they have, and the memory of it by which sharing stays (rekey.h). */
#include "engine/rekey.h"

static const uint64_t rekey_new = UINT64_MAX;

/* ---- what is remembered ---- */

enum { MEMORY_SLOTS = 2 * REKEY_REMEMBERED };

static struct memory_entry *memory_slot(struct memory *m, uint64_t a, uint64_t b)
{
    uint64_t h = (a * 0x9e3779b97f4a7c15u) ^ (b * 0xc2b2ae3d27d4eb4fu);
    h ^= h >> 29;
    size_t at = (size_t)h % MEMORY_SLOTS;
    while (m->v[at].segment && (m->v[at].a != a || m->v[at].b != b))
        at = (at + 1) % MEMORY_SLOTS;
    return &m->v[at];
}

static const struct memory_entry *memory_find(struct memory *m, uint64_t a, uint64_t b)
{
    const struct memory_entry *e = memory_slot(m, a, b);
    return e->segment ? e : NULL;
}

static void memory_put(struct memory *m, const struct memory_entry *e)
{
    struct memory_entry *slot = memory_slot(m, e->a, e->b);
    m->count += !slot->segment;
    *slot = *e;
}

static void id_halves(const uint8_t id[16], uint64_t *a, uint64_t *b)
{
    memcpy(a, id, 8);
    memcpy(b, id + 8, 8);
}

int rekey_memory_start(struct rekey *k)
{
    k->frames.v = calloc(MEMORY_SLOTS, sizeof *k->frames.v);
    k->keys.v = calloc(MEMORY_SLOTS, sizeof *k->keys.v);
    k->sealed = malloc(frame_bound(FRAME_PLAIN_MAX_BYTES));
    k->plain = malloc(FRAME_PLAIN_MAX_BYTES);
    return k->frames.v && k->keys.v && k->sealed && k->plain ? 0 : -ENOMEM;
}

void rekey_forget_when_full(struct rekey *k)
{
    if (k->frames.count < REKEY_REMEMBERED && k->keys.count < REKEY_REMEMBERED)
        return;
    memset(k->frames.v, 0, MEMORY_SLOTS * sizeof *k->frames.v);
    memset(k->keys.v, 0, MEMORY_SLOTS * sizeof *k->keys.v);
    k->frames.count = k->keys.count = k->dek_count = 0;
    k->forgot = true;
}

/* ---- keys ---- */

static bool dek_is_old(struct rekey *k, const struct extmap_dek *dek, bool walking)
{
    uint64_t a, b;
    id_halves(dek->id, &a, &b);
    const struct memory_entry *e = memory_find(&k->keys, a, b);
    return e ? e->place != rekey_new : walking || k->forgot;
}

static void key_remember(struct rekey *k, const uint8_t id[16], uint64_t what)
{
    struct memory_entry e = {.place = what, .segment = 1};
    id_halves(id, &e.a, &e.b);
    memory_put(&k->keys, &e);
}

/* The key that takes an earlier one's place: found or made. */
static int dek_replace(struct rekey *k, const struct bucket *b, const struct envelope *env, const struct extmap_dek *old, struct extmap_dek *ret)
{
    uint64_t high, low;
    id_halves(old->id, &high, &low);
    const struct memory_entry *known = memory_find(&k->keys, high, low);
    if (known) {
        *ret = k->deks[known->place];
        return keyring_dek_move(k->e, b, env, ret); /* the version that shares it may be under another KEK */
    }
    if (k->dek_count == k->dek_cap) {
        size_t cap = k->dek_cap ? 2 * k->dek_cap : 256;
        struct extmap_dek *grown = realloc(k->deks, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        k->deks = grown;
        k->dek_cap = cap;
    }
    struct content_key *key = NULL;
    int r = keyring_dek_new(k->e, b, env, ret, &key);
    content_key_unref(key);
    if (r < 0)
        return r;
    k->deks[k->dek_count] = *ret;
    key_remember(k, old->id, k->dek_count++);
    key_remember(k, ret->id, rekey_new);
    return 0;
}

/* ---- frames ---- */

/* One version's way from the old map to the new. */
struct passage {
    struct rekey *k;
    const struct content *from;
    struct extmap *to;
    struct content_key **keys; /* by data key of `from`: the new one, opened when first needed */
    uint32_t *index;           /* and its index in `to` */
};

static int passage_keys(struct passage *p, const struct bucket *b)
{
    const struct extmap *map = p->from->map;
    p->keys = calloc(map->dek_count + 1, sizeof *p->keys);
    p->index = calloc(map->dek_count + 1, sizeof *p->index);
    if (!p->keys || !p->index)
        return -ENOMEM;
    for (size_t i = 0; i < map->dek_count; i++) {
        struct extmap_dek dek;
        int r = dek_replace(p->k, b, p->from->env, &map->deks[i], &dek);
        if (r == 0)
            r = keyring_dek_open(p->k->e, b, &dek, &p->keys[i]);
        int index = r == 0 ? extmap_dek_index(p->to, &dek) : r;
        if (index < 0)
            return index;
        p->index[i] = (uint32_t)index;
    }
    return 0;
}

static void passage_done(struct passage *p)
{
    for (size_t i = 0; p->keys && i < p->from->map->dek_count; i++)
        content_key_unref(p->keys[i]);
    free(p->keys);
    free(p->index);
    extmap_unref(p->to);
}

static int frame_read(struct passage *p, const struct extent *x)
{
    struct rekey *k = p->k;
    size_t size = (size_t)x->cipher_bytes + FRAME_OVERHEAD_BYTES;
    const struct bytes *inlined = &p->from->map->inline_data;
    if (x->segment)
        return k->e->block_ops->read(k->e->b, (struct block_place){x->segment, x->place_bytes}, k->sealed, size);
    if (x->place_bytes + size > inlined->len)
        return -EIO;
    memcpy(k->sealed, inlined->data + x->place_bytes, size);
    return 0;
}

/* Seals the frame of a one-frame extent anew; *x says where it is afterwards. */
static int frame_renew(struct passage *p, struct extent *x)
{
    struct rekey *k = p->k;
    struct frame_header h;
    const struct frame_expect expect = {x->number, x->plain_bytes, x->cipher_bytes};
    size_t size = (size_t)x->cipher_bytes + FRAME_OVERHEAD_BYTES;
    int r = frame_read(p, x);
    if (r == 0)
        r = frame_header_read(k->sealed, size, &h);
    if (r == 0)
        r = frame_open(content_key_frame(p->from->keys[x->dek]), &expect, k->sealed, size, k->plain);
    if (r < 0)
        return r == -ENOMEM ? r : -EIO;
    int64_t n = frame_seal(content_key_frame(p->keys[x->dek]), x->number, (enum frame_compression)h.compression, k->plain,
                           x->plain_bytes, k->sealed);
    if (n < 0)
        return (int)n;
    x->cipher_bytes = x->last_cipher_bytes = (uint32_t)n - FRAME_OVERHEAD_BYTES;
    k->bytes += (uint64_t)n;
    if (!x->segment) {
        x->place_bytes = p->to->inline_data.len;
        bytes_put(&p->to->inline_data, k->sealed, (size_t)n);
        return p->to->inline_data.failed ? -ENOMEM : 0;
    }
    struct block_place to;
    r = k->e->block_ops->append(k->e->b, k->sealed, (size_t)n, &to);
    if (r < 0)
        return r;
    memory_put(&k->frames, &(struct memory_entry){x->segment, x->place_bytes, to.offset_bytes, to.segment, x->cipher_bytes});
    x->segment = to.segment;
    x->place_bytes = to.offset_bytes;
    return 0;
}

/* Is the frame still where it is remembered? Collection may have taken its segment, where the version it was sealed for went. */
static bool place_holds(struct rekey *k, const struct memory_entry *m, uint64_t number)
{
    uint8_t head[FRAME_HEADER_BYTES];
    struct frame_header h;
    if (!k->collected)
        return true;
    return k->e->block_ops->read(k->e->b, (struct block_place){m->segment, m->place}, head, sizeof head) == 0 &&
           frame_header_read(head, sizeof head, &h) == 0 && h.number == number && h.cipher_bytes == m->cipher_bytes;
}

static int frame_pass(struct passage *p, const struct extent *run, uint32_t f)
{
    struct extent x = extent_part(run, f, f + 1);
    const struct memory_entry *known = x.segment ? memory_find(&p->k->frames, x.segment, x.place_bytes) : NULL;
    int r = 0;
    if (known && place_holds(p->k, known, x.number)) {
        p->k->shared_bytes += extent_stored_bytes(&x);
        x.cipher_bytes = x.last_cipher_bytes = known->cipher_bytes;
        x.segment = known->segment;
        x.place_bytes = known->place;
    } else {
        r = frame_renew(p, &x);
    }
    x.dek = p->index[x.dek];
    return r < 0 ? r : extmap_put(p->to, &x);
}

static int frames_pass(struct passage *p)
{
    struct rekey *k = p->k;
    const struct extent *x;
    int r = 0;
    for (struct extmap_cursor at = {0}; r == 0 && (x = extmap_next(p->from->map, &at));) {
        for (uint32_t f = 0; r == 0 && f < x->frames; f++) {
            r = frame_pass(p, x, f);
            if (r == 0 && f % 64 == 0)
                r = upkeep_tell(k->progress, "rekeying", k->versions, k->total);
        }
    }
    return r;
}

bool rekey_map_old(struct rekey *k, const struct extmap *map, bool walking)
{
    bool needs = false;
    for (size_t i = 0; map && i < map->dek_count; i++)
        needs |= dek_is_old(k, &map->deks[i], walking);
    return needs;
}

int rekey_content(struct rekey *k, const struct bucket *b, const struct content *from, struct extmap **ret)
{
    CLEANUP(passage_done) struct passage p = {.k = k, .from = from, .to = extmap_new()};
    int r = p.to ? extmap_resize(p.to, from->map->size_bytes) : -ENOMEM;
    if (r == 0)
        r = passage_keys(&p, b);
    if (r == 0)
        r = frames_pass(&p);
    if (r == 0)
        *ret = extmap_ref(p.to);
    return r;
}
