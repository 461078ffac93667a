/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs status: what is open and how it is; of one store, or of every mount of this machine. */
#include "cmd/control.h"
#include "cmd/render.h"
#include "cmd/secrets.h"
#include "util/text.h"
#include "util/timeform.h"

#include <stdio.h>
#include <string.h>

/* What can be said of a store that nothing has open, without a key. */
static int status_closed(const struct invocation *inv, const char *store)
{
    struct store_conf conf;
    struct reason reason = {0};
    char id[37], made[40];
    int r = store_conf_read(store, &conf, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, store);
    uuid_format(conf.store_id, id);
    timeform_format_ms(conf.created_s * 1000, made);
    json_t *doc =
        json_pack("{s:b, s:{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:b}}", "open", 0, "store", "id", id, "dir",
                  store, "format", (int)conf.format, "account", conf.account_id, "region", conf.region,
                  "created", made, "retention_clock", conf.retention_clock, "test_store", conf.test_store);
    int status = render_answer(doc, inv->json);
    if (!inv->json)
        printf("\nNothing has it open. With a secret (--passphrase-file, ...) more is told; `holdfs fsck %s` "
               "checks it.\n",
               store);
    return status;
}

static int status_one(const struct invocation *inv, const char *path)
{
    struct target target;
    struct reason reason = {0};
    json_t *answer = NULL;
    int r = target_find(path, &target, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, path);
    struct secret_source secret;
    if (secret_source_of(inv, &secret, &reason) < 0)
        return command_usage(inv, "%s", reason.text);
    if (!secret.chosen && !session_daemon_runs(target.store) && !*target.mount)
        return status_closed(inv, target.store);
    int status = command_operate(inv, path, "status", NULL, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

struct status_all {
    const struct invocation *inv;
    int status;
    unsigned count;
    json_t *list;
};

static int status_each(void *arg, const char *mount, const char *store)
{
    struct status_all *all = arg;
    json_t *answer = NULL;
    (void)store;
    int status = command_operate(all->inv, mount, "status", NULL, &answer);
    if (status != EXIT_DONE) {
        all->status = status;
    } else if (all->inv->json) {
        json_array_append_new(all->list, answer);
    } else {
        printf("%s%s\n", all->count ? "\n" : "", mount);
        render_answer(answer, false);
    }
    all->count++;
    return 0;
}

static int status_run(const struct invocation *inv)
{
    if (inv->operand_count > 0)
        return status_one(inv, inv->operands[0]);
    struct status_all all = {.inv = inv, .list = json_array()};
    target_each_mount(status_each, &all);
    if (inv->json)
        render_json(all.list);
    else if (all.count == 0)
        puts("No holdfs store is mounted here; `holdfs status STORE` tells of one that is not.");
    json_decref(all.list);
    return all.status;
}

const struct command command_status = {
    .name = "status",
    .operands = "[STORE|MNT]",
    .summary = "tell what is open and how it is",
    .text = "Tells who has the store open since when, its buckets, versions, bytes, drafts, locks, "
            "background work, clock and "
            "warnings. Without an argument: of every mount of this machine.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .max_operands = 1,
    .examples = {{"holdfs status", "Every mount of this machine"},
                 {"holdfs status --json /mnt/hold", "One, for a script"}},
    .run = status_run,
};
