/* SPDX-License-Identifier: GPL-3.0-or-later
 * Key providers (encryption.md §5): who makes KMS data keys and opens them again, without ever handing out the key behind them.
 *
 * To add one: src/kms/provider_NAME.c with a `const struct kms_provider_ops`, one line in provider_table[] of provider.c;
 * tests/unit/test_kms_provider.c runs its checks over each entry of that table. A provider knows keys by their ids and judges nothing:
 * states, policies, cache and throttle are the engine's. Any thread may call. */
#ifndef HOLDFS_KMS_PROVIDER_H
#define HOLDFS_KMS_PROVIDER_H

#include "util/bytes.h"
#include "util/limits.h"
#include "util/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kms_provider;

/* The encryption context in canonical form (kms_context_canonical), borrowed. */
struct kms_context {
    const char *p;
    size_t len;
};

/* What every call is given: until when it may take, and what the other side's log will call it. */
struct kms_call {
    int64_t deadline_ns;  /* clock_mono_ns() */
    const char *request;  /* an id, for providers that have logs of their own; NULL: none */
    struct reason *reason;
};

struct kms_data_key {
    uint8_t key[32]; /* the caller wipes it */
    uint8_t blob[LIMIT_KMS_BLOB_BYTES];
    size_t blob_len;
    uint32_t version; /* of the key it is wrapped under; 0: the provider does not say */
};

struct kms_key_facts {
    bool usable; /* encrypts and decrypts now */
    uint32_t version;
    size_t versions; /* that still open */
};

/* 0, or: -ENOENT no such key, -EKEYREVOKED not usable now, -EACCES refused, -EAGAIN throttled, -ETIMEDOUT not reached,
 * -EBADMSG blob or context does not open. `ref` names the key to the provider. */
struct kms_provider_ops {
    const char *name;
    int (*open)(struct kms_provider **ret, struct reason *reason);
    int (*generate)(struct kms_provider *p, const struct kms_call *call, const char *ref, struct kms_context context,
                    struct kms_data_key *ret);
    int (*decrypt)(struct kms_provider *p, const struct kms_call *call, const char *ref, const void *blob, size_t blob_len,
                   struct kms_context context, uint8_t ret[32]);
    int (*describe)(struct kms_provider *p, const struct kms_call *call, const char *ref, struct kms_key_facts *ret);
    int (*health)(struct kms_provider *p);
    void (*close)(struct kms_provider *p); /* NULL is accepted */
};

const struct kms_provider_ops *kms_provider_find(const char *name); /* NULL */
extern const struct kms_provider_ops *const kms_provider_table[];   /* NULL-terminated */

/* ---- local: keys of this store, `ref` is their UUID. The engine reads them from its rows and hands them in. ---- */
enum { KMS_LOCAL_BLOB_BYTES = 4 + 16 + 4 + 72 };
int kms_local_add(struct kms_provider *p, const uint8_t key_id[16], uint32_t version, const uint8_t material[32]); /* -EEXIST */
void kms_local_drop(struct kms_provider *p, const uint8_t key_id[16], uint32_t below); /* versions < below; UINT32_MAX: all */
void kms_local_forgo(struct kms_provider *p, const uint8_t key_id[16], uint32_t version); /* that one: it did not come to be */
uint32_t kms_local_newest(struct kms_provider *p, const uint8_t key_id[16]);           /* 0: none */
/* Which key and version a blob says it is under; -EBADMSG: no blob of ours. */
int kms_local_blob_name(const void *blob, size_t len, uint8_t ret_key_id[16], uint32_t *ret_version);
/* The same data key under the key's newest version. */
int kms_local_reencrypt(struct kms_provider *p, const void *blob, size_t len, struct kms_context context,
                        uint8_t ret[KMS_LOCAL_BLOB_BYTES]);
/* With a given nonce, for the vectors. */
int kms_local_seal(const uint8_t key_id[16], uint32_t version, const uint8_t material[32], struct kms_context context,
                   const uint8_t nonce[24], const uint8_t data_key[32], uint8_t ret[KMS_LOCAL_BLOB_BYTES]);

/* ---- encryption contexts (encryption.md §4.1) ---- */

enum { KMS_CONTEXT_BYTES = 8192 }; /* as sent, decoded */
/* The pairs of `json` (one flat object of string to string; NULL: none) and "aws:s3:arn" = arn, canonical: names sorted by bytes,
 * no spaces, only `"`, `\` and control characters escaped. -EINVAL with S3's words. */
int kms_context_canonical(const char *json, size_t len, const char *arn, struct bytes *out, struct reason *reason);

#endif
