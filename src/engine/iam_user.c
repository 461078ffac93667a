/* SPDX-License-Identifier: GPL-3.0-or-later
 * Users: made, listed, disabled, removed; their uids and identity policies (auth.md §1). */
#include "engine/iam.h"
#include "engine/trail.h"

#include <stdio.h>
#include <strings.h>

/* ---- finding and showing ---- */

/* The user, where the caller manages its account. */
static int find(struct engine *e, struct caller *c, const char *account, const char *name, struct user **ret)
{
    struct account *a;
    int r = iam_account_named(e, c, account, &a);
    if (r == 0)
        r = iam_manages(e, c, a);
    if (r < 0)
        return r;
    *ret = iam_user_by_name(e, a->id, name);
    return *ret ? 0 : reason_fail(&c->reason, ENOENT, "there is no user '%.64s' in account '%s'; holdfs user list shows those there are",
                                  name, a->name);
}

static bool is_user(const struct principal *p, const struct user *u)
{
    return p->kind == PRINCIPAL_USER && strcmp(p->userid, u->userid) == 0;
}

static json_t *user_json(const struct engine *e, const struct user *u)
{
    char created[40], arn[128];
    struct principal p = iam_principal_of(u);
    timeform_format_ms(u->created_ms, created);
    principal_arn(&p, arn);
    json_t *uids = json_array(), *policies = json_array(), *keys = json_array();
    for (size_t n = 0; n < e->iam->uid_count; n++) {
        if (is_user(&e->iam->uids[n].principal, u))
            json_array_append_new(uids, json_integer(e->iam->uids[n].uid));
    }
    for (size_t n = 0; n < u->policy_count; n++)
        json_array_append_new(policies, json_string(policy_name(u->policies[n])));
    for (size_t n = 0; n < e->iam->key_count; n++) {
        if (strcmp(e->iam->keys[n]->userid, u->userid) == 0)
            json_array_append_new(keys, json_string(e->iam->keys[n]->id));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "name", u->name, "account", iam_account_by_id(e, u->account)->name,
                     "userid", u->userid, "arn", arn, "state", u->disabled ? "disabled" : "active", "created", created, "uids", uids,
                     "policies", policies, "keys", keys);
}

int engine_user_list(struct engine *e, struct caller *c, const char *account, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    struct account *a;
    int r = iam_account_named(e, c, account, &a);
    if (r == 0)
        r = iam_manages(e, c, a);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (size_t n = 0; n < e->iam->user_count; n++) {
        if (strcmp(e->iam->users[n]->account, a->id) == 0)
            json_array_append_new(list, user_json(e, e->iam->users[n]));
    }
    *ret = json_pack("{s:o}", "users", list);
    return *ret ? 0 : -ENOMEM;
}

int engine_user_show(struct engine *e, struct caller *c, const char *account, const char *name, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    struct user *u;
    int r = find(e, c, account, name, &u);
    if (r == 0 && !(*ret = user_json(e, u)))
        r = -ENOMEM;
    return r;
}

/* ---- uids ---- */

static size_t uid_at(const struct iam *iam, uint32_t uid)
{
    size_t at = 0;
    while (at < iam->uid_count && iam->uids[at].uid < uid)
        at++;
    return at;
}

static const struct principal *uid_mapped(const struct iam *iam, uint32_t uid)
{
    size_t at = uid_at(iam, uid);
    return at < iam->uid_count && iam->uids[at].uid == uid ? &iam->uids[at].principal : NULL;
}

/* May this uid become that principal's? A uid has one. */
static int uid_may(const struct engine *e, struct caller *c, uint32_t uid, const struct principal *to)
{
    const struct principal *now = uid_mapped(e->iam, uid);
    char arn[128];
    if (now && now->kind != PRINCIPAL_ANONYMOUS && to->kind != PRINCIPAL_ANONYMOUS) {
        principal_arn(now, arn);
        return reason_fail(&c->reason, EEXIST, "uid %u is %s already, and a uid has one principal; 'holdfs user map STORE %u anonymous' frees it",
                           uid, arn, uid);
    }
    if ((uid == 0 || uid == e->conf.owner_uid) && strcmp(c->principal.account, e->conf.account_id) != 0)
        return reason_fail_s3(&c->reason, EACCES, "AccessDenied", "uid %u is the store owner's: only the first account's root maps it", uid);
    return 0;
}

static int uid_row(struct engine *e, uint32_t uid, const struct principal *p)
{
    char id[16];
    snprintf(id, sizeof id, "%u", uid);
    bool by_default_root = uid == 0 || uid == e->conf.owner_uid;
    return p->kind == PRINCIPAL_ANONYMOUS && !by_default_root ? iam_row_del(e, "uid", id) : iam_uid_put(e, uid, p);
}

/* iam.lock (write). Room for one more was made. */
static void uid_take(struct iam *iam, uint32_t uid, const struct principal *p)
{
    size_t at = uid_at(iam, uid);
    if (at == iam->uid_count || iam->uids[at].uid != uid) {
        memmove(&iam->uids[at + 1], &iam->uids[at], (iam->uid_count - at) * sizeof *iam->uids);
        iam->uid_count++;
    }
    iam->uids[at] = (struct uid_entry){uid, *p};
}

static int uids_reserve(struct engine *e, size_t more)
{
    pthread_rwlock_wrlock(&e->iam->lock);
    struct uid_entry *grown = realloc(e->iam->uids, (e->iam->uid_count + more + 1) * sizeof *grown);
    if (grown)
        e->iam->uids = grown;
    pthread_rwlock_unlock(&e->iam->lock);
    return grown ? 0 : -ENOMEM;
}

static json_t *principal_json(const struct principal *p)
{
    char arn[128];
    if (!p)
        return NULL;
    principal_arn(p, arn);
    return json_string(arn);
}

static int note_map(struct engine *e, struct caller *c, int r, uint32_t uid, const struct principal *to, const struct principal *from)
{
    const struct principal *of = to->account[0] || !from ? to : from;
    return iam_note(e, c, r, "MapUid", iam_account_by_id(e, of->account[0] ? of->account : e->conf.account_id),
                    of->kind == PRINCIPAL_USER ? of->name : NULL, json_pack("{s:I, s:o*}", "uid", (json_int_t)uid, "principal", principal_json(to)),
                    principal_json(from));
}

int engine_user_map(struct engine *e, struct caller *c, const char *account, uint32_t uid, const char *who)
{
    {
        LOCK_SCOPE(&e->meta);
        struct account *a;
        struct principal p;
        int r = iam_account_named(e, c, account, &a);
        if (r == 0)
            r = iam_who(e, who, a, &p, &c->reason);
        if (r == 0)
            r = uids_reserve(e, 1); /* moves the list: before anything points into it */
        const struct principal *now = uid_mapped(e->iam, uid);
        const char *of = r == 0 && p.account[0] ? p.account : now && now->account[0] ? now->account : e->conf.account_id;
        if (r == 0)
            r = iam_manages(e, c, iam_account_by_id(e, of));
        if (r == 0)
            r = uid_may(e, c, uid, &p);
        if (r == 0)
            r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, note_map(e, c, uid_row(e, uid, &p), uid, &p, now));
        if (r < 0)
            return r;
        pthread_rwlock_wrlock(&e->iam->lock);
        if (p.kind == PRINCIPAL_ANONYMOUS && uid != 0 && uid != e->conf.owner_uid && uid_mapped(e->iam, uid)) {
            size_t at = uid_at(e->iam, uid);
            memmove(&e->iam->uids[at], &e->iam->uids[at + 1], (e->iam->uid_count - at - 1) * sizeof *e->iam->uids);
            e->iam->uid_count--;
        } else if (p.kind != PRINCIPAL_ANONYMOUS || uid == 0 || uid == e->conf.owner_uid) {
            uid_take(e->iam, uid, &p);
        }
        pthread_rwlock_unlock(&e->iam->lock);
    }
    return durable_advance(e);
}

/* ---- making ---- */

static int userid_new(const struct engine *e, char out[21])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    do {
        uint8_t random[16];
        random_bytes(random, sizeof random);
        memcpy(out, "AIDA", 4);
        for (size_t n = 0; n < sizeof random; n++)
            out[4 + n] = digits[random[n] % 32];
        out[20] = '\0';
    } while (iam_user_by_id(e, out));
    return 0;
}

static const char *policy_given(const char *text)
{
    const char *preset = engine_policy_preset(text);
    return preset ? preset : text;
}

static int uids_check(const struct engine *e, struct caller *c, const json_t *uids, const struct principal *p)
{
    size_t n;
    json_t *uid;
    int r = 0;
    json_array_foreach((json_t *)uids, n, uid) {
        if (!json_is_integer(uid) || json_integer_value(uid) < 0 || json_integer_value(uid) >= UINT32_MAX)
            return reason_fail(&c->reason, EINVAL, "a uid is a number of 0 to 4294967294");
        r = uid_may(e, c, (uint32_t)json_integer_value(uid), p);
        if (r < 0)
            break;
    }
    return r;
}

static int user_rows(struct engine *e, const struct user *u, const json_t *uids, const char *policy)
{
    struct principal p = iam_principal_of(u);
    int r = iam_user_put(e, u);
    if (r == 0 && policy)
        r = iam_policy_put(e, u->userid, "policy", policy, strlen(policy));
    size_t n;
    json_t *uid;
    json_array_foreach((json_t *)uids, n, uid) {
        if (r == 0)
            r = iam_uid_put(e, (uint32_t)json_integer_value(uid), &p);
    }
    return r;
}

static int user_take(struct engine *e, struct user *u, const json_t *uids)
{
    struct iam *iam = e->iam;
    struct principal p = iam_principal_of(u);
    size_t at = 0, n;
    json_t *uid;
    while (at < iam->user_count && strcmp(iam->users[at]->userid, u->userid) < 0)
        at++;
    int r = iam_list_add((void ***)&iam->users, &iam->user_count, at, u);
    json_array_foreach((json_t *)uids, n, uid) {
        if (r == 0)
            uid_take(iam, (uint32_t)json_integer_value(uid), &p);
    }
    iam_map_refresh(e);
    return r;
}

static int user_make(struct engine *e, struct caller *c, const struct account *a, struct user *u, const json_t *options)
{
    const json_t *uids = json_object_get(options, "uids");
    const char *policy = json_string_value(json_object_get(options, "policy"));
    policy = policy ? policy_given(policy) : NULL;
    memcpy(u->account, a->id, sizeof u->account);
    userid_new(e, u->userid);
    u->created_ms = clock_wall_ns() / 1000000;
    struct principal p = iam_principal_of(u);
    int r = uids_check(e, c, uids, &p);
    if (r == 0 && policy) {
        r = iam_identity_compile("policy", policy, strlen(policy), &u->policies[0], &c->reason);
        u->policy_count = r == 0;
    }
    if (r == 0)
        r = uids_reserve(e, json_array_size(uids));
    if (r == 0)
        r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, iam_note(e, c, user_rows(e, u, uids, policy), "CreateUser", a, u->name,
                                json_pack("{s:s, s:s, s:O*, s:o*}", "userName", u->name, "userId", u->userid, "uids", uids, "policyDocument",
                                          trail_document(policy, policy ? strlen(policy) : 0)),
                                NULL));
    if (r < 0)
        return r;
    pthread_rwlock_wrlock(&e->iam->lock);
    r = user_take(e, u, uids);
    pthread_rwlock_unlock(&e->iam->lock);
    return r;
}

static int user_name_check(const struct engine *e, struct caller *c, const struct account *a, const char *name)
{
    if (!principal_name_valid(name))
        return reason_fail(&c->reason, EINVAL, "a user's name is 1 to 64 of A-Z a-z 0-9 + = , . @ _ -");
    if (strcasecmp(name, "root") == 0 || strcasecmp(name, "anonymous") == 0)
        return reason_fail(&c->reason, EINVAL, "'%s' has a meaning of its own and is no user's name", name);
    const struct user *there = iam_user_by_name(e, a->id, name);
    return there ? reason_fail(&c->reason, EEXIST, "there is a user '%s' in account '%s' already", there->name, a->name) : 0;
}

/* After a change of policies: what the kernel knows of names may be too much now. */
static int changed(struct engine *e, struct bytes *names)
{
    iam_forget_names(e, names);
    return durable_advance(e);
}

int engine_user_create(struct engine *e, struct caller *c, const char *account, const char *name, const json_t *options, json_t **ret)
{
    struct bytes names = {0};
    {
        LOCK_SCOPE(&e->meta);
        struct account *a;
        int r = iam_account_named(e, c, account, &a);
        if (r == 0)
            r = iam_manages(e, c, a);
        if (r == 0)
            r = user_name_check(e, c, a, name);
        struct user *u = r == 0 ? calloc(1, sizeof *u) : NULL;
        if (!u)
            return r < 0 ? r : -ENOMEM;
        snprintf(u->name, sizeof u->name, "%s", name);
        r = user_make(e, c, a, u, options);
        if (r < 0) {
            policy_unref(u->policies[0]);
            free(u);
            return r;
        }
        *ret = user_json(e, u);
        iam_by_key_refresh(e, &names);
    }
    return changed(e, &names);
}

/* ---- disabling and removing ---- */

int engine_user_enable(struct engine *e, struct caller *c, const char *account, const char *name, bool on)
{
    {
        LOCK_SCOPE(&e->meta);
        struct user *u;
        int r = find(e, c, account, name, &u);
        if (r < 0)
            return r;
        struct user fresh = *u;
        fresh.disabled = !on;
        r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, iam_note(e, c, iam_user_put(e, &fresh), on ? "EnableUser" : "DisableUser", iam_account_by_id(e, u->account), u->name, NULL,
                                    json_pack("{s:b}", "disabled", u->disabled)));
        if (r < 0)
            return r;
        pthread_rwlock_wrlock(&e->iam->lock);
        u->disabled = !on;
        pthread_rwlock_unlock(&e->iam->lock);
    }
    return durable_advance(e);
}

static int user_rows_del(struct engine *e, const struct user *u)
{
    int r = iam_keys_drop(e, u->account, u->userid);
    for (size_t n = 0; r == 0 && n < u->policy_count; n++)
        r = iam_policy_del(e, u->userid, policy_name(u->policies[n]));
    for (size_t n = 0; r == 0 && n < e->iam->uid_count; n++) {
        char uid[16];
        snprintf(uid, sizeof uid, "%u", e->iam->uids[n].uid);
        if (is_user(&e->iam->uids[n].principal, u))
            r = iam_row_del(e, "uid", uid);
    }
    return r < 0 ? r : iam_row_del(e, "user", u->userid);
}

static void user_forget(struct engine *e, struct user *u)
{
    struct iam *iam = e->iam;
    iam_keys_forget(e, u->account, u->userid);
    size_t kept = 0, at = 0;
    for (size_t n = 0; n < iam->uid_count; n++) {
        if (!is_user(&iam->uids[n].principal, u))
            iam->uids[kept++] = iam->uids[n];
    }
    iam->uid_count = kept;
    while (iam->users[at] != u)
        at++;
    iam_list_remove((void **)iam->users, &iam->user_count, at);
    for (size_t n = 0; n < u->policy_count; n++)
        policy_unref(u->policies[n]);
    free(u);
    iam_map_refresh(e);
}

static int user_may_go(const struct engine *e, struct caller *c, const struct user *u)
{
    size_t keys = 0, uids = 0;
    for (size_t n = 0; n < e->iam->key_count; n++)
        keys += strcmp(e->iam->keys[n]->userid, u->userid) == 0;
    for (size_t n = 0; n < e->iam->uid_count; n++)
        uids += is_user(&e->iam->uids[n].principal, u);
    if (!keys && !uids)
        return 0;
    return reason_fail(&c->reason, EBUSY, "user '%s' has %zu access keys and %zu uids; --force removes them with it", u->name, keys, uids);
}

int engine_user_delete(struct engine *e, struct caller *c, const char *account, const char *name, bool force)
{
    {
        LOCK_SCOPE(&e->meta);
        struct user *u;
        int r = find(e, c, account, name, &u);
        if (r == 0 && !force)
            r = user_may_go(e, c, u);
        if (r == 0)
            r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, iam_note(e, c, user_rows_del(e, u), "DeleteUser", iam_account_by_id(e, u->account), u->name,
                                    json_pack("{s:s, s:s}", "userName", u->name, "userId", u->userid), NULL));
        if (r < 0)
            return r;
        pthread_rwlock_wrlock(&e->iam->lock);
        user_forget(e, u);
        pthread_rwlock_unlock(&e->iam->lock);
    }
    return durable_advance(e);
}

/* ---- identity policies ---- */

static bool policy_name_valid(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-";
    size_t len = strlen(name);
    return len >= 1 && len <= IAM_POLICY_NAME_CHARS && strspn(name, allowed) == len;
}

/* Where the policy of that name stands, or would; *ret_there: it is. */
static size_t policy_at(const struct user *u, const char *name, bool *ret_there)
{
    size_t at = 0;
    while (at < u->policy_count && strcmp(policy_name(u->policies[at]), name) < 0)
        at++;
    *ret_there = at < u->policy_count && strcmp(policy_name(u->policies[at]), name) == 0;
    return at;
}

static void policy_take(struct engine *e, struct user *u, struct policy *fresh, const char *name)
{
    bool there;
    pthread_rwlock_wrlock(&e->iam->lock);
    size_t at = policy_at(u, name, &there);
    if (there)
        policy_unref(u->policies[at]);
    if (fresh && !there) {
        memmove(&u->policies[at + 1], &u->policies[at], (u->policy_count - at) * sizeof *u->policies);
        u->policy_count++;
    }
    if (fresh)
        u->policies[at] = fresh;
    else if (there)
        memmove(&u->policies[at], &u->policies[at + 1], (--u->policy_count - at) * sizeof *u->policies);
    pthread_rwlock_unlock(&e->iam->lock);
}

static int note_policy(struct engine *e, struct caller *c, int r, const char *event, const struct user *u, const char *name, const char *text)
{
    bool there;
    size_t at = policy_at(u, name, &there), len = 0;
    const char *before = there ? policy_text(u->policies[at], &len) : NULL;
    return iam_note(e, c, r, event, iam_account_by_id(e, u->account), u->name,
                    json_pack("{s:s, s:s, s:o*}", "userName", u->name, "policyName", name, "policyDocument", trail_document(text, text ? strlen(text) : 0)),
                    trail_document(before, len));
}

static int policy_put(struct engine *e, struct caller *c, struct user *u, const char *name, const char *text)
{
    bool there;
    policy_at(u, name, &there);
    if (!policy_name_valid(name))
        return reason_fail(&c->reason, EINVAL, "a policy's name is 1 to %d of A-Z a-z 0-9 + = , . @ _ -", IAM_POLICY_NAME_CHARS);
    if (!there && u->policy_count == IAM_POLICIES_MAX)
        return reason_fail(&c->reason, ENOSPC, "user '%s' has %d policies, and that is the most: put statements together", u->name,
                           IAM_POLICIES_MAX);
    struct policy *fresh = NULL;
    text = policy_given(text);
    int r = iam_identity_compile(name, text, strlen(text), &fresh, &c->reason);
    if (r == 0)
        r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, note_policy(e, c, iam_policy_put(e, u->userid, name, text, strlen(text)), "PutUserPolicy", u, name, text));
    if (r < 0)
        policy_unref(fresh);
    else
        policy_take(e, u, fresh, name);
    return r;
}

int engine_user_policy_put(struct engine *e, struct caller *c, const char *account, const char *user, const char *name, const char *text)
{
    struct bytes names = {0};
    {
        LOCK_SCOPE(&e->meta);
        struct user *u;
        int r = find(e, c, account, user, &u);
        if (r == 0)
            r = policy_put(e, c, u, name, text);
        if (r < 0)
            return r;
        iam_by_key_refresh(e, &names);
    }
    return changed(e, &names);
}

int engine_user_policy_list(struct engine *e, struct caller *c, const char *account, const char *user, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    struct user *u;
    int r = find(e, c, account, user, &u);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (size_t n = 0; n < u->policy_count; n++) {
        size_t len;
        policy_text(u->policies[n], &len);
        json_array_append_new(list, json_pack("{s:s, s:I}", "name", policy_name(u->policies[n]), "bytes", (json_int_t)len));
    }
    *ret = json_pack("{s:o}", "policies", list);
    return *ret ? 0 : -ENOMEM;
}

/* The policy, and who has it; -ENOENT with the sentence. */
static int policy_find(struct engine *e, struct caller *c, const char *account, const char *user, const char *name, struct user **ret,
                       size_t *ret_at)
{
    bool there;
    int r = find(e, c, account, user, ret);
    if (r < 0)
        return r;
    *ret_at = policy_at(*ret, name, &there);
    return there ? 0 : reason_fail(&c->reason, ENOENT, "user '%s' has no policy '%.128s'; --list shows those there are", (*ret)->name, name);
}

int engine_user_policy_get(struct engine *e, struct caller *c, const char *account, const char *user, const char *name, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    struct user *u;
    size_t at, len;
    int r = policy_find(e, c, account, user, name, &u, &at);
    if (r < 0)
        return r;
    const char *text = policy_text(u->policies[at], &len);
    *ret = json_pack("{s:s, s:s%}", "name", name, "policy", text, len);
    return *ret ? 0 : -ENOMEM;
}

int engine_user_policy_delete(struct engine *e, struct caller *c, const char *account, const char *user, const char *name)
{
    struct bytes names = {0};
    {
        LOCK_SCOPE(&e->meta);
        struct user *u;
        size_t at;
        int r = policy_find(e, c, account, user, name, &u, &at);
        if (r == 0)
            r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, note_policy(e, c, iam_policy_del(e, u->userid, name), "DeleteUserPolicy", u, name, NULL));
        if (r < 0)
            return r;
        policy_take(e, u, NULL, name);
        iam_by_key_refresh(e, &names);
    }
    return changed(e, &names);
}
