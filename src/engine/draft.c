/* SPDX-License-Identifier: GPL-3.0-or-later
 * Drafts: beginning, changing, reading. Publishing is in publish.c. See draft.h. */
#include "engine/draft.h"
#include "engine/kms.h"

#include <assert.h>
#include <stdio.h>

bool draft_unpublished(const struct inode *i)
{
    return i->draft && (!i->seq || atomic_load(&i->draft->changed));
}

void draft_attrs_changed(struct inode *i)
{
    atomic_store(&i->draft->attrs_unsaved, true);
}

bool draft_open(const struct inode *i)
{
    return i->draft != NULL;
}

void draft_free(struct draft *d)
{
    if (!d)
        return;
    if (d->bytes)
        secret_wipe(d->bytes, d->bytes_cap);
    free(d->bytes);
    if (d->pending)
        secret_wipe(d->pending, DRAFT_PENDING_BYTES);
    free(d->pending);
    for (size_t n = 0; n < d->key_count; n++)
        content_key_unref(d->keys[n]);
    free(d->keys);
    content_key_unref(d->key);
    extmap_unref(d->map);
    extmap_unref(d->saved_map);
    data_key_unref(d->kek);
    envelope_unref(d->env);
    free(d);
}

static int draft_reserve(struct draft *d, size_t len)
{
    if (len <= d->bytes_cap)
        return 0;
    size_t cap = d->bytes_cap ? d->bytes_cap : 1024;
    while (cap < len)
        cap *= 2;
    uint8_t *bytes = realloc(d->bytes, cap);
    if (!bytes)
        return -ENOMEM;
    memset(bytes + d->bytes_cap, 0, cap - d->bytes_cap);
    d->bytes = bytes;
    d->bytes_cap = cap;
    return 0;
}

int draft_take_keys(struct engine *e, struct inode *i)
{
    struct draft *d = i->draft;
    if (d->key_count >= d->map->dek_count)
        return 0;
    struct content_key **keys = realloc(d->keys, d->map->dek_count * sizeof *keys);
    if (!keys)
        return -ENOMEM;
    d->keys = keys;
    while (d->key_count < d->map->dek_count) {
        int r = keyring_dek_open(e, i->bucket, &d->map->deks[d->key_count], &keys[d->key_count]);
        if (r < 0)
            return r;
        d->key_count++;
    }
    return 0;
}

/* E8: a draft always has its own data key, made when its first frame is sealed and again when its numbers run out. */
int draft_key(struct engine *e, struct inode *i)
{
    struct draft *d = i->draft;
    if (d->key && content_key_next(d->key) < (UINT64_C(1) << 32) - 1024)
        return 0;
    content_key_unref(d->key);
    d->key = NULL;
    return keyring_dek_new(e, i->bucket, d->env, &d->wrapped, &d->key);
}

int draft_envelope_set(struct engine *e, struct inode *i, struct envelope *env, struct data_key *kek)
{
    struct draft *d = i->draft;
    if (env == d->env)
        return 0;
    int r = d->map && d->map->dek_count ? keyring_map_rewrap(e, i->bucket, i->bucket, env, d->map) : 0;
    if (r < 0)
        return r;
    content_key_unref(d->key);
    d->key = NULL;
    d->map_unsaved = true;
    struct envelope *old = d->env;
    {
        LOCK_SCOPE(&e->meta);
        d->env = envelope_ref(env);
    }
    envelope_unref(old);
    data_key_unref(d->kek);
    d->kek = kek ? data_key_ref(kek) : NULL;
    return 0;
}

int draft_begin_by(struct engine_handle *h)
{
    struct inode *i = h->inode;
    if (atomic_load(&h->taken) && h->env)
        return sse_handle_follows(h, h->env);
    if (i->draft)
        return 0;
    int r = draft_begin(h->engine, i, &h->principal);
    return r == 0 && h->fresh && !i->draft->size_bytes ? draft_envelope_set(h->engine, i, h->env, h->kek) : r;
}

static int draft_load_small(struct engine *e, struct draft *d, struct content *content)
{
    int r = draft_reserve(d, d->size_bytes);
    if (r < 0 || !d->size_bytes)
        return r;
    struct content_fault fault;
    ssize_t n = content_read(e->pipe, content->map, content->keys, 0, d->bytes, d->size_bytes, &fault);
    if (n < 0)
        return (int)n;
    return (uint64_t)n == d->size_bytes ? 0 : -EIO;
}

static int draft_fill(struct engine *e, struct inode *i, struct draft *d)
{
    struct content *content;
    int r = inode_content(e, i, &content);
    if (r < 0)
        return r;
    d->size_bytes = content->map->size_bytes;
    d->small = d->size_bytes <= DRAFT_SMALL_BYTES;
    if (d->small) {
        d->map = extmap_new();
        r = d->map ? draft_load_small(e, d, content) : -ENOMEM;
    } else {
        d->map = extmap_copy(content->map);
        r = d->map ? 0 : -ENOMEM;
    }
    content_unref(content);
    return r;
}

int draft_begin(struct engine *e, struct inode *i, const struct principal *principal)
{
    if (i->draft)
        return 0;
    if (e->read_only)
        return -EROFS;
    struct draft *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->principal = *principal;
    int r = draft_fill(e, i, d);
    if (r < 0) {
        draft_free(d);
        return r;
    }
    atomic_store(&i->live_size, d->size_bytes);
    atomic_store(&i->live_mtime_ns, 0);
    LOCK_SCOPE(&e->meta);
    r = sse_open_internal(e, i->record.env, NULL, &d->kek);
    if (r < 0) {
        draft_free(d);
        return r;
    }
    d->env = envelope_ref(i->record.env);
    d->written = i->record.written;
    i->draft = d;
    return draft_take_keys(e, i);
}

int draft_begin_empty(struct engine *e, struct inode *i, const struct principal *principal)
{
    if (i->draft)
        return draft_resize(e, i, 0);
    if (e->read_only)
        return -EROFS;
    struct draft *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->principal = *principal;
    d->small = d->map_unsaved = true;
    d->map = extmap_new();
    if (!d->map) {
        free(d);
        return -ENOMEM;
    }
    {
        LOCK_SCOPE(&e->meta);
        d->written = i->record.written;
        i->draft = d;
    }
    draft_note_change(i);
    return 0;
}

uint64_t inode_size(struct engine *e, struct inode *i)
{
    if (i->draft)
        return i->draft->size_bytes;
    LOCK_SCOPE(&e->meta);
    return i->record.size_bytes;
}

void draft_note_change(struct inode *i)
{
    struct draft *d = i->draft;
    if (!d->small)
        d->size_bytes = d->map->size_bytes;
    d->changed = true;
    extmap_unref(d->saved_map);
    d->saved_map = NULL;
    atomic_store(&i->live_size, d->size_bytes);
    atomic_store(&i->live_mtime_ns, clock_wall_ns());
}

enum frame_compression draft_compression(const struct inode *i)
{
    return i->bucket->compress ? FRAME_COMPRESSION_ZSTD : FRAME_COMPRESSION_NONE;
}

static int draft_write_frames(struct engine *e, struct inode *i, const void *buf, size_t len, uint64_t offset)
{
    struct draft *d = i->draft;
    int r = draft_key(e, i);
    int dek = r < 0 ? r : extmap_dek_index(d->map, &d->wrapped);
    if (dek < 0)
        return dek;
    r = draft_take_keys(e, i);
    if (r < 0)
        return r;
    return content_write(e->pipe, d->key, (uint32_t)dek, draft_compression(i), d->map, offset, buf, len);
}

/* What is pending becomes a frame. */
static int draft_spill(struct engine *e, struct inode *i)
{
    struct draft *d = i->draft;
    if (!d->pending_len)
        return 0;
    int r = draft_write_frames(e, i, d->pending, d->pending_len, d->pending_offset);
    if (r < 0)
        return r;
    if (d->pending_saved < d->pending_len)
        d->map_unsaved = true;
    d->pending_len = d->pending_saved = 0;
    return 0;
}

/* Gathers small writes that follow or overlap each other within one unit. */
static int draft_write_pending(struct engine *e, struct inode *i, const void *buf, size_t len, uint64_t offset)
{
    struct draft *d = i->draft;
    uint64_t unit_end = (d->pending_offset / DRAFT_PENDING_BYTES + 1) * DRAFT_PENDING_BYTES;
    bool joins = d->pending_len && offset >= d->pending_offset && offset <= d->pending_offset + d->pending_len &&
                 offset + len <= unit_end;
    int r = 0;
    if (!joins) {
        r = draft_spill(e, i);
        if (r == 0 && offset / DRAFT_PENDING_BYTES != (offset + len - 1) / DRAFT_PENDING_BYTES) {
            d->map_unsaved = true;
            return draft_write_frames(e, i, buf, len, offset);
        }
        if (r == 0 && !d->pending && !(d->pending = malloc(DRAFT_PENDING_BYTES)))
            r = -ENOMEM;
        d->pending_offset = offset;
    }
    if (r == 0 && offset + len > d->map->size_bytes)
        r = extmap_resize(d->map, offset + len);
    if (r < 0)
        return r;
    uint32_t at = (uint32_t)(offset - d->pending_offset);
    memcpy(d->pending + at, buf, len);
    if (at + len > d->pending_len)
        d->pending_len = (uint32_t)(at + len);
    if (at < d->pending_saved)
        d->pending_saved = 0;
    return 0;
}

int draft_to_map(struct engine *e, struct inode *i)
{
    struct draft *d = i->draft;
    if (!d->small)
        return draft_spill(e, i);
    int r = d->size_bytes ? draft_write_frames(e, i, d->bytes, d->size_bytes, 0) : 0;
    if (r == 0)
        r = extmap_resize(d->map, d->size_bytes);
    if (r < 0)
        return r;
    d->small = false;
    d->map_unsaved = true;
    secret_wipe(d->bytes, d->bytes_cap);
    free(d->bytes);
    d->bytes = NULL;
    d->bytes_cap = 0;
    return 0;
}

int draft_write(struct engine *e, struct inode *i, const void *buf, size_t len, uint64_t offset)
{
    struct draft *d = i->draft;
    int r;
    if (d->small && offset + len <= DRAFT_SMALL_BYTES) {
        r = draft_reserve(d, offset + len);
        if (r < 0)
            return r;
        memcpy(d->bytes + offset, buf, len);
        if (offset + len > d->size_bytes)
            d->size_bytes = offset + len;
    } else {
        r = d->small ? draft_to_map(e, i) : 0;
        if (r == 0 && len < DRAFT_PENDING_BYTES) {
            r = draft_write_pending(e, i, buf, len, offset);
        } else if (r == 0 && (r = draft_spill(e, i)) == 0) {
            d->map_unsaved = true;
            r = draft_write_frames(e, i, buf, len, offset);
        }
        if (r < 0)
            return r;
    }
    d->written = true;
    draft_note_change(i);
    return 0;
}

/* Pending bytes over what was read from the map. */
static void draft_overlay(const struct draft *d, uint8_t *buf, size_t len, uint64_t offset)
{
    uint64_t from = offset > d->pending_offset ? offset : d->pending_offset;
    uint64_t end = offset + len, pending_end = d->pending_offset + d->pending_len;
    if (pending_end < end)
        end = pending_end;
    if (from < end)
        memcpy(buf + (from - offset), d->pending + (from - d->pending_offset), end - from);
}

ssize_t draft_read(struct engine *e, struct inode *i, void *buf, size_t len, uint64_t offset, struct content_fault *fault)
{
    struct draft *d = i->draft;
    if (!d->small) {
        ssize_t n = content_read(e->pipe, d->map, d->keys, offset, buf, len, fault);
        if (n > 0 && d->pending_len)
            draft_overlay(d, buf, (size_t)n, offset);
        return n;
    }
    if (offset >= d->size_bytes)
        return 0;
    if (len > d->size_bytes - offset)
        len = d->size_bytes - offset;
    memcpy(buf, d->bytes + offset, len);
    return (ssize_t)len;
}

int draft_resize(struct engine *e, struct inode *i, uint64_t size)
{
    struct draft *d = i->draft;
    if (size == d->size_bytes)
        return 0;
    int r = 0;
    if (size == 0 && !d->small) { /* starts over as small content */
        d->small = true;
        d->pending_len = d->pending_saved = 0;
        for (size_t n = 0; n < d->key_count; n++)
            content_key_unref(d->keys[n]);
        d->key_count = 0;
        extmap_unref(d->map);
        d->map = extmap_new();
        if (!d->map)
            return -ENOMEM;
    } else if (d->small && size <= DRAFT_SMALL_BYTES) {
        r = draft_reserve(d, size);
        if (r == 0 && size < d->size_bytes)
            memset(d->bytes + size, 0, d->size_bytes - size);
    } else {
        r = draft_to_map(e, i);
        if (r == 0)
            r = extmap_resize(d->map, size);
    }
    if (r < 0)
        return r;
    d->map_unsaved = true;
    d->size_bytes = size;
    draft_note_change(i);
    return 0;
}

int draft_punch(struct engine *e, struct inode *i, uint64_t offset, uint64_t length)
{
    struct draft *d = i->draft;
    if (offset >= d->size_bytes)
        return 0;
    if (length > d->size_bytes - offset)
        length = d->size_bytes - offset;
    int r = 0;
    if (d->small)
        memset(d->bytes + offset, 0, length);
    else if ((r = draft_spill(e, i)) == 0)
        r = extmap_punch(d->map, offset, length);
    d->map_unsaved = true;
    if (r == 0)
        draft_note_change(i);
    return r;
}

/* Small content as a frame: inline in the row, or in a segment. */
static int draft_seal_small(struct engine *e, struct inode *i, struct extmap *map)
{
    struct draft *d = i->draft;
    int r = draft_key(e, i);
    int dek = r < 0 ? r : extmap_dek_index(map, &d->wrapped);
    if (dek < 0)
        return dek;
    enum frame_compression compression = draft_compression(i);
    if (d->size_bytes <= DRAFT_INLINE_BYTES)
        return content_write_inline(e->pipe, d->key, (uint32_t)dek, compression, map, 0, d->bytes, d->size_bytes);
    return content_write(e->pipe, d->key, (uint32_t)dek, compression, map, 0, d->bytes, d->size_bytes);
}

int draft_map(struct engine *e, struct inode *i, struct extmap **ret)
{
    struct draft *d = i->draft;
    int spilled = d->small ? 0 : draft_spill(e, i);
    if (spilled < 0)
        return spilled;
    struct extmap *map = d->small ? extmap_new() : extmap_copy(d->map);
    if (!map)
        return -ENOMEM;
    int r = 0;
    if (d->small && d->size_bytes)
        r = draft_seal_small(e, i, map);
    if (r == 0)
        r = extmap_resize(map, d->size_bytes);
    if (r == 0)
        r = extmap_tidy(map);
    if (r < 0) {
        extmap_unref(map);
        return r;
    }
    *ret = map;
    return 0;
}

int content_small(struct engine *e, struct bucket *b, struct record *record, const void *data, size_t len)
{
    struct extmap *map = extmap_new();
    struct extmap_dek wrapped;
    struct content_key *key = NULL;
    int r = map ? keyring_dek_new(e, b, NULL, &wrapped, &key) : -ENOMEM;
    int dek = r < 0 ? r : extmap_dek_index(map, &wrapped);
    r = dek < 0 ? dek : content_write_inline(e->pipe, key, (uint32_t)dek, FRAME_COMPRESSION_NONE, map, 0, data, len);
    content_key_unref(key);
    if (r < 0) {
        extmap_unref(map);
        return r;
    }
    record->map = map;
    record->size_bytes = len;
    record->written = true;
    record_set_envelope(record, NULL, b->kek_id, b->kek_version);
    record_new_etag(record);
    return 0;
}

void record_new_etag(struct record *record)
{
    uint8_t random[16];
    random_bytes(random, sizeof random);
    hex_format(random, sizeof random, record->etag);
    memcpy(record->etag + 32, "-0", 3);
}

/* ---- published content ---- */

int inode_content(struct engine *e, struct inode *i, struct content **ret)
{
    LOCK_SCOPE(&e->meta);
    if (i->content && !atomic_load(&i->content_stale)) {
        *ret = content_ref(i->content);
        return 0;
    }
    struct extmap *map = i->record.map ? extmap_ref(i->record.map) : extmap_new();
    if (!map)
        return -ENOMEM;
    if (!i->record.map) {
        int r = extmap_resize(map, i->record.size_bytes);
        if (r < 0) {
            extmap_unref(map);
            return r;
        }
    }
    struct content *content;
    struct data_key *kek;
    int r = sse_open_internal(e, i->record.env, NULL, &kek);
    if (r == 0)
        r = content_new(e, i->bucket, map, &content);
    data_key_unref(kek);
    extmap_unref(map);
    if (r < 0)
        return r;
    content->env = envelope_ref(i->record.env);
    content_unref(i->content);
    i->content = content;
    atomic_store(&i->content_stale, false);
    *ret = content_ref(content);
    return 0;
}

void content_report(struct engine *e, struct inode *i, const struct content_fault *fault)
{
    char what[200], id[33] = "draft";
    snprintf(what, sizeof what, "segment %u offset %llu frame %llu, file offset %llu: %s", fault->segment,
             (unsigned long long)fault->place_bytes, (unsigned long long)fault->number,
             (unsigned long long)fault->file_offset, fault->what ? fault->what : "unreadable");
    LOCK_SCOPE(&e->meta);
    struct version v;
    struct span key = span_of(i->key, i->key_len);
    if (version_load(e, i->bucket->number, key, 0, &v) == 0) {
        version_id_text(&v, id);
        version_done(&v);
    }
    integrity_event(e, what, i->bucket->name, key, id);
}
