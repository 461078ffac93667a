/* SPDX-License-Identifier: GPL-3.0-or-later
 * Shell completion made from the command tables: commands, verbs, options, the values an option admits, else
 * files. */
#include "cmd/help.h"

#include <stdio.h>
#include <string.h>

/* Every option of a command as shell words. */
static void completion_options(FILE *f, const struct command *c)
{
    const struct option *table;
    for (unsigned n = 0; (table = command_option_table(c, n)); n++)
        for (const struct option *o = table; o->name; o++)
            fprintf(f, "%s%s ", o->name[1] ? "--" : "-", o->name);
}

static void completion_values(FILE *f, const struct command *c)
{
    for (const struct option *o = c->options; o && o->name; o++) {
        if (!o->choices)
            continue;
        fprintf(f, "    \"%s %s%s\") words='", c->name, o->name[1] ? "--" : "-", o->name);
        for (const char *p = o->choices; *p; p++)
            fputc(*p == '|' ? ' ' : *p, f);
        fputs("' ;;\n", f);
    }
}

static void completion_of(FILE *f, const struct command *const *commands, void (*fn)(FILE *, const struct command *))
{
    for (size_t i = 0; commands[i]; i++) {
        if (commands[i]->verbs)
            completion_of(f, commands[i]->verbs, fn);
        else
            fn(f, commands[i]);
    }
}

static void completion_each(FILE *f, void (*fn)(FILE *, const struct command *))
{
    completion_of(f, command_table, fn);
}

static void completion_bash_case(FILE *f, const struct command *c)
{
    fprintf(f, "    \"%s\"", c->name);
    if (c->alias)
        fprintf(f, "|\"%s\"", c->alias);
    fputs(") words='", f);
    completion_options(f, c);
    fputs("' ;;\n", f);
}

static void completion_commands(FILE *f)
{
    for (size_t i = 0; command_table[i]; i++)
        if (!(command_table[i]->flags & COMMAND_HIDDEN))
            fprintf(f, "%s ", command_table[i]->name);
}

static void completion_verbs_of(FILE *f, const struct command *const *commands)
{
    for (size_t i = 0; commands[i]; i++) {
        if (!commands[i]->verbs)
            continue;
        fprintf(f, "        \"%s\") verbs='", commands[i]->name);
        for (size_t v = 0; commands[i]->verbs[v]; v++)
            fprintf(f, "%s ", strrchr(commands[i]->verbs[v]->name, ' ') + 1);
        fputs("' ;;\n", f);
        completion_verbs_of(f, commands[i]->verbs);
    }
}

void help_completion_bash(FILE *f)
{
    fputs("# bash completion for holdfs; made by `holdfs help --completion bash`\n"
          "_holdfs() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verbs= words= name at=2\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W '",
          f);
    completion_commands(f);
    fputs("' -- \"$cur\"))\n        return\n    fi\n    name=${COMP_WORDS[1]}\n"
          "    while :; do\n        verbs=\n        case $name in\n",
          f);
    completion_verbs_of(f, command_table);
    fputs("        esac\n"
          "        [ -n \"$verbs\" ] || break\n"
          "        if [ \"$COMP_CWORD\" -eq \"$at\" ]; then\n"
          "            COMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\"))\n            return\n        fi\n"
          "        name=\"$name ${COMP_WORDS[at]}\" at=$((at + 1))\n    done\n"
          "    case \"$name $prev\" in\n",
          f);
    completion_each(f, completion_values);
    fputs("    esac\n"
          "    if [ -z \"$words\" ] && [ \"${cur#-}\" != \"$cur\" ]; then\n    case $name in\n",
          f);
    completion_each(f, completion_bash_case);
    fputs("    esac\n    fi\n"
          "    if [ -n \"$words\" ]; then\n"
          "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "    else\n        compopt -o filenames 2>/dev/null\n        COMPREPLY=($(compgen -f -- "
          "\"$cur\"))\n    fi\n"
          "}\ncomplete -F _holdfs holdfs\n",
          f);
}

/* A phrase inside single quotes of a zsh _arguments specification. */
static void completion_zsh_text(FILE *f, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", f);
        else if (strchr("[]:", *text))
            fprintf(f, "\\%c", *text);
        else
            fputc(*text, f);
    }
}

static void completion_zsh_case(FILE *f, const struct command *c)
{
    fprintf(f, "    (\"%s\"%s%s%s) _arguments -S", c->name, c->alias ? "|\"" : "", c->alias ? c->alias : "",
            c->alias ? "\"" : "");
    const struct option *table;
    for (unsigned n = 0; (table = command_option_table(c, n)); n++)
        for (const struct option *o = table; o->name; o++) {
            fprintf(f, " \\\n        '%s%s%s[", o->repeat ? "*" : "", o->name[1] ? "--" : "-", o->name);
            completion_zsh_text(f, o->help);
            fputc(']', f);
            if (o->arg) {
                fputc(':', f);
                completion_zsh_text(f, o->arg);
                fputc(':', f);
                if (o->choices) {
                    fputc('(', f);
                    for (const char *p = o->choices; *p; p++)
                        fputc(*p == '|' ? ' ' : *p, f);
                    fputc(')', f);
                } else {
                    fputs("_files", f);
                }
            }
            fputc('\'', f);
        }
    fputs(" \\\n        '*:path:_files' ;;\n", f);
}

void help_completion_zsh(FILE *f)
{
    fputs("#compdef holdfs\n# made by `holdfs help --completion zsh`\n_holdfs() {\n"
          "    local -a commands=(\n",
          f);
    for (size_t i = 0; command_table[i]; i++) {
        if (command_table[i]->flags & COMMAND_HIDDEN)
            continue;
        fprintf(f, "        '%s:", command_table[i]->name);
        completion_zsh_text(f, command_table[i]->summary);
        fputs("'\n", f);
    }
    fputs("    )\n    local name=$words[2] verbs=\n"
          "    if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
          "    while true; do\n        verbs=\n        case $name in\n",
          f);
    completion_verbs_of(f, command_table);
    fputs("        esac\n        [[ -n $verbs ]] || break\n"
          "        if (( CURRENT == 3 )); then compadd -- ${=verbs}; return; fi\n"
          "        name=\"$name $words[3]\"; shift words; (( CURRENT-- ))\n    done\n"
          "    shift words; (( CURRENT-- ))\n    case $name in\n",
          f);
    completion_each(f, completion_zsh_case);
    fputs("    esac\n}\n_holdfs \"$@\"\n", f);
}
