/* SPDX-License-Identifier: GPL-3.0-or-later
 * Mount options for libfuse; see options.h. */
#include "fuse/options.h"
#include "util/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Written by the thread that mounts, before there are others. */
static char complaint[256] = "no further words from libfuse";

static void fuse_words(enum fuse_log_level level, const char *fmt, va_list ap)
{
    char text[sizeof complaint];
    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    if (level <= FUSE_LOG_ERR) {
        memcpy(complaint, text, sizeof complaint);
        log_warning("%s", text);
    } else {
        log_debug("fuse", "%s", text);
    }
}

const char *options_complaint(void)
{
    return complaint;
}

/* fuse_opt splits at commas; a backslash keeps one. */
static void put_escaped(struct bytes *out, const char *text)
{
    for (; *text; text++) {
        if (*text == ',' || *text == '\\')
            bytes_put_u8(out, '\\');
        bytes_put_u8(out, (uint8_t)*text);
    }
}

int options_for_libfuse(const struct fuse_front_config *config, struct fuse_args *ret)
{
    const struct {
        bool on;
        const char *name;
    } flags[] = {
        {config->ro, "ro"},
        {config->allow_other, "allow_other"},
        {config->allow_root, "allow_root"},
        {config->suid, "suid"},
        {config->dev, "dev"},
        {config->noexec, "noexec"},
        {config->auto_unmount, "auto_unmount"},
    };
    fuse_set_log_func(fuse_words);
    struct bytes text = {0};
    bytes_printf(&text, "default_permissions,subtype=holdfs,max_read=%d,fsname=", FRONT_REQUEST_BYTES);
    put_escaped(&text, config->source);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (flags[i].on)
            bytes_printf(&text, ",%s", flags[i].name);
    const char *options = bytes_text(&text);
    int failed = !options || fuse_opt_add_arg(ret, "holdfs") || fuse_opt_add_arg(ret, "-o") ||
                 fuse_opt_add_arg(ret, options);
    bytes_done(&text);
    return failed ? -ENOMEM : 0;
}

static bool dir_is_empty(DIR *d)
{
    const struct dirent *e;
    while ((e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            return false;
    return true;
}

int options_check(const char *mountpoint, bool nonempty, struct reason *reason)
{
    if (access("/dev/fuse", F_OK) != 0)
        return reason_fail(
            reason, ENOENT,
            "/dev/fuse is missing: load the module (modprobe fuse), or give the container that device");
    DIR *d = opendir(mountpoint);
    if (!d && errno == ENOTDIR)
        return reason_fail(reason, ENOTDIR, "%s is not a directory: a mount point must be one", mountpoint);
    if (!d)
        return reason_fail(reason, errno, "%s cannot be used as mount point: %s", mountpoint,
                           strerror(errno));
    bool empty = dir_is_empty(d);
    closedir(d);
    if (!empty && !nonempty)
        return reason_fail(reason, ENOTEMPTY,
                           "%s is not empty: what is in it would be hidden; -o nonempty allows that",
                           mountpoint);
    return 0;
}
