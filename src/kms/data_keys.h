/* SPDX-License-Identifier: GPL-3.0-or-later
 * KMS data keys and customer KEKs in use, by their id, in locked memory and for a bounded time (encryption.md §5.5).
 *
 * An open file holds a reference: its key stays as long as it is open, whatever the bounds say, unless it is taken away
 * (data_keys_revoke). What nobody holds is found by the next open for data_keys_limits.keep_ns, then forgotten. Any thread; own
 * lock, a leaf. */
#ifndef HOLDFS_KMS_DATA_KEYS_H
#define HOLDFS_KMS_DATA_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct data_keys;
struct data_key;
struct xaes_key;

struct data_keys_limits {
    int64_t keep_ns;   /* since it was fetched */
    size_t count;      /* least recently used out */
    uint64_t uses;     /* then it is fetched anew */
};
extern const struct data_keys_limits data_keys_default;

struct data_keys *data_keys_new(const struct data_keys_limits *limits); /* NULL: no memory */
void data_keys_free(struct data_keys *k); /* NULL is accepted; ends every reference */

/* One that may still be used for an open without asking the provider; referenced. NULL: none. */
struct data_key *data_keys_fresh(struct data_keys *k, const uint8_t id[16], int64_t now_ns);
/* Takes one in as just fetched, copying it; `owner` is the KMS key, or the zero id. Referenced. NULL: no memory. */
struct data_key *data_keys_put(struct data_keys *k, const uint8_t id[16], const uint8_t owner[16], const uint8_t key[32],
                               int64_t now_ns);
/* One that somebody holds or that is kept; referenced. NULL: none, or taken away. */
struct data_key *data_keys_held(struct data_keys *k, const uint8_t id[16]);
struct data_key *data_key_ref(struct data_key *d);
void data_key_unref(struct data_key *d); /* NULL is accepted */
static inline void data_key_cleanup(struct data_key **d)
{
    data_key_unref(*d);
}
const struct xaes_key *data_key_use(const struct data_key *d);

void data_keys_expire(struct data_keys *k, int64_t now_ns);
/* Nobody finds those of this owner (id) any more; who holds a reference keeps what he has opened with it. */
void data_keys_revoke_owner(struct data_keys *k, const uint8_t owner[16]);
void data_keys_forget_owner(struct data_keys *k, const uint8_t owner[16]); /* those that nobody holds */
void data_keys_revoke(struct data_keys *k, const uint8_t id[16]);
size_t data_keys_count(struct data_keys *k);

#endif
