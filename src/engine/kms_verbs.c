/* SPDX-License-Identifier: GPL-3.0-or-later
 * `holdfs kms`: each verb reads its arguments, is judged as the KMS action it is (encryption.md §4.3), acts, and is noted.
 *
 * To add one: a function and a line in verbs[]. */
#include "engine/kms.h"
#include "engine/sse_c.h"
#include "engine/upkeep.h"

#include <stdio.h>

/* One call. */
struct verb_call {
    struct engine *e;
    struct caller *c;
    const json_t *args;
    const struct secret *material;
    struct engine_progress progress;
    struct kms_key *key; /* args "key", where the verb has one; M */
    json_t *result;
};

struct verb {
    const char *name, *action; /* the action on the key */
    const char *event;         /* how its change stands in the trail; NULL: none */
    bool no_key;               /* it has no key; action is judged on all */
    int (*run)(struct verb_call *v); /* M */
};

static const char *text_of(const struct verb_call *v, const char *name)
{
    return json_string_value(json_object_get(v->args, name));
}

static bool flag_of(const struct verb_call *v, const char *name)
{
    return json_is_true(json_object_get(v->args, name));
}

/* ---- telling ---- */

static void put_time(json_t *out, const char *name, int64_t ms)
{
    char text[40];
    if (!ms)
        return;
    timeform_format_ms(ms, text);
    json_object_set_new(out, name, json_string(text));
}

static json_t *aliases_of(const struct engine *e, const struct kms_key *k)
{
    json_t *list = json_array();
    for (size_t i = 0; i < e->kms->alias_count; i++) {
        if (memcmp(e->kms->aliases[i]->key, k->id, 16) == 0)
            json_array_append_new(list, json_string(e->kms->aliases[i]->name));
    }
    return list;
}

struct versions_of {
    const struct kms_key *k;
    json_int_t count;
};

static int versions_row(void *arg, const struct kek_row *row)
{
    struct versions_of *v = arg;
    v->count += memcmp(row->id, v->k->id, 16) == 0;
    return 0;
}

static json_t *facts(struct engine *e, const struct kms_key *k)
{
    char id[37];
    struct versions_of versions = {.k = k}; /* what memory still holds of destroyed ones does not count */
    uuid_format(k->id, id);
    if (e->meta_ops->kek_scan(e->m, versions_row, &versions) < 0)
        return NULL;
    json_t *out = json_pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:I, s:I, s:o}", "KeyId", id, "Arn", k->arn, "KeyState", kms_state_name(k->state),
                            "Enabled", k->state == KMS_ENABLED, "Origin", k->external ? "EXTERNAL" : "HOLDFS", "KeyManager",
                            k->managed ? "AWS" : "CUSTOMER", "Description", k->description ? k->description : "", "key_version",
                            (json_int_t)k->version, "key_versions", versions.count, "aliases", aliases_of(e, k));
    put_time(out, "CreationDate", k->created_ms);
    put_time(out, "DeletionDate", k->deletion_ms);
    put_time(out, "ValidTo", k->valid_to_ms);
    put_time(out, "NextRotationDate", k->rotate_at_ms);
    if (k->rotate_days)
        json_object_set_new(out, "RotationPeriodInDays", json_integer(k->rotate_days));
    return out;
}

static int tell_key(struct verb_call *v)
{
    v->result = facts(v->e, v->key);
    return v->result ? 0 : -ENOMEM;
}

static int verb_list(struct verb_call *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->e->kms->key_count; i++)
        json_array_append_new(list, facts(v->e, v->e->kms->keys[i]));
    v->result = json_pack("{s:o}", "keys", list);
    return v->result ? 0 : -ENOMEM;
}

/* Counting takes a while, without M: engine_kms() does it. */
static int count_under(struct engine *e, const uint8_t id[16], json_t *out)
{
    struct kms_under n;
    int r = kms_count_under(e, id, false, &n);
    if (r < 0)
        return r;
    json_object_set_new(out, "object_versions", json_integer((json_int_t)n.versions));
    json_object_set_new(out, "buckets", json_integer((json_int_t)n.buckets));
    json_object_set_new(out, "locked_versions", json_integer((json_int_t)n.locked));
    json_object_set_new(out, "legal_holds", json_boolean(n.hold));
    put_time(out, "protected_until", n.until_ms);
    return 0;
}

/* ---- changing ---- */

static int verb_create(struct verb_call *v)
{
    const char *description = text_of(v, "description"), *origin = text_of(v, "origin"), *policy = text_of(v, "policy");
    if (description && (strlen(description) > KMS_DESCRIPTION_BYTES || !utf8_valid(description, strlen(description))))
        return reason_fail_s3(&v->c->reason, EINVAL, "ValidationException", "a description is text of at most %d bytes", KMS_DESCRIPTION_BYTES);
    if (origin && strcmp(origin, "HOLDFS") && strcmp(origin, "EXTERNAL"))
        return reason_fail_s3(&v->c->reason, EINVAL, "ValidationException", "the origin of a key's material is HOLDFS or EXTERNAL");
    if (policy) { /* judged before there is a key: a document that is none makes none */
        struct policy *check;
        uint8_t any[16] = {0};
        char arn[KMS_ARN_CHARS];
        kms_arn(v->e, any, arn);
        int r = policy_parse(policy, strlen(policy), &(struct policy_scope){.kind = POLICY_KEY, .resource = "arn:aws:kms:*:*:key/*"}, &check, &v->c->reason);
        if (r < 0)
            return r;
        bool lockout = kms_policy_locks_out(v->e, check, arn);
        policy_unref(check);
        if (lockout)
            return kms_lockout(&v->c->reason);
    }
    int r = kms_key_make(v->e, description, origin && origin[0] == 'E', false, &v->key);
    if (r == 0 && policy)
        r = kms_policy_set(v->e, v->c, v->key, policy, strlen(policy), true);
    return r < 0 ? r : tell_key(v);
}

static int verb_alias(struct verb_call *v, enum kms_alias_change what)
{
    const char *name = text_of(v, "name");
    int r = name ? kms_alias_change(v->e, v->c, what, name, v->key) : -EINVAL;
    if (r == 0)
        v->result = json_pack("{s:s}", "alias", name);
    return r;
}

static int verb_alias_create(struct verb_call *v)
{
    return verb_alias(v, KMS_ALIAS_CREATE);
}

static int verb_alias_update(struct verb_call *v)
{
    return verb_alias(v, KMS_ALIAS_UPDATE);
}

static int verb_alias_delete(struct verb_call *v)
{
    return verb_alias(v, KMS_ALIAS_DELETE);
}

static int verb_enable(struct verb_call *v)
{
    int r = kms_enable(v->e, v->c, v->key, true);
    return r < 0 ? r : tell_key(v);
}

static int verb_disable(struct verb_call *v)
{
    int r = kms_enable(v->e, v->c, v->key, false);
    return r < 0 ? r : tell_key(v);
}

static int verb_get_policy(struct verb_call *v)
{
    size_t len;
    const char *text = kms_policy_text(v->e, v->key, &len);
    v->result = json_pack("{s:s%}", "policy", text, len);
    return v->result ? 0 : -ENOMEM;
}

static int verb_set_policy(struct verb_call *v)
{
    const char *text = text_of(v, "policy");
    if (!text)
        return -EINVAL;
    int r = kms_policy_set(v->e, v->c, v->key, text, strlen(text), flag_of(v, "bypass-policy-lockout-safety-check"));
    return r < 0 ? r : tell_key(v);
}

static int verb_schedule(struct verb_call *v)
{
    const json_t *days = json_object_get(v->args, "days");
    json_int_t n = days ? json_integer_value(days) : 30;
    if (n < 7 || n > 30)
        return reason_fail_s3(&v->c->reason, EINVAL, "ValidationException", "a key waits 7 to 30 days before it is destroyed");
    int r = kms_locks_forbid(v->e, v->c, v->key, flag_of(v, "bypass-governance-retention"));
    if (r == 0)
        r = kms_schedule(v->e, v->c, v->key, (unsigned)n);
    return r < 0 ? r : tell_key(v);
}

static int verb_cancel(struct verb_call *v)
{
    int r = kms_cancel(v->e, v->c, v->key);
    return r < 0 ? r : tell_key(v);
}

static int verb_rotate(struct verb_call *v)
{
    int r = kms_rotate(v->e, v->c, v->key);
    return r < 0 ? r : tell_key(v);
}

static int verb_auto_rotate(struct verb_call *v)
{
    json_int_t days = json_integer_value(json_object_get(v->args, "days"));
    if (days && (days < 90 || days > 2560))
        return reason_fail_s3(&v->c->reason, EINVAL, "ValidationException", "a key is rotated every 90 to 2560 days, or off");
    int r = kms_auto_rotate(v->e, v->c, v->key, (unsigned)days);
    return r < 0 ? r : tell_key(v);
}

/* When material expires, as a lock's date is written: by the clock that judges locks. */
static int verb_import(struct verb_call *v)
{
    const char *expires = text_of(v, "expires");
    int64_t ms = 0;
    bool relative = false;
    if (expires && timeform_lock_value(expires, &ms, &relative) < 0)
        return reason_fail_s3(&v->c->reason, EINVAL, "ValidationException", "'%.40s' is no date", expires);
    int r = kms_import(v->e, v->c, v->key, v->material, relative ? compliance_date_ms(v->e) + ms : ms);
    return r < 0 ? r : tell_key(v);
}

static int verb_delete_material(struct verb_call *v)
{
    int r = kms_locks_forbid(v->e, v->c, v->key, flag_of(v, "bypass-governance-retention"));
    if (r == 0)
        r = kms_material_drop(v->e, v->c, v->key);
    return r < 0 ? r : tell_key(v);
}

static const struct verb verbs[] = {
    {"create-key", "kms:CreateKey", "CreateKey", true, verb_create},
    {"describe", "kms:DescribeKey", NULL, false, tell_key},
    {"list", "kms:ListKeys", NULL, true, verb_list},
    {"alias.create", "kms:CreateAlias", "CreateAlias", false, verb_alias_create},
    {"alias.update", "kms:UpdateAlias", "UpdateAlias", false, verb_alias_update},
    {"alias.delete", "kms:DeleteAlias", NULL, true, verb_alias_delete},
    {"enable", "kms:EnableKey", "EnableKey", false, verb_enable},
    {"disable", "kms:DisableKey", "DisableKey", false, verb_disable},
    {"get-policy", "kms:GetKeyPolicy", NULL, false, verb_get_policy},
    {"set-policy", "kms:PutKeyPolicy", "PutKeyPolicy", false, verb_set_policy},
    {"schedule-deletion", "kms:ScheduleKeyDeletion", "ScheduleKeyDeletion", false, verb_schedule},
    {"cancel-deletion", "kms:CancelKeyDeletion", "CancelKeyDeletion", false, verb_cancel},
    {"rotate", "kms:RotateKeyOnDemand", "RotateKey", false, verb_rotate},
    {"auto-rotate", "kms:EnableKeyRotation", "EnableKeyRotation", false, verb_auto_rotate},
    {"import-key-material", "kms:ImportKeyMaterial", "ImportKeyMaterial", false, verb_import},
    {"delete-imported-key-material", "kms:DeleteImportedKeyMaterial", NULL, false, verb_delete_material},
};

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static int judge(struct verb_call *v, const struct verb *verb)
{
    if (!verb->no_key) {
        const char *name = text_of(v, "key");
        int r = name ? kms_resolve(v->e, v->c, name, &v->key) : reason_fail(&v->c->reason, EINVAL, "name a key: an id, an ARN or an alias");
        return r < 0 ? r : kms_may(v->e, v->c, verb->action, v->key, NULL);
    }
    char all[KMS_ARN_CHARS];
    snprintf(all, sizeof all, "arn:aws:kms:%s:%s:key/*", v->e->conf.region, v->e->conf.account_id);
    return engine_may_with(v->e, v->c, verb->action, NULL, span_of(NULL, 0), &(struct may){.resource = all, .policy = v->e->kms->default_policy});
}

/* A refused change is noted as well. */
static int run(struct verb_call *v, const struct verb *verb, uint8_t ret_id[16])
{
    LOCK_SCOPE(&v->e->meta);
    int r = judge(v, verb);
    if (r == 0 && verb->event && v->e->read_only)
        r = reason_fail(&v->c->reason, EROFS, "the store is open for reading only");
    const char *before = v->key ? kms_state_name(v->key->state) : NULL;
    if (r == 0)
        r = verb->run(v);
    if (v->key)
        memcpy(ret_id, v->key->id, 16);
    if (verb->event && v->key) {
        int noted = kms_change_note(v->e, v->c, verb->event, v->key, before, r);
        r = r < 0 ? r : noted;
    }
    return r;
}

int engine_kms(struct engine *e, struct caller *c, const char *name, const json_t *args, const struct secret *material,
               struct engine_progress progress, json_t **ret)
{
    if (strcmp(name, "usage") == 0)
        return kms_usage(e, c, args, ret);
    if (strcmp(name, "rewrap") == 0)
        return kms_rewrap(e, c, json_string_value(json_object_get(args, "key")), progress, ret);
    const struct verb *verb = verb_find(name);
    if (!verb)
        return reason_fail(&c->reason, EINVAL, "there is no holdfs kms %.40s", name);
    struct verb_call v = {.e = e, .c = c, .args = args, .material = material, .progress = progress};
    uint8_t id[16];
    int r = run(&v, verb, id);
    if (r == 0 && verb->run == tell_key)
        r = count_under(e, id, v.result);
    if (r == 0 && ((verb->run == verb_disable && flag_of(&v, "evict")) || verb->run == verb_delete_material))
        sse_evict(e, id);
    if (r == 0 && !e->read_only)
        r = e->meta_ops->sync(e->m);
    if (r < 0) {
        json_decref(v.result);
        return r;
    }
    *ret = v.result;
    return 0;
}
