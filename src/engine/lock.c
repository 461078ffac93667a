/* SPDX-License-Identifier: GPL-3.0-or-later
 * Object lock on versions: what it forbids (the one question E3 asks), and how it changes.
 *
 * Judged by the compliance clock alone (E4), inside the transaction that acts on the answer, so that a lock and a removal
 * that race have one winner. */
#include "engine/lock.h"
#include "engine/trail.h"

#include <stdio.h>

bool lock_retention_in_force(struct engine *e, const struct version *v)
{
    return v->lock_mode != LOCK_NONE && compliance_now_s(e) < v->lock_hold_s;
}

bool lock_in_force(struct engine *e, const struct version *v)
{
    if (v->flags & VERSION_MARKER)
        return false; /* a marker is never locked */
    return v->legal_hold == HOLD_ON || lock_retention_in_force(e, v);
}

static struct lock_state state_of(struct engine *e, const struct version *v)
{
    return (struct lock_state){
        .mode = v->lock_mode,
        .until_ms = v->lock_until_ms,
        .in_force = lock_retention_in_force(e, v),
        .hold = v->legal_hold,
    };
}

/* "version k3... of b/f is under COMPLIANCE retention until 2027-01-01T00:00:00.000Z" */
static void describe_lock(struct engine *e, const struct version *v, char *out, size_t cap)
{
    char id[33], until[40], now[40];
    version_id_text(v, id);
    const char *where = engine_show(bucket_by_number(e, v->bucket), span_of(v->key, v->key_len));
    if (v->legal_hold == HOLD_ON) {
        snprintf(out, cap, "version %s of %s is under legal hold", id, where);
        return;
    }
    timeform_format_ms(v->lock_until_ms, until);
    int len = snprintf(out, cap, "version %s of %s is under %s retention until %s", id, where,
                       lock_mode_text(v->lock_mode), until);
    int64_t date_ms = compliance_date_ms(e);
    /* Who sees the date gone by on the wall wants to know why it still holds. */
    if (clock_wall_ns() / 1000000 < v->lock_until_ms || len < 0 || (size_t)len >= cap)
        return;
    timeform_format_ms(date_ms, now);
    snprintf(out + len, cap - (size_t)len, " by the store's compliance clock, which stands at %s", now);
}

static json_t *retention_json(const struct version *v)
{
    char until[40];
    if (v->lock_mode == LOCK_NONE)
        return json_pack("{s:s}", "mode", "NONE");
    timeform_format_ms(v->lock_until_ms, until);
    return json_pack("{s:s, s:s}", "mode", lock_mode_text(v->lock_mode), "retainUntilDate", until);
}

static json_t *hold_json(const struct version *v)
{
    return json_pack("{s:s}", "status", v->legal_hold == HOLD_ON ? "ON" : "OFF");
}

/* For the refusal's record. Whoever asks for something else than a removal names that afterwards. */
static void remember(struct engine *e, struct caller *c, const struct version *v)
{
    static const char *const rules[] = {"", "governance", "compliance"};
    char id[33];
    version_id_text(v, id);
    trail_refuse(c, "s3:DeleteObjectVersion", v->legal_hold == HOLD_ON ? "legal-hold" : rules[v->lock_mode], bucket_by_number(e, v->bucket),
                 span_of(v->key, v->key_len), id);
}

static int forbid_never(struct engine *e, struct caller *c, const struct version *v)
{
    char lock[640];
    remember(e, c, v);
    describe_lock(e, v, lock, sizeof lock);
    return reason_fail_s3(&c->reason, EPERM, "AccessDenied", "%s; %s", lock,
                          v->legal_hold == HOLD_ON ? "lift the hold first (user.s3.legal-hold OFF)"
                                                   : "no one can shorten it");
}

/* Governance yields to an armed bypass of this caller, which is used up. */
static int bypass_judge(struct engine *e, struct caller *c, const struct version *v, bool allowed_here)
{
    bool armed = c->bypass_governance || bypass_armed_version(e, c->uid, v);
    if (!allowed_here || !armed) {
        char lock[640];
        remember(e, c, v);
        describe_lock(e, v, lock, sizeof lock);
        return reason_fail_s3(&c->reason, EPERM, "AccessDenied",
                              "%s; who may s3:BypassGovernanceRetention arms a bypass first (holdfs retention bypass PATH)",
                              lock);
    }
    const struct bucket *b = bucket_by_number(e, v->bucket);
    struct span key = span_of(v->key, v->key_len);
    int r = engine_may(e, c, "s3:BypassGovernanceRetention", b, key);
    if (r < 0)
        return r;
    r = trail_note(e, c, &(struct trail_event){.name = "BypassGovernanceRetention", .version = v, .previous = retention_json(v), .rule = "governance"});
    if (r < 0)
        return r;
    bypass_use(e, c->uid, v);
    log_notice("uid %u used a bypass of governance retention on %s", c->uid, engine_show(b, key));
    return 0;
}

int lock_forbids(struct engine *e, struct caller *c, const struct version *v, bool bypass)
{
    if (v->flags & VERSION_MARKER)
        return 0;
    struct lock_state state = state_of(e, v);
    switch (lock_delete_judge(&state)) {
    case LOCK_NEVER:
        return forbid_never(e, c, v);
    case LOCK_NEEDS_BYPASS:
        return bypass_judge(e, c, v, bypass);
    default:
        /* Before the first removal that this expiry allows, C is saved: no restart may set it back before it. */
        return v->lock_mode == LOCK_NONE ? 0 : compliance_save_beyond(e, v->lock_hold_s);
    }
}

void lock_apply_default(struct engine *e, const struct bucket *b, struct version *v)
{
    if (!b->object_lock || b->default_mode == LOCK_NONE || v->lock_mode != LOCK_NONE || (v->flags & VERSION_MARKER))
        return;
    /* At most 100 years (bucket_config.c): no overflow. */
    int64_t days = b->default_years ? (int64_t)b->default_years * 365 : b->default_days;
    v->lock_mode = b->default_mode;
    v->lock_until_ms = compliance_date_ms(e) + days * 86400 * 1000;
    v->lock_hold_s = compliance_hold_s(e, v->lock_until_ms);
}

int lock_note_made(struct engine *e, struct caller *c, const struct version *v, bool hold)
{
    if (hold)
        return trail_note(e, c, &(struct trail_event){.name = "PutObjectLegalHold", .version = v, .params = hold_json(v)});
    if (c)
        return trail_note(e, c, &(struct trail_event){.name = "PutObjectRetention", .version = v, .params = retention_json(v)});
    return trail_note(e, NULL, &(struct trail_event){.name = "RetentionSettled", .source = TRAIL_HOLDFS, .version = v,
                                                     .params = retention_json(v), .flags = TRAIL_SERVICE});
}

static void retention_put(struct engine *e, struct version *v, const struct lock_wanted *wanted, bool extend)
{
    int64_t hold = compliance_hold_s(e, wanted->until_ms);
    if (wanted->mode == LOCK_NONE)
        hold = 0;
    else if (extend && v->lock_hold_s > hold)
        hold = v->lock_hold_s; /* dated under another offset: a later date never ends sooner */
    v->lock_mode = wanted->mode;
    v->lock_until_ms = wanted->mode == LOCK_NONE ? 0 : wanted->until_ms;
    v->lock_hold_s = hold;
}

int lock_retention_change(struct engine *e, struct caller *c, struct version *v, const struct lock_wanted *wanted,
                          bool *ret_changed)
{
    *ret_changed = false;
    int r = wanted->mode == LOCK_NONE ? 0 : lock_date_judge(wanted, compliance_date_ms(e), &c->reason);
    if (r < 0)
        return r;
    struct lock_state state = state_of(e, v);
    enum lock_answer answer = lock_change_judge(&state, wanted);
    if (answer == LOCK_NEVER) {
        struct version shown = *v;
        shown.legal_hold = HOLD_NEVER; /* the sentence is about the retention */
        r = forbid_never(e, c, &shown);
    } else if (answer == LOCK_NEEDS_BYPASS) {
        r = bypass_judge(e, c, v, true);
    }
    if (r < 0) {
        if (r == -EPERM)
            c->refused.action = "s3:PutObjectRetention";
        return r;
    }
    if (answer == LOCK_SAME)
        return 0;
    /* An expiry that is overwritten frees for good, as a removal does: C is saved first (§3). */
    if (v->lock_mode != LOCK_NONE && !state.in_force && (r = compliance_save_beyond(e, v->lock_hold_s)) < 0)
        return r;
    bool extend = state.in_force && answer == LOCK_ALLOWED;
    json_t *previous = retention_json(v);
    retention_put(e, v, wanted, extend);
    r = settle_drop(e, v->bucket, span_of(v->key, v->key_len), v->seq); /* S4 */
    if (r == 0)
        r = version_store(e, v);
    r = trail_also(e, c, r, &(struct trail_event){.name = "PutObjectRetention", .version = v, .params = retention_json(v), .previous = previous});
    *ret_changed = r == 0;
    return r;
}

int lock_hold_change(struct engine *e, struct caller *c, struct version *v, bool on, bool *ret_changed)
{
    enum hold_state wanted = on ? HOLD_ON : HOLD_OFF;
    *ret_changed = v->legal_hold != wanted;
    if (!*ret_changed)
        return 0;
    json_t *previous = hold_json(v);
    v->legal_hold = wanted;
    int r = 0;
    /* S4: a hold settles. It leaves the default retention to come (§2.2), so that comes now. */
    if (on && settle_waiting(e, v->seq))
        r = settle_now(e, v);
    if (r == 0)
        r = version_store(e, v);
    return trail_also(e, c, r, &(struct trail_event){.name = "PutObjectLegalHold", .version = v, .params = hold_json(v), .previous = previous});
}

/* Is the version that stands under one of the inode's names pinned? M. */
static int pinned_name(struct engine *e, struct caller *c, const struct inode *i, struct span key)
{
    struct version v;
    int r = version_load(e, i->bucket->number, key, 0, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r; /* not published yet */
    if (v.ino == i->ino && lock_in_force(e, &v)) {
        char lock[640];
        remember(e, c, &v);
        c->refused.action = "s3:PutObject"; /* attributes are the object's, as a copy onto itself would set them */
        describe_lock(e, &v, lock, sizeof lock);
        r = reason_fail_s3(&c->reason, EPERM, "AccessDenied",
                           "%s: owner, times, user.* and trusted.* attributes, content headers and meta.* stay as they are; "
                           "a newer version is free of it",
                           lock);
    }
    version_done(&v);
    return r;
}

int pinned_forbids(struct engine *e, struct caller *c, struct inode *i)
{
    if (i->dir || i->orphan || !i->bucket || !i->bucket->object_lock || draft_unpublished(i))
        return 0;
    struct version_ref *names;
    size_t count;
    int r = inode_names(e, i, &names, &count);
    if (r < 0)
        return r;
    for (size_t n = 0; r == 0 && n < count; n++)
        r = pinned_name(e, c, i, span_of(names[n].key, names[n].key_len));
    version_refs_free(names, count);
    return r;
}

/* retention.md §2.7: tags, ACL and security.* labels stay changeable. */
static bool is_pinned(const struct attr_item *item)
{
    if (item->kind == ATTR_TAG)
        return false;
    if (item->kind != ATTR_XATTR)
        return true;
    static const char *const free_ones[] = {"system.", "security."};
    for (size_t i = 0; i < sizeof free_ones / sizeof *free_ones; i++) {
        if (item->name_len > strlen(free_ones[i]) && memcmp(item->name, free_ones[i], strlen(free_ones[i])) == 0)
            return false;
    }
    return true;
}

static int take_attrs(struct attrs *out, const struct attrs *from, bool pinned)
{
    struct attr_item item;
    int r = 0;
    for (size_t at = 0; r == 0 && attrs_next(from, &at, &item);) {
        if (is_pinned(&item) == pinned)
            r = attrs_set(out, item.kind, item.name, item.name_len, item.value, item.len);
    }
    return r;
}

int lock_pin_record(struct record *mine, const struct record *locked)
{
    struct attrs attrs = {0};
    int r = take_attrs(&attrs, &locked->attrs, true);
    if (r == 0)
        r = take_attrs(&attrs, &mine->attrs, false);
    if (r < 0) {
        attrs_done(&attrs);
        return r;
    }
    attrs_done(&mine->attrs);
    mine->attrs = attrs;
    mine->uid = locked->uid;
    mine->gid = locked->gid;
    mine->mtime = locked->mtime;
    mine->atime = locked->atime;
    mine->atime_set = locked->atime_set;
    mine->btime = locked->btime;
    memcpy(mine->made_by, locked->made_by, sizeof mine->made_by);
    return 0;
}
