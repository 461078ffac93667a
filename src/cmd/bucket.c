/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs bucket: makes, lists, sets up and removes buckets. */
#include "cmd/control.h"
#include "cmd/render.h"

#include <stdio.h>
#include <string.h>

static int bucket_create_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    json_t *args = json_pack(
        "{s:{s:b, s:b, s:s*}}", "options", "object-lock", invocation_has(inv, "object-lock"), "unversioned",
        invocation_has(inv, "unversioned"), "encryption", invocation_value(inv, "encryption"));
    if (invocation_has(inv, "object-lock") && invocation_has(inv, "unversioned")) {
        json_decref(args);
        return command_usage(
            inv, "object lock needs versions: --object-lock and --unversioned exclude each other");
    }
    int status = command_operate(inv, inv->operands[0], "bucket.create", args, &answer);
    json_decref(answer);
    return status;
}

static int bucket_list_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    static const struct render_column columns[] = {{"name", "BUCKET"},
                                                   {"versioning", "VERSIONING"},
                                                   {"object_lock", "OBJECT LOCK"},
                                                   {"encryption", "ENCRYPTION"},
                                                   {"owner", "OWNER"},
                                                   {"created", "CREATED"},
                                                   {0}};
    int status = command_operate(inv, inv->operands[0], "bucket.list", NULL, &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    if (json_array_size(json_object_get(answer, "buckets")) > 0)
        render_table(json_object_get(answer, "buckets"), columns);
    json_decref(answer);
    return EXIT_DONE;
}

static int bucket_info_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "bucket.info", NULL, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

static int bucket_set_run(const struct invocation *inv)
{
    json_t *answer = NULL;
    const char *setting = inv->operands[1], *equals = strchr(setting, '=');
    if (!equals || equals == setting)
        return command_usage(inv, "`%s` is no NAME=VALUE; an empty value takes the setting away", setting);
    json_t *args = json_pack("{s:s%}", "name", setting, (size_t)(equals - setting));
    if (equals[1])
        json_object_set_new(args, "value", json_string(equals + 1));
    int status = command_operate(inv, inv->operands[0], "bucket.set", args, &answer);
    json_decref(answer);
    return status;
}

static int bucket_delete_run(const struct invocation *inv)
{
    json_t *answer = NULL, *args = json_pack("{s:b, s:s*}", "force", invocation_has(inv, "force"), "mfa", invocation_value(inv, "mfa"));
    int status = command_operate(inv, inv->operands[0], "bucket.delete", args, &answer);
    json_decref(answer);
    return status;
}

static int bucket_rotate_key_run(const struct invocation *inv)
{
    json_t *answer = NULL, *args = json_pack("{s:b}", "rewrap", invocation_has(inv, "rewrap"));
    int status = command_operate(inv, inv->operands[0], "bucket.rotate-key", args, &answer);
    if (status != EXIT_DONE)
        return status;
    json_int_t kept = json_integer_value(json_object_get(answer, "kept"));
    render_answer(answer, inv->json);
    if (!kept)
        return EXIT_DONE;
    return command_refuse("%lld versions have a data key that does not open, so the earlier key stays; `holdfs fsck` names them",
                          (long long)kept);
}

static const struct option create_options[] = {
    {"object-lock", NULL, "versions in it can be locked; cannot be taken back", NULL, false},
    {"unversioned", NULL, "keep no versions until told to, as S3 does", NULL, false},
    {"encryption", "E", "how new objects are encrypted; default AES256", NULL, false},
    {0},
};

static const struct command bucket_create = {
    .name = "bucket create",
    .operands = "PATH",
    .summary = "make a bucket",
    .text = "Makes a bucket. mkdir in the mount's root does the same, without the options. Names are S3's: 3 "
            "to 63 of a-z, 0-9, dot "
            "and dash.",
    .options = create_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs bucket create --object-lock /mnt/hold/vault",
                  "A bucket whose versions can be locked"},
                 {"holdfs bucket create /srv/store/docs", "In a store that is not mounted"}},
    .run = bucket_create_run,
};

static const struct command bucket_list = {
    .name = "bucket list",
    .operands = "STORE|MNT",
    .summary = "list the buckets",
    .text = "Lists the buckets the caller may list.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs bucket list /mnt/hold", "Of a mount"},
                 {"holdfs bucket list --json /srv/store", "Of a store, for a script"}},
    .run = bucket_list_run,
};

static const struct command bucket_info = {
    .name = "bucket info",
    .operands = "PATH",
    .summary = "tell a bucket's settings",
    .text = "Tells a bucket's settings: versioning, object lock and default retention, encryption, settle "
            "time, tags, and what is in it.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs bucket info /mnt/hold/vault", "Of a bucket"},
                 {"holdfs bucket info --json /mnt/hold/vault", "For a script"}},
    .run = bucket_info_run,
};

static const struct command bucket_set = {
    .name = "bucket set",
    .operands = "PATH NAME=VALUE",
    .summary = "change a bucket's setting",
    .text = "Changes a setting: versioning, object-lock, settle, orphan-keep, compression, tagging, "
            "mode-mask, policy, public-access-block, encryption. Names and forms are those of "
            "the attributes user.s3.bucket.NAME, holdfs-xattr(7). An empty value takes the setting away.",
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs bucket set /mnt/hold/docs settle=0", "Settle at once"},
                 {"holdfs bucket set /mnt/hold/docs compression=zstd",
                  "Compress what is written from now on"}},
    .run = bucket_set_run,
};

static const struct option delete_options[] = {
    {"force", NULL, "with all versions in it, unless one is locked", NULL, false},
    {"mfa", "CODE", "a code of its account's root, where the bucket has MFA delete", NULL, false},
    {0},
};

static const struct command bucket_delete = {
    .name = "bucket delete",
    .operands = "PATH",
    .summary = "remove a bucket",
    .text = "Removes an empty bucket; with --force one with versions in it. A locked version is never "
            "removed: then nothing is.",
    .options = delete_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs bucket delete /mnt/hold/old", "An empty bucket"},
                 {"holdfs bucket delete --force /mnt/hold/scratch", "With everything in it"}},
    .run = bucket_delete_run,
};

static const struct option rotate_options[] = {
    {"rewrap", NULL, "wrap all data keys anew, then destroy the earlier key", NULL, false},
    {0},
};

static const struct command bucket_rotate_key = {
    .name = "bucket rotate-key",
    .operands = "PATH",
    .summary = "give a bucket a new key",
    .text = "What is written from now on is under a new key; what is there still opens. With --rewrap that is brought "
            "under the new key too, without moving data, and the earlier key is destroyed. The bucket may be in use; "
            "stopped, it goes on when called again.",
    .options = rotate_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs bucket rotate-key /mnt/hold/docs", "For new data"},
                 {"holdfs bucket rotate-key --rewrap /mnt/hold/docs", "For all of it"}},
    .run = bucket_rotate_key_run,
};

static const struct command *const bucket_verbs[] = {&bucket_create, &bucket_list,       &bucket_info, &bucket_set,
                                                     &bucket_delete, &bucket_rotate_key, NULL};

const struct command command_bucket = {
    .name = "bucket",
    .operands = "",
    .summary = "make, list, set up and remove buckets",
    .text = "A bucket is a first-level directory of the mount. PATH is MOUNT/BUCKET or STORE/BUCKET.",
    .examples = {{"holdfs bucket create --object-lock /mnt/hold/vault", ""},
                 {"holdfs bucket list --json /mnt/hold", ""}},
    .verbs = bucket_verbs,
};
