/* SPDX-License-Identifier: GPL-3.0-or-later
 * The conditions of S3 requests (s3-api.md §5), over values. Asked again inside the transaction that acts. */
#include "engine/object.h"

#include <stdio.h>

static int failed(struct engine_conditions *c, const char *header, struct reason *reason)
{
    c->failed = header;
    return reason_fail_s3(reason, ECANCELED, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
}

static int not_modified(struct engine_conditions *c, const char *header, struct reason *reason)
{
    c->failed = header;
    return reason_fail_s3(reason, ECANCELED, "NotModified", "Not Modified");
}

/* One of a list is the ETag, or "*". Quotes may be missing, W/ is dropped. */
static bool etag_matches(const char *list, const char *etag)
{
    for (const char *at = list; *at;) {
        at += strspn(at, " \t,");
        if (strncmp(at, "W/", 2) == 0)
            at += 2;
        bool quoted = *at == '"';
        at += quoted;
        size_t len = strcspn(at, quoted ? "\"" : ", \t");
        if (len == 1 && *at == '*' && !quoted)
            return true;
        if (len && len == strlen(etag) && memcmp(at, etag, len) == 0)
            return true;
        at += len + (quoted && at[len] == '"');
    }
    return false;
}

static int64_t modified_s(const struct version *v)
{
    return v->publish_ns / 1000000000;
}

int condition_read(struct engine_conditions *c, const struct version *v, struct reason *reason)
{
    int64_t modified = modified_s(v);
    if (c->if_match && !etag_matches(c->if_match, v->record.etag))
        return failed(c, "If-Match", reason);
    if (!c->if_match && c->unmodified_since_s != INT64_MIN && modified > c->unmodified_since_s)
        return failed(c, "If-Unmodified-Since", reason);
    if (c->if_none_match && etag_matches(c->if_none_match, v->record.etag))
        return not_modified(c, "If-None-Match", reason);
    bool future = c->modified_since_s > clock_wall_ns() / 1000000000;
    if (!c->if_none_match && c->modified_since_s != INT64_MIN && !future && modified <= c->modified_since_s)
        return not_modified(c, "If-Modified-Since", reason);
    return 0;
}

static int no_key(struct reason *reason)
{
    return reason_fail_s3(reason, ENOENT, "NoSuchKey", "The specified key does not exist.");
}

int condition_write(struct engine_conditions *c, const struct version *v, struct reason *reason)
{
    bool there = v && !(v->flags & VERSION_MARKER);
    if (c->if_none_match && there && etag_matches(c->if_none_match, v->record.etag))
        return failed(c, "If-None-Match", reason);
    if (c->if_match && !there)
        return no_key(reason);
    if (c->if_match && !etag_matches(c->if_match, v->record.etag))
        return failed(c, "If-Match", reason);
    return 0;
}

int condition_delete(struct engine_conditions *c, const struct version *v, struct reason *reason)
{
    bool there = v && !(v->flags & VERSION_MARKER);
    if (c->if_match && !there)
        return no_key(reason);
    if (c->if_match && !etag_matches(c->if_match, v->record.etag))
        return failed(c, "If-Match", reason);
    if (v && c->size_bytes != INT64_MIN && (uint64_t)c->size_bytes != v->record.size_bytes)
        return failed(c, "x-amz-if-match-size", reason);
    if (v && c->modified_s != INT64_MIN && c->modified_s != modified_s(v))
        return failed(c, "x-amz-if-match-last-modified-time", reason);
    return 0;
}
