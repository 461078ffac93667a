/* SPDX-License-Identifier: GPL-3.0-or-later
 * holdfs key rotate-page, rotate-master, rotate-root: renewing the keys beneath the slots. A bucket's own key is bucket.c's. */
#include "cmd/control.h"
#include "cmd/key.h"
#include "cmd/render.h"
#include "cmd/secrets.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int rotate_by_operation(const struct invocation *inv, const char *operation)
{
    json_t *answer = NULL;
    int status = command_operate(inv, inv->operands[0], operation, NULL, &answer);
    return status == EXIT_DONE ? render_answer(answer, inv->json) : status;
}

static int rotate_root_run(const struct invocation *inv)
{
    return rotate_by_operation(inv, "key.rotate-root");
}

static int rotate_page_run(const struct invocation *inv)
{
    return rotate_by_operation(inv, "key.rotate-page");
}

/* ---- rotate-master ---- */

enum { SECRETS_MAX = LIMIT_SLOTS };

/* The secrets that are to open the store afterwards; the first opens it now. */
struct kept {
    struct unlock unlocks[SECRETS_MAX];
    const struct unlock *list[SECRETS_MAX];
    size_t count;
};

static void kept_done(struct kept *k)
{
    for (size_t i = 0; i < k->count; i++)
        secret_free(k->unlocks[i].secret);
}

static int kept_add(struct kept *k, const struct secret_source *source, struct reason *reason)
{
    if (k->count == SECRETS_MAX)
        return reason_fail(reason, EINVAL, "more secrets are given than a store has slots: %d", SECRETS_MAX);
    int r = secret_obtain(source, false, &k->unlocks[k->count], reason);
    if (r == 0) {
        k->list[k->count] = &k->unlocks[k->count];
        k->count++;
    }
    return r;
}

static int kept_read(const struct invocation *inv, struct kept *k, struct reason *reason)
{
    static const struct {
        const char *option;
        enum slot_kind kind;
    } kinds[] = {{"keep-passphrase-file", SLOT_PASSPHRASE},
                 {"keep-key-file", SLOT_KEYFILE},
                 {"keep-credential", SLOT_CREDENTIAL}};
    struct secret_source source;
    int r = secret_source_of(inv, &source, reason);
    if (r == 0)
        r = kept_add(k, &source, reason);
    for (size_t i = 0; r == 0 && i < inv->given_count; i++) {
        for (size_t n = 0; n < sizeof kinds / sizeof kinds[0]; n++) {
            if (strcmp(inv->given[i].option->name, kinds[n].option) != 0)
                continue;
            source = (struct secret_source){kinds[n].kind, inv->given[i].value, true};
            r = kept_add(k, &source, reason);
        }
    }
    return r;
}

static int refuse_dropped(unsigned dropped)
{
    char list[64] = "";
    for (unsigned n = 0; n < LIMIT_SLOTS; n++)
        if (dropped >> n & 1)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%u", *list ? ", " : "", n);
    return command_refuse("slots that would be dropped, because no secret of theirs is given: %s; give it with --keep-..., or say "
                          "--drop-others",
                          list);
}

/* The code that is new, or NULL: a recovery slot that no given secret opens gets one. */
static const char *new_code(const struct target *target, const struct kept *k, const uint8_t secret[32], char text[66])
{
    struct store_conf conf;
    struct slot_info slots[LIMIT_SLOTS];
    bool has = false;
    int n = store_conf_read(target->store, &conf, NULL);
    if (n == 0)
        n = store_header_slots(target->store, conf.store_id, slots, NULL);
    for (int i = 0; i < n; i++)
        has |= slots[i].kind == SLOT_RECOVERY;
    for (size_t i = 0; i < k->count; i++)
        has &= k->unlocks[i].kind != SLOT_RECOVERY;
    if (!has)
        return NULL;
    recovery_code_format(secret, text);
    return text;
}

static int master_report(const struct invocation *inv, const char *code, unsigned dropped)
{
    if (!inv->json) {
        if (code)
            printf("Recovery code, shown this once; an earlier one opens nothing any more. Keep it elsewhere:\n\n  %s\n", code);
        return EXIT_DONE;
    }
    json_t *list = json_array();
    for (unsigned n = 0; n < LIMIT_SLOTS; n++)
        if (dropped >> n & 1)
            json_array_append_new(list, json_integer(n));
    return render_answer(json_pack("{s:o, s:s*}", "dropped", list, "recovery_code", code), true);
}

static int rotate_master_run(const struct invocation *inv)
{
    struct reason reason = {0};
    struct target target;
    CLEANUP(kept_done) struct kept kept = {.count = 0};
    int r = target_find(inv->operands[0], &target, &reason);
    if (r == 0 && session_daemon_runs(target.store))
        r = reason_fail(&reason, EBUSY, "'%s' is in use, and the master key can only be renewed when it is not: unmount it first",
                        target.store);
    if (r == 0)
        r = kept_read(inv, &kept, &reason);
    if (r < 0)
        return command_refuse_reason(&reason, r, inv->operands[0]);
    const struct engine_config config = {
        .dir = target.store, .unlock = &kept.unlocks[0], .owner_text = "command key rotate-master", .settle_default_s = -1};
    const struct master_renewal renewal = {.secrets = kept.list, .secret_count = kept.count, .recovery = true};
    uint8_t secret[32] = {0};
    char text[66] = "";
    unsigned dropped = 0;
    r = engine_rotate_master(&config, &renewal, invocation_has(inv, "drop-others"), secret, &dropped, &reason);
    if (r == -ENOTUNIQ)
        return refuse_dropped(dropped);
    if (r < 0)
        return command_refuse_reason(&reason, r, inv->operands[0]);
    int status = master_report(inv, new_code(&target, &kept, secret, text), dropped);
    secret_wipe(secret, sizeof secret);
    secret_wipe(text, sizeof text);
    return status;
}

/* ---- the table ---- */

static const struct option master_options[] = {
    {"keep-passphrase-file", "F", "the passphrase in F goes on opening its slot", NULL, true},
    {"keep-key-file", "F", "so does the key file F", NULL, true},
    {"keep-credential", "NAME", "so does the systemd credential NAME", NULL, true},
    {"drop-others", NULL, "slots without a given secret go", NULL, false},
    {0},
};

const struct command key_rotate_master = {
    .name = "key rotate-master",
    .operands = "STORE",
    .summary = "make a new master key",
    .text = "For a store that is not in use. A recovery slot gets a new code, printed once. No data moves.",
    .options = master_options,
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs key rotate-master --keep-key-file /root/a.key /srv/store", "Asks for the passphrase"},
                 {"holdfs key rotate-master --drop-others /srv/store", "What is asked for alone goes on opening"}},
    .run = rotate_master_run,
};

const struct command key_rotate_page = {
    .name = "key rotate-page",
    .operands = "STORE|MNT",
    .summary = "write the metadata under a new key",
    .text = "Copies the metadata database under a new key and takes the copy in its place, also while the store is in use.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs key rotate-page /mnt/hold", "Of a store in use"},
                 {"holdfs key rotate-page --json /srv/store", "Of one that is not"}},
    .run = rotate_page_run,
};

const struct command key_rotate_root = {
    .name = "key rotate-root",
    .operands = "STORE|MNT",
    .summary = "begin a new key epoch",
    .text = "Wraps the keys of all buckets under a new root and drops the old one, so that what was destroyed before opens "
            "with nothing. It happens by itself after a bucket was deleted.",
    .flags = COMMAND_SECRETS | COMMAND_JSON,
    .min_operands = 1,
    .max_operands = 1,
    .examples = {{"holdfs key rotate-root /mnt/hold", "Of a store in use"},
                 {"holdfs key rotate-root --json /srv/store", "Of one that is not"}},
    .run = rotate_root_run,
};
