/* SPDX-License-Identifier: GPL-3.0-or-later
 * Buckets: their rows, names, making and removing. A bucket's settings are set by property.c and saved here. */
#include "engine/bucket_config.h"
#include "engine/iam.h"
#include "engine/object.h"
#include "engine/trail.h"

#include <stdio.h>
#include <sys/stat.h>

enum { BUCKET_FORMAT = 1, SSE_FLAG_KMS = 1, SSE_FLAG_BUCKET_KEY = 2, SSE_FLAG_BLOCKED = 4, SSE_FLAG_ALL = 7 };

struct bucket *bucket_by_number(struct engine *e, uint32_t number)
{
    for (size_t i = 0; i < e->bucket_count; i++) {
        if (e->buckets[i]->number == number)
            return e->buckets[i];
    }
    return NULL;
}

struct bucket *bucket_by_name(struct engine *e, const char *name, size_t len)
{
    for (size_t i = 0; i < e->bucket_count; i++) {
        if (strlen(e->buckets[i]->name) == len && !memcmp(e->buckets[i]->name, name, len))
            return e->buckets[i];
    }
    return NULL;
}

static bool bucket_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool bucket_name_is_address(const char *name, size_t len)
{
    unsigned dots = 0;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '.')
            dots++;
        else if (name[i] < '0' || name[i] > '9')
            return false;
    }
    return dots == 3;
}

static bool bucket_name_starts(const char *name, size_t len, const char *prefix)
{
    size_t n = strlen(prefix);
    return len >= n && !memcmp(name, prefix, n);
}

static bool bucket_name_ends(const char *name, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);
    return len >= n && !memcmp(name + len - n, suffix, n);
}

/* S3: bucket naming rules. */
bool bucket_name_valid(const char *name, size_t len, struct reason *reason)
{
    const char *rule = NULL;
    if (len < 3 || len > 63)
        rule = "a bucket name has 3 to 63 characters";
    for (size_t i = 0; !rule && i < len; i++) {
        if (!bucket_name_char(name[i]) && name[i] != '-' && name[i] != '.')
            rule = "a bucket name holds lower-case letters, digits, '-' and '.' only";
        else if (i && name[i] == '.' && name[i - 1] == '.')
            rule = "a bucket name has no two dots in a row";
    }
    if (!rule && (!bucket_name_char(name[0]) || !bucket_name_char(name[len - 1])))
        rule = "a bucket name begins and ends with a lower-case letter or a digit";
    if (!rule && bucket_name_is_address(name, len))
        rule = "a bucket name is not an IP address";
    if (!rule && (bucket_name_starts(name, len, "xn--") || bucket_name_starts(name, len, "sthree-") ||
                  bucket_name_starts(name, len, "amzn-s3-demo-")))
        rule = "a bucket name does not begin with xn--, sthree- or amzn-s3-demo-";
    if (!rule && (bucket_name_ends(name, len, "-s3alias") || bucket_name_ends(name, len, "--ol-s3") ||
                  bucket_name_ends(name, len, ".mrap") || bucket_name_ends(name, len, "--x-s3") ||
                  bucket_name_ends(name, len, "--table-s3")))
        rule = "a bucket name does not end with -s3alias, --ol-s3, .mrap, --x-s3 or --table-s3";
    if (!rule && (memmem(name, len, ".-", 2) || memmem(name, len, "-.", 2)))
        rule = "in a bucket name '-' does not stand beside a dot";
    if (!rule)
        return true;
    reason_fail_s3(reason, EINVAL, "InvalidBucketName", "'%.*s' is not a bucket name: %s", (int)(len > 80 ? 80 : len),
                   name, rule);
    return false;
}

static void bucket_encode(const struct bucket *b, struct bytes *out)
{
    bytes_put_u8(out, BUCKET_FORMAT);
    bytes_put(out, b->uuid, 16);
    bytes_put_varint(out, b->root_ino);
    bytes_put_u64(out, (uint64_t)b->created_ns);
    bytes_put_blob(out, b->account, strlen(b->account));
    bytes_put_u8(out, (uint8_t)b->versioning);
    bytes_put_u8(out, b->object_lock);
    bytes_put_u8(out, (uint8_t)b->default_mode);
    bytes_put_varint(out, b->default_days);
    bytes_put_varint(out, b->default_years);
    bytes_put_varint(out, (uint64_t)b->settle_s);
    bytes_put_varint(out, (uint64_t)b->orphan_keep_s);
    bytes_put_u8(out, b->compress);
    bytes_put_varint(out, b->mode_mask);
    bytes_put_blob(out, b->tags.packed.data, b->tags.packed.len);
    bytes_put(out, b->kek_id, 16);
    bytes_put_varint(out, b->kek_version);
    bytes_put_u8(out, (uint8_t)((b->sse_mode == ENVELOPE_SSE_KMS ? SSE_FLAG_KMS : 0) | (b->sse_bucket_key ? SSE_FLAG_BUCKET_KEY : 0) |
                                (b->sse_c_blocked ? SSE_FLAG_BLOCKED : 0)));
    bytes_put_blob(out, b->sse_key, strlen(b->sse_key));
}

/* Rows of before there was a default encryption end here. */
static void take_encryption(struct reader *r, struct bucket *b)
{
    size_t len;
    b->sse_mode = ENVELOPE_SSE_S3;
    if (reader_finished(r))
        return;
    uint8_t flags = reader_u8(r);
    const uint8_t *key = reader_blob(r, &len);
    r->failed |= (flags & ~SSE_FLAG_ALL) != 0 || len >= sizeof b->sse_key;
    if (!key || r->failed)
        return;
    if (flags & SSE_FLAG_KMS)
        b->sse_mode = ENVELOPE_SSE_KMS;
    b->sse_bucket_key = flags & SSE_FLAG_BUCKET_KEY;
    b->sse_c_blocked = flags & SSE_FLAG_BLOCKED;
    memcpy(b->sse_key, key, len);
}

static int bucket_decode(const struct bucket_row *row, struct bucket *b)
{
    struct reader r = reader_over(row->body.p, row->body.len);
    size_t len;
    if (reader_u8(&r) != BUCKET_FORMAT || !row->name.len || row->name.len >= sizeof b->name)
        return -EBADMSG;
    b->number = row->bucket;
    memcpy(b->name, row->name.p, row->name.len);
    const uint8_t *p = reader_take(&r, 16);
    if (p)
        memcpy(b->uuid, p, 16);
    b->root_ino = reader_varint(&r);
    b->created_ns = (int64_t)reader_u64(&r);
    p = reader_blob(&r, &len);
    if (p && len < sizeof b->account)
        memcpy(b->account, p, len);
    b->versioning = reader_u8(&r);
    b->object_lock = reader_u8(&r);
    b->default_mode = reader_u8(&r);
    b->default_days = (uint32_t)reader_varint(&r);
    b->default_years = (uint32_t)reader_varint(&r);
    b->settle_s = (int64_t)reader_varint(&r);
    b->orphan_keep_s = (int64_t)reader_varint(&r);
    b->compress = reader_u8(&r);
    b->mode_mask = (uint32_t)reader_varint(&r);
    p = reader_blob(&r, &len);
    if (!p || !attrs_valid(p, len))
        return -EBADMSG;
    bytes_put(&b->tags.packed, p, len);
    p = reader_take(&r, 16);
    if (p)
        memcpy(b->kek_id, p, 16);
    b->kek_version = (uint32_t)reader_varint(&r);
    take_encryption(&r, b);
    return reader_finished(&r) ? 0 : -EBADMSG;
}

int bucket_save(struct engine *e, const struct bucket *b)
{
    struct bytes body = {0};
    bucket_encode(b, &body);
    int r = body.failed ? -ENOMEM
                        : e->meta_ops->bucket_put(e->m, &(struct bucket_row){.bucket = b->number,
                                                                            .name = span_of(b->name, strlen(b->name)),
                                                                            .body = span_of(body.data, body.len)});
    bytes_done(&body);
    return r;
}

static void bucket_free(struct bucket *b)
{
    if (!b)
        return;
    attrs_done(&b->tags);
    policy_unref(b->policy);
    free(b);
}

static int bucket_list_add(struct engine *e, struct bucket *b)
{
    struct bucket **list = realloc(e->buckets, (e->bucket_count + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    e->buckets = list;
    e->buckets[e->bucket_count++] = b;
    return 0;
}

static int bucket_load_row(void *arg, const struct bucket_row *row)
{
    struct engine *e = arg;
    struct bucket *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    int r = bucket_decode(row, b);
    if (r == 0)
        r = bucket_list_add(e, b);
    if (r < 0)
        bucket_free(b);
    return r;
}

int buckets_load(struct engine *e)
{
    return e->meta_ops->bucket_scan(e->m, bucket_load_row, e);
}

/* Only what is set while the bucket is there: name, keys and ids may be read at any time by who holds no lock. */
void bucket_take_settings(struct bucket *b, const struct bucket *from)
{
    b->versioning = from->versioning;
    b->object_lock = from->object_lock;
    b->default_mode = from->default_mode;
    b->default_days = from->default_days;
    b->default_years = from->default_years;
    b->settle_s = from->settle_s;
    b->orphan_keep_s = from->orphan_keep_s;
    b->compress = from->compress;
    b->mode_mask = from->mode_mask;
    b->tags = from->tags;
    b->sse_mode = from->sse_mode;
    b->sse_bucket_key = from->sse_bucket_key;
    b->sse_c_blocked = from->sse_c_blocked;
    memcpy(b->sse_key, from->sse_key, sizeof b->sse_key);
}

static int bucket_restore_row(void *arg, const struct bucket_row *row)
{
    struct bucket *b = arg, saved = {0};
    if (row->bucket != b->number)
        return 0;
    int r = bucket_decode(row, &saved);
    if (r < 0) {
        attrs_done(&saved.tags);
        return r;
    }
    attrs_done(&b->tags);
    bucket_take_settings(b, &saved);
    return 1;
}

void bucket_restore(struct engine *e, struct bucket *b)
{
    int r = e->meta_ops->bucket_scan(e->m, bucket_restore_row, b);
    if (r >= 0)
        r = iam_bucket_restore(e, b);
    if (r < 0)
        log_error("bucket '%s' may show settings that were not saved: %s", b->name, strerror(-r));
}

void buckets_unload(struct engine *e)
{
    for (size_t i = 0; i < e->bucket_count; i++)
        bucket_free(e->buckets[i]);
    while (e->dead_buckets) {
        struct bucket *b = e->dead_buckets;
        e->dead_buckets = b->dead_next;
        bucket_free(b);
    }
    free(e->buckets);
    e->buckets = NULL;
    e->bucket_count = 0;
}

int engine_bucket_find(struct engine *e, const char *name, size_t len, uint32_t *ret_bucket, uint64_t *ret_root_ino)
{
    LOCK_SCOPE(&e->meta);
    struct bucket *b = bucket_by_name(e, name, len);
    if (!b)
        return -ENOENT;
    *ret_bucket = b->number;
    *ret_root_ino = b->root_ino;
    return 0;
}

static int bucket_next_number(struct engine *e, uint32_t *ret)
{
    struct span value;
    uint32_t last = 0;
    int r = e->meta_ops->value_get(e->m, "bucket.last", &value);
    if (r == 0 && value.len == 4)
        memcpy(&last, value.p, 4);
    else if (r < 0 && r != -ENOENT)
        return r;
    last = __builtin_bswap32(last) + 1;
    *ret = last;
    last = __builtin_bswap32(last);
    return e->meta_ops->value_put(e->m, "bucket.last", span_of(&last, 4));
}

static int bucket_write_new(struct engine *e, struct caller *c, struct bucket *b, uint32_t mode)
{
    int r = bucket_next_number(e, &b->number);
    if (r == 0)
        r = keyring_bucket_new(e, b);
    if (r == 0)
        r = bucket_save(e, b);
    if (r == 0)
        r = bucket_block_set(e, b, BLOCK_ALL); /* auth.md §4.8: of new buckets, from either front */
    if (r == 0)
        r = e->meta_ops->tree_put(
            e->m, &(struct tree_row){.bucket = b->number, .key = span_of("", 0), .ino = b->root_ino, .kind = TREE_DIR});
    struct record record = {.mode = S_IFDIR | (mode & 07777), .uid = c->uid, .gid = c->gid, .generation = 1};
    if (c->uid == NO_UID)
        record.uid = record.gid = e->conf.owner_uid;
    record.mtime = record.ctime = record.btime = instant_of_ns(b->created_ns);
    principal_arn(&c->principal, record.made_by);
    if (r == 0)
        r = dir_row_put(e, b->number, span_of("", 0), b->root_ino, &record);
    return trail_also(e, c, r, &(struct trail_event){
                                   .name = "CreateBucket",
                                   .bucket = b,
                                   .params = json_pack("{s:b, s:s}", "objectLock", b->object_lock, "versioning",
                                                       b->versioning == VERSIONING_ENABLED ? "Enabled" : "Unversioned"),
                               });
}

/* CreateBucket, and what its settings need (auth.md §4.6). */
static int bucket_may_create(struct engine *e, struct caller *c, const char *name, const struct bucket_options *options)
{
    struct may m = {.bucket = name, .own = true};
    int r = engine_may_with(e, c, "s3:CreateBucket", NULL, span_of(NULL, 0), &m);
    if (r == 0 && options->object_lock)
        r = engine_may_with(e, c, "s3:PutBucketObjectLockConfiguration", NULL, span_of(NULL, 0), &m);
    if (r == 0 && options->object_lock)
        r = engine_may_with(e, c, "s3:PutBucketVersioning", NULL, span_of(NULL, 0), &m);
    if (r == 0 && options->sse)
        r = engine_may_with(e, c, "s3:PutEncryptionConfiguration", NULL, span_of(NULL, 0), &m);
    if (r == 0 && options->acl)
        r = engine_may_with(e, c, "s3:PutBucketAcl", NULL, span_of(NULL, 0), &m);
    if (r == 0 && options->ownership_sent)
        r = engine_may_with(e, c, "s3:PutBucketOwnershipControls", NULL, span_of(NULL, 0), &m);
    return r;
}

int bucket_create(struct engine *e, struct caller *c, const char *name, size_t len, uint32_t mode,
                  const struct bucket_options *options, struct bucket **ret)
{
    if (!bucket_name_valid(name, len, &c->reason))
        return -EINVAL;
    struct bucket *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    memcpy(b->name, name, len);
    int r = bucket_may_create(e, c, b->name, options);
    if (r == 0 && bucket_by_name(e, name, len))
        r = reason_fail_s3(&c->reason, EEXIST, "BucketAlreadyExists", "bucket '%s' exists", b->name);
    if (r < 0) {
        free(b);
        return r;
    }
    uuid_random(b->uuid);
    b->root_ino = e->next_ino++;
    b->created_ns = clock_wall_ns();
    snprintf(b->account, sizeof b->account, "%s", c->principal.account[0] ? c->principal.account : e->conf.account_id);
    b->versioning = options->unversioned ? VERSIONING_UNVERSIONED : VERSIONING_ENABLED;
    b->object_lock = options->object_lock;
    b->settle_s = e->settle_default_s;
    b->orphan_keep_s = 86400;
    b->sse_mode = options->sse ? options->sse->mode : ENVELOPE_SSE_S3;
    if (options->sse) {
        b->sse_bucket_key = options->sse->bucket_key;
        b->sse_c_blocked = options->sse->block;
        memcpy(b->sse_key, options->sse->key, sizeof b->sse_key);
    }
    r = txn_begin(e);
    if (r == 0) {
        r = bucket_write_new(e, c, b, mode);
        r = txn_end(e, r < 0 ? r : ownership_put(e, b->number, options->ownership));
    }
    if (r == 0)
        r = bucket_list_add(e, b);
    if (r < 0) {
        bucket_free(b);
        return r;
    }
    struct bytes names = {0}; /* nobody knows a name in it yet */
    iam_by_key_refresh(e, &names);
    bytes_done(&names);
    *ret = b;
    return 0;
}

/* CreateBucket of one's own bucket, asking for nothing that is not so (s3-api.md §3). M */
static bool bucket_is_so(struct engine *e, struct caller *c, const char *name, const struct bucket_options *o)
{
    const struct bucket *b = bucket_by_name(e, name, strlen(name));
    return b && strcmp(b->account, c->principal.account) == 0 && b->object_lock == o->object_lock;
}

int engine_bucket_create(struct engine *e, struct caller *c, const char *name, const json_t *options)
{
    struct bucket_options o = {
        .unversioned = json_is_true(json_object_get(options, "unversioned")),
        .object_lock = json_is_true(json_object_get(options, "object-lock")),
        .acl = json_is_true(json_object_get(options, "acl")),
        .ownership_sent = json_is_true(json_object_get(options, "ownership-sent")),
        .ownership = (enum engine_ownership)json_integer_value(json_object_get(options, "ownership")),
    };
    const char *encryption = json_string_value(json_object_get(options, "encryption"));
    struct sse_config sse;
    if (encryption) {
        int bad = bucket_encryption_parse(encryption, strlen(encryption), &sse, &c->reason);
        if (bad < 0)
            return bad;
        if (!sse.mode)
            sse.mode = ENVELOPE_SSE_S3;
        o.sse = &sse;
    }
    if (o.unversioned && o.object_lock)
        return reason_fail_s3(&c->reason, EINVAL, "InvalidBucketState",
                              "object lock needs versioning: leave out --unversioned or --object-lock");
    int r;
    {
        LOCK_SCOPE(&e->meta);
        struct bucket *b;
        r = bucket_create(e, c, name, strlen(name), 0755, &o, &b);
        if (r == -EEXIST && json_is_true(json_object_get(options, "again")) && bucket_is_so(e, c, name, &o))
            return 0;
    }
    if (r == 0 && e->watcher)
        e->watcher->entry_changed(e->watcher->arg, ENGINE_ROOT_INO, name, strlen(name));
    return r == 0 ? durable_advance(e) : r;
}

static int bucket_stop_scan(void *arg, const struct tree_row *row)
{
    if (!row->key.len)
        return 0;
    *(bool *)arg = true;
    return 1;
}

/* DeleteBucket: nothing may be left; the words count what is, and name the command that shows it. */
static int bucket_check_empty(struct engine *e, struct caller *c, struct bucket *b)
{
    uint64_t objects = 0, markers = 0;
    bool names = false;
    int r = e->meta_ops->version_count(e->m, b->number, &objects, &markers);
    if (r == 0)
        r = e->meta_ops->tree_scan(e->m, b->number, span_of("", 0), true, bucket_stop_scan, &names);
    if (r < 0)
        return r;
    if (!objects && !markers && !names)
        return 0;
    return reason_fail_s3(&c->reason, ENOTEMPTY, "BucketNotEmpty",
                          "bucket '%s' is not empty: %llu versions and %llu delete markers%s are left; "
                          "'ls -R %s/.versions' or 'holdfs versions' shows them",
                          b->name, (unsigned long long)objects, (unsigned long long)markers,
                          names ? ", and files or directories" : "", b->name);
}

int bucket_remove(struct engine *e, struct caller *c, struct bucket *b)
{
    int r = engine_may(e, c, "s3:DeleteBucket", b, span_of("", 0));
    if (r == 0)
        r = bucket_check_empty(e, c, b);
    if (r < 0)
        return r;
    uint64_t root = b->root_ino;
    r = txn_begin(e);
    if (r < 0)
        return r;
    r = uploads_drop(e, c, b);
    if (r == 0)
        r = ownership_put(e, b->number, OWNERSHIP_ENFORCED);
    if (r == 0)
        r = e->meta_ops->tree_del(e->m, b->number, span_of("", 0));
    if (r == 0)
        r = e->meta_ops->inode_del(e->m, root);
    if (r == 0)
        r = keyring_bucket_destroy(e, b, UINT32_MAX, &(unsigned){0});
    if (r == 0)
        r = epoch_note_destroyed(e);
    if (r == 0)
        r = iam_bucket_drop(e, b);
    if (r == 0)
        r = gone_drop_bucket(e, b);
    if (r == 0)
        r = e->meta_ops->bucket_del(e->m, b->number);
    r = txn_end(e, trail_also(e, c, r, &(struct trail_event){.name = "DeleteBucket", .bucket = b}));
    if (r < 0)
        return r;
    for (size_t i = 0; i < e->bucket_count; i++) {
        if (e->buckets[i] == b) {
            memmove(&e->buckets[i], &e->buckets[i + 1], (e->bucket_count - i - 1) * sizeof *e->buckets);
            e->bucket_count--;
            break;
        }
    }
    /* Handles on files unlinked before may still point to it: it is freed with the engine. */
    b->dead_next = e->dead_buckets;
    e->dead_buckets = b;
    inode_forget(e, root);
    return 0;
}
