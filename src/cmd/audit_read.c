/* SPDX-License-Identifier: GPL-3.0-or-later
 * Walking through the trail of a store, of a daemon or opened here; times and filters of the verbs that do. */
#include "cmd/audit.h"
#include "util/clock.h"
#include "util/text.h"
#include "util/timeform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LATE_S = 120 /* a folded refusal enters the chain up to a minute after its time */ };

static const int64_t last_s = 253402300799; /* the end of the year 9999 */

/* ---- pages ---- */

static int place_of_head(const json_t *head, struct audit_place *ret)
{
    struct audit_head h;
    const json_t *text = json_object_get(head, "text");
    int r = audit_head_read(json_string_value(text) ? json_string_value(text) : "", json_string_length(text), &h);
    if (r == 0)
        *ret = h.place;
    return r;
}

static int page_read(struct audit_reader *r, uint64_t after, json_int_t max, struct reason *reason)
{
    json_t *answer = NULL;
    int q = session_call(r->session, "audit.read", json_pack("{s:I, s:I}", "after", (json_int_t)after, "max", max), -1, &answer, reason);
    if (q < 0)
        return q;
    const char *chain = json_string_value(json_object_get(answer, "chain"));
    snprintf(r->chain, sizeof r->chain, "%s", chain ? chain : "");
    r->last = (uint64_t)json_integer_value(json_object_get(answer, "last"));
    r->more = json_is_true(json_object_get(answer, "more"));
    json_decref(r->page);
    r->page = json_incref(json_object_get(answer, "records"));
    r->at = 0;
    json_decref(r->checkpoint);
    r->checkpoint = json_incref(json_object_get(answer, "checkpoint"));
    json_decref(answer);
    return 0;
}

int audit_open(const struct invocation *inv, bool writes, struct audit_reader *r)
{
    struct target target;
    struct reason reason = {0};
    *r = (struct audit_reader){0};
    int q = target_find(inv->operands[0], &target, &reason);
    if (q < 0)
        return command_refuse_reason(&reason, q, inv->operands[0]);
    r->session = session_open(inv, &target, !writes);
    if (!r->session)
        return EXIT_REFUSED;
    q = page_read(r, 0, 0, &reason);
    if (q == 0)
        q = r->checkpoint ? place_of_head(r->checkpoint, &r->start) : audit_genesis(r->chain, &r->start);
    if (q < 0) {
        audit_close(r);
        return command_refuse_reason(&reason, q, inv->operands[0]);
    }
    r->after = r->start.seq;
    return EXIT_DONE;
}

void audit_close(struct audit_reader *r)
{
    json_decref(r->page);
    json_decref(r->checkpoint);
    session_close(r->session);
    *r = (struct audit_reader){0};
}

void audit_skip(struct audit_reader *r, uint64_t after)
{
    json_decref(r->page);
    r->page = NULL;
    r->at = 0;
    r->after = after < r->start.seq ? r->start.seq : after;
}

static int item_read(const json_t *one, struct audit_item *ret)
{
    const char *hash = json_string_value(json_object_get(one, "hash"));
    ret->place.seq = (uint64_t)json_integer_value(json_object_get(one, "seq"));
    ret->text = json_string_value(json_object_get(one, "text"));
    ret->len = json_string_length(json_object_get(one, "text"));
    return hash && ret->text && strlen(hash) == 2 * AUDIT_HASH_BYTES ? hex_parse(hash, 2 * AUDIT_HASH_BYTES, ret->place.hash) : -EINVAL;
}

int audit_next(struct audit_reader *r, struct audit_item *ret, struct reason *reason)
{
    if (r->at >= json_array_size(r->page)) {
        int q = page_read(r, r->after, 1000, reason);
        if (q < 0)
            return q;
        if (!json_array_size(r->page))
            return 0;
    }
    int q = item_read(json_array_get(r->page, r->at++), ret);
    if (q < 0)
        return reason_fail(reason, EBADMSG, "a record behind %llu is not in a form this holdfs reads", (unsigned long long)r->after);
    r->after = ret->place.seq;
    return 1;
}

static int time_at(struct audit_reader *r, uint64_t seq, char out[40], struct reason *reason)
{
    struct audit_item item;
    audit_skip(r, seq - 1);
    int q = page_read(r, seq - 1, 1, reason);
    if (q == 0)
        q = audit_next(r, &item, reason);
    if (q <= 0)
        return q < 0 ? q : -ENOENT;
    json_t *o = json_loadb(item.text, item.len, 0, NULL);
    const char *time = json_string_value(json_object_get(o, "eventTime"));
    snprintf(out, 40, "%s", time ? time : "");
    json_decref(o);
    return 0;
}

int audit_seek(struct audit_reader *r, const char *time, struct reason *reason)
{
    struct instant at;
    char early[40], here[40];
    bool relative;
    if (timeform_parse(time, (struct instant){last_s, 0}, &at, &relative, reason) < 0)
        return -EINVAL;
    timeform_format_ms((at.sec - LATE_S) * 1000, early);
    uint64_t low = r->start.seq + 1, high = r->last + 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int q = time_at(r, middle, here, reason);
        if (q < 0)
            return q;
        if (strcmp(here, early) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    audit_skip(r, low - 1);
    return 0;
}

int audit_heads(struct audit_reader *r, json_t **ret_heads, json_t **ret_answer, struct reason *reason)
{
    json_t *list = json_array(), *answer = NULL;
    json_int_t after = 0;
    int q = list ? 0 : -ENOMEM;
    do {
        json_decref(answer);
        answer = NULL;
        if (q == 0)
            q = session_call(r->session, "audit.heads", json_pack("{s:I}", "after", after), -1, &answer, reason);
        json_t *page = json_object_get(answer, "heads");
        if (q == 0 && json_array_extend(list, page) < 0)
            q = -ENOMEM;
        after = json_integer_value(json_object_get(json_array_get(page, json_array_size(page) - 1), "seq"));
    } while (q == 0 && json_is_true(json_object_get(answer, "more")));
    if (q < 0) {
        json_decref(list);
        json_decref(answer);
        return q;
    }
    *ret_heads = list;
    *ret_answer = answer;
    return 0;
}

/* ---- filters ---- */

int audit_time(const struct invocation *inv, const char *option, char out[40])
{
    const char *text = invocation_value(inv, option);
    struct reason reason = {0};
    struct instant at, now;
    int64_t wall = clock_wall_ns();
    bool relative;
    out[0] = '\0';
    if (!text)
        return EXIT_DONE;
    now = (struct instant){wall / 1000000000, (uint32_t)(wall % 1000000000)};
    if (timeform_parse(text, now, &at, &relative, &reason) < 0)
        return command_usage(inv, "--%s: %s", option, reason.text);
    timeform_format_ms(at.sec * 1000, out);
    memcpy(strchr(out, '.'), "Z", 2); /* as records have it */
    return EXIT_DONE;
}

/* A path of the store's, or just BUCKET/KEY. */
static void object_read(const char *path, char out[4200])
{
    struct target target;
    struct reason reason;
    bool found = target_find(path, &target, &reason) == 0;
    snprintf(out, 4200, "%s", found ? target.path : path);
    size_t len = strlen(out);
    while (len && out[len - 1] == '/')
        out[--len] = '\0';
}

int audit_filter_read(const struct invocation *inv, struct audit_filter *ret)
{
    const char *object = invocation_value(inv, "object");
    *ret = (struct audit_filter){.event = invocation_value(inv, "event"), .user = invocation_value(inv, "user")};
    if (object)
        object_read(object, ret->object);
    int status = audit_time(inv, "since", ret->since);
    return status == EXIT_DONE ? audit_time(inv, "until", ret->until) : status;
}

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

static bool user_fits(const char *user, const json_t *record)
{
    const json_t *identity = json_object_get(record, "userIdentity");
    return strcmp(user, text_of(identity, "userName")) == 0 || strcmp(user, text_of(identity, "arn")) == 0 ||
           strcmp(user, text_of(identity, "principalId")) == 0 || (strcmp(user, "root") == 0 && strcmp(text_of(identity, "type"), "Root") == 0) ||
           (strcmp(user, "anonymous") == 0 && strcmp(text_of(identity, "type"), "Anonymous") == 0);
}

/* The object, or one below it. */
static bool object_fits(const char *object, const json_t *record)
{
    static const char prefix[] = "arn:aws:s3:::";
    size_t n, len = strlen(object);
    json_t *one;
    json_array_foreach(json_object_get(record, "resources"), n, one) {
        const char *arn = text_of(one, "ARN");
        if (strncmp(arn, prefix, strlen(prefix)) != 0)
            continue;
        arn += strlen(prefix);
        if (strncmp(arn, object, len) == 0 && (!len || !arn[len] || arn[len] == '/'))
            return true;
    }
    return false;
}

bool audit_filter_fits(const struct audit_filter *f, const json_t *record)
{
    const char *time = text_of(record, "eventTime");
    return (!f->event || strcmp(f->event, text_of(record, "eventName")) == 0) && (!f->user || user_fits(f->user, record)) &&
           (!f->object[0] || object_fits(f->object, record)) && (!f->since[0] || strcmp(time, f->since) >= 0) &&
           (!f->until[0] || strcmp(time, f->until) <= 0);
}
