/* SPDX-License-Identifier: GPL-3.0-or-later
 * Who used which key on which object, when, with what result (logs.md §3.5): told to the audit trail, and read from it by
 * `holdfs kms usage`.
 *
 * A call of the provider is a record of its own, committed before the answer. Uses of a data key that is open already, and refusals,
 * are folded: one record a minute for the same principal, key, object and result, with `count`. Never a key or a blob in a record. */
#include "engine/kms.h"
#include "engine/trail.h"

#include <stdio.h>

static const char key_type[] = "AWS::KMS::Key";

/* ---- telling ---- */

static void version_of(struct engine *e, const struct kms_use *use, char out[33])
{
    struct version v;
    out[0] = '\0';
    if (!use->seq || version_load(e, use->bucket->number, use->name, use->seq, &v) < 0)
        return;
    version_id_text(&v, out);
    version_done(&v);
}

static json_t *use_params(const struct kms_use *use, const char *arn)
{
    json_t *context = json_loadb((const char *)use->env->context.data, use->env->context.len, 0, NULL);
    json_t *params = json_pack("{s:s, s:o, s:s, s:s}", "keyId", arn, "encryptionContext", context ? context : json_null(), "keySpec", "AES_256",
                               "provider", use->env->provider);
    if (use->cached)
        json_object_set_new(params, "cached", json_true());
    return params;
}

int kms_use_note(struct engine *e, struct caller *c, const struct kms_use *use)
{
    if (e->read_only) /* there is nowhere to write it */
        return 0;
    char version[33];
    const char *arn = use->key ? use->key->arn : use->env->arn;
    version_of(e, use, version);
    struct trail_event event = {
        .name = use->cached && use->error >= 0 ? "DataKeyUse" : use->event,
        .source = TRAIL_KMS,
        .bucket = use->bucket,
        .key = use->name,
        .version_id = version[0] ? version : NULL,
        .arn = arn,
        .arn_type = key_type,
        .params = use_params(use, arn),
        .error = use->error,
        .error_code = use->error < 0 && c->reason.code[0] ? c->reason.code : NULL,
        .error_message = use->error < 0 && c->reason.text[0] ? c->reason.text : NULL,
        .flags = TRAIL_READ,
    };
    if (use->error < 0 || use->cached)
        return trail_fold(e, c, &event, use->error >= 0);
    return trail_note_alone(e, c, &event);
}

int kms_change_note(struct engine *e, struct caller *c, const char *name, const struct kms_key *k, const char *before, int error)
{
    if (e->read_only)
        return 0;
    struct trail_event event = {
        .name = name,
        .source = TRAIL_KMS,
        .arn = k->arn,
        .arn_type = key_type,
        .params = json_pack("{s:s}", "keyId", k->arn),
        .previous = before ? json_pack("{s:s}", "keyState", before) : NULL,
        .response = json_pack("{s:s}", "keyState", kms_state_name(k->state)),
        .error = error,
        .error_code = error < 0 && c->reason.code[0] ? c->reason.code : NULL,
        .error_message = error < 0 && c->reason.text[0] ? c->reason.text : NULL,
    };
    return trail_note_alone(e, c, &event);
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

static void ask_record(struct asking *a, const char *text)
{
    json_t *record = strstr(text, TRAIL_KMS) ? json_loads(text, 0, NULL) : NULL;
    const json_t *params = json_object_get(record, "requestParameters");
    const char *time = json_string_value(json_object_get(record, "eventTime"));
    if (record && text_is(record, "eventSource", TRAIL_KMS) && text_is(params, "keyId", a->arn) && text_is(params, "bucketName", a->bucket) &&
        text_is(params, "key", a->key) && (!a->since || (time && strcmp(time, a->since) >= 0)))
        json_array_append(a->list, record);
    json_decref(record);
}

/* The whole trail, page by page. */
static int ask_trail(struct engine *e, struct caller *c, struct asking *a)
{
    uint64_t after = 0;
    for (bool more = true; more;) {
        json_t *page, *one;
        size_t n;
        int r = engine_audit_read(e, c, after, UINT64_MAX, &page);
        if (r < 0)
            return r;
        json_array_foreach(json_object_get(page, "records"), n, one) {
            after = (uint64_t)json_integer_value(json_object_get(one, "seq"));
            ask_record(a, json_string_value(json_object_get(one, "text")));
        }
        more = json_is_true(json_object_get(page, "more")) && n;
        json_decref(page);
    }
    return 0;
}

int kms_usage(struct engine *e, struct caller *c, const json_t *args, json_t **ret)
{
    const char *key = json_string_value(json_object_get(args, "key"));
    const json_t *since = json_object_get(args, "since_ms");
    char time[40], arn[KMS_ARN_CHARS];
    struct asking a = {.bucket = json_string_value(json_object_get(args, "bucket")), .key = json_string_value(json_object_get(args, "object"))};
    if (key) {
        struct kms_key *k;
        LOCK_SCOPE(&e->meta);
        int r = kms_resolve(e, c, key, &k);
        if (r < 0)
            return r;
        memcpy(arn, k->arn, sizeof arn);
        a.arn = arn;
    }
    if (since) {
        trail_time(json_integer_value(since) * 1000000, time);
        a.since = time;
    }
    a.list = json_array();
    int r = a.list ? ask_trail(e, c, &a) : -ENOMEM;
    if (r < 0) {
        json_decref(a.list);
        return r;
    }
    *ret = json_pack("{s:o}", "uses", a.list);
    return *ret ? 0 : -ENOMEM;
}
