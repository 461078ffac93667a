/* SPDX-License-Identifier: GPL-3.0-or-later
 * The S3 front's options; see serving.h. */
#include "cmd/serving.h"
#include "util/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *listener(const char *value)
{
    return strcmp(value, "none") ? value : NULL;
}

static int add_domain(struct serving *s, const char *value, struct reason *reason)
{
    if (s->domain_count == SERVING_DOMAINS)
        return reason_fail(reason, EINVAL, "at most %d domains fit", SERVING_DOMAINS);
    if (!value[0] || value[0] == '.' || value[0] == '-')
        return reason_fail(reason, EINVAL, "'%s' is no domain name", value);
    s->domains[s->domain_count++] = value;
    return 0;
}

static int set_sigv2(struct serving *s, const char *value, struct reason *reason)
{
    s->sigv2_off = !strcmp(value, "off");
    if (!s->sigv2_off && strcmp(value, "presigned") != 0)
        return reason_fail(reason, EINVAL, "sigv2 is off or presigned");
    return 0;
}

int serving_set(struct serving *s, const char *name, const char *value, struct reason *reason)
{
    if (!strcmp(name, "http"))
        s->http = listener(value);
    else if (!strcmp(name, "https"))
        s->https = listener(value);
    else if (!strcmp(name, "tls-cert"))
        s->tls_cert = value;
    else if (!strcmp(name, "tls-key"))
        s->tls_key = value;
    else if (!strcmp(name, "region-strict"))
        s->region_strict = true;
    else if (!strcmp(name, "sigv2"))
        return set_sigv2(s, value, reason);
    else if (!strcmp(name, "domain"))
        return add_domain(s, value, reason);
    else
        return -ENOENT;
    return 0;
}

bool serving_any(const struct serving *s)
{
    return s->http || s->https;
}

int serving_check(const struct serving *s, struct reason *reason)
{
    if (s->https && (!s->tls_cert || !s->tls_key))
        return reason_fail(reason, EINVAL, "https needs tls-cert and tls-key");
    if (!s->https && (s->tls_cert || s->tls_key))
        return reason_fail(reason, EINVAL, "tls-cert and tls-key are for https");
    return 0;
}

int serving_paths(struct serving *s, struct reason *reason)
{
    if (!s->https)
        return 0;
    if (!realpath(s->tls_cert, s->cert_path))
        return reason_fail(reason, errno, "the certificate %s: %s", s->tls_cert, strerror(errno));
    if (!realpath(s->tls_key, s->key_path))
        return reason_fail(reason, errno, "the certificate's key %s: %s", s->tls_key, strerror(errno));
    return 0;
}

int serving_start(const struct serving *s, struct engine *e, struct s3_front **ret, struct reason *reason)
{
    struct s3_front_config config = {
        .engine = e,
        .http = s->http,
        .https = s->https,
        .tls_cert = s->cert_path,
        .tls_key = s->key_path,
        .domains = s->domains,
        .domain_count = s->domain_count,
        .region_strict = s->region_strict,
        .sigv2_off = s->sigv2_off,
    };
    return s3_front_start(&config, ret, reason);
}

void serving_say(const struct serving *s, const struct s3_front *front, const char *store)
{
    const char *names[] = {s->http, s->https};
    for (unsigned tls = 0; tls < 2; tls++) {
        const char *colon = names[tls] ? strrchr(names[tls], ':') : NULL;
        if (colon)
            log_notice("%s is served at http%s://%.*s:%u", store, tls ? "s" : "", (int)(colon - names[tls]), names[tls],
                       s3_front_port(front, tls));
    }
}
