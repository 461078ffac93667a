/* SPDX-License-Identifier: GPL-3.0-or-later
 * Properties: everything S3 knows of a thing, by name (user.s3.NAME on the mount). Private to src/engine.
 *
 * To add one: write its functions in the property_*.c it belongs to, declare them below, and add its line to properties[] in
 * property.c (spec/README.md, "Attributes"); tests/unit/test_property_table.c notices a line that contradicts itself. */
#ifndef HOLDFS_ENGINE_PROPERTY_H
#define HOLDFS_ENGINE_PROPERTY_H

#include "engine/private.h"

enum property_where {
    ON_FILE = 1,    /* a live file: its current version, or its draft */
    ON_VERSION = 2, /* one version, by `.versions` or ?versionId */
    ON_MARKER = 4,
    ON_DIR = 8,
    ON_BUCKET = 16, /* a bucket's root, which is a directory as well */
    ON_ROOT = 32,   /* the mount's root */
    ON_OBJECT = ON_FILE | ON_VERSION,
    ON_ANY = ON_OBJECT | ON_MARKER | ON_DIR | ON_BUCKET | ON_ROOT,
};

enum property_flags {
    PROPERTY_COPYABLE = 1, /* listed: what a copy should carry */
    PROPERTY_PREFIX = 2,   /* the name goes on: `meta.` */
    PROPERTY_LOCK = 4,     /* needs a bucket with object lock; EISDIR on a directory, EOPNOTSUPP on a marker */
    PROPERTY_SEALS = 8,    /* setting it seals an open draft first */
    PROPERTY_DURABLE = 16, /* survives a power cut before set answers 0 */
    PROPERTY_MEMORY = 32,  /* lives in memory: no transaction, settable on a read-only store */
    PROPERTY_VERSIONS = 64, /* may be set on a version by name, too (others: EROFS) */
    PROPERTY_HIDDEN = 128, /* not part of `describe` */
    PROPERTY_CODE = 256,   /* an MFA code may stand in its value: it is taken out and spent first */
    PROPERTY_KEY = 512,    /* of an SSE-C version it is read with the customer's key alone (encryption.md §6) */
};

/* What is being set, as policies see it (auth.md §4.3). */
struct property_values {
    struct auth_value values[24];
    size_t count;
    char texts[10 * (128 + 256) * 4 + 128]; /* ten tags of four bytes a character, or a date */
    size_t used;
};

/* One call: what is asked, on what. */
struct property_call {
    struct engine *engine;
    struct caller *caller;
    const struct property *property;
    const char *rest;      /* behind a prefix; "" otherwise */
    unsigned where;        /* of the target */
    struct inode *inode;   /* live target; NULL for a version */
    struct bucket *bucket; /* NULL on the mount's root */
    struct version version; /* current one of a file, or the one named */
    bool has_version;      /* false: directories, files not yet published */
    bool is_current;
    bool by_key;           /* a version, but asked for as the current one of its key */
    bool changed_lock;     /* out: a lock was set or changed */
    const struct auth_value *values; /* what is being set, as policies see it (auth.md §4.3) */
    size_t value_count;
    struct bytes forget;   /* out: buckets whose names the kernel is to ask for anew */
    char notice[256];      /* out: words for last-error though the call succeeds */
};

struct property {
    const char *name;
    unsigned where, flags;
    const char *get_action, *set_action, *remove_action; /* NULL: nothing is asked */
    int (*get)(struct property_call *p, struct bytes *out); /* -ENODATA: there is none. M */
    /* M, in a transaction. text ends with a zero, holds none within. NULL: read-only, EPERM. */
    int (*set)(struct property_call *p, const char *text, size_t len);
    int (*remove)(struct property_call *p);
    /* Names of a prefix's present attributes, one after the other, zero-terminated, without the prefix. */
    int (*names)(struct property_call *p, struct bytes *out);
};

extern const struct property properties[];
extern const size_t property_count;
const struct property *property_find(const char *name, const char **ret_rest); /* NULL */
/* Up to four names like this one, ", " between; "" when none is near. */
void property_near(const char *name, char out[256]);

/* ---- property_target.c ---- */
int property_resolve(struct property_call *p, const struct engine_target *t); /* M */
void property_done(struct property_call *p);                                 /* M */
struct span property_key(const struct property_call *p);
const struct record *property_record(const struct property_call *p);
/* Does the property stand here, and may the caller? errno and words as retention.md §2.6 and mount.md §5 have it. */
int property_stands(struct property_call *p, bool get);
int property_may(struct property_call *p, const char *action);
/* 0 and the value, by all checks; -ENODATA. M. */
int property_get_checked(struct property_call *p, struct bytes *out);
/* Changes one named value of the target in place (value NULL: removes it): rows of all names, ctime, settle timer. M, txn. */
int property_attr_change(struct property_call *p, enum attr_kind kind, const char *name, const void *value, size_t len);
/* Replaces all named values of the target. M, txn. */
int property_attrs_replace(struct property_call *p, struct attrs *attrs);
/* Runs fn over the current version under each name of a live file, or over the version named. M, txn. */
typedef int property_version_fn(struct property_call *p, struct version *v, void *arg);
int property_each_version(struct property_call *p, property_version_fn *fn, void *arg);

/* ---- property_values.c ---- */
void property_values_read(const struct property_call *p, const char *text, size_t len, struct property_values *v); /* M */

/* ---- property_describe.c ---- */
int property_describe(struct property_call *p, struct bytes *out);

/* ---- property_facts.c ---- */
int get_version_id(struct property_call *p, struct bytes *out);
int get_etag(struct property_call *p, struct bytes *out);
int get_last_modified(struct property_call *p, struct bytes *out);
int get_is_latest(struct property_call *p, struct bytes *out);
int get_delete_marker(struct property_call *p, struct bytes *out);
int get_size_stored(struct property_call *p, struct bytes *out);
int get_made_by(struct property_call *p, struct bytes *out);
int get_sse(struct property_call *p, struct bytes *out);
int get_sse_key(struct property_call *p, struct bytes *out);
int get_sse_bucket_key(struct property_call *p, struct bytes *out);
int get_sse_customer(struct property_call *p, struct bytes *out);
int get_sse_customer_md5(struct property_call *p, struct bytes *out);
int property_needs_key(struct property_call *p); /* of an SSE-C version: has the caller its key? S3's HEAD asks */
int get_checksum(struct property_call *p, struct bytes *out);
int names_checksum(struct property_call *p, struct bytes *out);
int get_last_error(struct property_call *p, struct bytes *out);
int remove_last_error(struct property_call *p);
int get_shadowed(struct property_call *p, struct bytes *out);
int get_unshown_keys(struct property_call *p, struct bytes *out);

/* ---- property_meta.c ---- */
int get_header(struct property_call *p, struct bytes *out);
int set_header(struct property_call *p, const char *text, size_t len);
int set_redirect(struct property_call *p, const char *text, size_t len);
int remove_header(struct property_call *p);
int get_meta(struct property_call *p, struct bytes *out);
int set_meta(struct property_call *p, const char *text, size_t len);
int remove_meta(struct property_call *p);
int names_meta(struct property_call *p, struct bytes *out);
int get_tagging(struct property_call *p, struct bytes *out);
int set_tagging(struct property_call *p, const char *text, size_t len);
int remove_tagging(struct property_call *p);
int get_tag(struct property_call *p, struct bytes *out);
int set_tag(struct property_call *p, const char *text, size_t len);
int remove_tag(struct property_call *p);
int names_tag(struct property_call *p, struct bytes *out);

/* ---- property_lock.c ---- */
int get_retention(struct property_call *p, struct bytes *out);
int set_retention(struct property_call *p, const char *text, size_t len);
int remove_retention(struct property_call *p);
int get_lock_mode(struct property_call *p, struct bytes *out);
int set_lock_mode(struct property_call *p, const char *text, size_t len);
int get_lock_date(struct property_call *p, struct bytes *out);
int set_lock_date(struct property_call *p, const char *text, size_t len);
int get_remaining(struct property_call *p, struct bytes *out);
int get_hold(struct property_call *p, struct bytes *out);
int set_hold(struct property_call *p, const char *text, size_t len);
int remove_hold(struct property_call *p);
int get_bypass(struct property_call *p, struct bytes *out);
int set_bypass(struct property_call *p, const char *text, size_t len);
int remove_bypass(struct property_call *p);
int get_settle(struct property_call *p, struct bytes *out);
int set_settle(struct property_call *p, const char *text, size_t len);

/* ---- property_bucket.c ---- */
int get_bucket_versioning(struct property_call *p, struct bytes *out);
int set_bucket_versioning(struct property_call *p, const char *text, size_t len);
int get_bucket_lock(struct property_call *p, struct bytes *out);
int set_bucket_lock(struct property_call *p, const char *text, size_t len);
int get_bucket_settle(struct property_call *p, struct bytes *out);
int set_bucket_settle(struct property_call *p, const char *text, size_t len);
int remove_bucket_settle(struct property_call *p);
int get_bucket_orphan_keep(struct property_call *p, struct bytes *out);
int set_bucket_orphan_keep(struct property_call *p, const char *text, size_t len);
int remove_bucket_orphan_keep(struct property_call *p);
int get_bucket_tagging(struct property_call *p, struct bytes *out);
int set_bucket_tagging(struct property_call *p, const char *text, size_t len);
int remove_bucket_tagging(struct property_call *p);
int get_bucket_compression(struct property_call *p, struct bytes *out);
int set_bucket_compression(struct property_call *p, const char *text, size_t len);
int remove_bucket_compression(struct property_call *p);
int get_bucket_mode_mask(struct property_call *p, struct bytes *out);
int set_bucket_mode_mask(struct property_call *p, const char *text, size_t len);
int remove_bucket_mode_mask(struct property_call *p);
int get_bucket_encryption(struct property_call *p, struct bytes *out);
int set_bucket_encryption(struct property_call *p, const char *text, size_t len);
int remove_bucket_encryption(struct property_call *p);

/* ---- property_mfa.c ---- */
/* Takes an MFA code out of the value, checks and spends it: caller->mfa. No locks held. */
int property_code_spend(struct engine *e, struct caller *c, const struct engine_target *t, char *text);
int get_mfa(struct property_call *p, struct bytes *out);
int set_mfa(struct property_call *p, const char *text, size_t len);
int remove_mfa(struct property_call *p);

/* ---- property_policy.c ---- */
int get_bucket_policy(struct property_call *p, struct bytes *out);
int set_bucket_policy(struct property_call *p, const char *text, size_t len);
int remove_bucket_policy(struct property_call *p);
int get_bucket_block(struct property_call *p, struct bytes *out);
int set_bucket_block(struct property_call *p, const char *text, size_t len);
int remove_bucket_block(struct property_call *p);

#endif
