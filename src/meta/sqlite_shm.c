/* SPDX-License-Identifier: GPL-3.0-or-later
 * The wal-index served from memory, in place of a -shm file, which would hold a copy of the last plaintext
 * checksum. One process has a store open, so nobody else needs it. The locks follow SQLite's os_unix.c. */
#include "meta/sqlite_vfs.h"
#include "util/cleanup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void wal_index_init(struct wal_index *shm)
{
    *shm = (struct wal_index){.region_count = 0};
    pthread_mutex_init(&shm->lock, NULL);
}

static void regions_free(struct wal_index *shm)
{
    for (int i = 0; i < shm->region_count; i++)
        free(shm->regions[i]);
    free(shm->regions);
    shm->regions = NULL;
    shm->region_count = 0;
}

void wal_index_done(struct wal_index *shm)
{
    regions_free(shm);
    pthread_mutex_destroy(&shm->lock);
}

static int regions_grow(struct wal_index *shm, int count, size_t size)
{
    void **regions = realloc(shm->regions, (size_t)count * sizeof(*regions));
    if (!regions)
        return SQLITE_IOERR_NOMEM;
    shm->regions = regions;
    while (shm->region_count < count) {
        void *fresh = calloc(1, size);
        if (!fresh)
            return SQLITE_IOERR_NOMEM;
        regions[shm->region_count++] = fresh;
    }
    return SQLITE_OK;
}

int wal_index_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret)
{
    struct vfs_file *file = (struct vfs_file *)f;
    struct wal_index *shm = &file->store->shm;
    LOCK_SCOPE(&shm->lock);
    *ret = NULL;
    if (!file->shm_mapped) {
        file->shm_mapped = true;
        shm->users++;
    }
    if (region >= shm->region_count) {
        if (!extend)
            return SQLITE_OK;
        int rc = regions_grow(shm, region + 1, (size_t)size);
        if (rc != SQLITE_OK)
            return rc;
    }
    *ret = shm->regions[region];
    return SQLITE_OK;
}

static void locks_drop(struct vfs_file *file, uint8_t mask)
{
    struct wal_index *shm = &file->store->shm;
    for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
        if (file->shm_shared & mask & (1 << i))
            shm->shared[i]--;
        if (file->shm_exclusive & mask & (1 << i))
            shm->exclusive[i] = false;
    }
    file->shm_shared &= (uint8_t)~mask;
    file->shm_exclusive &= (uint8_t)~mask;
}

static int locks_take_shared(struct vfs_file *file, int i)
{
    struct wal_index *shm = &file->store->shm;
    if (file->shm_shared & (1 << i))
        return SQLITE_OK;
    if (shm->exclusive[i])
        return SQLITE_BUSY;
    shm->shared[i]++;
    file->shm_shared |= (uint8_t)(1 << i);
    return SQLITE_OK;
}

static int locks_take_exclusive(struct vfs_file *file, int from, int to, uint8_t mask)
{
    struct wal_index *shm = &file->store->shm;
    assert(!(file->shm_shared & mask));
    for (int i = from; i < to; i++) {
        if (!(file->shm_exclusive & (1 << i)) && (shm->exclusive[i] || shm->shared[i]))
            return SQLITE_BUSY;
    }
    for (int i = from; i < to; i++)
        shm->exclusive[i] = true;
    file->shm_exclusive |= mask;
    return SQLITE_OK;
}

int wal_index_lock(sqlite3_file *f, int offset, int n, int flags)
{
    struct vfs_file *file = (struct vfs_file *)f;
    assert(offset >= 0 && n >= 1 && offset + n <= SQLITE_SHM_NLOCK);
    uint8_t mask = (uint8_t)(((1u << n) - 1) << offset);
    LOCK_SCOPE(&file->store->shm.lock);
    if (flags & SQLITE_SHM_UNLOCK) {
        locks_drop(file, mask);
        return SQLITE_OK;
    }
    if (flags & SQLITE_SHM_SHARED)
        return locks_take_shared(file, offset);
    return locks_take_exclusive(file, offset, offset + n, mask);
}

void wal_index_barrier(sqlite3_file *f)
{
    (void)f;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

int wal_index_unmap(sqlite3_file *f, int delete_it)
{
    (void)delete_it;
    struct vfs_file *file = (struct vfs_file *)f;
    struct wal_index *shm = &file->store->shm;
    LOCK_SCOPE(&shm->lock);
    if (!file->shm_mapped)
        return SQLITE_OK;
    file->shm_mapped = false;
    locks_drop(file, 0xff);
    if (--shm->users == 0)
        regions_free(shm);
    return SQLITE_OK;
}
