/* SPDX-License-Identifier: GPL-3.0-or-later
 * New content over S3: from its first byte to the version it becomes (s3-api.md §4).
 *
 * The content gathers in a map of its own that no row refers to; freeing it leaves frames that gc collects. Publishing is one
 * transaction, in which conditions are judged; it is durable before it is answered. */
#include "engine/object.h"
#include "engine/draft.h"
#include "engine/upkeep.h"
#include "util/limits.h"

#include <stdio.h>
#include <sys/stat.h>

enum { PUT_UNIT_BYTES = LIMIT_FRAME_PLAIN_BYTES };

static pthread_mutex_t puts_lock = PTHREAD_MUTEX_INITIALIZER; /* before a put's lock_map */
static struct engine_put *running;

void puts_mark(struct engine *e, struct gc_mark *m)
{
    LOCK_SCOPE(&puts_lock);
    for (struct engine_put *p = running; p; p = p->next) {
        if (p->engine != e)
            continue;
        LOCK_SCOPE(&p->lock_map);
        gc_mark_map(m, p->map);
    }
}

static void puts_add(struct engine_put *p)
{
    LOCK_SCOPE(&puts_lock);
    p->next = running;
    if (running)
        running->prev = p;
    running = p;
}

static void puts_remove(struct engine_put *p)
{
    LOCK_SCOPE(&puts_lock);
    if (p->prev)
        p->prev->next = p->next;
    else
        running = p->next;
    if (p->next)
        p->next->prev = p->prev;
}

/* ---- beginning ---- */

static bool has_kind(const struct engine_put_params *params, char kind)
{
    for (size_t n = 0; n < params->value_count; n++) {
        if (params->values[n].kind == kind)
            return true;
    }
    return false;
}

int object_may_put(struct engine *e, struct caller *c, const struct bucket *b, struct span key, const struct engine_put_params *params)
{
    int r = engine_may(e, c, "s3:PutObject", b, key);
    if (r == 0 && has_kind(params, ENGINE_VALUE_TAG))
        r = engine_may(e, c, "s3:PutObjectTagging", b, key);
    if (r == 0 && params->lock_mode)
        r = engine_may(e, c, "s3:PutObjectRetention", b, key);
    if (r == 0 && params->legal_hold)
        r = engine_may(e, c, "s3:PutObjectLegalHold", b, key);
    const char *match = params->conditions ? params->conditions->if_match : NULL;
    if (r == 0 && match && strcmp(match, "*") != 0)
        r = engine_may(e, c, "s3:GetObject", b, key);
    return r;
}

int object_lock_wanted(struct engine *e, struct caller *c, const struct bucket *b, const struct engine_put_params *params,
                       struct version_lock *ret, bool *ret_any)
{
    *ret = (struct version_lock){.mode = LOCK_NONE};
    *ret_any = params->lock_mode || params->legal_hold;
    if (!*ret_any)
        return 0;
    if (!b->object_lock)
        return reason_fail_s3(&c->reason, EINVAL, "InvalidRequest", "Bucket is missing Object Lock Configuration");
    bool on = false;
    if (params->legal_hold && lock_hold_parse(params->legal_hold, &on, &c->reason) < 0)
        return -EINVAL;
    ret->hold = !params->legal_hold ? HOLD_NEVER : on ? HOLD_ON : HOLD_OFF;
    if (!params->lock_mode)
        return 0;
    if (lock_mode_parse(params->lock_mode, strlen(params->lock_mode), &ret->mode) < 0)
        return reason_fail_s3(&c->reason, EINVAL, "InvalidArgument", "Unknown wormMode directive.");
    struct lock_wanted wanted = {.mode = ret->mode, .until_ms = params->lock_until_ms};
    ret->until_ms = params->lock_until_ms;
    return lock_date_judge(&wanted, compliance_date_ms(e), &c->reason);
}

int put_attrs(const struct engine_value *values, size_t count, struct attrs *ret)
{
    *ret = (struct attrs){0};
    int r = 0;
    for (size_t n = 0; r == 0 && n < count; n++)
        r = attrs_set(ret, (enum attr_kind)values[n].kind, values[n].name, values[n].name_len, values[n].value, values[n].len);
    if (r < 0)
        attrs_done(ret);
    return r;
}

static int copy_conditions(struct engine_put *p, const struct engine_conditions *from)
{
    if (!from || (!from->if_match && !from->if_none_match))
        return 0;
    p->conditional = true;
    p->conditions = *from;
    p->if_match = from->if_match ? strdup(from->if_match) : NULL;
    p->if_none_match = from->if_none_match ? strdup(from->if_none_match) : NULL;
    p->conditions.if_match = p->if_match;
    p->conditions.if_none_match = p->if_none_match;
    return (from->if_match && !p->if_match) || (from->if_none_match && !p->if_none_match) ? -ENOMEM : 0;
}

int put_new(struct engine *e, const struct bucket *b, const struct engine_put_params *params, struct engine_put **ret)
{
    struct engine_put *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->engine = e;
    p->bucket = b;
    p->bucket_number = b->number;
    pthread_mutex_init(&p->lock_map, NULL);
    p->map = extmap_new();
    puts_add(p);
    p->key = key_copy(params->key);
    p->key_len = params->key.len;
    int r = p->key && p->map ? put_attrs(params->values, params->value_count, &p->attrs) : -ENOMEM;
    if (r == 0)
        r = copy_conditions(p, params->conditions);
    if (r == 0)
        r = checksum_begin(&p->md5, CHECKSUM_MD5);
    if (r == 0)
        r = checksum_begin(&p->checksum, params->checksum);
    if (r < 0) {
        engine_put_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

/* May it be written, as things stand now? M */
static int judge_conditions(struct engine_put *p, struct caller *c, struct engine_conditions *out)
{
    if (!p->conditional)
        return 0;
    struct version v;
    int r = version_load(p->engine, p->bucket_number, span_of(p->key, p->key_len), 0, &v);
    if (r < 0 && r != -ENOENT)
        return r;
    bool there = r == 0;
    r = condition_write(&p->conditions, there ? &v : NULL, &c->reason);
    if (there)
        version_done(&v);
    if (out)
        out->failed = p->conditions.failed;
    return r;
}

int engine_put_begin(struct engine *e, struct caller *c, const struct engine_put_params *params, struct engine_put **ret)
{
    if (!params->key.len || params->key.len > LIMIT_S3_KEY_BYTES)
        return reason_fail_s3(&c->reason, ENAMETOOLONG, "KeyTooLongError", "Your key is too long");
    LOCK_SCOPE(&e->meta);
    const struct bucket *b = bucket_by_number(e, params->bucket);
    if (!b)
        return object_no_bucket(c);
    int r = object_may_put(e, c, b, params->key, params);
    if (r == 0 && e->read_only)
        r = reason_fail_s3(&c->reason, EROFS, "ServiceUnavailable", "the store is open for reading only");
    struct version_lock lock;
    bool locks;
    if (r == 0)
        r = object_lock_wanted(e, c, b, params, &lock, &locks);
    struct engine_put *p;
    if (r == 0)
        r = put_new(e, b, params, &p);
    if (r < 0)
        return r;
    p->lock = lock;
    p->locks = locks;
    r = judge_conditions(p, c, params->conditions);
    if (r == 0)
        r = sse_new(e, c, b, params->key, &p->env, &p->kek);
    if (r < 0)
        engine_put_free(p);
    else
        *ret = p;
    return r;
}

void engine_put_free(struct engine_put *p)
{
    if (!p)
        return;
    puts_remove(p);
    extmap_unref(p->map);
    content_key_unref(p->data_key);
    data_key_unref(p->kek);
    envelope_unref(p->env);
    if (p->buffer)
        secret_wipe(p->buffer, PUT_UNIT_BYTES);
    free(p->buffer);
    checksum_done(&p->md5);
    checksum_done(&p->checksum);
    checksum_done(&p->extra);
    attrs_done(&p->attrs);
    free(p->if_match);
    free(p->if_none_match);
    free(p->key);
    pthread_mutex_destroy(&p->lock_map);
    free(p);
}

/* ---- content ---- */

int put_rewrap(struct engine_put *p, const struct bucket *from, const struct version *v, struct extmap *map)
{
    const struct envelope *was = v->record.env;
    if (from == p->bucket && !was && !p->env)
        return 0;
    bool customer = (was && was->mode == ENVELOPE_SSE_C) || (p->env && p->env->mode == ENVELOPE_SSE_C);
    if (customer && (!was || !p->env || memcmp(was->kek_id, p->env->kek_id, 16) != 0))
        return -EXDEV; /* such content is written anew (encryption.md §1.3) */
    return keyring_map_rewrap(p->engine, from, p->bucket, p->env, map);
}

int put_follow_upload(struct engine_put *p, struct caller *c, const struct version *head)
{
    p->env = envelope_ref(head->record.env);
    return sse_open(p->engine, c, p->bucket, span_of(p->key, p->key_len), 0, p->env, &p->kek);
}

static int put_key(struct engine_put *p)
{
    return p->data_key ? 0 : keyring_dek_new(p->engine, p->bucket, p->env, &p->wrapped, &p->data_key);
}

/* `in_row`: short content that stays with its row. */
static int put_frames(struct engine_put *p, const void *buf, size_t len, bool in_row)
{
    int r = put_key(p);
    if (r < 0)
        return r;
    enum frame_compression compression = p->bucket->compress ? FRAME_COMPRESSION_ZSTD : FRAME_COMPRESSION_NONE;
    LOCK_SCOPE(&p->lock_map);
    int dek = extmap_dek_index(p->map, &p->wrapped);
    if (dek < 0)
        return dek;
    uint64_t offset = p->map->size_bytes;
    return in_row ? content_write_inline(p->engine->pipe, p->data_key, (uint32_t)dek, compression, p->map, offset, buf, len)
                  : content_write(p->engine->pipe, p->data_key, (uint32_t)dek, compression, p->map, offset, buf, len);
}

static int put_flush(struct engine_put *p, bool last)
{
    size_t len = p->buffered;
    if (!len)
        return 0;
    int r = put_frames(p, p->buffer, len, last && !p->map->size_bytes && len <= DRAFT_INLINE_BYTES);
    if (r == 0)
        p->buffered = 0;
    return r;
}

int engine_put_write(struct engine_put *p, const void *buf, size_t len)
{
    const uint8_t *at = buf;
    checksum_add(&p->md5, buf, len);
    checksum_add(&p->checksum, buf, len);
    checksum_add(&p->extra, buf, len);
    p->sums.size_bytes += len;
    int r = 0;
    while (r == 0 && len) {
        size_t whole = len - len % PUT_UNIT_BYTES;
        if (!p->buffered && whole) {
            r = put_frames(p, at, whole, false);
            at += whole;
            len -= whole;
            continue;
        }
        if (!p->buffer && !(p->buffer = malloc(PUT_UNIT_BYTES)))
            return -ENOMEM;
        size_t room = PUT_UNIT_BYTES - p->buffered, take = len < room ? len : room;
        memcpy(p->buffer + p->buffered, at, take);
        p->buffered += take;
        at += take;
        len -= take;
        if (p->buffered == PUT_UNIT_BYTES)
            r = put_flush(p, false);
    }
    return r;
}

void engine_put_sums(struct engine_put *p, struct engine_sums *ret)
{
    if (!p->ended) {
        uint8_t md5[CHECKSUM_MAX_BYTES];
        checksum_end(&p->md5, md5);
        memcpy(p->sums.md5, md5, 16);
        checksum_end(&p->checksum, p->sums.checksum);
        checksum_end(&p->extra, p->extra_sum);
        p->sums.kind = p->checksum.kind;
        p->ended = true;
    }
    *ret = p->sums;
}

int object_checksum_facts(struct attrs *attrs, enum checksum_kind kind, const uint8_t *sum, const char *type)
{
    if (kind == CHECKSUM_NONE)
        return 0;
    char name[32], text[CHECKSUM_TEXT_BYTES];
    int n = snprintf(name, sizeof name, "checksum-%s", checksum_name(kind));
    base64_format(sum, checksum_bytes(kind), text);
    int r = attrs_set(attrs, ATTR_FACT, name, (size_t)n, text, strlen(text));
    return r < 0 ? r : attrs_set(attrs, ATTR_FACT, "checksum-type", 13, type, strlen(type));
}

int put_record(struct engine_put *p, struct record *ret)
{
    struct engine_sums sums;
    engine_put_sums(p, &sums);
    int r = put_flush(p, true);
    if (r == 0)
        r = object_checksum_facts(&p->attrs, sums.kind, sums.checksum, "FULL_OBJECT");
    struct record record = {.written = true};
    if (r == 0)
        r = attrs_copy(&record.attrs, &p->attrs);
    if (r < 0)
        return r;
    {
        LOCK_SCOPE(&p->lock_map);
        r = extmap_tidy(p->map);
        record.map = extmap_ref(p->map);
    }
    record_set_envelope(&record, p->env, p->bucket->kek_id, p->bucket->kek_version);
    record.size_bytes = sums.size_bytes;
    uint8_t random[16];
    random_bytes(random, sizeof random);
    hex_format(p->env ? random : sums.md5, 16, record.etag); /* encryption.md §3.4: a hash of plain content tells of it */
    if (r < 0)
        record_done(&record);
    else
        *ret = record;
    return r;
}

/* ---- publishing ---- */

int object_owner(struct engine *e, const struct caller *c, const struct bucket *b, struct record *record)
{
    struct inode *root;
    int r = inode_get(e, b->root_ino, &root);
    if (r < 0)
        return r;
    record->uid = c->uid == NO_UID ? root->record.uid : c->uid;
    record->gid = root->record.gid;
    inode_put(e, root);
    record->mode = S_IFREG | (0644 & ~b->mode_mask);
    record->mtime = record->ctime = record->btime = instant_now();
    return 0;
}

static int publish(struct engine_put *p, struct caller *c, struct bucket *b, struct record *record, const struct put_hooks *hooks,
                   struct engine_object *ret)
{
    struct engine *e = p->engine;
    struct span key = span_of(p->key, p->key_len);
    struct version v;
    uint64_t seq = 0;
    int r = judge_conditions(p, c, NULL);
    if (r == 0 && hooks->before)
        r = hooks->before(p, c, b, hooks->arg);
    if (r == 0)
        r = version_publish_locked(e, c, b, key, 0, record, true, p->locks ? &p->lock : NULL, &seq);
    if (r == 0)
        r = version_load(e, b->number, key, seq, &v);
    if (r < 0)
        return r;
    r = object_fill(e, b, &v, true, ret);
    ret->has_id = b->versioning == VERSIONING_ENABLED;
    if (r == 0 && hooks->after)
        r = hooks->after(p, c, b, &v, hooks->arg);
    version_done(&v);
    return r;
}

int put_commit(struct engine_put *p, struct caller *c, struct record *record, const struct put_hooks *hooks, struct engine_object *ret)
{
    struct engine *e = p->engine;
    int r = 0;
    if (p->bucket->object_lock) /* the row of a lock may reach the disk by itself: not before what it protects */
        r = e->block_ops->sync(e->b);
    if (r == 0) {
        LOCK_SCOPE(&e->meta);
        struct bucket *b = bucket_by_number(e, p->bucket_number);
        r = b ? object_owner(e, c, b, record) : object_no_bucket(c);
        if (r == 0)
            r = txn_begin(e);
        if (r == 0)
            r = txn_end(e, publish(p, c, b, record, hooks, ret));
    }
    return r < 0 ? r : object_settle(e);
}

int engine_put_publish(struct engine_put *p, struct caller *c, struct engine_object *ret)
{
    struct record record;
    *ret = (struct engine_object){0};
    if (p->upload_id[0])
        return part_publish(p, c, ret);
    int r = put_record(p, &record);
    if (r < 0)
        return r;
    r = put_commit(p, c, &record, &(struct put_hooks){0}, ret);
    record_done(&record);
    return r;
}
