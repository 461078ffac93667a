/* SPDX-License-Identifier: GPL-3.0-or-later
 * Policies where they are kept: identity policies and their presets, bucket policies and the users they are bound to, the public
 * access block (auth.md §1, §4.5, §4.8). */
#include "engine/iam.h"

#include <stdio.h>

int iam_identity_compile(const char *name, const char *text, size_t len, struct policy **ret, struct reason *reason)
{
    return policy_parse(text, len, &(struct policy_scope){.kind = POLICY_IDENTITY, .name = name}, ret, reason);
}

/* ---- presets, stored expanded (auth.md §1) ---- */

#define PRESET(ACTIONS) "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":" ACTIONS ",\"Resource\":\"*\"}]}"
#define WRITING "\"s3:GetObject*\",\"s3:GetBucketLocation\",\"s3:List*\",\"s3:PutObject\",\"s3:DeleteObject\",\"s3:AbortMultipartUpload\""

static const struct {
    const char *name, *text;
} presets[] = {
    {"read-only", PRESET("[\"s3:Get*\",\"s3:List*\"]")},
    {"read-write", PRESET("[" WRITING ",\"s3:PutObjectTagging\",\"s3:PutObjectVersionTagging\",\"s3:DeleteObjectTagging\","
                          "\"s3:DeleteObjectVersionTagging\",\"s3:PutObjectAcl\",\"s3:PutObjectVersionAcl\"]")},
    {"backup", PRESET("[" WRITING ",\"s3:GetBucketVersioning\",\"s3:GetBucketObjectLockConfiguration\",\"s3:PutObjectRetention\"]")},
    {"admin", PRESET("\"*\"")},
};

const char *engine_policy_preset(const char *name)
{
    for (size_t n = 0; n < sizeof presets / sizeof *presets; n++) {
        if (strcmp(presets[n].name, name) == 0)
            return presets[n].text;
    }
    return NULL;
}

/* ---- a bucket policy's row: whom its names meant when it was put, then the text ---- */

enum { POLICY_ROW_FORMAT = 1, BOUND_USER = 1, BOUND_CANONICAL = 2 };

struct binding {
    struct engine *e;
    struct bytes *record; /* putting: what was found is written down */
    struct reader bound;  /* loading: what was written down, in the same order */
};

static int bind_user(void *arg, const char *account, const char *name, char ret_userid[21])
{
    struct binding *b = arg;
    if (!iam_account_by_id(b->e, account))
        return -ENXIO;
    const struct user *u = iam_user_by_name(b->e, account, name);
    if (!u)
        return -ENOENT;
    memcpy(ret_userid, u->userid, 21);
    bytes_put_u8(b->record, BOUND_USER);
    bytes_put_blob(b->record, account, strlen(account));
    bytes_put_blob(b->record, name, strlen(name));
    bytes_put_blob(b->record, u->userid, strlen(u->userid));
    return 0;
}

static int bind_canonical(void *arg, const char *canonical, char ret_account[13])
{
    struct binding *b = arg;
    for (size_t n = 0; n < b->e->iam->account_count; n++) {
        const struct account *a = b->e->iam->accounts[n];
        if (strcmp(a->canonical, canonical) != 0)
            continue;
        memcpy(ret_account, a->id, 13);
        bytes_put_u8(b->record, BOUND_CANONICAL);
        bytes_put_blob(b->record, canonical, strlen(canonical));
        bytes_put_blob(b->record, "", 0);
        bytes_put_blob(b->record, a->id, strlen(a->id));
        return 0;
    }
    return -ENXIO;
}

static bool blob_is(const uint8_t *p, size_t len, const char *text)
{
    return p && len == strlen(text) && memcmp(p, text, len) == 0;
}

/* What was bound to these names; -ENXIO: nothing. */
static int bound_find(const struct binding *b, uint8_t kind, const char *first, const char *second, char *ret, size_t cap)
{
    struct reader r = b->bound;
    while (!r.failed && r.at < r.end) {
        uint8_t is = reader_u8(&r);
        size_t first_len, second_len, value_len;
        const uint8_t *one = reader_blob(&r, &first_len), *two = reader_blob(&r, &second_len), *value = reader_blob(&r, &value_len);
        if (r.failed || is != kind || !blob_is(one, first_len, first) || (second_len && !blob_is(two, second_len, second)) ||
            value_len >= cap)
            continue;
        memcpy(ret, value, value_len);
        ret[value_len] = '\0';
        return 0;
    }
    return -ENXIO;
}

static int rebind_user(void *arg, const char *account, const char *name, char ret_userid[21])
{
    return bound_find(arg, BOUND_USER, account, name, ret_userid, 21);
}

static int rebind_canonical(void *arg, const char *canonical, char ret_account[13])
{
    return bound_find(arg, BOUND_CANONICAL, canonical, "", ret_account, 13);
}

static void row_name(const struct bucket *b, const char *what, char out[64])
{
    snprintf(out, 64, "iam/bucket/%u/%s", b->number, what);
}

static void bucket_arn(const struct bucket *b, char out[96])
{
    snprintf(out, 96, "arn:aws:s3:::%s", b->name);
}

/* Nobody gets in until the root, whom no policy keeps from it, puts the policy again. */
static int policy_closed(const struct policy_scope *scope, struct policy **ret)
{
    char closed[512];
    int len = scope->kind == POLICY_BUCKET
                  ? snprintf(closed, sizeof closed,
                             "{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":[\"%s\",\"%s/*\"]}}",
                             scope->resource, scope->resource)
                  : snprintf(closed, sizeof closed,
                             "{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"kms:*\",\"Resource\":\"*\"}}");
    return policy_parse(closed, (size_t)len, scope, ret, NULL);
}

int iam_policy_row_load(struct engine *e, struct span value, enum policy_kind kind, const char *arn, struct policy **ret)
{
    struct reader r = reader_over(value.p, value.len);
    size_t bound_len, text_len;
    bool known = reader_u8(&r) == POLICY_ROW_FORMAT;
    const uint8_t *bound = reader_blob(&r, &bound_len), *text = reader_blob(&r, &text_len);
    if (!known || !reader_finished(&r))
        return -EBADMSG;
    struct binding binding = {.e = e, .bound = reader_over(bound, bound_len)};
    struct reason why = {0};
    struct policy_scope scope = {.kind = kind, .resource = arn, .user = rebind_user, .canonical = rebind_canonical, .arg = &binding};
    int err = policy_parse((const char *)text, text_len, &scope, ret, &why);
    if (err != -EINVAL)
        return err;
    log_error("the policy of %s cannot be read (%s): all is denied until it is put again", arn, why.text); /* put by a version that knew more */
    return policy_closed(&scope, ret);
}

/* NULL where there is none. */
static int bucket_policy_load(struct engine *e, const struct bucket *b, struct policy **ret)
{
    char name[64];
    struct span value;
    *ret = NULL;
    row_name(b, "policy", name);
    int r = e->meta_ops->value_get(e->m, name, &value);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    char arn[96];
    bucket_arn(b, arn);
    return iam_policy_row_load(e, value, POLICY_BUCKET, arn, ret);
}

static int bucket_block_load(struct engine *e, const struct bucket *b, int *ret)
{
    char name[64];
    struct span value;
    row_name(b, "block", name);
    int r = e->meta_ops->value_get(e->m, name, &value);
    *ret = r == 0 && value.len == 1 ? value.p[0] & BLOCK_ALL : -1;
    return r == -ENOENT ? 0 : r;
}

static int bucket_mfa_delete_load(struct engine *e, const struct bucket *b, enum mfa_delete *ret)
{
    char name[64];
    struct span value;
    row_name(b, "mfa", name);
    int r = e->meta_ops->value_get(e->m, name, &value);
    if (r < 0 && r != -ENOENT)
        return r;
    if (r < 0)
        *ret = MFA_DELETE_NEVER;
    else
        *ret = value.len == 1 && value.p[0] == MFA_DELETE_ENABLED ? MFA_DELETE_ENABLED : MFA_DELETE_DISABLED;
    return 0;
}

static void take_policy(struct engine *e, struct bucket *b, struct policy *fresh)
{
    pthread_rwlock_wrlock(&e->iam->lock);
    policy_unref(b->policy);
    b->policy = fresh;
    pthread_rwlock_unlock(&e->iam->lock);
}

static void take_block(struct engine *e, struct bucket *b, int block)
{
    pthread_rwlock_wrlock(&e->iam->lock);
    b->block = block;
    pthread_rwlock_unlock(&e->iam->lock);
}

int iam_bucket_restore(struct engine *e, struct bucket *b)
{
    struct policy *policy;
    int block;
    int r = bucket_policy_load(e, b, &policy);
    if (r < 0)
        return r;
    take_policy(e, b, policy);
    r = bucket_block_load(e, b, &block);
    if (r < 0)
        return r;
    take_block(e, b, block);
    return bucket_mfa_delete_load(e, b, &b->mfa_delete);
}

int iam_buckets_load(struct engine *e)
{
    int r = 0;
    for (size_t n = 0; r == 0 && n < e->bucket_count; n++)
        r = iam_bucket_restore(e, e->buckets[n]);
    return r;
}

int iam_bucket_drop(struct engine *e, struct bucket *b)
{
    char name[64];
    row_name(b, "policy", name);
    int r = e->meta_ops->value_del(e->m, name);
    row_name(b, "block", name);
    r = r < 0 ? r : e->meta_ops->value_del(e->m, name);
    row_name(b, "mfa", name);
    return r < 0 ? r : e->meta_ops->value_del(e->m, name);
}

uint8_t bucket_block(const struct engine *e, const struct bucket *b)
{
    const struct account *a = iam_account_by_id(e, b->account);
    return (uint8_t)((b->block > 0 ? b->block : 0) | (a ? a->block : 0));
}

/* ---- putting ---- */

/* Would the new policy lock out who puts it (auth.md §4.5)? */
static int refuse_self_lockout(struct engine *e, struct caller *c, const struct bucket *b, const struct policy *fresh)
{
    struct auth_value values[] = {{.key = AUTH_SECURE_TRANSPORT, .text = "true", .len = 4}};
    struct auth_request q = {.principal = &c->principal, .action = "s3:PutBucketPolicy", .bucket = b->name,
                             .bucket_account = b->account, .region = e->conf.region, .now_ms = clock_wall_ns() / 1000000,
                             .values = c->values ? c->values : values, .value_count = c->values ? c->value_count : 1,
                             .policies = {.resource = fresh}};
    struct auth_verdict v;
    if (c->principal.kind == PRINCIPAL_ROOT || auth_judge(&q, &v, NULL) == 0 || v.outcome != AUTH_DENIED_EXPLICIT)
        return 0;
    return reason_fail_s3(&c->reason, EACCES, "AccessDenied",
                          "the new policy denies you s3:PutBucketPolicy: only the account's root could change it again; "
                          "let root put it, or confirm it over S3 with x-amz-confirm-remove-self-bucket-access: true");
}

static int refuse_public(struct engine *e, struct caller *c, const struct bucket *b, const struct policy *fresh)
{
    if (!policy_is_public(fresh) || !(bucket_block(e, b) & BLOCK_PUBLIC_POLICY))
        return 0;
    struct auth_request q = {.principal = &c->principal, .action = "s3:PutBucketPolicy", .bucket = b->name, .bucket_account = b->account};
    return auth_refuse(&q, "because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
                       &c->reason);
}

static int write_row(struct engine *e, const char *name, const struct bytes *bound, const char *text, size_t len)
{
    struct bytes row = {0};
    bytes_put_u8(&row, POLICY_ROW_FORMAT);
    bytes_put_blob(&row, bound->data, bound->len);
    bytes_put_blob(&row, text, len);
    int r = bound->failed || row.failed ? -ENOMEM : e->meta_ops->value_put(e->m, name, span_of(row.data, row.len));
    bytes_done(&row);
    return r;
}

int iam_policy_row_put(struct engine *e, const char *row, enum policy_kind kind, const char *arn, const char *text, size_t len,
                       struct policy **ret, struct reason *reason)
{
    struct bytes bound = {0};
    struct binding binding = {.e = e, .record = &bound};
    struct policy_scope scope = {.kind = kind, .resource = arn, .user = bind_user, .canonical = bind_canonical, .arg = &binding};
    struct policy *fresh = NULL;
    int r = policy_parse(text, len, &scope, &fresh, reason);
    if (r == 0)
        r = write_row(e, row, &bound, text, len);
    bytes_done(&bound);
    if (r < 0)
        policy_unref(fresh);
    else
        *ret = fresh;
    return r;
}

int bucket_policy_set(struct engine *e, struct caller *c, struct bucket *b, const char *text, size_t len)
{
    if (!text) {
        char name[64];
        row_name(b, "policy", name);
        int r = e->meta_ops->value_del(e->m, name);
        if (r == 0)
            take_policy(e, b, NULL);
        return r;
    }
    char arn[96], row[64];
    struct policy *fresh = NULL;
    bucket_arn(b, arn);
    row_name(b, "policy", row);
    int r = iam_policy_row_put(e, row, POLICY_BUCKET, arn, text, len, &fresh, &c->reason); /* what refuses it undoes the row */
    if (r == 0)
        r = refuse_public(e, c, b, fresh);
    if (r == 0)
        r = refuse_self_lockout(e, c, b, fresh);
    if (r < 0)
        policy_unref(fresh);
    else
        take_policy(e, b, fresh);
    return r;
}

int bucket_mfa_delete_set(struct engine *e, struct bucket *b, bool on)
{
    char name[64];
    uint8_t value = on ? MFA_DELETE_ENABLED : MFA_DELETE_DISABLED;
    row_name(b, "mfa", name);
    int r = e->meta_ops->value_put(e->m, name, span_of(&value, 1));
    if (r == 0)
        b->mfa_delete = value;
    return r;
}

int bucket_block_set(struct engine *e, struct bucket *b, int block)
{
    char name[64];
    uint8_t value = (uint8_t)block;
    row_name(b, "block", name);
    int r = block < 0 ? e->meta_ops->value_del(e->m, name) : e->meta_ops->value_put(e->m, name, span_of(&value, 1));
    if (r < 0)
        return r;
    take_block(e, b, block);
    return 0;
}
