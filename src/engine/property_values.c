/* SPDX-License-Identifier: GPL-3.0-or-later
 * What policies see of an attribute that is being set: tags, retention, hold (auth.md §4.3). A value that cannot be read shows nothing
 * here and is refused later: permission comes first (auth.md §0). */
#include "engine/lock.h"
#include "engine/property.h"
#include "engine/tagset.h"
#include "util/limits.h"

#include <stdio.h>

enum { DAY_MS = 86400000 };

static void put(struct property_values *v, enum auth_key key, const char *tag, const char *text, size_t len)
{
    if (v->count < sizeof v->values / sizeof *v->values)
        v->values[v->count++] = (struct auth_value){.key = key, .tag = tag, .text = text, .len = len};
}

/* Keys and values one after the other, terminated, in v->texts. */
static const char *keep(struct property_values *v, const void *text, size_t len)
{
    if (len + 1 > sizeof v->texts - v->used)
        return NULL;
    char *kept = v->texts + v->used;
    if (len)
        memcpy(kept, text, len);
    kept[len] = '\0';
    v->used += len + 1;
    return kept;
}

static void put_tags(struct property_values *v, const struct attrs *tags)
{
    struct attr_item item;
    for (size_t at = 0; attrs_next(tags, &at, &item);) {
        const char *key = keep(v, item.name, item.name_len), *value = keep(v, item.value, item.len);
        if (!key || !value)
            return;
        put(v, AUTH_REQUEST_TAG, key, value, item.len);
        put(v, AUTH_REQUEST_TAG_KEYS, NULL, key, item.name_len);
    }
}

static void put_until(struct property_values *v, struct engine *e, int64_t until_ms)
{
    char days[24], until[40];
    int64_t left = until_ms - compliance_date_ms(e);
    timeform_format_ms(until_ms, until);
    snprintf(days, sizeof days, "%lld", (long long)(left > 0 ? (left + DAY_MS - 1) / DAY_MS : left / DAY_MS));
    const char *kept_until = keep(v, until, strlen(until)), *kept_days = keep(v, days, strlen(days));
    put(v, AUTH_LOCK_UNTIL, NULL, kept_until, strlen(until));
    put(v, AUTH_LOCK_REMAINING_DAYS, NULL, kept_days, strlen(days));
}

static void put_mode(struct property_values *v, enum lock_mode mode)
{
    const char *text = lock_mode_text(mode);
    if (text[0])
        put(v, AUTH_LOCK_MODE, NULL, text, strlen(text));
}

void property_values_read(const struct property_call *p, const char *text, size_t len, struct property_values *v)
{
    const char *name = p->property->name;
    struct lock_wanted wanted;
    struct attrs tags;
    bool on;
    v->count = v->used = 0;
    if (strcmp(name, "retention") == 0) {
        if (lock_retention_parse(text, compliance_date_ms(p->engine), &wanted, NULL) == 0) {
            put_mode(v, wanted.mode);
            put_until(v, p->engine, wanted.until_ms);
        }
    } else if (strcmp(name, "object-lock-mode") == 0) {
        if (lock_mode_parse(text, len, &wanted.mode) == 0)
            put_mode(v, wanted.mode);
    } else if (strcmp(name, "object-lock-retain-until-date") == 0) {
        if (timeform_lock_date(text, &wanted.until_ms) == 0)
            put_until(v, p->engine, wanted.until_ms);
    } else if (strcmp(name, "legal-hold") == 0 || strcmp(name, "object-lock-legal-hold") == 0) {
        if (lock_hold_parse(text, &on, NULL) == 0)
            put(v, AUTH_LOCK_HOLD, NULL, on ? "ON" : "OFF", on ? 2 : 3);
    } else if (strcmp(name, "tagging") == 0) {
        if (tagset_parse(text, len, LIMIT_OBJECT_TAGS, &tags, NULL) == 0) {
            put_tags(v, &tags);
            attrs_done(&tags);
        }
    } else if (strcmp(name, "tag.") == 0) {
        put(v, AUTH_REQUEST_TAG, p->rest, text, len);
        put(v, AUTH_REQUEST_TAG_KEYS, NULL, p->rest, strlen(p->rest));
    }
}
