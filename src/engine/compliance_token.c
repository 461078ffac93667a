/* SPDX-License-Identifier: GPL-3.0-or-later
 * Time authorities without a store: pinning, requests, the judging of answers, agreement; see
 * compliance_tsa.h.
 *
 * The chain is judged at the time the token attests, not at the machine's date: that may be wrong (it is why
 * authorities are asked), and an answer to a fresh nonce was signed just now. */
#include "engine/compliance_tsa.h"
#include "util/http_post.h"
#include "util/reason.h"
#include "util/xaes.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    AUTHORITIES_FORMAT = 1,
    STATE_FORMAT = 1,
    NONCE_BYTES = 8, /* what every authority takes; the digest, 32 random bytes, is as fresh */
    AUTH_LEVEL = 2,  /* OpenSSL: 112 bits, no SHA-1 in the chain */
};

/* ---- what is pinned ---- */

static void authority_done(struct tsa_authority *a)
{
    free(a->url);
    sk_X509_pop_free(a->anchors, X509_free);
    *a = (struct tsa_authority){0};
}

void tsa_authorities_done(struct tsa_authorities *a)
{
    for (size_t n = 0; n < a->count; n++)
        authority_done(&a->list[n]);
    a->count = 0;
}

/* The certificates of a PEM text, and nothing else it may hold. */
static STACK_OF(X509) * certificates_read(BIO *from)
{
    STACK_OF(X509) *anchors = sk_X509_new_null();
    for (X509 *cert; anchors && sk_X509_num(anchors) < LIMIT_TIME_AUTHORITY_CERTS &&
                     (cert = PEM_read_bio_X509(from, NULL, NULL, NULL));)
        sk_X509_push(anchors, cert);
    ERR_clear_error();
    if (anchors && sk_X509_num(anchors) == 0) {
        sk_X509_free(anchors);
        anchors = NULL;
    }
    return anchors;
}

int tsa_anchors_read(const char *pem, size_t len, STACK_OF(X509) * *ret)
{
    BIO *text = BIO_new_mem_buf(pem, (int)len);
    *ret = text ? certificates_read(text) : NULL;
    BIO_free(text);
    return *ret ? 0 : -EINVAL;
}

static int anchors_read(const char *path, STACK_OF(X509) * *ret, struct reason *reason)
{
    BIO *file = BIO_new_file(path, "r");
    if (!file) {
        ERR_clear_error();
        return reason_fail(reason, errno ? errno : EIO, "cannot read the authority's certificate '%s': %s",
                           path, strerror(errno));
    }
    *ret = certificates_read(file);
    BIO_free(file);
    return *ret ? 0 : reason_fail(reason, EINVAL, "'%s' holds no certificate in PEM form", path);
}

static int authority_read(const char *text, struct tsa_authority *ret, struct reason *reason)
{
    const char *comma = strchr(text, ',');
    if (!comma || !comma[1])
        return reason_fail(reason, EINVAL,
                           "the time authority '%s' is not URL,CA.pem (a comma in the URL is %%2C)", text);
    char *url = strndup(text, (size_t)(comma - text));
    if (!url)
        return -ENOMEM;
    int r =
        http_url_valid(url) && strlen(url) <= LIMIT_URL_BYTES
            ? anchors_read(comma + 1, &ret->anchors, reason)
            : reason_fail(reason, EINVAL,
                          "the time authority's address '%s' is not http://HOST... or https://HOST...", url);
    if (r < 0)
        free(url);
    else
        ret->url = url;
    return r;
}

int tsa_authorities_read(const char *const *texts, struct tsa_authorities *ret, struct reason *reason)
{
    struct tsa_authorities a = {0};
    int r = 0;
    for (; r == 0 && texts && texts[a.count]; a.count += r == 0) {
        if (a.count == LIMIT_TIME_AUTHORITIES) {
            r = reason_fail(reason, EINVAL, "at most %d time authorities can be pinned",
                            LIMIT_TIME_AUTHORITIES);
            break;
        }
        r = authority_read(texts[a.count], &a.list[a.count], reason);
        /* One that is named twice would agree with itself. */
        for (size_t n = 0; r == 0 && n < a.count; n++) {
            if (strcmp(a.list[n].url, a.list[a.count].url))
                continue;
            r = reason_fail(reason, EINVAL, "the time authority '%s' is named twice", a.list[n].url);
            authority_done(&a.list[a.count]);
        }
    }
    if (r == 0 && a.count == 0)
        r = reason_fail(reason, EINVAL, "an attested clock needs at least one time authority");
    if (r < 0)
        tsa_authorities_done(&a);
    else
        *ret = a;
    return r;
}

void tsa_authorities_encode(const struct tsa_authorities *a, struct bytes *out)
{
    bytes_put_u8(out, AUTHORITIES_FORMAT);
    bytes_put_varint(out, a->count);
    for (size_t n = 0; n < a->count; n++) {
        bytes_put_blob(out, a->list[n].url, strlen(a->list[n].url));
        bytes_put_varint(out, (uint64_t)sk_X509_num(a->list[n].anchors));
        for (int i = 0; i < sk_X509_num(a->list[n].anchors); i++) {
            uint8_t *der = NULL;
            int len = i2d_X509(sk_X509_value(a->list[n].anchors, i), &der);
            if (len > 0)
                bytes_put_blob(out, der, (size_t)len);
            else
                out->failed = true;
            OPENSSL_free(der);
        }
    }
}

static bool authority_decode(struct reader *r, struct tsa_authority *ret)
{
    size_t len;
    const uint8_t *url = reader_blob(r, &len);
    uint64_t certs = reader_varint(r);
    if (r->failed || certs == 0 || certs > LIMIT_TIME_AUTHORITY_CERTS)
        return false;
    ret->url = strndup((const char *)url, len);
    ret->anchors = sk_X509_new_null();
    for (; certs && ret->url && ret->anchors; certs--) {
        const uint8_t *der = reader_blob(r, &len);
        X509 *cert = r->failed ? NULL : d2i_X509(NULL, &der, (long)len);
        if (!cert || !sk_X509_push(ret->anchors, cert)) {
            X509_free(cert);
            break;
        }
    }
    ERR_clear_error();
    return certs == 0;
}

int tsa_authorities_decode(const void *buf, size_t len, struct tsa_authorities *ret)
{
    struct reader r = reader_over(buf, len);
    struct tsa_authorities a = {0};
    uint8_t format = reader_u8(&r);
    uint64_t count = reader_varint(&r);
    bool ok = format == AUTHORITIES_FORMAT && count > 0 && count <= LIMIT_TIME_AUTHORITIES;
    while (ok && a.count < count) {
        ok = authority_decode(&r, &a.list[a.count]);
        a.count++;
    }
    if (!ok || !reader_finished(&r)) {
        tsa_authorities_done(&a);
        return -EBADMSG;
    }
    *ret = a;
    return 0;
}

size_t tsa_needed(const struct tsa_authorities *a)
{
    return a->count / 2 + 1;
}

void tsa_authority_name(const struct tsa_authority *a, char *out, size_t cap)
{
    BIO *text = BIO_new(BIO_s_mem());
    int n = -1;
    if (text && X509_NAME_print_ex(text, X509_get_subject_name(sk_X509_value(a->anchors, 0)), 0,
                                   XN_FLAG_RFC2253) >= 0)
        n = BIO_read(text, out, (int)cap - 1);
    out[n > 0 ? n : 0] = 0;
    BIO_free(text);
    ERR_clear_error();
}

/* ---- request and answer ---- */

static bool request_fill(TS_REQ *request, const uint8_t digest_of[32])
{
    uint8_t digest[32], nonce[NONCE_BYTES];
    memcpy(digest, digest_of, sizeof digest);
    random_bytes(nonce, sizeof nonce);
    TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
    X509_ALGOR *algorithm = X509_ALGOR_new();
    BIGNUM *number = BN_bin2bn(nonce, sizeof nonce, NULL);
    ASN1_INTEGER *asn1 = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    bool ok = imprint && algorithm && asn1 &&
              X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha256), V_ASN1_NULL, NULL) &&
              TS_MSG_IMPRINT_set_algo(imprint, algorithm) &&
              TS_MSG_IMPRINT_set_msg(imprint, digest, sizeof digest) && TS_REQ_set_version(request, 1) &&
              TS_REQ_set_msg_imprint(request, imprint) && TS_REQ_set_nonce(request, asn1) &&
              TS_REQ_set_cert_req(request, 1);
    ASN1_INTEGER_free(asn1);
    BN_free(number);
    X509_ALGOR_free(algorithm);
    TS_MSG_IMPRINT_free(imprint);
    return ok;
}

int tsa_request_new(TS_REQ **ret, struct bytes *out)
{
    uint8_t digest[32];
    random_bytes(digest, sizeof digest);
    return tsa_request_of(digest, ret, out);
}

int tsa_request_of(const uint8_t digest[32], TS_REQ **ret, struct bytes *out)
{
    TS_REQ *request = TS_REQ_new();
    uint8_t *der = NULL;
    int len = request && request_fill(request, digest) ? i2d_TS_REQ(request, &der) : -1;
    if (len > 0)
        bytes_put(out, der, (size_t)len);
    OPENSSL_free(der);
    ERR_clear_error();
    if (len <= 0 || out->failed) {
        TS_REQ_free(request);
        return -ENOMEM;
    }
    *ret = request;
    return 0;
}

/* Why OpenSSL refused, in its words: the innermost cause and what was added to it. */
static void openssl_words(char error[160])
{
    const char *data = NULL;
    int flags = 0;
    unsigned long code = ERR_peek_last_error_data(&data, &flags);
    const char *words = code ? ERR_reason_error_string(code) : NULL;
    snprintf(error, 160, "its answer is refused: %s%s%.80s", words ? words : "malformed",
             data && *data ? ": " : "", data && (flags & ERR_TXT_STRING) ? data : "");
    ERR_clear_error();
}

static int64_t accuracy_s(TS_TST_INFO *info)
{
    TS_ACCURACY *accuracy = TS_TST_INFO_get_accuracy(info);
    const ASN1_INTEGER *seconds = accuracy ? TS_ACCURACY_get_seconds(accuracy) : NULL;
    int64_t s = 0;
    return seconds && !ASN1_INTEGER_get_int64(&s, seconds) ? INT64_MAX : s;
}

/* The time in a token that is not verified yet. */
static int token_time(TS_RESP *response, int64_t *ret_s, char error[160])
{
    TS_TST_INFO *info = TS_RESP_get_tst_info(response);
    struct tm tm;
    if (!info || !ASN1_TIME_to_tm(TS_TST_INFO_get_time(info), &tm)) {
        snprintf(error, 160, "it gave no time-stamp");
        return -EBADMSG;
    }
    int64_t accuracy = accuracy_s(info);
    if (accuracy < 0 || accuracy > TSA_AGREE_S) {
        snprintf(error, 160, "it does not know the time to within %d s", TSA_AGREE_S);
        return -EBADMSG;
    }
    *ret_s = timegm(&tm);
    return 0;
}

/* The pinned certificates, each of which ends a chain, whether it signed itself or not. */
static X509_STORE *store_of(const struct tsa_authority *a, int64_t at_s)
{
    X509_STORE *store = X509_STORE_new();
    if (!store)
        return NULL;
    for (int i = 0; i < sk_X509_num(a->anchors); i++)
        X509_STORE_add_cert(store, sk_X509_value(a->anchors, i));
    X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    X509_VERIFY_PARAM_set_time(param, (time_t)at_s);
    return store;
}

int tsa_answer_verify(const struct tsa_authority *a, TS_REQ *request, const void *answer, size_t len,
                      int64_t *ret_s, char error[160])
{
    const uint8_t *at = answer;
    int64_t s;
    TS_RESP *response = d2i_TS_RESP(NULL, &at, (long)len);
    if (!response || at != (const uint8_t *)answer + len) {
        snprintf(error, 160, "its answer is no time-stamp response");
        TS_RESP_free(response);
        ERR_clear_error();
        return -EBADMSG;
    }
    int r = token_time(response, &s, error);
    TS_VERIFY_CTX *ctx = r == 0 ? TS_REQ_to_TS_VERIFY_CTX(request, NULL) : NULL; /* version, digest, nonce */
    X509_STORE *store = ctx ? store_of(a, s) : NULL;
    if (store) {
        TS_VERIFY_CTX_set_store(ctx, store); /* takes it over */
        TS_VERIFY_CTX_add_flags(ctx, TS_VFY_SIGNATURE);
    }
    if (r == 0 && (!store || !TS_RESP_verify_response(ctx, response))) {
        openssl_words(error);
        r = -EBADMSG;
    }
    TS_VERIFY_CTX_free(ctx);
    TS_RESP_free(response);
    ERR_clear_error();
    if (r == 0)
        *ret_s = s;
    return r;
}

/* ---- agreement ---- */

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

struct tsa_agreement tsa_agree(int64_t *times_s, size_t count)
{
    struct tsa_agreement best = {0};
    qsort(times_s, count, sizeof *times_s, by_time);
    for (size_t low = 0, high = 0; low < count; low++) {
        while (high < count && times_s[high] - times_s[low] <= TSA_AGREE_S)
            high++;
        if (high - low > best.count)
            best = (struct tsa_agreement){
                .count = high - low, .low_s = times_s[low], .high_s = times_s[high - 1]};
    }
    return best;
}

int64_t tsa_state_advance(struct tsa_state *s, const struct tsa_agreement *agreement, int64_t c_s)
{
    if (!s->started) {
        /* The latest of them, and the begun second: what is counted from here is never more than what passed.
         */
        s->started = true;
        s->start_attested_s = agreement->high_s + 1;
        s->start_c_s = c_s;
    }
    if (agreement->low_s > s->last_s)
        s->last_s = agreement->low_s;
    int64_t proven;
    if (__builtin_add_overflow(s->start_c_s, agreement->low_s - s->start_attested_s, &proven))
        return c_s;
    return proven;
}

void tsa_state_encode(const struct tsa_state *s, struct bytes *out)
{
    bytes_put_u8(out, STATE_FORMAT);
    bytes_put_u8(out, s->started);
    bytes_put_u64(out, (uint64_t)s->start_attested_s);
    bytes_put_u64(out, (uint64_t)s->start_c_s);
    bytes_put_u64(out, (uint64_t)s->last_s);
    bytes_put_varint(out, s->kept);
}

int tsa_state_decode(const void *buf, size_t len, struct tsa_state *ret)
{
    struct reader r = reader_over(buf, len);
    uint8_t format = reader_u8(&r);
    struct tsa_state s = {.started = reader_u8(&r) == 1};
    s.start_attested_s = (int64_t)reader_u64(&r);
    s.start_c_s = (int64_t)reader_u64(&r);
    s.last_s = (int64_t)reader_u64(&r);
    s.kept = reader_varint(&r);
    if (!reader_finished(&r) || format != STATE_FORMAT)
        return -EBADMSG;
    *ret = s;
    return 0;
}
