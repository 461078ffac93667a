/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs mount and mount.fuse.holdfs: open the store, show it, answer commands, until it is unmounted or told
 * to end. */
#include "cmd/mount.h"
#include "cmd/control.h"
#include "cmd/daemon.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { EXIT_MOUNT_FAILED = 32 }; /* mount(8): "mount failure" */

struct mount_work {
    struct mount_options *options;
    struct daemon daemon;
    char store[PATH_MAX], mountpoint[PATH_MAX];
    struct engine *engine;
    struct fuse_front *front;
    struct control_server *control;
    struct s3_front *s3;
};

/* Segments and handles may need many descriptors; the soft limit is low for the sake of select(2), which is
 * not used. */
static void mount_raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void mount_ready(void *arg)
{
    struct mount_work *work = arg;
    daemon_ready(&work->daemon);
    log_notice("%s is mounted at %s", work->store, work->mountpoint);
    if (work->s3)
        serving_say(&work->options->serving, work->s3, work->store);
}

static int mount_paths(struct mount_work *work, const char *store, const char *mountpoint,
                       struct reason *reason)
{
    struct store_conf conf;
    if (!realpath(store, work->store))
        return reason_fail(reason, errno, "the store %s: %s; `holdfs init` makes one", store,
                           strerror(errno));
    if (!realpath(mountpoint, work->mountpoint))
        return reason_fail(reason, errno, "the mount point %s: %s; make it with mkdir", mountpoint,
                           strerror(errno));
    int r = serving_paths(&work->options->serving, reason);
    return r < 0 ? r : store_conf_read(work->store, &conf, reason);
}

/* BUCKET:FILE, for the uid that mounts. */
static int customer_key_unlock(struct engine *e, const char *what, struct reason *reason)
{
    const char *colon = strchr(what, ':');
    CLEANUP(secret_cleanup) struct secret *key = NULL;
    struct caller c;
    uint32_t bucket;
    uint64_t root;
    int r = engine_bucket_find(e, what, (size_t)(colon - what), &bucket, &root);
    if (r < 0)
        return reason_fail(reason, ENOENT, "sse-c-key=: there is no bucket '%.*s'", (int)(colon - what), what);
    r = customer_key_from_file(colon + 1, &key, reason);
    if (r < 0)
        return r;
    engine_caller_init(e, &c, getuid(), getgid(), getpid(), "command");
    r = engine_sse_c_unlock(e, &c, root, key, false, false);
    *reason = r < 0 ? c.reason : *reason;
    return r;
}

static int mount_open_store(struct mount_work *work, struct reason *reason)
{
    const struct mount_options *o = work->options;
    struct unlock unlock = {0};
    int r = secret_obtain(&o->secret, false, &unlock, reason);
    if (r < 0)
        return r;
    daemon_detach(&work->daemon);
    CLEANUP_FREE char *owner = NULL;
    if (asprintf(&owner, "mount %s", work->mountpoint) < 0)
        owner = NULL;
    struct engine_config config = {
        .dir = work->store,
        .unlock = &unlock,
        .owner_text = owner ? owner : "mount",
        .read_only = o->fuse.ro,
        .new_bucket_unversioned = o->new_bucket_unversioned,
        .settle_default_s = o->settle_s,
        .sync_close = o->sync_close,
        .cache_bytes = o->cache_bytes,
        .min_seq = o->min_seq,
        .mfa_code = o->mfa_code,
        .accept_rollback = o->accept_rollback,
        .uid_map = o->uid_map,
        .sse = o->sse,
        .sse_kms_key = o->sse_kms_key,
        .sse_bucket_key = o->sse_bucket_key,
        .kms_wait_s = o->kms_wait_s,
    };
    r = engine_open(&config, &work->engine, reason);
    secret_free(unlock.secret);
    for (size_t i = 0; r == 0 && i < o->sse_c_key_count; i++)
        r = customer_key_unlock(work->engine, o->sse_c_keys[i], reason);
    return r;
}

static int mount_show(struct mount_work *work, struct reason *reason)
{
    struct fuse_front_config config = work->options->fuse;
    config.engine = work->engine;
    config.mountpoint = work->mountpoint;
    config.source = work->store;
    config.ready = mount_ready;
    config.ready_arg = work;
    int r = fuse_front_mount(&config, &work->front, reason);
    if (r < 0)
        return r;
    r = control_server_start(work->engine, work->store, config.bucket, &work->control, reason);
    if (r == -EROFS || (r < 0 && config.ro)) {
        log_warning("commands cannot reach this mount: %s", reason->text);
        r = 0;
    }
    if (r == 0 && serving_any(&work->options->serving))
        r = serving_start(&work->options->serving, work->engine, &work->s3, reason);
    return r;
}

static void mount_finish(struct mount_work *work)
{
    s3_front_stop(work->s3);
    control_server_stop(work->control);
    fuse_front_free(work->front);
    if (work->engine)
        engine_close(work->engine);
    daemon_hide_memory(false);
}

static int mount_serve(const char *store, const char *mountpoint, struct mount_options *options,
                       bool foreground)
{
    struct mount_work work = {.options = options};
    struct reason reason = {0};
    int status = daemon_begin(&work.daemon, foreground);
    if (status >= 0)
        return status;
    daemon_hide_memory(true);
    mount_raise_limits();
    umask(077);
    int r = mount_paths(&work, store, mountpoint, &reason);
    if (r == 0)
        r = mount_open_store(&work, &reason);
    if (r == 0)
        r = mount_show(&work, &reason);
    if (r < 0) {
        command_refuse_reason(&reason, r, store);
        mount_finish(&work);
        daemon_failed(&work.daemon, EXIT_REFUSED);
        return EXIT_REFUSED;
    }
    r = fuse_front_loop(work.front);
    daemon_stopping();
    mount_finish(&work);
    if (r < 0)
        log_error("%s: the connection to the kernel broke: %s", work.mountpoint, strerror(-r));
    else
        log_notice("%s is unmounted", work.mountpoint);
    daemon_failed(&work.daemon,
                  EXIT_REFUSED); /* unmounted before it was ever ready; else nobody waits any more */
    return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}

/* ---- the command ---- */

static int mount_run(const struct invocation *inv)
{
    CLEANUP(mount_options_done) struct mount_options options;
    struct reason reason = {0};
    struct secret_source secret;
    mount_options_init(&options);
    for (size_t i = 0; i < inv->given_count; i++)
        if (!strcmp(inv->given[i].option->name, "o") &&
            mount_options_add(&options, inv->given[i].value, false, &reason) < 0)
            return command_usage(inv, "%s", reason.text);
    const char *min_seq = invocation_value(inv, "min-seq");
    if (min_seq && min_seq_read(min_seq, &options.min_seq, &reason) < 0)
        return command_usage(inv, "%s", reason.text);
    options.accept_rollback |= invocation_has(inv, "accept-rollback");
    options.mfa_code = invocation_value(inv, "mfa");
    if (mount_options_check(&options, &reason) < 0 || secret_source_of(inv, &secret, &reason) < 0)
        return command_usage(inv, "%s", reason.text);
    bool by_option =
        secret.chosen && (secret.kind != SLOT_PASSPHRASE || invocation_has(inv, "passphrase-file"));
    if (by_option && options.secret.chosen)
        return command_usage(inv, "a secret is named both by -o and by an option");
    if (by_option)
        options.secret = secret;
    return mount_serve(inv->operands[0], inv->operands[1], &options, invocation_has(inv, "f"));
}

static const struct option mount_command_options[] = {
    {"f", NULL, "stay in the foreground, log to standard error", NULL, false},
    {"accept-rollback", NULL, "open a store though its metadata is older than it was; what came after it is forgotten", NULL, false},
    {"mfa", "CODE", "with --accept-rollback, where a device is enrolled: a code of it", NULL, false},
    {"min-seq", "N", "refuse a store whose commit_seq (holdfs status) is below N", NULL, false},
    {"o", "OPT,...", "mount options; mount.fuse.holdfs(8) lists them", NULL, true},
    {0},
};

const struct command command_mount = {
    .name = "mount",
    .operands = "STORE MNT",
    .summary = "show a store as a filesystem",
    .text = "Shows the store's buckets at the directory MNT and returns when it is usable. Unmount with "
            "umount or "
            "fusermount3 -u. Options most used: ro, allow_other, bucket=NAME, passphrase-file=F, sync=close.",
    .options = mount_command_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs mount /srv/store /mnt/hold", "Mount, asking for the passphrase"},
                 {"holdfs mount -o ro,bucket=photos,key-file=/root/k /srv/store /mnt/p",
                  "One bucket, for reading"}},
    .run = mount_run,
};

/* ---- the mount helper ---- */

bool mount_is_helper(const char *argv0)
{
    const char *name = argv0 ? strrchr(argv0, '/') : NULL;
    name = name ? name + 1 : argv0 ? argv0 : "";
    return !strcmp(name, "mount.fuse.holdfs") || !strcmp(name, "mount.holdfs") ||
           !strcmp(name, "mount.fuse3.holdfs");
}

struct helper_line {
    const char *store, *mountpoint;
    bool sloppy, fake, bad;
    const char *lists[16];
    size_t list_count;
};

/* mount(8), EXTERNAL HELPERS: /sbin/mount.SUFFIX SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE] */
static void helper_read(int argc, char **argv, struct helper_line *line)
{
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        if (arg[0] != '-' || !arg[1]) {
            const char **to = !line->store ? &line->store : &line->mountpoint;
            line->bad |= line->mountpoint != NULL;
            *to = arg;
            continue;
        }
        for (const char *c = arg + 1; *c; c++) {
            if (*c == 's' || *c == 'f')
                *(*c == 's' ? &line->sloppy : &line->fake) = true;
            else if (*c == 'o' || *c == 't' || *c == 'N') {
                const char *value = c[1] ? c + 1 : i + 1 < argc ? argv[++i] : NULL;
                line->bad |= !value || (*c == 'o' && line->list_count == 16);
                if (*c == 'o' && !line->bad)
                    line->lists[line->list_count++] = value;
                break;
            } else if (*c == 'r') {
                line->lists[line->list_count < 15 ? line->list_count++ : 15] = "ro";
            } else if (!strchr("nvw", *c)) {
                line->bad = true;
            }
        }
    }
}

int mount_helper(int argc, char **argv, bool by_mount_fuse3)
{
    CLEANUP(mount_options_done) struct mount_options options;
    struct helper_line line = {0};
    struct reason reason = {0};
    mount_options_init(&options);
    helper_read(argc, argv, &line);
    if (line.bad || !line.mountpoint) {
        fputs("usage: mount -t fuse.holdfs [-o OPTIONS] STORE MOUNTPOINT; see mount.fuse.holdfs(8)\n",
              stderr);
        return EXIT_DONE + 1;
    }
    int r = 0;
    for (size_t i = 0; i < line.list_count && r == 0; i++)
        r = mount_options_add(&options, line.lists[i], line.sloppy, &reason);
    if (r == 0)
        r = mount_options_check(&options, &reason);
    if (r < 0) {
        command_refuse("%s", reason.text);
        return EXIT_MOUNT_FAILED;
    }
    options.fuse.suid &= !by_mount_fuse3;
    options.fuse.dev &= !by_mount_fuse3;
    if (line.fake)
        return EXIT_DONE;
    return mount_serve(line.store, line.mountpoint, &options, false) == EXIT_DONE ? EXIT_DONE
                                                                                  : EXIT_MOUNT_FAILED;
}
