/* SPDX-License-Identifier: GPL-3.0-or-later
 * DeleteObject and DeleteObjectVersion (s3-api.md §6, retention.md §1.3). That a version really goes is version_remove()'s
 * business (E3). */
#include "engine/mfa.h"
#include "engine/object.h"

#include <stdio.h>

static void tell(struct engine_deleted *ret, const struct version *v)
{
    ret->has_id = true;
    ret->marker = v->flags & VERSION_MARKER;
    version_id_text(v, ret->id);
}

/* M, txn */
static int remove_for_good(struct engine *e, struct caller *c, struct bucket *b, struct version *v)
{
    struct span key = span_of(v->key, v->key_len);
    int r = version_remove(e, c, v, REMOVE_USER);
    if (r == 0 && b->versioning != VERSIONING_ENABLED && (v->flags & VERSION_NULL))
        r = version_purge_replaced(e, c, b, key);
    return r < 0 ? r : naming_prune(e, b, key);
}

/* M, txn */
static int put_marker(struct engine *e, struct caller *c, struct bucket *b, struct span key, struct engine_deleted *ret)
{
    struct tree_row row;
    struct version marker;
    int r = e->meta_ops->tree_get(e->m, b->number, key, &row);
    uint64_t ino = r == 0 && row.kind != TREE_DIR ? row.ino : 0;
    if (r < 0 && r != -ENOENT)
        return r;
    r = version_put_marker(e, c, b, key, ino);
    if (r == 0)
        r = version_show_next(e, b, key);
    if (r == 0)
        r = version_load(e, b->number, key, 0, &marker);
    if (r < 0)
        return r;
    tell(ret, &marker);
    version_done(&marker);
    r = naming_prune(e, b, key);
    version_wake(e, b->number, key, ino);
    return r;
}

/* M, txn. `v` is what is there now, or NULL. */
static int delete_key(struct engine *e, struct caller *c, struct bucket *b, struct span key, struct version *v,
                      struct engine_deleted *ret)
{
    if (b->versioning != VERSIONING_UNVERSIONED)
        return put_marker(e, c, b, key, ret);
    return v ? remove_for_good(e, c, b, v) : 0;
}

static int delete_version(struct engine *e, struct caller *c, struct bucket *b, struct version *v, const char *id,
                          struct engine_deleted *ret)
{
    ret->has_id = true;
    snprintf(ret->id, sizeof ret->id, "%s", id);
    if (!v)
        return 0;
    tell(ret, v);
    return remove_for_good(e, c, b, v);
}

static int judge(struct engine *e, struct caller *c, const struct bucket *b, struct span key, const char *id, const struct version *v,
                 const struct engine_conditions *conditions)
{
    struct may m = {.record = v ? &v->record : NULL, .seq = v && id ? v->seq : 0};
    int r = engine_may_with(e, c, id ? "s3:DeleteObjectVersion" : "s3:DeleteObject", b, key, &m);
    if (r == 0 && conditions && conditions->if_match && strcmp(conditions->if_match, "*") != 0)
        r = engine_may_with(e, c, "s3:GetObject", b, key, &m);
    return r;
}

/* M */
static int delete_one(struct engine *e, struct caller *c, struct bucket *b, struct span key, const char *id,
                      struct engine_conditions *conditions, struct engine_deleted *ret)
{
    struct version v;
    int found = object_find(e, c, b, key, id, &v);
    if (found < 0 && found != -ENOENT)
        return found;
    bool there = found == 0;
    int r = judge(e, c, b, key, id, there ? &v : NULL, conditions);
    if (r == 0 && e->read_only)
        r = reason_fail_s3(&c->reason, EROFS, "ServiceUnavailable", "the store is open for reading only");
    if (r == 0 && conditions && (there || !id))
        r = condition_delete(conditions, there ? &v : NULL, &c->reason);
    if (r == 0)
        r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, id ? delete_version(e, c, b, there ? &v : NULL, id, ret) : delete_key(e, c, b, key, there ? &v : NULL, ret));
    if (there)
        version_done(&v);
    return r;
}

int engine_object_delete(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *version_id,
                         struct engine_conditions *conditions, struct engine_deleted *ret)
{
    *ret = (struct engine_deleted){.has_id = false};
    {
        LOCK_SCOPE(&e->meta);
        struct bucket *b = bucket_by_number(e, bucket);
        int r = b ? delete_one(e, c, b, key, version_id, conditions, ret) : object_no_bucket(c);
        if (r < 0)
            return r;
    }
    return object_settle(e);
}

static void note_error(struct engine_delete_item *item, struct caller *c, int error)
{
    item->error = error;
    snprintf(item->code, sizeof item->code, "%s", c->reason.code[0] ? c->reason.code : error == -EACCES || error == -EPERM ? "AccessDenied" : "InternalError");
    snprintf(item->text, sizeof item->text, "%.500s", c->reason.text[0] ? c->reason.text : strerror(-error));
}

/* retention.md §4: where a code is needed for one of them, all of them fail without it, and nothing is deleted. */
static int codes_demanded(struct engine *e, struct caller *c, uint32_t bucket, const struct engine_delete_item *items, size_t count)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b = bucket_by_number(e, bucket);
    bool versions = false;
    for (size_t n = 0; n < count; n++)
        versions |= items[n].version_id != NULL;
    return b && versions ? mfa_demanded(e, c, "s3:DeleteObjectVersion", b, NULL) : 0;
}

int engine_objects_delete(struct engine *e, struct caller *c, uint32_t bucket, struct engine_delete_item *items, size_t count)
{
    int demanded = codes_demanded(e, c, bucket, items, count);
    if (demanded < 0)
        return demanded;
    for (size_t n = 0; n < count; n++) {
        struct engine_delete_item *item = &items[n];
        item->deleted = (struct engine_deleted){.has_id = false};
        item->error = 0;
        reason_clear(&c->reason);
        int r;
        {
            LOCK_SCOPE(&e->meta);
            struct bucket *b = bucket_by_number(e, bucket);
            if (!b)
                return object_no_bucket(c);
            r = delete_one(e, c, b, item->key, item->version_id, &item->conditions, &item->deleted);
        }
        if (r < 0) {
            note_error(item, c, r);
            engine_audit_refused(e, c, "DeleteObjects", r);
        }
    }
    reason_clear(&c->reason);
    return object_settle(e);
}
