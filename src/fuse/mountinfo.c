/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reading of /proc/self/mountinfo; see mountinfo.h and proc_pid_mountinfo(5). */
#include "fuse/mountinfo.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* Undoes the kernel's \ooo for blank, tab, newline and backslash, in place. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *in = text; *in;) {
        unsigned value;
        if (in[0] == '\\' && sscanf(in + 1, "%3o", &value) == 1) {
            *out++ = (char)value;
            in += 4;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
}

/* "ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS ..." */
static bool line_is_mount(char *line, const char *mountpoint, dev_t *ret)
{
    char *words[5], *save = NULL;
    for (size_t i = 0; i < 5; i++)
        if (!(words[i] = strtok_r(i ? NULL : line, " \n", &save)))
            return false;
    unescape(words[4]);
    unsigned maj, min;
    if (strcmp(words[4], mountpoint) != 0 || sscanf(words[2], "%u:%u", &maj, &min) != 2)
        return false;
    *ret = makedev(maj, min);
    return true;
}

int mountinfo_dev(const char *mountpoint, dev_t *ret)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    if (!f)
        return -errno;
    CLEANUP_FREE char *line = NULL;
    size_t cap = 0;
    int err = -ENOENT;
    while (getline(&line, &cap, f) > 0)
        if (line_is_mount(line, mountpoint, ret)) /* a later line is mounted over an earlier one */
            err = 0;
    fclose(f);
    return err;
}
