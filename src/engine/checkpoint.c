/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copies of the metadata kept in the store, STORE/checkpoints/COMMIT-SEQ/, for the day the database itself is damaged
 * (rebuild.c). They are made by the worker at a calm moment: a day after the last one, or an hour and many changes. The newest two stay.
 *
 * A checkpoint holds keys as they were wrapped then. Whatever makes these useless, or means to (a new epoch, page key or master
 * key; data keys renewed), drops all of them and has a new one made. */
#include "engine/upkeep.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHECKPOINTS_KEPT = 2,
    CHECKPOINT_FIRST_S = 120,     /* after opening, where there is none */
    CHECKPOINT_SOON_S = 3600,     /* between two, when much changed */
    CHECKPOINT_LATE_S = 86400,    /* between two, when anything did */
    CHECKPOINT_CALM_S = 600,      /* how long a calm moment is waited for */
    CHECKPOINT_MUCH_COMMITS = 2000,
    CHECKPOINT_ROOM = 4,          /* not made where less is free than so many databases */
};

static void checkpoints_dir(const char *dir, char out[4200])
{
    snprintf(out, 4200, "%s/checkpoints", dir);
}

void checkpoint_path(const char *dir, uint64_t seq, char out[4300])
{
    snprintf(out, 4300, "%s/checkpoints/%020llu", dir, (unsigned long long)seq);
}

static int seq_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

int checkpoint_list(const char *dir, uint64_t ret[CHECKPOINTS_MAX], size_t *ret_count)
{
    char path[4200];
    checkpoints_dir(dir, path);
    *ret_count = 0;
    DIR *d = opendir(path);
    if (!d)
        return errno == ENOENT ? 0 : -errno;
    for (struct dirent *entry; (entry = readdir(d)) && *ret_count < CHECKPOINTS_MAX;) {
        char *end;
        unsigned long long seq = strtoull(entry->d_name, &end, 10);
        if (!*end && end - entry->d_name == 20)
            ret[(*ret_count)++] = seq;
    }
    closedir(d);
    qsort(ret, *ret_count, sizeof *ret, seq_order);
    return 0;
}

int checkpoints_drop(const struct meta_ops *ops, const char *dir, size_t keep)
{
    uint64_t list[CHECKPOINTS_MAX];
    size_t count;
    char path[4300];
    int r = checkpoint_list(dir, list, &count);
    for (size_t i = keep; r == 0 && i < count; i++) {
        checkpoint_path(dir, list[i], path);
        r = ops->rekey_drop(path);
    }
    return r;
}

static int go_on(void *arg, uint64_t done, uint64_t total)
{
    struct engine *e = arg;
    (void)done;
    (void)total;
    return atomic_load(&e->worker_stop);
}

/* All there is, into the folder `fresh`; *ret_seq: the commit it holds. */
static int copy_make(struct engine *e, const char *fresh, uint64_t *ret_seq, struct reason *reason)
{
    struct meta_rekey *k = NULL;
    uint8_t key[32];
    int r = rotate_folder_make(e->meta_ops, fresh, reason);
    if (r < 0)
        return r;
    rotate_page_key(e->keys, store_keys_page_generation(e->keys), key);
    r = e->meta_ops->rekey_begin(e->m, fresh, key, (struct meta_progress){go_on, e}, &k, reason);
    secret_wipe(key, sizeof key);
    if (r == 0) {
        LOCK_SCOPE(&e->meta);
        r = inode_save_dirty_dirs(e);
        if (r == 0)
            r = txn_flush(e);
        if (r == 0)
            r = e->meta_ops->rekey_finish(e->m, k);
        *ret_seq = e->meta_ops->commit_seq(e->m);
    }
    e->meta_ops->rekey_free(k);
    return r;
}

static int copy_keep(struct engine *e, const char *fresh, uint64_t seq)
{
    char path[4300], dir[4200];
    checkpoint_path(e->dir, seq, path);
    checkpoints_dir(e->dir, dir);
    e->meta_ops->rekey_drop(path); /* one of the same commit, where there is one */
    if (rename(fresh, path) < 0)
        return -errno;
    CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return -errno;
    return checkpoints_drop(e->meta_ops, e->dir, CHECKPOINTS_KEPT);
}

int checkpoint_make(struct engine *e, uint64_t *ret_seq, struct reason *reason)
{
    char fresh[4300], dir[4200];
    checkpoints_dir(e->dir, dir);
    snprintf(fresh, sizeof fresh, "%s/new", dir);
    int r = mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
    if (r == 0)
        r = durable_advance(e);
    if (r == 0)
        r = copy_make(e, fresh, ret_seq, reason);
    if (r == 0)
        r = copy_keep(e, fresh, *ret_seq);
    if (r < 0)
        e->meta_ops->rekey_drop(fresh);
    if (r == 0) {
        e->upkeep->checkpoint_seq = *ret_seq;
        e->upkeep->checkpoint_ns = clock_mono_ns();
        e->upkeep->checkpoint_any = true;
        e->upkeep->checkpoint_due = false;
    }
    return r < 0 && reason && !reason->text[0] ? reason_fail(reason, -r, "no checkpoint of the metadata can be made: %s", strerror(-r)) : r;
}

void checkpoints_forget(struct engine *e)
{
    int r = checkpoints_drop(e->meta_ops, e->dir, 0);
    if (r < 0)
        log_warning("checkpoints of the metadata under earlier keys cannot be removed: %s", strerror(-r));
    e->upkeep->checkpoint_any = false;
    e->upkeep->checkpoint_due = true; /* the worker makes one */
}

/* ---- the worker ---- */

void checkpoint_open(struct engine *e)
{
    uint64_t list[CHECKPOINTS_MAX];
    size_t count = 0;
    struct stat st;
    char path[4300];
    struct upkeep *u = e->upkeep;
    u->checkpoint_ns = clock_mono_ns();
    if (checkpoint_list(e->dir, list, &count) < 0 || !count)
        return;
    checkpoint_path(e->dir, list[0], path);
    u->checkpoint_any = true;
    u->checkpoint_seq = list[0];
    int64_t age_ns = stat(path, &st) == 0 ? clock_wall_ns() - (int64_t)st.st_mtim.tv_sec * 1000000000 : 0;
    u->checkpoint_ns -= age_ns > 0 ? age_ns : 0;
}

static bool due(const struct upkeep *u, uint64_t seq)
{
    int64_t age_s = (clock_mono_ns() - u->checkpoint_ns) / 1000000000;
    bool calm = seq == u->checkpoint_seen; /* nothing was written in the last second */
    uint64_t commits = seq - u->checkpoint_seq;
    int64_t wait_s = !u->checkpoint_any ? CHECKPOINT_FIRST_S : commits >= CHECKPOINT_MUCH_COMMITS ? CHECKPOINT_SOON_S : CHECKPOINT_LATE_S;
    if (u->checkpoint_due)
        return true;
    return age_s >= wait_s && (calm || age_s >= wait_s + CHECKPOINT_CALM_S) && commits;
}

static bool room(struct engine *e)
{
    struct statvfs fs;
    return statvfs(e->dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize / CHECKPOINT_ROOM > e->meta_ops->bytes(e->m);
}

/* upkeep.lock held. */
static void run(struct engine *e)
{
    struct upkeep *u = e->upkeep;
    uint64_t seq = e->meta_ops->commit_seq(e->m);
    bool now = due(u, seq);
    u->checkpoint_seen = seq;
    if (!now || !room(e))
        return;
    struct reason reason = {0};
    int r = checkpoint_make(e, &seq, &reason);
    if (r < 0) {
        u->checkpoint_ns = clock_mono_ns(); /* not at once again */
        u->checkpoint_due = false;
    }
    if (r < 0 && r != -ECANCELED)
        log_warning("%s", reason.text);
}

void checkpoint_run(struct engine *e)
{
    if (pthread_mutex_trylock(&e->upkeep->lock) != 0)
        return;
    run(e);
    pthread_mutex_unlock(&e->upkeep->lock);
}

int engine_checkpoint(struct engine *e, struct caller *c, json_t **ret)
{
    int r = upkeep_may(e, c, "holdfs:Checkpoint");
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->upkeep->lock);
    uint64_t seq;
    r = checkpoint_make(e, &seq, &c->reason);
    if (r < 0)
        return r;
    *ret = json_pack("{s:I, s:I}", "commit_seq", (json_int_t)seq, "metadata_bytes", (json_int_t)e->meta_ops->bytes(e->m));
    return *ret ? 0 : -ENOMEM;
}
