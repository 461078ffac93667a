/* SPDX-License-Identifier: GPL-3.0-or-later
 * The local segment store: a directory of files NNNNNNNN.seg (the segment's number, eight hexadecimal digits).
 *
 * What must hold: space in a segment is handed out once and never again, so that nothing written is ever
 * overwritten; a segment's number is given once, so that a copy knows a segment by it: where the highest is removed, an empty
 * file with the next number, the marker, keeps the count; a segment is unsynced from the moment an append to it returned until an fdatasync that began later
 * succeeded; after a failed fdatasync the kernel may have dropped the pages, so no later sync of this store
 * reports success. */
#include "block/block.h"
#include "block/local_dir.h"
#include "block/local_fds.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/reason.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum {
    /* Free space is asked for this often at most. */
    LOCAL_FREE_AGE_NS = 100 * 1000 * 1000,
    /* Full segments that wait for a sync keep a descriptor each; beyond this many, appending waits for a sync. */
    LOCAL_UNSYNCED_MAX = 32,
};

/* A segment made by this process that takes appends, or whose appends are not all synced yet. */
struct local_segment {
    uint32_t number;
    int fd;
    uint64_t reserved_bytes;
    uint32_t writers; /* appends under way */
    bool unsynced;    /* appends returned that no sync has covered */
    bool syncing;
    struct local_segment *next;
};

struct local {
    struct local_fds *fds;
    int dir_fd;
    bool read_only;
    uint64_t segment_size_bytes, reserve_bytes;

    pthread_mutex_t roll; /* held by the one thread that makes a segment; taken before `lock` */

    pthread_mutex_t lock; /* guards all below; no I/O under it */
    struct local_segment *segments; /* all there are */
    struct local_segment *current;  /* among them; NULL: the next append makes one */
    uint32_t last_number;
    uint32_t marker; /* number of the marker, or 0 */
    uint32_t segment_count;
    bool dir_unsynced;

    pthread_cond_t synced;
    bool sync_running;
    uint64_t syncs_begun, syncs_ended;
    int sync_error; /* of the first sync that failed, for good */

    int64_t free_asked_ns;
    uint64_t free_bytes;
};

static struct local *local_of(struct block *b)
{
    return (struct local *)b;
}

/* --- opening ---------------------------------------------------------------------------------------------- */

static void local_close(struct block *b)
{
    struct local *l = local_of(b);
    if (!l)
        return;
    while (l->segments) {
        struct local_segment *s = l->segments;
        assert(s->writers == 0);
        l->segments = s->next;
        close(s->fd);
        free(s);
    }
    local_fds_free(l->fds);
    close(l->dir_fd);
    pthread_cond_destroy(&l->synced);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->roll);
    free(l);
}

static bool local_is_empty(int dir_fd, uint32_t number)
{
    char name[LOCAL_NAME_BYTES];
    struct stat st;
    local_name(number, name);
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == 0;
}

static int local_open_dir(const struct block_config *config, uint32_t *ret_highest, struct reason *reason)
{
    int r = config->read_only ? 0 : local_dir_make(config->dir);
    if (r < 0)
        return reason_fail(reason, -r, "the segment directory %s cannot be made: %s", config->dir, strerror(-r));
    int fd = open(config->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return reason_fail(reason, errno, "the segment directory %s cannot be opened: %s", config->dir,
                           strerror(errno));
    CLEANUP_FREE uint32_t *numbers = NULL;
    size_t count;
    r = local_dir_numbers(fd, &numbers, &count);
    if (r < 0) {
        close(fd);
        return reason_fail(reason, -r, "the segment directory %s cannot be read: %s", config->dir, strerror(-r));
    }
    *ret_highest = count ? numbers[count - 1] : 0;
    return fd;
}

static int local_open(const struct block_config *config, struct block **ret, struct reason *reason)
{
    assert(config->segment_size_bytes > 0);
    struct local *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->dir_fd = local_open_dir(config, &l->last_number, reason);
    if (l->dir_fd < 0) {
        int r = l->dir_fd;
        free(l);
        return r;
    }
    if (l->last_number && local_is_empty(l->dir_fd, l->last_number))
        l->marker = l->last_number; /* or one that a crash left without content, which is as good */
    l->read_only = config->read_only;
    l->segment_size_bytes = config->segment_size_bytes;
    l->reserve_bytes = config->reserve_bytes;
    pthread_mutex_init(&l->roll, NULL);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->synced, NULL);
    l->fds = local_fds_new(l->dir_fd);
    if (!l->fds) {
        local_close((struct block *)l);
        return -ENOMEM;
    }
    *ret = (struct block *)l;
    return 0;
}

/* --- appending -------------------------------------------------------------------------------------------- */

/* Forgets a segment that is neither in use nor waits for a sync. Under `lock`; returns a descriptor to close, or -1. */
static int local_retire(struct local *l, struct local_segment *s)
{
    if (s == l->current || s->writers || s->unsynced || s->syncing)
        return -1;
    struct local_segment **at = &l->segments;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    l->segment_count--;
    int fd = s->fd;
    free(s);
    return fd;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* Room for len bytes in the current segment, if it has it. Under `lock`. */
static struct local_segment *local_reserve(struct local *l, size_t len, uint64_t *ret_offset)
{
    struct local_segment *s = l->current;
    if (!s || (s->reserved_bytes && s->reserved_bytes + len > l->segment_size_bytes))
        return NULL;
    *ret_offset = s->reserved_bytes;
    s->reserved_bytes += len;
    s->writers++;
    return s;
}

static int local_sync(struct block *b);

static int local_make_segment(struct local *l)
{
    struct local_segment *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    if (l->last_number == UINT32_MAX) {
        free(s);
        return -ENOSPC;
    }
    s->number = l->last_number + 1;
    char name[LOCAL_NAME_BYTES];
    local_name(s->number, name);
    s->fd = openat(l->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (s->fd < 0) {
        int r = -errno;
        free(s);
        return r;
    }
    int surplus = -1;
    uint32_t marker;
    {
        LOCK_SCOPE(&l->lock);
        struct local_segment *old = l->current;
        marker = l->marker;
        l->marker = 0;
        l->last_number = s->number;
        l->current = s;
        s->next = l->segments;
        l->segments = s;
        l->segment_count++;
        l->dir_unsynced = true;
        if (old)
            surplus = local_retire(l, old);
    }
    close_if_open(surplus);
    if (marker) {
        local_name(marker, name);
        unlinkat(l->dir_fd, name, 0); /* one that stays is an empty segment, for gc to remove */
    }
    return 0;
}

/* The way when the current segment is full: one thread makes the next, the others wait for it. */
static int local_reserve_in_new(struct local *l, size_t len, struct local_segment **ret, uint64_t *ret_offset)
{
    LOCK_SCOPE(&l->roll);
    bool many;
    {
        LOCK_SCOPE(&l->lock);
        *ret = local_reserve(l, len, ret_offset);
        if (*ret)
            return 0;
        many = l->segment_count >= LOCAL_UNSYNCED_MAX;
    }
    int r = many ? local_sync((struct block *)l) : 0;
    if (r == 0)
        r = local_make_segment(l);
    if (r < 0)
        return r;
    LOCK_SCOPE(&l->lock);
    *ret = local_reserve(l, len, ret_offset);
    assert(*ret);
    return 0;
}

static int local_write(int fd, const uint8_t *buf, size_t len, uint64_t offset)
{
    while (len) {
        ssize_t n = pwrite(fd, buf, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        buf += n;
        len -= (size_t)n;
        offset += (size_t)n;
    }
    return 0;
}

/* -ENOSPC when an append of len bytes would eat into the reserve. */
static int local_check_free(struct local *l, size_t len)
{
    if (!l->reserve_bytes)
        return 0;
    int64_t now = clock_mono_ns();
    bool fresh;
    {
        LOCK_SCOPE(&l->lock);
        /* unsigned: a test clock that was put back counts as old, too */
        fresh = (uint64_t)(now - l->free_asked_ns) < LOCAL_FREE_AGE_NS && l->free_asked_ns;
    }
    if (!fresh) {
        struct statvfs fs;
        if (fstatvfs(l->dir_fd, &fs) < 0)
            return -errno;
        LOCK_SCOPE(&l->lock);
        l->free_asked_ns = now;
        l->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    }
    LOCK_SCOPE(&l->lock);
    if (l->free_bytes < l->reserve_bytes || l->free_bytes - l->reserve_bytes < len)
        return -ENOSPC;
    l->free_bytes -= len;
    return 0;
}

static int local_append(struct block *b, const void *buf, size_t len, struct block_place *ret)
{
    struct local *l = local_of(b);
    if (l->read_only)
        return -EROFS;
    int r = local_check_free(l, len);
    if (r < 0)
        return r;
    struct local_segment *s;
    uint64_t offset;
    {
        LOCK_SCOPE(&l->lock);
        s = local_reserve(l, len, &offset);
    }
    if (!s)
        r = local_reserve_in_new(l, len, &s, &offset);
    if (r < 0)
        return r;
    r = local_write(s->fd, buf, len, offset);
    int surplus;
    {
        LOCK_SCOPE(&l->lock);
        s->writers--;
        s->unsynced = true; /* a failed write, too: part of it may have reached the file */
        if (r == 0)
            *ret = (struct block_place){s->number, offset};
        surplus = local_retire(l, s);
    }
    close_if_open(surplus);
    return r;
}

/* --- syncing ---------------------------------------------------------------------------------------------- */

/* The next segment that this sync has to flush, claimed; NULL when none is left. */
static struct local_segment *local_claim_unsynced(struct local *l)
{
    LOCK_SCOPE(&l->lock);
    for (struct local_segment *s = l->segments; s; s = s->next) {
        if (s->unsynced && !s->syncing) {
            s->unsynced = false;
            s->syncing = true;
            return s;
        }
    }
    return NULL;
}

/* Flushes what was unsynced when it began. A segment written again meanwhile may be flushed twice; each pass
 * through the list ends because `syncing` stays set until the end. */
static int local_flush(struct local *l, bool dir)
{
    int r = 0;
    struct local_segment *s;
    while ((s = local_claim_unsynced(l))) {
        if (fdatasync(s->fd) < 0 && r == 0)
            r = -errno;
    }
    /* The directory comes after the files: an entry without its data is worth nothing. */
    if (dir && fsync(l->dir_fd) < 0 && r == 0)
        r = -errno;
    return r;
}

/* Closes what the sync has made dispensable. */
static void local_release_synced(struct local *l)
{
    for (;;) {
        int surplus = -1;
        {
            LOCK_SCOPE(&l->lock);
            struct local_segment *s = l->segments, *next;
            for (; s && surplus < 0; s = next) {
                next = s->next;
                s->syncing = false;
                surplus = local_retire(l, s);
            }
        }
        if (surplus < 0)
            return;
        close(surplus);
    }
}

/* Whether anything that was appended is not covered by a sync that ended or runs. Under `lock`. */
static bool local_unsynced(const struct local *l)
{
    if (l->dir_unsynced)
        return true;
    for (const struct local_segment *s = l->segments; s; s = s->next) {
        if (s->unsynced)
            return true;
    }
    return false;
}

/* Runs one sync for all who wait. Called with `lock` held, which it gives up meanwhile. */
static void local_sync_lead(struct local *l)
{
    l->sync_running = true;
    l->syncs_begun++;
    bool dir = l->dir_unsynced;
    l->dir_unsynced = false;
    pthread_mutex_unlock(&l->lock);
    int r = local_flush(l, dir);
    local_release_synced(l);
    pthread_mutex_lock(&l->lock);
    if (r < 0 && !l->sync_error)
        l->sync_error = r;
    l->sync_running = false;
    l->syncs_ended = l->syncs_begun;
    pthread_cond_broadcast(&l->synced);
}

static int local_sync(struct block *b)
{
    struct local *l = local_of(b);
    LOCK_SCOPE(&l->lock);
    uint64_t need = l->syncs_begun + (local_unsynced(l) ? 1 : 0);
    while (l->syncs_ended < need) {
        if (l->sync_running)
            pthread_cond_wait(&l->synced, &l->lock);
        else
            local_sync_lead(l);
    }
    return l->sync_error;
}

/* --- reading ---------------------------------------------------------------------------------------------- */

static int local_read_exactly(int fd, uint8_t *buf, size_t len, uint64_t offset)
{
    while (len) {
        ssize_t n = pread(fd, buf, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        buf += n;
        len -= (size_t)n;
        offset += (size_t)n;
    }
    return 0;
}

static int local_read(struct block *b, struct block_place at, void *buf, size_t len)
{
    struct local *l = local_of(b);
    uint64_t end;
    if (!at.segment)
        return -ENOENT;
    if (__builtin_add_overflow(at.offset_bytes, len, &end) || end > INT64_MAX)
        return -ENODATA;
    struct local_fd held;
    int r = local_fds_get(l->fds, at.segment, &held);
    if (r < 0)
        return r;
    r = local_read_exactly(held.fd, buf, len, at.offset_bytes);
    local_fds_put(l->fds, held);
    return r;
}

/* --- whole segments --------------------------------------------------------------------------------------- */

static struct local_segment *local_live(struct local *l, uint32_t number)
{
    struct local_segment *s = l->segments;
    while (s && s->number != number)
        s = s->next;
    return s;
}

/* Under `lock`. */
static bool local_takes_appends(const struct local *l, const struct local_segment *s)
{
    return s && (s == l->current || s->writers);
}

static int local_list_one(struct local *l, uint32_t number, block_segment_fn *fn, void *arg)
{
    {
        LOCK_SCOPE(&l->lock);
        if (number == l->marker)
            return 0;
    }
    char name[LOCAL_NAME_BYTES];
    local_name(number, name);
    struct stat st;
    if (fstatat(l->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    bool open_for_append;
    {
        LOCK_SCOPE(&l->lock);
        open_for_append = local_takes_appends(l, local_live(l, number));
    }
    return fn(arg, number, (uint64_t)st.st_size, open_for_append);
}

static int local_list(struct block *b, block_segment_fn *fn, void *arg)
{
    struct local *l = local_of(b);
    CLEANUP_FREE uint32_t *numbers = NULL;
    size_t count = 0;
    int r = local_dir_numbers(l->dir_fd, &numbers, &count);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = local_list_one(l, numbers[i], fn, arg);
    return r;
}

static bool local_fresh(struct local *l, uint32_t segment)
{
    LOCK_SCOPE(&l->lock);
    return local_takes_appends(l, local_live(l, segment));
}

/* Before the segment with the highest number goes. */
static int local_mark(struct local *l, uint32_t segment)
{
    LOCK_SCOPE(&l->roll);
    uint32_t number;
    {
        LOCK_SCOPE(&l->lock);
        if (segment != l->last_number || l->last_number == UINT32_MAX)
            return 0;
        number = l->last_number + 1;
    }
    char name[LOCAL_NAME_BYTES];
    local_name(number, name);
    CLEANUP_FD int fd = openat(l->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == ENOSPC ? 0 : -errno; /* making room comes first */
    LOCK_SCOPE(&l->lock);
    l->last_number = l->marker = number;
    return 0;
}

static int local_remove(struct block *b, uint32_t segment)
{
    struct local *l = local_of(b);
    if (l->read_only)
        return -EROFS;
    if (local_fresh(l, segment))
        return -EBUSY;
    char name[LOCAL_NAME_BYTES];
    local_name(segment, name);
    struct stat st;
    if (fstatat(l->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    int r = local_mark(l, segment);
    if (r < 0)
        return r;
    if (unlinkat(l->dir_fd, name, 0) < 0)
        return -errno;
    local_fds_forget(l->fds, segment);
    int surplus = -1;
    {
        LOCK_SCOPE(&l->lock);
        l->dir_unsynced = true;
        struct local_segment *s = local_live(l, segment);
        if (s) {
            s->unsynced = false;
            surplus = local_retire(l, s);
        }
    }
    close_if_open(surplus);
    return 0;
}

static int local_seal(struct block *b)
{
    struct local *l = local_of(b);
    int surplus = -1;
    LOCK_SCOPE(&l->roll);
    {
        LOCK_SCOPE(&l->lock);
        struct local_segment *s = l->current;
        l->current = NULL;
        if (s)
            surplus = local_retire(l, s);
    }
    close_if_open(surplus);
    return 0;
}

static uint32_t local_last(struct block *b)
{
    struct local *l = local_of(b);
    LOCK_SCOPE(&l->lock);
    return l->last_number;
}

static int local_free_space(struct block *b, uint64_t *ret_total, uint64_t *ret_free)
{
    struct local *l = local_of(b);
    struct statvfs fs;
    if (fstatvfs(l->dir_fd, &fs) < 0)
        return -errno;
    *ret_total = (uint64_t)fs.f_blocks * fs.f_frsize;
    *ret_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}

extern const struct block_ops block_local;
const struct block_ops block_local = {
    .name = "local",
    .open = local_open,
    .close = local_close,
    .append = local_append,
    .read = local_read,
    .sync = local_sync,
    .list = local_list,
    .remove = local_remove,
    .seal = local_seal,
    .last = local_last,
    .free_space = local_free_space,
};
