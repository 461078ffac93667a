/* SPDX-License-Identifier: GPL-3.0-or-later
 * The HTTPS listener and its certificate, which may change while it listens (a renewal): new connections get the new one. */
#ifndef HOLDFS_S3_TLS_H
#define HOLDFS_S3_TLS_H

#include "s3/front.h"

int tls_start(struct s3_front *f, const struct s3_front_config *config, struct reason *reason);
void tls_look(void *front);           /* the reaper, each second: are the files others by now? */
void tls_freeze(struct s3_front *f);  /* no look changes anything any more */
void tls_end_retired(struct s3_front *f); /* while stopping, when no connection is suspended any more */
void tls_free(struct s3_front *f);    /* after f->https was stopped */

#endif
