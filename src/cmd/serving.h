/* SPDX-License-Identifier: GPL-3.0-or-later
 * The options of the S3 front, which `holdfs serve` and -o of mount have in common. */
#ifndef HOLDFS_CMD_SERVING_H
#define HOLDFS_CMD_SERVING_H

#include "s3/s3_front.h"

#include <limits.h>

enum { SERVING_DOMAINS = 16 };

struct serving {
    const char *http, *https, *tls_cert, *tls_key; /* borrowed; NULL: not */
    bool region_strict, sigv2_off;
    const char *domains[SERVING_DOMAINS];
    size_t domain_count;
    char cert_path[PATH_MAX], key_path[PATH_MAX];
};

/* Takes one option by its name, as it is written without dashes. -ENOENT: none of these; -EINVAL with the sentence. */
int serving_set(struct serving *s, const char *name, const char *value, struct reason *reason);
int serving_check(const struct serving *s, struct reason *reason);
bool serving_any(const struct serving *s); /* anything to listen to? */
/* Files by their whole paths: a daemon leaves its directory. */
int serving_paths(struct serving *s, struct reason *reason);
int serving_start(const struct serving *s, struct engine *e, struct s3_front **ret, struct reason *reason);
void serving_say(const struct serving *s, const struct s3_front *front, const char *store); /* where it listens, in the log */

#endif
