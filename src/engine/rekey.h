/* SPDX-License-Identifier: GPL-3.0-or-later
 * New data keys for a bucket: what the walk over its versions (rekey.c) and the sealing of their frames (rekey_frames.c) share. */
#ifndef HOLDFS_ENGINE_REKEY_H
#define HOLDFS_ENGINE_REKEY_H

#include "engine/kms.h"
#include "engine/upkeep.h"

enum {
    REKEY_REMEMBERED = 1 << 19,           /* frames, and data keys, before sharing is forgotten: some 40 MiB */
    REKEY_PASSES = 8,                     /* over what came meanwhile */
    REKEY_BATCH = 64,                     /* versions whose frames one sync serves, */
    REKEY_BATCH_BYTES = 16 << 20,         /* or so many bytes */
    REKEY_COLLECT_BYTES = 1 << 30,        /* sealed anew between two collections */
};

/* An open hash: key (a, b) to a value, none ever removed. */
struct memory_entry {
    uint64_t a, b;
    uint64_t place;
    uint32_t segment, cipher_bytes;
};

struct memory {
    struct memory_entry *v;
    size_t count;
};

struct rekey {
    struct engine *e;
    struct caller *c;
    struct engine_progress progress;
    uint32_t bucket;
    uint64_t since;      /* versions behind this sequence came meanwhile */
    struct walk_rows walk;
    bool forgot;         /* not all that was sealed anew is remembered */
    bool again;          /* a version changed while its frames were sealed */
    bool collected;      /* a place that is remembered may be gone */
    struct renewed {
        struct version was;
        struct extmap *map; /* what it is to have */
    } batch[REKEY_BATCH];
    size_t batch_count;
    uint64_t batch_bytes;
    struct memory frames; /* (segment, place) before -> where it is now */
    struct memory keys;   /* half of a data key's id -> index in deks, or REKEY_NEW */
    struct extmap_dek *deks;
    size_t dek_count, dek_cap;
    uint8_t *sealed, *plain;
    uint64_t versions, rekeyed, kept, bytes, shared_bytes, collect_at, total;
};

int rekey_memory_start(struct rekey *k);
/* Both kinds together: a number is used once under a key, so what was sealed under a remembered key must be remembered too. */
void rekey_forget_when_full(struct rekey *k);
/* One that is not remembered is another's: old, but for those of what came meanwhile, where nothing was forgotten. */
bool rekey_map_old(struct rekey *k, const struct extmap *map, bool walking);
/* The content's frames sealed anew, and a map of them; those that were sealed before are shared. -EIO: one does not open. */
int rekey_content(struct rekey *k, const struct bucket *b, const struct content *from, struct extmap **ret);

#endif
