/* SPDX-License-Identifier: GPL-3.0-or-later
 * ioctl(2): unlocking and locking of customer keys (key_ioctl.h). The key is wiped from the request's buffer. */
#include "fuse/front.h"
#include "fuse/key_ioctl.h"
#include "util/secret.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static int key_unlock(struct call *c, uint64_t ino, const struct key_ioctl *in, struct secret *key)
{
    static const uint8_t zero[32];
    if (in->len != 32 || memcmp(in->zero, zero, sizeof zero) != 0 || (in->flags & ~(uint32_t)(KEY_IOCTL_WRITE | KEY_IOCTL_SESSION)))
        return -EINVAL;
    return engine_sse_c_unlock(c->front->engine, &c->caller, ino, key, in->flags & KEY_IOCTL_WRITE, in->flags & KEY_IOCTL_SESSION);
}

/* How many keys of the caller's for that bucket. */
static int key_count(struct call *c, uint64_t ino)
{
    json_t *status, *key;
    size_t n;
    int count = engine_sse_c_status(c->front->engine, &c->caller, &status);
    if (count < 0)
        return count;
    json_array_foreach(json_object_get(status, "keys"), n, key) {
        const char *name = json_string_value(json_object_get(key, "bucket"));
        uint32_t bucket;
        uint64_t root;
        count += engine_bucket_find(c->front->engine, name, strlen(name), &bucket, &root) == 0 && root == ino;
    }
    json_decref(status);
    return count;
}

static int key_act(struct call *c, uint64_t ino, const struct key_ioctl *in, struct secret *key)
{
    if (in->version != 1)
        return -EINVAL;
    switch (in->op) {
    case KEY_IOCTL_UNLOCK:
        return key_unlock(c, ino, in, key);
    case KEY_IOCTL_LOCK:
        return engine_sse_c_lock(c->front->engine, &c->caller, ino);
    case KEY_IOCTL_STATUS:
        return key_count(c, ino);
    default:
        return -EINVAL;
    }
}

void op_ioctl(fuse_req_t req, fuse_ino_t node, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags, const void *in_buf,
              size_t in_size, size_t out_size)
{
    (void)arg;
    (void)fi;
    (void)flags;
    (void)out_size;
    struct call c;
    struct key_ioctl in;
    call_begin(&c, req, "ioctl", node, NULL);
    if (node_is_hidden(node) || cmd != (unsigned)KEY_IOCTL || in_size != sizeof in) {
        fuse_reply_err(req, ENOTTY);
        return;
    }
    memcpy(&in, in_buf, sizeof in);
    struct secret *key = secret_copy(in.key, sizeof in.key);
    secret_wipe(in.key, sizeof in.key);
    secret_wipe((uint8_t *)in_buf + offsetof(struct key_ioctl, key), sizeof in.key); /* the request's own buffer, which is ours */
    int r = key ? key_act(&c, front_ino(c.front, node), &in, key) : -ENOMEM;
    secret_free(key);
    if (r < 0)
        call_reply(&c, r);
    else
        fuse_reply_ioctl(req, r, NULL, 0);
}
