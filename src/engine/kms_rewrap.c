/* SPDX-License-Identifier: GPL-3.0-or-later
 * Blobs of a rotated KMS key under its newest version, and one object under another key (encryption.md §1.4, §3.3).
 *
 * As a bucket's rewrap (rewrap.c): from the moment the key's row says `renew_below`, every row that is written carries a new blob
 * (keyring_record_renew); the walk writes the rest. Behind it no row needs an earlier version, and those are destroyed. Stopped or
 * killed, the next call goes on: rows that are done are passed over. */
#include "engine/draft.h"
#include "engine/kms.h"
#include "engine/upkeep.h"

#include <stdio.h>
#include <sys/stat.h>

enum { REWRAP_BATCH = 128, REWRAP_SCAN = 4096 };

struct kms_rewrap {
    struct engine *e;
    uint8_t key[16];
    struct store_walk walk;
    struct version items[REWRAP_BATCH];
    size_t count;
    uint64_t looked_at, renewed, kept, total;
    unsigned destroyed;
};

static int rewrap_row(void *arg, const struct version_row *row)
{
    struct kms_rewrap *w = arg;
    struct version *v = &w->items[w->count];
    w->looked_at++;
    if (row->flags & VERSION_MARKER)
        return 0;
    int r = version_decode(row, v);
    if (r == -EIO) {
        w->kept++;
        return 0;
    }
    if (r < 0)
        return r;
    const struct envelope *env = v->record.env;
    if (!env || memcmp(env->key_id, w->key, 16) != 0 || !kms_envelope_old(w->e, env)) {
        version_done(v);
        return 0;
    }
    return ++w->count == REWRAP_BATCH;
}

static int rewrap_store(struct kms_rewrap *w, struct version *v)
{
    int r = kms_envelope_renew(w->e, &v->record.env);
    if (r < 0)
        return r;
    if (kms_envelope_old(w->e, v->record.env)) { /* its blob does not open: for its sake the earlier version stays */
        w->kept++;
        return 0;
    }
    r = version_store(w->e, v);
    struct inode *i = r == 0 ? inode_cached(w->e, v->ino) : NULL;
    if (i && i->record.env && memcmp(i->record.env->kek_id, v->record.env->kek_id, 16) == 0) {
        envelope_unref(i->record.env);
        i->record.env = envelope_ref(v->record.env);
    }
    w->renewed += r == 0;
    return r;
}

/* 1 more, 0 the end. */
static int rewrap_batch(struct kms_rewrap *w)
{
    w->count = 0;
    int more = store_walk_step(w->e, &w->walk, REWRAP_SCAN, rewrap_row, w);
    LOCK_SCOPE(&w->e->meta);
    int r = more < 0 || !w->count ? more : txn_begin(w->e);
    if (r >= 0 && w->count) {
        r = 0;
        for (size_t i = 0; r == 0 && i < w->count; i++) {
            struct version now; /* it may have changed since it was read: then it was written, and so renewed, or it is gone */
            struct version *v = &w->items[i];
            r = version_load(w->e, v->bucket, span_of(v->key, v->key_len), v->seq, &now);
            if (r == -ENOENT) {
                r = 0;
                continue;
            }
            if (r == 0) {
                r = rewrap_store(w, &now);
                version_done(&now);
            }
        }
        r = txn_end(w->e, r);
    }
    for (size_t i = 0; i < w->count; i++)
        version_done(&w->items[i]);
    return r < 0 ? r : more;
}

static bool draft_of_key(void *arg, const struct inode *i)
{
    const struct kms_rewrap *w = arg;
    return i->draft->env && memcmp(i->draft->env->key_id, w->key, 16) == 0;
}

/* The rows of earlier versions go. What memory holds of them stays until the store is closed. */
static int destroy_earlier(struct kms_rewrap *w)
{
    LOCK_SCOPE(&w->e->meta);
    struct kms_key *k = kms_by_id(w->e, w->key);
    int r = k ? txn_begin(w->e) : -ENOENT;
    if (r < 0)
        return r;
    r = kms_material_del(w->e, k, k->renew_below, &w->destroyed);
    if (r == 0 && w->destroyed)
        r = epoch_note_destroyed(w->e);
    return txn_end(w->e, r);
}

static int rewrap_all(struct kms_rewrap *w, struct engine_progress progress, struct reason *reason)
{
    int r = store_walk_begin(w->e, &w->walk);
    while (r >= 0 && (r = rewrap_batch(w)) > 0) {
        if (upkeep_tell(progress, "rewrapping", w->looked_at, w->total) < 0)
            r = -ECANCELED;
    }
    store_walk_done(&w->walk);
    if (r == 0)
        r = drafts_rewrap(w->e, draft_of_key, w);
    if (r == 0 && !w->kept)
        r = destroy_earlier(w);
    return r == 0 && w->destroyed ? epoch_renew(w->e, reason) : r;
}

static int rewrap_begin(struct engine *e, struct caller *c, const char *name, struct kms_rewrap *w)
{
    struct kms_key *k;
    LOCK_SCOPE(&e->meta);
    int r = name ? kms_resolve(e, c, name, &k) : -EINVAL;
    if (r == 0)
        r = kms_may(e, c, "kms:ReEncryptTo", k, NULL);
    if (r == 0 && e->read_only)
        r = reason_fail(&c->reason, EROFS, "the store is open for reading only");
    if (r == 0)
        r = kms_usable(k, &c->reason);
    if (r < 0)
        return r;
    memcpy(w->key, k->id, sizeof w->key);
    sse_forget(e, k->id);
    struct kms_key fresh = *k;
    fresh.renew_below = k->version;
    r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, kms_key_put(e, &fresh));
    if (r == 0)
        *k = fresh;
    for (size_t i = 0; r == 0 && i < e->bucket_count; i++) {
        uint64_t objects = 0, markers = 0;
        r = e->meta_ops->version_count(e->m, e->buckets[i]->number, &objects, &markers);
        w->total += objects + markers;
    }
    return r;
}

static int rewrap_report(struct kms_rewrap *w, struct caller *c, json_t **ret)
{
    LOCK_SCOPE(&w->e->meta);
    struct kms_key *k = kms_by_id(w->e, w->key);
    if (!k)
        return -ENOENT;
    *ret = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "Arn", k->arn, "key_version", (json_int_t)k->version, "versions", (json_int_t)w->looked_at,
                     "rewrapped", (json_int_t)w->renewed, "kept", (json_int_t)w->kept, "destroyed", (json_int_t)w->destroyed);
    int r = kms_change_note(w->e, c, "ReEncrypt", k, kms_state_name(k->state), 0);
    return r < 0 ? r : *ret ? 0 : -ENOMEM;
}

int kms_rewrap(struct engine *e, struct caller *c, const char *key, struct engine_progress progress, json_t **ret)
{
    CLEANUP_FREE struct kms_rewrap *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->e = e;
    LOCK_SCOPE(&e->upkeep->lock);
    int r = rewrap_begin(e, c, key, w);
    if (r == 0)
        r = rewrap_all(w, progress, &c->reason);
    if (r == -ECANCELED)
        return reason_fail(&c->reason, ECANCELED, "stopped: what is written from now on is under the newest version; call it again to go on with the rest");
    return r < 0 ? r : rewrap_report(w, c, ret);
}

/* ---- one object under another key: UpdateObjectEncryption on its current version ---- */

static int reencrypt_may(struct engine *e, struct caller *c, struct inode *i)
{
    int r = engine_may_inode(e, c, "s3:PutObject", i, NULL);
    if (r == 0)
        r = engine_may_inode(e, c, "s3:UpdateObjectEncryption", i, NULL);
    if (r == 0 && (!S_ISREG(i->record.mode) || !i->seq))
        r = reason_fail_s3(&c->reason, EINVAL, "InvalidRequest", "only a file has an encryption that can be changed");
    if (r == 0 && i->record.env && i->record.env->mode == ENVELOPE_SSE_C)
        r = reason_fail_s3(&c->reason, EINVAL, "InvalidRequest", "what is under a customer's key is written anew, with that key, to be under another");
    return r;
}

/* The current version of one name, unless it is locked: S3 refuses. M, txn */
static int reencrypt_name(struct engine *e, struct caller *c, struct inode *i, struct span key, struct extmap *map, struct envelope *env)
{
    struct version v;
    int r = version_load(e, i->bucket->number, key, 0, &v);
    if (r < 0)
        return r;
    if (v.ino != i->ino || (v.flags & VERSION_MARKER))
        r = -ESTALE;
    else if (lock_in_force(e, &v))
        r = reason_fail_s3(&c->reason, EPERM, "AccessDenied", "the version is locked: its encryption cannot be changed");
    if (r == 0) {
        extmap_unref(v.record.map);
        v.record.map = map ? extmap_ref(map) : NULL;
        record_set_envelope(&v.record, env, i->bucket->kek_id, i->bucket->kek_version);
        r = version_store(e, &v);
    }
    version_done(&v);
    return r;
}

/* C write and M held. */
static int reencrypt_rows(struct engine *e, struct caller *c, struct inode *i, struct extmap *map, struct envelope *env)
{
    struct version_ref *names;
    size_t count;
    int r = inode_names(e, i, &names, &count);
    if (r < 0)
        return r;
    r = txn_begin(e);
    if (r == 0) {
        for (size_t n = 0; r == 0 && n < count; n++)
            r = reencrypt_name(e, c, i, span_of(names[n].key, names[n].key_len), map, env);
        r = txn_end(e, r);
    }
    version_refs_free(names, count);
    if (r < 0)
        return r;
    atomic_store(&i->content_stale, true);
    return inode_reload(e, i);
}

static int reencrypt(struct engine *e, struct caller *c, struct inode *i, const char *key, bool bucket_key)
{
    LOCK_SCOPE(&e->meta);
    struct kms_key *k;
    struct span name = span_of(i->key, i->key_len);
    CLEANUP(data_key_cleanup) struct data_key *from = NULL, *to = NULL;
    struct envelope *env = NULL;
    int r = reencrypt_may(e, c, i);
    if (r == 0)
        r = kms_resolve(e, c, key, &k);
    if (r == 0)
        r = sse_open(e, c, i->bucket, name, i->seq, i->record.env, &from);
    if (r == 0)
        r = sse_new_kms(e, c, i->bucket, name, k, bucket_key, &env, &to);
    struct extmap *map = r == 0 && i->record.map ? extmap_copy(i->record.map) : NULL;
    if (r == 0 && i->record.map)
        r = map ? keyring_map_rewrap(e, i->bucket, i->bucket, env, map) : -ENOMEM;
    if (r == 0)
        r = reencrypt_rows(e, c, i, map, env);
    extmap_unref(map);
    envelope_unref(env);
    return r;
}

int engine_reencrypt(struct engine *e, struct caller *c, uint64_t ino, const char *key, bool bucket_key)
{
    if (e->read_only)
        return -EROFS;
    struct inode *i;
    int r = inode_seal(e, c, ino, &i);
    if (r < 0)
        return r;
    r = reencrypt(e, c, i, key, bucket_key);
    inode_seal_end(e, i);
    return r < 0 ? r : durable_advance(e);
}
