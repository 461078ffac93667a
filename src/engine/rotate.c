/* SPDX-License-Identifier: GPL-3.0-or-later
 * A new page key while the store is in use, and a new M for a store that is not (encryption.md §1.4).
 *
 * Either way the database is copied under the next generation's page key into the folder meta-GENERATION. The header decides:
 * until it names that generation the folder is litter, from then on its files are the database, wherever a crash left them;
 * rotate_pending() tidies at the next open. */
#include "engine/upkeep.h"
#include "engine/trail.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

void rotate_folder_path(const char *dir, uint32_t generation, char out[4200])
{
    snprintf(out, 4200, "%s/meta-%u", dir, generation);
}

void rotate_page_key(const struct store_keys *keys, uint32_t generation, uint8_t out[32])
{
    char purpose[32];
    snprintf(purpose, sizeof purpose, "page/%u", generation);
    store_keys_purpose(keys, purpose, out);
}

/* ---- what a crash left ---- */

/* The generation of a folder's name, 0 for other names. */
static uint32_t folder_generation(const char *name)
{
    unsigned generation;
    int len = 0;
    return sscanf(name, "meta-%u%n", &generation, &len) == 1 && !name[len] ? generation : 0;
}

static int pending_one(const struct meta_ops *ops, const char *dir, const char *name, bool wanted, bool read_only,
                       struct reason *reason)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (read_only && wanted)
        return reason_fail(reason, EROFS, "a change of keys was stopped half-way; open '%s' once for writing to finish it", dir);
    int r = read_only || !wanted ? 0 : ops->rekey_move(path, dir);
    if (r == 0 && !read_only)
        r = ops->rekey_drop(path);
    return r < 0 ? reason_fail(reason, -r, "'%s' was left by a change of keys and cannot be put in order: %s", path, strerror(-r))
                 : 0;
}

int rotate_pending(const struct meta_ops *ops, const char *dir, uint32_t current, bool read_only, struct reason *reason)
{
    DIR *d = opendir(dir);
    if (!d)
        return reason_fail(reason, errno, "cannot read '%s': %s", dir, strerror(errno));
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(d));) {
        uint32_t generation = folder_generation(entry->d_name);
        if (generation)
            r = pending_one(ops, dir, entry->d_name, generation == current, read_only, reason);
    }
    closedir(d);
    return r;
}

/* ---- page key ---- */

int rotate_folder_make(const struct meta_ops *ops, const char *path, struct reason *reason)
{
    if (mkdir(path, 0700) == 0)
        return 0;
    int r = errno == EEXIST ? ops->rekey_drop(path) : -errno; /* one that failed in this process */
    if (r == 0 && mkdir(path, 0700) < 0)
        r = -errno;
    return r < 0 ? reason_fail(reason, -r, "cannot make '%s': %s", path, strerror(-r)) : 0;
}

/* Nobody writes from here on until the copy is in place. M */
static int page_switch(struct engine *e, struct meta_rekey *k, bool *ret_committed, struct reason *reason)
{
    struct store_keys *keys;
    int r = txn_flush(e);
    if (r == 0)
        r = e->meta_ops->rekey_finish(e->m, k);
    if (r < 0)
        return reason_fail(reason, -r, "the metadata cannot be copied: %s", strerror(-r));
    r = store_page_next(e->dir, e->keys, &keys, reason);
    if (r < 0)
        return r;
    *ret_committed = true;
    store_keys_free(e->keys);
    e->keys = keys;
    r = e->meta_ops->rekey_adopt(e->m, k);
    return r < 0 ? reason_fail(reason, -r, "the new metadata files cannot be put in place: %s; mount the store again", strerror(-r))
                 : 0;
}

int engine_rotate_page(struct engine *e, struct caller *c, json_t **ret)
{
    int r = upkeep_may(e, c, "holdfs:RotatePage");
    if (r < 0)
        return r;
    LOCK_SCOPE(&e->upkeep->lock);
    uint32_t next = store_keys_page_generation(e->keys) + 1;
    char path[4200];
    uint8_t key[32];
    rotate_folder_path(e->dir, next, path);
    r = rotate_folder_make(e->meta_ops, path, &c->reason);
    if (r < 0)
        return r;
    struct meta_rekey *k = NULL;
    bool committed = false;
    rotate_page_key(e->keys, next, key);
    r = e->meta_ops->rekey_begin(e->m, path, key, (struct meta_progress){NULL, NULL}, &k, &c->reason);
    secret_wipe(key, sizeof key);
    if (r == 0) {
        LOCK_SCOPE(&e->meta);
        r = page_switch(e, k, &committed, &c->reason);
    }
    e->meta_ops->rekey_free(k);
    if (committed)
        checkpoints_forget(e);
    if (r == 0 || !committed)
        e->meta_ops->rekey_drop(path);
    if (r < 0)
        return r;
    *ret = json_pack("{s:I}", "page_generation", (json_int_t)next);
    return trail_report(e, c, *ret ? 0 : -ENOMEM, "RotatePageKey", NULL, *ret);
}

/* ---- M ---- */

/* A store with its keys, its metadata not open. */
struct closed_store {
    const char *dir;
    struct store_conf conf;
    int lock_fd;
    struct store_keys *keys;
    const struct meta_ops *ops;
};

static void closed_store_done(struct closed_store *s)
{
    store_keys_free(s->keys);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
}

static void closed_store_config(const struct closed_store *s, const char *dir, const uint8_t *page_key, struct meta_config *ret)
{
    *ret = (struct meta_config){.dir = dir,
                                .store_id = s->conf.store_id,
                                .page_key = page_key,
                                .page_size_bytes = store_keys_page_size(s->keys),
                                .cache_bytes = 4 << 20};
}

/* The whole database into the folder, sealed under the new page key. */
static int master_copy(struct closed_store *s, const char *path, const uint8_t new_key[32], struct reason *reason)
{
    uint8_t key[32];
    struct meta_config config;
    struct meta *m;
    struct meta_rekey *k = NULL;
    rotate_page_key(s->keys, store_keys_page_generation(s->keys), key);
    closed_store_config(s, s->dir, key, &config);
    int r = s->ops->open(&config, &m, reason);
    secret_wipe(key, sizeof key);
    if (r < 0)
        return r;
    r = s->ops->rekey_begin(m, path, new_key, (struct meta_progress){NULL, NULL}, &k, reason);
    if (r == 0)
        r = s->ops->rekey_finish(m, k);
    s->ops->rekey_free(k);
    s->ops->close(m);
    return r;
}

/* The copy's key rows, from under the old M's root to under the new one's. */
static int master_rewrap(struct closed_store *s, const char *path, const uint8_t new_key[32], const struct store_keys *renewed,
                         struct reason *reason)
{
    struct meta_config config;
    struct meta *m;
    closed_store_config(s, path, new_key, &config);
    int r = s->ops->open(&config, &m, reason);
    if (r < 0)
        return r;
    r = s->ops->begin(m);
    if (r == 0) {
        r = epoch_rows_rewrap(s->ops, m, s->keys, renewed);
        if (r == 0)
            r = s->ops->commit(m);
        else
            s->ops->rollback(m);
    }
    if (r == 0)
        r = s->ops->sync(m);
    if (r == 0)
        r = s->ops->checkpoint(m, true, NULL);
    s->ops->close(m);
    return r;
}

static int master_swap(struct closed_store *s, const struct store_keys *renewed, struct reason *reason)
{
    char path[4200];
    uint8_t key[32];
    uint32_t generation = store_keys_page_generation(renewed);
    rotate_folder_path(s->dir, generation, path);
    int r = rotate_folder_make(s->ops, path, reason);
    if (r < 0)
        return r;
    rotate_page_key(renewed, generation, key);
    r = master_copy(s, path, key, reason);
    if (r == 0)
        r = master_rewrap(s, path, key, renewed, reason);
    secret_wipe(key, sizeof key);
    struct anchor anchor = {0};
    anchor_read(s->dir, s->keys, s->conf.store_id, &anchor);
    if (r == 0)
        r = anchor_prepare(s->dir, renewed, s->conf.store_id, &anchor);
    if (r == 0)
        r = store_master_commit(s->dir, s->keys, renewed, reason);
    if (r < 0)
        return reason->text[0] ? r : reason_fail(reason, -r, "the metadata cannot be copied: %s", strerror(-r));
    checkpoints_drop(s->ops, s->dir, 0); /* the new master key opens none of them */
    return rotate_pending(s->ops, s->dir, generation, false, reason);
}

int engine_rotate_master(const struct engine_config *config, const struct master_renewal *renewal, bool drop_others,
                         uint8_t ret_recovery[32], unsigned *ret_dropped, struct reason *reason)
{
    struct engine *e; /* first what a crash, or a deleted bucket, left to be done */
    int r = engine_open(config, &e, reason);
    if (r < 0)
        return r;
    engine_close(e);
    CLEANUP(closed_store_done) struct closed_store s = {.dir = config->dir, .lock_fd = -1, .ops = meta_find("sqlite")};
    bool repaired;
    r = store_conf_read(config->dir, &s.conf, reason);
    if (r == 0)
        r = store_lock(config->dir, false, config->owner_text, &s.lock_fd, reason);
    if (r == 0)
        r = store_header_open(config->dir, s.conf.store_id, config->unlock, false, &s.keys, &repaired, reason);
    struct store_keys *renewed = NULL;
    if (r == 0)
        r = store_master_new(s.keys, renewal, &renewed, ret_recovery, ret_dropped, reason);
    if (r == 0 && *ret_dropped && !drop_others)
        r = -ENOTUNIQ;
    if (r == 0)
        r = master_swap(&s, renewed, reason);
    store_keys_free(renewed);
    if (r == 0) /* nobody has the metadata open now */
        engine_audit_pending(config->dir, getuid(), getpid(), "RotateMasterKey", NULL, json_pack("{s:i}", "slotsDropped", __builtin_popcount(*ret_dropped)));
    return r;
}
