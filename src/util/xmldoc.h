/* SPDX-License-Identifier: GPL-3.0-or-later
 * Reading small XML documents (S3's) strictly: libxml2 without network, DTD or entities, and children checked against a table.
 *
 * Elements count by their local name, with S3's namespace or with none: clients send both. */
#ifndef HOLDFS_UTIL_XMLDOC_H
#define HOLDFS_UTIL_XMLDOC_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

struct bytes;

#define XML_S3_NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

/* The document whose root element is `root`, or NULL: not well-formed, another root, a DTD, more than 1 MiB. xmlFreeDoc() it. */
xmlDoc *xml_read(const void *text, size_t len, const char *root);

/* One child a parent may have, at most once. */
struct xml_slot {
    const char *name;
    xmlNode *node; /* out: the element, or NULL */
};
/* Fills the slots from the parent's children. -EINVAL: a child without a slot, one that stands twice, text between them. */
int xml_children(xmlNode *parent, struct xml_slot *slots, size_t count);
/* The next child element named `name`, after `after` (NULL: the first); *ret NULL at the end. -EINVAL: another name, or text. */
int xml_each(xmlNode *parent, const char *name, xmlNode *after, xmlNode **ret);
/* The element's text, as it stands, into out; -EINVAL: elements within it; -ERANGE: does not fit. */
int xml_text(xmlNode *node, char *out, size_t cap);

void xml_put_escaped(struct bytes *out, const char *text, size_t len);

#endif
