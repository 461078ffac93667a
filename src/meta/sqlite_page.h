/* SPDX-License-Identifier: GPL-3.0-or-later
 * Private to the SQLite engine: the sealed forms of pages, WAL records, ledger blocks and the root
 * (doc/on-disk-format.md).
 *
 * Pure functions over bytes, no files. Nonces are arguments, so that a test can compare with published
 * vectors; everybody else takes them from random_bytes(). Opening functions return -EBADMSG where a tag or a
 * length does not fit. */
#ifndef HOLDFS_META_SQLITE_PAGE_H
#define HOLDFS_META_SQLITE_PAGE_H

#include <stddef.h>
#include <stdint.h>

struct xaes_key;

enum {
    PAGE_RESERVE_BYTES = 40, /* nonce and tag, in the bytes SQLite leaves free at the end of each page */
    PAGE_SALT_BYTES = 16,    /* in clear at the start of page 1 */

    WAL_ID_BYTES = 16,
    WAL_HEADER_BYTES = 32,       /* as SQLite sees it */
    WAL_FRAME_HEADER_BYTES = 24, /* as SQLite sees it */
    WAL_DISK_HEADER_BYTES = 128,
    WAL_DISK_FRAME_HEADER_BYTES = 64,
    WAL_DISK_PAGE_EXTRA_BYTES = 40,

    LEDGER_BLOCK_PAGES = 507,
    LEDGER_ENTRY_BYTES = 8,
    LEDGER_SLOT_BYTES = 4096,
    LEDGER_PLAIN_BYTES = LEDGER_BLOCK_PAGES * LEDGER_ENTRY_BYTES,

    ROOT_HEAD_BYTES = 16,
    ROOT_BLOCK_BYTES = 9,
};
_Static_assert(LEDGER_PLAIN_BYTES + PAGE_RESERVE_BYTES == LEDGER_SLOT_BYTES,
               "a sealed ledger block fills its slot");

/* What is bound into every record of one database. */
struct page_codec {
    const struct xaes_key *key;
    uint32_t page_size_bytes;
    uint8_t store[16];
    uint8_t salt[PAGE_SALT_BYTES];
};

enum wal_part { WAL_FILE_HEADER = 0, WAL_FRAME_HEADER = 1, WAL_PAGE = 2 };

/* The whole page, page_size_bytes both ways; its last PAGE_RESERVE_BYTES are ignored in `plain` and come back
 * as zeros. page_open() may work in place. */
int page_seal(const struct page_codec *c, uint32_t page, const uint8_t nonce[24], const uint8_t *plain,
              uint8_t *out);
int page_open(const struct page_codec *c, uint32_t page, const uint8_t *sealed, uint8_t *out);
/* The first 8 bytes of a sealed page's nonce: its entry in the ledger. */
const uint8_t *page_entry(const struct page_codec *c, const uint8_t *sealed);

/* One WAL record nonce || ciphertext || tag: len + 40 bytes. */
int wal_record_seal(const struct page_codec *c, const uint8_t wal_id[WAL_ID_BYTES], enum wal_part part,
                    uint64_t frame, const uint8_t nonce[24], const uint8_t *plain, size_t len, uint8_t *out);
/* The parts apart, so that a page is opened where SQLite wants it: `text` holds ciphertext before and
 * plaintext after. */
int wal_record_open(const struct page_codec *c, const uint8_t wal_id[WAL_ID_BYTES], enum wal_part part,
                    uint64_t frame, const uint8_t nonce[24], uint8_t *text, size_t len,
                    const uint8_t tag[16]);

/* One record of the row log, the same form, and opened in place. */
int redo_record_seal(const struct page_codec *c, uint64_t base, const uint8_t chain[16], const uint8_t nonce[24], const void *plain,
                     size_t len, uint8_t *out);
int redo_record_open(const struct page_codec *c, uint64_t base, const uint8_t chain[16], const uint8_t *sealed, uint8_t *text,
                     size_t len);

int wal_header_seal(const struct page_codec *c, const uint8_t wal_id[WAL_ID_BYTES], const uint8_t nonce[24],
                    const uint8_t plain[WAL_HEADER_BYTES], uint8_t out[WAL_DISK_HEADER_BYTES]);
int wal_header_open(const struct page_codec *c, const uint8_t disk[WAL_DISK_HEADER_BYTES],
                    uint8_t ret_id[WAL_ID_BYTES], uint8_t plain[WAL_HEADER_BYTES]);

int ledger_slot_seal(const struct page_codec *c, uint64_t block, const uint8_t nonce[24],
                     const uint8_t plain[LEDGER_PLAIN_BYTES], uint8_t out[LEDGER_SLOT_BYTES]);
int ledger_slot_open(const struct page_codec *c, uint64_t block, const uint8_t slot[LEDGER_SLOT_BYTES],
                     uint8_t plain[LEDGER_PLAIN_BYTES]);

/* `len` bytes of root to len + 40, and back. */
int root_seal(const struct page_codec *c, const uint8_t nonce[24], const uint8_t *plain, size_t len,
              uint8_t *out);
int root_open(const struct page_codec *c, const uint8_t *sealed, size_t sealed_len, uint8_t *out);

#endif
