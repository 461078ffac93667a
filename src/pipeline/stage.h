/* SPDX-License-Identifier: GPL-3.0-or-later
 * The pipeline's one interface: a stage is a step through which bytes pass. Compression, encryption and (later)
 * the filters of views and write filters all have this face.
 *
 * To add a stage: src/pipeline/stage_NAME.c with a `const struct stage stage_NAME`, and one line in stage_table[] of
 * stages.c. tests/unit/test_pipeline_stages.c walks that table and fails for a stage that breaks a rule below;
 * tests/tidy fails for a stage_NAME.c that is not in the table.
 *
 * Rules: (1) size, type and encoding are decided in open(), before the first byte. (2) One thread drives a request
 * from open to close; `self` needs no lock. (3) pull() may return less than asked and holds at most 1 MiB of its own.
 * (4) Errors: -EBADMSG input unsuitable; -EKEYREJECTED verdict "no"; -EACCES refuses the caller; -ETIMEDOUT; -EFBIG;
 * -EAGAIN busy; -EPIPE transformer died; -EPROTO answer malformed; -ECANCELED caller gone. (5) A chain has RANGE, SIZE
 * or PURE only if each member has it. */
#ifndef HOLDFS_PIPELINE_STAGE_H
#define HOLDFS_PIPELINE_STAGE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct reason;

enum stage_caps {
    STAGE_READS = 1,    /* may stand in a read (a view; the way from frames to reader) */
    STAGE_WRITES = 2,   /* may stand in a write */
    STAGE_VERDICT = 4,  /* leaves bytes as they are, may refuse them */
    STAGE_RANGE = 8,    /* pull_at works anywhere without reading from the start */
    STAGE_SIZE = 16,    /* open() knows the output size without data */
    STAGE_PURE = 32,    /* same input and config: same output */
    STAGE_WAITS = 64,   /* waits for a process or the network: slow pool only */
};

struct stage_meta {
    uint64_t size_bytes; /* UINT64_MAX: unknown */
    const char *content_type, *content_encoding;
};

struct stage_range {
    uint64_t offset_bytes, length_bytes;
};

struct stage_request {
    const char *operation, *bucket, *key, *version_id, *principal_arn, *view_arn, *request_id, *payload;
    const struct stage_range *range; /* NULL: whole */
    uint64_t deadline_ns;            /* CLOCK_MONOTONIC */
    struct reason *reason;
};

/* What stands below: another stage, or the frame reader; same face. */
struct stage_next {
    struct stage_meta meta;
    uint32_t caps;
    void *self;
    ssize_t (*pull)(struct stage_next *, void *buf, size_t len); /* >0, 0 = end, -errno */
    ssize_t (*pull_at)(struct stage_next *, void *buf, size_t len, uint64_t offset); /* NULL without STAGE_RANGE */
};

struct stage {
    const char *name;
    uint32_t version, caps;
    /* Once per configuration; the result is immutable and shared by threads. NULL where there is nothing to configure. */
    int (*config_new)(const json_t *config, void **shared, struct reason *reason);
    void (*config_free)(void *shared);
    /* Per pool thread: contexts that are not thread-safe. NULL where there are none. */
    int (*thread_new)(const void *shared, void **thread);
    void (*thread_free)(void *thread);
    int (*open)(const void *shared, void *thread, const struct stage_request *request, struct stage_next *next,
                struct stage_meta *out, void **self);
    ssize_t (*pull)(void *self, void *buf, size_t len);
    ssize_t (*pull_at)(void *self, void *buf, size_t len, uint64_t offset); /* NULL unless STAGE_RANGE */
    int (*push)(void *self, const void *buf, size_t len); /* optional, verdict stages: bytes as they arrive, in order */
    int (*finish)(void *self);                            /* verdict after the last byte: 0 or -errno */
    void (*close)(void *self);                            /* always after a successful open, on any path */
};

const struct stage *stage_find(const char *name); /* NULL: none of that name */
const struct stage *const *stage_all(void);       /* NULL-terminated */

/* A chain of stages over a source. pull, pull_at as above; meta and caps are the chain's. */
struct stage_chain;
struct stage_chain_item {
    const struct stage *stage;
    const void *shared; /* from config_new, or NULL */
};
/* items[0] stands nearest to the source. The source is borrowed until close. */
int stage_chain_open(const struct stage_chain_item *items, size_t count, const struct stage_request *request,
                     struct stage_next *source, struct stage_chain **ret);
struct stage_next *stage_chain_top(struct stage_chain *chain); /* what a reader pulls from */
int stage_chain_finish(struct stage_chain *chain);             /* all verdicts; the first refusal */
void stage_chain_close(struct stage_chain *chain);             /* NULL is accepted */

#endif
