/* SPDX-License-Identifier: GPL-3.0-or-later
 * Sealed pieces of the trail: records behind the last head, 1 MiB of them compressed into one row, and their expiry from the front.
 *
 * A row of the trail holds one record (its hash, then its text) or a piece: the last record's hash, then zstd over all of them, each
 * as u32 length, hash, text. Both begin with the hash of the chain at their end. Pieces are rows of the metadata, so that every
 * rotation of keys and every copy of it takes them along (doc/decisions/audit-pieces.md). */
#include "engine/trail.h"

#include <zstd.h>

enum {
    PIECE_BYTES = 1 << 20,       /* logs.md §3.6 */
    PIECE_MAX_BYTES = 16 << 20,  /* one record may be large; more is no piece of ours */
    PIECE_LEVEL = 3,
};

/* ---- reading a row ---- */

static int piece_each(const struct trail_row *row, const uint8_t *p, size_t len, trail_record_fn *fn, void *arg)
{
    struct reader r = reader_over(p, len);
    int q = 0;
    for (uint64_t seq = row->seq; q == 0 && seq <= row->last; seq++) {
        uint32_t text_len = reader_u32(&r);
        const uint8_t *hash = reader_take(&r, AUDIT_HASH_BYTES), *text = reader_take(&r, text_len);
        if (r.failed)
            return -EIO;
        q = fn(arg, seq, hash, text, text_len);
    }
    return q;
}

int trail_row_each(const struct trail_row *row, trail_record_fn *fn, void *arg)
{
    if (row->body.len < AUDIT_HASH_BYTES || row->last < row->seq)
        return -EIO;
    const uint8_t *rest = row->body.p + AUDIT_HASH_BYTES;
    size_t rest_len = row->body.len - AUDIT_HASH_BYTES;
    if (row->seq == row->last)
        return fn(arg, row->seq, row->body.p, rest, rest_len);
    unsigned long long len = ZSTD_getFrameContentSize(rest, rest_len);
    if (len == ZSTD_CONTENTSIZE_ERROR || len == ZSTD_CONTENTSIZE_UNKNOWN || len > PIECE_MAX_BYTES)
        return -EIO;
    CLEANUP_FREE uint8_t *plain = malloc(len ? len : 1);
    if (!plain)
        return -ENOMEM;
    size_t got = ZSTD_decompress(plain, len, rest, rest_len);
    return ZSTD_isError(got) || got != len ? -EIO : piece_each(row, plain, len, fn, arg);
}

/* ---- sealing ---- */

struct gather {
    struct bytes plain;
    uint64_t first, last, until;
    uint8_t hash[AUDIT_HASH_BYTES];
};

static int gather_row(void *arg, const struct trail_row *row)
{
    struct gather *g = arg;
    if (row->seq > g->until || row->last != row->seq || row->body.len < AUDIT_HASH_BYTES || g->plain.len >= PIECE_BYTES)
        return 1;
    if (!g->first)
        g->first = row->seq;
    g->last = row->seq;
    memcpy(g->hash, row->body.p, AUDIT_HASH_BYTES);
    bytes_put_u32(&g->plain, (uint32_t)(row->body.len - AUDIT_HASH_BYTES));
    bytes_put(&g->plain, row->body.p, row->body.len);
    return g->plain.failed ? -ENOMEM : 0;
}

static int piece_put(struct engine *e, const struct gather *g, const struct bytes *body)
{
    int r = txn_begin(e);
    if (r < 0)
        return r;
    r = e->meta_ops->trail_del(e->m, TRAIL_RECORDS, g->first, g->last);
    if (r == 0)
        r = e->meta_ops->trail_put(e->m, TRAIL_RECORDS,
                                   &(struct trail_row){.seq = g->first, .last = g->last, .body = span_of(body->data, body->len)});
    return txn_end(e, r);
}

static int piece_compress(const struct gather *g, struct bytes *body)
{
    size_t bound = ZSTD_compressBound(g->plain.len);
    CLEANUP_FREE uint8_t *packed = malloc(bound);
    size_t len = packed ? ZSTD_compress(packed, bound, g->plain.data, g->plain.len, PIECE_LEVEL) : 0;
    if (!packed || ZSTD_isError(len))
        return -ENOMEM;
    bytes_put(body, g->hash, AUDIT_HASH_BYTES);
    bytes_put(body, packed, len);
    return body->failed ? -ENOMEM : 0;
}

int trail_pack(struct engine *e)
{
    struct trail *t = e->trail;
    struct gather g = {0};
    struct bytes body = {0};
    int r;
    {
        LOCK_SCOPE(&e->meta);
        g.until = t->head_seq;
        bool worth = t->loose_bytes >= PIECE_BYTES && t->head_seq > t->packed;
        r = worth ? e->meta_ops->trail_scan(e->m, TRAIL_RECORDS, t->packed + 1, false, gather_row, &g) : 0;
    }
    /* Records never change, and only this thread moves them: compressed without the lock. */
    bool full = r == 0 && g.plain.len >= PIECE_BYTES && g.last > g.first;
    if (full)
        r = piece_compress(&g, &body);
    if (r == 0 && full) {
        LOCK_SCOPE(&e->meta);
        r = piece_put(e, &g, &body);
        if (r == 0) {
            t->packed = g.last;
            t->loose_bytes -= t->loose_bytes < g.plain.len ? t->loose_bytes : g.plain.len;
        }
    }
    bytes_done(&g.plain);
    bytes_done(&body);
    return r < 0 ? r : full;
}

/* ---- expiry ---- */

struct front {
    uint64_t first, last;
    uint8_t hash[AUDIT_HASH_BYTES];
    char time[40];
};

static int newest_time(void *arg, uint64_t seq, const uint8_t *hash, const uint8_t *text, size_t len)
{
    struct front *f = arg;
    (void)seq;
    (void)hash;
    json_t *o = json_loadb((const char *)text, len, 0, NULL);
    const char *time = json_string_value(json_object_get(o, "eventTime"));
    if (time && strlen(time) < sizeof f->time && strcmp(time, f->time) > 0)
        memcpy(f->time, time, strlen(time) + 1);
    json_decref(o);
    return 0;
}

static int front_row(void *arg, const struct trail_row *row)
{
    struct front *f = arg;
    if (row->seq == row->last || row->body.len < AUDIT_HASH_BYTES)
        return 1; /* loose ones are young */
    f->first = row->seq;
    f->last = row->last;
    memcpy(f->hash, row->body.p, AUDIT_HASH_BYTES);
    int r = trail_row_each(row, newest_time, f);
    return r < 0 ? r : 1;
}

/* The piece goes, with the heads in it; a signed checkpoint stands where verification then begins. */
static int front_drop(struct engine *e, const struct front *f)
{
    struct bytes head = {0};
    struct audit_place place = {.seq = f->last};
    memcpy(place.hash, f->hash, AUDIT_HASH_BYTES);
    int r = trail_head_sign(e, &place, &head);
    if (r == 0)
        r = txn_begin(e);
    if (r == 0) {
        r = e->meta_ops->trail_del(e->m, TRAIL_RECORDS, f->first, f->last);
        if (r == 0)
            r = e->meta_ops->trail_del(e->m, TRAIL_HEADS, 0, f->last);
        if (r == 0)
            r = e->meta_ops->value_put(e->m, "trail.checkpoint", span_of(head.data, head.len));
        r = txn_end(e, trail_also(e, NULL, r, &(struct trail_event){.name = "TrailExpired",
                                                                    .source = TRAIL_HOLDFS,
                                                                    .params = json_pack("{s:I, s:I, s:s}", "first", (json_int_t)f->first, "last",
                                                                                        (json_int_t)f->last, "until", f->time),
                                                                    .flags = TRAIL_SERVICE}));
    }
    bytes_done(&head);
    return r;
}

int trail_expire(struct engine *e)
{
    struct trail *t = e->trail;
    LOCK_SCOPE(&e->meta);
    if (!t->keep_days || !t->packed)
        return 0;
    /* By the earlier of both dates: one set ahead removes nothing. */
    int64_t wall_ms = clock_wall_ns() / 1000000, date_ms = compliance_date_ms(e);
    char before[40];
    trail_time(((wall_ms < date_ms ? wall_ms : date_ms) - t->keep_days * 86400 * 1000) * 1000000, before);
    struct front f = {0};
    int r = e->meta_ops->trail_scan(e->m, TRAIL_RECORDS, 0, false, front_row, &f);
    if (r < 0 || !f.last || strcmp(f.time, before) >= 0)
        return r;
    r = front_drop(e, &f);
    return r < 0 ? r : 1;
}
