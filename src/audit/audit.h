/* SPDX-License-Identifier: GPL-3.0-or-later
 * The audit trail as values (logs.md §3): records in canonical form, the hash chain over them, signed heads, and what
 * verification finds.
 *
 * Pure functions: no file, no clock, no lock. The engine writes records in the transaction of what they tell (engine/trail.c);
 * commands read, check and export them. contrib/audit-verify does the same without any of this code. */
#ifndef HOLDFS_AUDIT_AUDIT_H
#define HOLDFS_AUDIT_AUDIT_H

#include "util/bytes.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret;

enum {
    AUDIT_HASH_BYTES = 32,
    AUDIT_SEED_BYTES = 32,      /* an Ed25519 private key */
    AUDIT_PUBLIC_BYTES = 32,
    AUDIT_SIGNATURE_BYTES = 64,
    AUDIT_KEY_ID_CHARS = 16,
    AUDIT_CHAIN_CHARS = 80,     /* STOREID or STOREID/DAEMONID */
};

/* ---- canonical form (RFC 8785) ---- */

/* Appends the canonical text of a value. Numbers are integers within +-2^53: -ERANGE for others; -ELOOP for one nested too deep. */
int audit_canonical(const json_t *value, struct bytes *out);
/* Appends a string with its quotes; bytes that are not UTF-8 become \xNN, as text. */
void audit_canonical_text(const void *text, size_t len, struct bytes *out);

/* ---- a record ---- */

struct audit_resource {
    const char *arn;
    size_t arn_len;
    const char *type;    /* "AWS::S3::Object" */
    const char *account; /* or "" */
};

/* One record before it has a place in the chain; all borrowed. What is NULL or "" is left out, or null where CloudTrail has it so. */
struct audit_record {
    const char *time, *event_id, *request_id, *source, *name, *region;
    bool service, data, read_only;
    struct {
        const char *type, *principal_id, *arn, *account, *access_key, *user;
        bool mfa;
    } identity;
    const char *source_ip, *user_agent, *tls_version, *cipher, *host;
    const json_t *params, *response; /* objects */
    const char *error_code, *error_message;
    struct audit_resource resources[2];
    size_t resource_count;
    const char *recipient;
    struct {
        const char *clock, *comm, *error, *front, *rule;
        const json_t *previous;
        bool has_caller; /* uid and pid mean something */
        uint32_t uid;
        int32_t pid;
        uint64_t count; /* 0: left out */
    } extra;
};
/* Appends the canonical text, without `chain`. */
int audit_record_write(const struct audit_record *r, struct bytes *out);
/* A folded record's text with its count; `at` is where audit_record_write() would have put it. */
int audit_record_with_count(const void *text, size_t len, uint64_t count, const char *last, struct bytes *out);

/* ---- the chain ---- */

struct audit_place { /* a record's place, or the chain's end */
    uint64_t seq;    /* 0: before the first record */
    uint8_t hash[AUDIT_HASH_BYTES];
};

int audit_digest(const void *text, size_t len, uint8_t ret[AUDIT_HASH_BYTES]); /* SHA-256 */
int audit_genesis(const char *chain, struct audit_place *ret);
/* The place behind `before` of the record with that canonical text. */
int audit_link(const struct audit_place *before, const void *text, size_t len, struct audit_place *ret);
/* The record's text with its member `chain`, as it is exported. */
int audit_line(const char *chain, const struct audit_place *before, const struct audit_place *place, const void *text, size_t len,
               struct bytes *out);

/* ---- heads ---- */

struct audit_head {
    char chain[AUDIT_CHAIN_CHARS + 1];
    struct audit_place place;
    char key[AUDIT_KEY_ID_CHARS + 1];
    char clock[40], time[40];
};

/* The canonical text that is signed, without the line before it. */
int audit_head_write(const struct audit_head *head, struct bytes *out);
int audit_head_read(const void *text, size_t len, struct audit_head *ret); /* -EINVAL */
/* What the signature covers: the line `holdfs-audit-head-1` and the text. */
void audit_head_message(const void *text, size_t len, struct bytes *out);

int audit_public(const uint8_t seed[AUDIT_SEED_BYTES], uint8_t ret[AUDIT_PUBLIC_BYTES]);
int audit_key_id(const uint8_t public[AUDIT_PUBLIC_BYTES], char ret[AUDIT_KEY_ID_CHARS + 1]);
int audit_public_pem(const uint8_t public[AUDIT_PUBLIC_BYTES], struct bytes *out);
int audit_public_read_pem(const char *text, size_t len, uint8_t ret[AUDIT_PUBLIC_BYTES]); /* -EINVAL */
int audit_sign(const uint8_t seed[AUDIT_SEED_BYTES], const void *message, size_t len, uint8_t ret[AUDIT_SIGNATURE_BYTES]);
bool audit_signed(const uint8_t public[AUDIT_PUBLIC_BYTES], const void *message, size_t len, const uint8_t signature[AUDIT_SIGNATURE_BYTES]);

/* ---- verification ---- */

enum audit_fault {
    AUDIT_SOUND,
    AUDIT_CHANGED,
    AUDIT_MISSING,
    AUDIT_INSERTED,
    AUDIT_MOVED,
    AUDIT_TAIL_CUT,
    AUDIT_BAD_HEAD, /* a signature that does not fit */
};
const char *audit_fault_text(enum audit_fault fault);

/* Records are shown to it in the order they stand; then heads and anchors. The first bad one stays. */
struct audit_verifier {
    char chain[AUDIT_CHAIN_CHARS + 1];
    struct audit_place place; /* of the last good record */
    uint64_t first;           /* first seq that may stand */
    uint64_t records;
    enum audit_fault fault;
    uint64_t bad_seq;
};

/* `from`: the place before the first record; NULL: the genesis. */
int audit_verify_begin(struct audit_verifier *v, const char *chain, const struct audit_place *from);
/* claimed: the place that stands beside the record; prev: the hash it names as its predecessor's, or NULL. */
int audit_verify_record(struct audit_verifier *v, const struct audit_place *claimed, const uint8_t *prev, const void *text, size_t len);
/* A head or anchor. `here`: the hash of the record at that seq, NULL where there is none. */
void audit_verify_place(struct audit_verifier *v, const struct audit_place *told, const uint8_t *here);
void audit_verify_fail(struct audit_verifier *v, enum audit_fault fault, uint64_t seq);

#endif
