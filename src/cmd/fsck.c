/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs fsck: checks the structure of a store, and rebuilds its metadata from a checkpoint. */
#include "cmd/control.h"
#include "cmd/progress.h"
#include "cmd/render.h"
#include "cmd/secrets.h"

#include <errno.h>
#include <stdio.h>

static int fsck_checkpoint(const struct invocation *inv)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], "checkpoint", NULL, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

/* ---- --rebuild: the store is closed, and the metadata is what cannot be opened ---- */

static json_int_t number(const json_t *answer, const char *outer, const char *name)
{
    return json_integer_value(json_object_get(outer ? json_object_get(answer, outer) : answer, name));
}

/* What was lost, in words. */
static void rebuild_tell(const json_t *answer)
{
    const json_t *salvaged = json_object_get(answer, "salvaged");
    bool complete = json_is_true(json_object_get(salvaged, "complete"));
    fprintf(stderr, "The metadata was rebuilt from its checkpoint of %s.\n",
            json_string_value(json_object_get(json_object_get(answer, "checkpoint"), "time")));
    fprintf(stderr, "Of the damaged metadata %s could be read: %lld later versions and %lld later locks were taken from it.\n",
            complete ? "all that counts" : "a part", (long long)number(answer, "salvaged", "versions"),
            (long long)number(answer, "salvaged", "locks"));
    if (!complete)
        fprintf(stderr, "What else was published, locked or removed after that time is not known any more.\n");
    if (number(answer, "beyond", "data_keys"))
        fprintf(stderr,
                "Segments hold data under %lld keys (%lld bytes) that no version has: at most so many versions, and drafts, are lost. These "
                "segments are kept for good.\n",
                (long long)number(answer, "beyond", "data_keys"), (long long)number(answer, "beyond", "bytes"));
    if (number(answer, NULL, "missing_versions"))
        fprintf(stderr,
                "%lld versions, %lld of them locked, were removed after that time or have lost their content; they stay, and `holdfs fsck` names "
                "them.\n",
                (long long)number(answer, NULL, "missing_versions"), (long long)number(answer, NULL, "missing_locked"));
    fprintf(stderr, "The damaged files are kept in %s.\n", json_string_value(json_object_get(answer, "damaged")));
}

static int rebuild_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    progress_show(arg, what, done, total);
    return 0;
}

static int rebuild_open(const struct invocation *inv, const struct target *target, json_t **ret, struct reason *reason)
{
    struct unlock unlock = {0};
    struct progress progress;
    int r = secret_unlock(inv, &unlock, reason);
    if (r < 0)
        return r;
    const struct engine_config config = {
        .dir = target->store, .unlock = &unlock, .owner_text = "command fsck --rebuild", .settle_default_s = -1};
    progress_begin(&progress);
    r = engine_rebuild(&config, (struct engine_progress){rebuild_progress, &progress}, ret, reason);
    progress_end(&progress);
    secret_free(unlock.secret);
    return r;
}

static int fsck_rebuild(const struct invocation *inv)
{
    struct target target;
    struct reason reason = {0};
    json_t *answer = NULL;
    int r = target_find(inv->operands[0], &target, &reason);
    if (r == 0 && session_daemon_runs(target.store))
        r = reason_fail(&reason, EBUSY, "'%s' is in use, so its metadata opens; unmount it first", target.store);
    if (r == 0)
        r = rebuild_open(inv, &target, &answer, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, inv->operands[0]);
    if (!inv->json)
        rebuild_tell(answer);
    return render_answer(answer, inv->json);
}

static int fsck_run(const struct invocation *inv)
{
    bool repair = invocation_has(inv, "repair"), rebuild = invocation_has(inv, "rebuild"), checkpoint = invocation_has(inv, "checkpoint");
    if (repair + rebuild + checkpoint > 1)
        return command_usage(inv, "--repair, --rebuild and --checkpoint exclude each other");
    if (rebuild)
        return fsck_rebuild(inv);
    if (checkpoint)
        return fsck_checkpoint(inv);
    json_t *answer = NULL, *args = json_pack("{s:b}", "repair", repair);
    int status = command_operate(inv, inv->operands[0], "fsck", args, &answer);
    if (status != EXIT_DONE)
        return status;
    /* a script must notice by the exit status what is still wrong */
    bool clean = json_integer_value(json_object_get(answer, "errors")) == 0;
    render_answer(answer, inv->json);
    if (clean)
        return EXIT_DONE;
    return command_refuse("the store is damaged; `holdfs fsck --repair` mends what can be mended, `holdfs "
                          "scrub` reads every byte");
}

static const struct option fsck_options[] = {
    {"repair", NULL, "mend what can be mended; keeps every readable frame", NULL, false},
    {"rebuild", NULL, "where the metadata does not open: from its newest checkpoint", NULL, false},
    {"checkpoint", NULL, "keep a copy of the metadata in the store now", NULL, false},
    {0},
};

const struct command command_fsck = {
    .name = "fsck",
    .operands = "STORE|MNT",
    .summary = "check the structure of a store",
    .text = "Checks the metadata and that every version's extents exist. Exit status 1 when something is "
            "wrong. It reads no "
            "content: `holdfs scrub` does. A daemon keeps two checkpoints of the metadata in the store; --rebuild, of a store that nothing has open, "
            "goes back to the newest one that is sound, takes over what can still be read of the damaged metadata, says what was "
            "lost, and keeps the damaged files aside.",
    .options = fsck_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs fsck /srv/store", "Check a store"},
                 {"holdfs fsck --repair --passphrase-file F /srv/store", "Mend one"}},
    .run = fsck_run,
};
