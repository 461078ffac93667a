/* SPDX-License-Identifier: GPL-3.0-or-later
 * Content: the way between plain bytes and frames in segments.
 *
 * Writing: bytes -> frames of at most a unit of pipeline_config (cut at multiples of the unit in the file, so that
 * rewriting a unit replaces whole frames) -> compression -> AES-256-GCM -> one append to the segment store -> extents
 * in the map. Reading: the reverse, with every check of frame.h. Called by the engine, from any thread; a map that is
 * being written is guarded by its owner (the engine's inode lock). */
#ifndef HOLDFS_PIPELINE_CONTENT_H
#define HOLDFS_PIPELINE_CONTENT_H

#include "block/block.h"
#include "pipeline/extmap.h"
#include "pipeline/frame.h"
#include "pipeline/stage.h"

struct pipeline;

struct pipeline_config {
    const struct block_ops *ops;
    struct block *block;  /* borrowed for the pipeline's life */
    /* Plaintext of a full frame: 4096..65536, powers of two. A read fetches and opens whole frames, and a compressor sees no
     * farther than one: where there is none, short frames serve readers of small pieces. */
    uint32_t unit_bytes, packed_unit_bytes;
};

int pipeline_new(const struct pipeline_config *config, struct pipeline **ret);
void pipeline_free(struct pipeline *p);

/* A data key opened for use: 32 bytes in locked memory, reference-counted, with the frame counter of its writer. */
struct content_key;
struct content_key *content_key_new(const uint8_t id[16], const uint8_t key[32]); /* copies; NULL: no memory */
struct content_key *content_key_ref(struct content_key *k);
void content_key_unref(struct content_key *k); /* wipes with the last */
const uint8_t *content_key_id(const struct content_key *k);
const struct frame_key *content_key_frame(const struct content_key *k);
/* Numbers used so far; a writer takes another key before 2^32 (settable for tests: content_key_set_next). */
uint64_t content_key_next(const struct content_key *k);
void content_key_set_next(struct content_key *k, uint64_t next);

/* Writes [offset, offset+len) of a file: seals under `key` (whose index in map->deks is `dek`), appends, updates the map.
 * On failure the map is unchanged. -EOVERFLOW when the key's numbers are used up (take a new one). */
int content_write(struct pipeline *p, struct content_key *key, uint32_t dek, enum frame_compression compression,
                  struct extmap *map, uint64_t offset, const void *buf, size_t len);

/* The same for content that stays with its metadata row: one frame, sealed into map->inline_data (segment 0).
 * len 1..65536. Replaces what inline_data held. */
int content_write_inline(struct pipeline *p, struct content_key *key, uint32_t dek, enum frame_compression compression,
                         struct extmap *map, uint64_t offset, const void *buf, size_t len);

/* Frames of the map that are inline move into a segment as they are (no key needed). */
int content_inline_to_segment(struct pipeline *p, struct extmap *map);

/* What failed, for the engine's integrity report. */
struct content_fault {
    uint32_t segment;
    uint64_t place_bytes, number, file_offset;
    const char *what; /* "tag", "header", "short", "missing", "io" */
};

/* Reads up to len bytes at offset into buf; keys[i] opens map->deks[i] (NULL: -ENOKEY when it is needed). Returns the
 * count (short only at the end of the file), or -EIO with *fault filled (nothing of a bad frame is in buf). */
ssize_t content_read(struct pipeline *p, const struct extmap *map, struct content_key *const *keys, uint64_t offset,
                     void *buf, size_t len, struct content_fault *fault);

/* Checks every frame of the map; 0, or -EIO with the first fault. With keys[i] NULL only headers and lengths. */
int content_verify(struct pipeline *p, const struct extmap *map, struct content_key *const *keys,
                   struct content_fault *fault);

/* A stage_next over a content, for chains of filters. The map, keys are borrowed. */
struct content_source {
    struct stage_next next;
    struct pipeline *p;
    const struct extmap *map;
    struct content_key *const *keys;
    uint64_t at;
    struct content_fault fault;
};
void content_source_init(struct content_source *s, struct pipeline *p, const struct extmap *map,
                         struct content_key *const *keys);

#endif
