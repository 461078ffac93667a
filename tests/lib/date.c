/* SPDX-License-Identifier: GPL-3.0-or-later
 * Preloaded into a program of a test: the date it sees is TEST_DATE_AHEAD seconds ahead of the machine's. */
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long ahead(void)
{
    const char *text = getenv("TEST_DATE_AHEAD");
    return text ? strtol(text, NULL, 10) : 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec + ahead();
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *ret)
{
    struct timeval tv;
    gettimeofday(&tv, NULL);
    if (ret)
        *ret = tv.tv_sec;
    return tv.tv_sec;
}
