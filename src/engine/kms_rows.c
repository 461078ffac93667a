/* SPDX-License-Identifier: GPL-3.0-or-later
 * Rows of KMS keys, their material, policies and aliases: encoded, decoded, loaded.
 *
 * kms/key/UUID: u8 format(1), u8 state, u8 flags (1 external, 2 managed), blob description, u64 created, deletion, valid to, rotate at (ms),
 * varint rotate days, varint version, varint renew below, 32 verifier. kms/alias/NAME: the key's 16 bytes. kms/policy/UUID: as a
 * bucket's (iam_policy.c). Material: kek row of kind 2, zeros for the bucket. */
#include "engine/iam.h"
#include "engine/kms.h"

#include <stdio.h>

enum { KMS_FORMAT = 1, KMS_FLAG_EXTERNAL = 1, KMS_FLAG_MANAGED = 2 };

static void row_name(const char *kind, const uint8_t id[16], char out[64])
{
    char uuid[37];
    uuid_format(id, uuid);
    snprintf(out, 64, "kms/%s/%s", kind, uuid);
}

int kms_key_put(struct engine *e, const struct kms_key *k)
{
    char name[64];
    struct bytes body = {0};
    bytes_put_u8(&body, KMS_FORMAT);
    bytes_put_u8(&body, (uint8_t)k->state);
    bytes_put_u8(&body, (uint8_t)((k->external ? KMS_FLAG_EXTERNAL : 0) | (k->managed ? KMS_FLAG_MANAGED : 0)));
    bytes_put_blob(&body, k->description ? k->description : "", k->description ? strlen(k->description) : 0);
    bytes_put_u64(&body, (uint64_t)k->created_ms);
    bytes_put_u64(&body, (uint64_t)k->deletion_ms);
    bytes_put_u64(&body, (uint64_t)k->valid_to_ms);
    bytes_put_u64(&body, (uint64_t)k->rotate_at_ms);
    bytes_put_varint(&body, k->rotate_days);
    bytes_put_varint(&body, k->version);
    bytes_put_varint(&body, k->renew_below);
    bytes_put(&body, k->verifier, sizeof k->verifier);
    row_name("key", k->id, name);
    int r = body.failed ? -ENOMEM : e->meta_ops->value_put(e->m, name, span_of(body.data, body.len));
    bytes_done(&body);
    return r;
}

static int key_decode(struct engine *e, const char *uuid, struct span row, struct kms_key *k)
{
    struct reader r = reader_over(row.p, row.len);
    size_t len;
    bool known = reader_u8(&r) == KMS_FORMAT;
    k->state = reader_u8(&r);
    uint8_t flags = reader_u8(&r);
    k->external = flags & KMS_FLAG_EXTERNAL;
    k->managed = flags & KMS_FLAG_MANAGED;
    const uint8_t *description = reader_blob(&r, &len);
    if (description && len && !(k->description = strndup((const char *)description, len)))
        return -ENOMEM;
    k->created_ms = (int64_t)reader_u64(&r);
    k->deletion_ms = (int64_t)reader_u64(&r);
    k->valid_to_ms = (int64_t)reader_u64(&r);
    k->rotate_at_ms = (int64_t)reader_u64(&r);
    k->rotate_days = reader_varint32(&r);
    k->version = reader_varint32(&r);
    k->renew_below = reader_varint32(&r);
    const uint8_t *verifier = reader_take(&r, sizeof k->verifier);
    if (verifier)
        memcpy(k->verifier, verifier, sizeof k->verifier);
    if (!known || !reader_finished(&r) || k->state < KMS_ENABLED || k->state > KMS_PENDING_IMPORT || uuid_parse(uuid, k->id) < 0)
        return -EBADMSG;
    kms_arn(e, k->id, k->arn);
    return 0;
}

int kms_alias_put(struct engine *e, const struct kms_alias *a)
{
    char name[KMS_ALIAS_CHARS + 16];
    snprintf(name, sizeof name, "kms/%s", a->name);
    return e->meta_ops->value_put(e->m, name, span_of(a->key, sizeof a->key));
}

int kms_alias_del(struct engine *e, const char *alias)
{
    char name[KMS_ALIAS_CHARS + 16];
    snprintf(name, sizeof name, "kms/%.256s", alias);
    return e->meta_ops->value_del(e->m, name);
}

int kms_policy_put(struct engine *e, struct kms_key *k, const char *text, size_t len, struct policy **ret, struct reason *reason)
{
    char name[64];
    row_name("policy", k->id, name);
    return iam_policy_row_put(e, name, POLICY_KEY, k->arn, text, len, ret, reason);
}

int kms_key_del(struct engine *e, const struct kms_key *k)
{
    char name[64];
    row_name("key", k->id, name);
    int r = e->meta_ops->value_del(e->m, name);
    row_name("policy", k->id, name);
    if (r == 0)
        r = e->meta_ops->value_del(e->m, name);
    for (size_t i = 0; r == 0 && i < e->kms->alias_count; i++) {
        if (memcmp(e->kms->aliases[i]->key, k->id, 16) == 0)
            r = kms_alias_del(e, e->kms->aliases[i]->name);
    }
    return r;
}

/* ---- material ---- */

int kms_material_put(struct engine *e, const struct kms_key *k, uint32_t version, const uint8_t material[32])
{
    struct kek_row row = {.version = version, .kind = KEK_KMS};
    memcpy(row.id, k->id, 16);
    int r = kek_row_seal(e->keys, &row, material);
    return r < 0 ? r : e->meta_ops->kek_put(e->m, &row);
}

int kms_material_del(struct engine *e, const struct kms_key *k, uint32_t below, unsigned *ret_count)
{
    return keyring_rows_del(e, KEK_KMS, k->id, below, ret_count);
}

static int material_row(void *arg, const struct kek_row *row)
{
    struct engine *e = arg;
    if (row->kind != KEK_KMS)
        return 0;
    CLEANUP(secret_cleanup) struct secret *key = secret_new(32);
    int r = key ? kek_row_open(e->keys, row, secret_bytes(key)) : -ENOMEM;
    return r < 0 ? r : kms_local_add(e->kms->local, row->id, row->version, secret_peek(key));
}

/* ---- loading ---- */

static int key_row(void *arg, const char *name, struct span value)
{
    struct engine *e = arg;
    struct kms_key *k = calloc(1, sizeof *k);
    int r = k ? key_decode(e, name + strlen("kms/key/"), value, k) : -ENOMEM;
    if (r == 0)
        r = iam_list_add((void ***)&e->kms->keys, &e->kms->key_count, e->kms->key_count, k);
    if (r < 0 && k)
        kms_key_free(k);
    return r;
}

static int alias_row(void *arg, const char *name, struct span value)
{
    struct engine *e = arg;
    struct kms_alias *a = calloc(1, sizeof *a);
    int r = !a ? -ENOMEM : value.len != sizeof a->key || strlen(name + 4) > KMS_ALIAS_CHARS ? -EBADMSG : 0;
    if (r == 0) {
        memcpy(a->key, value.p, sizeof a->key);
        snprintf(a->name, sizeof a->name, "%s", name + 4);
        r = iam_list_add((void ***)&e->kms->aliases, &e->kms->alias_count, e->kms->alias_count, a);
    }
    if (r < 0)
        free(a);
    return r;
}

static int policy_load(struct engine *e, struct kms_key *k)
{
    char name[64];
    struct span value;
    row_name("policy", k->id, name);
    int r = e->meta_ops->value_get(e->m, name, &value);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return iam_policy_row_load(e, value, POLICY_KEY, k->arn, &k->policy);
}

static int made_first(const void *a, const void *b)
{
    const struct kms_key *one = *(struct kms_key *const *)a, *two = *(struct kms_key *const *)b;
    return one->created_ms != two->created_ms ? (one->created_ms > two->created_ms) - (one->created_ms < two->created_ms)
                                              : memcmp(one->id, two->id, 16);
}

int kms_load(struct engine *e)
{
    struct kms *k = e->kms;
    int r = e->meta_ops->kek_scan(e->m, material_row, e);
    if (r == 0)
        r = e->meta_ops->value_scan(e->m, "kms/key/", key_row, e);
    if (r == 0)
        r = e->meta_ops->value_scan(e->m, "kms/alias/", alias_row, e);
    if (k->key_count)
        qsort(k->keys, k->key_count, sizeof *k->keys, made_first);
    for (size_t i = 0; r == 0 && i < k->key_count; i++)
        r = policy_load(e, k->keys[i]);
    return r;
}
