/* SPDX-License-Identifier: GPL-3.0-or-later
 * Sealing and opening of everything the SQLite engine keeps on disk; see sqlite_page.h.
 *
 * The additional data of each kind starts with its own name, so a record of one kind never opens as another.
 */
#include "meta/sqlite_page.h"
#include "util/xaes.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char database_magic[16] = "SQLite format 3";
static const char wal_magic[8] = "HFWAL1\0";

/* Additional data under construction; the longest, of a WAL record, is 71 bytes. */
struct aad {
    uint8_t bytes[96];
    size_t len;
};

static void aad_put(struct aad *a, const void *p, size_t len)
{
    assert(a->len + len <= sizeof(a->bytes));
    memcpy(a->bytes + a->len, p, len);
    a->len += len;
}

static void aad_put_number(struct aad *a, uint64_t value, size_t bytes)
{
    for (size_t i = bytes; i-- > 0;) {
        uint8_t b = (uint8_t)(value >> (8 * i));
        aad_put(a, &b, 1);
    }
}

/* name || store || salt; the name counts with its terminating zero byte. */
static struct aad aad_start(const struct page_codec *c, const char *name)
{
    struct aad a = {.len = 0};
    aad_put(&a, name, strlen(name) + 1);
    aad_put(&a, c->store, sizeof(c->store));
    aad_put(&a, c->salt, sizeof(c->salt));
    return a;
}

/* ---- pages ---- */

/* Page 1 keeps the salt in clear where SQLite has its magic. */
static size_t page_clear_bytes(uint32_t page)
{
    return page == 1 ? PAGE_SALT_BYTES : 0;
}

static struct aad page_aad(const struct page_codec *c, uint32_t page)
{
    struct aad a = aad_start(c, "holdfs/v1/page");
    aad_put_number(&a, page, 4);
    return a;
}

const uint8_t *page_entry(const struct page_codec *c, const uint8_t *sealed)
{
    return sealed + c->page_size_bytes - PAGE_RESERVE_BYTES;
}

int page_seal(const struct page_codec *c, uint32_t page, const uint8_t nonce[24], const uint8_t *plain,
              uint8_t *out)
{
    struct aad a = page_aad(c, page);
    size_t from = page_clear_bytes(page), to = c->page_size_bytes - PAGE_RESERVE_BYTES;
    if (from)
        memcpy(out, c->salt, from);
    memcpy(out + to, nonce, XAES_NONCE_BYTES);
    return xaes_encrypt(c->key, nonce, a.bytes, a.len, plain + from, to - from, out + from,
                        out + to + XAES_NONCE_BYTES);
}

int page_open(const struct page_codec *c, uint32_t page, const uint8_t *sealed, uint8_t *out)
{
    struct aad a = page_aad(c, page);
    size_t from = page_clear_bytes(page), to = c->page_size_bytes - PAGE_RESERVE_BYTES;
    if (from && memcmp(sealed, c->salt, from) != 0)
        return -EBADMSG;
    int r = xaes_decrypt(c->key, sealed + to, a.bytes, a.len, sealed + from, to - from,
                         sealed + to + XAES_NONCE_BYTES, out + from);
    if (from)
        memcpy(out, database_magic, from);
    memset(out + to, 0, PAGE_RESERVE_BYTES);
    return r;
}

/* ---- the write-ahead log ---- */

static struct aad wal_aad(const struct page_codec *c, const uint8_t wal_id[WAL_ID_BYTES], enum wal_part part,
                          uint64_t frame)
{
    struct aad a = aad_start(c, "holdfs/v1/wal");
    aad_put(&a, wal_id, WAL_ID_BYTES);
    aad_put_number(&a, part, 1);
    aad_put_number(&a, frame, 8);
    return a;
}

int wal_record_seal(const struct page_codec *c, const uint8_t wal_id[WAL_ID_BYTES], enum wal_part part,
                    uint64_t frame, const uint8_t nonce[24], const uint8_t *plain, size_t len, uint8_t *out)
{
    struct aad a = wal_aad(c, wal_id, part, frame);
    memcpy(out, nonce, XAES_NONCE_BYTES);
    return xaes_encrypt(c->key, nonce, a.bytes, a.len, plain, len, out + XAES_NONCE_BYTES,
                        out + XAES_NONCE_BYTES + len);
}

int wal_record_open(const struct page_codec *c, const uint8_t wal_id[WAL_ID_BYTES], enum wal_part part,
                    uint64_t frame, const uint8_t nonce[24], uint8_t *text, size_t len, const uint8_t tag[16])
{
    struct aad a = wal_aad(c, wal_id, part, frame);
    return xaes_decrypt(c->key, nonce, a.bytes, a.len, text, len, tag, text);
}

int wal_header_seal(const struct page_codec *c, const uint8_t wal_id[WAL_ID_BYTES], const uint8_t nonce[24],
                    const uint8_t plain[WAL_HEADER_BYTES], uint8_t out[WAL_DISK_HEADER_BYTES])
{
    memset(out, 0, WAL_DISK_HEADER_BYTES);
    memcpy(out, wal_magic, sizeof(wal_magic));
    memcpy(out + sizeof(wal_magic), wal_id, WAL_ID_BYTES);
    return wal_record_seal(c, wal_id, WAL_FILE_HEADER, 0, nonce, plain, WAL_HEADER_BYTES,
                           out + sizeof(wal_magic) + WAL_ID_BYTES);
}

int wal_header_open(const struct page_codec *c, const uint8_t disk[WAL_DISK_HEADER_BYTES],
                    uint8_t ret_id[WAL_ID_BYTES], uint8_t plain[WAL_HEADER_BYTES])
{
    if (memcmp(disk, wal_magic, sizeof(wal_magic)) != 0)
        return -EBADMSG;
    const uint8_t *id = disk + sizeof(wal_magic), *nonce = id + WAL_ID_BYTES,
                  *text = nonce + XAES_NONCE_BYTES;
    memcpy(plain, text, WAL_HEADER_BYTES);
    int r =
        wal_record_open(c, id, WAL_FILE_HEADER, 0, nonce, plain, WAL_HEADER_BYTES, text + WAL_HEADER_BYTES);
    if (r == 0)
        memcpy(ret_id, id, WAL_ID_BYTES);
    return r;
}

/* ---- the row log ---- */

static struct aad redo_aad(const struct page_codec *c, uint64_t base, const uint8_t chain[16])
{
    struct aad a = aad_start(c, "holdfs/v1/redo");
    aad_put_number(&a, base, 8);
    aad_put(&a, chain, 16);
    return a;
}

int redo_record_seal(const struct page_codec *c, uint64_t base, const uint8_t chain[16], const uint8_t nonce[24], const void *plain,
                     size_t len, uint8_t *out)
{
    struct aad a = redo_aad(c, base, chain);
    memcpy(out, nonce, XAES_NONCE_BYTES);
    return xaes_encrypt(c->key, nonce, a.bytes, a.len, plain, len, out + XAES_NONCE_BYTES, out + XAES_NONCE_BYTES + len);
}

int redo_record_open(const struct page_codec *c, uint64_t base, const uint8_t chain[16], const uint8_t *sealed, uint8_t *text,
                     size_t len)
{
    struct aad a = redo_aad(c, base, chain);
    return xaes_decrypt(c->key, sealed, a.bytes, a.len, text, len, text + len, text);
}

/* ---- ledger and root ---- */

int ledger_slot_seal(const struct page_codec *c, uint64_t block, const uint8_t nonce[24],
                     const uint8_t plain[LEDGER_PLAIN_BYTES], uint8_t out[LEDGER_SLOT_BYTES])
{
    struct aad a = aad_start(c, "holdfs/v1/ledger");
    aad_put_number(&a, block, 8);
    memcpy(out, nonce, XAES_NONCE_BYTES);
    return xaes_encrypt(c->key, nonce, a.bytes, a.len, plain, LEDGER_PLAIN_BYTES, out + XAES_NONCE_BYTES,
                        out + XAES_NONCE_BYTES + LEDGER_PLAIN_BYTES);
}

int ledger_slot_open(const struct page_codec *c, uint64_t block, const uint8_t slot[LEDGER_SLOT_BYTES],
                     uint8_t plain[LEDGER_PLAIN_BYTES])
{
    struct aad a = aad_start(c, "holdfs/v1/ledger");
    aad_put_number(&a, block, 8);
    return xaes_open(c->key, a.bytes, a.len, slot, LEDGER_SLOT_BYTES, plain);
}

int root_seal(const struct page_codec *c, const uint8_t nonce[24], const uint8_t *plain, size_t len,
              uint8_t *out)
{
    struct aad a = aad_start(c, "holdfs/v1/root");
    memcpy(out, nonce, XAES_NONCE_BYTES);
    return xaes_encrypt(c->key, nonce, a.bytes, a.len, plain, len, out + XAES_NONCE_BYTES,
                        out + XAES_NONCE_BYTES + len);
}

int root_open(const struct page_codec *c, const uint8_t *sealed, size_t sealed_len, uint8_t *out)
{
    struct aad a = aad_start(c, "holdfs/v1/root");
    return xaes_open(c->key, a.bytes, a.len, sealed, sealed_len, out);
}
