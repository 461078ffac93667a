/* SPDX-License-Identifier: GPL-3.0-or-later
 * Secrets from files and from systemd's credentials, checked before any derivation (encryption.md §1.1).
 * Asking on the terminal is ask.c's. */
#include "kms/internal.h"
#include "util/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Up to max_bytes into locked memory, caller frees. -EFBIG when there are more. */
static int read_secret(int fd, size_t max_bytes, struct secret **ret)
{
    CLEANUP(secret_cleanup) struct secret *s = secret_new(max_bytes + 1);
    if (!s)
        return -ENOMEM;
    size_t len = 0;
    while (len <= max_bytes) {
        ssize_t n = read(fd, secret_bytes(s) + len, max_bytes + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (len > max_bytes)
        return -EFBIG;
    secret_truncate(s, len);
    *ret = s;
    s = NULL;
    return 0;
}

int passphrase_check(struct secret *s, struct reason *reason)
{
    size_t len = secret_len(s);
    if (len && secret_peek(s)[len - 1] == '\n')
        secret_truncate(s, --len);
    if (len == 0)
        return reason_fail(reason, EINVAL, "the passphrase is empty");
    if (len > LIMIT_PASSPHRASE_BYTES)
        return reason_fail(reason, EINVAL, "the passphrase has more than %d bytes", LIMIT_PASSPHRASE_BYTES);
    return 0;
}

static int passphrase_from_fd(int fd, const char *shown, struct unlock *ret, struct reason *reason)
{
    struct secret *s;
    int r = read_secret(fd, LIMIT_PASSPHRASE_BYTES + 1, &s);
    if (r == -EFBIG)
        return reason_fail(reason, EINVAL, "the passphrase in %s has more than %d bytes", shown,
                           LIMIT_PASSPHRASE_BYTES);
    if (r < 0)
        return reason_fail(reason, -r, "the passphrase cannot be read from %s: %s", shown, strerror(-r));
    r = passphrase_check(s, reason);
    if (r < 0)
        secret_free(s);
    else
        *ret = (struct unlock){SLOT_PASSPHRASE, s};
    return r;
}

/* `forbidden`: permission bits the file must not have. */
static int keyfile_from_fd(int fd, enum slot_kind kind, const char *path, mode_t forbidden,
                           struct unlock *ret, struct reason *reason)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return reason_fail(reason, errno, "the key file %s cannot be looked at: %s", path, strerror(errno));
    if (st.st_mode & forbidden)
        return reason_fail(reason, EPERM, "the key file %s can be read by others (mode %04o); chmod 600 it",
                           path, (unsigned)st.st_mode & 07777);
    struct secret *s;
    int r = read_secret(fd, LIMIT_KEYFILE_BYTES, &s);
    if (r < 0 && r != -EFBIG)
        return reason_fail(reason, -r, "the key file %s cannot be read: %s", path, strerror(-r));
    if (r == 0 && secret_len(s) >= LIMIT_KEYFILE_MIN_BYTES) {
        *ret = (struct unlock){kind, s};
        return 0;
    }
    if (r == 0)
        secret_free(s);
    return reason_fail(reason, EINVAL, "the key file %s must have %d to %d bytes", path,
                       LIMIT_KEYFILE_MIN_BYTES, LIMIT_KEYFILE_BYTES);
}

int unlock_from_file(enum slot_kind kind, const char *path, struct unlock *ret, struct reason *reason)
{
    assert(kind == SLOT_PASSPHRASE || kind == SLOT_KEYFILE);
    if (kind == SLOT_PASSPHRASE && strcmp(path, "-") == 0)
        return passphrase_from_fd(STDIN_FILENO, "standard input", ret, reason);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return reason_fail(reason, errno, "%s cannot be opened: %s", path, strerror(errno));
    if (kind == SLOT_PASSPHRASE)
        return passphrase_from_fd(fd, path, ret, reason);
    return keyfile_from_fd(fd, kind, path, S_IRGRP | S_IROTH, ret, reason);
}

int unlock_from_credential(const char *name, struct unlock *ret, struct reason *reason)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder)
        return reason_fail(reason, ENOENT,
                           "there are no credentials: CREDENTIALS_DIRECTORY is not set; "
                           "systemd sets it for a unit with LoadCredentialEncrypted=");
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return reason_fail(reason, EINVAL, "'%s' is not the name of a credential", name);
    CLEANUP_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        path = NULL;
        return reason_fail(reason, ENOMEM, "there is not enough memory");
    }
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return reason_fail(reason, errno, "the credential %s cannot be opened: %s", path, strerror(errno));
    /* systemd lets the unit's user read through an ACL, whose mask shows in the group's bits; others get
     * nothing. */
    return keyfile_from_fd(fd, SLOT_CREDENTIAL, path, S_IROTH, ret, reason);
}
