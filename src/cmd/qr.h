/* SPDX-License-Identifier: GPL-3.0-or-later
 * A QR code on a terminal. qr_encode.c draws it with libqrencode; qr_none.c stands in its place where that is not configured. */
#ifndef HOLDFS_CMD_QR_H
#define HOLDFS_CMD_QR_H

#include <stdio.h>

/* Two modules a character, in half blocks, dark on light whatever the terminal's colours. 0, or -ENOTSUP without libqrencode. */
int qr_show(FILE *f, const char *text);

#endif
