/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs audit anchor: the places that signed heads of the audit trail are carried to. */
#include "cmd/audit.h"
#include "cmd/render.h"
#include "util/cleanup.h"
#include "util/secret.h"
#include "util/timeform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 65536 };

/* The file's text as a member, without the line's end of a token. */
static int file_member(json_t *options, const char *member, const char *path, bool is_line, struct reason *reason)
{
    char text[FILE_BYTES];
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0)
        return reason_fail(reason, errno, "cannot read '%s': %s", path, strerror(errno));
    size_t len = is_line ? strcspn(text, "\r\n") : (size_t)n;
    if (is_line && len > (size_t)n)
        len = (size_t)n;
    json_t *value = json_stringn(text, len);
    secret_wipe(text, sizeof text);
    if (!value || json_object_set_new(options, member, value) < 0)
        return reason_fail(reason, EINVAL, "'%s' is no text", path);
    return 0;
}

static int anchor_add_run(const struct invocation *inv)
{
    const char *every = invocation_value(inv, "every"), *ca = invocation_value(inv, "ca-file"), *token = invocation_value(inv, "token-file");
    struct reason reason = {0};
    int64_t seconds = 0;
    json_t *options = json_object(), *answer = NULL;
    if (every && (timeform_duration(every, &seconds) < 0 || seconds < 1)) {
        json_decref(options);
        return command_usage(inv, "--every takes a length of time, as 1h or 10m");
    }
    int r = options ? json_object_set_new(options, "every_s", json_integer(seconds)) : -ENOMEM;
    if (r == 0 && ca)
        r = file_member(options, "ca", ca, false, &reason);
    if (r == 0 && token)
        r = file_member(options, "token", token, true, &reason);
    if (r < 0) {
        json_decref(options);
        return command_refuse_reason(&reason, r, inv->operands[0]);
    }
    json_t *args = json_pack("{s:s, s:o}", "url", inv->operands[1], "options", options);
    return args ? command_operate(inv, inv->operands[0], "audit.anchor.add", args, &answer) : command_usage(inv, "the address is no text");
}

static int anchor_remove_run(const struct invocation *inv)
{
    json_t *answer = NULL, *args = json_pack("{s:s}", "url", inv->operands[1]);
    return args ? command_operate(inv, inv->operands[0], "audit.anchor.remove", args, &answer) : command_usage(inv, "the address is no text");
}

static int anchor_list_run(const struct invocation *inv)
{
    static const struct render_column columns[] = {{"url", "ANCHOR"}, {"every_s", "EVERY"}, {"seq", "RECORD"}, {"time", "SENT"}, {"error", "ERROR"}, {0}};
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "audit.anchor.list", NULL, &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    render_table(json_object_get(answer, "anchors"), columns);
    json_decref(answer);
    return EXIT_DONE;
}

static const struct option add_options[] = {
    {"every", "T", "at most this often, default 1h", NULL, false},
    {"ca-file", "F", "certificates in PEM: what a time-stamp authority's answers, or the server, are checked by", NULL, false},
    {"token-file", "F", "one line: a bearer token, for s3: ID:SECRET", NULL, false},
    {0},
};

static const struct command anchor_add = {
    .name = "audit anchor add",
    .operands = "STORE|MNT URL",
    .summary = "carry signed heads there",
    .text = "From now on the newest signed head goes to URL whenever there are new records: file:/PATH (a line is appended), bucket:NAME/PREFIX (an object of "
            "this store; best under compliance retention), s3:https://HOST/BUCKET/PREFIX (of another), tsa:https://HOST/... (RFC 3161: the token is kept with the head), or "
            "https://HOST/... (POST of JSON). What fails is tried again, and after two intervals `holdfs status` warns; nothing waits for it.",
    .options = add_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs audit anchor add --every 10m /mnt/hold file:/mnt/other/heads.jsonl", "A file on another machine's disk"},
                 {"holdfs audit anchor add --ca-file tsa.pem /mnt/hold tsa:https://tsa.test/", "A time-stamp authority"}},
    .run = anchor_add_run,
};

static const struct command anchor_remove = {
    .name = "audit anchor remove",
    .operands = "STORE|MNT URL",
    .summary = "carry no more heads there",
    .text = "The heads that are there stay there. Removing is a record of the trail.",
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs audit anchor remove /mnt/hold file:/mnt/other/heads.jsonl", "Of a mount"},
                 {"holdfs audit anchor remove /srv/store https://audit.example.org/heads", "Of a store that is not mounted"}},
    .run = anchor_remove_run,
};

static const struct command anchor_list = {
    .name = "audit anchor list",
    .operands = "STORE|MNT",
    .summary = "list the anchors and how they do",
    .text = "Lists where heads are carried, how often at most, the last record that a head covers there, when it went, and why the last try failed.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs audit anchor list /mnt/hold", "Of a mount"}, {"holdfs audit anchor list --json /srv/store", "For a script"}},
    .run = anchor_list_run,
};

static const struct command *const anchor_verbs[] = {&anchor_add, &anchor_remove, &anchor_list, NULL};

const struct command audit_anchor = {
    .name = "audit anchor",
    .operands = "",
    .summary = "carry signed heads off this host",
    .text = "Root of the host can write the trail anew and sign it, but not what lies elsewhere already: the trail is as good as its last anchor.",
    .examples = {{"holdfs audit anchor add /mnt/hold file:/mnt/other/heads.jsonl", ""}, {"holdfs audit anchor list /mnt/hold", ""}},
    .verbs = anchor_verbs,
};
