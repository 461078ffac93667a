/* SPDX-License-Identifier: GPL-3.0-or-later
 * The store's compliance clock: C, the one judge of "in force" (E4), kept in the metadata value "clock".
 *
 * Everything runs under engine.meta. The worker ticks each second and saves each minute (compliance_run); judging ticks
 * as well. lock.c saves before the first removal that an expiry allows, so that C never falls behind what it has freed. */
#include "engine/compliance.h"
#include "engine/trail.h"
#include "engine/private.h"
#include "engine/trail.h"

#include <stdio.h>

enum { NS_PER_S = 1000000000, NS_PER_MS = 1000000, SAVE_EVERY_S = 60 };
/* Between ticks of judging: reading all clocks opens files in /proc, and many tiny ticks would sum up their jitter. */
static const int64_t tick_least_ns = 10 * NS_PER_MS;

struct compliance {
    struct compliance_state state; /* M */
    int64_t saved_c_s;             /* M: C as the metadata has it */
    int64_t saved_mono_ns;         /* M: when */
    bool follows_wall;             /* fixed: --retention-clock wall */
};

static const char value_name[] = "clock", kind_name[] = "clock.kind";

static int state_load(struct engine *e, struct compliance_state *ret, struct reason *reason)
{
    struct span value;
    int r = e->meta_ops->value_get(e->m, value_name, &value);
    if (r == 0)
        r = compliance_state_decode(value.p, value.len, ret);
    if (r == -ENOENT || r == -EBADMSG)
        return reason_fail(reason, EIO,
                           "the store's compliance clock is missing or damaged; run holdfs fsck and put back the metadata");
    return r;
}

static int state_save(struct engine *e, const struct compliance_state *s)
{
    struct bytes packed = {0};
    compliance_state_encode(s, &packed);
    int r = packed.failed ? -ENOMEM : e->meta_ops->value_put(e->m, value_name, span_of(packed.data, packed.len));
    bytes_done(&packed);
    return r;
}

int compliance_init_values(struct engine *e)
{
    struct compliance_state s;
    struct clock_reading now;
    clock_read(&now);
    compliance_state_init(&s, clock_wall_ns(), &now);
    const char *kind = e->conf.retention_clock;
    int r = e->meta_ops->value_put(e->m, kind_name, span_of(kind, strlen(kind)));
    return r < 0 ? r : state_save(e, &s);
}

/* holdfs.conf is plain and can be altered by whoever reaches the store; the kind that counts is in the metadata. */
static int kind_check(struct engine *e, struct reason *reason)
{
    struct span kind;
    int r = e->meta_ops->value_get(e->m, kind_name, &kind);
    if (r == -ENOENT)
        return 0; /* made before the kind stood there */
    if (r == 0 && (kind.len != strlen(e->conf.retention_clock) || memcmp(kind.p, e->conf.retention_clock, kind.len)))
        return reason_fail(reason, EIO, "holdfs.conf says 'retention-clock = %s', but the store was made with '%.*s': put that back",
                           e->conf.retention_clock, (int)kind.len, (const char *)kind.p);
    return r;
}

int compliance_open(struct engine *e, struct reason *reason)
{
    struct compliance_state s;
    int r = kind_check(e, reason);
    if (r == 0)
        r = state_load(e, &s, reason);
    if (r < 0)
        return r;
    struct compliance *k = calloc(1, sizeof *k);
    if (!k)
        return -ENOMEM;
    k->follows_wall = strcmp(e->conf.retention_clock, "wall") == 0;
    k->saved_c_s = s.c_sec;
    k->saved_mono_ns = INT64_MIN / 2; /* long ago: the gap that is credited now is saved soon */
    struct clock_reading now;
    clock_read(&now);
    compliance_state_open(&s, &now);
    k->state = s;
    e->clock = k;
    if (k->follows_wall)
        compliance_state_follow(&k->state, clock_wall_ns());
    return 0;
}

void compliance_close(struct engine *e)
{
    free(e->clock);
    e->clock = NULL;
}

void compliance_tick(struct engine *e)
{
    struct clock_reading now;
    clock_read(&now);
    compliance_state_tick(&e->clock->state, &now);
    if (e->clock->follows_wall)
        compliance_state_follow(&e->clock->state, clock_wall_ns());
}

void compliance_raise(struct engine *e, int64_t c_s)
{
    compliance_state_raise(&e->clock->state, c_s);
}

static void tick_if_due(struct engine *e)
{
    int64_t since = clock_mono_ns() - e->clock->state.last.mono_ns;
    if (since < 0 || since >= tick_least_ns)
        compliance_tick(e);
}

int compliance_save(struct engine *e)
{
    compliance_tick(e);
    int r = state_save(e, &e->clock->state);
    if (r == 0) {
        e->clock->saved_c_s = e->clock->state.c_sec;
        e->clock->saved_mono_ns = clock_mono_ns();
    }
    return r;
}

int compliance_save_beyond(struct engine *e, int64_t hold_s)
{
    return e->clock->saved_c_s >= hold_s ? 0 : compliance_save(e);
}

/* Ticks, and saves when a minute passed: no more than that is lost by a reboot. M, outside of a transaction. */
static void tick_and_save(struct engine *e)
{
    compliance_tick(e);
    int64_t since = clock_mono_ns() - e->clock->saved_mono_ns;
    if (e->read_only || (since >= 0 && since < (int64_t)SAVE_EVERY_S * NS_PER_S))
        return;
    int r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, compliance_save(e));
    if (r == 0)
        trail_idle(e);
    if (r < 0)
        log_warning("the compliance clock could not be saved: %s", strerror(-r));
}

void compliance_run(struct engine *e)
{
    LOCK_SCOPE(&e->meta);
    tick_and_save(e);
}

int64_t compliance_now_s(struct engine *e)
{
    tick_if_due(e);
    return e->clock->state.c_sec;
}

int64_t compliance_left_s(struct engine *e, int64_t hold_s)
{
    if (compliance_now_s(e) >= hold_s)
        return 0;
    /* A begun second of C counts as gone: what was set for 30 days has at most 30 days left. */
    int64_t left = hold_s - e->clock->state.c_sec - (e->clock->state.c_nsec > 0);
    return left > 0 ? left : 1;
}

int64_t compliance_date_ms(struct engine *e)
{
    tick_if_due(e);
    return compliance_state_date_ns(&e->clock->state) / NS_PER_MS;
}

int64_t compliance_hold_s(struct engine *e, int64_t until_ms)
{
    return compliance_state_hold_s(&e->clock->state, until_ms);
}

struct lock_count {
    struct engine *engine;
    json_int_t in_force;
};

static int count_lock(void *arg, const struct version_row *row)
{
    struct lock_count *count = arg;
    const struct version v = {
        .flags = row->flags,
        .lock_mode = row->lock_mode,
        .lock_hold_s = row->lock_hold_s,
        .legal_hold = row->legal_hold,
    };
    count->in_force += lock_in_force(count->engine, &v);
    return 0;
}

static int clock_show(struct engine *e, json_t **ret)
{
    tick_and_save(e);
    struct lock_count count = {.engine = e};
    int r = e->meta_ops->version_scan_since(e->m, 0, count_lock, &count);
    if (r < 0)
        return r;
    const struct compliance_state *s = &e->clock->state;
    int64_t date_ns = compliance_state_date_ns(s), wall_ns = clock_wall_ns();
    char date[40], wall[40];
    timeform_format_ms(date_ns / NS_PER_MS, date);
    timeform_format_ms(wall_ns / NS_PER_MS, wall);
    json_t *out = json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "kind", e->conf.retention_clock, "c",
                            (json_int_t)s->c_sec, "t", date, "wall", wall, "lag_s",
                            (json_int_t)(wall_ns / NS_PER_S - date_ns / NS_PER_S), "offset",
                            (json_int_t)(s->offset_ns / NS_PER_S), "approvals", (json_int_t)s->approvals,
                            "locks_in_force", count.in_force);
    r = out ? tsa_show(e, out) : -ENOMEM;
    if (r < 0)
        json_decref(out);
    else
        *ret = out;
    return r;
}

int engine_clock_show(struct engine *e, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    return clock_show(e, ret);
}

/* ---- setting its date (retention.md §3) ---- */

static int first_root_demanded(const struct engine *e, struct caller *c)
{
    if (c->principal.kind == PRINCIPAL_ROOT && strcmp(c->principal.account, e->conf.account_id) == 0)
        return 0;
    return reason_fail_s3(&c->reason, EACCES, "AccessDenied", "only the first account's root sets the store's date");
}

/* The date that was typed is the machine's, so that a wrong clock is noticed; and the store's date goes forward. */
static int approve_judge(struct engine *e, struct caller *c, const char *date)
{
    char wall[40], store[40];
    int64_t wall_ns = clock_wall_ns();
    timeform_format_ms(wall_ns / NS_PER_MS, wall);
    timeform_format_ms(compliance_date_ms(e), store);
    if (strlen(date) != 10 || strncmp(date, wall, 10) != 0)
        return reason_fail(&c->reason, EINVAL, "this machine's date is %.10s (UTC), not '%.16s': put its clock right, or name that date", wall, date);
    if (wall_ns < compliance_state_date_ns(&e->clock->state))
        return reason_fail(&c->reason, EINVAL, "this machine's clock says %s, and the store believes %s already: its date never goes back", wall, store);
    return 0;
}

struct retention_count {
    struct engine *engine;
    unsigned long long in_force;
};

static int count_retention(void *arg, const struct version_row *row)
{
    struct retention_count *count = arg;
    const struct version v = {.flags = row->flags, .lock_mode = row->lock_mode, .lock_hold_s = row->lock_hold_s};
    count->in_force += !(v.flags & VERSION_MARKER) && lock_retention_in_force(count->engine, &v);
    return 0;
}

static int reset_judge(struct engine *e, struct caller *c)
{
    struct retention_count count = {.engine = e};
    int r = e->meta_ops->version_scan_since(e->m, 0, count_retention, &count);
    if (r < 0 || !count.in_force)
        return r;
    return reason_fail(&c->reason, EPERM, "%llu versions are under retention now: the clock is not set while one is; `holdfs clock approve` sets the "
                       "date of later locks alone", count.in_force);
}

static int date_set(struct engine *e, struct caller *c, const char *event)
{
    char before[40], after[40];
    int64_t wall_ns = clock_wall_ns();
    compliance_tick(e);
    struct compliance_state was = e->clock->state;
    timeform_format_ms(compliance_state_date_ns(&was) / NS_PER_MS, before);
    compliance_state_approve(&e->clock->state, wall_ns);
    timeform_format_ms(compliance_state_date_ns(&e->clock->state) / NS_PER_MS, after);
    int r = txn_begin(e);
    if (r == 0) {
        r = compliance_save(e);
        if (r == 0)
            r = trail_note(e, c, &(struct trail_event){.name = event,
                                                       .source = TRAIL_HOLDFS,
                                                       .params = json_pack("{s:s}", "date", after),
                                                       .previous = json_pack("{s:s}", "date", before)});
        r = txn_end(e, r);
    }
    if (r < 0) {
        e->clock->state = was;
        return r;
    }
    log_notice("the store's date was set from %s to %s by uid %u", before, after, c->uid);
    return 0;
}

/* date NULL: reset. */
static int judge(struct engine *e, struct caller *c, const char *date)
{
    int r = first_root_demanded(e, c);
    return r < 0 ? r : date ? approve_judge(e, c, date) : reset_judge(e, c);
}

static int set_date(struct engine *e, struct caller *c, const char *date, const char *code, json_t **ret)
{
    int r;
    {
        LOCK_SCOPE(&e->meta);
        r = judge(e, c, date);
    }
    if (r == 0)
        r = engine_mfa_code(e, c, e->conf.account_id, NULL, code);
    if (r < 0)
        return r;
    {
        LOCK_SCOPE(&e->meta);
        r = judge(e, c, date);
        if (r == 0)
            r = date_set(e, c, date ? "ApproveClock" : "ResetClock");
        if (r == 0)
            r = clock_show(e, ret);
        if (r < 0)
            return r;
    }
    return durable_advance(e);
}

int engine_clock_approve(struct engine *e, struct caller *c, const char *date, const char *code, json_t **ret)
{
    return set_date(e, c, date, code, ret);
}

int engine_clock_reset(struct engine *e, struct caller *c, const char *code, json_t **ret)
{
    return set_date(e, c, NULL, code, ret);
}
