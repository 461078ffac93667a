/* SPDX-License-Identifier: GPL-3.0-or-later
 * A draft: an inode's content while it is being changed. Private to draft.c, publish.c and io.c.
 *
 * Small content (up to DRAFT_SMALL_BYTES) lives in memory and is sealed as one frame when it is published; larger content
 * goes to segments as it is written and the draft holds its map. Guarded by the inode's content lock (write). */
#ifndef HOLDFS_ENGINE_DRAFT_H
#define HOLDFS_ENGINE_DRAFT_H

#include "engine/private.h"

enum {
    DRAFT_PENDING_BYTES = 65536, /* small writes to large content gather here before they become a frame */
    DRAFT_PARTS_BYTES = 4 << 20, /* fsync keeps at most so much in draft rows before it saves the whole map */
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
    struct envelope *env;  /* what data keys are wrapped under; NULL: the bucket's key. Changed under C and M */
    struct data_key *kek;  /* of env, open */
    /* Content in `map` only: the last small writes, one range inside one unit, over what the map has there. */
    uint8_t *pending;
    uint64_t pending_offset;
    uint32_t pending_len;
    uint32_t pending_saved; /* its first bytes stand in a draft row */
    bool map_unsaved;       /* the map has changed in a way no draft row tells */
    bool has_base;          /* draft row 0 holds a whole map */
    uint32_t parts;         /* draft rows after it */
    uint64_t parts_bytes;
    uint64_t size_bytes;
    atomic_bool changed;       /* since the last publish; set under C, read under M too */
    atomic_bool attrs_unsaved; /* A: attributes were given to it that no draft row tells */
    bool published;  /* in this draft's life: later publishes replace that version's content */
    bool saved;      /* a draft row stands in metadata */
    bool promised;   /* by an fsync since the last publish: the draft rows' content must outlive a power cut */
    struct extmap *saved_map; /* what the base row holds, while that is the content: its frames are durable. NULL: changed since */
    bool written;    /* bytes were written in this draft or before */
    struct principal principal; /* who opened it for writing first */
};

int draft_begin(struct engine *e, struct inode *i, const struct principal *principal); /* fine if there is one; C write */
int draft_begin_empty(struct engine *e, struct inode *i, const struct principal *principal); /* of content that goes: no key is needed */
void draft_free(struct draft *d);
/* The same through a handle, whose envelope content that begins empty takes. */
int draft_begin_by(struct engine_handle *h);
/* From now on its data keys are under `env` (NULL: the bucket's key), also those it has: -ENOKEY where they are not open. C write */
int draft_envelope_set(struct engine *e, struct inode *i, struct envelope *env, struct data_key *kek);
int draft_write(struct engine *e, struct inode *i, const void *buf, size_t len, uint64_t offset);
ssize_t draft_read(struct engine *e, struct inode *i, void *buf, size_t len, uint64_t offset, struct content_fault *fault);
int draft_resize(struct engine *e, struct inode *i, uint64_t size);
int draft_punch(struct engine *e, struct inode *i, uint64_t offset, uint64_t length);
int draft_to_map(struct engine *e, struct inode *i); /* leaves small form; nothing is pending after it */
int draft_key(struct engine *e, struct inode *i);    /* E8: d->key is there, with numbers left */
enum frame_compression draft_compression(const struct inode *i);
uint64_t inode_size(struct engine *e, struct inode *i);  /* as a reader sees it; C held */
void draft_note_change(struct inode *i); /* size, time and the need to publish follow from what was done to the map */
int draft_take_keys(struct engine *e, struct inode *i); /* opens keys for deks the map has gained */
/* The content as it stands now, sealed, in a map of its own (NULL where empty). */
int draft_map(struct engine *e, struct inode *i, struct extmap **ret);
/* Publishes what changed as a version under each of the inode's names (E5); the draft goes on. C write. */
int draft_publish(struct engine *e, struct caller *c, struct inode *i);
/* Seals a draft that has nothing unpublished, before a new writer comes. The kernel tells of the last close (RELEASE) some time after
 * close(2) has returned: `echo 1 >f; echo 2 >f` must make two versions although the first handle is still there. */
int draft_seal_closed(struct engine *e, struct caller *c, struct inode *i);
/* fsync: draft rows from which recovery makes the content as it is now. What they refer to in segments is durable: syncing the
 * metadata log is enough afterwards. C write. draft_save.c */
int draft_save(struct engine *e, struct inode *i);
/* Of each draft for which `which` (asked with C write held) is true: wraps and envelope, in memory and in draft rows, under the newest
 * version of their key. No locks held. */
int drafts_rewrap(struct engine *e, bool (*which)(void *arg, const struct inode *i), void *arg);
int publish_record(struct inode *i, struct extmap *map, struct record *ret); /* what would be published now. M */
int drafts_recover(struct engine *e, struct caller *c); /* at open: publishes what was fsynced, drops the rest */
void caller_internal(struct engine *e, struct caller *c, const struct principal *p, const char *front);
/* io.c, for io_range.c */
int io_range_check(uint64_t offset, uint64_t length);
int read_prepare(struct engine *e, struct inode *i);
void content_report(struct engine *e, struct inode *i, const struct content_fault *fault);

#endif
