/* SPDX-License-Identifier: GPL-3.0-or-later
 * Recovery at opening (E7): versions newer than the durable point whose frames did not arrive are rolled back whole, to the newest
 * sound content that they took the place of. All under engine.meta. */
#include "engine/draft.h"

struct suspects {
    struct version *items;
    size_t count, cap;
};

static int suspects_row(void *arg, const struct version_row *row)
{
    struct suspects *s = arg;
    if (row->flags & VERSION_MARKER)
        return 0;
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct version *items = realloc(s->items, cap * sizeof *items);
        if (!items)
            return -ENOMEM;
        s->items = items;
        s->cap = cap;
    }
    int r = version_decode(row, &s->items[s->count]);
    if (r == 0)
        s->count++;
    return r;
}

static bool version_sound(struct engine *e, const struct version *v)
{
    struct bucket *b = bucket_by_number(e, v->bucket);
    if (v->seq <= e->durable_seq || !v->record.map || !b)
        return true;
    struct content *content;
    if (content_new_lax(e, b, v->record.map, &content) < 0)
        return false;
    struct content_fault fault;
    bool sound = content_verify(e->pipe, content->map, content->keys, &fault) == 0;
    content_unref(content);
    return sound;
}

/* Shows the newest sound content that v replaced, if there is any; what is not sound goes. */
static int show_behind(struct engine *e, struct caller *c, const struct version *v)
{
    for (;;) {
        struct version behind;
        int r = version_behind(e, v, &behind);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        bool sound = version_sound(e, &behind);
        if (sound) {
            behind.flags &= ~(uint32_t)VERSION_REPLACED;
            r = version_store(e, &behind);
        } else {
            r = version_remove(e, c, &behind, REMOVE_REPLACED);
        }
        version_done(&behind);
        if (r < 0 || sound)
            return r;
    }
}

static int roll_back(struct engine *e, struct caller *c, struct version *v)
{
    struct bucket *b = bucket_by_number(e, v->bucket);
    struct span key = span_of(v->key, v->key_len);
    char id[33];
    version_id_text(v, id);
    if (lock_in_force(e, v)) { /* E3: stays, damaged as it is; what of it can be read can be read */
        integrity_event(e, "it is locked, and not all of its content is there: kept", b->name, key, id);
        return 0;
    }
    log_warning("recovery: '%s' version %s was not durable when power failed; rolled back to what was there before",
                engine_show(b, key), id);
    int r = show_behind(e, c, v);
    return r < 0 ? r : version_remove(e, c, v, REMOVE_ROLLED_BACK);
}

static int recover_versions(struct engine *e, struct caller *c)
{
    struct suspects s = {0};
    int r = e->meta_ops->version_scan_since(e->m, e->durable_seq, suspects_row, &s);
    uint64_t newest = e->durable_seq;
    for (size_t n = 0; n < s.count; n++) {
        if (s.items[n].seq > newest)
            newest = s.items[n].seq;
    }
    if (newest >= e->next_seq)
        e->next_seq = newest + 1;
    for (size_t n = 0; r == 0 && n < s.count; n++) {
        struct version *v = &s.items[n];
        bool part = v->flags & VERSION_UPLOAD; /* of an upload: no 200 was sent for it */
        if (((v->flags & VERSION_REPLACED) && !part) || version_sound(e, v))
            continue;
        r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, part ? version_remove(e, c, v, REMOVE_REPLACED) : roll_back(e, c, v));
    }
    for (size_t n = 0; n < s.count; n++)
        version_done(&s.items[n]);
    free(s.items);
    return r;
}

int recover(struct engine *e, bool clean, struct caller *c)
{
    int r = 0;
    if (!clean) {
        log_notice("the store was not closed cleanly: recovering");
        r = recover_versions(e, c);
    }
    return r < 0 ? r : drafts_recover(e, c);
}
