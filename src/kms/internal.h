/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the files of src/kms share: the header as a value, slots, and sealing under a given nonce (tests
 * compare it with the vectors of encryption.md §11). Not for other rooms. */
#ifndef HOLDFS_KMS_INTERNAL_H
#define HOLDFS_KMS_INTERNAL_H

#include "kms/kms.h"
#include "util/limits.h"
#include "util/xaes.h"

#include <stddef.h>

enum { KEY_BYTES = 32, WRAPPED_KEY_BYTES = KEY_BYTES + XAES_OVERHEAD_BYTES, EPOCHS_MAX = 2 };

/* ---- secrets as given ---- */

/* Drops one trailing newline, then refuses what is empty or too long. */
int passphrase_check(struct secret *s, struct reason *reason);

/* ---- slots ---- */

struct slot {
    uint8_t n;
    uint8_t kind;         /* enum slot_kind */
    uint8_t scrypt_log_n; /* passphrases only, like r and p; else 0 */
    uint32_t scrypt_r, scrypt_p;
    uint8_t salt[32];
    uint8_t wrapped[WRAPPED_KEY_BYTES]; /* M under the slot key */
};

/* The key of a slot from what the person gave; `key` is locked memory. -ENOMEM, -EIO. */
int slot_key_derive(const struct slot *slot, const struct unlock *unlock, uint8_t key[KEY_BYTES]);
/* Fills slot->wrapped. */
int slot_seal(struct slot *slot, const uint8_t store_id[16], const uint8_t slot_key[KEY_BYTES],
              const uint8_t nonce[XAES_NONCE_BYTES], const uint8_t master[KEY_BYTES]);
/* -EBADMSG when the slot key does not fit. */
int slot_open(const struct slot *slot, const uint8_t store_id[16], const uint8_t slot_key[KEY_BYTES],
              uint8_t master[KEY_BYTES]);
/* A new slot for the secret, with fresh salt and nonce. */
int slot_make(uint8_t n, const struct unlock *unlock, unsigned scrypt_log_n, const uint8_t store_id[16],
              const uint8_t master[KEY_BYTES], struct slot *ret);
/* True when a secret of this kind may open this slot (key file and credential derive alike). */
bool slot_takes(const struct slot *slot, enum slot_kind kind);

/* ---- the header as a value, and its first line ---- */

struct epoch {
    uint64_t e;
    uint8_t secret[KEY_BYTES];
};

struct store_header {
    uint64_t seq;
    uint8_t store_id[16];
    char created[40]; /* UTC, for people */
    uint32_t page_size_bytes, page_generation;
    struct epoch epochs[EPOCHS_MAX];
    size_t epoch_count;
    struct slot slots[LIMIT_SLOTS];
    size_t slot_count;
};

/* One line of JSON without a newline, members always in the same order; the caller frees it. NULL when out of
 * memory. */
char *header_line_format(const struct store_header *h);
/* Every member is checked against its bounds: this runs before the MAC can be verified. -EBADMSG. */
int header_line_parse(const char *line, size_t len, struct store_header *ret, struct reason *reason);

/* ---- keys of an open store ---- */

/* Copies the header; takes over `master`, also when it fails (NULL: out of memory). */
struct store_keys *store_keys_new(const struct store_header *h, struct secret *master);

/* ---- the two files (header_file.c) ---- */

extern const char *const header_file_names[2]; /* store.hdr and its twin */

struct header_file {
    char *bytes; /* whole file; NULL: it could not be read; free with header_file_done() */
    size_t len;
    int error;       /* why bytes is NULL; 0 else */
    size_t line_len; /* of line 1, without its newline; 0 when the file has no such form */
    const char *mac; /* line 2 (HEADER_MAC_CHARS), inside bytes; NULL with line_len 0 */
};
void header_file_read(int dir_fd, const char *name, struct header_file *ret);
void header_file_done(struct header_file *f);
/* Replaces the file: temporary file, fsync, rename, fsync of the folder; what it held before is overwritten. The owner
 * stays who it was: root may work on another's store. */
int header_file_write(int dir_fd, const char *name, const char *bytes, size_t len);
/* Overwrites and removes what a crash left of replaced header files. */
void header_file_tidy(int dir_fd);
/* One who changes the header at a time, among all processes; ends with the close of dir_fd. -errno. */
int header_lock(int dir_fd);

/* ---- the header in use ---- */

/* By a secret, or by keys whose M is known already. */
struct header_opener {
    const struct unlock *unlock;
    const struct store_keys *keys;
};
/* store_header_open() in a folder that is open (and locked by who means to change it). */
int header_load(int dir_fd, const char *dir, const uint8_t store_id[16], const struct header_opener *by, bool read_only,
                struct store_keys **ret, bool *ret_repaired, struct reason *reason);
int header_write(int dir_fd, const struct store_keys *k);
/* Changes the header as it stands on disk: 0 from `edit` writes it. */
typedef int header_edit_fn(struct store_header *h, const uint8_t master[KEY_BYTES], void *arg, struct reason *reason);
/* ret: the keys as they are after it; NULL is accepted. */
int header_edit(const char *dir, const uint8_t store_id[16], const struct header_opener *by, header_edit_fn *edit, void *arg,
                struct store_keys **ret, struct reason *reason);

/* Line 2 of the header file, without its newline. */
enum { HEADER_MAC_CHARS = sizeof "hmac-sha256 " - 1 + 64 };
void header_mac_format(const struct store_keys *k, const char *line, size_t len,
                       char out[HEADER_MAC_CHARS + 1]);

/* ---- wraps under a given nonce ---- */

int key_seal(const struct xaes_key *k, const uint8_t nonce[XAES_NONCE_BYTES], const void *aad, size_t aad_len,
             const uint8_t key[KEY_BYTES], uint8_t out[WRAPPED_KEY_BYTES]);
int kek_seal(const struct store_keys *k, const struct kek_name *name, const uint8_t nonce[XAES_NONCE_BYTES],
             const uint8_t key[KEY_BYTES], uint8_t out[WRAPPED_KEY_BYTES]);
int dek_seal(const uint8_t store_id[16], const struct xaes_key *kek, const struct dek_name *name,
             const uint8_t nonce[XAES_NONCE_BYTES], const uint8_t dek[KEY_BYTES],
             uint8_t out[WRAPPED_KEY_BYTES]);
/* The kek root of the header's epoch number i, for tests. */
void kek_root_derive(const uint8_t master[KEY_BYTES], const uint8_t store_id[16],
                     const uint8_t epoch_secret[KEY_BYTES], uint8_t out[KEY_BYTES]);

/* ---- additional data: fixed fields, one after another ---- */

static inline uint8_t *aad_put(uint8_t *at, const void *src, size_t len)
{
    return (uint8_t *)__builtin_memcpy(at, src, len) + len;
}

static inline uint8_t *aad_put_uint(uint8_t *at, uint64_t v, size_t bytes)
{
    for (size_t i = bytes; i-- > 0; v >>= 8)
        at[i] = (uint8_t)v;
    return at + bytes;
}

#endif
