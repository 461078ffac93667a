/* SPDX-License-Identifier: GPL-3.0-or-later
 * --help of every command and the commands' part of the manual page, from the same tables. A help fits a
 * screen of 24 lines of 80 columns and ends with two examples. */
#include "cmd/help.h"
#include "cmd/secrets.h"

#include <stdio.h>
#include <string.h>

enum { HELP_COLUMNS = 79, HELP_INDENT = 26 };

static void help_wrap(FILE *f, const char *text, int indent, int column)
{
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (column > indent && column + 1 + word > HELP_COLUMNS) {
            fprintf(f, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', f);
            column++;
        }
        fwrite(text, 1, (size_t)word, f);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', f);
}

static void help_usage_line(FILE *f, const char *before, const struct command *c)
{
    fprintf(f, "%sholdfs %s%s%s%s\n", before, c->name, c->options ? " [OPTION]..." : "",
            *c->operands ? " " : "", c->operands);
}

static void help_option(FILE *f, const struct option *o)
{
    char head[80];
    int n = snprintf(head, sizeof head, "  %s%s%s%s", o->name[1] ? "--" : "-", o->name, o->arg ? " " : "",
                     o->arg ? o->arg : "");
    fputs(head, f);
    if (n >= HELP_INDENT) {
        fputc('\n', f);
        n = 0;
    }
    fprintf(f, "%*s", HELP_INDENT - n, "");
    help_wrap(f, o->help, HELP_INDENT, HELP_INDENT);
}

static void help_examples(FILE *f, const struct command *c)
{
    fputs("\nExamples:\n", f);
    for (size_t i = 0; i < 2; i++)
        fprintf(f, "  %s\n", c->examples[i].line);
}

static void help_verbs(FILE *f, const struct command *c)
{
    for (size_t i = 0; c->verbs[i]; i++) {
        const char *before = i == 0 ? "Usage: " : "       ";
        if (c->verbs[i]->verbs)
            fprintf(f, "%sholdfs %s VERB ...\n", before, c->verbs[i]->name);
        else
            help_usage_line(f, before, c->verbs[i]);
    }
    fputc('\n', f);
    help_wrap(f, c->text, 0, 0);
    fprintf(f, "`holdfs %s VERB --help` tells the options of each.\n", c->name);
    help_examples(f, c);
}

void help_command(FILE *f, const struct command *c)
{
    if (c->verbs) {
        help_verbs(f, c);
        return;
    }
    help_usage_line(f, "Usage: ", c);
    if (c->alias)
        fprintf(f, "   or: holdfs %s ...\n", c->alias);
    fputc('\n', f);
    help_wrap(f, c->text, 0, 0);
    if (c->options || c->flags & COMMAND_JSON)
        fputc('\n', f);
    for (const struct option *o = c->options; o && o->name; o++)
        help_option(f, o);
    if (c->flags & COMMAND_JSON)
        help_option(f, command_option_table(c, 2));
    if (c->flags & COMMAND_SECRETS)
        help_wrap(f, secret_help, 2, 0);
    help_examples(f, c);
}

void help_overview(FILE *f)
{
    fputs("Usage: holdfs COMMAND [OPTION]... [ARGUMENT]...\n"
          "Encrypted, versioned, lockable buckets as a filesystem.\n\n",
          f);
    for (size_t i = 0; command_table[i]; i++)
        if (!(command_table[i]->flags & COMMAND_HIDDEN))
            fprintf(f, "  %-11s %s\n", command_table[i]->name, command_table[i]->summary);
    fputs("\n`holdfs COMMAND --help` tells more; the manual is holdfs(1).\n"
          "Examples:\n  holdfs init /srv/store\n  holdfs mount /srv/store /mnt/hold\n",
          f);
}

/* ---- the manual page ---- */

/* Text for troff: a leading dot or quote is no request, a dash is a dash, a backslash is one. */
void help_manual_text(FILE *f, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", f);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", f);
        else if (*text == '-')
            fputs("\\-", f);
        else
            fputc(*text, f);
    }
}

static void manual_option(FILE *f, const struct option *o)
{
    fputs(".TP\n\\fB", f);
    help_manual_text(f, o->name[1] ? "--" : "-");
    help_manual_text(f, o->name);
    fputs("\\fR", f);
    if (o->arg) {
        fputs(" \\fI", f);
        help_manual_text(f, o->arg);
        fputs("\\fR", f);
    }
    fputc('\n', f);
    help_manual_text(f, o->help);
    fputs(".\n", f);
    if (o->choices) {
        fputs("One of \\fB", f);
        help_manual_text(f, o->choices);
        fputs("\\fR.\n", f);
    }
}

static void manual_command(FILE *f, const struct command *c)
{
    if (c->verbs) {
        for (size_t i = 0; c->verbs[i]; i++)
            manual_command(f, c->verbs[i]);
        return;
    }
    fputs(".SS \"holdfs ", f);
    help_manual_text(f, c->name);
    if (*c->operands) {
        fputc(' ', f);
        help_manual_text(f, c->operands);
    }
    fputs("\"\n", f);
    if (c->alias)
        fprintf(f, "Also called \\fB%s\\fR.\n", c->alias);
    help_manual_text(f, c->text);
    fputc('\n', f);
    for (const struct option *o = c->options; o && o->name; o++)
        manual_option(f, o);
    if (c->flags & COMMAND_JSON)
        manual_option(f, command_option_table(c, 2));
    fputs(".PP\n", f);
    if (c->flags & COMMAND_SECRETS)
        fputs("It takes the options of SECRETS.\n", f);
    for (size_t i = 0; i < 2; i++) {
        fputs(".PP\n", f);
        help_manual_text(f, c->examples[i].what);
        fputs(":\n.PP\n.RS 4\n.nf\n", f);
        help_manual_text(f, c->examples[i].line);
        fputs("\n.fi\n.RE\n", f);
    }
}

void help_manual(FILE *f)
{
    fputs(".SH COMMANDS\n", f);
    for (size_t i = 0; command_table[i]; i++)
        if (!(command_table[i]->flags & COMMAND_HIDDEN))
            manual_command(f, command_table[i]);
    fputs(".SH SECRETS\n", f);
    help_manual_text(f, secret_text);
    fputc('\n', f);
    for (const struct option *o = secret_options; o->name; o++)
        manual_option(f, o);
}
