/* SPDX-License-Identifier: GPL-3.0-or-later
 * The table of mount options and the reading of -o lists. mount.fuse.holdfs(8) is made from the same table.
 */
#include "cmd/mount.h"
#include "cmd/help.h"
#include "util/timeform.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mount_option {
    const char *name;
    const char *arg;  /* NULL: a switch */
    const char *help; /* NULL: mount(8)'s or libfuse's, accepted for their sake */
    int (*apply)(struct mount_options *o, const char *value, struct reason *reason); /* NULL: nothing to do */
};

/* ---- what each does ---- */

static int secret_set(struct mount_options *o, enum slot_kind kind, const char *from, struct reason *reason)
{
    if (o->secret.chosen)
        return reason_fail(
            reason, EINVAL,
            "one secret is enough: passphrase-file=, key-file= and credential= exclude each other");
    o->secret = (struct secret_source){kind, from, true};
    return 0;
}

static int set_passphrase_file(struct mount_options *o, const char *value, struct reason *reason)
{
    return secret_set(o, SLOT_PASSPHRASE, value, reason);
}

static int set_key_file(struct mount_options *o, const char *value, struct reason *reason)
{
    return secret_set(o, SLOT_KEYFILE, value, reason);
}

static int set_credential(struct mount_options *o, const char *value, struct reason *reason)
{
    return secret_set(o, SLOT_CREDENTIAL, value, reason);
}

static int name_set(const char **field, const char *option, const char *value, struct reason *reason)
{
    if (!*value || strlen(value) > 255 || strchr(value, '/') || !strcmp(value, ".") || !strcmp(value, ".."))
        return reason_fail(reason, EINVAL, "%s= takes a file name of 1 to 255 bytes without a slash", option);
    *field = value;
    return 0;
}

static int set_versions_name(struct mount_options *o, const char *value, struct reason *reason)
{
    return name_set(&o->fuse.versions_name, "versions-name", value, reason);
}

static int set_at_name(struct mount_options *o, const char *value, struct reason *reason)
{
    return name_set(&o->fuse.at_name, "at-name", value, reason);
}

static int set_bucket(struct mount_options *o, const char *value, struct reason *reason)
{
    return name_set(&o->fuse.bucket, "bucket", value, reason);
}

/* One of two words; *ret whether it was the second. */
static int choice_of(const char *option, const char *value, const char *no, const char *yes, bool *ret,
                     struct reason *reason)
{
    if (strcmp(value, no) != 0 && strcmp(value, yes) != 0)
        return reason_fail(reason, EINVAL, "%s= takes %s or %s", option, no, yes);
    *ret = !strcmp(value, yes);
    return 0;
}

/* What stands there is read when the store is open, which knows the names. */
static int set_uid_map(struct mount_options *o, const char *value, struct reason *reason)
{
    if (!*value)
        return reason_fail(reason, EINVAL, "uid-map= takes UID:WHO[/UID:WHO...]");
    if (o->uid_map)
        return reason_fail(reason, EINVAL, "uid-map= is given twice; put all into one: UID:WHO/UID:WHO");
    o->uid_map = value;
    return 0;
}

static int set_sse(struct mount_options *o, const char *value, struct reason *reason)
{
    bool kms;
    int r = choice_of("sse", value, "AES256", "aws:kms", &kms, reason);
    o->sse = value;
    return r;
}

static int set_sse_kms_key(struct mount_options *o, const char *value, struct reason *reason)
{
    if (!*value)
        return reason_fail(reason, EINVAL, "sse-kms-key-id= takes a key id, an ARN or an alias");
    o->sse_kms_key = value;
    return 0;
}

static int set_sse_bucket_key(struct mount_options *o, const char *value, struct reason *reason)
{
    bool on;
    int r = choice_of("sse-bucket-key", value, "false", "true", &on, reason);
    o->sse_bucket_key = value;
    return r;
}

static int set_sse_c_key(struct mount_options *o, const char *value, struct reason *reason)
{
    const char *colon = strchr(value, ':');
    if (!colon || colon == value || !colon[1])
        return reason_fail(reason, EINVAL, "sse-c-key= takes BUCKET:FILE");
    if (o->sse_c_key_count == MOUNT_CUSTOMER_KEYS)
        return reason_fail(reason, EINVAL, "sse-c-key= is given at most %d times", MOUNT_CUSTOMER_KEYS);
    o->sse_c_keys[o->sse_c_key_count++] = value;
    return 0;
}

static int set_kms_wait(struct mount_options *o, const char *value, struct reason *reason)
{
    int64_t s;
    if (timeform_duration(value, &s) < 0 || s < 1 || s > 600)
        return reason_fail(reason, EINVAL, "kms-wait= takes 1 to 600 seconds");
    o->kms_wait_s = (unsigned)s;
    return 0;
}

static int set_new_bucket(struct mount_options *o, const char *value, struct reason *reason)
{
    return choice_of("new-bucket", value, "versioned", "unversioned", &o->new_bucket_unversioned, reason);
}

static int set_sync(struct mount_options *o, const char *value, struct reason *reason)
{
    return choice_of("sync", value, "fsync", "close", &o->sync_close, reason);
}

static int set_list_xattrs(struct mount_options *o, const char *value, struct reason *reason)
{
    return choice_of("list-xattrs", value, "copyable", "all", &o->fuse.list_xattrs_all, reason);
}

static int set_settle(struct mount_options *o, const char *value, struct reason *reason)
{
    if (timeform_duration(value, &o->settle_s) < 0 || o->settle_s > 86400)
        return reason_fail(reason, EINVAL, "settle= takes 0 to 86400 seconds");
    return 0;
}

static int set_cache(struct mount_options *o, const char *value, struct reason *reason)
{
    static const char units[] = "KMG";
    char *end;
    errno = 0;
    uint64_t n = strtoumax(value, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    uint64_t factor = unit ? UINT64_C(1024) << (10 * (unit - units)) : 1;
    if (end == value || *value == '-' || errno || end[unit != NULL] ||
        __builtin_mul_overflow(n, factor, &o->cache_bytes))
        return reason_fail(reason, EINVAL, "cache= takes a number of bytes, or one with K, M or G");
    return 0;
}

static int set_max_idle_threads(struct mount_options *o, const char *value, struct reason *reason)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);
    if (end == value || *end || n == 0 || n > 1024)
        return reason_fail(reason, EINVAL, "max_idle_threads= takes a number from 1 to 1024");
    o->fuse.max_idle_threads = (unsigned)n;
    return 0;
}

int min_seq_read(const char *value, uint64_t *ret, struct reason *reason)
{
    char *end;
    errno = 0;
    *ret = strtoumax(value, &end, 10);
    if (end == value || *value == '-' || *end || errno)
        return reason_fail(reason, EINVAL, "min-seq takes a number: a commit_seq that `holdfs status` told");
    return 0;
}

static int set_min_seq(struct mount_options *o, const char *value, struct reason *reason)
{
    return min_seq_read(value, &o->min_seq, reason);
}

#define SERVING(symbol, name)                                                                                \
    static int set_##symbol(struct mount_options *o, const char *value, struct reason *reason)               \
    {                                                                                                        \
        return serving_set(&o->serving, name, value, reason);                                                \
    }
SERVING(http, "http")
SERVING(https, "https")
SERVING(tls_cert, "tls-cert")
SERVING(tls_key, "tls-key")
SERVING(domain, "domain")
SERVING(sigv2, "sigv2")
SERVING(region_strict, "region-strict")

#define SWITCH(symbol, field, to)                                                                            \
    static int set_##symbol(struct mount_options *o, const char *value, struct reason *reason)               \
    {                                                                                                        \
        (void)value;                                                                                         \
        (void)reason;                                                                                        \
        o->field = to;                                                                                       \
        return 0;                                                                                            \
    }
SWITCH(ro, fuse.ro, true)
SWITCH(rw, fuse.ro, false)
SWITCH(allow_other, fuse.allow_other, true)
SWITCH(allow_root, fuse.allow_root, true)
SWITCH(auto_unmount, fuse.auto_unmount, true)
SWITCH(nonempty, fuse.nonempty, true)
SWITCH(suid, fuse.suid, true)
SWITCH(nosuid, fuse.suid, false)
SWITCH(dev, fuse.dev, true)
SWITCH(nodev, fuse.dev, false)
SWITCH(exec, fuse.noexec, false)
SWITCH(noexec, fuse.noexec, true)
SWITCH(sync_always, sync_close, true)

/* ---- the table ---- */

static const struct mount_option option_table[] = {
    {"passphrase-file", "F", "read the passphrase from the file F", set_passphrase_file},
    {"key-file", "F", "open the store with the key file F", set_key_file},
    {"credential", "NAME", "open the store with the systemd credential NAME of the service", set_credential},
    {"bucket", "NAME", "show this one bucket as the mount's root", set_bucket},
    {"versions-name", "NAME", "the name of the hidden directories of versions; .versions if not given",
     set_versions_name},
    {"at-name", "NAME", "the name of the hidden directories of earlier times; .at if not given", set_at_name},
    {"uid-map", "UID:WHO[/UID:WHO...]",
     "who a uid is on this mount, before what the store says: a user's name, root, ACCOUNT:NAME, ACCOUNT:root or anonymous; * for UID "
     "is all others",
     set_uid_map},
    {"sse", "AES256|aws:kms", "how new files are encrypted, whatever their bucket's default is; policies see it as S3's header", set_sse},
    {"sse-kms-key-id", "KEY", "with sse=aws:kms, the KMS key: its id, ARN or alias; alias/aws/s3 if not given", set_sse_kms_key},
    {"sse-bucket-key", "true|false", "with sse=aws:kms, whether new files share a data key for a while; as the bucket says if not given",
     set_sse_bucket_key},
    {"sse-c-key", "BUCKET:FILE", "unlock the bucket with your own key, as holdfs key unlock does; for the uid that mounts", set_sse_c_key},
    {"kms-wait", "SECONDS", "how long an open waits for a KMS key's provider before it fails with EAGAIN (10)", set_kms_wait},
    {"new-bucket", "unversioned", "a bucket made by mkdir keeps no versions until told to", set_new_bucket},
    {"settle", "SECONDS", "settle time of new buckets, 0 to 86400", set_settle},
    {"sync", "close", "close(2) survives a power cut, not only fsync(2); slower", set_sync},
    {"cache", "BYTES", "memory for metadata pages; K, M, G are understood", set_cache},
    {"list-xattrs", "all",
     "listxattr(2) names computed and lock attributes too; copies will then try to set them",
     set_list_xattrs},
    {"http", "ADDR:PORT", "serve the buckets over S3 there as well, by HTTP", set_http},
    {"https", "ADDR:PORT", "the same by HTTPS, with tls-cert= and tls-key=", set_https},
    {"tls-cert", "FILE", "the certificate of https=, with its chain, in PEM", set_tls_cert},
    {"tls-key", "FILE", "its key, in PEM", set_tls_key},
    {"domain", "NAME", "over S3, take BUCKET.NAME for a bucket's host; may be given again", set_domain},
    {"sigv2", "off", "over S3, refuse Signature Version 2 in pre-signed URLs, too", set_sigv2},
    {"region-strict", NULL, "over S3, accept only the store's region in signatures", set_region_strict},
    {"allow_other", NULL, "let other users in, each judged as the principal the store has for the uid",
     set_allow_other},
    {"allow_root", NULL, "let root in beside the user who mounts", set_allow_root},
    {"auto_unmount", NULL, "unmount when the daemon dies", set_auto_unmount},
    {"nonempty", NULL, "mount over a directory that is not empty", set_nonempty},
    {"max_idle_threads", "N", "how many waiting threads keep their buffer of 1 MiB (4)", set_max_idle_threads},
    {"min-seq", "N", "refuse a store whose commit_seq (holdfs status) is below N: an earlier state was put back", set_min_seq},
    {"ro", NULL, "change nothing, not even the store's own files", set_ro},
    {"suid", NULL, "honour setuid bits (root only; off if not given)", set_suid},
    {"dev", NULL, "honour device nodes (root only; off if not given)", set_dev},
    {"noexec", NULL, "run no programs from the mount", set_noexec},
    {"rw", NULL, NULL, set_rw},
    {"nosuid", NULL, NULL, set_nosuid},
    {"nodev", NULL, NULL, set_nodev},
    {"sync", NULL, NULL, set_sync_always},
    {"default_permissions", NULL, NULL, NULL}, /* always on */
    {"async", NULL, NULL, NULL},
    {"atime", NULL, NULL, NULL},
    {"noatime", NULL, NULL, NULL},
    {"relatime", NULL, NULL, NULL},
    {"norelatime", NULL, NULL, NULL},
    {"diratime", NULL, NULL, NULL},
    {"nodiratime", NULL, NULL, NULL},
    {"exec", NULL, NULL, set_exec},
    {"defaults", NULL, NULL, NULL},
    {"auto", NULL, NULL, NULL},
    {"noauto", NULL, NULL, NULL},
    {"nofail", NULL, NULL, NULL},
    {"_netdev", NULL, NULL, NULL},
    {"user", NULL, NULL, NULL},
    {"user", "NAME", NULL, NULL},
    {"nouser", NULL, NULL, NULL},
    {"users", NULL, NULL, NULL},
    {"owner", NULL, NULL, NULL},
    {"group", NULL, NULL, NULL},
    {"subtype", "holdfs", NULL, NULL},
    {"comment", "TEXT", NULL, NULL},
};

static const struct mount_option *mount_option_find(const char *name, size_t len, bool has_value,
                                                    bool *ret_other_form)
{
    *ret_other_form = false;
    for (size_t i = 0; i < sizeof option_table / sizeof option_table[0]; i++) {
        const struct mount_option *option = &option_table[i];
        if (strlen(option->name) != len || memcmp(option->name, name, len) != 0)
            continue;
        if ((option->arg != NULL) == has_value)
            return option;
        *ret_other_form = true;
    }
    return NULL;
}

static int mount_option_apply(struct mount_options *o, char *word, bool sloppy, struct reason *reason)
{
    size_t len = strcspn(word, "=");
    char *value = word[len] ? word + len + 1 : NULL;
    bool other_form;
    if (!*word || !strncmp(word, "x-", 2)) /* x-systemd.automount, x-gvfs-name=...: for other programs */
        return 0;
    const struct mount_option *option = mount_option_find(word, len, value != NULL, &other_form);
    if (option)
        return option->apply ? option->apply(o, value, reason) : 0;
    if (other_form)
        return reason_fail(reason, EINVAL, "the mount option `%.*s` takes %s value", (int)len, word,
                           value ? "no" : "a");
    if (sloppy)
        return 0;
    return reason_fail(reason, EINVAL,
                       "there is no mount option `%.*s`; mount.fuse.holdfs(8) lists those there are",
                       (int)len, word);
}

void mount_options_init(struct mount_options *o)
{
    *o = (struct mount_options){.secret.kind = SLOT_PASSPHRASE, .settle_s = -1};
    const char *file = getenv("HOLDFS_PASSPHRASE_FILE");
    if (file && *file)
        o->secret.from = file;
}

void mount_options_done(struct mount_options *o)
{
    for (size_t i = 0; i < o->text_count; i++)
        free(o->text[i]);
    free(o->text);
}

/* A copy that lives as long as the options. */
static char *mount_options_keep(struct mount_options *o, const char *list)
{
    char **grown = reallocarray(o->text, o->text_count + 1, sizeof *grown);
    if (!grown)
        return NULL;
    o->text = grown;
    char *copy = strdup(list);
    if (copy)
        o->text[o->text_count++] = copy;
    return copy;
}

/* Ends the word at the next comma that has no backslash before it, takes the backslashes out; returns where
 * the next begins. */
static char *mount_options_word(char *word)
{
    char *in = word, *out = word;
    while (*in && *in != ',') {
        if (*in == '\\' && in[1])
            in++;
        *out++ = *in++;
    }
    char *next = *in ? in + 1 : in;
    *out = 0;
    return next;
}

int mount_options_add(struct mount_options *o, const char *list, bool sloppy, struct reason *reason)
{
    char *at = mount_options_keep(o, list);
    if (!at)
        return reason_fail(reason, ENOMEM, "out of memory");
    while (*at) {
        char *word = at;
        at = mount_options_word(word);
        int r = mount_option_apply(o, word, sloppy, reason);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Whether the map makes every uid the same: `*:WHO`, and nobody else beside it. Then the kernel's caches serve one principal. */
static bool uid_map_is_one(const char *map)
{
    const char *rest = map && !strncmp(map, "*:", 2) ? map + 2 : NULL;
    return rest && *rest && !strchr(rest, '/');
}

int mount_options_check(struct mount_options *o, struct reason *reason)
{
    if (o->fuse.allow_other && o->fuse.allow_root)
        return reason_fail(reason, EINVAL, "allow_other and allow_root exclude each other");
    int r = serving_check(&o->serving, reason);
    if (r < 0)
        return r;
    o->fuse.shared = (o->fuse.allow_other || (o->fuse.allow_root && getuid() != 0)) && !uid_map_is_one(o->uid_map);
    return 0;
}

void mount_options_manual(FILE *f)
{
    for (size_t i = 0; i < sizeof option_table / sizeof option_table[0]; i++) {
        const struct mount_option *option = &option_table[i];
        if (!option->help)
            continue;
        fputs(".TP\n\\fB", f);
        help_manual_text(f, option->name);
        if (option->arg) {
            fputs("=\\fI", f);
            help_manual_text(f, option->arg);
        }
        fputs("\\fR\n", f);
        help_manual_text(f, option->help);
        fputs(".\n", f);
    }
    fputs(".PP\nAccepted for the sake of mount(8) and fstab(5), without effect here:", f);
    for (size_t i = 0; i < sizeof option_table / sizeof option_table[0]; i++)
        if (!option_table[i].apply && !option_table[i].arg) {
            fputc(' ', f);
            help_manual_text(f, option_table[i].name);
        }
    fputs(", and all that begin with x\\-. Any other option is refused by name.\n", f);
}
