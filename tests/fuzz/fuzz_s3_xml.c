/* SPDX-License-Identifier: GPL-3.0-or-later
 * Fuzz target: documents that S3 clients send. What is taken has no DTD and can be walked; texts are UTF-8 and fit. */
#include "s3/xmlin.h"
#include "util/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void walk(const xmlNode *parent, unsigned depth)
{
    must(depth < 30);
    for (xmlNode *n = parent->children; n; n = n->next) {
        char text[64];
        if (n->type != XML_ELEMENT_NODE)
            continue;
        if (xmlin_text(n, text, sizeof text) == 0)
            must(strlen(text) < sizeof text && utf8_valid(text, strlen(text)));
        walk(n, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const roots[] = {"Delete", "CompleteMultipartUpload", "Tagging", "Retention", "x"};
    for (size_t n = 0; n < sizeof roots / sizeof *roots; n++) {
        xmlDoc *doc = xmlin_read(data, size, roots[n]);
        if (!doc)
            continue;
        must(!doc->intSubset && !doc->extSubset);
        xmlNode *root = xmlDocGetRootElement(doc);
        must(root && strcmp((const char *)root->name, roots[n]) == 0);
        walk(root, 0);
        for (xmlNode *part = NULL; (part = xmlin_next(root, "Part", part));)
            must(part->parent == root);
        xmlFreeDoc(doc);
    }
    return 0;
}
