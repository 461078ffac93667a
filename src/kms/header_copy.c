/* SPDX-License-Identifier: GPL-3.0-or-later
 * The header of a backup: the store's as it stands, but for the generation of the page key, which is the backup's own count of
 * copies of the metadata. Writing it is the moment from which the new copy counts. */
#include "kms/keys.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Of both files of a folder, what line 1 says of itself, unproved: the higher seq with its generation; zeros where there is none. */
static void folder_peek(int dir_fd, const uint8_t store_id[16], uint64_t *ret_seq, uint32_t *ret_generation)
{
    *ret_seq = 0;
    *ret_generation = 0;
    for (int i = 0; i < 2; i++) {
        struct header_file file;
        struct store_header h;
        header_file_read(dir_fd, header_file_names[i], &file);
        if (file.mac && header_line_parse(file.bytes, file.line_len, &h, NULL) == 0 && memcmp(h.store_id, store_id, 16) == 0 &&
            h.seq > *ret_seq) {
            *ret_seq = h.seq;
            *ret_generation = h.page_generation;
        }
        secret_wipe(&h, sizeof h);
        header_file_done(&file);
    }
}

int store_header_generation(const char *dir, const uint8_t store_id[16], uint32_t *ret, struct reason *reason)
{
    CLEANUP_FD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return reason_fail(reason, errno, "the folder %s cannot be opened: %s", dir, strerror(errno));
    uint64_t seq;
    folder_peek(dir_fd, store_id, &seq, ret);
    return 0;
}

/* The header of the store as it is now: slots may have changed since it was opened. */
static int header_now(const char *dir, const struct store_keys *keys, struct store_keys **ret, struct reason *reason)
{
    CLEANUP_FD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dir_fd < 0 ? -errno : header_lock(dir_fd);
    if (r < 0)
        return reason_fail(reason, -r, "the folder %s cannot be locked: %s", dir, strerror(-r));
    const struct header_opener by = {.keys = keys};
    bool repaired;
    return header_load(dir_fd, dir, keys->header.store_id, &by, true, ret, &repaired, reason);
}

int store_header_copy(const char *dir, const struct store_keys *keys, const char *to, uint32_t generation, struct store_keys **ret,
                      struct reason *reason)
{
    struct store_keys *now;
    int r = header_now(dir, keys, &now, reason);
    if (r < 0)
        return r;
    CLEANUP_FD int dir_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = dir_fd < 0 ? -errno : header_lock(dir_fd);
    if (r == 0) {
        uint64_t seq;
        uint32_t was;
        folder_peek(dir_fd, keys->header.store_id, &seq, &was);
        if (now->header.seq <= seq)
            now->header.seq = seq + 1;
        now->header.page_generation = generation;
        r = header_write(dir_fd, now);
    }
    if (r < 0) {
        store_keys_free(now);
        return reason_fail(reason, -r, "the store header in %s cannot be written: %s", to, strerror(-r));
    }
    *ret = now;
    return 0;
}
