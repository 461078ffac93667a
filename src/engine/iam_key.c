/* SPDX-License-Identifier: GPL-3.0-or-later
 * Access keys: made or taken in, listed, disabled, rotated, removed, opened (auth.md §1).
 *
 * A secret is sealed under one key of the store (a row of the key-encryption keys, KEK_ACCESS, made with the first access key, which every
 * rotation of the store's keys wraps anew), bound to the key's id and its owner. It is open only for as long as a request needs it. */
#include "engine/iam.h"
#include "engine/trail.h"

#include <stdio.h>

enum {
    SECRET_RANDOM_BYTES = 30, /* 40 characters of base64 */
    SECRET_MIN_BYTES = 8,
    KEY_ID_MIN_CHARS = 16,
    USED_EVERY_MS = 60000 /* how exact "last used" is: not each request is a write */
};

/* ---- the key they are sealed under ---- */

static int wrap_row(void *arg, const struct kek_row *row)
{
    struct engine *e = arg;
    if (row->kind != KEK_ACCESS)
        return 0;
    struct secret *key = secret_new(32);
    int r = key ? kek_row_open(e->keys, row, secret_bytes(key)) : -ENOMEM;
    if (r == 0 && !(e->iam->key_wrap = xaes_key_new(secret_bytes(key))))
        r = -ENOMEM;
    secret_free(key);
    return r < 0 ? r : 1;
}

int iam_key_wrap_load(struct engine *e)
{
    return e->meta_ops->kek_scan(e->m, wrap_row, e);
}

int iam_wrap_make(struct engine *e)
{
    e->iam->key_wrap_new = !e->iam->key_wrap;
    if (e->iam->key_wrap)
        return 0;
    struct secret *key = secret_new(32);
    if (!key)
        return -ENOMEM;
    random_bytes(secret_bytes(key), 32);
    struct kek_row row = {.version = 1, .kind = KEK_ACCESS};
    uuid_random(row.id);
    int r = kek_row_seal(e->keys, &row, secret_bytes(key));
    if (r == 0)
        r = e->meta_ops->kek_put(e->m, &row);
    if (r == 0 && !(e->iam->key_wrap = xaes_key_new(secret_bytes(key))))
        r = -ENOMEM;
    secret_free(key);
    return r;
}

/* A key whose row did not come to be would seal what no later start can open. */
void iam_wrap_end(struct engine *e, bool committed)
{
    if (!committed && e->iam->key_wrap_new) {
        xaes_key_free(e->iam->key_wrap);
        e->iam->key_wrap = NULL;
    }
    e->iam->key_wrap_new = false;
}

static int bound_to(const struct access_key *k, char out[256])
{
    return snprintf(out, 256, "holdfs/access-key %s %s %s", k->id, k->account, k->userid);
}

static int seal(struct engine *e, struct access_key *k, const void *secret, size_t len)
{
    char aad[256];
    int aad_len = bound_to(k, aad);
    k->sealed_len = len + XAES_OVERHEAD_BYTES;
    return xaes_seal(e->iam->key_wrap, aad, (size_t)aad_len, secret, len, k->sealed);
}

/* ---- whose ---- */

/* The owner an operation names, whose account the caller manages. */
static int owner_of(struct engine *e, struct caller *c, const char *account, const char *user, struct principal *ret)
{
    struct account *a;
    int r = iam_account_named(e, c, account, &a);
    if (r == 0)
        r = iam_manages(e, c, a);
    if (r == 0)
        r = iam_who(e, user, a, ret, &c->reason);
    if (r == 0 && ret->kind == PRINCIPAL_ANONYMOUS)
        r = reason_fail(&c->reason, EINVAL, "anonymous signs nothing and has no keys");
    return r;
}

static bool is_of(const struct access_key *k, const struct principal *p)
{
    return strcmp(k->account, p->account) == 0 && strcmp(k->userid, p->userid) == 0;
}

static int find(struct engine *e, struct caller *c, const char *id, struct access_key **ret)
{
    struct access_key *k = iam_key(e, id);
    const struct account *a = k ? iam_account_by_id(e, k->account) : e->iam->accounts[0];
    int r = iam_manages(e, c, a);
    if (r < 0)
        return r;
    *ret = k;
    return k ? 0 : reason_fail(&c->reason, ENOENT, "there is no access key '%.128s'; holdfs user key list shows those there are", id);
}

static size_t count_of(const struct engine *e, const struct principal *p)
{
    size_t count = 0;
    for (size_t n = 0; n < e->iam->key_count; n++)
        count += is_of(e->iam->keys[n], p);
    return count;
}

/* ---- making ---- */

static void id_new(const struct engine *e, char out[IAM_KEY_ID_CHARS + 1])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    do {
        uint8_t random[16];
        random_bytes(random, sizeof random);
        memcpy(out, "AKIA", 4);
        for (size_t n = 0; n < sizeof random; n++)
            out[4 + n] = digits[random[n] % 32];
        out[20] = '\0';
    } while (iam_key(e, out));
}

static int given_check(const struct engine *e, struct caller *c, const char *id, const char *secret)
{
    size_t id_len = strlen(id), secret_len = strlen(secret);
    if (id_len < KEY_ID_MIN_CHARS || id_len > IAM_KEY_ID_CHARS ||
        strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != id_len)
        return reason_fail(&c->reason, EINVAL, "a key id is %d to %d of A-Z a-z 0-9 _", KEY_ID_MIN_CHARS, IAM_KEY_ID_CHARS);
    bool printable = true;
    for (size_t n = 0; n < secret_len; n++)
        printable &= secret[n] > ' ' && secret[n] < 0x7f;
    if (secret_len < SECRET_MIN_BYTES || secret_len > IAM_SECRET_BYTES || !printable)
        return reason_fail(&c->reason, EINVAL, "a secret is %d to %d printable ASCII characters", SECRET_MIN_BYTES, IAM_SECRET_BYTES);
    if (iam_key(e, id))
        return reason_fail(&c->reason, EEXIST, "there is an access key '%s' already", id);
    return 0;
}

static size_t key_at(const struct iam *iam, const char *id)
{
    size_t at = 0;
    while (at < iam->key_count && strcmp(iam->keys[at]->id, id) < 0)
        at++;
    return at;
}

/* Its id and whose it is; never its secret. */
static int note_key(struct engine *e, struct caller *c, int r, const char *event, const struct access_key *k, const char *successor)
{
    const struct user *u = k->userid[0] ? iam_user_by_id(e, k->userid) : NULL;
    return iam_note(e, c, r, event, iam_account_by_id(e, k->account), u ? u->name : "root",
                    json_pack("{s:s, s:s, s:s*}", "accessKeyId", k->id, "userName", u ? u->name : "root", "successor", successor), NULL);
}

/* Writes the key, with the change to another one if there is any, and takes it into memory. */
static int key_write(struct engine *e, struct caller *c, struct access_key *k, const char *secret, const struct access_key *other)
{
    int r = txn_begin(e);
    if (r < 0)
        return r;
    r = iam_wrap_make(e);
    if (r == 0)
        r = seal(e, k, secret, strlen(secret));
    if (r == 0)
        r = iam_key_put(e, k);
    if (r == 0 && other)
        r = iam_key_put(e, other);
    r = note_key(e, c, r, "CreateAccessKey", k, NULL);
    if (other)
        r = note_key(e, c, r, other->disabled ? "DisableAccessKey" : "ExpireAccessKey", other, k->id);
    r = txn_end(e, r);
    iam_wrap_end(e, r == 0);
    if (r < 0)
        return r;
    pthread_rwlock_wrlock(&e->iam->lock);
    r = iam_list_add((void ***)&e->iam->keys, &e->iam->key_count, key_at(e->iam, k->id), k);
    pthread_rwlock_unlock(&e->iam->lock);
    return r;
}

/* A key of the principal, with an id and a secret of its own unless given; and the JSON that tells them, once. */
static int key_make(struct engine *e, struct caller *c, const struct principal *owner, const char *id, const char *secret,
                    const struct access_key *other, json_t **ret)
{
    if (count_of(e, owner) >= IAM_KEYS_MAX)
        return reason_fail(&c->reason, ENOSPC, "%s has %d access keys, and that is the most: delete one", owner->name, IAM_KEYS_MAX);
    struct access_key *k = calloc(1, sizeof *k);
    if (!k)
        return -ENOMEM;
    uint8_t random[SECRET_RANDOM_BYTES];
    char made[SECRET_RANDOM_BYTES / 3 * 4 + 1];
    random_bytes(random, sizeof random);
    base64_format(random, sizeof random, made);
    if (id)
        snprintf(k->id, sizeof k->id, "%s", id);
    else
        id_new(e, k->id);
    memcpy(k->account, owner->account, sizeof k->account);
    memcpy(k->userid, owner->userid, sizeof k->userid);
    k->created_ms = clock_wall_ns() / 1000000;
    const char *used = secret ? secret : made;
    int r = key_write(e, c, k, used, other);
    if (r == 0)
        *ret = secret ? json_pack("{s:s}", "AccessKeyId", k->id) : json_pack("{s:s, s:s}", "AccessKeyId", k->id, "SecretAccessKey", used);
    secret_wipe(random, sizeof random);
    secret_wipe(made, sizeof made);
    if (r < 0)
        free(k);
    return r;
}

int engine_key_create(struct engine *e, struct caller *c, const char *account, const char *user, const json_t *options, json_t **ret)
{
    const char *id = json_string_value(json_object_get(options, "id"));
    const char *secret = json_string_value(json_object_get(options, "secret"));
    {
        LOCK_SCOPE(&e->meta);
        struct principal owner;
        int r = owner_of(e, c, account, user, &owner);
        if (r == 0 && !id != !secret)
            r = reason_fail(&c->reason, EINVAL, "to take in a key, give both its id and its secret");
        if (r == 0 && id)
            r = given_check(e, c, id, secret);
        if (r == 0)
            r = key_make(e, c, &owner, id, secret, NULL, ret);
        if (r < 0)
            return r;
    }
    return durable_advance(e);
}

/* ---- listing ---- */

static bool is_active(const struct access_key *k)
{
    return !k->disabled && (!k->disable_at_ms || clock_wall_ns() / 1000000 < k->disable_at_ms);
}

static json_t *key_json(const struct engine *e, const struct access_key *k)
{
    char created[40], when[40];
    const struct user *u = k->userid[0] ? iam_user_by_id(e, k->userid) : NULL;
    timeform_format_ms(k->created_ms, created);
    json_t *out = json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", k->id, "account", iam_account_by_id(e, k->account)->name, "user",
                            u ? u->name : "root", "state", is_active(k) ? "active" : "disabled", "created", created);
    if (out && k->disable_at_ms && is_active(k)) {
        timeform_format_ms(k->disable_at_ms, when);
        json_object_set_new(out, "active_until", json_string(when));
    }
    if (out && k->used_ms) {
        timeform_format_ms(k->used_ms, when);
        json_object_set_new(out, "last_used", json_string(when));
        json_object_set_new(out, "last_front", json_string(k->used_front));
        json_object_set_new(out, "last_address", json_string(k->used_address));
    }
    return out;
}

int engine_key_list(struct engine *e, struct caller *c, const char *account, const char *user, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    struct principal owner;
    int r = owner_of(e, c, account, user ? user : "root", &owner);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (size_t n = 0; n < e->iam->key_count; n++) {
        const struct access_key *k = e->iam->keys[n];
        if (user ? is_of(k, &owner) : strcmp(k->account, owner.account) == 0)
            json_array_append_new(list, key_json(e, k));
    }
    *ret = json_pack("{s:o}", "keys", list);
    return *ret ? 0 : -ENOMEM;
}

/* ---- changing ---- */

/* Writes the key as it is to be, then makes it so. M. */
static int key_change(struct engine *e, struct caller *c, struct access_key *k, const struct access_key *fresh)
{
    int r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, note_key(e, c, iam_key_put(e, fresh), fresh->disabled ? "DisableAccessKey" : "EnableAccessKey", fresh, NULL));
    if (r < 0)
        return r;
    pthread_rwlock_wrlock(&e->iam->lock);
    *k = *fresh;
    pthread_rwlock_unlock(&e->iam->lock);
    return 0;
}

int engine_key_enable(struct engine *e, struct caller *c, const char *id, bool on)
{
    {
        LOCK_SCOPE(&e->meta);
        struct access_key *k;
        int r = find(e, c, id, &k);
        if (r < 0)
            return r;
        struct access_key fresh = *k;
        fresh.disabled = !on;
        fresh.disable_at_ms = 0;
        r = key_change(e, c, k, &fresh);
        if (r < 0)
            return r;
    }
    return durable_advance(e);
}

static void key_forget(struct iam *iam, size_t at)
{
    secret_wipe(iam->keys[at]->sealed, sizeof iam->keys[at]->sealed);
    free(iam->keys[at]);
    iam_list_remove((void **)iam->keys, &iam->key_count, at);
}

int engine_key_delete(struct engine *e, struct caller *c, const char *id)
{
    {
        LOCK_SCOPE(&e->meta);
        struct access_key *k;
        int r = find(e, c, id, &k);
        if (r == 0)
            r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, note_key(e, c, iam_row_del(e, "key", k->id), "DeleteAccessKey", k, NULL));
        if (r < 0)
            return r;
        pthread_rwlock_wrlock(&e->iam->lock);
        key_forget(e->iam, key_at(e->iam, id));
        pthread_rwlock_unlock(&e->iam->lock);
    }
    return durable_advance(e);
}

int engine_key_rotate(struct engine *e, struct caller *c, const char *id, int64_t grace_s, json_t **ret)
{
    {
        LOCK_SCOPE(&e->meta);
        struct access_key *k;
        int r = find(e, c, id, &k);
        if (r < 0)
            return r;
        const struct user *u = k->userid[0] ? iam_user_by_id(e, k->userid) : NULL;
        struct principal owner = u ? iam_principal_of(u) : iam_root_of(iam_account_by_id(e, k->account));
        struct access_key fresh = *k;
        if (grace_s > 0)
            fresh.disable_at_ms = clock_wall_ns() / 1000000 + grace_s * 1000;
        else
            fresh.disabled = true;
        r = key_make(e, c, &owner, NULL, NULL, &fresh, ret);
        if (r < 0)
            return r;
        pthread_rwlock_wrlock(&e->iam->lock);
        *k = fresh;
        pthread_rwlock_unlock(&e->iam->lock);
    }
    return durable_advance(e);
}

int iam_keys_drop(struct engine *e, const char *account, const char *userid)
{
    int r = 0;
    for (size_t n = 0; r == 0 && n < e->iam->key_count; n++) {
        const struct access_key *k = e->iam->keys[n];
        if (strcmp(k->account, account) == 0 && strcmp(k->userid, userid) == 0)
            r = iam_row_del(e, "key", k->id);
    }
    return r;
}

void iam_keys_forget(struct engine *e, const char *account, const char *userid)
{
    for (size_t n = e->iam->key_count; n-- > 0;) {
        const struct access_key *k = e->iam->keys[n];
        if (strcmp(k->account, account) == 0 && strcmp(k->userid, userid) == 0)
            key_forget(e->iam, n);
    }
}

/* ---- using ---- */

static int key_open(struct engine *e, const char *id, struct secret **ret_secret, struct principal *ret)
{
    const struct access_key *k = iam_key(e, id);
    const struct user *u = k && k->userid[0] ? iam_user_by_id(e, k->userid) : NULL;
    if (!k || !is_active(k) || (k->userid[0] && (!u || u->disabled)))
        return -ENOENT;
    size_t len = k->sealed_len - XAES_OVERHEAD_BYTES;
    char aad[256];
    int aad_len = bound_to(k, aad);
    struct secret *secret = secret_new(len);
    if (!secret)
        return -ENOMEM;
    int r = xaes_open(e->iam->key_wrap, aad, (size_t)aad_len, k->sealed, k->sealed_len, secret_bytes(secret));
    if (r < 0) {
        secret_free(secret);
        return r;
    }
    *ret_secret = secret;
    *ret = u ? iam_principal_of(u) : iam_root_of(iam_account_by_id(e, k->account));
    return 0;
}

int engine_key_open(struct engine *e, const char *id, struct secret **ret_secret, struct principal *ret)
{
    pthread_rwlock_rdlock(&e->iam->lock);
    int r = key_open(e, id, ret_secret, ret);
    pthread_rwlock_unlock(&e->iam->lock);
    return r;
}

static bool used_lately(const struct access_key *k, int64_t now_ms, const char *front, const char *address)
{
    int64_t since = now_ms - k->used_ms;
    return since >= 0 && since < USED_EVERY_MS && strcmp(k->used_front, front) == 0 && strcmp(k->used_address, address) == 0;
}

void engine_key_used(struct engine *e, const char *id, const char *front, const char *address)
{
    int64_t now_ms = clock_wall_ns() / 1000000;
    pthread_rwlock_rdlock(&e->iam->lock);
    struct access_key *k = iam_key(e, id);
    bool known = !k || used_lately(k, now_ms, front, address);
    pthread_rwlock_unlock(&e->iam->lock);
    if (known)
        return;
    pthread_rwlock_wrlock(&e->iam->lock);
    k = iam_key(e, id);
    if (k) {
        k->used_ms = now_ms;
        snprintf(k->used_front, sizeof k->used_front, "%s", front);
        snprintf(k->used_address, sizeof k->used_address, "%s", address);
        k->used_unsaved = true;
    }
    pthread_rwlock_unlock(&e->iam->lock);
}

/* The next key whose use is not written down, as it is to be written. */
static bool used_next(struct engine *e, struct access_key *ret)
{
    bool found = false;
    pthread_rwlock_wrlock(&e->iam->lock);
    for (size_t n = 0; !found && n < e->iam->key_count; n++) {
        found = e->iam->keys[n]->used_unsaved;
        e->iam->keys[n]->used_unsaved = false;
        *ret = *e->iam->keys[n];
    }
    pthread_rwlock_unlock(&e->iam->lock);
    return found;
}

void iam_keys_run(struct engine *e)
{
    struct access_key k;
    LOCK_SCOPE(&e->meta);
    while (e->iam && !e->read_only && used_next(e, &k)) {
        int r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, iam_key_put(e, &k));
        if (r < 0)
            log_warning("when the access key %s was used could not be written down: %s", k.id, strerror(-r));
    }
    secret_wipe(&k, sizeof k);
}
