/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs user policy: a user's own policies; holdfs user can: what policies say of one operation, without doing it. */
#include "cmd/user.h"

#include <stdio.h>
#include <string.h>

/* ---- user policy ---- */

static int policy_put_run(const struct invocation *inv)
{
    struct reason reason = {0};
    const char *file = inv->operands[2], *name = invocation_value(inv, "name");
    json_t *text = NULL;
    int r = user_policy_read(file, &text, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, file);
    json_t *args = user_args(inv, "user", inv->operands[1]);
    json_object_set_new(args, "name", json_string(name ? name : "policy"));
    json_object_set_new(args, "text", text);
    return user_operate(inv, "user.policy.put", args);
}

static int policy_list_run(const struct invocation *inv)
{
    static const struct render_column columns[] = {{"name", "POLICY"}, {"bytes", "BYTES"}, {0}};
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "user.policy.list", user_args(inv, "user", inv->operands[1]), &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    if (json_array_size(json_object_get(answer, "policies")))
        render_table(json_object_get(answer, "policies"), columns);
    json_decref(answer);
    return EXIT_DONE;
}

/* The text as it was put. */
static int policy_get_run(const struct invocation *inv, const char *name)
{
    json_t *answer = NULL, *args = user_args(inv, "user", inv->operands[1]);
    json_object_set_new(args, "name", json_string(name));
    int status = command_operate(inv, inv->operands[0], "user.policy.get", args, &answer);
    if (status != EXIT_DONE || inv->json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    const char *text = json_string_value(json_object_get(answer, "policy"));
    size_t len = text ? strlen(text) : 0;
    fputs(text ? text : "", stdout);
    if (len && text[len - 1] != '\n')
        putchar('\n');
    json_decref(answer);
    return EXIT_DONE;
}

static int user_policy_run(const struct invocation *inv)
{
    const char *get = invocation_value(inv, "get"), *gone = invocation_value(inv, "delete");
    bool list = invocation_has(inv, "list"), put = inv->operand_count > 2;
    if (put + list + (get != NULL) + (gone != NULL) != 1)
        return command_usage(inv, "one of a FILE or preset, --list, --get and --delete says what to do");
    if (invocation_has(inv, "name") && !put)
        return command_usage(inv, "--name is how the policy of FILE is to be called");
    if (put)
        return policy_put_run(inv);
    if (list)
        return policy_list_run(inv);
    if (get)
        return policy_get_run(inv, get);
    json_t *args = user_args(inv, "user", inv->operands[1]);
    json_object_set_new(args, "name", json_string(gone));
    return user_operate(inv, "user.policy.delete", args);
}

static const struct option policy_options[] = {
    {"name", "P", "how it is called; policy if not given", NULL, false},
    {"list", NULL, "list the user's policies", NULL, false},
    {"get", "P", "print this one as it was put", NULL, false},
    {"delete", "P", "take this one away", NULL, false},
    USER_ACCOUNT_OPTION,
    {0},
};

const struct command user_policy = {
    .name = "user policy",
    .operands = "STORE|MNT USER [FILE|PRESET]",
    .summary = "say what a user may",
    .text = "Puts a policy in S3's language, at most 10 a user; - is standard input. Presets, on every bucket: read-only, "
            "read-write, backup (which may lock, and cannot delete versions), admin.",
    .options = policy_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 2,
    .max_operands = 3,
    .examples = {{"holdfs user policy /mnt/hold alice read-write", "A preset"},
                 {"holdfs user policy --name photos /mnt/hold alice photos.json", "One of several"}},
    .run = user_policy_run,
};

/* ---- user can ---- */

/* All --context KEY=VALUE as {KEY: [VALUE, ...]}. NULL: one of them is none, which was told. */
static json_t *context_of(const struct invocation *inv)
{
    json_t *context = json_object();
    for (size_t i = 0; i < inv->given_count; i++) {
        if (strcmp(inv->given[i].option->name, "context") != 0)
            continue;
        const char *text = inv->given[i].value, *equals = strchr(text, '=');
        char key[256];
        if (!equals || equals == text || (size_t)(equals - text) >= sizeof key) {
            command_usage(inv, "--context takes KEY=VALUE, not `%s`", text);
            json_decref(context);
            return NULL;
        }
        snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
        json_t *values = json_object_get(context, key);
        if (!values && json_object_set_new(context, key, values = json_array()) < 0)
            continue;
        json_array_append_new(values, json_string(equals + 1));
    }
    return context;
}

static void can_show(const json_t *answer)
{
    const char *sid = json_string_value(json_object_get(answer, "sid")), *policy = json_string_value(json_object_get(answer, "policy"));
    const json_t *statement = json_object_get(answer, "statement");
    printf("%s: %s, %s on %s\n", json_string_value(json_object_get(answer, "decision")),
           json_string_value(json_object_get(answer, "principal")), json_string_value(json_object_get(answer, "action")),
           json_string_value(json_object_get(answer, "resource")));
    printf("by: %s\n", json_string_value(json_object_get(answer, "by")));
    if (!policy)
        return;
    printf("policy: %s\n", policy);
    if (sid && *sid)
        printf("sid: %s\n", sid);
    render_json(statement);
}

/* The resource: an ARN or *, or a path, whose own mount then answers so that it means what it means there. *ret_at: where to ask. */
static int can_resource(const char *text, json_t *question, const char **ret_at)
{
    struct target store, object;
    struct reason reason = {0};
    if (!strncmp(text, "arn:", 4) || !strcmp(text, "*")) {
        json_object_set_new(question, "resource", json_string(text));
        return EXIT_DONE;
    }
    int r = target_find(*ret_at, &store, &reason);
    if (r == 0)
        r = target_find(text, &object, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, text);
    if (strcmp(store.store, object.store) != 0)
        return command_refuse("%s is in the store %s, not in %s", text, object.store, store.store);
    char path[sizeof object.path + 1];
    size_t len = strlen(text);
    snprintf(path, sizeof path, "%s%s", object.path, *object.path && text[len - 1] == '/' ? "/" : "");
    if (json_object_set_new(question, "object", json_string(path)) < 0)
        return command_refuse("the path is not UTF-8, and no key in a store is");
    if (*object.mount)
        *ret_at = text;
    return EXIT_DONE;
}

/* The question as far as the command line has it; NULL: a usage error, which was told. */
static json_t *can_question(const struct invocation *inv, const char *action)
{
    const char *uid = invocation_value(inv, "uid");
    json_int_t number = 0;
    if (inv->operand_count != (uid ? 3 : 4)) {
        command_usage(inv, "it takes a USER or --uid, an ACTION, and an ARN or PATH");
        return NULL;
    }
    if (uid && !user_uid_read(uid, &number)) {
        command_usage(inv, "--uid takes a number of 0 to 4294967294, not `%s`", uid);
        return NULL;
    }
    json_t *context = context_of(inv);
    json_t *question = context ? user_args(inv, "action", action) : NULL;
    if (!question) {
        if (context)
            command_usage(inv, "names are UTF-8");
        json_decref(context);
        return NULL;
    }
    json_object_set_new(question, "context", context);
    if (uid)
        json_object_set_new(question, "uid", json_integer(number));
    else
        json_object_set_new(question, "user", json_string(inv->operands[1]));
    return question;
}

static int user_can_run(const struct invocation *inv)
{
    const char *at = inv->operands[0];
    const char *action = inv->operands[inv->operand_count - 2], *resource = inv->operands[inv->operand_count - 1];
    json_t *answer = NULL, *question = can_question(inv, action);
    if (!question)
        return EXIT_USAGE;
    int status = can_resource(resource, question, &at);
    if (status != EXIT_DONE) {
        json_decref(question);
        return status;
    }
    status = command_operate(inv, at, "user.can", question, &answer);
    if (status != EXIT_DONE)
        return status;
    bool allowed = json_is_true(json_object_get(answer, "allowed"));
    if (inv->json)
        render_json(answer);
    else
        can_show(answer);
    json_decref(answer);
    return allowed ? EXIT_DONE : EXIT_REFUSED;
}

static const struct option can_options[] = {
    {"uid", "N", "as this uid on the mount, instead of USER", NULL, false},
    {"context", "KEY=VALUE", "a condition key of the request; may be repeated", NULL, true},
    USER_ACCOUNT_OPTION,
    {0},
};

const struct command user_can = {
    .name = "user can",
    .operands = "STORE|MNT [USER] ACTION ARN|PATH",
    .summary = "tell whether a user may, and why",
    .text = "Judges an action such as s3:GetObject without doing it and prints the decision and the statement that made it. USER "
            "may be root or anonymous. Exit 0: allowed; 1: denied.",
    .options = can_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 3,
    .max_operands = 4,
    .examples = {{"holdfs user can /mnt/hold alice s3:PutObject /mnt/hold/docs/a.txt", "May she write it?"},
                 {"holdfs user can --uid 1001 /srv/store s3:ListBucket arn:aws:s3:::docs", "May this uid list it?"}},
    .run = user_can_run,
};
