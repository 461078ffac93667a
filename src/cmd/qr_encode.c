/* SPDX-License-Identifier: GPL-3.0-or-later
 * QR codes on a terminal, by libqrencode. */
#include "cmd/qr.h"
#include "util/secret.h"

#include <errno.h>
#include <qrencode.h>
#include <stdbool.h>

enum { QUIET = 2 }; /* light modules around it; readers want some */

static bool dark(const QRcode *code, int x, int y)
{
    return x >= 0 && y >= 0 && x < code->width && y < code->width && (code->data[y * code->width + x] & 1);
}

/* The upper and the lower module of one character, as light blocks on black ground. */
static const char *block(bool upper_dark, bool lower_dark)
{
    if (upper_dark)
        return lower_dark ? " " : "▄";
    return lower_dark ? "▀" : "█";
}

int qr_show(FILE *f, const char *text)
{
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    if (!code)
        return -errno;
    for (int y = -QUIET; y < code->width + QUIET; y += 2) {
        fputs("\033[40;97m", f); /* white on black */
        for (int x = -QUIET; x < code->width + QUIET; x++)
            fputs(block(dark(code, x, y), dark(code, x, y + 1)), f);
        fputs("\033[0m\n", f);
    }
    secret_wipe(code->data, (size_t)code->width * (size_t)code->width);
    QRcode_free(code);
    return 0;
}
