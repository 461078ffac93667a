/* SPDX-License-Identifier: GPL-3.0-or-later
 * A pax tar stream, written and read: what export and import pass bytes through. Knows tar, nothing of
 * versions.
 *
 * POSIX.1-2001 pax interchange format; long names, sizes, times and our own HOLDFS.* keywords stand in
 * extended headers, so that any tar lists the stream. Reading treats its input as outside input. */
#ifndef HOLDFS_ENGINE_PAX_H
#define HOLDFS_ENGINE_PAX_H

#include "util/bytes.h"
#include "util/reason.h"
#include "util/timeform.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- writing ---- */

struct pax_writer {
    int fd;
    struct bytes extended; /* records of the next entry's extended header */
    uint8_t *buf;          /* not yet written */
    size_t len;
    uint64_t bytes;     /* written so far */
    uint64_t data_left; /* of the entry begun */
    unsigned padding;
};

struct pax_entry {
    const uint8_t *path;
    size_t path_len;
    char type; /* '0' file, '2' symlink, '3' '4' devices, '5' directory, '6' FIFO */
    uint32_t mode, uid, gid, rdev_major, rdev_minor;
    uint64_t size_bytes;
    struct instant mtime;
    const uint8_t *link; /* of a symlink */
    size_t link_len;
};

int pax_writer_init(struct pax_writer *w, int fd);
void pax_writer_done(struct pax_writer *w);
/* A keyword for the next entry (or, before pax_global(), for all). */
void pax_put(struct pax_writer *w, const char *keyword, const void *value, size_t len);
void pax_printf(struct pax_writer *w, const char *keyword, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int pax_global(struct pax_writer *w);
int pax_begin(struct pax_writer *w, const struct pax_entry *entry);
int pax_data(struct pax_writer *w, const void *data, size_t len); /* together exactly size_bytes */
int pax_finish(struct pax_writer *w);

/* ---- reading ---- */

struct pax_reader {
    int fd;
    struct bytes global, extended; /* (blob keyword, blob value)* */
    uint64_t data_left;
    unsigned padding;
    uint64_t bytes;
    struct reason *reason;
};

/* What a header says, extended headers applied. Borrowed until the next call. */
struct pax_found {
    struct bytes path, link;
    char type;
    uint64_t size_bytes;
};

void pax_reader_init(struct pax_reader *r, int fd, struct reason *reason);
void pax_reader_done(struct pax_reader *r);
/* 1 an entry, 0 the end. -EINVAL with the reason for what is no such stream, or is cut short. */
int pax_next(struct pax_reader *r, struct pax_found *ret);
void pax_found_done(struct pax_found *f);
/* Exactly len bytes of the entry's data. */
int pax_read(struct pax_reader *r, void *buf, size_t len);
/* Value of a keyword of this entry, or of the global header; NULL where there is none. */
const uint8_t *pax_get(const struct pax_reader *r, const char *keyword, size_t *ret_len);
/* The same as a decimal number; `otherwise` where there is none. -EINVAL for something else. */
int pax_get_number(const struct pax_reader *r, const char *keyword, int64_t otherwise, int64_t *ret);

#endif
