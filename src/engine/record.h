/* SPDX-License-Identifier: GPL-3.0-or-later
 * The packed bodies of version and inode rows (doc/on-disk-format.md, "Records"). Pure; private to src/engine.
 *
 * A record is what a version (or a directory) carries beside the plain columns of meta.h. Encoded with a format byte in
 * front; decoding treats its input as outside input. */
#ifndef HOLDFS_ENGINE_RECORD_H
#define HOLDFS_ENGINE_RECORD_H

#include "pipeline/extmap.h"
#include "util/bytes.h"
#include "util/timeform.h"

#include <stdbool.h>
#include <stdint.h>

/* Named values of a version or directory, packed: (u8 kind, blob name, blob value)*, ordered by (kind, name). */
enum attr_kind {
    ATTR_XATTR = 'x',  /* ordinary extended attribute, full name ("user.foo", "security.selinux", "system.posix_acl_access") */
    ATTR_HEADER = 'h', /* content header: "content-type", ... */
    ATTR_META = 'm',   /* x-amz-meta-NAME */
    ATTR_TAG = 't',
    ATTR_FACT = 'f',   /* computed and kept: "checksum-crc32c", "write-filter", ... */
};
struct attrs {
    struct bytes packed;
};
void attrs_done(struct attrs *a);
int attrs_copy(struct attrs *dst, const struct attrs *src); /* dst is overwritten without being freed */
/* Borrowed value; -ENODATA. */
int attrs_get(const struct attrs *a, enum attr_kind kind, const char *name, size_t name_len, const uint8_t **ret, size_t *ret_len);
int attrs_set(struct attrs *a, enum attr_kind kind, const char *name, size_t name_len, const void *value, size_t len);
int attrs_remove(struct attrs *a, enum attr_kind kind, const char *name, size_t name_len); /* -ENODATA */
struct attr_item {
    enum attr_kind kind;
    const char *name;
    size_t name_len;
    const uint8_t *value;
    size_t len;
};
/* Walks: start with *at = 0; false at the end. */
bool attrs_next(const struct attrs *a, size_t *at, struct attr_item *ret);
size_t attrs_bytes(const struct attrs *a, enum attr_kind kind);
bool attrs_valid(const void *packed, size_t len); /* well-formed and ordered */

enum envelope_mode { ENVELOPE_SSE_S3 = 1, ENVELOPE_SSE_KMS = 2, ENVELOPE_SSE_C = 3 };

enum { KMS_ARN_CHARS = 160, KMS_PROVIDER_CHARS = 16 };

/* The key above a version's data keys where that is not its bucket's (encryption.md §1.3). Immutable, shared by reference. */
struct envelope {
    int refs; /* atomic */
    enum envelope_mode mode;
    uint8_t kek_id[16]; /* random; its version is 1 */
    /* SSE-KMS: who opens the KEK, and from what */
    char provider[KMS_PROVIDER_CHARS];
    char arn[KMS_ARN_CHARS];
    uint8_t key_id[16];  /* of a local key: the last part of its ARN */
    bool bucket_key;     /* the KEK is shared by others of its bucket */
    bool context_sent;   /* the request had a context of its own: answers echo it */
    struct bytes blob;
    struct bytes context; /* canonical, with a zero behind that is not counted */
    /* SSE-C: the KEK follows from the customer's key and this */
    uint8_t salt[16], verifier[32];
};
struct envelope *envelope_new(enum envelope_mode mode); /* NULL: no memory */
struct envelope *envelope_ref(struct envelope *v);      /* NULL is accepted */
void envelope_unref(struct envelope *v);                /* NULL is accepted */
void envelope_encode(const struct envelope *v, struct bytes *out);                 /* what follows kek id and version */
struct envelope *envelope_decode(enum envelope_mode mode, struct reader *r); /* NULL: r->failed, or no memory */

struct record {
    uint32_t mode; /* type and permission bits */
    uint32_t uid, gid, rdev_major, rdev_minor;
    struct instant mtime, ctime, btime, atime;
    bool atime_set; /* else atime equals mtime */
    bool written;   /* bytes were ever written (S2a asks) */
    uint64_t size_bytes;
    char etag[72];     /* without quotes: 32 hex digits and "-0", or S3's */
    char made_by[128]; /* principal ARN */
    struct attrs attrs;
    uint8_t envelope; /* enum envelope_mode; 0 for markers and directories */
    uint8_t kek_id[16];
    uint32_t kek_version;
    struct envelope *env; /* SSE-KMS, SSE-C; else NULL */
    struct extmap *map; /* NULL: nothing but holes (and for directories, markers) */
    /* directories */
    uint64_t generation;
    bool implicit; /* a key prefix, not made by mkdir: shows the bucket root's owner and mode */
};
void record_done(struct record *r);
/* The version's KEK is that of `env` (referenced), or the bucket's where it is NULL. */
void record_set_envelope(struct record *r, struct envelope *env, const uint8_t bucket_kek[16], uint32_t bucket_kek_version);
/* No byte of it lies in a segment: the row is all there is. */
static inline bool record_inline(const struct record *r)
{
    return !r->map || extmap_all_inline(r->map);
}
int record_copy(struct record *dst, const struct record *src); /* map is shared by reference */
bool record_same_content(const struct record *a, const struct record *b);
/* Content, and all attributes but the change time and who made it. */
bool record_same(const struct record *a, const struct record *b);
/* data: map->inline_data goes to the row's `data`, not into the body. */
void record_encode(const struct record *r, struct bytes *out);
int record_decode(const void *body, size_t len, const void *data, size_t data_len, struct record *ret); /* -EBADMSG */

/* Body of an object's inode row. */
struct inode_body {
    uint64_t generation;
    uint32_t nlink;
    bool dir;            /* then `record` follows (attributes of the directory) */
    struct record record; /* only for directories */
};
void inode_body_encode(const struct inode_body *b, struct bytes *out);
int inode_body_decode(const void *body, size_t len, struct inode_body *ret); /* -EBADMSG; caller record_done()s */

#endif
