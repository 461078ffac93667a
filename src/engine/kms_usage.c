/* SPDX-License-Identifier: GPL-3.0-or-later
 * Who used which key on which object, when, with what result (logs.md §3.5), and `holdfs kms usage`, which asks that.
 *
 * A call of the provider is a record of its own, committed before the answer. Uses of a data key that is open already, and refusals,
 * are folded: one record a minute for the same principal, key, object and result, with `count`. Records are CloudTrail's, without
 * keys or blobs. */
#include "engine/kms.h"

#include <stdio.h>

enum { USES_MAX = 4096, RECORDS_MAX = 200000 };
static const int64_t MINUTE_NS = INT64_C(60) * 1000000000;
static const char prefix[] = "kms/use/";

struct folded {
    struct folded *next;
    json_t *record;
    char *same; /* what it is the same by */
    uint64_t count;
    int64_t from_ns;
};

struct kms_uses {
    struct folded *list;
    size_t count;
    uint64_t next; /* of the next record; 0: not read yet */
    uint64_t first;
};

/* ---- records ---- */

static json_t *identity(struct engine *e, const struct caller *c)
{
    char arn[128];
    if (!c)
        return json_pack("{s:s, s:s}", "type", "AWSService", "principalId", "engine");
    const struct principal *p = &c->principal;
    principal_arn(p, arn);
    const char *type = p->kind == PRINCIPAL_ROOT ? "Root" : p->kind == PRINCIPAL_USER ? "IAMUser" : p->kind == PRINCIPAL_SERVICE ? "AWSService" : "Anonymous";
    json_t *id = json_pack("{s:s, s:s, s:s}", "type", type, "arn", arn, "accountId", p->account[0] ? p->account : e->conf.account_id);
    if (p->kind == PRINCIPAL_USER)
        json_object_set_new(id, "userName", json_string(p->name));
    return id;
}

static json_t *record_new(struct engine *e, const struct caller *c, const char *event, const char *arn, int error)
{
    char time[40], id[37];
    uint8_t uuid[16];
    uuid_random(uuid);
    uuid_format(uuid, id);
    timeform_format_ms(clock_wall_ns() / 1000000, time);
    json_t *r = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:[{s:s, s:s, s:s}]}", "eventVersion", "1.11", "eventTime", time, "eventID", id,
                          "eventSource", "kms.amazonaws.com", "eventName", event, "awsRegion", e->conf.region, "sourceIPAddress", "local",
                          "userIdentity", identity(e, c), "eventType", c ? "AwsApiCall" : "AwsServiceEvent", "resources", "ARN", arn,
                          "type", "AWS::KMS::Key", "accountId", e->conf.account_id);
    if (r && c)
        json_object_set_new(r, "additionalEventData", json_pack("{s:s, s:I, s:I}", "front", c->front, "uid", (json_int_t)c->uid, "pid", (json_int_t)c->pid));
    if (r && error < 0) {
        const char *code = c && c->reason.code[0] ? c->reason.code : error == -EACCES ? "AccessDenied" : strerrorname_np(-error);
        json_object_set_new(r, "errorCode", json_string(code));
        json_object_set_new(r, "errorMessage", json_string(c && c->reason.text[0] ? c->reason.text : strerror(-error)));
    }
    return r;
}

static void version_of(struct engine *e, const struct kms_use *use, char out[33])
{
    struct version v;
    out[0] = '\0';
    if (!use->seq || version_load(e, use->bucket->number, use->name, use->seq, &v) < 0)
        return;
    version_id_text(&v, out);
    version_done(&v);
}

static json_t *use_record(struct engine *e, const struct caller *c, const struct kms_use *use, const char *event)
{
    char version[33];
    const char *arn = use->key ? use->key->arn : use->env->arn;
    json_t *r = record_new(e, c, event, arn, use->error);
    if (!r)
        return NULL;
    json_t *context = json_loadb((const char *)use->env->context.data, use->env->context.len, 0, NULL);
    json_t *params = json_pack("{s:s, s:o, s:s}", "keyId", arn, "encryptionContext", context ? context : json_null(), "keySpec", "AES_256");
    if (use->bucket) {
        json_object_set_new(params, "bucketName", json_string(use->bucket->name));
        json_object_set_new(params, "key", json_stringn((const char *)use->name.p, use->name.len));
        version_of(e, use, version);
        if (version[0])
            json_object_set_new(params, "versionId", json_string(version));
    }
    json_object_set_new(r, "requestParameters", params);
    json_object_set_new(r, "readOnly", json_true());
    json_object_set_new(json_object_get(r, "additionalEventData"), "provider", json_string(use->env->provider));
    json_object_set_new(json_object_get(r, "additionalEventData"), "cached", json_boolean(use->cached));
    return r;
}

/* ---- rows ---- */

static int newest_row(void *arg, const char *name, struct span value)
{
    struct kms_uses *u = arg;
    (void)value;
    uint64_t n = strtoull(name + sizeof prefix - 1, NULL, 16);
    if (!u->first)
        u->first = n;
    u->next = n + 1;
    return 0;
}

static int uses_open(struct engine *e)
{
    if (!e->kms->uses && !(e->kms->uses = calloc(1, sizeof *e->kms->uses)))
        return -ENOMEM;
    if (e->kms->uses->next)
        return 0;
    int r = e->meta_ops->value_scan(e->m, prefix, newest_row, e->kms->uses);
    if (r == 0 && !e->kms->uses->next)
        e->kms->uses->next = e->kms->uses->first = 1;
    return r;
}

static void row_name(uint64_t n, char out[32])
{
    snprintf(out, 32, "%s%016llx", prefix, (unsigned long long)n);
}

/* In a transaction. */
static int record_put(struct engine *e, const json_t *record)
{
    char name[32];
    struct kms_uses *u = e->kms->uses;
    char *text = json_dumps(record, JSON_COMPACT);
    if (!text)
        return -ENOMEM;
    row_name(u->next, name);
    int r = e->meta_ops->value_put(e->m, name, span_of(text, strlen(text)));
    free(text);
    if (r == 0 && ++u->next - u->first > RECORDS_MAX) {
        row_name(u->first++, name);
        r = e->meta_ops->value_del(e->m, name);
    }
    return r;
}

static int record_commit(struct engine *e, const json_t *record)
{
    int r = record ? txn_begin(e) : -ENOMEM;
    return r < 0 ? r : txn_end(e, record_put(e, record));
}

/* ---- folding ---- */

static void folded_free(struct folded *f)
{
    json_decref(f->record);
    free(f->same);
    free(f);
}

static int fold(struct engine *e, const struct caller *c, const struct kms_use *use, const char *event)
{
    struct kms_uses *u = e->kms->uses;
    char who[128] = "engine";
    struct bytes same = {0};
    if (c)
        principal_arn(&c->principal, who);
    bytes_printf(&same, "%s %s %s %d %u %llu ", who, event, use->env->arn, use->error, use->bucket ? use->bucket->number : 0,
                 (unsigned long long)use->seq);
    bytes_put(&same, use->name.p, use->name.len);
    if (!bytes_text(&same)) {
        bytes_done(&same);
        return -ENOMEM;
    }
    for (struct folded *f = u->list; f; f = f->next) {
        if (strcmp(f->same, (const char *)same.data) == 0) {
            f->count++;
            bytes_done(&same);
            return 0;
        }
    }
    struct folded *f = calloc(1, sizeof *f);
    json_t *record = f ? use_record(e, c, use, event) : NULL;
    if (!record) {
        free(f);
        bytes_done(&same);
        return -ENOMEM;
    }
    *f = (struct folded){.next = u->list, .record = record, .same = (char *)same.data, .count = 1, .from_ns = clock_mono_ns()};
    u->list = f;
    u->count++;
    return 0;
}

/* What is a minute old, or all of it, becomes records. M */
static int uses_flush(struct engine *e, bool all)
{
    struct kms_uses *u = e->kms->uses;
    int64_t now = clock_mono_ns();
    if (!u || !u->list || e->read_only)
        return 0;
    int r = txn_begin(e);
    if (r < 0)
        return r;
    for (struct folded *f = u->list; r == 0 && f; f = f->next) {
        if (!all && now - f->from_ns < MINUTE_NS)
            continue;
        json_object_set_new(json_object_get(f->record, "additionalEventData"), "count", json_integer((json_int_t)f->count));
        r = record_put(e, f->record);
    }
    r = txn_end(e, r);
    for (struct folded **at = &u->list, *f; r == 0 && (f = *at);) {
        if (!all && now - f->from_ns < MINUTE_NS) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        u->count--;
        folded_free(f);
    }
    return r;
}

int kms_use_note(struct engine *e, struct caller *c, const struct kms_use *use)
{
    if (e->read_only) /* there is nowhere to write it */
        return 0;
    int r = uses_open(e);
    if (r < 0)
        return r;
    if (e->kms->uses->count >= USES_MAX && (r = uses_flush(e, true)) < 0)
        return r;
    if (use->error < 0)
        return fold(e, c, use, use->event);
    if (use->cached)
        return fold(e, c, use, "DataKeyUse");
    json_t *record = use_record(e, c, use, use->event);
    r = record_commit(e, record);
    json_decref(record);
    return r;
}

int kms_change_note(struct engine *e, struct caller *c, const char *event, const struct kms_key *k, const char *before, int error)
{
    if (e->read_only)
        return 0;
    int r = uses_open(e);
    if (r < 0)
        return r;
    json_t *record = record_new(e, c, event, k->arn, error);
    if (record) {
        json_object_set_new(record, "requestParameters", json_pack("{s:s}", "keyId", k->arn));
        json_object_set_new(record, "responseElements", json_pack("{s:s, s:s*}", "keyState", kms_state_name(k->state), "previousState", before));
    }
    r = record_commit(e, record);
    json_decref(record);
    return r;
}

void kms_uses_run(struct engine *e)
{
    LOCK_SCOPE(&e->meta);
    int r = uses_flush(e, false);
    if (r < 0)
        log_error("uses of KMS keys cannot be written down: %s", strerror(-r));
}

void kms_uses_close(struct engine *e)
{
    struct kms_uses *u = e->kms->uses;
    if (!u)
        return;
    if (!e->failed_open)
        uses_flush(e, true);
    for (struct folded *f; (f = u->list);) {
        u->list = f->next;
        folded_free(f);
    }
    free(u);
    e->kms->uses = NULL;
}

/* ---- asking ---- */

struct asking {
    const char *arn, *bucket, *key, *since; /* NULL: any */
    json_t *list;
};

static bool text_is(const json_t *o, const char *name, const char *want)
{
    const char *text = json_string_value(json_object_get(o, name));
    return !want || (text && strcmp(text, want) == 0);
}

static int asking_row(void *arg, const char *name, struct span value)
{
    struct asking *a = arg;
    (void)name;
    json_t *record = json_loadb((const char *)value.p, value.len, 0, NULL);
    const json_t *params = json_object_get(record, "requestParameters");
    const char *time = json_string_value(json_object_get(record, "eventTime"));
    if (record && text_is(params, "keyId", a->arn) && text_is(params, "bucketName", a->bucket) && text_is(params, "key", a->key) &&
        (!a->since || (time && strcmp(time, a->since) >= 0)))
        json_array_append(a->list, record);
    json_decref(record);
    return 0;
}

int kms_usage(struct engine *e, struct caller *c, const json_t *args, json_t **ret)
{
    const char *key = json_string_value(json_object_get(args, "key"));
    const json_t *since = json_object_get(args, "since_ms");
    char time[40];
    struct asking a = {.bucket = json_string_value(json_object_get(args, "bucket")), .key = json_string_value(json_object_get(args, "object"))};
    LOCK_SCOPE(&e->meta);
    int r = engine_may(e, c, "audit:Read", NULL, span_of(NULL, 0));
    struct kms_key *k;
    if (r == 0 && key && (r = kms_resolve(e, c, key, &k)) == 0)
        a.arn = k->arn;
    if (r == 0 && since) {
        timeform_format_ms(json_integer_value(since), time);
        a.since = time;
    }
    if (r == 0)
        r = uses_flush(e, true);
    a.list = r == 0 ? json_array() : NULL;
    if (r == 0)
        r = e->meta_ops->value_scan(e->m, prefix, asking_row, &a);
    if (r < 0) {
        json_decref(a.list);
        return r;
    }
    *ret = json_pack("{s:o}", "uses", a.list);
    return *ret ? 0 : -ENOMEM;
}
