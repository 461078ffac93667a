/* SPDX-License-Identifier: GPL-3.0-or-later
 * The command table, and reading a command line by a command's option tables. */
#include "cmd/command.h"
#include "cmd/help.h"
#include "cmd/render.h"
#include "cmd/secrets.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct command *const command_table[] = {
#define COMMAND(name) &command_##name,
#include "cmd/commands.def"
#undef COMMAND
    NULL};

static const struct option json_options[] = {{"json", NULL, "answer as one JSON document", NULL, false}, {0}};
static const struct option common_options[] = {{"help", NULL, "show this help", NULL, false}, {0}};

const struct option *command_option_table(const struct command *command, unsigned n)
{
    static const struct option none[] = {{0}};
    switch (n) {
    case 0:
        return command->options ? command->options : none;
    case 1:
        return command->flags & COMMAND_SECRETS ? secret_options : none;
    case 2:
        return command->flags & COMMAND_JSON ? json_options : none;
    case 3:
        return common_options;
    default:
        return NULL;
    }
}

static bool command_is_named(const struct command *command, const char *name)
{
    return !strcmp(command->name, name) || (command->alias && !strcmp(command->alias, name));
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; command_table[i]; i++)
        if (command_is_named(command_table[i], name))
            return command_table[i];
    return NULL;
}

static const struct command *command_verb_find(const struct command *command, const char *word)
{
    for (size_t i = 0; command->verbs[i]; i++)
        if (!strcmp(strrchr(command->verbs[i]->name, ' ') + 1, word))
            return command->verbs[i];
    return NULL;
}

const struct command *command_of_arguments(int argc, char **argv, int *ret_skip)
{
    const struct command *command = argc > 0 ? command_find(argv[0]) : NULL, *verb;
    *ret_skip = command != NULL;
    while (command && command->verbs && *ret_skip < argc && (verb = command_verb_find(command, argv[*ret_skip]))) {
        command = verb;
        ++*ret_skip;
    }
    return command;
}

static const struct option *option_find(const struct command *command, const char *name, size_t len)
{
    const struct option *table;
    for (unsigned n = 0; (table = command_option_table(command, n)); n++)
        for (const struct option *o = table; o->name; o++)
            if (strlen(o->name) == len && !memcmp(o->name, name, len))
                return o;
    return NULL;
}

/* Whether value is one of "a|b|c". */
static bool option_value_allowed(const char *choices, const char *value)
{
    size_t len = strlen(value);
    while (*choices) {
        size_t n = strcspn(choices, "|");
        if (n == len && !memcmp(choices, value, n))
            return true;
        choices += n + (choices[n] == '|');
    }
    return false;
}

static int invocation_add(struct invocation *inv, const struct option *o, const char *value,
                          struct reason *reason)
{
    const char *dashes = o->name[1] ? "--" : "-";
    if (o->arg && o->choices && !option_value_allowed(o->choices, value))
        return reason_fail(reason, EINVAL, "%s%s takes one of %s", dashes, o->name, o->choices);
    if (!o->repeat && invocation_has(inv, o->name))
        return reason_fail(reason, EINVAL, "%s%s is given twice", dashes, o->name);
    if (inv->given_count == INVOCATION_OPTIONS_MAX)
        return reason_fail(reason, EINVAL, "more than %d options", INVOCATION_OPTIONS_MAX);
    inv->given[inv->given_count++] = (struct given){o, value};
    return 0;
}

/* One argument that begins with a dash; *i moves on when the value is the next argument. */
static int invocation_option(struct invocation *inv, int argc, char **argv, int *i, struct reason *reason)
{
    const char *arg = argv[*i];
    bool is_long = arg[1] == '-';
    const char *name = arg + (is_long ? 2 : 1);
    size_t len = is_long ? strcspn(name, "=") : 1;
    const struct option *o = is_long == (len > 1) ? option_find(inv->command, name, len) : NULL;
    if (!o)
        return reason_fail(reason, EINVAL, "no option `%.*s`", (int)(name + len - arg), arg);

    const char *value = NULL;
    if (is_long ? name[len] == '=' : name[1] != 0)
        value = name + len + is_long;
    if (!o->arg && value)
        return reason_fail(reason, EINVAL, "`%.*s` takes no value", (int)(name + len - arg), arg);
    if (o->arg && !value) {
        if (*i + 1 == argc)
            return reason_fail(reason, EINVAL, "`%s` needs a value: %s", arg, o->arg);
        value = argv[++*i];
    }
    return invocation_add(inv, o, value, reason);
}

int invocation_parse(const struct command *command, int argc, char **argv, struct invocation *ret,
                     struct reason *reason)
{
    *ret = (struct invocation){.command = command, .operands = argv};
    bool options_ended = false;
    for (int i = 0; i < argc; i++) {
        if (!options_ended && !strcmp(argv[i], "--")) {
            options_ended = true;
        } else if (!options_ended && argv[i][0] == '-' && argv[i][1]) {
            int r = invocation_option(ret, argc, argv, &i, reason);
            if (r < 0)
                return r;
        } else {
            argv[ret->operand_count++] = argv[i];
        }
    }
    ret->json = invocation_has(ret, "json");
    ret->help = invocation_has(ret, "help");
    if (ret->help)
        return 0;
    if (ret->operand_count < command->min_operands)
        return reason_fail(reason, EINVAL, "missing argument: it takes %s", command->operands);
    if (command->max_operands >= 0 && ret->operand_count > command->max_operands)
        return reason_fail(reason, EINVAL, "`%s` is one argument too many: it takes %s",
                           ret->operands[command->max_operands],
                           *command->operands ? command->operands : "none");
    return 0;
}

const char *invocation_value(const struct invocation *inv, const char *name)
{
    for (size_t i = inv->given_count; i > 0; i--)
        if (!strcmp(inv->given[i - 1].option->name, name))
            return inv->given[i - 1].value;
    return NULL;
}

bool invocation_has(const struct invocation *inv, const char *name)
{
    for (size_t i = 0; i < inv->given_count; i++)
        if (!strcmp(inv->given[i].option->name, name))
            return true;
    return false;
}

int command_run(const struct command *command, int argc, char **argv)
{
    struct invocation inv;
    struct reason reason = {0};
    if (command->verbs) { /* no verb was named */
        bool asked = argc > 0 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "help"));
        help_command(asked ? stdout : stderr, command);
        return asked ? EXIT_DONE : EXIT_USAGE;
    }
    if (invocation_parse(command, argc, argv, &inv, &reason) < 0)
        return command_usage(&inv, "%s", reason.text);
    if (inv.help) {
        help_command(stdout, command);
        return EXIT_DONE;
    }
    int status = command->run(&inv);
    if (status == EXIT_DONE && (fflush(stdout) || ferror(stdout)))
        return command_refuse("the answer could not be written: %s", strerror(errno));
    return status;
}

/* Names in it come from outside. */
static void line_put(FILE *f, const char *fmt, va_list args)
{
    char line[4096];
    vsnprintf(line, sizeof line, fmt, args);
    fputs(render_clean(line), f);
}

int command_refuse(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fflush(stdout);
    fputs("holdfs: ", stderr);
    line_put(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return EXIT_REFUSED;
}

int command_refuse_reason(const struct reason *reason, int error, const char *what)
{
    if (reason && *reason->text)
        return command_refuse("%s", reason->text);
    return command_refuse("%s: %s", what, strerror(error < 0 ? -error : error));
}

int command_usage(const struct invocation *inv, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "holdfs %s: ", inv->command->name);
    line_put(stderr, fmt, args);
    fprintf(stderr, "; see `holdfs %s --help`\n", inv->command->name);
    va_end(args);
    return EXIT_USAGE;
}
