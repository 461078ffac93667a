/* SPDX-License-Identifier: GPL-3.0-or-later
 * Accounts, users and uids in memory: opening, finding, and who a uid is (auth.md §1). */
#include "engine/iam.h"
#include "engine/trail.h"

#include <stdio.h>
#include <strings.h>

/* ---- lists ---- */

int iam_list_add(void ***list, size_t *count, size_t at, void *item)
{
    void **grown = realloc(*list, (*count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memmove(&grown[at + 1], &grown[at], (*count - at) * sizeof *grown);
    grown[at] = item;
    *list = grown;
    ++*count;
    return 0;
}

void iam_list_remove(void **list, size_t *count, size_t at)
{
    memmove(&list[at], &list[at + 1], (*count - at - 1) * sizeof *list);
    --*count;
}

/* ---- finding ---- */

struct account *iam_account_by_id(const struct engine *e, const char *id)
{
    for (size_t n = 0; n < e->iam->account_count; n++) {
        if (strcmp(e->iam->accounts[n]->id, id) == 0)
            return e->iam->accounts[n];
    }
    return NULL;
}

struct account *iam_account(const struct engine *e, const char *name_or_id)
{
    for (size_t n = 0; n < e->iam->account_count; n++) {
        if (strcasecmp(e->iam->accounts[n]->name, name_or_id) == 0)
            return e->iam->accounts[n];
    }
    return iam_account_by_id(e, name_or_id);
}

struct user *iam_user_by_id(const struct engine *e, const char *userid)
{
    size_t low = 0, high = e->iam->user_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(userid, e->iam->users[middle]->userid);
        if (order == 0)
            return e->iam->users[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

struct user *iam_user_by_name(const struct engine *e, const char *account, const char *name)
{
    for (size_t n = 0; n < e->iam->user_count; n++) {
        struct user *u = e->iam->users[n];
        if (strcasecmp(u->name, name) == 0 && strcmp(u->account, account) == 0)
            return u;
    }
    return NULL;
}

struct access_key *iam_key(const struct engine *e, const char *id)
{
    for (size_t n = 0; n < e->iam->key_count; n++) {
        if (strcmp(e->iam->keys[n]->id, id) == 0)
            return e->iam->keys[n];
    }
    return NULL;
}

struct principal iam_principal_of(const struct user *u)
{
    struct principal p = {.kind = PRINCIPAL_USER};
    memcpy(p.account, u->account, sizeof p.account);
    memcpy(p.name, u->name, sizeof p.name);
    memcpy(p.userid, u->userid, sizeof p.userid);
    return p;
}

struct principal iam_root_of(const struct account *a)
{
    struct principal p = {.kind = PRINCIPAL_ROOT, .name = "root"};
    memcpy(p.account, a->id, sizeof p.account);
    return p;
}

int iam_who(const struct engine *e, const char *text, const struct account *account, struct principal *ret, struct reason *reason)
{
    const char *colon = strchr(text, ':');
    char name[65];
    if (colon) {
        snprintf(name, sizeof name, "%.*s", (int)(colon - text < 64 ? colon - text : 64), text);
        account = iam_account(e, name);
        if (!account)
            return reason_fail(reason, ENOENT, "there is no account '%s'; holdfs account list shows those there are", name);
        text = colon + 1;
    }
    if (!colon && strcmp(text, "anonymous") == 0) {
        *ret = (struct principal){.kind = PRINCIPAL_ANONYMOUS};
        return 0;
    }
    if (strcmp(text, "root") == 0) {
        *ret = iam_root_of(account);
        return 0;
    }
    const struct user *u = iam_user_by_name(e, account->id, text);
    if (!u)
        return reason_fail(reason, ENOENT, "there is no user '%.64s' in account '%s'; holdfs user list shows those there are", text,
                           account->name);
    *ret = iam_principal_of(u);
    return 0;
}

int iam_account_named(const struct engine *e, struct caller *c, const char *name, struct account **ret)
{
    *ret = name ? iam_account(e, name) : e->iam->accounts[0];
    return *ret ? 0 : reason_fail(&c->reason, ENOENT, "there is no account '%.64s'; holdfs account list shows those there are", name);
}

int iam_manages(const struct engine *e, struct caller *c, const struct account *a)
{
    const struct principal *p = &c->principal;
    if (p->kind == PRINCIPAL_ROOT && (strcmp(p->account, a->id) == 0 || strcmp(p->account, e->conf.account_id) == 0))
        return 0;
    return reason_fail_s3(&c->reason, EACCES, "AccessDenied",
                          "only the root of account '%s' manages its users, keys and uids: uid 0 or who ran init, unless told otherwise",
                          a->name);
}

int iam_note(struct engine *e, struct caller *c, int r, const char *event, const struct account *a, const char *user, json_t *params, json_t *previous)
{
    char arn[192];
    bool root = user && strcmp(user, "root") == 0;
    snprintf(arn, sizeof arn, "arn:aws:iam::%s:%s%s", a ? a->id : "", user && !root ? "user/" : "root", user && !root ? user : "");
    return trail_also(e, c, r, &(struct trail_event){
                                   .name = event,
                                   .source = TRAIL_IAM,
                                   .arn = arn,
                                   .arn_type = user && !root ? "AWS::IAM::User" : "AWS::Organizations::Account",
                                   .params = params,
                                   .previous = previous,
                               });
}

int iam_text_check(const char *what, const char *text, struct reason *reason)
{
    size_t len = strlen(text);
    bool printable = utf8_valid(text, len);
    for (size_t n = 0; n < len; n++)
        printable &= (unsigned char)text[n] >= ' ' && text[n] != 0x7f;
    if (printable && len <= IAM_TEXT_BYTES)
        return 0;
    return reason_fail(reason, EINVAL, "%s is at most %d bytes of printable UTF-8", what, IAM_TEXT_BYTES);
}

/* ---- who a uid is ---- */

static const struct principal *uid_find(const struct uid_entry *list, size_t count, uint32_t uid)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (list[middle].uid == uid)
            return &list[middle].principal;
        if (uid < list[middle].uid)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static struct principal uid_principal(const struct engine *e, uint32_t uid)
{
    const struct iam *iam = e->iam;
    const struct principal *p = uid_find(iam->mapped, iam->mapped_count, uid);
    if (!p && iam->has_mapped_rest)
        p = &iam->mapped_rest;
    if (!p)
        p = uid_find(iam->uids, iam->uid_count, uid);
    if (p)
        return *p;
    return uid == 0 || uid == e->conf.owner_uid ? iam_root_of(iam->accounts[0]) : (struct principal){.kind = PRINCIPAL_ANONYMOUS};
}

void engine_caller_init(struct engine *e, struct caller *c, uint32_t uid, uint32_t gid, int32_t pid, const char *front)
{
    c->uid = uid;
    c->gid = gid;
    c->pid = pid;
    c->umask = 0;
    c->front = front;
    c->values = NULL;
    c->value_count = 0;
    c->bypass_governance = false;
    c->sse = NULL;
    reason_clear(&c->reason);
    c->denied_action = NULL;
    c->mfa = false;
    c->retry_after_s = 0;
    c->denial[0] = '\0';
    c->request = NULL;
    c->request_id[0] = '\0';
    c->refused.action = NULL;
    bool known = false;
    if (e->iam && strcmp(front, "internal") != 0) {
        pthread_rwlock_rdlock(&e->iam->lock);
        known = e->iam->account_count > 0;
        if (known)
            c->principal = uid_principal(e, uid);
        pthread_rwlock_unlock(&e->iam->lock);
    }
    if (!known) { /* the store's own work, also while it opens */
        c->principal = (struct principal){.kind = PRINCIPAL_ROOT, .name = "root"};
        memcpy(c->principal.account, e->conf.account_id, sizeof c->principal.account);
    }
}

static bool principal_same(const struct principal *a, const struct principal *b)
{
    return a->kind == b->kind && strcmp(a->account, b->account) == 0 && strcmp(a->userid, b->userid) == 0;
}

void engine_caller_sign(struct engine *e, struct caller *c, const struct principal *p)
{
    engine_caller_init(e, c, NO_UID, NO_UID, 0, "s3");
    c->principal = *p;
    pthread_rwlock_rdlock(&e->iam->lock);
    for (size_t n = 0; c->uid == NO_UID && n < e->iam->uid_count; n++) {
        if (principal_same(&e->iam->uids[n].principal, p))
            c->uid = e->iam->uids[n].uid;
    }
    pthread_rwlock_unlock(&e->iam->lock);
}

/* ---- the mount's uid-map: UID:WHO[/UID:WHO...] ---- */

static int map_add(struct iam *iam, uint32_t uid, const struct principal *p)
{
    size_t at = 0;
    while (at < iam->mapped_count && iam->mapped[at].uid < uid)
        at++;
    if (at < iam->mapped_count && iam->mapped[at].uid == uid)
        return -EEXIST;
    struct uid_entry *grown = realloc(iam->mapped, (iam->mapped_count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    iam->mapped = grown;
    memmove(&grown[at + 1], &grown[at], (iam->mapped_count - at) * sizeof *grown);
    grown[at] = (struct uid_entry){uid, *p};
    iam->mapped_count++;
    return 0;
}

static int map_read_one(struct engine *e, const char *item, struct reason *reason)
{
    struct iam *iam = e->iam;
    const char *colon = strchr(item, ':');
    char *end = NULL;
    errno = 0;
    unsigned long uid = strtoul(item, &end, 10);
    bool rest = item[0] == '*' && colon == item + 1;
    if (!colon || !colon[1] || (!rest && (end != colon || errno || uid >= UINT32_MAX || item[0] < '0' || item[0] > '9')))
        return reason_fail(reason, EINVAL, "uid-map: '%.80s' is no UID:WHO; give numbers, or * for all others", item);
    struct principal p;
    int r = iam_who(e, colon + 1, iam->accounts[0], &p, reason);
    if (r < 0)
        return r;
    if (rest ? iam->has_mapped_rest : (r = map_add(iam, (uint32_t)uid, &p)) == -EEXIST)
        return reason_fail(reason, EINVAL, "uid-map: uid %.*s is mapped twice; a uid has one principal", (int)(colon - item), item);
    if (rest) {
        iam->mapped_rest = p;
        iam->has_mapped_rest = true;
    }
    return r;
}

/* With `reason`: refuses what it cannot read. Without: a user that went leaves its uids anonymous. */
static int map_read(struct engine *e, struct reason *reason)
{
    struct iam *iam = e->iam;
    iam->mapped_count = 0;
    iam->has_mapped_rest = false;
    if (!iam->map_text)
        return 0;
    CLEANUP_FREE char *text = strdup(iam->map_text);
    char *at = text, *item;
    int r = text ? 0 : -ENOMEM;
    while (r == 0 && (item = strsep(&at, "/"))) {
        r = map_read_one(e, item, reason);
        if (r == -ENOENT && !reason) {
            struct principal nobody = {.kind = PRINCIPAL_ANONYMOUS};
            if (item[0] == '*') {
                iam->mapped_rest = nobody;
                iam->has_mapped_rest = true;
                r = 0;
            } else {
                r = map_add(iam, (uint32_t)strtoul(item, NULL, 10), &nobody);
            }
        }
    }
    return r;
}

void iam_map_refresh(struct engine *e)
{
    if (map_read(e, NULL) < 0)
        log_error("the uid map could not be read again; restart the mount");
}

/* ---- opening ---- */

static void random_digits(char out[13])
{
    uint64_t random;
    random_bytes(&random, sizeof random);
    snprintf(out, 13, "%012llu", (unsigned long long)(random % 1000000000000ull));
}

static void random_canonical(char out[65])
{
    uint8_t random[32];
    random_bytes(random, sizeof random);
    hex_format(random, sizeof random, out);
}

void iam_account_new(struct account *a, const char *id, const char *name)
{
    *a = (struct account){.created_ms = clock_wall_ns() / 1000000};
    if (id)
        snprintf(a->id, sizeof a->id, "%s", id);
    else
        random_digits(a->id);
    snprintf(a->name, sizeof a->name, "%s", name);
    snprintf(a->display, sizeof a->display, "%s", name);
    random_canonical(a->canonical);
}

int iam_init_values(struct engine *e, const struct engine_init_params *p)
{
    struct account a;
    iam_account_new(&a, e->conf.account_id, "main");
    if (p->canonical_id)
        snprintf(a.canonical, sizeof a.canonical, "%s", p->canonical_id);
    if (p->display_name)
        snprintf(a.display, sizeof a.display, "%s", p->display_name);
    if (p->email)
        snprintf(a.email, sizeof a.email, "%s", p->email);
    return iam_account_put(e, &a);
}

/* A store made before accounts had rows has its first one from holdfs.conf. */
static int first_account(struct engine *e)
{
    if (e->iam->account_count && strcmp(e->iam->accounts[0]->id, e->conf.account_id) == 0)
        return 0;
    struct account *a = malloc(sizeof *a);
    if (!a)
        return -ENOMEM;
    iam_account_new(a, e->conf.account_id, "main");
    int r = iam_list_add((void ***)&e->iam->accounts, &e->iam->account_count, 0, a);
    if (r < 0) {
        free(a);
        return r;
    }
    if (e->read_only)
        return 0;
    r = txn_begin(e);
    return r < 0 ? r : txn_end(e, iam_account_put(e, a));
}

int iam_open(struct engine *e, const char *uid_map, struct reason *reason)
{
    e->iam = calloc(1, sizeof *e->iam);
    if (!e->iam)
        return -ENOMEM;
    pthread_rwlock_init(&e->iam->lock, NULL);
    int r = iam_load(e);
    if (r == 0)
        r = first_account(e);
    if (r == 0)
        r = iam_key_wrap_load(e);
    if (r == 0)
        r = iam_buckets_load(e);
    if (r < 0)
        return reason_fail(reason, r == -EBADMSG ? EIO : -r, "the store's accounts and users cannot be read: %s", strerror(-r));
    if (uid_map && !(e->iam->map_text = strdup(uid_map)))
        return -ENOMEM;
    r = map_read(e, reason);
    struct bytes names = {0};
    iam_by_key_refresh(e, &names);
    bytes_done(&names);
    return r;
}

static void users_free(struct iam *iam)
{
    for (size_t n = 0; n < iam->user_count; n++) {
        for (size_t i = 0; i < iam->users[n]->policy_count; i++)
            policy_unref(iam->users[n]->policies[i]);
        free(iam->users[n]);
    }
    free(iam->users);
}

void iam_close(struct engine *e)
{
    struct iam *iam = e->iam;
    if (!iam)
        return;
    for (size_t n = 0; n < iam->account_count; n++)
        free(iam->accounts[n]);
    free(iam->accounts);
    users_free(iam);
    for (size_t n = 0; n < iam->key_count; n++)
        free(iam->keys[n]);
    free(iam->keys);
    free(iam->uids);
    free(iam->mapped);
    free(iam->map_text);
    xaes_key_free(iam->key_wrap);
    pthread_rwlock_destroy(&iam->lock);
    free(iam);
    e->iam = NULL;
}

/* ---- buckets in which callers see different names (auth.md §7) ---- */

static bool by_key(const struct engine *e, const struct bucket *b)
{
    if (b->policy && policy_by_key(b->policy, b->name))
        return true;
    for (size_t n = 0; n < e->iam->user_count; n++) {
        const struct user *u = e->iam->users[n];
        for (size_t i = 0; i < u->policy_count; i++) {
            if (policy_by_key(u->policies[i], b->name))
                return true;
        }
    }
    return false;
}

void iam_by_key_refresh(struct engine *e, struct bytes *ret_names)
{
    pthread_rwlock_rdlock(&e->iam->lock);
    for (size_t n = 0; n < e->bucket_count; n++) {
        struct bucket *b = e->buckets[n];
        bool was = b->by_key;
        b->by_key = by_key(e, b);
        if (b->by_key && !was)
            bytes_put(ret_names, b->name, strlen(b->name) + 1);
    }
    pthread_rwlock_unlock(&e->iam->lock);
}

void iam_forget_names(struct engine *e, struct bytes *names)
{
    for (size_t at = 0; e->watcher && at < names->len; at += strlen((const char *)names->data + at) + 1) {
        const char *name = (const char *)names->data + at;
        e->watcher->entry_changed(e->watcher->arg, ENGINE_ROOT_INO, name, strlen(name));
    }
    bytes_done(names);
}

bool engine_tells_apart(struct engine *e, uint64_t ino)
{
    LOCK_SCOPE(&e->meta);
    struct inode *i;
    if (inode_get(e, ino, &i) < 0)
        return true;
    bool apart = !i->bucket || i->bucket->by_key;
    inode_put(e, i);
    return apart;
}
