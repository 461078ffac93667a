/* SPDX-License-Identifier: GPL-3.0-or-later
 * Anchors: where signed heads are carried, so that what happens to this host's files shows elsewhere (logs.md §3.4).
 *
 * A thread of its own sends; no request waits for it. What failed is tried again, after two intervals `status` warns. Rows: the value
 * trail.anchor/N is JSON, with the token that its place asks for; trail.token/SEQ is a time-stamp token of the head of that number. */
#include "engine/compliance_tsa.h"
#include "engine/trail.h"
#include "util/http_post.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ANCHORS_MAX = 16,
    EVERY_DEFAULT_S = 3600,
    AGAIN_S = 30,            /* after a failure, but no later than its interval */
    TIMEOUT_MS = 30000,
    ANSWER_BYTES = 65536,
    FILE_TEXT_BYTES = 65536, /* --ca-file, --token-file */
};
static const int64_t ns_per_s = 1000000000;

enum anchor_kind { ANCHOR_FILE, ANCHOR_BUCKET, ANCHOR_S3, ANCHOR_TSA, ANCHOR_HTTPS };

/* All but `next` is M. */
struct anchor_to {
    struct anchor_to *next;
    uint64_t number;
    enum anchor_kind kind;
    char *url;
    char *ca, *token; /* NULL: none */
    int64_t every_s;
    uint64_t sent_seq;
    char sent_time[40], error[160];
    int64_t due_ns, ok_ns; /* CLOCK_MONOTONIC: when next, when last well (or since when it is there) */
};

struct anchors {
    struct anchor_to *list; /* M */
    size_t count;           /* M */
    uint64_t next_number;   /* M */
    pthread_t thread;
    bool running;
    atomic_bool stop;
    pthread_mutex_t lock; /* leaf */
    pthread_cond_t wake;
    bool wanted; /* lock */
};

/* ---- what an address means ---- */

static int kind_of(const char *url, enum anchor_kind *ret, const char **ret_rest)
{
    static const struct {
        const char *prefix;
        enum anchor_kind kind;
    } kinds[] = {{"file:", ANCHOR_FILE}, {"bucket:", ANCHOR_BUCKET}, {"s3:", ANCHOR_S3}, {"tsa:", ANCHOR_TSA}};
    *ret_rest = url;
    *ret = ANCHOR_HTTPS;
    for (size_t n = 0; n < sizeof kinds / sizeof *kinds; n++) {
        size_t len = strlen(kinds[n].prefix);
        if (strncmp(url, kinds[n].prefix, len) == 0) {
            *ret = kinds[n].kind;
            *ret_rest = url + len;
            break;
        }
    }
    switch (*ret) {
    case ANCHOR_FILE:
        return **ret_rest == '/' ? 0 : -EINVAL;
    case ANCHOR_BUCKET:
        return strcspn(*ret_rest, "/") >= 3 ? 0 : -EINVAL;
    default:
        return http_url_valid(*ret_rest) ? 0 : -EINVAL;
    }
}

/* Others learn nothing by a token that goes in clear; http is for tests on this machine. */
static bool is_plain_abroad(const struct anchor_to *a)
{
    const char *rest;
    enum anchor_kind kind;
    if (!a->token || kind_of(a->url, &kind, &rest) < 0 || strncmp(rest, "http://", 7) != 0)
        return false;
    size_t len = strcspn(rest + 7, ":/");
    return len != 9 || (strncmp(rest + 7, "127.0.0.1", 9) != 0 && strncmp(rest + 7, "localhost", 9) != 0);
}

static void anchor_free(struct anchor_to *a)
{
    if (!a)
        return;
    if (a->token)
        secret_wipe(a->token, strlen(a->token));
    free(a->token);
    free(a->ca);
    free(a->url);
    free(a);
}

/* ---- rows ---- */

static int row_put(struct engine *e, const struct anchor_to *a)
{
    char name[40];
    snprintf(name, sizeof name, "trail.anchor/%08llx", (unsigned long long)a->number);
    json_t *o = json_pack("{s:s, s:I, s:s*, s:s*, s:I, s:s}", "url", a->url, "every_s", (json_int_t)a->every_s, "ca", a->ca, "token", a->token, "sent_seq",
                          (json_int_t)a->sent_seq, "sent_time", a->sent_time);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    int r = text ? e->meta_ops->value_put(e->m, name, span_of(text, strlen(text))) : -ENOMEM;
    if (text)
        secret_wipe(text, strlen(text));
    free(text);
    json_decref(o);
    return r;
}

static char *copy_of(const json_t *o, const char *member)
{
    const char *text = json_string_value(json_object_get(o, member));
    return text ? strdup(text) : NULL;
}

static int row_load(void *arg, const char *name, struct span value)
{
    struct anchors *s = arg;
    const char *rest, *time;
    json_t *o = json_loadb((const char *)value.p, value.len, 0, NULL);
    struct anchor_to *a = calloc(1, sizeof *a);
    if (a) {
        a->url = copy_of(o, "url");
        a->ca = copy_of(o, "ca");
        a->token = copy_of(o, "token");
        a->every_s = json_integer_value(json_object_get(o, "every_s"));
        a->sent_seq = (uint64_t)json_integer_value(json_object_get(o, "sent_seq"));
        time = json_string_value(json_object_get(o, "sent_time"));
        snprintf(a->sent_time, sizeof a->sent_time, "%s", time ? time : "");
        a->number = strtoull(name + strlen("trail.anchor/"), NULL, 16);
        a->ok_ns = clock_mono_ns();
    }
    json_decref(o);
    if (!a || !a->url || kind_of(a->url, &a->kind, &rest) < 0) {
        anchor_free(a);
        return -EIO;
    }
    a->next = s->list;
    s->list = a;
    s->count++;
    if (a->number >= s->next_number)
        s->next_number = a->number + 1;
    return 0;
}

/* ---- sending ---- */

/* One head on its way to one place. */
struct errand {
    uint64_t number, seq;
    enum anchor_kind kind;
    const char *rest;
    struct anchor_to copy; /* url, ca, token */
    char chain[AUDIT_CHAIN_CHARS + 1];
    struct bytes text, line; /* the head; {"head":...,"sig":...} */
    struct bytes token;      /* of a time-stamp authority */
    char error[160];
};

static void errand_done(struct errand *x)
{
    if (x->copy.token)
        secret_wipe(x->copy.token, strlen(x->copy.token));
    free(x->copy.token);
    free(x->copy.ca);
    free(x->copy.url);
    bytes_done(&x->text);
    bytes_done(&x->line);
    bytes_done(&x->token);
}

static int say(struct errand *x, int error, const char *what)
{
    snprintf(x->error, sizeof x->error, "%.80s: %.60s", what, strerror(-error));
    return error;
}

static int send_file(struct errand *x)
{
    CLEANUP_FD int fd = open(x->rest, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return say(x, -errno, "it cannot be opened");
    bytes_put(&x->line, "\n", 1);
    ssize_t n = write(fd, x->line.data, x->line.len);
    if (n != (ssize_t)x->line.len || fdatasync(fd) < 0)
        return say(x, n < 0 ? -errno : -ENOSPC, "it cannot be written");
    return 0;
}

static int bucket_put(struct engine *e, struct errand *x, struct bucket *b, struct span key)
{
    struct caller internal;
    engine_caller_init(e, &internal, 0, 0, 0, "internal");
    struct record record = {.mode = S_IFREG | 0400, .generation = 1, .size_bytes = x->line.len};
    record.mtime = record.ctime = record.btime = record.atime = instant_now();
    record_new_etag(&record);
    uint64_t seq;
    int r = content_small(e, b, &record, x->line.data, x->line.len);
    if (r == 0)
        r = attrs_set(&record.attrs, ATTR_HEADER, "content-type", 12, "application/json", 16);
    if (r == 0)
        r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, version_publish(e, &internal, b, key, 0, &record, true, &seq));
    record_done(&record);
    return r;
}

static int send_bucket(struct engine *e, struct errand *x)
{
    char key[1024];
    size_t name_len = strcspn(x->rest, "/");
    int len = snprintf(key, sizeof key, "%s%s/%020llu.json", x->rest + name_len + (x->rest[name_len] == '/'), x->chain, (unsigned long long)x->seq);
    LOCK_SCOPE(&e->meta);
    struct bucket *b = bucket_by_name(e, x->rest, name_len);
    if (!b || len < 0 || (size_t)len >= sizeof key)
        return say(x, -ENOENT, "there is no such bucket");
    int r = bucket_put(e, x, b, span_of(key, (size_t)len));
    return r < 0 ? say(x, r, "the object cannot be put") : 0;
}

static int send_http(struct engine *e, struct errand *x)
{
    char url[2048];
    bool s3 = x->kind == ANCHOR_S3;
    int len = s3 ? snprintf(url, sizeof url, "%s%s/%020llu.json", x->rest, x->chain, (unsigned long long)x->seq)
                 : snprintf(url, sizeof url, "%s", x->rest);
    if (len < 0 || (size_t)len >= sizeof url)
        return say(x, -ENAMETOOLONG, "its address");
    struct http_post post = {.url = url,
                             .content_type = "application/json",
                             .body = x->line.data,
                             .body_len = x->line.len,
                             .answer_max_bytes = ANSWER_BYTES,
                             .bearer = s3 ? NULL : x->copy.token,
                             .ca_pem = x->copy.ca,
                             .aws_region = s3 ? e->conf.region : NULL,
                             .aws_key = s3 ? x->copy.token : NULL,
                             .any_2xx = true};
    http_post_all(&post, 1, TIMEOUT_MS, &e->trail->anchors->stop);
    bytes_done(&post.answer);
    snprintf(x->error, sizeof x->error, "%s", post.error);
    return post.error[0] ? -EIO : 0;
}

/* RFC 3161 over the bytes that are signed: SEQ.msg of `audit heads`. */
static int send_tsa(struct engine *e, struct errand *x)
{
    struct tsa_authority authority = {.url = (char *)x->rest};
    uint8_t digest[AUDIT_HASH_BYTES];
    struct bytes message = {0}, query = {0};
    TS_REQ *request = NULL;
    int64_t attested_s;
    audit_head_message(x->text.data, x->text.len, &message);
    int r = message.failed ? -ENOMEM : audit_digest(message.data, message.len, digest);
    if (r == 0)
        r = tsa_request_of(digest, &request, &query);
    if (r == 0)
        r = tsa_anchors_read(x->copy.ca, strlen(x->copy.ca), &authority.anchors);
    struct http_post post = {.url = x->rest,
                             .content_type = "application/timestamp-query",
                             .body = query.data,
                             .body_len = query.len,
                             .answer_max_bytes = LIMIT_TIME_ANSWER_BYTES};
    if (r == 0)
        http_post_all(&post, 1, TIMEOUT_MS, &e->trail->anchors->stop);
    if (r == 0 && post.error[0])
        r = -EIO;
    if (r == 0)
        r = tsa_answer_verify(&authority, request, post.answer.data, post.answer.len, &attested_s, post.error);
    snprintf(x->error, sizeof x->error, "%s", r < 0 && !post.error[0] ? strerror(-r) : post.error);
    x->token = post.answer;
    TS_REQ_free(request);
    sk_X509_pop_free(authority.anchors, X509_free);
    bytes_done(&query);
    bytes_done(&message);
    return r;
}

static int errand_run(struct engine *e, struct errand *x)
{
    switch (x->kind) {
    case ANCHOR_FILE:
        return send_file(x);
    case ANCHOR_BUCKET:
        return send_bucket(e, x);
    case ANCHOR_TSA:
        return send_tsa(e, x);
    default:
        return send_http(e, x);
    }
}

/* ---- rounds ---- */

static int head_of(void *arg, const struct trail_row *row)
{
    struct errand *x = arg;
    char signature[2 * AUDIT_SIGNATURE_BYTES];
    if (row->body.len < AUDIT_SIGNATURE_BYTES)
        return -EIO;
    base64_format(row->body.p, AUDIT_SIGNATURE_BYTES, signature);
    bytes_put(&x->text, row->body.p + AUDIT_SIGNATURE_BYTES, row->body.len - AUDIT_SIGNATURE_BYTES);
    bytes_printf(&x->line, "{\"head\":");
    bytes_put(&x->line, x->text.data, x->text.len);
    bytes_printf(&x->line, ",\"sig\":\"%s\"}", signature);
    x->seq = row->seq;
    return x->line.failed ? -ENOMEM : 1;
}

/* The first that is due and has something to send; its newest head. M */
static struct anchor_to *due_next(struct engine *e)
{
    int64_t now = clock_mono_ns();
    for (struct anchor_to *a = e->trail->anchors->list; a; a = a->next) {
        if (now < a->due_ns)
            continue;
        a->due_ns = now + a->every_s * ns_per_s;
        if (e->trail->committed.seq > a->sent_seq)
            return a;
        a->ok_ns = now;
    }
    return NULL;
}

static int errand_begin(struct engine *e, struct errand *x)
{
    LOCK_SCOPE(&e->meta);
    struct anchor_to *a = due_next(e);
    if (!a)
        return 0;
    int r = e->trail->committed.seq > e->trail->head_seq ? trail_head_make(e) : 0;
    *x = (struct errand){.number = a->number, .copy = {.url = strdup(a->url), .ca = a->ca ? strdup(a->ca) : NULL, .token = a->token ? strdup(a->token) : NULL}};
    memcpy(x->chain, e->trail->chain, sizeof x->chain);
    if (r == 0 && (!x->copy.url || (a->ca && !x->copy.ca) || (a->token && !x->copy.token)))
        r = -ENOMEM;
    if (r == 0)
        r = kind_of(x->copy.url, &x->kind, &x->rest);
    if (r == 0)
        r = e->meta_ops->trail_scan(e->m, TRAIL_HEADS, UINT64_MAX, true, head_of, x);
    return r < 0 ? r : 1;
}

static int token_put(struct engine *e, const struct errand *x)
{
    char name[48];
    snprintf(name, sizeof name, "trail.token/%020llu", (unsigned long long)x->seq);
    return x->token.len ? e->meta_ops->value_put(e->m, name, span_of(x->token.data, x->token.len)) : 0;
}

/* Written down, so that the next start knows. M is taken. */
static void errand_end(struct engine *e, const struct errand *x, int r)
{
    LOCK_SCOPE(&e->meta);
    struct anchor_to *a = e->trail->anchors->list;
    while (a && a->number != x->number)
        a = a->next;
    if (!a)
        return; /* removed meanwhile */
    int64_t now = clock_mono_ns();
    if (r == 0) {
        a->sent_seq = x->seq;
        trail_time(clock_wall_ns(), a->sent_time);
        a->ok_ns = now;
        a->error[0] = '\0';
        r = txn_begin(e);
        if (r == 0) {
            r = token_put(e, x);
            r = txn_end(e, r < 0 ? r : row_put(e, a));
        }
        if (r == 0)
            trail_idle(e);
    } else {
        if (!a->error[0])
            log_warning("audit anchor %s: %s", a->url, x->error);
        snprintf(a->error, sizeof a->error, "%s", x->error[0] ? x->error : strerror(-r));
        if (a->every_s > AGAIN_S)
            a->due_ns = now + AGAIN_S * ns_per_s;
    }
}

static void *anchors_main(void *arg)
{
    struct engine *e = arg;
    struct anchors *s = e->trail->anchors;
    while (!atomic_load(&s->stop)) {
        {
            LOCK_SCOPE(&s->lock);
            while (!s->wanted && !atomic_load(&s->stop))
                pthread_cond_wait(&s->wake, &s->lock);
            s->wanted = false;
        }
        struct errand x = {0};
        int r;
        while (!atomic_load(&s->stop) && (r = errand_begin(e, &x)) != 0) {
            if (r > 0)
                r = errand_run(e, &x);
            errand_end(e, &x, r);
            errand_done(&x);
        }
    }
    return NULL;
}

int trail_anchors_open(struct engine *e)
{
    struct anchors *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    e->trail->anchors = s;
    return e->meta_ops->value_scan(e->m, "trail.anchor/", row_load, s);
}

/* M */
void trail_anchors_run(struct engine *e)
{
    struct anchors *s = e->trail->anchors;
    int64_t now = clock_mono_ns();
    bool due = false;
    for (const struct anchor_to *a = s->list; a; a = a->next)
        due |= now >= a->due_ns;
    if (!due)
        return;
    if (!s->running && !atomic_load(&s->stop))
        s->running = pthread_create(&s->thread, NULL, anchors_main, e) == 0;
    LOCK_SCOPE(&s->lock);
    s->wanted = true;
    pthread_cond_signal(&s->wake);
}

void trail_anchors_stop(struct engine *e)
{
    struct anchors *s = e->trail ? e->trail->anchors : NULL;
    if (!s)
        return;
    {
        LOCK_SCOPE(&s->lock);
        atomic_store(&s->stop, true);
        pthread_cond_signal(&s->wake);
    }
    if (s->running)
        pthread_join(s->thread, NULL);
    s->running = false;
}

void trail_anchors_close(struct engine *e)
{
    struct anchors *s = e->trail->anchors;
    if (!s)
        return;
    while (s->list) {
        struct anchor_to *a = s->list;
        s->list = a->next;
        anchor_free(a);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    free(s);
    e->trail->anchors = NULL;
}

/* ---- for commands and status ---- */

json_t *trail_anchors_json(struct engine *e)
{
    json_t *list = json_array();
    int64_t now = clock_mono_ns();
    for (const struct anchor_to *a = e->trail->anchors->list; a; a = a->next) {
        bool late = e->trail->committed.seq > a->sent_seq && now - a->ok_ns > 2 * a->every_s * ns_per_s;
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:s, s:s, s:b}", "url", a->url, "every_s", (json_int_t)a->every_s, "seq",
                                              (json_int_t)a->sent_seq, "time", a->sent_time, "error", a->error, "late", late));
    }
    return list;
}

json_t *trail_anchored_json(struct engine *e)
{
    const struct anchor_to *newest = NULL;
    for (const struct anchor_to *a = e->trail->anchors->list; a; a = a->next) {
        if (a->sent_seq && (!newest || strcmp(a->sent_time, newest->sent_time) > 0))
            newest = a;
    }
    return newest ? json_pack("{s:s, s:s, s:I}", "time", newest->sent_time, "url", newest->url, "seq", (json_int_t)newest->sent_seq) : NULL;
}

static int options_read(struct caller *c, const json_t *options, struct anchor_to *a)
{
    STACK_OF(X509) *anchors = NULL;
    a->ca = copy_of(options, "ca");
    a->token = copy_of(options, "token");
    a->every_s = json_integer_value(json_object_get(options, "every_s"));
    if (!a->every_s)
        a->every_s = EVERY_DEFAULT_S;
    if (a->every_s < 1)
        return reason_fail(&c->reason, EINVAL, "an anchor's interval is at least a second");
    if ((a->ca && strlen(a->ca) > FILE_TEXT_BYTES) || (a->token && strlen(a->token) > 4000))
        return reason_fail(&c->reason, EINVAL, "the file of certificates or of the token is too long");
    if (a->kind == ANCHOR_TSA && (!a->ca || tsa_anchors_read(a->ca, strlen(a->ca), &anchors) < 0))
        return reason_fail(&c->reason, EINVAL, "a time-stamp authority needs --ca-file with the certificates it is to be checked by");
    sk_X509_pop_free(anchors, X509_free);
    if (a->kind == ANCHOR_S3 && (!a->token || !strchr(a->token, ':')))
        return reason_fail(&c->reason, EINVAL, "an s3: anchor needs --token-file with one line ID:SECRET");
    if (is_plain_abroad(a))
        return reason_fail(&c->reason, EINVAL, "a token goes over https only");
    return 0;
}

static int anchor_new(struct engine *e, struct caller *c, const char *url, const json_t *options, struct anchor_to **ret)
{
    const char *rest;
    struct anchor_to *a = calloc(1, sizeof *a);
    if (!a || !(a->url = strdup(url))) {
        anchor_free(a);
        return -ENOMEM;
    }
    int r = strlen(url) <= LIMIT_URL_BYTES ? kind_of(url, &a->kind, &rest) : -EINVAL;
    if (r < 0)
        reason_fail(&c->reason, EINVAL, "'%.200s' is no place for heads: file:/PATH, bucket:NAME/PREFIX, s3:https://HOST/BUCKET/PREFIX, tsa:https://HOST/... "
                                        "or https://HOST/...", url);
    else
        r = options_read(c, options, a);
    if (r == 0 && a->kind == ANCHOR_BUCKET && !bucket_by_name(e, rest, strcspn(rest, "/")))
        r = reason_fail_s3(&c->reason, ENOENT, "NoSuchBucket", "there is no bucket '%.*s'", (int)strcspn(rest, "/"), rest);
    a->number = e->trail->anchors->next_number;
    a->ok_ns = clock_mono_ns();
    if (r < 0)
        anchor_free(a);
    else
        *ret = a;
    return r;
}

static struct anchor_to *anchor_named(const struct anchors *s, const char *url)
{
    struct anchor_to *a = s->list;
    while (a && strcmp(a->url, url) != 0)
        a = a->next;
    return a;
}

static int put_anchor(struct engine *e, struct caller *c, const struct anchor_to *a)
{
    int r = txn_begin(e);
    if (r < 0)
        return r;
    r = row_put(e, a);
    return txn_end(e, trail_also(e, c, r, &(struct trail_event){.name = "PutAuditAnchor",
                                                                .source = TRAIL_HOLDFS,
                                                                .params = json_pack("{s:s, s:I}", "url", a->url, "everySeconds", (json_int_t)a->every_s)}));
}

int engine_audit_anchor_add(struct engine *e, struct caller *c, const char *url, const json_t *options)
{
    {
        LOCK_SCOPE(&e->meta);
        struct anchor_to *a = NULL;
        int r = trail_may(e, c, "audit:Configure");
        struct anchors *s = r == 0 ? e->trail->anchors : NULL;
        if (r == 0 && anchor_named(s, url))
            r = reason_fail(&c->reason, EEXIST, "'%.200s' is an anchor already", url);
        if (r == 0 && s->count >= ANCHORS_MAX)
            r = reason_fail(&c->reason, ENOSPC, "there are %d anchors, and that is the most", ANCHORS_MAX);
        if (r == 0)
            r = anchor_new(e, c, url, options, &a);
        if (r < 0)
            return r;
        r = put_anchor(e, c, a);
        if (r < 0) {
            anchor_free(a);
            return r;
        }
        a->next = s->list;
        s->list = a;
        s->count++;
        s->next_number++;
    }
    return durable_advance(e);
}

int engine_audit_anchor_remove(struct engine *e, struct caller *c, const char *url)
{
    {
        LOCK_SCOPE(&e->meta);
        char name[40];
        int r = trail_may(e, c, "audit:Configure");
        struct anchor_to *a = r == 0 ? anchor_named(e->trail->anchors, url) : NULL;
        if (r == 0 && !a)
            r = reason_fail(&c->reason, ENOENT, "'%.200s' is no anchor; holdfs audit anchor list shows those there are", url);
        if (r == 0)
            r = txn_begin(e);
        if (r < 0)
            return r;
        snprintf(name, sizeof name, "trail.anchor/%08llx", (unsigned long long)a->number);
        r = txn_end(e, trail_also(e, c, e->meta_ops->value_del(e->m, name),
                                  &(struct trail_event){.name = "DeleteAuditAnchor", .source = TRAIL_HOLDFS, .params = json_pack("{s:s}", "url", url)}));
        if (r < 0)
            return r;
        struct anchors *s = e->trail->anchors;
        for (struct anchor_to **at = &s->list; *at; at = &(*at)->next) {
            if (*at == a) {
                *at = a->next;
                break;
            }
        }
        s->count--;
        anchor_free(a);
    }
    return durable_advance(e);
}

int engine_audit_anchor_list(struct engine *e, struct caller *c, json_t **ret)
{
    LOCK_SCOPE(&e->meta);
    int r = trail_may(e, c, "audit:Read");
    if (r < 0)
        return r;
    *ret = json_pack("{s:o}", "anchors", trail_anchors_json(e));
    return *ret ? 0 : -ENOMEM;
}
