/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reading the trail for commands, page by page, and its settings. Verification, filters and formats are the reader's: the texts go out
 * as they are hashed. */
#include "engine/trail.h"

#include <stdio.h>

enum { PAGE_BYTES = 192 * 1024, KEEP_LEAST_DAYS = 90 };

struct page {
    uint64_t after, max, count;
    size_t bytes;
    json_t *list;
    bool full;
};

static int page_record(void *arg, uint64_t seq, const uint8_t *hash, const uint8_t *text, size_t len)
{
    struct page *p = arg;
    char hex[2 * AUDIT_HASH_BYTES + 1];
    if (seq <= p->after)
        return 0;
    if (p->count >= p->max || (p->bytes + len > PAGE_BYTES && p->count)) {
        p->full = true;
        return 1;
    }
    hex_format(hash, AUDIT_HASH_BYTES, hex);
    json_t *one = json_pack("{s:I, s:s, s:s%}", "seq", (json_int_t)seq, "hash", hex, "text", text, len);
    if (!one || json_array_append_new(p->list, one) < 0)
        return -ENOMEM;
    p->count++;
    p->bytes += len;
    return 0;
}

static int page_row(void *arg, const struct trail_row *row)
{
    return trail_row_each(row, page_record, arg);
}

static int row_begin(void *arg, const struct trail_row *row)
{
    *(uint64_t *)arg = row->seq;
    return 1;
}

/* A row's signature and text as JSON. */
static json_t *head_json(const struct span *body)
{
    char signature[2 * AUDIT_SIGNATURE_BYTES];
    if (body->len < AUDIT_SIGNATURE_BYTES)
        return NULL;
    base64_format(body->p, AUDIT_SIGNATURE_BYTES, signature);
    return json_pack("{s:s, s:s%}", "sig", signature, "text", body->p + AUDIT_SIGNATURE_BYTES, body->len - AUDIT_SIGNATURE_BYTES);
}

static json_t *checkpoint_json(struct engine *e)
{
    struct span value;
    return e->meta_ops->value_get(e->m, "trail.checkpoint", &value) == 0 ? head_json(&value) : NULL;
}

int trail_may(struct engine *e, struct caller *c, const char *action)
{
    int r = engine_may(e, c, action, NULL, span_of(NULL, 0));
    return r == 0 && !e->trail ? -ENOENT : r;
}

int engine_audit_read(struct engine *e, struct caller *c, uint64_t after, uint64_t max, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    int r = trail_may(e, c, "audit:Read");
    if (r == 0 && !e->read_only)
        r = trail_folds_close(e, true);
    if (r < 0)
        return r;
    struct page p = {.after = after, .max = max, .list = json_array()};
    uint64_t from = after + 1;
    r = e->meta_ops->trail_scan(e->m, TRAIL_RECORDS, after + 1, true, row_begin, &from);
    if (r == 0 && max)
        r = e->meta_ops->trail_scan(e->m, TRAIL_RECORDS, from, false, page_row, &p);
    const struct trail *t = e->trail;
    json_t *out = r < 0 ? NULL : json_pack("{s:s, s:I, s:O, s:b, s:o*}", "chain", t->chain, "last", (json_int_t)t->committed.seq, "records", p.list,
                                           "more", p.full, "checkpoint", checkpoint_json(e));
    json_decref(p.list);
    *ret = out;
    return r < 0 ? r : out ? 0 : -ENOMEM;
}

int engine_audit_export(struct engine *e, struct caller *c, const json_t *options)
{
    LOCK_SCOPE(&e->meta);
    int r = trail_may(e, c, "audit:Export");
    if (r < 0)
        return r;
    return trail_note_alone(e, c, &(struct trail_event){.name = "ExportAuditTrail",
                                                        .source = TRAIL_HOLDFS,
                                                        .params = options ? json_deep_copy(options) : NULL,
                                                        .flags = TRAIL_READ});
}

/* ---- heads ---- */

struct heads {
    uint64_t max, count;
    json_t *list;
    bool full;
};

static int heads_row(void *arg, const struct trail_row *row)
{
    struct heads *h = arg;
    if (h->count >= h->max) {
        h->full = true;
        return 1;
    }
    json_t *one = head_json(&row->body);
    if (!one || json_object_set_new(one, "seq", json_integer((json_int_t)row->seq)) < 0 || json_array_append_new(h->list, one) < 0)
        return -ENOMEM;
    h->count++;
    return 0;
}

/* The time-stamp tokens that stand beside heads. */
static int tokens_add(struct engine *e, json_t *list)
{
    size_t n;
    json_t *one;
    json_array_foreach(list, n, one) {
        char name[48];
        struct span value;
        snprintf(name, sizeof name, "trail.token/%020lld", (long long)json_integer_value(json_object_get(one, "seq")));
        int r = e->meta_ops->value_get(e->m, name, &value);
        if (r == -ENOENT)
            continue;
        char *text = r == 0 ? malloc(4 * ((value.len + 2) / 3) + 1) : NULL;
        if (!text)
            return r < 0 ? r : -ENOMEM;
        base64_format(value.p, value.len, text);
        json_object_set_new(one, "token", json_string(text));
        free(text);
    }
    return 0;
}

int engine_audit_heads(struct engine *e, struct caller *c, uint64_t after, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    int r = trail_may(e, c, "audit:Read");
    if (r < 0)
        return r;
    struct heads h = {.max = 256, .list = json_array()};
    char hex[2 * AUDIT_PUBLIC_BYTES + 1];
    hex_format(e->trail->public, AUDIT_PUBLIC_BYTES, hex);
    r = e->meta_ops->trail_scan(e->m, TRAIL_HEADS, after + 1, false, heads_row, &h);
    if (r == 0)
        r = tokens_add(e, h.list);
    json_t *out = r < 0 ? NULL : json_pack("{s:s, s:s, s:s, s:O, s:b, s:o, s:o*}", "chain", e->trail->chain, "key", e->trail->key_id, "public", hex, "heads",
                                           h.list, "more", h.full, "anchors", trail_anchors_json(e), "anchored", trail_anchored_json(e));
    json_decref(h.list);
    *ret = out;
    return r < 0 ? r : out ? 0 : -ENOMEM;
}

/* ---- settings ---- */

static const char *const data_events[] = {"none", "write", "all"};

static json_t *settings_json(const struct trail *t)
{
    return json_pack("{s:I, s:i}", "keep_days", (json_int_t)t->keep_days, "data_events", t->data_events);
}

static void setting_show(const struct trail *t, const char *name, char out[32])
{
    if (strcmp(name, "audit-data-events") == 0)
        snprintf(out, 32, "%s", data_events[t->data_events]);
    else if (t->keep_days)
        snprintf(out, 32, "%lldd", (long long)t->keep_days);
    else
        snprintf(out, 32, "forever");
}

static int setting_read(const char *name, const char *value, struct trail *t, struct reason *reason)
{
    int64_t seconds = 0;
    if (strcmp(name, "audit-data-events") == 0) {
        for (t->data_events = 0; t->data_events < 3; t->data_events++) {
            if (strcmp(value, data_events[t->data_events]) == 0)
                return 0;
        }
        return reason_fail(reason, EINVAL, "audit-data-events is none, write or all");
    }
    if (strcmp(name, "audit-keep") != 0)
        return reason_fail(reason, EINVAL, "there is no setting '%.64s'; those of the trail are audit-keep and audit-data-events", name);
    if (strcmp(value, "forever") != 0 && (timeform_duration(value, &seconds) < 0 || seconds < KEEP_LEAST_DAYS * 86400))
        return reason_fail(reason, EINVAL, "audit-keep is forever or at least %dd: what is younger is kept whatever happens", KEEP_LEAST_DAYS);
    t->keep_days = seconds / 86400;
    return 0;
}

static int settings_put(struct engine *e, const struct trail *t)
{
    json_t *o = settings_json(t);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    int r = text ? e->meta_ops->value_put(e->m, "trail.settings", span_of(text, strlen(text))) : -ENOMEM;
    free(text);
    json_decref(o);
    return r;
}

int engine_audit_set(struct engine *e, struct caller *c, const char *name, const char *value)
{
    {
        LOCK_SCOPE(&e->meta);
        int r = trail_may(e, c, "audit:Configure");
        if (r == 0 && strcmp(name, "audit-keep") == 0 && c->principal.kind != PRINCIPAL_ROOT)
            r = reason_fail_s3(&c->reason, EACCES, "AccessDenied", "only the first account's root says how long the audit trail is kept");
        struct trail *t = e->trail, fresh = {0};
        char before[32];
        if (r < 0)
            return r;
        fresh.keep_days = t->keep_days;
        fresh.data_events = t->data_events;
        r = setting_read(name, value, &fresh, &c->reason);
        if (r == 0)
            r = txn_begin(e);
        if (r < 0)
            return r;
        setting_show(t, name, before);
        r = settings_put(e, &fresh);
        r = txn_end(e, trail_also(e, c, r, &(struct trail_event){.name = "PutAuditSettings",
                                                                 .source = TRAIL_HOLDFS,
                                                                 .params = json_pack("{s:s, s:s}", "name", name, "value", value),
                                                                 .previous = json_string(before)}));
        if (r < 0)
            return r;
        t->keep_days = fresh.keep_days;
        t->data_events = fresh.data_events;
    }
    return durable_advance(e);
}

/* ---- keys ---- */

int engine_audit_rotate_key(struct engine *e, struct caller *c, json_t **ret)
{
    {
        LOCK_SCOPE(&e->meta);
        int r = trail_may(e, c, "audit:Configure");
        if (r == 0)
            r = trail_key_rotate(e, c);
        if (r < 0)
            return r;
        struct bytes pem = {0};
        r = audit_public_pem(e->trail->public, &pem);
        *ret = r == 0 ? json_pack("{s:s, s:s%}", "key", e->trail->key_id, "public_key", pem.data, pem.len) : NULL;
        bytes_done(&pem);
        if (!*ret)
            return -ENOMEM;
    }
    return durable_advance(e);
}
