/* SPDX-License-Identifier: GPL-3.0-or-later
 * The database under another page key: its pages copied into a folder beside while it is in use, what changed meanwhile copied
 * again under the caller's lock, and then the copy taken in its place (encryption.md §1.4).
 *
 * A copy has a salt, a ledger and a root of its own. Whether the old files or the copy count is decided by the store header,
 * which names the page key: the caller writes it between finish and adopt, and calls move() at the next open where a crash came
 * before all files were in place. */
#include "meta/sqlite.h"
#include "meta/sqlite_vfs.h"
#include "util/reason.h"
#include "util/xaes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct meta_rekey {
    struct vfs_store *to;
    uint8_t (*copied)[LEDGER_ENTRY_BYTES]; /* of page p at p - 1: which state of it was copied */
    uint32_t copied_pages;
    uint8_t *page, *sealed;
};

/* meta.db last: while it lies in the folder, a log beside the old one belongs to the old key. */
static const char *const rekey_files[] = {"meta.ledger", "meta.root", "meta.db"};
enum { REKEY_FILES = sizeof(rekey_files) / sizeof(rekey_files[0]), PROGRESS_PAGES = 256 };

void sqlite_rekey_free(struct meta_rekey *k)
{
    if (!k)
        return;
    vfs_store_free(k->to);
    free(k->copied);
    free(k->page);
    free(k->sealed);
    free(k);
}

static int copied_grow(struct meta_rekey *k, uint32_t pages)
{
    if (pages <= k->copied_pages)
        return 0;
    void *grown = realloc(k->copied, (size_t)pages * LEDGER_ENTRY_BYTES);
    if (!grown)
        return -ENOMEM;
    k->copied = grown;
    memset(k->copied[k->copied_pages], 0, (size_t)(pages - k->copied_pages) * LEDGER_ENTRY_BYTES);
    k->copied_pages = pages;
    return 0;
}

static int page_copy(struct vfs_store *from, struct meta_rekey *k, uint32_t page)
{
    struct vfs_store *to = k->to;
    size_t size = to->codec.page_size_bytes;
    int r = db_page_read(from, page, k->page);
    if (r < 0)
        return r;
    uint8_t nonce[XAES_NONCE_BYTES];
    static const uint8_t never[LEDGER_ENTRY_BYTES];
    do {
        random_bytes(nonce, sizeof(nonce));
    } while (memcmp(nonce, never, sizeof(never)) == 0);
    r = page_seal(&to->codec, page, nonce, k->page, k->sealed);
    if (r == 0)
        r = vfs_pwrite_all(to->db_fd, k->sealed, size, (off_t)(page - 1) * (off_t)size);
    return r < 0 ? r : ledger_set(&to->ledger, page, nonce);
}

/* Every page whose state is not the one copied. */
static int pages_copy(struct vfs_store *from, struct meta_rekey *k, struct meta_progress progress)
{
    uint32_t pages = ledger_pages(&from->ledger);
    int r = copied_grow(k, pages);
    if (r == 0)
        r = ledger_resize(&k->to->ledger, pages);
    if (r == 0 && ftruncate(k->to->db_fd, (off_t)pages * k->to->codec.page_size_bytes) < 0)
        r = -errno;
    static const uint8_t never[LEDGER_ENTRY_BYTES];
    for (uint32_t page = 1; r == 0 && page <= pages; page++) {
        uint8_t entry[LEDGER_ENTRY_BYTES];
        if (progress.fn && page % PROGRESS_PAGES == 0 && progress.fn(progress.arg, page, pages) != 0)
            return -ECANCELED;
        if (!ledger_get(&from->ledger, page, entry) || memcmp(entry, never, sizeof(never)) == 0 ||
            memcmp(entry, k->copied[page - 1], sizeof(entry)) == 0)
            continue;
        r = page_copy(from, k, page);
        if (r == 0)
            memcpy(k->copied[page - 1], entry, sizeof(entry));
    }
    return r;
}

int sqlite_rekey_begin(struct meta *m, const char *dir, const uint8_t page_key[32], struct meta_progress progress,
                       struct meta_rekey **ret, struct reason *reason)
{
    struct vfs_store *from = m->store;
    struct meta_rekey *k = calloc(1, sizeof(*k));
    if (!k)
        return -ENOMEM;
    struct meta_config config = {.dir = dir,
                                 .store_id = from->codec.store,
                                 .page_key = page_key,
                                 .page_size_bytes = from->codec.page_size_bytes,
                                 .create = true,
                                 .integrity = from->integrity,
                                 .integrity_arg = from->integrity_arg};
    k->page = malloc(from->codec.page_size_bytes);
    k->sealed = malloc(from->codec.page_size_bytes);
    int r = k->page && k->sealed ? vfs_store_new(&config, &k->to, reason) : -ENOMEM;
    if (r == 0) {
        LOCK_SCOPE(&m->checkpoint_lock); /* nothing else writes to meta.db */
        /* Pages that a checkpoint wrote when it was killed are good in the log alone, and not to be read here. */
        int rc = sqlite3_wal_checkpoint_v2(m->checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        r = rc == SQLITE_BUSY ? 0 : sqlite_errno(rc);
        if (r == 0)
            r = pages_copy(from, k, progress);
    }
    /* The bulk of it, while nobody waits. */
    if (r == 0 && fdatasync(k->to->db_fd) < 0)
        r = -errno;
    if (r < 0) {
        sqlite_rekey_free(k);
        return r;
    }
    *ret = k;
    return 0;
}

int sqlite_rekey_finish(struct meta *m, struct meta_rekey *k)
{
    assert(!m->in_transaction);
    int r = meta_sqlite_ops.checkpoint(m, true, NULL);
    if (r == 0 && vfs_store_log_frames(m->store))
        r = -EBUSY;
    if (r == 0)
        r = pages_copy(m->store, k, (struct meta_progress){NULL, NULL});
    if (r == 0 && fdatasync(k->to->db_fd) < 0)
        r = -errno;
    if (r == 0)
        r = ledger_save(k->to);
    /* The log is empty, and stays so whatever happens next. */
    if (r == 0 && m->store->wal.fd >= 0 && fsync(m->store->wal.fd) < 0)
        r = -errno;
    return r < 0 ? r : vfs_fsync_dir(k->to->dir);
}

/* ---- in its place ---- */

static int files_move(const char *from, const char *dir)
{
    for (size_t i = 0; i < REKEY_FILES; i++) {
        char source[4200], target[4200];
        snprintf(source, sizeof(source), "%s/%s", from, rekey_files[i]);
        snprintf(target, sizeof(target), "%s/%s", dir, rekey_files[i]);
        if (rename(source, target) < 0 && errno != ENOENT)
            return -errno;
    }
    int r = vfs_fsync_dir(dir);
    return r < 0 ? r : vfs_fsync_dir(from);
}

int sqlite_rekey_move(const char *from, const char *dir)
{
    char path[4200];
    snprintf(path, sizeof(path), "%s/meta.db", from);
    if (access(path, F_OK) == 0) {
        snprintf(path, sizeof(path), "%s/meta.db-wal", dir);
        if (unlink(path) < 0 && errno != ENOENT)
            return -errno;
        int r = vfs_fsync_dir(dir);
        if (r < 0)
            return r;
    }
    return files_move(from, dir);
}

int sqlite_rekey_drop(const char *from)
{
    static const char *const others[] = {"meta.db-wal", "meta.root.new", "meta.redo"};
    char path[4200];
    for (size_t i = 0; i < REKEY_FILES + 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", from, i < REKEY_FILES ? rekey_files[i] : others[i - REKEY_FILES]);
        if (unlink(path) < 0 && errno != ENOENT)
            return -errno;
    }
    return rmdir(from) < 0 ? -errno : 0;
}

#define EXCHANGE(a, b)             \
    do {                           \
        __typeof__(a) kept_ = (a); \
        (a) = (b);                 \
        (b) = kept_;               \
    } while (0)

static void ledgers_exchange(struct ledger *a, struct ledger *b)
{
    LOCK_SCOPE(&a->lock);
    EXCHANGE(a->entries, b->entries);
    EXCHANGE(a->blocks, b->blocks);
    EXCHANGE(a->block_count, b->block_count);
    EXCHANGE(a->pages, b->pages);
    EXCHANGE(a->seq, b->seq);
    EXCHANGE(a->dirty, b->dirty);
    EXCHANGE(a->broken, b->broken);
}

int sqlite_rekey_adopt(struct meta *m, struct meta_rekey *k)
{
    LOCK_SCOPE(&m->checkpoint_lock);
    struct vfs_store *store = m->store, *to = k->to;
    int r = files_move(to->dir, store->dir);
    /* The plaintext is the same, so SQLite's page cache stays right. */
    EXCHANGE(store->db_fd, to->db_fd);
    EXCHANGE(store->ledger_fd, to->ledger_fd);
    EXCHANGE(store->key, to->key);
    EXCHANGE(store->codec, to->codec);
    ledgers_exchange(&store->ledger, &to->ledger);
    if (r < 0)
        store->ledger.broken = true; /* until the next open has moved them */
    return r;
}
