/* SPDX-License-Identifier: GPL-3.0-or-later
 * Compression of frames; see compress.h. */
#include "pipeline/compress.h"

#include "pipeline/thread.h"

#include <errno.h>

enum {
    /* The lowest level: compression must keep up with encryption on the way of every write. */
    COMPRESS_ZSTD_LEVEL = 1,
    /* Below this a zstd frame's own header eats what could be won. */
    COMPRESS_MIN_BYTES = 32,
};

static size_t zstd_pack(const void *in, size_t len, void *out)
{
    struct thread_state *t = thread_state();
    if (!t)
        return 0;
    if (!t->pack) {
        t->pack = ZSTD_createCCtx();
        if (!t->pack)
            return 0;
        ZSTD_CCtx_setParameter(t->pack, ZSTD_c_compressionLevel, COMPRESS_ZSTD_LEVEL);
    }
    size_t n = ZSTD_compress2(t->pack, out, len - 1, in, len);
    return ZSTD_isError(n) ? 0 : n; /* it does not fit: it would not be shorter */
}

static int zstd_unpack(const void *in, size_t len, void *out, size_t out_len)
{
    struct thread_state *t = thread_state();
    if (!t)
        return -ENOMEM;
    if (!t->unpack && !(t->unpack = ZSTD_createDCtx()))
        return -ENOMEM;
    if (ZSTD_getFrameContentSize(in, len) != out_len || ZSTD_findFrameCompressedSize(in, len) != len)
        return -EBADMSG;
    return ZSTD_decompressDCtx(t->unpack, out, out_len, in, len) == out_len ? 0 : -EBADMSG;
}

static const struct {
    size_t (*pack)(const void *in, size_t len, void *out);
    int (*unpack)(const void *in, size_t len, void *out, size_t out_len);
} compress_table[] = {
    [FRAME_COMPRESSION_NONE] = {NULL, NULL},
    [FRAME_COMPRESSION_ZSTD] = {zstd_pack, zstd_unpack},
};

bool compress_known(unsigned method)
{
    return method < sizeof compress_table / sizeof compress_table[0];
}

size_t compress_pack(enum frame_compression method, const void *in, size_t len, void *out)
{
    if (!compress_table[method].pack || len < COMPRESS_MIN_BYTES)
        return 0;
    return compress_table[method].pack(in, len, out);
}

int compress_unpack(enum frame_compression method, const void *in, size_t len, void *out, size_t out_len)
{
    return compress_table[method].unpack(in, len, out, out_len);
}
