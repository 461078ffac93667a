/* SPDX-License-Identifier: GPL-3.0-or-later
 * What the verbs of `holdfs audit` share: walking through the trail of a store, page by page, and filters. */
#ifndef HOLDFS_CMD_AUDIT_H
#define HOLDFS_CMD_AUDIT_H

#include "audit/audit.h"
#include "cmd/control.h"

struct audit_item {
    struct audit_place place;
    const char *text; /* canonical; borrowed until the next call */
    size_t len;
};

struct audit_reader {
    struct session *session;
    char chain[AUDIT_CHAIN_CHARS + 1];
    uint64_t last;       /* seq of the newest record when last asked */
    uint64_t after;      /* what was handed out */
    struct audit_place start; /* before the first record that is kept: the genesis, or the checkpoint */
    json_t *checkpoint;  /* or NULL */
    json_t *page;
    size_t at;
    bool more;
};

/* Opens PATH's trail; prints why not. An exit status. `writes`: the session will record something too. */
int audit_open(const struct invocation *inv, bool writes, struct audit_reader *r);
void audit_close(struct audit_reader *r);
/* 1 and a record, 0 at the end (asking again later may give more), or -errno. */
int audit_next(struct audit_reader *r, struct audit_item *ret, struct reason *reason);
void audit_skip(struct audit_reader *r, uint64_t after); /* goes on behind that one */
/* The first record whose time is at or after `time` (RFC 3339), a little early where times stand out of order. */
int audit_seek(struct audit_reader *r, const char *time, struct reason *reason);
/* The heads behind `after`, all of them, in order: a list of {"seq","sig","text"}; *ret_answer holds key and public. */
int audit_heads(struct audit_reader *r, json_t **ret_heads, json_t **ret_answer, struct reason *reason);

/* --since and --until as RFC 3339 to seconds, "" where not given; usage on nonsense. */
int audit_time(const struct invocation *inv, const char *option, char out[40]);

struct audit_filter {
    const char *event, *user;
    char object[4200]; /* "BUCKET/KEY", or "" */
    char since[40], until[40];
};
int audit_filter_read(const struct invocation *inv, struct audit_filter *ret);
bool audit_filter_fits(const struct audit_filter *f, const json_t *record);

extern const struct command audit_tail, audit_verify, audit_export, audit_heads_command, audit_anchor;

#endif
