/* SPDX-License-Identifier: GPL-3.0-or-later
 * The certificate's files, watched; see tls.h. A new pair of them gets a listener of its own on the same socket; the one before takes no
 * more connections and ends with its last. */
#include "s3/tls.h"
#include "s3/listen.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { RETIRED_MAX = 8 };

struct tls_files {
    pthread_mutex_t lock;
    bool frozen;
    char *cert, *key, *where;
    struct timespec cert_at, key_at; /* when they were last changed, as far as they were taken */
    struct MHD_Daemon *retired[RETIRED_MAX];
};

static struct timespec changed_at(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_mtim : (struct timespec){0};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Takes fd over if it starts. */
static int start(struct s3_front *f, int fd, struct MHD_Daemon **ret, struct reason *reason)
{
    struct tls_files *t = f->tls;
    CLEANUP_FREE char *cert = NULL;
    char *key = NULL;
    struct timespec cert_at = changed_at(t->cert), key_at = changed_at(t->key);
    int r = listen_read_file(t->cert, &cert, reason);
    if (r == 0)
        r = listen_read_file(t->key, &key, reason);
    if (r == 0 && !(*ret = server_daemon(f, fd, cert, key)))
        r = reason_fail(reason, EINVAL, "the HTTPS server at %s could not be started: are %s and %s a certificate and its key?", t->where, t->cert, t->key);
    if (key)
        secret_wipe(key, strlen(key));
    free(key);
    t->cert_at = cert_at;
    t->key_at = key_at;
    return r;
}

int tls_start(struct s3_front *f, const struct s3_front_config *config, struct reason *reason)
{
    struct tls_files *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    pthread_mutex_init(&t->lock, NULL);
    LOCK_SCOPE(&t->lock);
    t->cert = strdup(config->tls_cert);
    t->key = strdup(config->tls_key);
    t->where = strdup(config->https);
    f->tls = t;
    int fd = -1, r = t->cert && t->key && t->where ? listen_on(config->https, &fd, reason) : -ENOMEM;
    if (r == 0 && (r = start(f, fd, &f->https, reason)) < 0)
        close(fd);
    return r;
}

/* lock held. Listeners of earlier certificates end when nobody is connected to them. */
static void end_retired(struct tls_files *t, bool all)
{
    for (size_t n = 0; n < RETIRED_MAX; n++) {
        const union MHD_DaemonInfo *info = t->retired[n] ? MHD_get_daemon_info(t->retired[n], MHD_DAEMON_INFO_CURRENT_CONNECTIONS) : NULL;
        if (!t->retired[n] || (!all && info && info->num_connections))
            continue;
        MHD_stop_daemon(t->retired[n]);
        t->retired[n] = NULL;
    }
}

/* lock held */
static void renew(struct s3_front *f)
{
    struct tls_files *t = f->tls;
    struct reason reason = {0};
    struct MHD_Daemon *fresh;
    size_t slot = 0;
    while (slot < RETIRED_MAX && t->retired[slot])
        slot++;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(f->https, MHD_DAEMON_INFO_LISTEN_FD);
    int fd = slot < RETIRED_MAX && info ? fcntl(info->listen_fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0)
        return; /* the next look tries again */
    if (start(f, fd, &fresh, &reason) < 0) {
        close(fd);
        log_warning("the certificate stays as it was: %s", reason.text);
        return;
    }
    int old = MHD_quiesce_daemon(f->https);
    if (old >= 0)
        close(old);
    t->retired[slot] = f->https;
    f->https = fresh;
    log_notice("the certificate of %s was read again", t->where);
}

void tls_look(void *front)
{
    struct s3_front *f = front;
    struct tls_files *t = f->tls;
    if (!t)
        return;
    LOCK_SCOPE(&t->lock);
    if (t->frozen || !f->https)
        return;
    end_retired(t, false);
    if (!same_time(t->cert_at, changed_at(t->cert)) || !same_time(t->key_at, changed_at(t->key)))
        renew(f);
}

void tls_freeze(struct s3_front *f)
{
    if (!f->tls)
        return;
    LOCK_SCOPE(&f->tls->lock);
    f->tls->frozen = true;
}

void tls_free(struct s3_front *f)
{
    struct tls_files *t = f->tls;
    if (!t)
        return;
    free(t->cert);
    free(t->key);
    free(t->where);
    pthread_mutex_destroy(&t->lock);
    free(t);
    f->tls = NULL;
}

void tls_end_retired(struct s3_front *f)
{
    if (f->tls)
        end_retired(f->tls, true);
}
