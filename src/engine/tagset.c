/* SPDX-License-Identifier: GPL-3.0-or-later
 * Sets of tags; see tagset.h and s3-api.md §11. */
#include "engine/tagset.h"

#include "util/cleanup.h"
#include "util/limits.h"
#include "util/text.h"
#include "util/xmldoc.h"

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <wctype.h>

/* Longest key or value in bytes: 256 characters of at most 4. */
enum { TAG_TEXT_BYTES = LIMIT_TAG_VALUE_CHARS * 4 };

static locale_t letters; /* classes of all languages, whatever the daemon's own locale is */
static pthread_once_t letters_once = PTHREAD_ONCE_INIT;

static void letters_load(void)
{
    letters = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* One character of checked UTF-8. */
static const char *take_character(const char *at, uint32_t *ret)
{
    unsigned char first = (unsigned char)*at++;
    if (first < 0x80) {
        *ret = first;
        return at;
    }
    int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    uint32_t c = first & (0x3fu >> more);
    for (; more; more--)
        c = c << 6 | ((unsigned char)*at++ & 0x3f);
    *ret = c;
    return at;
}

static bool character_allowed(uint32_t c)
{
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(" +-=._:/@", (int)c));
    pthread_once(&letters_once, letters_load);
    /* A system without that locale cannot tell letters: then only control characters are refused. */
    return letters ? iswalnum_l((wint_t)c, letters) || iswspace_l((wint_t)c, letters) : c >= 0xa0;
}

/* Characters in text when all are allowed, else -EINVAL. */
static int count_characters(const char *text, size_t len)
{
    if (!utf8_valid(text, len))
        return -EINVAL;
    int n = 0;
    for (const char *at = text; at < text + len; n++) {
        uint32_t c;
        at = take_character(at, &c);
        if (!character_allowed(c) || n >= TAG_TEXT_BYTES)
            return -EINVAL;
    }
    return n;
}

size_t tagset_count(const struct attrs *set)
{
    size_t at = 0, n = 0;
    struct attr_item item;
    while (attrs_next(set, &at, &item))
        n += item.kind == ATTR_TAG;
    return n;
}

static int tag_judge(const char *key, size_t key_len, const char *value, size_t value_len, struct reason *reason)
{
    int chars = count_characters(key, key_len);
    if (chars < 1 || chars > LIMIT_TAG_KEY_CHARS)
        return reason_fail_s3(reason, EINVAL, "InvalidTag",
                              "a tag's key has 1 to %d letters, digits, spaces or + - = . _ : / @", LIMIT_TAG_KEY_CHARS);
    if (key_len >= 4 && memcmp(key, "aws:", 4) == 0)
        return reason_fail_s3(reason, EINVAL, "InvalidTag", "keys of tags that begin with aws: are reserved");
    chars = count_characters(value, value_len);
    if (chars < 0 || chars > LIMIT_TAG_VALUE_CHARS)
        return reason_fail_s3(reason, EINVAL, "InvalidTag",
                              "a tag's value has up to %d letters, digits, spaces or + - = . _ : / @", LIMIT_TAG_VALUE_CHARS);
    return 0;
}

int tagset_put(struct attrs *set, const char *key, size_t key_len, const char *value, size_t value_len, size_t max,
               struct reason *reason)
{
    int r = tag_judge(key, key_len, value, value_len, reason);
    if (r < 0)
        return r;
    const uint8_t *old;
    size_t old_len;
    if (attrs_get(set, ATTR_TAG, key, key_len, &old, &old_len) < 0 && tagset_count(set) >= max)
        return reason_fail_s3(reason, ERANGE, "InvalidTag", "no more than %zu tags fit here", max);
    return attrs_set(set, ATTR_TAG, key, key_len, value, value_len);
}

static int put_new(struct attrs *set, const char *key, size_t key_len, const char *value, size_t value_len, size_t max,
                   struct reason *reason)
{
    const uint8_t *old;
    size_t old_len;
    if (attrs_get(set, ATTR_TAG, key, key_len, &old, &old_len) == 0)
        return reason_fail_s3(reason, EINVAL, "InvalidTag", "the tag %.*s stands twice", (int)key_len, key);
    return tagset_put(set, key, key_len, value, value_len, max, reason);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes URL encoding into out (as long as text). -EINVAL. */
static int url_decode(const char *text, size_t len, char *out, size_t *ret_len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -EINVAL;
            out[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[n++] = text[i] == '+' ? ' ' : text[i];
        }
    }
    *ret_len = n;
    return 0;
}

static int parse_pair(const char *text, size_t len, char *scratch, size_t max, struct attrs *ret, struct reason *reason)
{
    const char *equals = memchr(text, '=', len);
    size_t key_raw = equals ? (size_t)(equals - text) : len;
    size_t value_raw = equals ? len - key_raw - 1 : 0;
    size_t key_len, value_len = 0;
    if (url_decode(text, key_raw, scratch, &key_len) < 0 ||
        (value_raw && url_decode(equals + 1, value_raw, scratch + key_raw, &value_len) < 0))
        return reason_fail_s3(reason, EINVAL, "InvalidArgument",
                              "tags are written key=value&key=value, with %%XX for what else stands in them");
    const uint8_t *old;
    size_t old_len;
    if (attrs_get(ret, ATTR_TAG, scratch, key_len, &old, &old_len) == 0)
        return reason_fail_s3(reason, EINVAL, "InvalidArgument", "the tag %.*s stands twice", (int)key_len, scratch);
    return put_new(ret, scratch, key_len, scratch + key_raw, value_len, max, reason);
}

static int parse_written(const char *text, size_t len, size_t max, struct attrs *ret, struct reason *reason)
{
    CLEANUP_FREE char *scratch = malloc(len + 1);
    if (!scratch)
        return -ENOMEM;
    int r = 0;
    for (size_t from = 0; r == 0 && from < len;) {
        const char *and = memchr(text + from, '&', len - from);
        size_t to = and ? (size_t)(and - text) : len;
        if (to > from)
            r = parse_pair(text + from, to - from, scratch, max, ret, reason);
        from = to + 1;
    }
    return r;
}

static int malformed(struct reason *reason)
{
    return reason_fail_s3(reason, EINVAL, "MalformedXML",
                          "the document is no <Tagging><TagSet><Tag><Key/><Value/></Tag></TagSet></Tagging>");
}

static int parse_tag(xmlNode *tag, size_t max, struct attrs *ret, struct reason *reason)
{
    struct xml_slot slots[] = {{.name = "Key"}, {.name = "Value"}};
    char key[TAG_TEXT_BYTES + 1], value[TAG_TEXT_BYTES + 1];
    if (xml_children(tag, slots, 2) < 0 || !slots[0].node || !slots[1].node)
        return malformed(reason);
    int r = xml_text(slots[0].node, key, sizeof key);
    if (r == 0)
        r = xml_text(slots[1].node, value, sizeof value);
    if (r == -ERANGE)
        return reason_fail_s3(reason, EINVAL, "InvalidTag", "a tag has a key of up to %d and a value of up to %d characters",
                              LIMIT_TAG_KEY_CHARS, LIMIT_TAG_VALUE_CHARS);
    if (r < 0)
        return malformed(reason);
    return put_new(ret, key, strlen(key), value, strlen(value), max, reason);
}

static int parse_xml(const char *text, size_t len, size_t max, struct attrs *ret, struct reason *reason)
{
    xmlDoc *doc = xml_read(text, len, "Tagging");
    if (!doc)
        return malformed(reason);
    struct xml_slot set = {.name = "TagSet"};
    int r = xml_children(xmlDocGetRootElement(doc), &set, 1);
    if (r < 0 || !set.node)
        r = malformed(reason);
    for (xmlNode *tag = NULL; r == 0;) {
        r = xml_each(set.node, "Tag", tag, &tag);
        if (r < 0)
            r = malformed(reason);
        else if (!tag)
            break;
        else
            r = parse_tag(tag, max, ret, reason);
    }
    xmlFreeDoc(doc);
    return r;
}

int tagset_parse(const char *text, size_t len, size_t max, struct attrs *ret, struct reason *reason)
{
    struct attrs set = {0};
    int r = len && text[0] == '<' ? parse_xml(text, len, max, &set, reason) : parse_written(text, len, max, &set, reason);
    if (r < 0)
        attrs_done(&set);
    else
        *ret = set;
    return r;
}

static void put_encoded(struct bytes *out, const void *text, size_t len)
{
    const unsigned char *at = text;
    for (size_t i = 0; i < len; i++) {
        bool plain = (at[i] >= 'a' && at[i] <= 'z') || (at[i] >= 'A' && at[i] <= 'Z') || (at[i] >= '0' && at[i] <= '9') ||
                     (at[i] && strchr("-._~", at[i]));
        if (plain)
            bytes_put_u8(out, at[i]);
        else
            bytes_printf(out, "%%%02X", at[i]);
    }
}

void tagset_format(const struct attrs *set, struct bytes *out)
{
    size_t at = 0;
    struct attr_item item;
    const char *between = "";
    while (attrs_next(set, &at, &item)) {
        if (item.kind != ATTR_TAG)
            continue;
        bytes_printf(out, "%s", between);
        put_encoded(out, item.name, item.name_len);
        bytes_put(out, "=", 1);
        put_encoded(out, item.value, item.len);
        between = "&";
    }
}

void tagset_format_xml(const struct attrs *set, struct bytes *out)
{
    size_t at = 0;
    struct attr_item item;
    bytes_printf(out, "<Tagging xmlns=\"" XML_S3_NAMESPACE "\"><TagSet>");
    while (attrs_next(set, &at, &item)) {
        if (item.kind != ATTR_TAG)
            continue;
        bytes_printf(out, "<Tag><Key>");
        xml_put_escaped(out, item.name, item.name_len);
        bytes_printf(out, "</Key><Value>");
        xml_put_escaped(out, (const char *)item.value, item.len);
        bytes_printf(out, "</Value></Tag>");
    }
    bytes_printf(out, "</TagSet></Tagging>");
}
