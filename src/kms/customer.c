/* SPDX-License-Identifier: GPL-3.0-or-later
 * A customer's key (SSE-C) from its file: 32 bytes, or their base64 (encryption.md §6). */
#include "kms/kms.h"
#include "util/cleanup.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { CUSTOMER_FILE_BYTES = 64 }; /* base64 of 32 bytes is 44, and a newline or two */

int customer_key_from_file(const char *path, struct secret **ret, struct reason *reason)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return reason_fail(reason, errno, "%s: %s", path, strerror(errno));
    CLEANUP(secret_cleanup) struct secret *file = secret_new(CUSTOMER_FILE_BYTES + 1), *key = secret_new(32);
    if (!file || !key)
        return reason_fail(reason, ENOMEM, "out of memory");
    uint8_t *at = secret_bytes(file);
    size_t len = 0;
    ssize_t n = 1;
    while (len < CUSTOMER_FILE_BYTES + 1 && (n = read(fd, at + len, CUSTOMER_FILE_BYTES + 1 - len)) > 0)
        len += (size_t)n;
    if (n < 0)
        return reason_fail(reason, errno, "%s: %s", path, strerror(errno));
    size_t got = 0;
    if (len == 32) {
        memcpy(secret_bytes(key), at, 32);
        got = 32;
    } else {
        while (len && (at[len - 1] == '\n' || at[len - 1] == '\r'))
            len--;
        if (len > CUSTOMER_FILE_BYTES || base64_parse((const char *)at, len, secret_bytes(key), 32, &got) < 0)
            got = 0;
    }
    if (got != 32)
        return reason_fail(reason, EINVAL, "%s: a customer's key is 32 bytes, or their base64", path);
    *ret = key;
    key = NULL;
    return 0;
}
