/* SPDX-License-Identifier: GPL-3.0-or-later
 * Calls this tree does not make. Force-included, so that one is an error where it is written. The headers that declare
 * them come first: poisoning would strike their declarations. */
#ifndef HOLDFS_UTIL_BANNED_H
#define HOLDFS_UTIL_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* No bound on what is written: snprintf, memcpy, struct bytes. */
#pragma GCC poison strcpy strcat sprintf vsprintf gets
/* No terminating zero when cut. */
#pragma GCC poison strncpy strncat
/* One hidden state for all threads: strtok_r, localtime_r, gmtime_r. */
#pragma GCC poison strtok asctime localtime gmtime
/* No way to tell an error from 0: strtol and friends, or a strict parser. */
#pragma GCC poison atoi atol atoll atof
/* Predictable: random_bytes. (rand itself is the name of parameters in OpenSSL's headers.) */
#pragma GCC poison srand drand48 lrand48 rand_r
/* The name can be taken before the file is made: mkstemp, O_TMPFILE. */
#pragma GCC poison mktemp tmpnam tempnam

#endif
