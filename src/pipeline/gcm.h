/* SPDX-License-Identifier: GPL-3.0-or-later
 * AES-256-GCM under the keys of frames, with contexts that each thread keeps: a key's schedule is computed once per
 * thread, not once per frame. Private to the pipeline. */
#ifndef HOLDFS_PIPELINE_GCM_H
#define HOLDFS_PIPELINE_GCM_H

#include "pipeline/frame.h"

enum { GCM_NONCE_BYTES = 12, GCM_TAG_BYTES = 16 };

/* in == out is allowed. 0, -ENOMEM or -EIO. */
int gcm_seal(const struct frame_key *key, const uint8_t nonce[GCM_NONCE_BYTES], const void *aad, size_t aad_len,
             const void *in, size_t len, void *out, uint8_t tag[GCM_TAG_BYTES]);
/* -EBADMSG when the tag does not fit; what stands in out then is not to be looked at. */
int gcm_open(const struct frame_key *key, const uint8_t nonce[GCM_NONCE_BYTES], const void *aad, size_t aad_len,
             const void *in, size_t len, const uint8_t tag[GCM_TAG_BYTES], void *out);
/* Wipes what any thread keeps of the key. */
void gcm_forget(uint64_t serial);

#endif
