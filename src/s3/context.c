/* SPDX-License-Identifier: GPL-3.0-or-later
 * What policies see of a request (auth.md §4.3): headers and parameters as they were sent, before any default. */
#include "s3/request.h"

void context_add(struct request *q, enum auth_key key, const char *tag, const char *text)
{
    if (text && q->value_count < REQUEST_VALUES)
        q->values[q->value_count++] = (struct auth_value){.key = key, .tag = tag, .text = text, .len = strlen(text)};
}

static const struct {
    const char *header;
    enum auth_key key;
} headers[] = {
    {"referer", AUTH_REFERER},
    {"user-agent", AUTH_USER_AGENT},
    {"x-amz-server-side-encryption", AUTH_SSE},
    {"x-amz-server-side-encryption-aws-kms-key-id", AUTH_SSE_KMS_KEY},
    {"x-amz-server-side-encryption-customer-algorithm", AUTH_SSE_CUSTOMER},
    {"x-amz-acl", AUTH_ACL},
    {"x-amz-grant-read", AUTH_GRANT_READ},
    {"x-amz-grant-write", AUTH_GRANT_WRITE},
    {"x-amz-grant-read-acp", AUTH_GRANT_READ_ACP},
    {"x-amz-grant-write-acp", AUTH_GRANT_WRITE_ACP},
    {"x-amz-grant-full-control", AUTH_GRANT_FULL_CONTROL},
    {"x-amz-metadata-directive", AUTH_METADATA_DIRECTIVE},
    {"x-amz-storage-class", AUTH_STORAGE_CLASS},
    {"x-amz-website-redirect-location", AUTH_WEBSITE_REDIRECT},
    {"x-amz-object-ownership", AUTH_OBJECT_OWNERSHIP},
    {"x-amz-object-lock-mode", AUTH_LOCK_MODE},
    {"x-amz-object-lock-retain-until-date", AUTH_LOCK_UNTIL},
    {"x-amz-object-lock-legal-hold", AUTH_LOCK_HOLD},
    {"if-match", AUTH_IF_MATCH},
    {"if-none-match", AUTH_IF_NONE_MATCH},
};

static void of_signature(struct request *q)
{
    if (q->signature.form == SIGNED_NOT)
        return;
    context_add(q, AUTH_AUTH_TYPE, NULL, q->signature.form == SIGNED_HEADER ? "REST-HEADER" : "REST-QUERY-STRING");
    bool v2 = q->signature.form == SIGNED_QUERY_V2;
    context_add(q, AUTH_SIGNATURE_VERSION, NULL, v2 ? "AWS" : "AWS4-HMAC-SHA256");
    if (!v2)
        context_add(q, AUTH_SIGNATURE_AGE, NULL, q->signature.age_ms);
}

/* s3:x-amz-copy-source is decoded, without the leading slash and ?versionId. */
static void of_copy(struct request *q)
{
    const char *source = message_get(&q->message, "x-amz-copy-source");
    if (!source)
        return;
    source += *source == '/';
    const char *version = strstr(source, "?versionId=");
    size_t len = version ? (size_t)(version - source) : strlen(source);
    char *decoded = malloc(len + 1);
    if (decoded && uri_decode(source, len, false, decoded) >= 0) {
        pairs_add(&q->kept, "copy-source", 11, decoded, strlen(decoded));
        context_add(q, AUTH_COPY_SOURCE, NULL, pairs_get(&q->kept, "copy-source"));
    }
    free(decoded);
}

/* x-amz-tagging, as far as it can be read; what it is worth is judged later. */
static void of_tags(struct request *q)
{
    const char *at = message_get(&q->message, "x-amz-tagging");
    while (at && *at) {
        size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&");
        char *name = malloc(name_len + 1), *value = malloc(len + 1);
        size_t value_at = name_len < len ? name_len + 1 : len;
        if (name && value && len && uri_decode(at, name_len, true, name) >= 0 && uri_decode(at + value_at, len - value_at, true, value) >= 0) {
            pairs_add(&q->kept, name, strlen(name), value, strlen(value));
            if (!q->kept.failed) {
                const struct pair *p = &q->kept.v[q->kept.count - 1];
                context_add(q, AUTH_REQUEST_TAG, p->name, p->value);
                context_add(q, AUTH_REQUEST_TAG_KEYS, NULL, p->name);
            }
        }
        free(name);
        free(value);
        at += len + (at[len] == '&');
    }
}

static void of_listing(struct request *q)
{
    const struct message *m = &q->message;
    if (q->operation->level != LEVEL_BUCKET || strncmp(q->operation->name, "List", 4) != 0)
        return;
    context_add(q, AUTH_PREFIX, NULL, message_query(m, "prefix"));
    context_add(q, AUTH_DELIMITER, NULL, message_query(m, "delimiter"));
    context_add(q, AUTH_MAX_KEYS, NULL, message_query(m, "max-keys"));
}

static void of_creation(struct request *q)
{
    static const char *const creating[] = {"PutObject", "CopyObject", "CompleteMultipartUpload", "PostObject"};
    if (!q->operation->action || strcmp(q->operation->action, "s3:PutObject") != 0)
        return;
    const char *is = "false";
    for (size_t n = 0; n < sizeof creating / sizeof *creating; n++)
        is = strcmp(q->operation->name, creating[n]) == 0 ? "true" : is;
    context_add(q, AUTH_OBJECT_CREATION, NULL, is);
}

void context_fill(struct request *q)
{
    context_add(q, AUTH_SECURE_TRANSPORT, NULL, q->tls ? "true" : "false");
    context_add(q, AUTH_SOURCE_IP, NULL, q->address);
    of_signature(q);
    context_add(q, AUTH_CONTENT_SHA256, NULL, q->content_sha256);
    context_add(q, AUTH_VERSION_ID, NULL, message_query(&q->message, "versionId"));
    for (size_t n = 0; n < sizeof headers / sizeof *headers; n++)
        context_add(q, headers[n].key, NULL, message_get(&q->message, headers[n].header));
    of_copy(q);
    of_tags(q);
    of_listing(q);
    of_creation(q);
    q->caller.values = q->values;
    q->caller.value_count = q->value_count;
}
