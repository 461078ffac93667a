/* SPDX-License-Identifier: GPL-3.0-or-later
 * .versions: a directory for each name that has history below, a file for each version (mount.md section 4,
 * retention.md 1.8).
 *
 * One kind of directory serves both: `.versions/NAME` holds NAME's versions, and names below NAME/ where it
 * was (also) a directory. `.versions` itself (top) holds names only. */
#include "fuse/hidden.h"
#include "fuse/notify.h"

#include <errno.h>
#include <string.h>

enum { PHASE_VERSIONS, PHASE_NAMES }; /* of a listing */

static bool has_versions(const struct hidden_node *dir)
{
    return !dir->spec.top && dir->spec.key.len > 0;
}

static void version_spec(const struct engine_version *v, struct span key, struct hidden_spec *spec)
{
    spec->kind = &hidden_version_kind;
    spec->seq = v->seq;
    spec->attr = v->attr;
    spec->key = key;
}

/* A directory shows owner and mode of the live one at its place, or of the last that was; where there was none,
 * of the one it lies in: what nobody could enter alive cannot be entered here. */
static int history_dir_spec(struct call *c, const struct hidden_node *dir, const char *name, size_t len,
                            struct hidden_spec *spec)
{
    struct engine_attr live;
    spec->kind = &hidden_history_kind;
    int err = hidden_dir_attr(c, dir, &spec->attr);
    if (!err && dir->spec.live_ino &&
        engine_lookup(c->front->engine, &c->caller, dir->spec.live_ino, name, len, &live) == 0 &&
        S_ISDIR(live.mode)) {
        spec->attr = live;
        spec->live_ino = live.ino;
    }
    reason_clear(&c->caller.reason);
    return err;
}

/* A directory all of whose versions were just removed stays until rmdir, or rm -r would fail on it. */
static int history_emptied(struct call *c, struct hidden_spec *spec)
{
    spec->kind = &hidden_history_kind;
    struct hidden_node *node = hidden_find_emptied(c->front->hidden, spec);
    if (!node)
        return -ENOENT;
    spec->attr = node->spec.attr;
    spec->live_ino = node->spec.live_ino;
    hidden_put(c->front->hidden, node);
    return 0;
}

static int history_lookup(struct call *c, const struct hidden_node *dir, const char *name, size_t len,
                          uint8_t *buf, struct hidden_spec *spec)
{
    struct engine *e = c->front->engine;
    struct engine_place place = hidden_place(dir);
    if (has_versions(dir)) {
        struct engine_version version;
        int err = engine_version_find(e, &c->caller, &place, name, len, &version);
        if (!err)
            version_spec(&version, dir->spec.key, spec);
        if (err != -ENOENT)
            return err;
    }
    int err = hidden_child_key(dir->spec.key, name, len, buf, &spec->key);
    if (err)
        return err;
    struct engine_history_name found;
    err = engine_history_name(e, &c->caller, &place, name, len, &found);
    if (err == -ENOENT)
        return history_emptied(c, spec);
    return err ? err : history_dir_spec(c, dir, name, len, spec);
}

struct history_list {
    const struct hidden_node *dir;
    struct dir_batch *batch;
};

static int list_version(void *arg, const struct engine_version *v)
{
    struct history_list *list = arg;
    struct hidden_spec spec = {.bucket = list->dir->spec.bucket};
    version_spec(v, list->dir->spec.key, &spec);
    struct dir_entry entry = {
        .ino = hidden_spec_ino(&spec), .mode = v->attr.mode, .phase = PHASE_VERSIONS, .seq = v->seq};
    return dir_batch_add(list->batch, v->name, strlen(v->name), &entry, NULL);
}

static int list_name(void *arg, const struct engine_history_name *n)
{
    struct history_list *list = arg;
    uint8_t buf[4096];
    struct hidden_spec spec = {.kind = &hidden_history_kind, .bucket = list->dir->spec.bucket};
    if (hidden_child_key(list->dir->spec.key, n->name, n->name_len, buf, &spec.key) != 0)
        return 0; /* no path could name it */
    struct dir_entry entry = {.ino = hidden_spec_ino(&spec), .mode = S_IFDIR, .phase = PHASE_NAMES};
    return dir_batch_add(list->batch, n->name, n->name_len, &entry, NULL);
}

static int history_list(struct call *c, const struct hidden_node *dir, const struct dir_cursor *after,
                        struct dir_batch *batch)
{
    struct engine *e = c->front->engine;
    struct engine_place place = hidden_place(dir);
    struct history_list list = {.dir = dir, .batch = batch};
    if (has_versions(dir) && after->phase == PHASE_VERSIONS) {
        int r = engine_versions(e, &c->caller, &place, true, after->seq, (unsigned)batch->max, list_version,
                                &list);
        if (r < 0 && r != -ENOENT)
            return r;
        if (dir_batch_full(batch))
            return 0;
    }
    bool going_on = after->phase == PHASE_NAMES;
    int r = engine_history_names(e, &c->caller, &place, going_on ? after->name : "",
                                 going_on ? after->name_len : 0, (unsigned)(batch->max - batch->count),
                                 list_name, &list);
    batch->end = r == 0 || r == -ENOENT;
    return r < 0 && r != -ENOENT ? r : 0;
}

/* The directory and all above it may have lost the last of what made them show. */
static void history_mark_emptied(struct call *c, const struct hidden_node *dir)
{
    struct hidden_spec spec = {
        .kind = &hidden_history_kind, .bucket = dir->spec.bucket, .key = dir->spec.key};
    while (spec.key.len) {
        hidden_mark_emptied(c->front->hidden, &spec);
        while (spec.key.len && spec.key.p[spec.key.len - 1] != '/')
            spec.key.len--;
        spec.key.len -= spec.key.len > 0;
    }
}

static int history_unlink(struct call *c, const struct hidden_node *dir, const char *name, size_t len)
{
    struct engine *e = c->front->engine;
    struct engine_place place = hidden_place(dir);
    struct engine_version version;
    int err = has_versions(dir) ? engine_version_find(e, &c->caller, &place, name, len, &version) : -ENOENT;
    if (!err)
        err = engine_version_delete(e, &c->caller, &place, version.seq);
    if (!err) {
        history_mark_emptied(c, dir);
        notify_settle(c->front->notify);
    }
    return err;
}

static int history_rmdir(struct call *c, const struct hidden_node *dir, const char *name, size_t len)
{
    uint8_t buf[4096];
    struct engine_place place = hidden_place(dir);
    struct engine_history_name found;
    int err = engine_history_name(c->front->engine, &c->caller, &place, name, len, &found);
    if (!err)
        return reason_fail(&c->caller.reason, ENOTEMPTY,
                           "%.*s still has versions: remove them, it then goes by itself", (int)len, name);
    struct hidden_spec spec = {.kind = &hidden_history_kind, .bucket = dir->spec.bucket};
    if (err == -ENOENT)
        err = hidden_child_key(dir->spec.key, name, len, buf, &spec.key);
    if (err)
        return err;
    struct hidden_node *node = hidden_find_emptied(c->front->hidden, &spec);
    if (!node)
        return -ENOENT;
    hidden_mark_removed(c->front->hidden, node);
    hidden_put(c->front->hidden, node);
    return 0;
}

const struct hidden_kind hidden_history_kind = {
    .type = S_IFDIR,
    .attr = hidden_dir_attr,
    .lookup = history_lookup,
    .list = history_list,
    .unlink = history_unlink,
    .rmdir = history_rmdir,
};

const struct hidden_kind hidden_version_kind = {
    .attr = hidden_version_attr,
    .locks_settable = true,
};
