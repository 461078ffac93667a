/* SPDX-License-Identifier: GPL-3.0-or-later
 * What a key or a tree of them takes on disk (`holdfs du`), and the inside of one object (`holdfs debug
 * object`).
 *
 * Frames that several versions share are counted once within what was asked for: "free to go" is what would
 * be given back if every old version that no lock protects were removed. */
#include "engine/spans.h"
#include "engine/walk.h"

enum { DEBUG_VERSIONS = 1000 };

struct du_class {
    uint64_t versions, logical_bytes, inline_bytes;
    struct spans spans;
};

struct du {
    struct engine *e;
    const struct engine_place *place;
    struct du_class current, old, locked, kept, all; /* kept: current or locked */
    uint64_t markers;
    int64_t locked_until_ms;
    bool legal_hold;
    struct walk_key last;
    bool any;
    int error;
};

static void du_done(struct du *d)
{
    spans_done(&d->current.spans);
    spans_done(&d->old.spans);
    spans_done(&d->locked.spans);
    spans_done(&d->kept.spans);
    spans_done(&d->all.spans);
    free(d);
}

static int du_add(struct du_class *k, const struct record *r)
{
    k->versions++;
    k->logical_bytes += r->size_bytes;
    if (r->map)
        k->inline_bytes += r->map->inline_data.len;
    return spans_add_map(&k->spans, r->map);
}

static int du_version(struct du *d, const struct version *v, bool newest)
{
    bool locked = lock_in_force(d->e, v);
    int r = du_add(newest ? &d->current : &d->old, &v->record);
    if (r == 0)
        r = du_add(&d->all, &v->record);
    if (r == 0 && (newest || locked))
        r = du_add(&d->kept, &v->record);
    if (!locked)
        return r;
    if (v->legal_hold == HOLD_ON)
        d->legal_hold = true;
    if (v->lock_mode && v->lock_until_ms > d->locked_until_ms)
        d->locked_until_ms = v->lock_until_ms;
    return r < 0 ? r : du_add(&d->locked, &v->record);
}

/* The key itself, or one below it: the prefix asked for has no slash, so neighbours come along. */
static bool du_within(const struct du *d, struct span key)
{
    size_t len = d->place->key.len;
    return !len || key.len == len || key.p[len] == '/';
}

static int du_row(void *arg, const struct version_row *row)
{
    struct du *d = arg;
    if ((row->flags & VERSION_REPLACED) || !du_within(d, row->key))
        return 0;
    bool newest = !d->any || d->last.len != row->key.len || memcmp(d->last.p, row->key.p, row->key.len) != 0;
    if (newest) {
        walk_key_set(&d->last, row->key);
        d->any = true;
    }
    if (row->flags & VERSION_MARKER) {
        d->markers++;
        return 0;
    }
    struct version v;
    if (version_decode(row, &v) < 0)
        return 0; /* fsck's matter */
    int r = du_version(d, &v, newest);
    version_done(&v);
    return r;
}

static json_t *du_class_json(struct du_class *k)
{
    return json_pack("{s:I, s:I, s:I}", "versions", (json_int_t)k->versions, "logical_bytes",
                     (json_int_t)k->logical_bytes, "stored_bytes",
                     (json_int_t)(spans_bytes(&k->spans) + k->inline_bytes));
}

static json_t *du_json(struct du *d)
{
    uint64_t all = spans_bytes(&d->all.spans) + d->all.inline_bytes;
    uint64_t kept = spans_bytes(&d->kept.spans) + d->kept.inline_bytes;
    json_t *out = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I}", "current", du_class_json(&d->current), "old",
                            du_class_json(&d->old), "locked", du_class_json(&d->locked), "markers",
                            (json_int_t)d->markers, "stored_bytes", (json_int_t)all, "free_to_go_bytes",
                            (json_int_t)(all - kept));
    if (out && d->locked_until_ms) {
        char until[40];
        timeform_format_ms(d->locked_until_ms, until);
        json_object_set_new(out, "locked_until", json_string(until));
    }
    if (out)
        json_object_set_new(out, "legal_hold", json_boolean(d->legal_hold));
    return out;
}

static int place_check(struct engine *e, struct caller *c, const struct engine_place *place,
                       const char *action)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b = bucket_by_number(e, place->bucket);
    if (!b)
        return reason_fail(&c->reason, ENOENT, "there is no such bucket any more");
    return engine_may(e, c, action, b, span_of(NULL, 0));
}

int engine_du(struct engine *e, struct caller *c, const struct engine_place *key, json_t **ret)
{
    int r = place_check(e, c, key, "s3:ListBucketVersions");
    if (r < 0)
        return r;
    struct du *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->e = e;
    d->place = key;
    r = walk_all(e, key->bucket, key->key, du_row, d, NULL);
    if (r == 0 && key->key.len && !d->any)
        r = reason_fail(&c->reason, ENOENT, "nothing of that name was ever here");
    if (r == 0) {
        *ret = du_json(d);
        r = *ret ? 0 : -ENOMEM;
    }
    du_done(d);
    return r;
}

/* ---- the inside of an object ---- */

static json_t *debug_deks(const struct extmap *map)
{
    json_t *list = json_array();
    for (size_t i = 0; i < map->dek_count; i++) {
        char id[33], kek[37];
        hex_format(map->deks[i].id, 16, id);
        uuid_format(map->deks[i].kek_id, kek);
        json_array_append_new(list, json_pack("{s:s, s:s, s:i}", "id", id, "kek", kek, "kek_version",
                                              (int)map->deks[i].kek_version));
    }
    return list;
}

static json_t *debug_extents(const struct extmap *map)
{
    json_t *list = json_array();
    const struct extent *x;
    for (struct extmap_cursor at = {0}; (x = extmap_next(map, &at));) {
        json_array_append_new(list,
                              json_pack("{s:I, s:I, s:i, s:i, s:I, s:I, s:i, s:i, s:i, s:i}", "offset",
                                        (json_int_t)x->offset_bytes, "length", (json_int_t)x->length_bytes,
                                        "dek", (int)x->dek, "segment", (int)x->segment, "place",
                                        (json_int_t)x->place_bytes, "number", (json_int_t)x->number, "frames",
                                        (int)x->frames, "skip", (int)x->skip_bytes, "plain",
                                        (int)x->plain_bytes, "cipher", (int)x->cipher_bytes));
    }
    return list;
}

static json_t *debug_version(struct engine *e, struct version *v, bool latest)
{
    struct engine_version d;
    version_describe(e, v, latest, &d);
    json_t *out = json_pack("{s:s, s:s, s:I, s:i, s:b, s:I, s:I, s:s, s:s, s:i, s:I, s:I, s:i}", "id", d.id,
                            "name", d.name, "seq", (json_int_t)v->seq, "flags", (int)v->flags, "latest",
                            latest, "ino", (json_int_t)v->ino, "size_bytes", (json_int_t)v->record.size_bytes,
                            "etag", d.etag, "made_by", d.made_by, "lock_mode", (int)v->lock_mode,
                            "lock_until_ms", (json_int_t)v->lock_until_ms, "lock_hold_s",
                            (json_int_t)v->lock_hold_s, "legal_hold", (int)v->legal_hold);
    const struct extmap *map = v->record.map;
    if (!out || !map)
        return out;
    json_object_set_new(out, "stored_bytes", json_integer((json_int_t)extmap_stored_bytes(map)));
    json_object_set_new(out, "inline_bytes", json_integer((json_int_t)map->inline_data.len));
    json_object_set_new(out, "deks", debug_deks(map));
    json_object_set_new(out, "extents", debug_extents(map));
    return out;
}

struct debug_list {
    struct engine *e;
    json_t *list;
    bool newest_seen;
};

static int debug_row(void *arg, const struct version_row *row)
{
    struct debug_list *l = arg;
    struct version v;
    int r = version_decode(row, &v);
    if (r < 0)
        return r;
    bool latest = !l->newest_seen && !(row->flags & VERSION_REPLACED);
    l->newest_seen = l->newest_seen || latest;
    json_array_append_new(l->list, debug_version(l->e, &v, latest));
    version_done(&v);
    return json_array_size(l->list) == DEBUG_VERSIONS;
}

int engine_debug_object(struct engine *e, struct caller *c, const struct engine_place *key, json_t **ret)
{
    int r = place_check(e, c, key, "s3:GetObjectVersion");
    if (r < 0)
        return r;
    struct debug_list l = {.e = e, .list = json_array()};
    LOCK_SCOPE(&e->meta);
    r = e->meta_ops->version_scan(e->m, key->bucket, key->key, UINT64_MAX, debug_row, &l);
    struct tree_row tree;
    bool live = e->meta_ops->tree_get(e->m, key->bucket, key->key, &tree) == 0;
    if (r == 0 && !live && !json_array_size(l.list))
        r = reason_fail(&c->reason, ENOENT, "nothing of that name was ever here");
    if (r < 0) {
        json_decref(l.list);
        return r;
    }
    json_t *out = json_pack("{s:o}", "versions", l.list);
    if (live) {
        json_object_set_new(out, "ino", json_integer((json_int_t)tree.ino));
        struct inode *i = inode_cached(e, tree.ino);
        json_object_set_new(out, "draft_open", json_boolean(i && draft_open(i)));
    }
    *ret = out;
    return out ? 0 : -ENOMEM;
}
