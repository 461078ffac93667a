/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs user key: access keys, with which users sign requests over S3. A secret is shown once, when it is made. */
#include "cmd/user.h"
#include "kms/kms.h"
#include "util/cleanup.h"
#include "util/secret.h"
#include "util/timeform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The key on one line, as scripts of S3 tools take it; what held the secret is wiped. */
static int key_show(json_t *answer)
{
    json_t *secret = json_object_get(answer, "SecretAccessKey");
    CLEANUP_FREE char *line = json_dumps(answer, JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (line) {
        puts(line);
        secret_wipe(line, strlen(line));
    }
    if (secret)
        secret_wipe((char *)json_string_value(secret), json_string_length(secret));
    json_decref(answer);
    return EXIT_DONE;
}

/* The secret of --secret-file into the options. */
static int secret_read(const struct invocation *inv, json_t *options, struct reason *reason)
{
    const char *file = invocation_value(inv, "secret-file");
    struct unlock given = {0};
    int r = unlock_from_file(SLOT_PASSPHRASE, file, &given, reason);
    if (r < 0)
        return r;
    json_t *text = json_stringn((const char *)secret_peek(given.secret), secret_len(given.secret));
    secret_free(given.secret);
    if (!text)
        return reason_fail(reason, EINVAL, "%s holds no secret: it is 8 to 128 printable ASCII characters", file);
    json_object_set_new(options, "secret", text);
    return 0;
}

static int key_create_run(const struct invocation *inv)
{
    struct reason reason = {0};
    json_t *answer = NULL, *options = json_pack("{s:s*}", "id", invocation_value(inv, "id"));
    int r = 0;
    if (!invocation_has(inv, "id") != !invocation_has(inv, "secret-file")) {
        json_decref(options);
        return command_usage(inv, "to take in a key, give both --id and --secret-file");
    }
    if (invocation_has(inv, "id"))
        r = secret_read(inv, options, &reason);
    if (r < 0) {
        json_decref(options);
        return command_refuse_reason(&reason, r, invocation_value(inv, "secret-file"));
    }
    json_t *args = user_args(inv, "user", inv->operands[1]);
    json_object_set_new(args, "options", options);
    int status = command_operate(inv, inv->operands[0], "user.key.create", args, &answer);
    return status == EXIT_DONE ? key_show(answer) : status;
}

static int key_list_run(const struct invocation *inv)
{
    static const struct render_column columns[] = {{"id", "KEY"},           {"user", "USER"},         {"state", "STATE"},
                                                   {"created", "CREATED"}, {"last_used", "LAST USED"}, {"last_front", "BY"},
                                                   {"last_address", "FROM"}, {0}};
    json_t *answer = NULL, *args = json_pack("{s:s*, s:s*}", "user", inv->operand_count > 1 ? inv->operands[1] : NULL, "account",
                                             invocation_value(inv, "account"));
    int status = command_operate(inv, inv->operands[0], "user.key.list", args, &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    if (json_array_size(json_object_get(answer, "keys")))
        render_table(json_object_get(answer, "keys"), columns);
    json_decref(answer);
    return EXIT_DONE;
}

static int key_turn(const struct invocation *inv, bool on)
{
    json_t *args = user_args(inv, "id", inv->operands[1]);
    json_object_set_new(args, "on", json_boolean(on));
    return user_operate(inv, "user.key.enable", args);
}

static int key_disable_run(const struct invocation *inv)
{
    return key_turn(inv, false);
}

static int key_enable_run(const struct invocation *inv)
{
    return key_turn(inv, true);
}

static int key_delete_run(const struct invocation *inv)
{
    return user_operate(inv, "user.key.delete", user_args(inv, "id", inv->operands[1]));
}

static int key_rotate_run(const struct invocation *inv)
{
    const char *grace = invocation_value(inv, "grace");
    int64_t seconds = 0;
    json_t *answer = NULL;
    if (grace && timeform_duration(grace, &seconds) < 0)
        return command_usage(inv, "--grace takes a number of seconds, or one with m, h, d or w");
    json_t *args = user_args(inv, "id", inv->operands[1]);
    json_object_set_new(args, "grace_s", json_integer(seconds));
    int status = command_operate(inv, inv->operands[0], "user.key.rotate", args, &answer);
    return status == EXIT_DONE ? key_show(answer) : status;
}

static const struct option create_options[] = {
    {"id", "ID", "take in a key made elsewhere, of this id", NULL, false},
    {"secret-file", "F", "and the secret in the file F; - is standard input", NULL, false},
    USER_ACCOUNT_OPTION,
    {0},
};

static const struct option rotate_options[] = {
    {"grace", "SECONDS", "the old key works this long still; default 0", NULL, false},
    USER_ACCOUNT_OPTION,
    {0},
};

static const struct command key_create = {
    .name = "user key create",
    .operands = "STORE|MNT USER",
    .summary = "make an access key",
    .text = "Makes an access key and prints it as one line of JSON: the secret is shown this once. USER may be root, the "
            "account's own; a user has at most 16 keys. Of a key taken in with --id only the id is printed.",
    .options = create_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs user key create /mnt/hold alice", "A new key"},
                 {"holdfs user key create --id OLD0KEY0OF0ALICE --secret-file F /mnt/hold alice", "One that clients have already"}},
    .run = key_create_run,
};

static const struct command key_list = {
    .name = "user key list",
    .operands = "STORE|MNT [USER]",
    .summary = "list access keys",
    .text = "Lists the access keys of a user, of root, or of the whole account: state, when made, when last used, by which front "
            "and from where.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 2,
    .examples = {{"holdfs user key list /mnt/hold", "All of the first account"},
                 {"holdfs user key list --json /mnt/hold alice", "Of a user, for a script"}},
    .run = key_list_run,
};

static const struct command key_disable = {
    .name = "user key disable",
    .operands = "STORE|MNT ID",
    .summary = "let an access key sign nothing",
    .text = "The next request signed with it is refused as if the key were unknown.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs user key disable /mnt/hold AKIAIOSFODNN7EXAMPLE", "At once"},
                 {"holdfs user key disable /srv/store AKIAIOSFODNN7EXAMPLE", "Of a store that is not mounted"}},
    .run = key_disable_run,
};

static const struct command key_enable = {
    .name = "user key enable",
    .operands = "STORE|MNT ID",
    .summary = "let a disabled access key sign again",
    .text = "Ends a grace time of rotate too: the key then has no end.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs user key enable /mnt/hold AKIAIOSFODNN7EXAMPLE", "At once"},
                 {"holdfs user key enable /srv/store AKIAIOSFODNN7EXAMPLE", "Of a store that is not mounted"}},
    .run = key_enable_run,
};

static const struct command key_delete = {
    .name = "user key delete",
    .operands = "STORE|MNT ID",
    .summary = "remove an access key",
    .text = "Removes an access key and its secret for good.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs user key delete /mnt/hold AKIAIOSFODNN7EXAMPLE", "At once"},
                 {"holdfs user key delete /srv/store AKIAIOSFODNN7EXAMPLE", "Of a store that is not mounted"}},
    .run = key_delete_run,
};

static const struct command key_rotate = {
    .name = "user key rotate",
    .operands = "STORE|MNT ID",
    .summary = "put a new access key in an old one's place",
    .text = "Makes a second key for the same user, printed as by create, and disables the first after the grace time.",
    .options = rotate_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs user key rotate /mnt/hold AKIAIOSFODNN7EXAMPLE", "The old one ends now"},
                 {"holdfs user key rotate --grace 1d /mnt/hold AKIAIOSFODNN7EXAMPLE", "In a day"}},
    .run = key_rotate_run,
};

static const struct command *const key_verbs[] = {&key_create, &key_list, &key_disable, &key_enable, &key_delete, &key_rotate, NULL};

const struct command user_key = {
    .name = "user key",
    .operands = "",
    .summary = "manage access keys",
    .text = "An access key signs requests over S3 as its user. The secret is shown once, when it is made.",
    .examples = {{"holdfs user key create /mnt/hold alice", ""}, {"holdfs user key list --json /mnt/hold", ""}},
    .verbs = key_verbs,
};
