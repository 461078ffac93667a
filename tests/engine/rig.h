/* SPDX-License-Identifier: GPL-3.0-or-later
 * A store in a temporary folder for tests of the tree: paths instead of inode numbers, a key's history as one line of text, and
 * ends without engine_close().
 *
 * Paths start with the bucket ("b/dir/f"). What returns int gives the engine's errno. A history reads oldest first: `v:TEXT` a
 * version, `n:TEXT` the null version, `M` a delete marker, `nM` a null one; content over 40 bytes is shown as its length and sum.
 * After each test the tree is compared with the histories and with itself after a reopening. */
#ifndef HOLDFS_TESTS_ENGINE_RIG_H
#define HOLDFS_TESTS_ENGINE_RIG_H

#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum rig_state { UNVERSIONED, ENABLED, SUSPENDED, STATES };

struct rig {
    char dir[64];
    struct engine *e; /* NULL while closed */
    struct caller c;
    struct rig_mark *mark; /* shared with the children that rig_die() starts */
};

int rig_setup(void **state);    /* cmocka: *state is a struct rig, its store open */
int rig_teardown(void **state); /* compares, closes, removes */
void rig_open(struct rig *r);
void rig_close(struct rig *r);
void rig_reopen(struct rig *r);

/* Runs fn over the store in a process that then ends without engine_close(), and opens the store again. */
void rig_die(struct rig *r, void (*fn)(struct rig *r));
/* The same, but power is cut: of the segments only what was synced remains; all metadata does, as if the kernel had just written it. */
void rig_cut(struct rig *r, void (*fn)(struct rig *r));
/* The same with a disk that lied: nothing of what fn appended to segments remains. */
void rig_lose(struct rig *r, void (*fn)(struct rig *r));
/* Makes all durable and waits until the worker has taken away what was only kept for a roll-back. */
void rig_purge(struct rig *r);

/* ---- buckets ---- */
void rig_bucket(struct rig *r, const char *name, enum rig_state state);
void rig_bucket_set(struct rig *r, const char *bucket, const char *property, const char *value);
void rig_settle(struct rig *r, const char *path); /* its current version settles now */

/* ---- names ---- */
uint64_t rig_ino(struct rig *r, const char *path); /* 0: not there */
int rig_stat(struct rig *r, const char *path, struct engine_attr *ret);
int rig_mkdir(struct rig *r, const char *path);
int rig_rmdir(struct rig *r, const char *path);
int rig_unlink(struct rig *r, const char *path);
int rig_rename(struct rig *r, const char *from, const char *to, unsigned flags);
int rig_link(struct rig *r, const char *from, const char *to);
int rig_symlink(struct rig *r, const char *target, const char *path);
int rig_setattr(struct rig *r, const char *path, unsigned set, const struct engine_attr *values);
int rig_truncate(struct rig *r, const char *path, uint64_t size);
int rig_touch(struct rig *r, const char *path, int64_t mtime_s);

/* ---- bytes ---- */
struct engine_handle *rig_handle(struct rig *r, const char *path, int flags); /* O_CREAT makes it; fails the test when it cannot */
void rig_put(struct engine_handle *h, const char *text, uint64_t offset);
void rig_fill(struct engine_handle *h, char letter, size_t len, uint64_t offset);
int rig_flush(struct rig *r, struct engine_handle *h);
void rig_end(struct rig *r, struct engine_handle *h);   /* close(2): flush, release */
void rig_write(struct rig *r, const char *path, const char *text); /* creates or truncates */
void rig_append(struct rig *r, const char *path, const char *text);
void rig_write_big(struct rig *r, const char *path, char letter, size_t len); /* beyond what a row holds: goes to a segment */
/* What the file reads as, or the name of the errno ("ENOENT"); valid until the eighth call after. */
const char *rig_read(struct rig *r, const char *path);
const char *rig_read_handle(struct engine_handle *h);

/* ---- history ---- */
const char *rig_history(struct rig *r, const char *path);
uint64_t rig_version(struct rig *r, const char *path, int n); /* sequence of the n-th oldest, 0 the first; -1 the newest */
int rig_version_delete(struct rig *r, const char *path, int n);
void rig_version_id(struct rig *r, const char *path, int n, char out[33]);
/* Every live name of a bucket below each other, "f d/ d/x", in key order. */
const char *rig_names(struct rig *r, const char *bucket);
uint64_t rig_segment_bytes(struct rig *r);

#define assert_text(is, want)     assert_string_equal((is), (want))
#define assert_reads(r, path, want) assert_string_equal(rig_read((r), (path)), (want))
#define assert_history(r, path, want) assert_string_equal(rig_history((r), (path)), (want))
#define assert_names(r, bucket, want) assert_string_equal(rig_names((r), (bucket)), (want))

#endif
