/* SPDX-License-Identifier: GPL-3.0-or-later
 * What object*.c and multipart.c share: objects by key, as S3 has them. Private to src/engine. */
#ifndef HOLDFS_ENGINE_OBJECT_H
#define HOLDFS_ENGINE_OBJECT_H

#include "engine/kms.h"
#include "engine/lock.h"

int ownership_put(struct engine *e, uint32_t bucket, enum engine_ownership ownership); /* M, txn */
int object_no_bucket(struct caller *c);
/* "There is none", for who may list; AccessDenied for who may not (auth.md §0). M */
int object_missing(struct engine *e, struct caller *c, const struct bucket *b, struct span key);
int object_missing_version(struct engine *e, struct caller *c, const struct bucket *b, struct span key);
/* The current version (id NULL; a marker too) or the named one. -ENOENT without words; -EINVAL InvalidArgument. M* */
int object_find(struct engine *e, struct caller *c, const struct bucket *b, struct span key, const char *id, struct version *ret);
void object_tell_sse(const struct envelope *env, struct engine_object *ret);
int object_fill(struct engine *e, const struct bucket *b, struct version *v, bool latest, struct engine_object *ret); /* M */
/* The version's content as a handle that needs no name. Without M; the pin is taken over. */
/* env, kek: what it is under, open (sse_open()); taken over. */
int object_handle(struct engine *e, struct caller *c, const struct bucket *b, struct gc_pin *pin, struct envelope *env, struct data_key *kek,
                  uint64_t size, struct engine_handle **ret);
int object_pin(struct engine *e, const struct version *v, struct gc_pin *pin); /* M */
/* After a transaction that changed something: durable, and the mount has been told. */
int object_settle(struct engine *e);

/* ---- object_conditions.c: pure (s3-api.md §5) ---- */
/* The version, or v NULL: there is none. 0, -ECANCELED with code NotModified or PreconditionFailed, -ENOENT NoSuchKey. */
int condition_read(struct engine_conditions *c, const struct version *v, struct reason *reason);
int condition_write(struct engine_conditions *c, const struct version *v, struct reason *reason);
int condition_delete(struct engine_conditions *c, const struct version *v, struct reason *reason);

/* ---- object_put.c ---- */
struct engine_put {
    struct engine *engine;
    struct engine_put *prev, *next; /* among those on their way; puts_lock */
    uint32_t bucket_number;
    const struct bucket *bucket; /* lives as long as the engine */
    uint8_t *key;
    size_t key_len;
    struct attrs attrs;
    struct engine_conditions conditions;
    char *if_match, *if_none_match;
    bool conditional;
    struct version_lock lock;
    bool locks;
    pthread_mutex_t lock_map; /* the map, against a mark that runs */
    struct extmap *map;
    struct content_key *data_key;
    struct extmap_dek wrapped;
    struct envelope *env; /* what its data keys are wrapped under; NULL: the bucket's key */
    struct data_key *kek;
    uint8_t *buffer; /* the tail that is no whole unit yet */
    size_t buffered;
    struct checksum md5, checksum, extra; /* extra: CRC64NVME of a part beside what came with it */
    uint8_t extra_sum[CHECKSUM_MAX_BYTES];
    struct engine_sums sums;
    bool ended;
    char upload_id[ENGINE_UPLOAD_ID_CHARS + 1]; /* "": an object */
    unsigned part;
};
struct gc_mark;
void puts_mark(struct engine *e, struct gc_mark *m); /* what is on its way is alive */
/* The data keys of a map from that version into p's: wrapped for p's bucket and KEK. Both KEKs are open. */
int put_rewrap(struct engine_put *p, const struct bucket *from, const struct version *v, struct extmap *map);
/* The envelope that the upload began with becomes p's, opened (kms:Decrypt). M */
int put_follow_upload(struct engine_put *p, struct caller *c, const struct version *head);
int put_new(struct engine *e, const struct bucket *b, const struct engine_put_params *params, struct engine_put **ret);
/* All content in the map; the record of it. No locks held. */
int put_record(struct engine_put *p, struct record *ret);
/* Publishes the record under p's key in one transaction, with what else belongs into it; durable. */
struct put_hooks {
    int (*before)(struct engine_put *p, struct caller *c, struct bucket *b, void *arg); /* M, txn; NULL: nothing */
    int (*after)(struct engine_put *p, struct caller *c, struct bucket *b, const struct version *v, void *arg);
    void *arg;
};
int put_commit(struct engine_put *p, struct caller *c, struct record *record, const struct put_hooks *hooks, struct engine_object *ret);
int part_publish(struct engine_put *p, struct caller *c, struct engine_object *ret); /* multipart.c */
int uploads_drop(struct engine *e, struct caller *c, struct bucket *b);              /* multipart.c; M, txn: all of the bucket's */
/* The source of a copy: judged, conditions looked at, its content pinned; *v and *ret_kek (also on failure), *ret_object are the caller's. M* */
int copy_source(struct engine *e, struct caller *c, struct engine_copy *copy, const struct bucket **ret_bucket, struct version *v, struct gc_pin *pin,
                struct data_key **ret_kek, struct engine_object *ret_object);
/* Owner, group and mode of what comes over S3 (mount.md §2). M */
int object_owner(struct engine *e, const struct caller *c, const struct bucket *b, struct record *record);
int put_attrs(const struct engine_value *values, size_t count, struct attrs *ret);
int object_checksum_facts(struct attrs *attrs, enum checksum_kind kind, const uint8_t *sum, const char *type);
int object_may_put(struct engine *e, struct caller *c, const struct bucket *b, struct span key, const struct engine_put_params *params);
int object_lock_wanted(struct engine *e, struct caller *c, const struct bucket *b, const struct engine_put_params *params,
                       struct version_lock *ret, bool *ret_any); /* M */

#endif
