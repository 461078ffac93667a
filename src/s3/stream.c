/* SPDX-License-Identifier: GPL-3.0-or-later
 * Content going out (exchange.h): reading and decrypting are a worker's, sending is the connection's thread's; the two overlap. */
#include "s3/exchange.h"

enum { STREAM_PIECE_BYTES = 512 << 10, STREAM_BLOCK_BYTES = 128 << 10 };

/* Which piece is to be filled next: the current one where it is empty, else the other; NULL-like 2: none. */
static unsigned next_empty(const struct stream *s)
{
    if (!s->len[s->current])
        return s->current;
    return !s->len[!s->current] ? !s->current : 2;
}

static void fill(struct job *job)
{
    struct exchange *x = (struct exchange *)job;
    struct stream *s = &x->stream;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        unsigned which = next_empty(s);
        if (which == 2 || !s->left || s->error || s->gone)
            break;
        size_t want = s->left < STREAM_PIECE_BYTES ? (size_t)s->left : STREAM_PIECE_BYTES;
        uint64_t offset = s->offset;
        pthread_mutex_unlock(&s->lock);
        if (!s->piece[which])
            s->piece[which] = malloc(STREAM_PIECE_BYTES);
        ssize_t n = s->piece[which] ? engine_read(x->q.handle, s->piece[which], want, offset) : -ENOMEM;
        pthread_mutex_lock(&s->lock);
        if (n <= 0) {
            s->error = n < 0 ? (int)n : -EIO;
            break;
        }
        s->len[which] = (size_t)n;
        s->offset += (uint64_t)n;
        s->left -= (uint64_t)n;
        if (s->waiting) {
            s->waiting = false;
            MHD_resume_connection(x->connection);
        }
    }
    s->filling = false;
    if (s->waiting) {
        s->waiting = false;
        MHD_resume_connection(x->connection);
    }
    bool gone = s->gone;
    pthread_mutex_unlock(&s->lock);
    if (gone)
        exchange_free(x);
}

/* lock held */
static void fill_soon(struct exchange *x)
{
    struct stream *s = &x->stream;
    if (s->filling || !s->left || s->error || next_empty(s) == 2)
        return;
    s->filling = true;
    x->job.run = fill;
    if (!workers_submit(x->q.front->workers, &x->job)) {
        s->filling = false;
        s->error = -ESHUTDOWN;
    }
}

static ssize_t read_piece(void *arg, uint64_t position, char *buf, size_t max)
{
    (void)position;
    struct exchange *x = arg;
    struct stream *s = &x->stream;
    LOCK_SCOPE(&s->lock);
    if (!s->len[s->current]) {
        fill_soon(x);
        if (s->error)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        s->waiting = true;
        MHD_suspend_connection(x->connection);
        return 0;
    }
    size_t left = s->len[s->current] - s->at, n = left < max ? left : max;
    memcpy(buf, s->piece[s->current] + s->at, n);
    s->at += n;
    if (s->at == s->len[s->current]) {
        s->len[s->current] = 0;
        s->at = 0;
        s->current = !s->current;
    }
    fill_soon(x);
    return (ssize_t)n;
}

struct MHD_Response *stream_response(struct exchange *x)
{
    struct stream *s = &x->stream;
    pthread_mutex_init(&s->lock, NULL);
    x->streams = true;
    s->offset = x->q.handle_offset;
    s->left = x->q.handle_bytes;
    return MHD_create_response_from_callback(x->q.handle_bytes, STREAM_BLOCK_BYTES, read_piece, x, NULL);
}

bool stream_end(struct exchange *x)
{
    if (!x->streams)
        return true;
    LOCK_SCOPE(&x->stream.lock);
    x->stream.gone = x->stream.filling;
    return !x->stream.filling;
}
