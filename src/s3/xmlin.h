/* SPDX-License-Identifier: GPL-3.0-or-later
 * Documents that clients send: read without network, DTD or entities; unknown elements are passed over (s3-api.md §1.6). */
#ifndef HOLDFS_S3_XMLIN_H
#define HOLDFS_S3_XMLIN_H

#include <libxml/tree.h>
#include <stddef.h>

struct request;

/* The document whose root is `root`, with S3's namespace or none; NULL: it is none. xmlFreeDoc() it. */
xmlDoc *xmlin_read(const void *text, size_t len, const char *root);
xmlNode *xmlin_child(const xmlNode *parent, const char *name);             /* the first; NULL */
xmlNode *xmlin_next(const xmlNode *parent, const char *name, xmlNode *after); /* after NULL: the first; NULL at the end */
/* Its text into out; -ERANGE: too long, -EINVAL: elements within it. */
int xmlin_text(xmlNode *node, char *out, size_t cap);
int xmlin_malformed(struct request *q); /* MalformedXML */

#endif
