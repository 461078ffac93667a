/* SPDX-License-Identifier: GPL-3.0-or-later
 * Permission: an operation becomes a request of src/auth, with the condition keys that arise on a mount (auth.md §4.3), and is
 * judged by the policies in force at that moment.
 *
 * The owning account's root in a bucket without a policy is allowed at once. Everybody else's judgement holds iam.lock (read) and
 * allocates nothing. What an operation knows beyond action and key stands in struct may (private.h). */
#include "engine/iam.h"
#include "engine/mfa.h"
#include "engine/trail.h"
#include "engine/sse_c.h"
#include "util/limits.h"

#include <stdio.h>

enum { VALUES_MAX = 32, KEY_MAX = 4096, TAG_KEY_BYTES = LIMIT_TAG_KEY_CHARS * 4 };

/* One judgement being put together. */
struct asked {
    struct engine *e;
    struct caller *c;
    const struct bucket *b;
    struct auth_request q;
    struct auth_value values[VALUES_MAX];
    struct version version; /* whose tags count, when it had to be loaded */
    bool loaded;
    char id[33];
    char mfa_age[24];
    char key[KEY_MAX + 1];
    char tags[LIMIT_OBJECT_TAGS][TAG_KEY_BYTES + 1];
    size_t tag_count;
};

static void add(struct asked *a, enum auth_key key, const char *tag, const char *text, size_t len)
{
    if (a->q.value_count < VALUES_MAX)
        a->values[a->q.value_count++] = (struct auth_value){.key = key, .tag = tag, .text = text, .len = len};
}

static bool has(const struct asked *a, enum auth_key key)
{
    for (size_t n = 0; n < a->q.value_count; n++) {
        if (a->values[n].key == key)
            return true;
    }
    return false;
}

static void add_fact(struct asked *a, enum auth_key key, const char *text)
{
    if (!has(a, key))
        add(a, key, NULL, text, strlen(text));
}

static bool wants(const struct asked *a, enum auth_key key)
{
    const struct auth_policies *p = &a->q.policies;
    for (size_t n = 0; n < p->identity_count; n++) {
        if (auth_keys_has(policy_keys(p->identity[n]), key))
            return true;
    }
    return p->resource && auth_keys_has(policy_keys(p->resource), key);
}

/* Absent, never false, without a code. */
static void add_mfa(struct asked *a, const struct may *m)
{
    int64_t age_s;
    if ((!wants(a, AUTH_MFA_PRESENT) && !wants(a, AUTH_MFA_AGE)) || has(a, AUTH_MFA_PRESENT) ||
        !mfa_in_force(a->e, a->c, a->b, span_of(a->q.key, a->q.key_len), m ? m->seq : 0, &age_s))
        return;
    snprintf(a->mfa_age, sizeof a->mfa_age, "%lld", (long long)age_s);
    add_fact(a, AUTH_MFA_PRESENT, "true");
    add_fact(a, AUTH_MFA_AGE, a->mfa_age);
}

/* A mount's own headers are its options, and a customer key that is unlocked for writing (encryption.md §8). */
static void add_headers(struct asked *a)
{
    const struct engine *e = a->e;
    if (a->b && sse_c_writes(e, a->c, a->b)) {
        add_fact(a, AUTH_SSE_CUSTOMER, "AES256");
        return;
    }
    if (e->mount_sse.mode)
        add_fact(a, AUTH_SSE, e->mount_sse.mode == ENVELOPE_SSE_KMS ? "aws:kms" : "AES256");
    if (e->mount_sse.mode == ENVELOPE_SSE_KMS && e->mount_sse.key[0])
        add_fact(a, AUTH_SSE_KMS_KEY, e->mount_sse.key);
}

/* What the request says; on the mount and the local socket nothing crosses a network, and each PutObject makes an object. */
static void add_values(struct asked *a, const char *action, const struct may *m)
{
    for (size_t n = 0; m && n < m->count; n++)
        add(a, m->values[n].key, m->values[n].tag, m->values[n].text, m->values[n].len);
    for (size_t n = 0; n < a->c->value_count; n++)
        add(a, a->c->values[n].key, a->c->values[n].tag, a->c->values[n].text, a->c->values[n].len);
    if (strcmp(a->c->front, "s3") == 0)
        return;
    add_mfa(a, m);
    add_fact(a, AUTH_SECURE_TRANSPORT, "true");
    if (strcmp(action, "s3:PutObject") != 0)
        return;
    add_fact(a, AUTH_OBJECT_CREATION, "true");
    if (strcmp(a->c->front, "mount") == 0)
        add_headers(a);
}

/* ---- tags of what is there: looked up only where a policy asks for them ---- */

static void add_tags(struct asked *a, const struct attrs *attrs)
{
    struct attr_item item;
    for (size_t at = 0; attrs_next(attrs, &at, &item);) {
        if (item.kind != ATTR_TAG || item.name_len > TAG_KEY_BYTES || a->tag_count == LIMIT_OBJECT_TAGS)
            continue;
        char *tag = a->tags[a->tag_count++];
        memcpy(tag, item.name, item.name_len);
        tag[item.name_len] = '\0';
        add(a, AUTH_EXISTING_TAG, tag, (const char *)item.value, item.len);
    }
}

static void add_existing(struct asked *a, struct span key, const struct may *m)
{
    uint64_t seq = m ? m->seq : 0;
    const struct record *record = m ? m->record : NULL;
    bool id = seq && !has(a, AUTH_VERSION_ID) && wants(a, AUTH_VERSION_ID);
    bool tags = strcmp(a->q.action, "s3:PutObject") != 0 && !has(a, AUTH_EXISTING_TAG) && wants(a, AUTH_EXISTING_TAG);
    if (!a->b || !key.len || (!id && !tags))
        return;
    if ((id || !record) && version_load(a->e, a->b->number, key, seq, &a->version) == 0) {
        a->loaded = true;
        record = &a->version.record;
    }
    if (a->loaded && id) {
        version_id_text(&a->version, a->id);
        add(a, AUTH_VERSION_ID, NULL, a->id, strlen(a->id));
    }
    if (record && tags)
        add_tags(a, &record->attrs);
}

/* ---- the request ---- */

/* The caller's policies and whether it is disabled. iam.lock. A user that is gone counts as disabled. */
static void add_identity(struct asked *a)
{
    const struct principal *p = a->q.principal;
    if (p->kind != PRINCIPAL_USER)
        return;
    const struct user *u = iam_user_by_id(a->e, p->userid);
    a->q.disabled = !u || u->disabled;
    if (u)
        a->q.policies = (struct auth_policies){.identity = (const struct policy *const *)u->policies, .identity_count = u->policy_count};
}

static void ask_key(struct asked *a, struct span key, const struct may *m)
{
    bool slash = m && m->directory;
    if (!key.len && !slash)
        return;
    a->q.key = (const char *)key.p;
    a->q.key_len = key.len;
    if (!slash || (key.len && key.p[key.len - 1] == '/') || key.len >= KEY_MAX)
        return;
    if (key.len) {
        memcpy(a->key, key.p, key.len);
        a->key[a->q.key_len++] = '/';
    }
    a->q.key = a->key;
    if (!key.len)
        a->key[0] = '\0'; /* the bucket's own directory: BUCKET/ */
}

/* iam.lock. */
static void ask(struct asked *a, struct engine *e, struct caller *c, const char *action, const struct bucket *b, struct span key,
                const struct may *m)
{
    a->e = e;
    a->c = c;
    a->b = b;
    a->loaded = false;
    a->tag_count = 0;
    a->id[0] = '\0';
    a->q = (struct auth_request){
        .principal = &c->principal,
        .action = action,
        .bucket = b ? b->name : m ? m->bucket : NULL,
        .bucket_account = b ? b->account : m && m->own ? NULL : e->conf.account_id,
        .region = e->conf.region,
        .now_ms = clock_wall_ns() / 1000000,
        .values = a->values,
    };
    ask_key(a, key, m);
    add_identity(a);
    if (m && m->resource) {
        a->q.resource = m->resource;
        a->q.policies.resource = m->policy;
    }
    if (b) {
        a->q.policies.resource = b->policy;
        a->q.restrict_public = b->policy && policy_is_public(b->policy) && (bucket_block(e, b) & RESTRICT_PUBLIC_BUCKETS);
    }
    add_values(a, action, m);
}

static bool is_free(const struct caller *c, const struct bucket *b)
{
    return b && !b->policy && c->principal.kind == PRINCIPAL_ROOT && strcmp(c->principal.account, b->account) == 0;
}

/* ---- why not ---- */

static const char *kind_name(const struct policy *p, char buf[192])
{
    switch (policy_kind(p)) {
    case POLICY_IDENTITY:
        snprintf(buf, 192, "identity %s", policy_name(p));
        return buf;
    case POLICY_ACCESS_POINT:
        return "access point";
    case POLICY_KEY:
        return "key";
    default:
        return "bucket";
    }
}

static void resource_text(const struct auth_request *q, struct bytes *out)
{
    if (q->resource)
        bytes_printf(out, "%s", q->resource);
    else
        bytes_printf(out, "arn:aws:s3:::%s", q->bucket ? q->bucket : "*");
    if (q->key)
        bytes_printf(out, "/%.*s", (int)(q->key_len > 512 ? 512 : q->key_len), q->key);
}

/* Lines of last-error (auth.md §7); anonymous callers get none of them. */
static void explain(struct caller *c, const struct auth_request *q, const struct auth_verdict *v)
{
    struct bytes out = {0};
    char buf[192];
    bytes_printf(&out, "resource: ");
    resource_text(q, &out);
    bool by_policy = v->cause == AUTH_BY_POLICY;
    bytes_printf(&out, "\npolicy: %s\n", by_policy ? kind_name(v->policy, buf) : "none");
    if (by_policy && policy_sid(v->policy, v->statement)[0])
        bytes_printf(&out, "sid: %.200s\n", policy_sid(v->policy, v->statement));
    if (by_policy) {
        size_t before = out.len;
        bytes_printf(&out, "condition: ");
        size_t empty = out.len;
        policy_conditions(v->policy, v->statement, &out);
        if (out.len == empty)
            out.len = before;
        else
            bytes_printf(&out, "\n");
    }
    size_t len = out.len < sizeof c->denial ? out.len : sizeof c->denial - 1;
    while (len > 0 && len < out.len && (out.data[len] & 0xc0) == 0x80)
        len--;
    if (out.data)
        memcpy(c->denial, out.data, len);
    c->denial[len] = '\0';
    bytes_done(&out);
}

/* For the audit trail, which also has what the caller is not told. */
static void remember(struct caller *c, const struct asked *a, const struct auth_verdict *v)
{
    static const char *const causes[] = {[AUTH_BY_DISABLED] = "the user is disabled", [AUTH_BY_PUBLIC_BLOCK] = "public access block"};
    char rule[sizeof c->refused.rule], name[192];
    if (v->cause == AUTH_BY_POLICY)
        snprintf(rule, sizeof rule, "%s policy, statement %zu %s", kind_name(v->policy, name), (size_t)v->statement + 1,
                 policy_sid(v->policy, v->statement));
    else
        snprintf(rule, sizeof rule, "%s", v->cause == AUTH_BY_DISABLED || v->cause == AUTH_BY_PUBLIC_BLOCK ? causes[v->cause] : "nothing allows it");
    trail_refuse(c, a->q.action, rule, a->b, span_of(a->q.key, a->q.key_len), a->id);
    if (!a->b && a->q.bucket)
        snprintf(c->refused.bucket, sizeof c->refused.bucket, "%s", a->q.bucket);
}

/* What to do about it, where that is known. */
static void advise(struct caller *c, const struct auth_verdict *v)
{
    size_t len = strlen(c->reason.text);
    if (v->outcome != AUTH_DENIED_EXPLICIT || strcmp(c->front, "s3") == 0)
        return;
    if (policy_statement_uses(v->policy, v->statement, AUTH_SSE))
        snprintf(c->reason.text + len, sizeof c->reason.text - len,
                 ": it asks for s3:x-amz-server-side-encryption, which the mount option sse=AES256 sends");
    else if (policy_statement_uses(v->policy, v->statement, AUTH_SOURCE_IP))
        snprintf(c->reason.text + len, sizeof c->reason.text - len,
                 ": it asks for aws:SourceIp, which a mount does not have; \"Null\":{\"aws:SourceIp\":\"false\"} in that statement spares it");
}

/* ---- asking ---- */

int engine_may_with(struct engine *e, struct caller *c, const char *action, const struct bucket *b, struct span key,
                    const struct may *m)
{
    struct asked a;
    struct auth_verdict v;
    pthread_rwlock_rdlock(&e->iam->lock);
    if (is_free(c, b)) {
        pthread_rwlock_unlock(&e->iam->lock);
        return 0;
    }
    ask(&a, e, c, action, b, key, m);
    add_existing(&a, key, m);
    int r = auth_judge(&a.q, &v, &c->reason);
    if (r < 0) {
        c->denied_action = action;
        remember(c, &a, &v);
        c->denial[0] = '\0';
        if (c->principal.kind != PRINCIPAL_ANONYMOUS) {
            explain(c, &a.q, &v);
            advise(c, &v);
        }
    }
    pthread_rwlock_unlock(&e->iam->lock);
    if (a.loaded)
        version_done(&a.version);
    return r;
}

int engine_may(struct engine *e, struct caller *c, const char *action, const struct bucket *b, struct span key)
{
    return engine_may_with(e, c, action, b, key, NULL);
}

bool engine_could(struct engine *e, struct caller *c, const char *action, const struct bucket *b, struct span key, const struct may *m)
{
    struct asked a;
    pthread_rwlock_rdlock(&e->iam->lock);
    int r = 0;
    if (!is_free(c, b)) {
        ask(&a, e, c, action, b, key, m);
        add_existing(&a, key, m);
        r = auth_judge(&a.q, NULL, NULL);
        if (a.loaded)
            version_done(&a.version);
    }
    pthread_rwlock_unlock(&e->iam->lock);
    return r == 0;
}

bool engine_free(struct engine *e, const struct caller *c, const struct bucket *b)
{
    pthread_rwlock_rdlock(&e->iam->lock);
    bool free_of_it = is_free(c, b);
    pthread_rwlock_unlock(&e->iam->lock);
    return free_of_it;
}

int engine_may_inode(struct engine *e, struct caller *c, const char *action, const struct inode *i, const struct may *m)
{
    if (i->orphan && !i->key_len && !i->dir)
        return 0; /* no name, so no resource: who made it has its handle */
    struct may mine = m ? *m : (struct may){0};
    mine.directory = i->dir;
    if (!i->dir && !mine.record)
        mine.record = &i->record;
    return engine_may_with(e, c, action, i->bucket, span_of(i->key, i->key_len), &mine);
}

int engine_may_ino(struct engine *e, struct caller *c, const char *action, uint64_t ino)
{
    LOCK_SCOPE(&e->meta);
    struct inode *i;
    int r = inode_get(e, ino, &i);
    if (r < 0)
        return r;
    r = engine_may_inode(e, c, action, i, NULL);
    inode_put(e, i);
    return r;
}

/* ---- walking: may a name be known (auth.md §4.6, ListBucket's row) ---- */

static bool reaches(struct engine *e, struct caller *c, const struct bucket *b, struct span key, bool directory, bool below,
                    const char *action)
{
    struct asked a;
    pthread_rwlock_rdlock(&e->iam->lock);
    ask(&a, e, c, "s3:GetObject", b, key, &(struct may){.directory = directory});
    bool yes = auth_reaches(&a.q, below, action);
    pthread_rwlock_unlock(&e->iam->lock);
    return yes;
}

static bool could_list(struct engine *e, struct caller *c, const struct bucket *b, struct span key, bool directory)
{
    char buf[KEY_MAX + 1];
    if (directory && key.len && key.len < KEY_MAX) {
        memcpy(buf, key.p, key.len);
        buf[key.len] = '/';
        key = span_of(buf, key.len + 1);
    }
    struct auth_value prefix = {.key = AUTH_PREFIX, .text = (const char *)key.p, .len = key.len};
    return engine_could(e, c, "s3:ListBucket", b, span_of(NULL, 0), &(struct may){.values = &prefix, .count = 1});
}

/* Says no in the words of the action that would have done. */
static int refuse_to_see(struct engine *e, struct caller *c, const struct bucket *b, struct span key)
{
    struct auth_value prefix = {.key = AUTH_PREFIX, .text = key.len ? (const char *)key.p : "", .len = key.len};
    int r = engine_may_with(e, c, "s3:ListBucket", b, span_of(NULL, 0), &(struct may){.values = &prefix, .count = key.len ? 1 : 0});
    return r < 0 ? r : -EACCES;
}

int may_see(struct engine *e, struct caller *c, const struct bucket *b, struct span key, enum sight what)
{
    if (engine_free(e, c, b) || could_list(e, c, b, key, false))
        return 0;
    bool seen = false;
    switch (what) {
    case SEE_FILE:
        seen = engine_could(e, c, "s3:GetObject", b, key, NULL) || reaches(e, c, b, key, false, false, NULL);
        break;
    case SEE_DIRECTORY:
        seen = could_list(e, c, b, key, true) || reaches(e, c, b, key, true, true, NULL);
        break;
    case SEE_NOTHING: /* who may write there may learn that nothing is, as O_EXCL tells as well */
        seen = reaches(e, c, b, key, false, false, "s3:PutObject") || reaches(e, c, b, key, true, false, "s3:PutObject");
        break;
    }
    return seen ? 0 : refuse_to_see(e, c, b, key);
}

int may_enter(struct engine *e, struct caller *c, const struct bucket *b)
{
    if (engine_free(e, c, b) || engine_could(e, c, "s3:ListBucket", b, span_of(NULL, 0), NULL) ||
        reaches(e, c, b, span_of(NULL, 0), false, false, NULL) || reaches(e, c, b, span_of("", 0), true, true, NULL) ||
        engine_could(e, c, "s3:GetBucketPolicy", b, span_of(NULL, 0), NULL)) /* the root, whom no policy keeps from that */
        return 0;
    return refuse_to_see(e, c, b, span_of(NULL, 0));
}

int may_see_inode(struct engine *e, struct caller *c, const struct inode *i)
{
    if (!i->bucket || i->orphan)
        return 0;
    if (i->dir && !i->key_len)
        return may_enter(e, c, i->bucket);
    return may_see(e, c, i->bucket, span_of(i->key, i->key_len), i->dir ? SEE_DIRECTORY : SEE_FILE);
}

int may_list(struct engine *e, struct caller *c, const char *action, const struct bucket *b, struct span key)
{
    char buf[KEY_MAX + 1];
    size_t len = 0;
    if (key.len && key.len < KEY_MAX) {
        memcpy(buf, key.p, key.len);
        buf[key.len] = '/';
        len = key.len + 1;
    }
    struct auth_value values[] = {{.key = AUTH_PREFIX, .text = buf, .len = len}, {.key = AUTH_DELIMITER, .text = "/", .len = 1}};
    return engine_may_with(e, c, action, b, span_of(NULL, 0), &(struct may){.values = values, .count = 2});
}

/* ---- versions ---- */

static struct may with_prefix(struct auth_value *value, struct span key)
{
    *value = (struct auth_value){.key = AUTH_PREFIX, .text = key.len ? (const char *)key.p : "", .len = key.len};
    return (struct may){.values = value, .count = 1};
}

int may_list_versions(struct engine *e, struct caller *c, const struct bucket *b, struct span key)
{
    struct auth_value value;
    struct may m = with_prefix(&value, key);
    return engine_may_with(e, c, "s3:ListBucketVersions", b, span_of(NULL, 0), &m);
}

int may_see_versions(struct engine *e, struct caller *c, const struct bucket *b, struct span key)
{
    static const char *const actions[] = {"s3:GetObjectVersion", "s3:DeleteObjectVersion", "s3:GetObjectVersionTagging", "s3:PutObjectVersionTagging"};
    struct auth_value value;
    struct may m = with_prefix(&value, key);
    if (engine_free(e, c, b) || engine_could(e, c, "s3:ListBucketVersions", b, span_of(NULL, 0), &m))
        return 0;
    for (size_t n = 0; n < sizeof actions / sizeof *actions; n++) { /* of the key, or of one below the directory of that name */
        if (reaches(e, c, b, key, false, false, actions[n]) || reaches(e, c, b, key, true, true, actions[n]))
            return 0;
    }
    return may_list_versions(e, c, b, key) < 0 ? -EACCES : 0;
}

int may_miss_version(struct engine *e, struct caller *c, const struct bucket *b, struct span key)
{
    int r = engine_free(e, c, b) ? 0 : may_list_versions(e, c, b, key);
    return r < 0 ? r : -ENOENT;
}

/* ---- holdfs user can ---- */

/* The resource in the engine's terms: an ARN of s3, BUCKET/KEY, or another service's ARN. */
struct can {
    struct caller caller;
    const struct bucket *b;
    struct may m;
    struct span key;
    struct auth_value values[VALUES_MAX];
};

static int can_who(struct engine *e, struct caller *c, const json_t *question, struct principal *ret)
{
    const json_t *uid = json_object_get(question, "uid");
    const char *user = json_string_value(json_object_get(question, "user"));
    struct account *a;
    int r = iam_account_named(e, c, json_string_value(json_object_get(question, "account")), &a);
    if (r < 0)
        return r;
    if (json_is_integer(uid)) {
        struct caller other;
        engine_caller_init(e, &other, (uint32_t)json_integer_value(uid), 0, 0, "mount");
        *ret = other.principal;
    } else if (!user || (r = iam_who(e, user, a, ret, &c->reason)) < 0) {
        return user ? r : reason_fail(&c->reason, EINVAL, "name a user or a uid");
    }
    const struct account *of = ret->account[0] ? iam_account_by_id(e, ret->account) : a;
    bool self = c->principal.kind == ret->kind && strcmp(c->principal.account, ret->account) == 0 && strcmp(c->principal.userid, ret->userid) == 0;
    return self ? 0 : iam_manages(e, c, of);
}

static void can_resource(struct engine *e, const char *text, struct can *can, char bucket[64])
{
    static const char s3[] = "arn:aws:s3:::";
    if (strncmp(text, s3, strlen(s3)) == 0)
        text += strlen(s3);
    else if (strncmp(text, "arn:", 4) == 0)
        can->m.resource = text;
    if (can->m.resource || strcmp(text, "*") == 0)
        return;
    size_t len = strcspn(text, "/");
    snprintf(bucket, 64, "%.*s", (int)(len < 63 ? len : 63), text);
    can->b = bucket_by_name(e, text, len);
    can->m.bucket = bucket;
    if (text[len] && text[len + 1])
        can->key = span_of(text + len + 1, strlen(text + len + 1));
    else
        can->m.directory = text[len]; /* BUCKET/ is an object's ARN */
}

static int can_context(struct caller *c, const json_t *context, struct can *can)
{
    const char *name;
    json_t *list, *value;
    size_t n;
    json_object_foreach((json_t *)context, name, list) {
        enum auth_key key;
        const char *tag;
        if (auth_key_find(name, &key, &tag) < 0)
            return reason_fail(&c->reason, EINVAL, "'%.128s' is no condition key", name);
        json_array_foreach(list, n, value) {
            if (can->m.count == VALUES_MAX)
                return reason_fail(&c->reason, E2BIG, "at most %d values", VALUES_MAX);
            if (!json_is_string(value))
                return reason_fail(&c->reason, EINVAL, "the values of '%.128s' are strings", name);
            can->values[can->m.count++] = (struct auth_value){.key = key, .tag = tag, .text = json_string_value(value), .len = json_string_length(value)};
        }
    }
    can->m.values = can->values;
    return 0;
}

static json_t *can_answer(const struct auth_request *q, const struct auth_verdict *v)
{
    static const char *const decisions[] = {[AUTH_ALLOWED] = "allow", [AUTH_DENIED_EXPLICIT] = "explicit deny", [AUTH_DENIED_IMPLICIT] = "implicit deny"};
    static const char *const causes[] = {[AUTH_BY_NOTHING] = "nothing allows it", [AUTH_BY_ROOT] = "the account's root", [AUTH_BY_POLICY] = "a policy",
                                         [AUTH_BY_GRANT] = "an ACL", [AUTH_BY_DISABLED] = "the user is disabled",
                                         [AUTH_BY_PUBLIC_BLOCK] = "the public access block"};
    char arn[128], buf[192];
    struct bytes text = {0};
    principal_arn(q->principal, arn);
    resource_text(q, &text);
    json_t *out = json_pack("{s:b, s:s, s:s, s:s, s:s%, s:s}", "allowed", v->outcome == AUTH_ALLOWED, "decision", decisions[v->outcome],
                            "principal", arn, "action", q->action, "resource", (char *)text.data, text.len, "by", causes[v->cause]);
    bytes_clear(&text);
    if (out && v->cause == AUTH_BY_POLICY) {
        json_object_set_new(out, "policy", json_string(kind_name(v->policy, buf)));
        json_object_set_new(out, "sid", json_string(policy_sid(v->policy, v->statement)));
        policy_statement(v->policy, v->statement, &text);
        json_object_set_new(out, "statement", json_loadb((char *)text.data, text.len, 0, NULL));
    }
    bytes_done(&text);
    return out;
}

int engine_user_can(struct engine *e, struct caller *c, const json_t *question, json_t **ret)
{
    const char *action = json_string_value(json_object_get(question, "action"));
    const char *resource = json_string_value(json_object_get(question, "resource"));
    struct can can = {0};
    char bucket[64];
    if (!action || !resource || !auth_action_known(action))
        return reason_fail(&c->reason, EINVAL, "'%.80s' is no action; those of auth are named as in s3:GetObject", action ? action : "");
    LOCK_SCOPE(&e->meta);
    engine_caller_init(e, &can.caller, c->uid, c->gid, c->pid, "command");
    int r = can_who(e, c, question, &can.caller.principal);
    if (r == 0)
        r = can_context(c, json_object_get(question, "context"), &can);
    if (r < 0)
        return r;
    can_resource(e, resource, &can, bucket);
    can.m.own = true;
    struct asked a;
    struct auth_verdict v;
    pthread_rwlock_rdlock(&e->iam->lock);
    ask(&a, e, &can.caller, action, can.b, can.key, &can.m);
    add_existing(&a, can.key, &can.m);
    auth_judge(&a.q, &v, NULL);
    *ret = can_answer(&a.q, &v);
    pthread_rwlock_unlock(&e->iam->lock);
    if (a.loaded)
        version_done(&a.version);
    return *ret ? 0 : -ENOMEM;
}
