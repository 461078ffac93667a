/* SPDX-License-Identifier: GPL-3.0-or-later
 * KMS keys and aliases in memory: finding them, what state they are in, who may use them (encryption.md §4.1, §4.2). */
#include "engine/iam.h"
#include "engine/sse_c.h"

#include <stdio.h>

/* The account may do all; a principal of it needs an identity policy as well. */
static const char default_policy[] = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"Account\",\"Effect\":\"Allow\","
                                     "\"Principal\":{\"AWS\":\"arn:aws:iam::%s:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}";
/* alias/aws/s3: whoever S3 lets in. */
static const char managed_policy[] = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"ViaS3\",\"Effect\":\"Allow\",\"Principal\":\"*\","
                                     "\"Action\":\"kms:*\",\"Resource\":\"*\"}]}";

static int policies_open(struct engine *e)
{
    char text[sizeof default_policy + 16];
    const struct policy_scope scope = {.kind = POLICY_KEY, .resource = "arn:aws:kms:*:*:key/*"};
    int len = snprintf(text, sizeof text, default_policy, e->conf.account_id);
    int r = policy_parse(text, (size_t)len, &scope, &e->kms->default_policy, NULL);
    return r < 0 ? r : policy_parse(managed_policy, sizeof managed_policy - 1, &scope, &e->kms->managed_policy, NULL);
}

int kms_init(struct engine *e, struct reason *reason)
{
    struct kms *k = e->kms = calloc(1, sizeof *k);
    if (!k)
        return -ENOMEM;
    k->ops = kms_provider_find("local");
    k->open = data_keys_new(&data_keys_default);
    return k->open ? k->ops->open(&k->local, reason) : -ENOMEM;
}

int kms_open(struct engine *e, struct reason *reason)
{
    int r = policies_open(e);
    if (r == 0)
        r = kms_load(e);
    if (r < 0)
        return reason_fail(reason, r == -EBADMSG ? EIO : -r, "the store's KMS keys cannot be read: %s", strerror(-r));
    return 0;
}

void kms_key_free(struct kms_key *k)
{
    policy_unref(k->policy);
    free(k->description);
    free(k);
}

void kms_close(struct engine *e)
{
    struct kms *k = e->kms;
    if (!k)
        return;
    sse_close(e);
    sse_c_close(e);
    for (size_t i = 0; i < k->key_count; i++)
        kms_key_free(k->keys[i]);
    for (size_t i = 0; i < k->alias_count; i++)
        free(k->aliases[i]);
    free(k->keys);
    free(k->aliases);
    policy_unref(k->default_policy);
    policy_unref(k->managed_policy);
    data_keys_free(k->open);
    k->ops->close(k->local);
    free(k);
    e->kms = NULL;
}

/* ---- finding ---- */

void kms_arn(const struct engine *e, const uint8_t id[16], char out[KMS_ARN_CHARS])
{
    char uuid[37];
    uuid_format(id, uuid);
    snprintf(out, KMS_ARN_CHARS, "arn:aws:kms:%s:%s:key/%s", e->conf.region, e->conf.account_id, uuid);
}

struct kms_key *kms_by_id(const struct engine *e, const uint8_t id[16])
{
    for (size_t i = 0; i < e->kms->key_count; i++) {
        if (memcmp(e->kms->keys[i]->id, id, 16) == 0)
            return e->kms->keys[i];
    }
    return NULL;
}

struct kms_alias *kms_alias_find(const struct engine *e, const char *name)
{
    for (size_t i = 0; i < e->kms->alias_count; i++) {
        if (strcmp(e->kms->aliases[i]->name, name) == 0)
            return e->kms->aliases[i];
    }
    return NULL;
}

static int not_found(struct reason *reason, const char *what)
{
    return reason_fail_s3(reason, ENOKEY, "KMS.NotFoundException", "%s does not exist; holdfs kms list shows the keys there are", what);
}

static int invalid_id(struct reason *reason, const char *text)
{
    return reason_fail_s3(reason, ENOKEY, "KMS.NotFoundException", "Invalid keyId '%.200s'", text);
}

static int resolve_alias(struct engine *e, struct caller *c, const char *name, struct kms_key **ret)
{
    const struct kms_alias *a = kms_alias_find(e, name);
    char what[KMS_ARN_CHARS + KMS_ALIAS_CHARS];
    if (a && (*ret = kms_by_id(e, a->key)))
        return 0;
    if (strcmp(name, KMS_ALIAS_S3) == 0) {
        int r = kms_key_make(e, "The key of objects that ask for aws:kms without naming one", false, true, ret);
        return r < 0 ? r : kms_change_note(e, c, "CreateKey", *ret, NULL, 0);
    }
    snprintf(what, sizeof what, "Alias 'arn:aws:kms:%s:%s:%.256s'", e->conf.region, e->conf.account_id, name);
    return not_found(&c->reason, what);
}

static int resolve_id(struct engine *e, struct caller *c, const char *text, struct kms_key **ret)
{
    uint8_t id[16];
    char arn[KMS_ARN_CHARS], what[KMS_ARN_CHARS + 8];
    if (uuid_parse(text, id) < 0)
        return invalid_id(&c->reason, text);
    if ((*ret = kms_by_id(e, id)))
        return 0;
    kms_arn(e, id, arn);
    snprintf(what, sizeof what, "Key '%s'", arn);
    return not_found(&c->reason, what);
}

/* arn:aws:kms:REGION:ACCOUNT:key/ID or ...:alias/NAME */
static int resolve_arn(struct engine *e, struct caller *c, const char *text, struct kms_key **ret)
{
    char head[128];
    const char *region = text + strlen("arn:aws:kms:"), *account = strchr(region, ':');
    const char *name = account ? strchr(account + 1, ':') : NULL;
    if (!name)
        return invalid_id(&c->reason, text);
    if ((size_t)(account - region) != strlen(e->conf.region) || memcmp(region, e->conf.region, strlen(e->conf.region)) != 0)
        return reason_fail_s3(&c->reason, ENOKEY, "KMS.NotFoundException", "Invalid arn %.*s", (int)(account - region > 64 ? 64 : account - region),
                              region);
    int len = snprintf(head, sizeof head, "arn:aws:kms:%s:%s:", e->conf.region, e->conf.account_id);
    if (strncmp(text, head, (size_t)len) != 0) {
        char what[KMS_ARN_CHARS + KMS_ALIAS_CHARS];
        snprintf(what, sizeof what, "Key '%.300s'", text);
        return not_found(&c->reason, what);
    }
    if (strncmp(name + 1, "alias/", 6) == 0)
        return resolve_alias(e, c, name + 1, ret);
    return strncmp(name + 1, "key/", 4) == 0 ? resolve_id(e, c, name + 5, ret) : invalid_id(&c->reason, text);
}

int kms_resolve(struct engine *e, struct caller *c, const char *text, struct kms_key **ret)
{
    if (!text[0])
        text = KMS_ALIAS_S3;
    if (strncmp(text, "alias/", 6) == 0)
        return resolve_alias(e, c, text, ret);
    return strncmp(text, "arn:aws:kms:", 12) == 0 ? resolve_arn(e, c, text, ret) : resolve_id(e, c, text, ret);
}

/* ---- states ---- */

const char *kms_state_name(enum kms_state state)
{
    switch (state) {
    case KMS_ENABLED:
        return "Enabled";
    case KMS_DISABLED:
        return "Disabled";
    case KMS_PENDING_DELETION:
        return "PendingDeletion";
    case KMS_PENDING_IMPORT:
        return "PendingImport";
    }
    return "Unavailable";
}

int kms_usable(const struct kms_key *k, struct reason *reason)
{
    switch (k->state) {
    case KMS_ENABLED:
        return 0;
    case KMS_DISABLED:
        return reason_fail_s3(reason, EKEYREVOKED, "KMS.DisabledException", "%s is disabled.", k->arn);
    case KMS_PENDING_DELETION:
        return reason_fail_s3(reason, EKEYREVOKED, "KMS.KMSInvalidStateException", "%s is pending deletion.", k->arn);
    case KMS_PENDING_IMPORT:
        return reason_fail_s3(reason, EKEYREVOKED, "KMS.KMSInvalidStateException", "%s is pending import.", k->arn);
    }
    return -EKEYREVOKED;
}

/* ---- permission ---- */

enum { CONTEXT_PAIRS = 16 };

/* The pairs as values of kms:EncryptionContext:NAME; they lie in `pairs`. */
static size_t context_values(json_t *pairs, struct auth_value *values, size_t cap)
{
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach(pairs, name, value) {
        if (count < cap && json_is_string(value))
            values[count++] = (struct auth_value){
                .key = AUTH_KMS_CONTEXT, .tag = name, .text = json_string_value(value), .len = json_string_length(value)};
    }
    return count;
}

int kms_may(struct engine *e, struct caller *c, const char *action, const struct kms_key *k, const struct envelope *env)
{
    struct auth_value values[CONTEXT_PAIRS + 1];
    char via[80];
    size_t count = 0;
    json_t *pairs = env ? json_loadb((const char *)env->context.data, env->context.len, 0, NULL) : NULL;
    if (env) {
        int len = snprintf(via, sizeof via, "s3.%s.amazonaws.com", e->conf.region);
        values[count++] = (struct auth_value){.key = AUTH_KMS_VIA_SERVICE, .text = via, .len = (size_t)len};
        count += context_values(pairs, values + count, CONTEXT_PAIRS);
    }
    bool open = k->managed && env;
    struct may m = {.values = values,
                    .count = count,
                    .resource = k->arn,
                    .policy = open ? e->kms->managed_policy : k->policy ? k->policy : e->kms->default_policy,
                    .own = open};
    int r = engine_may_with(e, c, action, NULL, span_of(NULL, 0), &m);
    json_decref(pairs);
    return r;
}

/* ---- envelopes ---- */

struct kms_context kms_context_of(const struct envelope *env)
{
    return (struct kms_context){(const char *)env->context.data, env->context.len};
}

bool kms_envelope_old(const struct engine *e, const struct envelope *env)
{
    uint8_t id[16];
    uint32_t version;
    if (!env || env->mode != ENVELOPE_SSE_KMS)
        return false;
    const struct kms_key *k = kms_by_id(e, env->key_id);
    return k && k->renew_below && kms_local_blob_name(env->blob.data, env->blob.len, id, &version) == 0 && version < k->renew_below;
}

int kms_envelope_renew(struct engine *e, struct envelope **env)
{
    if (!kms_envelope_old(e, *env))
        return 0;
    uint8_t blob[KMS_LOCAL_BLOB_BYTES];
    const struct envelope *old = *env;
    int r = kms_local_reencrypt(e->kms->local, old->blob.data, old->blob.len, kms_context_of(old), blob);
    if (r < 0)
        return r == -ENOENT || r == -EBADMSG ? 0 : r; /* it opens nothing as it is; that is fsck's to tell */
    struct envelope *fresh = envelope_new(ENVELOPE_SSE_KMS);
    if (!fresh)
        return -ENOMEM;
    memcpy(fresh->kek_id, old->kek_id, sizeof fresh->kek_id);
    memcpy(fresh->key_id, old->key_id, sizeof fresh->key_id);
    memcpy(fresh->provider, old->provider, sizeof fresh->provider);
    memcpy(fresh->arn, old->arn, sizeof fresh->arn);
    fresh->bucket_key = old->bucket_key;
    fresh->context_sent = old->context_sent;
    bytes_put(&fresh->blob, blob, sizeof blob);
    bytes_put(&fresh->context, old->context.data, old->context.len);
    if (!bytes_text(&fresh->context) || fresh->blob.failed) {
        envelope_unref(fresh);
        return -ENOMEM;
    }
    envelope_unref(*env);
    *env = fresh;
    return 0;
}
