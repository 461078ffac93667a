/* SPDX-License-Identifier: GPL-3.0-or-later
 * The engine's part for S3 (s3-api.md): buckets, objects, listings and uploads by key. Included by engine/engine.h, after all it needs.
 *
 * Any key of UTF-8 bytes, also those the mount cannot show (mount.md §2). Each call judges its S3 action itself and looks at its
 * conditions in the transaction that acts; what it changed is durable when it returns (E6) and the mount knows of it.
 * c->reason.code is S3's error code wherever the errno alone does not say it. */
#ifndef HOLDFS_ENGINE_BY_KEY_H
#define HOLDFS_ENGINE_BY_KEY_H

#include "engine/engine.h"
#include "util/checksum.h"

/* Who signed a request, instead of a uid. */
void engine_caller_sign(struct engine *e, struct caller *c, const struct principal *p);
/* May the caller do that to this key ("": the bucket; bucket 0: the store)? For a front that must ask before it looks at parameters. */
int engine_key_may(struct engine *e, struct caller *c, const char *action, uint32_t bucket, struct span key);
bool engine_key_could(struct engine *e, struct caller *c, const char *action, uint32_t bucket, struct span key); /* nothing is said to the caller */

struct engine_bucket {
    uint32_t number;
    uint64_t root_ino;
    char name[64], account[13], owner_id[65], owner_name[256]; /* of the account: canonical id, display name */
    int64_t created_ns;
    bool versioned, object_lock; /* it is or was versioned: version ids are shown */
    bool blocks_public_acls;
};
/* Without a row it is BucketOwnerEnforced. c NULL: not judged. */
enum engine_ownership { OWNERSHIP_ENFORCED, OWNERSHIP_PREFERRED, OWNERSHIP_WRITER, OWNERSHIP_NONE };
int engine_ownership_get(struct engine *e, struct caller *c, uint32_t bucket, enum engine_ownership *ret);
int engine_ownership_set(struct engine *e, struct caller *c, uint32_t bucket, enum engine_ownership ownership);
int engine_bucket_get(struct engine *e, const char *name, size_t len, struct engine_bucket *ret); /* -ENOENT NoSuchBucket is the caller's */
/* owner_id and owner_name of the caller's account. */
int engine_account_owner(struct engine *e, struct caller *c, struct engine_bucket *ret);
bool engine_bucket_name_valid(const char *name, size_t len, struct reason *reason); /* S3's naming rules; InvalidBucketName */
/* GetBucketPolicyStatus: is its policy public (auth.md §4.8)? */
int engine_bucket_is_public(struct engine *e, struct caller *c, uint64_t root_ino, bool *ret);
/* The caller's account's buckets after the name `after`, by name: s3:ListAllMyBuckets. 0 go on, 1 stop; meta lock held. */
typedef int engine_bucket_fn(void *arg, const struct engine_bucket *b);
int engine_buckets(struct engine *e, struct caller *c, const char *after, engine_bucket_fn *fn, void *arg);

/* A named value of an object. */
enum engine_value_kind {
    ENGINE_VALUE_HEADER = 'h', /* "content-type", "storage-class", ... */
    ENGINE_VALUE_META = 'm',   /* x-amz-meta-NAME, lower case */
    ENGINE_VALUE_TAG = 't',
    ENGINE_VALUE_FACT = 'f',   /* "checksum-CRC32" and "checksum-type" as text, "parts" packed */
};
struct engine_value {
    char kind; /* enum engine_value_kind */
    const char *name;
    size_t name_len;
    const void *value;
    size_t len;
};

/* What stands at a key. */
struct engine_object {
    struct engine_version version;
    bool marker, has_id;  /* has_id: its bucket is or was versioned, so that its id is shown */
    bool locks;           /* its bucket has object lock */
    struct bytes values;  /* packed */
    const char *sse;      /* "AES256", "aws:kms"; NULL: a customer's key, or nothing */
    char sse_key[160];    /* ARN, of aws:kms */
    bool sse_bucket_key;
};
void engine_object_done(struct engine_object *o);
bool engine_object_next(const struct engine_object *o, size_t *at, struct engine_value *ret); /* start with *at = 0 */
bool engine_object_value(const struct engine_object *o, char kind, const char *name, struct engine_value *ret);

/* The header form of a tag set, `k=v&k2`, packed like an object's values. InvalidArgument, InvalidTag. */
int engine_tags_read(const char *text, size_t len, struct bytes *ret, struct reason *reason);

/* As sent; NULL, or INT64_MIN, where not sent or not readable. */
struct engine_conditions {
    const char *if_match, *if_none_match; /* ETags, lists, or "*" */
    int64_t modified_since_s, unmodified_since_s;
    int64_t size_bytes, modified_s; /* deletes: the version's own */
    const char *failed;             /* out: the header that failed, a constant */
};
#define ENGINE_UNCONDITIONAL                                                                                        \
    {                                                                                                               \
        .modified_since_s = INT64_MIN, .unmodified_since_s = INT64_MIN, .size_bytes = INT64_MIN, .modified_s = INT64_MIN \
    }

/* The object (version_id NULL: current), and its content as a handle (ret NULL: not wanted; engine_release() it). -ENOENT NoSuchKey
 * or NoSuchVersion; for a delete marker *object is filled too. Conditions: -EAGAIN code "NotModified", -EEXIST PreconditionFailed;
 * *object is filled then as well. engine_object_done() in every case. */
int engine_object_open(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *version_id,
                       struct engine_conditions *conditions, struct engine_object *object, struct engine_handle **ret);

/* The same for something else than reading: `action` is judged in place of s3:GetObject. A delete marker is 405 for any. */
int engine_object_find(struct engine *e, struct caller *c, const char *action, uint32_t bucket, struct span key, const char *version_id,
                       struct engine_object *object);

struct engine_put_params {
    uint32_t bucket;
    struct span key;
    const struct engine_value *values; /* headers, meta, tags */
    size_t value_count;
    enum checksum_kind checksum;
    struct engine_conditions *conditions; /* may be NULL */
    const char *lock_mode;                /* "GOVERNANCE", "COMPLIANCE" or NULL */
    int64_t lock_until_ms;
    const char *legal_hold;               /* "ON", "OFF" or NULL */
};
struct engine_sums {
    uint64_t size_bytes;
    uint8_t md5[16];
    enum checksum_kind kind;
    uint8_t checksum[CHECKSUM_MAX_BYTES];
};
/* New content on its way to a key; nobody sees it before it is published, and nothing is left of it when it is freed. One thread at a
 * time. begin: judged, conditions looked at; the params are copied. */
struct engine_put;
int engine_put_begin(struct engine *e, struct caller *c, const struct engine_put_params *params, struct engine_put **ret);
int engine_put_write(struct engine_put *p, const void *buf, size_t len);
void engine_put_sums(struct engine_put *p, struct engine_sums *ret); /* after the last write */
int engine_put_publish(struct engine_put *p, struct caller *c, struct engine_object *ret); /* engine_object_done() in every case */
void engine_put_free(struct engine_put *p); /* NULL is accepted */

struct engine_deleted {
    bool has_id;    /* `id` names what was made or removed */
    bool marker;    /* a delete marker was made, or is what was removed */
    char id[33];
};
int engine_object_delete(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *version_id,
                         struct engine_conditions *conditions, struct engine_deleted *ret);

struct engine_delete_item {
    struct span key;
    const char *version_id; /* NULL: not */
    struct engine_conditions conditions;
    struct engine_deleted deleted; /* out */
    int error;                     /* out: 0 or negative errno, with: */
    char code[48], text[512];
};
/* DeleteObjects: each judged and deleted for itself, in order; durable together. Fails as a whole only where nothing could be made
 * durable. */
int engine_objects_delete(struct engine *e, struct caller *c, uint32_t bucket, struct engine_delete_item *items, size_t count);

/* CopyObject: frames are shared. */
struct engine_copy {
    uint32_t bucket; /* of the source */
    struct span key;
    const char *version_id;
    struct engine_conditions conditions; /* of the source */
    bool replace_values, replace_tags;   /* those in `to` instead of the source's */
    bool changes;                        /* something else is asked to be different: onto itself it may go */
    struct engine_put_params to;         /* checksum: CHECKSUM_NONE keeps the source's */
};
int engine_copy(struct engine *e, struct caller *c, struct engine_copy *copy, struct engine_object *ret, struct engine_object *ret_source);

/* A page of a listing, in the order of key bytes. A key that holds `delimiter` behind the prefix is rolled up. */
struct engine_listing {
    uint32_t bucket;
    struct span prefix, delimiter, after; /* behind this key, or rolled-up prefix */
    const char *after_version;            /* with `versions`: behind this version of it; NULL: behind all of them */
    bool versions;                        /* all versions and delete markers (s3:ListBucketVersions) */
    unsigned max;
};
struct engine_listed {
    struct span key;       /* of an object, or the rolled-up prefix */
    const struct engine_object *object; /* NULL: a prefix */
};
typedef int engine_listed_fn(void *arg, const struct engine_listed *item); /* 0, or a negative errno that ends it */
/* *ret_truncated: there is more behind the last item. */
int engine_list(struct engine *e, struct caller *c, const struct engine_listing *l, engine_listed_fn *fn, void *arg, bool *ret_truncated);

/* ---- multipart uploads (s3-api.md §10); NoSuchUpload where id, bucket and key do not belong together ---- */

enum { ENGINE_PARTS_MAX = 10000, ENGINE_UPLOAD_ID_CHARS = 32 };
/* params->checksum: declared, or CHECKSUM_NONE; type "COMPOSITE" or "FULL_OBJECT", NULL: the algorithm's default. */
int engine_upload_create(struct engine *e, struct caller *c, const struct engine_put_params *params, const char *type,
                         char ret_id[ENGINE_UPLOAD_ID_CHARS + 1]);
/* Then engine_put_write(), _sums(), _publish(), as of an object; what _publish() returns has the part's ETag. `sent`: the checksum that
 * comes with it. */
int engine_part_begin(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, unsigned number,
                      enum checksum_kind sent, struct engine_put **ret);
/* UploadPartCopy; bytes UINT64_MAX: the whole source. */
int engine_part_copy(struct engine *e, struct caller *c, struct engine_copy *copy, const char *id, unsigned number, uint64_t from,
                     uint64_t bytes, struct engine_object *ret, struct engine_object *ret_source);
struct engine_upload {
    char id[ENGINE_UPLOAD_ID_CHARS + 1];
    struct span key;
    int64_t initiated_ns;
    char initiator[128]; /* ARN */
    enum checksum_kind checksum;
    const char *type;    /* "COMPOSITE", "FULL_OBJECT", or NULL */
    char storage_class[32];
};
struct engine_part {
    unsigned number;
    uint64_t size_bytes;
    int64_t modified_ns;
    char etag[72];
    enum checksum_kind checksum;
    char checksum_text[CHECKSUM_TEXT_BYTES];
};
struct engine_complete {
    uint32_t bucket;
    struct span key;
    const char *id;
    const struct engine_part *parts; /* number, etag, and where sent checksum and checksum_text */
    size_t count;
    int64_t size_bytes;              /* as claimed; -1: not */
    enum checksum_kind checksum;     /* claimed of the whole, with: */
    const char *checksum_text, *type; /* NULL: not */
    struct engine_conditions conditions;
};
int engine_upload_complete(struct engine *e, struct caller *c, struct engine_complete *complete, struct engine_object *ret);
/* initiated_s INT64_MIN: any. */
int engine_upload_abort(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, int64_t initiated_s);
typedef int engine_part_fn(void *arg, const struct engine_part *part);
int engine_upload_parts(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, unsigned after, unsigned max,
                        engine_part_fn *fn, void *arg, struct engine_upload *ret, bool *ret_truncated);
/* In the order of keys, then of initiation; rolled up like engine_list(): upload NULL, then key is a prefix. after_version: an
 * upload's id; NULL: behind all of the key `after`. */
typedef int engine_upload_fn(void *arg, struct span key, const struct engine_upload *upload);
int engine_uploads(struct engine *e, struct caller *c, const struct engine_listing *l, engine_upload_fn *fn, void *arg, bool *ret_truncated);
/* What Complete made of parts: their count, 0 for an object that came whole; the part of that number, or its index for number 0. */
unsigned engine_object_parts(const struct engine_object *o);
bool engine_object_part(const struct engine_object *o, unsigned index, unsigned *ret_number, uint64_t *ret_offset, struct engine_part *ret);

/* A MAC under a key of the store that no other purpose has: what was handed out is known again. */
void engine_mac(struct engine *e, const char *purpose, const void *data, size_t len, uint8_t out[16]);

#endif
