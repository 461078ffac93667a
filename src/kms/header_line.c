/* SPDX-License-Identifier: GPL-3.0-or-later
 * Line 1 of the store header: JSON to value and back (encryption.md §1.1).
 *
 * It is parsed before its MAC can be checked (the key for that comes out of a slot), so nothing in it is
 * believed: unknown members and values out of bounds make it no header, and scrypt's parameters cannot ask
 * for the memory. */
#include "kms/internal.h"
#include "util/cleanup.h"
#include "util/text.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

enum { FORMAT_VERSION = 1, BASE64_CHARS_MAX = 4 * ((WRAPPED_KEY_BYTES + 2) / 3) };

static void json_cleanup(json_t **j)
{
    json_decref(*j);
}

/* ---- writing ---- */

static json_t *json_bytes(const uint8_t *bytes, size_t len)
{
    char text[BASE64_CHARS_MAX + 1];
    base64_format(bytes, len, text);
    json_t *j = json_string(text);
    secret_wipe(text, sizeof text);
    return j;
}

static json_t *epochs_json(const struct store_header *h)
{
    json_t *list = json_array();
    for (size_t i = 0; i < h->epoch_count; i++)
        json_array_append_new(list, json_pack("{s:I, s:o}", "e", (json_int_t)h->epochs[i].e, "secret",
                                              json_bytes(h->epochs[i].secret, KEY_BYTES)));
    return list;
}

static json_t *slot_json(const struct slot *s)
{
    json_t *j = json_pack("{s:i, s:i}", "n", s->n, "kind", s->kind);
    if (s->kind == SLOT_PASSPHRASE) {
        json_object_set_new(j, "log_n", json_integer(s->scrypt_log_n));
        json_object_set_new(j, "r", json_integer(s->scrypt_r));
        json_object_set_new(j, "p", json_integer(s->scrypt_p));
    }
    json_object_set_new(j, "salt", json_bytes(s->salt, sizeof s->salt));
    json_object_set_new(j, "wrapped", json_bytes(s->wrapped, sizeof s->wrapped));
    return j;
}

static json_t *slots_json(const struct store_header *h)
{
    json_t *list = json_array();
    for (size_t i = 0; i < h->slot_count; i++)
        json_array_append_new(list, slot_json(&h->slots[i]));
    return list;
}

/* What is written must be readable: this also notices a member that was lost for want of memory. */
static bool line_is_readable(const char *line, const struct store_header *h)
{
    struct store_header again;
    bool ok = header_line_parse(line, strlen(line), &again, NULL) == 0 && again.slot_count == h->slot_count &&
              again.epoch_count == h->epoch_count;
    secret_wipe(&again, sizeof again);
    return ok;
}

char *header_line_format(const struct store_header *h)
{
    char store[37];
    uuid_format(h->store_id, store);
    CLEANUP(json_cleanup)
    json_t *j = json_pack("{s:i, s:I, s:s, s:s, s:i, s:i, s:i, s:o, s:o}", "holdfs", FORMAT_VERSION, "seq",
                          (json_int_t)h->seq, "store", store, "created", h->created, "page_size",
                          (int)h->page_size_bytes, "page_reserve", LIMIT_PAGE_RESERVE_BYTES, "page_gen",
                          (int)h->page_generation, "epochs", epochs_json(h), "slots", slots_json(h));
    char *line = j ? json_dumps(j, JSON_COMPACT) : NULL;
    if (line && !line_is_readable(line, h)) {
        free(line);
        return NULL;
    }
    return line;
}

/* ---- reading ---- */

static bool get_uint(const json_t *j, const char *name, uint64_t min, uint64_t max, uint64_t *ret)
{
    const json_t *v = json_object_get(j, name);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return *ret >= min && *ret <= max;
}

static bool get_u32(const json_t *j, const char *name, uint32_t min, uint32_t max, uint32_t *ret)
{
    uint64_t v;
    if (!get_uint(j, name, min, max, &v))
        return false;
    *ret = (uint32_t)v;
    return true;
}

static bool get_u8(const json_t *j, const char *name, uint8_t min, uint8_t max, uint8_t *ret)
{
    uint64_t v;
    if (!get_uint(j, name, min, max, &v))
        return false;
    *ret = (uint8_t)v;
    return true;
}

static bool get_bytes(const json_t *j, const char *name, uint8_t *out, size_t len)
{
    const json_t *v = json_object_get(j, name);
    size_t got;
    return json_is_string(v) &&
           base64_parse(json_string_value(v), json_string_length(v), out, len, &got) == 0 && got == len;
}

static bool epochs_parse(const json_t *list, struct store_header *h)
{
    h->epoch_count = json_array_size(list);
    if (h->epoch_count < 1 || h->epoch_count > EPOCHS_MAX)
        return false;
    for (size_t i = 0; i < h->epoch_count; i++) {
        const json_t *j = json_array_get(list, i);
        struct epoch *e = &h->epochs[i];
        if (json_object_size(j) != 2 || !get_uint(j, "e", 1, INT64_MAX, &e->e) ||
            !get_bytes(j, "secret", e->secret, KEY_BYTES))
            return false;
    }
    return h->epoch_count == 1 || h->epochs[0].e != h->epochs[1].e;
}

static bool slot_parse(const json_t *j, struct slot *s)
{
    size_t members = 4;
    if (!get_u8(j, "n", 0, LIMIT_SLOTS - 1, &s->n) ||
        !get_u8(j, "kind", SLOT_PASSPHRASE, SLOT_RECOVERY, &s->kind) ||
        !get_bytes(j, "salt", s->salt, sizeof s->salt) ||
        !get_bytes(j, "wrapped", s->wrapped, sizeof s->wrapped))
        return false;
    if (s->kind == SLOT_PASSPHRASE) {
        members = 7;
        if (!get_u8(j, "log_n", LIMIT_SCRYPT_LOG_N_MIN, LIMIT_SCRYPT_LOG_N_MAX, &s->scrypt_log_n) ||
            !get_u32(j, "r", 8, 8, &s->scrypt_r) || !get_u32(j, "p", 1, LIMIT_SCRYPT_P_MAX, &s->scrypt_p))
            return false;
    }
    return json_object_size(j) == members;
}

static bool slots_parse(const json_t *list, struct store_header *h)
{
    unsigned seen = 0;
    h->slot_count = json_array_size(list);
    if (h->slot_count < 1 || h->slot_count > LIMIT_SLOTS)
        return false;
    for (size_t i = 0; i < h->slot_count; i++) {
        struct slot *s = &h->slots[i];
        if (!slot_parse(json_array_get(list, i), s) || seen >> s->n & 1)
            return false;
        seen |= 1u << s->n;
    }
    return true;
}

static bool header_parse(const json_t *j, struct store_header *h)
{
    uint32_t reserve;
    const json_t *created = json_object_get(j, "created"), *store = json_object_get(j, "store");
    if (json_object_size(j) != 9 || !get_uint(j, "seq", 1, INT64_MAX, &h->seq) ||
        !get_u32(j, "page_size", LIMIT_PAGE_MIN_BYTES, LIMIT_PAGE_MAX_BYTES, &h->page_size_bytes) ||
        h->page_size_bytes & (h->page_size_bytes - 1) ||
        !get_u32(j, "page_reserve", LIMIT_PAGE_RESERVE_BYTES, LIMIT_PAGE_RESERVE_BYTES, &reserve) ||
        !get_u32(j, "page_gen", 1, INT32_MAX, &h->page_generation))
        return false;
    if (!json_is_string(store) || uuid_parse(json_string_value(store), h->store_id) < 0)
        return false;
    if (!json_is_string(created) || json_string_length(created) >= sizeof h->created)
        return false;
    memcpy(h->created, json_string_value(created), json_string_length(created) + 1);
    return epochs_parse(json_object_get(j, "epochs"), h) && slots_parse(json_object_get(j, "slots"), h);
}

int header_line_parse(const char *line, size_t len, struct store_header *ret, struct reason *reason)
{
    CLEANUP(json_cleanup) json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    uint64_t version;
    if (get_uint(j, "holdfs", FORMAT_VERSION + 1, INT64_MAX, &version))
        return reason_fail(reason, EBADMSG, "the store header is of format %llu, this holdfs reads up to %d",
                           (unsigned long long)version, FORMAT_VERSION);
    struct store_header h = {0};
    if (!get_uint(j, "holdfs", FORMAT_VERSION, FORMAT_VERSION, &version) || !header_parse(j, &h))
        return reason_fail(reason, EBADMSG, "the store header has been altered");
    *ret = h;
    return 0;
}
