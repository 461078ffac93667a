/* SPDX-License-Identifier: GPL-3.0-or-later
 * The daemon's log; see log.h. A line is written with one call, so that threads do not mix theirs; control
 * characters in it (names come from outside) are shown as '?'. */
#include "util/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum { LINE_BYTES = 2048 }; /* longer lines are cut: what matters stands at their beginning */

static atomic_bool use_syslog;
static atomic_uint debug_mask; /* bit i: rooms[i] is traced */

static const char *const rooms[] = {"cmd", "fuse", "s3",    "engine", "auth", "pipeline",
                                    "kms", "meta", "block", "audit",  "util"};
enum { ROOM_COUNT = sizeof rooms / sizeof rooms[0] };

static const struct {
    const char *word;
    int priority;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
    [LOG_LEVEL_NOTICE] = {"notice", LOG_NOTICE},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

void log_open(bool to_syslog)
{
    if (to_syslog)
        openlog("holdfs", LOG_PID, LOG_DAEMON);
    atomic_store(&use_syslog, to_syslog);
}

static void line_clean(char *line)
{
    for (; *line; line++) {
        unsigned char c = (unsigned char)*line;
        if (c < 0x20 || c == 0x7f)
            *line = '?';
    }
}

void log_write(enum log_level level, const char *fmt, ...)
{
    int saved = errno;
    char line[LINE_BYTES];
    int head = snprintf(line, sizeof line, "holdfs: %s: ", levels[level].word);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line + head, sizeof line - (size_t)head - 1, fmt, ap); /* leaves room for the newline */
    va_end(ap);
    line_clean(line);
    if (atomic_load(&use_syslog)) {
        syslog(levels[level].priority, "%s", line + head);
    } else {
        size_t len = strlen(line);
        line[len++] = '\n';
        ssize_t written = write(STDERR_FILENO, line, len);
        (void)written; /* nowhere to report it */
    }
    errno = saved;
}

static int room_index(const char *name, size_t len)
{
    for (int i = 0; i < ROOM_COUNT; i++) {
        if (strlen(rooms[i]) == len && memcmp(rooms[i], name, len) == 0)
            return i;
    }
    return -1;
}

int log_debug_rooms(const char *list)
{
    unsigned mask = 0;
    for (;;) {
        size_t len = strcspn(list, ",");
        int i = room_index(list, len);
        if (i < 0)
            return -EINVAL;
        mask |= 1u << i;
        if (!list[len])
            break;
        list += len + 1;
    }
    atomic_store(&debug_mask, mask);
    return 0;
}

bool log_debug_on(const char *room)
{
    unsigned mask = atomic_load_explicit(&debug_mask, memory_order_relaxed);
    if (!mask)
        return false;
    int i = room_index(room, strlen(room));
    return i >= 0 && mask >> i & 1;
}
