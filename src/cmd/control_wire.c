/* SPDX-License-Identifier: GPL-3.0-or-later
 * Lines of JSON over the control socket; see control_wire.h. What comes in is outside input: bounded and
 * checked here. */
#include "cmd/control_wire.h"
#include "cmd/control.h"
#include "util/cleanup.h"
#include "util/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void wire_done(struct wire *w)
{
    bytes_done(&w->pending);
}

int wire_address(const char *store, struct sockaddr_un *ret, int *ret_dir)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(ret->sun_path, sizeof ret->sun_path, "%s/control", store);
    if (n > 0 && (size_t)n < sizeof ret->sun_path)
        return 0;
    *ret_dir = open(store, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_dir < 0)
        return -errno;
    snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/control", *ret_dir);
    return 0;
}

static ssize_t wire_send(int socket, const char *text, size_t len, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(char *)text, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        *c = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

int wire_write(int socket, const json_t *value, int fd)
{
    CLEANUP_FREE char *text = json_dumps(value, JSON_COMPACT);
    if (!text)
        return -ENOMEM;
    size_t len = strlen(text), at = 0;
    int r = 0;
    text[len++] = '\n'; /* in place of the terminating zero */
    while (r == 0 && at < len) {
        ssize_t n = wire_send(socket, text + at, len - at, at == 0 ? fd : -1);
        if (n < 0 && errno != EINTR)
            r = -errno;
        at += n > 0 ? (size_t)n : 0;
    }
    secret_wipe(text, len); /* a key or a code may be in it */
    return r;
}

/* Reads more; keeps at most one descriptor and closes the others. The count, 0 at the end, -errno. */
static ssize_t wire_receive(struct wire *w, int socket, int *ret_fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control;
    char buf[16384];
    struct iovec part = {buf, sizeof buf};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EINTR ? wire_receive(w, socket, ret_fd) : -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (ret_fd && *ret_fd < 0)
                *ret_fd = fd;
            else
                close(fd);
        }
    }
    bytes_put(&w->pending, buf, (size_t)n);
    secret_wipe(buf, (size_t)n);
    return w->pending.failed ? -ENOMEM : n;
}

static int wire_take(struct wire *w, size_t len, json_t **ret)
{
    json_t *value = json_loadb((const char *)w->pending.data, len, JSON_REJECT_DUPLICATES, NULL);
    memmove(w->pending.data, w->pending.data + len + 1, w->pending.len - len - 1);
    w->pending.len -= len + 1;
    secret_wipe(w->pending.data + w->pending.len, len + 1);
    if (!json_is_object(value)) {
        json_decref(value);
        return -EBADMSG;
    }
    *ret = value;
    return 1;
}

int wire_read(struct wire *w, int socket, json_t **ret, int *ret_fd)
{
    if (ret_fd)
        *ret_fd = -1;
    for (;;) {
        const uint8_t *end = w->pending.len ? memchr(w->pending.data, '\n', w->pending.len) : NULL;
        if (end)
            return wire_take(w, (size_t)(end - w->pending.data), ret);
        if (w->pending.len > CONTROL_LINE_BYTES)
            return -EBADMSG;
        ssize_t n = wire_receive(w, socket, ret_fd);
        if (n <= 0)
            return n < 0 ? (int)n : w->pending.len ? -EBADMSG : 0;
    }
}
