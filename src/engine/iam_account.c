/* SPDX-License-Identifier: GPL-3.0-or-later
 * Accounts: made, listed, removed (auth.md §1). */
#include "engine/iam.h"
#include "engine/mfa.h"
#include "engine/trail.h"

#include <stdio.h>
#include <strings.h>

static size_t users_of(const struct engine *e, const struct account *a)
{
    size_t count = 0;
    for (size_t n = 0; n < e->iam->user_count; n++)
        count += strcmp(e->iam->users[n]->account, a->id) == 0;
    return count;
}

static const struct bucket *bucket_of(const struct engine *e, const struct account *a, size_t *ret_count)
{
    const struct bucket *found = NULL;
    *ret_count = 0;
    for (size_t n = 0; n < e->bucket_count; n++) {
        if (strcmp(e->buckets[n]->account, a->id) != 0)
            continue;
        found = found ? found : e->buckets[n];
        ++*ret_count;
    }
    return found;
}

static json_t *account_json(const struct engine *e, const struct account *a)
{
    char created[40];
    size_t buckets;
    timeform_format_ms(a->created_ms, created);
    bucket_of(e, a, &buckets);
    json_t *out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "name", a->name, "id", a->id, "canonical_id", a->canonical,
                            "display_name", a->display, "created", created, "users", (json_int_t)users_of(e, a), "buckets",
                            (json_int_t)buckets);
    if (out && a->email[0])
        json_object_set_new(out, "email", json_string(a->email));
    return out;
}

static int first_manages(const struct engine *e, struct caller *c)
{
    if (c->principal.kind == PRINCIPAL_ROOT && strcmp(c->principal.account, e->conf.account_id) == 0)
        return 0;
    return reason_fail_s3(&c->reason, EACCES, "AccessDenied", "only the first account's root manages accounts");
}

static int check_unique(const struct engine *e, struct caller *c, const struct account *a)
{
    for (size_t n = 0; n < e->iam->account_count; n++) {
        const struct account *other = e->iam->accounts[n];
        if (strcasecmp(other->name, a->name) == 0 || strcmp(other->id, a->name) == 0)
            return reason_fail(&c->reason, EEXIST, "there is an account '%s' already", other->name);
        if (strcmp(other->canonical, a->canonical) == 0)
            return reason_fail(&c->reason, EEXIST, "account '%s' has that canonical id already", other->name);
        if (a->email[0] && strcasecmp(other->email, a->email) == 0)
            return reason_fail(&c->reason, EEXIST, "account '%s' has that e-mail address already", other->name);
    }
    return 0;
}

static int read_options(struct caller *c, const json_t *options, struct account *a)
{
    const char *canonical = json_string_value(json_object_get(options, "canonical-id"));
    const char *display = json_string_value(json_object_get(options, "display-name"));
    const char *email = json_string_value(json_object_get(options, "email"));
    int r = display ? iam_text_check("a display name", display, &c->reason) : 0;
    if (r == 0 && email)
        r = iam_text_check("an e-mail address", email, &c->reason);
    if (r == 0 && canonical && (strlen(canonical) != 64 || strspn(canonical, "0123456789abcdef") != 64))
        r = reason_fail(&c->reason, EINVAL, "a canonical id is 64 lower-case hex digits");
    if (r < 0)
        return r;
    if (display)
        snprintf(a->display, sizeof a->display, "%s", display);
    if (email)
        snprintf(a->email, sizeof a->email, "%s", email);
    if (canonical)
        snprintf(a->canonical, sizeof a->canonical, "%s", canonical);
    return 0;
}

static int account_write(struct engine *e, struct caller *c, struct account *a)
{
    int r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, iam_note(e, c, iam_account_put(e, a), "CreateAccount", a, NULL, json_pack("{s:s}", "accountName", a->name), NULL));
    if (r < 0)
        return r;
    pthread_rwlock_wrlock(&e->iam->lock);
    r = iam_list_add((void ***)&e->iam->accounts, &e->iam->account_count, e->iam->account_count, a);
    pthread_rwlock_unlock(&e->iam->lock);
    return r;
}

int engine_account_create(struct engine *e, struct caller *c, const char *name, const json_t *options, json_t **ret)
{
    if (!principal_name_valid(name) || strspn(name, "0123456789") == strlen(name))
        return reason_fail(&c->reason, EINVAL, "an account's name is 1 to 64 of A-Z a-z 0-9 + = , . @ _ -, and not digits alone");
    {
        LOCK_SCOPE(&e->meta);
        int r = first_manages(e, c);
        struct account *a = r == 0 ? malloc(sizeof *a) : NULL;
        if (!a)
            return r < 0 ? r : -ENOMEM;
        do
            iam_account_new(a, NULL, name);
        while (iam_account_by_id(e, a->id));
        r = read_options(c, options, a);
        if (r == 0)
            r = check_unique(e, c, a);
        if (r == 0)
            r = account_write(e, c, a);
        if (r < 0) {
            free(a);
            return r;
        }
        *ret = account_json(e, a);
    }
    return durable_advance(e);
}

int engine_account_list(struct engine *e, struct caller *c, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    json_t *list = json_array();
    for (size_t n = 0; n < e->iam->account_count; n++) {
        if (iam_manages(e, c, e->iam->accounts[n]) == 0)
            json_array_append_new(list, account_json(e, e->iam->accounts[n]));
    }
    if (!json_array_size(list)) {
        json_decref(list);
        return -EACCES; /* iam_manages() said why */
    }
    reason_clear(&c->reason);
    *ret = json_pack("{s:o}", "accounts", list);
    return *ret ? 0 : -ENOMEM;
}

int engine_account_show(struct engine *e, struct caller *c, const char *name, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    struct account *a;
    int r = iam_account_named(e, c, name, &a);
    if (r == 0)
        r = iam_manages(e, c, a);
    if (r == 0 && !(*ret = account_json(e, a)))
        r = -ENOMEM;
    return r;
}

/* Its root's keys and uids go with it. M, txn. */
static int account_rows_del(struct engine *e, const struct account *a)
{
    int r = iam_keys_drop(e, a->id, "");
    if (r == 0)
        r = mfa_account_drop(e, a->id);
    for (size_t n = 0; r == 0 && n < e->iam->uid_count; n++) {
        char uid[16];
        snprintf(uid, sizeof uid, "%u", e->iam->uids[n].uid);
        if (strcmp(e->iam->uids[n].principal.account, a->id) == 0)
            r = iam_row_del(e, "uid", uid);
    }
    return r < 0 ? r : iam_row_del(e, "account", a->id);
}

static void account_forget(struct engine *e, struct account *a)
{
    struct iam *iam = e->iam;
    iam_keys_forget(e, a->id, "");
    mfa_account_forget(e, a->id);
    size_t kept = 0;
    for (size_t n = 0; n < iam->uid_count; n++) {
        if (strcmp(iam->uids[n].principal.account, a->id) != 0)
            iam->uids[kept++] = iam->uids[n];
    }
    iam->uid_count = kept;
    size_t at = 0;
    while (iam->accounts[at] != a)
        at++;
    iam_list_remove((void **)iam->accounts, &iam->account_count, at);
    free(a);
    iam_map_refresh(e);
}

static int account_may_go(const struct engine *e, struct caller *c, const struct account *a)
{
    size_t users = users_of(e, a), buckets;
    const struct bucket *b = bucket_of(e, a, &buckets);
    if (a == e->iam->accounts[0])
        return reason_fail(&c->reason, EBUSY, "'%s' is the first account: it stays as long as the store", a->name);
    if (users)
        return reason_fail(&c->reason, EBUSY, "account '%s' has %zu user%s: holdfs user list --account %s shows them", a->name, users,
                           users == 1 ? "" : "s", a->name);
    if (b)
        return reason_fail(&c->reason, EBUSY, "account '%s' owns bucket '%s'%s: delete its buckets first", a->name, b->name,
                           buckets > 1 ? " and others" : "");
    return 0;
}

int engine_account_delete(struct engine *e, struct caller *c, const char *name)
{
    {
        LOCK_SCOPE(&e->meta);
        struct account *a;
        int r = first_manages(e, c);
        if (r == 0)
            r = iam_account_named(e, c, name, &a);
        if (r == 0)
            r = account_may_go(e, c, a);
        if (r == 0)
            r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, iam_note(e, c, account_rows_del(e, a), "DeleteAccount", a, NULL, json_pack("{s:s}", "accountName", a->name), NULL));
        if (r < 0)
            return r;
        pthread_rwlock_wrlock(&e->iam->lock);
        account_forget(e, a);
        pthread_rwlock_unlock(&e->iam->lock);
    }
    return durable_advance(e);
}
