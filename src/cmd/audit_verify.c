/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs audit verify: recomputes the chain, of a store or of an export, and checks it against signed heads and anchors.
 *
 * Nothing the daemon says of itself is believed: hashes and signatures are computed here, from the texts. */
#include "cmd/audit.h"
#include "cmd/render.h"
#include "util/cleanup.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { KEYS_MAX = 256, TEXT_MAX_BYTES = 64 << 20 };

/* A place somebody signed: a head in the store, or one that was carried away. */
struct told {
    struct audit_head head;
    uint8_t signature[AUDIT_SIGNATURE_BYTES];
    struct bytes message;
    const char *kind; /* "head", "anchor" */
    bool seen;
    uint8_t here[AUDIT_HASH_BYTES]; /* of the record at its seq, when seen */
};

struct keys {
    uint8_t trusted[KEYS_MAX][AUDIT_PUBLIC_BYTES];
    size_t count;
    uint8_t pairs[KEYS_MAX][2][AUDIT_PUBLIC_BYTES]; /* old and new, as records name them */
    size_t pair_count;
};

struct verify {
    struct audit_verifier v;
    struct told *told;
    size_t told_count, told_cap;
    struct keys keys;
    char last_time[40];
};

/* ---- what was signed ---- */

static int told_add(struct verify *w, const char *text, size_t len, const char *signature, const char *kind)
{
    if (w->told_count == w->told_cap) {
        size_t cap = w->told_cap ? w->told_cap * 2 : 64;
        struct told *grown = realloc(w->told, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        w->told = grown;
        w->told_cap = cap;
    }
    struct told *t = &w->told[w->told_count];
    *t = (struct told){.kind = kind};
    size_t got = 0;
    if (audit_head_read(text, len, &t->head) < 0 || !signature || base64_parse(signature, strlen(signature), t->signature, sizeof t->signature, &got) < 0 ||
        got != sizeof t->signature)
        return -EINVAL;
    audit_head_message(text, len, &t->message);
    w->told_count++;
    return t->message.failed ? -ENOMEM : 0;
}

static int told_order(const void *a, const void *b)
{
    const struct told *x = a, *y = b;
    return (x->head.place.seq > y->head.place.seq) - (x->head.place.seq < y->head.place.seq);
}

static int heads_add(struct verify *w, const json_t *heads)
{
    size_t n;
    json_t *one;
    int q = 0;
    json_array_foreach((json_t *)heads, n, one) {
        const json_t *text = json_object_get(one, "text");
        q = json_string_value(text) ? told_add(w, json_string_value(text), json_string_length(text), json_string_value(json_object_get(one, "sig")), "head")
                                    : -EINVAL;
        if (q < 0)
            break;
    }
    return q;
}

/* Lines {"head":{...},"sig":"..."}, as `audit anchor` writes them. */
static int anchor_line(struct verify *w, const char *line, size_t len)
{
    struct bytes text = {0};
    json_t *o = json_loadb(line, len, 0, NULL), *head = json_object_get(o, "head");
    int q = head ? audit_canonical(head, &text) : -EINVAL;
    if (q == 0)
        q = told_add(w, (const char *)text.data, text.len, json_string_value(json_object_get(o, "sig")), "anchor");
    bytes_done(&text);
    json_decref(o);
    return q;
}

static int anchor_file(struct verify *w, const char *path, struct reason *reason)
{
    FILE *f = fopen(path, "re");
    CLEANUP_FREE char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    int q = f ? 0 : reason_fail(reason, errno, "%s: %s", path, strerror(errno));
    for (unsigned n = 1; q == 0 && (len = getline(&line, &cap, f)) > 0; n++) {
        if (len == 1 && *line == '\n')
            continue;
        q = anchor_line(w, line, (size_t)len);
        if (q == -EINVAL)
            q = reason_fail(reason, EINVAL, "%s: line %u is no signed head", path, n);
    }
    if (f)
        fclose(f);
    return q;
}

/* ---- records ---- */

/* A record that says that one key follows another. */
static void keys_look(struct verify *w, const char *text, size_t len)
{
    const char *old = NULL, *fresh = NULL, *name = NULL, *source = NULL;
    if (!memmem(text, len, "RotateAuditKey", 14) || w->keys.pair_count == KEYS_MAX)
        return;
    json_t *o = json_loadb(text, len, 0, NULL);
    if (json_unpack(o, "{s:s, s:s, s:{s:s}, s:{s:{s:s}}}", "eventName", &name, "eventSource", &source, "requestParameters", "publicKey", &fresh,
                    "additionalEventData", "previous", "publicKey", &old) == 0 &&
        strcmp(name, "RotateAuditKey") == 0 && strcmp(source, "holdfs") == 0 && strlen(old) == 2 * AUDIT_PUBLIC_BYTES &&
        strlen(fresh) == 2 * AUDIT_PUBLIC_BYTES && hex_parse(old, strlen(old), w->keys.pairs[w->keys.pair_count][0]) == 0 &&
        hex_parse(fresh, strlen(fresh), w->keys.pairs[w->keys.pair_count][1]) == 0)
        w->keys.pair_count++;
    json_decref(o);
}

static void told_look(struct verify *w, const struct audit_item *item)
{
    size_t low = 0, high = w->told_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (w->told[middle].head.place.seq < item->place.seq)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < w->told_count && w->told[low].head.place.seq == item->place.seq; low++) {
        w->told[low].seen = true;
        memcpy(w->told[low].here, item->place.hash, AUDIT_HASH_BYTES);
    }
}

static int record_look(struct verify *w, const struct audit_item *item, const uint8_t *prev)
{
    int q = audit_verify_record(&w->v, &item->place, prev, item->text, item->len);
    if (q == 0) {
        told_look(w, item);
        keys_look(w, item->text, item->len);
    }
    return q;
}

/* ---- judging ---- */

static bool is_trusted(const struct keys *k, const uint8_t *public)
{
    for (size_t n = 0; n < k->count; n++) {
        if (memcmp(k->trusted[n], public, AUDIT_PUBLIC_BYTES) == 0)
            return true;
    }
    return false;
}

/* From the key that is given to those that its records lead to, either way. */
static void keys_close(struct keys *k)
{
    for (size_t before = 0; before != k->count;) {
        before = k->count;
        for (size_t n = 0; n < k->pair_count; n++) {
            for (unsigned side = 0; side < 2; side++) {
                if (is_trusted(k, k->pairs[n][side]) && !is_trusted(k, k->pairs[n][!side]) && k->count < KEYS_MAX)
                    memcpy(k->trusted[k->count++], k->pairs[n][!side], AUDIT_PUBLIC_BYTES);
            }
        }
    }
}

static bool is_signed(const struct keys *k, const struct told *t)
{
    for (size_t n = 0; n < k->count; n++) {
        char id[AUDIT_KEY_ID_CHARS + 1];
        if (audit_key_id(k->trusted[n], id) == 0 && strcmp(id, t->head.key) == 0 &&
            audit_signed(k->trusted[n], t->message.data, t->message.len, t->signature))
            return true;
    }
    return false;
}

/* Every head and anchor, after the records. */
static void told_judge(struct verify *w)
{
    keys_close(&w->keys);
    for (size_t n = 0; n < w->told_count; n++) {
        const struct told *t = &w->told[n];
        if (t->head.place.seq + 1 < w->v.first)
            continue;
        if (strcmp(t->head.chain, w->v.chain) != 0 || !is_signed(&w->keys, t))
            audit_verify_fail(&w->v, AUDIT_BAD_HEAD, t->head.place.seq);
        else if (t->head.place.seq + 1 > w->v.first)
            audit_verify_place(&w->v, &t->head.place, t->seen ? t->here : NULL);
    }
}

static const struct told *newest_of(const struct verify *w, const char *kind)
{
    const struct told *newest = NULL;
    for (size_t n = 0; n < w->told_count; n++) {
        if (strcmp(w->told[n].kind, kind) == 0)
            newest = &w->told[n];
    }
    return newest;
}

static size_t count_of(const struct verify *w, const char *kind)
{
    size_t count = 0;
    for (size_t n = 0; n < w->told_count; n++)
        count += strcmp(w->told[n].kind, kind) == 0;
    return count;
}

static int report(const struct invocation *inv, const struct verify *w, const json_t *anchored)
{
    const struct told *anchor = newest_of(w, "anchor"), *head = newest_of(w, "head");
    const char *when = anchor ? anchor->head.time : json_string_value(json_object_get(anchored, "time"));
    const char *where = anchor ? "the anchor file" : json_string_value(json_object_get(anchored, "url"));
    bool sound = w->v.fault == AUDIT_SOUND;
    if (inv->json) {
        json_t *out = json_pack("{s:b, s:s, s:I, s:I, s:I, s:I, s:I}", "unbroken", sound, "chain", w->v.chain, "records", (json_int_t)w->v.records, "first",
                                (json_int_t)w->v.first, "last", (json_int_t)w->v.place.seq, "heads", (json_int_t)count_of(w, "head"), "anchors",
                                (json_int_t)count_of(w, "anchor"));
        if (out && !sound) {
            json_object_set_new(out, "bad_seq", json_integer((json_int_t)w->v.bad_seq));
            json_object_set_new(out, "fault", json_string(audit_fault_text(w->v.fault)));
        }
        if (out && when)
            json_object_set_new(out, "anchored", json_pack("{s:s, s:s*}", "time", when, "at", where));
        render_answer(out, true);
        return sound ? EXIT_DONE : EXIT_REFUSED;
    }
    if (!sound)
        return command_refuse("record %llu of chain %s: %s", (unsigned long long)w->v.bad_seq, w->v.chain, audit_fault_text(w->v.fault));
    printf("%llu records, unbroken, ", (unsigned long long)w->v.records);
    if (when)
        printf("last anchored %s at %s\n", when, where ? where : "an anchor");
    else if (head)
        printf("signed until %s, never anchored off this host\n", head->head.time);
    else
        printf("not signed\n");
    return EXIT_DONE;
}

/* ---- where keys and records come from ---- */

static int key_file(const char *path, uint8_t ret[AUDIT_PUBLIC_BYTES], struct reason *reason)
{
    char text[4096];
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0)
        return reason_fail(reason, errno, "%s: %s", path, strerror(errno));
    if (audit_public_read_pem(text, (size_t)n, ret) < 0)
        return reason_fail(reason, EINVAL, "%s holds no Ed25519 public key in PEM; STORE/audit.pub is one", path);
    return 0;
}

static int given_read(const struct invocation *inv, struct verify *w, struct reason *reason)
{
    const char *key = invocation_value(inv, "public-key");
    int q = 0;
    if (key && (q = key_file(key, w->keys.trusted[0], reason)) == 0)
        w->keys.count = 1;
    for (size_t n = 0; q == 0 && n < inv->given_count; n++) {
        if (strcmp(inv->given[n].option->name, "anchors") == 0)
            q = anchor_file(w, inv->given[n].value, reason);
    }
    return q;
}

static int store_walk(struct audit_reader *r, struct verify *w, const char *since, struct reason *reason)
{
    struct audit_item item;
    struct audit_place from = r->start;
    int q = 0;
    if (since[0]) {
        q = audit_seek(r, since, reason);
        if (q == 0 && r->after > r->start.seq) { /* the record before is taken as it stands */
            audit_skip(r, r->after - 1);
            q = audit_next(r, &item, reason);
            if (q > 0)
                from = item.place;
        }
    }
    if (q >= 0)
        q = audit_verify_begin(&w->v, r->chain, &from);
    while (q >= 0 && (q = audit_next(r, &item, reason)) > 0)
        q = record_look(w, &item, NULL);
    return q;
}

static int store_verify(const struct invocation *inv, struct verify *w, struct reason *reason, int *ret_status)
{
    struct audit_reader r;
    char since[40];
    json_t *heads = NULL, *answer = NULL;
    int status = audit_time(inv, "since", since);
    if (status == EXIT_DONE)
        status = audit_open(inv, false, &r);
    *ret_status = status;
    if (status != EXIT_DONE)
        return 0;
    int q = audit_heads(&r, &heads, &answer, reason);
    if (q == 0)
        q = heads_add(w, heads);
    if (q == 0 && r.checkpoint)
        q = heads_add(w, json_pack("[O]", r.checkpoint));
    const char *public = json_string_value(json_object_get(answer, "public"));
    if (q == 0 && !w->keys.count && public && strlen(public) == 2 * AUDIT_PUBLIC_BYTES &&
        hex_parse(public, strlen(public), w->keys.trusted[0]) == 0)
        w->keys.count = 1;
    if (q == 0 && w->told_count)
        qsort(w->told, w->told_count, sizeof *w->told, told_order);
    if (q == 0)
        q = store_walk(&r, w, since, reason);
    if (q == 0) {
        told_judge(w);
        *ret_status = report(inv, w, json_object_get(answer, "anchored"));
    }
    json_decref(heads);
    json_decref(answer);
    audit_close(&r);
    return q;
}

/* ---- an export ---- */

/* A line of an export, taken apart: its canonical text without `chain`, and what that says. */
static int line_look(struct verify *w, const char *line, size_t len, bool first)
{
    const char *name = NULL, *prev = NULL, *hash = NULL;
    json_int_t seq = 0;
    struct audit_item item = {0};
    uint8_t before[AUDIT_HASH_BYTES];
    struct bytes text = {0};
    json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    int q = json_unpack(o, "{s:{s:s, s:I, s:s, s:s}}", "chain", "name", &name, "seq", &seq, "prev", &prev, "hash", &hash) == 0 && seq > 0 &&
                    strlen(prev) == 2 * AUDIT_HASH_BYTES && strlen(hash) == 2 * AUDIT_HASH_BYTES && hex_parse(prev, strlen(prev), before) == 0 &&
                    hex_parse(hash, strlen(hash), item.place.hash) == 0 && strlen(name) <= AUDIT_CHAIN_CHARS
                ? 0
                : -EINVAL;
    item.place.seq = (uint64_t)seq;
    if (q == 0 && first) { /* an export may begin anywhere; one that begins at 1 begins with the genesis */
        struct audit_place from = {.seq = (uint64_t)seq - 1};
        memcpy(from.hash, before, AUDIT_HASH_BYTES);
        q = audit_verify_begin(&w->v, name, seq == 1 ? NULL : &from);
    }
    if (q == 0) {
        json_object_del(o, "chain");
        q = audit_canonical(o, &text);
        item.text = (const char *)text.data;
        item.len = text.len;
    }
    if (q == 0)
        q = record_look(w, &item, before);
    bytes_done(&text);
    json_decref(o);
    return q;
}

static int file_verify(const struct invocation *inv, struct verify *w, struct reason *reason, int *ret_status)
{
    const char *path = inv->operands[0];
    FILE *f = fopen(path, "re");
    CLEANUP_FREE char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    if (!f)
        return reason_fail(reason, errno, "%s: %s", path, strerror(errno));
    if (w->told_count)
        qsort(w->told, w->told_count, sizeof *w->told, told_order);
    int q = 0;
    bool first = true;
    while (q == 0 && (len = getline(&line, &cap, f)) > 0) {
        q = line_look(w, line, (size_t)len, first);
        if (q == -EINVAL && !first) { /* not even JSON any more */
            audit_verify_fail(&w->v, AUDIT_CHANGED, w->v.place.seq + 1);
            w->v.records++;
            q = 0;
        }
        first = false;
    }
    fclose(f);
    if (q < 0 || first)
        return reason_fail(reason, EINVAL, "'%s' is no export of an audit trail: holdfs audit export --format jsonl makes one", path);
    if (!w->keys.count) { /* without a key signatures cannot be checked, places can */
        for (size_t n = 0; n < w->told_count; n++) {
            if (strcmp(w->told[n].head.chain, w->v.chain) == 0 && w->told[n].head.place.seq >= w->v.first)
                audit_verify_place(&w->v, &w->told[n].head.place, w->told[n].seen ? w->told[n].here : NULL);
        }
    } else {
        told_judge(w);
    }
    *ret_status = report(inv, w, NULL);
    return 0;
}

static int verify_run(const struct invocation *inv)
{
    struct verify *w = calloc(1, sizeof *w);
    struct reason reason = {0};
    struct stat st;
    int status = EXIT_REFUSED;
    int q = w ? given_read(inv, w, &reason) : -ENOMEM;
    bool is_file = stat(inv->operands[0], &st) == 0 && S_ISREG(st.st_mode);
    if (q == 0)
        q = is_file ? file_verify(inv, w, &reason, &status) : store_verify(inv, w, &reason, &status);
    for (size_t n = 0; w && n < w->told_count; n++)
        bytes_done(&w->told[n].message);
    if (w)
        free(w->told);
    free(w);
    if (q < 0) {
        command_refuse_reason(&reason, q, inv->operands[0]);
        return EXIT_USAGE; /* logs.md §3.4: 2 is "cannot run", so that 1 always means a trail that is not sound */
    }
    return status;
}

static const struct option verify_options[] = {
    {"anchors", "FILE", "signed heads that were carried off the host, as a file: anchor has them", NULL, true},
    {"public-key", "F", "trust this key, not the one in the store", NULL, false},
    {"since", "TIME", "records from then on; the one before is taken as it stands", NULL, false},
    {0},
};

const struct command audit_verify = {
    .name = "audit verify",
    .operands = "STORE|MNT|FILE.jsonl",
    .summary = "check that the audit trail is whole",
    .text = "Recomputes every hash, and checks each signed head and anchor. Exit status 0: unbroken. 1: the first record that is not as it was, and what is "
            "wrong: changed, missing, inserted, moved, tail cut (a head or anchor lies beyond the end). 2: it could not run. Root of the host can write the chain "
            "anew from the last anchor on, not before it: keep anchors and STORE/audit.pub elsewhere. A file is taken as an export.",
    .options = verify_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs audit verify /mnt/hold", "Of a mount"},
                 {"holdfs audit verify --anchors heads.jsonl --public-key audit.pub /srv/store", "Against what is kept elsewhere"}},
    .run = verify_run,
};
