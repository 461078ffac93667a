/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs kms, the other verbs: aliases, deletion, rotation, imported material, use, one object's key. */
#include "cmd/kms.h"
#include "cmd/stream.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/timeform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- aliases ---- */

static int alias_run(const struct invocation *inv, const char *verb)
{
    json_t *answer = NULL;
    json_t *args = json_pack("{s:s, s:s, s:s*}", "verb", verb, "name", inv->operands[1], "key", inv->operand_count > 2 ? inv->operands[2] : NULL);
    int status = command_operate(inv, inv->operands[0], "kms.change", args, &answer);
    json_decref(answer);
    return status;
}

static int alias_create_run(const struct invocation *inv)
{
    return alias_run(inv, "alias.create");
}

static int alias_update_run(const struct invocation *inv)
{
    return alias_run(inv, "alias.update");
}

static int alias_delete_run(const struct invocation *inv)
{
    return alias_run(inv, "alias.delete");
}

static const struct command alias_create = {
    .name = "kms alias create",
    .operands = "STORE|MNT NAME KEY",
    .summary = "give a KMS key a name",
    .text = "NAME is alias/ and 1 to 250 letters, digits, slashes, underscores and dashes. Objects record the key, not the alias.",
    .flags = COMMAND_SECRETS,
    .min_operands = 3,
    .max_operands = 3,
    .examples = {{"holdfs kms alias create /mnt/hold alias/payroll 1234abcd-...", ""},
                 {"holdfs kms alias create /srv/store alias/payroll arn:aws:kms:...", "By its ARN"}},
    .run = alias_create_run,
};

static const struct command alias_update = {
    .name = "kms alias update",
    .operands = "STORE|MNT NAME KEY",
    .summary = "point an alias to another KMS key",
    .text = "New objects go under the other key; what is there stays under the one it has.",
    .flags = COMMAND_SECRETS,
    .min_operands = 3,
    .max_operands = 3,
    .examples = {{"holdfs kms alias update /mnt/hold alias/payroll 1234abcd-...", ""},
                 {"holdfs kms alias update /mnt/hold alias/payroll alias/other", "To the key another alias names"}},
    .run = alias_update_run,
};

static const struct command alias_delete = {
    .name = "kms alias delete",
    .operands = "STORE|MNT NAME",
    .summary = "take an alias away",
    .text = "The key stays, and what is under it opens.",
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms alias delete /mnt/hold alias/old", ""}, {"holdfs kms alias delete /srv/store alias/old", "In a store that is not mounted"}},
    .run = alias_delete_run,
};

static const struct command *const alias_verbs[] = {&alias_create, &alias_update, &alias_delete, NULL};

const struct command kms_verb_alias = {
    .name = "kms alias",
    .operands = "",
    .summary = "names for KMS keys",
    .text = "An alias stands for a key wherever one is named.",
    .examples = {{"holdfs kms alias create /mnt/hold alias/payroll 1234abcd-...", ""},
                 {"holdfs kms alias delete /mnt/hold alias/payroll", ""}},
    .verbs = alias_verbs,
};

/* ---- deletion ---- */

/* A number of days within bounds; false: none. */
static bool days_read(const char *text, long least, long most, json_int_t *ret)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || end == text || *end || n < least || n > most)
        return false;
    *ret = n;
    return true;
}

static int schedule_run(const struct invocation *inv)
{
    json_int_t days = 30;
    const char *given = invocation_value(inv, "days");
    if (given && !days_read(given, 7, 30, &days))
        return command_usage(inv, "--days takes 7 to 30");
    json_t *args = kms_args(inv, "schedule-deletion");
    json_object_set_new(args, "days", json_integer(days));
    json_object_set_new(args, "bypass-governance-retention", json_boolean(invocation_has(inv, "bypass-governance-retention")));
    return kms_operate(inv, args);
}

static int cancel_run(const struct invocation *inv)
{
    return kms_operate(inv, kms_args(inv, "cancel-deletion"));
}

#define BYPASS_OPTION                                                                                                                  \
    {                                                                                                                                  \
        "bypass-governance-retention", NULL, "governance retention of what is under the key yields, where you may", NULL, false       \
    }

static const struct option schedule_options[] = {
    {"days", "N", "how long it waits, 7 to 30; 30 if not given", NULL, false},
    BYPASS_OPTION,
    {0},
};

const struct command kms_verb_schedule_deletion = {
    .name = "kms schedule-deletion",
    .operands = "STORE|MNT KEY",
    .summary = "destroy a KMS key, and all that is under it, after a waiting time",
    .text = "From now on nothing under the key opens. At the end of the waiting time it is destroyed, and with it every version under it, for "
            "good. Refused while one of them is locked; a lock that comes later puts the end off.",
    .options = schedule_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms schedule-deletion /mnt/hold alias/payroll", "In 30 days"},
                 {"holdfs kms schedule-deletion --days 7 /mnt/hold alias/payroll", "In a week"}},
    .run = schedule_run,
};

const struct command kms_verb_cancel_deletion = {
    .name = "kms cancel-deletion",
    .operands = "STORE|MNT KEY",
    .summary = "keep a KMS key that waits to be destroyed",
    .text = "The key is disabled then, not enabled.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms cancel-deletion /mnt/hold alias/payroll", ""}, {"holdfs kms cancel-deletion --json /mnt/hold alias/payroll", "For a script"}},
    .run = cancel_run,
};

/* ---- rotation ---- */

static int rotate_run(const struct invocation *inv)
{
    return kms_operate(inv, kms_args(inv, "rotate"));
}

static int auto_rotate_run(const struct invocation *inv)
{
    json_int_t days = 0;
    const char *given = invocation_value(inv, "days");
    if (!given || (strcmp(given, "off") != 0 && !days_read(given, 90, 2560, &days)))
        return command_usage(inv, "--days takes 90 to 2560, or off");
    json_t *args = kms_args(inv, "auto-rotate");
    json_object_set_new(args, "days", json_integer(days));
    return kms_operate(inv, args);
}

static int rewrap_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "kms.change", kms_args(inv, "rewrap"), &answer);
    if (status != EXIT_DONE)
        return status;
    json_int_t kept = json_integer_value(json_object_get(answer, "kept"));
    render_answer(answer, inv->json);
    return kept ? command_refuse("%lld versions have a data key that does not open, so the earlier material stays", (long long)kept) : EXIT_DONE;
}

const struct command kms_verb_rotate = {
    .name = "kms rotate",
    .operands = "STORE|MNT KEY",
    .summary = "give a KMS key new material",
    .text = "New objects are under the new material; the earlier one goes on opening what is there.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms rotate /mnt/hold alias/payroll", ""}, {"holdfs kms rotate --json /srv/store alias/payroll", "Of a store that is not mounted"}},
    .run = rotate_run,
};

static const struct option auto_options[] = {
    {"days", "N|off", "90 to 2560, or off", NULL, false},
    {0},
};

const struct command kms_verb_auto_rotate = {
    .name = "kms auto-rotate",
    .operands = "STORE|MNT KEY",
    .summary = "give a KMS key new material every so often",
    .text = "Done by the daemon while the store is mounted.",
    .options = auto_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms auto-rotate --days 365 /mnt/hold alias/payroll", "Each year"},
                 {"holdfs kms auto-rotate --days off /mnt/hold alias/payroll", "Never by itself"}},
    .run = auto_rotate_run,
};

const struct command kms_verb_rewrap = {
    .name = "kms rewrap",
    .operands = "STORE|MNT KEY",
    .summary = "bring what is under a KMS key's earlier material under the newest",
    .text = "No data moves. The earlier material is destroyed when nothing needs it. The store may be in use; stopped, it goes on when called again.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms rewrap /mnt/hold alias/payroll", ""}, {"holdfs kms rewrap --json /mnt/hold alias/payroll", "For a script"}},
    .run = rewrap_run,
};

/* ---- imported material ---- */

static int import_run(const struct invocation *inv)
{
    const char *file = invocation_value(inv, "file"), *expires = invocation_value(inv, "expires");
    int64_t ms;
    bool relative;
    if (!file)
        return command_usage(inv, "--file names the 32 bytes of key material");
    if (expires && timeform_lock_value(expires, &ms, &relative) < 0)
        return command_usage(inv, "--expires takes a date as 2027-01-01 or 2027-01-01T00:00:00Z, or +N with s m h d w y");
    CLEANUP_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return command_refuse("%s: %s", file, strerror(errno));
    json_t *args = kms_args(inv, "import-key-material");
    if (expires)
        json_object_set_new(args, "expires", json_string(expires));
    return stream_operate(inv, "kms.change", args, fd, false);
}

static int delete_material_run(const struct invocation *inv)
{
    json_t *args = kms_args(inv, "delete-imported-key-material");
    json_object_set_new(args, "bypass-governance-retention", json_boolean(invocation_has(inv, "bypass-governance-retention")));
    return kms_operate(inv, args);
}

static const struct option import_options[] = {
    {"file", "F", "the material: exactly 32 bytes", NULL, false},
    {"expires", "T", "destroy it then: a date, or +90d", NULL, false},
    {0},
};

const struct command kms_verb_import = {
    .name = "kms import-key-material",
    .operands = "STORE|MNT KEY",
    .summary = "give a KMS key the material it was made without",
    .text = "For a key of --origin EXTERNAL. Keep the file: after expiry or deletion the same bytes, and no others, make the key work again.",
    .options = import_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms import-key-material --file k.bin /mnt/hold alias/own", "For ever"},
                 {"holdfs kms import-key-material --file k --expires +90d /mnt/hold alias/own", "For a while"}},
    .run = import_run,
};

static const struct option delete_material_options[] = {
    BYPASS_OPTION,
    {0},
};

const struct command kms_verb_delete_material = {
    .name = "kms delete-imported-key-material",
    .operands = "STORE|MNT KEY",
    .summary = "destroy a KMS key's imported material",
    .text = "At once. Nothing under the key opens until the same material is imported again. Refused while a version under it is locked.",
    .options = delete_material_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms delete-imported-key-material /mnt/hold alias/own", ""},
                 {"holdfs kms delete-imported-key-material --json /mnt/hold alias/own", "For a script"}},
    .run = delete_material_run,
};

/* ---- use ---- */

static int since_read(const char *text, json_t *args, struct reason *reason)
{
    struct instant at, now = instant_of_ns(clock_wall_ns());
    bool relative;
    int r = timeform_parse(text, now, &at, &relative, reason);
    if (r == 0)
        json_object_set_new(args, "since_ms", json_integer(at.sec * 1000 + at.nsec / 1000000));
    return r;
}

static void usage_line(const json_t *use)
{
    const json_t *who = json_object_get(use, "userIdentity"), *what = json_object_get(use, "requestParameters");
    const char *arn = json_string_value(json_object_get(who, "arn")), *error = json_string_value(json_object_get(use, "errorCode"));
    const char *bucket = json_string_value(json_object_get(what, "bucketName")), *key = json_string_value(json_object_get(what, "key"));
    const char *key_arn = json_string_value(json_object_get(what, "keyId")), *id = key_arn ? strrchr(key_arn, '/') : NULL;
    json_int_t count = json_integer_value(json_object_get(json_object_get(use, "additionalEventData"), "count"));
    char line[5000];
    snprintf(line, sizeof line, "%s  %s  %s  %s%s%s  %s  %lld  %s", json_string_value(json_object_get(use, "eventTime")),
             json_string_value(json_object_get(use, "eventName")), arn ? arn : "engine", bucket ? bucket : "-", key ? "/" : "", key ? key : "",
             id ? id + 1 : "-", count ? (long long)count : 1ll, error ? error : "ok");
    puts(render_clean(line));
}

static int usage_run(const struct invocation *inv)
{
    struct reason reason = {0};
    json_t *answer = NULL, *use, *args = json_pack("{s:s, s:s*}", "verb", "usage", "key", invocation_value(inv, "key"));
    const char *since = invocation_value(inv, "since");
    size_t n;
    if (invocation_has(inv, "object"))
        json_object_set_new(args, "object_path", json_string(invocation_value(inv, "object")));
    int r = since ? since_read(since, args, &reason) : 0;
    if (r < 0) {
        json_decref(args);
        return command_refuse_reason(&reason, r, since);
    }
    int status = kms_read(inv, args, &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    json_array_foreach(json_object_get(answer, "uses"), n, use)
        usage_line(use);
    json_decref(answer);
    return EXIT_DONE;
}

static const struct option usage_options[] = {
    {"key", "K", "of this key alone", NULL, false},
    {"object", "B/KEY", "of this object alone: its bucket and key, or its path in the mount", NULL, false},
    {"since", "TIME", "since then: 09:00, -2h, yesterday, a date", NULL, false},
    {0},
};

const struct command kms_verb_usage = {
    .name = "kms usage",
    .operands = "STORE|MNT",
    .summary = "tell who used which KMS key on what, and when",
    .text = "A line a use: time, event, principal, object, key, how often in that minute, result. GenerateDataKey and Decrypt are calls of the key; "
            "DataKeyUse is an object opened with a data key that was open already.",
    .options = usage_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs kms usage --key alias/payroll --since yesterday /mnt/hold", "Of one key"},
                 {"holdfs kms usage --object /mnt/hold/payroll/may.ods /mnt/hold", "Of one object"}},
    .run = usage_run,
};

/* ---- one object ---- */

static int reencrypt_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    json_t *args = json_pack("{s:s, s:b}", "key", inv->operands[1], "bucket_key", invocation_has(inv, "bucket-key"));
    int status = command_operate(inv, inv->operands[0], "kms.reencrypt", args, &answer);
    json_decref(answer);
    return status;
}

static const struct option reencrypt_options[] = {
    {"bucket-key", NULL, "share a data key with other objects of the bucket", NULL, false},
    {0},
};

const struct command kms_verb_reencrypt = {
    .name = "kms reencrypt",
    .operands = "PATH KEY",
    .summary = "put an object under another KMS key",
    .text = "The current version is under KEY from then on. No data moves; its ETag, version id and times stay. Not of a locked version, nor of one "
            "under a customer's key.",
    .options = reencrypt_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs kms reencrypt /mnt/hold/docs/may.ods alias/payroll", "A file"},
                 {"holdfs kms reencrypt --bucket-key /srv/store/docs/may.ods alias/payroll", "In a store that is not mounted"}},
    .run = reencrypt_run,
};
