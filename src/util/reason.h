/* SPDX-License-Identifier: GPL-3.0-or-later
 * Why an operation was refused, in words, next to its errno.
 *
 * The place that knows the cause fills it once with reason_fail(); fronts render it (user.s3.last-error,
 * S3 Message, stderr). A reason is a plain value owned by the caller; NULL is accepted everywhere. */
#ifndef HOLDFS_UTIL_REASON_H
#define HOLDFS_UTIL_REASON_H

struct reason {
    char code[48];   /* S3 error code, or "" where the errno says enough */
    char text[1024]; /* one sentence: what was wrong, and what would be right */
};

/* Sets the sentence (and clears the S3 code); returns -errnum, so that `return reason_fail(r, EINVAL, "...")` works. */
int reason_fail(struct reason *r, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same with the S3 error code the HTTP front will answer. */
int reason_fail_s3(struct reason *r, int errnum, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

void reason_clear(struct reason *r);

#endif
