/* SPDX-License-Identifier: GPL-3.0-or-later
 * Writing the audit trail: what happened becomes a record, the record a row behind the one before, in the transaction of the act.
 *
 * The end of the chain is kept twice: as committed, and with what the open transaction adds; a rollback drops the difference. */
#include "engine/trail.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { COMM_KEPT_NS = 1000000000, DOCUMENT_BYTES = 20480, TEXT_KEPT_BYTES = 65536 };

/* ---- opening ---- */

static int last_row(void *arg, const struct trail_row *row)
{
    struct trail *t = arg;
    if (row->body.len < AUDIT_HASH_BYTES)
        return -EIO;
    t->committed.seq = row->last;
    memcpy(t->committed.hash, row->body.p, AUDIT_HASH_BYTES);
    return 1;
}

static int last_piece(void *arg, const struct trail_row *row)
{
    struct trail *t = arg;
    t->packed = row->last != row->seq ? row->last : row->seq - 1;
    if (row->last != row->seq)
        return 1;
    t->loose_bytes += row->body.len;
    return 0;
}

static int last_head(void *arg, const struct trail_row *row)
{
    ((struct trail *)arg)->head_seq = row->seq;
    return 1;
}

static void settings_read(struct engine *e)
{
    struct span value;
    if (e->meta_ops->value_get(e->m, "trail.settings", &value) < 0)
        return;
    json_t *o = json_loadb((const char *)value.p, value.len, 0, NULL);
    e->trail->keep_days = json_integer_value(json_object_get(o, "keep_days"));
    e->trail->data_events = (int)json_integer_value(json_object_get(o, "data_events"));
    json_decref(o);
}

static int begin_chain(struct engine *e)
{
    struct trail *t = e->trail;
    int r = txn_begin(e);
    if (r < 0)
        return r;
    r = trail_key_make(e);
    if (r == 0)
        r = trail_note(e, NULL, &(struct trail_event){.name = "TrailBegun",
                                                      .source = TRAIL_HOLDFS,
                                                      .params = json_pack("{s:s, s:s}", "chain", t->chain, "publicKeyId", t->key_id),
                                                      .flags = TRAIL_SERVICE});
    return txn_end(e, r);
}

int trail_open(struct engine *e, struct reason *reason)
{
    struct trail *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    pthread_mutex_init(&t->late_lock, NULL);
    e->trail = t;
    uuid_format(e->conf.store_id, t->chain);
    int r = audit_genesis(t->chain, &t->committed);
    if (r == 0)
        r = e->meta_ops->trail_scan(e->m, TRAIL_RECORDS, UINT64_MAX, true, last_row, t);
    t->pending = t->committed;
    if (r == 0)
        r = e->meta_ops->trail_scan(e->m, TRAIL_RECORDS, UINT64_MAX, true, last_piece, t);
    if (r == 0)
        r = e->meta_ops->trail_scan(e->m, TRAIL_HEADS, UINT64_MAX, true, last_head, t);
    settings_read(e);
    if (r == 0)
        r = trail_key_load(e);
    if (r == -ENOENT)
        r = e->read_only ? 0 : begin_chain(e);
    if (r == 0 && !e->read_only)
        r = trail_public_file(e);
    if (r == 0)
        r = trail_folds_load(e);
    if (r == 0)
        r = trail_anchors_open(e);
    t->head_mono_ns = t->point_mono_ns = clock_mono_ns();
    return r < 0 ? reason_fail(reason, -r, "the audit trail cannot be read: %s", strerror(-r)) : 0;
}

void trail_close(struct engine *e)
{
    struct trail *t = e->trail;
    if (!t)
        return;
    trail_anchors_close(e);
    trail_folds_free(e);
    secret_free(t->seed);
    bytes_done(&t->text);
    bytes_done(&t->row);
    pthread_mutex_destroy(&t->late_lock);
    free(t);
    e->trail = NULL;
}

void trail_txn_end(struct engine *e, bool committed)
{
    struct trail *t = e->trail;
    if (!t)
        return;
    if (committed)
        t->committed = t->pending;
    else
        t->pending = t->committed;
}

bool trail_wants_data(const struct engine *e, bool read)
{
    return e->trail && e->trail->data_events > (read ? 1 : 0);
}

/* ---- composing a record ---- */

void trail_time(int64_t wall_ns, char out[40])
{
    timeform_format_ms(wall_ns / 1000000, out);
    char *dot = strchr(out, '.');
    if (dot)
        memcpy(dot, "Z", 2);
}

/* "2026-11-24T12:00:00Z", or with `ms` "...00.123Z", into out. */
static void second_format(struct second *cached, int64_t ms, bool with_ms, char out[40])
{
    int64_t s = ms / 1000;
    if (cached->s != s || !cached->text[0]) {
        timeform_format_ms(s * 1000, cached->text);
        cached->s = s;
        char *dot = strchr(cached->text, '.');
        if (dot)
            *dot = '\0';
    }
    size_t len = strlen(cached->text);
    unsigned rest = (unsigned)(ms % 1000);
    memcpy(out, cached->text, len);
    if (with_ms) {
        const char digits[4] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10), (char)('0' + rest % 10)};
        memcpy(out + len, digits, 4);
        len += 4;
    }
    memcpy(out + len, "Z", 2);
}

static void random_take(struct trail *t, void *out, size_t len)
{
    if (t->random_left < len) {
        random_bytes(t->random, sizeof t->random);
        t->random_left = sizeof t->random;
    }
    t->random_left -= len;
    memcpy(out, t->random + t->random_left, len);
}

static const char *comm_of(struct trail *t, int32_t pid)
{
    int64_t now = clock_mono_ns();
    if (pid <= 0)
        return NULL;
    if (t->comm_pid == pid && now - t->comm_mono_ns < COMM_KEPT_NS)
        return t->comm;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, t->comm, sizeof t->comm - 1);
    t->comm[n > 0 ? n : 0] = '\0';
    t->comm[strcspn(t->comm, "\n")] = '\0';
    t->comm_pid = pid;
    t->comm_mono_ns = now;
    return t->comm;
}

static bool is_internal(const struct caller *c)
{
    return !c || strcmp(c->front, "internal") == 0;
}

static void put_identity(const struct caller *c, char arn[128], struct audit_record *r)
{
    if (is_internal(c)) {
        r->identity.type = "AWSService";
        r->identity.principal_id = "engine";
        return;
    }
    const struct principal *p = &c->principal;
    static const char *const types[] = {[PRINCIPAL_ANONYMOUS] = "Anonymous", [PRINCIPAL_ROOT] = "Root", [PRINCIPAL_USER] = "IAMUser",
                                        [PRINCIPAL_SERVICE] = "AWSService"};
    r->identity.type = types[p->kind];
    if (p->kind == PRINCIPAL_ANONYMOUS) {
        r->identity.principal_id = "anonymous";
        return;
    }
    if (p->kind == PRINCIPAL_SERVICE) {
        r->identity.principal_id = p->name;
        return;
    }
    principal_arn(p, arn);
    r->identity.arn = arn;
    r->identity.account = p->account;
    r->identity.principal_id = p->kind == PRINCIPAL_USER ? p->userid : p->account;
    r->identity.user = p->kind == PRINCIPAL_USER ? p->name : NULL;
    r->identity.mfa = c->mfa;
    for (size_t n = 0; n < c->value_count; n++)
        r->identity.mfa |= c->values[n].key == AUTH_MFA_PRESENT && c->values[n].len == 4 && memcmp(c->values[n].text, "true", 4) == 0;
}

/* How the request came. */
static void put_request(struct trail *t, struct caller *c, char agent[160], struct audit_record *r)
{
    r->extra.front = is_internal(c) ? "internal" : c->front;
    if (is_internal(c))
        return;
    if (c->request) {
        r->request_id = c->request->request_id;
        r->source_ip = c->request->source_ip;
        r->user_agent = c->request->user_agent;
        r->tls_version = c->request->tls_version;
        r->cipher = c->request->cipher;
        r->host = c->request->host;
        r->identity.access_key = c->request->access_key;
        return;
    }
    if (!c->request_id[0]) {
        uint64_t random;
        random_take(t, &random, sizeof random);
        snprintf(c->request_id, sizeof c->request_id, "%016llX", (unsigned long long)random);
    }
    r->request_id = c->request_id;
    r->source_ip = "local";
    r->extra.has_caller = true;
    r->extra.uid = c->uid;
    r->extra.pid = c->pid;
    r->extra.comm = comm_of(t, c->pid);
    char comm[sizeof t->comm];
    snprintf(comm, sizeof comm, "%s", r->extra.comm ? r->extra.comm : "-");
    for (char *p = comm; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("._-", *p);
        *p = plain ? *p : '_';
    }
    snprintf(agent, 160, "holdfs-%s/%s pid=%d uid=%u comm=%s", c->front, PACKAGE_VERSION, c->pid, c->uid, comm);
    r->user_agent = agent;
}

static void add_resource(struct audit_record *r, const char *arn, size_t len, const char *type, const char *account)
{
    r->resources[r->resource_count++] = (struct audit_resource){.arn = arn, .arn_len = len, .type = type, .account = account};
}

/* What an event is about, in one form. */
struct about {
    const struct bucket *b;
    struct span key;
    const char *version_id;
    char id[33];
    struct bytes arn;
};

static void about_of(struct engine *e, const struct trail_event *event, struct about *a)
{
    *a = (struct about){.b = event->bucket, .key = event->key, .version_id = event->version_id};
    if (event->version) {
        const struct version *v = event->version;
        a->b = bucket_by_number(e, v->bucket);
        a->key = span_of(v->key, v->key_len);
        version_id_text(v, a->id);
        a->version_id = a->id;
    }
}

static void put_resources(struct engine *e, const struct trail_event *event, struct about *a, struct audit_record *r)
{
    r->recipient = a->b ? a->b->account : e->conf.account_id;
    if (a->b) {
        bytes_printf(&a->arn, "arn:aws:s3:::%s", a->b->name);
        if (a->key.len) {
            bytes_put(&a->arn, "/", 1);
            bytes_put(&a->arn, a->key.p, a->key.len);
        }
        add_resource(r, (const char *)a->arn.data, a->arn.len, a->key.len ? "AWS::S3::Object" : "AWS::S3::Bucket", a->b->account);
    }
    if (event->arn)
        add_resource(r, event->arn, strlen(event->arn), event->arn_type, NULL);
}

static int put_params(const struct trail_event *event, const struct about *a, json_t **ret)
{
    json_t *params = event->params ? json_incref(event->params) : json_object();
    int r = params ? 0 : -ENOMEM;
    if (r == 0 && a->b)
        r = json_object_set_new(params, "bucketName", json_string(a->b->name));
    if (r == 0 && a->b && a->key.len) {
        json_t *key = json_stringn((const char *)a->key.p, a->key.len);
        r = json_object_set_new(params, "key", key ? key : json_string("?"));
    }
    if (r == 0 && a->version_id && a->version_id[0])
        r = json_object_set_new(params, "versionId", json_string(a->version_id));
    *ret = params;
    return r < 0 ? -ENOMEM : 0;
}

int trail_compose(struct engine *e, struct caller *c, const struct trail_event *event, struct bytes *out)
{
    char time[40], clock[40], arn[128], agent[160], id[37];
    uint8_t uuid[16];
    struct about about;
    json_t *params = NULL;
    random_take(e->trail, uuid, sizeof uuid);
    uuid[6] = (uuid[6] & 0x0f) | 0x40; /* version 4 */
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    uuid_format(uuid, id);
    second_format(&e->trail->wall_second, clock_wall_ns() / 1000000, false, time);
    struct audit_record record = {
        .time = time,
        .event_id = id,
        .source = event->source ? event->source : "s3.amazonaws.com",
        .name = event->name,
        .region = e->conf.region,
        .service = (event->flags & TRAIL_SERVICE) || is_internal(c),
        .data = event->flags & TRAIL_DATA,
        .read_only = event->flags & TRAIL_READ,
        .response = event->response,
        .error_code = event->error_code,
        .error_message = event->error_message,
        .extra = {.previous = event->previous, .rule = event->rule, .error = event->error ? strerrorname_np(-event->error) : NULL},
    };
    if (e->clock) {
        second_format(&e->trail->clock_second, compliance_date_ms(e), true, clock);
        record.extra.clock = clock;
    }
    put_identity(c, arn, &record);
    put_request(e->trail, c, agent, &record);
    about_of(e, event, &about);
    put_resources(e, event, &about, &record);
    int r = put_params(event, &about, &params);
    record.params = params;
    if (r == 0)
        r = audit_record_write(&record, out);
    bytes_done(&about.arn);
    json_decref(params);
    return r;
}

void trail_event_done(const struct trail_event *event)
{
    json_decref(event->params);
    json_decref(event->previous);
    json_decref(event->response);
}

json_t *trail_document(const void *text, size_t len)
{
    if (!text)
        return NULL;
    json_t *whole = len <= DOCUMENT_BYTES ? json_stringn(text, len) : NULL;
    if (whole)
        return whole;
    uint8_t hash[32];
    char hex[65];
    if (audit_digest(text, len, hash) < 0)
        return NULL;
    hex_format(hash, sizeof hash, hex);
    return json_pack("{s:s, s:I}", "sha256", hex, "size", (json_int_t)len);
}

/* ---- writing ---- */

int trail_append(struct engine *e, const void *text, size_t len)
{
    struct trail *t = e->trail;
    struct audit_place place;
    int r = audit_link(&t->pending, text, len, &place);
    if (r < 0)
        return r;
    bytes_clear(&t->row);
    bytes_put(&t->row, place.hash, AUDIT_HASH_BYTES);
    bytes_put(&t->row, text, len);
    if (t->row.failed) {
        bytes_done(&t->row);
        return -ENOMEM;
    }
    r = e->meta_ops->trail_put(e->m, TRAIL_RECORDS,
                               &(struct trail_row){.seq = place.seq, .last = place.seq, .body = span_of(t->row.data, t->row.len)});
    if (r == 0) {
        t->pending = place;
        t->loose_bytes += len; /* a rolled back one counts too: it is a guess at when a piece is due */
    }
    return r;
}

int trail_note(struct engine *e, struct caller *c, const struct trail_event *event)
{
    struct trail *t = e->trail;
    bool wanted = t && !e->read_only && (!(event->flags & TRAIL_DATA) || trail_wants_data(e, event->flags & TRAIL_READ));
    int r = 0;
    if (wanted) {
        bytes_clear(&t->text);
        r = trail_compose(e, c, event, &t->text);
        if (r == 0)
            r = trail_append(e, t->text.data, t->text.len);
        if (t->text.cap > TEXT_KEPT_BYTES || t->text.failed)
            bytes_done(&t->text);
    }
    trail_event_done(event);
    return r;
}

int trail_also(struct engine *e, struct caller *c, int r, const struct trail_event *event)
{
    if (r >= 0)
        return trail_note(e, c, event);
    trail_event_done(event);
    return r;
}

int trail_read(struct engine *e, struct caller *c, const struct bucket *b, struct span key, const char *version_id)
{
    if (!trail_wants_data(e, true))
        return 0;
    return trail_note_alone(e, c, &(struct trail_event){
                                      .name = "GetObject", .bucket = b, .key = key, .version_id = version_id, .flags = TRAIL_DATA | TRAIL_READ});
}

static json_t *result_json(const json_t *result)
{
    char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
    json_t *out = !text ? NULL : strlen(text) <= DOCUMENT_BYTES ? json_deep_copy(result) : trail_document(text, strlen(text));
    free(text);
    return out;
}

int trail_report(struct engine *e, struct caller *c, int r, const char *name, const char *bucket, const json_t *result)
{
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->meta);
    int q = trail_note_alone(e, c, &(struct trail_event){.name = name,
                                                         .source = TRAIL_HOLDFS,
                                                         .bucket = bucket ? bucket_by_name(e, bucket, strlen(bucket)) : NULL,
                                                         .params = bucket ? json_pack("{s:s}", "bucketName", bucket) : NULL,
                                                         .response = result_json(result)});
    return q < 0 ? q : r;
}

int trail_note_alone(struct engine *e, struct caller *c, const struct trail_event *event)
{
    if (!e->trail || e->read_only) {
        trail_event_done(event);
        return 0;
    }
    int r = txn_begin(e);
    if (r < 0) {
        trail_event_done(event);
        return r;
    }
    return txn_end(e, trail_note(e, c, event));
}
