/* SPDX-License-Identifier: GPL-3.0-or-later
 * Properties of object lock on files and versions (retention.md §2.6): retention and its halves, legal hold, bypass, settle.
 *
 * On a file with several names a change reaches the current version under each; reading shows the weakest. What is allowed is
 * judged in lock.c. */
#include "engine/lock.h"
#include "engine/property.h"
#include "engine/trail.h"

#include <stdio.h>

/* ---- reading: the weakest of all names ---- */

static int weaker(struct property_call *p, struct version *v, void *arg)
{
    struct version *weakest = arg;
    (void)p;
    if (v->lock_mode < weakest->lock_mode || (v->lock_mode == weakest->lock_mode && v->lock_until_ms < weakest->lock_until_ms)) {
        weakest->lock_mode = v->lock_mode;
        weakest->lock_until_ms = v->lock_until_ms;
        weakest->lock_hold_s = v->lock_hold_s;
    }
    if (v->legal_hold < weakest->legal_hold)
        weakest->legal_hold = v->legal_hold;
    return 0;
}

/* Lock columns only. */
static int weakest_lock(struct property_call *p, struct version *ret)
{
    if (!p->has_version)
        return -ENODATA;
    *ret = (struct version){
        .lock_mode = p->version.lock_mode,
        .lock_until_ms = p->version.lock_until_ms,
        .lock_hold_s = p->version.lock_hold_s,
        .legal_hold = p->version.legal_hold,
    };
    return property_each_version(p, weaker, ret);
}

static int weakest_retention(struct property_call *p, struct version *ret)
{
    int r = weakest_lock(p, ret);
    return r == 0 && ret->lock_mode == LOCK_NONE ? -ENODATA : r;
}

int get_retention(struct property_call *p, struct bytes *out)
{
    struct version v;
    char until[40];
    int r = weakest_retention(p, &v);
    if (r < 0)
        return r;
    timeform_format_ms(v.lock_until_ms, until);
    bytes_printf(out, "%s %s", lock_mode_text(v.lock_mode), until);
    return 0;
}

int get_lock_mode(struct property_call *p, struct bytes *out)
{
    struct version v;
    int r = weakest_retention(p, &v);
    if (r == 0)
        bytes_printf(out, "%s", lock_mode_text(v.lock_mode));
    return r;
}

int get_lock_date(struct property_call *p, struct bytes *out)
{
    struct version v;
    char until[40];
    int r = weakest_retention(p, &v);
    if (r < 0)
        return r;
    timeform_format_ms(v.lock_until_ms, until);
    bytes_printf(out, "%s", until);
    return 0;
}

int get_remaining(struct property_call *p, struct bytes *out)
{
    struct version v;
    int r = weakest_retention(p, &v);
    if (r < 0)
        return r;
    bytes_printf(out, "%lld", (long long)compliance_left_s(p->engine, v.lock_hold_s));
    return 0;
}

int get_hold(struct property_call *p, struct bytes *out)
{
    struct version v;
    int r = weakest_lock(p, &v);
    if (r < 0)
        return r;
    if (v.legal_hold == HOLD_NEVER)
        return -ENODATA;
    bytes_printf(out, "%s", v.legal_hold == HOLD_ON ? "ON" : "OFF");
    return 0;
}

/* ---- retention ---- */

static int change_one(struct property_call *p, struct version *v, void *arg)
{
    bool changed;
    struct span key = span_of(v->key, v->key_len);
    struct may m = {.values = p->values, .count = p->value_count, .record = &v->record, .seq = p->inode ? 0 : v->seq};
    int r = engine_may_with(p->engine, p->caller, "s3:PutObjectRetention", p->bucket, key, &m);
    if (r == 0)
        r = lock_retention_change(p->engine, p->caller, v, arg, &changed);
    p->changed_lock |= r == 0 && changed;
    return r;
}

static int not_there(struct property_call *p)
{
    return reason_fail(&p->caller->reason, ENODATA, "nothing was written here yet, so there is no version to lock");
}

static int change_retention(struct property_call *p, struct lock_wanted *wanted)
{
    return p->has_version ? property_each_version(p, change_one, wanted) : not_there(p);
}

int set_retention(struct property_call *p, const char *text, size_t len)
{
    (void)len;
    struct lock_wanted wanted;
    int r = lock_retention_parse(text, compliance_date_ms(p->engine), &wanted, &p->caller->reason);
    return r < 0 ? r : change_retention(p, &wanted);
}

int remove_retention(struct property_call *p)
{
    struct lock_wanted none = {.mode = LOCK_NONE};
    struct version v;
    if (p->has_version && half_lock_take(p->engine, p->caller->uid, &p->version, &none))
        return 0;
    int r = weakest_lock(p, &v);
    if (r < 0)
        return r;
    if (v.lock_mode == LOCK_NONE && (!p->inode || p->inode->nlink < 2))
        return -ENODATA;
    return change_retention(p, &none);
}

/* One half, mode or date (the other is LOCK_NONE or -1): completes a retention in force or a half that waits, or waits itself. */
static int set_half(struct property_call *p, struct lock_wanted half)
{
    struct lock_wanted other;
    if (!p->has_version)
        return not_there(p);
    if (lock_retention_in_force(p->engine, &p->version))
        other = (struct lock_wanted){.mode = p->version.lock_mode, .until_ms = p->version.lock_until_ms};
    else if (!half_lock_take(p->engine, p->caller->uid, &p->version, &other))
        other = (struct lock_wanted){.mode = LOCK_NONE, .until_ms = -1};
    if (half.mode == LOCK_NONE)
        half.mode = other.mode;
    if (half.until_ms < 0)
        half.until_ms = other.until_ms;
    if (half.mode != LOCK_NONE && half.until_ms >= 0)
        return change_retention(p, &half);
    snprintf(p->notice, sizeof p->notice,
             "half a retention, nothing locked yet: set user.s3.object-lock-%s within %d seconds",
             half.mode == LOCK_NONE ? "mode" : "retain-until-date", BYPASS_VERSION_S);
    return half_lock_put(p->engine, p->caller->uid, &p->version, &half);
}

int set_lock_mode(struct property_call *p, const char *text, size_t len)
{
    struct lock_wanted half = {.until_ms = -1};
    if (lock_mode_parse(text, len, &half.mode) < 0)
        return reason_fail_s3(&p->caller->reason, EINVAL, "InvalidArgument",
                              "Unknown wormMode directive. The mode is GOVERNANCE or COMPLIANCE");
    return set_half(p, half);
}

int set_lock_date(struct property_call *p, const char *text, size_t len)
{
    (void)len;
    struct lock_wanted half = {.mode = LOCK_NONE};
    if (timeform_lock_date(text, &half.until_ms) < 0)
        return reason_fail_s3(&p->caller->reason, EINVAL, "InvalidArgument",
                              "The retain until date must be provided in ISO 8601 format");
    return set_half(p, half);
}

/* ---- legal hold ---- */

static int hold_one(struct property_call *p, struct version *v, void *arg)
{
    const bool *on = arg;
    bool changed;
    struct span key = span_of(v->key, v->key_len);
    struct may m = {.values = p->values, .count = p->value_count, .record = &v->record, .seq = p->inode ? 0 : v->seq};
    int r = engine_may_with(p->engine, p->caller, "s3:PutObjectLegalHold", p->bucket, key, &m);
    if (r == 0)
        r = lock_hold_change(p->engine, p->caller, v, *on, &changed);
    p->changed_lock |= r == 0 && changed;
    return r;
}

int set_hold(struct property_call *p, const char *text, size_t len)
{
    (void)len;
    bool on;
    int r = lock_hold_parse(text, &on, &p->caller->reason);
    if (r < 0)
        return r;
    return p->has_version ? property_each_version(p, hold_one, &on) : not_there(p);
}

int remove_hold(struct property_call *p)
{
    struct version v;
    bool off = false;
    int r = weakest_lock(p, &v);
    if (r < 0)
        return r;
    if (v.legal_hold == HOLD_NEVER)
        return -ENODATA;
    return property_each_version(p, hold_one, &off);
}

/* ---- bypass ---- */

int get_bypass(struct property_call *p, struct bytes *out)
{
    bool armed = p->where & ON_DIR ? bypass_armed_dir(p->engine, p->caller->uid, p->bucket->number, property_key(p))
                                   : p->has_version && bypass_armed_version(p->engine, p->caller->uid, &p->version);
    if (!armed)
        return -ENODATA;
    bytes_printf(out, "true");
    return 0;
}

static int arm_one(struct property_call *p, struct version *v, void *arg)
{
    (void)arg;
    return bypass_arm_version(p->engine, p->caller->uid, v);
}

/* `true SECONDS`; 0 when it is anything else. */
static int64_t seconds_of(const char *text)
{
    int64_t seconds;
    if (strncmp(text, "true ", 5) != 0 || text[5] < '0' || text[5] > '9' || text[strlen(text) - 1] > '9' ||
        timeform_duration(text + 5, &seconds) < 0)
        return 0;
    return seconds > BYPASS_DIR_MAX_S ? 0 : seconds;
}

static int armed_note(struct property_call *p, int64_t seconds)
{
    return trail_note_alone(p->engine, p->caller, &(struct trail_event){
                                                      .name = "ArmBypassGovernanceRetention",
                                                      .source = TRAIL_HOLDFS,
                                                      .bucket = p->bucket,
                                                      .key = property_key(p),
                                                      .params = json_pack("{s:I}", "seconds", (json_int_t)seconds),
                                                  });
}

int set_bypass(struct property_call *p, const char *text, size_t len)
{
    (void)len;
    struct reason *reason = &p->caller->reason;
    int r;
    if (p->where & ON_DIR) {
        int64_t seconds = seconds_of(text);
        if (!seconds)
            return reason_fail(reason, EINVAL, "on a directory the bypass is `true SECONDS`, 1 to %d", BYPASS_DIR_MAX_S);
        r = armed_note(p, seconds);
        if (r == 0)
            r = bypass_arm_dir(p->engine, p->caller->uid, p->bucket->number, property_key(p), seconds);
    } else if (strcmp(text, "true") != 0) {
        return reason_fail(reason, EINVAL, "the bypass of a file or version is armed with the value true");
    } else if (!p->has_version) {
        return reason_fail(reason, ENODATA, "nothing was written here yet, so there is no version to bypass a lock of");
    } else {
        r = armed_note(p, BYPASS_VERSION_S);
        if (r == 0)
            r = property_each_version(p, arm_one, NULL);
    }
    if (r == 0)
        log_notice("uid %u armed a bypass of governance retention on %s", p->caller->uid, engine_show(p->bucket, property_key(p)));
    return r;
}

static int disarm_one(struct property_call *p, struct version *v, void *arg)
{
    bool *any = arg;
    *any |= bypass_disarm_version(p->engine, p->caller->uid, v) == 0;
    return 0;
}

int remove_bypass(struct property_call *p)
{
    bool any = false;
    if (p->where & ON_DIR)
        return bypass_disarm_dir(p->engine, p->caller->uid, p->bucket->number, property_key(p));
    int r = property_each_version(p, disarm_one, &any);
    return r < 0 ? r : any ? 0 : -ENODATA;
}

/* ---- settle ---- */

int get_settle(struct property_call *p, struct bytes *out)
{
    int64_t left = p->has_version ? settle_left_s(p->engine, p->version.seq) : p->bucket->settle_s;
    bytes_printf(out, "%lld", (long long)left);
    return 0;
}

static int settle_one(struct property_call *p, struct version *v, void *arg)
{
    (void)arg;
    enum lock_mode before = v->lock_mode;
    int r = settle_waiting(p->engine, v->seq) ? settle_now(p->engine, v) : 0;
    p->changed_lock |= r == 0 && v->lock_mode != before;
    return r;
}

int set_settle(struct property_call *p, const char *text, size_t len)
{
    (void)len;
    if (strcmp(text, "now") != 0)
        return reason_fail(&p->caller->reason, EINVAL,
                           "user.s3.settle takes the value now; a bucket's settle time is user.s3.bucket.settle");
    return p->has_version ? property_each_version(p, settle_one, NULL) : 0;
}
