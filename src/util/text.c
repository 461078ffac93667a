/* SPDX-License-Identifier: GPL-3.0-or-later
 * Small codecs; see text.h. Parsers are strict: one value has one text (but for Crockford's aliases and
 * letter case in hex and UUIDs), so that a text can be compared instead of its value. */
#include "util/text.h"
#include "util/xaes.h"

#include <errno.h>
#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

void hex_format(const void *bytes, size_t len, char *out)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++) {
        *out++ = hex_digits[p[i] >> 4];
        *out++ = hex_digits[p[i] & 15];
    }
    *out = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_parse(const char *text, size_t len, uint8_t *out)
{
    if (len % 2)
        return -EINVAL;
    for (size_t i = 0; i < len; i += 2) {
        int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        *out++ = (uint8_t)(high << 4 | low);
    }
    return 0;
}

/* Both base32 alphabets go through these two: five bits a character, the last one filled up with zero bits.
 */
static void base32_put(const uint8_t *bytes, size_t bits, const char *alphabet, char *out)
{
    size_t bytes_len = (bits + 7) / 8;
    for (size_t at = 0; at < bits; at += 5) {
        unsigned pair = (unsigned)bytes[at / 8] << 8;
        if (at / 8 + 1 < bytes_len)
            pair |= bytes[at / 8 + 1];
        *out++ = alphabet[pair >> (11 - at % 8) & 31];
    }
    *out = '\0';
}

static int base32_get(const char *text, size_t len, int (*digit)(char), uint8_t *out, size_t bits)
{
    if (len != (bits + 4) / 5)
        return -EINVAL;
    unsigned pending = 0, pending_bits = 0;
    for (size_t i = 0; i < len; i++) {
        int d = digit(text[i]);
        if (d < 0)
            return -EINVAL;
        pending = pending << 5 | (unsigned)d;
        pending_bits += 5;
        if (pending_bits >= 8) {
            pending_bits -= 8;
            *out++ = (uint8_t)(pending >> pending_bits);
            pending &= (1u << pending_bits) - 1;
        }
    }
    size_t rest = bits % 8;
    if (!rest)
        return pending ? -EINVAL : 0;
    /* A last, partial byte: its bits to the top; what is below them must be zero. */
    unsigned last = pending << (8 - pending_bits);
    if (pending_bits < rest || last & (0xffu >> rest))
        return -EINVAL;
    *out = (uint8_t)last;
    return 0;
}

static int base32_digit(char c)
{
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

void base32_format(const void *bytes, size_t len, char *out)
{
    base32_put(bytes, len * 8, "abcdefghijklmnopqrstuvwxyz234567", out);
}

int base32_parse(const char *text, size_t len, uint8_t *out, size_t out_len)
{
    return base32_get(text, len, base32_digit, out, out_len * 8);
}

static const char crockford_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static int crockford_digit(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 0x20);
    if (c == 'I' || c == 'L')
        return 1;
    if (c == 'O')
        return 0;
    const char *at = c ? strchr(crockford_digits, c) : NULL;
    return at ? (int)(at - crockford_digits) : -1;
}

void crockford_format(const void *bytes, size_t bits, char *out)
{
    base32_put(bytes, bits, crockford_digits, out);
}

int crockford_parse(const char *text, size_t len, uint8_t *out, size_t bits)
{
    return base32_get(text, len, crockford_digit, out, bits);
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_format(const void *bytes, size_t len, char *out)
{
    const uint8_t *p = bytes;
    for (; len >= 3; len -= 3, p += 3) {
        *out++ = base64_digits[p[0] >> 2];
        *out++ = base64_digits[(p[0] & 3) << 4 | p[1] >> 4];
        *out++ = base64_digits[(p[1] & 15) << 2 | p[2] >> 6];
        *out++ = base64_digits[p[2] & 63];
    }
    if (len) {
        uint8_t second = len == 2 ? p[1] : 0;
        *out++ = base64_digits[p[0] >> 2];
        *out++ = base64_digits[(p[0] & 3) << 4 | second >> 4];
        *out++ = len == 2 ? base64_digits[(second & 15) << 2] : '=';
        *out++ = '=';
    }
    *out = '\0';
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* One group of four characters, of which `digits` are not padding: 1 to 3 bytes, or -1. */
static int base64_group(const char *text, size_t digits, uint8_t bytes[3])
{
    unsigned v = 0;
    for (size_t i = 0; i < 4; i++) {
        int d = i < digits ? base64_digit(text[i]) : 0;
        if (d < 0)
            return -1;
        v = v << 6 | (unsigned)d;
    }
    bytes[0] = (uint8_t)(v >> 16);
    bytes[1] = (uint8_t)(v >> 8);
    bytes[2] = (uint8_t)v;
    for (size_t i = digits - 1; i < 3; i++) {
        if (bytes[i])
            return -1;
    }
    return (int)digits - 1;
}

int base64_parse(const char *text, size_t len, uint8_t *out, size_t out_cap, size_t *ret_len)
{
    if (len % 4)
        return -EINVAL;
    size_t total = 0;
    for (size_t at = 0; at < len; at += 4) {
        size_t digits = 4;
        if (at + 4 == len && text[at + 3] == '=')
            digits = text[at + 2] == '=' ? 2 : 3;
        uint8_t bytes[3];
        int got = base64_group(text + at, digits, bytes);
        if (got < 0)
            return -EINVAL;
        if (out_cap - total < (size_t)got)
            return -ERANGE;
        memcpy(out + total, bytes, (size_t)got);
        total += (size_t)got;
    }
    *ret_len = total;
    return 0;
}

/* Bytes in each group of a UUID's text. */
static const size_t uuid_groups[] = {4, 2, 2, 2, 6};
enum { UUID_GROUP_COUNT = 5, UUID_TEXT_CHARS = 36 };

void uuid_format(const uint8_t id[16], char out[37])
{
    for (size_t g = 0; g < UUID_GROUP_COUNT; g++) {
        hex_format(id, uuid_groups[g], out);
        id += uuid_groups[g];
        out += 2 * uuid_groups[g];
        *out++ = g + 1 < UUID_GROUP_COUNT ? '-' : '\0';
    }
}

int uuid_parse(const char *text, uint8_t out[16])
{
    if (strlen(text) != UUID_TEXT_CHARS)
        return -EINVAL;
    for (size_t g = 0; g < UUID_GROUP_COUNT; g++) {
        if (hex_parse(text, 2 * uuid_groups[g], out) < 0)
            return -EINVAL;
        out += uuid_groups[g];
        text += 2 * uuid_groups[g];
        if (g + 1 < UUID_GROUP_COUNT && *text++ != '-')
            return -EINVAL;
    }
    return 0;
}

void uuid_random(uint8_t out[16])
{
    random_bytes(out, 16);
    out[6] = (out[6] & 0x0f) | 0x40; /* RFC 4122: version 4 */
    out[8] = (out[8] & 0x3f) | 0x80; /* and its variant */
}

/* Length of the well-formed sequence at p (Unicode table 3-7), 0 when there is none. */
static size_t utf8_sequence(const uint8_t *p, size_t len)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    size_t want = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (!want || len < want)
        return 0;
    uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return want;
}

bool utf8_valid(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    while (len) {
        size_t n = utf8_sequence(p, len);
        if (!n)
            return false;
        p += n;
        len -= n;
    }
    return true;
}
