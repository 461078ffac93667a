/* SPDX-License-Identifier: GPL-3.0-or-later
 * The stage "zstd": compresses or decompresses a whole stream (RFC 8878), in a view as in a write; doc/stages/zstd.md.
 * It has nothing to do with the compression of frames (compress.h), which nobody sees.
 *
 * Holds more than the 1 MiB of stage.h, rule 3: zstd's own window, 128 MiB at most. */
#include "pipeline/stage.h"

#include "util/cleanup.h"
#include "util/reason.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    ZSTD_STAGE_LEVEL_DEFAULT = 3,
    ZSTD_STAGE_LEVEL_MAX = 19, /* beyond it the encoder's memory grows past the decoder's window */
    ZSTD_STAGE_WINDOW_LOG = 27,
    ZSTD_STAGE_INPUT_BYTES = 128 << 10,
    /* A bomb: more than this many times its input and then a megabyte. */
    ZSTD_STAGE_RATIO_MAX = 1000,
    ZSTD_STAGE_RATIO_FREE_BYTES = 1 << 20,
};

struct zstd_config {
    bool compress;
    int level;
};

struct zstd_contexts {
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
};

struct zstd_stream {
    const struct zstd_config *config;
    struct zstd_contexts *contexts;
    struct stage_next *below;
    ZSTD_inBuffer in;
    bool input_ended, output_ended;
    size_t hint; /* of the last call: 0 where a frame is complete */
    uint64_t in_bytes, out_bytes;
    uint8_t input[ZSTD_STAGE_INPUT_BYTES];
};

/* --- configuration ---------------------------------------------------------------------------------------- */

static int zstd_config_parse(const json_t *config, struct zstd_config *c, struct reason *reason)
{
    const char *key;
    json_t *value;
    const char *mode = json_string_value(json_object_get(config, "mode"));
    if (!mode || (strcmp(mode, "compress") && strcmp(mode, "decompress")))
        return reason_fail(reason, EINVAL, "stage zstd: mode must be \"compress\" or \"decompress\"");
    c->compress = !strcmp(mode, "compress");
    json_object_foreach ((json_t *)(uintptr_t)config, key, value) {
        if (!strcmp(key, "mode") || !strcmp(key, "stage"))
            continue;
        if (strcmp(key, "level") || !c->compress)
            return reason_fail(reason, EINVAL, "stage zstd: there is no member \"%s\" in mode %s", key, mode);
        json_int_t level = json_integer_value(value);
        if (level < 1 || level > ZSTD_STAGE_LEVEL_MAX)
            return reason_fail(reason, EINVAL, "stage zstd: level must be a number from 1 to %d",
                               ZSTD_STAGE_LEVEL_MAX);
        c->level = (int)level;
    }
    return 0;
}

static int zstd_config_new(const json_t *config, void **shared, struct reason *reason)
{
    struct zstd_config c = {.level = ZSTD_STAGE_LEVEL_DEFAULT};
    int r = zstd_config_parse(config, &c, reason);
    if (r < 0)
        return r;
    struct zstd_config *kept = malloc(sizeof *kept);
    if (!kept)
        return -ENOMEM;
    *kept = c;
    *shared = kept;
    return 0;
}

static void zstd_thread_free(void *thread)
{
    struct zstd_contexts *t = thread;
    ZSTD_freeCCtx(t->compress);
    ZSTD_freeDCtx(t->decompress);
    free(t);
}

static int zstd_thread_new(const void *shared, void **thread)
{
    const struct zstd_config *config = shared;
    struct zstd_contexts *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    if (config->compress)
        t->compress = ZSTD_createCCtx();
    else
        t->decompress = ZSTD_createDCtx();
    if (!t->compress && !t->decompress) {
        zstd_thread_free(t);
        return -ENOMEM;
    }
    *thread = t;
    return 0;
}

/* --- one stream ------------------------------------------------------------------------------------------- */

static int zstd_open(const void *shared, void *thread, const struct stage_request *request, struct stage_next *next,
                     struct stage_meta *out, void **self)
{
    (void)request;
    struct zstd_stream *s = malloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    memset(s, 0, offsetof(struct zstd_stream, input));
    s->config = shared;
    s->contexts = thread;
    s->below = next;
    s->in.src = s->input;
    if (s->config->compress) {
        ZSTD_CCtx_reset(s->contexts->compress, ZSTD_reset_session_and_parameters);
        ZSTD_CCtx_setParameter(s->contexts->compress, ZSTD_c_compressionLevel, s->config->level);
    } else {
        ZSTD_DCtx_reset(s->contexts->decompress, ZSTD_reset_session_and_parameters);
        ZSTD_DCtx_setParameter(s->contexts->decompress, ZSTD_d_windowLogMax, ZSTD_STAGE_WINDOW_LOG);
    }
    out->size_bytes = UINT64_MAX;
    out->content_encoding = s->config->compress ? "zstd" : NULL;
    *self = s;
    return 0;
}

/* Fetches input once the last of it is used up. */
static int zstd_refill(struct zstd_stream *s)
{
    if (s->in.pos < s->in.size || s->input_ended)
        return 0;
    ssize_t n = s->below->pull(s->below, s->input, sizeof s->input);
    if (n < 0)
        return (int)n;
    s->in.pos = 0;
    s->in.size = (size_t)n;
    s->in_bytes += (uint64_t)n;
    s->input_ended = n == 0;
    return 0;
}

static int zstd_step_compress(struct zstd_stream *s, ZSTD_outBuffer *out)
{
    ZSTD_EndDirective mode = s->input_ended ? ZSTD_e_end : ZSTD_e_continue;
    size_t left = ZSTD_compressStream2(s->contexts->compress, out, &s->in, mode);
    if (ZSTD_isError(left))
        return ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
    s->output_ended = s->input_ended && left == 0;
    return 0;
}

static int zstd_step_decompress(struct zstd_stream *s, ZSTD_outBuffer *out)
{
    size_t in_before = s->in.pos, out_before = out->pos;
    if (s->input_ended && s->hint == 0) { /* where a frame ends, so may the stream; an empty one is none */
        s->output_ended = true;
        return s->in_bytes ? 0 : -EBADMSG;
    }
    s->hint = ZSTD_decompressStream(s->contexts->decompress, out, &s->in);
    if (ZSTD_isError(s->hint))
        return ZSTD_getErrorCode(s->hint) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
    if (s->input_ended && s->hint && s->in.pos == in_before && out->pos == out_before)
        return -EBADMSG; /* cut off within a frame */
    uint64_t total = s->out_bytes + out->pos;
    return total > s->in_bytes * ZSTD_STAGE_RATIO_MAX + ZSTD_STAGE_RATIO_FREE_BYTES ? -EFBIG : 0;
}

static ssize_t zstd_pull(void *self, void *buf, size_t len)
{
    struct zstd_stream *s = self;
    ZSTD_outBuffer out = {buf, len, 0};
    while (out.pos == 0 && !s->output_ended) {
        int r = zstd_refill(s);
        if (r == 0)
            r = s->config->compress ? zstd_step_compress(s, &out) : zstd_step_decompress(s, &out);
        if (r < 0)
            return r;
    }
    s->out_bytes += out.pos;
    return (ssize_t)out.pos;
}

static void zstd_close(void *self)
{
    free(self);
}

extern const struct stage stage_zstd;
const struct stage stage_zstd = {
    .name = "zstd",
    .version = 1,
    .caps = STAGE_READS | STAGE_WRITES | STAGE_PURE,
    .config_new = zstd_config_new,
    .config_free = free,
    .thread_new = zstd_thread_new,
    .thread_free = zstd_thread_free,
    .open = zstd_open,
    .pull = zstd_pull,
    .close = zstd_close,
};
