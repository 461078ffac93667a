/* SPDX-License-Identifier: GPL-3.0-or-later
 * Answers: headers, dates, and XML in the form s3-api.md §1.6 gives it. */
#include "s3/request.h"
#include "util/xmldoc.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void answer_header(struct request *q, const char *name, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof text)
        pairs_add(&q->out_headers, name, strlen(name), text, (size_t)n);
}

void answer_version(struct request *q, bool has_id, const char *id)
{
    if (has_id)
        answer_header(q, "x-amz-version-id", "%s", id);
}

void answer_object(struct request *q, const struct engine_object *o)
{
    char date[40];
    http_date(o->version.publish_ns / 1000000000, date);
    answer_header(q, "Last-Modified", "%s", date);
    answer_version(q, o->has_id, o->version.id);
    if (!o->marker)
        answer_header(q, "ETag", "\"%s\"", o->version.etag);
}

void http_date(int64_t seconds, char out[40])
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;
    time_t t = (time_t)seconds;
    if (!gmtime_r(&t, &tm))
        memset(&tm, 0, sizeof tm);
    snprintf(out, 40, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
             tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* RFC 9110's three forms; names are English whatever the locale: holdfs sets none. */
int64_t http_date_parse(const char *text)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y",
                                        "%a, %d %b %Y %H:%M:%S +0000", "%Y%m%dT%H%M%SZ", "%Y-%m-%dT%H:%M:%SZ"};
    for (size_t n = 0; text && n < sizeof forms / sizeof *forms; n++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[n], &tm);
        if (end && !*end)
            return (int64_t)timegm(&tm);
    }
    return INT64_MIN;
}

/* ---- XML ---- */

void xml_open(struct request *q, const char *root)
{
    bytes_printf(&q->out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s xmlns=\"" XML_S3_NAMESPACE "\">", root);
}

void xml_close(struct request *q, const char *root)
{
    bytes_printf(&q->out, "</%s>", root);
    answer_header(q, "Content-Type", "application/xml");
}

void xml_bytes_element(struct request *q, const char *name, const void *text, size_t len)
{
    bytes_printf(&q->out, "<%s>", name);
    xml_put_escaped(&q->out, text, len);
    bytes_printf(&q->out, "</%s>", name);
}

void xml_text_element(struct request *q, const char *name, const char *text)
{
    xml_bytes_element(q, name, text, strlen(text));
}

void xml_number_element(struct request *q, const char *name, uint64_t n)
{
    bytes_printf(&q->out, "<%s>%llu</%s>", name, (unsigned long long)n, name);
}

void xml_time_element(struct request *q, const char *name, int64_t ns)
{
    char text[40];
    timeform_format_ms(ns / 1000000, text);
    xml_text_element(q, name, text);
}

void xml_owner(struct request *q, const char *element)
{
    bytes_printf(&q->out, "<%s>", element);
    xml_text_element(q, "ID", q->bucket.owner_id);
    xml_text_element(q, "DisplayName", q->bucket.owner_name);
    bytes_printf(&q->out, "</%s>", element);
}

void xml_etag_element(struct request *q, const char *etag)
{
    bytes_printf(&q->out, "<ETag>&quot;%s&quot;</ETag>", etag);
}
