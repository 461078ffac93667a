/* SPDX-License-Identifier: GPL-3.0-or-later
 * .at: the menu of instants, and the tree as it stood at one (mount.md section 4, retention.md section 6).
 * Read-only. */
#include "fuse/hidden.h"
#include "util/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- the menu ---- */

/* 2026-11-24T12:00:00Z, with a fraction where there is one. */
static void instant_format(struct instant at, char out[48])
{
    timeform_format_ns(at.sec, at.nsec, out);
    char *dot = strchr(out, '.');
    if (at.nsec == 0 && dot)
        memcpy(dot, "Z", 2);
}

static int menu_lookup(struct call *c, const struct hidden_node *dir, const char *name, size_t len,
                       uint8_t *buf, struct hidden_spec *spec)
{
    (void)buf;
    (void)len;
    int64_t ns = clock_wall_ns();
    struct instant now = {.sec = ns / 1000000000, .nsec = (uint32_t)(ns % 1000000000)};
    bool relative;
    if (timeform_parse(name, now, &spec->at, &relative, &c->caller.reason) != 0)
        return -ENOENT;
    spec->kind = &hidden_past_kind;
    spec->top = true;
    spec->key = dir->spec.key;
    spec->live_ino = dir->spec.live_ino;
    spec->attr = dir->spec.attr;
    return 0;
}

static int menu_list(struct call *c, const struct hidden_node *dir, const struct dir_cursor *after,
                     struct dir_batch *batch)
{
    struct engine_place place = hidden_place(dir);
    struct instant at[32];
    int count = engine_at_instants(c->front->engine, &c->caller, &place, at);
    if (count < 0)
        return count;
    size_t i = (size_t)after->seq; /* how many were given */
    for (bool full = false; i < (size_t)count && !full; i++) {
        char name[48];
        instant_format(at[i], name);
        struct hidden_spec spec = {
            .kind = &hidden_past_kind, .top = true, .bucket = place.bucket, .key = place.key, .at = at[i]};
        struct dir_entry entry = {.ino = hidden_spec_ino(&spec), .mode = S_IFDIR, .seq = i + 1};
        full = dir_batch_add(batch, name, strlen(name), &entry, NULL);
    }
    batch->end = i == (size_t)count;
    return 0;
}

const struct hidden_kind hidden_menu_kind = {
    .type = S_IFDIR,
    .attr = hidden_dir_attr,
    .lookup = menu_lookup,
    .list = menu_list,
};

/* ---- all buckets as they were ---- */

struct past_bucket {
    const char *name;
    size_t len;
    uint32_t found;
};

static int past_bucket_match(void *arg, uint32_t bucket, const char *name, size_t len)
{
    struct past_bucket *b = arg;
    if (len != b->len || memcmp(name, b->name, len) != 0)
        return 0;
    b->found = bucket;
    return 1;
}

static int past_bucket_lookup(struct call *c, const struct hidden_node *dir, const char *name, size_t len,
                              struct hidden_spec *spec)
{
    struct past_bucket b = {.name = name, .len = len};
    int r = engine_at_buckets(c->front->engine, &c->caller, dir->spec.at, past_bucket_match, &b);
    if (r < 0)
        return r;
    if (!b.found)
        return -ENOENT;
    spec->kind = &hidden_past_kind;
    spec->bucket = b.found;
    r = hidden_dir_attr(c, dir, &spec->attr);
    struct engine_attr live;
    if (!r && engine_lookup(c->front->engine, &c->caller, ENGINE_ROOT_INO, name, len, &live) == 0) {
        spec->attr = live;
        spec->live_ino = live.ino;
    }
    return r;
}

/* ---- one bucket's tree ---- */

struct past_list {
    const struct hidden_node *dir;
    struct dir_batch *batch;
    uint64_t skip; /* buckets given already */
};

static int list_bucket(void *arg, uint32_t bucket, const char *name, size_t len)
{
    struct past_list *list = arg;
    if (list->skip) {
        list->skip--;
        return 0;
    }
    struct hidden_spec spec = {.kind = &hidden_past_kind, .bucket = bucket, .at = list->dir->spec.at};
    struct dir_entry entry = {.ino = hidden_spec_ino(&spec), .mode = S_IFDIR};
    return dir_batch_add(list->batch, name, len, &entry, NULL);
}

/* A file is the same one at each instant that shows it (cp(1) looks at it twice: .at/now/f must not have
 * changed between). */
static void past_entry_spec(const struct engine_at_entry *e, struct hidden_spec *spec)
{
    if (!e->is_dir)
        spec->at = (struct instant){0};
    spec->kind = e->is_dir ? &hidden_past_kind : &hidden_past_file_kind;
    spec->seq = e->is_dir ? 0 : e->version.seq;
    spec->attr = e->is_dir ? e->dir_attr : e->version.attr;
}

static int past_lookup(struct call *c, const struct hidden_node *dir, const char *name, size_t len,
                       uint8_t *buf, struct hidden_spec *spec)
{
    if (!dir->spec.bucket)
        return past_bucket_lookup(c, dir, name, len, spec);
    struct engine_place place = hidden_place(dir);
    struct engine_at_entry entry;
    int err = engine_at_lookup(c->front->engine, &c->caller, &place, dir->spec.at, name, len, &entry);
    if (err)
        return err;
    past_entry_spec(&entry, spec);
    return hidden_child_key(dir->spec.key, name, len, buf, &spec->key);
}

static int list_entry(void *arg, const struct engine_at_entry *e)
{
    struct past_list *list = arg;
    uint8_t buf[4096];
    struct hidden_spec spec = {.bucket = list->dir->spec.bucket, .at = list->dir->spec.at};
    past_entry_spec(e, &spec);
    if (hidden_child_key(list->dir->spec.key, e->name, e->name_len, buf, &spec.key) != 0)
        return 0; /* no path could name it */
    struct dir_entry entry = {.ino = hidden_spec_ino(&spec),
                              .mode = e->is_dir ? S_IFDIR : e->version.attr.mode};
    return dir_batch_add(list->batch, e->name, e->name_len, &entry, NULL);
}

static int past_list(struct call *c, const struct hidden_node *dir, const struct dir_cursor *after,
                     struct dir_batch *batch)
{
    struct engine *e = c->front->engine;
    struct past_list list = {.dir = dir, .batch = batch, .skip = after->seq};
    int r;
    if (dir->spec.bucket) {
        struct engine_place place = hidden_place(dir);
        r = engine_at_readdir(e, &c->caller, &place, dir->spec.at, after->name, after->name_len,
                              (unsigned)batch->max, list_entry, &list);
        batch->end = r == 0 || r == -ENOENT; /* it was not there then: an empty directory */
        return r == -ENOENT || r > 0 ? 0 : r;
    }
    r = engine_at_buckets(e, &c->caller, dir->spec.at, list_bucket, &list);
    for (size_t i = 0; i < batch->count; i++)
        batch->entries[i].seq = after->seq + i + 1;
    batch->end = !dir_batch_full(batch);
    return r < 0 ? r : 0;
}

const struct hidden_kind hidden_past_kind = {
    .type = S_IFDIR,
    .attr = hidden_dir_attr,
    .lookup = past_lookup,
    .list = past_list,
};

const struct hidden_kind hidden_past_file_kind = {
    .attr = hidden_version_attr,
};
