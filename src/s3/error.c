/* SPDX-License-Identifier: GPL-3.0-or-later
 * Refusals: S3's codes with their statuses, and the error document (s3-api.md §1.5). */
#include "s3/request.h"
#include "util/xmldoc.h"

#include <stdarg.h>
#include <stdio.h>

struct code {
    const char *name;
    unsigned status;
};

static const struct code codes[] = {
    {"AccessControlListNotSupported", 400},
    {"AccessDenied", 403},
    {"AccessForbidden", 403},
    {"AuthorizationHeaderMalformed", 400},
    {"AuthorizationQueryParametersError", 400},
    {"BadDigest", 400},
    {"BadRequest", 400},
    {"BucketAlreadyExists", 409},
    {"BucketNotEmpty", 409},
    {"ConditionalRequestConflict", 409},
    {"EntityTooLarge", 400},
    {"EntityTooSmall", 400},
    {"IllegalVersioningConfigurationException", 400},
    {"IncompleteBody", 400},
    {"InsufficientStorage", 507},
    {"InternalError", 500},
    {"InvalidAccessKeyId", 403},
    {"InvalidArgument", 400},
    {"InvalidBucketAclWithObjectOwnership", 400},
    {"InvalidBucketName", 400},
    {"InvalidBucketState", 409},
    {"InvalidChunkSizeError", 403},
    {"InvalidDigest", 400},
    {"InvalidEncryptionAlgorithmError", 400},
    {"InvalidLocationConstraint", 400},
    {"InvalidObjectState", 403},
    {"InvalidPart", 400},
    {"InvalidPartOrder", 400},
    {"InvalidPolicyDocument", 400},
    {"InvalidRange", 416},
    {"InvalidRedirectLocation", 400},
    {"InvalidRequest", 400},
    {"InvalidRetentionPeriod", 400},
    {"InvalidStorageClass", 400},
    {"InvalidTag", 400},
    {"InvalidToken", 400},
    {"InvalidURI", 400},
    {"KMS.DisabledException", 400},
    {"KMS.KMSInvalidStateException", 400},
    {"KMS.NotFoundException", 400},
    {"KeyTooLongError", 400},
    {"MalformedACLError", 400},
    {"MalformedPOSTRequest", 400},
    {"MalformedPolicy", 400},
    {"MalformedTrailerError", 400},
    {"MalformedXML", 400},
    {"MaxMessageLengthExceeded", 400},
    {"MaxPostPreDataLengthExceeded", 400},
    {"MetadataTooLarge", 400},
    {"MethodNotAllowed", 405},
    {"MissingContentLength", 411},
    {"MissingRequestBodyError", 400},
    {"MissingSecurityHeader", 400},
    {"NoSuchBucket", 404},
    {"NoSuchBucketPolicy", 404},
    {"NoSuchCORSConfiguration", 404},
    {"NoSuchConfiguration", 404},
    {"NoSuchKey", 404},
    {"NoSuchLifecycleConfiguration", 404},
    {"NoSuchObjectLockConfiguration", 404},
    {"NoSuchPublicAccessBlockConfiguration", 404},
    {"NoSuchTagSet", 404},
    {"NoSuchUpload", 404},
    {"NoSuchVersion", 404},
    {"NoSuchWebsiteConfiguration", 404},
    {"NotImplemented", 501},
    {"NotModified", 304},
    {"ObjectLockConfigurationNotFoundError", 404},
    {"OwnershipControlsNotFoundError", 404},
    {"PolicyTooLarge", 400},
    {"PreconditionFailed", 412},
    {"ReplicationConfigurationNotFoundError", 404},
    {"RequestHeaderSectionTooLarge", 400},
    {"RequestTimeTooSkewed", 403},
    {"RequestTimeout", 400},
    {"RequestURITooLong", 414},
    {"ServerSideEncryptionConfigurationNotFoundError", 404},
    {"ServiceUnavailable", 503},
    {"SignatureDoesNotMatch", 403},
    {"SlowDown", 503},
    {"TooManyBuckets", 400},
    {"TooManyTags", 400},
    {"UnexpectedContent", 400},
    {"XAmzContentSHA256Mismatch", 400},
};

unsigned error_status(const char *code)
{
    for (size_t n = 0; n < sizeof codes / sizeof *codes; n++) {
        if (strcmp(codes[n].name, code) == 0)
            return codes[n].status;
    }
    return 0;
}

int fail(struct request *q, const char *code, const char *fmt, ...)
{
    char text[sizeof q->caller.reason.text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return reason_fail_s3(&q->caller.reason, EINVAL, code, "%s", text);
}

void error_element(struct request *q, const char *name, const char *value)
{
    bytes_printf(&q->elements, "<%s>", name);
    xml_put_escaped(&q->elements, value, strlen(value));
    bytes_printf(&q->elements, "</%s>", name);
}

int fail_argument(struct request *q, const char *name, const char *value, const char *text)
{
    error_element(q, "ArgumentName", name);
    if (value)
        error_element(q, "ArgumentValue", value);
    return fail(q, "InvalidArgument", "%s", text);
}

/* Where the engine gave no code: what its errno means to a client of S3. */
static const char *code_of_errno(int error)
{
    switch (-error) {
    case EACCES:
    case EPERM:
        return "AccessDenied";
    case ENOENT:
        return "NoSuchKey";
    case ENOSPC:
        return "InsufficientStorage";
    case EROFS:
    case ESHUTDOWN:
        return "ServiceUnavailable";
    case EINVAL:
        return "InvalidRequest";
    case ENAMETOOLONG:
        return "KeyTooLongError";
    default:
        return "InternalError";
    }
}

static void element_if(struct request *q, const char *code, const char *want, const char *name, const char *value)
{
    if (strcmp(code, want) == 0 && value && value[0])
        error_element(q, name, value);
}

static void elements_of_code(struct request *q, const char *code)
{
    const struct message *m = &q->message;
    element_if(q, code, "NoSuchKey", "Key", m->key);
    element_if(q, code, "NoSuchVersion", "Key", m->key);
    element_if(q, code, "NoSuchVersion", "VersionId", q->version_id);
    element_if(q, code, "NoSuchBucket", "BucketName", m->bucket);
    element_if(q, code, "BucketNotEmpty", "BucketName", m->bucket);
    element_if(q, code, "BucketAlreadyExists", "BucketName", m->bucket);
    element_if(q, code, "InvalidBucketName", "BucketName", m->bucket);
    element_if(q, code, "NoSuchUpload", "UploadId", message_query(m, "uploadId"));
}

static void put_document(struct request *q, const char *code, const char *text)
{
    struct bytes *out = &q->out;
    bytes_clear(out);
    bytes_printf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>", code);
    xml_put_escaped(out, text, strlen(text));
    bytes_printf(out, "</Message>");
    bytes_put(out, q->elements.data, q->elements.len);
    bytes_printf(out, "<Resource>");
    xml_put_escaped(out, q->message.raw_path ? q->message.raw_path : "/", q->message.raw_path ? q->message.raw_path_len : 1);
    bytes_printf(out, "</Resource><RequestId>%s</RequestId><HostId>%s</HostId></Error>", q->id, q->host_id);
}

void error_answer(struct request *q, int error)
{
    const char *code = q->caller.reason.code[0] ? q->caller.reason.code : code_of_errno(error);
    unsigned status = error_status(code);
    const char *text = q->caller.reason.text;
    if (!status || strcmp(code, "InternalError") == 0) {
        log_error("s3: request %s ended with %s %s: %s", q->id, code, strerror(-error), text);
        status = status ? status : 500;
    }
    if (!text[0])
        text = strcmp(code, "AccessDenied") == 0 ? "Access Denied" : "We encountered an internal error. Please try again.";
    elements_of_code(q, code);
    q->status = strcmp(code, "AuthorizationQueryParametersError") == 0 && error == -EACCES ? 403 : status;
    put_document(q, code, text);
    if (q->handle)
        engine_release(q->handle);
    q->handle = NULL;
    if (q->head)
        answer_header(q, "x-holdfs-error", "%s", code);
    if (q->head || status == 304)
        bytes_clear(&q->out);
    else
        answer_header(q, "Content-Type", "application/xml");
}
