/* SPDX-License-Identifier: GPL-3.0-or-later
 * Collecting segments nobody refers to and rewriting those that are mostly dead. Private to gc.c, compact.c,
 * scrub.c, fsck.c.
 *
 * A cycle is a machine of small steps, so that the worker can run it a little at a time and a command as fast
 * as it goes: mark what is alive -> remove segments with nothing alive -> choose mostly dead ones -> note
 * their live frames -> copy those frames as ciphertext -> verify the copies and point the version rows to
 * them. The next cycle's mark finds the old segments dead. At any point a crash, or giving up, leaves at most
 * copies that nothing refers to (E2).
 *
 * What is alive is what any of these refers to: version rows (replaced ones too), draft rows, drafts,
 * contents being read, cached inodes, pins. References move between them while the mark runs, so from its
 * start every map that is decoded from a row, stored into one, or opened for reading is marked as well
 * (gc_barrier); a draft takes frames only from such, or makes new ones, which go to segments begun after the
 * mark and not looked at. */
#ifndef HOLDFS_ENGINE_UPKEEP_H
#define HOLDFS_ENGINE_UPKEEP_H

#include "engine/spans.h"
#include "engine/walk.h"

enum { GC_GRANULE_BYTES = 2048 }; /* resolution of the estimate of how much of a segment is alive */

struct gc_segment {
    uint32_t segment;
    uint64_t size_bytes;
    uint64_t live_granules;
    uint8_t *granules; /* a bit each; NULL: nothing is alive */
    bool keep;         /* something about it could not be understood: it stays */
};

struct gc_mark {
    struct gc_mark *next;        /* among the running ones; gc.c's lock */
    const struct engine *engine;
    struct gc_segment *segments; /* by number: those sealed before the mark began, but those kept for good */
    size_t count, cap;
    bool failed; /* out of memory while marking: nothing may be removed */
};

int gc_mark_begin(struct engine *e, struct gc_mark *m);
void gc_mark_map(struct gc_mark *m, const struct extmap *map);
void gc_mark_end(struct gc_mark *m); /* stops the barrier; the result stays readable */
void gc_mark_done(struct gc_mark *m);
/* Cached files of which `which` is true, referenced. */
int files_collect(struct engine *e, bool (*which)(const struct inode *), struct inode ***ret, size_t *ret_count);
void files_release(struct engine *e, struct inode **list, size_t count); /* M is taken here; the list too is freed */
bool file_in_use(const struct inode *i); /* a draft may be open, or just beginning */
int gc_drop_stale(struct engine *e); /* before the mark begins */
/* Drafts and draft rows, then everything is known but version rows. */
int gc_mark_drafts(struct engine *e, struct gc_mark *m);
/* Removes segments with nothing alive. */
int gc_sweep(struct engine *e, struct gc_mark *m, uint64_t *ret_removed, uint64_t *ret_freed_bytes);
struct gc_segment *gc_find(struct gc_mark *m, uint32_t segment);

/* Every version row of the store, a batch at a time, resumable. */
struct store_walk {
    uint32_t *buckets;
    size_t count, at;
    bool inside;
    struct walk_rows rows;
};
int store_walk_begin(struct engine *e, struct store_walk *s);
/* 1 more, 0 end. M is taken here. */
int store_walk_step(struct engine *e, struct store_walk *s, unsigned max, meta_version_fn *fn, void *arg);
void store_walk_done(struct store_walk *s);

struct cycle;
enum cycle_kind { CYCLE_GC, CYCLE_COMPACT };
int cycle_new(struct engine *e, enum cycle_kind kind, struct cycle **ret);
/* One bounded piece of work. 1 when there is more to do, 0 when the cycle is over. */
int cycle_step(struct cycle *k);
void cycle_free(struct cycle *k);
struct cycle_totals {
    const char *phase;
    uint64_t rows; /* looked at in this phase */
    uint64_t segments, removed, freed_bytes;
    uint64_t chosen, moved_bytes, to_move_bytes, rewritten, kept;
};
const struct cycle_totals *cycle_totals(const struct cycle *k);

/* What the engine remembers between cycles. */
struct upkeep {
    pthread_mutex_t lock; /* one cycle at a time; the first of all locks */
    struct cycle *background;
    int64_t next_ns; /* monotonic: when the worker begins another */
    uint64_t last_commit_seq;
    /* checkpoint.c: the newest one, and where the commits stood a second ago. Under `lock`. */
    bool checkpoint_any, checkpoint_due;
    uint64_t checkpoint_seq, checkpoint_seen;
    int64_t checkpoint_ns; /* monotonic */
    /* For status; under state_lock, a leaf. */
    pthread_mutex_t state_lock;
    const char *running; /* phase, or NULL */
    uint64_t done_bytes, total_bytes, freed_bytes;
    int64_t finished_ns;
};
/* ---- rotate.c: a copy of the metadata in a folder of its own ---- */
void rotate_folder_path(const char *dir, uint32_t generation, char out[4200]); /* DIR/meta-GENERATION */
int rotate_folder_make(const struct meta_ops *ops, const char *path, struct reason *reason); /* empty, also where one was left */
void rotate_page_key(const struct store_keys *keys, uint32_t generation, uint8_t out[32]);

/* ---- checkpoint.c: upkeep.lock held, but for run() and open() ---- */
enum { CHECKPOINTS_MAX = 16 };
void checkpoint_path(const char *dir, uint64_t seq, char out[4300]);
int checkpoint_list(const char *dir, uint64_t ret[CHECKPOINTS_MAX], size_t *ret_count); /* newest first */
int checkpoints_drop(const struct meta_ops *ops, const char *dir, size_t keep);         /* but for the newest `keep` */
int checkpoint_make(struct engine *e, uint64_t *ret_seq, struct reason *reason);
void checkpoints_forget(struct engine *e); /* what they hold is to open nothing any more: all go, and one is made soon */
void checkpoint_open(struct engine *e);
void checkpoint_run(struct engine *e); /* the worker, each second */

/* gc.c: removes what nothing refers to. upkeep.lock held. */
int upkeep_collect(struct engine *e, struct engine_progress progress);
int upkeep_may(struct engine *e, struct caller *c, const char *what);
int upkeep_tell(struct engine_progress p, const char *what, uint64_t done, uint64_t total); /* -ECANCELED */

/* Frames [a, b) of a run as an extent of their own. */
struct extent extent_part(const struct extent *x, uint32_t a, uint32_t b);
/* The extents of `map` that `seen` does not hold yet (inline ones always), in a map of the same size and data
 * keys. */
int map_unseen(const struct extmap *map, struct spans *seen, struct extmap **ret);

#endif
