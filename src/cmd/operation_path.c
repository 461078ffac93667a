/* SPDX-License-Identifier: GPL-3.0-or-later
 * From the path and version a command names to the engine's buckets, keys and versions. */
#include "cmd/operation.h"

#include <errno.h>
#include <string.h>

static const char versions_name[] = "/.versions"; /* as in every mount that does not rename it */

const char *operation_text(const struct operation_call *call, const char *name)
{
    return json_string_value(json_object_get(call->args, name));
}

bool operation_flag(const struct operation_call *call, const char *name)
{
    return json_is_true(json_object_get(call->args, name));
}

int operation_known_caller(struct operation_call *call)
{
    if (call->caller->principal.kind != PRINCIPAL_ANONYMOUS)
        return 0;
    return reason_fail(&call->caller->reason, EACCES,
                       "uid %u is nobody in this store; its owner or root may ask", call->caller->uid);
}

/* Takes the first segment of "bucket/key" off. */
static int path_split(struct operation_call *call, const char *path, struct operation_path *ret)
{
    struct reason *reason = &call->caller->reason;
    const char *in = call->bucket ? call->bucket : path;
    size_t bucket_len = call->bucket ? strlen(in) : strcspn(path, "/");
    const char *key = call->bucket ? path : path + bucket_len + (path[bucket_len] == '/');
    if (bucket_len == 0)
        return reason_fail(reason, EINVAL,
                           "the path names no bucket; it is MOUNT/BUCKET/KEY or STORE/BUCKET/KEY");
    if (bucket_len >= sizeof ret->bucket)
        return reason_fail(reason, ENOENT, "there is no bucket `%.*s`", (int)bucket_len, in);
    if (strlen(key) >= sizeof ret->key)
        return reason_fail(reason, ENAMETOOLONG, "a key is at most %d bytes", LIMIT_KEY_BYTES);
    memcpy(ret->bucket, in, bucket_len);
    ret->bucket[bucket_len] = 0;
    memcpy(ret->key, key, strlen(key) + 1);
    return 0;
}

static int path_version(struct operation_call *call, const char *version, struct operation_path *ret)
{
    if (strlen(version) >= sizeof ret->version)
        return reason_fail(&call->caller->reason, ENOENT, "`%s` is no version's name or id", version);
    memcpy(ret->version, version, strlen(version) + 1);
    return 0;
}

/* Where `.versions` stands in the key: dir/.versions/NAME/VERSION is the key dir/NAME and a version of it,
 * when NAME has one of that name, else dir/.versions/NAME the key dir/NAME. */
static int path_through_versions(struct operation_call *call, struct operation_path *p)
{
    char with_slash[sizeof p->key + 1] = "/";
    memcpy(with_slash + 1, p->key, strlen(p->key) + 1);
    char *at = strstr(with_slash, versions_name);
    size_t skip = strlen(versions_name);
    if (!at || (at[skip] != '/' && at[skip] != 0))
        return 0;
    memmove(at, at + skip, strlen(at + skip) + 1);
    const char *key = with_slash + strspn(with_slash, "/");
    memmove(p->key, key, strlen(key) + 1);

    char *last = strrchr(p->key, '/');
    if (!last)
        return 0;
    struct engine_version version;
    struct engine_place place = {p->bucket_id, {(const uint8_t *)p->key, (size_t)(last - p->key)}};
    if (engine_version_find(call->engine, call->caller, &place, last + 1, strlen(last + 1), &version) < 0) {
        reason_clear(&call->caller->reason);
        return 0;
    }
    *last = 0;
    return path_version(call, last + 1, p);
}

int operation_path_read(struct operation_call *call, const char *path, struct operation_path *ret)
{
    *ret = (struct operation_path){0};
    int r = path_split(call, path, ret);
    if (r < 0)
        return r;
    if (engine_bucket_find(call->engine, ret->bucket, strlen(ret->bucket), &ret->bucket_id, &ret->root_ino) <
        0)
        return reason_fail(&call->caller->reason, ENOENT,
                           "there is no bucket `%s`; `holdfs bucket list` shows those there are",
                           ret->bucket);
    r = path_through_versions(call, ret);
    const char *version = operation_text(call, "version");
    return r < 0 || !version ? r : path_version(call, version, ret);
}

int operation_path(struct operation_call *call, struct operation_path *ret)
{
    const char *path = operation_text(call, "path");
    return operation_path_read(call, path ? path : "", ret);
}

int operation_bucket_name(struct operation_call *call, char ret[LIMIT_BUCKET_NAME_CHARS + 1])
{
    const char *path = operation_text(call, "path");
    struct operation_path p;
    int r = path_split(call, path ? path : "", &p);
    if (r < 0)
        return r;
    if (*p.key)
        return reason_fail(&call->caller->reason, EINVAL,
                           "a bucket's path is MOUNT/BUCKET or STORE/BUCKET; `%s` goes on below it", path);
    memcpy(ret, p.bucket, sizeof p.bucket);
    return 0;
}

struct engine_place operation_place(const struct operation_path *p)
{
    return (struct engine_place){p->bucket_id, {(const uint8_t *)p->key, strlen(p->key)}};
}

static int target_live(struct operation_call *call, const struct operation_path *p, struct engine_target *ret)
{
    char path[sizeof p->bucket + sizeof p->key + 1];
    *ret = (struct engine_target){.ino = p->root_ino};
    if (!*p->key)
        return 0;
    snprintf(path, sizeof path, "%s/%s", p->bucket, p->key);
    int r = engine_resolve(call->engine, call->caller, path, &ret->ino);
    if (r == -ENOENT)
        reason_fail(&call->caller->reason, ENOENT,
                    "%s is not there; `holdfs versions` shows what it was, if it was", path);
    return r;
}

int operation_target(struct operation_call *call, const struct operation_path *p, struct engine_target *ret)
{
    if (!*p->version)
        return target_live(call, p, ret);
    struct engine_place place = operation_place(p);
    struct engine_version version;
    int r = engine_version_find(call->engine, call->caller, &place, p->version, strlen(p->version), &version);
    if (r == -ENOENT)
        reason_fail(&call->caller->reason, ENOENT, "%s/%s has no version `%s`; `holdfs versions` lists them",
                    p->bucket, p->key, p->version);
    if (r < 0)
        return r;
    *ret = (struct engine_target){.bucket = place.bucket, .key = place.key, .seq = version.seq};
    return 0;
}
