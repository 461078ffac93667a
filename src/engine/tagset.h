/* SPDX-License-Identifier: GPL-3.0-or-later
 * Sets of tags (s3-api.md §11): S3's rules, the written form `k=v&k2=v2`, the XML document. Pure. Private to src/engine. */
#ifndef HOLDFS_ENGINE_TAGSET_H
#define HOLDFS_ENGINE_TAGSET_H

#include "engine/record.h"
#include "util/reason.h"

/* One tag into the set (ATTR_TAG), replacing its value; at most `max` tags. -EINVAL (form), -ERANGE (one too many). */
int tagset_put(struct attrs *set, const char *key, size_t key_len, const char *value, size_t value_len, size_t max,
               struct reason *reason);
/* A whole set, written or as an XML `<Tagging>` document; ret is overwritten (attrs_done() it). */
int tagset_parse(const char *text, size_t len, size_t max, struct attrs *ret, struct reason *reason);
size_t tagset_count(const struct attrs *set);
void tagset_format(const struct attrs *set, struct bytes *out);     /* k=v&k2=v2, URL-encoded, by key */
void tagset_format_xml(const struct attrs *set, struct bytes *out);

#endif
