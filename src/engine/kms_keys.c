/* SPDX-License-Identifier: GPL-3.0-or-later
 * Making and changing KMS keys (encryption.md §4.3). Each function is judged by its caller in kms_verbs.c. All M, not in a
 * transaction; memory follows when the rows are committed. */
#include "engine/iam.h"
#include "engine/kms.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static const int64_t DAY_MS = INT64_C(86400) * 1000;

/* Takes the changed copy of a key over when its row is committed. */
static int key_change(struct engine *e, struct kms_key *k, const struct kms_key *fresh)
{
    int r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, kms_key_put(e, fresh));
    if (r == 0)
        *k = *fresh;
    return r;
}

/* ---- making ---- */

static int make_rows(struct engine *e, const struct kms_key *k, const struct kms_alias *alias, const uint8_t *material)
{
    int r = txn_begin(e);
    if (r < 0)
        return r;
    r = kms_key_put(e, k);
    if (r == 0 && material)
        r = kms_material_put(e, k, 1, material);
    if (r == 0 && alias)
        r = kms_alias_put(e, alias);
    return txn_end(e, r);
}

static int alias_list_add(struct engine *e, struct kms_alias *a)
{
    size_t at = 0;
    while (at < e->kms->alias_count && strcmp(e->kms->aliases[at]->name, a->name) < 0)
        at++;
    return iam_list_add((void ***)&e->kms->aliases, &e->kms->alias_count, at, a);
}

/* Room in the lists first, rows then: nothing can fail once they are committed. */
static int make_listed(struct engine *e, struct kms_key *k, struct kms_alias *alias, const uint8_t *material)
{
    int r = iam_list_add((void ***)&e->kms->keys, &e->kms->key_count, e->kms->key_count, k);
    if (r < 0)
        return r;
    r = alias ? alias_list_add(e, alias) : 0;
    bool listed = r == 0 && alias;
    if (r == 0 && material)
        r = kms_local_add(e->kms->local, k->id, 1, material);
    if (r == 0)
        r = make_rows(e, k, alias, material);
    if (r == 0)
        return 0;
    iam_list_remove((void **)e->kms->keys, &e->kms->key_count, e->kms->key_count - 1);
    for (size_t i = 0; listed && i < e->kms->alias_count; i++) {
        if (e->kms->aliases[i] == alias)
            iam_list_remove((void **)e->kms->aliases, &e->kms->alias_count, i);
    }
    kms_local_drop(e->kms->local, k->id, UINT32_MAX);
    return r;
}

int kms_key_make(struct engine *e, const char *description, bool external, bool managed, struct kms_key **ret)
{
    struct kms_key *k = calloc(1, sizeof *k);
    struct kms_alias *alias = managed ? calloc(1, sizeof *alias) : NULL;
    CLEANUP(secret_cleanup) struct secret *material = secret_new(32);
    if (!k || !material || (managed && !alias)) {
        free(k);
        free(alias);
        return -ENOMEM;
    }
    uuid_random(k->id);
    kms_arn(e, k->id, k->arn);
    k->state = external ? KMS_PENDING_IMPORT : KMS_ENABLED;
    k->external = external;
    k->managed = managed;
    k->version = external ? 0 : 1;
    k->created_ms = clock_wall_ns() / 1000000;
    if (alias) {
        memcpy(alias->name, KMS_ALIAS_S3, sizeof KMS_ALIAS_S3);
        memcpy(alias->key, k->id, sizeof alias->key);
    }
    random_bytes(secret_bytes(material), 32);
    int r = description && description[0] && !(k->description = strdup(description)) ? -ENOMEM : 0;
    if (r == 0)
        r = make_listed(e, k, alias, external ? NULL : secret_peek(material));
    if (r < 0) {
        kms_key_free(k);
        free(alias);
        return r;
    }
    *ret = k;
    return 0;
}

/* ---- aliases ---- */

static int alias_check(const char *name, struct reason *reason)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_-";
    size_t len = strlen(name);
    if (strncmp(name, "alias/", 6) != 0 || len < 7 || len > KMS_ALIAS_CHARS || strspn(name, set) != len)
        return reason_fail_s3(reason, EINVAL, "ValidationException",
                              "'%.80s' is no alias: alias/ and 1 to 250 letters, digits, '/', '_' and '-'", name);
    if (strncmp(name, "alias/aws/", 10) == 0)
        return reason_fail_s3(reason, EINVAL, "ValidationException", "aliases that begin with alias/aws/ are holdfs's own");
    return 0;
}

static int alias_make(struct engine *e, const char *name, const struct kms_key *k)
{
    struct kms_alias *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    memcpy(a->name, name, strlen(name) + 1);
    memcpy(a->key, k->id, sizeof a->key);
    int r = alias_list_add(e, a);
    if (r < 0) {
        free(a);
        return r;
    }
    r = txn_begin(e);
    return r < 0 ? r : txn_end(e, kms_alias_put(e, a));
}

static void alias_forget(struct engine *e, const struct kms_alias *a)
{
    for (size_t i = 0; i < e->kms->alias_count; i++) {
        if (e->kms->aliases[i] != a)
            continue;
        free(e->kms->aliases[i]);
        iam_list_remove((void **)e->kms->aliases, &e->kms->alias_count, i);
        return;
    }
}

int kms_alias_change(struct engine *e, struct caller *c, enum kms_alias_change what, const char *name, const struct kms_key *k)
{
    int r = alias_check(name, &c->reason);
    struct kms_alias *a = r == 0 ? kms_alias_find(e, name) : NULL;
    if (r < 0)
        return r;
    if (what == KMS_ALIAS_CREATE && a)
        return reason_fail_s3(&c->reason, EEXIST, "AlreadyExistsException", "'%.256s' exists; holdfs kms alias update points it elsewhere", name);
    if (what != KMS_ALIAS_CREATE && !a)
        return reason_fail_s3(&c->reason, ENOENT, "NotFoundException", "there is no alias '%.256s'", name);
    if (what == KMS_ALIAS_CREATE) {
        r = alias_make(e, name, k);
        if (r < 0 && (a = kms_alias_find(e, name)))
            alias_forget(e, a);
        return r;
    }
    struct kms_alias fresh = *a;
    if (what == KMS_ALIAS_UPDATE)
        memcpy(fresh.key, k->id, sizeof fresh.key);
    r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, what == KMS_ALIAS_UPDATE ? kms_alias_put(e, &fresh) : kms_alias_del(e, name));
    if (r == 0 && what == KMS_ALIAS_UPDATE)
        *a = fresh;
    else if (r == 0)
        alias_forget(e, a);
    return r;
}

/* ---- states ---- */

static int spare_managed(const struct kms_key *k, struct reason *reason)
{
    return k->managed ? reason_fail_s3(reason, EPERM, "AccessDenied", "alias/aws/s3 is holdfs's own key: it is neither disabled, nor deleted, nor given another policy") : 0;
}

int kms_enable(struct engine *e, struct caller *c, struct kms_key *k, bool on)
{
    int r = on ? 0 : spare_managed(k, &c->reason);
    if (r == 0 && k->state != KMS_ENABLED && k->state != KMS_DISABLED)
        r = kms_usable(k, &c->reason);
    if (r < 0)
        return r;
    struct kms_key fresh = *k;
    fresh.state = on ? KMS_ENABLED : KMS_DISABLED;
    r = key_change(e, k, &fresh);
    if (r == 0 && !on)
        sse_forget(e, k->id);
    return r;
}

int kms_schedule(struct engine *e, struct caller *c, struct kms_key *k, unsigned days)
{
    int r = spare_managed(k, &c->reason);
    if (r == 0 && k->state == KMS_PENDING_DELETION)
        r = kms_usable(k, &c->reason);
    if (r < 0)
        return r;
    struct kms_key fresh = *k;
    fresh.state = KMS_PENDING_DELETION;
    fresh.deletion_ms = compliance_date_ms(e) + (int64_t)days * DAY_MS;
    fresh.postponed = false;
    r = key_change(e, k, &fresh);
    if (r == 0)
        sse_forget(e, k->id);
    return r;
}

int kms_cancel(struct engine *e, struct caller *c, struct kms_key *k)
{
    if (k->state != KMS_PENDING_DELETION)
        return reason_fail_s3(&c->reason, EINVAL, "KMS.KMSInvalidStateException", "%s is not pending deletion.", k->arn);
    struct kms_key fresh = *k;
    fresh.state = k->version ? KMS_DISABLED : KMS_PENDING_IMPORT;
    fresh.deletion_ms = 0;
    return key_change(e, k, &fresh);
}

bool kms_policy_locks_out(const struct engine *e, const struct policy *policy, const char *arn)
{
    struct principal root = iam_root_of(e->iam->accounts[0]);
    struct auth_request q = {.principal = &root, .action = "kms:PutKeyPolicy", .bucket_account = e->conf.account_id,
                             .resource = arn, .region = e->conf.region, .policies = {.resource = policy}};
    return auth_judge(&q, NULL, NULL) < 0;
}

int kms_lockout(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "MalformedPolicyDocumentException",
                          "nobody could set this key's policy again: it denies the account's root kms:PutKeyPolicy; "
                          "--bypass-policy-lockout-safety-check of set-policy sets it all the same");
}

int kms_policy_set(struct engine *e, struct caller *c, struct kms_key *k, const char *text, size_t len, bool lockout)
{
    struct policy *fresh = NULL;
    int r = spare_managed(k, &c->reason);
    if (r == 0)
        r = txn_begin(e);
    if (r < 0)
        return r;
    r = kms_policy_put(e, k, text, len, &fresh, &c->reason);
    if (r == 0 && !lockout && kms_policy_locks_out(e, fresh, k->arn))
        r = kms_lockout(&c->reason);
    r = txn_end(e, r);
    if (r < 0) {
        policy_unref(fresh);
        return r;
    }
    pthread_rwlock_wrlock(&e->iam->lock);
    policy_unref(k->policy);
    k->policy = fresh;
    pthread_rwlock_unlock(&e->iam->lock);
    return 0;
}

const char *kms_policy_text(const struct engine *e, const struct kms_key *k, size_t *ret_len)
{
    return policy_text(k->managed ? e->kms->managed_policy : k->policy ? k->policy : e->kms->default_policy, ret_len);
}

/* ---- material ---- */

/* A new version, in a row and in memory. */
static int material_add(struct engine *e, struct kms_key *k, const struct kms_key *fresh, const uint8_t material[32])
{
    int r = kms_local_add(e->kms->local, k->id, fresh->version, material);
    if (r < 0)
        return r;
    r = txn_begin(e);
    if (r == 0) {
        r = kms_material_put(e, k, fresh->version, material);
        if (r == 0)
            r = kms_key_put(e, fresh);
        r = txn_end(e, r);
    }
    if (r == 0)
        *k = *fresh;
    else
        kms_local_forgo(e->kms->local, k->id, fresh->version);
    return r;
}

int kms_rotate(struct engine *e, struct caller *c, struct kms_key *k)
{
    int r = kms_usable(k, &c->reason);
    if (r == 0 && k->external)
        r = reason_fail_s3(&c->reason, EINVAL, "UnsupportedOperationException", "%s has imported material: it is not rotated; make another key and reencrypt", k->arn);
    if (r < 0)
        return r;
    CLEANUP(secret_cleanup) struct secret *material = secret_new(32);
    if (!material)
        return -ENOMEM;
    random_bytes(secret_bytes(material), 32);
    struct kms_key fresh = *k;
    fresh.version++;
    if (fresh.rotate_days)
        fresh.rotate_at_ms = clock_wall_ns() / 1000000 + (int64_t)fresh.rotate_days * DAY_MS;
    r = material_add(e, k, &fresh, secret_peek(material));
    if (r == 0)
        sse_forget(e, k->id);
    return r;
}

int kms_auto_rotate(struct engine *e, struct caller *c, struct kms_key *k, unsigned days)
{
    if (days && k->external)
        return reason_fail_s3(&c->reason, EINVAL, "UnsupportedOperationException", "%s has imported material: it is not rotated", k->arn);
    struct kms_key fresh = *k;
    fresh.rotate_days = days;
    fresh.rotate_at_ms = days ? clock_wall_ns() / 1000000 + (int64_t)days * DAY_MS : 0;
    return key_change(e, k, &fresh);
}

static void verifier_of(const struct kms_key *k, const struct secret *material, uint8_t out[32])
{
    static const char purpose[] = "holdfs/v1/kms/imported";
    uint8_t text[sizeof purpose + 16];
    unsigned len = 32;
    memcpy(text, purpose, sizeof purpose);
    memcpy(text + sizeof purpose, k->id, 16);
    HMAC(EVP_sha256(), secret_peek(material), (int)secret_len(material), text, sizeof text, out, &len);
}

int kms_import(struct engine *e, struct caller *c, struct kms_key *k, const struct secret *material, int64_t valid_to_ms)
{
    static const uint8_t none[32];
    uint8_t verifier[32];
    if (!k->external)
        return reason_fail_s3(&c->reason, EINVAL, "UnsupportedOperationException", "%s makes its own material; --origin EXTERNAL makes a key that takes yours", k->arn);
    if (k->state == KMS_PENDING_DELETION)
        return kms_usable(k, &c->reason);
    if (!material || secret_len(material) != 32)
        return reason_fail_s3(&c->reason, EINVAL, "ValidationException", "key material is exactly 32 bytes");
    if (valid_to_ms && valid_to_ms <= compliance_date_ms(e))
        return reason_fail_s3(&c->reason, EINVAL, "ValidationException", "the material would have expired already");
    verifier_of(k, material, verifier);
    if (!secret_equal(k->verifier, none, 32) && !secret_equal(k->verifier, verifier, 32))
        return reason_fail_s3(&c->reason, EINVAL, "IncorrectKeyMaterialException", "%s had other material before: only the same bytes open what is under it", k->arn);
    struct kms_key fresh = *k;
    memcpy(fresh.verifier, verifier, sizeof verifier);
    fresh.valid_to_ms = valid_to_ms;
    if (k->version)
        return key_change(e, k, &fresh); /* the same again, with another expiry */
    fresh.state = KMS_ENABLED;
    fresh.version = 1;
    fresh.postponed = false;
    return material_add(e, k, &fresh, secret_peek(material));
}
