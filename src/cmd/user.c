/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs user: makes, lists, disables and removes users, and says which uids they are on the mount (auth.md §1). */
#include "cmd/user.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- shared with the other verbs ---- */

const struct option user_account_option[] = {USER_ACCOUNT_OPTION, {0}};

json_t *user_args(const struct invocation *inv, const char *name, const char *value)
{
    return json_pack("{s:s, s:s*}", name, value, "account", invocation_value(inv, "account"));
}

int user_operate(const struct invocation *inv, const char *operation, json_t *args)
{
    json_t *answer = NULL;
    if (!args)
        return command_usage(inv, "names are UTF-8");
    int status = command_operate(inv, inv->operands[0], operation, args, &answer);
    if (status != EXIT_DONE || !answer)
        return status;
    return render_answer(answer, inv->json);
}

bool user_uid_read(const char *text, json_int_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    *ret = (json_int_t)n;
    return *text >= '0' && *text <= '9' && !*end && !errno && n < UINT32_MAX;
}

int user_policy_read(const char *file, json_t **ret, struct reason *reason)
{
    if (engine_policy_preset(file)) {
        *ret = json_string(file);
        return 0;
    }
    bool standard = !strcmp(file, "-");
    CLEANUP_FD int opened = standard ? -1 : open(file, O_RDONLY | O_CLOEXEC);
    int fd = standard ? STDIN_FILENO : opened;
    if (fd < 0)
        return reason_fail(reason, errno, "%s: %s; a policy is a file, or one of read-only, read-write, backup, admin", file,
                           strerror(errno));
    char text[POLICY_MAX_BYTES + 1]; /* one more: the engine says that it is too large */
    size_t len = 0;
    ssize_t n;
    while (len < sizeof text && (n = read(fd, text + len, sizeof text - len)) != 0) {
        if (n < 0)
            return reason_fail(reason, errno, "%s: %s", file, strerror(errno));
        len += (size_t)n;
    }
    *ret = memchr(text, 0, len) ? NULL : json_stringn(text, len);
    return *ret ? 0 : reason_fail(reason, EINVAL, "This policy contains invalid Json");
}

/* ---- the verbs ---- */

/* The uids of all --uid. NULL: one of them is none, which was told. */
static json_t *uids_of(const struct invocation *inv)
{
    json_t *uids = json_array();
    for (size_t i = 0; i < inv->given_count; i++) {
        json_int_t uid;
        if (strcmp(inv->given[i].option->name, "uid") != 0)
            continue;
        if (!user_uid_read(inv->given[i].value, &uid)) {
            command_usage(inv, "--uid takes a number of 0 to 4294967294, not `%s`", inv->given[i].value);
            json_decref(uids);
            return NULL;
        }
        json_array_append_new(uids, json_integer(uid));
    }
    return uids;
}

static int user_create_run(const struct invocation *inv)
{
    struct reason reason = {0};
    const char *file = invocation_value(inv, "policy");
    json_t *policy = NULL, *uids = uids_of(inv);
    if (!uids)
        return EXIT_USAGE;
    int r = file ? user_policy_read(file, &policy, &reason) : 0;
    if (r < 0) {
        json_decref(uids);
        return command_refuse_reason(&reason, r, file);
    }
    json_t *args = user_args(inv, "name", inv->operands[1]);
    json_t *options = json_pack("{s:o, s:o*}", "uids", uids, "policy", policy);
    if (args)
        json_object_set_new(args, "options", options);
    else
        json_decref(options);
    return user_operate(inv, "user.create", args);
}

static int user_list_run(const struct invocation *inv)
{
    static const struct render_column columns[] = {{"name", "USER"},      {"state", "STATE"}, {"uid_list", "UIDS"},
                                                   {"policies", "POLICIES"}, {"keys", "KEYS"},   {"created", "CREATED"},
                                                   {0}};
    json_t *answer = NULL, *user;
    size_t n;
    int status = command_operate(inv, inv->operands[0], "user.list", user_args(inv, "name", ""), &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    json_array_foreach(json_object_get(answer, "users"), n, user) { /* lists as a table can show them */
        CLEANUP_FREE char *uids = json_dumps(json_object_get(user, "uids"), JSON_COMPACT);
        char *close = uids ? strchr(uids, ']') : NULL;
        if (close)
            *close = 0;
        json_object_set_new(user, "uid_list", json_string(uids ? uids + 1 : ""));
        json_object_set_new(user, "policies", json_integer((json_int_t)json_array_size(json_object_get(user, "policies"))));
        json_object_set_new(user, "keys", json_integer((json_int_t)json_array_size(json_object_get(user, "keys"))));
    }
    if (json_array_size(json_object_get(answer, "users")))
        render_table(json_object_get(answer, "users"), columns);
    json_decref(answer);
    return EXIT_DONE;
}

static int user_show_run(const struct invocation *inv)
{
    return user_operate(inv, "user.show", user_args(inv, "name", inv->operands[1]));
}

static int user_turn(const struct invocation *inv, bool on)
{
    json_t *args = user_args(inv, "name", inv->operands[1]);
    json_object_set_new(args, "on", json_boolean(on));
    return user_operate(inv, "user.enable", args);
}

static int user_disable_run(const struct invocation *inv)
{
    return user_turn(inv, false);
}

static int user_enable_run(const struct invocation *inv)
{
    return user_turn(inv, true);
}

static int user_delete_run(const struct invocation *inv)
{
    json_t *args = user_args(inv, "name", inv->operands[1]);
    json_object_set_new(args, "force", json_boolean(invocation_has(inv, "force")));
    return user_operate(inv, "user.delete", args);
}

static int user_map_run(const struct invocation *inv)
{
    json_int_t uid;
    if (!user_uid_read(inv->operands[1], &uid))
        return command_usage(inv, "`%s` is no uid; it is a number of 0 to 4294967294", inv->operands[1]);
    json_t *args = user_args(inv, "who", inv->operands[2]);
    json_object_set_new(args, "uid", json_integer(uid));
    return user_operate(inv, "user.map", args);
}

static const struct option create_options[] = {
    {"uid", "N", "is this uid on the mount; may be given several times", NULL, true},
    {"policy", "FILE", "what it may: a file, or a preset, as for user policy", NULL, false},
    USER_ACCOUNT_OPTION,
    {0},
};

static const struct option delete_options[] = {
    {"force", NULL, "with its access keys and uids", NULL, false},
    USER_ACCOUNT_OPTION,
    {0},
};

static const struct command user_create = {
    .name = "user create",
    .operands = "STORE|MNT NAME",
    .summary = "make a user",
    .text = "Makes a user of an account. It may do nothing until a policy of its own or of a bucket allows it.",
    .options = create_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs user create --uid 1000 --policy read-write /mnt/hold alice", "Whoever is uid 1000, to read and write"},
                 {"holdfs user create --policy backup.json /srv/store backup", "With a policy of one's own"}},
    .run = user_create_run,
};

static const struct command user_list = {
    .name = "user list",
    .operands = "STORE|MNT",
    .summary = "list the users of an account",
    .text = "Lists an account's users, their state and uids, and how many policies and access keys each has.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs user list /mnt/hold", "Of the first account"},
                 {"holdfs user list --json --account printshop /mnt/hold", "Of a tenant, for a script"}},
    .run = user_list_run,
};

static const struct command user_show = {
    .name = "user show",
    .operands = "STORE|MNT NAME",
    .summary = "tell what a user has",
    .text = "Tells a user's ARN, state, uids, policies and access keys.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs user show /mnt/hold alice", "Of a mount"}, {"holdfs user show --json /mnt/hold alice", "For a script"}},
    .run = user_show_run,
};

static const struct command user_disable = {
    .name = "user disable",
    .operands = "STORE|MNT NAME",
    .summary = "deny a user everything",
    .text = "From now on the user is denied everything, on the mount and over S3; nothing of it is lost.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs user disable /mnt/hold alice", "At once"},
                 {"holdfs user disable --account printshop /mnt/hold carol", "One of a tenant's"}},
    .run = user_disable_run,
};

static const struct command user_enable = {
    .name = "user enable",
    .operands = "STORE|MNT NAME",
    .summary = "let a disabled user in again",
    .text = "The user may again what its policies allow.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs user enable /mnt/hold alice", "At once"},
                 {"holdfs user enable --account printshop /mnt/hold carol", "One of a tenant's"}},
    .run = user_enable_run,
};

static const struct command user_delete = {
    .name = "user delete",
    .operands = "STORE|MNT NAME",
    .summary = "remove a user",
    .text = "Removes a user and its policies; one that has access keys or uids only with --force. What it wrote stays, and a "
            "later user of that name inherits nothing.",
    .options = delete_options,
    .flags = COMMAND_SECRETS,
    .min_operands = 2,
    .max_operands = 2,
    .examples = {{"holdfs user delete /mnt/hold alice", "Without keys and uids"},
                 {"holdfs user delete --force /mnt/hold alice", "With all it has"}},
    .run = user_delete_run,
};

static const struct command user_map = {
    .name = "user map",
    .operands = "STORE|MNT UID WHO",
    .summary = "say who a uid is on the mount",
    .text = "WHO is a user's name, root, ACCOUNT:NAME, ACCOUNT:root, or anonymous, which takes a mapping away. A uid has one "
            "principal, a principal any number of uids. The mount option uid-map= stands before this.",
    .options = user_account_option,
    .flags = COMMAND_SECRETS,
    .min_operands = 3,
    .max_operands = 3,
    .examples = {{"holdfs user map /mnt/hold 1001 bob", "A uid more for a user"},
                 {"holdfs user map /mnt/hold 1001 anonymous", "Nobody again"}},
    .run = user_map_run,
};

static const struct command *const user_verbs[] = {&user_create, &user_list,  &user_show,   &user_disable, &user_enable, &user_delete,
                                                   &user_map,    &user_policy, &user_can, &user_key,     NULL};

const struct command command_user = {
    .name = "user",
    .operands = "",
    .summary = "manage users, what they may, their uids and access keys",
    .text = "A user belongs to an account and may what policies allow, on the mount (by its uids) and over S3 (by its access "
            "keys). The account's root manages its users.",
    .examples = {{"holdfs user create --uid 1000 --policy read-write /mnt/hold alice", ""},
                 {"holdfs user can /mnt/hold alice s3:PutObject /mnt/hold/docs/a.txt", ""}},
    .verbs = user_verbs,
};
