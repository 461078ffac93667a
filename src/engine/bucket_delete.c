/* SPDX-License-Identifier: GPL-3.0-or-later
 * DeleteBucket by command; with --force, its versions first: all of them or, where a lock stands on one, none (retention.md §2.8). */
#include "engine/mfa.h"
#include "engine/trail.h"

#include <stdio.h>

enum { FORCE_BATCH = 256 };

static int force_check_locks(struct engine *e, struct caller *c, struct bucket *b)
{
    struct lock_search s = {.e = e};
    int r = e->meta_ops->version_scan_keys(e->m, b->number, span_of("", 0), true, lock_search_row, &s);
    if (r < 0 || !s.found)
        return r;
    char date[40] = "a legal hold is lifted";
    if (s.latest_ms)
        timeform_format_ms(s.latest_ms, date);
    reason_fail_s3(&c->reason, EPERM, "AccessDenied",
                   "bucket '%s' holds %llu locked versions, the first of '%s', the last until %s%s; nothing was deleted", b->name,
                   (unsigned long long)s.count, engine_show(b, span_of(s.first.key, s.first.key_len)), date,
                   s.hold ? " (legal holds among them)" : "");
    trail_refuse(c, "s3:DeleteBucket", s.hold ? "legal-hold" : "retention", b, span_of("", 0), NULL);
    version_done(&s.first);
    return -EPERM;
}

struct force_batch {
    struct version items[FORCE_BATCH];
    size_t count;
};

static int force_row(void *arg, const struct version_row *row)
{
    struct force_batch *batch = arg;
    int r = version_decode(row, &batch->items[batch->count]);
    if (r < 0)
        return r;
    return ++batch->count == FORCE_BATCH;
}

static int force_remove_batch(struct engine *e, struct caller *c, struct bucket *b, struct force_batch *batch)
{
    int r = txn_begin(e);
    if (r < 0)
        return r;
    for (size_t n = 0; r == 0 && n < batch->count; n++) {
        struct span key = span_of(batch->items[n].key, batch->items[n].key_len);
        struct tree_row row;
        r = e->meta_ops->tree_get(e->m, b->number, key, &row);
        if (r == 0 && row.kind == TREE_OBJECT)
            r = tree_drop_name(e, b, key, row.ino);
        else if (r == -ENOENT)
            r = 0;
        if (r == 0)
            r = version_remove(e, c, &batch->items[n], REMOVE_DURABLE);
    }
    return txn_end(e, r);
}

static int force_versions(struct engine *e, struct caller *c, struct bucket *b)
{
    CLEANUP_FREE struct force_batch *batch = malloc(sizeof *batch);
    if (!batch)
        return -ENOMEM;
    for (;;) {
        batch->count = 0;
        int r = e->meta_ops->version_scan_keys(e->m, b->number, span_of("", 0), true, force_row, batch);
        if (r == 0 && batch->count)
            r = force_remove_batch(e, c, b, batch);
        for (size_t n = 0; n < batch->count; n++)
            version_done(&batch->items[n]);
        if (r < 0 || !batch->count)
            return r;
    }
}

struct force_name {
    uint8_t key[4096];
    size_t len;
    uint64_t ino;
    bool found;
};

static int force_name_row(void *arg, const struct tree_row *row)
{
    struct force_name *name = arg;
    if (!row->key.len)
        return 0;
    memcpy(name->key, row->key.p, row->key.len);
    name->len = row->key.len;
    name->ino = row->ino;
    name->found = true;
    return 1;
}

/* Directories and names that never had a version. */
static int force_names(struct engine *e, struct bucket *b)
{
    CLEANUP_FREE struct force_name *name = malloc(sizeof *name);
    if (!name)
        return -ENOMEM;
    int r = txn_begin(e);
    if (r < 0)
        return r;
    do {
        name->found = false;
        r = e->meta_ops->tree_scan(e->m, b->number, span_of("", 0), true, force_name_row, name);
        if (r == 0 && name->found)
            r = tree_drop_name(e, b, span_of(name->key, name->len), name->ino);
    } while (r == 0 && name->found);
    return txn_end(e, r);
}

int bucket_remove_all(struct engine *e, struct caller *c, struct bucket *b)
{
    int r = engine_may(e, c, "s3:DeleteObjectVersion", b, span_of("*", 1));
    if (r == 0)
        r = mfa_demanded(e, c, "s3:DeleteObjectVersion", b, NULL);
    if (r == 0)
        r = force_check_locks(e, c, b);
    if (r == 0)
        r = force_versions(e, c, b);
    if (r == 0)
        r = force_names(e, b);
    return r < 0 ? r : bucket_remove(e, c, b);
}

int engine_bucket_delete(struct engine *e, struct caller *c, const char *name, bool force)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b = bucket_by_name(e, name, strlen(name));
    if (!b)
        return reason_fail_s3(&c->reason, ENOENT, "NoSuchBucket", "there is no bucket '%s'", name);
    int r = force ? bucket_remove_all(e, c, b) : bucket_remove(e, c, b);
    if (r == 0 && e->watcher)
        e->watcher->entry_changed(e->watcher->arg, ENGINE_ROOT_INO, name, strlen(name));
    return r;
}
