/* SPDX-License-Identifier: GPL-3.0-or-later
 * Strict reading of small XML documents; see xmldoc.h. */
#include "util/xmldoc.h"

#include "util/bytes.h"

#include <errno.h>
#include <libxml/parser.h>
#include <string.h>

enum { XML_DOCUMENT_BYTES = 1 << 20 }; /* no document of S3's comes near it */

static bool is_named(const xmlNode *node, const char *name)
{
    return strcmp((const char *)node->name, name) == 0 &&
           (!node->ns || strcmp((const char *)node->ns->href, XML_S3_NAMESPACE) == 0);
}

xmlDoc *xml_read(const void *text, size_t len, const char *root)
{
    if (!len || len > XML_DOCUMENT_BYTES || memmem(text, len, "<!DOCTYPE", 9))
        return NULL;
    xmlDoc *doc = xmlReadMemory(text, (int)len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!doc)
        return NULL;
    const xmlNode *top = xmlDocGetRootElement(doc);
    if (top && !doc->intSubset && is_named(top, root))
        return doc;
    xmlFreeDoc(doc);
    return NULL;
}

/* What may stand between elements: blanks and comments. */
static bool is_between(const xmlNode *node)
{
    return node->type == XML_COMMENT_NODE || (node->type == XML_TEXT_NODE && xmlIsBlankNode(node));
}

int xml_children(xmlNode *parent, struct xml_slot *slots, size_t count)
{
    for (xmlNode *child = parent->children; child; child = child->next) {
        if (is_between(child))
            continue;
        if (child->type != XML_ELEMENT_NODE)
            return -EINVAL;
        size_t i = 0;
        while (i < count && !is_named(child, slots[i].name))
            i++;
        if (i == count || slots[i].node)
            return -EINVAL;
        slots[i].node = child;
    }
    return 0;
}

int xml_each(xmlNode *parent, const char *name, xmlNode *after, xmlNode **ret)
{
    xmlNode *child = after ? after->next : parent->children;
    while (child && is_between(child))
        child = child->next;
    if (child && (child->type != XML_ELEMENT_NODE || !is_named(child, name)))
        return -EINVAL;
    *ret = child;
    return 0;
}

int xml_text(xmlNode *node, char *out, size_t cap)
{
    size_t len = 0;
    for (const xmlNode *child = node->children; child; child = child->next) {
        if (child->type == XML_COMMENT_NODE)
            continue;
        if (child->type != XML_TEXT_NODE && child->type != XML_CDATA_SECTION_NODE)
            return -EINVAL;
        size_t more = strlen((const char *)child->content);
        if (more >= cap - len)
            return -ERANGE;
        memcpy(out + len, child->content, more);
        len += more;
    }
    out[len] = '\0';
    return 0;
}

void xml_put_escaped(struct bytes *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '&':
            bytes_printf(out, "&amp;");
            break;
        case '<':
            bytes_printf(out, "&lt;");
            break;
        case '>':
            bytes_printf(out, "&gt;");
            break;
        case '"':
            bytes_printf(out, "&quot;");
            break;
        default:
            if ((unsigned char)text[i] < 0x20) /* XML 1.0 has no name for most of them: as S3 writes them */
                bytes_printf(out, "&#x%X;", (unsigned)text[i]);
            else
                bytes_put(out, text + i, 1);
        }
    }
}
