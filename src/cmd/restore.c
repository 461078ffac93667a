/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs restore: makes the state of an earlier time current again. Looks first, says what it will do, asks
 * on a terminal. */
#include "cmd/control.h"
#include "cmd/render.h"
#include "util/cleanup.h"
#include "util/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct restore_work {
    const struct invocation *inv;
    struct target target; /* of the first path; the others lie in the same store */
    json_t *args;
    char at[48];
};

static int restore_paths(struct restore_work *work, struct reason *reason)
{
    json_t *paths = json_array();
    json_object_set_new(work->args, "paths", paths);
    for (int i = 0; i < work->inv->operand_count; i++) {
        struct target t;
        int r = target_find(work->inv->operands[i], &t, reason);
        if (r < 0)
            return r;
        if (i == 0)
            work->target = t;
        else if (strcmp(t.store, work->target.store) != 0 || strcmp(t.mount, work->target.mount) != 0)
            return reason_fail(
                reason, EINVAL,
                "the paths lie in different mounts or stores; restore them one after the other");
        if (json_array_append_new(paths, json_string(t.path)) < 0)
            return reason_fail(reason, EILSEQ, "%s is not UTF-8, and no key in a store is",
                               work->inv->operands[i]);
    }
    return 0;
}

static uint64_t answer_count(const json_t *answer, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(answer, name));
}

/* "18,204 files changed, 3 deleted since 2026-11-24T09:00:00Z (18,190 by eva); 7 made since then stay" */
static void restore_say(const struct restore_work *work, const json_t *answer, const char *verb)
{
    char n[32], m[32];
    const char *name, *separator = " (";
    json_t *count;
    uint64_t created = answer_count(answer, "created");
    printf("%s: %s files changed, %s deleted since %s", verb,
           render_count(answer_count(answer, "changed"), n), render_count(answer_count(answer, "deleted"), m),
           work->at);
    json_object_foreach(json_object_get(answer, "by"), name, count)
    {
        printf("%s%s by %s", separator, render_count((uint64_t)json_integer_value(count), n), name);
        separator = ", ";
    }
    fputs(*separator == ',' ? ")" : "", stdout);
    if (created)
        printf("; %s made since then %s", render_count(created, n),
               invocation_has(work->inv, "delete-newer") ? "go" : "stay");
    putchar('\n');
    fflush(stdout);
}

/* Where a directory stands in a file's way, or a file in a directory's. */
static int restore_blocked(const json_t *answer)
{
    const json_t *names = json_object_get(answer, "blocked");
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)names, i, name) command_refuse(
        "left as it is: %s, for a file stands where a directory was, or a directory where a file was",
        json_string_value(name));
    return json_array_size(names) ? EXIT_REFUSED : EXIT_DONE;
}

static bool restore_agreed(void)
{
    CLEANUP_FREE char *line = NULL;
    size_t cap = 0;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    fputs("Go on? [y/N] ", stderr);
    return getline(&line, &cap, stdin) > 0 && (line[0] == 'y' || line[0] == 'Y');
}

/* A word that the shell reads back as it is. */
static void print_quoted(const char *word)
{
    fputs(" '", stdout);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (const char[]){*word, 0}, stdout);
    putchar('\'');
}

static void restore_undo_line(const struct restore_work *work, const json_t *answer)
{
    const char *undo = json_string_value(json_object_get(answer, "undo"));
    if (!undo || answer_count(answer, "restored") + answer_count(answer, "removed") == 0)
        return;
    printf("To undo: holdfs restore --delete-newer --at %s", undo);
    for (int i = 0; i < work->inv->operand_count; i++)
        print_quoted(work->inv->operands[i]);
    putchar('\n');
}

static int restore_call(struct session *s, struct restore_work *work, bool dry_run, json_t **ret)
{
    struct reason reason = {0};
    json_t *args = json_copy(work->args);
    json_object_set_new(args, "dry_run", json_boolean(dry_run));
    int r = session_call(s, "restore", args, -1, ret, &reason);
    return r < 0 ? command_refuse_reason(&reason, r, work->inv->operands[0]) : EXIT_DONE;
}

static int restore_work_run(struct restore_work *work)
{
    bool dry_run = invocation_has(work->inv, "dry-run"), json = work->inv->json;
    json_t *answer = NULL;
    CLEANUP(session_cleanup) struct session *s = session_open(work->inv, &work->target, false);
    if (!s)
        return EXIT_REFUSED;
    int status = restore_call(s, work, true, &answer);
    if (status != EXIT_DONE || (dry_run && json))
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    bool nothing = answer_count(answer, "todo") == 0;
    if (!json)
        restore_say(work, answer, nothing ? "Nothing to restore" : dry_run ? "Would restore" : "To restore");
    json_decref(answer);
    if (!json && (dry_run || nothing))
        return EXIT_DONE;
    if (!json && !restore_agreed())
        return command_refuse("nothing was changed");
    status = restore_call(s, work, false, &answer);
    if (status != EXIT_DONE || json)
        return status == EXIT_DONE ? render_answer(answer, true) : status;
    restore_say(work, answer, "Restored");
    restore_undo_line(work, answer);
    status = restore_blocked(answer);
    json_decref(answer);
    return status;
}

static int restore_run(const struct invocation *inv)
{
    struct restore_work work = {.inv = inv};
    struct reason reason = {0};
    struct instant at, now = instant_of_ns(clock_wall_ns());
    bool relative;
    const char *text = invocation_value(inv, "at");
    if (!text)
        return command_usage(inv, "--at TIME is missing: the time whose state is to come back");
    if (timeform_parse(text, now, &at, &relative, &reason) < 0)
        return command_usage(inv, "%s", reason.text);
    if (at.nsec % 1000000)
        timeform_format_ns(at.sec, at.nsec, work.at);
    else
        timeform_format_ms(at.sec * 1000 + at.nsec / 1000000, work.at);
    work.args = json_pack("{s:[I,I], s:b, s:b, s:s*}", "at", (json_int_t)at.sec, (json_int_t)at.nsec,
                          "delete_newer", invocation_has(inv, "delete-newer"), "only_deletes",
                          invocation_has(inv, "only"), "by", invocation_value(inv, "by"));
    int r = restore_paths(&work, &reason);
    int status = r < 0 ? command_refuse_reason(&reason, r, inv->operands[0]) : restore_work_run(&work);
    json_decref(work.args);
    return status;
}

static const struct option restore_options[] = {
    {"at", "TIME", "the time whose state comes back: 09:00, -2h, yesterday, a date", NULL, false},
    {"dry-run", NULL, "only say what would be done", NULL, false},
    {"delete-newer", NULL, "put delete markers on what was made since", NULL, false},
    {"only", "WHAT", "only bring back what was deleted", "deletes", false},
    {"by", "PRINCIPAL", "undo only what this principal did since", NULL, false},
    {0},
};

const struct command command_restore = {
    .name = "restore",
    .alias = "rollback",
    .operands = "PATH...",
    .summary = "make the state of an earlier time current again",
    .text = "Makes the state of TIME current again under the paths, as new versions that share their bytes "
            "with the old ones: nothing is "
            "lost, and it ends with the command that undoes it. Asks first on a terminal.",
    .options = restore_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = -1,
    .examples = {{"holdfs restore --at 09:00 /mnt/hold/docs", "A bucket as it was at nine"},
                 {"holdfs restore --at -2h --only deletes --dry-run /mnt/hold/docs",
                  "What was deleted in two hours"}},
    .run = restore_run,
};
