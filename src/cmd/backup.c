/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs backup: a copy of a store, in use or not, in a directory that is a store itself. Whoever has the store open writes to
 * the directory this command opened. */
#include "cmd/control.h"
#include "cmd/render.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory, made where it is missing; its whole path in `real`. */
static int backup_directory(const char *path, char real[PATH_MAX], bool *ret_made, struct reason *reason)
{
    *ret_made = mkdir(path, 0700) == 0;
    if (!*ret_made && errno != EEXIST)
        return reason_fail(reason, errno, "cannot make '%s': %s", path, strerror(errno));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || !realpath(path, real))
        return reason_fail(reason, errno, "cannot open '%s': %s", path, strerror(errno));
    if (access(real, W_OK | X_OK) < 0) {
        close(fd);
        return reason_fail(reason, errno, "cannot write to '%s': %s", path, strerror(errno));
    }
    return fd;
}

static int backup_run(const struct invocation *inv)
{
    struct target target;
    struct reason reason = {0};
    char real[PATH_MAX];
    json_t *answer = NULL;
    int r = target_find(inv->operands[0], &target, &reason);
    if (r == 0 && *target.path)
        r = reason_fail(&reason, EINVAL, "'%s' lies inside a store; a backup is of a whole one: name the store or its mount point",
                        inv->operands[0]);
    if (r < 0)
        return command_refuse_reason(&reason, r, inv->operands[0]);
    bool made;
    CLEANUP_FD int fd = backup_directory(inv->operands[1], real, &made, &reason);
    if (fd < 0)
        return command_refuse_reason(&reason, fd, inv->operands[1]);
    CLEANUP(session_cleanup) struct session *s = session_open(inv, &target, false);
    if (!s) {
        if (made)
            rmdir(real);
        return EXIT_REFUSED;
    }
    json_t *args = json_pack("{s:s, s:b, s:b}", "directory", real, "verify", invocation_has(inv, "verify"), "overwrite",
                             invocation_has(inv, "overwrite"));
    r = session_call(s, "backup", args, fd, &answer, &reason);
    if (r < 0 && made)
        rmdir(real); /* unless something is in it by now */
    if (r < 0)
        return command_refuse_reason(&reason, r, inv->operands[1]);
    bool damaged = json_integer_value(json_object_get(answer, "damaged")) > 0;
    render_answer(answer, inv->json);
    if (!damaged)
        return EXIT_DONE;
    return command_refuse("some versions of the backup cannot be read whole; holdfs scrub of the store tells whether they can there");
}

static const struct option backup_options[] = {
    {"verify", NULL, "then read the backup and verify every byte of it", NULL, false},
    {"overwrite", NULL, "also where DIR was written to as a store since", NULL, false},
    {0},
};

const struct command command_backup = {
    .name = "backup",
    .operands = "STORE|MNT DIR",
    .summary = "copy a store, in use or not",
    .text = "Brings DIR up to the store as it is now: what DIR has is not copied again. DIR holds ciphertext only, and is itself a "
            "store that the same secrets open: to restore, mount it with -o ro, or copy it to where a store is wanted. Until "
            "the new copy is whole, the one before stays.",
    .options = backup_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs backup /mnt/hold /backup/hold", "Of a store in use"},
                 {"holdfs backup --verify --key-file F /srv/store /backup/hold", "Of one that is not, and prove it"}},
    .run = backup_run,
};
