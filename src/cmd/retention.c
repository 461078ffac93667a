/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs retention: locks a version until a date, and lifts governance where that is permitted. */
#include "cmd/control.h"
#include "util/timeform.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int retention_set_run(const struct invocation *inv)
{
    const char *mode = inv->operands[1], *until = inv->operand_count > 2 ? inv->operands[2] : NULL;
    json_t *answer = NULL;
    int64_t ms;
    bool relative;
    char value[128];
    if (!strcasecmp(mode, "none") ? until != NULL : !until)
        return command_usage(inv, "it takes COMPLIANCE or GOVERNANCE and a date, or none");
    if (until && strcasecmp(mode, "COMPLIANCE") != 0 && strcasecmp(mode, "GOVERNANCE") != 0)
        return command_usage(inv, "the mode is COMPLIANCE or GOVERNANCE, not `%s`", mode);
    if (until && timeform_lock_value(until, &ms, &relative) < 0)
        return command_usage(
            inv, "`%s` is no date; it is 2027-01-01, 2027-01-01T00:00:00Z or a length such as +30d", until);
    json_t *args = json_pack("{s:b}", "bypass", invocation_has(inv, "bypass-governance-retention"));
    if (until) {
        snprintf(value, sizeof value, "%s %s", mode, until);
        json_object_set_new(args, "value", json_string(value));
    }
    if (invocation_has(inv, "version-id"))
        json_object_set_new(args, "version", json_string(invocation_value(inv, "version-id")));
    int status = command_operate(inv, inv->operands[0], "retention.set", args, &answer);
    json_decref(answer);
    return status;
}

static int retention_bypass_run(const struct invocation *inv)
{
    const char *length = invocation_value(inv, "for");
    json_t *answer = NULL, *args = json_object();
    char value[64];
    int64_t seconds = 0;
    if (length && (timeform_duration(length, &seconds) < 0 || seconds < 1 || seconds > 600))
        return command_usage(inv, "--for takes 1 to 600 seconds");
    if (length) {
        snprintf(value, sizeof value, "true %d", (int)seconds);
        json_object_set_new(args, "value", json_string(value));
    }
    if (invocation_has(inv, "version-id"))
        json_object_set_new(args, "version", json_string(invocation_value(inv, "version-id")));
    int status = command_operate(inv, inv->operands[0], "retention.bypass", args, &answer);
    json_decref(answer);
    return status;
}

static const struct option set_options[] = {
    {"version-id", "V", "this version instead of the latest", NULL, false},
    {"bypass-governance-retention", NULL, "shorten or lift a GOVERNANCE lock; needs permission", NULL, false},
    {0},
};

static const struct option bypass_options[] = {
    {"for", "N", "a directory: all below it for N seconds, at most 600", NULL, false},
    {"version-id", "V", "this version instead of the latest", NULL, false},
    {0},
};

static const struct command retention_set = {
    .name = "retention set",
    .operands = "PATH MODE [UNTIL]",
    .summary = "lock a version until a date",
    .text =
        "Locks the latest version of a file, or the one named, until a date or for a length such as +30d. "
        "MODE is COMPLIANCE, which nobody shortens, "
        "GOVERNANCE, which yields to a bypass with permission, or none. The bucket must have object lock.",
    .options = set_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 3,
    .examples = {{"holdfs retention set /mnt/hold/vault/a.pdf COMPLIANCE 2034-01-01",
                  "Until a date, for everybody"},
                 {"holdfs retention set /mnt/hold/vault/a.pdf GOVERNANCE +30d", "For thirty days"}},
    .run = retention_set_run,
};

static const struct command retention_bypass = {
    .name = "retention bypass",
    .operands = "PATH",
    .summary = "let governance locks be lifted for a moment",
    .text = "Lets the caller's next operation on this version within 60 s pass a GOVERNANCE lock; on a "
            "directory everything below it "
            "for the time of --for. Needs s3:BypassGovernanceRetention and a mounted store. COMPLIANCE and "
            "holds stay.",
    .options = bypass_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs retention bypass /mnt/hold/vault/a.pdf", "One operation on one file"},
                 {"holdfs retention bypass --for 120 /mnt/hold/vault/old", "A directory for two minutes"}},
    .run = retention_bypass_run,
};

static const struct command *const retention_verbs[] = {&retention_set, &retention_bypass, NULL};

const struct command command_retention = {
    .name = "retention",
    .operands = "",
    .summary = "lock a version until a date",
    .text = "A locked version cannot be changed or removed before its date, by this or any other way through "
            "holdfs. The attributes "
            "user.s3.retention and user.s3.bypass-governance-retention do the same.",
    .examples = {{"holdfs retention set /mnt/hold/vault/a.pdf COMPLIANCE 2034-01-01", ""},
                 {"holdfs retention bypass --for 120 /mnt/hold/vault/old", ""}},
    .verbs = retention_verbs,
};
