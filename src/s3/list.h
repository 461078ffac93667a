/* SPDX-License-Identifier: GPL-3.0-or-later
 * A page of a listing being written: what the forms of it share (list.c, list_versions.c). */
#ifndef HOLDFS_S3_LIST_H
#define HOLDFS_S3_LIST_H

#include "s3/request.h"

struct list_page {
    struct request *q;
    struct engine_listing listing;
    const char *prefix, *delimiter; /* as sent, or NULL */
    bool url, owner, truncated;
    unsigned count;        /* entries and prefixes */
    uint8_t last[4096];    /* key or prefix */
    size_t last_len;
    char last_version[33]; /* "" a prefix */
    struct bytes entries, prefixes;
};
int list_read(struct request *q, struct list_page *p);
struct span list_span(const char *text); /* NULL: empty */
int list_walk(struct list_page *p, engine_listed_fn *fn);
void list_remember(struct list_page *p, const struct engine_listed *item);
void list_prefix(struct list_page *p, struct span prefix);
void list_key_element(struct list_page *p, const char *name, struct span key);
void list_checksum(struct request *q, const struct engine_object *o);
void list_storage_class(struct request *q, const struct engine_object *o);
void list_move(struct request *q, struct bytes *written); /* what was written aside goes into the answer */
void list_end(struct list_page *p, const char *max_name, const char *root);
void list_page_done(struct list_page *p);

#endif
