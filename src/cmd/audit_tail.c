/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs audit tail: the newest records, as lines for people or as JSON Lines, and with -f those that come. */
#include "cmd/audit.h"
#include "cmd/render.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAIL_DEFAULT = 10, TAIL_MAX = 1000000, FOLLOW_MS = 1000 };

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

/* "2026-11-24T12:00:00Z  alice  PutObjectLegalHold  b/f  AccessDenied: words" */
static void print_line(const json_t *record)
{
    const json_t *identity = json_object_get(record, "userIdentity");
    const json_t *extra = json_object_get(record, "additionalEventData");
    const char *who = text_of(identity, "userName"), *type = text_of(identity, "type");
    const char *arn = text_of(json_array_get(json_object_get(record, "resources"), 0), "ARN");
    const char *error = text_of(record, "errorCode");
    json_int_t count = json_integer_value(json_object_get(extra, "count"));
    char line[2048], many[32] = "";
    if (!who[0])
        who = strcmp(type, "Root") == 0 ? "root" : strcmp(type, "Anonymous") == 0 ? "anonymous" : text_of(identity, "principalId");
    if (strncmp(arn, "arn:aws:s3:::", 13) == 0)
        arn += 13;
    if (count > 1)
        snprintf(many, sizeof many, " (%lld times)", (long long)count);
    snprintf(line, sizeof line, "%s  %-10s %-28s %s%s%s%s%s%s", text_of(record, "eventTime"), who, text_of(record, "eventName"), arn[0] ? arn : "-",
             many, error[0] ? "  " : "", error, error[0] ? ": " : "", text_of(record, "errorMessage"));
    puts(render_clean(line));
}

static int print_item(struct audit_reader *r, const struct audit_place *before, const struct audit_item *item, bool json)
{
    if (!json) {
        json_t *record = json_loadb(item->text, item->len, 0, NULL);
        print_line(record);
        json_decref(record);
        return 0;
    }
    struct bytes line = {0};
    int q = audit_line(r->chain, before, &item->place, item->text, item->len, &line);
    if (q == 0)
        printf("%s\n", bytes_text(&line));
    bytes_done(&line);
    return q;
}

/* The newest that fit, kept until all were seen. */
struct kept {
    struct audit_place before;
    struct audit_item item;
    char *text;
};

struct tail {
    struct audit_filter filter;
    struct kept *ring;
    size_t cap, count, next;
};

static bool fits(const struct tail *t, const struct audit_item *item)
{
    json_t *record = json_loadb(item->text, item->len, 0, NULL);
    bool yes = record && audit_filter_fits(&t->filter, record);
    json_decref(record);
    return yes;
}

static int keep(struct tail *t, const struct audit_place *before, const struct audit_item *item)
{
    struct kept *k = &t->ring[t->next];
    char *text = strndup(item->text, item->len);
    if (!text)
        return -ENOMEM;
    free(k->text);
    *k = (struct kept){.before = *before, .item = *item, .text = text};
    k->item.text = text;
    t->next = (t->next + 1) % t->cap;
    t->count += t->count < t->cap;
    return 0;
}

static int gather(struct audit_reader *r, struct tail *t, struct audit_place *before, struct reason *reason)
{
    struct audit_item item;
    int q;
    while ((q = audit_next(r, &item, reason)) > 0) {
        if (t->cap && fits(t, &item) && (q = keep(t, before, &item)) < 0)
            return q;
        *before = item.place;
    }
    return q;
}

static int follow(struct audit_reader *r, struct tail *t, struct audit_place *before, bool json, struct reason *reason)
{
    struct audit_item item;
    int q;
    for (;;) {
        while ((q = audit_next(r, &item, reason)) > 0) {
            if (fits(t, &item) && (q = print_item(r, before, &item, json)) < 0)
                return q;
            *before = item.place;
        }
        if (q < 0)
            return q;
        if (fflush(stdout) == EOF)
            return -EPIPE;
        poll(NULL, 0, FOLLOW_MS);
    }
}

static bool is_filtered(const struct audit_filter *f)
{
    return f->event || f->user || f->object[0];
}

/* One record early: the line of the first names the hash of the one before. */
static int begin(struct audit_reader *r, const struct tail *t, struct audit_place *before, struct reason *reason)
{
    struct audit_item item;
    uint64_t back = is_filtered(&t->filter) ? r->last : t->cap;
    audit_skip(r, r->last > back ? r->last - back - 1 : 0);
    *before = r->start;
    if (r->after <= r->start.seq)
        return 0;
    int q = audit_next(r, &item, reason);
    if (q > 0)
        *before = item.place;
    return q < 0 ? q : 0;
}

static int tail_run(const struct invocation *inv)
{
    struct audit_reader r;
    struct tail t = {.cap = TAIL_DEFAULT};
    struct reason reason = {0};
    struct audit_place before;
    const char *n = invocation_value(inv, "n");
    char *end = NULL;
    unsigned long lines = n ? strtoul(n, &end, 10) : TAIL_DEFAULT;
    if (n && (*n < '0' || *n > '9' || *end || lines > TAIL_MAX))
        return command_usage(inv, "-n takes a number of records, at most %d", TAIL_MAX);
    t.cap = lines;
    int status = audit_filter_read(inv, &t.filter);
    if (status == EXIT_DONE)
        status = audit_open(inv, false, &r);
    if (status != EXIT_DONE)
        return status;
    t.ring = calloc(t.cap ? t.cap : 1, sizeof *t.ring);
    int q = t.ring ? begin(&r, &t, &before, &reason) : -ENOMEM;
    if (q == 0)
        q = gather(&r, &t, &before, &reason);
    for (size_t i = 0; q == 0 && i < t.count; i++) {
        const struct kept *k = &t.ring[(t.next + t.cap - t.count + i) % t.cap];
        q = print_item(&r, &k->before, &k->item, inv->json);
    }
    if (q == 0 && invocation_has(inv, "f"))
        q = follow(&r, &t, &before, inv->json, &reason);
    for (size_t i = 0; t.ring && i < t.cap; i++)
        free(t.ring[i].text);
    free(t.ring);
    audit_close(&r);
    return q < 0 ? command_refuse_reason(&reason, q, inv->operands[0]) : EXIT_DONE;
}

static const struct option tail_options[] = {
    {"f", NULL, "go on with what comes", NULL, false},
    {"n", "N", "this many, default 10", NULL, false},
    {"event", "NAME", "of this name only, as PutObjectLegalHold", NULL, false},
    {"user", "U", "of this user only: a name, an ARN, root or anonymous", NULL, false},
    {"object", "PATH", "about this object, or what lies below it, only", NULL, false},
    {0},
};

const struct command audit_tail = {
    .name = "audit tail",
    .operands = "STORE|MNT",
    .summary = "show the newest records of the audit trail",
    .text = "Shows the newest records, oldest first: when, who, what, on what, and why it was refused. With --json each is one line "
            "of JSON in CloudTrail's form with its place in the chain. With a filter the newest that fit. Who may: the first account's root, and users "
            "with audit:Read.",
    .options = tail_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs audit tail -f /mnt/hold", "As it goes on"},
                 {"holdfs audit tail --json -n 100 --user alice /mnt/hold", "For a script"}},
    .run = tail_run,
};
