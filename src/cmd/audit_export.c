/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs audit export and heads: records and signed heads as files, for readers that know nothing of holdfs. */
#include "cmd/audit.h"
#include "cmd/render.h"
#include "util/cleanup.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { CLOUDTRAIL_RECORDS = 5000, PATH_BYTES = 4352 };

/* Written under another name and then renamed: what stands there is whole. */
struct output {
    char path[PATH_BYTES], fresh[PATH_BYTES + 8];
    FILE *file;   /* jsonl */
    gzFile gz;    /* cloudtrail */
    uint64_t records;
};

static int output_begin(struct output *o, bool packed)
{
    snprintf(o->fresh, sizeof o->fresh, "%s.part", o->path);
    int fd = open(o->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (packed)
        o->gz = gzdopen(fd, "wb");
    else
        o->file = fdopen(fd, "w");
    return o->gz || o->file ? 0 : -ENOMEM;
}

static int output_put(struct output *o, const void *text, size_t len)
{
    if (o->gz)
        return gzwrite(o->gz, text, (unsigned)len) == (int)len ? 0 : -EIO;
    return fwrite(text, 1, len, o->file) == len ? 0 : -errno;
}

static int output_end(struct output *o, int r)
{
    if (o->gz && gzclose(o->gz) != Z_OK && r == 0)
        r = -EIO;
    if (o->file && (fflush(o->file) != 0 || fsync(fileno(o->file)) < 0) && r == 0)
        r = -errno;
    if (o->file)
        fclose(o->file);
    o->gz = NULL;
    o->file = NULL;
    if (r == 0 && rename(o->fresh, o->path) < 0)
        r = -errno;
    if (r < 0)
        unlink(o->fresh);
    return r;
}

/* ---- export ---- */

struct export {
    struct audit_reader r;
    struct audit_filter filter;
    const char *dir;
    bool cloudtrail, open;
    struct output out;
    uint64_t records, files;
};

/* ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_UNIQUE.json.gz: of the first record in it. */
static void cloudtrail_name(struct export *x, const json_t *record, const struct audit_item *item)
{
    const char *time = json_string_value(json_object_get(record, "eventTime")), *account = json_string_value(json_object_get(record, "recipientAccountId"));
    const char *region = json_string_value(json_object_get(record, "awsRegion"));
    char stamp[16] = "", unique[17];
    for (size_t n = 0, at = 0; time && time[n] && n < 16 && at < 13; n++) {
        if (time[n] != '-' && time[n] != ':')
            stamp[at++] = time[n];
    }
    hex_format(item->place.hash, 8, unique);
    snprintf(x->out.path, sizeof x->out.path, "%.4096s/%.12s_CloudTrail_%.64s_%sZ_%s.json.gz", x->dir, account ? account : "0", region ? region : "-", stamp,
             unique);
}

static int export_switch(struct export *x, const json_t *record, const struct audit_item *item)
{
    int q = 0;
    if (x->open && x->cloudtrail && x->out.records == CLOUDTRAIL_RECORDS) {
        q = output_end(&x->out, output_put(&x->out, "]}", 2));
        x->open = false;
    }
    if (q < 0 || x->open)
        return q;
    x->out = (struct output){0};
    if (x->cloudtrail)
        cloudtrail_name(x, record, item);
    else
        snprintf(x->out.path, sizeof x->out.path, "%.4096s/audit-%020" PRIu64 ".jsonl", x->dir, item->place.seq);
    q = output_begin(&x->out, x->cloudtrail);
    x->open = q == 0;
    x->files++;
    return q;
}

static int export_record(struct export *x, const struct audit_place *before, const struct audit_item *item)
{
    json_t *record = json_loadb(item->text, item->len, 0, NULL);
    bool wanted = record && audit_filter_fits(&x->filter, record);
    int q = record ? wanted ? export_switch(x, record, item) : 0 : -EBADMSG;
    json_decref(record);
    if (q < 0 || !wanted)
        return q;
    struct bytes line = {0};
    if (x->cloudtrail) {
        const char *lead = x->out.records ? "," : "{\"Records\":[";
        bytes_put(&line, lead, strlen(lead));
        bytes_put(&line, item->text, item->len);
    } else {
        q = audit_line(x->r.chain, before, &item->place, item->text, item->len, &line);
        bytes_put(&line, "\n", 1);
    }
    if (q == 0)
        q = line.failed ? -ENOMEM : output_put(&x->out, line.data, line.len);
    bytes_done(&line);
    x->records++;
    x->out.records++;
    return q;
}

static int export_walk(struct export *x, struct reason *reason)
{
    struct audit_item item;
    struct audit_place before = x->r.start;
    int q = x->filter.since[0] ? audit_seek(&x->r, x->filter.since, reason) : 0;
    if (q == 0 && x->r.after > x->r.start.seq) {
        audit_skip(&x->r, x->r.after - 1);
        q = audit_next(&x->r, &item, reason);
        before = item.place;
    }
    uint64_t last = x->r.last; /* what comes while it runs is for the next export */
    while (q >= 0 && x->r.after < last && (q = audit_next(&x->r, &item, reason)) > 0) {
        q = export_record(x, &before, &item);
        before = item.place;
    }
    if (x->open)
        q = output_end(&x->out, q < 0 ? q : x->cloudtrail ? output_put(&x->out, "]}", 2) : 0);
    return q < 0 ? q : 0;
}

static int directory_make(const char *dir, struct reason *reason)
{
    struct stat st;
    if (mkdir(dir, 0700) == 0 || (errno == EEXIST && stat(dir, &st) == 0 && S_ISDIR(st.st_mode)))
        return 0;
    return reason_fail(reason, errno, "cannot make '%s': %s", dir, strerror(errno));
}

static int export_run(const struct invocation *inv)
{
    struct export x = {.dir = invocation_value(inv, "o")};
    const char *format = invocation_value(inv, "format");
    struct reason reason = {0};
    json_t *answer = NULL;
    x.cloudtrail = format && strcmp(format, "cloudtrail") == 0;
    if (!x.dir)
        return command_usage(inv, "say where to: -o DIR");
    int status = audit_filter_read(inv, &x.filter);
    if (status == EXIT_DONE)
        status = audit_open(inv, true, &x.r);
    if (status != EXIT_DONE)
        return status;
    json_t *args = json_pack("{s:{s:s, s:s*, s:s*}}", "options", "format", x.cloudtrail ? "cloudtrail" : "jsonl", "since",
                             x.filter.since[0] ? x.filter.since : NULL, "until", x.filter.until[0] ? x.filter.until : NULL);
    int q = directory_make(x.dir, &reason);
    if (q == 0)
        q = session_call(x.r.session, "audit.export", args, -1, &answer, &reason);
    else
        json_decref(args);
    if (q == 0)
        q = export_walk(&x, &reason);
    json_decref(answer);
    audit_close(&x.r);
    if (q < 0)
        return command_refuse_reason(&reason, q, x.dir);
    return render_answer(json_pack("{s:I, s:I, s:s}", "records", (json_int_t)x.records, "files", (json_int_t)x.files, "directory", x.dir), inv->json);
}

static const struct option export_options[] = {
    {"o", "DIR", "the directory to write to", NULL, false},
    {"since", "TIME", "records from then on", NULL, false},
    {"until", "TIME", "records until then", NULL, false},
    {"format", "F", "jsonl (the default): lines with their place in the chain; cloudtrail: gzip files as CloudTrail delivers them", "jsonl|cloudtrail", false},
    {0},
};

const struct command audit_export = {
    .name = "audit export",
    .operands = "STORE|MNT",
    .summary = "write the audit trail to files",
    .text = "Writes records as files that need no holdfs to read. jsonl can be checked with `holdfs audit verify FILE` or contrib/audit-verify; cloudtrail is for "
            "programs that read CloudTrail. Exporting is itself a record. Who may: the first account's root, and users with audit:Read and audit:Export.",
    .options = export_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs audit export -o /mnt/other/audit /mnt/hold", "All of it"},
                 {"holdfs audit export --format cloudtrail --since -30d -o out /mnt/hold", "The last month, for a CloudTrail reader"}},
    .run = export_run,
};

/* ---- heads ---- */

static int file_put(const char *dir, uint64_t seq, const char *ending, const void *text, size_t len)
{
    struct output o = {0};
    snprintf(o.path, sizeof o.path, "%.4096s/%020" PRIu64 ".%s", dir, seq, ending);
    int q = output_begin(&o, false);
    return q < 0 ? q : output_end(&o, output_put(&o, text, len));
}

static int head_put(const char *dir, const json_t *head)
{
    uint64_t seq = (uint64_t)json_integer_value(json_object_get(head, "seq"));
    const json_t *text = json_object_get(head, "text");
    const char *sig = json_string_value(json_object_get(head, "sig")), *token = json_string_value(json_object_get(head, "token"));
    uint8_t signature[AUDIT_SIGNATURE_BYTES], der[65536];
    size_t len = 0;
    struct bytes message = {0};
    int q = sig && json_string_value(text) ? base64_parse(sig, strlen(sig), signature, sizeof signature, &len) : -EBADMSG;
    if (q == 0) {
        audit_head_message(json_string_value(text), json_string_length(text), &message);
        q = message.failed ? -ENOMEM : file_put(dir, seq, "msg", message.data, message.len);
    }
    bytes_done(&message);
    if (q == 0)
        q = file_put(dir, seq, "sig", signature, len);
    if (q == 0 && token)
        q = base64_parse(token, strlen(token), der, sizeof der, &len);
    return q == 0 && token ? file_put(dir, seq, "tsr", der, len) : q;
}

static int public_put(const char *dir, const char *hex)
{
    uint8_t public[AUDIT_PUBLIC_BYTES];
    struct bytes pem = {0};
    struct output o = {0};
    int q = hex && strlen(hex) == 2 * AUDIT_PUBLIC_BYTES ? hex_parse(hex, strlen(hex), public) : -EBADMSG;
    if (q == 0)
        q = audit_public_pem(public, &pem);
    snprintf(o.path, sizeof o.path, "%.4096s/audit.pub", dir);
    if (q == 0)
        q = output_begin(&o, false);
    if (q == 0)
        q = output_end(&o, output_put(&o, pem.data, pem.len));
    bytes_done(&pem);
    return q;
}

static int heads_run(const struct invocation *inv)
{
    const char *dir = invocation_value(inv, "export");
    struct audit_reader r;
    struct reason reason = {0};
    json_t *heads = NULL, *answer = NULL, *one;
    size_t n;
    if (!dir)
        return command_usage(inv, "say where to: --export DIR");
    int status = audit_open(inv, false, &r);
    if (status != EXIT_DONE)
        return status;
    int q = directory_make(dir, &reason);
    if (q == 0)
        q = audit_heads(&r, &heads, &answer, &reason);
    if (q == 0)
        q = public_put(dir, json_string_value(json_object_get(answer, "public")));
    json_array_foreach(heads, n, one) {
        if (q == 0)
            q = head_put(dir, one);
    }
    json_int_t count = (json_int_t)json_array_size(heads);
    json_decref(heads);
    json_decref(answer);
    audit_close(&r);
    if (q < 0)
        return command_refuse_reason(&reason, q, dir);
    return render_answer(json_pack("{s:I, s:s}", "heads", count, "directory", dir), inv->json);
}

static const struct option heads_options[] = {
    {"export", "DIR", "the directory to write to", NULL, false},
    {0},
};

const struct command audit_heads_command = {
    .name = "audit heads",
    .operands = "STORE|MNT",
    .summary = "write the signed heads of the audit trail to files",
    .text = "Writes for each head SEQ.msg (what is signed), SEQ.sig, SEQ.tsr where a time-stamp authority is an anchor, and audit.pub. "
            "openssl alone checks them: openssl pkeyutl -verify -pubin -inkey audit.pub -rawin -in SEQ.msg -sigfile SEQ.sig, "
            "openssl ts -verify -data SEQ.msg -in SEQ.tsr -CAfile ca.pem.",
    .options = heads_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs audit heads --export heads /mnt/hold", "All of them"}, {"holdfs audit heads --json --export heads /srv/store", "For a script"}},
    .run = heads_run,
};
