/* SPDX-License-Identifier: GPL-3.0-or-later
 * A draft: an inode's content while it is being changed. Private to draft.c, publish.c and io.c.
 *
 * Small content (up to DRAFT_SMALL_BYTES) lives in memory and is sealed as one frame when it is published; larger content
 * goes to segments as it is written and the draft holds its map. Guarded by the inode's content lock (write). */
#ifndef HOLDFS_ENGINE_DRAFT_H
#define HOLDFS_ENGINE_DRAFT_H

#include "engine/private.h"

enum {
    DRAFT_SMALL_BYTES = 65536, /* one frame at most */
    DRAFT_INLINE_BYTES = 4000, /* up to here sealed content stays in the version's row: one page, no segment */
};

struct draft {
    bool small;            /* content is in `bytes`; else in `map` */
    uint8_t *bytes;
    size_t bytes_cap;
    struct extmap *map;    /* private */
    struct content_key **keys; /* of map->deks */
    size_t key_count;
    struct content_key *key;   /* new frames are sealed under this; NULL until the first */
    struct extmap_dek wrapped; /* key, wrapped */
    uint64_t size_bytes;
    bool changed;    /* since the last publish */
    bool published;  /* in this draft's life: later publishes replace that version's content */
    bool saved;      /* a draft row stands in metadata */
    bool written;    /* bytes were written in this draft or before */
    struct principal principal; /* who opened it for writing first */
};

int draft_begin(struct engine *e, struct inode *i, const struct principal *principal); /* fine if there is one; C write */
void draft_free(struct draft *d);
int draft_write(struct engine *e, struct inode *i, const void *buf, size_t len, uint64_t offset);
ssize_t draft_read(struct engine *e, struct inode *i, void *buf, size_t len, uint64_t offset, struct content_fault *fault);
int draft_resize(struct engine *e, struct inode *i, uint64_t size);
int draft_punch(struct engine *e, struct inode *i, uint64_t offset, uint64_t length);
int draft_to_map(struct engine *e, struct inode *i); /* leaves small form */
void draft_note_change(struct inode *i); /* size, time and the need to publish follow from what was done to the map */
int draft_take_keys(struct engine *e, struct inode *i); /* opens keys for deks the map has gained */
/* The content as it stands now, sealed, in a map of its own (NULL where empty). */
int draft_map(struct engine *e, struct inode *i, struct extmap **ret);
/* Publishes what changed as a version under each of the inode's names (E5); the draft goes on. C write. */
int draft_publish(struct engine *e, struct caller *c, struct inode *i);
int draft_save(struct engine *e, struct inode *i); /* fsync: the draft row. C write */
int drafts_recover(struct engine *e, struct caller *c); /* at open: publishes what was fsynced, drops the rest */
void caller_internal(struct engine *e, struct caller *c, const struct principal *p, const char *front);
void content_report(struct engine *e, struct inode *i, const struct content_fault *fault);

#endif
