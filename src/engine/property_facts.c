/* SPDX-License-Identifier: GPL-3.0-or-later
 * Properties that are computed: identity, sizes, encryption, checksums, what a directory hides. Read-only. */
#include "engine/property.h"
#include "engine/sse_c.h"

#include <stdio.h>

static int put_text(struct bytes *out, const char *text)
{
    if (!text[0])
        return -ENODATA;
    bytes_put(out, text, strlen(text));
    return 0;
}

int get_version_id(struct property_call *p, struct bytes *out)
{
    char id[33];
    if (!p->has_version)
        return -ENODATA;
    version_id_text(&p->version, id);
    return put_text(out, id);
}

int get_etag(struct property_call *p, struct bytes *out)
{
    return p->has_version ? put_text(out, p->version.record.etag) : -ENODATA;
}

int get_last_modified(struct property_call *p, struct bytes *out)
{
    char text[40];
    if (!p->has_version)
        return -ENODATA;
    timeform_format_ms(p->version.publish_ns / 1000000, text);
    return put_text(out, text);
}

int get_is_latest(struct property_call *p, struct bytes *out)
{
    return p->has_version ? put_text(out, p->is_current ? "true" : "false") : -ENODATA;
}

int get_delete_marker(struct property_call *p, struct bytes *out)
{
    (void)p; /* stands on markers only */
    return put_text(out, "true");
}

int get_size_stored(struct property_call *p, struct bytes *out)
{
    if (!p->has_version)
        return -ENODATA;
    const struct extmap *map = p->version.record.map;
    bytes_printf(out, "%llu", map ? (unsigned long long)extmap_stored_bytes(map) : 0ull);
    return 0;
}

int get_made_by(struct property_call *p, struct bytes *out)
{
    return p->has_version ? put_text(out, p->version.record.made_by) : -ENODATA;
}

int get_sse(struct property_call *p, struct bytes *out)
{
    switch (property_record(p)->envelope) {
    case ENVELOPE_SSE_S3:
        return put_text(out, "AES256");
    case ENVELOPE_SSE_KMS:
        return put_text(out, "aws:kms");
    default:
        return -ENODATA;
    }
}

static const struct envelope *envelope_of(const struct property_call *p, enum envelope_mode mode)
{
    const struct envelope *env = property_record(p)->env;
    return env && env->mode == mode ? env : NULL;
}

int get_sse_key(struct property_call *p, struct bytes *out)
{
    const struct envelope *env = envelope_of(p, ENVELOPE_SSE_KMS);
    return env ? put_text(out, env->arn) : -ENODATA;
}

int get_sse_bucket_key(struct property_call *p, struct bytes *out)
{
    const struct envelope *env = envelope_of(p, ENVELOPE_SSE_KMS);
    return env && env->bucket_key ? put_text(out, "true") : -ENODATA;
}

int get_sse_customer(struct property_call *p, struct bytes *out)
{
    return envelope_of(p, ENVELOPE_SSE_C) ? put_text(out, "AES256") : -ENODATA;
}

/* S3's answer to a request that has the key; here, to who has unlocked it (encryption.md §3.3). */
int get_sse_customer_md5(struct property_call *p, struct bytes *out)
{
    const struct envelope *env = envelope_of(p, ENVELOPE_SSE_C);
    char md5[32];
    int r = env ? sse_c_key_md5(p->engine, p->caller, p->bucket, env, md5) : -ENODATA;
    return r < 0 ? r : put_text(out, md5);
}

int property_needs_key(struct property_call *p)
{
    const struct envelope *env = envelope_of(p, ENVELOPE_SSE_C);
    return env ? sse_judge(p->engine, p->caller, p->bucket, property_key(p), 0, env) : 0;
}

static const char checksum[] = "checksum-";

int get_checksum(struct property_call *p, struct bytes *out)
{
    char name[64];
    const uint8_t *value;
    size_t len;
    const struct record *record = property_record(p);
    int n = snprintf(name, sizeof name, "%s%s", checksum, p->rest);
    if (n < 0 || (size_t)n >= sizeof name)
        return -ENODATA;
    int r = sse_judge(p->engine, p->caller, p->bucket, property_key(p), p->version.seq, record->env); /* a hash of plain content tells of it */
    if (r < 0)
        return r;
    r = attrs_get(&property_record(p)->attrs, ATTR_FACT, name, (size_t)n, &value, &len);
    if (r == 0)
        bytes_put(out, value, len);
    return r;
}

int names_checksum(struct property_call *p, struct bytes *out)
{
    struct attr_item item;
    const size_t prefix = sizeof checksum - 1;
    for (size_t at = 0; attrs_next(&property_record(p)->attrs, &at, &item);) {
        if (item.kind != ATTR_FACT || item.name_len <= prefix || memcmp(item.name, checksum, prefix) != 0)
            continue;
        bytes_put(out, item.name + prefix, item.name_len - prefix);
        bytes_put_u8(out, 0);
    }
    return 0;
}

int get_last_error(struct property_call *p, struct bytes *out)
{
    return engine_last_error(p->engine, p->caller->uid, out);
}

int remove_last_error(struct property_call *p)
{
    engine_last_error_forget(p->engine, p->caller->uid);
    return 0;
}

/* ---- what a directory hides (mount.md §2) ---- */

static int is_object_now(struct engine *e, uint32_t bucket, struct span key, bool *ret)
{
    struct version v;
    int r = version_load(e, bucket, key, 0, &v);
    *ret = r == 0 && !(v.flags & VERSION_MARKER);
    if (r == 0)
        version_done(&v);
    return r == -ENOENT ? 0 : r;
}

int get_shadowed(struct property_call *p, struct bytes *out)
{
    bool object = false;
    struct span key = property_key(p);
    int r = key.len ? is_object_now(p->engine, p->bucket->number, key, &object) : 0;
    return r < 0 ? r : object ? put_text(out, "true") : -ENODATA;
}

struct unshown_walk {
    uint8_t key[4097]; /* prefix of the directory, then the next key found */
    size_t prefix, len;
    uint64_t count;
};

/* Steps over one key, or over all keys below a segment that shows. *ret_inclusive says how to go on. */
static int unshown_step(struct property_call *p, struct unshown_walk *w, bool *ret_inclusive)
{
    const uint8_t *segment = w->key + w->prefix;
    const uint8_t *slash = memchr(segment, '/', w->len - w->prefix);
    size_t len = slash ? (size_t)(slash - segment) : w->len - w->prefix;
    if (slash && naming_shows(segment, len)) {
        w->key[w->prefix + len] = '/' + 1; /* the first key behind all those below it */
        w->len = w->prefix + len + 1;
        *ret_inclusive = true;
        return 0;
    }
    bool object = false;
    *ret_inclusive = false;
    /* "d/" itself is the directory d, not a nameless object in it. */
    if (w->len == w->prefix || naming_shows(segment, len))
        return 0;
    int r = is_object_now(p->engine, p->bucket->number, span_of(w->key, w->len), &object);
    w->count += object;
    return r;
}

int get_unshown_keys(struct property_call *p, struct bytes *out)
{
    struct unshown_walk w = {0};
    struct span dir = property_key(p);
    if (dir.len) {
        memcpy(w.key, dir.p, dir.len);
        w.key[dir.len] = '/';
        w.prefix = dir.len + 1;
    }
    w.len = w.prefix;
    bool inclusive = true;
    for (;;) {
        uint8_t next[4096];
        size_t len;
        int r = p->engine->meta_ops->version_next_key(p->engine->m, p->bucket->number, span_of(w.key, w.len), inclusive, next,
                                                      &len);
        if (r == -ENOENT || (r == 0 && (len < w.prefix || memcmp(next, w.key, w.prefix) != 0)))
            break;
        if (r < 0)
            return r;
        memcpy(w.key, next, len);
        w.len = len;
        r = unshown_step(p, &w, &inclusive);
        if (r < 0)
            return r;
    }
    if (!w.count)
        return -ENODATA;
    bytes_printf(out, "%llu", (unsigned long long)w.count);
    return 0;
}
