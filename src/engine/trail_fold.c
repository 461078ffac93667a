/* SPDX-License-Identifier: GPL-3.0-or-later
 * Refusals and key uses, folded: the first of a kind is written down beside the chain before it is answered, equal ones within a
 * minute are counted, and one record with their count enters the chain when the minute is over or somebody reads the trail.
 *
 * What waits stands in the values trail.fold/N, so that a killed daemon loses none; its counts are saved each second. */
#include "engine/trail.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    FOLD_NS_PER_S = 1000000000,
    FOLD_WINDOW_S = 60,   /* logs.md §3.1 */
    FOLDS_MAX = 1024,     /* more kinds of refusal in one minute than that push the oldest into the chain early */
    LATE_MAX = 64,        /* integrity events between two seconds; what is more is counted in status */
    CLOSE_BATCH = 256,    /* records a transaction */
    FOLD_NAME_CHARS = 40,
};

struct late {
    struct late *next;
    char what[256], bucket[64], version_id[33];
    size_t key_len;
    uint8_t key[];
};

struct fold {
    struct fold *next; /* newest first */
    uint64_t number, hash, count;
    int64_t since_ns; /* CLOCK_MONOTONIC */
    bool dirty, stored;
    char last[40];
    size_t identity_len, text_len;
    uint8_t *text;
    uint8_t identity[];
};

static void fold_name(const struct fold *f, char out[FOLD_NAME_CHARS])
{
    snprintf(out, FOLD_NAME_CHARS, "trail.fold/%016" PRIx64, f->number);
}

static void fold_free(struct fold *f)
{
    free(f->text);
    free(f);
}

void trail_folds_free(struct engine *e)
{
    struct trail *t = e->trail;
    while (t->folds) {
        struct fold *f = t->folds;
        t->folds = f->next;
        fold_free(f);
    }
    t->fold_count = 0;
    while (t->late) {
        struct late *late = t->late;
        t->late = late->next;
        free(late);
    }
}

static uint64_t hash_of(const uint8_t *p, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t n = 0; n < len; n++)
        hash = (hash ^ p[n]) * 0x100000001b3u;
    return hash;
}

static struct fold *fold_add(struct trail *t, const void *identity, size_t identity_len, const void *text, size_t text_len)
{
    struct fold *f = calloc(1, sizeof *f + identity_len);
    uint8_t *copy = f ? malloc(text_len) : NULL;
    if (!copy) {
        free(f);
        return NULL;
    }
    memcpy(copy, text, text_len);
    f->text = copy;
    f->text_len = text_len;
    f->identity_len = identity_len;
    if (identity_len)
        memcpy(f->identity, identity, identity_len);
    f->hash = hash_of(identity, identity_len);
    f->number = t->fold_next++;
    f->count = 1;
    f->since_ns = clock_mono_ns();
    f->next = t->folds;
    t->folds = f;
    t->fold_count++;
    return f;
}

static void fold_drop(struct trail *t, struct fold *f)
{
    for (struct fold **at = &t->folds; *at; at = &(*at)->next) {
        if (*at == f) {
            *at = f->next;
            t->fold_count--;
            fold_free(f);
            return;
        }
    }
}

/* ---- on disk: u64 count, length and text of the last time, the record ---- */

static int fold_put(struct engine *e, struct fold *f)
{
    struct bytes body = {0};
    char name[FOLD_NAME_CHARS];
    fold_name(f, name);
    bytes_put_u64(&body, f->count);
    bytes_put_blob(&body, f->last, strlen(f->last));
    bytes_put(&body, f->text, f->text_len);
    int r = body.failed ? -ENOMEM : e->meta_ops->value_put(e->m, name, span_of(body.data, body.len));
    bytes_done(&body);
    return r;
}

static int fold_load(void *arg, const char *name, struct span value)
{
    struct trail *t = arg;
    uint64_t number = strtoull(name + strlen("trail.fold/"), NULL, 16);
    struct reader r = reader_over(value.p, value.len);
    uint64_t count = reader_u64(&r);
    size_t last_len;
    const uint8_t *last = reader_blob(&r, &last_len);
    if (r.failed || last_len >= sizeof((struct fold *)0)->last)
        return -EIO;
    struct fold *f = fold_add(t, NULL, 0, r.at, (size_t)(r.end - r.at));
    if (!f)
        return -ENOMEM;
    memcpy(f->last, last, last_len);
    f->count = count;
    f->number = number;
    f->stored = true;
    f->since_ns = INT64_MIN / 2; /* its minute is over */
    if (number >= t->fold_next)
        t->fold_next = number + 1;
    return 0;
}

int trail_folds_load(struct engine *e)
{
    return e->meta_ops->value_scan(e->m, "trail.fold/", fold_load, e->trail);
}

int trail_folds_save(struct engine *e)
{
    struct trail *t = e->trail;
    bool any = false;
    for (const struct fold *f = t->folds; f; f = f->next)
        any |= f->dirty;
    int r = any ? txn_begin(e) : 0;
    if (!any || r < 0)
        return r;
    for (struct fold *f = t->folds; r == 0 && f; f = f->next) {
        if (f->dirty)
            r = fold_put(e, f);
    }
    r = txn_end(e, r);
    for (struct fold *f = t->folds; r == 0 && f; f = f->next) {
        f->stored |= f->dirty;
        f->dirty = false;
    }
    return r;
}

/* ---- into the chain ---- */

static int fold_enter(struct engine *e, const struct fold *f)
{
    struct bytes text = {0};
    char name[FOLD_NAME_CHARS];
    int r = 0;
    if (f->count > 1)
        r = audit_record_with_count(f->text, f->text_len, f->count, f->last, &text);
    if (r == 0)
        r = f->count > 1 ? trail_append(e, text.data, text.len) : trail_append(e, f->text, f->text_len);
    bytes_done(&text);
    if (r == 0 && f->stored) {
        fold_name(f, name);
        r = e->meta_ops->value_del(e->m, name);
    }
    return r;
}

/* The oldest are last. */
static size_t folds_due(struct trail *t, bool all, struct fold *due[CLOSE_BATCH])
{
    int64_t before = clock_mono_ns() - (int64_t)FOLD_WINDOW_S * FOLD_NS_PER_S;
    size_t skip = 0, count = 0, n = 0;
    for (const struct fold *f = t->folds; f; f = f->next)
        count += all || f->since_ns <= before;
    skip = count > CLOSE_BATCH ? count - CLOSE_BATCH : 0;
    count = 0;
    for (struct fold *f = t->folds; f; f = f->next) {
        if ((all || f->since_ns <= before) && count++ >= skip)
            due[n++] = f;
    }
    return n;
}

int trail_folds_close(struct engine *e, bool all)
{
    struct trail *t = e->trail;
    struct fold *due[CLOSE_BATCH];
    size_t count;
    while ((count = folds_due(t, all, due)) > 0) {
        int r = txn_begin(e);
        for (size_t n = count; r == 0 && n-- > 0;)
            r = fold_enter(e, due[n]);
        r = txn_end(e, r);
        if (r < 0)
            return r;
        for (size_t n = 0; n < count; n++)
            fold_drop(t, due[n]);
    }
    return 0;
}

static int oldest_close(struct engine *e)
{
    struct trail *t = e->trail;
    struct fold *oldest = t->folds;
    while (oldest->next)
        oldest = oldest->next;
    int r = txn_begin(e);
    r = r < 0 ? r : txn_end(e, fold_enter(e, oldest));
    if (r == 0)
        fold_drop(t, oldest);
    return r;
}

/* ---- folding ---- */

static void put_identity(struct engine *e, const struct caller *c, const struct trail_event *event, struct bytes *out)
{
    char arn[128] = "-";
    const struct bucket *b = event->version ? bucket_by_number(e, event->version->bucket) : event->bucket;
    struct span key = event->version ? span_of(event->version->key, event->version->key_len) : event->key;
    if (c)
        principal_arn(&c->principal, arn);
    bytes_put_blob(out, event->name, strlen(event->name));
    bytes_put_blob(out, arn, strlen(arn));
    bytes_put_u32(out, b ? b->number : 0);
    bytes_put_blob(out, key.p, key.len);
    bytes_put_blob(out, event->arn, event->arn ? strlen(event->arn) : 0);
    bytes_put_blob(out, event->error_code, event->error_code ? strlen(event->error_code) : 0);
    if (event->version)
        bytes_put(out, event->version->id, sizeof event->version->id);
    else if (event->version_id)
        bytes_put(out, event->version_id, strlen(event->version_id));
    if (c && c->principal.kind == PRINCIPAL_ANONYMOUS)
        bytes_put_u32(out, c->uid);
}

static struct fold *fold_find(struct trail *t, const struct bytes *identity)
{
    uint64_t hash = hash_of(identity->data, identity->len);
    int64_t before = clock_mono_ns() - (int64_t)FOLD_WINDOW_S * FOLD_NS_PER_S;
    for (struct fold *f = t->folds; f; f = f->next) {
        if (f->hash == hash && f->since_ns > before && f->identity_len == identity->len &&
            memcmp(f->identity, identity->data, identity->len) == 0)
            return f;
    }
    return NULL;
}

static int fold_new(struct engine *e, struct caller *c, const struct trail_event *event, const struct bytes *identity, bool lazy)
{
    struct trail *t = e->trail;
    struct bytes text = {0};
    int r = t->fold_count >= FOLDS_MAX ? oldest_close(e) : 0;
    if (r == 0)
        r = trail_compose(e, c, event, &text);
    struct fold *f = r == 0 ? fold_add(t, identity->data, identity->len, text.data, text.len) : NULL;
    bytes_done(&text);
    if (!f)
        return r < 0 ? r : -ENOMEM;
    f->dirty = true; /* should it not be written now, the worker tries again */
    if (lazy || (r = txn_begin(e)) < 0)
        return r;
    r = txn_end(e, fold_put(e, f));
    f->stored = r == 0;
    f->dirty = !f->stored;
    return r;
}

int trail_fold(struct engine *e, struct caller *c, const struct trail_event *event, bool lazy)
{
    struct trail *t = e->trail;
    int r = 0;
    if (t && !e->read_only) {
        struct bytes identity = {0};
        put_identity(e, c, event, &identity);
        struct fold *f = identity.failed ? NULL : fold_find(t, &identity);
        if (f) {
            f->count++;
            f->dirty = true;
            trail_time(clock_wall_ns(), f->last);
        } else {
            r = identity.failed ? -ENOMEM : fold_new(e, c, event, &identity, lazy);
        }
        bytes_done(&identity);
    }
    trail_event_done(event);
    return r;
}

/* ---- refusals ---- */

void trail_refuse(struct caller *c, const char *action, const char *rule, const struct bucket *b, struct span key, const char *version_id)
{
    struct caller_refusal *f = &c->refused;
    f->action = action;
    snprintf(f->rule, sizeof f->rule, "%s", rule);
    snprintf(f->bucket, sizeof f->bucket, "%s", b ? b->name : "");
    snprintf(f->version_id, sizeof f->version_id, "%s", version_id ? version_id : "");
    f->arn[0] = '\0';
    f->key_len = key.len < sizeof f->key ? key.len : sizeof f->key;
    if (f->key_len)
        memcpy(f->key, key.p, f->key_len);
}

/* "s3:PutObject": the service that is asked, and what of it. */
static void name_of(const char *action, struct trail_event *event)
{
    static const struct {
        const char *prefix, *source;
    } services[] = {{"s3:", TRAIL_S3}, {"kms:", TRAIL_KMS}, {"iam:", TRAIL_IAM}, {"s3-object-lambda:", "s3-object-lambda.amazonaws.com"}};
    for (size_t n = 0; n < sizeof services / sizeof *services; n++) {
        size_t len = strlen(services[n].prefix);
        if (strncmp(action, services[n].prefix, len) == 0) {
            event->source = services[n].source;
            event->name = action + len;
            return;
        }
    }
    const char *colon = strchr(action, ':');
    event->source = TRAIL_HOLDFS;
    event->name = colon ? colon + 1 : action;
}

void engine_audit_refused(struct engine *e, struct caller *c, const char *operation, int error)
{
    const struct caller_refusal *f = &c->refused;
    bool plain = !f->action && strcmp(c->reason.code, "AccessDenied") == 0;
    if (error >= 0 || (!f->action && !plain) || e->read_only)
        return;
    struct trail_event event = {.error = error, .error_message = c->reason.text};
    char arn[4096 + 32];
    event.error_code = c->reason.code[0] ? c->reason.code : "AccessDenied";
    LOCK_SCOPE(&e->meta);
    if (!e->trail)
        return;
    if (f->action) {
        name_of(f->action, &event);
    } else {
        event.name = operation;
        event.source = TRAIL_HOLDFS;
    }
    if (f->action) {
        event.rule = f->rule;
        event.bucket = bucket_by_name(e, f->bucket, strlen(f->bucket));
        event.key = span_of(f->key, f->key_len);
        event.version_id = f->version_id;
        if (!event.bucket && f->arn[0]) {
            event.arn = f->arn;
        } else if (!event.bucket && f->bucket[0]) {
            snprintf(arn, sizeof arn, "arn:aws:s3:::%s", f->bucket);
            event.arn = arn;
            event.arn_type = "AWS::S3::Bucket";
        }
    }
    int r = trail_fold(e, c, &event, false);
    if (r < 0)
        log_error("a refusal could not be written into the audit trail yet: %s", strerror(-r));
    c->refused.action = NULL;
}

/* ---- integrity events: found with any lock held, recorded by the worker ---- */

void trail_integrity(struct engine *e, const char *what, const char *bucket, struct span key, const char *version_id)
{
    struct trail *t = e->trail;
    if (!t || e->read_only)
        return;
    struct late *late = calloc(1, sizeof *late + key.len);
    if (!late)
        return; /* it stands in the log and in status */
    snprintf(late->what, sizeof late->what, "%s", what);
    snprintf(late->bucket, sizeof late->bucket, "%s", bucket ? bucket : "");
    snprintf(late->version_id, sizeof late->version_id, "%s", version_id ? version_id : "");
    late->key_len = key.len;
    if (key.len)
        memcpy(late->key, key.p, key.len);
    LOCK_SCOPE(&t->late_lock);
    if (t->late_count >= LATE_MAX) {
        free(late);
        return;
    }
    late->next = t->late;
    t->late = late;
    t->late_count++;
}

void trail_late_run(struct engine *e)
{
    struct trail *t = e->trail;
    pthread_mutex_lock(&t->late_lock);
    struct late *list = t->late;
    t->late = NULL;
    t->late_count = 0;
    pthread_mutex_unlock(&t->late_lock);
    while (list) {
        struct late *late = list;
        list = late->next;
        trail_fold(e, NULL, &(struct trail_event){.name = "IntegrityCheckFailed",
                                                  .source = TRAIL_HOLDFS,
                                                  .bucket = bucket_by_name(e, late->bucket, strlen(late->bucket)),
                                                  .key = span_of(late->key, late->key_len),
                                                  .version_id = late->version_id,
                                                  .error_code = "IntegrityError",
                                                  .error_message = late->what,
                                                  .flags = TRAIL_SERVICE},
                   true);
        free(late);
    }
}
