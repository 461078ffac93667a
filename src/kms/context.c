/* SPDX-License-Identifier: GPL-3.0-or-later
 * Encryption contexts in the one form in which they are hashed and compared (encryption.md §4.1). */
#include "kms/provider.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char arn_name[] = "aws:s3:arn";

static int no_map(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "InvalidArgument",
                          "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which "
                          "represents a string-string map");
}

static void put_string(struct bytes *out, const char *text)
{
    bytes_put_u8(out, '"');
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            bytes_printf(out, "\\%c", *at);
        else if (*at < 0x20)
            bytes_printf(out, "\\u%04x", *at);
        else
            bytes_put_u8(out, *at);
    }
    bytes_put_u8(out, '"');
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int put_sorted(json_t *pairs, struct bytes *out)
{
    size_t count = json_object_size(pairs), n = 0;
    const char **names = malloc((count + 1) * sizeof *names), *name;
    json_t *value;
    if (!names)
        return -ENOMEM;
    json_object_foreach(pairs, name, value)
        names[n++] = name;
    qsort(names, n, sizeof *names, by_bytes);
    bytes_put_u8(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            bytes_put_u8(out, ',');
        put_string(out, names[i]);
        bytes_put_u8(out, ':');
        put_string(out, json_string_value(json_object_get(pairs, names[i])));
    }
    bytes_put_u8(out, '}');
    free(names);
    return out->failed ? -ENOMEM : 0;
}

static int pairs_check(json_t *pairs, const char *arn, struct reason *reason)
{
    const char *name;
    json_t *value;
    if (!json_is_object(pairs))
        return no_map(reason);
    json_object_foreach(pairs, name, value) {
        if (!json_is_string(value) || json_string_length(value) != strlen(json_string_value(value)))
            return no_map(reason);
        if (strcmp(name, arn_name) == 0 && strcmp(json_string_value(value), arn) != 0)
            return reason_fail_s3(reason, EINVAL, "InvalidArgument", "the encryption context's %s is '%.200s', and that of this object is '%.200s'",
                                  arn_name, json_string_value(value), arn);
    }
    return 0;
}

int kms_context_canonical(const char *json, size_t len, const char *arn, struct bytes *out, struct reason *reason)
{
    if (len > KMS_CONTEXT_BYTES)
        return reason_fail_s3(reason, EINVAL, "InvalidArgument", "an encryption context has at most %d bytes", KMS_CONTEXT_BYTES);
    json_t *pairs = json ? json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL) : json_object();
    int r = pairs_check(pairs, arn, reason);
    if (r == 0 && json_object_set_new(pairs, arn_name, json_string(arn)) < 0)
        r = -ENOMEM;
    if (r == 0)
        r = put_sorted(pairs, out);
    json_decref(pairs);
    return r;
}
