/* SPDX-License-Identifier: GPL-3.0-or-later
 * Rows of accounts, users, policies, uids and access keys: encoded, decoded, loaded. */
#include "engine/iam.h"

#include <stdio.h>

enum { IAM_FORMAT = 1, ROW_NAME_BYTES = 256 };

static void put_text(struct bytes *out, const char *text)
{
    bytes_put_blob(out, text, strlen(text));
}

static int row_put(struct engine *e, const char *kind, const char *id, struct bytes *body)
{
    char name[ROW_NAME_BYTES];
    snprintf(name, sizeof name, "iam/%s/%s", kind, id);
    int r = body->failed ? -ENOMEM : e->meta_ops->value_put(e->m, name, span_of(body->data, body->len));
    bytes_done(body);
    return r;
}

int iam_row_del(struct engine *e, const char *kind, const char *id)
{
    char name[ROW_NAME_BYTES];
    snprintf(name, sizeof name, "iam/%s/%s", kind, id);
    return e->meta_ops->value_del(e->m, name);
}

/* ---- one row each ---- */

int iam_account_put(struct engine *e, const struct account *a)
{
    struct bytes body = {0};
    bytes_put_u8(&body, IAM_FORMAT);
    put_text(&body, a->name);
    put_text(&body, a->canonical);
    put_text(&body, a->display);
    put_text(&body, a->email);
    bytes_put_u64(&body, (uint64_t)a->created_ms);
    bytes_put_u8(&body, a->block);
    return row_put(e, "account", a->id, &body);
}

static int account_load(struct engine *e, const char *id, struct reader *r)
{
    struct account *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    snprintf(a->id, sizeof a->id, "%s", id);
    reader_text(r, a->name, sizeof a->name);
    reader_text(r, a->canonical, sizeof a->canonical);
    reader_text(r, a->display, sizeof a->display);
    reader_text(r, a->email, sizeof a->email);
    a->created_ms = (int64_t)reader_u64(r);
    a->block = reader_u8(r);
    struct iam *iam = e->iam;
    bool first = strcmp(id, e->conf.account_id) == 0;
    int err = reader_finished(r) ? iam_list_add((void ***)&iam->accounts, &iam->account_count, first ? 0 : iam->account_count, a) : -EBADMSG;
    if (err < 0)
        free(a);
    return err;
}

int iam_user_put(struct engine *e, const struct user *u)
{
    struct bytes body = {0};
    bytes_put_u8(&body, IAM_FORMAT);
    put_text(&body, u->account);
    put_text(&body, u->name);
    bytes_put_u8(&body, u->disabled);
    bytes_put_u64(&body, (uint64_t)u->created_ms);
    return row_put(e, "user", u->userid, &body);
}

static int user_load(struct engine *e, const char *userid, struct reader *r)
{
    struct user *u = calloc(1, sizeof *u);
    if (!u)
        return -ENOMEM;
    snprintf(u->userid, sizeof u->userid, "%s", userid);
    reader_text(r, u->account, sizeof u->account);
    reader_text(r, u->name, sizeof u->name);
    u->disabled = reader_u8(r);
    u->created_ms = (int64_t)reader_u64(r);
    struct iam *iam = e->iam; /* rows come in the order of the ids */
    int err = reader_finished(r) ? iam_list_add((void ***)&iam->users, &iam->user_count, iam->user_count, u) : -EBADMSG;
    if (err < 0)
        free(u);
    return err;
}

int iam_uid_put(struct engine *e, uint32_t uid, const struct principal *p)
{
    char id[16];
    snprintf(id, sizeof id, "%u", uid);
    struct bytes body = {0};
    bytes_put_u8(&body, IAM_FORMAT);
    put_text(&body, p->account);
    put_text(&body, p->userid);
    return row_put(e, "uid", id, &body);
}

static int uid_load(struct engine *e, const char *id, struct reader *r)
{
    struct uid_entry entry = {.uid = (uint32_t)strtoul(id, NULL, 10)};
    char account[13] = "", userid[21] = "";
    reader_text(r, account, sizeof account);
    reader_text(r, userid, sizeof userid);
    if (!reader_finished(r))
        return -EBADMSG;
    const struct user *u = userid[0] ? iam_user_by_id(e, userid) : NULL;
    const struct account *a = account[0] ? iam_account_by_id(e, account) : NULL;
    if (u)
        entry.principal = iam_principal_of(u);
    else if (a && !userid[0])
        entry.principal = iam_root_of(a);
    struct iam *iam = e->iam;
    struct uid_entry *grown = realloc(iam->uids, (iam->uid_count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    iam->uids = grown;
    size_t at = 0;
    while (at < iam->uid_count && grown[at].uid < entry.uid)
        at++;
    memmove(&grown[at + 1], &grown[at], (iam->uid_count - at) * sizeof *grown);
    grown[at] = entry;
    iam->uid_count++;
    return 0;
}

int iam_key_put(struct engine *e, const struct access_key *k)
{
    struct bytes body = {0};
    bytes_put_u8(&body, IAM_FORMAT);
    put_text(&body, k->account);
    put_text(&body, k->userid);
    bytes_put_u8(&body, k->disabled);
    bytes_put_u64(&body, (uint64_t)k->created_ms);
    bytes_put_u64(&body, (uint64_t)k->disable_at_ms);
    bytes_put_u64(&body, (uint64_t)k->used_ms);
    put_text(&body, k->used_front);
    put_text(&body, k->used_address);
    bytes_put_blob(&body, k->sealed, k->sealed_len);
    return row_put(e, "key", k->id, &body);
}

static int key_load(struct engine *e, const char *id, struct reader *r)
{
    struct access_key *k = calloc(1, sizeof *k);
    if (!k)
        return -ENOMEM;
    snprintf(k->id, sizeof k->id, "%s", id);
    reader_text(r, k->account, sizeof k->account);
    reader_text(r, k->userid, sizeof k->userid);
    k->disabled = reader_u8(r);
    k->created_ms = (int64_t)reader_u64(r);
    k->disable_at_ms = (int64_t)reader_u64(r);
    k->used_ms = (int64_t)reader_u64(r);
    reader_text(r, k->used_front, sizeof k->used_front);
    reader_text(r, k->used_address, sizeof k->used_address);
    size_t len = 0;
    const uint8_t *sealed = reader_blob(r, &len);
    if (sealed && len > XAES_OVERHEAD_BYTES && len <= sizeof k->sealed) {
        memcpy(k->sealed, sealed, len);
        k->sealed_len = len;
    } else {
        r->failed = true;
    }
    struct iam *iam = e->iam;
    int err = reader_finished(r) ? iam_list_add((void ***)&iam->keys, &iam->key_count, iam->key_count, k) : -EBADMSG;
    if (err < 0)
        free(k);
    return err;
}

/* ---- identity policies: their text is the row ---- */

static void policy_row_name(char out[ROW_NAME_BYTES], const char *userid, const char *name)
{
    snprintf(out, ROW_NAME_BYTES, "iam/policy/%s/%s", userid, name);
}

int iam_policy_put(struct engine *e, const char *userid, const char *name, const char *text, size_t len)
{
    char row[ROW_NAME_BYTES];
    policy_row_name(row, userid, name);
    return e->meta_ops->value_put(e->m, row, span_of(text, len));
}

int iam_policy_del(struct engine *e, const char *userid, const char *name)
{
    char row[ROW_NAME_BYTES];
    policy_row_name(row, userid, name);
    return e->meta_ops->value_del(e->m, row);
}

static int policy_load(struct engine *e, const char *id, struct span text)
{
    const char *name = strchr(id, '/');
    char userid[21] = "";
    if (!name || (size_t)(name - id) >= sizeof userid)
        return -EBADMSG;
    memcpy(userid, id, (size_t)(name - id));
    struct user *u = iam_user_by_id(e, userid);
    if (!u || u->policy_count == IAM_POLICIES_MAX)
        return -EBADMSG;
    struct reason why = {0};
    int r = iam_identity_compile(name + 1, (const char *)text.p, text.len, &u->policies[u->policy_count], &why);
    if (r < 0) { /* a later version may know less: what cannot be read must not allow, and a lost Deny must not pass unseen */
        log_error("the policy '%s' of user '%s' cannot be read (%s): the user is disabled until it is put again", name + 1, u->name, why.text);
        u->disabled = true;
        return 0;
    }
    u->policy_count++;
    return 0;
}

/* ---- loading ---- */

typedef int row_load_fn(struct engine *e, const char *id, struct reader *r);

struct load {
    struct engine *e;
    const char *prefix;
    row_load_fn *fn; /* NULL: policies */
};

static int load_row(void *arg, const char *name, struct span value)
{
    const struct load *load = arg;
    const char *id = name + strlen(load->prefix);
    if (!load->fn)
        return policy_load(load->e, id, value);
    struct reader r = reader_over(value.p, value.len);
    int err = reader_u8(&r) == IAM_FORMAT ? load->fn(load->e, id, &r) : -EBADMSG;
    if (err == -EBADMSG)
        log_error("the row '%s' of the metadata cannot be read", name);
    return err;
}

int iam_load(struct engine *e)
{
    const struct load order[] = {
        {e, "iam/account/", account_load}, {e, "iam/user/", user_load}, {e, "iam/policy/", NULL},
        {e, "iam/uid/", uid_load},         {e, "iam/key/", key_load},
    };
    int r = 0;
    for (size_t n = 0; r == 0 && n < sizeof order / sizeof *order; n++)
        r = e->meta_ops->value_scan(e->m, order[n].prefix, load_row, (void *)&order[n]);
    return r;
}
