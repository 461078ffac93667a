/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzzing of metadata at rest: any bytes in place of a page, a log record, a ledger slot or the root, and any damage to real
 * ones. Nothing that was not sealed may open, and the root's parser takes any plaintext. */
#include "meta/sqlite_page.h"
#include "meta/sqlite_vfs.h"
#include "util/xaes.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static struct page_codec codec_get(void)
{
    static const uint8_t key[32] = {7, 7, 7};
    static struct xaes_key *xaes;
    if (!xaes)
        require((xaes = xaes_key_new(key)) != NULL);
    return (struct page_codec){.key = xaes, .page_size_bytes = SIZE, .store = "store", .salt = "salt"};
}

static const uint8_t wal_id[WAL_ID_BYTES] = "wal id";

/* The kinds of record: how long it is on disk, and whether it opens. */
enum kind { KIND_PAGE, KIND_PAGE_ONE, KIND_FRAME, KIND_LOG_HEADER, KIND_LEDGER, KIND_ROOT, KIND_COUNT };

static size_t kind_bytes(enum kind kind)
{
    static const size_t bytes[KIND_COUNT] = {SIZE, SIZE, SIZE + 40, WAL_DISK_HEADER_BYTES, LEDGER_SLOT_BYTES, 65};
    return bytes[kind];
}

static int kind_open(const struct page_codec *c, enum kind kind, const uint8_t *disk)
{
    static uint8_t out[LEDGER_SLOT_BYTES], id[WAL_ID_BYTES];
    switch (kind) {
    case KIND_PAGE:
    case KIND_PAGE_ONE:
        return page_open(c, kind == KIND_PAGE ? 5 : 1, disk, out);
    case KIND_FRAME:
        memcpy(out, disk + 24, SIZE);
        return wal_record_open(c, wal_id, WAL_PAGE, 9, disk, out, SIZE, disk + 24 + SIZE);
    case KIND_LOG_HEADER:
        return wal_header_open(c, disk, id, out);
    case KIND_LEDGER:
        return ledger_slot_open(c, 2, disk, out);
    default:
        return root_open(c, disk, kind_bytes(kind), out);
    }
}

static void kind_seal(const struct page_codec *c, enum kind kind, const uint8_t *plain, uint8_t *disk)
{
    uint8_t nonce[XAES_NONCE_BYTES];
    random_bytes(nonce, sizeof(nonce));
    int r;
    if (kind == KIND_PAGE || kind == KIND_PAGE_ONE)
        r = page_seal(c, kind == KIND_PAGE ? 5 : 1, nonce, plain, disk);
    else if (kind == KIND_FRAME)
        r = wal_record_seal(c, wal_id, WAL_PAGE, 9, nonce, plain, SIZE, disk);
    else if (kind == KIND_LOG_HEADER)
        r = wal_header_seal(c, wal_id, nonce, plain, disk);
    else if (kind == KIND_LEDGER)
        r = ledger_slot_seal(c, 2, nonce, plain, disk);
    else
        r = root_seal(c, nonce, plain, kind_bytes(kind) - 40, disk);
    require(r == 0);
}

static void seal_and_damage(const struct page_codec *c, const uint8_t *data, size_t size)
{
    static uint8_t plain[LEDGER_SLOT_BYTES], disk[LEDGER_SLOT_BYTES];
    enum kind kind = (enum kind)(data[0] % KIND_COUNT);
    memset(plain, data[1], sizeof(plain));
    memcpy(plain, data, size < sizeof(plain) ? size : sizeof(plain));
    kind_seal(c, kind, plain, disk);
    require(kind_open(c, kind, disk) == 0);
    for (int other = 0; other < KIND_COUNT; other++)
        require(other == (int)kind || kind_open(c, (enum kind)other, disk) < 0);
    /* The zeros that fill up a log's header say nothing and are not read. */
    size_t len = kind == KIND_LOG_HEADER ? 96 : kind_bytes(kind);
    disk[((size_t)data[2] << 8 | data[3]) % len] ^= (uint8_t)(1 << (data[4] & 7));
    require(kind_open(c, kind, disk) < 0);
}

static void open_as_they_are(const struct page_codec *c, const uint8_t *data, size_t size)
{
    static uint8_t disk[LEDGER_SLOT_BYTES];
    memset(disk, 0, sizeof(disk));
    memcpy(disk, data, size < sizeof(disk) ? size : sizeof(disk));
    for (int kind = 0; kind < KIND_COUNT; kind++)
        require(kind_open(c, (enum kind)kind, disk) < 0);
}

static void parse_root(const uint8_t *data, size_t size)
{
    struct ledger ledger;
    ledger_init(&ledger);
    int r = ledger_root_parse(&ledger, data, size);
    require(r <= 0);
    if (r == 0 && ledger.pages > 0) {
        uint8_t entry[LEDGER_ENTRY_BYTES];
        require(ledger_get(&ledger, ledger.pages, entry) && !ledger_get(&ledger, ledger.pages + 1, entry));
    }
    ledger_done(&ledger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct page_codec c = codec_get();
    open_as_they_are(&c, data, size);
    parse_root(data, size);
    if (size >= 5)
        seal_and_damage(&c, data, size);
    return 0;
}
