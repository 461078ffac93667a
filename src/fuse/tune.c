/* SPDX-License-Identifier: GPL-3.0-or-later
 * Tuning of one mount through /sys/class/bdi; see tune.h. The INIT answer can only lower the kernel's
 * read-ahead. */
#include "fuse/front.h"
#include "fuse/mountinfo.h"
#include "fuse/tune.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

static void tune_set(dev_t dev, const char *what, int value)
{
    char path[96], text[16];
    snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/%s", major(dev), minor(dev), what);
    snprintf(text, sizeof text, "%d", value);
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        log_debug("fuse", "%s stays as it is: %m", path);
}

void tune_mount(const char *mountpoint)
{
    dev_t dev;
    if (mountinfo_dev(mountpoint, &dev) != 0)
        return;
    tune_set(dev, "read_ahead_kb", FRONT_READ_AHEAD_KIB);
    tune_set(dev, "max_ratio", FRONT_DIRTY_RATIO_PERCENT);
}
