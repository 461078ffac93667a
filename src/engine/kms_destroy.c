/* SPDX-License-Identifier: GPL-3.0-or-later
 * The end of a key: what forbids it, the waiting time, the destruction (encryption.md §1.5), and what counts as under a key.
 *
 * Destroying drops the rows of key and material, then a new key epoch makes that final (epoch.c). It is refused while a version under
 * the key is locked: when it is asked for, and again when it is due. */
#include "engine/iam.h"
#include "engine/kms.h"
#include "engine/upkeep.h"

#include <stdio.h>

enum { COUNT_BATCH = 512 };

/* ---- what is under a key ---- */

struct under {
    struct engine *e;
    const uint8_t *key;
    bool only_locked; /* rows without a lock are not even decoded */
    struct kms_under *ret;
    uint32_t last_bucket;
};

static int under_row(void *arg, const struct version_row *row)
{
    struct under *u = arg;
    bool lock = row->lock_mode || row->legal_hold == HOLD_ON;
    if ((row->flags & VERSION_MARKER) || (u->only_locked && !lock))
        return 0;
    struct version v;
    int r = version_decode(row, &v);
    if (r < 0)
        return r == -EIO ? 0 : r;
    const struct envelope *env = v.record.env;
    if (env && env->mode == ENVELOPE_SSE_KMS && memcmp(env->key_id, u->key, 16) == 0) {
        struct kms_under *n = u->ret;
        n->versions++;
        n->buckets += row->bucket != u->last_bucket;
        u->last_bucket = row->bucket;
        bool governance = v.lock_mode == LOCK_GOVERNANCE && v.legal_hold != HOLD_ON;
        if (lock && lock_in_force(u->e, &v)) {
            n->locked++;
            n->governance += governance;
            n->hold |= v.legal_hold == HOLD_ON;
            if (v.lock_until_ms > n->until_ms)
                n->until_ms = v.lock_until_ms;
        }
    }
    version_done(&v);
    return 0;
}

int kms_count_under(struct engine *e, const uint8_t key[16], bool only_locked, struct kms_under *ret)
{
    *ret = (struct kms_under){0};
    struct under u = {.e = e, .key = key, .only_locked = only_locked, .ret = ret, .last_bucket = UINT32_MAX};
    struct store_walk walk;
    int r = store_walk_begin(e, &walk);
    while (r >= 0 && (r = store_walk_step(e, &walk, COUNT_BATCH, under_row, &u)) > 0)
        continue;
    store_walk_done(&walk);
    return r;
}

/* The same in one go, so that no lock can come in between. M */
static int locked_under(struct engine *e, const uint8_t key[16], struct kms_under *ret)
{
    *ret = (struct kms_under){0};
    struct under u = {.e = e, .key = key, .only_locked = true, .ret = ret, .last_bucket = UINT32_MAX};
    int r = 0;
    for (size_t i = 0; r == 0 && i < e->bucket_count; i++)
        r = e->meta_ops->version_scan_keys(e->m, e->buckets[i]->number, span_of("", 0), true, under_row, &u);
    return r;
}

int kms_locks_forbid(struct engine *e, struct caller *c, const struct kms_key *k, bool bypass)
{
    struct kms_under n;
    int r = locked_under(e, k->id, &n);
    if (r < 0 || !n.locked)
        return r;
    if (bypass && n.governance == n.locked)
        return engine_may(e, c, "s3:BypassGovernanceRetention", NULL, span_of(NULL, 0));
    char date[40] = "a legal hold is lifted";
    if (n.until_ms)
        timeform_format_ms(n.until_ms, date);
    return reason_fail_s3(&c->reason, EPERM, "AccessDenied", "key %s protects %llu versions until %s%s; nothing was changed", k->arn,
                          (unsigned long long)n.locked, date, n.until_ms && n.hold ? " (legal holds among them)" : "");
}

/* ---- destruction ---- */

static void key_forget(struct engine *e, struct kms_key *k)
{
    struct kms *kms = e->kms;
    for (size_t i = kms->alias_count; i-- > 0;) {
        if (memcmp(kms->aliases[i]->key, k->id, 16) != 0)
            continue;
        free(kms->aliases[i]);
        iam_list_remove((void **)kms->aliases, &kms->alias_count, i);
    }
    for (size_t i = 0; i < kms->key_count; i++) {
        if (kms->keys[i] != k)
            continue;
        iam_list_remove((void **)kms->keys, &kms->key_count, i);
        break;
    }
    kms_key_free(k);
}

/* The material of the key goes, and with `whole` the key. M; open handles are for the caller to close (sse_evict). */
static int destroy(struct engine *e, struct caller *c, struct kms_key *k, bool whole)
{
    unsigned count;
    struct kms_key fresh = *k;
    const char *before = kms_state_name(k->state);
    fresh.state = whole ? KMS_PENDING_DELETION : KMS_PENDING_IMPORT;
    fresh.version = 0;
    fresh.valid_to_ms = 0;
    int r = txn_begin(e);
    if (r < 0)
        return r;
    r = kms_material_del(e, k, UINT32_MAX, &count);
    if (r == 0)
        r = whole ? kms_key_del(e, k) : kms_key_put(e, &fresh);
    if (r == 0)
        r = epoch_note_destroyed(e);
    r = txn_end(e, r);
    if (r < 0)
        return r;
    *k = fresh;
    sse_forget(e, k->id);
    kms_local_drop(e->kms->local, k->id, UINT32_MAX);
    r = kms_change_note(e, c, whole ? "DestroyKey" : "DeleteImportedKeyMaterial", k, before, 0);
    log_notice("%s of %s is destroyed: nothing under it opens any more", whole ? "the key" : "the material", k->arn);
    return r;
}

int kms_material_drop(struct engine *e, struct caller *c, struct kms_key *k)
{
    if (!k->external)
        return reason_fail_s3(&c->reason, EINVAL, "UnsupportedOperationException", "%s made its own material; schedule its deletion to destroy it", k->arn);
    if (!k->version)
        return 0;
    return destroy(e, c, k, false);
}

/* A lock stands in the way of what is due: it is asked again every minute, and told once. */
static int due_forbidden(struct engine *e, struct caller *c, struct kms_key *k)
{
    int r = kms_locks_forbid(e, c, k, false);
    if (r != -EPERM)
        return r;
    if (!k->postponed) {
        log_warning("KMS key destruction postponed: %s", c->reason.text);
        kms_change_note(e, c, "KmsKeyDestructionPostponed", k, kms_state_name(k->state), r);
    }
    k->postponed = true;
    return r;
}

/* The first key with something due; M. */
static struct kms_key *due_key(struct engine *e, int64_t date_ms, bool *ret_whole)
{
    for (size_t i = 0; i < e->kms->key_count; i++) {
        struct kms_key *k = e->kms->keys[i];
        *ret_whole = k->state == KMS_PENDING_DELETION && k->deletion_ms && k->deletion_ms <= date_ms;
        bool expired = k->external && k->version && k->valid_to_ms && k->valid_to_ms <= date_ms;
        if ((*ret_whole || expired) && clock_mono_ns() >= k->next_try_ns)
            return k;
    }
    return NULL;
}

/* One destruction that is due; 1 when there was one. */
static int destroy_due(struct engine *e)
{
    static const int64_t AGAIN_NS = INT64_C(60) * 1000000000;
    uint8_t id[16];
    struct caller c;
    engine_caller_init(e, &c, 0, 0, 0, "internal");
    {
        LOCK_SCOPE(&e->meta);
        bool whole;
        struct kms_key *k = due_key(e, compliance_date_ms(e), &whole);
        if (!k)
            return 0;
        memcpy(id, k->id, sizeof id);
        k->next_try_ns = clock_mono_ns() + AGAIN_NS;
        if (due_forbidden(e, &c, k) < 0)
            return 1;
        if (destroy(e, &c, k, whole) < 0)
            return 1;
        if (whole)
            key_forget(e, k);
    }
    sse_evict(e, id);
    return 1;
}

static void rotate_due(struct engine *e)
{
    struct caller c;
    engine_caller_init(e, &c, 0, 0, 0, "internal");
    LOCK_SCOPE(&e->meta);
    int64_t now_ms = clock_wall_ns() / 1000000;
    for (size_t i = 0; i < e->kms->key_count; i++) {
        struct kms_key *k = e->kms->keys[i];
        if (!k->rotate_days || k->rotate_at_ms > now_ms || k->state != KMS_ENABLED)
            continue;
        int r = kms_rotate(e, &c, k);
        if (r == 0)
            r = kms_change_note(e, &c, "RotateKey", k, kms_state_name(k->state), 0);
        if (r < 0)
            log_warning("rotating %s: %s", k->arn, c.reason.text[0] ? c.reason.text : strerror(-r));
    }
}

void kms_run(struct engine *e)
{
    if (e->read_only)
        return;
    while (destroy_due(e) > 0)
        continue;
    rotate_due(e);
    sse_run(e);
}
