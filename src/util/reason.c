/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reasons for refusals; see reason.h. */
#include "util/reason.h"

#include <stdarg.h>
#include <stdio.h>

static void reason_format(struct reason *r, const char *code, const char *fmt, va_list ap)
{
    snprintf(r->code, sizeof r->code, "%s", code);
    vsnprintf(r->text, sizeof r->text, fmt, ap);
}

int reason_fail(struct reason *r, int errnum, const char *fmt, ...)
{
    if (r) {
        va_list ap;
        va_start(ap, fmt);
        reason_format(r, "", fmt, ap);
        va_end(ap);
    }
    return -errnum;
}

int reason_fail_s3(struct reason *r, int errnum, const char *code, const char *fmt, ...)
{
    if (r) {
        va_list ap;
        va_start(ap, fmt);
        reason_format(r, code, fmt, ap);
        va_end(ap);
    }
    return -errnum;
}

void reason_clear(struct reason *r)
{
    if (r)
        r->code[0] = r->text[0] = '\0';
}
