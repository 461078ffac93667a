/* SPDX-License-Identifier: GPL-3.0-or-later
 * A real store in a temporary directory for engine tests, and the few steps of a front that they need. */
#ifndef HOLDFS_TESTS_ENGINE_STORE_H
#define HOLDFS_TESTS_ENGINE_STORE_H

#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct store {
    char dir[64];
    struct secret *secret;
    struct engine *e;
    struct caller c;
    uint32_t bucket;
    uint64_t root;
};

/* What opens it. A child process makes its own: secrets do not survive a fork. */
struct secret *store_secret(void);
/* `options` as engine_bucket_create takes them; the bucket is "b". */
void store_setup(struct store *s, const char *options);
void store_reopen(struct store *s);
void store_teardown(struct store *s);

uint64_t store_dir(struct store *s,
                   const char *path); /* inode of the directory that holds path's last name */
uint64_t store_ino(struct store *s, const char *path); /* 0: not there */
void store_mkdir(struct store *s, const char *path);
void store_write(struct store *s, const char *path, const void *data, size_t len);
void store_text(struct store *s, const char *path, const char *text);
void store_patch(struct store *s, const char *path, uint64_t at, const void *data, size_t len);
void store_unlink(struct store *s, const char *path);
ssize_t store_read(struct store *s, const char *path, void *buf, size_t len);
struct engine_place store_place(struct store *s, const char *key);
struct instant store_now(void);
/* Text of the version at `seq` of a key. */
ssize_t store_read_version(struct store *s, const char *key, uint64_t seq, void *buf, size_t len);
uint64_t store_segment_bytes(struct store *s);

#endif
