/* SPDX-License-Identifier: GPL-3.0-or-later
 * MFA devices of accounts' roots: enrolled, listed, removed, and their codes checked and spent (retention.md §4).
 *
 * A device's secret is sealed as access keys are, bound to its account and name; it is open only while a code is looked at. */
#include "engine/iam.h"
#include "engine/mfa.h"
#include "engine/trail.h"

#include <stdio.h>
#include <strings.h>

enum { MFA_FORMAT = 1, ROW_NAME_BYTES = 128, DEVICES_MAX = 16, BASE32_CHARS = 32 };

/* ---- rows ---- */

static void row_name(char out[ROW_NAME_BYTES], const struct mfa_device *d)
{
    snprintf(out, ROW_NAME_BYTES, "iam/mfa/%s/%s", d->account, d->name);
}

static int device_put(struct engine *e, const struct mfa_device *d)
{
    char name[ROW_NAME_BYTES];
    struct bytes row = {0};
    row_name(name, d);
    bytes_put_u8(&row, MFA_FORMAT);
    bytes_put_u64(&row, (uint64_t)d->created_ms);
    bytes_put_u64(&row, (uint64_t)d->used_ms);
    bytes_put_u64(&row, d->totp.last_step);
    bytes_put_u32(&row, d->totp.wrong);
    bytes_put_u64(&row, (uint64_t)d->totp.locked_until_s);
    bytes_put_blob(&row, d->sealed, sizeof d->sealed);
    int r = row.failed ? -ENOMEM : e->meta_ops->value_put(e->m, name, span_of(row.data, row.len));
    bytes_done(&row);
    return r;
}

static int device_load(void *arg, const char *name, struct span value)
{
    struct engine *e = arg;
    struct mfa_device d = {0};
    struct reader r = reader_over(value.p, value.len);
    bool known = reader_u8(&r) == MFA_FORMAT && sscanf(name, "iam/mfa/%12[0-9]/%64[^\n]", d.account, d.name) == 2;
    d.created_ms = (int64_t)reader_u64(&r);
    d.used_ms = (int64_t)reader_u64(&r);
    d.totp.last_step = reader_u64(&r);
    d.totp.wrong = reader_u32(&r);
    d.totp.locked_until_s = (int64_t)reader_u64(&r);
    size_t len = 0;
    const uint8_t *sealed = reader_blob(&r, &len);
    if (!known || !sealed || len != sizeof d.sealed || !reader_finished(&r)) {
        log_error("the row '%s' of the metadata cannot be read", name);
        return -EBADMSG;
    }
    memcpy(d.sealed, sealed, len);
    struct mfa_device *kept = malloc(sizeof *kept);
    if (!kept)
        return -ENOMEM;
    *kept = d;
    int err = iam_list_add((void ***)&e->mfa->devices, &e->mfa->count, e->mfa->count, kept);
    if (err < 0)
        free(kept);
    return err;
}

int mfa_open(struct engine *e)
{
    e->mfa = calloc(1, sizeof *e->mfa);
    if (!e->mfa)
        return -ENOMEM;
    pthread_mutex_init(&e->mfa->lock, NULL);
    return e->meta_ops->value_scan(e->m, "iam/mfa/", device_load, e);
}

static void device_free(struct mfa_device *d)
{
    secret_wipe(d, sizeof *d);
    free(d);
}

void mfa_close(struct engine *e)
{
    if (!e->mfa)
        return;
    for (size_t n = 0; n < e->mfa->count; n++)
        device_free(e->mfa->devices[n]);
    free(e->mfa->devices);
    mfa_windows_free(e);
    pthread_mutex_destroy(&e->mfa->lock);
    free(e->mfa);
    e->mfa = NULL;
}

static int device_del(struct engine *e, const struct mfa_device *d)
{
    char name[ROW_NAME_BYTES];
    row_name(name, d);
    return e->meta_ops->value_del(e->m, name);
}

int mfa_account_drop(struct engine *e, const char *account)
{
    int r = 0;
    for (size_t n = 0; r == 0 && n < e->mfa->count; n++) {
        if (strcmp(e->mfa->devices[n]->account, account) == 0)
            r = device_del(e, e->mfa->devices[n]);
    }
    return r;
}

static void device_forget(struct engine *e, size_t at)
{
    device_free(e->mfa->devices[at]);
    iam_list_remove((void **)e->mfa->devices, &e->mfa->count, at);
}

void mfa_account_forget(struct engine *e, const char *account)
{
    for (size_t n = e->mfa->count; n-- > 0;) {
        if (strcmp(e->mfa->devices[n]->account, account) == 0)
            device_forget(e, n);
    }
}

/* ---- secrets ---- */

static int bound_to(const struct mfa_device *d, char out[128])
{
    return snprintf(out, 128, "holdfs/mfa %s %s", d->account, d->name);
}

static int device_open(struct engine *e, const struct mfa_device *d, struct secret **ret)
{
    char aad[128];
    int len = bound_to(d, aad);
    struct secret *s = secret_new(TOTP_SECRET_BYTES);
    if (!s || !e->iam->key_wrap) {
        secret_free(s);
        return s ? -EIO : -ENOMEM;
    }
    int r = xaes_open(e->iam->key_wrap, aad, (size_t)len, d->sealed, sizeof d->sealed, secret_bytes(s));
    if (r < 0)
        secret_free(s);
    else
        *ret = s;
    return r;
}

static void serial_of(const struct mfa_device *d, char out[MFA_SERIAL_CHARS])
{
    snprintf(out, MFA_SERIAL_CHARS, "arn:aws:iam::%s:mfa/%s", d->account, d->name);
}

/* ---- spending a code ---- */

/* What one code does to an account's devices: the states they are to have, and the answer. */
struct verdict {
    struct totp_state after[DEVICES_MAX];
    bool changed[DEVICES_MAX];
    struct mfa_device *devices[DEVICES_MAX];
    size_t count;
    enum totp_answer answer;
    size_t right;        /* TOTP_RIGHT: which */
    int64_t locked_for_s; /* TOTP_LOCKED */
};

static int look_at(struct engine *e, const char *account, const struct mfa_code *code, struct verdict *v)
{
    char serial[MFA_SERIAL_CHARS];
    int64_t wall_s = clock_wall_ns() / 1000000000, clock_s = compliance_now_s(e);
    v->answer = TOTP_WRONG;
    bool locked = false, replayed = false;
    for (size_t n = 0; n < e->mfa->count && v->count < DEVICES_MAX; n++) {
        struct mfa_device *d = e->mfa->devices[n];
        serial_of(d, serial);
        if (strcmp(d->account, account) != 0 || (code->serial[0] && strcmp(code->serial, serial) != 0))
            continue;
        struct secret *secret;
        int r = device_open(e, d, &secret);
        if (r < 0)
            return r;
        size_t at = v->count++;
        v->devices[at] = d;
        v->after[at] = d->totp;
        enum totp_answer answer = totp_judge(&v->after[at], secret_peek(secret), code->code, wall_s, clock_s);
        secret_free(secret);
        v->changed[at] = answer == TOTP_WRONG;
        replayed |= answer == TOTP_REPLAYED;
        if (answer == TOTP_LOCKED) {
            int64_t left = d->totp.locked_until_s - clock_s;
            v->locked_for_s = locked && v->locked_for_s < left ? v->locked_for_s : left;
            locked = true;
        } else if (answer == TOTP_RIGHT) {
            v->answer = TOTP_RIGHT;
            v->right = at;
        }
    }
    for (size_t n = 0; n < v->count && (v->answer == TOTP_RIGHT || replayed); n++)
        v->changed[n] = v->answer == TOTP_RIGHT && n == v->right; /* the code was of one device: the others saw no guess */
    bool any = v->answer == TOTP_RIGHT || replayed;
    for (size_t n = 0; n < v->count; n++)
        any |= v->changed[n];
    if (!any && locked)
        v->answer = TOTP_LOCKED;
    return 0;
}

/* Keeps what the devices are to remember: written first, then so. */
static int keep(struct engine *e, struct verdict *v)
{
    int r = txn_begin(e);
    if (r < 0)
        return r;
    for (size_t n = 0; r == 0 && n < v->count; n++) {
        struct mfa_device fresh = *v->devices[n];
        fresh.totp = v->after[n];
        if (v->answer == TOTP_RIGHT && n == v->right)
            fresh.used_ms = clock_wall_ns() / 1000000;
        if (v->changed[n])
            r = device_put(e, &fresh);
        secret_wipe(&fresh, sizeof fresh);
    }
    r = txn_end(e, r);
    for (size_t n = 0; r == 0 && n < v->count; n++) {
        if (!v->changed[n])
            continue;
        v->devices[n]->totp = v->after[n];
        if (v->answer == TOTP_RIGHT && n == v->right)
            v->devices[n]->used_ms = clock_wall_ns() / 1000000;
    }
    return r;
}

static int refuse(struct caller *c, const struct verdict *v)
{
    trail_refuse(c, "holdfs:UseMfaCode", "mfa", NULL, span_of(NULL, 0), NULL);
    c->retry_after_s = v->locked_for_s;
    if (v->answer == TOTP_LOCKED)
        return reason_fail_s3(&c->reason, EAGAIN, "AccessDenied", "Mfa device is locked after too many wrong codes%s",
                              strcmp(c->front, "s3") == 0 ? "" : "; a right code is taken again when the lock is over: `holdfs mfa list`");
    return reason_fail_s3(&c->reason, EACCES, "AccessDenied", "Mfa Authentication failed");
}

int mfa_spend(struct engine *e, struct caller *c, const char *account, const struct mfa_code *code)
{
    if (c->principal.kind != PRINCIPAL_ROOT || strcmp(c->principal.account, account) != 0)
        return reason_fail_s3(&c->reason, EACCES, "AccessDenied", "Only the account root may do this on a bucket with MFA Delete");
    if (!totp_code_valid(code->code))
        return reason_fail_s3(&c->reason, EINVAL, "InvalidArgument", "an MFA code is six digits, or a serial, a space and six digits");
    if (e->read_only)
        return -EROFS;
    size_t of_account = 0;
    for (size_t n = 0; n < e->mfa->count; n++)
        of_account += strcmp(e->mfa->devices[n]->account, account) == 0;
    if (!of_account && strcmp(c->front, "s3") != 0)
        return reason_fail_s3(&c->reason, EACCES, "AccessDenied",
                              "the account has no MFA device; its root enrolls one with `holdfs mfa enroll STORE NAME`");
    struct verdict v = {0};
    int r = look_at(e, account, code, &v);
    bool changed = false;
    for (size_t n = 0; n < v.count; n++)
        changed |= v.changed[n];
    if (r == 0 && changed)
        r = keep(e, &v);
    if (r < 0)
        return r;
    if (v.answer != TOTP_RIGHT)
        return refuse(c, &v);
    c->mfa = true;
    return 0;
}

int mfa_accept(struct engine *e, const char *text, struct reason *reason)
{
    const char *account = e->conf.account_id;
    struct mfa_code code = {0};
    struct verdict v = {0};
    size_t of_account = 0;
    for (size_t n = 0; n < e->mfa->count; n++)
        of_account += strcmp(e->mfa->devices[n]->account, account) == 0;
    if (!of_account)
        return 0;
    if (!text || !totp_code_valid(text))
        return reason_fail(reason, EACCES, "an MFA device is enrolled, so accepting an earlier state needs a code: holdfs mount --accept-rollback --mfa CODE");
    snprintf(code.code, sizeof code.code, "%s", text);
    int r = look_at(e, account, &code, &v);
    secret_wipe(&code, sizeof code);
    if (r < 0)
        return r;
    if (v.answer != TOTP_RIGHT)
        return reason_fail(reason, EACCES, "Mfa Authentication failed: the earlier state is not accepted");
    return e->read_only ? 0 : keep(e, &v);
}

int engine_mfa_code(struct engine *e, struct caller *c, const char *account, const char *serial, const char *text)
{
    struct mfa_code code = {0};
    if (serial)
        snprintf(code.serial, sizeof code.serial, "%s", serial);
    snprintf(code.code, sizeof code.code, "%s", strlen(text) == TOTP_DIGITS ? text : "");
    int r;
    {
        LOCK_SCOPE(&e->meta);
        r = mfa_spend(e, c, account ? account : c->principal.account, &code);
    }
    secret_wipe(&code, sizeof code);
    int synced = durable_advance(e); /* a code is spent, and a wrong one counted, whatever happens next */
    return r < 0 ? r : synced;
}

/* ---- managing ---- */

/* The account, whose own root the caller must be: a device speaks for it. */
static int own_account(struct engine *e, struct caller *c, const char *name, struct account **ret)
{
    int r = iam_account_named(e, c, name, ret);
    if (r < 0)
        return r;
    if (c->principal.kind == PRINCIPAL_ROOT && strcmp(c->principal.account, (*ret)->id) == 0)
        return 0;
    return reason_fail_s3(&c->reason, EACCES, "AccessDenied", "only the root of account '%s' manages its MFA devices", (*ret)->name);
}

static size_t device_at(const struct engine *e, const char *account, const char *name, bool *ret_there)
{
    size_t at = 0;
    int order = 1;
    for (; at < e->mfa->count; at++) {
        const struct mfa_device *d = e->mfa->devices[at];
        order = strcmp(d->account, account);
        order = order ? order : strcasecmp(d->name, name);
        if (order >= 0)
            break;
    }
    *ret_there = at < e->mfa->count && order == 0;
    return at;
}

static json_t *device_json(struct engine *e, const struct mfa_device *d)
{
    char serial[MFA_SERIAL_CHARS], when[40];
    serial_of(d, serial);
    timeform_format_ms(d->created_ms, when);
    json_t *out = json_pack("{s:s, s:s, s:s}", "serial", serial, "name", d->name, "enrolled", when);
    if (out && d->used_ms) {
        timeform_format_ms(d->used_ms, when);
        json_object_set_new(out, "last_used", json_string(when));
    }
    int64_t left = d->totp.locked_until_s - compliance_now_s(e);
    if (out && left > 0)
        json_object_set_new(out, "locked_for_s", json_integer(left));
    return out;
}

int engine_mfa_list(struct engine *e, struct caller *c, const char *account, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    struct account *a;
    int r = own_account(e, c, account, &a);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (size_t n = 0; n < e->mfa->count; n++) {
        if (strcmp(e->mfa->devices[n]->account, a->id) == 0)
            json_array_append_new(list, device_json(e, e->mfa->devices[n]));
    }
    *ret = json_pack("{s:o}", "devices", list);
    return *ret ? 0 : -ENOMEM;
}

static int may_enroll(struct engine *e, struct caller *c, const struct account *a, const char *name)
{
    bool there;
    size_t at = device_at(e, a->id, name, &there), count = 0;
    for (size_t n = 0; n < e->mfa->count; n++)
        count += strcmp(e->mfa->devices[n]->account, a->id) == 0;
    if (!principal_name_valid(name))
        return reason_fail(&c->reason, EINVAL, "a device's name is 1 to 64 of A-Z a-z 0-9 + = , . @ _ -");
    if (there)
        return reason_fail(&c->reason, EEXIST, "account '%s' has a device '%s' already", a->name, e->mfa->devices[at]->name);
    if (count >= DEVICES_MAX)
        return reason_fail(&c->reason, ENOSPC, "account '%s' has %d devices, and that is the most: remove one", a->name, DEVICES_MAX);
    return 0;
}

/* The step of the second of two codes in a row that the device shows about now; 0: they are not. */
static uint64_t two_in_a_row(const uint8_t secret[TOTP_SECRET_BYTES], const char *one, const char *two)
{
    uint64_t now = totp_step(clock_wall_ns() / 1000000000);
    for (uint64_t step = now > 2 ? now - 2 : 1; step <= now + 1; step++) {
        if (totp_matches(secret, step, one) && totp_matches(secret, step + 1, two))
            return step + 1;
    }
    return 0;
}

static int note(struct engine *e, struct caller *c, const char *event, const struct mfa_device *d)
{
    char serial[MFA_SERIAL_CHARS];
    serial_of(d, serial);
    return trail_note(e, c, &(struct trail_event){.name = event,
                                                  .source = TRAIL_IAM,
                                                  .arn = serial,
                                                  .arn_type = "AWS::IAM::VirtualMFADevice",
                                                  .params = json_pack("{s:s}", "serialNumber", serial)});
}

static int device_write(struct engine *e, struct caller *c, struct mfa_device *d, const uint8_t secret[TOTP_SECRET_BYTES])
{
    char aad[128];
    int len = bound_to(d, aad), r = txn_begin(e);
    if (r < 0)
        return r;
    r = iam_wrap_make(e);
    if (r == 0)
        r = xaes_seal(e->iam->key_wrap, aad, (size_t)len, secret, TOTP_SECRET_BYTES, d->sealed);
    if (r == 0)
        r = device_put(e, d);
    if (r == 0)
        r = note(e, c, "EnableMFADevice", d);
    r = txn_end(e, r);
    iam_wrap_end(e, r == 0);
    return r;
}

static int enroll(struct engine *e, struct caller *c, const struct account *a, const char *name, const json_t *options, json_t **ret)
{
    const char *text = json_string_value(json_object_get(options, "secret"));
    const char *one = json_string_value(json_array_get(json_object_get(options, "codes"), 0));
    const char *two = json_string_value(json_array_get(json_object_get(options, "codes"), 1));
    struct mfa_device *d = calloc(1, sizeof *d);
    CLEANUP(secret_cleanup) struct secret *secret = secret_new(TOTP_SECRET_BYTES);
    bool there;
    if (!d || !secret) {
        free(d);
        return -ENOMEM;
    }
    memcpy(d->account, a->id, sizeof d->account);
    snprintf(d->name, sizeof d->name, "%s", name);
    d->created_ms = clock_wall_ns() / 1000000;
    int r = 0;
    if (!text || !one || !two || base32_parse(text, strlen(text), secret_bytes(secret), TOTP_SECRET_BYTES) < 0)
        r = reason_fail(&c->reason, EINVAL, "a device is enrolled with its secret of %d characters and two codes", BASE32_CHARS);
    else if (!(d->totp.last_step = two_in_a_row(secret_peek(secret), one, two)))
        r = reason_fail(&c->reason, EACCES, "these are not two codes in a row of this device; check its clock and this machine's");
    if (r == 0)
        r = device_write(e, c, d, secret_peek(secret));
    if (r == 0)
        r = iam_list_add((void ***)&e->mfa->devices, &e->mfa->count, device_at(e, a->id, name, &there), d);
    if (r < 0) {
        device_free(d);
        return r;
    }
    *ret = device_json(e, d);
    return 0;
}

int engine_mfa_enroll(struct engine *e, struct caller *c, const char *account, const char *name, const json_t *options, json_t **ret)
{
    {
        LOCK_SCOPE(&e->meta);
        struct account *a;
        int r = own_account(e, c, account, &a);
        if (r == 0)
            r = may_enroll(e, c, a, name);
        if (r == 0 && !options) {
            *ret = json_pack("{s:s, s:s}", "account", a->name, "name", name);
            return *ret ? 0 : -ENOMEM;
        }
        if (r == 0)
            r = enroll(e, c, a, name, options, ret);
        if (r < 0)
            return r;
    }
    return durable_advance(e);
}

/* The last device stays while a bucket of the account asks for codes. */
static int may_remove(const struct engine *e, struct caller *c, const struct account *a)
{
    size_t count = 0;
    for (size_t n = 0; n < e->mfa->count; n++)
        count += strcmp(e->mfa->devices[n]->account, a->id) == 0;
    for (size_t n = 0; count == 1 && n < e->bucket_count; n++) {
        const struct bucket *b = e->buckets[n];
        if (b->mfa_delete == MFA_DELETE_ENABLED && strcmp(b->account, a->id) == 0)
            return reason_fail(&c->reason, EBUSY,
                               "bucket '%s' has MFA Delete, and this is the last device: enroll another first, or take MFA Delete off", b->name);
    }
    return 0;
}

static int device_remove(struct engine *e, struct caller *c, const struct account *a, const char *name)
{
    bool there;
    size_t at = device_at(e, a->id, name, &there);
    if (!there)
        return reason_fail(&c->reason, ENOENT, "account '%s' has no device '%.64s'; `holdfs mfa list` shows those there are", a->name, name);
    int r = may_remove(e, c, a);
    if (r == 0)
        r = txn_begin(e);
    if (r < 0)
        return r;
    r = device_del(e, e->mfa->devices[at]);
    if (r == 0)
        r = note(e, c, "DeleteVirtualMFADevice", e->mfa->devices[at]);
    r = txn_end(e, r);
    if (r == 0)
        device_forget(e, at);
    return r;
}

int engine_mfa_remove(struct engine *e, struct caller *c, const char *account, const char *name, const char *code)
{
    char id[13];
    {
        LOCK_SCOPE(&e->meta);
        struct account *a;
        bool there;
        int r = own_account(e, c, account, &a);
        if (r < 0)
            return r;
        device_at(e, a->id, name, &there);
        if (!there)
            return device_remove(e, c, a, name); /* which says so, and leaves the code unspent */
        memcpy(id, a->id, sizeof id);
    }
    int r = engine_mfa_code(e, c, id, NULL, code);
    if (r < 0)
        return r;
    {
        LOCK_SCOPE(&e->meta);
        struct account *a = iam_account_by_id(e, id);
        r = a ? device_remove(e, c, a, name) : -ENOENT;
        if (r < 0)
            return r;
    }
    return durable_advance(e);
}
