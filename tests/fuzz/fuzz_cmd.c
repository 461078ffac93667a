/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzz target: what anybody may send to the control socket, and lists of mount options. The first byte picks the reader. */
#include "cmd/control_wire.h"
#include "cmd/mount.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SOCKET_BYTES = 65536 }; /* what a socket's buffer takes at once */

static void read_lines(const uint8_t *data, size_t size)
{
    int ends[2];
    struct wire wire = {0};
    json_t *line = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        abort();
    if (write(ends[0], data, size < SOCKET_BYTES ? size : SOCKET_BYTES) < 0 || shutdown(ends[0], SHUT_WR) < 0)
        abort();
    while (wire_read(&wire, ends[1], &line, NULL) > 0) {
        if (!json_is_object(line))
            abort();
        json_decref(line);
    }
    wire_done(&wire);
    close(ends[0]);
    close(ends[1]);
}

static void read_options(const uint8_t *data, size_t size)
{
    struct mount_options options;
    struct reason reason = {0};
    char *text = strndup((const char *)data, size);
    if (!text)
        abort();
    mount_options_init(&options);
    int r = mount_options_add(&options, text, false, &reason);
    if (r < 0 && !*reason.text)
        abort(); /* a refusal says why */
    if (r == 0 && (options.settle_s < -1 || options.settle_s > 86400))
        abort();
    mount_options_done(&options);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        read_options(data + 1, size - 1);
    else
        read_lines(data + 1, size - 1);
    return 0;
}
