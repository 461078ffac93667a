/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzz target: written times (util/timeform.h). They come from file names, attributes, headers and the
 * command line. What reads must write and read again as the same. */
#include "util/timeform.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_time(const char *text)
{
    const struct instant now = {1795521600, 500000000};
    struct instant at, again;
    bool relative;
    if (timeform_parse(text, now, &at, &relative, NULL) < 0)
        return;
    must(at.nsec < 1000000000 && (at.sec < now.sec || (at.sec == now.sec && at.nsec <= now.nsec)));
    char written[48];
    timeform_format_ns(at.sec, at.nsec, written);
    if (at.sec >= -62167219200) /* earlier years have no four digits */
        must(timeform_parse_ns(written, strlen(written), &again) == 0 && again.sec == at.sec &&
             again.nsec == at.nsec);
}

static void check_lock_date(const char *text)
{
    int64_t ms, again;
    bool relative;
    char written[40];
    if (timeform_lock_date(text, &ms) == 0) {
        must(ms >= 0);
        timeform_format_ms(ms, written);
        must(timeform_lock_date(written, &again) == 0 && again == ms);
    }
    if (timeform_lock_value(text, &ms, &relative) == 0)
        must(ms >= 0);
    if (timeform_duration(text, &ms) == 0)
        must(ms >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct instant at;
    char written[48];
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_time(text);
    check_lock_date(text);
    if (timeform_parse_ns((const char *)data, size, &at) == 0) {
        timeform_format_ns(at.sec, at.nsec, written);
        must(strlen(written) == size && memcmp(written, data, size) == 0);
    }
    free(text);
    return 0;
}
