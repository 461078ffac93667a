/* SPDX-License-Identifier: GPL-3.0-or-later
 * A copy of the store in use, in a folder that is a store itself.
 *
 * Segments first, as they never change; then the metadata of one moment, into the folder meta-GENERATION of the copy; then the
 * segments that came meanwhile; last the copy's header with that generation, which is the moment from which the new copy
 * counts: rotate_pending() tidies what a crash left on either side of it. Collection waits from the first segment to the last
 * (upkeep.lock), so all that the metadata refers to is copied. What only the copy before needed goes when the new one stands.
 *
 * backup.json tells which state of its metadata the folder was left with. A folder that is in another was used as a store since,
 * and is not overwritten unasked. */
#include "engine/trail.h"
#include "engine/upkeep.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { ROOT_ID_BYTES = 24, SPARE_BYTES = 16 << 20 };

static const char manifest_name[] = "backup.json", manifest_new_name[] = "backup.json.new";

struct segment_size {
    uint32_t segment;
    uint64_t size_bytes;
};

struct backup {
    struct engine *e;
    struct reason *reason;
    const struct engine_backup_params *params;
    struct engine_progress progress;
    char path[64]; /* of the folder, by its descriptor: names may change meanwhile */
    int lock_fd, segments_fd;
    uid_t owner;
    bool first; /* the folder was empty */
    uint32_t generation;
    char root_before[2 * ROOT_ID_BYTES + 1], root[2 * ROOT_ID_BYTES + 1]; /* states of the metadata; "" for none */
    struct segment_size *segments;
    size_t count, cap;
    uint64_t segments_bytes, missing_bytes, copied_bytes, metadata_bytes, removed;
    struct anchor anchor; /* of the metadata that was copied */
    int64_t began_ns;
};

static void backup_done(struct backup *b)
{
    if (b->lock_fd >= 0)
        close(b->lock_fd);
    if (b->segments_fd >= 0)
        close(b->segments_fd);
    free(b->segments);
}

static int fail(struct backup *b, int error, const char *what)
{
    if (error == -ECANCELED)
        return error;
    if (error == -ENOSPC || error == -EDQUOT)
        return reason_fail(b->reason, -error, "'%s' is full; the copy that was there before is as it was", b->params->dir);
    return reason_fail(b->reason, -error, "%s '%s': %s", what, b->params->dir, strerror(-error));
}

/* ---- where it goes ---- */

static bool path_inside(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

/* Copying into a mount of the store would wait for itself. */
static bool in_holdfs_mount(dev_t device)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    CLEANUP_FREE char *line = NULL;
    size_t cap = 0;
    bool found = false;
    while (f && !found && getline(&line, &cap, f) > 0) {
        unsigned high, low;
        found = sscanf(line, "%*d %*d %u:%u", &high, &low) == 2 && makedev(high, low) == device && strstr(line, " - fuse.holdfs ");
    }
    if (f)
        fclose(f);
    return found;
}

/* The folder is the caller's own, and neither in the store nor around it. */
static int place_check(struct backup *b, const struct caller *c)
{
    char real[4096], store[4096];
    struct stat st;
    if (fstat(b->params->dir_fd, &st) < 0 || !S_ISDIR(st.st_mode))
        return reason_fail(b->reason, ENOTDIR, "'%s' is no directory", b->params->dir);
    if (c->uid != 0 && c->uid != geteuid() && st.st_uid != c->uid)
        return reason_fail(b->reason, EACCES, "'%s' is not yours: a backup goes into a directory of who asks for it", b->params->dir);
    if (in_holdfs_mount(st.st_dev))
        return reason_fail(b->reason, EINVAL, "'%s' lies in a holdfs mount; a backup goes to another filesystem", b->params->dir);
    b->owner = st.st_uid;
    ssize_t n = readlink(b->path, real, sizeof real - 1);
    if (n < 0 || !realpath(b->e->dir, store))
        return fail(b, -errno, "cannot find out where things are:");
    real[n] = 0;
    if (path_inside(real, store))
        return reason_fail(b->reason, EINVAL, "'%s' lies inside the store; a backup goes elsewhere, best to another disk", b->params->dir);
    if (path_inside(store, real))
        return reason_fail(b->reason, EINVAL, "the store lies inside '%s'; a backup goes elsewhere, best to another disk", b->params->dir);
    return 0;
}

/* ---- the manifest ---- */

static json_t *manifest_read(struct backup *b)
{
    CLEANUP_FD int fd = openat(b->params->dir_fd, manifest_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd < 0 ? NULL : json_loadfd(fd, 0, NULL);
}

/* Which state of the metadata a folder holds: the start of meta.root, which is random. "" where there is none. */
static int root_read(struct backup *b, const char *folder, char out[2 * ROOT_ID_BYTES + 1])
{
    char path[4300];
    uint8_t id[ROOT_ID_BYTES];
    snprintf(path, sizeof path, "%s/meta.root", folder);
    out[0] = 0;
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : fail(b, -errno, "cannot read the metadata in");
    if (read(fd, id, sizeof id) != (ssize_t)sizeof id)
        return fail(b, -EIO, "cannot read the metadata in");
    hex_format(id, sizeof id, out);
    return 0;
}

static int manifest_write(struct backup *b, bool finished)
{
    char id[37], began[48], now[48];
    uuid_format(b->e->conf.store_id, id);
    int64_t ns = clock_wall_ns();
    timeform_format_ns(b->began_ns / 1000000000, 0, began);
    timeform_format_ns(ns / 1000000000, 0, now);
    json_t *m = json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "holdfs-backup", 1, "store", id, "began", began, "root",
                          b->root, "root_before", finished ? b->root : b->root_before, "commit_seq", (json_int_t)b->anchor.seq,
                          "segments", (json_int_t)b->count, "segments_bytes", (json_int_t)b->segments_bytes, "metadata_bytes",
                          (json_int_t)b->metadata_bytes);
    if (m && finished)
        json_object_set_new(m, "finished", json_string(now));
    unlinkat(b->params->dir_fd, manifest_new_name, 0);
    CLEANUP_FD int fd = openat(b->params->dir_fd, manifest_new_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = !m ? -ENOMEM : fd < 0 ? -errno : 0;
    if (r == 0 && (json_dumpfd(m, fd, JSON_INDENT(2)) < 0 || write(fd, "\n", 1) != 1 || fsync(fd) < 0))
        r = -errno;
    json_decref(m);
    if (r == 0 && (renameat(b->params->dir_fd, manifest_new_name, b->params->dir_fd, manifest_name) < 0 || fsync(b->params->dir_fd) < 0))
        r = -errno;
    return r < 0 ? fail(b, r, "cannot write backup.json in") : 0;
}

/* ---- what is there ---- */

static int count_name(const struct dirent *d)
{
    return strcmp(d->d_name, ".") && strcmp(d->d_name, "..") && strcmp(d->d_name, "lost+found");
}

static int folder_empty(struct backup *b, bool *ret)
{
    struct dirent **names;
    int n = scandir(b->path, &names, count_name, NULL);
    if (n < 0)
        return fail(b, -errno, "cannot read");
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    *ret = n == 0;
    return 0;
}

static int state_check(struct backup *b, const json_t *manifest)
{
    const char *root = json_string_value(json_object_get(manifest, "root"));
    const char *before = json_string_value(json_object_get(manifest, "root_before"));
    if (b->params->overwrite || (root && !strcmp(root, b->root_before)) || (before && !strcmp(before, b->root_before)))
        return 0;
    return reason_fail(b->reason, EEXIST,
                       "'%s' was used as a store since its last backup, and what was written to it would be lost: take another "
                       "directory, or say --overwrite",
                       b->params->dir);
}

/* A backup of this store, or nothing at all. */
static int folder_check(struct backup *b)
{
    json_t *manifest = manifest_read(b);
    char id[37];
    uuid_format(b->e->conf.store_id, id);
    const char *store = json_string_value(json_object_get(manifest, "store"));
    int r = store ? 0 : folder_empty(b, &b->first);
    if (r == 0 && !store && !b->first)
        r = reason_fail(b->reason, ENOTEMPTY, "'%s' is neither empty nor a backup (it has no backup.json): choose a directory of its own",
                        b->params->dir);
    if (r == 0 && store && strcmp(store, id))
        r = reason_fail(b->reason, EINVAL, "'%s' holds a backup of another store, %.40s: choose another directory", b->params->dir, store);
    if (r == 0)
        r = store_header_generation(b->path, b->e->conf.store_id, &b->generation, b->reason);
    if (r == 0) /* what a crash left of the copy before */
        r = rotate_pending(b->e->meta_ops, b->path, b->generation, false, b->reason);
    if (r == 0)
        r = root_read(b, b->path, b->root_before);
    if (r == 0 && store)
        r = state_check(b, manifest);
    json_decref(manifest);
    return r;
}

static int folder_open(struct backup *b, const struct caller *c)
{
    int r = place_check(b, c);
    if (r < 0)
        return r;
    struct stat st;
    if (fstatat(b->params->dir_fd, manifest_name, &st, AT_SYMLINK_NOFOLLOW) < 0 && folder_empty(b, &b->first) == 0 && !b->first)
        return folder_check(b); /* before a file is made in what is none of ours */
    r = store_lock(b->path, false, "holdfs backup", &b->lock_fd, b->reason);
    if (r == 0 && b->first)
        r = manifest_write(b, false);
    if (r == 0)
        r = folder_check(b);
    if (r == 0 && mkdirat(b->params->dir_fd, "segments", 0700) < 0 && errno != EEXIST)
        r = fail(b, -errno, "cannot make a directory in");
    if (r < 0)
        return r;
    b->segments_fd = openat(b->params->dir_fd, "segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return b->segments_fd < 0 ? fail(b, -errno, "cannot open segments in") : 0;
}

/* ---- segments ---- */

static int segment_add(void *arg, uint32_t segment, uint64_t size_bytes, bool open_for_append)
{
    struct backup *b = arg;
    (void)open_for_append;
    if (b->count == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 256;
        struct segment_size *grown = realloc(b->segments, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        b->segments = grown;
        b->cap = cap;
    }
    b->segments[b->count++] = (struct segment_size){segment, size_bytes};
    b->segments_bytes += size_bytes;
    return 0;
}

static int copied(void *arg, uint64_t bytes)
{
    struct backup *b = arg;
    b->copied_bytes += bytes;
    return upkeep_tell(b->progress, "copying", b->copied_bytes, b->missing_bytes);
}

static int space_check(struct backup *b, uint64_t need)
{
    struct statvfs fs;
    if (fstatvfs(b->params->dir_fd, &fs) < 0)
        return fail(b, -errno, "cannot ask for the free space of");
    uint64_t have = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (have >= need)
        return 0;
    return reason_fail(b->reason, ENOSPC, "'%s' has room for %llu MiB, and %llu MiB are to be copied; nothing was", b->params->dir,
                       (unsigned long long)(have >> 20), (unsigned long long)(need >> 20) + 1);
}

/* All there are now, and of them what the folder lacks. */
static int segments_copy(struct backup *b, bool first)
{
    const struct block_copy copy = {b->e->block_ops, b->e->b, b->segments_fd, copied, b};
    b->count = 0;
    b->segments_bytes = 0;
    int r = b->e->block_ops->list(b->e->b, segment_add, b);
    b->missing_bytes = b->copied_bytes;
    for (size_t i = 0; r == 0 && i < b->count; i++) {
        uint64_t missing;
        r = block_copy_missing(&copy, b->segments[i].segment, b->segments[i].size_bytes, &missing);
        if (r == 0)
            b->missing_bytes += missing;
        if (r == 0)
            r = upkeep_tell(b->progress, "comparing", i, b->count);
    }
    if (r == 0 && first)
        r = space_check(b, b->missing_bytes + b->e->meta_ops->bytes(b->e->m) + SPARE_BYTES);
    for (size_t i = 0; r == 0 && i < b->count; i++)
        r = block_copy_segment(&copy, b->segments[i].segment, b->segments[i].size_bytes);
    if (r == 0 && fsync(b->segments_fd) < 0)
        r = -errno;
    return r < 0 && !b->reason->text[0] ? fail(b, r, "cannot copy segments to") : r;
}

/* ---- metadata ---- */

static int pages_told(void *arg, uint64_t done, uint64_t total)
{
    struct backup *b = arg;
    return upkeep_tell(b->progress, "copying metadata", done, total);
}

static int metadata_copy(struct backup *b, const char *folder)
{
    struct engine *e = b->e;
    struct meta_rekey *k = NULL;
    uint8_t key[32];
    int r = rotate_folder_make(e->meta_ops, folder, b->reason);
    if (r == 0)
        r = durable_advance(e); /* the copy, when opened, has little to verify */
    if (r < 0)
        return r;
    rotate_page_key(e->keys, b->generation, key);
    r = e->meta_ops->rekey_begin(e->m, folder, key, (struct meta_progress){pages_told, b}, &k, b->reason);
    secret_wipe(key, sizeof key);
    if (r == 0) {
        LOCK_SCOPE(&e->meta);
        r = inode_save_dirty_dirs(e);
        if (r == 0)
            r = txn_flush(e);
        if (r == 0)
            r = e->meta_ops->rekey_finish(e->m, k);
        b->anchor = (struct anchor){e->meta_ops->commit_seq(e->m), compliance_now_s(e)};
    }
    e->meta_ops->rekey_free(k);
    if (r == 0)
        r = root_read(b, folder, b->root);
    struct stat st;
    char path[4300];
    snprintf(path, sizeof path, "%s/meta.db", folder);
    b->metadata_bytes = r == 0 && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
    return r < 0 && !b->reason->text[0] ? fail(b, r, "cannot copy the metadata to") : r;
}

/* ---- the new copy in the old one's place ---- */

static int conf_copy(struct backup *b)
{
    char path[4200], buf[65536];
    snprintf(path, sizeof path, "%s/holdfs.conf", b->e->dir);
    CLEANUP_FD int from = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = from < 0 ? -1 : read(from, buf, sizeof buf);
    if (n < 0)
        return reason_fail(b->reason, errno, "cannot read '%s': %s", path, strerror(errno));
    unlinkat(b->params->dir_fd, "holdfs.conf.new", 0);
    CLEANUP_FD int to = openat(b->params->dir_fd, "holdfs.conf.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0 || write(to, buf, (size_t)n) != n || fsync(to) < 0 ||
        renameat(b->params->dir_fd, "holdfs.conf.new", b->params->dir_fd, "holdfs.conf") < 0)
        return fail(b, -errno, "cannot write holdfs.conf in");
    return 0;
}

static int own(int dir_fd, const char *name, uid_t owner)
{
    return fchownat(dir_fd, name, owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT ? -errno : 0;
}

/* A daemon that is root copies for somebody else: the files are his. */
static int owner_set(struct backup *b)
{
    static const char *const names[] = {"holdfs.conf", "store.hdr", "store.hdr.2", "meta.db",     "meta.ledger",
                                        "meta.root",   "lock",      "segments",    "backup.json", "anchor"};
    if (geteuid() != 0 || b->owner == 0)
        return 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof names / sizeof names[0]; i++)
        r = own(b->params->dir_fd, names[i], b->owner);
    for (size_t i = 0; r == 0 && i < b->count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%08x.seg", b->segments[i].segment);
        r = own(b->segments_fd, name, b->owner);
    }
    return r < 0 ? fail(b, r, "cannot set the owner of files in") : 0;
}

static int others_drop(struct backup *b)
{
    CLEANUP_FREE uint32_t *kept = malloc((b->count + 1) * sizeof *kept);
    if (!kept)
        return -ENOMEM;
    for (size_t i = 0; i < b->count; i++)
        kept[i] = b->segments[i].segment;
    return block_copy_drop_others(b->segments_fd, kept, b->count, &b->removed);
}

static int switch_over(struct backup *b, const char *folder, struct store_keys **ret_keys)
{
    const uint8_t *id = b->e->conf.store_id;
    int r = conf_copy(b);
    if (r == 0)
        r = manifest_write(b, false);
    if (r == 0)
        r = anchor_prepare(b->path, b->e->keys, id, &(struct anchor){0});
    if (r == 0)
        r = store_header_copy(b->e->dir, b->e->keys, b->path, b->generation, ret_keys, b->reason);
    if (r < 0)
        return r;
    r = anchor_write(b->path, b->e->keys, id, &b->anchor);
    if (r == 0)
        r = b->e->meta_ops->rekey_move(folder, b->path);
    if (r == 0)
        r = b->e->meta_ops->rekey_drop(folder);
    if (r == 0)
        r = others_drop(b);
    if (r == 0)
        r = manifest_write(b, true);
    if (r == 0)
        r = owner_set(b);
    return r < 0 && !b->reason->text[0] ? fail(b, r, "cannot finish the backup in") : r;
}

/* ---- verifying ---- */

static int verify(struct backup *b, struct store_keys *keys, json_t **ret)
{
    struct engine *copy;
    close(b->lock_fd);
    b->lock_fd = -1;
    int r = engine_open_copy(b->path, keys, &copy, b->reason);
    if (r < 0)
        return r;
    struct caller c;
    engine_caller_init(copy, &c, 0, 0, 0, "internal");
    r = engine_scrub(copy, &c, b->progress, ret);
    if (r < 0 && r != -ECANCELED)
        r = reason_fail(b->reason, -r, "the backup stands but could not be verified: %s", *c.reason.text ? c.reason.text : strerror(-r));
    engine_close(copy);
    return r;
}

/* ---- the whole ---- */

static int report(struct backup *b, json_t *scrubbed, json_t **ret)
{
    char id[37];
    uuid_format(b->e->conf.store_id, id);
    *ret = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "store", id, "directory", b->params->dir, "commit_seq",
                     (json_int_t)b->anchor.seq, "segments", (json_int_t)b->count, "segments_bytes", (json_int_t)b->segments_bytes,
                     "copied_bytes", (json_int_t)b->copied_bytes, "metadata_bytes", (json_int_t)b->metadata_bytes, "removed_segments",
                     (json_int_t)b->removed, "took_s", (json_int_t)((clock_wall_ns() - b->began_ns) / 1000000000));
    if (*ret && scrubbed)
        json_object_update_missing(*ret, scrubbed);
    json_decref(scrubbed);
    return *ret ? 0 : -ENOMEM;
}

static int backup_run(struct backup *b, const struct caller *c, json_t **ret)
{
    char folder[4200];
    struct store_keys *keys = NULL;
    json_t *scrubbed = NULL;
    int r = folder_open(b, c);
    if (r == 0)
        r = b->e->block_ops->seal(b->e->b);
    if (r == 0)
        r = segments_copy(b, true);
    if (r < 0)
        return r;
    b->generation++;
    rotate_folder_path(b->path, b->generation, folder);
    r = metadata_copy(b, folder);
    if (r == 0)
        r = segments_copy(b, false);
    if (r == 0)
        r = switch_over(b, folder, &keys);
    if (r < 0 && !keys)
        b->e->meta_ops->rekey_drop(folder);
    if (r == 0 && b->params->verify)
        r = verify(b, keys, &scrubbed);
    else
        store_keys_free(keys);
    return r < 0 ? r : report(b, scrubbed, ret);
}

static int backup_tell(struct backup *b, struct caller *c)
{
    LOCK_SCOPE(&b->e->meta);
    return trail_note_alone(b->e, c,
                            &(struct trail_event){.name = "Backup",
                                                  .source = TRAIL_HOLDFS,
                                                  .params = json_pack("{s:s, s:I, s:I}", "directory", b->params->dir, "commitSeq",
                                                                      (json_int_t)b->anchor.seq, "copiedBytes",
                                                                      (json_int_t)b->copied_bytes)});
}

int engine_backup(struct engine *e, struct caller *c, const struct engine_backup_params *params, struct engine_progress progress,
                  json_t **ret)
{
    int r = upkeep_may(e, c, "holdfs:Backup");
    if (r < 0)
        return r;
    CLEANUP(backup_done) struct backup b = {.e = e,
                                            .reason = &c->reason,
                                            .params = params,
                                            .progress = progress,
                                            .lock_fd = -1,
                                            .segments_fd = -1,
                                            .began_ns = clock_wall_ns()};
    snprintf(b.path, sizeof b.path, "/proc/self/fd/%d", params->dir_fd);
    LOCK_SCOPE(&e->upkeep->lock);
    r = backup_run(&b, c, ret);
    if (r == 0)
        r = backup_tell(&b, c);
    if (r == -ECANCELED)
        reason_fail(&c->reason, ECANCELED, "stopped; call it again to go on");
    return r;
}
