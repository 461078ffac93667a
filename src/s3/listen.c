/* SPDX-License-Identifier: GPL-3.0-or-later
 * Listening sockets; see listen.h. */
#include "s3/listen.h"
#include "util/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { BACKLOG = 1024, FILE_MAX_BYTES = 1 << 20 };

static int split(const char *where, char host[256], char port[16])
{
    const char *colon = strrchr(where, ':');
    size_t len = colon ? (size_t)(colon - where) : 0;
    if (!colon || !colon[1] || strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") != strlen(colon + 1) || len >= 256)
        return -EINVAL;
    snprintf(port, 16, "%s", colon + 1);
    if (len > 2 && where[0] == '[' && where[len - 1] == ']') {
        where++;
        len -= 2;
    }
    memcpy(host, where, len);
    host[len] = '\0';
    return 0;
}

static int try_address(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    int on = 1;
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

int listen_on(const char *where, int *ret_fd, struct reason *reason)
{
    char host[256], port[16];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list;
    if (split(where, host, port) < 0)
        return reason_fail(reason, EINVAL, "'%s' is no ADDRESS:PORT, as 127.0.0.1:9000 or [::1]:9000", where);
    int error = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
    if (error)
        return reason_fail(reason, EINVAL, "the address %s: %s", where, gai_strerror(error));
    int fd = -EADDRNOTAVAIL;
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = try_address(a);
    freeaddrinfo(list);
    if (fd < 0)
        return reason_fail(reason, -fd, "listening at %s: %s", where, strerror(-fd));
    *ret_fd = fd;
    return 0;
}

unsigned listen_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port : ((struct sockaddr_in *)&address)->sin_port);
}

void listen_address_text(const struct sockaddr *address, char *out, size_t cap)
{
    out[0] = '\0';
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, out, (socklen_t)cap);
    if (address->sa_family != AF_INET6)
        return;
    const struct in6_addr *a = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(a))
        inet_ntop(AF_INET, a->s6_addr + 12, out, (socklen_t)cap);
    else
        inet_ntop(AF_INET6, a, out, (socklen_t)cap);
}

int listen_read_file(const char *path, char **ret, struct reason *reason)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return reason_fail(reason, errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES)
        return reason_fail(reason, EINVAL, "%s is no file of PEM text", path);
    char *text = calloc(1, (size_t)st.st_size + 1);
    if (!text)
        return -ENOMEM;
    if (read(fd, text, (size_t)st.st_size) != st.st_size) {
        free(text);
        return reason_fail(reason, EIO, "%s could not be read", path);
    }
    *ret = text;
    return 0;
}
