/* SPDX-License-Identifier: GPL-3.0-or-later
 * What rebuild.c asks of rebuild_hunt.c. Private to both. */
#ifndef HOLDFS_ENGINE_REBUILD_H
#define HOLDFS_ENGINE_REBUILD_H

#include "engine/private.h"

struct rebuild_hunt {
    uint64_t relocated;                 /* versions pointed to where their frames are now */
    uint64_t missing, locked;           /* versions whose frames are nowhere; of them locked */
    uint64_t beyond_keys, beyond_bytes; /* data keys and bytes of frames that no version has */
};
/* Looks through the segments above last_segment. upkeep.lock held. */
int rebuild_hunt(struct engine *e, uint32_t last_segment, struct rebuild_hunt *ret);

#endif
