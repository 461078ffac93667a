/* SPDX-License-Identifier: GPL-3.0-or-later
 * Whether the metadata is older than it was (encryption.md §2.2, retention.md §3 "Rollback").
 *
 * The ledger finds single pages put back; a log cut at the border of a transaction, and all metadata files put back together,
 * look whole. So a file beside them, STORE/anchor, says how far the commits had come at least, and how far C: it is written once
 * a minute and at the end, when what it says is durable. Metadata that stands before it was put back, and is opened only on
 * demand; then the segments that it cannot know are kept for good, as locks may need them that it does not know either.
 *
 * The file is one sealed record after another; the highest of those that open counts. There are two while M changes. */
#include "engine/trail.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { ANCHOR_PLAIN_BYTES = 16, ANCHOR_BYTES = ANCHOR_PLAIN_BYTES + XAES_OVERHEAD_BYTES, ANCHOR_RECORDS_MAX = 4, KEPT_BYTES = 8 };

static const char anchored_name[] = "anchored", last_name[] = "segment-last", kept_name[] = "segments-kept";

/* ---- the file ---- */

static struct xaes_key *anchor_key(const struct store_keys *keys)
{
    uint8_t key[32];
    store_keys_purpose(keys, "anchor", key);
    struct xaes_key *k = xaes_key_new(key);
    secret_wipe(key, sizeof key);
    return k;
}

struct anchor_aad {
    char text[17];
    uint8_t store[16];
};

static struct anchor_aad anchor_aad(const uint8_t store_id[16])
{
    struct anchor_aad a = {.text = "holdfs/v1/anchor"};
    memcpy(a.store, store_id, 16);
    return a;
}

/* The bytes there are; 0 where there is no file. */
static ssize_t file_read(const char *dir, uint8_t out[ANCHOR_RECORDS_MAX * ANCHOR_BYTES])
{
    char path[4200];
    snprintf(path, sizeof path, "%s/anchor", dir);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    ssize_t n = read(fd, out, ANCHOR_RECORDS_MAX * ANCHOR_BYTES);
    return n < 0 ? -errno : n;
}

static int file_write(const char *dir, const uint8_t *bytes, size_t len)
{
    char path[4200], fresh[4200];
    snprintf(path, sizeof path, "%s/anchor", dir);
    snprintf(fresh, sizeof fresh, "%s/anchor.new", dir);
    CLEANUP_FD int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, bytes, len);
    if (n != (ssize_t)len)
        return n < 0 ? -errno : -ENOSPC;
    if (fsync(fd) < 0 || rename(fresh, path) < 0)
        return -errno;
    CLEANUP_FD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0 || fsync(dir_fd) < 0 ? -errno : 0;
}

static int record_seal(const struct store_keys *keys, const uint8_t store_id[16], const struct anchor *a, uint8_t out[ANCHOR_BYTES])
{
    struct anchor_aad aad = anchor_aad(store_id);
    uint64_t plain[2] = {__builtin_bswap64(a->seq), __builtin_bswap64((uint64_t)a->c_s)};
    struct xaes_key *k = anchor_key(keys);
    int r = k ? xaes_seal(k, &aad, sizeof aad, plain, sizeof plain, out) : -ENOMEM;
    xaes_key_free(k);
    return r;
}

int anchor_read(const char *dir, const struct store_keys *keys, const uint8_t store_id[16], struct anchor *ret)
{
    uint8_t bytes[ANCHOR_RECORDS_MAX * ANCHOR_BYTES];
    ssize_t n = file_read(dir, bytes);
    if (n <= 0)
        return n < 0 ? (int)n : -ENOENT;
    struct anchor_aad aad = anchor_aad(store_id);
    struct xaes_key *k = anchor_key(keys);
    int r = k ? -EBADMSG : -ENOMEM;
    for (ssize_t at = 0; k && at + ANCHOR_BYTES <= n; at += ANCHOR_BYTES) {
        uint64_t plain[2];
        if (xaes_open(k, &aad, sizeof aad, bytes + at, ANCHOR_BYTES, plain) < 0)
            continue;
        struct anchor a = {__builtin_bswap64(plain[0]), (int64_t)__builtin_bswap64(plain[1])};
        if (r < 0 || a.seq > ret->seq)
            *ret = a;
        r = 0;
    }
    xaes_key_free(k);
    return r;
}

int anchor_write(const char *dir, const struct store_keys *keys, const uint8_t store_id[16], const struct anchor *a)
{
    uint8_t bytes[ANCHOR_BYTES];
    int r = record_seal(keys, store_id, a, bytes);
    return r < 0 ? r : file_write(dir, bytes, sizeof bytes);
}

int anchor_prepare(const char *dir, const struct store_keys *keys, const uint8_t store_id[16], const struct anchor *a)
{
    uint8_t bytes[ANCHOR_RECORDS_MAX * ANCHOR_BYTES];
    struct anchor there;
    if (anchor_read(dir, keys, store_id, &there) == 0)
        return 0;
    ssize_t n = file_read(dir, bytes);
    if (n < 0)
        return (int)n;
    n = n / ANCHOR_BYTES ? ANCHOR_BYTES : 0; /* the first is the one in use */
    int r = record_seal(keys, store_id, a, bytes + n);
    return r < 0 ? r : file_write(dir, bytes, (size_t)n + ANCHOR_BYTES);
}

/* ---- judging ---- */

static bool value_set(struct engine *e, const char *name)
{
    struct span v;
    return e->meta_ops->value_get(e->m, name, &v) == 0 && v.len && v.p[0];
}

static int rollback_words(struct engine *e, uint64_t at, uint64_t want, const char *what, struct reason *reason)
{
    return reason_fail(reason, ESTALE,
                       "the metadata of '%s' is older than it was: it stands at commit %llu, and %s %llu. Somebody put an earlier state back, "
                       "or cut its end. Bring the right files back (a backup: doc/operations.md); or go on from the earlier state, and "
                       "forget what came after it, with holdfs mount --accept-rollback",
                       e->dir, (unsigned long long)at, what, (unsigned long long)want);
}

static int judge(struct engine *e, int found, const struct anchor *a, uint64_t min_seq, struct reason *reason)
{
    uint64_t at = e->meta_ops->commit_seq(e->m);
    if (found == -EBADMSG)
        return reason_fail(reason, ESTALE,
                           "'%s/anchor', which tells whether the metadata was put back, has been altered; if the metadata is the right one, "
                           "--accept-rollback makes it anew",
                           e->dir);
    if (found == -ENOENT && value_set(e, anchored_name))
        return reason_fail(reason, ESTALE,
                           "'%s/anchor', which tells whether the metadata was put back, is missing; if the metadata is the right one, "
                           "--accept-rollback makes it anew",
                           e->dir);
    if (found < 0 && found != -ENOENT)
        return reason_fail(reason, -found, "'%s/anchor' cannot be read: %s", e->dir, strerror(-found));
    if (found == 0 && at < a->seq)
        return rollback_words(e, at, a->seq, "had reached", reason);
    if (at < min_seq)
        return rollback_words(e, at, min_seq, "--min-seq asks for", reason);
    return 0;
}

static int accept_check(struct engine *e, struct reason *reason)
{
    if (getuid() != 0 && getuid() != e->conf.owner_uid)
        return reason_fail(reason, EACCES, "only the store's owner (uid %u) and root may accept that the metadata was put back",
                           e->conf.owner_uid);
    log_warning("an earlier state of the metadata is accepted: commit %llu", (unsigned long long)e->meta_ops->commit_seq(e->m));
    e->rolled_back = true;
    return 0;
}

static int kept_load(struct engine *e)
{
    struct span v;
    int r = e->meta_ops->value_get(e->m, kept_name, &v);
    if (r < 0 || v.len % KEPT_BYTES)
        return r == -ENOENT ? 0 : r < 0 ? r : -EIO;
    e->kept = malloc(v.len + 1);
    if (!e->kept)
        return -ENOMEM;
    struct reader reader = reader_over(v.p, v.len);
    for (e->kept_count = 0; e->kept_count < v.len / KEPT_BYTES; e->kept_count++)
        e->kept[e->kept_count] = (struct segment_range){reader_u32(&reader), reader_u32(&reader)};
    return 0;
}

int anchor_open(struct engine *e, bool accept, uint64_t min_seq, struct reason *reason)
{
    struct anchor a = {0};
    struct reason why = {0};
    int r = kept_load(e);
    if (r < 0)
        return r;
    int found = anchor_read(e->dir, e->keys, e->conf.store_id, &a);
    e->anchor = a;
    r = judge(e, found, &a, min_seq, &why);
    if (r == -ESTALE && accept)
        return accept_check(e, reason);
    if (r < 0)
        *reason = why;
    return r;
}

bool segment_kept(const struct engine *e, uint32_t segment)
{
    for (size_t i = 0; i < e->kept_count; i++)
        if (segment >= e->kept[i].from && segment <= e->kept[i].to)
            return true;
    return false;
}

/* ---- going on ---- */

/* What a state does not know begins behind the segments there were when it was opened. M */
static uint32_t last_known(struct engine *e)
{
    struct span v;
    if (e->meta_ops->value_get(e->m, last_name, &v) < 0)
        return 0;
    struct reader r = reader_over(v.p, v.len);
    return reader_u32(&r);
}

/* M, txn */
static int kept_add(struct engine *e, struct segment_range range)
{
    struct segment_range *grown = realloc(e->kept, (e->kept_count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    e->kept = grown;
    e->kept[e->kept_count++] = range;
    CLEANUP(bytes_done) struct bytes out = {0};
    for (size_t i = 0; i < e->kept_count; i++) {
        bytes_put_u32(&out, e->kept[i].from);
        bytes_put_u32(&out, e->kept[i].to);
    }
    return out.failed ? -ENOMEM : e->meta_ops->value_put(e->m, kept_name, span_of(out.data, out.len));
}

/* M, txn */
static int accepted(struct engine *e)
{
    struct segment_range range = {last_known(e) + 1, e->block_ops->last(e->b)};
    int r = range.from <= range.to ? kept_add(e, range) : 0;
    if (r < 0)
        return r;
    log_warning("segments %u to %u are kept for good: versions that the earlier state does not know may need them", range.from, range.to);
    return trail_note(e, NULL,
                      &(struct trail_event){.name = "AcceptRollback",
                                            .source = TRAIL_HOLDFS,
                                            .params = json_pack("{s:I, s:I, s:I, s:I}", "commitSeq", (json_int_t)e->meta_ops->commit_seq(e->m),
                                                                "anchorSeq", (json_int_t)e->anchor.seq, "keptFrom", (json_int_t)range.from,
                                                                "keptTo", (json_int_t)range.to),
                                            .flags = TRAIL_SERVICE});
}

int anchor_first(struct engine *e)
{
    if (e->anchor.seq || e->rolled_back)
        return 0;
    struct anchor a = {e->meta_ops->commit_seq(e->m), 0};
    int r = e->meta_ops->sync(e->m);
    return r < 0 ? r : anchor_write(e->dir, e->keys, e->conf.store_id, &a);
}

int anchor_begin(struct engine *e)
{
    int r = e->rolled_back ? accepted(e) : 0;
    uint32_t last = __builtin_bswap32(e->block_ops->last(e->b));
    if (r == 0)
        r = e->meta_ops->value_put(e->m, last_name, span_of(&last, sizeof last));
    if (r == 0)
        r = e->meta_ops->value_put(e->m, anchored_name, span_of("\1", 1));
    return r;
}

int anchor_save(struct engine *e)
{
    struct anchor a;
    {
        LOCK_SCOPE(&e->meta);
        a = (struct anchor){e->meta_ops->commit_seq(e->m), e->clock ? compliance_now_s(e) : 0};
    }
    if (a.seq == e->anchor.seq)
        return 0;
    int r = e->meta_ops->sync(e->m);
    if (r == 0)
        r = anchor_write(e->dir, e->keys, e->conf.store_id, &a);
    if (r == 0)
        e->anchor = a;
    return r;
}
