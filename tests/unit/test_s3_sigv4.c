/* SPDX-License-Identifier: GPL-3.0-or-later
 * Signature Version 4 against S3's published examples (auth case 1: K1-K8 of auth.md §2.9), and the chunked bodies of K6 and K7. */
#include "s3/chunked.h"
#include "s3/sigv2.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char secret[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
static const struct sigv4_scope scope = {.date = "20130524", .timestamp = "20130524T000000Z", .region = "us-east-1", .service = "s3"};
#define T "20130524T000000Z"
#define E SIGV4_EMPTY_SHA256
#define P "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
#define PAYLOAD "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

struct known {
    const char *method, *target;
    const char *headers[16]; /* name, value, ... in the order they are signed in */
    const char *payload;
    bool query_form;
    const char *canonical_sha256, *signature;
};

static const struct known answers[] = {
    {"GET", "/test.txt", {"host", "examplebucket.s3.amazonaws.com", "range", "bytes=0-9", "x-amz-content-sha256", E, "x-amz-date", T}, E, false,
     "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT", "/test$file.text",
     {"date", "Fri, 24 May 2013 00:00:00 GMT", "host", "examplebucket.s3.amazonaws.com", "x-amz-content-sha256", P, "x-amz-date", T,
      "x-amz-storage-class", "REDUCED_REDUNDANCY"}, P, false,
     "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET", "/?lifecycle", {"host", "examplebucket.s3.amazonaws.com", "x-amz-content-sha256", E, "x-amz-date", T}, E, false,
     "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET", "/?max-keys=2&prefix=J", {"host", "examplebucket.s3.amazonaws.com", "x-amz-content-sha256", E, "x-amz-date", T}, E, false,
     "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {"GET",
     "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=" T
     "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=left-out",
     {"host", "examplebucket.s3.amazonaws.com"}, "UNSIGNED-PAYLOAD", true,
     "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04", "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"},
    {"PUT", "/examplebucket/chunkObject.txt",
     {"content-encoding", "aws-chunked", "content-length", "66824", "host", "s3.amazonaws.com", "x-amz-content-sha256", PAYLOAD, "x-amz-date", T,
      "x-amz-decoded-content-length", "66560", "x-amz-storage-class", "REDUCED_REDUNDANCY"}, PAYLOAD, false,
     "cee3fed04b70f867d036f722359b0b1f2f0e5dc0efadbc082b76c4c60e316455", "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"},
    {"PUT", "/examplebucket/chunkObject.txt",
     {"content-encoding", "aws-chunked", "host", "s3.amazonaws.com", "x-amz-content-sha256", PAYLOAD "-TRAILER", "x-amz-date", T,
      "x-amz-decoded-content-length", "66560", "x-amz-storage-class", "REDUCED_REDUNDANCY", "x-amz-trailer", "x-amz-checksum-crc32c"},
     PAYLOAD "-TRAILER", false,
     "44d48b8c2f70eae815a0198cc73d7a546a73a93359c070abbaa5e6c7de112559", "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"},
    {"GET", "/examplebucket/a%20b+c//./%c3%a9~?versionId=x/y&partNumber=1",
     {"host", "s3.amazonaws.com", "x-amz-content-sha256", "UNSIGNED-PAYLOAD", "x-amz-date", T}, "UNSIGNED-PAYLOAD", false,
     "b5b6ef59d5a8fcd91311fd79c6be0c100bb683e09b143b8023ebd3d782eb60be", "16089b715a4ac75e4745b30de6686a7a390d0827f56630eab52e1d02174c1268"},
};

static void signatures_are_as_printed(void **state)
{
    (void)state;
    uint8_t key[SIGV4_KEY_BYTES];
    sigv4_key((const uint8_t *)secret, strlen(secret), &scope, key);
    assert_hex(key, 32, "dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378");
    for (size_t n = 0; n < sizeof answers / sizeof *answers; n++) {
        const struct known *k = &answers[n];
        struct message m = {.target = strdup(k->target)};
        struct bytes canonical = {0}, text = {0}, names = {0};
        char hash[65], signature[65];
        snprintf(m.method, sizeof m.method, "%s", k->method);
        for (size_t h = 0; k->headers[h]; h += 2) {
            message_header(&m, k->headers[h], k->headers[h + 1]);
            bytes_printf(&names, "%s%s", h ? ";" : "", k->headers[h]);
        }
        assert_int_equal(message_read(&m, NULL, 0, NULL), 0);
        sigv4_canonical(&m, bytes_text(&names), k->query_form, k->payload, &canonical);
        sigv4_sha256(canonical.data, canonical.len, hash);
        assert_string_equal(hash, k->canonical_sha256);
        sigv4_string_to_sign(&scope, &canonical, &text);
        sigv4_sign(key, text.data, text.len, signature);
        assert_string_equal(signature, k->signature);
        bytes_done(&canonical);
        bytes_done(&text);
        bytes_done(&names);
        message_done(&m);
    }
}

/* ---- Signature Version 2 (auth.md §2.10; auth case 91) ---- */

static void version_2_signatures_are_as_printed(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target, *headers[8], *expires, *text, *signature;
    } known[] = {
        {"GET", "/johnsmith/photos/puppy.jpg?AWSAccessKeyId=x&Expires=1175139620&Signature=y", {NULL}, "1175139620",
         "GET\n\n\n1175139620\n/johnsmith/photos/puppy.jpg", "NpgCjnDzrM+WFzoENXmpNDUsSn8="},
        {"GET", "/b/a%20b/%C3%A9%2Bc?versionId=x%2Fy&AWSAccessKeyId=x&response-content-type=text%2Fplain%3B%20charset%3Dutf-8", {NULL}, "1795521600",
         "GET\n\n\n1795521600\n/b/a%20b/%C3%A9%2Bc?response-content-type=text/plain; charset=utf-8&versionId=x/y", "cRiwb8vB9FNc9z5qvfgsNS+YduI="},
        {"PUT", "/b/k", {"content-type", "text/plain", "X-Amz-Server-Side-Encryption", "AES256", "x-amz-meta-x", "1"}, "1795521600",
         "PUT\n\ntext/plain\n1795521600\nx-amz-meta-x:1\nx-amz-server-side-encryption:AES256\n/b/k", "wito/w2wgKPfrNVvH55disQaFo8="},
    };
    for (size_t n = 0; n < sizeof known / sizeof *known; n++) {
        struct message m = {.target = strdup(known[n].target)};
        struct bytes text = {0};
        char signature[SIGV2_CHARS + 1];
        snprintf(m.method, sizeof m.method, "%s", known[n].method);
        for (size_t h = 0; known[n].headers[h]; h += 2)
            message_header(&m, known[n].headers[h], known[n].headers[h + 1]);
        assert_int_equal(message_read(&m, NULL, 0, NULL), 0);
        sigv2_string_to_sign(&m, known[n].expires, &text);
        assert_string_equal(bytes_text(&text), known[n].text);
        sigv2_sign((const uint8_t *)secret, strlen(secret), text.data, text.len, signature);
        assert_string_equal(signature, known[n].signature);
        bytes_done(&text);
        message_done(&m);
    }
}

/* ---- chunks ---- */

static int gather(void *arg, const void *data, size_t len)
{
    bytes_put(arg, data, len);
    return 0;
}

struct stream {
    unsigned form;
    const char *seed, *chunks[3];
    const char *trailer;
};
static const struct stream k6 = {CHUNKED_SIGNED, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    {"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
     "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"}, NULL};
static const struct stream k7 = {CHUNKED_SIGNED | CHUNKED_TRAILER, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    {"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2", "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
     "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"},
    "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"};

static void write_stream(const struct stream *s, struct bytes *out)
{
    static const size_t sizes[] = {65536, 1024, 0};
    for (size_t n = 0; n < 3; n++) {
        bytes_printf(out, "%zx;chunk-signature=%s\r\n", sizes[n], s->chunks[n]);
        for (size_t i = 0; i < sizes[n]; i++)
            bytes_put_u8(out, 'a');
        bytes_printf(out, "%s", sizes[n] ? "\r\n" : "");
    }
    bytes_printf(out, "%s\r\n", s->trailer ? s->trailer : "");
}

/* Feeds the body in pieces; what the machine says at its end. */
static int feed(const struct stream *s, const struct bytes *body, size_t piece, struct bytes *got, struct reason *reason)
{
    struct chunked c = {.form = s->form, .decoded_bytes = 66560, .scope = &scope};
    sigv4_key((const uint8_t *)secret, strlen(secret), &scope, c.key);
    snprintf(c.signature, sizeof c.signature, "%s", s->seed);
    snprintf(c.trailer_name, sizeof c.trailer_name, "%s", s->trailer ? "x-amz-checksum-crc32c" : "");
    int r = chunked_begin(&c);
    for (size_t at = 0; r == 0 && at < body->len; at += piece)
        r = chunked_feed(&c, body->data + at, piece < body->len - at ? piece : body->len - at, gather, got, reason);
    if (r == 0)
        r = chunked_end(&c, reason);
    if (r == 0 && s->trailer)
        assert_string_equal(c.trailer_value, "sOO8/Q==");
    chunked_done(&c);
    return r;
}

static void streams_are_verified_in_any_pieces(void **state)
{
    (void)state;
    const struct stream *streams[] = {&k6, &k7};
    const size_t pieces[] = {1, 7, 65536, 100000};
    for (size_t n = 0; n < 8; n++) {
        struct bytes body = {0}, got = {0};
        struct reason reason = {0};
        write_stream(streams[n / 4], &body);
        assert_int_equal(feed(streams[n / 4], &body, pieces[n % 4], &got, &reason), 0);
        assert_int_equal(got.len, 66560);
        bytes_done(&body);
        bytes_done(&got);
    }
}

static void an_altered_byte_is_found(void **state)
{
    (void)state;
    struct bytes body = {0}, got = {0};
    struct reason reason = {0};
    write_stream(&k7, &body);
    body.data[70000 - 3300] ^= 1; /* within the second chunk */
    assert_int_equal(feed(&k7, &body, 1000, &got, &reason), -EACCES);
    assert_string_equal(reason.code, "SignatureDoesNotMatch");
    bytes_done(&got);
    body.data[70000 - 3300] ^= 1;
    body.len -= 90; /* without its signature the trailer is nothing */
    assert_true(feed(&k7, &body, 1000, &got, &reason) < 0);
    bytes_done(&body);
    bytes_done(&got);
}

/* ---- targets ---- */

static void targets_are_decoded_once(void **state)
{
    (void)state;
    static const char *const domains[] = {"s3.test"};
    struct message m = {.target = strdup("/b//a%2541+/../x?versionId=a+b&x=%26&empty&=")};
    message_header(&m, "HOST", " my.B.s3.test.:9000 ");
    assert_int_equal(message_read(&m, domains, 1, NULL), 0);
    assert_string_equal(m.bucket, "my.b");
    assert_string_equal(m.key, "b//a%41+/../x");
    assert_string_equal(message_query(&m, "versionId"), "a b");
    assert_string_equal(message_query(&m, "x"), "&");
    assert_string_equal(message_query(&m, "empty"), "");
    message_done(&m);
    for (const char *const *bad = (const char *const[]){"/%", "/%0", "/%zz", "/a%00", "/%ff", "no-slash", "/?%f", NULL}; *bad; bad++) {
        struct reason reason = {0};
        m = (struct message){.target = strdup(*bad)};
        assert_int_equal(message_read(&m, NULL, 0, &reason), -EINVAL);
        assert_string_equal(reason.code, "InvalidURI");
        message_done(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_as_printed),
        cmocka_unit_test(version_2_signatures_are_as_printed),
        cmocka_unit_test(streams_are_verified_in_any_pieces),
        cmocka_unit_test(an_altered_byte_is_found),
        cmocka_unit_test(targets_are_decoded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
