/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs import: reads what holdfs export wrote. The daemon reads from the file this command opened. */
#include "cmd/control.h"
#include "cmd/stream.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int import_run(const struct invocation *inv)
{
    const char *file = invocation_value(inv, "i");
    CLEANUP_FD int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
    if (fd < 0)
        return command_refuse("%s: %s", file ? file : "standard input", strerror(errno));
    if (isatty(fd))
        return command_usage(inv,
                             "a stream does not come from a terminal; give -i FILE or redirect the input");
    return stream_operate(inv, "import", NULL, fd, false);
}

static const struct option import_options[] = {
    {"i", "FILE", "read from a file instead of standard input", NULL, false},
    {0},
};

const struct command command_import = {
    .name = "import",
    .operands = "PATH",
    .summary = "read a bucket back from a stream",
    .text = "Makes the bucket PATH from a stream of holdfs export, with all versions, metadata and locks. "
            "The bucket must not exist.",
    .options = import_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs import -i vault.holdfs /mnt/hold/vault", "From a file"},
                 {"ssh host holdfs export /mnt/x/vault | holdfs import /mnt/hold/vault",
                  "From another machine"}},
    .run = import_run,
};
