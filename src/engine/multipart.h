/* SPDX-License-Identifier: GPL-3.0-or-later
 * Rows of multipart uploads, for multipart*.c. Private to src/engine.
 *
 * Keys: UPLOAD_BYTE, a letter, the id, then for UPLOAD_HEAD and UPLOAD_DONE the object's key, for UPLOAD_PART five digits. */
#ifndef HOLDFS_ENGINE_MULTIPART_H
#define HOLDFS_ENGINE_MULTIPART_H

#include "engine/object.h"

enum {
    UPLOAD_BYTE = 0xff, /* no UTF-8 begins so: no key of an object does */
    UPLOAD_HEAD = 'u',
    UPLOAD_PART = 'p',
    UPLOAD_DONE = 'd',
    UPLOAD_PREFIX_BYTES = 2 + ENGINE_UPLOAD_ID_CHARS,
};

struct upload_key {
    size_t len;
    uint8_t p[4096];
};
bool upload_nameable(struct span key, const char *id); /* what a request names: may there be an upload of it? Asked before its rows are */
void upload_head_key(struct upload_key *k, char kind, const char *id, struct span key);
void upload_part_key(struct upload_key *k, const char *id, unsigned number);

int upload_missing(struct caller *c); /* NoSuchUpload */
int upload_row_load(struct engine *e, uint32_t bucket, const struct upload_key *k, struct version *ret); /* M; -ENOENT */
int upload_row_store(struct engine *e, struct caller *c, const struct bucket *b, const struct upload_key *k, struct record *record,
                     int64_t publish_ns);                                                                  /* M, txn */
int upload_row_remove(struct engine *e, struct caller *c, uint32_t bucket, const struct upload_key *k);    /* M, txn; fine if none */
int upload_rows_drop(struct engine *e, struct caller *c, uint32_t bucket, struct span prefix);             /* M, txn */
int upload_load(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, struct version *ret); /* its head; M */
int upload_drop(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id);     /* M, txn: head and parts */
void upload_fact(const struct attrs *a, const char *name, char *out, size_t cap);                          /* "" none */
enum checksum_kind upload_declared(const struct attrs *a, const char **ret_type);
/* sent NULL: the content is copied, its checksum ours to make. */
int part_begin(struct engine *e, struct caller *c, uint32_t bucket, struct span key, const char *id, unsigned number,
               const enum checksum_kind *sent, bool *ret_declared, struct engine_put **ret);
int part_commit(struct engine_put *p, struct caller *c, struct record *record, struct engine_object *ret);
/* The checksum a part has, of that kind; "" none. */
void part_checksum(const struct attrs *a, enum checksum_kind kind, char out[CHECKSUM_TEXT_BYTES]);

#endif
