/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reading clients' documents; see xmlin.h. */
#include "s3/xmlin.h"
#include "s3/request.h"
#include "util/xmldoc.h"

#include <libxml/parser.h>

enum { DEPTH_MAX = 20 };

static bool too_deep(const xmlNode *node, int depth)
{
    for (const xmlNode *n = node; n; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && (depth > DEPTH_MAX || too_deep(n->children, depth + 1)))
            return true;
    }
    return false;
}

xmlDoc *xmlin_read(const void *text, size_t len, const char *root)
{
    if (!len || len > REQUEST_DOCUMENT_BYTES)
        return NULL;
    xmlDoc *doc = xmlReadMemory(text, (int)len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    if (!doc)
        return NULL;
    const xmlNode *top = xmlDocGetRootElement(doc);
    if (doc->intSubset || doc->extSubset || !top || strcmp((const char *)top->name, root) != 0 || too_deep(top, 0)) {
        xmlFreeDoc(doc);
        return NULL;
    }
    return doc;
}

xmlNode *xmlin_next(const xmlNode *parent, const char *name, xmlNode *after)
{
    for (xmlNode *n = after ? after->next : parent->children; n; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0)
            return n;
    }
    return NULL;
}

xmlNode *xmlin_child(const xmlNode *parent, const char *name)
{
    return xmlin_next(parent, name, NULL);
}

int xmlin_text(xmlNode *node, char *out, size_t cap)
{
    return xml_text(node, out, cap);
}

int xmlin_malformed(struct request *q)
{
    return fail(q, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema");
}
