/* SPDX-License-Identifier: GPL-3.0-or-later
 * The page ledger: which state of each page of meta.db is the current one, kept in memory, saved by each sync
 * of meta.db into meta.ledger, and anchored by meta.root, which is replaced whole.
 *
 * Block b has two slots on disk; a save writes the one that meta.root does not name, so a crash at any point
 * leaves the old root with its old slots. */
#include "meta/sqlite_vfs.h"
#include "util/bytes.h"
#include "util/cleanup.h"
#include "util/reason.h"
#include "util/xaes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A root of this length describes 2^32 pages. */
static const off_t root_max_bytes =
    ROOT_HEAD_BYTES + ROOT_BLOCK_BYTES * (UINT32_MAX / LEDGER_BLOCK_PAGES + 1ll) + 40;

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){.pages = 0};
    pthread_mutex_init(&ledger->save_lock, NULL);
    pthread_mutex_init(&ledger->lock, NULL);
}

void ledger_done(struct ledger *ledger)
{
    free(ledger->entries);
    free(ledger->blocks);
    pthread_mutex_destroy(&ledger->save_lock);
    pthread_mutex_destroy(&ledger->lock);
}

static uint32_t blocks_for(uint32_t pages)
{
    return pages / LEDGER_BLOCK_PAGES + (pages % LEDGER_BLOCK_PAGES != 0);
}

/* Makes room for that many blocks. New ones are empty, and will be written to slot 0 first. */
static int blocks_grow(struct ledger *ledger, uint32_t count)
{
    if (count <= ledger->block_count)
        return 0;
    uint32_t cap = count + count / 2;
    void *entries = realloc(ledger->entries, (size_t)cap * LEDGER_PLAIN_BYTES);
    if (!entries)
        return -ENOMEM;
    ledger->entries = entries;
    struct ledger_block *blocks = realloc(ledger->blocks, cap * sizeof(*blocks));
    if (!blocks)
        return -ENOMEM;
    ledger->blocks = blocks;
    memset(ledger->entries[(size_t)ledger->block_count * LEDGER_BLOCK_PAGES], 0,
           (size_t)(cap - ledger->block_count) * LEDGER_PLAIN_BYTES);
    for (uint32_t b = ledger->block_count; b < cap; b++)
        blocks[b] = (struct ledger_block){.slot = 1, .dirty = true};
    ledger->block_count = cap;
    return 0;
}

bool ledger_get(struct ledger *ledger, uint32_t page, uint8_t ret[LEDGER_ENTRY_BYTES])
{
    LOCK_SCOPE(&ledger->lock);
    if (page == 0 || page > ledger->pages)
        return false;
    memcpy(ret, ledger->entries[page - 1], LEDGER_ENTRY_BYTES);
    return true;
}

int ledger_set(struct ledger *ledger, uint32_t page, const uint8_t entry[LEDGER_ENTRY_BYTES])
{
    assert(page > 0);
    LOCK_SCOPE(&ledger->lock);
    if (page > ledger->pages) {
        int r = blocks_grow(ledger, blocks_for(page));
        if (r < 0)
            return r;
        ledger->pages = page;
    }
    memcpy(ledger->entries[page - 1], entry, LEDGER_ENTRY_BYTES);
    ledger->blocks[(page - 1) / LEDGER_BLOCK_PAGES].dirty = true;
    ledger->dirty = true;
    return 0;
}

int ledger_resize(struct ledger *ledger, uint32_t pages)
{
    LOCK_SCOPE(&ledger->lock);
    int r = blocks_grow(ledger, blocks_for(pages));
    if (r < 0 || pages == ledger->pages)
        return r;
    for (uint32_t p = pages; p < ledger->pages; p++) {
        memset(ledger->entries[p], 0, LEDGER_ENTRY_BYTES);
        ledger->blocks[p / LEDGER_BLOCK_PAGES].dirty = true;
    }
    ledger->pages = pages;
    ledger->dirty = true;
    return 0;
}

uint32_t ledger_pages(struct ledger *ledger)
{
    LOCK_SCOPE(&ledger->lock);
    return ledger->pages;
}

bool ledger_dirty(struct ledger *ledger)
{
    LOCK_SCOPE(&ledger->lock);
    return ledger->dirty;
}

/* ---- saving ---- */

/* One block into its other slot; *next is what meta.root will say of it. */
static int block_write(struct vfs_store *store, uint32_t b, struct ledger_block *next)
{
    struct ledger *ledger = &store->ledger;
    uint8_t plain[LEDGER_PLAIN_BYTES], slot[LEDGER_SLOT_BYTES], nonce[XAES_NONCE_BYTES];
    pthread_mutex_lock(&ledger->lock);
    memcpy(plain, ledger->entries[(size_t)b * LEDGER_BLOCK_PAGES], sizeof(plain));
    next->slot = ledger->blocks[b].slot ^ 1;
    ledger->blocks[b].dirty = false;
    pthread_mutex_unlock(&ledger->lock);
    random_bytes(nonce, sizeof(nonce));
    memcpy(next->nonce, nonce, sizeof(next->nonce));
    int r = ledger_slot_seal(&store->codec, b, nonce, plain, slot);
    if (r < 0)
        return r;
    return vfs_pwrite_all(store->ledger_fd, slot, sizeof(slot),
                          (2 * (off_t)b + next->slot) * LEDGER_SLOT_BYTES);
}

/* The blocks as meta.root will name them once the dirty ones are on disk. */
static int blocks_write(struct vfs_store *store, struct ledger_block *next, uint32_t count)
{
    int r = 0;
    for (uint32_t b = 0; b < count && r == 0; b++) {
        if (next[b].dirty)
            r = block_write(store, b, &next[b]);
    }
    if (r == 0 && fdatasync(store->ledger_fd) < 0)
        r = -errno;
    return r;
}

static int root_write_temp(struct vfs_store *store, const void *sealed, size_t len)
{
    CLEANUP_FD int fd =
        open(store->root_temp_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = vfs_pwrite_all(fd, sealed, len, 0);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    return r;
}

static int root_write(struct vfs_store *store, uint64_t seq, uint32_t pages,
                      const struct ledger_block *blocks)
{
    CLEANUP(bytes_done) struct bytes plain = {.len = 0};
    bytes_put_u64(&plain, seq);
    bytes_put_u64(&plain, pages);
    for (uint32_t b = 0; b < blocks_for(pages); b++) {
        bytes_put_u8(&plain, blocks[b].slot);
        bytes_put(&plain, blocks[b].nonce, LEDGER_ENTRY_BYTES);
    }
    CLEANUP_FREE uint8_t *sealed = malloc(plain.len + XAES_OVERHEAD_BYTES);
    if (plain.failed || !sealed)
        return -ENOMEM;
    uint8_t nonce[XAES_NONCE_BYTES];
    random_bytes(nonce, sizeof(nonce));
    int r = root_seal(&store->codec, nonce, plain.data, plain.len, sealed);
    if (r == 0)
        r = root_write_temp(store, sealed, plain.len + XAES_OVERHEAD_BYTES);
    if (r < 0)
        return r;
    if (rename(store->root_temp_path, store->root_path) < 0 || (r = vfs_fsync_dir(store->dir)) < 0) {
        /* Which root a crash would leave is not known, so neither slot may be written again. */
        store->ledger.broken = true;
        return r < 0 ? r : -errno;
    }
    return 0;
}

/* After a failed save its blocks are still to be written. */
static void blocks_restore_dirty(struct ledger *ledger, const struct ledger_block *next, uint32_t count)
{
    LOCK_SCOPE(&ledger->lock);
    for (uint32_t b = 0; b < count; b++)
        ledger->blocks[b].dirty |= next[b].dirty;
    ledger->dirty = true;
}

static void blocks_adopt(struct ledger *ledger, const struct ledger_block *next, uint32_t count, uint64_t seq)
{
    LOCK_SCOPE(&ledger->lock);
    for (uint32_t b = 0; b < count; b++) {
        ledger->blocks[b].slot = next[b].slot;
        memcpy(ledger->blocks[b].nonce, next[b].nonce, LEDGER_ENTRY_BYTES);
    }
    ledger->seq = seq;
}

int ledger_save(struct vfs_store *store)
{
    struct ledger *ledger = &store->ledger;
    LOCK_SCOPE(&ledger->save_lock);
    if (ledger->broken)
        return -EIO;
    CLEANUP_FREE struct ledger_block *next = NULL;
    pthread_mutex_lock(&ledger->lock);
    uint32_t pages = ledger->pages, count = blocks_for(pages);
    uint64_t seq = ledger->seq + 1;
    bool dirty = ledger->dirty;
    if (dirty && (next = malloc((count + 1) * sizeof(*next)))) {
        memcpy(next, ledger->blocks, count * sizeof(*next));
        ledger->dirty = false;
    }
    pthread_mutex_unlock(&ledger->lock);
    if (!dirty)
        return 0;
    if (!next)
        return -ENOMEM;
    int r = blocks_write(store, next, count);
    if (r == 0)
        r = root_write(store, seq, pages, next);
    if (r == 0)
        blocks_adopt(ledger, next, count, seq);
    else
        blocks_restore_dirty(ledger, next, count);
    return r;
}

/* ---- loading ---- */

/* The plaintext of meta.root: caller frees. */
static int root_read(struct vfs_store *store, uint8_t **ret, size_t *ret_len, struct reason *reason)
{
    CLEANUP_FD int fd = open(store->root_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return reason_fail(reason, errno == ENOENT ? EIO : errno, "%s cannot be opened: %s", store->root_path,
                           strerror(errno));
    struct stat st;
    if (fstat(fd, &st) < 0)
        return reason_fail(reason, errno, "%s cannot be read: %s", store->root_path, strerror(errno));
    if (st.st_size < ROOT_HEAD_BYTES + XAES_OVERHEAD_BYTES || st.st_size > root_max_bytes)
        return reason_fail(reason, EIO, "%s has been altered: %lld bytes cannot be a root", store->root_path,
                           (long long)st.st_size);
    size_t sealed_len = (size_t)st.st_size, got = 0;
    CLEANUP_FREE uint8_t *sealed = malloc(sealed_len);
    CLEANUP_FREE uint8_t *plain = malloc(sealed_len);
    if (!sealed || !plain)
        return reason_fail(reason, ENOMEM, "out of memory while reading %s", store->root_path);
    int r = vfs_pread_all(fd, sealed, sealed_len, 0, &got);
    if (r < 0)
        return reason_fail(reason, -r, "%s cannot be read: %s", store->root_path, strerror(-r));
    if (got != sealed_len || root_open(&store->codec, sealed, sealed_len, plain) < 0)
        return reason_fail(reason, EIO, "%s has been altered, or is of another store", store->root_path);
    *ret = plain;
    *ret_len = sealed_len - XAES_OVERHEAD_BYTES;
    plain = NULL;
    return 0;
}

int ledger_root_parse(struct ledger *ledger, const uint8_t *plain, size_t len)
{
    struct reader reader = reader_over(plain, len);
    ledger->seq = reader_u64(&reader);
    uint64_t pages = reader_u64(&reader);
    if (pages > UINT32_MAX || len != ROOT_HEAD_BYTES + (size_t)ROOT_BLOCK_BYTES * blocks_for((uint32_t)pages))
        return -EIO;
    int r = blocks_grow(ledger, blocks_for((uint32_t)pages));
    if (r < 0)
        return r;
    ledger->pages = (uint32_t)pages;
    for (uint32_t b = 0; b < blocks_for(ledger->pages); b++) {
        struct ledger_block *block = &ledger->blocks[b];
        block->slot = reader_u8(&reader);
        const uint8_t *nonce = reader_take(&reader, LEDGER_ENTRY_BYTES);
        if (block->slot > 1 || !nonce)
            return -EIO;
        memcpy(block->nonce, nonce, LEDGER_ENTRY_BYTES);
        block->dirty = false;
    }
    return 0;
}

static int block_read(struct vfs_store *store, uint32_t b)
{
    struct ledger_block *block = &store->ledger.blocks[b];
    uint8_t slot[LEDGER_SLOT_BYTES];
    size_t got = 0;
    int r = vfs_pread_all(store->ledger_fd, slot, sizeof(slot),
                          (2 * (off_t)b + block->slot) * LEDGER_SLOT_BYTES, &got);
    if (r < 0)
        return r;
    if (got != sizeof(slot) || memcmp(slot, block->nonce, LEDGER_ENTRY_BYTES) != 0)
        return -EBADMSG;
    return ledger_slot_open(&store->codec, b, slot, store->ledger.entries[(size_t)b * LEDGER_BLOCK_PAGES]);
}

int ledger_load(struct vfs_store *store, struct reason *reason)
{
    CLEANUP_FREE uint8_t *plain = NULL;
    size_t len = 0;
    int r = root_read(store, &plain, &len, reason);
    if (r < 0)
        return r;
    r = ledger_root_parse(&store->ledger, plain, len);
    if (r < 0)
        return reason_fail(reason, -r, "%s does not hold a root of this format", store->root_path);
    for (uint32_t b = 0; b < blocks_for(store->ledger.pages); b++) {
        r = block_read(store, b);
        if (r == -EBADMSG)
            return reason_fail(reason, EIO,
                               "block %u of %s is not the one %s names: it was altered or put back", b,
                               store->ledger_path, store->root_path);
        if (r < 0)
            return reason_fail(reason, -r, "%s cannot be read: %s", store->ledger_path, strerror(-r));
    }
    return 0;
}
