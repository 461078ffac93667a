/* SPDX-License-Identifier: GPL-3.0-or-later
 * The extent map: which bytes of a content lie in which frames. A pure value; no I/O, no keys.
 *
 * A map holds extents ordered by file offset, without overlap; gaps are holes and read as zeros. They lie in chunks,
 * so that a change costs the same in a map of a million extents (extmap_next walks them).
 * An extent covers bytes of one frame, or of a run of equal whole frames that lie one after the other in a segment
 * with consecutive numbers under one data key (a 1 GiB file written in order is a handful of extents).
 * Maps are shared by versions, copies and readers, so a map that was published is never changed: it has a
 * reference count, and changing goes through a private map (a draft's). */
#ifndef HOLDFS_PIPELINE_EXTMAP_H
#define HOLDFS_PIPELINE_EXTMAP_H

#include "util/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a frame is: in a segment, or inline (segment 0): then `place_bytes` is the offset within the inline bytes that
 * travel with the map (extmap.inline_data). Segment numbers start at 1. */
struct extent {
    uint64_t offset_bytes; /* of the first byte covered, in the file */
    uint64_t length_bytes; /* covered; > 0 */
    uint32_t dek;          /* index into extmap.deks */
    uint32_t segment;
    uint64_t place_bytes;  /* offset in the segment of the first frame's header */
    uint64_t number;       /* frame number of the first frame */
    uint32_t skip_bytes;   /* bytes of the first frame's plaintext before the first byte covered */
    uint32_t plain_bytes;  /* plaintext length of each frame of the run but, perhaps, the last */
    uint32_t cipher_bytes; /* ciphertext length (without tag) of each frame of the run but, perhaps, the last */
    uint32_t last_plain_bytes, last_cipher_bytes; /* of the run's last frame (equal to the above in a run of one, never more) */
    uint32_t frames;       /* frames in the run, >= 1 */
};

/* A data key by name and as wrapped; the map's extents refer to it by index. */
struct extmap_dek {
    uint8_t id[16];
    uint8_t kek_id[16];
    uint32_t kek_version;
    uint8_t wrapped[72];
};

/* A piece of the ordered extents; extmap_chunks.c alone changes it. */
struct extmap_chunk {
    struct extent *extents;
    uint64_t end_bytes; /* of its last extent, in the file */
    uint32_t count, cap; /* count > 0 */
};

struct extmap {
    struct extmap_chunk *chunks;
    size_t chunk_count, chunk_cap;
    size_t count; /* extents */
    struct extmap_dek *deks;
    size_t dek_count, dek_cap;
    uint64_t size_bytes; /* of the file; extents never reach beyond it */
    struct bytes inline_data;
    int refs; /* atomic */
};

struct extmap *extmap_new(void);
struct extmap *extmap_ref(struct extmap *m);
void extmap_unref(struct extmap *m);              /* frees with the last; NULL is accepted */
struct extmap *extmap_copy(const struct extmap *m); /* a private copy, refs 1 */

/* Exchanges what two maps say; holders stay. */
void extmap_swap(struct extmap *a, struct extmap *b);

/* Index of the dek in the map, adding it if new; -ENOMEM. */
int extmap_dek_index(struct extmap *m, const struct extmap_dek *dek);

/* Puts an extent over whatever its range held before (cut or split as needed, frames staying whole under the cuts);
 * joins it with its neighbour where it continues that run. Grows size_bytes if it reaches beyond. -ENOMEM. */
int extmap_put(struct extmap *m, const struct extent *e);
/* The same for `count` extents that follow one another without a gap, in one go; none on failure. */
int extmap_put_all(struct extmap *m, const struct extent *e, size_t count);
/* Makes [offset, offset+length) a hole. size_bytes stays. -ENOMEM. */
int extmap_punch(struct extmap *m, uint64_t offset, uint64_t length);
/* Sets the size; a shorter one drops what lies beyond. */
int extmap_resize(struct extmap *m, uint64_t size);
/* Shares src's [src_offset, +length) into dst at dst_offset (holes too), deks by id (src and dst may be one map only if
 * the ranges do not overlap). Inline frames are copied. dst grows as needed; what lies beyond src's size is not
 * shared. -ENOMEM; -EBADMSG where an inline frame of src lies outside its inline bytes. */
int extmap_share(struct extmap *dst, uint64_t dst_offset, const struct extmap *src, uint64_t src_offset,
                 uint64_t length);
/* Drops deks and inline bytes no extent refers to; call before encoding. -ENOMEM; -EBADMSG as extmap_share. */
int extmap_tidy(struct extmap *m);

/* The inline frames now stand in a segment, one after the other from offset on; the inline bytes go. */
void extmap_place_inline(struct extmap *m, uint32_t segment, uint64_t offset);
/* Whether no byte lies in a segment. */
bool extmap_all_inline(const struct extmap *m);
/* Makes holes of what is inline. */
void extmap_drop_inline(struct extmap *m);

/* The extents in order: start with a cursor of zeros; NULL after the last. Any change of the map ends the walk. */
struct extmap_cursor {
    size_t chunk, at;
};
const struct extent *extmap_next(const struct extmap *m, struct extmap_cursor *c);

/* One frame of a map, and the part of it that is wanted. */
struct extmap_piece {
    bool hole;             /* then only file_offset and length are set */
    uint64_t file_offset;  /* first byte of the piece */
    uint64_t length;       /* bytes of the piece (never beyond one frame, or the whole hole) */
    uint32_t dek, segment;
    uint64_t place_bytes, number;
    uint32_t plain_bytes, cipher_bytes; /* of this frame */
    uint32_t skip_bytes;   /* of this frame's plaintext, before the piece */
};
/* The piece at `offset`, at most `length` long; false at or beyond size_bytes. Cost: log(extents). */
bool extmap_at(const struct extmap *m, uint64_t offset, uint64_t length, struct extmap_piece *ret);

/* lseek(2) SEEK_DATA and SEEK_HOLE; the end of the file counts as a hole. -ENXIO as lseek(2). */
int extmap_seek_data(const struct extmap *m, uint64_t offset, uint64_t *ret);
int extmap_seek_hole(const struct extmap *m, uint64_t offset, uint64_t *ret);

/* Whether both read the same frames at the same places; how their keys are wrapped does not matter. */
bool extmap_same(const struct extmap *a, const struct extmap *b);

uint64_t extmap_data_bytes(const struct extmap *m);   /* bytes that are not holes */
uint64_t extmap_stored_bytes(const struct extmap *m); /* frames on disk, overhead included, shared or not */

/* The packed form, kept in version rows (doc/on-disk-format.md, "Extents"); inline bytes are not part of it. */
void extmap_encode(const struct extmap *m, struct bytes *out);
/* -EBADMSG for anything that extmap_encode cannot have made: overlap, disorder, sums that do not fit, overflow. */
int extmap_decode(const void *buf, size_t len, struct extmap **ret);

#endif
