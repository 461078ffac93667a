/* SPDX-License-Identifier: GPL-3.0-or-later
 * No QR codes: built without libqrencode. What they would say is shown as text anyway. */
#include "cmd/qr.h"

#include <errno.h>

int qr_show(FILE *f, const char *text)
{
    (void)f;
    (void)text;
    return -ENOTSUP;
}
