/* SPDX-License-Identifier: GPL-3.0-or-later
 * The frames that were opened last, so that reading a frame in small pieces, from whatever thread, decrypts it once.
 * Private to the pipeline. Entries are named by the key's serial and the frame's number, which never has two contents. */
#ifndef HOLDFS_PIPELINE_FRAME_CACHE_H
#define HOLDFS_PIPELINE_FRAME_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies [skip, skip+len) of the frame's plaintext; false when it is not here. */
bool frame_cache_copy(uint64_t serial, uint64_t number, size_t skip, size_t len, void *out);
/* Keeps the frame: takes over *buffer (FRAME_PLAIN_MAX_BYTES, len of them filled) and leaves another, or NULL. */
void frame_cache_put(uint64_t serial, uint64_t number, uint8_t **buffer, size_t len);
/* Wipes the frames of a key. */
void frame_cache_forget(uint64_t serial);

#endif
