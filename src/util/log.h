/* SPDX-License-Identifier: GPL-3.0-or-later
 * The daemon's log: one line per event to stderr (foreground) or syslog; and what `--debug ROOM,...` turns on. */
#ifndef HOLDFS_UTIL_LOG_H
#define HOLDFS_UTIL_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_DEBUG };

void log_open(bool to_syslog);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)

/* Rooms to trace: "fuse,meta,engine"; unknown names are refused (-EINVAL). */
int log_debug_rooms(const char *list);
bool log_debug_on(const char *room);
#define log_debug(room, ...)                          \
    do {                                              \
        if (log_debug_on(room))                       \
            log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);  \
    } while (0)

#endif
