/* SPDX-License-Identifier: GPL-3.0-or-later
 * Becoming a daemon; see daemon.h. systemd's notify protocol is one datagram, so no library is needed for it.
 */
#include "cmd/daemon.h"
#include "cmd/command.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <malloc.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

void daemon_hide_memory(bool hide)
{
    prctl(PR_SET_DUMPABLE, !hide);
}

static int daemon_await(int outcome, pid_t child)
{
    unsigned char status;
    ssize_t n;
    do {
        n = read(outcome, &status, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1)
        return status;
    int how = 0;
    waitpid(child, &how, 0);
    if (WIFEXITED(how))
        return WEXITSTATUS(how) ? WEXITSTATUS(how) : EXIT_REFUSED;
    return command_refuse("the daemon died by signal %d before the mount was usable", WTERMSIG(how));
}

int daemon_begin(struct daemon *d, bool foreground)
{
    *d = (struct daemon){foreground, -1};
    /* One heap an arena a thread would keep the page cache several times over: 200 MiB where 40 do. */
    mallopt(M_ARENA_MAX, 2);
    int pipe_ends[2];
    if (foreground)
        return -1;
    if (pipe2(pipe_ends, O_CLOEXEC) < 0)
        return command_refuse("pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        return command_refuse("fork: %s", strerror(errno));
    if (child > 0) {
        close(pipe_ends[1]);
        return daemon_await(pipe_ends[0], child);
    }
    close(pipe_ends[0]);
    d->outcome = pipe_ends[1];
    return -1;
}

void daemon_detach(struct daemon *d)
{
    if (!d->foreground)
        setsid();
}

/* sd_notify(3): a datagram to $NOTIFY_SOCKET; a name that begins with @ is abstract. */
static void daemon_notify(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!name || (*name != '/' && *name != '@') || strlen(name) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, name, strlen(name));
    if (*name == '@')
        address.sun_path[0] = 0;
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    if (fd >= 0 && sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, len) < 0)
        log_warning("telling systemd `%s`: %s", state, strerror(errno));
}

static void daemon_tell_parent(struct daemon *d, int status)
{
    unsigned char byte = (unsigned char)status;
    if (d->outcome < 0)
        return;
    ssize_t n = write(d->outcome, &byte, 1);
    (void)n; /* a parent that was interrupted waits no more */
    close(d->outcome);
    d->outcome = -1;
}

void daemon_ready(struct daemon *d)
{
    char state[64];
    if (!d->foreground) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd = 0; null >= 0 && fd < 3; fd++)
            dup2(null, fd);
        if (null > 2)
            close(null);
        if (chdir("/") < 0)
            log_warning("chdir /: %s", strerror(errno));
        log_open(true);
    }
    snprintf(state, sizeof state, "READY=1\nMAINPID=%d", (int)getpid());
    daemon_notify(state);
    daemon_tell_parent(d, EXIT_DONE);
}

void daemon_failed(struct daemon *d, int status)
{
    daemon_tell_parent(d, status);
}

void daemon_stopping(void)
{
    daemon_notify("STOPPING=1");
}
