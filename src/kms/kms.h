/* SPDX-License-Identifier: GPL-3.0-or-later
 * Keys: the store header and its slots, purpose keys, and wrapping of bucket keys and data keys.
 *
 * encryption.md §1 is the source of every rule and byte here. Nothing in this room does policy. All secrets live in
 * struct secret (util/secret.h: locked, wiped). Functions return 0 or a negative errno and fill the reason. */
#ifndef HOLDFS_KMS_KMS_H
#define HOLDFS_KMS_KMS_H

#include "util/limits.h"
#include "util/reason.h"
#include "util/secret.h"

#include <stdbool.h>
#include <stdint.h>

enum slot_kind { SLOT_PASSPHRASE = 1, SLOT_KEYFILE = 2, SLOT_CREDENTIAL = 3, SLOT_RECOVERY = 4, SLOT_KMS = 5 };

/* What a person gave to open a slot, before any derivation. */
struct unlock {
    enum slot_kind kind;
    struct secret *secret; /* owned by the caller; bytes as typed without the newline, file bytes, or 32 recovery bytes */
};

/* Reads and checks a secret from where the option says (length limits, file modes; encryption.md §1.1 table).
 * path "-" is stdin (passphrase only). The caller frees ret->secret. */
int unlock_from_file(enum slot_kind kind, const char *path, struct unlock *ret, struct reason *reason);
int unlock_from_credential(const char *name, struct unlock *ret, struct reason *reason);
/* Asks on the terminal without echo; `twice` for a new one. */
int unlock_ask(enum slot_kind kind, const char *prompt, bool twice, struct unlock *ret, struct reason *reason);

/* A customer's key (SSE-C) from a file: 32 bytes, or their base64. The caller frees it. */
int customer_key_from_file(const char *path, struct secret **ret, struct reason *reason);

/* Recovery code: 32 bytes <-> 11 groups of 5 (66 characters with the terminating zero). */
void recovery_code_format(const uint8_t secret[32], char out[66]);
int recovery_code_parse(const char *text, uint8_t out[32], struct reason *reason); /* -EINVAL "mistyped" */

/* ---- the store header ---- */

struct store_keys; /* M and what follows from it; one per open store */

struct store_header_params {
    uint8_t store_id[16];
    uint32_t page_size_bytes;
    const struct unlock *unlock; /* the first slot */
    unsigned scrypt_log_n;       /* 14..20; default 17 */
    bool recovery;               /* also make a recovery slot */
};
/* Makes M, header and twin in dir. ret_recovery: the recovery secret (32 bytes) when asked for; wiped by the caller. */
int store_header_create(const char *dir, const struct store_header_params *params, struct store_keys **ret,
                        uint8_t ret_recovery[32], struct reason *reason);
/* Opens with one secret. -EACCES "no slot opens with this key" in the same time whatever the cause; -EBADMSG "the store header has
 * been altered". Repairs the worse of the twins unless read_only. *ret_repaired tells (for the log). */
int store_header_open(const char *dir, const uint8_t store_id[16], const struct unlock *unlock, bool read_only,
                      struct store_keys **ret, bool *ret_repaired, struct reason *reason);
void store_keys_free(struct store_keys *k);

/* ---- slots (encryption.md §1.1) ----
 * They are changed in the header's files, under its own lock among processes, whether or not somebody has the store open:
 * M stays, so an open store notices nothing, and no secret has to travel to the daemon. `unlock` is any secret that opens;
 * -EACCES when none does. Each change is whole or has not been, whenever it is killed. */

struct slot_info {
    uint8_t n; /* 0..15 */
    enum slot_kind kind;
    uint8_t scrypt_log_n; /* passphrases; else 0 */
};
/* What line 1 says, unproved: no secret is asked for. The number of slots. */
int store_header_slots(const char *dir, const uint8_t store_id[16], struct slot_info ret[LIMIT_SLOTS], struct reason *reason);

struct slot_change {
    const char *dir;
    const uint8_t *store_id; /* 16 bytes */
    const struct unlock *unlock;
    const struct unlock *new_unlock; /* add and change */
    unsigned scrypt_log_n;           /* of a new passphrase; 0: the default */
};
int store_slot_add(const struct slot_change *change, unsigned *ret_n, struct reason *reason); /* -ENOSPC: all are taken */
int store_slot_change(const struct slot_change *change, unsigned n, struct reason *reason);   /* -ENOENT */
int store_slot_remove(const struct slot_change *change, unsigned n, struct reason *reason);   /* -EBUSY: the last one */
/* A recovery slot in place of the one there is, or a further one. The caller wipes the secret. */
int store_slot_new_recovery(const struct slot_change *change, unsigned *ret_n, uint8_t ret_recovery[32], struct reason *reason);

uint32_t store_keys_page_size(const struct store_keys *k);
uint32_t store_keys_page_generation(const struct store_keys *k);
/* HKDF(M, store, "holdfs/v1/" purpose) into out; purposes: "header", "page/G", "audit", "log", "cache". */
void store_keys_purpose(const struct store_keys *k, const char *purpose, uint8_t out[32]);
uint64_t store_keys_epoch(const struct store_keys *k); /* the newest kek epoch */

/* ---- key epochs (encryption.md §1.5) ----
 * Begin writes a new epoch beside the old (or finds one that was begun and stopped), end drops the old one and overwrites
 * what named it. *ret are keys with the header as it is after it; `keys` stays the caller's. */
size_t store_keys_epochs(const struct store_keys *k); /* 1; 2 while an epoch changes */
int store_epoch_begin(const char *dir, const struct store_keys *keys, struct store_keys **ret, struct reason *reason);
int store_epoch_end(const char *dir, const struct store_keys *keys, struct store_keys **ret, struct reason *reason);

/* ---- page key and M (encryption.md §1.4): the header's part ---- */

/* The next page key generation; from the moment it is written, that is the one. */
int store_page_next(const char *dir, const struct store_keys *keys, struct store_keys **ret, struct reason *reason);

struct master_renewal {
    const struct unlock *const *secrets; /* each opens a slot, which stays with it; slots without one are dropped */
    size_t secret_count;
    bool recovery; /* a new code in place of the one there was */
};
/* A new M, page key generation and epoch for the store, in memory. *ret_dropped: a bit for each slot that has no secret (but a
 * recovery slot that gets a new code). -EACCES where a secret opens none. */
int store_master_new(const struct store_keys *keys, const struct master_renewal *renewal, struct store_keys **ret,
                     uint8_t ret_recovery[32], unsigned *ret_dropped, struct reason *reason);
/* Writes it: from then on the old M opens nothing. -EAGAIN where the header was changed since `keys` were opened. */
int store_master_commit(const char *dir, const struct store_keys *keys, const struct store_keys *renewed, struct reason *reason);

/* ---- backups ---- */

/* The page key generation that line 1 of a folder's header names, unproved; 0 where it has no header of this store. */
int store_header_generation(const char *dir, const uint8_t store_id[16], uint32_t *ret, struct reason *reason);
/* Writes the store's header, as it is on disk now, into the folder `to`, with another generation of the page key. *ret: the keys
 * that open the copy. */
int store_header_copy(const char *dir, const struct store_keys *keys, const char *to, uint32_t generation, struct store_keys **ret,
                      struct reason *reason);

/* ---- wraps (encryption.md §1.3) ---- */

struct kek_name {
    uint8_t kek_id[16];
    uint8_t kind; /* enum kek_kind of the metadata */
    uint32_t version;
    uint64_t epoch;
    uint8_t bucket[16]; /* bucket UUID; zeros for the other kinds */
};
int kek_wrap(const struct store_keys *k, const struct kek_name *name, const uint8_t key[32], uint8_t out[72]);
/* -EBADMSG when it does not open. */
int kek_unwrap(const struct store_keys *k, const struct kek_name *name, const uint8_t wrapped[72], uint8_t out[32]);

struct dek_name {
    uint8_t bucket[16], kek_id[16];
    uint32_t kek_version;
    uint8_t dek_id[16];
    uint8_t algorithm; /* 1 = AES-256-GCM frames */
};
struct xaes_key; /* util/xaes.h: a prepared KEK */
int dek_wrap(const uint8_t store_id[16], const struct xaes_key *kek, const struct dek_name *name,
             const uint8_t dek[32], uint8_t out[72]);
int dek_unwrap(const uint8_t store_id[16], const struct xaes_key *kek, const struct dek_name *name,
               const uint8_t wrapped[72], uint8_t out[32]);

#endif
