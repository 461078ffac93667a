/* SPDX-License-Identifier: GPL-3.0-or-later
 * Time authorities of the `attested` retention clock (retention.md §3), the part that needs no store: what is
 * pinned, a request, the judging of an answer (RFC 3161), and when several agree. Private to src/engine; the
 * rounds are compliance_tsa.c's. */
#ifndef HOLDFS_ENGINE_COMPLIANCE_TSA_H
#define HOLDFS_ENGINE_COMPLIANCE_TSA_H

#include "util/bytes.h"
#include "util/limits.h"

#include <openssl/ts.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

struct reason;

enum { TSA_AGREE_S = 300 /* attested times this near each other agree */ };

/* One authority, as pinned at init: where it is asked, and the certificates one of which its answers must
 * chain to. */
struct tsa_authority {
    char *url;
    STACK_OF(X509) * anchors;
};
struct tsa_authorities {
    struct tsa_authority list[LIMIT_TIME_AUTHORITIES];
    size_t count;
};
void tsa_authorities_done(struct tsa_authorities *a);
/* From "URL,CA.pem" each, NULL-terminated; reads the files. -EINVAL and others with the sentence. */
int tsa_authorities_read(const char *const *texts, struct tsa_authorities *ret, struct reason *reason);
void tsa_authorities_encode(const struct tsa_authorities *a, struct bytes *out);
int tsa_authorities_decode(const void *buf, size_t len, struct tsa_authorities *ret); /* -EBADMSG, -ENOMEM */
size_t tsa_needed(const struct tsa_authorities *a); /* how many must agree: more than half */
/* The name of the first pinned certificate. */
void tsa_authority_name(const struct tsa_authority *a, char *out, size_t cap);

/* A question nobody has asked before: a fresh nonce, and a fresh digest. Free with TS_REQ_free(). -ENOMEM. */
int tsa_request_new(TS_REQ **ret, struct bytes *out);
/* The same for a SHA-256 of the caller's. */
int tsa_request_of(const uint8_t digest[32], TS_REQ **ret, struct bytes *out);
/* Certificates in PEM, one of which answers must chain to; at most LIMIT_TIME_AUTHORITY_CERTS. -EINVAL. */
int tsa_anchors_read(const char *pem, size_t len, STACK_OF(X509) * *ret);
/* Does the answer attest a time to this very question, signed by one whom the pinned certificates vouch for
 * at that time? *ret_s: seconds since 1970, rounded down. -EBADMSG, and in `error` why not. */
int tsa_answer_verify(const struct tsa_authority *a, TS_REQ *request, const void *answer, size_t len,
                      int64_t *ret_s, char error[160]);

struct tsa_agreement {
    size_t count;          /* how many */
    int64_t low_s, high_s; /* their times lie between */
};
/* The largest group of times within TSA_AGREE_S of each other, the earliest of the largest. Orders times_s.
 */
struct tsa_agreement tsa_agree(int64_t *times_s, size_t count);

/* What the store remembers (metadata value "tsa.state"). */
struct tsa_state {
    bool started;
    int64_t start_attested_s; /* the attested start: no earlier than the true time when C was start_c_s */
    int64_t start_c_s;
    int64_t last_s; /* lowest attested time of the last agreement */
    uint64_t kept;  /* rounds kept for ever: "tsa.round.1".. */
};
/* Takes an agreement in: starts, or nothing but notes it. The second of C that is proven by it; C was c_s
 * when the question was asked. */
int64_t tsa_state_advance(struct tsa_state *s, const struct tsa_agreement *agreement, int64_t c_s);
void tsa_state_encode(const struct tsa_state *s, struct bytes *out);
int tsa_state_decode(const void *buf, size_t len, struct tsa_state *ret); /* -EBADMSG */

#endif
