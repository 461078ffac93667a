/* SPDX-License-Identifier: GPL-3.0-or-later
 * One record in CloudTrail's shape, written in canonical form at once (logs.md §3.2): members stand in the order RFC 8785 asks
 * for, so that nothing has to be built and sorted for each act. */
#include "audit/audit.h"

#include <errno.h>
#include <string.h>

/* A member of an object being written; `first` becomes false. */
static void name(struct bytes *out, bool *first, const char *text)
{
    bytes_put(out, *first ? "\"" : ",\"", *first ? 1 : 2);
    bytes_put(out, text, strlen(text));
    bytes_put(out, "\":", 2);
    *first = false;
}

static void text_member(struct bytes *out, bool *first, const char *member, const char *text)
{
    if (!text || !text[0])
        return;
    name(out, first, member);
    audit_canonical_text(text, strlen(text), out);
}

static void number_member(struct bytes *out, bool *first, const char *member, int64_t number)
{
    char text[24], *at = text + sizeof text;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0)
        *--at = '-';
    name(out, first, member);
    bytes_put(out, at, (size_t)(text + sizeof text - at));
}

static void bool_member(struct bytes *out, bool *first, const char *member, bool value)
{
    name(out, first, member);
    bytes_put(out, value ? "true" : "false", value ? 4 : 5);
}

/* null when empty (logs.md §3.2). */
static int json_member(struct bytes *out, bool *first, const char *member, const json_t *value)
{
    name(out, first, member);
    if (!value || (json_is_object(value) && !json_object_size(value))) {
        bytes_put(out, "null", 4);
        return 0;
    }
    return audit_canonical(value, out);
}

static int put_extra(const struct audit_record *r, struct bytes *out)
{
    bool first = true;
    int q = 0;
    bytes_put(out, "{", 1);
    text_member(out, &first, "clock", r->extra.clock);
    text_member(out, &first, "comm", r->extra.comm);
    if (r->extra.count)
        number_member(out, &first, "count", (int64_t)r->extra.count);
    text_member(out, &first, "errno", r->extra.error);
    text_member(out, &first, "front", r->extra.front);
    if (r->extra.has_caller)
        number_member(out, &first, "pid", r->extra.pid);
    if (r->extra.previous)
        q = json_member(out, &first, "previous", r->extra.previous);
    text_member(out, &first, "rule", r->extra.rule);
    if (r->extra.has_caller)
        number_member(out, &first, "uid", r->extra.uid);
    bytes_put(out, "}", 1);
    return q;
}

static void put_resources(const struct audit_record *r, struct bytes *out)
{
    bytes_put(out, "[", 1);
    for (size_t n = 0; n < r->resource_count; n++) {
        const struct audit_resource *one = &r->resources[n];
        bool first = false;
        bytes_put(out, n ? ",{\"ARN\":" : "{\"ARN\":", n ? 8 : 7);
        audit_canonical_text(one->arn, one->arn_len, out);
        text_member(out, &first, "accountId", one->account);
        text_member(out, &first, "type", one->type);
        bytes_put(out, "}", 1);
    }
    bytes_put(out, "]", 1);
}

static void put_identity(const struct audit_record *r, struct bytes *out)
{
    bool first = true;
    bytes_put(out, "{", 1);
    text_member(out, &first, "accessKeyId", r->identity.access_key);
    text_member(out, &first, "accountId", r->identity.account);
    text_member(out, &first, "arn", r->identity.arn);
    text_member(out, &first, "principalId", r->identity.principal_id);
    if (r->identity.mfa) {
        name(out, &first, "sessionContext");
        static const char with_mfa[] = "{\"attributes\":{\"mfaAuthenticated\":\"true\"}}"; /* CloudTrail has it as text */
        bytes_put(out, with_mfa, sizeof with_mfa - 1);
    }
    text_member(out, &first, "type", r->identity.type);
    text_member(out, &first, "userName", r->identity.user);
    bytes_put(out, "}", 1);
}

static void put_tls(const struct audit_record *r, struct bytes *out)
{
    bool first = true;
    bytes_put(out, "{", 1);
    text_member(out, &first, "cipherSuite", r->cipher);
    text_member(out, &first, "clientProvidedHostHeader", r->host);
    text_member(out, &first, "tlsVersion", r->tls_version);
    bytes_put(out, "}", 1);
}

int audit_record_write(const struct audit_record *r, struct bytes *out)
{
    bool first = true;
    bytes_put(out, "{", 1);
    name(out, &first, "additionalEventData");
    int q = put_extra(r, out);
    text_member(out, &first, "awsRegion", r->region);
    text_member(out, &first, "errorCode", r->error_code);
    text_member(out, &first, "errorMessage", r->error_message);
    text_member(out, &first, "eventCategory", r->data ? "Data" : "Management");
    text_member(out, &first, "eventID", r->event_id);
    text_member(out, &first, "eventName", r->name);
    text_member(out, &first, "eventSource", r->source);
    text_member(out, &first, "eventTime", r->time);
    text_member(out, &first, "eventType", r->service ? "AwsServiceEvent" : "AwsApiCall");
    text_member(out, &first, "eventVersion", "1.11");
    bool_member(out, &first, "managementEvent", !r->data);
    bool_member(out, &first, "readOnly", r->read_only);
    text_member(out, &first, "recipientAccountId", r->recipient);
    text_member(out, &first, "requestID", r->request_id);
    if (q == 0)
        q = json_member(out, &first, "requestParameters", r->params);
    if (r->resource_count) {
        name(out, &first, "resources");
        put_resources(r, out);
    }
    if (q == 0)
        q = json_member(out, &first, "responseElements", r->response);
    text_member(out, &first, "sourceIPAddress", r->source_ip);
    if (r->tls_version) {
        name(out, &first, "tlsDetails");
        put_tls(r, out);
    }
    text_member(out, &first, "userAgent", r->user_agent);
    name(out, &first, "userIdentity");
    put_identity(r, out);
    bytes_put(out, "}", 1);
    return q < 0 ? q : out->failed ? -ENOMEM : 0;
}

int audit_record_with_count(const void *text, size_t len, uint64_t count, const char *last, struct bytes *out)
{
    json_t *record = json_loadb(text, len, 0, NULL);
    json_t *extra = json_object_get(record, "additionalEventData");
    int r = extra ? 0 : -EINVAL;
    if (r == 0 && count > 1 &&
        (json_object_set_new(extra, "count", json_integer((json_int_t)count)) < 0 || json_object_set_new(extra, "last", json_string(last)) < 0))
        r = -ENOMEM;
    if (r == 0)
        r = audit_canonical(record, out);
    json_decref(record);
    return r;
}
