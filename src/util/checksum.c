/* SPDX-License-Identifier: GPL-3.0-or-later
 * Checksums; see checksum.h. The CRCs are reflected ones, eight bytes a step by tables made at first use. */
#include "util/checksum.h"
#include "util/text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct kind {
    const char *name; /* S3's; NULL: it is no checksum of S3's */
    size_t bytes;
    uint64_t polynomial; /* reflected; 0: a hash */
    uint64_t ones;
    const EVP_MD *(*md)(void);
    int table;
};

enum { CRC_TABLES = 3, CRC_SLICES = 8 };

static const struct kind kinds[] = {
    [CHECKSUM_NONE] = {.bytes = 0},
    [CHECKSUM_CRC32] = {"CRC32", 4, 0xEDB88320u, 0xFFFFFFFFu, NULL, 0},
    [CHECKSUM_CRC32C] = {"CRC32C", 4, 0x82F63B78u, 0xFFFFFFFFu, NULL, 1},
    [CHECKSUM_CRC64NVME] = {"CRC64NVME", 8, 0x9A6C9329AC4BC9B5u, UINT64_MAX, NULL, 2},
    [CHECKSUM_SHA1] = {"SHA1", 20, 0, 0, EVP_sha1, 0},
    [CHECKSUM_SHA256] = {"SHA256", 32, 0, 0, EVP_sha256, 0},
    [CHECKSUM_MD5] = {NULL, 16, 0, 0, EVP_md5, 0},
};
enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

static uint64_t tables[CRC_TABLES][CRC_SLICES][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void tables_make(void)
{
    for (size_t k = 0; k < KIND_COUNT; k++) {
        if (!kinds[k].polynomial)
            continue;
        uint64_t(*t)[256] = tables[kinds[k].table];
        for (unsigned n = 0; n < 256; n++) {
            uint64_t crc = n;
            for (unsigned bit = 0; bit < 8; bit++)
                crc = crc & 1 ? crc >> 1 ^ kinds[k].polynomial : crc >> 1;
            t[0][n] = crc;
        }
        for (unsigned n = 0; n < 256; n++) {
            for (unsigned s = 1; s < CRC_SLICES; s++)
                t[s][n] = t[s - 1][n] >> 8 ^ t[0][t[s - 1][n] & 0xff];
        }
    }
}

static uint64_t crc_add(const struct kind *k, uint64_t crc, const uint8_t *p, size_t len)
{
    uint64_t(*t)[256] = tables[k->table];
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        word = le64toh(word) ^ crc;
        crc = 0;
        for (unsigned s = 0; s < CRC_SLICES; s++)
            crc ^= t[CRC_SLICES - 1 - s][word >> 8 * s & 0xff];
    }
    while (len--)
        crc = crc >> 8 ^ t[0][(crc ^ *p++) & 0xff];
    return crc;
}

int checksum_begin(struct checksum *c, enum checksum_kind kind)
{
    const struct kind *k = &kinds[kind];
    *c = (struct checksum){.kind = kind, .crc = k->ones};
    if (k->polynomial)
        pthread_once(&tables_once, tables_make);
    if (!k->md)
        return 0;
    c->digest = EVP_MD_CTX_new();
    if (c->digest && EVP_DigestInit_ex(c->digest, k->md(), NULL))
        return 0;
    checksum_done(c);
    return -ENOMEM;
}

void checksum_add(struct checksum *c, const void *bytes, size_t len)
{
    const struct kind *k = &kinds[c->kind];
    if (k->polynomial)
        c->crc = crc_add(k, c->crc, bytes, len);
    else if (c->digest)
        EVP_DigestUpdate(c->digest, bytes, len);
}

static void crc_put(const struct kind *k, uint64_t crc, uint8_t *out)
{
    for (size_t n = 0; n < k->bytes; n++)
        out[n] = (uint8_t)(crc >> 8 * (k->bytes - 1 - n));
}

void checksum_end(struct checksum *c, uint8_t out[CHECKSUM_MAX_BYTES])
{
    const struct kind *k = &kinds[c->kind];
    memset(out, 0, CHECKSUM_MAX_BYTES);
    if (k->polynomial)
        crc_put(k, c->crc ^ k->ones, out);
    else if (c->digest)
        EVP_DigestFinal_ex(c->digest, out, NULL);
}

void checksum_done(struct checksum *c)
{
    EVP_MD_CTX_free(c->digest);
    c->digest = NULL;
}

size_t checksum_bytes(enum checksum_kind kind)
{
    return kinds[kind].bytes;
}

const char *checksum_name(enum checksum_kind kind)
{
    return kinds[kind].name;
}

enum checksum_kind checksum_find(const char *name, size_t len)
{
    for (size_t k = 0; k < KIND_COUNT; k++) {
        if (kinds[k].name && strlen(kinds[k].name) == len && strncasecmp(kinds[k].name, name, len) == 0)
            return (enum checksum_kind)k;
    }
    return CHECKSUM_NONE;
}

/* ---- joining ---- */

/* a*b modulo the polynomial, both reflected: the coefficient of x^0 is the top bit of `width`. */
static uint64_t crc_multiply(uint64_t polynomial, unsigned width, uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    for (uint64_t bit = UINT64_C(1) << (width - 1); bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = b & 1 ? b >> 1 ^ polynomial : b >> 1;
    }
    return product;
}

void checksum_combine(enum checksum_kind kind, uint8_t a[8], const uint8_t b[8], uint64_t b_bytes)
{
    const struct kind *k = &kinds[kind];
    unsigned width = (unsigned)k->bytes * 8;
    uint64_t first = 0, second = 0;
    for (size_t n = 0; n < k->bytes; n++) {
        first = first << 8 | a[n];
        second = second << 8 | b[n];
    }
    /* x^(8*b_bytes) by squaring x^8. */
    uint64_t power = UINT64_C(1) << (width - 1 - 8), shift = UINT64_C(1) << (width - 1);
    for (uint64_t n = b_bytes; n; n >>= 1) {
        if (n & 1)
            shift = crc_multiply(k->polynomial, width, shift, power);
        power = crc_multiply(k->polynomial, width, power, power);
    }
    crc_put(k, crc_multiply(k->polynomial, width, first, shift) ^ second, a);
}
