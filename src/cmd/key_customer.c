/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs key unlock, lock, status: customer keys (SSE-C) on a mount. The key goes by ioctl on the bucket's directory. */
#include "cmd/control.h"
#include "cmd/key.h"
#include "cmd/render.h"
#include "fuse/key_ioctl.h"
#include "kms/kms.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

/* In the words of the daemon, which has more of them than an errno. */
static int refuse(const char *path, int error)
{
    char text[2048];
    ssize_t n = getxattr(path, "user.s3.last-error", text, sizeof text - 1);
    if (error == ENOTTY)
        return command_refuse("'%s' is not a bucket of a holdfs mount", path);
    if (n <= 0)
        return command_refuse("%s: %s", path, strerror(error));
    text[n] = '\0';
    char *reason = strstr(text, "reason: ");
    reason = reason ? reason + strlen("reason: ") : text;
    reason[strcspn(reason, "\n")] = '\0';
    return command_refuse("%s", render_clean(reason));
}

static int act(const char *path, struct key_ioctl *in)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return command_refuse("%s: %s", path, strerror(errno));
    int r = ioctl(fd, KEY_IOCTL, in), error = errno;
    return r < 0 ? refuse(path, error) : EXIT_DONE;
}

static int unlock_run(const struct invocation *inv)
{
    struct reason reason = {0};
    const char *file = invocation_value(inv, "sse-c-key");
    if (!file)
        return command_usage(inv, "--sse-c-key names the file that has the key");
    prctl(PR_SET_DUMPABLE, 0);
    CLEANUP(secret_cleanup) struct secret *key = NULL;
    int r = customer_key_from_file(file, &key, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, file);
    struct key_ioctl in = {.version = 1, .op = KEY_IOCTL_UNLOCK, .len = 32};
    in.flags = (invocation_has(inv, "write") ? KEY_IOCTL_WRITE : 0u) | (invocation_has(inv, "session") ? KEY_IOCTL_SESSION : 0u);
    memcpy(in.key, secret_peek(key), sizeof in.key);
    int status = act(inv->operands[0], &in);
    secret_wipe(&in, sizeof in);
    return status;
}

static int lock_run(const struct invocation *inv)
{
    return act(inv->operands[0], &(struct key_ioctl){.version = 1, .op = KEY_IOCTL_LOCK});
}

static int status_run(const struct invocation *inv)
{
    static const struct render_column columns[] = {{"bucket", "BUCKET"}, {"write", "WRITE"}, {"session", "SESSION"}, {0}};
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "key.status", NULL, &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    if (json_array_size(json_object_get(answer, "keys")))
        render_table(json_object_get(answer, "keys"), columns);
    json_decref(answer);
    return EXIT_DONE;
}

static const struct option unlock_options[] = {
    {"sse-c-key", "F", "the key: a file of 32 bytes, or of their base64", NULL, false},
    {"write", NULL, "new files are under it, too", NULL, false},
    {"session", NULL, "for this login session alone", NULL, false},
    {0},
};

const struct command key_unlock = {
    .name = "key unlock",
    .operands = "MNT/BUCKET",
    .summary = "give the mount your own key for a bucket",
    .text = "What is under that key (SSE-C) can be read by you from then on, not by others, root included. The key is kept in locked "
            "memory until key lock or unmount, and written nowhere: keep it, what is under it is lost without it.",
    .options = unlock_options,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs key unlock --sse-c-key my.key /mnt/hold/docs", "To read, and edit what is there"},
                 {"holdfs key unlock --sse-c-key my.key --write /mnt/hold/docs", "And for new files"}},
    .run = unlock_run,
};

const struct command key_lock = {
    .name = "key lock",
    .operands = "MNT/BUCKET",
    .summary = "take your own keys for a bucket from the mount",
    .text = "What was written is published first; then files that are open fail as well.",
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs key lock /mnt/hold/docs", ""}, {"holdfs key lock .", "The bucket one is in"}},
    .run = lock_run,
};

const struct command key_status = {
    .name = "key status",
    .operands = "MNT",
    .summary = "tell which buckets you have unlocked with a key of your own",
    .text = "Shows the caller's own unlocked keys, never the keys themselves.",
    .flags = COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs key status /mnt/hold", ""}, {"holdfs key status --json /mnt/hold", "For a script"}},
    .run = status_run,
};
