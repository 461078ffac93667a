/* SPDX-License-Identifier: GPL-3.0-or-later
 * Time authorities of the attested clock without a store: retention.md §3. The authority here is OpenSSL's
 * own responder with a clock that the test sets; tests/e2e/clock-attested.py has a server of its own. */
#include "unit.h"
#include "tempdir.h"

#include "engine/compliance_tsa.h"
#include "util/http_post.h"
#include "util/reason.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { ISSUED_S = 1700000000, YEARS_10_S = 315360000, TOLD_S = 1800000000 };

struct signer {
    EVP_PKEY *key;
    X509 *cert;
};
static struct signer root, other_root, authority;

static void extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(x);
    assert_int_equal(X509_add_ext(cert, x, -1), 1);
    X509_EXTENSION_free(x);
}

static struct signer certify(const char *name, const struct signer *issuer, const char *usage)
{
    static long serial = 1;
    struct signer s = {.key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), .cert = X509_new()};
    assert_non_null(s.key);
    X509_set_version(s.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(s.cert), serial++);
    ASN1_TIME_set(X509_getm_notBefore(s.cert), ISSUED_S);
    ASN1_TIME_set(X509_getm_notAfter(s.cert), ISSUED_S + YEARS_10_S);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(s.cert), "CN", MBSTRING_ASC, (const unsigned char *)name,
                               -1, -1, 0);
    X509_set_issuer_name(s.cert, X509_get_subject_name(issuer ? issuer->cert : s.cert));
    X509_set_pubkey(s.cert, s.key);
    extension(s.cert, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
    if (usage)
        extension(s.cert, NID_ext_key_usage, usage);
    assert_true(X509_sign(s.cert, issuer ? issuer->key : s.key, EVP_sha256()) > 0);
    return s;
}

static int make_signers(void **state)
{
    (void)state;
    root = certify("Root", NULL, NULL);
    other_root = certify("Other root", NULL, NULL);
    authority = certify("Authority", &root, "critical,timeStamping");
    return 0;
}

static void free_signer(struct signer *s)
{
    EVP_PKEY_free(s->key);
    X509_free(s->cert);
}

static int free_signers(void **state)
{
    (void)state;
    free_signer(&root);
    free_signer(&other_root);
    free_signer(&authority);
    return 0;
}

/* ---- the authority ---- */

static ASN1_INTEGER *next_serial(TS_RESP_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    ASN1_INTEGER *n = ASN1_INTEGER_new();
    ASN1_INTEGER_set(n, 7);
    return n;
}

static int told_time(TS_RESP_CTX *ctx, void *arg, long *sec, long *usec)
{
    (void)ctx;
    *sec = *(int64_t *)arg;
    *usec = 0;
    return 1;
}

/* What `signer` answers to the DER of a question when it takes the time to be at_s. */
static struct bytes answer_of(const struct signer *signer, const struct bytes *question, int64_t at_s)
{
    struct bytes out = {0};
    TS_RESP_CTX *ctx = TS_RESP_CTX_new();
    BIO *in = BIO_new_mem_buf(question->data, (int)question->len);
    assert_int_equal(TS_RESP_CTX_set_signer_cert(ctx, signer->cert), 1);
    assert_int_equal(TS_RESP_CTX_set_signer_key(ctx, signer->key), 1);
    TS_RESP_CTX_set_signer_digest(ctx, EVP_sha256());
    ASN1_OBJECT *policy = OBJ_txt2obj("1.2.3.4", 1);
    TS_RESP_CTX_set_def_policy(ctx, policy);
    ASN1_OBJECT_free(policy);
    TS_RESP_CTX_add_md(ctx, EVP_sha256());
    TS_RESP_CTX_set_serial_cb(ctx, next_serial, NULL);
    TS_RESP_CTX_set_time_cb(ctx, told_time, &at_s);
    TS_RESP *response = TS_RESP_create_response(ctx, in);
    assert_non_null(response);
    uint8_t *der = NULL;
    int len = i2d_TS_RESP(response, &der);
    assert_true(len > 0);
    bytes_put(&out, der, (size_t)len);
    OPENSSL_free(der);
    TS_RESP_free(response);
    TS_RESP_CTX_free(ctx);
    BIO_free(in);
    return out;
}

static struct tsa_authority pinned(const struct signer *s)
{
    struct tsa_authority a = {.url = strdup("http://time.example/"), .anchors = sk_X509_new_null()};
    X509_up_ref(s->cert);
    sk_X509_push(a.anchors, s->cert);
    return a;
}

static void unpin(struct tsa_authority *a)
{
    free(a->url);
    sk_X509_pop_free(a->anchors, X509_free);
}

/* The verdict on an answer to `asked` while `request` was the question. */
static int judge(const struct signer *anchor, TS_REQ *request, const struct bytes *answer, int64_t *ret_s)
{
    char error[160] = "";
    struct tsa_authority a = pinned(anchor);
    int r = tsa_answer_verify(&a, request, answer->data, answer->len, ret_s, error);
    assert_int_equal(r == 0, error[0] == 0);
    unpin(&a);
    return r;
}

struct question {
    TS_REQ *request;
    struct bytes der;
};

static struct question ask(void)
{
    struct question q = {0};
    assert_int_equal(tsa_request_new(&q.request, &q.der), 0);
    return q;
}

static void question_done(struct question *q)
{
    TS_REQ_free(q->request);
    bytes_done(&q->der);
}

static int verdict(const struct signer *signer, const struct signer *anchor, int64_t at_s)
{
    struct question q = ask();
    struct bytes answer = answer_of(signer, &q.der, at_s);
    int64_t s = 0;
    int r = judge(anchor, q.request, &answer, &s);
    if (r == 0)
        assert_int_equal(s, at_s);
    bytes_done(&answer);
    question_done(&q);
    return r;
}

/* ---- answers ---- */

static void a_fresh_answer_of_the_pinned_authority_counts(void **state)
{
    (void)state;
    assert_int_equal(verdict(&authority, &root, TOLD_S), 0);
    assert_int_equal(verdict(&authority, &authority, TOLD_S), 0); /* its own certificate is pinned */
}

static void an_authority_that_is_not_pinned_does_not_count(void **state)
{
    (void)state;
    assert_int_equal(verdict(&authority, &other_root, TOLD_S), -EBADMSG);
}

static void a_certificate_counts_within_its_validity_at_the_attested_time(void **state)
{
    (void)state;
    assert_int_equal(verdict(&authority, &root, ISSUED_S - 10), -EBADMSG);
    assert_int_equal(verdict(&authority, &root, ISSUED_S + YEARS_10_S + 10), -EBADMSG);
    assert_int_equal(verdict(&authority, &root, ISSUED_S + YEARS_10_S - 10), 0);
}

static void the_answer_to_an_older_question_does_not_count(void **state)
{
    (void)state;
    struct question old = ask(), fresh = ask();
    struct bytes answer = answer_of(&authority, &old.der, TOLD_S);
    int64_t s = 5;
    assert_int_equal(judge(&root, fresh.request, &answer, &s), -EBADMSG);
    assert_int_equal(s, 5);
    assert_int_equal(judge(&root, old.request, &answer, &s), 0);
    bytes_done(&answer);
    question_done(&old);
    question_done(&fresh);
}

/* The same digest under another nonce: what a server does that keeps answers. */
static void another_nonce_does_not_count(void **state)
{
    (void)state;
    struct question q = ask();
    TS_REQ *changed = TS_REQ_dup(q.request);
    ASN1_INTEGER *nonce = ASN1_INTEGER_new();
    ASN1_INTEGER_set(nonce, 4711);
    TS_REQ_set_nonce(changed, nonce);
    struct bytes der = {0};
    uint8_t *out = NULL;
    int len = i2d_TS_REQ(changed, &out);
    bytes_put(&der, out, (size_t)len);
    struct bytes answer = answer_of(&authority, &der, TOLD_S);
    int64_t s;
    assert_int_equal(judge(&root, q.request, &answer, &s), -EBADMSG);
    assert_int_equal(judge(&root, changed, &answer, &s), 0);
    OPENSSL_free(out);
    ASN1_INTEGER_free(nonce);
    TS_REQ_free(changed);
    bytes_done(&der);
    bytes_done(&answer);
    question_done(&q);
}

static void a_changed_or_cut_answer_does_not_count(void **state)
{
    (void)state;
    struct question q = ask();
    struct bytes answer = answer_of(&authority, &q.der, TOLD_S);
    int64_t s;
    for (size_t at = 0; at < answer.len; at += 13) {
        uint8_t kept = answer.data[at];
        answer.data[at] ^= 1;
        if (judge(&root, q.request, &answer, &s) ==
            0) /* a byte that is not signed: the time is still the signed one */
            assert_int_equal(s, TOLD_S);
        answer.data[at] = kept;
    }
    size_t whole = answer.len;
    for (answer.len = 0; answer.len < whole; answer.len += 17)
        assert_int_equal(judge(&root, q.request, &answer, &s), -EBADMSG);
    answer.len = whole;
    bytes_put_u8(&answer, 0);
    assert_int_equal(judge(&root, q.request, &answer, &s), -EBADMSG);
    bytes_done(&answer);
    question_done(&q);
}

/* ---- agreement ---- */

static void the_largest_group_within_five_minutes_agrees(void **state)
{
    (void)state;
    static const struct {
        int64_t times[5];
        size_t count, agree;
        int64_t low;
    } rows[] = {
        {{0}, 0, 0, 0},
        {{1000}, 1, 1, 1000},
        {{1300, 1000}, 2, 2, 1000},
        {{1301, 1000}, 2, 1, 1000},
        {{99999, 1001, 1000}, 3, 2, 1000}, /* one runs ahead */
        {{1001, -5, 1000}, 3, 2, 1000},    /* one is behind */
        {{1000, 1299, 1301}, 3, 2, 1000},  /* two groups of two: the earlier */
        {{9000, 9001, 9002, 1, 2}, 5, 3, 9000},
    };
    for (size_t n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        int64_t times[5];
        memcpy(times, rows[n].times, sizeof times);
        struct tsa_agreement a = tsa_agree(times, rows[n].count);
        assert_int_equal(a.count, rows[n].agree);
        assert_int_equal(a.low_s, rows[n].low);
        assert_true(a.high_s - a.low_s <= TSA_AGREE_S);
    }
}

static void more_than_half_must_agree(void **state)
{
    (void)state;
    static const size_t needed[] = {0, 1, 2, 2, 3, 3, 4, 4, 5};
    for (size_t n = 1; n <= LIMIT_TIME_AUTHORITIES; n++)
        assert_int_equal(tsa_needed(&(struct tsa_authorities){.count = n}), needed[n]);
}

static void c_is_proven_from_the_attested_start_on(void **state)
{
    (void)state;
    struct tsa_state s = {0};
    struct tsa_agreement first = {.count = 2, .low_s = TOLD_S, .high_s = TOLD_S + 4};
    int64_t c = 900;
    assert_true(tsa_state_advance(&s, &first, c) <= c); /* the start proves nothing */
    assert_true(s.started);
    struct tsa_agreement later = {.count = 2, .low_s = TOLD_S + 1000, .high_s = TOLD_S + 1010};
    int64_t proven = tsa_state_advance(&s, &later, c + 10);
    assert_true(proven <= c + 1000 && proven >= c + 1000 - 5);
    assert_int_equal(s.last_s, TOLD_S + 1000);
    struct tsa_agreement back = {.count = 2, .low_s = 5, .high_s = 5};
    assert_true(tsa_state_advance(&s, &back, c + 1000) < c);
    assert_int_equal(s.last_s, TOLD_S + 1000);
}

/* ---- what is written down ---- */

static void a_state_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct tsa_state s = {.started = true,
                          .start_attested_s = TOLD_S,
                          .start_c_s = 17,
                          .last_s = TOLD_S + 3,
                          .kept = 300},
                     got;
    struct bytes packed = {0};
    tsa_state_encode(&s, &packed);
    assert_int_equal(tsa_state_decode(packed.data, packed.len, &got), 0);
    assert_true(got.started);
    assert_int_equal(got.start_attested_s, s.start_attested_s);
    assert_int_equal(got.start_c_s, s.start_c_s);
    assert_int_equal(got.last_s, s.last_s);
    assert_int_equal(got.kept, s.kept);
    for (size_t len = 0; len < packed.len; len++)
        assert_int_equal(tsa_state_decode(packed.data, len, &got), -EBADMSG);
    bytes_done(&packed);
}

static void write_certificates(const char *path)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    PEM_write_PrivateKey(f, root.key, NULL, NULL, 0, NULL, NULL);
    PEM_write_X509(f, root.cert);
    PEM_write_X509(f, other_root.cert);
    fclose(f);
}

static void what_is_pinned_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct tempdir d;
    tempdir_make(&d);
    const char *dir = d.path;
    char path[300], one[400], two[400];
    snprintf(path, sizeof path, "%s/ca.pem", dir);
    snprintf(one, sizeof one, "http://a.example/x,%s", path);
    snprintf(two, sizeof two, "https://b.example:8080/tsr?a=1,%s", path);
    write_certificates(path);
    struct tsa_authorities a, got;
    struct reason reason = {.text = ""};
    assert_int_equal(tsa_authorities_read((const char *const[]){one, two, NULL}, &a, &reason), 0);
    struct bytes packed = {0};
    tsa_authorities_encode(&a, &packed);
    tsa_authorities_done(&a);
    assert_int_equal(tsa_authorities_decode(packed.data, packed.len, &got), 0);
    assert_int_equal(got.count, 2);
    assert_string_equal(got.list[1].url, "https://b.example:8080/tsr?a=1");
    assert_int_equal(sk_X509_num(got.list[1].anchors), 2);
    assert_int_equal(X509_cmp(sk_X509_value(got.list[0].anchors, 1), other_root.cert), 0);
    char name[64];
    tsa_authority_name(&got.list[0], name, sizeof name);
    assert_string_equal(name, "CN=Root");
    tsa_authorities_done(&got);
    for (size_t len = 0; len < packed.len; len += 7)
        assert_int_equal(tsa_authorities_decode(packed.data, len, &got), -EBADMSG);
    bytes_done(&packed);
    tempdir_remove(&d);
}

static void what_cannot_be_pinned_is_refused(void **state)
{
    (void)state;
    struct tempdir d;
    tempdir_make(&d);
    const char *dir = d.path;
    char path[300], good[400], ftp[400], space[400], empty[400], missing[400];
    snprintf(path, sizeof path, "%s/ca.pem", dir);
    snprintf(good, sizeof good, "http://a.example/,%s", path);
    snprintf(ftp, sizeof ftp, "ftp://a.example/,%s", path);
    snprintf(space, sizeof space, "http://a.example/ x,%s", path);
    snprintf(empty, sizeof empty, "http://a.example/,/dev/null");
    snprintf(missing, sizeof missing, "http://a.example/,%s/none", dir);
    write_certificates(path);
    const char *many[LIMIT_TIME_AUTHORITIES + 2];
    char texts[LIMIT_TIME_AUTHORITIES + 1][400];
    for (size_t n = 0; n <= LIMIT_TIME_AUTHORITIES; n++) {
        snprintf(texts[n], sizeof texts[n], "http://a%zu.example/,%s", n, path);
        many[n] = texts[n];
    }
    many[LIMIT_TIME_AUTHORITIES + 1] = NULL;
    const struct {
        const char *const *list;
        int error;
    } rows[] = {
        {(const char *const[]){NULL}, -EINVAL},
        {(const char *const[]){"http://a.example/", NULL}, -EINVAL},
        {(const char *const[]){"http://a.example/,", NULL}, -EINVAL},
        {(const char *const[]){ftp, NULL}, -EINVAL},
        {(const char *const[]){space, NULL}, -EINVAL},
        {(const char *const[]){empty, NULL}, -EINVAL},
        {(const char *const[]){missing, NULL}, -ENOENT},
        {(const char *const[]){good, good, NULL}, -EINVAL},
        {many, -EINVAL},
    };
    for (size_t n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        struct tsa_authorities a;
        struct reason reason = {.text = ""};
        assert_int_equal(tsa_authorities_read(rows[n].list, &a, &reason), rows[n].error);
        assert_true(reason.text[0]);
    }
    tempdir_remove(&d);
}

static void a_server_that_is_not_there_is_said(void **state)
{
    (void)state;
    assert_true(http_url_valid("https://[::1]:8/x"));
    assert_false(http_url_valid("http:///x"));
    struct http_post posts[2] = {
        {.url = "http://127.0.0.1:1/",
         .content_type = "a/b",
         .body = "x",
         .body_len = 1,
         .answer_max_bytes = 10},
        {.url = "http://127.0.0.1:1/y", .content_type = "a/b", .body = "", .answer_max_bytes = 10},
    };
    http_post_all(posts, 2, 2000, NULL);
    assert_true(posts[0].error[0] && posts[1].error[0]);
    bytes_done(&posts[0].answer);
    bytes_done(&posts[1].answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_answer_of_the_pinned_authority_counts),
        cmocka_unit_test(an_authority_that_is_not_pinned_does_not_count),
        cmocka_unit_test(a_certificate_counts_within_its_validity_at_the_attested_time),
        cmocka_unit_test(the_answer_to_an_older_question_does_not_count),
        cmocka_unit_test(another_nonce_does_not_count),
        cmocka_unit_test(a_changed_or_cut_answer_does_not_count),
        cmocka_unit_test(the_largest_group_within_five_minutes_agrees),
        cmocka_unit_test(more_than_half_must_agree),
        cmocka_unit_test(c_is_proven_from_the_attested_start_on),
        cmocka_unit_test(a_state_is_read_as_it_was_written),
        cmocka_unit_test(what_is_pinned_is_read_as_it_was_written),
        cmocka_unit_test(what_cannot_be_pinned_is_refused),
        cmocka_unit_test(a_server_that_is_not_there_is_said),
    };
    return cmocka_run_group_tests(tests, make_signers, free_signers);
}
