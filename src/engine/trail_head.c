/* SPDX-License-Identifier: GPL-3.0-or-later
 * The signing key of the trail, and its heads: the end of the chain, signed, when a minute passed or 10,000 records came.
 *
 * The private key is a row of the key-encryption keys (kind 4), so every rotation of the store's keys wraps it anew. */
#include "engine/trail.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
    HEAD_EVERY_S = 60,        /* logs.md §3.4 */
    HEAD_EVERY_RECORDS = 10000,
    JUMP_S = 5,               /* of the date against the monotonic clock within a second: no slewing does that */
    POINT_EVERY_S = 60,       /* encryption.md §2.2: commit_seq at least once a minute */
};
static const int64_t ns_per_s = 1000000000;

/* ---- the key ---- */

struct key_search {
    struct engine *e;
    uint32_t version;
};

static int key_row(void *arg, const struct kek_row *row)
{
    struct key_search *s = arg;
    struct trail *t = s->e->trail;
    if (row->kind != KEK_TRAIL || row->version <= s->version)
        return 0;
    struct secret *seed = secret_new(AUDIT_SEED_BYTES);
    int r = seed ? kek_row_open(s->e->keys, row, secret_bytes(seed)) : -ENOMEM;
    if (r < 0) {
        secret_free(seed);
        return r;
    }
    secret_free(t->seed);
    t->seed = seed;
    s->version = row->version;
    return 0;
}

static int key_use(struct trail *t)
{
    int r = audit_public(secret_peek(t->seed), t->public);
    return r < 0 ? r : audit_key_id(t->public, t->key_id);
}

int trail_key_load(struct engine *e)
{
    struct key_search s = {.e = e};
    int r = e->meta_ops->kek_scan(e->m, key_row, &s);
    if (r == 0)
        r = e->trail->seed ? key_use(e->trail) : -ENOENT;
    return r;
}

static int key_row_put(struct engine *e, const struct secret *seed, uint32_t version)
{
    struct kek_row row = {.version = version, .kind = KEK_TRAIL};
    uuid_random(row.id);
    int r = kek_row_seal(e->keys, &row, secret_peek(seed));
    return r < 0 ? r : e->meta_ops->kek_put(e->m, &row);
}

static struct secret *seed_new(void)
{
    struct secret *seed = secret_new(AUDIT_SEED_BYTES);
    if (seed)
        random_bytes(secret_bytes(seed), AUDIT_SEED_BYTES);
    return seed;
}

static int seed_use(struct trail *t, struct secret *seed)
{
    secret_free(t->seed);
    t->seed = seed;
    return key_use(t);
}

int trail_key_make(struct engine *e)
{
    struct secret *seed = seed_new();
    int r = seed ? key_row_put(e, seed, 1) : -ENOMEM;
    if (r == 0)
        return seed_use(e->trail, seed);
    secret_free(seed);
    return r;
}

/* The row of the old private key goes: what it signed is checked with the public key that its successor's record names. */
static int key_old_row(void *arg, const struct kek_row *row)
{
    struct kek_row *old = arg;
    if (row->kind != KEK_TRAIL)
        return 0;
    *old = *row;
    return 1;
}

static int key_replace(struct engine *e, struct secret *seed)
{
    struct kek_row old = {0};
    int r = e->meta_ops->kek_scan(e->m, key_old_row, &old);
    if (r == 0)
        r = txn_begin(e);
    if (r < 0)
        return r;
    r = key_row_put(e, seed, old.version + 1);
    if (r == 0)
        r = e->meta_ops->kek_del(e->m, old.id, old.version);
    return txn_end(e, r);
}

/* A record that names both keys, under a head of the old one; then the new one signs. */
int trail_key_rotate(struct engine *e, struct caller *c)
{
    struct trail *t = e->trail;
    struct secret *seed = seed_new();
    uint8_t public[AUDIT_PUBLIC_BYTES];
    char id[AUDIT_KEY_ID_CHARS + 1], hex[2 * AUDIT_PUBLIC_BYTES + 1], old[2 * AUDIT_PUBLIC_BYTES + 1];
    int r = seed ? audit_public(secret_peek(seed), public) : -ENOMEM;
    if (r == 0)
        r = audit_key_id(public, id);
    if (r == 0) {
        hex_format(public, sizeof public, hex);
        hex_format(t->public, sizeof t->public, old);
        r = trail_note_alone(e, c, &(struct trail_event){.name = "RotateAuditKey",
                                                         .source = TRAIL_HOLDFS,
                                                         .params = json_pack("{s:s, s:s}", "publicKeyId", id, "publicKey", hex),
                                                         .previous = json_pack("{s:s, s:s}", "publicKeyId", t->key_id, "publicKey", old)});
    }
    if (r == 0)
        r = trail_head_make(e);
    if (r == 0)
        r = key_replace(e, seed);
    if (r < 0) {
        secret_free(seed);
        return r;
    }
    r = seed_use(t, seed);
    return r < 0 ? r : trail_public_file(e);
}

/* ---- STORE/audit.pub ---- */

static bool file_holds(const char *path, const struct bytes *text)
{
    uint8_t there[512];
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, there, sizeof there);
    return n >= 0 && (size_t)n == text->len && memcmp(there, text->data, text->len) == 0;
}

static int file_replace(const char *path, const void *text, size_t len)
{
    char fresh[4300];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, len);
    int r = n == (ssize_t)len && fsync(fd) == 0 ? 0 : n < 0 || n == (ssize_t)len ? -errno : -ENOSPC;
    close(fd);
    if (r == 0 && rename(fresh, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(fresh);
    return r;
}

int trail_public_file(struct engine *e)
{
    char path[4200];
    struct bytes pem = {0};
    snprintf(path, sizeof path, "%s/audit.pub", e->dir);
    int r = audit_public_pem(e->trail->public, &pem);
    if (r == 0 && !file_holds(path, &pem))
        r = file_replace(path, pem.data, pem.len);
    bytes_done(&pem);
    return r;
}

/* ---- heads ---- */

static int head_text(struct engine *e, const struct audit_place *place, struct bytes *out)
{
    struct trail *t = e->trail;
    struct audit_head head = {.place = *place};
    memcpy(head.chain, t->chain, sizeof head.chain);
    memcpy(head.key, t->key_id, sizeof head.key);
    if (e->clock)
        timeform_format_ms(compliance_date_ms(e), head.clock);
    trail_time(clock_wall_ns(), head.time);
    return audit_head_write(&head, out);
}

int trail_head_sign(struct engine *e, const struct audit_place *place, struct bytes *out)
{
    struct bytes text = {0}, message = {0};
    uint8_t signature[AUDIT_SIGNATURE_BYTES];
    int r = head_text(e, place, &text);
    if (r == 0)
        audit_head_message(text.data, text.len, &message);
    if (r == 0)
        r = message.failed ? -ENOMEM : audit_sign(secret_peek(e->trail->seed), message.data, message.len, signature);
    if (r == 0) {
        bytes_put(out, signature, sizeof signature);
        bytes_put(out, text.data, text.len);
        r = out->failed ? -ENOMEM : 0;
    }
    bytes_done(&text);
    bytes_done(&message);
    return r;
}

/* commit_seq and C, so that an older state of the store is known for one (encryption.md §2.2, retention.md §3). */
static json_t *point_json(struct engine *e)
{
    return json_pack("{s:I, s:I}", "commitSeq", (json_int_t)e->meta_ops->commit_seq(e->m), "complianceSeconds", (json_int_t)compliance_now_s(e));
}

static int point_note(struct engine *e)
{
    struct trail *t = e->trail;
    int r = trail_note_alone(e, NULL, &(struct trail_event){.name = "CommitPoint",
                                                            .source = TRAIL_HOLDFS,
                                                            .params = point_json(e),
                                                            .flags = TRAIL_SERVICE | TRAIL_READ});
    t->point_mono_ns = clock_mono_ns();
    if (r == 0)
        t->point_commit = e->meta_ops->commit_seq(e->m);
    return r;
}

/* Of the end as the open transaction leaves it. M, txn */
static int head_put(struct engine *e)
{
    struct bytes body = {0};
    uint64_t seq = e->trail->pending.seq;
    int r = trail_head_sign(e, &e->trail->pending, &body);
    if (r == 0)
        r = e->meta_ops->trail_put(e->m, TRAIL_HEADS, &(struct trail_row){.seq = seq, .last = seq, .body = span_of(body.data, body.len)});
    bytes_done(&body);
    return r;
}

int trail_head_make(struct engine *e)
{
    struct trail *t = e->trail;
    int r = txn_begin(e);
    if (r == 0)
        r = txn_end(e, head_put(e));
    if (r == 0) {
        t->head_seq = t->committed.seq;
        t->head_mono_ns = clock_mono_ns();
    }
    return r;
}

void trail_idle(struct engine *e)
{
    if (e->trail)
        e->trail->point_commit++;
}

int trail_stop(struct engine *e)
{
    struct trail *t = e->trail;
    if (!t || !t->seed)
        return 0;
    int r = trail_note(e, NULL, &(struct trail_event){.name = "StoreClosed", .source = TRAIL_HOLDFS, .flags = TRAIL_SERVICE, .params = point_json(e)});
    return r < 0 ? r : head_put(e);
}

/* The machine's date was set: it opens no lock, but somebody may have thought so. */
static int jump_note(struct engine *e)
{
    struct trail *t = e->trail;
    int64_t ahead = clock_wall_ns() - clock_mono_ns(), jump = t->wall_ahead_ns ? ahead - t->wall_ahead_ns : 0;
    t->wall_ahead_ns = ahead;
    if (jump > -JUMP_S * ns_per_s && jump < JUMP_S * ns_per_s)
        return 0;
    return trail_note_alone(e, NULL, &(struct trail_event){.name = "ClockJumpSeen",
                                                           .source = TRAIL_HOLDFS,
                                                           .params = json_pack("{s:I}", "seconds", (json_int_t)(jump / ns_per_s)),
                                                           .flags = TRAIL_SERVICE});
}

static int keep_up(struct engine *e, bool stop)
{
    struct trail *t = e->trail;
    LOCK_SCOPE(&e->meta);
    int64_t now = clock_mono_ns();
    if (!stop)
        trail_anchors_run(e);
    trail_late_run(e);
    int r = trail_pending_take(e);
    if (r == 0)
        r = trail_folds_close(e, stop);
    if (r == 0)
        r = jump_note(e);
    if (r == 0)
        r = trail_folds_save(e);
    bool changed = e->clock && e->meta_ops->commit_seq(e->m) > t->point_commit;
    if (r == 0 && changed && !stop && (now - t->point_mono_ns >= POINT_EVERY_S * ns_per_s))
        r = point_note(e);
    uint64_t fresh = t->committed.seq - t->head_seq;
    if (r == 0 && fresh && !stop && (fresh >= HEAD_EVERY_RECORDS || now - t->head_mono_ns >= HEAD_EVERY_S * ns_per_s)) {
        r = trail_head_make(e);
        t->point_commit = e->meta_ops->commit_seq(e->m); /* its own commit is no news */
    }
    return r;
}

void trail_run(struct engine *e, bool stop)
{
    struct trail *t = e->trail;
    if (!t || e->read_only || !t->seed)
        return;
    int r = keep_up(e, stop);
    if (r == 0)
        r = trail_pack(e);
    if (r == 0 && !stop)
        r = trail_expire(e);
    if (r < 0)
        log_error("the audit trail could not be kept up: %s", strerror(-r));
}
