/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs export: writes a bucket with its versions and locks to a stream. The daemon writes to the file this
 * command opened. */
#include "cmd/control.h"
#include "cmd/render.h"
#include "cmd/stream.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int export_run(const struct invocation *inv)
{
    const char *file = invocation_value(inv, "o");
    json_t *args = json_pack("{s:b}", "move", invocation_has(inv, "move"));
    CLEANUP_FD int fd = file ? open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : dup(STDOUT_FILENO);
    if (fd < 0) {
        json_decref(args);
        return command_refuse("%s: %s", file ? file : "standard output", strerror(errno));
    }
    if (isatty(fd)) {
        json_decref(args);
        return command_usage(inv, "a stream is not for a terminal; give -o FILE or redirect the output");
    }
    return stream_operate(inv, "export", args, fd, file == NULL);
}

static const struct option export_options[] = {
    {"o", "FILE", "write to a new file instead of standard output", NULL, false},
    {"move", NULL, "remove the bucket once it is written; refused while locked", NULL, false},
    {0},
};

const struct command command_export = {
    .name = "export",
    .operands = "PATH",
    .summary = "write a bucket with its versions and locks to a stream",
    .text = "Writes a bucket with all versions, metadata and locks as a stream that holdfs import reads. The "
            "stream is not encrypted: "
            "pipe it to something that does, or keep it safe.",
    .options = export_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs export -o vault.holdfs /mnt/hold/vault", "To a file"},
                 {"holdfs export /mnt/hold/vault | ssh host holdfs import /mnt/other/vault",
                  "To another machine"}},
    .run = export_run,
};
