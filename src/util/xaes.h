/* SPDX-License-Identifier: GPL-3.0-or-later
 * XAES-256-GCM (encryption.md, conventions): AES-256-GCM under a key derived from K and a 24-byte random nonce. */
#ifndef HOLDFS_UTIL_XAES_H
#define HOLDFS_UTIL_XAES_H

#include <stddef.h>
#include <stdint.h>

enum { XAES_NONCE_BYTES = 24, XAES_TAG_BYTES = 16, XAES_OVERHEAD_BYTES = 40 };

/* K prepared (K1 computed once), in locked memory; safe for use by several threads at once. */
struct xaes_key;
struct xaes_key *xaes_key_new(const uint8_t key[32]);
void xaes_key_free(struct xaes_key *k); /* wipes; NULL is accepted */

/* The next nonce of a series that began at random. They share the first half, and with it the message key, whose setting up costs more
 * than sealing a few bytes. */
static inline void xaes_nonce_count(uint8_t nonce[XAES_NONCE_BYTES])
{
    for (int i = XAES_NONCE_BYTES / 2; i < XAES_NONCE_BYTES && ++nonce[i] == 0; i++)
        ;
}

/* With a given nonce: ciphertext to out (len bytes), tag apart. 0 or -EIO. */
int xaes_encrypt(const struct xaes_key *k, const uint8_t nonce[24], const void *aad, size_t aad_len, const void *plain,
                 size_t len, void *out, uint8_t tag[16]);
/* -EBADMSG when the tag does not fit; out is then wiped. In place is allowed (out == cipher). */
int xaes_decrypt(const struct xaes_key *k, const uint8_t nonce[24], const void *aad, size_t aad_len, const void *cipher,
                 size_t len, const uint8_t tag[16], void *out);

/* Sealed form nonce || ciphertext || tag with a fresh random nonce; out takes len + 40 bytes. */
int xaes_seal(const struct xaes_key *k, const void *aad, size_t aad_len, const void *plain, size_t len, void *out);
/* Opens a sealed value of sealed_len bytes (>= 40) into out (sealed_len - 40). -EBADMSG. */
int xaes_open(const struct xaes_key *k, const void *aad, size_t aad_len, const void *sealed, size_t sealed_len, void *out);

/* RFC 5869 with SHA-256, 32 bytes out. */
void hkdf_sha256(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len, const void *info, size_t info_len,
                 uint8_t out[32]);

/* RAND_bytes, from a per-thread buffer where small; aborts if the generator fails. */
void random_bytes(void *out, size_t len);

#endif
