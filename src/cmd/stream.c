/* SPDX-License-Identifier: GPL-3.0-or-later
 * What export and import share; see stream.h. */
#include "cmd/stream.h"
#include "cmd/control.h"
#include "cmd/render.h"
#include "util/cleanup.h"

#include <stdio.h>

int stream_operate(const struct invocation *inv, const char *operation, json_t *args, int fd, bool to_stdout)
{
    struct target target;
    struct reason reason = {0};
    json_t *answer = NULL;
    int r = target_find(inv->operands[0], &target, &reason);
    CLEANUP(session_cleanup) struct session *s = r == 0 ? session_open(inv, &target, false) : NULL;
    if (!s) {
        json_decref(args);
        return r < 0 ? command_refuse_reason(&reason, r, inv->operands[0]) : EXIT_REFUSED;
    }
    r = session_call(s, operation, args, fd, &answer, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, inv->operands[0]);
    if (!to_stdout)
        return render_answer(answer, inv->json);
    json_dumpf(answer, stderr, inv->json ? JSON_INDENT(2) : JSON_COMPACT);
    fputc('\n', stderr);
    json_decref(answer);
    return EXIT_DONE;
}
