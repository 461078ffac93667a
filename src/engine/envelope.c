/* SPDX-License-Identifier: GPL-3.0-or-later
 * Envelopes: what a version keeps of the KMS data key or customer key above its data keys; see record.h.
 *
 * SSE-KMS: blob provider, blob arn, u8 flags (1 bucket key, 2 context sent), blob blob, blob context. SSE-C: 16 salt, 32 verifier. */
#include "engine/record.h"
#include "util/limits.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

enum { ENVELOPE_BUCKET_KEY = 1, ENVELOPE_CONTEXT_SENT = 2 };
enum { CONTEXT_MAX_BYTES = 65536 };

struct envelope *envelope_new(enum envelope_mode mode)
{
    struct envelope *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->refs = 1;
    v->mode = mode;
    return v;
}

struct envelope *envelope_ref(struct envelope *v)
{
    if (v)
        __atomic_add_fetch(&v->refs, 1, __ATOMIC_RELAXED);
    return v;
}

void envelope_unref(struct envelope *v)
{
    if (!v || __atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    bytes_done(&v->blob);
    bytes_done(&v->context);
    free(v);
}

void envelope_encode(const struct envelope *v, struct bytes *out)
{
    if (v->mode == ENVELOPE_SSE_C) {
        bytes_put(out, v->salt, sizeof v->salt);
        bytes_put(out, v->verifier, sizeof v->verifier);
        return;
    }
    bytes_put_blob(out, v->provider, strlen(v->provider));
    bytes_put_blob(out, v->arn, strlen(v->arn));
    bytes_put_u8(out, (uint8_t)((v->bucket_key ? ENVELOPE_BUCKET_KEY : 0) | (v->context_sent ? ENVELOPE_CONTEXT_SENT : 0)));
    bytes_put_blob(out, v->blob.data, v->blob.len);
    bytes_put_blob(out, v->context.data, v->context.len);
}

static void take_bytes(struct reader *r, size_t max, struct bytes *out)
{
    size_t len;
    const uint8_t *p = reader_blob(r, &len);
    if (!p || len > max) {
        r->failed = true;
        return;
    }
    bytes_put(out, p, len);
    r->failed |= !bytes_text(out);
}

static void take_kms(struct reader *r, struct envelope *v)
{
    reader_text(r, v->provider, sizeof v->provider);
    reader_text(r, v->arn, sizeof v->arn);
    uint8_t flags = reader_u8(r);
    if (flags & ~(ENVELOPE_BUCKET_KEY | ENVELOPE_CONTEXT_SENT))
        r->failed = true;
    v->bucket_key = flags & ENVELOPE_BUCKET_KEY;
    v->context_sent = flags & ENVELOPE_CONTEXT_SENT;
    take_bytes(r, LIMIT_KMS_BLOB_BYTES, &v->blob);
    take_bytes(r, CONTEXT_MAX_BYTES, &v->context);
    const char *id = strrchr(v->arn, '/');
    if (id)
        uuid_parse(id + 1, v->key_id); /* another provider's keys may be named otherwise */
}

struct envelope *envelope_decode(enum envelope_mode mode, struct reader *r)
{
    struct envelope *v = envelope_new(mode);
    if (!v)
        return NULL;
    if (mode == ENVELOPE_SSE_C) {
        const uint8_t *salt = reader_take(r, sizeof v->salt), *verifier = reader_take(r, sizeof v->verifier);
        if (salt && verifier) {
            memcpy(v->salt, salt, sizeof v->salt);
            memcpy(v->verifier, verifier, sizeof v->verifier);
        }
    } else {
        take_kms(r, v);
    }
    if (r->failed) {
        envelope_unref(v);
        return NULL;
    }
    return v;
}
