/* SPDX-License-Identifier: GPL-3.0-or-later
 * Sub-resources of a bucket that the engine has as properties (versioning, object-lock, encryption, policy, ...): one table; and those
 * that are not offered, which answer as if they had never been configured (s3-api.md §14). */
#include "s3/request.h"
#include "s3/xmlin.h"
#include "util/xmldoc.h"

#include <stdio.h>

struct subresource {
    const char *query, *property;
    const char *missing_code, *missing_text; /* GET where there is none */
    bool json;
    unsigned put_status;
};

static const struct subresource table[] = {
    {"versioning", "bucket.versioning", NULL, NULL, false, 200},
    {"object-lock", "bucket.object-lock", "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket", false, 200},
    {"encryption", "bucket.encryption", "ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found", false, 200},
    {"policy", "bucket.policy", "NoSuchBucketPolicy", "The bucket policy does not exist", true, 204},
    {"publicAccessBlock", "bucket.public-access-block", "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found", false, 200},
    {"tagging", "bucket.tagging", "NoSuchTagSet", "The TagSet does not exist", false, 204},
};

static const struct subresource *asked(const struct request *q)
{
    for (size_t n = 0; n < sizeof table / sizeof *table; n++) {
        if (strcmp(table[n].query, q->operation->query) == 0)
            return &table[n];
    }
    return NULL;
}

static struct engine_target target(const struct request *q)
{
    return (struct engine_target){.ino = q->bucket.root_ino};
}

int get_subresource(struct request *q)
{
    const struct subresource *s = asked(q);
    struct engine_target t = target(q);
    struct bytes value = {0};
    int r = engine_property_get(q->engine, &q->caller, &t, s->property, &value);
    if (r == -ENODATA)
        r = reason_fail_s3(&q->caller.reason, ENOENT, s->missing_code ? s->missing_code : "NoSuchConfiguration", "%s", s->missing_text ? s->missing_text : "");
    if (r < 0) {
        bytes_done(&value);
        return r;
    }
    if (!s->json)
        bytes_printf(&q->out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    bytes_put(&q->out, value.data, value.len);
    bytes_done(&value);
    answer_header(q, "Content-Type", s->json ? "application/json" : "application/xml");
    return 0;
}

/* Short forms are the mount's: over S3 the document is XML (a policy: JSON, which the engine judges). */
int put_subresource(struct request *q)
{
    const struct subresource *s = asked(q);
    struct engine_target t = target(q);
    size_t at = 0;
    while (at < q->document.len && strchr(" \t\r\n", q->document.data[at]))
        at++;
    if (!s->json && q->document.len && (at == q->document.len || q->document.data[at] != '<'))
        return xmlin_malformed(q);
    if (!s->json && !q->document.len)
        return fail(q, "MissingRequestBodyError", "Request Body is empty");
    const char *mfa = message_get(&q->message, "x-amz-mfa");
    int r = mfa ? read_mfa(q, mfa) : 0;
    if (r == 0)
        r = engine_property_set(q->engine, &q->caller, &t, s->property, q->document.data, q->document.len, 0);
    if (r == 0)
        q->status = s->put_status;
    return r;
}

int delete_subresource(struct request *q)
{
    const struct subresource *s = asked(q);
    struct engine_target t = target(q);
    int r = engine_property_remove(q->engine, &q->caller, &t, s->property);
    q->status = 204;
    return r == -ENODATA ? 0 : r;
}

/* x-amz-mfa: "SERIAL CODE"; spent before what it is for. */
int read_mfa(struct request *q, const char *text)
{
    char serial[160];
    const char *space = strchr(text, ' ');
    size_t len = space ? (size_t)(space - text) : 0;
    if (!len || len >= sizeof serial || strlen(space + 1) != 6 || strspn(space + 1, "0123456789") != 6)
        return fail_argument(q, "x-amz-mfa", NULL, "x-amz-mfa is the device's serial number, a space, and the six digits it shows");
    if (!q->tls)
        return fail(q, "InvalidRequest", "The x-amz-mfa header is accepted over HTTPS only");
    memcpy(serial, text, len);
    serial[len] = '\0';
    int r = engine_mfa_code(q->engine, &q->caller, q->bucket.account, serial, space + 1);
    if (r == -EAGAIN)
        answer_header(q, "Retry-After", "%lld", (long long)q->caller.retry_after_s);
    return r;
}

int get_policy_status(struct request *q)
{
    struct engine_target t = target(q);
    bool is_public = false;
    int r = engine_bucket_is_public(q->engine, &q->caller, t.ino, &is_public);
    if (r < 0)
        return r;
    xml_open(q, "PolicyStatus");
    xml_text_element(q, "IsPublic", is_public ? "true" : "false");
    xml_close(q, "PolicyStatus");
    return 0;
}

/* ---- ownership controls ---- */

static const char *const ownerships[] = {"BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"};

int ownership_find(const char *text, enum engine_ownership *ret)
{
    for (unsigned n = 0; n < 3; n++) {
        if (strcmp(text, ownerships[n]) == 0) {
            *ret = (enum engine_ownership)n;
            return 0;
        }
    }
    return -EINVAL;
}

int get_ownership(struct request *q)
{
    enum engine_ownership ownership = OWNERSHIP_ENFORCED;
    int r = engine_ownership_get(q->engine, &q->caller, q->bucket.number, &ownership);
    if (r < 0)
        return r;
    if (ownership == OWNERSHIP_NONE)
        return reason_fail_s3(&q->caller.reason, ENOENT, "OwnershipControlsNotFoundError", "The bucket ownership controls were not found");
    xml_open(q, "OwnershipControls");
    bytes_printf(&q->out, "<Rule><ObjectOwnership>%s</ObjectOwnership></Rule>", ownerships[ownership]);
    xml_close(q, "OwnershipControls");
    return 0;
}

int put_ownership(struct request *q)
{
    char text[40] = "";
    enum engine_ownership ownership = OWNERSHIP_ENFORCED;
    xmlDoc *doc = xmlin_read(q->document.data, q->document.len, "OwnershipControls");
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *rule = root ? xmlin_child(root, "Rule") : NULL;
    xmlNode *value = rule && !xmlin_next(root, "Rule", rule) ? xmlin_child(rule, "ObjectOwnership") : NULL;
    int r = !value || xmlin_text(value, text, sizeof text) < 0 || ownership_find(text, &ownership) < 0 ? xmlin_malformed(q) : 0;
    xmlFreeDoc(doc);
    return r < 0 ? r : engine_ownership_set(q->engine, &q->caller, q->bucket.number, ownership);
}

int delete_ownership(struct request *q)
{
    q->status = 204;
    return engine_ownership_set(q->engine, &q->caller, q->bucket.number, OWNERSHIP_NONE);
}

/* ---- what is not offered ---- */

struct absent {
    const char *query;
    const char *code;     /* GET: 404 of it; NULL: */
    const char *document; /* 200 with this root, */
    const char *content;  /* and this within */
    const char *off;      /* PUT of this word is what is so already; NULL: none is */
};

static const struct absent absents[] = {
    {"website", "NoSuchWebsiteConfiguration", NULL, NULL, NULL},
    {"replication", "ReplicationConfigurationNotFoundError", NULL, NULL, NULL},
    {"lifecycle", "NoSuchLifecycleConfiguration", NULL, NULL, NULL},
    {"cors", "NoSuchCORSConfiguration", NULL, NULL, NULL},
    {"accelerate", NULL, "AccelerateConfiguration", "", "Suspended"},
    {"requestPayment", NULL, "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>", "BucketOwner"},
    {"notification", NULL, "NotificationConfiguration", "", NULL},
    {"logging", NULL, "BucketLoggingStatus", "", NULL},
    {"inventory", NULL, "ListInventoryConfigurationsResult", "<IsTruncated>false</IsTruncated>", NULL},
    {"analytics", NULL, "ListBucketAnalyticsConfigurationResult", "<IsTruncated>false</IsTruncated>", NULL},
    {"metrics", NULL, "ListMetricsConfigurationsResult", "<IsTruncated>false</IsTruncated>", NULL},
    {"intelligent-tiering", NULL, "ListBucketIntelligentTieringConfigurationsOutput", "<IsTruncated>false</IsTruncated>", NULL},
};

static const struct absent *absent_asked(const struct request *q)
{
    for (size_t n = 0; n < sizeof absents / sizeof *absents; n++) {
        if (strcmp(absents[n].query, q->operation->query) == 0)
            return &absents[n];
    }
    return NULL;
}

int get_absent(struct request *q)
{
    const struct absent *a = absent_asked(q);
    if (message_query(&q->message, "id"))
        return reason_fail_s3(&q->caller.reason, ENOENT, "NoSuchConfiguration", "The specified configuration does not exist.");
    if (a->code)
        return reason_fail_s3(&q->caller.reason, ENOENT, a->code, "The %s configuration does not exist", a->query);
    xml_open(q, a->document);
    bytes_printf(&q->out, "%s", a->content);
    xml_close(q, a->document);
    return 0;
}

/* Does the document ask for what is so already: an empty one, or the word for off? */
static bool asks_nothing(const struct request *q, const struct absent *a)
{
    if (!a->document)
        return false;
    const char *root = a->document;
    xmlDoc *doc = xmlin_read(q->document.data, q->document.len, root);
    bool nothing = false;
    if (doc) {
        xmlNode *top = xmlDocGetRootElement(doc);
        CLEANUP_FREE char *text = (char *)xmlNodeGetContent(top);
        const char *word = text ? text + strspn(text, " \t\r\n") : "";
        nothing = a->off ? strncmp(word, a->off, strlen(a->off)) == 0 : !xmlFirstElementChild(top);
    }
    xmlFreeDoc(doc);
    return nothing;
}

int put_absent(struct request *q)
{
    const struct absent *a = absent_asked(q);
    if (asks_nothing(q, a))
        return 0;
    return fail(q, "NotImplemented", "?%s is not offered", a->query);
}

int delete_absent(struct request *q)
{
    q->status = 204;
    return 0;
}

int get_torrent(struct request *q)
{
    return reason_fail_s3(&q->caller.reason, ENOENT, "NoSuchKey", "The specified key does not exist.");
}

int post_restore(struct request *q)
{
    return fail(q, "InvalidObjectState", "Restore is not allowed for the object's current storage class");
}
