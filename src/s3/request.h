/* SPDX-License-Identifier: GPL-3.0-or-later
 * One request on its way, and what the files of this room share.
 *
 * The connection's thread (server.c) copies what came into `message` and moves bytes; everything that may wait (the engine, hashing,
 * the disk) happens in a worker, one at a time for a request, while the connection is suspended. So no field needs a lock.
 *
 * To add a call: its functions in the file of its resource, declared below, and one line in operations[] of route.c;
 * tests/e2e/s3-*.py tell the story. */
#ifndef HOLDFS_S3_REQUEST_H
#define HOLDFS_S3_REQUEST_H

#include "engine/engine.h"
#include "s3/chunked.h"
#include "s3/message.h"
#include "s3/s3_front.h"
#include "s3/sigv4.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/secret.h"
#include "util/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct request;

enum request_level { LEVEL_SERVICE, LEVEL_BUCKET, LEVEL_OBJECT };
enum request_body {
    BODY_NONE,     /* what comes all the same is dropped */
    BODY_DOCUMENT, /* gathered in request.document */
    BODY_CONTENT,  /* goes to request.put as it comes; aws-chunked is possible */
};

/* A call. */
struct operation {
    const char *name;      /* "PutObject" */
    const char *method;
    enum request_level level;
    const char *query;     /* a parameter that must be there, or NULL */
    const char *header;    /* the same of a header */
    const char *action;    /* judged before parameters are looked at; NULL: judged by run alone */
    const char *version_action; /* the same where versionId is sent; NULL: as action */
    enum request_body body;
    int (*begin)(struct request *q); /* before the body; NULL: nothing to do */
    int (*run)(struct request *q);   /* all of the body is there: fills the answer */
};

/* How it was signed (authenticate.c). */
struct signature {
    enum { SIGNED_NOT, SIGNED_HEADER, SIGNED_QUERY, SIGNED_QUERY_V2 } form;
    struct sigv4_scope scope;
    uint8_t key[SIGV4_KEY_BYTES];
    char hex[SIGV4_HEX_CHARS + 1];
    char key_id[129];
    char age_ms[24];
};

enum { REQUEST_VALUES = 48, REQUEST_PIECE_BYTES = 1 << 20, REQUEST_DOCUMENT_BYTES = 8 << 20, REQUEST_DROP_BYTES = 1 << 20 };

struct request {
    struct s3_front *front;
    struct engine *engine;
    struct message message;
    char address[48];      /* of the client */
    bool tls;
    char id[17], host_id[33];
    struct caller caller;
    struct caller_sse sse;
    struct caller_request seen; /* for the audit trail */
    struct signature signature;
    struct auth_value values[REQUEST_VALUES];
    size_t value_count;
    struct pairs kept;     /* decoded texts that values point to */
    const struct operation *operation;
    struct engine_bucket bucket;
    bool has_bucket;
    struct span key;
    const char *version_id;

    /* the body that comes */
    const char *content_sha256; /* as sent, or NULL */
    bool sized;                 /* its length was announced: */
    uint64_t length;
    uint64_t received;          /* bytes off the wire */
    bool streaming;             /* aws-chunked */
    struct chunked chunked;
    struct checksum sha256;     /* of the payload, where its hash is known */
    struct bytes document;
    struct engine_put *put;
    enum checksum_kind checksum;
    char checksum_claim[128];   /* Base64, from a header; "" none */

    /* the answer */
    unsigned status;
    struct pairs out_headers;
    struct bytes out;           /* the body */
    struct bytes elements;      /* further elements of an error */
    struct engine_handle *handle; /* or the content, from here: */
    uint64_t handle_offset, handle_bytes;
    bool close;                 /* the connection, after it */
    bool head;                  /* no body goes out */
};

/* ---- request.c: the way of a request, called by workers ---- */
void request_begin(struct request *q);  /* after it, status is set when the answer stands already */
void request_body(struct request *q, const void *bytes, size_t len);
void request_finish(struct request *q);
void request_done(struct request *q);
bool request_takes_body(const struct request *q);

/* ---- error.c ---- */
/* -EINVAL (or what fits the code) with a sentence. */
int fail(struct request *q, const char *code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int fail_argument(struct request *q, const char *name, const char *value, const char *text); /* InvalidArgument */
void error_element(struct request *q, const char *name, const char *value);
void error_answer(struct request *q, int error); /* status and document, from caller.reason or the errno */
unsigned error_status(const char *code); /* 0: unknown */

/* ---- authenticate.c ---- */
int authenticate(struct request *q);
int authenticate_v2(struct request *q); /* authenticate_v2.c: Signature Version 2 in the query */

/* ---- route.c ---- */
int route(struct request *q); /* operation, or 405, 501 */
bool route_is_subresource(const char *name);

/* ---- context.c: what policies see (auth.md §4.3) ---- */
void context_fill(struct request *q);
void context_add(struct request *q, enum auth_key key, const char *tag, const char *text);

/* ---- answer.c: headers, XML ---- */
void answer_header(struct request *q, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void answer_object(struct request *q, const struct engine_object *o); /* version id, ETag, Last-Modified... */
void answer_version(struct request *q, bool has_id, const char *id);
void http_date(int64_t seconds, char out[40]);
int64_t http_date_parse(const char *text); /* INT64_MIN: not readable, or NULL */
void xml_open(struct request *q, const char *root); /* declaration and root with S3's namespace */
void xml_close(struct request *q, const char *root);
void xml_text_element(struct request *q, const char *name, const char *text);
void xml_bytes_element(struct request *q, const char *name, const void *text, size_t len);
void xml_number_element(struct request *q, const char *name, uint64_t n);
void xml_time_element(struct request *q, const char *name, int64_t ns);
void xml_owner(struct request *q, const char *element);
void xml_etag_element(struct request *q, const char *etag);

/* ---- integrity.c: what a body was said to be (s3-api.md §2) ---- */
int integrity_begin(struct request *q); /* reads the headers */
int integrity_check(struct request *q, const struct engine_sums *sums); /* content against what was claimed */
int integrity_document(struct request *q); /* the same of a document */

/* ---- parameters.c ---- */
void read_read_conditions(struct request *q, const char *prefix, struct engine_conditions *ret); /* prefix "" or "x-amz-copy-source-" */
int read_write_conditions(struct request *q, struct engine_conditions *ret);
int read_delete_conditions(struct request *q, struct engine_conditions *ret);
/* What PutObject's headers say of the object: put_values_done() it. */
struct put_values {
    struct pairs texts;
    struct engine_value *v;
    size_t count, cap;
};
void put_values_done(struct put_values *p);
int read_object_headers(struct request *q, struct put_values *p); /* content headers and meta */
int read_object_labels(struct request *q, struct put_values *p);  /* storage class, redirect, and what is not offered */
int read_object_tags(struct request *q, struct put_values *p);
int read_lock_headers(struct request *q, struct engine_put_params *params);
void read_bypass(struct request *q); /* into caller.bypass_governance, for the calls that may */
int read_new_object(struct request *q, struct put_values *p, struct engine_put_params *params); /* the four; params borrows p's */
int read_algorithm(struct request *q, enum checksum_kind *ret); /* x-amz-checksum-algorithm; CHECKSUM_NONE: not sent */
int read_count(struct request *q, const char *name, unsigned most, unsigned *ret); /* max-keys and the like: default and cap `most` */
void answer_values(struct request *q, const struct engine_object *o); /* the same, going out */

/* ---- the calls, by resource ---- */
int list_buckets(struct request *q);
int create_bucket(struct request *q);
int delete_bucket(struct request *q);
int head_bucket(struct request *q);
int get_bucket_location(struct request *q);
int list_objects(struct request *q);
int list_objects_v2(struct request *q);
void answer_failed_condition(struct request *q, const struct engine_conditions *c);
void answer_checksums(struct request *q, const struct engine_object *o);
int put_object_begin(struct request *q);
int put_object(struct request *q);
int get_object(struct request *q);
int delete_object(struct request *q);
int copy_object(struct request *q);
void xml_checksums(struct request *q, const struct engine_object *o);
int delete_objects(struct request *q);
int list_versions(struct request *q);
int create_upload(struct request *q);
int upload_part_begin(struct request *q);
int upload_part(struct request *q);
int upload_part_copy(struct request *q);
int complete_upload(struct request *q);
int abort_upload(struct request *q);
int list_parts(struct request *q);
int list_uploads(struct request *q);
int get_object_attributes(struct request *q);
int get_object_tagging(struct request *q);
int put_object_tagging(struct request *q);
int delete_object_tagging(struct request *q);
int get_object_retention(struct request *q);
int put_object_retention(struct request *q);
int get_object_legal_hold(struct request *q);
int put_object_legal_hold(struct request *q);
int get_object_acl(struct request *q);
int get_bucket_acl(struct request *q);
int put_acl(struct request *q);
int read_mfa(struct request *q, const char *text);
int get_subresource(struct request *q);
int put_subresource(struct request *q);
int delete_subresource(struct request *q);
int get_policy_status(struct request *q);
int get_ownership(struct request *q);
int put_ownership(struct request *q);
int delete_ownership(struct request *q);
int ownership_find(const char *text, enum engine_ownership *ret); /* -EINVAL */
int judge_acl(struct request *q); /* what ACL headers ask for */
int judge_object_sse(struct request *q, const struct engine_object *o);
void answer_sse(struct request *q, const struct engine_object *o);
int get_absent(struct request *q);
int put_absent(struct request *q);
int delete_absent(struct request *q);
int get_torrent(struct request *q);
int post_restore(struct request *q);

#endif
