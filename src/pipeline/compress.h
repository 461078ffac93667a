/* SPDX-License-Identifier: GPL-3.0-or-later
 * Compression of one frame's plaintext. Private to the pipeline; what stands in a frame's header names the method.
 *
 * To add a method: its number in enum frame_compression (frame.h, it is on disk for ever), one pair of functions and
 * one line in compress_table[] of compress.c. */
#ifndef HOLDFS_PIPELINE_COMPRESS_H
#define HOLDFS_PIPELINE_COMPRESS_H

#include "pipeline/frame.h"

/* Packs in (len bytes) into out; the packed length, or 0 where it would not be shorter than len (or the method is
 * none, or memory is short: then the frame is kept as it is). */
size_t compress_pack(enum frame_compression method, const void *in, size_t len, void *out);
/* Unpacks to exactly out_len bytes; -EBADMSG where the input is not one packed form of that length; -ENOMEM. */
int compress_unpack(enum frame_compression method, const void *in, size_t len, void *out, size_t out_len);
bool compress_known(unsigned method);

#endif
